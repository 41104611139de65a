"""The page on trust roots is true of the model: every field with its default, and an example that can be read."""

import re

import pytest

from atlas.errors import DocumentError
from atlas.trust import Role, Tee
from atlas.trust_file import _Document, parse_trust_root
from docs.test_threat_model import ROOT
from integration.tamper.test_docs import fields

PAGE = (ROOT / "docs" / "trust-root.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| (.+) \|$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_every_field_is_described_with_its_default() -> None:
    described = {name: default for name, default, _ in ROWS}
    words = {"``": "empty", "absent: any": "absent", "`[]`": "none"}
    actual = {name: words.get(default, default) for name, default in fields(_Document)}
    assert sorted(actual.keys() - described.keys()) == [], "docs/trust-root.md lacks these fields"
    assert sorted(described.keys() - actual.keys()) == [], "docs/trust-root.md describes these, which there are not"
    assert described == actual
    assert len(ROWS) == len(described)


@pytest.mark.parametrize("words", [Role, Tee])
def test_every_word_that_a_field_may_have_is_there(words: type[Role | Tee]) -> None:
    assert [each for each in words if f"`{each}`" not in PAGE] == []


def test_a_field_that_the_page_lacks_is_seen() -> None:
    assert "spec.logs[].publicKey" in dict(fields(_Document))
    assert "spec.logs[].publickey" not in dict(fields(_Document))


def test_the_example_can_be_read() -> None:
    [example] = EXAMPLES
    root = parse_trust_root(example.encode(), "trust.yaml")
    assert [(each.name, sorted(each.roles)) for each in root.authorities] == [("production", ["step"])]
    assert [each.origin for each in root.logs] == ["log.example/2026"]
    assert [each.name for each in root.evidence_roots] == ["intel"]


def test_whoever_makes_a_mistake_is_sent_to_the_page() -> None:
    with pytest.raises(DocumentError) as caught:
        parse_trust_root(b"apiVersion: atlas.dev/v1alpha1\nkind: TrustRoot\nspec: {log: []}\n", "trust.yaml")
    assert caught.value.mend == "`docs/trust-root.md` lists every field"
