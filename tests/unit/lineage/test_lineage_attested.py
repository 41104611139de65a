"""Every drawing says who vouches for the machine of each step, and of simulated evidence that it proves nothing."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

from atlas.evidence.appraise import Appraisal
from atlas.lineage import Facts
from atlas.lineage.attested import attested_by
from atlas.lineage.picture import draw
from atlas.lineage.render import to_dot, to_json, to_mermaid, to_text
from atlas.lineage.svg import to_svg
from atlas.trust import intel_root
from unit.lineage import pictures
from unit.lineage.lineage_world import World
from unit.lineage.pictures import HOSTILE, Drawn, judged

SAID = {
    "package": [],
    "tune": ["coco failed"],
    "train": ["✗ tdx"],
    "prepare": ["simulated (proves nothing)"],
    "ACME": [],
}


def _simulated(drawn: Drawn) -> tuple[Facts, Appraisal]:
    facts = next(each.facts for each in drawn.lineage.nodes if each.facts.evidence)
    assert facts.evidence
    return facts, facts.evidence


def test_words_name_provider_and_root(world: World) -> None:
    facts, evidence = _simulated(pictures.attested(world))
    real = replace(evidence, provider="coco", root=intel_root())
    assert attested_by(replace(facts, evidence=real)) == "coco, intel: UpToDate"
    other = replace(evidence, provider="tdx", root=replace(evidence.root, name="laboratory"))
    assert attested_by(replace(facts, evidence=other)) == "tdx, laboratory (proves nothing)"


def test_each_step_of_the_picture(world: World) -> None:
    drawn = pictures.attested(world)
    picture = draw(drawn.lineage, drawn.verdict)
    assert {each.name: each.evidence for each in picture.steps} == SAID
    assert not any(each.evidence for each in picture.artifacts)


def test_manifests_of_one_step_that_differ_are_all_said(world: World) -> None:
    drawn = pictures.attested(world)
    facts, evidence = _simulated(drawn)
    [first, *_] = [each for each in drawn.lineage.nodes if each.facts is facts]
    real = replace(facts, evidence=replace(evidence, provider="tdx", root=intel_root()))
    nodes = tuple(replace(each, facts=real) if each is first else each for each in drawn.lineage.nodes)
    picture = draw(replace(drawn.lineage, nodes=nodes), drawn.verdict)
    [prepare] = [each for each in picture.steps if each.name == "prepare"]
    assert sorted(prepare.evidence) == ["simulated (proves nothing)", "tdx, intel: UpToDate"]


def test_every_format_says_it(world: World) -> None:
    drawn = pictures.attested(world)
    text = to_text(drawn.lineage, drawn.verdict)
    assert re.search(r"── package  run-1$", text, re.MULTILINE)
    assert re.search(r"── tune  run-1 · coco failed$", text, re.MULTILINE)
    assert re.search(r"── train  run-1 · ✗ tdx  ✗ EvidenceProviderMismatch$", text, re.MULTILINE)
    assert re.search(r"── prepare  run-1 · simulated \(proves nothing\)  ! EvidenceSimulated$", text, re.MULTILINE)
    assert 'label="prepare\\nrun-1\\nsimulated (proves nothing)\\n! Evid' in to_dot(drawn.lineage, drawn.verdict)
    assert '["prepare<br/>run-1<br/>simulated #40;proves nothing#41;<br/>' in to_mermaid(drawn.lineage, drawn.verdict)
    steps = json.loads(json.dumps(to_json(drawn.lineage, drawn.verdict)))["steps"]
    assert {each["name"]: each["evidence"] for each in steps} == SAID


def test_svg_says_it_below_the_box(world: World) -> None:
    drawn = pictures.attested(world)
    svg = ET.fromstring(to_svg(drawn.lineage, drawn.verdict))
    ns = "{http://www.w3.org/2000/svg}"
    groups = {each.findtext(f"{ns}text"): each for each in svg.iter(f"{ns}g") if each.get("id", "").startswith("s")}
    for name, said in SAID.items():
        texts = [each.text for each in groups[name].findall(f"{ns}text")]
        assert texts[2 : 2 + len(said)] == said
    [prepare] = [each for each in groups["prepare"].iter(f"{ns}text") if each.text == "simulated (proves nothing)"]
    box = groups["prepare"].find(f"{ns}rect")
    assert box is not None
    assert float(prepare.attrib["y"]) > float(box.attrib["y"]) + float(box.attrib["height"])


def test_a_providers_name_is_shown_as_what_it_is(world: World) -> None:
    """The statement is the signer's, and may name a provider in any words."""
    for name in HOSTILE:
        drawn = judged(
            world, world.step(f"step {name}", outputs={name: name.encode("utf-8", "replace")}, evidence=name)
        )
        text = to_text(drawn.lineage, drawn.verdict)
        assert all(each.isprintable() for each in text.splitlines())
        ET.fromstring(to_svg(drawn.lineage, drawn.verdict))
