"""What watching a log is about: what is asked, what is kept from one look to the next, and what is said to be wrong."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from atlas.canonical import dump_canonical
from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.trust import Authority


@dataclass(frozen=True)
class State:
    """What is kept of a log.

    Attributes:
        checkpoint: the last one that was verified, a signed note.
        seen: when its text was first seen here.
        position: the index of the first entry that was not looked at yet.
        accepted: indices of unknown entries that somebody has looked into.
    """

    checkpoint: str
    seen: dt.datetime
    position: int = 0
    accepted: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Alarm:
    """Something is wrong with a log.

    Attributes:
        checkpoints: the signed notes that prove it, or that it was found by; last, what the log shows now.
        proof: what else proves it, JSON.
    """

    code: Code
    message: str
    expected: str = ""
    found: str = ""
    checkpoints: tuple[str, ...] = ()
    proof: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, rejected: Rejected, note: str, about: str = "") -> "Alarm":
        """The alarm that a rejected proof amounts to."""
        notes = (note,) if note else ()
        return cls(rejected.code, f"{about}{rejected}", rejected.expected, rejected.found, notes)

    @property
    def sha256(self) -> str:
        """The same for the same alarm, also when the log has grown since."""
        return hashlib.sha256(dump_canonical([self.code, self.message, *self.checkpoints[:-1]])).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """A JSON object with stable keys."""
        return {
            "code": self.code.value,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
            "mend": CATALOGUE[self.code].mend,
            "checkpoints": list(self.checkpoints),
        }


@dataclass(frozen=True)
class Order:
    """What is watched for.

    Attributes:
        authorities: whose entries the archive must know.
        compare: checkpoints that others were shown, signed notes.
        max_age: how long one checkpoint may stand while something is expected; None: for ever.
        shared: whether others write to the log too, so that something is always expected.
        accept: indices of unknown entries that are not to be alarms.
        audit: whether to read all entries again.
    """

    authorities: tuple[Authority, ...] = ()
    compare: tuple[str, ...] = ()
    max_age: dt.timedelta | None = None
    shared: bool = False
    accept: frozenset[int] = frozenset()
    audit: bool = False


class HeldManifest(Protocol):
    """A manifest as an archive hands it out."""

    @property
    def sidecar(self) -> bytes:
        """The C2PA manifest store."""


class Holdings(Protocol):
    """What an archive tells a watcher."""

    def receipts(self) -> Iterator[tuple[str, str, bytes]]:
        """(box digest, log origin, receipt) of all receipts."""

    def manifest(self, box_sha256: str) -> HeldManifest | None:
        """The manifest with this box digest."""

    def entries(self) -> Sequence[bytes]:
        """Entries that were logged for other reasons than a manifest."""

    def unlogged(self) -> Sequence[HeldManifest]:
        """Manifests without any receipt."""
