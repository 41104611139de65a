"""Writing event logs of trust domains, as firmware and agent do."""

import struct

from atlas.errors import InputError, Rejected
from atlas.evidence.tdx.eventlog import DIGEST_SIZE, EV_NO_ACTION, Event, EventLog, parse_event_log, sha384

_SHA384 = 0xC


def dump_event_log(log: EventLog) -> bytes:
    """Write a log as a TDX virtual firmware does, for one algorithm, and end it as the agent does.

    Raises:
        InputError: if it would not be read back as what it is.
    """
    spec = struct.pack("<16sIBBBBIHHB", b"Spec ID Event03", 0, 0, 2, 0, 2, 1, _SHA384, DIGEST_SIZE, 0)
    try:
        raw = struct.pack("<II20sI", 1, EV_NO_ACTION, bytes(20), len(spec)) + spec
        raw += b"".join(
            struct.pack("<IIIH", each.register, each.type, 1, _SHA384)
            + each.digest
            + struct.pack("<I", len(each.data))
            + each.data
            for each in log.events
        )
        raw += b"\xff" * 8
        same = parse_event_log(raw) == log
    except (Rejected, struct.error):
        same = False
    if not same:
        raise InputError("these events cannot be written as an event log")
    return raw


def extend(log: EventLog, register: int, type: int, data: bytes) -> EventLog:
    """The log with one more event, whose digest is that of its data; the register is numbered as in the log."""
    return EventLog((*log.events, Event(len(log.events), register, type, sha384(data), data)))
