"""Who signed what a log records, and whether it is one of ours.

Laxer than what Atlas writes: whatever our authorities signed must be seen here, of whatever algorithm and version.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from atlas.errors import InputError
from atlas.log.encoding import from_base64, load_json
from atlas.log.entry import KIND
from atlas.log.tiles import MAX_ENTRY
from atlas.spki import PublicKey, dump_spki
from atlas.trust import Authority


@dataclass(frozen=True)
class Recorded:
    """What an entry of kind `hashedrekord` says: somebody signed a digest.

    Attributes:
        digest: that was signed.
        certificate: the signer's, or None where the entry has a bare key.
        key: SHA-256 of the signer's key, DER SubjectPublicKeyInfo.
    """

    digest: bytes
    certificate: x509.Certificate | None
    key: bytes

    @cached_property
    def identity(self) -> bytes:
        """What tells one manifest's entry from all others.

        Not the entry's own hash: anybody can make a second ECDSA signature from a first one, and have that logged.
        """
        return hashlib.sha256(self.key + self.digest).digest()

    @property
    def description(self) -> str:
        """In words; none of them are the signer's."""
        signed = f"a signature over {self.digest.hex()}"
        if self.certificate is None:
            return signed
        return f"{signed}, with the certificate {self.certificate.serial_number:x}"


class Ours:
    """What is ours: authorities, and of each manifest its entry and its key."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        self._authorities = authorities
        self._known: set[bytes] = set()
        self._keys: set[bytes] = set()

    def learn(self, body: bytes) -> None:
        """Take in the entry of a manifest of ours.

        Raises:
            InputError: if it cannot be read.
        """
        recorded = parse_recorded(body)
        self._known.add(recorded.identity)
        self._keys.add(recorded.key)

    def misused(self, recorded: Recorded) -> str:
        """What of ours somebody has signed an entry with that is none of our manifests'; empty if nothing."""
        if recorded.identity in self._known:
            return ""
        if recorded.certificate is not None:
            for each in self._authorities:
                if _issued(recorded.certificate, each.certificate):
                    return f"the authority {each.name!r}"
        return "a key that signed a manifest of ours" if recorded.key in self._keys else ""


def parse_recorded(body: bytes) -> Recorded:
    """Read an entry as a log has it.

    Raises:
        InputError: if it is of another kind, or cannot be read.
    """
    try:
        document = load_json(body, MAX_ENTRY)
        if not isinstance(document, dict) or document.get("kind") != KIND:
            raise ValueError(f"not of kind {KIND}")
        [spec] = document["spec"].values()
        verifier = spec["signature"]["verifier"]
        digest = from_base64(spec["data"]["digest"])
        if given := verifier.get("x509Certificate"):
            certificate = x509.load_der_x509_certificate(from_base64(given["rawBytes"]))
            return Recorded(digest, certificate, _digest(certificate.public_key()))
        key = serialization.load_der_public_key(from_base64(verifier["publicKey"]["rawBytes"]))
        return Recorded(digest, None, _digest(key))
    except (ValueError, LookupError, TypeError, AttributeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise InputError(f"an entry that cannot be read: {error}") from error


def _digest(key: PublicKey) -> bytes:
    return hashlib.sha256(dump_spki(key)).digest()


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):  # ValueError: of another name
        return False
    return True
