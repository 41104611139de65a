"""Placing the boxes and arrows of a picture on a sheet.

Left to right in layers (Sugiyama, Tagawa, Toda 1981): a box stands as many layers left of the verified artifact as the
longest way from it has arrows; each layer is sorted by the barycenters of its neighbours; heights are then evened out
by isotonic regression, which keeps the order and the distances. Arrows over several layers pass through a gap in each.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from atlas.lineage.picture import Arrow, Box, marks, visible
from atlas.verdict import Finding

MARGIN, TOP = 36, 92
GAP_X, GAP_Y, SIGN = 72, 26, 17
_MIN_BOX, _MAX_BOX, HEIGHT = 120, 240, 50
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
class Spot:
    """A box or a bend of an arrow, in its place; coordinates in pixels."""

    box: Box | None
    layer: int
    width: float = 0
    height: float = 10
    x: float = 0
    y: float = 0
    """The middle; `x` is the left edge."""
    left: list["Spot"] = field(default_factory=list)
    right: list["Spot"] = field(default_factory=list)
    order: int = 0

    @cached_property
    def drop(self) -> float:
        """How far below the middle arrows meet the spot: in the middle of the box without the lines below it."""
        return (HEIGHT - self.height) / 2 if self.box else 0.0


@dataclass(eq=False)
class Route:
    """An arrow, with the spots it passes from its tail to its head."""

    arrow: Arrow
    spots: list[Spot]


@dataclass
class Layout:
    """Where everything is."""

    spots: dict[str, Spot]
    """By the id of the box."""
    routes: list[Route]
    width: float
    height: float


def lay_out(boxes: dict[str, Box], arrows: Sequence[Arrow], least: float = 0) -> Layout:
    """Place boxes and arrows, on a sheet that is at least so wide."""
    layers = _layers(boxes, arrows)
    spots = {identity: Spot(box, layers[identity], *_size(box)) for identity, box in boxes.items()}
    routes = _routes(spots, arrows)
    columns: list[list[Spot]] = [[] for _ in range(max(layers.values()) + 1)]
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
    return Layout(spots, routes, max(least, right), below + GAP_Y)


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


def _routes(spots: dict[str, Spot], arrows: Sequence[Arrow]) -> list[Route]:
    bends = sum(max(0, spots[each.head].layer - spots[each.tail].layer - 1) for each in arrows)
    routes = []
    for arrow in arrows:
        tail, head = spots[arrow.tail], spots[arrow.head]
        between = range(tail.layer + 1, head.layer) if bends <= _MAX_BENDS else range(0)
        route = [tail, *(Spot(None, layer) for layer in between), head]
        if tail.layer < head.layer:
            for one, other in pairwise(route):
                one.right.append(other)
                other.left.append(one)
        routes.append(Route(arrow, route))
    return routes


def _sort(columns: list[list[Spot]], sweeps: int) -> None:
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


def _number(column: list[Spot]) -> None:
    for order, spot in enumerate(column):
        spot.order = order


def _level(columns: list[list[Spot]], sweeps: int) -> None:
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
            spot.y += TOP - top


def _stack(column: list[Spot], wanted: list[float]) -> None:
    """Put spots at the heights nearest to those wanted that keep them apart (pool adjacent violators)."""
    offsets, offset = [], 0.0
    for i, spot in enumerate(column):
        if i:
            before = column[i - 1]
            gap = GAP_Y if spot.box and before.box else GAP_Y / 2
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


def _spread(columns: list[list[Spot]], routes: list[Route]) -> float:
    """Give each layer its place from left to right; returns the sheet's width."""
    room = [float(GAP_X)] * len(columns)
    for route in routes:
        codes = [measure(f"✗ {code}", 11) + 44 for _, code in marks(route.arrow.findings)]
        tail = route.spots[-2].layer
        room[tail] = max([room[tail], *codes])
    x = float(MARGIN)
    for number, column in enumerate(columns):
        width = max(spot.width for spot in column)
        for spot in column:
            spot.x = x + (width - spot.width) / 2 if spot.box else x
            spot.width = spot.width if spot.box else width
        x += width + room[number]
    return x - room[-1] + MARGIN


def _size(box: Box) -> tuple[float, float]:
    wanted = max(measure(visible(box.name), 13, bold=True), measure(visible(box.caption), 11)) + 48
    lines = [*(visible(each) for each in box.evidence), *(text for _, text in signs(box.findings))]
    wide = [measure(text, 11) + 8 for text in lines]
    return max(_MIN_BOX, min(_MAX_BOX, wanted), *wide, 0), HEIGHT + SIGN * len(lines)


def _width(letter: str) -> float:
    if letter == "·":
        return 0.35
    return 1.0 if letter == "…" or unicodedata.east_asian_width(letter) in "WF" else 0.85


def measure(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a text is in the widest of the fonts that may show it (DejaVu Sans)."""
    width = sum([_WIDTHS[ord(each)] if each < "\x80" else _width(each) for each in text])
    return width * size * (1.13 if bold else 1.0)


def signs(findings: list[Finding]) -> list[tuple[bool, str]]:
    """Codes of a box, with their marks; the last says how many more there are."""
    found = [(error, f"{'✗' if error else '!'} {code}") for error, code in marks(findings)]
    more = len(found) - _MAX_SIGNS
    return found if more <= 0 else [*found[:_MAX_SIGNS], (found[_MAX_SIGNS][0], f"and {more} more")]
