"""Which requests a real Rekor v2 and the embedded log take and refuse, and every difference between the two."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.log.entry import Algorithm, Entry
from atlas.log.receipt import parse_receipt
from cluster.logs import claim, post_all, request_of
from cluster.servers import Answer, Log
from support.forge import authority, now
from unit.log.log_support import make_entry, spki

pytestmark = pytest.mark.xdist_group("servers")


def changed(seed: str, change: Callable[[dict[str, Any]], object]) -> bytes:
    """A request that a log would accept, after a change."""
    request = make_entry(seed).to_request()
    change(request["hashedRekordRequestV002"])
    return json.dumps(request).encode()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def set_algorithm(name: object) -> Callable[[dict[str, Any]], object]:
    return lambda request: request["signature"]["verifier"].update(keyDetails=name)


def set_key(data: bytes) -> Callable[[dict[str, Any]], object]:
    return lambda request: request["signature"]["verifier"].update(publicKey={"rawBytes": encoded(data)})


def compress_key(request: dict[str, Any]) -> None:
    holder = request["signature"]["verifier"]["publicKey"]
    key = serialization.load_der_public_key(base64.b64decode(holder["rawBytes"]))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    # SubjectPublicKeyInfo of a P-256 key whose point has 33 bytes (RFC 5480).
    holder["rawBytes"] = encoded(bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + point)


def add_certificate(request: dict[str, Any]) -> None:
    certificate = claim().certificate
    assert certificate
    request["signature"]["verifier"]["x509Certificate"] = {"rawBytes": encoded(certificate)}


def make_twin(request: dict[str, Any]) -> None:
    """The other signature that ECDSA makes of one: (r, n - s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    r, s = utils.decode_dss_signature(base64.b64decode(request["signature"]["content"]))
    request["signature"]["content"] = encoded(utils.encode_dss_signature(r, order - s))


def oversized() -> bytes:
    """An entry whose every part is right, and that no entry bundle can hold."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority()
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now())
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(50_000)), critical=False)
    )
    certificate = builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    digest = bytes(32)
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return request_of(Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, certificate=certificate))


def unchanged(seed: str) -> bytes:
    return changed(seed, lambda request: None)


REFUSED: dict[str, Callable[[], bytes]] = {
    "compressed key": lambda: changed("compressed", compress_key),
    "nothing": lambda: b"",
    "not JSON": lambda: b"{",
    "not an object": lambda: b"[]",
    "null": lambda: b"null",
    "no entry": lambda: b"{}",
    "another kind of entry": lambda: b'{"dsseRequestV002":{}}',
    "not UTF-8": lambda: unchanged("utf-16").decode().encode("utf-16"),
    "byte order mark": lambda: b"\xef\xbb\xbf" + unchanged("bom"),
    "a name twice": lambda: unchanged("twice").replace(b'{"digest"', b'{"digest":"AAAA","digest"'),
    "unknown member": lambda: changed("unknown", lambda request: request.update(extra=1)),
    "not base64": lambda: changed("base64", lambda request: request.update(digest="!!")),
    "no digest": lambda: changed("no digest", lambda request: request.pop("digest")),
    "empty digest": lambda: changed("empty digest", lambda request: request.update(digest="")),
    "short digest": lambda: changed("short", lambda request: request.update(digest=encoded(bytes(31)))),
    "long digest": lambda: changed("long", lambda request: request.update(digest=encoded(bytes(48)))),
    "huge digest": lambda: changed("huge", lambda request: request.update(digest=encoded(bytes(300_000)))),
    "another digest": lambda: changed("another", lambda request: request.update(digest=encoded(bytes(32)))),
    "bad signature": lambda: changed("bad", lambda request: request["signature"].update(content=encoded(b"junk"))),
    "no signature": lambda: changed("none", lambda request: request.pop("signature")),
    "no verifier": lambda: changed("keyless", lambda request: request["signature"]["verifier"].pop("publicKey")),
    "two verifiers": lambda: changed("two", add_certificate),
    "key that is none": lambda: changed("key", set_key(b"junk")),
    "key of another": lambda: changed("other", set_key(spki(ec.generate_private_key(ec.SECP256R1())))),
    "key of another curve": lambda: changed("curve", set_key(spki(ec.generate_private_key(ec.SECP384R1())))),
    "algorithm of another curve": lambda: changed("p384", set_algorithm("PKIX_ECDSA_P384_SHA_384")),
    "algorithm of another family": lambda: changed("ed25519", set_algorithm("PKIX_ED25519_PH")),
    "algorithm that is none": lambda: changed("none", set_algorithm("NOPE")),
    "no algorithm": lambda: changed("unspecified", set_algorithm("PUBLIC_KEY_DETAILS_UNSPECIFIED")),
}
"""What both refuse as the client's mistake."""

DIFFERENT: dict[str, tuple[int, int, Callable[[], bytes]]] = {
    # The server of both is right to refuse it; Rekor finds out in its storage and calls it its own failure.
    "larger than an entry bundle holds": (500, 413, oversized),
    # Rekor takes requests of 4 MiB, whatever fills them; ours no more than an entry may need.
    "64 KiB of white space": (201, 413, lambda: unchanged("space") + b" " * 65536),
    # Rekor compares key and digest with the algorithm's hash alone, and then logs the algorithm as it was named:
    # an entry that says RSA of a P-256 key. Ours holds the curve against the name.
    "P-384 with SHA-256, of a P-256 key": (
        201,
        400,
        lambda: changed("mixed", set_algorithm("PKIX_ECDSA_P384_SHA_256")),
    ),
    "RSA, of a P-256 key": (201, 400, lambda: changed("rsa", set_algorithm("PKIX_RSA_PKCS1V15_2048_SHA256"))),
    # Protobuf-JSON has several spellings for one request, and its reader stops where the first document ends.
    # Ours reads one spelling. What is logged is canonical in both.
    "enum as a number": (201, 400, lambda: changed("number", set_algorithm(5))),
    "base64 without padding": (
        201,
        400,
        lambda: changed("padding", lambda request: request.update(digest=request["digest"].rstrip("="))),
    ),
    "name in snake case": (
        201,
        400,
        lambda: unchanged("snake").replace(b"hashedRekordRequestV002", b"hashed_rekord_request_v002"),
    ),
    "a second document": (201, 400, lambda: unchanged("first") + unchanged("second")),
}
"""By what differs: the status of Rekor, and ours."""

ACCEPTED: dict[str, Callable[[], bytes]] = {
    "as it should be": lambda: unchanged("honest"),
    "white space after it": lambda: unchanged("spaced") + b" \r\n\t",
    "null for what is absent": lambda: unchanged("null")[:-1] + b',"dsseRequestV002":null}',
    # ECDSA's signatures have twins, and no log minds; so an entry is not known by its signature's bytes.
    "twin of a signature": lambda: changed("twin", make_twin),
}
"""What both take."""


@pytest.fixture(scope="session")
def answers(rekor_log: Log, embedded_log: Log) -> dict[str, tuple[Answer, Answer]]:
    """By the name of a request: what Rekor and our log say to it."""
    makers = REFUSED | ACCEPTED | {name: make for name, (_, _, make) in DIFFERENT.items()}
    requests = [make() for make in makers.values()]
    pairs = zip(post_all(rekor_log, requests), post_all(embedded_log, requests), strict=True)
    return dict(zip(makers, pairs, strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str, answers: dict[str, tuple[Answer, Answer]]) -> None:
    for answer in answers[name]:
        assert 400 <= answer.status < 500
        assert set(answer.json) == {"code", "message", "details"}
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("name", ACCEPTED)
def test_both_accept(name: str, answers: dict[str, tuple[Answer, Answer]]) -> None:
    theirs, ours = answers[name]
    assert (theirs.status, ours.status) == (201, 201)
    assert parse_receipt(theirs.body).body == parse_receipt(ours.body).body


@pytest.mark.parametrize("name", DIFFERENT)
def test_they_differ(name: str, answers: dict[str, tuple[Answer, Answer]]) -> None:
    theirs, ours, _ = DIFFERENT[name]
    assert tuple(answer.status for answer in answers[name]) == (theirs, ours)
