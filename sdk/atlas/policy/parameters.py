"""Judging the parameters that steps were given, as far as they are told or disclosed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from atlas.canonical import SAFE_INTEGER, dump_canonical
from atlas.codes import Code
from atlas.document import Strict
from atlas.errors import Rejected
from atlas.lineage import Lineage, Node
from atlas.statement import Step
from atlas.verdict import Finding

OpenedValues = Mapping[str, Mapping[str, Any]]
"""Digest of a statement -> parameter -> value that a disclosure shows and the statement commits to."""


def _exact(value: object) -> object:
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        raise ValueError("an integer beyond 2^53 - 1 is recorded as text: write it in quotes")
    return value


Scalar = Annotated[bool | int | FiniteFloat | str, BeforeValidator(_exact)]


class Parameter(Strict):
    """What a parameter of each step of one component must be."""

    step: str
    """The component."""
    name: str
    equals: Scalar | None = None
    min: FiniteFloat | None = None
    max: FiniteFloat | None = None
    one_of: tuple[Scalar, ...] | None = Field(default=None, alias="oneOf")

    @model_validator(mode="after")
    def _bounded(self) -> "Parameter":
        if (self.equals, self.min, self.max, self.one_of) == (None, None, None, None):
            raise ValueError("a parameter needs equals, min, max or oneOf")
        return self

    @property
    def expected(self) -> str:
        """The rule in words."""
        words = [f"equal to {_text(self.equals)}"] if self.equals is not None else []
        words += [f"at least {self.min:g}"] if self.min is not None else []
        words += [f"at most {self.max:g}"] if self.max is not None else []
        words += [f"one of {', '.join(map(_text, self.one_of)) or 'nothing'}"] if self.one_of is not None else []
        return " and ".join(words)

    def allows(self, value: Any) -> bool:
        """Whether a value will do; values are the same whose canonical JSON is (1 is 1.0, and is not true)."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.equals is not None and _text(value) != _text(self.equals):
            return False
        if self.one_of is not None and _text(value) not in map(_text, self.one_of):
            return False
        if self.min is not None and not (number and value >= self.min):
            return False
        return self.max is None or (number and value <= self.max)


def judge_parameters(
    lineage: Lineage, rules: Sequence[Parameter], evaluations: Sequence[Lineage], opened: OpenedValues
) -> Iterator[Finding]:
    """What is wrong with the parameters of a lineage's steps and of the evaluations of its artifact."""
    for rule in rules:
        nodes = _steps(lineage, evaluations, rule.step)
        if not nodes:
            path = (*lineage.nodes[0].path, rule.step, rule.name)
            yield Finding.of(Rejected(Code.PARAMETER_MISSING, expected=rule.expected, found="no such step"), path)
        for node in nodes:
            if rejected := _judge(rule, node, opened):
                yield Finding.of(rejected, (*node.step_path, rule.name))


def _steps(lineage: Lineage, evaluations: Sequence[Lineage], component: str) -> list[Node]:
    """Manifests of the component's steps, one a statement."""
    found: dict[str, Node] = {}
    for node in (*lineage.nodes, *(each.nodes[0] for each in evaluations)):
        maker = node.facts.manifest.statement.maker
        if isinstance(maker, Step) and maker.component == component:
            found.setdefault(node.facts.manifest.statement_sha256, node)
    return list(found.values())


def _judge(rule: Parameter, node: Node, opened: OpenedValues) -> Rejected | None:
    statement = node.facts.manifest.statement
    values = opened.get(node.facts.manifest.statement_sha256, {})
    if rule.name in statement.parameters:
        value = statement.parameters[rule.name]
        if rule.allows(value):
            return None
        return Rejected(Code.PARAMETER_NOT_ALLOWED, expected=rule.expected, found=_text(value)[:200])
    if rule.name in values:
        if rule.allows(values[rule.name]):
            return None
        # what its owner keeps back is not for a finding to tell
        return Rejected(Code.PARAMETER_NOT_ALLOWED, expected=rule.expected, found="another value, kept back")
    if rule.name in statement.secret:
        return Rejected(Code.PARAMETER_UNDISCLOSED, expected=rule.expected, found="a secret")
    if unopened := len(statement.hidden) - len(values):
        found = f"{unopened} undisclosed parameter{'s' * (unopened != 1)}"
        return Rejected(Code.PARAMETER_UNDISCLOSED, expected=rule.expected, found=found)
    return Rejected(Code.PARAMETER_MISSING, expected=rule.expected, found="no such parameter")


def _text(value: Any) -> str:
    return dump_canonical(value).decode()
