"""What the tests of event logs share."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace as altered

import pytest
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.eventlog import (
    EV_NO_ACTION,
    Event,
    EventLog,
    parse_event_log,
    sha384,
)

HEADER = 65
"""Bytes of a header for one algorithm."""
END = b"\xff" * 8
FOREIGN = sha384(b"of no event")
EMPTY = EventLog(())


def numbered(events: Sequence[Event]) -> EventLog:
    return EventLog(tuple(altered(event, index=at) for at, event in enumerate(events)))


def refused(code: Code, action: Callable[[], object]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        action()
    assert caught.value.code is code
    return caught.value


def malformed(raw: bytes) -> str:
    return str(refused(Code.EVENT_LOG_MALFORMED, lambda: parse_event_log(raw)))


def agents_header(algorithms: Sequence[tuple[int, int]] = ((0xB, 32), (0xC, 48), (0x12, 32))) -> bytes:
    """What the agent writes where there is no log of the firmware."""
    spec = bytes(24) + struct.pack("<I", len(algorithms)) + b"".join(struct.pack("<HH", *each) for each in algorithms)
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(spec) + 1) + spec + b"\0"


def written(register: int, kind: int, digests: Sequence[tuple[int, bytes]], data: bytes) -> bytes:
    listed = b"".join(struct.pack("<H", algorithm) + digest for algorithm, digest in digests)
    return struct.pack("<III", register, kind, len(digests)) + listed + struct.pack("<I", len(data)) + data


def with_event(log: EventLog, event: Event) -> EventLog:
    return EventLog((*log.events[: event.index], event, *log.events[event.index + 1 :]))


EVENTS = st.lists(
    st.builds(
        Event,
        st.just(0),
        st.integers(0, 4),
        st.integers(1, 0xFFFF_FFFF),
        st.binary(min_size=48, max_size=48),
        st.binary(max_size=80),
    ),
    max_size=12,
).map(numbered)
