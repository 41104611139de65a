"""One look at a log of whatever kind: what is alike in `watch` (a tree that can be read) and `watch1` (Rekor v1)."""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Iterator

from atlas.codes import Code
from atlas.errors import ClockError, InputError, Rejected
from atlas.log.alarm import Alarm, Holdings, Order, State
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.merkle import EMPTY_ROOT
from atlas.trust import PinnedLog

MAX_ALARMS = 100
"""Of one look: after these the rest is left to the next one."""


class Look(ABC):
    """One look at a log.

    Attributes:
        size: entries that the log shows.
        read: entries that were looked at.
        unreadable: entries among them that cannot be read.
    """

    def __init__(
        self, pinned: PinnedLog, state: State | None, archive: Holdings, order: Order, now: dt.datetime
    ) -> None:
        """Begin; nothing is asked yet."""
        self._pinned, self._state, self._archive, self._order, self._now = pinned, state, archive, order, now
        self._waiting = False
        self._note = ""
        self.size = self.read = self.unreadable = 0

    def run(self) -> Iterator[Alarm | State]:
        """Look; yields alarms, and what is to be kept from there on.

        Raises:
            AtlasError: if the log or the archive cannot be read; then what was not kept is to be looked at again.
        """
        try:
            self._begin()
            told = 0
            for alarm in self._broken_promises():
                told += 1
                yield alarm
                if told == MAX_ALARMS:
                    return
            if told or not self._note:
                return
            state = self._renewed()
            yield state
            yield from self._stale(state)
            yield from self._scan(state)
        except Rejected as rejected:
            yield Alarm.of(rejected, self._note)

    @abstractmethod
    def _begin(self) -> None:
        """Read the newest checkpoint: before the archive, whose manifests are there before the log has them."""

    @abstractmethod
    def _contradictions(self) -> Iterator[Alarm]:
        """What contradicts the checkpoints and the receipts that the log has given."""

    @abstractmethod
    def _scan(self, state: State) -> Iterator[Alarm | State]:
        """Look at all entries that were not looked at yet."""

    def _opened(self, note: str) -> Checkpoint:
        return open_checkpoint(note, self._pinned) if note else Checkpoint(self._pinned.origin, 0, EMPTY_ROOT)

    def _kept(self) -> tuple[str, ...]:
        """Checkpoints from the last look and from others."""
        return (*((self._state.checkpoint,) if self._state else ()), *self._order.compare)

    def _broken_promises(self) -> Iterator[Alarm]:
        """Each contradiction once."""
        told: set[tuple[Code, str]] = set()
        for alarm in self._contradictions():
            if (alarm.code, alarm.message) not in told:
                told.add((alarm.code, alarm.message))
                yield alarm

    def _smaller(self, note: str, size: int, shown: str) -> Alarm:
        """The log shows a smaller tree than it has signed."""
        signed = self._opened(note).size
        return Alarm(
            Code.LOG_ROLLED_BACK,
            f"the log shows {size} entries, and has signed a tree of {signed}",
            expected=f"at least {signed} entries",
            found=f"{size} entries",
            checkpoints=tuple(filter(None, (note, shown))),
        )

    def _renewed(self) -> State:
        if beyond := [index for index in self._order.accept if index >= self.size]:
            raise InputError(
                f"entry {beyond[0]} cannot be accepted: the log has {self.size} entries, counted from 0",
                mend="give the index that the alarm names",
            )
        before = self._state or State(self._note, self._now)
        # of a note only the text is the log's word: anybody can add signatures
        same = before.checkpoint.rpartition("\n\n")[0] == self._note.rpartition("\n\n")[0]
        return State(
            self._note,
            before.seen if same else self._now,
            0 if self._order.audit else before.position,
            before.accepted | self._order.accept,
        )

    def _stale(self, state: State) -> Iterator[Alarm]:
        if self._order.max_age is None or not (self._order.shared or self._waiting):
            return
        if state.seen > self._now:
            raise ClockError(
                f"this machine's clock says {self._now:%FT%TZ}, and the log was looked at {state.seen:%FT%TZ}",
                mend="set the clock",
            )
        if self._now - state.seen > self._order.max_age:
            yield Alarm(
                Code.LOG_STALE,
                f"the log has shown the same {self.size} entries since {state.seen:%FT%TZ}, when they were first seen",
                expected=f"another checkpoint within {self._order.max_age}",
                found=f"the same since {state.seen:%FT%TZ}",
                checkpoints=(self._note,),
            )
