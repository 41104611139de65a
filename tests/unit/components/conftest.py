from pathlib import Path

import pytest

from atlas.home import Home, create_home
from unit.components.support import StepRunner


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / ".atlas")


@pytest.fixture
def runner(tmp_path: Path, home: Home) -> StepRunner:
    return StepRunner(tmp_path, home)
