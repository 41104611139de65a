"""Timestamps by a real authority, and what is none."""

from pathlib import Path

import pytest

from atlas.codes import Code
from atlas.errors import FetchError, Rejected
from atlas.log.timestamp import MAX_TOKEN, request_timestamp, verify_timestamp
from atlas.web import Client, tls
from support.forge import now
from support.tsa import Tsa, served
from unit.log.log_support import assert_rejected

MESSAGE = b"a signature"


@pytest.fixture
def tsa(tmp_path: Path) -> Tsa:
    return Tsa(tmp_path)


def test_a_timestamp(tsa: Tsa, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Tsa(tmp_path / "other").pinned
    time = verify_timestamp(tsa.stamp(MESSAGE), MESSAGE, [other, tsa.pinned])
    assert abs((time - now()).total_seconds()) < 60


def test_what_a_timestamp_must_be(tsa: Tsa, tmp_path: Path) -> None:
    token = tsa.stamp(MESSAGE)
    (tmp_path / "other").mkdir()
    stranger = Tsa(tmp_path / "other")
    for message, authorities in ((b"another", [tsa.pinned]), (MESSAGE, [stranger.pinned]), (MESSAGE, [])):
        assert_rejected(Code.TIMESTAMP_INVALID, lambda: verify_timestamp(token, message, authorities))  # noqa: B023
    for raw in (b"", b"nonsense", token[:-1], bytes(MAX_TOKEN + 1), token[: len(token) // 2]):
        assert_rejected(Code.TIMESTAMP_INVALID, lambda: verify_timestamp(raw, MESSAGE, [tsa.pinned]))  # noqa: B023


def test_every_bit_of_a_timestamp_counts(tsa: Tsa) -> None:
    """A changed token is refused, or says the very same: DER has bytes in it that mean nothing."""
    token = tsa.stamp(MESSAGE)
    time = verify_timestamp(token, MESSAGE, [tsa.pinned])
    refused = 0
    for place in range(0, len(token), 3):
        changed = bytes([*token[:place], token[place] ^ 1, *token[place + 1 :]])
        try:
            found = verify_timestamp(changed, MESSAGE, [tsa.pinned])
        except Rejected as rejected:
            refused += rejected.code is Code.TIMESTAMP_INVALID
        else:
            assert found == time, place
    assert refused > len(token) // 3 * 0.9


def test_an_authority_is_asked(tsa: Tsa) -> None:
    client = Client(tls(None), 10)
    with served(tsa) as url:
        verify_timestamp(request_timestamp(client, url, MESSAGE), MESSAGE, [tsa.pinned])
    with pytest.raises(FetchError, match="Connection refused"):
        request_timestamp(client, url, MESSAGE)
