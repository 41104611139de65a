"""Files that a person writes: YAML in, a pydantic model out, and every mistake with its line."""

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from atlas.errors import DocumentError, InputError

MAX_BYTES = 1 << 20
MAX_FIELDS = 20_000

MAX_DEPTH = 32

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_Place = tuple[str | int, ...]


class Strict(pydantic.BaseModel):
    """Base of all such models: frozen, and an unknown field is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def read_document(path: Path, model: type[_Model]) -> _Model:
    """Read one YAML (or JSON) document from a file.

    Raises:
        InputError: if the file cannot be read.
        DocumentError: if it is not what the model prescribes; names file, line and field of each mistake.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    return parse_document(raw, model, str(path))


def parse_document(raw: bytes, model: type[_Model], name: str) -> _Model:
    """Read one YAML (or JSON) document.

    Args:
        raw: UTF-8.
        model: what it must be.
        name: what messages call it.

    Raises:
        DocumentError: as `read_document`.
    """
    if len(raw) > MAX_BYTES:
        raise DocumentError(f"{name}: {len(raw)} bytes; a document of this kind has at most {MAX_BYTES}")
    lines: dict[_Place, int] = {}
    try:
        node = yaml.compose(raw.decode("utf-8"), Loader=_Loader)
        if node is None:
            raise DocumentError(f"{name}: the file is empty")
        data = _build(node, (), lines, name, 0)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such character
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise DocumentError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        problems = [_problem(each, lines, name) for each in error.errors(include_url=False, include_context=False)]
        raise DocumentError("\n".join(problems), mend="`docs/policy.md` lists every field") from error


class _Loader(yaml.SafeLoader):
    """Stops at what is nested too deeply, or too much, before it has read all of it."""

    _depth = _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH or self._nodes > 2 * MAX_FIELDS:  # a key and a value each
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"nested too deeply, or over {MAX_FIELDS} fields", problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _build(node: yaml.Node, place: _Place, lines: dict[_Place, int], name: str, depth: int) -> Any:
    """Plain data from a YAML node, noting the line of every field; refuses repeated keys and deep nesting."""
    lines[place] = node.start_mark.line + 1
    if depth > MAX_DEPTH or len(lines) > MAX_FIELDS:  # aliases of aliases stand for more fields than any memory holds
        raise DocumentError(f"{name}:{lines[place]}: nested too deeply, or over {MAX_FIELDS} fields")
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node, name)
            if key in mapping:
                raise DocumentError(f"{name}:{key_node.start_mark.line + 1}: the field {key!r} stands here twice")
            mapping[key] = _build(value_node, (*place, key), lines, name, depth + 1)
            lines[(*place, key)] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_build(each, (*place, i), lines, name, depth + 1) for i, each in enumerate(node.value)]
    return _scalar(node, name)


def _scalar(node: yaml.Node, name: str) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        raise DocumentError(f"{name}:{node.start_mark.line + 1}: a field's name must be text")
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node, deep=True)
        str(value).encode()  # lone surrogates, which YAML can write, have no digest
        return value
    except (ValueError, OverflowError, LookupError, AttributeError) as error:  # such as a date that no calendar has
        raise DocumentError(f"{name}:{node.start_mark.line + 1}: {error}") from error
    finally:
        loader.dispose()


def _problem(error: Any, lines: dict[_Place, int], name: str) -> str:
    place: _Place = tuple(error["loc"])
    known = place
    while known and known not in lines:
        known = known[:-1]
    field = ".".join(str(part) for part in place) or "document"
    message = "unknown field" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    return f"{name}:{lines.get(known, 1)}: {field}: {message}"
