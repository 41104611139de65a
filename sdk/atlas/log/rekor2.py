"""A Rekor v2 log that somebody else runs (Rekor v2 specification; C2SP tlog-tiles for reading).

Writing is idempotent, so whatever fails is tried again: an entry that the log holds already is answered with 409 and
its index, and its receipt is then computed from the log's tiles. No receipt leaves this module unverified. Addresses
for writing and reading are given apart, because Rekor serves no tiles itself.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas.closing import Closing
from atlas.errors import AtlasError, FetchError, InputError, Rejected
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.client import record_all
from atlas.log.entry import KIND, VERSION, Entry
from atlas.log.merkle import leaf_hash
from atlas.log.receipt import Receipt, parse_receipt, verify_receipt
from atlas.log.retry import PASSING, Patience
from atlas.log.tail import Tail
from atlas.log.tiles import TileReader
from atlas.log.unheard import Unheard
from atlas.trust import PinnedLog
from atlas.web import Answer, Client, address_of, tls

WRITE_PATH = "/api/v2/log/entries"
AT_ONCE = 256
"""Requests in flight: the log answers when its next checkpoint is published, however many there are."""

_CREATED, _BAD, _MISSING, _FROZEN, _DUPLICATE = 201, 400, 404, 405, 409
_NOT_TAKEN = frozenset({_BAD, _FROZEN, _DUPLICATE, 429, 503})
"""Answers of a log that has not put the entry anywhere; a proxy that gives up (502, 504) cannot know."""


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
            address_of(url, plain=True)


class Rekor2Log(Closing):
    """A client of one log. Threads may share it."""

    def __init__(self, address: Address, patience: Patience | None = None) -> None:
        """Begin; nothing is asked yet.

        Raises:
            InputError: if the authorities that vouch for the server cannot be read.
        """
        self._address = address
        self._patience = patience or Patience(address.patience)
        self._client = Client(tls(address.ca_file), address.timeout)
        self._unheard = Unheard(self._patience.clock)

    @property
    def pinned(self) -> PinnedLog:
        """The log as a trust root pins it."""
        return self._address.pinned

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def record(self, entries: Sequence[Entry]) -> list[Receipt | AtlasError]:
        """Have the log record entries; those that it holds already keep their place.

        Returns:
            For each, in their order, its verified receipt or why there is none, as `record_all`.
        """
        if not entries:
            return []
        try:
            self._unheard.tail = self._unheard.tail or Tail(self.read, self._newest)
        except (FetchError, Rejected) as error:
            return [error for _ in entries]
        return record_all(entries, self._record, AT_ONCE)

    def checkpoint(self) -> str:
        """The newest published checkpoint, a signed note; verified.

        Raises:
            FetchError: if there is none to be had.
            Rejected: if it is not one of this log.
        """
        note = self._published()
        if note is None:
            raise FetchError(f"{self._address.read_url}: has no checkpoint", mend="check the address for reading")
        return note

    def _published(self) -> str | None:
        raw = self.read("checkpoint")
        if raw is None:
            return None
        note = raw.decode("utf-8", "replace")
        open_checkpoint(note, self.pinned)
        return note

    def _newest(self) -> Checkpoint | None:
        note = self._published()
        return open_checkpoint(note, self.pinned) if note is not None else None

    def tiles(self, size: int) -> TileReader:
        """The tree of the first `size` entries, as the tiles show it; reading it raises FetchError, too."""
        return TileReader(self.read, size)

    def receipt(self, index: int, entry: Entry) -> Receipt:
        """The verified receipt of an entry that the log holds, computed from its tiles.

        Raises:
            FetchError: if the tiles cannot be had.
            Rejected: if the log holds something else there, or its tiles do not lead to its checkpoint.
        """
        note = self.checkpoint()
        signed = open_checkpoint(note, self.pinned)
        if index >= signed.size:  # its checkpoints are published later than it answers
            raise FetchError(
                f"{self._address.read_url}: its checkpoint has {signed.size} entries, and {index} is asked for",
                passing=True,
            )
        reader = self.tiles(signed.size)
        try:
            body, path = reader.entry(index), tuple(reader.inclusion(index))
        except InputError as error:
            mend = "check the address for reading"
            raise FetchError(f"{self._address.read_url}: {error}", mend=mend, passing=True) from error
        found = Receipt(index, self.pinned.key_id, index, signed.size, signed.root, path, note, body)
        verify_receipt(found, entry, [self.pinned])
        return found

    def read(self, path: str) -> bytes | None:
        """What lies at a path for reading (C2SP tlog-tiles), unverified; None where there is nothing.

        Raises:
            FetchError: if it cannot be had.
        """
        url = f"{self._address.read_url.rstrip('/')}/{path}"
        failure = FetchError(f"{url}: was not asked")
        for left in self._patience.tries():
            try:
                answer = self._ask("GET", url, None, left)
            except FetchError as error:
                if not error.passing:
                    raise
                failure = error
                continue
            if answer.status in (200, _MISSING):
                return answer.body if answer.status == 200 else None
            failure = FetchError(f"{url}: answered {answer.status}", mend="check the address for reading")
            if answer.status not in PASSING:
                break
        raise failure

    def _record(self, entry: Entry) -> Receipt:
        url, request = self._address.write_url.rstrip("/") + WRITE_PATH, json.dumps(entry.to_request()).encode()
        leaf = leaf_hash(entry.canonical_body())
        failure: FetchError | InputError = FetchError(f"{url}: was not asked")
        for left in self._patience.tries():
            try:
                if leaf in self._unheard and (found := self._taken(leaf, entry, left)):
                    return found
                sent = self._unheard.sent(leaf)
                answer = self._ask("POST", url, request, left)
                if answer.status == _CREATED:
                    self._unheard.heard(leaf, sent)
                    return self._accepted(answer.body, entry)
                if answer.status in _NOT_TAKEN:
                    self._unheard.heard(leaf)
                if answer.status == _DUPLICATE:
                    return self.receipt(self._index(answer.headers.get("x-log-index")), entry)
            except FetchError as error:
                if not error.passing:
                    raise
                failure = error
                continue
            failure = self._refusal(answer)
            if answer.status not in PASSING:
                break
        raise failure

    def _taken(self, leaf: bytes, entry: Entry, left: float) -> Receipt | None:
        """The receipt of an entry that the log took when nobody heard its answer; None if it did not take it.

        Raises:
            FetchError: if that cannot be told yet.
        """
        self._ask("GET", f"{self._address.write_url.rstrip('/')}/healthz", None, left)  # whatever it says of that
        if wait := self._unheard.up():
            self._patience.sleep(wait)
            if self._unheard.up():  # it went away in between
                raise FetchError(f"{self._address.write_url}: comes and goes", mend="try again later", passing=True)
        try:
            index = self._unheard.tail.find(leaf) if self._unheard.tail else None
        except InputError as error:  # a tile is not there yet; the entry is none the worse for it
            raise FetchError(f"{self._address.read_url}: {error}", mend="try again later", passing=True) from error
        if index is None:
            return None
        self._unheard.heard(leaf)
        return self.receipt(index, entry)

    def _accepted(self, body: bytes, entry: Entry) -> Receipt:
        receipt = parse_receipt(body)
        verify_receipt(receipt, entry, [self.pinned])
        return receipt

    def _index(self, stated: str | None) -> int:
        if stated is None or not stated.isdecimal() or len(stated) > 18:
            raise FetchError(
                f"{self._address.write_url}: says that it holds the entry already, and not where",
                mend="update the log: Rekor v2 states the index in the header x-log-index",
                passing=True,
            )
        return int(stated)

    def _refusal(self, answer: Answer) -> FetchError | InputError:
        words = answer.body[:200].decode("utf-8", "replace").strip()
        if answer.status == _BAD:
            return InputError(
                f"{self._address.write_url}: refuses the entry: {words}", mend=f"it must be a {KIND} {VERSION}"
            )
        if answer.status == _FROZEN:
            mend = "this shard takes no more entries: pin the log's next one, and keep this one for old receipts"
            return FetchError(f"{self._address.write_url}: is frozen", mend=mend)
        mend = "try again later" if answer.status in PASSING else "check the address for writing"
        return FetchError(f"{self._address.write_url}: answered {answer.status}: {words}", mend=mend)

    def _ask(self, method: str, url: str, body: bytes | None, left: float) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        # the first try has its whole time, the last ones only what is left of all
        timeout = self._address.timeout if left <= 0 else min(self._address.timeout, left)
        try:
            return self._client.ask(method, url, body, headers, timeout=timeout)
        except FetchError:
            if url.startswith(self._address.write_url):
                self._unheard.down()
            raise
