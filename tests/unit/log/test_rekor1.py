"""The client of Rekor v1 against a double that misbehaves: nothing is lost, or logged twice."""

import base64
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore_models.rekor.v1 import TransparencyLogEntry

from atlas.codes import Code
from atlas.errors import DocumentError, FetchError, InputError, Rejected
from atlas.log import Algorithm, Entry, open_checkpoint, parse_receipt, verify_receipt
from atlas.log.rekor1 import Address1, Rekor1Log
from atlas.log.rekor1_wire import MAX_TREES, parse_checkpoints, parse_consistency, parse_entry
from atlas.log.retry import Patience
from atlas.trust import PinnedLog
from atlas.web import MAX_BYTES
from support import forge
from support.faults import Fault, cut, half, rewritten, status, taken_and_cut
from support.rekor1 import Rekor1Double, Server, accepted, serving
from unit.log.log_support import LOG_KEY, ORIGIN, make_entry, record, spki


@dataclasses.dataclass
class World:
    log: Rekor1Double
    server: Server
    client: Rekor1Log
    slept: list[float]

    @property
    def held(self) -> list[bytes]:
        """What was recorded here."""
        return self.log.bodies[2:]


@pytest.fixture
def world() -> Iterator[World]:
    slept: list[float] = []
    log = Rekor1Double()
    with serving(log) as server:
        address = Address1(server.url, log.pinned, timeout=5, patience=20)
        with Rekor1Log(address, Patience(address.patience, slept.append, lambda: sum(slept))) as client:
            yield World(log, server, client, slept)


def test_entries_are_recorded_in_their_order(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(20)]
    receipts = record(world.client, entries)
    for entry, receipt in zip(entries, receipts, strict=True):
        logged = verify_receipt(receipt, entry, [world.log.pinned])
        assert (logged.origin, logged.index) == (f"rekor.test - {world.log.tree}", receipt.proof_index)
        assert receipt.index == receipt.proof_index + world.log.before
        assert logged.time
        assert int(logged.time.timestamp()) == world.log.time + logged.index
    assert Counter(world.held) == Counter(entry.canonical_body(1) for entry in entries)
    assert record(world.client, []) == []
    assert world.slept == []


def test_what_is_logged_already_keeps_its_place(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(5)]
    first = record(world.client, entries)
    record(world.client, [make_entry(f"more {number}") for number in range(30)])
    again = record(world.client, entries)
    assert [each.index for each in again] == [each.index for each in first]
    assert len(world.held) == 35


KEYS: dict[Algorithm, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    Algorithm.ECDSA_P256_SHA256: (ec.SECP256R1(), hashes.SHA256()),
    Algorithm.ECDSA_P384_SHA384: (ec.SECP384R1(), hashes.SHA384()),
    Algorithm.ECDSA_P521_SHA512: (ec.SECP521R1(), hashes.SHA512()),
}


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("certified", [True, False])
def test_what_is_asked_for_is_what_the_log_records(world: World, algorithm: Algorithm, certified: bool) -> None:
    """Rekor takes keys and signatures apart and writes them anew; ours have that form from the beginning."""
    curve, digest = KEYS[algorithm]
    key = ec.generate_private_key(curve)
    hasher = hashes.Hash(digest)
    hasher.update(b"artifact")
    entry = Entry(
        digest=hasher.finalize(),
        signature=key.sign(b"artifact", ec.ECDSA(digest)),
        algorithm=algorithm,
        certificate=certificate(key) if certified else None,
        public_key=None if certified else spki(key),
    )
    entry.check()
    assert accepted(entry.canonical_body(1)) == entry.canonical_body(1)
    [receipt] = record(world.client, [entry])
    assert receipt.body == entry.canonical_body(1)
    model = TransparencyLogEntry.from_json(receipt.to_bytes())
    assert (model.kind_version.version, model.log_index) == ("0.0.1", receipt.index)
    assert parse_receipt(json.dumps(model.to_dict())) == receipt == parse_receipt(receipt.to_bytes())


def certificate(key: ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(forge.now()).not_valid_after(forge.now())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    "fault",
    [status(429), status(500), status(502), status(503), status(504), status(408), cut, taken_and_cut, half],
    ids=["429", "500", "502", "503", "504", "408", "cut", "taken and cut", "half an answer"],
)
@pytest.mark.parametrize("times", [1, 3])
def test_faults_that_pass(world: World, fault: Fault, times: int) -> None:
    world.server.faults = [fault] * times
    entry = make_entry("entry")
    [receipt] = record(world.client, [entry])
    verify_receipt(receipt, entry, [world.log.pinned])
    assert world.held == [entry.canonical_body(1)]
    assert len(world.slept) == times


def test_pauses_grow_and_end(world: World) -> None:
    world.server.faults = [status(503, b"too busy")] * 100
    with pytest.raises(FetchError, match="answered 503: too busy"):
        record(world.client, [make_entry("entry")])
    assert 3 < len(world.slept) < 20
    assert sum(world.slept) <= 20
    assert max(world.slept) > 8 * world.slept[0]
    assert world.held == []


def test_an_entry_that_is_taken_and_not_yet_in_the_tree(world: World) -> None:
    entry = make_entry("entry")
    record(world.client, [entry])
    world.server.method, world.server.faults = "GET", [status(404), status(503)]
    [receipt] = record(world.client, [entry])
    assert receipt.proof_index == 2
    assert len(world.slept) == 2


def test_an_entry_that_the_log_refuses(world: World) -> None:
    wrong = dataclasses.replace(make_entry("entry"), digest=bytes(32))
    with pytest.raises(InputError, match="verifying signature") as caught:
        record(world.client, [wrong])
    assert caught.value.mend == "it must be a hashedrekord 0.0.1"
    assert world.slept == []


@pytest.mark.parametrize("code", [301, 401, 403, 404, 405, 418])
def test_answers_that_will_not_change(world: World, code: int) -> None:
    world.server.faults = [status(code, Location=f"{world.server.url}/elsewhere")]
    with pytest.raises(FetchError, match=f"answered {code}") as caught:
        record(world.client, [make_entry("entry")])
    assert caught.value.mend
    assert world.slept == []
    assert world.server.asked["POST"] == 1, "no redirect is followed"


def test_a_log_that_is_not_there(world: World) -> None:
    slept: list[float] = []
    address = Address1("http://127.0.0.1:9", world.log.pinned, patience=2)
    with (
        Rekor1Log(address, Patience(address.patience, slept.append, lambda: sum(slept))) as client,
        pytest.raises(FetchError, match=r"127\.0\.0\.1:9"),
    ):
        record(client, [make_entry("entry")])
    assert slept


def test_the_checkpoint(world: World) -> None:
    opened = open_checkpoint(world.client.checkpoint(), world.log.pinned)
    assert (opened.origin, opened.size) == (f"rekor.test - {world.log.tree}", 2)
    world.server.method, world.server.faults = "GET", [status(503), status(200, b"[]")]
    with pytest.raises(FetchError, match="not the state of a log"):
        world.client.checkpoint()
    world.server.faults = [status(404)]
    with pytest.raises(FetchError, match="answered 404"):
        world.client.checkpoint()


# ------------------------------------------------------------------------------------------------ a log that lies


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"treeSize": 3', b'"treeSize": 4', Code.RECEIPT_TREE_SIZE_MISMATCH),
        (b'"logIndex": 2', b'"logIndex": 7', Code.RECEIPT_INDEX_MISMATCH),
        (b'"logIndex": 2', b'"logIndex": 1', Code.RECEIPT_INCLUSION_INVALID),
        (b'"integratedTime": 1', b'"integratedTime": 2', Code.RECEIPT_PROMISE_INVALID),
        (b'"integratedTime": 1', b'"integratedTime": -1', Code.RECEIPT_MALFORMED),
        (b'"logID": "', b'"logID": "00', Code.RECEIPT_MALFORMED),
        (b"{", b"[", Code.RECEIPT_MALFORMED),
    ],
)
def test_receipts_that_do_not_hold(world: World, old: bytes, new: bytes, code: Code) -> None:
    world.server.faults = [rewritten(old, new)]
    with pytest.raises(Rejected) as caught:
        record(world.client, [make_entry("entry")])
    assert caught.value.code is code
    assert world.slept == [], "a lie is not asked for again"


def test_another_log_answers(world: World) -> None:
    stranger = Rekor1Double()
    with Rekor1Log(Address1(world.server.url, stranger.pinned)) as client:
        with pytest.raises(Rejected) as caught:
            record(client, [make_entry("entry")])
        assert caught.value.code is Code.RECEIPT_LOG_UNKNOWN
        with pytest.raises(Rejected) as caught:
            client.checkpoint()
        assert caught.value.code is Code.CHECKPOINT_SIGNATURE_INVALID


@pytest.mark.parametrize("place", [None, "", "/api/v1/log/entries/", "/x/..", f"/{'0' * 63}", f"/{'g' * 64}"])
def test_a_duplicate_without_a_place(world: World, place: str | None) -> None:
    world.server.faults = [status(409, Location=place)]
    with pytest.raises(FetchError, match="and not where"):
        record(world.client, [make_entry("entry")])


def test_a_duplicate_in_anothers_place(world: World) -> None:
    first, second = make_entry("first"), make_entry("second")
    record(world.client, [first, second])
    place = f"http://elsewhere.example/entries/{world.log.entry_id(first.canonical_body(1))}"
    world.server.faults = [status(409, Location=place)]
    with pytest.raises(Rejected) as caught:
        record(world.client, [second])
    assert caught.value.code is Code.RECEIPT_ENTRY_MISMATCH
    assert world.server.asked["GET"] == 1, "only this log is asked, whatever it says"


def test_answers_that_are_too_large(world: World) -> None:
    world.server.faults = [status(201, b" " * (MAX_BYTES + 1))] * 100
    with pytest.raises(FetchError, match="over"):
        record(world.client, [make_entry("entry")])


ENTRY = next(iter(Rekor1Double().answer(0).values()))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{}",
        b"[]",
        json.dumps({"a": ENTRY, "b": ENTRY}).encode(),
        json.dumps({"a": {**ENTRY, "body": "e30="}}).encode(),
        json.dumps({"a": {**ENTRY, "logIndex": True}}).encode(),
        json.dumps({"a": {**ENTRY, "logIndex": "1"}}).encode(),
        json.dumps({"a": {**ENTRY, "integratedTime": 0}}).encode(),
        json.dumps({"a": {**ENTRY, "integratedTime": 253402300800}}).encode(),
        json.dumps({"a": {**ENTRY, "logID": ENTRY["logID"].upper()}}).encode(),
        json.dumps({"a": {**ENTRY, "verification": {}}}).encode(),
        json.dumps({"a": {**ENTRY, "surplus": 1}}).encode(),
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        parse_entry(answer)
    assert caught.value.code is Code.RECEIPT_MALFORMED


def test_an_entry_of_another_kind() -> None:
    body = base64.b64encode(b'{"apiVersion":"0.0.1","kind":"intoto","spec":{}}').decode()
    with pytest.raises(Rejected) as caught:
        parse_entry(json.dumps({"a": {**ENTRY, "body": body}}).encode())
    assert caught.value.code is Code.RECEIPT_KIND_UNKNOWN


@pytest.mark.parametrize("url", ["", "rekor.example", "ftp://rekor.example", "https://user:word@rekor.example"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InputError):
        Address1(url, Rekor1Double().pinned)


def test_a_log_of_another_version() -> None:
    with pytest.raises(InputError, match="Rekor v2, not v1"):
        Address1("https://rekor.example", PinnedLog(ORIGIN, LOG_KEY.public_key()))
    with pytest.raises(DocumentError, match="must be ECDSA P-256"):
        PinnedLog(ORIGIN, LOG_KEY.public_key(), 1)
    with pytest.raises(DocumentError, match="must be ECDSA P-256"):
        PinnedLog(ORIGIN, ec.generate_private_key(ec.SECP384R1()).public_key(), 1)


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ca\.pem"):
        Rekor1Log(Address1("https://rekor.example", Rekor1Double().pinned, tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    "state",
    [
        [],
        {},
        {"signedTreeHead": 1},
        {"signedTreeHead": "a", "inactiveShards": {}},
        {"signedTreeHead": "a", "inactiveShards": [1]},
        {"signedTreeHead": "a", "inactiveShards": [{"signedTreeHead": None}]},
        {"signedTreeHead": "a", "inactiveShards": [{"signedTreeHead": "b"}] * (MAX_TREES + 1)},
    ],
)
def test_states_that_are_none(state: object) -> None:
    with pytest.raises(ValueError, match=r"object|trees|signed tree head"):
        parse_checkpoints(json.dumps(state).encode())


def test_checkpoints_of_all_trees() -> None:
    state = {"signedTreeHead": "b", "inactiveShards": [{"signedTreeHead": "a"}]}
    assert parse_checkpoints(json.dumps(state).encode()) == ("b", "a")
    assert parse_checkpoints(json.dumps({"signedTreeHead": "b", "inactiveShards": None}).encode()) == ("b",)


@pytest.mark.parametrize(
    "proof", [[], {"rootHash": ""}, {"rootHash": "", "hashes": None}, {"rootHash": "", "hashes": ["x"]}]
)
def test_consistency_proofs_that_are_none(proof: object) -> None:
    with pytest.raises(ValueError, match=r"object|hashes|hex"):
        parse_consistency(json.dumps(proof).encode())
