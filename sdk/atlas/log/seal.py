"""Seals: what a log records in place of a manifest's signature, so that it shows nothing of it, not even how many.

A commitment hides an entry behind a random salt. A tree of commitments (RFC 9162) has a root; a batch is the digest of
root and size, signed with a key that is used once; and only the batch is logged. Who has an entry's seal can recompute
the batch from it; who has the log alone learns that somebody logged something.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.codes import Code
from atlas.errors import InputError, Rejected, StateError
from atlas.log.encoding import fields, from_base64, load_json, to_base64, to_integer
from atlas.log.entry import Algorithm, Entry
from atlas.log.merkle import HASH_SIZE, extend, fold, inclusion_path, leaf_hash, root_from_inclusion
from atlas.spki import dump_spki

MAX_BATCH = 1 << 20
"""Entries of one batch."""
SALT_SIZE = 32

_COMMIT = b"atlas/commit/v1\0"
_BATCH = b"atlas/batch/v1\0"
_MAX_PATH = 20
_MAX_BYTES = 8192


@dataclass(frozen=True)
class Seal:
    """What leads from an entry to the batch that the log holds.

    Attributes:
        salt: of the commitment, 32 random bytes.
        index: the commitment's place in the batch.
        size: commitments in the batch.
        path: sibling hashes in the batch's tree, lowest first.
        public_key: the key that signed the batch and nothing else, DER SubjectPublicKeyInfo.
        signature: over the batch, DER.
    """

    salt: bytes
    index: int
    size: int
    path: tuple[bytes, ...]
    public_key: bytes
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """The document that `parse_seal` reads."""
        return {
            "salt": to_base64(self.salt),
            "index": str(self.index),
            "size": str(self.size),
            "path": [to_base64(each) for each in self.path],
            "publicKey": to_base64(self.public_key),
            "signature": to_base64(self.signature),
        }


def parse_seal(document: object) -> Seal:
    """Read a seal.

    Raises:
        ValueError: if it is not one.
    """
    members = fields(document, ["salt", "index", "size", "path", "publicKey", "signature"])
    path = members["path"]
    if not isinstance(path, list) or len(path) > _MAX_PATH:
        raise ValueError(f"a seal's path is not a list of at most {_MAX_PATH}")
    return Seal(
        salt=from_base64(members["salt"], SALT_SIZE),
        index=to_integer(members["index"]),
        size=to_integer(members["size"]),
        path=tuple([from_base64(each, HASH_SIZE) for each in path]),
        public_key=from_base64(members["publicKey"]),
        signature=from_base64(members["signature"]),
    )


def dump_seal(seal: Seal) -> bytes:
    """The seal as canonical JSON (RFC 8785)."""
    return rfc8785.dumps(seal.to_json())


def load_seal(raw: bytes) -> Seal:
    """Read what `dump_seal` wrote.

    Raises:
        StateError: if it is not a seal.
    """
    try:
        return parse_seal(load_json(raw, _MAX_BYTES))
    except ValueError as error:
        raise StateError(f"a seal that is kept cannot be read: {error}", mend="restore the archive") from error


def seal_all(entries: Sequence[Entry]) -> list[Seal]:
    """Seal entries in one batch, with a key that is forgotten at once; one entry alone is a bare commitment.

    Raises:
        InputError: if there are none, or too many.
    """
    if not 0 < len(entries) <= MAX_BATCH:
        raise InputError(f"a batch has 1 to {MAX_BATCH} entries, not {len(entries)}")
    salts = [secrets.token_bytes(SALT_SIZE) for _ in entries]
    leaves = [leaf_hash(_commitment(entry, salt)) for entry, salt in zip(entries, salts, strict=True)]
    completed, peaks = extend(0, [], leaves)
    nodes = {(level, index): value for level, index, value in completed}
    nodes |= {(0, index): leaf for index, leaf in enumerate(leaves)}
    key = ec.generate_private_key(ec.SECP256R1())
    digest = _digest(len(entries), fold(peaks))
    signature = key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    public = dump_spki(key.public_key())
    size = len(entries)
    return [
        Seal(salt, index, size, tuple(inclusion_path(index, size, lambda *at: nodes[at])), public, signature)
        for index, salt in enumerate(salts)
    ]


def sealed_entry(entry: Entry, seal: Seal) -> Entry:
    """The batch that the log holds in place of an entry.

    Raises:
        Rejected: SEAL_INVALID if the seal is not this entry's.
    """
    try:
        root = root_from_inclusion(seal.index, seal.size, leaf_hash(_commitment(entry, seal.salt)), seal.path)
        batch = Entry(_digest(seal.size, root), seal.signature, Algorithm.ECDSA_P256_SHA256, public_key=seal.public_key)
        batch.check()
    except (Rejected, InputError) as error:
        raise Rejected(Code.SEAL_INVALID, found=str(error)) from error
    return batch


def _commitment(entry: Entry, salt: bytes) -> bytes:
    return hashlib.sha256(_COMMIT + salt + hashlib.sha256(entry.canonical_body()).digest()).digest()


def _digest(size: int, root: bytes) -> bytes:
    return hashlib.sha256(_BATCH + size.to_bytes(8, "big") + root).digest()
