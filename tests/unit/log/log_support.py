"""What the tests of the log share: keys, entries, notes, and the processes that are killed."""

import hashlib
import random
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from atlas.codes import Code
from atlas.errors import AtlasError, Rejected
from atlas.log.checkpoint import KEY_HASH_SIZE
from atlas.log.embedded import EmbeddedLog
from atlas.log.encoding import to_base64
from atlas.log.entry import Algorithm, Entry
from atlas.log.interface import TransparencyLog
from atlas.log.receipt import Receipt
from atlas.spki import dump_spki
from atlas.trust import PinnedLog

ORIGIN = "log.test/atlas"
LOG_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_LOG_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PINNED = PinnedLog(ORIGIN, LOG_KEY.public_key())
SIGNER = ec.derive_private_key(0xA71A5, ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return dump_spki(key.public_key())


def make_entry(seed: object) -> Entry:
    """An entry that a log accepts."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    signature = SIGNER.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, public_key=spki(SIGNER))


def record(log: TransparencyLog, entries: Sequence[Entry]) -> list[Receipt]:
    """Receipts of all entries; raises why there is none of one."""
    receipts = []
    for each in log.record(entries):
        if isinstance(each, AtlasError):
            raise each
        receipts.append(each)
    return receipts


def signature_line(text: str, log: PinnedLog, sign: Callable[[bytes], bytes], name: str | None = None) -> str:
    """A note's signature line over any text, right or wrong."""
    value = log.key_id[:KEY_HASH_SIZE] + sign(text.encode())
    return f"— {name or log.origin} {to_base64(value)}\n"


def note(text: str) -> str:
    """A note under the test log's key over any text, right or wrong."""
    return f"{text}\n{signature_line(text, PINNED, LOG_KEY.sign)}"


def assert_rejected(code: Code, call: Callable[[], object]) -> Rejected:
    """The call says no, for exactly this reason."""
    with pytest.raises(Rejected) as caught:
        call()
    assert caught.value.code is code
    return caught.value


def body(worker: object, number: int) -> bytes:
    """A cheap body for tests that do not look into it, of a length that varies."""
    return f"{worker}/{number}/".encode() * (1 + number % 40)


def append_for_ever(path: Path, worker: str, seed: int, acknowledged: Connection) -> None:
    """Append batches of one to eight until killed; send each index only after `append` has returned it."""
    choice = random.Random(seed)
    number = 0
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        while True:
            batch = [body(worker, number + place) for place in range(choice.randint(1, 8))]
            for place, appended in enumerate(log.append(batch)):
                acknowledged.send_bytes(f"{appended.index} {number + place}\n".encode())
            number += len(batch)


def append_some(path: Path, worker: str, batches: Sequence[int], results: Connection) -> None:
    """Append batches of the given sizes, and send every index with the number of the body."""
    number = 0
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log:
        for size in batches:
            # Every fourth body is the same in all workers, so that they also race for duplicates.
            names = ["shared" if (number + place) % 4 == 0 else worker for place in range(size)]
            bodies = [body(name, number + place) for place, name in enumerate(names)]
            for each, appended in zip(bodies, log.append(bodies), strict=True):
                results.send((appended.index, each, appended.duplicate))
            number += size
    results.send(None)
