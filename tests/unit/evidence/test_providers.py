"""Providers of evidence: what they ask, what they refuse to hand on, what they leave behind. None replaces another."""

import base64
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import AtlasError, EvidenceError, InputError, StateError
from atlas.evidence.nvidia import gpu_nonce, parse_report
from atlas.evidence.providers import PROVIDERS, Attestation, Provider
from atlas.evidence.providers.coco import CocoProvider
from atlas.evidence.providers.simulated import UnsafeSimulatedProvider
from atlas.evidence.providers.tdx import TdxProvider, read_rtmrs
from atlas.evidence.simulator.agent import UnsafeSimulatedAgent, UnsafeSimulatedAgentFault
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.platform import USER_DATA
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.simulator.tsm import UnsafeSimulatedTsm, UnsafeSimulatedTsmFault
from atlas.evidence.tdx.aael import Measured, measured_events
from atlas.evidence.tdx.eventlog import parse_event_log
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.replay import check_replay
from unit.evidence.evidence_support import platform

DIGEST = hashlib.sha384(b"one step").digest()
DATA = base64.urlsafe_b64encode(DIGEST)
RAW = bytes(range(64))
"""Report data that are no text."""
Tsm, Agent = UnsafeSimulatedTsmFault, UnsafeSimulatedAgentFault
TD = UnsafeSimulatedTd(mr_config_id=b"c" * 48)


def why(provider: Provider, report_data: bytes = DATA) -> str:
    """What the provider says that it could not do; always with something to do about it."""
    with pytest.raises(EvidenceError) as caught:
        provider.attest(report_data)
    assert isinstance(caught.value, StateError)
    assert caught.value.mend
    return str(caught.value)


def holds(given: Attestation, report_data: bytes, td: UnsafeSimulatedTd = TD) -> None:
    quote = parse_quote(given.quote)
    assert quote.report.report_data == report_data
    assert quote.report.mr_config_id == td.mr_config_id
    assert quote.user_data == USER_DATA
    assert given.event_log is not None
    check_replay(parse_event_log(given.event_log), quote.report.rtmrs)


# ------------------------------------------------------------------------------------------------ all of them


def test_their_names(tmp_path: Path) -> None:
    made: list[Provider] = [UnsafeSimulatedProvider(platform()), TdxProvider(tmp_path), CocoProvider()]

    assert ("none", *(each.name for each in made)) == PROVIDERS


@pytest.mark.parametrize("length", [0, 48, 63, 65])
def test_report_data_are_64_bytes(length: int, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    with UnsafeSimulatedAgent(platform()) as agent:
        for each in (UnsafeSimulatedProvider(platform()), tsm.provider(), CocoProvider(agent.url)):
            with pytest.raises(InputError, match=f"64 bytes, not {length}"):
                each.attest(b"a" * length)
    assert list(tsm.reports.iterdir()) == []


LIGHT = """
import sys
from atlas.evidence.providers import tdx, coco, simulated
print([each for each in {names!r} if each in sys.modules])
"""


def test_they_are_light_enough_for_a_step() -> None:
    names = ["pydantic", "sqlalchemy", "yaml", "dcap_qvl", "urllib3", "requests", "kfp", "rich", "click", "c2pa"]
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(names=names)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert done.stdout.strip() == "[]"


def test_none_falls_back_to_another(tmp_path: Path) -> None:
    """Everything that another provider would need is there, and each still fails by itself."""
    with UnsafeSimulatedAgent(platform()) as agent, UnsafeSimulatedAgent(platform(), status=404) as disabled:
        tsm = UnsafeSimulatedTsm(tmp_path, platform())
        assert tsm.provider().attest(DATA).quote == CocoProvider(agent.url).attest(DATA).quote

        assert "no quote can be asked for here" in why(TdxProvider(tmp_path / "absent", tsm.event_log))
        assert "does not give evidence" in why(CocoProvider(disabled.url))
    assert "cannot be reached" in why(CocoProvider(agent.url))


# ------------------------------------------------------------------------------------------------ simulated


def test_simulated() -> None:
    holds(UnsafeSimulatedProvider(platform(), TD).attest(RAW), RAW)
    holds(UnsafeSimulatedProvider(platform()).attest(DATA), DATA, UnsafeSimulatedTd())


# ------------------------------------------------------------------------------------------------ tdx


def test_tdx(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)
    provider = tsm.provider()
    for data in (RAW, DATA):
        given = provider.attest(data)
        holds(given, data)
        assert given.gpu == ()
        assert given.event_log is not None
        assert len(given.event_log) < tsm.event_log.stat().st_size - 60_000  # without the padding
        assert list(tsm.reports.iterdir()) == []
    assert read_rtmrs(tsm.measurements) == TD.registers


def test_tdx_asks_once_and_in_one_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def spy(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", spy)
    UnsafeSimulatedTsm(tmp_path, platform()).provider().attest(RAW)

    assert written == [RAW]


def test_tdx_asks_in_a_folder_of_its_own_each_time(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    made: list[Path] = []

    def make(entry: Path) -> None:
        made.append(entry)
        tsm.make(entry)

    provider = TdxProvider(tsm.reports, tsm.event_log, make, tsm.remove)
    for _ in range(3):
        provider.attest(RAW)

    assert len(set(made)) == 3
    assert {each.parent for each in made} == {tsm.reports}


TDX_FAULTS = {
    Tsm.ABSENT: "no quote can be asked for here: No such file or directory",
    Tsm.BUSY: "no quote can be asked for here: Device or resource busy",
    Tsm.OTHER_KERNEL: "this machine gives evidence of 'sev_guest', not of 'tdx_guest'",
    Tsm.RACED: "its generation is '2', not '1'",
    Tsm.OTHER_DATA: "the quote carries other report data than it was asked for with",
    Tsm.SHORT: "what came is not a quote: the quote is malformed: it ends in its signature",
    Tsm.NO_HOST: "the kernel gave no quote: Input/output error",
}


@pytest.mark.parametrize("fault", Tsm)
def test_tdx_faults(fault: UnsafeSimulatedTsmFault, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), fault=fault)
    threads = threading.active_count()

    assert TDX_FAULTS[fault] in why(tsm.provider(), RAW)
    assert not tsm.reports.exists() or list(tsm.reports.iterdir()) == []
    assert threading.active_count() == threads


def test_each_fault_has_words_and_a_mend_of_its_own(tmp_path: Path) -> None:
    mends = {}
    for number, fault in enumerate((Tsm.ABSENT, Tsm.BUSY, Tsm.OTHER_KERNEL, Tsm.RACED, Tsm.OTHER_DATA, Tsm.NO_HOST)):
        (tmp_path / str(number)).mkdir()
        with pytest.raises(EvidenceError) as caught:
            UnsafeSimulatedTsm(tmp_path / str(number), platform(), fault=fault).provider().attest(RAW)
        mends[fault] = caught.value.mend

    assert len(set(mends.values())) == len(mends)
    assert len(set(TDX_FAULTS.values())) == len(Tsm) == len(TDX_FAULTS)


def folder(tmp_path: Path, **files: str) -> TdxProvider:
    """A provider for a folder of plain files: no kernel answers there."""

    def make(entry: Path) -> None:
        entry.mkdir()
        for name, text in files.items():
            (entry / name).write_text(text, encoding="ascii")

    (tmp_path / "report").mkdir()
    return TdxProvider(tmp_path / "report", tmp_path / "none", make, shutil.rmtree)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the kernel gave no quote: No such file or directory"),
        ({"provider": ""}, "gives evidence of ''"),
        ({"provider": "tdx_guest\n"}, "the kernel gave no quote: No such file or directory"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": ""}, "No such file or directory"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "0\n"}, "its generation is '0'"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "one\n"}, "its generation is 'one'"),
        ({"provider": "tdx_guest\n", "inblob": "", "outblob": "", "generation": "1\n"}, "it ends in its header"),
        (
            {"provider": "tdx_guest\n", "inblob": "", "outblob": "q" * 70_000, "generation": "1\n"},
            "a quote has at most 65536",
        ),
    ],
    ids=["nothing", "nameless", "no inblob", "no generation", "unasked", "no number", "empty", "huge"],
)
def test_tdx_where_no_kernel_answers(files: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in why(folder(tmp_path, **files), RAW)
    assert list((tmp_path / "report").iterdir()) == []


def test_tdx_a_write_that_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: 63)

    assert "took 63 of 64 bytes" in why(folder(tmp_path, provider="tdx_guest", inblob=""), RAW)
    assert list((tmp_path / "report").iterdir()) == []


def test_tdx_where_this_user_may_not_ask(tmp_path: Path) -> None:
    def make(entry: Path) -> None:
        raise PermissionError(13, "Permission denied", str(entry))

    with pytest.raises(EvidenceError, match="Permission denied") as caught:
        TdxProvider(tmp_path, make=make).attest(RAW)
    assert "usually root" in caught.value.mend


def test_tdx_a_folder_that_cannot_be_removed_harms_nothing(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform(), TD)

    def remove(entry: Path) -> None:
        tsm.remove(entry)
        raise OSError(16, "Device or resource busy")

    holds(TdxProvider(tsm.reports, tsm.event_log, tsm.make, remove).attest(RAW), RAW)


def test_tdx_removes_its_folder_when_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())

    def interrupted(descriptor: int, data: bytes) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tsm.provider().attest(RAW)
    assert list(tsm.reports.iterdir()) == []


def test_tdx_on_this_machine() -> None:
    """The kernel's own folders, whatever they hold here."""
    if Path("/sys/kernel/config/tsm/report").exists():
        pytest.skip("NOT TESTED: this machine has configfs-tsm")
    assert "/sys/kernel/config/tsm/report: no quote can be asked for here" in why(TdxProvider())
    with pytest.raises(EvidenceError, match="the register cannot be read"):
        read_rtmrs()


# ------------------------------------------------------------------------------------------------ tdx: event log


def test_there_need_not_be_an_event_log(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.unlink()

    assert tsm.provider().attest(RAW).event_log is None


def test_an_event_log_that_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.unlink()
    tsm.event_log.mkdir()

    assert "the event log cannot be read: Is a directory" in why(tsm.provider())


def logged(tmp_path: Path, content: bytes) -> bytes | None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.write_bytes(content)
    return tsm.provider().attest(RAW).event_log


@pytest.mark.parametrize("pad", [b"\xff", b"\0"])
@pytest.mark.parametrize("tail", [0, 1, 8, 64, 65, 500])
def test_padding_is_cut_and_no_event_is(pad: bytes, tail: int, tmp_path: Path) -> None:
    from atlas.evidence.simulator.td import UnsafeSimulatedEvent

    log = UnsafeSimulatedTd().extended(UnsafeSimulatedEvent(2, b"data" + pad * tail)).event_log[:-8]
    kept = logged(tmp_path, log + pad * 4096)

    assert kept is not None
    assert parse_event_log(kept) == parse_event_log(log + pad * 8)
    assert (len(kept) < len(log) + 80) == (tail <= 64)


@pytest.mark.parametrize("content", [b"", b"no log", UnsafeSimulatedTd().event_log[:-9]])
def test_a_log_that_cannot_be_read_is_handed_on_as_it_is(content: bytes, tmp_path: Path) -> None:
    assert logged(tmp_path, content) == content


def test_a_log_too_large_for_a_manifest_is_refused(tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    tsm.event_log.write_bytes(b"x" * (1 << 20))

    assert "a manifest takes at most" in why(tsm.provider())
    assert list(tsm.reports.iterdir()) == []


def test_the_log_of_a_real_machine(real_data: Path, tmp_path: Path) -> None:
    google = real_data / "tdx" / "go-tdx-guest"
    raw = (google / "ccel_data.dat").read_bytes()
    kept = logged(tmp_path, raw)

    assert kept is not None
    assert len(kept) < len(raw) // 5
    rtmrs = parse_quote((google / "cos-113-tdx-quote.dat").read_bytes()).report.rtmrs
    check_replay(parse_event_log(kept), rtmrs)


def test_quotes_of_real_machines(real_data: Path, tmp_path: Path) -> None:
    """The padding that kernels and hosts leave behind a quote goes, and nothing else."""
    from atlas.evidence.providers.answer import attested

    found = 0
    for path in ("phala/tdx_quote", "go-tdx-guest/cos-113-tdx-quote.dat", "go-tdx-guest/quote_v5_sample.dat"):
        raw = (real_data / "tdx" / path).read_bytes()
        quote = parse_quote(raw)
        assert attested(raw, quote.report.report_data, None).quote == quote.raw
        assert attested(raw + bytes(3000), quote.report.report_data, None).quote == quote.raw
        with pytest.raises(EvidenceError, match="other report data"):
            attested(raw, RAW, None)
        found += 1
    assert found == 3
    with pytest.raises(EvidenceError, match="not a quote"):
        attested((real_data / "tdx" / "phala" / "sgx_quote").read_bytes(), RAW, None)


# ------------------------------------------------------------------------------------------------ tdx: registers


@pytest.mark.parametrize("content", [b"", b"r" * 47, b"r" * 49, b"r" * 96])
def test_a_register_has_48_bytes(content: bytes, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    (tsm.measurements / "rtmr2:sha384").write_bytes(content)

    with pytest.raises(EvidenceError, match="not a register of 48 bytes") as caught:
        read_rtmrs(tsm.measurements)
    assert caught.value.mend


def test_a_register_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="rtmr0:sha384: the register cannot be read") as caught:
        read_rtmrs(tmp_path)
    assert "Linux 6.16" in caught.value.mend


# ------------------------------------------------------------------------------------------------ coco


def test_coco() -> None:
    with UnsafeSimulatedAgent(platform(), TD) as agent:
        given = CocoProvider(agent.url).attest(DATA)

    holds(given, DATA)
    assert given.gpu == ()


def test_coco_without_an_event_log() -> None:
    with UnsafeSimulatedAgent(platform(), fault=Agent.NO_LOG) as agent:
        provider = CocoProvider(agent.url)

        assert provider.attest(DATA).event_log is None
        with pytest.raises(EvidenceError, match="does not enable eventlog recording") as caught:
            provider.record("example.org", "start", "train")
    assert "enable_eventlog = true" in caught.value.mend


def test_coco_records_events() -> None:
    with UnsafeSimulatedAgent(platform(), TD) as agent:
        provider = CocoProvider(agent.url)
        provider.record("example.org", "start", '{"step": "träin"}')
        provider.record("example.org", "stop", "")
        given = provider.attest(DATA)

    holds(given, DATA)
    assert given.event_log is not None
    assert measured_events(parse_event_log(given.event_log)) == (
        Measured("example.org", "start", '{"step": "träin"}'),
        Measured("example.org", "stop", ""),
    )


@pytest.mark.parametrize("event", [("a b", "c", "d"), ("a", "b c", "d"), ("a", "b", "c\nd"), ("a\n b", "c", "d")])
def test_coco_refuses_events_that_would_be_read_as_others(event: tuple[str, str, str]) -> None:
    """`a b c d` is the event of ("a", "b", "c d") alone."""
    with UnsafeSimulatedAgent(platform()) as agent:
        with pytest.raises(InputError):
            CocoProvider(agent.url).record(*event)
        assert agent.td == UnsafeSimulatedTd()


def test_coco_gpus() -> None:
    gpus = [UnsafeSimulatedGpu(), UnsafeSimulatedGpu()]
    with UnsafeSimulatedAgent(platform(), gpus=gpus) as agent:
        given = CocoProvider(agent.url).attest(DATA)

    assert [parse_report(each.report).nonce for each in given.gpu] == [gpu_nonce(DIGEST)] * 2
    assert [each.chain_pem.encode() for each in given.gpu] == [each.chain_pem for each in gpus]


def test_coco_an_agent_too_old_for_gpus_is_found_out() -> None:
    with UnsafeSimulatedAgent(platform(), gpus=[UnsafeSimulatedGpu()], fault=Agent.OLD) as agent:
        assert "a GPU's report was made for another nonce" in why(CocoProvider(agent.url))


class Devices(UnsafeSimulatedAgent):
    """An agent with something else to say of its devices."""

    def __init__(self, status: int, body: str | Callable[[bytes], str]) -> None:
        super().__init__(platform())
        self._said = status, body

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        if "/aa/additional-evidence" not in target:
            return super().answer(method, target, body)
        status, said = self._said
        return status, (said if isinstance(said, str) else said(gpu_nonce(DIGEST))).encode()


GPU = UnsafeSimulatedGpu()
CHAIN = base64.b64encode(GPU.chain_pem).decode()


def listed(**device: Any) -> str:
    import json

    return json.dumps({"nvidia": {"device_evidence_list": [device]}})


@pytest.mark.parametrize(
    ("status", "body", "count"),
    [
        (404, "URL NOT FOUND", 0),  # before there were devices
        (200, "", 0),  # none attached
        (200, "{}", 0),
        (200, '{"sample_device": {"report": "x"}}', 0),
        (200, '{"nvidia": {"device_evidence_list": []}}', 0),
        (200, listed(arch="LS10", evidence="?", certificate="?"), 0),  # a switch
        (200, lambda nonce: listed(arch="HOPPER", evidence=GPU.report(nonce).hex(), certificate=CHAIN), 1),  # in hex
    ],
    ids=["old", "empty", "object", "sample", "none", "switch", "hex"],
)
def test_coco_other_devices(status: int, body: Any, count: int) -> None:
    with Devices(status, body) as agent:
        assert len(CocoProvider(agent.url).attest(DATA).gpu) == count


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, "Failed to initialize SDK", "failed, with status 500: Failed to initialize SDK"),
        (200, "no JSON", "its evidence of devices is not JSON"),
        (200, '{"nvidia": 3}', "is not a list of devices"),
        (200, '{"nvidia": {"device_evidence_list": ["x"]}}', "is not a list of devices"),
        (200, listed(arch="HOPPER", certificate=CHAIN), "a GPU's report cannot be read"),
        (200, listed(arch="HOPPER", evidence="?", certificate=CHAIN), "a GPU's report is not in base64"),
        (200, listed(arch="HOPPER", evidence="AAAA", certificate=CHAIN), "a GPU's report cannot be read"),
        (200, listed(arch="HOPPER", evidence="AAAA"), "a GPU's certificates is missing"),
        (200, listed(arch="HOPPER", evidence="AAAA", certificate="/w=="), "certificates are not in PEM"),
    ],
)
def test_coco_devices_that_cannot_be_used(status: int, body: str, words: str) -> None:
    with Devices(status, body) as agent:
        assert words in why(CocoProvider(agent.url))


COCO_FAULTS = {
    Agent.GARBAGE: "its evidence is not JSON",
    Agent.LIST: "its evidence is not a JSON object",
    Agent.NO_QUOTE: "the quote is missing",
    Agent.NOT_BASE64: "the quote is not in base64",
    Agent.CUT: "does not answer in HTTP: IncompleteRead",
    Agent.NOT_HTTP: "does not answer in HTTP: BadStatusLine",
    Agent.HANG: "did not answer within 0.3 seconds",
    Agent.OTHER_DATA: "the quote carries other report data than it was asked for with",
    Agent.OVERSIZED: "it has over 1048576 bytes",
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_coco_faults(fault: UnsafeSimulatedAgentFault) -> None:
    with UnsafeSimulatedAgent(platform(), fault=fault) as agent:
        assert COCO_FAULTS[fault] in why(CocoProvider(agent.url, timeout=0.3 if fault is Agent.HANG else 30))


def test_coco_an_answer_that_never_came_is_not_an_empty_one() -> None:
    """As of devices, of which an empty answer says that there are none."""
    heads = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9"]
    for head in heads:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer(listening: socket.socket = listening, head: bytes = head) -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(head)

            thread = threading.Thread(target=answer)
            thread.start()
            assert "IncompleteRead" in why(CocoProvider(f"http://127.0.0.1:{listening.getsockname()[1]}"))
            thread.join()


def test_coco_each_fault_is_tried() -> None:
    assert set(COCO_FAULTS) | {Agent.NO_LOG, Agent.OLD} == set(Agent)
    assert len(set(COCO_FAULTS.values())) == len(COCO_FAULTS)


@pytest.mark.parametrize(
    ("status", "words", "mend"),
    [
        (404, "does not give evidence: Attestation Feature Not Enabled", "agent.guest_components_rest_api=all"),
        (500, "failed, with status 500: it failed", "attestation-agent"),
        (403, "failed, with status 403", "attestation-agent"),
        (302, "failed, with status 302", "attestation-agent"),
        (204, "failed, with status 204", "attestation-agent"),
    ],
)
def test_coco_status(status: int, words: str, mend: str) -> None:
    with UnsafeSimulatedAgent(platform(), status=status) as agent:
        provider = CocoProvider(agent.url)
        for ask in (lambda: provider.attest(DATA), lambda: provider.record("a", "b", "c")):
            with pytest.raises(EvidenceError, match=words) as caught:
                ask()
            assert mend in caught.value.mend


def test_coco_where_no_agent_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(EvidenceError, match="cannot be reached: Connection refused") as caught:
        CocoProvider(url).attest(DATA)
    assert "kata-qemu-tdx" in caught.value.mend


@pytest.mark.parametrize("data", [RAW, b"a" * 63 + b"=", b"a" * 63 + b"\n", b"/" * 64, b"%" * 64, b"&" * 64])
def test_coco_takes_text_that_every_agent_passes_on(data: bytes) -> None:
    with UnsafeSimulatedAgent(platform()) as agent, pytest.raises(InputError, match="base64url only"):
        CocoProvider(agent.url).attest(data)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8006", "http://127.0.0.1:8006/", "http://127.9.9.9:1", "http://[::1]:8006"]
)
def test_coco_asks_on_loopback(url: str) -> None:
    CocoProvider(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8006",
        "https://127.0.0.1:8006",
        "http://localhost:8006",
        "http://10.0.0.1:8006",
        "http://0.0.0.0:8006",
        "http://agent.example:8006",
        "http://127.0.0.1.example:8006",
        "http://127.0.0.1:8006@agent.example",
        "http://agent.example@127.0.0.1:8006",
        "http://127.0.0.1:8006/other",
        "http://127.0.0.1:8006?x=1",
        "http://127.0.0.1:8006#x",
        "http://127.0.0.1:http",
        "http://127.0.0.1:99999",
        "http://[::1",
        "http://[::ffff:10.0.0.1]:8006",
        "http://2130706433:8006",
        "file:///etc/passwd",
    ],
)
def test_coco_asks_nowhere_else(url: str) -> None:
    with pytest.raises(InputError, match="is not where an agent of the same pod listens") as caught:
        CocoProvider(url)
    assert "http://127.0.0.1:8006" in caught.value.mend


def test_coco_asks_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with UnsafeSimulatedAgent(platform(), TD) as agent:
        holds(CocoProvider(agent.url).attest(DATA), DATA)


def test_coco_asks_as_the_oldest_agents_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    request = http.client.HTTPConnection.request

    def spy(self: http.client.HTTPConnection, method: str, url: str, *rest: Any) -> None:
        asked.append(f"{method} {url}")
        request(self, method, url, *rest)

    monkeypatch.setattr(http.client.HTTPConnection, "request", spy)
    with UnsafeSimulatedAgent(platform()) as agent:
        CocoProvider(agent.url).attest(DATA)

    assert asked[0] == f"GET /aa/evidence?runtime_data={DATA.decode()}"
    assert asked[1].endswith("&encoding=base64")
    assert len(asked) == 2


def test_the_errors_are_fit_for_a_user() -> None:
    with UnsafeSimulatedAgent(platform(), status=500) as agent, pytest.raises(AtlasError) as caught:
        CocoProvider(agent.url).attest(DATA)

    assert "\n" not in str(caught.value) + caught.value.mend
