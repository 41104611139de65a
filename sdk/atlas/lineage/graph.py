"""A lineage: the manifests that an artifact comes from, how they hang together, and what holds of all of them."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from atlas.artifact import EMPTY_SHA256
from atlas.evidence.appraise import Appraisal
from atlas.lineage.facts import Facts
from atlas.statement import NEVER_WRITTEN, Input, Publisher, Step, Unmeasured
from atlas.verdict import Finding

CLOCK_SKEW = dt.timedelta(minutes=5)
"""How far the clocks of two machines that run steps may differ."""


@dataclass(frozen=True)
class Edge:
    """One input of a step, and where it leads."""

    input: Input
    parent: str | None
    """Box digest of the manifest of the artifact; None where the lineage begins."""


@dataclass(frozen=True)
class Node:
    """One verified manifest, in its place."""

    facts: Facts
    path: tuple[str, ...]
    """Names from the verified artifact to this one, through as few steps as possible."""
    edges: tuple[Edge, ...]

    @cached_property
    def box(self) -> str:
        """The manifest's identity."""
        return self.facts.manifest.box_sha256

    @property
    def name(self) -> str:
        """What the artifact's maker calls it."""
        output = self.facts.manifest.output
        return output.name if output else "statement"

    @property
    def step_path(self) -> tuple[str, ...]:
        """The path, with the step that made the artifact."""
        return (*self.path, maker_name(self.facts))


@dataclass(frozen=True)
class Origin:
    """Bytes with which the lineage begins and for which there is no manifest."""

    input: Input
    path: tuple[str, ...]


@dataclass(frozen=True)
class Lineage:
    """All ancestors of one artifact. The first node is the artifact's own manifest."""

    nodes: tuple[Node, ...]
    origins: tuple[Origin, ...]
    findings: tuple[Finding, ...]
    """What is wrong whatever the policy."""

    def joined(self, others: Iterable["Lineage"]) -> "Lineage":
        """This lineage together with what only others know: for counting and drawing, not for judging."""
        nodes = dict(self.by_box)
        origins = list(self.origins)
        for other in others:
            nodes = other.by_box | nodes
            origins += [each for each in other.origins if each not in origins]
        first = self.nodes[0].box
        rest = (node for box, node in nodes.items() if box != first)
        return Lineage((nodes[first], *rest), tuple(origins), self.findings)

    def beyond(self, other: "Lineage") -> "Lineage":
        """What of this lineage the other one does not have: for judging an evaluation of what the other leads to."""
        nodes = tuple(node for node in self.nodes if node.box not in other.by_box)
        shared = {each.input for each in other.origins}
        said = {(each.code, each.expected, each.found) for each in other.findings}
        return Lineage(
            nodes or self.nodes[:1],
            tuple(each for each in self.origins if each.input not in shared),
            tuple(each for each in self.findings if (each.code, each.expected, each.found) not in said),
        )

    @cached_property
    def by_box(self) -> dict[str, Node]:
        """Nodes by their manifests' identity."""
        return {node.box: node for node in self.nodes}

    @cached_property
    def valid_from(self) -> dt.datetime:
        """When every signer's certificate had begun."""
        return max(node.facts.trusted.valid_from for node in self.nodes)

    @cached_property
    def valid_until(self) -> dt.datetime:
        """When the first signer's certificate ends."""
        return min(node.facts.trusted.valid_until for node in self.nodes)

    @cached_property
    def ended(self) -> dt.datetime:
        """When the last of its steps ended."""
        return max(node.facts.manifest.statement.ended for node in self.nodes)

    @cached_property
    def digests(self) -> frozenset[str]:
        """Every artifact that took part."""
        made = {node.facts.manifest.asset_sha256 for node in self.nodes}
        return frozenset(made | {edge.input.sha256 for node in self.nodes for edge in node.edges})

    @cached_property
    def components(self) -> frozenset[str]:
        """Every component that took part."""
        return frozenset(step.component for _, step in self.made_by_steps)

    @cached_property
    def ran(self) -> frozenset[tuple[str, str, str]]:
        """Every component that took part, with its image and its code's digest."""
        return frozenset((step.component, step.image, step.code_sha256) for _, step in self.made_by_steps)

    @cached_property
    def beginnings(self) -> tuple[tuple[Node, Step], ...]:
        """Steps that took nothing: no input, or empty ones, which carry nothing."""
        return tuple(
            (node, step)
            for node, step in self.made_by_steps
            if all(edge.input.sha256 == EMPTY_SHA256 for edge in node.edges)
        )

    @cached_property
    def made_by_steps(self) -> tuple[tuple[Node, Step], ...]:
        """Nodes that steps made, with the step."""
        makers = ((node, node.facts.manifest.statement.maker) for node in self.nodes)
        return tuple((node, maker) for node, maker in makers if isinstance(maker, Step))

    @cached_property
    def published(self) -> tuple[Node, ...]:
        """Nodes that a publisher vouches for."""
        return tuple(n for n in self.nodes if isinstance(n.facts.manifest.statement.maker, Publisher))

    @cached_property
    def attested(self) -> tuple[tuple[Node, Appraisal], ...]:
        """Nodes whose evidence holds, with what it proves."""
        return tuple((node, node.facts.evidence) for node in self.nodes if node.facts.evidence)

    @cached_property
    def rejected_evidence(self) -> tuple[Node, ...]:
        """Nodes whose evidence does not hold."""
        return tuple(node for node in self.nodes if node.facts.evidence_rejection)

    @cached_property
    def unattested(self) -> tuple[Node, ...]:
        """Nodes that steps made without any evidence."""
        return tuple(
            node for node, _ in self.made_by_steps if not (node.facts.evidence or node.facts.evidence_rejection)
        )

    @cached_property
    def unlogged(self) -> tuple[Node, ...]:
        """Nodes without a receipt that holds."""
        return tuple(node for node in self.nodes if node.facts.logged is None)

    @cached_property
    def untimed(self) -> tuple[Node, ...]:
        """Nodes of which nobody says by when they existed."""
        return tuple(node for node in self.nodes if node.facts.logged is None or node.facts.logged.time is None)

    @cached_property
    def contradicted(self) -> tuple[tuple[Node, dt.datetime], ...]:
        """Nodes that say they ended later than others saw them, and when that was."""
        return tuple(
            (node, node.facts.logged.time)
            for node in self.nodes
            if node.facts.logged is not None
            and node.facts.logged.time is not None
            and node.facts.manifest.statement.ended - node.facts.logged.time > CLOCK_SKEW
        )

    @cached_property
    def unmeasured(self) -> tuple[tuple[Node, Unmeasured], ...]:
        """Artifacts without a digest that took part, with the node of their step."""
        return tuple(
            (node, each)
            for node in self.nodes
            for each in node.facts.manifest.statement.unmeasured
            if (each.direction, each.reason) != ("output", NEVER_WRITTEN)
        )

    @cached_property
    def broken(self) -> bool:
        """Whether a link leads to a manifest that is missing or does not hold."""
        return any(edge.parent is None and edge.input.link is not None for node in self.nodes for edge in node.edges)

    @cached_property
    def steps(self) -> int:
        """Distinct statements: a step with several outputs counts once."""
        return len({node.facts.manifest.statement_sha256 for node in self.nodes})


def maker_name(facts: Facts) -> str:
    """The task, or the publisher."""
    maker = facts.manifest.statement.maker
    return maker.task if isinstance(maker, Step) else maker.name
