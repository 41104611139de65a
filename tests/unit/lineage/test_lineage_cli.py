"""`atlas lineage` in a real home."""

import json
import os
import stat
import threading
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from atlas.artifact import measure
from atlas.cli import run
from atlas.home import create_home
from atlas.publish import publish

POLICY = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: test}\nspec: {maxAge: 1h}\n"


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published data set, in a folder with a home; the current folder."""
    home = create_home(tmp_path / ".atlas")
    path = tmp_path / "corpus.csv"
    path.write_bytes(b"a,b\n1,2\n")
    publish(home, path, "dataset", "ACME")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATLAS_HOME", raising=False)
    return path


@pytest.mark.parametrize(
    ("form", "begin"),
    [("text", "✓ corpus.csv holds"), ("json", "{"), ("dot", "digraph"), ("mermaid", "flowchart LR"), ("svg", "<svg ")],
)
def test_formats(corpus: Path, capsys: pytest.CaptureFixture[str], form: str, begin: str) -> None:
    assert run(["lineage", "corpus.csv", "--format", form]) == 0
    out = capsys.readouterr().out
    assert out.startswith(begin)
    assert out.endswith("\n")
    assert not out.endswith("\n\n")
    if form == "json":
        value = json.loads(out)
        assert value["verdict"]["verdict"] == "holds"
        assert [each["name"] for each in value["steps"]] == ["ACME"]
    if form == "svg":
        assert ET.fromstring(out).attrib["viewBox"]


def test_text_is_the_default_and_a_digest_does(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = measure(corpus).sha256
    assert run(["lineage", f"sha256:{digest}"]) == 0
    whole = capsys.readouterr().out
    assert run(["lineage", f"sha256:{digest[:8]}", "--format", "text"]) == 0
    assert capsys.readouterr().out == whole
    assert "└── ACME  publisher" in whole


def test_what_does_not_hold_is_drawn_and_exits_1(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus.parent / "policy.yaml").write_text(POLICY)
    assert run(["lineage", "corpus.csv", "--policy", "policy.yaml", "--at", "2031-01-01"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("✗ corpus.csv does not hold")
    assert "✗ TooOld" in out
    assert run(["lineage", "corpus.csv", "--policy", "policy.yaml"]) == 0


def test_another_trust_root(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = create_home(corpus.parent / "other")
    assert run(["lineage", "corpus.csv", "--trust", str(other.trust_path)]) == 1
    assert "SignerUntrusted: corpus.csv has no lineage to draw: " in capsys.readouterr().err


def test_into_a_file(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = corpus.parent / "lineage.svg"
    target.write_text("before")
    assert run(["lineage", "corpus.csv", "--format", "svg", "-o", str(target)]) == 0
    assert capsys.readouterr().out == ""
    assert ET.fromstring(target.read_text(encoding="utf-8")).tag.endswith("svg")
    assert [each.name for each in corpus.parent.glob(".lineage*")] == []


def test_dash_is_standard_output(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lineage", "corpus.csv", "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("✓")
    assert not (corpus.parent / "-").exists()


def test_a_pipe_stays_a_pipe(corpus: Path) -> None:
    pipe = corpus.parent / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    assert run(["lineage", "corpus.csv", "-o", str(pipe)]) == 0
    reader.join(10)
    assert read[0].startswith("✓")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_file_that_cannot_be_written(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lineage", "corpus.csv", "-o", "no/such/folder.txt"]) == 2
    assert "no/such/folder.txt: cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_file_is_written_whole_or_not_at_all(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = corpus.parent / "lineage.txt"
    target.write_text("before")

    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert run(["lineage", "corpus.csv", "-o", str(target)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert target.read_text() == "before"
    assert [each.name for each in corpus.parent.glob(".lineage*")] == []


def test_unknown_artifact(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (corpus.parent / "stray.bin").write_bytes(b"stray")
    for target in ("stray.bin", "sha256:" + "0" * 64):
        assert run(["lineage", target, "--format", "svg"]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert f"ArtifactUnknown: {target} has no lineage to draw: No manifest vouches for these bytes." in captured.err
        assert "mend: " in captured.err


def test_changed_artifact(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus.write_bytes(b"poisoned")
    assert run(["lineage", "corpus.csv"]) == 1
    assert "ArtifactChanged: corpus.csv has no lineage to draw" in capsys.readouterr().err


def test_input_that_cannot_be_used(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["no-such-file"],
        ["sha256:xyz"],
        ["corpus.csv", "--at", "soon"],
        ["corpus.csv", "--policy", "none"],
    ):
        assert run(["lineage", *arguments]) == 2
        assert capsys.readouterr().err.startswith("atlas: ")
