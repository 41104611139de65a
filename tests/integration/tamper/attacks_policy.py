"""Attempts to pass a policy without satisfying it."""

import datetime as dt
from dataclasses import replace
from typing import Any

from atlas.artifact import EMPTY_SHA256, measure_properties
from atlas.codes import Code
from atlas.errors import DocumentError
from atlas.statement import Output, Statement, Step, Unmeasured, output_of
from integration.tamper.registry import Part, attack
from integration.tamper.world import CODE, Outcome, World
from support import forge

ACCURATE = {"step": "evaluate", "artifact": "metrics", "name": "accuracy", "min": 0.9}


def maker(stated: Statement, **changes: Any) -> Statement:
    """A statement whose step says something else of itself."""
    assert isinstance(stated.maker, Step)
    return replace(stated, maker=replace(stated.maker, **changes))


def metrics(properties: dict[str, Any]) -> Output:
    """An output of metadata."""
    return output_of(measure_properties(properties), "metrics", schema="system.Metrics")


@attack(Part.POLICY, Code.STEP_REQUIRED, answers="required step skipped")
def evaluation_skipped(world: World) -> Outcome:
    """Skips the evaluation, which the policy requires."""
    made = world.pipeline("run-2", skip=("evaluate",))
    return world.verify(made["model"], policy=world.policy(steps={"required": ["train", "evaluate"]}))


@attack(Part.POLICY, Code.STEP_REQUIRED, answers="required step skipped")
def preprocessing_skipped(world: World) -> Outcome:
    """Trains on the raw data, past the step that removes what must not be learnt."""
    made = world.pipeline("run-2", skip=("preprocess",))
    return world.verify(made["model"])


@attack(
    Part.POLICY,
    Code.METRIC_MISSING,
    answers="evaluation of another model presented",
    inherent=(Code.STEP_REQUIRED,),  # without that evaluation, the model has none at all
)
def evaluation_of_another_model(world: World) -> Outcome:
    """Presents the evaluation of a better model."""
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, inputs=(world.model.taken(),)))
    return world.verify(made["model"])


@attack(
    Part.POLICY,
    Code.METRIC_MISSING,
    answers="evaluation of another model presented",
    inherent=(Code.STEP_REQUIRED,),
)
def evaluation_that_changed_the_model(world: World) -> Outcome:
    """Has the evaluation exchange the model while it runs, and measure another one."""

    def evaluate(stated: Statement) -> Statement:
        return replace(stated, inputs=(replace(stated.inputs[0], changed=True), *stated.inputs[1:]))

    return world.verify(world.pipeline("run-2", evaluate=evaluate)["model"])


@attack(
    Part.POLICY,
    Code.METRIC_MISSING,
    answers="self-signed attacker certificate",
    inherent=(Code.STEP_REQUIRED,),
)
def evaluation_of_a_stranger(world: World) -> Outcome:
    """Presents an evaluation that a stranger signed."""
    stranger = forge.authority()
    made = world.pipeline("run-2", signing={"evaluate": lambda stated, _: world.sign(stated, stranger)})
    return world.verify(made["model"])


@attack(Part.POLICY, Code.METRIC_MISSING, answers="metric typed in instead of measured")
def metric_as_a_parameter(world: World) -> Outcome:
    """Types the metric in as a parameter of the evaluation."""

    def evaluate(stated: Statement) -> Statement:
        return replace(stated, parameters={"accuracy": 0.99}, outputs=(metrics({"loss": 0.2}),))

    return world.verify(world.pipeline("run-2", evaluate=evaluate)["model"])


@attack(Part.POLICY, Code.METRIC_MISSING, answers="metric typed in instead of measured")
def metric_as_text(world: World) -> Outcome:
    """Writes the metric as text, which compares with no number."""
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, outputs=(metrics({"accuracy": "0.99"}),)))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.METRIC_MISSING, answers="metric typed in instead of measured")
def metric_as_truth(world: World) -> Outcome:
    """Writes `true` for the metric, which many languages take for 1."""
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, outputs=(metrics({"accuracy": True}),)))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.METRIC_OUT_OF_RANGE, answers="evaluation's metric out of bounds")
def metric_out_of_bounds(world: World) -> Outcome:
    """Presents a model whose evaluation went badly."""
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, outputs=(metrics({"accuracy": 0.5}),)))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.METRIC_OUT_OF_RANGE, answers="the best of several answers taken")
def evaluated_until_it_passed(world: World) -> Outcome:
    """Evaluates a bad model again until a run passes, and points to that one."""
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, outputs=(metrics({"accuracy": 0.5}),)))
    again = world.statement("run-3", "evaluate", 4, [made["model"], made["test"]], {})
    world.deposit(*world.sign(replace(again, outputs=(metrics({"accuracy": 0.99}),)), world.home.issuer()))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.DIGEST_DENIED, answers="denied dataset deep in the ancestry")
def denied_data_deep_down(world: World) -> Outcome:
    """Trains on a data set that the policy denies, three steps away from the model."""
    return world.verify(policy=world.policy(denied=[f"sha256:{world.made['rows.csv'].sha256}"]))


@attack(Part.POLICY, Code.DIGEST_DENIED, answers="denied dataset deep in the ancestry")
def denied_data_in_the_evaluation(world: World) -> Outcome:
    """Evaluates on a data set that the policy denies."""
    denied = world.publish(world.file("leaked.csv", b"leaked")).taken("test")
    made = world.pipeline("run-2", evaluate=lambda stated: replace(stated, inputs=(stated.inputs[0], denied)))
    rules = world.policy(metrics=[ACCURATE], denied=[f"sha256:{denied.sha256}"])
    return world.verify(made["model"], policy=rules)


@attack(Part.POLICY, Code.TOO_OLD, answers="old model replayed past maxAge")
def old_model_replayed(world: World) -> Outcome:
    """Deploys a model again that was made a hundred days ago."""
    return world.verify(at=forge.now() + dt.timedelta(days=100))


@attack(Part.POLICY, Code.CODE_NOT_ALLOWED, answers="unlisted code")
def code_unlisted(world: World) -> Outcome:
    """Trains with changed code."""
    made = world.pipeline("run-2", train=lambda stated: maker(stated, code_sha256=CODE["ingest"]))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.IMAGE_NOT_ALLOWED, answers="unlisted image")
def image_unlisted(world: World) -> Outcome:
    """Trains in another image."""
    made = world.pipeline("run-2", train=lambda stated: maker(stated, image="registry.example/train:latest"))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.IMAGE_NOT_ALLOWED, answers="prefix taken for the whole")
def image_with_a_like_name(world: World) -> Outcome:
    """Trains in an image whose name begins like an allowed one's."""

    def train(stated: Statement) -> Statement:
        assert isinstance(stated.maker, Step)
        return maker(stated, image=f"{stated.maker.image}.attacker.example/train")

    return world.verify(world.pipeline("run-2", train=train)["model"])


@attack(Part.POLICY, Code.EVIDENCE_REQUIRED, answers="no evidence taken for good evidence")
def evidence_left_out(world: World) -> Outcome:
    """Runs outside of any confidential pod where the policy requires one."""
    return world.verify(policy=world.policy(evidence="required"))


@attack(Part.POLICY, Code.EVIDENCE_PROVIDER_MISMATCH, answers="evidence replaced by a mock")
def evidence_is_a_mock(world: World) -> Outcome:
    """Embeds a mock in the place of a quote, and calls it evidence."""

    def mock(stated: Statement) -> Statement:
        return replace(stated, evidence="tdx")

    made = world.pipeline("run-2", ingest=mock, preprocess=mock, train=mock, evaluate=mock)
    return world.verify(made["model"], policy=world.policy(evidence="required"))


@attack(Part.POLICY, Code.ORIGIN_NOT_ALLOWED, answers="any trusted publisher for any artifact")
def publisher_unlisted(world: World) -> Outcome:
    """Begins with data of a publisher whom the trust root knows and the policy does not list."""
    return world.verify(policy=world.policy(origins={"publishers": [f"sha256:{'56' * 32}"]}))


@attack(Part.POLICY, Code.ORIGIN_NOT_ALLOWED, answers="data made up by a step")
def step_without_inputs(world: World) -> Outcome:
    """Has the ingestion make its data up, with no input at all."""
    made = world.pipeline("run-2", ingest=lambda stated: replace(stated, inputs=()))
    return world.verify(made["model"])


@attack(
    Part.POLICY,
    Code.ORIGIN_NOT_ALLOWED,
    answers="data made up by a step",
)
def step_with_an_empty_input(world: World) -> Outcome:
    """Has the ingestion make its data up, with an empty file as its only input."""
    nothing = forge.source(b"", link=None)
    assert nothing.sha256 == EMPTY_SHA256
    made = world.pipeline("run-2", ingest=lambda stated: replace(stated, inputs=(nothing,)))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.ORIGIN_NOT_ALLOWED, answers="a digest that the importer chose")
def import_pinned_by_the_pipeline(world: World) -> Outcome:
    """Imports data whose digest the pipeline pinned, under a policy that does not accept that."""
    stray = forge.source(b"scraped", link=None, pinned=True)
    made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, stray)))
    return world.verify(made["model"])


@attack(Part.POLICY, Code.ORIGIN_NOT_ALLOWED, answers="an allow-list that is not one")
def import_unlisted(world: World) -> Outcome:
    """Imports other data than the policy lists."""
    stray = forge.source(b"scraped", link=None)
    made = world.pipeline("run-2", preprocess=lambda stated: replace(stated, inputs=(*stated.inputs, stray)))
    return world.verify(made["model"], policy=world.policy(origins={"digests": [f"sha256:{'78' * 32}"]}))


@attack(Part.POLICY, refused=DocumentError, answers="a rule that a slip of the pen switches off")
def rule_misspelt(world: World) -> Outcome:
    """Misspells a rule of the policy, so that it would not be applied."""
    return world.verify(policy=world.policy(metric=[ACCURATE]))


@attack(Part.POLICY, refused=DocumentError, answers="a rule that a slip of the pen switches off")
def rule_twice(world: World) -> Outcome:
    """Appends a rule to the policy a second time, which would replace the first."""
    head = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: p}\nspec:\n"
    return world.verify(policy=world.file("p.yaml", f"{head}  log: required\n  log: optional\n".encode()))


@attack(
    Part.POLICY,
    refused=DocumentError,
    answers="a bound that nothing is outside of",
)
def bound_is_not_a_number(world: World) -> Outcome:
    """Writes a bound into the policy with which every comparison is false."""
    head = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: p}\nspec:\n"
    rule = "  metrics: [{step: evaluate, artifact: metrics, name: accuracy, min: .nan}]\n"
    return world.verify(policy=world.file("p.yaml", f"{head}{rule}".encode()))


@attack(Part.POLICY, refused=DocumentError, answers="an error taken for consent")
def policy_emptied(world: World) -> Outcome:
    """Empties the policy file."""
    return world.verify(policy=world.file("p.yaml", b""))


# ------------------------------------------------------------------------------------------------ the step's runtime


@attack(Part.RUNTIME, Code.INPUT_CHANGED, answers="input changed during the step")
def input_changed_during_the_step(world: World) -> Outcome:
    """Changes the training data while the model is trained, so that it learns from other rows than were measured."""

    def train(stated: Statement) -> Statement:
        return replace(stated, inputs=(replace(stated.inputs[0], changed=True),))

    return world.verify(world.pipeline("run-2", train=train)["model"])


def unmeasured(direction: str, name: str, uri: str, reason: str) -> Any:
    """A step that records something that it could not measure."""
    each = Unmeasured(direction, name, 0, uri, reason)
    return lambda stated: replace(stated, unmeasured=(each,))


@attack(Part.RUNTIME, Code.OUTPUT_UNMEASURED, answers="output written elsewhere")
def output_written_elsewhere(world: World) -> Outcome:
    """Has a step write an output to a place of its own, where nobody measures it."""
    twist = unmeasured("output", "weights", "s3://elsewhere/weights", "written elsewhere")
    return world.verify(world.pipeline("run-2", train=twist)["model"])


@attack(Part.RUNTIME, Code.INPUT_UNMEASURED, answers="unmeasured input")
def input_not_mounted(world: World) -> Outcome:
    """Has a step read an input that is not in its file system, so that it cannot be measured."""
    twist = unmeasured("input", "rows", "oci://registry.example/rows", "its URI does not lead into this step")
    return world.verify(world.pipeline("run-2", preprocess=twist)["model"])


@attack(
    Part.RUNTIME,
    Code.INPUT_UNMEASURED,
    answers="unmeasured input",
)
def input_named_like_an_excused_output(world: World) -> Outcome:
    """Gives an unmeasured input the name of an output that the policy excuses."""
    twist = unmeasured("input", "logs", "oci://registry.example/rows", "its URI does not lead into this step")
    made = world.pipeline("run-2", train=twist)
    return world.verify(made["model"], policy=world.policy(unmeasured=["train.logs"]))


@attack(Part.RUNTIME, Code.OUTPUT_UNMEASURED, answers="unmeasured input")
def output_of_another_step_excused(world: World) -> Outcome:
    """Leaves an output unmeasured that the policy excuses for another step only."""
    twist = unmeasured("output", "logs", "s3://elsewhere/logs", "written elsewhere")
    made = world.pipeline("run-2", train=twist)
    return world.verify(made["model"], policy=world.policy(unmeasured=["preprocess.logs"]))
