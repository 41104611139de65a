"""`atlas init`: make a home."""

from pathlib import Path

import click

from atlas.cli.terminal import console, home_option, json_option, print_json
from atlas.home import NAME, create_home
from atlas.trust_file import load_trust_root


@click.command()
@click.option("--pseudonymous", is_flag=True, help="Have certificates, which logs show, carry pseudonyms, not names.")
@home_option
@json_option
def init(pseudonymous: bool, home: Path | None, as_json: bool) -> None:
    """Make a home in this folder: a development authority, a transparency log, an archive."""
    made = create_home(home or Path.cwd() / NAME)
    if pseudonymous:
        made.use_pseudonyms()
    trust = load_trust_root(made.trust_path)
    facts = {
        "home": str(made.path),
        "authority": trust.authorities[0].name,
        "log": trust.logs[0].origin,
        "trust": f"sha256:{trust.sha256}",
        **({"signers": "pseudonyms"} if made.pseudonymous else {}),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"{name:10} {value}", soft_wrap=True)
