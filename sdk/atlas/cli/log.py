"""`atlas log`: the home's transparency log."""

from pathlib import Path
from typing import Any

import click

from atlas.cli.log_anchor import anchor, anchors
from atlas.cli.log_recording import reveal, timestamp, witness
from atlas.cli.log_use import use
from atlas.cli.log_watch import watch
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, home_option, json_option, print_json, write_file
from atlas.errors import InputError
from atlas.gather import open_archive
from atlas.home import find_home
from atlas.interop.trusted_root import dump_trusted_root
from atlas.interop.verify import read_manifest
from atlas.log import EmbeddedLog, open_checkpoint, verify_consistency
from atlas.log.claim import claim_entry
from atlas.log.merkle import leaf_hash
from atlas.log.server import serve as serve_log
from atlas.logs import elsewhere, log_of, own_log
from atlas.past_logs import past_log
from atlas.trust_file import load_trust_root

_FILE = click.Path(path_type=Path, dir_okay=False)
_ENTRY = "give an index, or a digest as `atlas show` and `atlas verify --json` print it, in full"
_OTHER = "name another of the home's logs with --origin (`atlas keys list`)"


@click.group()
def log() -> None:
    """The home's transparency log: RFC 6962 tree, C2SP checkpoints and tiles, Rekor v2 entries."""


_ORIGIN = click.option("--origin", help="One of the home's own logs, a closed one too; by default the present one.")


@log.command()
@_ORIGIN
@home_option
@json_option
def checkpoint(origin: str | None, home: Path | None, as_json: bool) -> None:
    """Print the log's newest checkpoint, a signed note."""
    found = find_home(home)
    gather_and_tell(found)
    with past_log(found, origin) if origin else log_of(found) as opened:
        note = opened.checkpoint()
        if note is None:
            raise InputError("the log is empty", mend="run a pipeline or sign an artifact first")
        if as_json:
            signed = open_checkpoint(note, opened.pinned)
            print_json({"origin": signed.origin, "size": signed.size, "checkpoint": note})
        else:
            click.echo(note, nl=False)


@log.command()
@click.argument("entry", metavar="INDEX|sha256:…")
@_ORIGIN
@home_option
def proof(entry: str, origin: str | None, home: Path | None) -> None:
    """Print the receipt of an entry (JSON): by its index, or by the digest of an artifact or manifest."""
    found = find_home(home)
    with _open(home, origin) as opened:
        index = int(entry) if entry.isdecimal() else _index_of(opened, find_home(home).archive_path, entry)
        if not 0 <= index < opened.size:
            raise InputError(f"{entry}: the log of {found.path} has {opened.size} entries, counted from 0", mend=_OTHER)
        print_json(opened.receipt(index).to_json())


@log.command()
@click.argument("old", type=int)
@click.argument("new", type=int, required=False)
@_ORIGIN
@home_option
@json_option
def consistency(old: int, new: int | None, origin: str | None, home: Path | None, as_json: bool) -> None:
    """Prove that the tree of size OLD is a beginning of the tree of size NEW (by default the newest)."""
    with _open(home, origin) as opened:
        size = opened.size if new is None else new
        if not 0 < old <= size <= opened.size:
            raise InputError(
                f"{opened.pinned.origin}: has {opened.size} entries", mend="give sizes, 0 < OLD ≤ NEW ≤ its own"
            )
        path = opened.consistency(old, size)
        roots = opened.root(old), opened.root(size)
        verify_consistency(old, size, *roots, path)
        answer: dict[str, Any] = {
            "origin": opened.pinned.origin,
            "old": {"size": old, "root": roots[0].hex()},
            "new": {"size": size, "root": roots[1].hex()},
            "path": [each.hex() for each in path],
        }
    if as_json:
        print_json(answer)
        return
    for name in ("old", "new"):
        console.print(f"{name}   size {answer[name]['size']:<8} root {answer[name]['root']}", soft_wrap=True)
    for each in answer["path"]:
        console.print(f"proof {each}", soft_wrap=True)
    console.print("✓ the new tree extends the old one")


@log.command()
@click.option("--port", default=3000, show_default=True, help="Port on the loopback interface; 0 for any free one.")
@home_option
def serve(port: int, home: Path | None) -> None:
    """Serve the log over HTTP on the loopback interface, as Rekor v2 and C2SP tlog-tiles do, until Ctrl-C."""
    with _open(home) as opened, serve_log(opened, port=port) as server:
        console.print(f"serving {opened.pinned.origin} ({opened.size} entries) at {server.url}", soft_wrap=True)
        server.wait()


@log.command("trust-root")
@click.option("-o", "--output", type=_FILE, help="Into this file; by default to standard output.")
@click.option("--trust", type=_FILE, help="Trust root file; by default the home's own.")
@home_option
def trust_root(output: Path | None, trust: Path | None, home: Path | None) -> None:
    """Print the trust root as Sigstore's clients read it: a `trusted_root.json` with its logs and authorities."""
    document = dump_trusted_root(load_trust_root(trust or find_home(home).trust_path))
    if output is None:
        click.echo(document, nl=False)
    else:
        write_file(output, document)


for _each in (anchor, anchors, reveal, timestamp, use, watch, witness):
    log.add_command(_each)


def _open(home: Path | None, origin: str | None = None) -> EmbeddedLog:
    found = find_home(home)
    if origin:
        gather_and_tell(found)
        return past_log(found, origin)
    other = elsewhere(found)
    if other:
        raise InputError(
            f"{found.path}: records in {other}, which this command cannot ask",
            mend="ask that log, or choose the home's own with `atlas log use own`",
        )
    gather_and_tell(found)
    return own_log(found)


def _index_of(opened: EmbeddedLog, archive_path: Path, entry: str) -> int:
    digest = entry.removeprefix("sha256:")
    with open_archive(find_home(archive_path.parent)) as archive:
        stored = archive.manifest(digest) or next(iter(archive.producers(digest)), None)
    if stored is None:
        raise InputError(f"{entry}: neither an artifact nor a manifest that the archive knows", mend=_ENTRY)
    index = opened.find(leaf_hash(claim_entry(read_manifest(stored.sidecar)).canonical_body()))
    if index is None:
        raise InputError(f"{entry}: is not logged in {opened.pinned.origin}", mend=_OTHER)
    return index
