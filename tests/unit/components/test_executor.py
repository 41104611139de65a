import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.artifact import measure_properties
from atlas.errors import MeasureError, StepError
from atlas.statement import Link
from atlas_components.executor import Artifact, parse_executor_input, parse_executor_output
from atlas_components.metadata import expected_of, hints, link_of, properties_of, without_hints
from atlas_components.parameters import parameters_of
from atlas_components.place import attempt_of, place_of
from atlas_components.privacy import Privacy

SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("artifact", "path"),
    [
        ({"uri": "gs://b/k"}, "/gcs/b/k"),
        ({"uri": "s3://b/k"}, "/s3/b/k"),
        ({"uri": "minio://b/k"}, "/minio/b/k"),
        ({"uri": "oci://r.io/m@sha256:00"}, "/oci/r.io_m@sha256:00"),
        ({"uri": "oci://r.io/m", "schema": "system.Model"}, "/oci/r.io_m/models"),
        ({"uri": "/plain/path"}, "/plain/path"),
        ({"uri": "https://x/y"}, ""),
        ({"uri": "file:///x"}, ""),
        ({"uri": ""}, ""),
        ({"uri": "s3://b/k", "custom_path": "/mine"}, "/mine"),
        ({"uri": "s3://b/k", "metadata": {"_kfp_workspace": True}}, "/kfp-workspace/.artifacts/s3/b/k"),
        ({"uri": "s3://b/k", "metadata": {"_kfp_workspace": "true"}}, "/s3/b/k"),
        ({"uri": "", "metadata": {"_kfp_workspace": True}}, ""),
    ],
)
def test_paths_are_those_of_kfp(artifact: dict[str, Any], path: str) -> None:
    assert Artifact("a", 0, **artifact).path == path


def outputs(**artifacts: Any) -> dict[str, Any]:
    provenance = {"artifacts": [{"uri": "/p"}]}
    return {"outputs": {"outputFile": "/o.json", "artifacts": {"atlas_provenance": provenance, **artifacts}}}


def test_lists_and_schemas_are_read_and_logs_left_out() -> None:
    document = outputs(**{"executor-logs": {"artifacts": [{"uri": "/l"}]}, "m": {"artifacts": [{"uri": "/m"}]}})
    document["outputs"]["parameters"] = {"n": {"outputFile": "/n"}}
    document["inputs"] = {
        "artifacts": {
            "xs": {
                "artifacts": [
                    {"uri": "/0", "type": {"schemaTitle": "system.Dataset"}},
                    {"uri": "/1", "type": {"instanceSchema": "title: system.Model\ntype: object"}},
                    {"uri": "/2", "customPath": "/c"},
                ]
            },
            "absent": {},
            "empty": {"artifacts": []},
        }
    }
    told = parse_executor_input(json.dumps(document))
    assert [(e.name, e.position, e.schema, e.path) for e in told.inputs] == [
        ("xs", 0, "system.Dataset", "/0"),
        ("xs", 1, "system.Model", "/1"),
        ("xs", 2, "", "/c"),
    ]
    assert [each.name for each in told.outputs] == ["m"]
    assert (told.provenance, told.output_file, told.parameter_files) == ("/p", "/o.json", ("/n",))


def test_a_step_without_a_place_for_its_provenance_is_refused() -> None:
    document = outputs()
    del document["outputs"]["artifacts"]["atlas_provenance"]
    with pytest.raises(StepError, match="no place for its provenance"):
        parse_executor_input(json.dumps(document))


def test_what_the_steps_code_says_of_an_output_wins() -> None:
    raw = b'{"artifacts": {"m": {"artifacts": [{"uri": "/new", "custom_path": "/c", "metadata": {"b": 2}}]}}}'
    applied = parse_executor_output(raw).applied(Artifact("m", 0, "/old", "s", metadata={"a": 1}))
    assert applied == Artifact("m", 0, "/new", "s", "/c", {"a": 1, "b": 2})
    untouched = Artifact("n", 0, "/old")
    assert parse_executor_output(raw).applied(untouched) == untouched
    assert parse_executor_output(b" \n").artifacts == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"[" * 100_000,
        b'{"a": ' * 200 + b"1" + b"}" * 200,
        b'{"a": 1, "a": 2}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"artifacts": []}',
        b'{"artifacts": {"m": []}}',
        b'{"artifacts": {"m": {"artifacts": {}}}}',
        b'{"artifacts": {"m": {"artifacts": ["x"]}}}',
        b'{"artifacts": {"m": {"artifacts": [{"uri": 1}]}}}',
        b'{"artifacts": {"m": {"artifacts": [{"uri": "a\\u0000b"}]}}}',
        b'{"artifacts": {"m": {"artifacts": [{"metadata": "x"}]}}}',
    ],
)
def test_malformed_output_is_refused(raw: bytes) -> None:
    with pytest.raises(StepError):
        parse_executor_output(raw)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["inputs", "outputs", "artifacts", "outputFile", "uri", "metadata", "type", "customPath", "m"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_json | st.binary())
def test_nothing_but_a_step_error_comes_out(value: Any) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value)
    with contextlib.suppress(StepError):
        parse_executor_input(raw)
    with contextlib.suppress(StepError):
        parse_executor_output(raw if isinstance(raw, bytes) else raw.encode())


def test_hints_lead_to_their_manifest() -> None:
    link = Link("urn:c2pa:x", SHA, SHA[::-1])
    assert link_of("i", {"mine": 1, **hints(link)}) == link
    assert link_of("i", {"mine": 1}) is None
    assert without_hints({"mine": 1, **hints(link), "atlas_expected_sha256": SHA}) == {"mine": 1}


@pytest.mark.parametrize("wrong", [7.0, "", "x" * 64, SHA.upper(), None])
def test_malformed_hints_are_refused(wrong: Any) -> None:
    good = hints(Link("urn:c2pa:x", SHA, SHA))
    with pytest.raises(StepError, match="malformed"):
        link_of("i", {**good, "atlas_manifest_sha256": wrong})
    if wrong is not None:
        with pytest.raises(StepError, match="not a SHA-256 digest"):
            expected_of("i", {"atlas_expected_sha256": wrong})


def test_properties_are_alike_before_and_after_kfp_carried_them() -> None:
    written = {"i": 7, "f": 0.5, "big": 2**53 + 1, "neg": -(2**60), "l": [1, {"n": 3}], "t": True, "s": "x"}
    carried = json.loads(json.dumps(written), parse_int=float)
    carried |= {"display_name": "d", "store_session_info": "{}", "_kfp_workspace": True, "atlas_sha256": SHA}
    assert properties_of(written) == properties_of(carried)
    assert properties_of(written)["big"] == 2.0**53
    assert measure_properties(properties_of(written)) == measure_properties(properties_of(carried))
    with pytest.raises(MeasureError):
        properties_of({"n": 10**400})


def test_parameters_keep_whole_numbers() -> None:
    values = {"a": 2**53 + 1, "b": [1e16, 1.5], "c": {"d": True}}
    assert parameters_of(values, Privacy()).told == {"a": str(2**53 + 1), "b": [1e16, 1.5], "c": {"d": True}}


RUN = "my-pipe-2026-11-24-01-02-03-000004"


@pytest.mark.parametrize(
    ("folder", "environment", "expected"),
    [
        (f"/r/{RUN}/t", {}, ("my-pipe", RUN, "t")),
        (f"/r/{RUN}/for-loop-2-iteration-0/mk-2", {}, ("my-pipe", RUN, "for-loop-2-iteration-0/mk-2")),
        (f"/r/{RUN}/t", {"ATLAS_RUN_ID": "a", "KFP_RUN_ID": "k", "ATLAS_PIPELINE": "p"}, ("p", "a", "t")),
        (f"/r/{RUN}/t", {"KFP_RUN_ID": "k"}, ("my-pipe", "k", "t")),
        ("/s3/b/root/pipe/run-1/task/salt", {"KFP_RUN_ID": "run-1"}, ("pipe", "run-1", "task/salt")),
        ("/x", {"ATLAS_RUN_ID": "a", "ATLAS_PIPELINE": "p"}, ("p", "a", "component")),
    ],
)
def test_places(folder: str, environment: dict[str, str], expected: tuple[str, str, str]) -> None:
    place = place_of(f"{folder}/executor_output.json", environment, "component")
    assert (place.pipeline, place.run, place.task) == expected


@pytest.mark.parametrize("environment", [{}, {"ATLAS_RUN_ID": "a"}, {"ATLAS_PIPELINE": "p"}])
def test_a_step_of_no_known_run_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(StepError, match="which run"):
        place_of("/x/executor_output.json", environment, "c")


@pytest.mark.parametrize("index", ["-1", "x", "²", "1" * 20])
def test_a_retry_index_is_a_number(index: str, tmp_path: Any) -> None:
    with pytest.raises(StepError, match="KFP_RETRY_INDEX"):
        attempt_of(tmp_path, {"KFP_RETRY_INDEX": index})
