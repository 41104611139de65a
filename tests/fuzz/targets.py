"""What is fuzzed: readers of bytes that somebody else wrote."""

import datetime as dt
import hashlib
import json
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import cbor2
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from atlas.base64url import from_base64url, to_base64url
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.disclosure import conceal, new_salt, parse_disclosure
from atlas.errors import AtlasError, Rejected
from atlas.keys import Credential, issue
from atlas.log import EmbeddedLog, parse_receipt, verify_receipt
from atlas.log.claim import claim_entry
from atlas.log.entry import Entry
from atlas.log.rekor1_wire import parse_entry
from atlas.manifest import Manifest, parse_manifest, verify_manifest
from atlas.policy.schema import Policy, parse_policy
from atlas.revocation import Cut, Revocation, Subject, TreeHead
from atlas.statement import SALT_BYTES, Publisher, dump_statement, parse_statement
from atlas.trust import Authority, PinnedLog, Role, TrustRoot
from atlas.trust_file import parse_trust_root
from fuzz.evidence_targets import evidence_targets
from fuzz.executor_targets import executor_target
from fuzz.log_targets import log_targets
from fuzz.mutate import JSON, JUMBF, TRUST_FILE, YAML, edit_cbor
from fuzz.oms_targets import oms_targets
from fuzz.target import Seed, Target, Violation, same
from support import forge
from support.rekor1 import Rekor1Double

NESTED_YAML = 5.0
"""Seconds of processor time that one mutant in YAML may take: PyYAML's time grows with the square of the nesting, until
Python's recursion limit ends it."""


# ------------------------------------------------------------------------------------------------ sidecar

_BEGINS = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _meaning(manifest: Manifest) -> object:
    """What a sidecar proves; its box digest is not part of it, because padding and order are not signed."""
    # what callers do with a manifest must not fail either
    claim_entry(manifest).canonical_body()
    names = manifest.signer.subject.rfc4514_string(), manifest.signer.issuer.rfc4514_string()
    signed = hashlib.sha256(manifest.to_be_signed).digest()
    return (
        dump_statement(manifest.statement), manifest.statement_sha256, manifest.asset_sha256, manifest.evidence,
        manifest.label, manifest.output, manifest.certificates, signed, names,
    )  # fmt: skip


def _read_sidecar(trust: TrustRoot, raw: bytes) -> object:
    manifest = parse_manifest(raw)
    trusted = verify_manifest(raw, trust)
    return _meaning(manifest), _meaning(trusted.manifest), trusted.authority.name


def _read_forged(trust: TrustRoot, trusted: bool, raw: bytes) -> object:
    """A signer may say what it likes; but what an unknown one says is never accepted."""
    _meaning(parse_manifest(raw))
    verified = verify_manifest(raw, trust)
    same(trusted, "sidecar", "an unknown signer was accepted", raw)
    return _meaning(verified.manifest)


def _malleate(raw: bytes) -> bytes:
    """The other signature that verifies: (r, n - s)."""
    store = forge.read_box(raw)
    box = store.children[1].part("c2pa.signature")
    message = box.cbor
    protected, unprotected, payload, signature = message.value
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = order - int.from_bytes(signature[32:], "big")
    signature = signature[:32] + s.to_bytes(32, "big")
    box.cbor = cbor2.CBORTag(18, [protected, unprotected, payload, signature])
    return store.to_bytes()


def _sign_anew(credential: Credential, chance: Random, raw: bytes) -> bytes:
    """Change what is signed, and make every hash and the signature right again."""
    store = forge.read_box(raw)
    manifest = store.children[1]
    where = chance.randrange(10)
    if where < 6:
        chosen = chance.choice(manifest.assertions.children[1:]).children[-1]
        chosen.data = edit_cbor(chance, chosen.data)
    claim = manifest.part("c2pa.claim.v2")
    body = dict(claim.cbor)
    body["created_assertions"] = [
        {"url": f"self#jumbf=c2pa.assertions/{each.label}", "hash": hashlib.sha256(each.body).digest()}
        for each in manifest.assertions.children[1:]
    ]
    claim.cbor = body
    if where in (6, 7):
        claim.children[1].data = edit_cbor(chance, claim.children[1].data)
    chain = [each.public_bytes(serialization.Encoding.DER) for each in credential.chain]
    if where == 8:
        leaf = bytearray(chain[0])
        for _ in range(chance.choice((1, 1, 2))):
            leaf[chance.randrange(len(leaf))] ^= 1 << chance.randrange(8)
        chain[0] = bytes(leaf)
    if where == 9:
        chain.append(chance.choice((b"", b"\x30\x00", chain[0][: chance.randrange(len(chain[0]))], chain[0])))
    header: object = {1: -7, 33: chain[0] if len(chain) == 1 else chain}
    protected = cbor2.dumps(header) if chance.random() < 0.9 else edit_cbor(chance, cbor2.dumps(header))
    der = credential.key.sign(
        cbor2.dumps(["Signature1", protected, b"", claim.children[1].data]), ec.ECDSA(hashes.SHA256())
    )
    r, s = utils.decode_dss_signature(der)
    value = [protected, {"pad": b"\0" * chance.choice((0, 4))}, None, r.to_bytes(32, "big") + s.to_bytes(32, "big")]
    manifest.part("c2pa.signature").cbor = cbor2.CBORTag(18, value)
    return store.to_bytes()


@cache
def _signed() -> tuple[tuple[bytes, ...], Credential, Credential, TrustRoot]:
    trusted, stranger = forge.authority(), forge.authority("a stranger")
    plain, credential = forge.signed(forge.statement(), trusted)
    published = forge.statement(maker=Publisher("someone"), inputs=(), parameters={})
    rich = forge.statement(
        inputs=tuple(forge.source(b"rows %d\n" % i, name=f"data{i}", position=i) for i in range(3)),
        parameters={"epochs": 3, "rate": 0.5, "names": ["é", {"deep": None}]},
    )
    more = forge.forge(rich, credential, evidence=json.dumps({"provider": "fake"}))
    other = issue(stranger, forge.step(), forge.now())
    return (plain, more, forge.signed(published, trusted)[0]), credential, other, forge.trust_root(trusted)


def _sidecars() -> Target:
    raws, _, _, trust = _signed()
    judge = partial(_read_sidecar, trust)
    seeds = [Seed(f"sidecar {i}", raw, judge, JUMBF, judge(raw)) for i, raw in enumerate(raws)]
    twin = _malleate(raws[0])
    return Target("sidecar", Rejected, (*seeds, Seed("malleated", twin, judge, JUMBF, seeds[0].meaning)))


def _forged_sidecars() -> Target:
    raws, known, unknown, trust = _signed()
    seeds = [
        Seed(f"{name} {i}", raw, partial(_read_forged, trust, who is known), {}, None, partial(_sign_anew, who))
        for i, raw in enumerate(raws[:2])
        for name, who in (("trusted signer", known), ("unknown signer", unknown))
    ]
    return Target("sidecar signed anew", Rejected, tuple(seeds))


# ------------------------------------------------------------------------------------------------ receipt


def _read_receipt(entry: Entry, logs: tuple[PinnedLog, ...], raw: bytes) -> object:
    receipt = parse_receipt(raw)
    parse_receipt(receipt.to_bytes())
    logged = verify_receipt(receipt, entry, logs)
    # the tree's size may differ only where the checkpoint does, which is signed
    return logged, receipt.body, receipt.root, receipt.path


def _receipts(folder: Path) -> Target:
    raws, *_ = _signed()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    entries = [claim_entry(parse_manifest(raw)) for raw in raws]
    with EmbeddedLog.open(folder / "log.sqlite3", "log.test/fuzz", key) as log:
        log.append([b"filler %d" % i for i in range(5)])
        log.append([each.canonical_body() for each in entries])
        pinned = log.pinned
        receipts = [log.receipt(5 + i).to_bytes() for i in range(len(entries))]
    seeds = []
    for i, (entry, raw) in enumerate(zip(entries, receipts, strict=True)):
        judge = partial(_read_receipt, entry, (pinned,))
        seeds.append(Seed(f"receipt {i}", raw, judge, JSON, judge(raw)))
        seeds.append(
            Seed(f"indented receipt {i}", json.dumps(json.loads(raw), indent=1).encode(), judge, JSON, judge(raw))
        )
    # a receipt for one entry must never come to prove another
    stranger = partial(_read_receipt, entries[1], (pinned,))
    seeds.append(Seed("receipt of another", receipts[0], stranger, JSON, stranger(receipts[1])))
    return Target("receipt", Rejected, (*seeds, *_receipts_1(entries[0])))


def _receipts_1(entry: Entry) -> list[Seed]:
    """Receipts of Rekor v1, and the answers that they are made of."""
    log = Rekor1Double()
    log.logged(entry)
    logs = (log.pinned,)

    def judge_answer(raw: bytes) -> object:
        return _read_receipt(entry, logs, parse_entry(raw).to_bytes())

    judge = partial(_read_receipt, entry, logs)
    raw, answer = log.receipt(2).to_bytes(), json.dumps(log.answer(2)).encode()
    return [
        Seed("receipt of Rekor v1", raw, judge, JSON, judge(raw)),
        Seed("answer of Rekor v1", answer, judge_answer, JSON, judge_answer(answer)),
    ]


# ------------------------------------------------------------------------------------------------ statement


def _read_statement(raw: bytes) -> object:
    """One statement has one form: what is accepted is written again byte for byte."""
    statement = parse_statement(raw)
    same(dump_statement(statement) == raw, "statement", "accepted in another form than its own", raw)
    return statement


def _read_disclosure(raw: bytes) -> object:
    """One disclosure has one form, too."""
    read = parse_disclosure(to_base64url(raw))
    salt = json.loads(raw)[0]
    same(dump_canonical([salt, read.name, read.value]) == raw, "disclosure", "accepted in another form", raw)
    return read


def _statements() -> Target:
    raws, *_ = _signed()
    seeds = [
        Seed(f"statement {i}", dump_statement(parse_manifest(raw).statement), _read_statement, JSON)
        for i, raw in enumerate(raws)
    ]
    disclosures = [conceal(name, value) for name, value in (("rate", 0.5), ("name", "é"), ("deep", {"a": [1, None]}))]
    hidden = tuple(sorted(each.digest for each in disclosures))
    kept = forge.statement(secret=("token",), hidden=hidden, pseudonym=new_salt(SALT_BYTES))
    seeds.append(Seed("statement that keeps back", dump_statement(kept), _read_statement, JSON))
    seeds += [
        Seed(f"disclosure of {each.name}", from_base64url(each.encoded), _read_disclosure, JSON) for each in disclosures
    ]
    return Target("statement", Rejected, tuple(seeds))


# ------------------------------------------------------------------------------------------------ documents

_POLICY = b"""\
# what a model must come from
apiVersion: atlas.dev/v1alpha1
kind: LineagePolicy
metadata:
  name: production
spec:
  log: required
  evidence: optional
  maxAge: 90d
  steps:
    required: [trainer, "evaluate"]
    images:
      - registry.example/train@sha256:ab
    code:
      trainer:
        - sha256:1111111111111111111111111111111111111111111111111111111111111111
  origins:
    pinned: false
    steps: []
    digests:
      - sha256:2222222222222222222222222222222222222222222222222222222222222222
  metrics:
    - step: evaluate
      artifact: metrics
      name: accuracy
      min: 0.9
      max: 1
  unmeasured:
    - trainer.tensorboard
"""


def _plain(raw: bytes) -> Any:
    """What PyYAML itself makes of the document; it keeps the last of repeated names, and expands aliases."""
    return yaml.safe_load(raw.decode("utf-8"))


def _read_policy(raw: bytes) -> object:
    policy = parse_policy(raw)
    same(len(policy.sha256) == 64, "document", "a policy without a digest", raw)
    same(Policy.model_validate(_plain(raw)) == policy, "document", "another reader takes the policy differently", raw)
    return policy


def _read_trust(raw: bytes) -> object:
    trust = parse_trust_root(raw)
    again = parse_trust_root(json.dumps(trust.to_json()).encode())
    same(again.sha256 == trust.sha256, "document", "a trust root changes when it is written", raw)
    spec = _plain(raw)["spec"]
    named = [each["name"] for each in spec.get("authorities", ())]
    same([each.name for each in trust.authorities] == named, "document", "other authorities than stand there", raw)
    for log in trust.logs:
        same(len(log.key_id) == 32, "document", "a log without a key id", raw)
    return trust


def _documents() -> Target:
    *_, trust = _signed()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    p256 = ec.derive_private_key(77, ec.SECP256R1()).public_key()
    logs = (PinnedLog("log.test/fuzz", key), PinnedLog("log.test/second", p256))
    cut = Cut(dt.datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=dt.UTC), (("log.test/fuzz", 7),))
    revoked = (
        Revocation(Subject.KEY, "ab" * 32, "leaked", cut),
        Revocation(Subject.LOG, "log.test/fuzz", "shut", head=TreeHead(7, bytes(32))),
    )
    ended = Authority("a", trust.authorities[0].certificate, frozenset((Role.STEP,)), cut)
    steps = TrustRoot((ended,), logs, revoked=revoked)
    written = [json.dumps(each.to_json(), indent=2).encode() for each in (trust, steps)]
    indented = yaml.safe_dump(json.loads(written[1]), default_style="|").encode()
    seeds = (
        Seed("policy", _POLICY, _read_policy, YAML),
        Seed("policy", _POLICY, _read_policy, YAML),  # the larger grammar gets the larger share
        Seed("policy in JSON", json.dumps(_plain(_POLICY), indent=1).encode(), _read_policy, TRUST_FILE),
        *(Seed(f"trust root {i}", raw, _read_trust, TRUST_FILE) for i, raw in enumerate((*written, indented))),
    )
    return Target("document", AtlasError, seeds, NESTED_YAML)


def make_targets(folder: Path) -> tuple[Target, ...]:
    """All targets; each seed is accepted, and means what it should.

    Args:
        folder: for the log whose receipts are fuzzed.
    """
    own = (_sidecars(), _forged_sidecars(), _receipts(folder), _statements(), _documents(), executor_target())
    targets = (*own, *evidence_targets(forge.now()), *log_targets(forge.now()), *oms_targets())
    for target in targets:
        for seed in target.seeds:
            if seed.name == "receipt of another":
                _expect(target, seed, Code.RECEIPT_ENTRY_MISMATCH.value)
            elif seed.finish is None:
                _expect(target, seed, "accepted")
    return targets


def _expect(target: Target, seed: Seed, outcome: str) -> None:
    found = target.check(seed, seed.raw)
    if found != outcome:
        raise Violation(target.name, f"the seed {seed.name} is {found}, not {outcome}", seed.raw)
