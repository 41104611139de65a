"""Watching a real Rekor v2, and our own log as Rekor is watched: what they show is what they have promised."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from atlas.codes import Code
from atlas.errors import FetchError
from atlas.log.claim import claim_entry
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.manifest import Sidecar
from atlas.watcher import Watcher
from cluster.conftest import need
from cluster.servers import Log, rekor
from unit.log.log_support import make_entry, record
from unit.log.watch_support import Site, stranger

pytestmark = pytest.mark.xdist_group("servers")

MANY = 300


@contextmanager
def client(log: Log, patience: float = 20) -> Iterator[Rekor2Log]:
    with Rekor2Log(Address(log.url, log.read_url, log.pinned, patience=patience)) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    yield made
    made.close()


def logged(site: Site, opened: Rekor2Log, count: int) -> list[Sidecar]:
    """Manifests that were signed, archived and logged as they should be."""
    sidecars = [site.sign() for _ in range(count)]
    receipts = record(opened, [site.archived(each) for each in sidecars])
    site.archive.add_receipts(
        (each.manifest.box_sha256, opened.pinned.origin, receipt.to_bytes())
        for each, receipt in zip(sidecars, receipts, strict=True)
    )
    return sidecars


def test_a_log_that_many_write_to(site: Site, log: Log) -> None:
    site.watcher = Watcher(site.home, log.pinned)
    with client(log) as opened:
        opened.record([make_entry(f"watch {log.pinned.origin} {number}") for number in range(MANY)])
        logged(site, opened, 3)
        assert site.look(opened) == set()
        assert site.looked.read == site.looked.size > MANY
        logged(site, opened, 2)
        opened.record([stranger()])
        assert site.look(opened, audit=True) == set()
        opened.record([stranger("stolen", site.issuer)])
        assert site.look(opened) == {Code.LOG_ENTRY_UNKNOWN}
        assert site.looked.read == 1
        thief = site.sign()
        opened.record([claim_entry(thief.manifest)])
        assert site.look(opened) == {Code.LOG_ENTRY_UNKNOWN}
        assert len(site.unknown) == 2
        site.archived(thief)
        assert site.look(opened) == {Code.LOG_ENTRY_UNKNOWN}
        assert len(site.unknown) == 1


def test_a_rekor_that_comes_back_with_an_older_tree(site: Site, tmp_path: Path) -> None:
    need("rekor")
    folder = tmp_path / "rekor"
    with rekor(folder) as running, client(running) as opened:
        site.watcher = Watcher(site.home, running.pinned)
        logged(site, opened, 3)
    shutil.copytree(folder / "log", tmp_path / "old")
    with rekor(folder) as running, client(running) as opened:
        assert site.look(opened) == set()
        theirs = opened.checkpoint()
        opened.record([make_entry(f"watch before {number}") for number in range(5)])
        logged(site, opened, 1)
        assert site.look(opened, compare=(theirs,)) == set()
        shown = opened.checkpoint()
    shutil.rmtree(folder / "log")
    shutil.copytree(tmp_path / "old", folder / "log")
    with rekor(folder) as running, client(running) as opened:
        assert site.look(opened) == {Code.LOG_ROLLED_BACK}
        assert shown in site.alarms[0]["checkpoints"]
        opened.record([make_entry(f"watch after {number}") for number in range(20)])
        assert site.look(opened) == {Code.CHECKPOINT_INCONSISTENT, Code.LOG_ENTRY_LOST}
        assert set(site.alarms[0]["checkpoints"]) == {shown, opened.checkpoint()}
    with pytest.raises(FetchError), client(running, patience=0.5) as opened:
        site.look(opened)


def test_tiles_of_rekor_that_were_changed(site: Site, tmp_path: Path) -> None:
    need("rekor")
    with rekor(tmp_path / "rekor") as running, client(running) as opened:
        site.watcher = Watcher(site.home, running.pinned)
        logged(site, opened, 3)
        opened.record([stranger("stolen", site.issuer)])
        for bundle in (tmp_path / "rekor" / "log" / "tile" / "entries").rglob("*"):
            if bundle.is_file():
                bundle.write_bytes(bundle.read_bytes().replace(b"0.0.2", b"0.0.3"))
        assert site.look(opened) == {Code.LOG_TILES_INVALID}
