"""Watching a Rekor v1 log: a double that forks, rolls back, loses entries, begins trees and proves what is false."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.codes import Code
from atlas.errors import FetchError, InputError
from atlas.log.claim import claim_entry
from atlas.log.rekor1 import Address1, Rekor1Log
from atlas.log.retry import Patience
from atlas.watcher import Watcher, read_checkpoint
from support.faults import Handler
from support.rekor1 import TREE, Rekor1Double, Server, serving
from unit.log.watch_support import NOW, During, Site

HOUR = dt.timedelta(hours=1)


class Rig:
    """A home that watches a double, in whose place another can be put."""

    def __init__(self, site: Site, server: Server) -> None:
        self.site, self.server = site, server
        address = Address1(server.url, server.log.pinned, timeout=5, patience=5)
        slept: list[float] = []
        self.client = Rekor1Log(address, Patience(address.patience, slept.append, lambda: sum(slept)))
        site.watcher = Watcher(site.home, server.log.pinned)

    @property
    def log(self) -> Rekor1Double:
        return self.server.log

    def logged(self, count: int = 1) -> None:
        """Have the log record manifests of the archive."""
        for _ in range(count):
            sidecar = self.site.sign()
            self.site.archived(sidecar)
            receipt = self.log.logged(claim_entry(sidecar.manifest))
            self.site.archive.add_receipts([(sidecar.manifest.box_sha256, self.log.origin, receipt.to_bytes())])

    def grown(self, count: int, name: str = "s") -> None:
        """Have others record."""
        for number in range(count):
            self.log.add(b"%s %d" % (name.encode(), number))

    def look(self, **options: Any) -> set[Code]:
        return self.site.look(self.client, **options)

    def copy(self, kind: type[Rekor1Double] = Rekor1Double) -> Rekor1Double:
        """The log as it is now, with a history of its own from here on."""
        made = kind(self.log.origin, self.log.key, self.log.tree, self.log.before)
        made.bodies, made.time, made.earlier = list(self.log.bodies), self.log.time, list(self.log.earlier)
        return made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    site = Site(tmp_path)
    with serving(Rekor1Double()) as server:
        made = Rig(site, server)
        with made.client:
            yield made
    site.close()


class TestHonest:
    @pytest.mark.parametrize("more", [1, 2, 5, 6, 13])
    def test_a_log_that_grows(self, rig: Rig, more: int) -> None:
        rig.logged(2)
        assert rig.look() == set()
        assert (rig.site.looked.size, rig.site.looked.read, rig.site.looked.first) == (4, 2, True)
        rig.grown(more)
        rig.logged(1)
        assert rig.look() == set()
        assert (rig.site.looked.size, rig.site.looked.read, rig.site.looked.first) == (5 + more, 3, False)
        assert rig.site.evidence == []

    def test_a_new_tree_is_no_rollback(self, rig: Rig) -> None:
        rig.logged(2)
        assert rig.look() == set()
        rig.server.log = rig.log.next_tree(TREE + 1)
        assert rig.look() == set()
        assert rig.site.looked.size == 2, "fewer than the first tree has"
        rig.logged(1)
        assert rig.look() == set()
        assert rig.site.looked.read == 3, "in whatever tree"

    def test_what_is_logged_while_the_archive_is_read(self, rig: Rig) -> None:
        rig.logged(1)
        assert rig.look(archive=During(rig.site.archive, lambda: rig.logged(2))) == set()
        assert rig.site.looked.size == 3

    def test_what_others_were_shown(self, rig: Rig, tmp_path: Path) -> None:
        note = rig.log.checkpoint()
        rig.grown(3)
        assert rig.look(compare=(note,)) == set()
        (tmp_path / "note").write_text(note)
        assert read_checkpoint(tmp_path / "note", [rig.log.pinned]) == (rig.log.pinned, note)


class TestRollback:
    def test_behind_the_last_look(self, rig: Rig) -> None:
        old = rig.copy()
        rig.grown(3)
        assert rig.look() == set()
        kept = rig.site.state.read_bytes()
        rig.server.log = old
        assert rig.look() == {Code.LOG_ROLLED_BACK}
        assert len(rig.site.alarms[0]["checkpoints"]) == 2
        assert rig.site.state.read_bytes() == kept, "what is kept never goes past an alarm"

    def test_behind_a_receipt(self, rig: Rig) -> None:
        old = rig.copy()
        rig.logged(2)
        rig.server.log = old
        assert rig.look() == {Code.LOG_ROLLED_BACK}

    def test_an_earlier_tree_too(self, rig: Rig) -> None:
        old = rig.copy()
        rig.logged(1)
        rig.server.log = rig.log.next_tree(TREE + 1)
        assert rig.look() == set()
        rig.log.earlier = [old]
        assert rig.look() == {Code.LOG_ROLLED_BACK}

    def test_an_earlier_tree_that_is_no_longer_there(self, rig: Rig) -> None:
        rig.logged(1)
        rig.server.log = rig.log.next_tree(TREE + 1)
        rig.log.earlier = []
        assert rig.look() == {Code.LOG_ROLLED_BACK}


class Forgetful(Rekor1Double):
    """Proves what is false: that of other sizes."""

    def proof(self, old: int, new: int) -> dict[str, Any]:
        return super().proof(old - 1, new)


class Silent(Rekor1Double):
    """Proves nothing."""

    def proof(self, old: int, new: int) -> dict[str, Any]:
        return {**super().proof(old, new), "hashes": []}


class Empty(Rekor1Double):
    """Has lost what it had."""

    def entry_id(self, body: bytes) -> str:
        return f"{self.tree:016x}{bytes(32).hex()}"


class Other(Rekor1Double):
    """Answers with its newest entry, whichever was asked for."""

    def answer(self, index: int, **changes: Any) -> dict[str, Any]:
        return super().answer(len(self.bodies) - 1, **changes)


class TestFork:
    @pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
    def test_a_history_that_was_rewritten(self, rig: Rig, count: int) -> None:
        other = rig.copy()
        rig.grown(count)
        assert rig.look() == set()
        rig.server.log = other
        rig.grown(count + 3, "other")
        assert rig.look() == {Code.CHECKPOINT_INCONSISTENT}
        assert len(rig.site.alarms[0]["checkpoints"]) == 2
        first = rig.site.evidence
        rig.grown(1, "more")
        assert rig.look() == {Code.CHECKPOINT_INCONSISTENT}
        assert rig.site.evidence == first, "the same alarm is the same file"

    def test_two_trees_of_one_size(self, rig: Rig) -> None:
        other = rig.copy()
        rig.grown(2)
        note = rig.log.checkpoint()
        rig.server.log = other
        rig.grown(2, "other")
        assert rig.look(compare=(note,)) == {Code.CHECKPOINT_INCONSISTENT}

    def test_a_receipt_of_another_history(self, rig: Rig) -> None:
        other = rig.copy()
        rig.logged(1)
        rig.server.log = other
        rig.grown(4, "other")
        assert Code.CHECKPOINT_INCONSISTENT in rig.look()

    @pytest.mark.parametrize("liar", [Forgetful, Silent])
    def test_a_proof_that_does_not_hold(self, rig: Rig, liar: type[Rekor1Double]) -> None:
        rig.grown(3)
        assert rig.look() == set()
        rig.server.log = rig.copy(liar)
        rig.grown(4, "more")
        assert rig.look() == {Code.CHECKPOINT_INCONSISTENT}

    def test_an_earlier_tree_that_was_rewritten(self, rig: Rig) -> None:
        other = rig.copy()
        rig.grown(2)
        assert rig.look() == set()
        after = rig.log.next_tree(TREE + 1)
        other.bodies += [b"something", b"else", b"and more"]
        after.earlier = [other]
        rig.server.log = after
        assert rig.look() == {Code.CHECKPOINT_INCONSISTENT}


class TestEntries:
    @pytest.mark.parametrize("kind", [Empty, Other])
    def test_lost(self, rig: Rig, kind: type[Rekor1Double]) -> None:
        rig.logged(2)
        assert rig.look() == set()
        rig.server.log = rig.copy(kind)
        assert rig.look() == {Code.LOG_ENTRY_LOST}
        assert any("at index 2" in each["message"] for each in rig.site.alarms)

    def test_a_receipt_that_does_not_hold(self, rig: Rig) -> None:
        sidecar = rig.site.sign()
        rig.site.archived(sidecar)
        receipt = rig.log.logged(claim_entry(sidecar.manifest))
        wrong = replace(receipt, path=(bytes(32), *receipt.path[1:]))
        rig.site.archive.add_receipts([(sidecar.manifest.box_sha256, rig.log.origin, wrong.to_bytes())])
        assert rig.look() == {Code.RECEIPT_INCLUSION_INVALID}

    def test_unknown_ones_are_not_looked_for(self, rig: Rig) -> None:
        rig.logged(1)
        with pytest.raises(InputError, match="not looked for"):
            rig.look(accept=frozenset({0}))


class TestFreshness:
    def test_the_same_for_too_long(self, rig: Rig) -> None:
        rig.logged(1)
        options: dict[str, Any] = {"max_age": HOUR, "shared": True}
        assert rig.look(**options) == set()
        assert rig.look(now=NOW + HOUR, **options) == set()
        assert rig.look(now=NOW + 2 * HOUR, **options) == {Code.LOG_STALE}
        rig.grown(1)
        assert rig.look(now=NOW + 2 * HOUR, **options) == set()


class TestAway:
    @pytest.mark.parametrize("path", ["/api/v1/log", "/api/v1/log/proof", "/api/v1/log/entries"])
    @pytest.mark.parametrize(("status", "body"), [(503, b"{}"), (500, b"{}"), (400, b"{}"), (200, b"[]")])
    def test_no_answer_is_no_alarm_and_nothing_is_kept(self, rig: Rig, path: str, status: int, body: bytes) -> None:
        rig.logged(1)
        assert rig.look() == set()
        kept = rig.site.state.read_bytes()
        rig.grown(2)
        rig.server.method = "GET"

        def away(handler: Handler) -> bool:
            rig.server.faults.append(away)
            due = handler.path.partition("?")[0] == path or handler.path.startswith(f"{path}/")
            due = due and (path != "/api/v1/log" or handler.path == path)
            if due:
                handler.answer(status, {}, body)
            return due

        rig.server.faults.append(away)
        if status == 200 and path.endswith("entries"):
            assert rig.look() == {Code.RECEIPT_MALFORMED}
        else:
            with pytest.raises(FetchError) as caught:
                rig.look()
            assert caught.value.mend
        assert rig.site.state.read_bytes() == kept

    def test_a_checkpoint_that_others_signed(self, rig: Rig) -> None:
        rig.server.log = Rekor1Double()
        assert rig.look() == {Code.CHECKPOINT_SIGNATURE_INVALID}
