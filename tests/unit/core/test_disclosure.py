"""Disclosures: made, digested as SD-JWT has it, read in one spelling, opened only where they are committed to."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas.base64url import from_base64url, to_base64url
from atlas.canonical import dump_canonical
from atlas.codes import Code
from atlas.disclosure import SALT_BYTES, Disclosure, conceal, parse_disclosure, uses_reserved
from atlas.errors import Rejected, StepError
from atlas.opening import open_parameters
from support import forge

CANARY = "canary-5f3a9c07"
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def encoded(value: Any) -> str:
    return to_base64url(dump_canonical(value))


def refused(text: str) -> Rejected:
    with pytest.raises(Rejected) as caught:
        parse_disclosure(text)
    assert CANARY not in f"{caught.value} {caught.value.expected} {caught.value.found}"
    return caught.value


def test_digest_is_that_of_rfc_9901_section_4_2_3() -> None:
    text = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    assert json.loads(base64.urlsafe_b64decode(text + "="))[1:] == ["family_name", "Möbius"]
    assert Disclosure(text, "family_name", "Möbius").digest == "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"


@given(st.text("abc_", min_size=1).filter(lambda name: name != "_sd"), values)
def test_what_is_concealed_reads_back(name: str, value: Any) -> None:
    made = conceal(name, value)
    read = parse_disclosure(made.encoded)
    assert (read.name, dump_canonical(read.value), read.digest) == (name, dump_canonical(value), made.digest)


def test_each_salt_is_fresh_and_of_128_bits() -> None:
    made = [conceal("lr", 0.5) for _ in range(100)]
    salts = {json.loads(from_base64url(each.encoded))[0] for each in made}
    assert len(salts) == len({each.digest for each in made}) == 100
    assert {len(from_base64url(each)) for each in salts} == {SALT_BYTES} == {16}


@pytest.mark.parametrize("value", [float("nan"), 2**60, "\ud800", {1, 2}, {"a": {"_sd": 1}}, [{"...": CANARY}]])
def test_what_cannot_be_concealed_is_said_without_the_value(value: Any) -> None:
    with pytest.raises(StepError) as caught:
        conceal("lr", [CANARY, value])
    assert "lr" in str(caught.value)
    assert CANARY not in str(caught.value)


SALT = "A" * 22


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "é",
        encoded([SALT, "lr", CANARY])[:-1],
        encoded([SALT, "lr", CANARY]) + "=",
        encoded([SALT, "lr", CANARY]) + "\n",
        to_base64url(json.dumps([SALT, "lr", CANARY]).encode()),
        to_base64url(b'["' + SALT.encode() + b'","lr",{"a":1,"a":2}]'),
        to_base64url(b"\xff"),
        to_base64url(b"[" * 100_000),
        encoded({"salt": SALT}),
        encoded([SALT, CANARY]),
        encoded([SALT, "lr", CANARY, 1]),
        encoded(["A" * 21, "lr", CANARY]),
        encoded(["A" * 20 + "==", "lr", CANARY]),
        encoded(["", "lr", CANARY]),
        encoded([1, "lr", CANARY]),
        encoded([SALT, 1, CANARY]),
        encoded([SALT, "_sd", [CANARY]]),
        encoded([SALT, "...", CANARY]),
        encoded([SALT, "lr", {"_sd": [CANARY]}]),
        encoded([SALT, "lr", "x" * (1 << 20)]),
    ],
)
def test_another_spelling_is_malformed(text: str) -> None:
    assert refused(text).code is Code.DISCLOSURE_MALFORMED


@given(st.text(max_size=60) | st.binary(max_size=60).map(to_base64url))
def test_whatever_the_text_only_a_rejection_comes_out(text: str) -> None:
    assert refused(text).code is Code.DISCLOSURE_MALFORMED


def test_deep_values_are_searched_for_reserved_names() -> None:
    deep: Any = {"_sd": 1}
    for _ in range(5000):
        deep = [deep]
    assert uses_reserved(deep)
    assert not uses_reserved([{"sd": ["_sd", "..."]}])


class TestOpening:
    RATE, DEPTH = conceal("rate", 0.5), conceal("depth", 8)
    STATED = forge.statement(
        hidden=tuple(sorted((RATE.digest, DEPTH.digest))), secret=("token",), parameters={"epochs": 3}
    )

    def opening(self, *disclosures: Disclosure, **changes: Any) -> dict[str, Any]:
        stated = forge.statement(**{**vars(self.STATED), **changes})
        return {name: each.value for name, each in open_parameters(stated, [d.encoded for d in disclosures]).items()}

    def refusing(self, *disclosures: Disclosure, **changes: Any) -> Code:
        with pytest.raises(Rejected) as caught:
            self.opening(*disclosures, **changes)
        assert "0.5" not in f"{caught.value} {caught.value.expected} {caught.value.found}"
        return caught.value.code

    def test_one_or_all_or_none(self) -> None:
        assert self.opening() == {}
        assert self.opening(self.RATE) == {"rate": 0.5}
        assert self.opening(self.DEPTH, self.RATE) == {"rate": 0.5, "depth": 8}

    def test_another_value_is_not_committed_to(self) -> None:
        salt = json.loads(from_base64url(self.RATE.encoded))[0]
        assert self.refusing(Disclosure(encoded([salt, "rate", 0.25]), "", 0)) is Code.DISCLOSURE_INVALID

    def test_another_salt_is_not_committed_to(self) -> None:
        assert self.refusing(conceal("rate", 0.5)) is Code.DISCLOSURE_INVALID

    def test_another_statement_does_not_commit_to_it(self) -> None:
        assert self.refusing(self.RATE, hidden=(self.DEPTH.digest,)) is Code.DISCLOSURE_INVALID
        assert self.refusing(self.RATE, hidden=()) is Code.DISCLOSURE_INVALID

    def test_a_told_parameter_keeps_its_value(self) -> None:
        assert self.refusing(self.RATE, parameters={"rate": 0.1}) is Code.DISCLOSURE_CONFLICT

    def test_a_secret_parameter_has_none(self) -> None:
        assert self.refusing(self.RATE, secret=("rate",)) is Code.DISCLOSURE_CONFLICT

    def test_a_parameter_has_one_value(self) -> None:
        again = conceal("rate", 0.25)
        hidden = tuple(sorted((self.RATE.digest, again.digest)))
        assert self.refusing(self.RATE, again, hidden=hidden) is Code.DISCLOSURE_CONFLICT
