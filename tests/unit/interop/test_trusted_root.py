"""The trust root as Sigstore's own library reads it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.models import TrustedRoot
from sigstore_models.trustroot.v1 import TrustedRoot as Model

from atlas.errors import InputError
from atlas.interop.trusted_root import dump_trusted_root
from atlas.keys import key_digest
from atlas.revocation import Revocation, Subject
from atlas.trust import PinnedLog, TrustRoot
from support import forge
from unit.log.log_support import PINNED

ISSUER = forge.authority("acme")
ECDSA = PinnedLog("rekor.example", ec.generate_private_key(ec.SECP256R1()).public_key())
TRUST = TrustRoot(forge.trust_root(ISSUER).authorities, (PINNED, ECDSA))


def test_sigstore_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "trusted_root.json"
    path.write_bytes(dump_trusted_root(TRUST))
    assert TrustedRoot.from_file(str(path)).get_fulcio_certs() == [ISSUER.certificate]


def test_logs_have_the_ids_that_stand_in_receipts() -> None:
    logs = Model.from_json(dump_trusted_root(TRUST)).tlogs
    assert [each.log_id.key_id for each in logs] == [PINNED.key_id, ECDSA.key_id]
    assert [each.public_key.raw_bytes for each in logs] == [PINNED.der, ECDSA.der]
    assert [each.public_key.key_details.value for each in logs] == ["PKIX_ED25519", "PKIX_ECDSA_P256_SHA_256"]
    assert logs[1].base_url == "https://rekor.example"


def test_authorities_have_their_names_and_times() -> None:
    [authority] = json.loads(dump_trusted_root(TRUST))["certificateAuthorities"]
    begins = ISSUER.certificate.not_valid_before_utc
    assert authority["subject"] == {"organization": "Atlas", "commonName": "acme"}
    assert authority["validFor"]["start"] == f"{begins:%FT%TZ}"
    [read] = Model.from_json(dump_trusted_root(TRUST)).certificate_authorities
    raw = read.cert_chain.certificates[0].raw_bytes
    assert x509.load_der_x509_certificate(raw) == ISSUER.certificate


def test_key_that_sigstore_has_no_name_for_is_refused() -> None:
    odd = PinnedLog("odd.example", ec.generate_private_key(ec.SECP256K1()).public_key())
    with pytest.raises(InputError):
        dump_trusted_root(TrustRoot((), (odd,)))


def test_what_is_revoked_is_handed_to_nobody() -> None:
    other = forge.authority("other")
    whole = replace(TRUST, authorities=forge.trust_root(ISSUER, other).authorities)
    for subject, value in (
        (Subject.AUTHORITY, whole.authorities[0].sha256),
        (Subject.CERTIFICATE, whole.authorities[0].sha256),
        (Subject.KEY, key_digest(ISSUER.certificate)),
    ):
        trust = replace(whole, revoked=(Revocation(subject, value, "leaked"),))
        [authority] = json.loads(dump_trusted_root(trust))["certificateAuthorities"]
        assert authority["subject"]["commonName"] == "other"
    trust = replace(whole, revoked=(Revocation(Subject.LOG, ECDSA.origin, "stolen"),))
    assert [each.log_id.key_id for each in Model.from_json(dump_trusted_root(trust)).tlogs] == [PINNED.key_id]
