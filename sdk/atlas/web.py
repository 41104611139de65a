"""Asking a service over HTTP, bounded in size; no redirect is followed, and certificates are always verified."""

import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import urllib3

from atlas.errors import FetchError, InputError

MAX_BYTES = 1 << 20
"""Most bytes of one answer's body."""

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    url: str
    status: int
    headers: urllib3.HTTPHeaderDict
    body: bytes


class Client:
    """Asks services; every answer is whole, or a `FetchError`. Threads may share it."""

    def __init__(self, context: ssl.SSLContext, timeout: float) -> None:
        """Begin; `timeout` is in seconds."""
        self._http = urllib3.PoolManager(
            maxsize=64, retries=False, timeout=urllib3.Timeout(timeout), ssl_context=context
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self._http.clear()

    def ask(self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] = _NONE) -> Answer:
        """One request, and the answer to it, whatever its status.

        Raises:
            FetchError: if there is no whole answer in time.
        """
        try:
            answer = self._http.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False, decode_content=False
            )
            with contextlib.closing(answer):
                read = answer.read(MAX_BYTES + 1)
                length = answer.length_remaining
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            mend = "check the address, and that the service runs and can be reached from here"
            raise FetchError(f"{url}: {cause}", mend=mend) from error
        if len(read) > MAX_BYTES:
            raise FetchError(f"{url}: the answer is over {MAX_BYTES} bytes", mend="check the address")
        if length:
            raise FetchError(f"{url}: the answer breaks off", mend="try again later")
        return Answer(url, answer.status, answer.headers, read)


def address_of(url: str, *, plain: bool = False) -> urllib3.util.Url:
    """The parts of a service's address; `plain` allows http.

    Raises:
        InputError: if it is none.
    """
    try:
        address = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise InputError(f"{url}: not an address", mend="give one such as https://service.example") from None
    if address.scheme != "https" and not (plain and address.scheme == "http"):
        raise InputError(f"{url}: a service is asked over https only", mend="give one that begins with https://")
    if not address.host or address.auth or address.fragment:
        raise InputError(f"{url}: not that of a service", mend="give one such as https://service.example")
    return address


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """Authorities (PEM) that vouch for the service; None: those of the system.

    Raises:
        InputError: if they cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        mend = "give a file of PEM certificates"
        raise InputError(f"{ca_file}: {error.strerror or error}", mend=mend) from error
