import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from atlas.manifest import parse_manifest
from atlas.statement import Step
from atlas_components import step
from atlas_components.child import FORWARDED
from unit.components.support import RUN, StepRunner

WRITE = 'echo hi > "$0"'


def test_streams_and_exit_code_are_the_commands(runner: StepRunner) -> None:
    code, out, err = runner.run(runner.argv(runner.executor_input(), "sh", "-c", "echo out; echo err >&2; exit 42"))
    assert (code, out, err) == (42, "out\n", "err\n")
    assert isinstance(runner.statement().maker, Step)
    assert vars(runner.statement().maker) == {
        "pipeline": "pipe", "run": RUN, "task": "task", "component": "comp", "attempt": 0, "image": "img",
        "code_sha256": "a" * 64, "exit_code": 42,
    }  # fmt: skip
    assert len(runner.deposits()) == 1
    assert not runner.output_file.exists()


def test_an_output_is_signed_and_the_next_step_told(runner: StepRunner) -> None:
    told = runner.executor_input(outputs=runner.output("data", type={"schemaTitle": "system.Dataset"}))
    assert runner.run(runner.argv(told, "sh", "-c", WRITE, str(runner.task / "data")), ATLAS_RUN_ID="r")[0] == 0
    manifest = parse_manifest((runner.provenance / "data.c2pa").read_bytes())
    assert manifest.output is not None
    assert manifest.output.schema == "system.Dataset"
    assert isinstance(manifest.statement.maker, Step)
    assert manifest.statement.maker.run == "r"
    (entry,) = json.loads(runner.output_file.read_text())["artifacts"]["data"]["artifacts"]
    assert entry["metadata"] == {
        "atlas_sha256": manifest.asset_sha256,
        "atlas_manifest_sha256": manifest.box_sha256,
        "atlas_manifest_label": manifest.label,
    }


def test_hints_replace_those_that_the_command_copied_from_an_input(runner: StepRunner) -> None:
    told = runner.executor_input(outputs={**runner.output("full"), **runner.output("empty")})
    copied = {"atlas_sha256": "x", "atlas_manifest_label": "y", "atlas_expected_sha256": "z", "mine": 1}
    entries = {
        name: {"artifacts": [{"name": name, "uri": str(runner.task / name), "metadata": copied, "more": 2}]}
        for name in ("full", "empty")
    }
    stated = json.dumps({"artifacts": entries, "parameterValues": {"n": 5}})
    command = ["sh", "-c", 'cd "$0"; echo x > full; : > empty; echo "$1" > executor_output.json', str(runner.task)]
    assert runner.run(runner.argv(told, *command, stated))[0] == 0
    after = json.loads(runner.output_file.read_text())
    assert after["parameterValues"] == {"n": 5}
    (full,), (empty,) = (after["artifacts"][name]["artifacts"] for name in ("full", "empty"))
    assert (full["more"], full["metadata"]["mine"], len(full["metadata"])) == (2, 1, 4)
    assert (
        full["metadata"]["atlas_sha256"] == parse_manifest((runner.provenance / "full.c2pa").read_bytes()).asset_sha256
    )
    assert empty["metadata"] == {"mine": 1}


def test_a_failed_step_tells_nobody_of_its_outputs(runner: StepRunner) -> None:
    told = runner.executor_input(outputs=runner.output("data"))
    assert runner.run(runner.argv(told, "sh", "-c", f"{WRITE}; exit 3", str(runner.task / "data")))[0] == 3
    assert [each.name for each in runner.statement().outputs] == ["data"]
    assert not runner.output_file.exists()


def test_the_command_gets_the_systems_own_signals(runner: StepRunner) -> None:
    _, out, _ = runner.run(runner.argv(runner.executor_input(), "grep", "SigIgn", "/proc/self/status"))
    ignored = int(out.split()[1], 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        assert not ignored >> (number - 1) & 1, number


def test_what_is_ignored_stays_ignored(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "grep", "SigIgn", "/proc/self/status")
    _, out, _ = runner.run(argv, nohup=True)
    ignored = int(out.split()[1], 16)
    assert [n for n in FORWARDED if ignored >> (n - 1) & 1] == [signal.SIGHUP]


def test_an_output_whose_name_is_no_text_is_unmeasured(runner: StepRunner) -> None:
    told = runner.executor_input(outputs=runner.output("tree"))
    command = ["sh", "-c", 'mkdir "$0"; mkfifo "$0/$(printf \'a\\377\')"', str(runner.task / "tree")]
    assert runner.run(runner.argv(told, *command))[0] == 0
    (unmeasured,) = runner.statement().unmeasured
    assert "neither a file nor a directory" in unmeasured.reason
    assert "\\udcff" in unmeasured.reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(runner: StepRunner, number: signal.Signals) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(int(sys.argv[1]), lambda *_: sys.exit(7))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)"
    )
    process = runner.start(runner.argv(runner.executor_input(), sys.executable, "-c", script, str(int(number))))
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    assert process.wait(timeout=30) == 7
    maker = runner.statement().maker
    assert isinstance(maker, Step)
    assert maker.exit_code == 7
    process.communicate()


def test_a_command_that_a_signal_ends(runner: StepRunner) -> None:
    assert runner.run(runner.argv(runner.executor_input(), "sh", "-c", "kill -KILL $$"))[0] == 128 + 9
    maker = runner.statement().maker
    assert isinstance(maker, Step)
    assert maker.exit_code == 137


def test_a_command_that_does_not_exist(runner: StepRunner) -> None:
    code, _, err = runner.run(runner.argv(runner.executor_input(), "no-such-command"))
    assert code == 127
    assert "atlas-run: no-such-command: cannot be run" in err
    assert len(runner.deposits()) == 1


def test_an_interruption_before_the_command_is_no_traceback(
    runner: StepRunner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("atlas_components.notary.begin", interrupted)
    monkeypatch.setenv("ATLAS_HOME", str(runner.home.path))
    assert step.main(runner.argv(runner.executor_input(), "true")) == 130
    assert "interrupted" in capsys.readouterr().err


def assert_refused(runner: StepRunner, argv: list[str], *words: str, **environment: str) -> None:
    """Refused before the command starts, with words and a way to mend it."""
    code, out, err = runner.run(argv, nohup=False, **environment)
    assert (code, out) == (2, ""), err
    assert err.startswith("atlas-run: ")
    for word in words:
        assert word in err
    assert not runner.provenance.exists()


def test_no_home(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "echo", "ran")
    assert_refused(runner, argv, "there is no such home", "mend: make one with `atlas init", ATLAS_HOME="/nonexistent")


def test_a_key_that_others_may_read(runner: StepRunner) -> None:
    (runner.home.path / "ca.key").chmod(0o644)
    assert_refused(runner, runner.argv(runner.executor_input(), "echo", "ran"), "others may read", "mend: chmod 600")


def test_no_key(runner: StepRunner) -> None:
    (runner.home.path / "ca.key").unlink()
    assert_refused(runner, runner.argv(runner.executor_input(), "echo", "ran"), "ca.key", "mend: restore it")


def test_an_inbox_that_cannot_be_written(runner: StepRunner) -> None:
    runner.home.inbox.rmdir()
    runner.home.inbox.touch(mode=0o400)
    assert_refused(runner, runner.argv(runner.executor_input(), "echo", "ran"), "inbox", "mend: ")


def test_an_inbox_that_is_lost_meanwhile_fails_the_step(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "rm", "-r", str(runner.home.inbox))
    code, _, err = runner.run(argv)
    assert code == 2
    assert "inbox: cannot be written" in err
    assert "mend: " in err


def test_the_commands_own_failure_comes_first(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "sh", "-c", 'rm -r "$0"; exit 9', str(runner.home.inbox))
    code, _, err = runner.run(argv)
    assert code == 9
    assert "inbox: cannot be written" in err


def test_a_damaged_key_fails_the_step(runner: StepRunner) -> None:
    key = runner.home.path / "ca.key"
    key.write_text("not a key")
    code, _, err = runner.run(runner.argv(runner.executor_input(), "true"))
    assert code == 2
    assert "cannot be read as a key" in err
    assert not runner.deposits()


@pytest.mark.parametrize("raw", ["{", "[]", "{{$}}", '{"inputs": 3}', "{}", '{"a": NaN}', '"\\ud800"'])
def test_a_corrupt_executor_input(runner: StepRunner, raw: str) -> None:
    assert_refused(runner, runner.argv(raw, "echo", "ran"))


def test_a_corrupt_executor_output_fails_the_step(runner: StepRunner) -> None:
    command = ["sh", "-c", 'echo "{" > "$0"', str(runner.output_file)]
    code, _, err = runner.run(runner.argv(runner.executor_input(), *command))
    assert code == 2
    assert "executor_output.json is not JSON" in err
    failing = ["sh", "-c", 'echo "{" > "$0"; exit 5', str(runner.output_file)]
    assert runner.run(runner.argv(runner.executor_input(), *failing))[0] == 5
    assert runner.statement().maker.exit_code == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--help"],
        ["--executor-input", "{}", "--", "true"],
        ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "a" * 64],
        ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "a" * 64, "--"],
        ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "A" * 64, "--", "true"],
        ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "a" * 64, "--x", "1", "--", "true"],
    ],
)
def test_other_arguments_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert step.main(argv) == 2
    assert "mend: " in capsys.readouterr().err


def test_evidence_is_never_replaced_by_none(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "echo", "ran", flags=("--evidence", "sev"))
    assert_refused(runner, argv, "no evidence provider 'sev'")
    assert_refused(runner, runner.argv(runner.executor_input(), "echo", "ran"), "'snp'", ATLAS_EVIDENCE="snp")
    argv = runner.argv(runner.executor_input(), "echo", "ran", flags=("--evidence", "none"))
    assert_refused(runner, argv, "ATLAS_EVIDENCE says 'coco'", ATLAS_EVIDENCE="coco")
    assert runner.run(argv)[0] == 0


def test_an_output_never_leads_out_of_the_provenance_folder(runner: StepRunner) -> None:
    for name in ("../x", "a/b", ".", "..", "", ".hidden", "a\nb", "x" * 201):
        told = runner.executor_input(outputs={name: {"artifacts": [{"uri": str(runner.task / "x")}]}})
        assert_refused(runner, runner.argv(told, "echo", "ran"))


def test_names_that_clash_are_refused(runner: StepRunner) -> None:
    told = runner.executor_input(outputs=runner.output("statement", metadata={"a": 1}))
    code, _, err = runner.run(runner.argv(told, "true"))
    assert code == 2
    assert "statement.json" in err


def test_whatever_the_command_leaves_at_the_provenances_place_is_replaced(runner: StepRunner, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for command in ('ln -s "$1" "$0"', 'echo x > "$0"', 'mkdir "$0"; echo x > "$0/stale.c2pa"'):
        shutil.rmtree(runner.provenance, ignore_errors=True)
        argv = runner.argv(runner.executor_input(), "sh", "-c", command, str(runner.provenance), str(other))
        assert runner.run(argv)[0] == 0
        assert {each.name for each in runner.provenance.iterdir()} == {"statement.c2pa", "statement.json"}
        assert not runner.provenance.is_symlink()
    assert not list(other.iterdir())
    assert [each.name for each in runner.task.iterdir()] == ["atlas_provenance"]


def test_attempts_are_counted(runner: StepRunner) -> None:
    argv = runner.argv(runner.executor_input(), "true")
    for expected in (0, 1, 2):
        assert runner.run(argv)[0] == 0
        assert runner.statement().maker.attempt == expected  # type: ignore[union-attr]
    assert runner.run(argv, KFP_RETRY_INDEX="7")[0] == 0
    assert runner.statement().maker.attempt == 7  # type: ignore[union-attr]
    (runner.provenance / "statement.json").write_text("{}")
    code, _, err = runner.run(argv)
    assert code == 2
    assert "earlier attempt" in err


def test_what_a_step_imports_is_light() -> None:
    heavy = "{'kfp', 'yaml', 'sqlalchemy', 'pydantic', 'rich', 'click', 'c2pa', 'cbor2', 'argparse', 'subprocess'}"
    script = f"import sys, atlas_components.step; print(sorted(set(sys.modules) & {heavy}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    found = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_step_costs_little_time(runner: StepRunner) -> None:
    """Processor time, which other processes do not add to; loading kfp or a database would exceed the bound."""
    argv = runner.argv(runner.executor_input(), "true")
    costs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert runner.run(argv)[0] == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(costs) < 0.8
