"""Rotation: a new authority or a new log takes the old one's place, and what the old one vouched for stays valid.

The old private key is destroyed. Its public half stays in the trust root: the authority's with the moment at which it
ended, the log's as it was, because a log is closed by having nobody who can sign for it.
"""

import datetime as dt
import tempfile
import uuid
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.errors import ClockError, InputError, StateError
from atlas.exchange import TEMPORARY, alone, exchange
from atlas.home import Home, key_in_token, private_pem
from atlas.home_trust import trust_of
from atlas.keys import new_authority
from atlas.log import EmbeddedLog
from atlas.logs import elsewhere, pinned_as
from atlas.past_logs import sizes
from atlas.revocation import Cut
from atlas.trust import Authority, TrustRoot


@dataclass(frozen=True)
class Rotated:
    """Who takes whose place."""

    old: str
    new: str


def rotate_authority(home: Home, now: dt.datetime, key_uri: str = "") -> Rotated:
    """Make a new development authority that signs from here on; whatever waits should be gathered first.

    Args:
        home: whose authority.
        now: when one ends and the other begins.
        key_uri: of the new key in a PKCS#11 token; absent: a new key in a file.

    Raises:
        InputError: if the present key is in a token and no other is named, or it is the same key.
        TokenError: if the token cannot be used.
        StateError: if the trust root does not pin the present authority, or it began later than now.
        FetchError: if the log that the home records in does not say how many entries it has.
        StorageError: if it cannot be written; nothing has changed then.
    """
    with alone(home.path):
        trust = trust_of(home)
        old = present_authority(home, trust)
        begins = old.certificate.not_valid_before_utc
        if now < begins:
            raise ClockError(
                f"this machine's clock says {now:%FT%TZ}, but the present authority begins {begins:%FT%TZ}",
                mend="set the clock",
            )
        name = f"local-{uuid.uuid4().hex[:8]}"
        issuer = new_authority(name, now.replace(microsecond=0), _new_key(home, key_uri))
        ended = replace(old, ended=Cut(now.replace(microsecond=0), sizes(home)))
        others = tuple(ended if each is old else each for each in trust.authorities)
        new = Authority(name, issuer.certificate, old.roles)
        files = {
            "ca.key": f"{key_uri}\n".encode() if key_uri else private_pem(issuer.key),
            "ca.pem": issuer.certificate.public_bytes(serialization.Encoding.PEM),
            home.trust_path.name: replace(trust, authorities=(*others, new)).to_bytes(),
        }
        exchange(home.path, files)
        return Rotated(old.name, name)


def rotate_log(home: Home) -> Rotated:
    """Close the home's own log and begin a new one; whatever waits should be gathered first.

    Raises:
        InputError: if the home records in another log.
        StorageError: if it cannot be written; nothing has changed then.
    """
    if other := elsewhere(home):
        raise InputError(
            f"{home.path}: records in {other}, whose key is its operator's",
            mend="choose the home's own log with `atlas log use own` first",
        )
    with alone(home.path):
        old = pinned_as(home, home.log_key().public_key())
        trust = trust_of(home)
        key = ed25519.Ed25519PrivateKey.generate()
        end = uuid.uuid4().hex[:16]
        new = replace(old, origin=f"{end}.atlas.local", public_key=key.public_key())
        files = {
            "log.key": private_pem(key),
            f"log-{end}.sqlite3": _empty_log(home, new.origin, key),
            home.trust_path.name: replace(trust, logs=(*trust.logs, new)).to_bytes(),
        }
        exchange(home.path, files)
        return Rotated(old.origin, new.origin)


def present_authority(home: Home, trust: TrustRoot) -> Authority:
    """The home's own authority, as its trust root pins it.

    Raises:
        StateError: if it does not.
    """
    certificate = home.certificate()
    for each in trust.authorities:
        if each.certificate == certificate:
            return each
    raise StateError(
        f"{home.trust_path}: does not pin the authority of this home", mend="restore trust.json and ca.pem"
    )


def _new_key(home: Home, key_uri: str) -> ec.EllipticCurvePrivateKey | None:
    if home.key_uri and not key_uri:
        raise InputError(
            f"{home.path}: the present key is in a token, and a new one in a file would be weaker",
            mend="name another key of a token with --key 'pkcs11:…'",
        )
    key = key_in_token(key_uri)
    if key and key.public_key() == home.certificate().public_key():
        raise InputError("the present authority has this key", mend="make another one in the token")
    return key


def _empty_log(home: Home, origin: str, key: ed25519.Ed25519PrivateKey) -> bytes:
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=home.path) as folder:
        path = Path(folder) / "log.sqlite3"
        EmbeddedLog.open(path, origin, key).close()
        return path.read_bytes()
