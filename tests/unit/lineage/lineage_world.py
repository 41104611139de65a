"""A small world for the tests of lineages: an authority, a log, an archive in memory, and steps that really sign."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.archive import Stored
from atlas.artifact import Kind, measure_properties
from atlas.codes import Code
from atlas.evidence.attest import attestor
from atlas.evidence.binding import Context
from atlas.evidence.providers import Provider
from atlas.evidence.tdx.collateral import Collateral
from atlas.keys import Issuer
from atlas.lineage import Lineage, build, establish
from atlas.lineage.facts import StoredManifest
from atlas.log import EmbeddedLog
from atlas.log.claim import claim_entry
from atlas.manifest import Manifest, sign_statement
from atlas.policy import Policy, default_policy
from atlas.policy.schema import parse_policy
from atlas.statement import Input, Link, Output, Publisher, Statement, Step, Unmeasured, output_of
from atlas.trust import Authority, Role, TrustRoot
from atlas.verdict import Finding, Severity, Verdict
from atlas.verifier import Verifier
from support import forge

ORIGIN = "log.test/lineage"
LOG_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW = forge.now()
BEGAN = NOW - dt.timedelta(days=5)
"""When the first step of a world begins."""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Memory:
    """An archive in memory that answers in the order in which it was told."""

    stored: list[Stored] = field(default_factory=list)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    revision: int = 0
    kept: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)

    def add(self, stored: Stored, manifest: Manifest) -> None:
        self.stored.append(stored)
        self.manifests[stored.box_sha256] = manifest
        self.revision += 1

    def keep(self, collateral: Collateral) -> None:
        self.kept.setdefault(collateral.platform, []).append(collateral.raw)
        self.revision += 1

    def remove(self, made: "Made") -> None:
        self.stored = [each for each in self.stored if each.box_sha256 != made.box]
        self.revision += 1

    def shuffled(self, order: Sequence[int]) -> "Memory":
        return Memory([self.stored[i] for i in order], self.manifests, 1, self.kept)

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        return next((each for each in self.stored if each.box_sha256 == box_sha256), None)

    def producers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        return [each for each in self.stored if each.asset_sha256 == asset_sha256]

    def consumers(self, asset_sha256: str) -> Sequence[StoredManifest]:
        return [
            each
            for each in self.stored
            if any(one.sha256 == asset_sha256 for one in self.manifests[each.box_sha256].statement.inputs)
        ]

    def collateral(self, fmspc: str, authority: str) -> Sequence[bytes]:
        return self.kept.get((fmspc, authority), [])

    def of_run(self, run: str) -> Mapping[tuple[str, int], Mapping[str, str]]:
        found: dict[tuple[str, int], dict[str, str]] = {}
        for each in self.stored:
            manifest = self.manifests[each.box_sha256]
            maker = manifest.statement.maker
            if isinstance(maker, Step) and maker.run == run:
                claimed = found.setdefault((maker.task, maker.attempt), {})
                claimed[each.box_sha256] = manifest.statement_sha256
        return found


class Indexed(Memory):
    """The same, for worlds with so many manifests that looking through all of them would take long."""

    _index: tuple[int, dict[str, Stored]] = (-1, {})

    def manifest(self, box_sha256: str) -> StoredManifest | None:
        if self._index[0] != self.revision:
            self._index = (self.revision, {each.box_sha256: each for each in self.stored})
        return self._index[1].get(box_sha256)


@dataclass(frozen=True)
class Made:
    """An artifact with its manifest."""

    raw: bytes
    manifest: Manifest

    @property
    def box(self) -> str:
        return self.manifest.box_sha256

    @property
    def sha256(self) -> str:
        return self.manifest.asset_sha256

    def stored(self, receipt: bytes | None = None) -> Stored:
        return Stored(self.box, self.sha256, self.raw, receipt)

    def used(self, name: str = "", *, link: bool = True, **changes: Any) -> Input:
        """The artifact as the next step finds it."""
        output = self.manifest.output
        assert output
        told = Link(self.manifest.label, self.box, self.sha256) if link else None
        sizes = (output.size, 1, output.uri, output.schema)
        base = Input(name or output.name, 0, output.kind, self.sha256, *sizes, False, False, told)
        return replace(base, **changes)


def found(content: bytes, name: str = "raw", **changes: Any) -> Input:
    """Bytes from nowhere: no link."""
    base = Input(
        name, 0, Kind.FILE, sha(content), len(content), 1, "gs://bucket/raw", "system.Dataset", False, False, None
    )
    return replace(base, **changes)


class World:
    """Makes things, one a minute."""

    def __init__(self, path: Path, source: Memory | None = None) -> None:
        self.issuer = forge.authority("pipelines", begins=NOW - dt.timedelta(days=20))
        self.log = EmbeddedLog.open(path / "log.sqlite3", ORIGIN, LOG_KEY)
        authority = Authority("pipelines", self.issuer.certificate, frozenset(Role))
        self.trust = TrustRoot((authority,), (self.log.pinned,))
        self.source = source if source is not None else Memory()
        self.clock = BEGAN
        self.unlogged: list[Made] = []

    def step(
        self,
        task: str,
        inputs: Iterable[Input] = (),
        outputs: Mapping[str, bytes | Mapping[str, Any]] | None = None,
        **changes: Any,
    ) -> Made:
        """Run a step with one output; see `steps`."""
        [made] = self.steps(task, inputs, outputs or {task + "-out": f"made by {task}".encode()}, **changes)
        return made

    def steps(
        self,
        task: str,
        inputs: Iterable[Input] = (),
        outputs: Mapping[str, bytes | Mapping[str, Any]] | None = None,
        *,
        issuer: Issuer | None = None,
        log: bool = True,
        archive: bool = True,
        maker: Step | Publisher | None = None,
        started: dt.datetime | None = None,
        ended: dt.datetime | None = None,
        unmeasured: tuple[Unmeasured, ...] = (),
        evidence: str = "none",
        provider: Provider | None = None,
        positions: Sequence[int] = (),
        states: Mapping[str, Any] | None = None,
        **step: Any,
    ) -> list[Made]:
        """Run a step, sign what it made, and deposit that.

        `states` changes further fields of the statement, and `step` fields of the maker.
        """
        begins = started or self.clock
        self.clock += dt.timedelta(minutes=1)
        fields: dict[str, Any] = {"task": task, "component": task, "run": "run-1", **step}
        statement = Statement(
            maker=maker or forge.step(**fields),
            outputs=tuple(
                _output(name, content, positions[i] if positions else 0)
                for i, (name, content) in enumerate((outputs or {}).items())
            ),
            started=begins,
            ended=ended or begins + dt.timedelta(seconds=50),
            inputs=tuple(inputs),
            unmeasured=unmeasured,
            evidence=provider.name if provider else evidence,
        )
        statement = replace(statement, **(states or {}))
        attest = (
            attestor(provider, Context.of(statement.maker)) if provider and isinstance(statement.maker, Step) else None
        )
        signed = sign_statement(statement, issuer or self.issuer, NOW, attest=attest)
        made = [Made(each.raw, each.manifest) for each in signed]
        for each in made:
            if log:
                self.unlogged.append(each)
            if archive:
                self.source.add(each.stored(), each.manifest)
        return made

    def publish(self, content: bytes, name: str = "corpus", publisher: str = "ACME", **changes: Any) -> Made:
        [made] = self.steps(publisher, (), {name: content}, maker=Publisher(publisher), **changes)
        return made

    def settle(self, order: Iterable[Made] | None = None) -> None:
        """Log what waits, in the order in which it was made or in the one given."""
        waiting = list(order) if order is not None else self.unlogged
        self.unlogged = []
        bodies = [claim_entry(each.manifest).canonical_body() for each in waiting]
        entries = self.log.append(bodies)
        receipts = self.log.receipts([each.index for each in entries]) if entries else []
        held = {made.box: receipt.to_bytes() for made, receipt in zip(waiting, receipts, strict=True)}
        if held:
            stored = self.source.stored
            self.source.stored = [replace(each, receipt=held.get(each.box_sha256, each.receipt)) for each in stored]
            self.source.revision += 1

    def verifier(self, source: Memory | None = None, trust: TrustRoot | None = None) -> Verifier:
        self.settle()
        chosen = source if source is not None else self.source
        return Verifier(chosen, trust or self.trust, lambda: chosen.revision)

    def lineage(self, made: Made, trust: TrustRoot | None = None) -> Lineage:
        self.settle()
        stored = self.source.manifest(made.box)
        assert stored
        root = establish(stored, trust or self.trust)
        return build(self.source, root, lambda each: establish(each, trust or self.trust))

    def verify(self, made: Made | str, rules: Policy | str = "{}", at: dt.datetime = NOW) -> Verdict:
        sha256 = made if isinstance(made, str) else made.sha256
        return self.verifier().verify(sha256, rules if isinstance(rules, Policy) else policy(rules), at)


def _output(name: str, content: bytes | Mapping[str, Any], position: int) -> Output:
    if isinstance(content, bytes):
        schema = "system.Model" if name == "model" else "system.Dataset"
        return Output(name, position, Kind.FILE, sha(content), len(content), 1, f"s3://bucket/{name}", schema)
    return output_of(measure_properties(content), name, position, "", "system.Metrics")


def policy(rules: str = "{}") -> Policy:
    """A policy with these rules, YAML in flow style."""
    if rules == "{}":
        return default_policy()
    head = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: test}\n"
    return parse_policy(f"{head}spec: {rules}\n".encode())


def codes(findings: Iterable[Finding], severity: Severity | None = None) -> list[str]:
    """The codes, sorted; of one severity if asked."""
    return sorted(each.code.value for each in findings if severity in (None, each.severity))


def only(verdict: Verdict, code: Code) -> Finding:
    """The finding with this code, which is the only one."""
    assert [each.code for each in verdict.findings] == [code], verdict.findings
    return verdict.findings[0]


def chain(world: World, length: int) -> list[Made]:
    """A published data set, and so many steps one after the other."""
    made = [world.publish(b"corpus\n")]
    for i in range(length):
        made.append(world.step(f"step-{i}", [made[-1].used()]))
    return made
