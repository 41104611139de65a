"""Which certificate it was, where the verification of a quote failed and does not say.

Accepts nothing: it is asked only after a refusal, and finds the part of the chain to name.
"""

import datetime as dt

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.tdx.collateral import Collateral
from atlas.evidence.tdx.quote import Quote


def explain(quote: Quote, collateral: Collateral, root: x509.Certificate, at: dt.datetime) -> Rejected | None:
    """The first certificate or revocation list that does not lead to the root; None if all seem to."""
    try:
        leaf, authority, _ = x509.load_pem_x509_certificates(quote.pck_chain)
    except (ValueError, x509.InvalidVersion) as error:
        return Rejected(Code.QUOTE_CERTIFICATE_INVALID, f"the platform's certificates cannot be read: {error}")
    if not (_issued(authority, root) and _issued(leaf, authority)):
        return Rejected(Code.QUOTE_CERTIFICATE_INVALID, expected=root.subject.rfc4514_string())
    for each in (leaf, authority):
        begins, ends = each.not_valid_before_utc, each.not_valid_after_utc
        if not begins <= at <= ends:
            expected, found = f"within {begins:%FT%TZ} to {ends:%FT%TZ}", f"{at:%FT%TZ}"
            return Rejected(Code.QUOTE_CERTIFICATE_INVALID, expected=expected, found=found)
    signers = {}
    for what, text in (
        ("TCB info", collateral.tcb_info_issuer_chain),
        ("identity", collateral.qe_identity_issuer_chain),
    ):
        signers[what] = x509.load_pem_x509_certificates(text.encode())[0]
        if not _issued(signers[what], root):
            return Rejected(Code.COLLATERAL_SIGNER_INVALID, expected=root.subject.rfc4514_string(), found=what)
    lists = {}
    for what, raw, issuer in (("root", collateral.root_ca_crl, root), ("platforms", collateral.pck_crl, authority)):
        lists[what] = x509.load_der_x509_crl(raw)
        if not _signed(lists[what], issuer):
            return Rejected(Code.CRL_INVALID, expected=issuer.subject.rfc4514_string(), found=f"the list of {what}")
    if _revoked(lists["platforms"], leaf) or _revoked(lists["root"], authority):
        return Rejected(Code.QUOTE_CERTIFICATE_REVOKED, found=leaf.subject.rfc4514_string())
    for what, signer in signers.items():
        if _revoked(lists["root"], signer):
            return Rejected(Code.COLLATERAL_SIGNER_INVALID, found=f"the signer of the {what} is revoked")
    return None


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return crl.issuer == issuer.subject and isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key)


def _revoked(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
