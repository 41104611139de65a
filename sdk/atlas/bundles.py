"""Signing into Sigstore bundles, in the name of a publisher, and logging that before anything is written."""

import datetime as dt
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from atlas.artifact import EMPTY_SHA256, Measurement, Progress, measure, parse_index
from atlas.errors import FetchError, InputError, MeasureError, StateError
from atlas.gather import open_archive
from atlas.home import Home
from atlas.home_trust import trust_of
from atlas.interop import oms
from atlas.interop.bundle import Bundle, MessageSignature, claim_signature, key_hint
from atlas.interop.dsse import Envelope, sign_envelope
from atlas.interop.oms_record import dump_record
from atlas.interop.verify import publisher_of, read_manifest
from atlas.keys import issue
from atlas.log.client import record_one
from atlas.log.entry import Entry, signed_entry
from atlas.log.proof import Proof, verify_proof
from atlas.log.receipt import Receipt
from atlas.logs import log_of
from atlas.manifest import Manifest
from atlas.outbox import Reveal
from atlas.publish import write_beside
from atlas.recording import choices_of, recording_of
from atlas.spki import dump_spki
from atlas.statement import Publisher

if TYPE_CHECKING:
    from atlas.keyless import Keyless


@dataclass(frozen=True)
class ModelSignature:
    """A model signature that was made."""

    measured: Measurement
    place: Path
    """The signature's file."""
    publisher: str
    """What verdicts call who signed it."""
    ignored: tuple[str, ...]
    """Files of the model that it leaves out."""


def sign_model(
    home: Home, path: Path, publisher: "str | Callable[[], Keyless]", progress: Progress | None = None
) -> ModelSignature:
    """Sign a model as OpenSSF Model Signing does; the signature lies beside it as `<name>.sig`.

    It has the digests that `model_signing` computes by default: git's own files are left out. The home's archive will
    know the model.

    Args:
        home: whose authority signs and whose log records it.
        path: a file or a directory.
        publisher: the name in whose certificate it is signed; or who gives a key of Fulcio's, asked once the model is
            measured, because its certificate lives for minutes.
        progress: told of the bytes hashed.

    Raises:
        MeasureError: if the model cannot be measured, is empty, or has files that model signing does not take.
        FetchError: if the log does not take the signature; nothing was written then.
        StateError: if it cannot be signed.
        StorageError: if the signature cannot be written.
    """
    place = path.resolve()
    if place.is_dir():
        _check_names(place)
    measured = measure(place, progress)
    if measured.sha256 == EMPTY_SHA256:
        raise MeasureError(f"{path}: is empty, and a signature over nothing proves nothing")
    files = {oms.SINGLE_FILE: measured.sha256}
    ignored: tuple[str, ...] = ()
    if measured.asset is not None:
        files = {name: digest for name, (digest, _) in parse_index(measured.asset).items()}
        ignored = tuple(sorted(name for name in files if PurePosixPath(name).parts[0] in oms.GIT_PATHS))
        files = {name: digest for name, digest in files.items() if name not in ignored}
        if not files:
            raise MeasureError(f"{path}: has no files but git's own, which model signing leaves out")
    model = oms.SignedModel(place.name, files, oms.GIT_PATHS if measured.asset is not None else ())
    statement = oms.dump_statement(model)
    if isinstance(publisher, str):
        content = sign_payload(home, statement, publisher, chain=True).bundle.to_bytes()
    else:
        content = _sign_keyless(home, statement, publisher()).to_bytes()
    signature = place.with_name(f"{place.name}.sig")
    write_beside(signature, content)
    record = dump_record(content, measured)
    home.deposit({f"{place.name}.oms": record})
    return ModelSignature(measured, signature, publisher_of(read_manifest(record)), ignored)


@dataclass(frozen=True)
class LoggedBundle:
    """A bundle that is logged, and the certificate of its signer, which it may not name."""

    bundle: Bundle
    certificate: x509.Certificate

    @property
    def signer_pem(self) -> bytes:
        """The signer's key and certificate (PEM): clients that take a key read the first, OpenSSL finds the second."""
        key = self.certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return key + self.certificate.public_bytes(Encoding.PEM)


def sign_payload(
    home: Home, payload: bytes, publisher: str, *, chain: bool = False, bare: bool = False
) -> LoggedBundle:
    """Sign an in-toto statement in an envelope, with a key that is then forgotten, and have the log record it.

    Args:
        home: whose authority issues the certificate and whose log records the signature.
        payload: the statement.
        publisher: the name in the certificate.
        chain: whether the bundle names the certificate as a chain of one.
        bare: whether bundle and log name the bare key instead of the certificate.

    Raises:
        InputError: if the home keeps signers from the log.
        FetchError: if the log does not take the signature.
        StateError: if it cannot be signed.
    """
    credential = issue(home.issuer(), Publisher(publisher), dt.datetime.now(dt.UTC))
    envelope = sign_envelope(payload, credential.key)
    [certificate] = credential.chain
    return _logged(home, envelope, envelope.pae, envelope.signature, certificate, chain=chain, bare=bare)


def bundle_claim(home: Home, manifest: Manifest, *, bare: bool = False) -> LoggedBundle:
    """A manifest's own C2PA signature in a bundle, with its log entry; the log keeps an entry's first place.

    Args:
        home: whose log records it.
        manifest: of a sidecar.
        bare: as in `sign_payload`; the log then has another entry of the same signature.

    Raises:
        InputError: if the home keeps signers from the log.
        FetchError: if the log does not answer.
    """
    content = claim_signature(manifest)
    return _logged(home, content, manifest.to_be_signed, manifest.signature, manifest.signer, chain=False, bare=bare)


def _logged(
    home: Home,
    content: Envelope | MessageSignature,
    message: bytes,
    signature: bytes,
    certificate: x509.Certificate,
    *,
    chain: bool,
    bare: bool,
) -> LoggedBundle:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise StateError("the signer's key is not ECDSA")
    receipt = _recorded(home, signed_entry(message, signature, key if bare else certificate))
    entries = (receipt.to_json(),)
    if bare:
        hint = key_hint(dump_spki(key))
        return LoggedBundle(Bundle(content, hint=hint, log_entries=entries), certificate)
    return LoggedBundle(
        Bundle(content, (certificate.public_bytes(Encoding.DER),), log_entries=entries, chain=chain), certificate
    )


def _sign_keyless(home: Home, payload: bytes, keyless: "Keyless") -> Bundle:
    """Sign with a key whose certificate lives for minutes, and have somebody say that it was in force.

    Otherwise nobody could believe the signature later.

    Raises:
        InputError: if the home keeps signers from the log.
        FetchError: if one of them does not answer.
        Rejected: if what one of them answers does not hold.
        StateError: if nobody whom the home's trust root names says so.
    """
    if home.pseudonymous:
        raise InputError(
            "the home signs under pseudonyms, and a keyless certificate shows the log an identity",
            mend="sign in another home",
        )
    envelope, certificate = sign_envelope(payload, keyless.key), keyless.chain[0]
    entry = signed_entry(envelope.pae, envelope.signature, certificate)
    receipt = _recorded(home, entry)
    stamp = recording_of(home).stamp
    timestamps = (stamp(envelope.signature),) if stamp else ()
    time = verify_proof(Proof(receipt, timestamps=timestamps), entry, trust_of(home)).time
    if time is None or not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        said = f"they say {time:%FT%TZ}" if time else "nobody says by when it was made"
        raise StateError(
            f"nothing was written: the certificate is in force until {keyless.expires:%FT%TZ}, and {said}",
            mend="have signatures timestamped (`atlas log timestamp`), or record in a log that states the time",
        )
    der = certificate.public_bytes(Encoding.DER)
    return Bundle(envelope, (der,), log_entries=(receipt.to_json(),), timestamps=timestamps)


def _recorded(home: Home, entry: Entry) -> Receipt:
    """Log before anything is written: what a bundle says of the log is never a promise."""
    if choices_of(home).reveal is not Reveal.CLAIM:
        raise InputError(
            "the home keeps signers from the log (`atlas log reveal`), and a bundle's entry shows one to it",
            mend="say `atlas log reveal claim` first, if the log may see it, or sign in another home",
        )
    with open_archive(home) as archive:  # before the log has it, so that no watcher wonders who signed it
        archive.add_entry(entry.canonical_body())
    try:
        with log_of(home) as log:
            return record_one(log, entry)
    except FetchError as error:
        raise FetchError(
            f"nothing was written: the log does not record the signature: {error}",
            mend=error.mend or "sign again when the log answers",
        ) from error


def _check_names(root: Path) -> None:
    """Refuse what model signing refuses, or names otherwise than Atlas."""
    for each in root.rglob("*"):
        name = each.relative_to(root).as_posix()
        if each.is_symlink():
            raise MeasureError(
                f"{each}: is a symbolic link, which model signing does not take",
                mend="put what it leads to in its place",
            )
        if unicodedata.normalize("NFC", name) != name:
            raise MeasureError(
                f"{name!r}: is not in Unicode normal form C, and other verifiers would name it otherwise",
                mend="rename the file",
            )
