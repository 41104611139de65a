"""What all benchmarks share: samples of one run, taken in turns, and figures that can be held against a bound.

Other programs disturb a measurement for seconds at a time. Subject and baseline are therefore run in turns, and a ratio
is the median over the turns of the ratio within one turn, so that whatever slows one down slows the other as well.
"""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

Sample = Mapping[str, float]
"""What one execution came to: `wall` and `cpu` in seconds, and whatever else it reports."""
Job = Callable[[], Sample]

_ROOT = Path(__file__).parent.parent
_LOOP = 300_000
_STARTED = time.perf_counter()


@dataclass(frozen=True)
class Bound:
    """What a figure should not exceed, or not fall below."""

    of: Literal["median", "ratio"]
    relation: Literal["≤", "≥"]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound."""
        return value <= self.limit if self.relation == "≤" else value >= self.limit


@dataclass(frozen=True)
class Figure:
    """One row of the table: the samples of the subject and of the baseline, turn by turn."""

    what: str
    unit: str
    subject: Sequence[float]
    baseline: Sequence[float] = ()
    bound: Bound | None = None

    @property
    def ratio(self) -> float | None:
        """Median of subject / baseline of each turn; None without a baseline."""
        pairs = zip(self.subject, self.baseline, strict=False)
        return median(mine / other for mine, other in pairs) if self.baseline else None

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None if there is none."""
        if self.bound is None:
            return None
        value = median(self.subject) if self.bound.of == "median" else self.ratio
        return value is not None and self.bound.holds(value)


@dataclass
class Bench:
    """What a benchmark is given: how often to repeat, how small to be, and where to write."""

    folder: Path
    quick: bool = False
    noise: list[float] = field(default_factory=list)
    """Seconds that one fixed loop took, each time it was run between measurements."""

    def turns(self, count: int, jobs: Mapping[str, Job]) -> dict[str, list[Sample]]:
        """Run the jobs in turns: A B C A B C…"""
        samples: dict[str, list[Sample]] = {name: [] for name in jobs}
        for turn in range(count):
            for name, job in jobs.items():
                self.noise.append(loop())
                samples[name].append(job())
                print(f"{time.perf_counter() - _STARTED:6.0f} s  {turn + 1}/{count}  {name}", file=sys.stderr)
        self.noise.append(loop())
        return samples


def each(samples: Sequence[Sample], key: str, scale: float = 1.0) -> list[float]:
    """One quantity of all samples."""
    return [sample[key] * scale for sample in samples]


def inside(action: Callable[[], object]) -> Sample:
    """Time an action in this process, all its threads included."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def command(argv: Sequence[str], *, folder: Path | None = None, stdin: Path | None = None) -> Sample:
    """Time a command with all its descendants.

    What it prints as its last line, if that is a JSON object, is added to the sample (and may replace its times).
    """
    with (stdin or Path(os.devnull)).open("rb") as given:
        before, wall = _cpu_of_children(), time.perf_counter()
        done = subprocess.run(argv, cwd=folder, stdin=given, capture_output=True, env=_environment(), check=False)
        sample = {"wall": time.perf_counter() - wall, "cpu": _cpu_of_children() - before}
    if done.returncode:
        raise RuntimeError(f"{argv[:4]} failed with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    last = done.stdout.rstrip().rpartition(b"\n")[2]
    return {**sample, **json.loads(last)} if last.startswith(b"{") else sample


def module(name: str, *arguments: object) -> Sample:
    """Time a module of this package in an interpreter of its own."""
    return command([sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)])


def report(sample: Sample) -> None:
    """Called in a child at its end: hand the sample to the process that started it."""
    sys.stdout.flush()
    print(f"\n{json.dumps(sample)}", flush=True)


def peak_memory() -> float:
    """Largest resident set of this process so far, in bytes.

    Not `ru_maxrss`: that of a child counts the process it was forked from.
    """
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(status.partition("VmHWM:")[2].split()[0])


def loop() -> float:
    """Time a fixed piece of work; how much this varies is how much the machine does besides."""
    began, total = time.perf_counter(), 0
    for number in range(_LOOP):
        total += number * number
    return time.perf_counter() - began


@contextmanager
def workplace(*, needs: int) -> Iterator[Path]:
    """A new folder, in memory if there are twice the bytes that are needed, else on the disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * needs
    with tempfile.TemporaryDirectory(prefix="atlas-bench-", dir=memory if roomy else None) as name:
        yield Path(name)


def machine() -> str:
    """The machine and what else it is doing."""
    info = Path("/proc/cpuinfo").read_text()
    model = info.partition("model name")[2].partition("\n")[0].lstrip("\t :") or platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux {platform.release()}; "
        f"Python {platform.python_version()}; load {load}"
    )


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    """As a user's shell has it: Python keeps its byte code, and `atlas-run` is found."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(_ROOT), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
