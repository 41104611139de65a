import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.log.embedded import EmbeddedLog
from unit.log.log_support import LOG_KEY, ORIGIN


@pytest.fixture(scope="session")
def rekor_data() -> Path:
    """Bundles of the public staging log."""
    repository = Path(__file__).resolve().parents[3]
    root = Path(os.environ.get("ATLAS_TEST_DATA") or repository.parent / "shared" / "data")
    if not (root / "rekor").is_dir():
        pytest.skip(f"NOT TESTED AGAINST REAL REKOR DATA: {root / 'rekor'} is missing; set ATLAS_TEST_DATA")
    return root / "rekor"


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(log_path: Path) -> Iterator[EmbeddedLog]:
    with EmbeddedLog.open(log_path, ORIGIN, LOG_KEY) as opened:
        yield opened
