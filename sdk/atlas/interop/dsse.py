"""Signed envelopes of one ECDSA signature: DSSE v1.0.2 (secure-systems-lab/dsse, protocol.md and envelope.md)."""

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.encoding import fields, from_base64, to_base64
from atlas.log.entry import algorithm_of

IN_TOTO = "application/vnd.in-toto+json"
"""Payload type of an in-toto statement."""


@dataclass(frozen=True)
class Envelope:
    """A payload and one signature over it, not yet verified.

    Attributes:
        payload: what is signed.
        payload_type: how it is to be read; signed too.
        signature: ECDSA, DER.
    """

    payload: bytes
    payload_type: str
    signature: bytes

    @property
    def pae(self) -> bytes:
        """The bytes that the signature is over."""
        return pae(self.payload_type, self.payload)

    def to_json(self) -> dict[str, Any]:
        """The document that `parse_envelope` reads."""
        return {
            "payload": to_base64(self.payload),
            "payloadType": self.payload_type,
            "signatures": [{"sig": to_base64(self.signature), "keyid": ""}],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_envelope(payload: bytes, key: ec.EllipticCurvePrivateKey, payload_type: str = IN_TOTO) -> Envelope:
    """Sign a payload, with the hash that goes with the key's curve.

    Raises:
        InputError: if the key is on another curve than P-256, P-384 or P-521.
    """
    algorithm = algorithm_of(key.public_key())
    return Envelope(payload, payload_type, key.sign(pae(payload_type, payload), ec.ECDSA(algorithm.hash)))


def parse_envelope(document: object) -> Envelope:
    """Read an envelope (JSON) of exactly one signature.

    Raises:
        ValueError: if it is not one.
    """
    outer = fields(document, ["payload", "payloadType", "signatures"])
    if not isinstance(outer["payloadType"], str) or not isinstance(outer["signatures"], list):
        raise ValueError("not an envelope")
    if len(outer["signatures"]) != 1:
        raise ValueError(f"an envelope with {len(outer['signatures'])} signatures instead of one")
    signature = fields(outer["signatures"][0], ["sig"], ["keyid"])
    outer["payloadType"].encode()
    return Envelope(from_base64(outer["payload"]), outer["payloadType"], from_base64(signature["sig"]))


def verify_envelope(envelope: Envelope, key: ec.EllipticCurvePublicKey) -> bytes:
    """Verify the signature; returns the payload.

    Raises:
        Rejected: ENVELOPE_SIGNATURE_INVALID.
        InputError: if the key is on another curve than P-256, P-384 or P-521.
    """
    try:
        key.verify(envelope.signature, envelope.pae, ec.ECDSA(algorithm_of(key).hash))
    except InvalidSignature:
        raise Rejected(Code.ENVELOPE_SIGNATURE_INVALID) from None
    return envelope.payload
