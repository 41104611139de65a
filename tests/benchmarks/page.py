"""Showing figures: a table for a terminal, and the same in Markdown between two markers of a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Figure

BEGIN, END = "<!-- begin: one run of `make bench` -->", "<!-- end: one run of `make bench` -->"
HEADINGS = ("what", "Atlas (min–max)", "baseline (min–max)", "ratio", "bound", "")


def row(figure: Figure) -> tuple[str, ...]:
    """One row of the table."""
    bound, ratio = figure.bound, figure.ratio
    said = ""
    if bound:
        said = f"{bound.relation} {bound.limit:g}" + ("×" if bound.of == "ratio" else _unit(figure.unit))
    return (
        figure.what,
        spread(figure.subject, figure.unit),
        spread(figure.baseline, figure.unit) if figure.baseline else "",
        "" if ratio is None else f"{ratio:.3g}×",
        said,
        {None: "", True: "✓", False: "✗"}[figure.holds],
    )


def spread(values: Sequence[float], unit: str) -> str:
    """Median, least and most."""
    low, middle, high = (_number(value) for value in (min(values), median(values), max(values)))
    limits = f" ({low}–{high})" if low != high else ""
    return f"{middle}{_unit(unit)}{limits}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal."""
    widths = [max(len(each[i]) for each in rows) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(map(str.ljust, each, widths)).rstrip() for each in rows)


def markdown(heading: str, results: Mapping[str, Sequence[Figure]]) -> str:
    """All results as Markdown."""
    parts = [f"{heading}\n"]
    for name, figures in results.items():
        lines = [HEADINGS, ("---",) * len(HEADINGS), *map(row, figures)]
        parts.append(f"### `{name}`\n\n" + "\n".join(f"| {' | '.join(each)} |" for each in lines) + "\n")
    return "\n".join(parts)


def rewrite(page: Path, content: str) -> None:
    """Put the content between the page's markers.

    Raises:
        ValueError: if the page does not have both.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{content}\n{END}{after}")


def document(heading: str, results: Mapping[str, Sequence[Figure]]) -> dict[str, Any]:
    """All results with every sample, for JSON."""
    return {
        "run": heading,
        "figures": [
            {
                "benchmark": name,
                "what": figure.what,
                "unit": figure.unit,
                "subject": list(figure.subject),
                "baseline": list(figure.baseline),
                "ratio": figure.ratio,
                "bound": vars(figure.bound) if figure.bound else None,
                "holds": figure.holds,
            }
            for name, figures in results.items()
            for figure in figures
        ],
    }


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
