"""Asking a service over HTTP, bounded in time and size as a whole.

A timeout of the socket alone starts anew with every byte, and so would never end with a server that sends them one by
one. No redirect is followed, no proxy of the environment is used, and certificates are always verified.
"""

import contextlib
import http.client
import queue
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from atlas.errors import FetchError, InputError

MAX_BYTES = 1 << 20
"""Most bytes of one answer's body."""
FURTHER_TRIES = 2

_HEADER_BYTES = 1 << 17
_PASSING = (429, 502, 503, 504)
_TROUBLE = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, UnicodeError)
_TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError)
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "atlas"}  # compressed answers would not be read
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    url: str
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


class Client:
    """Asks services; every answer is whole and in time, or a `FetchError`. Threads may share it.

    Connections are kept for the next request to the same host.
    """

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        """Begin; `timeout` is in seconds, for one request as a whole."""
        self._context, self._timeout = context, timeout
        self._idle: dict[tuple[str, str, int], list[_Connection]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            kept, self._idle = self._idle, {}
        for connections in kept.values():
            for each in connections:
                each.close()

    def ask(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = _NONE,
        *,
        timeout: float | None = None,
    ) -> Answer:
        """One request, and the answer to it, whatever its status.

        Args:
            method: GET or POST.
            url: of http or https.
            body: what is sent with it.
            headers: further ones.
            timeout: seconds, in place of the client's own.

        Raises:
            InputError: if that is no address.
            FetchError: if there is no whole answer in time.
        """
        address = address_of(url, plain=True)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        connection = self._kept(address, deadline)
        while True:
            used = connection is not None
            connection = connection or _connection(address, self._context, deadline)
            try:
                answer = connection.ask(method, url, body, headers)
            except _TROUBLE as error:
                connection.close()
                # a server may close what it kept open at any time; but what was sent to it, it may have acted on
                if used and method == "GET" and not connection.too_large and not isinstance(error, _TIMEOUTS):
                    connection = None
                    continue
                raise self._failed(url, connection, error) from error
            except BaseException:
                connection.close()
                raise
            self._keep(address, connection)
            return answer

    def get(self, url: str, hint: str = "") -> Answer:
        """The answer 200 to a request over https, asked for again where the trouble may pass.

        Args:
            url: what to ask for.
            hint: what to do where the service does not know it.

        Raises:
            InputError: if that is no address.
            FetchError: if there is none in time.
        """
        address_of(url)
        deadline = time.monotonic() + self._timeout
        attempt = 0
        while True:
            try:
                answer = self.ask("GET", url, timeout=deadline - time.monotonic())
                if answer.status == 200:
                    return answer
                failure, passing = _refused(answer, hint), answer.status in _PASSING
            except FetchError as error:
                failure, passing = error, error.passing
            pause = self._timeout * (secrets.randbelow(1000) / 1000 + 0.5) * 2**attempt / 50
            if not passing or attempt == FURTHER_TRIES or time.monotonic() + pause >= deadline:
                raise failure
            time.sleep(pause)
            attempt += 1

    def _kept(self, address: urllib3.util.Url, deadline: float) -> "_Connection | None":
        while True:
            with self._lock:
                idle = self._idle.get(_host(address))
                connection = idle.pop() if idle else None
            if connection is None:
                return None
            if connection.is_quiet:
                connection.begin(deadline)
                return connection
            connection.close()

    def _keep(self, address: urllib3.util.Url, connection: "_Connection") -> None:
        if connection.sock is None:  # the server said that it is the last answer
            return
        with self._lock:
            self._idle.setdefault(_host(address), []).append(connection)

    def _failed(self, url: str, connection: "_Connection", error: Exception) -> FetchError:
        if connection.too_large:
            mend = "check that the address is that of the service which is meant"
            return FetchError(f"{url}: the answer is over {MAX_BYTES} bytes", mend=mend)
        if isinstance(error, _TIMEOUTS) or time.monotonic() >= connection.deadline:
            mend = "check that the service can be reached from here, or give it more time (timeout)"
            seconds = connection.deadline - connection.begun
            return FetchError(f"{url}: no whole answer within {round(seconds, 2):g} s", mend=mend, passing=True)
        if isinstance(error, ssl.SSLCertVerificationError):
            mend = "if you trust the service, give the authority that vouches for it (ca_file) and the name it goes by"
            return FetchError(f"{url}: its certificate is not trusted: {error.verify_message}", mend=mend)
        mend = "check the address, and that the service runs and can be reached from here"
        passing = not isinstance(error, ssl.SSLError)
        return FetchError(f"{url}: {_words(error)}", mend=mend, passing=passing)


class _Bounded(socket.socket):
    """A connection that ends at a time, and at a number of bytes."""

    connection: "_Connection"

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(self.connection.left())
        count = super().recv_into(buffer, nbytes or 0, flags)
        self.connection.received += count
        if self.connection.received > MAX_BYTES + _HEADER_BYTES:
            self.connection.too_large = True
            raise OSError("too large")
        return count


class _BoundedTls(_Bounded, ssl.SSLSocket):
    """The same over TLS."""


class _Connection(HTTPConnection):
    """A connection whose every answer is over at its deadline, whatever the server does."""

    deadline: float

    def begin(self, deadline: float) -> None:
        """The next request begins."""
        self.begun, self.deadline = time.monotonic(), deadline
        self.received, self.too_large = 0, False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came since the last answer: an end, or what would be taken for the next answer."""
        unread = self.sock.pending() if isinstance(self.sock, ssl.SSLSocket) else 0
        return self.is_connected and not unread

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: if there are none.
        """
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError("timed out")
        return left

    def ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """One answer."""
        if self.sock is not None:
            self.sock.settimeout(self.left())
        target = address_of(url, plain=True).request_uri
        sent = {**_HEADERS, **headers}
        self.request(method, target, body=body, headers=sent, preload_content=False, decode_content=False)
        with contextlib.closing(self.getresponse()) as response:
            if response.status < 200:  # the answer itself is still to come, and would be taken for the next one
                raise http.client.HTTPException(f"answered {response.status}, which is none yet")
            return Answer(url, response.status, response.headers, self._body(response))

    def _body(self, response: urllib3.HTTPResponse) -> bytes:
        length = response.length_remaining
        if length is None and not response.chunked:  # whether it is whole, nobody could tell
            raise http.client.HTTPException("the answer breaks off, or does not say how long it is")
        if length is None or length <= MAX_BYTES:
            body = response.read(MAX_BYTES + 1, decode_content=False)
            if len(body) <= MAX_BYTES:
                if length is not None and len(body) != length:
                    raise http.client.HTTPException("the answer breaks off")
                return body
        self.too_large = True
        raise OSError("too large")

    def connect(self) -> None:
        self.timeout = self.left()
        super().connect()
        assert isinstance(self.sock, _Bounded)
        self.sock.connection = self

    def _new_conn(self) -> socket.socket:
        """As the library's own, in the time that is left; each address of the host gets its share of it."""
        addresses = self._resolve()
        for index, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            made = _Bounded(family, kind, protocol)
            try:
                made.settimeout(self.left() / (len(addresses) - index + 1))
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                made.settimeout(self.left())  # for the handshake
                return made
            except OSError:
                made.close()
                if index == len(addresses):
                    raise
        raise OSError("the name has no address")

    def _resolve(self) -> list[Any]:
        """Addresses of the host. The system's resolver takes its own time, so it is waited for, and left behind."""
        found: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def ask() -> None:
            try:
                found.put(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                found.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            addresses = found.get(timeout=self.left())
        except queue.Empty:
            raise TimeoutError("timed out") from None
        if isinstance(addresses, Exception):
            raise addresses
        return list(addresses)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


def _connection(address: urllib3.util.Url, context: ssl.SSLContext, deadline: float) -> _Connection:
    _, host, port = _host(address)
    secure = address.scheme == "https"
    made = _TlsConnection(host, port, ssl_context=context) if secure else _Connection(host, port)
    made.begin(deadline)
    return made


def _host(address: urllib3.util.Url) -> tuple[str, str, int]:
    scheme = str(address.scheme)
    return scheme, str(address.host).strip("[]"), address.port or (443 if scheme == "https" else 80)


def address_of(url: str, *, plain: bool = False) -> urllib3.util.Url:
    """The parts of a service's address.

    Args:
        url: of https.
        plain: whether http is good as well: for what is signed, and so believed in nothing.

    Raises:
        InputError: if it is none.
    """
    shown = (url or "no address") if "@" not in url else "an address with a password"  # which is not for messages
    try:
        address = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise InputError(f"{shown}: not an address", mend="give one such as https://service.example") from None
    if address.scheme != "https" and not (plain and address.scheme == "http"):
        raise InputError(f"{shown}: a service is asked over https only", mend="give one that begins with https://")
    if not address.host or address.auth or address.fragment:
        raise InputError(f"{shown}: not that of a service", mend="give one such as https://service.example")
    return address


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer; certificate and name are always verified.

    Args:
        ca_file: authorities (PEM) that vouch for the service; None: those of the system.

    Raises:
        InputError: if they cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = _BoundedTls
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_file)
    except OSError as error:
        raise InputError(f"{ca_file}: {_words(error)}", mend="give a file of PEM certificates") from error
    return context


def _refused(answer: Answer, hint: str) -> FetchError:
    what, mend = f"answered {answer.status}", "look into the log of the service"
    if 300 <= answer.status < 400:
        what = f"redirects to {answer.headers.get('Location', 'nowhere')!r}, which is not followed"
        mend = "give the address where the service really is"
    elif answer.status in _PASSING:
        mend = "try again later"
    elif hint:
        mend = hint
    return FetchError(f"{answer.url}: {what}", mend=mend)


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or "") or str(error) or type(error).__name__
