"""Reading PKCS#11 URIs (RFC 7512); what is done with a token is in tests/cluster."""

from pathlib import Path

import pytest

from atlas import pkcs11
from atlas.errors import InputError
from atlas.pkcs11 import parse_uri
from atlas_components import child

MODULE = "module-path=/usr/lib/softhsm.so"


def test_everything_that_a_uri_can_say() -> None:
    uri = parse_uri(
        f"pkcs11:token=My%20token;serial=%01ab;object=ca%3bkey;id=%ff%00;type=private?{MODULE}&pin-source=/p"
    )
    assert (uri.token, uri.serial, uri.label, uri.id) == ("My token", b"\x01ab", "ca;key", b"\xff\x00")
    assert (uri.module, uri.pin_source) == (Path("/usr/lib/softhsm.so"), Path("/p"))


@pytest.mark.parametrize("source", ["/run/pin", "file:/run/pin", "file:///run/pin", "%2Frun%2Fpin"])
def test_a_pin_source(source: str) -> None:
    assert parse_uri(f"pkcs11:token=t;object=o?{MODULE}&pin-source={source}").pin_source == Path("/run/pin")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a PKCS#11 URI"),
        ("http://example.com", "not a PKCS#11 URI"),
        (f"pkcs11:token=a\nb;object=o?{MODULE}", "not a PKCS#11 URI"),
        (f"pkcs11:token=t?{MODULE}", "does not say token, object and module-path"),
        (f"pkcs11:object=o?{MODULE}", "does not say token, object and module-path"),
        ("pkcs11:token=t;object=o", "does not say token, object and module-path"),
        (f"pkcs11:token=t;object=o;slot-id=1?{MODULE}", "'slot-id', which is not known here"),
        (f"pkcs11:token=t;token=u;object=o?{MODULE}", "'token', which is not known here, empty, or said twice"),
        (f"pkcs11:token=;object=o?{MODULE}", "'token'"),
        (f"pkcs11:token=t;object=o;type=cert?{MODULE}", "of no private key"),
        ("pkcs11:token=t;object=o?module-path=softhsm.so", "module-path is no absolute path"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-source=pin", "pin-source is no absolute path"),
        (f"pkcs11:token=t;object=o?{MODULE}&pin-source=|cat", "pin-source is no absolute path"),
    ],
)
def test_mistakes(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_uri(text)
    assert words in str(caught.value)
    assert caught.value.mend


@pytest.mark.parametrize(
    "place", ["pkcs11:token=t;object=o;pin-value=9157?", "pkcs11:token=t;object=o?pin-value=9157&"]
)
def test_a_pin_in_a_uri_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(InputError, match="a PIN has no place in a URI") as caught:
        parse_uri(place + MODULE)
    assert "9157" not in str(caught.value) + caught.value.mend


def test_the_command_of_a_step_is_not_told_the_pin() -> None:
    assert pkcs11.PIN in child.SECRETS
