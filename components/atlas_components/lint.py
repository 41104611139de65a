"""What in a compiled pipeline weakens its provenance, found before it runs."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from atlas_components.ir import component_name, container_executors, executors_of
from atlas_components.metadata import EXPECTED

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
_WORKSPACE = ("{{$.workspace_path}}", "/kfp-workspace")


class LintCode(StrEnum):
    """The stable name of a finding."""

    NOT_INSTRUMENTED = "NotInstrumented"
    CODE_CHANGED = "CodeChanged"
    COMMAND_MISSING = "CommandMissing"
    IMAGE_MUTABLE = "ImageMutable"
    IMPORTER_UNPINNED = "ImporterUnpinned"
    WORKSPACE_USED = "WorkspaceUsed"
    VOLUME_MOUNTED = "VolumeMounted"
    SECRET_SPREAD = "SecretSpread"  # noqa: S105  the name of a finding


@dataclass(frozen=True)
class LintFinding:
    """One thing to mend."""

    code: LintCode
    place: str
    """The component, task or executor."""
    message: str
    mend: str


def lint(spec: Mapping[str, Any], platform: Mapping[str, Any] | None = None) -> list[LintFinding]:
    """Find what weakens the provenance of a pipeline.

    Args:
        spec: the pipeline spec.
        platform: its platform spec, if it has one.

    Raises:
        DocumentError: if the spec is malformed.
    """
    return [*_containers(spec), *_importers(spec), *_workspace(spec), *_volumes(platform or {}), *_secrets(spec)]


def _containers(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    executors = {each.label: each for each in container_executors(spec)}
    for each in executors.values():
        name = component_name(each, executors)
        if not each.command:
            yield LintFinding(
                LintCode.COMMAND_MISSING,
                name,
                "its container has no command, so it cannot be instrumented",
                "give it the command that its image would run: dsl.ContainerSpec(image=…, command=[…])",
            )
        elif not each.instrumented:
            yield LintFinding(
                LintCode.NOT_INSTRUMENTED,
                name,
                "it would leave no provenance",
                "instrument the pipeline: `atlas kfp instrument`",
            )
        elif each.declared_code != each.code_sha256:
            yield LintFinding(
                LintCode.CODE_CHANGED,
                name,
                "its command was changed after it was instrumented",
                "instrument the pipeline again, after the last change to it",
            )
        if not _DIGEST.search(each.image):
            yield LintFinding(
                LintCode.IMAGE_MUTABLE,
                name,
                f"the image {each.image} can be replaced by another under the same name",
                "name the image by digest: image@sha256:…",
            )


def _importers(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    for label, executor in executors_of(spec).items():
        importer = executor.get("importer")
        if isinstance(importer, dict) and EXPECTED not in (importer.get("metadata") or {}):
            yield LintFinding(
                LintCode.IMPORTER_UNPINNED,
                label.removeprefix("exec-"),
                "whatever lies at its URI when the pipeline runs is taken",
                f"pin it: dsl.importer(…, metadata={{'{EXPECTED}': '…'}})",
            )


def _workspace(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    places = {"pipeline": spec.get("root"), **(spec.get("components") or {})}
    for place, component in places.items():
        tasks = component.get("dag", {}).get("tasks", {}) if isinstance(component, dict) else {}
        for task, details in tasks.items():
            if any(each in text for text in _texts(details.get("inputs")) for each in _WORKSPACE):
                yield LintFinding(
                    LintCode.WORKSPACE_USED,
                    f"{place.removeprefix('comp-')}/{task}",
                    "it is given the workspace, where steps exchange data that nobody measures",
                    "pass the data between steps as artifacts",
                )


def _volumes(platform: Mapping[str, Any]) -> Iterator[LintFinding]:
    for executors in _values_of(platform, "executors"):
        for label, details in executors.items() if isinstance(executors, dict) else ():
            if any(True for _ in _values_of(details, "pvcMount")):
                yield LintFinding(
                    LintCode.VOLUME_MOUNTED,
                    label.removeprefix("exec-"),
                    "it mounts a volume, where steps exchange data that nobody measures",
                    "pass the data between steps as artifacts",
                )


def _secrets(spec: Mapping[str, Any]) -> Iterator[LintFinding]:
    """Values that one task of a graph keeps secret and another one of it does not."""
    executors = {each.label: each for each in container_executors(spec)}
    components = spec.get("components") or {}
    for graph in (spec.get("root"), *components.values()):
        tasks = graph.get("dag", {}).get("tasks", {}) if isinstance(graph, dict) else {}
        takers: dict[str, dict[str, bool]] = {}
        for task in tasks.values():
            used = components.get(task.get("componentRef", {}).get("name"), {}).get("executorLabel")
            for name, source in task.get("inputs", {}).get("parameters", {}).items() if used in executors else ():
                secret = name in executors[used].declared_privacy.secret
                place = f"{component_name(executors[used], executors)}.{name}"
                takers.setdefault(json.dumps(source, sort_keys=True), {})[place] = secret
        for found in takers.values():
            for place in sorted(found) if any(found.values()) else ():
                if not found[place]:
                    secrets = ", ".join(each for each in sorted(found) if found[each])
                    yield LintFinding(
                        LintCode.SECRET_SPREAD,
                        place,
                        f"it is given the same value as {secrets}, which is secret, and would record it",
                        "mark it secret, too",
                    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _values_of(value: Any, key: str) -> Iterator[Any]:
    """Every value under this key, at whatever depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for each in value.values():
            yield from _values_of(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _values_of(each, key)
