"""JUMBF boxes (ISO/IEC 19566-5), as strictly as the Atlas profile needs them.

A box is a 4-byte big-endian length, a 4-byte type and its content. A superbox (`jumb`) holds a description box (`jumd`:
16-byte type, toggles, NUL-terminated label, optionally a private salt box) and then its content boxes.
"""

import struct
from dataclasses import dataclass
from typing import NoReturn

from atlas.codes import Code
from atlas.errors import Rejected

HEADER = 8
_SUFFIX = bytes.fromhex("00110010800000aa00389b71")  # shared by all content types of C2PA and JUMBF
LABELLED = 0x03
"""Toggles of a description box: requestable, with a label."""
SALTED = 0x13
"""As `LABELLED`, with a private box, in which C2PA puts a random salt."""


@dataclass(frozen=True)
class SuperBox:
    """A labelled superbox."""

    type: bytes
    """First four bytes of its content type, e.g. `c2ma`."""
    label: str
    salted: bool
    body: bytes
    """All of it but the 8-byte header: what C2PA hashes."""
    children: tuple[tuple[bytes, bytes], ...]
    """Type and content of each box inside, without the description box."""


def read_store(raw: bytes) -> SuperBox:
    """Read a manifest store, which must be the whole of the bytes.

    Raises:
        Rejected: `SidecarMalformed`, or `SidecarTrailingBytes`.
    """
    if len(raw) < HEADER:
        _malformed("it is shorter than one box")
    length, kind = struct.unpack_from(">I4s", raw)
    if kind != b"jumb" or length < HEADER or length > len(raw):
        _malformed("it does not begin with one whole superbox")
    if length < len(raw):
        raise Rejected(Code.SIDECAR_TRAILING_BYTES, found=f"{len(raw) - length} bytes")
    return read_super_box(raw[HEADER:])


def read_super_box(body: bytes) -> SuperBox:
    """Read a superbox from all of it but its header.

    Raises:
        Rejected: `SidecarMalformed`.
    """
    boxes = _boxes(body)
    if not boxes or boxes[0][0] != b"jumd":
        _malformed("a superbox has no description")
    description = boxes[0][1]
    label, end, private = description[17:].partition(b"\0")
    if len(description) < 18 or description[4:16] != _SUFFIX or not end:
        _malformed("a description box is not one of C2PA")
    toggles = description[16]
    if toggles == LABELLED and private:
        _malformed("bytes follow the label of a description box")
    if toggles == SALTED:
        inner = _boxes(private)
        if len(inner) != 1 or inner[0][0] != b"c2sh":
            _malformed("a description box has a private box that is not a salt")
    elif toggles != LABELLED:
        _malformed("a description box has unknown toggles")
    try:
        text = label.decode("ascii")
    except UnicodeDecodeError:
        _malformed("a label is not ASCII")
    return SuperBox(description[:4], text, toggles == SALTED, body, tuple(boxes[1:]))


def _boxes(content: bytes) -> list[tuple[bytes, bytes]]:
    boxes = []
    offset = 0
    while offset < len(content):
        if len(content) - offset < HEADER:
            _malformed("a box is cut off")
        length, kind = struct.unpack_from(">I4s", content, offset)
        if length < HEADER or offset + length > len(content):
            _malformed("a box is longer or shorter than it says")
        boxes.append((kind, content[offset + HEADER : offset + length]))
        offset += length
    return boxes


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.SIDECAR_MALFORMED, f"the sidecar is malformed: {detail}")
