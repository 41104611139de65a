"""The promise of a Rekor v1 log: its signature on an entry, its index and the time (signed entry timestamp).

The time is the log's own word. It is believed as far as the log is: the trust root pins its key, and may say when that
key was in use.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.encoding import fields, from_base64, to_base64, to_integer
from atlas.trust import PinnedLog

_MAX_TIME = 253402300799  # seconds; the end of the year 9999


@dataclass(frozen=True)
class Promise:
    """A promise, not yet verified.

    Attributes:
        time: seconds since 1970, at which the log took the entry.
        signature: the log's, ECDSA in DER.
    """

    time: int
    signature: bytes


def read_promise(entry: Mapping[str, Any], *, given: bool) -> Promise | None:
    """Read promise and time of a `TransparencyLogEntry`.

    Args:
        entry: its members.
        given: whether it must have them (Rekor v1), or must not (Rekor v2).

    Raises:
        ValueError: if not.
    """
    if not given:
        if "inclusionPromise" in entry:
            raise ValueError("with an inclusion promise, which Rekor v2 does not give")
        if entry.get("integratedTime", "0") != "0":
            raise ValueError("with a time, which Rekor v2 does not state")
        return None
    if "inclusionPromise" not in entry or "integratedTime" not in entry:
        raise ValueError("without the promise and the time that Rekor v1 gives")
    time = to_integer(entry["integratedTime"])
    if not 0 < time <= _MAX_TIME:
        raise ValueError("with a time that is none")
    signature = fields(entry["inclusionPromise"], ["signedEntryTimestamp"])["signedEntryTimestamp"]
    return Promise(time, from_base64(signature))


def signed_bytes(time: int, body: bytes, index: int, log: PinnedLog) -> bytes:
    """What a promise signs: canonical JSON (RFC 8785) of entry, time, key id and index."""
    document = {"body": to_base64(body), "integratedTime": time, "logID": log.key_id.hex(), "logIndex": index}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def verify_promise(promise: Promise, body: bytes, index: int, log: PinnedLog) -> dt.datetime:
    """Verify a promise under a pinned Rekor v1 log's key.

    Args:
        promise: the promise.
        body: the entry as the log hashed it.
        index: the entry's index in the whole log.
        log: whose promise it is.

    Returns:
        The time at which the log took the entry.

    Raises:
        Rejected: RECEIPT_PROMISE_INVALID, or RECEIPT_OUTSIDE_VALIDITY if the log's key was not in use then.
    """
    assert isinstance(log.public_key, ec.EllipticCurvePublicKey)  # as every pinned log of Rekor v1
    message = signed_bytes(promise.time, body, index, log)
    try:
        log.public_key.verify(promise.signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Rejected(Code.RECEIPT_PROMISE_INVALID) from error
    time = dt.datetime.fromtimestamp(promise.time, dt.UTC)
    if (log.valid_from and time < log.valid_from) or (log.valid_until and time > log.valid_until):
        raise Rejected(
            Code.RECEIPT_OUTSIDE_VALIDITY,
            expected=f"from {log.valid_from or 'the beginning'} until {log.valid_until or 'now'}",
            found=str(time),
        )
    return time
