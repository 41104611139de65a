"""A home with an archive, and logs that it is shown: honest ones, forks under the same key, and servers that lie."""

import datetime as dt
import json
import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.archive import Archive
from atlas.codes import Code
from atlas.gather import open_archive
from atlas.home import create_home
from atlas.keys import Credential, Issuer, issue
from atlas.log.alarm import Holdings, Order
from atlas.log.claim import claim_entry
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import Algorithm, Entry
from atlas.log.interface import TiledLog
from atlas.log.rekor1 import Rekor1Log
from atlas.log.tiles import TileReader
from atlas.manifest import Sidecar, sign_statement
from atlas.statement import Publisher
from atlas.trust import PinnedLog
from atlas.trust_file import load_trust_root
from atlas.watcher import Looked, Watcher
from support import forge
from unit.log.log_support import LOG_KEY, ORIGIN, PINNED, make_entry, spki

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


class Site:
    """A home that signs, archives and watches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = create_home(folder / ".atlas", now=forge.now() - dt.timedelta(days=1))
        self.issuer = self.home.issuer()
        self.archive: Archive = open_archive(self.home)
        self.alarms: list[dict[str, Any]] = []
        self.order = Order(load_trust_root(self.home.trust_path).authorities)
        self.watcher = Watcher(self.home, PINNED)
        self._count = 0

    def close(self) -> None:
        self.archive.close()

    def log(self, name: str = "log") -> EmbeddedLog:
        """A log under the one key; another name is another history."""
        return EmbeddedLog.open(self.folder / f"{name}.sqlite3", ORIGIN, LOG_KEY)

    def copy(self, old: str, new: str) -> EmbeddedLog:
        """The log as it is now, under another name."""
        with (
            closing(sqlite3.connect(self.folder / f"{old}.sqlite3")) as source,
            closing(sqlite3.connect(self.folder / f"{new}.sqlite3")) as target,
        ):
            source.backup(target)
        return self.log(new)

    def sign(self) -> Sidecar:
        """A manifest that no archive and no log has."""
        self._count += 1
        [sidecar] = sign_statement(
            forge.statement(outputs=(forge.output(b"model %d" % self._count),)), self.issuer, forge.now()
        )
        return sidecar

    def archived(self, sidecar: Sidecar) -> Entry:
        self.archive.add([(sidecar.manifest, sidecar.raw)])
        return claim_entry(sidecar.manifest)

    def logged(self, log: EmbeddedLog, count: int = 1) -> list[Sidecar]:
        """Manifests that were signed, archived and logged as they should be, each by itself."""
        sidecars = [self.sign() for _ in range(count)]
        for each in sidecars:
            [receipt] = log.record([self.archived(each)])
            self.archive.add_receipts([(each.manifest.box_sha256, ORIGIN, receipt.to_bytes())])
        return sidecars

    def look(
        self, log: TiledLog | Rekor1Log, *, now: dt.datetime = NOW, archive: Holdings | None = None, **order: Any
    ) -> set[Code]:
        """One round; the codes of its alarms."""
        self.alarms = []
        self.looked: Looked = self.watcher.look(
            log, archive or self.archive, replace(self.order, **order), now, self.alarms.append
        )
        return {Code(each["code"]) for each in self.alarms}

    @property
    def unknown(self) -> list[str]:
        """What was said of each unknown entry."""
        return [each["message"] for each in self.alarms if each["code"] == Code.LOG_ENTRY_UNKNOWN.value]

    @property
    def state(self) -> Path:
        """The file with what is kept."""
        [path] = (each for each in (self.home.path / "watch").glob("*.json") if each.name.count(".") == 1)
        return path

    @property
    def position(self) -> int:
        """The index of the first entry that was not looked at, as it is kept."""
        return int(json.loads(self.state.read_text())["state"]["position"])

    @property
    def evidence(self) -> list[Path]:
        return sorted(each for each in (self.home.path / "watch").glob("*.json") if each.name.count(".") > 1)


class Shown:
    """A log as somebody shows it who can change what lies at a path, or take it away."""

    def __init__(self, log: EmbeddedLog, changed: dict[str, bytes | None] | None = None, note: str = "") -> None:
        self._log = log
        self.changed = changed or {}
        self.note = note

    @property
    def pinned(self) -> PinnedLog:
        return self._log.pinned

    def record(self, entries: Sequence[Entry]) -> Any:
        raise AssertionError("watching writes nothing")

    def checkpoint(self) -> str | None:
        return self.note or self._log.checkpoint()

    def tiles(self, size: int) -> TileReader:
        return TileReader(lambda path: self.changed[path] if path in self.changed else self._log.at(path), size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Deadly(Shown):
    """A log at whose n-th tile the process that reads it is killed."""

    def __init__(self, log: EmbeddedLog, tiles: int) -> None:
        super().__init__(log)
        self._left = tiles

    def tiles(self, size: int) -> TileReader:
        return TileReader(self._fetch, size)

    def _fetch(self, path: str) -> bytes | None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._log.at(path)


class During:
    """An archive in which something happens while it is read."""

    def __init__(self, archive: Archive, happens: Any) -> None:
        self._archive, self._happens = archive, happens

    def receipts(self) -> Iterator[tuple[str, str, bytes]]:
        self._happens()
        return self._archive.receipts()

    def manifest(self, box_sha256: str) -> Any:
        return self._archive.manifest(box_sha256)

    def entries(self) -> Any:
        return self._archive.entries()

    def unlogged(self) -> Any:
        return self._archive.unlogged()


def entry_of(credential: Credential, seed: object = "", *, bare: bool = False, digest: bytes = b"") -> Entry:
    """An entry over some digest that somebody signs with this key, with its certificate or without."""
    digest = digest or make_entry(seed).digest
    signature = credential.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    if bare:
        return Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, public_key=spki(credential.key))
    certificate = credential.chain[0].public_bytes(Encoding.DER)
    return Entry(digest, signature, Algorithm.ECDSA_P256_SHA256, certificate=certificate)


def stranger(seed: object = "", issuer: Issuer | None = None) -> Entry:
    """What somebody signed whom we do not know, or whom this authority vouches for."""
    return entry_of(issue(issuer or forge.authority(), Publisher("somebody"), forge.now()), seed)


def bodies(*entries: Entry) -> list[bytes]:
    return [each.canonical_body() for each in entries]
