"""`atlas sign`: vouch for an artifact that no pipeline made."""

from pathlib import Path

import click

from atlas.bundles import sign_model
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, hashing, home_option, json_option, print_json, publisher_option
from atlas.errors import InputError
from atlas.home import Home, find_home
from atlas.policy.evidence import load_references
from atlas.publish import TYPES, publish


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--type", "kind", type=click.Choice(sorted(TYPES)), help="What the artifact is; in OMS always a model.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["c2pa", "oms"]),
    default="c2pa",
    show_default=True,
    help="A C2PA sidecar, or a signature of OpenSSF Model Signing.",
)
@publisher_option("In whose name.")
@home_option
@json_option
def sign(path: Path, kind: str | None, form: str, publisher: str, home: Path | None, as_json: bool) -> None:
    """Sign an artifact as its publisher: writes PATH.c2pa beside it (of OMS, PATH.sig), and logs the signature."""
    found = find_home(home)
    if form == "oms":
        _show(_sign_model(found, path, kind, publisher), as_json=as_json)
        return
    if kind is None:
        raise InputError("a sidecar says what the artifact is", mend=f"give --type: {', '.join(sorted(TYPES))}")
    if kind == "reference":
        load_references(path)  # what is signed as reference values must be some
    with hashing(path.name) as progress:
        sidecar, place = publish(found, path, kind, publisher, progress=progress)
    gather_and_tell(found)
    facts = {
        "artifact": f"sha256:{sidecar.manifest.asset_sha256}",
        "publisher": publisher,
        "sidecar": str(place),
        "manifest": f"sha256:{sidecar.manifest.box_sha256}",
    }
    _show(facts, as_json=as_json)


def _sign_model(home: Home, path: Path, kind: str | None, publisher: str) -> dict[str, str]:
    if kind not in (None, "model"):
        raise InputError("OpenSSF Model Signing signs models", mend="leave --type out, or leave --format out")
    with hashing(path.name) as progress:
        made = sign_model(home, path, publisher, progress)
    gather_and_tell(home)
    if made.ignored:
        names = ", ".join(made.ignored)
        click.echo(f"atlas: not signed, because model signing leaves out git's own files: {names}", err=True)
    return {
        "artifact": f"sha256:{made.measured.sha256}",
        "publisher": publisher,
        "signature": str(made.place),
    }


def _show(facts: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"{name:10} {value}", soft_wrap=True)
