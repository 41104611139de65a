"""Keyless certificates, of a double of Fulcio; no test here speaks to Sigstore's own."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from atlas.errors import FetchError, InputError, SigningError
from atlas.keyless import certify
from atlas.keys import Credential
from atlas.manifest import sign_manifest
from atlas.statement import Publisher
from support import forge
from support.fulcio import IDENTITY, FulcioDouble, serving, token

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def fulcio() -> Iterator[FulcioDouble]:
    with serving(FulcioDouble()) as running:
        yield running


def test_a_key_a_chain_and_an_end(fulcio: FulcioDouble) -> None:
    given = token()
    found = certify(f"{given}\n", fulcio.config)
    leaf = found.chain[0]
    assert fulcio.tokens == [given]
    assert leaf.public_key() == found.key.public_key()
    assert found.chain[1:] == (fulcio.intermediate.certificate, fulcio.root.certificate)
    assert found.expires == leaf.not_valid_after_utc
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == [IDENTITY]
    assert certify(token(), fulcio.config).key.public_key() != found.key.public_key()


def test_such_a_certificate_signs_no_c2pa_claim(fulcio: FulcioDouble) -> None:
    """Why keyless signing is of DSSE envelopes only."""
    found = certify(token(), fulcio.config)
    stated = forge.statement(maker=Publisher("ACME"))
    with pytest.raises(SigningError, match="certificate is invalid"):
        sign_manifest(stated, stated.outputs[0], Credential(found.key, found.chain))


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _unlinked(double: FulcioDouble) -> None:
    double.above = (forge.intermediate(forge.root()).certificate, double.root.certificate)


def _stranger(double: FulcioDouble) -> None:
    root = forge.root()
    double.below = forge.intermediate(root)
    double.above = (double.below.certificate, root.certificate)


def _by_a_leaf(double: FulcioDouble) -> None:
    double.below = forge.intermediate(double.intermediate, is_authority=False)
    double.above = (double.below.certificate, double.intermediate.certificate, double.root.certificate)


LIES: dict[str, tuple[Callable[[FulcioDouble], object], str]] = {
    "another key": (lambda each: setattr(each, "key", _key().public_key()), "it is of another key"),
    "expired": (lambda each: setattr(each, "begins", -HOUR), "not in force now"),
    "not yet": (lambda each: setattr(each, "begins", HOUR), "not in force now"),
    "another use": (lambda each: setattr(each, "usage", ExtendedKeyUsageOID.EMAIL_PROTECTION), "not for code signing"),
    "no link": (_unlinked, "its chain does not hold"),
    "another root": (_stranger, "leads to no root of the trust configuration"),
    "issued by a leaf": (_by_a_leaf, "it was issued by no authority"),
    "no promise": (lambda each: setattr(each, "promised", False), "no certificate log has promised"),
    "another log": (lambda each: setattr(each, "promises_by", _key()), "no certificate log of the trust configuration"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_fulcio_answers_is_checked(fulcio: FulcioDouble, lie: str) -> None:
    misbehave, words = LIES[lie]
    misbehave(fulcio)
    with pytest.raises(FetchError) as caught:
        certify(token(), fulcio.config)
    assert words in str(caught.value)
    assert fulcio.url in str(caught.value)
    assert caught.value.mend


def test_a_promise_for_another_certificate(fulcio: FulcioDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FulcioDouble._promise
    monkeypatch.setattr(FulcioDouble, "_promise", lambda self, tbs, issuer: honest(self, tbs[:-1] + b"\0", issuer))
    with pytest.raises(FetchError, match="no certificate log of the trust configuration has promised"):
        certify(token(), fulcio.config)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"code": 16, "message": "There was an error processing the identity token"}'),
        (500, b"trouble"),
        (201, b"trouble"),
        (201, b"{}"),
        (201, b'{"signedCertificateEmbeddedSct": {"chain": {"certificates": []}}}'),
        (201, b'{"signedCertificateEmbeddedSct": {"chain": {"certificates": ["a", "b"]}}}'),
        (302, b""),
    ],
)
def test_answers_that_are_no_certificate(fulcio: FulcioDouble, status: int, body: bytes) -> None:
    fulcio.status, fulcio.body = status, body
    given = token()
    with pytest.raises(FetchError, match="does not certify the key") as caught:
        certify(given, fulcio.config)
    assert given not in str(caught.value)
    assert caught.value.mend


def test_nobody_answers(fulcio: FulcioDouble) -> None:
    fulcio.url = "http://127.0.0.1:9"
    with pytest.raises(FetchError, match="does not certify the key"):
        certify(token(), fulcio.config)


def test_a_token_is_not_sent_in_the_clear(fulcio: FulcioDouble) -> None:
    fulcio.url = "http://fulcio.example"
    with pytest.raises(InputError, match="not sent without TLS"):
        certify(token(), fulcio.config)
    assert fulcio.tokens == []


@pytest.mark.parametrize("given", ["", "no token", token(aud="other"), token(exp=1), "a.b.c"])
def test_tokens_that_cannot_be_used(fulcio: FulcioDouble, given: str) -> None:
    with pytest.raises(InputError, match="the identity token cannot be used") as caught:
        certify(given, fulcio.config)
    assert not given or given not in str(caught.value)
    assert fulcio.tokens == []


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *outer, last = path
        for each in outer:
            document = document[each]
        del document[last]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("trustedRoot"),
        _without("signingConfig", "caUrls"),
        lambda document: document["trustedRoot"]["ctlogs"][0]["publicKey"].update(rawBytes="AAAA"),
        lambda document: document.update(mediaType="other"),
    ],
)
def test_configurations_that_cannot_be_used(fulcio: FulcioDouble, change: Callable[[dict[str, Any]], None]) -> None:
    document = fulcio.config_json()
    change(document)
    for raw in (json.dumps(document).encode(), b"\xff", b""):
        with pytest.raises(InputError, match="not a trust configuration of Sigstore"):
            certify(token(), raw)


def test_what_the_key_signs_verifies_under_its_certificate(fulcio: FulcioDouble) -> None:
    found = certify(token(), fulcio.config)
    public = found.chain[0].public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(found.key.sign(b"envelope", ec.ECDSA(hashes.SHA256())), b"envelope", ec.ECDSA(hashes.SHA256()))
