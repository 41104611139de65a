"""Verifying lineages: cold, warm, and how the time grows with the number of steps.

Cold is a fresh process on one core that opens the archive and verifies, with nothing read or kept from before;
the interpreter's start and imports are not counted. Warm is the same verifier again. The baseline is the C2PA library's
own validation of the same sidecars in the same process, which neither follows links nor looks at receipts or policy.
"""

import datetime as dt
import io
import os
import sys
from functools import partial
from pathlib import Path
from statistics import median

import c2pa
from cryptography.hazmat.primitives import serialization

from atlas.gather import open_archive
from atlas.home import open_home
from atlas.manifest import profile
from atlas.policy.schema import parse_policy
from atlas.trust_file import load_trust_root
from atlas.verdict import Verdict
from atlas.verifier import Verifier
from benchmarks.lineages import IMAGE, diamonds, grow
from benchmarks.measure import Bench, Bound, Figure, each, inside, module, report

SHORT, LONG = 100, 1000
COLD, GROWTH, WARM = 3.5, 1.2, 5.0
"""Milliseconds a step; ratio of two of these; milliseconds in all."""

POLICY = f"""
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata: {{name: benchmark}}
spec:
  steps:
    required: [transform-0, transform-1, evaluate]
    images: ["{IMAGE}"]
    code: {{transform-0: ["sha256:{"0" * 64}"]}}
  origins: {{publishers: [], steps: [transform-0], pinned: false}}
  log: required
  maxAge: 1d
  denied: ["sha256:{"f" * 64}"]
  metrics: [{{step: evaluate, artifact: metrics, name: accuracy, min: 0.8}}]
"""


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    sizes = (SHORT // 5, LONG // 5) if bench.quick else (SHORT, LONG)
    targets = {}
    for steps in sizes:
        home, made = grow(bench.folder / f".atlas-{steps}", steps, diamonds)
        targets[steps] = (steps, home.path, made[-2].manifest.asset_sha256)
    samples = bench.turns(
        3 if bench.quick else 9,
        {f"{steps} steps": partial(module, "verification", *target) for steps, target in targets.items()},
    )
    figures = []
    short, long = (samples[f"{steps} steps"] for steps in sizes)
    for steps, taken in zip(sizes, (short, long), strict=True):
        cold, bare = (each(taken, name, 1e3 / steps) for name in ("cold", "bare"))
        figures.append(Figure(f"{steps} steps cold, a step", "ms", cold, bare, Bound("median", "≤", COLD)))
    growth = [b["cold"] / a["cold"] * sizes[0] / sizes[1] for a, b in zip(short, long, strict=True)]
    figures.append(
        Figure("time a step of the long lineage / the short one", "", growth, bound=Bound("median", "≤", GROWTH))
    )
    for steps, taken in zip(sizes, (short, long), strict=True):
        warm = each(taken, "warm", 1e3)
        figures.append(Figure(f"{steps} steps warm, in all", "ms", warm, bound=Bound("median", "≤", WARM)))
    return figures


def _child(steps: int, path: Path, sha256: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    home, policy, now = open_home(path), parse_policy(POLICY.encode()), dt.datetime.now(dt.UTC)
    verifiers: list[Verifier] = []

    def cold() -> None:
        archive = open_archive(home)
        verifiers.append(Verifier(archive, load_trust_root(home.trust_path), lambda: archive.revision))
        _check(verifiers[0].verify(sha256, policy, now), steps)

    sample = inside(cold)
    warm = [inside(lambda: _check(verifiers[0].verify(sha256, policy, now), steps))["wall"] for _ in range(5)]
    lineage = verifiers[0].lineage(sha256)
    assert lineage
    with open_archive(home) as archive:
        stored = [archive.manifest(node.box) for node in lineage.nodes]
    raws = [each.sidecar for each in stored if each]
    context = profile.context(open_home(path).issuer().certificate.public_bytes(serialization.Encoding.PEM).decode())

    def bare() -> None:
        for raw in raws:
            reader = c2pa.Reader(profile.SIDECAR_FORMAT, io.BytesIO(b"\0"), raw, context=context)
            assert reader.get_validation_results()

    report({**sample, "cold": sample["wall"], "warm": median(warm), "bare": inside(bare)["wall"] * steps / len(raws)})


def _check(verdict: Verdict, steps: int) -> None:
    assert not verdict.findings, verdict.findings
    assert verdict.steps == steps


if __name__ == "__main__":
    _child(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
