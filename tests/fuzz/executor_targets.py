"""Readers of what stands between KFP and a step."""

import json

from atlas.errors import AtlasError
from fuzz.mutate import JSON
from fuzz.target import Seed, Target, same

_EXECUTOR_INPUT = {
    "inputs": {
        "parameterValues": {"epochs": 3, "rate": 0.1, "names": ["a", "é"], "flag": True},
        "artifacts": {
            "data": {
                "artifacts": [
                    {
                        "name": "data",
                        "type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"},
                        "uri": "minio://bucket/run/data",
                        "metadata": {"rows": 12, "_kfp_workspace": False},
                    },
                    {"name": "data2", "type": {"instanceSchema": "title: kfp.Dataset\ntype: object\n"}, "uri": "/x/y"},
                ]
            }
        },
    },
    "outputs": {
        "parameters": {"best": {"outputFile": "/tmp/kfp/outputs/best"}},
        "artifacts": {
            "model": {
                "artifacts": [{"type": {"schemaTitle": "system.Model"}, "uri": "oci://reg/model", "metadata": {}}]
            },
            "atlas_provenance": {"artifacts": [{"uri": "minio://bucket/run/provenance", "custom_path": ""}]},
            "executor-logs": {"artifacts": [{"uri": "s3://bucket/logs"}]},
        },
        "outputFile": "/tmp/kfp_outputs/output_metadata.json",
    },
}
_EXECUTOR_OUTPUT = {
    "parameterValues": {"best": 0.97},
    "artifacts": {"model": {"artifacts": [{"name": "model", "uri": "minio://b/m", "metadata": {"framework": "x"}}]}},
}


def _read_executor_input(raw: bytes) -> object:
    from atlas_components.executor import parse_executor_input

    read = parse_executor_input(raw)
    told = json.loads(raw)
    parameters = (told.get("inputs") or {}).get("parameterValues") or {}
    same(read.parameters == parameters, "executor", "other parameters than stand there", raw)
    same(bool(read.provenance and read.output_file), "executor", "no place for the provenance", raw)
    for each in read.outputs:
        same("/" not in each.name and each.name not in ("", ".", ".."), "executor", "an output's name leads away", raw)
    for each in (*read.inputs, *read.outputs):
        (each.path + each.uri + each.schema).encode()  # no halves of surrogate pairs
        same("\0" not in each.path, "executor", "a path with NUL", raw)
    json.dumps(read.parameters, ensure_ascii=False).encode()
    return read


def _read_executor_output(raw: bytes) -> object:
    from atlas_components.executor import parse_executor_input, parse_executor_output

    read = parse_executor_output(raw)
    same(read.document == (json.loads(raw) if raw.strip() else {}), "executor", "another document", raw)
    for each in parse_executor_input(json.dumps(_EXECUTOR_INPUT)).outputs:
        read.applied(each).path.encode()
    return read


def executor_target() -> Target:
    """What KFP tells a step, and what a step tells KFP."""
    given = Seed("executor input", json.dumps(_EXECUTOR_INPUT).encode(), _read_executor_input, JSON)
    indented = Seed("indented", json.dumps(_EXECUTOR_INPUT, indent=1).encode(), _read_executor_input, JSON)
    said = Seed("executor output", json.dumps(_EXECUTOR_OUTPUT).encode(), _read_executor_output, JSON)
    return Target("executor", AtlasError, (given, indented, said))
