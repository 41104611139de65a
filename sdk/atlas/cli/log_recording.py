"""`atlas log reveal`, `timestamp` and `witness`: how the home records, and whose word on it counts."""

from pathlib import Path

import click

from atlas.cli.files import read_certificate
from atlas.cli.terminal import console, home_option
from atlas.errors import InputError
from atlas.home import find_home
from atlas.outbox import Reveal
from atlas.recording import demand_witnesses, stamp_by, stamp_no_more
from atlas.recording import reveal as reveal_to
from atlas.trust import load_witness

_SHOWN = {
    Reveal.CLAIM: "each manifest's signature and its signer's certificate",
    Reveal.COMMITMENT: "one salted digest for each manifest, under a key that is used once",
    Reveal.BATCH: "one salted digest for all manifests that wait, under a key that is used once",
}


@click.command()
@click.argument("what", type=click.Choice([each.value for each in Reveal]))
@home_option
def reveal(what: str, home: Path | None) -> None:
    """Choose what the log is shown of manifests from here on (docs/confidentiality.md)."""
    found = find_home(home)
    reveal_to(found, Reveal(what))
    console.print(f"{found.path}: shows the log {_SHOWN[Reveal(what)]}", soft_wrap=True)


@click.command()
@click.argument("url", required=False)
@click.option("--root", type=click.Path(path_type=Path, dir_okay=False), help="Certificate that vouches for it (PEM).")
@click.option("--none", "nobody", is_flag=True, help="Ask nobody for the time from here on.")
@home_option
def timestamp(url: str | None, root: Path | None, nobody: bool, home: Path | None) -> None:
    """Have the timestamp authority at URL (RFC 3161) state by when each signature existed, and pin its root."""
    found = find_home(home)
    if nobody and not (url or root):
        stamp_no_more(found)
        console.print(f"{found.path}: asks nobody for the time", soft_wrap=True)
        return
    if nobody or not (url and root):
        raise InputError("say whom to ask and who vouches for it", mend="give URL and --root, or --none")
    authority = stamp_by(found, url, read_certificate(root))
    console.print(f"{found.path}: has signatures timestamped by {authority.name}, and pins it", soft_wrap=True)


@click.command()
@click.argument("keys", metavar="KEY…", nargs=-1)
@click.option("--quorum", type=click.IntRange(min=0), required=True, help="How many must have cosigned; 0: none.")
@click.option("--origin", required=True, help="The log that it is demanded of.")
@home_option
def witness(keys: tuple[str, ...], quorum: int, origin: str, home: Path | None) -> None:
    """Pin witnesses by their verifier keys (name+hash+key), and demand their cosignatures on a log's checkpoints."""
    found = find_home(home)
    demand_witnesses(found, origin, quorum, [load_witness(each) for each in keys])
    whom = f"where {quorum} witness{'es have' if quorum > 1 else ' has'} cosigned" if quorum else "without witnesses"
    console.print(f"{found.path}: believes {origin} {whom}", soft_wrap=True)
