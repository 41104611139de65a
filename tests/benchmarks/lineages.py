"""Homes with real lineages: every sidecar is signed, deposited, gathered and logged as a pipeline's would be."""

import datetime as dt
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from atlas.artifact import Kind, measure_properties
from atlas.evidence.attest import attestor
from atlas.evidence.binding import Context
from atlas.evidence.providers import SIMULATED, Provider
from atlas.gather import gather
from atlas.home import Home, create_home
from atlas.keys import Issuer
from atlas.manifest import Sidecar, sign_statement
from atlas.provider import choose
from atlas.simulated import make_simulator
from atlas.statement import NO_EVIDENCE, Input, Link, Output, Statement, Step, output_of

IMAGE = "registry.example/step@sha256:" + "ab" * 32
BATCH = 100
"""Steps between two gatherings."""

Parents = Callable[[int], Sequence[int]]
"""Which earlier steps' outputs the step at a position takes."""


def diamonds(position: int) -> Sequence[int]:
    """A chain in which every tenth step begins a diamond: two steps take its output, the third one takes theirs."""
    if position == 0:
        return ()
    place = position % 10
    if place == 2 and position > 2:
        return (position - 2,)
    if place == 3 and position > 3:
        return (position - 1, position - 2)
    return (position - 1,)


def latest(count: int) -> Parents:
    """Every step takes the outputs of the last few before it; the first one's over again while there are fewer."""
    return lambda position: [max(0, position - 1 - back) for back in range(count)] if position else ()


def grow(
    folder: Path, steps: int, parents: Parents, *, evaluated: bool = True, attested: bool = False
) -> tuple[Home, list[Sidecar]]:
    """Make a home whose last artifact but one (or, if it is not evaluated, the last) has these steps as ancestors.

    Args:
        folder: where.
        steps: how many.
        parents: what each takes.
        evaluated: whether the last step evaluates what the one before it made.
        attested: whether each step has (simulated) evidence.
    """
    home = create_home(folder)
    issuer = home.issuer()
    provider = None
    if attested:
        make_simulator(home, dt.datetime.now(dt.UTC))
        provider = choose(SIMULATED, home)
    made: list[Sidecar] = []
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=2 * steps)
    for position in range(steps):
        last = evaluated and position == steps - 1
        taken = (position - 1,) if last else parents(position)
        made.append(_step(issuer, position, [made[each] for each in taken], began, provider, evaluates=last))
        home.deposit({made[-1].name: made[-1].raw})
        if position % BATCH == BATCH - 1 or position == steps - 1:
            gather(home)
    return home, made


def _step(
    issuer: Issuer,
    position: int,
    taken: Sequence[Sidecar],
    began: dt.datetime,
    provider: Provider | None,
    *,
    evaluates: bool,
) -> Sidecar:
    name = "metrics" if evaluates else "data"
    uri = f"/outputs/chain-2026-01-31-12-00-00-000000/step-{position}/{name}"
    if evaluates:
        output = output_of(measure_properties({"accuracy": 0.9}), name, uri=uri, schema="system.Metrics")
    else:
        digest = hashlib.sha256(f"{issuer.certificate.serial_number} {position}".encode()).hexdigest()
        output = Output(name, 0, Kind.FILE, digest, 1 << 20, 1, uri, "system.Dataset")
    component = "evaluate" if evaluates else f"transform-{position % 4}"
    started = began + dt.timedelta(seconds=2 * position)
    maker = Step("chain", "run-1", f"step-{position}", component, 0, IMAGE, "0" * 64, 0)
    statement = Statement(
        maker=maker,
        inputs=tuple(_input(place, each) for place, each in enumerate(taken)),
        outputs=(output,),
        parameters={"seed": 7, "rate": 0.5},
        started=started,
        ended=started + dt.timedelta(seconds=1),
        evidence=provider.name if provider else NO_EVIDENCE,
    )
    attest = attestor(provider, Context.of(maker)) if provider else None
    return sign_statement(statement, issuer, dt.datetime.now(dt.UTC), attest=attest)[0]


def _input(place: int, made: Sidecar) -> Input:
    output, manifest = made.output, made.manifest
    assert output
    link = Link(manifest.label, manifest.box_sha256, manifest.asset_sha256)
    return Input(
        "given",
        place,
        output.kind,
        output.sha256,
        output.size,
        output.files,
        output.uri,
        output.schema,
        changed=False,
        pinned=False,
        link=link,
    )
