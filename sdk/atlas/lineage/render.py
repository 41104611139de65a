"""Drawing a lineage: one picture (`draw`), written as JSON, as a tree of text, for Graphviz and for Mermaid.

A picture has one box for each statement, however many outputs that has, and one for each artifact; arrows go from an
artifact to the step that used it and from a step to what it made. Every finding of the verdict is marked at the box or
the arrow where it belongs, or at the verified artifact where it belongs to none of them. Names come from whoever signed
a statement: `visible` takes the control characters out of them, and each format escapes what means something to it.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from atlas.artifact import EMPTY_SHA256
from atlas.codes import Code
from atlas.lineage.attested import attested_by
from atlas.lineage.graph import Edge, Lineage, Node, maker_name
from atlas.statement import Publisher, Unmeasured
from atlas.verdict import Finding, Outcome, Severity, Verdict

DIGEST_DIGITS = 12
"""How much of a digest is shown to people."""
MAX_DEPTH = 48
"""Levels of a tree of text; what lies deeper follows as a tree of its own."""

_MEANINGFUL = re.compile(r"(?!(?<=[^\W_])[._-](?=[^\W_]))[^\w :/✓✗·…←]|(?<![^\W_])_|_(?![^\W_])")
_ON_ARROW = {Code.LINK_MISMATCH, Code.STEP_BEFORE_INPUT, Code.PRODUCER_AMBIGUOUS, Code.INPUT_CHANGED}


@dataclass
class Box:
    """A step, or an artifact."""

    id: str
    """`s0`, `s1` … for steps, `a0` … for artifacts; `a0` is the artifact in question."""
    name: str
    detail: str
    """Of a step its component, or that it is a publisher; of an artifact what there is to say beside its digest."""
    sha256: str
    """Of a step the statement's digest; of an artifact its own, empty if nobody measured it."""
    manifest: str = ""
    """Box digest of the artifact's manifest; empty if there is none that holds."""
    caption: str = ""
    """What stands below the name."""
    linked: str = ""
    """Box digest of the manifest that a dashed artifact should have, as its user was told."""
    evidence: list[str] = field(default_factory=list)
    """Who vouches for the machine that a step ran on; several if its manifests differ in that."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def digests(self) -> list[str]:
        """What a finding may call it."""
        return [each for each in (self.sha256, self.manifest, self.linked) if each]

    @property
    def is_step(self) -> bool:
        """Whether it is a step (or a publisher)."""
        return self.id.startswith("s")

    @property
    def dashed(self) -> bool:
        """Whether it is an artifact for which no manifest vouches."""
        return not self.is_step and not self.manifest


@dataclass
class Arrow:
    """An artifact that a step used, or made."""

    tail: str
    head: str
    name: str
    """What the step calls the artifact."""
    position: int
    sha256: str
    """The digest that the step measured."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def digests(self) -> list[str]:
        """What a finding may call it."""
        return [self.sha256] if self.sha256 else []


@dataclass(frozen=True)
class Picture:
    """A lineage as boxes and arrows."""

    boxes: dict[str, Box]
    """By id; the artifact in question first, then as near to it as possible."""
    arrows: tuple[Arrow, ...]

    @property
    def parts(self) -> list[Box | Arrow]:
        """All of it."""
        return [*self.boxes.values(), *self.arrows]

    @property
    def steps(self) -> list[Box]:
        """Steps and publishers."""
        return [each for each in self.boxes.values() if each.is_step]

    @property
    def artifacts(self) -> list[Box]:
        """Artifacts."""
        return [each for each in self.boxes.values() if not each.is_step]


class _Pen:
    """Draws box by box, and remembers which paths lead to which."""

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.boxes: dict[str, Box] = {}
        self.arrows: dict[tuple[str, str, int], Arrow] = {}
        self.ids: dict[tuple[str, str], str] = {}
        self.counts = {"s": 0, "a": 0}
        self.box_paths: dict[tuple[str, ...], dict[str, Box]] = {}
        self.arrow_paths: dict[tuple[str, ...], dict[int, Arrow]] = {}

    def draw(self, findings: Iterable[Finding]) -> Picture:
        for node in self.lineage.nodes:
            manifest = node.facts.manifest
            detail = f"log #{node.facts.logged.index}" if node.facts.logged else "not logged"
            box = self._box("a", node.box, node.name, detail, manifest.asset_sha256, node.box)
            self._leads(node.path, box)
        for node in self.lineage.nodes:
            self._draw_step(node)
        for node, each in self.lineage.unmeasured:
            self._draw_unmeasured(node, each)
        for finding in findings:
            for place in self._places(finding):
                place.findings.append(finding)
        return Picture(self.boxes, tuple(self.arrows.values()))

    def _box(
        self, letter: str, key: str, name: str, detail: str, sha256: str, manifest: str = "", caption: str = ""
    ) -> Box:
        if (letter, key) not in self.ids:
            identity = self.ids[letter, key] = f"{letter}{self.counts[letter]}"
            self.counts[letter] += 1
            below = caption or " · ".join(filter(None, (sha256[:DIGEST_DIGITS], detail)))
            self.boxes[identity] = Box(identity, name, detail, sha256, manifest, below)
        return self.boxes[self.ids[letter, key]]

    def _arrow(self, kind: str, step: Box, number: int, arrow: Arrow) -> Arrow:
        return self.arrows.setdefault((kind, step.id, number), arrow)

    def _leads(self, path: tuple[str, ...], place: Box) -> None:
        self.box_paths.setdefault(path, {})[place.id] = place

    def _draw_step(self, node: Node) -> None:
        manifest = node.facts.manifest
        maker = manifest.statement.maker
        key, name = manifest.statement_sha256, maker_name(node.facts)
        if isinstance(maker, Publisher):
            step = self._box("s", key, name, "publisher", key, caption="publisher")
        else:
            caption = maker.run if maker.component == maker.task else f"{maker.component} · {maker.run}"
            step = self._box("s", key, name, maker.component, key, caption=caption)
        if (words := attested_by(node.facts)) and words not in step.evidence:
            step.evidence.append(words)
        self._leads(node.step_path, step)
        made = self.boxes[self.ids["a", node.box]]
        position = manifest.output.position if manifest.output else 0
        self._arrow(f"made {made.id}", step, 0, Arrow(step.id, made.id, made.name, position, made.sha256))
        for number, edge in enumerate(node.edges):
            path = (*node.step_path, edge.input.name)
            used = self._draw_input(edge, path)
            each = edge.input
            arrow = self._arrow("used", step, number, Arrow(used.id, step.id, each.name, each.position, each.sha256))
            self.arrow_paths.setdefault(path, {})[id(arrow)] = arrow

    def _draw_input(self, edge: Edge, path: tuple[str, ...]) -> Box:
        """The input's box: that of its manifest, or a dashed one which stands for all that use the same."""
        if edge.parent in self.lineage.by_box:
            return self.boxes[self.ids["a", str(edge.parent)]]
        link = edge.input.link
        detail = "no manifest" if link is None else "unverified"
        if edge.input.sha256 == EMPTY_SHA256:
            detail = "empty"
        key = f"{edge.input.sha256} {link.box_sha256 if link else ''}"
        box = self._box("a", key, edge.input.name, detail, edge.input.sha256)
        box.linked = link.box_sha256 if link else ""
        self._leads(path, box)
        return box

    def _draw_unmeasured(self, node: Node, each: Unmeasured) -> None:
        statement = node.facts.manifest.statement_sha256
        step = self.boxes[self.ids["s", statement]]
        key = f"{statement} {each.direction} {each.name} {each.position}"
        box = self._box("a", key, each.name, f"{each.direction} without digest: {each.reason}", "")
        ends = (box.id, step.id) if each.direction == "input" else (step.id, box.id)
        self._arrow(f"unmeasured {box.id}", step, 0, Arrow(*ends, each.name, each.position, ""))
        self._leads((*node.step_path, each.name), box)

    def _places(self, finding: Finding) -> Iterable[Box | Arrow]:
        """Where a finding belongs. Inputs of one name have one path; digests in the finding tell them apart."""
        boxes = [each for each in self.box_paths.get(finding.path, {}).values() if _fits(each, finding)]
        arrows = list(self.arrow_paths.get(finding.path, {}).values())
        places: list[Box | Arrow] = [*arrows, *boxes] if finding.code in _ON_ARROW else [*boxes, *arrows]
        if not places:
            return [self.boxes["a0"]]
        same = [each for each in places if type(each) is type(places[0])]
        said = f"{finding.expected} {finding.found}"
        named = [each for each in same if any(digest in said for digest in each.digests)]
        return named or [each for each in same if isinstance(each, Box) and each.dashed] or same


def _fits(box: Box, finding: Finding) -> bool:
    unmeasured = finding.code in {Code.INPUT_UNMEASURED, Code.OUTPUT_UNMEASURED}
    return unmeasured == (not box.sha256)


def draw(lineage: Lineage, verdict: Verdict) -> Picture:
    """The picture of a lineage, with the verdict's findings in their places."""
    return _Pen(lineage).draw(verdict.findings)


def visible(text: str) -> str:
    """The text on one line, with whatever is not printable (controls, directions, surrogates) written as its escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def marks(findings: Iterable[Finding]) -> list[tuple[bool, str]]:
    """For each code once: whether it refuses, and the code; what refuses comes first."""
    return sorted({(each.severity is Severity.ERROR, each.code.value) for each in findings}, key=_refusing_first)


MARKS = {Outcome.HOLDS: "✓", Outcome.NEEDS_REVIEW: "!", Outcome.DOES_NOT_HOLD: "✗"}


def headline(lineage: Lineage, verdict: Verdict) -> str:
    """The verdict in a few words, without a mark."""
    name = visible(verdict.name or lineage.nodes[0].name)
    return f"{name} {verdict.outcome}"


def to_json(lineage: Lineage, verdict: Verdict) -> dict[str, Any]:
    """A JSON object with stable keys: the verdict, the steps, the artifacts, and the arrows between them."""
    picture = draw(lineage, verdict)
    return {
        "verdict": verdict.to_json(),
        "steps": [
            {
                "id": each.id,
                "name": each.name,
                "component": each.detail,
                "statement": f"sha256:{each.sha256}",
                "evidence": each.evidence,
                "findings": _codes(each.findings),
            }
            for each in picture.steps
        ],
        "artifacts": [
            {
                "id": each.id,
                "name": each.name,
                "digest": f"sha256:{each.sha256}" if each.sha256 else None,
                "manifest": f"sha256:{each.manifest}" if each.manifest else None,
                "detail": each.detail,
                "findings": _codes(each.findings),
            }
            for each in picture.artifacts
        ],
        "arrows": [
            {
                "from": each.tail,
                "to": each.head,
                "name": each.name,
                "position": each.position,
                "digest": f"sha256:{each.sha256}" if each.sha256 else None,
                "findings": _codes(each.findings),
            }
            for each in picture.arrows
        ],
    }


def to_text(lineage: Lineage, verdict: Verdict) -> str:
    """A tree from the artifact back to its origins; what was shown once is not shown again."""
    picture = draw(lineage, verdict)
    lines = [f"{MARKS[verdict.outcome]} {headline(lineage, verdict)}  {verdict.subject}", ""]
    lines += _Tree(picture).lines()
    if verdict.findings:
        lines.append("")
    for each in verdict.findings:
        mark = "✗" if each.severity is Severity.ERROR else "!"
        lines.append(f"{mark} {each.code.value}  {shorten_path(each.path)}: {visible(each.message)}")
    return "\n".join(lines) + "\n"


def shorten_path(path: tuple[str, ...]) -> str:
    """A path for people: its beginning and its end."""
    names = [visible(each) for each in path]
    return " ← ".join([*names[:3], "…", *names[-4:]] if len(names) > 8 else names)


class _Tree:
    """Lines of a tree of text, made without recursion: a lineage may be deeper than the stack."""

    def __init__(self, picture: Picture) -> None:
        self.boxes, self.arrows = picture.boxes, picture.arrows
        self.above: dict[str, list[Arrow]] = {each: [] for each in picture.boxes}
        for arrow in picture.arrows:
            self.above[arrow.head].append(arrow)
        self.beside = [each for each in picture.arrows if _is_dead_end(each, picture)]
        for arrow in self.beside:
            self.above[arrow.head].remove(arrow)
        self.shown: set[str] = set()

    def lines(self) -> Iterator[str]:
        later = deque(["a0", *self._ends()])
        while later:
            top = later.popleft()
            if self.shown:
                yield ""
            yield self._label(self.boxes[top], None)
            self.shown.add(top)
            yield from self._below(top, later)

    def _ends(self) -> list[str]:
        """Artifacts of which nothing was made, beside the one in question: those of its evaluations."""
        used = {each.tail for each in self.arrows} | {each.head for each in self.beside}
        return [each.id for each in self.boxes.values() if not each.is_step and each.id not in used and each.id != "a0"]

    def _below(self, top: str, later: deque[str]) -> Iterator[str]:
        stack = self._branches(top, "", 0)
        while stack:
            arrow, box, prefix, last, depth = stack.pop()
            line = f"{prefix}{'└── ' if last else '├── '}{self._label(box, arrow)}"
            branches = self._branches(box.id, prefix + ("    " if last else "│   "), depth + 1)
            if not branches:
                yield line
            elif box.id in self.shown:
                yield f"{line}  ↑ see above"
            elif depth >= MAX_DEPTH and not box.is_step:
                yield f"{line}  ↓ see below"
                self.shown.add(box.id)
                later.append(box.id)
            else:
                yield line
                self.shown.add(box.id)
                stack += branches

    def _branches(self, identity: str, prefix: str, depth: int) -> list[tuple[Arrow, Box, str, bool, int]]:
        """What hangs below a box, last first: makers and inputs, and outputs that nobody measured."""
        arrows = [(each, self.boxes[each.tail]) for each in self.above[identity]]
        arrows += [(each, self.boxes[each.head]) for each in self.beside if each.tail == identity]
        branches = [(arrow, box, prefix, i == len(arrows) - 1, depth) for i, (arrow, box) in enumerate(arrows)]
        return branches[::-1]

    def _label(self, box: Box, arrow: Arrow | None) -> str:
        alias = f" (as {arrow.name})" if arrow and not box.is_step and arrow.name != box.name else ""
        found = [*box.findings, *(arrow.findings if arrow else ())]
        signs = "".join(f"  {'✗' if error else '!'} {code}" for error, code in marks(found))
        said = " · ".join(visible(each) for each in (box.caption, *box.evidence))
        return f"{visible(box.name)}{visible(alias)}  {said}{signs}"


def _is_dead_end(arrow: Arrow, picture: Picture) -> bool:
    """Whether it leads to an output that nobody measured, and that nobody can have used."""
    return arrow.tail.startswith("s") and not picture.boxes[arrow.head].sha256


def to_dot(lineage: Lineage, verdict: Verdict) -> str:
    """A digraph for Graphviz."""
    picture = draw(lineage, verdict)
    lines = [
        "digraph lineage {",
        "  rankdir=LR;",
        f"  label={_dot(headline(lineage, verdict))};",
        '  node [fontname="sans-serif" fontsize=11];',
        '  edge [fontname="sans-serif" fontsize=9 color="#57606a"];',
    ]
    for box in picture.boxes.values():
        shape = "shape=box" if box.is_step else "shape=ellipse"
        style = " style=dashed" if box.dashed else ""
        text = "\n".join([*_words(box), *_signs(box.findings)])
        lines.append(f"  {box.id} [{shape}{style} label={_dot(text)}{_dot_colour(box.findings)}];")
    for arrow in picture.arrows:
        text = "\n".join([*_alias(arrow, picture), *_signs(arrow.findings)])
        lines.append(f"  {arrow.tail} -> {arrow.head} [label={_dot(text)}{_dot_colour(arrow.findings)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    """A quoted string of the DOT language, of which a backslash is an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _dot_colour(findings: list[Finding]) -> str:
    if not findings:
        return ""
    colour = "#cf222e" if marks(findings)[0][0] else "#9a6700"
    return f' color="{colour}" fontcolor="{colour}" penwidth=2'


def to_mermaid(lineage: Lineage, verdict: Verdict) -> str:
    """A flow chart for Mermaid, such as Markdown viewers show."""
    picture = draw(lineage, verdict)
    lines = ["flowchart LR"]
    for box in picture.boxes.values():
        texts = [*_words(box), *_signs(box.findings)]
        text = "<br/>".join(_mermaid(each) for each in texts if each)
        lines.append(f'  {box.id}["{text}"]' if box.is_step else f'  {box.id}(["{text}"])')
    for arrow in picture.arrows:
        text = "<br/>".join(_mermaid(each) for each in [*_alias(arrow, picture), *_signs(arrow.findings)])
        lines.append(f'  {arrow.tail} -->|"{text}"| {arrow.head}' if text else f"  {arrow.tail} --> {arrow.head}")
    lines.append("  classDef refused stroke:#cf222e,stroke-width:2px,color:#cf222e")
    lines.append("  classDef warned stroke:#9a6700,stroke-width:2px,color:#9a6700")
    lines.append("  classDef unvouched stroke-dasharray:5 4")
    for name, chosen in (
        ("refused", [each for each in picture.boxes.values() if _worst(each.findings) == "refused"]),
        ("warned", [each for each in picture.boxes.values() if _worst(each.findings) == "warned"]),
        ("unvouched", [each for each in picture.boxes.values() if each.dashed]),
    ):
        if chosen:
            lines.append(f"  class {','.join(each.id for each in chosen)} {name}")
    for number, arrow in enumerate(picture.arrows):
        if worst := _worst(arrow.findings):
            colour = "#cf222e" if worst == "refused" else "#9a6700"
            lines.append(f"  linkStyle {number} stroke:{colour},stroke-width:2px,color:{colour}")
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    """Text for a quoted label: whatever might mean something, to Mermaid or to Markdown, becomes an entity code."""
    return _MEANINGFUL.sub(lambda match: "".join(f"#{ord(each)};" for each in match[0]), text)


def _worst(findings: list[Finding]) -> str:
    if not findings:
        return ""
    return "refused" if marks(findings)[0][0] else "warned"


def _alias(arrow: Arrow, picture: Picture) -> list[str]:
    """What the step calls an input, where that is not the artifact's own name."""
    ours, theirs = visible(arrow.name), visible(picture.boxes[arrow.tail].name)
    return [ours] if arrow.tail.startswith("a") and ours != theirs else []


def _words(box: Box) -> list[str]:
    return [visible(each) for each in (box.name, box.caption, *box.evidence)]


def _signs(findings: list[Finding]) -> list[str]:
    return [f"{'✗' if error else '!'} {code}" for error, code in marks(findings)]


def _codes(findings: list[Finding]) -> list[str]:
    return [code for _, code in marks(findings)]


def _refusing_first(mark: tuple[bool, str]) -> tuple[bool, str]:
    return not mark[0], mark[1]
