"""Gathering: what waits in a home's inbox is archived, then logged, then forgotten by the inbox.

Each transition is one transaction and idempotent, so that a process that dies anywhere loses nothing and logs nothing
twice: the next gathering takes up whatever is left.
"""

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

from atlas.archive import Archive
from atlas.disclosure import Disclosure
from atlas.errors import AtlasError, FetchError, Rejected, StorageError
from atlas.evidence.providers import SIMULATED
from atlas.evidence.tdx.collateral import parse_collateral
from atlas.home import DISCLOSURES, Home
from atlas.home_trust import trust_of
from atlas.interop.verify import read_manifest
from atlas.log.seal import Seal
from atlas.logs import log_of
from atlas.manifest import Manifest
from atlas.opening import open_parameters
from atlas.outbox import record_waiting
from atlas.provider import has_simulator, load_simulator
from atlas.recording import recording_of
from atlas.renewal import unsound


@dataclass(frozen=True)
class Gathered:
    """What a gathering came to."""

    manifests: int
    """Manifests that were new to the archive."""
    logged: int
    """Manifests that the log has acknowledged."""
    refused: tuple[tuple[Path, Rejected], ...]
    """Deposits that hold a sidecar which does not; they stay, set aside."""
    unlogged: AtlasError | None
    """Why the log has not acknowledged the rest, which waits for the next time; None if nothing waits."""


def open_archive(home: Home) -> Archive:
    """The home's archive, made if the home is new.

    Raises:
        StorageError: if it cannot be used, or was there and is gone.
    """
    if not home.archive_path.exists() and any(home.path.glob("log*.sqlite3")):  # the archive is always made first
        raise StorageError(
            f"{home.archive_path}: the archive is gone, and the log is not: manifests were lost",
            mend="restore it from a backup; sidecars that lie beside artifacts verify by themselves",
        )
    return Archive(home.archive_path)


def gather(home: Home, *, renew: bool = False) -> Gathered:
    """Archive and log whatever waits in the inbox.

    Args:
        home: whose inbox.
        renew: whether the log is also asked again for what has a receipt that does not hold.

    Raises:
        StorageError: if a database or the disk fails; whatever was not finished waits for the next time.
    """
    deposits = sorted(each for each in home.inbox.iterdir() if not each.name.startswith("."))
    manifests: list[tuple[Manifest, bytes]] = []
    assets: list[bytes] = []
    disclosures: list[tuple[str, Disclosure]] = []
    refused: list[tuple[Path, Rejected]] = []
    taken = []
    for deposit in deposits:
        try:
            found = [_read(each) for each in sorted(deposit.iterdir()) if each.suffix in (".c2pa", ".oms")]
            disclosures += _disclosures(deposit, [manifest for manifest, _ in found])
        except Rejected as rejected:
            refused.append((_set_aside(home, deposit), rejected))
            continue
        manifests += found
        assets += [each.read_bytes() for each in deposit.glob("*.index")]
        taken.append(deposit)
    with open_archive(home) as archive:
        new = archive.add(manifests, assets, disclosures) if manifests else 0
        for deposit in taken:
            shutil.rmtree(deposit)
        if any(manifest.statement.evidence == SIMULATED for manifest, _ in manifests):
            refresh_simulated(home, archive, dt.datetime.now(dt.UTC))
        logged, unlogged = 0, None
        waiting, seals = archive.unlogged(), dict[str, Seal]()
        if renew:
            again, seals = unsound(archive, trust_of(home))
            waiting += again
        if waiting:
            try:
                with log_of(home) as log:
                    logged, unlogged = record_waiting(archive, log, waiting, recording_of(home), seals)
            except FetchError as error:  # what is archived is no worse for it
                unlogged = error
    return Gathered(new, logged, tuple(refused), unlogged)


def refresh_simulated(home: Home, archive: Archive, now: dt.datetime) -> bool:
    """See that the home's simulated platform has collateral in force; returns whether some was made."""
    if not has_simulator(home):
        return False
    platform = load_simulator(home)
    made = platform.collateral(now)
    known = [parse_collateral(raw) for raw in archive.collateral(*made.platform)]
    if any(each.issued <= now <= each.expires for each in known):
        return False
    return archive.add_collateral(made)


def _read(sidecar: Path) -> tuple[Manifest, bytes]:
    raw = sidecar.read_bytes()
    return read_manifest(raw), raw


def _disclosures(deposit: Path, manifests: list[Manifest]) -> list[tuple[str, Disclosure]]:
    """What a deposit's manifests keep back, with the statement's digest; all of it must be committed to.

    Raises:
        Rejected: if it is not.
    """
    path = deposit / DISCLOSURES
    if not path.exists():
        return []
    encoded = path.read_text(encoding="ascii", errors="replace").splitlines()
    statements = {each.statement_sha256: each.statement for each in manifests}
    return [
        (sha256, each)
        for sha256, statement in statements.items()
        for each in open_parameters(statement, encoded).values()
    ]


def _set_aside(home: Home, deposit: Path) -> Path:
    aside = home.path / "refused"
    aside.mkdir(exist_ok=True)
    return deposit.rename(aside / deposit.name)
