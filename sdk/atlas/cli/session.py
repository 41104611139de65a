"""Opening what a verification needs: home, archive, trust root, policy; and the subject that is to be verified."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from atlas.archive import Archive, Stored
from atlas.artifact import Measurement, measure
from atlas.cli.terminal import hashing
from atlas.errors import InputError
from atlas.gather import Gathered, gather, open_archive
from atlas.home import Home, find_home
from atlas.interop.oms_record import own_receipt, record_of
from atlas.interop.verify import read_manifest
from atlas.lineage import Source
from atlas.lineage.facts import StoredManifest
from atlas.trust import TrustRoot
from atlas.trust_file import load_trust_root
from atlas.verifier import Verifier

_DIGEST = re.compile(r"sha256:([0-9a-f]{8,64})")


@dataclass(frozen=True)
class Session:
    """An open home, with what it gathers gathered."""

    home: Home
    archive: Archive
    trust: TrustRoot

    def verifier(self, extra: Stored | None = None) -> Verifier:
        """A verifier over the archive, and one manifest more if given."""
        source: Source = _With(self.archive, extra) if extra else self.archive
        return Verifier(source, self.trust, lambda: self.archive.revision)


@dataclass(frozen=True)
class Subject:
    """What is to be verified."""

    sha256: str
    name: str
    measured: Measurement | None = None
    """The artifact at hand; None if only a digest was given."""
    sidecar: Stored | None = None
    """A sidecar that lies beside the artifact and that the archive does not know."""


@contextlib.contextmanager
def session(home: Path | None, trust: Path | None) -> Iterator[Session]:
    """Open a home and gather what waits in it.

    Raises:
        AtlasError: if there is none, or it cannot be used.
    """
    found = find_home(home)
    root = load_trust_root(trust or found.trust_path)
    gather_and_tell(found)
    with open_archive(found) as archive:
        yield Session(found, archive, root)


def gather_and_tell(home: Home) -> Gathered:
    """Gather; what is refused or not logged yet is said on standard error, and does not stop what comes next."""
    gathered = gather(home)
    for place, rejected in gathered.refused:
        click.echo(f"atlas: {rejected.code}: {rejected}; set aside in {place}", err=True)
    if gathered.unlogged:
        click.echo(f"atlas: not everything is logged yet: {gathered.unlogged}", err=True)
    return gathered


def find_subject(archive: Archive, target: str, trust: TrustRoot | None = None) -> Subject:
    """Take `sha256:…` (whole, or eight digits or more of a digest that the archive knows) or a path, which is measured.

    A sidecar that lies beside it is taken too, or, given a trust root, a signature of OpenSSF Model Signing.

    Raises:
        InputError: if it is neither, or ambiguous.
        MeasureError: if the path cannot be measured.
    """
    if target.startswith("sha256:"):
        return Subject(_digest(archive, target), target)
    path = Path(target)
    with hashing(path.name) as progress:
        measured = measure(path, progress)
    known = archive.producers(measured.sha256) or archive.at(str(path.resolve()))
    return Subject(measured.sha256, path.name, measured, None if known else _neighbour(path, measured, trust))


def _digest(archive: Archive, target: str) -> str:
    match = _DIGEST.fullmatch(target)
    if not match:
        raise InputError(f"{target}: a digest is written sha256: and 8 to 64 lower-case hex digits")
    if len(match[1]) == 64:
        return match[1]
    found = archive.find(match[1])
    if len(found) != 1:
        raise InputError(
            f"{target}: {len(found) or 'no'} artifacts have a digest that begins so", mend="write more of it"
        )
    return found[0]


def _neighbour(path: Path, measured: Measurement, trust: TrustRoot | None) -> Stored | None:
    place = path.resolve()
    sidecar, signature = place.with_name(f"{place.name}.c2pa"), place.with_name(f"{place.name}.sig")
    if sidecar.is_file():
        raw, receipt = sidecar.read_bytes(), None
    elif trust and signature.is_file():
        content = signature.read_bytes()
        raw, receipt = record_of(content, measured, trust), own_receipt(content, trust)
    else:
        return None
    manifest = read_manifest(raw)
    return Stored(manifest.box_sha256, manifest.asset_sha256, raw, receipt)


@dataclass(frozen=True)
class _With:
    """An archive with one manifest more."""

    archive: Archive
    extra: Stored

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        return self.extra if box_sha256 == self.extra.box_sha256 else self.archive.manifest(box_sha256)

    def producers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        # a sidecar that lies beside an artifact claims to be of it, whatever it is bound to
        return self.archive.producers(asset_sha256) or [self.extra]

    def consumers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        return self.archive.consumers(asset_sha256)

    def collateral(self, fmspc: str, authority: str) -> Sequence[bytes]:
        return self.archive.collateral(fmspc, authority)

    def of_run(self, run: str) -> Mapping[tuple[str, int], Mapping[str, str]]:
        return self.archive.of_run(run)
