"""The archive's tables.

Manifests are append-only and identified by their box digest. `revision` counts the transactions that changed anything,
so that whoever caches a lineage knows when to look again.
"""

import sqlalchemy as sa

FORMAT = 2
"""Version of these tables, kept in `state`. A newer one has more tables, and is made of an older one by adding them."""

metadata = sa.MetaData()

_digest = sa.String(64)

state = sa.Table(
    "state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
)

manifest = sa.Table(
    "manifest",
    metadata,
    sa.Column("box_sha256", _digest, primary_key=True),
    sa.Column("asset_sha256", _digest, nullable=False, index=True),
    sa.Column("statement_sha256", _digest, nullable=False),
    sa.Column("run", sa.Text, nullable=False, index=True),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("uri", sa.Text, nullable=False, index=True),
    sa.Column("evidence", sa.Text, nullable=False),
    sa.Column("sidecar", sa.LargeBinary, nullable=False),
)

edge = sa.Table(
    "edge",
    metadata,
    sa.Column("box_sha256", _digest, sa.ForeignKey("manifest.box_sha256", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("asset_sha256", _digest, nullable=False, index=True),
)
"""One row an input: the artifact it measured."""

receipt = sa.Table(
    "receipt",
    metadata,
    sa.Column("box_sha256", _digest, sa.ForeignKey("manifest.box_sha256", ondelete="CASCADE"), primary_key=True),
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("receipt", sa.LargeBinary, nullable=False),
)

seal = sa.Table(
    "seal",
    metadata,
    sa.Column("box_sha256", _digest, sa.ForeignKey("manifest.box_sha256", ondelete="CASCADE"), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""What is on its way to a log that shall not see the manifest's own entry; gone once there is a receipt."""

entry = sa.Table(
    "entry",
    metadata,
    sa.Column("sha256", _digest, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""Entries of the log that are of no manifest: what was exported, so that who watches the log knows them for ours."""

asset = sa.Table(
    "asset",
    metadata,
    sa.Column("sha256", _digest, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""Tree indices and properties: what a digest stands for where it is not an artifact's own bytes."""

collateral = sa.Table(
    "collateral",
    metadata,
    sa.Column("sha256", _digest, primary_key=True),
    sa.Column("fmspc", sa.String(12), nullable=False, index=True),
    sa.Column("authority", sa.String(16), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
"""What manufacturers said of kinds of platforms: kept for ever, so that a verdict can be repeated."""

disclosure = sa.Table(
    "disclosure",
    metadata,
    sa.Column("statement_sha256", _digest, primary_key=True),
    sa.Column("digest", sa.String(43), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)
"""What statements of this home keep back, for its owner to disclose. An older archive gets the table when opened."""
