"""Attacks on receipts of Rekor v1: on the log's promise, its time, its trees, and on the difference to Rekor v2."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

from atlas.codes import Code
from atlas.log import Checkpoint, Receipt
from atlas.log.checkpoint import KEY_HASH_SIZE
from atlas.log.claim import claim_entry
from atlas.log.promise import Promise
from atlas.trust import PinnedLog
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from support.rekor1 import Rekor1Double, b64

LOG = Rekor1Double("rekor.public.example")


def genuine(world: World, log: Rekor1Double = LOG, **period: dt.datetime) -> Receipt:
    """Have the log record the model, and the trust root pin it; the log's receipt."""
    trust = world.trust
    world.write_trust(world.home.trust_path, replace(trust, logs=(*trust.logs, pinned(**period))))
    return log.logged(claim_entry(world.model.sidecar.manifest))


def pinned(**period: Any) -> PinnedLog:
    """The log as the user pinned it."""
    return replace(LOG.pinned, **period)


def received(world: World, receipt: Receipt, **changes: Any) -> Outcome:
    """Verify the model with a changed receipt."""
    world.put_receipt(world.model, replace(receipt, **changes))
    return world.verify()


def promised(receipt: Receipt) -> Promise:
    """The receipt's promise."""
    assert receipt.promise
    return receipt.promise


@attack(Part.LOG, Code.RECEIPT_PROMISE_INVALID, answers="time that nobody vouches for")
def promise_dated_back(world: World) -> Outcome:
    """States an earlier time in a Rekor v1 receipt than the log has signed."""
    receipt = genuine(world)
    return received(world, receipt, promise=replace(promised(receipt), time=promised(receipt).time - 86400))


@attack(Part.LOG, Code.RECEIPT_PROMISE_INVALID, answers="signature never checked")
def promise_by_another(world: World) -> Outcome:
    """Puts the promise of the attacker's own Rekor v1 log in the place of the log's."""
    receipt = genuine(world)
    other = Rekor1Double(LOG.origin).logged(claim_entry(world.model.sidecar.manifest))
    return received(world, receipt, promise=other.promise)


@attack(Part.LOG, Code.RECEIPT_PROMISE_INVALID, answers="replayed receipt")
def promise_of_another_entry(world: World) -> Outcome:
    """Puts the log's genuine promise for another manifest into the receipt."""
    receipt = genuine(world)
    other = LOG.logged(claim_entry(world.made["metrics"].sidecar.manifest))
    return received(world, receipt, promise=other.promise)


@attack(Part.LOG, Code.RECEIPT_PROMISE_INVALID, answers="false index")
def promise_for_another_index(world: World) -> Outcome:
    """States another place in the whole Rekor v1 log than the log has signed."""
    receipt = genuine(world)
    return received(world, receipt, index=receipt.index + 1)


@attack(Part.LOG, Code.RECEIPT_INDEX_MISMATCH, answers="false index")
def index_below_the_trees(world: World) -> Outcome:
    """States a place in the whole Rekor v1 log that lies before the tree which holds the entry."""
    receipt = genuine(world)
    return received(world, receipt, index=0)


@attack(Part.LOG, Code.RECEIPT_OUTSIDE_VALIDITY, answers="key used after it was retired")
def promise_after_the_key_was_retired(world: World) -> Outcome:
    """Has a log's retired key sign a fresh receipt."""
    retired = dt.datetime.fromtimestamp(LOG.time - 86400, dt.UTC)
    return received(world, genuine(world, valid_until=retired))


@attack(Part.LOG, Code.RECEIPT_OUTSIDE_VALIDITY, answers="key used before it was made")
def promise_before_the_key_was_in_use(world: World) -> Outcome:
    """Has the log date an entry to a time at which its key was not in use yet."""
    return received(world, genuine(world, valid_from=dt.datetime.fromtimestamp(LOG.time + 86400, dt.UTC)))


@attack(Part.LOG, Code.RECEIPT_MALFORMED, answers="downgrade")
def promise_left_out(world: World) -> Outcome:
    """Leaves the promise out of a Rekor v1 receipt."""
    document = genuine(world).to_json()
    del document["inclusionPromise"]
    world.put_receipt(world.model, json.dumps(document).encode())
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_MALFORMED, answers="downgrade")
def promise_claimed_of_version_2(world: World) -> Outcome:
    """Presents a Rekor v2 receipt as one of Rekor v1."""
    raw = world.receipt(world.model).to_bytes()
    world.put_receipt(world.model, raw.replace(b'"version":"0.0.2"', b'"version":"0.0.1"'))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="downgrade")
def version_1_without_its_promise(world: World) -> Outcome:
    """Presents a Rekor v1 log's receipt without promise and time, as one of Rekor v2."""
    return received(world, genuine(world), promise=None)


@attack(Part.LOG, Code.RECEIPT_LOG_UNKNOWN, answers="the evidence chooses its own log")
def version_1_log_of_the_attacker(world: World) -> Outcome:
    """Presents a valid receipt of a Rekor v1 log that nobody has pinned."""
    return received(world, genuine(world, Rekor1Double(LOG.origin)))


@attack(Part.LOG, Code.CHECKPOINT_ORIGIN_MISMATCH, answers="checkpoint of another origin")
def tree_of_another_log(world: World) -> Outcome:
    """Presents a checkpoint of another Rekor v1 log that is run under the very same key."""
    receipt = genuine(world)
    text = Checkpoint(f"rekor.elsewhere.example - {LOG.tree}", receipt.tree_size, receipt.root).text
    signature = b64(LOG.key_id[:KEY_HASH_SIZE] + LOG.sign(text.encode()))
    return received(world, receipt, checkpoint=f"{text}\n— {LOG.origin} {signature}\n")


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers="replayed receipt")
def version_1_receipt_replayed(world: World) -> Outcome:
    """Presents the genuine Rekor v1 receipt of another manifest."""
    genuine(world)
    return received(world, LOG.logged(claim_entry(world.made["metrics"].sidecar.manifest)))
