"""A home's simulated platform, whose evidence proves nothing."""

import datetime as dt
from dataclasses import replace

from atlas.evidence.providers import SIMULATED
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.home import Home
from atlas.home_trust import change_trust
from atlas.provider import SIMULATOR_FILE, has_simulator, load_simulator
from atlas.trust import EvidenceRoot, Tee, TrustRoot


def make_simulator(home: Home, now: dt.datetime) -> bool:
    """Give the home a simulated platform, and pin its root, named for what it is; returns whether it had none.

    Raises:
        StorageError: if it cannot be written.
    """
    made = not has_simulator(home)
    if made:
        home.write(SIMULATOR_FILE, UnsafeSimulatedPlatform.new(now).dump())
    root = EvidenceRoot(SIMULATED, load_simulator(home).root, Tee.TDX, simulated=True)
    change_trust(home, lambda trust: _pinning(trust, root))
    return made


def _pinning(trust: TrustRoot, root: EvidenceRoot) -> TrustRoot:
    if root in trust.evidence_roots:
        return trust
    others = tuple(each for each in trust.evidence_roots if each.name != SIMULATED)
    return replace(trust, evidence_roots=(*others, root))
