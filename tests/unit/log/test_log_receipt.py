import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from sigstore_models.rekor.v1 import TransparencyLogEntry

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.log.checkpoint import Checkpoint, sign_checkpoint
from atlas.log.embedded import EmbeddedLog
from atlas.log.encoding import to_base64
from atlas.log.entry import Entry
from atlas.log.merkle import leaf_hash
from atlas.log.receipt import MAX_PATH, MAX_RECEIPT, Logged, Receipt, parse_receipt, verify_receipt
from atlas.trust import PinnedLog
from unit.log.log_support import LOG_KEY, ORIGIN, OTHER_LOG_KEY, PINNED, assert_rejected, make_entry

ENTRIES = [make_entry(number) for number in range(11)]
INDEX = 4


@pytest.fixture(scope="module")
def receipts(tmp_path_factory: pytest.TempPathFactory) -> list[Receipt]:
    path: Path = tmp_path_factory.mktemp("log") / "log.db"
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        log.append([entry.canonical_body() for entry in ENTRIES])
        return log.receipts(range(len(ENTRIES)))


@pytest.fixture
def receipt(receipts: list[Receipt]) -> Receipt:
    return receipts[INDEX]


def refused(code: Code, receipt: Receipt, entry: Entry = ENTRIES[INDEX], log: PinnedLog = PINNED) -> None:
    assert_rejected(code, lambda: verify_receipt(receipt, entry, [log]))


def resigned(receipt: Receipt, **changes: Any) -> Receipt:
    """A receipt whose checkpoint a dishonest log has signed."""
    checkpoint = Checkpoint(ORIGIN, receipt.tree_size, receipt.root)
    return replace(receipt, checkpoint=sign_checkpoint(replace(checkpoint, **changes), LOG_KEY, PINNED))


def test_every_entry_verifies(receipts: list[Receipt]) -> None:
    other = PinnedLog("other.test", OTHER_LOG_KEY.public_key())
    for index, (receipt, entry) in enumerate(zip(receipts, ENTRIES, strict=True)):
        for parsed in (
            receipt,
            parse_receipt(receipt.to_bytes()),
            parse_receipt(receipt.to_bytes().decode()),
        ):
            assert verify_receipt(parsed, entry, [other, PINNED]) == Logged(
                ORIGIN, index, len(ENTRIES), receipt.root, leaf_hash(entry.canonical_body())
            )


def test_unknown_log(receipt: Receipt) -> None:
    refused(Code.RECEIPT_LOG_UNKNOWN, replace(receipt, log_id=bytes(32)))
    refused(Code.RECEIPT_LOG_UNKNOWN, receipt, log=PinnedLog(ORIGIN, OTHER_LOG_KEY.public_key()))
    refused(Code.RECEIPT_LOG_UNKNOWN, receipt, log=PinnedLog("other.test", LOG_KEY.public_key()))
    assert_rejected(Code.RECEIPT_LOG_UNKNOWN, lambda: verify_receipt(receipt, ENTRIES[INDEX], []))


def test_checkpoint(receipt: Receipt) -> None:
    refused(Code.CHECKPOINT_MALFORMED, replace(receipt, checkpoint=""))
    refused(Code.CHECKPOINT_ORIGIN_MISMATCH, resigned(receipt, origin="other.test"))
    forged = receipt.checkpoint.replace(f"\n{receipt.tree_size}\n", f"\n{receipt.tree_size + 1}\n")
    refused(
        Code.CHECKPOINT_SIGNATURE_INVALID,
        replace(receipt, checkpoint=forged, tree_size=receipt.tree_size + 1),
    )


def test_tree_size(receipt: Receipt) -> None:
    refused(Code.RECEIPT_TREE_SIZE_MISMATCH, replace(receipt, tree_size=receipt.tree_size - 1))
    refused(Code.RECEIPT_TREE_SIZE_MISMATCH, replace(receipt, tree_size=receipt.tree_size + 1))


def test_root(receipt: Receipt) -> None:
    refused(Code.RECEIPT_ROOT_MISMATCH, replace(receipt, root=bytes(32)))


def test_index(receipt: Receipt) -> None:
    refused(Code.RECEIPT_INDEX_MISMATCH, replace(receipt, index=INDEX + 1))
    refused(Code.RECEIPT_INDEX_MISMATCH, replace(receipt, proof_index=INDEX + 1))
    outside = receipt.tree_size
    refused(Code.RECEIPT_INDEX_MISMATCH, replace(receipt, index=outside, proof_index=outside))


def test_entry(receipt: Receipt, receipts: list[Receipt]) -> None:
    refused(Code.RECEIPT_ENTRY_MISMATCH, receipt, entry=ENTRIES[INDEX + 1])
    refused(Code.RECEIPT_ENTRY_MISMATCH, replace(receipt, body=receipt.body + b" "))
    refused(Code.RECEIPT_ENTRY_MISMATCH, receipts[INDEX + 1])


def test_inclusion(receipt: Receipt) -> None:
    path = receipt.path
    assert len(path) > 1
    for place in range(len(path)):
        refused(
            Code.RECEIPT_INCLUSION_INVALID,
            replace(receipt, path=(*path[:place], bytes(32), *path[place + 1 :])),
        )
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(receipt, path=path[:-1]))
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(receipt, path=(*path, bytes(32))))
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(receipt, path=path[::-1]))
    moved = replace(receipt, index=INDEX + 1, proof_index=INDEX + 1)
    refused(Code.RECEIPT_INCLUSION_INVALID, moved)
    swapped = resigned(replace(receipt, root=bytes(32)))
    refused(Code.RECEIPT_INCLUSION_INVALID, swapped)


def test_an_entry_that_was_never_logged(receipt: Receipt) -> None:
    """The strongest forgery without the log's key: a true checkpoint and path, our own body."""
    forged = make_entry("forged")
    refused(Code.RECEIPT_INCLUSION_INVALID, replace(receipt, body=forged.canonical_body()), entry=forged)


GOOD = Receipt(
    index=1,
    log_id=bytes(32),
    proof_index=1,
    tree_size=2,
    root=bytes(32),
    path=(bytes(32),),
    checkpoint="a\n1\n\n— a b\n",
    body=b"{}",
)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = GOOD.to_json()
    change(document)
    return json.dumps(document).encode()


def proof(document: dict[str, Any]) -> Any:
    return document["inclusionProof"]


def without(place: tuple[str, ...], name: str) -> bytes:
    document: Any = GOOD.to_json()
    inner = document
    for step in place:
        inner = inner[step]
    del inner[name]
    return json.dumps(document).encode()


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "UTF-16": GOOD.to_bytes().decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD.to_bytes(),
    "not JSON": GOOD.to_bytes()[:-1],
    "trailing bytes": GOOD.to_bytes() + b"x",
    "null": b"null",
    "a list": b"[" + GOOD.to_bytes() + b"]",
    "deep": b'{"a":' * 40_000,
    "too large": GOOD.to_bytes() + b" " * MAX_RECEIPT,
    "a repeated name": GOOD.to_bytes()[:-1] + b',"logIndex":"2"}',
    "a number without end": changed(lambda d: d).replace(b'"logIndex": "1"', b'"logIndex": ' + b"9" * 5000),
    "an unknown member": changed(lambda d: d.update(x=1)),
    "an unknown null member": changed(lambda d: d.update(x=None)),
    "an unknown member of the proof": changed(lambda d: proof(d).update(x=1)),
    "an unknown member of the checkpoint": changed(lambda d: proof(d)["checkpoint"].update(x=1)),
    "an unknown member of the log id": changed(lambda d: d["logId"].update(x=1)),
    "a promise": changed(lambda d: d.update(inclusionPromise={"signedEntryTimestamp": "AAAA"})),
    "an empty promise": changed(lambda d: d.update(inclusionPromise={})),
    "a time": changed(lambda d: d.update(integratedTime="1700000000")),
    "time as a number": changed(lambda d: d.update(integratedTime=0)),
    "index as a number": changed(lambda d: d.update(logIndex=1)),
    "index with a zero": changed(lambda d: d.update(logIndex="01")),
    "negative index": changed(lambda d: d.update(logIndex="-1")),
    "index with a space": changed(lambda d: d.update(logIndex=" 1")),
    "index in other digits": changed(lambda d: d.update(logIndex="１")),
    "index of 64 bits": changed(lambda d: d.update(logIndex=str(2**63))),
    "index true": changed(lambda d: d.update(logIndex=True)),
    "proof index as a number": changed(lambda d: proof(d).update(logIndex=1)),
    "size as a float": changed(lambda d: proof(d).update(treeSize=2.0)),
    "size in hex": changed(lambda d: proof(d).update(treeSize="0x2")),
    "short root": changed(lambda d: proof(d).update(rootHash=to_base64(bytes(31)))),
    "root in base64url": changed(lambda d: proof(d).update(rootHash=base64.urlsafe_b64encode(b"\xff" * 32).decode())),
    "root unpadded": changed(lambda d: proof(d).update(rootHash=to_base64(bytes(32)).rstrip("="))),
    "root with spare bits": changed(lambda d: proof(d).update(rootHash=to_base64(bytes(32))[:-2] + "B=")),
    "root with a line break": changed(lambda d: proof(d).update(rootHash=to_base64(bytes(32)) + "\n")),
    "short log id": changed(lambda d: d["logId"].update(keyId=to_base64(bytes(4)))),
    "log id a string": changed(lambda d: d.update(logId="x")),
    "hashes a string": changed(lambda d: proof(d).update(hashes="AAAA")),
    "a hash that is none": changed(lambda d: proof(d).update(hashes=["AAAA"])),
    "a hash that is null": changed(lambda d: proof(d).update(hashes=[None])),
    "too many hashes": changed(lambda d: proof(d).update(hashes=[to_base64(bytes(32))] * (MAX_PATH + 1))),
    "checkpoint a string": changed(lambda d: proof(d).update(checkpoint="x")),
    "envelope a list": changed(lambda d: proof(d)["checkpoint"].update(envelope=[])),
    "envelope with a lone surrogate": changed(lambda d: proof(d)["checkpoint"].update(envelope="\ud800")),
    "body not base64": changed(lambda d: d.update(canonicalizedBody="{}")),
    "kind a list": changed(lambda d: d.update(kindVersion=[])),
    "kind a number": changed(lambda d: d["kindVersion"].update(kind=1)),
    "version a list": changed(lambda d: d["kindVersion"].update(version=[])),
    "kind without a version": changed(lambda d: d["kindVersion"].pop("version")),
    **{f"no {name}": without((), name) for name in GOOD.to_json()},
    **{f"proof without {name}": without(("inclusionProof",), name) for name in proof(GOOD.to_json())},
    "no envelope": without(("inclusionProof", "checkpoint"), "envelope"),
    "no key id": without(("logId",), "keyId"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    assert_rejected(Code.RECEIPT_MALFORMED, lambda: parse_receipt(MALFORMED[name]))


@pytest.mark.parametrize(
    ("kind", "version"),
    [("hashedrekord", "0.0.3"), ("dsse", "0.0.2"), ("dsse", "0.0.1"), ("intoto", "0.0.2"), ("", "")],
)
def test_unknown_kind(kind: str, version: str) -> None:
    data = changed(lambda d: d.update(kindVersion={"kind": kind, "version": version}))
    assert_rejected(Code.RECEIPT_KIND_UNKNOWN, lambda: parse_receipt(data))


def test_what_a_rekor_server_adds_is_accepted() -> None:
    data = changed(lambda d: d.update(integratedTime="0", inclusionPromise=None))
    assert parse_receipt(data) == GOOD


hashes_of_32 = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**63 - 1)


@given(
    st.builds(
        Receipt,
        index=numbers,
        log_id=hashes_of_32,
        proof_index=numbers,
        tree_size=numbers,
        root=hashes_of_32,
        path=st.lists(hashes_of_32, max_size=MAX_PATH).map(tuple),
        checkpoint=st.text(max_size=300),
        body=st.binary(max_size=300),
    )
)
def test_round_trip(receipt: Receipt) -> None:
    data = receipt.to_bytes()
    assert parse_receipt(data) == receipt
    assert parse_receipt(data).to_bytes() == data == rfc8785.dumps(json.loads(data))


@given(st.data())
def test_no_changed_byte_verifies(receipts: list[Receipt], data: st.DataObject) -> None:
    raw = bytearray(receipts[INDEX].to_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    # Any code will do: which one depends on where the byte stands.
    with pytest.raises(Rejected):
        verify_receipt(parse_receipt(bytes(raw)), ENTRIES[INDEX], [PINNED])


def test_sigstores_model_reads_ours(receipt: Receipt) -> None:
    model = TransparencyLogEntry.from_json(receipt.to_bytes())
    assert int(model.log_index) == INDEX
    assert model.inclusion_proof.checkpoint is not None
    assert model.inclusion_proof.checkpoint.envelope == receipt.checkpoint
    again = json.dumps(model.to_dict()).encode()
    assert parse_receipt(again) == receipt
