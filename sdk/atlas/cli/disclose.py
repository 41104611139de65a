"""`atlas disclose`: open chosen parameters that steps keep back, for somebody who verifies the model."""

from collections.abc import Iterator
from pathlib import Path

import click

from atlas.cli.session import Session, find_subject, session
from atlas.cli.terminal import console, home_option, write_file
from atlas.codes import Code
from atlas.disclosure import Disclosure
from atlas.disclosure_file import dump_disclosures
from atlas.errors import InputError, Rejected
from atlas.lineage import Lineage
from atlas.opening import open_parameters
from atlas.statement import Step


@click.command()
@click.argument("target", metavar="PATH|sha256:…")
@click.option("--field", "fields", multiple=True, required=True, metavar="COMPONENT.PARAMETER", help="What to open.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Into this file; by default printed."
)
@home_option
def disclose(target: str, fields: tuple[str, ...], output: Path | None, home: Path | None) -> None:
    """Open parameters that steps of an artifact's lineage keep back: a JSON file for `atlas verify --disclosed`."""
    with session(home, None) as opened:
        subject = find_subject(opened.archive, target)
        lineage = opened.verifier(subject.sidecar).lineage(subject.sha256)
        if lineage is None:
            raise Rejected(Code.ARTIFACT_UNKNOWN, found=f"sha256:{subject.sha256}")
        kept = list(_kept(opened, lineage))
    names = {field for field, _, _ in kept}
    if missing := [each for each in fields if each not in names]:
        there = ", ".join(sorted(names)) or "nothing"
        raise InputError(
            f"{missing[0]}: no step of this lineage keeps it back where this home could open it",
            mend=f"name what is kept: {there}",
        )
    chosen: dict[str, list[str]] = {}
    for field, sha256, each in kept:
        if field in fields:
            chosen.setdefault(sha256, []).append(each.encoded)
    document = dump_disclosures(chosen)
    if output is None:
        click.echo(document.decode(), nl=False)
        return
    write_file(output, document, private=True)
    count = sum(map(len, chosen.values()))
    console.print(f"{count} parameter{'s' * (count != 1)} opened in {output}", soft_wrap=True)


def _kept(opened: Session, lineage: Lineage) -> Iterator[tuple[str, str, Disclosure]]:
    """(`component.parameter`, digest of the statement, disclosure) of what the archive keeps for a lineage."""
    for sha256, statement in {
        node.facts.manifest.statement_sha256: node.facts.manifest.statement for node in lineage.nodes
    }.items():
        if statement.hidden and isinstance(statement.maker, Step):
            for name, each in open_parameters(statement, opened.archive.disclosures(sha256)).items():
                yield f"{statement.maker.component}.{name}", sha256, each
