"""Holding the evidence of a lineage against a policy. Pure, and always done anew."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.appraise import Appraisal
from atlas.evidence.tdx.quote import TdReport
from atlas.evidence.tdx.verify import PERFMON, PKS, Platform
from atlas.lineage import Lineage, Node
from atlas.policy.evidence import EvidenceRules, ReferenceValue, Tcb
from atlas.policy.fields import Need
from atlas.statement import FAILED_EVIDENCE, NO_EVIDENCE
from atlas.trust import EvidenceRoot
from atlas.verdict import Finding, Severity


@dataclass(frozen=True)
class Standing:
    """What is said of a platform at the time of verification."""

    said: Platform | Rejected | None
    """As the latest collateral has it, or why that no longer vouches for it; None if there is none."""
    stale: bool
    """Whether that collateral is no longer in force."""


Today = Mapping[str, Standing]
"""Box digest of an attested manifest -> where its platform stands now; absent: as when the evidence was made."""

_UNJUDGED = {Code.COLLATERAL_MISSING, Code.QUOTE_CERTIFICATE_INVALID, Code.EVIDENCE_PROVIDER_UNKNOWN}
"""Why evidence cannot be judged here, though it may be genuine."""
_OUT_OF_DATE = {"OutOfDate": "UpToDate", "OutOfDateConfigurationNeeded": "ConfigurationNeeded"}
_REGISTERS: tuple[tuple[str, Code], ...] = (
    ("mrtd", Code.MRTD_NOT_ALLOWED),
    ("mrseam", Code.MRSEAM_NOT_ALLOWED),
    ("rtmr0", Code.RTMR0_NOT_ALLOWED),
    ("rtmr1", Code.RTMR1_NOT_ALLOWED),
    ("rtmr2", Code.RTMR2_NOT_ALLOWED),
    ("rtmr3", Code.RTMR3_NOT_ALLOWED),
    ("mrconfigid", Code.MRCONFIGID_NOT_ALLOWED),
    ("mrowner", Code.MROWNER_NOT_ALLOWED),
    ("mrownerconfig", Code.MROWNER_NOT_ALLOWED),
)


def judge_evidence(lineage: Lineage, rules: EvidenceRules, today: Today, at: dt.datetime) -> Iterator[Finding]:
    """What is wrong with the evidence of a lineage's steps, then and at the time of verification."""
    severity = Severity.ERROR if rules.required else Severity.WARNING
    for node in lineage.rejected_evidence:
        rejected = node.facts.evidence_rejection
        if rejected:
            forged = rejected.code not in _UNJUDGED
            yield Finding.of(rejected, node.step_path, Severity.ERROR if forged else severity)
    for node, appraisal in lineage.attested:
        for rejected in judge_appraisal(appraisal, rules):
            yield Finding.of(rejected, node.step_path, severity)
        yield from _today(node, appraisal, rules, today, at)
    if rules.required:
        for node in lineage.unattested:
            yield Finding.of(_missing(node), node.step_path)


def judge_appraisal(appraisal: Appraisal, rules: EvidenceRules) -> Iterator[Rejected]:
    """What is wrong with one step's evidence, as of the time when it was made."""
    root = appraisal.root
    if root.simulated and not rules.allow_simulated:
        yield Rejected(Code.EVIDENCE_SIMULATED, expected=" or ".join(rules.roots), found=root.name)
    elif root.name not in rules.roots:
        yield Rejected(Code.EVIDENCE_ROOT_NOT_ALLOWED, expected=" or ".join(rules.roots) or "no root", found=root.name)
    platform = appraisal.verified.platform
    yield from _tcb(platform, rules.tcb, appraisal.at)
    allowed = rules.platform
    if allowed.ppids is not None and platform.ppid not in allowed.ppids:
        yield Rejected(Code.PLATFORM_NOT_ALLOWED, expected=" or ".join(allowed.ppids), found=platform.ppid)
    if beyond := sorted(platform.features - set(allowed.features)):
        expected = ", ".join(allowed.features) or "none"
        yield Rejected(Code.PLATFORM_FEATURE_NOT_ALLOWED, expected=expected, found=", ".join(beyond))
    yield from _td(appraisal.quote.report, rules)
    yield from _event_log(appraisal, rules)
    if rules.gpu is Need.REQUIRED and not any(_counts(each.root, rules) for each in appraisal.gpus):
        found = ", ".join(sorted({each.root.name for each in appraisal.gpus})) or "no GPU"
        yield Rejected(Code.GPU_REQUIRED, expected=" or ".join(rules.roots), found=found)


def _counts(root: EvidenceRoot, rules: EvidenceRules) -> bool:
    return root.name in rules.roots and (rules.allow_simulated or not root.simulated)


def registers(report: TdReport) -> dict[str, str]:
    """The trust domain's measurements by the names that reference values use, hex."""
    values = (report.mr_td, report.mr_seam, *report.rtmrs, report.mr_config_id, report.mr_owner, report.mr_owner_config)
    return {name: value.hex() for (name, _), value in zip(_REGISTERS, values, strict=True)}


def _tcb(platform: Platform, rules: Tcb, at: dt.datetime) -> Iterator[Rejected]:
    status, age = platform.status, at - platform.level_date
    if status == platform.level_status and status in _OUT_OF_DATE and dt.timedelta(0) <= age <= rules.grace:
        status = _OUT_OF_DATE[status] if rules.grace else status
    advisories = ", ".join(platform.advisories)
    if status not in rules.statuses:
        found = f"{platform.status} ({advisories})" if advisories else platform.status
        yield Rejected(Code.TCB_STATUS_NOT_ALLOWED, expected=" or ".join(rules.statuses), found=found)
    if platform.qe_status not in rules.qe_statuses:
        expected = " or ".join(rules.qe_statuses)
        yield Rejected(Code.QE_STATUS_NOT_ALLOWED, expected=expected, found=platform.qe_status)
    for advisory in platform.advisories:
        if advisory in rules.denied_advisories or (rules.advisories is not None and advisory not in rules.advisories):
            expected = ", ".join(rules.advisories or ()) or f"not {', '.join(rules.denied_advisories)}"
            yield Rejected(Code.TCB_ADVISORY_NOT_ALLOWED, expected=expected, found=advisory)
    if platform.evaluation < rules.min_evaluation:
        expected = f"evaluation {rules.min_evaluation} or later"
        yield Rejected(Code.TCB_TOO_OLD, expected=expected, found=f"evaluation {platform.evaluation}")
    if rules.min_date and platform.level_date < rules.min_date:
        expected = f"a level of {rules.min_date:%F} or later"
        yield Rejected(Code.TCB_TOO_OLD, expected=expected, found=f"of {platform.level_date:%F}")


def _td(report: TdReport, rules: EvidenceRules) -> Iterator[Rejected]:
    attributes = int.from_bytes(report.td_attributes, "little")
    for bit, name, allowed in ((PKS, "PKS", rules.td.pks), (PERFMON, "PERFMON", rules.td.perfmon)):
        if attributes & bit and not allowed:
            yield Rejected(Code.TD_ATTRIBUTE_NOT_ALLOWED, found=name)
    if rules.td.xfam is not None and report.xfam.hex() not in rules.td.xfam:
        yield Rejected(Code.TD_XFAM_NOT_ALLOWED, expected=" or ".join(rules.td.xfam), found=report.xfam.hex())
    if rules.reference is not None:
        found = registers(report)
        misses = [list(_misses(each, found)) for each in rules.reference]
        if not misses:
            yield Rejected(Code.MRTD_NOT_ALLOWED, expected="no trust domain", found=found["mrtd"])
        elif all(misses):
            yield from min(misses, key=len)  # the nearest one says best what is wrong


def _misses(reference: ReferenceValue, found: Mapping[str, str]) -> Iterator[Rejected]:
    for name, code in _REGISTERS:
        allowed: tuple[str, ...] | None = getattr(reference, name)
        if allowed is not None and found[name] not in allowed:
            expected = f"{reference.name}: {' or '.join(allowed) or 'no value'}"
            yield Rejected(code, expected=expected, found=found[name])


def _event_log(appraisal: Appraisal, rules: EvidenceRules) -> Iterator[Rejected]:
    if appraisal.events is None:
        if rules.event_log.required or rules.event_log.events:
            yield Rejected(Code.EVENT_LOG_MISSING)
        return
    present = {(each.domain, each.operation, each.content) for each in appraisal.events}
    for each in rules.event_log.events:
        if (each.domain, each.operation, each.content) not in present:
            yield Rejected(Code.EVENT_REQUIRED, expected=f"{each.domain} {each.operation} {each.content}", found="none")


def _today(node: Node, appraisal: Appraisal, rules: EvidenceRules, today: Today, at: dt.datetime) -> Iterator[Finding]:
    severity = Severity.REVIEW if rules.required else Severity.WARNING
    before = appraisal.verified.platform
    standing = today.get(node.box, Standing(before, stale=False))
    if standing.stale:
        stale = Rejected(Code.COLLATERAL_STALE, expected=f"collateral for FMSPC {before.fmspc} in force")
        yield Finding.of(stale, node.step_path, severity if rules.recheck is Need.REQUIRED else Severity.WARNING)
    if isinstance(standing.said, Rejected):
        why = [f"{standing.said.code}: {standing.said}"]
    else:
        known = {(each.code, each.found) for each in _tcb(before, rules.tcb, appraisal.at)}
        worse = {(each.code, each.found) for each in _tcb(standing.said or before, rules.tcb, at)} - known
        why = sorted({text for _, text in worse})
    if why:
        degraded = Rejected(Code.TCB_DEGRADED, expected=before.status, found="; ".join(why))
        yield Finding.of(degraded, node.step_path, severity)


def _missing(node: Node) -> Rejected:
    stated = node.facts.manifest.statement.evidence
    asked = stated.removeprefix(FAILED_EVIDENCE)
    found = stated if stated == NO_EVIDENCE else f"{asked} was asked and gave none"
    return Rejected(Code.EVIDENCE_REQUIRED, expected="evidence of a confidential pod", found=found)
