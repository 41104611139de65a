"""Readers of signatures by OpenSSF Model Signing: the signature's file, and the record of an archive."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.serialization import Encoding

from atlas.errors import Rejected
from atlas.interop.bundle import Bundle
from atlas.interop.dsse import sign_envelope
from atlas.interop.oms import dump_statement as dump_oms
from atlas.interop.oms_record import dump_record, own_receipt
from atlas.interop.verify import verify_signed
from atlas.log.claim import claim_entry
from atlas.statement import Publisher, dump_statement
from atlas.trust import PublisherKey, TrustRoot
from fuzz.mutate import BYTES, JSON
from fuzz.target import Seed, Target
from support import forge
from unit.interop.interop_support import KEY, measured, signature, signed_model, spki


def oms_targets() -> tuple[Target, ...]:
    """A model that is signed by a bare key, and by a certificate."""
    issuer = forge.authority()
    trust = TrustRoot(
        forge.trust_root(issuer).authorities, (), publisher_keys=(PublisherKey("acme", KEY.public_key()),)
    )
    with TemporaryDirectory() as folder:
        model = measured(Path(folder))

    def read(raw: bytes) -> object:
        manifest = verify_signed(raw, trust).manifest
        claim_entry(manifest).canonical_body()
        return dump_statement(manifest.statement), manifest.asset_sha256, manifest.signer_sha256, manifest.ignored

    def read_file(key: bytes | None, raw: bytes) -> object:
        own_receipt(raw, trust)
        return read(dump_record(raw, model, key))

    credential = forge.leaf(issuer, Publisher("acme"))
    keyed, certified = signature(signed_model()), signature(signed_model(), credential)
    records = dump_record(keyed, model, spki(KEY)), dump_record(certified, model)
    seeds = [Seed(f"record {number}", raw, read, JSON, read(raw)) for number, raw in enumerate(records)]
    files = {"by key": (keyed, spki(KEY)), "by certificate": (certified, None)}
    for name, (raw, key) in files.items():
        seeds.append(Seed(name, raw, partial(read_file, key), JSON, read_file(key, raw)))

    def read_statement(raw: bytes) -> object:
        """A trusted signer may state what it likes; only the files that are there are vouched for."""
        asset = read(dump_record(signature(raw), model, spki(KEY)))
        assert isinstance(asset, tuple)
        return asset[1:]

    def read_certificate(raw: bytes) -> object:
        envelope = sign_envelope(dump_oms(signed_model()), credential.key)
        return read(dump_record(Bundle(envelope, (raw,), chain=True).to_bytes(), model))

    statement, der = dump_oms(signed_model()), credential.chain[0].public_bytes(Encoding.DER)
    seeds.append(Seed("statement signed anew", statement, read_statement, JSON, read_statement(statement)))
    seeds.append(Seed("certificate", der, read_certificate, BYTES, read_certificate(der)))
    return (Target("model signature", Rejected, tuple(seeds)),)
