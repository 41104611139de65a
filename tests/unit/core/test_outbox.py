"""From the archive into a log: claims, commitments and batches, with timestamps and without."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from atlas import outbox
from atlas.archive import Archive
from atlas.archive import schema as tables
from atlas.errors import AtlasError, FetchError
from atlas.log import EmbeddedLog
from atlas.log.claim import claim_entry
from atlas.log.entry import Entry
from atlas.log.proof import Proof, parse_proof, verify_proof
from atlas.log.receipt import Receipt
from atlas.log.seal import dump_seal, load_seal, seal_all
from atlas.log.timestamp import request_timestamp, verify_timestamp
from atlas.manifest import Manifest, parse_manifest, sign_statement
from atlas.outbox import Recording, Reveal, record_waiting
from atlas.trust import PinnedLog, TrustRoot
from atlas.web import Client, tls
from support.forge import authority, now, output, statement
from support.tsa import Tsa, served
from unit.log.log_support import LOG_KEY, ORIGIN

PLAIN = Recording()


@dataclass
class Frail:
    """A log that dies after some entries; what it took it keeps."""

    behind: EmbeddedLog
    takes: int
    sent: list[int] = field(default_factory=list)

    @property
    def pinned(self) -> PinnedLog:
        return self.behind.pinned

    def record(self, entries: Sequence[Entry]) -> list[Receipt | AtlasError]:
        self.sent.append(len(entries))
        taken = self.behind.record(entries[: self.takes])
        self.takes -= len(taken)
        return [*taken, *(FetchError("away") for _ in entries[len(taken) :])]

    def checkpoint(self) -> str | None:
        return self.behind.checkpoint()

    def __enter__(self) -> "Frail":
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass
class World:
    archive: Archive
    log: EmbeddedLog

    def record(self, how: Recording = PLAIN, log: Frail | None = None) -> tuple[int, AtlasError | None]:
        return record_waiting(self.archive, log or self.log, self.archive.unlogged(), how)

    def proofs(self, manifests: Sequence[Manifest]) -> list[Proof]:
        found = [self.archive.manifest(each.box_sha256) for each in manifests]
        return [parse_proof(each.receipt) for each in found if each and each.receipt]

    def add(self, count: int) -> list[Manifest]:
        """Archive freshly signed manifests."""
        outputs = tuple(output(name=f"output-{number}", position=number) for number in range(count))
        sidecars = sign_statement(replace(statement(), outputs=outputs), authority(), now())
        self.archive.add((each.manifest, each.raw) for each in sidecars)
        return [each.manifest for each in sidecars]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(tmp_path / "archive.sqlite3"))
        yield World(archive, stack.enter_context(EmbeddedLog.open(tmp_path / "log.sqlite3", ORIGIN, LOG_KEY)))


def test_a_claim_is_an_entry(world: World) -> None:
    manifests = world.add(5)
    assert world.record() == (5, None)
    assert world.log.size == 5
    assert all(each.seal is None for each in world.proofs(manifests))


@pytest.mark.parametrize(("reveal", "entries"), [(Reveal.COMMITMENT, 5), (Reveal.BATCH, 1)])
def test_what_is_sealed_verifies_and_is_not_in_the_log(world: World, reveal: Reveal, entries: int) -> None:
    manifests = world.add(5)
    assert world.record(Recording(reveal)) == (5, None)
    assert world.log.size == entries
    trust = TrustRoot((), (world.log.pinned,))
    for manifest, proof in zip(manifests, world.proofs(manifests), strict=True):
        assert verify_proof(proof, claim_entry(manifest), trust).origin == ORIGIN
    held = b"".join(body for _, body in world.log.entries())
    for manifest in manifests:
        entry = claim_entry(manifest)
        for hidden in (entry.to_request()["hashedRekordRequestV002"]["digest"], "x509Certificate"):
            assert hidden.encode() not in held
    assert world.archive.seals() == {}


@pytest.mark.parametrize("reveal", Reveal)
def test_a_log_that_dies_in_between(world: World, reveal: Reveal) -> None:
    """Nothing is lost and nothing logged twice: what was taken keeps its place, and its seal."""
    manifests = world.add(6)
    takes = 0 if reveal is Reveal.BATCH else 4
    logged, failure = world.record(Recording(reveal), Frail(world.log, takes))
    assert logged == takes
    assert isinstance(failure, FetchError)
    kept = {box: load_seal(raw) for box, raw in world.archive.seals().items()}
    assert len(kept) == (0 if reveal is Reveal.CLAIM else 6 - takes)
    assert world.record(Recording(reveal)) == (6 - takes, None)
    assert world.log.size == (1 if reveal is Reveal.BATCH else 6)
    for manifest, proof in zip(manifests, world.proofs(manifests), strict=True):
        assert kept.get(manifest.box_sha256, proof.seal) == proof.seal


@pytest.mark.parametrize("reveal", [Reveal.COMMITMENT, Reveal.BATCH])
def test_a_process_that_dies_before_it_hears_the_answer(world: World, reveal: Reveal) -> None:
    class Deaf(Frail):
        def record(self, entries: Sequence[Entry]) -> list[Receipt | AtlasError]:
            self.behind.record(entries)
            raise KeyboardInterrupt

    world.add(4)
    with pytest.raises(KeyboardInterrupt):
        world.record(Recording(reveal), Deaf(world.log, 0))
    size = world.log.size
    assert world.record(Recording(reveal)) == (4, None)
    assert world.log.size == size


@pytest.fixture
def portion(monkeypatch: pytest.MonkeyPatch) -> int:
    """A small one, so that few manifests are several."""
    monkeypatch.setattr(outbox, "PORTION", 8)
    return 8


def test_a_log_that_takes_nothing_is_not_sent_everything(world: World, portion: int) -> None:
    world.add(portion + 1)
    frail = Frail(world.log, 0)
    logged, failure = world.record(log=frail)
    assert (logged, frail.sent) == (0, [portion])
    assert isinstance(failure, FetchError)


def test_what_came_first_is_kept_when_the_log_dies_later(world: World, portion: int) -> None:
    world.add(portion + 4)
    logged, _ = world.record(log=Frail(world.log, portion + 2))
    assert logged == portion + 2
    assert len(world.archive.unlogged()) == 2


@pytest.mark.parametrize("reveal", Reveal)
def test_with_a_timestamp(world: World, reveal: Reveal, tmp_path: Path) -> None:
    tsa = Tsa(tmp_path)
    manifests = world.add(2)
    with served(tsa) as url:
        client = Client(tls(None), 10)

        def stamp(signature: bytes) -> bytes:
            token = request_timestamp(client, url, signature)
            verify_timestamp(token, signature, [tsa.pinned])
            return token

        assert world.record(Recording(reveal, stamp)) == (2, None)
    trust = TrustRoot((), (world.log.pinned,), timestamp_authorities=(tsa.pinned,))
    for manifest, proof in zip(manifests, world.proofs(manifests), strict=True):
        time = verify_proof(proof, claim_entry(manifest), trust).time
        assert time
        assert abs((time - now()).total_seconds()) < 60


def test_an_authority_that_is_away(world: World) -> None:
    asked: list[bytes] = []

    def away(signature: bytes) -> bytes:
        asked.append(signature)
        raise FetchError("no clock")

    world.add(3)
    logged, failure = world.record(Recording(Reveal.BATCH, away))
    assert (logged, str(failure), world.log.size) == (0, "no clock", 1)
    assert len(asked) == 1, "who is away is not waited for once for each manifest"
    assert world.record() == (3, None)
    assert world.log.size == 4, "the mode was changed: a seal that waits is not used"


def test_an_archive_of_the_first_format_is_upgraded(world: World, tmp_path: Path) -> None:
    world.add(1)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'archive.sqlite3'}")
    with engine.begin() as connection:
        tables.seal.drop(connection)
        connection.execute(tables.state.update().values(format=1))
    with Archive(tmp_path / "archive.sqlite3") as archive:
        assert archive.seals() == {}
        assert len(archive.unlogged()) == 1
    with Archive(tmp_path / "archive.sqlite3") as archive:
        assert archive.seals() == {}


class Overtaken(Archive):
    """An archive in which another process seals what waits, just after this one has looked."""

    def seals(self) -> dict[str, bytes]:
        found = super().seals()
        if not found:
            waiting = [parse_manifest(each.sidecar) for each in self.unlogged()]
            made = seal_all([claim_entry(each) for each in waiting])
            self.add_seals((each.box_sha256, dump_seal(seal)) for each, seal in zip(waiting, made, strict=True))
        return found


@pytest.mark.parametrize("what", [Reveal.COMMITMENT, Reveal.BATCH])
def test_of_two_processes_that_seal_at_once_one_seal_stands(world: World, tmp_path: Path, what: Reveal) -> None:
    manifests = world.add(3)
    with Overtaken(tmp_path / "archive.sqlite3") as archive:
        assert record_waiting(archive, world.log, archive.unlogged(), Recording(what)) == (3, None)
    assert world.log.size == 1, "the batch of the process that came first"
    trust = TrustRoot((), (world.log.pinned,))
    for proof, manifest in zip(world.proofs(manifests), manifests, strict=True):
        verify_proof(proof, claim_entry(manifest), trust)
