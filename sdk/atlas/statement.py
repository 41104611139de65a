"""The statement: all that a step (or a publisher) asserts, as canonical JSON (RFC 8785).

`Statement` is what the program works with; `dump_statement` and `parse_statement` are its one byte form. The bytes are
what is signed, what evidence covers and what two verifiers compare, so the parser accepts just what the writer writes.
A statement that keeps nothing back is of version 1, any other of version 2.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from atlas.artifact import Kind, Measurement
from atlas.base64url import from_base64url
from atlas.canonical import SAFE_INTEGER, dump_canonical, load_json
from atlas.codes import Code
from atlas.disclosure import ALGORITHM, DIGESTS, reserved_name, uses_reserved
from atlas.errors import Rejected, StepError

TYPE_V1 = "dev.atlas.statement/v1"
TYPE_V2 = "dev.atlas.statement/v2"
"""With parameters that it names and does not tell, or commits to, or with a pseudonym."""
SALT_BYTES = 32
"""Of a pseudonym's salt."""
MAX_BYTES = 1 << 19
"""Largest statement, so that a manifest's definition stays below the 1 MiB that c2pa-rs takes."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

NEVER_WRITTEN = "never written"
"""The one reason for which an output without a digest is harmless: there are no bytes that anyone could use."""

NO_EVIDENCE = "none"
"""Instead of a provider of evidence: nobody was asked."""
FAILED_EVIDENCE = "failed:"
"""Before a provider of evidence: it was asked, gave none, and the step was allowed to go on."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Link:
    """The parent's manifest, as the consumer was told of it: a claim until the lineage confirms it."""

    label: str
    """The parent manifest's C2PA label (a URN)."""
    box_sha256: str
    """Identity of the parent's manifest: SHA-256 of its JUMBF box content."""
    asset_sha256: str
    """The artifact's digest as its maker measured it. Differs from the input's where the bytes were changed between."""


@dataclass(frozen=True)
class Input:
    """An artifact as a step found it before it ran."""

    name: str
    position: int
    """Place in a list input; 0 for a single artifact."""
    kind: Kind
    sha256: str
    size: int
    files: int
    uri: str
    schema: str
    """The artifact's type, e.g. `system.Dataset`."""
    changed: bool
    """Whether it measured differently after the step had run."""
    pinned: bool
    """Whether the pipeline demanded exactly this digest of an importer."""
    link: Link | None


@dataclass(frozen=True)
class Output:
    """An artifact as a step left it."""

    name: str
    position: int
    kind: Kind
    sha256: str
    size: int
    files: int
    uri: str
    schema: str
    properties: Mapping[str, Any] | None = None
    """The measured metadata itself, for `Kind.PROPERTIES` only."""


@dataclass(frozen=True)
class Unmeasured:
    """An artifact that took part and has no digest."""

    direction: str
    """`input` or `output`."""
    name: str
    position: int
    uri: str
    reason: str


@dataclass(frozen=True)
class Step:
    """One attempt of one task."""

    pipeline: str
    run: str
    task: str
    component: str
    attempt: int
    image: str
    code_sha256: str
    """Digest of the component's command template: what was asked to run."""
    exit_code: int


@dataclass(frozen=True)
class Publisher:
    """Who vouches for an artifact that no pipeline made."""

    name: str


@dataclass(frozen=True)
class Statement:
    """Everything one signature stands for."""

    maker: Step | Publisher
    outputs: tuple[Output, ...]
    started: datetime
    ended: datetime
    inputs: tuple[Input, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evidence: str = NO_EVIDENCE
    """The provider that was chosen for evidence; or `NO_EVIDENCE`, or one after `FAILED_EVIDENCE`."""
    secret: tuple[str, ...] = ()
    """Names of parameters whose values are recorded nowhere, sorted."""
    hidden: tuple[str, ...] = ()
    """Digests of the disclosures of further parameters, sorted."""
    pseudonym: str = ""
    """Salt of the pseudonym in the signer's certificate (base64url); empty if the certificate says the names."""

    @property
    def keeps_back(self) -> bool:
        """Whether it needs version 2."""
        return bool(self.secret or self.hidden or self.pseudonym)


def output_of(measured: Measurement, name: str, position: int = 0, uri: str = "", schema: str = "") -> Output:
    """The output that a measurement amounts to."""
    properties = load_json(measured.asset)[0] if measured.kind is Kind.PROPERTIES and measured.asset else None
    return Output(
        name, position, measured.kind, measured.sha256, measured.size, measured.files, uri, schema, properties
    )


def safe_json(value: Any) -> Any:
    """The same JSON value, with integers that RFC 8785 cannot carry as decimal strings (RFC 7493, section 2.2)."""
    if isinstance(value, dict):
        return {str(key): safe_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [safe_json(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > SAFE_INTEGER:
        return str(value)
    return value


def dump_statement(statement: Statement) -> bytes:
    """The statement's bytes.

    Raises:
        StepError: if a parameter or property has no canonical JSON, or the whole is too large.
    """
    maker = statement.maker
    document: dict[str, Any] = {
        "type": TYPE_V1,
        "inputs": [_input_json(each) for each in statement.inputs],
        "outputs": [_output_json(each) for each in statement.outputs],
        "unmeasured": [vars(each) for each in statement.unmeasured],
        "parameters": dict(statement.parameters),
        "started": statement.started.astimezone(UTC).strftime(TIME_FORMAT),
        "ended": statement.ended.astimezone(UTC).strftime(TIME_FORMAT),
        "evidence": statement.evidence,
        "step" if isinstance(maker, Step) else "publisher": vars(maker),
    }
    if statement.keeps_back:
        _keep_back(document, statement)
    try:
        raw = dump_canonical(document)
    except ValueError as error:
        raise StepError(f"a parameter or a property cannot be recorded as JSON: {error}") from error
    if len(raw) > MAX_BYTES:
        raise StepError(
            f"the statement has {len(raw)} bytes, and {MAX_BYTES} is the most",
            mend="pass large values as artifacts, not as parameters",
        )
    return raw


def _keep_back(document: dict[str, Any], statement: Statement) -> None:
    """Make a document of version 2 of one of version 1."""
    for name, value in statement.parameters.items():
        if uses_reserved({name: value}):
            raise reserved_name(name)
    if statement.hidden:
        document["parameters"][DIGESTS] = list(statement.hidden)
    document |= {
        "type": TYPE_V2,
        "_sd_alg": ALGORITHM,
        "secret": list(statement.secret),
        "pseudonym": statement.pseudonym,
    }


def _input_json(each: Input) -> dict[str, Any]:
    return {**vars(each), "link": vars(each.link) if each.link else None}


def _output_json(each: Output) -> dict[str, Any]:
    return {**vars(each), "properties": dict(each.properties) if each.properties is not None else None}


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
