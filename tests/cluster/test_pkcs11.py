"""An authority whose key lives in a PKCS#11 token: SoftHSM, through the same module interface as any HSM."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute, ObjectClass

from atlas.errors import TokenError
from atlas.home import Home, open_home
from atlas.pkcs11 import PIN as PIN_VARIABLE
from atlas.pkcs11 import TokenKey, open_key, parse_uri
from cluster.conftest import need
from cluster.softhsm import LABEL, PIN, SoftHsm
from integration.cli.cli_support import Answer, Here, finish, start
from unit.components.support import StepRunner


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    need("softhsm")
    made = SoftHsm(tmp_path)
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.configuration))
    monkeypatch.setenv(PIN_VARIABLE, PIN)
    made.token()
    made.key("ca")
    made.restart()
    library = pkcs11.lib(str(made.module))
    yield made
    library.finalize()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    folder = tmp_path.resolve() / "work"
    folder.mkdir()
    monkeypatch.delenv("ATLAS_HOME", raising=False)
    monkeypatch.chdir(folder)
    return Here(folder, capsys)


@pytest.fixture
def atlas(bare: Here, hsm: SoftHsm) -> Here:
    bare("init", "--key", hsm.uri()).expect(0)
    return bare


def without_pin(answer: Answer) -> Answer:
    assert PIN not in answer.out + answer.err
    return answer


def test_a_home_signs_in_the_token(atlas: Here, hsm: SoftHsm) -> None:
    data = atlas.signed()
    assert atlas("verify", data).expect(0).out.startswith("✓ data.csv holds")
    assert (atlas.home / "ca.key").read_text() == f"{hsm.uri()}\n"
    assert stat.S_IMODE((atlas.home / "ca.key").stat().st_mode) == 0o600
    issuer = Home(atlas.home).issuer()
    issuer.certificate.verify_directly_issued_by(issuer.certificate)
    atlas("keys", "list").expect(0)


def test_nothing_of_the_key_or_the_pin_is_in_the_home(bare: Here, hsm: SoftHsm) -> None:
    secret = hsm.key("other", id="02")
    hsm.restart()
    bare("init", "--key", hsm.uri("other")).expect(0)
    data = bare.signed()
    scalar = serialization.load_der_private_key(secret, None)
    assert isinstance(scalar, ec.EllipticCurvePrivateKey)
    number = scalar.private_numbers().private_value.to_bytes(32, "big")
    for path in (*bare.home.rglob("*"), *data.parent.glob("*.c2pa")):
        if path.is_file():
            assert not [each for each in (number, PIN.encode()) if each in path.read_bytes()], path


def test_the_key_gives_nothing_away(hsm: SoftHsm) -> None:
    key = open_key(parse_uri(hsm.uri()))
    assert (key.key_size, key.curve.name) == (256, "secp256r1")
    plain = (serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for action in (
        key.private_numbers,
        lambda: key.private_bytes(*plain),
        lambda: key.exchange(ec.ECDH(), key.public_key()),
    ):
        with pytest.raises(UnsupportedAlgorithm, match="never leaves its token"):
            action()
    with pytest.raises(UnsupportedAlgorithm, match="SHA-256 only"):
        key.sign(b"", ec.ECDSA(hashes.SHA384()))


def test_signing_again_gives_a_home_with_the_same_key(atlas: Here, hsm: SoftHsm) -> None:
    before = (atlas.home / "ca.pem").read_bytes()
    atlas("init", "--key", hsm.uri()).expect(0)
    atlas("init").expect(0)
    atlas("init", "--key", hsm.uri("another")).refused("has another key", "keys rotate")
    assert (atlas.home / "ca.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("label", "token", "words"),
    [
        ("ca", "absent", "there is no such token"),
        ("absent", LABEL, "no private key of this name"),
        ("twins", LABEL, "several private keys of this name"),
        ("p384", LABEL, "not on the curve P-256"),
        ("alone", LABEL, "not just one public half"),
    ],
)
def test_a_key_that_cannot_be_used(bare: Here, hsm: SoftHsm, label: str, token: str, words: str) -> None:
    hsm.key("twins", id="11")
    hsm.key("twins", id="12")
    hsm.key("p384", id="13", curve=ec.SECP384R1())
    hsm.key("alone", id="14")
    hsm.restart()
    with pkcs11.lib(str(hsm.module)).get_token(token_label=LABEL).open(user_pin=PIN, rw=True) as session:
        [public] = session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.LABEL: "alone"})
        public.destroy()
    without_pin(bare("init", "--key", hsm.uri(label, token)).refused(words))
    assert not bare.home.exists()
    assert list(bare.folder.iterdir()) == []


def test_two_keys_of_one_label_are_told_apart_by_id(hsm: SoftHsm) -> None:
    hsm.key("twins", id="11")
    hsm.key("twins", id="12")
    hsm.restart()
    uri = f"pkcs11:token={LABEL};object=twins;id=%12?module-path={hsm.module}"
    assert open_key(parse_uri(uri)).sign(b"data", ec.ECDSA(hashes.SHA256()))


def test_a_wrong_pin(bare: Here, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN_VARIABLE, "11112222")
    answer = bare("init", "--key", hsm.uri()).refused("the PIN is wrong")
    assert "11112222" not in answer.err
    assert not bare.home.exists()


def test_no_pin(bare: Here, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PIN_VARIABLE)
    bare("init", "--key", hsm.uri()).refused("needs a PIN", PIN_VARIABLE, "pin-source")
    assert not bare.home.exists()


def test_a_pin_from_a_file(bare: Here, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN_VARIABLE, "wrong")
    pin = hsm.folder / "pin"
    pin.write_text(f"{PIN}\n")
    uri = hsm.uri(pin_source=pin)
    pin.chmod(0o644)
    without_pin(bare("init", "--key", uri).refused("others may read this PIN", "chmod 600"))
    pin.chmod(0o600)
    bare("init", "--key", uri).expect(0)
    bare.signed()
    pin.unlink()
    bare("sign", bare.file("b.csv"), "--type", "dataset").refused("the PIN cannot be read")


def test_a_module_that_is_none(bare: Here, hsm: SoftHsm) -> None:
    for module in ("/nonexistent.so", "/etc/passwd"):
        uri = f"pkcs11:token={LABEL};object=ca?module-path={module}"
        without_pin(bare("init", "--key", uri).refused("module cannot be loaded"))
    assert not bare.home.exists()


def test_a_token_lost_between_two_signatures(atlas: Here, hsm: SoftHsm) -> None:
    key = open_key(parse_uri(hsm.uri()))
    assert key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    shutil.move(hsm.tokens, hsm.folder / "away")
    hsm.tokens.mkdir()
    with pytest.raises(TokenError) as caught:
        key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    assert LABEL in str(caught.value)
    data = atlas.file("lost.csv")
    without_pin(atlas("sign", data, "--type", "dataset").expect(2, "token 'atlas'", "mend: "))
    assert not data.with_name("lost.csv.c2pa").exists()
    assert not list((atlas.home / "inbox").iterdir())
    hsm.tokens.rmdir()
    shutil.move(hsm.folder / "away", hsm.tokens)
    hsm.restart()
    assert key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    atlas("sign", data, "--type", "dataset").expect(0)


def test_a_key_exchanged_in_the_token(atlas: Here, hsm: SoftHsm) -> None:
    """Another key under the same name: what it signs is not what the public half says."""
    key = open_key(parse_uri(hsm.uri()))
    shutil.rmtree(hsm.tokens)
    hsm.tokens.mkdir()
    hsm.restart()
    hsm.token()
    hsm.key("ca")
    hsm.restart()
    with pytest.raises(TokenError, match="signs with another key"):
        key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    atlas("sign", atlas.file("data.csv"), "--type", "dataset").expect(2, "ca.key is not the key of ca.pem")


class Refusing:
    """A double of a module: a token whose login is refused in a way that SoftHSM knows not."""

    def __init__(self, error: pkcs11.PKCS11Error) -> None:
        self._error = error

    def get_token(self, **_: object) -> "Refusing":
        return self

    def open(self, **_: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (pkcs11.PinLocked(), "locked after too many wrong PINs"),
        (pkcs11.PinExpired(), "the PIN has expired"),
        (pkcs11.MultipleTokensReturned(), "several such tokens"),
        (pkcs11.TokenNotPresent(), "does not answer (TokenNotPresent)"),
        (pkcs11.DeviceRemoved(), "does not answer (DeviceRemoved)"),
        (pkcs11.SessionHandleInvalid(), "does not answer (SessionHandleInvalid)"),
    ],
)
def test_refusals_that_a_token_in_software_does_not_know(
    hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch, error: pkcs11.PKCS11Error, words: str
) -> None:
    uri = parse_uri(hsm.uri())
    monkeypatch.setattr(pkcs11, "lib", lambda _: Refusing(error))
    with pytest.raises(TokenError) as caught:
        open_key(uri)
    assert words in str(caught.value)
    assert caught.value.mend


def test_without_the_extra(bare: Here, hsm: SoftHsm) -> None:
    blocked = "import sys; sys.modules['pkcs11'] = None; from atlas.cli import main; main()"
    answer = finish(start(bare.folder, "init", "--key", hsm.uri(), program=blocked))
    answer.expect(2, "needs python-pkcs11", "atlas-provenance[pkcs11]")
    assert not bare.home.exists()


def test_rotation_into_a_token_and_to_its_next_key(bare: Here, hsm: SoftHsm) -> None:
    hsm.key("next", id="02")
    hsm.restart()
    bare("init").expect(0)
    first = bare.signed("first.csv")
    file = (bare.home / "ca.key").read_bytes()
    bare("keys", "rotate", "--authority", "--key", hsm.uri()).expect(0)
    second = bare.signed("second.csv", "second\n")
    assert file not in (bare.home / "ca.key").read_bytes()
    bare("keys", "rotate", "--authority").refused("the present key is in a token", "--key")
    bare("keys", "rotate", "--authority", "--key", hsm.uri()).refused("the present authority has this key")
    bare("keys", "rotate", "--log", "--key", hsm.uri("next")).refused("--authority")
    bare("keys", "rotate", "--authority", "--key", hsm.uri("next")).expect(0)
    third = bare.signed("third.csv", "third\n")
    for path in (first, second, third):
        bare("verify", path).expect(0)


def test_a_token_that_refuses_rotates_nothing(bare: Here, hsm: SoftHsm) -> None:
    bare("init").expect(0)
    before = {path.name: path.read_bytes() for path in bare.home.iterdir() if path.name in ("ca.key", "trust.json")}
    without_pin(bare("keys", "rotate", "--authority", "--key", hsm.uri("absent")).refused("no private key"))
    assert {name: (bare.home / name).read_bytes() for name in before} == before


# ------------------------------------------------------------------------------------------------ steps


def test_a_step_signs_in_the_token_and_its_command_never_sees_the_pin(atlas: Here, tmp_path: Path) -> None:
    runner = StepRunner(tmp_path, open_home(atlas.home))
    argv = runner.argv(runner.executor_input(), "sh", "-c", f'env; test -z "${PIN_VARIABLE}"')
    code, out, err = runner.run(argv)
    assert (code, err) == (0, "")
    assert PIN not in out
    assert "SOFTHSM2_CONF" in out
    assert len(runner.deposits()) == 1


def test_a_step_whose_token_refuses_does_not_start(atlas: Here, tmp_path: Path) -> None:
    runner = StepRunner(tmp_path, open_home(atlas.home))
    code, out, err = runner.run(runner.argv(runner.executor_input(), "echo", "ran"), ATLAS_PKCS11_PIN="00000000")
    assert (code, out) == (2, "")
    assert "the PIN is wrong" in err
    assert "00000000" not in err


def test_four_threads_sign_at_once(hsm: SoftHsm) -> None:
    from concurrent.futures import ThreadPoolExecutor

    key: TokenKey = open_key(parse_uri(hsm.uri()))
    with ThreadPoolExecutor(4) as pool:
        signatures = list(pool.map(lambda each: key.sign(b"%d" % each, ec.ECDSA(hashes.SHA256())), range(16)))
    for number, signature in enumerate(signatures):
        key.public_key().verify(signature, b"%d" % number, ec.ECDSA(hashes.SHA256()))
