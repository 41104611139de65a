"""The Atlas profile of C2PA 2.x: a thin sidecar, one for each artifact.

* hard binding `c2pa.hash.data` with a SHA-256 digest that was computed before, no exclusions;
* one `c2pa.ingredient.v3` an input, `inputTo`, whose metadata `dev.atlas.link` names the parent's manifest by digest;
* `dev.atlas.step`, the statement, and, where there is any, `dev.atlas.evidence`;
* every assertion among the claim's *created* assertions, so that the signer vouches for it.
"""

from typing import Any

import c2pa

from atlas.artifact import Kind
from atlas.statement import Input, Output, Statement

STATEMENT = "dev.atlas.step"
EVIDENCE = "dev.atlas.evidence"
LINK = "dev.atlas.link"
HARD_BINDING = "c2pa.hash.data"
ACTIONS = "c2pa.actions.v2"
INGREDIENT = "c2pa.ingredient.v3"
ASSET_TYPE = "c2pa.asset-type"

FORMAT = "application/octet-stream"
SIDECAR_FORMAT = "application/c2pa"
"""The one format name under which every c2pa-rs since 0.67 reads a sidecar."""

MAX_BYTES = 8 << 20
"""Largest sidecar that is read at all."""

_TYPES = {"system.Model": "c2pa.types.model", "system.Dataset": "c2pa.types.dataset"}
_TRAINED = "http://c2pa.org/digitalsourcetype/trainedAlgorithmicData"
_COMPUTED = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"


def context(anchors: str = "") -> c2pa.Context:
    """A C2PA context that never touches the network and trusts these authorities (PEM) only.

    It is of one process: a child made by fork must make its own.
    """
    settings: dict[str, Any] = {
        "version": 1,
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "builder": {
            "thumbnail": {"enabled": False},
            "created_assertion_labels": [
                "c2pa.actions", "c2pa.ingredient", "c2pa.hash.data", ASSET_TYPE, STATEMENT, EVIDENCE,
            ],  # labels without their version, as c2pa-rs compares them
        },
    }  # fmt: skip
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    return c2pa.Context.from_dict(settings)


def ingredient_label(position: int) -> str:
    """The JUMBF label of the ingredient at a position: c2pa-rs numbers repeats from 1."""
    return INGREDIENT if position == 0 else f"{INGREDIENT}__{position}"


def instance_id(sha256: str) -> str:
    """How an ingredient names its bytes."""
    return f"urn:sha256:{sha256}"


def link_metadata(each: Input) -> dict[str, Any] | None:
    """What an ingredient's metadata says of the parent's manifest; nothing if the step was told of none."""
    return {LINK: dict(vars(each.link))} if each.link else None


def definition(statement: Statement, raw: bytes, output: Output | None, digest: bytes, evidence: str) -> dict[str, Any]:
    """The manifest definition that c2pa-python's Builder takes.

    Args:
        statement: what is asserted.
        raw: its canonical bytes.
        output: the artifact this manifest is of; None for a step without measured outputs.
        digest: SHA-256 of the asset, 32 bytes.
        evidence: the evidence document; empty for none.
    """
    title = output.name if output else "statement"
    trained = output is not None and output.schema == "system.Model"
    assertions: list[dict[str, Any]] = [
        {
            "label": ACTIONS,
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": _TRAINED if trained else _COMPUTED,
                        "parameters": {"ingredientIds": [f"in{i}" for i in range(len(statement.inputs))]},
                    }
                ]
            },
        },
        {"label": STATEMENT, "data": {"json": raw.decode("utf-8")}},
        # a list of integers becomes a CBOR byte string; text would become a wrong digest without a word
        {"label": HARD_BINDING, "data": {"name": title, "alg": "sha256", "hash": list(digest), "pad": []}},
    ]
    if evidence:
        assertions.append({"label": EVIDENCE, "data": {"json": evidence}})
    if output and output.schema in _TYPES and output.kind is not Kind.PROPERTIES:
        assertions.append({"label": ASSET_TYPE, "data": {"types": [{"type": _TYPES[output.schema]}]}})
    return {
        "claim_generator_info": [{"name": "atlas-provenance", "version": "1"}],
        "title": title,
        "format": FORMAT,
        "ingredients": [_ingredient(i, each) for i, each in enumerate(statement.inputs)],
        "assertions": [{**each, "created": True} for each in assertions],
    }


def _ingredient(position: int, each: Input) -> dict[str, Any]:
    metadata = link_metadata(each)
    return {
        "title": each.name,
        "format": FORMAT,
        "relationship": "inputTo",
        "label": f"in{position}",
        "instance_id": instance_id(each.sha256),
        **({"metadata": metadata} if metadata else {}),
    }
