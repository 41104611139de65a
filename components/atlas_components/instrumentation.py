"""Instrumenting a pipeline that lives in Python."""

from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from kfp import components
from kfp.dsl import base_component, graph_component
from kfp.pipeline_spec import pipeline_spec_pb2

from atlas.errors import DocumentError
from atlas_components.documents import dump_documents
from atlas_components.ir import RUNNER, instrument_pipeline


def instrument(pipeline: Any, runner: Sequence[str] = RUNNER, evidence: str = "") -> Any:
    """Have every step of a pipeline leave signed provenance, and return the pipeline to use from here on.

    A pipeline made with `@dsl.pipeline` is changed in place and returned. Anything else (a single component, or what
    was loaded from YAML) has no spec that could be changed: a new pipeline is returned, and the one given stays as it
    is. Instrument pipelines, after they were written: an instrumented single component has a second output, so that
    `.output` of a task made from it would no longer do. Instrumenting twice does no harm.

    Args:
        pipeline: what `@dsl.pipeline`, `@dsl.component`, `@dsl.container_component` or `kfp.components.load_*` made.
        runner: the command that starts Atlas in the step's container.
        evidence: the provider that each step must ask for evidence of its confidential pod: `coco` or `tdx`. If it
            gives none, the step fails.

    Raises:
        DocumentError: if it is none of those, or a container names no command.
    """
    if not isinstance(pipeline, base_component.BaseComponent):
        raise DocumentError(
            f"{getattr(pipeline, '__name__', pipeline)!r} is not a pipeline",
            mend="decorate the function with @dsl.pipeline",
        )
    spec, platform = pipeline.pipeline_spec, pipeline.platform_spec
    instrumented, shown = instrument_pipeline(
        json_format.MessageToDict(spec), json_format.MessageToDict(platform), runner, evidence
    )
    if isinstance(pipeline, graph_component.GraphComponent):
        spec.CopyFrom(json_format.ParseDict(instrumented, pipeline_spec_pb2.PipelineSpec()))
        platform.CopyFrom(json_format.ParseDict(shown, pipeline_spec_pb2.PlatformSpec()))
        return pipeline
    return components.load_component_from_text(dump_documents([instrumented, *([shown] if shown else [])]))
