"""Events that the guest's agent measured: their words count only where they were measured."""

import json
from dataclasses import replace as altered
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import InputError
from atlas.evidence.tdx.aael import EV_EVENT_TAG, Measured, aael_event, measured_events
from atlas.evidence.tdx.eventlog import (
    EV_NO_ACTION,
    EventLog,
    parse_event_log,
    sha384,
)
from atlas.evidence.tdx.replay import check_replay, replay
from support.eventlogs import dump_event_log, extend
from unit.evidence.eventlog_support import EMPTY, FOREIGN, refused, with_event


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
