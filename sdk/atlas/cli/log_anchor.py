"""`atlas log anchor` and `atlas log anchors`: checkpoints of the home's own log in another one."""

from pathlib import Path
from typing import Any

import click

from atlas.anchors import Anchor, Anchored, read_anchors, verify_anchor
from atlas.anchors import anchor as make_anchor
from atlas.cli.log_use import (
    public_choice,
    public_options,
    rekor1_address,
    rekor1_options,
    rekor2_address,
    rekor2_options,
    size_of,
)
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, home_option, json_option, print_json
from atlas.errors import InputError, Rejected
from atlas.home import Home, find_home
from atlas.home_trust import trust_of
from atlas.log import Checkpoint, EmbeddedLog
from atlas.log.checkpoint import peek_checkpoint
from atlas.log.rekor1 import Address1
from atlas.log.rekor2 import Address
from atlas.logs import connect, find_public, own_log, pin
from atlas.past_logs import own_origins, past_log
from atlas.trust import TrustRoot

_PUBLISHED = """\
everybody can read a public log, for ever, and nothing can be taken back. What is recorded there:
  - a digest of your log's checkpoint, the public key that this home keeps for anchors, and its signature
  - when it was recorded, and so how often you anchor"""


@click.group()
def anchor() -> None:
    """Have another log record the newest checkpoint of the home's own log, so that no one can rewrite it unseen."""


@anchor.command()
@rekor2_options
@json_option
def rekor2(home: Path | None, as_json: bool, **named: Any) -> None:
    """In a Rekor v2 log that somebody else runs; pins its key in the trust root."""
    _anchor(home, rekor2_address(**named), as_json=as_json)


@anchor.command()
@rekor1_options
@json_option
def rekor1(home: Path | None, as_json: bool, **named: Any) -> None:
    """In a Rekor v1 log that somebody else runs; pins its key in the trust root."""
    _anchor(home, rekor1_address(**named), as_json=as_json)


@anchor.command()
@public_options
@json_option
def public(home: Path | None, yes_publish: bool, as_json: bool, **named: Any) -> None:
    """In a public log of Sigstore, which everybody can read; pins its key in the trust root."""
    choice = public_choice(**named)
    if not yes_publish:
        raise InputError(f"{choice.name}: {_PUBLISHED}", mend="if all of that may be public, say --yes-publish")
    address, _ = find_public(find_home(home), choice)
    _anchor(home, address, as_json=as_json)


@click.command()
@click.option("--verify", is_flag=True, help="Verify each against the log of today.")
@home_option
@json_option
def anchors(verify: bool, home: Path | None, as_json: bool) -> int:
    """List the anchors of the home's own log."""
    found = find_home(home)
    trust = trust_of(found)
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    with own_log(found) as present:
        for each in read_anchors(found):
            row = _row(each)
            if verify:
                try:
                    held = _verified(found, present, each, trust)
                    row["time"] = held.logged.time.isoformat() if held.logged.time else None
                except Rejected as rejected:
                    details = {"expected": rejected.expected, "found": rejected.found, "mend": rejected.mend}
                    refused.append({**row, "code": rejected.code.value, "message": str(rejected), **details})
                    continue
            rows.append(row)
    if as_json:
        print_json({"verified": verify, "anchors": rows, "refused": refused})
    elif not rows and not refused:
        console.print("no anchors; `atlas log anchor` makes one")
    else:
        for row in rows:
            mark, time = "✓ " if verify else "", f", recorded {row['time']}" if row.get("time") else ""
            console.print(f"{mark}size {row['size']} in {row['log']} at {row['index']}{time}", soft_wrap=True)
        for row in refused:
            console.print(f"✗ {row['code']}  size {row['size']} in {row['log']}: {row['message']}", soft_wrap=True)
            console.print(f"    mend      {row['mend']}", soft_wrap=True)
    return 1 if refused else 0


def _verified(home: Home, present: EmbeddedLog, each: Anchor, trust: TrustRoot) -> Anchored:
    origin = peek_checkpoint(each.checkpoint).origin
    if origin in own_origins(home) - {present.pinned.origin}:
        with past_log(home, origin) as closed:
            return verify_anchor(each, closed, trust)
    return verify_anchor(each, present, trust)


def _anchor(home: Path | None, address: Address | Address1, *, as_json: bool) -> None:
    found = find_home(home)
    gather_and_tell(found)
    size_of(address)  # before anything is kept: is it this log?
    pin(found, [address.pinned])
    with own_log(found) as own, connect(address) as other:
        row = _row(make_anchor(found, own, other))
    if as_json:
        print_json(row)
        return
    console.print(f"anchored size {row['size']} in {row['log']} at {row['index']}", soft_wrap=True)


def _row(each: Anchor) -> dict[str, Any]:
    signed: Checkpoint = peek_checkpoint(each.checkpoint)
    log = peek_checkpoint(each.receipt.checkpoint).origin
    return {"size": signed.size, "root": signed.root.hex(), "log": log, "index": each.receipt.index}
