import copy
from typing import Any

import pytest

from atlas.errors import DocumentError
from atlas_components.ir import LOCAL_MARKER, container_executors, instrument_documents, instrument_spec, pipelines
from atlas_components.lint import LintCode, lint
from atlas_components.pod import instrument_platform

PINNED = "python@sha256:" + "0" * 64


def container(*command: str, image: str = PINNED, **more: Any) -> dict[str, Any]:
    return {"container": {"image": image, "command": list(command), **more}}


def spec_of(executors: dict[str, Any], **components: Any) -> dict[str, Any]:
    default = {f"comp-{label.removeprefix('exec-')}": {"executorLabel": label} for label in executors}
    return {
        "pipelineInfo": {"name": "p"},
        "root": {"dag": {"tasks": {}}},
        "deploymentSpec": {"executors": executors},
        "components": default | components,
    }


def commands(spec: dict[str, Any]) -> dict[str, list[str]]:
    return {
        k: v["container"]["command"]
        for k, v in spec["deploymentSpec"]["executors"].items()
        if "command" in v.get("container", {})
    }


def flag(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_every_container_is_wrapped_and_nothing_else() -> None:
    importer = {"importer": {"artifactUri": {"constant": "s3://x"}}}
    spec = spec_of(
        {
            "exec-a": container("sh", "-c", LOCAL_MARKER, args=["x"]),
            "exec-i": importer,
            "exec-c": {"container": {"image": "argostub/createpvc"}},
            "exec-d": {"container": {"image": "argostub/deletepvc"}},
        },
        **{"comp-nested": {"dag": {"tasks": {}}}},
    )
    before = copy.deepcopy(spec)
    new = instrument_spec(spec)
    assert spec == before
    command = commands(new)["exec-a"]
    assert command[:7] == ["atlas-run", "--executor-input", "{{$}}", "--component", "a", "--image", PINNED]
    assert command[-4:] == ["--", "sh", "-c", LOCAL_MARKER]
    assert "--compat" not in command
    assert new["deploymentSpec"]["executors"]["exec-a"]["container"]["args"] == ["x"]
    for label in ("exec-i", "exec-c", "exec-d"):
        assert new["deploymentSpec"]["executors"][label] == spec["deploymentSpec"]["executors"][label]
    with_output = {name for name, each in new["components"].items() if "outputDefinitions" in each}
    assert with_output == {"comp-a"}
    assert new["components"]["comp-a"]["outputDefinitions"]["artifacts"]["atlas_provenance"]["artifactType"] == {
        "schemaTitle": "system.Artifact",
        "schemaVersion": "0.0.1",
    }


def test_twice_is_once_and_a_new_runner_replaces_the_old() -> None:
    once = instrument_spec(spec_of({"exec-a": container("run"), "exec-b": container("--", "x")}))
    assert instrument_spec(once) == once
    other = instrument_spec(once, runner=("/atlas/atlas-run", "--quiet"))
    assert commands(other)["exec-a"][:3] == ["/atlas/atlas-run", "--quiet", "--executor-input"]
    assert instrument_spec(other) == once
    assert commands(once)["exec-b"][-3:] == ["--", "--", "x"]


def test_only_the_local_runner_needs_the_marker() -> None:
    assert flag(commands(instrument_spec(spec_of({"exec-a": container("run")})))["exec-a"], "--compat") == LOCAL_MARKER


def test_components_that_share_an_executor_all_get_the_output() -> None:
    spec = spec_of({"exec-a": container("run")}, **{"comp-again": {"executorLabel": "exec-a"}})
    new = instrument_spec(spec)["components"]
    assert all("atlas_provenance" in each["outputDefinitions"]["artifacts"] for each in new.values())


def test_the_number_that_kfp_adds_is_no_part_of_the_name() -> None:
    spec = spec_of({"exec-a": container("x"), "exec-a-2": container("x"), "exec-b-2": container("x")})
    named = {label: flag(command, "--component") for label, command in commands(instrument_spec(spec)).items()}
    assert named == {"exec-a": "a", "exec-a-2": "a", "exec-b-2": "b-2"}
    spec["deploymentSpec"]["executors"]["exec-a-2"] = container("y")
    assert flag(commands(instrument_spec(spec))["exec-a-2"], "--component") == "a-2"


def code(**more: Any) -> str:
    command = more.pop("command", ["x"])
    (executor,) = container_executors(spec_of({"exec-a": container(*command, **more)}))
    return executor.code_sha256


def test_the_code_digest_covers_what_decides_which_code_runs() -> None:
    assert code() == code(image="other")
    different = [code(), code(command=["y"]), code(args=["y"]), code(env=[{"name": "LD_PRELOAD", "value": "/x"}])]
    assert len(set(different)) == 4
    assert code(command=["x", "y"]) != code(command=["x"], args=["y"])


def test_an_edit_elsewhere_leaves_a_command_alone() -> None:
    small = instrument_spec(spec_of({"exec-a": container("x")}))
    large = instrument_spec(spec_of({"exec-a": container("x"), "exec-new": container("y")}))
    assert commands(small)["exec-a"] == commands(large)["exec-a"]


def test_a_container_without_a_command_is_refused() -> None:
    with pytest.raises(DocumentError, match="a: its container has no command") as caught:
        instrument_spec(spec_of({"exec-a": {"container": {"image": "i", "args": ["x"]}}}))
    assert "command=" in caught.value.mend


def test_an_output_of_the_same_name_is_refused() -> None:
    for kind in ("artifacts", "parameters"):
        component = {"executorLabel": "exec-a", "outputDefinitions": {kind: {"atlas_provenance": {}}}}
        with pytest.raises(DocumentError, match="an output of its own"):
            instrument_spec(spec_of({"exec-a": container("x")}, **{"comp-a": component}))


@pytest.mark.parametrize(
    "spec",
    [
        {"deploymentSpec": []},
        {"deploymentSpec": {"executors": []}},
        {"deploymentSpec": {"executors": {"e": 1}}},
        spec_of({"exec-a": {"container": 1}}),
        spec_of({"exec-a": {"container": {"command": ["x"]}}}),
        spec_of({"exec-a": {"container": {"image": "i", "command": "x"}}}),
        spec_of({"exec-a": {"container": {"image": "i", "command": [1]}}}),
        spec_of({"exec-a": {"container": {"image": "i", "command": ["x"], "env": 1}}}),
        spec_of({"exec-a": container("x")}, **{"comp-a": 1}),
        spec_of({"exec-a": container("x")}, **{"comp-a": {"executorLabel": "exec-a", "outputDefinitions": []}}),
    ],
)
def test_malformed_specs_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        instrument_spec(spec)


def test_documents_besides_the_pipeline_stay() -> None:
    spec = spec_of({"exec-a": container("x")})
    platform: dict[str, Any] = {"platforms": {"kubernetes": {}}}
    shown = instrument_platform(platform, {}, {"exec-a": ""})
    assert instrument_documents([spec, platform]) == [instrument_spec(spec), shown]
    version = {"kind": "PipelineVersion", "spec": {"pipelineSpec": spec, "platformSpec": platform}}
    pipeline = {"kind": "Pipeline", "spec": {}}
    new = instrument_documents([pipeline, version])
    assert new[0] == pipeline
    assert new[1]["spec"] == {"pipelineSpec": instrument_spec(spec), "platformSpec": shown}
    assert list(pipelines([pipeline, version])) == [(spec, platform)]
    assert list(pipelines([spec, platform])) == [(spec, platform)]
    for nothing in ([], [pipeline], ["text"]):
        with pytest.raises(DocumentError, match="no compiled pipeline"):
            instrument_documents(nothing)
        with pytest.raises(DocumentError, match="no compiled pipeline"):
            list(pipelines(nothing))


def found(spec: dict[str, Any], platform: dict[str, Any] | None = None) -> list[tuple[LintCode, str]]:
    findings = lint(spec, platform)
    assert all(each.message and each.mend for each in findings)
    return [(each.code, each.place) for each in findings]


def test_lint_finds_nothing_in_a_sound_pipeline() -> None:
    pinned = {"importer": {"metadata": {"atlas_expected_sha256": "0" * 64}}}
    assert found(instrument_spec(spec_of({"exec-a": container("x"), "exec-i": pinned}))) == []


def test_lint_finds_each_weakness() -> None:
    assert found(spec_of({"exec-a": container("x")})) == [(LintCode.NOT_INSTRUMENTED, "a")]
    assert found(spec_of({"exec-a": {"container": {"image": PINNED}}})) == [(LintCode.COMMAND_MISSING, "a")]
    sound = instrument_spec(spec_of({"exec-a": container("x")}))
    changed = copy.deepcopy(sound)
    changed["deploymentSpec"]["executors"]["exec-a"]["container"]["command"][-1] = "y"
    assert found(changed) == [(LintCode.CODE_CHANGED, "a")]
    mutable = instrument_spec(spec_of({"exec-a": container("x", image="python:3.11")}))
    assert found(mutable) == [(LintCode.IMAGE_MUTABLE, "a")]
    assert found(spec_of({"exec-i": {"importer": {}}})) == [(LintCode.IMPORTER_UNPINNED, "i")]
    workspace = copy.deepcopy(sound)
    constant = {"runtimeValue": {"constant": "{{$.workspace_path}}/x"}}
    workspace["root"]["dag"]["tasks"]["t"] = {"inputs": {"parameters": {"path": constant}}}
    assert found(workspace) == [(LintCode.WORKSPACE_USED, "pipeline/t")]
    executors = {"exec-a": {"pvcMount": [{"mountPath": "/d"}]}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}
    assert found(sound, platform) == [(LintCode.VOLUME_MOUNTED, "a")]
