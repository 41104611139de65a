import base64
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace as altered
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.evidence.tdx import replay as replaying
from atlas.evidence.tdx.aael import EV_EVENT_TAG, Measured, aael_event, measured_events
from atlas.evidence.tdx.eventlog import (
    EV_NO_ACTION,
    MAX_BYTES,
    MAX_EVENTS,
    REGISTERS,
    Event,
    EventLog,
    dump_event_log,
    extend,
    parse_event_log,
    sha384,
)
from atlas.evidence.tdx.replay import MAX_EXTENSIONS, MAX_SEARCHED, check_replay, differences, replay

HEADER = 65
"""Bytes of a header for one algorithm."""
END = b"\xff" * 8
FOREIGN = sha384(b"of no event")
EMPTY = EventLog(())


@pytest.fixture(scope="module")
def raw(real_data: Path) -> bytes:
    """The log of a machine of Google Cloud, as its firmware's table holds it."""
    return (real_data / "tdx" / "go-tdx-guest" / "ccel_data.dat").read_bytes()


@pytest.fixture(scope="module")
def log(raw: bytes) -> EventLog:
    return parse_event_log(raw)


@pytest.fixture(scope="module")
def rtmrs(real_data: Path) -> list[bytes]:
    """Of that machine's quote."""
    body = (real_data / "tdx" / "go-tdx-guest" / "cos-113-tdx-quote.dat").read_bytes()[48:632]
    return [body[328 + 48 * each :][:48] for each in range(4)]


@pytest.fixture(scope="module")
def sample(real_data: Path) -> bytes:
    """The log of a machine of Alibaba Cloud, to which an agent appended two events."""
    return (real_data / "tdx" / "trustee" / "CCEL_AAEL_alibabacloud").read_bytes()


@pytest.fixture(scope="module")
def described(real_data: Path) -> list[dict[str, Any]]:
    """What the verifier of Confidential Containers reads in that log."""
    path = real_data / "tdx" / "trustee" / "CCEL_AAEL_alibabacloud_out.json"
    events: list[dict[str, Any]] = json.loads(path.read_text())["uefi_event_logs"]
    return events


def numbered(events: Sequence[Event]) -> EventLog:
    return EventLog(tuple(altered(event, index=at) for at, event in enumerate(events)))


def refused(code: Code, action: Callable[[], object]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        action()
    assert caught.value.code is code
    return caught.value


def malformed(raw: bytes) -> str:
    return str(refused(Code.EVENT_LOG_MALFORMED, lambda: parse_event_log(raw)))


def mismatch(log: EventLog, rtmrs: Sequence[bytes], *registers: int) -> str:
    """Check that exactly these registers are refused, with both values; return which edit is blamed."""
    error = refused(Code.EVENT_LOG_MISMATCH, lambda: check_replay(log, rtmrs))
    replayed = replay(log)
    assert error.expected == ", ".join(f"RTMR{each} {rtmrs[each].hex()}" for each in registers)
    assert error.found == ", ".join(f"RTMR{each} {replayed[each].hex()}" for each in registers)
    names = " and ".join(f"RTMR{each}" for each in registers)
    start = f"the event log does not lead to {names} of the quote"
    assert str(error).startswith(start)
    return str(error).removeprefix(start).removeprefix("; ")


def agents_header(algorithms: Sequence[tuple[int, int]] = ((0xB, 32), (0xC, 48), (0x12, 32))) -> bytes:
    """What the agent writes where there is no log of the firmware."""
    spec = bytes(24) + struct.pack("<I", len(algorithms)) + b"".join(struct.pack("<HH", *each) for each in algorithms)
    return struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(spec) + 1) + spec + b"\0"


def written(register: int, kind: int, digests: Sequence[tuple[int, bytes]], data: bytes) -> bytes:
    listed = b"".join(struct.pack("<H", algorithm) + digest for algorithm, digest in digests)
    return struct.pack("<III", register, kind, len(digests)) + listed + struct.pack("<I", len(data)) + data


# Real logs.


def test_real_log_leads_to_its_quote(log: EventLog, rtmrs: list[bytes]) -> None:
    assert len(log.events) == 43
    assert replay(log) == tuple(rtmrs)
    assert all(any(each) for each in rtmrs[:3]), "the quote says something of these"
    assert not any(rtmrs[3])
    check_replay(log, rtmrs)


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


def test_sample_s_measured_events(sample: bytes, described: list[dict[str, Any]]) -> None:
    found = measured_events(parse_event_log(sample))

    wanted = [each["details"] for each in described if each["details"].get("unicode_name") == "AAEL"]
    assert [f"{each.domain} {each.operation} {each.content}" for each in found] == [each["string"] for each in wanted]
    assert found[0] == Measured("coco.com", "some-operation", "some-content")
    assert json.loads(found[1].content) == wanted[1]["data"]["content"]
    assert {key: wanted[1]["data"][key] for key in ("domain", "operation")} == {
        "domain": found[1].domain,
        "operation": found[1].operation,
    }


def test_sample_can_be_written_anew(sample: bytes) -> None:
    log = parse_event_log(sample)
    boot = EventLog(log.events[:85])

    anew = extend(boot, 4, *aael_event("coco.com", "some-operation", "some-content"))
    anew = extend(anew, 4, *aael_event("coco.com", "some-operation", measured_events(log)[1].content))

    assert anew == log
    assert replay(boot)[3] == bytes(48)
    assert replay(anew)[3] == sha384(sha384(bytes(48) + log.events[85].digest) + log.events[86].digest)


# Changed, dropped, added, reordered.

CHECKABLE = (2, 6, 7, 14, 16, 21, 41, 42)  # events whose digest is that of their data
OTHERS = (0, 1, 8, 13, 17, 18, 22, 32, 40)


@pytest.mark.parametrize("at", CHECKABLE + OTHERS)
def test_changed_digest(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    event = log.events[at]
    changed = altered(event, digest=FOREIGN)
    edited = numbered([*log.events[:at], changed, *log.events[at + 1 :]])

    blamed = mismatch(edited, rtmrs, event.register - 1)

    expected = f"{event.name} was changed: its digest is not that of its data" if at in CHECKABLE else ""
    assert blamed == expected
    assert differences(log, edited) == [f"{event.name} was changed: its digest"]


@pytest.mark.parametrize("at", CHECKABLE + OTHERS)
def test_changed_data(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    event = log.events[at]
    edited = numbered([*log.events[:at], altered(event, data=event.data + b"!"), *log.events[at + 1 :]])

    check_replay(edited, rtmrs)  # which does not cover data: they have to be asked for
    assert event.data_measured is (at in CHECKABLE)
    assert not edited.events[at].data_measured
    assert differences(log, edited) == [f"{event.name} was changed: its data"]


@pytest.mark.parametrize("at", CHECKABLE + OTHERS)
def test_dropped_event(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    event = log.events[at]
    edited = numbered([*log.events[:at], *log.events[at + 1 :]])

    assert mismatch(edited, rtmrs, event.register - 1) == ""
    assert differences(log, edited) == [f"{event.name} of the known-good log was dropped"]


@pytest.mark.parametrize("register", [1, 2, 3, 4])
@pytest.mark.parametrize("at", [0, 1, 9, 17, 30, 42, 43])
def test_added_event(log: EventLog, rtmrs: list[bytes], at: int, register: int) -> None:
    added = Event(at, register, EV_EVENT_TAG, FOREIGN, b"anything")
    edited = numbered([*log.events[:at], added, *log.events[at:]])

    assert mismatch(edited, rtmrs, register - 1) == f"{added.name} was added"
    assert differences(log, edited) == [f"{added.name} was added"]


@pytest.mark.parametrize("at", [0, 9, 17, 30, 42])
def test_repeated_event(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    edited = numbered([*log.events[: at + 1], *log.events[at:]])

    twins = edited.events[at : at + 2]  # which of the two is one too many, nobody can tell
    assert mismatch(edited, rtmrs, twins[0].register - 1) in {f"{each.name} was added" for each in twins}
    (words,) = differences(log, edited)
    assert words in {f"{each.name} was added" for each in twins}


@pytest.mark.parametrize(
    ("one", "two"), [(0, 1), (0, 21), (8, 9), (10, 13), (14, 42), (15, 16), (17, 23), (24, 25), (24, 40), (39, 40)]
)
def test_swapped_events(log: EventLog, rtmrs: list[bytes], one: int, two: int) -> None:
    events = list(log.events)
    events[one], events[two] = events[two], events[one]
    edited = numbered(events)

    names = [edited.events[each].name for each in (one, two)]
    blamed = mismatch(edited, rtmrs, events[one].register - 1)
    assert blamed == f"{names[0]} and {names[1]} were reordered: they belong the other way round"
    said = differences(log, edited)
    possible = {
        f"{names[0]} was reordered: it is event {two} of the known-good log",
        f"{names[1]} was reordered: it is event {one} of the known-good log",
    }
    assert said
    assert set(said) == possible or (two == one + 1 and set(said) < possible)


@pytest.mark.parametrize(
    ("start", "to"), [(0, 13), (13, 0), (14, 23), (41, 15), (24, 40), (40, 24), (22, 25), (25, 22)]
)
def test_moved_event(log: EventLog, rtmrs: list[bytes], start: int, to: int) -> None:
    events = list(log.events)
    event = events.pop(start)
    events.insert(to, event)
    edited = numbered(events)
    moved = edited.events[to]
    beside = [each for each in edited.events if each.register == event.register and min(start, to) <= each.index]
    beside = [each for each in beside if each.index <= max(start, to) and each is not moved]

    blamed = mismatch(edited, rtmrs, event.register - 1)

    other = f"after {beside[-1].name}" if start > to else f"before {beside[0].name}"
    assert blamed == f"{moved.name} was reordered: it belongs {other}"
    assert differences(log, edited) == [
        f"{moved.name} was reordered: it is event {start} of the known-good log",
    ]


@pytest.mark.parametrize(
    "at", [pytest.param(18, id="equal digests"), pytest.param(19, id="registers"), pytest.param(40, id="registers too")]
)
def test_order_that_is_seen_by_comparison_only(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    events = list(log.events)
    assert events[at].register != events[at + 1].register or events[at].digest == events[at + 1].digest
    events[at], events[at + 1] = events[at + 1], events[at]
    edited = numbered(events)

    check_replay(edited, rtmrs)
    (words,) = differences(log, edited)
    assert words in {
        f"{edited.events[at].name} was reordered: it is event {at + 1} of the known-good log",
        f"{edited.events[at + 1].name} was reordered: it is event {at} of the known-good log",
    }


@pytest.mark.parametrize(("at", "register"), [(0, 2), (18, 4), (41, 1)])
def test_event_of_another_register(log: EventLog, rtmrs: list[bytes], at: int, register: int) -> None:
    events = list(log.events)
    events[at] = altered(events[at], register=register)
    edited = EventLog(tuple(events))

    blamed = mismatch(edited, rtmrs, *sorted((log.events[at].register - 1, register - 1)))

    assert blamed == f"{events[at].name} was added"
    assert differences(log, edited) == [f"{events[at].name} was changed: its register"]


@pytest.mark.parametrize(("at", "kind"), [(0, 0xD), (14, 0x1234_5678), (40, 5)])
def test_type_is_seen_by_comparison_only(log: EventLog, rtmrs: list[bytes], at: int, kind: int) -> None:
    edited = numbered([*log.events[:at], altered(log.events[at], type=kind), *log.events[at + 1 :]])

    check_replay(edited, rtmrs)
    assert differences(log, edited) == [f"{edited.events[at].name} was changed: its type"]


@pytest.mark.parametrize("at", [0, 17, 40])
def test_no_action_extends_nothing(log: EventLog, rtmrs: list[bytes], at: int) -> None:
    silent = Event(at, 3, EV_NO_ACTION, FOREIGN, b"StartupLocality")
    with_it = numbered([*log.events[:at], silent, *log.events[at:]])
    hidden = numbered([*log.events[:at], altered(log.events[at], type=EV_NO_ACTION), *log.events[at + 1 :]])

    check_replay(with_it, rtmrs)
    assert parse_event_log(dump_event_log(with_it)) == with_it
    assert differences(log, with_it) == [f"{silent.name} was added"]
    assert mismatch(hidden, rtmrs, log.events[at].register - 1) == ""


def test_event_of_mrtd_extends_nothing(log: EventLog, rtmrs: list[bytes]) -> None:
    edited = extend(log, 0, 5, b"never extended")

    check_replay(edited, rtmrs)
    assert not edited.events[-1].data_measured
    assert differences(log, edited) == ["event 43 (EV_ACTION, MRTD) was added"]


def test_several_differences_in_the_order_of_the_log(log: EventLog) -> None:
    events = [each for each in log.events if each.index not in {5, 30, 41}]
    events[10] = altered(events[10], data=b"other", digest=FOREIGN)
    events.insert(20, Event(0, 4, 5, FOREIGN, b""))
    events.insert(35, log.events[41])
    edited = numbered(events)

    assert differences(log, edited) == [
        f"{log.events[5].name} of the known-good log was dropped",
        f"{edited.events[10].name} was changed: its digest and its data",
        f"{edited.events[20].name} was added",
        f"{log.events[30].name} of the known-good log was dropped",
        f"{edited.events[35].name} was reordered: it is event 41 of the known-good log",
    ]


@pytest.mark.parametrize(("register", "kind"), [(4, 5), (1, 5), (4, 0x8000_00E0)])
def test_unlike_events_are_no_change(log: EventLog, register: int, kind: int) -> None:
    other = Event(20, register, kind, FOREIGN, b"")
    edited = numbered([*log.events[:20], other, *log.events[21:]])

    assert differences(log, edited) == [
        f"{log.events[20].name} of the known-good log was dropped",
        f"{other.name} was added",
    ]


def test_no_differences(log: EventLog) -> None:
    assert differences(log, log) == []
    assert differences(EMPTY, EMPTY) == []
    assert len(differences(EMPTY, log)) == len(differences(log, EMPTY)) == 43


@pytest.mark.parametrize("registers", [(0, 1, 2), (0,), (1, 2)])
def test_registers_that_are_not_asked_for(log: EventLog, rtmrs: list[bytes], registers: tuple[int, ...]) -> None:
    edited = extend(log, 4, *aael_event("a", "b", "c"))

    check_replay(edited, rtmrs, registers)
    error = refused(Code.EVENT_LOG_MISMATCH, lambda: check_replay(edited, rtmrs, (*registers, 3)))
    assert "RTMR3" in str(error)


def test_two_registers_are_both_named(log: EventLog, rtmrs: list[bytes]) -> None:
    edited = extend(extend(log, 1, 5, b"one"), 3, 5, b"two")

    blamed = mismatch(edited, rtmrs, 0, 2)

    assert blamed == "event 43 (EV_ACTION, RTMR0) was added; event 44 (EV_ACTION, RTMR2) was added"


@pytest.mark.parametrize(("size", "named"), [(MAX_SEARCHED, True), (MAX_SEARCHED + 1, False)])
def test_search_ends_where_a_register_has_too_many_events(size: int, named: bool) -> None:
    long = EventLog(tuple(Event(at, 4, 5, sha384(bytes([at])), b"") for at in range(size)))
    wanted = [bytes(48)] * 3 + [replay(numbered(long.events[:-1]))[3]]

    assert mismatch(long, wanted, 3) == (f"{long.events[-1].name} was added" if named else "")


def test_search_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    long = EventLog(tuple(Event(at, 4, 5, sha384(bytes([at])), b"") for at in range(MAX_SEARCHED)))
    calls = 0

    def counted(value: bytes, digest: bytes) -> bytes:
        nonlocal calls
        calls += 1
        return sha384(value + digest)

    monkeypatch.setattr(replaying, "_extended", counted)
    refused(Code.EVENT_LOG_MISMATCH, lambda: check_replay(long, [bytes(48)] * 3 + [FOREIGN]))

    assert MAX_EXTENSIONS - MAX_SEARCHED < calls <= MAX_EXTENSIONS + 3 * MAX_SEARCHED


# The form.


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


def with_event(log: EventLog, event: Event) -> EventLog:
    return EventLog((*log.events[: event.index], event, *log.events[event.index + 1 :]))


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


@given(EVENTS)
def test_round_trip(log: EventLog) -> None:
    assert parse_event_log(dump_event_log(log)) == log


@given(EVENTS, st.randoms(use_true_random=False))
def test_every_edit_is_a_difference(log: EventLog, chance: random.Random) -> None:
    events = list(log.events)
    chance.shuffle(events)
    edited = numbered(events[: chance.randint(0, len(events))])

    assert bool(differences(log, edited)) is (edited != log)
    assert differences(log, log) == []


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


# The agent's events.


def test_changed_data_of_an_agent_s_event(sample: bytes) -> None:
    log = parse_event_log(sample)
    event = log.events[85]
    edited = with_event(log, altered(event, data=event.data.replace(b"some-content", b"Some-content")))

    check_replay(edited, replay(log))  # the registers do not tell
    error = refused(Code.EVENT_DATA_MISMATCH, lambda: measured_events(edited))
    assert event.name in str(error)
    assert event.digest.hex() in error.expected
    assert sha384(edited.events[85].data).hex() in error.found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"digest": FOREIGN}, "its data are not what was measured", id="digest"),
        pytest.param({"type": 0xD}, "is no tagged event of an RTMR", id="type"),
        pytest.param({"type": EV_NO_ACTION}, "is no tagged event of an RTMR", id="extends nothing"),
        pytest.param({"register": 0}, "is no tagged event of an RTMR", id="MRTD"),
    ],
)
def test_agent_s_event_that_was_not_measured(sample: bytes, change: dict[str, Any], said: str) -> None:
    log = parse_event_log(sample)
    edited = with_event(log, altered(log.events[86], **change))

    error = refused(Code.EVENT_DATA_MISMATCH, lambda: measured_events(edited))
    assert str(error).startswith(edited.events[86].name)
    assert said in str(error)


@pytest.mark.parametrize("register", [1, 2, 3, 4])
def test_agent_s_events_of_any_rtmr(log: EventLog, register: int) -> None:
    assert measured_events(log) == ()
    assert measured_events(extend(log, register, *aael_event("a", "b", "c d"))) == (Measured("a", "b", "c d"),)


def test_other_tagged_events_are_nobody_s(log: EventLog) -> None:
    loader = bytes.fromhex("ec223b8f0d000000") + b"Linux initrd\0"

    assert measured_events(extend(log, 3, EV_EVENT_TAG, loader)) == ()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"LEAA", id="tag only"),
        pytest.param(b"LEAA\x05\0\0", id="cut size"),
        pytest.param(b"LEAA\0\0\0\0", id="empty"),
        pytest.param(b"LEAA\x06\0\0\0a b c", id="size more"),
        pytest.param(b"LEAA\x04\0\0\0a b c", id="size less"),
        pytest.param(b"LEAA\x03\0\0\0a b", id="one space"),
        pytest.param(b"LEAA\x05\0\0\0a b \xff", id="not UTF-8"),
        pytest.param(b"LEAA\x07\0\0\0a b c\nd", id="newline"),
    ],
)
def test_measured_nonsense(log: EventLog, data: bytes) -> None:
    edited = extend(log, 4, EV_EVENT_TAG, data)

    error = refused(Code.EVENT_LOG_MALFORMED, lambda: measured_events(edited))
    assert edited.events[-1].name in str(error)


WORD = st.text(st.characters(codec="utf-8", exclude_characters=" "), max_size=12)
LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=40)


@given(WORD, WORD, LINE)
def test_round_trip_of_an_agent_s_event(domain: str, operation: str, content: str) -> None:
    log = extend(EMPTY, 4, *aael_event(domain, operation, content))

    assert measured_events(parse_event_log(dump_event_log(log))) == (Measured(domain, operation, content),)


@pytest.mark.parametrize(
    ("domain", "operation", "content"),
    [("a b", "c", "d"), ("a", "b c", "d"), ("a", "b", "c\nd"), ("a", "b", "\ud800"), (" ", "", "")],
)
def test_agent_s_event_that_cannot_be_written(domain: str, operation: str, content: str) -> None:
    with pytest.raises(InputError):
        aael_event(domain, operation, content)
