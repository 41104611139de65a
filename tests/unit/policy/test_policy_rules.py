"""Every rule of a policy: what satisfies it, and what breaks exactly it."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.codes import Code
from atlas.errors import MeasureError
from atlas.policy import evaluate
from atlas.statement import NEVER_WRITTEN, Unmeasured
from atlas.trust import Authority, Role, TrustRoot
from support import forge
from unit.lineage.lineage_world import NOW, Made, World, codes, found, only, policy, sha

SECOND = dt.timedelta(seconds=1)


def _model(world: World, **step: Any) -> Made:
    """A published corpus, prepared and trained on."""
    data = world.step("prepare", [world.publish(b"corpus").used()])
    return world.step("train", [data.used("data")], {"model": b"m"}, **step)


# ------------------------------------------------------------------------------------------------ steps


def test_required_step_among_the_ancestors(world: World) -> None:
    model = _model(world)
    assert world.verify(model, "{steps: {required: [train, prepare]}}").findings == ()
    finding = only(world.verify(model, "{steps: {required: [prepare, scan]}}"), Code.STEP_REQUIRED)
    assert (finding.path, finding.expected, finding.found) == (("model",), "scan", "prepare, train")


def test_required_step_is_a_component_not_a_task(world: World) -> None:
    model = world.step("train-2", component="train")
    assert world.verify(model, "{steps: {required: [train]}}").holds
    assert only(world.verify(model, "{steps: {required: [train-2]}}"), Code.STEP_REQUIRED).code is Code.STEP_REQUIRED


def test_required_step_as_an_evaluation(world: World) -> None:
    model = _model(world)
    rules = "{steps: {required: [evaluate]}}"
    assert only(world.verify(model, rules), Code.STEP_REQUIRED).found == "prepare, train"
    world.step("evaluate", [model.used()], {"report": b"fine"})
    assert world.verify(model, rules).findings == ()


def test_required_evaluation_of_another_model_does_not_count(world: World) -> None:
    model, other = _model(world), world.step("other", outputs={"model": b"other"})
    world.step("evaluate", [other.used()], {"report": b"fine"})
    assert only(world.verify(model, "{steps: {required: [evaluate]}}"), Code.STEP_REQUIRED).code is Code.STEP_REQUIRED


def test_required_evaluation_must_hold_itself(world: World) -> None:
    model = _model(world)
    world.step("evaluate", [model.used()], {"report": b"fine"}, exit_code=1)
    assert world.verify(model).holds
    assert only(world.verify(model, "{steps: {required: [evaluate]}}"), Code.STEP_FAILED).path == ("report", "evaluate")


def test_required_evaluation_of_a_stranger_does_not_count(world: World) -> None:
    model = _model(world)
    world.step("evaluate", [model.used()], {"report": b"fine"}, issuer=forge.authority("stranger"))
    assert only(world.verify(model, "{steps: {required: [evaluate]}}"), Code.STEP_REQUIRED).code is Code.STEP_REQUIRED


def test_what_is_beyond_a_gap_is_not_said_to_be_missing(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used()])
    world.source.remove(data)
    assert codes(world.verify(model, "{steps: {required: [prepare]}}").findings) == ["ManifestMissing"]


def test_images(world: World) -> None:
    model = _model(world, image="registry/train@sha256:11")
    prepared = forge.step().image
    assert world.verify(model, f"{{steps: {{images: ['registry/train@sha256:11', '{prepared}']}}}}").findings == ()
    finding = only(world.verify(model, f"{{steps: {{images: ['{prepared}']}}}}"), Code.IMAGE_NOT_ALLOWED)
    assert finding.path == ("model", "train")
    assert (finding.expected, finding.found) == (prepared, "registry/train@sha256:11")


def test_no_image_at_all(world: World) -> None:
    data = world.publish(b"corpus")
    assert world.verify(data, "{steps: {images: []}}").findings == ()
    model = world.step("train", [data.used()])
    assert only(world.verify(model, "{steps: {images: []}}"), Code.IMAGE_NOT_ALLOWED).code is Code.IMAGE_NOT_ALLOWED


def test_code(world: World) -> None:
    other = sha(b"other code")
    model = _model(world, code_sha256=other)
    listed = f"sha256:{forge.CODE_SHA256}"
    assert world.verify(model, f"{{steps: {{code: {{train: ['{listed}', 'sha256:{other}']}}}}}}").findings == ()
    assert world.verify(model, f"{{steps: {{code: {{prepare: ['{listed}']}}}}}}").findings == ()
    finding = only(world.verify(model, f"{{steps: {{code: {{train: ['{listed}']}}}}}}"), Code.CODE_NOT_ALLOWED)
    assert (finding.path, finding.expected, finding.found) == (("model", "train"), listed, f"sha256:{other}")
    assert (
        only(world.verify(model, "{steps: {code: {train: []}}}"), Code.CODE_NOT_ALLOWED).code is Code.CODE_NOT_ALLOWED
    )


# ------------------------------------------------------------------------------------------------ origins


def test_origin_by_digest(world: World) -> None:
    model = world.step("train", [found(b"wild")])
    assert world.verify(model, f"{{origins: {{digests: ['sha256:{sha(b'wild')}']}}}}").findings == ()
    finding = only(world.verify(model, f"{{origins: {{digests: ['sha256:{sha(b'x')}']}}}}"), Code.ORIGIN_NOT_ALLOWED)
    assert finding.path == ("train-out", "train", "raw")
    assert only(world.verify(model), Code.UNATTESTED_ORIGIN).path == finding.path


def test_pinned_origin(world: World) -> None:
    model = world.step("train", [found(b"pinned", pinned=True)])
    assert world.verify(model, "{origins: {pinned: true}}").findings == ()
    assert only(world.verify(model, "{origins: {pinned: false}}"), Code.ORIGIN_NOT_ALLOWED).found.startswith("sha256:")


def test_publishers_by_authority_and_by_certificate(world: World) -> None:
    data = world.publish(b"corpus")
    model = world.step("train", [data.used()])
    authority = world.trust.authorities[0].sha256
    leaf = hashlib.sha256(data.manifest.signer.public_bytes(Encoding.DER)).hexdigest()
    for accepted in (authority, leaf):
        assert world.verify(model, f"{{origins: {{publishers: ['sha256:{accepted}']}}}}").findings == ()
    for rules in ("{origins: {publishers: []}}", f"{{origins: {{publishers: ['sha256:{sha(b'x')}']}}}}"):
        finding = only(world.verify(model, rules), Code.ORIGIN_NOT_ALLOWED)
        assert finding.path == ("train-out", "train", "corpus", "ACME")
        assert finding.found == f"ACME, certificate sha256:{leaf}"


def test_steps_that_may_begin_a_lineage(world: World) -> None:
    model = world.step("train", [world.step("generate").used("data")])
    assert world.verify(model, "{origins: {steps: [generate]}}").findings == ()
    finding = only(world.verify(model, "{origins: {steps: [download]}}"), Code.ORIGIN_NOT_ALLOWED)
    assert (finding.path[-1], finding.expected, finding.found) == ("generate", "download", "generate")
    assert only(world.verify(model, "{origins: {steps: []}}"), Code.ORIGIN_NOT_ALLOWED).expected == "no step"


def test_an_empty_input_does_not_hide_a_beginning(world: World) -> None:
    model = world.step("generate", [found(b"")])
    assert world.verify(model, "{origins: {steps: [generate]}}").findings == ()
    assert only(world.verify(model, "{origins: {steps: []}}"), Code.ORIGIN_NOT_ALLOWED).found == "generate"


# ------------------------------------------------------------------------------------------------ evidence, log


def test_evidence(world: World) -> None:
    data = world.publish(b"corpus")
    assert world.verify(data, "{evidence: required}").findings == ()
    model = world.step("train", [data.used()])
    assert world.verify(model, "{evidence: optional}").findings == ()
    assert only(world.verify(model, "{evidence: required}"), Code.EVIDENCE_REQUIRED).found == "none"
    claimed = world.step("train-2", [data.used()], evidence="tdx")
    for rules in ("{evidence: required}", "{evidence: optional}"):  # a lie is no option
        finding = only(world.verify(claimed, rules), Code.EVIDENCE_PROVIDER_MISMATCH)
        assert (finding.expected, finding.found) == ("evidence of tdx", "no evidence")
    failed = world.step("train-3", [data.used()], evidence="failed:tdx")
    finding = only(world.verify(failed, "{evidence: required}"), Code.EVIDENCE_REQUIRED)
    assert finding.found == "tdx was asked and gave none"


def test_log(world: World) -> None:
    data = world.step("prepare", log=False)
    model = world.step("train", [data.used("data")])
    assert world.verify(model, "{log: optional}").findings == ()
    finding = only(world.verify(model, "{log: required}"), Code.NOT_LOGGED)
    assert finding.path == ("train-out", "train", "data", "prepare")


def test_a_receipt_that_does_not_hold_is_refused_whatever_the_policy(world: World) -> None:
    model = world.step("train")
    trust = TrustRoot(world.trust.authorities, ())
    for rules in ("{log: optional}", "{log: required}"):
        verdict = world.verifier(trust=trust).verify(model.sha256, policy(rules), NOW)
        assert only(verdict, Code.RECEIPT_LOG_UNKNOWN).path == ("train-out", "train")


# ------------------------------------------------------------------------------------------------ times


def test_max_age(world: World) -> None:
    model = _model(world)
    ended = model.manifest.statement.ended
    rules = "{maxAge: 1h}"
    at = max(ended, NOW - dt.timedelta(minutes=1)) + dt.timedelta(hours=1)
    late = world.step("late", [model.used()], started=at - dt.timedelta(hours=2), ended=at - dt.timedelta(hours=1))
    assert world.verify(late, rules, at).findings == ()
    finding = only(world.verify(late, rules, at + dt.timedelta(microseconds=1)), Code.TOO_OLD)
    assert finding.path == (*("late-out", "late"),)
    assert finding.found == f"{at - dt.timedelta(hours=1):%FT%TZ}"


def test_max_age_is_of_the_newest_step_only(world: World) -> None:
    data = world.step("prepare", started=NOW - dt.timedelta(days=10))
    model = world.step("train", [data.used()], started=NOW - dt.timedelta(minutes=30))
    assert world.verify(model, "{maxAge: 1h}").findings == ()
    assert only(world.verify(data, "{maxAge: 1h}"), Code.TOO_OLD).code is Code.TOO_OLD


def test_signer_not_yet_valid(world: World) -> None:
    model = world.step("train")
    begins = model.manifest.signer.not_valid_before_utc
    assert world.verify(model, at=begins).findings == ()
    finding = only(world.verify(model, at=begins - SECOND), Code.SIGNER_NOT_YET_VALID)
    assert (finding.path, finding.expected) == (("train-out", "train"), f"from {begins:%FT%TZ}")


def test_signer_expired(world: World) -> None:
    model = world.step("train")
    ends = model.manifest.signer.not_valid_after_utc
    assert world.verify(model, at=ends).findings == ()
    finding = only(world.verify(model, at=ends + SECOND), Code.SIGNER_EXPIRED)
    assert (finding.path, finding.expected) == (("train-out", "train"), f"until {ends:%FT%TZ}")


def test_step_in_the_future(world: World) -> None:
    ended = NOW + dt.timedelta(hours=1)
    model = world.step("train", started=NOW, ended=ended)
    assert world.verify(model, at=ended).findings == ()
    finding = only(world.verify(model, at=ended - SECOND), Code.STEP_IN_FUTURE)
    assert (finding.expected, finding.found) == (f"at most {ended - SECOND:%FT%TZ}", f"{ended:%FT%TZ}")


def test_times_are_bounds_that_still_hold_beside_one_that_does_not(world: World) -> None:
    at = NOW + dt.timedelta(hours=1)
    data = world.step("prepare", started=NOW, ended=at + SECOND)
    model = world.step("train", [data.used("data")], started=NOW + dt.timedelta(minutes=59), ended=at)
    assert only(world.verify(model, at=at), Code.STEP_IN_FUTURE).path == ("train-out", "train", "data", "prepare")
    ends = model.manifest.signer.not_valid_after_utc
    late = world.step("late", [model.used()], started=ends, ended=ends + SECOND)
    assert only(world.verify(late, at=ends), Code.STEP_IN_FUTURE).path == ("late-out", "late")
    begins = model.manifest.signer.not_valid_before_utc
    assert set(codes(world.verify(late, at=begins).findings)) == {"StepInFuture"}


# ------------------------------------------------------------------------------------------------ metrics


BOUNDS = "{{metrics: [{{step: evaluate, artifact: metrics, name: accuracy, {}}}]}}"


def _evaluated(world: World, *metrics: Mapping[str, Any]) -> Made:
    model = _model(world)
    for i, each in enumerate(metrics):
        world.step(f"evaluate-{i}", [model.used()], {"metrics": each}, component="evaluate")
    return model


@pytest.mark.parametrize(
    ("bounds", "value", "expected"),
    [
        ("min: 0.9", 0.9, ""),
        ("min: 0.9", 0.95, ""),
        ("min: 0.9", 0.8999, "at least 0.9"),
        ("max: 0.1", 0.1, ""),
        ("max: 0.1", 0.11, "at most 0.1"),
        ("min: 0.2, max: 0.4", 0.3, ""),
        ("min: 0.2, max: 0.4", 0.1, "at least 0.2 and at most 0.4"),
        ("min: 0.2, max: 0.4", 0.5, "at least 0.2 and at most 0.4"),
        ("min: 1", 1, ""),
        ("min: 2", 1, "at least 2"),
        ("min: 0", -0.0, ""),
    ],
)
def test_metric(world: World, bounds: str, value: float, expected: str) -> None:
    verdict = world.verify(_evaluated(world, {"accuracy": value}), BOUNDS.format(bounds))
    if not expected:
        assert verdict.findings == ()
        return
    finding = only(verdict, Code.METRIC_OUT_OF_RANGE)
    assert (finding.expected, finding.found) == (expected, f"{value:g}")
    assert finding.path == ("model", "evaluate", "metrics.accuracy")


@pytest.mark.parametrize(
    "metrics",
    [{}, {"recall": 0.99}, {"accuracy": "0.99"}, {"accuracy": True}, {"accuracy": None}, {"accuracy": [0.99]}],
)
def test_metric_that_was_not_measured(world: World, metrics: Mapping[str, Any]) -> None:
    finding = only(world.verify(_evaluated(world, metrics), BOUNDS.format("min: 0")), Code.METRIC_MISSING)
    assert (finding.expected, finding.found) == ("at least 0", "no measurement")


def test_metric_that_is_no_number_cannot_be_stated(world: World) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(MeasureError, match="not representable"):
            _evaluated(world, {"accuracy": value})


def test_metric_without_any_evaluation(world: World) -> None:
    assert (
        only(world.verify(_evaluated(world), BOUNDS.format("min: 0")), Code.METRIC_MISSING).code is Code.METRIC_MISSING
    )


def test_metric_in_another_artifact_or_of_another_component(world: World) -> None:
    model = _model(world)
    world.step("evaluate", [model.used()], {"other": {"accuracy": 0.99}})
    world.step("impostor", [model.used()], {"metrics": {"accuracy": 0.99}})
    assert only(world.verify(model, BOUNDS.format("min: 0.5")), Code.METRIC_MISSING).code is Code.METRIC_MISSING


def test_one_bad_evaluation_is_not_excused_by_good_ones(world: World) -> None:
    model = _evaluated(world, {"accuracy": 0.95}, {"accuracy": 0.1}, {"accuracy": 0.97})
    assert only(world.verify(model, BOUNDS.format("min: 0.9")), Code.METRIC_OUT_OF_RANGE).found == "0.1"
    assert world.verify(model, BOUNDS.format("min: 0.05")).findings == ()


def test_metric_that_the_training_itself_measured(world: World) -> None:
    model, _ = world.steps("train", outputs={"model": b"m", "metrics": {"accuracy": 0.7}})
    rules = "{{metrics: [{{step: train, artifact: metrics, name: accuracy, min: {}}}]}}"
    assert world.verify(model, rules.format(0.7)).findings == ()
    assert only(world.verify(model, rules.format(0.71)), Code.METRIC_OUT_OF_RANGE).path[1] == "train"


def test_metric_of_an_evaluation_that_does_not_hold(world: World) -> None:
    model = _model(world)
    world.step("evaluate", [model.used(), found(b"wild holdout")], {"metrics": {"accuracy": 0.99}})
    assert only(world.verify(model, BOUNDS.format("min: 0.5")), Code.UNATTESTED_ORIGIN).path[:2] == (
        "metrics",
        "evaluate",
    )


# ------------------------------------------------------------------------------------------------ denied, unmeasured


@pytest.mark.parametrize("which", ["model", "ancestor", "published", "origin"])
def test_denied_anywhere(world: World, which: str) -> None:
    corpus = world.publish(b"corpus")
    data = world.step("prepare", [corpus.used("corpus"), found(b"pin", "pin", pinned=True)])
    model = world.step("train", [data.used("data")], {"model": b"m"})
    digest, path = {
        "model": (model.sha256, ("model",)),
        "ancestor": (data.sha256, ("model", "train", "data")),
        "published": (corpus.sha256, ("model", "train", "data", "prepare", "corpus")),
        "origin": (sha(b"pin"), ("model", "train", "data", "prepare", "pin")),
    }[which]
    assert world.verify(model, f"{{denied: ['sha256:{sha(b'something else')}']}}").findings == ()
    finding = only(world.verify(model, f"{{denied: ['sha256:{digest}']}}"), Code.DIGEST_DENIED)
    assert (finding.path, finding.found) == (path, f"sha256:{digest}")


def test_denied_where_there_is_no_manifest(world: World) -> None:
    empty = world.step("empty", [found(b"", "nothing")])
    assert only(world.verify(empty, f"{{denied: ['sha256:{sha(b'')}']}}"), Code.DIGEST_DENIED).path[-1] == "nothing"
    data = world.step("prepare")
    model = world.step("train", [data.used()])
    swapped = world.step("train-2", [data.used(sha256=sha(b"swapped"))])
    rules = f"{{denied: ['sha256:{data.sha256}', 'sha256:{sha(b'swapped')}']}}"
    assert codes(world.verify(swapped, rules).findings) == ["DigestDenied", "DigestDenied", "LinkMismatch"]
    world.source.remove(data)
    assert codes(world.verify(model, rules).findings) == ["DigestDenied", "ManifestMissing"]


def test_denied_in_an_evaluation_that_the_policy_relies_on(world: World) -> None:
    model, holdout = _model(world), world.step("sample", outputs={"holdout": b"leaked"})
    world.step("evaluate", [model.used(), holdout.used()], {"report": b"fine"})
    denied = f"denied: ['sha256:{holdout.sha256}']"
    assert world.verify(model, f"{{{denied}}}").findings == ()
    verdict = world.verify(model, f"{{{denied}, steps: {{required: [evaluate]}}}}")
    assert only(verdict, Code.DIGEST_DENIED).path == ("report", "evaluate", "holdout")


@pytest.mark.parametrize(("direction", "code"), [("input", Code.INPUT_UNMEASURED), ("output", Code.OUTPUT_UNMEASURED)])
def test_unmeasured(world: World, direction: str, code: Code) -> None:
    model = world.step("train", unmeasured=(Unmeasured(direction, "logs", 0, "pvc://logs", "not mounted"),))
    finding = only(world.verify(model), code)
    assert (finding.path, finding.found) == (("train-out", "train", "logs"), "pvc://logs: not mounted")
    assert only(world.verify(model, "{unmeasured: [train.other, other.logs, logs]}"), code).code is code
    allowed = world.verify(model, "{unmeasured: [train.logs]}")
    assert codes(allowed.findings) == (["InputUnmeasured"] if direction == "input" else [])


def test_unmeasured_output_that_the_policy_lists(world: World) -> None:
    model = world.step("train", unmeasured=(Unmeasured("output", "logs", 0, "", "not mounted"),))
    assert only(world.verify(model), Code.OUTPUT_UNMEASURED).found == "no place: not mounted"
    assert world.verify(model, "{unmeasured: [train.logs]}").findings == ()


def test_an_output_that_was_never_written_is_harmless(world: World) -> None:
    never = world.step("train", unmeasured=(Unmeasured("output", "logs", 0, "", NEVER_WRITTEN),))
    assert world.verify(never).findings == ()
    unread = world.step("train-2", unmeasured=(Unmeasured("input", "logs", 0, "", NEVER_WRITTEN),))
    assert only(world.verify(unread), Code.INPUT_UNMEASURED).code is Code.INPUT_UNMEASURED


# ------------------------------------------------------------------------------------------------ roles, all at once


def test_authority_without_the_role(world: World) -> None:
    model = world.step("train", [world.publish(b"corpus").used("corpus")])
    steps_only = Authority("pipelines", world.issuer.certificate, frozenset({Role.STEP}))
    verdict = world.verifier(trust=TrustRoot((steps_only,), world.trust.logs)).verify(model.sha256, policy(), NOW)
    assert only(verdict, Code.SIGNER_ROLE_MISMATCH).path == ("train-out", "train", "corpus")


def test_every_broken_rule_is_reported(world: World) -> None:
    model = _model(world, log=False)
    rules = (
        f"{{steps: {{required: [scan], images: [x], code: {{train: []}}}}, origins: {{publishers: []}},"
        f" evidence: required, maxAge: 1m, metrics: [{{step: e, artifact: a, name: n, min: 0}}],"
        f" denied: ['sha256:{model.sha256}']}}"
    )
    found_codes = codes(world.verify(model, rules).findings)
    assert sorted(set(found_codes)) == [
        "CodeNotAllowed", "DigestDenied", "EvidenceRequired", "ImageNotAllowed", "MetricMissing", "NotLogged",
        "OriginNotAllowed", "StepRequired", "TooOld",
    ]  # fmt: skip


def test_findings_are_sorted_and_pure(world: World) -> None:
    lineage = world.lineage(_model(world))
    rules = policy("{evidence: required, steps: {required: [scan], images: []}}")
    first = evaluate(lineage, rules, NOW)
    assert list(first) == sorted(first)
    assert len(first) == 5
    assert evaluate(lineage, rules, NOW) == first
    assert evaluate(lineage, policy(), NOW) == ()
