"""The picture of a lineage: what every drawing of it shows, whatever it is drawn in.

A picture has one box for each statement, however many outputs that has, and one for each artifact; arrows go from an
artifact to the step that used it and from a step to what it made. Every finding of the verdict is marked at the box or
the arrow where it belongs, or at the verified artifact where it belongs to none of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from atlas.artifact import EMPTY_SHA256
from atlas.codes import Code
from atlas.lineage.attested import attested_by
from atlas.lineage.graph import Edge, Lineage, Node, maker_name
from atlas.statement import Publisher, Unmeasured
from atlas.verdict import Finding, Outcome, Severity, Verdict

DIGEST_DIGITS = 12
"""How much of a digest is shown to people."""

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


def shorten_path(path: tuple[str, ...]) -> str:
    """A path for people: its beginning and its end."""
    names = [visible(each) for each in path]
    return " ← ".join([*names[:3], "…", *names[-4:]] if len(names) > 8 else names)


def _refusing_first(mark: tuple[bool, str]) -> tuple[bool, str]:
    return not mark[0], mark[1]
