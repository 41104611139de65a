"""Three witnesses, and how they cosign a checkpoint (C2SP tlog-cosignature v1)."""

from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.log.encoding import to_base64
from atlas.trust import Witness

KEYS = [ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in range(3)]
WITNESSES = tuple(Witness(f"witness.test/{number}", key.public_key()) for number, key in enumerate(KEYS))


def cosign(note: str, number: int, time: int, *, text: str = "", name: str = "") -> str:
    """The note with one signature line more, as witness `number` writes it at a time (seconds since 1970).

    Args:
        note: a signed checkpoint.
        number: of the witness.
        time: that it states.
        text: what it signs, if not the note's own text.
        name: whose name it writes, if not its own.
    """
    own = note.partition("\n\n")[0] + "\n"
    signed = f"cosignature/v1\ntime {time}\n{text or own}".encode()
    value = WITNESSES[number].key_id[:4] + time.to_bytes(8, "big") + KEYS[number].sign(signed)
    return f"{note}— {name or WITNESSES[number].name} {to_base64(value)}\n"
