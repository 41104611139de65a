"""A plain Kubeflow pipeline: tell malignant from benign tumours (Wisconsin data set, which scikit-learn ships).

Nothing in here knows of Atlas.
"""
# KFP resolves annotations at run time and ships each function's source, imports included.
# ruff: noqa: PLC0415

from kfp import dsl
from kfp.dsl import Dataset, Input, Metrics, Model, Output

IMAGE = "python:3.11"


@dsl.component(base_image=IMAGE)
def ingest(raw: Output[Dataset]) -> None:
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    table = np.column_stack([data.data, data.target])
    header = ",".join([*data.feature_names, "benign"])
    np.savetxt(raw.path, table, fmt="%.6g", delimiter=",", header=header, comments="")


@dsl.component(base_image=IMAGE)
def preprocess(raw: Input[Dataset], train_data: Output[Dataset], test_data: Output[Dataset], seed: int) -> None:
    import numpy as np
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(raw.path, delimiter=",", skiprows=1)
    train, test = train_test_split(table, test_size=0.25, random_state=seed, stratify=table[:, -1])
    np.savetxt(train_data.path, train, fmt="%.6g", delimiter=",")
    np.savetxt(test_data.path, test, fmt="%.6g", delimiter=",")


@dsl.component(base_image=IMAGE)
def train(train_data: Input[Dataset], model: Output[Model], regularisation: float) -> None:
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = np.loadtxt(train_data.path, delimiter=",")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=regularisation))
    joblib.dump(classifier.fit(table[:, :-1], table[:, -1]), model.path)


@dsl.component(base_image=IMAGE)
def evaluate(model: Input[Model], test_data: Input[Dataset], metrics: Output[Metrics]) -> None:
    import joblib
    import numpy as np

    table = np.loadtxt(test_data.path, delimiter=",")
    accuracy = joblib.load(model.path).score(table[:, :-1], table[:, -1])
    metrics.log_metric("accuracy", round(float(accuracy), 4))


@dsl.pipeline(name="tumours")
def tumours(seed: int = 7, regularisation: float = 1.0) -> None:
    ingested = ingest()
    prepared = preprocess(raw=ingested.outputs["raw"], seed=seed)
    trained = train(train_data=prepared.outputs["train_data"], regularisation=regularisation)
    evaluate(model=trained.outputs["model"], test_data=prepared.outputs["test_data"])
