"""Models signed for others and by others: the real `model_signing` program, and the command line."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from atlas import logs
from atlas.home import open_home
from atlas.interop.bundle import parse_bundle
from atlas.interop.dsse import Envelope
from atlas.log import EmbeddedLog
from atlas.log.server import serve
from atlas.revocation import Revocation, Subject
from atlas.statement import Publisher
from atlas.trust_file import load_trust_root
from integration.cli.cli_support import Here, environment
from support import forge
from unit.interop.interop_support import FILES, model, spki

REVOKED = Revocation(Subject.KEY, "ab" * 32, "leaked")


def model_signing(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def verified_by_others(path: Path, home: Path) -> bool:
    """Whether `model_signing` accepts the signature beside a model, under the home's authority."""
    signature = path.with_name(f"{path.name}.sig")
    done = model_signing(
        "verify", "certificate", path, "--signature", signature, "--certificate_chain", home / "ca.pem"
    )
    assert done.returncode == 0 or "Signature mismatch" in done.stdout + done.stderr, done
    return done.returncode == 0


def key_files(here: Here, curve: ec.EllipticCurve) -> tuple[Path, Path, ec.EllipticCurvePrivateKey]:
    """A third party's key: private, public, and itself."""
    key = ec.generate_private_key(curve)
    private = here.file("key.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    form = PublicFormat.SubjectPublicKeyInfo
    return private, here.file("key.pub", key.public_key().public_bytes(Encoding.PEM, form)), key


def policy(here: Here, **origins: object) -> Path:
    return here.file(
        "policy.yaml",
        json.dumps(
            {
                "apiVersion": "atlas.dev/v1alpha1",
                "kind": "LineagePolicy",
                "metadata": {"name": "p"},
                "spec": {"origins": origins},
            }
        ),
    )


def codes(here: Here, target: Path, *options: object) -> set[str]:
    """The findings of a verification, or its error."""
    answer = here("verify", target, "--json", *options).expect(1)
    return {each["code"] for each in answer.json["findings"]} if answer.out else {answer.error["error"]}


# ------------------------------------------------------------------------------------------------ signing for others


@pytest.mark.parametrize("single", [False, True], ids=["directory", "file"])
def test_others_accept_what_atlas_signs_and_refuse_it_changed(atlas: Here, single: bool) -> None:
    path = atlas.file("model", b"weights") if single else model(atlas.folder / "model")
    signed = atlas("sign", path, "--format", "oms", "--publisher", "acme", "--json").expect(0).json
    assert signed.keys() == {"artifact", "publisher", "signature"}
    assert verified_by_others(path, atlas.home)
    assert atlas("verify", path, "--json").expect(0).json["findings"] == []
    weights = path if single else path / "a.bin"
    weights.write_bytes(b"weightz")
    assert not verified_by_others(path, atlas.home)
    assert codes(atlas, path) == {"OmsFileChanged"}


def test_signature_carries_its_log_entry(atlas: Here) -> None:
    """A home that has forgotten the model verifies it by what lies beside it."""
    path = model(atlas.folder / "model")
    atlas("sign", path, "--format", "oms").expect(0)
    for name in ("archive.sqlite3", "log.sqlite3"):
        for each in atlas.home.glob(f"{name}*"):
            each.unlink()
    table = atlas("verify", path).expect(0).out
    assert "#0" in table


def test_git_files_are_left_out_and_that_is_said(atlas: Here) -> None:
    path = model(atlas.folder / "model", {**FILES, ".gitattributes": b"*.bin lfs"})
    atlas("sign", path, "--format", "oms").expect(0, "leaves out git's own files: .gitattributes")
    assert verified_by_others(path, atlas.home)
    assert codes(atlas, path) == {"OmsIgnoresFiles"}
    atlas("verify", path, "--policy", policy(atlas, ignored=[".gitattributes"])).expect(0)


def test_what_model_signing_does_not_take_is_refused_and_nothing_written(atlas: Here) -> None:
    linked = model(atlas.folder / "linked")
    (linked / "link").symlink_to("a.bin")
    decomposed = model(atlas.folder / "decomposed", {"e\u0301": b"x"})
    only_git = model(atlas.folder / "only_git", {".git/config": b"x"})
    for path, word in ((linked, "symbolic link"), (decomposed, "normal form C")):
        atlas("sign", path, "--format", "oms").refused(word)
    atlas("sign", only_git, "--format", "oms").expect(2, "no files but git's own")
    atlas("sign", atlas.file("empty", b""), "--format", "oms").expect(2, "is empty")
    assert not list(atlas.folder.glob("*.sig"))


def test_type_and_format_must_fit(atlas: Here) -> None:
    data = atlas.file("data.csv")
    atlas("sign", data, "--format", "oms", "--type", "dataset").refused("signs models")
    atlas("sign", data).refused("what the artifact is")


def test_while_the_log_is_away_nothing_is_signed(atlas: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.2)
    path, key = model(atlas.folder / "model"), ed25519.Ed25519PrivateKey.generate()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = atlas.file("log.pem", key.public_key().public_bytes(Encoding.PEM, form))
    with ExitStack() as stack:
        log = stack.enter_context(EmbeddedLog.open(tmp_path / "other.sqlite3", "log.example", key))
        log.append([b"an entry"])
        with serve(log, port=0) as server:
            port = server.url.rpartition(":")[2]
            atlas("log", "use", "rekor2", "--write", server.url, "--origin", "log.example", "--public-key", pem)
        atlas("sign", path, "--format", "oms").refused("nothing was written")
        assert not path.with_name("model.sig").exists()
        assert not list((atlas.home / "inbox").iterdir())
        with serve(log, port=int(port)):
            atlas("sign", path, "--format", "oms").expect(0)
    assert verified_by_others(path, atlas.home)


# ------------------------------------------------------------------------------------------------ signed by others


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()], ids=lambda curve: curve.name)
def test_model_that_others_signed_by_key(atlas: Here, curve: ec.EllipticCurve) -> None:
    path = model(atlas.folder / "model")
    private, public, key = key_files(atlas, curve)
    signature = path / "model.sig"  # inside, where it is by default
    done = model_signing("sign", "key", path, "--private_key", private, "--signature", signature)
    assert done.returncode == 0, done
    taken = ["import", path, "--signature", signature]
    atlas(*taken, "--json").expect(1)
    imported = atlas(*taken, "--public-key", public, "--publisher", "hugger", "--json").expect(0).json
    assert (imported["publisher"], imported["pinned"], imported["ignored"]) == ("hugger", "hugger", [])
    atlas(*taken).expect(0)  # pinned by now
    assert "published by hugger" in atlas("verify", path).expect(0).out
    assert "hugger" in atlas("lineage", path).expect(0).out
    signer = imported["signer"]
    assert signer == f"sha256:{hashlib.sha256(spki(key)).hexdigest()}"
    atlas("verify", path, "--policy", policy(atlas, publishers=[signer])).expect(0)
    assert codes(atlas, path, "--policy", policy(atlas, publishers=[])) == {"OriginNotAllowed"}
    (path / "a.bin").write_bytes(b"weightz")
    assert codes(atlas, path) == {"ArtifactUnknown"}
    atlas(*taken, "--json").expect(1)


def test_model_that_others_signed_by_certificate(atlas: Here) -> None:
    issuer = forge.authority("hub")
    leaf = forge.leaf(issuer, Publisher("vendor"), names=["https://vendor.example"])
    authority = atlas.file("hub.pem", issuer.certificate.public_bytes(Encoding.PEM))
    key, certificate = atlas.file("leaf.key", leaf.key_pem), atlas.file("leaf.pem", leaf.chain_pem)
    path = model(atlas.folder / "model")
    done = model_signing(
        *("sign", "certificate", path, "--signature", "model.sig", "--private_key", key),
        *("--signing_certificate", certificate, "--certificate_chain", authority),
    )
    assert done.returncode == 0, done
    assert codes(atlas, path) == {"OmsSignerUntrusted"}
    taken = ["import", path, "--signature", "model.sig", "--authority", authority]
    assert atlas(*taken, "--publisher", "hub", "--json").expect(0).json["publisher"] == "leaf"
    atlas("verify", path).expect(0)
    shutil.move(path / "a.bin", path / "b.bin")
    assert codes(atlas, path) == {"OmsFileMissing"}


def test_what_does_not_verify_is_not_pinned(atlas: Here) -> None:
    path = model(atlas.folder / "model")
    private, public, _ = key_files(atlas, ec.SECP256R1())
    assert model_signing("sign", "key", path, "--private_key", private, "--signature", "model.sig").returncode == 0
    (path / "a.bin").write_bytes(b"weightz")
    before = (atlas.home / "trust.json").read_bytes()
    taken = ["import", path, "--signature", "model.sig", "--public-key", public, "--publisher", "hugger", "--json"]
    assert atlas(*taken).expect(1).error["error"] == "OmsFileChanged"
    assert (atlas.home / "trust.json").read_bytes() == before
    assert not list((atlas.home / "inbox").iterdir())


def test_what_cannot_be_pinned_is_refused(atlas: Here) -> None:
    path = model(atlas.folder / "model")
    signature = atlas.file("model.sig", "{}")
    _, public, _ = key_files(atlas, ec.SECP256R1())
    authority = json.loads((atlas.home / "trust.json").read_text())["spec"]["authorities"][0]["name"]
    taken = ["import", path, "--signature", signature]
    atlas(*taken, "--public-key", public).refused("needs a name")
    atlas(*taken, "--public-key", public, "--publisher", authority).refused("pins something else")
    atlas(*taken, "--public-key", public, "--authority", public, "--publisher", "x").refused("two signers")
    atlas(*taken, "--authority", signature, "--publisher", "x").expect(2, "not the PEM certificate")
    atlas(*taken, "--authority", atlas.file("raw", b"\xff"), "--publisher", "x").refused("not a certificate in PEM")
    atlas(*taken, "--public-key", signature, "--publisher", "x").refused("not a public key", "in PEM or DER")
    atlas(*taken, "--publisher", "x").refused("names what is pinned", "--public-key or --authority")
    atlas("import", path, "--signature", "none.sig").expect(2, "No such file")
    assert atlas(*taken, "--json").expect(1).error["error"] == "BundleMalformed"


def test_key_that_has_not_signed_is_not_pinned(atlas: Here) -> None:
    """Also where the signer is pinned already, so that the signature verifies without it."""
    path = model(atlas.folder / "model")
    atlas("sign", path, "--format", "oms").expect(0)
    _, public, _ = key_files(atlas, ec.SECP256R1())
    before = (atlas.home / "trust.json").read_bytes()
    given = ["--public-key", public, "--publisher", "vendor"]
    atlas("import", path, "--signature", f"{path}.sig", *given).refused("is signed under local-", "leave --public-key")
    assert (atlas.home / "trust.json").read_bytes() == before


def test_publisher_has_a_name(atlas: Here) -> None:
    atlas("sign", model(atlas.folder / "model"), "--format", "oms", "--publisher", " ").refused("--publisher: is empty")
    atlas("sign", atlas.file("data.csv"), "--type", "dataset", "--publisher", "").refused("in whose name")


# ------------------------------------------------------------------------------------------------ exporting


@pytest.mark.parametrize("option", ["-o", "--message", "--bare-key"])
def test_place_that_cannot_be_written_is_refused_before_anything_is_logged(atlas: Here, option: str) -> None:
    data = atlas.signed()
    size = atlas("log", "checkpoint", "--json").expect(0).json["size"]
    atlas("export", data, "--format", "bundle", option, atlas.folder / "none" / "file").refused("cannot be written")
    assert atlas("log", "checkpoint", "--json").expect(0).json["size"] == size
    assert not list(atlas.folder.glob("*.msg"))


def test_trust_root_is_written_for_sigstore(atlas: Here) -> None:
    printed = atlas("log", "trust-root").expect(0).out
    atlas("log", "trust-root", "-o", "trusted_root.json").expect(0)
    assert (atlas.folder / "trusted_root.json").read_text() == printed
    [log] = json.loads(printed)["tlogs"]
    origin = json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"][0]["origin"]
    assert log["baseUrl"] == f"https://{origin}"


def test_claims_signature_is_exported_with_its_message(atlas: Here) -> None:
    data = atlas.signed()
    atlas("export", data, "--format", "bundle", "-o", "b.json", "--message", "b.msg").expect(0)
    bundle = parse_bundle((atlas.folder / "b.json").read_bytes())
    assert not isinstance(bundle.content, Envelope)
    assert bundle.content.sha256 == hashlib.sha256((atlas.folder / "b.msg").read_bytes()).digest()
    assert bundle.certificates
    assert bundle.log_entries[0]["logIndex"] == "0", "the entry that it had"


def test_bare_key_is_written_with_its_certificate(atlas: Here) -> None:
    data = atlas.signed()
    atlas("export", data, "--format", "bundle", "-o", "b.json", "--bare-key", "signer.pem").expect(0)
    bundle = parse_bundle((atlas.folder / "b.json").read_bytes())
    assert bundle.hint
    assert not bundle.certificates
    pem = (atlas.folder / "signer.pem").read_text()
    assert pem.startswith("-----BEGIN PUBLIC KEY-----")
    assert "-----BEGIN CERTIFICATE-----" in pem


def test_what_does_not_hold_is_not_exported(atlas: Here) -> None:
    data = atlas.signed()
    data.write_text("other rows\n")
    for form in ("bundle", "slsa"):
        answer = atlas("export", data, "--format", form, "-o", "out.json").expect(1)
        assert "ArtifactChanged" in answer.out
    assert not (atlas.folder / "out.json").exists()


def test_what_has_no_such_form_is_refused(atlas: Here) -> None:
    data = atlas.signed()
    atlas("export", data, "--format", "slsa").refused("published and not built")
    atlas("export", data, "--format", "slsa", "--message", "x").refused("--format bundle")
    path = model(atlas.folder / "model")
    atlas("sign", path, "--format", "oms").expect(0)
    atlas("export", path, "--format", "bundle").refused("a Sigstore bundle already")


def test_nothing_is_left_behind(atlas: Here) -> None:
    path = model(atlas.folder / "model")
    atlas("sign", path, "--format", "oms").expect(0)
    assert sorted(each.name for each in atlas.folder.iterdir()) == [".atlas", "model", "model.sig"]


def test_what_is_revoked_during_an_import_stays_revoked(atlas: Here) -> None:
    model, others = atlas.file("model.bin", "weights"), atlas.folder / "others"
    atlas("init", "--home", others).expect(0)
    atlas("sign", model, "--format", "oms", "--home", others).expect(0)
    kept = model.with_name("model.bin.sig").read_bytes()
    signature, pinned = atlas.folder / "signature", others / "ca.pem"
    os.mkfifo(signature)
    atlas("init").expect(0)

    def revoke_meanwhile() -> None:
        with signature.open("wb") as pipe:  # opens when the import, which has read the trust root, asks for it
            home = open_home(atlas.home)
            trust = load_trust_root(home.trust_path)
            home.write(home.trust_path.name, replace(trust, revoked=(REVOKED,)).to_bytes())
            pipe.write(kept)

    thread = threading.Thread(target=revoke_meanwhile, daemon=True)
    thread.start()
    atlas("import", model, "--signature", signature, "--authority", pinned, "--publisher", "acme").expect(0)
    thread.join(10)
    trust = load_trust_root(atlas.home / "trust.json")
    assert trust.revoked == (REVOKED,)
    assert "acme" in {each.name for each in trust.authorities}
