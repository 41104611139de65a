"""A genuine receipt, of Rekor and of the embedded log, in which one thing is not as the log gave it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.entry import Entry
from atlas.log.receipt import Receipt, parse_receipt, verify_receipt
from cluster.logs import claim, record
from cluster.servers import Log
from support.witnesses import WITNESSES, cosign

pytestmark = pytest.mark.xdist_group("servers")

_TIME = 1_790_000_000


def _signed_again(receipt: Receipt) -> str:
    return receipt.checkpoint + receipt.checkpoint.rpartition("\n\n")[2]


def _text(receipt: Receipt, line: int, words: str) -> str:
    lines = receipt.checkpoint.split("\n")
    return "\n".join([*lines[:line], words, *lines[line + 1 :]])


CHANGED: dict[str, tuple[Code, Callable[[Receipt], dict[str, Any]]]] = {
    "another log's key id": (Code.RECEIPT_LOG_UNKNOWN, lambda _: {"log_id": bytes(32)}),
    "another origin": (Code.CHECKPOINT_ORIGIN_MISMATCH, lambda r: {"checkpoint": _text(r, 0, "other.test")}),
    "another size is signed": (
        Code.CHECKPOINT_SIGNATURE_INVALID,
        lambda r: {"checkpoint": _text(r, 1, str(r.tree_size + 1)), "tree_size": r.tree_size + 1},
    ),
    "no signature": (
        Code.CHECKPOINT_MALFORMED,
        lambda r: {"checkpoint": r.checkpoint.rpartition("\n\n")[0] + "\n"},
    ),
    "signed twice": (Code.CHECKPOINT_MALFORMED, lambda r: {"checkpoint": _signed_again(r)}),
    "a smaller tree": (Code.RECEIPT_TREE_SIZE_MISMATCH, lambda r: {"tree_size": r.tree_size - 1}),
    "another root": (Code.RECEIPT_ROOT_MISMATCH, lambda _: {"root": bytes(32)}),
    "another index outside of the proof": (Code.RECEIPT_INDEX_MISMATCH, lambda r: {"index": r.index + 1}),
    "another index inside of the proof": (Code.RECEIPT_INDEX_MISMATCH, lambda r: {"proof_index": r.index + 1}),
    "an index beyond the tree": (
        Code.RECEIPT_INDEX_MISMATCH,
        lambda r: {"index": r.tree_size, "proof_index": r.tree_size},
    ),
    "a neighbour's index": (
        Code.RECEIPT_INCLUSION_INVALID,
        lambda r: {"index": r.index ^ 1, "proof_index": r.index ^ 1},
    ),
    "no path": (Code.RECEIPT_INCLUSION_INVALID, lambda _: {"path": ()}),
    "a longer path": (Code.RECEIPT_INCLUSION_INVALID, lambda r: {"path": (*r.path, bytes(32))}),
    "another path": (Code.RECEIPT_INCLUSION_INVALID, lambda r: {"path": (bytes(32), *r.path[1:])}),
    "an inner node as the entry": (
        Code.RECEIPT_ENTRY_MISMATCH,
        lambda r: {"body": r.path[0] + bytes(32), "path": r.path[1:]},
    ),
}


@pytest.fixture
def genuine(log: Log) -> tuple[Receipt, Entry]:
    """The receipt of a manifest whose index is odd, so that its neighbour is in the tree, however large that was."""
    entry = claim()
    [receipt] = record(log, entry)
    if receipt.index % 2 == 0:
        entry = claim()
        [receipt] = record(log, entry)
    verify_receipt(receipt, entry, [log.pinned])
    return receipt, entry


def _refused(receipt: Receipt, entry: Entry, log: Log) -> Code:
    with pytest.raises(Rejected) as caught:
        verify_receipt(receipt, entry, [log.pinned])
    return caught.value.code


@pytest.mark.parametrize("change", CHANGED)
def test_a_receipt_with_something_changed(change: str, log: Log, genuine: tuple[Receipt, Entry]) -> None:
    receipt, entry = genuine
    code, changes = CHANGED[change]
    assert _refused(replace(receipt, **changes(receipt)), entry, log) is code


def test_a_receipt_of_another_manifest(log: Log, genuine: tuple[Receipt, Entry]) -> None:
    receipt, _ = genuine
    assert _refused(receipt, claim(), log) is Code.RECEIPT_ENTRY_MISMATCH


def test_a_receipt_without_the_witnesses_that_are_demanded(log: Log, genuine: tuple[Receipt, Entry]) -> None:
    """Neither log asks any; what witnesses add counts alike in both."""
    receipt, entry = genuine
    demanding = replace(log, pinned=replace(log.pinned, quorum=2, witnesses=WITNESSES))
    one = replace(receipt, checkpoint=cosign(receipt.checkpoint, 0, _TIME))
    two = replace(one, checkpoint=cosign(one.checkpoint, 1, _TIME))
    assert _refused(receipt, entry, demanding) is Code.WITNESS_QUORUM_MISSED
    assert _refused(one, entry, demanding) is Code.WITNESS_QUORUM_MISSED
    assert verify_receipt(two, entry, [demanding.pinned]).time
    forged = replace(one, checkpoint=cosign(one.checkpoint, 1, _TIME, text="other.test\n1\n"))
    assert _refused(forged, entry, demanding) is Code.COSIGNATURE_INVALID


def test_a_receipt_is_read_as_the_log_wrote_it(genuine: tuple[Receipt, Entry]) -> None:
    receipt, _ = genuine
    assert parse_receipt(receipt.to_bytes()) == receipt
