"""Write the golden files of tabular estimators: small ones as JSON, and what they predict.

    python tests/golden/tabular/regenerate.py              those that are not there yet
    python tests/golden/tabular/regenerate.py --overwrite  all: only before the format is released

As for those in the folder above, a file of a released version of the format is never changed.
"""

import sys
import warnings
from pathlib import Path
from runpy import run_path

import numpy as np
import pandas as pd

from sklearn_mlp import TabularMLPClassifier, TabularMLPRegressor
from sklearn_mlp.schedules import CosineLog

FOLDER = Path(__file__).parent
N = 150

rng = np.random.RandomState(0)
NUMBERS = rng.normal(size=(N, 3)).round(2)
SUM = NUMBERS[:, 0] + NUMBERS[:, 1]
THIRDS = np.digitize(SUM, np.quantile(SUM, [1 / 3, 2 / 3]))
SMALL = {"hidden_layer_sizes": (3,), "max_iter": 4, "n_members": 1, "bins": None, "random_state": 0}


def frame():
    """A column of each kind, with gaps, rare levels, many levels, a constant and an empty one."""
    number = NUMBERS[:, 0].copy()
    number[::9] = np.nan
    colour = np.array(["red", "green", "größe"], object)[np.arange(N) % 3]
    colour[::11], colour[1:4] = None, ["rare", "rarer", "rarest"]
    place = np.array([f"place {i % 113}" for i in range(N)], object)
    place[::8] = None
    day = pd.Series(pd.Timestamp("2024-02-20") + pd.to_timedelta(7 * np.arange(N), unit="h"))
    day[::10] = pd.NaT
    return pd.DataFrame(
        {
            "number": number,
            "with space": NUMBERS[:, 1],
            "count": np.arange(N) % 4,
            "colour": colour,
            "flag": NUMBERS[:, 2] > 0,
            "place": place,
            "day": day,
            "same": 1.5,
            "empty": np.full(N, np.nan),
        }
    )


# name: (estimator, X, targets)
CASES = {
    "v1-classifier-frame": (
        TabularMLPClassifier(
            **SMALL
            | {"n_members": 2, "bins": "tree", "metrics": ["accuracy"], "learning_rate": CosineLog(2)}
        ),
        frame(),
        np.array(["low", "mid", "high"])[THIRDS],
    ),
    "v1-classifier-two": (
        TabularMLPClassifier(**SMALL, class_weight={False: 2.0, True: 1}, feature_scale=False),
        frame(),
        SUM > 0,
    ),
    "v1-classifier-labels": (
        TabularMLPClassifier(**SMALL | {"bins": "quantile"}, layer_rates=(1, 0.5), intercept_rate=0.1),
        NUMBERS.astype(np.float32),
        (NUMBERS > 0).astype(int),
    ),
    "v1-classifier-unprepared": (
        TabularMLPClassifier(**SMALL | {"bins": "auto"}, preprocessor=None),
        NUMBERS,
        THIRDS.astype(np.int16),
    ),
    "v1-regressor-frame": (
        TabularMLPRegressor("huber", **SMALL | {"bins": "quantile"}, clip=False, layer_rates="fan_in"),
        frame(),
        100 + 5 * SUM,
    ),
    "v1-regressor-outputs": (
        TabularMLPRegressor(**SMALL | {"n_members": 3}, feature_scale=2.5),
        np.where(NUMBERS < -1.5, np.nan, NUMBERS),
        np.c_[SUM, 1e6 * NUMBERS[:, 2]],
    ),
}


def make(name):
    """The fitted model of that name."""
    model, X, y = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return type(model)(**model.get_params(deep=False)).fit(X, y)


def predictions(name, model):
    """What a model says about some rows of its data, by method, as lists."""
    rows = CASES[name][1][:13]
    methods = ["predict", "predict_proba"]
    return {m: getattr(model, m)(rows).tolist() for m in methods if hasattr(model, m)}


if __name__ == "__main__":
    write = run_path(str(FOLDER.parent / "regenerate.py"))["main"]
    sys.exit(write(CASES, make, predictions, FOLDER))
