"""What a trust root says of keys that are no longer trusted, and up to where their past still is.

A signature carries no time that its signer could not have chosen. What orders it is the log: an entry below the size
that a log had is older than that moment, and a time that somebody else vouches for says by when it existed.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Subject(StrEnum):
    """What is revoked."""

    CERTIFICATE = "certificate"
    """Every signature under this certificate: SHA-256 of its DER."""
    KEY = "key"
    """Every signature by or under this key, whatever its certificate: SHA-256 of its SubjectPublicKeyInfo."""
    AUTHORITY = "authority"
    """Whatever this authority has issued: SHA-256 of its certificate's DER."""
    LOG = "log"
    """A log's receipts: its origin."""


@dataclass(frozen=True)
class Cut:
    """A moment, told by the clock and by the sizes of logs: what is proven to be older counts."""

    since: dt.datetime | None = None
    """None where only order is known."""
    logged: tuple[tuple[str, int], ...] = ()
    """Origins, and how many entries these logs had."""

    def to_json(self) -> dict[str, Any]:
        """Its fields in a trust root."""
        since = {"since": written(self.since)} if self.since else {}
        return {**since, **({"logged": dict(sorted(self.logged))} if self.logged else {})}

    def __str__(self) -> str:
        """For a person to read."""
        sizes = [f"below index {size} of {origin}" for origin, size in sorted(self.logged)]
        return " or ".join([*([f"before {written(self.since)}"] if self.since else []), *sizes])


@dataclass(frozen=True)
class TreeHead:
    """A log as it was at one moment."""

    size: int
    root: bytes


@dataclass(frozen=True)
class Revocation:
    """Something that a trust root revokes."""

    subject: Subject
    value: str
    """A digest in hex, or a log's origin."""
    reason: str
    cut: Cut = Cut()
    """Of signers: what is proven to be older still counts; by default nothing does."""
    head: TreeHead | None = None
    """Of a log: receipts in just this tree still count, for whoever has the key can sign others; by default none do."""

    def to_json(self) -> dict[str, Any]:
        """Its form in a trust root."""
        value = self.value if self.subject is Subject.LOG else f"sha256:{self.value}"
        head = {"size": self.head.size, "root": self.head.root.hex()} if self.head else {}
        return {self.subject.value: value, **self.cut.to_json(), **head, "reason": self.reason}


def written(time: dt.datetime) -> str:
    """RFC 3339, in UTC."""
    return time.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
