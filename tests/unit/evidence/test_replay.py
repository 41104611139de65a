"""Event logs held against a quote's registers and against each other: each edit is found, and named where it can be."""

import random
from collections.abc import Sequence
from dataclasses import replace as altered

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.evidence.tdx import replay as replaying
from atlas.evidence.tdx.aael import EV_EVENT_TAG, aael_event
from atlas.evidence.tdx.eventlog import (
    EV_NO_ACTION,
    Event,
    EventLog,
    parse_event_log,
    sha384,
)
from atlas.evidence.tdx.replay import MAX_EXTENSIONS, MAX_SEARCHED, check_replay, differences, replay
from support.eventlogs import dump_event_log, extend
from unit.evidence.eventlog_support import EMPTY, EVENTS, FOREIGN, numbered, refused

CHECKABLE = (2, 6, 7, 14, 16, 21, 41, 42)  # events whose digest is that of their data
OTHERS = (0, 1, 8, 13, 17, 18, 22, 32, 40)


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


def test_real_log_leads_to_its_quote(log: EventLog, rtmrs: list[bytes]) -> None:
    assert len(log.events) == 43
    assert replay(log) == tuple(rtmrs)
    assert all(any(each) for each in rtmrs[:3]), "the quote says something of these"
    assert not any(rtmrs[3])
    check_replay(log, rtmrs)


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


@given(EVENTS, st.randoms(use_true_random=False))
def test_every_edit_is_a_difference(log: EventLog, chance: random.Random) -> None:
    events = list(log.events)
    chance.shuffle(events)
    edited = numbered(events[: chance.randint(0, len(events))])

    assert bool(differences(log, edited)) is (edited != log)
    assert differences(log, log) == []
