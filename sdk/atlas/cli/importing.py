"""`atlas import`: take up a model that somebody else signed with OpenSSF Model Signing, as an origin of lineages."""

from dataclasses import replace
from pathlib import Path

import click

from atlas.artifact import measure
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, hashing, home_option, json_option, print_json, read_key
from atlas.errors import InputError
from atlas.home import find_home
from atlas.interop.record import record_of
from atlas.interop.verify import publisher_of, verify_signed
from atlas.trust import Role, TrustRoot, load_authority, load_publisher_key
from atlas.trust_file import load_trust_root

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
    known = load_trust_root(found.trust_path)
    trust = _pinned(known, public_key, authority, publisher)
    try:
        content = signature.read_bytes()
    except OSError as error:
        raise InputError(f"{signature}: {error.strerror or error}") from error
    with hashing(path.name) as progress:
        measured = measure(path, progress)
    record = record_of(content, measured, trust)
    trusted = verify_signed(record, trust)
    if trust != known:
        found.write(found.trust_path.name, trust.to_bytes())
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


def _pinned(trust: TrustRoot, public_key: Path | None, authority: Path | None, publisher: str | None) -> TrustRoot:
    """The trust root, with what is to be pinned.

    Raises:
        InputError: if it cannot be pinned under that name.
        DocumentError: if it is no key or authority.
    """
    if public_key and authority:
        raise InputError("--public-key and --authority are two signers", mend="give the one that signed")
    if not public_key and not authority:
        return trust
    if not publisher:
        raise InputError("what is pinned needs a name", mend="give it with --publisher")
    names = {each.name for each in trust.authorities} | {each.name for each in trust.publisher_keys}
    if public_key:
        key = load_publisher_key(publisher, read_key(public_key))
        if any(each == key for each in trust.publisher_keys):
            return trust
        pinned = replace(trust, publisher_keys=(*trust.publisher_keys, key))
    else:
        assert authority
        try:
            pem = authority.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            raise InputError(f"{authority}: not a PEM certificate: {error}") from error
        vouching = load_authority(publisher, pem, frozenset({Role.PUBLISHER}))
        if any(each == vouching for each in trust.authorities):
            return trust
        pinned = replace(trust, authorities=(*trust.authorities, vouching))
    if publisher in names:
        raise InputError(f"the trust root pins something else as {publisher}", mend="choose another name")
    return pinned
