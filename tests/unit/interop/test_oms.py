"""The statement of OpenSSF Model Signing: written as its library writes it, and read strictly."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from model_signing import hashing
from model_signing._signing import signing as their_signing

from atlas.artifact import measure, parse_index
from atlas.codes import Code
from atlas.interop.dsse import IN_TOTO, Envelope
from atlas.interop.oms import GIT_PATHS, SignedModel, dump_statement, left_out, read_statement
from unit.interop.interop_support import FILES, changed, model, signed_model, single
from unit.log.log_support import assert_rejected

ORDERED = {"sub/b": b"1", "sub.x": b"2", "sub": b"", "a b/c": b"3", "a": b"", "é": b"4", ".hidden/f": b"5", "Z": b"6"}
"""Names that sort otherwise as text than as paths."""


def read(payload: bytes, payload_type: str = IN_TOTO) -> SignedModel:
    return read_statement(Envelope(payload, payload_type, b""))


def theirs(path: Path) -> dict[str, Any]:
    """What the library states of a model, in its own default way."""
    payload = their_signing.Payload(hashing.hash(path))
    return dict(json.loads(json_format.MessageToJson(payload.statement.pb)))


def ours(path: Path) -> dict[str, Any]:
    asset = measure(path).asset
    assert asset
    files = {name: digest for name, (digest, _) in parse_index(asset).items()}
    return dict(json.loads(dump_statement(SignedModel(path.name, files, GIT_PATHS))))


def test_statement_is_the_librarys(tmp_path: Path) -> None:
    names = {name: content for name, content in ORDERED.items() if content}
    path = model(tmp_path / "m", names)
    mine, other = ours(path), theirs(path)
    for each in (mine, other):  # a set there
        each["predicate"]["serialization"]["ignore_paths"].sort()
    assert mine == other


def test_statement_of_one_file_is_the_librarys(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"weights")
    other = theirs(path)
    mine = json.loads(dump_statement(single(b"weights")))
    assert (mine["subject"], mine["predicate"]["resources"]) == (other["subject"], other["predicate"]["resources"])


def test_what_is_written_reads_back() -> None:
    assert read(dump_statement(signed_model())) == signed_model()


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert read(changed(signed_model(), "predicate", "card", value={})) == signed_model()


PREDICATE, SERIALIZATION, RESOURCES = "predicate", "serialization", "resources"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"no json", "Expecting value"),
        (b"[]", "not an object"),
        (changed(signed_model(), "_type", value="https://in-toto.io/Statement/v0.1"), "its type"),
        (changed(signed_model(), "predicateType", value="https://model_signing/Digests/v0.1"), "its type"),
        (changed(signed_model(), "subject", value=[]), "one subject"),
        (changed(signed_model(), "subject", 0, "name", value=""), "without a name"),
        (changed(signed_model(), "subject", 0, "name", value="a\nb"), "without a name"),
        (changed(signed_model(), "subject", 0, "name", value="a" * 256), "without a name"),
        (changed(signed_model(), "subject", 0, "digest", "sha256", value="00" * 32), "not that of its files"),
        (changed(signed_model(), PREDICATE, SERIALIZATION, "ignore_paths", value=".git"), "ignored paths"),
        (changed(signed_model(), PREDICATE, SERIALIZATION, "ignore_paths", value=[1]), "ignored paths"),
        (changed(signed_model(), PREDICATE, value=1), "not an object"),
        (changed(signed_model(), PREDICATE, RESOURCES, value=[]), "no resources"),
        (changed(signed_model(), PREDICATE, RESOURCES, value={}), "no resources"),
        (changed(signed_model(), PREDICATE, RESOURCES, 0, "algorithm", value="blake2b"), "SHA-256"),
        (changed(signed_model(), PREDICATE, RESOURCES, 0, "digest", value="AB" * 32), "SHA-256"),
        (changed(signed_model(), PREDICATE, RESOURCES, 0, "name", value=1), "without a name"),
        *(
            (changed(signed_model(), PREDICATE, RESOURCES, 0, "name", value=name), "not a path within")
            for name in ("/a", "../a", "a/../b", "./a", "a//b", "a/", "")
        ),
        (changed(signed_model(), PREDICATE, RESOURCES, 0, "name", value="sub.x"), "stands in it twice"),
        (changed(signed_model(), PREDICATE, RESOURCES, 0, "name", value="."), "a file and a directory"),
    ],
)
def test_what_is_no_statement(payload: bytes, message: str) -> None:
    rejected = assert_rejected(Code.OMS_MALFORMED, lambda: read(payload))
    assert message in str(rejected)


def test_payload_of_another_type() -> None:
    assert_rejected(Code.OMS_MALFORMED, lambda: read(dump_statement(signed_model()), "text/plain"))


@pytest.mark.parametrize(("member", "value"), [("method", "shards"), ("hash_type", "blake3")])
def test_serialization_that_no_index_can_be_compared_with(member: str, value: str) -> None:
    payload = changed(signed_model(), PREDICATE, SERIALIZATION, member, value=value)
    assert_rejected(Code.OMS_SERIALIZATION_UNKNOWN, lambda: read(payload))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


PRESENT = {name: sha256(content) for name, content in FILES.items()}


def test_the_files_that_were_signed_are_the_files_that_are_there() -> None:
    assert left_out(signed_model(), PRESENT, "") == ()


@pytest.mark.parametrize(
    ("present", "code", "found"),
    [
        ({**PRESENT, "a.bin": sha256(b"Weights")}, Code.OMS_FILE_CHANGED, "a.bin"),
        ({"a.bin": PRESENT["a.bin"]}, Code.OMS_FILE_MISSING, "no such file"),
        ({**PRESENT, "new": sha256(b"")}, Code.OMS_FILE_UNSIGNED, "new"),
        ({**PRESENT, ".gitmodules": sha256(b"")}, Code.OMS_FILE_UNSIGNED, ".gitmodules"),
        ({**PRESENT, "sub/.git/hook": sha256(b"")}, Code.OMS_FILE_UNSIGNED, "sub/.git/hook"),
    ],
)
def test_files_that_differ(present: dict[str, str], code: Code, found: str) -> None:
    rejected = assert_rejected(code, lambda: left_out(signed_model(), present, ""))
    assert found in rejected.found


def test_what_the_signature_ignores_is_told() -> None:
    present = {**PRESENT, ".git/hook": sha256(b"1"), ".gitattributes": sha256(b"2")}
    assert left_out(signed_model(), present, "") == (".git/hook", ".gitattributes")


def test_signature_cannot_cover_itself() -> None:
    stated = signed_model(ignored=("model.sig",))
    present = {**PRESENT, "model.sig": sha256(b"the signature")}
    assert left_out(stated, present, sha256(b"the signature")) == ()
    assert left_out(stated, present, sha256(b"another file in its place")) == ("model.sig",)


def test_names_are_compared_in_normal_form() -> None:
    decomposed, composed = "e\u0301", "\u00e9"
    stated = read(changed(single(b"x"), PREDICATE, RESOURCES, 0, "name", value=decomposed))
    assert left_out(stated, {composed: sha256(b"x")}, "") == ()
