"""Sigstore's trust configuration: which log takes entries, which keys there are, and where that comes from."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from securesystemslib.signer import CryptoSigner
from sigstore.models import ClientTrustConfig as SigstoresOwn
from sigstore_models.trustroot.v1 import ClientTrustConfig, SigningConfig, TrustedRoot
from tuf.api.metadata import Metadata, Root

from atlas.errors import FetchError, InputError
from atlas.keyless import certify
from atlas.log.choice import Instance, PublicChoice
from atlas.log.public import PublicLogs, parse, resolve
from atlas.log.trust_config import fetch, find_logs, joined
from atlas.trust import PinnedLog
from atlas.web import Client, tls
from support.rekor1 import Rekor1Double
from support.sigstore import TufRepository, service, serving_files, signing_config, tlog, trust_config, trusted_root
from unit.log.log_support import LOG_KEY, OTHER_LOG_KEY

NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
V1 = Rekor1Double("rekor.example").pinned
OLD = PinnedLog("log2025.example", OTHER_LOG_KEY.public_key())
NEW = PinnedLog("log2026.example", LOG_KEY.public_key())
ROOT = trusted_root(tlog(V1), tlog(OLD), tlog(NEW))
CONFIG = signing_config(
    service("http://log2025.example", 2, end="2026-03-01T00:00:00Z"),
    service("http://log2026.example", 2, start="2026-02-01T00:00:00Z"),
    service("http://rekor.example", 1),
)


def resolved(root: Any = None, config: Any = None, rekor: int = 2, now: dt.datetime = NOW) -> PublicLogs:
    raw = json.dumps(trust_config(root or ROOT, config or CONFIG)).encode()
    given = parse(ClientTrustConfig, raw, "config")
    return resolve(given.trusted_root, given.signing_config, rekor, now)


def test_the_log_that_takes_entries_now() -> None:
    found = resolved()
    assert (found.url, found.current.origin, found.current.rekor) == ("http://log2026.example", "log2026.example", 2)
    assert resolved(now=dt.datetime(2026, 1, 15, tzinfo=dt.UTC)).current.origin == "log2025.example"
    assert resolved(now=dt.datetime(2026, 2, 15, tzinfo=dt.UTC)).current.origin == "log2026.example", "of two the newer"
    assert resolved(rekor=1).current.origin == "rekor.example"


def test_all_keys_are_pinned_with_their_periods() -> None:
    retired = tlog(OLD)
    retired["publicKey"]["validFor"] = {"start": "2025-01-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    found = resolved(trusted_root(tlog(V1), retired, tlog(NEW)))
    assert [(log.origin, log.rekor, log.public_key) for log in found.pinned] == [
        (log.origin, log.rekor, log.public_key) for log in (V1, OLD, NEW)
    ]
    assert found.pinned[1].valid_until == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert (found.pinned[2].valid_from, found.pinned[2].valid_until) == (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None)
    assert found.unusable == ()


def test_a_retired_log_that_no_service_names() -> None:
    """Whether it is of Rekor v1 or v2 is then seen by its key."""
    found = resolved(config=signing_config(service("http://log2026.example", 2)))
    assert [log.rekor for log in found.pinned] == [1, 2, 2]


def test_logs_under_keys_of_no_use_are_left_out_and_named() -> None:
    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    key = rsa.generate_private_key(65537, 2048).public_key()
    strange, lying = tlog(V1, baseUrl="https://rsa.example"), tlog(V1, baseUrl="https://lying.example")
    strange["publicKey"]["rawBytes"] = base64.b64encode(key.public_bytes(der, form)).decode()
    lying["logId"] = {"keyId": base64.b64encode(bytes(32)).decode()}
    larger = tlog(V1, baseUrl="https://p384.example")
    point = ec.generate_private_key(ec.SECP384R1()).public_key()
    larger["publicKey"]["rawBytes"] = base64.b64encode(point.public_bytes(der, form)).decode()
    found = resolved(trusted_root(tlog(NEW), strange, lying, larger))
    assert [log.origin for log in found.pinned] == ["log2026.example"]
    assert found.unusable == ("rsa.example", "lying.example", "p384.example")


def test_no_log_that_takes_entries() -> None:
    only_1 = signing_config(service("http://rekor.example", 1))
    with pytest.raises(InputError, match="no log of Rekor v2 takes entries now") as caught:
        resolved(config=only_1)
    assert "--rekor v1" in caught.value.mend
    with pytest.raises(InputError, match="no log of Rekor v2"):
        resolved(now=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))


def test_a_log_without_a_key_and_one_with_two() -> None:
    with pytest.raises(InputError, match="no keys of this log"):
        resolved(trusted_root(tlog(V1)))
    other = tlog(PinnedLog(NEW.origin, OTHER_LOG_KEY.public_key()))
    with pytest.raises(InputError, match="2 keys of this log"):
        resolved(trusted_root(tlog(NEW), other))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", json.dumps(trusted_root()).encode(), b"\xff"])
def test_what_is_no_trust_configuration(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"config\.json: not a ClientTrustConfig of Sigstore"):
        find_logs(PublicChoice(trustConfig=path), tmp_path, NOW)
    with pytest.raises(InputError, match="No such file"):
        find_logs(PublicChoice(trustConfig=tmp_path / "none"), tmp_path, NOW)


def test_times_without_a_zone_and_addresses_that_are_none() -> None:
    with pytest.raises(InputError, match="without a zone"):
        resolved(config=signing_config(service("http://log2026.example", 2, start="2026-01-01T00:00:00")))
    with pytest.raises(InputError):
        resolved(config=signing_config(service("log2026.example", 2)))


@pytest.mark.parametrize("instance", Instance)
def test_the_real_instances(instance: Instance) -> None:
    """What the `sigstore` package ships of them."""
    folder = files("sigstore").joinpath("_store", quote(instance.repository, safe=""))
    root = parse(TrustedRoot, folder.joinpath("trusted_root.json").read_bytes(), "root")
    config = parse(SigningConfig, folder.joinpath("signing_config.v0.2.json").read_bytes(), "config")
    found = resolve(root, config, 1, NOW)
    assert found.current.origin == f"rekor.sig{'store' if instance is Instance.PRODUCTION else 'stage'}.dev"
    assert (len(found.pinned), found.unusable) == (len(root.tlogs), ())
    assert [log.rekor for log in found.pinned] == [1] + [2] * (len(found.pinned) - 1)
    assert isinstance(Metadata[Root].from_bytes(instance.first_root()).signed, Root)
    with pytest.raises(InputError, match="identity token cannot be used"):  # the configuration can
        certify("no token", joined(root, config))


def test_sigstore_reads_it_alike() -> None:
    """Sigstore's own client chooses the same log; it insists on a certificate authority, which is not used here."""
    always = "2020-01-01T00:00:00Z"
    services = [service(f"http://{log.origin}", log.rekor, always) for log in (V1, NEW)]
    config = {**signing_config(*services), "caUrls": [service("https://fulcio.example", 1, always)]}
    document = trust_config(ROOT, config)
    theirs = SigstoresOwn.from_json(json.dumps(document))
    for rekor in (1, 2):
        theirs.force_tlog_version = rekor
        [client] = theirs.signing_config.get_tlogs()
        now = dt.datetime.now(dt.UTC)
        assert vars(client)["url"] == f"{resolved(config=config, rekor=rekor, now=now).url}/api/v{rekor}"


# --------------------------------------------------------------------------------------------------------------- TUF


@pytest.fixture
def repository(tmp_path: Path) -> TufRepository:
    made = TufRepository(tmp_path / "repository")
    usual = signing_config(service("http://rekor.example", 1))
    made.publish(
        {
            "trusted_root.json": ROOT,
            "signing_config.v0.2.json": usual,
            "signing_config_rekor_v2.v0.2.json": CONFIG,
        }
    )
    return made


@pytest.fixture
def url(repository: TufRepository) -> Iterator[str]:
    with serving_files(repository.folder) as served:
        yield served


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(tls(None), 5)
    yield made
    made.close()


def test_fetched_from_a_repository(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    cache = tmp_path / "home" / "tuf"
    for _ in range(2):
        root, config = fetch(url, repository.first_root, 1, cache, client)
        assert resolve(root, config, 1, NOW).current.origin == "rekor.example"
    assert len(config.rekor_tlog_urls) == 1
    root, config = fetch(url, repository.first_root, 2, cache, client)
    assert resolve(root, config, 2, NOW).current.origin == "log2026.example", "the configuration for those who opt in"


def test_a_repository_that_goes_on(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    fetch(url, repository.first_root, 1, tmp_path / "tuf", client)
    repository.publish({"trusted_root.json": trusted_root(tlog(NEW)), "signing_config.v0.2.json": CONFIG})
    root, config = fetch(url, repository.first_root, 2, tmp_path / "tuf", client)
    assert len(root.tlogs) == 1
    assert len(config.rekor_tlog_urls) == 3, "the usual configuration lists version 2 by now"


def test_a_repository_that_goes_back(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    repository.publish({"trusted_root.json": ROOT, "signing_config.v0.2.json": CONFIG})
    fetch(url, repository.first_root, 2, tmp_path / "tuf", client)
    repository.version = 0
    repository.publish({"trusted_root.json": trusted_root(tlog(OLD)), "signing_config.v0.2.json": CONFIG})
    with pytest.raises(FetchError, match="no trust configuration"):
        fetch(url, repository.first_root, 2, tmp_path / "tuf", client)


def test_a_repository_under_another_key(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    repository.publish({"trusted_root.json": ROOT}, signer=CryptoSigner.generate_ed25519())
    with pytest.raises(FetchError, match="no trust configuration"):
        fetch(url, repository.first_root, 1, tmp_path / "tuf", client)


def test_a_repository_that_nobody_keeps(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    repository.publish({"trusted_root.json": ROOT}, expires=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(FetchError, match="expired"):
        fetch(url, repository.first_root, 1, tmp_path / "tuf", client)


def test_a_target_that_was_changed(repository: TufRepository, url: str, client: Client, tmp_path: Path) -> None:
    for each in (repository.folder / "targets").iterdir():
        each.write_bytes(each.read_bytes().replace(b"rekor.example", b"rekor.elsewhr"))
    with pytest.raises(FetchError, match="no trust configuration"):
        fetch(url, repository.first_root, 1, tmp_path / "tuf", client)


def test_a_repository_without_what_is_looked_for(
    repository: TufRepository, url: str, client: Client, tmp_path: Path
) -> None:
    repository.publish({"trusted_root.json": ROOT, "signing_config.v0.2.json": signing_config()})
    with pytest.raises(FetchError, match="has no signing_config_rekor_v2"):
        fetch(url, repository.first_root, 2, tmp_path / "tuf", client)


def test_a_repository_that_is_not_there(repository: TufRepository, client: Client, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9: no trust configuration"):
        fetch("http://127.0.0.1:9", repository.first_root, 1, tmp_path / "tuf", client)
