"""Evidence from the agent of Confidential Containers that runs beside the pod's containers.

It is asked over HTTP (guest-components, `api-server-rest`). Report data go to it as text, which every release passes on
as it is; a GPU's nonce goes as base64, which older releases take for the nonce itself.
"""

import base64
import binascii
import http.client
import ipaddress
import json
import re
from typing import Any, NoReturn
from urllib.parse import urlsplit

from atlas.base64url import to_base64url
from atlas.errors import EvidenceError, InputError, Rejected
from atlas.evidence.nvidia import gpu_nonce, parse_report
from atlas.evidence.providers import Attestation, GpuAttestation
from atlas.evidence.providers.answer import attested, check_report_data
from atlas.evidence.tdx.aael import aael_event

URL = "http://127.0.0.1:8006"
TIMEOUT = 60.0
"""Seconds; the agent gives up on what it asks after 50."""
MAX_BYTES = 1 << 20
"""Of one answer."""

_TEXT = re.compile(rb"[A-Za-z0-9_-]{64}")
_SWITCH = "LS10"
"""What the agent calls NVLink switches, which it lists with the GPUs."""

_NO_AGENT = (
    "run the step in a confidential pod (runtimeClassName kata-qemu-tdx) whose kernel parameters have "
    "agent.guest_components_rest_api=all"
)
_NO_API = "start the pod with the kernel parameter agent.guest_components_rest_api=all"
_NO_LOG = "say `enable_eventlog = true` under [eventlog_config] in aa.toml of the pod's initdata"
_AGENT = "read the log of the pod's attestation-agent"
_UPDATE = "update the guest's components: this is not how their agent answers"


class CocoProvider:
    """Asks the agent of the same pod.

    Args:
        url: where it listens, by a loopback address: what is asked elsewhere is no evidence of this pod.
        timeout: seconds that it may take for each answer.

    Raises:
        InputError: if the URL is anything else.
    """

    name = "coco"

    def __init__(self, url: str = URL, timeout: float = TIMEOUT) -> None:
        self._host, self._port = _loopback(url)
        self._timeout = timeout

    def attest(self, report_data: bytes) -> Attestation:
        """A quote that carries these 64 bytes, base64url as bindings are; the event log, and reports of all GPUs.

        Raises:
            EvidenceError: if there is none to be had.
        """
        check_report_data(report_data)
        if not _TEXT.fullmatch(report_data):
            raise InputError("the agent takes report data of 64 characters of base64url only")
        path = f"/aa/evidence?runtime_data={report_data.decode('ascii')}"
        answer = _object(self._answer("GET", path), "its evidence")
        log = answer.get("cc_eventlog")
        return attested(
            _base64(answer.get("quote"), "the quote"),
            report_data,
            _base64(log, "the event log") if log is not None else None,
            self._gpus(gpu_nonce(base64.urlsafe_b64decode(report_data))),
        )

    def record(self, domain: str, operation: str, content: str) -> None:
        """Have an event measured into RTMR3, and written to the event log.

        Raises:
            InputError: if these words cannot make up an event.
            EvidenceError: if the agent does not record it.
        """
        aael_event(domain, operation, content)
        body = json.dumps({"domain": domain, "operation": operation, "content": content}).encode("ascii")
        answer = _object(self._answer("POST", "/aa/aael", body), "its answer to an event")
        if answer.get("success") not in ("true", True):
            raise EvidenceError(f"the agent recorded no event: {str(answer.get('message'))[:200]}", mend=_NO_LOG)

    def _gpus(self, nonce: bytes) -> tuple[GpuAttestation, ...]:
        text = to_base64url(nonce)
        status, raw = self._request("GET", f"/aa/additional-evidence?runtime_data={text}&encoding=base64")
        if status == http.client.NOT_FOUND or (status == http.client.OK and not raw):
            return ()  # no other device; releases before there were any say 404
        devices = _object(_checked(status, raw), "its evidence of devices").get("nvidia", {})
        listed = devices.get("device_evidence_list") if isinstance(devices, dict) else None
        if devices == {}:
            return ()
        if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
            _wrong("its evidence of GPUs is not a list of devices")
        return tuple(_gpu(each, nonce) for each in listed if each.get("arch") != _SWITCH)

    def _answer(self, method: str, path: str, body: bytes | None = None) -> bytes:
        return _checked(*self._request(method, path, body))

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        headers = {"Connection": "close", **({"Content-Type": "application/json"} if body else {})}
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                status, raw = response.status, response.read(MAX_BYTES + 1)
                if response.length and len(raw) <= MAX_BYTES:
                    raise http.client.IncompleteRead(raw, response.length)  # nobody else says so of a part
        except TimeoutError as error:
            raise EvidenceError(
                f"the pod's agent did not answer within {self._timeout:g} seconds", mend=_AGENT
            ) from error
        except OSError as error:
            raise EvidenceError(
                f"{self._host}:{self._port}: the pod's agent cannot be reached: {error.strerror or error}",
                mend=_NO_AGENT,
            ) from error
        except http.client.HTTPException as error:
            raise EvidenceError(f"the pod's agent does not answer in HTTP: {error!r}"[:200], mend=_UPDATE) from error
        finally:
            connection.close()
        if len(raw) > MAX_BYTES:
            _wrong(f"it has over {MAX_BYTES} bytes")
        return status, raw


def _loopback(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.netloc == url.removeprefix("http://").rstrip("/") and "@" not in url:
            address = ipaddress.ip_address(parts.hostname or "")
            if address.is_loopback:
                return str(address), http.client.HTTP_PORT if parts.port is None else parts.port
    except ValueError:
        pass
    raise InputError(
        f"{url[:80]!r} is not where an agent of the same pod listens", mend=f"name a loopback address, such as {URL}"
    )


def _checked(status: int, raw: bytes) -> bytes:
    if status == http.client.OK:
        return raw
    words = raw[:200].decode("utf-8", "replace").strip()
    if status == http.client.NOT_FOUND:
        raise EvidenceError(f"the pod's agent does not give evidence: {words or 'not found'}", mend=_NO_API)
    raise EvidenceError(f"the pod's agent failed, with status {status}: {words}", mend=_AGENT)


def _gpu(device: dict[str, Any], nonce: bytes) -> GpuAttestation:
    evidence = device.get("evidence")
    try:
        report = bytes.fromhex(evidence) if isinstance(evidence, str) else b""  # as older releases have it
    except ValueError:
        report = _base64(evidence, "a GPU's report")
    try:
        chain = _base64(device.get("certificate"), "a GPU's certificates").decode("ascii")
        answered = parse_report(report).nonce
    except UnicodeDecodeError:
        _wrong("a GPU's certificates are not in PEM")
    except Rejected as error:
        _wrong(f"a GPU's report cannot be read: {error}")
    if answered != nonce:
        raise EvidenceError(
            "a GPU's report was made for another nonce than was asked for",
            mend="update the guest's components: older ones cannot pass on a nonce for GPUs",
        )
    return GpuAttestation(report, chain)


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        _wrong(f"{what} is not JSON")
    if not isinstance(found, dict):
        _wrong(f"{what} is not a JSON object")
    return found


def _base64(text: object, what: str) -> bytes:
    if not isinstance(text, str):
        _wrong(f"{what} is missing")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        _wrong(f"{what} is not in base64")


def _wrong(detail: str) -> NoReturn:
    raise EvidenceError(f"the answer of the pod's agent cannot be used: {detail}", mend=_UPDATE)
