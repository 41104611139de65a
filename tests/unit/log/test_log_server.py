import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sigstore_models.rekor.v1 import TransparencyLogEntry

from atlas.errors import InputError, StorageError
from atlas.log import server as server_module
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import MAX_REQUEST, Algorithm, Entry
from atlas.log.receipt import parse_receipt, verify_receipt
from atlas.log.server import WRITE_PATH, LogServer, serve
from atlas.log.tiles import MAX_ENTRY, TileReader
from unit.log.log_support import LOG_KEY, ORIGIN, PINNED, make_entry


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(url: str, method: str, path: str, body: bytes | None = None) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def post(url: str, entry: Entry) -> Answer:
    return ask(url, "POST", WRITE_PATH, json.dumps(entry.to_request()).encode())


@pytest.fixture
def server(log: EmbeddedLog) -> Iterator[LogServer]:
    with serve(log) as running:
        yield running


def test_post_and_verify(server: LogServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    for number in range(5):
        entry = make_entry(number)
        answer = post(server.url, entry)
        assert (answer.status, answer.headers["Content-Type"]) == (201, "application/json")
        logged = verify_receipt(parse_receipt(answer.body), entry, [PINNED])
        assert (logged.index, logged.tree_size) == (number, number + 1)
        model = TransparencyLogEntry.from_json(answer.body)
        assert model.kind_version.kind == "hashedrekord"


def test_duplicate(server: LogServer) -> None:
    entries = [make_entry(0), make_entry(1)]
    assert [post(server.url, entry).status for entry in entries] == [201, 201]
    answer = post(server.url, entries[1])
    assert (answer.status, answer.headers["x-log-index"]) == (409, "1")
    assert json.loads(answer.body)["message"].endswith("with index 1")


def test_reads_at_both_places(server: LogServer) -> None:
    entries = [make_entry(number) for number in range(3)]
    for path in ("/checkpoint", "/api/v2/checkpoint"):
        assert ask(server.url, "GET", path).status == 404
    for entry in entries:
        post(server.url, entry)
    for base in ("/", "/api/v2/"):
        answer = ask(server.url, "GET", f"{base}checkpoint")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        signed = open_checkpoint(answer.body.decode(), PINNED)
        assert signed.size == 3

        def fetch(path: str, base: str = base) -> bytes | None:
            found = ask(server.url, "GET", base + path)
            assert found.status in (200, 404)
            return found.body if found.status == 200 else None

        reader = TileReader(fetch, signed.size)
        assert reader.root() == signed.root
        assert [reader.entry(index) for index in range(3)] == [each.canonical_body() for each in entries]


def test_many_clients_share_batches(server: LogServer, log: EmbeddedLog) -> None:
    entries = [make_entry(number) for number in range(120)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda entry: post(server.url, entry), entries * 2))
    assert [answer.status for answer in answers].count(201) == 120
    assert [answer.status for answer in answers].count(409) == 120
    for entry, answer in zip(entries * 2, answers, strict=True):
        if answer.status == 201:
            verify_receipt(parse_receipt(answer.body), entry, [PINNED])
        else:
            assert log.entry(int(answer.headers["x-log-index"])) == entry.canonical_body()
    audited = log.audit()
    assert audited is not None
    assert audited.size == 120


def test_posts_while_a_batch_is_written_make_up_the_next(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    gate = threading.Event()
    append = log.append

    def slow(bodies: list[bytes]) -> object:
        sizes.append(len(bodies))
        gate.wait(30)
        return append(bodies)

    monkeypatch.setattr(log, "append", slow)
    batcher = server_module._Batcher(log)
    try:
        first = batcher.submit(b"first")
        while not sizes:
            pass
        rest = [batcher.submit(f"body {number}".encode()) for number in range(9)]
        gate.set()
        assert first.result(30).index == 0
        assert sorted(each.result(30).index for each in rest) == list(range(1, 10))
    finally:
        batcher.close()
    assert sizes == [1, 9]


BAD_BODIES = {
    "empty": b"",
    "not JSON": b"{",
    "noise": b"\xff\x00",
    "another kind": b'{"dsseRequestV002":{}}',
    "a forged digest": json.dumps(
        {
            "hashedRekordRequestV002": {
                **make_entry(1).to_request()["hashedRekordRequestV002"],
                "digest": make_entry(2).to_request()["hashedRekordRequestV002"]["digest"],
            }
        }
    ).encode(),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_requests(name: str, server: LogServer, log: EmbeddedLog) -> None:
    answer = ask(server.url, "POST", WRITE_PATH, BAD_BODIES[name])
    assert answer.status == 400
    assert json.loads(answer.body) == {"code": 3, "message": "invalid hashedrekord request", "details": []}
    assert log.size == 0


def oversized_entry() -> Entry:
    """An entry whose request is just small enough, and whose canonical form is not."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wide")])
    padding = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), bytes(48_580))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(padding, critical=False)
        .sign(key, hashes.SHA256())
    )
    digest = hashlib.sha256(b"wide").digest()
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, certificate.public_bytes(Encoding.DER))


def test_an_oversized_entry_harms_none_that_share_its_batch(server: LogServer) -> None:
    wide = oversized_entry()
    assert len(json.dumps(wide.to_request())) <= MAX_REQUEST
    assert len(wide.canonical_body()) > MAX_ENTRY
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda entry: post(server.url, entry), [make_entry(1), wide, make_entry(2)]))
    assert [answer.status for answer in answers] == [201, 413, 201]


@pytest.mark.parametrize("size", [MAX_REQUEST + 1, 3 * 1024 * 1024])
def test_too_large(size: int, server: LogServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.putrequest("POST", WRITE_PATH)
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    # Only what the server is ready to take in; the rest would be refused by the kernel.
    connection.send(bytes(min(size, 1024 * 1024)))
    response = connection.getresponse()
    assert response.status == 413
    response.read()
    connection.close()
    assert post(server.url, make_entry(0)).status == 201


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", WRITE_PATH, 405),
        ("PUT", WRITE_PATH, 405),
        ("DELETE", WRITE_PATH, 405),
        ("HEAD", "/checkpoint", 405),
        ("POST", "/checkpoint", 405),
        ("POST", "/api/v2/tile/0/000", 405),
        ("OPTIONS", "/tile/0/000", 405),
        ("GET", "/", 404),
        ("GET", "/api/v2", 404),
        ("GET", "/api/v1/log/entries", 404),
        ("POST", "/api/v1/log/entries", 404),
        ("POST", "/", 404),
        ("PATCH", "/nothing", 404),
        ("GET", "/tile/0/000", 404),
        ("GET", "/tile/0/999.p/7", 404),
        ("GET", "/tile/9/000", 404),
        ("GET", "/tile/entries/000", 404),
        ("GET", "/tile/0/../../etc/passwd", 404),
        ("GET", "/tile/0/x999/x999/x999/x999/x999/x999/999", 404),
        ("GET", "/checkpoint/", 404),
        ("GET", "/checkpoint?x=1", 404),
    ],
)
def test_refusals(method: str, path: str, status: int, server: LogServer) -> None:
    post(server.url, make_entry(0))
    answer = ask(server.url, method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)
    assert answer.status == status
    assert b"Traceback" not in answer.body
    if status == 405:
        assert answer.headers["Allow"] == ("POST" if path == WRITE_PATH else "GET")
    if method != "HEAD":
        assert set(json.loads(answer.body)) == {"code", "message", "details"}


def raw(url: str, data: bytes) -> bytes:
    """What the server answers to bytes that no HTTP library would send."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"", b" 411 "),
        (b"Content-Length: -1\r\n", b" 411 "),
        (b"Content-Length: x\r\n", b" 411 "),
        (b"Content-Length: \xc2\xb2\r\n", b" 411 "),
        (b"Content-Length: 99999999999999999999\r\n", b" 411 "),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b" 411 "),
        (b"Content-Length: 1000\r\n", b" 400 "),
    ],
)
def test_lengths_that_cannot_be(head: bytes, status: bytes, server: LogServer) -> None:
    answer = raw(server.url, b"POST " + WRITE_PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n{}")
    assert status in answer.split(b"\r\n")[0]
    assert answer.count(b"HTTP/1.1 ") == 1, "the body was read as a second request"


@pytest.mark.parametrize("data", [b"\r\n", b"nonsense\r\n\r\n", b"\xff\xff\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
def test_what_is_not_http_ends_the_connection_and_not_the_server(data: bytes, server: LogServer) -> None:
    assert b"Traceback" not in raw(server.url, data)
    assert post(server.url, make_entry(0)).status == 201


def test_one_connection_carries_many_requests(server: LogServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        for number in range(3):
            connection.request("POST", WRITE_PATH, json.dumps(make_entry(number).to_request()))
            response = connection.getresponse()
            assert response.status == 201
            response.read()
            connection.request("GET", "/checkpoint")
            response = connection.getresponse()
            assert open_checkpoint(response.read().decode(), PINNED).size == number + 1
    finally:
        connection.close()


def test_a_failing_log_is_a_503_that_names_no_file(
    server: LogServer, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the log /secret/place is locked by another process")

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", fail)
        patched.setattr(log, "checkpoint", fail)
        for answer in (post(server.url, make_entry(0)), ask(server.url, "GET", "/checkpoint")):
            assert answer.status == 503
            assert b"secret" not in answer.body
    assert post(server.url, make_entry(0)).status == 201


def test_a_bug_is_a_500_without_a_traceback(
    server: LogServer, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", fail)
        answer = post(server.url, make_entry(0))
    assert answer.status == 500
    assert json.loads(answer.body)["message"] == "internal error"
    assert post(server.url, make_entry(0)).status == 201


def test_a_port_in_use(server: LogServer, log: EmbeddedLog) -> None:
    port = urlsplit(server.url).port
    assert port is not None
    with pytest.raises(InputError, match="cannot listen"):
        serve(log, port=port)
    with pytest.raises(InputError, match="cannot listen"):
        serve(log, port=70_000)


def test_closing_the_server_leaves_the_log_open(log: EmbeddedLog) -> None:
    before = threading.active_count()
    with serve(log) as running:
        url = running.url
        assert post(url, make_entry(0)).status == 201
    running.wait()
    with pytest.raises(ConnectionError):
        post(url, make_entry(1))
    assert log.size == 1
    assert threading.active_count() <= before + 1


def test_two_servers_over_one_file(log: EmbeddedLog, log_path: Path) -> None:
    with (
        EmbeddedLog.open(log_path, ORIGIN, LOG_KEY) as other,
        serve(log) as first,
        serve(other) as second,
        ThreadPoolExecutor(8) as pool,
    ):
        entries = [make_entry(number) for number in range(60)]
        urls = [first.url, second.url] * 30
        answers = list(pool.map(post, urls, entries))
        for entry, answer in zip(entries, answers, strict=True):
            assert answer.status == 201
            verify_receipt(parse_receipt(answer.body), entry, [PINNED])
        newest = other.audit()
        assert isinstance(newest, Checkpoint)
        assert newest.size == 60
