"""Attacks on the transparency log and its receipts."""

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.codes import Code
from atlas.errors import StorageError
from atlas.home import create_home
from atlas.log import Checkpoint, EmbeddedLog, open_checkpoint, verify_consistency, verify_receipt
from atlas.log.checkpoint import sign_checkpoint
from atlas.log.claim import claim_entry
from atlas.log.merkle import leaf_hash, root_from_inclusion
from atlas.logs import own_log
from atlas.manifest import parse_manifest
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World, asked
from support import forge


def received(world: World, **changes: Any) -> Outcome:
    """Verify the model with a changed receipt."""
    world.put_receipt(world.model, replace(world.receipt(world.model), **changes))
    return world.verify()


def other_log(world: World, origin: str, key: ed25519.Ed25519PrivateKey | None = None) -> EmbeddedLog:
    """A log of the attacker, that holds the model's entry and some others."""
    log = EmbeddedLog.open(world.root / "attacker.sqlite3", origin, key or ed25519.Ed25519PrivateKey.generate())
    entry = claim_entry(world.model.sidecar.manifest)
    log.append([*(b"%d" % i for i in range(9)), entry.canonical_body()])
    return log


@attack(Part.LOG, Code.NOT_LOGGED, answers="unlogged manifest")
def manifest_never_logged(world: World) -> Outcome:
    """Delivers a signed artifact that no log has seen."""
    return world.verify_beside(world.delivery()[0], policy=world.policy())


@attack(Part.LOG, Code.RECEIPT_MALFORMED, answers="anything taken for a receipt")
def receipt_is_a_promise(world: World) -> Outcome:
    """Puts a mere statement of success in the place of the receipt."""
    world.put_receipt(world.model, b'{"status": "stored successfully", "id": "0"}')
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_MALFORMED, answers="several spellings of one value")
def receipt_with_a_time(world: World) -> Outcome:
    """Adds a time to the receipt, which the log did not sign."""
    raw = world.receipt(world.model).to_bytes()
    world.put_receipt(world.model, raw.replace(b'"kindVersion"', b'"integratedTime":"1735689600","kindVersion"'))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_KIND_UNKNOWN, answers="downgrade")
def receipt_of_an_older_kind(world: World) -> Outcome:
    """Presents the receipt as one of a kind that Rekor once had, whose checks were weaker."""
    raw = world.receipt(world.model).to_bytes()
    world.put_receipt(world.model, raw.replace(b'"kind":"hashedrekord"', b'"kind":"rekord"'))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="the evidence chooses its own log")
def log_of_the_attacker(world: World) -> Outcome:
    """Presents a valid receipt of the attacker's own log."""
    with other_log(world, "log.attacker.example") as log:
        world.put_receipt(world.model, log.receipt(9))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="log key rotated by attacker")
def log_key_rotated(world: World) -> Outcome:
    """Presents a receipt of a log with the pinned name and another key."""
    with other_log(world, world.log.origin) as log:
        world.put_receipt(world.model, log.receipt(9))
    return world.verify()


@attack(Part.LOG, Code.CHECKPOINT_SIGNATURE_INVALID, answers="log key rotated by attacker")
def log_key_rotated_and_id_kept(world: World) -> Outcome:
    """Presents such a receipt under the pinned key's id."""
    with other_log(world, world.log.origin) as log:
        world.put_receipt(world.model, replace(log.receipt(9), log_id=world.log.key_id))
    return world.verify()


@attack(Part.LOG, Code.CHECKPOINT_SIGNATURE_INVALID, answers="signature never checked")
def checkpoint_signed_by_another(world: World) -> Outcome:
    """Presents a forged tree, signed by another key whose id was made to look like the log's."""
    with other_log(world, world.log.origin) as log:
        receipt = log.receipt(9)
        key = ed25519.Ed25519PrivateKey.generate()
        forged = Checkpoint(world.log.origin, receipt.tree_size, receipt.root)
        world.put_receipt(
            world.model,
            replace(receipt, log_id=world.log.key_id, checkpoint=sign_checkpoint(forged, key, world.log)),
        )
    return world.verify()


@attack(Part.LOG, Code.CHECKPOINT_ORIGIN_MISMATCH, answers="checkpoint of another origin")
def checkpoint_of_another_origin(world: World) -> Outcome:
    """Presents a checkpoint of another log that is run under the very same key."""
    key = open_key(world)
    with other_log(world, "log.elsewhere.example", key) as log:
        world.put_receipt(world.model, replace(log.receipt(9), log_id=world.log.key_id))
    return world.verify()


def open_key(world: World) -> ed25519.Ed25519PrivateKey:
    """The log's own key, for attacks by the log's operator."""
    return world.home.log_key()


@attack(Part.LOG, Code.CHECKPOINT_MALFORMED, answers="duplicate and trailing boxes")
def checkpoint_signed_twice(world: World) -> Outcome:
    """Adds a second signature in the log's name, so that two readers may check different ones."""
    note = world.receipt(world.model).checkpoint
    return received(world, checkpoint=note + note.rsplit("\n\n", 1)[1])


@attack(Part.LOG, Code.CHECKPOINT_MALFORMED, answers="signature never checked")
def checkpoint_unsigned(world: World) -> Outcome:
    """Cuts the signatures off the checkpoint."""
    note = world.receipt(world.model).checkpoint
    return received(world, checkpoint=note.rsplit("\n\n", 1)[0] + "\n")


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers="replayed receipt")
def receipt_replayed(world: World) -> Outcome:
    """Presents the genuine receipt of another manifest."""
    world.put_receipt(world.model, world.receipt(world.made["metrics"]))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers="receipt of an entry with the attacker's own certificate")
def entry_with_the_attackers_certificate(world: World) -> Outcome:
    """Has the log record the model's digest under the attacker's own key, and presents that receipt."""
    stranger = world.credential(world.model.sidecar.manifest.statement.maker, forge.authority())
    stolen = forge.rewrite(world.model.sidecar.raw, stranger)
    world.put_receipt(world.model, world.logged_as(claim_entry(parse_manifest(stolen))))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_TREE_SIZE_MISMATCH, answers="false tree size")
def tree_size_false(world: World) -> Outcome:
    """States a smaller tree in the receipt than the log has signed."""
    return received(world, tree_size=world.receipt(world.model).tree_size - 1)


@attack(Part.LOG, Code.RECEIPT_INDEX_MISMATCH, answers="false index")
def index_false(world: World) -> Outcome:
    """States another index outside of the proof than inside."""
    return received(world, index=999)


@attack(Part.LOG, Code.RECEIPT_INDEX_MISMATCH, answers="false index")
def index_outside_of_the_tree(world: World) -> Outcome:
    """States the same index twice, one that the tree does not have."""
    return received(world, index=999, proof_index=999)


@attack(Part.LOG, Code.RECEIPT_INCLUSION_INVALID, answers="false index")
def index_of_another_entry(world: World) -> Outcome:
    """States the index of another entry, in both places."""
    other = 1 - world.receipt(world.model).index % 2 + world.receipt(world.model).index // 2 * 2
    return received(world, index=other, proof_index=other)


@attack(Part.LOG, Code.RECEIPT_ROOT_MISMATCH, answers="inclusion proof for a forked tree")
def root_of_a_forked_tree(world: World) -> Outcome:
    """Presents an inclusion proof into a forged tree, with its root, beside the genuine checkpoint."""
    honest = world.receipt(world.model)
    path = tuple(hashlib.sha256(b"fork" + each).digest() for each in honest.path)
    root = root_from_inclusion(honest.index, honest.tree_size, leaf_hash(honest.body), path)
    return received(world, path=path, root=root)


@attack(Part.LOG, Code.RECEIPT_INCLUSION_INVALID, answers="inclusion proof for a forked tree")
def path_of_a_forked_tree(world: World) -> Outcome:
    """Presents an inclusion proof into a forged tree and the genuine root."""
    return received(
        world, path=tuple(hashlib.sha256(b"fork" + each).digest() for each in world.receipt(world.model).path)
    )


@attack(Part.LOG, Code.RECEIPT_INCLUSION_INVALID, answers="inclusion proof never checked")
def path_left_out(world: World) -> Outcome:
    """Leaves the inclusion proof out."""
    return received(world, path=())


@attack(
    Part.LOG,
    Code.RECEIPT_ENTRY_MISMATCH,
    answers="inclusion proof for something else",
)
def subtree_passed_off_as_leaf(world: World) -> Outcome:
    """Presents an inner node of the tree as the entry."""
    honest = world.receipt(world.model)
    return received(world, body=honest.path[0] + honest.path[1], path=honest.path[1:])


@attack(Part.LOG, refused=StorageError, answers="log key rotated by attacker")
def log_key_replaced_in_the_home(world: World) -> Outcome:
    """Exchanges the log's key in the home, and waits for the next manifest to be logged."""
    other = create_home(world.root / "other")
    (world.home.path / "log.key").write_bytes((other.path / "log.key").read_bytes())
    world.pipeline("run-2")
    return world.verify()


def rewrite_log(world: World, query: str, *values: object) -> None:
    """Write to the log's database, past the triggers that let it only grow."""
    connection = sqlite3.connect(world.home.log_path)
    with connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        assert connection.execute(query, values).rowcount
    connection.close()


@attack(Part.LOG, refused=StorageError, answers="history rewritten")
def tree_rewritten_in_the_log(world: World) -> Outcome:
    """Rewrites the hashes of the tree in the log's own database."""
    rewrite_log(world, "UPDATE subtree SET hash = ?", hashlib.sha256(b"").digest())
    return world.cli("log", "checkpoint")


@attack(Part.LOG, refused=StorageError, answers="history rewritten", api=True)
def entry_rewritten_in_the_log(world: World) -> Outcome:
    """Rewrites an entry in the log's own database and leaves all hashes above it, before the log is audited."""
    rewrite_log(world, "UPDATE entry SET body = ? WHERE idx = 5", b"{}")
    with own_log(world.home) as log:
        return asked(log.audit)


def history(world: World) -> tuple[Checkpoint, Checkpoint, list[bytes]]:
    """Two checkpoints of the home's log, and the proof between them."""
    with own_log(world.home) as log:
        note = log.checkpoint()
        assert note
        new = open_checkpoint(note, log.pinned)
        return Checkpoint(new.origin, 3, log.root(3)), new, list(log.consistency(3, new.size))


def compared(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> Callable[[], None]:
    """What a monitor asks of two checkpoints."""
    return lambda: verify_consistency(old.size, new.size, old.root, new.root, path)


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="split view: two checkpoints of one size", api=True)
def split_view(world: World) -> Outcome:
    """Has the log show two observers different trees of one size."""
    _, new, _ = history(world)
    other = replace(new, root=hashlib.sha256(b"other").digest())
    return asked(compared(other, new, []))


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="rollback of the log", api=True)
def log_rolled_back(world: World) -> Outcome:
    """Has the log show a smaller tree than the one it had shown before."""
    old, new, path = history(world)
    return asked(compared(new, old, path))


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="a consistency proof that is not one", api=True)
def consistency_proof_is_a_list_of_leaves(world: World) -> Outcome:
    """Has the log send the hashes of the newer leaves in the place of a consistency proof."""
    old, new, _ = history(world)
    with own_log(world.home) as log:
        leaves = [leaf_hash(body) for index, body in log.entries() if index >= old.size]
    return asked(compared(old, new, leaves))


@attack(Part.LOG, Code.CHECKPOINT_INCONSISTENT, answers="history rewritten", api=True)
def history_rewritten(world: World) -> Outcome:
    """Has the log replace an old entry, and prove that a rewritten beginning leads to the present."""
    old, new, path = history(world)
    return asked(compared(replace(old, root=hashlib.sha256(b"rewritten").digest()), new, path))


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="the evidence chooses its own log", api=True)
def no_log_pinned(world: World) -> Outcome:
    """Presents a genuine receipt to a verifier that pins no log at all."""
    entry = claim_entry(world.model.sidecar.manifest)
    return asked(lambda: verify_receipt(world.receipt(world.model), entry, ()))


@attack(
    Part.LOG,
    Code.CHECKPOINT_INCONSISTENT,
    answers="rollback of the log",
)
def log_started_anew(world: World) -> Outcome:
    """Deletes the log and starts it anew under its old key, so that one lineage has receipts of two histories."""
    world.home.log_path.unlink()
    for each in world.home.path.glob("log.sqlite3-*"):
        each.unlink()
    return world.verify(world.pipeline("run-2")["model"])
