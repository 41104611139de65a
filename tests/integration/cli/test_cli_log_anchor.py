"""Checkpoints of the home's own log, anchored in other logs: real ones of Rekor v2, a double of Rekor v1."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.log import EmbeddedLog
from atlas.log.server import serve
from integration.cli.cli_support import Answer, Here
from support.rekor1 import Rekor1Double, Server, serving
from support.sigstore import service, signing_config, tlog, trust_config, trusted_root

ALWAYS = "2020-01-01T00:00:00Z"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def rekor1(stack: ExitStack) -> Server:
    return stack.enter_context(serving(Rekor1Double("rekor.test")))


def anchored(atlas: Here, rekor1: Server, *options: str) -> Answer:
    pem = atlas.file("key.pem", rekor1.log.pem)
    named = ["--url", rekor1.url, "--origin", rekor1.log.origin, "--public-key", pem]
    return atlas("log", "anchor", "rekor1", *named, *options)


def test_anchored_in_rekor_v1(atlas: Here, rekor1: Server) -> None:
    atlas.signed("one.csv", "one")
    assert "anchored size 1 in rekor.test - " in anchored(atlas, rekor1).expect(0).out
    atlas.signed("two.csv", "two")
    anchored(atlas, rekor1).expect(0)
    listed = atlas("log", "anchors", "--verify", "--json").expect(0).json
    assert [each["size"] for each in listed["anchors"]] == [1, 2]
    time = dt.datetime.fromisoformat(listed["anchors"][0]["time"])
    assert time.timestamp() == rekor1.log.time + 2, "others had two entries recorded before"
    assert "✓ size 2 in rekor.test - " in atlas("log", "anchors", "--verify").expect(0).out
    assert "✓" not in atlas("log", "anchors").expect(0).out
    assert (atlas.home / "anchor.key").stat().st_mode & 0o777 == 0o600


def test_anchors_of_a_closed_log_stay_and_hold(atlas: Here, rekor1: Server) -> None:
    atlas.signed("one.csv", "one")
    anchored(atlas, rekor1).expect(0)
    atlas("keys", "rotate", "--log").expect(0)
    atlas.signed("two.csv", "two")
    anchored(atlas, rekor1).expect(0)
    listed = atlas("log", "anchors", "--verify", "--json").expect(0).json
    assert [each["size"] for each in listed["anchors"]] == [1, 1]
    assert len({each["root"] for each in listed["anchors"]}) == 2


def test_what_was_anchored_is_told_to_programs(atlas: Here, rekor1: Server) -> None:
    atlas.signed()
    assert "atlas log anchor" in atlas("log", "anchors").expect(0).out
    made = anchored(atlas, rekor1, "--json").expect(0).json
    assert [made] == atlas("log", "anchors", "--json").expect(0).json["anchors"]


def test_what_is_anchored_already_is_not_sent_again(atlas: Here, rekor1: Server) -> None:
    atlas.signed()
    first = anchored(atlas, rekor1).expect(0)
    assert anchored(atlas, rekor1).expect(0).out == first.out
    assert len(rekor1.log.bodies) == 3
    other = Rekor1Double("other.test")
    with serving(other) as server:
        anchored(atlas, server).expect(0)
    assert len(other.bodies) == 3, "another log has not seen it"


def test_anchored_in_rekor_v2(atlas: Here, stack: ExitStack, tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    other = stack.enter_context(EmbeddedLog.open(tmp_path / "other.sqlite3", "other.test", key))
    server = stack.enter_context(serve(other))
    other.append([b"what somebody else recorded"])
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = atlas.file("key.pem", key.public_key().public_bytes(serialization.Encoding.PEM, form))
    atlas.signed()
    given = ("--write", server.url, "--origin", "other.test", "--public-key", pem)
    assert "anchored size 1 in other.test at 1" in atlas("log", "anchor", "rekor2", *given).expect(0).out
    [row] = atlas("log", "anchors", "--verify", "--json").expect(0).json["anchors"]
    assert (row["log"], row["index"], row["time"]) == ("other.test", 1, None)


def test_anchored_in_a_public_log(atlas: Here, rekor1: Server) -> None:
    rekor1.log.origin = rekor1.url.removeprefix("http://")
    listed = tlog(rekor1.log.pinned)
    listed["publicKey"]["validFor"] = {"start": ALWAYS}
    config = trust_config(trusted_root(listed), signing_config(service(rekor1.url, 1, ALWAYS)))
    path = atlas.file("config.json", json.dumps(config))
    atlas.signed()
    atlas("log", "anchor", "public", "--trust-config", path).refused("digest of your", "--yes-publish")
    assert not rekor1.asked
    atlas("log", "anchor", "public", "--trust-config", path, "--yes-publish").expect(0)
    assert len(atlas("log", "anchors", "--verify", "--json").expect(0).json["anchors"]) == 1
    assert not (atlas.home / "log.json").exists(), "the home goes on to record in its own log"


def test_an_empty_log_and_another_log(atlas: Here, rekor1: Server) -> None:
    anchored(atlas, rekor1).refused("the log is empty")
    atlas.signed()
    rekor1.log.key = Rekor1Double().key
    pem = atlas.file("other.pem", Rekor1Double().pem)
    given = ("--url", rekor1.url, "--origin", rekor1.log.origin, "--public-key", pem)
    atlas("log", "anchor", "rekor1", *given).expect(
        1, "CheckpointSignatureInvalid", "compare --origin and --public-key"
    )
    assert atlas("log", "anchors", "--json").expect(0).json == {"verified": False, "anchors": [], "refused": []}


@pytest.mark.parametrize("kept", [0, 1])
def test_a_log_that_was_rewritten(atlas: Here, rekor1: Server, kept: int) -> None:
    atlas.signed("one.csv", "one")
    anchored(atlas, rekor1).expect(0)
    for each in atlas.home.glob("log.sqlite3*"):
        each.unlink()
    if kept:
        (atlas.home / "archive.sqlite3").unlink()
        atlas.signed("two.csv", "two")
    answer = atlas("log", "anchors", "--verify")
    answer.expect(1)
    assert "✗ CheckpointInconsistent  size 1 in rekor.test" in answer.out
    assert "keep both checkpoints" in answer.out
    [refused] = atlas("log", "anchors", "--verify", "--json").expect(1).json["refused"]
    assert refused["code"] == "CheckpointInconsistent"


def test_an_anchor_of_a_log_that_is_no_longer_pinned(atlas: Here, rekor1: Server) -> None:
    atlas.signed()
    anchored(atlas, rekor1).expect(0)
    trust = json.loads((atlas.home / "trust.json").read_text())
    trust["spec"]["logs"].pop()
    (atlas.home / "trust.json").write_text(json.dumps(trust))
    assert "ReceiptLogUnknown" in atlas("log", "anchors", "--verify").expect(1).out


@pytest.mark.parametrize(
    ("old", "new"),
    [('"checkpoint": "', '"checkpoint": "x\\n'), ('"signature": "M', '"signature": "!'), ("{", "")],
)
def test_an_anchor_that_is_damaged(atlas: Here, rekor1: Server, old: str, new: str) -> None:
    atlas.signed()
    anchored(atlas, rekor1).expect(0)
    [path] = atlas.home.glob("anchor-*.json")
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    atlas("log", "anchors").refused("not an anchor")


def test_a_key_that_is_none(atlas: Here, rekor1: Server) -> None:
    atlas.signed()
    (atlas.home / "anchor.key").write_bytes((atlas.home / "log.key").read_bytes())
    (atlas.home / "anchor.key").chmod(0o600)
    anchored(atlas, rekor1).expect(2, "not an ECDSA P-256 key")


def test_an_anchor_in_a_log_that_is_revoked(atlas: Here, rekor1: Server) -> None:
    atlas.signed()
    anchored(atlas, rekor1).expect(0)
    atlas("keys", "revoke", rekor1.log.origin, "--reason", "its key was stolen").expect(0)
    [refused] = atlas("log", "anchors", "--verify", "--json").expect(1).json["refused"]
    assert refused["code"] == "ReceiptLogRevoked"
