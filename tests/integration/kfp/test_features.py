"""Each feature of kfp's local runner under instrumentation: what ran is signed, and links lead to parents."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, components, dsl
from kfp.dsl import Dataset

from atlas.artifact import EMPTY_SHA256, Kind, measure, parse_index
from atlas.errors import DocumentError
from atlas.statement import parse_statement
from atlas_components import instrument
from atlas_components.documents import dump_documents, read_documents, write_text
from atlas_components.ir import instrument_documents, pipelines
from integration.kfp import pipelines as p
from integration.kfp.support import Laboratory, Trace, step_of


def test_a_chain_of_four_steps_closes(lab: Laboratory) -> None:
    trace = lab.run_well(p.chain, rows=5)
    assert set(trace.statements) == {"ingest", "prepare", "fit", "evaluate"}
    trace.assert_link("prepare", "raw", ("ingest", "raw"))
    trace.assert_link("fit", "train", ("prepare", "train"))
    trace.assert_link("evaluate", "model", ("fit", "model"))
    trace.assert_link("evaluate", "metrics", ("fit", "metrics"))
    for task, statement in trace.statements.items():
        step = step_of(statement)
        assert (step.pipeline, step.run, step.component) == ("chain", trace.run.run_id, task)
        assert (step.attempt, step.image, step.exit_code) == (0, "python:3.11", 0)
        assert not statement.unmeasured
    assert trace.statements["ingest"].parameters == {"rows": 5}
    assert trace.input("prepare", "raw").schema == "system.Dataset"
    assert not any(e.changed or e.pinned for s in trace.statements.values() for e in s.inputs)
    assert len({step_of(s).code_sha256 for s in trace.statements.values()}) == 4

    # a directory is a tree, whose index lies beside the sidecar
    model = trace.output("fit", "model")
    assert (model.kind, model.files) == (Kind.TREE, 2)
    folder = trace.run.output
    assert folder is not None
    index = (folder / "fit/atlas_provenance/model.index").read_bytes()
    assert hashlib.sha256(index).hexdigest() == model.sha256
    assert set(parse_index(index)) == {"weights/a", "b"}
    assert measure(Path(model.uri)).sha256 == model.sha256

    # metrics are their metadata, alike on both sides of a hop
    metrics = trace.output("fit", "metrics")
    assert metrics.properties == {"accuracy": 0.75, "rows": 7, "huge": 2.0**53}
    assert trace.input("evaluate", "metrics").kind is Kind.PROPERTIES
    properties = (folder / "fit/atlas_provenance/metrics.json").read_bytes()
    assert hashlib.sha256(properties).hexdigest() == metrics.sha256

    # a step without artifacts has a manifest of its statement
    assert trace.manifests["evaluate", ""].output is None

    # the home's inbox holds the same files
    assert len(trace.deposits) == 4
    for deposit in trace.deposits:
        task = step_of(parse_statement((deposit / "statement.json").read_bytes())).task
        provenance = folder / task / "atlas_provenance"
        assert {e.name: e.read_bytes() for e in deposit.iterdir()} == {
            e.name: e.read_bytes() for e in provenance.iterdir()
        }


def test_control_flow_keeps_every_link(lab: Laboratory) -> None:
    trace = lab.run_well(p.flow)
    tasks = set(trace.statements)
    loop = sorted(each for each in tasks if each.startswith("for-loop") and "iteration" in each)
    assert len(loop) == 5, tasks
    assert len({trace.output(each, "out").sha256 for each in loop}) == 5
    parts = trace.statements["concatenate"].inputs
    assert [each.position for each in parts] == [0, 1, 2]
    collected = {task: m for (task, _), m in trace.manifests.items() if task in loop}
    boxes = {each.box_sha256 for each in collected.values()}
    assert len({each.link.box_sha256 for each in parts if each.link} & boxes) == 3
    assert all(each.link and each.sha256 == each.link.asset_sha256 for each in parts)
    made = [each for each in tasks - set(loop) if step_of(trace.statements[each]).component == "make"]
    assert len(made) == 2, tasks  # the nested pipeline's, and that of the branch taken
    nested = trace.statements["use"].inputs[0]
    assert nested.link is not None
    assert nested.link.box_sha256 in {trace.manifests[each, "out"].box_sha256 for each in made}
    assert 30 in [trace.statements[each].parameters["i"] for each in made]
    assert trace.statements["final"].parameters["status"]["state"] == "SUCCEEDED"


def test_whatever_a_step_does_to_its_artifacts_is_recorded(lab: Laboratory) -> None:
    trace = lab.run_well(p.oddities)
    statement = trace.statements["odd"]
    assert statement.parameters == {"big": str(2**53 + 2)}
    assert trace.input("odd", "source").changed
    assert trace.output("odd", "empty").sha256 == EMPTY_SHA256
    assert trace.unmeasured("odd", "absent").reason == "never written"
    elsewhere = trace.unmeasured("odd", "elsewhere")
    assert elsewhere.uri == "gs://elsewhere/model"
    assert elsewhere.reason.startswith("written elsewhere")
    assert trace.output("odd", "noted").properties == {"seven": 7, "nested": {"list": [1, 2.5, None, True]}}
    assert {e.name for e in statement.outputs} | {e.name for e in statement.unmeasured} == {
        "empty", "absent", "elsewhere", "noted", "copied",
    }  # fmt: skip
    trace.assert_link("use-2", "it", ("odd", "noted"))
    # an empty artifact has no manifest to link to
    assert trace.input("use", "it").sha256 == EMPTY_SHA256
    assert trace.input("use", "it").link is None
    # metadata copied from an input does not make the input's manifest the output's
    trace.assert_link("use-3", "it", ("odd", "copied"))


def test_an_artifact_that_the_step_returns_is_linked(lab: Laboratory) -> None:
    trace = lab.run_well(p.returned)
    trace.assert_link("use", "it", ("pythonic", "Output"))
    assert trace.output("pythonic", "Output").uri.endswith("data.txt")


def test_each_attempt_is_signed_and_counted(lab: Laboratory, tmp_path: Path) -> None:
    trace = lab.run_well(p.retried, marker=str(tmp_path / "marker"))
    signed = [step_of(parse_statement((each / "statement.json").read_bytes())) for each in trace.deposits]
    assert sorted((each.attempt, each.exit_code) for each in signed) == [(0, 3), (1, 0)]
    assert step_of(trace.statements["flaky"]).attempt == 1


def test_a_failing_step_is_signed_and_keeps_its_exit_code(lab: Laboratory, tmp_path: Path) -> None:
    trace = lab.run(p.fails, marker=str(tmp_path / "marker"))
    assert not trace.run.ok
    assert "flaky" in trace.run.error
    assert set(trace.statements) == {"flaky"}
    assert step_of(trace.statements["flaky"]).exit_code == 3
    assert len(trace.deposits) == 1


def importing(uri: Path, metadata: dict[str, Any]) -> Any:
    @dsl.pipeline(name="imports")  # type: ignore[untyped-decorator]
    def imports() -> None:
        p.use(it=dsl.importer(artifact_uri=str(uri), artifact_class=Dataset, metadata=metadata).output)

    return imports


def test_importers_are_measured_and_pins_enforced(lab: Laboratory, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"imported")
    digest = hashlib.sha256(b"imported").hexdigest()

    unpinned = lab.run_well(importing(data, {"source": "x"})).input("use", "it")
    assert (unpinned.sha256, unpinned.pinned, unpinned.link) == (digest, False, None)

    assert lab.run_well(importing(data, {"atlas_expected_sha256": digest})).input("use", "it").pinned

    wrong = lab.run(importing(data, {"atlas_expected_sha256": "0" * 64}))
    assert not wrong.run.ok
    said = "\n".join(wrong.run.tail)
    assert "input it" in said
    assert digest in said
    assert "0" * 64 in said
    assert "mend: " in said
    assert not wrong.deposits
    assert "KFP" not in said  # the user's command never began

    absent = lab.run_well(importing(tmp_path / "absent", {"source": "x"}))
    assert absent.unmeasured("use", "it").direction == "input"


def test_a_cached_step_is_not_signed_again_and_its_manifest_still_serves(lab: Laboratory) -> None:
    first = lab.run_well(p.cached, cache=True)
    assert len(first.deposits) == 2
    again = lab.run_well(p.cached, cache=True)
    assert again.deposits == []
    assert again.run.output is None
    changed = lab.run_well(p.cached, cache=True, flag=2)
    assert set(changed.statements) == {"judge"}
    link = changed.input("judge", "it").link
    assert link is not None
    assert link.box_sha256 == first.manifests["make", "out"].box_sha256


def test_a_container_component_needs_no_python(lab: Laboratory) -> None:
    trace = lab.run_well(p.shells)
    trace.assert_link("use", "it", ("shell", "out"))
    made = trace.output("shell", "out")
    assert Path(made.uri).read_text() == "hello\n"
    assert step_of(trace.statements["shell"]).image == "alpine"


def test_a_component_used_twice_keeps_its_name_and_code(lab: Laboratory) -> None:
    trace = lab.run_well(p.twice)
    assert set(trace.statements) == {"make", "make-2", "use", "use-2"}
    first, second = (step_of(trace.statements[each]) for each in ("make", "make-2"))
    assert first.component == second.component == "make"
    assert first.code_sha256 == second.code_sha256
    trace.assert_link("use", "it", ("make", "out"))
    trace.assert_link("use-2", "it", ("make-2", "out"))


def compiled(tmp_path: Path, pipeline: Any, **options: Any) -> Path:
    path = tmp_path / "compiled.yaml"
    compiler.Compiler().compile(pipeline, str(path), **options)
    return path


def run_file(lab: Laboratory, path: Path) -> Trace:
    return lab.run_well(components.load_component_from_file(str(path)))


def test_a_compiled_file_runs_instrumented(lab: Laboratory, tmp_path: Path) -> None:
    path = compiled(tmp_path, p.returned)
    write_text(path, dump_documents(instrument_documents(read_documents(path))))
    trace = run_file(lab, path)  # run_locally instruments once more
    trace.assert_link("use", "it", ("pythonic", "Output"))


def test_a_kubernetes_manifest_is_instrumented_in_place(lab: Laboratory, tmp_path: Path) -> None:
    path = compiled(tmp_path, p.returned, kubernetes_manifest_format=True)
    before = read_documents(path)
    after = instrument_documents(before)
    assert [each["kind"] for each in after] == [each["kind"] for each in before]
    assert "PipelineVersion" in [each["kind"] for each in after]
    (spec, _), *others = pipelines(after)
    assert not others
    write_text(path, dump_documents([spec]))
    run_file(lab, path).assert_link("use", "it", ("pythonic", "Output"))


def test_a_single_component_is_instrumented_as_a_new_pipeline(lab: Laboratory) -> None:
    before = p.make.pipeline_spec
    instrumented = instrument(p.make)
    assert p.make.pipeline_spec == before

    @dsl.pipeline(name="single")  # type: ignore[untyped-decorator]
    def single() -> None:
        instrumented(i=3)
        p.use(it=p.make(i=4).outputs["out"])

    trace = lab.run_well(single)
    assert {step_of(each).component for each in trace.statements.values()} == {"make", "use"}


def test_outputs_of_traced_and_nested_pipelines_stay_as_they_were(lab: Laboratory) -> None:
    assert instrument(p.inner) is p.inner

    @dsl.pipeline(name="outer")  # type: ignore[untyped-decorator]
    def outer() -> None:
        p.use(it=p.inner(i=1).output)

    assert len(lab.run_well(outer).statements) == 2


def _serialized(pipeline: Any) -> tuple[bytes, ...]:
    return tuple(
        each.SerializeToString(deterministic=True) for each in (pipeline.pipeline_spec, pipeline.platform_spec)
    )


def test_instrumenting_twice_changes_nothing() -> None:
    once = _serialized(instrument(p.flow))
    assert b"atlas-run" in once[0]
    assert b"ATLAS_POD_EVIDENCE" in once[1]
    assert _serialized(instrument(p.flow)) == once


def test_a_pipeline_in_python_is_compiled_with_its_pods_annotations(lab: Laboratory, tmp_path: Path) -> None:
    @dsl.pipeline(name="annotated")  # type: ignore[untyped-decorator]
    def annotated() -> None:
        p.use(it=p.make(i=4).outputs["out"])

    path = compiled(tmp_path, instrument(annotated, evidence="coco"))
    _, platform = read_documents(path)
    assert platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"] == {
        label: {
            "fieldPathAsEnv": [
                {"name": "ATLAS_POD_EVIDENCE", "fieldPath": "metadata.annotations['atlas.dev/evidence']"}
            ],
            "podMetadata": {"annotations": {"atlas.dev/evidence": "coco"}},
        }
        for label in ("exec-make", "exec-use")
    }
    assert components.load_component_from_file(str(path)).platform_spec == annotated.platform_spec


def test_what_is_no_pipeline_is_refused() -> None:
    with pytest.raises(DocumentError, match="not a pipeline"):
        instrument(lambda: None)


GOLDEN = Path(__file__).parent / "golden"


def test_the_instrumented_form_is_stable() -> None:
    """A change here voids every cache and every list of allowed code: change it knowingly."""
    before = read_documents(GOLDEN / "shells.yaml")
    expected = (GOLDEN / "shells.instrumented.yaml").read_text()
    assert dump_documents(instrument_documents(before)) == expected
