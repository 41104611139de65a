"""What the tests of logs do to Rekor and to the embedded log alike."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from atlas.log.checkpoint import Checkpoint, open_checkpoint
from atlas.log.claim import claim_entry
from atlas.log.entry import Entry
from atlas.log.receipt import Receipt, parse_receipt
from atlas.log.server import WRITE_PATH
from atlas.manifest import sign_statement
from cluster.servers import Answer, Log, ask
from support.forge import authority, now, statement

CLIENTS = 100
"""At once: Rekor answers about a second after a request, however many there are."""


def post(log: Log, request: bytes) -> Answer:
    return ask(log.url + WRITE_PATH, request, headers={"Content-Type": "application/json"})


def post_all(log: Log, requests: Sequence[bytes]) -> list[Answer]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(lambda request: post(log, request), requests))


def request_of(entry: Entry) -> bytes:
    return json.dumps(entry.to_request()).encode()


def record(log: Log, *entries: Entry) -> list[Receipt]:
    """Have the log record new entries; their receipts."""
    answers = post_all(log, [request_of(entry) for entry in entries])
    assert {answer.status for answer in answers} == {201}
    return [parse_receipt(answer.body) for answer in answers]


def claim() -> Entry:
    """The entry of a freshly signed manifest."""
    [sidecar] = sign_statement(statement(), authority(), now())
    return claim_entry(sidecar.manifest)


def fetcher(log: Log) -> Callable[[str], bytes | None]:
    def fetch(path: str) -> bytes | None:
        answer = ask(f"{log.read_url}/{path}")
        assert answer.status in (200, 404)
        return answer.body if answer.status == 200 else None

    return fetch


def newest(log: Log) -> Checkpoint:
    """The log's published checkpoint, verified."""
    return open_checkpoint(ask(f"{log.read_url}/checkpoint").body.decode(), log.pinned)
