"""Canonical JSON (RFC 8785): the one byte form of whatever is digested or signed.

Numbers are IEEE 754 doubles there, so an integer beyond 2**53 - 1 is read as a float, and is refused on writing.
"""

import json
from typing import Any

import rfc8785

SAFE_INTEGER = 2**53 - 1


def dump_canonical(value: Any) -> bytes:
    """The canonical form of a JSON value.

    Raises:
        ValueError: if it has none: not JSON, NaN, an integer that a double cannot hold, a lone surrogate, too deep.
    """
    try:
        return rfc8785.dumps(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # the library's own errors are ValueErrors, and so is UnicodeEncodeError


def load_json(raw: bytes) -> tuple[Any, bool]:
    """Read a JSON value; also says whether the bytes are its canonical form.

    Raises:
        ValueError: if they are not JSON, or have no canonical form.
    """
    doubles: list[float] = []

    def number(text: str) -> float:
        doubles.append(float(text))
        return doubles[-1]

    def integer(text: str) -> int | float:
        # no more digits than a double has: longer ones cost quadratic time
        value = int(text) if len(text) < 20 else SAFE_INTEGER + 1
        return value if abs(value) <= SAFE_INTEGER else number(text)

    try:
        value = json.loads(raw, parse_float=number, parse_int=integer, parse_constant=_no_number)
        if doubles or not raw.isascii():
            return value, dump_canonical(value) == raw
        # for ASCII and integers the standard library writes that very form, at a tenth of the cost
        written = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return value, written.encode() == raw
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")
