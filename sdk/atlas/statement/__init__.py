"""The statement: all that a step (or a publisher) asserts, as canonical JSON (RFC 8785).

`model` is what the program works with; `write` and `parse` are its one byte form. The bytes are what is signed, what
evidence covers and what two verifiers compare, so the parser accepts just what the writer writes. A statement that
keeps nothing back is of version 1, any other of version 2.
"""

from atlas.statement.model import (
    FAILED_EVIDENCE,
    NEVER_WRITTEN,
    NO_EVIDENCE,
    SALT_BYTES,
    Input,
    Link,
    Output,
    Publisher,
    Statement,
    Step,
    Unmeasured,
    output_of,
)
from atlas.statement.parse import parse_statement
from atlas.statement.write import MAX_BYTES, TYPE_V1, TYPE_V2, dump_statement, safe_json

__all__ = [
    "FAILED_EVIDENCE",
    "MAX_BYTES",
    "NEVER_WRITTEN",
    "NO_EVIDENCE",
    "SALT_BYTES",
    "TYPE_V1",
    "TYPE_V2",
    "Input",
    "Link",
    "Output",
    "Publisher",
    "Statement",
    "Step",
    "Unmeasured",
    "dump_statement",
    "output_of",
    "parse_statement",
    "safe_json",
]
