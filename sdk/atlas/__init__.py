"""Atlas: know what every model is made of, and refuse the ones you cannot prove.

    from atlas import find_home, open_archive, load_trust_root, load_policy, measure, Verifier

    home = find_home()
    with open_archive(home) as archive:
        verifier = Verifier(archive, load_trust_root(home.trust_path), lambda: archive.revision)
        verdict = verifier.verify(measure(path).sha256, load_policy(policy), at=now)

The way of the data, and where to look:

    artifact, statement       what is measured, and what is said of it (`disclosure`: what is said to some only)
    keys, manifest, evidence  how that is signed, and what vouches for the machine
    home, gather, outbox      where it waits, until it is archived and then logged
    archive, log, logs        by digest, and for everybody to see (`recording`: what is shown; `anchors`, `watcher`)
    lineage, policy, verifier how artifacts hang together, and what is made of that: a `verdict`
    trust, revocation         what is pinned before any of this is believed, and what is no longer
    interop, bundles, slsa    the same for the tools of others

Names are loaded when they are used, because a pipeline step pays for every import.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atlas.artifact import measure
    from atlas.codes import Code
    from atlas.errors import AtlasError, Rejected
    from atlas.gather import open_archive
    from atlas.home import create_home, find_home
    from atlas.manifest import parse_manifest, verify_manifest
    from atlas.policy import load_policy
    from atlas.trust_file import load_trust_root
    from atlas.verdict import Finding, Verdict
    from atlas.verifier import Verifier

_WHERE = {
    "AtlasError": "errors",
    "Code": "codes",
    "Finding": "verdict",
    "Rejected": "errors",
    "Verdict": "verdict",
    "Verifier": "verifier",
    "create_home": "home",
    "find_home": "home",
    "load_policy": "policy",
    "load_trust_root": "trust_file",
    "measure": "artifact",
    "open_archive": "gather",
    "parse_manifest": "manifest",
    "verify_manifest": "manifest",
}

__all__ = [
    "AtlasError",
    "Code",
    "Finding",
    "Rejected",
    "Verdict",
    "Verifier",
    "create_home",
    "find_home",
    "load_policy",
    "load_trust_root",
    "measure",
    "open_archive",
    "parse_manifest",
    "verify_manifest",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'atlas' has no attribute {name!r}")
    return getattr(importlib.import_module(f"atlas.{_WHERE[name]}"), name)
