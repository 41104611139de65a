"""Who vouches for what an archive keeps: a sidecar by C2PA, or the record of a signature by OpenSSF Model Signing.

To the lineage a record is a manifest like any other, whose statement says what the signature amounts to: this publisher
vouches for this artifact. It has no time: it counts as made when the signer's certificate began, or, by a bare key, in
1970.
"""

import contextlib
import datetime as dt
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.identity import Identity, identity_of
from atlas.interop.oms_record import Signed, is_record, read_record
from atlas.keys import PUBLISHER_URI, URI_SCHEME
from atlas.manifest import Manifest, TrustedManifest, parse_manifest, verify_manifest
from atlas.manifest.verify import find_authority
from atlas.spki import spki_sha256
from atlas.statement import Output, Publisher, Statement, dump_statement
from atlas.trust import Authority, Role, TrustRoot

SCHEMA = "system.Model"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FOREVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def read_manifest(raw: bytes) -> Manifest:
    """Read what an archive keeps of an artifact: a sidecar, or a record.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    return _manifest(read_record(raw)) if is_record(raw) else parse_manifest(raw)


def verify_signed(raw: bytes, trust: TrustRoot) -> TrustedManifest:
    """Read what an archive keeps of an artifact, and establish who signed it.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    return _verify(read_record(raw), trust) if is_record(raw) else verify_manifest(raw, trust)


def publisher_of(manifest: Manifest) -> str:
    """What the signer of a record is called."""
    maker = manifest.statement.maker
    assert isinstance(maker, Publisher)
    return maker.name


def _manifest(signed: Signed, name: str = "") -> Manifest:
    """The manifest that a signature amounts to.

    Args:
        signed: the signature.
        name: what the trust root calls the key; unless given, it is called by its certificate or digest.
    """
    chain, measured = signed.certificates, signed.measured
    identity = _identity(signed)
    if identity:
        name = identity.subject
    publisher = Publisher(name or (_subject(chain[0]) if chain else f"key sha256:{spki_sha256(signed.key)[:12]}"))
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


def _verify(signed: Signed, trust: TrustRoot) -> TrustedManifest:
    if not signed.certificates:
        for pinned in trust.publisher_keys:
            if pinned.public_key == signed.key:
                return TrustedManifest(_manifest(signed, pinned.name), pinned, EPOCH, FOREVER)
        raise Rejected(
            Code.OMS_SIGNER_UNTRUSTED,
            expected=" or ".join(each.name for each in trust.publisher_keys),
            found=f"key sha256:{spki_sha256(signed.key)}",
        )
    chain = list(signed.certificates)
    _check_usage(chain[0])
    begins, ends = max(each.not_valid_before_utc for each in chain), min(each.not_valid_after_utc for each in chain)
    identity = _identity(signed)
    if identity:
        authority = _certifier(chain[0], trust)
    else:
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
        identity,
        signed.bundle.timestamps,
    )


def _identity(signed: Signed) -> Identity | None:
    try:
        return identity_of(signed.certificates[0]) if signed.certificates else None
    except ValueError as error:
        raise Rejected(Code.OMS_MALFORMED, f"not a signature of OpenSSF Model Signing: {error}") from error


def _certifier(leaf: x509.Certificate, trust: TrustRoot) -> Authority:
    """The authority that issued a certificate for an identity: that very one is pinned, for bundles name no chain.

    Raises:
        Rejected: OMS_SIGNER_UNTRUSTED.
    """
    for each in trust.authorities:
        with contextlib.suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            leaf.verify_directly_issued_by(each.certificate)
            if (
                each.certificate.not_valid_before_utc
                <= leaf.not_valid_before_utc
                <= each.certificate.not_valid_after_utc
            ):
                return each
    raise Rejected(
        Code.OMS_SIGNER_UNTRUSTED,
        expected=" or ".join(each.name for each in trust.authorities),
        found=f"a certificate that {leaf.issuer.rfc4514_string()} issued",
    )


def _check_usage(certificate: x509.Certificate) -> None:
    """Refuse a certificate that is not for signing, or that Atlas issued to anyone but a publisher."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        signs = usage.digital_signature
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
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
