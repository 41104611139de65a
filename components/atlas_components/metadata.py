"""The metadata of artifacts: hints that tell the next step of a manifest, and properties that are measured.

KFP carries metadata from the step that makes an artifact to those that use it, and through its caches. Hints are
claims; a verifier follows them and checks what they lead to.
"""

import re
from collections.abc import Mapping
from typing import Any

from atlas.canonical import SAFE_INTEGER
from atlas.errors import MeasureError, StepError
from atlas.statement import Link

ASSET = "atlas_sha256"
MANIFEST = "atlas_manifest_sha256"
LABEL = "atlas_manifest_label"
EXPECTED = "atlas_expected_sha256"
"""Set on an importer: the digest that its artifact must have."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OF_KFP = ("display_name", "store_session_info")


def hints(link: Link) -> dict[str, str]:
    """What is written into an output's metadata."""
    return {ASSET: link.asset_sha256, MANIFEST: link.box_sha256, LABEL: link.label}


def link_of(name: str, metadata: Mapping[str, Any]) -> Link | None:
    """The manifest that an input's metadata tells of, if any.

    Raises:
        StepError: if it tells of one in a form that Atlas does not write.
    """
    values = [metadata.get(key) for key in (LABEL, MANIFEST, ASSET)]
    if values == [None, None, None]:
        return None
    label, box, asset = values
    if isinstance(label, str) and 0 < len(label) <= 200 and _is_sha256(box) and _is_sha256(asset):
        return Link(label, str(box), str(asset))
    raise StepError(
        f"{name}: its provenance metadata ({ASSET}, {MANIFEST}, {LABEL}) is malformed",
        mend=f"remove these keys from where the artifact is made; to pin an importer, set {EXPECTED} alone",
    )


def expected_of(name: str, metadata: Mapping[str, Any]) -> str:
    """The digest that the pipeline demands of an input; empty if it demands none.

    Raises:
        StepError: if it is not a digest.
    """
    value = metadata.get(EXPECTED)
    if value is None:
        return ""
    if not _is_sha256(value):
        raise StepError(
            f"{name}: {EXPECTED} is not a SHA-256 digest in lower-case hex: {value!r:.100}",
            mend="set it to what `sha256sum` prints for a file, or `atlas measure` for a directory",
        )
    return str(value)


def without_hints(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata without what Atlas wrote: a step may have copied it from an input, and it is not true of outputs."""
    return {key: value for key, value in metadata.items() if not key.startswith("atlas_")}


def properties_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata that its author wrote, in the one form that both ends of a hop see.

    KFP carries numbers as doubles: 7 arrives as 7.0, which canonical JSON writes alike, and integers from 2**53 on
    arrive rounded, so they are rounded here.

    Raises:
        MeasureError: if a number is larger than any double.
    """
    own = without_hints(metadata).items()
    return {key: _carried(value) for key, value in own if key not in _OF_KFP and not key.startswith("_kfp")}


def _carried(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _carried(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_carried(each) for each in value]
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        try:
            return float(value)
        except OverflowError as error:
            raise MeasureError("a property is a number larger than any that KFP can carry") from error
    return value


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))
