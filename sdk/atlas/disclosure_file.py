"""The document that an owner hands to an auditor: disclosures, by the statement that commits to them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from atlas.document import Strict, read_document
from atlas.policy.fields import Sha256

TYPE_V1 = "dev.atlas.disclosure/v1"


class _Statement(Strict):
    statement: Sha256
    disclosures: tuple[str, ...]


class _Document(Strict):
    type: Literal["dev.atlas.disclosure/v1"]
    statements: tuple[_Statement, ...]


def dump_disclosures(disclosures: Mapping[str, Sequence[str]]) -> bytes:
    """The document of disclosures by statement digest (hex)."""
    statements = [
        {"statement": f"sha256:{sha256}", "disclosures": list(each)} for sha256, each in sorted(disclosures.items())
    ]
    return json.dumps({"type": TYPE_V1, "statements": statements}, indent=2).encode() + b"\n"


def load_disclosures(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Read documents, and join them by statement digest (hex).

    Raises:
        InputError: if one cannot be read.
        DocumentError: if it is not one.
    """
    joined: dict[str, list[str]] = {}
    for path in paths:
        for each in read_document(path, _Document).statements:
            joined.setdefault(each.statement, []).extend(each.disclosures)
    return joined
