"""A log's tree as its tiles prove it: everything here leads to a checkpoint that the log has signed, or is refused."""

from functools import lru_cache

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log import merkle
from atlas.log.checkpoint import Checkpoint
from atlas.log.tiles import WIDTH, TileReader

_CACHED_NODES = 1 << 15
_CACHED_TILES = 256


class ProvenTree:
    """The tree under a signed checkpoint. Besides what is said, all methods raise what reading the tiles does."""

    def __init__(self, signed: Checkpoint, reader: TileReader) -> None:
        self.signed = signed
        self._reader = reader
        self._node = lru_cache(_CACHED_NODES)(reader.node)
        self._prove = lru_cache(_CACHED_TILES)(self._proven_leaves)

    def prefix(self, size: int) -> tuple[bytes, list[bytes]]:
        """The root that the tree had with its first `size` entries, and the proof of it (RFC 9162 section 2.1.4).

        Raises:
            Rejected: LOG_TILES_INVALID.
        """
        root = merkle.range_hash(0, size, self._node)
        path = merkle.consistency_path(size, self.signed.size, self._node)
        try:
            merkle.verify_consistency(size, self.signed.size, root, self.signed.root, path)
        except Rejected as rejected:
            raise _invalid(rejected, f"those over the first {size} entries") from rejected
        return root, path

    def shown(self, index: int) -> bytes:
        """The hash of an entry as its tile has it; nothing is proven."""
        return self._reader.leaves(index // WIDTH)[index % WIDTH]

    def leaf(self, index: int) -> bytes:
        """The hash of an entry.

        Raises:
            Rejected: LOG_TILES_INVALID.
        """
        return self._prove(index // WIDTH)[index % WIDTH]

    def inclusion(self, index: int) -> list[bytes]:
        """The inclusion proof of an entry; raises as `leaf`."""
        self.leaf(index)
        return merkle.inclusion_path(index, self.signed.size, self._node)

    def entries(self, bundle: int) -> list[bytes]:
        """The entries of a bundle, all of them proven.

        Raises:
            Rejected: LOG_TILES_INVALID.
        """
        entries = self._reader.bundle(bundle)
        self._check(bundle, [merkle.leaf_hash(each) for each in entries], "the entries")
        return entries

    def _proven_leaves(self, tile: int) -> list[bytes]:
        leaves = self._reader.leaves(tile)
        self._check(tile, leaves, "the hashes")
        return leaves

    def _check(self, tile: int, leaves: list[bytes], what: str) -> None:
        """Prove all leaves of a tile at once: the inclusion proof of the first one, made of the others."""
        first = tile * WIDTH

        def node(level: int, index: int) -> bytes:
            low, high = (index << level) - first, ((index + 1) << level) - first
            if not 0 <= low < high <= len(leaves):
                return self._node(level, index)
            hashes = leaves[low:high]
            while len(hashes) > 1:
                hashes = [merkle.node_hash(*hashes[place : place + 2]) for place in range(0, len(hashes), 2)]
            return hashes[0]

        path = merkle.inclusion_path(first, self.signed.size, node)
        root = merkle.root_from_inclusion(first, self.signed.size, leaves[0], path)
        if root != self.signed.root:
            raise Rejected(
                Code.LOG_TILES_INVALID,
                f"{what} from {first} to {first + len(leaves) - 1} do not lead to the checkpoint that the log signed",
                expected=self.signed.root.hex(),
                found=root.hex(),
            )


def _invalid(rejected: Rejected, which: str) -> Rejected:
    return Rejected(
        Code.LOG_TILES_INVALID,
        f"the log's tiles, {which}, do not lead to the checkpoint that it signed",
        expected=rejected.expected,
        found=rejected.found,
    )
