"""SLSA provenance v1 (slsa.dev/spec/v1.0/provenance) of an artifact whose lineage holds, as an in-toto Statement v1.

The build is the step that made the artifact; what it was resolved from is everything in the lineage. The predicate says
by which verdict it was believed, so that nobody who reads it later takes it for more.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from atlas.artifact import Kind
from atlas.canonical import dump_canonical
from atlas.errors import InputError
from atlas.lineage import Lineage
from atlas.statement import Step
from atlas.verdict import Verdict

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://atlas.dev/step/v1"


def dump_provenance(verdict: Verdict, lineage: Lineage) -> bytes:
    """The statement's bytes, canonical JSON.

    Args:
        verdict: that holds.
        lineage: that it is on.

    Raises:
        InputError: if no step made the artifact: SLSA has words for builds only.
        ValueError: if the verdict does not hold.
    """
    if not verdict.holds:
        raise ValueError("provenance is of what was verified")
    root = lineage.nodes[0]
    maker, statement = root.facts.manifest.statement.maker, root.facts.manifest.statement
    if not isinstance(maker, Step):
        raise InputError(
            f"{root.name}: was published and not built, and SLSA provenance is of builds",
            mend="export its own signature with --format bundle",
        )
    return dump_canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": root.name, "digest": {"sha256": root.facts.manifest.asset_sha256}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "pipeline": maker.pipeline,
                        "component": maker.component,
                        "parameters": dict(statement.parameters),
                    },
                    "internalParameters": {
                        "code": {"sha256": maker.code_sha256},
                        "image": maker.image,
                        "evidence": statement.evidence,
                    },
                    "resolvedDependencies": list(_dependencies(lineage)),
                },
                "runDetails": {
                    "builder": {"id": f"urn:atlas:authority:sha256:{root.facts.trusted.authority.sha256}"},
                    "metadata": {
                        "invocationId": f"{maker.run}/{maker.task}/{maker.attempt}",
                        "startedOn": f"{statement.started:%FT%TZ}",
                        "finishedOn": f"{statement.ended:%FT%TZ}",
                    },
                    "byproducts": [
                        {
                            "name": "verdict",
                            "mediaType": "application/json",
                            "digest": {"sha256": hashlib.sha256(verdict.to_bytes()).hexdigest()},
                            "annotations": {
                                "verdict": verdict.outcome,
                                "at": verdict.at,
                                "policy": verdict.policy,
                                "trust": verdict.trust,
                            },
                        }
                    ],
                },
            },
        }
    )


def _dependencies(lineage: Lineage) -> Iterator[dict[str, Any]]:
    """Every artifact of the lineage but the first (in-toto ResourceDescriptor v1), once."""
    seen = {lineage.nodes[0].facts.manifest.asset_sha256}
    for node in lineage.nodes[1:]:
        manifest = node.facts.manifest
        if manifest.asset_sha256 in seen or manifest.output is None:
            continue
        seen.add(manifest.asset_sha256)
        notes = {"maker": node.step_path[-1], "manifest": f"sha256:{manifest.box_sha256}"}
        yield _descriptor(node.name, manifest.asset_sha256, manifest.output.kind, manifest.output.uri, notes)
    for origin in lineage.origins:
        if origin.input.sha256 not in seen:
            seen.add(origin.input.sha256)
            yield _descriptor(origin.input.name, origin.input.sha256, origin.input.kind, origin.input.uri, {})


def _descriptor(name: str, sha256: str, kind: Kind, uri: str, notes: dict[str, str]) -> dict[str, Any]:
    described = {"name": name, "digest": {"sha256": sha256}, "annotations": {"kind": kind, **notes}}
    return {**described, "uri": uri} if uri else described
