"""The real servers, each in a directory of its own and on free loopback ports: started, awaited, stopped.

A directory holds all that a server keeps, so the same one given again is the same server after a restart.
"""

import json
import random
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from atlas.trust import PinnedLog
from cluster.tools.build import ALL

READY_WITHIN = 60.0
"""Seconds that a server has to become ready: ten times what the slowest takes on two idle cores."""
STOPPED_WITHIN = 15.0
"""Seconds that a server has to stop before it is killed."""
ANSWERED_WITHIN = 60.0
"""Seconds that a server has for an answer; Rekor's come a second after the request, or later on a busy machine."""
LAST_LINES = 15
ADMIN_TOKEN = "admin-token"


class NotBuilt(Exception):
    """The program is not in the cache: `make tools` puts it there."""


class NotReady(Exception):
    """A server ended or answered too late; with the last lines of what it wrote."""


def program(name: str) -> Path:
    """Where a tool's program is.

    Raises:
        NotBuilt: if it is not there.
    """
    [path] = [tool.path() for tool in ALL if tool.name == name]
    if not path.is_file():
        raise NotBuilt(name)
    return path


# ------------------------------------------------------------------------------------------------ asking


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


def ask(
    url: str,
    body: bytes | None = None,
    *,
    method: str = "",
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request, POST if it has a body unless told otherwise, and never raise for its status."""
    parts = urlsplit(url)
    if tls is None:
        connection = HTTPConnection(parts.netloc, timeout=ANSWERED_WITHIN)
    else:
        connection = HTTPSConnection(parts.netloc, timeout=ANSWERED_WITHIN, context=tls)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method or ("GET" if body is None else "POST"), target, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


# ------------------------------------------------------------------------------------------------ running


def free_ports(count: int) -> list[int]:
    """Loopback ports that nothing listens on.

    They are below those that Linux hands out by itself, so that no other test's connection takes one between
    this choice and the server's start.
    """
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.randrange(20000, 32000)
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
    return ports


@contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool], *, killed: bool = False) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent)
    try:
        _await(process, log, ready)
        yield
    finally:
        if killed:
            process.kill()
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        with suppress(OSError, HTTPException):
            if ready():
                return
        status = process.poll()
        if status is not None or time.monotonic() > deadline:
            what = f"was not ready within {READY_WITHIN:.0f} s" if status is None else f"ended with status {status}"
            lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise NotReady("\n  ".join([f"{log.stem} {what}; its last lines:", *lines]))
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ etcd


@contextmanager
def etcd(directory: Path) -> Iterator[str]:
    """An etcd of one member; its client URL."""
    client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        f"{program('etcd')}",
        "--name=test",
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=test={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    with _running(command, directory / "etcd.log", lambda: ask(f"{client}/health").status == 200):
        yield client


# ------------------------------------------------------------------------------------------------ Kubernetes


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API server without controllers or nodes: what it stores stays as it was written.

    Attributes:
        url: of the API.
        authority: the PEM file that verifies the server.
        token: of an administrator.
        kubeconfig: a file with all of these, for programs that read one.
    """

    url: str
    authority: Path
    token: str
    kubeconfig: Path

    def ask(self, path: str, document: Any = None, *, method: str = "", token: str | None = None) -> Answer:
        """Send a request, as the administrator unless told otherwise; an empty token is nobody's."""
        bearer = self.token if token is None else token
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        body = None if document is None else json.dumps(document).encode()
        tls = ssl.create_default_context(cafile=str(self.authority))
        return ask(f"{self.url}{path}", body, method=method, headers=headers, tls=tls)


@contextmanager
def kube_apiserver(directory: Path) -> Iterator[Cluster]:
    """A Kubernetes API server with RBAC, and the etcd that it stores in."""
    with etcd(directory) as storage:
        [port] = free_ports(1)
        key, tokens = directory / "sa.key", directory / "tokens.csv"
        # SEC 1: of an EC key's two PEM forms, the one that the API server signs with.
        _keep_key(key, ec.generate_private_key(ec.SECP256R1()), serialization.PrivateFormat.TraditionalOpenSSL)
        tokens.write_text(f"{ADMIN_TOKEN},admin,admin,system:masters\n")
        cluster = Cluster(
            f"https://127.0.0.1:{port}",
            directory / "certs" / "apiserver.crt",
            ADMIN_TOKEN,
            directory / "kubeconfig",
        )
        command = [
            f"{program('kubernetes')}",
            f"--etcd-servers={storage}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={cluster.authority.parent}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            "--endpoint-reconciler-type=none",
            "--disable-admission-plugins=ServiceAccount",
        ]
        with _running(command, directory / "kube-apiserver.log", lambda: cluster.ask("/readyz").status == 200):
            cluster.kubeconfig.write_text(json.dumps(_kubeconfig(cluster)))
            yield cluster


def _kubeconfig(cluster: Cluster) -> dict[str, Any]:
    name = "test"
    server = {"server": cluster.url, "certificate-authority": str(cluster.authority)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": server}],
        "users": [{"name": name, "user": {"token": cluster.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def helm() -> Path:
    """The Helm program."""
    return program("helm")


# ------------------------------------------------------------------------------------------------ Rekor


@dataclass(frozen=True)
class Log:
    """A log that speaks Rekor v2.

    Attributes:
        url: where it is written to.
        read_url: where its checkpoint and tiles are read.
        pinned: the log as a trust root has it.
    """

    url: str
    read_url: str
    pinned: PinnedLog


class RekorServer:
    """A Rekor v2 that stores in files, at one address for as many lives as it is given."""

    def __init__(self, directory: Path, origin: str, read_url: str) -> None:
        key = _keep_key(
            directory / "log.pem", ed25519.Ed25519PrivateKey.generate(), serialization.PrivateFormat.PKCS8
        ).public_key()
        assert isinstance(key, ed25519.Ed25519PublicKey)
        http, grpc, metrics = free_ports(3)
        self.log = Log(f"http://127.0.0.1:{http}", read_url, PinnedLog(origin, key))
        self._output = directory / "rekor.log"
        self._command = [
            f"{program('rekor')}",
            "serve",
            f"--hostname={origin}",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            f"--http-port={http}",
            f"--grpc-port={grpc}",
            f"--http-metrics-port={metrics}",
            f"--storage-dir={directory / 'log'}",
            f"--signer-filepath={directory / 'log.pem'}",
            "--checkpoint-interval=200ms",
            "--batch-max-age=50ms",
            "--persistent-antispam",
        ]

    @contextmanager
    def running(self, *, killed: bool = False) -> Iterator[None]:
        """One life; `killed` says how it ends."""
        with _running(self._command, self._output, self._healthy, killed=killed):
            yield

    def _healthy(self) -> bool:
        return ask(f"{self.log.url}/healthz").status == 200


@contextmanager
def rekor_server(directory: Path, origin: str = "rekor.local") -> Iterator[RekorServer]:
    """A Rekor that is not running yet. Its files are its read interface, which it leaves to any server of files."""
    (directory / "log").mkdir(parents=True, exist_ok=True)
    with _files(directory / "log") as read_url:
        yield RekorServer(directory, origin, read_url)


@contextmanager
def rekor(directory: Path, origin: str = "rekor.local") -> Iterator[Log]:
    """A running Rekor v2."""
    with rekor_server(directory, origin) as server, server.running():
        yield server.log


class _Files(SimpleHTTPRequestHandler):
    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _FileServer(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away is none of the server's trouble."""


@contextmanager
def _files(directory: Path) -> Iterator[str]:
    with _FileServer(("127.0.0.1", 0), partial(_Files, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _keep_key(path: Path, fresh: PrivateKeyTypes, form: serialization.PrivateFormat) -> PrivateKeyTypes:
    """The key in the file, which is the fresh one where there is none yet."""
    if not path.exists():
        path.write_bytes(fresh.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return serialization.load_pem_private_key(path.read_bytes(), None)
