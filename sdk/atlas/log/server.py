"""The embedded log over HTTP: writes as Rekor v2 (`/api/v2/log/entries`), reads as C2SP tlog-tiles.

Meant for loopback or for a network whose clients may all write: like Rekor, it asks nobody who they are, only
that the signature of an entry verifies. Posts that arrive while a batch is being written make up the next
batch, so a lone client never waits and many share one sync of the disk.
"""

import json
import logging
import queue
import socketserver
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from atlas.closing import Closing
from atlas.errors import AtlasError, InputError, StorageError
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import MAX_REQUEST, parse_request
from atlas.log.receipt import Receipt
from atlas.log.tiles import MAX_ENTRY

WRITE_PATH = "/api/v2/log/entries"
_API = "/api/v2"
_MAX_BATCH = 1024
_DRAINED = 1024 * 1024
_SOCKET_TIMEOUT = 30.0
_COMMIT_TIMEOUT = 40.0  # above the time for which the database waits for its lock
_FOREVER = "public, max-age=31536000, immutable"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Written:
    index: int
    receipt: Receipt | None
    """None for a duplicate."""


class _Batcher:
    """The one thread that appends."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._queue: queue.SimpleQueue[tuple[bytes, Future[_Written]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="atlas-log-batcher", daemon=True)
        self._thread.start()

    def submit(self, body: bytes) -> Future[_Written]:
        future: Future[_Written] = Future()
        self._queue.put((body, future))
        return future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            batch: list[tuple[bytes, Future[_Written]]] = []
            item = self._queue.get()
            with suppress(queue.Empty):
                while item is not None:
                    batch.append(item)
                    if len(batch) == _MAX_BATCH:
                        break
                    item = self._queue.get_nowait()
            last = item is None
            if batch:
                self._write(batch)

    def _write(self, batch: list[tuple[bytes, Future[_Written]]]) -> None:
        try:
            appended = self._log.append([body for body, _ in batch])
            receipts = iter(self._log.receipts([each.index for each in appended if not each.duplicate]))
            written = [_Written(each.index, None if each.duplicate else next(receipts)) for each in appended]
        except Exception as error:
            # It belongs to those who wait; this thread must live on.
            for _, future in batch:
                future.set_exception(error)
        else:
            for (_, future), each in zip(batch, written, strict=True):
                future.set_result(each)


class LogServer(Closing):
    """A running server at `url`. Leaving the `with` block or `close` ends it, and leaves the log open."""

    def __init__(self, log: EmbeddedLog, host: str, port: int) -> None:
        self._batcher = _Batcher(log)
        try:
            self._http = _Server(log, self._batcher, host, port)
        except BaseException as error:
            self._batcher.close()
            if isinstance(error, OSError | OverflowError):
                raise InputError(f"cannot listen on {host}:{port}: {error}", mend="choose another port") from error
            raise
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The base of both the write and the read paths."""
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop listening, and write what is under way."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._batcher.close()

    def wait(self) -> None:
        """Block until another thread closes the server."""
        self._thread.join()


def serve(log: EmbeddedLog, host: str = "127.0.0.1", port: int = 0) -> LogServer:
    """Serve a log until the server is closed; port 0 takes a free one.

    Raises:
        InputError: if the address cannot be listened on.
    """
    return LogServer(log, host, port)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, log: EmbeddedLog, batcher: _Batcher, host: str, port: int) -> None:
        self.log = log
        self.batcher = batcher
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks up the host's name and so may wait for a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        _logger.debug("connection from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "atlas-log"
    sys_version = ""
    timeout = _SOCKET_TIMEOUT
    wbufsize = -1  # head and body leave in one segment
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        if self.path != WRITE_PATH:
            self._discard()
            return self._refuse_method() if self._is_read_path() else self._fail(404, 5, "not found")
        body = self._body()
        if body is None:
            return None
        try:
            entry = parse_request(body)
        except InputError:
            return self._fail(400, 3, "invalid hashedrekord request")
        if len(entry.canonical_body()) > MAX_ENTRY:
            # here, because in the batcher it would fail with all that share its batch
            return self._fail(413, 3, f"an entry has at most {MAX_ENTRY} bytes")
        try:
            written = self.server.batcher.submit(entry.canonical_body()).result(_COMMIT_TIMEOUT)
        except (AtlasError, TimeoutError):
            _logger.exception("an entry could not be written")
            return self._fail(503, 14, "the log cannot write now; try again later")
        except Exception:
            _logger.exception("an entry could not be written")
            return self._fail(500, 13, "internal error")
        if written.receipt is None:
            message = f"an equivalent entry already exists in the transparency log with index {written.index}"
            return self._fail(409, 6, message, {"x-log-index": str(written.index)})
        return self._answer(201, written.receipt.to_bytes(), "application/json")

    def do_GET(self) -> None:
        if self.path == WRITE_PATH:
            return self._refuse_method()
        path = self.path.removeprefix(_API).removeprefix("/")
        try:
            if path == "checkpoint":
                note = self.server.log.checkpoint()
                if note is None:
                    return self._fail(404, 5, "the log is empty")
                return self._answer(200, note.encode(), "text/plain; charset=utf-8", {"Cache-Control": "no-cache"})
            data = self.server.log.at(path)
        except StorageError:
            _logger.exception("a read failed")
            return self._fail(503, 14, "the log cannot be read now; try again later")
        if data is None:
            return self._fail(404, 5, "not found")
        return self._answer(200, data, "application/octet-stream", {"Cache-Control": _FOREVER})

    def _other(self) -> None:
        self._discard()
        if self.path == WRITE_PATH or self._is_read_path():
            self._refuse_method()
        else:
            self._fail(404, 5, "not found")

    do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _other  # noqa: N815 - the base class's names

    def _is_read_path(self) -> bool:
        path = self.path.removeprefix(_API).removeprefix("/")
        return path == "checkpoint" or path.startswith("tile/")

    def _length(self) -> int | None:
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

    def _body(self) -> bytes | None:
        """The request's body; None if there was something to refuse, which has been answered."""
        length = self._length()
        if length is None or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._fail(411, 3, "a Content-Length is required")
            return None
        if length > MAX_REQUEST:
            self._discard()
            self._fail(413, 3, f"a request has at most {MAX_REQUEST} bytes")
            return None
        data = self.rfile.read(length)
        if len(data) != length:
            self.close_connection = True
            self._fail(400, 3, "invalid hashedrekord request")
            return None
        return data

    def _discard(self) -> None:
        """Take in a body that is not wanted: a client that is still sending would not see the answer."""
        self.close_connection = True
        remaining = min(self._length() or 0, _DRAINED)
        while remaining > 0 and (chunk := self.rfile.read(min(remaining, 65536))):
            remaining -= len(chunk)

    def _refuse_method(self) -> None:
        allowed = "POST" if self.path == WRITE_PATH else "GET"
        self._fail(405, 12, "method not allowed", {"Allow": allowed})

    def _fail(self, status: int, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Answer with an error in the form of gRPC's JSON gateway, which Rekor's clients know."""
        body = json.dumps({"code": code, "message": message, "details": []}).encode()
        self._answer(status, body, "application/json", headers)

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _logger.debug(format, *args)
