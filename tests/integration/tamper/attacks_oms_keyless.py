"""Attacks on models that were signed keyless: under a certificate of Fulcio's that lives for minutes."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.codes import Code
from atlas.interop.bundle import Bundle
from atlas.interop.dsse import sign_envelope
from atlas.interop.oms import dump_statement
from atlas.trust import Authority, Role
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from support.fulcio import IDENTITY, OIDC_ISSUER, FulcioDouble
from support.tsa import Tsa
from unit.interop.interop_support import FILES, model, signed_model

NAMED = {"issuer": OIDC_ISSUER, "subject": IDENTITY}


def sent(
    world: World,
    *,
    misbehave: Callable[[FulcioDouble], object] = lambda _: None,
    timed: bool = True,
    fulcio: FulcioDouble | None = None,
    role: Role = Role.PUBLISHER,
    identity: dict[str, str] = NAMED,
) -> Outcome:
    """`atlas verify` of a model whose signer a pinned Fulcio has certified, stamped by a pinned authority."""
    honest = FulcioDouble()
    double, key = fulcio or honest, ec.generate_private_key(ec.SECP256R1())
    misbehave(double)
    leaf = double.leaf(key.public_key(), double.intermediate)
    envelope = sign_envelope(dump_statement(signed_model(FILES)), key)
    (world.root / "tsa").mkdir()
    tsa = Tsa(world.root / "tsa")
    stamps = (tsa.stamp(envelope.signature),) if timed else ()
    bundle = Bundle(envelope, (leaf.public_bytes(Encoding.DER),), timestamps=stamps)
    place = model(world.root / "delivery/model")
    world.file("delivery/model.sig", bundle.to_bytes())
    pinned = Authority("fulcio", honest.intermediate.certificate, frozenset({role}))
    trust = replace(world.trust, authorities=(*world.trust.authorities, pinned), timestamp_authorities=(tsa.pinned,))
    rules = world.policy(log="optional", origins={"identities": [identity]})
    return world.verify(place, policy=rules, trust=world.write_trust(world.root / "trust.json", trust))


@attack(Part.OMS, Code.SIGNER_EXPIRED, answers="a key of minutes used for ever")
def keyless_signature_without_a_time(world: World) -> Outcome:
    """Signs a model with a key whose certificate lives for minutes, and has nobody say when."""
    return sent(world, timed=False)


@attack(Part.OMS, Code.SIGNER_EXPIRED, answers="a key of minutes used for ever")
def keyless_signature_after_its_certificate(world: World) -> Outcome:
    """Keeps such a key, and signs with it an hour later."""
    return sent(world, misbehave=lambda double: setattr(double, "begins", -dt.timedelta(hours=1)))


@attack(Part.OMS, Code.SIGNER_NOT_YET_VALID, answers="a certificate for what was signed before")
def keyless_signature_before_its_certificate(world: World) -> Outcome:
    """Presents a certificate that began after the signature was stamped."""
    return sent(world, misbehave=lambda double: setattr(double, "begins", dt.timedelta(minutes=1)))


@attack(Part.OMS, Code.OMS_SIGNER_UNTRUSTED, answers="the evidence chooses its own authority")
def keyless_signature_certified_by_the_attacker(world: World) -> Outcome:
    """Has a Fulcio of its own certify the publisher's name."""
    return sent(world, fulcio=FulcioDouble())


@attack(Part.OMS, Code.ORIGIN_NOT_ALLOWED, answers="anybody with an account")
def keyless_signature_of_somebody_else(world: World) -> Outcome:
    """Signs as whom the attacker is, with a genuine certificate of the same Fulcio."""
    return sent(world, identity={**NAMED, "subject": "publisher@example.com"})


@attack(Part.OMS, Code.ORIGIN_NOT_ALLOWED, answers="an issuer that anybody can run")
def keyless_signature_by_another_issuer(world: World) -> Outcome:
    """Has another issuer say that it is the publisher."""
    return sent(world, identity={**NAMED, "issuer": "https://accounts.example"})


@attack(Part.OMS, Code.SIGNER_ROLE_MISMATCH, answers="an authority used for what it is not trusted for")
def keyless_signature_under_an_authority_of_steps(world: World) -> Outcome:
    """Signs a model under an authority that may vouch for steps alone."""
    return sent(world, role=Role.STEP)
