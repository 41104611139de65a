"""The outcome of a verification: a verdict, and a finding for each reason behind it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from atlas.canonical import dump_canonical
from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from atlas.errors import Rejected


class Severity(StrEnum):
    """Whether a finding alone refuses the artifact."""

    ERROR = "error"
    REVIEW = "review"
    """It held when it was made, and something has become known since: a person must decide."""
    WARNING = "warning"


class Outcome(StrEnum):
    """What a verdict comes to."""

    HOLDS = "holds"
    NEEDS_REVIEW = "needs review"
    DOES_NOT_HOLD = "does not hold"

    @classmethod
    def of(cls, severities: Iterable[Severity]) -> "Outcome":
        """The outcome of findings of these severities."""
        present = set(severities)
        if Severity.ERROR in present:
            return cls.DOES_NOT_HOLD
        return cls.NEEDS_REVIEW if Severity.REVIEW in present else cls.HOLDS


@dataclass(frozen=True, order=True)
class Finding:
    """One reason, and the way through the lineage that leads to it."""

    path: tuple[str, ...]
    """Names from the verified artifact to the place of the finding, e.g. `("model", "train", "train_data")`."""
    code: Code
    message: str
    expected: str = ""
    found: str = ""
    severity: Severity = Severity.ERROR

    @property
    def mend(self) -> str:
        """What to do about it."""
        return CATALOGUE[self.code].mend

    @classmethod
    def of(cls, rejected: Rejected, path: Iterable[str], severity: Severity = Severity.ERROR) -> "Finding":
        """The finding that a rejected proof at `path` amounts to."""
        return cls(tuple(path), rejected.code, str(rejected), rejected.expected, rejected.found, severity)

    def to_json(self) -> dict[str, Any]:
        """A JSON object with stable keys."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "path": list(self.path),
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
            "mend": self.mend,
        }


@dataclass(frozen=True)
class Disclosed:
    """A parameter that a statement keeps back, and that was shown for this verification."""

    statement: str
    """Digest of the statement that commits to it, hex."""
    component: str
    name: str
    value: Any

    def to_json(self) -> dict[str, Any]:
        """A JSON object with stable keys."""
        return {
            "statement": f"sha256:{self.statement}",
            "component": self.component,
            "name": self.name,
            "value": self.value,
        }


@dataclass(frozen=True)
class Verdict:
    """What a verification came to. Equal inputs give equal bytes of `to_bytes`, on any machine."""

    subject: str
    """The artifact, `sha256:…`."""
    name: str
    """What the artifact's maker calls it; empty if nobody is known to have made it."""
    at: str
    """The time of verification, RFC 3339 UTC."""
    policy: str
    """Digest of the policy, `sha256:…`."""
    trust: str
    """Digest of the trust root, `sha256:…`."""
    steps: int
    """Steps of the lineage that were verified."""
    manifests: int
    """Manifests of the lineage that were verified."""
    findings: tuple[Finding, ...]
    disclosed: tuple[Disclosed, ...] = ()
    """What was shown of what its steps keep back, and was committed to."""

    @property
    def outcome(self) -> Outcome:
        """What the findings come to."""
        return Outcome.of(finding.severity for finding in self.findings)

    @property
    def holds(self) -> bool:
        """Whether nothing was found that refuses the artifact, or leaves it to a person."""
        return self.outcome is Outcome.HOLDS

    def to_json(self) -> dict[str, Any]:
        """A JSON object with stable keys; what was disclosed stands in it only where something was."""
        disclosed = [each.to_json() for each in self.disclosed]
        return {
            "verdict": self.outcome.value,
            "subject": self.subject,
            "name": self.name,
            "at": self.at,
            "policy": self.policy,
            "trust": self.trust,
            "steps": self.steps,
            "manifests": self.manifests,
            "findings": [finding.to_json() for finding in self.findings],
            **({"disclosed": disclosed} if disclosed else {}),
        }

    def to_bytes(self) -> bytes:
        """Canonical JSON (RFC 8785) of `to_json`."""
        return dump_canonical(self.to_json())
