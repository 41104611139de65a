"""Reading a GPU's report strictly (DMTF DSP0274, *Security Protocol and Data Model*, 1.1: `MEASUREMENTS`).

A report is what was asked and what the GPU answered, one after the other. Sizes in bytes, integers little-endian:

    GET_MEASUREMENTS  11 E0 01 FF   version 1.1, the code, a signature is wanted, of all measurements
                      nonce         32
                      slot          1, zero
    MEASUREMENTS      11 60 00 00   version 1.1, the code, two parameters that are zero
                      blocks        1, how many
                      length        3, of the record
                      record        blocks of index 1, specification 1 (DMTF), size 2, type 1, size 2, SHA-384 digest
                      nonce         32, the GPU's own
                      length        2, of the opaque data
                      opaque data   NVIDIA's fields of type 2, size 2, value
                      signature     96, r and s big-endian, over all that precedes it

The signature is no part of a report's identity: for every (r, s) there is (r, n - s), which verifies as well, and it is
not known that GPUs make only one of the two. What identifies a report is `GpuReport.signed`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from atlas.codes import Code
from atlas.errors import Rejected

MAX_BYTES = 8 << 10
"""Largest report that is read: the size of the buffer that NVIDIA's management library (NVML) has for one."""

DRIVER_VERSION, VBIOS_VERSION, FIRMWARE_ID = 3, 6, 20
"""Types of opaque fields that are read here; others are kept as they are."""

_REQUEST = bytes.fromhex("11e001ff")
_RESPONSE = bytes.fromhex("11600000")
_DMTF = 1
_DIGEST = 48
_BLOCK_HEADER = 3  # type and size, which the size of a block counts in
_DIGEST_TYPES = range(5)  # ROM, firmware, hardware and firmware configuration, manifest; raw data have bit 7
_INDICES = range(1, 0xFF)
_SIGNATURE = 96
_DRIVER = re.compile(rb"([0-9]+(?:\.[0-9]+)*)\0")


@dataclass(frozen=True)
class GpuReport:
    """One report, nothing of which is verified."""

    nonce: bytes
    """What the GPU was asked with, 32 bytes."""
    responder_nonce: bytes
    """What the GPU chose, 32 bytes."""
    measurements: Mapping[int, bytes]
    """SHA-384 digests by index."""
    driver_version: str
    """E.g. `550.90.07`."""
    vbios_version: str
    """E.g. `96.00.9F.00.01`."""
    opaque: Mapping[int, bytes]
    """NVIDIA's fields by type."""
    signed: bytes
    """Request and response without the signature."""
    signature: bytes
    """r and s, 48 bytes each, big-endian."""


def parse_report(raw: bytes) -> GpuReport:
    """Read one report; nothing may follow it.

    Raises:
        Rejected: `GpuReportMalformed`.
    """
    if len(raw) > MAX_BYTES:
        _malformed(f"{len(raw)} bytes; a report has at most {MAX_BYTES}")
    reader = _Reader(raw, "the report")
    reader.expect(_REQUEST, "a request for all measurements, signed, in SPDM 1.1")
    nonce = reader.take(32)
    reader.expect(b"\0", "certificate slot 0")
    reader.expect(_RESPONSE, "a response with measurements in SPDM 1.1")
    blocks = reader.integer(1)
    measurements = _measurements(reader.take(reader.integer(3)), blocks)
    responder_nonce = reader.take(32)
    opaque = _opaque(reader.take(reader.integer(2)))
    signature = reader.take(_SIGNATURE)
    reader.end()
    return GpuReport(
        nonce=nonce,
        responder_nonce=responder_nonce,
        measurements=measurements,
        driver_version=_driver_version(opaque),
        vbios_version=_vbios_version(opaque),
        opaque=opaque,
        signed=raw[:-_SIGNATURE],
        signature=signature,
    )


def _measurements(record: bytes, blocks: int) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    reader = _Reader(record, "the measurement record")
    for _ in range(blocks):
        index, specification, size = reader.integer(1), reader.integer(1), reader.integer(2)
        kind, digest_size = reader.integer(1), reader.integer(2)
        if index not in _INDICES or index in found:
            _malformed(f"a measurement has index {index}, which is reserved or there already")
        if (specification, size, digest_size) != (_DMTF, _BLOCK_HEADER + _DIGEST, _DIGEST) or kind not in _DIGEST_TYPES:
            _malformed(f"measurement {index} is not a SHA-384 digest as DMTF specifies it")
        found[index] = reader.take(_DIGEST)
    reader.end()
    if not found:
        _malformed("it has no measurements")
    return found


def _opaque(data: bytes) -> Mapping[int, bytes]:
    found: dict[int, bytes] = {}
    reader = _Reader(data, "the opaque data")
    while not reader.at_end:
        kind = reader.integer(2)
        if kind in found:
            _malformed(f"opaque field {kind} is there twice")
        found[kind] = reader.take(reader.integer(2))
    return found


def _driver_version(opaque: Mapping[int, bytes]) -> str:
    match = _DRIVER.fullmatch(opaque.get(DRIVER_VERSION, b""))
    if match is None:
        _malformed("it does not tell the driver's version")
    return match[1].decode("ascii")


def _vbios_version(opaque: Mapping[int, bytes]) -> str:
    """Two 32-bit integers, the first all and the second the last byte of the version; written as NVIDIA writes it."""
    value = opaque.get(VBIOS_VERSION, b"")
    if len(value) != 8 or any(value[5:]):
        _malformed("it does not tell the VBIOS's version")
    return ".".join(f"{each:02X}" for each in (*value[3::-1], value[4]))


class _Reader:
    """Takes bytes from the front, and never more than there are."""

    def __init__(self, raw: bytes, what: str) -> None:
        self._raw = raw
        self._what = what
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at == len(self._raw)

    def take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if self._at > len(self._raw):
            _malformed(f"{self._what} ends too early")
        return self._raw[start : self._at]

    def integer(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def expect(self, expected: bytes, what: str) -> None:
        if self.take(len(expected)) != expected:
            _malformed(f"{what} was expected")

    def end(self) -> None:
        if not self.at_end:
            _malformed(f"bytes follow {self._what}")


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.GPU_REPORT_MALFORMED, f"the GPU's report is malformed: {detail}")
