"""Initdata: the configuration that a confidential pod is started with, and the register that binds it.

Confidential Containers, *Initdata Specification* (trustee, `kbs/docs/initdata.md`): a TOML document with an algorithm,
a version and a table of text files, among them the policy that the pod's agent enforces. The host hands it over in an
annotation of the pod, and the runtime puts its digest into MRCONFIGID. The digest is of the text just as it is (Kata
Containers, `kata-types/src/initdata.rs`), not of a canonical form as the specification has it.
"""

import base64
import binascii
import hashlib
import re
import struct
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from atlas.errors import DocumentError

VERSION = "0.1.0"
ALGORITHMS = ("sha256", "sha384", "sha512")
MAX_BYTES = 1 << 20
MRCONFIGID_BYTES = 48

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
"""RFC 1952, 2.3: deflate, no name, no time, slowest, no operating system: the same wherever it is written."""
# the standard library's reader needs quadratic time for a key of many parts
_DEEP_KEY = re.compile(r"""(?:(?:(?<![\w-])[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")


@dataclass(frozen=True)
class Initdata:
    """One initdata document, which is well-formed."""

    raw: bytes
    """The TOML text, UTF-8; every byte of it counts."""
    algorithm: str
    """`sha256`, `sha384` or `sha512`."""
    files: Mapping[str, str]
    """The table `data`: names and contents, such as of `policy.rego`."""

    @cached_property
    def mrconfigid(self) -> bytes:
        """What MRCONFIGID of a trust domain started with it is: the digest, cut or filled with zeros to 48 bytes."""
        digest = hashlib.new(self.algorithm, self.raw).digest()
        return digest[:MRCONFIGID_BYTES].ljust(MRCONFIGID_BYTES, b"\0")

    @cached_property
    def annotation(self) -> str:
        """The annotation's value: gzip, then base64."""
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = deflate.compress(self.raw) + deflate.flush()
        end = struct.pack("<II", zlib.crc32(self.raw), len(self.raw))
        return base64.b64encode(_GZIP + body + end).decode("ascii")


def parse_initdata(raw: bytes) -> Initdata:
    """Read initdata. Stricter than the runtimes: they pass over fields that they do not know.

    Raises:
        DocumentError: if it is not such a document; says in words why.
    """
    if len(raw) > MAX_BYTES:
        _wrong(f"over {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8")
        if _DEEP_KEY.search(text):
            _wrong("a key has 32 parts or more")
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"initdata: not TOML: {error}", mend=_MEND) from error
    if found.keys() != {"algorithm", "version", "data"}:
        _wrong(f"its fields are not algorithm, version and data, but {', '.join(map(repr, found)) or 'none'}")
    algorithm, version, files = found["algorithm"], found["version"], found["data"]
    if algorithm not in ALGORITHMS:
        _wrong(f"the algorithm is {algorithm!r}; it must be {', '.join(ALGORITHMS[:-1])} or {ALGORITHMS[-1]}")
    if version != VERSION:
        _wrong(f"the version is {version!r}; this Atlas knows {VERSION!r}")
    if not isinstance(files, dict):
        _wrong("data is not a table")
    for name, content in files.items():
        if not _FILE_NAME.fullmatch(name):
            _wrong(f"{name!r} is not a plain file name")
        if not isinstance(content, str):
            _wrong(f"{name} is not a text; put its content between three quotes")
    return Initdata(raw, algorithm, files)


def parse_annotation(text: str) -> Initdata:
    """Read initdata from the annotation's value.

    Raises:
        DocumentError: as `parse_initdata`, or if it is not base64 of one gzip member of at most 1 MiB.
    """
    if len(text) > 2 * MAX_BYTES:
        _wrong(f"an annotation of over {2 * MAX_BYTES} characters")
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DocumentError(f"initdata: not base64: {error}", mend=_MEND) from error
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)  # gzip only
    try:
        raw = reader.decompress(packed, MAX_BYTES + 1)
    except zlib.error as error:
        raise DocumentError(f"initdata: not gzip: {error}", mend=_MEND) from error
    if len(raw) > MAX_BYTES:
        _wrong(f"over {MAX_BYTES} bytes")
    if not reader.eof:
        _wrong("not gzip: it ends too early")
    if reader.unused_data:  # one of the two runtimes would read on, the other would not
        _wrong("bytes follow the gzip member")
    return parse_initdata(raw)


_MEND = "write it as the Initdata Specification of Confidential Containers has it: algorithm, version and [data]"


def _wrong(what: str) -> NoReturn:
    raise DocumentError(f"initdata: {what}", mend=_MEND)
