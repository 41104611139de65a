"""Attacks with keys that were trusted once: revoked signers, an authority that had ended, a revoked log."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from atlas.codes import Code
from atlas.keys import Credential, Issuer, key_digest
from atlas.lineage import standing
from atlas.log import Checkpoint, Logged
from atlas.log.checkpoint import sign_checkpoint
from atlas.log.claim import claim_entry
from atlas.log.merkle import leaf_hash
from atlas.manifest import verify_manifest
from atlas.revocation import Cut, Revocation, Subject, TreeHead
from atlas.trust_file import load_trust_root
from integration.tamper.attacks_proof import stamped
from integration.tamper.registry import Part, attack
from integration.tamper.world import PUBLISHER, Outcome, World, asked
from support import forge

NOW = Cut(forge.now())


def trusting(world: World, *revoked: Revocation) -> Path:
    """The trust root of somebody who revokes this."""
    return world.write_trust(world.root / "revoking.json", replace(world.trust, revoked=revoked))


def revoke(subject: Subject, value: str, cut: Cut = NOW) -> Revocation:
    """A revocation of today, unless told."""
    return Revocation(subject, value, "stolen laptop", cut)


def delivered(world: World, revoked: Callable[[Credential], Revocation]) -> Outcome:
    """Deliver what nobody logged, signed by somebody who is revoked."""
    raw, credential = world.delivery()
    path = world.file("delivery/weights.bin", forge.ASSET)
    world.file("delivery/weights.bin.c2pa", raw)
    return world.verify(path, policy=world.policy(log="optional"), trust=trusting(world, revoked(credential)))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revocation never asked for")
def signer_with_a_revoked_certificate(world: World) -> Outcome:
    """Signs with a key whose certificate is revoked."""
    return delivered(world, lambda each: revoke(Subject.CERTIFICATE, forge.fingerprint(each.chain[0])))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revocation never asked for")
def signer_with_a_revoked_key(world: World) -> Outcome:
    """Signs with a revoked key, under a certificate of its own that is not."""
    return delivered(world, lambda each: revoke(Subject.KEY, key_digest(each.chain[0])))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revocation of a signer only, not of who issued its certificate")
def signer_of_a_revoked_authority(world: World) -> Outcome:
    """Has a revoked authority issue one more certificate."""
    return delivered(world, lambda _: revoke(Subject.AUTHORITY, forge.fingerprint(world.publisher.certificate)))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revocation of a signer only, not of who issued its certificate")
def signer_below_a_revoked_authority(world: World) -> Outcome:
    """Has a revoked authority between the pinned one and the signer issue one more certificate."""
    root = forge.root()
    between = forge.intermediate(root)
    leaf = forge.leaf(between, PUBLISHER, above=(between.certificate,))
    path = world.file("delivery/weights.bin", forge.ASSET)
    world.file("delivery/weights.bin.c2pa", forge.forge(world.delivered(), leaf))
    revoked = revoke(Subject.AUTHORITY, forge.fingerprint(between.certificate))
    [authority] = forge.trust_root(root).authorities
    pinned = replace(world.trust, authorities=(*world.trust.authorities, authority), revoked=(revoked,))
    trust = world.write_trust(world.root / "revoking.json", pinned)
    return world.verify(path, policy=world.policy(log="optional"), trust=trust)


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="several spellings of one value")
def revoked_certificate_in_its_other_form(world: World) -> Outcome:
    """Presents a revoked certificate with the other form of its signature, and so under another digest."""
    raw, credential = world.delivery()
    [honest] = credential.chain
    other = replace(credential, chain=(forge.twin(honest),))
    assert forge.fingerprint(other.chain[0]) != forge.fingerprint(honest)
    path = world.file("delivery/weights.bin", forge.ASSET)
    world.file("delivery/weights.bin.c2pa", forge.rewrite(raw, other))
    policy = world.policy(log="optional")
    assert world.verify(path, policy=policy).exit == 0
    return world.verify(
        path, policy=policy, trust=trusting(world, revoke(Subject.CERTIFICATE, forge.fingerprint(honest)))
    )


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="backdated statement")
def revoked_key_signs_a_backdated_statement(world: World) -> Outcome:
    """Signs with a stolen key, once it is revoked, a statement that says it was made weeks before."""
    long_ago = world.began - dt.timedelta(days=20)
    credential = forge.leaf(world.publisher, PUBLISHER, begins=long_ago)
    path = world.file("delivery/weights.bin", forge.ASSET)
    stated = world.delivered(started=long_ago, ended=long_ago)
    world.file("delivery/weights.bin.c2pa", forge.forge(stated, credential))
    trust = trusting(world, revoke(Subject.KEY, key_digest(credential.chain[0])))
    return world.verify(path, policy=world.policy(log="optional"), trust=trust)


def cut_here(world: World, at: int) -> Cut:
    """Where the log had this many entries."""
    return Cut(NOW.since, ((world.log.origin, at),))


def train_authority(world: World) -> str:
    """The home's authority, which has signed all steps."""
    return forge.fingerprint(world.home.issuer().certificate)


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revoked key goes on signing")
def logged_after_the_revocation(world: World) -> Outcome:
    """Signs a second run's steps with a key that was revoked before, and has the log record them."""
    size = 1 + max(world.receipt(each).index for each in world.made.values())
    trust = trusting(world, revoke(Subject.AUTHORITY, train_authority(world), cut_here(world, size)))
    assert world.verify(trust=trust).exit == 0  # what was logged before holds
    return world.verify(world.pipeline("run-2")["model"], trust=trust)


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="off by one at the cut")
def logged_at_the_cut(world: World) -> Outcome:
    """Has the log record a revoked signer's manifest as the very first one after the revocation."""
    index = world.receipt(world.model).index
    signer = key_digest(world.model.sidecar.manifest.signer)
    assert world.verify(trust=trusting(world, revoke(Subject.KEY, signer, cut_here(world, index + 1)))).exit == 0
    return world.verify(trust=trusting(world, revoke(Subject.KEY, signer, cut_here(world, index))))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="a log chosen by the attacker vouches for the order")
def logged_early_in_another_log(world: World) -> Outcome:
    """Presents a low index in a log whose size at the revocation nobody has recorded."""
    signer = key_digest(world.model.sidecar.manifest.signer)
    return world.verify(trust=trusting(world, revoke(Subject.KEY, signer, Cut(NOW.since, (("log.other", 1000),)))))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="a broken receipt proves order")
def receipt_that_does_not_hold_proves_no_order(world: World) -> Outcome:
    """Presents a revoked signer's manifest with a receipt whose index was lowered."""
    signer = key_digest(world.model.sidecar.manifest.signer)
    honest = world.receipt(world.model)
    world.put_receipt(world.model, replace(honest, index=0, proof_index=0))
    return world.verify(trust=trusting(world, revoke(Subject.KEY, signer, cut_here(world, honest.index))))


def judged(world: World, time: dt.datetime | None, cut: Cut) -> Outcome:
    """What is said of the model when somebody trusted says that its entry existed at a time."""
    trusted = verify_manifest(world.model.sidecar.raw, world.trust)
    logged = logged_at(world, time)
    revoked = revoke(Subject.KEY, key_digest(trusted.manifest.signer), cut)
    return asked(lambda: standing.check_signer(trusted, logged, None, replace(world.trust, revoked=(revoked,))))


def logged_at(world: World, time: dt.datetime | None) -> Logged:
    """Where the model is logged, with a time."""
    receipt = world.receipt(world.model)
    return Logged(world.log.origin, receipt.index, receipt.tree_size, receipt.root, leaf_hash(receipt.body), time)


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revoked key goes on signing", api=True)
def time_at_the_revocation(world: World) -> Outcome:
    """Presents a time that is not earlier than the revocation, but the same."""
    assert NOW.since
    assert judged(world, NOW.since - dt.timedelta(seconds=1), NOW).exit == 0
    return judged(world, NOW.since, NOW)


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revoked key goes on signing")
def stamped_after_the_revocation(world: World) -> Outcome:
    """Has a pinned timestamp authority stamp what a key signs that was revoked an hour before."""
    stamped(world)
    hour = dt.timedelta(hours=1)
    signer = key_digest(world.model.sidecar.manifest.signer)
    later, earlier = (revoke(Subject.KEY, signer, Cut(forge.now() + each)) for each in (hour, -hour))
    assert world.verify(trust=trusting(world, later)).exit == 0  # stamped before that
    return world.verify(trust=trusting(world, earlier))


@attack(Part.SIGNER, Code.SIGNER_REVOKED, answers="revocation without an exception", api=True)
def revoked_for_everything(world: World) -> Outcome:
    """Presents an old, logged signature of a key that is revoked for everything it ever signed."""
    return judged(world, world.began - dt.timedelta(days=700), Cut())


def ended(world: World, cut: Cut) -> tuple[Path, Issuer]:
    """A trust root in which the steps' authority has ended, and that authority."""
    first, *others = world.trust.authorities
    trust = replace(world.trust, authorities=(replace(first, ended=cut), *others))
    return world.write_trust(world.root / "rotated.json", trust), world.home.issuer()


@attack(Part.SIGNER, Code.AUTHORITY_ENDED, answers="rotated key goes on signing")
def certificate_issued_after_the_authority_ended(world: World) -> Outcome:
    """Has an authority issue a certificate after another one has taken its place."""
    trust, _ = ended(world, Cut(forge.now() - dt.timedelta(hours=1)))
    return world.verify(world.pipeline("run-2")["model"], trust=trust)


@attack(Part.SIGNER, Code.AUTHORITY_ENDED, answers="rotated key goes on signing", api=True)
def vouched_for_after_the_authority_ended(world: World) -> Outcome:
    """Backdates a certificate of an authority that has ended; the trusted time of its entry gives it away."""
    path, issuer = ended(world, Cut(forge.now() + dt.timedelta(hours=1)))
    trust = load_trust_root(path)
    trusted = verify_manifest(world.model.sidecar.raw, trust)
    assert trusted.authority.sha256 == forge.fingerprint(issuer.certificate)
    late = logged_at(world, forge.now() + dt.timedelta(hours=2))
    return asked(lambda: standing.check_signer(trusted, late, None, trust))


@attack(Part.LOG, Code.RECEIPT_LOG_REVOKED, answers="revoked log goes on vouching")
def log_revoked(world: World) -> Outcome:
    """Presents a receipt of a log that is revoked."""
    return world.verify(trust=trusting(world, Revocation(Subject.LOG, world.log.origin, "operator left")))


@attack(Part.LOG, Code.RECEIPT_LOG_REVOKED, answers="a stolen log key signs a history of its own")
def forged_tree_of_a_revoked_log(world: World) -> Outcome:
    """Signs with a stolen log key a tree of the accepted size, in which an entry has an old index."""
    honest = world.receipt(world.made["metrics"])
    head = TreeHead(honest.tree_size, honest.root)
    trust = trusting(world, Revocation(Subject.LOG, world.log.origin, "key stolen", head=head))
    body = claim_entry(world.model.sidecar.manifest).canonical_body()
    root = leaf_hash(body)
    forged = sign_checkpoint(Checkpoint(world.log.origin, 1, root), world.home.log_key(), world.log)
    world.put_receipt(
        world.model,
        replace(world.receipt(world.model), index=0, proof_index=0, tree_size=1, root=root, path=(), checkpoint=forged),
    )
    return world.verify(trust=trust)
