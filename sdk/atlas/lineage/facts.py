"""What is true of one manifest whatever the policy: who signed it, that it is logged, what its evidence proves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from atlas.errors import Rejected
from atlas.evidence.appraise import Appraisal, Lookup, appraise
from atlas.interop.verify import verify_signed
from atlas.keys import BACKDATE
from atlas.lineage.standing import check_log, check_signer, in_time
from atlas.log import Logged
from atlas.log.claim import claim_entry
from atlas.log.proof import parse_proof, verify_proof
from atlas.manifest import Manifest, TrustedManifest
from atlas.spki import dump_spki
from atlas.trust import TrustRoot


class StoredManifest(Protocol):
    """A manifest as an archive hands it out, unverified."""

    @property
    def box_sha256(self) -> str:
        """Its identity, as the archive says."""

    @property
    def sidecar(self) -> bytes:
        """The C2PA manifest store, or the record of an OMS signature."""

    @property
    def receipt(self) -> bytes | None:
        """What proves that it is logged (`atlas.log.proof`)."""


class Source(Protocol):
    """Where manifests come from. Nothing that it answers is believed before it is verified."""

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        """The manifest with this box digest."""

    def producers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        """Manifests of the artifact with this digest."""

    def consumers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        """Manifests of what was made from the artifact with this digest."""

    def collateral(self, fmspc: str, authority: str) -> Sequence[bytes]:
        """Collateral for a kind of platform."""

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
    evidence: Appraisal | None = None
    """What its evidence proves; None if it has none that holds."""
    evidence_rejection: Rejected | None = None
    """Why evidence that it has, or should have, does not hold."""

    @property
    def manifest(self) -> Manifest:
        """The manifest itself."""
        return self.trusted.manifest


def establish(stored: StoredManifest, trust: TrustRoot, lookup: Lookup = lambda _: ()) -> Facts:
    """Verify a manifest, its receipt and its evidence.

    Args:
        stored: the manifest.
        trust: what is pinned.
        lookup: where collateral for evidence comes from.

    Raises:
        Rejected: if the manifest does not hold. A receipt or evidence that does not is part of the facts.
    """
    trusted = verify_signed(stored.sidecar, trust)
    logged, log_rejection = _logged(trusted, stored.receipt, trust)
    check_signer(trusted, logged, log_rejection, trust)
    trusted = in_time(trusted, logged, log_rejection, trust)
    evidence, evidence_rejection = _appraised(trusted, trust, lookup)
    return Facts(trusted, logged, log_rejection, evidence, evidence_rejection)


def _logged(trusted: TrustedManifest, receipt: bytes | None, trust: TrustRoot) -> tuple[Logged | None, Rejected | None]:
    if receipt is None:
        return None, None
    try:
        logged = verify_proof(parse_proof(receipt), claim_entry(trusted.manifest), trust)
        return check_log(logged, trust), None
    except Rejected as rejected:
        return None, rejected


def _appraised(trusted: TrustedManifest, trust: TrustRoot, lookup: Lookup) -> tuple[Appraisal | None, Rejected | None]:
    manifest = trusted.manifest
    if manifest.key:  # of OMS: it has no evidence and no certificate
        return None, None
    spki = dump_spki(manifest.signer.public_key())
    # the authority issued the certificate when the step signed, so it vouches that it was no earlier; a step that says
    # itself that it ended later, with a key that it kept, is judged by what was known then
    made = max(manifest.signer.not_valid_before_utc + BACKDATE, manifest.statement.ended)
    try:
        return appraise(manifest.evidence, manifest.statement, spki, trust.evidence_roots, lookup, made), None
    except Rejected as rejected:
        return None, rejected
