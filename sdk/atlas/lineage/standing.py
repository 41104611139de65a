"""Whether signers and logs are still trusted, or were when they vouched for what is at hand.

A revoked key holds good for nothing, save for what is proven to be older: logged below a recorded size of a log, or
vouched for by an earlier time. What the statement says of time is the signer's own word and proves nothing.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.keys import key_digest
from atlas.log import Logged
from atlas.log.timestamp import verify_timestamp
from atlas.manifest import TrustedManifest
from atlas.revocation import Cut, Revocation, Subject, written
from atlas.trust import Authority, PublisherKey, TrustRoot


def check_log(logged: Logged, trust: TrustRoot) -> Logged:
    """See that the log that vouches for an entry is not revoked.

    Returns:
        The entry; of a revoked log that still counts, without the time that the log itself states.

    Raises:
        Rejected: RECEIPT_LOG_REVOKED.
    """
    for each in trust.revoked:
        if each.subject is not Subject.LOG or not _is_of(logged, each.value):
            continue
        head = each.head
        if head is None or (head.size, head.root) != (logged.tree_size, logged.root):
            raise Rejected(
                Code.RECEIPT_LOG_REVOKED,
                expected=f"a receipt in its tree of size {head.size}, root {head.root.hex()}"
                if head
                else "another log",
                found=f"{logged.origin} at size {logged.tree_size}, root {logged.root.hex()}; revoked: {each.reason}",
            )
        logged = replace(logged, time=logged.time_of_others)
    return logged


def check_signer(
    trusted: TrustedManifest, logged: Logged | None, log_rejection: Rejected | None, trust: TrustRoot
) -> TrustedManifest:
    """See that nobody from the signer up to its authority is revoked, or had ended, when the manifest was signed.

    Args:
        trusted: the manifest.
        logged: where it is logged, by a receipt that holds.
        log_rejection: why a receipt that it has does not hold.
        trust: what is pinned and what is revoked.

    Raises:
        Rejected: SIGNER_REVOKED or AUTHORITY_ENDED.
    """
    if any(each.subject is not Subject.LOG for each in trust.revoked):
        names = _names(trusted)
        for each in trust.revoked:
            if (each.subject, each.value) in names and not _is_older(logged, each.cut):
                raise _revoked(each, logged, log_rejection)
    ended = trusted.authority.ended if isinstance(trusted.authority, Authority) else None
    if ended and ended.since and not _is_older(logged, ended):
        issued = trusted.manifest.signer.not_valid_before_utc
        if issued > ended.since:
            raise Rejected(
                Code.AUTHORITY_ENDED, expected=str(ended), found=f"a certificate of {written(issued)} and later"
            )
        if logged and logged.time:
            raise Rejected(Code.AUTHORITY_ENDED, expected=str(ended), found=_place(logged, None))
    return trusted


def in_time(
    trusted: TrustedManifest, logged: Logged | None, log_rejection: Rejected | None, trust: TrustRoot
) -> TrustedManifest:
    """See that a certificate of minutes was in force when it signed, by the word of somebody whom the trust root names.

    Args:
        trusted: the manifest; one whose signer has no such certificate is handed back.
        logged: where it is logged, by a receipt that holds.
        log_rejection: why a receipt that it has does not hold.
        trust: whose timestamps count.

    Returns:
        The manifest, which from then on holds for as long as the authority's certificate.

    Raises:
        Rejected: SIGNER_EXPIRED if it is proven at no time or only at a later one, SIGNER_NOT_YET_VALID.
    """
    if trusted.identity is None or not isinstance(trusted.authority, Authority):
        return trusted
    times = [logged.time] if logged and logged.time else []
    for each in trusted.timestamps:
        with contextlib.suppress(Rejected):  # by somebody who is not pinned
            times.append(verify_timestamp(each, trusted.manifest.signature, trust.timestamp_authorities))
    if any(trusted.valid_from <= time <= trusted.valid_until for time in times):
        return replace(trusted, valid_until=trusted.authority.certificate.not_valid_after_utc)
    early = times and min(times) < trusted.valid_from
    raise Rejected(
        Code.SIGNER_NOT_YET_VALID if early else Code.SIGNER_EXPIRED,
        expected=f"a signature vouched for from {written(trusted.valid_from)} until {written(trusted.valid_until)}",
        found=f"a timestamp of {written(min(times))}" if times else _place(logged, log_rejection),
    )


def _is_of(logged: Logged, origin: str) -> bool:
    """Whether an entry is in a log, or in one of the trees of a Rekor v1, whose numbers follow its origin."""
    return logged.origin == origin or logged.origin.startswith(f"{origin} - ")


def _is_older(logged: Logged | None, cut: Cut) -> bool:
    """Whether it is proven that an entry is older than a cut."""
    if logged is None:
        return False
    if cut.since and logged.time and logged.time < cut.since:
        return True
    return logged.index < dict(cut.logged).get(logged.origin, 0)


def _revoked(each: Revocation, logged: Logged | None, log_rejection: Rejected | None) -> Rejected:
    return Rejected(
        Code.SIGNER_REVOKED,
        expected=f"proof that it was logged {each.cut}" if str(each.cut) else "another signer",
        found=f"{each.subject} sha256:{each.value} is revoked ({each.reason}); {_place(logged, log_rejection)}",
    )


def _place(logged: Logged | None, log_rejection: Rejected | None) -> str:
    if logged is None:
        return f"its receipt does not hold ({log_rejection.code})" if log_rejection else "it has no receipt"
    time = f"vouched for at {written(logged.time)}" if logged.time else "at no time that anybody vouches for"
    return f"logged at index {logged.index} of {logged.origin}, {time}"


def _names(trusted: TrustedManifest) -> set[tuple[Subject, str]]:
    """All by which signer, authorities between, and the authority at the end may be revoked."""
    if isinstance(trusted.authority, PublisherKey):  # a bare key, which no certificate is of
        return {(Subject.KEY, trusted.authority.sha256)}
    chain = (*trusted.manifest.certificates, trusted.authority.certificate)
    keys = [each.public_key() for each in chain]
    # of all of them, because a signer who sends the chain along in disorder would otherwise choose
    orders = {key.curve.group_order for key in keys if isinstance(key, ec.EllipticCurvePublicKey)}
    names: set[tuple[Subject, str]] = set()
    for position, certificate in enumerate(chain):
        names.add((Subject.KEY, key_digest(certificate)))
        for digest in _digests(certificate, orders):
            names.add((Subject.CERTIFICATE, digest))
            if position:
                names.add((Subject.AUTHORITY, digest))
    return names


def _digests(certificate: x509.Certificate, orders: Iterable[int]) -> list[str]:
    """SHA-256 of a certificate, and of its twin.

    Of every ECDSA signature (r, s) there is a twin (r, n - s) that anybody can write, so that a revoked certificate has
    a second form with another digest that is just as valid.
    """
    der = certificate.public_bytes(serialization.Encoding.DER)
    forms = [der]
    with contextlib.suppress(ValueError):  # no ECDSA signature
        r, s = utils.decode_dss_signature(certificate.signature)
        forms += [_with_signature(certificate, der, utils.encode_dss_signature(r, n - s)) for n in orders if s < n]
    return [hashlib.sha256(form).hexdigest() for form in forms]


def _with_signature(certificate: x509.Certificate, der: bytes, signature: bytes) -> bytes:
    """The same certificate with another signature (RFC 5280, section 4.1: a sequence that ends with a bit string)."""
    signed = certificate.tbs_certificate_bytes
    end = len(der) - len(_tagged(0x03, b"\0" + certificate.signature))
    body = der[der.index(signed) : end] + _tagged(0x03, b"\0" + signature)
    return _tagged(0x30, body)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
