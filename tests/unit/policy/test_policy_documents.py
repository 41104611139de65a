"""Policy files: every mistake has its line, and none makes a reader slow or fall over."""

import datetime as dt
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from atlas import document
from atlas.errors import DocumentError, InputError
from atlas.policy import default_policy, load_policy
from atlas.policy.schema import Policy, parse_policy

HEAD = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: test}\n"
DIGEST = "sha256:" + "ab" * 32


def _refused(text: str | bytes) -> str:
    with pytest.raises(DocumentError) as caught:
        parse_policy(text if isinstance(text, bytes) else text.encode(), "policy.yaml")
    message = str(caught.value)
    assert message.startswith("policy.yaml")
    return message


FULL: dict[str, Any] = {
    "steps": {"required": ["scan"], "images": ["a@sha256:1"], "code": {"train": [DIGEST]}},
    "origins": {"digests": [DIGEST], "publishers": [DIGEST], "steps": ["import"], "pinned": False},
    "evidence": "required",
    "log": "optional",
    "maxAge": "90d",
    "metrics": [{"step": "evaluate", "artifact": "metrics", "name": "accuracy", "min": 0.9, "max": 1.0}],
    "denied": [DIGEST],
    "unmeasured": ["train.logs"],
}


def _policy(spec: dict[str, Any], name: str = "test") -> Policy:
    whole = {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": name}, "spec": spec}
    return parse_policy(json.dumps(whole).encode())


def test_every_field_is_read() -> None:
    spec = _policy(FULL).spec
    assert spec.steps.required == ("scan",)
    assert spec.steps.images == ("a@sha256:1",)
    assert spec.steps.code == {"train": ("ab" * 32,)}
    assert (spec.origins.digests, spec.origins.publishers) == (("ab" * 32,), ("ab" * 32,))
    assert (spec.origins.steps, spec.origins.pinned) == (("import",), False)
    assert spec.log == "optional"
    assert spec.evidence.required
    assert not spec.evidence.allow_simulated
    assert spec.max_age == dt.timedelta(days=90)
    assert (spec.metrics[0].min, spec.metrics[0].max, spec.metrics[0].artifact) == (0.9, 1.0, "metrics")
    assert (spec.denied, spec.unmeasured) == (("ab" * 32,), ("train.logs",))


def test_yaml_and_json_are_one_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + f"spec:\n  maxAge: 12h\n  denied:\n  - {DIGEST}  # leaked\n", encoding="utf-8")
    assert load_policy(path).sha256 == _policy({"maxAge": "12h", "denied": [DIGEST]}).sha256


@pytest.mark.parametrize(("text", "expected"), [("90d", 7_776_000), ("12h", 43_200), ("30m", 1800), ("0m", 0)])
def test_durations(text: str, expected: int) -> None:
    age = _policy({"maxAge": text}).spec.max_age
    assert age is not None
    assert age.total_seconds() == expected


# ------------------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("spec", "line", "field", "message"),
    [
        ("  colour: red\n", 5, "spec.colour", "unknown field"),
        ("  log: required\n  steps:\n    images: []\n    image: [x]\n", 8, "spec.steps.image", "unknown field"),
        ("  origins:\n    digest: [x]\n", 6, "spec.origins.digest", "unknown field"),
        ("  denied:\n  - sha256:abc\n", 6, "spec.denied.0", "a digest is written sha256: and 64"),
        (f"  denied:\n  - {DIGEST}\n  - {DIGEST.upper()}\n", 7, "spec.denied.1", "a digest is written"),
        (f"  denied: ['{'ab' * 32}']\n", 5, "spec.denied.0", "a digest is written"),
        (f'  denied: ["{DIGEST}\\n"]\n', 5, "spec.denied.0", "a digest is written"),
        ("  steps:\n    code:\n      train: [x]\n", 7, "spec.steps.code.train.0", "a digest is written"),
        ("  maxAge: 90\n", 5, "spec.maxAge", "a duration is written as"),
        ("  maxAge: 90 d\n", 5, "spec.maxAge", "a duration is written as"),
        ("  maxAge: -5d\n", 5, "spec.maxAge", "a duration is written as"),
        ("  maxAge: 1w\n", 5, "spec.maxAge", "a duration is written as"),
        ("  maxAge: 9999999d\n", 5, "spec.maxAge", "a duration is written as"),
        ("  maxAge: 2026-01-31\n", 5, "spec.maxAge", "a duration is written as"),
        ("  log: maybe\n", 5, "spec.log", "Input should be 'required' or 'optional'"),
        ("  log: yes\n", 5, "spec.log", "Input should be 'required' or 'optional'"),
        ("  steps:\n    required: scan\n", 6, "spec.steps.required", "valid tuple"),
        ("  steps:\n    required: [1]\n", 6, "spec.steps.required.0", "valid string"),
        ("  metrics:\n  - {step: a, artifact: b, name: c}\n", 6, "spec.metrics.0", "a metric needs min, max or both"),
        ("  metrics:\n  - step: a\n    artifact: b\n    min: 1\n", 6, "spec.metrics.0.name", "Field required"),
        ("  metrics:\n  - {step: a, artifact: b, name: c, min: .nan}\n", 6, "spec.metrics.0.min", "finite number"),
        ("  metrics:\n  - {step: a, artifact: b, name: c, max: .inf}\n", 6, "spec.metrics.0.max", "finite number"),
        ("  metrics:\n  - {step: a, artifact: b, name: c, max: high}\n", 6, "spec.metrics.0.max", "valid number"),
        ("  1: 2\n", 5, "spec.1", "Keys should be strings"),
        ("  steps:\n", 5, "spec.steps", "valid dictionary"),
    ],
)
def test_mistake_has_its_line_and_field(spec: str, line: int, field: str, message: str) -> None:
    said = _refused(f"{HEAD}spec:\n{spec}")
    assert said.startswith(f"policy.yaml:{line}: {field}: ")
    assert message in said


def test_all_mistakes_are_said_at_once() -> None:
    said = _refused(f"{HEAD}spec:\n  colour: red\n  maxAge: soon\n").splitlines()
    assert [each.split(": ")[0] for each in sorted(said)] == ["policy.yaml:5", "policy.yaml:6"]


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("", "policy.yaml: the file is empty"),
        ("# nothing but a comment\n", "policy.yaml: the file is empty"),
        (b"\xff\xfe\x00", "policy.yaml: not YAML: 'utf-8' codec"),
        (HEAD.encode() + b"spec: {log: \xe9}\n", "policy.yaml: not YAML: 'utf-8' codec"),
        ("a: \0", "policy.yaml: not YAML"),
        ("a: [1, 2\nb: 3\n", "policy.yaml:2: not YAML: "),
        ("a: b: c\n", "policy.yaml:1: not YAML: mapping values are not allowed here"),
        (HEAD + "spec: {}\nspec: {}\n", "policy.yaml:5: the field 'spec' stands here twice"),
        (HEAD + "spec:\n  log: required\n\n  log: optional\n", "policy.yaml:7: the field 'log' stands here twice"),
        ('{"kind": "x",\n "kind": "y"}', "policy.yaml:2: the field 'kind' stands here twice"),
        (HEAD + "spec: {}\n---\n" + HEAD, "policy.yaml:5: not YAML: but found another document"),
        ("[a, b]: c\n", "policy.yaml:1: a field's name must be text"),
        ("- a\n", "policy.yaml:1: document: Input should be a valid dictionary"),
        ("just text\n", "policy.yaml:1: document: Input should be a valid dictionary"),
        (HEAD + "spec:\n  <<: {log: optional}\n", "policy.yaml:5: not YAML: could not determine a constructor"),
        (HEAD + "spec:\n  maxAge: 2026-02-30\n", "policy.yaml:5: day is out of range for month"),
        (HEAD + "spec: !!python/name:os.system x\n", "policy.yaml:4: not YAML: could not determine a constructor"),
        (HEAD + "spec: !!int ''\n", "policy.yaml:4: "),
        (HEAD + "spec: !!bool perhaps\n", "policy.yaml:4: "),
        (HEAD + "spec: !!timestamp now\n", "policy.yaml:4: "),
        (HEAD + "!!seq x: 1\n", "policy.yaml:4: not YAML: expected a sequence node"),
        (HEAD + "spec: {log: 0x_}\n", "policy.yaml:4: "),
        (HEAD.replace("name: test", 'name: "\\ud800"') + "spec: {}\n", "policy.yaml:3: 'utf-8' codec"),
    ],
)
def test_what_is_no_policy(text: str | bytes, begin: str) -> None:
    assert _refused(text).startswith(begin)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (HEAD.replace("v1alpha1", "v2") + "spec: {}\n", "policy.yaml:1: apiVersion: "),
        (HEAD.replace("LineagePolicy", "TrustRoot") + "spec: {}\n", "policy.yaml:2: kind: "),
        (HEAD + "spec: {}\nstatus: {}\n", "policy.yaml:5: status: unknown field"),
        (HEAD, "policy.yaml:1: spec: Field required"),
        (HEAD + "spec:\n", "policy.yaml:4: spec: Input should be a valid dictionary"),
        (HEAD.replace("{name: test}", "{}") + "spec: {}\n", "policy.yaml:3: metadata.name: Field required"),
    ],
)
def test_wrong_kind(text: str, field: str) -> None:
    assert _refused(text).startswith(field)


def _bomb() -> str:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_bomb(), "too many|over"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("a: &a {b: *a}\n", "nested too deeply"),
        ("[" * 20_000, "nested too deeply|recursion"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply"),
        ("- " * 20_000, "nested too deeply|recursion"),
        ("".join(" " * i + "a:\n" for i in range(500)), "nested too deeply|recursion"),
        ("- a\n" * 262_143, "over"),
        ("[" + "a," * 500_000 + "]", "over"),
        ("[" * 1_000_000, "nested too deeply"),
        ("a: " + "x" * document.MAX_BYTES, f"at most {document.MAX_BYTES}"),
        ("- a\n" * document.MAX_BYTES, f"at most {document.MAX_BYTES}"),
        ("{" + ",".join(f"k{i}: 1" for i in range(document.MAX_FIELDS + 1)) + "}", "over"),
    ],
    ids=[
        "bomb",
        "self",
        "self-map",
        "flow",
        "forty",
        "dashes",
        "indent",
        "dense",
        "dense-flow",
        "deep-flow",
        "long",
        "huge",
        "wide",
    ],
)
def test_what_would_take_long_is_refused(text: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "k1: 1" in text:
        monkeypatch.setattr(document, "MAX_FIELDS", 1000)
        text = "{" + ",".join(f"k{i}: 1" for i in range(1001)) + "}"
    reads = patch.object(document._Loader, "compose_node", autospec=True, side_effect=document._Loader.compose_node)
    builds = patch.object(document, "_build", side_effect=document._build)
    with reads as read, builds as built:
        said = _refused(text)
    handled = read.call_count + built.call_count
    assert handled <= 3 * document.MAX_FIELDS + 10, "it went on reading what it was to refuse"
    assert any(each in said for each in message.split("|")), said


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("{gpu: required}", "say `required: true`"),
        ("{reference: [], roots: [intel]}", "say `required: true`"),
        ("{tcb: {minEvaluation: 17}}", "say `required: true`"),
        ("requird", "write required, optional"),
        ("{required: 'on'}", "valid boolean"),
        ("{required: true, tcb: {deniedAdvisories: [intel-sa-00837]}}", "INTEL-SA"),
        ("{required: true, tcb: {minEvaluation: 99999999999999999999}}", "less than"),
        ("{required: true, reference: [{name: empty}]}", "at least one register"),
        ("{required: true, roots: intel}", "tuple"),
    ],
)
def test_evidence_rules_that_would_not_do_what_they_say(rules: str, message: str) -> None:
    assert message in _refused(HEAD + f"spec: {{evidence: {rules}}}\n")


def test_characters_that_there_are_none_of() -> None:
    assert _refused('a: "\\U00110000"\n').startswith("policy.yaml: not YAML")


def test_many_digests_are_no_bomb() -> None:
    digests = [f"sha256:{i:064x}" for i in range(3000)]
    assert len(_policy({"denied": digests}).spec.denied) == 3000


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError) as caught:
            load_policy(path)
        assert str(path) in str(caught.value)


# ------------------------------------------------------------------------------------------------ the digest


def test_digests_are_golden() -> None:
    """Verdicts name policies by these; they must never change."""
    assert default_policy().sha256 == "cbde65cd796532712e6dc3cf21bd6ceb7faefdeb76a5d61f682ece158c3c31e2"
    assert _policy(FULL).sha256 == "6cb08804219a061dacdac0b81978b783c05da9fbfc5d1d78eb1087dabe3176a1"


RATE = {"step": "train", "name": "rate", "equals": 1, "min": 0.1, "max": 2, "oneOf": [1, "x", True]}
CHANGES: list[dict[str, Any]] = [
    {"steps": {**FULL["steps"], "required": []}},
    {"steps": {**FULL["steps"], "required": ["scan", "test"]}},
    {"steps": {**FULL["steps"], "images": []}},
    {"steps": {**FULL["steps"], "images": None}},
    {"steps": {**FULL["steps"], "code": {}}},
    {"steps": {**FULL["steps"], "code": {"train": []}}},
    {"origins": {**FULL["origins"], "digests": []}},
    {"origins": {**FULL["origins"], "publishers": []}},
    {"origins": {**FULL["origins"], "publishers": None}},
    {"origins": {**FULL["origins"], "steps": []}},
    {"origins": {**FULL["origins"], "steps": None}},
    {"origins": {**FULL["origins"], "pinned": True}},
    {"origins": {**FULL["origins"], "ignored": [".gitattributes"]}},
    {"origins": {**FULL["origins"], "identities": [{"issuer": "i", "subject": "s"}]}},
    {"origins": {**FULL["origins"], "identities": [{"issuer": "i", "subject": "x"}]}},
    {"origins": {**FULL["origins"], "identities": [{"issuer": "x", "subject": "s"}]}},
    {"evidence": "optional"},
    {"log": "required"},
    {"maxAge": "91d"},
    {"maxAge": "90m"},
    {"metrics": []},
    *({"metrics": [{**FULL["metrics"][0], name: "x"}]} for name in ("step", "artifact", "name")),
    {"metrics": [{**FULL["metrics"][0], "min": 0.91}]},
    {"metrics": [{**FULL["metrics"][0], "max": None}]},
    {"parameters": [RATE]},
    *({"parameters": [{**RATE, name: "x"}]} for name in ("step", "name", "equals")),
    *({"parameters": [{**RATE, name: 1.5}]} for name in ("min", "max")),
    {"parameters": [{**RATE, "equals": True}]},
    {"parameters": [{**RATE, "oneOf": []}]},
    {"denied": []},
    {"unmeasured": []},
]


def test_digest_changes_with_every_field() -> None:
    digests = [_policy(FULL).sha256, _policy(FULL, "other").sha256]
    digests += [_policy({**FULL, **each}).sha256 for each in CHANGES]
    assert len(set(digests)) == 2 + len(CHANGES)
    shorter = [{name: value for name, value in FULL.items() if name != left_out} for left_out in FULL]
    assert _policy(FULL).sha256 not in {_policy(each).sha256 for each in shorter}


ORIGINS = FULL["origins"]
WHO = {"issuer": "https://issuer.example", "subject": "builder@example.com"}
NEWER: dict[str, tuple[Any, Any]] = {
    "timestamp": ("optional", "required"),
    "parameters": ([], [RATE]),
    "origins": (
        {**ORIGINS, "ignored": [], "identities": []},
        {**ORIGINS, "ignored": ["README.md"], "identities": [WHO]},
    ),
}
"""Rules that the first Atlas did not know: their default, which leaves the digest as it was, and another value."""


@pytest.mark.parametrize("name", NEWER)
def test_newer_rules_change_no_older_digest(name: str) -> None:
    default, other = NEWER[name]
    assert _policy({**FULL, name: default}).sha256 == _policy(FULL).sha256
    assert _policy({**FULL, name: other}).sha256 != _policy(FULL).sha256


def test_every_field_is_among_those_changes() -> None:
    spec = {**FULL, **{name: other for name, (_, other) in NEWER.items()}}
    written = parse_policy(
        json.dumps({**json.loads(_policy(spec).model_dump_json(by_alias=True)), "spec": spec}).encode()
    )
    assert written.sha256 == _policy(spec).sha256
    assert written.spec.model_fields_set == set(type(written.spec).model_fields)
    assert written.spec.steps.model_fields_set == set(type(written.spec.steps).model_fields)
    assert written.spec.origins.model_fields_set == set(type(written.spec.origins).model_fields)
    assert written.spec.metrics[0].model_fields_set == set(type(written.spec.metrics[0]).model_fields)
    assert written.spec.parameters[0].model_fields_set == set(type(written.spec.parameters[0]).model_fields)


def test_defaults_written_out_are_the_default() -> None:
    written = {"steps": {"required": []}, "origins": {"pinned": True}, "evidence": "optional", "log": "required"}
    assert _policy(written, "default").sha256 == default_policy().sha256
