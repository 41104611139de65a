"""Public keys in the form by which everything names them: DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7)."""

import hashlib
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class PublicKey(Protocol):
    """A public key of any algorithm."""

    def public_bytes(self, encoding: Encoding, format: PublicFormat) -> bytes:
        """As the `cryptography` library has it."""


def dump_spki(key: PublicKey) -> bytes:
    """The key, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(key: PublicKey) -> str:
    """SHA-256 of the key in DER, hex."""
    return hashlib.sha256(dump_spki(key)).hexdigest()
