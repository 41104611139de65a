"""Evidence from the kernel of the trust domain that the process runs in.

Quotes come through configfs-tsm (Linux 6.7; *ABI/testing/configfs-tsm-report*), registers from the measurements of
`tdx_guest` (Linux 6.16; *ABI/testing/sysfs-devices-virtual-misc-tdx_guest*), the event log from where ACPI keeps it
(*ACPI Specification*, "CC Event Log ACPI Table").
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from atlas.errors import EvidenceError, Rejected
from atlas.evidence.providers import Attestation
from atlas.evidence.providers.answer import attested, check_report_data
from atlas.evidence.tdx import eventlog
from atlas.evidence.tdx import quote as quotes

REPORTS = Path("/sys/kernel/config/tsm/report")
EVENT_LOG = Path("/sys/firmware/acpi/tables/data/CCEL")
MEASUREMENTS = Path("/sys/devices/virtual/misc/tdx_guest/measurements")

_KERNEL = "tdx_guest"
_REGISTER_BYTES = 48
_ENOUGH = 72
"""Bytes of padding to keep: eight that end the log, and what the last event's data may themselves end with."""

_NOT_HERE = (
    "run the step in an Intel TDX guest with Linux 6.7 or newer, load its module tdx_guest, and mount configfs; "
    "in a pod of Confidential Containers, choose the provider coco"
)
_NOT_ALLOWED = "run the step as a user who may, usually root"
_BUSY = "wait until the quote that was asked for before is made, and run the step again"
_KERNEL_FAULT = "this is no kernel as it is known, from Linux 6.16 on: update it"
_HOST = "have the host's administrator look at its quote generation service (QGS)"


class TdxProvider:
    """Asks the kernel for quotes.

    Args:
        reports: the folder of configfs-tsm.
        event_log: the table's content; there need not be one.
        make: makes a folder in `reports`, in which the kernel puts files.
        remove: removes it, with its files.
        measurements: the folder of registers; older kernels have none.
    """

    name = "tdx"

    def __init__(
        self,
        reports: Path = REPORTS,
        event_log: Path = EVENT_LOG,
        make: Callable[[Path], None] = Path.mkdir,
        remove: Callable[[Path], None] = Path.rmdir,
        measurements: Path = MEASUREMENTS,
    ) -> None:
        self._reports = reports
        self._event_log = event_log
        self._make = make
        self._remove = remove
        self._measurements = measurements

    def attest(self, report_data: bytes) -> Attestation:
        """A quote that carries these 64 bytes, and the firmware's event log.

        Raises:
            EvidenceError: if there is none to be had, or it shows other registers than the kernel reads.
        """
        check_report_data(report_data)
        before = read_rtmrs(self._measurements)
        attestation = attested(self._quote(report_data), report_data, self._log())
        _check_registers(attestation.quote, before, read_rtmrs(self._measurements))
        return attestation

    def _quote(self, report_data: bytes) -> bytes:
        entry = self._reports / f"atlas-{secrets.token_hex(8)}"  # nobody else's
        try:
            self._make(entry)
        except OSError as error:
            raise _failed(f"{self._reports}: no quote can be asked for here", error, _NOT_HERE) from error
        try:
            return _ask(entry, report_data)
        finally:
            with contextlib.suppress(OSError):  # the quote is no worse for it
                self._remove(entry)

    def _log(self) -> bytes | None:
        try:
            with self._event_log.open("rb") as file:
                raw = file.read(eventlog.MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(f"{self._event_log}: the event log cannot be read", error, _NOT_ALLOWED) from error
        return _without_padding(raw)


def read_rtmrs(root: Path = MEASUREMENTS) -> tuple[bytes, ...] | None:
    """RTMR0 to RTMR3 as the kernel reads them; None if it is too old to tell.

    Raises:
        EvidenceError: if they cannot be read.
    """
    if not root.exists():
        return None
    values = []
    for number in range(4):
        path = root / f"rtmr{number}:sha384"
        try:
            with path.open("rb") as file:
                value = file.read(_REGISTER_BYTES + 1)
        except OSError as error:
            raise _failed(f"{path}: the register cannot be read", error, _KERNEL_FAULT) from error
        if len(value) != _REGISTER_BYTES:
            raise EvidenceError(f"{path}: not a register of {_REGISTER_BYTES} bytes", mend=_KERNEL_FAULT)
        values.append(value)
    return tuple(values)


def _check_registers(quote: bytes, before: tuple[bytes, ...] | None, after: tuple[bytes, ...] | None) -> None:
    """See that the quote is of this trust domain, and of now: something may extend a register meanwhile."""
    quoted = quotes.parse_quote(quote).report.rtmrs
    for number, (value, *read) in enumerate(zip(quoted, before or quoted, after or quoted, strict=True)):
        if value not in read:
            raise EvidenceError(
                f"the quote has RTMR{number} {value.hex()}, and the kernel reads {read[-1].hex()}",
                mend="run the step again; if it stays so, the host answers with quotes of another trust domain",
            )


def _ask(entry: Path, report_data: bytes) -> bytes:
    try:
        kernel = (entry / "provider").read_text(encoding="ascii", errors="replace").strip()
        if kernel != _KERNEL:
            raise EvidenceError(
                f"this machine gives evidence of {kernel[:40]!r}, not of {_KERNEL!r}",
                mend="run the step in an Intel TDX guest",
            )
        descriptor = os.open(entry / "inblob", os.O_WRONLY)
        try:
            written = os.write(descriptor, report_data)  # in one piece: each write asks anew
        finally:
            os.close(descriptor)
        if written != len(report_data):
            raise EvidenceError(f"the kernel took {written} of {len(report_data)} bytes", mend=_BUSY)
        with (entry / "outblob").open("rb") as file:
            quote = file.read(quotes.MAX_BYTES + 1)
        generation = (entry / "generation").read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise _failed("the kernel gave no quote", error, _HOST) from error
    if generation != "1":
        raise EvidenceError(
            f"somebody else used this request for a quote: its generation is {generation[:20]!r}, not '1'",
            mend="let nothing else write to the folders of configfs-tsm, and run the step again",
        )
    return quote


def _without_padding(raw: bytes) -> bytes:
    """The log without the rest of the memory that firmware set aside for it, some 250 kB of one byte."""
    short = raw.rstrip(raw[-1:]) + raw[-1:] * _ENOUGH
    try:
        same = eventlog.parse_event_log(short) == eventlog.parse_event_log(raw)
    except Rejected:
        return raw  # whoever verifies the evidence says what is wrong with it
    return short if same and len(short) < len(raw) else raw


def _failed(what: str, error: OSError, mend: str) -> EvidenceError:
    if error.errno in (errno.EACCES, errno.EPERM):
        mend = _NOT_ALLOWED
    elif error.errno in (errno.EBUSY, errno.EAGAIN):
        mend = _BUSY
    return EvidenceError(f"{what}: {error.strerror or error}", mend=mend)
