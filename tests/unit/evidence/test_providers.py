"""What is asked of every provider of evidence. None replaces another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atlas.errors import AtlasError, InputError
from atlas.evidence.providers import PROVIDERS, Provider
from atlas.evidence.providers.coco import CocoProvider
from atlas.evidence.providers.simulated import UnsafeSimulatedProvider
from atlas.evidence.providers.tdx import TdxProvider
from atlas.evidence.simulator.agent import UnsafeSimulatedAgent
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.simulator.tsm import UnsafeSimulatedTsm
from unit.evidence.evidence_support import platform
from unit.evidence.provider_support import DATA, RAW, TD, holds, why


def test_their_names(tmp_path: Path) -> None:
    made: list[Provider] = [UnsafeSimulatedProvider(platform()), TdxProvider(tmp_path), CocoProvider()]

    assert ("none", *(each.name for each in made)) == PROVIDERS


@pytest.mark.parametrize("length", [0, 48, 63, 65])
def test_report_data_are_64_bytes(length: int, tmp_path: Path) -> None:
    tsm = UnsafeSimulatedTsm(tmp_path, platform())
    with UnsafeSimulatedAgent(platform()) as agent:
        for each in (UnsafeSimulatedProvider(platform()), tsm.provider(), CocoProvider(agent.url)):
            with pytest.raises(InputError, match=f"64 bytes, not {length}"):
                each.attest(b"a" * length)
    assert list(tsm.reports.iterdir()) == []


LIGHT = """
import sys
from atlas.evidence.providers import tdx, coco, simulated
print([each for each in {names!r} if each in sys.modules])
"""


def test_they_are_light_enough_for_a_step() -> None:
    names = ["pydantic", "sqlalchemy", "yaml", "dcap_qvl", "urllib3", "requests", "kfp", "rich", "click", "c2pa"]
    path = os.pathsep.join(each for each in sys.path if each)
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(names=names)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )

    assert done.stdout.strip() == "[]"


def test_none_falls_back_to_another(tmp_path: Path) -> None:
    """Everything that another provider would need is there, and each still fails by itself."""
    with UnsafeSimulatedAgent(platform()) as agent, UnsafeSimulatedAgent(platform(), status=404) as disabled:
        tsm = UnsafeSimulatedTsm(tmp_path, platform())
        assert tsm.provider().attest(DATA).quote == CocoProvider(agent.url).attest(DATA).quote

        assert "no quote can be asked for here" in why(TdxProvider(tmp_path / "absent", tsm.event_log))
        assert "does not give evidence" in why(CocoProvider(disabled.url))
    assert "cannot be reached" in why(CocoProvider(agent.url))


# ------------------------------------------------------------------------------------------------ simulated


def test_simulated() -> None:
    holds(UnsafeSimulatedProvider(platform(), TD).attest(RAW), RAW)
    holds(UnsafeSimulatedProvider(platform()).attest(DATA), DATA, UnsafeSimulatedTd())


def test_the_errors_are_fit_for_a_user() -> None:
    with UnsafeSimulatedAgent(platform(), status=500) as agent, pytest.raises(AtlasError) as caught:
        CocoProvider(agent.url).attest(DATA)

    assert "\n" not in str(caught.value) + caught.value.mend
