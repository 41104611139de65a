"""`atlas evidence`: quotes, collateral and reference values by themselves, and the simulated platform."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import click
import yaml
from rich.text import Text

from atlas.archive import Archive
from atlas.cli.evidence_collateral import fetch, import_, naming, read_collateral
from atlas.cli.session import find_subject
from atlas.cli.terminal import (
    console,
    home_option,
    json_option,
    parse_time,
    print_findings,
    print_json,
    write_file,
)
from atlas.codes import Code
from atlas.document import read_input
from atlas.errors import InputError, Rejected
from atlas.evidence.appraise import Appraisal, verify_under
from atlas.evidence.document import parse_evidence
from atlas.evidence.initdata import parse_annotation, parse_initdata
from atlas.evidence.providers import SIMULATED, coco
from atlas.evidence.tdx.aael import Measured, measured_events
from atlas.evidence.tdx.collateral import Collateral, parse_collateral, select
from atlas.evidence.tdx.eventlog import EventLog, parse_event_log
from atlas.evidence.tdx.quote import Quote, parse_quote
from atlas.evidence.tdx.replay import check_replay, differences
from atlas.evidence.tdx.verify import platform_of
from atlas.gather import open_archive
from atlas.home import find_home
from atlas.interop.verify import read_manifest
from atlas.manifest import Manifest, parse_manifest
from atlas.policy import default_policy, load_policy, with_references
from atlas.policy.attested import judge_appraisal, registers
from atlas.policy.evidence import load_references
from atlas.simulated import make_simulator
from atlas.trust import EvidenceRoot, Tee, intel_root
from atlas.trust_file import load_trust_root
from atlas.verdict import Finding, Outcome

_FILE = click.Path(path_type=Path, dir_okay=False)
_PINNED = ("mrtd", "rtmr1", "rtmr2", "mrconfigid", "mrowner", "mrownerconfig")
"""Registers that a reference value takes from a quote: not RTMR0, which depends on memory and processors, nor RTMR3,
which depends on what ran, nor MRSEAM, which changes with each update of the TDX module."""


@click.group()
def evidence() -> None:
    """Evidence of confidential pods: quotes, collateral, reference values."""


evidence.add_command(fetch)
evidence.add_command(import_)


@evidence.command()
@click.argument("quote", type=_FILE)
@json_option
def show(quote: Path, as_json: bool) -> None:
    """Show what a TDX QUOTE says of itself; nothing of it is verified."""
    read = parse_quote(read_input(quote))
    facts = {"version": read.version, "identity": f"sha256:{read.identity}", **_report(read)}
    fmspc, authority = platform_of(read)
    facts |= {"fmspc": fmspc, "authority": authority}
    if as_json:
        print_json(facts)
    else:
        _print(facts)


@evidence.command()
@click.argument("quote", type=_FILE)
@click.option("--collateral", required=True, type=_FILE, help="What the manufacturer says of the platform (JSON).")
@click.option("--at", metavar="TIME", help="Verify as of this time (RFC 3339); by default now.")
@click.option("--event-log", type=_FILE, help="The event log (CCEL) that must lead to the quote's registers.")
@click.option("--reference", type=_FILE, help="File of reference values (kind: ReferenceValues).")
@click.option("--policy", type=_FILE, help="Policy whose rules on evidence apply.")
@click.option("--trust", type=_FILE, help="Trust root file with evidence roots; by default Intel's root alone.")
@click.option("--report-data", metavar="HEX", help="The 64 bytes that the quote must carry.")
@json_option
def verify(
    quote: Path,
    collateral: Path,
    at: str | None,
    event_log: Path | None,
    reference: Path | None,
    policy: Path | None,
    trust: Path | None,
    report_data: str | None,
    as_json: bool,
) -> int:
    """Verify a TDX QUOTE, offline: exit 0 if it holds, 1 if it does not."""
    rules = load_policy(policy) if policy else default_policy()
    if reference:
        rules = with_references(rules, load_references(reference))
    roots = load_trust_root(trust).evidence_roots if trust else (intel_root(),)
    appraisal = _appraise(read_input(quote), read_collateral(collateral), roots, parse_time(at), event_log)
    if report_data is not None:
        _check_report_data(appraisal.quote, report_data)
    findings = tuple(
        sorted(Finding.of(each, (quote.name,)) for each in judge_appraisal(appraisal, rules.spec.evidence))
    )
    outcome = Outcome.of(each.severity for each in findings)
    facts = _facts(appraisal)
    if as_json:
        print_json({"verdict": outcome.value, **facts, "findings": [each.to_json() for each in findings]})
    else:
        mark, style = ("✓", "bold green") if outcome is Outcome.HOLDS else ("✗", "bold red")
        console.print(Text.assemble((f"{mark} {quote.name} {outcome}", style)))
        _print(facts)
        print_findings(findings, mends=True)
    return 0 if outcome is Outcome.HOLDS else 1


@evidence.command()
@click.argument("known_good", metavar="KNOWN-GOOD", type=_FILE)
@click.argument("event_log", metavar="LOG", type=_FILE)
@json_option
def diff(known_good: Path, event_log: Path, as_json: bool) -> int:
    """Name every event of LOG that differs from a KNOWN-GOOD event log: exit 0 if none does, 1 otherwise.

    Both are taken at their word: `atlas evidence verify` holds a log against a quote.
    """
    found = differences(_event_log(known_good), _event_log(event_log))
    if as_json:
        print_json({"differences": found})
    else:
        for each in found or ["no difference"]:
            console.print(each, soft_wrap=True)
    return 1 if found else 0


@evidence.command()
@click.option("--name", default="confidential-pod", show_default=True, help="What to call the trust domain.")
@click.option("--quote", "quotes", multiple=True, type=_FILE, help="A quote of a known-good trust domain.")
@click.option("--initdata", type=_FILE, help="The pod's initdata: TOML, or the annotation's value.")
@click.option(
    "--register", "chosen", multiple=True, help=f"Which registers of the quote; by default {', '.join(_PINNED)}."
)
def reference(name: str, quotes: tuple[Path, ...], initdata: Path | None, chosen: tuple[str, ...]) -> None:
    """Write reference values (YAML): from known-good quotes, from the initdata that a pod is started with, or both.

    A quote is taken at its word: have it from a machine that you trust.
    """
    if not quotes and not initdata:
        raise InputError("nothing to take reference values from", mend="give --quote, --initdata or both")
    values: dict[str, list[str]] = {}
    for path in quotes:
        found = registers(parse_quote(read_input(path)).report)
        if unknown := sorted(set(chosen) - found.keys()):
            raise InputError(f"there is no register {', '.join(unknown)}", mend=f"choose of {', '.join(found)}")
        for register in chosen or _PINNED:
            known = values.setdefault(register, [])
            known += [found[register]] if found[register] not in known else []
    if initdata:
        raw = read_input(initdata)
        parsed = parse_initdata(raw) if b"[data]" in raw else parse_annotation(raw.decode("ascii", "replace").strip())
        expected = parsed.mrconfigid.hex()
        if values.get("mrconfigid", [expected]) != [expected]:
            raise InputError(f"{initdata}: the quote was made with other initdata: its MRCONFIGID is not {expected}")
        values["mrconfigid"] = [expected]
    document = {
        "apiVersion": "atlas.dev/v1alpha1",
        "kind": "ReferenceValues",
        "metadata": {"name": name},
        "spec": {"values": [{"name": name, **values}]},
    }
    click.echo(yaml.safe_dump(document, sort_keys=False), nl=False)


@evidence.command()
@click.argument("target", metavar="PATH|sha256:…|SIDECAR")
@click.option("--into", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@home_option
def export(target: str, into: Path, home: Path | None) -> None:
    """Write what a step showed into files: its quote, its event log, and the collateral that it is judged by."""
    with open_archive(find_home(home)) as archive:
        manifest = _manifest(archive, target)
        if not manifest.evidence:
            raise InputError(f"{target}: has no evidence", mend="run the step with a provider of evidence")
        shown = parse_evidence(manifest.evidence).attestation
        files = {"quote.bin": shown.quote}
        if shown.event_log is not None:
            files["event-log.bin"] = shown.event_log
        known = [parse_collateral(raw) for raw in archive.collateral(*platform_of(parse_quote(shown.quote)))]
        if chosen := select(known, manifest.statement.ended):
            files["collateral.json"] = chosen[-1].raw
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{into}: cannot be made: {error.strerror}") from error
    for name, content in files.items():
        write_file(into / name, content)
        console.print(str(into / name), soft_wrap=True)


def _manifest(archive: Archive, target: str) -> Manifest:
    if target.endswith(".c2pa"):
        return parse_manifest(read_input(Path(target)))
    subject = find_subject(archive, target)
    stored = subject.sidecar or next(iter(archive.producers(subject.sha256)), None)
    if stored is None:
        raise InputError(f"{target}: no manifest vouches for it", mend="name an artifact that a pipeline made")
    return read_manifest(stored.sidecar)


@evidence.command()
@click.argument("domain")
@click.argument("operation")
@click.argument("content")
@click.option("--agent", default=coco.URL, show_default=True, help="Where the pod's agent listens.")
def record(domain: str, operation: str, content: str, agent: str) -> None:
    """Have the agent of this confidential pod measure an event, which a policy may ask for.

    It goes into RTMR3 and the event log of every quote from then on.
    """
    coco.CocoProvider(agent).record(domain, operation, content)
    click.echo(f"measured {domain} {operation}")


@evidence.command()
@home_option
@json_option
def simulate(home: Path | None, as_json: bool) -> None:
    """Give the home a simulated platform. Its evidence proves nothing, and counts only where a policy allows that."""
    found = find_home(home)
    made = make_simulator(found, dt.datetime.now(dt.UTC))
    if as_json:
        print_json({"home": str(found.path), "root": SIMULATED, "new": made})
    else:
        console.print(f"{found.path}: {'made' if made else 'has'} a simulated platform; its evidence proves nothing")


def _appraise(
    raw: bytes, collateral: Collateral, roots: tuple[EvidenceRoot, ...], at: dt.datetime, event_log: Path | None
) -> Appraisal:
    quote = parse_quote(raw)
    root, verified = verify_under(quote, [each for each in roots if each.tee is Tee.TDX], [collateral], at)
    events = _events(quote, _event_log(event_log)) if event_log else None
    return Appraisal(SIMULATED if root.simulated else "tdx", root, verified, (collateral.sha256,), events, (), "", at)


def _check_report_data(quote: Quote, stated: str) -> None:
    if not re.fullmatch("[0-9a-fA-F]{128}", stated):
        raise InputError("--report-data: not 64 bytes in hex", mend="write 128 hex digits")
    found = quote.report.report_data.hex()
    if found != stated.lower():
        raise Rejected(Code.EVIDENCE_NOT_BOUND, expected=stated.lower(), found=found)


def _events(quote: Quote, log: EventLog) -> tuple[Measured, ...]:
    check_replay(log, quote.report.rtmrs)
    return measured_events(log)


def _facts(appraisal: Appraisal) -> dict[str, Any]:
    platform = appraisal.verified.platform
    return {
        "root": appraisal.root.name,
        "simulated": appraisal.root.simulated,
        "status": platform.status,
        "advisories": list(platform.advisories),
        "evaluation": platform.evaluation,
        "level_date": f"{platform.level_date:%F}",
        "qe_status": platform.qe_status,
        "fmspc": platform.fmspc,
        "ppid": platform.ppid,
        "features": sorted(platform.features),
        "at": f"{appraisal.at:%FT%TZ}",
        "collateral": f"sha256:{appraisal.verified.collateral}",
        "identity": f"sha256:{appraisal.quote.identity}",
        **_report(appraisal.quote),
        "events": [vars(each) for each in appraisal.events] if appraisal.events is not None else None,
    }


def _report(quote: Quote) -> dict[str, Any]:
    report = quote.report
    return {
        **registers(report),
        "td_attributes": report.td_attributes.hex(),
        "xfam": report.xfam.hex(),
        "tee_tcb_svn": report.tee_tcb_svn.hex(),
        "report_data": report.report_data.hex(),
    }


def _event_log(path: Path) -> EventLog:
    with naming(path):
        return parse_event_log(read_input(path))


def _print(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        console.print(Text.assemble((f"  {name:13} ", "dim"), shown), soft_wrap=True)
