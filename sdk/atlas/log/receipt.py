"""Receipts: a log's proof that it holds an entry (Sigstore `TransparencyLogEntry`, protobuf-JSON, Rekor v2 and v1).

Nothing in a receipt is believed for its own sake: the log is looked up among the pinned ones, every number is
compared with the signed checkpoint, and the entry is what the verifier computed from the manifest itself. A receipt of
Rekor v1 also holds the log's promise, which states a time; only a log that is pinned as one of that version gives it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.checkpoint import open_checkpoint
from atlas.log.encoding import fields, from_base64, load_json, to_base64, to_integer
from atlas.log.entry import KIND, VERSION, VERSION_1, Entry
from atlas.log.merkle import HASH_SIZE, leaf_hash, root_from_inclusion
from atlas.log.promise import Promise, read_promise, verify_promise
from atlas.log.witness import witnessed
from atlas.trust import PinnedLog

MAX_RECEIPT = 256 * 1024
"""Bytes; the largest entry in base64, and the largest checkpoint."""
MAX_PATH = 64
"""Hashes; a tree of 2^63 entries needs no more."""


@dataclass(frozen=True)
class Receipt:
    """A log's answer, parsed and not yet verified.

    Attributes:
        index: the entry's index as the receipt states it outside of the proof.
        log_id: the 32-byte id of the log's key.
        proof_index: the entry's index as the proof states it.
        tree_size: of the tree that the proof is in.
        root: of that tree.
        path: the sibling hashes, lowest first.
        checkpoint: the signed note for that tree.
        body: the entry as the log hashed it.
        promise: the log's promise; of Rekor v1 always, of Rekor v2 never.
    """

    index: int
    log_id: bytes
    proof_index: int
    tree_size: int
    root: bytes
    path: tuple[bytes, ...]
    checkpoint: str
    body: bytes
    promise: Promise | None = None

    @property
    def rekor(self) -> int:
        """Major version of Rekor that it is of."""
        return 1 if self.promise else 2

    def to_json(self) -> dict[str, Any]:
        """The document that `parse_receipt` reads."""
        document: dict[str, Any] = {
            "canonicalizedBody": to_base64(self.body),
            "inclusionProof": {
                "checkpoint": {"envelope": self.checkpoint},
                "hashes": [to_base64(sibling) for sibling in self.path],
                "logIndex": str(self.proof_index),
                "rootHash": to_base64(self.root),
                "treeSize": str(self.tree_size),
            },
            "kindVersion": {"kind": KIND, "version": VERSION_1 if self.promise else VERSION},
            "logId": {"keyId": to_base64(self.log_id)},
            "logIndex": str(self.index),
        }
        if self.promise:
            document["integratedTime"] = str(self.promise.time)
            document["inclusionPromise"] = {"signedEntryTimestamp": to_base64(self.promise.signature)}
        return document

    def to_bytes(self) -> bytes:
        """The receipt as canonical JSON (RFC 8785)."""
        return rfc8785.dumps(self.to_json())


@dataclass(frozen=True)
class Logged:
    """What a verified receipt proves: that the log `origin` holds the entry at `index`."""

    origin: str
    """As the checkpoint says; of Rekor v1 with the number of the tree, which is a log of its own."""
    index: int
    """In the tree; a Rekor v1 log also counts through all of its trees, which is not this."""
    tree_size: int
    root: bytes
    leaf: bytes
    """Hash of the entry as the log holds it."""
    time: dt.datetime | None = None
    """By when the entry existed, by somebody's word whom the trust root names; None where nobody gave it."""
    time_of_others: dt.datetime | None = None
    """The same without the log's own word, which whoever has its key can give for any time."""


def parse_receipt(data: bytes | str) -> Receipt:
    """Read a receipt; no signature and no proof is verified.

    Raises:
        Rejected: RECEIPT_MALFORMED, or RECEIPT_KIND_UNKNOWN if it is for another kind of entry.
    """
    try:
        return parse_receipt_document(load_json(data, MAX_RECEIPT))
    except ValueError as error:
        raise Rejected(Code.RECEIPT_MALFORMED, f"not a transparency log entry: {error}") from error


def parse_receipt_document(document: object) -> Receipt:
    """Read a receipt from JSON that is parsed already.

    Raises:
        ValueError: if it is none.
        Rejected: RECEIPT_KIND_UNKNOWN if it is for another kind of entry.
    """
    outer = fields(
        document,
        ["logIndex", "logId", "kindVersion", "inclusionProof", "canonicalizedBody"],
        ["integratedTime", "inclusionPromise"],
    )
    # First of all, so that an entry of another kind is called what it is.
    version = _version(fields(outer["kindVersion"], ["kind", "version"]))
    promise = read_promise(outer, given=version == VERSION_1)
    proof = fields(outer["inclusionProof"], ["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"])
    path = proof["hashes"]
    if not isinstance(path, list) or len(path) > MAX_PATH:
        raise ValueError(f"hashes are not a list of at most {MAX_PATH}")
    envelope = fields(proof["checkpoint"], ["envelope"])["envelope"]
    if not isinstance(envelope, str):
        raise ValueError("the checkpoint is not a string")
    envelope.encode()
    return Receipt(
        index=to_integer(outer["logIndex"]),
        log_id=from_base64(fields(outer["logId"], ["keyId"])["keyId"], HASH_SIZE),
        proof_index=to_integer(proof["logIndex"]),
        tree_size=to_integer(proof["treeSize"]),
        root=from_base64(proof["rootHash"], HASH_SIZE),
        path=tuple([from_base64(sibling, HASH_SIZE) for sibling in path]),
        checkpoint=envelope,
        body=from_base64(outer["canonicalizedBody"]),
        promise=promise,
    )


def _version(kind: dict[str, Any]) -> str:
    version = kind["version"]
    if not isinstance(kind["kind"], str) or not isinstance(version, str):
        raise ValueError("kind and version are not strings")
    if kind["kind"] != KIND or version not in (VERSION, VERSION_1):
        raise Rejected(
            Code.RECEIPT_KIND_UNKNOWN,
            expected=f"{KIND} {VERSION} or {VERSION_1}",
            found=f"{kind['kind']} {version}"[:80],
        )
    return version


def verify_receipt(receipt: Receipt, entry: Entry, logs: Sequence[PinnedLog]) -> Logged:
    """Verify that a pinned log holds exactly this entry, offline.

    Args:
        receipt: the log's answer.
        entry: computed from the manifest at hand, not from the receipt.
        logs: the pinned logs.

    Raises:
        Rejected: RECEIPT_LOG_UNKNOWN, CHECKPOINT_*, RECEIPT_TREE_SIZE_MISMATCH, RECEIPT_ROOT_MISMATCH,
            RECEIPT_INDEX_MISMATCH, RECEIPT_ENTRY_MISMATCH, RECEIPT_INCLUSION_INVALID, COSIGNATURE_INVALID or
            WITNESS_QUORUM_MISSED; of Rekor v1 also RECEIPT_PROMISE_INVALID or RECEIPT_OUTSIDE_VALIDITY.
    """
    log = next((each for each in logs if (each.key_id, each.rekor) == (receipt.log_id, receipt.rekor)), None)
    if log is None:
        raise Rejected(
            Code.RECEIPT_LOG_UNKNOWN,
            expected=", ".join(f"{each.origin} (Rekor v{each.rekor})" for each in logs),
            found=f"a log (Rekor v{receipt.rekor}) whose key id is {receipt.log_id.hex()}",
        )
    signed = open_checkpoint(receipt.checkpoint, log)
    if receipt.tree_size != signed.size:
        raise Rejected(Code.RECEIPT_TREE_SIZE_MISMATCH, expected=str(signed.size), found=str(receipt.tree_size))
    if receipt.root != signed.root:
        raise Rejected(Code.RECEIPT_ROOT_MISMATCH, expected=signed.root.hex(), found=receipt.root.hex())
    _check_index(receipt, signed.size)
    body = entry.canonical_body(log.rekor)
    if receipt.body != body:
        raise Rejected(
            Code.RECEIPT_ENTRY_MISMATCH,
            expected=f"an entry with leaf hash {leaf_hash(body).hex()}",
            found=f"an entry with leaf hash {leaf_hash(receipt.body).hex()}",
        )
    leaf = leaf_hash(body)
    root = root_from_inclusion(receipt.proof_index, signed.size, leaf, receipt.path)
    if root != signed.root:
        raise Rejected(Code.RECEIPT_INCLUSION_INVALID, expected=signed.root.hex(), found=root.hex())
    seen = witnessed(receipt.checkpoint, log)
    promised = verify_promise(receipt.promise, body, receipt.index, log) if receipt.promise else None
    time = earliest(seen, promised)
    return Logged(signed.origin, receipt.proof_index, signed.size, signed.root, leaf, time, time_of_others=seen)


def earliest(*times: dt.datetime | None) -> dt.datetime | None:
    """The first of the times that are known; None if none is."""
    return min((each for each in times if each), default=None)


def _check_index(receipt: Receipt, size: int) -> None:
    if receipt.rekor == 1 and receipt.index < receipt.proof_index:
        raise Rejected(
            Code.RECEIPT_INDEX_MISMATCH,
            "the receipt's index in the whole log is below the one in a tree of it",
            expected=f"{receipt.proof_index} or above",
            found=str(receipt.index),
        )
    if receipt.rekor == 2 and receipt.index != receipt.proof_index:
        raise Rejected(Code.RECEIPT_INDEX_MISMATCH, expected=str(receipt.proof_index), found=str(receipt.index))
    if receipt.proof_index >= size:
        raise Rejected(
            Code.RECEIPT_INDEX_MISMATCH,
            "the receipt's index is outside of the log",
            expected=f"below {size}",
            found=str(receipt.proof_index),
        )
