"""What is true of one manifest whatever the policy and the time: who signed it, and that it is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas.errors import Rejected
from atlas.log import Logged, parse_receipt, verify_receipt
from atlas.log.claim import claim_entry
from atlas.manifest import Manifest, TrustedManifest, verify_manifest
from atlas.trust import TrustRoot


class StoredManifest(Protocol):
    """A manifest as an archive hands it out, unverified."""

    @property
    def box_sha256(self) -> str:
        """Its identity, as the archive says."""

    @property
    def sidecar(self) -> bytes:
        """The C2PA manifest store."""

    @property
    def receipt(self) -> bytes | None:
        """The log's receipt."""


class Source(Protocol):
    """Where manifests come from. Nothing that it answers is believed before it is verified."""

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        """The manifest with this box digest."""

    def producers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        """Manifests of the artifact with this digest."""

    def consumers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        """Manifests of what was made from the artifact with this digest."""

    def of_run(self, run: str) -> Mapping[tuple[str, int], Mapping[str, str]]:
        """(task, attempt) -> box digest -> statement digest, for all manifests of a run's steps."""


@dataclass(frozen=True)
class Facts:
    """A verified manifest."""

    trusted: TrustedManifest
    logged: Logged | None
    """Where it is logged; None if it has no receipt that holds."""
    log_rejection: Rejected | None
    """Why a receipt that it has does not hold."""

    @property
    def manifest(self) -> Manifest:
        """The manifest itself."""
        return self.trusted.manifest


def establish(stored: StoredManifest, trust: TrustRoot) -> Facts:
    """Verify a manifest and its receipt.

    Raises:
        Rejected: if the manifest does not hold. A receipt that does not is part of the facts.
    """
    trusted = verify_manifest(stored.sidecar, trust)
    if stored.receipt is None:
        return Facts(trusted, None, None)
    try:
        entry = claim_entry(trusted.manifest)
        return Facts(trusted, verify_receipt(parse_receipt(stored.receipt), entry, trust.logs), None)
    except Rejected as rejected:
        return Facts(trusted, None, rejected)
