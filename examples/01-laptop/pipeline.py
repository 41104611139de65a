"""A pipeline as you may have one: read, train. Nothing in it knows of Atlas."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output


@dsl.component(base_image="python:3.11")
def read(digits: Output[Dataset]) -> None:
    from pathlib import Path

    import numpy as np
    from sklearn.datasets import load_digits

    data = load_digits()
    np.savez(digits.path + ".npz", x=data.data, y=data.target)
    Path(digits.path + ".npz").rename(digits.path)


@dsl.component(base_image="python:3.11")
def train(digits: Input[Dataset], model: Output[Model], depth: int) -> None:
    import joblib
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    data = np.load(digits.path)
    joblib.dump(DecisionTreeClassifier(max_depth=depth, random_state=0).fit(data["x"], data["y"]), model.path)


@dsl.pipeline(name="digits")
def digits(depth: int = 8) -> None:
    train(digits=read().outputs["digits"], depth=depth)
