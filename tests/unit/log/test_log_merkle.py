import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import InputError
from atlas.log import merkle
from unit.log.log_support import assert_rejected

LIMIT = 70
LEAVES = [merkle.leaf_hash(f"leaf {number}".encode()) for number in range(LIMIT)]

# The definitions of RFC 6962 section 2.1, word for word: recursion over lists, nothing shared with the code.


def naive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = naive_split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if whole else [naive_root(leaves)]
    k = naive_split(n)
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def node(level: int, index: int) -> bytes:
    return naive_root(LEAVES[index << level : (index + 1) << level])


ROOTS = [naive_root(LEAVES[:size]) for size in range(LIMIT + 1)]


def flip(value: bytes) -> bytes:
    return bytes([value[0] ^ 1]) + value[1:]


# Certificate Transparency's reference tree of eight leaves.
KNOWN_LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
KNOWN_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_known_roots(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in KNOWN_LEAVES[:size]]
    _, peaks = merkle.extend(0, [], leaves)
    assert merkle.fold(peaks).hex() == KNOWN_ROOTS[size]


def test_every_inclusion_proof() -> None:
    for size in range(1, LIMIT):
        for index in range(size):
            path = merkle.inclusion_path(index, size, node)
            assert path == naive_path(index, LEAVES[:size])
            assert merkle.root_from_inclusion(index, size, LEAVES[index], path) == ROOTS[size]


def reached(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes | None:
    """The root that a path leads to; None where no tree has such a path."""
    if len(path) == len(naive_path(index, LEAVES[:size])):
        return merkle.root_from_inclusion(index, size, leaf, path)
    assert_rejected(Code.RECEIPT_INCLUSION_INVALID, lambda: merkle.root_from_inclusion(index, size, leaf, path))
    return None


def test_every_wrong_inclusion_proof() -> None:
    for size in range(1, LIMIT, 3):
        for index in range(size):
            path = merkle.inclusion_path(index, size, node)
            root = ROOTS[size]
            assert merkle.root_from_inclusion(index, size, flip(LEAVES[index]), path) != root
            for place in range(len(path)):
                changed = [*path[:place], flip(path[place]), *path[place + 1 :]]
                assert merkle.root_from_inclusion(index, size, LEAVES[index], changed) != root
            for wrong in range(size):
                if wrong != index:
                    assert reached(wrong, size, LEAVES[index], path) != root


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [
        (0, 0, []),
        (1, 1, []),
        (-1, 1, []),
        (0, 1, [LEAVES[0]]),
        (0, 2, []),
        (3, 5, [LEAVES[0]] * 4),
        (4, 5, [LEAVES[0]] * 2),
        (0, 2, [b"short"]),
    ],
)
def test_impossible_inclusion_proofs(index: int, size: int, path: list[bytes]) -> None:
    assert_rejected(Code.RECEIPT_INCLUSION_INVALID, lambda: merkle.root_from_inclusion(index, size, LEAVES[0], path))


def test_every_consistency_proof() -> None:
    for new in range(LIMIT):
        for old in range(new + 1):
            path = merkle.consistency_path(old, new, node)
            assert path == (naive_proof(old, LEAVES[:new]) if old else [])
            merkle.verify_consistency(old, new, ROOTS[old], ROOTS[new], path)


def inconsistent(old: int, new: int, old_root: bytes, new_root: bytes, path: list[bytes]) -> None:
    assert_rejected(Code.CHECKPOINT_INCONSISTENT, lambda: merkle.verify_consistency(old, new, old_root, new_root, path))


def test_every_wrong_consistency_proof() -> None:
    for new in range(LIMIT):
        for old in range(new + 1):
            path = merkle.consistency_path(old, new, node)
            inconsistent(old, new, ROOTS[old], ROOTS[new], [*path, ROOTS[1]])
            inconsistent(old, new, flip(ROOTS[old]), ROOTS[new], path)
            if old:
                inconsistent(old, new, ROOTS[old], flip(ROOTS[new]), path)
            if path:
                inconsistent(old, new, ROOTS[old], ROOTS[new], path[:-1])
                inconsistent(old, new, ROOTS[old], ROOTS[new], [b"short", *path[1:]])
            for place in range(len(path)):
                changed = [*path[:place], flip(path[place]), *path[place + 1 :]]
                inconsistent(old, new, ROOTS[old], ROOTS[new], changed)


def test_a_shrunken_tree_is_inconsistent() -> None:
    inconsistent(6, 5, ROOTS[6], ROOTS[5], [])
    inconsistent(-1, 5, ROOTS[1], ROOTS[5], [])


def test_a_rewritten_history_is_inconsistent() -> None:
    forged = [flip(LEAVES[0]), *LEAVES[1:]]
    for new in range(2, 20):
        for old in range(1, new):
            inconsistent(old, new, ROOTS[old], naive_root(forged[:new]), naive_proof(old, forged[:new]))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_path_for_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(InputError):
        merkle.inclusion_path(index, size, node)


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1)])
def test_no_consistency_backwards(old: int, new: int) -> None:
    with pytest.raises(InputError):
        merkle.consistency_path(old, new, node)


@given(st.integers(0, LIMIT), st.data())
def test_extend_completes_exactly_the_new_subtrees(total: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, total))
    peaks = [node(level, index) for level, index in merkle.subtrees(0, start)]
    completed, grown = merkle.extend(start, peaks, LEAVES[start:total])
    assert grown == [node(level, index) for level, index in merkle.subtrees(0, total)]
    assert merkle.fold(grown) == ROOTS[total]
    complete = {(level, index) for level in range(1, 8) for index in range(total >> level)}
    before = {(level, index) for level in range(1, 8) for index in range(start >> level)}
    assert {(level, index) for level, index, _ in completed} == complete - before
    assert all(value == node(level, index) for level, index, value in completed)


@given(st.integers(1, 2**62), st.data())
def test_subtrees_cover_a_range_once(size: int, data: st.DataObject) -> None:
    position = 0
    for level, index in merkle.subtrees(0, size):
        assert index << level == position
        position += 1 << level
    assert position == size


def test_leaves_and_nodes_never_share_a_hash() -> None:
    left, right = LEAVES[0], LEAVES[1]
    assert merkle.node_hash(left, right) != merkle.leaf_hash(left + right)
    assert merkle.node_hash(left, right) != merkle.node_hash(right, left)
