"""Sigstore's trust configuration as an instance of one's own would publish it: as a file, and in a TUF repository."""

import base64
import contextlib
import datetime as dt
import functools
import json
from collections.abc import Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from atlas.trust import PinnedLog
from support.serving import running, url_of

BEGUN = "2026-01-01T00:00:00Z"


def tlog(log: PinnedLog, *, scheme: str = "http", **changes: Any) -> dict[str, Any]:
    """A log in a trusted root."""
    details = "PKIX_ED25519" if log.rekor == 2 else "PKIX_ECDSA_P256_SHA_256"
    key: dict[str, Any] = {"rawBytes": base64.b64encode(log.der).decode(), "keyDetails": details}
    return {
        "baseUrl": f"{scheme}://{log.origin}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {**key, "validFor": {"start": BEGUN}},
        "logId": {"keyId": base64.b64encode(log.key_id).decode()},
    } | changes


def service(url: str, rekor: int, start: str = BEGUN, end: str | None = None) -> dict[str, Any]:
    """A log in a signing configuration."""
    period = {"start": start} | ({"end": end} if end else {})
    return {"url": url, "majorApiVersion": rekor, "validFor": period, "operator": "test"}


def trusted_root(*tlogs: dict[str, Any]) -> dict[str, Any]:
    """A trusted root of nothing but logs."""
    kind = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
    return {"mediaType": kind, "tlogs": list(tlogs), "certificateAuthorities": [], "ctlogs": []}


def signing_config(*services: dict[str, Any]) -> dict[str, Any]:
    """A signing configuration of nothing but logs."""
    kind = "application/vnd.dev.sigstore.signingconfig.v0.2+json"
    return {"mediaType": kind, "rekorTlogUrls": list(services), "rekorTlogConfig": {"selector": "ANY"}}


def trust_config(root: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Both in one."""
    kind = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    return {"mediaType": kind, "trustedRoot": root, "signingConfig": config}


class TufRepository:
    """A TUF repository in a folder, under one key for all roles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer = CryptoSigner.generate_ed25519()
        self.version = 0
        root = Root(consistent_snapshot=True, expires=_soon())
        for role in ("root", "timestamp", "snapshot", "targets"):
            root.add_key(self.signer.public_key, role)
        self.first_root = self._signed(Metadata(root))
        (folder / "targets").mkdir(parents=True)

    def publish(
        self, targets: Mapping[str, Any], *, expires: dt.datetime | None = None, signer: CryptoSigner | None = None
    ) -> None:
        """Publish these targets (JSON) in a new version of everything."""
        self.version += 1
        expires = expires or _soon()
        listed = Targets(version=self.version, expires=expires)
        for name, content in targets.items():
            data = json.dumps(content).encode()
            listed.targets[name] = file = TargetFile.from_data(name, data)
            (self.folder / "targets" / f"{file.hashes['sha256']}.{name}").write_bytes(data)
        snapshot = Snapshot(version=self.version, expires=expires, meta={"targets.json": MetaFile(self.version)})
        timestamp = Timestamp(version=self.version, expires=expires, snapshot_meta=MetaFile(self.version))
        for name, metadata in ((f"{self.version}.targets", listed), (f"{self.version}.snapshot", snapshot)):
            self._write(name, self._signed(Metadata(metadata), signer))
        self._write("timestamp", self._signed(Metadata(timestamp), signer))

    def _signed(self, metadata: Metadata[Any], signer: CryptoSigner | None = None) -> bytes:
        metadata.sign(signer or self.signer)
        return metadata.to_bytes()

    def _write(self, name: str, data: bytes) -> None:
        (self.folder / f"{name}.json").write_bytes(data)


def _soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=1)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """The folder over HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    with running(server):
        yield url_of(server)
