"""Evidence of GPUs against anything at all, and against recordings of real ones."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.evidence.nvidia import parse_report
from unit.evidence.nvidia_support import GPU, REPORT, Transcript, armoured, code_of, verify

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
