"""Atlas and its embedded log against a real Rekor v2: what one writes the other reads, and one tree is the other's."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.codes import Code
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import Algorithm, Entry
from atlas.log.merkle import leaf_hash, verify_consistency
from atlas.log.receipt import Logged, Receipt, verify_receipt
from atlas.log.tiles import LEVELS_PER_TILE, WIDTH, Tile, TileReader
from atlas.trust import PinnedLog
from cluster.logs import claim, fetcher, newest, post, record, request_of
from cluster.servers import Log, rekor
from unit.log.log_support import LOG_KEY, ORIGIN, assert_rejected, make_entry, spki

pytestmark = pytest.mark.xdist_group("servers")

MANY = 300
"""Entries, so that the tree has a full tile, partial ones and a second level."""


@pytest.fixture(scope="session")
def grown(rekor_log: Log, embedded_log: Log) -> dict[str, list[tuple[Entry, Receipt]]]:
    """By origin: what was recorded to make both logs large, with its receipts in the order of the log."""
    entries = [make_entry(f"grown {number}") for number in range(MANY)]
    both = {each.pinned.origin: record(each, *entries) for each in (rekor_log, embedded_log)}
    return {
        origin: sorted(zip(entries, receipts, strict=True), key=lambda pair: pair[1].index)
        for origin, receipts in both.items()
    }


# ------------------------------------------------------------------------------------------------ receipts


def test_a_manifest_is_logged(log: Log) -> None:
    entry = claim()
    [receipt] = record(log, entry)
    assert receipt.body == entry.canonical_body()
    assert verify_receipt(receipt, entry, [log.pinned]) == Logged(
        log.pinned.origin, receipt.index, receipt.tree_size, receipt.root, leaf_hash(receipt.body)
    )
    reader = TileReader(fetcher(log), receipt.tree_size)
    assert reader.entry(receipt.index) == entry.canonical_body()


@pytest.mark.parametrize(
    ("algorithm", "digest", "curve"),
    [
        (Algorithm.ECDSA_P384_SHA384, hashes.SHA384(), ec.SECP384R1()),
        (Algorithm.ECDSA_P521_SHA512, hashes.SHA512(), ec.SECP521R1()),
    ],
)
def test_the_larger_curves_are_logged(
    log: Log, algorithm: Algorithm, digest: hashes.HashAlgorithm, curve: ec.EllipticCurve
) -> None:
    key = ec.generate_private_key(curve)
    signed = bytes(digest.digest_size)
    entry = Entry(signed, key.sign(signed, ec.ECDSA(utils.Prehashed(digest))), algorithm, public_key=spki(key))
    [receipt] = record(log, entry)
    verify_receipt(receipt, entry, [log.pinned])


def members(document: object, at: str = "") -> Iterator[str]:
    """The paths of all members of a JSON document."""
    if isinstance(document, dict):
        for name, member in document.items():
            yield f"{at}/{name}"
            yield from members(member, f"{at}/{name}")


def test_receipts_have_the_same_members(rekor_log: Log, embedded_log: Log) -> None:
    entry = claim()
    theirs, ours = (post(log, request_of(entry)).json for log in (rekor_log, embedded_log))
    # Rekor writes members out that have their default value. In protobuf-JSON they mean what their absence does.
    defaults = {"integratedTime": "0", "inclusionPromise": None}
    assert {name: theirs.pop(name) for name in defaults} == defaults
    assert set(members(theirs)) == set(members(ours))
    for name in ("canonicalizedBody", "kindVersion"):
        assert theirs[name] == ours[name]
    for document in (theirs, ours):
        proof = document["inclusionProof"]
        assert document["logIndex"] == proof["logIndex"]
        assert int(proof["logIndex"]) < int(proof["treeSize"])
        assert proof["checkpoint"]["envelope"].split("\n")[1:3] == [proof["treeSize"], proof["rootHash"]]


def test_duplicates(rekor_log: Log, embedded_log: Log) -> None:
    entry = claim()
    answers = []
    for log in (rekor_log, embedded_log):
        [receipt] = record(log, entry)
        answer = post(log, request_of(entry))
        assert (answer.status, answer.headers["x-log-index"]) == (409, str(receipt.index))
        message = answer.json["message"]
        assert message.endswith(f" {receipt.index}")
        answers.append({**answer.json, "message": message.removesuffix(f" {receipt.index}")})
    assert answers[0] == answers[1]


def test_a_receipt_is_of_one_log(rekor_log: Log, embedded_log: Log) -> None:
    entry = claim()
    for log, other in ((rekor_log, embedded_log), (embedded_log, rekor_log)):
        [receipt], [others] = record(log, entry), record(other, claim())
        assert verify_receipt(receipt, entry, [other.pinned, log.pinned]).origin == log.pinned.origin

        def refused(code: Code, pinned: PinnedLog, presented: Receipt) -> None:
            assert_rejected(code, lambda: verify_receipt(presented, entry, [pinned]))

        refused(Code.RECEIPT_LOG_UNKNOWN, other.pinned, receipt)
        posing = replace(receipt, log_id=other.pinned.key_id)
        refused(Code.CHECKPOINT_ORIGIN_MISMATCH, other.pinned, posing)
        # A key id is of a name and a key, so neither alone is taken for the log.
        for same_name_or_key in (
            PinnedLog(log.pinned.origin, other.pinned.public_key),
            PinnedLog(other.pinned.origin, log.pinned.public_key),
        ):
            refused(Code.RECEIPT_LOG_UNKNOWN, same_name_or_key, receipt)
        same_name = PinnedLog(log.pinned.origin, other.pinned.public_key)
        refused(Code.CHECKPOINT_SIGNATURE_INVALID, same_name, replace(receipt, log_id=same_name.key_id))
        # The other log's proof under this log's name.
        transplanted = replace(others, log_id=log.pinned.key_id, body=receipt.body)
        refused(Code.CHECKPOINT_ORIGIN_MISMATCH, log.pinned, transplanted)
        borrowed = replace(receipt, root=others.root, path=others.path)
        refused(Code.RECEIPT_ROOT_MISMATCH, log.pinned, borrowed)


# ------------------------------------------------------------------------------------------------ tiles


def test_tiles_prove_what_the_receipts_do(log: Log, grown: dict[str, list[tuple[Entry, Receipt]]]) -> None:
    pairs = grown[log.pinned.origin]
    sizes = {receipt.tree_size for _, receipt in pairs}
    readers = {size: TileReader(fetcher(log), size) for size in sizes}
    for entry, receipt in pairs:
        verify_receipt(receipt, entry, [log.pinned])
        reader = readers[receipt.tree_size]
        assert reader.root() == receipt.root
        assert reader.inclusion(receipt.index) == list(receipt.path)
        assert reader.entry(receipt.index) == entry.canonical_body()


def test_checkpoints_extend_each_other(log: Log, grown: dict[str, list[tuple[Entry, Receipt]]]) -> None:
    roots = {receipt.tree_size: receipt.root for _, receipt in grown[log.pinned.origin]}
    end = newest(log)
    roots[end.size] = end.root
    assert end.size >= MANY
    sizes = sorted(roots)
    for old, new in pairwise([0, 1, *sizes]):
        reader = TileReader(fetcher(log), new)
        old_root = roots.get(old) or TileReader(fetcher(log), old).root()
        proof = reader.consistency(old)
        verify_consistency(old, new, old_root, reader.root(), proof)
        if 0 < old < new:
            forked = partial(verify_consistency, old, new, bytes(32), reader.root(), proof)
            assert_rejected(Code.CHECKPOINT_INCONSISTENT, forked)


def test_the_embedded_log_makes_rekors_tree(
    rekor_log: Log, grown: dict[str, list[tuple[Entry, Receipt]]], tmp_path: Path
) -> None:
    """Given Rekor's entries, our log has its roots, its proofs, and its tiles byte by byte."""
    end = newest(rekor_log)
    fetch = fetcher(rekor_log)
    reader = TileReader(fetch, end.size)
    with EmbeddedLog.open(tmp_path / "log.db", ORIGIN, LOG_KEY) as mirror:
        mirror.append([reader.entry(index) for index in range(end.size)])
        assert mirror.root(end.size) == end.root
        for _, receipt in grown[rekor_log.pinned.origin]:
            assert mirror.root(receipt.tree_size) == receipt.root
            assert mirror.inclusion(receipt.index, receipt.tree_size) == list(receipt.path)
        for level in (0, 1):
            full, rest = divmod(end.size >> LEVELS_PER_TILE * level, WIDTH)
            widths = [WIDTH] * full + [rest] * (rest > 0)
            for index, width in enumerate(widths):
                assert fetch(Tile(level, index, width).path) == mirror.tile(level, index, width)
                if level == 0:
                    assert fetch(Tile(None, index, width).path) == mirror.entry_bundle(index, width)


# ------------------------------------------------------------------------------------------------ a restart


def test_rekor_continues_after_a_restart(rekor_log: Log, tmp_path: Path) -> None:
    before, after = [make_entry(f"before {number}") for number in range(3)], [make_entry("after")]
    with rekor(tmp_path) as log:
        receipts = record(log, *before)
        old = newest(log)
    assert old.size == len(before)
    with rekor(tmp_path) as again:
        assert again.pinned.key_id == log.pinned.key_id
        assert newest(again) == old
        assert post(again, request_of(before[0])).status == 409
        [receipt] = record(again, *after)
        assert receipt.index == old.size
        for entry, each in zip(before + after, [*receipts, receipt], strict=True):
            verify_receipt(each, entry, [log.pinned])
        new = newest(again)
        reader = TileReader(fetcher(again), new.size)
        assert (new.size, reader.root()) == (old.size + 1, new.root)
        verify_consistency(old.size, new.size, old.root, new.root, reader.consistency(old.size))
