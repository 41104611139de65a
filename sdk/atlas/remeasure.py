"""Comparing the bytes at hand with those that manifests vouch for."""

from collections.abc import Callable, Iterator
from pathlib import Path

from atlas.archive import Archive
from atlas.artifact import Kind, Measurement, Progress, measure, parse_index
from atlas.codes import Code
from atlas.errors import MeasureError, Rejected
from atlas.lineage import Lineage
from atlas.lineage.facts import StoredManifest
from atlas.verdict import Finding, Severity


def changed_artifact(
    archive: Archive, path: Path, measured: Measurement, trusts: Callable[[StoredManifest], bool]
) -> Rejected | None:
    """Why nobody vouches for what lies at a path, if somebody who is trusted vouches for what should lie there."""
    places = [
        place
        for place in archive.at(str(path.resolve()))
        if (stored := archive.manifest(place.box_sha256)) and trusts(stored)
    ]
    if not places or any((place.kind, place.asset_sha256) == (measured.kind, measured.sha256) for place in places):
        return None
    place = places[-1]
    return Rejected(
        Code.ARTIFACT_CHANGED,
        f"the bytes of {path.name} are not those that {place.task} wrote here",
        expected=f"sha256:{place.asset_sha256}",
        found=f"sha256:{measured.sha256}{_difference(archive, place.asset_sha256, measured)}",
    )


def changed_ancestors(archive: Archive, lineage: Lineage, progress: Progress | None = None) -> Iterator[Finding]:
    """Measure again every artifact of the lineage that lies where its step left it; warn of those that do not."""
    for node in lineage.nodes[1:]:
        output = node.facts.manifest.output
        place = Path(output.uri) if output and output.uri.startswith("/") else None
        if output is None or place is None or output.kind is Kind.PROPERTIES:
            continue
        if not place.exists():
            gone = Rejected(Code.ANCESTOR_MISSING, expected=f"sha256:{output.sha256}", found=f"nothing at {place}")
            yield Finding.of(gone, node.path, Severity.WARNING)
            continue
        try:
            measured = measure(place, progress)
        except MeasureError as error:
            yield Finding.of(Rejected(Code.ANCESTOR_CHANGED, str(error), expected=f"sha256:{output.sha256}"), node.path)
            continue
        if (measured.kind, measured.sha256) != (output.kind, output.sha256):
            found = f"sha256:{measured.sha256}{_difference(archive, output.sha256, measured)}"
            message = f"the bytes of {output.name} are no longer those that were used"
            rejected = Rejected(Code.ANCESTOR_CHANGED, message, expected=f"sha256:{output.sha256}", found=found)
            yield Finding.of(rejected, node.path)


def _difference(archive: Archive, expected: str, measured: Measurement) -> str:
    """Which files of a tree differ, where both indices are known."""
    index = archive.asset(expected)
    if index is None or measured.asset is None:
        return ""
    before, after = parse_index(index), parse_index(measured.asset)
    changed = [
        *(f"{path} changed" for path in before.keys() & after.keys() if before[path] != after[path]),
        *(f"{path} is gone" for path in before.keys() - after.keys()),
        *(f"{path} is new" for path in after.keys() - before.keys()),
    ]
    return f" ({', '.join(sorted(changed)[:5])}{', …' if len(changed) > 5 else ''})"
