"""Model signatures in an archive: each is verified again, from bytes that nobody believes."""

import datetime as dt
import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from atlas.artifact import Kind, measure
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.interop.oms import SignedModel
from atlas.interop.oms_record import dump_record, record_of
from atlas.interop.verify import EPOCH, read_manifest, verify_signed
from atlas.log.encoding import to_base64
from atlas.statement import Publisher
from atlas.trust import Role
from support import forge
from unit.interop.interop_support import (
    FILES,
    KEY,
    NOBODY,
    keyed,
    measured,
    model,
    signature,
    signed_model,
    single,
    spki,
)
from unit.log.log_support import assert_rejected

ISSUER = forge.authority("models")
ACME = forge.leaf(ISSUER, Publisher("acme"))
PINNED = forge.trust_root(ISSUER, roles=frozenset({Role.PUBLISHER}))


def signed(folder: Path, signer: Any = ACME, **changes: Any) -> bytes:
    """The record of an honest model."""
    key = None if signer is ACME else spki(signer)
    return dump_record(signature(signed_model(**changes), signer), measured(folder), key)


# ------------------------------------------------------------------------------------------------ what it amounts to


def test_signature_by_a_certificate(tmp_path: Path) -> None:
    trusted = verify_signed(signed(tmp_path), PINNED)
    manifest = trusted.manifest
    assert manifest.statement.maker == Publisher("leaf")
    assert manifest.output
    assert (manifest.output.name, manifest.output.kind, manifest.output.files) == ("model", Kind.TREE, 3)
    assert manifest.asset_sha256 == measure(tmp_path / "model").sha256
    assert trusted.authority.name == "models"
    assert (trusted.valid_from, trusted.valid_until) == (
        ACME.chain[0].not_valid_before_utc,
        ACME.chain[0].not_valid_after_utc,
    )
    assert manifest.signer_sha256 == ACME.chain[0].fingerprint(hashes.SHA256()).hex()
    assert not manifest.is_sidecar


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_signature_by_a_bare_key(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    trusted = verify_signed(signed(tmp_path, key), keyed(key, "hugger"))
    assert trusted.manifest.statement.maker == Publisher("hugger")
    assert trusted.manifest.statement.ended == trusted.valid_from == EPOCH
    assert trusted.manifest.signer_sha256 == hashlib.sha256(spki(key)).hexdigest() == trusted.authority.sha256


def test_signature_of_one_file(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    record = dump_record(signature(single(b"weights")), measure(path), spki(KEY))
    output = verify_signed(record, keyed()).manifest.output
    assert output
    assert (output.kind, output.sha256) == (Kind.FILE, hashlib.sha256(b"weights").hexdigest())


def test_record_says_which_pinned_key_it_was(tmp_path: Path) -> None:
    trust = replace(keyed(), publisher_keys=(*keyed(ec.generate_private_key(ec.SECP256R1())).publisher_keys,
                                             *keyed().publisher_keys))  # fmt: skip
    found = measured(tmp_path)
    file = signature(signed_model())
    assert record_of(file, found, trust) == dump_record(file, found, spki(KEY))


def test_what_the_signature_ignores_is_part_of_what_it_says(tmp_path: Path) -> None:
    found = measured(tmp_path, {**FILES, ".gitattributes": b"*.bin"})
    record = dump_record(signature(signed_model()), found, spki(KEY))
    assert verify_signed(record, keyed()).manifest.ignored == (".gitattributes",)


def test_sidecars_are_read_as_ever() -> None:
    raw = forge.forge(forge.statement(), forge.leaf(ISSUER, forge.step()))
    assert read_manifest(raw).is_sidecar


# ------------------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({**FILES, "a.bin": b"Weights"}, Code.OMS_FILE_CHANGED),
        ({**FILES, "new": b"1"}, Code.OMS_FILE_UNSIGNED),
        ({"a.bin": FILES["a.bin"]}, Code.OMS_FILE_MISSING),
    ],
)
def test_model_with_other_files(tmp_path: Path, files: dict[str, bytes], code: Code) -> None:
    record = dump_record(signature(signed_model(), ACME), measured(tmp_path, files))
    assert_rejected(code, lambda: verify_signed(record, PINNED))


def test_index_that_does_not_hash_to_the_digest(tmp_path: Path) -> None:
    """Who writes to the archive cannot put an honest signature on another model."""
    other = measured(tmp_path, {"a.bin": b"trojan"})
    document = json.loads(signed(tmp_path / "honest"))
    document |= {"sha256": other.sha256, "size": other.size}
    assert_rejected(Code.OMS_MALFORMED, lambda: verify_signed(dump_canonical(document), PINNED))


def test_size_that_is_not_that_of_the_index(tmp_path: Path) -> None:
    document = json.loads(signed(tmp_path)) | {"size": 1}
    assert_rejected(Code.OMS_MALFORMED, lambda: verify_signed(dump_canonical(document), PINNED))


def test_file_for_a_directory(tmp_path: Path) -> None:
    path = model(tmp_path / "m") / "a.bin"
    record = dump_record(signature(signed_model(), ACME), measure(path))
    assert_rejected(Code.OMS_FILE_MISSING, lambda: verify_signed(record, PINNED))


# ------------------------------------------------------------------------------------------------ the signer


def test_signer_that_nobody_pins(tmp_path: Path) -> None:
    record = signed(tmp_path)
    for trust in (NOBODY, keyed(), forge.trust_root(forge.authority("models"))):
        assert_rejected(Code.OMS_SIGNER_UNTRUSTED, partial(verify_signed, record, trust))


def test_key_that_nobody_pins(tmp_path: Path) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert_rejected(Code.OMS_SIGNER_UNTRUSTED, lambda: verify_signed(signed(tmp_path, stranger), keyed()))
    assert_rejected(
        Code.OMS_SIGNER_UNTRUSTED, lambda: record_of(signature(signed_model(), stranger), measured(tmp_path), keyed())
    )


def test_key_of_the_record_is_not_the_signers(tmp_path: Path) -> None:
    """The pinned key on another's signature."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    record = dump_record(signature(signed_model(), stranger), measured(tmp_path), spki(KEY))
    assert_rejected(Code.ENVELOPE_SIGNATURE_INVALID, lambda: verify_signed(record, keyed()))


def test_authority_that_vouches_for_steps_only(tmp_path: Path) -> None:
    trust = forge.trust_root(ISSUER, roles=frozenset({Role.STEP}))
    assert_rejected(Code.SIGNER_ROLE_MISMATCH, lambda: verify_signed(signed(tmp_path), trust))


def test_steps_key_is_no_publishers(tmp_path: Path) -> None:
    step = forge.leaf(ISSUER, forge.step())
    record = dump_record(signature(signed_model(), step), measured(tmp_path))
    assert_rejected(Code.SIGNER_ROLE_MISMATCH, lambda: verify_signed(record, PINNED))


def test_certificate_that_is_not_for_signatures(tmp_path: Path) -> None:
    authority = replace(ACME, key=ISSUER.key, chain=(ISSUER.certificate,))
    record = dump_record(signature(signed_model(), authority), measured(tmp_path))
    assert_rejected(Code.OMS_SIGNER_UNTRUSTED, lambda: verify_signed(record, PINNED))


def test_chain_with_the_root_sent_along(tmp_path: Path) -> None:
    raw = signature(signed_model(), ACME, above=(ISSUER.certificate,))
    assert verify_signed(dump_record(raw, measured(tmp_path)), PINNED).authority.name == "models"


def test_times_are_those_of_the_certificate(tmp_path: Path) -> None:
    begins = forge.now() - dt.timedelta(hours=9)
    late = forge.leaf(ISSUER, Publisher("acme"), begins=begins, ends=begins + dt.timedelta(hours=1))
    trusted = verify_signed(dump_record(signature(signed_model(), late), measured(tmp_path)), PINNED)
    assert trusted.valid_until == begins + dt.timedelta(hours=1)
    assert trusted.manifest.statement.ended == begins


# ------------------------------------------------------------------------------------------------ the record's bytes


def changes(folder: Path) -> dict[str, bytes]:
    """Records that are none."""
    honest = json.loads(signed(folder))
    one = honest | {"publicKey": to_base64(spki(KEY))}
    file = signature(signed_model())
    return {
        "spaces": json.dumps(honest).encode(),
        "another type": dump_canonical(honest | {"type": "dev.atlas.oms/v2"}),
        "a member more": dump_canonical(honest | {"more": 1}),
        "no digest": dump_canonical({**honest, "sha256": None}),
        "a digest that is none": dump_canonical(honest | {"sha256": 1}),
        "an index that is none": dump_canonical(honest | {"index": "x"}),
        "a size that is none": dump_canonical(honest | {"size": True}),
        "an index that is no text": dump_canonical(honest | {"index": 1}),
        "certificate and key": dump_canonical(one),
        "neither": dump_record(file, measured(folder)),
        "a key that is none": dump_record(file, measured(folder), b"key"),
        "a key of another kind": dump_record(file, measured(folder), spki(ec.generate_private_key(ec.SECP256K1()))),
    }


NAMES = [
    "spaces", "another type", "a member more", "no digest", "a digest that is none", "a size that is none",
    "an index that is none", "an index that is no text", "certificate and key", "neither", "a key that is none",
    "a key of another kind",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_record(tmp_path: Path, name: str) -> None:
    raw = changes(tmp_path)[name]
    assert_rejected(Code.OMS_MALFORMED, lambda: read_manifest(raw))


def test_bundle_of_another_content(tmp_path: Path) -> None:
    assert_rejected(Code.BUNDLE_MALFORMED, lambda: read_manifest(dump_record(b"{}", measured(tmp_path), spki(KEY))))


def test_statement_of_another_kind(tmp_path: Path) -> None:
    record = dump_record(signature(b"{}"), measured(tmp_path), spki(KEY))
    assert_rejected(Code.OMS_MALFORMED, lambda: read_manifest(record))


def test_name_of_a_publisher_is_fit_to_print(tmp_path: Path) -> None:
    record = dump_record(signature(SignedModel("a\x1b[2Jb", signed_model().files), KEY), measured(tmp_path), spki(KEY))
    assert_rejected(Code.OMS_MALFORMED, lambda: read_manifest(record))
