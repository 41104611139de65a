"""The commands that need Kubeflow Pipelines: `atlas kfp` and `atlas run`."""

import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click
from rich.console import Console
from rich.table import Table

from atlas.artifact import Kind
from atlas.errors import AtlasError, InputError
from atlas.evidence.providers import PROVIDERS, SIMULATED
from atlas.home import NAME, Home, create_home, find_home
from atlas.simulated import make_simulator
from atlas.statement import FAILED_EVIDENCE, Output, Statement, Step, parse_statement
from atlas_components.documents import dump_documents, header_of, read_documents, write_text
from atlas_components.ir import PROVENANCE, container_executors, instrument_documents, pipelines
from atlas_components.lint import lint
from atlas_components.place import STATEMENT

if TYPE_CHECKING:
    from atlas_components.local import LocalRun

P = ParamSpec("P")
UNUSABLE = 2
"""Exit code for what Atlas was given and cannot use; 1 is for what it was asked about and is not well."""


def _friendly(command: Callable[P, None]) -> Callable[P, None]:
    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except AtlasError as error:
            click.echo(f"atlas: {error}", err=True)
            if error.mend:
                click.echo(f"  mend: {error.mend}", err=True)
            sys.exit(UNUSABLE)

    return guarded


def _privacy_options(command: click.decorators.FC) -> click.decorators.FC:
    metavar = "COMPONENT.PARAMETER"
    for decorate in (
        click.option("--secret", multiple=True, metavar=metavar, help="Never record its value, nor a digest of it."),
        click.option("--confidential", multiple=True, metavar=metavar, help="Only commit to it; disclose it later."),
    ):
        command = decorate(command)
    return command


@click.group()
def kfp() -> None:
    """Prepare compiled pipelines."""


@kfp.command("instrument")
@click.argument("pipeline", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write the new pipeline.")
@click.option("--evidence", type=click.Choice(PROVIDERS), help="Who must give evidence of each step's pod.")
@_privacy_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_friendly
def instrument_command(
    pipeline: Path,
    output: Path,
    evidence: str | None,
    secret: tuple[str, ...],
    confidential: tuple[str, ...],
    as_json: bool,
) -> None:
    """Have every step of the compiled PIPELINE leave signed provenance."""
    read = read_documents(pipeline)
    documents = instrument_documents(read, evidence=evidence or "", secret=secret, confidential=confidential)
    write_text(output, dump_documents(documents, header_of(pipeline)))
    steps = {each.label: each.code_sha256 for spec, _ in pipelines(documents) for each in container_executors(spec)}
    if as_json:
        click.echo(json.dumps({"output": str(output), "code": steps}, indent=2))
    else:
        click.echo(f"{output}: {len(steps)} component{'s' * (len(steps) != 1)} instrumented")


@kfp.command("lint")
@click.argument("pipeline", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@_friendly
def lint_command(pipeline: Path, as_json: bool) -> None:
    """Find what weakens the provenance of the compiled PIPELINE; exit 1 if there is anything."""
    findings = [each for spec, platform in pipelines(read_documents(pipeline)) for each in lint(spec, platform)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in findings], indent=2))
    elif not findings:
        click.echo(f"{pipeline}: nothing to mend")
    for each in [] if as_json else findings:
        click.echo(f"{each.code}  {each.place}: {each.message}\n    mend: {each.mend}")
    sys.exit(1 if findings else 0)


@click.command()
@click.argument("pipeline")
@click.option("--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipeline.")
@click.option("--root", type=click.Path(path_type=Path), default=Path("local_outputs"), help="Folder for the outputs.")
@click.option("--home", "home_path", type=click.Path(path_type=Path), help="The home to sign in.")
@click.option("--evidence", type=click.Choice(PROVIDERS), help="Who must give evidence of each step's machine.")
@_privacy_options
@click.option("--cache", is_flag=True, help="Do not run steps again whose inputs are the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@_friendly
def run(
    pipeline: str,
    arguments: tuple[str, ...],
    root: Path,
    home_path: Path | None,
    evidence: str | None,
    secret: tuple[str, ...],
    confidential: tuple[str, ...],
    cache: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE (as pipeline.py:function) on this machine, with signed provenance of every step."""
    try:
        from atlas_components import loading, local  # noqa: PLC0415  takes a second, and needs an extra
    except ImportError as error:
        raise InputError(
            f"this needs Kubeflow Pipelines ({error})", mend="pip install 'atlas-provenance[kfp]'"
        ) from error
    loaded = loading.load_pipeline(pipeline)
    values = loading.parse_arguments(loaded, list(arguments))
    home = _home(home_path)
    if evidence == SIMULATED and make_simulator(home, dt.datetime.now(dt.UTC)):
        click.echo("made a simulated platform: its evidence proves nothing", err=True)
    result = local.run_locally(
        loaded,
        values,
        home,
        root=root,
        cache=cache,
        evidence=evidence or "",
        secret=secret,
        confidential=confidential,
        on_line=lambda line: click.echo(f"  {line}", err=True),
    )
    from atlas.cli.session import gather_and_tell  # noqa: PLC0415

    gathered = gather_and_tell(home).manifests
    statements = _statements(result.output)
    if as_json:
        click.echo(json.dumps(_result_json(result, statements, gathered), indent=2))
    else:
        _show(result, statements, gathered)
    sys.exit(0 if result.ok else 1)


def _home(path: Path | None) -> Home:
    try:
        return find_home(path)
    except InputError:
        place = path or Path(NAME)
        home = create_home(place)
        click.echo(f"made a home with a development authority at {place}", err=True)
        return home


def _statements(output: Path | None) -> list[Statement]:
    """What the steps of a run left, in the order in which they began."""
    found = output.rglob(f"{PROVENANCE}/{STATEMENT}") if output else ()
    return sorted((parse_statement(each.read_bytes()) for each in found), key=lambda each: each.started)


def _result_json(result: "LocalRun", statements: list[Statement], gathered: int) -> dict[str, Any]:
    return {
        "run": result.run_id,
        "ok": result.ok,
        "error": result.error,
        "output": str(result.output) if result.output else None,
        "manifests": gathered,
        "steps": [
            {
                "task": each.maker.task,
                "exit_code": each.maker.exit_code,
                "outputs": [{"name": o.name, "sha256": o.sha256, "uri": o.uri} for o in each.outputs],
                "unmeasured": [vars(u) for u in each.unmeasured],
            }
            for each in statements
            if isinstance(each.maker, Step)
        ],
    }


def _show(result: "LocalRun", statements: list[Statement], gathered: int) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("Task", "Outputs", "Exit code"):
        table.add_column(heading)
    for each in statements:
        if isinstance(each.maker, Step):
            outputs = [f"{o.name} {o.sha256[:12]}" for o in each.outputs]
            outputs += [f"{u.name} (unmeasured)" for u in each.unmeasured if u.direction == "output"]
            table.add_row(each.maker.task, ", ".join(outputs) or "—", str(each.maker.exit_code))
    console = Console(highlight=False)
    if statements:
        console.print(table)
    elif result.ok:
        console.print("No step ran: all were cached.")
    for each in statements:
        if each.evidence.startswith(FAILED_EVIDENCE) and isinstance(each.maker, Step):
            provider = each.evidence.removeprefix(FAILED_EVIDENCE)
            click.echo(f"atlas: {each.maker.task} is unattested: {provider} gave no evidence", err=True)
    console.print(f"{gathered} manifest{'s' * (gathered != 1)} gathered.")
    if not result.ok:
        click.echo(f"the pipeline failed: {result.error}", err=True)
    elif last := _last_artifact(statements):
        console.print(f"Next: atlas verify {last.uri}", soft_wrap=True)


def _last_artifact(statements: list[Statement]) -> Output | None:
    """The artifact that a user most likely wants to verify: the last one with bytes, a model if there is one."""
    outputs = [o for each in statements for o in each.outputs if o.kind is not Kind.PROPERTIES and o.size]
    models = [each for each in outputs if each.schema == "system.Model"]
    return next(reversed(models or outputs), None)
