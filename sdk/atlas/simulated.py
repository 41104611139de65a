"""A home's simulated platform, whose evidence proves nothing."""

import datetime as dt
import json
import os

from atlas.errors import StorageError
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.home import Home
from atlas.provider import SIMULATED, SIMULATOR_FILE, has_simulator, load_simulator
from atlas.trust import EvidenceRoot, Tee, TrustRoot
from atlas.trust_file import load_trust_root


def make_simulator(home: Home, now: dt.datetime) -> bool:
    """Give the home a simulated platform, and pin its root, named for what it is; returns whether it had none.

    Raises:
        StorageError: if it cannot be written.
    """
    made = not has_simulator(home)
    if made:
        _write(home, SIMULATOR_FILE, UnsafeSimulatedPlatform.new(now).dump())
    platform, trust = load_simulator(home), load_trust_root(home.trust_path)
    root = EvidenceRoot(SIMULATED, Tee.TDX, platform.root, simulated=True)
    if root not in trust.evidence_roots:
        others = tuple(each for each in trust.evidence_roots if each.name != SIMULATED)
        pinned = TrustRoot(trust.authorities, trust.logs, (*others, root))
        _write(home, home.trust_path.name, json.dumps(pinned.to_json(), indent=2).encode() + b"\n")
    return made


def _write(home: Home, name: str, content: bytes) -> None:
    temporary = home.path / f".{name}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(home.path / name)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{home.path / name}: cannot be written: {error.strerror}") from error
