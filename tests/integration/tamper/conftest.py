import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.tamper.world import World, restored


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """The world, made once, and a copy of it that nobody touches."""
    folder = tmp_path_factory.mktemp("tamper").resolve()
    world = World.create(folder / "world")
    shutil.copytree(world.root, folder / "pristine")
    return world, folder / "pristine"


@pytest.fixture
def world(pristine: tuple[World, Path]) -> Iterator[World]:
    with restored(*pristine) as fresh:
        yield fresh
