"""Signing a large artifact: a digest and a thin sidecar, against the C2PA library reading the artifact itself.

Each signs in a process of its own. Times are without the interpreter's start; memory is the whole process's.
"""

import datetime as dt
import json
import sys
from functools import partial
from pathlib import Path

import c2pa

from atlas.artifact import measure
from atlas.home import create_home, open_home
from atlas.keys import issue
from atlas.manifest import profile, sign_manifest
from atlas.statement import Statement, Step, dump_statement, output_of
from benchmarks.hashing import GIB, large_file
from benchmarks.measure import Bench, Figure, each, inside, module, peak_memory, report

KINDS = ("sidecar", "measured", "stream", "nothing")


def run(bench: Bench) -> list[Figure]:
    """Measure."""
    size = GIB // 8 if bench.quick else GIB
    path = large_file(bench.folder, size)
    home = create_home(bench.folder / ".atlas").path
    samples = bench.turns(
        2 if bench.quick else 7, {kind: partial(module, "signing", kind, path, home) for kind in KINDS}
    )
    label = f"{size >> 20} MiB artifact"
    sidecar, measured, stream, nothing = (samples[kind] for kind in KINDS)
    return [
        Figure(f"{label}, its digest known, time", "ms", each(sidecar, "wall", 1e3), each(stream, "wall", 1e3)),
        Figure(f"{label}, measured and signed, time", "s", each(measured, "wall"), each(stream, "wall")),
        Figure(f"{label}, measured and signed, CPU", "s", each(measured, "cpu"), each(stream, "cpu")),
        Figure(f"{label}, peak memory", "MB", each(measured, "memory", 1e-6), each(stream, "memory", 1e-6)),
        Figure("peak memory with the libraries loaded and nothing signed", "MB", each(nothing, "memory", 1e-6)),
    ]


def _child(kind: str, path: Path, home: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    maker = Step("benchmark", "run", "train", "train", 0, "image", "0" * 64, 0)
    credential = issue(open_home(home).issuer(), maker, now)
    known = output_of(measure(home / "version"), "model", uri=str(path), schema="system.Model")

    def sidecar() -> None:
        sign_manifest(Statement(maker, (known,), now, now), known, credential)

    def measured() -> None:
        output = output_of(measure(path), "model", uri=str(path), schema="system.Model")
        sign_manifest(Statement(maker, (output,), now, now), output, credential)

    def stream() -> None:
        statement = Statement(maker, (known,), now, now)
        definition = profile.definition(statement, dump_statement(statement), known, bytes(32), "")
        definition["assertions"] = [each for each in definition["assertions"] if each["label"] != profile.HARD_BINDING]
        builder = c2pa.Builder(json.dumps(definition), context=profile.context())
        builder.set_no_embed()
        info = c2pa.C2paSignerInfo(b"es256", credential.chain_pem, credential.key_pem, None)
        with path.open("rb") as source, path.with_name("copy").open("w+b") as copy:  # it writes one, embedded or not
            builder.sign(c2pa.Signer.from_info(info), profile.FORMAT, source, copy)

    job = {"sidecar": sidecar, "measured": measured, "stream": stream, "nothing": lambda: None}[kind]
    report({**inside(job), "memory": peak_memory()})


if __name__ == "__main__":
    _child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
