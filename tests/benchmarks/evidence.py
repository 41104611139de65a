"""What evidence costs: verifying one quote, a lineage of attested steps, and knowing today's collateral.

One quote is held against the library that does its signatures, given the collateral as it is served and asked for a
yes or no; Atlas asks it for what it found, reads that, and does all checks around it. They take turns every few quotes,
and the least of many turns counts, since other programs only ever add to it. A lineage with evidence is held against
the same one without, cold, on one core.
"""

import datetime as dt
import os
import sys
from functools import partial
from pathlib import Path
from statistics import median

import dcap_qvl
from cryptography.hazmat.primitives import serialization

from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.tdx.collateral import parse_collateral
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.verify import verify_quote
from atlas.gather import open_archive
from atlas.home import open_home
from atlas.policy.schema import parse_policy
from atlas.trust_file import load_trust_root
from atlas.verifier import Verifier
from benchmarks.lineages import diamonds, grow
from benchmarks.measure import Bench, Bound, Figure, each, inside, module, report

QUOTES, ROUNDS, STEPS = 25, 30, 100
OVER_BARE = 1.2
"""Times what the library takes by itself."""

POLICY = b"""
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata: {name: benchmark}
spec:
  origins: {steps: [transform-0]}
  evidence: {required: true, roots: [simulated], allowSimulated: true}
"""
BARE = POLICY.partition(b"  evidence:")[0]


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    steps = STEPS // 5 if bench.quick else STEPS
    lineages = {}
    for name in ("attested", "plain"):
        home, made = grow(
            bench.folder / f".atlas-{name}", steps, diamonds, evaluated=False, attested=name == "attested"
        )
        lineages[name] = (name, home.path, made[-1].manifest.asset_sha256)
    samples = bench.turns(
        3 if bench.quick else 9,
        {
            "quotes": partial(module, "evidence", "quotes"),
            **{name: partial(module, "evidence", *target) for name, target in lineages.items()},
        },
    )
    quotes, attested, plain = samples["quotes"], samples["attested"], samples["plain"]
    label = f"{steps} steps"
    return [
        Figure(
            "one quote",
            "ms",
            each(quotes, "atlas", 1e3),
            each(quotes, "bare", 1e3),
            Bound("ratio", "≤", OVER_BARE),
        ),
        Figure("one quote, against the same claims", "ms", each(quotes, "atlas", 1e3), each(quotes, "claims", 1e3)),
        Figure("collateral, read and known already", "ms", each(quotes, "read", 1e3)),
        Figure(
            f"{label} with evidence, cold, a step",
            "ms",
            each(attested, "cold", 1e3 / steps),
            each(plain, "cold", 1e3 / steps),
        ),
        Figure(f"{label} with evidence, warm, in all", "ms", each(attested, "warm", 1e3), each(plain, "warm", 1e3)),
        Figure("bytes of a sidecar with evidence", "B", each(attested, "bytes"), each(plain, "bytes")),
    ]


def _quotes() -> None:
    now = dt.datetime.now(dt.UTC)
    platform = UnsafeSimulatedPlatform.new(now)
    collateral, root = platform.collateral(now), platform.root
    der, seconds = root.public_bytes(serialization.Encoding.DER), int(now.timestamp())
    raws = [platform.quote(b"%064d" % number) for number in range(QUOTES)]
    served = dcap_qvl.QuoteCollateralV3.from_json(collateral.raw.decode())

    def atlas() -> None:
        for raw in raws:
            assert verify_quote(parse_quote(raw), collateral, root, now).platform.status == "UpToDate"

    def bare() -> None:
        for raw in raws:
            assert dcap_qvl.verify_with_root_ca(raw, served, der, seconds).status == "UpToDate"

    def claims() -> None:
        verifier, policy = dcap_qvl.QuoteVerifier(der), dcap_qvl.QuotePolicy.claims_only(seconds)
        for raw in raws:
            assert verifier.verify_with_policy(raw, served, seconds, policy).to_json()

    taken: dict[str, list[float]] = {"atlas": [], "bare": [], "claims": []}
    for _ in range(ROUNDS):
        for name, job in (("atlas", atlas), ("bare", bare), ("claims", claims)):
            taken[name].append(inside(job)["wall"] / QUOTES)
    read = inside(lambda: parse_collateral(collateral.raw))["wall"]
    report({**{name: min(times) for name, times in taken.items()}, "read": read})


def _lineage(name: str, path: Path, sha256: str) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    home, policy, now = open_home(path), parse_policy(POLICY if name == "attested" else BARE), dt.datetime.now(dt.UTC)
    archive = open_archive(home)
    verifier = Verifier(archive, load_trust_root(home.trust_path), lambda: archive.revision)

    def verify() -> None:
        verdict = verifier.verify(sha256, policy, now)
        assert not verdict.findings, verdict.findings

    cold = inside(verify)["wall"]
    warm = median(inside(verify)["wall"] for _ in range(5))
    lineage = verifier.lineage(sha256)
    assert lineage
    sizes = [len(stored.sidecar) for node in lineage.nodes if (stored := archive.manifest(node.box))]
    report({"cold": cold, "warm": warm, "bytes": median(sizes)})


if __name__ == "__main__":
    if sys.argv[1] == "quotes":
        _quotes()
    else:
        _lineage(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
