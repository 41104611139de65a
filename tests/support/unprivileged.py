"""Running a few lines of Python as a user whom file modes bind, also where the tests run as root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534
_DROP = f"""
import os, sys
if os.geteuid() == 0:
    os.setgroups([]); os.setgid({_NOBODY}); os.setuid({_NOBODY})
"""


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder that belongs to the user of `run`, below folders that it may enter."""
    path = Path(tempfile.mkdtemp(prefix="atlas-unprivileged-")).resolve()
    try:
        give(path)
        yield path
    finally:
        for each in path.rglob("*"):
            if each.is_dir() and not each.is_symlink():
                each.chmod(0o700)
        path.chmod(0o700)
        shutil.rmtree(path)


def give(path: Path) -> None:
    """Make the user of `run` the owner."""
    if os.geteuid() == 0:
        os.chown(path, _NOBODY, _NOBODY)


def run(imports: str, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Import as the present user, then run the code as nobody; `sys.argv[1:]` are the arguments."""
    return subprocess.run(
        [sys.executable, "-c", imports + _DROP + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )
