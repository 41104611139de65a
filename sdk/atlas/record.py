"""The outbox between archive and log: what is archived and not logged is logged, in portions that are kept at once.

A process that dies anywhere, or a log that goes away, loses nothing and logs nothing twice: an entry that the log holds
already keeps its place, and a portion's receipts are stored before the next portion is sent.
"""

from collections.abc import Iterable

from atlas.archive import Archive, Stored
from atlas.errors import AtlasError
from atlas.log.claim import claim_entry
from atlas.log.interface import TransparencyLog
from atlas.log.receipt import Receipt
from atlas.manifest import Manifest, parse_manifest

PORTION = 256
"""Manifests whose receipts are stored in one transaction."""


def record_waiting(archive: Archive, log: TransparencyLog, stored: Iterable[Stored]) -> tuple[int, AtlasError | None]:
    """Log manifests of the archive, those that ended first in front.

    Returns:
        How many were logged, and why others were not, if any were not.

    Raises:
        StorageError: if the archive or the log's own file fails.
    """
    waiting = [parse_manifest(each.sidecar) for each in stored]
    waiting.sort(key=lambda each: (each.statement.ended, each.output.name if each.output else "", each.box_sha256))
    logged, failure = 0, None
    for start in range(0, len(waiting), PORTION):
        portion = waiting[start : start + PORTION]
        answers = list(zip(portion, log.record([claim_entry(each) for each in portion]), strict=True))
        archive.add_receipts(_rows(answers, log.pinned.origin))
        refused = [answer for _, answer in answers if isinstance(answer, AtlasError)]
        logged += len(portion) - len(refused)
        failure = failure or next(iter(refused), None)
        if len(refused) == len(portion):  # the log is away, or takes nothing
            break
    return logged, failure


def _rows(answers: list[tuple[Manifest, Receipt | AtlasError]], origin: str) -> list[tuple[str, str, bytes]]:
    return [(each.box_sha256, origin, answer.to_bytes()) for each, answer in answers if isinstance(answer, Receipt)]
