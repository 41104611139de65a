"""How the repository is laid out, and what may import what."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("sdk", "components", "operator")
LARGEST = 500
"""Lines of a module."""
FOLDERS = {"components", "operator", "manifests", "sdk", "tests", "charts", "docs", "examples"}
FILES = {
    *(
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
        "uv.lock",
    ),
    *(".gitignore", ".gitattributes", ".dockerignore", ".editorconfig", ".ci", ".github"),
}
# not after a name, a closing bracket or a variable: `https://example.com/work/x` and `$ROOT/work/x` are no such paths
ABSOLUTE = re.compile(
    rf"(?<![\w.~}})$-])/(?:{'home|Users'})/(?!nonroot\b|<)\w|(?<![\w.~}})$-])/(?:{'root|work'})/[\w.]"
)


def git(*arguments: str) -> list[str]:
    """NUL-separated names that git prints."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("NOT TESTED: this is no git checkout, so nothing says which files are the repository's")
    done = subprocess.run(["git", "-C", REPOSITORY, *arguments], capture_output=True, text=True, check=True)
    return [each for each in done.stdout.split("\0") if each]


def files() -> list[Path]:
    """Files that are tracked, or would be with `git add .`, and are there."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [path for each in names if (path := REPOSITORY / each).is_file()]


def modules() -> list[Path]:
    return [path for each in SOURCES for path in (REPOSITORY / each).rglob("*.py")]


def test_operator_is_no_package() -> None:
    assert (REPOSITORY / "operator").is_dir()
    assert not (REPOSITORY / "operator" / "__init__.py").exists(), "it would shadow the standard library's operator"
    assert not [each for each in SOURCES if (REPOSITORY / each / "__init__.py").exists()]


@pytest.mark.parametrize("folder", [".", *SOURCES])
def test_the_standard_library_works_from_here(folder: str) -> None:
    code = "import operator, collections; print(operator.__file__); print(operator.itemgetter(0)('a'))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=REPOSITORY / folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    location, item = done.stdout.splitlines()
    assert item == "a"
    assert not Path(location).is_relative_to(REPOSITORY / "operator")


def test_imports_go_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    path = os.pathsep.join(str(REPOSITORY / each) for each in SOURCES)
    done = subprocess.run(
        [tool if tool.exists() else shutil.which("lint-imports") or "lint-imports", "--no-cache"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


def test_there_are_modules() -> None:
    assert len(modules()) > 40


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_module_is_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= LARGEST, "one module, one job"


def test_only_the_usual_at_the_top() -> None:
    top = {path.relative_to(REPOSITORY).parts[0] for path in files()}

    assert top - FOLDERS - FILES == set()
    assert {"sdk", "components", "tests", "docs", "README.md", "LICENSE", "pyproject.toml"} <= top


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd /" + "home/ada/atlas", True),
        ('"/' + 'root/.cache"', True),
        ("/" + "work/main/sdk", True),
        ("/" + "Users/ada", True),
        ("https://example.com/" + "work/1", False),
        ("$HOME/" + "work/x", False),
        ("/workspace/x", False),
        ("/tmp/root/x", False),
        ("/rootless", False),
    ],
)
def test_the_pattern_for_absolute_paths(text: str, found: bool) -> None:
    assert bool(ABSOLUTE.search(text)) is found


def test_nobody_s_folders_are_named() -> None:
    found = []
    for path in files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:100]}"
            for number, line in enumerate(text.splitlines(), 1)
            if ABSOLUTE.search(line)
        ]

    assert found == []


def test_every_link_in_the_tree_leads_somewhere() -> None:
    links = [each for each in git("ls-files", "-z") if (REPOSITORY / each).is_symlink()]

    assert [each for each in links if not (REPOSITORY / each).exists()] == []
