"""Measure what each ingredient of training buys on real data: see README.md.

python benchmarks/ingredients.py --data FOLDER [--names letter,california] [--seeds 3]
"""

import argparse
import importlib.util
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor

FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
NAMES = ("letter", "covertype15k", "optdigits", "adult", "california", "bike_sharing", "diamonds")
N_TRAIN = 6_000  # or three quarters of the rows, if that is less; the rest is for the test
N_EPOCHS = 200

# Nothing here is chosen by data set, and nothing was tuned: beyond the size and the length of training,
# which all share, these are the defaults.
PLAIN = {"hidden_layer_sizes": (128, 128), "max_iter": N_EPOCHS, "n_iter_no_change": np.inf}
STOP = {"early_stopping": True, "n_iter_no_change": 10}
ANNEAL = {"solver": "adamw", "learning_rate": "cosine"}
DROP = {"dropout": 0.1}
LOSS = {"classification": {"label_smoothing": 0.1}, "regression": {"loss": "huber"}}
LOSS_NAME = {"classification": "label smoothing", "regression": "huber"}
MEASURES = {
    "classification": ("1 - accuracy", "log loss"),
    "regression": ("RMSE / std(y)", "MAE / std(y)"),
}


def ingredients(task):
    """Parameters by the name of what they add to the plain network."""
    keep_best = {"early_stopping": True}  # of all epochs: a cosine wants to come to its end
    return {
        "plain": {},
        "early stopping": STOP,
        "AdamW + cosine": ANNEAL,
        "dropout": DROP,
        LOSS_NAME[task]: LOSS[task],
        "all": {**keep_best, **ANNEAL, **DROP, **LOSS[task]},
    }


def find_loader(folder):
    """The function `load` of the folder's load.py."""
    path = folder / "load.py"
    if not path.is_file():
        sys.exit(
            f"There is no {path}.\nThe data sets are not part of this project. Name a folder with "
            "--data: its load.py has load(name), which returns X, y and the task, 'classification' or "
            f"'regression', for the names {', '.join(NAMES)} (or those of --names)."
        )
    spec = importlib.util.spec_from_file_location("load", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


def prepare(X, y, task, seed):
    """Training and test rows, scaled by what the training rows say."""
    n_train = min(N_TRAIN, len(y) * 3 // 4)
    strata = y if task == "classification" else None
    parts = train_test_split(X, y, train_size=n_train, stratify=strata, random_state=seed)
    X_train, X_test, y_train, y_test = parts
    scaler = StandardScaler()
    if not isinstance(X, np.ndarray):
        scaler = make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),
            (
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
        )
    X_train = scaler.fit_transform(X_train).astype(np.float32)
    X_test = scaler.transform(X_test).astype(np.float32)
    if task == "regression":
        mean, deviation = y_train.mean(), y_train.std()
        y_train, y_test = (y_train - mean) / deviation, (y_test - mean) / deviation
    return X_train, X_test, y_train, y_test


def measure(task, params, X_train, X_test, y_train, y_test, seed):
    """Both measures of the task on the test rows, and the number of epochs."""
    kind = MLPClassifier if task == "classification" else MLPRegressor
    network = kind(**{**PLAIN, **params}, random_state=seed).fit(X_train, y_train)
    if task == "classification":
        found = 1 - network.score(X_test, y_test), log_loss(y_test, network.predict_proba(X_test))
    else:
        errors = (root_mean_squared_error, mean_absolute_error)
        found = [error(y_test, network.predict(X_test)) / y_test.std() for error in errors]
    return *found, network.n_iter_


def run(load, name, n_seeds):
    """The task, and for each ingredient an array of shape (n_seeds, 3) of what `measure` returns."""
    X, y, task = load(name)
    found = {ingredient: [] for ingredient in ingredients(task)}
    for seed in range(n_seeds):
        data = prepare(X, y, task, seed)
        for ingredient, params in ingredients(task).items():
            start = time.perf_counter()
            found[ingredient].append(measure(task, params, *data, seed))
            seconds = time.perf_counter() - start
            print(f"{name}, seed {seed}, {ingredient}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return task, {ingredient: np.array(values) for ingredient, values in found.items()}


def tables(results):
    """Markdown: for each task and measure a table with a row per data set."""
    for task, measures in MEASURES.items():
        rows = {name: found for name, (kind, found) in results.items() if kind == task}
        if not rows:
            continue
        columns = list(ingredients(task))
        for place, title in enumerate(measures):
            yield f"\n{task.capitalize()}, test {title}\n"
            yield f"| data | {' | '.join(columns)} |"
            yield "|---" * (len(columns) + 1) + "|"
            logs = []
            for name, found in rows.items():
                plain = found["plain"][:, place]
                ratios = [(found[c][:, place] / plain).mean() for c in columns]
                spreads = [spread(found[c][:, place]) for c in columns]
                cells = [f"{s} ({r:.2f})" for s, r in zip(spreads, ratios, strict=True)]
                yield f"| {name} | {' | '.join([spreads[0], *cells[1:]])} |"
                logs.append(np.log(ratios))
            means = [f"{r:.2f}" for r in np.exp(np.mean(logs, axis=0))]
            yield f"| geometric mean of the ratios | {' | '.join(['', *means[1:]])} |"
    epochs = {name: found["early stopping"][:, 2].mean() for name, (_, found) in results.items()}
    yield f"\nEpochs run with early stopping, of {N_EPOCHS}, mean over the seeds: " + ", ".join(
        f"{name} {n:.0f}" for name, n in epochs.items()
    )


def spread(values):
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FOLDER, help="folder of the data sets")
    parser.add_argument("--names", default=NAMES, type=lambda text: text.split(","))
    parser.add_argument("--seeds", default=3, type=int, help="at least 2")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    load = find_loader(options.data)
    # Training for all of max_iter is what is compared; a warning would say that it has not converged.
    warnings.simplefilter("ignore", ConvergenceWarning)
    results = {name: run(load, name, options.seeds) for name in options.names}
    print("\n".join(tables(results)).strip())


if __name__ == "__main__":
    main()
