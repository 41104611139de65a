"""A certificate of Sigstore's Fulcio for a fresh key, in exchange for an OIDC identity token.

Such a certificate is for code signing, which the C2PA profile does not allow, so it signs DSSE envelopes and never a
C2PA claim. It lives for minutes: what proves later that it was in force is somebody else's time.

What Fulcio answers is checked against the trust configuration before it is used: the key, the chain, the time, and that
a certificate log has promised to show it (RFC 6962, section 3.2).
"""

import datetime as dt
import functools
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig, TrustedRoot
from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken
from sigstore_models.trustroot.v1 import ClientTrustConfig as RawTrustConfig

from atlas.errors import FetchError, InputError
from atlas.spki import dump_spki

TIMEOUT = 30.0
"""Seconds for an answer of Fulcio to begin, and between its parts."""
MAX_TOKEN = 1 << 16
"""Characters."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Keyless:
    """A key of one signing session, and who Fulcio says has it."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    """The signer's certificate, then those above it up to the root."""
    expires: dt.datetime


def certify(token: str, trust_config: bytes) -> Keyless:
    """Make a key and have it certified for the identity in a token.

    Args:
        token: an OIDC identity token (JWT) whose audience is `sigstore`.
        trust_config: Sigstore's client trust configuration (`ClientTrustConfig`, JSON), which says whom to ask and whom
            to believe.

    Raises:
        InputError: if the token or the configuration cannot be used.
        FetchError: if Fulcio does not certify the key, or not as it should.
    """
    config, logs = _read_config(trust_config)
    identity = _identity(token)
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    fulcio = config.signing_config.get_fulcio()
    where = urlsplit(fulcio.url)
    if where.scheme != "https" and where.hostname not in _LOOPBACK:
        raise InputError(f"{fulcio.url}: a token is not sent without TLS", mend="name Fulcio by https://")
    fulcio.session.post = functools.partial(fulcio.session.post, timeout=TIMEOUT, allow_redirects=False)
    try:
        answer = fulcio.signing_cert.post(request, identity)
    except Exception as error:  # the library has no public name for what its client raises
        why = str(error).replace(token, "…") or type(error).__name__
        raise FetchError(
            f"{fulcio.url}: Fulcio does not certify the key: {why}",
            mend="get a fresh token, whose audience is `sigstore`",
        ) from None
    chain = (answer.cert, *answer.chain)
    _check(chain, key.public_key(), config.trusted_root, fulcio.url)
    _check_promise(chain, logs, fulcio.url)
    return Keyless(key, chain, answer.cert.not_valid_after_utc)


def _read_config(raw: bytes) -> tuple[ClientTrustConfig, dict[bytes, ec.EllipticCurvePublicKey]]:
    """The configuration, and the keys of its certificate logs by their ids."""
    try:
        config = ClientTrustConfig.from_json(raw.decode())
        config.signing_config.get_fulcio()
        logs = RawTrustConfig.from_json(raw).trusted_root.ctlogs
        ders = [each.public_key.raw_bytes for each in logs if each.public_key.raw_bytes]
        keys = [(der, serialization.load_der_public_key(der)) for der in ders]
    except (ValueError, SigstoreError) as error:
        raise InputError(
            f"not a trust configuration of Sigstore: {error}", mend="take it from whoever runs the Sigstore instance"
        ) from error
    return config, {
        hashlib.sha256(der).digest(): key for der, key in keys if isinstance(key, ec.EllipticCurvePublicKey)
    }


def _identity(token: str) -> IdentityToken:
    try:
        return IdentityToken(token.strip()[:MAX_TOKEN])
    except (IdentityError, ExpiredIdentity) as error:
        raise InputError(
            f"the identity token cannot be used: {error}", mend="get a fresh one, whose audience is `sigstore`"
        ) from None  # the cause may repeat the token


def _check(chain: Sequence[x509.Certificate], key: ec.EllipticCurvePublicKey, trusted: TrustedRoot, url: str) -> None:
    """See that the chain is of this key, in force, for code signing, and leads to a trusted root."""
    leaf = chain[0]
    if leaf.public_key() != key:
        raise _wrong(url, "it is of another key")
    now = dt.datetime.now(dt.UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise _wrong(url, "it is not in force now", "set this machine's clock")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        for each, above in pairwise(chain):
            each.verify_directly_issued_by(above)
            if not above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                raise _wrong(url, "it was issued by no authority")
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise _wrong(url, f"its chain does not hold: {error}") from error
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise _wrong(url, "it is not for code signing")
    if not set(chain[1:]) & set(trusted.get_fulcio_certs()):
        raise _wrong(url, "it leads to no root of the trust configuration")


def _check_promise(chain: Sequence[x509.Certificate], logs: dict[bytes, ec.EllipticCurvePublicKey], url: str) -> None:
    """See that a certificate log of the configuration has promised to show the certificate."""
    leaf, issuer = chain[0], chain[1]
    try:
        promises = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    except x509.ExtensionNotFound as error:
        raise _wrong(url, "no certificate log has promised to show it") from error
    above = dump_spki(issuer.public_key())
    signed = leaf.tbs_precertificate_bytes
    for each in promises:
        key = logs.get(each.log_id)
        moment = (each.timestamp - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)
        # version 1, certificate_timestamp, time, precert_entry, issuer_key_hash, TBSCertificate, extensions
        head = struct.pack(">BBQH32s", 0, 0, moment, 1, hashlib.sha256(above).digest())
        body = len(signed).to_bytes(3, "big") + signed
        tail = len(each.extension_bytes).to_bytes(2, "big") + each.extension_bytes
        try:
            if key:
                key.verify(each.signature, head + body + tail, ec.ECDSA(hashes.SHA256()))
                return
        except InvalidSignature:
            continue
    raise _wrong(url, "no certificate log of the trust configuration has promised to show it")


def _wrong(url: str, what: str, mend: str = "do not use this Fulcio, or mend the trust configuration") -> FetchError:
    return FetchError(f"{url}: what Fulcio certifies cannot be used: {what}", mend=mend)
