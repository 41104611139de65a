"""What a log has taken since somebody began to write to it, as its tiles show it."""

import threading
from collections.abc import Callable

from atlas.log.checkpoint import Checkpoint
from atlas.log.tiles import Fetch, TileReader


class Tail:
    """The leaves of a log from a size on, as its tiles show them: a hint, which a proof must bear out. Thread-safe."""

    def __init__(self, fetch: Fetch, newest: Callable[[], Checkpoint | None]) -> None:
        """Begin at the log's present size.

        Args:
            fetch: reads tiles.
            newest: the log's verified checkpoint; None while it is empty.

        Raises:
            FetchError: if the log cannot be read.
            Rejected: if its checkpoint does not hold.
        """
        self._fetch, self._newest = fetch, newest
        self._lock = threading.Lock()
        self._index: dict[bytes, int] = {}
        self._seen = self._size()

    def find(self, leaf: bytes) -> int | None:
        """Where a leaf is that the log took since the beginning; None if it is not there yet.

        Raises:
            FetchError, InputError: if the log cannot be read.
            Rejected: if its checkpoint does not hold.
        """
        with self._lock:
            if leaf not in self._index:
                size = self._size()
                reader = TileReader(self._fetch, size)
                for index in range(self._seen, size):
                    self._index.setdefault(reader.node(0, index), index)
                self._seen = max(size, self._seen)
            return self._index.get(leaf)

    def _size(self) -> int:
        checkpoint = self._newest()
        return checkpoint.size if checkpoint else 0
