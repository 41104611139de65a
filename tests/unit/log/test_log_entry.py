import base64
import datetime
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from sigstore_models.rekor.v2.entry import CreateEntryRequest
from sigstore_models.rekor.v2.entry import Entry as SigstoreEntry

from atlas.errors import InputError
from atlas.log.encoding import to_base64
from atlas.log.entry import MAX_REQUEST, Algorithm, Entry, parse_request
from unit.log.log_support import SIGNER, make_entry, spki

CURVES: dict[Algorithm, tuple[ec.EllipticCurve, hashes.HashAlgorithm, str]] = {
    Algorithm.ECDSA_P256_SHA256: (ec.SECP256R1(), hashes.SHA256(), "SHA2_256"),
    Algorithm.ECDSA_P384_SHA384: (ec.SECP384R1(), hashes.SHA384(), "SHA2_384"),
    Algorithm.ECDSA_P521_SHA512: (ec.SECP521R1(), hashes.SHA512(), "SHA2_512"),
}


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "step")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=1))
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def signed(algorithm: Algorithm, with_certificate: bool) -> Entry:
    curve, digest, _ = CURVES[algorithm]
    key = ec.derive_private_key(4711, curve)
    hasher = hashes.Hash(digest)
    hasher.update(b"claim")
    value = hasher.finalize()
    signature = key.sign(value, ec.ECDSA(utils.Prehashed(digest)))
    if with_certificate:
        return Entry(value, signature, algorithm, certificate=certificate(key))
    return Entry(value, signature, algorithm, public_key=spki(key))


def request_of(entry: Entry) -> bytes:
    return json.dumps(entry.to_request()).encode()


@pytest.mark.parametrize("with_certificate", [False, True])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_round_trip(algorithm: Algorithm, with_certificate: bool) -> None:
    entry = signed(algorithm, with_certificate)
    entry.check()
    assert parse_request(request_of(entry)) == entry
    body = json.loads(entry.canonical_body())
    assert rfc8785.dumps(body) == entry.canonical_body()
    spec = body["spec"]["hashedRekordV002"]
    assert spec["data"] == {"algorithm": CURVES[algorithm][2], "digest": to_base64(entry.digest)}
    assert (body["kind"], body["apiVersion"]) == ("hashedrekord", "0.0.2")
    assert spec["signature"]["verifier"]["keyDetails"] == algorithm.value


def test_sigstores_models_read_the_same() -> None:
    entry = signed(Algorithm.ECDSA_P256_SHA256, True)
    request = CreateEntryRequest.from_json(request_of(entry)).hashed_rekord_request_v002
    assert request is not None
    assert base64.b64decode(request.digest) == entry.digest or request.digest == entry.digest
    logged = SigstoreEntry.from_json(entry.canonical_body())
    assert logged.kind == "hashedrekord"
    again = json.dumps(CreateEntryRequest.from_json(request_of(entry)).to_dict()).encode()
    assert parse_request(again) == entry


def test_vector() -> None:
    """Fixed for ever: the body decides the leaf, and receipts outlive this version."""
    entry = Entry(bytes(32), b"signature", Algorithm.ECDSA_P256_SHA256, public_key=b"key")
    assert entry.canonical_body() == (
        b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256",'
        b'"digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},"signature":{"content":"c2lnbmF0dXJl","verifier":'
        b'{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"a2V5"}}}}}}'
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.binary(max_size=80), st.booleans())
def test_body_is_canonical(digest: bytes, signature: bytes, key: bytes, with_certificate: bool) -> None:
    entry = Entry(
        digest,
        signature,
        Algorithm.ECDSA_P256_SHA256,
        certificate=key if with_certificate else None,
        public_key=None if with_certificate else key,
    )
    assert rfc8785.dumps(json.loads(entry.canonical_body())) == entry.canonical_body()


def test_exactly_one_verifier() -> None:
    for both in (b"x", None):
        with pytest.raises(InputError, match="certificate or a public key"):
            Entry(bytes(32), b"s", Algorithm.ECDSA_P256_SHA256, certificate=both, public_key=both)


@pytest.mark.parametrize("size", [0, 31, 33, 48])
def test_digest_of_the_algorithms_length(size: int) -> None:
    with pytest.raises(InputError, match="32 bytes"):
        Entry(bytes(size), b"s", Algorithm.ECDSA_P256_SHA256, public_key=b"k")


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = make_entry("x").to_request()
    document = json.loads(json.dumps(document))
    change(document)
    return json.dumps(document).encode()


def inner(document: dict[str, Any]) -> Any:
    return document["hashedRekordRequestV002"]


def verifier(document: dict[str, Any]) -> Any:
    return inner(document)["signature"]["verifier"]


OTHER = spki(ec.derive_private_key(99, ec.SECP256R1()))
P384 = spki(ec.derive_private_key(99, ec.SECP384R1()))
ED25519 = (
    ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    .public_key()
    .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
GOOD = request_of(make_entry("x"))

BAD_REQUESTS = {
    "empty": (b"", "not a"),
    "not UTF-8": (b"\xff", "not a"),
    "not JSON": (b"{", "not a"),
    "a list": (b"[]", "not an object"),
    "deep": (b"[" * 60_000, "deeply"),
    "too large": (GOOD + b" " * MAX_REQUEST, "larger"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not a"),
    "repeated name": (GOOD[:-1] + b"," + GOOD[1:], "repeated"),
    "unknown member": (changed(lambda d: d.update(x=1)), "'x'"),
    "inner unknown member": (changed(lambda d: inner(d).update(x=1)), "'x'"),
    "dsse": (changed(lambda d: d.update(dsseRequestV002=d.pop("hashedRekordRequestV002"))), "without"),
    "both kinds": (changed(lambda d: d.update(dsseRequestV002={})), "more than one"),
    "no digest": (changed(lambda d: inner(d).pop("digest")), "without 'digest'"),
    "null digest": (changed(lambda d: inner(d).update(digest=None)), "without 'digest'"),
    "digest a number": (changed(lambda d: inner(d).update(digest=1)), "not a string"),
    "digest in hex": (changed(lambda d: inner(d).update(digest="00" * 32)), "32 bytes"),
    "digest too short": (changed(lambda d: inner(d).update(digest=to_base64(bytes(31)))), "32 bytes"),
    "digest unpadded": (
        changed(lambda d: inner(d).update(digest=inner(d)["digest"].rstrip("="))),
        "not a hashedrekord",
    ),
    "another digest": (changed(lambda d: inner(d).update(digest=to_base64(bytes(32)))), "does not verify"),
    "empty signature": (changed(lambda d: inner(d)["signature"].update(content="")), "does not verify"),
    "signature not a string": (changed(lambda d: inner(d)["signature"].update(content=[])), "not a string"),
    "unknown algorithm": (changed(lambda d: verifier(d).update(keyDetails="PKIX_ED25519")), "not a valid"),
    "algorithm a list": (changed(lambda d: verifier(d).update(keyDetails=[])), "not a valid"),
    "algorithm of another digest": (
        changed(lambda d: verifier(d).update(keyDetails="PKIX_ECDSA_P384_SHA_384")),
        "48 bytes",
    ),
    "no verifier": (changed(lambda d: verifier(d).pop("publicKey")), "certificate or a public key"),
    "two verifiers": (
        changed(lambda d: verifier(d).update(x509Certificate=verifier(d)["publicKey"])),
        "certificate or a public key",
    ),
    "another key": (
        changed(lambda d: verifier(d).update(publicKey={"rawBytes": to_base64(OTHER)})),
        "does not verify",
    ),
    "key on another curve": (
        changed(lambda d: verifier(d).update(publicKey={"rawBytes": to_base64(P384)})),
        "not for",
    ),
    "key of another kind": (
        changed(lambda d: verifier(d).update(publicKey={"rawBytes": to_base64(ED25519)})),
        "not for",
    ),
    "no key": (changed(lambda d: verifier(d).update(publicKey={"rawBytes": ""})), "cannot be read"),
    "key is noise": (changed(lambda d: verifier(d).update(publicKey={"rawBytes": "AAAA"})), "cannot be read"),
    "key a string": (changed(lambda d: verifier(d).update(publicKey="AAAA")), "not an object"),
    "certificate is noise": (
        changed(lambda d: (verifier(d).pop("publicKey"), verifier(d).update(x509Certificate={"rawBytes": "AAAA"}))),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests(name: str) -> None:
    data, reason = BAD_REQUESTS[name]
    with pytest.raises(InputError, match=reason):
        parse_request(data)


def test_the_unchanged_request_is_good() -> None:
    assert parse_request(changed(lambda d: None)).digest == hashlib.sha256(b"x").digest()
    nulls = changed(lambda d: (d.update(dsseRequestV002=None), verifier(d).update(x509Certificate=None)))
    assert parse_request(nulls).public_key == spki(SIGNER)
