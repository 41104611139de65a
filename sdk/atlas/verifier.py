"""From a digest to a verdict: one code path for the command line, the operator and an auditor.

A verdict is a function of the manifests and receipts in the archive, the trust root, the policy, the time and what is
disclosed, and of nothing else. What is kept between calls are verified facts, by what they were verified from; policy
and time are applied anew each time.
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from atlas.artifact import Kind
from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.appraise import Appraisal, verify_under
from atlas.evidence.tdx.collateral import Collateral, latest, parse_collateral, select
from atlas.evidence.tdx.verify import Platform
from atlas.lineage import Facts, Lineage, Source, build, establish
from atlas.lineage.facts import StoredManifest
from atlas.opening import Disclosures, Opened, open_lineages
from atlas.policy import Policy, evaluate, relied_on
from atlas.policy.attested import Standing
from atlas.trust import TrustRoot
from atlas.verdict import Disclosed, Finding, Outcome, Severity, Verdict

MAX_FACTS = 50_000
"""Manifests whose facts are kept, at about 10 kB each."""
MAX_ROOTS = 16
"""Manifests of the same artifact that are tried, newest first."""


class Verifier:
    """Verifies artifacts against one archive and one trust root."""

    def __init__(self, source: Source, trust: TrustRoot, revision: Callable[[], int]) -> None:
        """Begin without any facts.

        Args:
            source: where manifests come from.
            trust: what is pinned.
            revision: a number that changes whenever the source does.
        """
        self._source = _Remembering(source)
        self._trust = trust
        self._revision = revision
        self._facts: dict[tuple[str, bytes | None], Facts] = {}
        self._lineages: dict[str, Lineage] = {}
        self._roots: dict[str, tuple[list[Lineage], list[Finding]]] = {}
        self._consumers: dict[str, list[Lineage]] = {}
        self._views: dict[tuple[str, ...], Lineage] = {}
        self._again: dict[tuple[str, tuple[str, ...]], Platform | Rejected] = {}
        self._seen = -1

    def verify(self, sha256: str, policy: Policy, at: dt.datetime) -> Verdict:
        """Come to a verdict on the artifact with this digest (hex).

        Where several steps made the same bytes, one lineage that holds is enough, and the newest such is reported.
        """
        return self.judge(sha256, policy, at)[0]

    def judge(
        self,
        sha256: str,
        policy: Policy,
        at: dt.datetime,
        kind: Kind | None = None,
        place: str = "",
        disclosures: Disclosures | None = None,
    ) -> tuple[Verdict, Lineage | None]:
        """Like `verify`; also hands out the lineage that the verdict is on, with the evaluations it relies on.

        Args:
            sha256: the artifact's digest, hex.
            policy: what is required.
            at: the time of verification.
            kind: what the artifact is, if it is at hand: a file may have the bytes of a tree's index.
            place: where it lies, if it is at hand: of several makers of the same bytes, the one who left them there
                comes first.
            disclosures: what is at hand of what steps keep back, if anything.
        """
        lineages, findings = self._candidates(sha256)
        if kind:
            lineages = [each for each in lineages if _kind(each) is kind]
        lineages = sorted(lineages, key=lambda each: _place(each) != place)  # stable: the newest first otherwise
        if not lineages:
            if not findings:
                findings = [Finding.of(Rejected(Code.ARTIFACT_UNKNOWN, found=f"sha256:{sha256}"), ("artifact",))]
            return self._verdict(sha256, policy, at, None, findings), None
        judged = []
        for lineage in lineages:
            evaluations = self._evaluations(sha256, policy)
            today = self._today((lineage, *evaluations), at)
            opened = open_lineages((lineage, *evaluations), disclosures) if disclosures else Opened()
            found = evaluate(lineage, policy, at, evaluations, today, opened.values) + opened.findings
            joined = self._joined(lineage, relied_on(lineage, policy, at, evaluations, today))
            judged.append((joined, found, opened.disclosed))
            if Outcome.of(each.severity for each in found) is Outcome.HOLDS:
                break
        else:
            judged = judged[:1]
        lineage, found, disclosed = judged[-1]
        if len({each.nodes[0].facts.manifest.statement_sha256 for each in lineages}) > 1:
            several = Rejected(Code.PRODUCER_AMBIGUOUS, expected="one maker", found=f"{len(lineages)} manifests")
            found = (*found, Finding.of(several, lineage.nodes[0].path, Severity.WARNING))
        return self._verdict(sha256, policy, at, lineage, found, disclosed), lineage

    def trusts(self, stored: StoredManifest) -> bool:
        """Whether a manifest holds by itself."""
        try:
            return self._establish(stored).manifest.box_sha256 == stored.box_sha256
        except Rejected:
            return False

    def lineage(self, sha256: str) -> Lineage | None:
        """The newest lineage of the artifact with this digest (hex), whether it holds or not."""
        return next(iter(self._candidates(sha256)[0]), None)

    def _joined(self, lineage: Lineage, others: Sequence[Lineage]) -> Lineage:
        key = (lineage.nodes[0].box, *(each.nodes[0].box for each in others))
        if key not in self._views:
            self._views[key] = lineage.joined(others) if others else lineage
        return self._views[key]

    def _candidates(self, sha256: str) -> tuple[list[Lineage], list[Finding]]:
        """Lineages of the artifact, newest first; and what is wrong with those of its manifests that do not hold."""
        self._refresh()
        if sha256 not in self._roots:
            roots, findings = self._trusted(self._source.producers(sha256), sha256)
            roots.sort(key=lambda facts: facts.manifest.box_sha256)
            roots.sort(key=lambda facts: facts.manifest.statement.ended, reverse=True)
            self._roots[sha256] = ([self._lineage(each) for each in roots[:MAX_ROOTS]], findings)
        return self._roots[sha256]

    def _evaluations(self, sha256: str, policy: Policy) -> list[Lineage]:
        """Lineages of the steps that took the artifact as an input, if the policy asks for any such step."""
        if not policy.spec.metrics and not policy.spec.parameters and not policy.spec.steps.required:
            return []
        if sha256 not in self._consumers:
            consumers, _ = self._trusted(self._source.consumers(sha256), "")
            self._consumers[sha256] = [self._lineage(each) for each in consumers if _took(each, sha256)]
        return self._consumers[sha256]

    def _trusted(self, manifests: Iterable[StoredManifest], sha256: str) -> tuple[list[Facts], list[Finding]]:
        trusted, findings = [], []
        for stored in manifests:
            try:
                facts = self._establish(stored)
                if sha256 and facts.manifest.asset_sha256 != sha256:
                    made = f"sha256:{facts.manifest.asset_sha256}"
                    raise Rejected(Code.SIDECAR_SWAPPED, expected=f"sha256:{sha256}", found=made)
                trusted.append(facts)
            except Rejected as rejected:
                findings.append(Finding.of(rejected, ("artifact",)))
        return trusted, sorted(findings)

    def _lineage(self, root: Facts) -> Lineage:
        box = root.manifest.box_sha256
        if box not in self._lineages:
            self._lineages[box] = build(self._source, root, self._establish)
        return self._lineages[box]

    def _establish(self, stored: StoredManifest) -> Facts:
        key = (stored.box_sha256, stored.receipt)
        facts = self._facts.get(key)
        if facts and facts.evidence:  # collateral may have come that would have been chosen
            platform = facts.evidence.verified.platform
            known = self._source.lookup((platform.fmspc, platform.authority))
            if tuple(each.sha256 for each in select(known, facts.evidence.at)) != facts.evidence.collateral:
                facts = None
        if facts is None:
            facts = establish(stored, self._trust, self._source.lookup)
            if len(self._facts) >= MAX_FACTS:
                self._facts.clear()
            # an archive that mislabels must not fill the cache, and collateral that is missing may come
            if facts.manifest.box_sha256 == stored.box_sha256 and not facts.evidence_rejection:
                self._facts[key] = facts
        return facts

    def _today(self, lineages: Iterable[Lineage], at: dt.datetime) -> dict[str, Standing]:
        """What is said at this time of platforms, where that is not just what was said when their evidence was made."""
        today: dict[str, Standing] = {}
        chosen: dict[tuple[str, str], tuple[Sequence[Collateral], bool]] = {}
        for lineage in lineages:
            for node, appraisal in lineage.attested:
                platform = appraisal.verified.platform
                kind = (platform.fmspc, platform.authority)
                if kind not in chosen:
                    chosen[kind] = latest(self._source.lookup(kind), at)
                current, stale = chosen[kind]
                if stale or tuple(each.sha256 for each in current) != appraisal.collateral:
                    today[node.box] = Standing(self._looked_again(node.box, appraisal, current), stale)
        return today

    def _looked_again(
        self, box: str, appraisal: Appraisal, current: Sequence[Collateral]
    ) -> Platform | Rejected | None:
        """The platform as other collateral has it, as of when that was issued; None if there is none."""
        if not current:
            return None
        key = (box, tuple(each.sha256 for each in current))
        if key not in self._again:
            if len(self._again) >= MAX_FACTS:
                self._again.clear()
            try:
                self._again[key] = verify_under(appraisal.quote, (appraisal.root,), current)[1].platform
            except Rejected as rejected:
                self._again[key] = rejected
        return self._again[key]

    def _refresh(self) -> None:
        revision = self._revision()
        if revision != self._seen:
            self._seen = revision
            self._lineages.clear()
            self._roots.clear()
            self._consumers.clear()
            self._views.clear()
            self._source.forget()

    def _verdict(
        self,
        sha256: str,
        policy: Policy,
        at: dt.datetime,
        lineage: Lineage | None,
        findings: Iterable[Finding],
        disclosed: tuple[Disclosed, ...] = (),
    ) -> Verdict:
        return Verdict(
            subject=f"sha256:{sha256}",
            name=lineage.nodes[0].name if lineage else "",
            at=f"{at.astimezone(dt.UTC):%FT%TZ}",
            policy=f"sha256:{policy.sha256}",
            trust=f"sha256:{self._trust.sha256}",
            steps=lineage.steps if lineage else 0,
            manifests=len(lineage.nodes) if lineage else 0,
            findings=tuple(sorted(findings)),
            disclosed=disclosed,
        )


@dataclass
class _Remembering:
    """A source that is asked for each manifest once; the artifact's lineage and its evaluations' share most."""

    source: Source
    manifests: dict[str, StoredManifest | None] = field(default_factory=dict)
    known: dict[tuple[str, str], list[Collateral]] = field(default_factory=dict)

    def forget(self) -> None:
        """Ask again from here on."""
        self.manifests.clear()
        self.known.clear()

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        if box_sha256 not in self.manifests:
            self.manifests[box_sha256] = self.source.manifest(box_sha256)
        return self.manifests[box_sha256]

    def producers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        return self.source.producers(asset_sha256)

    def consumers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        return self.source.consumers(asset_sha256)

    def collateral(self, fmspc: str, authority: str) -> Sequence[bytes]:
        return self.source.collateral(fmspc, authority)

    def lookup(self, platform: tuple[str, str]) -> list[Collateral]:
        """Collateral for a kind of platform, as far as it can be read."""
        if platform not in self.known:
            readable = []
            for raw in self.source.collateral(*platform):
                with contextlib.suppress(Rejected):
                    readable.append(parse_collateral(raw))
            self.known[platform] = [each for each in readable if each.platform == platform]
        return self.known[platform]

    def of_run(self, run: str) -> Mapping[tuple[str, int], Mapping[str, str]]:
        return self.source.of_run(run)


def _kind(lineage: Lineage) -> Kind | None:
    output = lineage.nodes[0].facts.manifest.output
    return output.kind if output else None


def _place(lineage: Lineage) -> str:
    output = lineage.nodes[0].facts.manifest.output
    return output.uri if output else ""


def _took(facts: Facts, sha256: str) -> bool:
    return any(each.sha256 == sha256 and not each.changed for each in facts.manifest.statement.inputs)
