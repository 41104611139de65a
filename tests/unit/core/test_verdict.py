import json
import random

import pytest

from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.verdict import Finding, Severity, Verdict

FINDING = Finding(("model", "train"), Code.STEP_FAILED, "it failed", "0", "1")
WARNING = Finding(("model",), Code.PRODUCER_AMBIGUOUS, "two made it", severity=Severity.WARNING)


def verdict(*findings: Finding) -> Verdict:
    return Verdict(
        subject="sha256:" + "a" * 64,
        name="modèle",
        at="2026-01-31T12:00:00Z",
        policy="sha256:" + "b" * 64,
        trust="sha256:" + "c" * 64,
        steps=2,
        manifests=3,
        findings=findings,
    )


def test_holds_without_findings() -> None:
    assert verdict().holds


def test_holds_with_a_warning() -> None:
    assert verdict(WARNING).holds
    assert verdict(WARNING).to_json()["verdict"] == "holds"


@pytest.mark.parametrize("findings", [(FINDING,), (WARNING, FINDING), (FINDING, WARNING)])
def test_does_not_hold_with_an_error(findings: tuple[Finding, ...]) -> None:
    assert not verdict(*findings).holds
    assert verdict(*findings).to_json()["verdict"] == "does not hold"


def test_bytes_are_canonical() -> None:
    mend = CATALOGUE[Code.STEP_FAILED].mend

    assert (
        verdict(FINDING).to_bytes()
        == (
            '{"at":"2026-01-31T12:00:00Z","findings":[{"code":"StepFailed","expected":"0","found":"1",'
            f'"mend":"{mend}","message":"it failed","path":["model","train"],"severity":"error"}}],"manifests":3,'
            f'"name":"modèle","policy":"sha256:{"b" * 64}","steps":2,"subject":"sha256:{"a" * 64}",'
            f'"trust":"sha256:{"c" * 64}","verdict":"does not hold"}}'
        ).encode()
    )


def test_bytes_say_all_there_is() -> None:
    whole = verdict(FINDING, WARNING)

    assert json.loads(whole.to_bytes()) == whole.to_json()
    assert verdict(WARNING, FINDING).to_bytes() != whole.to_bytes(), "the order of findings is part of the verdict"


def test_findings_are_ordered_by_path_then_code() -> None:
    ordered = [
        Finding((), Code.TOO_OLD, "z"),
        Finding(("a",), Code.METRIC_MISSING, "z"),
        Finding(("a",), Code.STEP_FAILED, "a"),
        Finding(("a",), Code.STEP_FAILED, "b"),
        Finding(("a",), Code.STEP_FAILED, "b", severity=Severity.WARNING),
        Finding(("a", "b"), Code.ANCESTOR_CHANGED, "a"),
        Finding(("b",), Code.ANCESTOR_CHANGED, "a"),
    ]
    shuffled = random.Random(7).sample(ordered, len(ordered))

    assert shuffled != ordered
    assert sorted(shuffled) == ordered


def test_finding_of_a_rejected_proof() -> None:
    rejected = Rejected(Code.SIGNER_UNTRUSTED, "who is that?", expected="us", found="them")

    finding = Finding.of(rejected, ["model", "train"])

    assert finding == Finding(("model", "train"), Code.SIGNER_UNTRUSTED, "who is that?", "us", "them")
    assert finding.severity is Severity.ERROR
    assert finding.mend == CATALOGUE[Code.SIGNER_UNTRUSTED].mend


def test_equal_findings_are_one() -> None:
    assert len({FINDING, Finding(("model", "train"), Code.STEP_FAILED, "it failed", "0", "1"), WARNING}) == 2
