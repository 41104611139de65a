"""The trust root as Sigstore's clients read it: `dev.sigstore.trustroot.v1.TrustedRoot` of sigstore/protobuf-specs."""

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from atlas.keys import key_digest
from atlas.log.encoding import to_base64
from atlas.log.entry import algorithm_of
from atlas.revocation import Subject
from atlas.trust import Authority, PinnedLog, TrustRoot

MEDIA_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
SINCE = "1970-01-01T00:00:00Z"
"""From when a log's key holds: Atlas pins keys without a beginning."""


def dump_trusted_root(trust: TrustRoot) -> bytes:
    """The trusted root: logs and signing authorities, without certificate logs and time-stamping authorities.

    What is revoked is left out: Sigstore's clients have no word for it, and would believe it.

    Raises:
        InputError: if a log's key is of a kind that Sigstore has no name for.
    """
    revoked = {(each.subject, each.value) for each in trust.revoked}
    document = {
        "mediaType": MEDIA_TYPE,
        "tlogs": [_log(each) for each in trust.logs if (Subject.LOG, each.origin) not in revoked],
        "certificateAuthorities": [
            _authority(each) for each in trust.authorities if revoked.isdisjoint(_subjects(each))
        ],
        "ctlogs": [],
        "timestampAuthorities": [],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _log(log: PinnedLog) -> dict[str, Any]:
    key = log.public_key
    details = "PKIX_ED25519" if isinstance(key, ed25519.Ed25519PublicKey) else str(algorithm_of(key))
    return {
        # a name and not an address: clients take the host for the origin that checkpoints must begin with
        "baseUrl": f"https://{log.origin}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": to_base64(log.der), "keyDetails": details, "validFor": {"start": SINCE}},
        "logId": {"keyId": to_base64(log.key_id)},
    }


def _subjects(authority: Authority) -> set[tuple[Subject, str]]:
    """All by which an authority may be revoked."""
    digest = authority.sha256
    key = (Subject.KEY, key_digest(authority.certificate))
    return {(Subject.AUTHORITY, digest), (Subject.CERTIFICATE, digest), key}


def _authority(authority: Authority) -> dict[str, Any]:
    certificate = authority.certificate

    def name(oid: Any) -> str:
        return next((str(each.value) for each in certificate.subject.get_attributes_for_oid(oid)), "")

    return {
        "subject": {"organization": name(NameOID.ORGANIZATION_NAME), "commonName": name(NameOID.COMMON_NAME)},
        "uri": "",
        "certChain": {"certificates": [{"rawBytes": to_base64(certificate.public_bytes(Encoding.DER))}]},
        "validFor": {
            "start": f"{certificate.not_valid_before_utc:%FT%TZ}",
            "end": f"{certificate.not_valid_after_utc:%FT%TZ}",
        },
    }
