"""Attacks on the lineage: links, order, origins, and the archive that holds them."""

import datetime as dt
from dataclasses import replace

import pytest

from atlas.codes import Code
from atlas.lineage import walk
from atlas.manifest import Sidecar, profile
from atlas.statement import Link, Statement, Step
from integration.tamper.registry import Part, attack
from integration.tamper.world import PUBLISHER, Outcome, World
from support import forge


def first(stated: Statement, **changes: object) -> Statement:
    """A statement whose first input is recorded otherwise."""
    return replace(stated, inputs=(replace(stated.inputs[0], **changes), *stated.inputs[1:]))  # type: ignore[arg-type]


@attack(Part.LINEAGE, Code.MANIFEST_MISSING, answers="manifest removed")
def ancestor_manifest_removed(world: World) -> Outcome:
    """Removes an ancestor's manifest from the archive."""
    for table in ("receipt", "edge", "manifest"):
        world.archive(f"DELETE FROM {table} WHERE box_sha256 = ?", world.made["raw"].box)
    return world.verify()


@attack(Part.LINEAGE, Code.ARTIFACT_UNKNOWN, answers="manifest removed")
def own_manifest_removed(world: World) -> Outcome:
    """Removes the model's own manifest from the archive."""
    for table in ("receipt", "edge", "manifest"):
        world.archive(f"DELETE FROM {table} WHERE box_sha256 = ?", world.model.box)
    return world.verify()


@attack(Part.SIDECAR, Code.ASSERTION_CHANGED, answers="links unsigned")
def link_rewritten(world: World) -> Outcome:
    """Rewrites a link in the archive, after it was signed, to lead to another parent."""

    def change(manifest: forge.Box) -> None:
        ingredient = manifest.assertions.part(profile.INGREDIENT)
        other = {**vars(world.made["test"].link)}
        ingredient.cbor = {**ingredient.cbor, "metadata": {profile.LINK: other}}

    world.put_sidecar(world.made["data"], forge.edit(world.made["data"].sidecar.raw, change))
    return world.verify()


@attack(Part.LINEAGE, Code.LINK_MISMATCH, answers="archive row swapped")
def archive_row_swapped(world: World) -> Outcome:
    """Makes the archive answer with another, valid manifest when an ancestor's is asked for."""
    world.put_sidecar(world.made["raw"], world.made["test"].sidecar.raw)
    world.put_receipt(world.made["raw"], world.receipt(world.made["test"]))
    return world.verify()


@attack(Part.LINEAGE, Code.LINK_MISMATCH, answers="artifact swapped between steps")
def artifact_swapped_between_steps(world: World) -> Outcome:
    """Exchanges the training data after it was signed and before it is read."""
    poison = forge.source(b"poison")
    made = world.pipeline("run-2", train=lambda stated: first(stated, sha256=poison.sha256, size=poison.size))
    return world.verify(made["model"])


@attack(Part.LINEAGE, Code.LINK_MISMATCH, answers="artifact swapped between steps")
def link_to_other_bytes(world: World) -> Outcome:
    """Exchanges the training data and tells the step that the other bytes are what its maker made."""
    poison = forge.source(b"poison")

    def train(stated: Statement) -> Statement:
        link = stated.inputs[0].link
        assert link
        return first(stated, sha256=poison.sha256, link=replace(link, asset_sha256=poison.sha256))

    return world.verify(world.pipeline("run-2", train=train)["model"])


@attack(Part.LINEAGE, Code.LINK_MISMATCH, answers="links unsigned")
def link_with_another_label(world: World) -> Outcome:
    """Gives a link another manifest's name and the right manifest's digest."""

    def train(stated: Statement) -> Statement:
        link = stated.inputs[0].link
        assert link
        return first(stated, link=replace(link, label=forge.link().label))

    return world.verify(world.pipeline("run-2", train=train)["model"])


@attack(
    Part.LINEAGE,
    Code.LINK_MISMATCH,
    answers="one digest for two kinds of artifact",
)
def tree_swapped_for_its_index(world: World) -> Outcome:
    """Hands a step a file with a directory's index in the place of that directory."""
    made = world.pipeline("run-2", train=lambda stated: first(stated, kind=stated.outputs[0].kind, files=1))
    return world.verify(made["model"])


@attack(Part.LINEAGE, Code.UNATTESTED_ORIGIN, answers="unattested import")
def unattested_import(world: World) -> Outcome:
    """Has a step read data from a place for which nobody vouches."""
    stray = forge.source(b"scraped", link=None, uri="https://example.org/scraped.csv")
    made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, stray)))
    return world.verify(made["model"], policy=world.policy())


@attack(Part.LINEAGE, Code.UNATTESTED_ORIGIN, answers="fail-open on non-file URIs")
def import_from_a_foreign_scheme(world: World) -> Outcome:
    """Has a step read data under a URI of a kind that nobody can fetch again."""
    stray = forge.source(b"scraped", link=None, uri="quantum://nowhere/scraped.csv")
    made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(stray,)))
    return world.verify(made["model"], policy=world.policy())


@attack(Part.LINEAGE, Code.UNATTESTED_ORIGIN, answers="self-signed attacker certificate")
def import_that_a_stranger_signed(world: World) -> Outcome:
    """Has a step read data without a link, after depositing a manifest of it that a stranger signed."""
    path = world.file("scraped.csv", b"scraped")
    stray = world.publish(path, issuer=forge.authority()).taken(link=None)
    made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, stray)))
    return world.verify(made["model"], policy=world.policy())


@attack(Part.LINEAGE, Code.STEP_FORKED, answers="two statements for one attempt")
def two_statements_for_one_attempt(world: World) -> Outcome:
    """Signs a second statement for an attempt of a step that has signed one already."""
    twin = fork(world)
    world.deposit(*world.sign(twin, world.home.issuer()))
    return world.verify()


def fork(world: World) -> Statement:
    """Another statement of the very attempt that made the model."""
    honest = world.model.sidecar.manifest.statement
    return replace(honest, parameters={"epochs": 300}, outputs=(forge.output(b"another model"),))


@attack(
    Part.LINEAGE,
    Code.STEP_FORKED,
    answers="two statements for one attempt",
)
def fork_hidden_behind_a_stranger(world: World) -> Outcome:
    """Hides such a second statement behind a copy of it that a stranger signed and that is archived first."""
    twin = fork(world)
    world.deposit(*world.sign(twin, forge.authority()))
    world.gather()
    world.deposit(*world.sign(twin, world.home.issuer()))
    return world.verify()


@attack(Part.LINEAGE, Code.LINEAGE_CYCLE, answers="cycle")
def cycle(world: World) -> Outcome:
    """Has two steps each claim to have read what the other has made."""
    left, right = (world.file(f"{name}.bin", name.encode()) for name in ("left", "right"))
    sidecars: list[Sidecar] = []
    for name, source, target in (("one", left, right), ("two", right, left)):
        other = forge.source(source.read_bytes(), link=None)
        output = forge.output(target.read_bytes(), name=target.name, uri=str(target))
        maker = forge.step(run="run-2", task=name)
        stated = Statement(maker, (output,), world.began, world.began + dt.timedelta(minutes=1), (other,))
        sidecars += world.sign(stated, world.home.issuer())
    world.deposit(*sidecars)
    return world.verify(left, policy=world.policy())


@attack(Part.LINEAGE, Code.LINEAGE_TOO_LARGE, answers="unbounded input")
def lineage_without_an_end(world: World) -> Outcome:
    """Archives more ancestors than a verifier is willing to follow (with the limit lowered to three)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "MAX_MANIFESTS", 3)
        return world.verify(policy=world.policy())


@attack(Part.LINEAGE, Code.STEP_BEFORE_INPUT, answers="clock set back")
def step_before_its_input(world: World) -> Outcome:
    """States that the model was trained before its training data was made."""
    early = world.began - dt.timedelta(hours=2)
    made = world.pipeline("run-2", train=lambda stated: replace(stated, started=early, ended=early))
    return world.verify(made["model"])


@attack(Part.LINEAGE, Code.STEP_IN_FUTURE, answers="clock set forward")
def step_in_the_future(world: World) -> Outcome:
    """Dates the training ahead, so that the model stays young for longer."""
    late = forge.now() + dt.timedelta(days=1)
    made = world.pipeline("run-2", train=lambda stated: replace(stated, ended=late), skip=("evaluate",))
    return world.verify(made["model"], policy=world.policy())


@attack(Part.LINEAGE, Code.SIGNER_UNTRUSTED, answers="swapped sidecar")
def artifact_and_sidecar_swapped_together(world: World) -> Outcome:
    """Exchanges a published data set together with its manifest, which a stranger signed in the publisher's name."""
    poison = world.publish(world.file("poison.csv", b"poison"), publisher=PUBLISHER, issuer=forge.authority())
    made = world.pipeline("run-2", ingest=lambda stated: replace(stated, inputs=(poison.taken("rows"),)))
    return world.verify(made["model"])


@attack(Part.LINEAGE, Code.MANIFEST_MISSING, answers="missing link only warned of")
def link_to_nothing(world: World) -> Outcome:
    """Has a step link to a parent's manifest that does not exist."""
    made = world.pipeline("run-2", train=lambda stated: first(stated, link=replace_link(stated)))
    return world.verify(made["model"])


def replace_link(stated: Statement) -> Link:
    """A link to a manifest that does not exist, with the right artifact."""
    return forge.link(asset_sha256=stated.inputs[0].sha256)


@attack(Part.LINEAGE, Code.MANIFEST_MISSING, answers="manifest removed")
def parent_kept_back(world: World) -> Outcome:
    """Keeps the manifests of all ancestors back and hands over the model's alone."""
    made = world.pipeline("run-2", deposit=False)
    world.deposit(made["model"].sidecar, made["metrics"].sidecar)
    return world.verify(made["model"])


@attack(
    Part.LINEAGE,
    Code.ANCESTOR_CHANGED,
    answers="one thing verified, another judged",
)
def changed_ancestor_behind_a_newer_maker(world: World) -> Outcome:
    """Changes the training data, and signs a later, failed step that made the same model from something else."""
    shard = world.made["data"].path / "shard-0.csv"
    shard.write_bytes(shard.read_bytes() + b"9,9\n")
    honest = world.model.sidecar.manifest.statement
    assert isinstance(honest.maker, Step)
    later = replace(
        honest,
        maker=replace(honest.maker, run="run-2", exit_code=1),
        inputs=(),
        ended=honest.ended + dt.timedelta(minutes=5),
    )
    world.deposit(*world.sign(later, world.home.issuer()))
    return world.verify(remeasure=True)


@attack(Part.LINEAGE, Code.STEP_FAILED, answers="failed step's output used")
def output_of_a_failed_step(world: World) -> Outcome:
    """Uses the model that a failed training left behind."""

    def train(stated: Statement) -> Statement:
        assert isinstance(stated.maker, Step)
        return replace(stated, maker=replace(stated.maker, exit_code=137))

    return world.verify(world.pipeline("run-2", train=train)["model"])
