"""The drawing's geometry, and that it is one sound, self-contained file."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from atlas.lineage.layout import Layout, lay_out
from atlas.lineage.picture import draw, visible
from atlas.lineage.svg import to_svg
from unit.lineage import pictures
from unit.lineage.lineage_world import Indexed, World, chain
from unit.lineage.pictures import Drawn, judged

NS = "{http://www.w3.org/2000/svg}"
ALL = [pictures.sound, pictures.broken, pictures.evaluated, pictures.attested, pictures.hostile, pictures.circle]


def _read(drawn: Drawn) -> ET.Element:
    return ET.fromstring(to_svg(drawn.lineage, drawn.verdict))


def _boxes(svg: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    found = {}
    for group in svg.iter(f"{NS}g"):
        rect = group.find(f"{NS}rect[@class='box']")
        if rect is not None:
            x, y, width, height = (float(rect.attrib[each]) for each in ("x", "y", "width", "height"))
            found[group.attrib["id"]] = (x, y, x + width, y + height)
    return found


def _overlaps(boxes: list[tuple[float, float, float, float]]) -> int:
    boxes = sorted(boxes)
    count = 0
    for i, (_, top, right, bottom) in enumerate(boxes):
        for x, other_top, _, other_bottom in boxes[i + 1 :]:
            if x >= right:
                break
            count += top < other_bottom and other_top < bottom
    return count


@pytest.mark.parametrize("make", ALL)
def test_is_one_sound_file_without_anything_that_acts(world: World, make: pictures.Make) -> None:
    drawn = make(world)
    svg = _read(drawn)
    names = {each.tag.removeprefix(NS) for each in svg.iter()}
    assert names == {"svg", "title", "rect", "text", "g", "path", "circle"}
    for each in svg.iter():
        assert not [name for name in each.attrib if name.startswith("on") or "href" in name or name == "style"]
        assert not [value for value in each.attrib.values() if "url(" in value or "javascript" in value.lower()]


@pytest.mark.parametrize("make", ALL)
def test_every_box_is_there_and_none_overlaps(world: World, make: pictures.Make) -> None:
    drawn = make(world)
    boxes = _boxes(_read(drawn))
    assert boxes.keys() == draw(drawn.lineage, drawn.verdict).boxes.keys()
    assert _overlaps(list(boxes.values())) == 0


@pytest.mark.parametrize("make", ALL)
def test_everything_is_on_the_sheet(world: World, make: pictures.Make) -> None:
    svg = _read(make(world))
    left, top, width, height = map(float, svg.attrib["viewBox"].split())
    assert (left, top) == (0, 0)
    for x, y, right, bottom in _boxes(svg).values():
        assert 20 <= x < right <= width - 20
        assert 80 <= y < bottom <= height - 60
    for each in svg.iter(f"{NS}path"):
        numbers = [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", each.attrib["d"])]
        assert min(numbers) >= 0
        assert max(numbers) <= max(width, height)
    for each in svg.iter(f"{NS}text"):
        assert 0 < float(each.attrib["x"]) < width
        assert 0 < float(each.attrib["y"]) < height


def test_overlaps_would_be_seen() -> None:
    assert _overlaps([(0, 0, 10, 10), (5, 5, 15, 15), (30, 0, 40, 10)]) == 1


@pytest.mark.parametrize("make", [pictures.sound, pictures.broken, pictures.evaluated, pictures.hostile])
def test_arrows_lead_from_left_to_right(world: World, make: pictures.Make) -> None:
    drawn = make(world)
    boxes = _boxes(_read(drawn))
    for arrow in draw(drawn.lineage, drawn.verdict).arrows:
        assert boxes[arrow.tail][2] < boxes[arrow.head][0]


def test_what_leads_to_one_place_is_straight(world: World) -> None:
    made = chain(world, 3)
    boxes = _boxes(_read(judged(world, made[-1])))
    assert len({top for _, top, _, _ in boxes.values()}) == 1


def test_marks_work_without_colour(world: World) -> None:
    drawn = pictures.broken(world)
    texts = [each.text for each in _read(drawn).iter(f"{NS}text")]
    for code in {each.code.value for each in drawn.verdict.findings}:
        assert f"✗ {code}" in texts, code
        assert code in texts, code
    assert "model does not hold" in texts
    assert {"step", "artifact", "no manifest vouches for it", "refuses", "warning"} <= set(texts)
    dashed = [each for each in _read(drawn).iter(f"{NS}rect") if each.get("stroke-dasharray") and each.get("class")]
    assert len(dashed) == sum(each.dashed for each in draw(drawn.lineage, drawn.verdict).boxes.values())


def test_the_artifact_in_question_stands_out(world: World) -> None:
    svg = _read(pictures.evaluated(world))
    heavy = [each.attrib["id"] for each in svg.iter(f"{NS}g") if each.find(f"{NS}rect[@stroke='#1f2328']") is not None]
    assert heavy == ["a0"]


def test_title(world: World) -> None:
    drawn = pictures.sound(world)
    svg = _read(drawn)
    assert svg.findtext(f"{NS}title") == "model holds"
    texts = [each.text or "" for each in svg.iter(f"{NS}text")]
    assert texts[0] == "model holds"
    assert texts[1] == f"{drawn.verdict.subject[:26]}… · 3 steps, 4 manifests · judged as of {drawn.verdict.at}"


def test_hostile_names_are_text(world: World) -> None:
    drawn = pictures.hostile(world)
    hints = {(each.findtext(f"{NS}title") or "").split("\n")[0] for each in _read(drawn).iter(f"{NS}g")}
    assert {visible(each) for each in pictures.HOSTILE} <= hints


def test_long_names_are_cut_to_their_box(world: World) -> None:
    drawn = judged(world, world.step("s" * 300, outputs={"w" * 300: b"x"}))
    svg = _read(drawn)
    assert max(right - x for x, _, right, _ in _boxes(svg).values()) <= 240
    texts = [each.text or "" for each in svg.iter(f"{NS}text")]
    assert max(map(len, texts[2:])) < 120
    assert any(re.fullmatch(r"w+…w+", each) for each in texts)


def test_many_findings_are_counted(world: World) -> None:
    made = chain(world, 12)
    drawn = judged(world, made[-1], "{steps: {images: []}}")
    texts = [each.text for each in _read(drawn).iter(f"{NS}text")]
    assert "and 4 more findings" in texts


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    world = World(tmp_path_factory.mktemp("crowd"), Indexed())
    drawn = pictures.many(world, 1000)
    world.log.close()
    return drawn


def test_a_thousand_manifests(crowd: Drawn) -> None:
    assert len(crowd.lineage.nodes) == 1000
    boxes = _boxes(ET.fromstring(to_svg(crowd.lineage, crowd.verdict)))
    assert len(boxes) == 2000
    assert _overlaps(list(boxes.values())) == 0


def test_so_many_bends_that_arrows_are_drawn_straight(crowd: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = draw(crowd.lineage, crowd.verdict)
    bent = lay_out(picture.boxes, picture.arrows)
    monkeypatch.setattr("atlas.lineage.layout._MAX_BENDS", 10)
    straight = lay_out(picture.boxes, picture.arrows)
    assert max(len(each.spots) for each in bent.routes) > 2
    assert max(len(each.spots) for each in straight.routes) == 2
    assert _overlaps(_places(straight)) == 0


def _places(layout: Layout) -> list[tuple[float, float, float, float]]:
    spots = layout.spots.values()
    return [(each.x, each.y - each.height / 2, each.x + each.width, each.y + each.height / 2) for each in spots]


def test_a_lineage_deeper_than_the_stack(world: World, tmp_path: Path) -> None:
    from atlas.lineage.picture import Arrow, Box

    depth = 3000
    boxes = {
        f"{'sa'[i % 2 == 0]}{i // 2}": Box(f"{'sa'[i % 2 == 0]}{i // 2}", "n", "", "00", "00") for i in range(depth)
    }
    names = list(boxes)
    arrows = [Arrow(names[i + 1], names[i], "n", 0, "00") for i in range(depth - 1)]
    layout = lay_out(boxes, arrows)
    assert layout.spots["a0"].x == max(each.x for each in layout.spots.values())
    assert _overlaps(_places(layout)) == 0
