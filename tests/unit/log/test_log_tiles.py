import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import InputError
from atlas.log import merkle
from atlas.log.embedded import EmbeddedLog
from atlas.log.tiles import Tile, TileReader, make_bundle, parse_bundle, parse_tile_path
from unit.log.test_log_embedded import BODIES, LEAVES
from unit.log.test_log_merkle import naive_path, naive_proof, naive_root

NAMES = {
    "tile/0/000": Tile(0, 0),
    "tile/0/005.p/1": Tile(0, 5, 1),
    "tile/63/999.p/255": Tile(63, 999, 255),
    "tile/1/x001/000": Tile(1, 1000),
    "tile/0/x001/067": Tile(0, 1067),
    "tile/0/x001/x234/067.p/9": Tile(0, 1_234_067, 9),
    "tile/entries/x123/456": Tile(None, 123_456),
    "tile/entries/000.p/12": Tile(None, 0, 12),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert NAMES[name].path == name
    assert parse_tile_path(name) == NAMES[name]


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_names_round_trip(level: int | None, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_tile_path(tile.path) == tile


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/٠٠٠",
        "tile/0/000\n",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 2000 + "999",
    ],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InputError):
        parse_tile_path(name)


@given(st.lists(st.binary(max_size=600), max_size=20))
def test_bundles_round_trip(entries: list[bytes]) -> None:
    assert parse_bundle(make_bundle(entries)) == entries


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\2a", b"\0\1a\0"])
def test_bundles_cut_off(data: bytes) -> None:
    with pytest.raises(InputError, match="cut off"):
        parse_bundle(data)


class Served:
    """A log read through its tiles only, with a record of what was asked for."""

    def __init__(self, log: EmbeddedLog) -> None:
        self.log = log
        self.asked: list[str] = []
        self.hidden: set[str] = set()
        self.changed: dict[str, bytes] = {}

    def __call__(self, path: str) -> bytes | None:
        self.asked.append(path)
        if path in self.hidden:
            return None
        if path in self.changed:
            return self.changed[path]
        tile = parse_tile_path(path)
        try:
            if tile.level is None:
                return self.log.entry_bundle(tile.index, tile.width)
            return self.log.tile(tile.level, tile.index, tile.width)
        except InputError:
            return None


SIZES = [1, 2, 255, 256, 257, 511, 512, 513, 600]


@pytest.fixture
def served(log: EmbeddedLog) -> Served:
    log.append(BODIES)
    return Served(log)


@pytest.mark.parametrize("size", SIZES)
def test_a_log_proved_from_its_tiles(size: int, served: Served) -> None:
    reader = TileReader(served, size)
    leaves = LEAVES[:size]
    assert reader.root() == naive_root(leaves)
    for index in {0, 1, 254, 255, 256, size // 2, size - 2, size - 1} & set(range(size)):
        assert reader.inclusion(index) == naive_path(index, leaves)
        assert reader.entry(index) == BODIES[index]
    for old in {1, 2, 255, 256, 257, size - 1, size} & set(range(1, size + 1)):
        assert reader.consistency(old) == naive_proof(old, leaves)
    assert len(served.asked) == len(set(served.asked)), "a tile was fetched twice"


def test_three_levels_of_tiles(served: Served) -> None:
    """Level 1 exists from 256 entries on: the root of 512 needs no tile of level 0."""
    reader = TileReader(served, 512)
    reader.root()
    assert served.asked == ["tile/1/000.p/2"]


def test_a_partial_tile_that_the_log_has_dropped(served: Served) -> None:
    served.hidden = {"tile/0/000.p/100", "tile/entries/000.p/100"}
    reader = TileReader(served, 100)
    assert reader.root() == naive_root(LEAVES[:100])
    assert reader.entry(99) == BODIES[99]
    assert served.asked == [
        "tile/0/000.p/100", "tile/0/000", "tile/entries/000.p/100", "tile/entries/000",
    ]  # fmt: skip


def test_a_tile_that_is_not_there(served: Served) -> None:
    served.hidden = {"tile/0/000"}
    with pytest.raises(InputError, match="has no tile/0/000"):
        TileReader(served, 256).inclusion(0)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(32 * 99), bytes(32 * 101)])
def test_a_tile_of_the_wrong_size(data: bytes, served: Served) -> None:
    served.changed = {"tile/0/000.p/100": data}
    with pytest.raises(InputError, match="bytes instead of 3200"):
        TileReader(served, 100).root()


def test_a_bundle_of_the_wrong_size(served: Served) -> None:
    served.changed = {"tile/entries/000.p/100": make_bundle(BODIES[:99])}
    with pytest.raises(InputError, match="99 entries instead of 100"):
        TileReader(served, 100).entry(0)


def test_a_lying_tile_leads_to_another_root(served: Served) -> None:
    true = served.log.tile(0, 0, 100)
    served.changed = {"tile/0/000.p/100": true[:-1] + bytes([true[-1] ^ 1])}
    reader = TileReader(served, 100)
    root = merkle.root_from_inclusion(3, 100, LEAVES[3], reader.inclusion(3))
    assert root == reader.root() != naive_root(LEAVES[:100])


def test_what_the_tree_does_not_have(served: Served) -> None:
    reader = TileReader(served, 100)
    for index in (-1, 100):
        with pytest.raises(InputError):
            reader.entry(index)
        with pytest.raises(InputError):
            reader.inclusion(index)
    for level, index in ((0, 100), (2, 25), (8, 0), (7, 0)):
        with pytest.raises(InputError):
            reader.node(level, index)
    with pytest.raises(InputError):
        reader.consistency(101)


@pytest.mark.parametrize(("level", "n", "width"), [(0, 2, 256), (0, 3, 1), (1, 0, 3), (0, 0, 0), (0, 0, 257)])
def test_the_log_serves_no_tile_that_it_does_not_have(level: int, n: int, width: int, served: Served) -> None:
    with pytest.raises(InputError, match="no such tile"):
        served.log.tile(level, n, width)
    if level == 0:
        with pytest.raises(InputError, match="no such tile"):
            served.log.entry_bundle(n, width)
