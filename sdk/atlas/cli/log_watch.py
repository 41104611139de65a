"""`atlas log watch`: look whether the logs keep what they have promised."""

import datetime as dt
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import pydantic

from atlas.archive import Archive
from atlas.cli.terminal import home_option, report_error
from atlas.errors import AtlasError, InputError
from atlas.gather import open_archive
from atlas.home import Home, find_home
from atlas.home_trust import trust_of
from atlas.log.alarm import Order
from atlas.log.interface import TiledLog
from atlas.log.rekor1 import Rekor1Log
from atlas.logs import watched_logs
from atlas.past_logs import own_origins, past_log
from atlas.policy.fields import Duration
from atlas.trust import PinnedLog
from atlas.watcher import Looked, Watcher, read_checkpoint

_FILE = click.Path(path_type=Path, dir_okay=False)
_QUIET, _ALARM, _BLIND = 0, 1, 2
_Open = Callable[[], TiledLog | Rekor1Log]


@dataclass(frozen=True)
class _Target:
    """A log that is watched."""

    log: PinnedLog
    open_log: _Open
    order: Order
    pinned: bool
    """Whether somebody has said what the log should have shown at first."""


@click.command()
@click.option("--origin", "origins", multiple=True, help="Watch this log only; by default all whose place is known.")
@click.option("--compare", multiple=True, type=_FILE, help="A checkpoint that somebody else was shown (signed note).")
@click.option("--expect-checkpoint", "expect", type=_FILE, help="A checkpoint to begin with, from somebody you trust.")
@click.option("--max-age", help="How long one checkpoint may stand: 90d, 12h, 30m. By default for ever.")
@click.option("--authority", "names", multiple=True, help="Of the trust root: whose entries must be in the archive.")
@click.option("--accept", multiple=True, type=click.IntRange(min=0), help="Index of an unknown entry that is no alarm.")
@click.option("--audit", is_flag=True, help="Read all entries again, from the first one.")
@click.option("--interval", type=click.FloatRange(min=0), help="Seconds between two looks; by default look once.")
@home_option
def watch(
    origins: tuple[str, ...],
    compare: tuple[Path, ...],
    expect: Path | None,
    max_age: str | None,
    names: tuple[str, ...],
    accept: tuple[int, ...],
    audit: bool,
    interval: float | None,
    home: Path | None,
) -> int:
    """Look whether the logs keep what they have promised: one line of JSON for each alarm.

    Exit 0 if nothing is wrong, 1 after an alarm, 2 if a log could not be watched.
    """
    found = find_home(home)
    trust = trust_of(found)
    logs = _chosen(found, trust.logs, origins)
    pinned = [log for log, _ in logs]
    if accept and len(logs) > 1:
        raise InputError("--accept: several logs are watched", mend="name one of them with --origin")
    unknown = set(names) - {each.name for each in trust.authorities}
    if unknown:
        raise InputError(
            f"--authority {min(unknown)}: the trust root has no such authority", mend="`atlas keys list` names them"
        )
    expected = read_checkpoint(expect, pinned) if expect else None
    handed = [*(read_checkpoint(path, pinned) for path in compare), *([expected] if expected else [])]
    own = found.log_key().public_key()
    closed = _of_home(found).keys() - {log.origin for log in trust.logs if log.public_key == own}
    targets = [
        _Target(
            log,
            open_log,
            Order(
                tuple(each for each in trust.authorities if not names or each.name in names),
                tuple(note for whose, note in handed if whose == log),
                None if log.origin in closed else _duration(max_age),  # it stands still for ever
                log.public_key != own and log.origin not in closed,
                frozenset(accept),
                audit,
            ),
            pinned=expected is not None and expected[0] == log,
        )
        for log, open_log in logs
    ]
    with open_archive(found) as archive:
        if interval is None:
            return _look(found, archive, targets)
        return _keep_looking(found, archive, targets, interval)


def _chosen(home: Home, pinned: Sequence[PinnedLog], origins: tuple[str, ...]) -> list[tuple[PinnedLog, _Open]]:
    known: dict[str, _Open] = {**_of_home(home), **watched_logs(home)}
    if missing := set(origins) - known.keys():
        raise InputError(f"--origin {min(missing)}: no log whose place is known", mend=f"known: {', '.join(known)}")
    for log in pinned:
        if log.origin not in known:
            click.echo(f"atlas: {log.origin} is not watched: nobody has said where it is", err=True)
    chosen = [(log, known[log.origin]) for log in pinned if log.origin in (origins or known) and log.origin in known]
    if not chosen:
        raise InputError(f"{home.trust_path}: pins no log whose place is known")
    return chosen


def _of_home(home: Home) -> dict[str, _Open]:
    """The home's own logs, also those that take no more entries."""
    return {origin: partial(past_log, home, origin) for origin in own_origins(home)}


def _duration(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    try:
        return pydantic.TypeAdapter[dt.timedelta](Duration).validate_python(text)
    except pydantic.ValidationError as error:
        raise InputError(f"--max-age {text}: not a duration", mend="write it as 90d, 12h or 30m") from error


def _keep_looking(home: Home, archive: Archive, targets: list[_Target], interval: float) -> int:
    """Look again and again until Ctrl-C or SIGTERM; returns what was worst. What is kept is whole at any moment."""
    came_to = {_QUIET}
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            came_to.add(_look(home, archive, targets))
            targets = [replace(each, order=replace(each.order, audit=False)) for each in targets]
            time.sleep(interval)
    except KeyboardInterrupt:
        return _worst(came_to)
    finally:
        signal.signal(signal.SIGTERM, before)


def _look(home: Home, archive: Archive, targets: list[_Target]) -> int:
    """One look at each log, also where another cannot be watched."""
    came_to = {_QUIET}
    for each in targets:
        try:
            with each.open_log() as opened:
                now = dt.datetime.now(dt.UTC)
                looked = Watcher(home, each.log).look(opened, archive, each.order, now, _tell)
        except AtlasError as error:
            click.echo(f"atlas: {each.log.origin} could not be watched:", err=True)
            report_error(error, as_json=False)
            came_to.add(_BLIND)
            continue
        _summarize(each, looked)
        came_to.add(_ALARM if looked.alarms else _QUIET)
    return _worst(came_to)


def _worst(came_to: set[int]) -> int:
    return _ALARM if _ALARM in came_to else max(came_to)


def _tell(alarm: dict[str, Any]) -> None:
    click.echo(json.dumps(alarm))


def _summarize(target: _Target, looked: Looked) -> None:
    looked_at = f"{looked.read} of ours looked for" if target.log.rekor == 1 else f"{looked.read} looked at"
    parts = [f"{looked.size} entries", looked_at]
    if looked.unreadable:
        parts.append(f"{looked.unreadable} of these unreadable")
    parts.append(f"{looked.alarms} alarms" if looked.alarms else "nothing is wrong")
    click.echo(f"{'✗' if looked.alarms else '✓'} {target.log.origin}: {', '.join(parts)}", err=True)
    if target.log.rekor == 1:
        click.echo("  entries that others signed under our identities cannot be looked for in a Rekor v1 log", err=True)
    if looked.first and not target.pinned:
        click.echo("  seen for the first time, and trusted as it is; --expect-checkpoint pins a beginning", err=True)
