"""How a home records: what the log is shown of a manifest, who states the time, and which witnesses must have cosigned.

The file `record.json` holds the first and the address of the second; whose word counts stands in the trust root.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from atlas.document import Strict, read_document
from atlas.errors import InputError
from atlas.home import Home
from atlas.home_trust import change_trust, trust_of
from atlas.log.timestamp import host_of, request_timestamp, verify_timestamp
from atlas.outbox import Recording, Reveal
from atlas.trust import TimestampAuthority, TrustRoot, Witness, load_timestamp_authority
from atlas.web import Client, tls

_FILE = "record.json"
_TIMEOUT = 20.0


class Choices(Strict):
    """What `record.json` holds."""

    reveal: Reveal = Reveal.CLAIM
    timestamp: str = Field(default="")
    """Address of a timestamp authority (RFC 3161); empty: nobody is asked for the time."""


def choices_of(home: Home) -> Choices:
    """How the home records.

    Raises:
        DocumentError: if its file is damaged.
    """
    path = home.path / _FILE
    return read_document(path, Choices) if path.exists() else Choices()


def recording_of(home: Home) -> Recording:
    """How the home records, ready to be used; every timestamp is verified before it is kept.

    Raises:
        DocumentError: if a file of the home is damaged.
    """
    chosen = choices_of(home)
    if not chosen.timestamp:
        return Recording(chosen.reveal)
    client = Client(tls(None), _TIMEOUT)
    authorities = trust_of(home).timestamp_authorities

    def stamp(signature: bytes) -> bytes:
        return _stamped(client, chosen.timestamp, signature, authorities)

    return Recording(chosen.reveal, stamp)


def reveal(home: Home, what: Reveal) -> None:
    """Show the log this much from here on.

    Raises:
        StorageError: if it cannot be written.
    """
    _keep(home, choices_of(home).model_copy(update={"reveal": what}))


def stamp_by(home: Home, url: str, root_pem: str) -> TimestampAuthority:
    """Have signatures timestamped from here on, and pin the authority; it is tried before anything is kept.

    Raises:
        DocumentError: if that is no authority's certificate.
        FetchError: if it cannot be asked.
        Rejected: TIMESTAMP_INVALID if what it answers does not verify under that certificate.
        InputError: if the trust root pins another certificate under that name.
    """
    authority = load_timestamp_authority(host_of(url), root_pem)
    _stamped(Client(tls(None), _TIMEOUT), url, secrets.token_bytes(32), [authority])
    change_trust(home, lambda trust: _believing(home, trust, authority))
    _keep(home, choices_of(home).model_copy(update={"timestamp": url}))
    return authority


def stamp_no_more(home: Home) -> None:
    """Ask nobody for the time from here on; timestamps that are kept still count.

    Raises:
        StorageError: if it cannot be written.
    """
    _keep(home, choices_of(home).model_copy(update={"timestamp": ""}))


def demand_witnesses(home: Home, origin: str, quorum: int, witnesses: Sequence[Witness]) -> None:
    """Believe a log's checkpoints from here on only where enough witnesses have cosigned them.

    Args:
        home: whose trust root it is.
        origin: of the log.
        quorum: how many; 0: none.
        witnesses: to pin, besides those that are pinned.

    Raises:
        InputError: if the log is not pinned, if there are not as many witnesses, or if the trust root pins another key
            for one of them.
    """
    change_trust(home, lambda trust: _demanding(home, trust, origin, quorum, witnesses))


def _believing(home: Home, trust: TrustRoot, authority: TimestampAuthority) -> TrustRoot:
    others = [each for each in trust.timestamp_authorities if each != authority]
    if any(each.name == authority.name for each in others):
        raise InputError(
            f"{home.trust_path}: pins another certificate for {authority.name}", mend="find out which one is right"
        )
    return replace(trust, timestamp_authorities=(*others, authority))


def _demanding(home: Home, trust: TrustRoot, origin: str, quorum: int, witnesses: Sequence[Witness]) -> TrustRoot:
    known = {each.name: each for each in trust.witnesses}
    for each in witnesses:
        if known.setdefault(each.name, each) != each:
            raise InputError(f"{home.trust_path}: pins another key for the witness {each.name}")
    if len({each.public_key.public_bytes_raw() for each in known.values()}) < len(known):
        raise InputError("two witnesses have one key, and would be one that counts twice", mend="name it once")
    if origin not in {log.origin for log in trust.logs}:
        raise InputError(
            f"{home.trust_path}: does not pin the log {origin}",
            mend=f"pinned: {', '.join(log.origin for log in trust.logs)}",
        )
    if quorum > len(known):
        raise InputError(f"a quorum of {quorum}, and {len(known)} witnesses", mend="name more witnesses")
    pinned = tuple(known.values())
    logs = (replace(log, quorum=quorum if log.origin == origin else log.quorum) for log in trust.logs)
    return replace(trust, logs=tuple(replace(log, witnesses=pinned) for log in logs), witnesses=pinned)


def _stamped(client: Client, url: str, signature: bytes, authorities: Sequence[TimestampAuthority]) -> bytes:
    token = request_timestamp(client, url, signature)
    verify_timestamp(token, signature, authorities)
    return token


def _keep(home: Home, choices: Choices) -> None:
    home.write(_FILE, json.dumps(choices.model_dump(mode="json"), indent=2).encode() + b"\n")
