"""Attacks on who signed: certificates of others, for others, or of another time."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from atlas.codes import Code
from atlas.errors import StateError
from atlas.keys import Credential, Issuer, new_authority
from atlas.manifest import Sidecar, sign_manifest
from atlas.statement import Publisher, Statement, Step
from atlas.trust import Authority, Role, TrustRoot
from integration.tamper.registry import Part, attack
from integration.tamper.world import PUBLISHER, Outcome, World
from support import forge

DAY = dt.timedelta(days=1)


def by(credential: Credential, stated: Statement) -> list[Sidecar]:
    """Sign with this key, whatever its certificate says."""
    return [sign_manifest(stated, each, credential) for each in stated.outputs]


def delivered_by(world: World, credential: Credential) -> Outcome:
    """Deliver an artifact whose sidecar this key has signed."""
    return world.verify_beside(forge.forge(world.delivered(), credential))


def trainer(world: World, **changes: Any) -> Step:
    """The train step of a second run."""
    maker = world.model.sidecar.manifest.statement.maker
    assert isinstance(maker, Step)
    return replace(maker, **{"run": "run-2", **changes})


def trained_by(world: World, credential: Credential) -> Outcome:
    """Present the model of a run whose train step this key has signed."""
    return world.verify(world.pipeline("run-2", signing={"train": lambda stated, _: by(credential, stated)})["model"])


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="self-signed attacker certificate")
def authority_of_the_attacker(world: World) -> Outcome:
    """Signs with a key from an authority that the attacker made."""
    return delivered_by(world, world.credential(PUBLISHER, forge.authority()))


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="untrusted authority with the same name")
def authority_of_the_same_name(world: World) -> Outcome:
    """Signs with a key from an authority that bears the name of a trusted one."""
    return delivered_by(world, world.credential(PUBLISHER, new_authority("acme publishing", forge.now() - DAY)))


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="self-signed attacker certificate")
def trusted_authority_sent_along(world: World) -> Outcome:
    """Sends the trusted authority's certificate along with a stranger's, as if it had issued that one."""
    stranger = world.credential(PUBLISHER, forge.authority())
    chain = (*stranger.chain, world.publisher.certificate)
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, replace(stranger, chain=chain)))


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="a signer that acts as an authority")
def leaf_acts_as_authority(world: World) -> Outcome:
    """Uses a step's own certificate to issue another one."""
    step = forge.intermediate(world.home.issuer(), is_authority=False)
    leaf = forge.leaf(step, PUBLISHER, above=(step.certificate,))
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, leaf))


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="signature checked at the end of the chain only")
def ancestor_of_a_stranger(world: World) -> Outcome:
    """Replaces preprocessed data and its sidecar by ones that a stranger signed, before the model is trained."""
    stranger = forge.authority()
    made = world.pipeline("run-2", signing={"preprocess": lambda stated, _: world.sign(stated, stranger)})
    return world.verify(made["model"])


@attack(Part.SIGNER, Code.SIGNER_UNTRUSTED, answers="the evidence chooses its own trust root")
def trust_root_of_another(world: World) -> Outcome:
    """Presents the model to an auditor who pins another authority of the same name."""
    return world.verify(trust=_trust(world, [(forge.authority(world.trust.authorities[0].name), frozenset(Role))]))


def _trust(world: World, authorities: Sequence[tuple[Issuer, frozenset[Role]]]) -> Path:
    pinned = tuple(Authority("pinned", issuer.certificate, roles) for issuer, roles in authorities)
    return world.write_trust(world.root / "auditor.json", TrustRoot(pinned, world.trust.logs))


@attack(Part.SIGNER, Code.SIGNER_ROLE_MISMATCH, answers="publisher key signs a step")
def publisher_signs_a_step(world: World) -> Outcome:
    """Has a publisher's authority certify a training step."""
    return trained_by(world, world.credential(trainer(world), world.publisher))


@attack(Part.SIGNER, Code.SIGNER_ROLE_MISMATCH, answers="step key publishes")
def step_authority_publishes(world: World) -> Outcome:
    """Has the authority of the steps certify a publisher."""
    return delivered_by(world, world.credential(PUBLISHER))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="step's certificate reused for another step")
def certificate_of_another_step(world: World) -> Outcome:
    """Has the evaluation's key sign what the train step says."""
    return trained_by(world, world.credential(trainer(world, task="evaluate")))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="step's certificate reused for another step")
def certificate_of_another_run(world: World) -> Outcome:
    """Has the key of an earlier run sign a later run's step."""
    return trained_by(world, world.credential(trainer(world, run="run-1")))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="step's certificate reused for another step")
def certificate_of_another_attempt(world: World) -> Outcome:
    """Has the key of a second attempt sign for the first."""
    return trained_by(world, world.credential(trainer(world, attempt=1)))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="a certificate for several signers")
def certificate_of_many(world: World) -> Outcome:
    """Signs with a certificate that names the publisher and another one as well."""
    names = ["atlas:publisher:acme", "atlas:publisher:mallory"]
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, forge.leaf(world.publisher, names=names)))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="a signer without a name")
def certificate_of_nobody(world: World) -> Outcome:
    """Signs with a certificate that names nobody."""
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, forge.leaf(world.publisher, names=[])))


@attack(Part.SIGNER, Code.SIGNER_IDENTITY_MISMATCH, answers="names that run into each other")
def publisher_named_like_a_step(world: World) -> Outcome:
    """Signs in a publisher's name that is spelled so that it might be read as a step's."""
    credential = world.credential(Publisher("acme/train/0"), world.publisher)
    return delivered_by(world, credential)


@attack(Part.SIGNER, Code.SIGNER_NOT_YET_VALID, answers="clock set back")
def clock_set_back(world: World) -> Outcome:
    """Sets the verifier's clock back to before the certificates began."""
    return world.verify(at=world.began - dt.timedelta(days=20))


@attack(Part.SIGNER, Code.SIGNER_EXPIRED, answers="clock set forward")
def clock_set_forward(world: World) -> Outcome:
    """Presents a model whose signer's certificates have expired, eleven years on."""
    return world.verify(policy=world.policy(), at=world.began + dt.timedelta(days=4000))


@attack(Part.SIGNER, Code.SIGNER_EXPIRED, answers="certificates without an end")
def certificate_expired(world: World) -> Outcome:
    """Signs with a key whose certificate ended an hour ago."""
    leaf = forge.leaf(world.publisher, PUBLISHER, begins=forge.now() - DAY, ends=forge.now() - dt.timedelta(hours=1))
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, leaf))


@attack(Part.SIGNER, refused=StateError, answers="a private key that others can read")
def key_readable_by_others(world: World) -> Outcome:
    """Lets other users read the log's private key, and waits for the next signature."""
    (world.home.path / "log.key").chmod(0o644)
    world.pipeline("run-2")
    return world.verify()
