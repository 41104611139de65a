"""A trust domain that nobody measured: what its quote says, and the event log that leads to its registers.

Layouts: Intel, *TDX DCAP Quoting Library API*, appendix A; TCG, *PC Client Platform Firmware Profile*, section 10
(crypto-agile event log); the agent's own events as Confidential Containers log them (AAEL).
"""

import hashlib
import struct
from dataclasses import dataclass, replace

from atlas.errors import InputError

_DEBUG, _SEPT_VE_DISABLE, _MIGRATABLE, _PKS, _PERFMON = 0, 28, 29, 30, 63
_BODY_15, _BODY_15_SIZE = 3, 648
_EV_NO_ACTION, _EV_EVENT_TAG, _EV_EFI_ACTION = 0x3, 0x6, 0x80000007
_SHA384 = 0x000C
_END = b"\xff" * 8  # what follows the last event in the memory that firmware hands over


@dataclass(frozen=True)
class UnsafeSimulatedEvent:
    """One entry of the event log."""

    rtmr: int
    """Of 0 to 3."""
    data: bytes
    kind: int = _EV_EFI_ACTION
    sha384: bytes | None = None
    """What the register was extended with; the data's digest, if None."""

    @property
    def digest(self) -> bytes:
        """What the register was extended with."""
        return hashlib.sha384(self.data).digest() if self.sha384 is None else self.sha384

    @property
    def entry(self) -> bytes:
        """As it stands in the log (TCG_PCR_EVENT2)."""
        head = struct.pack("<IIIH", self.rtmr + 1, self.kind, 1, _SHA384)
        return head + self.digest + struct.pack("<I", len(self.data)) + self.data


def agent_event(domain: str, operation: str, content: str) -> UnsafeSimulatedEvent:
    """An event that the pod's agent was asked to log, in RTMR3."""
    text = f"{domain} {operation} {content}".encode()
    return UnsafeSimulatedEvent(3, b"LEAA" + struct.pack("<I", len(text)) + text, _EV_EVENT_TAG)


def tcb_svn(module: int = 6, version: int = 1, loader: int = 3) -> bytes:
    """TEE_TCB_SVN: SVN of the TDX module, its major version, SVN of what loads it."""
    return bytes([module, version, loader]) + bytes(13)


def _made_up(what: str) -> bytes:
    return hashlib.sha384(f"Atlas SIMULATED {what}".encode()).digest()


_BOOT = (
    UnsafeSimulatedEvent(0, b"Atlas SIMULATED firmware configuration"),
    UnsafeSimulatedEvent(1, b"Atlas SIMULATED kernel"),
    UnsafeSimulatedEvent(2, b"Atlas SIMULATED command line"),
)


@dataclass(frozen=True)
class UnsafeSimulatedTd:
    """What a quote says of a trust domain. Unlike a real one, it is whatever it is told to be."""

    debug: bool = False
    migratable: bool = False
    sept_ve_disable: bool = True
    pks: bool = False
    perfmon: bool = False
    other_attributes: int = 0
    """More bits of ATTRIBUTES, reserved ones for example."""
    xfam: bytes = bytes.fromhex("e702060000000000")
    tee_tcb_svn: bytes = tcb_svn()
    """Of the platform that launched it."""
    tee_tcb_svn_2: bytes | None = None
    """Of the platform now (TD 1.5); as at launch, if None."""
    mr_seam: bytes = _made_up("TDX module")
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    mr_td: bytes = _made_up("firmware")
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    mr_service_td: bytes = bytes(48)
    events: tuple[UnsafeSimulatedEvent, ...] = _BOOT
    rtmrs: tuple[bytes, bytes, bytes, bytes] | None = None
    """What the events lead to, if None."""

    @property
    def registers(self) -> tuple[bytes, bytes, bytes, bytes]:
        """RTMR0 to RTMR3."""
        if self.rtmrs is not None:
            return self.rtmrs
        found = [bytes(48)] * 4
        for each in self.events:
            found[each.rtmr] = hashlib.sha384(found[each.rtmr] + each.digest).digest()
        return found[0], found[1], found[2], found[3]

    @property
    def event_log(self) -> bytes:
        """The events, as firmware and agent log them (CCEL)."""
        algorithms = struct.pack("<IHH", 1, _SHA384, 48)
        header = b"Spec ID Event03\0" + struct.pack("<IBBBB", 0, 0, 2, 0, 2) + algorithms + b"\0"
        first = struct.pack("<II20sI", 1, _EV_NO_ACTION, b"", len(header)) + header
        return first + b"".join(each.entry for each in self.events) + _END

    def extended(self, event: UnsafeSimulatedEvent) -> "UnsafeSimulatedTd":
        """The same, after one more event."""
        return replace(self, events=(*self.events, event))

    def body(self, report_data: bytes, version: int) -> bytes:
        """The quote's body, with the descriptor that version 5 puts before it.

        Raises:
            InputError: if a quote of this version cannot say it.
        """
        if len(report_data) != 64:
            raise InputError(f"report data are 64 bytes, not {len(report_data)}")
        common = self._common(report_data)
        if version == 5:
            current = self.tee_tcb_svn if self.tee_tcb_svn_2 is None else self.tee_tcb_svn_2
            return struct.pack("<HI", _BODY_15, _BODY_15_SIZE) + common + current + self.mr_service_td
        if version != 4:
            raise InputError(f"there is no TDX quote of version {version}")
        if self.tee_tcb_svn_2 is not None or any(self.mr_service_td):
            raise InputError("a quote of version 4 has neither TEE_TCB_SVN2 nor MRSERVICETD", mend="make version 5")
        return common

    def _common(self, report_data: bytes) -> bytes:
        flags = {
            _DEBUG: self.debug,
            _SEPT_VE_DISABLE: self.sept_ve_disable,
            _MIGRATABLE: self.migratable,
            _PKS: self.pks,
            _PERFMON: self.perfmon,
        }
        attributes = self.other_attributes | sum(value << bit for bit, value in flags.items())
        return b"".join(
            (
                self.tee_tcb_svn,
                self.mr_seam,
                self.mr_signer_seam,
                self.seam_attributes,
                attributes.to_bytes(8, "little"),
                self.xfam,
                self.mr_td,
                self.mr_config_id,
                self.mr_owner,
                self.mr_owner_config,
                *self.registers,
                report_data,
            )
        )
