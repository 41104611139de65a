"""Who signed: roles, identities, chains and intervals."""

import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.codes import Code
from atlas.errors import Rejected
from atlas.keys import Credential, issue
from atlas.manifest import TrustedManifest, verify_manifest
from atlas.statement import Publisher, Statement, Step
from atlas.trust import Authority, Role, TrustRoot
from support.forge import (
    ASSET,
    authority,
    forge,
    intermediate,
    leaf,
    now,
    opinion,
    rewrite,
    root,
    statement,
    step,
    trust_root,
)

ISSUER = authority()
TRUST = trust_root(ISSUER)
STATED = statement()
RAW = forge(STATED, issue(ISSUER, STATED.maker, now()))
HOUR = dt.timedelta(hours=1)


def rejected(raw: bytes, trust: TrustRoot = TRUST) -> Rejected:
    with pytest.raises(Rejected) as caught:
        verify_manifest(raw, trust)
    return caught.value


def signed_by(credential: Credential, stated: Statement = STATED) -> bytes:
    return rewrite(forge(stated, issue(ISSUER, stated.maker, now())), credential)


class TestTrust:
    def test_signed_again_by_a_stranger(self) -> None:
        raw = rewrite(RAW, leaf(authority("stranger")), claim=lambda claim: claim.update(claim_generator="evil"))

        refused = rejected(raw)
        assert (refused.code, refused.expected) == (Code.SIGNER_UNTRUSTED, "test authority")
        assert "CN=stranger" in refused.found

    def test_authority_of_the_same_name(self) -> None:
        assert rejected(signed_by(leaf(authority("test authority")))).code is Code.SIGNER_UNTRUSTED

    def test_key_of_another_certificate(self) -> None:
        mixed = replace(leaf(ISSUER), key=ec.generate_private_key(ec.SECP256R1()))

        assert rejected(signed_by(mixed)).code is Code.CLAIM_SIGNATURE_INVALID

    def test_stranger_who_brings_the_authority_along(self) -> None:
        stranger = leaf(authority("stranger"))
        raw = signed_by(replace(stranger, chain=(*stranger.chain, ISSUER.certificate)))

        assert rejected(raw).code is Code.SIGNER_UNTRUSTED

    def test_certificate_that_signed_itself(self) -> None:
        alone = root("alone", height=0)

        assert rejected(signed_by(leaf(alone, above=(alone.certificate,)))).code is Code.SIGNER_UNTRUSTED

    def test_authority_itself_as_signer(self) -> None:
        raw = signed_by(Credential(ISSUER.key, (ISSUER.certificate,)))

        assert rejected(raw).code is Code.C2PA_REJECTED

    def test_no_authority(self) -> None:
        assert rejected(RAW, TrustRoot((), ())).code is Code.SIGNER_UNTRUSTED

    @pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
    def test_key_on_another_curve(self, curve: ec.EllipticCurve) -> None:
        key = ec.generate_private_key(curve)
        template = leaf(ISSUER).chain[0]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(template.subject)
            .issuer_name(template.issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(template.not_valid_before_utc)
            .not_valid_after(template.not_valid_after_utc)
            .sign(ISSUER.key, hashes.SHA256())
        )
        raw = rewrite(
            RAW, leaf(ISSUER), signature=lambda parts: parts.header.update({33: certificate.public_bytes(Encoding.DER)})
        )

        assert rejected(raw).code is Code.CLAIM_MALFORMED


class TestChain:
    def test_intermediate(self) -> None:
        tall = root()
        middle = intermediate(tall)
        raw = signed_by(leaf(middle, above=(middle.certificate,)))

        trusted = verify_manifest(raw, trust_root(tall))
        assert isinstance(trusted.authority, Authority)
        assert trusted.authority.certificate == tall.certificate
        assert len(trusted.manifest.certificates) == 2
        assert opinion(raw, ASSET, tall).state == "Trusted"

    def test_two_intermediates(self) -> None:
        tall = root(height=2)
        high = intermediate(tall, "high", height=1)
        low = intermediate(high, "low")
        raw = signed_by(leaf(low, above=(low.certificate, high.certificate)))

        assert verify_manifest(raw, trust_root(tall)).authority.name == "tall root"

    def test_intermediate_that_is_pinned_itself(self) -> None:
        middle = intermediate(root())
        raw = signed_by(leaf(middle))

        assert verify_manifest(raw, trust_root(middle)).authority.name == "intermediate"

    def test_missing_intermediate(self) -> None:
        tall = root()

        assert rejected(signed_by(leaf(intermediate(tall))), trust_root(tall)).code is Code.SIGNER_UNTRUSTED

    def test_authority_that_may_have_none_below(self) -> None:
        middle = intermediate(ISSUER)
        raw = signed_by(leaf(middle, above=(middle.certificate,)))

        assert rejected(raw).code is Code.SIGNER_UNTRUSTED

    def test_leaf_that_issued_a_leaf(self) -> None:
        tall = root()
        pretender = intermediate(tall, is_authority=False)
        raw = signed_by(leaf(pretender, above=(pretender.certificate,)))

        assert rejected(raw, trust_root(tall)).code is Code.SIGNER_UNTRUSTED


class TestRoles:
    @pytest.mark.parametrize(
        ("stated", "roles"),
        [
            (STATED, frozenset({Role.PUBLISHER})),
            (STATED, frozenset()),
            (statement(maker=Publisher("p")), frozenset({Role.STEP})),
            (statement(maker=Publisher("p")), frozenset()),
        ],
    )
    def test_without(self, stated: Statement, roles: frozenset[Role]) -> None:
        raw = forge(stated, issue(ISSUER, stated.maker, now()))

        assert verify_manifest(raw, TRUST).manifest.statement == stated
        assert rejected(raw, trust_root(ISSUER, roles=roles)).code is Code.SIGNER_ROLE_MISMATCH

    @pytest.mark.parametrize(
        ("stated", "role"), [(STATED, Role.STEP), (statement(maker=Publisher("p")), Role.PUBLISHER)]
    )
    def test_only_the_one_that_is_needed(self, stated: Statement, role: Role) -> None:
        raw = forge(stated, issue(ISSUER, stated.maker, now()))

        assert verify_manifest(raw, trust_root(ISSUER, roles=frozenset({role}))).manifest.statement == stated


class TestIdentity:
    @pytest.mark.parametrize(
        "maker",
        [step(task="deploy"), step(run="run-2"), step(attempt=1), Publisher("run-1/train/0"), Publisher("x")],
        ids=repr,
    )
    def test_of_another(self, maker: Step | Publisher) -> None:
        refused = rejected(signed_by(leaf(ISSUER, maker)))

        assert (refused.code, refused.expected) == (Code.SIGNER_IDENTITY_MISMATCH, "atlas:step:run-1/train/0")
        assert refused.found.startswith("atlas:")

    @pytest.mark.parametrize(
        "names",
        [
            [],
            ["atlas:step:run-1/train/0", "atlas:step:run-1/train/0"],
            ["atlas:step:run-1/train/0", "atlas:publisher:x"],
            ["ATLAS:step:run-1/train/0"],
            ["atlas:step:run-1/train/0 "],
            ["atlas:step:run%2D1/train/0"],
        ],
        ids=repr,
    )
    def test_not_exactly_one_name(self, names: list[str]) -> None:
        assert rejected(signed_by(leaf(ISSUER, names=names))).code is Code.SIGNER_IDENTITY_MISMATCH

    def test_step_that_calls_itself_publisher(self) -> None:
        stated = statement(maker=Publisher("Example Ltd."))
        raw = signed_by(leaf(ISSUER, step()), stated)

        assert rejected(raw).code is Code.SIGNER_IDENTITY_MISMATCH


class TestInterval:
    """Certificates out of their interval are no reason to refuse here: whoever judges has a time to judge at."""

    def verify(self, begins: dt.datetime, ends: dt.datetime) -> TrustedManifest:
        return verify_manifest(signed_by(leaf(ISSUER, begins=begins, ends=ends)), TRUST)

    @pytest.mark.parametrize(
        ("begins", "ends"), [(-3 * HOUR, -2 * HOUR), (2 * HOUR, 3 * HOUR), (-HOUR, HOUR)], ids=["past", "future", "now"]
    )
    def test_is_reported(self, begins: dt.timedelta, ends: dt.timedelta) -> None:
        time = now()
        trusted = self.verify(time + begins, time + ends)

        assert (trusted.valid_from, trusted.valid_until) == (time + begins, time + ends)

    def test_ends_with_its_authority(self) -> None:
        time = now()
        trusted = self.verify(time - HOUR, time + dt.timedelta(days=36500))

        assert trusted.valid_until == ISSUER.certificate.not_valid_after_utc

    def test_of_a_chain_is_what_all_share(self) -> None:
        time = now()
        tall = root()
        middle = intermediate(tall)
        credential = leaf(middle, begins=time, ends=time + dt.timedelta(days=400), above=(middle.certificate,))

        trusted = verify_manifest(signed_by(credential), trust_root(tall))
        assert (trusted.valid_from, trusted.valid_until) == (time, middle.certificate.not_valid_after_utc)

    def test_leaf_of_before_its_authority(self) -> None:
        begins = ISSUER.certificate.not_valid_before_utc - HOUR

        assert rejected(signed_by(leaf(ISSUER, begins=begins))).code is Code.SIGNER_UNTRUSTED

    def test_the_c2pa_library_goes_by_the_time_of_day(self) -> None:
        time = now()
        raw = signed_by(leaf(ISSUER, begins=time - 3 * HOUR, ends=time - HOUR))

        assert "signingCredential.expired" in opinion(raw, ASSET, ISSUER).failures
