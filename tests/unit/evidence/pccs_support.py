"""A service that serves collateral over real TLS, honestly or not, and a manufacturer that signs what it is told to."""

import contextlib
import datetime as dt
import functools
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from atlas.evidence.tdx.collateral import SGX_EXTENSION, Collateral

NOW = dt.datetime(2025, 6, 20, tzinfo=dt.UTC)
"""When the real collateral, and all that is made here, is in force."""
FMSPC = "b0c06f000000"
TCB, QE = "/tdx/certification/v4/tcb", "/tdx/certification/v4/qe/identity"
CRL, ROOT_CRL = "/sgx/certification/v4/pckcrl", "/sgx/certification/v4/rootcacrl"
DER_ROOT_CRL = "/IntelSGXRootCA.der"

# --------------------------------------------------------------------------------------------- certificates, lists

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Holder:
    """A key and the certificates from its own up to the root."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def name(self) -> str:
        return str(self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    @property
    def pem(self) -> str:
        return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in self.chain)

    def issue(self, name: str, **changes: Any) -> "Holder":
        made = certify(name, issuer=self, **changes)
        return replace(made, chain=(made.certificate, *self.chain))

    def crl(self, number: int = 1, *, issued: dt.datetime = NOW - dt.timedelta(days=1), **changes: Any) -> bytes:
        """A list of ours: `days` it lasts, `revoked` certificates, another `issuer`'s name."""
        issuer = changes.get("issuer", self.certificate.subject)
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(issued)
        builder = builder.next_update(issued + dt.timedelta(days=changes.get("days", 30)))
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for each in changes.get("revoked", ()):
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(issued)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def sign(self, message: bytes) -> bytes:
        assert isinstance(self.key, ec.EllipticCurvePrivateKey)
        numbers = decode_dss_signature(self.key.sign(message, ec.ECDSA(hashes.SHA256())))
        return b"".join(number.to_bytes(32, "big") for number in numbers)


def certify(
    name: str,
    *,
    issuer: Holder | None = None,
    key: Key | None = None,
    ca: bool = False,
    begins: dt.datetime = NOW - dt.timedelta(days=365),
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> Holder:
    """A certificate of ten years for a fresh key, or the one given; its own issuer, if it has none."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return Holder(key, (builder.sign(issuer.key if issuer else key, hashes.SHA256()),))


SGX = x509.UnrecognizedExtension(SGX_EXTENSION, b"\x30\x00")
"""What marks a platform's own certificate."""


@dataclass(frozen=True)
class Manufacturer:
    """Somebody with a root, who signs collateral as it is told to."""

    root: Holder
    platform_ca: Holder
    processor_ca: Holder
    signer: Holder

    @classmethod
    def new(cls) -> "Manufacturer":
        root = certify("Test SGX Root CA", ca=True)
        made = (
            root.issue(name, ca="CA" in name) for name in ("PCK Platform CA", "PCK Processor CA", "Test TCB Signing")
        )
        return cls(root, *made)

    def collateral(
        self,
        *,
        tcb: dict[str, Any] | None = None,
        qe: dict[str, Any] | None = None,
        issued: dt.datetime = NOW - dt.timedelta(days=1),
        days: int = 30,
        signer: Holder | None = None,
        **changes: Any,
    ) -> Collateral:
        """Collateral with other members of its documents, another signer, or fields replaced."""
        signer = signer or self.signer
        dates = {"issueDate": _date(issued), "nextUpdate": _date(issued + dt.timedelta(days=days))}
        tcb_info = {"id": "TDX", "version": 3, **dates, "fmspc": FMSPC.upper(), "pceId": "0000"}
        identity = {"id": "TD_QE", "version": 2, **dates, "tcbEvaluationDataNumber": 17}
        texts = [
            json.dumps(each, separators=(",", ":"))
            for each in (tcb_info | {"tcbEvaluationDataNumber": 17} | (tcb or {}), identity | (qe or {}))
        ]
        made = Collateral(
            pck_crl_issuer_chain=self.platform_ca.pem,
            root_ca_crl=self.root.crl(issued=issued, days=days),
            pck_crl=self.platform_ca.crl(issued=issued, days=days),
            tcb_info_issuer_chain=signer.pem,
            tcb_info=texts[0],
            tcb_info_signature=signer.sign(texts[0].encode()),
            qe_identity_issuer_chain=signer.pem,
            qe_identity=texts[1],
            qe_identity_signature=signer.sign(texts[1].encode()),
        )
        return replace(made, **changes)


@functools.cache
def manufacturer() -> Manufacturer:
    return Manufacturer.new()


def _date(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------------------------ the service


@dataclass
class Reply:
    """What is answered to one path."""

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200


Behaviour = Callable[["Handler"], None]
Pages = dict[str, Reply | Behaviour]


def pages(collateral: Collateral) -> Pages:
    """The answers of an honest service, which is a PCCS and serves the root's list in DER too."""
    tcb = b'{"tcbInfo":%b,"signature":"%b"}' % (
        collateral.tcb_info.encode(),
        collateral.tcb_info_signature.hex().encode(),
    )
    qe = b'{"enclaveIdentity":%b,"signature":"%b"}' % (
        collateral.qe_identity.encode(),
        collateral.qe_identity_signature.hex().encode(),
    )
    return {
        TCB: Reply(tcb, {"TCB-Info-Issuer-Chain": quote(collateral.tcb_info_issuer_chain)}),
        QE: Reply(qe, {"SGX-Enclave-Identity-Issuer-Chain": quote(collateral.qe_identity_issuer_chain)}),
        CRL: Reply(collateral.pck_crl, {"SGX-PCK-CRL-Issuer-Chain": quote(collateral.pck_crl_issuer_chain)}),
        ROOT_CRL: Reply(collateral.root_ca_crl.hex().encode()),
        DER_ROOT_CRL: Reply(collateral.root_ca_crl),
    }


class Handler(BaseHTTPRequestHandler):
    server: "Pccs"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        reply = self.server.pages.get(self.path.partition("?")[0], Reply(status=404))
        if isinstance(reply, Reply):
            self.reply(reply)
        else:
            reply(self)

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Pccs(ThreadingHTTPServer):
    """A service on 127.0.0.1 with the certificate of `holder`; without TLS, if that is None."""

    daemon_threads = True

    def __init__(self, served: Pages, holder: Holder | None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked, self.over = served, list[str](), threading.Event()
        self.holder = holder

    def wrap(self, folder: Path) -> None:
        if self.holder is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = folder / f"{id(self)}.pem"
        key = self.holder.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(key + self.holder.pem.encode())
        context.load_cert_chain(file)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what is tested."""


def tls_holder(authority: Holder, *names: str, begins: dt.datetime | None = None) -> Holder:
    """The key of a service of these names and addresses."""
    alternatives: list[x509.GeneralName] = []
    for each in names:
        with contextlib.suppress(ValueError):
            alternatives.append(x509.IPAddress(ipaddress.ip_address(each)))
            continue
        alternatives.append(x509.DNSName(each))
    begins = begins or dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    return authority.issue("service", begins=begins, extensions=(x509.SubjectAlternativeName(alternatives),))


@contextlib.contextmanager
def serving(served: Pages, holder: Holder | None, folder: Path) -> Iterator[Pccs]:
    with Pccs(served, holder) as server:
        server.wrap(folder)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


# --------------------------------------------------------------------------------------------------- ill behaviours


def raw(content: bytes) -> Behaviour:
    """Just these bytes, whatever HTTP says, and the end of the connection."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(content)
        handler.close_connection = True

    return behave


def dripping(start: bytes, drop: bytes) -> Behaviour:
    """A start, and then a drop again and again, as long as anybody listens."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(start)
        while not handler.server.over.wait(0.02):
            handler.wfile.write(drop)

    return behave


def silent(start: bytes = b"") -> Behaviour:
    """A start, and nothing more."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(start)
        handler.server.over.wait()

    return behave


def flooding(start: bytes, chunk: bytes = bytes(1 << 16)) -> Behaviour:
    """A start, and then as much as anybody takes."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(start)
        while not handler.server.over.is_set():
            handler.wfile.write(chunk)

    return behave


def failing(times: int, ill: Reply | Behaviour, well: Reply | Behaviour) -> Behaviour:
    """Ill so many times, and well after."""
    left = iter(range(times))

    def behave(handler: Handler) -> None:
        chosen = well if next(left, None) is None else ill
        if isinstance(chosen, Reply):
            handler.reply(chosen)
        else:
            chosen(handler)

    return behave


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """An address where connections are taken by the system, and by nobody else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
