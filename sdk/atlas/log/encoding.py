"""Strict reading of what receipts, requests and checkpoints are written in: one spelling for every value.

Base64 is RFC 4648 section 4 with padding and zero spare bits; integers are protobuf-JSON decimal strings;
JSON is RFC 8259 in UTF-8 without repeated names. Everything here raises `ValueError`; the callers know which
code or error it means.
"""

import base64
import json
import re
from collections.abc import Collection
from typing import Any

MAX_INTEGER = 2**63 - 1
"""Indices and sizes fit a signed 64-bit integer: what SQLite, protobuf and Go all hold."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: object, size: int | None = None) -> bytes:
    """Decode base64 of exactly one spelling, of `size` bytes if given.

    Raises:
        ValueError: if it is not that.
    """
    if not isinstance(text, str):
        raise ValueError("not a string")
    data = base64.b64decode(text, validate=True)
    # The decoder ignores spare bits of the last character, so that several texts would mean the same bytes.
    if to_base64(data) != text:
        raise ValueError("not canonical base64")
    if size is not None and len(data) != size:
        raise ValueError(f"{len(data)} bytes instead of {size}")
    return data


def to_integer(text: object) -> int:
    """Read a non-negative integer from its only decimal spelling.

    Raises:
        ValueError: if it is not that, or above `MAX_INTEGER`.
    """
    if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
        raise ValueError("not a canonical decimal string")
    value = int(text)
    if value > MAX_INTEGER:
        raise ValueError("integer too large")
    return value


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name is repeated")
    return result


def load_json(data: bytes | str, limit: int) -> object:
    """Parse JSON of at most `limit` bytes.

    Raises:
        ValueError: if it is not JSON in UTF-8, repeats a name, nests too deeply or is too large.
    """
    if len(data) > limit:
        raise ValueError(f"larger than {limit} bytes")
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def fields(value: object, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Any]:
    """The members of a JSON object that has all `required` names and no others than those and `optional`.

    A null stands for an absent member, as protobuf-JSON has it.

    Raises:
        ValueError: if it is not such an object.
    """
    if not isinstance(value, dict):
        raise ValueError("not an object")
    present = {name: member for name, member in value.items() if member is not None}
    if missing := [name for name in required if name not in present]:
        raise ValueError(f"without {missing[0]!r}")
    if unknown := [name for name in value if name not in required and name not in optional]:
        raise ValueError(f"with unknown member {unknown[0]!r}")
    return present
