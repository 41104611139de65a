"""What the tests of the command line share: running it here, running it as a process, and reading what it says."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atlas.cli import run

PROGRAM = "from atlas.cli import main; main()"
ESCAPE = "\x1b["
VERDICT_KEYS = {"verdict", "subject", "name", "at", "policy", "trust", "steps", "manifests", "findings"}
FINDING_KEYS = {"code", "severity", "path", "message", "expected", "found", "mend"}


@dataclass(frozen=True)
class Answer:
    """What a run came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """Standard error under `--json`."""
        found: dict[str, str] = json.loads(self.err)
        assert found.keys() - {"expected", "found"} == {"error", "message", "mend"}
        return found

    def expect(self, code: int, *words: str) -> "Answer":
        """The exit code, and words that standard error must have."""
        everything = f"{self.code}\n{self.out}\n{self.err}"
        assert self.code == code, everything
        for word in words:
            assert word in self.err, everything
        return self

    def refused(self, *words: str) -> "Answer":
        """Exit code 2, nothing on standard output, and a message that says what and (after `mend:`) what to do."""
        assert not self.out
        return self.expect(2, *words, "mend: ")


def checked(code: int, out: str, err: str) -> Answer:
    """What every answer must be: no traceback, and nothing that Atlas has not foreseen."""
    for sign in ("Traceback", "a fault of Atlas", "Warning"):
        assert sign not in err, err
        assert sign not in out, out
    return Answer(code, out, err)


class Here:
    """Runs the command line in this process, in a folder of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Answer:
        """Run it."""
        self._capsys.readouterr()
        code = run([str(each) for each in arguments])
        return checked(code, *self._capsys.readouterr())

    def file(self, name: str, content: str | bytes = "some rows\n") -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def signed(self, name: str = "data.csv", content: str | bytes = "some rows\n") -> Path:
        """Write a file and sign it."""
        path = self.file(name, content)
        self("sign", path, "--type", "dataset").expect(0)
        return path

    @property
    def home(self) -> Path:
        """The home in the folder."""
        return self.folder / ".atlas"


def environment(**changes: str) -> dict[str, str]:
    """For a process that imports what this one does."""
    kept = {name: value for name, value in os.environ.items() if name not in ("ATLAS_HOME", "NO_COLOR", "FORCE_COLOR")}
    return {**kept, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each), **changes}


def command(*arguments: object, program: str = PROGRAM) -> list[str]:
    """The command line as a process, installed or not."""
    return [sys.executable, "-c", program, *map(str, arguments)]


def start(
    folder: Path,
    *arguments: object,
    program: str = PROGRAM,
    prefix: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    setup: Callable[[], None] | None = None,
) -> subprocess.Popen[str]:
    """Start it as a process."""
    return subprocess.Popen(
        [*prefix, *command(*arguments, program=program)],
        cwd=folder,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=setup,  # noqa: PLW1509  the parent of these tests has no threads
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Answer:
    """Wait for a process."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return checked(process.returncode, out, err)


def interrupt_at_default() -> None:
    """Ctrl-C works in the child, also where the tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def leftovers(folder: Path) -> list[str]:
    """Names of what is half-written: temporary files, and deposits that were not made whole."""
    return [each.name for each in folder.rglob("*") if re.match(r"\.new-|\..*\.c2pa\.", each.name)]
