"""What the simulated platform makes is accepted by the verifying library as it is, and each parameter matters to it."""

import base64
import dataclasses
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import dcap_qvl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.errors import InputError, StateError
from atlas.evidence.simulator import pki
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.platform import USER_DATA, UnsafeSimulatedPlatform
from atlas.evidence.simulator.tcb import UnsafeSimulatedTcb
from atlas.evidence.simulator.td import UnsafeSimulatedEvent, UnsafeSimulatedTd, agent_event, tcb_svn
from atlas.evidence.tdx.aael import Measured, measured_events
from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.replay import check_replay
from unit.evidence.evidence_support import NOW, platform, stranger

DATA = bytes(range(64))
DAY = dt.timedelta(days=1)
RELAUNCH = UnsafeSimulatedTd(tee_tcb_svn=tcb_svn(module=4), tee_tcb_svn_2=tcb_svn(module=6))


def served(collateral: Collateral) -> "dcap_qvl.QuoteCollateralV3":
    """As it came, with all certificates."""
    return dcap_qvl.QuoteCollateralV3.from_json(collateral.raw.decode())


def claims(
    raw: bytes, collateral: Collateral, at: dt.datetime = NOW, of: UnsafeSimulatedPlatform | None = None
) -> dict[str, Any]:
    """What the library says under the simulator's root; whatever Atlas itself reads, it must be able to read."""
    assert parse_quote(raw).raw == raw
    assert parse_collateral(collateral.raw) == collateral
    seconds = int(at.timestamp())
    root = (of or platform()).root.public_bytes(serialization.Encoding.DER)
    made = dcap_qvl.QuoteVerifier(root).verify_with_policy(
        raw, served(collateral), seconds, dcap_qvl.QuotePolicy.claims_only(seconds)
    )
    found: dict[str, Any] = json.loads(made.to_json())
    return found


def asked(td: UnsafeSimulatedTd | None = None, version: int = 4, **tcb: Any) -> dict[str, Any]:
    return claims(platform().quote(DATA, td or UnsafeSimulatedTd(), version), platform().collateral(NOW, **tcb))


def refused(td: UnsafeSimulatedTd | None = None, version: int = 4, at: dt.datetime = NOW, **tcb: Any) -> str:
    raw = platform().quote(DATA, td or UnsafeSimulatedTd(), version)
    with pytest.raises(ValueError, match="Verification failed") as caught:
        claims(raw, platform().collateral(NOW, **tcb), at)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ accepted as it is


@pytest.mark.parametrize("version", [4, 5])
def test_the_library_accepts_it_as_it_is(version: int) -> None:
    raw = platform().quote(DATA, version=version)
    found, quote = claims(raw, platform().collateral(NOW)), parse_quote(raw)

    assert found["tcb"] == {"status": "UpToDate", "advisory_ids": [], "eval_data_number": 18}
    assert bytes(found["platform"]["pck"]["ppid"]) == b"ATLAS-SIMULATED!"
    assert bytes(found["platform"]["pck"]["fmspc"]).hex() == "a71a55000000"
    assert (quote.version, quote.report.report_data) == (version, DATA)
    assert quote.user_data == USER_DATA == b"ATLAS-SIMULATED\0\0\0\0\0"


def test_the_strictest_policy_accepts_it() -> None:
    seconds = int(NOW.timestamp())
    verifier = dcap_qvl.QuoteVerifier(platform().root.public_bytes(serialization.Encoding.DER))

    verifier.verify_with_policy(
        platform().quote(DATA), served(platform().collateral(NOW)), seconds, dcap_qvl.QuotePolicy.strict(seconds)
    )


@pytest.mark.parametrize("version", [4, 5])
def test_no_other_root_does(version: int) -> None:
    raw, collateral = platform().quote(DATA, version=version), platform().collateral(NOW)

    with pytest.raises(ValueError, match="Verification failed"):
        claims(raw, collateral, of=stranger())
    with pytest.raises(ValueError, match="Verification failed"):  # under Intel's
        dcap_qvl.verify(raw, served(collateral), int(NOW.timestamp()))


def test_all_names_say_what_it_is() -> None:
    made = platform()
    names = [
        each.certificate.subject.rfc4514_string() for each in (made.root_ca, made.authority, made.pck, made.signer)
    ]

    assert [each for each in names if "Atlas SIMULATED" not in each] == []
    assert "CN=Atlas SIMULATED PCK Platform CA" in names[1]
    assert "CN=Atlas SIMULATED TCB Signing" in names[3]
    assert made.collateral(NOW).platform == ("a71a55000000", "platform")


def test_the_same_asked_twice_is_the_same() -> None:
    assert platform().quote(DATA) == platform().quote(DATA)
    assert platform().collateral(NOW).raw == platform().collateral(NOW + dt.timedelta(microseconds=5)).raw
    assert platform().collateral(NOW).raw != platform().collateral(NOW + DAY).raw


# ------------------------------------------------------------------------------------------------ the manufacturer


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    "status",
    [
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
    ],
)
def test_status_and_advisories(status: str, version: int) -> None:
    found = asked(version=version, status=status, advisories=("ATLAS-SA-1", "ATLAS-SA-2"))["tcb"]

    assert (found["status"], found["advisory_ids"]) == (status, ["ATLAS-SA-1", "ATLAS-SA-2"])


@pytest.mark.parametrize(
    ("tcb", "status"),
    [
        ({}, "TDRelaunchAdvised"),
        ({"status": "ConfigurationNeeded"}, "TDRelaunchAdvisedConfigurationNeeded"),
        ({"module_levels": ((7, "UpToDate"), (3, "OutOfDate"))}, "OutOfDate"),  # now, too
    ],
)
def test_a_relaunch_is_advised(tcb: dict[str, Any], status: str) -> None:
    assert asked(RELAUNCH, 5, **tcb)["tcb"]["status"] == status


@pytest.mark.parametrize(
    ("tcb", "words"),
    [
        ({"status": "Revoked"}, "status is invalid: Revoked"),
        ({"qe_status": "Revoked"}, "status is invalid: Revoked"),
        ({"module_levels": ((5, "Revoked"),)}, "status is invalid: Revoked"),
        ({"module_levels": ((7, "UpToDate"),)}, "TDX module TCB level"),
        ({"module_signer": b"\1" * 48}, "TDX module identity"),
        ({"module_attributes": b"\1" + bytes(7)}, "TDX module identity"),
        ({"qe_svn": 5}, "ISVSVN"),
        ({"qe_signer": bytes(32)}, "QE MRSIGNER"),
        ({"pck_revoked": True}, "certificate chain"),
        ({"authority_revoked": True}, "certificate chain"),
        ({"signer_revoked": True}, "certificate chain"),
        ({"fmspc": bytes(6)}, "Fmspc mismatch"),
        ({"cpu_svn": bytes([4] * 16)}, "No matching TCB level"),
        ({"pce_svn": 14}, "No matching TCB level"),
    ],
    ids=str,
)
def test_what_the_manufacturer_can_say_against_it(tcb: dict[str, Any], words: str) -> None:
    assert words in refused(**tcb)


def test_the_quoting_enclave() -> None:
    found = asked(qe_status="OutOfDate", qe_advisories=("ATLAS-SA-3",))

    assert found["qe"]["tcb_level"]["tcbStatus"] == "OutOfDate"
    assert found["tcb"]["status"] == "OutOfDate"
    assert found["tcb"]["advisory_ids"] == ["ATLAS-SA-3"]


def test_numbers_and_dates() -> None:
    month = NOW - 30 * DAY
    found = asked(evaluation=21, qe_evaluation=20, pck_crl_number=7, root_crl_number=8, level_date=month)
    collateral = platform().collateral(NOW, evaluation=21, qe_evaluation=20, pck_crl_number=7, root_crl_number=8)

    assert (found["tcb"]["eval_data_number"], found["qe"]["tcb_eval_data_number"]) == (20, 20)
    assert asked(evaluation=19, qe_evaluation=20)["tcb"]["eval_data_number"] == 19
    assert (found["platform"]["pck_crl_num"], found["platform"]["root_ca_crl_num"]) == (7, 8)
    assert found["platform"]["tcb_date_tag"] == int(month.timestamp())
    assert tuple(vars(collateral.freshness).values()) == (21, 20, 7, 8)


def test_it_is_valid_for_the_days_it_says() -> None:
    collateral = platform().collateral(NOW, days=3)
    raw = platform().quote(DATA)

    assert (collateral.issued, collateral.expires) == (NOW - DAY, NOW + 2 * DAY)
    assert claims(raw, collateral, collateral.issued)
    assert claims(raw, collateral, collateral.expires - dt.timedelta(seconds=1))
    assert "expired" in refused(days=3, at=NOW + 3 * DAY).lower()
    assert "in the future" in refused(at=NOW - 2 * DAY)
    assert platform().collateral(NOW).expires == NOW + 29 * DAY


def test_what_it_says_may_be_given_whole_or_in_parts() -> None:
    tcb = UnsafeSimulatedTcb(status="OutOfDate")

    assert platform().collateral(NOW, tcb).raw == platform().collateral(NOW, status="OutOfDate").raw
    assert platform().collateral(NOW, tcb, evaluation=3).tcb["tcbEvaluationDataNumber"] == 3
    with pytest.raises(TypeError):
        platform().collateral(NOW, colour="red")


def test_pce_id_and_signer_are_what_the_library_does_not_look_at() -> None:
    made = platform()

    assert claims(made.quote(DATA), made.collateral(NOW, pce_id=b"\1\0"))["platform"]["pck"]["pce_id"] == [0, 0]
    assert made.collateral(NOW, pce_id=b"\1\0").pce_id == "0100"
    assert claims(made.quote(DATA), made.collateral(NOW, signer=made.pck))["tcb"]["status"] == "UpToDate"


# ------------------------------------------------------------------------------------------------ the machine


@pytest.mark.parametrize(
    ("field", "value", "claim", "seen"),
    [
        ("ppid", b"P" * 16, "ppid", [80] * 16),
        ("fmspc", b"F" * 6, "fmspc", [70] * 6),
        ("pce_id", b"\1\2", "pce_id", [1, 2]),
        ("cpu_svn", bytes(range(16)), "cpu_svn", list(range(16))),
        ("pce_svn", 300, "pce_svn", 300),
        ("instance", b"I" * 16, "platform_instance_id", [73] * 16),
        ("dynamic_platform", True, "dynamic_platform", "True"),
        ("cached_keys", True, "cached_keys", "True"),
        ("smt", True, "smt_enabled", "True"),
    ],
)
def test_the_machine(field: str, value: Any, claim: str, seen: Any) -> None:
    machine = UnsafeSimulatedMachine(**{field: value})
    found = {}
    for made in (platform().sibling(NOW, machine), UnsafeSimulatedPlatform.new(NOW, machine)):
        found[made.root] = claims(made.quote(DATA), made.collateral(NOW), of=made)["platform"]["pck"]
        assert found[made.root][claim] == seen
    assert asked()["platform"]["pck"][claim] != seen
    assert set(found) > {platform().root}


def test_every_field_of_the_machine_is_tried() -> None:
    tried = {each[0] for each in test_the_machine.pytestmark[0].args[1]}

    assert tried == {each.name for each in dataclasses.fields(UnsafeSimulatedMachine)}


# ------------------------------------------------------------------------------------------------ the trust domain


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    ("td", "words"),
    [
        ({"debug": True}, "Debug mode"),
        ({"migratable": True}, "migration"),
        ({"sept_ve_disable": False}, "SEPT_VE_DISABLE"),
        ({"other_attributes": 1 << 8}, "Reserved bits"),
        ({"tee_tcb_svn": tcb_svn(module=2)}, "TDX module TCB level"),
        ({"tee_tcb_svn": tcb_svn(version=2)}, "TDX module TCB level"),
        ({"tee_tcb_svn": tcb_svn(loader=2)}, "No matching TCB level"),
        ({"mr_signer_seam": b"\1" * 48}, "TDX module identity"),
        ({"seam_attributes": b"\1" + bytes(7)}, "TDX module identity"),
    ],
    ids=str,
)
def test_what_the_library_holds_against_a_trust_domain(td: dict[str, Any], words: str, version: int) -> None:
    assert words in refused(UnsafeSimulatedTd(**td), version)


def test_a_service_trust_domain() -> None:
    assert "MR service TD" in refused(UnsafeSimulatedTd(mr_service_td=b"\1" * 48), 5)


@pytest.mark.parametrize(
    "field", ["mr_seam", "mr_td", "mr_config_id", "mr_owner", "mr_owner_config", "xfam", "pks", "perfmon", "rtmrs"]
)
@pytest.mark.parametrize("version", [4, 5])
def test_what_is_said_of_a_trust_domain(field: str, version: int) -> None:
    values: dict[str, Any] = {
        "xfam": b"\7" * 8,
        "pks": True,
        "perfmon": True,
        "rtmrs": (b"0" * 48, b"1" * 48, b"2" * 48, b"3" * 48),
    }
    value = values.get(field, b"v" * 48)
    [body] = asked(UnsafeSimulatedTd(**{field: value}), version)["report"].values()
    body = body.get("base", body)

    if field == "rtmrs":
        assert [bytes.fromhex(body[f"rt_mr{number}"]) for number in range(4)] == list(value)
    elif field in ("pks", "perfmon"):
        attributes = int.from_bytes(bytes.fromhex(body["td_attributes"]), "little")
        assert attributes == 1 << 28 | {"pks": 1 << 30, "perfmon": 1 << 63}[field]
    else:
        assert bytes.fromhex(body[field]) == value


def test_a_module_that_is_out_of_date() -> None:
    assert asked(UnsafeSimulatedTd(tee_tcb_svn=tcb_svn(module=4)))["tcb"]["status"] == "OutOfDate"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: platform().quote(b"short"), "64 bytes, not 5"),
        (lambda: platform().quote(DATA, version=3), "no TDX quote of version 3"),
        (lambda: platform().quote(DATA, RELAUNCH, 4), "neither TEE_TCB_SVN2 nor"),
        (lambda: platform().quote(DATA, UnsafeSimulatedTd(mr_service_td=b"\1" * 48), 4), "nor MRSERVICETD"),
    ],
    ids=["data", "version", "relaunch", "service"],
)
def test_what_no_quote_can_say(ask: Callable[[], bytes], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ask()


def test_other_user_data_may_be_told() -> None:
    raw = platform().quote(DATA, user_data=b"INTEL".ljust(20, b"\0"))

    assert parse_quote(raw).user_data.startswith(b"INTEL")
    assert claims(raw, platform().collateral(NOW))


# ------------------------------------------------------------------------------------------------ the event log


def test_the_event_log_leads_to_the_registers() -> None:
    td = UnsafeSimulatedTd()
    for event in (UnsafeSimulatedEvent(1, b"module", 0xD), agent_event("example.org", "pull", '{"image": "a b"}')):
        td = td.extended(event)
    log, quote = parse_event_log(td.event_log), parse_quote(platform().quote(DATA, td))

    check_replay(log, quote.report.rtmrs)
    assert measured_events(log) == (Measured("example.org", "pull", '{"image": "a b"}'),)
    assert len(log.events) == 5
    assert any(UnsafeSimulatedTd().registers[0])
    assert UnsafeSimulatedTd().registers[3] == bytes(48)


def test_an_event_may_lie_about_its_data() -> None:
    td = UnsafeSimulatedTd(events=(UnsafeSimulatedEvent(2, b"said", sha384=b"m" * 48),))
    [event] = parse_event_log(td.event_log).events

    check_replay(parse_event_log(td.event_log), td.registers)
    assert (event.digest, event.data, event.data_measured) == (b"m" * 48, b"said", False)


# ------------------------------------------------------------------------------------------------ its state


def test_it_can_be_kept() -> None:
    machine = UnsafeSimulatedMachine(ppid=b"K" * 16, pce_svn=200, smt=True)
    made = UnsafeSimulatedPlatform.new(NOW, machine)
    kept = UnsafeSimulatedPlatform.load(made.dump())

    assert kept.dump() == made.dump()
    assert (kept.machine, kept.root) == (machine, made.root)
    assert kept.quote(DATA) == made.quote(DATA)
    assert kept.collateral(NOW).raw == made.collateral(NOW).raw
    assert claims(kept.quote(DATA), made.collateral(NOW), of=made)


def changed(**parts: Any) -> bytes:
    return json.dumps(json.loads(platform().dump()) | parts).encode()


def part(name: str, **changes: Any) -> bytes:
    return changed(**{name: json.loads(platform().dump())[name] | changes})


def other(name: str) -> Any:
    return json.loads(stranger().dump())[name]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        platform().dump()[:-20],
        changed(what="Intel TDX platform"),
        changed(more=1),
        changed(machine=[]),
        changed(machine={}),
        changed(root_ca=None),
        changed(root_ca=other("root_ca")),
        changed(authority=other("authority")),
        changed(pck=other("pck")),
        changed(signer=other("signer")),
        changed(authority=json.loads(platform().dump())["signer"] | {"key": pki.dump_key(pki.new_key())}),
        changed(attestation_key="no PEM"),
        changed(attestation_key=3),
        part("machine", ppid="zz"),
        part("machine", ppid=b"K".hex() * 16),
        part("machine", pce_svn="13"),
        part("machine", pce_svn=True),
        part("machine", smt=0),
        part("machine", colour="red"),
        part("pck", certificate="no PEM"),
        part("pck", certificate=json.loads(platform().dump())["signer"]["certificate"]),
        part("pck", key=pki.dump_key(pki.new_key())),
        part("signer", key=""),
    ],
)
def test_a_state_that_is_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(StateError, match="state of the simulated platform cannot be read") as caught:
        UnsafeSimulatedPlatform.load(raw)

    assert caught.value.mend


def test_a_key_of_another_curve_is_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()):
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with pytest.raises(StateError, match="P-256"):
            UnsafeSimulatedPlatform.load(changed(attestation_key=pem.decode()))


def test_the_extension_is_what_the_library_reads() -> None:
    pem = base64.encodebytes(platform().pck.certificate.public_bytes(serialization.Encoding.DER)).decode()
    read = dcap_qvl.parse_pck_extension_from_pem(
        f"-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\n".encode()
    )

    assert bytes(read.ppid) == platform().machine.ppid
    assert bytes(read.fmspc) == platform().machine.fmspc
