"""The pass over a compiled pipeline: every command is prefixed with `atlas-run`, and gets a place for its provenance.

Works on the pipeline's intermediate representation (IR, the JSON form of `PipelineSpec`) as plain dicts. All functions
are pure: they return new documents and change none.

    command: [atlas-run, --executor-input, '{{$}}', --component, train, --image, IMAGE, --code, SHA256, --, sh, -c, …]

The code digest is SHA-256 over the RFC 8785 JSON of the container's `command`, `args` and, if it sets any, `env`, as
the pipeline's author wrote them: what decides which code runs. The image is not part of it, because the statement names
it beside. Nothing of the whole pipeline may enter a command: commands are cache keys, and an edit anywhere would void
all of them.
"""

import copy
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atlas.canonical import dump_canonical
from atlas.errors import DocumentError
from atlas_components.pod import instrument_platform

PROVENANCE = "atlas_provenance"
"""The output artifact that carries a step's provenance folder."""
RUNNER = ("atlas-run",)
LOCAL_MARKER = "kfp.dsl.executor_main"
"""kfp's SubprocessRunner refuses commands in which this does not occur; `--compat` puts it in and is ignored."""
WITHOUT_CONTAINER = frozenset({"argostub/createpvc", "argostub/deletepvc"})
"""Images that KFP never runs: it makes or deletes the volume itself."""

_EXECUTOR_INPUT = ["--executor-input", "{{$}}"]
_ARTIFACT = {
    "artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
    "description": "Signed provenance of the step (Atlas)",
}


@dataclass(frozen=True)
class Executor:
    """A container executor, as its author wrote it."""

    label: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[Any, ...]
    declared_code: str
    """The code digest in its prefix; empty if it is not instrumented."""
    declared_evidence: str
    """The provider of evidence that its prefix orders; empty if it orders none."""

    @property
    def instrumented(self) -> bool:
        """Whether `atlas-run` runs it."""
        return bool(self.declared_code)

    @property
    def code_sha256(self) -> str:
        """SHA-256 (hex) of what decides which code runs."""
        template: dict[str, Any] = {"command": list(self.command), "args": list(self.args)}
        if self.env:
            template["env"] = list(self.env)
        try:
            return hashlib.sha256(dump_canonical(template)).hexdigest()
        except ValueError as error:
            raise DocumentError(f"{self.label}: its command has no canonical JSON: {error}") from error


def instrument_spec(spec: Mapping[str, Any], runner: Sequence[str] = RUNNER, evidence: str = "") -> dict[str, Any]:
    """Have `runner` run every container executor of a pipeline spec, and return the new spec.

    Instrumenting twice gives what instrumenting once gives; an older prefix is replaced.

    Args:
        spec: the pipeline.
        runner: the command that starts Atlas in the step's container.
        evidence: the provider that each step must ask for evidence; empty: as it was ordered before, if it was.

    Raises:
        DocumentError: if the spec is malformed, or a container names no command (then only its image knows what it
            runs, and a prefix would replace it).
    """
    new: dict[str, Any] = copy.deepcopy(dict(spec))
    executors = {each.label: each for each in container_executors(new)}
    for label, executor in executors.items():
        if not executor.command:
            raise DocumentError(
                f"{_component(label)}: its container has no command, so what its image would run is unknown",
                mend="give the component its command, e.g. dsl.ContainerSpec(image=…, command=[…])",
            )
        prefix = [*runner, *_prefix(executor, executors, evidence)]
        new["deploymentSpec"]["executors"][label]["container"]["command"] = [*prefix, *executor.command]
    for name, component in _mapping(new, "components").items():
        if not isinstance(component, dict):
            raise DocumentError(f"components.{name}: not an object")
        used = executors.get(str(component.get("executorLabel")))
        if used:
            _add_output(name, component, taken=not used.instrumented)
    return new


def instrument_pipeline(
    spec: Mapping[str, Any], platform: Mapping[str, Any], runner: Sequence[str] = RUNNER, evidence: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Instrument a pipeline spec, and the platform spec that goes with it (empty if there is none).

    Raises:
        DocumentError: as `instrument_spec` and `instrument_platform` do.
    """
    new = instrument_spec(spec, runner, evidence)
    return new, instrument_platform(platform, _orders(spec), _orders(new))


def instrument_documents(documents: Sequence[Any], runner: Sequence[str] = RUNNER, evidence: str = "") -> list[Any]:
    """Instrument each pipeline of a YAML file's documents, with its platform spec; other kinds stay as they are.

    Raises:
        DocumentError: also if there is no pipeline among them.
    """
    new = list(copy.deepcopy(documents))
    found = False
    for i, document in enumerate(documents):
        if _is_manifest(document):
            of = new[i]["spec"]
            of["pipelineSpec"], platform = instrument_pipeline(
                of["pipelineSpec"], of.get("platformSpec") or {}, runner, evidence
            )
            of.update({"platformSpec": platform} if platform else {})
        elif _is_spec(document):
            place = next((i for i, each in enumerate(new) if _is_platform(each)), len(new))
            new[i], platform = instrument_pipeline(document, new[place] if place < len(new) else {}, runner, evidence)
            new[place:] = [*([platform] if platform else []), *new[place + 1 :]]
        else:
            continue
        found = True
    if not found:
        raise _no_pipeline()
    return new


def pipelines(documents: Sequence[Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield (pipeline spec, platform spec or empty) of each pipeline in a YAML file's documents.

    Raises:
        DocumentError: if there is no pipeline among them.
    """
    found = False
    platform: dict[str, Any] = next((each for each in documents if _is_platform(each)), {})
    for document in documents:
        if _is_manifest(document):
            yield document["spec"]["pipelineSpec"], document["spec"].get("platformSpec") or {}
        elif _is_spec(document):
            yield document, platform
        else:
            continue
        found = True
    if not found:
        raise _no_pipeline()


def container_executors(spec: Mapping[str, Any]) -> Iterator[Executor]:
    """Yield the executors that run a container of the user's.

    Raises:
        DocumentError: if the spec is malformed.
    """
    for label, executor in executors_of(spec).items():
        container = executor.get("container")
        if container is None:
            continue  # an importer: KFP's own code, in KFP's own pod
        if not isinstance(container, dict) or not isinstance(container.get("image"), str):
            raise DocumentError(f"{_component(label)}: its container has no image")
        if container["image"] in WITHOUT_CONTAINER:
            continue
        command, declared, evidence = _unwrap(_strings(container, "command", label))
        env = container.get("env") or []
        if not isinstance(env, list):
            raise DocumentError(f"{_component(label)}: its env is not a list")
        yield Executor(
            label,
            container["image"],
            tuple(command),
            tuple(_strings(container, "args", label)),
            tuple(env),
            declared,
            evidence,
        )


def executors_of(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All executors of a pipeline spec by label.

    Raises:
        DocumentError: if the spec is malformed.
    """
    executors = _mapping(_mapping(spec, "deploymentSpec"), "executors")
    for label, executor in executors.items():
        if not isinstance(executor, dict):
            raise DocumentError(f"deploymentSpec.executors.{label}: not an object")
    return executors


def component_name(executor: Executor, executors: Mapping[str, Executor]) -> str:
    """The component's name without the number that KFP adds when a pipeline uses it several times.

    It stands in the command, and a number that depends on what else the pipeline does would void caches.
    """
    base = re.sub(r"-\d+$", "", executor.label)
    twin = executors.get(base)
    return _component(base if twin and twin.code_sha256 == executor.code_sha256 else executor.label)


def _orders(spec: Mapping[str, Any]) -> dict[str, str]:
    """The provider of evidence that each executor's prefix orders; empty if it orders none."""
    return {each.label: each.declared_evidence for each in container_executors(spec)}


def _prefix(executor: Executor, executors: Mapping[str, Executor], evidence: str) -> list[str]:
    prefix = [*_EXECUTOR_INPUT, "--component", component_name(executor, executors), "--image", executor.image]
    prefix += ["--code", executor.code_sha256]
    if ordered := evidence or executor.declared_evidence:
        prefix += ["--evidence", ordered]
    if not any(LOCAL_MARKER in part for part in (*executor.command, *executor.args)):
        prefix += ["--compat", LOCAL_MARKER]
    return [*prefix, "--"]


def _unwrap(command: list[str]) -> tuple[list[str], str, str]:
    """A command without the prefix, and the code digest and the provider that the prefix declares (empty if none)."""
    if "--" not in command:
        return command, "", ""
    end = command.index("--")
    prefix = command[:end]
    for i in range(len(prefix) - 7):
        flags = prefix[i : i + 8]
        if flags[:2] == _EXECUTOR_INPUT and flags[2::2] == ["--component", "--image", "--code"]:
            further = dict(zip(prefix[i + 8 :: 2], prefix[i + 9 :: 2], strict=False))
            return command[end + 1 :], flags[7], further.get("--evidence", "")
    return command, "", ""


def _add_output(name: str, component: dict[str, Any], *, taken: bool) -> None:
    outputs = component.setdefault("outputDefinitions", {})
    artifacts = outputs.setdefault("artifacts", {}) if isinstance(outputs, dict) else None
    if not isinstance(artifacts, dict):
        raise DocumentError(f"components.{name}.outputDefinitions: not an object")
    if taken and (PROVENANCE in artifacts or PROVENANCE in _mapping(outputs, "parameters")):
        raise DocumentError(
            f"{name}: it has an output of its own named {PROVENANCE}", mend="give that output another name"
        )
    artifacts[PROVENANCE] = copy.deepcopy(_ARTIFACT)


def _component(label: str) -> str:
    return label.removeprefix("exec-")


def _mapping(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise DocumentError(f"{key}: not an object")
    return value


def _strings(container: Mapping[str, Any], key: str, label: str) -> list[str]:
    value = container.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise DocumentError(f"{_component(label)}: its {key} is not a list of strings")
    return value


def _is_spec(document: object) -> bool:
    return isinstance(document, dict) and "deploymentSpec" in document and "root" in document


def _is_platform(document: object) -> bool:
    return isinstance(document, dict) and "platforms" in document


def _is_manifest(document: object) -> bool:
    return (
        isinstance(document, dict)
        and document.get("kind") == "PipelineVersion"
        and isinstance(document.get("spec"), dict)
        and _is_spec(document["spec"].get("pipelineSpec"))
    )


def _no_pipeline() -> DocumentError:
    return DocumentError(
        "there is no compiled pipeline in it",
        mend="compile the pipeline with kfp 2: compiler.Compiler().compile(pipeline, 'pipeline.yaml')",
    )
