"""Holding an event log against a quote's registers, and against a known-good log.

A register begins as 48 zeros and is extended with a digest: its new value is the SHA-384 of its old one and the digest
(TCG, *PC Client Platform Firmware Profile*, section 10 "Event Logging"; Intel, *TDX Virtual Firmware Design Guide*, on
the RTMRs). A log that leads to the values in a quote has every digest that was measured, no other, in their order.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import partial, reduce
from operator import itemgetter

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.eventlog import DIGEST_SIZE, REGISTERS, Event, EventLog, sha384

MAX_SEARCHED = 200
"""Events of a register up to which the one edit is looked for that explains a mismatch."""
MAX_EXTENSIONS = 500_000
"""Hashes that are spent on it for one register."""

_PARTS = ("register", "type", "digest", "data")
_ALIKE = 2
"""Likeness from which on an event counts as changed, not as dropped with another in its place."""


def replay(log: EventLog) -> tuple[bytes, bytes, bytes, bytes]:
    """What RTMR0 to RTMR3 hold if the log is true. Events of type `EV_NO_ACTION` and of MRTD extend nothing."""
    values = [bytes(DIGEST_SIZE)] * len(REGISTERS)
    for event in log.events:
        if event.extends:
            values[event.register] = _extended(values[event.register], event.digest)
    return values[1], values[2], values[3], values[4]


def check_replay(log: EventLog, rtmrs: Sequence[bytes], registers: Sequence[int] = (0, 1, 2, 3)) -> None:
    """Hold a log against a quote's RTMR0 to RTMR3; `registers` are numbered as those are, 3 for RTMR3.

    Raises:
        Rejected: `EventLogMismatch`, with the event that was added, changed or reordered if one edit explains it.
    """
    replayed = replay(log)
    wrong = [each for each in registers if replayed[each] != rtmrs[each]]
    if not wrong:
        return
    message = f"the event log does not lead to {' and '.join(f'RTMR{each}' for each in wrong)} of the quote"
    for each in wrong:
        events = [event for event in log.events if event.extends and event.register == each + 1]
        if edit := _explain(events, rtmrs[each]):
            message += f"; {edit}"
    raise Rejected(
        Code.EVENT_LOG_MISMATCH,
        message,
        expected=", ".join(f"RTMR{each} {rtmrs[each].hex()}" for each in wrong),
        found=", ".join(f"RTMR{each} {replayed[each].hex()}" for each in wrong),
    )


def _extended(value: bytes, digest: bytes) -> bytes:
    return sha384(value + digest)


def _explain(events: list[Event], wanted: bytes) -> str:
    """The one edit, in words, without which a register's events lead to its value; empty if none was found."""
    if len(events) > MAX_SEARCHED:
        return ""
    values = [bytes(DIGEST_SIZE)]
    for event in events:
        values.append(_extended(values[-1], event.digest))
    left = MAX_EXTENSIONS
    for edit, start, digests in _undone(events):
        left -= len(digests)
        if left < 0:
            break
        if reduce(_extended, digests, values[start]) == wanted:
            return edit
    return ""


def _undone(events: list[Event]) -> Iterator[tuple[str, int, list[bytes]]]:
    """Every single edit in words, the first place that it touched, and the digests from there on without it."""
    digests = [event.digest for event in events]
    for at, event in enumerate(events):
        yield f"{event.name} was added", at, digests[at + 1 :]
    for at, event in enumerate(events):
        edit = f"{event.name} was changed: its digest is not that of its data"
        yield edit, at, [sha384(event.data), *digests[at + 1 :]]
    # The effort is bounded, and an event is likelier to have been moved a little than far.
    for distance in range(1, len(events)):
        for at, (one, two) in enumerate(zip(events, events[distance:], strict=False)):
            between, rest = digests[at + 1 : at + distance], digests[at + distance + 1 :]
            edit = f"{one.name} and {two.name} were reordered: they belong the other way round"
            yield edit, at, [two.digest, *between, one.digest, *rest]
            if between:
                edit = f"{one.name} was reordered: it belongs after {two.name}"
                yield edit, at, [*between, two.digest, one.digest, *rest]
                edit = f"{two.name} was reordered: it belongs before {one.name}"
                yield edit, at, [two.digest, one.digest, *between, *rest]


def differences(reference: EventLog, log: EventLog) -> list[str]:
    """Every event that was changed, dropped, added or reordered against a known-good log, in words; empty if none.

    Types, data and the order of events of different registers count too, although a replay does not cover them. An
    event that was dropped is named as in the known-good log, every other one as in the log.
    """
    old, new = ([replace(event, index=at) for at, event in enumerate(each.events)] for each in (reference, log))
    matcher = SequenceMatcher(None, [_parts(each) for each in old], [_parts(each) for each in new], autojunk=False)
    unequal = [each for kind, *each in matcher.get_opcodes() if kind != "equal"]
    twins = _reordered(old, new, unequal)
    settled = set(twins.values())
    found = [
        (at, f"{new[at].name} was reordered: it is event {before} of the known-good log")
        for before, at in twins.items()
    ]
    for start, end, new_start, new_end in unequal:
        come = [event for event in new[new_start:new_end] if event.index not in settled]
        for event in old[start:end]:
            if event.index in twins:
                continue
            twin = max(come, key=partial(_likeness, event), default=None)
            if twin is None or _likeness(event, twin) < _ALIKE:
                found.append((event.index, f"{event.name} of the known-good log was dropped"))
                continue
            come.remove(twin)
            changed = [f"its {each}" for each in _PARTS if getattr(event, each) != getattr(twin, each)]
            found.append((twin.index, f"{twin.name} was changed: {' and '.join(changed)}"))
        found += [(event.index, f"{event.name} was added") for event in come]
    return [words for _, words in sorted(found, key=itemgetter(0))]


def _reordered(old: list[Event], new: list[Event], unequal: list[list[int]]) -> dict[int, int]:
    """Places in the old list, and in the new one, of events that are in both, but not where the rest of them is."""
    arrived: defaultdict[tuple[int, int, bytes, bytes], deque[int]] = defaultdict(deque)
    for _, _, start, end in unequal:
        for event in new[start:end]:
            arrived[_parts(event)].append(event.index)
    return {
        event.index: arrived[_parts(event)].popleft()
        for start, end, _, _ in unequal
        for event in old[start:end]
        if arrived[_parts(event)]
    }


def _parts(event: Event) -> tuple[int, int, bytes, bytes]:
    return event.register, event.type, event.digest, event.data


def _likeness(one: Event, two: Event) -> int:
    """How likely it is that the one became the other; a digest or data in common tell more than register and type."""
    weights = (1, 1, 2, 2)
    return sum(weight for weight, left, right in zip(weights, _parts(one), _parts(two), strict=True) if left == right)
