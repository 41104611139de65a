"""What a statement says: values that the program works with, whatever their bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from atlas.artifact import Kind, Measurement
from atlas.canonical import load_json

SALT_BYTES = 32
"""Of a pseudonym's salt."""

NEVER_WRITTEN = "never written"
"""The one reason for which an output without a digest is harmless: there are no bytes that anyone could use."""

NO_EVIDENCE = "none"
"""Instead of a provider of evidence: nobody was asked."""
FAILED_EVIDENCE = "failed:"
"""Before a provider of evidence: it was asked, gave none, and the step was allowed to go on."""


@dataclass(frozen=True)
class Link:
    """The parent's manifest, as the consumer was told of it: a claim until the lineage confirms it."""

    label: str
    """The parent manifest's C2PA label (a URN)."""
    box_sha256: str
    """Identity of the parent's manifest: SHA-256 of its JUMBF box content."""
    asset_sha256: str
    """The artifact's digest as its maker measured it. Differs from the input's where the bytes were changed between."""


@dataclass(frozen=True)
class Input:
    """An artifact as a step found it before it ran."""

    name: str
    position: int
    """Place in a list input; 0 for a single artifact."""
    kind: Kind
    sha256: str
    size: int
    files: int
    uri: str
    schema: str
    """The artifact's type, e.g. `system.Dataset`."""
    changed: bool
    """Whether it measured differently after the step had run."""
    pinned: bool
    """Whether the pipeline demanded exactly this digest of an importer."""
    link: Link | None


@dataclass(frozen=True)
class Output:
    """An artifact as a step left it."""

    name: str
    position: int
    kind: Kind
    sha256: str
    size: int
    files: int
    uri: str
    schema: str
    properties: Mapping[str, Any] | None = None
    """The measured metadata itself, for `Kind.PROPERTIES` only."""


@dataclass(frozen=True)
class Unmeasured:
    """An artifact that took part and has no digest."""

    direction: str
    """`input` or `output`."""
    name: str
    position: int
    uri: str
    reason: str


@dataclass(frozen=True)
class Step:
    """One attempt of one task."""

    pipeline: str
    run: str
    task: str
    component: str
    attempt: int
    image: str
    code_sha256: str
    """Digest of the component's command template: what was asked to run."""
    exit_code: int


@dataclass(frozen=True)
class Publisher:
    """Who vouches for an artifact that no pipeline made."""

    name: str


@dataclass(frozen=True)
class Statement:
    """Everything one signature stands for."""

    maker: Step | Publisher
    outputs: tuple[Output, ...]
    started: datetime
    ended: datetime
    inputs: tuple[Input, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evidence: str = NO_EVIDENCE
    """The provider that was chosen for evidence; or `NO_EVIDENCE`, or one after `FAILED_EVIDENCE`."""
    secret: tuple[str, ...] = ()
    """Names of parameters whose values are recorded nowhere, sorted."""
    hidden: tuple[str, ...] = ()
    """Digests of the disclosures of further parameters, sorted."""
    pseudonym: str = ""
    """Salt of the pseudonym in the signer's certificate (base64url); empty if the certificate says the names."""

    @property
    def keeps_back(self) -> bool:
        """Whether it needs version 2."""
        return bool(self.secret or self.hidden or self.pseudonym)


def output_of(measured: Measurement, name: str, position: int = 0, uri: str = "", schema: str = "") -> Output:
    """The output that a measurement amounts to."""
    properties = load_json(measured.asset)[0] if measured.kind is Kind.PROPERTIES and measured.asset else None
    return Output(
        name, position, measured.kind, measured.sha256, measured.size, measured.files, uri, schema, properties
    )
