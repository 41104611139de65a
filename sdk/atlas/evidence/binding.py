"""What evidence is bound to: one key, one statement, one attempt of one step.

    D          = SHA-384( "atlas/step-binding/v1" NUL ‖ lp(SHA-384(SPKI)) ‖ lp(context) ‖ lp(SHA-384(statement)) )
    REPORTDATA = base64url(D)                                 64 ASCII bytes

`lp(x)` is the length of x in four bytes, big-endian, and x. SPKI is the DER SubjectPublicKeyInfo of the key that signs
the claim; the context is canonical JSON (RFC 8785) of pipeline, run, task, attempt and the nonce that the evidence was
asked for with. The claim's signature covers the evidence, the evidence covers the key and the statement: nothing is
circular. 64 ASCII bytes are what every provider carries: configfs-tsm takes any 64, older agents of Confidential
Containers take text only.
"""

import base64
import hashlib
from dataclasses import dataclass

from atlas.canonical import dump_canonical
from atlas.statement import Step

_DOMAIN = b"atlas/step-binding/v1\0"


@dataclass(frozen=True)
class Context:
    """The attempt that evidence is of."""

    pipeline: str
    run: str
    task: str
    attempt: int
    nonce: str = ""
    """What whoever asked for the evidence chose, so that it cannot be older; empty if nobody asked."""

    @classmethod
    def of(cls, step: Step, nonce: str = "") -> "Context":
        """The context of a step."""
        return cls(step.pipeline, step.run, step.task, step.attempt, nonce)


@dataclass(frozen=True)
class Binding:
    """The three things that evidence is bound to."""

    key_sha384: str
    """Of the DER SubjectPublicKeyInfo, hex."""
    context: Context
    statement_sha384: str
    """Of the statement's bytes, hex."""

    @property
    def digest(self) -> bytes:
        """D, 48 bytes."""
        parts = (
            bytes.fromhex(self.key_sha384),
            dump_canonical(vars(self.context)),
            bytes.fromhex(self.statement_sha384),
        )
        return hashlib.sha384(_DOMAIN + b"".join(len(each).to_bytes(4, "big") + each for each in parts)).digest()

    @property
    def report_data(self) -> bytes:
        """REPORTDATA, 64 ASCII bytes."""
        return base64.urlsafe_b64encode(self.digest)


def bind(spki: bytes, context: Context, statement: bytes) -> Binding:
    """Bind a key (DER SubjectPublicKeyInfo) and a statement's bytes to a context."""
    return Binding(hashlib.sha384(spki).hexdigest(), context, hashlib.sha384(statement).hexdigest())
