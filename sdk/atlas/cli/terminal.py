"""What all verbs share: options, times, errors and the look of the output."""

import contextlib
import datetime as dt
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from getpass import getuser
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from atlas.errors import AtlasError, InputError, Rejected
from atlas.verdict import Finding, Severity

WIDE = 160
"""Columns where the output is not a terminal: a file or a pipe does not fold lines."""

console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)

_Command = TypeVar("_Command", bound=Callable[..., Any])

QUIET_SECONDS = 1.0
"""Hashing that takes longer shows a progress bar."""


def home_option(command: _Command) -> _Command:
    """`--home`."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="ATLAS_HOME",
        help="Folder with the state; by default .atlas here or above.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def publisher_option(what: str) -> Callable[[_Command], _Command]:
    """`--publisher`, a name that is not empty."""

    def named(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
        if not value.strip():
            raise InputError("--publisher: is empty", mend="say in whose name it is signed")
        return value

    return click.option("--publisher", default=getuser, show_default="your user name", callback=named, help=what)


def print_json(value: Any) -> None:
    """Print a JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def report_error(error: AtlasError, *, as_json: bool) -> None:
    """Print an error to standard error."""
    if as_json:
        code = error.code.value if isinstance(error, Rejected) else type(error).__name__
        details = {"expected": error.expected, "found": error.found} if isinstance(error, Rejected) else {}
        click.echo(json.dumps({"error": code, "message": str(error), **details, "mend": error.mend}), err=True)
        return
    stderr = Console(stderr=True, highlight=False, soft_wrap=True)
    label = f"{error.code.value}: " if isinstance(error, Rejected) else ""
    stderr.print(Text.assemble(("atlas: ", "bold red"), (label, "bold"), str(error)))
    if isinstance(error, Rejected):
        for name, value in (("expected", error.expected), ("found", error.found)):
            if value:
                stderr.print(f"  {name}: {value}", markup=False)
    if error.mend:
        stderr.print(Text.assemble(("  mend: ", "bold"), error.mend))


def parse_time(value: str | None) -> dt.datetime:
    """The time that `--at` names, or now.

    Raises:
        InputError: if it is not RFC 3339 with a time zone, or a date.
    """
    if value is None:
        return dt.datetime.now(dt.UTC)
    try:
        time = dt.datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError(f"--at {value}: not a time", mend="write it as 2026-01-31 or 2026-01-31T12:00:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def write_file(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file as a whole or not at all; what is no regular file (a pipe, a device) is written into.

    Args:
        path: of the file.
        content: of the file.
        private: whether only its owner may read it.

    Raises:
        InputError: if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        temporary.touch(mode=0o600 if private else 0o666)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def parse_arguments(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Read `name=value` pairs; a value that is JSON is taken as JSON, any other as text.

    Raises:
        InputError: if a pair has no `=`.
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InputError(f"--arg {pair}: not of the form name=value")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments


@contextlib.contextmanager
def hashing(label: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar for hashing, once it has taken over a second; yields what to tell of bytes."""
    began = time.monotonic()
    done = 0
    lock = threading.Lock()
    columns = (
        TextColumn("hashing {task.description}"),
        BarColumn(pulse_style="cyan"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(label, total=None)
    started = False

    def progress(read: int) -> None:
        nonlocal done, started
        with lock:
            done += read
            if not started and time.monotonic() - began > QUIET_SECONDS:
                bar.start()
                started = True
            if started:
                bar.update(task, completed=done)

    try:
        yield progress
    finally:
        if started:
            bar.stop()


def print_findings(findings: tuple[Finding, ...], *, mends: bool) -> None:
    """Print findings, the ones that refuse first; with their path, and with how to mend them if asked."""
    for each in sorted(findings, key=lambda finding: (finding.severity is not Severity.ERROR, finding)):
        error = each.severity is Severity.ERROR
        mark, style = ("✗", "bold red") if error else ("!", "bold yellow")
        console.print(Text.assemble((f"{mark} {each.code.value}", style), f"  {each.message}"), soft_wrap=True)
        console.print(Text.assemble("    at        ", (" ← ".join(each.path), "cyan")), soft_wrap=True)
        if each.expected:
            console.print(Text(f"    expected  {each.expected}"), soft_wrap=True)
        if each.found:
            console.print(Text(f"    found     {each.found}"), soft_wrap=True)
        if mends:
            console.print(Text.assemble("    mend      ", (each.mend, "green")), soft_wrap=True)
