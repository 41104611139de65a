"""Reading what KFP tells a step (executor input) and what the step's own code tells KFP (`executor_output.json`).

Both are JSON that somebody else wrote, the second one by code that may be hostile. Whatever the bytes, only `StepError`
comes out. Field names are those of KFP's `ExecutorInput` and `ExecutorOutput` messages in protobuf's JSON form.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from atlas.errors import StepError

PROVENANCE = "atlas_provenance"
IGNORED_OUTPUTS = frozenset({PROVENANCE, "executor-logs"})
"""Outputs that are not the step's own; KFP's launcher still writes the logs while provenance is made."""
MAX_BYTES = 64 << 20
MAX_DEPTH = 100
"""Nesting of JSON that is read."""

MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/", "oci://": "/oci/"}
"""Where KFP makes remote storage appear in a step's file system."""
WORKSPACE = "/kfp-workspace/.artifacts/"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_TITLE = re.compile(r"^title:\s*['\"]?([\w.]+)", re.MULTILINE)


@dataclass(frozen=True)
class Artifact:
    """One artifact that a step is given or is to make."""

    name: str
    """Of the component's input or output."""
    position: int
    """Place in a list; 0 for a single artifact."""
    uri: str
    schema: str = ""
    custom_path: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mount(self) -> str:
        """The directory below which its remote storage would appear; empty for a local artifact."""
        return "" if self.custom_path else next((MOUNTS[each] for each in MOUNTS if self.uri.startswith(each)), "")

    @property
    def path(self) -> str:
        """Where it lies in the step's file system, by KFP's own rules; empty if its URI has no such place."""
        path = self.custom_path
        if not path and self.mount:
            rest = self.uri.split("://", 1)[1]
            path = self.mount + (rest.replace("/", "_") if self.mount == "/oci/" else rest)
            if self.mount == "/oci/" and self.schema == "system.Model":
                path += "/models"  # where a model image keeps its files
        elif not path and not _SCHEME.match(self.uri):
            path = self.uri
        if path and self.metadata.get("_kfp_workspace") is True:
            return WORKSPACE + path.lstrip("/")
        return path


@dataclass(frozen=True)
class ExecutorInput:
    """What a step was told."""

    inputs: tuple[Artifact, ...]
    outputs: tuple[Artifact, ...]
    """Without those that are not the step's own."""
    parameters: Mapping[str, Any]
    output_file: str
    """Where the step's code tells KFP about its outputs."""
    parameter_files: tuple[str, ...]
    provenance: str
    """Path of the folder for the provenance."""


@dataclass(frozen=True)
class ExecutorOutput:
    """What the step's code says of its outputs."""

    document: dict[str, Any]
    """All of it, with the fields that Atlas does not read."""
    artifacts: tuple[Artifact, ...]

    def applied(self, output: Artifact) -> Artifact:
        """The output with what the step's code changed about it."""
        for each in self.artifacts:
            if (each.name, each.position) == (output.name, output.position):
                return replace(
                    output,
                    uri=each.uri or output.uri,
                    custom_path=each.custom_path or output.custom_path,
                    metadata={**output.metadata, **each.metadata},
                )
        return output


def parse_executor_input(raw: str | bytes) -> ExecutorInput:
    """Read the executor input.

    Raises:
        StepError: if it is not one, or gives no place for the provenance.
    """
    document = _load(raw, "the executor input")
    inputs = _object(document, "inputs", "the executor input")
    outputs = _object(document, "outputs", "the executor input")
    made = _artifacts(_object(outputs, "artifacts", "outputs"))
    place = next((each.path for each in made if each.name == PROVENANCE), "")
    if not place:
        raise StepError(
            "the pipeline gives this step no place for its provenance",
            mend="instrument the pipeline again (`atlas kfp instrument`)",
        )
    output_file = _text(outputs, "outputFile", "outputs")
    if not output_file:
        _malformed("outputs.outputFile: missing")
    own = tuple(each for each in made if each.name not in IGNORED_OUTPUTS)
    for each in own:
        _check_file_name(each.name)
    parameters = _object(outputs, "parameters", "outputs")
    return ExecutorInput(
        inputs=_artifacts(_object(inputs, "artifacts", "inputs")),
        outputs=own,
        parameters=_object(inputs, "parameterValues", "inputs"),
        output_file=output_file,
        parameter_files=tuple(
            _text(_object(parameters, name, "outputs.parameters"), "outputFile", name) for name in parameters
        ),
        provenance=place,
    )


def parse_executor_output(raw: bytes) -> ExecutorOutput:
    """Read `executor_output.json`; no bytes at all say nothing.

    Raises:
        StepError: if it is malformed.
    """
    document = _load(raw, "executor_output.json") if raw.strip() else {}
    return ExecutorOutput(document, _artifacts(_object(document, "artifacts", "executor_output.json")))


def _load(raw: str | bytes, what: str) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise StepError(f"{what} is larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
        _check_depth(document, MAX_DEPTH)
        json.dumps(document, ensure_ascii=False).encode()  # halves of surrogate pairs have no bytes
    except (ValueError, RecursionError) as error:
        raise StepError(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise StepError(f"{what} is not a JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse what two readers could read differently."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _artifacts(lists: Mapping[str, Any]) -> tuple[Artifact, ...]:
    return tuple(
        _artifact(name, position, each)
        for name in sorted(lists)
        for position, each in enumerate(_list(_object(lists, name, "artifacts"), "artifacts", name))
    )


def _artifact(name: str, position: int, value: object) -> Artifact:
    if not isinstance(value, dict):
        _malformed(f"artifacts.{name}: not an object")
    kind = _object(value, "type", name)
    title = _text(kind, "schemaTitle", name)
    if not title and (match := _TITLE.search(_text(kind, "instanceSchema", name))):
        title = match[1]
    return Artifact(
        name=name,
        position=position,
        uri=_text(value, "uri", name),
        schema=title,
        # protobuf's JSON form takes both spellings, and KFP's executor writes the second
        custom_path=_text(value, "customPath", name) or _text(value, "custom_path", name),
        metadata=_object(value, "metadata", name),
    )


def _check_file_name(name: str) -> None:
    """The output's name becomes a file name in the provenance folder, and must not lead out of it."""
    if not name or len(name.encode()) > 200 or name.startswith(".") or "/" in name or not name.isprintable():
        raise StepError(
            f"an output is named {name[:80]!r}, which cannot be the name of a file", mend="rename the output"
        )


def _object(parent: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _malformed(f"{where}.{key}: not an object")
    return value


def _list(parent: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        _malformed(f"{where}.{key}: not a list")
    return value


def _text(parent: Mapping[str, Any], key: str, where: str) -> str:
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        _malformed(f"{where}.{key}: not a text")
    return value


def _malformed(detail: str) -> NoReturn:
    raise StepError(f"what KFP and this step tell each other is malformed: {detail[:300]}")
