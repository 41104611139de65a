"""What the tests of GPU evidence share: a simulated GPU, and reports and certificates in which all can be wrong."""

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import NameOID

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.binding import Context, bind
from atlas.evidence.nvidia import GpuClaims, gpu_nonce, verify_gpu
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BEGINS, ENDS = dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
CONTEXT = Context("training", "run-1", "train", 0, "nonce")
BINDING = bind(b"key", CONTEXT, b"statement").digest
DIGESTS = {1: hashlib.sha384(b"1").digest(), 2: hashlib.sha384(b"2").digest()}
FIRMWARE = hashlib.sha384(b"firmware").digest()
HOPPER, TCB_INFO, ELSEWHERE = (x509.ObjectIdentifier(f"2.23.133.5.4.{each}") for each in ("1", "1.1", "9"))
P384_ORDER = int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)

GPU = UnsafeSimulatedGpu()
OTHER = UnsafeSimulatedGpu()
REPORT = GPU.report(gpu_nonce(BINDING), measurements=DIGESTS)
LEAF, INTERMEDIATE, ROOT = GPU.chain


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def armoured(*ders: bytes) -> bytes:
    begin, end = b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n"
    return b"".join(begin + base64.b64encode(each) + end for each in ders)


def verify(
    report: bytes = REPORT,
    chain: bytes = GPU.chain_pem,
    *,
    binding: bytes = BINDING,
    roots: Sequence[x509.Certificate] = (GPU.root,),
    at: dt.datetime = AT,
) -> GpuClaims:
    return verify_gpu(report, chain, binding, roots, at)


def code_of(call: Callable[[], object]) -> Code | None:
    try:
        call()
    except Rejected as error:
        return error.code
    return None


CLAIMS = GpuClaims(
    root=hashlib.sha256(GPU.root.public_bytes(serialization.Encoding.DER)).hexdigest(),
    driver_version="550.90.07",
    vbios_version="96.00.9F.00.01",
    measurements={index: digest.hex() for index, digest in DIGESTS.items()},
    serial=LEAF.serial_number.to_bytes((LEAF.serial_number.bit_length() + 7) // 8, "big").hex(),
)

# ---------------------------------------------------------------------------------------------- reports, byte by byte


def block(
    index: int = 1,
    *,
    specification: int = 1,
    kind: int = 1,
    value: bytes | None = None,
    size: int | None = None,
    value_size: int | None = None,
) -> bytes:
    value = DIGESTS.get(index, DIGESTS[1]) if value is None else value
    measured = bytes([kind]) + (len(value) if value_size is None else value_size).to_bytes(2, "little") + value
    return bytes([index, specification]) + (len(measured) if size is None else size).to_bytes(2, "little") + measured


def tlv(kind: int, value: bytes, size: int | None = None) -> bytes:
    return kind.to_bytes(2, "little") + (len(value) if size is None else size).to_bytes(2, "little") + value


VBIOS = tlv(6, bytes.fromhex("009f009601000000"))
DRIVER = tlv(3, b"550.90.07\0")
FWID = tlv(20, hashlib.sha384(b"Atlas SIMULATED GPU firmware").digest())


@dataclass(frozen=True)
class Transcript:
    """A report without its signature, written here a second time, so that every part can be wrong."""

    request: bytes = bytes.fromhex("11e001ff")
    nonce: bytes = gpu_nonce(BINDING)
    slot: bytes = b"\0"
    response: bytes = bytes.fromhex("11600000")
    blocks: int | None = None
    record_length: int | None = None
    record: Sequence[bytes] = field(default_factory=lambda: [block(index) for index in DIGESTS])
    responder_nonce: bytes = hashlib.sha256(gpu_nonce(BINDING)).digest()
    opaque_length: int | None = None
    opaque: Sequence[bytes] = field(default_factory=lambda: [VBIOS, DRIVER, FWID])

    @property
    def raw(self) -> bytes:
        record, opaque = b"".join(self.record), b"".join(self.opaque)
        blocks = len(self.record) if self.blocks is None else self.blocks
        record_length = len(record) if self.record_length is None else self.record_length
        opaque_length = len(opaque) if self.opaque_length is None else self.opaque_length
        return b"".join([
            self.request, self.nonce, self.slot,
            self.response, bytes([blocks]), record_length.to_bytes(3, "little"), record,
            self.responder_nonce, opaque_length.to_bytes(2, "little"), opaque,
        ])  # fmt: skip


def scalar(value: int) -> bytes:
    return value.to_bytes(48, "big")


Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Extensions = Sequence[tuple[x509.ExtensionType, bool]]
P256, P521 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP521R1())
BRAINPOOL = ec.generate_private_key(ec.BrainpoolP384R1())  # as long as P-384
RSA = rsa.generate_private_key(65537, 2048)


@dataclass(frozen=True)
class Made:
    key: Any
    certificate: x509.Certificate


def usage(*names: str) -> tuple[x509.ExtensionType, bool]:
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    every += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{each: each in names for each in every}), True


def constraints(ca: bool = True, path_length: int | None = None) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca, path_length), True


def firmware(oid: x509.ObjectIdentifier = HOPPER, digest: bytes = FIRMWARE) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(oid, b"\x30\x32\x04" + bytes([len(digest)]) + digest), False


AUTHORITY: Extensions = (constraints(), usage("key_cert_sign", "crl_sign"))
DEVICE: Extensions = (usage("digital_signature"), firmware())


def make(
    name: str,
    issuer: Made | None,
    extensions: Extensions,
    *,
    key: Key | None = None,
    begins: dt.datetime = BEGINS,
    ends: dt.datetime = ENDS,
    algorithm: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 = hashes.SHA384(),  # noqa: B008
    issuer_name: str | None = None,
    serial: int = 0x0A0B0C,
) -> Made:
    key = key or ec.generate_private_key(ec.SECP384R1())
    subject = distinguished(name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(distinguished(issuer_name) if issuer_name else issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Made(key, builder.sign(issuer.key if issuer else key, algorithm))


def distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Chain:
    """A chain in which everything can be wrong, with what its device signs."""

    def __init__(
        self,
        device: Mapping[str, Any] | None = None,
        intermediate: Mapping[str, Any] | None = None,
        root: Mapping[str, Any] | None = None,
    ) -> None:
        self.root = self._make("root", None, AUTHORITY, root)
        self.intermediate = self._make("intermediate", self.root, AUTHORITY, intermediate)
        self.device = self._make("device", self.intermediate, DEVICE, device)

    @staticmethod
    def _make(name: str, issuer: Made | None, extensions: Extensions, wrong: Mapping[str, Any] | None) -> Made:
        arguments: dict[str, Any] = {"name": name, "issuer": issuer, "extensions": extensions}
        return make(**(arguments | dict(wrong or {})))

    def report(self, opaque: Sequence[bytes] = (VBIOS, DRIVER, tlv(20, FIRMWARE))) -> bytes:
        transcript = Transcript(opaque=opaque).raw
        if not isinstance(self.device.key, ec.EllipticCurvePrivateKey) or self.device.key.key_size != 384:
            return transcript + bytes(96)
        r, s = utils.decode_dss_signature(self.device.key.sign(transcript, ec.ECDSA(hashes.SHA384())))
        return transcript + scalar(r) + scalar(s)

    def pem(self) -> bytes:
        return pem(self.device.certificate, self.intermediate.certificate, self.root.certificate)

    def verify(self, report: bytes | None = None, chain: bytes | None = None, at: dt.datetime = AT) -> GpuClaims:
        return verify(
            self.report() if report is None else report,
            self.pem() if chain is None else chain,
            roots=[self.root.certificate],
            at=at,
        )


CHAIN = Chain()


def refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(Rejected) as caught:
        call()
    assert caught.value.code is Code.GPU_CERTIFICATE_INVALID
    said = f"{caught.value} expected {caught.value.expected} found {caught.value.found}"
    assert re.search(message, said), said
