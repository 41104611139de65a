"""Quotes held against collateral: what real platforms show comes out as it should, and each lie has its own code."""

import base64
import datetime as dt
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.appraise import verify_under
from atlas.evidence.simulator import pki
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.td import UnsafeSimulatedTd, tcb_svn
from atlas.evidence.tdx.collateral import (
    Collateral,
    Freshness,
    check_not_older,
    latest,
    parse_collateral,
    select,
)
from atlas.evidence.tdx.quote import MAX_BYTES, parse_quote
from atlas.evidence.tdx.verify import VerifiedQuote, platform_of, verify_quote
from atlas.trust import EvidenceRoot, Tee, intel_root
from unit.evidence.evidence_support import NOW, day, platform, real_collateral, resigned, stranger

DATA = b"r" * 64
DAY = dt.timedelta(days=1)
INTEL = intel_root().certificate


def honest(version: int = 4, **td: Any) -> bytes:
    return platform().quote(DATA, UnsafeSimulatedTd(**td), version)


def said(**tcb: Any) -> Collateral:
    return platform().collateral(NOW, **tcb)


def verified(raw: bytes, collateral: Collateral | None = None, at: dt.datetime = NOW) -> VerifiedQuote:
    return verify_quote(parse_quote(raw), collateral or said(), platform().root, at)


def refused(raw: bytes, collateral: Collateral | None = None, at: dt.datetime = NOW) -> Code:
    with pytest.raises(Rejected) as caught:
        verified(raw, collateral, at)
    return caught.value.code


# ------------------------------------------------------------------------------------------------ what is real

REAL = [
    ("phala/tdx_quote", "tdx_quote", "2025-06-20", ("UpToDate", ())),
    (
        "automata/quote_tdx.bin",
        "1025",
        "2025-10-25",
        ("OutOfDate", ("INTEL-SA-00960", "INTEL-SA-00982", "INTEL-SA-00986")),
    ),
    ("go-tdx-guest/cos-113-tdx-quote.dat", "1025", "2025-10-25", ("UpToDate", ())),
    ("go-tdx-guest/quote_v5_sample.dat", "v5", "2026-02-20", ("UpToDate", ())),
    ("trustee/tdx_quote_4.dat", "2023", "2023-07-01", Code.TD_DEBUG),
    ("phala/tdx_quote_outdated", "tdx_quote_outdated", "2026-02-20", Code.TCB_LEVEL_UNKNOWN),
    ("phala/sgx_quote", "sgx_quote", "2025-06-20", Code.QUOTE_NOT_TDX),
]


@pytest.mark.parametrize(("quote", "collateral", "at", "expected"), REAL, ids=[each[0] for each in REAL])
def test_real_quotes(
    real_data: Path, quote: str, collateral: str, at: str, expected: Code | tuple[str, tuple[str, ...]]
) -> None:
    raw, known = (real_data / "tdx" / quote).read_bytes(), real_collateral(real_data, collateral)
    if isinstance(expected, Code):
        with pytest.raises(Rejected) as caught:
            verify_quote(parse_quote(raw), known, INTEL, day(at))
        assert caught.value.code is expected
        return
    found = verify_quote(parse_quote(raw), known, INTEL, day(at))
    assert (found.platform.status, found.platform.advisories) == expected
    assert (found.platform.fmspc, found.platform.authority) == platform_of(found.quote) == known.platform


def test_each_byte_of_a_real_quote(real_data: Path) -> None:
    """A flipped bit is refused, or lies where no signature is, and leaves the quote's identity as it was."""
    raw = (real_data / "tdx" / "phala" / "tdx_quote").read_bytes()
    known, at = real_collateral(real_data, "tdx_quote"), day("2025-06-20")
    quote = parse_quote(raw)
    accepted = []
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1 << (place % 8)]) + raw[place + 1 :]
        try:
            found = verify_quote(parse_quote(changed), known, INTEL, at)
        except Rejected:
            continue
        accepted.append(place)
        assert found.quote.identity == quote.identity
    assert accepted, "the encoding of the certificates is known to have some play"
    assert min(accepted) > quote.signed_size + 4 + 128, "neither what is signed nor the signature"


def test_a_second_form_of_the_signature_has_the_same_identity(real_data: Path) -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    raw = (real_data / "tdx" / "phala" / "tdx_quote").read_bytes()
    known, at, start = real_collateral(real_data, "tdx_quote"), day("2025-06-20"), parse_quote(raw).signed_size + 4
    twin = (order - int.from_bytes(raw[start + 32 : start + 64], "big")).to_bytes(32, "big")
    other = raw[: start + 32] + twin + raw[start + 64 :]
    assert other != raw
    assert verify_quote(parse_quote(other), known, INTEL, at).quote.identity == parse_quote(raw).identity


def test_roots_do_not_stand_in_for_each_other(real_data: Path) -> None:
    real, known = (real_data / "tdx" / "phala" / "tdx_quote").read_bytes(), real_collateral(real_data, "tdx_quote")
    with pytest.raises(Rejected) as caught:  # Intel's under the simulator's root
        verify_quote(parse_quote(real), known, platform().root, day("2025-06-20"))
    assert caught.value.code is Code.QUOTE_CERTIFICATE_INVALID
    with pytest.raises(Rejected) as caught:  # the simulator's under Intel's
        verify_quote(parse_quote(honest()), said(), INTEL, NOW)
    assert caught.value.code is Code.QUOTE_CERTIFICATE_INVALID
    with pytest.raises(Rejected) as caught:  # the simulator's, with collateral of Intel
        verify_quote(parse_quote(honest()), known, INTEL, day("2025-06-20"))
    assert caught.value.code is Code.QUOTE_CERTIFICATE_INVALID
    with pytest.raises(Rejected) as caught:  # Intel's, with collateral of the simulator
        verify_quote(parse_quote(real), said(), INTEL, NOW)
    assert caught.value.code is Code.COLLATERAL_SIGNER_INVALID


def test_real_collateral_for_another_platform(real_data: Path) -> None:
    raw = (real_data / "tdx" / "go-tdx-guest" / "cos-113-tdx-quote.dat").read_bytes()
    known = real_collateral(real_data, "tdx_quote")
    with pytest.raises(Rejected) as caught:
        verify_quote(parse_quote(raw), known, INTEL, day("2025-06-20"))
    assert caught.value.code is Code.COLLATERAL_MISMATCH
    with pytest.raises(Rejected) as caught:
        verify_quote(parse_quote(raw), real_collateral(real_data, "sgx_quote"), INTEL, day("2025-06-20"))
    assert caught.value.code is Code.COLLATERAL_MISMATCH


# ------------------------------------------------------------------------------------------------ what holds


@pytest.mark.parametrize("version", [4, 5])
def test_honest_quotes(version: int) -> None:
    found = verified(honest(version))
    assert found.platform.status == "UpToDate"
    assert found.platform.ppid == b"ATLAS-SIMULATED!".hex()
    assert (found.platform.evaluation, found.platform.features) == (18, frozenset())
    assert found.quote.report.report_data == DATA
    known = said()
    assert verified(honest(), known).collateral == known.sha256


@pytest.mark.parametrize("zeros", [1, 70, 3000])
def test_zeros_may_follow(zeros: int) -> None:
    raw = honest()
    assert verified(raw + bytes(zeros)).quote.raw == raw


STATUSES = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]


@pytest.mark.parametrize("status", STATUSES)
def test_statuses_are_told(status: str) -> None:
    found = verified(honest(), said(status=status, advisories=("INTEL-SA-00001",))).platform
    assert (found.status, found.advisories) == (status, ("INTEL-SA-00001",))


@pytest.mark.parametrize(
    ("status", "expected"),
    [("UpToDate", "TDRelaunchAdvised"), ("ConfigurationNeeded", "TDRelaunchAdvisedConfigurationNeeded")],
)
def test_a_domain_that_should_be_launched_again(status: str, expected: str) -> None:
    raw = honest(5, tee_tcb_svn=tcb_svn(module=3), tee_tcb_svn_2=tcb_svn())
    assert verified(raw, said(status=status)).platform.status == expected


@pytest.mark.parametrize("status", ["UpToDate", "ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"])
def test_the_enclaves_status_is_told(status: str) -> None:
    assert verified(honest(), said(qe_status=status)).platform.qe_status == status


@pytest.mark.parametrize(("evaluation", "qe"), [(18, 17), (17, 18)])
def test_the_older_evaluation_counts(evaluation: int, qe: int) -> None:
    assert verified(honest(), said(evaluation=evaluation, qe_evaluation=qe)).platform.evaluation == 17


@pytest.mark.parametrize("feature", ["dynamic_platform", "cached_keys", "smt"])
def test_features_are_told(feature: str) -> None:
    machine = platform().sibling(NOW, replace(UnsafeSimulatedMachine(), **{feature: True}))  # type: ignore[arg-type]
    words = {"dynamic_platform": "dynamicPlatform", "cached_keys": "cachedKeys", "smt": "smt"}
    assert verified(machine.quote(DATA)).platform.features == {words[feature]}


# ------------------------------------------------------------------------------------------------ what does not hold

Lie = Callable[[], tuple[bytes, Collateral]]


def _flip(raw: bytes, place: int, bits: int = 1) -> bytes:
    return raw[:place] + bytes([raw[place] ^ bits]) + raw[place + 1 :]


def _fields(version: int) -> dict[str, int]:
    """Where each field of the body begins."""
    sizes = {
        "tee_tcb_svn": 16, "mr_seam": 48, "mr_signer_seam": 48, "seam_attributes": 8, "td_attributes": 8, "xfam": 8,
        "mr_td": 48, "mr_config_id": 48, "mr_owner": 48, "mr_owner_config": 48, "rtmr0": 48, "rtmr1": 48,
        "rtmr2": 48, "rtmr3": 48, "report_data": 64,
    }  # fmt: skip
    if version == 5:
        sizes |= {"tee_tcb_svn_2": 16, "mr_service_td": 48}
    places, at = {}, 48 + (6 if version == 5 else 0)
    for name, size in sizes.items():
        places[name] = at
        at += size
    return places


def _quote_lies() -> dict[str, tuple[Code, Callable[[], bytes]]]:
    invalid, malformed = Code.QUOTE_SIGNATURE_INVALID, Code.QUOTE_MALFORMED
    canonical, enclave = Code.QUOTE_NOT_CANONICAL, Code.QUOTE_ENCLAVE_INVALID
    lies: dict[str, tuple[Code, Callable[[], bytes]]] = {}
    for version in (4, 5):
        for name, place in _fields(version).items():
            lies[f"v{version} {name}"] = (invalid, lambda v=version, p=place: _flip(honest(v), p))  # type: ignore[misc]
        signature = 48 + (584 if version == 4 else 6 + 648) + 4
        parts = {
            "signature r": (signature + 5, invalid),
            "signature s": (signature + 40, invalid),
            "attestation key": (signature + 70, enclave),
            "enclave report": (signature + 128 + 6 + 100, enclave),
            "enclave product": (signature + 128 + 6 + 256, enclave),
            "enclave report data": (signature + 128 + 6 + 330, enclave),
            "enclave signature": (signature + 128 + 6 + 384 + 10, enclave),
            "authentication data": (signature + 128 + 6 + 384 + 64 + 2 + 3, enclave),
            "outer type": (signature + 128, canonical),
            "outer size": (signature + 130, canonical),
            "inner type": (signature + 128 + 6 + 384 + 64 + 2 + 32, canonical),
            "inner size": (signature + 128 + 6 + 384 + 64 + 2 + 32 + 2, canonical),
        }
        for name, (place, code) in parts.items():
            lies[f"v{version} {name}"] = (code, lambda v=version, p=place: _flip(honest(v), p))  # type: ignore[misc]
    for size in (0, 20, 47, 48, 300, 631, 632, 635, 700, 764, 1200, 1300, 4000):
        lies[f"cut at {size}"] = (malformed, lambda s=size: honest()[:s])  # type: ignore[misc]
    lies |= {
        "too large": (malformed, lambda: honest() + bytes(MAX_BYTES)),
        "trailing byte": (canonical, lambda: honest() + b"\1"),
        "trailing after zeros": (canonical, lambda: honest() + bytes(9) + b"x"),
        "signature size + 1": (malformed, lambda: _flip(honest(), 632)),
        "body type": (Code.QUOTE_VERSION_UNKNOWN, lambda: _flip(honest(5), 48, 4)),
        "body size": (Code.QUOTE_VERSION_UNKNOWN, lambda: _flip(honest(5), 50)),
        "version 3": (Code.QUOTE_VERSION_UNKNOWN, lambda: b"\3" + honest()[1:]),
        "version 6": (Code.QUOTE_VERSION_UNKNOWN, lambda: b"\6" + honest()[1:]),
        "key type": (Code.QUOTE_VERSION_UNKNOWN, lambda: _flip(honest(), 2)),
        "vendor": (Code.QUOTE_VERSION_UNKNOWN, lambda: _flip(honest(), 12)),
        "an SGX quote": (Code.QUOTE_NOT_TDX, lambda: _flip(honest(), 4, 0x81)),
        "two certificates": (canonical, lambda: _with_chain(honest(), 2)),
        "four certificates": (canonical, lambda: _with_chain(honest(), 4)),
        "platform's certificate": (Code.QUOTE_CERTIFICATE_INVALID, lambda: _in_leaf(honest())),
        "a stranger's platform": (Code.QUOTE_CERTIFICATE_INVALID, lambda: stranger().quote(DATA)),
        "stranger's certificates over it": (Code.QUOTE_CERTIFICATE_INVALID, lambda: _with_stranger(honest())),
        "debug": (Code.TD_DEBUG, lambda: honest(debug=True)),
        "debug v5": (Code.TD_DEBUG, lambda: honest(5, debug=True)),
        "migratable": (Code.TD_MIGRATABLE, lambda: honest(migratable=True)),
        "SEPT_VE enabled": (Code.TD_SEPT_VE_ENABLED, lambda: honest(sept_ve_disable=False)),
        "service domain": (Code.TD_SERVICED, lambda: honest(5, mr_service_td=b"\1" * 48)),
        "module's signer": (Code.TDX_MODULE_INVALID, lambda: honest(mr_signer_seam=b"\1" * 48)),
        "module's attributes": (Code.TDX_MODULE_INVALID, lambda: honest(seam_attributes=b"\1" * 8)),
        "module too old": (Code.TDX_MODULE_INVALID, lambda: honest(tee_tcb_svn=tcb_svn(module=2))),
        "module of another line": (Code.TDX_MODULE_INVALID, lambda: honest(tee_tcb_svn=tcb_svn(version=2))),
        "module now too old": (Code.TDX_MODULE_INVALID, lambda: honest(5, tee_tcb_svn_2=tcb_svn(module=1))),
        "loader too old": (Code.TCB_LEVEL_UNKNOWN, lambda: honest(tee_tcb_svn=tcb_svn(loader=2))),
    }
    for bit in (1, 2, 7, 8, 27, 32, 62):
        lies[f"attribute {bit}"] = (Code.TD_ATTRIBUTE_NOT_ALLOWED, lambda b=bit: honest(other_attributes=1 << b))  # type: ignore[misc]
    return lies


def _with_chain(raw: bytes, count: int) -> bytes:
    """The quote with another number of certificates, all lengths right."""
    start = raw.index(b"-----BEGIN")
    one = raw[start : raw.index(b"-----BEGIN", start + 5)]
    return _rebuilt(raw, one * count + b"\0")


def _with_stranger(raw: bytes) -> bytes:
    other = stranger().quote(DATA)
    return _rebuilt(raw, other[other.index(b"-----BEGIN") :])


def _rebuilt(raw: bytes, chain: bytes) -> bytes:
    start = raw.index(b"-----BEGIN")
    size = struct.unpack_from("<I", raw, start - 4)[0]
    signature, outer = 632, 632 + 4 + 128 + 2
    new = bytearray(raw[:start] + chain)
    for place in (start - 4, outer, signature):
        (before,) = struct.unpack_from("<I", raw, place)
        struct.pack_into("<I", new, place, before - size + len(chain))
    return bytes(new)


def _in_leaf(raw: bytes) -> bytes:
    place = raw.index(b"-----BEGIN") + 300
    return raw[:place] + (b"A" if raw[place : place + 1] != b"A" else b"B") + raw[place + 1 :]


QUOTE_LIES = _quote_lies()


@pytest.mark.parametrize("lie", QUOTE_LIES)
def test_lies_in_the_quote(lie: str) -> None:
    code, make = QUOTE_LIES[lie]
    assert refused(make()) is code


def _signed_by(who: str) -> Collateral:
    """Doctored TCB info: the platform is fine, says a certificate that is not for saying so."""
    signer = getattr(platform(), who)
    return platform().collateral(NOW, signer=signer)


def _signed_below_a_second_root() -> Collateral:
    """Between the root and the signer stands one that the root certified, and that has the root's name."""
    root = platform().root_ca
    second = root.issue(pki.ROOT, NOW, ca=True)
    signer = second.issue(pki.SIGNER, NOW)
    assert second.certificate.subject == root.certificate.subject
    return platform().collateral(NOW, signer=replace(signer, chain=signer.chain[:2]))


def _part(name: str, value: Any) -> Callable[[], Collateral]:
    return lambda: replace(said(), **{name: value(said()) if callable(value) else value})


def _other(name: str) -> Callable[[], Collateral]:
    return lambda: replace(said(), **{name: getattr(stranger().collateral(NOW), name)})


COLLATERAL_LIES: dict[str, tuple[Code, Callable[[], Collateral]]] = {
    "revoked level": (Code.TCB_REVOKED, lambda: said(status="Revoked")),
    "revoked enclave": (Code.TCB_REVOKED, lambda: said(qe_status="Revoked")),
    "revoked module": (Code.TCB_REVOKED, lambda: said(module_levels=((5, "Revoked"),))),
    "platform revoked": (Code.QUOTE_CERTIFICATE_REVOKED, lambda: said(pck_revoked=True)),
    "authority revoked": (Code.QUOTE_CERTIFICATE_REVOKED, lambda: said(authority_revoked=True)),
    "signer revoked": (Code.COLLATERAL_SIGNER_INVALID, lambda: said(signer_revoked=True)),
    "level above the platform's": (Code.TCB_LEVEL_UNKNOWN, lambda: said(pce_svn=99)),
    "components above the platform's": (Code.TCB_LEVEL_UNKNOWN, lambda: said(cpu_svn=bytes([9] * 16))),
    "module unknown": (Code.TDX_MODULE_INVALID, lambda: resigned(said(), "tcb_info", tdxModuleIdentities=[])),
    "module of another signer": (Code.TDX_MODULE_INVALID, lambda: said(module_signer=b"\1" * 48)),
    "a status that nobody knows": (Code.COLLATERAL_MALFORMED, lambda: said(qe_status="Splendid")),
    "enclave too old": (Code.QUOTE_ENCLAVE_INVALID, lambda: said(qe_svn=5)),
    "enclave of another signer": (Code.QUOTE_ENCLAVE_INVALID, lambda: said(qe_signer=b"\1" * 32)),
    "enclave of another product": (Code.QUOTE_ENCLAVE_INVALID, lambda: resigned(said(), "qe_identity", isvprodid=1)),
    "enclave of other attributes": (
        Code.QUOTE_ENCLAVE_INVALID,
        lambda: resigned(said(), "qe_identity", attributes="ff" * 16),
    ),
    "another FMSPC": (Code.COLLATERAL_MISMATCH, lambda: said(fmspc=bytes(6))),
    "another PCE": (Code.COLLATERAL_MISMATCH, lambda: said(pce_id=b"\1\0")),
    "TCB info of SGX": (Code.COLLATERAL_MISMATCH, lambda: resigned(said(), "tcb_info", id="SGX")),
    "identity of SGX": (Code.COLLATERAL_MISMATCH, lambda: resigned(said(), "qe_identity", id="QE")),
    "TCB info edited": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        _part("tcb_info", lambda c: c.tcb_info.replace("OutOfDate", "UpToDate")),
    ),
    "TCB info written anew": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        _part("tcb_info", lambda c: json.dumps(json.loads(c.tcb_info))),
    ),
    "TCB info with a space": (Code.COLLATERAL_SIGNATURE_INVALID, _part("tcb_info", lambda c: c.tcb_info + " ")),
    "TCB info unsigned": (Code.COLLATERAL_SIGNATURE_INVALID, _part("tcb_info_signature", bytes(64))),
    "TCB info with the other's signature": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        _part("tcb_info_signature", lambda c: c.qe_identity_signature),
    ),
    "identity edited": (
        Code.COLLATERAL_SIGNATURE_INVALID,
        _part("qe_identity", lambda c: c.qe_identity.replace('"isvsvn":4', '"isvsvn":1')),
    ),
    "identity unsigned": (Code.COLLATERAL_SIGNATURE_INVALID, _part("qe_identity_signature", bytes(64))),
    "signed by a platform": (Code.COLLATERAL_SIGNER_INVALID, lambda: _signed_by("pck")),
    "signed by the authority of platforms": (Code.COLLATERAL_SIGNER_INVALID, lambda: _signed_by("authority")),
    "signed below a second root": (Code.COLLATERAL_SIGNER_INVALID, _signed_below_a_second_root),
    "signed by a stranger": (Code.COLLATERAL_SIGNER_INVALID, _other("tcb_info_issuer_chain")),
    "identity signed by a stranger": (Code.COLLATERAL_SIGNER_INVALID, _other("qe_identity_issuer_chain")),
    "a stranger's root list": (Code.CRL_INVALID, _other("root_ca_crl")),
    "a stranger's platform list": (Code.CRL_INVALID, _other("pck_crl")),
    "root list for the platforms": (Code.CRL_INVALID, _part("pck_crl", lambda c: c.root_ca_crl)),
    "platform list for the root": (Code.CRL_INVALID, _part("root_ca_crl", lambda c: c.pck_crl)),
    "no root list": (Code.CRL_INVALID, _part("root_ca_crl", b"")),
    "no platform list": (Code.CRL_INVALID, _part("pck_crl", b"")),
    "no signer": (Code.COLLATERAL_MALFORMED, _part("tcb_info_issuer_chain", "")),
    "TCB info no JSON": (Code.COLLATERAL_MALFORMED, _part("tcb_info", "{")),
    "TCB info a list": (Code.COLLATERAL_MALFORMED, _part("tcb_info", "[]")),
    "a date of no calendar": (
        Code.COLLATERAL_MALFORMED,
        lambda: resigned(said(), "tcb_info", nextUpdate="2026-02-30T00:00:00Z"),
    ),
    "expired TCB info": (
        Code.COLLATERAL_EXPIRED,
        lambda: resigned(said(), "tcb_info", nextUpdate=f"{NOW - DAY:%FT%TZ}"),
    ),
    "TCB info of tomorrow": (
        Code.COLLATERAL_NOT_YET_VALID,
        lambda: resigned(said(), "tcb_info", issueDate=f"{NOW + DAY:%FT%TZ}"),
    ),
    "expired identity": (
        Code.COLLATERAL_EXPIRED,
        lambda: resigned(said(), "qe_identity", nextUpdate=f"{NOW - DAY:%FT%TZ}"),
    ),
    "identity of tomorrow": (
        Code.COLLATERAL_NOT_YET_VALID,
        lambda: resigned(said(), "qe_identity", issueDate=f"{NOW + DAY:%FT%TZ}"),
    ),
    "lists of tomorrow": (
        Code.COLLATERAL_NOT_YET_VALID,
        lambda: replace(said(), pck_crl=platform().collateral(NOW + 2 * DAY).pck_crl),
    ),
    "expired lists": (Code.COLLATERAL_EXPIRED, lambda: replace(said(), root_ca_crl=said(days=1).root_ca_crl)),
}


@pytest.mark.parametrize("lie", COLLATERAL_LIES)
def test_lies_in_the_collateral(lie: str) -> None:
    code, make = COLLATERAL_LIES[lie]
    at = NOW + dt.timedelta(minutes=1)
    assert refused(honest(), make(), at) is code


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOW - 2 * DAY, Code.COLLATERAL_NOT_YET_VALID),
        (NOW + 30 * DAY, Code.COLLATERAL_EXPIRED),
        (NOW + 4000 * DAY, Code.COLLATERAL_EXPIRED),
    ],
)
def test_the_wrong_time(at: dt.datetime, code: Code) -> None:
    assert refused(honest(), at=at) is code


# ------------------------------------------------------------------------------------------------ collateral by itself


def test_collateral_is_named_by_what_it_says() -> None:
    known = said()
    assert parse_collateral(known.raw) == known
    assert parse_collateral(json.dumps(json.loads(known.raw), indent=3).encode()).sha256 == known.sha256
    assert known.platform == ("a71a55000000", "platform")
    assert known.freshness == Freshness(18, 18, 1, 1)
    assert (known.issued, known.expires) == (NOW - DAY, NOW + 29 * DAY)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        b'{"tcb_info": 1}',
        lambda: said().raw.replace(b'"pck_crl":"', b'"pck_crl":"z'),
        lambda: said().raw.replace(b'"pck_crl"', b'"crl"'),
        lambda: b" " * (1 << 20) + said().raw,
    ],
)
def test_collateral_that_cannot_be_read(raw: bytes | Callable[[], bytes]) -> None:
    with pytest.raises(Rejected) as caught:
        parse_collateral(raw() if callable(raw) else raw)
    assert caught.value.code is Code.COLLATERAL_MALFORMED


def test_a_certificate_whose_name_cannot_be_read() -> None:
    """Names are decoded when they are asked for, long after the certificate was."""
    known = said()
    der = x509.load_pem_x509_certificate(known.tcb_info_issuer_chain.encode()).public_bytes(Encoding.DER)
    place = der.index(b"TCB Signing") - 30
    place = der.index(b"\x0c", place)  # the tag of a UTF-8 string
    broken = base64.encodebytes(der[:place] + b"\x1e" + der[place + 1 :]).decode()  # a string of another alphabet
    pem = f"-----BEGIN CERTIFICATE-----\n{broken}-----END CERTIFICATE-----\n"
    with pytest.raises(Rejected) as caught:
        parse_collateral(replace(known, tcb_info_issuer_chain=pem).raw)
    assert caught.value.code is Code.COLLATERAL_MALFORMED


@pytest.mark.parametrize("number", ["evaluation", "qe_evaluation", "pck_crl_number", "root_crl_number"])
def test_numbers_never_decrease(number: str) -> None:
    new, old = said(**{number: 30}), said()
    check_not_older(new, [old])
    with pytest.raises(Rejected) as caught:
        check_not_older(old, [old, new])
    assert caught.value.code is Code.COLLATERAL_ROLLED_BACK
    assert "30" in caught.value.expected


def test_which_collateral_judges() -> None:
    before, now, fresher, later = (
        platform().collateral(NOW - 20 * DAY),
        said(),
        said(evaluation=19),
        platform().collateral(NOW + 10 * DAY),
    )
    everything = [later, before, fresher, now]
    assert select(everything, NOW) == (fresher,)
    assert select([before, now], NOW) == (now,)
    assert select(everything, NOW - 15 * DAY) == (before,)
    assert select([now, later], NOW - 15 * DAY) == (now,), "the first that was issued after"
    assert select([before], NOW + 100 * DAY) == ()
    assert select([], NOW) == ()
    assert select([now], now.expires) == (), "at its end it is over, for the library too"
    assert latest(everything, NOW) == ((fresher,), False)
    assert latest([before, now], NOW + 100 * DAY) == ((now,), True)
    assert latest([later], NOW) == ((), True)


def test_collateral_that_was_put_together_hides_no_revocation() -> None:
    """A new evaluation with an old list of revoked platforms is no fresher than the other way round."""
    revoked = said(evaluation=18, pck_crl_number=9, pck_revoked=True)
    composed = said(evaluation=19, pck_crl_number=1)
    assert set(select([revoked, composed], NOW)) == {revoked, composed}
    root = EvidenceRoot("simulated", platform().root, Tee.TDX, simulated=True)
    quote = parse_quote(honest())
    assert verify_under(quote, [root], [composed], NOW)[1].platform.status == "UpToDate"
    with pytest.raises(Rejected) as caught:
        verify_under(quote, [root], select([revoked, composed], NOW), NOW)
    assert caught.value.code is Code.QUOTE_CERTIFICATE_REVOKED
