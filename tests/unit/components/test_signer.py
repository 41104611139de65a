"""The signer of a run that takes long, in a home whose authority is rotated meanwhile."""

import datetime as dt
from pathlib import Path

import pytest

from atlas.errors import StateError
from atlas.home import create_home
from atlas.rotation import rotate_authority
from atlas_components.desk import Signer


def test_a_signer_follows_a_rotation(tmp_path: Path) -> None:
    home = create_home(tmp_path / ".atlas")
    signer = Signer(home)
    signer.start()
    before = signer.result()
    assert signer.result() is before
    rotate_authority(home, dt.datetime.now(dt.UTC))
    after = signer.result()
    assert after.certificate == home.certificate() != before.certificate
    assert signer.result() is after


def test_a_signer_that_could_not_load_says_why_again_and_again(tmp_path: Path) -> None:
    home = create_home(tmp_path / ".atlas")
    (home.path / "ca.pem").unlink()
    signer = Signer(home)
    signer.start()
    for _ in range(2):
        with pytest.raises(StateError, match=r"ca\.pem"):
            signer.result()
