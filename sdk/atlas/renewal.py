"""Finding what has a receipt that does not hold, so that the log can be asked for another one."""

from atlas.archive import Archive, Stored
from atlas.errors import Rejected
from atlas.interop.verify import read_manifest
from atlas.log.claim import claim_entry
from atlas.log.entry import Entry
from atlas.log.proof import Proof, parse_proof, verify_proof
from atlas.log.seal import Seal, sealed_entry
from atlas.trust import TrustRoot


def unsound(archive: Archive, trust: TrustRoot) -> tuple[list[Stored], dict[str, Seal]]:
    """Manifests all of whose receipts do not hold under a trust root.

    Returns:
        The manifests, and of those that are sealed the seal by box digest: with another one, the log would take the
        same manifest a second time.
    """
    held: set[str] = set()
    seals: dict[str, Seal] = {}
    found: dict[str, Stored] = {}
    for box, _, raw in archive.receipts():
        stored = archive.manifest(box)
        if stored is None or box in held:
            continue
        try:
            entry = claim_entry(read_manifest(stored.sidecar))
        except Rejected:  # no receipt would make it hold
            continue
        try:
            proof = parse_proof(raw)
            seals.update(_seal(box, proof, entry))
            verify_proof(proof, entry, trust)
            held.add(box)
        except Rejected:
            found[box] = stored
    return [each for box, each in found.items() if box not in held], seals


def _seal(box: str, proof: Proof, entry: Entry) -> dict[str, Seal]:
    if proof.seal is None:
        return {}
    sealed_entry(entry, proof.seal)
    return {box: proof.seal}
