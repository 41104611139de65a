"""Opening what a statement keeps back: each disclosure must be one that the statement commits to."""

from collections.abc import Iterable
from typing import Any

from atlas.codes import Code
from atlas.disclosure import parse_disclosure
from atlas.errors import Rejected
from atlas.statement import Statement


def open_parameters(statement: Statement, disclosures: Iterable[str]) -> dict[str, Any]:
    """Parameter -> value of what these disclosures show.

    Raises:
        Rejected: `DisclosureMalformed`; `DisclosureInvalid` for one that the statement does not commit to;
            `DisclosureConflict` for a parameter that has a value without it. Values are not told.
    """
    opened: dict[str, Any] = {}
    for encoded in disclosures:
        disclosure = parse_disclosure(encoded)
        if disclosure.digest not in statement.hidden:
            expected = f"one of {len(statement.hidden)} digests" if statement.hidden else "no disclosure"
            raise Rejected(Code.DISCLOSURE_INVALID, expected=expected, found=disclosure.digest)
        if disclosure.name in statement.parameters or disclosure.name in statement.secret or disclosure.name in opened:
            raise Rejected(Code.DISCLOSURE_CONFLICT, found=disclosure.name[:200])
        opened[disclosure.name] = disclosure.value
    return opened
