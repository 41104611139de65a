import re

import pytest

from atlas.catalogue import CATALOGUE
from atlas.codes import Code
from atlas.errors import Rejected


def test_catalogue_is_total() -> None:
    assert list(CATALOGUE) == list(Code), "in the order of the codes, one entry each"


def test_values_are_unique_also_to_who_ignores_case() -> None:
    assert len({each.value.lower() for each in Code}) == len(Code.__members__)


@pytest.mark.parametrize("code", Code, ids=str)
def test_value_is_the_name_in_camel_case(code: Code) -> None:
    assert re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", code.value)
    assert code.value == "".join(word.capitalize() for word in code.name.split("_"))


@pytest.mark.parametrize("code", Code, ids=str)
def test_texts_are_sentences(code: Code) -> None:
    for text in (CATALOGUE[code].meaning, CATALOGUE[code].mend):
        assert text == text.strip()
        assert text[0].isupper()
        assert text.endswith(".")
        assert text.isprintable()


@pytest.mark.parametrize("code", Code, ids=str)
def test_rejected_says_what_its_code_means(code: Code) -> None:
    rejected = Rejected(code)

    assert str(rejected) == CATALOGUE[code].meaning
    assert rejected.mend == CATALOGUE[code].mend
    assert str(Rejected(code, "something more exact")) == "something more exact"
