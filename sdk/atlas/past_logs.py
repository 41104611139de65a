"""The logs that a home has entries of: its present one, and those that are closed."""

from atlas.errors import InputError
from atlas.home import Home
from atlas.home_trust import trust_of
from atlas.log import EmbeddedLog, open_checkpoint
from atlas.log.store import origin_of
from atlas.logs import elsewhere, log_of


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
    for log in trust_of(home).logs:
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
    for pinned in trust_of(home).logs:
        if pinned.origin in own:
            with EmbeddedLog.read(home.log_file(pinned.origin), pinned) as log:
                found[pinned.origin] = log.size
    if elsewhere(home):
        with log_of(home) as other:
            if note := other.checkpoint():
                signed = open_checkpoint(note, other.pinned)
                found[signed.origin] = signed.size
    return tuple(sorted((origin, size) for origin, size in found.items() if size))
