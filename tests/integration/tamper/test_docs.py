"""The generated pages are what the code says; the page on policies is true of the model."""

import datetime as dt
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pydantic
import pytest
import yaml
from pydantic_core import PydanticUndefined

from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from atlas.policy import default_policy
from atlas.policy.schema import Policy, parse_policy

DOCS = Path(__file__).resolve().parents[3] / "docs"
POLICY = (DOCS / "policy.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", POLICY, re.DOTALL)
NESTED = ("steps", "origins", "evidence")
SECTIONS = re.findall(r"^## (.+)$", POLICY, re.MULTILINE)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestGenerated:
    def test_pages_have_not_drifted(self, generate: ModuleType) -> None:
        assert generate.main(["--check"]) == 0, "run `make docs`"

    def test_drift_is_seen(self, generate: ModuleType, tmp_path: Path) -> None:
        assert generate.main(["--check"], tmp_path) == 1
        assert generate.main([], tmp_path) == 0
        assert generate.main(["--check"], tmp_path) == 0
        page = tmp_path / "findings.md"
        page.write_text(page.read_text().replace("Mend", "Mended", 1))
        assert list(generate.drifted(tmp_path)) == ["findings.md"]

    def test_every_code_has_its_anchor(self, generate: ModuleType) -> None:
        page = generate.findings()
        assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == {code.value for code in Code}
        assert all(entry.meaning in page and entry.mend in page for entry in CATALOGUE.values())


def whole(block: str) -> bytes:
    """A whole policy; an example of one rule is put into an empty one."""
    document = yaml.safe_load(block)
    if "apiVersion" not in document:
        document = {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": "example"}} | {
            "spec": document
        }
    return json.dumps(document).encode()


def fields(model: type[pydantic.BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, default as the page writes it) of every field, of models in models too."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        kinds = [field.annotation, *(each for one in get_args(field.annotation) for each in (one, *get_args(one)))]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)), None)
        if inner is None or path == "spec":
            yield path, written(field.get_default(call_default_factory=True))
        if inner:
            yield from fields(inner, f"{path}[]." if field.annotation is not inner else f"{path}.")


def _rule(path: str) -> str:
    """The rule that a field belongs to: a field of the rules, or of one of their nested groups."""
    parts = path.removeprefix("spec.").replace("[]", "").split(".")
    return ".".join(parts[: 2 if parts[0] in NESTED else 1])


def written(default: Any) -> str:
    if default is PydanticUndefined:
        return "—"
    if isinstance(default, dt.timedelta):
        return f"`{default.days}d`"
    return "absent: any" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"


class TestPolicy:
    @pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[0])
    def test_example_is_a_policy(self, block: str) -> None:
        example = parse_policy(block.encode() if "apiVersion" in block else whole(block))
        assert example.spec != default_policy().spec or block in (BLOCKS[0], "log: required\n")

    def test_the_first_example_is_the_default(self) -> None:
        assert parse_policy(BLOCKS[0].encode()) == default_policy()

    def test_the_second_example_uses_every_rule(self) -> None:
        rules = yaml.safe_load(BLOCKS[1])["spec"]
        used = {f"{name}.{key}" for name in NESTED for key in rules[name]}
        used |= rules.keys() - set(NESTED)
        assert used == set(SECTIONS)

    def test_every_field_is_documented_with_its_default(self) -> None:
        rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \| .+ \|$", POLICY, re.MULTILINE)
        assert dict(rows) == dict(fields(Policy))
        assert len(rows) == len(dict(rows))

    def test_every_rule_has_a_section_with_an_example(self) -> None:
        rules = {_rule(path) for path, _ in fields(Policy) if path.startswith("spec.")}
        assert set(SECTIONS) == rules
        for section in re.split(r"^## ", POLICY, flags=re.MULTILINE)[1:]:
            name, rest = section.split("\n", 1)
            assert name.rsplit(".", 1)[-1] in re.findall(r"```yaml\n(.*?)```", rest, re.DOTALL)[0]

    def test_every_finding_it_names_exists(self) -> None:
        for name, anchor in re.findall(r"\[(\w+)\]\(findings\.md#(\w+)\)", POLICY):
            assert anchor == Code(name).lower()
