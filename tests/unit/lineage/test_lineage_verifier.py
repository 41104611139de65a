"""Verdicts: from real manifests, kept facts, and any order of the archive."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas import verifier as verifier_module
from atlas.archive import Stored
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.appraise import Lookup
from atlas.lineage import Facts, establish
from atlas.lineage.facts import StoredManifest
from atlas.trust import Authority, Role, TrustRoot
from atlas.verdict import Severity
from atlas.verifier import Verifier
from support import forge
from unit.lineage.lineage_world import NOW, Memory, World, chain, codes, found, only, policy, sha

STRANGER = forge.authority("stranger")


@pytest.fixture
def established(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The box digests of all manifests that were really verified, in order."""
    boxes: list[str] = []

    def counting(stored: StoredManifest, trust: TrustRoot, lookup: Lookup) -> Facts:
        boxes.append(stored.box_sha256)
        return establish(stored, trust, lookup)

    monkeypatch.setattr(verifier_module, "establish", counting)
    return boxes


def test_each_manifest_is_verified_once(world: World, established: list[str]) -> None:
    made = chain(world, 3)
    verifier = world.verifier()
    first = verifier.verify(made[-1].sha256, policy(), NOW)
    assert sorted(established) == sorted(each.box for each in made)
    assert verifier.verify(made[-1].sha256, policy(), NOW) == first
    assert verifier.verify(made[1].sha256, policy(), NOW).holds
    assert len(established) == len(made)


def test_policy_is_evaluated_anew_on_a_warm_lineage(world: World, established: list[str]) -> None:
    made = chain(world, 3)
    verifier = world.verifier()
    assert verifier.verify(made[-1].sha256, policy(), NOW).holds
    before = len(established)
    refused = verifier.verify(made[-1].sha256, policy(f"{{denied: ['sha256:{made[0].sha256}']}}"), NOW)
    assert only(refused, Code.DIGEST_DENIED).found == f"sha256:{made[0].sha256}"
    late = verifier.verify(made[-1].sha256, policy(), NOW + dt.timedelta(days=20_000))
    assert set(codes(late.findings)) == {"SignerExpired"}
    assert verifier.verify(made[-1].sha256, policy(), NOW).holds
    assert len(established) == before


def test_revision_invalidates_lineages_but_not_facts(world: World, established: list[str]) -> None:
    made = chain(world, 2)
    verifier = world.verifier()
    assert verifier.verify(made[-1].sha256, policy(), NOW).holds
    before = len(established)
    world.source.remove(made[0])
    verdict = verifier.verify(made[-1].sha256, policy(), NOW)
    assert codes(verdict.findings) == ["ManifestMissing"]
    assert len(established) == before


def test_without_a_new_revision_nothing_is_looked_up(world: World) -> None:
    made = chain(world, 2)
    world.settle()
    verifier = Verifier(world.source, world.trust, lambda: 7)
    assert verifier.verify(made[-1].sha256, policy(), NOW).holds
    world.source.stored = []
    assert verifier.verify(made[-1].sha256, policy(), NOW).holds


def test_a_later_receipt_is_verified(world: World, established: list[str]) -> None:
    made = world.step("train")
    source, unlogged = world.source, world.unlogged
    verifier = Verifier(source, world.trust, lambda: source.revision)
    assert codes(verifier.verify(made.sha256, policy(), NOW).findings) == ["NotLogged"]
    assert unlogged == [made]
    world.settle()
    assert verifier.verify(made.sha256, policy(), NOW).findings == ()
    assert established == [made.box, made.box]


def test_facts_are_of_one_trust_root(world: World) -> None:
    made = world.step("train")
    assert world.verifier().verify(made.sha256, policy(), NOW).holds
    other = TrustRoot((Authority("stranger", STRANGER.certificate, frozenset(Role)),), world.trust.logs)
    verdict = world.verifier(trust=other).verify(made.sha256, policy(), NOW)
    assert codes(verdict.findings) == ["SignerUntrusted"]
    assert verdict.trust == f"sha256:{other.sha256}" != f"sha256:{world.trust.sha256}"


def test_archive_that_mislabels_does_not_fill_the_cache(world: World) -> None:
    good, other = world.step("good"), world.step("other")
    user = world.step("use", [good.used("data")])
    world.settle()
    honest = list(world.source.stored)
    lie = next(each for each in honest if each.box_sha256 == other.box)
    world.source.stored = [
        replace(lie, box_sha256=good.box, receipt=each.receipt) if each.box_sha256 == good.box else each
        for each in honest
    ]
    verifier = Verifier(world.source, world.trust, lambda: world.source.revision)
    assert "LinkMismatch" in codes(verifier.verify(user.sha256, policy(), NOW).findings)
    world.source.stored = honest
    world.source.revision += 1
    assert verifier.verify(user.sha256, policy(), NOW).findings == ()


def test_facts_are_dropped_when_there_are_too_many(
    world: World, established: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier_module, "MAX_FACTS", 2)
    made = chain(world, 4)
    verifier = world.verifier()
    first = verifier.verify(made[-1].sha256, policy(), NOW)
    assert first.holds
    world.source.revision += 1
    assert verifier.verify(made[-1].sha256, policy(), NOW).to_bytes() == first.to_bytes()
    assert len(established) > len(made)


def test_duplicate_root_of_which_one_holds(world: World) -> None:
    good = world.step("good", outputs={"model": b"same"})
    bad = world.step("bad", outputs={"model": b"same"}, exit_code=1)
    verdict = world.verify(good)
    assert good.sha256 == bad.sha256
    assert verdict.holds
    assert codes(verdict.findings, Severity.WARNING) == ["ProducerAmbiguous"]
    assert codes(verdict.findings) == ["ProducerAmbiguous"]


def test_duplicate_roots_that_hold_are_reported_by_the_newest(world: World) -> None:
    world.step("old", outputs={"old-name": b"same"})
    new = world.step("new", outputs={"new-name": b"same"})
    verdict = world.verify(new)
    assert (verdict.name, verdict.holds) == ("new-name", True)
    lineage = world.verifier().lineage(new.sha256)
    assert lineage is not None
    assert lineage.nodes[0].box == new.box


def test_duplicate_roots_that_all_fail_are_reported_by_the_newest(world: World) -> None:
    world.step("old", outputs={"old-name": b"same"}, exit_code=1)
    new = world.step("new", outputs={"new-name": b"same"}, exit_code=2)
    verdict = world.verify(new)
    assert not verdict.holds
    assert (verdict.name, codes(verdict.findings, Severity.ERROR)) == ("new-name", ["StepFailed"])
    assert "exit code 2" in {each.found for each in verdict.findings}


def test_a_manifest_that_does_not_hold_does_not_hide_one_that_does(world: World) -> None:
    made = world.step("train", outputs={"model": b"same"})
    world.step("evil", outputs={"model": b"same"}, issuer=STRANGER)
    assert world.verify(made).findings == ()


def test_only_so_many_roots_are_tried(world: World) -> None:
    good = world.step("good", outputs={"model": b"same"})
    for i in range(verifier_module.MAX_ROOTS):
        world.step(f"bad-{i}", outputs={"model": b"same"}, exit_code=1)
    assert "StepFailed" in codes(world.verify(good).findings)


def test_a_sound_evaluation_is_needed_whole(world: World) -> None:
    model = world.step("train", outputs={"model": b"m"})
    holdout = world.step("holdout")
    world.step("evaluate", [model.used(), holdout.used()], {"metrics": {"accuracy": 0.9}})
    rules = policy("{metrics: [{step: evaluate, artifact: metrics, name: accuracy, min: 0.5}]}")
    assert world.verify(model, rules).findings == ()
    world.source.remove(holdout)
    assert codes(world.verify(model, rules).findings) == ["ManifestMissing"]


def test_an_evaluation_that_changed_the_model_does_not_count(world: World) -> None:
    model = world.step("train", outputs={"model": b"m"})
    world.step("evaluate", [model.used(changed=True)], {"metrics": {"accuracy": 0.9}})
    rules = policy("{steps: {required: [evaluate]}}")
    assert codes(world.verify(model, rules).findings) == ["StepRequired"]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything at once: twins, forks, gaps, strangers, candidates without links, evaluations."""
    world = World(tmp_path_factory.mktemp("crowded"))
    corpus = world.publish(b"corpus")
    world.publish(b"corpus", publisher="Other")
    one = world.step("one", [found(b"corpus")], {"same": b"same"})
    world.step("two", [corpus.used()], {"same": b"same"})
    world.step("three", [found(b"wild")], {"same": b"same"}, issuer=STRANGER)
    lost = world.step("lost")
    left, right = world.steps("split", [one.used(link=False), lost.used()], {"left": b"l", "right": b"r"}, exit_code=1)
    world.step("split", [one.used()], {"left": b"forked"})
    world.step("split", [one.used()], {"left": b"forked by a stranger"}, issuer=STRANGER)
    for name in ("train", "train-again"):
        model = world.step(
            name, [left.used(), right.used(changed=True), found(b"pin", "pin", pinned=True)], {"model": b"m"}
        )
    for value in (0.3, 0.9):
        world.step(f"evaluate-{value}", [model.used()], {"metrics": {"accuracy": value}}, component="evaluate")
    world.source.remove(lost)
    world.settle([each for each in world.unlogged if each.box not in (lost.box, right.box)])
    yield world
    world.log.close()


CROWDED_RULES = (
    "{metrics: [{step: evaluate, artifact: metrics, name: accuracy, min: 0.5}], steps: {required: [nobody]}}"
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_archive_does_not_matter(crowded: World, random: "st.Random") -> None:  # type: ignore[name-defined]
    order = list(range(len(crowded.source.stored)))
    random.shuffle(order)
    one = _verifier(crowded.source, crowded.trust)
    other = _verifier(crowded.source.shuffled(order), crowded.trust)
    rules = policy(CROWDED_RULES)
    expected = one.verify(sha(b"m"), rules, NOW)
    assert other.verify(sha(b"m"), rules, NOW).to_bytes() == expected.to_bytes()
    assert {
        "InputChanged", "ManifestMissing", "MetricOutOfRange", "NotLogged", "ProducerAmbiguous", "StepFailed",
        "StepForked",
    } <= set(codes(expected.findings))  # fmt: skip


def _verifier(source: Memory, trust: TrustRoot) -> Verifier:
    return Verifier(source, trust, lambda: 0)


def test_the_offset_in_which_the_time_is_written_does_not_matter(world: World) -> None:
    made = world.step("train")
    at = made.manifest.statement.ended - dt.timedelta(seconds=1)
    verifier = world.verifier()
    here = verifier.verify(made.sha256, policy(), at)
    there = verifier.verify(made.sha256, policy(), at.astimezone(dt.timezone(dt.timedelta(hours=5))))
    assert not here.holds
    assert here.to_bytes() == there.to_bytes()


def test_bytes_of_a_verdict_change_with_everything_it_depends_on(world: World) -> None:
    made = chain(world, 1)
    verifier = world.verifier()
    verdicts = [
        verifier.verify(made[-1].sha256, policy(), NOW),
        verifier.verify(made[0].sha256, policy(), NOW),
        verifier.verify(made[-1].sha256, policy("{log: optional}"), NOW),
        verifier.verify(made[-1].sha256, policy(), NOW + dt.timedelta(seconds=1)),
    ]
    assert all(each.holds for each in verdicts)
    assert len({each.to_bytes() for each in verdicts}) == len(verdicts)


def test_a_receipt_that_does_not_hold_is_part_of_the_facts(world: World) -> None:
    made = world.step("train")
    facts = establish(Stored(made.box, made.sha256, made.raw, b"{}"), world.trust)
    assert facts.logged is None
    assert facts.log_rejection is not None
    assert facts.log_rejection.code is Code.RECEIPT_MALFORMED
    with pytest.raises(Rejected) as caught:
        establish(Stored(made.box, made.sha256, made.raw[:-1], None), world.trust)
    assert caught.value.code is Code.SIDECAR_MALFORMED


def test_the_path_of_a_home_is_no_part_of_a_verdict(tmp_path: Path) -> None:
    """The same manifests in two archives with different receipts give the same bytes."""
    world = World(tmp_path)
    made = chain(world, 2)
    world.settle()
    first = world.verify(made[-1])
    later = world.step("later")
    receipts = world.log.receipts([0, 1, 2])
    stored = [each for each in world.source.stored if each.box_sha256 != later.box]
    again = [replace(each, receipt=one.to_bytes()) for each, one in zip(stored, receipts, strict=True)]
    world.settle()
    newer = [
        replace(each, receipt=one.to_bytes()) for each, one in zip(stored, world.log.receipts([0, 1, 2]), strict=True)
    ]
    assert [each.receipt for each in again] != [each.receipt for each in newer]
    other = Memory(newer, world.source.manifests)
    assert _verifier(other, world.trust).verify(made[-1].sha256, policy(), NOW).to_bytes() == first.to_bytes()
    world.log.close()
