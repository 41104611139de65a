"""`atlas evidence` as a user meets it: real quotes offline, reference values, collateral, and the simulator."""

import base64
import datetime as dt
import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from atlas.artifact import measure
from atlas.evidence.providers.coco import CocoProvider
from atlas.evidence.simulator.agent import UnsafeSimulatedAgent
from atlas.evidence.simulator.machine import UnsafeSimulatedMachine
from atlas.evidence.simulator.td import UnsafeSimulatedTd, agent_event
from atlas.home import open_home
from atlas.manifest import sign_statement
from atlas.publish import TYPES
from atlas.statement import output_of
from integration.cli.cli_support import Here
from support import forge
from unit.evidence.evidence_support import NOW, platform, real_collateral, simulated_root
from unit.evidence.pccs_support import certify, pages, serving, tls_holder
from unit.evidence.test_verify import REAL


@pytest.fixture
def quote(bare: Here) -> Path:
    return bare.file("quote.bin", platform().quote(b"r" * 64))


@pytest.fixture
def collateral(bare: Here) -> Path:
    return bare.file("collateral.json", platform().collateral(NOW).raw)


@pytest.fixture
def trust(bare: Here) -> Path:
    root = simulated_root()
    spec = {"evidenceRoots": [{"name": root.name, "certificate": root.pem, "simulated": True}]}
    return bare.file("trust.yaml", json.dumps({"apiVersion": "atlas.dev/v1alpha1", "kind": "TrustRoot", "spec": spec}))


def policy(here: Here, **rules: object) -> Path:
    document = {
        "apiVersion": "atlas.dev/v1alpha1",
        "kind": "LineagePolicy",
        "metadata": {"name": "p"},
        "spec": {"evidence": {"required": True, "roots": ["simulated"], "allowSimulated": True, **rules}},
    }
    return here.file("policy.yaml", json.dumps(document))


@pytest.mark.parametrize(("quote", "collateral", "at", "expected"), REAL, ids=[each[0] for each in REAL])
def test_real_quotes(bare: Here, real_data: Path, quote: str, collateral: str, at: str, expected: object) -> None:
    """The table of the data's own page, by the command line."""
    known = bare.file("collateral.json", real_collateral(real_data, collateral).raw)
    answer = bare("evidence", "verify", real_data / "tdx" / quote, "--collateral", known, "--at", at, "--json")
    if isinstance(expected, tuple):
        status, advisories = expected
        found = answer.json
        assert (found["status"], tuple(found["advisories"]), found["root"]) == (status, advisories, "intel")
        good = status == "UpToDate"
        assert (found["verdict"], answer.code) == (("holds", 0) if good else ("does not hold", 1))
        assert [each["code"] for each in found["findings"]] == ([] if good else ["TcbStatusNotAllowed"])
    else:
        assert answer.code == 1
        assert answer.error["error"] == expected


def test_a_real_event_log(bare: Here, real_data: Path) -> None:
    google = real_data / "tdx" / "go-tdx-guest"
    known = bare.file("collateral.json", real_collateral(real_data, "1025").raw)
    given = ("evidence", "verify", google / "cos-113-tdx-quote.dat", "--collateral", known, "--at", "2025-10-25")
    assert bare(*given, "--event-log", google / "ccel_data.dat", "--json").expect(0).json["events"] == []
    raw = (google / "ccel_data.dat").read_bytes()
    place = raw.index(b"Spec ID") + 400
    edited = bare.file("log.bin", raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
    answer = bare(*given, "--event-log", edited, "--json")
    assert (answer.code, answer.error["error"]) == (1, "EventLogMismatch")


def test_event_logs_that_differ(bare: Here) -> None:
    td = UnsafeSimulatedTd()
    good = bare.file("good.bin", td.event_log)
    added = bare.file("added.bin", td.extended(agent_event("a", "b", "c")).event_log)
    assert bare("evidence", "diff", good, good).expect(0).out == "no difference\n"
    assert bare("evidence", "diff", good, added).expect(1).out == "event 3 (EV_EVENT_TAG, RTMR3) was added\n"
    found = bare("evidence", "diff", added, good, "--json").expect(1).json
    assert found == {"differences": ["event 3 (EV_EVENT_TAG, RTMR3) of the known-good log was dropped"]}
    cut = bare.file("cut.bin", td.event_log[:100])
    bare("evidence", "diff", good, cut).expect(1, "EventLogMalformed", "cut.bin")
    bare("evidence", "diff", good, bare.folder / "absent").expect(2, "absent")


def test_a_simulated_quote(bare: Here, quote: Path, collateral: Path, trust: Path) -> None:
    given = ("evidence", "verify", quote, "--collateral", collateral, "--trust", trust)
    answer = bare(*given, "--policy", policy(bare)).expect(0)
    assert answer.out.startswith("✓ quote.bin holds")
    assert "simulated" in answer.out
    refused = bare(*given)
    assert refused.code == 1
    assert "EvidenceSimulated" in refused.out
    assert "mend" in refused.out
    stranger = bare("evidence", "verify", quote, "--collateral", collateral, "--json")
    assert (stranger.code, stranger.error["error"]) == (1, "QuoteCertificateInvalid")


def test_report_data(bare: Here, quote: Path, collateral: Path, trust: Path) -> None:
    given = ("evidence", "verify", quote, "--collateral", collateral, "--trust", trust, "--policy", policy(bare))
    bare(*given, "--report-data", (b"r" * 64).hex()).expect(0)
    other = bare(*given, "--report-data", (b"s" * 64).hex(), "--json")
    assert (other.code, other.error["error"]) == (1, "EvidenceNotBound")
    for nonsense in ("", "zz", "00"):
        bare(*given, "--report-data", nonsense).refused("not 64 bytes in hex")


def test_show(bare: Here, quote: Path) -> None:
    facts = bare("evidence", "show", quote, "--json").expect(0).json
    assert (facts["version"], facts["fmspc"], facts["authority"]) == (4, "a71a55000000", "platform")
    assert facts["report_data"] == (b"r" * 64).hex()
    assert facts["identity"].startswith("sha256:")
    assert facts["mrtd"] in bare("evidence", "show", quote).expect(0).out


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "QuoteMalformed"), (b"x" * 100, "QuoteNotTdx"), (b"\0" * 5000, "QuoteNotTdx")]
)
def test_what_is_no_quote(bare: Here, content: bytes, code: str) -> None:
    answer = bare("evidence", "show", bare.file("quote.bin", content), "--json")
    assert answer.code == 1
    assert answer.error["error"] == code
    bare("evidence", "show", bare.folder / "none").expect(2, "none")


# ------------------------------------------------------------------------------------------------ reference values

INITDATA = 'algorithm = "sha384"\nversion = "0.1.0"\n\n[data]\n"policy.rego" = "package agent_policy"\n'


def test_reference_values_from_a_quote(bare: Here, quote: Path, collateral: Path, trust: Path) -> None:
    written = bare("evidence", "reference", "--quote", quote, "--name", "train").expect(0).out
    reference = bare.file("reference.yaml", written)
    [value] = yaml.safe_load(written)["spec"]["values"]
    assert set(value) == {"name", "mrtd", "rtmr1", "rtmr2", "mrconfigid", "mrowner", "mrownerconfig"}
    given = ("evidence", "verify", "--collateral", collateral, "--trust", trust, "--policy", policy(bare))
    bare(*given, quote, "--reference", reference).expect(0)
    other = bare.file("other.bin", platform().quote(b"r" * 64, UnsafeSimulatedTd(mr_td=b"\1" * 48)))
    answer = bare(*given, other, "--reference", reference, "--json")
    assert (answer.code, [each["code"] for each in answer.json["findings"]]) == (1, ["MrtdNotAllowed"])
    both = bare("evidence", "reference", "--quote", quote, "--quote", other).expect(0).out
    bare(*given, other, "--reference", bare.file("both.yaml", both)).expect(0)


@pytest.mark.parametrize("form", ["toml", "annotation"])
def test_reference_values_from_initdata(bare: Here, form: str) -> None:
    raw = INITDATA.encode() if form == "toml" else base64.b64encode(gzip.compress(INITDATA.encode(), mtime=0))
    written = bare("evidence", "reference", "--initdata", bare.file("initdata", raw)).expect(0).out
    [value] = yaml.safe_load(written)["spec"]["values"]
    assert value == {"name": "confidential-pod", "mrconfigid": [hashlib.sha384(INITDATA.encode()).hexdigest()]}


def test_a_quote_that_was_made_with_other_initdata(bare: Here, quote: Path) -> None:
    initdata = bare.file("initdata.toml", INITDATA)
    bare("evidence", "reference", "--quote", quote, "--initdata", initdata).expect(2, "made with other initdata")
    fitting = UnsafeSimulatedTd(mr_config_id=hashlib.sha384(INITDATA.encode()).digest())
    quoted = bare.file("fitting.bin", platform().quote(b"r" * 64, fitting))
    bare("evidence", "reference", "--quote", quoted, "--initdata", initdata).expect(0)


def test_reference_values_of_nothing(bare: Here, quote: Path) -> None:
    bare("evidence", "reference").refused("nothing to take reference values from")
    bare("evidence", "reference", "--quote", quote, "--register", "pcr0").refused("pcr0")


def test_reference_values_must_be_signed(atlas: Here, quote: Path) -> None:
    written = atlas("evidence", "reference", "--quote", quote).expect(0).out
    reference = atlas.file("reference.yaml", written)
    data = atlas.signed()
    atlas("verify", data, "--reference", reference).refused("not signed as reference values")
    atlas("sign", reference, "--type", "dataset").expect(0)
    atlas("verify", data, "--reference", reference).refused("signed as something else")
    atlas.file("more.yaml", written.replace("confidential-pod", "other"))
    atlas("sign", atlas.folder / "more.yaml", "--type", "reference").expect(0)
    plain = atlas("verify", data, "--json").expect(0).json
    merged = atlas("verify", data, "--reference", "more.yaml", "--json").expect(0).json
    assert merged["policy"] != plain["policy"], "a verdict names the policy that it really is by"
    atlas.file("more.yaml", written)
    atlas("verify", data, "--reference", "more.yaml").refused("not signed as reference values")


def test_reference_values_that_a_step_made(atlas: Here, quote: Path) -> None:
    """Who may run a step may not say what counts as a good one."""
    reference = atlas.file("reference.yaml", atlas("evidence", "reference", "--quote", quote).expect(0).out)
    home, measured = open_home(atlas.home), measure(reference)
    made = output_of(measured, "reference", uri=str(reference), schema=TYPES["reference"])
    pinned = forge.source(b"data", pinned=True, link=None)
    for inputs in ((), (pinned,)):
        stated = forge.statement(outputs=(made,), inputs=inputs)
        [sidecar] = sign_statement(stated, home.issuer(), dt.datetime.now(dt.UTC))
        home.deposit({sidecar.name: sidecar.raw})
        atlas("verify", atlas.signed(), "--reference", reference).refused("not signed as reference values")


def test_reference_values_of_a_publisher_whom_the_policy_does_not_list(atlas: Here, quote: Path) -> None:
    reference = atlas.file("reference.yaml", atlas("evidence", "reference", "--quote", quote).expect(0).out)
    atlas("sign", reference, "--type", "reference").expect(0)
    rules = {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": "p"}}
    listed = atlas.file("policy.yaml", json.dumps({**rules, "spec": {"origins": {"publishers": []}}}))
    answer = atlas("verify", reference, "--policy", listed, "--reference", reference)
    answer.refused("OriginNotAllowed")


def test_reference_values_require_evidence(atlas: Here, quote: Path) -> None:
    """Who gives reference values does not want steps without evidence to pass them by."""
    reference = atlas.file("reference.yaml", atlas("evidence", "reference", "--quote", quote).expect(0).out)
    atlas("sign", reference, "--type", "reference").expect(0)
    home = open_home(atlas.home)
    made = output_of(measure(atlas.file("model.bin")), "model", uri=str(atlas.folder / "model.bin"))
    [sidecar] = sign_statement(forge.statement(outputs=(made,), inputs=()), home.issuer(), dt.datetime.now(dt.UTC))
    home.deposit({sidecar.name: sidecar.raw})
    atlas("verify", "model.bin").expect(0)
    answer = atlas("verify", "model.bin", "--reference", reference, "--json").expect(1)
    assert [each["code"] for each in answer.json["findings"]] == ["EvidenceRequired"]


def test_what_is_signed_as_reference_values_must_be_some(atlas: Here) -> None:
    atlas("sign", atlas.file("policy.yaml", "kind: LineagePolicy\n"), "--type", "reference").expect(2, "policy.yaml")


def test_reference_values_with_a_mistake(atlas: Here) -> None:
    data = atlas.signed()
    path = atlas.file("reference.yaml", "apiVersion: atlas.dev/v1alpha1\nkind: ReferenceValues\nmetadata: {name: x}\n")
    atlas("verify", data, "--reference", path).expect(2, "reference.yaml", "spec")
    atlas.file("reference.yaml", path.read_text() + "spec:\n  values:\n  - name: x\n    mrtd: [abc]\n")
    atlas("verify", data, "--reference", path).expect(2, "reference.yaml:7", "96 lower-case hex digits")


# ------------------------------------------------------------------------------------------------ collateral


def test_import(atlas: Here, real_data: Path) -> None:
    known = real_collateral(real_data, "tdx_quote")
    path = atlas.file("collateral.json", known.raw)
    kept = atlas("evidence", "import", path, "--at", "2025-06-20", "--json").expect(0).json
    assert (kept["fmspc"], kept["evaluation"], kept["new"]) == ("b0c06f000000", 17, True)
    assert atlas("evidence", "import", path, "--at", "2025-06-20", "--json").expect(0).json["new"] is False
    late = atlas("evidence", "import", path, "--json")
    assert (late.code, late.error["error"]) == (1, "CollateralExpired")
    edited = replace(known, tcb_info=known.tcb_info.replace("OutOfDate", "UpToDate"))
    forged = atlas("evidence", "import", atlas.file("forged.json", edited.raw), "--at", "2025-06-20", "--json")
    assert (forged.code, forged.error["error"]) == (1, "CollateralSignatureInvalid")
    simulated = atlas("evidence", "import", atlas.file("sim.json", platform().collateral(NOW).raw), "--json")
    assert simulated.code == 1, "the simulator's word is no collateral of Intel"


def test_old_collateral_does_not_undo_what_is_known(atlas: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """Collateral of then is for evidence of then; what is as new as what is known must not be older in anything."""
    monkeypatch.setattr("atlas.cli.evidence_collateral.intel_root", simulated_root)

    def give(name: str, **numbers: Any) -> Path:
        return atlas.file(f"{name}.json", platform().collateral(NOW, **numbers).raw)

    atlas("evidence", "import", give("known", pck_crl_number=9)).expect(0)
    composed = give("composed", evaluation=19, pck_crl_number=1)
    for at in ([], ["--at", NOW.isoformat()]):
        answer = atlas("evidence", "import", composed, *at, "--json")
        assert (answer.code, answer.error["error"]) == (1, "CollateralRolledBack")
    old = atlas.file("old.json", platform().collateral(NOW - dt.timedelta(days=20)).raw)
    atlas("evidence", "import", old, "--at", (NOW - dt.timedelta(days=15)).isoformat()).expect(0)


def test_export(atlas: Here) -> None:
    data = atlas.signed()
    atlas("evidence", "export", data, "--into", "shown").refused("has no evidence")
    atlas("evidence", "export", atlas.file("other", "x"), "--into", "shown").refused("no manifest vouches")
    assert not (atlas.folder / "shown").exists()


def test_fetch(atlas: Here) -> None:
    atlas.signed()
    nothing = atlas("evidence", "fetch", "--json").expect(0).json
    assert nothing == {"fetched": [], "fresh": [], "failed": [], "simulated": False}
    assert "nothing to fetch" in atlas("evidence", "fetch").expect(0).out
    atlas("evidence", "simulate").expect(0)
    assert atlas("evidence", "fetch", "--json").expect(0).json == {
        "fetched": [],
        "fresh": [],
        "failed": [],
        "simulated": True,
    }
    assert atlas("evidence", "fetch", "--json").expect(0).json == {
        "fetched": [],
        "fresh": [],
        "failed": [],
        "simulated": False,
    }


def test_fetch_over_tls(atlas: Here, quote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a real server; the simulator's root stands for Intel's, whose collateral of today no test can have."""
    monkeypatch.setattr("atlas.cli.evidence_collateral.intel_root", simulated_root)
    authority = certify("authority of TLS", ca=True)
    ca_file = atlas.file("ca.pem", authority.pem)
    fmspc = platform().machine.fmspc.hex()
    with serving(pages(platform().collateral(NOW)), tls_holder(authority, "127.0.0.1"), tmp_path) as server:
        given = ("evidence", "fetch", "--quote", quote, "--from", server.url, "--ca", ca_file)
        answer = atlas(*given, "--json").expect(0).json
        assert [each["fmspc"] for each in answer["fetched"]] == [fmspc]
        asked = len(server.asked)
        assert [each["fmspc"] for each in atlas(*given, "--json").expect(0).json["fresh"]] == [fmspc]
        assert len(server.asked) == asked, "what is fresh is not asked for"
        assert f"{fmspc} platform: fresh" in atlas(*given).expect(0).out
        assert f"{fmspc} platform: fetched" in atlas(*given, "--force").expect(0).out
        server.pages = pages(platform().collateral(NOW, evaluation=17))
        rolled_back = atlas(*given, "--force", "--json").expect(1).json
        assert [each["error"] for each in rolled_back["failed"]] == ["CollateralRolledBack"]


def test_one_platform_that_there_is_none_of_keeps_no_other_waiting(
    atlas: Here, quote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the archive has evidence of is not verified: a forged quote names what it likes."""
    monkeypatch.setattr("atlas.cli.evidence_collateral.intel_root", simulated_root)
    authority = certify("authority of TLS", ca=True)
    ca_file = atlas.file("ca.pem", authority.pem)
    bogus = platform().sibling(NOW, UnsafeSimulatedMachine(fmspc=bytes(6))).quote(b"r" * 64)
    given = ("evidence", "fetch", "--quote", quote, "--quote", atlas.file("bogus.bin", bogus), "--ca", ca_file)
    with serving(pages(platform().collateral(NOW)), tls_holder(authority, "127.0.0.1"), tmp_path) as server:
        answer = atlas(*given, "--from", server.url, "--json").expect(1).json
    assert [each["fmspc"] for each in answer["fetched"]] == [platform().machine.fmspc.hex()]
    assert [each["platform"] for each in answer["failed"]] == ["000000000000 platform"]


def test_fetch_from_a_service_that_is_not_there(atlas: Here, quote: Path) -> None:
    atlas("evidence", "fetch", "--quote", quote, "--from", "http://localhost:1").refused("https")
    answer = atlas("evidence", "fetch", "--quote", quote, "--from", "https://localhost:1").expect(1)
    for words in ("FetchError", "localhost:1", "mend:"):
        assert words in answer.out


def test_simulate(atlas: Here) -> None:
    said = atlas("evidence", "simulate", "--json").expect(0).json
    assert (said["root"], said["new"]) == ("simulated", True)
    assert atlas("evidence", "simulate", "--json").expect(0).json["new"] is False
    assert "proves nothing" in atlas("evidence", "simulate").expect(0).out


def test_time_is_what_it_says(bare: Here, quote: Path, trust: Path) -> None:
    known = bare.file("old.json", platform().collateral(NOW - dt.timedelta(days=60)).raw)
    given = ("evidence", "verify", quote, "--collateral", known, "--trust", trust, "--policy", policy(bare), "--json")
    assert bare(*given).error["error"] == "CollateralExpired"
    bare(*given, "--at", (NOW - dt.timedelta(days=50)).isoformat()).expect(0)
    assert bare(*given, "--at", "yesterday").code == 2


def test_a_policy_asks_for_an_event_that_was_recorded(bare: Here, collateral: Path, trust: Path) -> None:
    with UnsafeSimulatedAgent(platform()) as agent:
        told = bare("evidence", "record", "example.org", "start", "train 1", "--agent", agent.url).expect(0)
        given = CocoProvider(agent.url).attest(b"r" * 64)
    assert told.out == "measured example.org start\n"
    assert given.event_log
    quote, log = bare.file("pod.bin", given.quote), bare.file("pod.log", given.event_log)

    def judged(content: str) -> list[str]:
        event = {"domain": "example.org", "operation": "start", "content": content}
        rules = policy(bare, eventLog={"required": True, "events": [event]})
        known = ["--collateral", collateral, "--trust", trust, "--at", f"{NOW:%FT%TZ}", "--event-log", log]
        answer = bare("evidence", "verify", quote, *known, "--policy", rules, "--json")
        return [each["code"] for each in json.loads(answer.out)["findings"]]

    assert judged("train 1") == []
    assert judged("train 2") == ["EventRequired"]


def test_an_event_is_recorded_by_the_agent_of_the_same_pod_alone(bare: Here) -> None:
    event = ("evidence", "record", "example.org", "start", "train")
    assert "not where an agent of the same pod listens" in bare(*event, "--agent", "http://192.0.2.1").expect(2).err
    assert "cannot be reached" in bare(*event, "--agent", "http://127.0.0.1:9").expect(2).err
