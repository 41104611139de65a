"""Components and pipelines for the tests; kfp ships their source, so each imports what it needs."""

# kfp reads annotations at run time, its decorators are untyped, and what it ships has no imports but its own.
# ruff: noqa: PTH103, PTH110, PTH123
# mypy: ignore-errors

from functools import partial
from typing import List, NamedTuple  # noqa: UP035  kfp reads these names

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output, PipelineTaskFinalStatus

component = partial(dsl.component, base_image="python:3.11", install_kfp_package=False)


@component
def ingest(rows: int, raw: Output[Dataset]):
    with open(raw.path, "w") as file:
        file.write("row\n" * rows)
    raw.metadata["rows"] = rows


@component
def prepare(raw: Input[Dataset], train: Output[Dataset]):
    with open(raw.path) as source, open(train.path, "w") as file:
        file.write(source.read().upper())


@component
def fit(train: Input[Dataset], model: Output[Model], metrics: Output[Metrics]):
    import os

    os.makedirs(model.path + "/weights")
    for name in ("weights/a", "b"):
        with open(f"{model.path}/{name}", "w") as file:
            file.write(name)
    metrics.log_metric("accuracy", 0.75)
    metrics.log_metric("rows", 7)
    metrics.log_metric("huge", 2**53 + 1)


@component
def evaluate(model: Input[Model], metrics: Input[Metrics]) -> float:
    return metrics.metadata["accuracy"]


@dsl.pipeline(name="chain")
def chain(rows: int = 3):
    raw = ingest(rows=rows)
    prepared = prepare(raw=raw.output)
    fitted = fit(train=prepared.output)
    evaluate(model=fitted.outputs["model"], metrics=fitted.outputs["metrics"])


@component
def make(i: int, out: Output[Dataset]) -> int:
    with open(out.path, "w") as file:
        file.write(f"made {i}")
    return i


@component
def concatenate(parts: Input[List[Dataset]]) -> str:  # noqa: UP006
    return "|".join(open(each.path).read() for each in parts)


@component
def use(it: Input[Artifact]) -> str:
    import os

    return f"{it.metadata} {os.path.exists(it.path)}"


@component
def numbers() -> list:
    return [8, 9]


@component
def final(status: PipelineTaskFinalStatus) -> str:
    return status.state


@dsl.pipeline(name="inner")
def inner(i: int) -> Dataset:
    return make(i=i).outputs["out"]


@dsl.pipeline(name="flow")
def flow(flag: int = 1):
    with dsl.ExitHandler(final()):
        with dsl.ParallelFor([1, 2, 3]) as i:
            made = make(i=i)
        concatenate(parts=dsl.Collected(made.outputs["out"]))
        with dsl.ParallelFor(numbers().output) as j:
            make(i=j)
        nested = inner(i=5)
        use(it=nested.output)
        with dsl.If(flag == 1):
            make(i=30)
        with dsl.Else():
            make(i=40)


@component
def odd(
    big: int,
    empty: Output[Dataset],
    absent: Output[Dataset],
    elsewhere: Output[Model],
    noted: Output[Artifact],
    copied: Output[Dataset],
    source: Input[Dataset],
) -> NamedTuple("Results", number=int, text=str):
    open(empty.path, "w").close()
    elsewhere.uri = "gs://elsewhere/model"
    elsewhere.metadata["framework"] = "x"
    noted.metadata["seven"] = 7
    noted.metadata["nested"] = {"list": [1, 2.5, None, True]}
    copied.metadata = dict(source.metadata)
    with open(copied.path, "w") as file:
        file.write("copied")
    with open(source.path, "a") as file:
        file.write("tampered")
    from typing import NamedTuple

    return NamedTuple("Results", number=int, text=str)(1, "é")


@dsl.pipeline(name="oddities")
def oddities(big: int = 2**53 + 2):
    done = odd(big=big, source=make(i=1).outputs["out"])
    use(it=done.outputs["empty"])
    use(it=done.outputs["noted"])
    use(it=done.outputs["copied"])


@component
def pythonic() -> Dataset:
    data = Dataset(uri=dsl.get_uri(suffix="data.txt"), metadata={"k": 1})
    with open(data.path, "w") as file:
        file.write("pythonic")
    return data


@dsl.pipeline(name="returned")
def returned():
    use(it=pythonic().output)


@component
def flaky(marker: str, out: Output[Dataset]):
    import os
    import sys

    with open(out.path, "w") as file:
        file.write("attempt")
    if not os.path.exists(marker):
        open(marker, "w").close()
        sys.exit(3)


@dsl.pipeline(name="retried")
def retried(marker: str):
    flaky(marker=marker).set_retry(2, backoff_duration="0s")


@dsl.pipeline(name="fails")
def fails(marker: str):
    use(it=flaky(marker=marker).output)


@dsl.pipeline(name="twice")
def twice():
    use(it=make(i=1).outputs["out"])
    use(it=make(i=2).outputs["out"])


@component
def judge(it: Input[Dataset], flag: int) -> int:
    return flag


@dsl.pipeline(name="cached")
def cached(flag: int = 1):
    made = make(i=7)
    judge(it=made.outputs["out"], flag=flag)


@dsl.container_component
def shell(text: str, out: Output[Dataset], count: dsl.OutputPath(int)):
    return dsl.ContainerSpec(
        image="alpine", command=["sh", "-c", 'echo "$1" > "$0"; echo 5 > "$2"'], args=[out.path, text, count]
    )


@dsl.pipeline(name="shells")
def shells():
    use(it=shell(text="hello").outputs["out"])
