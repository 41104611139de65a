"""Attacks on the history of a Rekor v1 log, which only somebody sees who watches it."""

from collections.abc import Callable

from atlas.codes import Code
from atlas.log.rekor1 import Address1
from atlas.logs import use
from integration.tamper.attacks_watch import watched
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from support.rekor1 import TREE, Rekor1Double, serving


def copied(log: Rekor1Double, count: int, kind: type[Rekor1Double] = Rekor1Double) -> Rekor1Double:
    """A log with the same key, and the first entries of this one."""
    made = kind(log.origin, log.key)
    made.bodies, made.time = log.bodies[:count], log.time
    return made


def after(world: World, attacked: Callable[[Rekor1Double], Rekor1Double]) -> Outcome:
    """`atlas log watch` of a log that recorded a manifest, was watched, and then shows something else."""
    log = Rekor1Double()
    with serving(log) as server:
        use(world.home, Address1(server.url, log.pinned), [log.pinned])
        world.publish(world.file("more.csv", b"more"))
        world.gather()
        honest = watched(world, "--origin", log.origin)
        assert honest.exit == 0, honest.text
        assert "1 of ours looked for" in honest.text
        server.log = attacked(log)
        return watched(world, "--origin", log.origin)


@attack(Part.LOG, Code.LOG_ROLLED_BACK, answers="rollback of the log")
def old_copy_of_a_rekor_v1_served(world: World) -> Outcome:
    """Shows a Rekor v1 log as it was before it recorded a manifest."""
    return after(world, lambda log: copied(log, 2))


@attack(Part.LOG, Code.LOG_ROLLED_BACK, answers="history hidden behind a new tree")
def tree_of_a_rekor_v1_dropped(world: World) -> Outcome:
    """Begins a new tree, and shows the one before it no more."""
    return after(world, lambda log: Rekor1Double(log.origin, log.key, TREE + 1))


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="history rewritten")
def rekor_v1_forked(world: World) -> Outcome:
    """Puts other entries in front of the manifest's, which is still there."""

    def forked(log: Rekor1Double) -> Rekor1Double:
        made = copied(log, 3)
        made.bodies = [b"what should have been", *made.bodies[1:], b"and more"]
        return made

    return after(world, forked)


class Lossy(Rekor1Double):
    """Has the hashes of its entries, and not the entries."""

    def entry_id(self, body: bytes) -> str:
        return super().entry_id(b"something else")


@attack(Part.LOG, Code.LOG_ENTRY_LOST, answers="entry withheld")
def entry_of_a_rekor_v1_withheld(world: World) -> Outcome:
    """Keeps the tree, and answers no more with the manifest's entry."""
    return after(world, lambda log: copied(log, 3, Lossy))
