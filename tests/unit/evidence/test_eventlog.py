"""The form of event logs: real ones are read as what they are, and what is malformed is refused."""

import base64
import struct
from dataclasses import replace as altered
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.errors import InputError, Rejected
from atlas.evidence.tdx.aael import Measured, aael_event, measured_events
from atlas.evidence.tdx.eventlog import (
    EV_NO_ACTION,
    MAX_BYTES,
    MAX_EVENTS,
    REGISTERS,
    Event,
    EventLog,
    parse_event_log,
    sha384,
)
from atlas.evidence.tdx.replay import replay
from support.eventlogs import dump_event_log, extend
from unit.evidence.eventlog_support import (
    EMPTY,
    END,
    EVENTS,
    FOREIGN,
    HEADER,
    agents_header,
    malformed,
    with_event,
    written,
)


def test_real_log_is_written_as_it_was(raw: bytes, log: EventLog, sample: bytes) -> None:
    dumped = dump_event_log(log)

    assert raw.startswith(dumped)
    assert not raw[len(dumped) :].strip(b"\xff")
    assert dump_event_log(parse_event_log(sample)) == sample


def test_real_events_are_named(log: EventLog) -> None:
    assert log.events[17].name == "event 17 (EV_EFI_BOOT_SERVICES_APPLICATION, RTMR1)"
    assert log.events[40].name == "event 40 (EV_IPL, RTMR2)"
    assert altered(log.events[0], type=0x8000_00F0, register=0).name == "event 0 (type 0x800000f0, MRTD)"


def test_sample_is_read_as_its_own_verifier_reads_it(sample: bytes, described: list[dict[str, Any]]) -> None:
    events = parse_event_log(sample).events

    assert len(events) == len(described) == 87
    for at, (event, other) in enumerate(zip(events, described, strict=True)):
        assert event == Event(
            at,
            other["index"],
            event.type,
            bytes.fromhex(other["digests"][0]["digest"]),
            base64.b64decode(other["event"]),
        )
        assert event.name == f"event {at} ({other['type_name']}, {REGISTERS[other['index']]})"


def test_every_truncation_is_refused(log: EventLog) -> None:
    whole = dump_event_log(log)

    for size in range(len(whole)):
        malformed(whole[:size])
    assert parse_event_log(whole) == log


@pytest.mark.parametrize("tail", [b"", b"\0", b"\xff", bytes(5000), b"\xff\0" * 9])
@pytest.mark.parametrize("end", [END, bytes(8)])
def test_padding(log: EventLog, end: bytes, tail: bytes) -> None:
    assert parse_event_log(dump_event_log(log)[:-8] + end + tail) == log


@pytest.mark.parametrize("end", [b"", END[:7], bytes(7), b"\xff" * 4 + bytes(4), bytes(4) + b"\xff" * 4])
def test_no_terminator(log: EventLog, end: bytes) -> None:
    malformed(dump_event_log(log)[:-8] + end)


@pytest.mark.parametrize("tail", [b"\x01", b"\xfe", bytes(100) + b"x", END + b"\x7f" + END])
def test_bytes_after_the_terminator(log: EventLog, tail: bytes) -> None:
    assert "follow" in malformed(dump_event_log(log) + tail)


def test_an_event_after_the_terminator(log: EventLog) -> None:
    malformed(dump_event_log(log) + dump_event_log(log)[HEADER:])


@pytest.mark.parametrize("bit", range(8))
def test_flipped_bits(log: EventLog, bit: int) -> None:
    whole, mask = dump_event_log(log), 1 << bit

    def flipped(at: int) -> bytes:
        return whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :]

    for at in range(HEADER):
        # The register, platform class, errata and size of UINTN in the header say nothing of the events.
        if at in {*range(48, 52), 54, 55} or (at == 0 and bit < 2):
            assert parse_event_log(flipped(at)) == log
        else:
            malformed(flipped(at))
    at = HEADER
    for event in log.events:
        for place, field in enumerate(fields(event), at):
            check_flip(log, event, field, flipped(place), place - at, mask)
        at += 66 + len(event.data)
    for last in range(at, len(whole)):
        malformed(flipped(last))


def fields(event: Event) -> list[str]:
    """Of each byte of an event, what it belongs to."""
    sizes = {"register": 4, "type": 4, "count": 4, "algorithm": 2, "digest": 48, "size": 4, "data": len(event.data)}
    return [name for name, size in sizes.items() for _ in range(size)]


def check_flip(log: EventLog, event: Event, field: str, raw: bytes, place: int, mask: int) -> None:
    """Whether a log with one flipped bit in a field of an event is taken for what it is."""
    if field in {"count", "algorithm", "size"}:
        malformed(raw)
        return
    if field == "data":
        if place % 16 == 0:  # each takes a replay
            found = parse_event_log(raw)
            data = bytearray(event.data)
            data[place - 66] ^= mask
            assert found == with_event(log, altered(event, data=bytes(data)))
            assert replay(found) == replay(log)
        return
    if field == "register":
        register = event.register ^ (mask << 8 * place)
        if register > 4:
            malformed(raw)
            return
        found = parse_event_log(raw)
        assert found == with_event(log, altered(event, register=register))
        assert replay(found) != replay(log)
        return
    found = parse_event_log(raw)
    if field == "digest":
        assert replay(found) != replay(log)
        return
    kind = event.type ^ (mask << 8 * (place - 4))
    assert found == with_event(log, altered(event, type=kind))
    assert (replay(found) == replay(log)) is (kind != EV_NO_ACTION)


@pytest.mark.parametrize("index", [0, 2, 6, 17, 30, 42])
def test_sizes_that_lie(log: EventLog, index: int) -> None:
    whole = dump_event_log(log)
    at = HEADER + sum(66 + len(each.data) for each in log.events[:index])
    size = len(log.events[index].data)
    lies = {size - 1, size + 1, size + 8, 0, len(whole) - at - 66, len(whole), 0x7FFF_FFFF, 0xFFFF_FFFF}

    for lie in lies:
        malformed(whole[: at + 62] + struct.pack("<I", lie) + whole[at + 66 :])
    for lie in (0, 2, 3, 0xFFFF_FFFF):
        malformed(whole[: at + 8] + struct.pack("<I", lie) + whole[at + 12 :])


@pytest.mark.parametrize(
    ("at", "bad"),
    [
        pytest.param(0, struct.pack("<I", 5), id="register"),
        pytest.param(4, struct.pack("<I", 1), id="type"),
        pytest.param(8, b"\x01", id="digest"),
        pytest.param(28, struct.pack("<I", 0), id="size none"),
        pytest.param(28, struct.pack("<I", 32), id="size less"),
        pytest.param(28, struct.pack("<I", 34), id="size more"),
        pytest.param(28, struct.pack("<I", 0xFFFF_FFFF), id="size most"),
        pytest.param(32, b"Spec ID Event02\0", id="signature"),
        pytest.param(32, bytes(16), id="signature zero, version not"),
        pytest.param(52, b"\x01", id="minor"),
        pytest.param(53, b"\x01", id="major"),
        pytest.param(56, struct.pack("<I", 0), id="no algorithm"),
        pytest.param(56, struct.pack("<I", 2), id="one algorithm too many"),
        pytest.param(56, struct.pack("<I", 0xFFFF_FFFF), id="most algorithms"),
        pytest.param(60, struct.pack("<HH", 0xB, 32), id="no SHA-384"),
        pytest.param(60, struct.pack("<HH", 0xC, 32), id="short SHA-384"),
        pytest.param(60, struct.pack("<HH", 0x27, 48), id="unknown algorithm"),
        pytest.param(64, b"\x01", id="vendor"),
    ],
)
def test_bad_header(log: EventLog, at: int, bad: bytes) -> None:
    whole = dump_event_log(log)

    malformed(whole[:at] + bad + whole[at + len(bad) :])


@pytest.mark.parametrize("raw", [b"", b"\0", END, bytes(HEADER), END * 20, b"Spec ID Event03\0" * 10], ids=len)
def test_no_header(raw: bytes) -> None:
    malformed(raw)


def test_log_that_the_agent_began() -> None:
    kind, data = aael_event("example.org", "load", "x")
    event = written(4, kind, [(0xC, sha384(data))], data)

    found = parse_event_log(agents_header() + event + END)

    assert found == extend(EMPTY, 4, kind, data)
    assert measured_events(found) == (Measured("example.org", "load", "x"),)


def test_header_with_vendor_information(log: EventLog) -> None:
    whole = bytearray(dump_event_log(log))
    whole[28:32] = struct.pack("<I", 33 + 7)
    whole[64:65] = b"\x07td-shim"

    assert parse_event_log(bytes(whole)) == log


def test_several_algorithms() -> None:
    digests = [(0x4, bytes(20)), (0xB, bytes(32)), (0xC, FOREIGN), (0xD, bytes(64)), (0x12, bytes(32))]
    header = agents_header([(algorithm, len(digest)) for algorithm, digest in digests])

    found = parse_event_log(header + written(1, 5, digests, b"x") + written(2, 5, digests[2:3], b"y") + END)

    assert found == EventLog((Event(0, 1, 5, FOREIGN, b"x"), Event(1, 2, 5, FOREIGN, b"y")))


@pytest.mark.parametrize(
    "digests",
    [
        pytest.param([], id="none"),
        pytest.param([(0xB, bytes(32))], id="another only"),
        pytest.param([(0xC, FOREIGN), (0xC, FOREIGN)], id="twice"),
        pytest.param([(0xC, FOREIGN), (0xB, bytes(32)), (0xB, bytes(32))], id="another twice"),
        pytest.param([(0xC, FOREIGN), (0xD, bytes(64))], id="not in the header"),
        pytest.param([(0xC, FOREIGN), (0x99, bytes(48))], id="unknown"),
    ],
)
def test_bad_digests(digests: list[tuple[int, bytes]]) -> None:
    malformed(agents_header() + written(1, 5, digests, b"x") + END)


@pytest.mark.parametrize(
    "algorithms",
    [
        pytest.param([], id="none"),
        pytest.param([(0xC, 48), (0xC, 48)], id="twice"),
        pytest.param([(0xC, 48), (0x99, 48)], id="unknown"),
        pytest.param([(0xB, 32)], id="without SHA-384"),
        pytest.param([(0xB, 48), (0xC, 48)], id="other size"),
    ],
)
def test_bad_algorithms(algorithms: list[tuple[int, int]]) -> None:
    malformed(agents_header(algorithms) + END)


@pytest.mark.parametrize("register", [5, 0xFF, 0xFFFF_FFFF])
def test_register_beyond_the_last(register: int) -> None:
    malformed(agents_header() + written(register, 5, [(0xC, FOREIGN)], b"") + END)


def test_largest_log() -> None:
    header = agents_header()
    full = header + END + b"\xff" * (MAX_BYTES - len(header) - 8)

    assert parse_event_log(full) == EMPTY
    malformed(full + b"\xff")


def test_most_events() -> None:
    header, event = agents_header(), written(1, 5, [(0xC, FOREIGN)], b"")

    assert len(parse_event_log(header + event * MAX_EVENTS + END).events) == MAX_EVENTS
    assert str(MAX_EVENTS) in malformed(header + event * (MAX_EVENTS + 1) + END)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(Event(1, 1, 5, FOREIGN, b""), id="index"),
        pytest.param(Event(0, 5, 5, FOREIGN, b""), id="register"),
        pytest.param(Event(0, -1, 5, FOREIGN, b""), id="negative register"),
        pytest.param(Event(0, 1, 1 << 32, FOREIGN, b""), id="type"),
        pytest.param(Event(0, 1, 5, FOREIGN[1:], b""), id="short digest"),
        pytest.param(Event(0, 1, 5, FOREIGN + b"\0", b""), id="long digest"),
        pytest.param(Event(0, 0, 0, FOREIGN, b""), id="would end the log"),
        pytest.param(Event(0, 1, 5, FOREIGN, bytes(MAX_BYTES)), id="data"),
    ],
)
def test_events_that_cannot_be_written(event: Event) -> None:
    with pytest.raises(InputError):
        dump_event_log(EventLog((event,)))


@given(EVENTS)
def test_round_trip(log: EventLog) -> None:
    assert parse_event_log(dump_event_log(log)) == log


def read_or_refused(raw: bytes) -> None:
    """Check that bytes are refused as malformed, or read as something that can be written and read again."""
    try:
        found = parse_event_log(raw)
    except Rejected:
        malformed(raw)
    else:
        assert parse_event_log(dump_event_log(found)) == found


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for raw in (junk, agents_header() + junk, agents_header() + junk + END):
        read_or_refused(raw)


@given(EVENTS, st.data())
def test_any_damage_is_read_or_refused(log: EventLog, data: st.DataObject) -> None:
    raw = bytearray(dump_event_log(log))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))

    read_or_refused(bytes(raw))
