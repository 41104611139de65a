"""What a log records of a manifest: `hashedrekord` 0.0.2 (Rekor v2 specification, sections 4.3 and 6.1), or 0.0.1.

An entry says that the holder of a key signed a digest. For a C2PA manifest it is the claim's own signature,
so no second one is made. Only ECDSA: C2PA's other algorithms have no form that Rekor v2 takes.
"""

import json
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.errors import InputError
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.spki import dump_spki

KIND = "hashedrekord"
VERSION = "0.0.2"
VERSION_1 = "0.0.1"
"""As Rekor v1 records it."""
MAX_REQUEST = 64 * 1024
"""Bytes; an entry must fit the two-byte length of an entry bundle (C2SP tlog-tiles)."""


class Algorithm(StrEnum):
    """How an entry is signed, named as Sigstore's `PublicKeyDetails`."""

    ECDSA_P256_SHA256 = "PKIX_ECDSA_P256_SHA_256"
    ECDSA_P384_SHA384 = "PKIX_ECDSA_P384_SHA_384"
    ECDSA_P521_SHA512 = "PKIX_ECDSA_P521_SHA_512"

    @property
    def hash(self) -> hashes.HashAlgorithm:
        """The hash that goes with the curve."""
        return _PARAMETERS[self].digest


@dataclass(frozen=True)
class _Parameters:
    digest_name: str
    digest: hashes.HashAlgorithm
    curve: type[ec.EllipticCurve]


_PARAMETERS = {
    Algorithm.ECDSA_P256_SHA256: _Parameters("SHA2_256", hashes.SHA256(), ec.SECP256R1),
    Algorithm.ECDSA_P384_SHA384: _Parameters("SHA2_384", hashes.SHA384(), ec.SECP384R1),
    Algorithm.ECDSA_P521_SHA512: _Parameters("SHA2_512", hashes.SHA512(), ec.SECP521R1),
}


@dataclass(frozen=True)
class Entry:
    """A signed digest, with what verifies it.

    Attributes:
        digest: the digest that was signed.
        signature: the ECDSA signature, DER.
        algorithm: curve and digest.
        certificate: the signer's certificate, DER; or
        public_key: the signer's key, DER SubjectPublicKeyInfo. Exactly one of the two.
    """

    digest: bytes
    signature: bytes
    algorithm: Algorithm
    certificate: bytes | None = None
    public_key: bytes | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) == (self.public_key is None):
            raise InputError("a log entry has a certificate or a public key, and not both")
        size = _PARAMETERS[self.algorithm].digest.digest_size
        if len(self.digest) != size:
            raise InputError(f"a log entry under {self.algorithm} has a digest of {size} bytes")

    @cached_property
    def _signature(self) -> dict[str, Any]:
        verifier: dict[str, Any] = {"keyDetails": str(self.algorithm)}
        if self.certificate is not None:
            verifier["x509Certificate"] = {"rawBytes": to_base64(self.certificate)}
        if self.public_key is not None:
            verifier["publicKey"] = {"rawBytes": to_base64(self.public_key)}
        return {"content": to_base64(self.signature), "verifier": verifier}

    @cached_property
    def _canonical_body(self) -> bytes:
        data = {"algorithm": _PARAMETERS[self.algorithm].digest_name, "digest": to_base64(self.digest)}
        body = {
            "apiVersion": VERSION,
            "kind": KIND,
            "spec": {"hashedRekordV002": {"data": data, "signature": self._signature}},
        }
        # RFC 8785 at a tenth of its library's cost: names and values are ASCII that needs no escape.
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")

    def canonical_body(self, rekor: int = 2) -> bytes:
        """The bytes that a log hashes into its tree: canonical JSON (RFC 8785).

        Args:
            rekor: major version of Rekor that the log speaks. In version 1 this is also the request to record it.
        """
        return self._canonical_body_1 if rekor == 1 else self._canonical_body

    @cached_property
    def _canonical_body_1(self) -> bytes:
        name = _PARAMETERS[self.algorithm].digest.name
        key = _pem("CERTIFICATE", self.certificate) if self.certificate else _pem("PUBLIC KEY", self.public_key or b"")
        signature = {"content": to_base64(self.signature), "publicKey": {"content": to_base64(key)}}
        data = {"hash": {"algorithm": name, "value": self.digest.hex()}}
        body = {"apiVersion": VERSION_1, "kind": KIND, "spec": {"data": data, "signature": signature}}
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")

    def to_request(self) -> dict[str, Any]:
        """The JSON that asks a log to record the entry (Rekor v2, `CreateEntryRequest`)."""
        return {"hashedRekordRequestV002": {"digest": to_base64(self.digest), "signature": self._signature}}

    def check(self) -> None:
        """Verify that the key is of the algorithm's curve and signed the digest, as a log does at its door.

        Raises:
            InputError: if not.
        """
        parameters = _PARAMETERS[self.algorithm]
        key = _load_key(self.certificate, self.public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, parameters.curve):
            raise InputError(f"the key of the log entry is not for {self.algorithm}")
        if dump_spki(key) not in (self.certificate or self.public_key or b""):
            raise InputError("the key of the log entry is not in its usual form")  # such as a compressed point
        try:
            key.verify(self.signature, self.digest, ec.ECDSA(utils.Prehashed(parameters.digest)))
        except InvalidSignature as error:
            raise InputError("the signature of the log entry does not verify") from error


def _pem(label: str, der: bytes) -> bytes:
    """RFC 7468, in the one form that Go writes."""
    lines = textwrap.fill(to_base64(der), 64)
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n".encode("ascii")


def algorithm_of(key: object) -> Algorithm:
    """How a key signs.

    Raises:
        InputError: if it is not ECDSA on one of the curves that Rekor v2 takes.
    """
    curve = key.curve if isinstance(key, ec.EllipticCurvePublicKey) else None
    for algorithm, parameters in _PARAMETERS.items():
        if isinstance(curve, parameters.curve):
            return algorithm
    raise InputError("not an ECDSA key on the curve P-256, P-384 or P-521")


def signed_entry(message: bytes, signature: bytes, signer: x509.Certificate | ec.EllipticCurvePublicKey) -> Entry:
    """The entry of a signature (DER) over a message, by the holder of a certificate or of a bare key.

    Raises:
        InputError: if the signer's key is of no kind that Rekor v2 takes.
    """
    certified = isinstance(signer, x509.Certificate)
    key = signer.public_key() if isinstance(signer, x509.Certificate) else signer
    algorithm = algorithm_of(key)
    digest = hashes.Hash(algorithm.hash)
    digest.update(message)
    return Entry(
        digest=digest.finalize(),
        signature=signature,
        algorithm=algorithm,
        certificate=signer.public_bytes(serialization.Encoding.DER) if isinstance(signer, x509.Certificate) else None,
        public_key=None if certified else dump_spki(key),
    )


def _load_key(certificate: bytes | None, public_key: bytes | None) -> object:
    try:
        if certificate is not None:
            return x509.load_der_x509_certificate(certificate).public_key()
        return serialization.load_der_public_key(public_key or b"")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(f"the key of the log entry cannot be read: {error}") from error


def parse_request(data: bytes) -> Entry:
    """Read a request to record an entry, and check the entry.

    Raises:
        InputError: if it is not a `hashedrekord` request whose signature verifies.
    """
    try:
        entry = _parse_request(data)
    except ValueError as error:
        raise InputError(f"not a {KIND} request: {error}") from error
    entry.check()
    return entry


def _parse_request(data: bytes) -> Entry:
    outer = fields(load_json(data, MAX_REQUEST), ["hashedRekordRequestV002"], ["dsseRequestV002"])
    if "dsseRequestV002" in outer:
        raise ValueError("more than one kind of entry")
    request = fields(outer["hashedRekordRequestV002"], ["digest", "signature"])
    signature = fields(request["signature"], ["content", "verifier"])
    verifier = fields(signature["verifier"], ["keyDetails"], ["x509Certificate", "publicKey"])
    return Entry(
        digest=from_base64(request["digest"]),
        signature=from_base64(signature["content"]),
        algorithm=Algorithm(verifier["keyDetails"]),
        certificate=_raw_bytes(verifier.get("x509Certificate")),
        public_key=_raw_bytes(verifier.get("publicKey")),
    )


def _raw_bytes(member: object) -> bytes | None:
    return None if member is None else from_base64(fields(member, ["rawBytes"])["rawBytes"])
