"""Sigstore bundles: what Atlas writes others read, and what it refuses to read."""

import copy
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore_models.bundle.v1 import Bundle as SigstoreBundle

from atlas.codes import Code
from atlas.interop.bundle import MEDIA_TYPE, Bundle, claim_signature, parse_bundle
from atlas.interop.dsse import sign_envelope
from atlas.log.embedded import EmbeddedLog
from atlas.log.entry import signed_entry
from atlas.manifest import sign_statement
from support import forge
from unit.interop.interop_support import KEY
from unit.log.log_support import LOG_KEY, ORIGIN, assert_rejected

ISSUER = forge.authority()
MANIFEST = sign_statement(forge.statement(), ISSUER, forge.now())[0].manifest
CERTIFICATE = MANIFEST.signer.public_bytes(Encoding.DER)


def log_entry() -> dict[str, Any]:
    entry = signed_entry(MANIFEST.to_be_signed, MANIFEST.signature, MANIFEST.signer)
    with TemporaryDirectory() as folder, EmbeddedLog.open(Path(folder) / "log.db", ORIGIN, LOG_KEY) as log:
        return log.record([entry])[0].to_json()


ENVELOPE = sign_envelope(b'{"a": 1}', KEY)
BUNDLES = {
    "claim": Bundle(claim_signature(MANIFEST), (CERTIFICATE,), log_entries=(log_entry(),)),
    "envelope": Bundle(ENVELOPE, (CERTIFICATE,)),
    "chain": Bundle(ENVELOPE, (CERTIFICATE, ISSUER.certificate.public_bytes(Encoding.DER)), chain=True),
    "key": Bundle(ENVELOPE, hint="which"),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_what_is_written_reads_back(name: str) -> None:
    assert parse_bundle(BUNDLES[name].to_bytes()) == BUNDLES[name]


@pytest.mark.parametrize("name", BUNDLES)
def test_sigstore_reads_it(name: str) -> None:
    read = SigstoreBundle.from_json(BUNDLES[name].to_bytes())
    assert read.media_type == MEDIA_TYPE
    assert len(read.verification_material.tlog_entries) == len(BUNDLES[name].log_entries)


def test_claim_signature_is_over_the_sig_structure() -> None:
    content = claim_signature(MANIFEST)
    assert content.sha256 == hashlib.sha256(MANIFEST.to_be_signed).digest()
    assert content.signature == MANIFEST.signature


Change = Callable[[dict[str, Any]], object]


def member(*path: str, value: Any) -> Change:
    """Sets a member, wherever it is."""

    def change(document: dict[str, Any]) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


MATERIAL = "verificationMaterial"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member("mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"), "media type"),
        (member("dsseEnvelope", value=ENVELOPE.to_json()), "not exactly one signature"),
        (lambda document: document.pop("messageSignature"), "not exactly one signature"),
        (member("more", value=1), "unknown member"),
        (member(MATERIAL, "publicKey", value={"hint": "x"}), "not exactly one signer"),
        (lambda document: document[MATERIAL].pop("certificate"), "not exactly one signer"),
        (member(MATERIAL, "certificate", value={"rawBytes": "x"}), "base64|padding"),
        (member(MATERIAL, "tlogEntries", value={}), "log entries"),
        (member(MATERIAL, "tlogEntries", value=[1]), "log entries"),
        (member(MATERIAL, "tlogEntries", value=[{}] * 9), "log entries"),
        (member("messageSignature", "messageDigest", "algorithm", value="SHA2_512"), "SHA2_256"),
        (member("messageSignature", "messageDigest", "digest", value="AAAA"), "3 bytes instead of 32"),
    ],
)
def test_what_is_no_bundle(change: Change, message: str) -> None:
    document = copy.deepcopy(json.loads(BUNDLES["claim"].to_bytes()))
    change(document)
    raw = json.dumps(document).encode()
    rejected = assert_rejected(Code.BUNDLE_MALFORMED, lambda: parse_bundle(raw))
    assert any(each in str(rejected) for each in message.split("|"))


@pytest.mark.parametrize("chain", [[], "x", [{}], [{"rawBytes": ""}] * 9])
def test_what_is_no_chain(chain: Any) -> None:
    document = json.loads(BUNDLES["chain"].to_bytes())
    document[MATERIAL]["x509CertificateChain"]["certificates"] = chain
    assert_rejected(Code.BUNDLE_MALFORMED, lambda: parse_bundle(json.dumps(document).encode()))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"\xff", b"{" * 10_000, b'{"mediaType": 1, "mediaType": 1}'])
def test_what_is_nothing_of_the_kind(raw: bytes) -> None:
    assert_rejected(Code.BUNDLE_MALFORMED, lambda: parse_bundle(raw))


def test_hint_that_is_no_text() -> None:
    document = json.loads(BUNDLES["key"].to_bytes())
    document[MATERIAL]["publicKey"] = {"hint": 1}
    assert_rejected(Code.BUNDLE_MALFORMED, lambda: parse_bundle(json.dumps(document).encode()))
