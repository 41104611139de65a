"""`atlas import`: take up a model that somebody else signed with OpenSSF Model Signing, as an origin of lineages."""

from dataclasses import replace
from pathlib import Path

import click

from atlas.artifact import measure
from atlas.cli.files import read_certificate, read_key
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, hashing, home_option, json_option, print_json
from atlas.document import read_input
from atlas.errors import InputError
from atlas.home import find_home
from atlas.home_trust import change_trust, trust_of
from atlas.interop.oms_record import record_of
from atlas.interop.verify import publisher_of, verify_signed
from atlas.trust import Authority, PublisherKey, Role, TrustRoot, load_authority, load_publisher_key

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--signature", type=_FILE, required=True, help="The model's signature, as `model_signing sign` wrote it.")
@click.option("--public-key", type=_FILE, help="Pin this key of the publisher (PEM or DER); with --publisher.")
@click.option("--authority", type=_FILE, help="Pin this authority of publishers (PEM); with --publisher.")
@click.option("--publisher", help="What the trust root calls what is pinned.")
@home_option
@json_option
def import_(
    path: Path,
    signature: Path,
    public_key: Path | None,
    authority: Path | None,
    publisher: str | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Import a model that somebody else signed: verify its signature, archive it, log it.

    The signer must be pinned in the trust root, or be given here, by somebody you trust, to be pinned. Every verdict
    verifies the signature again.
    """
    found = find_home(home)
    given = _given(public_key, authority, publisher)
    trust = _pinning(trust_of(found), given)
    content = read_input(signature)
    with hashing(path.name) as progress:
        measured = measure(path, progress)
    record = record_of(content, measured, trust)
    trusted = verify_signed(record, trust)
    if publisher and trusted.authority.name != publisher:
        raise InputError(
            f"{signature}: is signed under {trusted.authority.name}, and not under what is given for {publisher}",
            mend="leave --public-key and --authority out: its signer is pinned",
        )
    change_trust(found, lambda known: _pinning(known, given))
    found.deposit({f"{path.resolve().name}.oms": record})
    gather_and_tell(found)
    manifest = trusted.manifest
    facts: dict[str, str | list[str]] = {
        "artifact": f"sha256:{manifest.asset_sha256}",
        "publisher": publisher_of(manifest),
        "signer": f"sha256:{manifest.signer_sha256}",
        "pinned": trusted.authority.name,
        "manifest": f"sha256:{manifest.box_sha256}",
        "ignored": list(manifest.ignored),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if value:
            console.print(f"{name:10} {', '.join(value) if isinstance(value, list) else value}", soft_wrap=True)


def _given(public_key: Path | None, authority: Path | None, publisher: str | None) -> PublisherKey | Authority | None:
    """The signer that is to be pinned, if one is.

    Raises:
        InputError: if two are given, or no name.
        DocumentError: if it is no key or authority.
    """
    if public_key and authority:
        raise InputError("--public-key and --authority are two signers", mend="give the one that signed")
    if not public_key and not authority:
        if publisher:
            raise InputError(
                "--publisher names what is pinned", mend="give --public-key or --authority, or leave it out"
            )
        return None
    if not publisher:
        raise InputError("what is pinned needs a name", mend="give it with --publisher")
    if public_key:
        return load_publisher_key(publisher, read_key(public_key))
    assert authority
    return load_authority(publisher, read_certificate(authority), frozenset({Role.PUBLISHER}))


def _pinning(trust: TrustRoot, given: PublisherKey | Authority | None) -> TrustRoot:
    """The trust root, with what is to be pinned.

    Raises:
        InputError: if it pins something else under that name.
    """
    pinned: tuple[Authority | PublisherKey, ...] = (*trust.authorities, *trust.publisher_keys)
    if given is None or given in pinned:
        return trust
    if given.name in {each.name for each in pinned}:
        raise InputError(f"the trust root pins something else as {given.name}", mend="choose another name")
    if isinstance(given, PublisherKey):
        return replace(trust, publisher_keys=(*trust.publisher_keys, given))
    return replace(trust, authorities=(*trust.authorities, given))
