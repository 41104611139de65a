"""Attacks on models that somebody else signed with OpenSSF Model Signing."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from atlas.artifact import measure
from atlas.codes import Code
from atlas.trust import PublisherKey
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from unit.interop.interop_support import FILES, KEY, changed, model, signature, signed_model


def delivered(world: World, raw: bytes, files: Mapping[str, bytes] = FILES) -> Outcome:
    """`atlas verify` of a model that came with this signature, whose honest publisher's key is pinned."""
    place = model(world.root / "delivery/model", files)
    world.file("delivery/model.sig", raw)
    keys = (PublisherKey("acme", KEY.public_key()),)
    trust = world.write_trust(world.root / "trust.json", replace(world.trust, publisher_keys=keys))
    rules = world.policy(log="optional", origins={"publishers": [f"sha256:{keys[0].sha256}"]})
    return world.verify(place, policy=rules, trust=trust)


def honest(**changes: Any) -> bytes:
    """What the publisher signed."""
    return signature(signed_model(**changes))


@attack(Part.OMS, Code.OMS_FILE_CHANGED, answers="changed weights")
def signed_model_with_other_weights(world: World) -> Outcome:
    """Changes one byte of a file of a signed model."""
    return delivered(world, honest(), {**FILES, "a.bin": b"weightz"})


@attack(Part.OMS, Code.OMS_FILE_UNSIGNED, answers="payload beside signed files")
def signed_model_with_a_file_more(world: World) -> Outcome:
    """Adds a file that a loader would run to a signed model."""
    return delivered(world, honest(), {**FILES, "modeling.py": b"import os"})


@attack(Part.OMS, Code.OMS_FILE_MISSING, answers="removed safeguard")
def signed_model_with_a_file_less(world: World) -> Outcome:
    """Removes a file from a signed model."""
    return delivered(world, honest(), {name: content for name, content in FILES.items() if name != "sub.x"})


@attack(Part.OMS, Code.OMS_IGNORES_FILES, answers="a signature that says what to overlook")
def signed_model_that_ignores_a_file(world: World) -> Outcome:
    """Puts a file where the publisher's own signature says to ignore what is there."""
    return delivered(world, honest(), {**FILES, ".git/hooks/post-checkout": b"#!/bin/sh"})


@attack(Part.OMS, Code.OMS_SIGNER_UNTRUSTED, answers="self-signed attacker key")
def model_signed_by_a_stranger(world: World) -> Outcome:
    """Signs another model with a key of the attacker's own."""
    files = {"a.bin": b"trojan"}
    return delivered(world, signature(signed_model(files), ec.generate_private_key(ec.SECP256R1())), files)


@attack(Part.OMS, Code.ENVELOPE_SIGNATURE_INVALID, answers="certificate stitched onto another's signature")
def certificate_beside_a_strangers_signature(world: World) -> Outcome:
    """Signs another model, and names a trusted publisher's certificate as the signer."""
    files = {"a.bin": b"trojan"}
    credential = world.credential(world.delivered().maker, world.publisher)
    stranger = replace(credential, key=ec.generate_private_key(ec.SECP256R1()))
    return delivered(world, signature(signed_model(files), stranger), files)


@attack(Part.OMS, Code.OMS_MALFORMED, answers="a digest that nothing is compared with")
def root_digest_of_another_model(world: World) -> Outcome:
    """Has a publisher sign a statement whose digest is that of another model than its files."""
    return delivered(world, signature(changed(signed_model(), "subject", 0, "digest", "sha256", value="00" * 32)))


@attack(Part.OMS, Code.OMS_SERIALIZATION_UNKNOWN, answers="downgrade to what is not compared")
def serialization_that_is_not_compared(world: World) -> Outcome:
    """Presents a signature over parts of files, which nobody can compare with the files later."""
    return delivered(world, signature(changed(signed_model(), "predicate", "serialization", "method", value="shards")))


@attack(Part.OMS, Code.BUNDLE_MALFORMED, answers="anything taken for a signature")
def signature_of_an_older_kind(world: World) -> Outcome:
    """Presents the signature as a bundle of an older version, whose checks were weaker."""
    document = json.loads(honest()) | {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1"}
    return delivered(world, json.dumps(document).encode())


@attack(Part.OMS, Code.SIGNER_ROLE_MISMATCH, answers="a step's key used as a publisher's")
def model_signed_by_a_step(world: World) -> Outcome:
    """Signs a model as a publisher would, with the certificate that a step was given."""
    files = {"a.bin": b"trojan"}
    maker = world.model.sidecar.manifest.statement.maker
    return delivered(world, signature(signed_model(files), world.credential(maker)), files)


@attack(Part.OMS, Code.OMS_MALFORMED, answers="an archive that is believed")
def record_of_another_model(world: World) -> Outcome:
    """Puts an honest signature on another model, in the archive."""
    trust = replace(world.trust, publisher_keys=(PublisherKey("acme", KEY.public_key()),))
    world.write_trust(world.home.trust_path, trust)
    place = model(world.root / "imported/model")
    signed = world.file("imported/model.sig", honest())
    assert world.cli("import", str(place), "--signature", str(signed)).exit == 0
    [(box, raw)] = world.archive("SELECT box_sha256, sidecar FROM manifest WHERE hex(substr(sidecar, 1, 1)) = '7B'")
    trojan = model(world.root / "trojan", {"a.bin": b"trojan"})
    record = json.loads(raw) | {"sha256": measure(trojan).sha256}
    forged = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    world.archive(
        "UPDATE manifest SET sidecar = ?, asset_sha256 = ? WHERE box_sha256 = ?", forged, record["sha256"], box
    )
    return world.verify(trojan, policy=world.policy())
