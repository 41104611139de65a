"""Receipts of Rekor v1, each rule broken by itself."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from atlas.codes import Code
from atlas.log import Receipt, open_checkpoint, parse_receipt, verify_receipt
from atlas.log.checkpoint import Checkpoint
from atlas.trust import PinnedLog
from support.rekor1 import Rekor1Double
from unit.log.log_support import assert_rejected, make_entry, signature_line

ENTRY = make_entry("entry")
LOG = Rekor1Double()
GOOD = LOG.logged(ENTRY)
TREE = f"{LOG.origin} - {LOG.tree}"


def refused(code: Code, receipt: Receipt = GOOD, log: PinnedLog = LOG.pinned) -> None:
    assert_rejected(code, lambda: verify_receipt(receipt, ENTRY, [log]))


def note(text: str) -> str:
    return f"{text}\n{signature_line(text, LOG.pinned, LOG.sign)}"


def noted(origin: str) -> Receipt:
    """A receipt whose checkpoint the log has signed under this name."""
    return replace(GOOD, checkpoint=note(Checkpoint(origin, GOOD.tree_size, GOOD.root).text))


def test_a_receipt_holds() -> None:
    logged = verify_receipt(GOOD, ENTRY, [PinnedLog(LOG.origin, LOG.key.public_key()), LOG.pinned])
    assert (logged.origin, logged.index, logged.tree_size) == (TREE, 2, 3)
    assert logged.time == dt.datetime.fromtimestamp(LOG.time + 2, dt.UTC)


def test_a_log_of_another_version() -> None:
    refused(Code.RECEIPT_LOG_UNKNOWN, log=PinnedLog(LOG.origin, LOG.key.public_key()))
    assert_rejected(Code.RECEIPT_LOG_UNKNOWN, lambda: verify_receipt(replace(GOOD, promise=None), ENTRY, [LOG.pinned]))


@pytest.mark.parametrize(
    "origin",
    [
        LOG.origin,
        f"{LOG.origin} - ",
        f"{LOG.origin} - 0",
        f"{LOG.origin} - 01",
        f"{LOG.origin} - x",
        f"{LOG.origin} - -1",
        f"{LOG.origin} - 1 - 2",
        f"{LOG.origin} -1",
        f"{LOG.origin} - {'9' * 20}",
        f"{LOG.origin} - １",
        f"x{LOG.origin} - 1",
        "other.test - 1",
        f"other.test {LOG.origin} - 1",
    ],
)
def test_origins_that_are_none_of_its_trees(origin: str) -> None:
    refused(Code.CHECKPOINT_ORIGIN_MISMATCH, noted(origin))


def test_two_trees_are_two_logs() -> None:
    other = verify_receipt(noted(f"{LOG.origin} - 7"), ENTRY, [LOG.pinned])
    assert other.origin == f"{LOG.origin} - 7"


def test_a_tree_of_a_log_that_has_none() -> None:
    pinned = PinnedLog(LOG.origin, LOG.key.public_key())
    assert_rejected(Code.CHECKPOINT_ORIGIN_MISMATCH, lambda: open_checkpoint(GOOD.checkpoint, pinned))


def test_checkpoint() -> None:
    other = Rekor1Double()
    refused(Code.CHECKPOINT_SIGNATURE_INVALID, replace(GOOD, checkpoint=other.checkpoint()))
    refused(Code.CHECKPOINT_MALFORMED, replace(GOOD, checkpoint="x"))
    refused(Code.RECEIPT_TREE_SIZE_MISMATCH, replace(GOOD, tree_size=GOOD.tree_size + 1))
    refused(Code.RECEIPT_ROOT_MISMATCH, replace(GOOD, root=bytes(32)))


def test_indices() -> None:
    refused(Code.RECEIPT_INDEX_MISMATCH, replace(GOOD, index=GOOD.proof_index - 1))
    refused(Code.RECEIPT_INDEX_MISMATCH, replace(GOOD, proof_index=GOOD.tree_size))
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(GOOD, proof_index=GOOD.proof_index - 1))
    refused(Code.RECEIPT_PROMISE_INVALID, replace(GOOD, index=GOOD.index + 1))
    first = Rekor1Double(before=0)
    assert verify_receipt(first.logged(ENTRY), ENTRY, [first.pinned]).index == 2


def test_entry_and_inclusion() -> None:
    other = LOG.logged(make_entry("other"))
    refused(Code.RECEIPT_ENTRY_MISMATCH, other)
    refused(Code.RECEIPT_ENTRY_MISMATCH, replace(GOOD, body=ENTRY.canonical_body()))
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(GOOD, path=(*GOOD.path, bytes(32))))


def test_promise() -> None:
    assert GOOD.promise
    for changes in ({"time": GOOD.promise.time + 1}, {"signature": b""}, {"signature": GOOD.promise.signature + b"\0"}):
        refused(Code.RECEIPT_PROMISE_INVALID, replace(GOOD, promise=replace(GOOD.promise, **changes)))
    stranger = Rekor1Double().logged(ENTRY)
    refused(Code.RECEIPT_PROMISE_INVALID, replace(GOOD, promise=stranger.promise))
    for lie in ({"logID": "00" * 32}, {"body": "e30="}, {"surplus": 1}):
        signed = LOG.answer(2, **lie)
        [each] = signed.values()
        promise = replace(GOOD.promise, signature=base64.b64decode(each["verification"]["signedEntryTimestamp"]))
        refused(Code.RECEIPT_PROMISE_INVALID, replace(GOOD, promise=promise))


def test_the_period_of_the_key() -> None:
    time = dt.datetime.fromtimestamp(LOG.time + 2, dt.UTC)
    second = dt.timedelta(seconds=1)
    within: tuple[dict[str, Any], ...] = (
        {"valid_from": time},
        {"valid_until": time},
        {"valid_from": time - second, "valid_until": time + second},
    )
    for period in within:
        assert verify_receipt(GOOD, ENTRY, [replace(LOG.pinned, **period)]).time == time
    outside: tuple[dict[str, Any], ...] = ({"valid_from": time + second}, {"valid_until": time - second})
    for period in outside:
        refused(Code.RECEIPT_OUTSIDE_VALIDITY, log=replace(LOG.pinned, **period))


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    document = GOOD.to_json()
    change(document)
    return json.dumps(document)


MALFORMED = {
    "no promise": changed(lambda d: d.pop("inclusionPromise")),
    "promise null": changed(lambda d: d.update(inclusionPromise=None)),
    "promise a string": changed(lambda d: d.update(inclusionPromise="AAAA")),
    "promise without a signature": changed(lambda d: d.update(inclusionPromise={})),
    "promise with more": changed(lambda d: d["inclusionPromise"].update(x=1)),
    "signature not base64": changed(lambda d: d["inclusionPromise"].update(signedEntryTimestamp="x")),
    "no time": changed(lambda d: d.pop("integratedTime")),
    "time 0": changed(lambda d: d.update(integratedTime="0")),
    "time a number": changed(lambda d: d.update(integratedTime=1700000000)),
    "time negative": changed(lambda d: d.update(integratedTime="-1")),
    "time after the year 9999": changed(lambda d: d.update(integratedTime="253402300800")),
    "said to be of Rekor v2": changed(lambda d: d["kindVersion"].update(version="0.0.2")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    assert_rejected(Code.RECEIPT_MALFORMED, lambda: parse_receipt(MALFORMED[name]))
