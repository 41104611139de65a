"""What the simulated manufacturer certifies of a machine: the SGX extension of its certificate.

Intel, *SGX PCK Certificate and Certificate Revocation List Profile*, section 1.3.5.
"""

from dataclasses import dataclass, fields
from typing import Any

from cryptography import x509

OID = x509.ObjectIdentifier("1.2.840.113741.1.13.1")

BOOLEAN, INTEGER, OCTETS, OBJECT, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x06, 0x0A, 0x30
"""Tags (ITU-T X.690)."""
_PLATFORM = 1  # SGX type: with multi-package support, as every platform that knows TDX


@dataclass(frozen=True)
class UnsafeSimulatedMachine:
    """One machine that does not exist."""

    ppid: bytes = b"ATLAS-SIMULATED!"
    """16 bytes that name the machine."""
    fmspc: bytes = bytes.fromhex("a71a55000000")
    """6 bytes that name its kind."""
    pce_id: bytes = bytes(2)
    cpu_svn: bytes = bytes([3] * 8 + [0] * 8)
    pce_svn: int = 13
    instance: bytes = b"SIMULATED-MACHIN"
    dynamic_platform: bool = False
    cached_keys: bool = False
    smt: bool = False

    @property
    def extension(self) -> x509.UnrecognizedExtension:
        """The SGX extension."""
        svns = [_pair(f".2.{number}", _integer(svn)) for number, svn in enumerate(self.cpu_svn, 1)]
        tcb = [*svns, _pair(".2.17", _integer(self.pce_svn)), _pair(".2.18", tlv(OCTETS, self.cpu_svn))]
        features = (self.dynamic_platform, self.cached_keys, self.smt)
        configuration = [_pair(f".7.{number}", _boolean(value)) for number, value in enumerate(features, 1)]
        content = _sequence(
            _pair(".1", tlv(OCTETS, self.ppid)),
            _pair(".2", _sequence(*tcb)),
            _pair(".3", tlv(OCTETS, self.pce_id)),
            _pair(".4", tlv(OCTETS, self.fmspc)),
            _pair(".5", tlv(ENUMERATED, bytes([_PLATFORM]))),
            _pair(".6", tlv(OCTETS, self.instance)),
            _pair(".7", _sequence(*configuration)),
        )
        return x509.UnrecognizedExtension(OID, content)

    def dump(self) -> dict[str, Any]:
        """As a JSON object."""
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(self).items()}

    @classmethod
    def load(cls, found: dict[str, Any]) -> "UnsafeSimulatedMachine":
        """Read what `dump` made.

        Raises:
            ValueError or TypeError: if it is anything else.
        """
        kinds = {each.name: type(each.default) for each in fields(cls)}
        values: dict[str, Any] = {n: bytes.fromhex(v) if kinds.get(n) is bytes else v for n, v in found.items()}
        if {name: type(value) for name, value in values.items()} != kinds:
            raise ValueError("the machine does not have the fields that it should have")
        return cls(**values)


# DER (ITU-T X.690), as much of it as the extension needs


def tlv(tag: int, content: bytes) -> bytes:
    """One element in DER."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _sequence(*parts: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(parts))


def _integer(value: int) -> bytes:
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _boolean(value: bool) -> bytes:
    return tlv(BOOLEAN, b"\xff" if value else b"\0")


def _pair(suffix: str, value: bytes) -> bytes:
    first, second, *rest = (int(arc) for arc in (OID.dotted_string + suffix).split("."))
    content = bytes([first * 40 + second]) + b"".join(_base128(arc) for arc in rest)
    return _sequence(tlv(OBJECT, content), value)


def _base128(arc: int) -> bytes:
    digits = [arc & 0x7F]
    while arc := arc >> 7:
        digits.append(arc & 0x7F | 0x80)
    return bytes(reversed(digits))
