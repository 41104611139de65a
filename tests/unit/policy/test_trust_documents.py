"""Trust root files: every mistake has its place, and every part counts in the digest."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from atlas.errors import DocumentError, InputError
from atlas.spki import PublicKey, dump_spki
from atlas.trust import Authority, PinnedLog, Role, TimestampAuthority, TrustRoot, Witness
from atlas.trust_file import load_trust_root, parse_trust_root
from support import forge

ISSUER = forge.authority("pinned")
LOG = PinnedLog("log.test/one", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key())
WITNESS = Witness("witness.test", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34))).public_key())
ROOT = TrustRoot((Authority("pinned", ISSUER.certificate, frozenset({Role.STEP})),), (LOG,))


def test_trust_root_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(ROOT.to_json()))
    assert load_trust_root(path) == ROOT
    assert parse_trust_root(json.dumps(ROOT.to_json()).encode()).sha256 == ROOT.sha256
    witnessed = replace(
        ROOT,
        logs=(replace(LOG, quorum=1, witnesses=(WITNESS,)),),
        witnesses=(WITNESS,),
        timestamp_authorities=(TimestampAuthority("time", ISSUER.certificate),),
    )
    assert parse_trust_root(witnessed.to_bytes()) == witnessed
    assert witnessed.sha256 != ROOT.sha256


def _der64(key: PublicKey) -> str:
    return base64.b64encode(dump_spki(key)).decode()


RSA = _der64(rsa.generate_private_key(65537, 2048).public_key())
P256 = _der64(ec.generate_private_key(ec.SECP256R1()).public_key())
LEAF = forge.leaf(ISSUER).chain_pem.decode()
UNKNOWN = base64.b64encode(bytes.fromhex("300d300706032a0304050003020001")).decode()


def _root_with(log: Any = None, authority: Any = None, **spec: Any) -> bytes:
    """The trust root with fields changed; a field that becomes `...` goes."""
    whole = ROOT.to_json()
    for fields, changes in (
        (whole["spec"]["logs"][0], log),
        (whole["spec"]["authorities"][0], authority),
        (whole["spec"], spec),
    ):
        fields.update(changes or {})
        for name in [name for name, value in fields.items() if value is ...]:
            del fields[name]
    return json.dumps(whole).encode()


TWO_LOGS = [
    {"origin": "log.test/one", "publicKey": each} for each in (P256, ROOT.to_json()["spec"]["logs"][0]["publicKey"])
]


WRONG_HASH = WITNESS.verifier_key.replace("+", "+0", 1)
NO_CA = {"name": "t", "certificate": LEAF}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (_root_with(logs=TWO_LOGS), "trust.json: two logs have one origin"),
        (_root_with({"publicKey": "!"}), "log 'log.test/one': not a public key in base64 DER"),
        (_root_with({"publicKey": "é"}), "log 'log.test/one': not a public key in base64 DER"),
        (_root_with({"publicKey": UNKNOWN}), "log 'log.test/one': not a public key in base64 DER"),
        (_root_with({"publicKey": RSA}), "log 'log.test/one': a log's key must be Ed25519 or ECDSA"),
        (_root_with({"public": P256}), "trust.json:1: spec.logs.0.public: unknown field"),
        (_root_with({"origin": ...}), "trust.json:1: spec.logs.0.origin: Field required"),
        (_root_with(None, {"certificate": "x"}), "authority 'pinned': not the PEM certificate of an authority"),
        (_root_with(None, {"certificate": LEAF}), "authority 'pinned': this certificate is not an authority's"),
        (_root_with(None, {"roles": ["king"]}), "spec.authorities.0.roles.0: Input should be 'step' or 'publisher'"),
        (_root_with(None, {"roles": ...}), "trust.json:1: spec.authorities.0.roles: Field required"),
        (_root_with(witness=[]), "trust.json:1: spec.witness: unknown field"),
        (_root_with(witnesses=["x"]), "witness 'x': not name+hash+key"),
        (_root_with(witnesses=[WITNESS.verifier_key] * 2), "trust.json: two witnesses have one name"),
        (_root_with(witnesses=[WRONG_HASH]), "witness 'witness.test': not a key for cosignatures (type 4), or with"),
        (_root_with({"quorum": 1}), "log 'log.test/one': demands 1 witnesses, and the trust root names 0"),
        (_root_with({"quorum": -1}), "spec.logs.0.quorum: Input should be greater than or equal to 0"),
        (_root_with(timestampAuthorities=[NO_CA]), "timestamp authority 't': this certificate is not an"),
    ],
)
def test_trust_root_mistakes(raw: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_trust_root(raw, "trust.json")
    assert str(caught.value).startswith(message) or f": {message}" in str(caught.value)


def test_a_policy_is_no_trust_root() -> None:
    with pytest.raises(DocumentError, match=r"trust\.yaml:2: kind: Input should be 'TrustRoot'"):
        parse_trust_root(
            b"apiVersion: atlas.dev/v1alpha1\nkind: LineagePolicy\nmetadata: {name: test}\nspec: {}\n", "trust.yaml"
        )
    with pytest.raises(InputError, match="No such file"):
        load_trust_root(Path("no-such-trust.yaml"))


def test_digest_of_a_trust_root_changes_with_every_part() -> None:
    other = TrustRoot(ROOT.authorities, (PinnedLog("log.test/two", LOG.public_key),))
    both = TrustRoot((Authority("pinned", ISSUER.certificate, frozenset(Role)),), (LOG,))
    renamed = TrustRoot((Authority("other", ISSUER.certificate, frozenset({Role.STEP})),), (LOG,))
    roots = [ROOT, other, both, renamed, TrustRoot((), (LOG,)), TrustRoot(ROOT.authorities, ())]
    assert len({each.sha256 for each in roots}) == len(roots)
