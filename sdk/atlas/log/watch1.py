"""Watching a Rekor v1 log, which serves no tiles: what it proves when it is asked, against all that it has promised.

Its trees are logs of their own. When a new one begins, the ones before it stay as they are, so each promise is held
against the newest checkpoint of its own tree. Entries under our identities cannot be looked for: that takes them all.
"""

import datetime as dt
from collections.abc import Iterator

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.log.alarm import Alarm, Holdings, Order, State
from atlas.log.checkpoint import Checkpoint
from atlas.log.look import Look
from atlas.log.merkle import leaf_hash, root_from_inclusion, verify_consistency
from atlas.log.proof import parse_proof
from atlas.log.receipt import Receipt
from atlas.log.rekor1 import Rekor1Log


class Round1(Look):
    """One look at a Rekor v1 log; what it reads are the entries of which the archive has receipts."""

    def __init__(self, log: Rekor1Log, state: State | None, archive: Holdings, order: Order, now: dt.datetime) -> None:
        """Begin; nothing is asked yet.

        Raises:
            InputError: if entries are to be accepted, which nobody looks for here.
        """
        if order.accept:
            raise InputError(f"--accept: in {log.pinned.origin}, a Rekor v1, unknown entries are not looked for")
        super().__init__(log.pinned, state, archive, order, now)
        self._log = log
        self._agreed: set[Checkpoint] = set()

    def _begin(self) -> None:
        self._read_heads()
        self.size = self._opened(self._note).size

    def _read_heads(self) -> None:
        notes = self._log.heads()
        self._note = notes[0]
        self._heads = {note.partition("\n")[0]: note for note in reversed(notes)}

    def _scan(self, state: State) -> Iterator[Alarm | State]:
        yield from ()

    def _contradictions(self) -> Iterator[Alarm]:
        for note in self._kept():
            yield from self._against(note)
        ahead: dict[str, str] = {}
        for box, origin, raw in self._archive.receipts():
            if origin != self._pinned.origin:
                continue
            try:
                receipt = parse_proof(raw).receipt
                signed = self._opened(receipt.checkpoint)
                if self._beyond(signed):
                    ahead[signed.origin] = max(
                        ahead.get(signed.origin, ""), receipt.checkpoint, key=lambda note: self._opened(note).size
                    )
                    continue
                yield from self._against(receipt.checkpoint)
                yield from self._lost(box, receipt, signed)
            except Rejected as rejected:
                yield Alarm.of(rejected, self._note, f"manifest {box}: ")
        if ahead:  # a receipt may be younger than the checkpoints that were read before it
            self._read_heads()
        for note in ahead.values():
            if self._beyond(self._opened(note)):
                yield from self._against(note)
        self._waiting = bool(self._archive.unlogged())

    def _beyond(self, signed: Checkpoint) -> bool:
        """Whether a tree is larger than the one that is shown, or is one of which none is shown."""
        shown = self._heads.get(signed.origin)
        return shown is None or signed.size > self._opened(shown).size

    def _against(self, note: str) -> Iterator[Alarm]:
        """What another checkpoint says of the one that the log shows of the same tree."""
        other = self._opened(note)
        if other in self._agreed:
            return
        shown = self._heads.get(other.origin, "")
        signed = self._opened(shown)
        if other.size > signed.size:
            yield self._smaller(note, signed.size, shown)
            return
        path: list[bytes] = []
        try:
            if 0 < other.size < signed.size:
                path = self._log.consistency(other.origin, other.size, signed.size)
            verify_consistency(other.size, signed.size, other.root, signed.root, path)
        except Rejected as rejected:
            yield Alarm(
                Code.CHECKPOINT_INCONSISTENT,
                f"the log does not prove that it begins with the {other.size} entries that it has signed",
                expected=f"a proof from {other.root.hex()} to {signed.root.hex()}",
                found=f"{rejected} ({rejected.found})",
                checkpoints=(note, shown),
                proof={"size": other.size, "root": other.root.hex(), "consistency": [each.hex() for each in path]},
            )
            return
        self._agreed.add(other)

    def _lost(self, box: str, receipt: Receipt, signed: Checkpoint) -> Iterator[Alarm]:
        """Whether the log still serves what it gave a receipt for; that its tree has it follows from the proofs."""
        leaf = leaf_hash(receipt.body)
        root = root_from_inclusion(receipt.proof_index, signed.size, leaf, receipt.path)
        if root != signed.root:
            raise Rejected(Code.RECEIPT_INCLUSION_INVALID, expected=signed.root.hex(), found=root.hex())
        self.read += 1
        held = self._log.held(signed.origin, leaf)
        if held is None or (held.body, held.proof_index) != (receipt.body, receipt.proof_index):
            yield Alarm(
                Code.LOG_ENTRY_LOST,
                f"the log no longer shows the entry of manifest {box}, which it had at index {receipt.proof_index}",
                expected=leaf.hex(),
                found=f"{leaf_hash(held.body).hex()} at index {held.proof_index}" if held else "nothing",
                checkpoints=(receipt.checkpoint, self._note),
                proof={"receipt": receipt.to_json()},
            )
