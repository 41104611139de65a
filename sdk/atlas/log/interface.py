"""What gathering and watching need of a log, wherever it runs."""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from atlas.errors import AtlasError
from atlas.log.entry import Entry
from atlas.log.receipt import Receipt
from atlas.log.tiles import TileReader
from atlas.trust import PinnedLog


class TransparencyLog(Protocol):
    """A log that entries can be put into."""

    @property
    def pinned(self) -> PinnedLog:
        """The log as a trust root pins it."""

    def record(self, entries: Sequence[Entry]) -> Sequence[Receipt | AtlasError]:
        """Have the log record entries; those that it holds already keep their place.

        Returns:
            For each, in their order: its receipt, or why there is none.
        """

    def checkpoint(self) -> str | None:
        """The newest checkpoint, a signed note; None while the log is empty."""

    def __enter__(self) -> Self:
        """Use the log until `__exit__`."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""


class TiledLog(TransparencyLog, Protocol):
    """A log whose tree can be read (C2SP tlog-tiles)."""

    def tiles(self, size: int) -> TileReader:
        """The tree of the first `size` entries, as the log's tiles show it; reading it raises `FetchError`, too."""
