"""Three ways in which a lineage is broken on purpose, each undone afterwards."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from atlas.codes import Code
from atlas.gather import gather, open_archive
from atlas.home import Home
from atlas.lineage import Lineage


@dataclass(frozen=True)
class Act:
    """One attack, and what must be found."""

    title: str
    command: str
    """What a user types to see it."""
    code: Code
    tamper: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    remeasure: bool = False
    policy: str = "policy.yaml"


def acts(home: Home, lineage: Lineage) -> list[Act]:
    """The acts on the demo's lineage, whose first node is the model."""
    made = {node.name: node for node in lineage.nodes}
    model, train_data = _place(lineage, "model"), _place(lineage, "train_data")
    return [
        Act(
            "One byte of the model is changed",
            f"atlas verify {_short(model)}",
            Code.ARTIFACT_CHANGED,
            lambda: _edited(model, _flip_byte),
        ),
        Act(
            "One row of the training data is changed after the model was made from it",
            f"atlas verify --remeasure {_short(model)}",
            Code.ANCESTOR_CHANGED,
            lambda: _edited(train_data, _change_row),
            remeasure=True,
        ),
        Act(
            "The manifest of the preprocessing step is removed",
            f"atlas verify {_short(model)}",
            Code.MANIFEST_MISSING,
            lambda: _without(home, made["train_data"].box),
        ),
        Act(
            "The untouched model, under a policy for production: simulated evidence proves nothing",
            f"atlas verify {_short(model)} --policy production.yaml",
            Code.EVIDENCE_SIMULATED,
            policy="production.yaml",
        ),
    ]


def _place(lineage: Lineage, name: str) -> Path:
    return next(
        Path(node.facts.manifest.output.uri)
        for node in lineage.nodes
        if node.facts.manifest.output and node.facts.manifest.output.name == name
    )


def _short(path: Path) -> str:
    """The path as a user in this folder would write it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _flip_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _change_row(content: bytes) -> bytes:
    lines = content.split(b"\n")
    values, _, label = lines[0].rpartition(b",")
    lines[0] = values + (b",0" if label == b"1" else b",1")  # benign becomes malignant, or the other way round
    return b"\n".join(lines)


@contextlib.contextmanager
def _edited(path: Path, edit: Callable[[bytes], bytes]) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(edit(before))
    try:
        yield
    finally:
        path.write_bytes(before)


@contextlib.contextmanager
def _without(home: Home, box: str) -> Iterator[None]:
    with open_archive(home) as archive:
        stored = archive.manifest(box)
        archive.remove(box)
    try:
        yield
    finally:
        if stored:
            home.deposit({"restored.c2pa": stored.sidecar})
            gather(home)
