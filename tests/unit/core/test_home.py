import datetime as dt
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.errors import ClockError, HomeVersionError, InputError, StateError, StorageError
from atlas.home import FORMAT, Home, create_home, find_home, open_home
from atlas.keys import issue
from atlas.trust import Role, load_authority, load_log
from support import unprivileged
from support.forge import step
from unit.core.home_support import listing, python

KEYS = ("ca.key", "log.key")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / ".atlas")


@pytest.fixture(autouse=True)
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATLAS_HOME", raising=False)


class TestCreate:
    def test_files(self, home: Home) -> None:
        assert {each.name for each in home.path.iterdir()} == {
            *("version", "ca.key", "ca.pem", "log.key", "trust.json", ".gitignore", "inbox")
        }
        assert (home.path / "version").read_bytes() == b"1\n"
        assert (home.path / ".gitignore").read_bytes() == b"*\n"
        assert (home.inbox, home.trust_path) == (home.path / "inbox", home.path / "trust.json")
        assert {home.log_path.parent, home.archive_path.parent} == {home.path}

    def test_only_the_owner_may_enter(self, home: Home) -> None:
        assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
        assert {stat.S_IMODE((home.path / each).stat().st_mode) for each in KEYS} == {0o600}

    def test_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            home = create_home(tmp_path / "home")
        finally:
            os.umask(before)

        assert {stat.S_IMODE((home.path / each).stat().st_mode) for each in KEYS} == {0o600}
        assert home.issuer().certificate.serial_number

    def test_keys_fit_the_trust_root(self, home: Home) -> None:
        spec = json.loads(home.trust_path.read_bytes())["spec"]
        (authority,) = spec["authorities"]
        (log,) = spec["logs"]
        pinned = load_authority(authority["name"], authority["certificate"], frozenset(map(Role, authority["roles"])))

        assert pinned.certificate == home.issuer().certificate
        assert pinned.roles == frozenset(Role)
        assert load_log(log["origin"], log["publicKey"]).public_key == home.log_key().public_key()

    def test_two_homes_share_nothing(self, tmp_path: Path) -> None:
        one, two = create_home(tmp_path / "one"), create_home(tmp_path / "two")

        assert one.issuer().certificate.subject != two.issuer().certificate.subject
        assert one.log_key().public_key() != two.log_key().public_key()
        origins = {json.loads(each.trust_path.read_bytes())["spec"]["logs"][0]["origin"] for each in (one, two)}
        assert len(origins) == 2

    def test_existing_one_is_kept(self, home: Home) -> None:
        before = {each.name: each.read_bytes() for each in home.path.iterdir() if each.is_file()}

        assert create_home(home.path) == home
        assert {each.name: each.read_bytes() for each in home.path.iterdir() if each.is_file()} == before

    def test_parents_are_made(self, tmp_path: Path) -> None:
        assert create_home(tmp_path / "a" / "b" / "home").issuer().certificate.serial_number

    def test_file_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_bytes(b"")

        with pytest.raises(InputError, match="no such home"):
            create_home(tmp_path / "home")
        with pytest.raises(StorageError, match="cannot be written"):
            create_home(tmp_path / "home" / "below")
        assert listing(tmp_path) == ["home"]

    def test_another_folder_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "thesis.txt").write_bytes(b"years")

        with pytest.raises(StateError, match="not a home of Atlas"):
            create_home(tmp_path / "home")
        assert listing(tmp_path / "home") == ["thesis.txt"]

    def test_read_only_folder(self, open_folder: Path) -> None:
        open_folder.chmod(0o500)

        done = unprivileged.run(
            "from pathlib import Path\nimport atlas.keys, atlas.trust\n"
            "from atlas.home import create_home\nfrom atlas.errors import StorageError",
            "try: create_home(Path(sys.argv[1]))\n"
            "except StorageError as error: print('refused:', error, '|', error.mend)",
            open_folder / ".atlas",
        )

        assert done.stderr == ""
        assert done.stdout.startswith(f"refused: {open_folder / '.atlas'}: cannot be written: Permission denied")
        assert "grant this user the right" in done.stdout
        assert listing(open_folder) == []

    @pytest.mark.parametrize("function", ["create_home", "open_home", "find_home"])
    def test_folder_that_may_not_be_entered(self, open_folder: Path, function: str) -> None:
        open_folder.chmod(0)

        done = unprivileged.run(
            "from pathlib import Path\nimport atlas.keys, atlas.trust\n"
            f"from atlas.home import {function}\nfrom atlas.errors import AtlasError",
            f"try: {function}(Path(sys.argv[1]))\nexcept AtlasError as error: print('refused:', error)",
            open_folder / ".atlas",
        )

        assert done.stderr == ""
        assert done.stdout.startswith("refused: ")

    def test_full_disk(self, tmp_path: Path) -> None:
        process = python(
            "import resource, signal, sys; from pathlib import Path\n"
            "from atlas.home import create_home; from atlas.errors import StorageError\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
            "try: create_home(Path(sys.argv[1]))\n"
            "except StorageError as error: print('refused:', error, '|', error.mend)",
            tmp_path / "home",
        )
        out, errors = process.communicate(timeout=60)

        assert errors == ""
        assert out.startswith("refused:")
        assert "free space" in out
        assert listing(tmp_path) == []

    @pytest.mark.parametrize("moment", range(1, 8))
    def test_killed_while_it_is_made(self, tmp_path: Path, moment: int) -> None:
        """Dies at the n-th time that it syncs something (six files, then the folder)."""
        process = python(
            "import os, sys; from pathlib import Path; from atlas.home import create_home\n"
            "sync, calls = os.fsync, []\n"
            "def dying(descriptor):\n"
            "    calls.append(1)\n"
            "    if len(calls) == int(sys.argv[2]): os.kill(os.getpid(), 9)\n"
            "    sync(descriptor)\n"
            "os.fsync = dying\n"
            "create_home(Path(sys.argv[1]))",
            tmp_path / ".atlas",
            moment,
        )
        process.communicate(timeout=60)
        assert process.returncode == -9

        if moment < 7:
            assert not (tmp_path / ".atlas").exists()
            with pytest.raises(InputError):
                find_home(start=tmp_path)
        home = create_home(tmp_path / ".atlas")
        assert home.issuer().certificate.serial_number
        assert home.log_key().sign(b"")

    def test_two_processes_at_once(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from atlas.home import create_home\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "home = create_home(Path(sys.argv[1]))\n"
            "print(home.issuer().certificate.subject.rfc4514_string(), home.log_key().public_key().public_bytes_raw())"
        )
        for attempt in range(3):
            path = tmp_path / str(attempt) / ".atlas"
            processes = [python(code, path) for _ in range(4)]
            for each in processes:
                assert each.stdout
                assert each.stdout.readline() == "ready\n"
            for each in processes:
                assert each.stdin
                each.stdin.write("go\n")
                each.stdin.flush()
            answers = [each.communicate(timeout=60) for each in processes]

            assert [errors for _, errors in answers] == [""] * 4
            assert len({out for out, _ in answers}) == 1
            assert answers[0][0].startswith("CN=")
            assert listing(path.parent) == [".atlas"]

    def test_clock_that_was_set_back_later(self, tmp_path: Path) -> None:
        made = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
        issuer = create_home(tmp_path / "home", now=made).issuer()

        assert issue(issuer, step(), made).chain
        with pytest.raises(ClockError):
            issue(issuer, step(), made - dt.timedelta(seconds=1))


class TestFind:
    def test_in_the_folder_itself_and_below(self, home: Home) -> None:
        below = home.path.parent / "a" / "b"
        below.mkdir(parents=True)

        assert find_home(start=home.path.parent) == home
        assert find_home(start=below) == home

    def test_from_the_current_folder(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        (home.path.parent / "a").mkdir()
        monkeypatch.chdir(home.path.parent / "a")

        assert find_home() == home

    def test_the_nearest(self, home: Home) -> None:
        nearer = create_home(home.path.parent / "a" / ".atlas")

        assert find_home(start=home.path.parent / "a") == nearer

    def test_a_file_of_that_name_is_none(self, home: Home) -> None:
        (home.path.parent / "a").mkdir()
        (home.path.parent / "a" / ".atlas").write_bytes(b"")

        assert find_home(start=home.path.parent / "a") == home

    def test_variable(self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        named = create_home(tmp_path / "named")
        monkeypatch.setenv("ATLAS_HOME", str(named.path))

        assert find_home(start=home.path.parent) == named
        assert find_home(home.path) == home, "what is given explicitly comes first"

    def test_empty_variable_names_none(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATLAS_HOME", "")

        assert find_home(start=home.path.parent) == home

    def test_variable_that_leads_nowhere(self, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ATLAS_HOME", str(tmp_path / "nowhere"))

        with pytest.raises(InputError, match="no such home"):
            find_home(start=home.path.parent)

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="or above") as caught:
            find_home(start=tmp_path)
        assert "atlas init" in caught.value.mend


class TestOpen:
    def test_newer_format(self, home: Home) -> None:
        (home.path / "version").write_text(f"{FORMAT + 1}\n")

        with pytest.raises(HomeVersionError, match=f"format {FORMAT + 1}") as caught:
            open_home(home.path)
        assert "newer Atlas" in caught.value.mend
        with pytest.raises(HomeVersionError):
            find_home(start=home.path.parent)
        with pytest.raises(HomeVersionError):
            create_home(home.path)

    @pytest.mark.parametrize("content", [b"", b"one\n", b"\xff\n", b"1.0\n", b"9" * 5000])
    def test_unreadable_version(self, home: Home, content: bytes) -> None:
        (home.path / "version").write_bytes(content)

        with pytest.raises(StateError, match="not a home of Atlas"):
            open_home(home.path)

    def test_no_version(self, home: Home) -> None:
        (home.path / "version").unlink()

        with pytest.raises(StateError, match="not a home of Atlas"):
            open_home(home.path)

    @pytest.mark.parametrize("version", [0, -1])
    def test_format_that_never_was(self, home: Home, version: int) -> None:
        (home.path / "version").write_text(f"{version}\n")

        with pytest.raises(StateError):
            open_home(home.path)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such home"):
            open_home(tmp_path / "missing")


class TestKeys:
    @pytest.mark.parametrize("name", KEYS)
    @pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o610, 0o601, 0o777])
    def test_that_others_may_use(self, home: Home, name: str, mode: int) -> None:
        (home.path / name).chmod(mode)

        with pytest.raises(StateError, match="others may read this key") as caught:
            read_key(home, name)
        assert caught.value.mend == f"chmod 600 {home.path / name}"

    @pytest.mark.parametrize("name", KEYS)
    def test_that_its_owner_may_only_read(self, home: Home, name: str) -> None:
        (home.path / name).chmod(0o400)

        assert isinstance(read_key(home, name), ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)

    @pytest.mark.parametrize("name", KEYS)
    @pytest.mark.parametrize(
        "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    )
    def test_damaged(self, home: Home, name: str, content: bytes) -> None:
        (home.path / name).write_bytes(content)

        with pytest.raises(StateError, match="cannot be read as a key"):
            read_key(home, name)

    @pytest.mark.parametrize("name", KEYS)
    def test_missing(self, home: Home, name: str) -> None:
        (home.path / name).unlink()

        with pytest.raises(StateError, match="cannot be read as a key"):
            read_key(home, name)

    @pytest.mark.parametrize("name", KEYS)
    def test_encrypted(self, home: Home, name: str) -> None:
        key = serialization.load_pem_private_key((home.path / name).read_bytes(), None)
        (home.path / name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )

        with pytest.raises(StateError, match="cannot be read as a key"):
            read_key(home, name)

    def test_swapped(self, home: Home) -> None:
        ca, log = ((home.path / each).read_bytes() for each in KEYS)
        (home.path / "ca.key").write_bytes(log)
        (home.path / "log.key").write_bytes(ca)

        with pytest.raises(StateError, match="not the key of"):
            home.issuer()
        with pytest.raises(StateError, match="not an Ed25519 key"):
            home.log_key()

    def test_of_another_home(self, home: Home, tmp_path: Path) -> None:
        (home.path / "ca.key").write_bytes((create_home(tmp_path / "other").path / "ca.key").read_bytes())

        with pytest.raises(StateError, match=r"not the key of ca\.pem"):
            home.issuer()

    @pytest.mark.parametrize("content", [None, b"nonsense"])
    def test_without_its_certificate(self, home: Home, content: bytes | None) -> None:
        (home.path / "ca.pem").unlink()
        if content is not None:
            (home.path / "ca.pem").write_bytes(content)

        with pytest.raises(StateError, match="not the authority's certificate"):
            home.issuer()


def read_key(home: Home, name: str) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    return home.issuer().key if name == "ca.key" else home.log_key()
