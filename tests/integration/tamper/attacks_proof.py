"""Attacks on what goes with a receipt: witnesses' cosignatures, timestamps, seals."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from atlas.codes import Code
from atlas.gather import open_archive
from atlas.log.claim import claim_entry
from atlas.log.proof import Proof, parse_proof
from atlas.log.seal import Seal, seal_all, sealed_entry
from atlas.logs import own_log
from atlas.manifest import parse_manifest
from atlas.outbox import Recording, Reveal, record_waiting
from atlas.statement import Statement
from atlas.trust import TimestampAuthority
from integration.tamper.registry import Part, attack
from integration.tamper.world import Made, Outcome, World
from support.tsa import Tsa
from support.witnesses import WITNESSES, cosign


def proof(world: World, made: Made) -> Proof:
    """What the archive holds."""
    [(raw,)] = world.archive("SELECT receipt FROM receipt WHERE box_sha256 = ?", made.box)
    return parse_proof(raw)


def put(world: World, made: Made, changed: Proof) -> None:
    """Overwrite what the archive holds."""
    world.put_receipt(made, changed.to_bytes())


def each_proof(world: World, change: Callable[[Proof], Proof]) -> None:
    """Overwrite all that the archive holds."""
    for box, raw in world.archive("SELECT box_sha256, receipt FROM receipt"):
        changed = change(parse_proof(raw)).to_bytes()
        world.archive("UPDATE receipt SET receipt = ? WHERE box_sha256 = ?", changed, box)


# ------------------------------------------------------------------------------------------------ witnesses


def witnessed(world: World, *numbers: int, time: int = 0) -> None:
    """Demand two of three witnesses for the home's log, and have these cosign all checkpoints that are kept."""
    trust = world.trust
    [log] = trust.logs
    pinned = replace(log, quorum=2, witnesses=WITNESSES)
    world.write_trust(world.home.trust_path, replace(trust, logs=(pinned,), witnesses=WITNESSES))
    each_proof(world, lambda each: noted(each, lambda note: cosigned(note, *numbers, time=time)))


def cosigned(note: str, *numbers: int, time: int = 0) -> str:
    for number in numbers:
        note = cosign(note, number, time or int(dt.datetime.now().timestamp()))
    return note


def noted(each: Proof, change: Callable[[str], str]) -> Proof:
    return replace(each, receipt=replace(each.receipt, checkpoint=change(each.receipt.checkpoint)))


@attack(Part.LOG, Code.WITNESS_QUORUM_MISSED, answers="split view: witnesses not asked")
def log_without_witnesses(world: World) -> Outcome:
    """Has the log show a checkpoint that no witness has seen, where the trust root demands two."""
    witnessed(world)
    return world.verify()


@attack(Part.LOG, Code.WITNESS_QUORUM_MISSED, answers="one witness counted twice")
def one_witness_twice(world: World) -> Outcome:
    """Presents one witness's cosignature twice, as if there were two."""
    witnessed(world, 0, 0)
    return world.verify()


@attack(Part.LOG, Code.WITNESS_QUORUM_MISSED, answers="the evidence chooses its own witnesses")
def witnesses_of_the_attacker(world: World) -> Outcome:
    """Has witnesses cosign whom the trust root does not name."""
    witnessed(world, 0, 1)
    trust = world.trust
    [log] = trust.logs
    pinned = replace(log, quorum=1, witnesses=WITNESSES[2:])
    world.write_trust(world.home.trust_path, replace(trust, logs=(pinned,), witnesses=WITNESSES[2:]))
    return world.verify()


@attack(Part.LOG, Code.COSIGNATURE_INVALID, answers="replayed cosignature")
def cosignature_of_another_checkpoint(world: World) -> Outcome:
    """Presents a cosignature that a witness made for another checkpoint of the log."""
    witnessed(world, 0, 1)

    def swap(note: str) -> str:
        return cosign(note.rpartition("— ")[0], 1, 1, text=f"{world.log.origin}\n1\n{'A' * 43}=\n")

    put(world, world.model, noted(proof(world, world.model), swap))
    return world.verify()


# ------------------------------------------------------------------------------------------------ timestamps


def stamped(world: World) -> Tsa:
    """Pin a timestamp authority, and have it stamp all signatures."""
    (world.root / "tsa").mkdir()
    tsa = Tsa(world.root / "tsa")
    world.write_trust(world.home.trust_path, replace(world.trust, timestamp_authorities=(tsa.pinned,)))
    restamp(world, tsa)
    return tsa


def restamp(world: World, tsa: Tsa) -> None:
    """Have an authority stamp all signatures that have no timestamp yet."""
    for box, sidecar, raw in world.archive("SELECT box_sha256, sidecar, receipt FROM manifest NATURAL JOIN receipt"):
        kept = parse_proof(raw)
        if not kept.timestamps:
            with_time = replace(kept, timestamps=(tsa.stamp(parse_manifest(sidecar).signature),)).to_bytes()
            world.archive("UPDATE receipt SET receipt = ? WHERE box_sha256 = ?", with_time, box)


@attack(Part.LOG, Code.TIMESTAMP_INVALID, answers="timestamp of something else")
def timestamp_of_another_signature(world: World) -> Outcome:
    """Moves an older manifest's timestamp to a newer one."""
    stamped(world)
    older = proof(world, world.made["raw"]).timestamps
    put(world, world.model, replace(proof(world, world.model), timestamps=older))
    return world.verify()


@attack(Part.LOG, Code.TIMESTAMP_INVALID, answers="the evidence chooses its own clock")
def timestamp_of_the_attacker(world: World) -> Outcome:
    """Has an authority of its own state the time."""
    stamped(world)
    (world.root / "own").mkdir()
    own = Tsa(world.root / "own").stamp(world.model.sidecar.manifest.signature)
    put(world, world.model, replace(proof(world, world.model), timestamps=(own,)))
    return world.verify()


@attack(Part.LOG, Code.TIMESTAMP_INVALID, answers="the evidence chooses its own clock")
def timestamp_authority_not_pinned(world: World) -> Outcome:
    """Presents genuine timestamps to a verifier that pins no authority, which must not take them for good."""
    stamped(world)
    nobody: tuple[TimestampAuthority, ...] = ()
    world.write_trust(world.home.trust_path, replace(world.trust, timestamp_authorities=nobody))
    return world.verify()


@attack(Part.LOG, Code.TIMESTAMP_INVALID, answers="truncated proof")
def timestamp_cut_short(world: World) -> Outcome:
    """Cuts the end off a timestamp."""
    stamped(world)
    kept = proof(world, world.model)
    put(world, world.model, replace(kept, timestamps=(kept.timestamps[0][:-1],)))
    return world.verify()


@attack(Part.LOG, Code.TIMESTAMP_MISSING, answers="proof removed")
def timestamp_removed(world: World) -> Outcome:
    """Removes a timestamp that the policy asks for."""
    stamped(world)
    put(world, world.model, replace(proof(world, world.model), timestamps=()))
    return world.verify(policy=world.policy(timestamp="required"))


@attack(Part.LOG, Code.TIME_CONTRADICTED, answers="clock of the signer believed")
def step_dated_after_its_timestamp(world: World) -> Outcome:
    """States an end that lies in the future when the signature is stamped, so that the step looks newer than it is."""
    tsa = stamped(world)

    def later(stated: Statement) -> Statement:
        return replace(stated, ended=dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))

    made = world.pipeline("run-2", train=later, skip=("evaluate",))
    world.gather()
    restamp(world, tsa)
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    return world.verify(made["model"], policy=world.policy(), at=tomorrow)


# ------------------------------------------------------------------------------------------------ seals


def sealed(world: World) -> None:
    """Have all manifests recorded anew, as one batch."""
    world.archive("DELETE FROM receipt")
    with open_archive(world.home) as archive, own_log(world.home) as log:
        logged, failure = record_waiting(archive, log, archive.unlogged(), Recording(Reveal.BATCH))
    assert (logged, failure) == (6, None)


def resealed(world: World, change: Callable[[Seal], Seal]) -> Outcome:
    """Verify the model with a changed seal."""
    sealed(world)
    kept = proof(world, world.model)
    assert kept.seal
    put(world, world.model, replace(kept, seal=change(kept.seal)))
    return world.verify()


@attack(Part.LOG, Code.SEAL_INVALID, answers="commitment opened to something else")
def seal_with_another_salt(world: World) -> Outcome:
    """Opens the commitment with another salt."""
    return resealed(world, lambda seal: replace(seal, salt=bytes(32)))


@attack(Part.LOG, Code.SEAL_INVALID, answers="proof for another leaf")
def seal_of_another_manifest(world: World) -> Outcome:
    """Presents another manifest's seal of the same batch."""
    other: list[Seal] = []

    def swap(_: Seal) -> Seal:
        kept = proof(world, world.made["raw"]).seal
        assert kept
        other.append(kept)
        return kept

    return resealed(world, swap)


@attack(Part.LOG, Code.SEAL_INVALID, answers="batch grown after it was signed")
def seal_of_a_larger_batch(world: World) -> Outcome:
    """Says that the batch was larger than it was."""
    return resealed(world, lambda seal: replace(seal, size=seal.size + 1))


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers="proof for another leaf")
def seal_of_a_batch_that_is_not_logged(world: World) -> Outcome:
    """Seals the manifest anew, in a batch that no log has seen."""
    entry = claim_entry(world.model.sidecar.manifest)
    [own] = seal_all([entry])
    sealed_entry(entry, own)  # it is a seal of this very manifest
    return resealed(world, lambda _: own)


@attack(Part.LOG, Code.RECEIPT_ENTRY_MISMATCH, answers="proof for another leaf")
def seal_taken_off(world: World) -> Outcome:
    """Presents a batch's receipt as if it were the manifest's own."""
    sealed(world)
    put(world, world.model, replace(proof(world, world.model), seal=None))
    return world.verify()


@attack(Part.LOG, Code.RECEIPT_MALFORMED, answers="several spellings of one value")
def seal_with_more_in_it(world: World) -> Outcome:
    """Adds a member to the seal that Atlas does not know."""
    sealed(world)
    raw = proof(world, world.model).to_bytes()
    world.put_receipt(world.model, raw.replace(b'"seal":{', b'"seal":{"also":"this",'))
    return world.verify()
