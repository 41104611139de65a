"""Signing what no pipeline made: a publisher's data set or model."""

import datetime as dt
import os
from pathlib import Path

from atlas.artifact import EMPTY_SHA256, Progress, measure
from atlas.errors import MeasureError, StorageError
from atlas.home import Home
from atlas.keys import Issuer
from atlas.manifest import Sidecar, sign_statement
from atlas.statement import Publisher, Statement, output_of

TYPES = {"dataset": "system.Dataset", "model": "system.Model", "reference": "dev.atlas.ReferenceValues"}


def publish(
    home: Home, path: Path, kind: str, publisher: str, issuer: Issuer | None = None, progress: Progress | None = None
) -> tuple[Sidecar, Path]:
    """Measure and sign an artifact; the sidecar lies beside it as `<name>.c2pa`, and waits in the home's inbox.

    Args:
        home: whose authority signs, unless another issuer is given, and whose archive will know the artifact.
        path: a file or a directory.
        kind: a key of `TYPES`.
        publisher: the name in whose certificate it is signed.
        issuer: the authority that issues the publisher's certificate; absent: the home's own.
        progress: told of the bytes hashed.

    Raises:
        MeasureError: if the artifact cannot be measured, or is empty.
        SigningError, StateError: if it cannot be signed.
        StorageError: if the sidecar cannot be written.
    """
    started = dt.datetime.now(dt.UTC)
    measured = measure(path, progress)
    if measured.sha256 == EMPTY_SHA256:
        raise MeasureError(f"{path}: is empty, and a signature over nothing proves nothing")
    output = output_of(measured, path.resolve().name, uri=str(path.resolve()), schema=TYPES[kind])
    now = dt.datetime.now(dt.UTC)
    statement = Statement(Publisher(publisher), (output,), started, max(started, now))
    [sidecar] = sign_statement(statement, issuer or home.issuer(), now)
    place = path.resolve().with_name(sidecar.name)
    index = {f"{output.name}.index": measured.asset} if measured.asset else {}
    write_beside(place, sidecar.raw)
    home.deposit({sidecar.name: sidecar.raw, **index})
    return sidecar, place


def write_beside(place: Path, content: bytes) -> None:
    """Write a signature's file, whole or not at all.

    Raises:
        StorageError: if it cannot be written.
    """
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{place}: cannot be written: {error.strerror}", mend="make the folder writable") from error
