"""The embedded log under kills, under several writers and on a full disk; all of it for real."""

import multiprocessing
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from atlas.errors import StorageError
from atlas.log import merkle
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.embedded import EmbeddedLog
from unit.log.log_support import LOG_KEY, ORIGIN, PINNED, append_for_ever, append_some, body

KILLS = int(os.environ.get("ATLAS_TEST_KILLS", "25"))

# A server that has imported everything and forks on demand: a writer begins within milliseconds, and no
# process with threads or an open database is forked.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["unit.log.log_support"])


def newest(log: EmbeddedLog) -> Checkpoint | None:
    note = log.checkpoint()
    return None if note is None else open_checkpoint(note, PINNED)


def acknowledged_before_death(receiver: Connection) -> list[tuple[int, int]]:
    """What the dead process had acknowledged; a message that the kill cut off was none."""
    result = []
    try:
        while True:
            index, number = receiver.recv_bytes().split()
            result.append((int(index), int(number)))
    except (EOFError, OSError):
        return result


def test_kills_lose_nothing_and_tear_nothing(log_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    acknowledged: dict[int, bytes] = {}
    seen: list[Checkpoint] = []
    for round_ in range(KILLS):
        receiver, sender = PROCESSES.Pipe(duplex=False)
        worker = PROCESSES.Process(
            target=append_for_ever, args=(log_path, f"r{round_}", choice.getrandbits(32), sender)
        )
        worker.start()
        sender.close()
        # Most rounds die while appending; some while they open, or even create, the file.
        if round_ % 5:
            assert receiver.poll(30), "the writer never acknowledged anything"
        time.sleep(choice.uniform(0, 0.1))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        for index, number in acknowledged_before_death(receiver):
            assert index not in acknowledged, "one index was acknowledged twice"
            acknowledged[index] = body(f"r{round_}", number)
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
        worker.close()
        receiver.close()

        with EmbeddedLog.open(log_path, ORIGIN, LOG_KEY) as log:
            now = newest(log)
            size = 0 if now is None else now.size
            assert size == log.size >= len(acknowledged)
            assert set(acknowledged) <= set(range(size))
            for before in seen:
                assert now is not None
                path = log.consistency(before.size, size)
                merkle.verify_consistency(before.size, size, before.root, now.root, path)
            if now is not None:
                seen.append(now)
    with EmbeddedLog.open(log_path, ORIGIN, LOG_KEY) as log:
        assert log.audit() == seen[-1]
        assert len(acknowledged) > KILLS
        for index, expected in acknowledged.items():
            assert log.entry(index) == expected
        for index, entry in log.entries():
            path = log.inclusion(index, seen[-1].size)
            leaf = merkle.leaf_hash(entry)
            assert merkle.root_from_inclusion(index, seen[-1].size, leaf, path) == seen[-1].root


@pytest.mark.parametrize("writers", [2, 4])
def test_several_processes_append_at_once(writers: int, log_path: Path) -> None:
    """All of them create the file, too."""
    choice = random.Random(writers)
    started = []
    for number in range(writers):
        receiver, sender = PROCESSES.Pipe(duplex=False)
        batches = [choice.randint(1, 6) for _ in range(60)]
        worker = PROCESSES.Process(target=append_some, args=(log_path, f"w{number}", batches, sender))
        worker.start()
        sender.close()
        started.append((worker, receiver, sum(batches)))
    found: dict[int, bytes] = {}
    first = 0
    for worker, receiver, total in started:
        results = list(iter(receiver.recv, None))
        assert len(results) == total
        for index, entry, duplicate in results:
            assert found.setdefault(index, entry) == entry
            first += not duplicate
        worker.join()
        assert worker.exitcode == 0
        worker.close()
        receiver.close()
    with EmbeddedLog.open(log_path, ORIGIN, LOG_KEY) as log:
        audited = log.audit()
        assert audited is not None
        assert audited.size == len(found) == first
        assert dict(log.entries()) == found
        assert len(set(found.values())) == len(found), "the shared entries were logged twice"


def fill(log: EmbeddedLog, acknowledged: dict[int, bytes]) -> StorageError:
    """Append until the disk is full."""
    for number in range(100_000):
        bodies = [body("fill", 10 * number + place) for place in range(10)]
        try:
            for each, appended in zip(bodies, log.append(bodies), strict=True):
                acknowledged[appended.index] = each
        except StorageError as error:
            return error
    raise AssertionError("the disk never filled up")


def recover(log: EmbeddedLog, acknowledged: dict[int, bytes]) -> None:
    """After space was freed, the very same open log goes on."""
    bodies = [body("after", number) for number in range(500)]
    for each, appended in zip(bodies, log.append(bodies), strict=True):
        assert not appended.duplicate
        acknowledged[appended.index] = each
    audited = log.audit()
    assert audited is not None
    assert audited.size == len(acknowledged)
    assert dict(log.entries()) == acknowledged


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=False, capture_output=True
        ).returncode
        == 0
    )
    if not mounted:
        pytest.skip("FULL DISK NOT TESTED ON A REAL FILE SYSTEM: this user may not mount a tmpfs")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    reserve = small_disk / "reserve"
    reserve.write_bytes(bytes(1024 * 1024))
    acknowledged: dict[int, bytes] = {}
    path = small_disk / "log.db"
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        error = fill(log, acknowledged)
        assert str(path) in str(error)
        assert "full" in str(error)
        assert "free" in error.mend
        assert log.size == len(acknowledged) > 0
        with pytest.raises(StorageError):
            log.append([bytes(60_000) for _ in range(20)] + [os.urandom(60_000) for _ in range(20)])
        reserve.unlink()
        recover(log, acknowledged)
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        assert log.size == len(acknowledged)


def limited_writer(path: Path, results: Connection) -> None:
    """A disk that ends at 300 KiB, as far as this process can tell."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    acknowledged: dict[int, bytes] = {}
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 * 1024, hard))
        error = fill(log, acknowledged)
        held = len(acknowledged)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        recover(log, acknowledged)
        results.send((str(error), error.mend, held, log.size))


def test_a_file_size_limit(log_path: Path) -> None:
    receiver, sender = PROCESSES.Pipe(duplex=False)
    worker = PROCESSES.Process(target=limited_writer, args=(log_path, sender))
    worker.start()
    sender.close()
    message, mend, held, size = receiver.recv()
    worker.join()
    assert worker.exitcode == 0
    worker.close()
    receiver.close()
    assert str(log_path) in message
    assert "full" in message
    assert mend
    assert size == held + 500
