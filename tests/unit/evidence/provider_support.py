"""What tests of providers share."""

import base64
import hashlib

import pytest

from atlas.errors import EvidenceError, StateError
from atlas.evidence.providers import Attestation, Provider
from atlas.evidence.simulator.agent import UnsafeSimulatedAgentFault
from atlas.evidence.simulator.platform import USER_DATA
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.simulator.tsm import UnsafeSimulatedTsmFault
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.replay import check_replay

DIGEST = hashlib.sha384(b"one step").digest()
DATA = base64.urlsafe_b64encode(DIGEST)
RAW = bytes(range(64))
"""Report data that are no text."""
Tsm, Agent = UnsafeSimulatedTsmFault, UnsafeSimulatedAgentFault
TD = UnsafeSimulatedTd(mr_config_id=b"c" * 48)


def why(provider: Provider, report_data: bytes = DATA) -> str:
    """What the provider says that it could not do; always with something to do about it."""
    with pytest.raises(EvidenceError) as caught:
        provider.attest(report_data)
    assert isinstance(caught.value, StateError)
    assert caught.value.mend
    return str(caught.value)


def holds(given: Attestation, report_data: bytes, td: UnsafeSimulatedTd = TD) -> None:
    quote = parse_quote(given.quote)
    assert quote.report.report_data == report_data
    assert quote.report.mr_config_id == td.mr_config_id
    assert quote.user_data == USER_DATA
    assert given.event_log is not None
    check_replay(parse_event_log(given.event_log), quote.report.rtmrs)
