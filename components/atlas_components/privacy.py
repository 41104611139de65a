"""Which parameters of a component are kept back: marked by the pipeline's author, carried in the step's command.

A *secret* parameter's value is recorded nowhere, not even as a digest, because a short one could be guessed. A
*confidential* one is committed to by a salted digest, and can be disclosed later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas.errors import DocumentError, StepError

SECRET, CONFIDENTIAL = "--secret", "--confidential"
"""Flags of `atlas-run`; each takes names separated by commas."""


@dataclass(frozen=True)
class Privacy:
    """The parameters of one component that are kept back, by name."""

    secret: frozenset[str] = frozenset()
    confidential: frozenset[str] = frozenset()

    @classmethod
    def of_flags(cls, flags: Mapping[str, str]) -> "Privacy":
        """As the flags of `atlas-run` say."""
        return cls(_names(flags.get(SECRET, "")), _names(flags.get(CONFIDENTIAL, "")))

    @property
    def flags(self) -> list[str]:
        """The flags that say this."""
        pairs = ((SECRET, self.secret), (CONFIDENTIAL, self.confidential))
        return [text for flag, names in pairs if names for text in (flag, ",".join(sorted(names)))]

    def __or__(self, other: "Privacy") -> "Privacy":
        """What either keeps back; what one of them calls secret is secret."""
        secret = self.secret | other.secret
        return Privacy(secret, (self.confidential | other.confidential) - secret)


def read_marks(secret: Sequence[str], confidential: Sequence[str], known: Mapping[str, set[str]]) -> dict[str, Privacy]:
    """Read marks, written `component.parameter`.

    Args:
        secret: what to record nowhere.
        confidential: what to commit to.
        known: for each component, its parameters.

    Raises:
        DocumentError: if there is no such parameter (a mark that misses would leave a secret in the open), or one is
            marked both ways.
    """
    if both := sorted(set(secret) & set(confidential)):
        raise DocumentError(f"{both[0]}: marked secret and confidential", mend="mark it one way")
    marks: dict[str, Privacy] = {}
    for mark in (*secret, *confidential):
        component, _, name = mark.rpartition(".")
        if name not in known.get(component, ()) or "," in name:
            there = ", ".join(f"{each}.{one}" for each, names in sorted(known.items()) for one in sorted(names))
            raise DocumentError(
                f"{mark}: there is no such parameter", mend=f"write component.parameter, one of: {there or 'none'}"
            )
        found = Privacy(frozenset({name}), frozenset()) if mark in secret else Privacy(frozenset(), frozenset({name}))
        marks[component] = marks.get(component, Privacy()) | found
    return marks


def _names(text: str) -> frozenset[str]:
    names = frozenset(text.split(",")) if text else frozenset()
    if "" in names:
        raise StepError(
            "a list of parameters that are kept back has an empty name", mend="instrument the pipeline again"
        )
    return names
