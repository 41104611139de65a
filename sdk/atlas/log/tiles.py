"""Reading a log through its tiles (C2SP tlog-tiles v1): names of tiles, and proofs computed from them.

A tile holds up to 256 hashes of one level in eight; an entry bundle the entries beneath a tile of level 0.
The data comes from somebody who may lie: what is computed from it must lead to a signed root before it is
believed.
"""

import re
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from atlas.errors import InputError
from atlas.log import merkle
from atlas.log.encoding import MAX_INTEGER

WIDTH = 256
LEVELS_PER_TILE = 8
MAX_ENTRY = 0xFFFF
"""Bytes of an entry: an entry bundle states its length in two bytes."""

_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_CACHED_TILES = 1024
_CACHED_BUNDLES = 16
"""Fewer than of tiles: a bundle of Rekor's entries has some 250 kB."""


@dataclass(frozen=True)
class Tile:
    """A tile's name.

    Attributes:
        level: of the tile, or None for an entry bundle.
        index: the tile's place in its level.
        width: how many hashes or entries it holds; fewer than 256 in a partial tile.
    """

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where the tile lies, relative to the log's URL."""
        rest, last = divmod(self.index, 1000)
        elements = [f"{last:03d}"]
        while rest:
            rest, element = divmod(rest, 1000)
            elements.insert(0, f"x{element:03d}")
        kind = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{'/'.join(elements)}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Read a tile's name; of several spellings only the canonical one is taken.

    Raises:
        InputError: if it is not one.
    """
    match = _PATH.fullmatch(path)
    if match is not None:
        index = int(match[2].replace("x", "").replace("/", "")) if len(match[2]) < 64 else MAX_INTEGER + 1
        tile = Tile(
            None if match[1] == "entries" else int(match[1]),
            index,
            WIDTH if match[3] is None else int(match[3]),
        )
        # A full tile has no width in its name, and superfluous leading groups would be second names.
        if tile.index <= MAX_INTEGER and tile.width <= WIDTH and tile.path == path:
            return tile
    raise InputError(f"{path[:80]!r} is not the name of a tile")


def make_bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle."""
    return b"".join([struct.pack(">H", len(entry)) + entry for entry in entries])


def parse_bundle(data: bytes) -> list[bytes]:
    """The entries of an entry bundle.

    Raises:
        InputError: if it is cut off.
    """
    entries: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + 2
        position = start + int.from_bytes(data[start - 2 : start], "big")
        if start > len(data) or position > len(data):
            raise InputError("an entry bundle is cut off")
        entries.append(data[start:position])
    return entries


Fetch = Callable[[str], bytes | None]
"""Answers with the bytes at a path relative to the log's URL, or None where there is nothing."""


class TileReader:
    """The tree of `size` entries, as a log's tiles show it."""

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch = fetch
        self.size = size
        self._tile = lru_cache(_CACHED_TILES)(self._read_tile)
        self._bundle = lru_cache(_CACHED_BUNDLES)(self._read_bundle)

    def _read(self, tile: Tile) -> bytes:
        data = self._fetch(tile.path)
        if data is None and tile.width < WIDTH:
            # A log may drop a partial tile as soon as the full one is there.
            data = self._fetch(Tile(tile.level, tile.index).path)
        if data is None:
            raise InputError(f"the log has no {tile.path}")
        return data

    def _width(self, level: int, index: int) -> int:
        width = min(WIDTH, (self.size >> (LEVELS_PER_TILE * level)) - WIDTH * index)
        if width <= 0:
            raise InputError(f"a tree of {self.size} entries has no tile {index} at level {level}")
        return width

    def _read_tile(self, level: int, index: int) -> list[bytes]:
        tile = Tile(level, index, self._width(level, index))
        data = self._read(tile)
        needed = tile.width * merkle.HASH_SIZE
        if len(data) not in (needed, WIDTH * merkle.HASH_SIZE):
            raise InputError(f"{tile.path} has {len(data)} bytes instead of {needed}")
        return [data[place : place + merkle.HASH_SIZE] for place in range(0, needed, merkle.HASH_SIZE)]

    def _read_bundle(self, index: int) -> list[bytes]:
        tile = Tile(None, index, self._width(0, index))
        entries = parse_bundle(self._read(tile))
        if len(entries) not in (tile.width, WIDTH):
            raise InputError(f"{tile.path} has {len(entries)} entries instead of {tile.width}")
        return entries[: tile.width]

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree, as `merkle` asks for it.

        Raises:
            InputError: if the tree has no such subtree, or the log does not serve its tile.
        """
        tile_level, height = divmod(level, LEVELS_PER_TILE)
        tile_index, start = divmod(index << height, WIDTH)
        hashes = self._tile(tile_level, tile_index)[start : start + (1 << height)]
        if len(hashes) != 1 << height:
            raise InputError(f"a tree of {self.size} entries has no subtree {index} at level {level}")
        while len(hashes) > 1:
            hashes = [merkle.node_hash(*hashes[place : place + 2]) for place in range(0, len(hashes), 2)]
        return hashes[0]

    def leaves(self, tile: int) -> list[bytes]:
        """The hashes of a tile of level 0.

        Raises:
            InputError: if the tree has no such tile, or the log does not serve it.
        """
        return self._tile(0, tile)

    def bundle(self, index: int) -> list[bytes]:
        """The entries beneath a tile of level 0; raises as `leaves`."""
        return self._bundle(index)

    def root(self) -> bytes:
        """The root that the tiles lead to; compare it with the signed one."""
        return merkle.range_hash(0, self.size, self.node)

    def inclusion(self, index: int) -> list[bytes]:
        """The inclusion proof of an entry."""
        return merkle.inclusion_path(index, self.size, self.node)

    def consistency(self, old_size: int) -> list[bytes]:
        """The proof that this tree extends that of `old_size` entries."""
        return merkle.consistency_path(old_size, self.size, self.node)

    def entry(self, index: int) -> bytes:
        """An entry's bytes; believed once an inclusion proof of them leads to the signed root.

        Raises:
            InputError: if the tree has no such entry, or the log does not serve it.
        """
        if not 0 <= index < self.size:
            raise InputError(f"a tree of {self.size} entries has no entry {index}")
        bundle, place = divmod(index, WIDTH)
        return self._bundle(bundle)[place]
