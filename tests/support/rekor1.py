"""A double of Rekor v1: tree, promises and HTTP interface of a log whose real server needs Trillian and MySQL.

It takes requests apart with Sigstore's own models (`rekor_types`) and writes entries with RFC 8785, so that it shares
neither with the client that is tested. What it cannot show is that a real server behaves like it: for that there are
recorded answers of the public logs in tests/golden/rekor-v1.
"""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import rekor_types
import rfc8785
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.log import Entry, Receipt, leaf_hash
from atlas.log.merkle import consistency_path, inclusion_path, node_hash, range_hash
from atlas.log.rekor1_wire import parse_entry
from atlas.spki import dump_spki
from atlas.trust import PinnedLog
from support import faults
from support.serving import running

ORIGIN = "rekor.test"
TREE = 2605736670972794746
BEFORE = 4163431
"""Entries in trees that the log had before this one."""

_CURVES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Rekor1Double:
    """The log itself."""

    def __init__(
        self,
        origin: str = ORIGIN,
        key: ec.EllipticCurvePrivateKey | None = None,
        tree: int = TREE,
        before: int = BEFORE,
    ) -> None:
        self.origin, self.tree, self.before = origin, tree, before
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.time = int(time.time())  # of its first entry; each further one a second later
        self.bodies: list[bytes] = [b"what somebody else recorded", b"and another one"]
        self.lock = threading.Lock()
        self.earlier: list[Rekor1Double] = []

    def next_tree(self, tree: int) -> "Rekor1Double":
        """The same log, whose entries go into another tree from here on."""
        after = Rekor1Double(self.origin, self.key, tree, self.before + len(self.bodies))
        after.earlier = [*self.earlier, self]
        return after

    def of_tree(self, tree: int) -> "Rekor1Double | None":
        """One of its trees."""
        return next((each for each in (self, *self.earlier) if each.tree == tree), None)

    def state(self) -> dict[str, Any]:
        """What Rekor answers about one tree."""
        size = len(self.bodies)
        root = range_hash(0, size, self.node).hex()
        return {"rootHash": root, "treeSize": size, "treeID": str(self.tree), "signedTreeHead": self.checkpoint()}

    def proof(self, old: int, new: int) -> dict[str, Any]:
        """What Rekor answers about two sizes of this tree."""
        path = consistency_path(old, new, self.node)
        return {"rootHash": range_hash(0, new, self.node).hex(), "hashes": [each.hex() for each in path]}

    @property
    def pinned(self) -> PinnedLog:
        return PinnedLog(self.origin, self.key.public_key(), 1)

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.spki).digest()

    @property
    def spki(self) -> bytes:
        return dump_spki(self.key.public_key())

    @property
    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def node(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(self.bodies[index])
        return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))

    def checkpoint(self, origin: str | None = None) -> str:
        """The newest checkpoint; `origin` is what its first line says, if not the truth."""
        size = len(self.bodies)
        root = range_hash(0, size, self.node)
        text = f"{origin or f'{self.origin} - {self.tree}'}\n{size}\n{b64(root)}\n"
        return f"{text}\n— {self.origin} {b64(self.key_id[:4] + self.sign(text.encode()))}\n"

    def answer(self, index: int, **changes: Any) -> dict[str, Any]:
        """What Rekor answers about an entry; a dishonest log also signs a false `integratedTime` or `logIndex`."""
        promised: dict[str, Any] = {
            "body": b64(self.bodies[index]),
            "integratedTime": self.time + index,
            "logID": self.key_id.hex(),
            "logIndex": self.before + index,
        } | changes
        size = len(self.bodies)
        proof = {
            "checkpoint": self.checkpoint(),
            "hashes": [each.hex() for each in inclusion_path(index, size, self.node)],
            "logIndex": index,
            "rootHash": range_hash(0, size, self.node).hex(),
            "treeSize": size,
        }
        signed = b64(self.sign(rfc8785.dumps(promised)))
        entry = {**promised, "verification": {"inclusionProof": proof, "signedEntryTimestamp": signed}}
        return {self.entry_id(self.bodies[index]): entry}

    def receipt(self, index: int, **changes: Any) -> Receipt:
        """The answer as a receipt."""
        return parse_entry(json.dumps(self.answer(index, **changes)).encode())

    def add(self, body: bytes) -> tuple[int, bool]:
        """Put an entry into the tree; its index, and whether it was there before."""
        with self.lock:
            if body in self.bodies:
                return self.bodies.index(body), True
            self.bodies.append(body)
            return len(self.bodies) - 1, False

    def logged(self, entry: Entry) -> Receipt:
        """Have an entry recorded."""
        return self.receipt(self.add(entry.canonical_body(1))[0])

    def entry_id(self, body: bytes) -> str:
        return f"{self.tree:016x}{leaf_hash(body).hex()}"


def accepted(request: bytes) -> bytes:
    """Check a request as Rekor does; the entry that it becomes.

    Raises:
        ValueError: if it is refused.
    """
    proposed = rekor_types.Hashedrekord.model_validate_json(request)
    spec = proposed.spec.root
    assert spec.signature.content
    assert spec.signature.public_key
    assert spec.signature.public_key.content
    assert spec.data.hash
    name, digest = spec.data.hash.algorithm.value, bytes.fromhex(spec.data.hash.value)
    pem = base64.b64decode(spec.signature.public_key.content)
    if b"BEGIN CERTIFICATE" in pem:
        certificate = x509.load_pem_x509_certificate(pem)
        key, again = certificate.public_key(), certificate.public_bytes(serialization.Encoding.PEM)
    else:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        loaded = serialization.load_pem_public_key(pem)
        assert isinstance(loaded, ec.EllipticCurvePublicKey)
        key, again = loaded, loaded.public_bytes(serialization.Encoding.PEM, form)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        signature = base64.b64decode(spec.signature.content)
        key.verify(signature, digest, ec.ECDSA(utils.Prehashed(_CURVES[name])))
    except InvalidSignature as error:
        raise ValueError("verifying signature") from error
    public_key = {"content": b64(again)}
    data = {"hash": {"algorithm": name, "value": digest.hex()}}
    signed = {"content": b64(signature), "publicKey": public_key}
    spec_written: dict[str, Any] = {"data": data, "signature": signed}
    return rfc8785.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec_written})


class Server(faults.Server):
    """The log over HTTP."""

    def __init__(self, log: Rekor1Double) -> None:
        super().__init__(Handler)
        self.log = log


class Handler(faults.Handler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def honest(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer that Rekor would give."""
        log = self.server.log
        if self.command == "GET" and self.path == "/api/v1/log":
            shards = [each.state() for each in log.earlier]
            return 200, {}, json.dumps({**log.state(), "inactiveShards": shards}).encode()
        if self.command == "GET" and self.path.startswith("/api/v1/log/proof?"):
            asked = {name: int(value) for name, [value] in parse_qs(urlsplit(self.path).query).items()}
            tree = log.of_tree(asked["treeID"])
            if tree is None or not 0 < asked["firstSize"] <= asked["lastSize"] <= len(tree.bodies):
                return 400, {}, b'{"code":400,"message":"invalid sizes"}'
            return 200, {}, json.dumps(tree.proof(asked["firstSize"], asked["lastSize"])).encode()
        if self.command == "GET" and self.path.startswith("/api/v1/log/entries/"):
            wanted = self.path.rpartition("/")[2]
            for tree in (log, *log.earlier):
                for index, body in enumerate(tree.bodies):
                    if tree.entry_id(body) == wanted:
                        return 200, {}, json.dumps(tree.answer(index)).encode()
            return 404, {}, b"{}"
        if self.command == "POST" and self.path == "/api/v1/log/entries":
            try:
                body = accepted(self.sent)
            except ValueError as error:
                return 400, {}, json.dumps({"code": 400, "message": f"error processing entry: {error}"}).encode()
            index, duplicate = log.add(body)
            place = {"Location": f"/api/v1/log/entries/{log.entry_id(body)}"}
            if duplicate:
                return 409, place, b'{"code":409,"message":"an equivalent entry already exists"}'
            return 201, place, json.dumps(log.answer(index)).encode()
        return 404, {}, b"{}"


@contextlib.contextmanager
def serving(log: Rekor1Double) -> Iterator[Server]:
    """The log at an address of its own."""
    with running(Server(log)) as server:
        yield server
