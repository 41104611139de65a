"""Judging a lineage by a policy at a time. Pure, and always done anew: only verified facts are ever cached.

Most rules first ask the lineage as a whole (its newest step, the set of its digests) and look at single nodes only
where that answer is bad, so that judging a lineage again costs far less than building it.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.lineage import Lineage, Node
from atlas.policy.attested import Today, judge_evidence
from atlas.policy.fields import Need
from atlas.policy.parameters import OpenedValues, judge_parameters
from atlas.policy.schema import Metric, Policy, Rules
from atlas.statement import Output, Statement, Step
from atlas.verdict import Finding, Outcome


def evaluate(
    lineage: Lineage,
    policy: Policy,
    at: dt.datetime,
    evaluations: Sequence[Lineage] = (),
    today: Today = MappingProxyType({}),
    opened: OpenedValues = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """Judge a lineage.

    Args:
        lineage: of the artifact in question.
        policy: what is required.
        at: the time of verification, with a time zone.
        evaluations: lineages whose first node is a step that took the artifact as an input.
        today: what is said at that time of platforms whose evidence was judged by other collateral.
        opened: what disclosures show of parameters that statements keep back.

    Returns:
        All findings, the lineage's own included, sorted.
    """
    rules, at = policy.spec, at.astimezone(dt.UTC)
    findings = set(_judge(lineage, rules, at, today))
    findings.update(_too_old(lineage, rules, at))
    findings.update(_missing_steps(lineage, rules, evaluations))
    findings.update(judge_parameters(lineage, rules.parameters, evaluations, opened))
    for metric in rules.metrics:
        measured = [each for each in (lineage, *evaluations) if _component(each) == metric.step]
        findings.update(_metric(lineage, metric, measured))
    for each in relied_on(lineage, policy, at, evaluations, today):
        findings.update(_judge(each.beyond(lineage), rules, at, today))
    return tuple(sorted(findings))


def relied_on(
    lineage: Lineage,
    policy: Policy,
    at: dt.datetime,
    evaluations: Sequence[Lineage],
    today: Today = MappingProxyType({}),
) -> list[Lineage]:
    """Those evaluations that the policy asks for and that the artifact rests on.

    Of several by one component, those that hold by themselves, and of these the ones of the artifact's own run if there
    are any; all of them, if none holds. (Bounds on metrics and parameters apply to every evaluation, whether it is
    relied on or not.)
    """
    asked = {metric.step for metric in policy.spec.metrics}
    given = {parameter.step for parameter in policy.spec.parameters}
    asked.update((given | set(policy.spec.steps.required)) - lineage.components)
    chosen: list[Lineage] = []
    for component in sorted(asked):
        candidates = [each for each in evaluations if _component(each) == component]
        good = [each for each in candidates if _holds(each.beyond(lineage), policy.spec, at, today)]
        own = [each for each in good or candidates if _run(each) == _run(lineage)]
        chosen += own or good or candidates
    return chosen


def _holds(lineage: Lineage, rules: Rules, at: dt.datetime, today: Today) -> bool:
    return Outcome.of(each.severity for each in _judge(lineage, rules, at, today)) is Outcome.HOLDS


def _run(lineage: Lineage) -> str:
    maker = lineage.nodes[0].facts.manifest.statement.maker
    return maker.run if isinstance(maker, Step) else ""


def _judge(lineage: Lineage, rules: Rules, at: dt.datetime, today: Today) -> Iterator[Finding]:
    """What is asked of every manifest of a lineage."""
    yield from lineage.findings
    yield from _times(lineage, at)
    if rules.log is Need.REQUIRED:
        for node in lineage.unlogged:
            if node.facts.log_rejection is None:  # otherwise the lineage says already why
                yield _finding(Code.NOT_LOGGED, node.step_path)
    if rules.timestamp is Need.REQUIRED:
        for node in lineage.untimed:
            if node.facts.log_rejection is None:
                yield _finding(Code.TIMESTAMP_MISSING, node.step_path)
    for node, seen in lineage.contradicted:
        ended = node.facts.manifest.statement.ended
        yield _finding(Code.TIME_CONTRADICTED, node.step_path, f"at most {seen:%FT%TZ}", f"{ended:%FT%TZ}")
    for node, each in lineage.unmeasured:
        if each.direction == "input" or f"{_name(node)}.{each.name}" not in rules.unmeasured:
            code = Code.INPUT_UNMEASURED if each.direction == "input" else Code.OUTPUT_UNMEASURED
            yield _finding(code, (*node.step_path, each.name), "a digest", f"{each.uri or 'no place'}: {each.reason}")
    yield from _steps(lineage, rules)
    yield from judge_evidence(lineage, rules.evidence, today, at)
    yield from _origins(lineage, rules)
    denied = lineage.digests.intersection(rules.denied)
    if denied:
        for node in lineage.nodes:
            if node.facts.manifest.asset_sha256 in denied:
                yield _finding(Code.DIGEST_DENIED, node.path, found=f"sha256:{node.facts.manifest.asset_sha256}")
            for edge in node.edges:
                parent = lineage.by_box.get(edge.parent or "")
                used = edge.input.sha256
                if used in denied and (parent is None or parent.facts.manifest.asset_sha256 != used):
                    yield _finding(Code.DIGEST_DENIED, (*node.step_path, edge.input.name), found=f"sha256:{used}")


def _times(lineage: Lineage, at: dt.datetime) -> Iterator[Finding]:
    now = f"{at:%FT%TZ}"
    if lineage.valid_from <= at <= lineage.valid_until and lineage.ended <= at:
        return
    for node in lineage.nodes:
        trusted, ended = node.facts.trusted, node.facts.manifest.statement.ended
        if at < trusted.valid_from:
            yield _finding(Code.SIGNER_NOT_YET_VALID, node.step_path, f"from {trusted.valid_from:%FT%TZ}", now)
        elif at > trusted.valid_until:
            yield _finding(Code.SIGNER_EXPIRED, node.step_path, f"until {trusted.valid_until:%FT%TZ}", now)
        elif ended > at:
            yield _finding(Code.STEP_IN_FUTURE, node.step_path, f"at most {now}", f"{ended:%FT%TZ}")


def _too_old(lineage: Lineage, rules: Rules, at: dt.datetime) -> Iterator[Finding]:
    ended = lineage.nodes[0].facts.manifest.statement.ended
    if rules.max_age is not None and at - ended > rules.max_age:
        oldest = f"{at - rules.max_age:%FT%TZ} or later"
        yield _finding(Code.TOO_OLD, lineage.nodes[0].step_path, oldest, f"{ended:%FT%TZ}")


def _steps(lineage: Lineage, rules: Rules) -> Iterator[Finding]:
    images, code = rules.steps.images, rules.steps.code
    allowed_all = all(
        (images is None or image in images) and (component not in code or sha256 in code[component])
        for component, image, sha256 in lineage.ran
    )
    if allowed_all:
        return
    for node, step in lineage.made_by_steps:
        if images is not None and step.image not in images:
            yield _finding(Code.IMAGE_NOT_ALLOWED, node.step_path, " or ".join(images), step.image)
        allowed = rules.steps.code.get(step.component)
        if allowed is not None and step.code_sha256 not in allowed:
            expected = " or ".join(f"sha256:{each}" for each in allowed)
            yield _finding(Code.CODE_NOT_ALLOWED, node.step_path, expected, f"sha256:{step.code_sha256}")


def _origins(lineage: Lineage, rules: Rules) -> Iterator[Finding]:
    origins = rules.origins
    for origin in lineage.origins:
        if origin.input.sha256 in origins.digests or (origin.input.pinned and origins.pinned):
            continue
        listed = bool(origins.digests) or origin.input.pinned
        code = Code.ORIGIN_NOT_ALLOWED if listed else Code.UNATTESTED_ORIGIN
        yield _finding(code, origin.path, "an accepted origin", f"sha256:{origin.input.sha256} {origin.input.uri}")
    for node in lineage.published:
        ignored = [each for each in node.facts.manifest.ignored if each not in origins.ignored]
        if ignored:
            found = ", ".join(ignored)[:200]
            yield _finding(Code.OMS_IGNORES_FILES, node.step_path, "a signature of every file", found)
    identities = {(each.issuer, each.subject) for each in origins.identities}
    for node in lineage.published:
        signer, identity = node.facts.manifest.signer_sha256, node.facts.trusted.identity
        named = {signer, node.facts.trusted.authority.sha256}.intersection(origins.publishers or ())
        if identity and not named and (identity.issuer, identity.subject) not in identities:
            yield _finding(Code.ORIGIN_NOT_ALLOWED, node.step_path, "an accepted identity", str(identity))
        if not identity and not named and origins.publishers is not None:
            kind = "key" if node.facts.manifest.key else "certificate"
            found = f"{_name(node)}, {kind} sha256:{signer}"
            yield _finding(Code.ORIGIN_NOT_ALLOWED, node.step_path, "an accepted publisher", found)
    if origins.steps is not None:
        for node, step in lineage.beginnings:
            if step.component not in origins.steps:
                yield _finding(
                    Code.ORIGIN_NOT_ALLOWED, node.step_path, " or ".join(origins.steps) or "no step", step.component
                )


def _missing_steps(lineage: Lineage, rules: Rules, evaluations: Sequence[Lineage]) -> Iterator[Finding]:
    if lineage.broken:
        return  # what lies beyond a gap is unknown, and the gap is a finding already
    present = lineage.components | {_component(each) for each in evaluations}
    for component in rules.steps.required:
        if component not in present:
            found = ", ".join(sorted(lineage.components)) or "none"
            yield _finding(Code.STEP_REQUIRED, lineage.nodes[0].path, component, found)


def _metric(lineage: Lineage, metric: Metric, measured: Iterable[Lineage]) -> Iterator[Finding]:
    """Hold every measurement of a metric against its bounds: a good one does not excuse a bad one."""
    bounds = " and ".join(
        text
        for text, bound in ((f"at least {metric.min:g}" if metric.min is not None else "", metric.min),
                            (f"at most {metric.max:g}" if metric.max is not None else "", metric.max))
        if bound is not None
    )  # fmt: skip
    name = f"{metric.artifact}.{metric.name}"
    found = False
    for each in measured:
        for output in _outputs(each.nodes[0].facts.manifest.statement, metric.artifact):
            value = (output.properties or {}).get(metric.name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                continue
            found = True
            low = metric.min is not None and value < metric.min
            high = metric.max is not None and value > metric.max
            if low or high:
                path = (*lineage.nodes[0].path, metric.step, name)
                yield _finding(Code.METRIC_OUT_OF_RANGE, path, bounds, f"{value:g}")
    if not found:
        yield _finding(Code.METRIC_MISSING, (*lineage.nodes[0].path, metric.step, name), bounds, "no measurement")


def _outputs(statement: Statement, name: str) -> Iterator[Output]:
    return (each for each in statement.outputs if each.name == name)


def _component(lineage: Lineage) -> str:
    maker = lineage.nodes[0].facts.manifest.statement.maker
    return maker.component if isinstance(maker, Step) else ""


def _name(node: Node) -> str:
    maker = node.facts.manifest.statement.maker
    return maker.component if isinstance(maker, Step) else maker.name


def _finding(code: Code, path: Sequence[str], expected: str = "", found: str = "") -> Finding:
    return Finding.of(Rejected(code, expected=expected, found=found), path)
