"""Write the golden files: small models as JSON, and what they predict.

    python tests/golden/regenerate.py              those that are not there yet
    python tests/golden/regenerate.py --overwrite  all: only before the format is released

A file of a released version of the format is never changed: it has to load for ever. New models get
new names, and those of a later version of the format that number in theirs.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp.schedules import (
    CosineAnnealing,
    CosineLog,
    ExponentialDecay,
    OneCycle,
    StepDecay,
    Warmup,
)

FOLDER = Path(__file__).parent

rng = np.random.RandomState(0)
X = rng.normal(size=(48, 4)).round(2)
SUM = (X[:, 0] + X[:, 1]).round(2)
THIRDS = np.digitize(SUM, np.quantile(SUM, [1 / 3, 2 / 3]))
LABELS = (X[:, :3] > 0).astype(int)
SHARED = {"random_state": 0, "max_iter": 8}
ALL_ACTIVATIONS = [("leaky_relu", 0.2) if name == "leaky_relu" else name for name in ACTIVATIONS]


def frame(dtype):
    return pd.DataFrame(X.astype(dtype), columns=["a", "b", "größe", "with space"])


# name: (estimator, targets, dtype of X, calls of partial_fit, or 0 for one of fit)
CASES = {
    "v1-binary-strings": (
        MLPClassifier((3,), **SHARED, early_stopping=True, metrics=["accuracy"], dropout=[0.25]),
        np.where(SUM > 0, "ja", "nein"),
        "frame",
        0,
    ),
    "v1-binary-booleans": (
        MLPClassifier((3, 2), "tanh", **SHARED, solver="sgd", learning_rate=CosineAnnealing(0.1)),
        SUM > 0,
        "float32",
        0,
    ),
    "v1-multiclass-int16": (
        MLPClassifier(
            (4, 3),
            [("leaky_relu", 0.25), "leaky_relu"],
            **SHARED,
            class_weight={-5: 2.0, 300: 0.5},
            label_smoothing=0.125,
        ),
        np.array([-5, 7, 300], dtype=np.int16)[THIRDS],
        "float32",
        0,
    ),
    "v1-multiclass-unicode": (
        MLPClassifier((3,), **SHARED, learning_rate=Warmup(2.5, after=OneCycle(0.25)), verbose=0),
        np.array(["klein", "mittel", "groß 🙂"], dtype=object)[THIRDS],
        "float64",
        0,
    ),
    "v1-multiclass-floats": (
        MLPClassifier((3,), **SHARED, learning_rate=CosineLog(2), n_iter_no_change=np.inf),
        np.array([1.0, 2.0, 4.0])[THIRDS],
        "float64",
        0,
    ),
    "v1-multilabel-sparse": (
        MLPClassifier((4,), "logistic", **SHARED, class_weight=[{1: 2}, {0: 1, 1: 3}, {}]),
        csr_array(LABELS),
        "float64",
        0,
    ),
    "v1-multilabel-dense": (MLPClassifier([4], "silu", **SHARED), LABELS, "float32", 0),
    "v1-partial-fit-adam": (
        MLPClassifier((3,), **SHARED, learning_rate="adaptive", learning_rate_init=0.01),
        THIRDS.astype(np.uint8),
        "float32",
        3,
    ),
    "v1-partial-fit-sgd": (
        MLPRegressor(
            hidden_layer_sizes=(3,),
            **SHARED,
            solver="sgd",
            learning_rate=Warmup(2, after=StepDecay(1, gamma=0.5)),
            nesterovs_momentum=False,
        ),
        SUM,
        "float64",
        3,
    ),
    "v1-partial-fit-adamw": (
        MLPRegressor(
            hidden_layer_sizes=(3,), **SHARED, solver="adamw", learning_rate=ExponentialDecay(0.9)
        ),
        np.column_stack([SUM, X[:, 2]]),
        "float64",
        2,
    ),
    "v1-regressor-outputs": (
        MLPRegressor(
            hidden_layer_sizes=np.array([3, 2]),
            **SHARED,
            output_activation="softplus",
            early_stopping=True,
            scoring="neg_mean_absolute_error",
        ),
        np.abs(np.column_stack([SUM, X[:, 2]])),
        "float64",
        0,
    ),
    "v1-regressor-activations": (
        MLPRegressor(
            hidden_layer_sizes=[2] * len(ALL_ACTIVATIONS),
            activation=ALL_ACTIVATIONS,
            **SHARED,
            output_activation=("leaky_relu", 0.5),
        ),
        SUM,
        "float64",
        0,
    ),
    "v1-regressor-poisson": (
        MLPRegressor("poisson", (3,), **SHARED, max_grad_norm=np.float32(1.5)),
        np.floor(np.abs(SUM) * 3),
        "float32",
        0,
    ),
    "v1-regressor-quantile": (
        MLPRegressor("quantile", (3,), **SHARED, quantile=0.875, metrics=("mae", "r2")),
        SUM,
        "float64",
        0,
    ),
    "v1-regressor-huber": (MLPRegressor("huber", (), **SHARED, huber_delta=2), SUM, "float64", 0),
    "v1-regressor-absolute": (MLPRegressor("absolute_error", 3, **SHARED), SUM, "float32", 0),
    "v1-regressor-lbfgs": (
        MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", random_state=0, warm_start=True),
        SUM,
        "float64",
        0,
    ),
}


def inputs(name):
    """X and y of a model."""
    _, y, dtype, _ = CASES[name]
    return (frame("float64") if dtype == "frame" else X.astype(dtype)), y


def train(name, model, calls=1):
    """Go on with `partial_fit` or, where the model was not trained by it, with `fit`."""
    X, y = inputs(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="learning_rate='adaptive' acts")
        for _ in range(calls):
            if not CASES[name][3]:
                model.fit(X, y)
            elif is_classifier(model):
                model.partial_fit(X, y, classes=np.unique(y))
            else:
                model.partial_fit(X, y)
    return model


def make(name):
    """The fitted model of that name."""
    model, _, _, calls = CASES[name]
    return train(name, type(model)(**model.get_params(deep=False)), calls or 1)


def predictions(name, model):
    """What a model says about the first rows of its data, by method, as lists."""
    rows = inputs(name)[0][:7]
    methods = ["predict", "predict_proba", "predict_log_proba", "decision_function"]
    found = {method: getattr(model, method)(rows) for method in methods if hasattr(model, method)}
    return {
        method: (array.toarray() if hasattr(array, "toarray") else array).tolist()
        for method, array in found.items()
    }


def expected(name, model):
    """What is to be found in the model that is read: its parameters to the bit, its predictions."""
    params = model._network.params
    found = {
        "parameters": params.astype(params.dtype.newbyteorder("<")).tobytes().hex(),
        "predictions": predictions(name, model),
    }
    if CASES[name][3]:
        found["after_another_partial_fit"] = predictions(name, train(name, model))
    return found


def main(names=CASES, make=make, expected=expected, folder=FOLDER):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--overwrite", action="store_true", help="replace the files that are there")
    parser.add_argument("--folder", type=Path, default=folder, help="where to write them")
    arguments = parser.parse_args()
    (arguments.folder / "expected").mkdir(exist_ok=True)
    kept = 0
    for name in names:
        path = arguments.folder / f"{name}.json"
        if path.exists() and not arguments.overwrite:
            kept += 1
            continue
        model = make(name)
        model.save_json(path)
        text = json.dumps(expected(name, model), ensure_ascii=False, indent=1)
        (path.parent / "expected" / path.name).write_text(text + "\n", encoding="utf-8")
        print(f"wrote {path.name}")
    if kept:
        print(f"{kept} files are there and were kept: they have to load for ever (--overwrite)")
    return 1 if kept else 0


if __name__ == "__main__":
    sys.exit(main())
