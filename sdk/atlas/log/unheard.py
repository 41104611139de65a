"""Entries that were sent to a log and not answered for.

A log that dies may have taken them, and may not know them again when they are sent once more: what it knows of
duplicates lags behind what it holds. So it is given the time that it needs to show what it took, and is then looked at.
"""

import threading
import time
from collections.abc import Callable

from atlas.log.tail import Tail

_UNKNOWN = 5.0
"""Seconds that a log is given which has not answered yet (Rekor v2 specification: 2 to 10 are typical)."""
_WEIGHT = 0.1


class Unheard:
    """What one log may have taken, and since when it can be asked. Threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._leaves: set[bytes] = set()
        self._up: float | None = None
        self._latency = _UNKNOWN / 2
        self.tail: Tail | None = None
        """Where they are looked for."""

    def __contains__(self, leaf: bytes) -> bool:
        return leaf in self._leaves

    def sent(self, leaf: bytes) -> float:
        """An entry is sent; returns when."""
        with self._lock:
            self._leaves.add(leaf)
        return self._clock()

    def heard(self, leaf: bytes, sent: float | None = None) -> None:
        """What became of an entry is known; if the log took it, it was `sent` then."""
        with self._lock:
            self._leaves.discard(leaf)
            if sent is not None:
                self._latency += _WEIGHT * (self._clock() - sent - self._latency)

    def down(self) -> None:
        """The log did not answer."""
        with self._lock:
            self._up = None

    def up(self) -> float:
        """The log answered; seconds until it will have shown all that it took before it was down."""
        with self._lock:
            if self._up is None:
                self._up = self._clock()
            # what it shows next comes within twice the time that it takes on average
            return max(self._up + 2 * self._latency - self._clock(), 0.0)
