"""A lineage's picture in text: as JSON, as a tree, for Graphviz and for Mermaid.

Names come from whoever signed a statement: `visible` takes the control characters out of them, and each format escapes
what means something to it.
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

from atlas.lineage.graph import Lineage
from atlas.lineage.picture import MARKS, Arrow, Box, Picture, draw, headline, marks, shorten_path, visible
from atlas.verdict import Finding, Severity, Verdict

MAX_DEPTH = 48
"""Levels of a tree of text; what lies deeper follows as a tree of its own."""

_MEANINGFUL = re.compile(r"(?!(?<=[^\W_])[._-](?=[^\W_]))[^\w :/✓✗·…←]|(?<![^\W_])_|_(?![^\W_])")


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
