"""The client of Rekor v2 against a real log behind a server that misbehaves: nothing is lost, or logged twice."""

import contextlib
import dataclasses
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.codes import Code
from atlas.errors import FetchError, InputError, Rejected
from atlas.log import EmbeddedLog, leaf_hash, verify_receipt
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.log.retry import Patience
from atlas.log.server import serve
from atlas.trust import PinnedLog
from atlas.web import MAX_BYTES
from support.faults import Fault, Handler, Server, cut, half, rewritten, status, taken_and_cut
from support.serving import running
from unit.evidence.pccs_support import Reply, certify, serving, tls_holder
from unit.log.log_support import LOG_KEY, ORIGIN, make_entry, record


class Proxy(Handler):
    """Hands requests on to the log, unless the next fault says otherwise."""

    server: "Front"
    protocol_version = "HTTP/1.1"  # connections are kept, as a real server keeps them
    disable_nagle_algorithm = True

    def honest(self) -> tuple[int, dict[str, str], bytes]:
        with contextlib.closing(HTTPConnection("127.0.0.1", self.server.behind)) as connection:
            connection.request(self.command, self.path, self.sent or None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            own = ("content-length", "transfer-encoding", "connection", "date", "server")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in own}
            return answer.status, headers, answer.read()


class Front(Server):
    def __init__(self, behind: int) -> None:
        super().__init__(Proxy)
        self.behind = behind
        self.over = threading.Event()


@dataclasses.dataclass
class World:
    log: EmbeddedLog
    front: Front
    client: Rekor2Log
    slept: list[float]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    slept: list[float] = []
    with (
        EmbeddedLog.open(tmp_path / "log.sqlite3", ORIGIN, LOG_KEY) as log,
        serve(log) as server,
        running(Front(int(server.url.rpartition(":")[2]))) as front,
    ):
        address = Address(front.url, front.url, log.pinned, timeout=5, patience=20)
        try:
            with Rekor2Log(address, Patience(address.patience, slept.append, lambda: sum(slept))) as client:
                yield World(log, front, client, slept)
        finally:
            front.over.set()


def dripping(proxy: Handler) -> bool:
    """An answer that never ends and never pauses."""
    assert isinstance(proxy.server, Front)
    proxy.send_response(201)
    proxy.send_header("Content-Length", "100000")
    proxy.end_headers()
    with contextlib.suppress(OSError):
        while not proxy.server.over.wait(0.01):
            proxy.wfile.write(b"{")
    proxy.close_connection = True
    return True


def honest(_proxy: Handler) -> bool:
    return False


def held(world: World) -> list[bytes]:
    """All entries of the log."""
    return [world.log.receipt(index).body for index in range(world.log.size)]


def test_entries_are_recorded_in_their_order(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(40)]
    receipts = record(world.client, entries)
    for entry, receipt in zip(entries, receipts, strict=True):
        assert verify_receipt(receipt, entry, [world.log.pinned]).index == receipt.index
    assert Counter(held(world)) == Counter(entry.canonical_body() for entry in entries)
    assert record(world.client, []) == []
    assert world.slept == []


def test_what_is_logged_already_keeps_its_place(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(5)]
    first = record(world.client, entries)
    record(world.client, [make_entry(f"more {number}") for number in range(300)])
    again = record(world.client, entries)
    assert [each.index for each in again] == [each.index for each in first]
    assert world.log.size == 305


@pytest.mark.parametrize(
    "fault",
    [status(429), status(500), status(502), status(503), status(504), status(408), cut, taken_and_cut, half],
    ids=["429", "500", "502", "503", "504", "408", "cut", "taken and cut", "half an answer"],
)
@pytest.mark.parametrize("times", [1, 3])
def test_faults_that_pass(world: World, fault: Fault, times: int) -> None:
    world.front.faults = [fault] * times
    entry = make_entry("entry")
    [receipt] = record(world.client, [entry])
    assert verify_receipt(receipt, entry, [world.log.pinned]).index == 0
    assert held(world) == [entry.canonical_body()]
    # what was taken unheard is found in the log's tiles, and not sent again
    assert world.front.asked["POST"] == (1 if fault in (taken_and_cut, half) else times + 1)


def test_an_entry_that_was_taken_unheard_is_not_sent_again(world: World) -> None:
    """A log that was killed may not know its own entry again; so it is looked for before it is sent once more."""

    def forgetful(proxy: Handler) -> bool:
        proxy.honest()
        assert proxy.server.asked["POST"] == 1, "sent a second time"
        return cut(proxy)

    record(world.client, [make_entry("before")])
    world.front.asked.clear()
    world.front.faults = [forgetful]
    [receipt] = record(world.client, [make_entry("entry")])
    assert receipt.index == 1
    assert world.front.asked["POST"] == 1


def test_pauses_grow_and_end(world: World) -> None:
    world.front.faults = [status(503, b"too busy")] * 100
    with pytest.raises(FetchError, match="answered 503: too busy"):
        record(world.client, [make_entry("entry")])
    assert 3 < len(world.slept) < 20
    assert sum(world.slept) <= 20
    assert max(world.slept) > 8 * world.slept[0]
    assert world.log.size == 0


@pytest.mark.parametrize("times", [1, 2])
def test_reading_is_tried_again(world: World, times: int) -> None:
    entry = make_entry("entry")
    record(world.client, [entry])
    world.front.method, world.front.faults = "GET", [status(503), status(502)][:times]
    [receipt] = record(world.client, [entry])
    assert receipt.index == 0
    assert len(world.slept) == times


def test_a_frozen_shard(world: World) -> None:
    world.front.faults = [status(405)]
    with pytest.raises(FetchError, match="is frozen") as caught:
        record(world.client, [make_entry("entry")])
    assert "pin the log's next one" in caught.value.mend
    assert world.slept == []


def test_an_entry_that_the_log_refuses(world: World) -> None:
    world.front.faults = [status(400, b"invalid hashedrekord request")]
    with pytest.raises(InputError, match="invalid hashedrekord request"):
        record(world.client, [make_entry("entry")])
    assert world.slept == []


@pytest.mark.parametrize("code", [301, 401, 403, 404, 418])
def test_answers_that_will_not_change(world: World, code: int) -> None:
    world.front.faults = [status(code)]
    with pytest.raises(FetchError, match=f"answered {code}") as caught:
        record(world.client, [make_entry("entry")])
    assert caught.value.mend
    assert world.slept == []


def test_a_log_that_is_not_there(world: World) -> None:
    world.front.shutdown()
    world.front.server_close()
    slept: list[float] = []
    address = dataclasses.replace(world.client._address, patience=2)
    with (
        Rekor2Log(address, Patience(address.patience, slept.append, lambda: sum(slept))) as client,
        pytest.raises(FetchError) as caught,
    ):
        record(client, [make_entry("entry")])
    assert address.write_url in str(caught.value)
    assert slept


def test_a_log_that_drips_is_cut_off(world: World) -> None:
    world.front.faults = [dripping] * 100
    address = dataclasses.replace(world.client._address, timeout=0.2, patience=0.5)
    with Rekor2Log(address) as client, pytest.raises(FetchError, match="no whole answer within"):
        record(client, [make_entry("entry")])


def test_one_refused_entry_among_many_stops_no_other(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(8)]
    world.front.faults = [status(400, b"invalid")]
    answers = world.client.record(entries)
    assert sum(isinstance(each, InputError) for each in answers) == 1
    assert world.log.size == 7


def test_after_a_lie_nothing_more_is_sent(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(300)]
    world.front.faults = [rewritten(b'"version":"0.0.2"', b'"version":"0.0.1"')] * 300
    answers = world.client.record(entries)
    assert all(isinstance(each, Rejected) and each.code is Code.RECEIPT_MALFORMED for each in answers)
    assert world.log.size < 300


def test_a_tile_that_is_not_there_yet_refuses_no_entry(world: World) -> None:
    """What was taken unheard is looked for in tiles; one that is missing says nothing of the entry."""
    missing = [404]

    def hidden(proxy: Handler) -> bool:
        if not proxy.path.startswith("/tile/0/") or not missing:
            return False
        proxy.answer(missing.pop(), {}, b"")
        return True

    def taken(proxy: Handler) -> bool:
        proxy.server.method, proxy.server.faults = "GET", [hidden] * 20
        return taken_and_cut(proxy)

    world.front.faults = [taken]
    [receipt] = record(world.client, [make_entry("entry")])
    assert (receipt.index, world.log.size, missing) == (0, 1, [])


def test_one_failure_among_many_loses_nothing(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(20)]
    world.front.faults = [status(405)]
    with pytest.raises(FetchError):
        record(world.client, entries)
    receipts = record(world.client, entries)
    assert sorted(each.index for each in receipts) == list(range(20))
    assert world.log.size == 20


# ------------------------------------------------------------------------------------------------ a log that lies


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"treeSize":"1"', b'"treeSize":"2"', Code.RECEIPT_TREE_SIZE_MISMATCH),
        (b'"version":"0.0.2"', b'"version":"0.0.3"', Code.RECEIPT_KIND_UNKNOWN),
        (b'"version":"0.0.2"', b'"version":"0.0.1"', Code.RECEIPT_MALFORMED),
        (b'"logIndex":"0"', b'"logIndex":"7"', Code.RECEIPT_INDEX_MISMATCH),
        (b'"hashes":[]', b'"hashes":["' + b"A" * 43 + b'="]', Code.RECEIPT_INCLUSION_INVALID),
        (b"{", b"[", Code.RECEIPT_MALFORMED),
    ],
)
def test_receipts_that_do_not_hold(world: World, old: bytes, new: bytes, code: Code) -> None:
    world.front.faults = [rewritten(old, new)]
    with pytest.raises(Rejected) as caught:
        record(world.client, [make_entry("entry")])
    assert caught.value.code is code
    assert world.slept == [], "a lie is not asked for again"


def test_another_log_answers(world: World) -> None:
    stranger = PinnedLog(ORIGIN, ed25519.Ed25519PrivateKey.generate().public_key())
    with Rekor2Log(dataclasses.replace(world.client._address, pinned=stranger)) as client:
        with pytest.raises(Rejected) as caught:
            record(client, [make_entry("entry")])
        assert caught.value.code is Code.RECEIPT_LOG_UNKNOWN
        with pytest.raises(Rejected) as caught:
            client.checkpoint()
        assert caught.value.code is Code.CHECKPOINT_SIGNATURE_INVALID


@pytest.mark.parametrize("index", [None, "", "x", "-1", "9" * 30])
def test_a_duplicate_without_a_place(world: World, index: str | None) -> None:
    entry = make_entry("entry")
    record(world.client, [entry])

    fault = status(409, x_log_index=index)
    world.front.faults = [fault]
    [receipt] = record(world.client, [entry])
    assert receipt.index == 0, "asked again, and told"
    world.front.faults = [fault] * 100
    with pytest.raises(FetchError, match="and not where"):
        record(world.client, [entry])


def test_a_duplicate_in_anothers_place(world: World) -> None:
    first, second = make_entry("first"), make_entry("second")
    record(world.client, [first])
    record(world.client, [second])

    fault = status(409, x_log_index="0")
    world.front.faults = [fault]
    with pytest.raises(Rejected) as caught:
        record(world.client, [second])
    assert caught.value.code is Code.RECEIPT_ENTRY_MISMATCH


def test_tiles_that_do_not_lead_to_the_checkpoint(world: World) -> None:
    entries = [make_entry(f"entry {number}") for number in range(3)]
    record(world.client, entries)
    flipped = leaf_hash(entries[1].canonical_body())[:4]
    world.front.method = "GET"
    # the checkpoint and the bundle are honest, the hashes are not
    world.front.faults = [honest, honest, rewritten(flipped, bytes(4))]
    with pytest.raises(Rejected) as caught:
        record(world.client, [entries[0]])
    assert caught.value.code is Code.RECEIPT_INCLUSION_INVALID


def test_answers_that_are_too_large(world: World) -> None:
    world.front.faults = [status(201, b" " * (MAX_BYTES + 1))] * 100
    with pytest.raises(FetchError, match="over"):
        record(world.client, [make_entry("entry")])


def test_redirects_are_not_followed(world: World) -> None:
    world.front.faults = [status(307, b"", Location=f"{world.front.url}/elsewhere")]
    with pytest.raises(FetchError, match="answered 307"):
        record(world.client, [make_entry("entry")])
    assert world.front.asked["POST"] == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "rekor.example",
        "ftp://rekor.example",
        "https://user:word@rekor.example",
        "https://",
        "http://[",
        "http://a b",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    pinned = PinnedLog(ORIGIN, LOG_KEY.public_key())
    for write, read in ((url, "https://rekor.example"), ("https://rekor.example", url)):
        with pytest.raises(InputError):
            Address(write, read, pinned)


def test_tls(world: World, tmp_path: Path) -> None:
    """Who vouches for the server is given, or it is not believed to be the server."""
    record(world.client, [make_entry("entry")])
    note = world.client.checkpoint()
    authority = certify("authority of TLS", ca=True)
    given, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    given.write_text(authority.pem)
    other.write_text(certify("authority of others", ca=True).pem)
    with serving({"/checkpoint": Reply(note.encode())}, tls_holder(authority, "127.0.0.1"), tmp_path) as server:
        address = Address(server.url, server.url, world.log.pinned, ca_file=given, patience=0)
        with Rekor2Log(address) as client:
            assert client.checkpoint() == note
        for ca_file in (other, None):
            with (
                Rekor2Log(dataclasses.replace(address, ca_file=ca_file)) as client,
                pytest.raises(FetchError, match="certificate is not trusted"),
            ):
                client.checkpoint()


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_authorities_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    url = "https://rekor.example"
    with pytest.raises(InputError, match=r"ca\.pem"):
        Rekor2Log(Address(url, url, PinnedLog(ORIGIN, LOG_KEY.public_key()), ca_file))
