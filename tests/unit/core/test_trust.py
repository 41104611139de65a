import base64
import contextlib
import datetime as dt
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from atlas.errors import DocumentError
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.keys import issue
from atlas.trust import (
    Authority,
    PinnedLog,
    Role,
    Tee,
    TrustRoot,
    intel_root,
    load_authority,
    load_evidence_root,
    load_log,
)
from atlas.trust_file import parse_trust_root
from support import forge
from support.forge import authority, now, step

ISSUER = authority("the authority")
OTHER = authority("another")
AUTHORITY = Authority("a", ISSUER.certificate, frozenset(Role))
# RFC 8032, section 7.1, test 1
ED25519 = ed25519.Ed25519PublicKey.from_public_bytes(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
)


def der64(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey | x25519.X25519PublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


class TestAuthority:
    def test_round_trip(self) -> None:
        loaded = load_authority("a", AUTHORITY.pem, frozenset(Role))

        assert loaded == AUTHORITY
        assert loaded.sha256 == AUTHORITY.sha256

    @pytest.mark.parametrize(
        "pem", ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"]
    )
    def test_not_a_certificate(self, pem: str) -> None:
        with pytest.raises(DocumentError, match="authority 'a': not the PEM certificate"):
            load_authority("a", pem, frozenset())

    def test_key_instead_of_a_certificate(self) -> None:
        with pytest.raises(DocumentError, match="not the PEM certificate"):
            load_authority("a", issue(ISSUER, step(), now()).key_pem.decode(), frozenset())

    def test_leaf_is_no_authority(self) -> None:
        with pytest.raises(DocumentError, match="CA:FALSE") as caught:
            load_authority("a", issue(ISSUER, step(), now()).chain_pem.decode(), frozenset())
        assert "pin the authority that issued it" in caught.value.mend

    def test_only_one_certificate(self) -> None:
        two = AUTHORITY.pem + Authority("b", OTHER.certificate, frozenset()).pem

        with pytest.raises(DocumentError):
            load_authority("a", two, frozenset())


class TestLog:
    def test_ed25519_key_id(self) -> None:
        log = load_log("example.com/log", der64(ED25519))

        # C2SP signed-note: SHA-256(name || LF || 0x01 || key), computed with other tools
        assert log.key_id.hex() == ED25519_KEY_ID
        assert log == PinnedLog("example.com/log", ED25519)

    def test_ecdsa_key_id_is_the_digest_of_its_der(self) -> None:
        key = ec.derive_private_key(1, ec.SECP256R1()).public_key()
        log = load_log("example.com/log", der64(key))

        assert log.key_id.hex() == ECDSA_KEY_ID
        assert load_log("elsewhere", der64(key)).key_id == log.key_id

    @pytest.mark.parametrize("text", ["", "!", "AAAA", "é", der64(ED25519) + "\n", der64(ED25519)[:-4]])
    def test_not_a_key(self, text: str) -> None:
        with pytest.raises(DocumentError, match="log 'l': not a public key"):
            load_log("l", text)

    def test_key_of_an_algorithm_nobody_knows(self) -> None:
        known = base64.b64decode(der64(ED25519))
        unknown = known.replace(bytes.fromhex("06032b6570"), bytes.fromhex("06032b657f"))
        assert unknown != known

        with pytest.raises(DocumentError):
            load_log("l", base64.b64encode(unknown).decode())

    @pytest.mark.parametrize(
        "key",
        [rsa.generate_private_key(65537, 2048).public_key(), x25519.X25519PrivateKey.generate().public_key()],
        ids=["rsa", "x25519"],
    )
    def test_key_of_another_kind(self, key: rsa.RSAPublicKey | x25519.X25519PublicKey) -> None:
        with pytest.raises(DocumentError, match="must be Ed25519 or ECDSA"):
            load_log("l", der64(key))


class TestTrustRoot:
    def test_document(self) -> None:
        intel = intel_root()
        root = TrustRoot((AUTHORITY,), (PinnedLog("example.com/log", ED25519),), (intel,))
        document = json.loads(json.dumps(root.to_json()))

        assert document == {
            "apiVersion": "atlas.dev/v1alpha1",
            "kind": "TrustRoot",
            "spec": {
                "authorities": [{"name": "a", "certificate": AUTHORITY.pem, "roles": ["publisher", "step"]}],
                "logs": [{"origin": "example.com/log", "publicKey": der64(ED25519)}],
                "evidenceRoots": [{"name": "intel", "tee": "tdx", "certificate": intel.pem, "simulated": False}],
            },
        }
        spec = document["spec"]
        read = TrustRoot(
            tuple(
                load_authority(each["name"], each["certificate"], frozenset(map(Role, each["roles"])))
                for each in spec["authorities"]
            ),
            tuple(load_log(each["origin"], each["publicKey"]) for each in spec["logs"]),
            tuple(
                load_evidence_root(each["name"], Tee(each["tee"]), each["certificate"], simulated=each["simulated"])
                for each in spec["evidenceRoots"]
            ),
        )
        assert read == root
        assert read.sha256 == root.sha256

    def test_a_log_of_rekor_v1_and_its_period(self) -> None:
        begin, end = dt.datetime(2021, 1, 12, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        log = PinnedLog("rekor.example", ec.generate_private_key(ec.SECP256R1()).public_key(), 1, begin, end)
        root = TrustRoot((), (log,))
        assert parse_trust_root(root.to_bytes()) == root
        [document] = root.to_json()["spec"]["logs"]
        assert (document["rekor"], document["validFrom"]) == (1, "2021-01-12T00:00:00+00:00")
        assert root.sha256 != TrustRoot((), (replace(log, valid_until=None),)).sha256
        ever = {**root.to_json(), "spec": {"logs": [{**document, "validFrom": "0001-01-01T00:00:00+23:59"}]}}
        assert len(parse_trust_root(json.dumps(ever).encode()).sha256) == 64
        for field, value in (("rekor", 3), ("validUntil", "2026-01-01T00:00:00"), ("validUntil", "never")):
            wrong = {**root.to_json(), "spec": {"logs": [{**document, field: value}]}}
            with pytest.raises(DocumentError, match=field):
                parse_trust_root(json.dumps(wrong).encode())
        with pytest.raises(DocumentError, match="must be ECDSA P-256"):
            load_log("o", der64(ED25519), 1)

    @pytest.mark.parametrize(
        "other",
        [
            TrustRoot((), ()),
            TrustRoot((Authority("b", ISSUER.certificate, frozenset(Role)),), ()),
            TrustRoot((Authority("a", OTHER.certificate, frozenset(Role)),), ()),
            TrustRoot((Authority("a", ISSUER.certificate, frozenset({Role.STEP})),), ()),
            TrustRoot((AUTHORITY,), (PinnedLog("o", ED25519),)),
        ],
        ids=["empty", "name", "certificate", "roles", "log"],
    )
    def test_digest_covers_everything(self, other: TrustRoot) -> None:
        assert other.sha256 != TrustRoot((AUTHORITY,), ()).sha256


ED25519_KEY_ID = "cc71467063cc12b0f363612bb92f2a0bf0746e8d52365425de9db81b2a2e8f10"
ECDSA_KEY_ID = "5cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd3"


def test_every_flipped_bit_of_an_authority_is_read_or_refused() -> None:
    pem = forge.authority().certificate.public_bytes(serialization.Encoding.DER)
    for position in range(len(pem)):
        for bit in (1, 2, 64):
            raw = pem[:position] + bytes([pem[position] ^ bit]) + pem[position + 1 :]
            text = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(raw).decode()}-----END CERTIFICATE-----\n"
            with contextlib.suppress(DocumentError):
                assert load_authority("a", text, frozenset({Role.STEP})).name == "a"


class TestEvidenceRoots:
    SIMULATED = UnsafeSimulatedPlatform.new(forge.now()).root.public_bytes(serialization.Encoding.PEM).decode()

    def test_intels_root_is_the_one_that_everybody_knows(self) -> None:
        fingerprint = intel_root().certificate.fingerprint(hashes.SHA256()).hex()
        assert fingerprint == "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"
        assert load_evidence_root("intel", Tee.TDX, intel_root().pem, simulated=False) == intel_root()

    def test_a_simulated_root_must_say_so(self) -> None:
        assert load_evidence_root("simulated", Tee.TDX, self.SIMULATED, simulated=True).simulated
        for name in ("simulated", "production"):
            with pytest.raises(DocumentError, match="its certificate says otherwise"):
                load_evidence_root(name, Tee.TDX, self.SIMULATED, simulated=False)
        with pytest.raises(DocumentError, match="its certificate says otherwise"):
            load_evidence_root("intel", Tee.TDX, "", simulated=True)

    def test_nobody_else_is_intel(self) -> None:
        with pytest.raises(DocumentError, match="not Intel's"):
            load_evidence_root("intel", Tee.TDX, AUTHORITY.pem, simulated=False)

    @pytest.mark.parametrize(
        "pem", ["", "nonsense", issue(ISSUER, step(), now()).chain_pem.decode()], ids=["nothing", "nonsense", "leaf"]
    )
    def test_what_is_no_root(self, pem: str) -> None:
        with pytest.raises(DocumentError, match="evidence root 'other'"):
            load_evidence_root("other", Tee.TDX, pem, simulated=False)
