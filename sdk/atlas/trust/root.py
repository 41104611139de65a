"""Everything that is pinned, as one value with one form."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from atlas.canonical import dump_canonical
from atlas.revocation import Revocation
from atlas.trust.authority import Authority, TimestampAuthority
from atlas.trust.evidence import EvidenceRoot
from atlas.trust.key import PinnedLog, PublisherKey, Witness

API_VERSION = "atlas.dev/v1alpha1"
KIND = "TrustRoot"


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
