"""Attacks by somebody who runs the home's own log, after a checkpoint of it was anchored in another one."""

import json
from pathlib import Path

from atlas.anchors import anchor
from atlas.codes import Code
from atlas.log.rekor1 import Address1
from atlas.logs import connect, own_log, pin
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from support.rekor1 import Rekor1Double, serving

REWRITTEN = "history rewritten"


def anchored(world: World) -> Path:
    """Anchor the home's log; the anchor's file."""
    log = Rekor1Double("rekor.public.example")
    pin(world.home, [log.pinned])
    with serving(log) as server, own_log(world.home) as own, connect(Address1(server.url, log.pinned)) as other:
        anchor(world.home, own, other)
    [path] = world.home.path.glob("anchor-*.json")
    return path


def emptied(world: World) -> None:
    """Take the log away; its key stays."""
    for each in world.home.path.glob("log.sqlite3*"):
        each.unlink()


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers=REWRITTEN)
def log_rewritten_after_it_was_anchored(world: World) -> Outcome:
    """Writes the log anew under its own key, with other entries and more of them, after it was anchored."""
    anchored(world)
    emptied(world)
    with own_log(world.home) as log:
        log.append([b"%d" % number for number in range(50)])
    return world.cli("log", "anchors", "--verify")


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="rollback of the log")
def log_cut_off_after_it_was_anchored(world: World) -> Outcome:
    """Takes the newest entries out of the log after it was anchored."""
    anchored(world)
    with own_log(world.home) as log:
        first = [body for _, body in log.entries()][:2]
    emptied(world)
    with own_log(world.home) as log:
        log.append(first)
    return world.cli("log", "anchors", "--verify")


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers=REWRITTEN)
def anchor_exchanged_with_the_log(world: World) -> Outcome:
    """Writes the log anew, and puts the new checkpoint into the anchor, beside the genuine receipt."""
    path = anchored(world)
    emptied(world)
    with own_log(world.home) as log:
        log.append([b"%d" % number for number in range(50)])
        note = log.checkpoint()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "checkpoint": note}))
    return world.cli("log", "anchors", "--verify")


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="the evidence chooses its own log")
def anchor_in_a_log_of_the_attacker(world: World) -> Outcome:
    """Writes the log anew, and anchors it in a log that nobody has pinned."""
    emptied(world)
    with own_log(world.home) as log:
        log.append([b"%d" % number for number in range(50)])
    before = world.home.trust_path.read_bytes()
    anchored(world)
    world.home.trust_path.write_bytes(before)
    return world.cli("log", "anchors", "--verify")
