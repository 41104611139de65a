import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from atlas.errors import ClockError, StateError
from atlas.keys import AUTHORITY_LIFETIME, BACKDATE, Credential, Issuer, identity_uri, issue, new_authority
from atlas.statement import Publisher, Step
from support.forge import authority, step

BEGINS = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
LATER = BEGINS + dt.timedelta(days=100)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return new_authority("the authority", BEGINS)


def common_name(name: x509.Name) -> object:
    return name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


@pytest.mark.parametrize(
    ("maker", "uri"),
    [
        (step(run="r", task="t", attempt=0), "atlas:step:r/t/0"),
        (step(run="r/../x", task="a/b", attempt=12), "atlas:step:r%2F..%2Fx/a%2Fb/12"),
        (step(run="é ?#%", task="", attempt=1), "atlas:step:%C3%A9%20%3F%23%25//1"),
        (Publisher("Example Ltd./EU"), "atlas:publisher:Example%20Ltd.%2FEU"),
        (Publisher("step:r/t/0"), "atlas:publisher:step%3Ar%2Ft%2F0"),
    ],
)
def test_identity_uri(maker: Step | Publisher, uri: str) -> None:
    assert identity_uri(maker) == uri


def test_no_two_steps_share_an_identity() -> None:
    assert identity_uri(step(run="a/b", task="c")) != identity_uri(step(run="a", task="b/c"))


class TestAuthority:
    def test_profile(self, issuer: Issuer) -> None:
        certificate = issuer.certificate
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)

        assert constraints.critical
        assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
        assert common_name(certificate.subject) == "the authority"
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
        certificate.verify_directly_issued_by(certificate)

    def test_lifetime(self, issuer: Issuer) -> None:
        assert issuer.certificate.not_valid_before_utc == BEGINS
        assert issuer.certificate.not_valid_after_utc == BEGINS + AUTHORITY_LIFETIME


class TestIssue:
    def test_profile(self, issuer: Issuer) -> None:
        credential = issue(issuer, step(), LATER)
        (certificate,) = credential.chain
        extensions = {type(each.value): each for each in certificate.extensions}

        certificate.verify_directly_issued_by(issuer.certificate)
        assert certificate.public_key() == credential.key.public_key()
        assert isinstance(credential.key.curve, ec.SECP256R1)
        assert extensions[x509.BasicConstraints].critical
        assert extensions[x509.BasicConstraints].value == x509.BasicConstraints(ca=False, path_length=None)
        usage = extensions[x509.KeyUsage]
        assert usage.critical
        assert isinstance(usage.value, x509.KeyUsage)
        assert (usage.value.digital_signature, usage.value.key_cert_sign, usage.value.crl_sign) == (True, False, False)
        eku = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        assert extensions[x509.ExtendedKeyUsage].value == eku
        key_of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        assert extensions[x509.AuthorityKeyIdentifier].value == key_of_issuer
        names = extensions[x509.SubjectAlternativeName].value
        assert list(names) == [x509.UniformResourceIdentifier(identity_uri(step()))]

    def test_interval(self, issuer: Issuer) -> None:
        (certificate,) = issue(issuer, step(), LATER).chain

        assert certificate.not_valid_before_utc == LATER - BACKDATE
        assert certificate.not_valid_after_utc == issuer.certificate.not_valid_after_utc

    def test_never_begins_before_its_authority(self, issuer: Issuer) -> None:
        (certificate,) = issue(issuer, step(), BEGINS).chain

        assert certificate.not_valid_before_utc == BEGINS

    def test_clock_that_was_set_back(self, issuer: Issuer) -> None:
        with pytest.raises(ClockError, match=r"2026-02-28 12:00.*2026-03-01 12:00") as caught:
            issue(issuer, step(), BEGINS - dt.timedelta(days=1))
        assert "set the clock" in caught.value.mend

    def test_authority_that_expired(self, issuer: Issuer) -> None:
        with pytest.raises(StateError, match="expired on 2036-03-01") as caught:
            issue(issuer, step(), issuer.certificate.not_valid_after_utc)
        assert not isinstance(caught.value, ClockError)
        assert issue(issuer, step(), issuer.certificate.not_valid_after_utc - dt.timedelta(seconds=1)).chain

    def test_every_leaf_has_a_key_and_a_serial_of_its_own(self, issuer: Issuer) -> None:
        made = [issue(issuer, step(), LATER) for _ in range(3)]

        assert len({each.key.private_numbers().private_value for each in made}) == 3
        assert len({each.chain[0].serial_number for each in made}) == 3

    @pytest.mark.parametrize(
        ("maker", "shown"),
        [
            (step(task="x" * 300), "x" * 64),
            (step(task=""), "-"),
            (step(task="é\u0000\U0001f600"), "é\u0000\U0001f600"),
            (Publisher("Example Ltd."), "Example Ltd."),
        ],
    )
    def test_common_name(self, issuer: Issuer, maker: Step | Publisher, shown: str) -> None:
        (certificate,) = issue(issuer, maker, LATER).chain

        assert common_name(certificate.subject) == shown
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity_uri(maker)]


def test_credential_in_pem(issuer: Issuer) -> None:
    key = issuer.key
    other = authority("other")
    credential = Credential(key, (issuer.certificate, other.certificate))

    assert x509.load_pem_x509_certificates(credential.chain_pem) == [issuer.certificate, other.certificate]
    loaded = serialization.load_pem_private_key(credential.key_pem, password=None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    assert loaded.private_numbers() == key.private_numbers()
