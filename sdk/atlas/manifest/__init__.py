"""Manifests: the signed C2PA sidecar of one artifact.

`emit` makes one, `parse` reads one strictly (structure, signature, agreement of its parts), `verify` adds who is
trusted. `profile` holds the names that all three share, `jumbf` the box format.
"""

from atlas.manifest.emit import Sidecar, sign_manifest, sign_statement
from atlas.manifest.parse import Manifest, parse_manifest
from atlas.manifest.verify import TrustedManifest, verify_manifest

__all__ = [
    "Manifest",
    "Sidecar",
    "TrustedManifest",
    "parse_manifest",
    "sign_manifest",
    "sign_statement",
    "verify_manifest",
]
