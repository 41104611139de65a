"""Reading a statement strictly: only what the writer writes."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from atlas.artifact import Kind
from atlas.base64url import from_base64url
from atlas.canonical import dump_canonical, load_json
from atlas.codes import Code
from atlas.disclosure import ALGORITHM, DIGESTS, uses_reserved
from atlas.errors import Rejected
from atlas.statement.model import SALT_BYTES, Input, Link, Output, Publisher, Statement, Step, Unmeasured
from atlas.statement.write import MAX_BYTES, TIME_FORMAT, TYPE_V1, TYPE_V2

_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_statement(raw: bytes) -> Statement:
    """Read a statement strictly: these fields, these types, canonical bytes.

    Raises:
        Rejected: `StatementMalformed`, `StatementVersionUnknown` or `StatementNotCanonical`.
    """
    if len(raw) > MAX_BYTES:
        _malformed(f"it has {len(raw)} bytes, and {MAX_BYTES} is the most")
    try:
        document, canonical = load_json(raw)
    except ValueError as error:
        _malformed(f"not JSON: {error}")
    if not isinstance(document, dict):
        _malformed("not a JSON object")
    version = document.get("type")
    if version not in (TYPE_V1, TYPE_V2):
        expected = f"{TYPE_V1} or {TYPE_V2}"
        raise Rejected(Code.STATEMENT_VERSION_UNKNOWN, expected=expected, found=str(version)[:80])
    if not canonical:
        raise Rejected(Code.STATEMENT_NOT_CANONICAL)
    maker_field = "step" if "step" in document else "publisher"
    schema = _STATEMENT | (_KEPT_BACK if version == TYPE_V2 else {})
    fields = _fields(document, "statement", schema | {maker_field: dict})
    kept_back = _parse_kept_back(fields) if version == TYPE_V2 else {}
    statement = Statement(
        maker=_maker(maker_field, fields[maker_field]),
        inputs=tuple(_parse_input(each) for each in fields["inputs"]),
        outputs=tuple(_parse_output(each) for each in fields["outputs"]),
        unmeasured=tuple(_parse_unmeasured(each) for each in fields["unmeasured"]),
        parameters=fields["parameters"],
        started=_time(fields["started"]),
        ended=_time(fields["ended"]),
        evidence=fields["evidence"],
        **kept_back,
    )
    if isinstance(statement.maker, Publisher) and (
        len(statement.outputs) != 1
        or any((statement.inputs, statement.unmeasured, statement.parameters, statement.secret, statement.hidden))
    ):
        _malformed("a publisher vouches for one artifact and for nothing else")
    if statement.ended < statement.started:
        _malformed("it ended before it started")
    if len({(each.name, each.position) for each in statement.outputs}) != len(statement.outputs):
        _malformed("two outputs have one name and position")
    return statement


_STATEMENT: dict[str, type] = {
    "type": str,
    "inputs": list,
    "outputs": list,
    "unmeasured": list,
    "parameters": dict,
    "started": str,
    "ended": str,
    "evidence": str,
}
_KEPT_BACK: dict[str, type] = {"_sd_alg": str, "secret": list, "pseudonym": str}
_MEASURED: dict[str, type] = {
    "name": str,
    "position": int,
    "kind": str,
    "sha256": str,
    "size": int,
    "files": int,
    "uri": str,
    "schema": str,
}
_INPUT: dict[str, Any] = _MEASURED | {"changed": bool, "pinned": bool, "link": (dict, type(None))}
_OUTPUT: dict[str, Any] = _MEASURED | {"properties": (dict, type(None))}
_LINK: dict[str, type] = {"label": str, "box_sha256": str, "asset_sha256": str}
_UNMEASURED: dict[str, type] = {"direction": str, "name": str, "position": int, "uri": str, "reason": str}
_STEP: dict[str, type] = {
    "pipeline": str,
    "run": str,
    "task": str,
    "component": str,
    "attempt": int,
    "image": str,
    "code_sha256": str,
    "exit_code": int,
}
_PUBLISHER: dict[str, type] = {"name": str}


def _parse_kept_back(fields: dict[str, Any]) -> dict[str, Any]:
    """What version 2 has more; takes the digests out of the parameters."""
    secret, pseudonym, parameters = fields["secret"], fields["pseudonym"], fields["parameters"]
    if fields["_sd_alg"] != ALGORITHM:
        _malformed(f"_sd_alg: not {ALGORITHM}")
    if not all(isinstance(each, str) for each in secret) or secret != sorted(set(secret)):
        _malformed("secret: not names in order")
    if pseudonym and not _is_32_bytes(pseudonym):
        _malformed(f"pseudonym: not a salt of {SALT_BYTES} bytes")
    hidden = _parse_digests(parameters.pop(DIGESTS)) if DIGESTS in parameters else []
    if uses_reserved(parameters):
        raise Rejected(Code.STATEMENT_DIGESTS_MALFORMED, expected="digests beside parameters, not within them")
    if exposed := sorted(parameters.keys() & set(secret)):
        raise Rejected(Code.PARAMETER_EXPOSED, found=", ".join(exposed)[:200])
    if not (secret or hidden or pseudonym):
        _malformed("it keeps nothing back, which is version 1")
    return {"secret": tuple(secret), "hidden": tuple(hidden), "pseudonym": pseudonym}


def _parse_digests(value: object) -> list[str]:
    digests = value if isinstance(value, list) and all(_is_32_bytes(each) for each in value) else []
    if not digests or digests != sorted(set(digests)):
        raise Rejected(Code.STATEMENT_DIGESTS_MALFORMED, expected="SHA-256 digests in order, none twice")
    return digests


def _is_32_bytes(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(from_base64url(value, SALT_BYTES))
    except ValueError:
        return False


def _fields(value: object, where: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The object's fields, if they are exactly those of the schema and of its types."""
    if not isinstance(value, dict):
        _malformed(f"{where}: not an object")
    if value.keys() != schema.keys():
        strange = sorted(value.keys() ^ schema.keys())
        _malformed(f"{where}: missing or unknown fields: {', '.join(map(str, strange))[:200]}")
    for name, kind in schema.items():
        each = value[name]
        if not isinstance(each, kind) or (kind is int and (isinstance(each, bool) or each < 0)):
            _malformed(f"{where}.{name}: not of the type it must be")
    return value


def _maker(kind: str, value: dict[str, Any]) -> Step | Publisher:
    if kind == "publisher":
        return Publisher(**_fields(value, kind, _PUBLISHER))
    step = Step(**_fields(value, kind, _STEP))
    _sha256(step.code_sha256, "step.code_sha256")
    return step


def _parse_input(value: object) -> Input:
    fields = _fields(value, "input", _INPUT)
    link = fields["link"]
    if link is not None:
        link = Link(**_fields(link, "input.link", _LINK))
        _sha256(link.box_sha256, "input.link.box_sha256")
        _sha256(link.asset_sha256, "input.link.asset_sha256")
    return Input(**{**fields, "kind": _measured(fields), "link": link})


def _parse_output(value: object) -> Output:
    fields = _fields(value, "output", _OUTPUT)
    kind = _measured(fields)
    properties = fields["properties"]
    if (kind is Kind.PROPERTIES) != (properties is not None):
        _malformed("output.properties: present for the kind `properties` and for no other")
    if properties is not None and hashlib.sha256(dump_canonical(properties)).hexdigest() != fields["sha256"]:
        _malformed("output.sha256: not the digest of its properties")
    return Output(**{**fields, "kind": kind})


def _parse_unmeasured(value: object) -> Unmeasured:
    each = Unmeasured(**_fields(value, "unmeasured", _UNMEASURED))
    if each.direction not in ("input", "output"):
        _malformed("unmeasured.direction: neither input nor output")
    return each


def _measured(fields: Mapping[str, Any]) -> Kind:
    _sha256(fields["sha256"], "sha256")
    try:
        return Kind(fields["kind"])
    except ValueError:
        _malformed(f"kind: not one of {', '.join(Kind)}")


def _sha256(value: str, where: str) -> None:
    if not _SHA256.fullmatch(value):
        _malformed(f"{where}: not a SHA-256 digest in lower-case hex")


def _time(value: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        whole = time.tzinfo is UTC and time.strftime(TIME_FORMAT) == value
    except ValueError:
        whole = False
    if not whole:
        _malformed(f"not a time of the form 2026-01-31T23:59:59.000000Z: {value[:40]!r}")
    return time


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.STATEMENT_MALFORMED, f"the statement is malformed: {detail}")
