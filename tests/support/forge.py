"""Manifests as a careless or hostile signer would make them.

Two ways, from weak to strong:

* `forge` asks the real C2PA library to sign a definition that was patched: what any C2PA tool could produce.
* `rewrite` takes a sidecar apart, lets the caller change whatever it likes, recomputes every hash and signs the claim
  itself: what somebody could produce who has a trusted key and no scruples.

`edit` changes boxes and repairs nothing: what somebody without any key can do.
"""

import datetime as dt
import hashlib
import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import c2pa
import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atlas.artifact import Kind
from atlas.keys import Credential, Issuer, identity_uri, issue, new_authority
from atlas.manifest import profile
from atlas.statement import Input, Link, Output, Publisher, Statement, Step, dump_statement
from atlas.trust import Authority, Role, TrustRoot

ASSET = b"weights\n"
"""The bytes that `output()` is of."""
CODE_SHA256 = hashlib.sha256(b"command template").hexdigest()

# ------------------------------------------------------------------------------------------------ honest parts


def now() -> dt.datetime:
    """The time of day in whole seconds; the C2PA library refuses to sign with a leaf that is not valid now."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def authority(name: str = "test authority", *, begins: dt.datetime | None = None) -> Issuer:
    """A fresh authority that began yesterday."""
    return new_authority(name, begins or now() - dt.timedelta(days=1))


def trust_root(*issuers: Issuer, roles: frozenset[Role] = frozenset(Role)) -> TrustRoot:
    """A trust root that pins these authorities and no log."""
    return TrustRoot(tuple(Authority(_common_name(each), each.certificate, roles) for each in issuers), ())


def step(**changes: Any) -> Step:
    """A step that went well."""
    base = Step("training", "run-1", "train", "trainer", 0, "registry.example/train@sha256:ab", CODE_SHA256, 0)
    return replace(base, **changes)


def output(content: bytes = ASSET, **changes: Any) -> Output:
    """A model file with this content."""
    digest = hashlib.sha256(content).hexdigest()
    base = Output("model", 0, Kind.FILE, digest, len(content), 1, "minio://bucket/model", "system.Model")
    return replace(base, **changes)


def link(content: bytes = b"rows\n", **changes: str) -> Link:
    """A link to the manifest of the artifact with this content."""
    base = Link(
        "urn:c2pa:00000000-0000-4000-8000-000000000001",
        hashlib.sha256(b"box" + content).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )
    return replace(base, **changes)


def source(content: bytes = b"rows\n", **changes: Any) -> Input:
    """A data set with this content, linked to its maker."""
    digest = hashlib.sha256(content).hexdigest()
    uri = "minio://bucket/data"
    made_by = link(content)
    base = Input("data", 0, Kind.FILE, digest, len(content), 1, uri, "system.Dataset", False, False, made_by)
    return replace(base, **changes)


def statement(**changes: Any) -> Statement:
    """One input, one output; of a publisher, the output alone, unless more is asked for."""
    if isinstance(changes.get("maker"), Publisher):
        changes = {"inputs": (), "parameters": {}, **changes}
    started = dt.datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=dt.UTC)
    base = Statement(
        maker=step(),
        inputs=(source(),),
        outputs=(output(),),
        parameters={"epochs": 3},
        started=started,
        ended=started + dt.timedelta(seconds=90),
    )
    return replace(base, **changes)


# ------------------------------------------------------------------------------------------------ certificates


def leaf(
    issuer: Issuer,
    maker: Step | Publisher | None = None,
    *,
    begins: dt.datetime | None = None,
    ends: dt.datetime | None = None,
    names: Sequence[str] | None = None,
    above: tuple[x509.Certificate, ...] = (),
) -> Credential:
    """A leaf of the C2PA profile with any validity and any names; `above` are the intermediates it is sent with."""
    key = ec.generate_private_key(ec.SECP256R1())
    uris = [identity_uri(maker or step())] if names is None else list(names)
    builder = (
        _certificate("leaf", key, issuer, begins or now() - dt.timedelta(hours=1), ends or now() + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    )
    if uris:
        alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(each) for each in uris])
        builder = builder.add_extension(alternatives, critical=False)
    return Credential(key, (builder.sign(issuer.key, hashes.SHA256()), *above))


def root(name: str = "tall root", *, height: int = 1) -> Issuer:
    """A self-signed authority that may have `height` authorities below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    self = Issuer(key, _placeholder(name, key))
    return Issuer(key, _authority_certificate(name, key, self, height).sign(key, hashes.SHA256()))


def intermediate(above: Issuer, name: str = "intermediate", *, height: int = 0, is_authority: bool = True) -> Issuer:
    """An authority below another one; or a leaf that pretends to be one."""
    key = ec.generate_private_key(ec.SECP256R1())
    if is_authority:
        builder = _authority_certificate(name, key, above, height)
    else:
        builder = (
            _certificate(name, key, above, now() - dt.timedelta(hours=2), now() + dt.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=True), critical=True)
        )
    return Issuer(key, builder.sign(above.key, hashes.SHA256()))


def _authority_certificate(
    name: str, key: ec.EllipticCurvePrivateKey, above: Issuer, height: int
) -> x509.CertificateBuilder:
    return (
        _certificate(name, key, above, now() - dt.timedelta(days=1), now() + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=height), critical=True)
        .add_extension(_usage(sign=False), critical=True)
    )


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, above: Issuer, begins: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(above.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.key.public_key()), critical=False)
    )


def _placeholder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """A certificate that only lends its subject to the self-signed one."""
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name)).public_key(key.public_key())
    interval = builder.not_valid_before(now()).not_valid_after(now() + dt.timedelta(seconds=1))
    return interval.serial_number(1).sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Atlas tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def twin(certificate: x509.Certificate) -> x509.Certificate:
    """The same certificate, issued under P-256, with the other form of its signature, which anybody can make."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    r, s = utils.decode_dss_signature(certificate.signature)
    other = b"\0" + utils.encode_dss_signature(r, ec.SECP256R1.group_order - s)
    end = der.rindex(b"\0" + certificate.signature) - 2  # the tag and the one byte of length of the bit string
    body = der[der.index(certificate.tbs_certificate_bytes) : end] + bytes([3, len(other)]) + other
    return x509.load_der_x509_certificate(b"\x30\x82" + struct.pack(">H", len(body)) + body)


def _common_name(issuer: Issuer) -> str:
    return str(issuer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(sign, False, False, False, False, not sign, not sign, False, False)


# ------------------------------------------------------------------------------------------------ the C2PA library


def forge(
    stated: Statement,
    credential: Credential,
    *,
    of: Output | None = None,
    raw: bytes | None = None,
    digest: bytes | None = None,
    evidence: str = "",
    patch: Callable[[dict[str, Any]], object] | None = None,
    resources: Mapping[str, bytes] | None = None,
) -> bytes:
    """Have the C2PA library sign a patched definition.

    Args:
        stated: what the definition is made from.
        credential: who signs.
        of: the output it is the manifest of; the first one unless told.
        raw: the statement's bytes, if they are not to be those of `stated`.
        digest: the hard binding, if it is not to be that of the output.
        evidence: the evidence document.
        patch: changes the definition in place.
        resources: what the definition refers to by identifier.
    """
    chosen = of or stated.outputs[0]
    bound = digest if digest is not None else bytes.fromhex(chosen.sha256)
    document = raw if raw is not None else dump_statement(stated)
    definition = profile.definition(stated, document, chosen, bound, evidence)
    if patch:
        patch(definition)
    builder = c2pa.Builder(json.dumps(definition), context=profile.context())
    builder.set_no_embed()
    for name, content in (resources or {}).items():
        builder.add_resource(name, io.BytesIO(content))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", credential.chain_pem, credential.key_pem, None))
    return bytes(builder.sign(signer, profile.FORMAT, io.BytesIO(b""), io.BytesIO()))


@dataclass(frozen=True)
class Opinion:
    """What the C2PA library itself says of a sidecar."""

    state: str
    failures: frozenset[str]
    results: dict[str, Any] = field(repr=False)


def opinion(raw: bytes, asset: bytes, *authorities: Issuer) -> Opinion:
    """Read a sidecar with its asset through the C2PA library's public Reader."""
    anchors = "".join(each.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in authorities)
    reader = c2pa.Reader(profile.SIDECAR_FORMAT, io.BytesIO(asset), raw, context=profile.context(anchors))
    results: dict[str, Any] = reader.get_validation_results() or {}
    failures = frozenset(each["code"] for each in results.get("activeManifest", {}).get("failure", []))
    return Opinion(str(reader.get_validation_state()), failures, results)


# ------------------------------------------------------------------------------------------------ boxes


@dataclass
class Box:
    """A JUMBF box that can be changed; a superbox has children, of which the first is its description."""

    kind: bytes
    data: bytes = b""
    children: list["Box"] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The superbox's label."""
        return self.children[0].data[17:].partition(b"\0")[0].decode("ascii")

    def part(self, label: str) -> "Box":
        """The superbox inside with this label."""
        return next(each for each in self.children if each.kind == b"jumb" and each.label == label)

    @property
    def body(self) -> bytes:
        """All of it but the header."""
        return b"".join(each.to_bytes() for each in self.children) if self.kind == b"jumb" else self.data

    def to_bytes(self) -> bytes:
        """The box with its header."""
        body = self.body
        return struct.pack(">I4s", 8 + len(body), self.kind) + body

    @property
    def cbor(self) -> Any:
        """The decoded content of the one CBOR box inside."""
        return cbor2.loads(self.children[1].data)

    @cbor.setter
    def cbor(self, value: Any) -> None:
        self.children[1].data = cbor2.dumps(value)

    @property
    def assertions(self) -> "Box":
        """The assertion store of this manifest."""
        return self.part("c2pa.assertions")


def read_box(raw: bytes) -> Box:
    """Read a superbox that is the whole of the bytes."""
    (box,) = _boxes(raw)
    return box


def super_box(kind: bytes, label: str, *children: Box) -> Box:
    """A labelled superbox without salt."""
    suffix = bytes.fromhex("00110010800000aa00389b71")
    return Box(b"jumb", b"", [Box(b"jumd", kind + suffix + b"\x03" + label.encode("ascii") + b"\0"), *children])


def cbor_box(label: str, value: Any) -> Box:
    """An assertion."""
    return super_box(b"cbor", label, Box(b"cbor", cbor2.dumps(value)))


def edit(raw: bytes, change: Callable[[Box], object]) -> bytes:
    """Change the manifest box (of a store with one manifest) and repair nothing but the lengths."""
    store = read_box(raw)
    change(store.children[1])
    return store.to_bytes()


def edit_store(raw: bytes, change: Callable[[Box], object]) -> bytes:
    """Change the store box and repair nothing but the lengths."""
    store = read_box(raw)
    change(store)
    return store.to_bytes()


def _boxes(content: bytes) -> list[Box]:
    boxes = []
    while content:
        length, kind = struct.unpack_from(">I4s", content)
        inside = content[8:length]
        boxes.append(Box(kind, b"", _boxes(inside)) if kind == b"jumb" else Box(kind, inside))
        content = content[length:]
    return boxes


# ------------------------------------------------------------------------------------------------ signing


@dataclass
class Signature:
    """The parts of a COSE_Sign1 (RFC 9052) that a forger may choose."""

    header: dict[Any, Any]
    unprotected: dict[Any, Any]
    payload: bytes | None = None
    tag: int = 18

    def to_box_content(self, claim: bytes, key: ec.EllipticCurvePrivateKey) -> Any:
        """Sign the claim."""
        protected = cbor2.dumps(self.header)
        der = key.sign(cbor2.dumps(["Signature1", protected, b"", claim]), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return cbor2.CBORTag(self.tag, [protected, self.unprotected, self.payload, raw])


def rewrite(
    raw: bytes,
    credential: Credential,
    *,
    boxes: Callable[[Box], object] | None = None,
    assertions: Callable[[dict[str, Any]], object] | None = None,
    claim: Callable[[dict[str, Any]], object] | None = None,
    signature: Callable[[Signature], object] | None = None,
) -> bytes:
    """Change a sidecar and sign it anew, with every hash right.

    Args:
        raw: a sidecar with one manifest.
        credential: who signs now.
        boxes: changes the manifest box before anything is hashed.
        assertions: changes label -> content; labels may go and come.
        claim: changes the claim after the hashes were put into it.
        signature: changes the signature's headers.
    """
    store = read_box(raw)
    manifest = store.children[1]
    if boxes:
        boxes(manifest)
    if assertions:
        _replace(manifest.assertions, assertions)
    body = dict(manifest.part("c2pa.claim.v2").cbor)
    body["created_assertions"] = [
        {"url": f"self#jumbf=c2pa.assertions/{each.label}", "hash": hashlib.sha256(each.body).digest()}
        for each in manifest.assertions.children[1:]
        if each.kind == b"jumb"
    ]
    if claim:
        claim(body)
    manifest.part("c2pa.claim.v2").cbor = body
    chain = [each.public_bytes(serialization.Encoding.DER) for each in credential.chain]
    parts = Signature({1: -7, 33: chain[0] if len(chain) == 1 else chain}, {"pad": b""})
    if signature:
        signature(parts)
    manifest.part("c2pa.signature").cbor = parts.to_box_content(
        manifest.part("c2pa.claim.v2").children[1].data, credential.key
    )
    return store.to_bytes()


def _replace(store: Box, change: Callable[[dict[str, Any]], object]) -> None:
    values = {each.label: each.cbor for each in store.children[1:]}
    before = {label: cbor2.dumps(value) for label, value in values.items()}
    change(values)
    store.children[1:] = [each for each in store.children[1:] if each.label in values]
    for label, value in values.items():
        if label not in before:
            store.children.append(cbor_box(label, value))
        elif cbor2.dumps(value) != before[label]:
            store.part(label).cbor = value


def signed(stated: Statement, issuer: Issuer, *, of: Output | None = None) -> tuple[bytes, Credential]:
    """An honest sidecar, and the credential that signed it."""
    credential = issue(issuer, stated.maker, now())
    return forge(stated, credential, of=of), credential
