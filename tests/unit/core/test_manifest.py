"""What an honest sidecar is, and that not one of its bytes may change."""

import base64
import dataclasses
import datetime as dt
import hashlib
from collections.abc import Callable

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atlas.artifact import EMPTY_SHA256, Kind, measure_properties
from atlas.codes import Code
from atlas.errors import ClockError, Rejected, SigningError, StepError
from atlas.keys import Issuer, issue
from atlas.manifest import Sidecar, parse_manifest, profile, sign_manifest, sign_statement, verify_manifest
from atlas.statement import MAX_BYTES, Publisher, Statement, dump_statement, output_of
from atlas.trust import Authority, TrustRoot
from support.forge import ASSET, authority, link, now, opinion, output, read_box, source, statement, step, trust_root

ISSUER = authority()
TRUST = trust_root(ISSUER)
TWO_INPUTS = (source(), source(b"imported\n", name="base", position=1, link=None, pinned=True))


def sign(stated: Statement, *, evidence: str = "") -> Sidecar:
    (sidecar,) = sign_statement(stated, ISSUER, now(), attest=lambda *_: evidence)
    return sidecar


@pytest.fixture(scope="module")
def sidecar() -> Sidecar:
    return sign(statement(inputs=TWO_INPUTS), evidence='{"provider":"none"}')


class TestHonest:
    def test_says_what_was_stated(self, sidecar: Sidecar) -> None:
        stated = statement(inputs=TWO_INPUTS)
        manifest = parse_manifest(sidecar.raw)

        assert manifest == sidecar.manifest
        assert manifest.statement == stated
        assert manifest.statement_sha256 == hashlib.sha256(dump_statement(stated)).hexdigest()
        assert manifest.asset_sha256 == hashlib.sha256(ASSET).hexdigest()
        assert manifest.output == stated.outputs[0]
        assert manifest.evidence == '{"provider":"none"}'
        assert manifest.label.startswith("urn:c2pa:")
        assert manifest.box_sha256 == hashlib.sha256(read_box(sidecar.raw).children[1].body).hexdigest()

    def test_is_trusted(self, sidecar: Sidecar) -> None:
        trusted = verify_manifest(sidecar.raw, TRUST)
        (certificate,) = trusted.manifest.certificates

        assert trusted.manifest == sidecar.manifest
        assert isinstance(trusted.authority, Authority)
        assert trusted.authority.certificate == ISSUER.certificate
        assert trusted.valid_from == certificate.not_valid_before_utc
        assert trusted.valid_until == ISSUER.certificate.not_valid_after_utc

    def test_is_trusted_by_the_c2pa_library(self, sidecar: Sidecar) -> None:
        assert opinion(sidecar.raw, ASSET, ISSUER).state == "Trusted"
        assert opinion(sidecar.raw, ASSET, ISSUER).failures == set()

    @pytest.mark.parametrize("asset", [ASSET[:-1], ASSET + b"\0", b"W" + ASSET[1:], b"\0"])
    def test_another_asset_is_seen_by_the_c2pa_library(self, sidecar: Sidecar, asset: bytes) -> None:
        seen = opinion(sidecar.raw, asset, ISSUER)

        assert (seen.state, seen.failures) == ("Invalid", frozenset({"assertion.dataHash.mismatch"}))

    def test_another_authority_is_not_trusted_by_the_c2pa_library(self, sidecar: Sidecar) -> None:
        seen = opinion(sidecar.raw, ASSET, authority("another"))

        assert seen.state != "Trusted"
        assert "signingCredential.untrusted" in seen.failures

    def test_every_assertion_is_vouched_for(self, sidecar: Sidecar) -> None:
        manifest = read_box(sidecar.raw).children[1]
        claim = manifest.part("c2pa.claim.v2").cbor
        labels = [each.label for each in manifest.assertions.children[1:]]

        assert sorted(labels) == sorted(
            [
                *(profile.ACTIONS, profile.ASSET_TYPE, profile.EVIDENCE, profile.HARD_BINDING, profile.STATEMENT),
                *("c2pa.ingredient.v3", "c2pa.ingredient.v3__1"),
            ]
        )
        assert {each["url"].rpartition("/")[2] for each in claim["created_assertions"]} == set(labels)
        assert not claim.get("gathered_assertions")

    def test_ingredients_link_to_their_manifests(self, sidecar: Sidecar) -> None:
        assertions = read_box(sidecar.raw).children[1].assertions
        first, second = (assertions.part(profile.ingredient_label(position)).cbor for position in (0, 1))

        assert first["metadata"] == {profile.LINK: dataclasses.asdict(link())}
        assert first["instanceID"] == "urn:sha256:" + source().sha256
        assert "metadata" not in second
        assert {first["relationship"], second["relationship"]} == {"inputTo"}

    def test_no_two_are_alike(self) -> None:
        one, two = sign(statement()), sign(statement())

        assert one.manifest.label != two.manifest.label
        assert one.manifest.box_sha256 != two.manifest.box_sha256
        assert one.manifest.signer.serial_number != two.manifest.signer.serial_number

    def test_signer_is_named(self, sidecar: Sidecar) -> None:
        names = sidecar.manifest.signer.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

        assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["atlas:step:run-1/train/0"]


class TestOutputs:
    def test_one_each(self) -> None:
        outputs = (output(b"1", name="a"), output(b"2", name="b"), output(b"3", name="b", position=1))
        sidecars = sign_statement(statement(outputs=outputs), ISSUER, now())

        assert tuple(each.manifest.output for each in sidecars) == outputs
        assert [each.name for each in sidecars][:2] == ["a.c2pa", "b.c2pa"]
        assert len({each.name for each in sidecars}) == 3
        assert len({each.manifest.certificates for each in sidecars}) == 1, "one key an attempt"

    def test_names_are_unique(self) -> None:
        outputs = (output(b"1", name="b-1"), output(b"2", name="b", position=1))
        sidecars = sign_statement(statement(outputs=outputs), ISSUER, now())

        assert len({each.name for each in sidecars}) == 2

    def test_equal_bytes_under_one_name(self) -> None:
        outputs = (output(b"1"), output(b"1", position=1))
        sidecars = sign_statement(statement(outputs=outputs), ISSUER, now())

        assert {each.manifest.output.sha256 for each in sidecars if each.manifest.output} == {output(b"1").sha256}
        assert tuple(each.output for each in sidecars) == outputs

    def test_of_a_statement_without_outputs(self) -> None:
        stated = statement(outputs=())
        sidecar = sign(stated)

        assert (sidecar.output, sidecar.manifest.output, sidecar.name) == (None, None, "statement.c2pa")
        assert sidecar.manifest.asset_sha256 == hashlib.sha256(dump_statement(stated)).hexdigest()
        assert verify_manifest(sidecar.raw, TRUST).manifest.statement == stated
        assert opinion(sidecar.raw, dump_statement(stated), ISSUER).state == "Trusted"

    def test_empty_ones_get_none(self) -> None:
        empty = output(b"", name="empty")
        assert empty.sha256 == EMPTY_SHA256

        assert [each.name for each in sign_statement(statement(outputs=(empty, output())), ISSUER, now())] == [
            "model.c2pa"
        ]
        assert sign(statement(outputs=(empty,))).name == "statement.c2pa"
        with pytest.raises(SigningError, match="empty artifact"):
            sign_manifest(statement(outputs=(empty,)), empty, issue(ISSUER, step(), now()))

    def test_of_properties(self) -> None:
        measured = measure_properties({"accuracy": 0.93, "loss": 1.5})
        metrics = output_of(measured, "metrics", uri="minio://m", schema="system.Metrics")
        sidecar = sign(statement(outputs=(metrics,)))

        assert measured.asset
        assert verify_manifest(sidecar.raw, TRUST).manifest.output == metrics
        assert opinion(sidecar.raw, measured.asset, ISSUER).state == "Trusted"

    def test_of_a_publisher(self) -> None:
        stated = statement(maker=Publisher("Example Ltd."), inputs=(), outputs=(output(schema="system.Dataset"),))

        assert verify_manifest(sign(stated).raw, TRUST).manifest.statement == stated

    def test_of_a_tree(self) -> None:
        tree = output(b"an index\n", kind=Kind.TREE, files=3, size=99)

        assert verify_manifest(sign(statement(outputs=(tree,))).raw, TRUST).manifest.output == tree


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=texts, other=texts, run=texts, parameter=texts, evidence=texts)
def test_any_names_go_through(name: str, other: str, run: str, parameter: str, evidence: str) -> None:
    stated = statement(
        maker=step(run=run, task=other),
        inputs=(source(name=name, link=link(label=other)), source(b"2", name=other)),
        outputs=(output(name=name, uri=other),),
        parameters={parameter: parameter},
    )
    sidecar = sign(stated, evidence=evidence)

    trusted = verify_manifest(sidecar.raw, TRUST)
    assert trusted.manifest.statement == stated
    assert trusted.manifest.evidence == evidence


class TestLimits:
    def test_many_inputs(self) -> None:
        inputs = tuple(source(bytes([each]), position=each) for each in range(200))
        stated = statement(inputs=inputs)

        assert verify_manifest(sign(stated).raw, TRUST).manifest.statement == stated

    def test_largest_statement(self) -> None:
        room = MAX_BYTES - len(dump_statement(statement(parameters={"x": ""})))
        stated = statement(parameters={"x": "a" * room})

        assert verify_manifest(sign(stated).raw, TRUST).manifest.statement == stated

    def test_too_large_a_statement(self) -> None:
        with pytest.raises(StepError):
            sign(statement(parameters={"x": "a" * MAX_BYTES}))

    def test_too_many_inputs(self) -> None:
        inputs = tuple(source(b"x", name='"' * 350, uri="", position=each, link=None) for each in range(500))

        with pytest.raises(SigningError, match="500 inputs") as caught:
            sign(statement(inputs=inputs))
        assert "directory artifact" in caught.value.mend

    def test_largest_statement_in_another_script(self) -> None:
        stated = statement(parameters={"x": "\u6e2c" * 170_000})

        assert len(dump_statement(stated)) <= MAX_BYTES
        assert verify_manifest(sign(stated).raw, TRUST).manifest.statement == stated

    def test_too_large_a_sidecar(self) -> None:
        with pytest.raises(Rejected) as caught:
            parse_manifest(bytes(profile.MAX_BYTES + 1))
        assert caught.value.code is Code.SIDECAR_TOO_LARGE

    def test_clock_set_back(self) -> None:
        with pytest.raises(ClockError):
            sign_statement(statement(), ISSUER, now() - dt.timedelta(days=30))


class TestSelfCheck:
    """What is made is read back before it is handed out."""

    def test_c2pa_library_that_fails(self) -> None:
        credential = issue(ISSUER, step(), now())
        other = issue(ISSUER, step(), now())

        with pytest.raises(SigningError, match="could not sign"):
            sign_manifest(statement(), output(), dataclasses.replace(credential, chain=other.chain))

    def test_expired_authority(self) -> None:
        old = authority("old", begins=now() - dt.timedelta(days=3653 + 2))

        with pytest.raises(SigningError, match="could not sign"):
            sign_statement(statement(), old, now() - dt.timedelta(days=10))

    def test_output_of_another_statement(self) -> None:
        with pytest.raises(SigningError, match="does not verify"):
            sign_manifest(statement(), output(b"other"), issue(ISSUER, step(), now()))

    def test_digest_that_the_library_misread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Text instead of integers gives a wrong hash, and c2pa-rs does not say so."""
        original = profile.definition

        def as_text(*arguments: object) -> dict[str, object]:
            made = original(*arguments)  # type: ignore[arg-type]
            for each in made["assertions"]:
                if each["label"] == profile.HARD_BINDING:
                    each["data"]["hash"] = base64.b64encode(bytes(each["data"]["hash"])).decode()
            return made

        monkeypatch.setattr(profile, "definition", as_text)

        with pytest.raises(SigningError, match="does not verify"):
            sign(statement())

    def test_statement_that_changed_underway(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = profile.definition
        other = dump_statement(statement(parameters={"epochs": 4}))

        def swapped(stated: Statement, _: bytes, *rest: object) -> dict[str, object]:
            return original(stated, other, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(profile, "definition", swapped)

        with pytest.raises(SigningError, match="meant to say"):
            sign(statement())


class TestEveryByte:
    def refused(self, raw: bytes, where: object, read: Callable[[bytes], object] = parse_manifest) -> None:
        try:
            read(raw)
        except Rejected:
            return
        except Exception as error:
            raise AssertionError(f"{where}: {type(error).__name__} instead of Rejected") from error
        raise AssertionError(f"{where}: accepted")

    @pytest.mark.filterwarnings("ignore:Parsed a serial number")  # which flips make negative
    @pytest.mark.parametrize("mask", [0x01, 0x80])
    def test_flipped(self, sidecar: Sidecar, mask: int) -> None:
        for offset in range(len(sidecar.raw)):
            changed = bytearray(sidecar.raw)
            changed[offset] ^= mask
            self.refused(bytes(changed), f"byte {offset} ^ {mask:#x}")

    def test_cut_off(self, sidecar: Sidecar) -> None:
        for length in range(len(sidecar.raw)):
            self.refused(sidecar.raw[:length], f"{length} bytes")

    def test_left_out_or_doubled(self, sidecar: Sidecar) -> None:
        raw = sidecar.raw
        for offset in range(0, len(raw), 3):
            self.refused(raw[:offset] + raw[offset + 1 :], f"without byte {offset}")
            self.refused(raw[:offset] + raw[offset : offset + 1] + raw[offset:], f"byte {offset} twice")

    @given(st.binary(max_size=400))
    def test_garbage(self, raw: bytes) -> None:
        self.refused(raw, raw)

    def test_other_files(self) -> None:
        pem = ISSUER.certificate.public_bytes(serialization.Encoding.PEM)
        for raw in (b"", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" * 10, pem, ASSET):
            self.refused(raw, raw[:8])
            self.refused(raw, raw[:8], lambda each: verify_manifest(each, TRUST))


def test_issuer_is_not_needed_to_read(sidecar: Sidecar) -> None:
    nobody = TrustRoot((), ())

    assert parse_manifest(sidecar.raw).statement == sidecar.manifest.statement
    with pytest.raises(Rejected) as caught:
        verify_manifest(sidecar.raw, nobody)
    assert caught.value.code is Code.SIGNER_UNTRUSTED


def test_the_library_reads_what_we_call_it() -> None:
    assert profile.SIDECAR_FORMAT in c2pa.Reader.get_supported_mime_types()


def test_issuers_do_not_mix() -> None:
    other: Issuer = authority("other")
    (sidecar,) = sign_statement(statement(), other, now())

    assert verify_manifest(sidecar.raw, trust_root(ISSUER, other)).authority.name == "other"
    with pytest.raises(Rejected) as caught:
        verify_manifest(sidecar.raw, TRUST)
    assert (caught.value.code, caught.value.expected) == (Code.SIGNER_UNTRUSTED, "test authority")
    assert "CN=other" in caught.value.found
