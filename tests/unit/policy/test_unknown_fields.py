"""A field that a document cannot have is refused, and the one that was probably meant is named."""

import pytest

from atlas.document import Strict, parse_document
from atlas.errors import DocumentError
from atlas.policy.evidence import parse_references
from atlas.policy.schema import parse_policy
from atlas.trust_file import parse_trust_root

POLICY = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: p}\n"
TRUST = "apiVersion: atlas.dev/v1alpha1\nkind: TrustRoot\n"
REFERENCE = "apiVersion: atlas.dev/v1alpha1\nkind: ReferenceValues\nmetadata: {name: r}\n"


def said(text: str) -> str:
    parse = parse_trust_root if "TrustRoot" in text else parse_references if "ReferenceValues" in text else parse_policy
    with pytest.raises(DocumentError) as caught:
        parse(text.encode(), "file.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{POLICY}spec: {{maxage: 3d}}", "spec.maxage: unknown field; did you mean 'maxAge'?"),
        (f"{POLICY}spec: {{max_Age: 3d}}", "spec.max_Age: unknown field; did you mean 'maxAge'?"),
        (f"{POLICY}spec: {{evidense: required}}", "spec.evidense: unknown field; did you mean 'evidence'?"),
        (f"{POLICY}spec: {{steps: {{image: [x]}}}}", "spec.steps.image: unknown field; did you mean 'images'?"),
        (
            f"{POLICY}spec: {{evidence: {{required: true, tcb: {{status: [UpToDate]}}}}}}",
            "spec.evidence.tcb.status: unknown field; did you mean 'statuses'?",
        ),
        (
            f"{POLICY}spec: {{evidence: {{required: true, reference: [{{name: a, rmtr1: []}}]}}}}",
            "spec.evidence.reference.0.rmtr1: unknown field; did you mean 'rtmr1'?",
        ),
        (
            f"{POLICY}spec: {{evidence: {{required: true, allow-simulated: true}}}}",
            "spec.evidence.allow-simulated: unknown field; did you mean 'allowSimulated'?",
        ),
        (
            f"{POLICY}spec: {{metrics: [{{step: a, artifact: b, nam: c, min: 1}}]}}",
            "spec.metrics.0.nam: unknown field; did you mean 'name'?",
        ),
        (f"{POLICY}spek: {{}}\nspec: {{}}", "spek: unknown field; did you mean 'spec'?"),
        (f"{POLICY}apiversion: x\nspec: {{}}", "apiversion: unknown field; did you mean 'apiVersion'?"),
        (
            f"{TRUST}spec: {{logs: [{{origin: x, publicKey: y, publickey: z}}]}}",
            "spec.logs.0.publickey: unknown field; did you mean 'publicKey'?",
        ),
        (
            f"{TRUST}spec: {{evidenceroot: []}}",
            "spec.evidenceroot: unknown field; did you mean 'evidenceRoots'?",
        ),
        (
            f"{REFERENCE}spec: {{values: [{{name: a, mrt: []}}]}}",
            "spec.values.0.mrt: unknown field; did you mean 'mrtd'?",
        ),
    ],
)
def test_the_field_that_was_meant(text: str, words: str) -> None:
    assert words in said(text)


@pytest.mark.parametrize("field", ["colour", "x", "", "1e3z", "ünïcode"])
def test_nothing_is_guessed_where_nothing_is_near(field: str) -> None:
    [line, *_] = [each for each in said(f'{POLICY}spec: {{"{field}": 1}}').splitlines() if "unknown" in each]
    assert line.endswith(f"spec.{field}: unknown field")


def test_a_field_is_suggested_only_where_it_may_stand() -> None:
    assert said(f"{POLICY}spec: {{image: [x]}}").endswith("spec.image: unknown field")
    assert "did you mean 'images'" in said(f"{POLICY}spec: {{steps: {{image: [x]}}}}")


class Leaf(Strict):
    """One of two that may stand in the same place."""

    colour: str = ""


class Twig(Strict):
    """The other."""

    length: int = 0


class Tree(Strict):
    """Fields whose values are models only in part."""

    named: dict[str, Leaf] | None = None
    either: Leaf | Twig | None = None


@pytest.mark.parametrize("text", ["named: {any: {color: red}}", "named: {colour: {color: red}}"])
def test_below_names_of_the_users_own_nothing_wrong_is_said(text: str) -> None:
    with pytest.raises(DocumentError, match="color: unknown field") as caught:
        parse_document(text.encode(), Tree, "tree.yaml")
    assert "did you mean 'length'" not in str(caught.value)
