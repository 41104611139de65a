"""Every test that the threat model names exists, and every attack that Atlas does something against names one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = [
    row.strip("| \n").split(" | ")
    for section in PAGE.split("## Attacks on ")[1:]
    for row in section.splitlines()
    if row.startswith("| ") and not row.startswith(("| attack ", "|---"))
]


def test_it_is_a_table_of_attacks() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_what_it_does_is_tested(row: list[str]) -> None:
    named = re.findall(r"`([\w.]*)(?:::(\w+))?`", row[2])
    assert named, row
    module = ""
    for file, function in named:
        module = file or module
        [path] = (ROOT / "tests").rglob(module)
        if function:
            assert re.search(rf"^\s*def {function}\(", path.read_text(encoding="utf-8"), re.MULTILINE), (
                module,
                function,
            )
