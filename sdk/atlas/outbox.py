"""The outbox between archive and log: what is archived and not logged is logged, in portions that are kept at once.

A process that dies anywhere, or a log that goes away, loses nothing and logs nothing twice: an entry that the log holds
already keeps its place, a seal is stored before its batch is sent, and a portion's receipts before the next portion.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from atlas.archive import Archive, Stored
from atlas.errors import AtlasError
from atlas.interop.verify import read_manifest
from atlas.log.claim import claim_entry
from atlas.log.entry import Entry
from atlas.log.interface import TransparencyLog
from atlas.log.proof import Proof
from atlas.log.seal import MAX_BATCH, Seal, dump_seal, load_seal, seal_all, sealed_entry
from atlas.manifest import Manifest

PORTION = 1024
"""Manifests whose receipts are stored in one transaction."""


class Reveal(StrEnum):
    """What the log, and so everybody who reads it, is shown of a manifest."""

    CLAIM = "claim"
    """Its signature with the signer's certificate, and the digest of what was signed."""
    COMMITMENT = "commitment"
    """That there is one: a salted digest under a key that is used once."""
    BATCH = "batch"
    """That there are some: one such digest for all that wait."""


@dataclass(frozen=True)
class Recording:
    """How manifests are recorded."""

    reveal: Reveal = Reveal.CLAIM
    stamp: Callable[[bytes], bytes] | None = None
    """Gets a verified timestamp over a signature."""


def record_waiting(
    archive: Archive,
    log: TransparencyLog,
    stored: Iterable[Stored],
    how: Recording = Recording(),
    sealed: Mapping[str, Seal] = MappingProxyType({}),
) -> tuple[int, AtlasError | None]:
    """Log manifests of the archive, those that ended first in front.

    Args:
        archive: where they are, and where their receipts go.
        log: which one.
        stored: which manifests.
        how: what the log is shown of them.
        sealed: seals by box digest, of those that the log holds so already.

    Returns:
        How many were logged, and why others were not, if any were not.

    Raises:
        StorageError: if the archive or the log's own file fails.
    """
    waiting = [read_manifest(each.sidecar) for each in stored]
    waiting.sort(key=lambda each: (each.statement.ended, each.output.name if each.output else "", each.box_sha256))
    logged, failure = 0, None
    step = MAX_BATCH if how.reveal is Reveal.BATCH else PORTION
    for start in range(0, len(waiting), step):
        portion = waiting[start : start + step]
        proofs = _prove(archive, log, portion, how, sealed)
        rows = [(box, log.pinned.origin, each.to_bytes()) for box, each in proofs.items() if isinstance(each, Proof)]
        archive.add_receipts(rows)
        refused = [each for each in proofs.values() if isinstance(each, AtlasError)]
        logged += len(rows)
        failure = failure or next(iter(refused), None)
        if not rows:  # the log is away, or takes nothing
            break
    return logged, failure


def _prove(
    archive: Archive, log: TransparencyLog, portion: Sequence[Manifest], how: Recording, sealed: Mapping[str, Seal]
) -> Mapping[str, Proof | AtlasError]:
    entries = {each.box_sha256: claim_entry(each) for each in portion}
    before = {box: sealed[box] for box in entries if box in sealed}
    bare = {box: entry for box, entry in entries.items() if box not in before}
    seals = before | _seals(archive, bare, how.reveal)
    sent = {box: sealed_entry(entry, seals[box]) if box in seals else entry for box, entry in entries.items()}
    unique = list({entry.canonical_body(): entry for entry in sent.values()}.values())
    answers = dict(zip((entry.canonical_body() for entry in unique), log.record(unique), strict=True))
    proofs: dict[str, Proof | AtlasError] = {}
    away: AtlasError | None = None
    for box, entry in entries.items():
        answer = answers[sent[box].canonical_body()]
        if isinstance(answer, AtlasError):
            proofs[box] = answer
        elif away:  # each would be waited for in vain
            proofs[box] = away
        else:
            try:
                proofs[box] = Proof(answer, seals.get(box), (how.stamp(entry.signature),) if how.stamp else ())
            except AtlasError as error:  # the log keeps its entry, and answers again when it is asked again
                proofs[box] = away = error
    return proofs


def _seals(archive: Archive, entries: Mapping[str, Entry], reveal: Reveal) -> dict[str, Seal]:
    """Seals of entries; those that were made before a process died are used again."""
    if reveal is Reveal.CLAIM:
        return {}
    seals = {box: load_seal(raw) for box, raw in archive.seals().items() if box in entries}
    bare = [box for box in entries if box not in seals]
    batches = [[box] for box in bare] if reveal is Reveal.COMMITMENT else [bare] if bare else []
    made: dict[str, Seal] = {}
    for batch in batches:
        made.update(zip(batch, seal_all([entries[box] for box in batch]), strict=True))
    archive.add_seals((box, dump_seal(seal)) for box, seal in made.items())
    kept = {box: load_seal(raw) for box, raw in archive.seals().items() if box in made}
    return seals | made | kept  # another process may have been first
