"""Keys, certificates and revocation lists of the simulated manufacturer; their names say that they are simulated.

Signatures are deterministic (RFC 6979), so that the same state says the same thing in the same bytes.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from atlas.evidence.simulator.machine import UnsafeSimulatedMachine

ROOT = "Atlas SIMULATED TDX Root CA"
AUTHORITY = "Atlas SIMULATED PCK Platform CA"
PCK = "Atlas SIMULATED PCK Certificate"
SIGNER = "Atlas SIMULATED TCB Signing"

_BEFORE, _AFTER = dt.timedelta(days=366), dt.timedelta(days=3653)
"""Certificates are valid from a year before they were made, for what is judged as of a time in the past."""


@dataclass(frozen=True)
class UnsafeSimulatedSigner:
    """A key, and the certificates from its own up to the root."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        """The key's own certificate."""
        return self.chain[0]

    @property
    def pem(self) -> str:
        """The chain."""
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in self.chain)

    def sign(self, message: bytes) -> bytes:
        """A raw signature."""
        return sign(self.key, message)

    def issue(
        self, name: str, now: dt.datetime, *, ca: bool = False, machine: UnsafeSimulatedMachine | None = None
    ) -> "UnsafeSimulatedSigner":
        """A new key with a certificate of this one's."""
        key = new_key()
        made = _certificate(name, key, self.certificate.subject, self.key, now, ca=ca, machine=machine)
        return UnsafeSimulatedSigner(key, (made, *self.chain))

    def crl(self, number: int, issued: dt.datetime, ends: dt.datetime, revoked: Iterable[x509.Certificate]) -> bytes:
        """A revocation list of this authority's, in DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(issued)
            .next_update(ends)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(issued)
            builder = builder.add_revoked_certificate(entry.build())
        made = builder.sign(self.key, hashes.SHA256(), ecdsa_deterministic=True)
        return made.public_bytes(serialization.Encoding.DER)

    def dump(self) -> dict[str, str]:
        """Key and certificate in PEM."""
        certificate = self.certificate.public_bytes(serialization.Encoding.PEM)
        return {"key": dump_key(self.key), "certificate": certificate.decode("ascii")}

    @classmethod
    def load(cls, found: dict[str, str], issuer: "UnsafeSimulatedSigner | None") -> "UnsafeSimulatedSigner":
        """Read what `dump` made; without an issuer, the root.

        Raises:
            ValueError, TypeError, KeyError or InvalidSignature: if it is anything else, or not of this issuer.
        """
        key, certificate = load_key(found["key"]), x509.load_pem_x509_certificate(found["certificate"].encode("ascii"))
        if certificate.public_key() != key.public_key():
            raise ValueError("a key is not that of its certificate")
        certificate.verify_directly_issued_by(issuer.certificate if issuer else certificate)
        return cls(key, (certificate, *(issuer.chain if issuer else ())))


def new_root(now: dt.datetime) -> UnsafeSimulatedSigner:
    """A new root."""
    key = new_key()
    return UnsafeSimulatedSigner(key, (_certificate(ROOT, key, _name(ROOT), key, now, ca=True, machine=None),))


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def dump_key(key: ec.EllipticCurvePrivateKey) -> str:
    """The private key in unencrypted PKCS #8 PEM."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode("ascii")


def load_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """Read what `dump_key` made.

    Raises:
        ValueError or TypeError: if it is anything else.
    """
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("a key is not of P-256")
    return key


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-256 as quotes have it: r and s, 32 bytes each."""
    signature = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def public_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as quotes have it: x and y, 32 bytes each."""
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(encoding, form)[1:]


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    *,
    ca: bool,
    machine: UnsafeSimulatedMachine | None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(key_usage(ca=ca), critical=True)
    )
    if machine:
        builder = builder.add_extension(machine.extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Atlas SIMULATED, proves nothing"),
        ]
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    """What the key of an authority, or of anybody else, is for."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
