"""Trying again: pauses that grow and vary, until patience is at its end."""

import random
from collections.abc import Callable, Iterator

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes of HTTP for trouble that may pass."""


def tries(patience: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> Iterator[int]:
    """Numbers of tries, with pauses between them, until the next one would begin after `patience` seconds."""
    deadline = clock() + patience
    attempt = 0
    while True:
        yield attempt
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311  no secret
        if clock() + pause > deadline:
            return
        sleep(pause)
        attempt += 1
