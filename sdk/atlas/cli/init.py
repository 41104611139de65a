"""`atlas init`: make a home."""

from pathlib import Path

import click

from atlas.cli.terminal import console, home_option, json_option, print_json
from atlas.home import NAME, create_home
from atlas.home_trust import trust_of
from atlas.logs import pinned_as
from atlas.rotation import present_authority


@click.command()
@click.option("--key", "key_uri", default="", metavar="URI", help="The authority's key, in a PKCS#11 token (RFC 7512).")
@click.option("--pseudonymous", is_flag=True, help="Have certificates, which logs show, carry pseudonyms, not names.")
@home_option
@json_option
def init(key_uri: str, pseudonymous: bool, home: Path | None, as_json: bool) -> None:
    """Make a home in this folder: a development authority, a transparency log, an archive."""
    made = create_home(home or Path.cwd() / NAME, key_uri=key_uri)
    if pseudonymous:
        made.use_pseudonyms()
    trust = trust_of(made)
    facts = {
        "home": str(made.path),
        "authority": present_authority(made, trust).name,
        "log": pinned_as(made, made.log_key().public_key()).origin,
        "trust": f"sha256:{trust.sha256}",
        **({"signers": "pseudonyms"} if made.pseudonymous else {}),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"{name:10} {value}", soft_wrap=True)
