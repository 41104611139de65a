"""Atlas for Kubeflow Pipelines: every step of an instrumented pipeline leaves signed provenance.

    from atlas_components import instrument

    instrument(pipeline)          # after @dsl.pipeline, before compiling, submitting or running it

The function lives in a module of another name, because importing a submodule binds its name here.
What runs inside a step imports `atlas_components.step` alone, so nothing heavy may be imported here.
"""

TYPE_CHECKING = False  # as in `typing`, which would cost every step 5 ms
if TYPE_CHECKING:
    from typing import Any

__all__ = ["instrument"]


def __getattr__(name: str) -> "Any":
    """Load `instrument`, which needs kfp, when it is asked for (PEP 562)."""
    if name == "instrument":
        from atlas_components.instrumentation import instrument  # noqa: PLC0415  a step must not pay for kfp

        return instrument
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
