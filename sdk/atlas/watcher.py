"""Watching the logs of a home: what is kept of each log lies in the folder `watch/`, with the evidence of its alarms.

    <log>.json                   the last verified checkpoint, when it was first seen, the position among the entries
    <log>.<code>-<digest>.json   one alarm, with all that proves it to somebody else
    <log>.lock                   held while a round is under way

`<log>` is of the origin's SHA-256. What is kept has a digest of its own: a damaged file is an error and never a
beginning, which would forgive whatever the log has done since.
"""

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atlas.canonical import dump_canonical
from atlas.errors import InputError, Rejected, StateError, StorageError
from atlas.home import Home
from atlas.interop.verify import read_manifest
from atlas.log.alarm import Alarm, Holdings, Order, State
from atlas.log.checkpoint import open_checkpoint
from atlas.log.claim import claim_entry
from atlas.log.encoding import fields, load_json, to_integer
from atlas.log.entry import Entry
from atlas.log.interface import TiledLog
from atlas.log.look import Look
from atlas.log.rekor1 import Rekor1Log
from atlas.log.watch import Round
from atlas.log.watch1 import Round1
from atlas.trust import PinnedLog

FOLDER = "watch"
_MAX_STATE = 1 << 20
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_MEND = (
    "restore it from a backup; or remove it, and begin with --expect-checkpoint and a checkpoint that you have from "
    "somebody else: what the log did since then is not known otherwise"
)


@dataclass(frozen=True)
class Looked:
    """What a round came to."""

    size: int
    read: int
    unreadable: int
    alarms: int
    first: bool
    """Whether nothing was known of the log before, so that what it shows is trusted as it is."""


def _entry_of(kept: bytes) -> Entry:
    return claim_entry(read_manifest(kept))


class Watcher:
    """What is kept of one log."""

    def __init__(self, home: Home, log: PinnedLog) -> None:
        self._home, self._log = home, log
        self._name = f"{FOLDER}/{hashlib.sha256(log.origin.encode()).hexdigest()[:16]}"

    def look(
        self,
        log: TiledLog | Rekor1Log,
        archive: Holdings,
        order: Order,
        now: dt.datetime,
        tell: Callable[[dict[str, Any]], None],
    ) -> Looked:
        """One round: tells each alarm, once its evidence is kept, and keeps what was verified.

        Raises:
            AtlasError: if the log, the archive or what is kept cannot be read or written.
        """
        alarms, kept = 0, False
        with self._alone():
            state = self._load()
            looking: Look = (
                Round1(log, state, archive, order, now)
                if isinstance(log, Rekor1Log)
                else Round(log, state, archive, order, now, _entry_of)
            )
            for each in looking.run():
                if isinstance(each, State):
                    self._keep(each)
                    kept = True
                else:
                    alarms += 1
                    tell(self._kept_evidence(each, now))
        return Looked(looking.size, looking.read, looking.unreadable, alarms, first=kept and state is None)

    @property
    def _path(self) -> Path:
        return self._home.path / f"{self._name}.json"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two rounds at once could each put back what the other has kept."""
        path = self._home.path / f"{self._name}.lock"
        try:
            path.parent.mkdir(exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise StorageError(
                f"{path}: cannot be written: {error.strerror or error}", mend="grant this user the right to write there"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                mend = "wait for it to end"
                raise StateError(f"{path}: another `atlas log watch` is under way", mend=mend) from error
            yield

    def _load(self) -> State | None:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be read: {error.strerror or error}", mend=_MEND) from error
        try:
            return self._parsed(raw)
        except (ValueError, TypeError, AttributeError, Rejected) as error:
            raise StorageError(f"{self._path}: is damaged: {error}", mend=_MEND) from error

    def _parsed(self, raw: bytes) -> State:
        outer = fields(load_json(raw, _MAX_STATE), ["sha256", "state"])
        if outer["sha256"] != hashlib.sha256(dump_canonical(outer["state"])).hexdigest():
            raise ValueError("its content is not what was written")
        kept = fields(outer["state"], ["origin", "checkpoint", "seen", "position", "accepted"])
        if kept["origin"] != self._log.origin:
            raise ValueError(f"it is of {kept['origin']}")
        open_checkpoint(kept["checkpoint"], self._log)
        seen = dt.datetime.strptime(kept["seen"], _TIME).replace(tzinfo=dt.UTC)
        return State(
            kept["checkpoint"], seen, to_integer(kept["position"]), frozenset(map(to_integer, kept["accepted"]))
        )

    def _keep(self, state: State) -> None:
        kept = {
            "origin": self._log.origin,
            "checkpoint": state.checkpoint,
            "seen": state.seen.strftime(_TIME),
            "position": str(state.position),
            "accepted": [str(index) for index in sorted(state.accepted)],
        }
        document = {"sha256": hashlib.sha256(dump_canonical(kept)).hexdigest(), "state": kept}
        self._home.write(f"{self._name}.json", json.dumps(document, indent=2).encode() + b"\n")

    def _kept_evidence(self, alarm: Alarm, now: dt.datetime) -> dict[str, Any]:
        """The alarm as it is told, after a file was written that proves it; the same alarm is the same file again."""
        said = {"time": now.strftime(_TIME), "origin": self._log.origin, **alarm.to_json()}
        name = f"{self._name}.{alarm.code}-{alarm.sha256[:16]}.json"
        if not (self._home.path / name).exists():
            self._home.write(name, json.dumps({**said, "proof": alarm.proof}, indent=2).encode() + b"\n")
        return {**said, "evidence": str(self._home.path / name)}


def read_checkpoint(path: Path, logs: list[PinnedLog]) -> tuple[PinnedLog, str]:
    """Read a signed checkpoint that somebody hands in, and find whose it is.

    Raises:
        InputError: if it cannot be read, or none of the logs has signed it.
    """
    try:
        note = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    for log in logs:
        if note.startswith((f"{log.origin}\n", f"{log.origin} - ")):  # of Rekor v1, a tree's number follows
            try:
                open_checkpoint(note, log)
            except Rejected as rejected:
                raise InputError(
                    f"{path}: {rejected}", mend="give a signed checkpoint as the log served it"
                ) from rejected
            return log, note
    raise InputError(
        f"{path}: not a checkpoint of a log that is watched",
        mend=f"give one of {', '.join(log.origin for log in logs)}",
    )
