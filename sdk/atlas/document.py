"""Files that a person writes: YAML in, a pydantic model out, and every mistake with its line."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import pydantic
import yaml

from atlas.errors import DocumentError, InputError

MAX_BYTES = 1 << 20
MAX_FIELDS = 20_000

MAX_DEPTH = 32
_NEAR = 0.75
"""How alike two names must be, of 0 to 1, for one to be a mistake for the other."""

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_Place = tuple[str | int, ...]


class Strict(pydantic.BaseModel):
    """Base of all such models: frozen, and an unknown field is an error."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    page: ClassVar[str] = "docs/policy.md"
    """Where every field is described."""


def read_document(path: Path, model: type[_Model]) -> _Model:
    """Read one YAML (or JSON) document from a file.

    Raises:
        InputError: if the file cannot be read.
        DocumentError: if it is not what the model prescribes; names file, line and field of each mistake.
    """
    return parse_document(read_input(path), model, str(path))


def read_input(path: Path) -> bytes:
    """What is in a file that a person named.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


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
        errors = error.errors(include_url=False, include_context=False)
        problems = [_problem(each, lines, name, model) for each in errors]
        raise DocumentError(
            "\n".join(problems), mend=f"`{getattr(model, 'page', Strict.page)}` lists every field"
        ) from error


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


def _problem(error: Any, lines: dict[_Place, int], name: str, model: type[pydantic.BaseModel]) -> str:
    place: _Place = tuple(error["loc"])
    known = place
    while known and known not in lines:
        known = known[:-1]
    field = ".".join(str(part) for part in place) or "document"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown field" + _nearest(str(place[-1]), _fields_at(model, place[:-1]))
    return f"{name}:{lines.get(known, 1)}: {field}: {message}"


def _nearest(written: str, fields: Iterable[str]) -> str:
    """Which field was probably meant, in words; capitals and underscores are the likeliest mistake."""
    plain = {each.lower(): each for each in fields}
    near = difflib.get_close_matches(written.lower().replace("_", ""), plain, n=1, cutoff=_NEAR)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def _fields_at(model: type[pydantic.BaseModel], place: _Place) -> Iterator[str]:
    """Names of the fields that may stand in this place of a document."""
    models = {model}
    for part in place:
        if isinstance(part, str):
            fields = [
                field for each in models for name, field in each.model_fields.items() if part in (name, field.alias)
            ]
            models = {found for field in fields for found in _models(field.annotation)}
    for each in models:
        yield from (field.alias or name for name, field in each.model_fields.items())


def _models(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    """The models in a field's type, such as that of `tuple[Step, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)
