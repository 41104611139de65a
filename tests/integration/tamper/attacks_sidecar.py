"""Attacks on the sidecar and the statement in it: without any key, and by a signer who is trusted and lies."""

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import utils

from atlas.codes import Code
from atlas.keys import Credential
from atlas.manifest import parse_manifest, profile
from atlas.statement import Step, dump_statement
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World, asked
from support import forge
from support.forge import Box

MINUTE = dt.timedelta(minutes=1)

# ------------------------------------------------------------------------------------------------ without a key


def edited(world: World, change: Callable[[Box], None]) -> Outcome:
    """Change the manifest box of a delivered sidecar without signing it again."""
    return world.verify_beside(forge.edit(world.delivery()[0], change))


@attack(Part.SIDECAR, Code.SIDECAR_MALFORMED, answers="a look-alike instead of the format")
def sidecar_is_json(world: World) -> Outcome:
    """Delivers a JSON document that looks like a manifest."""
    return world.verify_beside(b'{"claim_generator": "atlas", "signature": "valid", "is_active": true}')


@attack(Part.SIDECAR, Code.SIDECAR_MALFORMED, answers="a sidecar read as far as it goes")
def sidecar_cut_off(world: World) -> Outcome:
    """Cuts off the end of a sidecar."""
    return world.verify_beside(world.delivery()[0][:-100])


@attack(Part.SIDECAR, Code.SIDECAR_TOO_LARGE, answers="unbounded input")
def sidecar_of_nine_megabytes(world: World) -> Outcome:
    """Delivers a sidecar so large that reading it would keep the verifier busy."""
    return world.verify_beside(world.delivery()[0] + bytes(9 << 20))


@attack(Part.SIDECAR, Code.SIDECAR_TRAILING_BYTES, answers="duplicate and trailing boxes")
def sidecar_with_a_tail(world: World) -> Outcome:
    """Appends a second manifest store after the first."""
    raw = world.delivery()[0]
    return world.verify_beside(raw + raw)


@attack(Part.SIDECAR, Code.SIDECAR_DUPLICATE_BOX, answers="duplicate and trailing boxes")
def manifest_twice(world: World) -> Outcome:
    """Puts the same manifest into the store twice, the second time with another statement."""

    def change(store: Box) -> None:
        twin = forge.read_box(store.children[1].to_bytes())
        twin.assertions.part(profile.STATEMENT).cbor = {"json": "{}"}
        store.children.append(twin)

    return world.verify_beside(forge.edit_store(world.delivery()[0], change))


@attack(Part.SIDECAR, Code.SIDECAR_DUPLICATE_BOX, answers="duplicate and trailing boxes")
def statement_twice(world: World) -> Outcome:
    """Puts a second statement with the same label before the signed one."""

    def change(manifest: Box) -> None:
        store = manifest.assertions
        store.children.insert(1, forge.cbor_box(profile.STATEMENT, {"json": "{}"}))

    return edited(world, change)


@attack(Part.SIDECAR, Code.SIDECAR_DUPLICATE_BOX, answers="duplicate and trailing boxes")
def claim_twice(world: World) -> Outcome:
    """Puts a second claim beside the signed one."""

    def change(manifest: Box) -> None:
        manifest.children.append(forge.read_box(manifest.part("c2pa.claim.v2").to_bytes()))

    return edited(world, change)


@attack(Part.SIDECAR, Code.SIDECAR_HIDDEN_MANIFEST, answers="manifests that nothing refers to")
def manifest_hidden(world: World) -> Outcome:
    """Hides the manifest of another artifact in the store."""
    other = forge.read_box(world.model.sidecar.raw).children[1]
    return world.verify_beside(forge.edit_store(world.delivery()[0], lambda store: store.children.insert(1, other)))


@attack(Part.SIDECAR, Code.SIDECAR_UNKNOWN_BOX, answers="bytes that nobody signed")
def box_unknown(world: World) -> Outcome:
    """Adds a box of its own beside the claim."""
    return edited(world, lambda manifest: manifest.children.append(Box(b"free", b"anything")))


@attack(Part.SIDECAR, Code.ASSERTION_CHANGED, answers="rewritten statement")
def statement_rewritten(world: World) -> Outcome:
    """Rewrites the statement, so that another one is named as its maker."""

    def change(manifest: Box) -> None:
        part = manifest.assertions.part(profile.STATEMENT)
        part.cbor = {"json": part.cbor["json"].replace("acme", "ecma")}

    return edited(world, change)


@attack(Part.SIDECAR, Code.ASSERTION_CHANGED, answers="hard binding not signed")
def binding_rewritten(world: World) -> Outcome:
    """Binds a signed sidecar to the digest of a trojan."""
    trojan = b"trojan\n"

    def change(manifest: Box) -> None:
        part = manifest.assertions.part(profile.HARD_BINDING)
        part.cbor = {**part.cbor, "hash": hashlib.sha256(trojan).digest()}

    return world.verify_beside(forge.edit(world.delivery()[0], change), trojan)


@attack(Part.SIDECAR, Code.CLAIM_SIGNATURE_INVALID, answers="signature never checked")
def claim_rewritten(world: World) -> Outcome:
    """Rewrites statement, binding and all hashes of the claim, and leaves the old signature."""
    honest, _ = world.delivery()
    stranger = world.credential(world.delivered().maker, forge.authority())
    forged = forge.rewrite(honest, stranger, assertions=lambda parts: parts[profile.STATEMENT].update(json="{}"))
    signature = forge.read_box(honest).children[1].part("c2pa.signature")

    def change(manifest: Box) -> None:
        manifest.part("c2pa.signature").children = signature.children

    return world.verify_beside(forge.edit(forged, change))


@attack(Part.SIDECAR, Code.CLAIM_SIGNATURE_INVALID, answers="names not part of what is signed")
def title_rewritten(world: World) -> Outcome:
    """Rewrites the title of a signed artifact."""

    def change(manifest: Box) -> None:
        claim = manifest.part("c2pa.claim.v2")
        claim.cbor = {**claim.cbor, "dc:title": "approved.bin"}

    return edited(world, change)


@attack(Part.SIDECAR, Code.CLAIM_MALFORMED, answers="bytes that nobody signed")
def padding_used(world: World) -> Outcome:
    """Hides data in the padding of the signature, which no signature covers."""
    raw, credential = world.delivery()
    return world.verify_beside(
        forge.rewrite(raw, credential, signature=lambda parts: parts.unprotected.update(pad=b"hidden"))
    )


@attack(Part.SIDECAR, Code.CLAIM_SIGNATURE_INVALID, answers="signature never checked")
def signature_of_zeros(world: World) -> Outcome:
    """Replaces the signature by zeros."""

    def change(manifest: Box) -> None:
        box = manifest.part("c2pa.signature")
        protected, unprotected, payload, value = box.cbor.value
        box.cbor = cbor2.CBORTag(18, [protected, unprotected, payload, bytes(len(value))])

    return edited(world, change)


@attack(Part.SIDECAR, Code.CLAIM_SIGNATURE_INVALID, answers="signature never checked")
def certificate_exchanged(world: World) -> Outcome:
    """Puts a trusted signer's certificate over a stranger's signature."""
    stranger = world.credential(world.delivered().maker, forge.authority())
    trusted = world.credential(world.delivered().maker, world.publisher)
    mixed = replace(stranger, chain=trusted.chain)
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, mixed))


@attack(Part.SIDECAR, Code.CLAIM_MALFORMED, answers="algorithm chosen by the evidence")
def signature_without_algorithm(world: World) -> Outcome:
    """Signs with a header that names no algorithm."""
    raw, credential = world.delivery()
    return world.verify_beside(forge.rewrite(raw, credential, signature=lambda parts: parts.header.pop(1)))


@attack(Part.SIDECAR, Code.CLAIM_MALFORMED, answers="algorithm chosen by the evidence")
def claim_hashed_otherwise(world: World) -> Outcome:
    """Signs a claim that says its hashes are of a weaker kind."""
    raw, credential = world.delivery()
    return world.verify_beside(forge.rewrite(raw, credential, claim=lambda claim: claim.update(alg="sha1")))


@attack(Part.SIDECAR, Code.CLAIM_SIGNATURE_INVALID, answers="only the nearest neighbours checked")
def archived_signature_broken(world: World) -> Outcome:
    """Breaks the signature of an ancestor's manifest in the archive."""
    raw = bytearray(world.made["raw"].sidecar.raw)
    r, _ = utils.decode_dss_signature(world.made["raw"].sidecar.manifest.signature)
    raw[raw.index(r.to_bytes(32, "big"))] ^= 1
    world.put_sidecar(world.made["raw"], bytes(raw))
    return world.verify()


@attack(Part.SIDECAR, Code.ASSERTION_CHANGED, answers="rewritten statement")
def gathered_statement_rewritten(world: World) -> Outcome:
    """Rewrites a statement while its sidecar waits in the inbox."""
    [sidecar] = world.sign(world.delivered(), world.publisher)

    def change(manifest: Box) -> None:
        manifest.assertions.part(profile.STATEMENT).cbor = {"json": "{}"}

    world.deposit(replace(sidecar, raw=forge.edit(sidecar.raw, change)))
    return world.gather()


# ------------------------------------------------------------------------------------------------ with a trusted key


def signed(world: World, **changes: Any) -> Outcome:
    """Have a trusted publisher sign a sidecar that is not what the profile demands."""
    raw, credential = world.delivery()
    return world.verify_beside(forge.rewrite(raw, credential, **changes))


@attack(Part.SIDECAR, Code.ASSERTION_UNSIGNED, answers="assertions that the signer does not vouch for")
def assertion_gathered(world: World) -> Outcome:
    """Has the signer carry the statement as something that others gathered, for which it does not answer."""

    def claim(body: dict[str, Any]) -> None:
        gathered = [each for each in body["created_assertions"] if profile.STATEMENT in each["url"]]
        body["created_assertions"] = [each for each in body["created_assertions"] if each not in gathered]
        body["gathered_assertions"] = gathered

    return signed(world, claim=claim)


@attack(Part.SIDECAR, Code.ASSERTION_UNSIGNED, answers="assertions that the signer does not vouch for")
def assertion_added(world: World) -> Outcome:
    """Adds evidence to a sidecar, to which the claim does not refer."""

    def change(manifest: Box) -> None:
        manifest.assertions.children.append(forge.cbor_box(profile.EVIDENCE, {"json": '{"quote": "genuine"}'}))

    return edited(world, change)


@attack(Part.SIDECAR, Code.ASSERTION_MISSING, answers="what is absent is not missed")
def statement_left_out(world: World) -> Outcome:
    """Has the signer leave the statement out."""
    return signed(world, assertions=lambda parts: parts.pop(profile.STATEMENT))


@attack(Part.SIDECAR, Code.ASSERTION_MISSING, answers="what is absent is not missed")
def assertion_removed(world: World) -> Outcome:
    """Removes a signed assertion."""

    def change(manifest: Box) -> None:
        manifest.assertions.children = [
            each for each in manifest.assertions.children if each.kind != b"jumb" or each.label != profile.STATEMENT
        ]

    return edited(world, change)


@attack(Part.SIDECAR, Code.HARD_BINDING_INVALID, answers="wrong precomputed hash")
def binding_with_exclusions(world: World) -> Outcome:
    """Has the signer exclude a range of the artifact from the digest."""
    exclusion = {"exclusions": [{"start": 0, "length": 8}]}
    return signed(world, assertions=lambda parts: parts[profile.HARD_BINDING].update(exclusion))


@attack(Part.SIDECAR, Code.HARD_BINDING_INVALID, answers="wrong precomputed hash")
def binding_is_text(world: World) -> Outcome:
    """Has the signer write the digest as text, which C2PA's own check after signing does not see."""
    text = forge.output().sha256
    return signed(world, assertions=lambda parts: parts[profile.HARD_BINDING].update(hash=text))


@attack(Part.SIDECAR, Code.STATEMENT_ASSET_MISMATCH, answers="wrong precomputed hash")
def binding_to_another_artifact(world: World) -> Outcome:
    """Has the signer bind the sidecar to a trojan that its own statement does not name."""
    trojan = b"trojan\n"
    digest = hashlib.sha256(trojan).digest()
    raw, credential = world.delivery()
    forged = forge.rewrite(raw, credential, assertions=lambda parts: parts[profile.HARD_BINDING].update(hash=digest))
    return world.verify_beside(forged, trojan)


@attack(Part.SIDECAR, Code.STATEMENT_ASSET_MISMATCH, answers="names not part of what is signed")
def artifact_renamed(world: World) -> Outcome:
    """Has the signer give the artifact a title that the statement does not know."""
    return signed(world, claim=lambda body: body.update({"dc:title": "approved.bin"}))


def train_signed(world: World, **changes: Any) -> Outcome:
    """Present a model whose trusted step signed a sidecar that is not what the profile demands."""
    stated = world.model.sidecar.manifest.statement
    path = world.file("delivery/model", world.model.path.read_bytes() + b"another")
    digest = hashlib.sha256(path.read_bytes()).digest()
    output = replace(stated.outputs[0], sha256=digest.hex(), size=path.stat().st_size)
    assert isinstance(stated.maker, Step)
    other = replace(stated, outputs=(output,), maker=replace(stated.maker, run="run-9"))
    credential = world.credential(other.maker)
    raw = forge.rewrite(forge.forge(other, credential), credential, **changes)
    world.file("delivery/model.c2pa", raw)
    return world.verify(path)


@attack(Part.SIDECAR, Code.INGREDIENT_MISMATCH, answers="ingredients dropped")
def ingredients_dropped(world: World) -> Outcome:
    """Has the signer drop the ingredients that the statement names as inputs."""

    def assertions(parts: dict[str, Any]) -> None:
        for label in [each for each in parts if each.startswith(profile.INGREDIENT)]:
            del parts[label]

    return train_signed(world, assertions=assertions)


@attack(Part.SIDECAR, Code.INGREDIENT_MISMATCH, answers="truncated list of names")
def ingredient_renamed(world: World) -> Outcome:
    """Has the signer name other bytes in the ingredient than in the statement."""
    other = profile.instance_id("34" * 32)
    return train_signed(world, assertions=lambda parts: parts[profile.INGREDIENT].update(instanceID=other))


@attack(Part.SIDECAR, Code.INGREDIENT_EMBEDDED, answers="parent laundered as trusted")
def parent_laundered(world: World) -> Outcome:
    """Has the signer record that the parent's manifest was found valid, so that nobody looks again."""
    verdict: dict[str, Any] = {"activeManifest": {"success": [], "informational": [], "failure": []}}
    return train_signed(world, assertions=lambda parts: parts[profile.INGREDIENT].update(validationResults=verdict))


@attack(Part.SIDECAR, Code.C2PA_REJECTED, answers="certificates for another purpose")
def certificate_without_purpose(world: World) -> Outcome:
    """Signs with a certificate that the trusted authority issued for no purpose that C2PA knows."""
    raw, _ = world.delivery()
    return world.verify_beside(forge.rewrite(raw, purposeless(world)))


def purposeless(world: World) -> Credential:
    """A leaf without an extended key usage."""
    honest = world.credential(world.delivered().maker, world.publisher)
    leaf = honest.chain[0]
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(leaf.issuer)
        .public_key(leaf.public_key())
        .serial_number(leaf.serial_number)
        .not_valid_before(leaf.not_valid_before_utc)
        .not_valid_after(leaf.not_valid_after_utc)
    )
    for each in leaf.extensions:
        if not isinstance(each.value, x509.ExtendedKeyUsage):
            builder = builder.add_extension(each.value, critical=each.critical)
    return replace(honest, chain=(builder.sign(world.publisher.key, hashes.SHA256()),))


# ------------------------------------------------------------------------------------------------ the statement


def stated(world: World, change: Callable[[bytes], bytes]) -> Outcome:
    """Have a trusted publisher sign a statement whose bytes are not what they must be."""
    raw = change(dump_statement(world.delivered()))
    credential = world.credential(world.delivered().maker, world.publisher)
    return world.verify_beside(forge.forge(world.delivered(), credential, raw=raw))


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="fields that are checked only where they are present")
def statement_without_field(world: World) -> Outcome:
    """Has the signer leave the list of what could not be measured out of the statement."""
    return stated(world, lambda raw: raw.replace(b'"unmeasured":[]', b'"unmeasure":[]'))


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="fields that are checked only where they are present")
def statement_with_extra_field(world: World) -> Outcome:
    """Has the signer add a field that another reader might obey."""
    return stated(world, lambda raw: raw.replace(b'{"ended"', b'{"approved":true,"ended"'))


@attack(Part.STATEMENT, Code.STATEMENT_NOT_CANONICAL, answers="several encodings of one statement")
def statement_not_canonical(world: World) -> Outcome:
    """Has the signer write the statement in other bytes than its one form."""
    return stated(world, lambda raw: raw.replace(b'"evidence":"none"', b'"evidence": "none"'))


@attack(Part.STATEMENT, Code.STATEMENT_NOT_CANONICAL, answers="several encodings of one statement")
def statement_with_field_twice(world: World) -> Outcome:
    """Has the signer write a field twice, so that two readers see two statements."""
    return stated(world, lambda raw: raw.replace(b'"evidence":"none"', b'"evidence":"tdx","evidence":"none"'))


@attack(Part.STATEMENT, Code.STATEMENT_VERSION_UNKNOWN, answers="downgrade")
def statement_of_another_version(world: World) -> Outcome:
    """Has the signer claim a version of the statement with rules that nobody knows."""
    return stated(world, lambda raw: raw.replace(b"dev.atlas.statement/v1", b"dev.atlas.statement/v0"))


@attack(Part.STATEMENT, Code.STATEMENT_MALFORMED, answers="metric typed in instead of measured")
def metrics_edited(world: World) -> Outcome:
    """Has the evaluation's signer state better metrics under the digest of those that were measured."""
    honest = world.made["metrics"].sidecar.manifest.statement
    better = dump_statement(honest).replace(b'"accuracy":0.93', b'"accuracy":0.99')
    raw = forge.forge(honest, world.credential(honest.maker), raw=better)
    return asked(lambda: parse_manifest(raw))


@attack(
    Part.STATEMENT,
    Code.STATEMENT_MALFORMED,
    answers="a publisher that passes for a pipeline",
)
def publisher_claims_a_pipeline(world: World) -> Outcome:
    """Has a publisher sign a trojan as made from an honest model, so that the required steps are in its lineage."""
    late = {"started": forge.now() - MINUTE, "ended": forge.now()}
    raw = forge.forge(
        world.delivered(inputs=(world.model.taken(),), **late),
        world.credential(world.delivered().maker, world.publisher),
    )
    required = world.policy(log="optional", steps={"required": ["ingest", "preprocess", "train"]})
    return world.verify_beside(raw, policy=required)
