"""Measuring: bytes in, one SHA-256 digest out.

Three kinds of artifact have a digest, and for each the digest is that of real bytes, which are also the asset that
the C2PA sidecar is bound to:

* ``file``: the file's bytes; what ``sha256sum`` prints.
* ``tree``: the bytes of its index. One line a regular file, sorted by path::

      <64 lower-case hex digits> SP SP <size in bytes, decimal> SP SP <path> LF

  The path is relative, with ``/`` between its parts, UTF-8 in Unicode normal form C, sorted by its bytes. Symbolic
  links are resolved, and one that leaves the tree is an error. Modes, times, owners and empty directories do not count,
  because object stores drop them. A tree without files has an index of zero bytes.
* ``properties``: key-value metadata without bytes of its own (such as metrics): its canonical JSON (RFC 8785).
"""

import hashlib
import os
import re
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from atlas.canonical import dump_canonical
from atlas.errors import MeasureError

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
"""Digest of zero bytes: an artifact with it carries no information and needs no provenance."""

CHUNK = 1 << 20
"""Bytes read at a time: large enough that hashing dominates, small enough to stop soon after Ctrl-C."""

POOLED = 1 << 18
"""Files of at least this many bytes are worth a thread; below it, handing over costs more than hashing."""

_INDEX_LINE = re.compile(r"([0-9a-f]{64})  (0|[1-9][0-9]{0,18})  (.+)")

Progress = Callable[[int], None]
"""Called with the number of bytes hashed since the last call, from any thread."""


class Kind(StrEnum):
    """What kind of bytes a digest stands for."""

    FILE = "file"
    TREE = "tree"
    PROPERTIES = "properties"


@dataclass(frozen=True)
class Measurement:
    """The identity of an artifact."""

    kind: Kind
    sha256: str
    """Lower-case hex."""
    size: int
    """Content bytes: of the file, of all files of the tree, or of the canonical JSON."""
    files: int = 1
    """Regular files; 0 for properties."""
    asset: bytes | None = field(default=None, repr=False, compare=False)
    """The bytes behind the digest where they are not the artifact itself: a tree's index, properties' JSON."""


def measure(path: Path, progress: Progress | None = None) -> Measurement:
    """Measure the file or directory at `path`; a symbolic link stands for what it leads to.

    Raises:
        MeasureError: if it is missing, unreadable, neither file nor directory, changes meanwhile, or (for a tree)
            has a link that leaves it or a name that an index cannot hold.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            digest, size = _digest(os.fspath(path), progress, None)
            return Measurement(Kind.FILE, digest, size)
        if stat.S_ISDIR(mode):
            return _measure_tree(path, progress)
    except OSError as error:
        raise _unreadable(error, path) from error
    except ValueError as error:  # a name with a NUL
        raise MeasureError(f"{str(path)!r}: there cannot be such a file: {error}") from error
    raise MeasureError(f"{path}: neither a file nor a directory", mend="name a file or a directory")


def measure_properties(properties: Mapping[str, Any]) -> Measurement:
    """Measure key-value metadata.

    Raises:
        MeasureError: if a value has no canonical JSON (NaN, an integer beyond 2**53, a non-string key).
    """
    try:
        asset = dump_canonical(dict(properties))
    except ValueError as error:
        raise MeasureError(f"these properties have no canonical JSON: {error}") from error
    return Measurement(Kind.PROPERTIES, hashlib.sha256(asset).hexdigest(), len(asset), 0, asset)


def parse_index(index: bytes) -> dict[str, tuple[str, int]]:
    """Read a tree's index back: path -> (SHA-256 hex, size).

    Raises:
        MeasureError: if these bytes are not an index in canonical form.
    """
    entries: dict[str, tuple[str, int]] = {}
    try:
        lines = index.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise MeasureError(f"not a tree index: {error}") from error
    for line in lines:
        match = _INDEX_LINE.fullmatch(line)
        parts = match[3].split("/") if match else [""]
        if match is None or not {"", ".", ".."}.isdisjoint(parts) or _normal(match[3]) != match[3]:
            raise MeasureError(f"not a tree index: {line[:200]!r} is not a line of one")
        entries[match[3]] = (match[1], int(match[2]))
    if _index(entries) != index:
        raise MeasureError("not a tree index: its lines are not sorted, or not whole")
    return entries


def _index(entries: Mapping[str, tuple[str, int]]) -> bytes:
    lines = (f"{entries[path][0]}  {entries[path][1]}  {path}\n" for path in sorted(entries))
    return "".join(lines).encode("utf-8")


def _measure_tree(root: Path, progress: Progress | None) -> Measurement:
    top = os.path.realpath(root)
    entries: dict[str, tuple[str, int]] = {}
    large: dict[str, Future[tuple[str, int]]] = {}
    stop = threading.Event()
    with ThreadPoolExecutor(os.cpu_count() or 1, "atlas-hash") as pool:
        try:
            for name, location, size in _walk(top):
                path = _indexable(name, root)
                if path in entries or path in large:
                    raise MeasureError(f"{root}: two files are named {path!r} in Unicode normal form C")
                if size < POOLED:
                    entries[path] = _digest(location, progress, stop)
                else:
                    large[path] = pool.submit(_digest, location, progress, stop)
            entries.update((path, future.result()) for path, future in large.items())
        except BaseException:
            stop.set()  # do not let Ctrl-C wait for gigabytes
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    index = _index(entries)
    total = sum(size for _, size in entries.values())
    return Measurement(Kind.TREE, hashlib.sha256(index).hexdigest(), total, len(entries), index)


def _walk(top: str) -> Iterator[tuple[str, str, int]]:
    """Yield (relative name, location, size) of every regular file."""
    waiting: list[tuple[str, str, frozenset[str]]] = [(top, "", frozenset((top,)))]
    while waiting:
        directory, prefix, above = waiting.pop()
        with os.scandir(directory) as listing:
            for entry in listing:
                location = _inside(entry, top) if entry.is_symlink() else entry.path
                state = entry.stat()
                if stat.S_ISREG(state.st_mode):
                    yield f"{prefix}{entry.name}", location, state.st_size
                elif not stat.S_ISDIR(state.st_mode):
                    raise MeasureError(f"{entry.path}: neither a file nor a directory", mend="remove it from the tree")
                elif location in above:
                    raise MeasureError(f"{entry.path}: this link leads to a directory that contains it")
                else:
                    waiting.append((location, f"{prefix}{entry.name}/", above | {location}))


def _inside(link: os.DirEntry[str], top: str) -> str:
    """Where a symbolic link leads, which must be inside of the tree."""
    location = os.path.realpath(link.path)
    if os.path.commonpath((top, location)) != top:
        raise MeasureError(
            f"{link.path}: this link leaves the tree (it leads to {location})",
            mend="copy what it leads to into the tree",
        )
    return location


def _indexable(name: str, root: Path) -> str:
    normal = _normal(name)
    if normal is None:
        raise MeasureError(
            f"{str(root)!r}: the name {name!r} has characters that an index cannot hold", mend="rename the file"
        )
    return normal


def _normal(name: str) -> str | None:
    """The name in Unicode normal form C; None if it has control characters or is not text."""
    if name.isascii():
        return name if name.isprintable() else None
    normal = unicodedata.normalize("NFC", name)
    return None if any(unicodedata.category(each) in ("Cc", "Cs") for each in normal) else normal


def _digest(location: str, progress: Progress | None, stop: threading.Event | None) -> tuple[str, int]:
    """SHA-256 (hex) and size of one file."""
    descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        chunk = os.read(descriptor, min(before.st_size + 1, CHUNK))
        sha256 = hashlib.sha256(chunk)
        size = len(chunk)
        if size == CHUNK or size < before.st_size:
            size += _digest_rest(descriptor, sha256, progress, stop)
        if progress:
            progress(len(chunk))
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if size != after.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise MeasureError(
            f"{location}: changed while it was being measured", mend="measure it when nobody writes to it"
        )
    return sha256.hexdigest(), size


def _digest_rest(descriptor: int, sha256: Any, progress: Progress | None, stop: threading.Event | None) -> int:
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    total = 0
    while read := os.readv(descriptor, [buffer]):
        sha256.update(view[:read])
        total += read
        if progress:
            progress(read)
        if stop and stop.is_set():
            raise MeasureError("measuring was interrupted")
    return total


def _unreadable(error: OSError, path: Path) -> MeasureError:
    where = error.filename or path
    if isinstance(error, FileNotFoundError):
        return MeasureError(f"{where}: there is no such file or directory")
    if isinstance(error, PermissionError):
        return MeasureError(f"{where}: this user may not read it", mend="grant read permission, or run as its owner")
    return MeasureError(f"{where}: {error.strerror or error}")
