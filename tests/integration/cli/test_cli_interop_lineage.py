"""A pipeline that begins with a model of somebody else, and the SLSA provenance of what it makes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atlas.artifact import measure
from atlas.cli import run
from atlas.interop.bundle import parse_bundle
from atlas.interop.dsse import IN_TOTO, Envelope
from atlas.statement import Input, Statement
from atlas.trust import PublisherKey
from integration.tamper.world import Made, World
from unit.interop.interop_support import KEY, model, signature, signed_model

HUGGER = PublisherKey("hugger", KEY.public_key())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world in which a second run trains on from an imported model."""
    world = World.create(tmp_path_factory.mktemp("interop").resolve() / "world")
    base = model(world.root / "base")
    form = PublicFormat.SubjectPublicKeyInfo
    key = world.file("key.pub", KEY.public_key().public_bytes(Encoding.PEM, form))
    signed = world.file("base.oms.sig", signature(signed_model()))
    arguments = ("import", str(base), "--signature", str(signed), "--public-key", str(key), "--publisher", "hugger")
    assert world.cli(*arguments).exit == 0
    measured = measure(base)
    taken = Input(
        *("base", 0, measured.kind, measured.sha256, measured.size, measured.files, str(base), "system.Model"),
        *(False, False, None),
    )

    def more(stated: Statement) -> Statement:
        return replace(stated, inputs=(*stated.inputs, taken))

    world.made.update(world.pipeline("run-2", train=more))
    assert world.gather().exit == 0
    return world


def policy(world: World, *more: str) -> Path:
    publisher = f"sha256:{world.trust.authorities[1].sha256}"
    return world.policy(origins={"publishers": [publisher, *more], "pinned": False})


def test_lineage_that_begins_with_it_holds(made: World) -> None:
    outcome = made.verify(policy=policy(made, f"sha256:{HUGGER.sha256}"))
    assert (outcome.exit, outcome.codes, outcome.warnings) == (0, frozenset(), frozenset()), outcome.text


def test_policy_on_publishers_applies_to_its_signer(made: World) -> None:
    outcome = made.verify(policy=policy(made))
    assert (outcome.exit, outcome.codes) == (1, frozenset({"OriginNotAllowed"})), outcome.text
    assert HUGGER.sha256 in outcome.text


def test_signer_is_part_of_the_lineage(made: World) -> None:
    drawn = made.root / "lineage.json"
    arguments = ("--format", "json", "-o", str(drawn), "--home", str(made.home.path))
    assert run(["lineage", str(made.model.path), *arguments]) == 0
    assert "hugger" in drawn.read_text()


def test_who_does_not_pin_the_signer_has_no_origin(made: World) -> None:
    """Nothing is trusted because somebody imported it."""
    trust = made.write_trust(made.root / "trust.json", replace(made.trust, publisher_keys=()))
    outcome = made.verify(policy=policy(made), trust=trust)
    assert (outcome.exit, outcome.codes) == (1, frozenset({"UnattestedOrigin"})), outcome.text


# ------------------------------------------------------------------------------------------------ SLSA


def provenance(world: World, target: Made) -> dict[str, Any]:
    written = world.root / "slsa.json"
    options = ("--format", "slsa", "-o", str(written), "--publisher", "acme", "--home", str(world.home.path))
    assert run(["export", str(target.path), *options]) == 0
    bundle = parse_bundle(written.read_bytes())
    assert isinstance(bundle.content, Envelope)
    assert bundle.content.payload_type == IN_TOTO
    assert len(bundle.log_entries) == 1
    return dict(json.loads(bundle.content.payload))


def test_provenance_names_the_build_and_all_it_was_made_from(made: World) -> None:
    statement = provenance(made, made.model)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [{"name": "model", "digest": {"sha256": made.model.sha256}}]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {
        "pipeline": "churn",
        "component": "train",
        "parameters": {"epochs": 3},
    }
    names = {each["name"] for each in definition["resolvedDependencies"]}
    assert names == {"model", "data", "raw", "rows.csv"}
    digests = [each["digest"]["sha256"] for each in definition["resolvedDependencies"]]
    assert measure(made.root / "base").sha256 in digests
    details = statement["predicate"]["runDetails"]
    assert details["metadata"]["invocationId"] == "run-2/train/0"
    assert details["builder"]["id"] == f"urn:atlas:authority:sha256:{made.trust.authorities[0].sha256}"
    assert details["byproducts"][0]["annotations"]["verdict"] == "holds"


def test_a_watcher_knows_an_export_for_ours(made: World, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(made.home.path))

    def unknown() -> int:
        capsys.readouterr()
        run(["log", "watch", "--audit", *home])
        return capsys.readouterr().out.count("LogEntryUnknown")

    before = unknown()
    provenance(made, made.model)
    assert unknown() == before
    made.archive("DELETE FROM entry")
    assert unknown() > before


def test_provenance_of_what_does_not_hold_is_refused(made: World) -> None:
    written = made.root / "none.json"
    strict = ("--policy", str(policy(made)), "--home", str(made.home.path))
    assert run(["export", str(made.model.path), "--format", "slsa", "-o", str(written), *strict]) == 1
    assert not written.exists()
