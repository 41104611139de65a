"""What a log records of a manifest: the C2PA claim signature itself.

The entry's digest is that of COSE's Sig_structure (RFC 9052, section 4.4), its signature and certificate are the
claim's own. One key, one signature: the entry proves that this very signature existed, and the claim hashes the rest.
"""

import hashlib

from cryptography.hazmat.primitives.serialization import Encoding

from atlas.log.entry import Algorithm, Entry
from atlas.manifest import Manifest


def claim_entry(manifest: Manifest) -> Entry:
    """The log entry of a manifest (Rekor v2, hashedrekord 0.0.2)."""
    return Entry(
        digest=hashlib.sha256(manifest.to_be_signed).digest(),
        signature=manifest.signature,
        algorithm=Algorithm.ECDSA_P256_SHA256,
        certificate=manifest.signer.public_bytes(Encoding.DER),
    )
