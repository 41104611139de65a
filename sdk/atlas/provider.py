"""Choosing who gives evidence. Imports little: every step of a pipeline pays for what it imports."""

from typing import TYPE_CHECKING

from atlas.errors import EvidenceError, StateError, StepError
from atlas.evidence.providers import PROVIDERS, SIMULATED, Provider
from atlas.home import Home

if TYPE_CHECKING:
    from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform

SIMULATOR_FILE = "simulator.json"
"""Where a home keeps its simulated platform."""


def choose(name: str, home: Home) -> Provider:
    """The provider of evidence with this name.

    Raises:
        StepError: if there is none of that name.
        StateError: if the simulated one is asked for, and the home has no simulated platform.
    """
    if name == "tdx":
        from atlas.evidence.providers.tdx import TdxProvider  # noqa: PLC0415  each step loads what it needs

        return TdxProvider()
    if name == "coco":
        from atlas.evidence.providers.coco import CocoProvider  # noqa: PLC0415

        return CocoProvider()
    if name == SIMULATED:
        from atlas.evidence.providers.simulated import UnsafeSimulatedProvider  # noqa: PLC0415

        return UnsafeSimulatedProvider(load_simulator(home))
    raise StepError(f"there is no evidence provider {name[:40]!r}", mend=f"choose one of: {', '.join(PROVIDERS)}")


def has_simulator(home: Home) -> bool:
    """Whether the home has a simulated platform."""
    return (home.path / SIMULATOR_FILE).exists()


def load_simulator(home: Home) -> "UnsafeSimulatedPlatform":
    """The home's simulated platform.

    Raises:
        StateError: if it has none, or it cannot be read.
    """
    from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform  # noqa: PLC0415

    try:
        return UnsafeSimulatedPlatform.load((home.path / SIMULATOR_FILE).read_bytes())
    except FileNotFoundError as error:
        raise EvidenceError(
            f"{home.path}: this home has no simulated platform", mend="make one with `atlas evidence simulate`"
        ) from error
    except OSError as error:
        raise StateError(f"{home.path / SIMULATOR_FILE}: cannot be read: {error.strerror}") from error
