"""Establishing that a genuine GPU made a report, and for which step.

Certificates are verified one by one with `cryptography`'s primitives, not with its verifier, whose profile (that of the
web) refuses what a GPU's certificates are like: no names of hosts, extensions of the Trusted Computing Group, an end in
the year 9999. What is asked of them instead (RFC 5280, section 6.1): the device first and a pinned root last, each
issued by the next and the root by itself, P-384 and SHA-384 throughout, valid at the given time, only authorities
issuing, no critical extension that is not understood, and none that has no part in the chain.

What is not done here is said in the package's docstring.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.nvidia.report import FIRMWARE_ID, GpuReport, parse_report

MAX_CHAIN_BYTES = 16 << 10
"""Largest chain that is read; a GPU's has some 5 kB."""
FIRMWARE_EXTENSIONS = (x509.ObjectIdentifier("2.23.133.5.4.1"), x509.ObjectIdentifier("2.23.133.5.4.1.1"))
"""Where a device's certificate tells its firmware (Trusted Computing Group, *DICE Attestation Architecture*)."""

_DOMAIN = b"atlas/gpu-nonce/v1\0"
_PEM = re.compile(rb"(?:-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+\n-----END CERTIFICATE-----(?:\r?\n|$))+")
_UNDERSTOOD = {ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE}
_OCTET_STRING_48 = b"\x04\x30"
_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,  # an error where warnings are: a serial number that is not positive
)


@dataclass(frozen=True)
class GpuClaims:
    """What a genuine GPU said of itself."""

    root: str
    """SHA-256 of the root certificate's DER, hex."""
    driver_version: str
    vbios_version: str
    measurements: Mapping[int, str]
    """SHA-384 digests by index, hex."""
    serial: str
    """Serial number of the device's certificate, hex."""


def gpu_nonce(binding: bytes) -> bytes:
    """What a GPU is asked with, so that its report is bound to the same step as the TDX quote.

    Args:
        binding: the digest that the quote's report data carry, 48 bytes (`atlas.evidence.binding`).

    Returns:
        SHA-256( "atlas/gpu-nonce/v1" NUL ‖ binding ), 32 bytes.
    """
    return hashlib.sha256(_DOMAIN + binding).digest()


def verify_gpu(
    report: bytes, chain_pem: bytes, binding: bytes, roots: Sequence[x509.Certificate], at: dt.datetime
) -> GpuClaims:
    """Verify a GPU's report.

    Args:
        report: request and response, as the GPU's driver hands them out.
        chain_pem: the GPU's certificates, device first, root last.
        binding: what the report must have been made for.
        roots: who may vouch for GPUs.
        at: the time at which all certificates must have been valid, aware of its time zone.

    Raises:
        Rejected: in this order `GpuReportMalformed`, `GpuCertificateInvalid`, `GpuSignatureInvalid`,
            `GpuCertificateInvalid` for a device certified with other firmware than it reports, `GpuNonceMismatch`.
    """
    parsed = parse_report(report)
    chain = _read_chain(chain_pem)
    try:
        key = _check_chain(chain, roots, at)
    except _UNREADABLE as error:
        _untrusted(f"a certificate cannot be used: {error}", error)
    _check_signature(parsed, key)
    _check_firmware(parsed, chain[0])
    expected = gpu_nonce(binding)
    if parsed.nonce != expected:
        raise Rejected(Code.GPU_NONCE_MISMATCH, expected=expected.hex(), found=parsed.nonce.hex())
    serial = chain[0].serial_number
    return GpuClaims(
        root=chain[-1].fingerprint(hashes.SHA256()).hex(),
        driver_version=parsed.driver_version,
        vbios_version=parsed.vbios_version,
        measurements={index: digest.hex() for index, digest in parsed.measurements.items()},
        serial=f"{serial:0{2 * ((serial.bit_length() + 7) // 8)}x}",
    )


def _read_chain(pem: bytes) -> list[x509.Certificate]:
    if len(pem) > MAX_CHAIN_BYTES or _PEM.fullmatch(pem) is None:
        _untrusted(f"the chain is not certificates in PEM, nothing else, of at most {MAX_CHAIN_BYTES} bytes")
    try:
        return x509.load_pem_x509_certificates(pem)
    except _UNREADABLE as error:
        _untrusted(f"a certificate cannot be read: {error}", error)


def _check_chain(
    chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: dt.datetime
) -> ec.EllipticCurvePublicKey:
    """Check everything about a chain.

    Returns:
        The device's key.
    """
    if chain[-1] not in roots:
        raise Rejected(
            Code.GPU_CERTIFICATE_INVALID,
            expected=" or ".join(each.fingerprint(hashes.SHA256()).hex() for each in roots) or "a root for GPUs",
            found=f"{chain[-1].fingerprint(hashes.SHA256()).hex()} ({chain[-1].subject.rfc4514_string()!r})",
        )
    if len({each.tbs_certificate_bytes for each in chain}) != len(chain):  # one may be signed and encoded in two ways
        _untrusted("a certificate is there twice")
    keys = [_check_alone(each, at) for each in chain]
    _check_device(chain[0])
    for below, authority in enumerate(chain[1:]):
        _check_authority(authority, below)
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        try:
            certificate.verify_directly_issued_by(issuer)
        except InvalidSignature as error:
            _untrusted(f"{_name(certificate)} was not signed by {_name(issuer)}", error)
    return keys[0]


def _check_alone(certificate: x509.Certificate, at: dt.datetime) -> ec.EllipticCurvePublicKey:
    """Check what is asked of every certificate."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        _untrusted(f"{_name(certificate)} is not of a P-384 key")
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
        _untrusted(f"{_name(certificate)} is not signed with ECDSA and SHA-384")
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Rejected(
            Code.GPU_CERTIFICATE_INVALID,
            f"{_name(certificate)} was not valid at that time",
            expected=f"{certificate.not_valid_before_utc:%FT%TZ} to {certificate.not_valid_after_utc:%FT%TZ}",
            found=f"{at:%FT%TZ}",
        )
    if certificate.serial_number <= 0:
        _untrusted(f"{_name(certificate)} has a serial number that is not positive")
    unknown = [each.oid for each in certificate.extensions if each.critical and each.oid not in _UNDERSTOOD]
    if unknown:
        _untrusted(f"{_name(certificate)} has the critical extension {unknown[0].dotted_string}")
    return key


def _check_device(certificate: x509.Certificate) -> None:
    constraints = [each.value for each in certificate.extensions if isinstance(each.value, x509.BasicConstraints)]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if any(each.ca for each in constraints) or usage.key_cert_sign or not usage.digital_signature:
        _untrusted(f"{_name(certificate)} is not of a device")


def _check_authority(certificate: x509.Certificate, below: int) -> None:
    """Check that a certificate may issue the one before it, with so many authorities in between it and the device."""
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not constraints.ca or not usage.key_cert_sign:
        _untrusted(f"{_name(certificate)} is not of an authority")
    if constraints.path_length is not None and constraints.path_length < below:
        _untrusted(f"{_name(certificate)} may have {constraints.path_length} authorities below it, not {below}")


def _check_signature(report: GpuReport, key: ec.EllipticCurvePublicKey) -> None:
    r, s = (int.from_bytes(each, "big") for each in (report.signature[:48], report.signature[48:]))
    try:
        key.verify(utils.encode_dss_signature(r, s), report.signed, ec.ECDSA(hashes.SHA384()))
    except InvalidSignature as error:
        raise Rejected(Code.GPU_SIGNATURE_INVALID) from error


def _check_firmware(report: GpuReport, device: x509.Certificate) -> None:
    """Check that the firmware which signed is the one that the device's key was certified with.

    Older firmware does not report it, and NVIDIA's verifier asks for nothing then. Two structures carry the digest:
    that of H100s, and the TCG's own. Both do as an octet string, and what issued the certificate wrote all of either.
    """
    reported = report.opaque.get(FIRMWARE_ID)
    if reported is None:
        return
    certified = [
        each.value.value
        for each in device.extensions
        if each.oid in FIRMWARE_EXTENSIONS and isinstance(each.value, x509.UnrecognizedExtension)
    ]
    if len(reported) != 48 or not any(_OCTET_STRING_48 + reported in each for each in certified):
        raise Rejected(
            Code.GPU_CERTIFICATE_INVALID,
            "the GPU reports other firmware than its certificate tells of",
            expected=", ".join(each.hex() for each in certified) or "no firmware",
            found=reported.hex(),
        )


def _name(certificate: x509.Certificate) -> str:
    return f"the certificate of {certificate.subject.rfc4514_string()!r}"


def _untrusted(detail: str, cause: Exception | None = None) -> NoReturn:
    raise Rejected(Code.GPU_CERTIFICATE_INVALID, f"the GPU's certificates do not hold: {detail}") from cause
