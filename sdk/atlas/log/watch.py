"""Watching a log: what it shows now, against all that it has promised before and all that we know to be ours.

Pure: a log, what was kept of it, what the archive holds and the time of day go in; alarms and what is to be kept come
out, in the order in which they must be acted on. What is kept never goes past an alarm, so that the next round finds
it again; only `LogStale` is about time and leaves it be.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace

from atlas.codes import Code
from atlas.errors import InputError, Rejected
from atlas.log.alarm import Alarm, Holdings, Order, State
from atlas.log.checkpoint import Checkpoint
from atlas.log.entry import Entry
from atlas.log.interface import TiledLog
from atlas.log.look import MAX_ALARMS, Look
from atlas.log.merkle import leaf_hash, root_from_inclusion
from atlas.log.ours import Ours, parse_recorded
from atlas.log.proof import parse_proof
from atlas.log.proven import ProvenTree
from atlas.log.receipt import Receipt
from atlas.log.tiles import WIDTH

KEEP_EVERY = 16
"""Bundles after which the position is kept: what a killed round has read beyond it is read again."""


class Round(Look):
    """One look at a log whose tree can be read."""

    def __init__(
        self,
        log: TiledLog,
        state: State | None,
        archive: Holdings,
        order: Order,
        now: dt.datetime,
        entry_of: Callable[[bytes], Entry],
    ) -> None:
        """Begin; `entry_of` makes the log's entry of what the archive keeps of a manifest."""
        super().__init__(log.pinned, state, archive, order, now)
        self._log, self._entry_of = log, entry_of
        self._ours = Ours(order.authorities)

    def _begin(self) -> None:
        self._note = self._log.checkpoint() or ""
        signed = self._opened(self._note)
        self.size = signed.size
        self._tree = ProvenTree(signed, self._log.tiles(signed.size))

    # ------------------------------------------------------------------------------------------- what was promised

    def _contradictions(self) -> Iterator[Alarm]:
        for note in self._kept():
            yield from self._against(note)
        ahead = ""
        for box, origin, raw in self._archive.receipts():
            receipt = self._read_receipt(box, raw)
            if origin != self._log.pinned.origin:
                continue
            try:
                if isinstance(receipt, Rejected):
                    raise receipt
                signed = self._opened(receipt.checkpoint)
                if signed.size > self.size:
                    ahead = max(ahead, receipt.checkpoint, key=lambda note: self._opened(note).size)
                    continue
                yield from self._against(receipt.checkpoint)
                yield from self._lost(box, receipt, signed)
            except Rejected as rejected:
                if rejected.code is Code.LOG_TILES_INVALID:
                    raise  # it is no matter of this receipt
                yield Alarm.of(rejected, self._note, f"manifest {box}: ")
        # a receipt may be younger than the checkpoint that was read before it
        if ahead and self._opened(self._log.checkpoint() or "").size < self._opened(ahead).size:
            yield self._smaller(ahead, self.size, self._note)
        for body in self._archive.entries():
            self._ours.learn(body)
        for manifest in self._archive.unlogged():
            self._waiting = True
            self._ours.learn(self._entry_of(manifest.sidecar).canonical_body())

    def _read_receipt(self, box: str, raw: bytes) -> Receipt | Rejected:
        """A receipt; learns the manifest's identity from it, or from the manifest itself where it does not tell."""
        try:
            proof = parse_proof(raw)
            if proof.seal:  # the log has the batch alone, and that is nobody's
                self._learn(box)
            else:
                self._ours.learn(proof.receipt.body)
            return proof.receipt
        except (Rejected, InputError) as error:
            self._learn(box)
            return error if isinstance(error, Rejected) else Rejected(Code.RECEIPT_MALFORMED, str(error))

    def _learn(self, box: str) -> None:
        manifest = self._archive.manifest(box)
        if manifest:
            self._ours.learn(self._entry_of(manifest.sidecar).canonical_body())

    def _against(self, note: str) -> Iterator[Alarm]:
        """What another checkpoint of the log says of the one that it shows."""
        other = self._opened(note)
        if other.size > self.size:
            yield self._smaller(note, self.size, self._note)
            return
        root, path = self._tree.prefix(other.size) if other.size < self.size else (self._tree.signed.root, [])
        if root != other.root:
            yield Alarm(
                Code.CHECKPOINT_INCONSISTENT,
                f"the log has signed two trees that differ in their first {other.size} entries",
                expected=other.root.hex(),
                found=root.hex(),
                checkpoints=(note, self._note),
                proof={"size": other.size, "root": root.hex(), "consistency": [each.hex() for each in path]},
            )

    def _lost(self, box: str, receipt: Receipt, signed: Checkpoint) -> Iterator[Alarm]:
        """Whether the log shows what it gave a receipt for."""
        leaf = leaf_hash(receipt.body)
        root = root_from_inclusion(receipt.index, signed.size, leaf, receipt.path)
        if root != signed.root:
            raise Rejected(Code.RECEIPT_INCLUSION_INVALID, expected=signed.root.hex(), found=root.hex())
        shown = self._tree.shown(receipt.index)
        if shown != leaf:
            yield Alarm(
                Code.LOG_ENTRY_LOST,
                f"the log no longer shows the entry of manifest {box}, which it had at index {receipt.index}",
                expected=leaf.hex(),
                found=shown.hex(),
                checkpoints=(receipt.checkpoint, self._note),
                proof={"receipt": receipt.to_json()},
            )
        self._tree.leaf(receipt.index)

    # ------------------------------------------------------------------------------------------- what is shown now

    def _scan(self, state: State) -> Iterator[Alarm | State]:
        """Look at all entries that were not looked at yet, a bundle at a time."""
        alarms, stuck = 0, self.size
        for bundle in range(state.position // WIDTH, -(-self.size // WIDTH)):
            first = bundle * WIDTH
            for index, body in enumerate(self._tree.entries(bundle), first):
                if index < state.position:
                    continue
                self.read += 1
                if alarm := self._unknown(index, body, state.accepted):
                    alarms, stuck = alarms + 1, min(stuck, index)
                    yield alarm
            if alarms >= MAX_ALARMS:
                break
            if not alarms and bundle % KEEP_EVERY == KEEP_EVERY - 1:
                yield replace(state, position=min(self.size, first + WIDTH))
        yield replace(state, position=stuck)

    def _unknown(self, index: int, body: bytes, accepted: frozenset[int]) -> Alarm | None:
        try:
            recorded = parse_recorded(body)
        except InputError:
            self.unreadable += 1
            return None
        whose = "" if index in accepted else self._ours.misused(recorded)
        if not whose:
            return None
        return Alarm(
            Code.LOG_ENTRY_UNKNOWN,
            f"entry {index} is signed under {whose}, and the archive has no such manifest",
            expected="a manifest of the archive",
            found=recorded.description,
            checkpoints=(self._note,),
            proof={"receipt": self._receipt(index, body).to_json()},
        )

    def _receipt(self, index: int, body: bytes) -> Receipt:
        """The proof that the log holds an entry, which anybody can verify."""
        signed = self._tree.signed
        path = self._tree.inclusion(index)
        log_id = self._log.pinned.key_id
        return Receipt(index, log_id, index, signed.size, signed.root, tuple(path), self._note, body)
