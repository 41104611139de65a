"""The form of a policy file (`kind: LineagePolicy`), version v1alpha1. An unknown field is an error with its line."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import rfc8785
from pydantic import Field, FiniteFloat, model_validator

from atlas.document import Strict, parse_document, read_document
from atlas.policy.evidence import EvidenceRules, ReferenceValues
from atlas.policy.fields import Duration, Need, Sha256
from atlas.policy.parameters import Parameter


class Steps(Strict):
    """Which steps the lineage must have, and what they may run."""

    required: tuple[str, ...] = ()
    """Components that must have taken part: as ancestors, or as evaluations of the artifact."""
    images: tuple[str, ...] | None = None
    """Images that steps may run in, as the pipeline writes them; absent: any."""
    code: dict[str, tuple[Sha256, ...]] = Field(default_factory=dict)
    """For a component: the code digests it may have. A component that is not listed may have any."""


class SignerIdentity(Strict):
    """Whom certificates of minutes are for."""

    issuer: str
    """Address of the OIDC issuer, as the certificate has it."""
    subject: str
    """E-mail address or URI, as the certificate has it."""


class Origins(Strict):
    """With what the lineage may begin. A list that is given admits what it names and nothing else."""

    digests: tuple[Sha256, ...] = ()
    """Artifacts that are trusted by their digest, whoever made them."""
    publishers: tuple[Sha256, ...] | None = None
    """SHA-256 of the DER certificates of publishers, of the authorities that issued them, or of publishers' bare keys;
    absent: any that the trust root knows."""
    identities: tuple[SignerIdentity, ...] = Field(default=(), exclude_if=lambda listed: not listed)
    """Who may sign without a key of their own (Sigstore), besides those that an authority in `publishers` vouches for:
    such an authority vouches for everybody."""
    ignored: tuple[str, ...] = Field(default=(), exclude_if=lambda paths: not paths)
    """Files of a model that its signature by OpenSSF Model Signing may leave out: paths within the model."""
    steps: tuple[str, ...] | None = None
    """Components that may begin a lineage by having no input; absent: any."""
    pinned: bool = True
    """Whether an import is trusted because the pipeline pinned its digest."""


class Metric(Strict):
    """A bound on a metric that was measured on the artifact."""

    step: str
    """The component that measures it."""
    artifact: str
    """The output artifact that holds it."""
    name: str
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None

    @model_validator(mode="after")
    def _bounded(self) -> "Metric":
        if self.min is None and self.max is None:
            raise ValueError("a metric needs min, max or both")
        return self


class Rules(Strict):
    """The rules themselves."""

    steps: Steps = Steps()
    origins: Origins = Origins()
    evidence: EvidenceRules = EvidenceRules()
    log: Need = Need.REQUIRED
    """Whether each manifest must be in a transparency log of the trust root."""
    timestamp: Need = Field(default=Need.OPTIONAL, exclude_if=lambda need: need is Need.OPTIONAL)
    """Whether somebody whom the trust root names, a timestamp authority or enough witnesses, must have said by when
    each manifest existed."""
    max_age: Duration | None = Field(default=None, alias="maxAge")
    """How long ago the newest step, the one that made the artifact, may have ended."""
    metrics: tuple[Metric, ...] = ()
    parameters: tuple[Parameter, ...] = Field(default=(), exclude_if=lambda rules: not rules)
    denied: tuple[Sha256, ...] = ()
    """Digests of artifacts that must not be anywhere in the lineage."""
    unmeasured: tuple[str, ...] = ()
    """Outputs that may go unmeasured, written `component.output`."""


class Metadata(Strict):
    """The policy's name."""

    name: str


class Policy(Strict):
    """A whole policy file."""

    api_version: Literal["atlas.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["LineagePolicy"]
    metadata: Metadata
    spec: Rules

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the policy's canonical JSON, with defaults written out.

        But for those of rules that the first Atlas did not know (`exclude_if`), so that a policy keeps its digest.
        """
        document: Any = self.model_dump(mode="json", by_alias=True)
        return hashlib.sha256(rfc8785.dumps(document)).hexdigest()


def signed_only(publishers: tuple[str, ...] | None) -> Policy:
    """What must hold of a policy's own inputs, such as reference values: published, by one of these if given (hex)."""
    listed = [f"sha256:{each}" for each in publishers] if publishers is not None else None
    rules = {"origins": {"steps": [], "pinned": False, "publishers": listed}, "log": "optional"}
    return Policy.model_validate(
        {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": "signed"}, "spec": rules}
    )


def with_references(policy: Policy, references: ReferenceValues) -> Policy:
    """The policy with these reference values besides its own; it requires evidence, and has a digest of its own."""
    evidence = policy.spec.evidence
    changes = {"reference": (*(evidence.reference or ()), *references.spec.values), "required": True}
    rules = policy.spec.model_copy(update={"evidence": evidence.model_copy(update=changes)})
    return Policy(apiVersion=policy.api_version, kind=policy.kind, metadata=policy.metadata, spec=rules)


def load_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        InputError: if it cannot be read.
        DocumentError: if it is not a policy; names the line of each mistake.
    """
    return read_document(path, Policy)


def parse_policy(raw: bytes, name: str = "policy") -> Policy:
    """Read a policy from bytes; raises as `load_policy`."""
    return parse_document(raw, Policy, name)


def default_policy() -> Policy:
    """What holds where no policy is given: signed by the trust root, logged, measured, nothing without an origin."""
    return Policy.model_validate(
        {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": "default"}, "spec": {}}
    )
