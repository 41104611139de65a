"""The form of a trust domain's event log: what firmware, boot loader and agent say they measured into its registers.

It is the crypto-agile log of the TCG (*PC Client Platform Firmware Profile*, section 10 "Event Logging"), taken over by
the confidential computing measurement protocol of the *UEFI Specification* (section 38). Registers are numbered as in
the log, by Intel's *TDX Virtual Firmware Design Guide*: 0 is MRTD, which nothing extends, 1 to 4 are RTMR0 to RTMR3.

A log proves nothing by itself: `replay` holds it against a quote. Even then only the digests and their order within a
register are proven. An event's type and data are the word of whoever handed over the log, save where the digest is that
of the data (`Event.data_measured`), which is so for few types; `aael` reads such events.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import Any, NoReturn

from atlas.codes import Code
from atlas.errors import Rejected

MAX_BYTES = 4 << 20
"""Largest log that is read, padding included; firmware sets aside 64 kB to 1 MB."""
MAX_EVENTS = 20_000

DIGEST_SIZE = 48
REGISTERS = ("MRTD", "RTMR0", "RTMR1", "RTMR2", "RTMR3")
EV_NO_ACTION = 3
_NAMES = {
    0: "PREBOOT_CERT POST_CODE UNUSED NO_ACTION SEPARATOR ACTION EVENT_TAG S_CRTM_CONTENTS S_CRTM_VERSION "
    "CPU_MICROCODE PLATFORM_CONFIG_FLAGS TABLE_OF_DEVICES COMPACT_HASH IPL IPL_PARTITION_DATA NONHOST_CODE "
    "NONHOST_CONFIG NONHOST_INFO OMIT_BOOT_DEVICE_EVENTS",
    0x80000000: "EFI_EVENT_BASE EFI_VARIABLE_DRIVER_CONFIG EFI_VARIABLE_BOOT EFI_BOOT_SERVICES_APPLICATION "
    "EFI_BOOT_SERVICES_DRIVER EFI_RUNTIME_SERVICES_DRIVER EFI_GPT_EVENT EFI_ACTION EFI_PLATFORM_FIRMWARE_BLOB "
    "EFI_HANDOFF_TABLES EFI_PLATFORM_FIRMWARE_BLOB2 EFI_HANDOFF_TABLES2 EFI_VARIABLE_BOOT2",
    0x80000010: "EFI_HCRTM_EVENT",
    0x800000E0: "EFI_VARIABLE_AUTHORITY EFI_SPDM_FIRMWARE_BLOB EFI_SPDM_FIRMWARE_CONFIG",
}
TYPES = {first + place: f"EV_{name}" for first, row in _NAMES.items() for place, name in enumerate(row.split())}
"""What the TCG calls the types of events."""

_SHA384 = 0xC
_SIZES = {0x4: 20, 0xB: 32, _SHA384: 48, 0xD: 64, 0x12: 32}
"""Bytes of a digest: SHA-1, SHA-256, SHA-384, SHA-512, SM3 (*TCG Algorithm Registry*)."""
_HEADER = struct.Struct("<II20sI")  # register, type, SHA-1, size: TCG_PCClientPCREvent
_SPEC_ID = struct.Struct("<16sIBBBBI")  # signature, class, version (minor, major, errata), UINTN, algorithms
_EVENT = struct.Struct("<III")  # register, type, digests: TCG_PCR_EVENT2
_U32, _U16, _ALGORITHM, _U8 = struct.Struct("<I"), struct.Struct("<H"), struct.Struct("<HH"), struct.Struct("<B")
_SIGNATURE = b"Spec ID Event03\0"
_ENDS = {b"\xff" * 8, bytes(8)}


def sha384(data: bytes) -> bytes:
    """The digest that registers are extended with."""
    return hashlib.sha384(data).digest()


@dataclass(frozen=True)
class Event:
    """One entry of a log."""

    index: int
    """Place in the log, from 0; the header is not counted."""
    register: int
    """0 is MRTD, 1 to 4 are RTMR0 to RTMR3."""
    type: int
    digest: bytes
    """SHA-384: what the register was extended with."""
    data: bytes
    """What was measured, or a description of it. Only what `data_measured` confirms is proven by a replay."""

    @property
    def name(self) -> str:
        """What a person calls it: `event 17 (EV_IPL, RTMR2)`."""
        kind = TYPES.get(self.type, f"type {self.type:#x}")
        return f"event {self.index} ({kind}, {REGISTERS[self.register]})"

    @property
    def extends(self) -> bool:
        """Whether it went into an RTMR."""
        return self.type != EV_NO_ACTION and self.register > 0

    @property
    def data_measured(self) -> bool:
        """Whether its digest went into an RTMR and is that of its data."""
        return self.extends and self.digest == sha384(self.data)


@dataclass(frozen=True)
class EventLog:
    """A log without its header; nothing of it is verified."""

    events: tuple[Event, ...]


def parse_event_log(raw: bytes) -> EventLog:
    """Read a log up to its terminator, eight bytes of zeros or of ones, which only such bytes may follow.

    Raises:
        Rejected: `EventLogMalformed`.
    """
    if len(raw) > MAX_BYTES:
        _malformed(f"{len(raw)} bytes; a log has at most {MAX_BYTES}")
    sizes, at = _header(raw)
    events: list[Event] = []
    while raw[at : at + 8] not in _ENDS:
        if len(events) == MAX_EVENTS:
            _malformed(f"over {MAX_EVENTS} events")
        event, at = _event(raw, at, len(events), sizes)
        events.append(event)
    if raw[at:].strip(b"\0\xff"):
        _malformed("bytes follow its terminator")
    return EventLog(tuple(events))


def _header(raw: bytes) -> tuple[dict[int, int], int]:
    """The sizes of the digests that events may have, by algorithm, and where the first event begins."""
    register, kind, digest, size = _read(_HEADER, raw, 0)
    spec, end = _take(raw, _HEADER.size, size)
    signature, _, minor, major, _, _, count = _read(_SPEC_ID, spec, 0)
    # The agent of Confidential Containers writes zeros here where firmware left no log that it could continue.
    known = (signature, major, minor) == (_SIGNATURE, 2, 0) or not any(spec[:24])
    if register >= len(REGISTERS) or kind != EV_NO_ACTION or any(digest) or not known:
        _malformed("it does not begin with a Specification ID event of version 2.0")
    sizes: dict[int, int] = {}
    at = _SPEC_ID.size
    for _ in range(min(count, len(_SIZES) + 1)):
        algorithm, length = _read(_ALGORITHM, spec, at)
        if _SIZES.get(algorithm) != length or algorithm in sizes:
            _malformed(f"its header has algorithm {algorithm:#x} with {length} bytes, which is unknown or a repetition")
        sizes[algorithm] = length
        at += _ALGORITHM.size
    (vendor,) = _read(_U8, spec, at)
    if _SHA384 not in sizes or at + 1 + vendor != size:
        _malformed("its header lacks SHA-384 or has another size than it says")
    return sizes, end


def _event(raw: bytes, at: int, index: int, sizes: dict[int, int]) -> tuple[Event, int]:
    """The event at an offset, and where the next one begins."""
    register, kind, count = _read(_EVENT, raw, at)
    if register >= len(REGISTERS) or count > len(sizes):
        _malformed(f"event {index} has register {register} and {count} digests")
    at += _EVENT.size
    digests: dict[int, bytes] = {}
    for _ in range(count):
        (algorithm,) = _read(_U16, raw, at)
        if algorithm not in sizes or algorithm in digests:
            _malformed(f"event {index} has algorithm {algorithm:#x}, which is not in the header or a repetition")
        digests[algorithm], at = _take(raw, at + _U16.size, sizes[algorithm])
    if _SHA384 not in digests:
        _malformed(f"event {index} has no SHA-384 digest")
    (size,) = _read(_U32, raw, at)
    data, at = _take(raw, at + _U32.size, size)
    return Event(index, register, kind, digests[_SHA384], data), at


def _read(form: struct.Struct, raw: bytes, at: int) -> tuple[Any, ...]:
    try:
        return form.unpack_from(raw, at)
    except struct.error:
        _malformed("it ends too early")


def _take(raw: bytes, at: int, size: int) -> tuple[bytes, int]:
    """So many bytes from an offset, and where they end."""
    if at + size > len(raw):
        _malformed("it ends too early")
    return raw[at : at + size], at + size


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.EVENT_LOG_MALFORMED, f"the event log is malformed: {detail}")
