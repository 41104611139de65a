"""Attacks on the bytes themselves."""

import hashlib
import os
import shutil
from dataclasses import replace

from atlas.codes import Code
from atlas.errors import MeasureError
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World
from support import forge


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="bytes not bound to the provenance")
def model_one_bit(world: World) -> Outcome:
    """Flips one bit of the model file."""
    content = bytearray(world.model.path.read_bytes())
    content[100] ^= 1
    world.model.path.write_bytes(content)
    return world.verify()


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="bytes not bound to the provenance")
def model_truncated(world: World) -> Outcome:
    """Cuts the last byte off the model file."""
    world.model.path.write_bytes(world.model.path.read_bytes()[:-1])
    return world.verify()


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="bytes not bound to the provenance")
def model_same_size_and_time(world: World) -> Outcome:
    """Replaces the model by one of the same size and sets the old modification time again."""
    path = world.model.path
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return world.verify()


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="failed verification that exits 0")
def failure_only_printed(world: World) -> Outcome:
    """Counts on a script that asks for an explanation and looks at the exit code only."""
    world.model.path.write_bytes(b"trojan")
    return world.cli("explain", str(world.model.path))


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="an attested artifact in another's place")
def model_of_another_run(world: World) -> Outcome:
    """Puts an attested model of another run where this run's model lies."""
    shutil.copy(world.pipeline("run-2")["model"].path, world.model.path)
    return world.verify()


@attack(
    Part.ARTIFACT,
    Code.SIGNER_UNTRUSTED,
    inherent=(Code.ARTIFACT_CHANGED,),
    answers="self-signed attacker certificate",
)
def model_excused_by_its_own_manifest(world: World) -> Outcome:
    """Replaces the model, and deposits a manifest of one's own which says that this is what lies there."""
    world.model.path.write_bytes(b"trojan")
    honest = world.model.sidecar.manifest.statement
    trojan = forge.output(b"trojan", name="model", uri=str(world.model.path))
    world.deposit(*world.sign(replace(honest, outputs=(trojan,)), forge.authority()))
    return world.verify()


@attack(Part.ARTIFACT, Code.ARTIFACT_UNKNOWN, answers="no provenance taken for good provenance")
def model_without_provenance(world: World) -> Outcome:
    """Presents a model that nobody ever signed."""
    return world.verify(world.file("elsewhere/model.bin", b"trojan"))


@attack(Part.ARTIFACT, Code.ARTIFACT_UNKNOWN, answers="no provenance taken for good provenance")
def digest_without_provenance(world: World) -> Outcome:
    """Asks for a digest that nobody ever signed."""
    return world.verify(f"sha256:{'12' * 32}")


@attack(Part.ARTIFACT, Code.ANCESTOR_CHANGED, answers="ingredients checked at signing only")
def training_row_changed(world: World) -> Outcome:
    """Changes one row of the training data after the model was trained."""
    shard = world.made["data"].path / "shard-1.csv"
    shard.write_bytes(shard.read_bytes().replace(b"1,1\n", b"1,0\n", 1) + b"9,9\n")
    return world.verify(remeasure=True)


@attack(Part.ARTIFACT, Code.ANCESTOR_CHANGED, answers="only the nearest neighbours checked")
def published_data_changed(world: World) -> Outcome:
    """Changes the published data set, three steps away from the model."""
    rows = world.made["rows.csv"].path
    rows.write_bytes(rows.read_bytes() + b"500,1\n")
    return world.verify(remeasure=True)


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="directories hashed incompletely")
def tree_file_added(world: World) -> Outcome:
    """Adds a file to a directory artifact."""
    (world.made["data"].path / "shard-9.csv").write_bytes(b"1,1\n")
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="directories hashed incompletely")
def tree_file_hidden(world: World) -> Outcome:
    """Adds an empty hidden file, deep inside a directory artifact."""
    place = world.made["data"].path / "a" / "b"
    place.mkdir(parents=True)
    (place / ".hidden").write_bytes(b"")
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="truncated list of names")
def tree_file_removed(world: World) -> Outcome:
    """Removes a file from a directory artifact."""
    (world.made["data"].path / "shard-2.csv").unlink()
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="names not part of the digest")
def tree_file_renamed(world: World) -> Outcome:
    """Renames a file of a directory artifact."""
    folder = world.made["data"].path
    (folder / "shard-0.csv").rename(folder / "shard-3.csv")
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, Code.ARTIFACT_CHANGED, answers="names not part of the digest")
def tree_files_exchanged(world: World) -> Outcome:
    """Exchanges the contents of two files of a directory artifact."""
    folder = world.made["data"].path
    (folder / "shard-0.csv").rename(folder / "x")
    (folder / "shard-1.csv").rename(folder / "shard-0.csv")
    (folder / "x").rename(folder / "shard-1.csv")
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, refused=MeasureError, answers="symbolic links followed out of the artifact")
def tree_link_out(world: World) -> Outcome:
    """Replaces a file of a directory artifact by a symbolic link to a like file outside of it."""
    shard = world.made["data"].path / "shard-0.csv"
    shard.rename(world.root / "outside.csv")
    shard.symlink_to(world.root / "outside.csv")
    return world.verify(world.made["data"])


@attack(Part.ARTIFACT, Code.ANCESTOR_CHANGED, answers="symbolic links followed out of the artifact")
def ancestor_link_out(world: World) -> Outcome:
    """Replaces a file of the training data by a symbolic link to a like file outside of it."""
    shard = world.made["data"].path / "shard-0.csv"
    shard.rename(world.root / "outside.csv")
    shard.symlink_to(world.root / "outside.csv")
    return world.verify(remeasure=True)


@attack(Part.ARTIFACT, refused=MeasureError, answers="an index that can be injected into")
def tree_name_forges_a_line(world: World) -> Outcome:
    """Names a file so that its line of the directory's index would read as two."""
    (world.made["data"].path / f"a\n{'00' * 32}  1  b").write_bytes(b"x")
    return world.verify(world.made["data"])


@attack(
    Part.ARTIFACT,
    Code.ARTIFACT_CHANGED,
    answers="one digest for two kinds of artifact",
)
def tree_replaced_by_its_index(world: World) -> Outcome:
    """Replaces a directory artifact by a file that holds the directory's index, which has the same digest."""
    made = world.made["data"]
    [(index,)] = world.archive("SELECT content FROM asset WHERE sha256 = ?", made.sha256)
    shutil.rmtree(made.path)
    made.path.write_bytes(index)
    return world.verify(made, policy=world.policy())


@attack(Part.SIDECAR, Code.SIDECAR_SWAPPED, answers="swapped sidecar")
def sidecar_of_another_artifact(world: World) -> Outcome:
    """Puts the honest sidecar of another artifact beside a file."""
    raw, _ = world.delivery()
    return world.verify_beside(raw, b"other weights\n")


@attack(Part.SIDECAR, Code.SIDECAR_SWAPPED, answers="swapped sidecar")
def archive_serves_another_manifest(world: World) -> Outcome:
    """Makes the archive answer with an attested model's manifest when it is asked for a trojan's."""
    trojan = world.file("elsewhere/model.bin", b"trojan")
    digest = "UPDATE manifest SET asset_sha256 = ? WHERE box_sha256 = ?"
    world.archive(digest, hashlib.sha256(trojan.read_bytes()).hexdigest(), world.model.box)
    return world.verify(trojan)
