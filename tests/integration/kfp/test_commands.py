"""`atlas kfp` and `atlas run`, as they are typed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from kfp import compiler

from atlas.errors import DocumentError, InputError, StateError
from atlas_components import loading, local
from atlas_components.commands import kfp, run
from integration.kfp import pipelines as p
from integration.kfp.support import Laboratory

PIPELINE = """
from kfp import dsl
from kfp.dsl import Dataset, Model, Input, Output

@dsl.component(base_image="python:3.11", install_kfp_package=False)
def fit(rows: int, model: Output[Model]):
    print("fitting", rows)
    if rows < 0:
        raise SystemExit(4)
    with open(model.path, "w") as file:
        file.write("w" * rows)

@dsl.pipeline(name="tiny")
def tiny(rows: int = 3):
    fit(rows=rows)

other = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny_pipeline.py").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATLAS_HOME", raising=False)
    return tmp_path


def invoke(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_run_makes_a_home_and_says_what_to_do_next(folder: Path) -> None:
    result = invoke(run, "tiny_pipeline.py:tiny", "--arg", "rows=4")
    assert result.exit_code == 0, result.output
    assert (folder / ".atlas" / "archive.sqlite3").exists()
    assert "made a home" in result.stderr
    assert "fitting 4" in result.stderr
    assert "1 manifest gathered" in result.stdout
    (last,) = [line for line in result.stdout.splitlines() if line.startswith("Next: atlas verify ")]
    assert Path(last.removeprefix("Next: atlas verify ")).read_text() == "wwww"


def test_run_as_json_and_a_pipeline_that_fails(folder: Path) -> None:
    result = invoke(run, "tiny_pipeline.py:tiny", "--arg", "rows=-1", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert not report["ok"]
    assert "fit" in report["error"]
    assert [(each["task"], each["exit_code"]) for each in report["steps"]] == [("fit", 4)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny_pipeline.py:tiny", "--arg", "rows=x"], "not of type Integer"),
        (["tiny_pipeline.py:tiny", "--arg", "rows=1.5"], "not of type Integer"),
        (["tiny_pipeline.py:tiny", "--arg", "rows=true"], "not of type Integer"),
        (["tiny_pipeline.py:tiny", "--arg", "row=1"], "it has: rows"),
        (["tiny_pipeline.py:tiny", "--arg", "rows"], "write --arg name=value"),
        (["tiny_pipeline.py:other"], "name one of: fit, tiny"),
        (["tiny_pipeline.py:none"], "name one of: fit, tiny"),
        (["tiny_pipeline.py"], "write it as pipeline.py:function"),
        (["absent.py:tiny"], "no such file"),
        (["broken.py:tiny"], "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_run_is_said(folder: Path, arguments: list[str], words: str) -> None:
    (folder / "broken.py").write_text("1 / 0")
    result = invoke(run, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (folder / "local_outputs").exists()


def test_instrument_and_lint(folder: Path) -> None:
    compiler.Compiler().compile(p.twice, "p.yaml")
    result = invoke(kfp, "instrument", "p.yaml", "-o", "new.yaml", "--json")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)["code"]) == {"exec-make", "exec-make-2", "exec-use", "exec-use-2"}
    text = (folder / "new.yaml").read_text()
    assert text.startswith("# PIPELINE DEFINITION\n# Name: twice\n")
    assert invoke(kfp, "instrument", "new.yaml", "-o", "again.yaml").exit_code == 0
    assert (folder / "again.yaml").read_text() == text

    before = invoke(kfp, "lint", "p.yaml", "--json")
    assert before.exit_code == 1
    assert {each["code"] for each in json.loads(before.stdout)} == {"NotInstrumented", "ImageMutable"}
    after = invoke(kfp, "lint", "new.yaml")
    assert after.exit_code == 1
    assert "ImageMutable  make" in after.stdout
    assert "NotInstrumented" not in after.stdout
    (folder / "pinned.yaml").write_text(text.replace("python:3.11", "python@sha256:" + "0" * 64))
    assert invoke(kfp, "instrument", "pinned.yaml", "-o", "sound.yaml").exit_code == 0
    assert invoke(kfp, "lint", "sound.yaml").exit_code == 0


@pytest.mark.parametrize("text", ["a: [", "a: 1", "", "[1]", "\udcff", "&a [*a, *a]"])
def test_files_that_are_no_pipeline(folder: Path, text: str) -> None:
    (folder / "x.yaml").write_text(text, errors="surrogateescape")
    for arguments in (["instrument", "x.yaml", "-o", "o.yaml"], ["lint", "x.yaml"], ["lint", "absent.yaml"]):
        result = invoke(kfp, *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("atlas: ")
    assert not (folder / "o.yaml").exists()


def test_without_the_program_nothing_runs(lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StateError, match="no such program"):
        lab.run(p.twice)


def test_running_leaves_kfp_and_the_process_as_they_were(lab: Laboratory, capsys: pytest.CaptureFixture[str]) -> None:
    import builtins
    import logging
    import os

    before = builtins.print, logging.getLogger().handlers[:], dict(os.environ), sys.stdout
    lines: list[str] = []
    local.run_locally(p.twice, {}, lab.home, root=lab.root, on_line=lines.append)
    assert (builtins.print, logging.getLogger().handlers[:], dict(os.environ), sys.stdout) == before
    assert capsys.readouterr().out == ""
    assert not [each for each in lines if "KFP Executor" in each]


def test_what_kfp_leaves_changed_is_undone() -> None:
    """Two steps at once leave kfp's own `print` and log handler behind."""
    import builtins
    import logging

    root = logging.getLogger()
    before = builtins.print, root.level, root.handlers[:]
    with local._quiet_kfp(local._Lines(None)):
        builtins.print = lambda *_, **__: None
        root.setLevel(1)
        root.handlers.clear()
    assert (builtins.print, root.level, root.handlers[:]) == before


def test_values_are_read_as_their_types() -> None:
    assert loading.parse_arguments(p.chain, ["rows=4"]) == {"rows": 4}
    assert loading.parse_arguments(p.fails, ["marker=4"]) == {"marker": "4"}
    with pytest.raises(InputError):
        loading.parse_arguments(p.chain, ["rows=[1]"])
    with pytest.raises(DocumentError):
        loading.load_pipeline("x")
