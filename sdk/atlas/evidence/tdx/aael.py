"""Events that the guest's agent measures at run time (Confidential Containers, *Attestation Agent Event Log*, AAEL).

The agent extends a register, RTMR3 by default, with the SHA-384 of a tagged event (TCG, *PC Client Platform Firmware
Profile*, section 10 "Event Logging", TCG_PCClientTaggedEvent) and appends that event to the log:

    "LEAA" ‖ size of the text in four bytes, little-endian ‖ text       text = domain SP operation SP content

The first two spaces part the text; the content has no newline. Whatever runs in the pod may ask the agent to measure an
event, so one is the pod's word of the time when it was measured, not the agent's.
"""

from dataclasses import dataclass

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.evidence.tdx.eventlog import Event, EventLog, sha384

EV_EVENT_TAG = 6

_TAG = b"LEAA"
"""The number 0x4141454C, "AAEL" as the agent's authors read it."""
_TEXT = 8
"""Where the text begins."""


@dataclass(frozen=True)
class Measured:
    """An event whose words are those that were measured."""

    domain: str
    operation: str
    content: str


def measured_events(log: EventLog) -> tuple[Measured, ...]:
    """The agent's events, in the order of the log, once `check_replay` accepted the log for all registers.

    What is here was measured. That something was not measured is not to be read from here: whoever hands over a log can
    replace the data of an event, after which it looks like none of the agent's, but cannot make up one that is.

    Raises:
        Rejected: `EventDataMismatch` for one that looks like the agent's but whose data were not measured as such, or
            `EventLogMalformed` for one that was measured but that the agent does not write.
    """
    return tuple(_measured(event) for event in log.events if event.data.startswith(_TAG))


def _measured(event: Event) -> Measured:
    looks = f"{event.name} looks like one of the attestation agent's"
    if event.type != EV_EVENT_TAG or not event.extends:
        raise Rejected(Code.EVENT_DATA_MISMATCH, f"{looks}, but is no tagged event of an RTMR")
    if not event.data_measured:
        raise Rejected(
            Code.EVENT_DATA_MISMATCH,
            f"{looks}, but its data are not what was measured",
            expected=f"data with the digest {event.digest.hex()}",
            found=f"data with the digest {sha384(event.data).hex()}",
        )
    try:
        return _read(event.data)
    except ValueError as error:
        raise Rejected(
            Code.EVENT_LOG_MALFORMED, f"{event.name} is not an event of the attestation agent: {error}"
        ) from error


def _read(data: bytes) -> Measured:
    """Take the data of an event apart.

    Raises:
        ValueError: if they are not what the agent writes.
    """
    if data[len(_TAG) : _TEXT] != (len(data) - _TEXT).to_bytes(4, "little", signed=True):
        raise ValueError("its size is not that of its text")
    parts = data[_TEXT:].decode("utf-8").split(" ", 2)
    if len(parts) != 3 or "\n" in parts[2]:
        raise ValueError("its text is not a domain, an operation and a content on one line")
    return Measured(*parts)


def aael_event(domain: str, operation: str, content: str) -> tuple[int, bytes]:
    """Type and data of the event that the agent writes.

    Raises:
        InputError: if it would not be read back as it was meant.
    """
    wanted = Measured(domain, operation, content)
    try:
        text = f"{domain} {operation} {content}".encode()
        data = _TAG + len(text).to_bytes(4, "little") + text
        same = _read(data) == wanted
    except ValueError:
        same = False
    if not same:
        raise InputError(
            f"{domain!r} {operation!r} cannot be an event of the attestation agent",
            mend="use no space in its domain and operation, and no newline in its content",
        )
    return EV_EVENT_TAG, data
