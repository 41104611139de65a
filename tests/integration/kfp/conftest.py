from pathlib import Path

import pytest

from integration.kfp.support import Laboratory


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            # kfp warns of what its own tests use: images without "python" in their name, generated components
            item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning:kfp"))


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    return Laboratory(tmp_path)
