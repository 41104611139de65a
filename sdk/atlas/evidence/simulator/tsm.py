"""A folder that behaves like configfs-tsm for one kind of request, so that the real provider runs unchanged.

Its quotes are simulated ones, and say so: whoever appraises what the provider `tdx` made of one refuses it.
"""

import contextlib
import errno
import os
import threading
from enum import StrEnum
from pathlib import Path

from atlas.evidence.providers.tdx import TdxProvider
from atlas.evidence.simulator.platform import TD, UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd

_POLL = 0.005
_PADDING = b"\xff" * 65536


class UnsafeSimulatedTsmFault(StrEnum):
    """What can be wrong with it."""

    ABSENT = "there is no such folder"
    BUSY = "no request can be made"
    OTHER_KERNEL = "it is another kind of guest"
    RACED = "somebody else wrote to the same request"
    OTHER_DATA = "the quote carries other report data"
    SHORT = "the quote is cut off"
    NO_HOST = "the host makes no quote"


class UnsafeSimulatedTsm:
    """The kernel of a trust domain that nobody measured.

    Args:
        folder: an empty one; `report`, `CCEL` and `measurements` are made in it.
        platform: makes the quotes.
        td: what they say.
        fault: what is wrong.
    """

    def __init__(
        self,
        folder: Path,
        platform: UnsafeSimulatedPlatform,
        td: UnsafeSimulatedTd = TD,
        fault: UnsafeSimulatedTsmFault | None = None,
    ) -> None:
        self.reports = folder / "report"
        self.event_log = folder / "CCEL"
        self.measurements = folder / "measurements"
        self._platform, self._td, self._fault = platform, td, fault
        self._threads: dict[Path, threading.Thread] = {}
        if fault is not UnsafeSimulatedTsmFault.ABSENT:
            self.reports.mkdir()
        self.event_log.write_bytes(td.event_log + _PADDING)
        self.measurements.mkdir()
        for number, value in enumerate(td.registers):
            (self.measurements / f"rtmr{number}:sha384").write_bytes(value)

    def provider(self) -> TdxProvider:
        """The real provider, which asks here."""
        return TdxProvider(self.reports, self.event_log, self.make, self.remove, self.measurements)

    def make(self, entry: Path) -> None:
        """Make a folder for a request, with the kernel's files in it."""
        if self._fault is UnsafeSimulatedTsmFault.BUSY:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(entry))
        entry.mkdir()
        guest = "sev_guest" if self._fault is UnsafeSimulatedTsmFault.OTHER_KERNEL else "tdx_guest"
        (entry / "provider").write_text(f"{guest}\n", encoding="ascii")
        (entry / "generation").write_text("0\n", encoding="ascii")
        os.mkfifo(entry / "inblob")
        if self._fault is UnsafeSimulatedTsmFault.NO_HOST:
            (entry / "outblob").symlink_to("/proc/self/mem")  # a file whose first byte is an I/O error
        else:
            os.mkfifo(entry / "outblob")
        self._threads[entry] = threading.Thread(target=self._serve, args=(entry,), daemon=True)
        self._threads[entry].start()

    def remove(self, entry: Path) -> None:
        """Remove it, whatever has become of the request."""
        thread = self._threads.pop(entry)
        while thread.is_alive():  # it may wait for a request, or for somebody to read the answer
            for name, mode in (("inblob", os.O_WRONLY), ("outblob", os.O_RDONLY)):
                try:
                    descriptor = os.open(entry / name, mode | os.O_NONBLOCK)
                except OSError:
                    continue
                thread.join(_POLL)
                os.close(descriptor)
        for each in entry.iterdir():
            each.unlink()
        entry.rmdir()

    def _serve(self, entry: Path) -> None:
        asked = (entry / "inblob").read_bytes()
        if not asked:
            return  # the folder is being removed
        raced = self._fault is UnsafeSimulatedTsmFault.RACED
        (entry / "generation").write_text("2\n" if raced else "1\n", encoding="ascii")
        if self._fault is UnsafeSimulatedTsmFault.NO_HOST:
            return
        other = self._fault is UnsafeSimulatedTsmFault.OTHER_DATA
        quote = self._platform.quote(asked[::-1] if other else asked, self._td)
        if self._fault is UnsafeSimulatedTsmFault.SHORT:
            quote = quote[: len(quote) // 2]
        with contextlib.suppress(BrokenPipeError), (entry / "outblob").open("wb", buffering=0) as file:
            file.write(quote)
