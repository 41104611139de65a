"""Writing a statement: its one byte form, and what it is made of."""

from datetime import UTC
from typing import Any

from atlas.canonical import SAFE_INTEGER, dump_canonical
from atlas.disclosure import ALGORITHM, DIGESTS, reserved_name, uses_reserved
from atlas.errors import StepError
from atlas.statement.model import Input, Output, Statement, Step

TYPE_V1 = "dev.atlas.statement/v1"
TYPE_V2 = "dev.atlas.statement/v2"
"""With parameters that it names and does not tell, or commits to, or with a pseudonym."""
MAX_BYTES = 1 << 19
"""Largest statement, so that a manifest's definition stays below the 1 MiB that c2pa-rs takes."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


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
