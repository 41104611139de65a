"""Whom certificates of Fulcio are for: of a double, and of the public instance."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from atlas.identity import Identity, identity_of
from atlas.log.encoding import from_base64
from support import forge
from support.fulcio import IDENTITY, OIDC_ISSUER, FulcioDouble

GOLDEN = Path(__file__).parents[2] / "golden/rekor-v1"
WORKFLOW = "https://github.com/acme/model/.github/workflows/release.yml@refs/tags/v1"


def leaf(**changes: object) -> x509.Certificate:
    double = FulcioDouble()
    for name, value in changes.items():
        setattr(double, name, value)
    return double.leaf(ec.generate_private_key(ec.SECP256R1()).public_key(), double.intermediate)


def text(content: bytes) -> bytes:
    """A DER UTF8String."""
    size = len(content)
    length = bytes([size]) if size < 0x80 else b"\x82" + size.to_bytes(2, "big")
    return b"\x0c" + length + content


def test_an_address_of_mail_or_of_a_workflow() -> None:
    assert identity_of(leaf()) == Identity(OIDC_ISSUER, IDENTITY)
    names = (x509.UniformResourceIdentifier(WORKFLOW),)
    assert identity_of(leaf(names=names)) == Identity(OIDC_ISSUER, WORKFLOW)


@pytest.mark.parametrize("length", [1, 127, 128, 300])
def test_issuers_of_any_length(length: int) -> None:
    found = identity_of(leaf(issuer=text(b"h" * length)))
    assert found == Identity("h" * length, IDENTITY)


def test_certificates_of_the_public_instance() -> None:
    material = json.loads((GOLDEN / "production.sigstore.json").read_bytes())["verificationMaterial"]
    [raw] = [each["rawBytes"] for each in material["x509CertificateChain"]["certificates"]]
    found = identity_of(x509.load_der_x509_certificate(from_base64(raw)))
    workflow = "https://github.com/trailofbits/rfc8785.py/.github/workflows/release.yml@refs/tags/v0.1.2"
    assert found == Identity("https://token.actions.githubusercontent.com", workflow)


def test_other_certificates_name_none() -> None:
    assert identity_of(forge.authority().certificate) is None


@pytest.mark.parametrize(
    "issuer",
    [
        b"",
        b"\x0c",
        b"\x0c\x02h",
        b"\x0c\x01hh",
        b"\x16\x01h",
        b"\x0c\x00",
        b"\x0c\x82\x00",
        text(b"\xff"),
        text(b"a\n"),
    ],
)
def test_issuers_that_cannot_be_read(issuer: bytes) -> None:
    certificate = leaf(issuer=issuer)
    with pytest.raises(ValueError, match=r"its certificate|utf-8"):
        identity_of(certificate)


def test_nobody_and_several() -> None:
    two = (x509.RFC822Name(IDENTITY), x509.UniformResourceIdentifier(WORKFLOW))
    for names in (two, (x509.DNSName("example.com"),), (x509.RFC822Name(IDENTITY), x509.DNSName("example.com"))):
        certificate = leaf(names=names)
        with pytest.raises(ValueError, match="exactly one"):
            identity_of(certificate)


def test_not_for_code_signing() -> None:
    certificate = leaf(usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    with pytest.raises(ValueError, match="not for code signing"):
        identity_of(certificate)
