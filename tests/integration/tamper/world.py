"""A small real world to attack: files on disk, signed steps, an archive, a log, a trust root and a policy.

    rows.csv ──ingest──> raw.csv ──preprocess──> train/ ──train──> model.bin ──evaluate──> metrics
    (published)                             └──> test.csv ─────────────────────┘

It is made once with the real code and put back, byte for byte and at the same place, before each attack.
"""

import base64
import contextlib
import datetime as dt
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes

from atlas.artifact import Kind, Measurement, measure, measure_properties
from atlas.cli import run
from atlas.errors import AtlasError, Rejected
from atlas.evidence.attest import Attest, attestor
from atlas.evidence.binding import Context
from atlas.evidence.nvidia.verify import gpu_nonce
from atlas.evidence.providers import Attestation, GpuAttestation
from atlas.evidence.simulator.gpu import UnsafeSimulatedGpu
from atlas.evidence.simulator.platform import USER_DATA, UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd, agent_event
from atlas.evidence.tdx.check import check_collateral
from atlas.evidence.tdx.collateral import Collateral
from atlas.evidence.tdx.quote import parse_quote
from atlas.gather import open_archive
from atlas.home import Home, create_home
from atlas.keys import Credential, Issuer, issue, new_authority
from atlas.log import Entry, Receipt, parse_receipt
from atlas.logs import own_log
from atlas.manifest import Sidecar, sign_statement
from atlas.policy.attested import registers
from atlas.statement import Input, Link, Output, Publisher, Statement, Step, output_of
from atlas.trust import Authority, EvidenceRoot, PinnedLog, Role, Tee, TrustRoot, intel_root
from atlas.trust_file import load_trust_root
from support import forge

Twist = Callable[[Statement], Statement]
"""Changes what a step says before it is signed: a step that misbehaves, and a runtime that records it."""
Signing = Callable[[Statement, Issuer], list[Sidecar]]
"""Signs a step's statement, in another way than the runtime does."""

PUBLISHER = Publisher("acme")
IMAGES = {name: f"registry.example/{name}@sha256:{'ab' * 32}" for name in ("ingest", "preprocess", "train", "evaluate")}
CODE = {name: hashlib.sha256(f"python {name}.py".encode()).hexdigest() for name in IMAGES}
MEASURED = {
    "domain": "github.com/confidential-containers",
    "operation": "PullImage",
    "content": "registry.example/steps",
}
"""What the agent of an honest pod measured."""
TD = UnsafeSimulatedTd().extended(agent_event(**MEASURED))
"""The trust domain of an honest pod."""


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a verification."""

    exit: int
    codes: frozenset[str]
    """Of the findings that refuse, or leave it to a person, or of the one error."""
    warnings: frozenset[str] = frozenset()
    text: str = ""
    """All that was printed, for the message of a failing test."""


@dataclass(frozen=True)
class Made:
    """An artifact of the world: where it lies, and its manifest."""

    path: Path
    sidecar: Sidecar
    output: Output

    @property
    def link(self) -> Link:
        """What the next step is told."""
        manifest = self.sidecar.manifest
        return Link(manifest.label, manifest.box_sha256, manifest.asset_sha256)

    @property
    def box(self) -> str:
        """The manifest's identity."""
        return self.sidecar.manifest.box_sha256

    @property
    def sha256(self) -> str:
        """The artifact's digest."""
        return self.output.sha256

    def taken(self, name: str = "", **changes: Any) -> Input:
        """The input that a step records when it is handed this artifact."""
        of = self.output
        base = Input(
            name or of.name, 0, of.kind, of.sha256, of.size, of.files, of.uri, of.schema, False, False, self.link
        )
        return replace(base, **changes)


@cache
def today() -> dt.datetime:
    """The day of the simulated machines, the same for all attacks."""
    return forge.now()


@cache
def simulator() -> UnsafeSimulatedPlatform:
    """The machine that the pods run on, with all keys of its manufacturer."""
    return UnsafeSimulatedPlatform.new(today())


@cache
def simulated_gpu() -> UnsafeSimulatedGpu:
    """The GPU of all pods."""
    return UnsafeSimulatedGpu()


def said(**tcb: Any) -> Collateral:
    """What the simulated manufacturer says today of its machines; that all is well unless told otherwise."""
    return simulator().collateral(today(), **tcb)


@dataclass
class Pod:
    """A pod that presents as its evidence what an honest one would, on a simulated machine, or what it is told to."""

    name: str = "simulated"
    """The provider that it says it is."""
    td: UnsafeSimulatedTd = TD
    machine: UnsafeSimulatedPlatform | None = None
    """Another one than `simulator`."""
    version: int = 4
    mark: bytes = USER_DATA
    gpu: UnsafeSimulatedGpu | None = None
    """Another one than `simulated_gpu`."""
    gpu_binding: bytes = b""
    """What the GPU's report is bound to, if it is not to be the step."""
    change: Callable[[Attestation], Attestation] = lambda honest: honest

    def attest(self, report_data: bytes) -> Attestation:
        """Quote, event log and a GPU's report."""
        quote = (self.machine or simulator()).quote(report_data, self.td, self.version, user_data=self.mark)
        gpu, binding = self.gpu or simulated_gpu(), self.gpu_binding or base64.urlsafe_b64decode(report_data)
        report = GpuAttestation(gpu.report(gpu_nonce(binding)), gpu.chain_pem.decode("ascii"))
        return self.change(Attestation(quote, self.td.event_log, (report,)))


HONEST = Pod()


class World:
    """The world as it stands; every method leaves real bytes behind."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = Home(root / ".atlas")
        self.publisher: Issuer
        self.made: dict[str, Made] = {}
        self.began = forge.now() - dt.timedelta(hours=6)

    # ---------------------------------------------------------------------------------------------- making it

    @classmethod
    def create(cls, root: Path) -> "World":
        """Make it, with the real code throughout."""
        world = cls(root)
        root.mkdir()
        create_home(world.home.path, now=world.began - dt.timedelta(days=30))
        world.publisher = new_authority("acme publishing", world.began - dt.timedelta(days=30))
        own = world.trust
        authorities = (
            replace(own.authorities[0], roles=frozenset({Role.STEP})),
            Authority("acme", world.publisher.certificate, frozenset({Role.PUBLISHER})),
        )
        roots = (
            intel_root(),
            EvidenceRoot("simulated", simulator().root, Tee.TDX, simulated=True),
            EvidenceRoot("simulated-gpu", simulated_gpu().root, Tee.GPU, simulated=True),
        )
        world.write_trust(world.home.trust_path, TrustRoot(authorities, own.logs, roots))
        world.keep(said())
        rows = world.file("rows.csv", b"".join(b"%d,%d\n" % (i, i % 7) for i in range(500)))
        world.publish(rows)
        world.made.update(world.pipeline("run-1"))
        world.gather()
        return world

    def publish(
        self,
        path: Path,
        *,
        publisher: Publisher = PUBLISHER,
        issuer: Issuer | None = None,
        schema: str = "system.Dataset",
    ) -> Made:
        """Sign a data set as its publisher, with the sidecar beside it, an hour before the first run."""
        output = output_of(measure(path), path.name, uri=str(path), schema=schema)
        stated = Statement(publisher, (output,), self.began - dt.timedelta(hours=1), self.began)
        [sidecar] = self.sign(stated, issuer or self.publisher)
        path.with_name(sidecar.name).write_bytes(sidecar.raw)
        self.deposit(sidecar)
        self.made[path.name] = Made(path, sidecar, output)
        return self.made[path.name]

    def pipeline(
        self,
        name: str,
        *,
        deposit: bool = True,
        signing: Mapping[str, Signing] | None = None,
        skip: Sequence[str] = (),
        **twists: Twist,
    ) -> dict[str, Made]:
        """Run the four steps: each reads and writes real files, is stated, signed and deposited.

        Args:
            name: of the run; its artifacts have bytes and places of their own.
            deposit: whether the manifests reach the inbox.
            signing: for a component, who signs otherwise than the home's authority.
            skip: components that do not run; what they would have made is handed on as it came.
            **twists: for a component, what it does other than it should.
        """
        made: dict[str, Made] = {"rows": self.made["rows.csv"]}
        signers = signing or {}

        def step(component: str, hour: int, inputs: Sequence[str], outputs: Mapping[str, tuple[Path, str]]) -> None:
            if component in skip:
                made.update(dict.fromkeys(outputs, made[inputs[0]]))
                return
            stated = self.statement(name, component, hour, [made[each] for each in inputs], outputs)
            if twist := twists.get(component):
                stated = twist(stated)
            sidecars = signers.get(component, self.sign)(stated, self.home.issuer())
            for each in sidecars:
                if each.output:
                    made[each.output.name] = Made(Path(each.output.uri), each, each.output)
            if deposit:
                self.deposit(*sidecars)

        source = self.made["rows.csv"].path.read_bytes() + name.encode()
        step("ingest", 0, ["rows"], {"raw": (self.file(f"{name}/raw.csv", source), "system.Dataset")})
        for shard in range(3):
            self.file(f"{name}/train/shard-{shard}.csv", source[shard::3])
        test = self.file(f"{name}/test.csv", source[:40])
        outputs = {"data": (self.root / name / "train", "system.Dataset"), "test": (test, "system.Dataset")}
        step("preprocess", 1, ["raw"], outputs)
        model = self.file(f"{name}/model.bin", hashlib.sha512(source).digest() * 16)
        step("train", 2, ["data"], {"model": (model, "system.Model")})
        step("evaluate", 3, ["model", "test"], {"metrics": (self.root / name / "metrics", "system.Metrics")})
        return made

    def attested_pipeline(
        self, name: str, *, deposit: bool = True, signing: Mapping[str, Signing] | None = None
    ) -> dict[str, Made]:
        """Run the four steps, each in an honest pod of its own, save those that sign otherwise."""
        signers = {**dict.fromkeys(IMAGES, self.attested()), **(signing or {})}
        return self.pipeline(name, deposit=deposit, signing=signers)

    def statement(
        self, name: str, component: str, hour: int, inputs: Sequence[Made], outputs: Mapping[str, tuple[Path, str]]
    ) -> Statement:
        """What the runtime would record of a step that did what it should."""
        began = self.began + dt.timedelta(hours=hour)
        return Statement(
            maker=Step("churn", name, component, component, 0, IMAGES[component], CODE[component], 0),
            inputs=tuple(each.taken() for each in inputs),
            outputs=tuple(
                output_of(self._measure(path), title, 0, str(path), schema) for title, (path, schema) in outputs.items()
            ),
            parameters={"epochs": 3},
            started=began,
            ended=began + dt.timedelta(minutes=30),
        )

    @staticmethod
    def _measure(path: Path) -> Measurement:
        return measure(path) if path.exists() else measure_properties({"accuracy": 0.93, "loss": 0.21})

    # ---------------------------------------------------------------------------------------------- its parts

    @property
    def trust(self) -> TrustRoot:
        """The home's trust root."""
        return load_trust_root(self.home.trust_path)

    @property
    def log(self) -> PinnedLog:
        """The home's log, as it is pinned."""
        return self.trust.logs[0]

    @property
    def model(self) -> Made:
        """What most attacks are aimed at."""
        return self.made["model"]

    def file(self, name: str, content: bytes) -> Path:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def write_trust(self, path: Path, trust: TrustRoot) -> Path:
        """Write a trust root file."""
        path.write_text(json.dumps(trust.to_json()))
        return path

    def policy(self, **spec: Any) -> Path:
        """Write a policy with these rules."""
        document = {
            "apiVersion": "atlas.dev/v1alpha1",
            "kind": "LineagePolicy",
            "metadata": {"name": "p"},
            "spec": spec,
        }
        return self.file("policy.yaml", json.dumps(document).encode())

    @property
    def full_policy(self) -> Path:
        """A policy that uses every rule but those on evidence, and that the untouched world satisfies."""
        return self.policy(**self._rules)

    def evidence_policy(self, **changes: Any) -> Path:
        """A policy that uses every rule, and that an attested pipeline satisfies; some rules on evidence changed."""
        evidence = {
            "required": True,
            "roots": ["simulated", "simulated-gpu"],
            "allowSimulated": True,
            "tcb": {
                "statuses": ["UpToDate"],
                "qeStatuses": ["UpToDate"],
                "advisories": ["INTEL-SA-00002"],
                "deniedAdvisories": ["INTEL-SA-00001"],
                "minEvaluation": 18,
                "minDate": f"{today() - dt.timedelta(days=30):%FT%TZ}",
                "grace": "7d",
            },
            "platform": {"ppids": [simulator().machine.ppid.hex()], "features": []},
            "td": {"pks": False, "perfmon": False, "xfam": [TD.xfam.hex()]},
            "reference": [_reference(TD)],
            "eventLog": {"required": True, "events": [MEASURED]},
            "gpu": "required",
            "recheck": "required",
        }
        return self.policy(**self._rules, evidence={**evidence, **changes})

    def reference_values(self, td: UnsafeSimulatedTd = TD) -> Path:
        """Write a file of reference values, all registers of one trust domain."""
        document = {
            "apiVersion": "atlas.dev/v1alpha1",
            "kind": "ReferenceValues",
            "metadata": {"name": "pods"},
            "spec": {"values": [_reference(td)]},
        }
        return self.file("reference.yaml", json.dumps(document).encode())

    @property
    def _rules(self) -> dict[str, Any]:
        return {
            "steps": {
                "required": list(IMAGES),
                "images": sorted(IMAGES.values()),
                "code": {component: [f"sha256:{digest}"] for component, digest in CODE.items()},
            },
            "origins": {
                "publishers": [f"sha256:{self.publisher.certificate.fingerprint(hashes.SHA256()).hex()}"],
                "steps": [],
                "pinned": False,
            },
            "log": "required",
            "maxAge": "90d",
            "metrics": [{"step": "evaluate", "artifact": "metrics", "name": "accuracy", "min": 0.9}],
            "parameters": [{"step": "train", "name": "epochs", "equals": 3}],
            "denied": [f"sha256:{'00' * 32}"],
        }

    def receipt(self, made: Made) -> Receipt:
        """The receipt that the archive holds."""
        [(raw,)] = self.archive("SELECT receipt FROM receipt WHERE box_sha256 = ?", made.box)
        return parse_receipt(raw)

    # ---------------------------------------------------------------------------------------------- acting on it

    def sign(self, stated: Statement, issuer: Issuer) -> list[Sidecar]:
        """Sign as the runtime does."""
        return sign_statement(stated, issuer, forge.now())

    def attested(self, pod: Pod = HONEST, between: Callable[[Attest], Attest] = lambda honest: honest) -> Signing:
        """Signs as the runtime in a pod does, with somebody between the two who may ask and answer otherwise."""

        def signing(stated: Statement, issuer: Issuer) -> list[Sidecar]:
            assert isinstance(stated.maker, Step)
            attest = between(attestor(pod, Context.of(stated.maker)))
            return sign_statement(replace(stated, evidence=pod.name), issuer, forge.now(), attest=attest)

        return signing

    def keep(self, *collateral: Collateral, alone: bool = False) -> None:
        """Put collateral into the archive, besides what is there or in its place."""
        with open_archive(self.home) as archive:
            if alone:
                self.archive("DELETE FROM collateral")
            for each in collateral:
                archive.add_collateral(each)

    def credential(self, maker: Step | Publisher, issuer: Issuer | None = None) -> Credential:
        """A signing key with an honest certificate."""
        return issue(issuer or self.home.issuer(), maker, forge.now())

    def deposit(self, *sidecars: Sidecar) -> None:
        """Put sidecars into the inbox, with the indices of their trees."""
        files: dict[str, bytes] = {}
        for each in sidecars:
            files[each.name] = each.raw
            if each.output and each.output.kind is Kind.TREE:
                files[f"{each.name}.index"] = measure(Path(each.output.uri)).asset or b""
        self.home.deposit(files)

    def gather(self) -> Outcome:
        """`atlas gather`."""
        return self.cli("gather")

    def archive(self, query: str, *values: Any) -> list[Any]:
        """Lay hands on the archive's database, as one who can write to the disk."""
        connection = sqlite3.connect(self.home.archive_path)
        try:
            with connection:
                return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def put_sidecar(self, made: Made, raw: bytes) -> None:
        """Overwrite a sidecar in the archive."""
        self.archive("UPDATE manifest SET sidecar = ? WHERE box_sha256 = ?", raw, made.box)

    def put_receipt(self, made: Made, receipt: Receipt | bytes) -> None:
        """Overwrite a receipt in the archive."""
        raw = receipt if isinstance(receipt, bytes) else receipt.to_bytes()
        self.archive("UPDATE receipt SET receipt = ? WHERE box_sha256 = ?", raw, made.box)

    def logged_as(self, entry: Entry) -> Receipt:
        """Have the home's log record an entry."""
        with own_log(self.home) as log:
            [appended] = log.append([entry.canonical_body()])
            return log.receipt(appended.index)

    # ---------------------------------------------------------------------------------------------- asking it

    def verify(
        self,
        target: Made | Path | str | None = None,
        *,
        policy: Path | None = None,
        trust: Path | None = None,
        reference: Path | None = None,
        disclosed: Path | None = None,
        at: dt.datetime | None = None,
        remeasure: bool = False,
    ) -> Outcome:
        """`atlas verify --json`, of the model unless told; with the full policy unless told."""
        subject = target if target is not None else self.model
        name = str(subject.path) if isinstance(subject, Made) else str(subject)
        options = ["--policy", str(policy or self.full_policy)]
        options += ["--trust", str(trust)] if trust else []
        options += ["--reference", str(reference)] if reference else []
        options += ["--disclosed", str(disclosed)] if disclosed else []
        options += ["--at", at.isoformat()] if at else []
        options += ["--remeasure"] if remeasure else []
        return self.cli("verify", name, *options)

    def verify_quote(
        self,
        quote: bytes | None = None,
        collateral: Collateral | None = None,
        *,
        td: UnsafeSimulatedTd = TD,
        log: bytes | None = None,
        policy: Path | None = None,
        at: dt.datetime | None = None,
    ) -> Outcome:
        """`atlas evidence verify --json` of a quote by itself, an honest one unless told, under every rule for one."""
        raw = simulator().quote(bytes(64), td) if quote is None else quote
        files = {
            "--collateral": self.file("collateral.json", (collateral or said()).raw),
            "--event-log": self.file("ccel.bin", td.event_log if log is None else log),
            "--policy": policy or self.evidence_policy(gpu="optional"),
            "--trust": self.home.trust_path,
        }
        options = [str(each) for pair in files.items() for each in pair]
        options += ["--at", at.isoformat()] if at else []
        return self.command("evidence", "verify", str(self.file("quote.bin", raw)), *options)

    def check_collateral(self, offered: Collateral, *known: Collateral) -> Outcome:
        """What `atlas evidence import` asks, which takes collateral of Intel only, under the simulator's root."""
        root = simulator().root
        return asked(lambda: check_collateral(offered, *offered.platform, root=root, now=today(), known=known))

    def verify_beside(self, raw: bytes, content: bytes = forge.ASSET, *, policy: Path | None = None) -> Outcome:
        """`atlas verify` of a file that came with its sidecar and that no archive knows."""
        path = self.file("delivery/weights.bin", content)
        self.file("delivery/weights.bin.c2pa", raw)
        return self.verify(path, policy=policy or self.policy(log="optional"))

    def delivery(self) -> tuple[bytes, Credential]:
        """An honest sidecar of `forge.ASSET`, as a publisher would send it along, and the key that signed it."""
        credential = self.credential(PUBLISHER, self.publisher)
        return forge.forge(self.delivered(), credential), credential

    def delivered(self, **changes: Any) -> Statement:
        """What the publisher of the delivery states."""
        honest = Statement(
            PUBLISHER, (forge.output(name="weights.bin"),), self.began, self.began + dt.timedelta(minutes=1)
        )
        return replace(honest, **changes)

    def cli(self, *arguments: str) -> Outcome:
        """Run the real command line in this process, on this home."""
        return self.command(*arguments, "--home", str(self.home.path))

    @staticmethod
    def command(*arguments: str) -> Outcome:
        """Run the real command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*arguments, "--json"])
        text = f"{out.getvalue()}{err.getvalue()}"
        if err.getvalue():
            return Outcome(code, frozenset({json.loads(err.getvalue())["error"]}), text=text)
        answer = json.loads(out.getvalue())
        findings = answer.get("findings", []) if isinstance(answer, dict) else []
        refused = {each["code"] for each in findings if each["severity"] != "warning"}
        refused |= {each["code"] for each in answer.get("refused", [])}
        warnings = {each["code"] for each in findings if each["severity"] == "warning"}
        return Outcome(code, frozenset(refused), frozenset(warnings), text)


def _reference(td: UnsafeSimulatedTd) -> dict[str, Any]:
    found = registers(parse_quote(simulator().quote(bytes(64), td)).report)
    return {"name": "pod", **{register: [value] for register, value in found.items()}}


def asked(question: Callable[[], object]) -> Outcome:
    """What a direct call of the library comes to, in the terms of the command line."""
    try:
        question()
    except Rejected as rejected:
        return Outcome(1, frozenset({rejected.code.value}), text=str(rejected))
    except AtlasError as error:
        return Outcome(2, frozenset({type(error).__name__}), text=str(error))
    return Outcome(0, frozenset(), text="accepted")


@contextlib.contextmanager
def restored(world: World, pristine: Path) -> Iterator[World]:
    """The untouched world at its own place, whatever was done to it before."""
    shutil.rmtree(world.root, ignore_errors=True)
    shutil.copytree(pristine, world.root, symlinks=True)
    fresh = World(world.root)
    fresh.publisher, fresh.made, fresh.began = world.publisher, dict(world.made), world.began
    yield fresh
