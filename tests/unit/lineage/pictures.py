"""Lineages that are worth drawing."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from atlas.lineage import Lineage
from atlas.statement import Unmeasured
from atlas.trust import intel_root
from atlas.verdict import Verdict
from unit.evidence.evidence_support import Provider, platform, simulated_root
from unit.lineage.lineage_world import NOW, Made, World, found, policy, sha

HOSTILE = [
    '<script>alert("1")</script>\n]]>&amp;<!--',
    'a"b\\N \\" <b> [color=red]; }',
    '"] --> x %%{init: {"theme":"dark"}}%% `code` #35; end',
    "\u202eevil\x1b[31m\x00\ufffe",
    "1. list",
    "- dash _emphasis_ *strong*",
    "--> click a0 href",
    "数据集 ﷽",
]


@dataclass(frozen=True)
class Drawn:
    lineage: Lineage
    verdict: Verdict


Make = Callable[[World], Drawn]


def judged(world: World, made: Made, rules: str = "{}") -> Drawn:
    verdict, lineage = world.verifier().judge(made.sha256, policy(rules), NOW)
    assert lineage is not None
    return Drawn(lineage, verdict)


def sound(world: World) -> Drawn:
    """Publisher, preparation with two outputs, training."""
    corpus = world.publish(b"corpus", "corpus.tar")
    train, test = world.steps("prepare", [corpus.used("raw")], {"train": b"tr", "test": b"te"})
    return judged(world, world.step("fit", [train.used(), test.used("holdout")], {"model": b"m"}))


def broken(world: World) -> Drawn:
    """One of each: origin, pinned origin, gap, tampering, failure, changed input, no digest, missing metric."""
    corpus = world.publish(b"corpus", "corpus.tar")
    train, test = world.steps("split", [corpus.used("raw")], {"train": b"tr", "test": b"te"})
    features = world.step(
        "prepare",
        [train.used(), found(b"wild", "words"), found(b"pin", "tokens", pinned=True), found(b"", "nothing")],
        {"features": b"f"},
        exit_code=1,
    )
    lost = world.step("pretrain", outputs={"base": b"base"})
    checkpoint = world.step(
        "train",
        [features.used(changed=True), lost.used()],
        {"checkpoint": b"c"},
        unmeasured=(
            Unmeasured("output", "logs", 0, "pvc://x", "not mounted"),
            Unmeasured("input", "cache", 0, "oci://x", "not mounted"),
        ),
    )
    world.source.remove(lost)
    parts = [checkpoint.used("model", sha256=sha(b"tampered")), test.used("holdout"), train.used()]
    tuned = world.step("tune", parts, {"model": b"tuned"})
    return judged(world, tuned, "{metrics: [{step: e, artifact: m, name: acc, min: 0.9}]}")


def evaluated(world: World) -> Drawn:
    """A model, and an evaluation with a data set of its own that the policy asks for."""
    model = world.step("train", [world.publish(b"corpus").used()], {"model": b"m"})
    holdout = world.step("sample", outputs={"holdout": b"h"}, exit_code=1)
    world.step("evaluate", [model.used(), holdout.used()], {"metrics": {"accuracy": 0.9}})
    return judged(world, model, "{metrics: [{step: evaluate, artifact: metrics, name: accuracy, min: 0.5}]}")


def attested(world: World) -> Drawn:
    """Steps with simulated evidence, with some that does not hold, with none though it was asked for, and without."""
    world.trust = replace(world.trust, evidence_roots=(intel_root(), simulated_root()))
    world.source.keep(platform().collateral(NOW))
    data = world.publish(b"corpus", "corpus.tar")
    train, test = world.steps("prepare", [data.used("raw")], {"train": b"tr", "test": b"te"}, provider=Provider())
    base = world.step("train", [train.used()], {"base": b"b"}, provider=Provider("tdx"))
    tuned = world.step("tune", [base.used()], {"tuned": b"t"}, evidence="failed:coco")
    return judged(world, world.step("package", [tuned.used(), test.used("holdout")], {"model": b"m"}))


def hostile(world: World) -> Drawn:
    """Names that try to mean something."""
    made = world.publish(b"0", HOSTILE[0], publisher=HOSTILE[1])
    for i, name in enumerate(HOSTILE):
        made = world.step(name, [made.used(HOSTILE[-1 - i])], {HOSTILE[(i + 3) % len(HOSTILE)]: f"{i}".encode()})
    return judged(world, world.step(HOSTILE[2], [made.used()], {HOSTILE[0]: b"last"}, exit_code=1))


def circle(world: World) -> Drawn:
    """Two steps that each used what the other made."""
    one = world.step("one", [found(b"two", "two")], {"one": b"one"})
    world.step("two", [found(b"one", "one")], {"two": b"two"})
    return judged(world, one)


def many(world: World, nodes: int) -> Drawn:
    """Layers of steps that use what is in the layer before, and a few things from far away."""
    random_ = random.Random(7)
    made = [world.publish(f"{i}".encode(), f"shard-{i}") for i in range(nodes // 10)]
    while len(made) < nodes - 1:
        number = len(made)
        inputs = random_.sample(made[-nodes // 10 :], 2) + ([random_.choice(made)] if number % 10 == 0 else [])
        made.append(world.step(f"step-{number}", [each.used() for each in inputs]))
    used = {edge.box_sha256 for each in made for edge in (one.link for one in each.manifest.statement.inputs) if edge}
    return judged(world, world.step("last", [each.used() for each in made if each.box not in used], {"model": b"m"}))
