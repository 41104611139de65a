"""Following the links from an artifact back to where its data came from.

Everything here is true whatever the policy and the time, so a lineage may be kept and judged again. Parents are found
by the link that the consumer signed, which names the parent's manifest; only where a step was told of none (an import,
a copy) are they found by the digest that it measured.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from atlas.artifact import EMPTY_SHA256
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.lineage.facts import Facts, Source, StoredManifest
from atlas.lineage.graph import CLOCK_SKEW, Edge, Lineage, Node, Origin, maker_name
from atlas.statement import Input, Step
from atlas.verdict import Finding, Severity

MAX_MANIFESTS = 100_000
"""Manifests in one lineage, lest a forged archive keeps a verifier busy for ever."""

Establish = Callable[[StoredManifest], Facts]
"""Verifies a manifest; raises `Rejected`."""


@dataclass
class _Walk:
    source: Source
    establish: Establish
    nodes: dict[str, Node] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seen: dict[str, Facts | Rejected] = field(default_factory=dict)
    """Box digest -> facts, or why the manifest does not hold."""


def build(source: Source, root: Facts, establish: Establish) -> Lineage:
    """Build the lineage of the artifact whose verified manifest is `root`.

    Ancestors that do not hold, or are not there, are among its findings.
    """
    walk = _Walk(source, establish)
    name = root.manifest.output.name if root.manifest.output else "statement"
    walk.seen[root.manifest.box_sha256] = root
    queue: deque[tuple[Facts, tuple[str, ...]]] = deque([(root, (name,))])
    while queue:
        facts, path = queue.popleft()
        if facts.manifest.box_sha256 in walk.nodes:
            continue
        if len(walk.nodes) >= MAX_MANIFESTS:
            walk.findings.append(_finding(Code.LINEAGE_TOO_LARGE, path, f"at most {MAX_MANIFESTS} manifests"))
            break
        here = (*path, maker_name(facts))
        edges = []
        for each in facts.manifest.statement.inputs:
            parent = _parent(walk, facts, each, (*here, each.name))
            edges.append(Edge(each, parent.manifest.box_sha256 if parent else None))
            if parent:
                queue.append((parent, (*here, each.name)))
        walk.nodes[facts.manifest.box_sha256] = Node(facts, path, tuple(edges))
        walk.findings.extend(_step_findings(facts, here))
    walk.findings.extend(_cycle(walk.nodes))
    walk.findings.extend(_forks(walk))
    walk.findings.extend(_split_views(walk.nodes.values()))
    return Lineage(tuple(walk.nodes.values()), tuple(walk.origins), tuple(sorted(set(walk.findings))))


def _parent(walk: _Walk, consumer: Facts, each: Input, path: tuple[str, ...]) -> Facts | None:
    """The verified manifest of an input, or None where the lineage begins or breaks off (and a finding says so)."""
    if each.link is None:
        return _producer(walk, consumer, each, path)
    if each.link.asset_sha256 != each.sha256:
        walk.findings.append(
            _finding(Code.LINK_MISMATCH, path, f"sha256:{each.link.asset_sha256}", f"sha256:{each.sha256}")
        )
    known = walk.seen.get(each.link.box_sha256)
    stored = None if isinstance(known, Facts) else walk.source.manifest(each.link.box_sha256)
    if isinstance(known, Facts):
        parent: Facts | None = known
    elif stored is None:
        walk.findings.append(_finding(Code.MANIFEST_MISSING, path, f"manifest {each.link.box_sha256}", "none"))
        return None
    else:
        parent = _establish(walk, stored, path)
    if parent is None:
        return None
    if (parent.manifest.box_sha256, parent.manifest.label) != (each.link.box_sha256, each.link.label):
        walk.findings.append(
            _finding(
                Code.LINK_MISMATCH, path, f"manifest {each.link.box_sha256}", f"manifest {parent.manifest.box_sha256}"
            )
        )
        return None
    kind = parent.manifest.output.kind if parent.manifest.output else None
    if kind is not each.kind:  # a file may have the bytes of a tree's index
        walk.findings.append(_finding(Code.LINK_MISMATCH, path, f"a {kind}", f"a {each.kind}"))
    if parent.manifest.asset_sha256 != each.link.asset_sha256:
        walk.findings.append(
            _finding(
                Code.LINK_MISMATCH, path, f"sha256:{parent.manifest.asset_sha256}", f"sha256:{each.link.asset_sha256}"
            )
        )
    _check_order(walk, consumer, parent, path)
    return parent


def _producer(walk: _Walk, consumer: Facts, each: Input, path: tuple[str, ...]) -> Facts | None:
    if each.sha256 == EMPTY_SHA256:
        return None
    candidates = [
        facts
        for stored in walk.source.producers(each.sha256)
        if (facts := _establish(walk, stored, path, quiet=True)) and _made(facts, each, consumer)
    ]
    if not candidates:
        walk.origins.append(Origin(each, path))
        return None
    started = consumer.manifest.statement.started
    # what ended before the consumer began cannot be its descendant; among those, the one that was logged first
    candidates.sort(
        key=lambda facts: (
            facts.manifest.statement.ended > started,
            facts.logged.index if facts.logged else float("inf"),
            facts.manifest.box_sha256,
        )
    )
    if len({facts.manifest.statement_sha256 for facts in candidates}) > 1:
        found = f"{len(candidates)} manifests; following {maker_name(candidates[0])}"
        walk.findings.append(_finding(Code.PRODUCER_AMBIGUOUS, path, "one maker", found, Severity.WARNING))
    _check_order(walk, consumer, candidates[0], path)
    return candidates[0]


def _made(facts: Facts, each: Input, consumer: Facts) -> bool:
    """Whether a manifest is of the very artifact, and of what was there when the consumer began."""
    manifest = facts.manifest
    if manifest.statement.ended - consumer.manifest.statement.started > CLOCK_SKEW:
        return False
    same = manifest.output is not None and (manifest.output.kind, manifest.asset_sha256) == (each.kind, each.sha256)
    return same and manifest.statement_sha256 != consumer.manifest.statement_sha256


def _check_order(walk: _Walk, consumer: Facts, parent: Facts, path: tuple[str, ...]) -> None:
    began, made = consumer.manifest.statement.started, parent.manifest.statement.ended
    if made - began > CLOCK_SKEW:  # not a sum, which the last times of the calendar do not have
        walk.findings.append(_finding(Code.STEP_BEFORE_INPUT, path, f"after {made:%FT%TZ}", f"{began:%FT%TZ}"))


def _establish(walk: _Walk, stored: StoredManifest, path: tuple[str, ...], *, quiet: bool = False) -> Facts | None:
    """Verify a manifest once; a rejection becomes a finding unless the manifest was only one of several candidates."""
    if stored.box_sha256 not in walk.seen:
        try:
            walk.seen[stored.box_sha256] = walk.establish(stored)
        except Rejected as rejected:
            walk.seen[stored.box_sha256] = rejected
    known = walk.seen[stored.box_sha256]
    if isinstance(known, Facts):
        return known
    if not quiet:
        walk.findings.append(Finding.of(known, path))
    return None


def _step_findings(facts: Facts, here: tuple[str, ...]) -> Iterable[Finding]:
    statement = facts.manifest.statement
    if facts.log_rejection:
        yield Finding.of(facts.log_rejection, here)
    if isinstance(statement.maker, Step) and statement.maker.exit_code != 0:
        yield _finding(Code.STEP_FAILED, here, "exit code 0", f"exit code {statement.maker.exit_code}")
    for each in statement.inputs:
        if each.changed:
            yield _finding(Code.INPUT_CHANGED, (*here, each.name))


def _cycle(nodes: dict[str, Node]) -> Iterable[Finding]:
    """Find artifacts that are their own ancestors, by taking away nodes whose parents are all gone (Kahn)."""
    waiting = {box: len({edge.parent for edge in node.edges if edge.parent in nodes}) for box, node in nodes.items()}
    children: dict[str, set[str]] = {}
    for box, node in nodes.items():
        for edge in node.edges:
            if edge.parent in nodes:
                children.setdefault(str(edge.parent), set()).add(box)
    ready = [box for box, count in waiting.items() if count == 0]
    while ready:
        box = ready.pop()
        del waiting[box]
        for child in children.get(box, ()):
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    if waiting:
        first = min((nodes[box] for box in waiting), key=lambda node: (len(node.path), node.path))
        yield _finding(Code.LINEAGE_CYCLE, first.path, found=f"{len(waiting)} manifests in or above the circle")


def _forks(walk: _Walk) -> Iterable[Finding]:
    """Find steps of which a trusted signer has signed two different statements."""
    runs: dict[str, dict[tuple[str, str, int], Node]] = {}
    for node in walk.nodes.values():
        maker = node.facts.manifest.statement.maker
        if isinstance(maker, Step):
            runs.setdefault(maker.run, {})[maker.pipeline, maker.task, maker.attempt] = node
    for run, steps in runs.items():
        claimed = walk.source.of_run(run)
        for (_, task, attempt), node in steps.items():
            mine = node.facts.manifest.statement_sha256
            mates = claimed.get((task, attempt), {})
            twins = {statement for statement in mates.values() if statement != mine}
            for box, statement in mates.items():
                if statement in twins and _is_trusted_twin(walk, box, node):
                    twins.remove(statement)  # said once, however many manifests it has
                    yield _finding(Code.STEP_FORKED, node.step_path, f"statement {mine}", f"also {statement}")


def _split_views(nodes: Iterable[Node]) -> Iterable[Finding]:
    """Find receipts of one log that cannot both be true: two roots of one size, two entries at one index."""
    seen: dict[tuple[str, str, int], tuple[str, str]] = {}
    for node in nodes:
        logged = node.facts.logged
        if logged is None:
            continue
        roots, entries = ("size", logged.tree_size, logged.root.hex()), ("index", logged.index, logged.leaf.hex())
        for what, number, value in (roots, entries):
            before, _ = seen.setdefault((logged.origin, what, number), (value, node.box))
            if before != value:
                found = f"two histories of {logged.origin} at {what} {number}"
                yield _finding(Code.CHECKPOINT_INCONSISTENT, node.step_path, "one history", found)


def _is_trusted_twin(walk: _Walk, box: str, node: Node) -> bool:
    stored = walk.source.manifest(box)
    twin = _establish(walk, stored, node.path, quiet=True) if stored else None
    return twin is not None and _attempt(twin) == _attempt(node.facts)


def _attempt(facts: Facts) -> tuple[str, str, str, int] | None:
    maker = facts.manifest.statement.maker
    return (maker.pipeline, maker.run, maker.task, maker.attempt) if isinstance(maker, Step) else None


def _finding(
    code: Code, path: Sequence[str], expected: str = "", found: str = "", severity: Severity = Severity.ERROR
) -> Finding:
    return Finding.of(Rejected(code, expected=expected, found=found), path, severity)
