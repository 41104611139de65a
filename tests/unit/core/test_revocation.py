"""How a trust root writes what is revoked, and which mistakes it refuses."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from atlas.errors import DocumentError
from atlas.revocation import Cut, Revocation, Subject, TreeHead
from atlas.trust import Authority, PinnedLog, Role, TrustRoot
from atlas.trust_file import parse_trust_root
from support import forge

SINCE = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
CUT = Cut(SINCE, (("log.test/a", 7), ("log.test/b", 0)))
DIGEST = "ab" * 32
REVOKED = (
    Revocation(Subject.CERTIFICATE, DIGEST, "laptop stolen", CUT),
    Revocation(Subject.KEY, DIGEST, "laptop stolen"),
    Revocation(Subject.AUTHORITY, DIGEST, "left", Cut(None, (("log.test/a", 7),))),
    Revocation(Subject.LOG, "log.test/a", "shut", head=TreeHead(7, bytes(32))),
    Revocation(Subject.LOG, "log.test/b", "forked"),
)
LOG = PinnedLog("log.test/a", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
AUTHORITY = Authority("a", forge.authority().certificate, frozenset(Role))
ROOT = TrustRoot((replace(AUTHORITY, ended=CUT),), (LOG,), revoked=REVOKED)


def test_a_trust_root_reads_back_as_it_was_written() -> None:
    read = parse_trust_root(ROOT.to_bytes())
    assert read == ROOT
    assert read.sha256 == ROOT.sha256


def test_what_is_written() -> None:
    spec = ROOT.to_json()["spec"]
    until = {"since": "2026-11-24T12:00:00Z", "logged": {"log.test/a": 7, "log.test/b": 0}}
    assert spec["authorities"][0]["ended"] == until
    assert spec["revoked"] == [
        {"certificate": f"sha256:{DIGEST}", **until, "reason": "laptop stolen"},
        {"key": f"sha256:{DIGEST}", "reason": "laptop stolen"},
        {"authority": f"sha256:{DIGEST}", "logged": {"log.test/a": 7}, "reason": "left"},
        {"log": "log.test/a", "size": 7, "root": "00" * 32, "reason": "shut"},
        {"log": "log.test/b", "reason": "forked"},
    ]


def test_a_trust_root_without_any_keeps_its_digest() -> None:
    spec = TrustRoot((AUTHORITY,), (LOG,)).to_json()["spec"]
    assert spec.keys() == {"authorities", "logs", "evidenceRoots"}
    assert spec["authorities"][0].keys() == {"name", "certificate", "roles"}


def test_every_revocation_and_each_of_its_parts_changes_the_digest() -> None:
    roots = [ROOT, replace(ROOT, authorities=(AUTHORITY,))]
    for position, each in enumerate(REVOKED):
        others = [replace(each, reason="other"), replace(each, value="cd" * 32)]
        others += [replace(each, cut=Cut(SINCE))] if each.subject is not Subject.LOG else []
        rest = (*REVOKED[:position], *REVOKED[position + 1 :])
        roots += [replace(ROOT, revoked=rest), *(replace(ROOT, revoked=(*rest, other)) for other in others)]
    assert len({each.sha256 for each in roots}) == len(roots)


def _with(**fields: Any) -> bytes:
    document = ROOT.to_json()
    given = {"key": f"sha256:{DIGEST}", "reason": "r", **fields}
    document["spec"]["revoked"] = [{name: value for name, value in given.items() if value is not ...}]
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"key": ...}, "revoke one thing"),
        ({"certificate": f"sha256:{DIGEST}"}, "revoke one thing"),
        ({"key": DIGEST}, "spec.revoked.0.key: String should match"),
        ({"key": f"sha256:{DIGEST.upper()}"}, "spec.revoked.0.key: String should match"),
        ({"key": f"sha256:{DIGEST}\n"}, "spec.revoked.0.key: String should match"),
        ({"reason": ...}, "spec.revoked.0.reason: Field required"),
        ({"reason": ""}, "spec.revoked.0.reason: String should have at least 1"),
        ({"since": "2026-11-24T12:00:00"}, "should have timezone info"),
        ({"logged": {"log.test/a": -1}}, "greater than or equal to 0"),
        ({"logged": {"log.test/a": "7"}}, "should be a valid integer"),
        ({"size": 7, "root": "00" * 32}, "`size` and `root` are of a log"),
        ({"key": ..., "log": "log.test/a", "size": 7}, "`size` and `root` belong together"),
        ({"key": ..., "log": "log.test/a", "root": "00" * 32}, "`size` and `root` belong together"),
        ({"key": ..., "log": "log.test/a", "since": "2026-11-24T12:00:00Z"}, "`since` and `logged` are of signers"),
        ({"key": ..., "log": "log.test/a", "logged": {"log.test/a": 1}}, "`since` and `logged` are of signers"),
        ({"key": ..., "log": ""}, "spec.revoked.0.log: String should have at least 1"),
        ({"until": "2026-11-24T12:00:00Z"}, "spec.revoked.0.until: unknown field"),
    ],
)
def test_mistakes(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_trust_root(_with(**fields), "trust.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("trust.json:1: spec.revoked.0")


def test_an_end_without_a_time_is_refused() -> None:
    document = ROOT.to_json()
    document["spec"]["authorities"][0]["ended"] = {"logged": {}}
    with pytest.raises(DocumentError, match=r"spec\.authorities\.0\.ended\.since: Field required"):
        parse_trust_root(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (Cut(), ""),
        (Cut(SINCE), "before 2026-11-24T12:00:00Z"),
        (CUT, "before 2026-11-24T12:00:00Z or below index 7 of log.test/a or below index 0 of log.test/b"),
    ],
)
def test_a_cut_in_words(cut: Cut, words: str) -> None:
    assert str(cut) == words
