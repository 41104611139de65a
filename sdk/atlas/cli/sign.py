"""`atlas sign`: vouch for an artifact that no pipeline made.

What only a keyless signature needs, Sigstore's libraries, is imported where it is asked for: it takes a second to load.
"""

from collections.abc import Callable
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atlas.bundles import sign_model
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, hashing, home_option, json_option, print_json
from atlas.errors import InputError
from atlas.home import Home, find_home
from atlas.log.choice import Instance
from atlas.logs import signing_config
from atlas.policy.evidence import load_references
from atlas.publish import TYPES, publish

if TYPE_CHECKING:
    from atlas.keyless import Keyless

_FILE = click.Path(path_type=Path, dir_okay=False)
_MAX_FILE = 1 << 24


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
@click.option("--publisher", help="In whose name; by default your user name.")
@click.option(
    "--identity-token",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Sign without a key of the home's, as whom this OIDC token names (a file, or - for standard input); of OMS.",
)
@click.option("--trust-config", type=_FILE, help="With a token: Sigstore's trust configuration; by default public.")
@click.option("--staging", is_flag=True, help="With a token: use the public instance of Sigstore for tests.")
@home_option
@json_option
def sign(
    path: Path,
    kind: str | None,
    form: str,
    publisher: str | None,
    identity_token: Path | None,
    trust_config: Path | None,
    staging: bool,
    home: Path | None,
    as_json: bool,
) -> None:
    """Sign an artifact as its publisher: writes PATH.c2pa beside it (of OMS, PATH.sig), and logs the signature."""
    found = find_home(home)
    _check_options(form, publisher, identity_token, trust_config, staging=staging)
    publisher = publisher or getuser()
    if form == "oms":
        signer = _certifier(found, identity_token, trust_config, staging=staging) if identity_token else publisher
        _show(_sign_model(found, path, kind, signer), as_json=as_json)
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


def _check_options(
    form: str, publisher: str | None, token: Path | None, trust_config: Path | None, *, staging: bool
) -> None:
    if publisher is not None and not publisher.strip():
        raise InputError("--publisher: is empty", mend="say in whose name it is signed")
    if token is None and (trust_config or staging):
        raise InputError("--trust-config and --staging are of --identity-token", mend="give the token, too")
    if token is not None and form != "oms":
        raise InputError("certificates of Sigstore's Fulcio sign no C2PA claims", mend="say --format oms, too")
    if token is not None and publisher:
        raise InputError("--publisher and --identity-token are two signers", mend="leave one out")
    if trust_config and staging:
        raise InputError("--trust-config and --staging are two instances of Sigstore", mend="leave one out")


def _certifier(home: Home, token: Path, trust_config: Path | None, *, staging: bool) -> "Callable[[], Keyless]":
    """Who has a key certified, once the model is measured; what that takes is read before."""
    from atlas.keyless import certify

    given = _read(token)
    if trust_config:
        config = _read(trust_config)
    else:
        config = signing_config(home, Instance.STAGING if staging else Instance.PRODUCTION)
    return lambda: certify(given.decode("ascii", "replace"), config)


def _read(path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read(_MAX_FILE)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", mend="name a file that this user may read") from error
    return content


def _sign_model(home: Home, path: Path, kind: str | None, publisher: "str | Callable[[], Keyless]") -> dict[str, str]:
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
        "publisher": made.publisher,
        "signature": str(made.place),
    }


def _show(facts: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        console.print(f"{name:10} {value}", soft_wrap=True)
