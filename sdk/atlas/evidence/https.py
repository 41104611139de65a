"""Asking a service over TLS, bounded in time and size as a whole, further tries included.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from urllib3.connection import HTTPSConnection

from atlas.errors import FetchError, InputError

MAX_BYTES = 1 << 20
"""Most bytes of one answer's body."""
FURTHER_TRIES = 2

_HEADER_BYTES = 1 << 17
_PASSING = (429, 502, 503, 504)
_TROUBLE = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError, UnicodeError)
_TIMEOUTS = (TimeoutError, urllib3.exceptions.TimeoutError)


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    url: str
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


class Client:
    """Asks, and asks again what may pass; ends in time."""

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        """Begin; `timeout` is in seconds, for one request as a whole."""
        self._context, self._timeout = context, timeout

    def get(self, url: str, hint: str = "") -> Answer:
        """The answer 200 to a request.

        Args:
            url: what to ask for.
            hint: what to do where the service does not know it.

        Raises:
            FetchError: if there is none in time.
        """
        deadline = time.monotonic() + self._timeout
        attempt = 0
        while True:
            connection = _Connection(address_of(url), self._context, deadline)
            try:
                answer = connection.get(url)
                if answer.status == 200:
                    return answer
                failure, passing = _refused(answer, hint), answer.status in _PASSING
            except _TROUBLE as error:
                failure = self._failed(url, connection, error)
                failure.__cause__ = error
                passing = not (connection.too_large or isinstance(error, ssl.SSLError))
            finally:
                connection.close()
            pause = self._timeout * (secrets.randbelow(1000) / 1000 + 0.5) * 2**attempt / 50
            if not passing or attempt == FURTHER_TRIES or time.monotonic() + pause >= deadline:
                raise failure
            time.sleep(pause)
            attempt += 1

    def _failed(self, url: str, connection: "_Connection", error: Exception) -> FetchError:
        if connection.too_large:
            mend = "check that the address is that of the service which is meant"
            return FetchError(f"{url}: the answer is over {MAX_BYTES} bytes", mend=mend)
        if isinstance(error, _TIMEOUTS) or time.monotonic() >= connection.deadline:
            mend = "check that the service can be reached from here, or give it more time (timeout)"
            return FetchError(f"{url}: no whole answer within {self._timeout:g} s", mend=mend)
        if isinstance(error, ssl.SSLCertVerificationError):
            mend = "if you trust the service, give the authority that vouches for it (ca_file) and the name it goes by"
            return FetchError(f"{url}: its certificate is not trusted: {error.verify_message}", mend=mend)
        mend = "check the address, and that the service runs and can be reached from here"
        return FetchError(f"{url}: {_words(error)}", mend=mend)


class _Socket(ssl.SSLSocket):
    """A TLS connection that ends at a time, and at a number of bytes."""

    connection: "_Connection"
    received = 0

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(self.connection.left())
        count = super().recv_into(buffer, nbytes, flags)
        self.received += count
        if self.received > MAX_BYTES + _HEADER_BYTES:
            self.connection.too_large = True
            raise OSError("too large")
        return count


class _Connection(HTTPSConnection):
    """A connection for one request, which is over at the deadline whatever the server does."""

    def __init__(self, address: urllib3.util.Url, context: ssl.SSLContext, deadline: float) -> None:
        super().__init__(str(address.host).strip("[]"), address.port or 443, ssl_context=context)
        self.deadline = deadline
        self.too_large = False

    def left(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: if there are none.
        """
        if (left := self.deadline - time.monotonic()) <= 0:
            raise TimeoutError("timed out")
        return left

    def get(self, url: str) -> Answer:
        """One answer, with its body if its status is 200. Compressed ones are not asked for, and would not be read."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "atlas", "Connection": "close"}
        self.request("GET", address_of(url).request_uri, headers=headers, preload_content=False, decode_content=False)
        with contextlib.closing(self.getresponse()) as response:
            body = self._body(response) if response.status == 200 else b""
            return Answer(url, response.status, response.headers, body)

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
        assert isinstance(self.sock, _Socket)
        self.sock.connection = self

    def _new_conn(self) -> socket.socket:
        """As the library's own, in the time that is left; each address of the host gets its share of it."""
        addresses = self._resolve()
        for index, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self.left() / (len(addresses) - index + 1))
                made.connect(address)
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


def address_of(url: str) -> urllib3.util.Url:
    """The parts of a service's address.

    Raises:
        InputError: if it is none, or not of https.
    """
    shown = (url or "no address") if "@" not in url else "an address with a password"  # which is not for messages
    try:
        address = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise InputError(f"{shown}: not an address", mend="give one such as https://service.example") from None
    if address.scheme != "https":
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
    context.sslsocket_class = _Socket
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
