"""`atlas export`: what other tools read of an artifact: SLSA provenance, or its own signature in a Sigstore bundle."""

from pathlib import Path

import click

from atlas.bundles import LoggedBundle, bundle_claim, sign_payload
from atlas.cli.files import check_writable
from atlas.cli.session import session
from atlas.cli.terminal import home_option, print_findings, publisher_option, write_file
from atlas.cli.verify import judge
from atlas.errors import InputError
from atlas.slsa import dump_provenance

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("target", metavar="PATH|sha256:…")
@click.option("--format", "form", type=click.Choice(["slsa", "bundle"]), required=True, help="What to write.")
@click.option("-o", "--output", type=_FILE, help="Into this file; by default to standard output.")
@click.option("--message", type=_FILE, help="With `bundle`: also write the bytes that the signature is over.")
@click.option(
    "--bare-key",
    type=_FILE,
    help="For clients that take a key and no certificate of ours (cosign): name the signer by key alone, and write "
    "that key and its certificate into this file.",
)
@publisher_option("With `slsa`: in whose name.")
@click.option("--policy", type=_FILE, help="Policy file that it must hold by.")
@click.option("--trust", type=_FILE, help="Trust root file; by default the home's own.")
@home_option
def export(
    target: str,
    form: str,
    output: Path | None,
    message: Path | None,
    bare_key: Path | None,
    publisher: str,
    policy: Path | None,
    trust: Path | None,
    home: Path | None,
) -> int:
    """Export an artifact whose lineage holds, as a Sigstore bundle that is logged; exit 1 if it does not hold.

    `slsa` is SLSA provenance v1, made from the lineage and signed anew; `bundle` is the C2PA signature that the
    artifact's maker made.
    """
    if message and form != "bundle":
        raise InputError("--message goes with --format bundle", mend="leave it out: an envelope holds its message")
    for each in (output, message, bare_key):
        if each:
            check_writable(each)  # what is logged cannot be taken back
    with session(home, trust) as opened:
        verdict, lineage = judge(opened, target, policy)
        if not verdict.holds or lineage is None:
            print_findings(verdict.findings, mends=True)
            return 1
        manifest = lineage.nodes[0].facts.manifest
        made: LoggedBundle
        if form == "slsa":
            made = sign_payload(opened.home, dump_provenance(verdict, lineage), publisher, bare=bool(bare_key))
        elif manifest.is_sidecar:
            made = bundle_claim(opened.home, manifest, bare=bool(bare_key))
        else:
            raise InputError(f"{target}: its signature is a Sigstore bundle already", mend="hand on its .sig file")
    if message:
        write_file(message, manifest.to_be_signed)
    if bare_key:
        write_file(bare_key, made.signer_pem)
    if output is None:
        click.echo(made.bundle.to_bytes(), nl=False)
    else:
        write_file(output, made.bundle.to_bytes())
    return 0
