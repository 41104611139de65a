"""Keys and certificates: the development authority of a home, and the leaf that signs one manifest.

The certificate profile is C2PA's (C2PA 2.x, "X.509 certificates"): P-256, digitalSignature, emailProtection, a critical
BasicConstraints, subject and authority key identifiers. A subject alternative name of type URI says who the leaf is:
``atlas:step:<run>/<task>/<attempt>`` or ``atlas:publisher:<name>``, percent-encoded; or, where a log is public and the
names are not, ``atlas:pseudonym:<digest>`` of that URI with a salt that stands in the signed statement alone.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atlas.base64url import from_base64url, to_base64url
from atlas.errors import ClockError, StateError
from atlas.spki import dump_spki, spki_sha256
from atlas.statement import SALT_BYTES, Publisher, Step

AUTHORITY_LIFETIME = dt.timedelta(days=3653)
"""Ten years: leaves live as long as their authority, because a leaf's key is gone once it has signed."""
BACKDATE = dt.timedelta(minutes=5)
"""Tolerance for clocks that differ between the machine that signs and the one that verifies."""


_PSEUDONYM = b"atlas/pseudonym/v1\0"


@dataclass(frozen=True)
class Issuer:
    """A certificate authority with its private key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class Credential:
    """A leaf's private key and the certificates from it up to, not including, the authority."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def chain_pem(self) -> bytes:
        """The chain in PEM, leaf first."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.chain)

    @property
    def spki(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        return dump_spki(self.key.public_key())

    @property
    def key_pem(self) -> bytes:
        """The private key in unencrypted PKCS #8 PEM; for memory, never for a file."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


URI_SCHEME = "atlas:"
PUBLISHER_URI = "atlas:publisher:"


def identity_uri(maker: Step | Publisher, pseudonym: str = "") -> str:
    """What the subject alternative name of the maker's certificate says.

    Args:
        maker: whose certificate it is.
        pseudonym: the salt of a pseudonym, base64url; empty: the names themselves.
    """
    if pseudonym:
        digest = hashlib.sha256(_PSEUDONYM + from_base64url(pseudonym, SALT_BYTES) + identity_uri(maker).encode())
        return f"atlas:pseudonym:{to_base64url(digest.digest())}"
    if isinstance(maker, Publisher):
        return f"{PUBLISHER_URI}{quote(maker.name, safe='')}"
    return f"atlas:step:{quote(maker.run, safe='')}/{quote(maker.task, safe='')}/{maker.attempt}"


def key_digest(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate's key (DER SubjectPublicKeyInfo), hex."""
    return spki_sha256(certificate.public_key())


def new_authority(name: str, now: dt.datetime, key: ec.EllipticCurvePrivateKey | None = None) -> Issuer:
    """Make a self-signed P-256 authority that may issue leaves and nothing else, with a new key unless one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issuer(key, certificate)


def issue(issuer: Issuer, maker: Step | Publisher, now: dt.datetime, pseudonym: str = "") -> Credential:
    """Make a fresh key and a leaf for one maker, valid as long as the authority.

    Args:
        issuer: the authority.
        maker: whose key it is.
        now: the time.
        pseudonym: as in `identity_uri`.

    Raises:
        ClockError: if it is earlier than the authority's own beginning, or later than its end.
    """
    begins, ends = issuer.certificate.not_valid_before_utc, issuer.certificate.not_valid_after_utc
    if now < begins:
        raise ClockError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M}, but the signing authority begins {begins:%Y-%m-%d %H:%M}",
            mend="set the clock: signatures of before their authority would verify nowhere",
        )
    if now >= ends:
        raise StateError(
            f"the signing authority expired on {ends:%Y-%m-%d}",
            mend="make a new home, or install a new authority",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    common_name = "pseudonym" if pseudonym else maker.name if isinstance(maker, Publisher) else maker.task
    authority = issuer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    certificate = (
        _builder(common_name, str(authority), key.public_key(), max(begins, now - BACKDATE), ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity_uri(maker, pseudonym))]),
            critical=False,
        )
        .sign(issuer.key, hashes.SHA256())
    )
    return Credential(key, (certificate,))


def _builder(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, begins: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Atlas"),  # C2PA readers show the organisation
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64] or "-"),  # 64: ub-common-name, RFC 5280
        ]
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not sign,
        crl_sign=not sign,
        encipher_only=False,
        decipher_only=False,
    )
