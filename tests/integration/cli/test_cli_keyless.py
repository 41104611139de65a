"""Models signed without a key of one's own: tokens, a double of Fulcio, and the real `model_signing` program."""

import base64
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from atlas import logs
from atlas.interop.bundle import parse_bundle
from atlas.trust import PinnedLog
from atlas.trust_file import load_trust_root
from integration.cli.cli_support import Here
from integration.cli.test_cli_interop import codes, model_signing
from support.fulcio import IDENTITY, OIDC_ISSUER, FulcioDouble, serving, token
from support.rekor1 import Rekor1Double
from support.rekor1 import serving as serving_rekor
from support.sigstore import tlog
from support.tsa import Tsa, served
from unit.interop.interop_support import model

START = "2024-01-01T00:00:00Z"


@pytest.fixture
def fulcio() -> Iterator[FulcioDouble]:
    with serving(FulcioDouble()) as running:
        yield running


@pytest.fixture
def tsa(tmp_path: Path) -> Iterator[tuple[Tsa, str]]:
    (tmp_path / "tsa").mkdir()
    authority = Tsa(tmp_path / "tsa")
    with served(authority) as url:
        yield authority, url


def sign(here: Here, path: Path, fulcio: FulcioDouble, *options: object) -> Any:
    """Sign a model with a fresh token."""
    given = here.file("token", f"{token()}\n")
    config = here.file("trust_config.json", fulcio.config)
    return here(
        "sign", path, "--format", "oms", "--identity-token", given, "--trust-config", config, "--json", *options
    )


def stamped(here: Here, tsa: tuple[Tsa, str]) -> None:
    """Have signatures of the home timestamped."""
    here("init").expect(0)
    here("log", "timestamp", tsa[1], "--root", here.file("root.pem", tsa[0].root_pem)).expect(0)


def pinned(here: Here, path: Path, certificate: x509.Certificate) -> None:
    """Pin who certifies identities."""
    authority = here.file("fulcio.pem", certificate.public_bytes(Encoding.PEM))
    signature = path.with_name(f"{path.name}.sig")
    here("import", path, "--signature", signature, "--authority", authority, "--publisher", "fulcio").expect(0)


def policy(here: Here, issuer: str = OIDC_ISSUER, subject: str = IDENTITY, **origins: Any) -> Path:
    origins = {"identities": [{"issuer": issuer, "subject": subject}], **origins}
    document = {"apiVersion": "atlas.dev/v1alpha1", "kind": "LineagePolicy", "metadata": {"name": "p"}}
    return here.file("policy.yaml", json.dumps({**document, "spec": {"origins": origins}}))


def forget(here: Here) -> None:
    """Have the home know nothing of what it has signed."""
    for name in ("archive.sqlite3", "log.sqlite3"):
        for each in here.home.glob(f"{name}*"):
            each.unlink()


def test_signed_as_whom_a_token_names(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    signed = sign(atlas, path, fulcio).expect(0).json
    assert signed["publisher"] == IDENTITY
    bundle = json.loads((atlas.folder / "model.sig").read_bytes())
    assert "certificate" in bundle["verificationMaterial"]
    pinned(atlas, path, fulcio.intermediate.certificate)
    table = atlas("verify", path, "--policy", policy(atlas)).expect(0).out
    assert f"published by {IDENTITY}" in table
    assert "fulcio" in table


def test_it_holds_long_after_its_certificate(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    pinned(atlas, path, fulcio.intermediate.certificate)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=20)
    atlas("verify", path, "--policy", policy(atlas), "--at", f"{later:%FT%TZ}").expect(0)
    beyond = dt.datetime.now(dt.UTC) + dt.timedelta(days=40)
    assert codes(atlas, path, "--policy", policy(atlas), "--at", f"{beyond:%FT%TZ}") == {"SignerExpired"}


def test_what_lies_beside_the_model_is_enough(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    """Also for a home that has forgotten the model: the file carries entry and timestamp."""
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    pinned(atlas, path, fulcio.intermediate.certificate)
    forget(atlas)
    assert "#0" in atlas("verify", path, "--policy", policy(atlas)).expect(0).out


def test_the_promise_of_a_rekor_v1_log_is_a_time_too(atlas: Here, fulcio: FulcioDouble) -> None:
    path, log = model(atlas.folder / "model"), Rekor1Double()
    atlas("init").expect(0)
    with serving_rekor(log) as server:
        key = atlas.file("log.pem", log.pem)
        atlas("log", "use", "rekor1", "--url", server.url, "--origin", log.origin, "--public-key", key).expect(0)
        sign(atlas, path, fulcio).expect(0)
        pinned(atlas, path, fulcio.intermediate.certificate)
        atlas("verify", path, "--policy", policy(atlas)).expect(0)


def test_only_identities_that_a_policy_names_are_accepted(
    atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]
) -> None:
    """Who certifies everybody vouches for nobody in particular."""
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    pinned(atlas, path, fulcio.intermediate.certificate)
    assert codes(atlas, path) == {"OriginNotAllowed"}
    assert codes(atlas, path, "--policy", policy(atlas, issuer="https://other.example")) == {"OriginNotAllowed"}
    assert codes(atlas, path, "--policy", policy(atlas, subject="other@example.com")) == {"OriginNotAllowed"}
    [authority] = [each for each in load_trust_root(atlas.home / "trust.json").authorities if each.name == "fulcio"]
    everybody = policy(atlas, identities=[], publishers=[f"sha256:{authority.sha256}"])
    atlas("verify", path, "--policy", everybody).expect(0)


def test_without_anybody_who_states_the_time_nothing_is_written(atlas: Here, fulcio: FulcioDouble) -> None:
    path = model(atlas.folder / "model")
    atlas("init").expect(0)
    answer = sign(atlas, path, fulcio)
    assert answer.code == 2
    assert "nobody says by when it was made" in answer.error["message"]
    assert not (atlas.folder / "model.sig").exists()
    assert not list((atlas.home / "inbox").iterdir())


def test_a_log_that_lies_about_the_time_is_of_no_use(atlas: Here, fulcio: FulcioDouble) -> None:
    path, log = model(atlas.folder / "model"), Rekor1Double()
    log.time += 3600
    atlas("init").expect(0)
    with serving_rekor(log) as server:
        key = atlas.file("log.pem", log.pem)
        atlas("log", "use", "rekor1", "--url", server.url, "--origin", log.origin, "--public-key", key).expect(0)
        answer = sign(atlas, path, fulcio)
    assert answer.code == 2
    assert "they say" in answer.error["message"]
    assert not (atlas.folder / "model.sig").exists()


def test_while_the_log_is_away_nothing_is_written(
    atlas: Here, fulcio: FulcioDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.2)
    path, log = model(atlas.folder / "model"), Rekor1Double()
    atlas("init").expect(0)
    with serving_rekor(log) as server:
        key = atlas.file("log.pem", log.pem)
        atlas("log", "use", "rekor1", "--url", server.url, "--origin", log.origin, "--public-key", key).expect(0)
    answer = sign(atlas, path, fulcio)
    assert answer.code == 2
    assert "nothing was written" in answer.error["message"]
    assert not (atlas.folder / "model.sig").exists()


def test_a_token_is_never_shown(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path, given = model(atlas.folder / "model"), token()
    stamped(atlas, tsa)
    fulcio.status, fulcio.body = 401, given.encode()
    file, config = atlas.file("token", given), atlas.file("trust_config.json", fulcio.config)
    answer = atlas("sign", path, "--format", "oms", "--identity-token", file, "--trust-config", config)
    assert answer.code == 2
    assert given not in answer.out + answer.err
    assert given.rpartition(".")[2] not in answer.out + answer.err
    assert "does not certify the key" in answer.err


def test_a_token_comes_from_standard_input(
    atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, given = model(atlas.folder / "model"), atlas.file("given", token())
    stamped(atlas, tsa)
    config = atlas.file("trust_config.json", fulcio.config)
    with given.open() as standard_input:
        monkeypatch.setattr("sys.stdin", standard_input)
        atlas("sign", path, "--format", "oms", "--identity-token", "-", "--trust-config", config).expect(0)
    assert fulcio.tokens == [given.read_text()]


def test_homes_that_keep_signers_from_the_log_sign_nothing_keyless(atlas: Here, fulcio: FulcioDouble) -> None:
    path = model(atlas.folder / "model")
    atlas("init", "--pseudonymous").expect(0)
    answer = sign(atlas, path, fulcio)
    assert (answer.code, "pseudonyms" in answer.error["message"]) == (2, True)
    assert not (atlas.folder / "model.sig").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--staging"], "of --identity-token"),
        (["--trust-config", "none"], "of --identity-token"),
        (["--identity-token", "none", "--type", "model"], "sign no C2PA claims"),
        (["--identity-token", "none", "--format", "oms", "--publisher", "acme"], "two signers"),
        (["--identity-token", "none", "--format", "oms", "--trust-config", "x", "--staging"], "two instances"),
        (["--identity-token", "none", "--format", "oms", "--trust-config", "x"], "No such file"),
    ],
)
def test_options_that_do_not_go_together(atlas: Here, options: list[str], words: str) -> None:
    atlas("init").expect(0)
    atlas("sign", model(atlas.folder / "model"), *options).refused(words)


def _tampered(here: Here, change: Any) -> None:
    place = here.folder / "model.sig"
    document = json.loads(place.read_bytes())
    change(document["verificationMaterial"])
    place.write_text(json.dumps(document))
    forget(here)


def test_without_its_timestamp_it_has_expired(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    pinned(atlas, path, fulcio.intermediate.certificate)
    _tampered(atlas, lambda material: material.pop("timestampVerificationData"))
    assert codes(atlas, path, "--policy", policy(atlas)) == {"SignerExpired"}


def test_a_timestamp_of_nobody_who_is_pinned_is_none(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    pinned(atlas, path, fulcio.intermediate.certificate)
    trust = load_trust_root(atlas.home / "trust.json")
    other = atlas.file("trust.json", replace(trust, timestamp_authorities=()).to_bytes())
    forget(atlas)
    assert codes(atlas, path, "--policy", policy(atlas), "--trust", other) == {"SignerExpired"}


def test_model_signing_accepts_it(atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    [log] = load_trust_root(atlas.home / "trust.json").logs
    config = atlas.file("others.json", json.dumps(_for_others(fulcio, log, tsa[0])))
    arguments = ("verify", "sigstore", path, "--signature", atlas.folder / "model.sig", "--trust_config", config)
    who = ("--identity", IDENTITY, "--identity_provider", OIDC_ISSUER)
    done = model_signing(*arguments, *who)
    assert "Verification succeeded" in done.stdout + done.stderr, done
    (path / "a.bin").write_bytes(b"weightz")
    assert model_signing(*arguments, *who).returncode == 1


def _for_others(fulcio: FulcioDouble, log: PinnedLog, authority: Tsa) -> dict[str, Any]:
    document = fulcio.config_json()
    document["trustedRoot"]["tlogs"] = [tlog(log)]
    pems = [(authority.folder / "tsa.pem").read_bytes(), authority.root_pem]
    chain = [x509.load_pem_x509_certificate(each) for each in pems]
    document["trustedRoot"]["timestampAuthorities"] = [
        {
            "subject": {"organization": "double", "commonName": "time"},
            "certChain": {
                "certificates": [
                    {"rawBytes": base64.b64encode(each.public_bytes(Encoding.DER)).decode()} for each in chain
                ]
            },
            "validFor": {"start": START},
        }
    ]
    return document


def test_a_bundle_that_is_read_is_the_one_that_was_written(
    atlas: Here, fulcio: FulcioDouble, tsa: tuple[Tsa, str]
) -> None:
    path = model(atlas.folder / "model")
    stamped(atlas, tsa)
    sign(atlas, path, fulcio).expect(0)
    raw = (atlas.folder / "model.sig").read_bytes()
    assert parse_bundle(raw).to_bytes() == raw
    assert len(parse_bundle(raw).timestamps) == 1
