"""Reading a sidecar strictly: every byte is either pinned by the profile, hashed by the claim, or signed.

What a C2PA library accepts is not enough to admit an artifact. It calls a store `Trusted` that has bytes after its end,
manifests that nothing refers to, or a parent that its signer knew to be invalid. This reader takes the one shape that
`emit` writes and refuses the rest; who signed is for `verify`.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.manifest import profile
from atlas.manifest.jumbf import SuperBox, read_store, read_super_box
from atlas.spki import dump_spki
from atlas.statement import Output, Statement, parse_statement

_ALG, _ES256, _X5CHAIN = 1, -7, 33  # RFC 9052 section 3.1, RFC 9053 section 2.1, RFC 9360 section 2
_P256_BYTES = 32


@dataclass(frozen=True)
class Manifest:
    """What a sidecar says, of which everything agrees and is covered by one valid signature."""

    label: str
    """C2PA's name for it, `urn:c2pa:<uuid>`."""
    box_sha256: str
    """Its identity: SHA-256 of the manifest box's content, the value that C2PA itself links by."""
    asset_sha256: str
    """The artifact it is bound to."""
    statement: Statement
    statement_sha256: str
    output: Output | None
    """The output it is the manifest of; None for a step without any."""
    evidence: str
    """The evidence document, or empty."""
    certificates: tuple[x509.Certificate, ...]
    """From the signer's own towards the authority's, which is not among them."""
    to_be_signed: bytes
    """COSE Sig_structure: what the signature is over, and what a log entry is about."""
    signature: bytes
    """ECDSA, DER; under P-256 in a sidecar."""
    key: ec.EllipticCurvePublicKey | None = None
    """The signer's bare key, where there are no certificates: never in a sidecar."""
    ignored: tuple[str, ...] = ()
    """Files of the artifact that the signature leaves out: never by a sidecar."""

    @property
    def signer(self) -> x509.Certificate:
        """The signer's certificate."""
        return self.certificates[0]

    @property
    def is_sidecar(self) -> bool:
        """Whether it is of C2PA, and not what a signature of another format amounts to."""
        return self.label.startswith("urn:c2pa:")

    @property
    def verifier(self) -> x509.Certificate | ec.EllipticCurvePublicKey:
        """What the signature verifies under: the signer's certificate or bare key."""
        return self.key or self.signer

    @property
    def signer_sha256(self) -> str:
        """Digest of the signer's certificate, or of its bare key (SubjectPublicKeyInfo), DER, hex."""
        der = self.signer.public_bytes(serialization.Encoding.DER) if self.key is None else dump_spki(self.key)
        return hashlib.sha256(der).hexdigest()


def parse_manifest(raw: bytes) -> Manifest:
    """Read one sidecar.

    Raises:
        Rejected: with the code of whatever it is that does not hold.
    """
    if len(raw) > profile.MAX_BYTES:
        raise Rejected(Code.SIDECAR_TOO_LARGE, expected=f"at most {profile.MAX_BYTES} bytes", found=f"{len(raw)} bytes")
    box = _only_manifest(read_store(raw))
    parts = _parts(box)
    claim_raw = _content(parts["c2pa.claim.v2"])
    claim = _cbor(claim_raw, "the claim")
    assertions = _created_assertions(box.label, claim, parts["c2pa.assertions"])
    certificates, to_be_signed, signature = _check_signature(_content(parts["c2pa.signature"]), claim_raw)
    statement_raw = _document(assertions, profile.STATEMENT)
    statement = parse_statement(statement_raw)
    asset = _hard_binding(assertions)
    statement_sha256 = hashlib.sha256(statement_raw).hexdigest()
    manifest = Manifest(
        label=box.label,
        box_sha256=hashlib.sha256(box.body).hexdigest(),
        asset_sha256=asset,
        statement=statement,
        statement_sha256=statement_sha256,
        output=_bound_output(statement, asset, claim.get("dc:title"), statement_sha256),
        evidence=_document(assertions, profile.EVIDENCE).decode() if profile.EVIDENCE in assertions else "",
        certificates=certificates,
        to_be_signed=to_be_signed,
        signature=signature,
    )
    _check_ingredients(statement, assertions)
    return manifest


def _only_manifest(store: SuperBox) -> SuperBox:
    if (store.type, store.label, store.salted) != (b"c2pa", "c2pa", False):
        _malformed("it is not a C2PA manifest store")
    manifests = []
    for kind, content in store.children:
        if kind != b"jumb":
            raise Rejected(Code.SIDECAR_UNKNOWN_BOX, found=repr(kind))
        manifests.append(read_super_box(content))
    if not manifests:
        _malformed("the store has no manifest")
    labels = [each.label for each in manifests]
    if len(set(labels)) < len(labels):
        raise Rejected(Code.SIDECAR_DUPLICATE_BOX, found=labels[0])
    if len(manifests) > 1:
        raise Rejected(Code.SIDECAR_HIDDEN_MANIFEST, expected="one manifest", found=f"{len(manifests)}")
    if manifests[0].type != b"c2ma" or manifests[0].salted:
        _malformed("the store's manifest is not a standard manifest")
    return manifests[0]


_PARTS = {"c2pa.assertions": b"c2as", "c2pa.claim.v2": b"c2cl", "c2pa.signature": b"c2cs"}


def _parts(manifest: SuperBox) -> dict[str, SuperBox]:
    parts: dict[str, SuperBox] = {}
    for kind, content in manifest.children:
        part = read_super_box(content) if kind == b"jumb" else None
        if part is None or _PARTS.get(part.label) != part.type or part.salted:
            raise Rejected(Code.SIDECAR_UNKNOWN_BOX, found=part.label if part else repr(kind))
        if part.label in parts:
            raise Rejected(Code.SIDECAR_DUPLICATE_BOX, found=part.label)
        parts[part.label] = part
    if missing := sorted(_PARTS.keys() - parts.keys()):
        _malformed(f"the manifest has no {', '.join(missing)}")
    return parts


def _content(box: SuperBox) -> bytes:
    """The one CBOR box of a superbox."""
    if len(box.children) != 1 or box.children[0][0] != b"cbor":
        raise Rejected(Code.SIDECAR_UNKNOWN_BOX, found=f"the contents of {box.label}")
    return box.children[0][1]


def _created_assertions(manifest: str, claim: Mapping[str, Any], store: SuperBox) -> dict[str, Any]:
    """Label -> decoded content of every assertion; each is referred to, hashed and vouched for by the claim."""
    if claim.get("alg") != "sha256":
        raise Rejected(Code.CLAIM_MALFORMED, expected="alg sha256", found=_shown(claim.get("alg")))
    if claim.get("signature") != f"self#jumbf=/c2pa/{manifest}/c2pa.signature":
        raise Rejected(Code.CLAIM_MALFORMED, "the claim names another manifest's signature")
    if claim.get("gathered_assertions"):
        raise Rejected(Code.ASSERTION_UNSIGNED, "the claim gathers assertions that its signer does not vouch for")
    boxes: dict[str, SuperBox] = {}
    for kind, content in store.children:
        if kind != b"jumb":
            raise Rejected(Code.SIDECAR_UNKNOWN_BOX, found=repr(kind))
        box = read_super_box(content)
        if box.label in boxes:
            raise Rejected(Code.SIDECAR_DUPLICATE_BOX, found=box.label)
        boxes[box.label] = box
    created = _hashed_uris(claim.get("created_assertions"))
    if unsigned := sorted(boxes.keys() - created.keys()):
        raise Rejected(Code.ASSERTION_UNSIGNED, found=", ".join(unsigned)[:200])
    if missing := sorted(created.keys() - boxes.keys()):
        raise Rejected(Code.ASSERTION_MISSING, found=", ".join(missing)[:200])
    assertions = {}
    for label, digest in created.items():
        box = boxes[label]
        if hashlib.sha256(box.body).digest() != digest:
            raise Rejected(Code.ASSERTION_CHANGED, f"the assertion {label} was changed after it was signed")
        if box.type != b"cbor" or not _known(label):
            raise Rejected(Code.SIDECAR_UNKNOWN_BOX, found=label)
        assertions[label] = _cbor(_content(box), label)
    return assertions


def _hashed_uris(references: object) -> dict[str, bytes]:
    uris: dict[str, bytes] = {}
    for each in references if isinstance(references, list) else ():
        url, digest = (each.get("url"), each.get("hash")) if isinstance(each, dict) else (None, None)
        prefix = "self#jumbf=c2pa.assertions/"
        if not isinstance(url, str) or not url.startswith(prefix) or not isinstance(digest, bytes):
            raise Rejected(Code.CLAIM_MALFORMED, "the claim refers to an assertion in no known way")
        if each.get("alg", "sha256") != "sha256" or url[len(prefix) :] in uris:
            raise Rejected(Code.CLAIM_MALFORMED, "the claim refers to an assertion twice, or by another hash")
        uris[url[len(prefix) :]] = digest
    if not uris:
        raise Rejected(Code.CLAIM_MALFORMED, "the claim refers to no assertion")
    return uris


_KNOWN = {profile.STATEMENT, profile.EVIDENCE, profile.HARD_BINDING, profile.ACTIONS, profile.ASSET_TYPE}


def _known(label: str) -> bool:
    name, _, repeat = label.partition("__")
    return label in _KNOWN or (name == profile.INGREDIENT and (repeat.isdecimal() or label == name))


def _check_signature(box: bytes, claim: bytes) -> tuple[tuple[x509.Certificate, ...], bytes, bytes]:
    """Verify the COSE_Sign1 signature (RFC 9052, section 4.4) over the detached claim.

    Returns:
        Certificates, signer first; Sig_structure; signature (DER).
    """
    message = _cbor(box, "the signature box", any_type=True)
    value = message.value if isinstance(message, cbor2.CBORTag) and message.tag == 18 else None
    if not isinstance(value, list | tuple) or len(value) != 4 or not isinstance(value[0], bytes):
        raise Rejected(Code.CLAIM_MALFORMED, "the signature box is not a COSE_Sign1")
    protected, unprotected, payload, signature = value
    pad = unprotected.get("pad", b"") if isinstance(unprotected, Mapping) and unprotected.keys() <= {"pad"} else None
    if payload is not None or not isinstance(pad, bytes) or any(pad) or not isinstance(signature, bytes):
        raise Rejected(Code.CLAIM_MALFORMED, "the signature box holds more than a detached signature")
    header = _cbor(protected, "the signature's header")
    chain = header.get(_X5CHAIN)
    encoded = tuple(chain) if isinstance(chain, list | tuple) else (chain,)
    if header.keys() != {_ALG, _X5CHAIN} or header[_ALG] != _ES256 or len(signature) != 2 * _P256_BYTES:
        raise Rejected(Code.CLAIM_MALFORMED, expected="ES256 with a certificate chain")
    if not 1 <= len(encoded) <= 4 or not all(isinstance(each, bytes) for each in encoded):
        raise Rejected(Code.CLAIM_MALFORMED, "the signature names no signer")
    certificates = tuple(_certificate(each) for each in encoded)
    key = certificates[0].public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Rejected(Code.CLAIM_MALFORMED, "the signer's key is not P-256")
    to_be_signed = cbor2.dumps(["Signature1", protected, b"", claim])
    r, s = (int.from_bytes(each, "big") for each in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
    der = utils.encode_dss_signature(r, s)
    try:
        key.verify(der, to_be_signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Rejected(Code.CLAIM_SIGNATURE_INVALID) from None
    return certificates, to_be_signed, der


def _hard_binding(assertions: Mapping[str, Any]) -> str:
    binding = _required(assertions, profile.HARD_BINDING)
    digest = binding.get("hash")
    if not isinstance(digest, bytes) or len(digest) != 32 or binding.get("alg") != "sha256":
        raise Rejected(Code.HARD_BINDING_INVALID)
    pad = binding.get("pad", b"")
    if binding.keys() - {"name", "alg", "hash", "pad"} or not isinstance(pad, bytes) or any(pad):
        raise Rejected(Code.HARD_BINDING_INVALID, found=", ".join(sorted(map(_shown, binding)))[:200])
    return digest.hex()


def _document(assertions: Mapping[str, Any], label: str) -> bytes:
    text = _required(assertions, label).get("json")
    if not isinstance(text, str):
        raise Rejected(Code.CLAIM_MALFORMED, f"the assertion {label} holds no document")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Rejected(Code.CLAIM_MALFORMED, f"the assertion {label} holds no text: {error}") from error


def _required(assertions: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    if label not in assertions:
        raise Rejected(Code.ASSERTION_MISSING, expected=label)
    assertion = assertions[label]
    if not isinstance(assertion, Mapping):
        raise Rejected(Code.CLAIM_MALFORMED, f"the assertion {label} is not a map")
    return assertion


def _bound_output(statement: Statement, asset: str, title: object, statement_sha256: str) -> Output | None:
    for output in statement.outputs:
        if output.sha256 == asset and output.name == title:
            return output
    if asset == statement_sha256:
        return None
    raise Rejected(
        Code.STATEMENT_ASSET_MISMATCH,
        expected=", ".join(f"{each.name} sha256:{each.sha256}" for each in statement.outputs)[:400],
        found=f"{_shown(title)} sha256:{asset}",
    )


def _check_ingredients(statement: Statement, assertions: Mapping[str, Any]) -> None:
    found = {label: each for label, each in assertions.items() if label.startswith(profile.INGREDIENT)}
    expected = {profile.ingredient_label(position): each for position, each in enumerate(statement.inputs)}
    for label, ingredient in found.items():
        if not isinstance(ingredient, Mapping):
            raise Rejected(Code.CLAIM_MALFORMED, f"the assertion {label} is not a map")
        if ingredient.keys() & {"activeManifest", "claimSignature", "validationResults", "data"}:
            raise Rejected(Code.INGREDIENT_EMBEDDED, found=label)
    if found.keys() != expected.keys():
        raise Rejected(
            Code.INGREDIENT_MISMATCH,
            expected=f"{len(expected)} ingredients",
            found=f"{len(found)} ingredients",
        )
    for label, each in expected.items():
        wanted: dict[str, Any] = {
            "relationship": "inputTo",
            "dc:title": each.name,
            "dc:format": profile.FORMAT,
            "instanceID": profile.instance_id(each.sha256),
        }
        if metadata := profile.link_metadata(each):
            wanted["metadata"] = metadata
        if found[label] != wanted:
            raise Rejected(Code.INGREDIENT_MISMATCH, found=label)


def _cbor(raw: bytes, what: str, *, any_type: bool = False) -> Any:
    """Decode one CBOR item that is the whole of the bytes and has one encoding."""
    stream = io.BytesIO(raw)
    try:
        value = cbor2.load(stream)
        whole = stream.tell() == len(raw) and cbor2.dumps(value) == raw
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise Rejected(Code.CLAIM_MALFORMED, f"{what} is not CBOR: {error}") from error
    if not whole:
        raise Rejected(Code.CLAIM_MALFORMED, f"{what} is not in the one CBOR encoding of what it says")
    if not any_type and not isinstance(value, dict):
        raise Rejected(Code.CLAIM_MALFORMED, f"{what} is not a map")
    return value


def _certificate(der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.public_key()
        certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()  # read only when asked for
        whole = certificate.public_bytes(serialization.Encoding.DER) == der
    except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise Rejected(Code.CLAIM_MALFORMED, f"the signer's certificate cannot be read: {error}") from error
    if not whole:
        raise Rejected(Code.CLAIM_MALFORMED, "the signer's certificate cannot be read")
    return certificate


def _shown(value: object) -> str:
    """A value for a person to read; not `str`, which refuses integers of many digits."""
    return value[:80] if isinstance(value, str) else type(value).__name__


def _malformed(detail: str) -> NoReturn:
    raise Rejected(Code.SIDECAR_MALFORMED, f"the sidecar is malformed: {detail}")
