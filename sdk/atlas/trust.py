"""The trust root: everything that is pinned before any evidence is looked at. Evidence never chooses its own root."""

import base64
import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from atlas.canonical import dump_canonical
from atlas.errors import DocumentError
from atlas.revocation import Cut, Revocation

API_VERSION = "atlas.dev/v1alpha1"
KIND = "TrustRoot"
INTEL = "intel"
"""Name of the evidence root whose certificate need not be given."""
# Intel SGX Root CA, SHA-256 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3 (of the DER)
INTEL_ROOT = """\
-----BEGIN CERTIFICATE-----
MIICjzCCAjSgAwIBAgIUImUM1lqdNInzg7SVUr9QGzknBqwwCgYIKoZIzj0EAwIw
aDEaMBgGA1UEAwwRSW50ZWwgU0dYIFJvb3QgQ0ExGjAYBgNVBAoMEUludGVsIENv
cnBvcmF0aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJ
BgNVBAYTAlVTMB4XDTE4MDUyMTEwNDUxMFoXDTQ5MTIzMTIzNTk1OVowaDEaMBgG
A1UEAwwRSW50ZWwgU0dYIFJvb3QgQ0ExGjAYBgNVBAoMEUludGVsIENvcnBvcmF0
aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJBgNVBAYT
AlVTMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC6nEwMDIYZOj/iPWsCzaEKi7
1OiOSLRFhWGjbnBVJfVnkY4u3IjkDYYL0MxO4mqsyYjlBalTVYxFP2sJBK5zlKOB
uzCBuDAfBgNVHSMEGDAWgBQiZQzWWp00ifODtJVSv1AbOScGrDBSBgNVHR8ESzBJ
MEegRaBDhkFodHRwczovL2NlcnRpZmljYXRlcy50cnVzdGVkc2VydmljZXMuaW50
ZWwuY29tL0ludGVsU0dYUm9vdENBLmRlcjAdBgNVHQ4EFgQUImUM1lqdNInzg7SV
Ur9QGzknBqwwDgYDVR0PAQH/BAQDAgEGMBIGA1UdEwEB/wQIMAYBAf8CAQEwCgYI
KoZIzj0EAwIDSQAwRgIhAOW/5QkR+S9CiSDcNoowLuPRLsWGf/Yi7GSX94BgwTwg
AiEA4J0lrHoMs+Xo5o/sX6O9QWxHRAvZUGOdRQ7cvqRXaqI=
-----END CERTIFICATE-----
"""


class Role(StrEnum):
    """What a signing authority is trusted to vouch for."""

    STEP = "step"
    """Steps of pipelines."""
    PUBLISHER = "publisher"
    """Artifacts that no pipeline made: published data sets and models."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose signers are believed, for the roles given."""

    name: str
    certificate: x509.Certificate
    roles: frozenset[Role]
    ended: Cut | None = None
    """When another authority took its place; what it has signed before counts for ever."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER certificate, hex."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @cached_property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class Witness:
    """Who cosigns checkpoints of logs (C2SP tlog-cosignature v1)."""

    name: str
    public_key: ed25519.Ed25519PublicKey

    @cached_property
    def key_id(self) -> bytes:
        """The digest whose first four bytes stand in a cosignature (C2SP signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._key).digest()

    @cached_property
    def verifier_key(self) -> str:
        """The witness in one line (C2SP signed-note, "Verifier keys"): name, key hash and key."""
        return f"{self.name}+{self.key_id[:4].hex()}+{base64.b64encode(self._key).decode('ascii')}"

    @property
    def _key(self) -> bytes:
        return bytes([_COSIGNATURE]) + self.public_key.public_bytes_raw()


_COSIGNATURE = 4
"""The type of a witness's key (C2SP signed-note, "Signature types")."""


@dataclass(frozen=True)
class TimestampAuthority:
    """Whose timestamps are believed (RFC 3161), by the root certificate that vouches for them."""

    name: str
    certificate: x509.Certificate

    @cached_property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class PinnedLog:
    """A transparency log: its origin line and its key (Ed25519 or ECDSA), as C2SP signed notes name them."""

    origin: str
    public_key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey
    rekor: int = 2
    """Major version of Rekor that it speaks. In version 1 the origin stands before the number of one of its trees."""
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    """When the log's key was in use, if that is known."""
    quorum: int = 0
    """How many witnesses must have cosigned a checkpoint before it is believed."""
    witnesses: tuple[Witness, ...] = ()
    """Those that count."""

    def __post_init__(self) -> None:
        if self.rekor == 1 and not (
            isinstance(self.public_key, ec.EllipticCurvePublicKey) and isinstance(self.public_key.curve, ec.SECP256R1)
        ):
            raise DocumentError(
                f"log {self.origin!r}: the key of a Rekor v1 log must be ECDSA P-256",
                mend="have the log's key from who runs it; a log with another key may be a Rekor v2",
            )

    @cached_property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def key_id(self) -> bytes:
        """The 32-byte key id whose first four bytes stand in a signed note (C2SP signed-note; Rekor for ECDSA)."""
        if isinstance(self.public_key, ed25519.Ed25519PublicKey):
            return hashlib.sha256(self.origin.encode() + b"\n\x01" + self.public_key.public_bytes_raw()).digest()
        return hashlib.sha256(self.der).digest()


@dataclass(frozen=True)
class PublisherKey:
    """A publisher's key that is believed without a certificate, for models signed with OpenSSF Model Signing."""

    name: str
    public_key: ec.EllipticCurvePublicKey

    @cached_property
    def der(self) -> bytes:
        """The key as DER SubjectPublicKeyInfo."""
        return self.public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the key, hex."""
        return hashlib.sha256(self.der).hexdigest()


class Tee(StrEnum):
    """What kind of hardware a root of evidence vouches for."""

    TDX = "tdx"
    GPU = "gpu"


_SIMULATED = "SIMULATED"
"""In the name of every certificate that the simulator makes."""


@dataclass(frozen=True)
class EvidenceRoot:
    """A manufacturer's root certificate, under which evidence is believed."""

    name: str
    tee: Tee
    certificate: x509.Certificate
    simulated: bool = False
    """Whether what it vouches for proves nothing. Counts only where a policy allows that in words."""

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the DER certificate, hex."""
        return hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @cached_property
    def pem(self) -> str:
        """The certificate in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class TrustRoot:
    """Signing authorities, logs and roots of evidence, all pinned; and what of them is revoked."""

    authorities: tuple[Authority, ...]
    logs: tuple[PinnedLog, ...]
    evidence_roots: tuple[EvidenceRoot, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    """Of all logs."""
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()
    publisher_keys: tuple[PublisherKey, ...] = ()
    revoked: tuple[Revocation, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Digest of the trust root's canonical JSON, hex: what a verdict names and a cache is keyed by."""
        return hashlib.sha256(dump_canonical(self.to_json())).hexdigest()

    def to_bytes(self) -> bytes:
        """The file that `trust_file` reads."""
        return json.dumps(self.to_json(), indent=2).encode() + b"\n"

    def to_json(self) -> dict[str, Any]:
        """The document that `trust_file` reads. What is absent is left out, so that its digest stays what it was."""
        spec: dict[str, Any] = {
            "authorities": [
                {
                    "name": each.name,
                    "certificate": each.pem,
                    "roles": sorted(each.roles),
                    **({"ended": each.ended.to_json()} if each.ended else {}),
                }
                for each in self.authorities
            ],
            "logs": [_log_document(log) for log in self.logs],
            "evidenceRoots": [
                {"name": each.name, "tee": each.tee, "certificate": each.pem, "simulated": each.simulated}
                for each in self.evidence_roots
            ],
        }
        if self.witnesses:
            spec["witnesses"] = [each.verifier_key for each in self.witnesses]
        if self.timestamp_authorities:
            spec["timestampAuthorities"] = [
                {"name": each.name, "certificate": each.pem} for each in self.timestamp_authorities
            ]
        if self.publisher_keys:
            spec["publisherKeys"] = [
                {"name": each.name, "publicKey": base64.b64encode(each.der).decode("ascii")}
                for each in self.publisher_keys
            ]
        if self.revoked:
            spec["revoked"] = [each.to_json() for each in self.revoked]
        return {"apiVersion": API_VERSION, "kind": KIND, "spec": spec}


def _log_document(log: PinnedLog) -> dict[str, Any]:
    document: dict[str, Any] = {"origin": log.origin, "publicKey": base64.b64encode(log.der).decode("ascii")}
    if log.rekor != 2:
        document["rekor"] = log.rekor
    for name, time in (("validFrom", log.valid_from), ("validUntil", log.valid_until)):
        if time:
            document[name] = time.isoformat()
    if log.quorum:
        document["quorum"] = log.quorum
    return document


def load_authority(name: str, pem: str, roles: frozenset[Role], ended: Cut | None = None) -> Authority:
    """Read an authority's PEM certificate.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    return Authority(name, _load_ca(f"authority {name!r}", pem), roles, ended)


def load_evidence_root(name: str, tee: Tee, pem: str, *, simulated: bool) -> EvidenceRoot:
    """Read the root certificate of a manufacturer, or of the simulator.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority, if it is the simulator's and does
            not say so, or if `intel` is not Intel's.
    """
    what = f"evidence root {name!r}"
    if name == INTEL and not pem:
        pem = INTEL_ROOT
    certificate = _load_ca(what, pem)
    if (_SIMULATED in certificate.subject.rfc4514_string()) != simulated:
        raise DocumentError(
            f"{what}: `simulated` is {str(simulated).lower()}, and its certificate says otherwise",
            mend="say `simulated: true` of the simulator's root, and of no other",
        )
    if name == INTEL and certificate != x509.load_pem_x509_certificate(INTEL_ROOT.encode()):
        raise DocumentError(f"{what}: this is not Intel's root certificate", mend="leave the certificate out")
    return EvidenceRoot(name, tee, certificate, simulated)


def intel_root() -> EvidenceRoot:
    """Intel's root, which vouches for every genuine TDX platform."""
    return load_evidence_root(INTEL, Tee.TDX, "", simulated=False)


def _load_ca(what: str, pem: str) -> x509.Certificate:
    try:
        [certificate] = x509.load_pem_x509_certificates(pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.subject.rfc4514_string()  # read only when asked for
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise DocumentError(
            f"{what}: not the PEM certificate of an authority: {error}", mend="give one certificate, in PEM"
        ) from error
    if not constraints.ca:
        raise DocumentError(
            f"{what}: this certificate is not an authority's (CA:FALSE)",
            mend="pin the authority that issued it",
        )
    return certificate


def load_timestamp_authority(name: str, pem: str) -> TimestampAuthority:
    """Read the PEM root certificate that vouches for a timestamp authority.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority.
    """
    return TimestampAuthority(name, _load_ca(f"timestamp authority {name!r}", pem))


def load_witness(verifier_key: str) -> Witness:
    """Read a witness's key in the one line that witnesses publish (C2SP signed-note, "Verifier keys").

    Raises:
        DocumentError: if it is not an Ed25519 key for cosignatures, or its hash is not its own.
    """
    name, _, rest = verifier_key.partition("+")
    key_hash, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
        witness = Witness(name, ed25519.Ed25519PublicKey.from_public_bytes(raw[1:]))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentError(
            f"witness {verifier_key[:80]!r}: not name+hash+key", mend="copy the line that the witness publishes"
        ) from error
    if witness.verifier_key != verifier_key or key_hash != witness.key_id[:4].hex():
        raise DocumentError(
            f"witness {name!r}: not a key for cosignatures (type 4), or with another hash than its own",
            mend="copy the line that the witness publishes",
        )
    return witness


def load_log(
    origin: str,
    public_key: str,
    rekor: int = 2,
    valid_from: dt.datetime | None = None,
    valid_until: dt.datetime | None = None,
    quorum: int = 0,
    witnesses: tuple[Witness, ...] = (),
) -> PinnedLog:
    """Read a log's key, base64 of DER SubjectPublicKeyInfo; the rest is as in `PinnedLog`.

    Raises:
        DocumentError: if it is not an Ed25519 or ECDSA public key, or not one that such a log has; or if there are
            fewer witnesses than it must have.
    """
    if quorum > len(witnesses):
        raise DocumentError(
            f"log {origin!r}: demands {quorum} witnesses, and the trust root names {len(witnesses)}",
            mend="name the witnesses, by their keys",
        )
    key = _load_key(f"log {origin!r}", public_key)
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise DocumentError(f"log {origin!r}: a log's key must be Ed25519 or ECDSA")
    return PinnedLog(origin, key, rekor, valid_from, valid_until, quorum, witnesses)


def load_publisher_key(name: str, public_key: str) -> PublisherKey:
    """Read a publisher's key, base64 of DER SubjectPublicKeyInfo.

    Raises:
        DocumentError: if it is not an ECDSA public key on P-256, P-384 or P-521.
    """
    key = _load_key(f"publisher {name!r}", public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1
    ):
        raise DocumentError(f"publisher {name!r}: a publisher's key must be ECDSA on P-256, P-384 or P-521")
    return PublisherKey(name, key)


def _load_key(what: str, public_key: str) -> object:
    try:
        return serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DocumentError(f"{what}: not a public key in base64 DER: {error}") from error
