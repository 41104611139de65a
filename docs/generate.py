"""Write the pages of docs/ that are made from the code: docs/tamper-matrix.md and docs/findings.md.

    PYTHONPATH=sdk:tests python docs/generate.py [--check]

With `--check` nothing is written, and the exit code is 1 if a page is not what the code says.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from atlas import codes
from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from integration.tamper.registry import Attack, load

DOCS = Path(__file__).resolve().parent

MATRIX = """\
# Tamper matrix

Every attack on this page is a test (`tests/integration/tamper`). The attacker acts on a real pipeline: files on disk,
signed steps, an archive, a log. Then the user's own command is run, and it must exit with 1 and find exactly the
codes of the table. Attacks marked ¹ ask the library directly, because no command leads there. Where the outcome is
the name of an error, Atlas does not even begin to judge, and exits with 2. The same world, untouched, holds.
"""

FINDINGS = """\
# Findings

Every reason for which Atlas says no. A code never changes its name. `atlas explain` prints what is on this page for
each finding, with the way through the lineage that leads to it.
"""


def tamper_matrix() -> str:
    """docs/tamper-matrix.md."""
    attacks = load()
    lines = [
        MATRIX,
        f"{len(attacks)} attacks.\n",
        "| # | Attack | Part | Caught as | Answers |",
        "|--:|---|---|---|---|",
    ]
    lines += [_row(number, each) for number, each in enumerate(attacks, 1)]
    return "\n".join(lines) + "\n"


def _row(number: int, each: Attack) -> str:
    mark = " ¹" if each.api else ""
    caught = [f"[{code}](findings.md#{code.lower()})" for code in sorted(each.caught)]
    caught += [f"`{each.refused.__name__}` (exit 2)"] if each.refused else []
    outcome = " ".join(caught)
    if each.inherent:
        outcome += f", with {' '.join(sorted(each.inherent))}"
    return f"| {number} | {each.description}{mark} | {each.part} | {outcome} | {each.answers} |"


def findings() -> str:
    """docs/findings.md."""
    lines = [FINDINGS]
    for group, members in groupby(Code, key=_groups().__getitem__):
        lines.append(f"## {group}\n")
        for code in members:
            entry = CATALOGUE[code]
            lines.append(f"### {code}\n\n{entry.meaning}\n\n**Mend:** {entry.mend}\n")
    return "\n".join(lines)


def _groups() -> dict[Code, str]:
    """Code -> the comment above its group in the enumeration."""
    groups: dict[Code, str] = {}
    heading = ""
    for line in Path(codes.__file__).read_text(encoding="utf-8").splitlines():
        if comment := re.fullmatch(r"    # (.+)\.", line):
            heading = comment[1]
        elif member := re.fullmatch(r'    ([A-Z0-9_]+) = ".+"', line):
            groups[Code[member[1]]] = heading
    return groups


PAGES: dict[str, Callable[[], str]] = {"tamper-matrix.md": tamper_matrix, "findings.md": findings}


def drifted(folder: Path = DOCS) -> Iterator[str]:
    """Names of pages that are not what the code says."""
    for name, page in PAGES.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != page():
            yield name


def main(arguments: Sequence[str], folder: Path = DOCS) -> int:
    """Write the pages, or compare them; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="compare, and exit with 1 if a page has drifted")
    if not parser.parse_args(arguments).check:
        for name, page in PAGES.items():
            (folder / name).write_text(page(), encoding="utf-8")
        return 0
    names = list(drifted(folder))
    for name in names:
        sys.stderr.write(f"docs/{name}: not what the code says; run `make docs`\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
