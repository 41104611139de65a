"""What all tests share."""

import os
import signal
from pathlib import Path

import pytest

# a process that ignores a signal, as a shell's background job does, hands that on to every process it starts, and
# several tests send signals to theirs
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of evidence and receipts from real machines and logs, which are not part of this repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    found = Path(os.environ.get("ATLAS_TEST_DATA") or beside)
    if not found.is_dir():
        pytest.skip(f"NOT TESTED ON REAL DATA: there is no {found}; set ATLAS_TEST_DATA")
    return found
