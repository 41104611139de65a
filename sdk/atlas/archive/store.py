"""Storing and finding manifests. Every write is one transaction and idempotent: doing it twice changes nothing."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from atlas.archive import schema
from atlas.closing import Closing
from atlas.disclosure import Disclosure
from atlas.errors import HomeVersionError, StorageError
from atlas.evidence.tdx.collateral import Collateral
from atlas.manifest import Manifest
from atlas.statement import Step

BUSY_SECONDS = 30
"""How long to wait for another process that writes."""
_PAGE = 1000


@dataclass(frozen=True)
class Stored:
    """A manifest as it lies in the archive; nothing about it is verified."""

    box_sha256: str
    asset_sha256: str
    sidecar: bytes
    receipt: bytes | None
    """The log's receipt; None while it is not logged."""


@dataclass(frozen=True)
class Place:
    """What a manifest says lies at a place."""

    uri: str
    name: str
    kind: str
    asset_sha256: str
    box_sha256: str
    task: str


class Archive(Closing):
    """The archive at a database URL, made there if it is new."""

    def __init__(self, url: str | Path) -> None:
        """Open the archive.

        Args:
            url: a SQLAlchemy URL, or the path of a SQLite file.

        Raises:
            StorageError: if it cannot be opened.
            HomeVersionError: if a newer Atlas made its tables.
        """
        self._name = str(url)
        self._engine = sa.create_engine(f"sqlite:///{url}" if isinstance(url, Path) else url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _tune_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        with self._errors():
            if not sa.inspect(self._engine).has_table(schema.state.name):
                self._create()
        with self._read() as connection:
            found = connection.execute(sa.select(schema.state.c.format)).scalar_one()
        if found > schema.FORMAT:
            raise HomeVersionError(
                f"{self._name}: this archive has format {found}, and this Atlas knows formats up to {schema.FORMAT}",
                mend="use the newer Atlas that wrote it",
            )
        if found < schema.FORMAT:
            with self._errors():
                self._upgrade()

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    @property
    def revision(self) -> int:
        """Grows whenever the archive changes."""
        with self._read() as connection:
            return int(connection.execute(sa.select(schema.state.c.revision)).scalar_one())

    def add(
        self,
        manifests: Iterable[tuple[Manifest, bytes]],
        assets: Iterable[bytes] = (),
        disclosures: Iterable[tuple[str, Disclosure]] = (),
    ) -> int:
        """Store in one transaction.

        Args:
            manifests: with their sidecars.
            assets: tree indices, properties.
            disclosures: with the digest of the statement that commits to each.

        Returns:
            How many manifests were new.
        """
        with self._write() as connection:
            new = 0
            for manifest, sidecar in manifests:
                if not self._insert(connection, schema.manifest, _manifest_row(manifest, sidecar)):
                    continue
                new += 1
                if rows := _edge_rows(manifest):
                    connection.execute(schema.edge.insert(), rows)
            for content in assets:
                row = {"sha256": hashlib.sha256(content).hexdigest(), "content": content}
                self._insert(connection, schema.asset, row)
            for statement, each in disclosures:
                row = {"statement_sha256": statement, "digest": each.digest, "content": each.encoded}
                self._insert(connection, schema.disclosure, row)
            return new

    def add_receipts(self, receipts: Iterable[tuple[str, str, bytes]]) -> None:
        """Store (box digest, log origin, receipt) in one transaction; a later receipt of the same log stands."""
        table = schema.receipt
        with self._write() as connection:
            for box, origin, content in receipts:
                row = {"box_sha256": box, "origin": origin, "receipt": content}
                if not self._insert(connection, table, row):
                    match = (table.c.box_sha256 == box) & (table.c.origin == origin)
                    connection.execute(table.update().where(match).values(receipt=content))
                connection.execute(schema.seal.delete().where(schema.seal.c.box_sha256 == box))

    def add_seals(self, seals: Iterable[tuple[str, bytes]]) -> None:
        """Store (box digest, seal) in one transaction, until there is a receipt; one that is there already stands."""
        rows = [{"box_sha256": box, "content": content} for box, content in seals]
        if rows:
            with self._write() as connection:
                for row in rows:
                    self._insert(connection, schema.seal, row)

    def add_entry(self, content: bytes) -> None:
        """Keep an entry of the log that is of no manifest."""
        row = {"sha256": hashlib.sha256(content).hexdigest(), "content": content}
        with self._write() as connection:
            self._insert(connection, schema.entry, row)

    def entries(self) -> list[bytes]:
        """All such entries."""
        with self._read() as connection:
            return [bytes(content) for (content,) in connection.execute(sa.select(schema.entry.c.content))]

    def seals(self) -> dict[str, bytes]:
        """Box digest -> seal, of manifests that have no receipt yet."""
        query = sa.select(schema.seal.c.box_sha256, schema.seal.c.content)
        with self._read() as connection:
            return {box: bytes(content) for box, content in connection.execute(query)}

    def add_collateral(self, collateral: Collateral) -> bool:
        """Store collateral; returns whether it was new."""
        fmspc, authority = collateral.platform
        row = {
            "sha256": collateral.sha256,
            "fmspc": fmspc,
            "authority": authority,
            "content": collateral.raw,
        }
        with self._write() as connection:
            return self._insert(connection, schema.collateral, row)

    def collateral(self, fmspc: str, authority: str) -> Sequence[bytes]:
        """All collateral for a kind of platform."""
        table = schema.collateral
        query = sa.select(table.c.content).where((table.c.fmspc == fmspc) & (table.c.authority == authority))
        with self._read() as connection:
            return [bytes(content) for content in connection.execute(query.order_by(table.c.sha256)).scalars()]

    def disclosures(self, statement_sha256: str) -> Sequence[str]:
        """What is kept of the values that this statement commits to."""
        table = schema.disclosure
        query = sa.select(table.c.content).where(table.c.statement_sha256 == statement_sha256)
        with self._read() as connection:
            return list(connection.execute(query.order_by(table.c.digest)).scalars())

    def remove(self, box_sha256: str) -> None:
        """Forget a manifest and its receipts."""
        with self._write() as connection:
            for table in (schema.receipt, schema.edge, schema.manifest):
                connection.execute(table.delete().where(table.c.box_sha256 == box_sha256))

    def manifest(self, box_sha256: str) -> Stored | None:
        """The manifest with this box digest."""
        return next(iter(self._select(_BY_BOX, box_sha256)), None)

    def producers(self, asset_sha256: str) -> Sequence[Stored]:
        """Manifests of the artifact with this digest."""
        return self._select(_BY_ASSET, asset_sha256)

    def consumers(self, asset_sha256: str) -> Sequence[Stored]:
        """Manifests of what was made from the artifact with this digest."""
        return self._select(_BY_INPUT, asset_sha256)

    def of_run(self, run: str) -> dict[tuple[str, int], dict[str, str]]:
        """(task, attempt) -> box digest -> statement digest, for all manifests of a run's steps."""
        table = schema.manifest
        query = sa.select(table.c.task, table.c.attempt, table.c.statement_sha256, table.c.box_sha256)
        found: dict[tuple[str, int], dict[str, str]] = {}
        with self._read() as connection:
            for task, attempt, statement, box in connection.execute(query.where(table.c.run == run)):
                found.setdefault((task, attempt), {})[box] = statement
        return found

    def attested(self, providers: Sequence[str]) -> list[Stored]:
        """Manifests whose evidence is of one of these providers."""
        return self._select(_manifests(schema.manifest.c.evidence.in_(providers)))

    def unlogged(self) -> list[Stored]:
        """Manifests without any receipt."""
        return self._select(_UNLOGGED)

    def logged_in(self, origin: str) -> list[Stored]:
        """Manifests with a receipt of the log with this origin, each with that receipt."""
        return self._select(_manifests(schema.receipt.c.origin == origin))

    def receipts(self) -> Iterator[tuple[str, str, bytes]]:
        """(box digest, log origin, receipt) of all receipts, a page at a time: an archive may outgrow the memory."""
        table = schema.receipt
        key = sa.tuple_(table.c.box_sha256, table.c.origin)
        query = sa.select(table.c.box_sha256, table.c.origin, table.c.receipt).order_by(*key).limit(_PAGE)
        last = ("", "")
        while True:
            with self._read() as connection:
                page = connection.execute(query.where(key > sa.tuple_(*last))).all()
            for box, origin, receipt in page:
                last = (box, origin)
                yield box, origin, bytes(receipt)
            if len(page) < _PAGE:
                return

    def at(self, uri: str) -> list[Place]:
        """What manifests say lies at a place."""
        return self._places(schema.manifest.c.uri == uri)

    def places(self, boxes: Sequence[str]) -> list[Place]:
        """Where the artifacts of these manifests were left."""
        return self._places(schema.manifest.c.box_sha256.in_(boxes))

    def asset(self, sha256: str) -> bytes | None:
        """The bytes behind a digest, if they are kept."""
        query = sa.select(schema.asset.c.content).where(schema.asset.c.sha256 == sha256)
        with self._read() as connection:
            content = connection.execute(query).scalar()
        return bytes(content) if content is not None else None

    def find(self, prefix: str) -> list[str]:
        """Digests of artifacts that begin with these hex digits."""
        column = schema.manifest.c.asset_sha256
        with self._read() as connection:
            return list(connection.execute(sa.select(column).where(column.startswith(prefix)).distinct()).scalars())

    def _select(self, query: sa.Select[Any], key: str = "") -> list[Stored]:
        found: dict[str, Stored] = {}
        with self._read() as connection:
            for box, asset, sidecar, receipt in connection.execute(query, {"key": key}):
                found.setdefault(box, Stored(box, asset, bytes(sidecar), bytes(receipt) if receipt else None))
        return list(found.values())

    def _places(self, condition: sa.ColumnElement[bool]) -> list[Place]:
        table = schema.manifest
        query = sa.select(
            table.c.uri, table.c.name, table.c.kind, table.c.asset_sha256, table.c.box_sha256, table.c.task
        )
        with self._read() as connection:
            return [Place(*row) for row in connection.execute(query.where(condition).order_by(table.c.box_sha256))]

    def _insert(self, connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> bool:
        """Insert unless the primary key is there; portable, and safe because `_write` serialises writers."""
        match = sa.and_(*(column == row[column.name] for column in table.primary_key))
        if connection.execute(sa.select(sa.literal(1)).select_from(table).where(match)).scalar():
            return False
        connection.execute(table.insert().values(row))
        return True

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        """A transaction that holds the state row, so that there is one writer at a time on any database."""
        with self._errors(), self._engine.execution_options(writes=True).begin() as connection:
            connection.execute(schema.state.update().values(revision=schema.state.c.revision + 1))
            yield connection

    def _create(self) -> None:
        with self._engine.execution_options(writes=True).begin() as connection:
            schema.metadata.create_all(connection)
            if connection.execute(sa.select(schema.state.c.id)).scalar() is None:
                connection.execute(schema.state.insert().values(id=1, format=schema.FORMAT, revision=0))

    def _upgrade(self) -> None:
        """Add the tables that a newer format has; two processes may do so at once."""
        with self._engine.execution_options(writes=True).begin() as connection:
            schema.metadata.create_all(connection)
            connection.execute(schema.state.update().values(format=schema.FORMAT))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise StorageError(f"{self._name}: {error.orig}", mend=_mend(str(error.orig))) from error
        except DatabaseError as error:
            raise StorageError(
                f"{self._name}: not a sound database: {error.orig}", mend="restore it from a backup"
            ) from error


def _manifests(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    table = schema.manifest
    return (
        sa.select(table.c.box_sha256, table.c.asset_sha256, table.c.sidecar, schema.receipt.c.receipt)
        .select_from(table.outerjoin(schema.receipt))
        .where(condition)
        .order_by(table.c.box_sha256, schema.receipt.c.origin)
    )


# Built once: writing a query costs more than asking it.
_KEY: sa.BindParameter[str] = sa.bindparam("key")
_BY_BOX = _manifests(schema.manifest.c.box_sha256 == _KEY)
_BY_ASSET = _manifests(schema.manifest.c.asset_sha256 == _KEY)
_BY_INPUT = _manifests(
    schema.manifest.c.box_sha256.in_(sa.select(schema.edge.c.box_sha256).where(schema.edge.c.asset_sha256 == _KEY))
)
_UNLOGGED = _manifests(schema.manifest.c.box_sha256.not_in(sa.select(schema.receipt.c.box_sha256)))


def _mend(message: str) -> str:
    if "locked" in message:
        return f"another process has been writing for over {BUSY_SECONDS} s; wait for it or end it, and try again"
    if "full" in message:
        return "free space on the disk, and try again; nothing of this was written"
    return "check that the file and its folder exist and that this user may write there"


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`, not by the driver
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # a transaction that turns from reading to writing may fail at once; one that begins as a writer waits its turn
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _manifest_row(manifest: Manifest, sidecar: bytes) -> dict[str, Any]:
    maker = manifest.statement.maker
    output = manifest.output
    return {
        "box_sha256": manifest.box_sha256,
        "asset_sha256": manifest.asset_sha256,
        "statement_sha256": manifest.statement_sha256,
        "run": maker.run if isinstance(maker, Step) else "",
        "task": maker.task if isinstance(maker, Step) else maker.name,
        "attempt": maker.attempt if isinstance(maker, Step) else 0,
        "name": output.name if output else "",
        "kind": output.kind.value if output else "",
        "uri": output.uri if output else "",
        "evidence": manifest.statement.evidence,
        "sidecar": sidecar,
    }


def _edge_rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {"box_sha256": manifest.box_sha256, "position": position, "asset_sha256": each.sha256}
        for position, each in enumerate(manifest.statement.inputs)
    ]
