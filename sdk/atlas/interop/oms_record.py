"""An OMS signature as an archive keeps it, so that a verdict can verify it again without the model.

A record is canonical JSON (RFC 8785): the signature file's own bytes, the digest and, for a directory, the index of
what was found at the signature's model, and the key if the signature only hints at one. Nothing in it is believed: the
index must hash to the digest and have just the files that were signed, the signature must verify under the key, and the
trust root must pin that key or the authority of the certificate.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.artifact import Kind, Measurement, parse_index
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.errors import MeasureError, Rejected
from atlas.interop import oms
from atlas.interop.bundle import Bundle, parse_bundle
from atlas.interop.dsse import Envelope, verify_envelope
from atlas.log import parse_receipt
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.trust import TrustRoot

TYPE = "dev.atlas.oms/v1"
MAX_RECORD = 64 << 20


@dataclass(frozen=True)
class Signed:
    """A record that was read, whose signature verifies under the key that it names."""

    raw: bytes
    bundle: Bundle
    envelope: Envelope
    model: oms.SignedModel
    measured: Measurement
    ignored: tuple[str, ...]
    certificates: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePublicKey


def dump_record(signature: bytes, measured: Measurement, public_key: bytes | None = None) -> bytes:
    """The record of a signature file and of what was measured at its model.

    Args:
        signature: the file's bytes.
        measured: the model, a file or a directory.
        public_key: DER, if the signature has no certificate.
    """
    index = measured.asset.decode("utf-8") if measured.asset is not None else None
    return dump_canonical(
        {
            "type": TYPE,
            "signature": to_base64(signature),
            "publicKey": to_base64(public_key) if public_key else None,
            "sha256": measured.sha256,
            "size": measured.size,
            "index": index,
        }
    )


def record_of(signature: bytes, measured: Measurement, trust: TrustRoot) -> bytes:
    """The record of a signature file, with the pinned key under which it verifies if it only hints at one.

    Raises:
        Rejected: BUNDLE_MALFORMED, OMS_MALFORMED, or OMS_SIGNER_UNTRUSTED if it verifies under no pinned key.
    """
    bundle = parse_bundle(signature)
    if bundle.certificates:
        return dump_record(signature, measured)
    if not isinstance(bundle.content, Envelope):
        raise Rejected(Code.OMS_MALFORMED, "not a signature of OpenSSF Model Signing: it has no statement")
    for pinned in trust.publisher_keys:
        with contextlib.suppress(Rejected):
            verify_envelope(bundle.content, pinned.public_key)
            return dump_record(signature, measured, pinned.der)
    raise Rejected(
        Code.OMS_SIGNER_UNTRUSTED,
        "the signature verifies under none of the publishers' keys that the trust root pins",
        expected=" or ".join(each.name for each in trust.publisher_keys),
    )


def own_receipt(signature: bytes, trust: TrustRoot) -> bytes | None:
    """The receipt of a pinned log that a signature file carries, not yet verified.

    Raises:
        Rejected: BUNDLE_MALFORMED.
    """
    pinned = {log.key_id for log in trust.logs}
    for entry in parse_bundle(signature).log_entries:
        with contextlib.suppress(Rejected):
            receipt = parse_receipt(json.dumps(entry))
            if receipt.log_id in pinned:
                return receipt.to_bytes()
    return None


def is_record(raw: bytes) -> bool:
    """Whether these bytes are a record, if they are anything: as canonical JSON it begins with its first member."""
    return raw.startswith(b'{"index":')


def read_record(raw: bytes) -> Signed:
    """Read a record: compare the files, and verify the signature under the key that it names, whosever that is.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    try:
        document = fields(load_json(raw, MAX_RECORD), ["type", "signature", "sha256", "size"], ["publicKey", "index"])
        if document["type"] != TYPE or dump_canonical({"publicKey": None, "index": None, **document}) != raw:
            raise ValueError(f"not canonical, or not of the type {TYPE}")
        file = from_base64(document["signature"])
        measured, present = _measured(document)
        key = from_base64(document["publicKey"]) if "publicKey" in document else None
    except (ValueError, MeasureError) as error:
        raise Rejected(Code.OMS_MALFORMED, f"not a record of a model signature: {error}") from error
    bundle = parse_bundle(file)
    if not isinstance(bundle.content, Envelope):
        raise Rejected(Code.OMS_MALFORMED, "not a signature of OpenSSF Model Signing: it has no statement")
    certificates, verifier = _signer(bundle, key)
    verify_envelope(bundle.content, verifier)
    model = oms.read_statement(bundle.content)
    ignored = oms.left_out(model, present, hashlib.sha256(file).hexdigest())
    return Signed(raw, bundle, bundle.content, model, measured, ignored, certificates, verifier)


def _measured(document: dict[str, Any]) -> tuple[Measurement, dict[str, str]]:
    """What was measured; and path -> SHA-256 of its files, as model signing names them."""
    sha256, size = document["sha256"], document["size"]
    index = document.get("index", "")
    if not isinstance(sha256, str) or type(size) is not int or size < 0 or not isinstance(index, str):
        raise ValueError("no digest, no size or no index")
    if "index" not in document:  # the size of one file is not signed, and nothing depends on it
        return Measurement(Kind.FILE, sha256, size), {oms.SINGLE_FILE: sha256}
    asset = index.encode("utf-8")
    files = parse_index(asset)
    if hashlib.sha256(asset).hexdigest() != sha256 or sum(length for _, length in files.values()) != size:
        raise ValueError("the index is not that of the digest")
    return Measurement(Kind.TREE, sha256, size, len(files), asset), {path: each for path, (each, _) in files.items()}


def _signer(bundle: Bundle, public_key: bytes | None) -> tuple[tuple[x509.Certificate, ...], ec.EllipticCurvePublicKey]:
    try:
        certificates = tuple(x509.load_der_x509_certificate(each) for each in bundle.certificates)
        if bool(certificates) == bool(public_key):
            raise ValueError("not exactly one of a certificate and a key")
        key = certificates[0].public_key() if certificates else serialization.load_der_public_key(public_key or b"")
        for each in certificates:
            each.subject.rfc4514_string(), each.issuer.rfc4514_string()  # read only when asked for
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise Rejected(Code.OMS_MALFORMED, f"the signer cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in ("secp256r1", "secp384r1", "secp521r1"):
        raise Rejected(Code.OMS_MALFORMED, "the signer's key is not ECDSA on P-256, P-384 or P-521")
    return certificates, key
