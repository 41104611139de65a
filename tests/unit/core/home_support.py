"""What tests of homes share."""

import os
import subprocess
import sys
from pathlib import Path


def python(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
    )


def listing(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())
