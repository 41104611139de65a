"""What evidence is bound to, and how a policy judges it: each replay and each weakness has its own code."""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.appraise import Appraisal, appraise
from atlas.evidence.attest import attestor
from atlas.evidence.binding import Context, bind
from atlas.evidence.document import Evidence, dump_evidence, parse_evidence
from atlas.evidence.nvidia.verify import gpu_nonce
from atlas.evidence.providers import Attestation, GpuAttestation
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.td import UnsafeSimulatedEvent, UnsafeSimulatedTd, agent_event
from atlas.evidence.tdx.collateral import Collateral
from atlas.manifest import Manifest, sign_statement
from atlas.policy.attested import judge_appraisal, registers
from atlas.policy.evidence import EvidenceRules
from atlas.policy.fields import Need
from atlas.statement import Publisher, Statement, Step
from atlas.trust import EvidenceRoot, Tee, intel_root
from support import forge
from unit.evidence.evidence_support import NOW, Provider, platform, resigned, simulated_root, stranger

ISSUER = forge.authority()
OTHER_KEY = forge.leaf(ISSUER)


def stated(**changes: Any) -> Statement:
    return forge.statement(**{"evidence": "simulated", **changes})


def document(statement: Statement, spki: bytes, provider: Provider | None = None, nonce: str = "") -> str:
    from atlas.statement import dump_statement

    assert isinstance(statement.maker, Step)
    return attestor(provider or Provider(), Context.of(statement.maker, nonce))(spki, dump_statement(statement))


def held(
    text: str,
    statement: Statement | None = None,
    spki: bytes = OTHER_KEY.spki,
    roots: Sequence[EvidenceRoot] | None = None,
    collateral: Sequence[Collateral] | None = None,
    nonce: str | None = None,
) -> Appraisal | None:
    known = [platform().collateral(NOW)] if collateral is None else collateral
    trusted = (intel_root(), simulated_root()) if roots is None else roots
    return appraise(text, statement or stated(), spki, trusted, lambda _: known, NOW, nonce=nonce)


def good(provider: Provider | None = None, **changes: Any) -> Appraisal:
    found = held(document(stated(), OTHER_KEY.spki, provider), **changes)
    assert found is not None
    return found


def refused(action: Callable[[], object]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        action()
    return caught.value


# ------------------------------------------------------------------------------------------------ what holds


def test_binding_is_golden() -> None:
    """What evidence was made with must verify for ever."""
    bound = bind(b"spki", Context("pipeline", "run", "task", 1, "nonce"), b"statement")
    assert bound.report_data == b"AEMmgXaH-XEAgnBfV1fSAfkemdTco6b6FIl5Nw1T6P8TPoSnnIGDD15G22lAiKwl"
    assert len(bound.report_data) == 64


@pytest.mark.parametrize("version", [4, 5])
def test_evidence_that_holds(version: int) -> None:
    found = good(Provider(version=version))
    assert (found.provider, found.root.name, found.root.simulated) == ("simulated", "simulated", True)
    assert found.events == ()
    assert found.at == NOW


def test_no_evidence_was_asked_for() -> None:
    assert held("", stated(evidence="none")) is None
    assert held("", stated(evidence="failed:tdx")) is None


def test_every_manifest_of_a_step_carries_the_one_quote() -> None:
    two = stated(outputs=(forge.output(), forge.output(b"metrics", name="metrics")))
    assert isinstance(two.maker, Step)
    first, second = sign_statement(two, ISSUER, NOW, attest=attestor(Provider(), Context.of(two.maker)))
    assert first.manifest.evidence == second.manifest.evidence
    for each in (first, second):
        assert _of(each.manifest) is not None


def _of(manifest: Manifest, statement: Statement | None = None) -> Appraisal | None:
    from cryptography.hazmat.primitives import serialization as ser

    spki = manifest.signer.public_key().public_bytes(ser.Encoding.DER, ser.PublicFormat.SubjectPublicKeyInfo)
    return held(manifest.evidence, statement or manifest.statement, spki)


def test_what_the_agent_measured_is_told() -> None:
    td = UnsafeSimulatedTd().extended(agent_event("kubernetes.io", "pull", "registry.example/train@sha256:ab"))
    assert [vars(each) for each in good(Provider(td=td)).events or ()] == [
        {"domain": "kubernetes.io", "operation": "pull", "content": "registry.example/train@sha256:ab"}
    ]
    assert good(Provider(td=td, event_log=False)).events is None


# ------------------------------------------------------------------------------------------------ what was replayed


def test_of_a_sibling_step() -> None:
    sibling = stated(maker=forge.step(task="evaluate"))
    text = document(sibling, OTHER_KEY.spki)
    found = refused(lambda: held(text))
    assert found.code is Code.EVIDENCE_CONTEXT_MISMATCH
    assert (found.expected, found.found) == (
        "training/run-1/train, attempt 0",
        "training/run-1/evaluate, attempt 0",
    )


@pytest.mark.parametrize("change", [{"run": "run-2"}, {"attempt": 1}, {"pipeline": "other"}, {"task": "train-2"}])
def test_of_another_attempt(change: dict[str, Any]) -> None:
    text = document(stated(maker=forge.step(**change)), OTHER_KEY.spki)
    assert refused(lambda: held(text)).code is Code.EVIDENCE_CONTEXT_MISMATCH


def test_of_another_key() -> None:
    text = document(stated(), forge.leaf(ISSUER).spki)
    assert refused(lambda: held(text)).code is Code.EVIDENCE_KEY_MISMATCH


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": (forge.output(b"trojan"),)},
        {"inputs": ()},
        {"parameters": {"epochs": 4}},
        {"maker": forge.step(image="other")},
        {"maker": forge.step(exit_code=1)},
        {"unmeasured": ()},
    ],
    ids=["output", "input", "parameter", "image", "exit code", "nothing"],
)
def test_of_another_statement(change: dict[str, Any]) -> None:
    text = document(stated(**change), OTHER_KEY.spki)
    if stated(**change) == stated():
        assert held(text) is not None
    else:
        assert refused(lambda: held(text)).code is Code.EVIDENCE_STATEMENT_MISMATCH


def test_nonce() -> None:
    text = document(stated(), OTHER_KEY.spki, nonce="n-1")
    found = held(text, nonce="n-1")
    assert found is not None
    assert found.nonce == "n-1"
    assert held(text) is not None, "who did not ask cannot know"
    for wrong in ("n-2", ""):
        assert refused(lambda n=wrong: held(text, nonce=n)).code is Code.EVIDENCE_NONCE_MISMATCH  # type: ignore[misc]
    assert refused(lambda: held(document(stated(), OTHER_KEY.spki), nonce="n-1")).code is Code.EVIDENCE_NONCE_MISMATCH


def _claims(change: Callable[[dict[str, Any]], object]) -> str:
    """The document, with what it claims rewritten after the quote was made."""
    value = json.loads(document(stated(maker=forge.step(run="run-2")), OTHER_KEY.spki))
    change(value)
    from atlas.canonical import dump_canonical

    return dump_canonical(value).decode()


def test_claims_are_rewritten_to_fit() -> None:
    text = _claims(lambda value: value["bound"]["context"].update(run="run-1"))
    assert refused(lambda: held(text)).code is Code.EVIDENCE_NOT_BOUND


def test_report_data_of_nobody() -> None:
    for data in (bytes(64), b"0" * 64):
        quote = platform().quote(data)
        bound = bind(OTHER_KEY.spki, Context.of(forge.step()), b"")
        text = dump_evidence(Evidence("simulated", bound, Attestation(quote, None)))
        assert refused(lambda t=text: held(t)).code is Code.EVIDENCE_NOT_BOUND  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------ who gave it


def test_evidence_removed() -> None:
    for provider in ("simulated", "tdx", "coco"):
        found = refused(lambda p=provider: held("", stated(evidence=p)))  # type: ignore[misc]
        assert found.code is Code.EVIDENCE_PROVIDER_MISMATCH
        assert found.found == "no evidence"


def test_evidence_where_none_is_stated() -> None:
    text = document(stated(evidence="none"), OTHER_KEY.spki)
    assert refused(lambda: held(text, stated(evidence="none"))).code is Code.EVIDENCE_PROVIDER_MISMATCH


def test_simulated_evidence_that_calls_itself_real() -> None:
    lie = stated(evidence="tdx")
    text = document(lie, OTHER_KEY.spki, Provider("tdx"))
    assert refused(lambda: held(text, lie)).code is Code.EVIDENCE_PROVIDER_MISMATCH
    other = document(lie, OTHER_KEY.spki, Provider("simulated"))
    assert refused(lambda: held(other, lie)).code is Code.EVIDENCE_PROVIDER_MISMATCH


def test_simulated_evidence_without_its_mark_needs_its_root_all_the_same() -> None:
    lie = stated(evidence="tdx")

    class Unmarked(Provider):
        def attest(self, report_data: bytes) -> Attestation:
            return Attestation(platform().quote(report_data, user_data=bytes(20)), None)

    text = document(lie, OTHER_KEY.spki, Unmarked("tdx"))
    assert refused(lambda: held(text, lie, roots=(intel_root(),))).code is Code.QUOTE_CERTIFICATE_INVALID
    found = held(text, lie)
    assert found is not None
    assert found.root.simulated, "the root that vouched decides what it is worth"
    codes = [each.code for each in judge_appraisal(found, EvidenceRules(required=True, roots=("intel", "simulated")))]
    assert codes == [Code.EVIDENCE_SIMULATED]


def test_a_provider_that_nobody_knows() -> None:
    lie = stated(evidence="sev")
    text = document(lie, OTHER_KEY.spki, Provider("sev"))
    assert refused(lambda: held(text, lie)).code is Code.EVIDENCE_PROVIDER_UNKNOWN


def test_a_publisher_has_no_pod() -> None:
    text = document(stated(), OTHER_KEY.spki)
    published = forge.statement(maker=Publisher("clinic"), evidence="simulated")
    assert refused(lambda: held(text, published)).code is Code.EVIDENCE_CONTEXT_MISMATCH


@pytest.mark.parametrize(
    "roots",
    [(), (intel_root(),), (EvidenceRoot("gpu", platform().root, Tee.GPU, simulated=True),)],
    ids=["none", "intel", "of GPUs"],
)
def test_a_root_that_is_not_trusted(roots: tuple[EvidenceRoot, ...]) -> None:
    text = document(stated(), OTHER_KEY.spki)
    assert refused(lambda: held(text, roots=roots)).code is Code.QUOTE_CERTIFICATE_INVALID


def test_a_stranger_with_the_same_names() -> None:
    text = document(stated(), OTHER_KEY.spki, Provider(maker=stranger()))
    assert refused(lambda: held(text)).code is Code.QUOTE_CERTIFICATE_INVALID


def test_no_collateral() -> None:
    text = document(stated(), OTHER_KEY.spki)
    assert refused(lambda: held(text, collateral=[])).code is Code.COLLATERAL_MISSING
    expired = platform().collateral(NOW - dt.timedelta(days=90))
    assert refused(lambda: held(text, collateral=[expired])).code is Code.COLLATERAL_MISSING


def test_collateral_that_was_issued_after_the_step() -> None:
    later = platform().collateral(NOW + dt.timedelta(days=10), status="OutOfDate")
    found = good(collateral=[later])
    assert found.verified.platform.status == "OutOfDate"


# ------------------------------------------------------------------------------------------------ the event log

KERNEL = UnsafeSimulatedEvent(1, b"kernel")


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (lambda raw: raw[:-3], Code.EVENT_LOG_MALFORMED),
        (lambda raw: b"", Code.EVENT_LOG_MALFORMED),
        (lambda raw: UnsafeSimulatedTd(events=()).event_log, Code.EVENT_LOG_MISMATCH),
        (lambda raw: UnsafeSimulatedTd().extended(KERNEL).event_log, Code.EVENT_LOG_MISMATCH),
        (
            lambda raw: UnsafeSimulatedTd(events=UnsafeSimulatedTd().events[1:]).event_log,
            Code.EVENT_LOG_MISMATCH,
        ),
    ],
    ids=["cut", "empty", "none", "added", "dropped"],
)
def test_event_logs_that_do_not_lead_to_the_quote(log: Callable[[bytes], bytes], code: Code) -> None:
    class Editing(Provider):
        def attest(self, report_data: bytes) -> Attestation:
            given = super().attest(report_data)
            return replace(given, event_log=log(given.event_log or b""))

    text = document(stated(), OTHER_KEY.spki, Editing())
    assert refused(lambda: held(text)).code is code


def test_an_agents_event_with_other_data() -> None:
    honest = agent_event("kubernetes.io", "pull", "good")
    lie = replace(agent_event("kubernetes.io", "pull", "evil"), sha384=honest.digest)
    quoted = UnsafeSimulatedTd().extended(honest)

    class Editing(Provider):
        def attest(self, report_data: bytes) -> Attestation:
            return Attestation(platform().quote(report_data, quoted), UnsafeSimulatedTd().extended(lie).event_log)

    text = document(stated(), OTHER_KEY.spki, Editing())
    assert refused(lambda: held(text)).code is Code.EVENT_DATA_MISMATCH


# ------------------------------------------------------------------------------------------------ GPUs


@pytest.fixture(scope="module")
def gpu() -> UnsafeSimulatedGpu:
    return UnsafeSimulatedGpu()


def _with_gpu(gpu: UnsafeSimulatedGpu, digest: bytes | None = None, times: int = 1) -> str:
    import base64

    class WithGpu(Provider):
        def attest(self, report_data: bytes) -> Attestation:
            nonce = gpu_nonce(digest or base64.urlsafe_b64decode(report_data))
            given = GpuAttestation(gpu.report(nonce), gpu.chain_pem.decode())
            return replace(super().attest(report_data), gpu=(given,) * times)

    return document(stated(), OTHER_KEY.spki, WithGpu())


def test_gpu(gpu: UnsafeSimulatedGpu) -> None:
    root = EvidenceRoot("simulated-gpu", gpu.root, Tee.GPU, simulated=True)
    trusted = (simulated_root(), root)
    found = held(_with_gpu(gpu), roots=trusted)
    assert found is not None
    assert [(each.root, each.claims.root) for each in found.gpus] == [(root, root.sha256)]
    stranger = EvidenceRoot("other-gpu", UnsafeSimulatedGpu().root, Tee.GPU, simulated=True)
    text = _with_gpu(gpu)
    assert refused(lambda: held(text, roots=(simulated_root(), stranger))).code is Code.GPU_CERTIFICATE_INVALID
    twice = _with_gpu(gpu, times=2)
    assert refused(lambda: held(twice, roots=trusted)).code is Code.GPU_REPORT_MALFORMED
    replayed = _with_gpu(gpu, bytes(48))
    assert refused(lambda: held(replayed, roots=trusted)).code is Code.GPU_NONCE_MISMATCH


def test_a_gpu_counts_under_the_roots_that_the_policy_names(gpu: UnsafeSimulatedGpu) -> None:
    root = EvidenceRoot("simulated-gpu", gpu.root, Tee.GPU, simulated=True)
    text = _with_gpu(gpu)
    with_gpu, unseen = held(text, roots=(simulated_root(), root)), held(text)
    assert with_gpu is not None
    assert unseen is not None
    assert unseen.gpus == (), "nobody here can judge it"
    both = {"gpu": "required", "roots": ["simulated", "simulated-gpu"]}
    assert codes(with_gpu, **both) == []
    for appraisal, change in (
        (unseen, both),
        (good(), both),
        (with_gpu, {"gpu": "required"}),
        (with_gpu, {**both, "roots": ["simulated"]}),
    ):
        assert codes(appraisal, **change) == [Code.GPU_REQUIRED]
    real = replace(with_gpu, root=replace(with_gpu.root, name="intel", simulated=False))
    production = EvidenceRules(required=True, roots=("intel", "simulated-gpu"), gpu=Need.REQUIRED)
    assert [each.code for each in judge_appraisal(real, production)] == [Code.GPU_REQUIRED]


# ------------------------------------------------------------------------------------------------ the document


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "{",
        "[" * 100_000,
        '{"provider":"none"}',
        lambda: document(stated(), OTHER_KEY.spki).replace('"provider"', '"Provider"'),
        lambda: document(stated(), OTHER_KEY.spki).replace("evidence/v1", "evidence/v2"),
        lambda: document(stated(), OTHER_KEY.spki).replace('"quote":"', '"quote":"!'),
        lambda: document(stated(), OTHER_KEY.spki).replace('"gpu":[]', '"gpu":[1]'),
        lambda: document(stated(), OTHER_KEY.spki).replace('"attempt":0', '"attempt":true'),
        lambda: document(stated(), OTHER_KEY.spki) + " ",
        lambda: _claims(lambda value: value["bound"].update(key_sha384="AB" * 48)),
        lambda: _claims(lambda value: value.update(more=1)),
        lambda: " " * (1 << 20),
    ],
)
def test_documents_that_cannot_be_read(text: str | Callable[[], str]) -> None:
    raw = text() if callable(text) else text
    assert refused(lambda: parse_evidence(raw)).code is Code.EVIDENCE_MALFORMED


@given(st.text())
def test_any_text(text: str) -> None:
    assert refused(lambda: parse_evidence(text)).code is Code.EVIDENCE_MALFORMED


def test_document_round_trip() -> None:
    text = document(stated(), OTHER_KEY.spki, nonce="ü")
    assert dump_evidence(parse_evidence(text)) == text


# ------------------------------------------------------------------------------------------------ policies


def rules(**changes: Any) -> EvidenceRules:
    return EvidenceRules.model_validate({"roots": ["simulated"], "allowSimulated": True, "required": True} | changes)


def codes(appraisal: Appraisal, **changes: Any) -> list[Code]:
    return [each.code for each in judge_appraisal(appraisal, rules(**changes))]


def of(version: int = 4, machine: dict[str, Any] | None = None, **td: Any) -> Appraisal:
    maker = platform().sibling(NOW, UnsafeSimulatedMachine(**machine)) if machine else None
    return good(Provider(td=UnsafeSimulatedTd(**td), version=version, maker=maker))


def judged(tcb: dict[str, Any], /, **changes: Any) -> list[Code]:
    return codes(good(collateral=[platform().collateral(NOW, **tcb)]), **changes)


def test_what_satisfies_a_strict_policy() -> None:
    found = registers(of().quote.report)
    reference = {"name": "td", **{name: [value] for name, value in found.items()}}
    strict: dict[str, Any] = {
        "reference": [reference],
        "platform": {"ppids": [b"ATLAS-SIMULATED!".hex()], "features": []},
        "td": {"xfam": ["e702060000000000"]},
        "eventLog": {"required": True},
        "tcb": {"minEvaluation": 18, "advisories": [], "minDate": f"{NOW - dt.timedelta(days=2):%FT%TZ}"},
    }
    assert codes(of(), **strict) == []


def test_simulated_evidence_counts_only_where_both_is_said() -> None:
    for change, code in (
        ({"allowSimulated": False}, Code.EVIDENCE_SIMULATED),
        ({"roots": ["intel"]}, Code.EVIDENCE_ROOT_NOT_ALLOWED),
        ({"roots": []}, Code.EVIDENCE_ROOT_NOT_ALLOWED),
        ({"roots": ["intel"], "allowSimulated": False}, Code.EVIDENCE_SIMULATED),
    ):
        assert codes(good(), **change) == [code]
    assert [each.code for each in judge_appraisal(good(), EvidenceRules())] == [Code.EVIDENCE_SIMULATED]


ALL = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
]


@pytest.mark.parametrize("status", ALL)
@pytest.mark.parametrize("allowed", [True, False])
def test_status(status: str, allowed: bool) -> None:
    statuses = [status] if allowed else [each for each in ALL if each != status]
    expected = [] if allowed else [Code.TCB_STATUS_NOT_ALLOWED]
    assert judged({"status": status}, tcb={"statuses": statuses}) == expected


@pytest.mark.parametrize("status", ["OutOfDate", "OutOfDateConfigurationNeeded"])
def test_grace(status: str) -> None:
    tcb = {"status": status, "level_date": NOW - dt.timedelta(days=10)}
    allowed = ["UpToDate", "ConfigurationNeeded"]
    assert judged(tcb, tcb={"statuses": allowed, "grace": "11d"}) == []
    assert judged(tcb, tcb={"statuses": allowed, "grace": "9d"}) == [Code.TCB_STATUS_NOT_ALLOWED]


@pytest.mark.parametrize("status", ["ConfigurationNeeded", "OutOfDate", "OutOfDateConfigurationNeeded"])
def test_enclaves_status(status: str) -> None:
    anything = {"statuses": ALL}
    assert judged({"qe_status": status}, tcb=anything) == [Code.QE_STATUS_NOT_ALLOWED]
    assert judged({"qe_status": status}, tcb=anything | {"qeStatuses": [status]}) == []


def test_advisories() -> None:
    tcb = {"status": "SWHardeningNeeded", "advisories": ("INTEL-SA-1", "INTEL-SA-2")}
    status = {"statuses": ["SWHardeningNeeded"]}
    assert judged(tcb, tcb=status) == []
    assert judged(tcb, tcb=status | {"advisories": ["INTEL-SA-1", "INTEL-SA-2"]}) == []
    assert judged(tcb, tcb=status | {"advisories": ["INTEL-SA-1"]}) == [Code.TCB_ADVISORY_NOT_ALLOWED]
    assert judged(tcb, tcb=status | {"deniedAdvisories": ["INTEL-SA-2"]}) == [Code.TCB_ADVISORY_NOT_ALLOWED]


def test_age_of_the_judgement() -> None:
    assert judged({"evaluation": 17}, tcb={"minEvaluation": 18}) == [Code.TCB_TOO_OLD]
    assert judged({"qe_evaluation": 17}, tcb={"minEvaluation": 18}) == [Code.TCB_TOO_OLD]
    old = {"level_date": NOW - dt.timedelta(days=400)}
    assert judged(old, tcb={"minDate": f"{NOW - dt.timedelta(days=399):%FT%TZ}"}) == [Code.TCB_TOO_OLD]


def test_machines() -> None:
    found = of(machine={"ppid": b"another machine!"})
    assert codes(found, platform={"ppids": [b"ATLAS-SIMULATED!".hex()]}) == [Code.PLATFORM_NOT_ALLOWED]
    assert codes(found, platform={"ppids": []}) == [Code.PLATFORM_NOT_ALLOWED]
    assert codes(found, platform={"ppids": [b"another machine!".hex()]}) == []


@pytest.mark.parametrize(
    ("feature", "word"), [("dynamic_platform", "dynamicPlatform"), ("cached_keys", "cachedKeys"), ("smt", "smt")]
)
def test_features(feature: str, word: str) -> None:
    found = of(machine={feature: True})
    assert codes(found) == []
    others = [each for each in ("dynamicPlatform", "cachedKeys", "smt") if each != word]
    assert codes(found, platform={"features": others}) == [Code.PLATFORM_FEATURE_NOT_ALLOWED]


@pytest.mark.parametrize("attribute", ["pks", "perfmon"])
def test_attributes_by_consent(attribute: str) -> None:
    has: dict[str, Any] = {attribute: True}
    assert codes(of(**has)) == [Code.TD_ATTRIBUTE_NOT_ALLOWED]
    assert codes(of(**has), td=has) == []


def test_xfam() -> None:
    assert codes(of(xfam=bytes(8)), td={"xfam": ["e702060000000000"]}) == [Code.TD_XFAM_NOT_ALLOWED]
    assert codes(of(xfam=bytes(8)), td={"xfam": ["00" * 8]}) == []


MEASURED: list[tuple[str, Code]] = [
    ("mrtd", Code.MRTD_NOT_ALLOWED),
    ("mrseam", Code.MRSEAM_NOT_ALLOWED),
    ("rtmr0", Code.RTMR0_NOT_ALLOWED),
    ("rtmr1", Code.RTMR1_NOT_ALLOWED),
    ("rtmr2", Code.RTMR2_NOT_ALLOWED),
    ("rtmr3", Code.RTMR3_NOT_ALLOWED),
    ("mrconfigid", Code.MRCONFIGID_NOT_ALLOWED),
    ("mrowner", Code.MROWNER_NOT_ALLOWED),
    ("mrownerconfig", Code.MROWNER_NOT_ALLOWED),
]


@pytest.mark.parametrize(("register", "code"), MEASURED)
@pytest.mark.parametrize("version", [4, 5])
def test_reference_values(register: str, code: Code, version: int) -> None:
    found = registers(of(version).quote.report)
    good_one = {"name": "good", **{name: [value] for name, value in found.items()}}
    assert codes(of(version), reference=[good_one]) == []
    other = good_one | {register: ["ab" * 48]}
    assert codes(of(version), reference=[other]) == [code]
    assert codes(of(version), reference=[other, good_one]) == [], "one that fits is enough"
    assert codes(of(version), reference=[other | {register: ["ab" * 48, found[register]]}]) == []
    worse = other | {"mrtd": ["cd" * 48], "mrseam": ["cd" * 48]}
    assert codes(of(version), reference=[worse, other]) == [code], "the nearest one says what is wrong"
    assert codes(of(version), reference=[good_one | {register: []}]) == [code], "an empty list allows nothing"


def test_required_events() -> None:
    td = UnsafeSimulatedTd().extended(agent_event("kubernetes.io", "pull", "image"))
    wanted = {"domain": "kubernetes.io", "operation": "pull", "content": "image"}
    assert codes(good(Provider(td=td)), eventLog={"events": [wanted]}) == []
    other = wanted | {"content": "other"}
    assert codes(good(Provider(td=td)), eventLog={"events": [wanted, other]}) == [Code.EVENT_REQUIRED]
    assert codes(good(Provider(td=td, event_log=False)), eventLog={"events": [wanted]}) == [Code.EVENT_LOG_MISSING]
    assert codes(good(Provider(event_log=False)), eventLog={"required": True}) == [Code.EVENT_LOG_MISSING]
    assert codes(good(Provider(event_log=False))) == []


def test_several_things_are_wrong_at_once() -> None:
    found = of(pks=True, machine={"smt": True})
    assert codes(found, platform={"features": []}, allowSimulated=False) == [
        Code.EVIDENCE_SIMULATED,
        Code.PLATFORM_FEATURE_NOT_ALLOWED,
        Code.TD_ATTRIBUTE_NOT_ALLOWED,
    ]


def test_resigned_collateral_is_what_it_says() -> None:
    """The helper of other tests: what it changes is really signed."""
    known = resigned(platform().collateral(NOW), "tcb_info", tcbEvaluationDataNumber=40)
    assert good(collateral=[known]).verified.platform.evaluation == 18
