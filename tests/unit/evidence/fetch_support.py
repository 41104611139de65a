"""What tests of fetching share: services of one authority for TLS, and what they may say."""

import datetime as dt
import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.evidence.fetch import Service, fetch_collateral
from atlas.evidence.tdx.collateral import Collateral
from unit.evidence.pccs_support import (
    FMSPC,
    NOW,
    Holder,
    Pages,
    Pccs,
    Reply,
    manufacturer,
    serving,
)


@dataclass
class World:
    """An authority for TLS, and services that it vouches for."""

    folder: Path
    authority: Holder
    holder: Holder
    stack: ExitStack

    @property
    def ca_file(self) -> Path:
        file = self.folder / "ca.pem"
        file.write_text(self.authority.pem)
        return file

    def serve(self, served: Pages, holder: Holder | None = None, *, tls: bool = True) -> Pccs:
        return self.stack.enter_context(serving(served, (holder or self.holder) if tls else None, self.folder))

    def service(self, url: str, **changes: Any) -> Service:
        return Service(url, **{"ca_file": self.ca_file, **changes})

    def fetch(
        self, server: Pccs, *, root: x509.Certificate | None = None, timeout: float = 10, **asked: Any
    ) -> Collateral:
        root = root or manufacturer().root.certificate
        asked = {"fmspc": FMSPC, "ca": "platform", "now": NOW, **asked}
        return fetch_collateral(self.service(server.url, timeout=timeout), root=root, **asked)


def rejects(code: Code, act: Callable[[], object]) -> str:
    with pytest.raises(Rejected) as caught:
        act()
    assert caught.value.code is code, (caught.value, caught.value.expected, caught.value.found)
    return f"{caught.value} {caught.value.expected} {caught.value.found}"


def reply(served: Pages, path: str) -> Reply:
    found = served[path]
    assert isinstance(found, Reply)
    return found


@functools.cache
def honest() -> Collateral:
    return manufacturer().collateral()


def made(**changes: Any) -> Callable[[], Collateral]:
    return lambda: manufacturer().collateral(**changes)


YEARS = dt.timedelta(days=4000)


def fetch(service: Service) -> Collateral:
    return fetch_collateral(service, FMSPC, "platform", root=manufacturer().root.certificate, now=NOW)
