"""Keys that are pinned by themselves: of logs, of witnesses, and of publishers without a certificate."""

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.errors import DocumentError
from atlas.spki import dump_spki, spki_sha256


@dataclass(frozen=True)
class Witness:
    """Who cosigns checkpoints of logs (C2SP tlog-cosignature v1)."""

    name: str
    public_key: ed25519.Ed25519PublicKey

    @cached_property
    def key_id(self) -> bytes:
        """The digest whose first four bytes stand in a cosignature (C2SP signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._key).digest()

    @cached_property
    def verifier_key(self) -> str:
        """The witness in one line (C2SP signed-note, "Verifier keys"): name, key hash and key."""
        return f"{self.name}+{self.key_id[:4].hex()}+{base64.b64encode(self._key).decode('ascii')}"

    @property
    def _key(self) -> bytes:
        return bytes([_COSIGNATURE]) + self.public_key.public_bytes_raw()


_COSIGNATURE = 4
"""The type of a witness's key (C2SP signed-note, "Signature types")."""


@dataclass(frozen=True)
class PinnedLog:
    """A transparency log: its origin line and its key (Ed25519 or ECDSA), as C2SP signed notes name them."""

    origin: str
    public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
    rekor: int = 2
    """Major version of Rekor that it speaks. In version 1 the origin stands before the number of one of its trees."""
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    """When the log's key was in use, if that is known."""
    quorum: int = 0
    """How many witnesses must have cosigned a checkpoint before it is believed."""
    witnesses: tuple[Witness, ...] = ()
    """Those that count."""

    def __post_init__(self) -> None:
        if self.rekor == 1 and not (
            isinstance(self.public_key, ec.EllipticCurvePublicKey) and isinstance(self.public_key.curve, ec.SECP256R1)
        ):
            raise DocumentError(
                f"log {self.origin!r}: the key of a Rekor v1 log must be ECDSA P-256",
                mend="have the log's key from who runs it; a log with another key may be a Rekor v2",
            )

    @cached_property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo."""
        return dump_spki(self.public_key)

    @cached_property
    def key_id(self) -> bytes:
        """The 32-byte key id whose first four bytes stand in a signed note (C2SP signed-note; Rekor for ECDSA)."""
        if isinstance(self.public_key, ed25519.Ed25519PublicKey):
            return hashlib.sha256(self.origin.encode() + b"\n\x01" + self.public_key.public_bytes_raw()).digest()
        return hashlib.sha256(self.der).digest()


@dataclass(frozen=True)
class PublisherKey:
    """A publisher's key that is believed without a certificate, for models signed with OpenSSF Model Signing."""

    name: str
    public_key: ec.EllipticCurvePublicKey

    @cached_property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo."""
        return dump_spki(self.public_key)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the key, hex."""
        return spki_sha256(self.public_key)


def load_witness(verifier_key: str) -> Witness:
    """Read a witness's key in the one line that witnesses publish (C2SP signed-note, "Verifier keys").

    Raises:
        DocumentError: if it is not an Ed25519 key for cosignatures, or its hash is not its own.
    """
    name, _, rest = verifier_key.partition("+")
    key_hash, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
        witness = Witness(name, ed25519.Ed25519PublicKey.from_public_bytes(raw[1:]))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentError(
            f"witness {verifier_key[:80]!r}: not name+hash+key", mend="copy the line that the witness publishes"
        ) from error
    if witness.verifier_key != verifier_key or key_hash != witness.key_id[:4].hex():
        raise DocumentError(
            f"witness {name!r}: not a key for cosignatures (type 4), or with another hash than its own",
            mend="copy the line that the witness publishes",
        )
    return witness


def load_log(
    origin: str,
    public_key: str,
    rekor: int = 2,
    valid_from: dt.datetime | None = None,
    valid_until: dt.datetime | None = None,
    quorum: int = 0,
    witnesses: tuple[Witness, ...] = (),
) -> PinnedLog:
    """Read a log's key, base64 of DER SubjectPublicKeyInfo; the rest is as in `PinnedLog`.

    Raises:
        DocumentError: if it is not an Ed25519 or ECDSA public key, or not one that such a log has; or if there are
            fewer witnesses than it must have.
    """
    if quorum > len(witnesses):
        raise DocumentError(
            f"log {origin!r}: demands {quorum} witnesses, and the trust root names {len(witnesses)}",
            mend="name the witnesses, by their keys",
        )
    key = _load_key(f"log {origin!r}", public_key)
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise DocumentError(f"log {origin!r}: a log's key must be Ed25519 or ECDSA")
    return PinnedLog(origin, key, rekor, valid_from, valid_until, quorum, witnesses)


def load_publisher_key(name: str, public_key: str) -> PublisherKey:
    """Read a publisher's key, base64 of DER SubjectPublicKeyInfo.

    Raises:
        DocumentError: if it is not an ECDSA public key on P-256, P-384 or P-521.
    """
    key = _load_key(f"publisher {name!r}", public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        raise DocumentError(f"publisher {name!r}: a publisher's key must be ECDSA on P-256, P-384 or P-521")
    return PublisherKey(name, key)


def _load_key(what: str, public_key: str) -> object:
    try:
        return serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentError(f"{what}: not a public key in base64 DER: {error}") from error
