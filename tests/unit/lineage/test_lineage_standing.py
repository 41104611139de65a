"""Revocation and ends of authorities in lineages, and in what a verifier keeps."""

import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.archive import Stored
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.keys import key_digest
from atlas.lineage import build, establish
from atlas.lineage.standing import check_log, check_signer
from atlas.log import Logged
from atlas.log.claim import claim_entry
from atlas.log.promise import Promise, signed_bytes
from atlas.log.proof import Proof
from atlas.manifest import verify_manifest
from atlas.revocation import Cut, Revocation, Subject, TreeHead
from atlas.trust import PublisherKey, TrustRoot
from support import forge
from support.rekor1 import Rekor1Double
from unit.lineage.lineage_world import NOW, ORIGIN, Made, World, chain, only, policy

HOUR = dt.timedelta(hours=1)


def revoking(world: World, made: Made, cut: Cut) -> TrustRoot:
    """A trust root that revokes the key of this manifest's signer."""
    revoked = Revocation(Subject.KEY, key_digest(made.manifest.signer), "leaked", cut)
    return replace(world.trust, revoked=(revoked,))


def logged(index: int = 5, time: dt.datetime | None = None, origin: str = ORIGIN) -> Logged:
    return Logged(origin, index, index + 1, bytes(32), bytes(32), time)


def test_an_ancestor_whose_signer_is_revoked_is_refused_where_it_stands(world: World) -> None:
    made = chain(world, 3)
    trust = revoking(world, made[0], Cut())
    verdict = world.verifier(trust=trust).verify(made[-1].sha256, policy(), NOW)
    finding = only(verdict, Code.SIGNER_REVOKED)
    assert finding.path[0] == verdict.name
    assert len(finding.path) > 1
    assert "leaked" in finding.found


def test_a_verdict_names_the_trust_root_that_revokes(world: World) -> None:
    made = chain(world, 2)
    trust = revoking(world, made[-1], Cut())
    before, after = (world.verifier(trust=each).verify(made[-1].sha256, policy(), NOW) for each in (world.trust, trust))
    assert (before.holds, after.holds) == (True, False)
    assert (before.trust, after.trust) == (f"sha256:{world.trust.sha256}", f"sha256:{trust.sha256}")
    assert before.trust != after.trust


def test_a_warm_verifier_learns_that_the_signer_was_in_time(world: World) -> None:
    made = chain(world, 1)[0]
    waiting, world.unlogged = world.unlogged, []
    verifier = world.verifier(trust=revoking(world, made, Cut(NOW, ((ORIGIN, 1),))))
    refused = only(verifier.verify(made.sha256, policy(), NOW), Code.SIGNER_REVOKED)
    assert "it has no receipt" in refused.found
    assert f"below index 1 of {ORIGIN}" in refused.expected
    world.settle(waiting)
    assert verifier.verify(made.sha256, policy(), NOW).holds


@pytest.mark.parametrize(
    ("cut", "place", "older"),
    [
        (Cut(), logged(0, NOW - HOUR), False),
        (Cut(NOW), None, False),
        (Cut(NOW), logged(), False),
        (Cut(NOW), logged(time=NOW - HOUR), True),
        (Cut(NOW), logged(time=NOW), False),
        (Cut(NOW), logged(time=NOW + HOUR), False),
        (Cut(None, ((ORIGIN, 6),)), logged(), True),
        (Cut(None, ((ORIGIN, 5),)), logged(), False),
        (Cut(None, ((ORIGIN, 6),)), logged(origin="log.other"), False),
        (Cut(None, ((ORIGIN, 6),)), logged(6, NOW - HOUR), False),
        (Cut(NOW, ((ORIGIN, 6),)), logged(time=NOW + HOUR), True),
        (Cut(NOW, ((ORIGIN, 5),)), logged(time=NOW - HOUR), True),
    ],
)
def test_what_proves_that_an_entry_is_older(world: World, cut: Cut, place: Logged | None, older: bool) -> None:
    made = world.step("train")
    trusted = verify_manifest(made.raw, world.trust)
    trust = revoking(world, made, cut)
    if older:
        assert check_signer(trusted, place, None, trust) is trusted
        return
    with pytest.raises(Rejected) as caught:
        check_signer(trusted, place, None, trust)
    assert caught.value.code is Code.SIGNER_REVOKED


@pytest.mark.parametrize(
    ("origin", "revoked"), [("rekor.test - 17", True), ("rekor.test", True), ("rekor.test2", False)]
)
def test_a_revoked_rekor_v1_is_revoked_with_all_its_trees(world: World, origin: str, revoked: bool) -> None:
    trust = replace(world.trust, revoked=(Revocation(Subject.LOG, "rekor.test", "shut"),))
    place = logged(origin=origin)
    if not revoked:
        assert check_log(place, trust) is place
        return
    with pytest.raises(Rejected) as caught:
        check_log(place, trust)
    assert caught.value.code is Code.RECEIPT_LOG_REVOKED


def test_a_publishers_bare_key_can_be_revoked(world: World) -> None:
    """As one has that signed a model with OpenSSF Model Signing."""
    key = PublisherKey("p", ec.generate_private_key(ec.SECP256R1()).public_key())
    trusted = replace(verify_manifest(world.step("train").raw, world.trust), authority=key)
    assert check_signer(trusted, None, None, revoking(world, world.step("other"), Cut())) is trusted
    revoked = Revocation(Subject.KEY, key.sha256, "leaked")
    with pytest.raises(Rejected) as caught:
        check_signer(trusted, None, None, replace(world.trust, revoked=(revoked,)))
    assert caught.value.code is Code.SIGNER_REVOKED


def test_a_receipt_that_does_not_hold_is_named(world: World) -> None:
    made = world.step("train")
    broken = Rejected(Code.RECEIPT_INCLUSION_INVALID)
    with pytest.raises(Rejected) as caught:
        check_signer(verify_manifest(made.raw, world.trust), None, broken, revoking(world, made, Cut(NOW)))
    assert "ReceiptInclusionInvalid" in caught.value.found


@pytest.mark.parametrize(
    ("since", "place", "holds"),
    [
        (NOW + HOUR, None, True),
        (NOW + HOUR, logged(), True),
        (NOW + HOUR, logged(time=NOW), True),
        (NOW + HOUR, logged(time=NOW + HOUR), False),
        (NOW + HOUR, logged(2, NOW + 2 * HOUR), True),
        (NOW - HOUR, None, False),
        (NOW - HOUR, logged(), False),
        (NOW - HOUR, logged(2), True),
    ],
)
def test_an_authority_that_ended(world: World, since: dt.datetime, place: Logged | None, holds: bool) -> None:
    """Certificates are issued at about NOW; the log had three entries when the authority ended."""
    [authority] = world.trust.authorities
    trust = replace(world.trust, authorities=(replace(authority, ended=Cut(since, ((ORIGIN, 3),))),))
    trusted = verify_manifest(world.step("train").raw, trust)
    if holds:
        assert check_signer(trusted, place, None, trust) is trusted
        return
    with pytest.raises(Rejected) as caught:
        check_signer(trusted, place, None, trust)
    assert caught.value.code is Code.AUTHORITY_ENDED


def test_a_decoy_on_another_curve_hides_no_revoked_certificate(world: World) -> None:
    """It stands where the issuer would be looked for; the certificate comes in its other form."""
    trusted = verify_manifest(world.step("train").raw, world.trust)
    [honest] = trusted.manifest.certificates
    key = ec.generate_private_key(ec.SECP384R1())
    name = honest.issuer
    decoy = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(NOW).not_valid_after(NOW + HOUR).sign(key, hashes.SHA384())
    )  # fmt: skip
    chain_sent = (forge.twin(honest), decoy)
    dressed = replace(trusted, manifest=replace(trusted.manifest, certificates=chain_sent))
    revoked = Revocation(Subject.CERTIFICATE, forge.fingerprint(honest), "r")
    with pytest.raises(Rejected) as caught:
        check_signer(dressed, None, None, replace(world.trust, revoked=(revoked,)))
    assert caught.value.code is Code.SIGNER_REVOKED


def test_every_authority_of_a_chain_can_be_revoked_and_a_leaf_is_none() -> None:
    root = forge.root()
    between, other = forge.intermediate(root), forge.intermediate(forge.root("other"))
    maker = forge.step()
    leaf = forge.leaf(between, maker, above=(other.certificate, between.certificate))
    raw = forge.forge(forge.statement(maker=maker), leaf)
    [authority] = forge.trust_root(root).authorities
    trusted = verify_manifest(raw, TrustRoot((authority,), ()))
    for subject, certificate in (
        (Subject.CERTIFICATE, leaf.chain[0]),
        (Subject.AUTHORITY, between.certificate),
        (Subject.AUTHORITY, root.certificate),
        (Subject.KEY, between.certificate),
        (Subject.CERTIFICATE, root.certificate),
    ):
        value = key_digest(certificate) if subject is Subject.KEY else forge.fingerprint(certificate)
        trust = TrustRoot((authority,), (), revoked=(Revocation(subject, value, "r"),))
        with pytest.raises(Rejected) as caught:
            check_signer(trusted, None, None, trust)
        assert caught.value.code is Code.SIGNER_REVOKED
    leaf_as_authority = Revocation(Subject.AUTHORITY, forge.fingerprint(leaf.chain[0]), "r")
    assert check_signer(trusted, None, None, TrustRoot((authority,), (), revoked=(leaf_as_authority,))) is trusted


def test_a_revoked_log_still_counts_in_its_last_tree_and_not_by_its_word_on_the_time(world: World) -> None:
    """Whoever stole its key can sign promises of any time for what is in that tree."""
    log = Rekor1Double()
    made = world.step("train")
    entry = claim_entry(made.manifest)
    receipt = log.logged(entry)
    head = TreeHead(receipt.tree_size, receipt.root)
    early = int((NOW - 365 * 24 * HOUR).timestamp())
    signature = log.sign(signed_bytes(early, receipt.body, receipt.index, log.pinned))
    forged = Proof(replace(receipt, promise=Promise(early, signature)))
    stored = Stored(made.box, made.sha256, made.raw, forged.to_bytes())
    origin = f"{log.origin} - {log.tree}"
    shut = Revocation(Subject.LOG, origin, "stolen", head=head)
    trust = replace(world.trust, logs=(log.pinned,), revoked=(shut,))
    logged = establish(stored, trust).logged
    assert logged is not None
    assert logged.time is None
    since = Revocation(Subject.KEY, key_digest(made.manifest.signer), "leaked", Cut(NOW - HOUR))
    with pytest.raises(Rejected) as caught:
        establish(stored, replace(trust, revoked=(shut, since)))
    assert caught.value.code is Code.SIGNER_REVOKED


def test_what_others_say_of_the_time_outlives_a_log(world: World) -> None:
    place = replace(logged(time=NOW - HOUR), time_of_others=NOW)
    shut = Revocation(Subject.LOG, ORIGIN, "stolen", head=TreeHead(place.tree_size, place.root))
    assert check_log(place, replace(world.trust, revoked=(shut,))).time == NOW


def test_a_time_at_the_end_of_the_calendar_is_no_fault(world: World) -> None:
    made = world.step("train")
    log = Rekor1Double()
    log.time = 253402300799 - len(log.bodies)
    receipt = log.logged(claim_entry(made.manifest))
    trust = replace(world.trust, logs=(*world.trust.logs, log.pinned))
    stored = Stored(made.box, made.sha256, made.raw, receipt.to_bytes())
    lineage = build(world.source, establish(stored, trust), lambda each: establish(each, trust))
    [node] = lineage.nodes
    assert node.facts.logged is not None
    assert node.facts.logged.time is not None
    assert node.facts.logged.time.year == 9999
    assert lineage.contradicted == ()
