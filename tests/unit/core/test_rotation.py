"""Rotating a home's authority and log: what was vouched for before holds, and a kill leaves one home or the other."""

import datetime as dt
import fcntl
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import ClockError, HomeVersionError, InputError, StateError, StorageError
from atlas.exchange import FOLDER, alone, exchange
from atlas.gather import gather, open_archive
from atlas.home import Home, create_home, open_home
from atlas.lineage import Facts, establish
from atlas.log import open_checkpoint, verify_consistency
from atlas.logs import own_log
from atlas.manifest import sign_statement
from atlas.outbox import Recording, Reveal, record_waiting
from atlas.past_logs import own_origins, past_log
from atlas.revocation import Revocation, Subject
from atlas.revoke import revoke
from atlas.rotation import rotate_authority, rotate_log
from atlas.trust_file import load_trust_root
from support import forge

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["unit.core.test_rotation"])


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def record(home: Home, content: bytes) -> str:
    """Sign and log something; returns its digest."""
    made = forge.output(content)
    [sidecar] = sign_statement(forge.statement(outputs=(made,), inputs=()), home.issuer(), now())
    home.deposit({sidecar.name: sidecar.raw})
    assert gather(home).logged == 1
    return made.sha256


def facts(home: Home, sha256: str) -> Facts:
    """What the home's trust root makes of it; raises if it does not hold."""
    with open_archive(home) as archive:
        [stored] = archive.producers(sha256)
    found = establish(stored, load_trust_root(home.trust_path))
    assert found.log_rejection is None
    return found


def origin_of(found: Facts) -> str:
    assert found.logged
    return found.logged.origin


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / ".atlas", now=now() - dt.timedelta(hours=1))


def test_what_the_old_authority_signed_stays_valid_and_the_new_one_signs(home: Home) -> None:
    before = record(home, b"before")
    old = home.issuer()
    rotated = rotate_authority(home, now())
    after = record(home, b"after")
    assert facts(home, before).trusted.authority.name == rotated.old
    assert facts(home, after).trusted.authority.name == rotated.new
    assert home.issuer().key.public_key() != old.key.public_key()
    first, second = load_trust_root(home.trust_path).authorities
    assert (first.ended is not None, second.ended, second.roles) == (True, None, first.roles)
    assert first.ended
    [(origin, size)] = first.ended.logged
    assert (origin, size) == (origin_of(facts(home, before)), 1)


def test_the_old_private_key_is_gone(home: Home) -> None:
    before = {each: (home.path / each).read_bytes() for each in ("ca.key", "log.key")}
    record(home, b"before")
    rotate_authority(home, now())
    rotate_log(home)
    left = {path.name: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    for name, key in before.items():
        assert not [other for other, content in left.items() if key in content], name
        assert (home.path / name).stat().st_mode & 0o777 == 0o600


def test_receipts_of_the_old_log_stay_valid_and_its_file_stays_readable(home: Home) -> None:
    before = record(home, b"before")
    rotated = rotate_log(home)
    after = record(home, b"after")
    assert (origin_of(facts(home, before)), origin_of(facts(home, after))) == (rotated.old, rotated.new)
    assert own_origins(home) == {rotated.old, rotated.new}
    with past_log(home, rotated.old) as log:
        note = log.checkpoint()
        assert note
        signed = open_checkpoint(note, log.pinned)
        assert (signed.origin, signed.size) == (rotated.old, 1)
        verify_consistency(1, 1, signed.root, log.root(1), log.consistency(1, 1))
        assert log.receipt(0).checkpoint == note
        assert log.audit() == signed
        with pytest.raises(StateError, match="is closed"):
            log.append([b"{}"])
        assert log.size == 1


def test_logs_follow_one_another(home: Home) -> None:
    made = [record(home, b"0")]
    for turn in range(1, 4):
        rotate_log(home)
        made.append(record(home, b"%d" % turn))
    assert len({origin_of(facts(home, each)) for each in made}) == 4
    assert len(own_origins(home)) == 4
    with own_log(home) as log:
        assert log.size == 1


def test_a_revoked_logs_last_tree_counts_for_what_is_sealed_in_it_too(home: Home) -> None:
    made = [forge.output(b"%d" % each) for each in range(3)]
    signed = [sign_statement(forge.statement(outputs=(each,), inputs=()), home.issuer(), now())[0] for each in made]
    with open_archive(home) as archive, own_log(home) as log:
        archive.add((each.manifest, each.raw) for each in signed)
        for each in archive.unlogged():  # in batches of one, so that the first is not of the last tree
            assert record_waiting(archive, log, [each], Recording(Reveal.BATCH)) == (1, None)
    rotated = rotate_log(home)
    with open_archive(home) as archive:
        revoked = revoke(home, archive, Revocation(Subject.LOG, rotated.old, "key stolen"))
    assert revoked.head
    assert revoked.head.size == 3
    assert [facts(home, each.sha256).logged is not None for each in made] == [True] * 3


def test_a_log_that_is_not_the_homes(home: Home) -> None:
    record(home, b"0")
    with pytest.raises(InputError, match=r"has no log log\.example"):
        past_log(home, "log.example")


def test_a_log_whose_file_is_gone_is_not_begun_anew(home: Home) -> None:
    record(home, b"0")
    rotated = rotate_log(home)
    record(home, b"1")
    home.log_file(rotated.new).unlink()
    with pytest.raises(StorageError, match=f"is the log '{rotated.old}', not '{rotated.new}'"):
        own_log(home)


def test_a_clock_that_is_behind(home: Home) -> None:
    before = (home.path / "ca.pem").read_bytes()
    with pytest.raises(ClockError):
        rotate_authority(home, now() - dt.timedelta(days=2))
    assert (home.path / "ca.pem").read_bytes() == before


def test_a_trust_root_that_does_not_pin_the_authority(home: Home, tmp_path: Path) -> None:
    shutil.copy(create_home(tmp_path / "other").trust_path, home.trust_path)
    with pytest.raises(StateError, match="does not pin"):
        rotate_authority(home, now())
    with pytest.raises(StateError, match="does not pin"):
        rotate_log(home)
    assert home.issuer().certificate == home.certificate()


def test_a_home_of_a_newer_atlas_is_not_touched(home: Home) -> None:
    (home.path / "version").write_text("99\n")
    (home.path / FOLDER).mkdir()
    with pytest.raises(HomeVersionError):
        open_home(home.path)
    assert (home.path / FOLDER).is_dir()


def test_a_signer_that_meets_a_rotation_waits_for_its_end(home: Home, tmp_path: Path) -> None:
    """The certificate is exchanged already, and the key not yet."""
    other = create_home(tmp_path / "other")
    held, go_on = threading.Event(), threading.Event()

    def rotating() -> None:
        with alone(home.path):
            (home.path / "ca.pem").write_bytes((other.path / "ca.pem").read_bytes())
            held.set()
            assert go_on.wait(30)
            (home.path / "ca.key").write_bytes((other.path / "ca.key").read_bytes())

    rotator = threading.Thread(target=rotating)
    rotator.start()
    assert held.wait(30)
    found = []
    signer = threading.Thread(target=lambda: found.append(home.issuer()))
    signer.start()
    while signer.is_alive() and not _waits_for_the_lock(home.path / "version"):
        time.sleep(0.01)
    go_on.set()
    signer.join(30)
    rotator.join(30)
    assert [each.certificate for each in found] == [other.issuer().certificate]


def _waits_for_the_lock(path: Path) -> bool:
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


# ------------------------------------------------------------------------------------------------ kills


WRITES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "sqlite3.connect", "fcntl.flock", "tempfile.mkdtemp"}


def both(path: Path) -> None:
    """Rotate the authority, then the log."""
    rotate_authority(open_home(path), now())
    rotate_log(open_home(path))


def dies_at(path: Path, place: int, action: Callable[[Path], None]) -> None:
    """Rotate, and be killed just before the write of this number."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event in WRITES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & 3)
        if writes:
            seen += 1
            if seen == place:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    action(path)


def killed_at_each_write(home: Home, action: Callable[[Path], None], folder: Path) -> Iterator[tuple[int, Home]]:
    """Homes whose rotation was killed at its first write, its second, and so on; the last one was not killed."""
    for place in range(1, 200):
        path = folder / f"at-{place}" / ".atlas"
        shutil.copytree(home.path, path)
        process = PROCESSES.Process(target=dies_at, args=(path, place, action))
        process.start()
        process.join()
        yield place, Home(path)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("the rotation never came to its end")


def test_a_kill_at_each_write_leaves_the_old_home_or_the_new_one(home: Home, tmp_path: Path) -> None:
    before = record(home, b"before")
    seen = []
    for place, half in killed_at_each_write(home, both, tmp_path):
        found = open_home(half.path)
        assert not (found.path / FOLDER).exists()
        trust = load_trust_root(found.trust_path)
        present = found.certificate()
        ended = [each.ended is not None for each in trust.authorities]
        assert [each.certificate == present for each in trust.authorities][-1], place
        assert ended == [*[True] * (len(ended) - 1), False], place
        facts(found, before)
        after = facts(found, record(found, b"after"))
        assert after.trusted.authority.sha256 == forge.fingerprint(present)
        assert origin_of(after) == trust.logs[-1].origin
        seen.append((len(trust.authorities), len(trust.logs)))
        both(found.path)  # what a kill has left is in nobody's way
        assert not list(found.path.glob(".new-*"))
        assert facts(found, record(found, b"later")).trusted.authority.sha256 == forge.fingerprint(found.certificate())
        shutil.rmtree(half.path.parent)
    assert seen == sorted(seen)
    assert set(seen) == {(1, 1), (2, 1), (2, 2)}
    assert len(seen) > 20


def test_what_cannot_be_written_changes_nothing(home: Home) -> None:
    before = {path.name: path.read_bytes() for path in home.path.iterdir() if path.is_file()}
    with alone(home.path), pytest.raises(StorageError, match="cannot be written"):
        exchange(home.path, {"ca.key": b"", "x" * 300: b""})
    assert {path.name: path.read_bytes() for path in home.path.iterdir() if path.is_file()} == before
    assert not list(home.path.glob(".new-*"))


def test_two_rotations_take_turns(home: Home) -> None:
    threads = [threading.Thread(target=rotate_authority, args=(home, now())) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    authorities = load_trust_root(home.trust_path).authorities
    assert len(authorities) == 5
    assert authorities[-1].certificate == home.issuer().certificate
    with (home.path / "version").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
