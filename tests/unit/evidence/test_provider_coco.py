"""Evidence from the pod's agent: what is asked, and what is refused to be handed on."""

import base64
import http.client
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from atlas.errors import EvidenceError, InputError
from atlas.evidence.nvidia import gpu_nonce, parse_report
from atlas.evidence.providers.coco import CocoProvider
from atlas.evidence.simulator.agent import UnsafeSimulatedAgent, UnsafeSimulatedAgentFault
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.tdx.aael import Measured, measured_events
from atlas.evidence.tdx.eventlog import parse_event_log
from unit.evidence.evidence_support import platform
from unit.evidence.provider_support import DATA, DIGEST, RAW, TD, Agent, holds, why


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
