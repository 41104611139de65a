"""The pod's annotation chooses who gives evidence: instrumented pipelines show it to their steps."""

from typing import Any

import pytest

from atlas.errors import DocumentError, StepError
from atlas.home import Home
from atlas.manifest import parse_manifest
from atlas.simulated import make_simulator
from atlas_components.desk import parse
from atlas_components.ir import instrument_documents
from atlas_components.pod import ANNOTATION, VARIABLE, instrument_platform
from unit.components.support import StepRunner
from unit.components.test_evidence_steps import SPEC, now, write_model

FIELD = {"name": "ATLAS_POD_EVIDENCE", "fieldPath": "metadata.annotations['atlas.dev/evidence']"}
ARGV = ["--executor-input", "{}", "--component", "c", "--image", "i", "--code", "a" * 64]


def platform_of(**executor: Any) -> dict[str, Any]:
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a": executor}}}}}


def annotated(provider: str) -> dict[str, Any]:
    return platform_of(podMetadata={"annotations": {ANNOTATION: provider}})


# ------------------------------------------------------------------------------------------------ what is instrumented


def test_every_step_is_shown_its_pods_annotation() -> None:
    _, platform = instrument_documents([SPEC])
    assert platform == platform_of(fieldPathAsEnv=[FIELD])


def test_an_order_stands_in_the_annotation_too() -> None:
    ordered = instrument_documents([SPEC], evidence="coco")
    shown = platform_of(fieldPathAsEnv=[FIELD], podMetadata={"annotations": {ANNOTATION: "coco"}})
    assert ordered[1] == shown
    assert instrument_documents(ordered) == ordered, "instrumenting again takes nothing away"
    assert instrument_documents(ordered, evidence="coco") == ordered
    assert instrument_documents(ordered, evidence="tdx") == instrument_documents([SPEC], evidence="tdx")


def test_what_the_author_wrote_of_the_pod_stays() -> None:
    other = {"name": "RUN", "fieldPath": "metadata.labels['pipeline/runid']"}
    stale = {"name": VARIABLE, "fieldPath": "metadata.name"}
    metadata = {"labels": {"team": "risk"}, "annotations": {"note": 'say "none"\n'}}
    before = platform_of(fieldPathAsEnv=[stale, other], podMetadata=metadata, pvcMount=[{"mountPath": "/d"}])
    _, after = instrument_documents([SPEC, before], evidence="tdx")
    assert after == platform_of(
        fieldPathAsEnv=[other, FIELD],
        podMetadata={"labels": {"team": "risk"}, "annotations": {"note": 'say "none"\n', ANNOTATION: "tdx"}},
        pvcMount=[{"mountPath": "/d"}],
    )
    assert before["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-a"]["fieldPathAsEnv"] == [
        stale,
        other,
    ]


def test_an_annotation_of_the_authors_chooses_by_itself() -> None:
    _, platform = instrument_documents([SPEC, annotated("coco")])
    executor = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-a"]
    assert executor["podMetadata"]["annotations"] == {ANNOTATION: "coco"}


@pytest.mark.parametrize("lie", ["none", "simulated", "coco"])
def test_a_pipeline_that_orders_one_and_annotates_another_is_refused(lie: str) -> None:
    with pytest.raises(DocumentError, match=f"a: the pipeline orders evidence of 'tdx'.*{ANNOTATION} says '{lie}'"):
        instrument_documents([SPEC, annotated(lie)], evidence="tdx")


def test_a_pipeline_without_containers_needs_no_platform() -> None:
    empty = {**SPEC, "deploymentSpec": {"executors": {}}, "components": {}}
    assert instrument_documents([empty]) == [empty]
    version = {"kind": "PipelineVersion", "spec": {"pipelineSpec": empty}}
    assert instrument_documents([version]) == [version]


@pytest.mark.parametrize(
    "platform",
    [
        {"platforms": []},
        {"platforms": {"kubernetes": "x"}},
        {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a": 1}}}}},
        platform_of(fieldPathAsEnv={}),
        platform_of(fieldPathAsEnv=["x"]),
        platform_of(podMetadata="x"),
        platform_of(podMetadata={"annotations": []}),
    ],
)
def test_malformed_platform_specs_are_refused(platform: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="not a"):
        instrument_platform(platform, {}, {"exec-a": "tdx"})


# ------------------------------------------------------------------------------------------------ what a step hears


def chosen(flag: str = "", annotation: str | None = None, environment: str | None = None) -> str:
    said = {VARIABLE: annotation, "ATLAS_EVIDENCE": environment}
    flags = ["--evidence", flag] if flag else []
    return parse([*ARGV, *flags, "--", "true"], {name: v for name, v in said.items() if v is not None}).evidence


@pytest.mark.parametrize(
    ("flag", "annotation", "environment", "provider"),
    [
        ("", None, None, "none"),
        ("", "", "", "none"),  # Kubernetes writes an empty value where the annotation is missing
        ("", "coco", None, "coco"),
        ("", "coco", "", "coco"),
        ("", "coco", "coco", "coco"),
        ("coco", "coco", "coco", "coco"),
        ("coco", "", None, "coco"),
        ("", "", "tdx", "tdx"),
        ("", "none", None, "none"),
    ],
)
def test_who_names_a_provider_chooses_it(
    flag: str, annotation: str | None, environment: str | None, provider: str
) -> None:
    assert chosen(flag, annotation, environment) == provider


@pytest.mark.parametrize(
    ("flag", "annotation", "environment"),
    [
        ("tdx", "none", None),
        ("tdx", "simulated", None),
        ("none", "tdx", None),
        ("", "tdx", "none"),
        ("", "none", "tdx"),
        ("", "coco", "tdx"),
        ("tdx", "tdx", "coco"),
        ("tdx", "coco", "tdx"),
        ("coco", "tdx", "tdx"),
        ("", "tdx ", "tdx"),
        ("", "TDX", "tdx"),
    ],
)
def test_sources_that_differ_are_refused_and_named(flag: str, annotation: str, environment: str | None) -> None:
    with pytest.raises(StepError) as caught:
        chosen(flag, annotation, environment)
    words = str(caught.value)
    assert f"the pod's annotation atlas.dev/evidence says {annotation!r}" in words
    assert not flag or f"the pipeline orders evidence of {flag!r}" in words
    assert not environment or f"ATLAS_EVIDENCE says {environment!r}" in words
    assert "the same provider" in caught.value.mend


def test_a_step_whose_pod_is_annotated_shows_evidence(runner: StepRunner, home: Home) -> None:
    assert make_simulator(home, now())
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command), ATLAS_POD_EVIDENCE="simulated")
    assert (code, out) == (0, "ran\n"), err
    manifest = parse_manifest((runner.provenance / "model.c2pa").read_bytes())
    assert manifest.statement.evidence == "simulated"
    assert manifest.evidence


@pytest.mark.parametrize("unknown", ["sgx", "simulated\nnone", "coco,tdx", '"coco"', " "])
def test_an_annotation_that_names_no_provider_stops_the_step(runner: StepRunner, unknown: str) -> None:
    told, command = write_model(runner)
    code, out, err = runner.run(runner.argv(told, *command), ATLAS_POD_EVIDENCE=unknown)
    assert (code, out) == (2, "")
    assert f"there is no evidence provider {unknown!r}" in err
    assert "none, simulated, tdx, coco" in err
    assert not runner.deposits()
