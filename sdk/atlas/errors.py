"""Everything that Atlas raises on purpose.

    AtlasError                    what happened, and `mend`: what to do about it
    ├── InputError                something given to Atlas cannot be used (exit 2)
    │   ├── MeasureError          a path that cannot be measured
    │   ├── DocumentError         a policy, trust root or pipeline file that is not valid
    │   └── StepError             a step whose provenance cannot be recorded
    ├── StateError                the home, its keys or its databases cannot be used (exit 2)
    │   ├── StorageError          a database or a disk failed
    │   ├── HomeVersionError      the home was written by a newer Atlas
    │   ├── ClockError            this machine's clock cannot be right
    │   ├── TokenError            a PKCS#11 token could not be used
    │   ├── EvidenceError         a provider could not give evidence
    │   └── FetchError            a service could not be asked
    ├── SigningError              a manifest could not be made (exit 2)
    └── Rejected                  a proof does not hold; carries its `Code` (exit 1)

Verifying functions return what they verified or raise `Rejected`; none returns a bool.
"""

from atlas.catalogue import CATALOGUE
from atlas.codes import Code


class AtlasError(Exception):
    """Base of all errors of Atlas; `str()` of it is fit for a user."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class InputError(AtlasError):
    """Something given to Atlas cannot be used."""


class MeasureError(InputError):
    """A path cannot be measured."""


class DocumentError(InputError):
    """A policy, trust root or pipeline file is not valid."""


class StepError(InputError):
    """The provenance of a step cannot be recorded."""


class StateError(AtlasError):
    """The home, its keys or its databases cannot be used."""


class StorageError(StateError):
    """A database or a disk failed."""


class HomeVersionError(StateError):
    """The home was written by a newer Atlas."""


class ClockError(StateError):
    """This machine's clock cannot be right."""


class TokenError(StateError):
    """A PKCS#11 token could not be used."""


class EvidenceError(StateError):
    """A provider could not give evidence."""


class FetchError(StateError):
    """A service could not be asked.

    Attributes:
        passing: whether it gave no answer at all, and may give one to the same question later.
    """

    def __init__(self, message: str, *, mend: str = "", passing: bool = False) -> None:
        super().__init__(message, mend=mend)
        self.passing = passing


class SigningError(AtlasError):
    """A manifest could not be made."""


class Rejected(AtlasError):
    """A proof does not hold.

    Attributes:
        code: the stable reason.
        expected: what would have been right, for a person to read; may be empty.
        found: what was there instead; may be empty.
    """

    def __init__(self, code: Code, message: str = "", *, expected: str = "", found: str = "") -> None:
        super().__init__(message or CATALOGUE[code].meaning, mend=CATALOGUE[code].mend)
        self.code = code
        self.expected = expected
        self.found = found
