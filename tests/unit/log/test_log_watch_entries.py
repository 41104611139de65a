"""Entries of a log under our authorities and keys, among those of strangers; read in parts, by processes that die."""

import base64
import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.archive import store
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.errors import InputError, StateError, StorageError
from atlas.keys import issue, new_authority
from atlas.log import look, watch
from atlas.log.claim import claim_entry
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import Entry
from atlas.log.ours import parse_recorded
from atlas.log.receipt import parse_receipt, verify_receipt
from atlas.log.tiles import WIDTH
from atlas.manifest import Sidecar, parse_manifest
from atlas.statement import Publisher
from atlas.trust import Authority, PinnedLog, Role
from atlas.watcher import Watcher
from support import forge
from unit.log.log_support import ORIGIN, OTHER_LOG_KEY, PINNED, make_entry
from unit.log.watch_support import NOW, Deadly, During, Site, bodies, entry_of, stranger

BORDERS = [0, 255, 256, 511, 512, 1000]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["unit.log.watch_support"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def log(site: Site) -> Iterator[EmbeddedLog]:
    with site.log() as opened:
        yield opened


def among(strangers: int, ours: dict[int, Entry]) -> list[bytes]:
    """Bodies of strangers' entries, and of ours at their indices."""
    template = stranger().canonical_body()
    [digest] = [json.loads(template)["spec"]["hashedRekordV002"]["data"]["digest"]]
    made = []
    for index in range(strangers):
        if index in ours:
            made += bodies(ours[index])
        else:
            other = json.loads(make_entry(index).canonical_body())["spec"]["hashedRekordV002"]["data"]["digest"]
            made.append(template.replace(digest.encode(), other.encode()))
    return made


class TestWhose:
    def test_signed_under_our_authority(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log, 2)
        stolen = stranger("stolen", site.issuer)
        log.append(bodies(stranger(), stolen))
        for _ in range(2):
            assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}, "until somebody has looked into it"
            assert [each.split(" is ")[0] for each in site.unknown] == ["entry 3"]
        [evidence] = site.evidence
        receipt = parse_receipt(json.dumps(json.loads(evidence.read_text())["proof"]["receipt"]))
        assert verify_receipt(receipt, stolen, [PINNED]).index == 3, "anybody can verify that the log holds it"

    def test_signed_with_a_key_of_ours_without_its_certificate(self, site: Site, log: EmbeddedLog) -> None:
        credential = issue(site.issuer, Publisher("ours"), forge.now())
        site.logged(log)
        log.append(bodies(entry_of(credential, bare=True)))
        assert site.look(log) == set(), "a key that no manifest of ours was signed with is anybody's"
        raw = forge.rewrite(site.sign().raw, credential)
        site.archived(Sidecar(None, parse_manifest(raw), raw))
        log.append(bodies(entry_of(credential, "leaked", bare=True)))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
        assert "a key that signed a manifest of ours" in site.unknown[0]

    def test_of_strangers(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log)
        log.append(bodies(*(stranger(number) for number in range(5)), make_entry("bare")))
        assert site.look(log) == set()
        assert (site.looked.read, site.looked.unreadable) == (7, 0)

    def test_under_our_authority_s_name_and_another_key(self, site: Site, log: EmbeddedLog) -> None:
        name = site.order.authorities[0].name
        impostor = new_authority(name, forge.now())
        assert impostor.certificate.subject == site.issuer.certificate.subject
        log.append(bodies(stranger("impostor", impostor)))
        assert site.look(log) == set()

    def test_the_second_signature_that_anybody_can_make_of_a_first(self, site: Site, log: EmbeddedLog) -> None:
        [sidecar] = site.logged(log)
        entry = site.archived(sidecar)
        r, s = utils.decode_dss_signature(entry.signature)
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        twin = replace(entry, signature=utils.encode_dss_signature(r, order - s))
        twin.check()
        key = sidecar.manifest.signer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        log.append(bodies(twin))
        assert log.size == 2
        assert site.look(log) == set()

    def test_a_digest_of_ours_that_another_key_signed(self, site: Site, log: EmbeddedLog) -> None:
        [sidecar] = site.logged(log)
        thief = issue(site.issuer, Publisher("thief"), forge.now())
        log.append(bodies(entry_of(thief, digest=site.archived(sidecar).digest)))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}

    def test_of_manifests_that_wait_for_their_receipt(self, site: Site, log: EmbeddedLog) -> None:
        log.append(bodies(site.archived(site.sign())))
        assert site.look(log) == set()

    def test_of_a_manifest_whose_receipt_is_damaged(self, site: Site, log: EmbeddedLog) -> None:
        [sidecar] = site.logged(log)
        site.archive.add_receipts([(sidecar.manifest.box_sha256, "log.other", b"{}")])
        site.archive.add_receipts([(sidecar.manifest.box_sha256, ORIGIN, b"{}")])
        assert site.look(log) == {Code.RECEIPT_MALFORMED}, "and not that its entry is unknown"

    def test_of_a_manifest_that_another_log_gave_the_receipt_for(self, site: Site, log: EmbeddedLog) -> None:
        sidecar = site.sign()
        with site.log("other") as other:
            [receipt] = other.record([site.archived(sidecar)])
            site.archive.add_receipts([(sidecar.manifest.box_sha256, "log.other", receipt.to_bytes())])
        log.append(bodies(site.archived(sidecar)))
        assert site.look(log) == set()

    def test_that_is_archived_later(self, site: Site, log: EmbeddedLog) -> None:
        sidecar = site.sign()
        log.append([b"first", *bodies(claim_entry(sidecar.manifest))])
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
        site.archived(sidecar)
        assert site.look(log) == set()
        assert site.looked.read == 1

    def test_that_cannot_be_read_are_counted(self, site: Site, log: EmbeddedLog) -> None:
        good = stranger().canonical_body()
        log.append([b"", b"{}", b"[]", b'{"kind": "dsse"}', good.replace(b"MII", b"MIX"), good[:-1], good])
        assert site.look(log) == set()
        assert (site.looked.read, site.looked.unreadable) == (7, 6)

    def test_only_authorities_that_were_named(self, site: Site, log: EmbeddedLog) -> None:
        other = new_authority("other", forge.now())
        both = (*site.order.authorities, Authority("other", other.certificate, frozenset(Role)))
        log.append(bodies(stranger("other", other)))
        assert site.look(log) == set()
        assert site.look(log, authorities=both) == set(), "looked at before it was ours"
        assert site.look(log, authorities=both, audit=True) == {Code.LOG_ENTRY_UNKNOWN}
        assert "'other'" in site.unknown[0]

    def test_an_algorithm_that_atlas_does_not_use(self, site: Site, log: EmbeddedLog) -> None:
        body = stranger("rsa", site.issuer).canonical_body().replace(b"PKIX_ECDSA_P256_SHA_256", b"PKIX_RSA_2048")
        log.append([body.replace(b"SHA2_256", b"SHA2_512")])
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}


class TestAccepted:
    def test_somebody_looked_into_it(self, site: Site, log: EmbeddedLog) -> None:
        log.append(bodies(stranger("a", site.issuer), stranger(), stranger("b", site.issuer)))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
        assert len(site.unknown) == 2
        assert site.look(log, accept=frozenset({0})) == {Code.LOG_ENTRY_UNKNOWN}
        assert [each.split(" is ")[0] for each in site.unknown] == ["entry 2"]
        assert site.look(log, accept=frozenset({2})) == set()
        assert site.look(log, audit=True) == set(), "for ever"

    def test_what_the_log_does_not_have_yet(self, site: Site, log: EmbeddedLog) -> None:
        log.append(bodies(stranger()))
        with pytest.raises(InputError, match="the log has 1 entries"):
            site.look(log, accept=frozenset({1}))
        log.append(bodies(stranger("later", site.issuer)))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}


class TestMany:
    def test_over_the_borders_of_bundles(self, site: Site, log: EmbeddedLog) -> None:
        ours = {index: stranger(index, site.issuer) for index in BORDERS}
        log.append(among(1001, ours))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
        assert [int(each.split()[1]) for each in site.unknown] == BORDERS
        for number, index in enumerate(BORDERS):
            site.look(log, accept=frozenset({index}))
            assert [int(each.split()[1]) for each in site.unknown] == BORDERS[number + 1 :]
        assert site.look(log) == set()
        assert site.looked.read == 0

    @pytest.mark.parametrize("sizes", [(1, 255, 1, 255, 256, 1), (300, 300, 300), (3000, 1, 2100)])
    def test_each_entry_is_looked_at_once(self, site: Site, log: EmbeddedLog, sizes: Sequence[int]) -> None:
        total = 0
        for number, size in enumerate(sizes):
            log.append([b"%d %d" % (number, place) for place in range(size)])
            total += size
            assert site.look(log) == set()
            assert (site.looked.size, site.looked.read) == (total, size)

    def test_a_flood(self, site: Site, log: EmbeddedLog) -> None:
        credential = issue(site.issuer, Publisher("thief"), forge.now())
        log.append(bodies(*(entry_of(credential, number) for number in range(600))))
        assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
        assert look.MAX_ALARMS <= len(site.unknown) <= look.MAX_ALARMS + WIDTH
        assert site.looked.read < 600


def look_and_die(folder: Path, tiles: int) -> None:
    """Look, and die at this tile; or, at the tile 0, once an alarm was told and before its place is kept."""
    site = Site(folder)

    def die(_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with site.log() as log:
        if tiles:
            site.look(Deadly(log, tiles))
        else:
            site.watcher.look(log, site.archive, site.order, NOW, die)
    site.close()


class TestKilled:
    def test_nothing_is_skipped_and_nothing_is_forgotten(self, site: Site, log: EmbeddedLog) -> None:
        size, found_at = 12_000, 5_000
        log.append(among(size, {found_at: stranger("stolen", site.issuer)}))
        positions = []
        for tiles in (1, 2, 3, 20, 5, 20, 5, 0, 5, 0):
            worker = PROCESSES.Process(target=look_and_die, args=(site.folder, tiles))
            worker.start()
            worker.join()
            assert worker.exitcode == -signal.SIGKILL
            worker.close()
            if tiles > 1:
                positions.append(site.position)
        assert positions == sorted(positions), "no round goes back"
        assert len(set(positions)) > 1
        assert set(positions) <= {*range(0, found_at, watch.KEEP_EVERY * WIDTH), found_at}, "none goes past the alarm"
        for _ in range(2):
            assert site.look(log) == {Code.LOG_ENTRY_UNKNOWN}
            assert [int(each.split()[1]) for each in site.unknown] == [found_at]
        assert site.looked.read == size - found_at
        assert len(site.evidence) == 1


class TestKept:
    def test_every_byte_of_what_is_kept_matters(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log)
        assert site.look(log) == set()
        path, honest = site.state, site.state.read_bytes()
        meant = json.loads(honest)
        for place in range(len(honest)):
            damaged = honest[:place] + bytes([honest[place] ^ 1]) + honest[place + 1 :]
            path.write_bytes(damaged)
            with pytest.raises(StorageError, match="is damaged") as caught:
                site.look(log)
            assert "--expect-checkpoint" in caught.value.mend
            assert path.read_bytes() == damaged, "it is left for whoever looks into it"
        path.write_bytes(honest)
        assert site.look(log) == set()
        assert json.loads(path.read_bytes()) == meant

    @pytest.mark.parametrize("content", [b"", b"{}", b"null", b"\xff", b'{"sha256": "00", "state": {}}'])
    def test_what_is_no_state(self, site: Site, log: EmbeddedLog, content: bytes) -> None:
        site.logged(log)
        assert site.look(log) == set()
        site.state.write_bytes(content)
        with pytest.raises(StorageError, match="is damaged"):
            site.look(log)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("origin", "log.other"),
            ("checkpoint", "nonsense"),
            ("seen", "yesterday"),
            ("position", "-1"),
            ("position", 1),
            ("accepted", ["one"]),
            ("accepted", 5),
            ("seen", 5),
            ("checkpoint", 5),
            ("more", "of it"),
        ],
    )
    def test_what_was_never_kept(self, site: Site, log: EmbeddedLog, field: str, value: object) -> None:
        site.logged(log)
        assert site.look(log) == set()
        kept = json.loads(site.state.read_text())["state"] | {field: value}
        site.state.write_text(json.dumps({"sha256": hashlib.sha256(dump_canonical(kept)).hexdigest(), "state": kept}))
        with pytest.raises(StorageError, match="is damaged"):
            site.look(log)

    def test_of_a_log_whose_key_was_exchanged(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log)
        assert site.look(log) == set()

        site.watcher = Watcher(site.home, PinnedLog(ORIGIN, OTHER_LOG_KEY.public_key()))
        with pytest.raises(StorageError, match="is damaged"):
            site.look(log)

    def test_two_rounds_at_once(self, site: Site, log: EmbeddedLog) -> None:
        site.logged(log)

        def another() -> None:
            with pytest.raises(StateError, match="another"):
                site.look(log)

        assert site.look(log, archive=During(site.archive, another)) == set()
        assert site.look(log) == set()


def test_recorded_reads_what_rekor_writes(rekor_data: Path) -> None:
    for path in sorted(rekor_data.glob("*.json")):
        document = json.loads(path.read_text())
        for each in document.get("verificationMaterial", {}).get("tlogEntries", []):
            body = base64.b64decode(each["canonicalizedBody"])
            if json.loads(body)["kind"] == "hashedrekord":
                assert parse_recorded(body).certificate


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_an_archive_tells_its_receipts_a_page_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(store, "_PAGE", page)
    assert list(site.archive.receipts()) == []
    boxes = []
    for number in range(3):
        sidecar = site.sign()
        site.archived(sidecar)
        boxes.append(sidecar.manifest.box_sha256)
        site.archive.add_receipts([(boxes[-1], f"log.{other}", b"%d" % number) for other in range(2)])
    expected = [(box, f"log.{other}", b"%d" % number) for number, box in enumerate(boxes) for other in range(2)]
    assert list(site.archive.receipts()) == sorted(expected)
