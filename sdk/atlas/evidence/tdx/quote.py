"""Reading a TDX quote strictly (Intel, *TDX DCAP Quoting Library API*, appendix A: versions 4 and 5).

A verifier of signatures tolerates bytes that no signature covers: padding, lengths, types of certification data. Here a
quote has one form, and its identity is that of the signed part, header and body, never that of the blob: an ECDSA
signature has a second form that verifies as well.
"""

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from atlas.codes import Code
from atlas.errors import Rejected

MAX_BYTES = 64 << 10
"""Largest quote that is read; real ones have some 5 kB, and kernels hand out up to 8 kB."""

TEE_TDX = 0x81
_HEADER = struct.Struct("<HHIHH16s20s")
_ECDSA_P256 = 2
_INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_BODY_10, _BODY_15 = 584, 648  # TD 1.0 and TD 1.5
_BODY_TYPES = {(2, _BODY_10), (3, _BODY_15)}
_REPORT = struct.Struct("16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")
_PCK_CHAIN, _QE_REPORT = 5, 6  # types of certification data
_TYPE_AND_SIZE = struct.Struct("<HI")
_SIGNATURE = struct.Struct("<I128xHI448xH")
"""Size of all that follows; signature and key; type and size of the outer certification data; the enclave's report with
its signature; size of what the enclave authenticates besides."""
_OUTER = 4 + 128 + 6
_PEM = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class TdReport:
    """The trust domain as the TDX module measured it. All fields are raw bytes."""

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmrs: tuple[bytes, bytes, bytes, bytes]
    report_data: bytes
    mr_service_td: bytes
    """Zero in TD 1.0, which has no such field."""


@dataclass(frozen=True)
class Quote:
    """One quote, nothing of which is verified."""

    raw: bytes
    """Without the zeros that follow it."""
    version: int
    user_data: bytes
    report: TdReport
    chain_start: int
    signed_size: int

    @cached_property
    def identity(self) -> str:
        """SHA-256 (hex) of header and body: what is signed."""
        return hashlib.sha256(self.raw[: self.signed_size]).hexdigest()

    @property
    def pck_chain(self) -> bytes:
        """PEM: the platform's certificate, its authority's, the root's."""
        return self.raw[self.chain_start :].rstrip(b"\0")


def parse_quote(raw: bytes) -> Quote:
    """Read one TDX quote; zeros may follow it.

    Raises:
        Rejected: `QuoteMalformed`, `QuoteNotTdx`, `QuoteVersionUnknown` or `QuoteNotCanonical`.
    """
    if len(raw) > MAX_BYTES:
        _malformed(f"{len(raw)} bytes; a quote has at most {MAX_BYTES}")
    if len(raw) < _HEADER.size:
        _malformed("it ends in its header")
    version, key_type, tee, _, _, vendor, user_data = _HEADER.unpack_from(raw)
    if tee != TEE_TDX:
        raise Rejected(Code.QUOTE_NOT_TDX, expected=f"TEE type {TEE_TDX:#x}", found=f"TEE type {tee:#x}")
    if (key_type, vendor) != (_ECDSA_P256, _INTEL_QE):
        raise Rejected(Code.QUOTE_VERSION_UNKNOWN, found=f"attestation key type {key_type}, vendor {vendor.hex()}")
    start, size = _body(raw, version)
    end = start + size
    chain_start, total = _signature_data(raw, end)
    return Quote(raw[:total], version, user_data, _report(raw[start:end]), chain_start, end)


def _body(raw: bytes, version: int) -> tuple[int, int]:
    """Where the body begins, and its size."""
    start = _HEADER.size
    if version == 4:
        return start, _BODY_10
    if version != 5:
        raise Rejected(Code.QUOTE_VERSION_UNKNOWN, expected="version 4 or 5", found=f"version {version}")
    kind, size = _read(_TYPE_AND_SIZE, raw, start)
    if (kind, size) not in _BODY_TYPES:
        raise Rejected(Code.QUOTE_VERSION_UNKNOWN, found=f"a body of type {kind} with {size} bytes")
    return start + 6, size


def _signature_data(raw: bytes, start: int) -> tuple[int, int]:
    """Where the platform's certificates begin, and where the quote ends."""
    size, outer, outer_size, authentication = _read(_SIGNATURE, raw, start)
    total = start + 4 + size
    if total > len(raw):
        _malformed("it ends in its signature")
    if any(raw[total:]):
        raise Rejected(Code.QUOTE_NOT_CANONICAL, "bytes follow the quote")
    _check_fills("outer", outer, _QE_REPORT, start + _OUTER + outer_size, total)
    inner = start + _SIGNATURE.size + authentication
    kind, inner_size = _read(_TYPE_AND_SIZE, raw, inner)
    at = inner + _TYPE_AND_SIZE.size
    _check_fills("inner", kind, _PCK_CHAIN, at + inner_size, total)
    if raw.count(_PEM, at, total) != 3 or not raw.startswith(_PEM, at):
        raise Rejected(Code.QUOTE_NOT_CANONICAL, "the platform's certificates are not three in PEM")
    return at, total


def _check_fills(which: str, kind: int, expected: int, end: int, total: int) -> None:
    """Certification data is of one type and fills all of the rest."""
    if kind != expected:
        what = f"the {which} certification data"
        raise Rejected(Code.QUOTE_NOT_CANONICAL, what, expected=f"type {expected}", found=f"type {kind}")
    if end != total:
        raise Rejected(Code.QUOTE_NOT_CANONICAL, f"the {which} certification data does not fill the signature")


def _report(body: bytes) -> TdReport:
    fields = _REPORT.unpack_from(body)
    svn, seam, seam_signer, seam_attributes, attributes, xfam, td, config, owner, owner_config, *rtmrs, data = fields
    service = body[-48:] if len(body) == _BODY_15 else bytes(48)
    return TdReport(
        tee_tcb_svn=svn,
        mr_seam=seam,
        mr_signer_seam=seam_signer,
        seam_attributes=seam_attributes,
        td_attributes=attributes,
        xfam=xfam,
        mr_td=td,
        mr_config_id=config,
        mr_owner=owner,
        mr_owner_config=owner_config,
        rtmrs=(rtmrs[0], rtmrs[1], rtmrs[2], rtmrs[3]),
        report_data=data,
        mr_service_td=service,
    )


def _read(form: struct.Struct, raw: bytes, at: int) -> tuple[int, ...]:
    try:
        return form.unpack_from(raw, at)
    except struct.error:
        _malformed("it ends too early")


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.QUOTE_MALFORMED, f"the quote is malformed: {detail}")
