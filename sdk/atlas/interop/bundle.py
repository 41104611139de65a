"""Sigstore bundles v0.3: a signature with its signer and its log entry in one file (`*.sigstore.json`).

The format is `dev.sigstore.bundle.v1.Bundle` of sigstore/protobuf-specs, as protobuf-JSON. A signer is a certificate,
or a hint at a key that the verifier has. Model signing writes a chain instead of one certificate, so that is read too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.interop.dsse import Envelope, parse_envelope
from atlas.log.encoding import fields, from_base64, load_json, to_base64
from atlas.manifest import Manifest

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BUNDLE = 32 << 20
"""Bytes; room for the statement of a model of 100,000 files."""
MAX_CERTIFICATES = 8
MAX_LOG_ENTRIES = 8
MAX_TIMESTAMPS = 8


@dataclass(frozen=True)
class MessageSignature:
    """A signature over a message that the bundle does not hold.

    Attributes:
        sha256: the message's digest, 32 bytes.
        signature: ECDSA, DER.
    """

    sha256: bytes
    signature: bytes


@dataclass(frozen=True)
class Bundle:
    """A bundle, parsed and not verified.

    Attributes:
        content: the signature.
        certificates: DER, the signer's first; empty if the signer is a bare key.
        hint: which key; only without certificates.
        log_entries: `TransparencyLogEntry` documents.
        chain: whether the certificates stand as a chain, as model signing has it.
        timestamps: RFC 3161 responses over the signature, DER.
    """

    content: Envelope | MessageSignature
    certificates: tuple[bytes, ...] = ()
    hint: str = ""
    log_entries: tuple[Mapping[str, Any], ...] = ()
    chain: bool = False
    timestamps: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """The file."""
        content = (
            {"dsseEnvelope": self.content.to_json()}
            if isinstance(self.content, Envelope)
            else {
                "messageSignature": {
                    "messageDigest": {"algorithm": "SHA2_256", "digest": to_base64(self.content.sha256)},
                    "signature": to_base64(self.content.signature),
                }
            }
        )
        material = {**self._signer(), "tlogEntries": list(self.log_entries)}
        if self.timestamps:
            stamps = [{"signedTimestamp": to_base64(each)} for each in self.timestamps]
            material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        return json.dumps({"mediaType": MEDIA_TYPE, "verificationMaterial": material, **content}).encode() + b"\n"

    def _signer(self) -> dict[str, Any]:
        if not self.certificates:
            return {"publicKey": {"hint": self.hint}}
        raw = [{"rawBytes": to_base64(each)} for each in self.certificates]
        return {"x509CertificateChain": {"certificates": raw}} if self.chain else {"certificate": raw[0]}


def key_hint(spki: bytes) -> str:
    """What a bundle calls a bare key (DER): its SHA-256, base64."""
    return to_base64(hashlib.sha256(spki).digest())


def claim_signature(manifest: Manifest) -> MessageSignature:
    """A manifest's own C2PA signature; its message is the COSE Sig_structure (RFC 9052, section 4.4)."""
    return MessageSignature(hashlib.sha256(manifest.to_be_signed).digest(), manifest.signature)


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle; nothing is verified.

    Raises:
        Rejected: BUNDLE_MALFORMED.
    """
    try:
        return _parse(load_json(raw, MAX_BUNDLE))
    except ValueError as error:
        raise Rejected(Code.BUNDLE_MALFORMED, f"not a Sigstore bundle v0.3: {error}") from error


def _parse(document: object) -> Bundle:
    outer = fields(document, ["mediaType", "verificationMaterial"], ["messageSignature", "dsseEnvelope"])
    if outer["mediaType"] != MEDIA_TYPE:
        raise ValueError("its media type is another")
    if ("messageSignature" in outer) == ("dsseEnvelope" in outer):
        raise ValueError("not exactly one signature")
    content = (
        parse_envelope(outer["dsseEnvelope"])
        if "dsseEnvelope" in outer
        else _message_signature(outer["messageSignature"])
    )
    forms = ["certificate", "x509CertificateChain", "publicKey"]
    material = fields(outer["verificationMaterial"], [], [*forms, "tlogEntries", "timestampVerificationData"])
    if sum(form in material for form in forms) != 1:
        raise ValueError("not exactly one signer")
    entries = material.get("tlogEntries", [])
    documents = [each for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    if documents != entries or len(documents) > MAX_LOG_ENTRIES:
        raise ValueError(f"log entries that are not a list of at most {MAX_LOG_ENTRIES}")
    return Bundle(
        content=content,
        certificates=_certificates(material),
        hint=_hint(material["publicKey"]) if "publicKey" in material else "",
        log_entries=tuple(documents),
        chain="x509CertificateChain" in material,
        timestamps=_timestamps(material.get("timestampVerificationData", {})),
    )


def _message_signature(document: object) -> MessageSignature:
    message = fields(document, ["messageDigest", "signature"])
    digest = fields(message["messageDigest"], ["algorithm", "digest"])
    if digest["algorithm"] != "SHA2_256":
        raise ValueError("a message digest that is not SHA2_256")
    return MessageSignature(from_base64(digest["digest"], 32), from_base64(message["signature"]))


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "publicKey" in material:
        return ()
    if "certificate" in material:
        chain: object = [material["certificate"]]
    else:
        chain = fields(material["x509CertificateChain"], ["certificates"])["certificates"]
    if not isinstance(chain, list) or not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise ValueError(f"certificates that are not a list of 1 to {MAX_CERTIFICATES}")
    return tuple([from_base64(fields(each, ["rawBytes"])["rawBytes"]) for each in chain])


def _timestamps(document: object) -> tuple[bytes, ...]:
    stamps = fields(document, [], ["rfc3161Timestamps"]).get("rfc3161Timestamps", [])
    if not isinstance(stamps, list) or len(stamps) > MAX_TIMESTAMPS:
        raise ValueError(f"timestamps that are not a list of at most {MAX_TIMESTAMPS}")
    return tuple([from_base64(fields(each, ["signedTimestamp"])["signedTimestamp"]) for each in stamps])


def _hint(document: object) -> str:
    # the first releases of model signing wrote the key itself there; whose it is, is not for the file to say
    hint = fields(document, [], ["hint", "rawBytes", "keyDetails"]).get("hint", "")
    if not isinstance(hint, str):
        raise ValueError("a key's hint that is not a string")
    return hint
