"""Asking again: pauses that grow and vary, until the patience is at its end."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes of HTTP for trouble that may pass."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0


@dataclass(frozen=True)
class Patience:
    """How long somebody goes on asking. Time is a parameter, so that waiting can be tested without waiting."""

    seconds: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def tries(self) -> Iterator[float]:
        """The seconds that are left at each try, with a pause before each but the first."""
        deadline = self.clock() + self.seconds
        attempt = 0
        while True:
            yield max(deadline - self.clock(), 0.0)
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311  no secret
            if self.clock() + pause > deadline:
                return
            self.sleep(pause)
            attempt += 1
