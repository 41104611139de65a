"""The file of the embedded log: an SQLite database in WAL mode that several processes may write to.

Entries, subtree hashes and checkpoints are only ever added; triggers hold that even against our own mistakes.
The connection is shared by the threads of one process under a lock, and must not be carried across a fork.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from atlas.errors import HomeVersionError, StorageError

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction."""

_APPLICATION_ID = 0x41544C47  # "ATLG"; says whose database this is, to us and to file(1)
_VERSION = 1

_TABLES = {
    "entry": "idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL UNIQUE, body BLOB NOT NULL",
    "subtree": "level INTEGER, idx INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, idx)",
    "checkpoint": "size INTEGER PRIMARY KEY, note TEXT NOT NULL",
    "identity": "origin TEXT NOT NULL, public_key BLOB NOT NULL",
}
_WITHOUT_ROWID = {"subtree"}

_RESTORE = "restore the file from a backup; what was archived stays verifiable with the receipts it has"
_FAILURES = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "wait for the other `atlas` process to end, or find out why it hangs, then try again",
    ),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "free space on its disk, then try again"),
    sqlite3.SQLITE_IOERR: (
        "cannot be read or written: its disk failed or is full",
        "look at the disk's free space and at the system's log, then try again",
    ),
    sqlite3.SQLITE_READONLY: ("is read-only", "give this user the right to write to it and to its directory"),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "see that its directory exists, that it is a file, and that this user may write there",
    ),
    sqlite3.SQLITE_PERM: ("cannot be opened", "give this user the right to read and write it"),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("is not a database", _RESTORE),
}


def damaged(path: Path, what: str) -> StorageError:
    """The error for a database whose content contradicts itself."""
    return StorageError(f"the log {path} is damaged: {what}", mend=_RESTORE)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ones that name the file and say what to do."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind of failure; the others tell variants apart that have one remedy.
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what, mend = _FAILURES.get(kind, ("failed", ""))
        raise StorageError(f"the log {path} {what} ({error})", mend=mend) from error


def origin_of(path: Path) -> str:
    """Whose log a database is; empty if nobody has begun one in it.

    Raises:
        StorageError, HomeVersionError: as `Store`.
    """
    store = Store(path)
    try:
        return store.value("SELECT origin FROM identity") or ""
    finally:
        store.close()


class Store:
    """An open database of the embedded log."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if there is none.

        Raises:
            StorageError: if that fails, or it is a database of something else.
            HomeVersionError: if a newer Atlas wrote it.
        """
        self.path = path
        self._lock = threading.RLock()
        with _translated(path):
            self._connection = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
            )
        try:
            with _translated(path):
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock, _translated(self.path):
            self._connection.close()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return all of its rows."""
        with self._lock, _translated(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def value(self, sql: str, *parameters: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self.rows(sql, *parameters)
        return rows[0][0] if rows else None

    def add(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """Insert rows into one of our tables."""
        if rows:
            places = ", ".join("?" * len(rows[0]))
            with _translated(self.path):
                self._connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """All or nothing; what is read inside is of one moment, and a writer is alone."""
        with self._lock:
            with _translated(self.path):
                self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN DEFERRED")
            try:
                yield
                with _translated(self.path):
                    self._connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already; the first error is the one that counts.
                with suppress(sqlite3.Error):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        if not self._exists():
            self._switch_to_wal()
            self._create()
        # An acknowledged entry survives a power failure: the log is synced before a transaction returns.
        self._connection.execute("PRAGMA synchronous = FULL")

    def _exists(self) -> bool:
        """Whether the tables are there already; refuses a file that is not ours."""
        tables = self.value("SELECT count(*) FROM sqlite_master")  # first: another process may create them just now
        owner = self.value("PRAGMA application_id")
        if owner == _APPLICATION_ID:
            version = self.value("PRAGMA user_version")
            if version > _VERSION:
                raise HomeVersionError(
                    f"the log {self.path} is of version {version}, and this Atlas knows {_VERSION}",
                    mend="use the Atlas that wrote it, or a newer one",
                )
            return True
        if owner or tables:
            raise StorageError(
                f"{self.path} is a database of something else than an Atlas log",
                mend="name another file; this one was left as it is",
            )
        return False

    def _switch_to_wal(self) -> None:
        # SQLite does not wait for the lock that this needs; two processes that create the file must take
        # turns.
        deadline = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                mode = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise StorageError(
                f"the log {self.path} lies on a file system without shared memory",
                mend="put it on a local disk",
            )

    def _create(self) -> None:
        with self.transaction(write=True):
            if self._exists():
                return
            for table, columns in _TABLES.items():
                without = " WITHOUT ROWID" if table in _WITHOUT_ROWID else ""
                self._connection.execute(f"CREATE TABLE {table} ({columns}){without}")
                for verb in ("UPDATE", "DELETE"):
                    self._connection.execute(
                        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                        "BEGIN SELECT RAISE(ABORT, 'a log only grows'); END"
                    )
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
