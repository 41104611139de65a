"""`atlas keys`: what the home signs and records with; rotation and revocation."""

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.table import Table

from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import console, home_option, json_option, parse_time, print_json
from atlas.errors import InputError
from atlas.gather import open_archive
from atlas.home import Home, find_home
from atlas.home_trust import trust_of
from atlas.logs import elsewhere, pinned_as
from atlas.past_logs import own_origins
from atlas.revocation import Revocation, Subject, written
from atlas.revoke import cut_of, subject_of
from atlas.revoke import revoke as revoke_key
from atlas.rotation import rotate_authority, rotate_log
from atlas.trust import Authority, PinnedLog, TrustRoot

_DIGESTS = tuple(each.value for each in Subject if each is not Subject.LOG)


@click.group()
def keys() -> None:
    """What the home signs and records with, and what it no longer trusts."""


@dataclass(frozen=True)
class _Key:
    name: str
    kind: str
    fingerprint: str
    since: str
    until: str
    state: str


@keys.command("list")
@home_option
@json_option
def list_(home: Path | None, as_json: bool) -> None:
    """List authorities and logs of the home's trust root, and what it revokes."""
    found = find_home(home)
    rows = list(_rows(found, trust_of(found)))
    if as_json:
        print_json([asdict(each) for each in rows])
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("name", "kind", "state", "since", "until", "fingerprint"):
        table.add_column(heading, overflow="fold")
    for each in rows:
        short = each.fingerprint[:19] if each.state != "revoked" else each.fingerprint
        table.add_row(each.name, each.kind, each.state, each.since[:10], each.until[:10], short)
    console.print(table)


@keys.command()
@click.option("--authority", is_flag=True, help="A new authority signs from here on.")
@click.option("--log", "log", is_flag=True, help="A new log records from here on; the old one is closed.")
@click.option("--key", "key_uri", default="", metavar="URI", help="The new authority's key, in a PKCS#11 token.")
@home_option
@json_option
def rotate(authority: bool, log: bool, key_uri: str, home: Path | None, as_json: bool) -> None:
    """Replace the home's authority or its log; what the old one vouched for stays valid."""
    if not authority and not log:
        raise InputError("nothing to rotate", mend="say --authority, --log or both")
    if key_uri and not authority:
        raise InputError("--key is of an authority", mend="say --authority too")
    found = find_home(home)
    gather_and_tell(found)  # what the old authority has signed belongs into the log while it is in office
    done = {}
    if authority:
        done["authority"] = rotate_authority(found, dt.datetime.now(dt.UTC), key_uri)
    if log:
        done["log"] = rotate_log(found)
    if as_json:
        print_json({name: asdict(each) for name, each in done.items()})
        return
    for name, each in done.items():
        console.print(f"{name:10} {each.new} takes the place of {each.old}", soft_wrap=True)


@keys.command()
@click.argument("name", metavar="SHA256|NAME")
@click.option("--reason", required=True, help="Why; every verdict that refuses for it says so.")
@click.option("--since", metavar="now|TIME", help="What is proven to be older still counts; by default nothing does.")
@click.option("--as", "kind", type=click.Choice(_DIGESTS), help="What the digest is of, if of no pinned authority.")
@home_option
@json_option
def revoke(name: str, reason: str, since: str | None, kind: str | None, home: Path | None, as_json: bool) -> None:
    """Revoke a certificate, a key, an authority or a log in the home's trust root."""
    found = find_home(home)
    subject, value = subject_of(trust_of(found), name, Subject(kind) if kind else None)
    if subject is Subject.LOG and since:
        raise InputError(f"{name}: a log is revoked by its last good tree, not by time", mend="leave --since out")
    gather_and_tell(found)
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    cut = cut_of(found, (now if since == "now" else parse_time(since)) if since else None, now)
    with open_archive(found) as archive:
        revoked = revoke_key(found, archive, Revocation(subject, value, reason, cut))
    if as_json:
        print_json(revoked.to_json())
        return
    console.print(f"revoked    {_shown(revoked)}", soft_wrap=True)
    console.print(f"counts     {_kept(revoked)}", soft_wrap=True)
    console.print(f"trust      sha256:{trust_of(found).sha256}", soft_wrap=True)


def _shown(each: Revocation) -> str:
    return f"{each.subject} {each.value if each.subject is Subject.LOG else f'sha256:{each.value}'}"


def _kept(each: Revocation) -> str:
    if each.head:
        return f"what is logged in its tree of size {each.head.size}"
    return f"what is proven to be logged {each.cut}" if str(each.cut) else "nothing"


def _rows(home: Home, trust: TrustRoot) -> Iterator[_Key]:
    present = home.certificate()
    for authority in trust.authorities:
        yield _authority(authority, trust, signs=authority.certificate == present)
    other = elsewhere(home)
    own = pinned_as(home, home.log_key().public_key())
    closed = own_origins(home) - {own.origin}
    for log in trust.logs:
        records = log.origin == other if other else log == own
        state = "records" if records else "idle" if log == own else "closed" if log.origin in closed else "pinned"
        yield _log(log, trust, state)
    pinned = {each.sha256 for each in trust.authorities} | {each.origin for each in trust.logs}
    for each in trust.revoked:
        if each.value not in pinned:
            until = written(each.cut.since) if each.cut.since else ""
            digest = "" if each.subject is Subject.LOG else f"sha256:{each.value}"
            yield _Key(each.value if not digest else "—", each.subject.value, digest, "", until, "revoked")


def _authority(each: Authority, trust: TrustRoot, *, signs: bool) -> _Key:
    revoked = any(one.value == each.sha256 for one in trust.revoked)
    ended = each.ended.since if each.ended else None
    state = "revoked" if revoked else "ended" if ended else "signs" if signs else "trusted"
    certificate = each.certificate
    until = written(ended or certificate.not_valid_after_utc)
    return _Key(
        each.name, "authority", f"sha256:{each.sha256}", written(certificate.not_valid_before_utc), until, state
    )


def _log(each: PinnedLog, trust: TrustRoot, state: str) -> _Key:
    revoked = any(one.subject is Subject.LOG and one.value == each.origin for one in trust.revoked)
    digest = hashlib.sha256(each.der).hexdigest()
    return _Key(each.origin, "log", f"sha256:{digest}", "", "", "revoked" if revoked else state)
