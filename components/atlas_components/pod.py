"""What a step's pod says of its evidence: the annotation `atlas.dev/evidence`, and how the step comes to see it.

Kubernetes writes the annotation's value into an environment variable of the container (downward API; it is empty where
there is no such annotation). KFP does that for whatever a pipeline's platform spec lists as `fieldPathAsEnv`, which is
no part of its cache keys. All functions are pure.
"""

import copy
from collections.abc import Mapping
from typing import Any

from atlas.errors import DocumentError

ANNOTATION = "atlas.dev/evidence"
"""Names the provider of evidence that the pod's steps must ask."""
VARIABLE = "ATLAS_POD_EVIDENCE"
"""Where a step reads what the annotation says."""

_FIELD = {"name": VARIABLE, "fieldPath": f"metadata.annotations['{ANNOTATION}']"}


def instrument_platform(
    platform: Mapping[str, Any], before: Mapping[str, str], ordered: Mapping[str, str]
) -> dict[str, Any]:
    """Have every pod show its annotation to its step, and annotate each with the provider that is ordered.

    Args:
        platform: the pipeline's platform spec; empty if it has none.
        before: the provider that was ordered until now, by executor; empty if none was.
        ordered: the provider that is ordered now.

    Raises:
        DocumentError: if the platform spec is malformed, or annotates a pod with another provider.
    """
    new: dict[str, Any] = copy.deepcopy(dict(platform))
    executors = new
    for key in ("platforms", "kubernetes", "deploymentSpec", "executors") if ordered else ():
        executors = _below(executors, key)
    for label, provider in ordered.items():
        executor = _below(executors, label)
        fields = executor.get("fieldPathAsEnv", [])
        if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
            raise DocumentError(f"{label}: fieldPathAsEnv: not a list of objects")
        executor["fieldPathAsEnv"] = [*(each for each in fields if each.get("name") != VARIABLE), dict(_FIELD)]
        if provider:
            annotations = _below(_below(executor, "podMetadata"), "annotations")
            said = annotations.get(ANNOTATION, provider)
            if said not in (provider, before.get(label)):
                raise DocumentError(
                    f"{label.removeprefix('exec-')}: the pipeline orders evidence of {provider!r}, "
                    f"and its pod's annotation {ANNOTATION} says {said!r}",
                    mend="let one of the two go",
                )
            annotations[ANNOTATION] = provider
    return new


def _below(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.setdefault(key, {})
    if not isinstance(value, dict):
        raise DocumentError(f"platform spec: {key}: not an object")
    return value
