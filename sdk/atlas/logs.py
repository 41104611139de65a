"""Which log a home records in: its own, or a Rekor v2 that somebody else runs.

The file `log.json` names the other log's addresses and its origin. Its key stands in the trust root, as every log's.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ed25519
from pydantic import Field

from atlas.document import Strict, read_document
from atlas.errors import InputError, StateError, StorageError
from atlas.exchange import alone
from atlas.home import Home
from atlas.log import EmbeddedLog, open_checkpoint
from atlas.log.interface import TransparencyLog
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.log.store import origin_of
from atlas.trust import PinnedLog, TrustRoot
from atlas.trust_file import load_trust_root

_FILE = "log.json"
PATIENCE = 30.0
"""Seconds after which a user is told that the log does not take an entry."""


class _Elsewhere(Strict):
    type: Literal["rekor2"]
    origin: str
    write_url: str = Field(alias="writeUrl")
    read_url: str = Field(alias="readUrl")
    ca_file: Path | None = Field(default=None, alias="caFile")


def own_log(home: Home) -> EmbeddedLog:
    """The home's own log, under the origin that its trust root pins.

    Raises:
        StorageError: if it cannot be used.
    """
    key = home.log_key()
    log = pinned_as(home, key.public_key())
    return EmbeddedLog.open(home.log_file(log.origin), log.origin, key)


def pinned_as(home: Home, key: ed25519.Ed25519PublicKey) -> PinnedLog:
    """The home's own log, as its trust root pins it.

    Raises:
        StorageError: if it does not.
    """
    for log in load_trust_root(home.trust_path).logs:
        if log.public_key == key:
            return log
    raise StorageError(
        f"{home.trust_path}: does not pin the log of this home", mend="restore trust.json and log.key from one backup"
    )


def own_origins(home: Home) -> set[str]:
    """Origins of all logs whose entries this home has, the closed ones too.

    Raises:
        StorageError: if one of them cannot be used.
    """
    return {origin for path in home.path.glob("log*.sqlite3") if (origin := origin_of(path))}


def past_log(home: Home, origin: str) -> EmbeddedLog:
    """One of the home's own logs, closed or not, to be read.

    Raises:
        InputError: if it has none of this origin.
        StorageError: if it cannot be used.
    """
    known = own_origins(home)
    for log in load_trust_root(home.trust_path).logs:
        if log.origin == origin and origin in known:
            return EmbeddedLog.read(home.log_file(origin), log)
    raise InputError(
        f"{home.path}: has no log {origin}", mend=f"it has: {', '.join(sorted(known)) or 'none that holds an entry'}"
    )


def sizes(home: Home) -> tuple[tuple[str, int], ...]:
    """How many entries each log has now that this home records or has recorded in.

    Raises:
        StorageError: if one of its own cannot be used.
        FetchError, Rejected: if another one does not answer, or not as it should.
    """
    found = {}
    own = own_origins(home)
    for pinned in load_trust_root(home.trust_path).logs:
        if pinned.origin in own:
            with EmbeddedLog.read(home.log_file(pinned.origin), pinned) as log:
                found[pinned.origin] = log.size
    if elsewhere(home):
        with log_of(home) as other:
            note = other.checkpoint()
            found[other.pinned.origin] = open_checkpoint(note, other.pinned).size if note else 0
    return tuple(sorted((origin, size) for origin, size in found.items() if size))


def log_of(home: Home) -> TransparencyLog:
    """The log that the home records in.

    Raises:
        StorageError: if it is its own, and cannot be used.
        StateError: if it is another one that the trust root does not pin.
    """
    other = elsewhere(home)
    return Rekor2Log(other) if other else own_log(home)


def elsewhere(home: Home) -> Address | None:
    """Where the home records, if not in its own log."""
    path = home.path / _FILE
    if not path.exists():
        return None
    found = read_document(path, _Elsewhere)
    for log in load_trust_root(home.trust_path).logs:
        if log.origin == found.origin:
            return Address(found.write_url, found.read_url, log, found.ca_file, patience=PATIENCE)
    raise StateError(
        f"{path}: the trust root does not pin the log {found.origin}", mend="say `atlas log use` again, with its key"
    )


def use_rekor2(home: Home, address: Address) -> None:
    """Record in this log from here on, and pin it; what was recorded elsewhere keeps its receipts.

    Raises:
        InputError: if the trust root pins another key under the same origin.
        StorageError: if it cannot be written.
    """
    with alone(home.path):
        _pin(home, load_trust_root(home.trust_path), address.pinned)
    document = {
        "type": "rekor2",
        "origin": address.pinned.origin,
        "writeUrl": address.write_url,
        "readUrl": address.read_url,
        "caFile": str(address.ca_file.resolve()) if address.ca_file else None,
    }
    home.write(_FILE, json.dumps(document, indent=2).encode() + b"\n")


def use_own(home: Home) -> None:
    """Record in the home's own log from here on; what was recorded elsewhere keeps its receipts.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        (home.path / _FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{home.path / _FILE}: cannot be removed: {error.strerror}") from error


def _pin(home: Home, trust: TrustRoot, pinned: PinnedLog) -> None:
    for log in trust.logs:
        if log.origin == pinned.origin:
            if log.public_key != pinned.public_key:
                raise InputError(
                    f"{home.trust_path}: pins another key under the origin {pinned.origin}",
                    mend="find out which one is right; two logs cannot have one origin",
                )
            return
    home.write(home.trust_path.name, replace(trust, logs=(*trust.logs, pinned)).to_bytes())
