"""Appraising one step's evidence (RATS: Appraisal of Evidence): what it proves, whatever a policy makes of it.

Everything that evidence is held against comes from outside of it: the key from the certificate that signed the claim,
the statement from the manifest, the context from the statement, the root from the trust root. Pure: no clock, no
network, no file.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.binding import Binding, Context, bind
from atlas.evidence.document import Evidence, parse_evidence
from atlas.evidence.nvidia import GpuClaims, verify_gpu
from atlas.evidence.providers import SIMULATED
from atlas.evidence.tdx.aael import Measured, measured_events
from atlas.evidence.tdx.collateral import Collateral, select
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import Quote, parse_quote
from atlas.evidence.tdx.replay import check_replay
from atlas.evidence.tdx.verify import VerifiedQuote, platform_of, verify_quote
from atlas.statement import FAILED_EVIDENCE, NO_EVIDENCE, Statement, Step, dump_statement
from atlas.trust import EvidenceRoot, Tee

SIMULATOR_MARK = b"ATLAS-SIMULATED"
REAL = ("tdx", "coco")
"""Providers whose evidence comes from hardware."""

Lookup = Callable[[tuple[str, str]], Sequence[Collateral]]
"""Collateral for a kind of platform: (FMSPC, authority)."""


@dataclass(frozen=True)
class AttestedGpu:
    """A GPU whose report holds."""

    root: EvidenceRoot
    """Who vouches for it."""
    claims: GpuClaims


@dataclass(frozen=True)
class Appraisal:
    """Evidence that holds."""

    provider: str
    root: EvidenceRoot
    """Who vouches for it."""
    verified: VerifiedQuote
    collateral: tuple[str, ...]
    """Digests of all the collateral that it was judged by."""
    events: tuple[Measured, ...] | None
    """What the pod's agent measured, from an event log that leads to the quote; None if there is no log."""
    gpus: tuple[AttestedGpu, ...]
    """Not looked at where the trust root has no root for GPUs."""
    nonce: str
    at: dt.datetime
    """The time as of which it was appraised."""

    @property
    def quote(self) -> Quote:
        """The quote."""
        return self.verified.quote


def appraise(
    text: str,
    statement: Statement,
    spki: bytes,
    roots: Sequence[EvidenceRoot],
    lookup: Lookup,
    at: dt.datetime,
    *,
    nonce: str | None = None,
) -> Appraisal | None:
    """Appraise the evidence that a manifest carries.

    Args:
        text: the evidence document; empty if the manifest has none.
        statement: what the same manifest states.
        spki: DER SubjectPublicKeyInfo of the key that signed it.
        roots: who is believed.
        lookup: where collateral comes from.
        at: when the evidence was made, from somebody who is trusted to know.
        nonce: what it was asked for with, where that is known.

    Returns:
        What it proves; None if the step had no provider of evidence.

    Raises:
        Rejected: with the code of what does not hold.
    """
    stated = statement.evidence
    if not text:
        if stated == NO_EVIDENCE or stated.startswith(FAILED_EVIDENCE):
            return None
        raise Rejected(Code.EVIDENCE_PROVIDER_MISMATCH, expected=f"evidence of {stated}", found="no evidence")
    evidence = parse_evidence(text)
    if evidence.provider != stated:
        raise Rejected(Code.EVIDENCE_PROVIDER_MISMATCH, expected=stated, found=evidence.provider)
    if stated not in (*REAL, SIMULATED):
        raise Rejected(Code.EVIDENCE_PROVIDER_UNKNOWN, found=stated[:80])
    if not isinstance(statement.maker, Step):
        raise Rejected(Code.EVIDENCE_CONTEXT_MISMATCH, expected="a step", found="a publisher")
    quote = parse_quote(evidence.attestation.quote)
    if (quote.user_data.rstrip(b"\0") == SIMULATOR_MARK) != (stated == SIMULATED):
        raise Rejected(Code.EVIDENCE_PROVIDER_MISMATCH, expected=stated, found="a quote of another kind")
    actual = bind(spki, Context.of(statement.maker, evidence.bound.context.nonce), dump_statement(statement))
    _check_bound(evidence, quote, actual, nonce)
    root, verified, collateral = _verify(quote, [each for each in roots if each.tee is Tee.TDX], lookup, at)
    return Appraisal(
        provider=stated,
        root=root,
        verified=verified,
        collateral=collateral,
        events=_events(evidence, quote),
        gpus=_gpus(evidence, actual.digest, roots, at),
        nonce=evidence.bound.context.nonce,
        at=at,
    )


def verify_under(
    quote: Quote, roots: Sequence[EvidenceRoot], collateral: Sequence[Collateral], at: dt.datetime | None = None
) -> tuple[EvidenceRoot, VerifiedQuote]:
    """Verify a quote under whichever of these roots vouches for it.

    Args:
        quote: strictly parsed.
        roots: who is believed.
        collateral: all of which must hold; the last one is reported.
        at: as of when; by default, of when each of the collateral was issued.

    Raises:
        Rejected: why none does; of the root under which it came furthest.
    """
    rejected: Rejected | None = None
    for root in roots:
        try:
            verified = [verify_quote(quote, each, root.certificate, at or each.issued) for each in collateral]
            return root, verified[-1]
        except Rejected as error:
            if rejected is None or rejected.code is Code.QUOTE_CERTIFICATE_INVALID:
                rejected = error
    raise rejected or Rejected(Code.QUOTE_CERTIFICATE_INVALID, "the trust root has no root of evidence for TDX")


def _verify(
    quote: Quote, roots: Sequence[EvidenceRoot], lookup: Lookup, at: dt.datetime
) -> tuple[EvidenceRoot, VerifiedQuote, tuple[str, ...]]:
    platform = platform_of(quote)
    collateral = select(lookup(platform), at)
    if not collateral:
        raise Rejected(Code.COLLATERAL_MISSING, expected=f"collateral for FMSPC {platform[0]} at {at:%FT%TZ}")
    root, verified = verify_under(quote, roots, collateral, max(at, *(each.issued for each in collateral)))
    return root, verified, tuple(each.sha256 for each in collateral)


def _check_bound(evidence: Evidence, quote: Quote, actual: Binding, nonce: str | None) -> None:
    claimed = evidence.bound
    if quote.report.report_data != claimed.report_data:
        raise Rejected(
            Code.EVIDENCE_NOT_BOUND,
            expected=claimed.report_data.decode(),
            found=quote.report.report_data.hex(),
        )
    if claimed.context != actual.context:
        raise Rejected(Code.EVIDENCE_CONTEXT_MISMATCH, expected=_shown(actual.context), found=_shown(claimed.context))
    if claimed.key_sha384 != actual.key_sha384:
        raise Rejected(Code.EVIDENCE_KEY_MISMATCH, expected=actual.key_sha384, found=claimed.key_sha384)
    if claimed.statement_sha384 != actual.statement_sha384:
        raise Rejected(
            Code.EVIDENCE_STATEMENT_MISMATCH, expected=actual.statement_sha384, found=claimed.statement_sha384
        )
    if nonce is not None and claimed.context.nonce != nonce:
        raise Rejected(Code.EVIDENCE_NONCE_MISMATCH, expected=nonce, found=claimed.context.nonce or "none")


def _events(evidence: Evidence, quote: Quote) -> tuple[Measured, ...] | None:
    if evidence.attestation.event_log is None:
        return None
    log = parse_event_log(evidence.attestation.event_log)
    check_replay(log, quote.report.rtmrs)
    return measured_events(log)


def _gpus(evidence: Evidence, digest: bytes, roots: Sequence[EvidenceRoot], at: dt.datetime) -> tuple[AttestedGpu, ...]:
    trusted = {each.sha256: each for each in roots if each.tee is Tee.GPU}
    if not trusted:
        return ()
    certificates = [each.certificate for each in trusted.values()]
    found = [
        verify_gpu(each.report, each.chain_pem.encode(), digest, certificates, at) for each in evidence.attestation.gpu
    ]
    if len({each.serial for each in found}) < len(found):
        raise Rejected(Code.GPU_REPORT_MALFORMED, "one GPU is presented as several")
    return tuple(AttestedGpu(trusted[each.root], each) for each in found)


def _shown(context: Context) -> str:
    return f"{context.pipeline}/{context.run}/{context.task}, attempt {context.attempt}"
