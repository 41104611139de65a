"""Every console block of the README and of docs/ is run, and prints what the page says.

In the expected output `…` stands for anything within a line, a line of only `…` for any lines, and every run of eight
or more hex digits for any such run. The blocks of one page run one after the other in one new folder.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEX = re.compile(r"[0-9a-f]{8,}")

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Command:
    line: str
    expected: list[str]


def commands(page: Path) -> Iterator[Command]:
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        prompts = [part for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
        for part in prompts:
            line, *expected = part.rstrip("\n").split("\n")
            yield Command(line, [each.rstrip() for each in expected if each.strip()])


def pattern(expected: list[str]) -> re.Pattern[str]:
    lines = []
    for each in expected:
        if each.strip() == "…":
            lines.append(r"(?:[^\n]*\n)*?")
            continue
        text = ".*".join(re.escape(part) for part in each.split("…"))
        lines.append(HEX.sub("[0-9a-f]+", text) + r"\n")
    return re.compile("".join(lines))


PAGES_WITH_BLOCKS = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def test_the_readme_shows_something_that_runs() -> None:
    assert ROOT / "README.md" in PAGES_WITH_BLOCKS


@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_console_blocks_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    for name in ("pipeline.py", "policy.yaml", "compile.py"):
        (tmp_path / name).write_bytes((ROOT / "examples" / "01-laptop" / name).read_bytes())
    for command in commands(page):
        # a page is read in the checkout, and its commands are run elsewhere
        line = re.sub(r"^make (\w+)$", rf"make -s --no-print-directory -C {ROOT} \1 INTO=.", command.line)
        line = line.replace(f"-C {ROOT} demo INTO=.", f"-C {ROOT} demo INTO={tmp_path}")
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("ATLAS_", "COV"))},
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "COLUMNS": "120",
                "NO_COLOR": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        printed = "".join(f"{each.rstrip()}\n" for each in done.stdout.split("\n") if each.strip())
        printed = printed.replace(f"{tmp_path}/", "")
        assert pattern(command.expected).fullmatch(printed), f"$ {command.line}\n{printed}"
