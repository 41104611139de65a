"""Anchors: checkpoints of the home's own log that another log has recorded.

Who runs a log alone can rewrite it alone, and nobody who had not seen it before could tell. An anchor is a checkpoint
that somebody else keeps: what the log holds must for ever begin with what was anchored. The other log learns nothing
but the log's name, and how it grows.

The entry is a `hashedrekord` over the checkpoint's bytes. It is signed with a key of the home that is kept for this
(ECDSA P-256, `anchor.key`), because Rekor v2 takes no Ed25519, under which checkpoints themselves are signed.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from atlas.codes import Code
from atlas.document import Strict, read_document
from atlas.errors import InputError, Rejected, StateError
from atlas.home import Home
from atlas.lineage.standing import check_log
from atlas.log import (
    Algorithm,
    Checkpoint,
    EmbeddedLog,
    Entry,
    Logged,
    Receipt,
    open_checkpoint,
    parse_receipt,
    verify_consistency,
    verify_receipt,
)
from atlas.log.checkpoint import peek_checkpoint
from atlas.log.client import record_one
from atlas.log.encoding import from_base64, to_base64
from atlas.log.interface import TransparencyLog
from atlas.spki import dump_spki
from atlas.trust import TrustRoot

_FILES = "anchor-*.json"


class _Document(Strict):
    checkpoint: str
    public_key: str = Field(alias="publicKey")
    signature: str
    receipt: dict[str, Any]


@dataclass(frozen=True)
class Anchor:
    """An anchor, not yet verified.

    Attributes:
        checkpoint: of the home's own log, a signed note.
        entry: what the other log was asked to record.
        receipt: its answer.
    """

    checkpoint: str
    entry: Entry
    receipt: Receipt


@dataclass(frozen=True)
class Anchored:
    """What a verified anchor proves: that the log had `checkpoint`, and by when if the other log says so."""

    checkpoint: Checkpoint
    logged: Logged


def anchor(home: Home, own: EmbeddedLog, other: TransparencyLog) -> Anchor:
    """Have another log record the newest checkpoint of the home's own; one that it holds already is not sent again.

    Raises:
        InputError: if the own log is empty, or the other one refuses the entry.
        FetchError: if the other log cannot be reached, or takes too long.
        Rejected: if what it answers does not hold.
        StorageError: if the anchor cannot be kept.
    """
    note = own.checkpoint()
    if note is None:
        raise InputError("the log is empty", mend="run a pipeline or sign an artifact first")
    for each in read_anchors(home):
        if each.checkpoint == note and each.receipt.log_id == other.pinned.key_id:
            return each
    key = home.anchor_key()
    signature = key.sign(note.encode(), ec.ECDSA(hashes.SHA256()))
    public_key = dump_spki(key.public_key())
    entry = _entry(note, signature, public_key)
    receipt = record_one(other, entry)
    document = {
        "checkpoint": note,
        "publicKey": to_base64(public_key),
        "signature": to_base64(signature),
        "receipt": receipt.to_json(),
    }
    size = open_checkpoint(note, own.pinned).size
    mine = hashlib.sha256(own.pinned.origin.encode()).hexdigest()[:8]  # a log that followed may have the same size
    name = f"anchor-{size:012d}-{mine}-{receipt.log_id.hex()[:16]}.json"
    home.write(name, json.dumps(document, indent=2).encode() + b"\n")
    return Anchor(note, entry, receipt)


def read_anchors(home: Home) -> list[Anchor]:
    """All anchors that the home keeps, the oldest first.

    Raises:
        StateError: if one of the files is damaged.
    """
    found = []
    for path in sorted(home.path.glob(_FILES)):
        try:
            document = read_document(path, _Document)
            entry = _entry(document.checkpoint, from_base64(document.signature), from_base64(document.public_key))
            found.append(Anchor(document.checkpoint, entry, parse_receipt(json.dumps(document.receipt))))
            peek_checkpoint(document.checkpoint)
            peek_checkpoint(found[-1].receipt.checkpoint)
        except (InputError, Rejected, ValueError) as error:
            raise StateError(
                f"{path}: not an anchor: {error}", mend="restore it from a backup, or remove it"
            ) from error
    return found


def verify_anchor(anchor: Anchor, own: EmbeddedLog, trust: TrustRoot) -> Anchored:
    """Verify that a pinned log recorded this checkpoint, and that today's own log begins with what it promises.

    Raises:
        Rejected: CHECKPOINT_INCONSISTENT if the own log was rewritten; CHECKPOINT_* if the checkpoint is not one of it;
            or as `verify_receipt` and `check_log`.
    """
    then = open_checkpoint(anchor.checkpoint, own.pinned)
    logged = check_log(verify_receipt(anchor.receipt, anchor.entry, trust.logs), trust)
    note = own.checkpoint()
    now = open_checkpoint(note, own.pinned) if note else None
    if now is None or now.size < then.size:
        raise Rejected(
            Code.CHECKPOINT_INCONSISTENT,
            "the log is smaller than it was when it was anchored: its history was rewritten",
            expected=f"{then.size} entries or more",
            found=f"{now.size if now else 0} entries",
        )
    path = own.consistency(then.size, now.size)
    verify_consistency(then.size, now.size, then.root, now.root, path)
    return Anchored(then, logged)


def _entry(note: str, signature: bytes, public_key: bytes) -> Entry:
    digest = hashlib.sha256(note.encode()).digest()
    return Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, public_key=public_key)
