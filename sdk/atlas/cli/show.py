"""`atlas show`: what one sidecar says, after a strict reading. Who signed is checked by `atlas verify`."""

import json
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives import hashes
from rich.text import Text

from atlas.cli.terminal import console, json_option, print_json
from atlas.document import read_input
from atlas.keys import key_digest
from atlas.manifest import Manifest, parse_manifest
from atlas.statement import Step, dump_statement


@click.command()
@click.argument("sidecar", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def show(sidecar: Path, as_json: bool) -> None:
    """Show what a sidecar says."""
    raw = read_input(sidecar)
    manifest = parse_manifest(raw)
    if as_json:
        print_json(_json(manifest, len(raw)))
    else:
        _print(manifest, len(raw))


def _json(manifest: Manifest, size: int) -> dict[str, Any]:
    return {
        "label": manifest.label,
        "manifest": f"sha256:{manifest.box_sha256}",
        "artifact": f"sha256:{manifest.asset_sha256}",
        "signer": manifest.signer.subject.rfc4514_string(),
        "issuer": manifest.signer.issuer.rfc4514_string(),
        "certificate": f"sha256:{manifest.signer.fingerprint(hashes.SHA256()).hex()}",
        "key": f"sha256:{key_digest(manifest.signer)}",
        "bytes": size,
        "statement": json.loads(dump_statement(manifest.statement)),
    }


def _print(manifest: Manifest, size: int) -> None:
    statement, maker = manifest.statement, manifest.statement.maker
    rows = [
        ("artifact", f"{manifest.output.name if manifest.output else 'statement'}  sha256:{manifest.asset_sha256}"),
        ("manifest", f"sha256:{manifest.box_sha256}  ({size} bytes, {manifest.label})"),
        (
            "signed by",
            f"{manifest.signer.subject.rfc4514_string()}, issued by {manifest.signer.issuer.rfc4514_string()}",
        ),
        ("certificate", f"sha256:{manifest.signer.fingerprint(hashes.SHA256()).hex()}"),
        ("key", f"sha256:{key_digest(manifest.signer)}"),
    ]
    if isinstance(maker, Step):
        rows += [
            ("step", f"{maker.task} (attempt {maker.attempt}) of {maker.pipeline}, run {maker.run}"),
            ("code", f"sha256:{maker.code_sha256}"),
            ("image", maker.image),
            ("exit code", str(maker.exit_code)),
        ]
    else:
        rows.append(("publisher", maker.name))
    rows.append(("time", f"{statement.started:%FT%TZ} to {statement.ended:%FT%TZ}"))
    rows.append(("evidence", statement.evidence))
    rows += [("parameter", f"{name} = {json.dumps(value)}") for name, value in statement.parameters.items()]
    rows += [("parameter", f"{name} (secret)") for name in statement.secret]
    if statement.hidden:
        rows.append(("hidden", f"{len(statement.hidden)} more parameter{'s' * (len(statement.hidden) != 1)}"))
    rows += [("input", f"{each.name}  sha256:{each.sha256}  {each.uri}") for each in statement.inputs]
    rows += [("output", f"{each.name}  sha256:{each.sha256}  {each.uri}") for each in statement.outputs]
    rows += [("unmeasured", f"{each.direction} {each.name}: {each.reason}") for each in statement.unmeasured]
    for name, value in rows:
        console.print(Text.assemble((f"{name:11}", "bold"), value), soft_wrap=True)
