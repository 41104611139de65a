"""Who vouches for a manifest: the C2PA library's own validation, and the way from the signer to the trust root.

Nothing here depends on the time of day or on a policy, so the result may be cached by (manifest, trust root). When the
signer's certificates are valid is part of the result, for whoever judges at a given time.
"""

import datetime as dt
import io
from dataclasses import dataclass
from functools import lru_cache

import c2pa
from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.identity import Identity
from atlas.keys import identity_uri
from atlas.manifest import profile
from atlas.manifest.parse import Manifest, parse_manifest
from atlas.statement import Step
from atlas.trust import Authority, PublisherKey, Role, TrustRoot

_TOLERATED = {
    "assertion.dataHash.mismatch",  # the asset is not at hand here; its digest is compared by whoever has it
    "signingCredential.expired",  # judged at the time of verification, not at the time of day
    "signingCredential.untrusted",  # judged below, with roles
    "claimSignature.outsideValidity",
}
_REQUIRED = {"claimSignature.validated"}


@dataclass(frozen=True)
class TrustedManifest:
    """A manifest whose signer the trust root knows."""

    manifest: Manifest
    authority: Authority | PublisherKey
    """Who vouches for the signer, or, of a bare key, the key itself."""
    valid_from: dt.datetime
    """When every certificate of the chain has begun."""
    valid_until: dt.datetime
    """When the first of them ends."""
    identity: Identity | None = None
    """Whom a certificate of minutes is for: never of a sidecar."""
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 responses that came with the signature, not yet verified: never with a sidecar."""


def verify_manifest(raw: bytes, trust: TrustRoot) -> TrustedManifest:
    """Read a sidecar and establish who signed it.

    Raises:
        Rejected: with the code of whatever does not hold.
    """
    manifest = parse_manifest(raw)
    _check_c2pa(raw, manifest.label)
    chain = list(manifest.certificates)
    begins = max(each.not_valid_before_utc for each in chain)
    ends = min(each.not_valid_after_utc for each in chain)
    authority = find_authority(chain, trust, begins)
    _check_identity(manifest, authority)
    return TrustedManifest(
        manifest,
        authority,
        max(begins, authority.certificate.not_valid_before_utc),
        min(ends, authority.certificate.not_valid_after_utc),
    )


def _check_c2pa(raw: bytes, label: str) -> None:
    """Ask the C2PA library for its own, independent opinion."""
    try:
        reader = c2pa.Reader(profile.SIDECAR_FORMAT, io.BytesIO(b"\0"), raw, context=_context())
        results = reader.get_validation_results() or {}
        active = reader.get_active_manifest() or {}
    except (c2pa.C2paError, KeyError) as error:  # KeyError: the library finds no active manifest
        raise Rejected(Code.C2PA_REJECTED, f"the C2PA library refuses the sidecar: {error}") from error
    statuses = results.get("activeManifest", {})
    failures = {each["code"] for each in statuses.get("failure", [])} - _TOLERATED
    for delta in results.get("ingredientDeltas", []):
        failures |= {each["code"] for each in delta["validationDeltas"].get("failure", [])}
    missing = _REQUIRED - {each["code"] for each in statuses.get("success", [])}
    if failures or missing or active.get("label") != label:
        raise Rejected(Code.C2PA_REJECTED, found=", ".join(sorted(failures | missing)))


@lru_cache(maxsize=1)
def _context() -> c2pa.Context:
    return profile.context()


def find_authority(chain: list[x509.Certificate], trust: TrustRoot, time: dt.datetime) -> Authority:
    """The authority of the trust root that a chain leads to, signer first, as of a time.

    Raises:
        Rejected: SIGNER_UNTRUSTED.
    """
    if not trust.authorities:
        raise Rejected(Code.SIGNER_UNTRUSTED, "the trust root has no signing authority")
    verifier = (
        PolicyBuilder()
        .store(_store(tuple(each.certificate for each in trust.authorities)))
        .time(time)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        root = verifier.verify(chain[0], chain[1:]).chain[-1]
    except VerificationError as error:
        raise Rejected(
            Code.SIGNER_UNTRUSTED,
            expected=" or ".join(each.name for each in trust.authorities),
            found=chain[-1].issuer.rfc4514_string(),
        ) from error
    return next(each for each in trust.authorities if each.certificate == root)


@lru_cache(maxsize=16)
def _store(certificates: tuple[x509.Certificate, ...]) -> Store:
    return Store(list(certificates))


def _check_identity(manifest: Manifest, authority: Authority) -> None:
    maker = manifest.statement.maker
    role = Role.STEP if isinstance(maker, Step) else Role.PUBLISHER
    if role not in authority.roles:
        raise Rejected(
            Code.SIGNER_ROLE_MISMATCH,
            expected=f"the role {role}",
            found=f"{authority.name}: {', '.join(sorted(authority.roles)) or 'no role'}",
        )
    try:
        names = manifest.signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        found = []
    expected = identity_uri(maker, manifest.statement.pseudonym)
    if found != [expected]:
        raise Rejected(Code.SIGNER_IDENTITY_MISMATCH, expected=expected, found=", ".join(found))
