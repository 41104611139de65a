"""Seals: from an entry to the batch that a log holds, and from nothing else."""

import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest

from atlas.codes import Code
from atlas.errors import InputError, StateError
from atlas.log.seal import Seal, dump_seal, load_seal, seal_all, sealed_entry
from unit.log.log_support import assert_rejected, make_entry

ENTRIES = [make_entry(number) for number in range(11)]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 11])
def test_all_lead_to_one_batch(count: int) -> None:
    seals = seal_all(ENTRIES[:count])
    batches = {sealed_entry(entry, seal).canonical_body() for entry, seal in zip(ENTRIES[:count], seals, strict=True)}
    assert len(batches) == 1
    assert len({seal.salt for seal in seals}) == count
    assert [load_seal(dump_seal(seal)) for seal in seals] == seals


def test_the_batch_shows_nothing_of_its_entries() -> None:
    [seal] = seal_all(ENTRIES[:1])
    shown = sealed_entry(ENTRIES[0], seal)
    assert shown.certificate is None
    for hidden in (ENTRIES[0].digest, ENTRIES[0].signature, seal.salt):
        assert hidden not in (shown.digest, shown.signature)
    again = sealed_entry(ENTRIES[0], seal_all(ENTRIES[:1])[0])
    assert (again.digest, again.public_key) != (shown.digest, shown.public_key)
    assert again.public_key != shown.public_key


CHANGES: dict[str, Callable[[Seal], Seal]] = {
    "salt": lambda seal: replace(seal, salt=secrets.token_bytes(32)),
    "index": lambda seal: replace(seal, index=seal.index ^ 1),
    "index outside": lambda seal: replace(seal, index=seal.size),
    "size": lambda seal: replace(seal, size=seal.size + 1),
    "path": lambda seal: replace(seal, path=seal.path[::-1]),
    "path too short": lambda seal: replace(seal, path=seal.path[:-1]),
    "key of another batch": lambda seal: replace(seal, public_key=seal_all(ENTRIES[:1])[0].public_key),
    "signature of another batch": lambda seal: replace(seal, signature=seal_all(ENTRIES[:1])[0].signature),
    "a key that is none": lambda seal: replace(seal, public_key=b"key"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_leads_nowhere(change: str) -> None:
    seal = CHANGES[change](seal_all(ENTRIES)[4])
    assert_rejected(Code.SEAL_INVALID, lambda: sealed_entry(ENTRIES[4], seal))


def test_the_seal_of_another_entry() -> None:
    seals = seal_all(ENTRIES)
    assert_rejected(Code.SEAL_INVALID, lambda: sealed_entry(ENTRIES[3], seals[4]))


def test_a_batch_of_nothing() -> None:
    with pytest.raises(InputError):
        seal_all([])


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"salt": 1}'])
def test_what_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(StateError):
        load_seal(raw)
