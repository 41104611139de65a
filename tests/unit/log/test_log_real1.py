"""Our code against what the public Rekor v1 logs of Sigstore really answered."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from atlas.codes import Code
from atlas.log import Algorithm, Entry, parse_receipt, verify_receipt
from atlas.trust import PinnedLog, load_log
from unit.log.log_support import assert_rejected

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "rekor-v1"
NAMES = ["production", "staging", "staging-next-tree"]
TREES = {
    "production": "rekor.sigstore.dev - 2605736670972794746",
    "staging": "rekor.sigstage.dev - 8050909264565447525",
    "staging-next-tree": "rekor.sigstage.dev - 8202293616175992157",
}
TIMES = {
    "production": datetime(2024, 3, 19, 22, 41, 16, tzinfo=UTC),
    "staging": datetime(2024, 4, 2, 19, 19, 9, tzinfo=UTC),
    "staging-next-tree": datetime(2024, 10, 31, 10, 23, 39, tzinfo=UTC),
}
LOGS = [
    load_log(each["baseUrl"].removeprefix("https://"), each["publicKey"]["rawBytes"], 1)
    for each in json.loads((GOLDEN / "tlogs.json").read_text())
]


def recorded(name: str) -> tuple[dict[str, Any], Entry]:
    """A receipt, and the entry as its bundle's signature and certificate make it."""
    document = json.loads((GOLDEN / f"{name}.sigstore.json").read_text())
    material, message = document["verificationMaterial"], document["messageSignature"]
    certificate = material.get("certificate") or material["x509CertificateChain"]["certificates"][0]
    entry = Entry(
        digest=base64.b64decode(message["messageDigest"]["digest"]),
        signature=base64.b64decode(message["signature"]),
        algorithm=Algorithm.ECDSA_P256_SHA256,
        certificate=base64.b64decode(certificate["rawBytes"]),
    )
    [receipt] = material["tlogEntries"]
    return receipt, entry


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_receipt_verifies(name: str) -> None:
    document, entry = recorded(name)
    receipt = parse_receipt(json.dumps(document))
    entry.check()
    assert receipt.body == entry.canonical_body(1)
    logged = verify_receipt(receipt, entry, LOGS)
    assert (logged.origin, logged.time) == (TREES[name], TIMES[name])
    assert str(logged.index) == document["inclusionProof"]["logIndex"]
    assert receipt.index > logged.index, "the log had another tree before"
    assert parse_receipt(receipt.to_bytes()) == receipt


def test_the_key_ids_are_those_that_sigstore_states() -> None:
    stated = [each["logId"]["keyId"] for each in json.loads((GOLDEN / "tlogs.json").read_text())]
    assert [base64.b64encode(log.key_id).decode() for log in LOGS] == stated


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_receipt_with_something_changed(name: str) -> None:
    document, entry = recorded(name)
    receipt = parse_receipt(json.dumps(document))
    assert receipt.promise

    def refused(code: Code, **changes: Any) -> None:
        assert_rejected(code, lambda: verify_receipt(replace(receipt, **changes), entry, LOGS))

    refused(Code.RECEIPT_LOG_UNKNOWN, log_id=bytes(32))
    refused(Code.RECEIPT_PROMISE_INVALID, promise=replace(receipt.promise, time=receipt.promise.time - 1))
    refused(Code.RECEIPT_PROMISE_INVALID, promise=replace(receipt.promise, signature=receipt.promise.signature[:-1]))
    refused(Code.RECEIPT_PROMISE_INVALID, index=receipt.index + 1)
    refused(Code.RECEIPT_INCLUSION_INVALID, path=receipt.path[::-1])
    refused(Code.RECEIPT_INDEX_MISMATCH, index=receipt.proof_index - 1)
    assert_rejected(
        Code.RECEIPT_ENTRY_MISMATCH, lambda: verify_receipt(receipt, replace(entry, digest=bytes(32)), LOGS)
    )


def test_a_log_that_is_pinned_as_one_of_version_2() -> None:
    document, entry = recorded("production")
    receipt = parse_receipt(json.dumps(document))
    as_2 = [PinnedLog(log.origin, log.public_key) for log in LOGS]
    assert_rejected(Code.RECEIPT_LOG_UNKNOWN, lambda: verify_receipt(receipt, entry, as_2))
