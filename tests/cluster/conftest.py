"""The real servers, each started once; a test whose server is not built is skipped, or fails where it must run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.log.embedded import EmbeddedLog
from atlas.log.server import serve
from cluster.servers import Cluster, Log, NotBuilt, etcd, helm, kube_apiserver, program, rekor
from unit.log.log_support import LOG_KEY, ORIGIN


def need(*names: str) -> None:
    for name in names:
        try:
            program(name)
        except NotBuilt:
            reason = f"NOT TESTED AGAINST THE REAL {name.upper()}: it is not built; run `make tools`"
            if os.environ.get("ATLAS_REQUIRE_SERVERS"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)


@pytest.fixture(scope="session")
def etcd_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need("etcd")
    with etcd(tmp_path_factory.mktemp("etcd")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    need("etcd", "kubernetes")
    with kube_apiserver(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running


@pytest.fixture(scope="session")
def rekor_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    need("rekor")
    with rekor(tmp_path_factory.mktemp("rekor")) as running:
        yield running


@pytest.fixture(scope="session")
def helm_program() -> Path:
    need("helm")
    return helm()


@pytest.fixture(scope="session")
def cosign_program() -> Path:
    need("cosign")
    return program("cosign")


@pytest.fixture(scope="session")
def embedded_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    path = tmp_path_factory.mktemp("embedded") / "log.db"
    with EmbeddedLog.open(path, ORIGIN, LOG_KEY) as log, serve(log) as server:
        yield Log(server.url, server.url, log.pinned)


@pytest.fixture(params=["rekor_log", "embedded_log"])
def log(request: pytest.FixtureRequest) -> Log:
    """Rekor, and then our own log."""
    chosen: Log = request.getfixturevalue(request.param)
    return chosen
