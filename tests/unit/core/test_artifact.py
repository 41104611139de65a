import hashlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.artifact import (
    CHUNK,
    EMPTY_SHA256,
    POOLED,
    Kind,
    measure,
    measure_properties,
    parse_index,
)
from atlas.errors import MeasureError
from support import unprivileged

NFC, NFD = "caf\u00e9", "cafe\u0301"
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def line(content: bytes, path: str) -> bytes:
    digest = hashlib.sha256(content).hexdigest()
    return digest.encode() + b"  " + str(len(content)).encode() + b"  " + path.encode() + b"\n"


def write(path: Path, content: bytes = b"hello") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


class TestFile:
    def test_known_digest(self, tmp_path: Path) -> None:
        measured = measure(write(tmp_path / "f"))

        assert (measured.kind, measured.sha256, measured.size, measured.files) == (Kind.FILE, HELLO, 5, 1)
        assert measured.asset is None

    def test_agrees_with_sha256sum(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", os.urandom(3 * CHUNK + 17))

        printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout

        assert measure(path).sha256 == printed.split()[0]

    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
    def test_every_size_around_a_chunk(self, tmp_path: Path, size: int) -> None:
        content = os.urandom(size)
        seen: list[int] = []

        measured = measure(write(tmp_path / "f", content), seen.append)

        assert (measured.sha256, measured.size) == (hashlib.sha256(content).hexdigest(), size)
        assert sum(seen) == size

    def test_empty_file_is_no_information(self, tmp_path: Path) -> None:
        assert measure(write(tmp_path / "f", b"")).sha256 == EMPTY_SHA256

    def test_link_stands_for_its_target(self, tmp_path: Path) -> None:
        write(tmp_path / "elsewhere" / "f")
        link = tmp_path / "link"
        link.symlink_to("elsewhere/f")

        assert measure(link).sha256 == HELLO

    @pytest.mark.parametrize("name", ["missing", "f/below-a-file", "x" * 300, "nul\0byte"])
    def test_no_such_path(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / "f")

        with pytest.raises(MeasureError):
            measure(tmp_path / name)

    def test_dangling_link(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nowhere")

        with pytest.raises(MeasureError, match="no such file"):
            measure(tmp_path / "link")

    def test_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("link")

        with pytest.raises(MeasureError):
            measure(tmp_path / "link")

    def test_device_is_refused(self) -> None:
        with pytest.raises(MeasureError, match="neither a file nor a directory"):
            measure(Path("/dev/zero"))

    def test_fifo_is_refused_without_waiting_for_a_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")

        with pytest.raises(MeasureError, match="neither a file nor a directory"):
            measure(tmp_path / "fifo")

    @pytest.mark.parametrize("mode", [("f", 0o000), (".", 0o000)], ids=["file", "folder"])
    def test_unreadable(self, mode: tuple[str, int]) -> None:
        with unprivileged.folder() as folder:
            unprivileged.give(write(folder / "f"))
            (folder / mode[0]).chmod(mode[1])

            done = unprivileged.run(
                "from pathlib import Path\nfrom atlas.artifact import measure\nfrom atlas.errors import MeasureError",
                "try: measure(Path(sys.argv[1]))\n"
                "except MeasureError as error: print('refused:', error, '|', error.mend)",
                folder / "f",
            )

        assert done.stderr == ""
        assert done.stdout.startswith("refused:")
        assert "may not read it" in done.stdout
        assert "grant read permission" in done.stdout

    def test_growing_file_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", bytes(64 * CHUNK))
        begun, stop = threading.Event(), threading.Event()

        def append() -> None:
            begun.wait(10)
            with path.open("ab", buffering=0) as file:
                while not stop.is_set():
                    file.write(b"more")

        def waiting(_: int) -> None:
            begun.set()
            time.sleep(0.001)

        writer = threading.Thread(target=append)
        writer.start()
        try:
            with pytest.raises(MeasureError, match="changed while it was being measured"):
                measure(path, waiting)
        finally:
            begun.set()
            stop.set()
            writer.join()

    def test_file_overwritten_in_place_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", bytes(4 * CHUNK))
        os.utime(path, ns=(1, 1))

        def overwrite(_: int) -> None:
            with path.open("r+b") as file:
                file.write(b"other")

        with pytest.raises(MeasureError, match="changed while it was being measured"):
            measure(path, overwrite)

    def test_truncated_file_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", bytes(4 * CHUNK))

        with pytest.raises(MeasureError, match="changed while it was being measured"):
            measure(path, lambda _: os.truncate(path, CHUNK))


class TestTree:
    def test_index_byte_by_byte(self, tmp_path: Path) -> None:
        for name, content in {"b": b"2", "a/z": b"", "a/a": b"1" * 10, "a.txt": b"x", "Z": b"hello"}.items():
            write(tmp_path / name, content)

        measured = measure(tmp_path)

        # sorted by the bytes of the whole path: "Z" < "a.txt" < "a/a", because "." is 0x2e and "/" is 0x2f
        index = (
            HELLO.encode()
            + b"  5  Z\n"
            + line(b"x", "a.txt")
            + line(b"1" * 10, "a/a")
            + EMPTY_SHA256.encode()
            + b"  0  a/z\n"
            + line(b"2", "b")
        )
        assert measured.asset == index
        assert measured.sha256 == hashlib.sha256(index).hexdigest()
        assert (measured.kind, measured.size, measured.files) == (Kind.TREE, 17, 5)

    def test_names_are_sorted_by_their_utf8_bytes(self, tmp_path: Path) -> None:
        names = ["\U0001f600", "\uffee", "\u00e9", "z", "~", "A"]  # UTF-16 would put the first one second
        for name in names:
            write(tmp_path / name, name.encode())

        expected = b"".join(line(name.encode(), name) for name in sorted(names, key=str.encode))
        assert measure(tmp_path).asset == expected
        assert expected.endswith(line("\U0001f600".encode(), "\U0001f600"))

    def test_decomposed_names_are_composed(self, tmp_path: Path) -> None:
        write(tmp_path / "nfd" / NFD / f"{NFD}.txt")
        write(tmp_path / "nfc" / NFC / f"{NFC}.txt")

        assert measure(tmp_path / "nfd") == measure(tmp_path / "nfc")
        assert measure(tmp_path / "nfd").asset == line(b"hello", f"{NFC}/{NFC}.txt")

    def test_names_that_compose_to_one_are_refused(self, tmp_path: Path) -> None:
        write(tmp_path / NFD, b"1")
        write(tmp_path / NFC, b"2")

        with pytest.raises(MeasureError, match="two files are named"):
            measure(tmp_path)

    def test_large_names_that_compose_to_one_are_refused(self, tmp_path: Path) -> None:
        write(tmp_path / NFD, bytes(POOLED))
        write(tmp_path / NFC, bytes(POOLED))

        with pytest.raises(MeasureError, match="two files are named"):
            measure(tmp_path)

    def test_empty_folders_modes_and_times_do_not_count(self, tmp_path: Path) -> None:
        write(tmp_path / "plain" / "a" / "f")
        other = write(tmp_path / "other" / "a" / "f")
        other.chmod(0o755)
        os.utime(other, (1, 1))
        (tmp_path / "other" / "empty" / "empty").mkdir(parents=True)

        assert measure(tmp_path / "plain") == measure(tmp_path / "other")
        assert measure(tmp_path / "other").asset == line(b"hello", "a/f")

    def test_empty_tree(self, tmp_path: Path) -> None:
        measured = measure(tmp_path)

        assert (measured.sha256, measured.size, measured.files, measured.asset) == (EMPTY_SHA256, 0, 0, b"")

    def test_links_inside_are_resolved(self, tmp_path: Path) -> None:
        write(tmp_path / "data" / "f")
        (tmp_path / "file-link").symlink_to("data/f")
        (tmp_path / "folder-link").symlink_to("data")
        (tmp_path / "absolute").symlink_to(tmp_path / "data" / "f")

        assert measure(tmp_path).asset == b"".join(
            line(b"hello", name) for name in ("absolute", "data/f", "file-link", "folder-link/f")
        )

    def test_tree_may_be_named_by_a_link(self, tmp_path: Path) -> None:
        write(tmp_path / "data" / "f")
        (tmp_path / "link").symlink_to("data")

        assert measure(tmp_path / "link").asset == line(b"hello", "f")

    @pytest.mark.parametrize("target", ["../outside", "../outside/f", "../tree-beside/f", "/etc/hostname"])
    def test_link_out_of_the_tree_is_refused(self, tmp_path: Path, target: str) -> None:
        write(tmp_path / "outside" / "f")
        write(tmp_path / "tree-beside" / "f")
        write(tmp_path / "tree" / "f")
        (tmp_path / "tree" / "link").symlink_to(target)

        with pytest.raises(MeasureError, match="leaves the tree"):
            measure(tmp_path / "tree")

    def test_link_out_through_a_link_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "secret")
        (tmp_path / "tree" / "deep").mkdir(parents=True)
        (tmp_path / "tree" / "up").symlink_to("deep")
        (tmp_path / "tree" / "deep" / "out").symlink_to("../../secret")

        with pytest.raises(MeasureError, match="leaves the tree"):
            measure(tmp_path / "tree")

    @pytest.mark.parametrize("links", [{"a/up": ".."}, {"a/self": "."}, {"a/to-b": "../b", "b/to-a": "../a"}])
    def test_cycle_of_links_is_refused(self, tmp_path: Path, links: dict[str, str]) -> None:
        write(tmp_path / "a" / "f")
        write(tmp_path / "b" / "f")
        for name, target in links.items():
            (tmp_path / name).symlink_to(target)

        with pytest.raises(MeasureError, match="contains it"):
            measure(tmp_path)

    def test_dangling_link_inside_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("nowhere")

        with pytest.raises(MeasureError, match="no such file"):
            measure(tmp_path)

    def test_fifo_inside_is_refused(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")

        with pytest.raises(MeasureError, match="neither a file nor a directory"):
            measure(tmp_path)

    def test_socket_inside_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # the path of a socket has at most 107 bytes
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")

            with pytest.raises(MeasureError, match="neither a file nor a directory"):
                measure(tmp_path)

    @pytest.mark.parametrize("name", [b"a\nb", b"a\x7fb", b"\x1b[2J", b"tab\there", b"\xff\xfe", b"\xc2\x85"])
    def test_names_that_an_index_cannot_hold(self, tmp_path: Path, name: bytes) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")

        with pytest.raises(MeasureError, match="characters that an index cannot hold") as caught:
            measure(tmp_path)
        assert str(caught.value).isprintable()

    def test_folder_names_count_too(self, tmp_path: Path) -> None:
        write(tmp_path / "a\nb" / "f")

        with pytest.raises(MeasureError, match="characters that an index cannot hold"):
            measure(tmp_path)

    def test_unreadable_file_inside(self) -> None:
        with unprivileged.folder() as folder:
            path = write(folder / "tree" / "f")
            for each in (path.parent, path):
                unprivileged.give(each)
            path.chmod(0)

            done = unprivileged.run(
                "from pathlib import Path\nfrom atlas.artifact import measure\nfrom atlas.errors import MeasureError",
                "try: measure(Path(sys.argv[1]))\nexcept MeasureError as error: print('refused:', error)",
                folder / "tree",
            )

        assert (done.stderr, done.stdout) == ("", f"refused: {path}: this user may not read it\n")

    def test_small_and_large_files_agree_with_hashlib(self, tmp_path: Path) -> None:
        contents = {f"f{size}": os.urandom(size) for size in (0, 1, POOLED - 1, POOLED, CHUNK + 1, 2 * CHUNK)}
        for name, content in contents.items():
            write(tmp_path / name, content)
        seen: list[int] = []

        measured = measure(tmp_path, seen.append)

        assert measured.asset == b"".join(line(contents[name], name) for name in sorted(contents))
        assert sum(seen) == measured.size == sum(map(len, contents.values()))

    def test_large_file_that_changes_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "f", bytes(4 * CHUNK))

        with pytest.raises(MeasureError, match="changed while it was being measured"):
            measure(tmp_path, lambda _: os.truncate(path, CHUNK))

    def test_deep_tree_is_measured_or_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        depth = 1200
        monkeypatch.chdir(tmp_path)
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        Path("f").write_bytes(b"hello")
        os.chdir(tmp_path)
        try:
            asset = measure(tmp_path).asset
        except MeasureError:
            asset = None
        finally:
            subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
        assert asset in (line(b"hello", "d/" * depth + "f"), None)


class TestInterrupt:
    SCRIPT = (
        "import sys; from pathlib import Path; from atlas.artifact import measure\n"
        "measure(Path(sys.argv[1]), lambda _, said=[]: said or (said.append(1), print('began', flush=True)))"
    )

    def assert_it_stops(self, path: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        )
        try:
            assert process.stdout
            assert process.stdout.readline() == "began\n"
            time.sleep(0.2)
            assert process.poll() is None, "the file was not large enough to be interrupted"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)  # to hash it all would take longer
        finally:
            process.kill()
            process.wait()
        assert process.returncode == -signal.SIGINT
        assert errors.rstrip().endswith("KeyboardInterrupt")

    def test_one_large_file(self, tmp_path: Path) -> None:
        os.truncate(write(tmp_path / "f"), 1 << 38)

        self.assert_it_stops(tmp_path / "f")

    def test_large_file_in_a_tree(self, tmp_path: Path) -> None:
        os.truncate(write(tmp_path / "f"), 1 << 38)

        self.assert_it_stops(tmp_path)

    def test_many_large_files_in_a_tree(self, tmp_path: Path) -> None:
        for number in range(1500):
            os.truncate(write(tmp_path / str(number)), 1 << 28)

        self.assert_it_stops(tmp_path)


class TestProperties:
    @pytest.mark.parametrize(
        ("value", "canonical"),
        [
            ({}, b"{}"),
            # RFC 8785, section 3.2.2 and 3.2.3
            (
                {
                    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
                    "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
                    "literals": [None, True, False],
                },
                b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
                b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
            ),
            (
                {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7},
                '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'.encode(),
            ),
            # RFC 8785, appendix B
            ({"x": -0.0}, b'{"x":0}'),
            ({"x": 5e-324}, b'{"x":5e-324}'),
            ({"x": 1.7976931348623157e308}, b'{"x":1.7976931348623157e+308}'),
            ({"x": 9007199254740991}, b'{"x":9007199254740991}'),
            ({"x": 295147905179352830000.0}, b'{"x":295147905179352830000}'),
            ({"x": 9.999999999999997e22}, b'{"x":9.999999999999997e+22}'),
            ({"x": 0.000001}, b'{"x":0.000001}'),
            ({"x": 1424953923781206.2}, b'{"x":1424953923781206.2}'),
        ],
    )
    def test_canonical_json(self, value: dict[str, object], canonical: bytes) -> None:
        measured = measure_properties(value)

        assert measured.asset == canonical
        assert measured.sha256 == hashlib.sha256(canonical).hexdigest()
        assert (measured.kind, measured.size, measured.files) == (Kind.PROPERTIES, len(canonical), 0)

    @pytest.mark.parametrize(
        "value",
        [math.nan, math.inf, -math.inf, 2**53, -(2**53), 10**400, {1: 2}, {1, 2}, b"bytes", "\ud800", {"\ud800": 1}],
        ids=repr,
    )
    def test_what_has_no_canonical_json(self, value: object) -> None:
        with pytest.raises(MeasureError, match="no canonical JSON"):
            measure_properties({"deep": [{"x": value}]})

    def test_what_is_too_deep_for_json(self) -> None:
        value: list[object] = []
        for _ in range(100_000):
            value = [value]

        with pytest.raises(MeasureError, match="no canonical JSON"):
            measure_properties({"x": value})


names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8).filter(
    lambda name: "/" not in name and name not in (".", "..")
)
paths = st.lists(names, min_size=1, max_size=3).map("/".join).map(lambda path: unicodedata.normalize("NFC", path))
entries = st.dictionaries(
    paths, st.tuples(st.binary(max_size=8).map(lambda b: hashlib.sha256(b).hexdigest()), st.integers(0, 2**63))
)


class TestParseIndex:
    @given(entries)
    def test_round_trip(self, wanted: dict[str, tuple[str, int]]) -> None:
        index = "".join(
            f"{wanted[path][0]}  {wanted[path][1]}  {path}\n" for path in sorted(wanted, key=str.encode)
        ).encode()

        assert parse_index(index) == wanted

    def test_reads_what_was_measured(self, tmp_path: Path) -> None:
        write(tmp_path / "a  b" / "c")
        asset = measure(tmp_path).asset

        assert asset is not None
        assert parse_index(asset) == {"a  b/c": (HELLO, 5)}

    @pytest.mark.parametrize(
        "index",
        [
            f"{HELLO}  5  b\n{HELLO}  5  a\n",
            f"{HELLO}  5  a\n{HELLO}  5  a\n",
            f"{HELLO}  5  a",
            f"{HELLO}  5  a\n{HELLO}  5  b",
            f"{HELLO}  5  a\n\n",
            f"\n{HELLO}  5  a\n",
            f"{HELLO}  5 a\n",
            f"{HELLO} 5  a\n",
            f"{HELLO}   5  a\n",
            f"{HELLO}  05  a\n",
            f"{HELLO}  +5  a\n",
            f"{HELLO}  5_0  a\n",
            f"{HELLO}  \uff15  a\n",
            f"{HELLO}  five  a\n",
            f"{HELLO}  {'9' * 5000}  a\n",
            f"{HELLO}  5  a\r\n{HELLO}  5  b\n",
            "garbage",
        ],
    )
    def test_not_canonical(self, index: str) -> None:
        with pytest.raises(MeasureError, match="not a tree index"):
            parse_index(index.encode())

    @pytest.mark.parametrize(
        "index",
        [
            f"{HELLO}  -5  a\n",
            f"{HELLO.upper()}  5  a\n",
            f"{HELLO[:-1]}  5  a\n",
            "not-a-digest  5  a\n",
            f"{HELLO}  5  \n",
            f"{HELLO}  5  ../a\n",
            f"{HELLO}  5  /etc/passwd\n",
            f"{HELLO}  5  a/./b\n",
            f"{HELLO}  5  a//b\n",
            f"{HELLO}  5  a/\n",
            f"{HELLO}  5  {NFD}\n",
            f"{HELLO}  5  a\x1b[2J\n",
        ],
    )
    def test_what_no_tree_has(self, index: str) -> None:
        with pytest.raises(MeasureError, match="not a tree index"):
            parse_index(index.encode())

    def test_not_utf8(self) -> None:
        with pytest.raises(MeasureError, match="not a tree index"):
            parse_index(HELLO.encode() + b"  5  \xff\n")

    @given(st.binary(max_size=200))
    def test_garbage_is_refused_or_read_back(self, index: bytes) -> None:
        try:
            read = parse_index(index)
        except MeasureError:
            return
        assert "".join(f"{digest}  {size}  {path}\n" for path, (digest, size) in read.items()).encode() == index
