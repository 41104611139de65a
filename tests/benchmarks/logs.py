"""What a log costs: appending, over HTTP as well; verifying receipts; and manifests from archive to receipt.

The embedded log is held against bare SQLite with the same rows and the same durability, and, where Rekor v2 is built,
against that server: both durable when they answer, both asked by the same client.
"""

import base64
import contextlib
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from atlas.archive import Archive
from atlas.errors import AtlasError
from atlas.log import EmbeddedLog, verify_receipt
from atlas.log.interface import TransparencyLog
from atlas.log.receipt import Receipt
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.manifest import sign_statement
from atlas.outbox import Recording, Reveal, record_waiting
from atlas.trust import PinnedLog, load_log
from benchmarks.measure import Bench, Bound, Figure, Sample, each, inside, module, report
from cluster.servers import NotBuilt, program, rekor
from support.forge import authority, now, output, statement
from unit.log.log_support import LOG_KEY, ORIGIN, make_entry

APPENDS, SINGLES, POSTS, RECEIPTS, MANIFESTS = 20_480, 500, 3_000, 4_000, 10_000
BATCH = 256

T_co = TypeVar("T_co", covariant=True)


class Opens(Protocol[T_co]):
    """Makes something in a folder."""

    def __call__(self, folder: Path, /) -> contextlib.AbstractContextManager[T_co]: ...


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    part = 10 if bench.quick else 1
    small, large = partial(module, "logs"), bench.folder / "archive.sqlite3"
    manifests = MANIFESTS // part
    _archive(large, manifests)
    jobs = {
        "batches": partial(small, "batches", APPENDS // part),
        "singles": partial(small, "singles", SINGLES // part),
        "posts": partial(small, "posts", POSTS // part),
        "receipts": partial(small, "receipts", RECEIPTS // part),
        "claim": partial(small, "manifests", "claim", large),
        "batch": partial(small, "manifests", "batch", large),
    }
    try:
        program("rekor")
        jobs |= {
            "rekor posts": partial(small, "rekor-posts", POSTS // part),
            "rekor claim": partial(small, "rekor-manifests", "claim", large),
        }
    except NotBuilt:
        print("left out: Rekor v2, which is not built (`make tools`)", file=sys.stderr)
    found = bench.turns(2 if bench.quick else 3, jobs)

    def rates(job: str, key: str) -> list[float]:
        return each(found[job], key) if job in found else []

    return [
        Figure("appends, one by one", "/s", rates("singles", "atlas"), rates("singles", "sqlite")),
        Figure(
            f"appends, {BATCH} at once",
            "/s",
            rates("batches", "atlas"),
            rates("batches", "sqlite"),
            Bound("median", "≥", 20_000),
        ),
        Figure(
            "entries over HTTP, against Rekor v2",
            "/s",
            rates("posts", "rate"),
            rates("rekor posts", "rate"),
            Bound("median", "≥", 600),
        ),
        Figure(
            "receipts of one checkpoint verified, one core",
            "/s",
            rates("receipts", "shared"),
            bound=Bound("median", "≥", 3000),
        ),
        Figure(
            "receipts of a checkpoint each, against one bare Ed25519",
            "/s",
            rates("receipts", "single"),
            rates("receipts", "bare"),
            Bound("median", "≥", 3000),
        ),
        Figure(
            f"{manifests} manifests, from archive to receipt, against Rekor v2",
            "s",
            rates("claim", "seconds"),
            rates("rekor claim", "seconds"),
            Bound("ratio", "≤", 1.0),
        ),
        Figure(
            f"{manifests} manifests as one batch, against one by one",
            "s",
            rates("batch", "seconds"),
            rates("claim", "seconds"),
        ),
    ]


def _archive(path: Path, count: int) -> None:
    issuer = authority()
    with Archive(path) as archive:
        for step in range(count // 100):
            outputs = tuple(output(name=f"{step}-{number}", position=number) for number in range(100))
            sidecars = sign_statement(replace(statement(), outputs=outputs), issuer, now())
            archive.add((each.manifest, each.raw) for each in sidecars)


# ------------------------------------------------------------------------------------------------ children


def _bodies(count: int) -> list[bytes]:
    body = make_entry("body").canonical_body()
    return [body[:-40] + b"%040d" % number for number in range(count)]


def _appends(folder: Path, count: int, at_once: int) -> Sample:
    bodies = _bodies(count)
    with EmbeddedLog.open(folder / "log.sqlite3", ORIGIN, LOG_KEY) as log:
        atlas = inside(lambda: [log.append(bodies[n : n + at_once]) for n in range(0, count, at_once)])
    bare = sqlite3.connect(folder / "bare.sqlite3", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE entry (idx INTEGER PRIMARY KEY, leaf BLOB UNIQUE, body BLOB)")

    def insert() -> None:
        for start in range(0, count, at_once):
            portion = bodies[start : start + at_once]
            bare.execute("BEGIN IMMEDIATE")
            bare.executemany(
                "INSERT INTO entry (leaf, body) VALUES (?, ?)",
                [(hashlib.sha256(b"\0" + b).digest(), b) for b in portion],
            )
            bare.execute("COMMIT")

    return {"atlas": count / atlas["wall"], "sqlite": count / inside(insert)["wall"]}


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[Address]:
    """The embedded log behind its server, in a process of its own."""
    home = folder / ".atlas"
    subprocess.run(["atlas", "init", "--home", home], check=True, capture_output=True)
    command = ["atlas", "log", "serve", "--port", "0", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        words = process.stdout.readline().split()
        pinned = _pinned(home)
        yield Address(words[-1], words[-1], pinned)
        process.terminate()


def _pinned(home: Path) -> PinnedLog:
    [log] = json.loads((home / "trust.json").read_text())["spec"]["logs"]
    return load_log(log["origin"], log["publicKey"])


@contextlib.contextmanager
def _real(folder: Path) -> Iterator[Address]:
    with rekor(folder) as log:
        yield Address(log.url, log.read_url, log.pinned)


def _posts(count: int, server: Opens[Address]) -> Sample:
    entries = [make_entry(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as address, Rekor2Log(address) as log:
        log.record(entries[:8])
        answers: list[Receipt | AtlasError] = []
        taken = inside(lambda: answers.extend(log.record(entries[8:])))
    assert all(isinstance(each, Receipt) for each in answers)
    return {"rate": (count - 8) / taken["wall"]}


def _receipts(count: int) -> Sample:
    entries = [make_entry(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, EmbeddedLog.open(Path(folder) / "log", ORIGIN, LOG_KEY) as log:
        log.append([entry.canonical_body() for entry in entries])
        receipts, logs = log.receipts(range(count)), [log.pinned]
    pairs = list(zip(receipts, entries, strict=True))
    shared = inside(lambda: [verify_receipt(receipt, entry, logs) for receipt, entry in pairs])
    notes = [
        f"{ORIGIN}\n{receipts[0].tree_size}\n{receipts[0].checkpoint.split(chr(10))[2]}\nextension {n}\n"
        for n in range(count)
    ]
    key_id = logs[0].key_id[:4]
    own = [(replace(r, checkpoint=_note(text, key_id)), e) for (r, e), text in zip(pairs, notes, strict=True)]
    single = inside(lambda: [verify_receipt(receipt, entry, logs) for receipt, entry in own])
    public = LOG_KEY.public_key()
    signed = [(LOG_KEY.sign(text.encode()), text.encode()) for text in notes]
    bare = inside(lambda: [public.verify(*pair) for pair in signed])
    return {name: count / taken["wall"] for name, taken in (("shared", shared), ("single", single), ("bare", bare))}


def _note(text: str, key_id: bytes) -> str:
    return f"{text}\n— {ORIGIN} {base64.b64encode(key_id + LOG_KEY.sign(text.encode())).decode()}\n"


def _manifests(reveal: Reveal, archived: Path, open_log: Opens[TransparencyLog]) -> Sample:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive.sqlite3").write_bytes(archived.read_bytes())
        with Archive(folder / "archive.sqlite3") as archive, open_log(folder) as log:
            taken = inside(lambda: record_waiting(archive, log, archive.unlogged(), Recording(reveal)))
            assert not archive.unlogged()
    return {"seconds": taken["wall"]}


@contextlib.contextmanager
def _real_log(folder: Path) -> Iterator[TransparencyLog]:
    with _real(folder / "rekor") as address, Rekor2Log(address) as log:
        yield log


def _main(job: str, *given: str) -> Sample:
    if job in ("batches", "singles"):
        with tempfile.TemporaryDirectory() as folder:
            return _appends(Path(folder), int(given[0]), BATCH if job == "batches" else 1)
    if job.endswith("posts"):
        return _posts(int(given[0]), _served if job == "posts" else _real)
    if job == "receipts":
        return _receipts(int(given[0]))
    return _manifests(Reveal(given[0]), Path(given[1]), _own_log if job == "manifests" else _real_log)


def _own_log(folder: Path) -> EmbeddedLog:
    return EmbeddedLog.open(folder / "log.sqlite3", ORIGIN, LOG_KEY)


if __name__ == "__main__":
    report(_main(*sys.argv[1:]))
