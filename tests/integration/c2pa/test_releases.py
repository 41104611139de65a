"""Our sidecars are C2PA to other releases of the C2PA library too, from c2pa-rs 0.67 on.

Each release lives in a virtual environment of its own, in `ATLAS_TEST_CACHE` (`~/.cache/atlas/tests`), made once.
"""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from atlas.artifact import Kind, measure, measure_properties
from atlas.manifest import parse_manifest, sign_statement
from atlas.statement import Publisher, dump_statement, output_of
from support.forge import ASSET, authority, now, output, source, statement

RELEASES = {"0.38.1": "0.91.3", "0.32.0": "0.79.0", "0.28.0": "0.67.1"}
"""c2pa-python -> the c2pa-rs inside."""
READER = Path(__file__).with_name("read_with_release.py")
GOLDEN = Path(__file__).parents[2] / "golden"
Case = dict[str, str]


def interpreter(release: str) -> Path:
    """The Python of an environment with this release of c2pa-python; made if it is not there yet."""
    cache = Path(os.environ.get("ATLAS_TEST_CACHE") or Path.home() / ".cache" / "atlas" / "tests")
    target = cache / f"c2pa-python-{release}-py{sys.version_info.major}.{sys.version_info.minor}"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
        try:
            uv("venv", "--quiet", "--relocatable", "--python", sys.executable, fresh / "env")
            uv("pip", "install", "--quiet", "--python", fresh / "env/bin/python", f"c2pa-python=={release}")
            (fresh / "env").rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return target / "bin" / "python"


def uv(*arguments: object) -> None:
    tool = shutil.which("uv")
    if tool is None:
        pytest.skip("NOT TESTED WITH OTHER C2PA RELEASES: there is no `uv` on the PATH")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"NOT TESTED WITH OTHER C2PA RELEASES: uv {arguments[0]} failed: {done.stderr.strip()[-400:]}")


def read(release: str, anchors: str, cases: list[Case]) -> list[dict[str, Any]]:
    """What that release says of each (sidecar, asset)."""
    python = Path(sys.executable) if release == installed() else interpreter(release)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [python, READER],
        input=json.dumps({"anchors": anchors, "cases": cases}),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["version"] == RELEASES[release]
    answers: list[dict[str, Any]] = answer["answers"]
    assert len(answers) == len(cases)
    return answers


def installed() -> str:
    from importlib.metadata import version

    return version("c2pa-python")


def case(sidecar: bytes, asset: bytes) -> Case:
    return {"sidecar": sidecar.hex(), "asset": asset.hex()}


def changes(asset: bytes) -> list[bytes]:
    """The asset with another first byte, one byte more, and (but for tiny ones) one byte fewer."""
    return [bytes([asset[0] ^ 1]) + asset[1:], asset + b"\0", asset[:-1] or b"\0"]


def fresh() -> tuple[str, dict[str, tuple[bytes, bytes]]]:
    """Anchors, and name -> (sidecar, asset), of every kind of sidecar that we write."""
    issuer = authority()
    measured = measure_properties({"accuracy": 0.93})
    assert measured.asset
    index = measure(GOLDEN / "tree").asset
    assert index
    of_one = {
        "file": (statement(), ASSET),
        "one byte": (statement(outputs=(output(b"x"),)), b"x"),
        "tree": (statement(outputs=(output(index, kind=Kind.TREE, schema="system.Dataset"),)), index),
        "properties": (statement(outputs=(output_of(measured, "metrics", schema="system.Metrics"),)), measured.asset),
        "published": (statement(maker=Publisher("Example Ltd."), inputs=()), ASSET),
        "statement": (statement(outputs=()), dump_statement(statement(outputs=()))),
        "inputs": (statement(inputs=tuple(source(bytes([i]), position=i) for i in range(20))), ASSET),
    }
    made = {}
    for name, (stated, asset) in of_one.items():
        (sidecar,) = sign_statement(
            stated, issuer, now(), attest=(lambda *_: '{"provider":"none"}') if name == "file" else None
        )
        made[name] = (sidecar.raw, asset)
    return issuer.certificate.public_bytes(Encoding.PEM).decode("ascii"), made


def golden(version: Path) -> tuple[str, dict[str, tuple[bytes, bytes]]]:
    raw = {path.stem: path.read_bytes() for path in version.glob("*.c2pa")}
    return (version / "ca.pem").read_text(), {name: (raw[name], asset_of(name, raw[name])) for name in raw}


def asset_of(name: str, sidecar: bytes) -> bytes:
    """The bytes that a golden sidecar is of."""
    stated = parse_manifest(sidecar).statement
    if name == "file":
        return (GOLDEN / "model.bin").read_bytes()
    if name == "statement":
        return dump_statement(stated)
    metrics = next((each.properties for each in stated.outputs if each.properties), {})
    asset = measure(GOLDEN / "tree").asset if name == "tree" else measure_properties(metrics).asset
    assert asset
    return asset


def judge(release: str, anchors: str, sidecars: dict[str, tuple[bytes, bytes]]) -> None:
    """Trusted with the asset and a certificate of today; Invalid, for that one reason, with any other."""
    sound = read(release, anchors, [case(*each) for each in sidecars.values()])
    assert dict(zip(sidecars, sound, strict=True)) == {name: {"state": "Trusted", "failures": []} for name in sidecars}

    for name, (raw, asset) in sidecars.items():
        for answer in read(release, anchors, [case(raw, each) for each in changes(asset)]):
            assert (name, answer) == (name, {"state": "Invalid", "failures": ["assertion.dataHash.mismatch"]})


def test_the_installed_release_is_one_of_those() -> None:
    assert installed() in RELEASES


@pytest.mark.parametrize("release", RELEASES)
def test_fresh_sidecars(release: str) -> None:
    judge(release, *fresh())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("version", sorted(GOLDEN.glob("v*")), ids=lambda path: path.name)
def test_golden_sidecars(release: str, version: Path) -> None:
    anchors, sidecars = golden(version)
    ends = x509.load_pem_x509_certificate(anchors.encode()).not_valid_after_utc
    if dt.datetime.now(dt.UTC) >= ends:
        pytest.skip(f"the C2PA library goes by the time of day, and these certificates ended on {ends:%Y-%m-%d}")

    judge(release, anchors, sidecars)


@pytest.mark.parametrize("release", RELEASES)
def test_another_authority_is_not_trusted(release: str) -> None:
    _, sidecars = fresh()
    stranger = authority("stranger").certificate.public_bytes(Encoding.PEM).decode("ascii")

    (answer,) = read(release, stranger, [case(*sidecars["file"])])
    assert answer["state"] != "Trusted"
    assert "signingCredential.untrusted" in answer["failures"]
