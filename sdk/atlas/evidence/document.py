"""The form in which a manifest carries evidence: the JSON of its assertion `dev.atlas.evidence`.

Canonical JSON (RFC 8785) with exactly these fields:

    type       dev.atlas.evidence/v1
    provider   who gave it: tdx, coco or simulated
    bound      what it says it is bound to: key_sha384, statement_sha384 and context. A claim, which the report data
               confirms; where it does not agree with the manifest, it tells in words what was replayed.
    quote      the TDX quote, base64
    event_log  the TCG event log, base64; or null
    gpu        a list of {report (base64), chain (PEM)}
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from atlas.canonical import dump_canonical, load_json
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.binding import Binding, Context
from atlas.evidence.providers import Attestation, GpuAttestation

TYPE_V1 = "dev.atlas.evidence/v1"
MAX_BYTES = 1 << 20

_FIELDS: dict[str, Any] = {
    "type": str,
    "provider": str,
    "bound": dict,
    "quote": str,
    "event_log": (str, type(None)),
    "gpu": list,
}
_BOUND: dict[str, Any] = {"key_sha384": str, "statement_sha384": str, "context": dict}
_CONTEXT: dict[str, Any] = {"pipeline": str, "run": str, "task": str, "attempt": int, "nonce": str}


@dataclass(frozen=True)
class Evidence:
    """One step's evidence; nothing of it is verified."""

    provider: str
    bound: Binding
    attestation: Attestation


def dump_evidence(evidence: Evidence) -> str:
    """The document's text."""
    given, bound = evidence.attestation, evidence.bound
    document = {
        "type": TYPE_V1,
        "provider": evidence.provider,
        "bound": {**vars(bound), "context": vars(bound.context)},
        "quote": _base64(given.quote),
        "event_log": _base64(given.event_log) if given.event_log is not None else None,
        "gpu": [{"report": _base64(each.report), "chain": each.chain_pem} for each in given.gpu],
    }
    return dump_canonical(document).decode()


def parse_evidence(text: str) -> Evidence:
    """Read a document strictly.

    Raises:
        Rejected: `EvidenceMalformed`.
    """
    raw = text.encode()
    if len(raw) > MAX_BYTES:
        _malformed(f"it has {len(raw)} bytes, and {MAX_BYTES} is the most")
    try:
        document, canonical = load_json(raw)
    except ValueError as error:
        _malformed(f"not JSON: {error}")
    fields = _exactly(document, "the document", _FIELDS)
    if fields["type"] != TYPE_V1:
        _malformed(f"of a type {str(fields['type'])[:80]!r} that is not known")
    if not canonical:
        _malformed("it is not canonical JSON (RFC 8785)")
    bound = _exactly(fields["bound"], "bound", _BOUND)
    context = Context(**_exactly(bound["context"], "context", _CONTEXT))
    gpus = (_exactly(each, "gpu", {"report": str, "chain": str}) for each in fields["gpu"])
    return Evidence(
        fields["provider"],
        Binding(_sha384(bound["key_sha384"]), context, _sha384(bound["statement_sha384"])),
        Attestation(
            _bytes(fields["quote"]),
            _bytes(fields["event_log"]) if fields["event_log"] is not None else None,
            tuple(GpuAttestation(_bytes(each["report"]), each["chain"]) for each in gpus),
        ),
    )


def _exactly(value: object, where: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != schema.keys():
        _malformed(f"{where} does not have the fields {', '.join(schema)}")
    for name, kind in schema.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            _malformed(f"{where}.{name} is not of the type it must be")
    return value


def _sha384(value: str) -> str:
    if len(value) != 96 or not set(value) <= set("0123456789abcdef"):
        _malformed("a digest is not SHA-384 in lower-case hex")
    return value


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        _malformed(f"not base64: {error}")
    if _base64(raw) != text:
        _malformed("base64 with stray bits")
    return raw


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.EVIDENCE_MALFORMED, f"the evidence is malformed: {detail}")
