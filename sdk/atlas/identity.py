"""Whom a certificate of Sigstore's Fulcio is for: an e-mail address or a URI, as an OIDC issuer knows it.

Such a certificate lives for minutes and is made for one signature, so a signer is called by the identity and not by the
certificate (Fulcio, docs/certificate-specification.md and docs/oid-info.md).
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_UTF8_STRING = 0x0C


@dataclass(frozen=True)
class Identity:
    """Who signed without a key of their own."""

    issuer: str
    """Address of the OIDC issuer."""
    subject: str
    """An e-mail address or a URI."""

    def __str__(self) -> str:
        """For a person to read."""
        return f"{self.subject} of {self.issuer}"


def identity_of(certificate: x509.Certificate) -> Identity | None:
    """The identity that a certificate names; None if it is of another kind.

    Raises:
        ValueError: if it is of that kind, and names no identity or several, or is not for code signing.
    """
    try:
        extensions = certificate.extensions
        issuer = extensions.get_extension_for_oid(ISSUER).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return None
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise ValueError(
            f"its certificate names an issuer of identities, and not all that belongs to it: {error}"
        ) from error
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise ValueError("its certificate is not for code signing")
    found = [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]
    if len(names) != 1 or len(found) != 1:
        raise ValueError("its certificate does not name exactly one e-mail address or URI")
    assert isinstance(issuer, x509.UnrecognizedExtension)
    return Identity(_text(issuer.value), _printable(str(found[0])))


def _text(der: bytes) -> str:
    """A DER UTF8String of fewer than 65,536 bytes (X.690, sections 8.1.3 and 10.1)."""
    head = 2 + {0x81: 1, 0x82: 2}.get(der[1], 0) if len(der) > 1 else 2
    length = der[1] if len(der) > 1 and head == 2 else int.from_bytes(der[2:head], "big")
    if der[:1] != bytes([_UTF8_STRING]) or length != len(der) - head:
        raise ValueError("its certificate's issuer of identities is not a UTF8String")
    return _printable(der[head:].decode())


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("its certificate names an identity that cannot be shown")
    return text
