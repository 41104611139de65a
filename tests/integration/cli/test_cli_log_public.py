"""A home that records in a Rekor v1 log, and in a public one that its trust configuration leads to."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib.signer import CryptoSigner

from atlas import logs
from atlas.errors import InputError
from atlas.home import open_home
from atlas.log import EmbeddedLog
from atlas.log.choice import Instance
from atlas.log.server import serve
from atlas.recording import demand_witnesses
from atlas.trust_file import load_trust_root
from integration.cli.cli_support import Answer, Here
from support.rekor1 import Rekor1Double, Server, serving
from support.sigstore import (
    TufRepository,
    service,
    serving_files,
    signing_config,
    tlog,
    trust_config,
    trusted_root,
)
from support.witnesses import WITNESSES

ALWAYS = "2020-01-01T00:00:00Z"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def other(stack: ExitStack) -> Server:
    """A Rekor v1 whose name is its address, as with Sigstore's."""
    log = Rekor1Double()
    server = stack.enter_context(serving(log))
    log.origin = server.url.removeprefix("http://")
    return server


@pytest.fixture
def shard(stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> "Shard":
    return Shard(stack, tmp_path_factory.mktemp("shard"))


class Shard:
    """A Rekor v2 whose name is its address."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        probe = EmbeddedLog.open(folder / "probe.sqlite3", "probe", ed25519.Ed25519PrivateKey.generate())
        with probe, serve(probe) as server:
            port = int(server.url.rpartition(":")[2])
        key = ed25519.Ed25519PrivateKey.generate()
        self.log = stack.enter_context(EmbeddedLog.open(folder / "log.sqlite3", f"127.0.0.1:{port}", key))
        self.log.append([b"what somebody else recorded"])
        self.url = stack.enter_context(serve(self.log, port=port)).url


def use_rekor1(atlas: Here, other: Server, key: bytes | None = None) -> Answer:
    pem = atlas.file("key.pem", key or other.log.pem)
    return atlas("log", "use", "rekor1", "--url", other.url, "--origin", other.log.origin, "--public-key", pem)


def origins(atlas: Here) -> list[str]:
    return [each["origin"] for each in json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"]]


def test_manifests_are_recorded_in_rekor_v1(atlas: Here, other: Server) -> None:
    before = atlas.signed("before.csv", "before")
    assert f"{other.log.origin} (2 entries)" in use_rekor1(atlas, other).expect(0).out
    after = atlas.signed("after.csv", "after")
    assert len(other.log.bodies) == 3
    for path in (before, after):
        atlas("verify", path).expect(0)
    shown = atlas("log", "checkpoint", "--json").expect(0).json
    assert (shown["origin"], shown["size"]) == (f"{other.log.origin} - {other.log.tree}", 3)
    [pinned] = [each for each in json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"] if "rekor" in each]
    assert (pinned["origin"], pinned["rekor"]) == (other.log.origin, 1)
    atlas("log", "proof", "0").refused(f"records in {other.log.origin}")
    use_rekor1(atlas, other).expect(0)
    assert len(origins(atlas)) == 2, "once is enough"


def test_a_rekor_v1_with_another_key(atlas: Here, other: Server) -> None:
    use_rekor1(atlas, other, Rekor1Double().pem).expect(1, "CheckpointSignatureInvalid")
    assert not (atlas.home / "log.json").exists()


def test_one_name_for_both_versions(atlas: Here, other: Server) -> None:
    use_rekor1(atlas, other).expect(0)
    with pytest.raises(InputError, match="or another version of Rekor"):
        logs.pin(open_home(atlas.home), [replace(other.log.pinned, rekor=2)])


def config(atlas: Here, *services: dict[str, Any], tlogs: list[dict[str, Any]], name: str = "config.json") -> Path:
    return atlas.file(name, json.dumps(trust_config(trusted_root(*tlogs), signing_config(*services))))


def both(atlas: Here, other: Server, shard: Shard) -> Path:
    services = (service(other.url, 1, ALWAYS), service(shard.url, 2, ALWAYS))
    return config(atlas, *services, tlogs=[_old(other.log), tlog(shard.log.pinned)])


def _old(log: Rekor1Double) -> dict[str, Any]:
    """The log's key with the period that it has had for long."""
    listed = tlog(log.pinned)
    listed["publicKey"]["validFor"] = {"start": ALWAYS}
    return listed


def test_what_becomes_public_is_said_first(atlas: Here, other: Server, shard: Shard) -> None:
    path = both(atlas, other, shard)
    before = (atlas.home / "trust.json").read_bytes()
    answer = atlas("log", "use", "public", "--trust-config", path)
    answer.refused("everybody can read", "certificate", "name of the task or publisher", "--yes-publish")
    assert not other.asked
    assert (atlas.home / "trust.json").read_bytes() == before
    assert not (atlas.home / "log.json").exists()
    words = atlas("log", "use", "public").refused("the production instance of Sigstore", "nothing can be taken back")
    assert "staging" in atlas("log", "use", "public", "--staging").refused().err
    assert "--staging" not in words.err


def test_a_public_log_of_rekor_v1(atlas: Here, other: Server, shard: Shard) -> None:
    path = both(atlas, other, shard)
    chosen = atlas("log", "use", "public", "--trust-config", path, "--yes-publish").expect(0)
    assert f"now {other.log.origin} (2 entries); pins 2 logs" in chosen.out
    assert json.loads((atlas.home / "log.json").read_text()) == {
        "type": "public",
        "instance": "production",
        "trustConfig": str(path),
        "rekor": 1,
    }
    assert origins(atlas)[1:] == [other.log.origin, shard.log.pinned.origin]
    atlas("verify", atlas.signed()).expect(0)
    assert (len(other.log.bodies), shard.log.size) == (3, 1)
    atlas("log", "proof", "0").refused("records in Rekor v1 of ")


def test_a_public_log_of_rekor_v2(atlas: Here, other: Server, shard: Shard) -> None:
    path = both(atlas, other, shard)
    atlas("log", "use", "public", "--rekor", "v2", "--trust-config", path, "--yes-publish").expect(0)
    atlas("verify", atlas.signed()).expect(0)
    assert (len(other.log.bodies), shard.log.size) == (2, 2)
    shown = atlas("log", "checkpoint", "--json").expect(0).json
    assert (shown["origin"], shown["size"]) == (shard.log.pinned.origin, 2)


def test_the_next_shard(
    atlas: Here, stack: ExitStack, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked up each time; a key that is new is pinned by a person, and until then all waits."""
    monkeypatch.setattr(logs, "PATIENCE", 0.5)
    first, second = (Shard(stack, tmp_path_factory.mktemp("shard")) for _ in range(2))
    services = [service(first.url, 2, ALWAYS, "2021-01-01T00:00:00Z"), service(second.url, 2, "2021-01-01T00:00:00Z")]
    path = config(atlas, service(first.url, 2, ALWAYS), tlogs=[tlog(first.log.pinned)])
    use = ("log", "use", "public", "--rekor", "v2", "--trust-config", path, "--yes-publish")
    atlas(*use).expect(0)
    early = atlas.signed("early.csv", "early")
    atlas("verify", early).expect(0)
    config(atlas, *services, tlogs=[tlog(first.log.pinned), tlog(second.log.pinned)])
    late = atlas.file("late.csv", "late")
    atlas("sign", late, "--type", "dataset").expect(0, "not everything is logged yet", second.log.pinned.origin)
    assert second.log.size == 1
    atlas(*use).expect(0)
    for each in (early, late):
        atlas("verify", each).expect(0)
    assert (first.log.size, second.log.size) == (2, 2)


def test_a_trust_configuration_that_is_gone(atlas: Here, other: Server, shard: Shard) -> None:
    path = both(atlas, other, shard)
    atlas("log", "use", "public", "--trust-config", path, "--yes-publish").expect(0)
    content = path.read_bytes()
    path.unlink()
    signed = atlas.file("data.csv")
    atlas("sign", signed, "--type", "dataset").expect(0, "not everything is logged yet", "config.json")
    atlas("log", "checkpoint").expect(2, "config.json")
    path.write_bytes(content)
    atlas("verify", signed).expect(0)


def test_options_that_exclude_each_other(atlas: Here, other: Server, shard: Shard) -> None:
    path = both(atlas, other, shard)
    atlas("log", "use", "public", "--staging", "--trust-config", path).refused("two instances")


def test_logs_that_cannot_be_pinned_are_named(atlas: Here, other: Server) -> None:
    strange = tlog(other.log.pinned, baseUrl="https://strange.example", logId={"keyId": "AAAA"})
    path = config(atlas, service(other.url, 1, ALWAYS), tlogs=[_old(other.log), strange])
    answer = atlas("log", "use", "public", "--trust-config", path, "--yes-publish")
    answer.expect(0, "strange.example: not pinned")


def test_the_period_of_a_key_is_brought_up_to_date(atlas: Here, other: Server) -> None:
    path = config(atlas, service(other.url, 1, ALWAYS), tlogs=[_old(other.log)])
    use = ("log", "use", "public", "--trust-config", path, "--yes-publish")
    atlas(*use).expect(0)
    signed = atlas.signed()
    retired = _old(other.log)
    retired["publicKey"]["validFor"]["end"] = "2025-01-01T00:00:00Z"
    config(atlas, service(other.url, 1, ALWAYS), tlogs=[retired])
    atlas(*use).expect(0)
    answer = atlas("verify", signed, "--json").expect(1)
    assert [each["code"] for each in answer.json["findings"]] == ["ReceiptOutsideValidity"]


def test_an_instance_whose_configuration_comes_through_tuf(
    atlas: Here,
    stack: ExitStack,
    shard: Shard,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with Sigstore's own instances, except for where the repository lies and under which root."""
    repository = TufRepository(tmp_path_factory.mktemp("tuf") / "repository")
    for version in (1, 2):
        usual, opted = signing_config(), signing_config(service(shard.url, 2, ALWAYS))
        repository.publish(
            {
                "trusted_root.json": trusted_root(tlog(shard.log.pinned)),
                "signing_config.v0.2.json": usual,
                "signing_config_rekor_v2.v0.2.json": opted if version == 2 else usual,
            }
        )
        url = stack.enter_context(serving_files(repository.folder))
        monkeypatch.setattr(Instance, "repository", url)
        monkeypatch.setattr(Instance, "first_root", lambda instance: repository.first_root)
        answer = atlas("log", "use", "public", "--staging", "--rekor", "v2", "--yes-publish")
        if version == 1:
            answer.refused("no log of Rekor v2 takes entries now")
    assert "Rekor v2 of the staging instance of Sigstore" in answer.expect(0).out
    assert json.loads((atlas.home / "log.json").read_text()) == {"type": "public", "instance": "staging", "rekor": 2}
    assert (atlas.home / "tuf" / "staging" / "timestamp.json").exists()
    atlas("verify", atlas.signed()).expect(0)
    assert shard.log.size == 2
    repository.publish({}, signer=CryptoSigner.generate_ed25519())
    late = atlas.file("late.csv", "late")
    atlas("sign", late, "--type", "dataset").expect(0, "not everything is logged yet", "no trust configuration")
    assert shard.log.size == 2


def test_a_new_period_of_the_key_keeps_the_witnesses_that_are_demanded(atlas: Here, other: Server) -> None:
    home = open_home(atlas.home)
    begun = replace(other.log.pinned, valid_from=dt.datetime(2021, 1, 1, tzinfo=dt.UTC))
    logs.pin(home, [begun])
    demand_witnesses(home, other.log.origin, 2, WITNESSES)
    ended = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    logs.pin(home, [replace(begun, valid_until=ended)])
    [pinned] = [each for each in load_trust_root(home.trust_path).logs if each.origin == other.log.origin]
    assert (pinned.valid_until, pinned.quorum, pinned.witnesses) == (ended, 2, WITNESSES)
