import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import HomeVersionError, InputError, Rejected, StorageError
from atlas.log import merkle, store
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.embedded import Appended, EmbeddedLog
from atlas.log.receipt import verify_receipt
from unit.log.log_support import LOG_KEY, ORIGIN, OTHER_LOG_KEY, PINNED, body, make_entry
from unit.log.test_log_merkle import naive_path, naive_proof, naive_root

BODIES = [body("w", number) for number in range(600)]
LEAVES = [merkle.leaf_hash(each) for each in BODIES]


def reopen(path: Path) -> EmbeddedLog:
    return EmbeddedLog.open(path, ORIGIN, LOG_KEY)


def test_an_empty_log(log: EmbeddedLog) -> None:
    assert log.size == 0
    assert log.checkpoint() is None
    assert log.audit() is None
    assert log.append([]) == []
    assert list(log.entries()) == []
    assert log.find(LEAVES[0]) is None
    for call in (lambda: log.receipt(0), lambda: log.entry(0), lambda: log.inclusion(0, 1)):
        with pytest.raises(InputError):
            call()


def test_append_and_read_back(log: EmbeddedLog, log_path: Path) -> None:
    assert log.append(BODIES[:3]) == [Appended(index, False) for index in range(3)]
    assert log.append(BODIES[3:70]) == [Appended(index, False) for index in range(3, 70)]
    with reopen(log_path) as again:
        for each in (log, again):
            assert each.size == 70
            assert list(each.entries()) == list(enumerate(BODIES[:70]))
            assert list(each.entries(68)) == [(68, BODIES[68]), (69, BODIES[69])]
            assert [each.find(leaf) for leaf in LEAVES[:70]] == list(range(70))
            assert each.entry(7) == BODIES[7]
            newest = each.checkpoint()
            assert newest is not None
            assert open_checkpoint(newest, PINNED) == Checkpoint(ORIGIN, 70, naive_root(LEAVES[:70]))
            assert each.audit() == Checkpoint(ORIGIN, 70, naive_root(LEAVES[:70]))


def test_more_entries_than_one_chunk(log: EmbeddedLog) -> None:
    log.append(BODIES)
    assert list(log.entries(1)) == list(enumerate(BODIES))[1:]
    assert log.audit() == Checkpoint(ORIGIN, 600, naive_root(LEAVES))


def test_duplicates_keep_their_index(log: EmbeddedLog) -> None:
    assert log.append([BODIES[0], BODIES[1], BODIES[0]]) == [
        Appended(0, False), Appended(1, False), Appended(0, True),
    ]  # fmt: skip
    before = log.checkpoint()
    assert log.append([BODIES[1], BODIES[0]]) == [Appended(1, True), Appended(0, True)]
    assert log.checkpoint() == before
    assert log.append([BODIES[1], BODIES[2]]) == [Appended(1, True), Appended(2, False)]
    assert log.size == 3
    log.audit()


def test_receipts_verify(log: EmbeddedLog) -> None:
    entries = [make_entry(number) for number in range(20)]
    log.append([entry.canonical_body() for entry in entries])
    receipts = log.receipts(range(20))
    assert len({receipt.checkpoint for receipt in receipts}) == 1
    for index, entry in enumerate(entries):
        assert verify_receipt(receipts[index], entry, [PINNED]).index == index
        assert log.receipt(index) == receipts[index]
    for bad in (-1, 20):
        with pytest.raises(InputError):
            log.receipt(bad)


def test_proofs_of_every_size(log: EmbeddedLog) -> None:
    log.append(BODIES[:40])
    for size in range(1, 41):
        assert [log.inclusion(index, size) for index in range(size)] == [
            naive_path(index, LEAVES[:size]) for index in range(size)
        ]
        assert [log.consistency(old, size) for old in range(1, size)] == [
            naive_proof(old, LEAVES[:size]) for old in range(1, size)
        ]
    calls: list[Callable[[], object]] = [
        lambda: log.inclusion(0, 41),
        lambda: log.inclusion(40, 40),
        lambda: log.inclusion(0, -1),
        lambda: log.consistency(1, 41),
        lambda: log.consistency(3, 2),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


@settings(max_examples=25, deadline=None)
@given(batches=st.lists(st.lists(st.integers(0, 60), max_size=20), max_size=8))
def test_any_sequence_of_batches(batches: list[list[int]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Against a list: the log is the bodies in order of first appearance."""
    expected: list[int] = []
    with reopen(tmp_path_factory.mktemp("log") / "log.db") as log:
        for batch in batches:
            for number, appended in zip(batch, log.append([BODIES[n] for n in batch]), strict=True):
                assert appended.duplicate == (number in expected)
                if number not in expected:
                    expected.append(number)
                assert appended.index == expected.index(number)
        assert [each for _, each in log.entries()] == [BODIES[number] for number in expected]
        newest = log.audit()
        assert (newest.root if newest else merkle.EMPTY_ROOT) == naive_root([LEAVES[n] for n in expected])


def test_two_open_logs_of_one_file_take_turns(log: EmbeddedLog, log_path: Path) -> None:
    with reopen(log_path) as other:
        for number in range(0, 40, 2):
            assert log.append([BODIES[number]]) == [Appended(number, False)]
            assert other.append([BODIES[number], BODIES[number + 1]]) == [
                Appended(number, True), Appended(number + 1, False),
            ]  # fmt: skip
        assert log.audit() == other.audit() == Checkpoint(ORIGIN, 40, naive_root(LEAVES[:40]))


def test_too_large_an_entry(log: EmbeddedLog) -> None:
    with pytest.raises(InputError, match="65535"):
        log.append([b"ok", bytes(65536)])
    assert log.size == 0
    log.append([bytes(65535)])
    assert log.size == 1


def test_a_failed_append_adds_nothing(log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(BODIES[:5])
    before = log.checkpoint()

    def fail(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("atlas.log.embedded.sign_checkpoint", fail)
        with pytest.raises(KeyboardInterrupt):
            log.append(BODIES[5:9])
    assert (log.size, log.checkpoint()) == (5, before)
    assert log.append(BODIES[5:9])[0] == Appended(5, False)
    log.audit()


# --- files that cannot be used ---


def assert_unusable(path: Path, words: str) -> StorageError:
    with pytest.raises(StorageError, match=words) as caught:
        reopen(path)
    assert str(path) in str(caught.value)
    assert caught.value.mend
    return caught.value


def filled(path: Path, count: int = 10) -> Path:
    with reopen(path) as log:
        log.append(BODIES[: count - 3])
        log.append(BODIES[count - 3 : count])
    return path


def tamper(path: Path, *statements: str) -> None:
    """Change the file behind the log's back, past its triggers."""
    connection = sqlite3.connect(path, isolation_level=None)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, "the tampering did nothing"
    connection.close()


def test_the_wrong_origin(log_path: Path) -> None:
    filled(log_path)
    with pytest.raises(StorageError, match=r"is the log 'log.test/atlas', not 'other.test'") as caught:
        EmbeddedLog.open(log_path, "other.test", LOG_KEY)
    assert str(log_path) in str(caught.value)


def test_the_wrong_key(log_path: Path) -> None:
    filled(log_path)
    with pytest.raises(StorageError, match="another key"):
        EmbeddedLog.open(log_path, ORIGIN, OTHER_LOG_KEY)
    with reopen(log_path) as log:
        assert log.size == 10


def test_an_origin_that_cannot_be(log_path: Path) -> None:
    with pytest.raises(InputError):
        EmbeddedLog.open(log_path, "two words", LOG_KEY)
    assert not log_path.exists()


def test_not_a_database(log_path: Path) -> None:
    log_path.write_bytes(b"These are not the bytes of a database. " * 100)
    assert_unusable(log_path, "is not a database")


def test_a_directory(tmp_path: Path) -> None:
    assert_unusable(tmp_path, "cannot be opened")


def test_no_directory(tmp_path: Path) -> None:
    assert_unusable(tmp_path / "missing" / "log.db", "cannot be opened")


def test_a_database_of_something_else(log_path: Path) -> None:
    connection = sqlite3.connect(log_path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = log_path.read_bytes()
    assert_unusable(log_path, "something else")
    assert log_path.read_bytes() == before


def test_of_a_newer_atlas(log_path: Path) -> None:
    tamper(filled(log_path), "PRAGMA user_version = 2")
    with pytest.raises(HomeVersionError, match="version 2"):
        reopen(log_path)


def test_a_damaged_image(log_path: Path) -> None:
    filled(log_path, 600)
    data = bytearray(log_path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    log_path.write_bytes(data)
    assert_unusable(log_path, "damaged")


def test_a_file_cut_short(log_path: Path) -> None:
    filled(log_path, 600)
    log_path.write_bytes(log_path.read_bytes()[: 3 * 4096])
    assert_unusable(log_path, "damaged|disk failed")


TORN: dict[str, tuple[str, str]] = {
    "the last entry lost": ("DELETE FROM entry WHERE idx = 9", "9 entries, but .* is for 10"),
    "an entry too many": ("INSERT INTO entry VALUES (10, x'00', x'00')", "11 entries"),
    "the newest checkpoint lost": ("DELETE FROM checkpoint WHERE size = 10", "10 entries, but .* is for 7"),
    "all checkpoints lost": ("DELETE FROM checkpoint", "no checkpoint"),
    "all entries lost": ("DELETE FROM entry", "0 entries, but"),
    "a subtree lost": ("DELETE FROM subtree WHERE level = 3", "subtree 3/0 is missing"),
    "a subtree changed": ("UPDATE subtree SET hash = zeroblob(32) WHERE level = 3", "do not lead"),
    "the checkpoint not a note": ("UPDATE checkpoint SET note = 'x' WHERE size = 10", "newest checkpoint"),
    "the signature changed": (
        "UPDATE checkpoint SET note = replace(note, 'log.test/atlas H', 'log.test/atlas I') WHERE size = 10",
        "does not verify",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TORN)
def test_torn(name: str, log_path: Path) -> None:
    statement, words = TORN[name]
    tamper(filled(log_path), statement)
    assert_unusable(log_path, words)


def test_torn_at_a_leaf_that_is_a_peak(log_path: Path) -> None:
    tamper(filled(log_path, 11), "UPDATE entry SET leaf = zeroblob(32) WHERE idx = 10")
    assert_unusable(log_path, "do not lead to the root")


HIDDEN: dict[str, str] = {
    "the newest leaf": "UPDATE entry SET leaf = zeroblob(32) WHERE idx = 9",
    "an old body": "UPDATE entry SET body = x'00' WHERE idx = 2",
    "an old leaf": "UPDATE entry SET leaf = zeroblob(32) WHERE idx = 2",
    "an inner hash": "UPDATE subtree SET hash = zeroblob(32) WHERE level = 1 AND idx = 1",
    "an old checkpoint": "UPDATE checkpoint SET note = replace(note, 'log.test', 'log.tesT') WHERE size = 7",
}


@pytest.mark.parametrize("name", HIDDEN)
def test_audit_finds_what_opening_does_not(name: str, log_path: Path) -> None:
    tamper(filled(log_path), HIDDEN[name])
    with reopen(log_path) as log, pytest.raises(StorageError, match="damaged"):
        log.audit()


def test_a_tree_torn_under_an_open_log_is_not_signed(log_path: Path) -> None:
    filled(log_path)
    with reopen(log_path) as log:
        tamper(log_path, "UPDATE subtree SET hash = zeroblob(32) WHERE level = 3")
        with pytest.raises(StorageError, match="do not lead"):
            log.append([BODIES[20]])
        assert log.size == 10


@pytest.mark.parametrize("table", ["entry", "subtree", "checkpoint", "identity"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid"])
def test_the_file_only_grows(table: str, statement: str, log_path: Path) -> None:
    filled(log_path)
    connection = sqlite3.connect(log_path)
    try:
        sql = statement.format(table).replace("subtree SET rowid = rowid", "subtree SET idx = idx")
        with pytest.raises(sqlite3.IntegrityError, match="a log only grows"):
            connection.execute(sql)
    finally:
        connection.close()


def test_locked(log: EmbeddedLog, log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(BODIES[:1])
    monkeypatch.setattr(store, "BUSY_TIMEOUT", 0.1)
    blocker = sqlite3.connect(log_path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with reopen(log_path) as impatient:
            with pytest.raises(StorageError, match="is locked by another process") as caught:
                impatient.append(BODIES[1:2])
            assert str(log_path) in str(caught.value)
            assert caught.value.mend
            blocker.execute("ROLLBACK")
            assert impatient.append(BODIES[1:2]) == [Appended(1, False)]
    finally:
        blocker.close()


def test_closed(log_path: Path) -> None:
    log = reopen(log_path)
    log.close()
    log.close()
    calls: list[Callable[[], object]] = [lambda: log.size, lambda: log.append([b"x"]), log.checkpoint]
    for call in calls:
        with pytest.raises(StorageError, match="closed"):
            call()


def test_a_copy_that_went_another_way_is_caught(log_path: Path, tmp_path: Path) -> None:
    """Two histories under one key are what consistency proofs are for."""
    filled(log_path)
    copy = tmp_path / "copy.db"
    shutil.copy(log_path, copy)
    with reopen(log_path) as log, reopen(copy) as fork:
        log.append([b"one", b"two"])
        fork.append([b"another"])
        ours, theirs = (open_checkpoint(each.checkpoint() or "", PINNED) for each in (log, fork))
        with pytest.raises(Rejected) as caught:
            merkle.verify_consistency(
                theirs.size, ours.size, theirs.root, ours.root, log.consistency(theirs.size, ours.size)
            )
        assert caught.value.code is Code.CHECKPOINT_INCONSISTENT
