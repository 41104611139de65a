"""A pipeline of trivial steps, each of which writes a few bytes."""
# mypy: disable-error-code="no-untyped-call, attr-defined, misc, untyped-decorator"

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Input, Output

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def begin(made: Output[Dataset]) -> None:
    with open(made.path, "w") as file:  # noqa: PTH123  KFP ships the source, and imports cost
        file.write("0")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def go_on(given: Input[Dataset], made: Output[Dataset]) -> None:
    with open(given.path) as before, open(made.path, "w") as file:  # noqa: PTH123
        file.write(before.read() + "0")


def chain(steps: int) -> Any:
    """A pipeline of this many steps, one after the other."""

    @dsl.pipeline(name="chain")
    def pipeline() -> None:
        task = begin()
        for _ in range(steps - 1):
            task = go_on(given=task.outputs["made"])
        task.set_caching_options(False)

    return pipeline
