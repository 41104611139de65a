"""The trust root: everything that is pinned before any evidence is looked at. Evidence never chooses its own root.

`authority` is what is pinned by a certificate, `key` what is pinned by itself, `evidence` the roots of hardware, `root`
all of that together.
"""

from atlas.trust.authority import Authority, Role, TimestampAuthority, load_authority, load_timestamp_authority
from atlas.trust.evidence import EvidenceRoot, Tee, intel_root, load_evidence_root
from atlas.trust.key import PinnedLog, PublisherKey, Witness, load_log, load_publisher_key, load_witness
from atlas.trust.root import TrustRoot

__all__ = [
    "Authority",
    "EvidenceRoot",
    "PinnedLog",
    "PublisherKey",
    "Role",
    "Tee",
    "TimestampAuthority",
    "TrustRoot",
    "Witness",
    "intel_root",
    "load_authority",
    "load_evidence_root",
    "load_log",
    "load_publisher_key",
    "load_timestamp_authority",
    "load_witness",
]
