"""The trust root: everything that is pinned before any evidence is looked at. Evidence never chooses its own root."""

import base64
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.canonical import dump_canonical
from atlas.errors import DocumentError

API_VERSION = "atlas.dev/v1alpha1"
KIND = "TrustRoot"


class Role(StrEnum):
    """What a signing authority is trusted to vouch for."""

    STEP = "step"
    """Steps of pipelines."""
    PUBLISHER = "publisher"
    """Artifacts that no pipeline made: published data sets and models."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose signers are believed, for the roles given."""

    name: str
    certificate: x509.Certificate
    roles: frozenset[Role]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER certificate, hex."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @cached_property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class PinnedLog:
    """A transparency log: its origin line and its key (Ed25519 or ECDSA), as C2SP signed notes name them."""

    origin: str
    public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    @cached_property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def key_id(self) -> bytes:
        """The 32-byte key id whose first four bytes stand in a signed note (C2SP signed-note; Rekor for ECDSA)."""
        if isinstance(self.public_key, ed25519.Ed25519PublicKey):
            return hashlib.sha256(self.origin.encode() + b"\n\x01" + self.public_key.public_bytes_raw()).digest()
        return hashlib.sha256(self.der).digest()


@dataclass(frozen=True)
class TrustRoot:
    """Signing authorities and logs, all pinned."""

    authorities: tuple[Authority, ...]
    logs: tuple[PinnedLog, ...]

    @cached_property
    def sha256(self) -> str:
        """Digest of the trust root's canonical JSON, hex: what a verdict names and a cache is keyed by."""
        return hashlib.sha256(dump_canonical(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The document that `from_json` reads."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "spec": {
                "authorities": [
                    {"name": each.name, "certificate": each.pem, "roles": sorted(each.roles)}
                    for each in self.authorities
                ],
                "logs": [
                    {"origin": log.origin, "publicKey": base64.b64encode(log.der).decode("ascii")} for log in self.logs
                ],
            },
        }


def load_authority(name: str, pem: str, roles: frozenset[Role]) -> Authority:
    """Read an authority's PEM certificate.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    try:
        [certificate] = x509.load_pem_x509_certificates(pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
    ) as error:
        raise DocumentError(f"authority {name!r}: not the PEM certificate of an authority: {error}") from error
    if not constraints.ca:
        raise DocumentError(
            f"authority {name!r}: this certificate is not an authority's (CA:FALSE)",
            mend="pin the authority that issued it",
        )
    return Authority(name, certificate, roles)


def load_log(origin: str, public_key: str) -> PinnedLog:
    """Read a log's key, base64 of DER SubjectPublicKeyInfo.

    Raises:
        DocumentError: if it is not an Ed25519 or ECDSA public key.
    """
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentError(f"log {origin!r}: not a public key in base64 DER: {error}") from error
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise DocumentError(f"log {origin!r}: a log's key must be Ed25519 or ECDSA")
    return PinnedLog(origin, key)
