"""Our code against what the public staging log of Sigstore really answered."""

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from atlas.codes import Code
from atlas.log.entry import Algorithm, Entry
from atlas.log.merkle import leaf_hash
from atlas.log.receipt import Logged, parse_receipt, verify_receipt
from atlas.trust import PinnedLog, load_log
from support.witnesses import PUBLIC
from unit.log.log_support import assert_rejected


def pinned(rekor_data: Path, origin: str) -> PinnedLog:
    """A log as Sigstore's staging trust root has it."""
    root = json.loads((rekor_data / "staging_trusted_root.json").read_text())
    [log] = [each for each in root["tlogs"] if each["baseUrl"] == f"https://{origin}"]
    result = load_log(origin, log["publicKey"]["rawBytes"])
    assert result.key_id == base64.b64decode(log["logId"]["keyId"])
    return result


def bundle(rekor_data: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((rekor_data / name).read_text())
    return document


@pytest.fixture
def hashedrekord(rekor_data: Path) -> tuple[bytes, Entry, PinnedLog]:
    document = bundle(rekor_data, "staging-rekor-v2.txt.sigstore.json")
    [tle] = document["verificationMaterial"]["tlogEntries"]
    message = document["messageSignature"]
    entry = Entry(
        digest=base64.b64decode(message["messageDigest"]["digest"]),
        signature=base64.b64decode(message["signature"]),
        algorithm=Algorithm.ECDSA_P256_SHA256,
        certificate=base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"]),
    )
    return json.dumps(tle).encode(), entry, pinned(rekor_data, "log2025-alpha1.rekor.sigstage.dev")


def test_hashedrekord(hashedrekord: tuple[bytes, Entry, PinnedLog]) -> None:
    data, entry, log = hashedrekord
    receipt = parse_receipt(data)
    entry.check()
    assert receipt.body == entry.canonical_body()
    assert verify_receipt(receipt, entry, [log]) == Logged(log.origin, 645, 646, receipt.root, leaf_hash(receipt.body))
    assert parse_receipt(receipt.to_bytes()) == receipt


def test_hashedrekord_for_another_entry(hashedrekord: tuple[bytes, Entry, PinnedLog]) -> None:
    data, entry, log = hashedrekord
    other = replace(entry, digest=bytes(32))
    assert_rejected(Code.RECEIPT_ENTRY_MISMATCH, lambda: verify_receipt(parse_receipt(data), other, [log]))


@pytest.fixture
def cosigned(rekor_data: Path) -> tuple[bytes, Entry, PinnedLog]:
    """A log of four million entries, and a checkpoint that three witnesses have cosigned."""
    document = bundle(rekor_data, "a.dsse.staging-rekor-v2.txt.sigstore.json")
    [tle] = document["verificationMaterial"]["tlogEntries"]
    envelope = document["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    entry = Entry(
        digest=hashlib.sha256(signed).digest(),
        signature=base64.b64decode(envelope["signatures"][0]["sig"]),
        algorithm=Algorithm.ECDSA_P256_SHA256,
        certificate=base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"]),
    )
    return json.dumps(tle).encode(), entry, pinned(rekor_data, "log2025-alpha3.rekor.sigstage.dev")


def test_hashedrekord_over_a_dsse_envelope(rekor_data: Path, cosigned: tuple[bytes, Entry, PinnedLog]) -> None:
    data, entry, log = cosigned
    entry.check()
    receipt = parse_receipt(data)
    assert receipt.checkpoint.count("\n— ") == 4
    logged = verify_receipt(receipt, entry, [pinned(rekor_data, "log2025-alpha1.rekor.sigstage.dev"), log])
    assert logged == Logged(log.origin, receipt.index, 4026479, logged.root, leaf_hash(receipt.body))
    wrong = replace(receipt, path=receipt.path[::-1])
    assert_rejected(Code.RECEIPT_INCLUSION_INVALID, lambda: verify_receipt(wrong, entry, [log]))


def test_both_bundles_with_proof_checkpoint_and_all_the_witnesses_that_each_has(
    hashedrekord: tuple[bytes, Entry, PinnedLog], cosigned: tuple[bytes, Entry, PinnedLog]
) -> None:
    """The younger log had witnesses. The older one had none yet: it verifies, and is refused where one is demanded."""
    for (data, entry, log), cosigners in ((hashedrekord, 0), (cosigned, len(PUBLIC))):
        receipt = parse_receipt(data)
        assert receipt.checkpoint.count("\n— ") == 1 + cosigners
        demanding = [replace(log, quorum=quorum, witnesses=PUBLIC) for quorum in range(len(PUBLIC) + 1)]
        for quorum, each in enumerate(demanding):
            if quorum > cosigners:
                assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: verify_receipt(receipt, entry, [each]))  # noqa: B023
                continue
            logged = verify_receipt(receipt, entry, [each])
            assert (logged.root, logged.tree_size) == (receipt.root, receipt.tree_size)
            assert (logged.time is None) == (quorum == 0), "witnesses say when they saw the checkpoint"
        forked = replace(receipt, path=(bytes(32), *receipt.path[1:]))
        assert_rejected(Code.RECEIPT_INCLUSION_INVALID, lambda: verify_receipt(forked, entry, [demanding[cosigners]]))  # noqa: B023


def test_one_shards_receipt_under_anothers_name(hashedrekord: tuple[bytes, Entry, PinnedLog]) -> None:
    data, entry, log = hashedrekord
    renamed = PinnedLog("log2026-1.rekor.sigstage.dev", log.public_key)
    receipt = parse_receipt(data)
    assert_rejected(Code.RECEIPT_LOG_UNKNOWN, lambda: verify_receipt(receipt, entry, [renamed]))
    claimed = replace(receipt, log_id=renamed.key_id)
    assert_rejected(Code.CHECKPOINT_ORIGIN_MISMATCH, lambda: verify_receipt(claimed, entry, [renamed]))
