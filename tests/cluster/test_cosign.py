"""cosign verifies, without a network, what Atlas exports: bundles, provenance and trust root.

It is given the signer's bare key. It could take a certificate of ours only if that were for code signing and
time-stamped, and C2PA's are for documents. The log entry is checked all the same.

A bundle of a claim's signature is not over the artifact, but over COSE's Sig_structure, which holds the claim, which
holds the artifact's digest: that is the blob that cosign is given.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from atlas.cli import run
from atlas.home import create_home
from integration.tamper.world import World

pytestmark = pytest.mark.xdist_group("servers")


@dataclass(frozen=True)
class Exported:
    """What one export leaves, and the world's trust root."""

    blob: Path
    bundle: Path
    key: Path
    trusted_root: Path

    def verify(self, cosign: Path, *options: str) -> "subprocess.CompletedProcess[str]":
        """Ask cosign, which has neither a network nor a cache of its own."""
        command = [*options, "--key", self.key, "--bundle", self.bundle, "--trusted-root", self.trusted_root, self.blob]
        environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HOME": str(self.blob.parent)}
        return subprocess.run(
            [cosign, *map(str, command)], env=environment, capture_output=True, text=True, check=False, timeout=60
        )


BLOB = ("verify-blob",)
PROVENANCE = ("verify-blob-attestation", "--type", "slsaprovenance1")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.create(tmp_path_factory.mktemp("cosign").resolve() / "world")


def trust_root(path: Path, home: Path) -> Path:
    assert run(["log", "trust-root", "-o", str(path), "--home", str(home)]) == 0
    return path


def export(world: World, folder: Path, form: str, *options: str) -> tuple[Path, Path]:
    bundle, key = folder / "bundle.sigstore.json", folder / "signer.pem"
    target = ["export", str(world.model.path), "--format", form, "-o", str(bundle), "--bare-key", str(key)]
    assert run([*target, *options, "--home", str(world.home.path)]) == 0
    return bundle, key


@pytest.fixture
def claim(world: World, tmp_path: Path) -> Exported:
    """The C2PA claim signature of the model."""
    message = tmp_path / "sig_structure"
    bundle, key = export(world, tmp_path, "bundle", "--message", str(message))
    return Exported(message, bundle, key, trust_root(tmp_path / "root.json", world.home.path))


@pytest.fixture
def provenance(world: World, tmp_path: Path) -> Exported:
    """SLSA provenance of the model."""
    bundle, key = export(world, tmp_path, "slsa")
    blob = tmp_path / "model.bin"
    blob.write_bytes(world.model.path.read_bytes())
    return Exported(blob, bundle, key, trust_root(tmp_path / "root.json", world.home.path))


def accepted(done: "subprocess.CompletedProcess[str]") -> None:
    assert (done.returncode, "Verified OK" in done.stderr) == (0, True), done


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode != 0, done
    assert any(word in done.stderr for word in words), done.stderr


def test_claim_signature_verifies(claim: Exported, cosign_program: Path) -> None:
    accepted(claim.verify(cosign_program, *BLOB))


def test_provenance_verifies(provenance: Exported, cosign_program: Path) -> None:
    accepted(provenance.verify(cosign_program, *PROVENANCE))


def flipped(path: Path, at: int = 10) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_changed_message_is_refused(claim: Exported, cosign_program: Path) -> None:
    flipped(claim.blob, -1)
    refused(claim.verify(cosign_program, *BLOB), "invalid signature")


def test_changed_model_is_refused(provenance: Exported, cosign_program: Path) -> None:
    flipped(provenance.blob)
    refused(provenance.verify(cosign_program, *PROVENANCE), "digests do not match")


def rewrite(path: Path, *members: str | int, old: str, new: str) -> None:
    """Change a text within a document's member."""
    document = json.loads(path.read_text())
    place = document
    for each in members[:-1]:
        place = place[each]
    assert old in place[members[-1]]
    place[members[-1]] = place[members[-1]].replace(old, new, 1)
    path.write_text(json.dumps(document))


ENTRY = ("verificationMaterial", "tlogEntries", 0)


def test_changed_payload_is_refused(provenance: Exported, cosign_program: Path) -> None:
    rewrite(provenance.bundle, "dsseEnvelope", "payload", old="e", new="f")
    refused(provenance.verify(cosign_program, *PROVENANCE), "verifying log entry", "failed to verify")


@pytest.mark.parametrize("which", ["claim", "provenance"])
def test_changed_checkpoint_is_refused(which: str, request: pytest.FixtureRequest, cosign_program: Path) -> None:
    exported: Exported = request.getfixturevalue(which)
    rewrite(exported.bundle, *ENTRY, "inclusionProof", "checkpoint", "envelope", old="\n— ", new="0\n— ")
    refused(exported.verify(cosign_program, *(BLOB if which == "claim" else PROVENANCE)), "log inclusion")


@pytest.mark.parametrize("which", ["claim", "provenance"])
def test_bundle_without_a_log_entry_is_refused(
    which: str, request: pytest.FixtureRequest, cosign_program: Path
) -> None:
    exported: Exported = request.getfixturevalue(which)
    document = json.loads(exported.bundle.read_text())
    document["verificationMaterial"]["tlogEntries"] = []
    exported.bundle.write_text(json.dumps(document))
    refused(exported.verify(cosign_program, *(BLOB if which == "claim" else PROVENANCE)), "log inclusion")


@pytest.mark.parametrize("which", ["claim", "provenance"])
def test_trust_root_of_another_home_is_refused(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, cosign_program: Path
) -> None:
    exported: Exported = request.getfixturevalue(which)
    trust_root(exported.trusted_root, create_home(tmp_path / "other").path)
    refused(exported.verify(cosign_program, *(BLOB if which == "claim" else PROVENANCE)), "not enough verified log")


def test_key_of_another_export_is_refused(claim: Exported, world: World, tmp_path: Path, cosign_program: Path) -> None:
    (tmp_path / "more").mkdir()
    _, key = export(world, tmp_path / "more", "slsa")
    claim.key.write_bytes(key.read_bytes())
    refused(claim.verify(cosign_program, *BLOB), "log inclusion", "invalid signature")


def test_signers_certificate_is_the_authoritys(provenance: Exported, world: World) -> None:
    """Whoever is handed the key finds out from its file who certified it."""
    authority = world.home.path / "ca.pem"
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", authority, provenance.key], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
