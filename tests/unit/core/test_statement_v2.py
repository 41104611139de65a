"""Statements that keep something back: version 2, which says nothing that version 1 could say."""

import hashlib
from typing import Any

import pytest
import rfc8785

from atlas.base64url import to_base64url
from atlas.canonical import load_json
from atlas.codes import Code
from atlas.errors import Rejected, StepError
from atlas.statement import SALT_BYTES, TYPE_V1, TYPE_V2, Publisher, Statement, dump_statement, parse_statement
from support import forge

# fixed, so that every process has the same test cases
FIRST, SECOND = sorted(to_base64url(hashlib.sha256(name).digest()) for name in (b"rate", b"depth"))
SALT = to_base64url(bytes(range(SALT_BYTES)))
WHOLE = forge.statement(secret=("pin", "token"), hidden=(FIRST, SECOND), pseudonym=SALT)


def document(stated: Statement = WHOLE) -> dict[str, Any]:
    value: dict[str, Any] = load_json(dump_statement(stated))[0]
    return value


def refused(value: dict[str, Any]) -> Code:
    with pytest.raises(Rejected) as caught:
        parse_statement(rfc8785.dumps(value))
    return caught.value.code


@pytest.mark.parametrize(
    "kept",
    [
        {"secret": ("token",)},
        {"hidden": (FIRST,)},
        {"pseudonym": SALT},
        {"maker": Publisher("acme"), "pseudonym": SALT},
    ],
    ids=["secret", "hidden", "pseudonym", "publisher"],
)
def test_each_makes_it_a_version_2_that_reads_back(kept: dict[str, Any]) -> None:
    stated = forge.statement(**kept)
    assert document(stated)["type"] == TYPE_V2
    assert parse_statement(dump_statement(stated)) == stated


def test_without_any_it_is_the_version_1_that_it_was() -> None:
    told = document(forge.statement())
    assert told["type"] == TYPE_V1
    assert not {"secret", "pseudonym", "_sd_alg"} & told.keys()


def test_digests_stand_beside_the_parameters_as_sd_jwt_has_it() -> None:
    told = document()
    assert told["_sd_alg"] == "sha-256"
    assert told["parameters"] == {"_sd": [FIRST, SECOND], "epochs": 3}
    assert told["secret"] == ["pin", "token"]
    assert parse_statement(dump_statement(WHOLE)).parameters == {"epochs": 3}


def test_a_version_2_that_keeps_nothing_back_is_malformed() -> None:
    told = document(forge.statement()) | {"type": TYPE_V2, "secret": [], "pseudonym": "", "_sd_alg": "sha-256"}
    assert refused(told) is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize("name", ["secret", "pseudonym", "_sd_alg"])
def test_version_1_has_none_of_its_fields(name: str) -> None:
    told = document(forge.statement())
    assert refused({**told, name: document()[name]}) is Code.STATEMENT_MALFORMED


def test_digests_in_a_version_1_are_a_parameter_of_that_name_and_commit_to_nothing() -> None:
    told = document(forge.statement())
    told["parameters"]["_sd"] = [FIRST]
    read = parse_statement(rfc8785.dumps(told))
    assert read.parameters["_sd"] == [FIRST]
    assert read.hidden == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", ["token", "pin"]),
        ("secret", ["pin", "pin"]),
        ("secret", [1]),
        ("secret", "pin"),
        ("pseudonym", SALT[:-1]),
        ("pseudonym", SALT + "="),
        ("pseudonym", None),
        ("_sd_alg", "sha-512"),
    ],
)
def test_fields_that_are_not_what_they_must_be(name: str, value: object) -> None:
    assert refused({**document(), name: value}) is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize("name", ["secret", "pseudonym", "_sd_alg"])
def test_fields_that_are_missing(name: str) -> None:
    told = document()
    del told[name]
    assert refused(told) is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize(
    "digests",
    [[FIRST, FIRST], [SECOND, FIRST], [], [FIRST[:-1]], [FIRST + "="], [1], [None], FIRST, {FIRST: 1}, None, 1],
)
def test_digests_that_are_not_what_they_must_be(digests: object) -> None:
    told = document()
    told["parameters"]["_sd"] = digests
    assert refused(told) is Code.STATEMENT_DIGESTS_MALFORMED


@pytest.mark.parametrize("value", [{"_sd": [FIRST]}, [{"_sd": [FIRST]}], {"a": {"...": FIRST}}, [[{"...": FIRST}]]])
def test_digests_within_a_parameter(value: object) -> None:
    told = document()
    told["parameters"]["config"] = value
    assert refused(told) is Code.STATEMENT_DIGESTS_MALFORMED


def test_a_secret_that_is_told() -> None:
    told = document()
    told["parameters"]["token"] = "x"
    assert refused(told) is Code.PARAMETER_EXPOSED


@pytest.mark.parametrize("kept", [{"secret": ("pin",)}, {"hidden": (FIRST,)}])
def test_a_publisher_has_no_parameters_to_keep_back(kept: dict[str, Any]) -> None:
    assert refused(document(forge.statement(maker=Publisher("acme"), **kept))) is Code.STATEMENT_MALFORMED


@pytest.mark.parametrize("parameters", [{"_sd": 1}, {"...": 1}, {"config": [{"_sd": 1}]}])
def test_reserved_names_are_not_written(parameters: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="named"):
        dump_statement(forge.statement(parameters=parameters, secret=("pin",)))
    assert parse_statement(dump_statement(forge.statement(parameters=parameters))).parameters == parameters
