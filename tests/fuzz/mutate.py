"""Structured mutations of bytes, JSON, YAML, CBOR and JUMBF.

Each operator takes a source of chance and a document, and returns another one. One that needs a structure which the
document no longer has falls back to bytes, so that operators can follow each other in any order.
"""

import copy
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import cbor2
import rfc8785

from support.forge import Box

Operator = Callable[[Random, bytes], bytes]

LARGEST = 24_000
"""Bytes of a mutant; the readers' own limits have tests of their own."""

_NASTY_BYTES = (
    b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\x7f", b"\r",
    b"\xff\xfe", b"\x85", b"\x1b[31m",
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ bytes


def _place(chance: Random, raw: bytes) -> int:
    return chance.randrange(len(raw) + 1)


def _slice(chance: Random, raw: bytes, most: int = 64) -> tuple[int, int]:
    start = _place(chance, raw)
    return start, min(len(raw), start + chance.randint(1, most))


def flip_bits(chance: Random, raw: bytes) -> bytes:
    changed = bytearray(raw or b"\0")
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(chance: Random, raw: bytes) -> bytes:
    return raw[: _place(chance, raw)] if chance.random() < 0.8 else raw[_place(chance, raw) :]


def delete_slice(chance: Random, raw: bytes) -> bytes:
    start, end = _slice(chance, raw)
    return raw[:start] + raw[end:]


def duplicate_slice(chance: Random, raw: bytes) -> bytes:
    start, end = _slice(chance, raw, chance.choice((8, 64, 512)))
    return raw[:end] + raw[start:end] * chance.choice((1, 1, 2, 16)) + raw[end:]


def splice(chance: Random, raw: bytes) -> bytes:
    """Put a slice of the document where another one is."""
    start, end = _slice(chance, raw, 256)
    into = _place(chance, raw)
    return raw[:into] + raw[start:end] + raw[min(len(raw), into + chance.choice((0, end - start))) :]


def insert_nasty(chance: Random, raw: bytes) -> bytes:
    """Invalid UTF-8, NUL, halves of surrogate pairs, byte order marks, escapes of a terminal."""
    place = _place(chance, raw)
    return raw[:place] + chance.choice(_NASTY_BYTES) * chance.choice((1, 1, 3)) + raw[place:]


def swap_digits(chance: Random, raw: bytes) -> bytes:
    """Turn a run of decimal digits into another number."""
    digits = [i for i, byte in enumerate(raw) if 48 <= byte < 58]
    if not digits:
        return flip_bits(chance, raw)
    start = end = chance.choice(digits)
    while end < len(raw) and 48 <= raw[end] < 58:
        end += 1
    number = chance.choice((b"0", b"-1", b"1e400", b"9007199254740993", b"9" * 19, b"1" * 5000, b"00", b"1.0", b"-0"))
    return raw[:start] + number + raw[end:]


BYTES: dict[str, Operator] = {
    each.__name__: each
    for each in (flip_bits, truncate, delete_slice, duplicate_slice, splice, insert_nasty, swap_digits)
}


# ------------------------------------------------------------------------------------------------ JSON


class _Raw(str):
    """Text that stands in the JSON as it is."""

    __slots__ = ()


class _Pairs(list[Any]):
    """A JSON object whose names may be repeated."""


_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**53, 2**63, 10**30, 0.5, "", "0", "-1", "sha256:", "\0", "/", "..", "~", "é", "é",
    "0" * 64, "a" * 3000, [], _Pairs(), [[]],
    _Raw("1e400"), _Raw("NaN"), _Raw("-Infinity"), _Raw("1" * 5000),
    _Raw("-0"), _Raw("1E2"), _Raw("1.0"), _Raw('"\\ud800"'), _Raw('"\\udc00\\ud800"'), _Raw('"\\u0000"'),
    _Raw("[" * 90 + "]" * 90),
    _Raw("[" * 1500 + "]" * 1500), _Raw('{"a":' * 900 + "1" + "}" * 900), _Raw("{}{}"), _Raw("'x'"), _Raw(""),
)  # fmt: skip


def _emit(value: Any) -> str:
    if isinstance(value, _Raw):
        return str(value)
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{_emit(each)}" for name, each in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_emit(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _slots(value: Any, found: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """Every place in the tree that holds a value, as its container and the position there."""
    for position, each in enumerate(value):
        found.append((value, position))
        inner = each[1] if isinstance(value, _Pairs) else each
        if isinstance(inner, list):
            _slots(inner, found)
    return found


def _get(slot: tuple[Any, int]) -> Any:
    container, position = slot
    return container[position][1] if isinstance(container, _Pairs) else container[position]


def _set(slot: tuple[Any, int], value: Any) -> None:
    container, position = slot
    container[position] = (container[position][0], value) if isinstance(container, _Pairs) else value


def _value(chance: Random) -> Any:
    """One of the values, for this mutant alone: it may be edited in its turn."""
    return copy.deepcopy(chance.choice(_JSON_VALUES))


def _change_json(chance: Random, slots: list[tuple[Any, int]]) -> None:
    slot = chance.choice(slots)
    container, position = slot
    match chance.randrange(8):
        case 0 | 1 | 2:
            _set(slot, _value(chance))
        case 3:
            _set(slot, _get(chance.choice(slots)) if chance.random() < 0.5 else str(_get(slot))[:50])
        case 4:
            del container[position]
        case 5:
            container.insert(chance.randrange(len(container) + 1), container[position])
        case 6 if isinstance(container, _Pairs):
            name, value = container[position]
            new = chance.choice((name.upper(), f"{name} ", "", "\0", "__class__", "é", name[::-1], "x" * 300))
            container[position] = (new, value)
        case _:
            container.append(
                (chance.choice(("extra", "name", "uri")), _value(chance))
                if isinstance(container, _Pairs)
                else _value(chance)
            )


def _json_tree(raw: bytes) -> list[Any] | None:
    try:
        tree = json.loads(raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, list) and tree else None


def edit_json(chance: Random, raw: bytes) -> bytes:
    """Change values, types and names; repeat, move and remove members."""
    tree = _json_tree(raw)
    if tree is None:
        return flip_bits(chance, raw)
    try:
        for _ in range(chance.choice((1, 1, 2, 4))):
            slots = _slots(tree, [])
            if slots:
                _change_json(chance, slots)
        return _emit(tree).encode("utf-8", "surrogatepass")
    except RecursionError:  # a container that was put into itself
        return flip_bits(chance, raw)


def edit_canonical_json(chance: Random, raw: bytes) -> bytes:
    """As `edit_json`, and canonical again, so that it comes past the first door."""
    edited = edit_json(chance, raw)
    try:
        return rfc8785.dumps(json.loads(edited))
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        return edited


JSON: dict[str, Operator] = {**BYTES, "edit_json": edit_json, "edit_canonical_json": edit_canonical_json}


# ------------------------------------------------------------------------------------------------ YAML

_YAML_VALUES = (
    ".inf", "-.inf", ".nan", "~", "yes", "0x" + "f" * 5000, "1" * 5000, "1:2:3", "2026-02-30", "2026-01-31",
    "2026-01-31T00:00:00+99:99", "!!int x", '!!int ""', '!!float ""', "!!float x", "!!bool x", "!!timestamp x",
    "!!binary é", "!!null x", "!!seq x", "!!map x", "!!set x", "!!omap x", "!!str x", "!!python/name:os.system x",
    "!!merge x", "&a [*a]", "&a {*a : *a}", "*undefined", "? [a]", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]",
    '"\\ud800"', '"\\U0010FFFF"', '"\\0"', '"\\xff"', "'", '"', "|", ">", "- -", "{", "]", "@", "`", "%YAML 9.9", "---",
    "...", "!<tag:x> 1", "!", "&", "1e400", "-0", "0o17", "017", "1_000", "=", "<<", "{<<: {a: 1}}", "=: 1", "{}", "[]",
    "sha256:" + "0" * 64, "999999d", "0d", "-1d", "9999999999h", "atlas.dev/v1", "TrustRoot", "null", "[" * 500,
    "&x [1,2,3,4,5,6,7,8]", "[&b [&c [&d [1,1],*d,*d,*d],*c,*c,*c],*b,*b,*b]",
)  # fmt: skip


def edit_yaml_value(chance: Random, raw: bytes) -> bytes:
    """Another value for a field, or for an item of a list."""
    lines = raw.split(b"\n")
    at = chance.randrange(len(lines))
    value = chance.choice(_YAML_VALUES).encode()
    field, colon, _ = lines[at].partition(b": ")
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    lines[at] = field + colon + value if colon else indent + chance.choice((b"- ", b"", b"? ")) + value
    return b"\n".join(lines)


def edit_yaml_line(chance: Random, raw: bytes) -> bytes:
    """Repeat, remove, swap or indent a line; turn a name into a value."""
    lines = raw.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(6):
        case 0:
            lines.insert(other, lines[one])
        case 1:
            del lines[one]
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case 3:
            lines[one] = b" " * chance.choice((1, 2, 40)) + lines[one]
        case 4:
            lines[one] = lines[one].lstrip()
        case _:
            name = chance.choice(_YAML_VALUES).encode()
            lines[one] = lines[one][: len(lines[one]) - len(lines[one].lstrip())] + name + b": 1"
    return b"\n".join(lines)


def nest_aliases(chance: Random, raw: bytes) -> bytes:
    """The billion laughs: anchors of anchors, whose expansion doubles with each line."""
    depth = chance.choice((3, 8, 30))
    doubled = b", ".join(b"&l%d [*l%d, *l%d]" % (i, i - 1, i - 1) for i in range(1, depth))
    bomb = b"[&l0 [x, x], " + doubled + b"]"
    lines = raw.split(b"\n")
    at = chance.randrange(len(lines))
    field, colon, _ = lines[at].partition(b": ")
    lines[at] = field + (colon or b"\n- ") + bomb
    return b"\n".join(lines)


YAML: dict[str, Operator] = {
    **BYTES,
    "edit_yaml_value": edit_yaml_value,
    "edit_yaml_line": edit_yaml_line,
    "nest_aliases": nest_aliases,
}
TRUST_FILE: dict[str, Operator] = {**YAML, "edit_json": edit_json}


# ------------------------------------------------------------------------------------------------ CBOR

_CBOR_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 5, -1, 2**64, 1 << 20000, 0.5,
    float("nan"), float("inf"), "", "x", "a" * 3000, b"", b"\0" * 32,
    b"\1" * 32, b"x" * 3000, [], {}, [[]], [{}], {"url": 1, "hash": 2}, {1: 2}, {1 << 20000: 1}, {b"x": 1}, [None],
    cbor2.CBORTag(18, [b"", {}, None, b""]), cbor2.CBORTag(99999, 1), cbor2.undefined, cbor2.CBORSimpleValue(99),
    "self#jumbf=c2pa.assertions/x", {"activeManifest": {}}, {"pad": b"\0"}, {"alg": "sha512"}, "sha256", "sha512",
)  # fmt: skip

_CBOR_ITEMS = """
        f6 f7 f5 ff 1bffffffffffffffff 3bffffffffffffffff 5bffffffffffffffff 5b0000000040000000 7b0000000040000000
        9b0000000040000000 bb0000000040000000 9bffffffffffffffff 9a00ffffff 5f4161ff 7f6161ff 9fff bfff 9f9f9f9f
        c06161 c074323031332d30332d32315432303a30343a30305a c1f97e00 c11bffffffffffffffff c1fb7fefffffffffffff
        c249ffffffffffffffffff c340 c48202 c4821b7fffffffffffffff01 c5821b7fffffffffffffff01 d81c81d81d00 d81d00
        d81e820100 d81e8201c240 d8236128 d82364282a2b5b d8246161 d825405f d8255000000000000000000000000000000000
        d90100814161 d81900 d901028181 d9010281a0 d9010481f6 d90104820181 d9d9f7f6 f97e00 fa7fc00000
        fb7ff0000000000001 f8ff f800 f81f 1c dc 62c328 63eda080 6100 a1f6f6 a2616101616102 a1a0f6 a180f6
        d8641b7fffffffffffffff d903ec6161
"""
_CBOR_FRAGMENTS = (
    *map(bytes.fromhex, _CBOR_ITEMS.split()),
    b"\x81" * 400 + b"\xf6",
    b"\xa1\xf6" * 400 + b"\xf6",
    b"\xc6" * 500 + b"\xf6",
    b"\x81" * 9000,
    b"\xd8\x1c\x81" * 300 + b"\xf6",
)


def _cbor_slots(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, each in pairs:
        found.append((value, key))
        _cbor_slots(each, found)
    return found


def _thawed(value: Any) -> Any:
    """The same with lists and dicts that can be changed."""
    if isinstance(value, Mapping):
        return {key: _thawed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_thawed(each) for each in value]
    if isinstance(value, cbor2.CBORTag):
        return [_thawed(value.value)]
    return value


def edit_cbor(chance: Random, raw: bytes) -> bytes:
    """Change a value, type or key of a CBOR item; or its bytes."""
    if chance.random() < 0.35:
        place = _place(chance, raw)
        return raw[:place] + chance.choice(_CBOR_FRAGMENTS) + raw[place + chance.choice((0, 1, 1, 2, 33)) :]
    try:
        message = cbor2.loads(raw)
        value = _thawed(message)
        slots = _cbor_slots(value, [])
        container, key = chance.choice(slots)
        new = chance.choice(_CBOR_VALUES)
        match chance.randrange(6):
            case 0 | 1 | 2:
                container[key] = new
            case 3:
                del container[key]
            case 4:
                container[key] = [container[key]] if chance.random() < 0.5 else {"json": container[key]}
            case _:
                if isinstance(container, dict):
                    container[chance.choice(("pad", "alg", "name", "exclusions", 33, -7, b"k", 1 << 20000))] = new
                else:
                    container.append(container[key])
        return cbor2.dumps(cbor2.CBORTag(message.tag, value[0]) if isinstance(message, cbor2.CBORTag) else value)
    except (cbor2.CBORError, ValueError, IndexError, TypeError, RecursionError, OverflowError):
        return BYTES[chance.choice(tuple(BYTES))](chance, raw)


# ------------------------------------------------------------------------------------------------ JUMBF


def edit_length(chance: Random, raw: bytes) -> bytes:
    """Another length for a box."""
    boxes = [at for kind in (b"jumb", b"jumd", b"cbor", b"c2sh") for at in _positions(raw, kind) if at >= 4]
    if not boxes:
        return flip_bits(chance, raw)
    at = chance.choice(boxes) - 4
    (length,) = struct.unpack_from(">I", raw, at)
    new = chance.choice((0, 1, 7, 8, 9, length - 1, length + 1, length + 8, len(raw), 2**31, 2**32 - 1)) % 2**32
    return raw[:at] + struct.pack(">I", new) + raw[at + 4 :]


def _positions(raw: bytes, needle: bytes) -> list[int]:
    found: list[int] = []
    at = raw.find(needle)
    while at >= 0 and len(found) < 200:
        found.append(at)
        at = raw.find(needle, at + 1)
    return found


def _all_boxes(box: Box) -> list[Box]:
    return [box, *(inner for each in box.children for inner in _all_boxes(each))]


def _boxes(content: bytes, depth: int = 0) -> list[Box] | None:
    """Boxes that fill the bytes, or None; as lenient as possible, where the reader under test is strict."""
    boxes, at = [], 0
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at) if len(content) - at >= 8 else (0, b"")
        inside = content[at + 8 : at + length]
        if length < 8 or len(inside) != length - 8:
            return None
        children = _boxes(inside, depth + 1) if kind == b"jumb" and depth < 99 else None
        boxes.append(Box(kind, inside) if children is None else Box(kind, b"", children))
        at += length
    return boxes


def _try_box(raw: bytes) -> Box | None:
    boxes = _boxes(raw)
    return boxes[0] if boxes and boxes[0].children else None


def edit_box(chance: Random, raw: bytes) -> bytes:
    """Remove, repeat, move, rename, retype or nest boxes, with every length right."""
    store = _try_box(raw) if len(raw) < LARGEST else None
    if store is None:
        return edit_length(chance, raw)
    boxes = _all_boxes(store)
    parents = [each for each in boxes if each.children]
    if not parents:
        return flip_bits(chance, raw)
    parent = chance.choice(parents)
    at = chance.randrange(len(parent.children))
    chosen = parent.children[at]
    match chance.randrange(8):
        case 0:
            del parent.children[at]
        case 1:
            parent.children.insert(chance.randrange(len(parent.children) + 1), chosen)
        case 2:
            parent.children[at], parent.children[-1] = parent.children[-1], chosen
        case 3:
            chosen.kind = chance.choice((b"jumb", b"jumd", b"cbor", b"json", b"uuid", b"c2sh", b"bfdb", b"free"))
        case 4:
            chosen.data, chosen.children = BYTES[chance.choice(tuple(BYTES))](chance, chosen.body), []
        case 5:
            parent.children.append(
                Box(chance.choice((b"free", b"jumb", b"cbor", b"c2sh")), b"\0" * chance.randrange(40))
            )
        case 6:
            for _ in range(chance.choice((1, 3, 60))):
                chosen = Box(b"jumb", b"", [parent.children[0], chosen])
            parent.children[at] = chosen
        case _:
            target = chance.choice(boxes)
            if target is not parent:
                parent.children[at] = Box(target.kind, target.body)
    return store.to_bytes()


def edit_content(chance: Random, raw: bytes) -> bytes:
    """Change what a CBOR box holds."""
    store = _try_box(raw) if len(raw) < LARGEST else None
    found = [each for each in _all_boxes(store) if each.kind == b"cbor"] if store else []
    if store is None or not found:
        return edit_length(chance, raw)
    chosen = chance.choice(found)
    chosen.data = edit_cbor(chance, chosen.data)
    return store.to_bytes()


JUMBF: dict[str, Operator] = {
    **BYTES,
    "edit_length": edit_length,
    "edit_box": edit_box,
    "edit_content": edit_content,
}


def mutate(operators: Mapping[str, Operator], names: Sequence[str], chance: Random, raw: bytes) -> bytes:
    """Apply operators in order, within the largest size."""
    for name in names:
        raw = operators[name](chance, raw)[:LARGEST]
    return raw
