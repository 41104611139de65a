"""An OMS signature as an archive keeps it, so that a verdict can verify it again without the model.

A record is canonical JSON (RFC 8785): the signature file's own bytes, the digest and, for a directory, the index of
what was found at the signature's model, and the key if the signature only hints at one. Nothing in it is believed: the
index must hash to the digest and have just the files that were signed, the signature must verify under the key, and the
trust root must pin that key or the authority of the certificate.

To the lineage it is a manifest like any other, whose statement says what the signature amounts to: this publisher
vouches for this artifact. It has no time: it counts as made when the signer's certificate began, or, by a bare key, in
1970.
"""

import contextlib
import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from atlas.artifact import Kind, Measurement, parse_index
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.errors import MeasureError, Rejected
from atlas.interop import oms
from atlas.interop.bundle import Bundle, parse_bundle
from atlas.interop.dsse import Envelope, verify_envelope
from atlas.keys import PUBLISHER_URI, URI_SCHEME
from atlas.log import parse_receipt
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.manifest import Manifest, TrustedManifest, parse_manifest, verify_manifest
from atlas.manifest.verify import find_authority
from atlas.statement import Output, Publisher, Statement, dump_statement
from atlas.trust import Role, TrustRoot

TYPE = "dev.atlas.oms/v1"
MAX_RECORD = 64 << 20
SCHEMA = "system.Model"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class _Signed:
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


def publisher_of(trusted: TrustedManifest) -> str:
    """What the signer of a record is called."""
    maker = trusted.manifest.statement.maker
    assert isinstance(maker, Publisher)
    return maker.name


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


def read_manifest(raw: bytes) -> Manifest:
    """Read what an archive keeps of an artifact: a sidecar, or a record.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    return _manifest(_read(raw)) if is_record(raw) else parse_manifest(raw)


def verify_signed(raw: bytes, trust: TrustRoot) -> TrustedManifest:
    """Read what an archive keeps of an artifact, and establish who signed it.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    return _verify(_read(raw), trust) if is_record(raw) else verify_manifest(raw, trust)


def _read(raw: bytes) -> _Signed:
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
    return _Signed(raw, bundle, bundle.content, model, measured, ignored, certificates, verifier)


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


def _manifest(signed: _Signed, name: str = "") -> Manifest:
    """The manifest that a signature amounts to.

    Args:
        signed: the signature.
        name: what the trust root calls the key; unless given, it is called by its certificate or digest.
    """
    chain, measured = signed.certificates, signed.measured
    publisher = Publisher(name or (_subject(chain[0]) if chain else f"key sha256:{_spki_sha256(signed.key)[:12]}"))
    output = Output(
        signed.model.name, 0, measured.kind, measured.sha256, measured.size, measured.files, uri="", schema=SCHEMA
    )
    made = max((each.not_valid_before_utc for each in chain), default=EPOCH)
    statement = Statement(publisher, (output,), made, made)
    box = hashlib.sha256(signed.raw).hexdigest()
    return Manifest(
        label=f"urn:sha256:{box}",
        box_sha256=box,
        asset_sha256=measured.sha256,
        statement=statement,
        statement_sha256=hashlib.sha256(dump_statement(statement)).hexdigest(),
        output=output,
        evidence="",
        certificates=chain,
        to_be_signed=signed.envelope.pae,
        signature=signed.envelope.signature,
        key=None if chain else signed.key,
        ignored=signed.ignored,
    )


def _verify(signed: _Signed, trust: TrustRoot) -> TrustedManifest:
    if not signed.certificates:
        for pinned in trust.publisher_keys:
            if pinned.public_key == signed.key:
                return TrustedManifest(_manifest(signed, pinned.name), pinned, EPOCH, FOREVER)
        raise Rejected(
            Code.OMS_SIGNER_UNTRUSTED,
            expected=" or ".join(each.name for each in trust.publisher_keys),
            found=f"key sha256:{_spki_sha256(signed.key)}",
        )
    chain = list(signed.certificates)
    _check_usage(chain[0])
    begins, ends = max(each.not_valid_before_utc for each in chain), min(each.not_valid_after_utc for each in chain)
    try:
        authority = find_authority(chain, trust, begins)
    except Rejected as rejected:
        raise Rejected(Code.OMS_SIGNER_UNTRUSTED, expected=rejected.expected, found=rejected.found) from rejected
    if Role.PUBLISHER not in authority.roles:
        found = f"{authority.name}: {', '.join(sorted(authority.roles)) or 'no role'}"
        raise Rejected(Code.SIGNER_ROLE_MISMATCH, expected=f"the role {Role.PUBLISHER}", found=found)
    return TrustedManifest(
        _manifest(signed),
        authority,
        max(begins, authority.certificate.not_valid_before_utc),
        min(ends, authority.certificate.not_valid_after_utc),
    )


def _check_usage(certificate: x509.Certificate) -> None:
    """Refuse a certificate that is not for signing, or that Atlas issued to anyone but a publisher."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        signs = usage.digital_signature
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        signs = False
    if not signs:
        raise Rejected(Code.OMS_SIGNER_UNTRUSTED, "the signer's certificate is not for signatures")
    strange = [
        each for each in _uris(certificate) if each.startswith(URI_SCHEME) and not each.startswith(PUBLISHER_URI)
    ]
    if strange:
        raise Rejected(Code.SIGNER_ROLE_MISMATCH, expected=f"{PUBLISHER_URI}…", found=", ".join(strange)[:200])


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return list(names.get_values_for_type(x509.UniformResourceIdentifier))
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return []


def _subject(certificate: x509.Certificate) -> str:
    """What a certificate calls its holder."""
    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    name = common[0] if common else certificate.subject.rfc4514_string()
    return name if name.isprintable() and name else "a publisher without a name"


def _spki_sha256(key: ec.EllipticCurvePublicKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
