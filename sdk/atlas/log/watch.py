"""Watching a log: what it shows now, against all that it has promised before and all that we know to be ours.

Pure: a log, what was kept of it, what the archive holds and the time of day go in; alarms and what is to be kept come
out, in the order in which they must be acted on. What is kept never goes past an alarm, so that the next round finds
it again; only `LogStale` is about time and leaves it be.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace

from atlas.codes import Code
from atlas.errors import ClockError, InputError, Rejected
from atlas.log.alarm import Alarm, Holdings, Order, State
from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.entry import Entry
from atlas.log.interface import TiledLog
from atlas.log.merkle import EMPTY_ROOT, leaf_hash, root_from_inclusion
from atlas.log.ours import Ours, parse_recorded
from atlas.log.proof import parse_proof
from atlas.log.proven import ProvenTree
from atlas.log.receipt import Receipt
from atlas.log.tiles import WIDTH

MAX_ALARMS = 100
"""Of one round: after these the rest is left to the next one."""
KEEP_EVERY = 16
"""Bundles after which the position is kept: what a killed round has read beyond it is read again."""


class Round:
    """One look at a log.

    Attributes:
        size: entries that the log shows.
        read: entries that were looked at.
        unreadable: entries among them that cannot be read.
    """

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
        self._entry_of = entry_of
        self._log, self._state, self._archive, self._order, self._now = log, state, archive, order, now
        self._ours = Ours(order.authorities)
        self._waiting = False
        self.size = self.read = self.unreadable = 0

    def run(self) -> Iterator[Alarm | State]:
        """Look; yields alarms, and what is to be kept from there on.

        Raises:
            AtlasError: if the log or the archive cannot be read; then what was not kept is to be looked at again.
        """
        self._note = ""
        try:
            # before the archive, whose manifests are there before the log has them
            self._note = self._log.checkpoint() or ""
            signed = self._opened(self._note)
            self.size = signed.size
            self._tree = ProvenTree(signed, self._log.tiles(signed.size))
            told = 0
            for alarm in self._broken_promises():
                told += 1
                yield alarm
                if told == MAX_ALARMS:
                    return
            if told or not self._note:
                return
            state = self._renewed()
            yield state
            yield from self._stale(state)
            yield from self._scan(state)
        except Rejected as rejected:
            yield Alarm.of(rejected, self._note)

    def _opened(self, note: str) -> Checkpoint:
        pinned = self._log.pinned
        return open_checkpoint(note, pinned) if note else Checkpoint(pinned.origin, 0, EMPTY_ROOT)

    # ------------------------------------------------------------------------------------------- what was promised

    def _broken_promises(self) -> Iterator[Alarm]:
        """What contradicts the checkpoints and the receipts that the log has given, each contradiction once."""
        told: set[tuple[Code, str]] = set()
        for alarm in self._contradictions():
            if (alarm.code, alarm.message) not in told:
                told.add((alarm.code, alarm.message))
                yield alarm

    def _contradictions(self) -> Iterator[Alarm]:
        kept = (self._state.checkpoint,) if self._state else ()
        for note in (*kept, *self._order.compare):
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
            yield self._smaller(ahead)
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
            yield self._smaller(note)
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

    def _smaller(self, note: str) -> Alarm:
        return Alarm(
            Code.LOG_ROLLED_BACK,
            f"the log shows {self.size} entries, and has signed a tree of {self._opened(note).size}",
            expected=f"at least {self._opened(note).size} entries",
            found=f"{self.size} entries",
            checkpoints=tuple(filter(None, (note, self._note))),
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

    def _renewed(self) -> State:
        if beyond := [index for index in self._order.accept if index >= self.size]:
            raise InputError(
                f"entry {beyond[0]} cannot be accepted: the log has {self.size} entries, counted from 0",
                mend="give the index that the alarm names",
            )
        before = self._state or State(self._note, self._now)
        # of a note only the text is the log's word: anybody can add signatures
        same = before.checkpoint.rpartition("\n\n")[0] == self._note.rpartition("\n\n")[0]
        return State(
            self._note,
            before.seen if same else self._now,
            0 if self._order.audit else before.position,
            before.accepted | self._order.accept,
        )

    def _stale(self, state: State) -> Iterator[Alarm]:
        if self._order.max_age is None or not (self._order.shared or self._waiting):
            return
        if state.seen > self._now:
            raise ClockError(
                f"this machine's clock says {self._now:%FT%TZ}, and the log was looked at {state.seen:%FT%TZ}",
                mend="set the clock",
            )
        if self._now - state.seen > self._order.max_age:
            yield Alarm(
                Code.LOG_STALE,
                f"the log has shown the same {self.size} entries since {state.seen:%FT%TZ}, when they were first seen",
                expected=f"another checkpoint within {self._order.max_age}",
                found=f"the same since {state.seen:%FT%TZ}",
                checkpoints=(self._note,),
            )

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
