"""Attacks on a transparency log's history, which only somebody sees who watches it."""

import contextlib
import io
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from atlas.cli import run
from atlas.codes import Code
from atlas.errors import StorageError
from atlas.log import EmbeddedLog, leaf_hash
from atlas.log.claim import claim_entry
from atlas.logs import own_log
from integration.tamper.attacks_log import other_log, rewrite_log
from integration.tamper.registry import Part, attack
from integration.tamper.world import PUBLISHER, Outcome, World
from unit.log.watch_support import bodies, entry_of


def watched(world: World, *options: str) -> Outcome:
    """`atlas log watch`: its alarms, or the error that stands in their way."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["log", "watch", "--home", str(world.home.path), *options])
    found = {json.loads(line)["code"] for line in out.getvalue().splitlines()}
    if code == 2 and "damaged" in err.getvalue():
        found.add(StorageError.__name__)
    return Outcome(code, frozenset(found), text=out.getvalue() + err.getvalue())


def before(world: World) -> Path:
    """Let the honest log be watched once; a copy of it as it is then."""
    honest = watched(world)
    assert honest.exit == 0, honest.text
    path = world.root / "old.sqlite3"
    with closing(sqlite3.connect(world.home.log_path)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    return path


def put_back(world: World, old: Path) -> None:
    """Put this database in the place of the log's."""
    for each in world.home.path.glob("log.sqlite3*"):
        each.unlink()
    shutil.copy(old, world.home.log_path)


def add(world: World, *more: bytes) -> None:
    """Have the log record more."""
    with own_log(world.home) as log:
        log.append(more)


@attack(Part.LOG, Code.LOG_ROLLED_BACK, answers="rollback of the log")
def old_copy_of_the_log_served(world: World) -> Outcome:
    """Puts an older copy of the log in its place, so that what was logged last never was."""
    old = before(world)
    add(world, b"what should be forgotten")
    assert watched(world).exit == 0
    put_back(world, old)
    return watched(world)


@attack(Part.LOG, Code.LOG_ROLLED_BACK, answers="rollback of the log")
def watchers_memory_removed_with_the_rollback(world: World) -> Outcome:
    """Restores an older copy of the log and removes what its watcher has kept; a receipt still tells."""
    old = before(world)
    world.pipeline("run-2")
    world.gather()
    put_back(world, old)
    shutil.rmtree(world.home.path / "watch")
    return watched(world)


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="history rewritten")
def log_forked(world: World) -> Outcome:
    """Goes on from an older copy of the log, under its own key, as if what came after it had never been."""
    old = before(world)
    add(world, b"what should be forgotten")
    assert watched(world).exit == 0
    put_back(world, old)
    add(world, b"what should have been", b"and more")
    return watched(world)


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="split view: two checkpoints of one size")
def log_shows_a_third_party_something_else(world: World) -> Outcome:
    """Shows a third party another tree than the watcher; the third party hands its checkpoint in."""
    old = before(world)
    add(world, b"for the watcher")
    shown = world.root / "shown.sqlite3"
    shutil.copy(old, shown)
    with EmbeddedLog.open(shown, world.log.origin, world.home.log_key()) as other:
        other.append([b"for the third party"])
        handed_in = world.file("theirs.note", (other.checkpoint() or "").encode())
    return watched(world, "--compare", str(handed_in))


@attack(Part.LOG, Code.LOG_ENTRY_LOST, inherent=(Code.CHECKPOINT_INCONSISTENT,), answers="entry removed from the log")
def entry_exchanged_under_its_receipt(world: World) -> Outcome:
    """Rebuilds the whole log under its own key, with something else in the place of one entry."""
    with own_log(world.home) as log:
        entries = [body for _, body in log.entries()]
    index = world.receipt(world.model).index
    entries[index] = b"something harmless"
    put_back(world, world.file("empty", b""))
    add(world, *entries)
    return watched(world)


@attack(Part.LOG, Code.LOG_TILES_INVALID, answers="tiles that do not lead to the checkpoint")
def entry_hidden_from_the_watcher(world: World) -> Outcome:
    """Serves another entry than the one that was logged, and leaves all hashes as they are."""
    before(world)
    add(world, *bodies(entry_of(world.credential(PUBLISHER), "stolen")))
    rewrite_log(world, "UPDATE entry SET body = ? WHERE idx = (SELECT max(idx) FROM entry)", b"harmless")
    return watched(world)


@attack(Part.LOG, Code.LOG_ENTRY_UNKNOWN, answers="signing with a stolen authority")
def authority_used_behind_our_back(world: World) -> Outcome:
    """Signs with a stolen authority, and has the log record it so that verifiers are content."""
    before(world)
    add(world, *bodies(entry_of(world.credential(PUBLISHER), "stolen")))
    return watched(world)


@attack(Part.LOG, Code.LOG_ENTRY_UNKNOWN, answers="signing with a stolen authority")
def manifest_removed_from_the_archive(world: World) -> Outcome:
    """Removes a manifest with its receipt from the archive, so that nobody knows what the log has of it."""
    for table in ("receipt", "edge", "manifest"):
        world.archive(f"DELETE FROM {table} WHERE box_sha256 = ?", world.made["metrics"].box)
    return watched(world)


@attack(Part.LOG, Code.LOG_STALE, answers="log frozen for one observer")
def log_frozen(world: World) -> Outcome:
    """Keeps the log from taking what waits for it, and shows the same checkpoint for ever."""
    before(world)
    world.archive("DELETE FROM receipt WHERE box_sha256 = ?", world.made["metrics"].box)
    return watched(world, "--max-age", "0m")


@attack(Part.LOG, Code.CHECKPOINT_SIGNATURE_INVALID, answers="signature never checked")
def receipt_exchanged_in_the_archive(world: World) -> Outcome:
    """Puts a receipt of the attacker's log under the pinned log's name into the archive, before the log is watched."""
    with other_log(world, world.log.origin) as log:
        body = claim_entry(world.model.sidecar.manifest).canonical_body()
        index = log.find(leaf_hash(body))
        assert index is not None
        world.put_receipt(world.model, log.receipt(index))
    return watched(world)


@attack(Part.LOG, refused=StorageError, answers="a monitor that forgets")
def watchers_memory_damaged(world: World) -> Outcome:
    """Damages what the watcher has kept, so that it would begin anew."""
    before(world)
    [kept] = (world.home.path / "watch").glob("*.json")
    kept.write_bytes(kept.read_bytes().replace(b'"position": "', b'"position": "9', 1))
    return watched(world)
