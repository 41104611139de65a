"""What is written into a home, whole or not at all."""

from pathlib import Path

import pytest

from atlas.errors import AtlasError, StorageError
from atlas.home import Home, create_home
from unit.core.home_support import listing, python


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / ".atlas")


def test_all_files_at_once(home: Home) -> None:
    made = home.deposit({"statement.json": b"{}", "model.c2pa": b"x"})

    assert made.parent == home.inbox
    assert {each.name: each.read_bytes() for each in made.iterdir()} == {
        "statement.json": b"{}",
        "model.c2pa": b"x",
    }
    assert listing(home.inbox) == [made.name]


def test_each_is_another(home: Home) -> None:
    assert home.deposit({"a": b"1"}) != home.deposit({"a": b"1"})


@pytest.mark.parametrize("names", [("a", "x" * 300)])
def test_nothing_is_left_of_a_failed_one(home: Home, names: tuple[str, ...]) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        home.deposit(dict.fromkeys(names, b""))
    assert listing(home.inbox) == []


@pytest.mark.parametrize("name", ["../evil", "..", "/evil", "no/such/folder", "nul\0"])
def test_names_never_lead_elsewhere(home: Home, name: str, tmp_path: Path) -> None:
    with pytest.raises(AtlasError):
        home.deposit({name if name != "/evil" else str(tmp_path / "evil"): b"x"})
    assert not list(tmp_path.rglob("evil"))
    assert listing(home.inbox) == []


def test_without_an_inbox(home: Home) -> None:
    home.inbox.rmdir()

    with pytest.raises(StorageError, match="cannot be written"):
        home.deposit({"a": b""})


@pytest.mark.parametrize("moment", [1, 2])
def test_killed_while_it_is_written(home: Home, moment: int) -> None:
    process = python(
        "import os, sys; from pathlib import Path; from atlas.home import open_home\n"
        "sync, calls = os.fsync, []\n"
        "def dying(descriptor):\n"
        "    calls.append(1)\n"
        "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "    sync(descriptor)\n"
        "os.fsync = dying\n"
        "open_home(Path(sys.argv[1])).deposit({'a': b'1', 'b': b'2'})",
        home.path,
        moment,
    )
    process.communicate(timeout=60)

    assert process.returncode == -9
    left = listing(home.inbox)
    assert left
    assert all(each.startswith(".") for each in left), "a reader of the inbox passes over hidden folders"


def test_a_file_in_a_folder_of_the_home(tmp_path: Path) -> None:
    home = create_home(tmp_path / ".atlas")
    for content in (b"one", b"two"):
        home.write("watch/log.json", content)
        assert (home.path / "watch" / "log.json").read_bytes() == content
        assert [each.name for each in (home.path / "watch").iterdir()] == ["log.json"]
    with pytest.raises(StorageError, match="cannot be written"):
        home.write("version/log.json", b"")
    with pytest.raises(StorageError, match="cannot be written"):
        Home(tmp_path / "gone").write("watch/log.json", b"")
    assert not (tmp_path / "gone").exists()
