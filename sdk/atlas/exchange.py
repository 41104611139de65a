"""Giving several files of a home new content at once: all of them or none, whenever the process is killed.

The new files are made in a folder of their own, `exchange/`, which appears by one rename: that is the moment. From then
on whoever opens the home moves them to their places, which is done as often as it takes.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from atlas.errors import StorageError

FOLDER = "exchange"
TEMPORARY = ".new-"
"""Beginning of the names of folders that are being made; what is left of one nobody will ever finish."""
_ORDER = (".sqlite3", ".json", ".pem")
"""What others refer to is put in its place first, keys last."""


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Have nobody else exchange or settle files of this home meanwhile; first finishes what somebody has begun.

    Raises:
        StorageError: if it cannot be had, or what was begun cannot be finished.
    """
    lock = home / "version"
    try:
        file = lock.open("rb")
    except OSError as error:
        raise unwritable(lock, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise unwritable(lock, error) from error
        _move(home)
        yield


def settle(home: Path) -> None:
    """Finish what somebody has begun to exchange; waits for whoever is about it.

    Raises:
        StorageError: if it cannot be finished.
    """
    with alone(home):
        pass


def exchange(home: Path, files: Mapping[str, bytes]) -> None:
    """Give these files this content; call it inside of `alone`.

    Raises:
        StorageError: if they cannot be written; nothing has changed then.
    """
    try:
        for left in home.glob(f"{TEMPORARY}*"):
            shutil.rmtree(left)
        write_directory(home / FOLDER, files)
    except OSError as error:
        raise unwritable(home, error) from error
    _move(home)


def _move(home: Path) -> None:
    folder = home / FOLDER
    if not folder.is_dir():
        return
    try:
        for each in sorted(folder.iterdir(), key=_rank):
            each.rename(home / each.name)
        sync_directory(home)
        folder.rmdir()
    except OSError as error:
        raise unwritable(home, error) from error


def _rank(path: Path) -> int:
    return _ORDER.index(path.suffix) if path.suffix in _ORDER else len(_ORDER)


def write_directory(target: Path, files: Mapping[str, bytes], folder: str = "") -> None:
    """Make a directory with these files, and an empty folder in it if one is named, appear at once.

    Raises:
        OSError: if it cannot be made; nothing is left behind then.
    """
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
    try:
        for name, content in files.items():
            descriptor = os.open(temporary / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
        if folder:
            (temporary / folder).mkdir()
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """See that names survive a power failure, where the file system can."""
    with contextlib.suppress(OSError):  # not every file system syncs directories
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def unwritable(path: Path, error: OSError) -> StorageError:
    """The error for what cannot be written."""
    return StorageError(
        f"{path}: cannot be written: {error.strerror or error}",
        mend="free space on the disk, or grant this user the right to write there",
    )
