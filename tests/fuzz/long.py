"""The long form: `python tests/fuzz/long.py --mutants 1450000 --jobs 2`. Exit 1 if any mutant does what none may do.

Batches are numbered, and a batch's number decides its mutants, so that a process that dies or hangs names its culprit:
the batch is run again, mutant by mutant, each in a process of its own.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

if __name__ == "__main__":
    _ROOT = Path(__file__).resolve().parents[2]
    sys.path[:1] = [str(_ROOT / each) for each in ("tests", "sdk", "components")]

from fuzz.mutate import mutate
from fuzz.target import Seed, Target, Violation
from fuzz.targets import make_targets

BATCH = 500
GROWTH = 128 << 20
"""Bytes by which a process may grow over the whole run."""
PEAK = 512 << 20
"""Bytes by which a single mutant may make it grow."""
ADDRESS_SPACE = 8 << 30
"""Bytes; what asks for more gets a MemoryError, which is a violation, instead of the machine."""
SHARES = {
    **{"sidecar": 3, "sidecar signed anew": 1, "receipt": 4, "statement": 4, "document": 4, "executor": 4},
    **{"quote": 3, "evidence": 1, "gpu": 1, "recorded": 1, "model signature": 4},
}
"""Of the mutants; the two kinds of sidecar are one reader."""

_PROCESSES = multiprocessing.get_context("spawn")


@dataclass
class Batch:
    """What a batch came to."""

    target: str
    process: int
    mutants: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    rss: int = 0
    peak: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, bytes]] = field(default_factory=list)


def rss() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def mutants(target: Target, number: int, count: int = BATCH) -> Iterator[tuple[Seed, bytes]]:
    """The mutants of a numbered batch."""
    chance = Random(f"{target.name} {number}")
    for _ in range(count):
        seed = chance.choice(target.seeds)
        raw = seed.raw
        if seed.operators:
            names = chance.choices(list(seed.operators), k=chance.choice((1, 1, 1, 2, 3)))
            raw = mutate(seed.operators, names, chance, raw)
        if seed.finish:
            raw = seed.finish(chance, raw)
        if raw != seed.raw:
            yield seed, raw


_targets: dict[str, Target] = {}


def _begin() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with tempfile.TemporaryDirectory() as folder:
        _targets.update((each.name, each) for each in make_targets(Path(folder)))


def run_batch(name: str, number: int) -> Batch:
    """Check the mutants of a numbered batch."""
    target = _targets[name]
    target.slowest = 0.0
    result = Batch(name, os.getpid())
    began = time.thread_time()
    for seed, raw in mutants(target, number):
        result.mutants += 1
        try:
            result.outcomes[target.check(seed, raw)] += 1
        except Violation as violation:
            result.violations.append((violation.what, violation.mutant))
    result.seconds = time.thread_time() - began
    result.slowest = target.slowest
    result.rss = rss()
    result.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return result


@dataclass
class Tally:
    """What a target came to."""

    mutants: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    first: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Process -> memory and its peak, after its first batch."""
    last: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        self.mutants += batch.mutants
        self.seconds += batch.seconds
        self.slowest = max(self.slowest, batch.slowest)
        self.outcomes += batch.outcomes
        self.first.setdefault(batch.process, (batch.rss, batch.peak))
        self.last[batch.process] = (batch.rss, batch.peak)


def plan(total: int) -> list[tuple[str, int]]:
    """Batches of all targets, one target after the other so that memory is each one's own."""
    batches = max(1, total // BATCH)
    return [
        (name, number)
        for name, share in SHARES.items()
        for number in range(max(1, round(batches * share / sum(SHARES.values()))))
    ]


def _run(todo: list[tuple[str, int]], jobs: int) -> Iterator[Batch]:
    """Run batches in processes, few ahead; a batch that kills its process is blamed on its mutant."""
    waiting = list(reversed(todo))
    while waiting:
        with ProcessPoolExecutor(jobs, _PROCESSES, _begin) as pool:
            running: dict[Future[Batch], tuple[str, int]] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * jobs:
                        running[pool.submit(run_batch, *waiting[-1])] = waiting[-1]
                        waiting.pop()
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        batch = future.result()
                        del running[future]
                        yield batch
            except BrokenProcessPool:
                suspects = list(running.values())
        if running:
            yield from (_blame(*each) for each in suspects)


def _blame(name: str, number: int) -> Batch:
    """Find the mutants of a batch that kill a process."""
    _begin()
    result = Batch(name, 0)
    for seed, raw in mutants(_targets[name], number):
        result.mutants += 1
        child = os.fork()
        if child == 0:
            try:
                _targets[name].check(seed, raw)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            result.violations.append((f"{seed.name}: kills the process (status {status})", raw))
    return result


def _memory(tally: Tally) -> str | None:
    """What is wrong with the memory that a target took."""
    for process, (before, peak_before) in tally.first.items():
        after, peak = tally.last[process]
        if process and after - before > GROWTH:
            return f"grew from {before >> 20} to {after >> 20} MiB"
        if process and peak - max(peak_before, after) > PEAK:
            return f"took {peak >> 20} MiB for one mutant"
    return None


def _report(name: str, tally: Tally) -> None:
    refused = [(code, count) for code, count in tally.outcomes.most_common() if code != "accepted"][:5]
    processes = [each for each in tally.first if each]
    begin = max((tally.first[each][0] for each in processes), default=0) >> 20
    end = max((tally.last[each][0] for each in processes), default=0) >> 20
    print(
        f"{name}: {tally.mutants} mutants, {tally.outcomes['accepted']} accepted, slowest {tally.slowest * 1000:.0f} ms"
    )
    rate = tally.mutants / max(tally.seconds, 1e-9)
    print(f"    RSS {begin} MiB at the start, {end} at the end; {rate:.0f} mutants/s a process")
    print("    refused: " + ", ".join(f"{code} {count}" for code, count in refused), flush=True)


def main() -> int:
    """Run, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()), help="folder for reproducers")
    options = parser.parse_args()
    tallies = {name: Tally() for name in SHARES}
    violations: dict[tuple[str, str], bytes] = {}
    began = time.monotonic()
    for batch in _run(plan(options.mutants), options.jobs):
        tallies[batch.target].add(batch)
        for what, mutant in batch.violations:
            key = (batch.target, what[:60])
            if key not in violations or len(mutant) < len(violations[key]):
                violations[key] = mutant
    for name, tally in tallies.items():
        _report(name, tally)
        if wrong := _memory(tally):
            violations[name, wrong] = b""
    took = time.monotonic() - began
    total = sum(each.mutants for each in tallies.values())
    print(f"{total} mutants in {took:.0f} s with {options.jobs} processes, {len(violations)} kinds of violations")
    for number, ((name, what), mutant) in enumerate(violations.items()):
        place = options.out / f"atlas-fuzz-{os.getpid()}-{number}.hex"
        place.write_text(f"# {name}: {what}\n{mutant.hex()}\n")
        print(f"{name}: {what}\n    reproducer: {place}", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
