"""Verifying collateral by itself, without a quote: what to do with any that comes from outside, before it is kept."""

import datetime as dt
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.collateral import Collateral, check_not_older, parse_collateral

_UNREADABLE = (  # what the certificate library raises for certificates and lists that are odd; some only when used
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def check_collateral(
    collateral: Collateral,
    fmspc: str,
    ca: str,
    *,
    root: x509.Certificate,
    now: dt.datetime,
    known: Iterable[Collateral] = (),
) -> Collateral:
    """Verify collateral under a root.

    Args:
        collateral: what came.
        fmspc: the kind of platform that it must be of.
        ca: who must certify such platforms: `platform` or `processor`.
        root: what must vouch for it.
        now: when it must be in force.
        known: what it must not be older than.

    Raises:
        Rejected: `CollateralMalformed`, `CollateralSignerInvalid`, `CollateralSignatureInvalid`, `CrlInvalid`,
            `CollateralMismatch`, `CollateralExpired`, `CollateralNotYetValid` or `CollateralRolledBack`.
    """
    try:
        collateral = parse_collateral(collateral.raw)  # what is kept can be read again
        _check_signatures(collateral, root)
        _check_kind(collateral, fmspc.lower(), ca)
        _check_in_force(collateral, now)
    except _UNREADABLE as error:
        raise Rejected(Code.COLLATERAL_MALFORMED, f"the collateral is malformed: {error}") from error
    check_not_older(collateral, known)
    return collateral


def _check_signatures(collateral: Collateral, root: x509.Certificate) -> None:
    collateral.check_signers()
    authority, tcb_signer, qe_signer = (
        _signer(what, chain, root)
        for what, chain in (
            ("list of platforms", collateral.pck_crl_issuer_chain),
            ("TCB info", collateral.tcb_info_issuer_chain),
            ("enclave identity", collateral.qe_identity_issuer_chain),
        )
    )
    for what, raw, issuer in (
        ("of the root", collateral.root_ca_crl, root),
        ("of platforms", collateral.pck_crl, authority),
    ):
        _check_crl(what, x509.load_der_x509_crl(raw), issuer)
    revoked = x509.load_der_x509_crl(collateral.root_ca_crl)
    for each in (authority, tcb_signer, qe_signer):
        if revoked.get_revoked_certificate_by_serial_number(each.serial_number) is not None:
            raise Rejected(Code.COLLATERAL_SIGNER_INVALID, found=f"{each.subject.rfc4514_string()} is revoked")
    for what, signer, text, signature in (
        ("TCB info", tcb_signer, collateral.tcb_info, collateral.tcb_info_signature),
        ("enclave identity", qe_signer, collateral.qe_identity, collateral.qe_identity_signature),
    ):
        _check_signature(what, signer, text.encode(), signature)


def _signer(what: str, text: str, root: x509.Certificate) -> x509.Certificate:
    """The first certificate of a chain of two, both of which the root signed; the second is the root, or its twin."""
    chain = x509.load_pem_x509_certificates(text.encode())
    try:
        signer, top = chain
        for each in chain:
            each.verify_directly_issued_by(root)
        if top.subject != root.subject or top.public_key() != root.public_key():
            raise InvalidSignature
    except (*_UNREADABLE, InvalidSignature) as error:
        expected, found = root.subject.rfc4514_string(), chain[-1].subject.rfc4514_string()
        raise Rejected(Code.COLLATERAL_SIGNER_INVALID, expected=expected, found=f"{what}: {found}") from error
    return signer


def _check_crl(what: str, crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> None:
    key = issuer.public_key()
    if (
        crl.issuer != issuer.subject
        or not isinstance(key, ec.EllipticCurvePublicKey)
        or not crl.is_signature_valid(key)
    ):
        expected, found = issuer.subject.rfc4514_string(), f"the list {what}, of {crl.issuer.rfc4514_string()}"
        raise Rejected(Code.CRL_INVALID, expected=expected, found=found)


def _check_signature(what: str, signer: x509.Certificate, content: bytes, signature: bytes) -> None:
    """ECDSA over P-256 with SHA-256; the signature is r and s, 32 bytes each."""
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Rejected(Code.COLLATERAL_SIGNER_INVALID, expected="a key on P-256", found=what)
    try:
        if len(signature) != 64:
            raise InvalidSignature
        pair = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        key.verify(encode_dss_signature(*pair), content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Rejected(Code.COLLATERAL_SIGNATURE_INVALID, found=what) from error


def _check_kind(collateral: Collateral, fmspc: str, ca: str) -> None:
    kinds = (str(collateral.tcb.get("id")), str(collateral.qe.get("id")))
    if kinds != ("TDX", "TD_QE"):
        raise Rejected(Code.COLLATERAL_MISMATCH, expected="TDX and TD_QE", found=" and ".join(kinds))
    if collateral.platform != (fmspc, ca):
        expected, found = f"{fmspc}, {ca}", ", ".join(collateral.platform)
        raise Rejected(Code.COLLATERAL_MISMATCH, expected=expected, found=found)


def _check_in_force(collateral: Collateral, now: dt.datetime) -> None:
    chains = (collateral.pck_crl_issuer_chain, collateral.tcb_info_issuer_chain, collateral.qe_identity_issuer_chain)
    certificates = (each for chain in chains for each in x509.load_pem_x509_certificates(chain.encode()))
    begins = max(collateral.issued, *(each.not_valid_before_utc for each in certificates))
    if now < begins:
        raise Rejected(Code.COLLATERAL_NOT_YET_VALID, expected=f"from {begins:%FT%TZ}", found=f"{now:%FT%TZ}")
    if now > collateral.expires:
        expected, found = f"until {collateral.expires:%FT%TZ}", f"{now:%FT%TZ}"
        raise Rejected(Code.COLLATERAL_EXPIRED, expected=expected, found=found)
