"""Our client against a real Rekor v2 and against our own log: the same receipts, and nothing lost or logged twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.log import verify_receipt
from atlas.log.checkpoint import open_checkpoint
from atlas.log.rekor2 import Address, Rekor2Log
from cluster.conftest import need
from cluster.logs import claim
from cluster.servers import Log, rekor
from unit.log.log_support import make_entry, record

MANY = 300


@pytest.fixture
def client(log: Log) -> Iterator[Rekor2Log]:
    with Rekor2Log(Address(log.url, log.read_url, log.pinned)) as made:
        yield made


def test_a_manifest_is_recorded(client: Rekor2Log, log: Log) -> None:
    entry = claim()
    [receipt] = record(client, [entry])
    assert verify_receipt(receipt, entry, [log.pinned]).index == receipt.index
    assert open_checkpoint(client.checkpoint(), log.pinned).size >= receipt.tree_size


def test_what_is_recorded_again_keeps_its_place(client: Rekor2Log, log: Log) -> None:
    """Rekor answers a duplicate without a proof; the one from its tiles says the same as the one it gave at first."""
    entries = [claim() for _ in range(3)]
    first, again = record(client, entries), record(client, entries)
    for entry, before, after in zip(entries, first, again, strict=True):
        assert (before.index, before.body, before.log_id) == (after.index, after.body, after.log_id)
        assert after.tree_size >= before.tree_size
        verify_receipt(after, entry, [log.pinned])


def test_many_at_once(client: Rekor2Log, log: Log) -> None:
    entries = [make_entry(f"client {log.pinned.origin} {number}") for number in range(MANY)]
    receipts = record(client, entries)
    assert len({each.index for each in receipts}) == MANY
    again = record(client, entries[:20])
    assert [each.index for each in again] == [each.index for each in receipts[:20]]


def test_a_rekor_that_is_killed_in_between(tmp_path: Path) -> None:
    """What it took is there when it comes back, and what is asked for again gets the same place."""
    need("rekor")
    entries = [make_entry(f"killed {number}") for number in range(120)]
    with rekor(tmp_path) as first, Rekor2Log(Address(first.url, first.read_url, first.pinned)) as made:
        before = record(made, entries[:60])
    with rekor(tmp_path) as second, Rekor2Log(Address(second.url, second.read_url, second.pinned)) as made:
        after = record(made, entries)
        size = open_checkpoint(made.checkpoint(), second.pinned).size
    assert [each.index for each in after[:60]] == [each.index for each in before]
    assert len({each.index for each in after}) == size == 120
