"""Drawing a lineage as one SVG file that needs nothing else: no program that lays it out, no script, no font.

Left to right in layers (Sugiyama, Tagawa, Toda 1981): a box stands as many layers left of the verified artifact as the
longest way from it has arrows; each layer is sorted by the barycenters of its neighbours; heights are then evened out
by isotonic regression, which keeps the order and the distances. Arrows over several layers pass through a gap in each.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from itertools import pairwise

from atlas.lineage.graph import Lineage
from atlas.lineage.render import MARKS, Arrow, Box, draw, headline, marks, shorten_path, visible
from atlas.verdict import Finding, Outcome, Severity, Verdict

_INK, _QUIET, _LINE, _PAPER = "#1f2328", "#57606a", "#8c959f", "#ffffff"
_RED, _AMBER, _GREEN = "#cf222e", "#9a6700", "#1a7f37"
_FONT = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_MARGIN, _TOP, _FOOT = 36, 92, 64
_GAP_X, _GAP_Y, _SIGN = 72, 26, 17
_MIN_BOX, _MAX_BOX, _HEIGHT = 120, 240, 50
_MAX_BENDS = 20_000
"""Bends of arrows over several layers; a lineage that needs more has them drawn straight, behind the boxes."""
_MAX_SIGNS = 3
_SWEEPS = 6
_EFFORT = 30_000
"""Boxes and bends that are looked at, over all sweeps: large drawings are evened out less."""
_NARROW, _WIDE = " !'(),./:;I[]fijlrt|-", "#%&+<=>@ABCDGHKMNOQRUVWXmw~^"
_WIDTHS = [0.42 if chr(i) in _NARROW else 0.88 if chr(i) in _WIDE else 0.64 for i in range(128)]
"""Widths of ASCII letters, in ems, rounded up."""


@dataclass(eq=False)
class _Spot:
    """A box or a bend of an arrow, in its place; coordinates in pixels."""

    box: Box | None
    layer: int
    width: float = 0
    height: float = 10
    x: float = 0
    y: float = 0
    """The middle; `x` is the left edge."""
    left: list["_Spot"] = field(default_factory=list)
    right: list["_Spot"] = field(default_factory=list)
    order: int = 0

    @cached_property
    def drop(self) -> float:
        """How far below the middle arrows meet the spot: in the middle of the box without the lines below it."""
        return (_HEIGHT - self.height) / 2 if self.box else 0.0


@dataclass(eq=False)
class _Route:
    """An arrow, with the spots it passes from its tail to its head."""

    arrow: Arrow
    spots: list[_Spot]


@dataclass
class Layout:
    """Where everything is."""

    spots: dict[str, _Spot]
    """By the id of the box."""
    routes: list[_Route]
    width: float
    height: float


def to_svg(lineage: Lineage, verdict: Verdict) -> str:
    """An SVG document."""
    picture = draw(lineage, verdict)
    title = headline(lineage, verdict)
    shown = _shown(verdict.findings)
    layout = lay_out(picture.boxes, picture.arrows, least=max(660, _measure(title, 20, bold=True) + 3 * _MARGIN))
    foot = layout.height + 22 * len(shown) + (16 if shown else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {layout.width:.0f} {foot + _FOOT:.0f}" '
        f'width="{layout.width:.0f}" height="{foot + _FOOT:.0f}" font-family="{escape(_FONT)}" font-size="12" '
        f'fill="{_INK}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
        *_heading(title, lineage, verdict, layout.width),
        *(_route(each) for each in layout.routes),
        *(_shape(each) for each in layout.spots.values()),
        *_arrow_signs(layout.routes),
        *_list_findings(shown, layout.height, layout.width),
        *_legend(foot + 14, layout.width),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


# ------------------------------------------------------------------------------------------------ layout


def lay_out(boxes: dict[str, Box], arrows: Sequence[Arrow], least: float = 0) -> Layout:
    """Place boxes and arrows, on a sheet that is at least so wide."""
    layers = _layers(boxes, arrows)
    spots = {identity: _Spot(box, layers[identity], *_size(box)) for identity, box in boxes.items()}
    routes = _routes(spots, arrows)
    columns: list[list[_Spot]] = [[] for _ in range(max(layers.values()) + 1)]
    for spot in (spot for route in routes for spot in route.spots if not spot.box):
        columns[spot.layer].append(spot)
    for spot in spots.values():
        columns[spot.layer].append(spot)
    sweeps = max(1, min(_SWEEPS, _EFFORT // sum(map(len, columns))))
    _sort(columns, sweeps)
    _level(columns, sweeps)
    right = _spread(columns, routes)
    shift = max(0.0, (least - right) / 2)
    for spot in (each for column in columns for each in column):
        spot.x += shift
    below = max(spot.y + spot.height / 2 for column in columns for spot in column)
    return Layout(spots, routes, max(least, right), below + _GAP_Y)


def _layers(boxes: dict[str, Box], arrows: Sequence[Arrow]) -> dict[str, int]:
    """Layer of each box, counted from the left: the longest way decides. Arrows that close a circle do not count."""
    heads: dict[str, list[str]] = {each: [] for each in boxes}
    tails: dict[str, list[str]] = {each: [] for each in boxes}
    for arrow in arrows:
        tails[arrow.head].append(arrow.tail)
    forward: set[tuple[str, str]] = set()
    state: dict[str, int] = {}
    finished: list[str] = []
    for start in boxes:  # depth first from the verified artifact, without recursion
        stack = [(start, iter(tails[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            here, above = stack[-1]
            for each in above:
                if state.get(each) != 1:
                    forward.add((each, here))
                if each not in state:
                    state[each] = 1
                    stack.append((each, iter(tails[each])))
                    break
            else:
                state[here] = 2
                finished.append(here)
                stack.pop()
    for tail, head in forward:
        heads[tail].append(head)
    distance: dict[str, int] = {}
    for here in reversed(finished):
        distance[here] = max((distance[each] + 1 for each in heads[here]), default=0)
    for arrow in arrows:  # an output that leads nowhere stands right beside its step
        if not heads[arrow.head] and arrow.head != "a0" and arrow.head in distance:
            distance[arrow.head] = max(0, distance[arrow.tail] - 1)
    most = max(distance.values())
    return {each: most - distance[each] for each in boxes}


def _routes(spots: dict[str, _Spot], arrows: Sequence[Arrow]) -> list[_Route]:
    bends = sum(max(0, spots[each.head].layer - spots[each.tail].layer - 1) for each in arrows)
    routes = []
    for arrow in arrows:
        tail, head = spots[arrow.tail], spots[arrow.head]
        between = range(tail.layer + 1, head.layer) if bends <= _MAX_BENDS else range(0)
        route = [tail, *(_Spot(None, layer) for layer in between), head]
        if tail.layer < head.layer:
            for one, other in pairwise(route):
                one.right.append(other)
                other.left.append(one)
        routes.append(_Route(arrow, route))
    return routes


def _sort(columns: list[list[_Spot]], sweeps: int) -> None:
    """Sort each layer by where its neighbours are, from right to left and back."""
    for column in columns:
        _number(column)
    for sweep in range(sweeps):
        leftwards = sweep % 2 == 0
        for column in columns[::-1] if leftwards else columns:
            for spot in column:
                near = spot.right if leftwards else spot.left
                spot.y = sum([each.order for each in near]) / len(near) if near else spot.order
            column.sort(key=lambda spot: spot.y)
            _number(column)


def _number(column: list[_Spot]) -> None:
    for order, spot in enumerate(column):
        spot.order = order


def _level(columns: list[list[_Spot]], sweeps: int) -> None:
    """Give each spot a height near its neighbours' without changing the order.

    The last sweep goes from right to left and looks to the right alone: what leads to one place is straight then.
    """
    for column in columns:
        _stack(column, [0.0] * len(column))
    for sweep in range(2 * sweeps + 1):
        for column in columns[::-1] if sweep % 2 == 0 else columns:
            wanted = []
            for spot in column:
                near = (spot.right if sweep % 2 == 0 else spot.left) or [*spot.left, *spot.right] or [spot]
                wanted.append(sum([each.y + each.drop for each in near]) / len(near) - spot.drop)
            _stack(column, wanted)
    top = min(spot.y - spot.height / 2 for column in columns for spot in column)
    for column in columns:
        for spot in column:
            spot.y += _TOP - top


def _stack(column: list[_Spot], wanted: list[float]) -> None:
    """Put spots at the heights nearest to those wanted that keep them apart (pool adjacent violators)."""
    offsets, offset = [], 0.0
    for i, spot in enumerate(column):
        if i:
            before = column[i - 1]
            gap = _GAP_Y if spot.box and before.box else _GAP_Y / 2
            offset += (before.height + spot.height) / 2 + gap
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    positions = [mean for mean, count in pools for _ in range(count)]
    for spot, position, offset in zip(column, positions, offsets, strict=True):
        spot.y = position + offset


def _spread(columns: list[list[_Spot]], routes: list[_Route]) -> float:
    """Give each layer its place from left to right; returns the sheet's width."""
    room = [float(_GAP_X)] * len(columns)
    for route in routes:
        signs = [_measure(f"✗ {code}", 11) + 44 for _, code in marks(route.arrow.findings)]
        tail = route.spots[-2].layer
        room[tail] = max([room[tail], *signs])
    x = float(_MARGIN)
    for number, column in enumerate(columns):
        width = max(spot.width for spot in column)
        for spot in column:
            spot.x = x + (width - spot.width) / 2 if spot.box else x
            spot.width = spot.width if spot.box else width
        x += width + room[number]
    return x - room[-1] + _MARGIN


def _size(box: Box) -> tuple[float, float]:
    wanted = max(_measure(visible(box.name), 13, bold=True), _measure(visible(box.caption), 11)) + 48
    signs = [_measure(text, 11) + 8 for _, text in _below(box)]
    return max(_MIN_BOX, min(_MAX_BOX, wanted), *signs, 0), _HEIGHT + _SIGN * len(signs)


def _width(letter: str) -> float:
    if letter == "·":
        return 0.35
    return 1.0 if letter == "…" or unicodedata.east_asian_width(letter) in "WF" else 0.85


def _measure(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text is in the widest of the fonts that may show it (DejaVu Sans)."""
    width = sum([_WIDTHS[ord(each)] if each < "\x80" else _width(each) for each in text])
    return width * size * (1.13 if bold else 1.0)


# ------------------------------------------------------------------------------------------------ drawing


def _heading(title: str, lineage: Lineage, verdict: Verdict, width: float) -> list[str]:
    colour = {Outcome.HOLDS: _GREEN, Outcome.NEEDS_REVIEW: _AMBER, Outcome.DOES_NOT_HOLD: _RED}[verdict.outcome]
    steps, made = lineage.steps, len(lineage.nodes)
    counted = f"{steps} step{'s' * (steps != 1)}, {made} manifest{'s' * (made != 1)}"
    below = f"{verdict.subject[:26]}… · {counted} · judged as of {verdict.at}"
    return [
        _mark(_MARGIN + 11, 37, 11, MARKS[verdict.outcome], colour),
        _text(_MARGIN + 32, 44, title, 20, width - 2 * _MARGIN - 32, bold=True),
        _text(_MARGIN + 32, 66, below, 12, width - 2 * _MARGIN - 32, colour=_QUIET),
    ]


def _shape(spot: _Spot) -> str:
    box = spot.box
    if box is None:
        return ""
    x, top = spot.x, spot.y - spot.height / 2
    found = marks(box.findings)
    in_question = box.id == "a0"
    colour = (_RED if found[0][0] else _AMBER) if found else _INK if in_question else _LINE
    fill = ("#fff5f5" if found[0][0] else "#fff8e5") if found else ("#eaf2fb" if box.is_step else "#f6f8fa")
    radius = 6 if box.is_step else _HEIGHT / 2
    dash = ' stroke-dasharray="5 4"' if box.dashed else ""
    hint = "\n".join(filter(None, (visible(box.name), visible(box.detail), f"sha256:{box.sha256}" * bool(box.sha256))))
    parts = [
        f'<g id="{box.id}"><title>{escape(hint)}</title>',
        f'<rect class="box" x="{x:.1f}" y="{top:.1f}" width="{spot.width:.1f}" height="{_HEIGHT}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{colour}" stroke-width="{2 if found or in_question else 1.25:g}"{dash}/>',
        _text(spot.x + spot.width / 2, top + 21, visible(box.name), 13, spot.width - 44, bold=True, middle=True),
        _text(spot.x + spot.width / 2, top + 38, visible(box.caption), 11, spot.width - 36, colour=_QUIET, middle=True),
    ]
    if found:
        parts.append(_mark(x + spot.width - 4, top + 4, 8, "✗" if found[0][0] else "!", colour))
    for i, (ink, text) in enumerate(_below(box)):
        y = top + _HEIGHT + 14 + _SIGN * i
        parts.append(_text(spot.x + spot.width / 2, y, text, 11, spot.width, colour=ink, middle=True))
    return "".join([*parts, "</g>"])


def _below(box: Box) -> list[tuple[str, str]]:
    """Colour and text of the lines below a box: who vouches for a step's machine, and codes."""
    signs = [(_RED if error else _AMBER, text) for error, text in _signs(box.findings)]
    return [*((_QUIET, visible(each)) for each in box.evidence), *signs]


def _signs(findings: list[Finding]) -> list[tuple[bool, str]]:
    """Codes of a box, with their marks; the last says how many more there are."""
    found = [(error, f"{'✗' if error else '!'} {code}") for error, code in marks(findings)]
    more = len(found) - _MAX_SIGNS
    return found if more <= 0 else [*found[:_MAX_SIGNS], (found[_MAX_SIGNS][0], f"and {more} more")]


def _route(route: _Route) -> str:
    found = marks(route.arrow.findings)
    colour = (_RED if found[0][0] else _AMBER) if found else _LINE
    tail, head = route.spots[0], route.spots[-1]
    x, y = head.x - 7, head.y + head.drop
    path = _line(route.spots) if tail.x + tail.width <= x else _line_back(tail, head)
    tip = f"M{x:.1f} {y - 4:.1f}L{x + 7:.1f} {y:.1f}L{x:.1f} {y + 4:.1f}Z"
    width = 2.25 if found else 1.25
    return (
        f'<g><path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
        f'<path d="{tip}" fill="{colour}"/></g>'
    )


def _line(spots: list[_Spot]) -> str:
    tail, head = spots[0], spots[-1]
    x, y = tail.x + tail.width, tail.y + tail.drop
    path = [f"M{x:.1f} {y:.1f}"]
    for spot in spots[1:]:
        end, level = spot.x - (7 if spot is head else 0), spot.y + spot.drop
        bend = max(24.0, abs(end - x) / 2)
        path.append(f"C{x + bend:.1f} {y:.1f} {end - bend:.1f} {level:.1f} {end:.1f} {level:.1f}")
        x, y = end + spot.width, level
        if spot is not head:
            path.append(f"H{x:.1f}")
    return "".join(path)


def _line_back(tail: _Spot, head: _Spot) -> str:
    """Over both boxes: the arrow closes a circle."""
    begin, level = tail.x + tail.width, tail.y + tail.drop
    end, target = head.x - 7, head.y + head.drop
    lane = min(level, target) - _HEIGHT / 2 - 10
    return (
        f"M{begin:.1f} {level:.1f}C{begin + 28:.1f} {level:.1f} {begin + 28:.1f} {lane:.1f} {begin:.1f} {lane:.1f}"
        f"H{end:.1f}C{end - 22:.1f} {lane:.1f} {end - 22:.1f} {target:.1f} {end:.1f} {target:.1f}"
    )


def _arrow_signs(routes: list[_Route]) -> list[str]:
    """Codes of arrows, in the gap before the step that used the artifact, each below the other."""
    places = []
    for route in routes:
        if route.arrow.findings:
            before, head = route.spots[-2], route.spots[-1]
            x = (before.x + before.width + head.x) / 2
            places.append((x, ((before.y + before.drop) + (head.y + head.drop)) / 2, marks(route.arrow.findings)))
    parts = []
    free: dict[float, float] = {}
    for x, y, found in sorted(places):
        for error, code in found:
            level = max(y, free.get(round(x), 0.0))
            free[round(x)] = level + 18
            width = _measure(f"✗ {code}", 11) + 10
            colour = _RED if error else _AMBER
            parts.append(
                f'<rect x="{x - width / 2:.1f}" y="{level - 9:.1f}" width="{width:.1f}" height="17" rx="8.5" '
                f'fill="{_PAPER}" stroke="{colour}"/>'
            )
            parts.append(
                _text(x, level + 3.5, f"{'✗' if error else '!'} {code}", 11, width, colour=colour, middle=True)
            )
    return parts


def _shown(findings: Sequence[Finding]) -> list[tuple[bool, str, str]]:
    """What the list below the drawing says: what refuses first, and not too much."""
    ordered = sorted(findings, key=lambda each: (each.severity is not Severity.ERROR, each))
    lines = [
        (each.severity is Severity.ERROR, each.code.value, f"{shorten_path(each.path)}: {visible(each.message)}")
        for each in ordered[:8]
    ]
    if len(ordered) > 8:
        lines.append((lines[-1][0], "", f"and {len(ordered) - 8} more findings"))
    return lines


def _list_findings(shown: Sequence[tuple[bool, str, str]], top: float, width: float) -> list[str]:
    parts = []
    indent = _MARGIN + 32 + max((_measure(code, 12, bold=True) for _, code, _ in shown), default=0.0)
    for i, (error, code, text) in enumerate(shown):
        y, colour = top + 16 + 22 * i, _RED if error else _AMBER
        if code:
            parts.append(_mark(_MARGIN + 7, y - 4, 6, "✗" if error else "!", colour))
            parts.append(_text(_MARGIN + 20, y, code, 12, width, bold=True, colour=colour))
        parts.append(_text(indent, y, text, 12, width - indent - _MARGIN, colour=_QUIET))
    return parts


def _legend(top: float, width: float) -> list[str]:
    y = top + 20
    parts = [f'<path d="M{_MARGIN} {top:.1f}H{width - _MARGIN:.1f}" stroke="#d8dee4"/>']
    x = float(_MARGIN)
    for kind, label in (
        ("step", "step"),
        ("artifact", "artifact"),
        ("dashed", "no manifest vouches for it"),
        ("✗", "refuses"),
        ("!", "warning"),
    ):
        if kind in "✗!":
            parts.append(_mark(x + 12, y, 7, kind, _RED if kind == "✗" else _AMBER))
        else:
            fill, radius = ("#eaf2fb", 3) if kind == "step" else ("#f6f8fa", 7)
            dash = ' stroke-dasharray="4 3"' if kind == "dashed" else ""
            parts.append(
                f'<rect x="{x:.1f}" y="{y - 7:.1f}" width="24" height="14" rx="{radius}" fill="{fill}" '
                f'stroke="{_LINE}"{dash}/>'
            )
        parts.append(_text(x + 32, y + 4, label, 11, 300, colour=_QUIET))
        x += 32 + _measure(label, 11) + 18
    return parts


def _mark(x: float, y: float, radius: float, mark: str, colour: str) -> str:
    """A round badge with a check, a cross or an exclamation mark, drawn, because not every font has them."""
    r = radius * 0.42
    sign = {
        "✓": f"M{x - r:.1f} {y:.1f}L{x - r / 4:.1f} {y + r * 0.8:.1f}L{x + r:.1f} {y - r * 0.8:.1f}",
        "✗": f"M{x - r:.1f} {y - r:.1f}L{x + r:.1f} {y + r:.1f}M{x + r:.1f} {y - r:.1f}L{x - r:.1f} {y + r:.1f}",
        "!": f"M{x:.1f} {y - radius * 0.55:.1f}V{y + radius * 0.1:.1f}"
        f"M{x:.1f} {y + radius * 0.48:.1f}V{y + radius * 0.5:.1f}",
    }[mark]
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/><path d="{sign}" fill="none" '
        f'stroke="{_PAPER}" stroke-width="{max(1.5, radius / 5):g}" stroke-linecap="round" stroke-linejoin="round"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    room: float,
    *,
    bold: bool = False,
    middle: bool = False,
    colour: str = "",
) -> str:
    """A line of text that is cut to its room; letters of unknown width are squeezed into theirs."""
    kept = _cut(text, size, room, bold=bold)
    style = (' font-weight="600"' if bold else "") + (' text-anchor="middle"' if middle else "")
    style += f' fill="{colour}"' if colour else ""
    if not all(each < "\u0250" or each in "✓✗…·←" for each in kept):
        style += f' textLength="{_measure(kept, size, bold=bold):.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{style}>{escape(kept)}</text>'


def _cut(text: str, size: float, room: float, *, bold: bool) -> str:
    """The text, or its beginning and its end with an ellipsis between them."""
    if _measure(text, size, bold=bold) <= room:
        return text
    begin, end = "", ""
    for i in range(len(text)):
        longer = (begin + text[i], end) if i % 3 < 2 else (begin, text[len(text) - 1 - i // 3] + end)
        if i % 3 < 2:
            longer = (text[: len(begin) + 1], end)
        if _measure("".join(longer) + "…", size, bold=bold) > room:
            break
        begin, end = longer
    return f"{begin}…{end}"
