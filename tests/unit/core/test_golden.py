"""Sidecars of long ago verify, and say what they always said."""

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from atlas.archive import Stored
from atlas.artifact import measure, measure_properties
from atlas.codes import Code
from atlas.disclosure_file import load_disclosures
from atlas.errors import Rejected
from atlas.evidence.tdx.collateral import parse_collateral
from atlas.keys import identity_uri
from atlas.lineage import establish
from atlas.manifest import verify_manifest
from atlas.opening import open_parameters
from atlas.statement import dump_statement
from atlas.trust import Role, TrustRoot, load_authority
from atlas.trust_file import load_trust_root

HERE = Path(__file__).parents[2] / "golden"
VERSIONS = sorted(path for path in HERE.glob("v*") if path.is_dir())
EVIDENCE_SHA256 = "938c155e7d710bb579dea4eee7d879cbf9e3b64695549af5adfbd3a51dd4b3e3"
COLLATERAL_SHA256 = "e7fd9ce3aaa7b59edc6cda8dbaff4c1c05f1a471ce3b012ba87d2c4c663c88a9"
CASES = [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for each in VERSIONS for path in each.glob("*.c2pa")]


def trust(version: Path) -> TrustRoot:
    return TrustRoot((load_authority("golden", (version / "ca.pem").read_text(), frozenset(Role)),), ())


def expected(sidecar: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(sidecar.with_suffix(".json").read_text(encoding="utf-8"))
    return fields


def test_there_are_golden_sidecars() -> None:
    assert {path.stem for path in (HERE / "v1").glob("*.c2pa")} == {"file", "tree", "properties", "statement"}


@pytest.mark.parametrize("sidecar", CASES)
def test_verifies_for_ever(sidecar: Path) -> None:
    fields = expected(sidecar)
    trusted = verify_manifest(sidecar.read_bytes(), trust(sidecar.parent))
    manifest = trusted.manifest

    assert {
        "label": manifest.label,
        "box_sha256": manifest.box_sha256,
        "asset_sha256": manifest.asset_sha256,
        "statement_sha256": manifest.statement_sha256,
        "to_be_signed_sha256": hashlib.sha256(manifest.to_be_signed).hexdigest(),
        "signature": manifest.signature.hex(),
        "evidence": manifest.evidence,
        "statement": json.loads(dump_statement(manifest.statement)),
        "signer_serial": str(manifest.signer.serial_number),
        "valid_from": trusted.valid_from.isoformat(),
        "valid_until": trusted.valid_until.isoformat(),
    } == fields
    assert hashlib.sha256(dump_statement(manifest.statement)).hexdigest() == fields["statement_sha256"]
    names = manifest.signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    identity = identity_uri(manifest.statement.maker, manifest.statement.pseudonym)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity]


@pytest.mark.parametrize("sidecar", CASES)
def test_lives_ten_years(sidecar: Path) -> None:
    fields = expected(sidecar)
    lifetime = dt.datetime.fromisoformat(fields["valid_until"]) - dt.datetime.fromisoformat(fields["valid_from"])

    assert lifetime == dt.timedelta(days=3653)


@pytest.mark.parametrize("sidecar", CASES)
def test_is_refused_by_another_trust_root(sidecar: Path) -> None:
    with pytest.raises(Rejected) as caught:
        verify_manifest(sidecar.read_bytes(), TrustRoot((), ()))
    assert caught.value.code is Code.SIGNER_UNTRUSTED


def test_artifacts_measure_as_they_always_did() -> None:
    version = HERE / "v1"

    assert measure(HERE / "model.bin").sha256 == expected(version / "file.c2pa")["asset_sha256"]
    assert measure(HERE / "tree").sha256 == expected(version / "tree.c2pa")["asset_sha256"]
    properties = expected(version / "properties.c2pa")
    (metrics,) = (each for each in properties["statement"]["outputs"] if each["kind"] == "properties")
    assert measure_properties(metrics["properties"]).sha256 == properties["asset_sha256"] == metrics["sha256"]


def test_the_model_links_to_its_data() -> None:
    (used,) = expected(HERE / "v1" / "file.c2pa")["statement"]["inputs"]
    made = expected(HERE / "v1" / "tree.c2pa")

    assert used["link"] == {each: made[each] for each in ("label", "box_sha256", "asset_sha256")}


def test_what_was_kept_back_long_ago_opens() -> None:
    manifest = verify_manifest((HERE / "v2" / "file.c2pa").read_bytes(), trust(HERE / "v2")).manifest
    opened = load_disclosures([HERE / "v2" / "opened.json"])
    assert list(opened) == [manifest.statement_sha256]
    parameters = open_parameters(manifest.statement, opened[manifest.statement_sha256])
    assert {name: each.value for name, each in parameters.items()} == {"rate": 0.125}
    assert manifest.statement.secret == ("api_token",)


def test_evidence_of_long_ago_holds_as_it_did(tmp_path: Path) -> None:
    folder = HERE / "evidence-v1"
    trust_root = load_trust_root(folder / "trust.json")
    raw = (folder / "model.c2pa").read_bytes()
    manifest = verify_manifest(raw, trust_root).manifest
    known = [parse_collateral((folder / "collateral.json").read_bytes())]
    stored = Stored(manifest.box_sha256, manifest.asset_sha256, raw, None)
    facts = establish(stored, trust_root, lambda _: known)
    assert facts.evidence_rejection is None
    assert facts.evidence is not None
    assert facts.evidence.nonce == "golden nonce"
    assert [each.content for each in facts.evidence.events or ()] == ["registry.example/train"]
    assert facts.evidence.verified.platform.status == "UpToDate"
    assert facts.evidence.verified.collateral == known[0].sha256
    assert hashlib.sha256(manifest.evidence.encode()).hexdigest() == EVIDENCE_SHA256
    assert known[0].sha256 == COLLATERAL_SHA256
