"""Envelopes: what is signed, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.codes import Code
from atlas.errors import InputError
from atlas.interop.dsse import IN_TOTO, pae, parse_envelope, sign_envelope, verify_envelope
from unit.interop.interop_support import KEY
from unit.log.log_support import assert_rejected

ENVELOPE = sign_envelope(b'{"a": 1}', KEY)


def test_encoding_is_that_of_the_specification() -> None:
    """The example of protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_are_of_bytes() -> None:
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_what_is_signed_verifies(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    envelope = parse_envelope(sign_envelope(b"payload", key).to_json())
    assert envelope.payload_type == IN_TOTO
    assert verify_envelope(envelope, key.public_key()) == b"payload"


@pytest.mark.parametrize(
    "forged",
    [
        replace(ENVELOPE, payload=b'{"a": 2}'),
        replace(ENVELOPE, payload_type="text/plain"),
        replace(ENVELOPE, signature=ENVELOPE.signature[:-1] + bytes([ENVELOPE.signature[-1] ^ 1])),
        replace(ENVELOPE, signature=b"no signature"),
    ],
)
def test_what_was_changed_does_not_verify(forged: Any) -> None:
    assert_rejected(Code.ENVELOPE_SIGNATURE_INVALID, lambda: verify_envelope(forged, KEY.public_key()))


def test_another_key_does_not_verify() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert_rejected(Code.ENVELOPE_SIGNATURE_INVALID, lambda: verify_envelope(ENVELOPE, other))


def test_curve_that_logs_do_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="P-256, P-384 or P-521"):
        sign_envelope(b"payload", ec.generate_private_key(ec.SECP256K1()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signatures": []}, "0 signatures"),
        ({"signatures": ENVELOPE.to_json()["signatures"] * 2}, "2 signatures"),
        ({"signatures": "sig"}, "not an envelope"),
        ({"signatures": [{"keyid": ""}]}, "without 'sig'"),
        ({"payload": "eyJhIjogMX0"}, "padding"),
        ({"payload": None}, "without 'payload'"),
        ({"payloadType": 1}, "not an envelope"),
        ({"more": 1}, "unknown member"),
    ],
)
def test_what_is_no_envelope(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_envelope({**ENVELOPE.to_json(), **change})
