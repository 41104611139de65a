"""`atlas sign`: vouch for an artifact that no pipeline made."""

from getpass import getuser
from pathlib import Path

import click

from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, hashing, home_option, json_option, print_json
from atlas.home import find_home
from atlas.policy.evidence import load_references
from atlas.publish import TYPES, publish


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--type", "kind", type=click.Choice(sorted(TYPES)), required=True, help="What the artifact is.")
@click.option("--publisher", default=getuser, show_default="your user name", help="In whose name.")
@home_option
@json_option
def sign(path: Path, kind: str, publisher: str, home: Path | None, as_json: bool) -> None:
    """Sign an artifact as its publisher: writes PATH.c2pa beside it, and logs the signature."""
    found = find_home(home)
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
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"{name:10} {value}", soft_wrap=True)
