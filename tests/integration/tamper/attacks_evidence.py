"""Attacks on the evidence of confidential pods: leaving it out, replaying it, and passing simulated for real."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives import serialization

from atlas.canonical import dump_canonical, load_json
from atlas.codes import Code
from atlas.errors import DocumentError
from atlas.evidence.appraise import appraise
from atlas.evidence.attest import PROBE, Attest, attestor
from atlas.evidence.binding import Context
from atlas.evidence.document import dump_evidence, parse_evidence
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.manifest import profile
from atlas.statement import Statement, dump_statement
from atlas.trust import EvidenceRoot, Tee, TrustRoot, intel_root
from integration.tamper.registry import Part, attack
from integration.tamper.world import HONEST, IMAGES, Outcome, Pod, World, asked, said, simulator, today
from support import forge
from support.forge import Box

Between = Callable[[Attest], Attest]


def trained(world: World, pod: Pod = HONEST, between: Between = lambda honest: honest, **rules: Any) -> Outcome:
    """Verify a model that was trained in this pod, every other step in an honest one."""
    made = world.attested_pipeline("run-2", signing={"train": world.attested(pod, between)})
    return world.verify(made["model"], policy=world.evidence_policy(**rules))


def presented(world: World, document: str, **rules: Any) -> Outcome:
    """Verify a model whose training presents this document as its evidence."""
    return trained(world, between=lambda _: lambda *_: document, **rules)


def evidence_of(world: World, step: str, run: str) -> str:
    """The document that an honest step presents."""
    return world.attested_pipeline(run, deposit=False)[step].sidecar.manifest.evidence


def edited(change: Callable[[dict[str, Any]], object]) -> Between:
    """Rewrites the document after the quote was made, and keeps it canonical."""

    def between(honest: Attest) -> Attest:
        def attest(spki: bytes, statement: bytes) -> str:
            document, _ = load_json(honest(spki, statement).encode())
            change(document)
            return dump_canonical(document).decode()

        return attest

    return between


# ------------------------------------------------------------------------------------------------ left out


@attack(Part.EVIDENCE, Code.EVIDENCE_REQUIRED, answers="provider downgraded to none")
def provider_downgraded(world: World) -> Outcome:
    """Sets the provider of the training's evidence to none, so that it runs outside of any pod."""
    made = world.attested_pipeline("run-2", signing={"train": world.sign})
    return world.verify(made["model"], policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.EVIDENCE_REQUIRED, answers="provider downgraded to none")
def provider_made_to_fail(world: World) -> Outcome:
    """Has the provider fail, in the hope that the step counts without its evidence."""

    def sign(stated: Statement, issuer: Any) -> Any:
        return world.sign(replace(stated, evidence="failed:tdx"), issuer)

    made = world.attested_pipeline("run-2", signing={"train": sign})
    return world.verify(made["model"], policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.EVIDENCE_REQUIRED, answers="only the last step attested")
def data_prepared_outside(world: World) -> Outcome:
    """Trains in a confidential pod on data that were ingested outside of any."""
    made = world.attested_pipeline("run-2", signing={"ingest": world.sign})
    return world.verify(made["model"], policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.EVIDENCE_REQUIRED, answers="only the last step attested")
def evaluated_outside(world: World) -> Outcome:
    """Evaluates outside of any confidential pod a model that was trained in one."""
    made = world.attested_pipeline("run-2", signing={"evaluate": world.sign})
    return world.verify(made["model"], policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.EVIDENCE_PROVIDER_MISMATCH, answers="evidence removed from a step")
def evidence_withheld(world: World) -> Outcome:
    """Signs a step that names its provider, and leaves the evidence out."""
    return presented(world, "")


@attack(Part.EVIDENCE, Code.ASSERTION_MISSING, answers="evidence removed from a step")
def evidence_cut_out(world: World) -> Outcome:
    """Cuts the evidence out of a signed sidecar in the archive."""

    def change(manifest: Box) -> None:
        manifest.assertions.children.remove(manifest.assertions.part(profile.EVIDENCE))

    made = world.attested_pipeline("run-2")["model"]
    world.gather()
    world.put_sidecar(made, forge.edit(made.sidecar.raw, change))
    return world.verify(made, policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.ASSERTION_CHANGED, answers="evidence removed from a step")
def evidence_put_in_its_place(world: World) -> Outcome:
    """Puts the evidence of the evaluation into the sidecar of the training."""
    made = world.attested_pipeline("run-2")
    other = forge.read_box(made["metrics"].sidecar.raw).children[1].assertions.part(profile.EVIDENCE)

    def change(manifest: Box) -> None:
        manifest.assertions.part(profile.EVIDENCE).children = other.children

    world.gather()
    world.put_sidecar(made["model"], forge.edit(made["model"].sidecar.raw, change))
    return world.verify(made["model"], policy=world.evidence_policy())


@attack(Part.EVIDENCE, Code.EVIDENCE_PROVIDER_MISMATCH, answers="evidence that the statement does not name")
def evidence_beside_none(world: World) -> Outcome:
    """Attaches evidence to a step that states it had no provider."""
    return trained(world, Pod("none"), edited(lambda document: document.update(provider="simulated")))


@attack(Part.EVIDENCE, Code.EVIDENCE_PROVIDER_UNKNOWN, answers="a provider that nobody can check")
def provider_unheard_of(world: World) -> Outcome:
    """Names a provider of evidence that no verifier knows how to check."""
    return trained(world, Pod("sev"))


@attack(Part.EVIDENCE, Code.EVIDENCE_MALFORMED, answers="bytes that nobody interprets")
def evidence_with_another_field(world: World) -> Outcome:
    """Adds a field to the evidence that says the check was done already."""
    return trained(world, between=edited(lambda document: document.update(verified=True)))


@attack(Part.EVIDENCE, Code.EVIDENCE_MALFORMED, answers="a look-alike instead of the format")
def evidence_in_words(world: World) -> Outcome:
    """Presents its word for evidence."""
    return presented(world, '{"tee":"tdx","verified":true}')


@attack(Part.EVIDENCE, Code.EVIDENCE_MALFORMED, answers="one document read in two ways")
def evidence_of_two_providers(world: World) -> Outcome:
    """Names the provider twice in the evidence, so that each reader finds the one that it looks for."""

    def between(honest: Attest) -> Attest:
        return lambda *bound: honest(*bound).replace('"provider":', '"provider":"tdx","provider":', 1)

    return trained(world, between=between)


# ------------------------------------------------------------------------------------------------ replayed


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="quote of a sibling step")
def quote_of_a_sibling(world: World) -> Outcome:
    """Trains outside of the pod, and presents the evidence of the preprocessing, which ran in one."""
    return presented(world, evidence_of(world, "data", "run-2"))


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="quote of another run")
def quote_of_another_run(world: World) -> Outcome:
    """Presents the evidence of the same step of an earlier run."""
    return presented(world, evidence_of(world, "model", "run-3"))


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="quote of another attempt")
def quote_of_another_attempt(world: World) -> Outcome:
    """Presents the evidence of a second attempt for the first."""
    return trained(world, between=lambda _: attestor(HONEST, Context("churn", "run-2", "train", 1)))


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="quote of another pipeline")
def quote_of_another_pipeline(world: World) -> Outcome:
    """Presents evidence from a pipeline of its own, whose runs and steps bear the same names."""
    return trained(world, between=lambda _: attestor(HONEST, Context("mallory", "run-2", "train", 0)))


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="replays refused only where evidence is required")
def quote_replayed_where_none_is_required(world: World) -> Outcome:
    """Presents a sibling's evidence under a policy that requires none."""
    document = evidence_of(world, "metrics", "run-2")
    made = world.pipeline("run-2", signing={"train": world.attested(between=lambda _: lambda *_: document)})
    return world.verify(made["model"])


@attack(Part.EVIDENCE, Code.EVIDENCE_CONTEXT_MISMATCH, answers="a publisher that claims a pod")
def publisher_with_a_quote(world: World) -> Outcome:
    """Publishes weights with the evidence of another's training attached."""
    stated = world.delivered(evidence="simulated")
    credential = world.credential(stated.maker, world.publisher)
    return world.verify_beside(forge.forge(stated, credential, evidence=evidence_of(world, "model", "run-2")))


@attack(Part.EVIDENCE, Code.EVIDENCE_NOT_BOUND, answers="what a quote is bound to taken on trust")
def quote_relabelled(world: World) -> Outcome:
    """Presents a sibling's quote, with the claims beside it rewritten so that they fit."""
    stolen = parse_evidence(evidence_of(world, "metrics", "run-2")).attestation

    def between(honest: Attest) -> Attest:
        return lambda *bound: dump_evidence(replace(parse_evidence(honest(*bound)), attestation=stolen))

    return trained(world, between=between)


@attack(Part.EVIDENCE, Code.EVIDENCE_NOT_BOUND, answers="what a quote is bound to taken on trust")
def quote_of_the_probe(world: World) -> Outcome:
    """Presents the quote that was made before the step, to see whether the provider works."""
    return trained(world, Pod(change=lambda given: replace(given, quote=HONEST.attest(PROBE).quote)))


@attack(Part.EVIDENCE, Code.EVIDENCE_KEY_MISMATCH, answers="a quote for one key, a signature by another")
def quote_for_another_key(world: World) -> Outcome:
    """Has a pod vouch for a key that stays inside, and signs outside with a key of its own."""
    inside = forge.leaf(world.home.issuer()).spki
    return trained(world, between=lambda honest: lambda _, statement: honest(inside, statement))


@attack(Part.EVIDENCE, Code.EVIDENCE_STATEMENT_MISMATCH, answers="a quote for one statement, a signature over another")
def quote_for_another_statement(world: World) -> Outcome:
    """Has a pod vouch for an honest statement, and signs another one with the same key."""
    honestly = dump_statement(world.model.sidecar.manifest.statement)
    return trained(world, between=lambda honest: lambda spki, _: honest(spki, honestly))


@attack(Part.EVIDENCE, Code.EVIDENCE_NONCE_MISMATCH, answers="old evidence for a fresh question", api=True)
def quote_without_the_nonce(world: World) -> Outcome:
    """Answers somebody who asks for fresh evidence with what was made before the question."""
    manifest = world.attested_pipeline("run-2")["model"].sidecar.manifest
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = manifest.signer.public_key().public_bytes(serialization.Encoding.DER, form)
    roots, known = world.trust.evidence_roots, [said()]
    appraised = (manifest.evidence, manifest.statement, spki, roots, lambda _: known, today())
    assert appraise(*appraised)
    return asked(lambda: appraise(*appraised, nonce="asked just now"))


# ------------------------------------------------------------------------------------------------ simulated


@attack(Part.EVIDENCE, Code.EVIDENCE_SIMULATED, answers="simulated evidence in production")
def simulated_in_production(world: World) -> Outcome:
    """Deploys what was attested on a simulated machine under a policy for production, which lists its root."""
    return trained(world, roots=["intel", "simulated"], allowSimulated=False, gpu="optional")


@attack(Part.EVIDENCE, Code.EVIDENCE_PROVIDER_MISMATCH, answers="simulated evidence passed for real")
def simulated_called_tdx(world: World) -> Outcome:
    """Calls the provider of a simulated quote tdx."""
    return trained(world, Pod("tdx"))


@attack(Part.EVIDENCE, Code.EVIDENCE_PROVIDER_MISMATCH, answers="simulated evidence passed for real")
def simulated_called_tdx_in_the_document(world: World) -> Outcome:
    """Calls the provider tdx in the evidence alone, which the signed statement contradicts."""
    return trained(world, between=edited(lambda document: document.update(provider="tdx")))


@attack(Part.EVIDENCE, Code.EVIDENCE_SIMULATED, answers="simulated evidence passed for real")
def simulated_without_its_mark(world: World) -> Outcome:
    """Takes the simulator's mark out of its quotes, and calls the provider tdx."""
    made = world.attested_pipeline("run-2", signing=dict.fromkeys(IMAGES, world.attested(Pod("tdx", mark=b""))))
    return world.verify(made["model"], policy=world.evidence_policy(allowSimulated=False, gpu="optional"))


@attack(Part.EVIDENCE, Code.EVIDENCE_ROOT_NOT_ALLOWED, answers="the evidence chooses its own trust root")
def root_that_the_policy_does_not_list(world: World) -> Outcome:
    """Attests under a root that the trust root has and the policy does not list."""
    return trained(world, roots=["intel"], gpu="optional")


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_INVALID, answers="untrusted authority with the same name")
def manufacturer_of_the_same_name(world: World) -> Outcome:
    """Attests on a machine of its own, whose manufacturer bears the name of a trusted one."""
    return trained(world, Pod(machine=UnsafeSimulatedPlatform.new(today())))


@attack(Part.EVIDENCE, Code.QUOTE_CERTIFICATE_INVALID, answers="the evidence chooses its own trust root")
def auditor_who_pins_intel_alone(world: World) -> Outcome:
    """Presents simulated evidence to an auditor who pins Intel's root alone."""
    own = world.trust
    trust = world.write_trust(world.root / "auditor.json", TrustRoot(own.authorities, own.logs, (intel_root(),)))
    made = world.attested_pipeline("run-2")
    return world.verify(made["model"], trust=trust, policy=world.evidence_policy())


@attack(Part.EVIDENCE, refused=DocumentError, answers="simulator's root pinned as a real one")
def simulator_pinned_as_real(world: World) -> Outcome:
    """Has the simulator's root pinned under a harmless name, as if it were a manufacturer's."""
    return pinned(world, EvidenceRoot("lab", simulator().root, Tee.TDX))


@attack(Part.EVIDENCE, refused=DocumentError, answers="simulator's root pinned as a real one")
def simulator_pinned_as_intel(world: World) -> Outcome:
    """Has the simulator's root pinned under the name of Intel's."""
    return pinned(world, EvidenceRoot("intel", simulator().root, Tee.TDX, simulated=True))


def pinned(world: World, root: EvidenceRoot) -> Outcome:
    """Verify an attested model under a trust root with this root of evidence."""
    own = world.trust
    made = world.attested_pipeline("run-2")
    trust = world.write_trust(world.root / "trust.json", TrustRoot(own.authorities, own.logs, (root,)))
    return world.verify(made["model"], trust=trust, policy=world.evidence_policy(allowSimulated=False, gpu="optional"))
