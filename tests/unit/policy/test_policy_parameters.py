"""Rules on parameters: told, disclosed, kept back, or not there."""

from typing import Any

import pytest

from atlas.codes import Code
from atlas.disclosure import conceal
from atlas.errors import DocumentError
from atlas.opening import Disclosures
from atlas.statement import safe_json
from atlas.verdict import Finding, Verdict
from unit.lineage.lineage_world import NOW, Made, World, policy

RATE = conceal("rate", 0.125)
DEPTH = conceal("depth", 8)


def trained(world: World, **states: Any) -> Made:
    data = world.step("prepare", states={"parameters": {"rate": 99}})
    return world.step("train", [data.used()], {"model": b"m"}, states=states)


def hidden(*disclosures: Any) -> dict[str, Any]:
    return {"hidden": tuple(sorted(each.digest for each in disclosures))}


def rule(text: str) -> str:
    return f"{{parameters: [{{step: train, name: rate, {text}}}]}}"


def judged(world: World, made: Made, rules: str, *disclosures: Any, kept: tuple[Any, ...] = ()) -> Verdict:
    shown = {made.manifest.statement_sha256: [each.encoded for each in disclosures]} if disclosures else {}
    at_hand = Disclosures(shown, lambda _: [each.encoded for each in kept])
    return world.verifier().judge(made.sha256, policy(rules), NOW, disclosures=at_hand)[0]


def only(verdict: Verdict, code: Code) -> Finding:
    assert [each.code for each in verdict.findings] == [code], verdict.findings
    return verdict.findings[0]


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("equals: 0.125", [0.125], [0.25, "0.125", True, None, [0.125]]),
        ("equals: 1", [1, 1.0], [True, "1", 2]),
        ("equals: true", [True], [1, "true"]),
        ("equals: adam", ["adam"], ["Adam", ""]),
        ("min: 0.1, max: 0.2", [0.1, 0.125, 0.2], [0.09, 0.21, "0.125", True, None]),
        ("min: 3", [3, 10**6], [2, False]),
        ("max: 3", [3, -1], [4, True]),
        ("oneOf: [1, sgd, false]", [1, "sgd", False], [2, "SGD", True, 0]),
        ("oneOf: []", [], [1]),
        ("equals: '1152921504606846976'", [2**60], [2**60 + 1]),
    ],
)
def test_a_told_parameter_is_judged(world: World, text: str, good: list[Any], bad: list[Any]) -> None:
    for i, value in enumerate((*good, *bad)):
        states = {"parameters": {"rate": safe_json(value)}}
        made = world.step("train", [], {"model": b"%d" % i}, states=states, run=f"run-{i}")
        codes = [each.code for each in world.verify(made, rule(text)).findings]
        assert codes == ([Code.PARAMETER_NOT_ALLOWED] if i >= len(good) else []), value


def test_a_finding_says_what_was_asked_and_told(world: World) -> None:
    made = trained(world, parameters={"rate": 0.5})
    finding = only(world.verify(made, rule("min: 0.1, max: 0.2")), Code.PARAMETER_NOT_ALLOWED)
    assert finding.path == ("model", "train", "rate")
    assert (finding.expected, finding.found) == ("at least 0.1 and at most 0.2", "0.5")


def test_a_step_without_the_parameter(world: World) -> None:
    made = trained(world, parameters={"epochs": 3})
    assert only(world.verify(made, rule("min: 0")), Code.PARAMETER_MISSING).found == "no such parameter"


def test_a_lineage_without_the_step(world: World) -> None:
    made = world.step("prepare", states={"parameters": {"rate": 1}})
    finding = only(world.verify(made, rule("min: 0")), Code.PARAMETER_MISSING)
    assert finding.found == "no such step"
    assert finding.path == ("prepare-out", "train", "rate")


def test_an_undisclosed_parameter_may_be_any_of_those_kept_back(world: World) -> None:
    made = trained(world, parameters={}, **hidden(RATE, DEPTH))
    assert only(judged(world, made, rule("min: 0")), Code.PARAMETER_UNDISCLOSED).found == "2 undisclosed parameters"
    finding = only(judged(world, made, rule("min: 0"), DEPTH), Code.PARAMETER_UNDISCLOSED)
    assert finding.found == "1 undisclosed parameter"


def test_where_all_is_disclosed_it_is_missing(world: World) -> None:
    made = trained(world, parameters={}, **hidden(DEPTH))
    assert only(judged(world, made, rule("min: 0"), DEPTH), Code.PARAMETER_MISSING).found == "no such parameter"


def test_a_secret_can_never_be_judged(world: World) -> None:
    made = trained(world, parameters={}, secret=("rate",))
    assert only(judged(world, made, rule("min: 0")), Code.PARAMETER_UNDISCLOSED).found == "a secret"


def test_a_disclosed_parameter_is_judged_and_shown(world: World) -> None:
    made = trained(world, parameters={}, **hidden(RATE, DEPTH))
    verdict = judged(world, made, rule("min: 0.1"), RATE)
    assert verdict.holds
    [shown] = verdict.disclosed
    assert (shown.component, shown.name, shown.value) == ("train", "rate", 0.125)
    assert shown.statement == made.manifest.statement_sha256
    assert verdict.to_json()["disclosed"][0]["value"] == 0.125
    assert b'"disclosed"' in verdict.to_bytes()


def test_what_is_kept_at_home_is_judged_and_not_told(world: World) -> None:
    made = trained(world, parameters={}, **hidden(RATE, DEPTH))
    assert judged(world, made, rule("equals: 0.125"), kept=(RATE, DEPTH)).holds
    verdict = judged(world, made, rule("equals: 0.5"), kept=(RATE, DEPTH))
    finding = only(verdict, Code.PARAMETER_NOT_ALLOWED)
    assert finding.found == "another value, kept back"
    assert verdict.disclosed == ()
    assert b"0.125" not in verdict.to_bytes()


def test_what_was_disclosed_of_another_statement_is_unrelated(world: World) -> None:
    made, other = trained(world, parameters={}, **hidden(RATE)), world.step("other", states=hidden(DEPTH))
    at_hand = Disclosures({other.manifest.statement_sha256: [DEPTH.encoded]}, lambda _: ())
    verdict, _ = world.verifier().judge(made.sha256, policy(), NOW, disclosures=at_hand)
    finding = only(verdict, Code.DISCLOSURE_UNRELATED)
    assert finding.found == f"statement sha256:{other.manifest.statement_sha256}"


def test_what_is_not_committed_to_is_found_at_the_step(world: World) -> None:
    made = trained(world, parameters={}, **hidden(RATE))
    finding = only(judged(world, made, "{}", DEPTH), Code.DISCLOSURE_INVALID)
    assert finding.path == ("model", "train")
    # nor is it believed of what a home keeps
    codes = [each.code for each in judged(world, made, rule("min: 0"), kept=(DEPTH,)).findings]
    assert sorted(codes) == [Code.DISCLOSURE_INVALID, Code.PARAMETER_UNDISCLOSED]


def test_an_evaluations_parameter_is_judged(world: World) -> None:
    made = trained(world, parameters={})
    world.step("evaluate", [made.used()], {"report": b"fine"}, states={"parameters": {"threshold": 0.5}})
    asked = "{{parameters: [{{step: evaluate, name: threshold, min: {}}}]}}"
    assert world.verify(made, asked.format(0.5)).holds
    finding = only(world.verify(made, asked.format(0.6)), Code.PARAMETER_NOT_ALLOWED)
    assert finding.path == ("report", "evaluate", "threshold")


def test_an_evaluation_that_is_asked_for_must_hold_itself(world: World) -> None:
    made = trained(world, parameters={})
    broken = {"parameters": {"threshold": 0.5}}
    world.step("evaluate", [made.used()], {"report": b"fine"}, exit_code=1, states=broken)
    verdict = world.verify(made, "{parameters: [{step: evaluate, name: threshold, min: 0}]}")
    assert only(verdict, Code.STEP_FAILED).path == ("report", "evaluate")


def test_a_step_with_several_outputs_is_found_once(world: World) -> None:
    data, more = world.steps("train", [], {"a": b"a", "b": b"b"}, states={"parameters": {"rate": 1}})
    made = world.step("use", [data.used(), more.used()], {"model": b"m"})
    assert only(world.verify(made, rule("max: 0")), Code.PARAMETER_NOT_ALLOWED).found == "1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs equals, min, max or oneOf"),
        ("equals: 9007199254740992", "write it in quotes"),
        ("oneOf: [1, 9007199254740993]", "write it in quotes"),
        ("equals: [1]", "equals"),
        ("equals: .inf", "equals"),
        ("min: x", "min"),
        ("most: 1", "unknown field"),
    ],
)
def test_a_rule_that_is_none(text: str, words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        policy(f"{{parameters: [{{step: train, name: rate, {text}}}]}}")
