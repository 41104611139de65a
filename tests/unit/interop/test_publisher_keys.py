"""Publishers' bare keys in a trust root."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atlas.errors import DocumentError
from atlas.trust import TrustRoot
from atlas.trust_file import load_trust_root, parse_trust_root
from unit.interop.interop_support import KEY, NOBODY, keyed, spki


def document(*keys: tuple[str, bytes]) -> bytes:
    written = [{"name": name, "publicKey": base64.b64encode(key).decode()} for name, key in keys]
    root = {"apiVersion": "atlas.dev/v1alpha1", "kind": "TrustRoot", "spec": {"publisherKeys": written}}
    return json.dumps(root).encode()


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(keyed().to_bytes())
    read = load_trust_root(path)
    assert read.publisher_keys == keyed().publisher_keys
    assert read.sha256 == keyed().sha256


def test_digest_covers_name_and_key() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert len({NOBODY.sha256, keyed().sha256, keyed(KEY, "b").sha256, keyed(other).sha256}) == 4


def test_trust_root_without_any_has_the_digest_that_it_had() -> None:
    assert "publisherKeys" not in NOBODY.to_json()["spec"]
    assert parse_trust_root(document()) == TrustRoot((), ())


def ed25519_key() -> bytes:
    return ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (lambda: b"key", "not a public key"),
        (ed25519_key, "must be ECDSA on P-256"),
        (lambda: spki(ec.generate_private_key(ec.SECP256K1())), "must be ECDSA on P-256"),
    ],
    ids=["nothing", "ed25519", "secp256k1"],
)
def test_what_is_no_publishers_key(key: Callable[[], bytes], message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        parse_trust_root(document(("acme", key())))


def test_one_key_has_one_name() -> None:
    with pytest.raises(DocumentError, match="stands in it twice"):
        parse_trust_root(document(("acme", spki(KEY)), ("other", spki(KEY))))


def test_key_has_a_name() -> None:
    with pytest.raises(DocumentError, match="name"):
        parse_trust_root(document(("", spki(KEY))))
