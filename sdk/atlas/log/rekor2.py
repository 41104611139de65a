"""A Rekor v2 log that somebody else runs (Rekor v2 specification; C2SP tlog-tiles for reading).

Writing is idempotent, so whatever fails is tried again: an entry that the log holds already is answered with 409 and
its index, and its receipt is then computed from the log's tiles. No receipt leaves this module unverified. Addresses
for writing and reading are given apart, because Rekor serves no tiles itself.
"""

import contextlib
import json
import random
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3

from atlas.errors import FetchError, InputError
from atlas.log.checkpoint import open_checkpoint
from atlas.log.entry import KIND, VERSION, Entry
from atlas.log.receipt import Receipt, parse_receipt, verify_receipt
from atlas.log.tiles import TileReader
from atlas.trust import PinnedLog

WRITE_PATH = "/api/v2/log/entries"
AT_ONCE = 64
"""Requests in flight: the log answers when its next checkpoint is published, however many there are."""
MAX_ANSWER = 1 << 20
"""Bytes of one answer; a full entry bundle of Rekor's entries has some 250 kB."""

_CREATED, _BAD, _MISSING, _FROZEN, _DUPLICATE = 201, 400, 404, 405, 409
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


@dataclass(frozen=True)
class Address:
    """Where a log is, and which it must be."""

    write_url: str
    read_url: str
    """Of its tiles and checkpoints."""
    pinned: PinnedLog
    ca_file: Path | None = None
    """Authorities (PEM) that vouch for the server, in place of those of the system."""
    timeout: float = 30.0
    """Seconds for one answer: Rekor gives it once the entry is integrated (specification: 20 at least)."""
    patience: float = 120.0
    """Seconds after which an entry is given up that the log has not taken."""

    def __post_init__(self) -> None:
        for url in (self.write_url, self.read_url):
            try:
                parts = urllib3.util.parse_url(url)
                good = parts.scheme in ("http", "https") and parts.host and not parts.auth
            except urllib3.exceptions.LocationParseError:
                good = False
            if not good:
                raise InputError(f"{url!r} is not the address of a log", mend="give one such as https://rekor.example")


class Rekor2Log:
    """A client of one log. Threads may share it."""

    def __init__(
        self,
        address: Address,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin; nothing is asked yet. Time is a parameter, so that waiting can be tested without waiting.

        Raises:
            InputError: if the authorities that vouch for the server cannot be read.
        """
        self._address = address
        self._sleep, self._clock = sleep, clock
        self._http = urllib3.PoolManager(
            maxsize=AT_ONCE,
            retries=False,
            timeout=urllib3.Timeout(connect=min(5.0, address.timeout), read=address.timeout),
            ssl_context=_tls(address.ca_file),
        )

    @property
    def pinned(self) -> PinnedLog:
        """The log as a trust root pins it."""
        return self._address.pinned

    def close(self) -> None:
        """Close all connections."""
        self._http.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Have the log record entries; those that it holds already keep their place.

        Returns:
            A verified receipt for each, in their order.

        Raises:
            InputError: if the log refuses an entry for what it is.
            FetchError: if it cannot be reached, or takes too long. What it took by then it keeps.
            Rejected: if what it answers does not hold.
        """
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(entries))), "atlas-rekor") as pool:
            pending = [pool.submit(self._record, entry) for entry in entries]
            try:
                return [each.result() for each in pending]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def checkpoint(self) -> str:
        """The newest published checkpoint, a signed note; verified.

        Raises:
            FetchError: if there is none to be had.
            Rejected: if it is not one of this log.
        """
        raw = self._read("checkpoint")
        if raw is None:
            raise FetchError(f"{self._address.read_url}: has no checkpoint", mend="check the address for reading")
        note = raw.decode("utf-8", "replace")
        open_checkpoint(note, self.pinned)
        return note

    def tiles(self, size: int) -> TileReader:
        """The tree of the first `size` entries, as the tiles show it; reading it raises FetchError, too."""
        return TileReader(self._read, size)

    def receipt(self, index: int, entry: Entry) -> Receipt:
        """The verified receipt of an entry that the log holds, computed from its tiles.

        Raises:
            FetchError: if the tiles cannot be had.
            Rejected: if the log holds something else there, or its tiles do not lead to its checkpoint.
        """
        note = self.checkpoint()
        size = open_checkpoint(note, self.pinned).size
        if index >= size:
            raise FetchError(f"{self._address.read_url}: its checkpoint has {size} entries, and {index} is asked for")
        reader = self.tiles(size)
        try:
            body, path = reader.entry(index), tuple(reader.inclusion(index))
        except InputError as error:
            raise FetchError(f"{self._address.read_url}: {error}", mend="check the address for reading") from error
        root = open_checkpoint(note, self.pinned).root
        found = Receipt(index, self.pinned.key_id, index, size, root, path, note, body)
        verify_receipt(found, entry, [self.pinned])
        return found

    def _record(self, entry: Entry) -> Receipt:
        url, request = self._address.write_url.rstrip("/") + WRITE_PATH, json.dumps(entry.to_request()).encode()
        failure: FetchError | InputError | None = None
        for _ in self._tries():
            try:
                status, headers, body = self._ask("POST", url, request)
                if status == _CREATED:
                    return self._accepted(body, entry)
                if status == _DUPLICATE:
                    return self.receipt(self._index(headers.get("x-log-index")), entry)
            except FetchError as error:
                failure = error
                continue
            failure = self._refusal(status, body)
            if status not in _PASSING:
                break
        raise failure or FetchError(f"{url}: was not asked")

    def _accepted(self, body: bytes, entry: Entry) -> Receipt:
        receipt = parse_receipt(body)
        verify_receipt(receipt, entry, [self.pinned])
        return receipt

    def _index(self, stated: str | None) -> int:
        if stated is None or not stated.isdecimal() or len(stated) > 18:
            raise FetchError(
                f"{self._address.write_url}: says that it holds the entry already, and not where",
                mend="update the log: Rekor v2 states the index in the header x-log-index",
            )
        return int(stated)

    def _refusal(self, status: int, body: bytes) -> FetchError | InputError:
        words = body[:200].decode("utf-8", "replace").strip()
        if status == _BAD:
            return InputError(
                f"{self._address.write_url}: refuses the entry: {words}", mend=f"it must be a {KIND} {VERSION}"
            )
        if status == _FROZEN:
            mend = "this shard takes no more entries: pin the log's next one, and keep this one for old receipts"
            return FetchError(f"{self._address.write_url}: is frozen", mend=mend)
        mend = "try again later" if status in _PASSING else "check the address for writing"
        return FetchError(f"{self._address.write_url}: answered {status}: {words}", mend=mend)

    def _tries(self) -> Iterator[int]:
        """Numbers of tries, with pauses between them that grow and vary, until the patience is at its end."""
        deadline = self._clock() + self._address.patience
        attempt = 0
        while True:
            yield attempt
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311  no secret
            if self._clock() + pause > deadline:
                return
            self._sleep(pause)
            attempt += 1

    def _read(self, path: str) -> bytes | None:
        """What lies at a path for reading; None where there is nothing."""
        url = f"{self._address.read_url.rstrip('/')}/{path}"
        failure: FetchError | None = None
        for _ in self._tries():
            try:
                status, _headers, body = self._ask("GET", url, None)
            except FetchError as error:
                failure = error
                continue
            if status in (200, _MISSING):
                return body if status == 200 else None
            failure = FetchError(f"{url}: answered {status}", mend="check the address for reading")
            if status not in _PASSING:
                break
        raise failure or FetchError(f"{url}: was not asked")

    def _ask(self, method: str, url: str, body: bytes | None) -> tuple[int, urllib3.HTTPHeaderDict, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._http.request(
                method, url, body=body, headers=headers, redirect=False, preload_content=False, decode_content=False
            )
            with contextlib.closing(answer):
                read = answer.read(MAX_ANSWER + 1)
                length = answer.length_remaining
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = getattr(error, "reason", None) or error
            raise FetchError(
                f"{url}: {cause}", mend="check the address, and that the log runs and can be reached from here"
            ) from error
        if len(read) > MAX_ANSWER:
            raise FetchError(f"{url}: an answer of over {MAX_ANSWER} bytes", mend="check that this is a log")
        if length:
            raise FetchError(f"{url}: the answer breaks off", mend="try again later")
        return answer.status, answer.headers, read


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        mend = "give a file of PEM certificates"
        raise InputError(f"{ca_file}: {error.strerror or error}", mend=mend) from error
