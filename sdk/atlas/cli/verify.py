"""`atlas verify` and `atlas explain`: the same verdict, shown as a table or as paths with what to do."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from atlas.cli.session import Session, Subject, find_subject, session
from atlas.cli.terminal import console, hashing, home_option, json_option, parse_time, print_findings, print_json
from atlas.codes import Code
from atlas.disclosure_file import load_disclosures
from atlas.document import read_input
from atlas.errors import InputError
from atlas.lineage import Lineage
from atlas.lineage.attested import attested_by
from atlas.lineage.picture import MARKS, visible
from atlas.opening import Disclosures
from atlas.policy import Policy, default_policy, load_policy, with_references
from atlas.policy.evidence import ReferenceValues, parse_references
from atlas.policy.schema import signed_only
from atlas.publish import TYPES
from atlas.remeasure import changed_ancestors, changed_artifact
from atlas.statement import NO_EVIDENCE, Publisher, Step
from atlas.verdict import Finding, Outcome, Severity, Verdict


def _options(command: click.decorators.FC) -> click.decorators.FC:
    path = click.Path(path_type=Path, dir_okay=False)
    for decorate in (
        click.argument("target", metavar="PATH|sha256:…"),
        click.option("--policy", type=path, help="Policy file; by default: signed, logged, measured, with an origin."),
        click.option("--reference", type=path, help="Reference values for evidence, signed by a publisher."),
        click.option("--disclosed", type=path, multiple=True, help="Opened parameters, from `atlas disclose`."),
        click.option("--trust", type=path, help="Trust root file; by default the home's own."),
        click.option("--at", metavar="TIME", help="Judge as of this time (RFC 3339); by default now."),
        click.option("--remeasure", is_flag=True, help="Also measure the artifacts it was made from, where they lie."),
        home_option,
        json_option,
    ):
        command = decorate(command)
    return command


@click.command()
@_options
def verify(
    target: str,
    policy: Path | None,
    reference: Path | None,
    disclosed: tuple[Path, ...],
    trust: Path | None,
    at: str | None,
    remeasure: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Verify where an artifact comes from: exit 0 if its lineage holds, 1 if it does not."""
    with session(home, trust) as opened:
        verdict, lineage = judge(
            opened, target, policy, at, reference=reference, disclosed=disclosed, remeasure=remeasure
        )
    if as_json:
        print_json(verdict.to_json())
    else:
        print_verdict(verdict, lineage)
        if not verdict.holds:
            console.print(Text.assemble("\n`atlas explain` says how to mend it.", style="dim"))
    return 0 if verdict.holds else 1


@click.command()
@_options
def explain(
    target: str,
    policy: Path | None,
    reference: Path | None,
    disclosed: tuple[Path, ...],
    trust: Path | None,
    at: str | None,
    remeasure: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Explain a verdict: the shortest path to each finding, and how to mend it."""
    with session(home, trust) as opened:
        verdict, lineage = judge(
            opened, target, policy, at, reference=reference, disclosed=disclosed, remeasure=remeasure
        )
    if as_json:
        print_json(verdict.to_json())
    else:
        _print_summary(verdict, lineage)
        _print_disclosed(verdict)
        print_findings(verdict.findings, mends=True)
    return 0 if verdict.holds else 1


def judge(
    opened: Session,
    target: str,
    policy: Path | None = None,
    at: str | None = None,
    *,
    reference: Path | None = None,
    disclosed: Sequence[Path] = (),
    remeasure: bool = False,
) -> tuple[Verdict, Lineage | None]:
    """Verify a path or digest; also says what the bytes at hand add.

    Raises:
        AtlasError: if something that was given cannot be used.
    """
    rules = load_policy(policy) if policy else default_policy()
    disclosures = None
    if disclosed or rules.spec.parameters:
        disclosures = Disclosures(load_disclosures(disclosed), opened.archive.disclosures)
    time = parse_time(at)
    if reference:
        rules = with_references(rules, _references(opened, rules, reference, time))
    subject = find_subject(opened.archive, target, opened.trust)
    verifier = opened.verifier(subject.sidecar)
    kind = subject.measured.kind if subject.measured else None
    place = str(Path(target).resolve()) if subject.measured else ""
    verdict, lineage = verifier.judge(subject.sha256, rules, time, kind, place, disclosures)
    verdict = _named(verdict, subject)
    if subject.measured:
        changed = changed_artifact(opened.archive, Path(target), subject.measured, verifier.trusts)
        if changed:
            known = [each for each in verdict.findings if each.code is not Code.ARTIFACT_UNKNOWN]
            verdict = replace(verdict, findings=tuple(sorted((*known, Finding.of(changed, (subject.name,))))))
    if remeasure and lineage:
        with hashing("the lineage") as progress:
            further = tuple(changed_ancestors(opened.archive, lineage, progress))
        verdict = replace(verdict, findings=tuple(sorted((*verdict.findings, *further))))
    return verdict, lineage


def _references(opened: Session, policy: Policy, path: Path, at: dt.datetime) -> ReferenceValues:
    """Reference values from a file, if a publisher has signed it whom the trust root and the policy accept.

    Raises:
        InputError: if it cannot be read, or nobody who is accepted has signed it.
    """
    raw = read_input(path)  # once: what is believed is what was verified
    references = parse_references(raw, str(path))
    subject = find_subject(opened.archive, str(path))
    if subject.sha256 != hashlib.sha256(raw).hexdigest():
        raise InputError(f"{path}: changed while it was read", mend="verify when nobody writes to it")
    signed = signed_only(policy.spec.origins.publishers)
    verdict, lineage = opened.verifier(subject.sidecar).judge(subject.sha256, signed, at)
    manifest = lineage.nodes[0].facts.manifest if lineage else None
    published = manifest is not None and isinstance(manifest.statement.maker, Publisher)
    meant = manifest is not None and manifest.output is not None and manifest.output.schema == TYPES["reference"]
    if not verdict.holds or not published or not meant:
        why = ", ".join(sorted({each.code for each in verdict.findings})) or "signed as something else"
        raise InputError(f"{path}: not signed as reference values: {why}", mend=f"atlas sign {path} --type reference")
    return references


def _named(verdict: Verdict, subject: Subject) -> Verdict:
    """Call the artifact by its file's name in findings that know no better one."""
    findings = (
        replace(each, path=(subject.name,)) if each.path == ("artifact",) else each for each in verdict.findings
    )
    return replace(verdict, name=verdict.name or subject.name, findings=tuple(findings))


def print_verdict(verdict: Verdict, lineage: Lineage | None) -> None:
    """Print a verdict as a table of steps, and its findings."""
    _print_summary(verdict, lineage)
    if lineage:
        console.print(_table(verdict, lineage))
    _print_disclosed(verdict)
    print_findings(verdict.findings, mends=False)


_STYLES = {Outcome.HOLDS: "bold green", Outcome.NEEDS_REVIEW: "bold yellow", Outcome.DOES_NOT_HOLD: "bold red"}


def _print_summary(verdict: Verdict, lineage: Lineage | None) -> None:
    mark, style = MARKS[verdict.outcome], _STYLES[verdict.outcome]
    text = Text.assemble((f"{mark} {verdict.name} {verdict.outcome}", style), f"  {verdict.subject}")
    console.print(text, soft_wrap=True)
    if lineage:
        steps = f"{verdict.steps} step{'s' * (verdict.steps != 1)}"
        manifests = f"{verdict.manifests} manifest{'s' * (verdict.manifests != 1)}"
        console.print(f"  {steps}, {manifests}, judged as of {verdict.at}", style="dim")


def _print_disclosed(verdict: Verdict) -> None:
    for each in verdict.disclosed:
        text = f"  disclosed  {each.component}.{each.name} = {json.dumps(each.value, ensure_ascii=False)}"
        console.print(Text(text), soft_wrap=True)


def _table(verdict: Verdict, lineage: Lineage) -> Table:
    refused = [each for each in verdict.findings if each.severity is not Severity.WARNING]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("step", "made", "digest", "signed by", "log", "evidence", "verdict"):
        table.add_column(heading, overflow="fold")
    for node in lineage.nodes:
        facts, maker = node.facts, node.facts.manifest.statement.maker
        own = [each for each in refused if _belongs(each.path, node.step_path)]
        codes, outcome = sorted({each.code.value for each in own}), Outcome.of(each.severity for each in own)
        mark = MARKS[outcome]
        table.add_row(
            maker.task if isinstance(maker, Step) else f"published by {maker.name}",
            node.name,
            facts.manifest.asset_sha256[:12],
            facts.trusted.authority.name,
            f"#{facts.logged.index}" if facts.logged else "—",
            visible(attested_by(facts)) or NO_EVIDENCE,
            Text(f"{mark} {', '.join(codes)}".rstrip(), style=_STYLES[outcome].removeprefix("bold ")),
        )
    return table


def _belongs(finding: tuple[str, ...], step: tuple[str, ...]) -> bool:
    """Whether a finding is at a step, at its artifact, or at one of its inputs (which has no row of its own)."""
    return finding in (step, step[:-1]) or finding[:-1] == step
