"""Every attack of the registry is caught, each for its own reason; and what is untouched holds."""

import datetime as dt
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from atlas.codes import Code
from atlas.disclosure import new_salt
from atlas.publish import TYPES
from atlas.statement import SALT_BYTES, Statement, Step
from integration.tamper import attacks_disclosure, registry
from integration.tamper.attacks_oms import delivered, honest
from integration.tamper.registry import Attack
from integration.tamper.world import TD, World, said, simulator, today
from support import forge

ATTACKS = registry.load()
DAY = dt.timedelta(days=1)


@pytest.mark.parametrize("each", ATTACKS, ids=lambda each: each.id)
def test_attack_is_caught(each: Attack, world: World) -> None:
    outcome = each.run(world)
    assert (outcome.exit, outcome.codes) == (each.exit, each.names), outcome.text


class TestControl:
    """The same ways, with nobody attacking: whatever an attack changes must be what makes the difference."""

    def test_model_holds_under_every_rule(self, world: World) -> None:
        outcome = world.verify(remeasure=True)
        assert (outcome.exit, outcome.codes, outcome.warnings) == (0, frozenset(), frozenset()), outcome.text

    def test_model_that_a_log_of_version_1_recorded_holds(self, world: World) -> None:
        from integration.tamper.attacks_log_v1 import genuine, received  # the registry loads it, in its own order

        assert received(world, genuine(world)).exit == 0

    def test_model_that_was_signed_keyless_holds(self, world: World) -> None:
        from integration.tamper.attacks_oms_keyless import sent

        assert sent(world).exit == 0

    @pytest.mark.parametrize("name", ["rows.csv", "raw", "data", "test"])
    def test_ancestor_holds(self, world: World, name: str) -> None:
        assert world.verify(world.made[name], policy=world.policy()).exit == 0

    def test_second_run_holds_under_every_rule(self, world: World) -> None:
        assert world.verify(world.pipeline("run-2")["model"]).exit == 0
        assert world.verify().exit == 0

    def test_delivery_holds(self, world: World) -> None:
        outcome = world.verify_beside(world.delivery()[0])
        assert (outcome.exit, outcome.codes) == (0, frozenset()), outcome.text

    def test_honest_data_beside_the_others_holds(self, world: World) -> None:
        more = world.publish(world.file("more.csv", b"more")).taken(link=None)
        made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, more)))
        assert world.verify(made["model"], policy=world.policy()).exit == 0

    def test_listed_import_holds(self, world: World) -> None:
        stray = replace(world.made["raw"].taken(), sha256="9a" * 32, link=None)
        made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, stray)))
        listed = world.policy(origins={"digests": [f"sha256:{stray.sha256}"]})
        assert world.verify(made["model"], policy=listed).exit == 0
        assert world.verify(made["model"], policy=world.policy()).exit == 1

    def test_copy_of_a_pinned_import_holds(self, world: World) -> None:
        source = forge.source(b"pinned", link=None, pinned=True)
        copied = forge.output(b"pinned", uri=str(world.file("copy.csv", b"pinned")))
        stated = Statement(forge.step(run="run-2"), (copied,), world.began, world.began, (source,))
        world.deposit(*world.sign(stated, world.home.issuer()))
        assert world.verify(Path(copied.uri), policy=world.policy()).exit == 0

    def test_the_word_of_a_stranger_refuses_nothing(self, world: World) -> None:
        path = world.file("elsewhere/raw.csv", world.made["raw"].path.read_bytes())
        other = forge.output(b"other", name="raw", uri=str(path))
        honest = world.made["raw"].sidecar.manifest.statement
        world.deposit(*world.sign(replace(honest, outputs=(other,)), forge.authority()))
        assert world.verify(path, policy=world.policy()).exit == 0

    def test_what_cannot_be_measured_again_is_warned_of(self, world: World) -> None:
        world.made["rows.csv"].path.unlink()
        outcome = world.verify(remeasure=True)
        assert (outcome.exit, outcome.warnings) == (0, frozenset({Code.ANCESTOR_MISSING.value})), outcome.text
        assert world.verify().warnings == frozenset()

    def test_two_makers_of_the_same_bytes_are_warned_of(self, world: World) -> None:
        honest = world.model.sidecar.manifest.statement
        assert isinstance(honest.maker, Step)
        again = replace(honest, maker=replace(honest.maker, run="run-2"), ended=honest.ended + dt.timedelta(seconds=1))
        world.deposit(*world.sign(again, world.home.issuer()))
        outcome = world.verify()
        assert (outcome.exit, outcome.warnings) == (0, frozenset({Code.PRODUCER_AMBIGUOUS.value})), outcome.text

    def test_signed_model_of_a_third_party_holds(self, world: World) -> None:
        outcome = delivered(world, honest())
        assert (outcome.exit, outcome.codes, outcome.warnings) == (0, frozenset(), frozenset()), outcome.text

    def test_disclosed_parameter_holds(self, world: World) -> None:
        made = attacks_disclosure.trained(world)
        policy = attacks_disclosure.asking(world, max=0.2)
        outcome = attacks_disclosure.shown(world, made, attacks_disclosure.kept("learning_rate"), policy=policy)
        assert (outcome.exit, outcome.codes, outcome.warnings) == (0, frozenset(), frozenset()), outcome.text

    def test_pseudonymous_delivery_holds(self, world: World) -> None:
        stated = replace(world.delivered(), pseudonym=new_salt(SALT_BYTES))
        outcome = attacks_disclosure.under(world, stated, stated)
        assert (outcome.exit, outcome.codes) == (0, frozenset()), outcome.text

    def test_statement_that_keeps_back_holds(self, world: World) -> None:
        outcome = attacks_disclosure.stating(world, lambda _: None, forge.step())
        assert (outcome.exit, outcome.codes) == (0, frozenset()), outcome.text

    def test_attested_model_holds_under_every_rule(self, world: World) -> None:
        outcome = world.verify(world.attested_pipeline("run-2")["model"], policy=world.evidence_policy())
        assert (outcome.exit, outcome.codes, outcome.warnings) == (0, frozenset(), frozenset()), outcome.text

    @pytest.mark.parametrize("version", [4, 5])
    def test_quote_by_itself_holds_under_every_rule(self, world: World, version: int) -> None:
        outcome = world.verify_quote(simulator().quote(bytes(64), TD, version))
        assert (outcome.exit, outcome.codes) == (0, frozenset()), outcome.text

    def test_signed_reference_values_hold(self, world: World) -> None:
        made = world.attested_pipeline("run-2")["model"]
        rules = world.evidence_policy(reference=[{"name": "other", "mrtd": ["ab" * 48]}])
        signed = world.publish(world.reference_values(), schema=TYPES["reference"])
        assert world.verify(made, policy=rules).exit == 1
        assert world.verify(made, policy=rules, reference=signed.path).exit == 0

    def test_new_collateral_that_says_the_same_holds(self, world: World) -> None:
        made = world.attested_pipeline("run-2")["model"]
        world.keep(simulator().collateral(today() + 20 * DAY, evaluation=19))
        outcome = world.verify(made, policy=world.evidence_policy(), at=today() + 40 * DAY)
        assert (outcome.exit, outcome.codes) == (0, frozenset()), outcome.text

    def test_newer_collateral_replaces_older(self, world: World) -> None:
        """What `rolled_back_collateral` asks is answered with yes where nothing was rolled back."""
        assert world.check_collateral(said(), said(evaluation=17)).exit == 0


class TestRegistry:
    def test_has_sixty_attacks_or_more(self) -> None:
        assert len(ATTACKS) >= 60

    def test_no_two_attacks_are_the_same(self) -> None:
        for count in (
            Counter(each.id for each in ATTACKS),
            Counter(each.run.__code__.co_code + repr(each.run.__code__.co_consts).encode() for each in ATTACKS),
            Counter(each.description for each in ATTACKS),
        ):
            assert count.most_common(1)[0][1] == 1, count.most_common(3)

    @pytest.mark.parametrize("each", ATTACKS, ids=lambda each: each.id)
    def test_attack_says_what_it_does_and_what_catches_it(self, each: Attack) -> None:
        assert each.description.endswith(".")
        assert "\n" not in each.description
        assert "|" not in each.description + each.answers
        assert each.answers
        assert bool(each.caught) != bool(each.refused)
        assert not each.caught & each.inherent

    def test_every_code_is_exercised_or_its_absence_explained(self) -> None:
        caught = {code for each in ATTACKS for code in each.caught}
        assert not caught & registry.WARNINGS.keys()
        assert caught | registry.WARNINGS.keys() == set(Code)

    def test_every_part_is_attacked(self) -> None:
        assert {each.part for each in ATTACKS} == set(registry.Part)
