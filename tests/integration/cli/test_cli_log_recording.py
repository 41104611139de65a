"""`atlas log reveal`, `timestamp` and `witness`: how a home records, from the choice to the verdict."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.trust import Witness
from integration.cli.cli_support import Here
from support.tsa import Tsa, served
from support.witnesses import KEYS, WITNESSES

POLICY = """\
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata: {name: timed}
spec: {timestamp: required}
"""


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[tuple[Tsa, str]]:
    folder = tmp_path / "tsa"
    folder.mkdir()
    made = Tsa(folder)
    with served(made) as url:
        yield made, url


def entries(atlas: Here) -> list[str]:
    connection = sqlite3.connect(atlas.home / "log.sqlite3")
    try:
        return [bytes(body).decode() for (body,) in connection.execute("SELECT body FROM entry ORDER BY idx")]
    finally:
        connection.close()


def codes(atlas: Here, path: Path, *options: object) -> set[str]:
    return {each["code"] for each in atlas("verify", path, "--json", *options).json["findings"]}


@pytest.mark.parametrize("what", ["commitment", "batch"])
def test_what_is_sealed_shows_the_log_no_certificate(atlas: Here, what: str) -> None:
    shown = atlas.signed("shown.csv", "shown")
    assert "salted digest" in atlas("log", "reveal", what).expect(0).out
    hidden = atlas.signed("hidden.csv", "hidden")
    first, second = entries(atlas)
    assert "x509Certificate" in first
    assert "x509Certificate" not in second
    for path in (shown, hidden):
        atlas("verify", path).expect(0)
    atlas("log", "reveal", "claim").expect(0)
    atlas.signed("again.csv", "again")
    assert "x509Certificate" in entries(atlas)[-1]


def test_one_batch_for_all_that_wait(atlas: Here) -> None:
    atlas("init").expect(0)
    atlas("log", "reveal", "batch").expect(0)
    (atlas.home / "record.json").rename(atlas.home / "kept")
    key = (atlas.home / "log.key").read_bytes()
    (atlas.home / "log.key").unlink()  # nothing is logged for a while
    paths = [atlas.file(f"{number}.csv", f"{number}") for number in range(3)]
    for path in paths:
        assert atlas("sign", path, "--type", "dataset").code == 2
    (atlas.home / "log.key").write_bytes(key)
    (atlas.home / "log.key").chmod(0o600)
    (atlas.home / "kept").rename(atlas.home / "record.json")
    atlas("gather").expect(0)
    assert len(entries(atlas)) == 1
    for path in paths:
        atlas("verify", path).expect(0)


def test_bundles_would_show_the_signer(atlas: Here) -> None:
    model = atlas.file("model.bin")
    atlas("init").expect(0)
    atlas("log", "reveal", "commitment").expect(0)
    atlas("sign", model, "--format", "oms").refused("keeps signers from the log")
    assert not model.with_name("model.bin.sig").exists()


def test_a_public_log_is_told_of_in_the_words_of_the_mode(atlas: Here) -> None:
    atlas("init").expect(0)
    assert "the signer's whole certificate" in atlas("log", "use", "public").refused("for ever").err
    atlas("log", "reveal", "batch").expect(0)
    told = atlas("log", "use", "public").refused("for ever").err
    assert "nothing of what is signed" in told
    assert "certificate" not in told


def test_signatures_are_timestamped(atlas: Here, tsa: tuple[Tsa, str]) -> None:
    authority, url = tsa
    policy = atlas.file("policy.yaml", POLICY)
    before = atlas.signed("before.csv", "before")
    root = atlas.file("root.pem", authority.root_pem)
    assert "127.0.0.1" in atlas("log", "timestamp", url, "--root", root).expect(0).out
    after = atlas.signed("after.csv", "after")
    assert codes(atlas, before, "--policy", policy) == {"TimestampMissing"}
    assert codes(atlas, after, "--policy", policy) == set()
    atlas("log", "timestamp", "--none").expect(0)
    later = atlas.signed("later.csv", "later")
    assert codes(atlas, later, "--policy", policy) == {"TimestampMissing"}
    assert codes(atlas, after, "--policy", policy) == set(), "what is stamped stays so"


def test_an_authority_is_tried_before_it_is_kept(atlas: Here, tsa: tuple[Tsa, str], tmp_path: Path) -> None:
    _, url = tsa
    (tmp_path / "other").mkdir()
    other = atlas.file("other.pem", Tsa(tmp_path / "other").root_pem)
    atlas("init").expect(0)
    trust = (atlas.home / "trust.json").read_bytes()
    atlas("log", "timestamp", url, "--root", other).expect(1, "TimestampInvalid")
    atlas("log", "timestamp", "http://127.0.0.1:9", "--root", other).refused("127.0.0.1:9")
    atlas("log", "timestamp", url, "--root", atlas.file("none.pem", b"none")).refused("not the PEM certificate")
    atlas("log", "timestamp", url, "--root", "none").expect(2, "none: No such file")
    atlas("log", "timestamp", url).refused("who vouches")
    assert (atlas.home / "trust.json").read_bytes() == trust
    assert not (atlas.home / "record.json").exists()


def test_an_authority_that_goes_away(atlas: Here, tmp_path: Path) -> None:
    (tmp_path / "tsa").mkdir()
    authority = Tsa(tmp_path / "tsa")
    atlas("init").expect(0)
    with served(authority) as url:
        atlas("log", "timestamp", url, "--root", atlas.file("root.pem", authority.root_pem)).expect(0)
    path = atlas.file("data.csv")
    atlas("sign", path, "--type", "dataset").expect(0, "not everything is logged yet", url)
    assert codes(atlas, path) == {"NotLogged"}
    atlas("log", "timestamp", "--none").expect(0)
    atlas("verify", path).expect(0)
    assert len(entries(atlas)) == 1


def test_witnesses_are_demanded(atlas: Here) -> None:
    path = atlas.signed()
    origin = json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"][0]["origin"]
    keys = [each.verifier_key for each in WITNESSES]
    told = atlas("log", "witness", *keys, "--quorum", 2, "--origin", origin).expect(0).out
    assert "where 2 witnesses have cosigned" in told
    assert codes(atlas, path) == {"WitnessQuorumMissed"}
    assert "without witnesses" in atlas("log", "witness", "--quorum", 0, "--origin", origin).expect(0).out
    atlas("verify", path).expect(0)


def test_witnesses_that_cannot_be(atlas: Here) -> None:
    atlas("init").expect(0)
    origin = json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"][0]["origin"]
    key = WITNESSES[0].verifier_key
    atlas("log", "witness", key, "--quorum", 2, "--origin", origin).refused("a quorum of 2, and 1 witnesses")
    atlas("log", "witness", key, "--quorum", 1, "--origin", "log.example").refused("does not pin the log log.example")
    atlas("log", "witness", "nonsense", "--quorum", 1, "--origin", origin).refused("not name+hash+key", "copy the line")
    atlas("log", "witness", key, "--quorum", 1, "--origin", origin).expect(0)
    other = type(WITNESSES[0])(WITNESSES[0].name, KEYS[1].public_key()).verifier_key
    atlas("log", "witness", other, "--quorum", 1, "--origin", origin).expect(2, "pins another key for the witness")


@pytest.mark.parametrize("content", ["nonsense", '{"reveal": "all"}', '{"timestamps": ""}'])
def test_a_file_that_is_damaged(atlas: Here, content: str) -> None:
    atlas("init").expect(0)
    atlas.file(".atlas/record.json", content)
    atlas("sign", atlas.file("data.csv"), "--type", "dataset").expect(2, "record.json")


def test_one_witness_under_two_names_is_one(atlas: Here) -> None:
    atlas("init").expect(0)
    before = (atlas.home / "trust.json").read_bytes()
    origin = json.loads(before)["spec"]["logs"][0]["origin"]
    twice = [Witness(name, KEYS[0].public_key()).verifier_key for name in ("one", "two")]
    atlas("log", "witness", *twice, "--quorum", 2, "--origin", origin).refused("one that counts twice")
    assert (atlas.home / "trust.json").read_bytes() == before
    trust = json.loads(before)
    trust["spec"]["witnesses"] = twice
    (atlas.home / "trust.json").write_text(json.dumps(trust))
    atlas("keys", "list").expect(2, "one that counts twice")
