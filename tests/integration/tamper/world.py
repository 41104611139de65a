"""A small real world to attack: files on disk, signed steps, an archive, a log, a trust root and a policy.

    rows.csv ──ingest──> raw.csv ──preprocess──> train/ ──train──> model.bin ──evaluate──> metrics
    (published)                             └──> test.csv ─────────────────────┘

It is made once with the real code and put back, byte for byte and at the same place, before each attack.
"""

import contextlib
import datetime as dt
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atlas.artifact import Kind, Measurement, measure, measure_properties
from atlas.cli import run
from atlas.errors import AtlasError, Rejected
from atlas.gather import open_log
from atlas.home import Home, create_home
from atlas.keys import Credential, Issuer, issue, new_authority
from atlas.log import Entry, Receipt, parse_receipt
from atlas.manifest import Sidecar, sign_statement
from atlas.statement import Input, Link, Output, Publisher, Statement, Step, output_of
from atlas.trust import Authority, PinnedLog, Role, TrustRoot
from atlas.trust_file import load_trust_root
from support import forge

Twist = Callable[[Statement], Statement]
"""Changes what a step says before it is signed: a step that misbehaves, and a runtime that records it."""
Signing = Callable[[Statement, Issuer], list[Sidecar]]
"""Signs a step's statement, in another way than the runtime does."""

PUBLISHER = Publisher("acme")
IMAGES = {name: f"registry.example/{name}@sha256:{'ab' * 32}" for name in ("ingest", "preprocess", "train", "evaluate")}
CODE = {name: hashlib.sha256(f"python {name}.py".encode()).hexdigest() for name in IMAGES}


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a verification."""

    exit: int
    codes: frozenset[str]
    """Of the findings that refuse, or of the one error."""
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
        world.write_trust(world.home.trust_path, TrustRoot(authorities, own.logs))
        rows = world.file("rows.csv", b"".join(b"%d,%d\n" % (i, i % 7) for i in range(500)))
        world.publish(rows)
        world.made.update(world.pipeline("run-1"))
        world.gather()
        return world

    def publish(self, path: Path, *, publisher: Publisher = PUBLISHER, issuer: Issuer | None = None) -> Made:
        """Sign a data set as its publisher, with the sidecar beside it, an hour before the first run."""
        output = output_of(measure(path), path.name, uri=str(path), schema="system.Dataset")
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
        """A policy that uses every rule, and that the untouched world satisfies."""
        return self.policy(
            steps={
                "required": list(IMAGES),
                "images": sorted(IMAGES.values()),
                "code": {component: [f"sha256:{digest}"] for component, digest in CODE.items()},
            },
            origins={"publishers": [f"sha256:{self.trust.authorities[1].sha256}"], "steps": [], "pinned": False},
            log="required",
            maxAge="90d",
            metrics=[{"step": "evaluate", "artifact": "metrics", "name": "accuracy", "min": 0.9}],
            denied=[f"sha256:{'00' * 32}"],
        )

    def receipt(self, made: Made) -> Receipt:
        """The receipt that the archive holds."""
        [(raw,)] = self.archive("SELECT receipt FROM receipt WHERE box_sha256 = ?", made.box)
        return parse_receipt(raw)

    # ---------------------------------------------------------------------------------------------- acting on it

    def sign(self, stated: Statement, issuer: Issuer) -> list[Sidecar]:
        """Sign as the runtime does."""
        return sign_statement(stated, issuer, forge.now())

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
        with open_log(self.home) as log:
            [appended] = log.append([entry.canonical_body()])
            return log.receipt(appended.index)

    # ---------------------------------------------------------------------------------------------- asking it

    def verify(
        self,
        target: Made | Path | str | None = None,
        *,
        policy: Path | None = None,
        trust: Path | None = None,
        at: dt.datetime | None = None,
        remeasure: bool = False,
    ) -> Outcome:
        """`atlas verify --json`, of the model unless told; with the full policy unless told."""
        subject = target if target is not None else self.model
        name = str(subject.path) if isinstance(subject, Made) else str(subject)
        options = ["--policy", str(policy or self.full_policy)]
        options += ["--trust", str(trust)] if trust else []
        options += ["--at", at.isoformat()] if at else []
        options += ["--remeasure"] if remeasure else []
        return self.cli("verify", name, *options)

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
        """Run the real command line in this process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*arguments, "--home", str(self.home.path), "--json"])
        text = f"{out.getvalue()}{err.getvalue()}"
        if err.getvalue():
            return Outcome(code, frozenset({json.loads(err.getvalue())["error"]}), text=text)
        answer = json.loads(out.getvalue())
        findings = answer.get("findings", []) if isinstance(answer, dict) else []
        refused = {each["code"] for each in findings if each["severity"] == "error"}
        refused |= {each["code"] for each in answer.get("refused", [])}
        warnings = {each["code"] for each in findings if each["severity"] == "warning"}
        return Outcome(code, frozenset(refused), frozenset(warnings), text)


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
