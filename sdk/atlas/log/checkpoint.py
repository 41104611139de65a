"""Checkpoints: a log's signed promise of its size and root (C2SP tlog-checkpoint v1 in C2SP signed-note v1).

A log under Ed25519 signs with type 0x01 of signed-note; one under ECDSA P-256 as Rekor does, whose key id is
the digest of the key. The name on the log's signature line is its origin. A Rekor v1 log has several trees under
one key; in the text their number follows the origin, which makes them logs of their own.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.log.encoding import from_base64, to_base64, to_integer
from atlas.log.merkle import HASH_SIZE
from atlas.trust import PinnedLog

MAX_ENVELOPE = 64 * 1024
"""Characters; room for the log's signature and a dozen post-quantum cosignatures."""
MAX_SIGNATURES = 32
KEY_HASH_SIZE = 4
"""Bytes of the key id that stand before a signature (C2SP signed-note, "Signatures")."""

_CACHED = 256
_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_SIGNATURE = re.compile(r"— ([^\s+\x00-\x1f\x7f]+) ([A-Za-z0-9+/=]+)")
_TREE = re.compile(r" - [1-9][0-9]{0,18}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Checkpoint:
    """What a log promises: that its first `size` entries have this root, for ever."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text, which the signatures cover."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"


def check_origin(origin: str) -> None:
    """Refuse an origin that cannot also be the name of a signed note's key.

    Raises:
        InputError: if it is empty, or has a space, a plus sign or a control character.
    """
    if not _NAME.fullmatch(origin) or not origin.isprintable():
        raise InputError(
            f"{origin!r} cannot be a log's origin",
            mend="use a name like a host's, without spaces and plus signs",
        )


def sign_checkpoint(checkpoint: Checkpoint, key: ed25519.Ed25519PrivateKey, log: PinnedLog) -> str:
    """The signed note for a checkpoint; `log` holds the key's public half and its id."""
    signature = log.key_id[:KEY_HASH_SIZE] + key.sign(checkpoint.text.encode())
    return f"{checkpoint.text}\n— {log.origin} {to_base64(signature)}\n"


def open_checkpoint(envelope: str, log: PinnedLog) -> Checkpoint:
    """Verify a signed checkpoint under a pinned log's key; signatures by others (witnesses) are ignored.

    Returns:
        The checkpoint. Its origin is the log's; with a Rekor v1 log, the number of the tree follows.

    Raises:
        Rejected: CHECKPOINT_MALFORMED, CHECKPOINT_ORIGIN_MISMATCH or CHECKPOINT_SIGNATURE_INVALID.
    """
    return _open(_Question(envelope, log.origin, log.der, log.rekor, log))


@dataclass(frozen=True)
class _Question:
    """What the answer depends on, hashable (public keys are not)."""

    envelope: str
    origin: str
    der: bytes
    rekor: int
    log: PinnedLog = field(compare=False)


@lru_cache(_CACHED)
def _open(question: _Question) -> Checkpoint:
    # Many receipts share one checkpoint, and its signature is most of the cost of a receipt. Only what
    # verified is kept: an exception is not cached.
    log = question.log
    text, signatures = split_note(question.envelope)
    checkpoint = parse_text(text)
    tree = checkpoint.origin.removeprefix(log.origin)
    if tree == checkpoint.origin or not (_TREE.fullmatch(tree) if log.rekor == 1 else tree == ""):
        wanted_origin = f"{log.origin} - <number of a tree>" if log.rekor == 1 else log.origin
        raise Rejected(Code.CHECKPOINT_ORIGIN_MISMATCH, expected=wanted_origin, found=checkpoint.origin)
    wanted = (log.origin, log.key_id[:KEY_HASH_SIZE])
    own = [value for name, key_hash, value in signatures if (name, key_hash) == wanted]
    if not own:
        raise Rejected(
            Code.CHECKPOINT_SIGNATURE_INVALID,
            "the checkpoint does not bear the log's signature",
            expected=f"{log.origin} {wanted[1].hex()}",
            found=", ".join(f"{name} {key_hash.hex()}" for name, key_hash, _ in signatures),
        )
    if len(own) > 1:
        raise Rejected(Code.CHECKPOINT_MALFORMED, "the checkpoint bears the log's signature twice")
    _verify(own[0], text.encode(), log)
    return checkpoint


def _verify(signature: bytes, text: bytes, log: PinnedLog) -> None:
    key = log.public_key
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, text)
        elif isinstance(key.curve, ec.SECP256R1):
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        else:
            raise Rejected(
                Code.CHECKPOINT_SIGNATURE_INVALID,
                "the log's key is on a curve that logs do not use",
                expected="Ed25519 or ECDSA P-256",
                found=key.curve.name,
            )
    except InvalidSignature as error:
        raise Rejected(Code.CHECKPOINT_SIGNATURE_INVALID) from error


def _malformed(what: str) -> Rejected:
    return Rejected(Code.CHECKPOINT_MALFORMED, f"not a checkpoint: {what}")


def split_note(envelope: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Take a signed note apart: its text, and of each signature the name, key hash and value.

    Raises:
        Rejected: CHECKPOINT_MALFORMED.
    """
    if len(envelope) > MAX_ENVELOPE:
        raise _malformed(f"over {MAX_ENVELOPE} characters")
    try:
        envelope.encode()
    except UnicodeEncodeError as error:
        raise _malformed("not UTF-8") from error
    if _CONTROL.search(envelope):
        raise _malformed("a control character")
    text, separator, block = envelope.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise _malformed("no signatures after an empty line")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(f"over {MAX_SIGNATURES} signatures")
    signatures = []
    for line in lines:
        match = _SIGNATURE.fullmatch(line)
        if match is None:
            raise _malformed("a signature line of another form")
        try:
            value = from_base64(match[2])
        except ValueError as error:
            raise _malformed(f"a signature that is {error}") from error
        if len(value) <= KEY_HASH_SIZE:
            raise _malformed("a signature too short to hold one")
        signatures.append((match[1], value[:KEY_HASH_SIZE], value[KEY_HASH_SIZE:]))
    return text + "\n", signatures


def parse_text(text: str) -> Checkpoint:
    """Read the text of a note, without its signatures; extension lines are allowed and carry no meaning here.

    Raises:
        Rejected: CHECKPOINT_MALFORMED.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop():
        raise _malformed("fewer than three lines")
    if not all(lines):
        raise _malformed("an empty line in its text")
    try:
        return Checkpoint(lines[0], to_integer(lines[1]), from_base64(lines[2], HASH_SIZE))
    except ValueError as error:
        raise _malformed(f"a size or root that is {error}") from error


def peek_checkpoint(envelope: str) -> Checkpoint:
    """Read a signed checkpoint WITHOUT verifying it: only for one that this process's own log has stored.

    Raises:
        Rejected: CHECKPOINT_MALFORMED.
    """
    return parse_text(split_note(envelope)[0])
