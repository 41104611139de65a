"""Measuring a step's inputs and outputs; what cannot be measured is told with its reason."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atlas.artifact import Kind, Measurement, measure, measure_properties
from atlas.errors import MeasureError, StepError
from atlas.statement import Input, Unmeasured
from atlas_components.executor import Artifact
from atlas_components.metadata import EXPECTED, expected_of, link_of, properties_of

WITHOUT_BYTES = frozenset({"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"})
"""Schemas of artifacts that are all metadata."""


def measure_input(each: Artifact) -> Input | Unmeasured:
    """Measure an input.

    Raises:
        StepError: if its provenance metadata is malformed.
    """
    link = link_of(each.name, each.metadata)
    try:
        measured = _measure(each)
        # without bytes, metadata is what there is to measure, if it is not merely what an importer says of absent bytes
        if measured is None and (link or each.schema in WITHOUT_BYTES):
            measured = _measure_metadata(each.metadata)
    except MeasureError as error:
        return Unmeasured("input", each.name, each.position, each.uri, _reason(error))
    if measured is None:
        return Unmeasured("input", each.name, each.position, each.uri, _absent(each, "there is nothing at its path"))
    return Input(
        name=each.name,
        position=each.position,
        kind=measured.kind,
        sha256=measured.sha256,
        size=measured.size,
        files=measured.files,
        uri=each.uri,
        schema=each.schema,
        changed=False,
        pinned=bool(expected_of(each.name, each.metadata)),
        link=link,
    )


def check_expected(each: Artifact, measured: Input | Unmeasured) -> None:
    """Hold an input against the digest that the pipeline demands of it, if it demands one.

    Raises:
        StepError: if it is another, or could not be measured.
    """
    expected = expected_of(each.name, each.metadata)
    if not expected or (isinstance(measured, Input) and measured.sha256 == expected):
        return
    found = measured.sha256 if isinstance(measured, Input) else f"not measured: {measured.reason}"
    raise StepError(
        f"input {each.name} ({each.uri}) is not the one that the pipeline demands: expected {expected}, found {found}",
        mend=f"restore the artifact, or, if it was meant to change, set the importer's {EXPECTED} to the new digest",
    )


def measure_output(told: Artifact, made: Artifact) -> Measurement | Unmeasured:
    """Measure an output: `told` is what KFP asked for, `made` what the step's code made of it."""
    try:
        measured = _measure(made) or _measure_metadata(made.metadata, elsewhere=made.uri != told.uri)
    except MeasureError as error:
        return Unmeasured("output", made.name, made.position, made.uri, _reason(error))
    if measured:
        return measured
    reason = "never written" if made.uri == told.uri else "written elsewhere"
    return Unmeasured("output", made.name, made.position, made.uri, _absent(made, reason))


def has_changed(artifact: Artifact, before: Input) -> bool:
    """Whether an input measures differently now."""
    try:
        after = _measure(artifact)
    except MeasureError:
        return True
    if after is None:
        return before.kind is not Kind.PROPERTIES
    return (after.kind, after.sha256) != (before.kind, before.sha256)


def _measure(artifact: Artifact) -> Measurement | None:
    """Measure an artifact's bytes; None if there are none.

    Raises:
        MeasureError: if there are some that cannot be measured.
    """
    path = artifact.path
    return measure(Path(path)) if path and os.path.lexists(path) else None


def _reason(error: MeasureError) -> str:
    """What the error says, of file names without bytes in UTF-8 too."""
    return str(error).encode("utf-8", "backslashreplace").decode()


def _measure_metadata(metadata: Mapping[str, Any], *, elsewhere: bool = False) -> Measurement | None:
    properties = properties_of(metadata)
    return measure_properties(properties) if properties and not elsewhere else None


def _absent(each: Artifact, reason: str) -> str:
    if not each.path or (each.mount and not Path(each.mount).is_dir()):
        return f"{reason}: its URI does not lead into this step's file system"
    return reason
