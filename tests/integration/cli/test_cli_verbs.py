"""Every verb as a user meets it: what it prints, what it leaves, and its exit code."""

import json
from pathlib import Path

import pytest

from atlas.log import parse_receipt
from integration.cli.cli_support import ESCAPE, FINDING_KEYS, VERDICT_KEYS, Here


def test_init_makes_a_home_once(bare: Here) -> None:
    made = bare("init", "--json").expect(0).json
    assert made.keys() == {"home", "authority", "log", "trust"}
    assert made["home"] == str(bare.home)
    assert (bare.home / "ca.key").stat().st_mode & 0o777 == 0o600
    key = (bare.home / "ca.key").read_bytes()
    assert bare("init", "--json").expect(0).json == made
    assert (bare.home / "ca.key").read_bytes() == key


def test_sign_then_verify_then_explain(atlas: Here) -> None:
    data = atlas.file("data.csv")
    signed = atlas("sign", data, "--type", "dataset", "--publisher", "ACME", "--json").expect(0).json
    assert signed.keys() == {"artifact", "publisher", "sidecar", "manifest"}
    assert signed["publisher"] == "ACME"
    assert Path(signed["sidecar"]) == data.with_name("data.csv.c2pa")
    for target in (data, "data.csv", signed["artifact"], signed["artifact"][:20]):
        verdict = atlas("verify", target, "--json").expect(0).json
        assert verdict.keys() == VERDICT_KEYS
        assert (verdict["verdict"], verdict["subject"]) == ("holds", signed["artifact"])
        assert verdict["findings"] == []
        assert atlas("explain", target, "--json").expect(0).json.keys() == VERDICT_KEYS
    table = atlas("verify", data).expect(0).out
    assert table.startswith("✓ data.csv holds")
    assert "published by ACME" in table
    assert "#0" in table


def test_a_changed_file_does_not_hold_and_both_digests_are_named(atlas: Here) -> None:
    data = atlas.signed()
    before = atlas("verify", data, "--json").json["subject"]
    data.write_text("other rows\n")
    refused = atlas("verify", data, "--json").expect(1).json
    assert refused["verdict"] == "does not hold"
    [finding] = refused["findings"]
    assert finding.keys() == FINDING_KEYS
    assert (finding["code"], finding["expected"]) == ("ArtifactChanged", before)
    assert finding["found"] == refused["subject"] != before
    told = atlas("explain", data).expect(1).out
    assert "✗ ArtifactChanged" in told
    assert f"mend      {finding['mend']}" in told


def test_a_file_that_nobody_signed_is_unknown(atlas: Here) -> None:
    [finding] = atlas("verify", atlas.file("new.bin"), "--json").expect(1).json["findings"]
    assert (finding["code"], finding["path"]) == ("ArtifactUnknown", ["new.bin"])
    assert "atlas sign" in finding["mend"]


def test_a_directory_is_signed_and_the_changed_file_in_it_named(atlas: Here) -> None:
    tree = atlas.folder / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a").write_text("a")
    (tree / "sub" / "b").write_text("b")
    atlas("sign", tree, "--type", "model").expect(0)
    atlas("verify", tree).expect(0)
    (tree / "sub" / "b").write_text("B")
    (tree / "c").write_text("c")
    [finding] = atlas("verify", tree, "--json").expect(1).json["findings"]
    assert "(c is new, sub/b changed)" in finding["found"]


def test_show_says_what_the_sidecar_says(atlas: Here) -> None:
    data = atlas.signed()
    sidecar = data.with_name("data.csv.c2pa")
    shown = atlas("show", sidecar, "--json").expect(0).json
    assert shown.keys() == {
        "label",
        "manifest",
        "artifact",
        "signer",
        "issuer",
        "certificate",
        "key",
        "bytes",
        "statement",
    }
    assert shown["bytes"] == sidecar.stat().st_size
    assert shown["statement"]["outputs"][0]["name"] == "data.csv"
    text = atlas("show", sidecar).expect(0).out
    assert shown["artifact"] in text
    assert shown["manifest"] in text


def test_gather_reports_what_it_took_up(atlas: Here) -> None:
    atlas.signed()
    assert atlas("gather", "--json").expect(0).json == {"manifests": 0, "logged": 0, "refused": []}
    assert atlas("gather").expect(0).out == "0 new manifests, 0 logged\n"


def test_gather_sets_a_broken_deposit_aside_and_takes_the_others(atlas: Here) -> None:
    sidecar = atlas.signed().with_name("data.csv.c2pa").read_bytes()
    for name, content in (("bad", sidecar[:-1]), ("good", sidecar)):
        (atlas.home / "inbox" / name).mkdir()
        (atlas.home / "inbox" / name / "x.c2pa").write_bytes(content)
    [refused] = atlas("gather", "--json").expect(1).json["refused"]
    assert refused.keys() == {"deposit", "code", "message"}
    assert refused["code"] == "SidecarMalformed"
    assert Path(refused["deposit"]) == atlas.home / "refused" / "bad"
    assert not list((atlas.home / "inbox").iterdir())
    atlas("gather").expect(0)


def test_the_log_proves_what_it_holds(atlas: Here) -> None:
    paths = [atlas.signed(f"{i}.csv", f"rows {i}\n") for i in range(3)]
    first = atlas("log", "checkpoint", "--json").expect(0).json
    assert first.keys() == {"origin", "size", "checkpoint"}
    assert first["size"] == 3
    assert atlas("log", "checkpoint").out == first["checkpoint"]
    assert first["checkpoint"].startswith(f"{first['origin']}\n3\n")
    receipt = atlas("log", "proof", "1").expect(0).json
    assert parse_receipt(json.dumps(receipt)).proof_index == 1
    signed = atlas("show", paths[1].with_name("1.csv.c2pa"), "--json").json
    for entry in (signed["artifact"], signed["manifest"]):
        assert atlas("log", "proof", entry).expect(0).json == receipt


def test_the_log_proves_that_it_only_grew(atlas: Here) -> None:
    for i in range(5):
        atlas.signed(f"{i}.csv", f"rows {i}\n")
    proof = atlas("log", "consistency", "2", "--json").expect(0).json
    assert proof.keys() == {"origin", "old", "new", "path"}
    assert (proof["old"]["size"], proof["new"]["size"]) == (2, 5)
    assert all(each.keys() == {"size", "root"} for each in (proof["old"], proof["new"]))
    assert atlas("log", "consistency", "2", "3", "--json").json["old"] == proof["old"]
    text = atlas("log", "consistency", "2").expect(0).out
    assert proof["new"]["root"] in text
    assert text.endswith("✓ the new tree extends the old one\n")
    atlas("log", "consistency", "2", "9").refused("has 5 entries", "0 < OLD ≤ NEW")
    atlas("log", "proof", "sha256:00").refused("neither an artifact nor a manifest", "in full")


def test_the_home_is_found_from_below_by_option_and_by_variable(
    atlas: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = atlas.signed()
    below = atlas.folder / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    atlas("verify", data).expect(0)
    monkeypatch.chdir(tmp_path)
    atlas("verify", data).refused("no .atlas in", "atlas init", "--home")
    atlas("verify", data, "--home", atlas.home).expect(0)
    monkeypatch.setenv("ATLAS_HOME", str(atlas.home))
    atlas("verify", data).expect(0)
    other = tmp_path / "other"
    atlas("init", "--home", other).expect(0)
    atlas("verify", data, "--home", other).expect(1)  # the option is stronger than the variable


def test_a_sidecar_beside_a_file_counts_in_a_home_that_does_not_know_it(atlas: Here, tmp_path: Path) -> None:
    data = atlas.signed()
    other = tmp_path / "other"
    atlas("init", "--home", other)
    found = atlas("verify", data, "--home", other, "--json").expect(1).json["findings"]
    assert {each["code"] for each in found} == {"SignerUntrusted"}
    trusted = atlas("verify", data, "--home", other, "--trust", atlas.home / "trust.json", "--json").expect(1).json
    assert {each["code"] for each in trusted["findings"]} == {"NotLogged"}


def test_a_policy_decides(atlas: Here) -> None:
    data = atlas.signed()
    head = "apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: p}\nspec:\n"
    digest = atlas("verify", data, "--json").json["subject"]
    policy = atlas.file("policy.yaml", f"{head}  denied: ['{digest}']\n")
    refused = atlas("verify", data, "--policy", policy, "--json").expect(1).json
    assert [each["code"] for each in refused["findings"]] == ["DigestDenied"]
    policy.write_text(f"{head}  log: required\n")
    atlas("verify", data, "--policy", policy).expect(0)


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("2001-01-01", "SignerNotYetValid"),
        ("2099-01-01T00:00:00Z", "SignerExpired"),
        ("2099-01-01T00:00:00+02:00", "SignerExpired"),
    ],
)
def test_a_verdict_is_as_of_a_time(atlas: Here, at: str, code: str) -> None:
    verdict = atlas("verify", atlas.signed(), "--at", at, "--json").expect(1).json
    assert code in {each["code"] for each in verdict["findings"]}
    assert verdict["at"].startswith(("2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2098-12-31T22:00:00Z"))


def test_equal_questions_have_equal_answers(atlas: Here) -> None:
    data = atlas.signed()
    one, other = (atlas("verify", data, "--at", "2030-01-01", "--json").out for _ in range(2))
    assert one == other


def test_output_that_is_no_terminal_has_no_escapes(atlas: Here) -> None:
    data = atlas.signed()
    data.write_text("changed")
    for arguments in (("verify", data), ("explain", data), ("show", f"{data}.c2pa"), ("verify", "missing")):
        answer = atlas(*arguments)
        assert ESCAPE not in answer.out + answer.err


def test_help_names_every_verb(atlas: Here) -> None:
    text = atlas("--help").expect(0).out
    for verb in ("init", "sign", "verify", "explain", "show", "gather", "log", "lineage"):
        assert f"\n  {verb} " in text
        assert atlas(verb, "--help").expect(0).out.startswith(f"Usage: atlas {verb}")
