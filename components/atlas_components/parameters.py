"""A step's parameters as its statement holds them: told, kept secret, or committed to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atlas.disclosure import Disclosure, conceal, reserved_name, uses_reserved
from atlas.statement import safe_json
from atlas_components.privacy import Privacy


@dataclass(frozen=True)
class Parameters:
    """What becomes of a step's parameters."""

    told: Mapping[str, Any]
    """Values; integers beyond 2**53 as decimal text, not rounded."""
    secret: tuple[str, ...]
    """Names of those whose values are nowhere."""
    hidden: tuple[Disclosure, ...]
    """Those that the statement commits to."""

    @property
    def digests(self) -> tuple[str, ...]:
        """What the statement holds of those that are hidden, in an order that does not tell which is which."""
        return tuple(sorted(each.digest for each in self.hidden))

    @property
    def document(self) -> bytes:
        """The disclosures, one a line."""
        return "".join(f"{each.encoded}\n" for each in self.hidden).encode("ascii")


def parameters_of(values: Mapping[str, Any], privacy: Privacy, *, pseudonymous: bool = False) -> Parameters:
    """Part a step's parameters.

    Args:
        values: by name, as KFP tells them.
        privacy: what to keep back.
        pseudonymous: whether the statement keeps back its signer's names.

    Raises:
        StepError: if a name within them is reserved where anything is kept back, or one has no JSON.
    """
    kept_back = privacy.secret | privacy.confidential
    told = {name: safe_json(value) for name, value in values.items() if name not in kept_back}
    secret = tuple(sorted(privacy.secret & values.keys()))
    hidden = tuple(conceal(name, safe_json(values[name])) for name in sorted(privacy.confidential & values.keys()))
    for name, value in told.items() if secret or hidden or pseudonymous else ():
        if uses_reserved({name: value}):
            raise reserved_name(name)
    return Parameters(told, secret, hidden)
