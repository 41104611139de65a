"""An authority's key in a PKCS#11 token (an HSM, a smart card, SoftHSM), which it never leaves.

The key is named by a URI (RFC 7512) that must say `token` or `serial`, `object` or `id`, and `module-path`:

    pkcs11:token=atlas;object=ca?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=/run/secrets/pin

The PIN comes from the file that `pin-source` names, or else from the variable `ATLAS_PKCS11_PIN`. Each signature has a
session of its own, so that there is none to lose between two of them.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote, unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.errors import InputError, TokenError

if TYPE_CHECKING:
    import pkcs11
    from cryptography.utils import Buffer

PIN = "ATLAS_PKCS11_PIN"
_SCHEME = "pkcs11:"
_KNOWN = {"token", "serial", "object", "id", "type"}
_QUERY = {"module-path", "pin-source"}
_P256 = bytes.fromhex("06082a8648ce3d030107")  # DER of the named curve, as CKA_EC_PARAMS holds it
_ONE_AT_A_TIME = threading.Lock()
"""A token's login is of the whole process."""

_REASONS = {
    "PinIncorrect": ("the PIN is wrong", "give the right one; a token locks itself after a few wrong ones"),
    "PinInvalid": ("the PIN is wrong", "give the right one; a token locks itself after a few wrong ones"),
    "PinLenRange": ("the PIN is too short or too long", "give the right one"),
    "PinExpired": ("the PIN has expired", "set a new one with the token's own tool"),
    "PinLocked": ("the token is locked after too many wrong PINs", "have its security officer unlock it"),
    "UserPinNotInitialized": ("the token has no user PIN", "set one with the token's own tool"),
    "NoSuchToken": ("there is no such token", "plug it in, or name one that its module lists"),
    "MultipleTokensReturned": ("there are several such tokens", "name it by `serial` too"),
}
_GONE = ("the token does not answer", "plug it in again, or start its service, then try again")


@dataclass(frozen=True)
class KeyUri:
    """Where a key is, without the PIN."""

    text: str
    token: str
    serial: bytes
    label: str
    id: bytes
    module: Path
    pin_source: Path | None


def parse_uri(text: str) -> KeyUri:
    """Read a PKCS#11 URI (RFC 7512).

    Raises:
        InputError: if it is none, names something that is not known here, or leaves out what is needed.
    """
    mend = "write it as 'pkcs11:token=NAME;object=NAME?module-path=/usr/lib/….so'"
    if not text.startswith(_SCHEME) or not text.isprintable():
        raise InputError("not a PKCS#11 URI", mend=mend)
    path, _, query = text.removeprefix(_SCHEME).partition("?")
    if "pin-value" in text:
        raise InputError("a PIN has no place in a URI", mend=f"name its file as pin-source, or set {PIN}")
    fields = _fields(path, ";", _KNOWN, mend) | _fields(query, "&", _QUERY, mend)
    if unquote(fields.get("type", "private")) != "private":
        raise InputError("the URI is of no private key", mend="leave `type` out")
    if not fields.keys() & {"token", "serial"} or not fields.keys() & {"object", "id"} or "module-path" not in fields:
        raise InputError("the URI does not say token, object and module-path", mend=mend)
    return KeyUri(
        text,
        unquote(fields.get("token", "")),
        unquote_to_bytes(fields.get("serial", "")),
        unquote(fields.get("object", "")),
        unquote_to_bytes(fields.get("id", "")),
        _absolute(fields["module-path"], "module-path"),
        _absolute(fields["pin-source"], "pin-source") if "pin-source" in fields else None,
    )


def open_key(uri: KeyUri, environment: Mapping[str, str] | None = None) -> "TokenKey":
    """Find the key in its token.

    Args:
        uri: where it is.
        environment: where the PIN is, if the URI names no file; absent: the process's own.

    Raises:
        TokenError: if the token cannot be used, or has not just one such key, on P-256, with its public half.
    """
    pin = _pin(uri, os.environ if environment is None else environment)
    with _session(uri, pin) as session:
        return TokenKey(uri, pin, _public_half(uri, session, _private_key(uri, session)))


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key that signs in its token; use `open_key`."""

    def __init__(self, uri: KeyUri, pin: str, public: ec.EllipticCurvePublicKey) -> None:
        self._uri = uri
        self._pin = pin
        self._public = public

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def sign(self, data: "Buffer", signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign with ECDSA and SHA-256.

        Raises:
            UnsupportedAlgorithm: if asked for anything else.
            TokenError: if the token cannot be used, or signs with another key.
        """
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise UnsupportedAlgorithm("this key signs with ECDSA and SHA-256 only")
        from pkcs11 import Mechanism  # noqa: PLC0415  an extra

        with _session(self._uri, self._pin) as session:
            key: Any = _private_key(self._uri, session)
            raw = key.sign(hashlib.sha256(data).digest(), mechanism=Mechanism.ECDSA)
        half = len(raw) // 2
        signature = utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
        try:
            self._public.verify(signature, bytes(data), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise _refused(self._uri, "it signs with another key than the public one beside it") from error
        return signature

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        _never()

    def private_numbers(self) -> NoReturn:
        _never()

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        _never()

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> "TokenKey":
        return self


@contextmanager
def _session(uri: KeyUri, pin: str) -> "Iterator[pkcs11.Session]":
    try:
        import pkcs11  # noqa: PLC0415  an extra
    except ImportError as error:
        raise TokenError(
            "a key in a PKCS#11 token needs python-pkcs11", mend="pip install 'atlas-provenance[pkcs11]'"
        ) from error
    named = {"token_label": uri.token} if uri.token else {}
    with _ONE_AT_A_TIME:
        try:
            library = pkcs11.lib(str(uri.module))
            token = library.get_token(**named, **({"token_serial": uri.serial} if uri.serial else {}))
            with token.open(user_pin=pin) as session:
                yield session
        except pkcs11.PKCS11Error as error:
            kind = type(error).__name__
            if kind == "PKCS11Error":  # the library's own words: that the module cannot be loaded
                raise _refused(uri, "its module cannot be loaded", "see that module-path is right") from error
            what, mend = _REASONS.get(kind, (f"{_GONE[0]} ({kind})", _GONE[1]))
            raise _refused(uri, what, mend) from error


def _private_key(uri: KeyUri, session: "pkcs11.Session") -> "pkcs11.PrivateKey":
    from pkcs11 import Attribute, KeyType, ObjectClass  # noqa: PLC0415

    named: dict[Attribute, Any] = {Attribute.LABEL: uri.label} if uri.label else {}
    named |= {Attribute.ID: uri.id} if uri.id else {}
    found: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, **named}))
    if len(found) != 1:
        several = "it has several private keys of this name" if found else "it has no private key of this name"
        raise _refused(uri, several, "name just one, by `object` and `id`; the token's own tool lists them")
    [key] = found
    if key.key_type is not KeyType.EC or key[Attribute.EC_PARAMS] != _P256:
        raise _refused(uri, "the key is not on the curve P-256", "make a key with EC:prime256v1")
    chosen: pkcs11.PrivateKey = key
    return chosen


def _public_half(uri: KeyUri, session: "pkcs11.Session", private: "pkcs11.PrivateKey") -> ec.EllipticCurvePublicKey:
    from pkcs11 import Attribute, ObjectClass  # noqa: PLC0415
    from pkcs11.util.ec import encode_ec_public_key  # noqa: PLC0415

    named: dict[Attribute, Any] = {Attribute.ID: private.id} if private.id else {Attribute.LABEL: private.label}
    found: list[Any] = list(session.get_objects({Attribute.CLASS: ObjectClass.PUBLIC_KEY, **named}))
    if len(found) != 1:
        raise _refused(uri, "the key has not just one public half beside it", "make the key as a pair")
    public = serialization.load_der_public_key(encode_ec_public_key(found[0]))
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise _refused(uri, "the key's public half is none of an elliptic curve")
    return public


def _pin(uri: KeyUri, environment: Mapping[str, str]) -> str:
    if uri.pin_source is None:
        if not environment.get(PIN):
            raise TokenError(
                "the token needs a PIN", mend=f"name its file as pin-source in the URI, or set the variable {PIN}"
            )
        return environment[PIN]
    path = uri.pin_source
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise TokenError(f"{path}: others may read this PIN", mend=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"{path}: the PIN cannot be read", mend="see that the file is there and yours") from error


def _fields(part: str, separator: str, known: set[str], mend: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for each in filter(None, part.split(separator)):
        name, equals, value = each.partition("=")
        if not equals or not value or name not in known or name in fields:
            raise InputError(f"the URI says {name[:40]!r}, which is not known here, empty, or said twice", mend=mend)
        fields[name] = value
    return fields


def _absolute(value: str, name: str) -> Path:
    path = Path(unquote(value).removeprefix("file://").removeprefix("file:"))
    if not path.is_absolute():
        raise InputError(f"the URI's {name} is no absolute path", mend="write it from the root")
    return path


def _refused(uri: KeyUri, what: str, mend: str = "") -> TokenError:
    name = uri.token or uri.serial.decode(errors="replace")
    key = uri.label or uri.id.hex()
    return TokenError(f"token {name!r}, key {key!r}: {what}", mend=mend or "find out what is wrong with the token")


def _never() -> NoReturn:
    raise UnsupportedAlgorithm("this key never leaves its token")
