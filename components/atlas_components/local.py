"""Running a pipeline on this machine, each step as a process, with provenance of every step.

Uses kfp's own local runner. That has one configuration for the whole process, so run one pipeline at a time.
"""

import builtins
import contextlib
import importlib.util
import io
import logging
import os
import re
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import local
from kfp.local import config

from atlas.errors import StateError
from atlas.home import VARIABLE, Home
from atlas_components.instrumentation import instrument
from atlas_components.ir import container_executors
from atlas_components.loading import words
from atlas_components.place import RUN
from atlas_components.privacy import Privacy
from atlas_components.server import serve
from atlas_components.step import NOTARY

RUNNER = "atlas-run"
TAIL = 20
"""Lines of output that are kept to explain a failure."""

_KFP_LOG = re.compile(r"\d\d:\d\d:\d\d\.\d{3} - (INFO|ERROR|WARNING) - |-{20,}$")
_EXECUTOR_LOG = re.compile(r"\[KFP Executor [^\]]* INFO\]: ")
_PROMPT = "    "  # kfp puts this before each line of a step


@dataclass(frozen=True)
class LocalRun:
    """What became of a run."""

    run_id: str
    output: Path | None
    """Folder of the steps' outputs; None if no step ran, because all were cached."""
    error: str
    """Why the run failed; empty if it did not."""
    tail: tuple[str, ...]
    """The last lines that its steps wrote."""

    @property
    def ok(self) -> bool:
        """Whether every step succeeded."""
        return not self.error


def run_locally(
    pipeline: Any,
    arguments: Mapping[str, Any],
    home: Home,
    *,
    root: Path,
    cache: bool = False,
    evidence: str = "",
    secret: Sequence[str] = (),
    confidential: Sequence[str] = (),
    on_line: Callable[[str], None] | None = None,
) -> LocalRun:
    """Instrument a pipeline and run it.

    Args:
        pipeline: what `instrument` takes.
        arguments: the pipeline's parameters by name.
        home: where its steps sign.
        root: folder below which kfp makes one for the run.
        cache: whether steps that ran before with the same inputs need not run again.
        evidence: the provider that each step must ask for evidence; empty: as the pipeline orders, or none.
        secret: as `instrument` takes it.
        confidential: as `instrument` takes it.
        on_line: called with each line that a step writes.

    Raises:
        StateError: if `atlas-run` is not installed beside this interpreter.
        DocumentError: if the pipeline cannot be instrumented.
    """
    script = Path(sys.executable).parent / RUNNER
    if not os.access(script, os.X_OK):
        raise StateError(
            f"{script}: there is no such program",
            mend="install Atlas where this Python is: pip install atlas-provenance",
        )
    root = root.resolve()
    ready = instrument(pipeline, evidence=evidence, secret=secret, confidential=confidential)
    _check_pip(ready)
    run_id = str(uuid.uuid4())
    lines = _Lines(on_line)
    name = ready.pipeline_spec.pipeline_info.name
    before = _run_folders(root, name)
    environment = {
        "PATH": os.pathsep.join([str(script.parent), os.environ.get("PATH", os.defpath)]),
        VARIABLE: str(home.path.resolve()),
        RUN: run_id,
    }
    error = ""
    with serve(home) as socket, _environment({**environment, NOTARY: str(socket)}), _quiet_kfp(lines):
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root),
            raise_on_error=True,
            enable_caching=cache,
        )
        try:
            ready(**arguments)
        except Exception as failure:  # kfp raises RuntimeError for a failed step and anything for what it cannot do
            # kfp says of an argument that it cannot use what its value is
            tells = type(failure) is not RuntimeError and _keeps_back(ready)
            error = f"{type(failure).__name__} (not told: parameters are kept back)" if tells else words(failure)
    made = sorted(_run_folders(root, name) - before)
    return LocalRun(run_id, made[0] if made else None, error, tuple(lines.tail))


def _keeps_back(pipeline: Any) -> bool:
    executors = container_executors(json_format.MessageToDict(pipeline.pipeline_spec))
    return any(each.declared_privacy != Privacy() for each in executors)


def _check_pip(pipeline: Any) -> None:
    if importlib.util.find_spec("pip") is None and "-m pip install" in str(pipeline.pipeline_spec.deployment_spec):
        raise StateError(
            "the pipeline's components install packages with pip, which this Python does not have",
            mend="install pip, or write @dsl.component(install_kfp_package=False)",
        )


def _run_folders(root: Path, name: str) -> set[Path]:
    pattern = re.compile(re.escape(name) + r"-\d{4}(-\d\d){5}-\d{6}")
    return {each for each in root.glob(f"{name}-*") if pattern.fullmatch(each.name)}


class _Lines(io.TextIOBase):
    """Takes what kfp prints, and passes on what the steps wrote."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._stdout = sys.stdout
        self._skipping = False
        self._rest = ""
        self.tail: list[str] = []

    def write(self, text: str) -> int:
        if _KFP_LOG.match(text):
            return len(text)  # a log record comes in one piece, of one or several lines
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)
        return len(text)

    def _take(self, line: str) -> None:
        if not line.startswith(_PROMPT) or not line.strip():
            return
        own = line.removeprefix(_PROMPT)
        if self._skipping or _EXECUTOR_LOG.match(own):
            # "Got executor_input:" is followed by a JSON object over many lines
            self._skipping = own != "}" and (self._skipping or own.endswith("executor_input:"))
            return
        self.tail = [*self.tail[1 - TAIL :], own]
        if self._on_line:
            with contextlib.redirect_stdout(self._stdout):
                self._on_line(own)


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet_kfp(lines: _Lines) -> Iterator[None]:
    """Catch what kfp prints and logs, and undo what it leaves changed: `print`, the root logger, its configuration."""
    root = logging.getLogger()
    state = builtins.print, root.level, root.handlers[:], config.LocalExecutionConfig.instance
    try:
        with contextlib.redirect_stdout(lines), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        builtins.print, level, root.handlers[:], config.LocalExecutionConfig.instance = state
        root.setLevel(level)
