"""Services over real TLS, and real collateral."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from unit.evidence.fetch_support import World
from unit.evidence.pccs_support import (
    Holder,
    certify,
    tls_holder,
)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Holder, Holder]:
    authority = certify("TLS authority", ca=True)
    return tmp_path_factory.mktemp("tls"), authority, tls_holder(authority, "127.0.0.1", "localhost")


@pytest.fixture
def world(tls: tuple[Path, Holder, Holder]) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(*tls, stack)


@pytest.fixture(scope="session")
def real(real_data: Path) -> Collateral:
    return parse_collateral((real_data / "tdx" / "phala" / "tdx_quote_collateral.json").read_bytes())
