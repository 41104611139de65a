"""Bytes that one step leaves: its sidecar, its receipt, and what the two databases grow by."""

import sqlite3
from pathlib import Path

from atlas.gather import open_archive
from atlas.home import Home
from benchmarks.lineages import grow, latest
from benchmarks.measure import Bench, Figure

STEPS = 200


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    steps = STEPS // 4 if bench.quick else STEPS
    figures = []
    for inputs in (1, 2, 10):
        home, made = grow(bench.folder / f".atlas-{inputs}", steps, latest(inputs), evaluated=False)
        with open_archive(home) as archive:
            stored = [found for each in made[inputs:] if (found := archive.manifest(each.manifest.box_sha256))]
        label = f"{inputs} input{'s' * (inputs > 1)}"
        figures += [
            Figure(f"{label}, sidecar", "B", [len(each.sidecar) for each in stored]),
            Figure(f"{label}, receipt", "B", [len(each.receipt or b"") for each in stored]),
            Figure(f"{label}, archive and log, a step", "B", [_databases(home) / steps]),
        ]
    return figures


def _databases(home: Home) -> int:
    return sum(_size(path) for path in (home.archive_path, home.log_path))


def _size(path: Path) -> int:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size
