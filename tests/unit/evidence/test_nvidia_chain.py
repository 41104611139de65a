"""Certificates of GPUs: whom the root certified for this firmware, and nobody else."""

import datetime as dt
import itertools
import warnings
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from atlas.codes import Code
from atlas.evidence.nvidia import gpu_nonce
from atlas.evidence.nvidia.verify import MAX_CHAIN_BYTES
from unit.evidence.nvidia_support import (
    AT,
    AUTHORITY,
    BEGINS,
    BINDING,
    BRAINPOOL,
    CHAIN,
    CLAIMS,
    DEVICE,
    DIGESTS,
    DRIVER,
    ELSEWHERE,
    ENDS,
    FIRMWARE,
    GPU,
    INTERMEDIATE,
    LEAF,
    OTHER,
    P256,
    P521,
    ROOT,
    RSA,
    TCB_INFO,
    VBIOS,
    Chain,
    Extensions,
    armoured,
    code_of,
    constraints,
    firmware,
    make,
    pem,
    refused,
    tlv,
    usage,
    verify,
)

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
