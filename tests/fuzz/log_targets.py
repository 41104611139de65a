"""Readers of what a log holds, which anybody may have written there."""

import datetime as dt

from atlas.errors import InputError
from atlas.keys import issue
from atlas.log.ours import Ours, parse_recorded
from atlas.statement import Publisher
from atlas.trust import Authority, Role
from fuzz.mutate import JSON
from fuzz.target import Seed, Target
from support import forge
from unit.log.watch_support import entry_of


def log_targets(now: dt.datetime) -> tuple[Target, ...]:
    """All of them, about one authority and one key."""
    issuer = forge.authority()
    credential = issue(issuer, Publisher("ours"), now)
    ours = Ours([Authority("ours", issuer.certificate, frozenset(Role))])

    def read(raw: bytes) -> object:
        recorded = parse_recorded(raw)
        ours.misused(recorded)
        return len(recorded.identity), len(recorded.description) > 0

    raws = {
        name: entry_of(credential, bare=bare).canonical_body() for name, bare in (("certificate", False), ("key", True))
    }
    return (
        Target("recorded", InputError, tuple(Seed(name, raw, read, JSON, read(raw)) for name, raw in raws.items())),
    )
