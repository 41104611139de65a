"""A GPU without any hardware: reports of the form that NVIDIA's have, under a root of its own. They prove nothing.

The certificates are like those of an H100 where `atlas.evidence.nvidia` looks at them: P-384 and SHA-384, an end in the
year 9999, the device's firmware in an extension of the Trusted Computing Group.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

from atlas.evidence.nvidia.report import DRIVER_VERSION, FIRMWARE_ID, VBIOS_VERSION
from atlas.evidence.nvidia.verify import FIRMWARE_EXTENSIONS
from atlas.evidence.simulator.machine import INTEGER, OCTETS, SEQUENCE, tlv
from atlas.evidence.simulator.pki import key_usage
from atlas.keys import Issuer

ROOT_NAME = "Atlas SIMULATED GPU Root CA"

_BEGINS = dt.datetime(2020, 10, 17, tzinfo=dt.UTC)
_ENDS = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
_FIRMWARE = hashlib.sha384(b"Atlas SIMULATED GPU firmware").digest()
_MEASUREMENTS = {each: hashlib.sha384(b"Atlas SIMULATED GPU measurement %d" % each).digest() for each in range(1, 65)}
_SHA384_OID = bytes.fromhex("0609608648016503040202")


class UnsafeSimulatedGpu:
    """A GPU that says whatever it is told to say.

    Args:
        authority: who vouches for it, from `unsafe_simulated_gpu_authority`; a fresh one if none is given.
    """

    def __init__(self, authority: Issuer | None = None) -> None:
        authority = authority or unsafe_simulated_gpu_authority()
        intermediate = _certify("Atlas SIMULATED GPU Identity", authority, ca=True)
        device = _certify("Atlas SIMULATED GPU", intermediate, ca=False)
        self._key = device.key
        self.root = authority.certificate
        """Who vouches for it."""
        self.chain = (device.certificate, intermediate.certificate, authority.certificate)
        """Device first, root last."""

    @property
    def chain_pem(self) -> bytes:
        """The chain in PEM."""
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in self.chain)

    def report(
        self,
        nonce: bytes,
        *,
        measurements: Mapping[int, bytes] | None = None,
        driver: str = "550.90.07",
        vbios: str = "96.00.9F.00.01",
    ) -> bytes:
        """Report for a nonce of 32 bytes.

        Args:
            nonce: from `gpu_nonce`.
            measurements: SHA-384 digests by index; 64 of them if none are given.
            driver: version of the driver.
            vbios: version of the VBIOS, five bytes in hex with dots between them.
        """
        record = b"".join(
            _field(bytes([index, 1]), _field(b"\x01", digest))
            for index, digest in (_MEASUREMENTS if measurements is None else measurements).items()
        )
        *head, last = bytes.fromhex(vbios.replace(".", ""))
        opaque = (
            _field(VBIOS_VERSION.to_bytes(2, "little"), bytes([*reversed(head), last, 0, 0, 0]))
            + _field(DRIVER_VERSION.to_bytes(2, "little"), driver.encode() + b"\0")
            + _field(FIRMWARE_ID.to_bytes(2, "little"), _FIRMWARE)
        )
        blocks = len(_MEASUREMENTS if measurements is None else measurements)
        response = bytes.fromhex("11600000") + bytes([blocks]) + len(record).to_bytes(3, "little") + record
        answer = response + hashlib.sha256(nonce).digest() + len(opaque).to_bytes(2, "little") + opaque
        return self.sign(bytes.fromhex("11e001ff") + nonce + b"\0" + answer)

    def sign(self, transcript: bytes) -> bytes:
        """Sign any bytes as if they were a report without its signature."""
        r, s = utils.decode_dss_signature(self._key.sign(transcript, ec.ECDSA(hashes.SHA384())))
        return transcript + r.to_bytes(48, "big") + s.to_bytes(48, "big")


def unsafe_simulated_gpu_authority() -> Issuer:
    """Make a root for simulated GPUs."""
    return _certify(ROOT_NAME, None, ca=True)


def _certify(name: str, issuer: Issuer | None, *, ca: bool) -> Issuer:
    """Make a key and a certificate of it; self-signed if there is no issuer."""
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINS)
        .not_valid_after(_ENDS)
        .add_extension(key_usage(ca=ca), critical=True)
    )
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    else:
        digest = tlv(SEQUENCE, _SHA384_OID + tlv(OCTETS, _FIRMWARE))
        firmware = x509.UnrecognizedExtension(FIRMWARE_EXTENSIONS[0], tlv(SEQUENCE, tlv(INTEGER, b"\x01") + digest))
        builder = builder.add_extension(firmware, critical=False)
    return Issuer(key, builder.sign(issuer.key if issuer else key, hashes.SHA384()))


def _field(head: bytes, value: bytes) -> bytes:
    return head + len(value).to_bytes(2, "little") + value
