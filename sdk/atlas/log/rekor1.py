"""A Rekor v1 log that somebody else runs (Rekor's openapi.yaml, version 1), such as the public one of Sigstore.

Writing is idempotent, so whatever fails is tried again: an entry that the log holds already is answered with 409 and
its place, where its receipt is then asked for. No receipt leaves this module unverified.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas.closing import Closing
from atlas.errors import AtlasError, FetchError, InputError
from atlas.log.checkpoint import open_checkpoint
from atlas.log.client import record_all
from atlas.log.entry import KIND, VERSION_1, Entry
from atlas.log.receipt import Receipt, verify_receipt
from atlas.log.rekor1_wire import parse_checkpoints, parse_consistency, parse_entry
from atlas.log.retry import PASSING, Patience
from atlas.trust import PinnedLog
from atlas.web import Answer, Client, address_of, tls

LOG_PATH = "/api/v1/log"
ENTRIES_PATH = "/api/v1/log/entries"
AT_ONCE = 8
"""Requests in flight; the public log allows some hundreds a minute from one address."""

_CREATED, _BAD, _MISSING, _DUPLICATE = 201, 400, 404, 409
_ENTRY_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{80}")
_ADDRESS = "check the log's address"


@dataclass(frozen=True)
class Address1:
    """Where a Rekor v1 log is, and which it must be."""

    url: str
    pinned: PinnedLog
    ca_file: Path | None = None
    """Authorities (PEM) that vouch for the server, in place of those of the system."""
    timeout: float = 30.0
    """Seconds for one answer."""
    patience: float = 120.0
    """Seconds after which an entry is given up that the log has not taken."""

    def __post_init__(self) -> None:
        address_of(self.url, plain=True)
        if self.pinned.rekor != 1:
            raise InputError(f"{self.pinned.origin}: is pinned as a log of Rekor v{self.pinned.rekor}, not v1")


class Rekor1Log(Closing):
    """A client of one log. Threads may share it."""

    def __init__(self, address: Address1, patience: Patience | None = None) -> None:
        """Begin; nothing is asked yet.

        Raises:
            InputError: if the authorities that vouch for the server cannot be read.
        """
        self._address = address
        self._url = address.url.rstrip("/")
        self._patience = patience or Patience(address.patience)
        self._client = Client(tls(address.ca_file), address.timeout)

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
        return record_all(entries, self._record, AT_ONCE)

    def checkpoint(self) -> str:
        """The newest checkpoint of the tree that takes entries, a signed note; verified.

        Raises:
            FetchError: if there is none to be had.
            Rejected: if it is not one of this log.
        """
        note = self.heads()[0]
        open_checkpoint(note, self.pinned)
        return note

    def heads(self) -> tuple[str, ...]:
        """The newest checkpoint of each of its trees, not verified; first of the one that takes entries.

        Raises:
            FetchError: if there are none to be had.
        """
        answer = self._asked("GET", self._url + LOG_PATH)
        if answer.status != 200:
            raise _failure(answer)
        try:
            return parse_checkpoints(answer.body)
        except ValueError as error:
            raise FetchError(f"{answer.url}: not the state of a log: {error}", mend=_ADDRESS) from error

    def consistency(self, origin: str, old: int, new: int) -> list[bytes]:
        """The log's proof that a tree of it extends what it was, not verified.

        Args:
            origin: of the tree, as its checkpoints say.
            old: its size then.
            new: its size now.

        Raises:
            FetchError: if there is none to be had.
        """
        query = f"firstSize={old}&lastSize={new}&treeID={_tree(origin)}"
        answer = self._asked("GET", f"{self._url}{LOG_PATH}/proof?{query}")
        if answer.status != 200:
            raise _failure(answer)
        try:
            return parse_consistency(answer.body)
        except ValueError as error:
            raise FetchError(f"{answer.url}: not a consistency proof: {error}", mend=_ADDRESS) from error

    def held(self, origin: str, leaf: bytes) -> Receipt | None:
        """What the log answers about an entry, not verified; None if it has no such entry.

        Args:
            origin: of the tree, as its checkpoints say.
            leaf: the entry's hash.

        Raises:
            FetchError: if it does not answer.
            Rejected: if the answer cannot be read.
        """
        answer = self._asked("GET", f"{self._url}{ENTRIES_PATH}/{_tree(origin):016x}{leaf.hex()}")
        if answer.status == _MISSING:
            return None
        if answer.status != 200:
            raise _failure(answer)
        return parse_entry(answer.body)

    def _record(self, entry: Entry) -> Receipt:
        answer = self._asked("POST", self._url + ENTRIES_PATH, entry.canonical_body(1))
        if answer.status == _DUPLICATE:
            # what it has taken and not yet put into its tree is missing for a while
            place = f"{self._url}{ENTRIES_PATH}/{self._place(answer)}"
            answer = self._asked("GET", place, passing=PASSING | {_MISSING})
        if answer.status not in (200, _CREATED):
            raise self._refusal(answer)
        receipt = parse_entry(answer.body)
        verify_receipt(receipt, entry, [self.pinned])
        return receipt

    def _place(self, answer: Answer) -> str:
        """The id of an entry that the log holds already; of its address no more than that is believed."""
        place = (answer.headers.get("Location") or "").rpartition("/")[2]
        if not _ENTRY_ID.fullmatch(place):
            raise FetchError(
                f"{answer.url}: says that it holds the entry already, and not where",
                mend="see that nothing between here and the log takes the header Location away",
            )
        return place

    def _asked(self, method: str, url: str, body: bytes | None = None, passing: Collection[int] = PASSING) -> Answer:
        """An answer, asked for again while the status is one that may pass, or there is no answer."""
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        failure: FetchError | InputError = FetchError(f"{url}: was not asked")
        for left in self._patience.tries():
            # the first try has its whole time, the last ones only what is left of all
            timeout = self._address.timeout if left <= 0 else min(self._address.timeout, left)
            try:
                answer = self._client.ask(method, url, body, headers, timeout=timeout)
            except FetchError as error:
                if not error.passing:
                    raise
                failure = error
                continue
            if answer.status not in passing:
                return answer
            failure = _failure(answer)
        raise failure

    def _refusal(self, answer: Answer) -> FetchError | InputError:
        """Why an entry was not taken."""
        if answer.status == _BAD:
            mend = f"it must be a {KIND} {VERSION_1}"
            return InputError(f"{answer.url}: refuses the entry: {_words(answer)}", mend=mend)
        return _failure(answer)


def _failure(answer: Answer) -> FetchError:
    mend = "try again later" if answer.status in PASSING else _ADDRESS
    return FetchError(f"{answer.url}: answered {answer.status}: {_words(answer)}", mend=mend)


def _words(answer: Answer) -> str:
    return answer.body[:200].decode("utf-8", "replace").strip()


def _tree(origin: str) -> int:
    """The number of a tree, which stands at the end of its checkpoints' origin."""
    return int(origin.rpartition(" - ")[2])
