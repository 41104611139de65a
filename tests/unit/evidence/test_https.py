"""Services that are slow, dead, or answer too much: what is asked ends in time, and says why."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import FetchError
from atlas.evidence.fetch import Service
from atlas.web import MAX_BYTES
from unit.evidence.fetch_support import YEARS, World, fetch, honest, reply
from unit.evidence.pccs_support import (
    CRL,
    DER_ROOT_CRL,
    NOW,
    QE,
    ROOT_CRL,
    TCB,
    Behaviour,
    Reply,
    certify,
    deaf,
    dripping,
    failing,
    flooding,
    pages,
    raw,
    silent,
    tls_holder,
)

SOON = 0.3
"""Seconds that a test waits for what never comes."""


def fails(words: str, act: Callable[[], object]) -> str:
    with pytest.raises(FetchError, match=words) as caught:
        act()
    assert str(caught.value).startswith("https://127.0.0.1:")
    assert caught.value.mend
    return f"{caught.value}; {caught.value.mend}"


SLOW: dict[str, Behaviour] = {
    "before headers": silent(),
    "in the status line": silent(b"HTTP/1.1 2"),
    "in headers": silent(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "in the body": silent(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "in a chunk": silent(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"),
    "dripping the status": dripping(b"HTTP/1.1 200 ", b"O"),
    "dripping a header": dripping(b"HTTP/1.1 200 OK\r\nA: ", b"a"),
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\n", b"A: a\r\n"),
    "dripping the body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"{"),
    "dripping chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
    "always about to answer": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("path", [TCB, ROOT_CRL])
@pytest.mark.parametrize("where", SLOW)
def test_a_slow_service_is_cut_off(world: World, path: str, where: str) -> None:
    served = pages(honest())
    served[path] = SLOW[where]
    server = world.serve(served)
    found = fails(f"{path}.*: no whole answer within 0.3 s", lambda: world.fetch(server, timeout=SOON))
    assert "timeout" in found


def test_a_service_that_takes_no_connections(world: World) -> None:
    with deaf() as url:
        service = world.service(url, timeout=SOON)
        fails("no whole answer within 0.3 s", lambda: fetch(service))


def test_a_resolver_that_does_not_answer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait())
    with pytest.raises(FetchError, match=r"^https://pccs\.example/.*: no whole answer within 0\.3 s"):
        fetch(world.service("https://pccs.example", timeout=SOON))
    over.set()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_service_that_is_not_there(world: World) -> None:
    service = world.service(f"https://127.0.0.1:{unused_port()}", timeout=SOON)
    found = fails(r"/tdx/certification/v4/tcb\?fmspc=B0C06F000000: Connection refused", lambda: fetch(service))
    assert "check the address" in found


def test_a_name_that_does_not_exist(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(FetchError, match=r"pccs\.example/.*: Name or service not known"):
        fetch(world.service("https://pccs.example", timeout=SOON))


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be(world: World, host: str) -> None:
    with pytest.raises(FetchError, match=r"^https://a"):
        fetch(world.service(f"https://{host}", timeout=SOON))


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 9999 ?\r\n\r\n",
        b"\0" * 100 + b"\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: a\r\n" * 200 + b"\r\n",
    ],
)
def test_a_service_that_breaks_off_or_speaks_something_else(world: World, start: bytes) -> None:
    served = pages(honest())
    served[QE] = raw(start)
    server = world.serve(served)
    fails(QE, lambda: world.fetch(server, timeout=2))


@pytest.mark.parametrize("how", [raw, silent, flooding, lambda start: dripping(start, b"{")])
def test_an_answer_without_a_length_could_be_cut(world: World, how: Callable[[bytes], Behaviour]) -> None:
    served = pages(honest())
    served[CRL] = how(b"HTTP/1.1 200 OK\r\n\r\n{")
    server = world.serve(served)
    fails(f"{CRL}.*: the answer breaks off, or does not say", lambda: world.fetch(server, timeout=2))


def test_each_address_of_a_name_is_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = world.serve(pages(honest()))
    dead, alive = (
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        for port in (unused_port(), server.server_address[1])
    )
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [dead, alive])
    assert world.fetch(server) == honest()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    fails("the name has no address", lambda: world.fetch(server, timeout=SOON))


def test_a_service_that_hangs_up_before_the_handshake(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        fails(
            "(?i)reset|EOF|closed",
            lambda: fetch(world.service(f"https://127.0.0.1:{server.getsockname()[1]}", timeout=1)),
        )
        server.shutdown(socket.SHUT_RDWR)


def test_an_authority_that_is_not_known(world: World, tmp_path: Path) -> None:
    server = world.serve(pages(honest()))
    other = tmp_path / "other.pem"
    other.write_text(certify("TLS authority", ca=True).pem)
    for service in (Service(server.url, ca_file=other), Service(server.url)):
        found = fails("its certificate is not trusted", lambda service=service: fetch(service))  # type: ignore[misc]
        assert "ca_file" in found
    assert server.asked == []


def test_another_name_than_that_of_the_certificate(world: World) -> None:
    server = world.serve(pages(honest()), tls_holder(world.authority, "pccs.example"))
    fails("its certificate is not trusted: .*127.0.0.1", lambda: world.fetch(server))
    assert server.asked == []


def test_a_certificate_that_is_over(world: World) -> None:
    holder = tls_holder(world.authority, "127.0.0.1", begins=NOW - YEARS)
    server = world.serve(pages(honest()), holder)
    fails("its certificate is not trusted: certificate has expired", lambda: world.fetch(server))


def test_a_port_without_tls(world: World) -> None:
    server = world.serve(pages(honest()), tls=False)
    fails("(?i)ssl|tls", lambda: world.fetch(server, timeout=2))
    assert server.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(world: World, status: int) -> None:
    other = world.serve(pages(honest()))
    served = pages(honest())
    served[TCB] = Reply(status=status, headers={"Location": other.url + TCB})
    server = world.serve(served)
    found = fails(f"redirects to '{other.url}{TCB}', which is not followed", lambda: world.fetch(server))
    assert "give the address" in found
    assert other.asked == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 403, 404, 410, 461, 500, 501, 505])
def test_other_answers_end_it_at_once(world: World, status: int) -> None:
    served = pages(honest())
    served[CRL] = Reply(status=status)
    server = world.serve(served)
    words = "redirects to 'nowhere'" if status == 304 else f"answered {status}"
    fails(f"{CRL}.*: {words}", lambda: world.fetch(server))
    assert len(server.asked) == 3


def test_a_pcs_without_the_list_of_the_root_says_where_it_is(world: World) -> None:
    served = pages(honest())
    del served[ROOT_CRL]
    server = world.serve(served)
    found = fails(f"{ROOT_CRL}: answered 404", lambda: world.fetch(server))
    assert "root_crl_url" in found
    assert "IntelSGXRootCA.der" in found


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_tried_twice_more(world: World, status: int) -> None:
    served = pages(honest())
    served[TCB] = failing(2, Reply(status=status), served[TCB])
    server = world.serve(served)
    assert world.fetch(server, timeout=2) == honest()
    assert len(server.asked) == 6
    served[TCB] = failing(3, Reply(status=status), served[DER_ROOT_CRL])
    server.asked.clear()
    found = fails(f"answered {status}", lambda: world.fetch(server, timeout=2))
    assert "later" in found
    assert len(server.asked) == 3


def test_a_connection_that_breaks_is_tried_twice_more(world: World) -> None:
    served = pages(honest())
    served[ROOT_CRL] = failing(2, raw(b""), served[ROOT_CRL])
    assert world.fetch(world.serve(served), timeout=2) == honest()


def test_further_tries_have_no_time_of_their_own(world: World) -> None:
    def late(handler: Any) -> None:
        time.sleep(SOON * 0.7)
        handler.reply(Reply(status=503))

    served = pages(honest())
    served[TCB] = late
    server = world.serve(served)
    fails("answered 503|no whole answer", lambda: world.fetch(server, timeout=SOON))
    assert len(server.asked) < 3


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


HUGE: dict[str, Reply | Behaviour] = {
    "as it says": Reply(bytes(MAX_BYTES + 1)),
    "as it only says": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"),
    "in chunks": flooding(CHUNKED, b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
    "in one chunk": flooding(CHUNKED + b"ffffffffffff\r\n"),
    "in a chunk of less than nothing": flooding(CHUNKED + b"-1\r\n"),
    "before it answers": flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "behind the last chunk": flooding(CHUNKED + b"0\r\n", b"a: a\r\n" * 1000),
}


@pytest.mark.parametrize("how", HUGE)
def test_an_answer_that_is_too_large(world: World, how: str) -> None:
    served = pages(honest())
    served[TCB] = HUGE[how]
    server = world.serve(served)
    fails(f"{TCB}.*: the answer is over {MAX_BYTES} bytes", lambda: world.fetch(server))


def test_an_answer_that_is_just_not_too_large(world: World) -> None:
    served = pages(honest())
    given = reply(served, TCB)
    served[TCB] = replace(given, body=given.body.ljust(MAX_BYTES))
    assert world.fetch(world.serve(served)) == honest()
