"""The statement of OpenSSF Model Signing (OMS): which files a model has, and their digests.

An in-toto Statement v1 with the predicate ``https://model_signing/signature/v1.0``: one resource a file, in the order
of their paths, and one subject, whose digest is SHA-256 over the digests of all resources, one after the other. A model
that is one file has the one resource ``.``. Only files by SHA-256 are read: what else model signing can write, shards
and other hashes, cannot be compared later with an artifact's own digest.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.interop.dsse import IN_TOTO, Envelope
from atlas.log.encoding import fields, load_json

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
SINGLE_FILE = "."
"""The name of the one resource of a model that is one file."""
GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
"""What model signing leaves out unless it is told otherwise."""
MAX_STATEMENT = 16 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_NAME = 255


@dataclass(frozen=True)
class SignedModel:
    """What an OMS statement says, not yet verified and not compared with any files.

    Attributes:
        name: of the model, as its signer calls it.
        files: path -> SHA-256, hex.
        ignored: paths that were left out, with all below them.
    """

    name: str
    files: Mapping[str, str]
    ignored: tuple[str, ...] = ()


def dump_statement(model: SignedModel) -> bytes:
    """The statement's bytes, equal in meaning to those that model signing writes of the same files."""
    paths = sorted(model.files, key=PurePosixPath)
    serialization: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    if model.ignored:
        serialization["ignore_paths"] = list(model.ignored)
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": model.name, "digest": {"sha256": _root([model.files[path] for path in paths])}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": serialization,
            "resources": [{"name": path, "algorithm": "sha256", "digest": model.files[path]} for path in paths],
        },
    }
    return json.dumps(document).encode()


def _root(digests: list[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(each) for each in digests)).hexdigest()


def read_statement(envelope: Envelope) -> SignedModel:
    """Read the statement in an envelope.

    Raises:
        Rejected: OMS_MALFORMED, or OMS_SERIALIZATION_UNKNOWN if it is not of files by SHA-256.
    """
    try:
        if envelope.payload_type != IN_TOTO:
            raise ValueError("its payload is not an in-toto statement")
        return _read(load_json(envelope.payload, MAX_STATEMENT))
    except ValueError as error:
        raise Rejected(Code.OMS_MALFORMED, f"not a signature of OpenSSF Model Signing: {error}") from error


def _read(document: object) -> SignedModel:
    outer = fields(document, ["_type", "subject", "predicateType", "predicate"])
    if (outer["_type"], outer["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"its type is not {PREDICATE_TYPE}")
    if not isinstance(outer["subject"], list) or len(outer["subject"]) != 1:
        raise ValueError("not exactly one subject")
    subject = fields(outer["subject"][0], ["name", "digest"])
    if not isinstance(outer["predicate"], dict):
        raise ValueError("its predicate is not an object")
    # verifiers of this version must pass over what a later one adds (model_signing, "Payload")
    predicate = fields(outer["predicate"], ["serialization", "resources"], outer["predicate"])
    ignored = _serialization(predicate["serialization"])
    files, order = _resources(predicate["resources"])
    if fields(subject["digest"], ["sha256"])["sha256"] != _root(order):
        raise ValueError("its digest is not that of its files")
    return SignedModel(_name(subject["name"]), files, ignored)


def _serialization(document: object) -> tuple[str, ...]:
    how = fields(document, ["method", "hash_type", "allow_symlinks"], ["ignore_paths", "shard_size"])
    if (how["method"], how["hash_type"]) != ("files", "sha256"):
        found = f"{how['method']} by {how['hash_type']}"[:80]
        raise Rejected(Code.OMS_SERIALIZATION_UNKNOWN, expected="files by sha256", found=found)
    ignored = how.get("ignore_paths", [])
    if not isinstance(ignored, list) or not all(isinstance(each, str) for each in ignored):
        raise ValueError("its ignored paths are not a list")
    return tuple(ignored)


def _resources(document: object) -> tuple[dict[str, str], list[str]]:
    """The files, and their digests in the order in which they stand."""
    files: dict[str, str] = {}
    order = []
    for each in document if isinstance(document, list) else ():
        resource = fields(each, ["name", "algorithm", "digest"])
        name, digest = resource["name"], resource["digest"]
        if resource["algorithm"] != "sha256" or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError("a resource without a SHA-256 digest")
        path = _path(name)
        if path in files:
            raise ValueError(f"the resource {path!r} stands in it twice")
        files[path] = digest
        order.append(digest)
    if not files:
        raise ValueError("no resources")
    if SINGLE_FILE in files and len(files) > 1:
        raise ValueError("a file and a directory at once")
    return files, order


def _path(name: object) -> str:
    """A resource's path as an index has it: relative, in one spelling, in Unicode normal form C."""
    if not isinstance(name, str):
        raise ValueError("a resource without a name")
    path = PurePosixPath(name)
    if str(path) != name or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name[:80]!r} is not a path within a model")
    return unicodedata.normalize("NFC", name)


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LARGEST_NAME or not value.isprintable():
        raise ValueError("a subject without a name")
    return value


def left_out(model: SignedModel, present: Mapping[str, str], signature_sha256: str) -> tuple[str, ...]:
    """Compare the files that are there with those that were signed.

    Args:
        model: what was signed.
        present: path -> SHA-256 of every file that is there.
        signature_sha256: of the signature's own file, which it cannot cover.

    Returns:
        Paths that are there and that the signature says to ignore.

    Raises:
        Rejected: OMS_FILE_CHANGED, OMS_FILE_MISSING or OMS_FILE_UNSIGNED.
    """
    for path in sorted(model.files):
        if path not in present:
            raise Rejected(Code.OMS_FILE_MISSING, expected=f"{path} sha256:{model.files[path]}", found="no such file")
        if present[path] != model.files[path]:
            raise Rejected(
                Code.OMS_FILE_CHANGED,
                expected=f"{path} sha256:{model.files[path]}",
                found=f"{path} sha256:{present[path]}",
            )
    further = {path for path in present if path not in model.files}
    ignored = {path for path in further if any(PurePosixPath(path).is_relative_to(each) for each in model.ignored)}
    if unsigned := sorted(further - ignored):
        raise Rejected(Code.OMS_FILE_UNSIGNED, expected="only signed files", found=", ".join(unsigned)[:200])
    return tuple(sorted(path for path in ignored if present[path] != signature_sha256))
