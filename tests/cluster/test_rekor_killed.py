"""Ten thousand manifests through a real Rekor v2 that is killed every few seconds: nothing is lost."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.archive import Archive
from atlas.log.claim import claim_entry
from atlas.log.proof import parse_proof, verify_proof
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.log.tiles import TileReader
from atlas.manifest import Manifest, parse_manifest, sign_statement
from atlas.outbox import Recording, Reveal, record_waiting
from atlas.trust import TrustRoot
from cluster.conftest import need
from cluster.logs import fetcher, newest
from cluster.servers import RekorServer, rekor_server
from support.forge import authority, now, output, statement

STEPS, OUTPUTS = 100, 100
LIFE = 5.0
"""Seconds between two deaths."""


@pytest.fixture(scope="module")
def sidecars() -> list[tuple[Manifest, bytes]]:
    issuer, signed = authority(), []
    for step in range(STEPS):
        outputs = tuple(output(name=f"{step}-{number}", position=number) for number in range(OUTPUTS))
        signed += sign_statement(replace(statement(), outputs=outputs), issuer, now())
    return [(each.manifest, each.raw) for each in signed]


@pytest.fixture
def archive(tmp_path: Path, sidecars: list[tuple[Manifest, bytes]]) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.sqlite3") as made:
        made.add(sidecars)
        yield made


@contextmanager
def mortal(server: RekorServer) -> Iterator[list[int]]:
    """The server lives for a few seconds, dies at once, and lives again, over and over; its deaths."""
    over, deaths = threading.Event(), [0]

    def live() -> None:
        while not over.is_set():
            with server.running(killed=True):
                over.wait(LIFE)
            deaths[0] += 1

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield deaths
    finally:
        over.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("reveal", [Reveal.CLAIM, Reveal.BATCH])
def test_ten_thousand_manifests(archive: Archive, tmp_path: Path, reveal: Reveal) -> None:
    """Nothing is lost, and nothing is logged twice, though the server forgets what it took just before it died."""
    need("rekor")
    manifests = [parse_manifest(each.sidecar) for each in archive.unlogged()]
    with rekor_server(tmp_path / "rekor") as server:
        address = Address(server.log.url, server.log.read_url, server.log.pinned, timeout=20, patience=60)
        with mortal(server) as deaths, Rekor2Log(address) as log:
            while waiting := archive.unlogged():
                record_waiting(archive, log, waiting, Recording(reveal))
        with server.running():
            size = newest(server.log).size
            reader = TileReader(fetcher(server.log), size)
            held = Counter(reader.node(0, index) for index in range(size))
    assert deaths[0] > 3 or reveal is Reveal.BATCH  # a batch is over sooner
    assert set(held.values()) == {1}
    assert size == (len(manifests) if reveal is Reveal.CLAIM else 1)
    trust = TrustRoot((), (server.log.pinned,))
    for manifest in manifests:
        stored = archive.manifest(manifest.box_sha256)
        assert stored
        assert stored.receipt
        assert verify_proof(parse_proof(stored.receipt), claim_entry(manifest), trust).leaf in held
