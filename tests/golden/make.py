"""Makes the golden sidecars. Run once for each version of the format, never again for an old one.

    PYTHONPATH=sdk python tests/golden/make.py tests/golden/v1

What was made is committed and must verify for ever: a change that breaks it breaks every archive in the world. The
authority's key is not kept.
"""

import datetime as dt
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from atlas.artifact import Measurement, measure, measure_properties
from atlas.disclosure import conceal, new_salt
from atlas.disclosure_file import dump_disclosures
from atlas.evidence.attest import attestor
from atlas.evidence.binding import Context
from atlas.evidence.providers.simulated import UnsafeSimulatedProvider
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd, agent_event
from atlas.keys import new_authority
from atlas.manifest import Sidecar, sign_statement
from atlas.statement import SALT_BYTES, Input, Link, Output, Publisher, Statement, Step, dump_statement, output_of
from atlas.trust import Authority, EvidenceRoot, Role, Tee, TrustRoot

HERE = Path(__file__).parent
METRICS = {"accuracy": 0.9375, "confusion": [[8, 1], [0, 7]], "name": "é", "rows": 16}
STARTED = dt.datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=dt.UTC)
ENDED = STARTED + dt.timedelta(seconds=90)


def main(folder: Path) -> None:
    """Sign one statement for each kind of artifact."""
    folder.mkdir()
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    issuer = new_authority("golden authority", now)
    (folder / "ca.pem").write_bytes(issuer.certificate.public_bytes(serialization.Encoding.PEM))

    tree = measure(HERE / "tree")
    (published,) = sign_statement(
        Statement(Publisher("Example Ltd."), (_output(tree, "data", "system.Dataset"),), STARTED, ENDED), issuer, now
    )
    data = published.output
    assert data is not None
    link = Link(published.manifest.label, published.manifest.box_sha256, published.manifest.asset_sha256)
    used = Input("data", 0, data.kind, data.sha256, data.size, data.files, data.uri, data.schema, False, False, link)

    model = _output(measure(HERE / "model.bin"), "model", "system.Model")
    metrics = _output(measure_properties(METRICS), "metrics", "system.Metrics")
    trained = sign_statement(
        _statement("train", (model, metrics), (used,)), issuer, now, attest=lambda *_: '{"provider":"none"}'
    )
    (notified,) = sign_statement(_statement("notify", (), ()), issuer, now)

    for name, sidecar in {
        "tree": published,
        "file": trained[0],
        "properties": trained[1],
        "statement": notified,
    }.items():
        (folder / f"{name}.c2pa").write_bytes(sidecar.raw)
        expected = json.dumps(_fields(sidecar), indent=2, ensure_ascii=False, sort_keys=True)
        (folder / f"{name}.json").write_text(expected + "\n", encoding="utf-8")


def kept_back(folder: Path) -> None:
    """Sign one step that keeps parameters and its name back, and keep what opens one of them.

    PYTHONPATH=sdk python tests/golden/make.py tests/golden/v2 kept_back
    """
    folder.mkdir()
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    issuer = new_authority("golden authority", now)
    (folder / "ca.pem").write_bytes(issuer.certificate.public_bytes(serialization.Encoding.PEM))
    depth, rate = conceal("depth", 8), conceal("rate", 0.125)
    model = _output(measure(HERE / "model.bin"), "model", "system.Model")
    stated = replace(
        _statement("train", (model,), ()),
        secret=("api_token",),
        hidden=tuple(sorted((depth.digest, rate.digest))),
        pseudonym=new_salt(SALT_BYTES),
    )
    [sidecar] = sign_statement(stated, issuer, now)
    (folder / "file.c2pa").write_bytes(sidecar.raw)
    expected = json.dumps(_fields(sidecar), indent=2, ensure_ascii=False, sort_keys=True)
    (folder / "file.json").write_text(expected + "\n", encoding="utf-8")
    (folder / "opened.json").write_bytes(dump_disclosures({sidecar.manifest.statement_sha256: [rate.encoded]}))


def evidence(folder: Path) -> None:
    """Sign one step with simulated evidence, and keep the collateral and the root by which it holds.

    PYTHONPATH=sdk python tests/golden/make.py tests/golden/evidence-v1 evidence
    """
    folder.mkdir()
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    issuer, platform = new_authority("golden authority", now), UnsafeSimulatedPlatform.new(now)
    stated = replace(
        _statement("train", (_output(measure(HERE / "model.bin"), "model", "system.Model"),), ()), evidence="simulated"
    )
    assert isinstance(stated.maker, Step)
    td = UnsafeSimulatedTd().extended(agent_event("golden", "pull", "registry.example/train"))
    attest = attestor(UnsafeSimulatedProvider(platform, td), Context.of(stated.maker, "golden nonce"))
    [sidecar] = sign_statement(stated, issuer, now, attest=attest)
    trust = TrustRoot(
        (Authority("golden", issuer.certificate, frozenset(Role)),),
        (),
        (EvidenceRoot("simulated", platform.root, Tee.TDX, simulated=True),),
    )
    (folder / "trust.json").write_text(json.dumps(trust.to_json(), indent=2) + "\n")
    (folder / "collateral.json").write_bytes(platform.collateral(now).raw)
    (folder / "model.c2pa").write_bytes(sidecar.raw)


def _statement(task: str, outputs: tuple[Output, ...], inputs: tuple[Input, ...]) -> Statement:
    code = hashlib.sha256(task.encode()).hexdigest()
    step = Step("golden", "run-1", task, task, 0, "registry.example/train@sha256:" + "ab" * 32, code, 0)
    return Statement(step, outputs, STARTED, ENDED, inputs, parameters={"epochs": 3, "lr": 0.001, "ü": None})


def _output(measured: Measurement, name: str, schema: str) -> Output:
    return output_of(measured, name, uri=f"minio://golden/{name}", schema=schema)


def _fields(sidecar: Sidecar) -> dict[str, Any]:
    """All that a reader takes from the sidecar."""
    manifest = sidecar.manifest
    return {
        "label": manifest.label,
        "box_sha256": manifest.box_sha256,
        "asset_sha256": manifest.asset_sha256,
        "statement_sha256": manifest.statement_sha256,
        "to_be_signed_sha256": hashlib.sha256(manifest.to_be_signed).hexdigest(),
        "signature": manifest.signature.hex(),
        "evidence": manifest.evidence,
        "statement": json.loads(dump_statement(manifest.statement)),
        "signer_serial": str(manifest.signer.serial_number),
        "valid_from": manifest.signer.not_valid_before_utc.isoformat(),
        "valid_until": manifest.signer.not_valid_after_utc.isoformat(),
    }


if __name__ == "__main__":
    {"evidence": evidence, "kept_back": kept_back}.get("".join(sys.argv[2:]), main)(Path(sys.argv[1]))
