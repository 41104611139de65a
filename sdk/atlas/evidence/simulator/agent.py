"""A server that answers like the agent of a confidential pod (Confidential Containers, `api-server-rest`).

Its quotes are simulated ones, and say so: whoever appraises what the provider `coco` made of one refuses it.
"""

import base64
import json
import socketserver
import threading
from collections.abc import Sequence
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.platform import TD, UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd, agent_event

_LARGE = 2 << 20
_Answer = tuple[int, bytes]


class UnsafeSimulatedAgentFault(StrEnum):
    """What can be wrong with it."""

    GARBAGE = "it answers something else than JSON"
    LIST = "it answers JSON of another form"
    NO_QUOTE = "it answers without a quote"
    NOT_BASE64 = "its quote is not in base64"
    CUT = "it closes the connection in the middle of an answer"
    NOT_HTTP = "it does not speak HTTP"
    HANG = "it never answers"
    OTHER_DATA = "its quote carries other report data"
    OVERSIZED = "its answer has 2 MiB"
    NO_LOG = "it keeps no event log"
    OLD = "it is too old to know how a nonce is encoded"


class UnsafeSimulatedAgent:
    """The agent of a pod that nobody measured; listens within a `with` block.

    Args:
        platform: makes the quotes.
        td: what they say to begin with; each recorded event changes it.
        gpus: what is attached to the pod.
        status: answers everything with this status, if not 200.
        fault: what else is wrong.
    """

    def __init__(
        self,
        platform: UnsafeSimulatedPlatform,
        td: UnsafeSimulatedTd = TD,
        *,
        gpus: Sequence[UnsafeSimulatedGpu] = (),
        status: int = 200,
        fault: UnsafeSimulatedAgentFault | None = None,
    ) -> None:
        self.td = td
        self.fault = fault
        self._platform, self._gpus, self._status = platform, tuple(gpus), status
        self.closing = threading.Event()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, target: str, body: bytes) -> _Answer:
        """Status and body for a request."""
        if self._status != 200:
            return self._status, b"Attestation Feature Not Enabled" if self._status == 404 else b"it failed"
        path, asked = urlsplit(target).path, parse_qs(urlsplit(target).query)
        data = asked.get("runtime_data", [""])[0]
        if (method, path) == ("GET", "/aa/evidence"):
            return 200, self._evidence(data.encode())
        if (method, path) == ("GET", "/aa/additional-evidence"):
            known = asked.get("encoding") == ["base64"] and self.fault is not UnsafeSimulatedAgentFault.OLD
            return 200, self._devices(base64.urlsafe_b64decode(data + "==") if known else data.encode())
        if (method, path) == ("POST", "/aa/aael"):
            return 200, self._record(json.loads(body))
        return 404, b"URL NOT FOUND"

    def _evidence(self, data: bytes) -> bytes:
        fault = self.fault
        if fault is UnsafeSimulatedAgentFault.GARBAGE:
            return b"\xff not JSON"
        if fault is UnsafeSimulatedAgentFault.LIST:
            return b"[]"
        if fault is UnsafeSimulatedAgentFault.OVERSIZED:
            return b'"' + b"a" * _LARGE + b'"'
        data = data.ljust(64, b"\0")
        quote = self._platform.quote(data[::-1] if fault is UnsafeSimulatedAgentFault.OTHER_DATA else data, self.td)
        log = None if fault is UnsafeSimulatedAgentFault.NO_LOG else _text(self.td.event_log)
        answer = {"cc_eventlog": log, "quote": _text(quote)}
        if fault is UnsafeSimulatedAgentFault.NOT_BASE64:
            answer["quote"] = "…"
        if fault is UnsafeSimulatedAgentFault.NO_QUOTE:
            del answer["quote"]
        return json.dumps(answer).encode()

    def _devices(self, data: bytes) -> bytes:
        if not self._gpus:
            return b""
        nonce = data[:32].ljust(32, b"\0")
        listed = [
            {
                "arch": "HOPPER",
                "uuid": "unknown",
                "evidence": _text(gpu.report(nonce)),
                "certificate": _text(gpu.chain_pem),
            }
            for gpu in self._gpus
        ]
        return json.dumps({"nvidia": {"device_evidence_list": listed}}).encode()

    def _record(self, event: dict[str, str]) -> bytes:
        if self.fault is UnsafeSimulatedAgentFault.NO_LOG:
            message = "Attestation Agent does not enable eventlog recording"
            return json.dumps({"success": "false", "message": message}).encode()
        self.td = self.td.extended(agent_event(event["domain"], event["operation"], event["content"]))
        return b'{"success":"true"}'


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, agent: UnsafeSimulatedAgent) -> None:
        self.agent = agent
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which looks up the host's name and so may wait for a name server.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, body: bytes) -> None:
        agent = self.server.agent
        if agent.fault is UnsafeSimulatedAgentFault.HANG:
            agent.closing.wait()
            return
        if agent.fault is UnsafeSimulatedAgentFault.NOT_HTTP:
            self.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
            return
        status, answer = agent.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: len(answer) // 2] if agent.fault is UnsafeSimulatedAgentFault.CUT else answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
