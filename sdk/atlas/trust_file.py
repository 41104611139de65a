"""The form of a trust root file (`kind: TrustRoot`): authorities, logs and evidence roots, pinned by a person."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import AwareDatetime, Field

from atlas.document import Strict, parse_document, read_document
from atlas.errors import DocumentError
from atlas.trust import (
    Role,
    Tee,
    TrustRoot,
    load_authority,
    load_evidence_root,
    load_log,
    load_publisher_key,
    load_timestamp_authority,
    load_witness,
)


class _Authority(Strict):
    name: str
    certificate: str
    roles: frozenset[Role]


class _Log(Strict):
    origin: str
    public_key: str = Field(alias="publicKey")
    rekor: Literal[1, 2] = 2
    valid_from: AwareDatetime | None = Field(default=None, alias="validFrom")
    valid_until: AwareDatetime | None = Field(default=None, alias="validUntil")
    quorum: int = Field(default=0, ge=0)
    """How many of the witnesses must have cosigned a checkpoint before it is believed."""


class _TimestampAuthority(Strict):
    name: str = Field(min_length=1)
    certificate: str


class _EvidenceRoot(Strict):
    name: str = Field(min_length=1)
    tee: Tee = Tee.TDX
    certificate: str = ""
    simulated: bool = False


class _PublisherKey(Strict):
    name: str = Field(min_length=1)
    public_key: str = Field(alias="publicKey")


class _Spec(Strict):
    authorities: tuple[_Authority, ...] = ()
    logs: tuple[_Log, ...] = ()
    evidence_roots: tuple[_EvidenceRoot, ...] = Field(default=(), alias="evidenceRoots")
    witnesses: tuple[str, ...] = ()
    timestamp_authorities: tuple[_TimestampAuthority, ...] = Field(default=(), alias="timestampAuthorities")
    publisher_keys: tuple[_PublisherKey, ...] = Field(default=(), alias="publisherKeys")


class _Document(Strict):
    page: ClassVar[str] = "docs/trust-root.md"
    api_version: Literal["atlas.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["TrustRoot"]
    spec: _Spec


def load_trust_root(path: Path) -> TrustRoot:
    """Read a trust root file.

    Raises:
        InputError: if it cannot be read.
        DocumentError: if it is not a trust root, or pins two logs or two evidence roots under one name, or a key twice.
    """
    return _trust_root(read_document(path, _Document), str(path))


def parse_trust_root(raw: bytes, name: str = "trust root") -> TrustRoot:
    """Read a trust root from bytes; raises as `load_trust_root`."""
    return _trust_root(parse_document(raw, _Document, name), name)


def _trust_root(document: _Document, name: str) -> TrustRoot:
    authorities = tuple(load_authority(each.name, each.certificate, each.roles) for each in document.spec.authorities)
    witnesses = tuple(load_witness(each) for each in document.spec.witnesses)
    if len({each.name for each in witnesses}) < len(witnesses):
        raise DocumentError(f"{name}: two witnesses have one name")
    logs = tuple(
        load_log(each.origin, each.public_key, each.rekor, each.valid_from, each.valid_until, each.quorum, witnesses)
        for each in document.spec.logs
    )
    if len({log.origin for log in logs}) < len(logs):
        raise DocumentError(f"{name}: two logs have one origin")
    roots = tuple(
        load_evidence_root(each.name, each.tee, each.certificate, simulated=each.simulated)
        for each in document.spec.evidence_roots
    )
    if len({each.name for each in roots}) < len(roots):
        raise DocumentError(f"{name}: two evidence roots have one name")
    times = tuple(load_timestamp_authority(each.name, each.certificate) for each in document.spec.timestamp_authorities)
    keys = tuple(load_publisher_key(each.name, each.public_key) for each in document.spec.publisher_keys)
    if len({each.der for each in keys}) < len(keys):
        raise DocumentError(f"{name}: one publisher's key stands in it twice")
    return TrustRoot(authorities, logs, roots, witnesses, times, keys)
