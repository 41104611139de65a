from pathlib import Path

import pytest

from integration.cli.cli_support import Here


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in an empty folder."""
    folder = tmp_path.resolve() / "work"
    folder.mkdir()
    for name in ("ATLAS_HOME", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    return Here(folder, capsys)


@pytest.fixture
def atlas(bare: Here) -> Here:
    """The command line in a folder with a home."""
    bare("init").expect(0)
    return bare
