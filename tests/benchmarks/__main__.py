"""`python -m benchmarks [NAME…] [--quick] [--json FILE] [--write PAGE]`: speed, memory and size beside baselines.

Bounds are shown and not enforced: the exit code tells whether the benchmarks ran.
"""

import argparse
import importlib
import json
from pathlib import Path

from benchmarks import page
from benchmarks.measure import Bench, Figure, loop, machine, workplace

MODULES = {
    "steps": "steps",
    "hashing": "hashing",
    "signing": "signing",
    "verification": "verification",
    "evidence": "evidence",
    "log": "logs",
    "bytes": "sizes",
}
NEEDS = 2 << 30
"""Bytes that a benchmark may write."""


def main() -> None:
    """Run benchmarks and show their figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ratios against baselines of one run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; all by default: {', '.join(MODULES)}")
    parser.add_argument("--quick", action="store_true", help="smaller and seldom repeated: only to see that they run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables between the page's markers")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - MODULES.keys()):
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    where = machine()
    noise: list[float] = []
    print(where, flush=True)
    results: dict[str, list[Figure]] = {}
    for name in given.names or MODULES:
        with workplace(needs=NEEDS) as folder:
            bench = Bench(folder, given.quick, [loop()])
            results[name] = importlib.import_module(f"benchmarks.{MODULES[name]}").run(bench)
        noise += [1e3 * seconds for seconds in bench.noise]
        print(f"\n{name}\n{page.table([page.HEADINGS, *map(page.row, results[name])])}", flush=True)
    heading = f"{where}.\nNoise: a loop that always does the same took {page.spread(noise, 'ms')}."
    print(f"\n{heading.splitlines()[1]}")
    if given.json:
        given.json.write_text(json.dumps(page.document(heading, results), indent=1, ensure_ascii=False) + "\n")
    if given.write:
        page.rewrite(given.write, page.markdown(heading, results))


if __name__ == "__main__":
    main()
