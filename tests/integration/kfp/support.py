"""Runs pipelines with kfp's own local runner and reads back what their steps signed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atlas.home import Home, create_home
from atlas.manifest import Manifest, parse_manifest
from atlas.statement import Input, Output, Statement, Step, Unmeasured, parse_statement
from atlas_components.local import LocalRun, run_locally


def step_of(statement: Statement) -> Step:
    assert isinstance(statement.maker, Step)
    return statement.maker


@dataclass
class Trace:
    """A run and all that it signed."""

    run: LocalRun
    deposits: list[Path]
    statements: dict[str, Statement] = field(default_factory=dict)
    manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file in self.run.output.rglob("atlas_provenance/statement.json") if self.run.output else ():
            statement = parse_statement(file.read_bytes())
            task = step_of(statement).task
            assert task not in self.statements
            self.statements[task] = statement
            for sidecar in file.parent.glob("*.c2pa"):
                manifest = parse_manifest(sidecar.read_bytes())
                assert manifest.statement == statement
                self.manifests[task, manifest.output.name if manifest.output else ""] = manifest

    def input(self, task: str, name: str, position: int = 0) -> Input:
        return next(e for e in self.statements[task].inputs if (e.name, e.position) == (name, position))

    def output(self, task: str, name: str) -> Output:
        return next(e for e in self.statements[task].outputs if e.name == name)

    def unmeasured(self, task: str, name: str) -> Unmeasured:
        return next(e for e in self.statements[task].unmeasured if e.name == name)

    def assert_link(self, task: str, name: str, parent: tuple[str, str], position: int = 0) -> None:
        """The input's link leads to just this parent, and the bytes are those that it signed."""
        used, made = self.input(task, name, position), self.manifests[parent]
        assert used.link is not None
        assert (used.link.label, used.link.box_sha256) == (made.label, made.box_sha256)
        assert used.sha256 == used.link.asset_sha256 == made.asset_sha256


class Laboratory:
    """A home and a folder for outputs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "out"
        self.home: Home = create_home(folder / ".atlas")

    def run(self, pipeline: Any, *, cache: bool = False, **arguments: Any) -> Trace:
        before = set(self.home.inbox.iterdir())
        run = run_locally(pipeline, arguments, self.home, root=self.root, cache=cache)
        return Trace(run, sorted(set(self.home.inbox.iterdir()) - before))

    def run_well(self, pipeline: Any, *, cache: bool = False, **arguments: Any) -> Trace:
        trace = self.run(pipeline, cache=cache, **arguments)
        assert trace.run.ok, (trace.run.error, trace.run.tail)
        return trace
