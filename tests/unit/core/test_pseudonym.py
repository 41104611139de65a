"""Certificates that carry pseudonyms: who has the statement recomputes them, who has the log entry learns nothing."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from atlas.codes import Code
from atlas.disclosure import new_salt
from atlas.errors import Rejected
from atlas.keys import identity_uri, issue
from atlas.log.claim import claim_entry
from atlas.manifest import sign_manifest, sign_statement, verify_manifest
from atlas.statement import SALT_BYTES, Publisher, Statement, Step
from support import forge

ISSUER = forge.authority()
TRUST = forge.trust_root(ISSUER)
NAMES = {"pipeline": "credit-risk", "run": "run-7c41", "task": "fit-eu-customers", "component": "trainer-eu"}
STEP = forge.step(**NAMES)
SALT = new_salt(SALT_BYTES)


def names_of(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def refused(stated: Statement, certified: Statement) -> Rejected:
    """Sign one statement with the certificate of another."""
    credential = issue(ISSUER, certified.maker, forge.now(), certified.pseudonym)
    raw = sign_manifest(stated, stated.outputs[0], credential).raw
    with pytest.raises(Rejected) as caught:
        verify_manifest(raw, TRUST)
    return caught.value


def test_pseudonym_is_the_digest_that_the_formats_say() -> None:
    salt = base64.urlsafe_b64decode(SALT + "=")
    digest = hashlib.sha256(b"atlas/pseudonym/v1\0" + salt + b"atlas:step:run-7c41/fit-eu-customers/0").digest()
    expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert identity_uri(STEP, SALT) == f"atlas:pseudonym:{expected}"
    assert identity_uri(STEP) == "atlas:step:run-7c41/fit-eu-customers/0"


@pytest.mark.parametrize("maker", [STEP, Publisher("Example Ltd.")], ids=["step", "publisher"])
def test_log_entry_holds_no_name(maker: Step | Publisher) -> None:
    stated = forge.statement(maker=maker, pseudonym=SALT)
    [sidecar] = sign_statement(stated, ISSUER, forge.now())
    manifest = verify_manifest(sidecar.raw, TRUST).manifest
    assert manifest.statement == stated
    assert names_of(manifest.signer) == [identity_uri(maker, SALT)]
    entry = claim_entry(manifest)
    for name in (*NAMES.values(), "Example Ltd", "atlas:step", "atlas:publisher", SALT):
        for part in (entry.certificate or b"", entry.canonical_body()):
            assert name.encode() not in part
    assert b"CN=pseudonym" in manifest.signer.subject.rfc4514_string().encode()


def test_the_same_step_has_another_pseudonym_each_time() -> None:
    assert identity_uri(STEP, SALT) != identity_uri(STEP, new_salt(SALT_BYTES))


@pytest.mark.parametrize("changes", [{"task": "evaluate"}, {"run": "run-8"}, {"attempt": 1}])
def test_another_steps_pseudonym_is_refused(changes: dict[str, Any]) -> None:
    stated = forge.statement(maker=STEP, pseudonym=SALT)
    other = replace(stated, maker=replace(STEP, **changes))
    assert refused(stated, other).code is Code.SIGNER_IDENTITY_MISMATCH


def test_another_salt_is_refused() -> None:
    stated = forge.statement(maker=STEP, pseudonym=SALT)
    assert refused(stated, replace(stated, pseudonym=new_salt(SALT_BYTES))).code is Code.SIGNER_IDENTITY_MISMATCH


def test_names_and_pseudonyms_do_not_stand_for_each_other() -> None:
    stated = forge.statement(maker=STEP, pseudonym=SALT)
    named = replace(stated, pseudonym="")
    assert refused(stated, named).code is Code.SIGNER_IDENTITY_MISMATCH
    assert refused(named, stated).code is Code.SIGNER_IDENTITY_MISMATCH
