"""Writing what a step leaves in its file system, each thing whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from atlas.errors import StorageError


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Make `target` a folder of just these files, in place of whatever is there.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            if os.path.lexists(target):
                target.rename(old)  # also of a link or a file that the step's code put there
            new.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _unwritable(target, error) from error


def replace_file(target: Path, content: bytes) -> None:
    """Give a file this content.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).chmod(0o644)  # KFP's launcher may be another user
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path}: cannot be written: {error.strerror or error}",
        mend="free space on the disk, or grant this user the right to write there",
    )
