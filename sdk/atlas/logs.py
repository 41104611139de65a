"""Which log a home records in: its own, or one that somebody else runs.

The file `log.json` says where the other log is; of a public log, only which trust configuration leads to it, because
its address changes. The keys stand in the trust root, as every log's.
"""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cryptography.hazmat.primitives.asymmetric import ed25519
from pydantic import Field, RootModel

from atlas.document import Strict, read_document
from atlas.errors import FetchError, InputError, StateError, StorageError
from atlas.home import Home
from atlas.home_trust import change_trust, trust_of
from atlas.log import EmbeddedLog
from atlas.log.choice import Instance, PublicChoice
from atlas.log.interface import TiledLog, TransparencyLog
from atlas.log.rekor1 import Address1, Rekor1Log
from atlas.log.rekor2 import Address, Rekor2Log
from atlas.trust import PinnedLog, TrustRoot

if TYPE_CHECKING:
    from atlas.log.public import PublicLogs

_FILE = "log.json"
_TUF = "tuf"
PATIENCE = 30.0
"""Seconds after which a user is told that the log does not take an entry."""


class _Rekor2(Strict):
    type: Literal["rekor2"]
    origin: str
    write_url: str = Field(alias="writeUrl")
    read_url: str = Field(alias="readUrl")
    ca_file: Path | None = Field(default=None, alias="caFile")


class _Rekor1(Strict):
    type: Literal["rekor1"]
    origin: str
    url: str
    ca_file: Path | None = Field(default=None, alias="caFile")


class _Public(PublicChoice):
    type: Literal["public"]


class _Choice(RootModel[Annotated[_Rekor1 | _Rekor2 | _Public, Field(discriminator="type")]]):
    """What log.json holds."""


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
    for log in trust_of(home).logs:
        if log.public_key == key:
            return log
    raise StorageError(
        f"{home.trust_path}: does not pin the log of this home", mend="restore trust.json and log.key from one backup"
    )


def log_of(home: Home) -> TransparencyLog:
    """The log that the home records in.

    Raises:
        StorageError: if it is its own, and cannot be used.
        StateError: if it is another one that the trust root does not pin.
        FetchError: if it is a public one, and cannot be found, or is not pinned yet.
    """
    chosen = _chosen(home)
    match chosen:
        case None:
            return own_log(home)
        case _Public():
            try:
                address, _ = find_public(home, chosen)
            except InputError as error:  # what waits for the log can wait until that is mended
                raise FetchError(str(error), mend=error.mend) from error
            if not _is_pinned(home, address.pinned):
                raise FetchError(
                    f"{chosen.name}: is now {address.pinned.origin}, which the trust root does not pin",
                    mend="say `atlas log use public` again, which pins it",
                )
            return connect(address)
        case _Rekor1():
            pinned = _pinned(home, chosen.origin, 1)
            return connect(Address1(chosen.url, pinned, chosen.ca_file))
        case _Rekor2():
            pinned = _pinned(home, chosen.origin, 2)
            return connect(Address(chosen.write_url, chosen.read_url, pinned, chosen.ca_file))


def elsewhere(home: Home) -> str | None:
    """What a person calls the log that the home records in, if it is not its own."""
    chosen = _chosen(home)
    return None if chosen is None else chosen.name if isinstance(chosen, _Public) else chosen.origin


def watched_logs(home: Home) -> dict[str, Callable[[], TiledLog | Rekor1Log]]:
    """By its origin, how each log of the trust root is opened whose place is known: the one in use, and the home's own.

    Raises:
        StateError: if the log in use cannot be told.
        FetchError: if it is a public one, and cannot be found.
    """
    key = home.log_key().public_key()
    found: dict[str, Callable[[], TiledLog | Rekor1Log]] = {
        log.origin: partial(own_log, home) for log in trust_of(home).logs if log.public_key == key
    }
    if elsewhere(home):
        other = log_of(home)
        if isinstance(other, Rekor2Log | Rekor1Log):
            found[other.pinned.origin] = lambda: other
    return found


def connect(address: Address | Address1) -> TransparencyLog:
    """A client of a log, with the patience that a user has."""
    if isinstance(address, Address1):
        return Rekor1Log(replace(address, patience=PATIENCE))
    return Rekor2Log(replace(address, patience=PATIENCE))


def find_public(home: Home, choice: PublicChoice) -> tuple[Address | Address1, "PublicLogs"]:
    """Where the chosen public log is now, and what else its trust configuration says.

    Raises:
        InputError: if the configuration cannot be read, or has no such log.
        FetchError: if it cannot be fetched, or what was fetched is not authentic.
    """
    from atlas.log.trust_config import find_logs

    found = find_logs(choice, home.path / _TUF, dt.datetime.now(dt.UTC))
    url = found.url.rstrip("/")
    if choice.rekor == 1:
        return Address1(url, found.current), found
    return Address(url, f"{url}/api/v2", found.current), found  # a public shard serves its tiles itself


def signing_config(home: Home, instance: Instance) -> bytes:
    """The trust configuration of a public instance of Sigstore, as `atlas.keyless` takes it.

    Raises:
        InputError: if it cannot be read.
        FetchError: if it cannot be fetched, or what was fetched is not authentic.
    """
    from atlas.log.trust_config import fetch_config

    return fetch_config(instance, home.path / _TUF)


def use(home: Home, chosen: Address | Address1 | PublicChoice, pinned: Sequence[PinnedLog]) -> None:
    """Record in this log from here on, and pin what is given; what was recorded elsewhere keeps its receipts.

    Raises:
        InputError: if the trust root pins another key under an origin.
        StorageError: if it cannot be written.
    """
    pin(home, pinned)
    home.write(_FILE, json.dumps(_document(chosen), indent=2).encode() + b"\n")


def use_own(home: Home) -> None:
    """Record in the home's own log from here on; what was recorded elsewhere keeps its receipts.

    Raises:
        StorageError: if it cannot be written.
    """
    try:
        (home.path / _FILE).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{home.path / _FILE}: cannot be removed: {error.strerror}") from error


def pin(home: Home, logs: Sequence[PinnedLog]) -> None:
    """Pin logs in the home's trust root; of one that it pins already, the period of its key is brought up to date.

    Raises:
        InputError: if it pins another key, or another version of Rekor, under an origin.
        StorageError: if it cannot be written.
    """
    change_trust(home, lambda trust: _pinning(home, trust, logs))


def _pinning(home: Home, trust: TrustRoot, logs: Sequence[PinnedLog]) -> TrustRoot:
    known = {log.origin: log for log in trust.logs}
    for log in logs:
        old = known.get(log.origin, log)
        if (old.public_key, old.rekor) != (log.public_key, log.rekor):
            raise InputError(
                f"{home.trust_path}: pins another key under the origin {log.origin}, or another version of Rekor",
                mend="find out which one is right; two logs cannot have one origin",
            )
        period = log if log.valid_from or log.valid_until else old
        # whatever else is pinned of it, above all the witnesses that are demanded, is not for the log to change
        known[log.origin] = replace(old, valid_from=period.valid_from, valid_until=period.valid_until)
    return replace(trust, logs=tuple(known.values()))


def _chosen(home: Home) -> _Rekor1 | _Rekor2 | _Public | None:
    path = home.path / _FILE
    return read_document(path, _Choice).root if path.exists() else None


def _document(chosen: Address | Address1 | PublicChoice) -> dict[str, Any]:
    if isinstance(chosen, PublicChoice):
        return {"type": "public", **chosen.model_dump(mode="json", by_alias=True, exclude_none=True)}
    ca_file = {"caFile": str(chosen.ca_file.resolve())} if chosen.ca_file else {}
    if isinstance(chosen, Address1):
        return {"type": "rekor1", "origin": chosen.pinned.origin, "url": chosen.url, **ca_file}
    urls = {"writeUrl": chosen.write_url, "readUrl": chosen.read_url}
    return {"type": "rekor2", "origin": chosen.pinned.origin, **urls, **ca_file}


def _is_pinned(home: Home, wanted: PinnedLog) -> bool:
    known = trust_of(home).logs
    return any((log.key_id, log.rekor) == (wanted.key_id, wanted.rekor) for log in known)


def _pinned(home: Home, origin: str, rekor: int) -> PinnedLog:
    for log in trust_of(home).logs:
        if (log.origin, log.rekor) == (origin, rekor):
            return log
    raise StateError(
        f"{home.path / _FILE}: the trust root does not pin the log {origin}",
        mend="say `atlas log use` again, with its key",
    )
