"""Reports of GPUs: each byte matters, and what signs and asks for them is held against them."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.binding import bind
from atlas.evidence.nvidia import gpu_nonce, parse_report
from atlas.evidence.nvidia.report import MAX_BYTES
from atlas.evidence.simulator.gpu import ROOT_NAME, UnsafeSimulatedGpu, unsafe_simulated_gpu_authority
from unit.evidence.nvidia_support import (
    BINDING,
    CLAIMS,
    CONTEXT,
    DIGESTS,
    DRIVER,
    FIRMWARE,
    FWID,
    GPU,
    OTHER,
    P384_ORDER,
    REPORT,
    VBIOS,
    Chain,
    Transcript,
    block,
    code_of,
    scalar,
    tlv,
    verify,
)


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
