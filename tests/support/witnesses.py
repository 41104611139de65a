"""Witnesses of a public log; three of our own, and how they cosign a checkpoint (C2SP tlog-cosignature v1)."""

from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.log.encoding import to_base64
from atlas.trust import Witness, load_witness

PUBLIC = (
    load_witness("witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv"),
    load_witness(
        "staging.witness.transparency.goog/ring-any-bells+2e1a8dc9+BG5JTpLc3FJtwzgh1Uv+Qelz9qeOH2bfWjS1s0s+y4rL"
    ),
    load_witness("witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G"),
)
"""Who has cosigned the staging log of Sigstore, `log2025-alpha3`."""

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
