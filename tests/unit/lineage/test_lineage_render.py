"""What drawings say, and that no name can make them say something else."""

import json
import re
from dataclasses import replace

import pytest

from atlas.lineage.picture import Arrow, draw, shorten_path, visible
from atlas.lineage.render import MAX_DEPTH, to_dot, to_json, to_mermaid, to_text
from unit.lineage import pictures
from unit.lineage.lineage_world import World, chain, found, sha
from unit.lineage.pictures import HOSTILE, judged

# ------------------------------------------------------------------------------------------------ the picture


def test_a_step_with_several_outputs_is_one_box(world: World) -> None:
    drawn = pictures.sound(world)
    picture = draw(drawn.lineage, drawn.verdict)
    assert [each.name for each in picture.steps] == ["fit", "prepare", "ACME"]
    assert [each.name for each in picture.artifacts] == ["model", "train", "test", "corpus.tar"]
    assert len(picture.steps) == drawn.verdict.steps
    names = {(picture.boxes[each.tail].name, picture.boxes[each.head].name, each.name) for each in picture.arrows}
    assert names == {
        ("ACME", "corpus.tar", "corpus.tar"),
        ("corpus.tar", "prepare", "raw"),
        ("prepare", "train", "train"),
        ("prepare", "test", "test"),
        ("train", "fit", "train"),
        ("test", "fit", "holdout"),
        ("fit", "model", "model"),
    }
    assert len(picture.arrows) == 7
    assert not any(each.findings for each in picture.parts)


def test_findings_are_where_they_belong(world: World) -> None:
    drawn = pictures.broken(world)
    picture = draw(drawn.lineage, drawn.verdict)
    boxes = {each.name: [one.code.value for one in each.findings] for each in picture.boxes.values() if each.findings}
    arrows = {
        (picture.boxes[each.tail].name, picture.boxes[each.head].name): [one.code.value for one in each.findings]
        for each in picture.arrows
        if each.findings
    }
    assert boxes == {
        "model": ["MetricMissing"],
        "prepare": ["StepFailed"],
        "words": ["UnattestedOrigin"],
        "base": ["ManifestMissing"],
        "logs": ["OutputUnmeasured"],
        "cache": ["InputUnmeasured"],
    }
    assert arrows == {("checkpoint", "tune"): ["LinkMismatch"], ("features", "train"): ["InputChanged"]}
    dashed = {each.name: each.detail for each in picture.boxes.values() if each.dashed}
    assert dashed == {
        "words": "no manifest",
        "tokens": "no manifest",
        "nothing": "empty",
        "base": "unverified",
        "logs": "output without digest: not mounted",
        "cache": "input without digest: not mounted",
    }


def test_every_finding_is_somewhere(world: World) -> None:
    for make in (pictures.broken, pictures.hostile, pictures.circle):
        drawn = make(world)
        picture = draw(drawn.lineage, drawn.verdict)
        marked = {one for each in picture.parts for one in each.findings}
        assert drawn.verdict.findings
        assert marked == set(drawn.verdict.findings)


def test_inputs_of_one_name_are_told_apart_by_the_digest(world: World) -> None:
    parts = [world.step(f"part-{i}") for i in range(3)]
    made = world.step("merge", [each.used("parts", position=i) for i, each in enumerate(parts)])
    world.settle()
    world.source.remove(parts[1])
    drawn = judged(world, made)
    picture = draw(drawn.lineage, drawn.verdict)
    marked = [each for each in picture.parts if each.findings]
    assert len(marked) >= 1
    assert {each.sha256 for each in marked} == {parts[1].sha256}


def test_arrows_of_one_name_are_told_apart_by_the_digest(world: World) -> None:
    parts = [world.step(f"part-{i}") for i in range(3)]
    inputs = [each.used("parts", position=i) for i, each in enumerate(parts)]
    drawn = judged(world, world.step("merge", [inputs[0], replace(inputs[1], sha256=sha(b"tampered")), inputs[2]]))
    picture = draw(drawn.lineage, drawn.verdict)
    [marked] = [each for each in picture.parts if each.findings]
    assert isinstance(marked, Arrow)
    assert (marked.position, marked.sha256, picture.boxes[marked.tail].sha256) == (
        1,
        sha(b"tampered"),
        parts[1].sha256,
    )


def test_an_origin_that_two_steps_use_is_one_box(world: World) -> None:
    one = world.step("one", [found(b"wild", "w")])
    two = world.step("two", [found(b"wild", "w"), one.used()])
    drawn = judged(world, two)
    picture = draw(drawn.lineage, drawn.verdict)
    [origin] = [each for each in picture.boxes.values() if each.dashed]
    assert [each.code.value for each in origin.findings] == ["UnattestedOrigin", "UnattestedOrigin"]


def test_evaluations_are_drawn_too(world: World) -> None:
    drawn = pictures.evaluated(world)
    text = to_text(drawn.lineage, drawn.verdict)
    assert {"train", "evaluate", "sample", "ACME"} == {each.name for each in draw(drawn.lineage, drawn.verdict).steps}
    assert "\n\nmetrics  " in text
    assert re.search(r"sample  run-1  ✗ StepFailed", text)
    assert text.count("ACME") == 1


# ------------------------------------------------------------------------------------------------ JSON


def test_json(world: World) -> None:
    drawn = pictures.broken(world)
    value = json.loads(json.dumps(to_json(drawn.lineage, drawn.verdict)))
    assert value["verdict"] == drawn.verdict.to_json()
    ids = {each["id"] for each in [*value["steps"], *value["artifacts"]]}
    assert len(ids) == len(value["steps"]) + len(value["artifacts"])
    assert all({each["from"], each["to"]} <= ids for each in value["arrows"])
    subject = value["artifacts"][0]
    assert (subject["id"], subject["digest"]) == ("a0", drawn.verdict.subject)
    assert subject["manifest"] == f"sha256:{drawn.lineage.nodes[0].box}"
    assert [each["digest"] for each in value["artifacts"] if each["name"] == "logs"] == [None]
    [tampered] = [each for each in value["arrows"] if each["findings"] == ["LinkMismatch"]]
    [made] = [each for each in value["artifacts"] if each["id"] == tampered["from"]]
    assert tampered["digest"] != made["digest"]


# ------------------------------------------------------------------------------------------------ text


def test_text(world: World) -> None:
    drawn = pictures.sound(world)
    digests = {node.name: node.facts.manifest.asset_sha256 for node in drawn.lineage.nodes}
    assert to_text(drawn.lineage, drawn.verdict) == (
        f"✓ model holds  {drawn.verdict.subject}\n"
        "\n"
        f"model  {digests['model'][:12]} · log #3\n"
        "└── fit  run-1\n"
        f"    ├── train  {digests['train'][:12]} · log #1\n"
        "    │   └── prepare  run-1\n"
        f"    │       └── corpus.tar (as raw)  {digests['corpus.tar'][:12]} · log #0\n"
        "    │           └── ACME  publisher\n"
        f"    └── test (as holdout)  {digests['test'][:12]} · log #2\n"
        "        └── prepare  run-1  ↑ see above\n"
    )


def test_text_names_findings_in_place_and_below(world: World) -> None:
    drawn = pictures.broken(world)
    lines = to_text(drawn.lineage, drawn.verdict).splitlines()
    assert lines[0].startswith("✗ model does not hold")
    assert any(re.search(r"── checkpoint \(as model\)  .*  ✗ LinkMismatch$", each) for each in lines)
    assert any(re.search(r"── logs  output without digest: not mounted  ✗ OutputUnmeasured$", each) for each in lines)
    below = lines[len(lines) - len(drawn.verdict.findings) :]
    assert [each.split()[1] for each in below] == [each.code.value for each in drawn.verdict.findings]


def test_text_of_a_deep_lineage_stays_narrow(world: World) -> None:
    made = chain(world, MAX_DEPTH * 2)
    drawn = judged(world, made[-1])
    lines = to_text(drawn.lineage, drawn.verdict).splitlines()
    assert max(map(len, lines)) < 4 * MAX_DEPTH + 120
    assert sum(each.endswith("↓ see below") for each in lines) == 3
    for i in range(MAX_DEPTH * 2):
        assert sum(bool(re.search(rf"── step-{i}  ", each)) for each in lines) == 1


def test_text_of_a_circle_ends(world: World) -> None:
    drawn = pictures.circle(world)
    text = to_text(drawn.lineage, drawn.verdict)
    assert "↑ see above" in text
    assert "LineageCycle" in text


def test_paths_are_shortened_in_the_middle() -> None:
    assert shorten_path(("a", "b", "c")) == "a ← b ← c"
    assert shorten_path(tuple("abcdefghijkl")) == "a ← b ← c ← … ← i ← j ← k ← l"


# ------------------------------------------------------------------------------------------------ hostile names


@pytest.mark.parametrize("name", HOSTILE)
def test_visible_is_one_line_of_printable_text(name: str) -> None:
    assert visible(name).isprintable()
    assert visible("plain name-1.csv") == "plain name-1.csv"
    assert visible("a\nb\x1b\u202e") == "a\\nb\\x1b\\u202e"


def test_text_of_hostile_names_has_as_many_lines_as_it_should(world: World) -> None:
    drawn = pictures.hostile(world)
    text = to_text(drawn.lineage, drawn.verdict)
    assert all(each.isprintable() for each in text.splitlines())
    boxes = len(draw(drawn.lineage, drawn.verdict).boxes)
    assert len(text.split("\n")) == 2 + boxes + 1 + len(drawn.verdict.findings) + 1


_DOT_STRING = r'"((?:[^"\\\n]|\\.)*)"'
_DOT_NODE = re.compile(
    rf'  ([as]\d+) \[shape=(box|ellipse)(?: style=dashed)? label={_DOT_STRING}((?: \w+=(?:"#[0-9a-f]{{6}}"|\d))*)\];'
)
_DOT_EDGE = re.compile(rf'  ([as]\d+) -> ([as]\d+) \[label={_DOT_STRING}((?: \w+=(?:"#[0-9a-f]{{6}}"|\d))*)\];')


def _undot(label: str) -> list[str]:
    """The lines of a label."""
    broken = re.sub(r"\\(.)", lambda match: "\0" if match[1] == "n" else match[1], label)
    return broken.split("\0")


def test_dot(world: World) -> None:
    drawn = pictures.broken(world)
    text = to_dot(drawn.lineage, drawn.verdict)
    assert re.search(r'label="words\\n[0-9a-f]{12} · no manifest\\n✗ UnattestedOrigin" color="#cf222e"', text)
    assert "shape=ellipse style=dashed" in text
    assert re.search(r'a\d+ -> s\d+ \[label="model\\n✗ LinkMismatch" color="#cf222e"', text)


@pytest.mark.parametrize("make", [pictures.sound, pictures.broken, pictures.hostile, pictures.circle])
def test_dot_has_just_the_lines_that_the_picture_has(world: World, make: pictures.Make) -> None:
    drawn = make(world)
    picture = draw(drawn.lineage, drawn.verdict)
    head, *lines = to_dot(drawn.lineage, drawn.verdict).splitlines()
    assert (head, lines[0], lines[-1]) == ("digraph lineage {", "  rankdir=LR;", "}")
    assert re.fullmatch(rf"  label={_DOT_STRING};", lines[1])
    body = lines[4:-1]
    nodes = [match for each in body if (match := _DOT_NODE.fullmatch(each))]
    edges = [match for each in body if (match := _DOT_EDGE.fullmatch(each))]
    assert len(nodes) + len(edges) == len(body)
    assert {each[1]: _undot(each[3])[0] for each in nodes} == {
        each.id: visible(each.name) for each in picture.boxes.values()
    }
    assert [(each[1], each[2]) for each in edges] == [(each.tail, each.head) for each in picture.arrows]


_MERMAID = re.compile(
    r'  [as]\d+(?:\["[^"\[\]`]*"\]|\(\["[^"\[\]`]*"\]\))|'
    r'  [as]\d+ -->(?:\|"[^"|`]*"\|)? [as]\d+|'
    r"  classDef \w+ [\w:#,\- ]+|  class [as\d,]+ \w+|  linkStyle \d+ [\w:#,]+|  linkStyle \d+ stroke[\w:#,\-]+"
)


@pytest.mark.parametrize("make", [pictures.sound, pictures.broken, pictures.hostile, pictures.circle])
def test_mermaid_has_just_the_lines_that_the_picture_has(world: World, make: pictures.Make) -> None:
    drawn = make(world)
    picture = draw(drawn.lineage, drawn.verdict)
    head, *lines = to_mermaid(drawn.lineage, drawn.verdict).splitlines()
    assert head == "flowchart LR"
    assert [each for each in lines if not _MERMAID.fullmatch(each)] == []
    labels = {}
    for each in lines:
        if match := re.fullmatch(r'  ([as]\d+)\(?\["(.*)"\]\)?', each):
            labels[match[1]] = _unmermaid(match[2].split("<br/>")[0])
            assert re.fullmatch(r"(?:[^<>&\"%{};]|<br/>|#\d+;)*", match[2])
    assert labels == {each.id: visible(each.name) for each in picture.boxes.values()}
    assert sum("-->" in each for each in lines) == len(picture.arrows)


def _unmermaid(label: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)


def test_mermaid_marks(world: World) -> None:
    drawn = pictures.broken(world)
    picture = draw(drawn.lineage, drawn.verdict)
    text = to_mermaid(drawn.lineage, drawn.verdict)
    refused = re.search(r"  class ([as\d,]+) refused", text)
    assert refused
    assert set(refused[1].split(",")) == {each.id for each in picture.boxes.values() if each.findings}
    marked = {int(each) for each in re.findall(r"linkStyle (\d+) stroke:#cf222e", text)}
    assert marked == {i for i, each in enumerate(picture.arrows) if each.findings}
    assert "✗ LinkMismatch" in text


@pytest.mark.parametrize("name", ["- x", "1. x", "_x_", "`x`", "a_b-c.d", "* x", "x;y", "#35;"])
def test_mermaid_leaves_no_markdown(name: str, world: World) -> None:
    drawn = judged(world, world.step("s", outputs={name: b"x"}))
    label = to_mermaid(drawn.lineage, drawn.verdict).splitlines()[1].split('"')[1].split("<br/>")[0]
    assert _unmermaid(label) == name
    assert not re.search(r"^[-*+_]|^\d+[.)] |`|_$|(?<!#\d\d);", label)
    assert (label == name) == (name == "a_b-c.d")


def test_drawings_are_the_same_each_time(world: World) -> None:
    drawn = pictures.broken(world)
    for write in (to_text, to_dot, to_mermaid):
        assert write(drawn.lineage, drawn.verdict) == write(drawn.lineage, drawn.verdict)
