"""
scikit-learn's networks and ours, side by side
==============================================

Trains ``sklearn_mlp`` and scikit-learn from the same seed, on data that ships with scikit-learn,
and prints how well both do, how far apart their weights are and how long each took. It fails when
the weights of a row differ by more than the promised 1e-6. ``make demo`` runs it.
"""

import argparse
import statistics
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import sklearn_mlp

PROMISE = 1e-6  # on the weights, relative to the largest one of the same layer
MODULES = sklearn_mlp, neural_network

# %%
# What is trained: the data, the task, and every parameter that is not a default.

DIGITS = "digits", datasets.load_digits
CANCER = "breast cancer", datasets.load_breast_cancer
DIABETES = "diabetes", datasets.load_diabetes

STOP_EARLY = {"early_stopping": True, "validation_fraction": 0.2}
ROWS = [
    (*DIGITS, "multiclass, adam", {}),
    (*DIGITS, "multiclass, sgd", {"solver": "sgd", "learning_rate_init": 0.05}),
    (*DIGITS, "multiclass, tanh", {"hidden_layer_sizes": (64, 32), "activation": "tanh"}),
    (*CANCER, "binary, adam", {}),
    (*CANCER, "binary, early stop", {"batch_size": 32, **STOP_EARLY}),
    (*DIABETES, "regression, adam", {"hidden_layer_sizes": (10,), "alpha": 1.0}),
    (*DIABETES, "regression, sgd", {"solver": "sgd", "activation": "tanh", "alpha": 1.0}),
]


def load(loader):
    """Return training rows, held-out rows and their targets; all but labels standardised."""
    X, y = loader(return_X_y=True)
    labels = None if loader is datasets.load_diabetes else y
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=labels, random_state=0)
    scaler = StandardScaler().fit(X_train)
    if labels is None:
        mean, deviation = y_train.mean(), y_train.std()
        y_train, y_test = (y_train - mean) / deviation, (y_test - mean) / deviation
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


# %%
# Both train in turn, several times, so that a slow moment of the machine meets both.


def race(name, params, X, y, repeats):
    """Fit estimator `name` of both modules; return the two and the median seconds of each."""
    models = [getattr(module, name)(random_state=0, **params) for module in MODULES]
    seconds = [[], []]
    for _ in range(repeats):
        for model, times in zip(models, seconds, strict=True):
            start = time.perf_counter()
            model.fit(X, y)
            times.append(time.perf_counter() - start)
    return models, [statistics.median(times) for times in seconds]


def weight_difference(ours, theirs):
    """Return the largest difference of two weights, absolute and relative to their layer."""
    pairs = zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True)
    gaps = [(np.abs(a - b).max(), np.abs(b).max()) for a, b in pairs]
    return np.max([gap for gap, _ in gaps]), np.max([gap / size for gap, size in gaps])


# %%
# The table: one row printed as soon as it is measured.

HEADER = """\
                                 held-out score    weights differ                 seconds
data          task                 ours sklearn absolute relative  epochs    ours sklearn  ratio"""


def show_row(data, loader, task, params, repeats):
    """Train and print one row; return the relative difference of the weights."""
    X_train, X_test, y_train, y_test = load(loader)
    name = "MLPRegressor" if loader is datasets.load_diabetes else "MLPClassifier"
    (ours, theirs), (fast, slow) = race(name, params, X_train, y_train, repeats)
    absolute, relative = weight_difference(ours, theirs)
    our_score, their_score = ours.score(X_test, y_test), theirs.score(X_test, y_test)
    print(
        f"{data:13} {task:18} {our_score:6.4f} {their_score:7.4f}",
        f"{absolute:8.1e} {relative:8.1e} {ours.n_iter_:3}/{theirs.n_iter_:<3}",
        f"{fast:7.3f} {slow:7.3f} {slow / fast:5.1f}x",
        flush=True,
    )
    return relative


def show_float32(repeats):
    """Print the seconds of the first row once more, with float32 data for both."""
    X_train, X_test, y_train, y_test = load(DIGITS[1])
    X_train, X_test = X_train.astype(np.float32), X_test.astype(np.float32)
    (ours, theirs), (fast, slow) = race("MLPClassifier", {}, X_train, y_train, repeats)
    print(
        f"The first row with float32 data: ours {fast:.3f} s, sklearn {slow:.3f} s,",
        f"ratio {slow / fast:.1f}x, held-out scores",
        f"{ours.score(X_test, y_test):.4f} and {theirs.score(X_test, y_test):.4f}.",
    )


def main():
    parser = argparse.ArgumentParser(description="Compare sklearn_mlp with scikit-learn.")
    parser.add_argument("--repeats", type=int, default=3, help="fits behind each figure of seconds")
    repeats = parser.parse_args().repeats
    # Where a row ends at max_iter, both have run the same epochs: all that a comparison needs.
    warnings.simplefilter("ignore", ConvergenceWarning)

    print(f"sklearn-mlp {version('sklearn-mlp')} and scikit-learn {version('scikit-learn')}:")
    print("same seed, float64, BLAS and OpenMP held to one thread by threadpoolctl;")
    print(f"score: accuracy or R2 on the held-out quarter; seconds: median of {repeats} fits.\n")
    print(HEADER)
    with threadpool_limits(1):
        differences = [show_row(*row, repeats) for row in ROWS]
        print()
        show_float32(repeats)
    kept = all(difference <= PROMISE for difference in differences)
    verdict = "agree" if kept else "DO NOT AGREE"
    print(f"The weights {verdict} within {PROMISE:.0e} relative in every row.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
