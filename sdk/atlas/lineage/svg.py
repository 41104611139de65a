"""Drawing a lineage as one SVG file that needs nothing else: no program that lays it out, no script, no font."""

from collections.abc import Sequence
from html import escape

from atlas.lineage.graph import Lineage
from atlas.lineage.layout import HEIGHT, MARGIN, SIGN, Route, Spot, lay_out, measure, signs
from atlas.lineage.picture import MARKS, Box, draw, headline, marks, shorten_path, visible
from atlas.verdict import Finding, Outcome, Severity, Verdict

_INK, _QUIET, _LINE, _PAPER = "#1f2328", "#57606a", "#8c959f", "#ffffff"
_RED, _AMBER, _GREEN = "#cf222e", "#9a6700", "#1a7f37"
_FONT = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_FOOT = 64


def to_svg(lineage: Lineage, verdict: Verdict) -> str:
    """An SVG document."""
    picture = draw(lineage, verdict)
    title = headline(lineage, verdict)
    shown = _shown(verdict.findings)
    layout = lay_out(picture.boxes, picture.arrows, least=max(660, measure(title, 20, bold=True) + 3 * MARGIN))
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


def _heading(title: str, lineage: Lineage, verdict: Verdict, width: float) -> list[str]:
    colour = {Outcome.HOLDS: _GREEN, Outcome.NEEDS_REVIEW: _AMBER, Outcome.DOES_NOT_HOLD: _RED}[verdict.outcome]
    steps, made = lineage.steps, len(lineage.nodes)
    counted = f"{steps} step{'s' * (steps != 1)}, {made} manifest{'s' * (made != 1)}"
    below = f"{verdict.subject[:26]}… · {counted} · judged as of {verdict.at}"
    return [
        _mark(MARGIN + 11, 37, 11, MARKS[verdict.outcome], colour),
        _text(MARGIN + 32, 44, title, 20, width - 2 * MARGIN - 32, bold=True),
        _text(MARGIN + 32, 66, below, 12, width - 2 * MARGIN - 32, colour=_QUIET),
    ]


def _shape(spot: Spot) -> str:
    box = spot.box
    if box is None:
        return ""
    x, top = spot.x, spot.y - spot.height / 2
    found = marks(box.findings)
    in_question = box.id == "a0"
    colour = (_RED if found[0][0] else _AMBER) if found else _INK if in_question else _LINE
    fill = ("#fff5f5" if found[0][0] else "#fff8e5") if found else ("#eaf2fb" if box.is_step else "#f6f8fa")
    radius = 6 if box.is_step else HEIGHT / 2
    dash = ' stroke-dasharray="5 4"' if box.dashed else ""
    hint = "\n".join(filter(None, (visible(box.name), visible(box.detail), f"sha256:{box.sha256}" * bool(box.sha256))))
    parts = [
        f'<g id="{box.id}"><title>{escape(hint)}</title>',
        f'<rect class="box" x="{x:.1f}" y="{top:.1f}" width="{spot.width:.1f}" height="{HEIGHT}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{colour}" stroke-width="{2 if found or in_question else 1.25:g}"{dash}/>',
        _text(spot.x + spot.width / 2, top + 21, visible(box.name), 13, spot.width - 44, bold=True, middle=True),
        _text(spot.x + spot.width / 2, top + 38, visible(box.caption), 11, spot.width - 36, colour=_QUIET, middle=True),
    ]
    if found:
        parts.append(_mark(x + spot.width - 4, top + 4, 8, "✗" if found[0][0] else "!", colour))
    for i, (ink, text) in enumerate(_below(box)):
        y = top + HEIGHT + 14 + SIGN * i
        parts.append(_text(spot.x + spot.width / 2, y, text, 11, spot.width, colour=ink, middle=True))
    return "".join([*parts, "</g>"])


def _below(box: Box) -> list[tuple[str, str]]:
    """Colour and text of the lines below a box: who vouches for a step's machine, and codes."""
    codes = [(_RED if error else _AMBER, text) for error, text in signs(box.findings)]
    return [*((_QUIET, visible(each)) for each in box.evidence), *codes]


def _route(route: Route) -> str:
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


def _line(spots: list[Spot]) -> str:
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


def _line_back(tail: Spot, head: Spot) -> str:
    """Over both boxes: the arrow closes a circle."""
    begin, level = tail.x + tail.width, tail.y + tail.drop
    end, target = head.x - 7, head.y + head.drop
    lane = min(level, target) - HEIGHT / 2 - 10
    return (
        f"M{begin:.1f} {level:.1f}C{begin + 28:.1f} {level:.1f} {begin + 28:.1f} {lane:.1f} {begin:.1f} {lane:.1f}"
        f"H{end:.1f}C{end - 22:.1f} {lane:.1f} {end - 22:.1f} {target:.1f} {end:.1f} {target:.1f}"
    )


def _arrow_signs(routes: list[Route]) -> list[str]:
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
            width = measure(f"✗ {code}", 11) + 10
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
    indent = MARGIN + 32 + max((measure(code, 12, bold=True) for _, code, _ in shown), default=0.0)
    for i, (error, code, text) in enumerate(shown):
        y, colour = top + 16 + 22 * i, _RED if error else _AMBER
        if code:
            parts.append(_mark(MARGIN + 7, y - 4, 6, "✗" if error else "!", colour))
            parts.append(_text(MARGIN + 20, y, code, 12, width, bold=True, colour=colour))
        parts.append(_text(indent, y, text, 12, width - indent - MARGIN, colour=_QUIET))
    return parts


def _legend(top: float, width: float) -> list[str]:
    y = top + 20
    parts = [f'<path d="M{MARGIN} {top:.1f}H{width - MARGIN:.1f}" stroke="#d8dee4"/>']
    x = float(MARGIN)
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
        x += 32 + measure(label, 11) + 18
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
        style += f' textLength="{measure(kept, size, bold=bold):.1f}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{style}>{escape(kept)}</text>'


def _cut(text: str, size: float, room: float, *, bold: bool) -> str:
    """The text, or its beginning and its end with an ellipsis between them."""
    if measure(text, size, bold=bold) <= room:
        return text
    begin, end = "", ""
    for i in range(len(text)):
        longer = (begin + text[i], end) if i % 3 < 2 else (begin, text[len(text) - 1 - i // 3] + end)
        if i % 3 < 2:
            longer = (text[: len(begin) + 1], end)
        if measure("".join(longer) + "…", size, bold=bold) > room:
            break
        begin, end = longer
    return f"{begin}…{end}"
