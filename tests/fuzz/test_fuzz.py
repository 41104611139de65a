"""The short form of the fuzzing: the same mutants on every run, a few thousand for each reader."""

import importlib.util
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from atlas.errors import InputError
from fuzz.long import BATCH, mutants, plan, rss
from fuzz.mutate import LARGEST, mutate
from fuzz.target import Seed, Target, Violation
from fuzz.targets import make_targets

pytestmark = [
    pytest.mark.fuzz,
    # the library's word on certificates that no authority would issue
    pytest.mark.filterwarnings("ignore:Parsed a serial number:Warning"),
    pytest.mark.filterwarnings("ignore:Parsed a negative serial number:Warning"),
]

GROWTH = 48 << 20
"""Bytes by which all examples together may make the process grow."""
A_BATCH = 64
NAMES = [
    *("sidecar", "sidecar signed anew", "receipt", "statement", "document", "executor"),
    *("quote", "evidence", "gpu", "recorded", "model signature"),
]
DOORS = {"document": 2, "executor": 2, "evidence": 2, "gpu": 3, "recorded": 2}
"""Least number of different outcomes, where it is not four."""
EXAMPLES = {"sidecar signed anew": 10, "document": 12}
"""Batches; of the dear ones fewer."""
_DETERMINISTIC = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return {each.name: each for each in make_targets(tmp_path_factory.mktemp("fuzz"))}


@st.composite
def _edits(draw: st.DrawFn, seeds: tuple[Seed, ...]) -> tuple[Seed, list[str], int]:
    """A seed, the operators that change it, and where their chance begins."""
    seed = draw(st.sampled_from(seeds))
    names = draw(st.lists(st.sampled_from(list(seed.operators)), min_size=1, max_size=4)) if seed.operators else []
    return seed, names, draw(st.integers(0, 2**32 - 1))


def _hunt(target: Target) -> Counter[str]:
    outcomes: Counter[str] = Counter()

    @settings(_DETERMINISTIC, max_examples=EXAMPLES.get(target.name, 25))
    @given(_edits(target.seeds))
    def batch(edits: tuple[Seed, list[str], int]) -> None:
        seed, names, start = edits
        note(f"{target.name}: {seed.name}, {names}, from {start}")
        for number in range(A_BATCH):
            chance = Random(start + number)
            raw = mutate(seed.operators, names, chance, seed.raw)
            if seed.finish:
                raw = seed.finish(chance, raw)
            if raw != seed.raw:
                outcomes[target.check(seed, raw)] += 1

    batch()
    return outcomes


@pytest.mark.parametrize("name", NAMES)
def test_mutants_are_refused_or_mean_the_same(targets: dict[str, Target], name: str) -> None:
    before = rss()
    outcomes = _hunt(targets[name])
    assert sum(outcomes.values()) > 500
    # a fuzzer whose mutants all die at one door tests that door only
    assert len(outcomes) >= DOORS.get(name, 4), outcomes
    assert rss() - before < GROWTH
    assert targets[name].slowest < targets[name].limit


def test_the_same_batch_has_the_same_mutants(targets: dict[str, Target]) -> None:
    for target in targets.values():
        if target.seeds[0].finish:
            continue  # ECDSA signs with chance of its own
        one, other = (list(itertools.islice(mutants(target, 7), 40)) for _ in range(2))
        assert [raw for _, raw in one] == [raw for _, raw in other]
        assert len({raw for _, raw in one}) > 30
        assert all(len(raw) <= LARGEST for _, raw in one)


def test_every_operator_changes_every_kind_of_seed(targets: dict[str, Target]) -> None:
    for target in targets.values():
        for seed in target.seeds:
            for name in seed.operators:
                made = {mutate(seed.operators, [name], Random(i), seed.raw) for i in range(24)}
                assert made - {seed.raw}, (target.name, seed.name, name)


def _never(_raw: bytes) -> object:
    while True:
        pass


def _wrong(raw: bytes) -> object:
    raise KeyError(raw)


def _mute(_raw: bytes) -> object:
    raise InputError("")


@pytest.mark.parametrize(
    ("judge", "meaning", "what"),
    [
        (_wrong, None, "KeyError"),
        (_never, None, "hangs"),
        (_mute, None, "without a message"),
        (lambda raw: raw, b"original", "another meaning"),
    ],
)
def test_a_violation_is_noticed(monkeypatch: pytest.MonkeyPatch, judge: object, meaning: object, what: str) -> None:
    monkeypatch.setattr("fuzz.target.HUNG", 0.1)
    seed = Seed("seed", b"original", judge, {}, meaning)  # type: ignore[arg-type]
    with pytest.raises(Violation, match=what) as caught:
        Target("target", InputError, (seed,)).check(seed, b"mutant")
    assert caught.value.mutant == b"mutant"


def test_the_plan_spreads_the_mutants_evenly_over_the_readers() -> None:
    planned = Counter(name.removesuffix(" signed anew") for name, _ in plan(1_500_000))
    smaller = [planned.pop(name) for name in ("quote", "evidence", "gpu", "recorded")]
    assert sum(planned.values()) * BATCH == 1_200_000
    assert set(planned.values()) == {400}
    assert sum(smaller) * BATCH == 300_000


def test_the_long_form_runs(tmp_path: Path) -> None:
    found = importlib.util.find_spec("fuzz.long")
    assert found is not None
    assert found.origin is not None
    done = subprocess.run(
        [sys.executable, found.origin, "--mutants", "10", "--jobs", "2", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mutants/s") == len(NAMES)
    assert "0 kinds of violations" in done.stdout
    assert not list(tmp_path.iterdir())
