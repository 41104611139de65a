"""Services over real TLS, real collateral, and real event logs."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from atlas.evidence.tdx.eventlog import EventLog, parse_event_log
from unit.evidence.fetch_support import World
from unit.evidence.pccs_support import (
    Holder,
    certify,
    tls_holder,
)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Holder, Holder]:
    authority = certify("TLS authority", ca=True)
    return tmp_path_factory.mktemp("tls"), authority, tls_holder(authority, "127.0.0.1", "localhost")


@pytest.fixture
def world(tls: tuple[Path, Holder, Holder]) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(*tls, stack)


@pytest.fixture(scope="session")
def real(real_data: Path) -> Collateral:
    return parse_collateral((real_data / "tdx" / "phala" / "tdx_quote_collateral.json").read_bytes())


# Real event logs.


@pytest.fixture(scope="session")
def raw(real_data: Path) -> bytes:
    """The log of a machine of Google Cloud, as its firmware's table holds it."""
    return (real_data / "tdx" / "go-tdx-guest" / "ccel_data.dat").read_bytes()


@pytest.fixture(scope="session")
def log(raw: bytes) -> EventLog:
    return parse_event_log(raw)


@pytest.fixture(scope="session")
def rtmrs(real_data: Path) -> list[bytes]:
    """Of that machine's quote."""
    body = (real_data / "tdx" / "go-tdx-guest" / "cos-113-tdx-quote.dat").read_bytes()[48:632]
    return [body[328 + 48 * each :][:48] for each in range(4)]


@pytest.fixture(scope="session")
def sample(real_data: Path) -> bytes:
    """The log of a machine of Alibaba Cloud, to which an agent appended two events."""
    return (real_data / "tdx" / "trustee" / "CCEL_AAEL_alibabacloud").read_bytes()


@pytest.fixture(scope="session")
def described(real_data: Path) -> list[dict[str, Any]]:
    """What the verifier of Confidential Containers reads in that log."""
    path = real_data / "tdx" / "trustee" / "CCEL_AAEL_alibabacloud_out.json"
    events: list[dict[str, Any]] = json.loads(path.read_text())["uefi_event_logs"]
    return events
