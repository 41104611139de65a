"""The value of a secret parameter is in no byte that Atlas writes: a canary goes through real runs."""

import base64
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from atlas.errors import DocumentError
from atlas.gather import gather, open_archive
from atlas.home import DISCLOSURES, create_home
from atlas.log.claim import claim_entry
from atlas.policy import default_policy
from atlas.statement import TYPE_V1, parse_statement
from atlas.trust_file import load_trust_root
from atlas.verifier import Verifier
from atlas_components import instrument
from atlas_components.commands import kfp, run
from atlas_components.fault import describe
from atlas_components.local import run_locally
from integration.kfp.support import Laboratory, Trace
from support.traces import traces
from unit.components.support import StepRunner

CANARY = "canary-5f3a9c07-token"
PIPELINE = """
from kfp import dsl
from kfp.dsl import Dataset, Input, Output

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def login(api_token: str, rate: float, marker: str, data: Output[Dataset]):
    import os, sys
    assert api_token.startswith("canary")
    with open(data.path, "w") as file:
        file.write("rows")
    if not os.path.exists(marker):
        open(marker, "w").close()
        sys.exit(3)

@dsl.pipeline(name="guarded")
def guarded(api_token: str, marker: str, rate: float = 0.5):
    login(api_token=api_token, rate=rate, marker=marker).set_retry(2, backoff_duration="0s")

@dsl.pipeline(name="once")
def once(api_token: str, marker: str, rate: float = 0.5):
    login(api_token=api_token, rate=rate, marker=marker)

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def report(key: str) -> str:
    return "done"

@dsl.pipeline(name="spread")
def spread(api_token: str, marker: str):
    login(api_token=api_token, rate=0.5, marker=marker)
    report(key=api_token)

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count(pin: int) -> int:
    return 1

@dsl.pipeline(name="counted")
def counted(pin: int):
    count(pin=pin)
"""


def pipeline(name: str) -> Any:
    """A new pipeline each time: instrumenting changes it in place."""
    from atlas_components.loading import load_pipeline

    return load_pipeline(f"pipeline.py:{name}")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATLAS_HOME", raising=False)
    return tmp_path


def run_guarded(lab: Laboratory, name: str, marker: Path) -> Trace:
    ready = instrument(pipeline(name), secret=["login.api_token"])
    return lab.run(ready, api_token=CANARY, marker=str(marker))


def test_a_canary_is_found_where_it_is_not_secret(lab: Laboratory, tmp_path: Path) -> None:
    trace = lab.run(pipeline("guarded"), api_token=CANARY, marker=str(tmp_path / "marker"))
    gather(lab.home)
    assert trace.run.ok, trace.run.error
    found = list(traces(CANARY, tmp_path))
    assert any(each.endswith("data.c2pa") for each in found), found
    assert any("archive.sqlite3" in each for each in found), found


def test_a_run_that_is_retried_leaves_no_trace_of_it(
    lab: Laboratory, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = run_guarded(lab, "guarded", tmp_path / "marker")
    assert trace.run.ok, trace.run.error
    statements = [parse_statement((each / "statement.json").read_bytes()) for each in trace.deposits]
    assert len(statements) == 2
    for each in statements:
        assert each.secret == ("api_token",)
        assert set(each.parameters) == {"rate", "marker"}
    assert list(traces(CANARY, tmp_path)) == []
    gather(lab.home)
    assert list(traces(CANARY, tmp_path, "".join(capfd.readouterr()), repr(trace.run))) == []


def test_a_run_that_fails_leaves_no_trace_of_it(
    lab: Laboratory, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trace = run_guarded(lab, "once", tmp_path / "marker")
    assert not trace.run.ok
    assert trace.statements["login"].secret == ("api_token",)
    gather(lab.home)
    assert list(traces(CANARY, tmp_path, "".join(capfd.readouterr()), repr(trace.run))) == []


@pytest.mark.parametrize("value", [CANARY.encode(), {CANARY}, f"{CANARY}\ud800", f"{CANARY}\0", {"token": CANARY}])
def test_a_value_that_kfp_refuses_is_not_repeated(
    lab: Laboratory, tmp_path: Path, value: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    ready = instrument(pipeline("once"), secret=["login.api_token"])
    trace = lab.run(ready, api_token=value, marker=str(tmp_path / "marker"))
    assert not trace.run.ok
    assert list(traces(CANARY, tmp_path, "".join(capfd.readouterr()), repr(trace.run))) == []


def test_the_command_line_leaves_no_trace_of_it(tmp_path: Path) -> None:
    marks = ("--secret", "login.api_token", "--confidential", "login.rate")
    told = ("--arg", f"api_token={CANARY}", "--arg", f"marker={tmp_path / 'marker'}", "--arg", "rate=0.123456789")
    result = CliRunner().invoke(run, ["pipeline.py:guarded", *marks, *told])
    assert result.exit_code == 0, result.output
    assert list(traces(CANARY, tmp_path, result.output)) == []
    # what is only confidential is kept in the archive, for its owner, and nowhere else
    found = {Path(each).name.split("-")[0] for each in traces("0.123456789", tmp_path, result.output)}
    assert found <= {"archive.sqlite3"}


@pytest.mark.parametrize("told", [f"pin={CANARY}", f"pin{CANARY}", f"pin=[{CANARY}]", f'pin="{CANARY}"'])
def test_an_argument_that_is_refused_is_not_repeated(told: str) -> None:
    result = CliRunner().invoke(run, ["pipeline.py:counted", "--secret", "count.pin", "--arg", told])
    assert result.exit_code == 2
    assert "Integer" in result.output or "equals sign" in result.output
    assert list(traces(CANARY, result.output)) == []


def test_a_confidential_parameter_is_deposited_apart(lab: Laboratory, tmp_path: Path) -> None:
    (tmp_path / "marker").touch()
    ready = instrument(pipeline("once"), confidential=["login.rate"])
    trace = lab.run_well(ready, api_token="canary", marker=str(tmp_path / "marker"), rate=0.123456789)
    [deposit] = trace.deposits
    assert len(trace.statements["login"].hidden) == 1
    assert (deposit / DISCLOSURES).stat().st_mode & 0o777 == 0o600
    folder = trace.run.output
    assert folder is not None
    assert list(traces("0.123456789", folder)) == []
    assert not list(folder.rglob(DISCLOSURES))


def test_a_run_under_pseudonyms_logs_no_name_and_verifies(lab: Laboratory, tmp_path: Path) -> None:
    (tmp_path / "marker").touch()
    lab.home.use_pseudonyms()
    trace = lab.run_well(pipeline("once"), api_token="canary", marker=str(tmp_path / "marker"))
    gather(lab.home)
    [manifest] = trace.manifests.values()
    entry = claim_entry(manifest)
    assert entry.certificate
    for name in ("once", "login", "data", "atlas:step", trace.run.run_id):
        assert name.encode() not in entry.certificate
    # the entry is that certificate, a digest and a signature, and nothing else
    assert len(entry.canonical_body()) < len(base64.b64encode(entry.certificate + entry.digest + entry.signature)) + 300
    with open_archive(lab.home) as archive:
        verifier = Verifier(archive, load_trust_root(lab.home.trust_path), lambda: archive.revision)
        verdict = verifier.verify(manifest.asset_sha256, default_policy(), datetime.now(UTC))
    assert verdict.holds, verdict.findings


def test_marks_are_kept_when_instrumenting_again_and_reach_the_next_run(lab: Laboratory, tmp_path: Path) -> None:
    (tmp_path / "marker").touch()
    ready = instrument(pipeline("once"), secret=["login.api_token"])
    result = run_locally(
        instrument(ready, confidential=["login.rate"]),
        {"api_token": CANARY, "marker": str(tmp_path / "marker")},
        lab.home,
        root=lab.root,
    )
    assert result.ok, result.error
    statement = Trace(result, []).statements["login"]
    assert statement.secret == ("api_token",)
    assert len(statement.hidden) == 1


def test_instrumenting_a_file_takes_the_same_marks(tmp_path: Path) -> None:
    from kfp import compiler

    compiler.Compiler().compile(pipeline("once"), "once.yaml")
    marks = ["--secret", "login.api_token", "--confidential", "login.rate"]
    assert CliRunner().invoke(kfp, ["instrument", "once.yaml", "-o", "new.yaml", *marks]).exit_code == 0
    assert CliRunner().invoke(kfp, ["instrument", "new.yaml", "-o", "again.yaml"]).exit_code == 0
    text = Path("new.yaml").read_text()
    assert text == Path("again.yaml").read_text()
    assert "- --secret\n" in text
    assert "- --confidential\n" in text


def test_lint_finds_a_secret_that_another_step_would_record() -> None:
    from kfp import compiler

    compiler.Compiler().compile(pipeline("spread"), "spread.yaml")
    assert "SecretSpread" not in CliRunner().invoke(kfp, ["lint", "spread.yaml"]).output
    marked = ["instrument", "spread.yaml", "-o", "one.yaml", "--secret", "login.api_token"]
    assert CliRunner().invoke(kfp, marked).exit_code == 0
    said = CliRunner().invoke(kfp, ["lint", "one.yaml"]).output
    assert "SecretSpread  report.key: it is given the same value as login.api_token" in said
    again = ["instrument", "one.yaml", "-o", "both.yaml", "--secret", "report.key"]
    assert CliRunner().invoke(kfp, again).exit_code == 0
    assert "SecretSpread" not in CliRunner().invoke(kfp, ["lint", "both.yaml"]).output


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({"secret": ["login.api_tokn"]}, "no such parameter"),
        ({"secret": ["api_token"]}, "no such parameter"),
        ({"secret": ["logon.api_token"]}, "no such parameter"),
        ({"secret": ["login.data"]}, "no such parameter"),
        ({"secret": ["login.rate"], "confidential": ["login.rate"]}, "secret and confidential"),
    ],
)
def test_a_mark_that_misses_is_refused(marks: dict[str, list[str]], words: str) -> None:
    with pytest.raises(DocumentError, match=words):
        instrument(pipeline("once"), **marks)


class TestBroken:
    """What cannot be recorded is told without the value."""

    @pytest.fixture
    def runner(self, tmp_path: Path) -> StepRunner:
        return StepRunner(tmp_path, create_home(tmp_path / ".atlas"))

    def argv(self, runner: StepRunner, told: str, flags: tuple[str, ...] = ("--secret", "api_token")) -> list[str]:
        return runner.argv(told, sys.executable, "-c", "pass", flags=flags)

    @pytest.mark.parametrize("damage", range(9))
    def test_a_broken_executor_input_is_not_repeated(self, runner: StepRunner, tmp_path: Path, damage: int) -> None:
        whole = json.dumps(runner.executor_input(api_token=CANARY))
        told = [
            whole[:-1],
            whole.replace(f'"{CANARY}"', CANARY),
            whole.replace(f'"{CANARY}"', f'"{CANARY}", "api_token": 1'),
            whole.replace('{"api_token": ', "[").replace(f'"{CANARY}"}}', f'"{CANARY}"]'),
            whole.replace(f'"{CANARY}"', f'"{CANARY}\\ud800"'),
            whole.replace("outputFile", CANARY),
            whole.replace(f'"{CANARY}"', f'{{"n": {"9" * 5000}, "t": "{CANARY}"}}'),
            CANARY,
            f'"{CANARY}"',
        ][damage]
        code, out, err = runner.run(self.argv(runner, told))
        assert (code, out) == (2, ""), err
        assert "atlas-run: " in err
        assert list(traces(CANARY, tmp_path, err)) == []

    def test_arguments_that_are_not_understood_are_not_repeated(self, runner: StepRunner, tmp_path: Path) -> None:
        told = json.dumps(runner.executor_input(api_token=CANARY))
        for flags in (("--secrets", "x"), ("--secret",), ("--secret", "api_token,"), (CANARY,)):
            code, _, err = runner.run(self.argv(runner, told, flags))
            assert code == 2
            assert list(traces(CANARY, err)) == []

    def test_an_executor_output_that_is_broken_does_not_tell(self, runner: StepRunner, tmp_path: Path) -> None:
        told = json.dumps(runner.executor_input(api_token=CANARY))
        argv = [*self.argv(runner, told)[:-3], "sh", "-c", 'echo "{" > "$0"', str(runner.output_file)]
        code, _, err = runner.run(argv)
        assert code == 2
        assert "executor_output.json is not JSON" in err
        assert list(traces(CANARY, tmp_path, err)) == []

    def test_a_fault_of_atlas_itself_tells_its_place_and_not_what_it_says(self) -> None:
        try:
            raise LookupError(CANARY)
        except LookupError as error:
            message = describe(error)
        assert "LookupError in test_secrets.py:" in message
        assert list(traces(CANARY, message)) == []

    def test_a_secret_that_is_absent_is_not_said_to_be_there(self, runner: StepRunner) -> None:
        assert runner.run(self.argv(runner, json.dumps(runner.executor_input(epochs=3))))[0] == 0
        assert runner.statement().secret == ()
        assert json.loads((runner.provenance / "statement.json").read_bytes())["type"] == TYPE_V1

    @pytest.mark.parametrize("parameters", [{"_sd": 1}, {"config": {"deep": [{"_sd": []}]}}, {"...": 1}])
    def test_reserved_names_are_refused_before_the_command_runs(
        self, runner: StepRunner, parameters: dict[str, Any]
    ) -> None:
        told = json.dumps(runner.executor_input(api_token=CANARY, **parameters))
        code, _, err = runner.run(self.argv(runner, told))
        assert code == 2
        assert "mend: rename it" in err
        assert not runner.deposits()
        # nothing is kept back: what is recorded is a version 1, in which these are names as others are
        assert runner.run(self.argv(runner, json.dumps(runner.executor_input(**parameters)), ()))[0] == 0
        assert runner.statement().parameters == parameters
