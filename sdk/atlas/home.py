"""The home: where Atlas keeps its state on one machine, a folder `.atlas/` found as git finds its own.

    version            the format of all the rest
    ca.key ca.pem      the development authority that signs this home's steps and publications; `ca.key` holds the key,
                       or the URI of the PKCS#11 token that it lives in
    log.key            the embedded log's key
    trust.json         the trust root: that authority, that log, and Intel's root for evidence
    log.json           where another log is that this home records in, if it does
    record.json        what that log is shown, and who states the time, if not the usual
    tuf/               what is known of Sigstore's trust configuration, if a public log was chosen
    anchor.key         signs anchors: checkpoints of the own log that another log recorded, anchor-*.json
    pseudonymous       if it is there, certificates carry no names
    simulator.json     a simulated platform for evidence that proves nothing, if one was asked for
    inbox/             signed manifests that wait to be gathered
    log.sqlite3        the embedded transparency log; those that followed it are log-<their origin>.sqlite3
    archive.sqlite3    manifests by digest, and their index
    watch/             what `atlas log watch` has seen of each log, and the evidence of its alarms

A home is made whole or not at all, and its keys are exchanged so too (`exchange`). Key files have mode 0600, and are
refused if others may read them. Cryptography is imported only where a key is used: every step of a pipeline pays for
what it imports.
"""

import contextlib
import datetime as dt
import os
import stat
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.errors import HomeVersionError, InputError, StateError
from atlas.exchange import FOLDER, settle, unwritable, write_directory

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    from atlas.keys import Issuer

FORMAT = 1
"""Version of the home's layout and of its databases."""
NAME = ".atlas"
VARIABLE = "ATLAS_HOME"
DISCLOSURES = "disclosures"
"""File name of a deposit's disclosures, one a line."""

_PSEUDONYMOUS = "pseudonymous"
_IN_TOKEN = b"pkcs11:"


@dataclass(frozen=True)
class Home:
    """An existing home of this format."""

    path: Path

    @property
    def log_path(self) -> Path:
        """The database of the first embedded log."""
        return self.path / "log.sqlite3"

    def log_file(self, origin: str) -> Path:
        """The database of the embedded log with this origin: one that followed the first is named after it."""
        path = self.path / f"log-{origin.rpartition('/')[2].removesuffix('.atlas.local')}.sqlite3"
        return path if path.exists() else self.log_path

    @property
    def archive_path(self) -> Path:
        """The archive's database."""
        return self.path / "archive.sqlite3"

    @property
    def trust_path(self) -> Path:
        """The trust root's document."""
        return self.path / "trust.json"

    @property
    def inbox(self) -> Path:
        """Where signed manifests wait."""
        return self.path / "inbox"

    @property
    def pseudonymous(self) -> bool:
        """Whether the certificates of what is signed here carry pseudonyms instead of names."""
        return (self.path / _PSEUDONYMOUS).exists()

    def use_pseudonyms(self) -> None:
        """Have certificates carry pseudonyms from here on.

        Raises:
            StorageError: if it cannot be written.
        """
        self.write(_PSEUDONYMOUS, b"")

    def issuer(self) -> "Issuer":
        """The development authority with its key.

        Raises:
            StateError: if its files are missing, damaged, or readable by others.
        """
        issuer = self._issuer()
        if issuer is None:  # somebody may be exchanging the two just now
            settle(self.path)
            issuer = self._issuer()
        if issuer is None:
            raise StateError(f"{self.path}: ca.key is not the key of ca.pem", mend="restore both from one backup")
        return issuer

    @property
    def key_uri(self) -> str:
        """Where the authority's key is, if it is in a PKCS#11 token; empty if it is in its file.

        Raises:
            StateError: if its file is missing, or readable by others.
        """
        content = self._private("ca.key")
        return content.decode(errors="replace").strip() if content.startswith(_IN_TOKEN) else ""

    def certificate(self) -> "x509.Certificate":
        """The development authority's certificate.

        Raises:
            StateError: if its file is missing or damaged.
        """
        from cryptography import x509

        try:
            return x509.load_pem_x509_certificate((self.path / "ca.pem").read_bytes())
        except (OSError, ValueError) as error:
            raise StateError(f"{self.path / 'ca.pem'}: not the authority's certificate: {error}") from error

    def log_key(self) -> "ed25519.Ed25519PrivateKey":
        """The embedded log's key.

        Raises:
            StateError: if its file is missing, damaged, or readable by others.
        """
        from cryptography.hazmat.primitives.asymmetric import ed25519

        key = self._key("log.key")
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise StateError(f"{self.path / 'log.key'}: not an Ed25519 key")
        return key

    def anchor_key(self) -> "ec.EllipticCurvePrivateKey":
        """The key that signs anchors; made when it is first asked for.

        Raises:
            StateError: if its file is damaged, readable by others, or cannot be written.
        """
        from cryptography.hazmat.primitives.asymmetric import ec

        if not (self.path / "anchor.key").exists():
            self.write("anchor.key", private_pem(ec.generate_private_key(ec.SECP256R1())))
        key = self._key("anchor.key")
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise StateError(f"{self.path / 'anchor.key'}: not an ECDSA P-256 key")
        return key

    def deposit(self, files: Mapping[str, bytes]) -> Path:
        """Put the files of one statement into the inbox, all of them or none; they survive a crash right after.

        Raises:
            StorageError: if they cannot be written.
        """
        for name in files:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise InputError(f"{name!r} is no name for a file of the inbox")
        target = self.inbox / uuid.uuid4().hex
        try:
            write_directory(target, files)
        except OSError as error:
            raise unwritable(self.inbox, error) from error
        return target

    def write(self, name: str, content: bytes) -> None:
        """Give a file of the home, or of a folder in it, this content, whole or not at all; only its owner may read it.

        Raises:
            StorageError: if it cannot be written.
        """
        target = self.path / name
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise unwritable(target, error) from error

    def _issuer(self) -> "Issuer | None":
        """The authority; None if key and certificate are of two."""
        from cryptography.hazmat.primitives.asymmetric import ec

        from atlas.keys import Issuer

        key, certificate = self._token_key() or self._key("ca.key"), self.certificate()
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            return None
        return Issuer(key, certificate)

    def _token_key(self) -> object:
        return key_in_token(self.key_uri)

    def _key(self, name: str) -> object:
        from cryptography.hazmat.primitives import serialization

        content = self._private(name)
        try:
            return serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError) as error:
            raise _no_key(self.path / name, error) from error

    def _private(self, name: str) -> bytes:
        path = self.path / name
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise StateError(f"{path}: others may read this key", mend=f"chmod 600 {path}")
            return path.read_bytes()
        except PermissionError as error:
            raise StateError(f"{path}: this user may not read it", mend="run this as the home's owner") from error
        except OSError as error:
            raise _no_key(path, error) from error


def find_home(explicit: Path | None = None, start: Path | None = None) -> Home:
    """Find the home: the one named, else `ATLAS_HOME`, else `.atlas` in `start` (the current folder) or above.

    Raises:
        InputError: if there is none.
        HomeVersionError: if a newer Atlas wrote it.
        StateError: if it is not a home.
    """
    named = explicit or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named:
        return open_home(named)
    folder = (start or Path.cwd()).resolve()
    for each in (folder, *folder.parents):
        if (each / NAME).is_dir():
            return open_home(each / NAME)
    raise InputError(f"no {NAME} in {folder} or above", mend="make one with `atlas init`, or name one with --home")


def open_home(path: Path) -> Home:
    """Check that there is a home of this format at `path`.

    Raises:
        InputError: if there is nothing.
        HomeVersionError: if a newer Atlas wrote it.
        StateError: if it is not a home.
    """
    if not os.path.isdir(path):  # noqa: PTH112  unlike pathlib's, it answers where a folder may not be entered
        raise InputError(
            f"{path}: there is no such home, or this user may not enter its folder",
            mend=f"make one with `atlas init --home {path}`",
        )
    try:
        version = int((path / "version").read_text())
    except (OSError, ValueError) as error:
        raise StateError(f"{path}: not a home of Atlas: its version file cannot be read ({error})") from error
    if version < 1:
        raise StateError(f"{path}: not a home of Atlas: there is no format {version}")
    if version > FORMAT:
        raise HomeVersionError(
            f"{path}: this home has format {version}, and this Atlas knows formats up to {FORMAT}",
            mend="use the newer Atlas that wrote it, or another home",
        )
    if os.path.isdir(path / FOLDER):  # noqa: PTH112  as above
        settle(path)
    return Home(path)


def create_home(path: Path, *, now: dt.datetime | None = None, key_uri: str = "") -> Home:
    """Make a home with a development authority and an embedded log of its own; return the one that exists already.

    Args:
        path: where.
        now: when its authority begins.
        key_uri: of the authority's key in a PKCS#11 token; absent: a new key in a file.

    Raises:
        InputError: if the URI is none, or the home that exists has another key.
        TokenError: if the token cannot be used.
        StorageError: if it cannot be written; nothing is left behind then.
    """
    if os.path.exists(path):  # noqa: PTH110  as above
        return _with_key(open_home(path), key_uri)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from atlas.keys import new_authority
    from atlas.trust import Authority, PinnedLog, Role, TrustRoot, intel_root

    name = f"local-{uuid.uuid4().hex[:8]}"
    issuer = new_authority(name, (now or dt.datetime.now(dt.UTC)).replace(microsecond=0), key_in_token(key_uri))
    log_key = ed25519.Ed25519PrivateKey.generate()
    # of a host name's form: Sigstore's clients take a log's origin for one
    log = PinnedLog(f"{uuid.uuid4().hex[:16]}.atlas.local", log_key.public_key())
    trust = TrustRoot((Authority(name, issuer.certificate, frozenset(Role)),), (log,), (intel_root(),))
    files = {
        "version": f"{FORMAT}\n".encode(),
        "ca.key": f"{key_uri}\n".encode() if key_uri else private_pem(issuer.key),
        "ca.pem": issuer.certificate.public_bytes(serialization.Encoding.PEM),
        "log.key": private_pem(log_key),
        "trust.json": trust.to_bytes(),
        ".gitignore": b"*\n",  # keys and databases are nobody's source
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_directory(path, files, folder="inbox")
    except OSError as error:
        if os.path.isdir(path):  # noqa: PTH112  as above
            return _with_key(open_home(path), key_uri)  # another process was first
        raise unwritable(path, error) from error
    return Home(path)


def key_in_token(uri: str) -> "ec.EllipticCurvePrivateKey | None":
    """The key that a PKCS#11 URI names; None if there is no URI.

    Raises:
        InputError: if it is no such URI.
        TokenError: if the token cannot be used.
    """
    if not uri:
        return None
    from atlas.pkcs11 import open_key, parse_uri

    return open_key(parse_uri(uri))


def _with_key(home: Home, key_uri: str) -> Home:
    if key_uri and home.key_uri != key_uri:
        raise InputError(
            f"{home.path}: this home has another key",
            mend="give it this one with `atlas keys rotate --authority --key`",
        )
    return home


def _no_key(path: Path, error: Exception) -> StateError:
    return StateError(f"{path}: cannot be read as a key: {error}", mend="restore it from a backup")


def private_pem(key: "ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey") -> bytes:
    """A key as the home's files hold it: PKCS #8, not encrypted."""
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
