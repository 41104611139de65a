"""Witnesses: others who saw a checkpoint and found it consistent with what they saw before (C2SP tlog-cosignature v1).

A log can show two histories to two readers, but not to the witnesses. Logs publish checkpoints without cosignatures as
well, so the quorum is for who verifies to demand.
"""

import datetime as dt
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import InvalidSignature

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.checkpoint import KEY_HASH_SIZE, split_note
from atlas.trust import PinnedLog, Witness

_TIME_SIZE = 8
_SIZE = _TIME_SIZE + 64
_CACHED = 256


@dataclass(frozen=True)
class Cosignature:
    """What a pinned witness says: that it saw the checkpoint at that time."""

    witness: str
    time: dt.datetime


def cosignatures(envelope: str, witnesses: tuple[Witness, ...]) -> tuple[Cosignature, ...]:
    """The verified cosignatures of pinned witnesses on a checkpoint, in the order of their times.

    Cosignatures of others are ignored, as C2SP signed-note demands.

    Raises:
        Rejected: CHECKPOINT_MALFORMED; or COSIGNATURE_INVALID if one of a pinned witness does not verify.
    """
    return _verified(_Question(envelope, tuple(each.verifier_key for each in witnesses), witnesses))


def witnessed(envelope: str, log: PinnedLog) -> dt.datetime | None:
    """By when as many witnesses as the trust root demands for this log had seen a checkpoint.

    Returns:
        None if the trust root demands none.

    Raises:
        Rejected: as `cosignatures`; or WITNESS_QUORUM_MISSED if they are fewer.
    """
    if not log.quorum:
        return None
    found = cosignatures(envelope, log.witnesses)
    if len(found) < log.quorum:
        raise Rejected(
            Code.WITNESS_QUORUM_MISSED,
            expected=f"{log.quorum} of {', '.join(each.name for each in log.witnesses)}",
            found=", ".join(each.witness for each in found) or "none",
        )
    return found[log.quorum - 1].time


@dataclass(frozen=True)
class _Question:
    """What the answer depends on, hashable (public keys are not)."""

    envelope: str
    keys: tuple[str, ...]
    witnesses: tuple[Witness, ...] = field(compare=False)


@lru_cache(_CACHED)
def _verified(question: _Question) -> tuple[Cosignature, ...]:
    text, signatures = split_note(question.envelope)
    found = []
    for witness in question.witnesses:
        own = [
            value for name, key, value in signatures if (name, key) == (witness.name, witness.key_id[:KEY_HASH_SIZE])
        ]
        if own:
            found.append(Cosignature(witness.name, _time(own[0], text, witness)))
    return tuple(sorted(found, key=lambda each: each.time))


def _time(signature: bytes, text: str, witness: Witness) -> dt.datetime:
    seconds = int.from_bytes(signature[:_TIME_SIZE], "big")
    try:
        if len(signature) != _SIZE:
            raise InvalidSignature
        witness.public_key.verify(signature[_TIME_SIZE:], f"cosignature/v1\ntime {seconds}\n{text}".encode())
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (InvalidSignature, OverflowError, ValueError, OSError) as error:
        raise Rejected(Code.COSIGNATURE_INVALID, expected=f"a cosignature of {witness.name}") from error
