"""Steps that ask for evidence: it is bound to them; one that fails stops them, and none stands in for another."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.codes import Code
from atlas.errors import EvidenceError
from atlas.evidence.attest import PROBE
from atlas.evidence.document import parse_evidence
from atlas.evidence.providers import Attestation
from atlas.evidence.providers.simulated import UnsafeSimulatedProvider
from atlas.gather import gather, open_archive
from atlas.home import Home
from atlas.manifest import parse_manifest
from atlas.policy.schema import parse_policy
from atlas.provider import choose, load_simulator
from atlas.simulated import make_simulator
from atlas.trust_file import load_trust_root
from atlas.verdict import Verdict
from atlas.verifier import Verifier
from atlas_components import notary
from atlas_components.ir import instrument_spec
from unit.components.support import StepRunner

POLICY = parse_policy(
    b"""
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata: {name: evidence}
spec: {evidence: {required: true, roots: [simulated], allowSimulated: true}}
"""
)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def write_model(runner: StepRunner) -> tuple[dict[str, Any], tuple[str, ...]]:
    """An executor input with one output, and the command that makes it."""
    told = runner.executor_input(outputs=runner.output("model"))
    return told, ("sh", "-c", f"printf weights > {runner.task / 'model'}; echo ran")


def verdict(home: Home, sha256: str) -> Verdict:
    gather(home)
    with open_archive(home) as archive:
        verifier = Verifier(archive, load_trust_root(home.trust_path), lambda: archive.revision)
        return verifier.verify(sha256, POLICY, now())


@pytest.fixture
def simulated(home: Home) -> Home:
    assert make_simulator(home, now())
    return home


@pytest.mark.parametrize("how", ["flag", "environment", "both"])
def test_a_step_with_evidence(runner: StepRunner, simulated: Home, how: str) -> None:
    told, command = write_model(runner)
    flags = ("--evidence", "simulated") if how != "environment" else ()
    environment: dict[str, Any] = {"ATLAS_EVIDENCE": "simulated"} if how != "flag" else {}
    code, out, err = runner.run(runner.argv(told, *command, flags=flags), **environment)
    assert (code, out) == (0, "ran\n"), err
    manifest = parse_manifest((runner.provenance / "model.c2pa").read_bytes())
    assert manifest.statement.evidence == "simulated"
    evidence = parse_evidence(manifest.evidence)
    assert evidence.bound.context.task == "task"
    assert evidence.attestation.event_log
    found = verdict(simulated, manifest.asset_sha256)
    assert found.holds, found.findings


def test_a_provider_that_fails_stops_the_step(runner: StepRunner) -> None:
    """Before its command: better than after hours of training."""
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command, flags=("--evidence", "tdx")))
    assert (code, out) == (2, "")
    assert "no quote can be asked for here" in err
    assert "mend: " in err
    assert not runner.deposits()


@pytest.mark.parametrize(
    ("provider", "words"), [("simulated", "no simulated platform"), ("coco", "8006"), ("tdx", "tsm/report")]
)
def test_no_provider_stands_in_for_another(runner: StepRunner, provider: str, words: str) -> None:
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command), ATLAS_EVIDENCE=provider)
    assert (code, out) == (2, "")
    assert words in err


def test_a_step_that_may_go_on_is_recorded_as_unattested(runner: StepRunner, home: Home) -> None:
    told, command = write_model(runner)
    argv = runner.argv(told, *command, flags=("--evidence", "tdx"))
    code, out, err = runner.run(argv, ATLAS_UNATTESTED="allowed")
    assert (code, out) == (0, "ran\n"), err
    manifest = parse_manifest((runner.provenance / "model.c2pa").read_bytes())
    assert (manifest.statement.evidence, manifest.evidence) == ("failed:tdx", "")
    assert runner.statement() == manifest.statement
    [finding] = verdict(home, manifest.asset_sha256).findings
    assert (finding.code, finding.found) == (Code.EVIDENCE_REQUIRED, "tdx was asked and gave none")


@pytest.mark.parametrize("word", ["", "yes", "1", "ALLOWED"])
def test_going_on_must_be_allowed_in_so_many_words(runner: StepRunner, word: str) -> None:
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command, flags=("--evidence", "tdx")), ATLAS_UNATTESTED=word)
    assert (code, out) == (2, "")
    assert not word or "ATLAS_UNATTESTED is" in err


@pytest.mark.parametrize("lie", ["none", "simulated", "coco"])
def test_a_downgrade_by_an_environment_variable(runner: StepRunner, simulated: Home, lie: str) -> None:
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command, flags=("--evidence", "tdx")), ATLAS_EVIDENCE=lie)
    assert (code, out) == (2, "")
    assert f"the pipeline orders evidence of 'tdx', and ATLAS_EVIDENCE says {lie!r}" in err


class Failing(UnsafeSimulatedProvider):
    """Works until the command has run."""

    def attest(self, report_data: bytes) -> Attestation:
        if report_data != PROBE:
            raise EvidenceError("the host is gone", mend="find it")
        return super().attest(report_data)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_provider_that_fails_while_the_command_runs(
    runner: StepRunner, simulated: Home, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    import json

    monkeypatch.setattr("atlas.provider.choose", lambda _, home: Failing(load_simulator(home)))
    told, _ = write_model(runner)
    order = notary.Order(json.dumps(told), "comp", "img", "a" * 64, "simulated", allowed)
    begun = notary.begin(order, {}, simulated)
    (runner.task / "model").write_bytes(b"weights")
    if not allowed:
        with pytest.raises(EvidenceError, match="the host is gone"):
            notary.end(begun, 0, simulated, simulated.issuer())
        assert not runner.deposits()
        return
    [sidecar] = notary.end(begun, 0, simulated, simulated.issuer())
    assert sidecar.manifest.statement.evidence == "failed:simulated"
    assert sidecar.manifest.evidence == ""


def test_evidence_of_each_attempt_is_its_own(runner: StepRunner, simulated: Home) -> None:
    told, command = write_model(runner)
    texts = []
    for attempt in ("0", "1"):
        code, _, err = runner.run(
            runner.argv(told, *command, flags=("--evidence", "simulated")), KFP_RETRY_INDEX=attempt
        )
        assert code == 0, err
        texts.append(parse_manifest((runner.provenance / "model.c2pa").read_bytes()).evidence)
    first, second = (parse_evidence(text) for text in texts)
    assert (first.bound.context.attempt, second.bound.context.attempt) == (0, 1)
    assert first.attestation.quote != second.attestation.quote


# ------------------------------------------------------------------------------------------------ the home's simulator


def test_the_simulators_root_is_pinned_for_what_it_is(simulated: Home) -> None:
    trust = load_trust_root(simulated.trust_path)
    assert [(each.name, each.simulated) for each in trust.evidence_roots] == [("intel", False), ("simulated", True)]
    assert not make_simulator(simulated, now()), "once is enough"
    assert load_trust_root(simulated.trust_path).sha256 == trust.sha256
    assert (simulated.path / "simulator.json").stat().st_mode & 0o077 == 0


def test_a_home_has_no_simulator_unless_asked(home: Home) -> None:
    assert [each.name for each in load_trust_root(home.trust_path).evidence_roots] == ["intel"]
    with pytest.raises(EvidenceError, match="no simulated platform"):
        choose("simulated", home)


def test_collateral_of_the_simulator_is_made_when_it_is_needed(simulated: Home, runner: StepRunner) -> None:
    told, command = write_model(runner)
    runner.run(runner.argv(told, *command, flags=("--evidence", "simulated")))
    gather(simulated)
    gather(simulated)
    platform = load_simulator(simulated).collateral(now()).platform
    with open_archive(simulated) as archive:
        assert len(archive.collateral(*platform)) == 1
        assert archive.collateral("00" * 6, "platform") == []
        assert [each.asset_sha256 for each in archive.attested(["simulated"])]
        assert archive.attested(["tdx", "coco"]) == []


# ------------------------------------------------------------------------------------------------ what is ordered

SPEC: dict[str, Any] = {
    "root": {},
    "components": {"comp-a": {"executorLabel": "exec-a"}},
    "deploymentSpec": {"executors": {"exec-a": {"container": {"image": "i", "command": ["sh"], "args": []}}}},
}


def _command(spec: dict[str, Any]) -> list[str]:
    command: list[str] = spec["deploymentSpec"]["executors"]["exec-a"]["container"]["command"]
    return command


def test_what_is_ordered_once_stays_ordered() -> None:
    ordered = instrument_spec(SPEC, evidence="coco")
    command = _command(ordered)
    assert command[command.index("--evidence") + 1] == "coco"
    assert instrument_spec(ordered) == ordered, "instrumenting again takes nothing away"
    assert instrument_spec(ordered, evidence="coco") == ordered
    other = _command(instrument_spec(ordered, evidence="tdx"))
    assert other.count("--evidence") == 1
    assert other[other.index("--evidence") + 1] == "tdx"
    assert "--evidence" not in _command(instrument_spec(SPEC))


def test_an_order_is_found_wherever_it_stands() -> None:
    ordered = instrument_spec(SPEC, evidence="coco")
    command = _command(ordered)
    place = command.index("--evidence")
    moved = [*command[:place], *command[place + 2 : command.index("--")], "--evidence", "coco", "--", "sh"]
    ordered["deploymentSpec"]["executors"]["exec-a"]["container"]["command"] = moved
    assert _command(instrument_spec(ordered)) == command


def test_an_order_is_not_part_of_the_code() -> None:
    plain, ordered = _command(instrument_spec(SPEC)), _command(instrument_spec(SPEC, evidence="tdx"))
    assert plain[plain.index("--code") + 1] == ordered[ordered.index("--code") + 1]


def test_order_is_what_it_says(tmp_path: Path) -> None:
    from atlas_components.desk import parse

    argv = ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "a" * 64, "--", "true"]
    assert parse(argv, {}) == notary.Order("{}", "c", "i", "a" * 64)
    assert parse(argv, {"ATLAS_EVIDENCE": "coco", "ATLAS_UNATTESTED": "allowed"}) == replace(
        parse(argv, {}), evidence="coco", unattested=True
    )
