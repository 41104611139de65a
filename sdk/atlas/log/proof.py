"""What proves that a manifest is logged: the receipt, the seal if the log holds one in its place, and timestamps.

Where there is a receipt alone, the document is the receipt itself.
"""

from dataclasses import dataclass, replace
from typing import Any

import rfc8785

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.log.entry import Entry
from atlas.log.receipt import MAX_RECEIPT, Logged, Receipt, earliest, parse_receipt_document, verify_receipt
from atlas.log.seal import Seal, parse_seal, sealed_entry
from atlas.log.timestamp import verify_timestamp
from atlas.trust import TrustRoot

MAX_TIMESTAMPS = 8
MAX_PROOF = 3 * MAX_RECEIPT
"""Bytes."""


@dataclass(frozen=True)
class Proof:
    """Everything by which an entry is shown to be logged, parsed and not yet verified."""

    receipt: Receipt
    seal: Seal | None = None
    """Present if the log holds a batch of commitments, and not the entry itself."""
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 responses over the entry's signature, DER."""

    def to_bytes(self) -> bytes:
        """The document that `parse_proof` reads, as canonical JSON (RFC 8785)."""
        if not self.seal and not self.timestamps:
            return self.receipt.to_bytes()
        document: dict[str, Any] = {"receipt": self.receipt.to_json()}
        if self.seal:
            document["seal"] = self.seal.to_json()
        if self.timestamps:
            document["timestamps"] = [to_base64(each) for each in self.timestamps]
        return rfc8785.dumps(document)


def parse_proof(data: bytes) -> Proof:
    """Read a proof; nothing is verified.

    Raises:
        Rejected: RECEIPT_MALFORMED, or RECEIPT_KIND_UNKNOWN if it is for another kind of entry.
    """
    try:
        document = load_json(data, MAX_PROOF)
        if not isinstance(document, dict) or "receipt" not in document:
            return Proof(parse_receipt_document(document))
        members = fields(document, ["receipt"], ["seal", "timestamps"])
        timestamps = members.get("timestamps", [])
        if not isinstance(timestamps, list) or len(timestamps) > MAX_TIMESTAMPS:
            raise ValueError(f"timestamps are not a list of at most {MAX_TIMESTAMPS}")
        return Proof(
            parse_receipt_document(members["receipt"]),
            parse_seal(members["seal"]) if "seal" in members else None,
            tuple(from_base64(each) for each in timestamps),
        )
    except ValueError as error:
        raise Rejected(Code.RECEIPT_MALFORMED, f"not a proof of logging: {error}") from error


def verify_proof(proof: Proof, entry: Entry, trust: TrustRoot) -> Logged:
    """Verify that a pinned log holds this entry, sealed or not, and by when.

    Args:
        proof: what was presented.
        entry: computed from the manifest at hand.
        trust: what is pinned.

    Raises:
        Rejected: as `verify_receipt`, `sealed_entry` and `verify_timestamp`.
    """
    logged = verify_receipt(proof.receipt, sealed_entry(entry, proof.seal) if proof.seal else entry, trust.logs)
    times = [verify_timestamp(each, entry.signature, trust.timestamp_authorities) for each in proof.timestamps]
    return replace(logged, time=earliest(logged.time, *times), time_of_others=earliest(logged.time_of_others, *times))
