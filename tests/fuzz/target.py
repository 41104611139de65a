"""A reader under test, and what must hold for each mutant that it reads.

Only `AtlasError` comes out (from a proof's reader: `Rejected`), soon, and what is accepted means what the original
means. A document that is not signed has no meaning to keep: there, an independent reading of the bytes must agree.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

from atlas.errors import AtlasError, Rejected
from fuzz.mutate import Operator

SLOWEST = 1.0
"""Seconds of processor time that one mutant may take."""
HUNG = 6.0
"""Seconds of processor time after which a reader is stopped."""


class _Hung(BaseException):
    """Raised inside of a reader that does not come back; no `except Exception` stops it."""


class Violation(AssertionError):
    """A mutant did what none may do."""

    def __init__(self, target: str, what: str, mutant: bytes) -> None:
        super().__init__(f"{target}: {what}\n{mutant[:4000].hex()}")
        self.mutant = mutant
        self.what = what


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Stop what runs for too long. By a signal, so only in the main thread."""

    def stop(_number: int, _frame: object) -> None:
        raise _Hung

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HUNG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@dataclass(frozen=True)
class Seed:
    """An honest document."""

    name: str
    raw: bytes
    judge: Callable[[bytes], object]
    """Reads a mutant: what it means; raises `AtlasError`."""
    operators: Mapping[str, Operator]
    meaning: object = None
    """What every mutant that is accepted must mean; None where `judge` itself sees to that."""
    finish: Callable[[Random, bytes], bytes] | None = None
    """Applied after the operators."""


@dataclass
class Target:
    """A reader under test."""

    name: str
    refusal: type[AtlasError]
    """All that may come out."""
    seeds: tuple[Seed, ...]
    limit: float = SLOWEST
    slowest: float = field(default=0.0)

    def check(self, seed: Seed, mutant: bytes) -> str:
        """Read one mutant.

        Returns:
            `accepted`, or the code (or type) of the refusal.

        Raises:
            Violation: if anything else happens.
        """
        began = time.thread_time()
        try:
            with _watched():
                meaning = seed.judge(mutant)
        except self.refusal as error:
            outcome = error.code.value if isinstance(error, Rejected) else type(error).__name__
            if not str(error):
                raise Violation(self.name, f"{outcome} without a message", mutant) from error
        except Violation:
            raise
        except _Hung as error:
            raise Violation(self.name, f"{seed.name}: hangs", mutant) from error
        except Exception as error:
            raise Violation(self.name, f"{seed.name}: {type(error).__name__}: {error}", mutant) from error
        else:
            outcome = "accepted"
            if seed.meaning is not None and meaning != seed.meaning:
                raise Violation(self.name, f"{seed.name}: accepted with another meaning", mutant)
        took = time.thread_time() - began
        self.slowest = max(self.slowest, took)
        if took > self.limit:
            raise Violation(self.name, f"{seed.name}: took {took:.1f} s", mutant)
        return outcome


def same(condition: bool, target: str, what: str, raw: bytes) -> None:
    if not condition:
        raise Violation(target, what, raw)
