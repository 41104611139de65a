"""`atlas log use`: which log the home records in. Its options for naming a log serve `atlas log anchor` too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from atlas.cli.files import read_key
from atlas.cli.terminal import console, home_option
from atlas.errors import InputError, Rejected
from atlas.home import find_home
from atlas.log import open_checkpoint
from atlas.log.checkpoint import check_origin
from atlas.log.choice import Instance, PublicChoice
from atlas.log.rekor1 import Address1
from atlas.log.rekor2 import Address
from atlas.logs import connect, find_public, use_own
from atlas.logs import use as use_log
from atlas.outbox import Reveal
from atlas.recording import choices_of
from atlas.trust import load_log

_FOR_EVER = (
    "everybody can read a public log, for ever, and nothing can be taken back. What is recorded of each manifest:"
)
_CLAIMS = """
  - a SHA-256 digest of its signed claim, and the signature; neither the artifact nor its own digest
  - the signer's whole certificate: its key, the name of the task or publisher, the run, the attempt, the authority
  - when it was recorded, and so how often you sign, and how much (`atlas log reveal batch` shows nothing but that)"""
_SEALED = """
  - a salted digest, a key that is used once, and its signature: nothing of what is signed, or by whom
  - when it was recorded, and so how often you log"""
_FROM_NOW = "\nIt begins with what is signed or waits to be logged now"

_FILE = click.Path(path_type=Path, dir_okay=False)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _together(*options: Callable[[Any], Any]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


_identity = _together(
    click.option("--origin", required=True, help="The log's name, as its checkpoints begin."),
    click.option(
        "--public-key", required=True, type=_FILE, help="The log's key (PEM or DER), from somebody you trust."
    ),
    click.option("--ca", "ca_file", type=_FILE, help="Certificates that vouch for the server's TLS (PEM)."),
    home_option,
)
rekor2_options = _together(
    click.option("--write", "write_url", required=True, help="Address that takes entries."),
    click.option("--read", "read_url", help="Address of tiles and checkpoints; by default the same."),
    _identity,
)
rekor1_options = _together(click.option("--url", required=True, help="The log's address."), _identity)
public_options = _together(
    click.option("--staging", is_flag=True, help="Sigstore's staging instance, for trying things out."),
    click.option("--rekor", type=click.Choice(["v1", "v2"]), default="v1", show_default=True, help="Version of Rekor."),
    click.option("--trust-config", type=_FILE, help="Another instance of Sigstore, by its client trust configuration."),
    click.option("--yes-publish", is_flag=True, help="Yes, everybody may read what is recorded."),
    home_option,
)


def rekor2_address(
    write_url: str, read_url: str | None, origin: str, public_key: Path, ca_file: Path | None
) -> Address:
    """The log that `rekor2_options` name."""
    check_origin(origin)
    return Address(write_url, read_url or write_url, load_log(origin, read_key(public_key)), ca_file)


def rekor1_address(url: str, origin: str, public_key: Path, ca_file: Path | None) -> Address1:
    """The log that `rekor1_options` name."""
    check_origin(origin)
    return Address1(url, load_log(origin, read_key(public_key), 1), ca_file)


def public_choice(staging: bool, rekor: str, trust_config: Path | None) -> PublicChoice:
    """The public log that `public_options` name."""
    if staging and trust_config:
        raise InputError("--staging and --trust-config name two instances", mend="give one of them")
    instance = Instance.STAGING if staging else Instance.PRODUCTION
    return PublicChoice(
        instance=instance, trustConfig=trust_config.resolve() if trust_config else None, rekor=int(rekor[1:])
    )


def size_of(address: Address | Address1) -> int:
    """Ask a log for its checkpoint, before anything is kept: is it there, and is it this log?"""
    with connect(address) as opened:
        try:
            note = opened.checkpoint()
            return open_checkpoint(note, opened.pinned).size if note else 0
        except Rejected as rejected:
            rejected.mend = "nothing was kept; compare --origin and --public-key with what who runs the log gives out"
            raise


@click.group()
def use() -> None:
    """Choose the log that this home records in from here on."""


@use.command()
@home_option
def own(home: Path | None) -> None:
    """Record in the home's own log."""
    found = find_home(home)
    use_own(found)
    console.print(f"{found.path}: records in its own log", soft_wrap=True)


@use.command()
@rekor2_options
def rekor2(home: Path | None, **named: Any) -> None:
    """Record in a Rekor v2 log that somebody else runs, and pin its key in the trust root."""
    _use(home, rekor2_address(**named))


@use.command()
@rekor1_options
def rekor1(home: Path | None, **named: Any) -> None:
    """Record in a Rekor v1 log that somebody else runs, and pin its key in the trust root."""
    _use(home, rekor1_address(**named))


@use.command()
@public_options
def public(home: Path | None, yes_publish: bool, **named: Any) -> None:
    """Record in a public log of Sigstore, which everybody can read, and pin all logs of its trust configuration."""
    found = find_home(home)
    choice = public_choice(**named)
    if not yes_publish:
        shown = _CLAIMS if choices_of(found).reveal is Reveal.CLAIM else _SEALED
        mend = "if all of that may be public, say --yes-publish"
        raise InputError(f"{choice.name}: {_FOR_EVER}{shown}{_FROM_NOW}", mend=mend)
    address, logs = find_public(found, choice)
    size = size_of(address)
    use_log(found, choice, logs.pinned)
    for origin in logs.unusable:
        click.echo(f"atlas: {origin}: not pinned: its key is of a kind that this Atlas does not know", err=True)
    console.print(
        f"{found.path}: records in {choice.name}: now {address.pinned.origin} ({size} entries); pins {len(logs.pinned)}"
        f" log{'s' if len(logs.pinned) != 1 else ''}",
        soft_wrap=True,
    )


def _use(home: Path | None, address: Address | Address1) -> None:
    found = find_home(home)
    size = size_of(address)
    use_log(found, address, [address.pinned])
    url = address.url if isinstance(address, Address1) else address.write_url
    console.print(f"{found.path}: records in {address.pinned.origin} ({size} entries) at {url}", soft_wrap=True)
