"""Which run, pipeline, task and attempt a step belongs to.

KFP tells a step none of these directly. They are read from the environment where Atlas (or an operator) sets them, and
from the place that KFP chose for the step's output:

    <root>/<pipeline>-<timestamp>/<task…>/executor_output.json        the local runner
    <root>/<pipeline>/<run id>/<task>/<salt>/executor_output.json     a cluster
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from atlas.errors import Rejected, StepError
from atlas.statement import Step, parse_statement

RUN = "ATLAS_RUN_ID"
PIPELINE = "ATLAS_PIPELINE"
KFP_RUN = "KFP_RUN_ID"
KFP_RETRY = "KFP_RETRY_INDEX"
STATEMENT = "statement.json"
"""File name of the statement in a provenance folder."""

_LOCAL_RUN = re.compile(r"(?P<pipeline>.+)-\d{4}(-\d\d){5}-\d{6}")


@dataclass(frozen=True)
class Place:
    """Where in which run a step stands."""

    pipeline: str
    run: str
    task: str


def place_of(output_file: str, environment: Mapping[str, str], component: str) -> Place:
    """Tell a step's place from its output file and its environment.

    Raises:
        StepError: if neither tells the run or the pipeline.
    """
    folders = PurePosixPath(output_file).parent.parts
    cluster_run = environment.get(KFP_RUN, "")
    pipeline = run = task = ""
    for i in range(len(folders) - 1, 0, -1):
        local = _LOCAL_RUN.fullmatch(folders[i])
        if local:
            pipeline, run, task = local["pipeline"], folders[i], "/".join(folders[i + 1 :])
            break
        if cluster_run and folders[i] == cluster_run:
            pipeline, run, task = folders[i - 1], cluster_run, "/".join(folders[i + 1 :])
            break
    pipeline = environment.get(PIPELINE) or pipeline
    run = environment.get(RUN) or cluster_run or run
    if not run or not pipeline:
        raise StepError(
            f"{output_file}: neither this path nor the environment tells which run this step belongs to",
            mend=f"set {RUN} and {PIPELINE} in the step's environment",
        )
    return Place(pipeline, run, task or component)


def attempt_of(provenance: Path, environment: Mapping[str, str]) -> int:
    """The number of this attempt, from 0: as KFP counts, else one more than the attempt that left provenance here.

    Raises:
        StepError: if what is there cannot be read.
    """
    if retry := environment.get(KFP_RETRY):
        if not (retry.isascii() and retry.isdigit() and len(retry) < 10):
            raise StepError(f"{KFP_RETRY} is not a number: {retry[:40]!r}")
        return int(retry)
    earlier = provenance / STATEMENT
    try:
        maker = parse_statement(earlier.read_bytes()).maker
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, Rejected) as error:
        raise StepError(
            f"{earlier}: the earlier attempt's statement cannot be read: {error}", mend=f"remove {provenance}"
        ) from error
    return maker.attempt + 1 if isinstance(maker, Step) else 0
