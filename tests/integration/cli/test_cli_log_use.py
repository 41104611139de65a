"""A home that records in a log that somebody else runs: chosen by its key, down for a while, and left again."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas import logs
from atlas.home import create_home
from atlas.log import EmbeddedLog
from atlas.log.server import LogServer, serve
from integration.cli.cli_support import Here

ORIGIN = "log.example/elsewhere"


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Other"]:
    with ExitStack() as stack:
        yield Other(stack, tmp_path_factory.mktemp("other"))


class Other:
    """A log that speaks Rekor v2, which can be taken down and comes back at the same place."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.key = ed25519.Ed25519PrivateKey.generate()
        self.log = stack.enter_context(EmbeddedLog.open(folder / "log.sqlite3", ORIGIN, self.key))
        self.log.append([b"what somebody else recorded"])
        self.port = 0
        self._stack = stack
        self._running: ExitStack | None = None
        self.up()

    def up(self) -> LogServer:
        self._running = self._stack.enter_context(ExitStack())
        server = self._running.enter_context(serve(self.log, port=self.port))
        self.port = int(server.url.rpartition(":")[2])
        return server

    def down(self) -> None:
        assert self._running
        self._running.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pem(self, here: Here, key: ed25519.Ed25519PrivateKey | None = None) -> Path:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return here.file("key.pem", (key or self.key).public_key().public_bytes(serialization.Encoding.PEM, form))


def use(atlas: Here, other: Other) -> None:
    chosen = atlas("log", "use", "rekor2", "--write", other.url, "--origin", ORIGIN, "--public-key", other.pem(atlas))
    assert ORIGIN in chosen.expect(0).out


def test_manifests_are_recorded_elsewhere(atlas: Here, other: Other) -> None:
    before = atlas.signed("before.csv", "before")
    use(atlas, other)
    after = atlas.signed("after.csv", "after")
    assert other.log.size == 2
    for path in (before, after):
        atlas("verify", path).expect(0)
    shown = atlas("log", "checkpoint", "--json").expect(0).json
    assert (shown["origin"], shown["size"]) == (ORIGIN, 2)
    trust = json.loads((atlas.home / "trust.json").read_text())
    assert [each["origin"] for each in trust["spec"]["logs"]][-1] == ORIGIN
    use(atlas, other)
    assert json.loads((atlas.home / "trust.json").read_text()) == trust, "once is enough"


def test_a_revocation_counts_what_is_recorded_elsewhere(
    atlas: Here, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.5)
    use(atlas, other)
    path = atlas.signed()
    old = atlas("keys", "rotate", "--authority", "--json").expect(0).json["authority"]["old"]
    told = atlas("keys", "revoke", old, "--reason", "left", "--since", "now", "--json").expect(0).json
    assert told["logged"] == {ORIGIN: 2}
    atlas("verify", path).expect(0)
    before = (atlas.home / "trust.json").read_bytes()
    other.down()
    atlas("keys", "rotate", "--authority").expect(2, other.url)
    atlas("keys", "revoke", old, "--reason", "left", "--since", "now").expect(2, other.url)
    assert (atlas.home / "trust.json").read_bytes() == before
    atlas("keys", "revoke", ORIGIN, "--reason", "left").refused("the home records in this log")
    atlas("log", "use", "own").expect(0)
    assert atlas("keys", "revoke", ORIGIN, "--reason", "left", "--json").expect(0).json.keys() == {"log", "reason"}
    refused = atlas("verify", path, "--json").expect(1).json["findings"]
    assert {each["code"] for each in refused} == {"SignerRevoked"}


def test_a_log_that_is_down_for_a_while(atlas: Here, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.5)
    use(atlas, other)
    other.down()
    path = atlas.file("data.csv")
    atlas("sign", path, "--type", "dataset").expect(0, "not everything is logged yet", other.url)
    answer = atlas("verify", path, "--json")
    answer.expect(1, "not everything is logged yet")
    assert [each["code"] for each in answer.json["findings"]] == ["NotLogged"]
    atlas("gather").expect(2, other.url)
    atlas("evidence", "fetch").expect(0, "not everything is logged yet")
    other.up()
    atlas("verify", path).expect(0)
    assert other.log.size == 2


def test_the_homes_own_log_again(atlas: Here, other: Other) -> None:
    use(atlas, other)
    there = atlas.signed("there.csv", "there")
    atlas("log", "proof", "0").refused("records in")
    atlas("log", "use", "own").expect(0)
    here = atlas.signed("here.csv", "here")
    assert other.log.size == 2
    other.down()
    for path in (there, here):
        atlas("verify", path).expect(0)
    atlas("log", "proof", "0").expect(0)


def test_a_log_with_another_key(atlas: Here, other: Other) -> None:
    wrong = other.pem(atlas, ed25519.Ed25519PrivateKey.generate())
    given = ("log", "use", "rekor2", "--write", other.url, "--origin", ORIGIN, "--public-key")
    refused = atlas(*given, wrong)
    refused.expect(1, "CheckpointSignatureInvalid")
    assert not (atlas.home / "log.json").exists(), "nothing is kept of a log that is not the one that was meant"
    other_name = atlas(
        "log", "use", "rekor2", "--write", other.url, "--origin", "log.example/x", "--public-key", other.pem(atlas)
    )
    other_name.expect(1, "CheckpointOriginMismatch")


def test_two_keys_under_one_origin(atlas: Here, other: Other) -> None:
    use(atlas, other)
    trust = json.loads((atlas.home / "trust.json").read_text())
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    trust["spec"]["logs"][-1]["publicKey"] = base64.b64encode(spki).decode()
    (atlas.home / "trust.json").write_text(json.dumps(trust))
    given = ("log", "use", "rekor2", "--write", other.url, "--origin", ORIGIN, "--public-key", other.pem(atlas))
    atlas(*given).refused("pins another key under the origin")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN PUBLIC KEY-----"])
def test_what_is_no_key(atlas: Here, other: Other, content: bytes) -> None:
    path = atlas.file("key", content)
    answer = atlas("log", "use", "rekor2", "--write", other.url, "--origin", ORIGIN, "--public-key", path)
    answer.refused("not a public key", "in PEM or DER")


def test_a_trust_root_that_no_longer_pins_it(atlas: Here, other: Other) -> None:
    use(atlas, other)
    trust = json.loads((atlas.home / "trust.json").read_text())
    trust["spec"]["logs"].pop()
    (atlas.home / "trust.json").write_text(json.dumps(trust))
    atlas("log", "checkpoint").refused("does not pin the log")


def test_a_file_that_is_damaged(atlas: Here, other: Other) -> None:
    use(atlas, other)
    atlas.file(".atlas/log.json", '{"type": "rekor3"}')
    atlas("log", "checkpoint").expect(2, "log.json")


def test_a_home_records_in_its_own_log_unless_told(tmp_path: Path) -> None:
    home = create_home(tmp_path / ".atlas", now=dt.datetime.now(dt.UTC))
    assert logs.elsewhere(home) is None


def test_what_is_refused_is_said_by_every_verb_that_gathers(atlas: Here) -> None:
    path = atlas.signed()
    deposit = atlas.home / "inbox" / "deposit"
    deposit.mkdir()
    (deposit / "model.c2pa").write_bytes(b"nonsense")
    answer = atlas("verify", path).expect(0, "set aside in")
    assert "refused/deposit" in answer.err
