import datetime as dt
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from atlas.artifact import Kind, measure_properties
from atlas.canonical import SAFE_INTEGER
from atlas.codes import Code
from atlas.errors import Rejected, StepError
from atlas.statement import (
    MAX_BYTES,
    TYPE_V1,
    TYPE_V2,
    Input,
    Link,
    Output,
    Publisher,
    Statement,
    Step,
    Unmeasured,
    dump_statement,
    output_of,
    parse_statement,
    safe_json,
)
from support.forge import output, source, statement, step

Document = dict[str, Any]

# ------------------------------------------------------------------------------------------------ round trip

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
digests = st.binary(max_size=4).map(lambda content: hashlib.sha256(content).hexdigest())
counts = st.integers(0, SAFE_INTEGER)
numbers = st.integers(-SAFE_INTEGER, SAFE_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)
times = st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(9999, 12, 31), timezones=st.just(dt.UTC))
links = st.builds(Link, label=texts, box_sha256=digests, asset_sha256=digests)
inputs = st.builds(
    Input,
    name=texts,
    position=counts,
    kind=st.sampled_from(Kind),
    sha256=digests,
    size=counts,
    files=counts,
    uri=texts,
    schema=texts,
    changed=st.booleans(),
    pinned=st.booleans(),
    link=st.none() | links,
)
unmeasured = st.builds(
    Unmeasured, direction=st.sampled_from(["input", "output"]), name=texts, position=counts, uri=texts, reason=texts
)
makers = st.builds(Publisher, name=texts) | st.builds(
    Step,
    pipeline=texts,
    run=texts,
    task=texts,
    component=texts,
    attempt=counts,
    image=texts,
    code_sha256=digests,
    exit_code=counts,
)


@st.composite
def outputs(draw: st.DrawFn) -> Output:
    name, position, uri, schema = draw(texts), draw(counts), draw(texts), draw(texts)
    if draw(st.booleans()):
        return output_of(measure_properties(draw(objects)), name, position, uri, schema)
    kind = draw(st.sampled_from([Kind.FILE, Kind.TREE]))
    return Output(name, position, kind, draw(digests), draw(counts), draw(counts), uri, schema)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    started, ended = sorted([draw(times), draw(times)])
    maker = draw(makers)
    if isinstance(maker, Publisher):
        return Statement(maker, (draw(outputs()),), started, ended, evidence=draw(texts))
    return Statement(
        maker=maker,
        outputs=tuple(draw(st.lists(outputs(), max_size=3, unique_by=lambda each: (each.name, each.position)))),
        started=started,
        ended=ended,
        inputs=tuple(draw(st.lists(inputs, max_size=3))),
        unmeasured=tuple(draw(st.lists(unmeasured, max_size=2))),
        parameters=draw(objects),
        evidence=draw(texts),
    )


@given(statements())
def test_every_statement_reads_back_as_itself(stated: Statement) -> None:
    raw = dump_statement(stated)

    assert parse_statement(raw) == stated
    assert dump_statement(parse_statement(raw)) == raw


@pytest.mark.parametrize(
    "more",
    [
        {"outputs": ()},
        {"outputs": (output(), output(name="other"))},
        {"inputs": (source(),)},
        {"parameters": {"a": 1}},
        {"unmeasured": (Unmeasured("input", "a", 0, "", "because"),)},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_publisher_vouches_for_one_artifact_and_nothing_else(more: dict[str, Any]) -> None:
    stated = statement(maker=Publisher("p"), **more)

    assert refused(dump_statement(stated)).code is Code.STATEMENT_MALFORMED


@given(st.binary(max_size=300) | objects.map(lambda each: rfc8785.dumps({"type": TYPE_V1, **each})))
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        parse_statement(raw)
    assert caught.value.code.startswith("Statement")


def test_the_bytes_are_fixed_for_ever() -> None:
    stated = Statement(
        maker=Publisher("Example Ltd."),
        outputs=(Output("data", 0, Kind.FILE, "0" * 64, 5, 1, "s3://b/d", "system.Dataset"),),
        started=dt.datetime(2026, 1, 31, 23, 59, 59, 1, tzinfo=dt.UTC),
        ended=dt.datetime(2026, 2, 1, tzinfo=dt.UTC),
        parameters={"é": 1.0},
    )

    assert (
        dump_statement(stated)
        == (
            '{"ended":"2026-02-01T00:00:00.000000Z","evidence":"none","inputs":[],"outputs":[{"files":1,"kind":"file",'
            f'"name":"data","position":0,"properties":null,"schema":"system.Dataset","sha256":"{"0" * 64}","size":5,'
            '"uri":"s3://b/d"}],"parameters":{"é":1},"publisher":{"name":"Example Ltd."},'
            '"started":"2026-01-31T23:59:59.000001Z","type":"dev.atlas.statement/v1","unmeasured":[]}'
        ).encode()
    )


@pytest.mark.parametrize("number", [1e16, 2.0**53, -(2.0**60), 999999999999999900000.0, 1e21, 1e300, 5e-324])
def test_large_floats_read_back(number: float) -> None:
    stated = statement(
        parameters={"x": number}, outputs=(output_of(measure_properties({"metric": number}), "metrics"),)
    )

    assert parse_statement(dump_statement(stated)) == stated


def test_times_are_written_in_utc() -> None:
    east = dt.timezone(dt.timedelta(hours=2))
    time = dt.datetime(2026, 1, 31, 1, 0, tzinfo=east)

    assert parse_statement(dump_statement(statement(started=time, ended=time))).started == time


# ------------------------------------------------------------------------------------------------ what is refused


def changed(change: Callable[[Document], None], stated: Statement | None = None) -> bytes:
    """The canonical bytes of a changed statement."""
    document = json.loads(dump_statement(stated or statement()))
    change(document)
    return rfc8785.dumps(document)


def put(value: object, *path: str | int) -> Callable[[Document], None]:
    def change(document: Any) -> None:
        for each in path[:-1]:
            document = document[each]
        document[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[Document], None]:
    def change(document: Any) -> None:
        for each in path[:-1]:
            document = document[each]
        del document[path[-1]]

    return change


def refused(raw: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_statement(raw)
    return caught.value


def test_the_unchanged_one_is_accepted() -> None:
    assert parse_statement(changed(lambda _: None)) == statement()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff",
        b"[]",
        b'"text"',
        b"null",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"type":"dev.atlas.statement/v1","x":NaN}',
        b'{"type":"dev.atlas.statement/v1","x":Infinity}',
        b'{"type":"dev.atlas.statement/v1","x":1e999}',
        b'{"type":"dev.atlas.statement/v1","x":' + b"9" * 5000 + b"}",
        b'{"type":"dev.atlas.statement/v1","x":"\\ud800"}',
    ],
    ids=lambda raw: raw[:40].decode("latin-1"),
)
def test_not_a_json_object(raw: bytes) -> None:
    assert refused(raw).code is Code.STATEMENT_MALFORMED


PATHS: list[tuple[str | int, ...]] = [
    *[(name,) for name in ("inputs", "outputs", "unmeasured", "parameters", "started", "ended", "evidence", "step")],
    *[("inputs", 0, name) for name in json.loads(dump_statement(statement()))["inputs"][0]],
    *[("inputs", 0, "link", name) for name in ("label", "box_sha256", "asset_sha256")],
    *[("outputs", 0, name) for name in json.loads(dump_statement(statement()))["outputs"][0]],
    *[("step", name) for name in json.loads(dump_statement(statement()))["step"]],
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
class TestFields:
    def test_missing(self, path: tuple[str | int, ...]) -> None:
        assert refused(changed(drop(*path))).code is Code.STATEMENT_MALFORMED

    def test_of_another_type(self, path: tuple[str | int, ...]) -> None:
        assert refused(changed(put(0.5, *path))).code is Code.STATEMENT_MALFORMED

    def test_unknown_neighbour(self, path: tuple[str | int, ...]) -> None:
        assert refused(changed(put("x", *path[:-1], "surprise"))).code is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (put(True, "inputs", 0, "position"), "input.position"),
        (put(-1, "inputs", 0, "size"), "input.size"),
        (put(-1, "outputs", 0, "files"), "output.files"),
        (put(-1, "step", "attempt"), "step.attempt"),
        (put(1, "inputs", 0, "changed"), "input.changed"),
        (put("surprise", "inputs", 0, "kind"), "kind"),
        (put("", "outputs", 0, "kind"), "kind"),
        (put("A" * 64, "inputs", 0, "sha256"), "sha256"),
        (put("a" * 63, "outputs", 0, "sha256"), "sha256"),
        (put("a" * 64 + "\n", "outputs", 0, "sha256"), "sha256"),
        (put("", "step", "code_sha256"), "step.code_sha256"),
        (put("g" * 64, "inputs", 0, "link", "box_sha256"), "input.link.box_sha256"),
        (put("", "inputs", 0, "link", "asset_sha256"), "input.link.asset_sha256"),
        (put([], "inputs", 0, "link"), "input.link"),
        (put(["x"], "inputs"), "input: not an object"),
        (put([None], "outputs"), "output: not an object"),
        (put({}, "outputs", 0, "properties"), "output.properties"),
        (put("properties", "outputs", 0, "kind"), "output.properties"),
        (put({"name": "x"}, "publisher"), "publisher"),
        (put("2026-01-31T12:00:00Z", "started"), "not a time"),
        (put("2026-01-31T12:00:00.25Z", "started"), "not a time"),
        (put("2026-01-31 12:00:00.250000Z", "started"), "not a time"),
        (put("2026-01-31T12:00:00.250000+00:00", "started"), "not a time"),
        (put("2026-02-30T12:00:00.250000Z", "started"), "not a time"),
        (put("2026-1-31T12:00:00.250000Z", "started"), "not a time"),
        (put("2026-01-31T11:59:59.999999Z", "ended"), "ended before it started"),
        (
            put([{"direction": "sideways", "name": "x", "position": 0, "uri": "", "reason": ""}], "unmeasured"),
            "neither",
        ),
        (put([{"direction": "input", "name": "x", "position": 0, "uri": ""}], "unmeasured"), "unmeasured"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed(change: Callable[[Document], None], detail: str) -> None:
    rejected = refused(changed(change))

    assert rejected.code is Code.STATEMENT_MALFORMED
    assert detail in str(rejected)


def test_properties_of_another_digest() -> None:
    stated = statement(outputs=(output_of(measure_properties({"accuracy": 0.9}), "metrics"),))
    assert parse_statement(changed(lambda _: None, stated)) == stated

    rejected = refused(changed(put({"accuracy": 0.99}, "outputs", 0, "properties"), stated))

    assert rejected.code is Code.STATEMENT_MALFORMED
    assert "not the digest of its properties" in str(rejected)


def test_two_outputs_with_one_name_and_position() -> None:
    twice = (output(b"1"), output(b"2"))
    listed = (output(b"1"), output(b"2", position=1))

    assert parse_statement(dump_statement(statement(outputs=listed))).outputs == listed
    assert "one name and position" in str(refused(dump_statement(statement(outputs=twice))))


def test_neither_step_nor_publisher() -> None:
    def rename(document: Document) -> None:
        document["person"] = document.pop("step")

    assert refused(changed(rename)).code is Code.STATEMENT_MALFORMED


def test_publisher_with_the_fields_of_a_step() -> None:
    stated = statement(maker=Publisher("p"))

    assert refused(changed(put("train", "publisher", "task"), stated)).code is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize("version", ["dev.atlas.statement/v3", "", None, 1, ["dev.atlas.statement/v1"]])
def test_unknown_version(version: object) -> None:
    rejected = refused(changed(put(version, "type")))

    assert rejected.code is Code.STATEMENT_VERSION_UNKNOWN
    assert rejected.expected == f"{TYPE_V1} or {TYPE_V2}"
    assert rejected.found == str(version)


def test_no_version() -> None:
    assert refused(changed(drop("type"))).code is Code.STATEMENT_VERSION_UNKNOWN


def test_later_version_may_have_another_form() -> None:
    assert refused(b'{ "type": "dev.atlas.statement/v3" }').code is Code.STATEMENT_VERSION_UNKNOWN


@pytest.mark.parametrize(
    "form",
    [
        lambda raw: raw + b"\n",
        lambda raw: b" " + raw,
        lambda raw: raw.replace(b'"evidence":', b'"evidence": '),
        lambda raw: raw.replace(b'"epochs":3', b'"epochs":3.0'),
        lambda raw: raw.replace(b'"epochs":3', b'"epochs":3e0'),
        lambda raw: raw.replace(b'"epochs":3', b'"epochs":2,"epochs":3'),
        lambda raw: raw.replace(b'"none"', b'"\\u006eone"'),
        lambda raw: raw.replace(b"registry.example/", b"registry.example\\/"),
        lambda raw: raw.replace(b'"none"', b'"\\u00e9"'),
        lambda raw: raw.replace(b'"none"', b'"\\u007f"'),
        lambda raw: raw.replace(b'"none"', b'"\\u000A"'),
        lambda raw: raw.replace(b'"epochs":3', b'"epochs":-0'),
        lambda raw: raw.replace(b'"epochs":3', b'"epochs":9007199254740993'),
        lambda raw: json.dumps(dict(reversed(json.loads(raw).items())), separators=(",", ":")).encode(),
        lambda raw: raw.decode().encode("utf-16"),
    ],
    ids=[
        "lf",
        "leading",
        "space",
        "float",
        "exponent",
        "twice",
        "escape",
        "slash",
        "non-ascii",
        "del",
        "lf-escape",
        "-0",
        "inexact",
        "order",
        "utf-16",
    ],
)
def test_not_canonical(form: Callable[[bytes], bytes]) -> None:
    raw = dump_statement(statement())
    other = form(raw)

    assert other != raw
    assert refused(other).code is Code.STATEMENT_NOT_CANONICAL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"epochs":3', b'"epochs":NaN'),
        (b'"epochs":3', b'"epochs":-Infinity'),
        (b'"epochs":3', b'"epochs":1e999'),
        (b'"epochs":3', b'"epochs":' + b"9" * 400),
        (b'"none"', b'"\\ud800"'),
        (b'"run-1"', b'"\\udc00"'),
        (b'"epochs":3', b'"\\ud800":3'),
    ],
    ids=["nan", "infinity", "huge float", "huge int", "high surrogate", "low surrogate", "surrogate key"],
)
def test_what_json_libraries_take_and_json_does_not(old: bytes, new: bytes) -> None:
    raw = dump_statement(statement())

    assert refused(raw.replace(old, new)).code in (Code.STATEMENT_MALFORMED, Code.STATEMENT_NOT_CANONICAL)


@pytest.mark.parametrize(
    "text", ["\x7f", "\x00", "\x1f", "\n\b\f\r\t", "\\u0041", '"\\/', "\u2028", "\u00e9", "\U0001f600"]
)
def test_every_text_reads_back(text: str) -> None:
    stated = statement(parameters={"x": text, text: 0.5}, evidence=text)
    plain = statement(parameters={"x": text}, maker=step(run=text))

    assert parse_statement(dump_statement(stated)) == stated
    assert parse_statement(dump_statement(plain)) == plain


def test_byte_order_mark_is_refused() -> None:
    assert refused(b"\xef\xbb\xbf" + dump_statement(statement())).code in (
        Code.STATEMENT_MALFORMED,
        Code.STATEMENT_NOT_CANONICAL,
    )


# ------------------------------------------------------------------------------------------------ writing


def test_size_cap() -> None:
    room = MAX_BYTES - len(dump_statement(statement(parameters={"x": ""})))
    largest = dump_statement(statement(parameters={"x": "a" * room}))

    assert len(largest) == MAX_BYTES
    assert parse_statement(largest).parameters == {"x": "a" * room}
    with pytest.raises(StepError, match="is the most") as caught:
        dump_statement(statement(parameters={"x": "a" * (room + 1)}))
    assert "as artifacts" in caught.value.mend


def test_larger_than_the_cap_is_not_even_read() -> None:
    rejected = refused(b" " * (MAX_BYTES + 1))

    assert rejected.code is Code.STATEMENT_MALFORMED
    assert str(MAX_BYTES) in str(rejected)


def deep() -> list[object]:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**53, {1: 2}, {"a"}, "\ud800", {"\ud800": 1}, deep()],
    ids=["nan", "inf", "int", "key", "set", "surrogate", "surrogate key", "deep"],
)
def test_parameters_without_json(value: object) -> None:
    with pytest.raises(StepError, match="cannot be recorded as JSON"):
        dump_statement(statement(parameters={"x": value}))


def test_properties_are_part_of_the_output() -> None:
    made = output_of(measure_properties({"accuracy": 0.5}), "metrics", 2, "s3://m", "system.Metrics")

    assert made.properties == {"accuracy": 0.5}
    assert (made.name, made.position, made.kind, made.files) == ("metrics", 2, Kind.PROPERTIES, 0)
    assert made.sha256 == hashlib.sha256(b'{"accuracy":0.5}').hexdigest()


def test_failed_step_reads_back() -> None:
    stated = statement(maker=step(exit_code=137), inputs=(source(link=None),), outputs=())

    assert parse_statement(dump_statement(stated)) == stated


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        (SAFE_INTEGER, SAFE_INTEGER),
        (SAFE_INTEGER + 1, "9007199254740992"),
        (-SAFE_INTEGER, -SAFE_INTEGER),
        (-SAFE_INTEGER - 1, "-9007199254740992"),
        (True, True),
        (None, None),
        (1e300, 1e300),
        ("text", "text"),
        ([2**64, {"a": [2**64]}], ["18446744073709551616", {"a": ["18446744073709551616"]}]),
        ({1: 2}, {"1": 2}),
    ],
    ids=repr,
)
def test_safe_json(value: object, safe: object) -> None:
    made = safe_json(value)

    assert made == safe
    assert type(made) is type(safe)


@given(st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3)))
def test_safe_json_can_be_recorded(value: object) -> None:
    parameters = {"x": safe_json(value)}

    assert parse_statement(dump_statement(replace(statement(), parameters=parameters))).parameters == parameters
