"""The embedded log: a transparency log in one file, that needs no server.

Its receipts and tiles are those of Rekor v2 (C2SP tlog-tiles, tlog-checkpoint). One transaction holds the
entries of a batch, the hashes of the subtrees that it completes and the signed checkpoint, so that a crash
can neither tear the tree nor lose an entry that `append` has returned. The size is read inside of that
transaction and never remembered, because other processes append to the same file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.closing import Closing
from atlas.errors import InputError, Rejected, StateError, StorageError
from atlas.log import merkle
from atlas.log.checkpoint import (
    Checkpoint,
    check_origin,
    open_checkpoint,
    peek_checkpoint,
    sign_checkpoint,
)
from atlas.log.entry import Entry
from atlas.log.receipt import Receipt
from atlas.log.store import Store, damaged
from atlas.log.tiles import LEVELS_PER_TILE, MAX_ENTRY, WIDTH, TileReader, make_bundle, parse_tile_path
from atlas.trust import PinnedLog

_CHUNK = 256


@dataclass(frozen=True)
class Appended:
    """Where an entry is.

    Attributes:
        index: of the entry.
        duplicate: whether the log held the very same entry before.
    """

    index: int
    duplicate: bool


class EmbeddedLog(Closing):
    """An open embedded log; use `EmbeddedLog.open`. Threads may share it; a forked child opens its own."""

    def __init__(self, store: Store, key: ed25519.Ed25519PrivateKey | None, pinned: PinnedLog) -> None:
        self._store = store
        self._key = key
        self.pinned = pinned
        """The log as a trust root pins it."""

    @classmethod
    def open(cls, path: Path, origin: str, key: ed25519.Ed25519PrivateKey) -> Self:
        """Open the log in a file, and create it if there is none.

        Args:
            path: of the database.
            origin: the log's name, for ever.
            key: signs the checkpoints, for ever.

        Raises:
            InputError: if the origin cannot be one.
            StorageError: if the file cannot be used, belongs to another log, or contradicts itself.
            HomeVersionError: if a newer Atlas wrote it.
        """
        check_origin(origin)
        return cls(Store(path), key, PinnedLog(origin, key.public_key()))._checked()

    @classmethod
    def read(cls, path: Path, pinned: PinnedLog) -> Self:
        """Open a log that nothing is added to, without its key.

        Raises:
            StorageError: as `open`; or if there is none.
            HomeVersionError: if a newer Atlas wrote it.
        """
        if not path.exists():
            raise StorageError(f"the log {path} is gone", mend="restore it from a backup; receipts hold without it")
        return cls(Store(path), None, PinnedLog(pinned.origin, pinned.public_key))._checked()

    def _checked(self) -> Self:
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    # --- writing ---

    def append(self, bodies: Sequence[bytes]) -> list[Appended]:
        """Add entries, durably and all at once; those that the log holds already keep their index.

        Args:
            bodies: what `Entry.canonical_body` returns.

        Raises:
            InputError: if one is too large for an entry bundle.
            StateError: if the log was opened to be read.
            StorageError: if the file fails; then none was added.
        """
        if self._key is None:
            raise StateError(f"the log {self.pinned.origin} is closed", mend="record in the log that took its place")
        if any(len(body) > MAX_ENTRY for body in bodies):
            raise InputError(f"a log entry has at most {MAX_ENTRY} bytes")
        if not bodies:
            return []
        leaves = [merkle.leaf_hash(body) for body in bodies]
        with self._store.transaction(write=True):
            size, peaks = self._state()
            held = self._held(leaves)
            added: dict[bytes, int] = {}
            rows: list[tuple[int, bytes, bytes]] = []
            result: list[Appended] = []
            for leaf, body in zip(leaves, bodies, strict=True):
                index = added.get(leaf, held.get(leaf))
                duplicate = index is not None
                if index is None:
                    index = added[leaf] = size + len(rows)
                    rows.append((index, leaf, body))
                result.append(Appended(index, duplicate))
            if rows:
                completed, peaks = merkle.extend(size, peaks, added)
                signed = Checkpoint(self.pinned.origin, size + len(rows), merkle.fold(peaks))
                self._store.add("entry", rows)
                self._store.add("subtree", completed)
                self._store.add("checkpoint", [(signed.size, sign_checkpoint(signed, self._key, self.pinned))])
        return result

    # --- reading ---

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(self._store.value("SELECT coalesce(max(idx) + 1, 0) FROM entry"))

    def checkpoint(self) -> str | None:
        """The newest signed checkpoint; None while the log is empty."""
        note: str | None = self._store.value("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1")
        return note

    def receipt(self, index: int) -> Receipt:
        """An entry's receipt, at the newest checkpoint; see `receipts`."""
        return self.receipts([index])[0]

    def record(self, entries: Sequence[Entry]) -> list[Receipt]:
        """Add entries; those that the log holds already keep their place.

        Returns:
            A receipt for each, in their order.

        Raises:
            InputError: if one is too large for an entry bundle.
            StorageError: if the file fails; then none was added.
        """
        return self.receipts([each.index for each in self.append([entry.canonical_body() for entry in entries])])

    def receipts(self, indices: Sequence[int]) -> list[Receipt]:
        """Receipts of several entries at one checkpoint, the newest.

        Raises:
            InputError: if there is no such entry.
        """
        if not indices:
            return []
        # No transaction: what belongs to a checkpoint never changes after it.
        note = self.checkpoint()
        if note is None or any(not 0 <= index < peek_checkpoint(note).size for index in indices):
            raise InputError(f"the log {self._store.path} has no such entry")
        signed = peek_checkpoint(note)
        node = cache(self._node)
        return [
            Receipt(
                index=index,
                log_id=self.pinned.key_id,
                proof_index=index,
                tree_size=signed.size,
                root=signed.root,
                path=tuple(merkle.inclusion_path(index, signed.size, node)),
                checkpoint=note,
                body=self.entry(index),
            )
            for index in indices
        ]

    def entry(self, index: int) -> bytes:
        """An entry's bytes.

        Raises:
            InputError: if there is none.
        """
        body: bytes | None = self._store.value("SELECT body FROM entry WHERE idx = ?", index)
        if body is None:
            raise InputError(f"the log {self._store.path} has no entry {index}")
        return body

    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Index and bytes of all entries from `start` on, also of those added meanwhile."""
        while rows := self._store.rows(
            "SELECT idx, body FROM entry WHERE idx >= ? ORDER BY idx LIMIT ?", start, _CHUNK
        ):
            yield from rows
            start = rows[-1][0] + 1

    def find(self, leaf_hash: bytes) -> int | None:
        """The index of the entry with this leaf hash; None if there is none."""
        index: int | None = self._store.value("SELECT idx FROM entry WHERE leaf = ?", leaf_hash)
        return index

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` entries holds the entry `index`.

        Raises:
            InputError: if the log has no such entry, or had never that size.
        """
        self._check_size(size)
        return merkle.inclusion_path(index, size, self._node)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of `new` entries extends that of `old`.

        Raises:
            InputError: if the log has not grown from one to the other.
        """
        self._check_size(new)
        return merkle.consistency_path(old, new, self._node)

    def root(self, size: int) -> bytes:
        """The tree's root when it had this size.

        Raises:
            InputError: if it never had.
        """
        self._check_size(size)
        return merkle.range_hash(0, size, self._node)

    def tile(self, level: int, n: int, width: int = WIDTH) -> bytes:
        """The hashes of a tile (C2SP tlog-tiles).

        Raises:
            InputError: if the log does not have that many yet.
        """
        first = n * WIDTH
        if level == 0:
            rows = self._store.rows(
                "SELECT leaf FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", first, first + width
            )
        else:
            rows = self._store.rows(
                "SELECT hash FROM subtree WHERE level = ? AND idx >= ? AND idx < ? ORDER BY idx",
                level * LEVELS_PER_TILE,
                first,
                first + width,
            )
        return b"".join(self._full(rows, width))

    def entry_bundle(self, n: int, width: int = WIDTH) -> bytes:
        """The entries beneath a tile of level 0 (C2SP tlog-tiles).

        Raises:
            InputError: if the log does not have that many yet.
        """
        rows = self._store.rows(
            "SELECT body FROM entry WHERE idx >= ? AND idx < ? ORDER BY idx", n * WIDTH, n * WIDTH + width
        )
        return make_bundle(self._full(rows, width))

    def at(self, path: str) -> bytes | None:
        """The tile or the entry bundle at a path; None where there is nothing (C2SP tlog-tiles)."""
        try:
            tile = parse_tile_path(path)
            if tile.level is None:
                return self.entry_bundle(tile.index, tile.width)
            return self.tile(tile.level, tile.index, tile.width)
        except InputError:
            return None

    def tiles(self, size: int) -> TileReader:
        """The tree of the first `size` entries, as the tiles show it."""
        return TileReader(self.at, size)

    def audit(self) -> Checkpoint | None:
        """Compute everything anew from the entries: every hash and every checkpoint ever signed.

        Returns:
            The newest checkpoint; None if the log is empty.

        Raises:
            StorageError: if anything in the file is not what the entries give.
        """
        peaks: list[bytes] = []
        with self._store.transaction(write=False):
            size, _ = self._state()
            newest = None
            for index, body in self.entries():
                leaf = merkle.leaf_hash(body)
                completed, peaks = merkle.extend(index, peaks, [leaf])
                for level, position, value in [(0, index, leaf), *completed]:
                    if self._node(level, position) != value:
                        raise damaged(self._store.path, f"the hash of subtree {level}/{position} is wrong")
                note = self._store.value("SELECT note FROM checkpoint WHERE size = ?", index + 1)
                if note is not None:
                    newest = self._verified(note)
                    if newest != Checkpoint(self.pinned.origin, index + 1, merkle.fold(peaks)):
                        raise damaged(self._store.path, f"the checkpoint of size {index + 1} is wrong")
            if newest is not None and newest.size != size:
                raise damaged(self._store.path, "entries are missing")
            return newest

    # --- what the others stand on ---

    def _held(self, leaves: Sequence[bytes]) -> dict[bytes, int]:
        """Leaf hash -> index, of those that the log holds already."""
        held: dict[bytes, int] = {}
        for start in range(0, len(leaves), _CHUNK):
            chunk = leaves[start : start + _CHUNK]
            places = ", ".join("?" * len(chunk))
            held.update(self._store.rows(f"SELECT leaf, idx FROM entry WHERE leaf IN ({places})", *chunk))  # noqa: S608
        return held

    def _node(self, level: int, index: int) -> bytes:
        if level == 0:
            value = self._store.value("SELECT leaf FROM entry WHERE idx = ?", index)
        else:
            value = self._store.value("SELECT hash FROM subtree WHERE level = ? AND idx = ?", level, index)
        if value is None:
            raise damaged(self._store.path, f"the hash of subtree {level}/{index} is missing")
        return bytes(value)

    def _full(self, rows: list[tuple[bytes]], width: int) -> list[bytes]:
        if len(rows) != width or not 0 < width <= WIDTH:
            raise InputError(f"the log {self._store.path} has no such tile")
        return [value for (value,) in rows]

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise InputError(f"the log {self._store.path} has {self.size} entries, not {size}")

    def _state(self) -> tuple[int, list[bytes]]:
        """Size and peaks, which must be those of the newest checkpoint; call it inside of a transaction."""
        size, note = self.size, self.checkpoint()
        if note is None:
            if size:
                raise damaged(self._store.path, f"{size} entries and no checkpoint")
            return 0, []
        try:
            signed = peek_checkpoint(note)
        except Rejected as error:
            raise damaged(self._store.path, f"its newest checkpoint is {error}") from error
        if signed.size != size:
            raise damaged(self._store.path, f"{size} entries, but the newest checkpoint is for {signed.size}")
        peaks = [self._node(level, index) for level, index in merkle.subtrees(0, size)]
        if merkle.fold(peaks) != signed.root:
            raise damaged(self._store.path, "its hashes do not lead to the root of the newest checkpoint")
        return size, peaks

    def _verified(self, note: str) -> Checkpoint:
        try:
            return open_checkpoint(note, self.pinned)
        except Rejected as error:
            raise damaged(self._store.path, f"a stored checkpoint does not verify: {error}") from error

    def _check(self) -> None:
        """Write down whose log this is, or compare; then see that the file is whole."""
        if not self._store.value("SELECT count(*) FROM identity"):
            with self._store.transaction(write=True):
                if not self._store.value("SELECT count(*) FROM identity"):
                    self._store.add("identity", [(self.pinned.origin, self.pinned.der)])
        [(origin, public_key)] = self._store.rows("SELECT origin, public_key FROM identity")
        if origin != self.pinned.origin:
            raise StorageError(
                f"the log {self._store.path} is the log {origin!r}, not {self.pinned.origin!r}",
                mend="open it under its own origin; a log never changes its name",
            )
        if public_key != self.pinned.der:
            raise StorageError(
                f"the log {self._store.path} was made with another key than the one given",
                mend="restore the key that belongs to this log, or begin a new log in another file",
            )
        with self._store.transaction(write=False):
            _, note = self._state(), self.checkpoint()
        if note is not None:
            self._verified(note)
