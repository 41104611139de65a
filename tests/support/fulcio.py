"""A double of Fulcio and of its certificate log, on the loopback interface: it speaks the v2 `signingCert` API.

It is no Fulcio: it believes every token. What it makes has the form of Fulcio's certificates (an intermediate under a
root, code signing, ten minutes, the identity as a subject alternative name, a promise of a certificate log inside).
"""

import base64
import datetime as dt
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from atlas.identity import ISSUER
from atlas.keys import Issuer
from support import forge

PROMISES = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ISSUER_1 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""What came before `ISSUER`, which Fulcio still writes and older clients read."""
IDENTITY = "builder@example.com"
OIDC_ISSUER = "https://issuer.example"
START = "2024-01-01T00:00:00Z"


def token(**changes: Any) -> str:
    """An identity token that some issuer signed."""
    now = int(dt.datetime.now(dt.UTC).timestamp())
    claims = {"iss": OIDC_ISSUER, "aud": "sigstore", "sub": IDENTITY, "iat": now, "exp": now + 600}
    return jwt.encode({**claims, **changes}, "a secret of the issuer, thirty-two bytes", algorithm="HS256")


@dataclass
class FulcioDouble:
    """What it does; each field can be made to misbehave."""

    root: Issuer = field(default_factory=lambda: forge.root("double root"))
    log_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    usage: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    names: tuple[x509.GeneralName, ...] = (x509.RFC822Name(IDENTITY),)
    issuer: bytes = b"\x0c" + bytes([len(OIDC_ISSUER)]) + OIDC_ISSUER.encode()
    """The extension's value, a DER UTF8String."""
    begins: dt.timedelta = dt.timedelta(0)
    promised: bool = True
    promises_by: ec.EllipticCurvePrivateKey | None = None
    """Another log than its own."""
    key: ec.EllipticCurvePublicKey | None = None
    """Certified in the place of the one that was asked for."""
    below: Issuer | None = None
    """Issues, in the place of the intermediate."""
    above: tuple[x509.Certificate, ...] = ()
    """Sent along in the place of the true chain."""
    status: int = 201
    body: bytes | None = None
    tokens: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.intermediate = forge.intermediate(self.root, "double intermediate")

    @property
    def config(self) -> bytes:
        """The trust configuration of this instance."""
        return json.dumps(self.config_json()).encode()

    def config_json(self) -> dict[str, Any]:
        """The same as a document."""
        spki = _der(self.log_key.public_key())
        chain = [_raw(each.certificate) for each in (self.intermediate, self.root)]
        service = {"url": self.url, "majorApiVersion": 1, "validFor": {"start": START}, "operator": "double"}
        log = {
            "baseUrl": "https://ct.example",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": _base64(spki),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": START},
            },
            "logId": {"keyId": _base64(hashlib.sha256(spki).digest())},
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "double", "commonName": "double"},
                        "uri": self.url,
                        "certChain": {"certificates": chain},
                        "validFor": {"start": START},
                    }
                ],
                "ctlogs": [log],
            },
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": [service],
                "oidcUrls": [],
                "rekorTlogUrls": [{**service, "url": "https://rekor.example"}],
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
            },
        }

    def answer(self, request: dict[str, Any], bearer: str) -> bytes:
        """Certify the key of a request."""
        self.tokens.append(bearer)
        if self.body is not None:
            return self.body
        asked = x509.load_pem_x509_csr(base64.b64decode(request["certificateSigningRequest"]))
        assert asked.is_signature_valid
        public = asked.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        issuer = self.below or self.intermediate
        leaf = self.leaf(self.key or public, issuer)
        above = self.above or (issuer.certificate, self.root.certificate)
        chain = [each.public_bytes(serialization.Encoding.PEM).decode() for each in (leaf, *above)]
        return json.dumps({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}).encode()

    def leaf(self, key: ec.EllipticCurvePublicKey, issuer: Issuer) -> x509.Certificate:
        """The certificate of a key."""
        begins = forge.now() + self.begins
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(issuer.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + dt.timedelta(minutes=10))
            .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
            .add_extension(x509.ExtendedKeyUsage([self.usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName(list(self.names)), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_1, OIDC_ISSUER.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER, self.issuer), critical=False)
        )
        if not self.promised:
            return builder.sign(issuer.key, hashes.SHA256())
        unsigned = builder.sign(issuer.key, hashes.SHA256()).tbs_certificate_bytes
        promises = x509.UnrecognizedExtension(PROMISES, self._promise(unsigned, issuer))
        return builder.add_extension(promises, critical=False).sign(issuer.key, hashes.SHA256())

    def _promise(self, tbs: bytes, issuer: Issuer) -> bytes:
        """A list of one signed certificate timestamp (RFC 6962, section 3.3), in its DER octet string."""
        log = self.promises_by or self.log_key
        moment = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        above = hashlib.sha256(_der(issuer.key.public_key())).digest()
        entry = struct.pack(">BBQH", 0, 0, moment, 1) + above + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        signature = log.sign(entry, ec.ECDSA(hashes.SHA256()))
        log_id = hashlib.sha256(_der(log.public_key())).digest()
        timestamp = struct.pack(">B32sQ", 0, log_id, moment) + b"\0\0\x04\x03" + _opaque(signature)
        content = _opaque(_opaque(timestamp))
        assert len(content) < 0x80
        return b"\x04" + bytes([len(content)]) + content


@contextmanager
def serving(double: FulcioDouble) -> Iterator[FulcioDouble]:
    """Serve it on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path != "/api/v2/signingCert":
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = double.answer(json.loads(body), self.headers["Authorization"].removeprefix("Bearer "))
            self.send_response(double.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        double.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield double
        finally:
            server.shutdown()
            thread.join()


def _opaque(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content


def _der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _raw(certificate: x509.Certificate) -> dict[str, str]:
    return {"rawBytes": _base64(certificate.public_bytes(serialization.Encoding.DER))}


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
