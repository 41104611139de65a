"""`atlas disclose`, `atlas verify --disclosed` and `atlas init --pseudonymous`, as they are typed."""

import datetime as dt
import json
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from atlas.base64url import to_base64url
from atlas.codes import Code
from atlas.disclosure import Disclosure, conceal
from atlas.home import DISCLOSURES, create_home
from atlas.manifest import sign_statement
from atlas.statement import Statement
from integration.cli.cli_support import Here
from support import forge
from support.traces import traces

RATE = conceal("learning_rate", 0.123456789)
DEPTH = conceal("depth", 87654321)
VALUES = ("0.123456789", "87654321")
POLICY = """
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata: {name: rates}
spec:
  origins: {steps: [train]}
  parameters: [{step: train, name: learning_rate, max: 0.2}]
"""


def document(*disclosures: Disclosure) -> bytes:
    return "".join(f"{each.encoded}\n" for each in disclosures).encode()


def trained(atlas: Here, *kept: Disclosure, **changes: Any) -> Path:
    """A model of one step that keeps parameters back, as the runtime deposits it."""
    path = atlas.file("model.bin", forge.ASSET)
    home = create_home(atlas.home)
    now = dt.datetime.now(dt.UTC)
    stated = Statement(
        forge.step(component="train"),
        (forge.output(uri=str(path)),),
        now,
        now,
        parameters={"epochs": 3},
        hidden=tuple(sorted((RATE.digest, DEPTH.digest))),
        **changes,
    )
    [sidecar] = sign_statement(stated, home.issuer(), now)
    home.deposit({sidecar.name: sidecar.raw, DISCLOSURES: document(*(kept or (RATE, DEPTH)))})
    return path


@pytest.fixture
def policy(atlas: Here) -> Path:
    return atlas.file("policy.yaml", POLICY)


def auditor(atlas: Here) -> Path:
    """A home that has the manifests and not what they keep back."""
    other = atlas.folder / "auditor"
    shutil.copytree(atlas.home, other)
    connection = sqlite3.connect(other / "archive.sqlite3")
    with connection:
        connection.execute("DELETE FROM disclosure")
    connection.execute("VACUUM")
    connection.close()
    return other


def test_an_auditor_sees_what_is_disclosed_and_nothing_else(atlas: Here, policy: Path) -> None:
    model = trained(atlas)
    atlas("verify", model).expect(0)
    other = auditor(atlas)
    assert list(traces(VALUES[0], other)) == []
    judged = ("verify", model, "--policy", policy, "--home", other)
    [finding] = atlas(*judged, "--json").expect(1).json["findings"]
    assert finding["code"] == Code.PARAMETER_UNDISCLOSED.value

    opened = atlas.folder / "opened.json"
    answer = atlas("disclose", model, "--field", "train.learning_rate", "-o", opened).expect(0)
    assert answer.out == f"1 parameter opened in {opened}\n"
    assert stat.S_IMODE(opened.stat().st_mode) == 0o600
    verdict = atlas(*judged, "--disclosed", opened, "--json").expect(0).json
    assert verdict["verdict"] == "holds"
    [shown] = verdict["disclosed"]
    assert (shown["component"], shown["name"], shown["value"]) == ("train", "learning_rate", 0.123456789)
    assert "disclosed  train.learning_rate = 0.123456789" in atlas(*judged, "--disclosed", opened).expect(0).out
    assert "disclosed  train.learning_rate" in atlas("explain", *judged[1:], "--disclosed", opened).expect(0).out
    assert VALUES[1] not in f"{opened.read_text()}{verdict}"


def test_at_home_a_policy_is_judged_by_what_is_kept_and_no_value_is_told(atlas: Here, policy: Path) -> None:
    model = trained(atlas)
    assert VALUES[0] not in atlas("verify", model, "--policy", policy).expect(0).out
    strict = atlas.file("strict.yaml", POLICY.replace("0.2", "0.1"))
    answer = atlas("verify", model, "--policy", strict, "--json").expect(1)
    [finding] = answer.json["findings"]
    assert finding["code"] == Code.PARAMETER_NOT_ALLOWED.value
    assert list(traces(VALUES[0], answer.out, answer.err)) == []


def test_several_fields_are_printed_and_several_files_are_taken(atlas: Here) -> None:
    model = trained(atlas)
    files = []
    for name in ("learning_rate", "depth"):
        printed = atlas("disclose", model, "--field", f"train.{name}").expect(0).json
        assert printed["type"] == "dev.atlas.disclosure/v1"
        files += ["--disclosed", atlas.file(f"{name}.json", json.dumps(printed))]
    assert len(atlas("verify", model, *files, "--json").expect(0).json["disclosed"]) == 2
    both = atlas("disclose", model, "--field", "train.depth", "--field", "train.learning_rate").expect(0).json
    assert [len(each["disclosures"]) for each in both["statements"]] == [2]


def test_what_is_not_kept_cannot_be_disclosed(atlas: Here) -> None:
    model = trained(atlas, secret=("api_token",))
    for field in ("train.epochs", "train.api_token", "fit.depth", "depth"):
        answer = atlas("disclose", model, "--field", field).refused("train.depth, train.learning_rate")
        assert not any(value in answer.err for value in VALUES)
    other = auditor(atlas)
    atlas("disclose", model, "--field", "train.depth", "--home", other).refused("nothing")
    assert atlas("disclose", atlas.file("other", "x"), "--field", "a.b", "--json").code == 2


def test_an_artifact_that_nobody_made_discloses_nothing(atlas: Here) -> None:
    trained(atlas)
    atlas("disclose", atlas.file("other", "x"), "--field", "train.depth").expect(1, "ArtifactUnknown")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"type": "dev.atlas.disclosure/v2", "statements": []}',
        '{"type": "dev.atlas.disclosure/v1", "statements": [{"statement": "sha256:00", "disclosures": []}]}',
        '{"type": "dev.atlas.disclosure/v1", "statements": [], "more": 1}',
    ],
)
def test_a_file_that_discloses_nothing_is_refused(atlas: Here, content: str) -> None:
    atlas("verify", trained(atlas), "--disclosed", atlas.file("opened.json", content)).expect(2, "opened.json")


def test_a_deposit_with_what_was_not_committed_to_is_set_aside(atlas: Here) -> None:
    trained(atlas, RATE, conceal("depth", 9))
    gathered = atlas("gather", "--json").expect(1).json
    assert [each["code"] for each in gathered["refused"]] == [Code.DISCLOSURE_INVALID.value]
    assert gathered["manifests"] == 0


def test_a_deposit_whose_disclosures_are_no_text_is_set_aside(atlas: Here) -> None:
    trained(atlas)
    [deposit] = (atlas.home / "inbox").iterdir()
    (deposit / DISCLOSURES).write_bytes(b"\xff\n")
    gathered = atlas("gather", "--json").expect(1).json
    assert [each["code"] for each in gathered["refused"]] == [Code.DISCLOSURE_MALFORMED.value]


def test_an_archive_of_before_there_were_disclosures_takes_them(atlas: Here) -> None:
    data = atlas.signed() if atlas("init").code == 0 else None
    connection = sqlite3.connect(atlas.home / "archive.sqlite3")
    with connection:
        connection.execute("DROP TABLE disclosure")
        connection.execute("UPDATE state SET format = 1")
    connection.close()
    model = trained(atlas)
    atlas("disclose", model, "--field", "train.depth").expect(0)
    atlas("verify", data).expect(0)


def test_show_tells_what_is_kept_back_and_not_its_value(atlas: Here) -> None:
    trained(atlas, secret=("api_token",))
    [deposit] = (atlas.home / "inbox").iterdir()
    shown = atlas("show", deposit / "model.c2pa").expect(0).out
    assert "api_token (secret)" in shown
    assert "2 more parameters" in shown
    statement = atlas("show", deposit / "model.c2pa", "--json").expect(0).json["statement"]
    assert statement["type"] == "dev.atlas.statement/v2"


def test_a_disclosure_that_is_malformed_is_a_finding(atlas: Here) -> None:
    model = trained(atlas)
    opened = atlas("disclose", model, "--field", "train.depth").expect(0).json
    opened["statements"][0]["disclosures"] = [to_base64url(b'["AA","depth",1]')]
    [finding] = (
        atlas("verify", model, "--disclosed", atlas.file("o.json", json.dumps(opened)), "--json")
        .expect(1)
        .json["findings"]
    )
    assert finding["code"] == Code.DISCLOSURE_MALFORMED.value


class TestPseudonyms:
    PUBLISHER, FILE = "Example-Holdings-of-Europe", "customers-of-europe.csv"

    def logged(self, atlas: Here) -> list[str]:
        """What the log's database holds of the names of a publication."""
        data = atlas.file(self.FILE)
        atlas("sign", data, "--type", "dataset", "--publisher", self.PUBLISHER).expect(0)
        atlas("verify", data).expect(0)
        log = atlas.folder / "log"
        log.mkdir()
        for path in atlas.home.glob("log.sqlite3*"):
            shutil.copy(path, log)
        return [name for name in (self.PUBLISHER, self.FILE, "atlas:publisher:") if list(traces(name, log))]

    def test_a_log_learns_no_name(self, atlas: Here) -> None:
        assert atlas("init", "--pseudonymous", "--json").expect(0).json["signers"] == "pseudonyms"
        assert self.logged(atlas) == []

    def test_a_log_learns_names_where_nothing_else_is_said(self, atlas: Here) -> None:
        assert self.logged(atlas) == [self.PUBLISHER, "atlas:publisher:"]

    def test_an_existing_home_takes_to_pseudonyms_and_keeps_what_it_signed(self, atlas: Here) -> None:
        before = atlas.signed("before.csv", "before")
        assert atlas("init", "--pseudonymous", "--json").expect(0).json["signers"] == "pseudonyms"
        after = atlas.signed("after.csv", "after")
        atlas("verify", before).expect(0)
        atlas("verify", after).expect(0)
        assert atlas("init", "--json").expect(0).json["signers"] == "pseudonyms"
