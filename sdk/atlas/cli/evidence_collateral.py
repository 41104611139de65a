"""`atlas evidence fetch` and `import`: what manufacturers say of their platforms, kept for judging evidence."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from atlas.archive import Archive
from atlas.cli.session import gather_and_tell
from atlas.cli.terminal import (
    console,
    home_option,
    json_option,
    parse_time,
    print_json,
)
from atlas.document import read_input
from atlas.errors import AtlasError, FetchError, Rejected
from atlas.evidence.appraise import REAL
from atlas.evidence.document import parse_evidence
from atlas.evidence.fetch import INTEL_PCS, INTEL_ROOT_CRL, Service, fetch_collateral, needs_refresh
from atlas.evidence.tdx.check import check_collateral
from atlas.evidence.tdx.collateral import Collateral, latest, parse_collateral
from atlas.evidence.tdx.quote import parse_quote
from atlas.evidence.tdx.verify import platform_of
from atlas.gather import open_archive, refresh_simulated
from atlas.home import find_home
from atlas.manifest import parse_manifest
from atlas.trust import intel_root

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--from", "url", default=INTEL_PCS, show_default=True, envvar="ATLAS_PCCS", help="PCCS, or Intel's PCS API."
)
@click.option("--root-crl", "root_crl", help="Where the root's revocation list is; a PCCS serves it itself.")
@click.option("--ca", "ca_file", type=_FILE, help="Certificates that vouch for the service's own TLS (PEM).")
@click.option("--quote", "quotes", multiple=True, type=_FILE, help="For the platform of this quote too.")
@click.option("--force", is_flag=True, help="Also where what is known is in the first half of its life.")
@home_option
@json_option
def fetch(
    url: str,
    root_crl: str | None,
    ca_file: Path | None,
    quotes: tuple[Path, ...],
    force: bool,
    home: Path | None,
    as_json: bool,
) -> int:
    """Fetch today's collateral for every platform that the archive has evidence of, and keep it."""
    found, now = find_home(home), dt.datetime.now(dt.UTC)
    crl = root_crl or (INTEL_ROOT_CRL if url.rstrip("/") == INTEL_PCS else "")
    service = Service(url, root_crl_url=crl, ca_file=ca_file)
    gather_and_tell(found)
    fetched, fresh, root = [], [], intel_root().certificate
    failed: dict[str, FetchError | Rejected] = {}
    with open_archive(found) as archive:
        simulated = refresh_simulated(found, archive, now)
        platforms = {platform_of(parse_quote(read_input(each))) for each in quotes} | set(_platforms(archive))
        for fmspc, authority in sorted(platforms):
            known = [parse_collateral(raw) for raw in archive.collateral(fmspc, authority)]
            newest, stale = latest(known, now)
            if not (force or stale or needs_refresh(newest[-1], now)):
                fresh.append(_collateral_facts(newest[-1]))
                continue
            try:
                collateral = fetch_collateral(service, fmspc, authority, known=known, now=now, root=root)
            except (FetchError, Rejected) as error:  # evidence is not verified yet, and may name what there is not
                failed[f"{fmspc} {authority}"] = error
                continue
            archive.add_collateral(collateral)
            fetched.append(_collateral_facts(collateral))
    if as_json:
        failures = [
            {"platform": name, "error": _code(each), "message": str(each), "mend": each.mend}
            for name, each in failed.items()
        ]
        print_json({"fetched": fetched, "fresh": fresh, "failed": failures, "simulated": simulated})
        return 1 if failed else 0
    for what, each in (*(("fetched", each) for each in fetched), *(("fresh", each) for each in fresh)):
        console.print(
            f"{each['fmspc']} {each['authority']}: {what}, evaluation {each['evaluation']}, until {each['expires']}"
        )
    if simulated:
        console.print("simulated platform: collateral made")
    for name, reason in failed.items():
        console.print(f"✗ {name}: {_code(reason)}: {reason}\n    mend: {reason.mend}", soft_wrap=True)
    if not (fetched or fresh or simulated or failed):
        console.print("nothing to fetch: the archive has no evidence of a platform that needs collateral")
    return 1 if failed else 0


def _code(error: AtlasError) -> str:
    return error.code.value if isinstance(error, Rejected) else type(error).__name__


@click.command("import")
@click.argument("collateral", type=_FILE)
@click.option("--at", metavar="TIME", help="When it was in force (RFC 3339); by default now.")
@home_option
@json_option
def import_(collateral: Path, at: str | None, home: Path | None, as_json: bool) -> None:
    """Keep COLLATERAL (JSON) of Intel that was fetched elsewhere, for a machine without a network."""
    read, root = read_collateral(collateral), intel_root().certificate
    with open_archive(find_home(home)) as archive:
        known = [parse_collateral(raw) for raw in archive.collateral(*read.platform)]
        before = [each for each in known if each.issued <= read.issued]  # old collateral is for old evidence
        check_collateral(read, *read.platform, root=root, now=parse_time(at), known=before)
        new = archive.add_collateral(read)
    facts = _collateral_facts(read)
    if as_json:
        print_json({**facts, "new": new})
        return
    console.print(
        f"{facts['fmspc']} {facts['authority']}: {'kept' if new else 'known already'}, until {facts['expires']}"
    )


def _platforms(archive: Archive) -> Iterator[tuple[str, str]]:
    """Kinds of real platforms that the archive has evidence of; evidence that cannot be read is for `atlas verify`."""
    for stored in archive.attested(REAL):
        with contextlib.suppress(Rejected):
            yield platform_of(parse_quote(parse_evidence(parse_manifest(stored.sidecar).evidence).attestation.quote))


def read_collateral(path: Path) -> Collateral:
    """Read collateral (JSON).

    Raises:
        InputError: if the file cannot be read.
        Rejected: if it is none, and of which file that is.
    """
    with naming(path):
        return parse_collateral(read_input(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say of which file it is that something does not hold."""
    try:
        yield
    except Rejected as rejected:
        raise Rejected(rejected.code, f"{path}: {rejected}") from rejected


def _collateral_facts(collateral: Collateral) -> dict[str, Any]:
    fmspc, authority = collateral.platform
    return {
        "fmspc": fmspc,
        "authority": authority,
        "evaluation": collateral.freshness.evaluation,
        "issued": f"{collateral.issued:%FT%TZ}",
        "expires": f"{collateral.expires:%FT%TZ}",
        "collateral": f"sha256:{collateral.sha256}",
    }
