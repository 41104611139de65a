"""The archive: every manifest by its digest, and the index that finds them.

`schema` holds the tables, `store` the queries. SQLAlchemy Core, portable SQL only: SQLite on a laptop, PostgreSQL for
an operator that is scaled out.
"""

from atlas.archive.store import Archive, Stored

__all__ = ["Archive", "Stored"]
