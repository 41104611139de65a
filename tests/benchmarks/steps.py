"""What provenance adds to each step of a pipeline, and to each run: kfp's local runner with and without it.

A child process does a whole run. What a step costs is the slope between a run of few and one of many steps, which
leaves out whatever a run costs once.
"""

import sys
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.measure import Bench, Bound, Figure, Sample, module, report

FEW, MANY = 2, 10
BOUND = 0.15
"""Seconds that provenance may add to a step."""


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    from atlas.home import create_home

    home = create_home(bench.folder / ".atlas").path

    def job(kind: str, steps: int) -> Sample:
        return module("steps", kind, steps, mkdtemp(dir=bench.folder), home)

    kinds = [(kind, steps) for steps in (FEW, MANY) for kind in ("plain", "instrumented")]
    for kind, _ in kinds[:2]:
        job(kind, 1)  # byte code is written and files are read into memory
    samples = bench.turns(
        2 if bench.quick else 7,
        {f"{kind} {steps}": partial(job, kind, steps) for kind, steps in kinds},
    )
    figures = []
    for key, name in (("wall", "time"), ("cpu", "CPU")):
        few, many, plain_few, plain_many = (
            [sample[key] for sample in samples[f"{kind} {steps}"]]
            for kind in ("instrumented", "plain")
            for steps in (FEW, MANY)
        )
        step = [(b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True)]
        plain = [(b - a) / (MANY - FEW) for a, b in zip(plain_few, plain_many, strict=True)]
        added = [a - b for a, b in zip(step, plain, strict=True)]
        once = [a - b - FEW * c for a, b, c in zip(few, plain_few, added, strict=True)]
        figures += [
            Figure(f"a run of {FEW} steps, {name}", "s", few, plain_few),
            Figure(f"a run of {MANY} steps, {name}", "s", many, plain_many),
            Figure(f"a step, {name}", "s", step, plain),
            Figure(f"added to a step, {name}", "s", added, bound=Bound("median", "≤", BOUND)),
            Figure(f"added to a run once, {name}", "s", once),
        ]
    return figures


def _child(kind: str, steps: int, root: Path, home: Path) -> None:
    from kfp import local

    from benchmarks.pipeline import chain

    pipeline = chain(steps)
    if kind == "plain":
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root),
            raise_on_error=True,
            enable_caching=False,
        )
        pipeline()
    else:
        from atlas.home import open_home
        from atlas_components.local import run_locally

        done = run_locally(pipeline, {}, open_home(home), root=root)
        if not done.ok:
            raise RuntimeError(f"{done.error} {done.tail}")
    made = len(list(root.glob("chain-*/*/executor_output.json")))
    if made != steps:
        raise RuntimeError(f"{made} steps ran, not {steps}")
    report({})


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
