import base64
import dataclasses
import datetime as dt
import hashlib
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.binding import Context, bind
from atlas.evidence.nvidia import GpuClaims, gpu_nonce, parse_report, verify_gpu
from atlas.evidence.nvidia.report import MAX_BYTES
from atlas.evidence.nvidia.verify import MAX_CHAIN_BYTES
from atlas.evidence.simulator.gpu import ROOT_NAME, UnsafeSimulatedGpu, unsafe_simulated_gpu_authority

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


class TestParse:
    def test_layout(self) -> None:
        assert REPORT[:-96] == Transcript().raw
        report = parse_report(REPORT)
        assert report.nonce == gpu_nonce(BINDING)
        assert report.responder_nonce == hashlib.sha256(gpu_nonce(BINDING)).digest()
        assert report.measurements == DIGESTS
        assert report.driver_version == "550.90.07"
        assert report.vbios_version == "96.00.9F.00.01"
        assert set(report.opaque) == {3, 6, 20}
        assert report.signed + report.signature == REPORT
        assert len(report.signature) == 96

    def test_all_measurements_of_a_simulated_gpu(self) -> None:
        report = parse_report(GPU.report(bytes(32)))

        assert list(report.measurements) == list(range(1, 65))
        assert len(set(report.measurements.values())) == 64

    def test_other_versions(self) -> None:
        report = parse_report(GPU.report(bytes(32), driver="580.1", vbios="97.00.5E.10.FE"))

        assert (report.driver_version, report.vbios_version) == ("580.1", "97.00.5E.10.FE")

    def test_what_is_allowed(self) -> None:
        record = [block(0xFE, kind=4), block(1, kind=0)]
        opaque = [tlv(99, b""), DRIVER, tlv(0xFFFF, b"\xff"), VBIOS]
        report = parse_report(Transcript(record=record, opaque=opaque).raw + bytes(96))

        assert list(report.measurements) == [0xFE, 1]
        assert (report.opaque[99], report.opaque[0xFFFF]) == (b"", b"\xff")

    def test_truncated_anywhere(self) -> None:
        assert {code_of(lambda end=end: parse_report(REPORT[:end])) for end in range(len(REPORT))} == {  # type: ignore[misc]
            Code.GPU_REPORT_MALFORMED
        }

    @pytest.mark.parametrize("more", [b"\0", b"\n", bytes(96), REPORT])
    def test_trailing_bytes(self, more: bytes) -> None:
        assert code_of(lambda: verify(REPORT + more)) is Code.GPU_REPORT_MALFORMED

    def test_largest(self) -> None:
        opaque = [VBIOS, DRIVER, FWID]
        room = MAX_BYTES - len(Transcript(opaque=[*opaque, tlv(99, b"")]).raw) - 96

        verify(GPU.sign(Transcript(opaque=[*opaque, tlv(99, bytes(room))]).raw))
        with pytest.raises(Rejected, match="at most") as caught:
            verify(GPU.sign(Transcript(opaque=[*opaque, tlv(99, bytes(room + 1))]).raw))
        assert caught.value.code is Code.GPU_REPORT_MALFORMED

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            pytest.param({"request": bytes.fromhex("10e001ff")}, "signed, in SPDM 1.1", id="request of SPDM 1.0"),
            pytest.param({"request": bytes.fromhex("12e001ff")}, "signed, in SPDM 1.1", id="request of SPDM 1.2"),
            pytest.param({"request": bytes.fromhex("118301ff")}, "signed, in SPDM 1.1", id="a challenge"),
            pytest.param({"request": bytes.fromhex("11e000ff")}, "signed, in SPDM 1.1", id="no signature wanted"),
            pytest.param({"request": bytes.fromhex("11e00101")}, "signed, in SPDM 1.1", id="one measurement wanted"),
            pytest.param({"nonce": bytes(31)}, "slot", id="short nonce"),
            pytest.param({"nonce": bytes(33)}, "response", id="long nonce"),
            pytest.param({"slot": b"\1"}, "slot", id="another slot"),
            pytest.param({"response": bytes.fromhex("10600000")}, "response", id="response of SPDM 1.0"),
            pytest.param({"response": bytes.fromhex("117f0000")}, "response", id="an error"),
            pytest.param({"response": bytes.fromhex("11600100")}, "response", id="parameter 1"),
            pytest.param({"response": bytes.fromhex("11600001")}, "response", id="parameter 2"),
            pytest.param({"blocks": 1}, "bytes follow the measurement record", id="a block too few"),
            pytest.param({"blocks": 3}, "measurement record ends", id="a block too many"),
            pytest.param({"blocks": 0}, "bytes follow the measurement record", id="no blocks counted"),
            pytest.param({"record": []}, "no measurements", id="no measurements"),
            pytest.param({"record_length": 0}, "measurement record ends", id="record of no bytes"),
            pytest.param({"record_length": 109}, "measurement record ends", id="short record"),
            pytest.param({"record_length": 111}, "bytes follow the measurement record", id="long record"),
            pytest.param({"record_length": 0xFFFFFF}, "report ends", id="record longer than the report"),
            pytest.param({"opaque_length": 0}, "bytes follow the report", id="no opaque data counted"),
            pytest.param({"opaque_length": 77}, "opaque data ends", id="short opaque data"),
            pytest.param({"opaque_length": 79}, "opaque data ends", id="long opaque data"),
            pytest.param({"opaque_length": 0xFFFF}, "report ends", id="opaque data longer than the report"),
            pytest.param({"record": [block(1), block(1)]}, "index 1", id="an index twice"),
            pytest.param({"record": [block(1), block(2), block(1, value=DIGESTS[2])]}, "index 1", id="two values"),
            pytest.param({"record": [block(0)]}, "index 0", id="index 0"),
            pytest.param({"record": [block(255)]}, "index 255", id="index 255"),
            pytest.param({"record": [block(specification=2)]}, "not a SHA-384", id="specification of another body"),
            pytest.param({"record": [block(kind=0x81)]}, "not a SHA-384", id="raw data"),
            pytest.param({"record": [block(kind=5)]}, "not a SHA-384", id="type that SPDM 1.1 does not have"),
            pytest.param({"record": [block(value=bytes(32))]}, "not a SHA-384", id="SHA-256"),
            pytest.param({"record": [block(value=bytes(64))]}, "not a SHA-384", id="SHA-512"),
            pytest.param({"record": [block(value=b"")]}, "not a SHA-384", id="empty digest"),
            pytest.param({"record": [block(size=50)]}, "not a SHA-384", id="short block"),
            pytest.param({"record": [block(size=52)]}, "not a SHA-384", id="long block"),
            pytest.param({"record": [block(value_size=47)]}, "not a SHA-384", id="short value"),
            pytest.param({"record": [block(value_size=49)]}, "not a SHA-384", id="long value"),
            pytest.param({"opaque": []}, "driver", id="no opaque data"),
            pytest.param({"opaque": [VBIOS]}, "driver", id="no driver"),
            pytest.param({"opaque": [DRIVER]}, "VBIOS", id="no VBIOS"),
            pytest.param({"opaque": [VBIOS, DRIVER, VBIOS]}, "field 6 is there twice", id="VBIOS twice"),
            pytest.param({"opaque": [DRIVER, tlv(3, b"1.0\0"), VBIOS]}, "field 3 is there twice", id="two drivers"),
            pytest.param({"opaque": [VBIOS, DRIVER, FWID, FWID]}, "field 20 is there twice", id="firmware twice"),
            pytest.param({"opaque": [VBIOS, DRIVER, tlv(99, b""), tlv(99, b"")]}, "twice", id="unknown field twice"),
            pytest.param({"opaque": [VBIOS, DRIVER, b"\1"]}, "opaque data ends", id="half a type"),
            pytest.param({"opaque": [VBIOS, DRIVER, b"\1\0\1"]}, "opaque data ends", id="half a size"),
            pytest.param({"opaque": [VBIOS, DRIVER, tlv(99, b"", 1)]}, "opaque data ends", id="size past the end"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"")]}, "driver", id="empty driver"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"\0")]}, "driver", id="driver of no digits"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"550.90")]}, "driver", id="driver without NUL"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"550.90\0\0")]}, "driver", id="driver with two NULs"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"550.90\n\0")]}, "driver", id="driver with a line end"),
            pytest.param({"opaque": [VBIOS, tlv(3, b"550..90\0")]}, "driver", id="driver with a gap"),
            pytest.param({"opaque": [VBIOS, tlv(3, "٥٥٠\0".encode())]}, "driver", id="driver in other digits"),
            pytest.param({"opaque": [DRIVER, tlv(6, bytes(7))]}, "VBIOS", id="short VBIOS"),
            pytest.param({"opaque": [DRIVER, tlv(6, bytes(9))]}, "VBIOS", id="long VBIOS"),
            pytest.param({"opaque": [DRIVER, tlv(6, b"\0\0\0\0\1\1\0\0")]}, "VBIOS", id="VBIOS with a sixth byte"),
        ],
    )
    def test_malformed_though_signed(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(Rejected, match=message) as caught:
            verify(GPU.sign(Transcript(**wrong).raw))
        assert caught.value.code is Code.GPU_REPORT_MALFORMED


# ------------------------------------------------------------------------------------------------------- the report


class TestAccept:
    def test_claims(self) -> None:
        assert verify() == CLAIMS

    def test_one_root_of_several(self) -> None:
        assert verify(roots=[OTHER.root, GPU.root]) == CLAIMS

    def test_two_gpus_of_one_authority(self) -> None:
        authority = unsafe_simulated_gpu_authority()
        gpus = [UnsafeSimulatedGpu(authority) for _ in range(2)]
        claims = [
            verify(each.report(gpu_nonce(BINDING)), each.chain_pem, roots=[authority.certificate]) for each in gpus
        ]

        assert claims[0].root == claims[1].root
        assert claims[0].serial != claims[1].serial

    def test_the_simulator_is_named_for_what_it_is(self) -> None:
        assert [each.value for each in GPU.root.subject] == [ROOT_NAME]
        assert all("SIMULATED" in each.subject.rfc4514_string() for each in GPU.chain)

    def test_no_newline_at_the_end_and_windows_newlines(self) -> None:
        assert verify(chain=GPU.chain_pem.rstrip()) == CLAIMS
        assert verify(chain=GPU.chain_pem.replace(b"\n", b"\r\n")) == CLAIMS


def flips() -> Iterator[tuple[str, int, str, str]]:
    """Parts of `REPORT`, their sizes, and what a flipped bit 0 or bit 7 of a byte makes: M(alformed) or S(ignature)."""
    yield from [("request", 4, "M", "M"), ("nonce", 32, "S", "S"), ("slot", 1, "M", "M")]
    yield from [("response", 4, "M", "M"), ("blocks and record length", 4, "M", "M")]
    for index, flipped in ((1, "M"), (2, "S")):  # 0 is reserved, 3 is another index
        yield from [(f"index {index}", 1, flipped, "S"), ("specification and size", 3, "M", "M")]
        yield from [("type", 1, "S", "M"), ("digest size", 2, "M", "M"), ("digest", 48, "S", "S")]
    yield from [("responder's nonce", 32, "S", "S"), ("opaque length", 2, "M", "M")]
    yield from [("VBIOS field", 4, "M", "M"), ("VBIOS", 5, "S", "S"), ("VBIOS's zeros", 3, "M", "M")]
    yield ("driver field", 4, "M", "M")
    for character in "550.90.07\0":
        yield ("driver", 1, "S" if character.isdigit() else "M", "M")
    yield from [("firmware field", 2, "S", "S"), ("firmware size", 2, "M", "M"), ("firmware", 48, "S", "S")]
    yield ("signature", 96, "S", "S")


class TestFlippedBits:
    @pytest.mark.parametrize("mask", [0x01, 0x80])
    def test_every_byte(self, mask: int) -> None:
        codes = {"M": Code.GPU_REPORT_MALFORMED, "S": Code.GPU_SIGNATURE_INVALID}
        expected = [
            (at, part, codes[low if mask == 1 else high])
            for at, (part, low, high) in enumerate(
                (part, low, high) for part, size, low, high in flips() for _ in range(size)
            )
        ]
        assert len(expected) == len(REPORT)
        found = []
        for at, part, _ in expected:
            flipped = bytearray(REPORT)
            flipped[at] ^= mask
            found.append((at, part, code_of(lambda raw=bytes(flipped): verify(raw))))  # type: ignore[misc]
        assert found == expected


def scalar(value: int) -> bytes:
    return value.to_bytes(48, "big")


class TestSignature:
    R, S = (int.from_bytes(each, "big") for each in (REPORT[-96:-48], REPORT[-48:]))

    @pytest.mark.parametrize(
        "signature",
        [
            pytest.param(bytes(96), id="zeros"),
            pytest.param(b"\xff" * 96, id="ones"),
            pytest.param(bytes(48) + scalar(S), id="r of zero"),
            pytest.param(scalar(R) + bytes(48), id="s of zero"),
            pytest.param(scalar(S) + scalar(R), id="s before r"),
            pytest.param(scalar(R)[::-1] + scalar(S)[::-1], id="little-endian"),
            pytest.param(scalar(P384_ORDER - R) + scalar(S), id="r negated"),
            pytest.param(scalar(P384_ORDER) + scalar(P384_ORDER), id="n"),
            pytest.param(scalar(R) + scalar(S + 1), id="s and one"),
            pytest.param(OTHER.sign(REPORT[:-96])[-96:], id="another GPU's"),
            pytest.param(GPU.sign(REPORT[37:-96])[-96:], id="over the response alone"),
            pytest.param(GPU.sign(REPORT)[-96:], id="over the signature too"),
            pytest.param(GPU.sign(hashlib.sha384(REPORT[:-96]).digest())[-96:], id="over the digest"),
            pytest.param(GPU.report(bytes(32), measurements=DIGESTS)[-96:], id="of another report"),
        ],
    )
    def test_refused(self, signature: bytes) -> None:
        assert code_of(lambda: verify(REPORT[:-96] + signature)) is Code.GPU_SIGNATURE_INVALID

    def test_the_twin_is_accepted_and_is_the_same_report(self) -> None:
        """ECDSA has (r, s) and (r, n - s); a report's identity is what is signed, and both claim the same."""
        twin = REPORT[:-48] + scalar(P384_ORDER - self.S)

        assert twin != REPORT
        assert verify(twin) == CLAIMS
        assert parse_report(twin).signed == parse_report(REPORT).signed

    def test_sha256_is_not_accepted(self) -> None:
        made = Chain()
        r, s = utils.decode_dss_signature(made.device.key.sign(REPORT[:-96], ec.ECDSA(hashes.SHA256())))

        assert code_of(lambda: made.verify(REPORT[:-96] + scalar(r) + scalar(s))) is Code.GPU_SIGNATURE_INVALID


class TestNonce:
    def test_derivation(self) -> None:
        assert gpu_nonce(b"A" * 48).hex() == "4d117fbbdf08ce59054c6db5b391219ee96e0b6992fa10c41b61a4928380e3c7"

    @pytest.mark.parametrize(
        "nonce",
        [
            pytest.param(gpu_nonce(bind(b"key", dataclasses.replace(CONTEXT, task="sibling"), b"statement").digest)),
            pytest.param(gpu_nonce(bind(b"key", dataclasses.replace(CONTEXT, run="run-2"), b"statement").digest)),
            pytest.param(gpu_nonce(bind(b"key", dataclasses.replace(CONTEXT, attempt=1), b"statement").digest)),
            pytest.param(gpu_nonce(bind(b"another key", CONTEXT, b"statement").digest)),
            pytest.param(gpu_nonce(bind(b"key", CONTEXT, b"another statement").digest)),
            pytest.param(BINDING[:32], id="the binding itself"),
            pytest.param(hashlib.sha256(BINDING).digest(), id="without the domain"),
            pytest.param(bytes(32), id="zeros"),
            pytest.param(gpu_nonce(BINDING)[::-1], id="backwards"),
        ],
    )
    def test_of_another_step(self, nonce: bytes) -> None:
        with pytest.raises(Rejected) as caught:
            verify(GPU.report(nonce, measurements=DIGESTS))
        assert caught.value.code is Code.GPU_NONCE_MISMATCH
        assert (caught.value.expected, caught.value.found) == (gpu_nonce(BINDING).hex(), nonce.hex())

    def test_in_the_place_of_the_responders(self) -> None:
        report = GPU.sign(Transcript(nonce=bytes(32), responder_nonce=gpu_nonce(BINDING)).raw)

        assert code_of(lambda: verify(report)) is Code.GPU_NONCE_MISMATCH

    def test_another_binding(self) -> None:
        assert code_of(lambda: verify(binding=bytes(48))) is Code.GPU_NONCE_MISMATCH


class TestOrder:
    """What is said first when several things are wrong."""

    def test_malformed_before_the_chain(self) -> None:
        assert code_of(lambda: verify(REPORT[:-1], b"")) is Code.GPU_REPORT_MALFORMED

    def test_chain_before_the_signature(self) -> None:
        assert code_of(lambda: verify(REPORT[:-96] + bytes(96), b"")) is Code.GPU_CERTIFICATE_INVALID

    def test_signature_before_the_firmware(self) -> None:
        report = Transcript(opaque=[VBIOS, DRIVER, tlv(20, FIRMWARE)]).raw + bytes(96)

        assert code_of(lambda: verify(report)) is Code.GPU_SIGNATURE_INVALID

    def test_signature_before_the_nonce(self) -> None:
        report = Transcript(nonce=bytes(32)).raw + bytes(96)

        assert code_of(lambda: verify(report)) is Code.GPU_SIGNATURE_INVALID


# ---------------------------------------------------------------------------------------------------- certificates

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


NO_AUTHORITY = "not of an authority"


class TestCertificates:
    def test_made_well(self) -> None:
        assert CHAIN.verify().serial == "0a0b0c"

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            pytest.param({"device": {"key": P256}}, "'CN=device' is not of a P-384", id="device of P-256"),
            pytest.param({"device": {"key": P521}}, "'CN=device' is not of a P-384", id="device of P-521"),
            pytest.param({"device": {"key": BRAINPOOL}}, "'CN=device' is not of a P-384", id="device of brainpool"),
            pytest.param({"device": {"key": RSA}}, "'CN=device' is not of a P-384", id="device of RSA"),
            pytest.param({"intermediate": {"key": P256}}, "'CN=intermediate' is not of a P-384", id="P-256 between"),
            pytest.param({"intermediate": {"key": RSA}}, "'CN=device' is not signed with ECDSA", id="RSA between"),
            pytest.param({"root": {"key": P256}}, "'CN=root' is not of a P-384", id="root of P-256"),
            pytest.param({"device": {"algorithm": hashes.SHA256()}}, "'CN=device' is not signed", id="SHA-256"),
            pytest.param({"device": {"algorithm": hashes.SHA512()}}, "'CN=device' is not signed", id="SHA-512"),
            pytest.param({"root": {"algorithm": hashes.SHA256()}}, "'CN=root' is not signed", id="root with SHA-256"),
            pytest.param(
                {"device": {"extensions": [constraints(), usage("digital_signature"), firmware()]}},
                "'CN=device' is not of a device",
                id="device that says it is an authority",
            ),
            pytest.param(
                {"device": {"extensions": [usage("digital_signature", "key_cert_sign"), firmware()]}},
                "'CN=device' is not of a device",
                id="device that may sign certificates",
            ),
            pytest.param(
                {"device": {"extensions": [usage("key_agreement"), firmware()]}},
                "'CN=device' is not of a device",
                id="device that may not sign",
            ),
            pytest.param({"device": {"extensions": [firmware()]}}, "KeyUsage", id="device without usage"),
            pytest.param({"device": {"extensions": []}}, "cannot be used", id="device without extensions"),
            pytest.param(
                {"intermediate": {"extensions": [constraints(ca=False), usage("key_cert_sign")]}},
                f"'CN=intermediate' is {NO_AUTHORITY}",
                id="CA:FALSE between",
            ),
            pytest.param(
                {"intermediate": {"extensions": [constraints(), usage("digital_signature")]}},
                f"'CN=intermediate' is {NO_AUTHORITY}",
                id="between, and may not sign certificates",
            ),
            pytest.param({"intermediate": {"extensions": [constraints()]}}, "KeyUsage", id="no usage between"),
            pytest.param(
                {"intermediate": {"extensions": [usage("key_cert_sign")]}}, "BasicConstraints", id="no CA between"
            ),
            pytest.param(
                {"root": {"extensions": [constraints(ca=False), usage("key_cert_sign")]}},
                f"'CN=root' is {NO_AUTHORITY}",
                id="root with CA:FALSE",
            ),
            pytest.param(
                {"root": {"extensions": [constraints(path_length=0), usage("key_cert_sign")]}},
                "may have 0 authorities below it, not 1",
                id="path too long",
            ),
            pytest.param({"device": {"ends": AT - dt.timedelta(seconds=1)}}, "'CN=device' was not valid", id="expired"),
            pytest.param({"device": {"begins": AT + dt.timedelta(seconds=1)}}, "'CN=device' was not valid", id="early"),
            pytest.param(
                {"intermediate": {"ends": AT - dt.timedelta(seconds=1)}}, "intermediate' was not valid", id="expired CA"
            ),
            pytest.param({"root": {"ends": AT - dt.timedelta(seconds=1)}}, "'CN=root' was not", id="expired root"),
            pytest.param({"root": {"begins": AT + dt.timedelta(seconds=1)}}, "'CN=root' was not", id="early root"),
            pytest.param(
                {"device": {"extensions": [*DEVICE, (x509.UnrecognizedExtension(TCB_INFO, b"\x05\0"), True)]}},
                "critical extension 2.23.133.5.4.1.1",
                id="critical extension of the device",
            ),
            pytest.param(
                {"intermediate": {"extensions": [*AUTHORITY, (x509.NameConstraints([x509.DNSName("a")], None), True)]}},
                "critical extension 2.5.29.30",
                id="name constraints",
            ),
            pytest.param({"device": {"issuer": CHAIN.intermediate}}, "was not signed by", id="of a namesake"),
            pytest.param({"intermediate": {"issuer": CHAIN.root}}, "was not signed by", id="of a namesake of the root"),
            pytest.param({"device": {"issuer_name": "intermediatf"}}, "cannot be used", id="names another issuer"),
            pytest.param({"device": {"issuer": CHAIN.root}}, "cannot be used", id="issued past the intermediate"),
            pytest.param(
                {"root": {"issuer": CHAIN.intermediate, "issuer_name": "root"}},
                "'CN=root' was not signed by the certificate of 'CN=root'",
                id="root by another",
            ),
        ],
    )  # fmt: skip
    def test_refused(self, wrong: dict[str, Any], message: str) -> None:
        refused(Chain(**wrong).verify, message)

    @pytest.mark.parametrize(
        "unusual",
        [
            pytest.param(
                {"root": {"extensions": [constraints(path_length=1), usage("key_cert_sign")]}}, id="path of 1"
            ),
            pytest.param(
                {"intermediate": {"extensions": [constraints(path_length=0), usage("key_cert_sign")]}}, id="path of 0"
            ),
            pytest.param({"device": {"extensions": [constraints(ca=False), *DEVICE]}}, id="device with CA:FALSE"),
            pytest.param({"device": {"begins": AT, "ends": AT}}, id="valid for this very second"),
            pytest.param({"root": {"ends": dt.datetime(9999, 12, 31, 23, 59, 59)}}, id="for ever"),
            pytest.param({"device": {"extensions": [usage("digital_signature"), firmware(TCB_INFO)]}}, id="TCB info"),
            pytest.param(
                {"device": {"extensions": [*DEVICE, (x509.UnrecognizedExtension(TCB_INFO, b"junk"), False)]}},
                id="junk in another extension",
            ),
        ],
    )
    def test_accepted(self, unusual: dict[str, Any]) -> None:
        assert Chain(**unusual).verify().measurements == CLAIMS.measurements

    def test_the_time_counts(self) -> None:
        CHAIN.verify(at=BEGINS)
        CHAIN.verify(at=ENDS)
        refused(lambda: CHAIN.verify(at=BEGINS - dt.timedelta(seconds=1)), "was not valid")
        refused(lambda: CHAIN.verify(at=ENDS + dt.timedelta(seconds=1)), "was not valid")

    @pytest.mark.parametrize("extensions", [DEVICE, (constraints(ca=False), *DEVICE)])
    def test_a_device_issues_nothing(self, extensions: Extensions) -> None:
        """Whoever has a GPU's key must not be able to make GPUs."""
        made = Chain(device={"extensions": extensions})
        forged = Chain(device={"issuer": made.device, "name": "forged"})
        chain = pem(*(each.certificate for each in (forged.device, made.device, made.intermediate, made.root)))

        refused(lambda: made.verify(forged.report(), chain), f"{NO_AUTHORITY}|BasicConstraints")


def device_der(*more: x509.ExtensionType, old: str = "", new: str = "") -> bytes:
    """A device's certificate, patched: not one that its issuer would have signed."""
    extensions = [*DEVICE, *((each, False) for each in more)]
    made = Chain(device={"issuer": CHAIN.intermediate, "extensions": extensions})
    der = made.device.certificate.public_bytes(serialization.Encoding.DER)
    start = der.rindex(bytes.fromhex(old))
    return der[:start] + bytes.fromhex(new) + der[start + len(bytes.fromhex(new)) :]


class TestUnreadable:
    @pytest.mark.parametrize("action", ["error", "ignore"])  # the library warns of some of it
    @pytest.mark.parametrize(
        ("der", "message"),
        [
            pytest.param(device_der(old="02030a0b0c", new="0203fedcba"), "serial number", id="negative serial number"),
            pytest.param(device_der(old="a003020102", new="a003020105"), "version", id="version 6"),
            pytest.param(device_der(old="06072a8648ce3d0201", new="06072a8648ce3d0277"), "key type", id="kind of key"),
            pytest.param(device_der(old="06052b81040022", new="06052b8104000a"), "Invalid key", id="another curve"),
            pytest.param(
                device_der(
                    x509.UnrecognizedExtension(ELSEWHERE, b""),
                    x509.UnrecognizedExtension(x509.ObjectIdentifier("2.23.133.5.4.8"), b""),
                    old="06066781050504",
                    new="0606678105050409",
                ),
                "Duplicate 2.23.133.5.4.9",
                id="an extension twice",
            ),
            pytest.param(
                device_der(x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), b"\x30\x02\xa3\x00")),
                "not supported",
                id="a name of an odd type",
            ),
        ],
    )
    def test_refused(self, der: bytes, message: str, action: Literal["error", "ignore"]) -> None:
        authorities = (CHAIN.intermediate, CHAIN.root)
        chain = armoured(der, *(each.certificate.public_bytes(serialization.Encoding.DER) for each in authorities))

        with warnings.catch_warnings():
            warnings.simplefilter(action)
            refused(lambda: CHAIN.verify(chain=chain), message)


class TestFirmware:
    def test_not_reported(self) -> None:
        assert CHAIN.verify(CHAIN.report([VBIOS, DRIVER])).serial == "0a0b0c"

    @pytest.mark.parametrize(
        "reported",
        [
            pytest.param(bytes(48), id="other"),
            pytest.param(FIRMWARE[:47] + b"\0", id="almost"),
            pytest.param(FIRMWARE[:32], id="a part"),
            pytest.param(b"", id="empty"),
        ],
    )
    def test_other_than_certified(self, reported: bytes) -> None:
        refused(lambda: CHAIN.verify(CHAIN.report([VBIOS, DRIVER, tlv(20, reported)])), "other firmware")

    @pytest.mark.parametrize(
        "extensions",
        [
            pytest.param([usage("digital_signature")], id="none"),
            pytest.param([usage("digital_signature"), firmware(digest=bytes(48))], id="other"),
            pytest.param([usage("digital_signature"), firmware(ELSEWHERE)], id="elsewhere"),
            pytest.param([usage("digital_signature"), firmware(digest=FIRMWARE + b"\0")], id="longer"),
        ],
    )  # fmt: skip
    def test_not_certified(self, extensions: Extensions) -> None:
        refused(Chain(device={"extensions": extensions}).verify, "other firmware")


class TestChain:
    def test_foreign_root(self) -> None:
        refused(lambda: verify(roots=[CHAIN.root.certificate]), f"found {CLAIMS.root}")

    def test_root_of_the_same_name(self) -> None:
        assert OTHER.root.subject == GPU.root.subject
        refused(lambda: verify(roots=[OTHER.root]), f"found {CLAIMS.root}")

    def test_root_of_the_same_name_and_key(self) -> None:
        again = make("root", None, AUTHORITY, key=CHAIN.root.key, serial=7)

        refused(lambda: verify(CHAIN.report(), CHAIN.pem(), roots=[again.certificate]), "expected")

    def test_root_twice_in_other_bytes(self) -> None:
        again = make("root", None, AUTHORITY, key=CHAIN.root.key)
        chain = pem(*(each.certificate for each in (CHAIN.device, CHAIN.intermediate, again, CHAIN.root)))

        assert again.certificate != CHAIN.root.certificate
        refused(lambda: CHAIN.verify(chain=chain), "there twice")

    def test_no_roots(self) -> None:
        refused(lambda: verify(roots=[]), "a root for GPUs")

    def test_intermediate_or_device_for_a_root(self) -> None:
        refused(lambda: verify(chain=pem(LEAF, INTERMEDIATE), roots=[INTERMEDIATE]), "was not signed|cannot be used")
        refused(lambda: verify(chain=pem(LEAF), roots=[LEAF]), "was not signed|cannot be used")
        refused(lambda: verify(chain=pem(ROOT), roots=[ROOT]), "not of a device")

    def test_self_chosen_root(self) -> None:
        report = OTHER.report(gpu_nonce(BINDING), measurements=DIGESTS)

        refused(lambda: verify(report, OTHER.chain_pem), "expected")
        refused(lambda: verify(report, pem(*OTHER.chain[:2], ROOT)), "was not signed by")
        refused(lambda: verify(report, pem(*OTHER.chain, ROOT)), "was not signed by")
        refused(lambda: verify(report, pem(OTHER.chain[0], INTERMEDIATE, ROOT)), "was not signed by")

    @pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[1:])
    def test_reordered(self, order: tuple[int, ...]) -> None:
        refused(lambda: verify(chain=pem(*(GPU.chain[each] for each in order))), "expected|not of a device|authority")

    @pytest.mark.parametrize(
        ("chain", "message"),
        [
            pytest.param(pem(LEAF, ROOT), "cannot be used", id="no intermediate"),
            pytest.param(pem(LEAF, INTERMEDIATE), "expected", id="no root"),
            pytest.param(pem(INTERMEDIATE, ROOT), "not of a device", id="no device"),
            pytest.param(pem(LEAF), "expected", id="device alone"),
            pytest.param(pem(LEAF, INTERMEDIATE, ROOT, ROOT), "there twice", id="root twice"),
            pytest.param(pem(LEAF, LEAF, INTERMEDIATE, ROOT), "there twice", id="device twice"),
            pytest.param(pem(LEAF, INTERMEDIATE, INTERMEDIATE, ROOT), "there twice", id="intermediate twice"),
            pytest.param(pem(LEAF, INTERMEDIATE, ROOT, OTHER.root), "expected", id="another root at the end"),
            pytest.param(pem(LEAF, INTERMEDIATE, OTHER.root, ROOT), "was not signed by", id="another root between"),
            pytest.param(pem(OTHER.chain[0], *GPU.chain), "BasicConstraints", id="another device in front"),
            pytest.param(pem(LEAF, OTHER.chain[1], INTERMEDIATE, ROOT), "was not signed by", id="two of a name"),
        ],
    )  # fmt: skip
    def test_missing_or_extra(self, chain: bytes, message: str) -> None:
        refused(lambda: verify(chain=chain), message)

    @pytest.mark.parametrize(
        "chain",
        [
            pytest.param(b"", id="empty"),
            pytest.param(b"\n", id="a line end"),
            pytest.param(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", id="nothing between"),
            pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="no certificate"),
            pytest.param(b"-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n", id="no base64"),
            pytest.param(LEAF.public_bytes(serialization.Encoding.DER), id="DER"),
            pytest.param(b"subject=GPU\n" + GPU.chain_pem, id="text before"),
            pytest.param(GPU.chain_pem + b"\0", id="NUL after"),
            pytest.param(GPU.chain_pem + b"junk", id="text after"),
            pytest.param(pem(LEAF) + b"junk\n" + pem(INTERMEDIATE, ROOT), id="text between"),
            pytest.param(GPU.chain_pem[:-2], id="cut"),
            pytest.param(GPU.chain_pem.replace(b"CERTIFICATE", b"PUBLIC KEY"), id="another label"),
        ],
    )
    def test_not_certificates(self, chain: bytes) -> None:
        assert code_of(lambda: verify(chain=chain)) is Code.GPU_CERTIFICATE_INVALID

    def test_largest(self) -> None:
        fit = MAX_CHAIN_BYTES // len(GPU.chain_pem)

        refused(lambda: verify(chain=GPU.chain_pem * fit), "there twice")
        refused(lambda: verify(chain=GPU.chain_pem * (fit + 1)), "at most")


# ------------------------------------------------------------------------------------------------------------- fuzz

MUTATION = st.tuples(st.integers(0, 1 << 16), st.integers(0, 4), st.binary(max_size=6))


def mutated(raw: bytes, mutations: Sequence[tuple[int, int, bytes]]) -> bytes:
    for where, gone, put in mutations:
        at = where % (len(raw) + 1)
        raw = raw[:at] + put + raw[at + gone :]
    return raw


class TestFuzz:
    @given(st.binary(max_size=400))
    def test_any_bytes(self, raw: bytes) -> None:
        assert code_of(lambda: verify(raw)) is Code.GPU_REPORT_MALFORMED
        assert code_of(lambda: verify(chain=raw)) is Code.GPU_CERTIFICATE_INVALID

    @given(st.binary(max_size=200), st.binary(max_size=200), st.integers(0, 3))
    def test_any_record_and_opaque_data(self, record: bytes, opaque: bytes, blocks: int) -> None:
        raw = Transcript(record=[record], opaque=[opaque], blocks=blocks).raw + bytes(96)

        assert code_of(lambda: verify(raw)) in {Code.GPU_REPORT_MALFORMED, Code.GPU_SIGNATURE_INVALID}

    @settings(deadline=None)
    @given(st.lists(MUTATION, min_size=1, max_size=3))
    def test_mutated_report(self, mutations: list[tuple[int, int, bytes]]) -> None:
        raw = mutated(REPORT, mutations)

        code = code_of(lambda: verify(raw))
        assert (code is None) == (raw == REPORT)
        assert code in {None, Code.GPU_REPORT_MALFORMED, Code.GPU_SIGNATURE_INVALID}

    @settings(deadline=None, max_examples=300)
    @given(st.integers(0, 2), st.lists(MUTATION, min_size=1, max_size=2))
    def test_mutated_certificate(self, which: int, mutations: list[tuple[int, int, bytes]]) -> None:
        chain = [each.public_bytes(serialization.Encoding.DER) for each in GPU.chain]
        chain[which] = mutated(chain[which], mutations)

        code = code_of(lambda: verify(chain=armoured(*chain)))
        if code is None:  # what the issuer signed is as it was
            assert (
                x509.load_der_x509_certificate(chain[which]).tbs_certificate_bytes
                == GPU.chain[which].tbs_certificate_bytes
            )
        else:
            assert code is Code.GPU_CERTIFICATE_INVALID

    @settings(deadline=None)
    @given(st.lists(MUTATION, min_size=1, max_size=3))
    def test_mutated_chain(self, mutations: list[tuple[int, int, bytes]]) -> None:
        chain = mutated(GPU.chain_pem, mutations)

        code = code_of(lambda: verify(chain=chain))
        if code is None:  # lines may end elsewhere
            found = x509.load_pem_x509_certificates(chain)
            assert [each.tbs_certificate_bytes for each in found] == [each.tbs_certificate_bytes for each in GPU.chain]
        else:
            assert code is Code.GPU_CERTIFICATE_INVALID


# ------------------------------------------------------------------------------------------- recordings of real GPUs


@pytest.mark.parametrize(
    ("folder", "driver", "vbios"),
    [("nvtrust", "550.90.07", "96.00.9F.00.01"), ("go-nvtrust", "545.00", "96.00.5E.00.01")],
)
def test_recorded_h100(real_data: Path, folder: str, driver: str, vbios: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published reports of H100s; their nonces are somebody else's, so the last check is made to expect those."""
    found = real_data / "nvidia" / folder
    if not found.is_dir():
        pytest.skip(f"NOT TESTED ON REAL DATA: there is no {found}")
    report = bytes.fromhex((found / "report.hex").read_text())
    chain, root = (found / "chain.pem").read_bytes(), x509.load_pem_x509_certificate((found / "root.pem").read_bytes())
    parsed = parse_report(report)
    flipped = report[:60] + bytes([report[60] ^ 1]) + report[61:]  # in the first digest

    assert code_of(lambda: verify(report, chain)) is Code.GPU_CERTIFICATE_INVALID
    assert code_of(lambda: verify(flipped, chain, roots=[root])) is Code.GPU_SIGNATURE_INVALID
    assert code_of(lambda: verify(report, chain, roots=[root])) is Code.GPU_NONCE_MISMATCH
    monkeypatch.setattr("atlas.evidence.nvidia.verify.gpu_nonce", lambda _: parsed.nonce)
    claims = verify(report, chain, roots=[root])
    assert (claims.driver_version, claims.vbios_version) == (driver, vbios)
    assert list(claims.measurements) == list(range(1, 65))
    assert claims.root == "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"
