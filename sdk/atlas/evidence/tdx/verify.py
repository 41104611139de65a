"""Holding a quote against collateral under one root: signatures, certificates, revocation, TCB levels.

The arithmetic of signatures and levels is dcap-qvl's. Around it stands what it leaves open: the quote's encoding and
TEE type (`quote`), who may sign collateral (`collateral`), since when all of it is in force, the PCE-ID, and the trust
domain's attributes. What is established here is true of the quote and the collateral whatever the policy; a policy
judges it anew each time.
"""

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import dcap_qvl
import pydantic_core
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.collateral import Collateral
from atlas.evidence.tdx.explain import explain
from atlas.evidence.tdx.quote import Quote

DEBUG, SEPT_VE_DISABLE, MIGRATABLE, PKS, PERFMON = 1 << 0, 1 << 28, 1 << 29, 1 << 30, 1 << 63
"""TD ATTRIBUTES (Intel, *TDX Module ABI*, "ATTRIBUTES")."""

_FEATURES = (("dynamicPlatform", "dynamic_platform"), ("cachedKeys", "cached_keys"), ("smt", "smt_enabled"))


@dataclass(frozen=True)
class Platform:
    """The machine, as its manufacturer certified it and thinks of it."""

    ppid: str
    """Hex; one for each machine."""
    fmspc: str
    """Hex; one for each kind of machine."""
    authority: str
    """`platform` or `processor`."""
    status: str
    """Of the platform, the quoting enclave and the TDX module together, e.g. `UpToDate`."""
    level_status: str
    """Of the platform alone."""
    advisories: tuple[str, ...]
    evaluation: int
    """Number of the manufacturer's evaluation that this rests on."""
    level_date: dt.datetime
    """Date of the level that the platform has reached."""
    qe_status: str
    features: frozenset[str]
    """Of `dynamicPlatform`, `cachedKeys` and `smt`, those that it has or may have."""


@dataclass(frozen=True)
class VerifiedQuote:
    """A quote that a genuine platform made."""

    quote: Quote
    platform: Platform
    collateral: str
    """Digest of the collateral it was judged by, hex."""


def platform_of(quote: Quote) -> tuple[str, str]:
    """The kind of platform that a quote says it is of: FMSPC in lower-case hex, and `platform` or `processor`.

    Raises:
        Rejected: `QuoteCertificateInvalid`, if its certificate does not tell.
    """
    try:
        read = dcap_qvl.parse_quote(quote.raw)
        return read.fmspc().lower(), read.ca().lower()
    except ValueError as error:
        raise Rejected(Code.QUOTE_CERTIFICATE_INVALID, f"the platform's certificate cannot be read: {error}") from error


def verify_quote(quote: Quote, collateral: Collateral, root: x509.Certificate, at: dt.datetime) -> VerifiedQuote:
    """Verify a quote as of a time.

    Args:
        quote: strictly parsed.
        collateral: for its kind of platform.
        root: what vouches for platforms and collateral alike.
        at: when; the collateral must have been in force.

    Raises:
        Rejected: with the code of what does not hold.
    """
    _check_in_force(collateral, at)
    collateral.check_signers()
    seconds = int(at.timestamp())
    verifier = _verifier(root)
    try:
        made = verifier.verify_with_policy(
            quote.raw, collateral.engine, seconds, dcap_qvl.QuotePolicy.claims_only(seconds)
        )
        claims = pydantic_core.from_json(made.to_json())  # faster than the standard library's
    except ValueError as error:
        raise _rejected(str(error), quote, collateral, root, at) from error
    _check_report(quote)
    return VerifiedQuote(quote, _platform(claims, collateral), collateral.sha256)


@lru_cache(maxsize=16)
def _verifier(root: x509.Certificate) -> "dcap_qvl.QuoteVerifier":
    return dcap_qvl.QuoteVerifier(root.public_bytes(serialization.Encoding.DER))


def _platform(claims: dict[str, Any], collateral: Collateral) -> Platform:
    pck = claims["platform"]["pck"]
    pce_id = bytes(pck["pce_id"]).hex()
    if pce_id != collateral.pce_id:
        raise Rejected(Code.COLLATERAL_MISMATCH, expected=f"PCE-ID {pce_id}", found=f"PCE-ID {collateral.pce_id}")
    return Platform(
        ppid=bytes(pck["ppid"]).hex(),
        fmspc=bytes(pck["fmspc"]).hex(),
        authority=collateral.platform[1],
        status=claims["tcb"]["status"],
        level_status=claims["platform"]["tcb_level"]["tcbStatus"],
        advisories=tuple(sorted(claims["tcb"]["advisory_ids"])),
        evaluation=min(claims["tcb"]["eval_data_number"], claims["qe"]["tcb_eval_data_number"]),
        level_date=dt.datetime.fromtimestamp(claims["platform"]["tcb_date_tag"], dt.UTC),
        qe_status=claims["qe"]["tcb_level"]["tcbStatus"],
        features=frozenset([name for name, key in _FEATURES if pck[key] != "False"]),
    )


def _check_report(quote: Quote) -> None:
    """What no policy allows. The library checks most of it too; this does not rest on that."""
    attributes = int.from_bytes(quote.report.td_attributes, "little")
    if attributes & DEBUG:
        raise Rejected(Code.TD_DEBUG)
    if attributes & MIGRATABLE:
        raise Rejected(Code.TD_MIGRATABLE)
    if not attributes & SEPT_VE_DISABLE:
        raise Rejected(Code.TD_SEPT_VE_ENABLED)
    if attributes & ~(SEPT_VE_DISABLE | PKS | PERFMON):
        raise Rejected(Code.TD_ATTRIBUTE_NOT_ALLOWED, found=f"{attributes:#018x}")
    if quote.report.mr_service_td.strip(b"\0"):
        raise Rejected(Code.TD_SERVICED)


def _check_in_force(collateral: Collateral, at: dt.datetime) -> None:
    if at < collateral.issued:
        raise Rejected(Code.COLLATERAL_NOT_YET_VALID, expected=f"from {collateral.issued:%FT%TZ}", found=f"{at:%FT%TZ}")
    if at >= collateral.expires:
        raise Rejected(Code.COLLATERAL_EXPIRED, expected=f"until {collateral.expires:%FT%TZ}", found=f"{at:%FT%TZ}")


# dcap-qvl says why in words only; its version is pinned, and a test breaks each of these
_REASONS = (
    ("debug mode", Code.TD_DEBUG),
    ("migration", Code.TD_MIGRATABLE),
    ("sept_ve_disable", Code.TD_SEPT_VE_ENABLED),
    ("mr service td", Code.TD_SERVICED),
    ("reserved bits in td attributes", Code.TD_ATTRIBUTE_NOT_ALLOWED),
    ("tdx module", Code.TDX_MODULE_INVALID),
    ("current tdx tcb", Code.TDX_MODULE_INVALID),
    ("no matching tcb level", Code.TCB_LEVEL_UNKNOWN),
    ("status is invalid: revoked", Code.TCB_REVOKED),
    ("report signature is invalid", Code.QUOTE_SIGNATURE_INVALID),
    ("qe report", Code.QUOTE_ENCLAVE_INVALID),
    ("qe_report", Code.QUOTE_ENCLAVE_INVALID),
    ("mismatch: expected", Code.QUOTE_ENCLAVE_INVALID),
    ("mismatch at byte", Code.QUOTE_ENCLAVE_INVALID),
    ("below minimum required", Code.QUOTE_ENCLAVE_INVALID),
    ("fmspc mismatch", Code.COLLATERAL_MISMATCH),
    ("non-tdx tcb info", Code.COLLATERAL_MISMATCH),
    ("unsupported qe identity", Code.COLLATERAL_MISMATCH),
    ("signature is invalid for", Code.COLLATERAL_SIGNATURE_INVALID),
    ("failed to decode tcbinfo", Code.COLLATERAL_MALFORMED),
    ("failed to decode qeidentity", Code.COLLATERAL_MALFORMED),
    ("unrecognized tcb status", Code.COLLATERAL_MALFORMED),
)


def _rejected(text: str, quote: Quote, collateral: Collateral, root: x509.Certificate, at: dt.datetime) -> Rejected:
    words = " ".join(text.removeprefix("Verification failed: ").split())
    for fragment, code in _REASONS:
        if fragment in words.lower():
            return Rejected(code, found=words[:200])
    return explain(quote, collateral, root, at) or Rejected(Code.QUOTE_REJECTED, found=words[:200])
