"""Sigstore's trust configuration: which logs there are, which takes entries now, and all of their keys.

A trusted root lists every log with its key, retired ones too; a signing configuration says where entries are taken,
and from when until when. Shards come and go, so an address is looked up whenever it is needed and never kept.
"""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pydantic
from sigstore_models.common.v1 import PublicKeyDetails, TimeRange
from sigstore_models.trustroot.v1 import ClientTrustConfig, Service, SigningConfig, TransparencyLogInstance, TrustedRoot

from atlas.errors import InputError
from atlas.trust import PinnedLog, load_log
from atlas.web import address_of

_Document = TypeVar("_Document", ClientTrustConfig, SigningConfig, TrustedRoot)
_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class PublicLogs:
    """What a trust configuration says of logs.

    Attributes:
        url: of the log that takes entries now.
        current: that log.
        pinned: all logs, with the period of each one's key.
        unusable: origins of logs under keys of a kind that Atlas does not know; their receipts are refused.
    """

    url: str
    current: PinnedLog
    pinned: tuple[PinnedLog, ...]
    unusable: tuple[str, ...]


def parse(model: type[_Document], raw: bytes, name: str) -> _Document:
    """Read one of Sigstore's documents.

    Raises:
        InputError: if it is not what the model prescribes.
    """
    try:
        return model.from_json(raw)
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, pydantic.ValidationError) else error
        what = model.__name__
        raise InputError(f"{name}: not a {what} of Sigstore: {reason}", mend=f"give a {what} in JSON") from error


def resolve(root: TrustedRoot, config: SigningConfig, rekor: int, now: dt.datetime) -> PublicLogs:
    """Find the log that takes entries, and the keys of all.

    Args:
        root: all logs and their keys.
        config: where entries are taken.
        rekor: major version of Rekor that is wanted.
        now: the time of day.

    Raises:
        InputError: if no such log takes entries now, or its key is not there, or of no use.
    """
    versions = {origin_of(each.url): each.major_api_version for each in config.rekor_tlog_urls}
    pinned: list[PinnedLog] = []
    unusable: list[str] = []
    for instance in root.tlogs:
        try:
            pinned.append(_pinned(instance, versions))
        except InputError:
            unusable.append(origin_of(instance.base_url))
    service = _in_force(config.rekor_tlog_urls, rekor, now)
    current = [log for log in pinned if log.origin == origin_of(service.url)]
    if len(current) != 1:
        raise InputError(
            f"{service.url}: the trust configuration has {len(current) or 'no'} keys of this log that Atlas can use",
            mend="use a newer trust configuration, or a newer Atlas",
        )
    return PublicLogs(service.url, current[0], tuple(pinned), tuple(unusable))


def origin_of(url: str) -> str:
    """The origin of a log of Sigstore: its address without the scheme.

    Raises:
        InputError: if that is no address.
    """
    address_of(url, plain=True)
    return url.split("://", 1)[1].rstrip("/")


def _in_force(services: Sequence[Service], rekor: int, now: dt.datetime) -> Service:
    """The one that began last, of those that take entries now."""
    found = [
        (start, each.url, each)
        for each in services
        for start, end in [_period(each.valid_for)]
        if each.major_api_version == rekor and (start is None or start <= now) and (end is None or now <= end)
    ]
    if not found:
        raise InputError(
            f"no log of Rekor v{rekor} takes entries now, says the trust configuration",
            mend=f"choose the other version with --rekor v{3 - rekor}, or use a newer trust configuration",
        )
    return max(found, key=lambda each: (each[0] or _EVER, each[1]))[2]


def _pinned(instance: TransparencyLogInstance, versions: Mapping[str, int]) -> PinnedLog:
    """The log as a trust root pins it.

    Raises:
        InputError: if Atlas has no use for its key.
    """
    origin, key = origin_of(instance.base_url), instance.public_key
    # the trusted root does not say which Rekor it is; a retired shard may not be among the services either
    rekor = versions.get(origin, 2 if key.key_details is PublicKeyDetails.PKIX_ED25519 else 1)
    encoded = base64.b64encode(key.raw_bytes or b"").decode("ascii")
    log = load_log(origin, encoded, rekor, *_period(key.valid_for))
    if log.key_id != instance.log_id.key_id:
        raise InputError(f"{origin}: the trusted root states another key id than its key has")
    return log


def _period(period: TimeRange | None) -> tuple[dt.datetime | None, dt.datetime | None]:
    if period is None:
        return None, None
    for time in (period.start, period.end):
        if time and time.tzinfo is None:
            raise InputError(f"{time}: a time without a zone in the trust configuration")
    return period.start, period.end
