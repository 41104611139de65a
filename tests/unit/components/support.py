"""Runs `atlas-run` as KFP would, without KFP."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from atlas.home import Home
from atlas.statement import Statement, parse_statement

RUN = "pipe-2026-01-31-23-59-59-000001"


class StepRunner:
    """One task's folder, and the command lines for it."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.home = home
        self.task = folder / "out" / RUN / "task"
        self.provenance = self.task / "atlas_provenance"
        self.output_file = self.task / "executor_output.json"

    def output(self, name: str, **more: Any) -> dict[str, Any]:
        return {name: {"artifacts": [{"name": name, "uri": str(self.task / name), **more}]}}

    def executor_input(
        self, inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None, **parameters: Any
    ) -> dict[str, Any]:
        return {
            "inputs": {"artifacts": inputs or {}, "parameterValues": parameters},
            "outputs": {
                "outputFile": str(self.output_file),
                "artifacts": {**(outputs or {}), **self.output("atlas_provenance")},
            },
        }

    def argv(self, executor_input: dict[str, Any] | str, *command: str, flags: tuple[str, ...] = ()) -> list[str]:
        raw = executor_input if isinstance(executor_input, str) else json.dumps(executor_input)
        return [
            *("--executor-input", raw, "--component", "comp", "--image", "img", "--code", "a" * 64),
            *flags,
            "--",
            *command,
        ]

    def start(self, argv: list[str], *, nohup: bool = False, **environment: str) -> "subprocess.Popen[str]":
        for each in ("KFP_RETRY_INDEX", "KFP_RUN_ID", "ATLAS_RUN_ID", "ATLAS_PIPELINE", "ATLAS_EVIDENCE"):
            assert each not in os.environ
        code = "import sys; from atlas_components.step import main; main()"
        # a shell that runs the tests in the background has SIGINT ignored
        code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {code}"
        return subprocess.Popen(
            [*(["nohup"] if nohup else []), sys.executable, "-c", code, *argv],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(each for each in sys.path if each),
                "ATLAS_HOME": str(self.home.path),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, argv: list[str], *, nohup: bool = False, **environment: str) -> tuple[int, str, str]:
        process = self.start(argv, nohup=nohup, **environment)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return process.returncode, out, err

    def statement(self) -> Statement:
        return parse_statement((self.provenance / "statement.json").read_bytes())

    def deposits(self) -> list[Path]:
        return sorted(self.home.inbox.iterdir())
