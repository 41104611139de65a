"""A server that misbehaves as it is told, and otherwise answers as the log that it stands for."""

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.serving import url_of

Fault = Callable[["Handler"], bool]
"""What is done instead of answering; False: nothing, answer as the log does."""


class Server(ThreadingHTTPServer):
    """The next fault, if there is one, befalls the next request of `method`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: "type[Handler]") -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.faults: list[Fault] = []
        self.method = "POST"
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return url_of(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are cut are what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.serve_one()

    def do_POST(self) -> None:
        self.serve_one()

    def serve_one(self) -> None:
        self.sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked[self.command] += 1
        with self.server.lock:
            due = bool(self.server.faults) and self.command == self.server.method
            fault = self.server.faults.pop(0) if due else None
        if fault is None or not fault(self):
            self.answer(*self.honest())

    def honest(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer that the log would give."""
        raise NotImplementedError

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def status(code: int, body: bytes = b"{}", **headers: str | None) -> Fault:
    """Another answer; underscores in names of headers stand for hyphens."""

    def fault(handler: Handler) -> bool:
        given = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        handler.answer(code, given, body)
        return True

    return fault


def cut(handler: Handler) -> bool:
    """The connection ends before the log has heard of it."""
    handler.close_connection = True
    handler.connection.close()
    return True


def taken_and_cut(handler: Handler) -> bool:
    """The log takes the entry, and nobody hears of it."""
    handler.honest()
    return cut(handler)


def half(handler: Handler) -> bool:
    """An answer that breaks off."""
    code, headers, body = handler.honest()
    handler.answer(code, headers, body[: len(body) // 2], len(body))
    handler.close_connection = True
    return True


def rewritten(old: bytes, new: bytes) -> Fault:
    """The log's answer, with something else in a place of it."""

    def fault(handler: Handler) -> bool:
        code, headers, body = handler.honest()
        assert old in body
        handler.answer(code, headers, body.replace(old, new))
        return True

    return fault
