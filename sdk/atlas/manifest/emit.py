"""Making a sidecar: a statement, a digest that is known already, one signature. The artifact is never read."""

import datetime as dt
import hashlib
import io
import json
from dataclasses import dataclass
from functools import cache

import c2pa

from atlas.artifact import EMPTY_SHA256
from atlas.errors import Rejected, SigningError
from atlas.evidence.attest import Attest
from atlas.keys import Credential, Issuer, issue
from atlas.manifest import profile
from atlas.manifest.parse import Manifest, parse_manifest
from atlas.statement import Output, Statement, dump_statement

MAX_DEFINITION = 1_000_000
"""Bytes of JSON that c2pa-rs takes as a manifest definition (just under 1 MiB)."""


@dataclass(frozen=True)
class Sidecar:
    """A signed manifest and what it is of."""

    output: Output | None
    """None for the manifest of a statement without outputs that can be signed."""
    manifest: Manifest
    raw: bytes

    @property
    def name(self) -> str:
        """File name of the sidecar, unique among those of one statement."""
        if self.output is None:
            return "statement.c2pa"
        place = f"@{self.output.position}" if self.output.position else ""
        return f"{self.output.name}{place}.c2pa"


def sign_statement(
    statement: Statement, issuer: Issuer, now: dt.datetime, *, attest: Attest | None = None
) -> list[Sidecar]:
    """Sign one manifest for each output, or one for the statement itself, with one key that is then forgotten.

    Empty outputs get none: C2PA binds signatures to bytes, and there are none.

    Args:
        statement: what is asserted.
        issuer: who certifies the key.
        now: the time of signing.
        attest: asks for evidence of the key and the statement; one for all manifests, which share both.

    Raises:
        SigningError, StepError, ClockError, StateError: if a manifest cannot be made.
    """
    credential = issue(issuer, statement.maker, now, statement.pseudonym)
    evidence = attest(credential.spki, dump_statement(statement)) if attest else ""
    outputs: list[Output | None] = [each for each in statement.outputs if each.sha256 != EMPTY_SHA256]
    return [sign_manifest(statement, each, credential, evidence=evidence) for each in outputs or [None]]


def sign_manifest(
    statement: Statement, output: Output | None, credential: Credential, *, evidence: str = ""
) -> Sidecar:
    """Sign the manifest of one of the statement's outputs, or, where it has none, of the statement itself.

    Raises:
        SigningError: if it cannot be made, or if what was made does not read back as what was meant.
        StepError: if the statement has no canonical form.
    """
    if output and output.sha256 == EMPTY_SHA256:
        raise SigningError(f"{output.name}: an empty artifact cannot be signed: C2PA binds a signature to bytes")
    document = dump_statement(statement)
    asset = output.sha256 if output else hashlib.sha256(document).hexdigest()
    parts = profile.definition(statement, document, output, bytes.fromhex(asset), evidence)
    definition = json.dumps(parts, ensure_ascii=False)
    if (size := len(definition.encode())) > MAX_DEFINITION:
        raise SigningError(
            f"a manifest of {len(statement.inputs)} inputs and {len(document)} bytes of statement is too large: its "
            f"definition has {size} bytes, and C2PA takes {MAX_DEFINITION}",
            mend="pass large values as artifacts, and many artifacts as one directory artifact",
        )
    try:
        builder = c2pa.Builder(definition, context=_context())
        builder.set_no_embed()
        info = c2pa.C2paSignerInfo(b"es256", credential.chain_pem, credential.key_pem, None)
        raw = bytes(builder.sign(c2pa.Signer.from_info(info), profile.FORMAT, io.BytesIO(b""), io.BytesIO()))
    except c2pa.C2paError as error:
        raise SigningError(f"the C2PA library could not sign: {error}") from error
    return Sidecar(output, _read_back(raw, statement, asset), raw)


@cache
def _context() -> c2pa.Context:
    return profile.context()


def _read_back(raw: bytes, statement: Statement, asset: str) -> Manifest:
    """Read what was made: C2PA's own check after signing does not see a wrong digest in a sidecar."""
    try:
        manifest = parse_manifest(raw)
    except Rejected as error:
        raise SigningError(f"the sidecar that was made does not verify: {error}") from error
    if manifest.statement != statement or manifest.asset_sha256 != asset:
        raise SigningError("the sidecar that was made does not say what it was meant to say")
    return manifest
