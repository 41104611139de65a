"""Authorities that are pinned by a certificate: who signs, and who states the time."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from atlas.errors import DocumentError
from atlas.revocation import Cut


@dataclass(frozen=True)
class Certified:
    """Whoever is pinned by a certificate."""

    name: str
    certificate: x509.Certificate

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER certificate, hex."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @cached_property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


class Role(StrEnum):
    """What a signing authority is trusted to vouch for."""

    STEP = "step"
    """Steps of pipelines."""
    PUBLISHER = "publisher"
    """Artifacts that no pipeline made: published data sets and models."""


@dataclass(frozen=True)
class Authority(Certified):
    """A certificate authority whose signers are believed, for the roles given."""

    roles: frozenset[Role]
    ended: Cut | None = None
    """When another authority took its place; what it has signed before counts for ever."""


@dataclass(frozen=True)
class TimestampAuthority(Certified):
    """Whose timestamps are believed (RFC 3161), by the root certificate that vouches for them."""


def load_authority(name: str, pem: str, roles: frozenset[Role], ended: Cut | None = None) -> Authority:
    """Read an authority's PEM certificate.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    return Authority(name, load_ca(f"authority {name!r}", pem), roles, ended)


def load_timestamp_authority(name: str, pem: str) -> TimestampAuthority:
    """Read the PEM root certificate that vouches for a timestamp authority.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    return TimestampAuthority(name, load_ca(f"timestamp authority {name!r}", pem))


def load_ca(what: str, pem: str) -> x509.Certificate:
    """Read the PEM certificate of an authority; `what` is whose, for a person.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    try:
        [certificate] = x509.load_pem_x509_certificates(pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.subject.rfc4514_string()  # read only when asked for
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise DocumentError(
            f"{what}: not the PEM certificate of an authority: {error}", mend="give one certificate, in PEM"
        ) from error
    if not constraints.ca:
        raise DocumentError(
            f"{what}: this certificate is not an authority's (CA:FALSE)",
            mend="pin the authority that issued it",
        )
    return certificate
