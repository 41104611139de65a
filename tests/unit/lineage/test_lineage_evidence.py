"""A lineage's evidence, then and today: what a policy makes of it, and how a verdict changes as more becomes known."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from atlas.codes import Code
from atlas.trust import intel_root
from atlas.verdict import Outcome, Severity, Verdict
from unit.evidence.evidence_support import Provider, platform, simulated_root, stranger
from unit.lineage.lineage_world import NOW, Made, World, codes, only, policy

DAY = dt.timedelta(days=1)
ALLOWED = "evidence: {required: true, roots: [simulated], allowSimulated: true}"
STRICT = policy(f"{{{ALLOWED}}}")


@pytest.fixture
def attested(world: World) -> World:
    """A world that trusts the simulator, and knows today's collateral."""
    world.trust = replace(world.trust, evidence_roots=(intel_root(), simulated_root()))
    world.source.keep(platform().collateral(NOW))
    return world


def _model(world: World, **changes: Any) -> Made:
    data = world.publish(b"corpus")
    prepared = world.step("prepare", [data.used()], provider=Provider())
    return world.step("train", [prepared.used()], provider=Provider(**changes))


def test_each_step_is_attested(attested: World) -> None:
    verdict = attested.verify(_model(attested), STRICT)
    assert (verdict.outcome, verdict.findings) == (Outcome.HOLDS, ())


def test_simulated_evidence_under_a_policy_for_production(attested: World) -> None:
    model = _model(attested)
    verdict = attested.verify(model, policy("{evidence: {required: true, roots: [intel, simulated]}}"))
    assert codes(verdict.findings) == ["EvidenceSimulated"] * 2
    assert verdict.outcome is Outcome.DOES_NOT_HOLD
    lenient = attested.verify(model)
    assert codes(lenient.findings, Severity.WARNING) == ["EvidenceSimulated"] * 2, "said, though not asked for"
    assert lenient.holds


def test_one_step_without_evidence(attested: World) -> None:
    bare = attested.step("prepare", [attested.publish(b"corpus").used()])
    model = attested.step("train", [bare.used()], provider=Provider())
    finding = only(attested.verify(model, STRICT), Code.EVIDENCE_REQUIRED)
    assert (finding.path[-1], finding.found) == ("prepare", "none")


def test_a_root_that_the_trust_root_does_not_have(world: World) -> None:
    world.source.keep(platform().collateral(NOW))
    model = world.step("train", provider=Provider())
    assert codes(world.verify(model, STRICT).findings) == ["QuoteCertificateInvalid"]
    lenient = world.verify(model)
    assert codes(lenient.findings, Severity.WARNING) == ["QuoteCertificateInvalid"]
    assert lenient.holds, "evidence that cannot be judged here is no lie"


def test_forged_evidence_is_refused_whatever_the_policy(attested: World) -> None:
    other = attested.step("evaluate", provider=Provider())
    stolen = other.manifest.evidence

    class Replaying(Provider):
        pass

    model = _with_document(attested, stolen)
    for rules in (STRICT, policy("{}"), policy("{evidence: optional}")):
        finding = only(attested.verify(model, rules), Code.EVIDENCE_CONTEXT_MISMATCH)
        assert finding.severity is Severity.ERROR


def _with_document(world: World, text: str) -> Made:
    """A step that presents this document as its evidence."""
    from atlas.manifest import sign_statement
    from atlas.statement import Statement
    from support import forge
    from unit.lineage.lineage_world import _output

    begins = world.clock
    statement = Statement(
        maker=forge.step(task="train", component="train", run="run-1"),
        outputs=(_output("model", b"weights", 0),),
        started=begins,
        ended=begins + dt.timedelta(seconds=50),
        evidence="simulated",
    )
    [signed] = sign_statement(statement, world.issuer, NOW, attest=lambda *_: text)
    made = Made(signed.raw, signed.manifest)
    world.unlogged.append(made)
    world.source.add(made.stored(), made.manifest)
    return made


def test_without_collateral(world: World) -> None:
    world.trust = replace(world.trust, evidence_roots=(simulated_root(),))
    model = world.step("train", provider=Provider())
    assert codes(world.verify(model, STRICT).findings) == ["CollateralMissing"]
    verifier = world.verifier()
    assert codes(verifier.verify(model.sha256, STRICT, NOW).findings) == ["CollateralMissing"]
    world.source.keep(platform().collateral(NOW))
    assert verifier.verify(model.sha256, STRICT, NOW).holds, "it may come later"


# ------------------------------------------------------------------------------------------------ then and today


def _later(world: World, model: Made, days: float, rules: Any = STRICT) -> Verdict:
    return world.verify(model, rules, NOW + days * DAY)


def test_a_machine_that_was_found_wanting_since(attested: World) -> None:
    model = _model(attested)
    assert _later(attested, model, 9).holds
    worse = platform().collateral(NOW + 10 * DAY, status="OutOfDate", advisories=("INTEL-SA-01234",), evaluation=19)
    attested.source.keep(worse)
    verdict = _later(attested, model, 10)
    assert verdict.outcome is Outcome.NEEDS_REVIEW
    assert not verdict.holds
    assert codes(verdict.findings) == ["TcbDegraded"] * 2
    assert all(each.severity is Severity.REVIEW for each in verdict.findings)
    assert verdict.findings[0].found == "OutOfDate (INTEL-SA-01234)"
    assert verdict.findings[0].expected == "UpToDate"
    assert _later(attested, model, 8).holds, "as of an earlier day the same verdict as then"
    accepted = policy(f"{{{ALLOWED[:-1]}, tcb: {{statuses: [UpToDate, OutOfDate]}}}}}}")
    assert _later(attested, model, 10, accepted).holds


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"pck_revoked": True}, "QuoteCertificateRevoked"),
        ({"status": "Revoked"}, "TcbRevoked"),
        ({"qe_status": "OutOfDate"}, "OutOfDate"),
        ({"cpu_svn": bytes([9] * 16)}, "TcbLevelUnknown"),
    ],
)
def test_a_machine_that_was_revoked_since(attested: World, said: dict[str, Any], words: str) -> None:
    model = _model(attested)
    attested.source.keep(platform().collateral(NOW + 5 * DAY, evaluation=19, **said))
    verdict = _later(attested, model, 5)
    assert verdict.outcome is Outcome.NEEDS_REVIEW
    assert {each.code for each in verdict.findings} == {Code.TCB_DEGRADED}
    assert words in verdict.findings[0].found
    warned = _later(
        attested, model, 5, policy("{evidence: {required: false, roots: [simulated], allowSimulated: true}}")
    )
    assert codes(warned.findings, Severity.WARNING) == ["TcbDegraded"] * 2
    assert warned.holds


def test_better_collateral_changes_nothing(attested: World) -> None:
    model = _model(attested)
    attested.source.keep(platform().collateral(NOW + 20 * DAY, evaluation=19))
    assert _later(attested, model, 40).findings == ()


def test_nobody_has_asked_since(attested: World) -> None:
    model = _model(attested)
    verdict = _later(attested, model, 31)
    assert verdict.outcome is Outcome.NEEDS_REVIEW
    assert codes(verdict.findings) == ["CollateralStale"] * 2
    optional = policy(f"{{{ALLOWED[:-1]}, recheck: optional}}}}")
    relaxed = _later(attested, model, 31, optional)
    assert relaxed.holds
    assert codes(relaxed.findings, Severity.WARNING) == ["CollateralStale"] * 2, "never without a word"


@pytest.mark.parametrize("recheck", ["required", "optional"])
def test_a_revocation_is_remembered_when_its_collateral_is_over(attested: World, recheck: str) -> None:
    model = _model(attested)
    rules = policy(f"{{{ALLOWED[:-1]}, recheck: {recheck}}}}}")
    attested.source.keep(platform().collateral(NOW + 5 * DAY, evaluation=19, pck_revoked=True))
    for days in (5, 33, 60, 400):
        verdict = _later(attested, model, days, rules)
        assert verdict.outcome is Outcome.NEEDS_REVIEW, days
        assert "TcbDegraded" in codes(verdict.findings)
        assert ("CollateralStale" in codes(verdict.findings)) == (days > 33)


def test_what_is_kept_follows_the_collateral(attested: World) -> None:
    """A verifier that lives long must not go on with what it knew before worse was said of the very same time."""
    model = _model(attested)
    verifier = attested.verifier()
    assert verifier.verify(model.sha256, STRICT, NOW).holds
    attested.source.keep(platform().collateral(NOW, evaluation=19, pck_revoked=True))
    verdict = verifier.verify(model.sha256, STRICT, NOW)
    assert verdict.outcome is Outcome.DOES_NOT_HOLD
    assert codes(verdict.findings) == ["QuoteCertificateRevoked"] * 2
    assert verdict.to_bytes() == attested.verifier().verify(model.sha256, STRICT, NOW).to_bytes()


def test_the_order_of_asking_changes_nothing(attested: World) -> None:
    model = _model(attested)
    attested.source.keep(platform().collateral(NOW + 10 * DAY, evaluation=19))
    ends = NOW + 39 * DAY
    times = [ends, NOW + 12 * DAY, ends - dt.timedelta(seconds=1), NOW, ends + DAY]
    fresh = {at: attested.verifier().verify(model.sha256, STRICT, at).to_bytes() for at in times}
    verifier = attested.verifier()
    for at in (*times, *reversed(times)):
        assert verifier.verify(model.sha256, STRICT, at).to_bytes() == fresh[at]


def test_grace_ends(attested: World) -> None:
    attested.source.kept.clear()
    known: dict[str, Any] = {"status": "OutOfDate", "level_date": NOW - DAY}
    attested.source.keep(platform().collateral(NOW, **known))
    model = _model(attested)
    rules = policy(f"{{{ALLOWED[:-1]}, tcb: {{grace: 5d}}}}}}")
    assert _later(attested, model, 3, rules).holds
    late = _later(attested, model, 10, rules)
    assert late.outcome is Outcome.NEEDS_REVIEW
    assert codes(late.findings) == ["TcbDegraded"] * 2
    assert _later(attested, model, 3).outcome is Outcome.DOES_NOT_HOLD, "none unless it is given"


def test_a_key_that_was_kept_is_judged_by_what_was_known_when_it_signed(attested: World) -> None:
    """The certificate is of today, the step says that it ended in ten days, and the machine was revoked in five."""
    attested.source.keep(platform().collateral(NOW + 5 * DAY, evaluation=19, pck_revoked=True))
    ended = NOW + 10 * DAY
    model = attested.step("train", started=ended - DAY, ended=ended, provider=Provider())
    verdict = attested.verify(model, STRICT, NOW + 11 * DAY)
    assert codes(verdict.findings) == ["QuoteCertificateRevoked"]


def test_collateral_of_a_stranger_judges_nothing(attested: World) -> None:
    """It bears the same kind of platform; put into the archive, it must not make a verdict better."""
    model = _model(attested)
    worse = platform().collateral(NOW + 5 * DAY, status="OutOfDate", evaluation=19)
    attested.source.keep(worse)
    attested.source.keep(stranger().collateral(NOW + 5 * DAY, evaluation=99))
    verdict = _later(attested, model, 5)
    assert verdict.outcome is Outcome.NEEDS_REVIEW


def test_unreadable_collateral_is_passed_over(attested: World) -> None:
    model = _model(attested)
    attested.source.kept[platform().collateral(NOW).platform].append(b"{")
    attested.source.revision += 1
    assert attested.verify(model, STRICT).holds


def test_an_error_comes_before_a_review(attested: World) -> None:
    model = _model(attested)
    rules = policy(f"{{{ALLOWED}, denied: ['sha256:{model.sha256}']}}")
    assert _later(attested, model, 31, rules).outcome is Outcome.DOES_NOT_HOLD


def test_verdicts_are_the_same_again(attested: World) -> None:
    model = _model(attested)
    verifier = attested.verifier()
    first = verifier.verify(model.sha256, STRICT, NOW + 31 * DAY).to_bytes()
    assert verifier.verify(model.sha256, STRICT, NOW + 31 * DAY).to_bytes() == first
    assert attested.verifier().verify(model.sha256, STRICT, NOW + 31 * DAY).to_bytes() == first
