"""What the tests of interoperation share: a model, keys, and signatures of any content under them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.artifact import Measurement, measure
from atlas.interop.bundle import Bundle, key_hint
from atlas.interop.dsse import IN_TOTO, sign_envelope
from atlas.interop.oms import GIT_PATHS, SINGLE_FILE, SignedModel, dump_statement
from atlas.keys import Credential
from atlas.spki import dump_spki
from atlas.trust import PublisherKey, TrustRoot

KEY = ec.generate_private_key(ec.SECP256R1())
FILES = {"a.bin": b"weights", "sub/b.json": b"{}", "sub.x": b"x"}
NOBODY = TrustRoot((), ())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return dump_spki(key.public_key())


def keyed(key: ec.EllipticCurvePrivateKey = KEY, name: str = "acme") -> TrustRoot:
    """A trust root that pins this publisher's key and nothing else."""
    return TrustRoot((), (), publisher_keys=(PublisherKey(name, key.public_key()),))


def model(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Write a model's files."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def signed_model(files: Mapping[str, bytes] = FILES, **changes: Any) -> SignedModel:
    """What an honest signer states of these files."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return replace(SignedModel("model", digests, GIT_PATHS), **changes)


def single(content: bytes) -> SignedModel:
    """What an honest signer states of a model that is one file."""
    return SignedModel("model", {SINGLE_FILE: hashlib.sha256(content).hexdigest()})


def signature(
    statement: SignedModel | bytes,
    signer: ec.EllipticCurvePrivateKey | Credential = KEY,
    *,
    payload_type: str = IN_TOTO,
    above: tuple[x509.Certificate, ...] = (),
) -> bytes:
    """A signature file over any statement, by a bare key or by one with a certificate."""
    payload = statement if isinstance(statement, bytes) else dump_statement(statement)
    if isinstance(signer, Credential):
        chain = tuple(each.public_bytes(Encoding.DER) for each in (*signer.chain, *above))
        return Bundle(sign_envelope(payload, signer.key, payload_type), chain, chain=True).to_bytes()
    return Bundle(sign_envelope(payload, signer, payload_type), hint=key_hint(spki(signer))).to_bytes()


def changed(statement: SignedModel, *path: str | int, value: Any) -> bytes:
    """A statement with one member changed, wherever it is."""
    document: Any = json.loads(dump_statement(statement))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


def measured(folder: Path, files: Mapping[str, bytes] = FILES) -> Measurement:
    """The measurement of a model with these files."""
    return measure(model(folder / "model", files))
