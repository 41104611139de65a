"""Merkle trees of transparency logs: hashes, proofs, verification (RFC 9162 section 2.1, as RFC 6962's).

All functions are pure. Those that need hashes of a tree take `node(level, index)`, which answers with the
hash of the complete subtree over the leaves `[index << level, (index + 1) << level)`; a database, a set of
tiles and a test can all answer that, so proofs are computed in one place only.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from atlas.codes import Code
from atlas.errors import InputError, Rejected

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 9162 section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


# --- verification ---


def _shape(index: int, last: int) -> tuple[int, int]:
    """How many siblings of leaf `index` lie below the path of leaf `last`, and how many on it."""
    inner = (index ^ last).bit_length()
    return inner, (index >> inner).bit_count()


def root_from_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Compute the root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).

    The caller compares it with a root that a log has signed.

    Args:
        index: the leaf's index.
        size: the tree's size, in leaves.
        leaf: the leaf's hash.
        path: the sibling hashes, lowest first.

    Raises:
        Rejected: RECEIPT_INCLUSION_INVALID if no tree of that size has such a path.
    """
    if not 0 <= index < size:
        raise Rejected(
            Code.RECEIPT_INCLUSION_INVALID,
            "the leaf's index is outside of the tree",
            expected=f"0 to {size - 1}",
            found=str(index),
        )
    inner, border = _shape(index, size - 1)
    if len(path) != inner + border:
        raise Rejected(
            Code.RECEIPT_INCLUSION_INVALID,
            "the inclusion proof has the wrong length",
            expected=f"{inner + border} hashes",
            found=f"{len(path)} hashes",
        )
    if any(len(sibling) != HASH_SIZE for sibling in path):
        raise Rejected(Code.RECEIPT_INCLUSION_INVALID, "the inclusion proof holds something that is not a SHA-256")
    result = leaf
    for level, sibling in enumerate(path):
        on_right = level < inner and not index >> level & 1
        result = node_hash(result, sibling) if on_right else node_hash(sibling, result)
    return result


def verify_consistency(old_size: int, new_size: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Verify that the new tree only appends to the old one (RFC 9162 section 2.1.4.2).

    Raises:
        Rejected: CHECKPOINT_INCONSISTENT if it does not, or if the proof is not of the right shape.
    """
    if not 0 <= old_size <= new_size:
        raise _inconsistent("the newer tree is smaller", f"at least {old_size} entries", f"{new_size} entries")
    if old_size in (0, new_size):
        reference = new_root if old_size else EMPTY_ROOT
        if path:
            raise _inconsistent("a proof where none is needed", "no hashes", f"{len(path)} hashes")
        if old_root != reference:
            raise _inconsistent("trees of one size have two roots", reference.hex(), old_root.hex())
        return
    # The old tree's last complete subtree is where both computations begin; where it is the whole old tree,
    # its hash is the old root and the proof leaves it out.
    level = (old_size & -old_size).bit_length() - 1
    rest = list(path) if old_size == 1 << level else list(path[1:])
    index = (old_size - 1) >> level
    inner, border = _shape(index, (new_size - 1) >> level)
    needed = inner + border + len(path) - len(rest)
    if len(rest) != inner + border or any(len(sibling) != HASH_SIZE for sibling in path):
        raise _inconsistent("the consistency proof has the wrong shape", f"{needed} hashes", f"{len(path)} hashes")
    old = new = old_root if old_size == 1 << level else path[0]
    for position, sibling in enumerate(rest):
        if position < inner and not index >> position & 1:
            new = node_hash(new, sibling)
        else:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
    if old != old_root:
        raise _inconsistent("the proof does not lead to the old root", old_root.hex(), old.hex())
    if new != new_root:
        raise _inconsistent("the proof does not lead to the new root", new_root.hex(), new.hex())


def _inconsistent(what: str, expected: str, found: str) -> Rejected:
    return Rejected(Code.CHECKPOINT_INCONSISTENT, what, expected=expected, found=found)


# --- construction ---


def subtrees(low: int, high: int) -> Iterator[tuple[int, int]]:
    """Level and index of the complete subtrees that make up the leaves `[low, high)`, from left to right.

    `low` must be a multiple of the largest of them, as it is for every range that a proof needs.
    """
    while low < high:
        level = (high - low).bit_length() - 1
        yield level, low >> level
        low += 1 << level


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees of falling size."""
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def range_hash(low: int, high: int, node: Node) -> bytes:
    """The tree hash over the leaves `[low, high)`; `low` as for `subtrees`."""
    return fold([node(level, index) for level, index in subtrees(low, high)])


def _halves(low: int, high: int) -> int:
    """Where the tree over `[low, high)` is split: its left half is the largest complete one."""
    return low + (1 << ((high - low - 1).bit_length() - 1))


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 9162 section 2.1.3.1).

    Raises:
        InputError: if the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise InputError(f"a tree of {size} entries has no entry {index}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = _halves(low, high)
        if index < middle:
            path.append(range_hash(middle, high, node))
            high = middle
        else:
            path.append(range_hash(low, middle, node))
            low = middle
    path.reverse()
    return path


def consistency_path(old_size: int, new_size: int, node: Node) -> list[bytes]:
    """The proof that the tree of `new_size` leaves extends that of `old_size` (RFC 9162 section 2.1.4.1).

    Raises:
        InputError: if the older tree is the larger.
    """
    if not 0 <= old_size <= new_size:
        raise InputError(f"a tree of {new_size} entries does not extend one of {old_size}")
    if old_size == 0:
        return []
    path: list[bytes] = []
    low, high = 0, new_size
    while old_size != high:
        middle = _halves(low, high)
        if old_size <= middle:
            path.append(range_hash(middle, high, node))
            high = middle
        else:
            path.append(range_hash(low, middle, node))
            low = middle
    if low:
        path.append(range_hash(low, high, node))
    path.reverse()
    return path


def extend(
    size: int, peaks: Sequence[bytes], leaves: Iterable[bytes]
) -> tuple[list[tuple[int, int, bytes]], list[bytes]]:
    """Append leaves to a tree of which only the peaks are known.

    Args:
        size: the tree's size before.
        peaks: the hashes of `subtrees(0, size)`.
        leaves: the hashes of the new leaves.

    Returns:
        Level, index and hash of every subtree above the leaves that became complete, and the new peaks.
    """
    completed: list[tuple[int, int, bytes]] = []
    stack = list(peaks)
    for index, leaf in enumerate(leaves, size):
        carried, level, position = leaf, 0, index
        while position & 1:
            carried = node_hash(stack.pop(), carried)
            level += 1
            position >>= 1
            completed.append((level, position, carried))
        stack.append(carried)
    return completed, stack
