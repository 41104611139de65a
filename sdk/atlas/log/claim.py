"""What a log records of a manifest: the C2PA claim signature itself.

The entry's digest is that of COSE's Sig_structure (RFC 9052, section 4.4), its signature and certificate are the
claim's own. One key, one signature: the entry proves that this very signature existed, and the claim hashes the rest.
"""

from atlas.log.entry import Entry, signed_entry
from atlas.manifest import Manifest


def claim_entry(manifest: Manifest) -> Entry:
    """The log entry of a manifest (Rekor v2, hashedrekord 0.0.2)."""
    return signed_entry(manifest.to_be_signed, manifest.signature, manifest.verifier)
