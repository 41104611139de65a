"""Witnesses: cosignatures on real checkpoints of a public log, and on those of a log made here."""

import base64
import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.codes import Code
from atlas.errors import DocumentError
from atlas.log.checkpoint import Checkpoint, sign_checkpoint
from atlas.log.encoding import to_base64
from atlas.log.witness import cosignatures, witnessed
from atlas.trust import PinnedLog, Witness, load_witness
from support.witnesses import KEYS, PUBLIC, WITNESSES, cosign
from unit.log.log_support import LOG_KEY, ORIGIN, PINNED, assert_rejected

NOTE = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), LOG_KEY, PINNED)
TIMES = [1_790_000_300, 1_790_000_100, 1_790_000_200]


def cosigned(*numbers: int) -> str:
    note = NOTE
    for number in numbers:
        note = cosign(note, number, TIMES[number])
    return note


def demanding(quorum: int, witnesses: tuple[Witness, ...] = WITNESSES) -> PinnedLog:
    return replace(PINNED, quorum=quorum, witnesses=witnesses)


def test_a_real_checkpoint_with_three_witnesses(rekor_data: Path) -> None:
    document = json.loads((rekor_data / "a.dsse.staging-rekor-v2.txt.sigstore.json").read_text())
    [entry] = document["verificationMaterial"]["tlogEntries"]
    note = entry["inclusionProof"]["checkpoint"]["envelope"]
    found = cosignatures(note, PUBLIC)
    assert {each.witness for each in found} == {each.name for each in PUBLIC}
    assert all(
        dt.datetime(2025, 1, 1, tzinfo=dt.UTC) < each.time < dt.datetime(2026, 11, 1, tzinfo=dt.UTC) for each in found
    )
    for quorum in (1, 2, 3):
        assert witnessed(note, demanding(quorum, PUBLIC)) == found[quorum - 1].time
    assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: witnessed(note, demanding(3, PUBLIC[:2])))


@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_a_quorum(quorum: int) -> None:
    time = witnessed(cosigned(0, 1, 2), demanding(quorum))
    assert time == dt.datetime.fromtimestamp(sorted(TIMES)[quorum - 1], dt.UTC)


def test_no_quorum_is_demanded() -> None:
    assert witnessed(cosigned(0, 1), demanding(0)) is None


def test_too_few_witnesses() -> None:
    for note, quorum in ((NOTE, 1), (cosigned(0), 2), (cosigned(0, 1), 3)):
        assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: witnessed(note, demanding(quorum)))  # noqa: B023


def test_the_same_witness_twice_counts_once() -> None:
    twice = cosign(cosigned(0), 0, TIMES[0] + 1)
    assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: witnessed(twice, demanding(2)))


def test_strangers_do_not_count() -> None:
    assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: witnessed(cosigned(0, 1, 2), demanding(2, WITNESSES[:1])))


def test_a_cosignature_of_another_checkpoint() -> None:
    other = cosign(NOTE, 1, TIMES[1], text=f"{ORIGIN}\n8\n{to_base64(bytes(32))}\n")
    assert_rejected(Code.COSIGNATURE_INVALID, lambda: witnessed(other, demanding(1)))


def test_a_cosignature_with_another_time() -> None:
    line = cosigned(0).splitlines()[-1]
    raw = base64.b64decode(line.rpartition(" ")[2])
    later = raw[:4] + (TIMES[0] + 1).to_bytes(8, "big") + raw[12:]
    forged = f"{NOTE}— {WITNESSES[0].name} {to_base64(later)}\n"
    assert_rejected(Code.COSIGNATURE_INVALID, lambda: witnessed(forged, demanding(1)))


@pytest.mark.parametrize("size", [1, 8, 71, 73])
def test_a_cosignature_of_another_size(size: int) -> None:
    short = f"{NOTE}— {WITNESSES[0].name} {to_base64(WITNESSES[0].key_id[:4] + bytes(size))}\n"
    assert_rejected(Code.COSIGNATURE_INVALID, lambda: witnessed(short, demanding(1)))


def test_a_time_that_is_none() -> None:
    assert_rejected(Code.COSIGNATURE_INVALID, lambda: witnessed(cosign(NOTE, 0, 2**63), demanding(1)))


def test_a_cosignature_under_anothers_name() -> None:
    renamed = cosign(NOTE, 0, TIMES[0], name=WITNESSES[1].name)
    assert_rejected(Code.WITNESS_QUORUM_MISSED, lambda: witnessed(renamed, demanding(1)))


def test_verifier_keys_are_read_as_they_are_written() -> None:
    for each in (*PUBLIC, *WITNESSES):
        assert load_witness(each.verifier_key) == each


@pytest.mark.parametrize("line", ["", "name", "name+00000000", "name+00000000+!", "name+00000000+AAAA"])
def test_lines_that_are_no_verifier_key(line: str) -> None:
    with pytest.raises(DocumentError):
        load_witness(line)


def test_a_key_that_signs_notes_is_none_for_cosignatures() -> None:
    raw = KEYS[0].public_key().public_bytes_raw()
    with pytest.raises(DocumentError, match="not a key for cosignatures"):
        load_witness(f"name+00000000+{to_base64(bytes([1]) + raw)}")
