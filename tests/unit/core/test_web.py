"""Connections that are kept: no answer is taken for that of another request."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from atlas.errors import FetchError
from atlas.web import Client, tls

Serve = Callable[[socket.socket], None]


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def asked(connection: socket.socket) -> bytes:
    """The next request, whose headers end with an empty line."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        try:
            received = connection.recv(4096)
        except ConnectionError:  # closed with something unread
            received = b""
        if not received:
            return b""
        request += received
    return request.split()[1]


@contextlib.contextmanager
def serving(*connections: Serve) -> Iterator[str]:
    """A server that treats one connection after the other as it is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        for each in connections:
            connection, _ = listener.accept()
            with connection:
                each(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


def echo(connection: socket.socket) -> None:
    while path := asked(connection):
        connection.sendall(answer(path))


def bodies(client: Client, url: str, paths: Sequence[str]) -> list[bytes]:
    return [client.ask("GET", f"{url}{path}").body for path in paths]


def test_a_connection_is_kept() -> None:
    client = Client(tls(None), 5)
    with contextlib.closing(client), serving(echo) as url:
        assert bodies(client, url, ["/1", "/2"]) == [b"/1", b"/2"]
        client.close()


def test_an_answer_that_nobody_asked_for_is_not_that_of_the_next_request() -> None:
    """As a server sends that says 408 before it closes what was idle, or one whose answer was smuggled."""
    sent = threading.Event()

    def unasked(connection: socket.socket) -> None:
        connection.sendall(answer(asked(connection)))
        time.sleep(0.01)  # in a segment of its own
        connection.sendall(answer(b"unasked"))
        sent.set()
        asked(connection)

    client = Client(tls(None), 5)
    with serving(unasked, echo) as url:
        assert bodies(client, url, ["/1"]) == [b"/1"]
        assert sent.wait(5)
        assert bodies(client, url, ["/2"]) == [b"/2"]
        client.close()


@pytest.mark.parametrize("status", [b"102 Processing", b"103 Early Hints"])
def test_what_comes_before_an_answer_is_none(status: bytes) -> None:
    def hinting(connection: socket.socket) -> None:
        path = asked(connection)
        connection.sendall(b"HTTP/1.1 %b\r\n\r\n" % status)
        asked(connection)
        connection.sendall(answer(path))

    client = Client(tls(None), 5)
    with serving(hinting, echo) as url:
        with pytest.raises(FetchError, match=status.split()[0].decode()):
            client.ask("GET", f"{url}/1")
        assert bodies(client, url, ["/2"]) == [b"/2"]
        client.close()
