"""Watching a log: its checkpoints, receipts and tiles, each broken on purpose."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.codes import Code
from atlas.errors import ClockError, InputError
from atlas.log import look, merkle
from atlas.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from atlas.log.embedded import EmbeddedLog
from atlas.log.receipt import parse_receipt
from atlas.log.tiles import make_bundle
from unit.log.log_support import LOG_KEY, ORIGIN, OTHER_LOG_KEY, PINNED, note
from unit.log.watch_support import NOW, During, Shown, Site, bodies, stranger

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(site: Site) -> Iterator[EmbeddedLog]:
    with site.log() as opened:
        yield opened


def grow(log: EmbeddedLog, count: int, name: str = "s") -> None:
    log.append([b"%s %d" % (name.encode(), number) for number in range(count)])


def newest(log: EmbeddedLog) -> str:
    found = log.checkpoint()
    assert found
    return found


class TestHonest:
    def test_a_log_that_grows(self, site: Site, log: EmbeddedLog) -> None:
        assert site.look(log) == set()
        assert (site.looked.size, site.looked.first) == (0, False), "there is nothing yet to trust"
        site.logged(log, 3)
        assert site.look(log) == set()
        assert (site.looked.size, site.looked.read, site.looked.first) == (3, 3, True)
        grow(log, 300)
        site.logged(log, 2)
        assert site.look(log) == set()
        assert (site.looked.size, site.looked.read, site.looked.first) == (305, 302, False)
        assert site.look(log) == set()
        assert site.looked.read == 0
        assert site.evidence == []

    @pytest.mark.parametrize("old", [1, 2, 3, 255, 256, 257, 511, 512])
    @pytest.mark.parametrize("more", [1, 255, 256, 300])
    def test_every_growth_over_the_borders_of_tiles(self, site: Site, log: EmbeddedLog, old: int, more: int) -> None:
        grow(log, old, "old")
        assert site.look(log) == set()
        grow(log, more, "more")
        assert site.look(log) == set()
        assert site.looked.read == more

    def test_what_is_logged_while_the_archive_is_read(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log, 2)
        assert site.look(log, archive=During(site.archive, lambda: site.logged(log, 2))) == set()
        assert (site.looked.size, site.looked.read) == (2, 2)
        assert site.look(log) == set()
        assert (site.looked.size, site.looked.read) == (4, 2)

    def test_what_others_were_shown(self, site: Site, log: EmbeddedLog) -> None:
        seen = []
        for _ in range(3):
            site.logged(log)
            seen.append(newest(log))
        assert site.look(log, compare=tuple(seen)) == set()


class TestForks:
    """Two histories under one key."""

    @pytest.fixture
    def fork(self, site: Site, log: EmbeddedLog) -> Iterator[EmbeddedLog]:
        grow(log, 5)
        with site.copy("log", "fork") as other:
            grow(log, 4, "ours")
            yield other

    @pytest.mark.parametrize("more", [4, 5, 300])
    def test_a_log_that_forks(self, site: Site, log: EmbeddedLog, fork: EmbeddedLog, more: int) -> None:
        grow(fork, more, "theirs")
        assert site.look(log) == set()
        before = site.state.read_bytes()
        for _ in range(2):
            assert site.look(fork) == {Code.CHECKPOINT_INCONSISTENT}
            assert site.state.read_bytes() == before, "an alarm is not forgotten"
        assert site.look(log) == set()

        [path] = site.evidence
        shown = json.loads(path.read_text())
        old, new = (open_checkpoint(each, PINNED) for each in shown["checkpoints"])
        assert (old.size, new.size) == (9, 5 + more)
        proof = shown["proof"]
        root = bytes.fromhex(proof["root"])
        merkle.verify_consistency(9, new.size, root, new.root, [bytes.fromhex(each) for each in proof["consistency"]])
        assert root != old.root, "the newer checkpoint proves that the older one is of another history"

    def test_a_fork_that_is_smaller(self, site: Site, log: EmbeddedLog, fork: EmbeddedLog) -> None:
        grow(fork, 1, "theirs")
        assert site.look(log) == set()
        assert site.look(fork) == {Code.LOG_ROLLED_BACK}

    def test_a_fork_that_somebody_else_was_shown(self, site: Site, log: EmbeddedLog, fork: EmbeddedLog) -> None:
        common = newest(fork)
        grow(fork, 2, "theirs")
        assert site.look(log, compare=(common,)) == set()
        assert site.look(log, compare=(common, newest(fork))) == {Code.CHECKPOINT_INCONSISTENT}
        grow(fork, 9, "theirs, more")
        assert site.look(log, compare=(newest(fork),)) == {Code.LOG_ROLLED_BACK}

    def test_a_receipt_of_the_fork(self, site: Site, log: EmbeddedLog, fork: EmbeddedLog) -> None:
        site.logged(fork)
        assert site.look(log) == {Code.CHECKPOINT_INCONSISTENT, Code.LOG_ENTRY_LOST}
        assert site.looked.first is False
        [lost] = [each for each in site.alarms if each["code"] == Code.LOG_ENTRY_LOST.value]
        kept = json.loads(Path(lost["evidence"]).read_text())
        receipt = parse_receipt(json.dumps(kept["proof"]["receipt"]))
        assert merkle.leaf_hash(receipt.body).hex() == kept["expected"]
        assert log.inclusion(receipt.index, 9)
        assert site.look(fork) == set()

    def test_a_receipt_of_a_larger_fork(self, site: Site, log: EmbeddedLog, fork: EmbeddedLog) -> None:
        grow(fork, 40, "theirs")
        site.logged(fork, 2)
        assert site.look(log) == {Code.LOG_ROLLED_BACK}
        assert "47" in site.alarms[0]["expected"], "the largest that it has signed"


class TestRollback:
    def test_an_older_copy_is_restored(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log, 3)
        with site.copy("log", "old") as old:
            site.logged(log, 3)
            assert site.look(log) == set()
            before = site.state.read_bytes()
            assert site.look(old) == {Code.LOG_ROLLED_BACK}
            assert [open_checkpoint(each, PINNED).size for each in site.alarms[0]["checkpoints"]] == [6, 3]
            assert site.state.read_bytes() == before
            grow(old, 2, "catches up")
            assert site.look(old) == {Code.LOG_ROLLED_BACK, Code.CHECKPOINT_INCONSISTENT, Code.LOG_ENTRY_LOST}
            grow(old, 7, "overtakes")
            assert site.look(old) == {Code.CHECKPOINT_INCONSISTENT, Code.LOG_ENTRY_LOST}

    def test_an_empty_log_is_put_in_its_place(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        assert site.look(log) == set()
        with site.log("empty") as empty:
            assert site.look(empty) == {Code.LOG_ROLLED_BACK}
            assert len(site.alarms[0]["checkpoints"]) == 1

    def test_what_was_kept_is_lost_and_a_receipt_is_not(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        with site.copy("log", "old") as old:
            site.logged(log)
            assert site.look(old) == {Code.LOG_ROLLED_BACK}

    def test_a_rollback_while_the_archive_is_read(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        old = newest(log)
        site.logged(log)
        assert site.look(Shown(log, note=old)) == {Code.LOG_ROLLED_BACK}


class TestCheckpoints:
    def test_under_another_key(self, site: Site, log: EmbeddedLog) -> None:
        text = Checkpoint(ORIGIN, 1, bytes(32))
        shown = Shown(log, note=sign_checkpoint(text, OTHER_LOG_KEY, PINNED))
        assert site.look(shown) == {Code.CHECKPOINT_SIGNATURE_INVALID}

    def test_of_another_log(self, site: Site, log: EmbeddedLog) -> None:
        shown = Shown(log, note=note(Checkpoint("log.other", 1, bytes(32)).text))
        assert site.look(shown) == {Code.CHECKPOINT_ORIGIN_MISMATCH}

    def test_that_is_none(self, site: Site, log: EmbeddedLog) -> None:
        assert site.look(Shown(log, note="nonsense")) == {Code.CHECKPOINT_MALFORMED}
        assert len(site.evidence) == 1

    def test_of_a_tree_that_no_tiles_lead_to(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        shown = Shown(log, note=sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), LOG_KEY, PINNED))
        assert site.look(shown) == {Code.LOG_TILES_INVALID}


class TestReceipts:
    """What the archive has for a receipt must be one: a damaged one would hide a fork."""

    def damage(self, site: Site, log: EmbeddedLog, **changes: Any) -> set[Code]:
        [sidecar] = site.logged(log)
        receipt = log.receipt(log.size - 1)
        raw = changes.pop("raw", None) or replace(receipt, **changes).to_bytes()
        site.archive.add_receipts([(sidecar.manifest.box_sha256, ORIGIN, raw)])
        found = site.look(log)
        assert sidecar.manifest.box_sha256 in site.alarms[0]["message"]
        return found

    def test_nonsense(self, site: Site, log: EmbeddedLog) -> None:
        assert self.damage(site, log, raw=b"{}") == {Code.RECEIPT_MALFORMED}

    def test_with_a_body_of_another_kind(self, site: Site, log: EmbeddedLog) -> None:
        assert self.damage(site, log, body=b"{}") == {Code.RECEIPT_MALFORMED}

    def test_with_a_checkpoint_that_nobody_signed(self, site: Site, log: EmbeddedLog) -> None:
        forged = sign_checkpoint(Checkpoint(ORIGIN, 1, bytes(32)), OTHER_LOG_KEY, PINNED)
        assert self.damage(site, log, checkpoint=forged) == {Code.CHECKPOINT_SIGNATURE_INVALID}

    def test_of_another_entry(self, site: Site, log: EmbeddedLog) -> None:
        [body] = bodies(stranger())
        assert self.damage(site, log, body=body) == {Code.RECEIPT_INCLUSION_INVALID}

    def test_at_an_index_that_the_tree_does_not_have(self, site: Site, log: EmbeddedLog) -> None:
        assert self.damage(site, log, index=99) == {Code.RECEIPT_INCLUSION_INVALID}

    def test_very_many(self, site: Site, log: EmbeddedLog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(look, "MAX_ALARMS", 3)
        site.archive.add_receipts([(each.manifest.box_sha256, ORIGIN, b"{}") for each in site.logged(log, 5)])
        assert site.look(log) == {Code.RECEIPT_MALFORMED}
        assert len(site.alarms) == 3

    def test_of_another_log_is_not_this_log_s_matter(self, site: Site, log: EmbeddedLog) -> None:
        [sidecar] = site.logged(log)
        site.archive.add_receipts([(sidecar.manifest.box_sha256, "log.other", b"{}")])
        assert site.look(log) == set()


class TestTiles:
    """Somebody between the log and its watcher, or the log itself, serves other tiles than those that were signed."""

    @pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"])
    def test_a_hash_is_changed(self, site: Site, log: EmbeddedLog, path: str) -> None:
        grow(log, 300)
        assert site.look(log) == set()
        grow(log, 300, "more")
        honest = log.at(path)
        assert honest
        assert site.look(Shown(log, {path: honest[:-1] + bytes([honest[-1] ^ 1])})) == {Code.LOG_TILES_INVALID}
        assert site.position == 300

    @pytest.mark.parametrize("index", [0, 255, 256, 299])
    def test_an_entry_is_replaced(self, site: Site, log: EmbeddedLog, index: int) -> None:
        grow(log, 300)
        entries = [body for _, body in log.entries()]
        entries[index] = b"something harmless"
        path = "tile/entries/000" if index < 256 else "tile/entries/001.p/44"
        bundle = make_bundle(entries[:256] if index < 256 else entries[256:])
        assert site.look(Shown(log, {path: bundle})) == {Code.LOG_TILES_INVALID}
        assert site.look(log) == set()
        assert site.looked.read == 300, "nothing of the lie was taken for looked at"

    def test_an_entry_of_ours_is_shown_no_longer(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        [sidecar] = site.logged(log)
        assert site.look(log) == set()
        honest = log.tile(0, 0, 4)
        lying = Shown(log, {"tile/0/000.p/4": honest[:96] + merkle.leaf_hash(b"harmless")})
        assert site.look(lying) == {Code.LOG_ENTRY_LOST, Code.LOG_TILES_INVALID}
        assert sidecar.manifest.box_sha256 in site.alarms[0]["message"]

    @pytest.mark.parametrize("content", [None, b"", b"\0\1a"])
    def test_a_bundle_that_is_not_there(self, site: Site, log: EmbeddedLog, content: bytes | None) -> None:
        grow(log, 20)
        with pytest.raises(InputError):
            site.look(Shown(log, {"tile/entries/000.p/20": content}))
        assert site.look(log) == set()
        assert site.looked.read == 20

    def test_an_audit_reads_again_what_was_looked_at(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 300)
        assert site.look(log) == set()
        entries = [body for _, body in log.entries()][:256]
        lying = Shown(log, {"tile/entries/000": make_bundle([b"harmless", *entries[1:]])})
        assert site.look(lying) == set()
        assert site.look(lying, audit=True) == {Code.LOG_TILES_INVALID}
        assert site.look(log, audit=True) == set()
        assert site.looked.read == 300


class TestAge:
    def test_a_log_that_stands_still(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        ask: dict[str, Any] = {"max_age": HOUR, "shared": True}
        assert site.look(log, now=NOW, **ask) == set()
        assert site.look(log, now=NOW + HOUR, **ask) == set()
        for later in (2, 3):
            assert site.look(log, now=NOW + later * HOUR, **ask) == {Code.LOG_STALE}
        assert len(site.evidence) == 1
        assert site.look(log, now=NOW + 3 * HOUR) == set(), "nobody asked"
        grow(log, 1, "alive")
        assert site.look(log, now=NOW + 4 * HOUR, **ask) == set()
        assert site.look(log, now=NOW + 6 * HOUR, **ask) == {Code.LOG_STALE}

    def test_what_is_expected_of_a_log_of_our_own(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log)
        assert site.look(log, now=NOW, max_age=HOUR) == set()
        assert site.look(log, now=NOW + 2 * HOUR, max_age=HOUR) == set(), "nothing waits"
        site.archived(site.sign())
        assert site.look(log, now=NOW + 2 * HOUR, max_age=HOUR) == {Code.LOG_STALE}

    def test_signatures_by_anybody_renew_nothing(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        ask: dict[str, Any] = {"max_age": HOUR, "shared": True}
        assert site.look(log, now=NOW, **ask) == set()
        renewed = Shown(log, note=newest(log) + "— anybody AAAAAAA=\n")
        assert site.look(renewed, now=NOW + 2 * HOUR, **ask) == {Code.LOG_STALE}

    def test_an_extension_that_the_log_signed_renews(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        ask: dict[str, Any] = {"max_age": HOUR, "shared": True}
        assert site.look(log, now=NOW, **ask) == set()
        renewed = Shown(log, note=note(open_checkpoint(newest(log), PINNED).text + "time 14:00\n"))
        assert site.look(renewed, now=NOW + 2 * HOUR, **ask) == set()

    def test_a_clock_that_goes_backwards(self, site: Site, log: EmbeddedLog) -> None:
        grow(log, 3)
        assert site.look(log, now=NOW) == set()
        with pytest.raises(ClockError):
            site.look(log, now=NOW - HOUR, max_age=HOUR, shared=True)
