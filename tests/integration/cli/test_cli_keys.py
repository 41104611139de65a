"""`atlas keys` as a user meets it: list, rotate, revoke, and what verdicts say afterwards."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from atlas.log import parse_receipt
from atlas.manifest import parse_manifest
from integration.cli.cli_support import Here

KEYS = {"name", "kind", "fingerprint", "since", "until", "state"}


def listed(atlas: Here) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = atlas("keys", "list", "--json").expect(0).json
    assert all(each.keys() == KEYS for each in rows)
    return rows


def one(atlas: Here, state: str, kind: str) -> dict[str, str]:
    [row] = [each for each in listed(atlas) if (each["state"], each["kind"]) == (state, kind)]
    return row


def codes(atlas: Here, path: Path, *options: str) -> list[str]:
    """Of a verdict that does not hold; none of one that does."""
    answer = atlas("verify", path, "--json", *options)
    found = [each["code"] for each in answer.json["findings"] if each["severity"] == "error"]
    assert answer.code == bool(found)
    return found


def signer(path: Path) -> x509.Certificate:
    return parse_manifest(path.with_name(f"{path.name}.c2pa").read_bytes()).signer


def fingerprint(certificate: x509.Certificate) -> str:
    return f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def key_of(certificate: x509.Certificate) -> str:
    """As OpenSSL has it: `openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum`."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(certificate.public_key().public_bytes(*form)).hexdigest()}"


def revoked(atlas: Here) -> Any:
    return json.loads((atlas.home / "trust.json").read_bytes())["spec"]["revoked"]


def test_a_new_home_has_one_authority_and_one_log(atlas: Here) -> None:
    authority, log = listed(atlas)
    assert (authority["kind"], authority["state"]) == ("authority", "signs")
    assert (log["kind"], log["state"]) == ("log", "records")
    assert authority["since"] < authority["until"]
    table = atlas("keys", "list").expect(0).out
    assert authority["name"] in table
    assert log["name"] in table


def test_rotate_both(atlas: Here) -> None:
    before = atlas.signed("before.csv")
    old_authority, old_log = listed(atlas)
    done = atlas("keys", "rotate", "--authority", "--log", "--json").expect(0).json
    assert done["authority"]["old"] == old_authority["name"]
    assert done["log"]["old"] == old_log["name"]
    assert [each["state"] for each in listed(atlas)] == ["ended", "signs", "closed", "records"]
    after = atlas.signed("after.csv", "other rows\n")
    for path in (before, after):
        assert codes(atlas, path) == []
    told = atlas("keys", "rotate", "--authority").expect(0).out
    assert f"takes the place of {done['authority']['new']}" in told


def test_the_old_log_is_asked_by_its_origin(atlas: Here) -> None:
    digest = atlas("verify", atlas.signed(), "--json").json["subject"]
    old = one(atlas, "records", "log")["name"]
    note = atlas("log", "checkpoint").expect(0).out
    receipt = parse_receipt(atlas("log", "proof", digest).expect(0).out)
    atlas("keys", "rotate", "--log").expect(0)

    atlas("log", "checkpoint").refused("the log is empty")
    atlas("log", "proof", digest).refused("is not logged in", "--origin")
    assert atlas("log", "checkpoint", "--origin", old).expect(0).out == note
    assert parse_receipt(atlas("log", "proof", digest, "--origin", old).expect(0).out) == receipt
    assert parse_receipt(atlas("log", "proof", "0", "--origin", old).expect(0).out) == receipt
    assert atlas("log", "consistency", "1", "--origin", old, "--json").expect(0).json["origin"] == old
    for verb in (["checkpoint"], ["proof", "0"], ["consistency", "1"]):
        atlas("log", *verb, "--origin", "log.example").refused("has no log log.example", old)


def test_nothing_to_rotate(atlas: Here) -> None:
    atlas("keys", "rotate").refused("nothing to rotate")


def test_what_waits_is_logged_while_the_authority_is_in_office(atlas: Here) -> None:
    data = atlas.signed()
    atlas("keys", "rotate", "--authority").expect(0)
    spec = json.loads((atlas.home / "trust.json").read_bytes())["spec"]
    assert list(spec["authorities"][0]["ended"]["logged"].values()) == [1]
    assert codes(atlas, data) == []


def test_revoke_an_authority_since_now(atlas: Here) -> None:
    before = atlas.signed("before.csv")
    trust = atlas("verify", before, "--json").json["trust"]
    old = atlas("keys", "rotate", "--authority", "--json").json["authority"]["old"]
    told = atlas("keys", "revoke", old, "--reason", "laptop stolen", "--since", "now", "--json").expect(0).json
    assert told.keys() == {"authority", "since", "logged", "reason"}
    assert revoked(atlas) == [told]
    assert list(told["logged"].values()) == [1]
    assert one(atlas, "revoked", "authority")["name"] == old
    verdict = atlas("verify", before, "--json").expect(0).json
    assert verdict["trust"] != trust


def test_revoke_an_authority_for_all_that_it_signed(atlas: Here) -> None:
    before = atlas.signed("before.csv")
    old = atlas("keys", "rotate", "--authority", "--json").json["authority"]["old"]
    shown = atlas("keys", "revoke", old, "--reason", "laptop stolen").expect(0).out
    assert "counts     nothing" in shown
    assert codes(atlas, before) == ["SignerRevoked"]
    told = atlas("explain", before).expect(1).out
    assert "laptop stolen" in told
    assert "logged at index 0" in told


def test_revoke_a_key_and_a_certificate(atlas: Here) -> None:
    one_file, other = atlas.signed("one.csv"), atlas.signed("other.csv", "others\n")
    atlas("keys", "revoke", key_of(signer(one_file)), "--as", "key", "--reason", "leaked").expect(0)
    assert (codes(atlas, one_file), codes(atlas, other)) == (["SignerRevoked"], [])
    atlas("keys", "revoke", fingerprint(signer(other)), "--as", "certificate", "--reason", "leaked").expect(0)
    assert codes(atlas, other) == ["SignerRevoked"]
    assert {each["kind"] for each in listed(atlas) if each["state"] == "revoked"} == {"key", "certificate"}


def test_show_names_what_can_be_revoked(atlas: Here) -> None:
    data = atlas.signed()
    shown = atlas("show", f"{data}.c2pa", "--json").expect(0).json
    assert shown["certificate"] == fingerprint(signer(data))
    assert shown["key"] == key_of(signer(data))
    assert shown["key"] in atlas("show", f"{data}.c2pa").expect(0).out


def test_an_earlier_time_does_not_count_the_present_size(atlas: Here) -> None:
    data = atlas.signed()
    old = atlas("keys", "rotate", "--authority", "--json").json["authority"]["old"]
    told = atlas("keys", "revoke", old, "--reason", "r", "--since", "2026-01-31", "--json").expect(0).json
    assert told.keys() == {"authority", "since", "reason"}
    assert codes(atlas, data) == ["SignerRevoked"]


def test_a_second_revocation_never_weakens_the_first(atlas: Here) -> None:
    data = atlas.signed()
    old = atlas("keys", "rotate", "--authority", "--json").json["authority"]["old"]
    for since in ([], ["--since", "now"], []):
        atlas("keys", "revoke", old, "--reason", "r", *since).expect(0)
    assert len(revoked(atlas)) == 2
    assert codes(atlas, data) == ["SignerRevoked"]


def test_a_revoked_log_counts_in_its_last_tree(atlas: Here) -> None:
    first, second = atlas.signed("first.csv"), atlas.signed("second.csv", "second\n")
    receipt = parse_receipt(atlas("log", "proof", "1").expect(0).out)
    old = atlas("keys", "rotate", "--log", "--json").json["log"]["old"]
    told = atlas("keys", "revoke", old, "--reason", "key stolen", "--json").expect(0).json
    assert told == {"log": old, "size": 2, "root": receipt.root.hex(), "reason": "key stolen"}
    assert one(atlas, "revoked", "log")["name"] == old
    for path in (first, second):  # the first one's receipt was of a tree of size 1
        assert codes(atlas, path) == []


def test_a_log_that_never_had_an_entry_is_revoked_whole(atlas: Here) -> None:
    old = atlas("keys", "rotate", "--log", "--json").json["log"]["old"]
    told = atlas("keys", "revoke", old, "--reason", "unused", "--json").expect(0).json
    assert told == {"log": old, "reason": "unused"}


@pytest.mark.parametrize("named", ["name", "fingerprint"])
def test_what_is_in_use_is_not_revoked(atlas: Here, named: str) -> None:
    name = one(atlas, "signs", "authority")[named]
    atlas("keys", "revoke", name, "--reason", "r").refused("the home signs with this", "atlas keys rotate")
    log = one(atlas, "records", "log")["name"]
    atlas("keys", "revoke", log, "--reason", "r").refused("the home records in this log", "atlas keys rotate")
    assert {each["state"] for each in listed(atlas)} == {"signs", "records"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], "no authorities or logs of the trust root have this name"),
        ([f"sha256:{'ab' * 32}"], "say what it is of"),
        ([f"sha256:{'ab' * 32}", "--as", "key", "--since", "2999-01-01"], "lies in the future"),
        (["nobody", "--as", "key"], "have this name"),
    ],
)
def test_mistakes(atlas: Here, arguments: list[str], words: str) -> None:
    before = (atlas.home / "trust.json").read_bytes()
    atlas("keys", "revoke", *arguments, "--reason", "r").refused(words)
    assert (atlas.home / "trust.json").read_bytes() == before


def test_a_log_is_not_revoked_by_time(atlas: Here) -> None:
    old = atlas("keys", "rotate", "--log", "--json").json["log"]["old"]
    atlas("keys", "revoke", old, "--reason", "r", "--since", "now").refused("by its last good tree, not by time")


def test_a_home_that_records_elsewhere_does_not_rotate_that_log(atlas: Here) -> None:
    document = {
        "type": "rekor2",
        "origin": "log.example",
        "writeUrl": "https://log.example",
        "readUrl": "https://log.example",
    }
    trust = json.loads((atlas.home / "trust.json").read_bytes())
    trust["spec"]["logs"].append({**trust["spec"]["logs"][0], "origin": "log.example"})
    (atlas.home / "trust.json").write_text(json.dumps(trust))
    (atlas.home / "log.json").write_text(json.dumps(document))
    atlas("keys", "rotate", "--log").refused("records in log.example")
    assert one(atlas, "records", "log")["name"] == "log.example"
    own = one(atlas, "idle", "log")["name"]
    atlas("keys", "revoke", own, "--reason", "r").refused("the home records in this log")
