"""Sidecars that somebody tampered with, or signed in bad faith: each is refused, with the code of what is wrong."""

import io
from collections.abc import Callable
from typing import Any

import c2pa
import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.keys import issue
from atlas.manifest import parse_manifest, profile, verify_manifest
from atlas.statement import dump_statement
from support.forge import (
    ASSET,
    Box,
    Signature,
    authority,
    cbor_box,
    edit,
    edit_store,
    forge,
    leaf,
    link,
    now,
    opinion,
    output,
    read_box,
    rewrite,
    source,
    statement,
    step,
    super_box,
    trust_root,
)

ISSUER = authority()
TRUST = trust_root(ISSUER)
STATED = statement()
CREDENTIAL = issue(ISSUER, STATED.maker, now())
RAW = forge(STATED, CREDENTIAL)
OTHER = forge(statement(parameters={"epochs": 4}), CREDENTIAL)
"""Another manifest of the same signer."""

Change = Callable[[Box], object]
Values = Callable[[dict[str, Any]], object]


def rejected(raw: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        verify_manifest(raw, TRUST)
    return caught.value


def test_what_is_tampered_with_below_is_sound() -> None:
    assert verify_manifest(RAW, TRUST).manifest.statement == STATED
    assert verify_manifest(rewrite(RAW, CREDENTIAL), TRUST).manifest.statement == STATED
    assert edit(RAW, lambda _: None) == RAW
    assert opinion(rewrite(RAW, CREDENTIAL), ASSET, ISSUER).state == "Trusted"


# ------------------------------------------------------------------------------------------------ without any key


def other_manifest() -> Box:
    return read_box(OTHER).children[1]


def relabel(box: Box, label: str) -> Box:
    """The same manifest under another label."""
    description = box.children[0].data
    box.children[0].data = description[:17] + label.encode() + b"\0"
    return box


def twin() -> Box:
    return read_box(RAW).children[1]


def describe(change: Callable[[bytes], bytes]) -> Change:
    """Change the description of the manifest box."""

    def apply(box: Box) -> None:
        box.children[0].data = change(box.children[0].data)

    return apply


def drop(label: str) -> Change:
    def apply(box: Box) -> None:
        box.assertions.children.remove(box.assertions.part(label))

    return apply


def assertion(label: str, old: bytes, new: bytes) -> Change:
    """Change an assertion's content without a change of its length."""

    def apply(box: Box) -> None:
        content = box.assertions.part(label).children[1]
        assert old in content.data
        content.data = content.data.replace(old, new)

    return apply


def claim_bytes(old: bytes, new: bytes) -> Change:
    def apply(box: Box) -> None:
        content = box.part("c2pa.claim.v2").children[1]
        assert old in content.data
        content.data = content.data.replace(old, new)

    return apply


def signature_of(other: bytes) -> Change:
    def apply(box: Box) -> None:
        box.part("c2pa.signature").children[1].data = (
            read_box(other).children[1].part("c2pa.signature").children[1].data
        )

    return apply


def cose(position: int, value: object) -> Change:
    """Replace one element of the COSE_Sign1."""

    def apply(box: Box) -> None:
        content = box.part("c2pa.signature")
        parts = list(content.cbor.value)
        parts[position] = value
        content.cbor = cbor2.CBORTag(18, parts)

    return apply


def salt(change: Callable[[bytes], bytes]) -> Change:
    """Change what follows the label in a salted description."""

    def apply(box: Box) -> None:
        description = box.assertions.part(profile.STATEMENT).children[0]
        head, end, private = description.data.partition(profile.STATEMENT.encode() + b"\0")
        description.data = head + end + change(private)

    return apply


STORE: dict[str, tuple[Change, Code]] = {
    "duplicate manifest": (lambda store: store.children.append(twin()), Code.SIDECAR_DUPLICATE_BOX),
    "hidden manifest before": (lambda store: store.children.insert(1, other_manifest()), Code.SIDECAR_HIDDEN_MANIFEST),
    "hidden manifest after": (lambda store: store.children.append(other_manifest()), Code.SIDECAR_HIDDEN_MANIFEST),
    "hidden twin": (lambda store: store.children.insert(1, relabel(twin(), "x")), Code.SIDECAR_HIDDEN_MANIFEST),
    "no manifest": (lambda store: store.children.pop(), Code.SIDECAR_MALFORMED),
    "padding box": (lambda store: store.children.append(Box(b"free", b"\0" * 8)), Code.SIDECAR_UNKNOWN_BOX),
    "unknown box": (lambda store: store.children.insert(1, Box(b"uuid", b"x")), Code.SIDECAR_UNKNOWN_BOX),
    "second description": (lambda store: store.children.insert(1, store.children[0]), Code.SIDECAR_UNKNOWN_BOX),
    "another label": (lambda store: relabel(store, "c2pb"), Code.SIDECAR_MALFORMED),
    "no description": (lambda store: store.children.pop(0), Code.SIDECAR_MALFORMED),
}

MANIFEST: dict[str, tuple[Change, Code]] = {
    # boxes
    "another label": (lambda box: relabel(box, "urn:c2pa:x"), Code.CLAIM_MALFORMED),
    "label not ASCII": (describe(lambda data: data[:-2] + b"\xe9\0"), Code.SIDECAR_MALFORMED),
    "label without end": (describe(lambda data: data[:-1]), Code.SIDECAR_MALFORMED),
    "bytes after the label": (describe(lambda data: data + b"x"), Code.SIDECAR_MALFORMED),
    "unknown toggles": (describe(lambda data: data[:16] + b"\x07" + data[17:]), Code.SIDECAR_MALFORMED),
    "another content type": (describe(lambda data: data[:4] + b"\xff" + data[5:]), Code.SIDECAR_MALFORMED),
    "update manifest": (describe(lambda data: b"c2um" + data[4:]), Code.SIDECAR_MALFORMED),
    "short description": (describe(lambda data: data[:10]), Code.SIDECAR_MALFORMED),
    "salted manifest": (
        describe(lambda data: data[:16] + b"\x13" + data[17:] + Box(b"c2sh", b"s" * 16).to_bytes()),
        Code.SIDECAR_MALFORMED,
    ),
    "salt that is another box": (salt(lambda _: Box(b"free", b"s" * 16).to_bytes()), Code.SIDECAR_MALFORMED),
    "two salts": (salt(lambda private: private * 2), Code.SIDECAR_MALFORMED),
    "salt cut off": (salt(lambda private: private[:-1]), Code.SIDECAR_MALFORMED),
    "no salt": (salt(lambda _: b""), Code.SIDECAR_MALFORMED),
    "another salt": (salt(lambda private: private[:-1] + bytes([private[-1] ^ 1])), Code.ASSERTION_CHANGED),
    "unknown superbox": (lambda box: box.children.append(super_box(b"c2vc", "x")), Code.SIDECAR_UNKNOWN_BOX),
    "credential store": (
        lambda box: box.children.append(super_box(b"c2vc", "c2pa.credentials")),
        Code.SIDECAR_UNKNOWN_BOX,
    ),
    "databoxes": (lambda box: box.children.append(super_box(b"c2db", "c2pa.databoxes")), Code.SIDECAR_UNKNOWN_BOX),
    "unknown box": (lambda box: box.children.append(Box(b"free", b"")), Code.SIDECAR_UNKNOWN_BOX),
    "two claims": (lambda box: box.children.append(box.part("c2pa.claim.v2")), Code.SIDECAR_DUPLICATE_BOX),
    "old claim beside": (
        lambda box: box.children.append(super_box(b"c2cl", "c2pa.claim", Box(b"cbor", b"\xa0"))),
        Code.SIDECAR_UNKNOWN_BOX,
    ),
    "two signatures": (lambda box: box.children.append(box.part("c2pa.signature")), Code.SIDECAR_DUPLICATE_BOX),
    "two assertion stores": (lambda box: box.children.append(box.assertions), Code.SIDECAR_DUPLICATE_BOX),
    "no claim": (lambda box: box.children.remove(box.part("c2pa.claim.v2")), Code.SIDECAR_MALFORMED),
    "no signature": (lambda box: box.children.remove(box.part("c2pa.signature")), Code.SIDECAR_MALFORMED),
    "no assertions": (lambda box: box.children.remove(box.assertions), Code.SIDECAR_MALFORMED),
    "claim of two boxes": (
        lambda box: box.part("c2pa.claim.v2").children.append(Box(b"cbor", b"\xa0")),
        Code.SIDECAR_UNKNOWN_BOX,
    ),
    "empty signature": (lambda box: box.part("c2pa.signature").children.pop(), Code.SIDECAR_UNKNOWN_BOX),
    "assertion of two boxes": (
        lambda box: box.assertions.part(profile.STATEMENT).children.append(Box(b"cbor", b"\xa0")),
        Code.ASSERTION_CHANGED,
    ),
    "unknown box among assertions": (
        lambda box: box.assertions.children.append(Box(b"free", b"")),
        Code.SIDECAR_UNKNOWN_BOX,
    ),
    "assertion twice": (
        lambda box: box.assertions.children.append(box.assertions.part(profile.STATEMENT)),
        Code.SIDECAR_DUPLICATE_BOX,
    ),
    # what the claim covers
    "assertion that nobody signed": (
        lambda box: box.assertions.children.append(cbor_box("dev.atlas.note", {})),
        Code.ASSERTION_UNSIGNED,
    ),
    "evidence that nobody signed": (
        lambda box: box.assertions.children.append(cbor_box(profile.EVIDENCE, {"json": "{}"})),
        Code.ASSERTION_UNSIGNED,
    ),
    "statement left out": (drop(profile.STATEMENT), Code.ASSERTION_MISSING),
    "hard binding left out": (drop(profile.HARD_BINDING), Code.ASSERTION_MISSING),
    "ingredient left out": (drop(profile.INGREDIENT), Code.ASSERTION_MISSING),
    "statement changed": (assertion(profile.STATEMENT, b'"epochs":3', b'"epochs":9'), Code.ASSERTION_CHANGED),
    "hash changed": (
        assertion(profile.HARD_BINDING, bytes.fromhex(output().sha256), bytes.fromhex(output(b"evil").sha256)),
        Code.ASSERTION_CHANGED,
    ),
    "link changed": (
        assertion(profile.INGREDIENT, link().box_sha256.encode(), link(b"evil").box_sha256.encode()),
        Code.ASSERTION_CHANGED,
    ),
    "assertion of another manifest": (
        lambda box: box.assertions.children.__setitem__(
            box.assertions.children.index(box.assertions.part(profile.STATEMENT)),
            other_manifest().assertions.part(profile.STATEMENT),
        ),
        Code.ASSERTION_CHANGED,
    ),
    "title changed": (claim_bytes(b"emodel", b"eMODEL"), Code.CLAIM_SIGNATURE_INVALID),
    "generator changed": (claim_bytes(b"atlas-provenance", b"ATLAS-provenance"), Code.CLAIM_SIGNATURE_INVALID),
    # the signature
    "signature of another claim": (signature_of(OTHER), Code.CLAIM_SIGNATURE_INVALID),
    "signature of zeros": (cose(3, bytes(64)), Code.CLAIM_SIGNATURE_INVALID),
    "signature of ones": (cose(3, b"\xff" * 64), Code.CLAIM_SIGNATURE_INVALID),
    "signature too short": (cose(3, bytes(63)), Code.CLAIM_MALFORMED),
    "signature that is none": (cose(3, None), Code.CLAIM_MALFORMED),
    "attached payload": (cose(2, b"claim"), Code.CLAIM_MALFORMED),
    "unprotected extras": (cose(1, {"pad": b"", "x": 1}), Code.CLAIM_MALFORMED),
    "unprotected certificates": (cose(1, {33: b""}), Code.CLAIM_MALFORMED),
    "pad with a message": (cose(1, {"pad": b"\0\0hello"}), Code.CLAIM_MALFORMED),
    "pad that is a list": (cose(1, {"pad": [0, 0]}), Code.CLAIM_MALFORMED),
    "unprotected list": (cose(1, []), Code.CLAIM_MALFORMED),
    "header that is a map": (cose(0, {}), Code.CLAIM_MALFORMED),
    "header that is not CBOR": (cose(0, b"\xff"), Code.CLAIM_MALFORMED),
    "header that is a list": (cose(0, b"\x80"), Code.CLAIM_MALFORMED),
}


@pytest.mark.parametrize("name", STORE)
def test_store_changed(name: str) -> None:
    change, code = STORE[name]

    assert rejected(edit_store(RAW, change)).code is code


@pytest.mark.parametrize("name", MANIFEST)
def test_manifest_changed(name: str) -> None:
    change, code = MANIFEST[name]
    raw = edit(RAW, change)

    assert raw != RAW
    assert rejected(raw).code is code


@pytest.mark.parametrize("rest", [b"\0", b"\0" * 8, b"hello", RAW])
def test_trailing_bytes(rest: bytes) -> None:
    refused = rejected(RAW + rest)

    assert (refused.code, refused.found) == (Code.SIDECAR_TRAILING_BYTES, f"{len(rest)} bytes")


@pytest.mark.parametrize(
    "change",
    [lambda raw: raw + b"\0", lambda raw: edit_store(raw, lambda store: store.children.insert(1, other_manifest()))],
    ids=["trailing bytes", "hidden manifest"],
)
def test_the_c2pa_library_alone_would_not_do(change: Callable[[bytes], bytes]) -> None:
    """If this fails, the library has become stricter: good, and our own check stays."""
    assert opinion(change(RAW), ASSET, ISSUER).state == "Trusted"


@pytest.mark.parametrize("content", [b"\xa0\0", b"\xbf\xff", b"\xa1\x18\x01\0", b"\xff", b"", b"\x80", b"\xa1\x61\x61"])
def test_claim_in_another_encoding(content: bytes) -> None:
    def change(box: Box) -> None:
        box.part("c2pa.claim.v2").children[1].data = content

    assert rejected(edit(RAW, change)).code is Code.CLAIM_MALFORMED


def test_signature_without_its_tag() -> None:
    def change(box: Box) -> None:
        box.part("c2pa.signature").cbor = box.part("c2pa.signature").cbor.value

    assert rejected(edit(RAW, change)).code is Code.CLAIM_MALFORMED


def test_padding_changes_no_claim() -> None:
    """Whoever stores a sidecar can make its padding longer; the signed bytes stay what they were."""
    longer = edit(RAW, cose(1, {"pad": bytes(50)}))
    one, two = parse_manifest(RAW), parse_manifest(longer)

    assert longer != RAW
    assert (one.to_be_signed, one.signature, one.statement) == (two.to_be_signed, two.signature, two.statement)
    assert one.box_sha256 != two.box_sha256


# ------------------------------------------------------------------------------------------------ with a trusted key


def values(label: str, **changes: object) -> Values:
    """Set or (with None) remove fields of an assertion."""

    def change(assertions: dict[str, Any]) -> None:
        content = dict(assertions[label])
        for name, value in changes.items():
            if value is None:
                content.pop(name)
            else:
                content[name] = value
        assertions[label] = content

    return change


def without(label: str) -> Values:
    return lambda assertions: assertions.pop(label)


def plus(label: str, value: object) -> Values:
    return lambda assertions: assertions.update({label: value})


def say(text: str) -> Values:
    return values(profile.STATEMENT, json=text)


TEXT = dump_statement(STATED).decode()
ELSEWHERE = dump_statement(statement(outputs=(output(b"other"),))).decode()
ASSERTIONS: dict[str, tuple[Values, Code]] = {
    "no statement": (without(profile.STATEMENT), Code.ASSERTION_MISSING),
    "no hard binding": (without(profile.HARD_BINDING), Code.ASSERTION_MISSING),
    "no actions": (without(profile.ACTIONS), Code.C2PA_REJECTED),
    "unknown assertion": (plus("dev.atlas.note", {}), Code.SIDECAR_UNKNOWN_BOX),
    "two statements": (plus(profile.STATEMENT + "__1", {"json": TEXT}), Code.SIDECAR_UNKNOWN_BOX),
    "statement that is a list": (plus(profile.STATEMENT, [TEXT]), Code.CLAIM_MALFORMED),
    "statement without text": (values(profile.STATEMENT, json=None), Code.CLAIM_MALFORMED),
    "statement in bytes": (values(profile.STATEMENT, json=TEXT.encode()), Code.CLAIM_MALFORMED),
    "statement not canonical": (say(TEXT.replace(":3", ": 3")), Code.STATEMENT_NOT_CANONICAL),
    "statement of another version": (say(TEXT.replace("/v1", "/v9")), Code.STATEMENT_VERSION_UNKNOWN),
    "statement malformed": (say(TEXT.replace('"unmeasured"', '"unmeasurex"')), Code.STATEMENT_MALFORMED),
    "statement with a lone surrogate": (say(TEXT.replace("run-1", "\\ud800")), Code.STATEMENT_MALFORMED),
    "statement about another output": (say(ELSEWHERE), Code.STATEMENT_ASSET_MISMATCH),
    "bound to another artifact": (
        values(profile.HARD_BINDING, hash=bytes.fromhex(output(b"other").sha256)),
        Code.STATEMENT_ASSET_MISMATCH,
    ),
    "exclusions": (
        values(profile.HARD_BINDING, exclusions=[{"start": 0, "length": 4}]),
        Code.HARD_BINDING_INVALID,
    ),
    "empty exclusions": (values(profile.HARD_BINDING, exclusions=[]), Code.HARD_BINDING_INVALID),
    "two hard bindings": (
        plus("c2pa.hash.data__1", {"name": "x", "alg": "sha256", "hash": bytes(32), "pad": b""}),
        Code.SIDECAR_UNKNOWN_BOX,
    ),
    "binding by boxes": (plus("c2pa.hash.boxes", {"boxes": []}), Code.SIDECAR_UNKNOWN_BOX),
    "soft binding": (plus("c2pa.soft-binding", {}), Code.SIDECAR_UNKNOWN_BOX),
    "binding by SHA-512": (values(profile.HARD_BINDING, alg="sha512", hash=bytes(64)), Code.HARD_BINDING_INVALID),
    "binding by nothing": (values(profile.HARD_BINDING, hash=b""), Code.HARD_BINDING_INVALID),
    "binding in text": (values(profile.HARD_BINDING, hash=output().sha256), Code.HARD_BINDING_INVALID),
    "binding without alg": (values(profile.HARD_BINDING, alg=None), Code.HARD_BINDING_INVALID),
    "binding that is a list": (plus(profile.HARD_BINDING, []), Code.CLAIM_MALFORMED),
    "binding with a message": (values(profile.HARD_BINDING, pad=b"hello"), Code.HARD_BINDING_INVALID),
    "binding with a number for a pad": (values(profile.HARD_BINDING, pad=5), Code.HARD_BINDING_INVALID),
    "binding with more padding": (values(profile.HARD_BINDING, pad2=bytes(5)), Code.HARD_BINDING_INVALID),
    "evidence without text": (plus(profile.EVIDENCE, {"json": 1}), Code.CLAIM_MALFORMED),
    "evidence that is text": (plus(profile.EVIDENCE, "{}"), Code.CLAIM_MALFORMED),
    "ingredient dropped": (without(profile.INGREDIENT), Code.INGREDIENT_MISMATCH),
    "ingredient added": (
        lambda assertions: assertions.update({profile.INGREDIENT + "__1": assertions[profile.INGREDIENT]}),
        Code.INGREDIENT_MISMATCH,
    ),
    "ingredient renumbered": (
        lambda assertions: assertions.update({profile.INGREDIENT + "__1": assertions.pop(profile.INGREDIENT)}),
        Code.INGREDIENT_MISMATCH,
    ),
    "ingredient that is a list": (plus(profile.INGREDIENT, []), Code.CLAIM_MALFORMED),
    "ingredient of another version": (plus("c2pa.ingredient.v2", {}), Code.SIDECAR_UNKNOWN_BOX),
    "ingredient with a label of its own": (plus(profile.INGREDIENT + "__x", {}), Code.SIDECAR_UNKNOWN_BOX),
    "ingredient linked elsewhere": (
        values(profile.INGREDIENT, metadata={profile.LINK: vars(link(b"other"))}),
        Code.INGREDIENT_MISMATCH,
    ),
    "ingredient without its link": (values(profile.INGREDIENT, metadata=None), Code.INGREDIENT_MISMATCH),
    "ingredient of other bytes": (
        values(profile.INGREDIENT, instanceID=profile.instance_id(output().sha256)),
        Code.INGREDIENT_MISMATCH,
    ),
    "ingredient of another name": (values(profile.INGREDIENT, **{"dc:title": "x"}), Code.INGREDIENT_MISMATCH),
    "ingredient as parent": (values(profile.INGREDIENT, relationship="parentOf"), Code.INGREDIENT_MISMATCH),
    "ingredient with a thumbnail": (values(profile.INGREDIENT, thumbnail={"url": "x"}), Code.INGREDIENT_MISMATCH),
    "ingredient with results": (values(profile.INGREDIENT, validationResults={}), Code.INGREDIENT_EMBEDDED),
    "ingredient with a manifest": (values(profile.INGREDIENT, activeManifest={}), Code.INGREDIENT_EMBEDDED),
    "ingredient with data": (values(profile.INGREDIENT, data={"url": "x"}), Code.INGREDIENT_EMBEDDED),
}


@pytest.mark.parametrize("name", ASSERTIONS)
def test_assertions_signed_in_bad_faith(name: str) -> None:
    change, code = ASSERTIONS[name]

    assert rejected(rewrite(RAW, CREDENTIAL, assertions=change)).code is code


def test_assertion_in_json() -> None:
    def change(box: Box) -> None:
        (old,) = (each for each in box.assertions.children[1:] if each.label == profile.STATEMENT)
        new = super_box(b"json", profile.STATEMENT, Box(b"json", b"{}"))
        box.assertions.children[box.assertions.children.index(old)] = new

    assert rejected(rewrite(RAW, CREDENTIAL, boxes=change)).code is Code.SIDECAR_UNKNOWN_BOX


@pytest.mark.parametrize("content", [b"\xa1\x64json\x78\x01x", b"\xbf\xff", b"\xa1\x64json\x61x\0", b"\xa1"])
def test_assertion_in_another_encoding(content: bytes) -> None:
    def change(box: Box) -> None:
        box.assertions.part(profile.STATEMENT).children[1].data = content

    assert rejected(rewrite(RAW, CREDENTIAL, boxes=change)).code is Code.CLAIM_MALFORMED


def first(claim: dict[str, Any]) -> dict[str, Any]:
    reference: dict[str, Any] = claim["created_assertions"][0]
    return reference


CLAIMS: dict[str, tuple[Values, Code]] = {
    "hash of SHA-512": (lambda claim: claim.update(alg="sha512"), Code.CLAIM_MALFORMED),
    "no alg": (lambda claim: claim.pop("alg"), Code.CLAIM_MALFORMED),
    "signature elsewhere": (lambda claim: claim.update(signature="self#jumbf=/c2pa/x"), Code.CLAIM_MALFORMED),
    "no signature": (lambda claim: claim.pop("signature"), Code.CLAIM_MALFORMED),
    "no title": (lambda claim: claim.pop("dc:title"), Code.STATEMENT_ASSET_MISMATCH),
    "title of another output": (lambda claim: claim.update({"dc:title": "x"}), Code.STATEMENT_ASSET_MISMATCH),
    "title that is a map": (lambda claim: claim.update({"dc:title": {}}), Code.STATEMENT_ASSET_MISMATCH),
    "no assertions": (lambda claim: claim.update(created_assertions=[]), Code.CLAIM_MALFORMED),
    "assertions that are a map": (lambda claim: claim.update(created_assertions={}), Code.CLAIM_MALFORMED),
    "assertion not referred to": (lambda claim: claim["created_assertions"].pop(), Code.ASSERTION_UNSIGNED),
    "assertion referred to twice": (
        lambda claim: claim["created_assertions"].append(first(claim)),
        Code.CLAIM_MALFORMED,
    ),
    "reference to nothing": (
        lambda claim: claim["created_assertions"].append(
            {"url": "self#jumbf=c2pa.assertions/dev.atlas.evidence", "hash": bytes(32)}
        ),
        Code.ASSERTION_MISSING,
    ),
    "reference to elsewhere": (lambda claim: first(claim).update(url="https://example.com"), Code.CLAIM_MALFORMED),
    "reference that is text": (lambda claim: claim["created_assertions"].append("x"), Code.CLAIM_MALFORMED),
    "reference without hash": (lambda claim: first(claim).pop("hash"), Code.CLAIM_MALFORMED),
    "reference by another hash": (lambda claim: first(claim).update(alg="sha384"), Code.CLAIM_MALFORMED),
    "reference with a wrong hash": (lambda claim: first(claim).update(hash=bytes(32)), Code.ASSERTION_CHANGED),
    "gathered assertion": (
        lambda claim: claim.update(gathered_assertions=[claim["created_assertions"].pop()]),
        Code.ASSERTION_UNSIGNED,
    ),
    "gathered and created": (
        lambda claim: claim.update(gathered_assertions=[first(claim)]),
        Code.ASSERTION_UNSIGNED,
    ),
    "no generator": (lambda claim: claim.pop("claim_generator_info"), Code.C2PA_REJECTED),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_signed_in_bad_faith(name: str) -> None:
    change, code = CLAIMS[name]

    assert rejected(rewrite(RAW, CREDENTIAL, claim=change)).code is code


def header(number: int, value: object) -> Callable[[Signature], object]:
    return lambda signature: signature.header.update({number: value})


def chain(*after: object) -> Callable[[Signature], object]:
    """A chain that begins with the right certificate."""
    return lambda signature: signature.header.update({33: [signature.header[33], *after]})


CERTIFICATE = CREDENTIAL.chain[0]
SIGNATURES: dict[str, tuple[Callable[[Signature], object], Code]] = {
    "another algorithm": (header(1, -35), Code.CLAIM_MALFORMED),
    "no algorithm": (lambda signature: signature.header.pop(1), Code.CLAIM_MALFORMED),
    "critical header": (header(2, [4]), Code.CLAIM_MALFORMED),
    "key id": (header(4, b"k"), Code.CLAIM_MALFORMED),
    "no certificate": (lambda signature: signature.header.pop(33), Code.CLAIM_MALFORMED),
    "certificate that is none": (header(33, b"certificate"), Code.CLAIM_MALFORMED),
    "certificate that is text": (header(33, "certificate"), Code.CLAIM_MALFORMED),
    "empty chain": (header(33, []), Code.CLAIM_MALFORMED),
    "chain with text": (chain("x"), Code.CLAIM_MALFORMED),
    "chain with garbage": (chain(b"x"), Code.CLAIM_MALFORMED),
    "chain of five": (chain(*[b"x"] * 4), Code.CLAIM_MALFORMED),
    "certificate with trailing bytes": (
        lambda signature: signature.header.update({33: signature.header[33] + b"\0"}),
        Code.CLAIM_MALFORMED,
    ),
    "another tag": (lambda signature: setattr(signature, "tag", 98), Code.CLAIM_MALFORMED),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_made_in_bad_faith(name: str) -> None:
    change, code = SIGNATURES[name]

    assert rejected(rewrite(RAW, CREDENTIAL, signature=change)).code is code


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_signed_is_read_or_rejected(data: st.DataObject) -> None:
    """One value of the claim or of an assertion is replaced by anything at all: no other exception, ever."""
    where = data.draw(st.sampled_from(["claim", *(each.label for each in twin().assertions.children[1:])]))
    value = data.draw(anything)

    def put(content: Any) -> Any:
        if not isinstance(content, dict | list) or not content or data.draw(st.booleans()):
            return value
        if isinstance(content, list):
            place = data.draw(st.integers(0, len(content) - 1))
            return [*content[:place], put(content[place]), *content[place + 1 :]]
        name = data.draw(st.sampled_from(sorted(content)))
        return {**content, name: put(content[name])}

    def change_claim(claim: dict[str, Any]) -> None:
        name = data.draw(st.sampled_from(sorted(claim)))
        claim[name] = put(claim[name])

    def change_assertion(assertions: dict[str, Any]) -> None:
        assertions[where] = put(assertions[where])

    if where == "claim":
        raw = rewrite(RAW, CREDENTIAL, claim=change_claim)
    else:
        raw = rewrite(RAW, CREDENTIAL, assertions=change_assertion)
    try:
        manifest = verify_manifest(raw, TRUST).manifest
    except Rejected:
        return
    assert manifest.asset_sha256 == output().sha256
    assert manifest.statement.outputs == STATED.outputs


# ------------------------------------------------------------------------------------------------ with the C2PA library


def test_gathered_assertion() -> None:
    def gather(definition: dict[str, Any]) -> None:
        definition["assertions"].append({"label": "com.example.note", "data": {"x": 1}, "created": False})

    raw = forge(STATED, CREDENTIAL, patch=gather)

    assert read_box(raw).children[1].part("c2pa.claim.v2").cbor["gathered_assertions"]
    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.ASSERTION_UNSIGNED


def test_wrong_digest() -> None:
    raw = forge(STATED, CREDENTIAL, digest=bytes.fromhex(output(b"other").sha256))

    assert opinion(raw, b"other", ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.STATEMENT_ASSET_MISMATCH


def test_statement_that_is_not_canonical() -> None:
    raw = forge(STATED, CREDENTIAL, raw=dump_statement(STATED) + b"\n")

    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.STATEMENT_NOT_CANONICAL


def embedded(parent: bytes, parent_asset: bytes) -> bytes:
    """A child that embeds its parent with its own word on whether it is valid."""
    reader = c2pa.Reader(profile.SIDECAR_FORMAT, io.BytesIO(parent_asset), parent, context=profile.context())

    def embed(definition: dict[str, Any]) -> None:
        (ingredient,) = definition["ingredients"]
        ingredient["validation_results"] = reader.get_validation_results()
        ingredient["manifest_data"] = {"format": "application/c2pa", "identifier": "parent.c2pa"}

    return forge(STATED, CREDENTIAL, patch=embed, resources={"parent.c2pa": parent})


def hide_store(raw: bytes) -> bytes:
    """Leave the embedded parent out, so that only the ingredient tells of it."""
    return edit_store(raw, lambda store: store.children.pop(1))


@pytest.mark.parametrize("asset", [ASSET, b"other bytes"], ids=["sound", "bound to other bytes"])
def test_laundered_parent(asset: bytes) -> None:
    """The parent's signer is nobody, and its artifact was changed; the C2PA library says `Trusted` all the same."""
    stranger = authority("a stranger")
    parent = forge(STATED, leaf(stranger))
    raw = embedded(parent, asset)

    assert len(read_box(raw).children) == 3
    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.SIDECAR_HIDDEN_MANIFEST
    assert rejected(hide_store(raw)).code is Code.INGREDIENT_EMBEDDED


def test_embedded_parent_that_is_sound() -> None:
    raw = embedded(OTHER, ASSET)

    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.SIDECAR_HIDDEN_MANIFEST
    assert rejected(hide_store(raw)).code is Code.INGREDIENT_EMBEDDED


def test_ingredient_that_the_statement_does_not_have() -> None:
    def add(definition: dict[str, Any]) -> None:
        definition["ingredients"].append({**definition["ingredients"][0], "label": "in1", "title": "smuggled"})

    raw = forge(STATED, CREDENTIAL, patch=add)

    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.INGREDIENT_MISMATCH


def test_ingredient_that_only_the_statement_has() -> None:
    two = statement(inputs=(source(), source(b"poison\n", name="poison")))
    raw = forge(STATED, CREDENTIAL, raw=dump_statement(two))

    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.INGREDIENT_MISMATCH


def test_ingredient_with_another_link_than_the_statement() -> None:
    linked = statement(inputs=(source(link=link(b"other")),))
    raw = forge(STATED, CREDENTIAL, raw=dump_statement(linked))

    assert opinion(raw, ASSET, ISSUER).state == "Trusted"
    assert rejected(raw).code is Code.INGREDIENT_MISMATCH


def test_statement_of_another_maker() -> None:
    raw = forge(STATED, CREDENTIAL, raw=dump_statement(statement(maker=step(task="deploy"))))

    assert rejected(raw).code is Code.SIGNER_IDENTITY_MISMATCH
