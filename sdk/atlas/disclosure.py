"""Values that a statement commits to without saying them: salted digests in the form of SD-JWT (RFC 9901, section 4).

A disclosure is base64url(JSON of [salt, name, value]); the statement holds base64url(SHA-256(disclosure)) under `_sd`,
in the object that would have held the name. Who is shown the disclosure can check it; who is not cannot guess it,
because the salt has 128 bits. JSON and base64url are read in one canonical spelling, so that no two readers differ.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atlas.base64url import from_base64url, to_base64url
from atlas.canonical import dump_canonical, load_json
from atlas.codes import Code
from atlas.errors import Rejected, StepError

ALGORITHM = "sha-256"
"""The one value of `_sd_alg` (IANA Named Information Hash Algorithm registry)."""
DIGESTS = "_sd"
RESERVED = frozenset({DIGESTS, "..."})
"""Names that RFC 9901 (section 4.2.4) keeps for itself in any object."""
SALT_BYTES = 16
MAX_BYTES = 1 << 20
"""Largest disclosure that is read."""


@dataclass(frozen=True)
class Disclosure:
    """One value, with what proves that it was committed to."""

    encoded: str
    """What is handed on; ASCII."""
    name: str
    value: Any

    @cached_property
    def digest(self) -> str:
        """What a statement holds in its place."""
        return to_base64url(hashlib.sha256(self.encoded.encode("ascii")).digest())


def conceal(name: str, value: Any) -> Disclosure:
    """Make the disclosure of a value, with a fresh salt.

    Raises:
        StepError: if the value has no canonical JSON, or uses a name that is reserved; it does not tell the value.
    """
    if name in RESERVED or uses_reserved(value):
        raise reserved_name(name)
    try:
        raw = dump_canonical([new_salt(SALT_BYTES), name, value])
    except ValueError:  # whose text may tell the value
        raise StepError(f"the parameter {name} cannot be recorded as JSON") from None
    return Disclosure(to_base64url(raw), name, value)


def parse_disclosure(encoded: str) -> Disclosure:
    """Read a disclosure strictly.

    Raises:
        Rejected: `DisclosureMalformed`; it does not tell the value.
    """
    if len(encoded) > MAX_BYTES:
        raise Rejected(Code.DISCLOSURE_MALFORMED, expected=f"at most {MAX_BYTES} bytes")
    try:
        value, canonical = load_json(from_base64url(encoded))
    except ValueError:
        raise Rejected(Code.DISCLOSURE_MALFORMED, expected="base64url of JSON") from None
    if not canonical or not isinstance(value, list) or len(value) != 3:
        raise Rejected(Code.DISCLOSURE_MALFORMED, expected="[salt, name, value] in canonical JSON")
    salt, name, content = value
    if not isinstance(salt, str) or not _is_salt(salt):
        raise Rejected(Code.DISCLOSURE_MALFORMED, expected=f"a salt of {8 * SALT_BYTES} bits or more")
    if not isinstance(name, str) or name in RESERVED or uses_reserved(content):
        raise Rejected(Code.DISCLOSURE_MALFORMED, expected="a name, and no digests within the value")
    return Disclosure(encoded, name, content)


def new_salt(size: int) -> str:
    """Fresh random bytes, base64url."""
    return to_base64url(os.urandom(size))


def uses_reserved(value: Any) -> bool:
    """Whether an object anywhere within a JSON value has a name that is reserved."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            if not RESERVED.isdisjoint(each):
                return True
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return False


def reserved_name(name: str) -> StepError:
    """The error for a parameter that uses a reserved name."""
    return StepError(
        f"the parameter {name} is named, or holds an object with a field named, {' or '.join(sorted(RESERVED))}",
        mend="rename it: where values are confidential, digests stand under that name",
    )


def _is_salt(text: str) -> bool:
    try:
        return len(from_base64url(text)) >= SALT_BYTES
    except ValueError:
        return False
