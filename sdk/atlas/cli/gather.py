"""`atlas gather`: take up what waits in the inbox. Every verb that verifies does so by itself."""

from pathlib import Path

import click

from atlas.cli.terminal import console, home_option, json_option, print_json
from atlas.gather import gather as gather_home
from atlas.home import find_home


@click.command()
@click.option("--renew", is_flag=True, help="Also ask the log again for what has a receipt that does not hold.")
@home_option
@json_option
def gather(renew: bool, home: Path | None, as_json: bool) -> int:
    """Archive and log the manifests that wait in the home's inbox: exit 1 if one is refused, 2 if the log is away."""
    gathered = gather_home(find_home(home), renew=renew)
    refused = [
        {"deposit": str(place), "code": rejected.code.value, "message": str(rejected)}
        for place, rejected in gathered.refused
    ]
    if as_json:
        print_json({"manifests": gathered.manifests, "logged": gathered.logged, "refused": refused})
    else:
        console.print(f"{gathered.manifests} new manifests, {gathered.logged} logged")
        for each in refused:
            console.print(f"✗ {each['code']}  {each['message']}\n    set aside in {each['deposit']}", soft_wrap=True)
    if gathered.unlogged:
        raise gathered.unlogged
    return 1 if refused else 0
