from collections.abc import Iterator
from pathlib import Path

import pytest

from support import unprivileged


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that `unprivileged.run` may enter and owns."""
    with unprivileged.folder() as folder:
        yield folder
