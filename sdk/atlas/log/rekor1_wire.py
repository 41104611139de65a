"""What Rekor v1 answers (Rekor's openapi.yaml: LogEntry, LogInfo), read into the forms that Atlas has for it."""

import json
import re
from typing import Any

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.log.receipt import MAX_RECEIPT, Receipt, parse_receipt

MAX_TREES = 64
"""That have taken entries before the newest one."""

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def parse_entry(data: bytes) -> Receipt:
    """Read the answer about one entry as a receipt; nothing is verified.

    Raises:
        Rejected: RECEIPT_MALFORMED, or RECEIPT_KIND_UNKNOWN if it is for another kind of entry.
    """
    try:
        document = _receipt(load_json(data, MAX_RECEIPT))
    except ValueError as error:
        raise Rejected(Code.RECEIPT_MALFORMED, f"not an entry as Rekor v1 answers it: {error}") from error
    return parse_receipt(json.dumps(document))


def parse_checkpoints(data: bytes) -> tuple[str, ...]:
    """Read the checkpoints of all trees out of the answer about the log's state; nothing is verified.

    Returns:
        First that of the tree that takes entries.

    Raises:
        ValueError: if a tree has none.
    """
    state = load_json(data, MAX_RECEIPT)
    if not isinstance(state, dict):
        raise ValueError("not an object")
    others = [] if state.get("inactiveShards") is None else state["inactiveShards"]
    if not isinstance(others, list) or len(others) > MAX_TREES:
        raise ValueError(f"trees that are not a list of at most {MAX_TREES}")
    notes = [each.get("signedTreeHead") if isinstance(each, dict) else None for each in (state, *others)]
    found = tuple(note for note in notes if isinstance(note, str))
    if len(found) != len(notes):
        raise ValueError("without a signed tree head")
    return found


def parse_consistency(data: bytes) -> list[bytes]:
    """Read the hashes of a consistency proof (ConsistencyProof); nothing is verified.

    Raises:
        ValueError: if it is none.
    """
    proof = fields(load_json(data, MAX_RECEIPT), ["rootHash", "hashes"])
    if not isinstance(proof["hashes"], list):
        raise ValueError("hashes are not a list")
    return [from_base64(_base64(each)) for each in proof["hashes"]]


def _receipt(answer: object) -> dict[str, Any]:
    """The answer as a `TransparencyLogEntry`: other names, decimal strings for numbers, base64 for hex."""
    if not isinstance(answer, dict) or len(answer) != 1:
        raise ValueError("not exactly one entry")
    [entry] = answer.values()
    entry = fields(entry, ["body", "integratedTime", "logID", "logIndex", "verification"], ["attestation"])
    verification = fields(entry["verification"], ["inclusionProof", "signedEntryTimestamp"])
    proof = fields(verification["inclusionProof"], ["checkpoint", "hashes", "logIndex", "rootHash", "treeSize"])
    body = fields(load_json(from_base64(entry["body"]), MAX_RECEIPT), ["apiVersion", "kind", "spec"])
    if not isinstance(proof["hashes"], list):
        raise ValueError("hashes are not a list")
    return {
        "canonicalizedBody": entry["body"],
        "inclusionPromise": {"signedEntryTimestamp": verification["signedEntryTimestamp"]},
        "inclusionProof": {
            "checkpoint": {"envelope": proof["checkpoint"]},
            "hashes": [_base64(each) for each in proof["hashes"]],
            "logIndex": _decimal(proof["logIndex"]),
            "rootHash": _base64(proof["rootHash"]),
            "treeSize": _decimal(proof["treeSize"]),
        },
        "integratedTime": _decimal(entry["integratedTime"]),
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "logId": {"keyId": _base64(entry["logID"])},
        "logIndex": _decimal(entry["logIndex"]),
    }


def _decimal(number: object) -> str:
    if type(number) is not int:  # bool is one too
        raise ValueError("not a number")
    return str(number)


def _base64(text: object) -> str:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError("not hex")
    return to_base64(bytes.fromhex(text))
