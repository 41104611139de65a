"""What clients of all logs do alike."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from atlas.errors import AtlasError, FetchError, InputError, Rejected
from atlas.log.entry import Entry
from atlas.log.interface import TransparencyLog
from atlas.log.receipt import Receipt


def record_all(
    entries: Sequence[Entry], record: Callable[[Entry], Receipt], at_once: int
) -> list[Receipt | AtlasError]:
    """Have a log record entries, several at a time.

    Args:
        entries: what to record.
        record: has the log record one.
        at_once: requests in flight.

    Returns:
        For each, in their order: its verified receipt; or an `InputError` if the log refuses it for what it is, a
        `FetchError` if the log cannot be reached or takes too long, a `Rejected` if what it answers does not hold.
        After either of the last two no further entries are sent.
    """
    over: list[AtlasError] = []

    def tried(entry: Entry) -> Receipt | AtlasError:
        if over:
            return over[0]
        try:
            return record(entry)
        except InputError as error:
            return error
        except (FetchError, Rejected) as error:
            over.append(error)
            return error

    if not entries:
        return []
    with ThreadPoolExecutor(min(at_once, len(entries)), "atlas-log") as pool:
        try:
            return list(pool.map(tried, entries))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def record_one(log: TransparencyLog, entry: Entry) -> Receipt:
    """Have a log record one entry; raises why there is no receipt, if there is none."""
    [answer] = log.record([entry])
    if isinstance(answer, AtlasError):
        raise answer
    return answer
