"""Measuring artifacts that are in memory already: one large file, and a tree of many small ones."""

import hashlib
import os
from pathlib import Path

import model_signing

from atlas.artifact import measure, parse_index
from benchmarks.measure import Bench, Bound, Figure, command, each, inside

GIB = 1 << 30
FILES, SIZE = 10_000, 4096


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    size = GIB // 8 if bench.quick else GIB
    return [*_file(bench, large_file(bench.folder, size), size), *_tree(bench)]


def large_file(folder: Path, size: int) -> Path:
    """A file of random bytes."""
    path = folder / "large"
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    return path


def _file(bench: Bench, path: Path, size: int) -> list[Figure]:
    samples = bench.turns(
        3 if bench.quick else 9,
        {
            "atlas": lambda: inside(lambda: measure(path)),
            "openssl": lambda: command(["openssl", "dgst", "-sha256", str(path)]),
        },
    )
    path.unlink()
    mine, other = ([size / 1e6 / value for value in each(samples[name], "wall")] for name in ("atlas", "openssl"))
    label = f"{size >> 20} MiB file"
    return [
        Figure(f"{label}, against openssl", "MB/s", mine, other, Bound("ratio", "≥", 0.95)),
        Figure(f"{label}, CPU", "s", each(samples["atlas"], "cpu"), each(samples["openssl"], "cpu")),
    ]


def _tree(bench: Bench) -> list[Figure]:
    count = FILES // 10 if bench.quick else FILES
    tree, names = bench.folder / "tree", bench.folder / "names"
    for number in range(count):
        path = tree / f"{number // 100:03d}" / f"{number % 100:02d}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(SIZE))
    names.write_bytes(b"".join(os.fsencode(path.relative_to(tree)) + b"\0" for path in sorted(tree.rglob("*.bin"))))
    _check(tree, count)
    samples = bench.turns(
        3 if bench.quick else 9,
        {
            "atlas": lambda: inside(lambda: measure(tree)),
            "sha256sum": lambda: command(["xargs", "-0", "-s", "1000000", "sha256sum"], folder=tree, stdin=names),
            "model-signing": lambda: inside(lambda: _by_model_signing(tree)),
        },
    )
    label = f"tree of {count} files of {SIZE >> 10} KiB"
    mine, sums, other = (samples[name] for name in ("atlas", "sha256sum", "model-signing"))
    figures = []
    for name, taken, limit in (("sha256sum", sums, 1.0), ("model-signing", other, 0.25)):
        time, cpu = ((each(mine, key), each(taken, key)) for key in ("wall", "cpu"))
        figures += [
            Figure(f"{label}, against {name}", "s", *time, Bound("ratio", "≤", limit)),
            Figure(f"{label}, CPU", "s", *cpu),
        ]
    return figures


def _by_model_signing(tree: Path) -> object:
    return model_signing.hashing.hash(tree)


def _check(tree: Path, count: int) -> None:
    """What is compared must have done the work."""
    entries = parse_index(measure(tree).asset or b"")
    path = next(iter(entries))
    assert len(entries) == count
    assert entries[path][0] == hashlib.sha256((tree / path).read_bytes()).hexdigest()
