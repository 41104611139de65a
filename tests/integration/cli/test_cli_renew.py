"""`atlas gather --renew`: a fresh receipt for what has one that does not hold."""

import sqlite3
from pathlib import Path

import pytest

from integration.cli.cli_support import Here


def damage(atlas: Here, old: str, new: str) -> None:
    """Change all receipts of the archive."""
    connection = sqlite3.connect(atlas.home / "archive.sqlite3")
    with connection:
        for box, raw in connection.execute("SELECT box_sha256, receipt FROM receipt").fetchall():
            changed = bytes(raw).replace(old.encode(), new.encode())
            assert changed != bytes(raw)
            connection.execute("UPDATE receipt SET receipt = ? WHERE box_sha256 = ?", (changed, box))
    connection.close()


def size(atlas: Here) -> int:
    return int(atlas("log", "checkpoint", "--json").expect(0).json["size"])


def codes(atlas: Here, path: Path) -> set[str]:
    return {each["code"] for each in atlas("verify", path, "--json").json["findings"]}


@pytest.mark.parametrize("what", ["claim", "commitment", "batch"])
def test_a_damaged_receipt_is_renewed_and_nothing_is_logged_twice(atlas: Here, what: str) -> None:
    atlas("init").expect(0)
    atlas("log", "reveal", what).expect(0)
    path = atlas.signed()
    damage(atlas, '"treeSize":"1"', '"treeSize":"2"')
    assert codes(atlas, path) == {"ReceiptTreeSizeMismatch"}
    atlas("gather").expect(0)
    assert codes(atlas, path) == {"ReceiptTreeSizeMismatch"}, "what has a receipt is not logged again by itself"
    atlas("log", "reveal", "claim").expect(0)
    assert "0 new manifests, 1 logged" in atlas("gather", "--renew").expect(0).out
    atlas("verify", path).expect(0)
    assert size(atlas) == 1
    assert "0 new manifests, 0 logged" in atlas("gather", "--renew").expect(0).out


def test_a_receipt_that_cannot_be_read_is_renewed(atlas: Here) -> None:
    path = atlas.signed()
    damage(atlas, "{", "[")
    assert codes(atlas, path) == {"ReceiptMalformed"}
    atlas("gather", "--renew").expect(0)
    atlas("verify", path).expect(0)
    assert size(atlas) == 1
