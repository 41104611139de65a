import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import InputError
from atlas.log.checkpoint import (
    MAX_ENVELOPE,
    MAX_SIGNATURES,
    Checkpoint,
    check_origin,
    open_checkpoint,
    peek_checkpoint,
    sign_checkpoint,
)
from atlas.log.encoding import to_base64
from atlas.trust import PinnedLog
from unit.log.log_support import (
    LOG_KEY,
    ORIGIN,
    OTHER_LOG_KEY,
    PINNED,
    assert_rejected,
    note,
    signature_line,
)

ROOT = hashlib.sha256(b"root").digest()
ROOT64 = to_base64(ROOT)
GOOD = Checkpoint(ORIGIN, 7, ROOT)
ENVELOPE = sign_checkpoint(GOOD, LOG_KEY, PINNED)
OTHER = PinnedLog("witness.test", OTHER_LOG_KEY.public_key())
OWN_LINE = signature_line(GOOD.text, PINNED, LOG_KEY.sign)
WITNESS_LINE = signature_line(GOOD.text, OTHER, OTHER_LOG_KEY.sign)


def test_vector() -> None:
    """Fixed for ever: what was signed once must verify in every later version."""
    golden = (
        "log.test/atlas\n7\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\n\n"
        "— log.test/atlas H/+ROpWmPDH0kvBxQkxIOHbEBXfm5+SWGUCQhNtPzn1rVCMIC1nDeqeWffyL4P"
        "dKY8D88DYZ4gtZuEou6Ez9GFrrOgM=\n"
    )
    assert golden == ENVELOPE
    assert open_checkpoint(golden, PINNED) == GOOD


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_round_trip(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    envelope = sign_checkpoint(checkpoint, LOG_KEY, PINNED)
    assert open_checkpoint(envelope, PINNED) == checkpoint
    assert peek_checkpoint(envelope) == checkpoint


@pytest.mark.parametrize("lines", [WITNESS_LINE + OWN_LINE, OWN_LINE + WITNESS_LINE])
def test_signatures_of_others_are_ignored(lines: str) -> None:
    assert open_checkpoint(f"{GOOD.text}\n{lines}", PINNED) == GOOD


def test_another_key_under_the_logs_name_is_ignored() -> None:
    old = PinnedLog(ORIGIN, OTHER_LOG_KEY.public_key())
    line = signature_line(GOOD.text, old, OTHER_LOG_KEY.sign)
    assert open_checkpoint(f"{GOOD.text}\n{line}{OWN_LINE}", PINNED) == GOOD


def test_extension_lines_are_signed_and_carry_no_meaning() -> None:
    text = GOOD.text + "extension one\nextension two\n"
    assert open_checkpoint(note(text), PINNED) == GOOD
    changed = note(text).replace("one", "two")
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(changed, PINNED))


def test_ecdsa_log() -> None:
    key = ec.derive_private_key(12345, ec.SECP256R1())
    log = PinnedLog(ORIGIN, key.public_key())

    def sign(text: bytes) -> bytes:
        return key.sign(text, ec.ECDSA(hashes.SHA256()))

    envelope = f"{GOOD.text}\n{signature_line(GOOD.text, log, sign)}"
    assert open_checkpoint(envelope, log) == GOOD
    forged = envelope.replace("\n7\n", "\n8\n")
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(forged, log))
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(envelope, PINNED))


def test_a_log_on_another_curve_is_refused() -> None:
    key = ec.derive_private_key(12345, ec.SECP384R1())
    log = PinnedLog(ORIGIN, key.public_key())

    def sign(text: bytes) -> bytes:
        return key.sign(text, ec.ECDSA(hashes.SHA384()))

    envelope = f"{GOOD.text}\n{signature_line(GOOD.text, log, sign)}"
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(envelope, log))


MALFORMED = {
    "empty": "",
    "text alone": GOOD.text,
    "no empty line": GOOD.text + OWN_LINE,
    "no signatures": GOOD.text + "\n",
    "no last newline": ENVELOPE[:-1],
    "two last newlines": ENVELOPE + "\n",
    "carriage returns": ENVELOPE.replace("\n", "\r\n"),
    "tab": note(f"{ORIGIN}\n7\t\n{ROOT64}\n"),
    "NUL": note(f"{ORIGIN}\n7\n{ROOT64}\nx\0\n"),
    "lone surrogate": ENVELOPE.replace("—", "\ud800"),
    "two lines": note(f"{ORIGIN}\n7\n"),
    "no origin": note(f"\n7\n{ROOT64}\n"),
    "empty extension": note(f"{ORIGIN}\n7\n{ROOT64}\n\nx\n"),
    "size with a zero": note(f"{ORIGIN}\n07\n{ROOT64}\n"),
    "size with a plus": note(f"{ORIGIN}\n+7\n{ROOT64}\n"),
    "negative size": note(f"{ORIGIN}\n-7\n{ROOT64}\n"),
    "size with a space": note(f"{ORIGIN}\n7 \n{ROOT64}\n"),
    "size with an underscore": note(f"{ORIGIN}\n7_0\n{ROOT64}\n"),
    "size in other digits": note(f"{ORIGIN}\n７\n{ROOT64}\n"),
    "size of 64 bits": note(f"{ORIGIN}\n{2**63}\n{ROOT64}\n"),
    "size without end": note(f"{ORIGIN}\n{'9' * 5000}\n{ROOT64}\n"),
    "short root": note(f"{ORIGIN}\n7\n{to_base64(ROOT[:31])}\n"),
    "long root": note(f"{ORIGIN}\n7\n{to_base64(ROOT + b'x')}\n"),
    "root without padding": note(f"{ORIGIN}\n7\n{ROOT64.rstrip('=')}\n"),
    "root with spare bits": note(f"{ORIGIN}\n7\n{ROOT64[:-2]}N=\n"),
    "root in hex": note(f"{ORIGIN}\n7\n{ROOT.hex()}\n"),
    "hyphen for the dash": ENVELOPE.replace("—", "-"),
    "two spaces": ENVELOPE.replace("— ", "—  "),
    "trailing space": ENVELOPE[:-1] + " \n",
    "signature without a name": ENVELOPE.replace(f"— {ORIGIN}", "—"),
    "name with a plus": f"{GOOD.text}\n{OWN_LINE}{signature_line(GOOD.text, PINNED, LOG_KEY.sign, 'a+b')}",
    "signature not base64": f"{GOOD.text}\n{OWN_LINE}— x !!!!\n",
    "signature with inner padding": f"{GOOD.text}\n{OWN_LINE}— x AAAA=AAA\n",
    "signature with spare bits": f"{GOOD.text}\n{OWN_LINE}— x AAAAAAB=\n",
    "signature of a key hash alone": f"{GOOD.text}\n{OWN_LINE}— x {to_base64(b'1234')}\n",
    "the log's signature twice": f"{GOOD.text}\n{OWN_LINE}{OWN_LINE}",
    "too many signatures": f"{GOOD.text}\n{OWN_LINE}{WITNESS_LINE * MAX_SIGNATURES}",
    "too large": note(GOOD.text + "x" * MAX_ENVELOPE + "\n"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    assert_rejected(Code.CHECKPOINT_MALFORMED, lambda: open_checkpoint(MALFORMED[name], PINNED))


@pytest.mark.parametrize("name", [ORIGIN, "other.test"])
def test_another_origin_under_the_same_key(name: str) -> None:
    text = f"other.test\n7\n{ROOT64}\n"
    envelope = f"{text}\n{signature_line(text, PINNED, LOG_KEY.sign, name)}"
    error = assert_rejected(Code.CHECKPOINT_ORIGIN_MISMATCH, lambda: open_checkpoint(envelope, PINNED))
    assert (error.expected, error.found) == (ORIGIN, "other.test")


def by_hand(log: PinnedLog, sign: Callable[[bytes], bytes], name: str | None = None) -> str:
    return f"{GOOD.text}\n{signature_line(GOOD.text, log, sign, name)}"


def one_bit_off(text: bytes) -> bytes:
    signature = LOG_KEY.sign(text)
    return signature[:-1] + bytes([signature[-1] ^ 1])


UNSIGNED = {
    "another size": ENVELOPE.replace("\n7\n", "\n8\n"),
    "another root": ENVELOPE.replace(ROOT64, to_base64(hashlib.sha256(b"").digest())),
    "only a witness": f"{GOOD.text}\n{WITNESS_LINE}",
    "the log's name under another key": by_hand(OTHER, OTHER_LOG_KEY.sign, ORIGIN),
    "the log's key under another name": by_hand(PINNED, LOG_KEY.sign, "x"),
    "signed by another key": by_hand(PINNED, OTHER_LOG_KEY.sign),
    "cut signature": by_hand(PINNED, lambda text: LOG_KEY.sign(text)[:-1]),
    "one bit": by_hand(PINNED, one_bit_off),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_not_signed_by_the_log(name: str) -> None:
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(UNSIGNED[name], PINNED))


def test_what_verified_once_does_not_verify_for_another_log() -> None:
    """The cache must tell logs apart by origin and by key."""
    assert open_checkpoint(ENVELOPE, PINNED) == GOOD
    other_key = PinnedLog(ORIGIN, OTHER_LOG_KEY.public_key())
    assert_rejected(Code.CHECKPOINT_SIGNATURE_INVALID, lambda: open_checkpoint(ENVELOPE, other_key))
    other_origin = PinnedLog("other.test", LOG_KEY.public_key())
    assert_rejected(Code.CHECKPOINT_ORIGIN_MISMATCH, lambda: open_checkpoint(ENVELOPE, other_origin))


@given(st.text(max_size=200))
def test_no_text_is_a_checkpoint_by_chance(text: str) -> None:
    assert_rejected(Code.CHECKPOINT_MALFORMED, lambda: open_checkpoint(text, PINNED))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u200bb", "a\x00"])
def test_origins_that_cannot_be(origin: str) -> None:
    with pytest.raises(InputError):
        check_origin(origin)


@pytest.mark.parametrize("origin", ["log.test", "log.test/atlas", "atlas-2026_1"])
def test_origins_that_can_be(origin: str) -> None:
    check_origin(origin)
    log = PinnedLog(origin, LOG_KEY.public_key())
    checkpoint = Checkpoint(origin, 1, ROOT)
    assert open_checkpoint(sign_checkpoint(checkpoint, LOG_KEY, log), log) == checkpoint
