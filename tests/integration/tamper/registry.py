"""The registry of attacks: what each does, what catches it, and the weakness that it would use."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from atlas.codes import Code
from atlas.errors import AtlasError
from integration.tamper.world import Outcome, World

Run = Callable[[World], Outcome]
ATTACKS: list["Attack"] = []

WARNINGS = {
    Code.ANCESTOR_MISSING: "what was cleared away is no proof of tampering; a test shows that it warns",
    Code.PRODUCER_AMBIGUOUS: "two makers of the same bytes are no reason to refuse them; a test shows that it warns",
}
"""Codes that no attack comes to, and why."""


class Part(StrEnum):
    """What is attacked."""

    ARTIFACT = "artifact"
    SIDECAR = "sidecar"
    STATEMENT = "statement"
    SIGNER = "signer"
    OMS = "model signature"
    LOG = "log receipt"
    LINEAGE = "lineage"
    POLICY = "policy"
    EVIDENCE = "evidence"
    RUNTIME = "runtime"


@dataclass(frozen=True)
class Attack:
    """One attack. Its function is the attacker; its docstring says in one sentence what the attacker does."""

    run: Run
    part: Part
    caught: frozenset[Code]
    """The codes that must be found."""
    inherent: frozenset[Code]
    """Further codes that the same act cannot but cause; exactly these and `caught` are found."""
    refused: type[AtlasError] | None
    """Instead of a code: the error that says that Atlas will not even begin (exit 2)."""
    answers: str
    """The class of weakness that such an attack would use."""
    api: bool
    """Whether the library is asked directly, because no command leads there."""

    @property
    def id(self) -> str:
        """Its stable name."""
        return self.run.__name__.replace("_", "-")

    @property
    def description(self) -> str:
        """What the attacker does."""
        return (self.run.__doc__ or "").strip()

    @property
    def exit(self) -> int:
        """The exit code that a user sees."""
        return 2 if self.refused else 1

    @property
    def names(self) -> frozenset[str]:
        """Everything that is printed as the reason."""
        if self.refused:
            return frozenset({self.refused.__name__})
        return frozenset(each.value for each in self.caught | self.inherent)


def attack(
    part: Part,
    *caught: Code,
    answers: str,
    inherent: tuple[Code, ...] = (),
    refused: type[AtlasError] | None = None,
    api: bool = False,
) -> Callable[[Run], Run]:
    """Register an attack."""

    def register(run: Run) -> Run:
        ATTACKS.append(Attack(run, part, frozenset(caught), frozenset(inherent), refused, answers, api))
        return run

    return register


def load() -> list[Attack]:
    """All attacks, in the order of the parts and of their definition."""
    for path in sorted(Path(__file__).parent.glob("attacks_*.py")):
        importlib.import_module(f"integration.tamper.{path.stem}")
    return sorted(ATTACKS, key=lambda each: list(Part).index(each.part))
