"""Measure the tabular estimators against boosted trees and scikit-learn's MLP on real data.

python benchmarks/tabular.py --data FOLDER [--part sets|anchors|ablation|time] [--names adult,wine]

Parts, each printed as a table in Markdown:

- sets: the sets of FOLDER and scikit-learn's bundled ones. A seed draws a split, 64 % of the rows for
  training, 16 % for validation and 20 % for the test, stratified by class, and everything random in a
  model. No model is tuned. All are fitted on training and validation rows together, of which ours holds
  out a fifth itself. The error is 1 - accuracy or RMSE / standard deviation of the test targets, the
  mean over the seeds; ratios are of these means, and are put together by the geometric mean (a mean
  without an error counts half an error). Trees get text as categories of pandas; scikit-learn's MLP
  standardised numbers with medians for missing ones and one-hot text, and in regression standardised
  targets.
- anchors: California, with the eight columns of scikit-learn's `fetch_california_housing` derived from
  the raw ones, as RMSE in 100,000 $, and the accuracy on Adult. Here ours gets the validation rows as
  `X_val`, and other models do not use them.
- ablation: each ingredient removed from ours with one member in turn, and what could be added, as a
  ratio of errors.
- time: seconds of a default fit against the recipe in PyTorch (`tabular_torch.py`) with the same
  preprocessing, sizes, batches and epochs, and as many threads.

FOLDER has a load.py whose load(name) returns X, y and the task, 'classification' or 'regression'.
`--rows` cuts the training rows, `--epochs` those of ours and of PyTorch's, for a quick look.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from ingredients import FOLDER, find_loader
from joblib import cpu_count
from sklearn import datasets
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler

from sklearn_mlp import TabularMLPClassifier, TabularMLPRegressor

BUNDLED = ("iris", "wine", "breast_cancer", "digits", "diabetes")
OWN = ("adult", "bike_sharing", "california", "covertype15k", "diamonds", "letter", "optdigits")
TREES = ("LightGBM", "XGBoost", "HistGradientBoosting")

# What is left out, and what stands in its place; the ablation measures each alone.
ABLATION = {
    "classification": {
        "default, one member": {},
        "no label smoothing": {"label_smoothing": 0.0},
        "quantile bins": {"bins": "quantile"},
    },
    "regression": {
        "default, one member": {},
        "no clipping": {"clip": False},
    },
    "both": {
        "no bins": {"bins": None},
        "tree bins": {"bins": "tree"},
        "no learned scale": {"feature_scale": False},
        "intercept_rate=0.1": {"intercept_rate": 0.1},
        "layer_rates='fan_in'": {"layer_rates": "fan_in"},
        "no dropout": {"dropout": 0.0},
        "no weight decay": {"weight_decay": 0.0},
        "beta_2=0.999": {"beta_2": 0.999},
        "constant rate": {"learning_rate": "constant"},
        "cosine": {"learning_rate": "cosine"},
        "relu": {"activation": "relu"},
        "no validation": {"validation_fraction": 0.0},
        "(128, 128)": {"hidden_layer_sizes": (128, 128)},
        "n_members=5": {"n_members": 5},
    },
}


def load_set(name, load):
    """X, y and the task of a bundled set or one of the folder."""
    if name in BUNDLED:
        bunch = getattr(datasets, f"load_{name}")()
        return bunch.data, bunch.target, "regression" if name == "diabetes" else "classification"
    X, y, task = load(name)
    return (derived(X), y / 100_000, task) if name == "california" else (X, y, task)


def derived(X):
    """California's columns as scikit-learn has them: averages per household."""
    longitude, latitude, age, rooms, bedrooms, population, households, income = X.astype(np.float64).T
    averages = rooms / households, bedrooms / households, population, population / households
    return np.column_stack([income, age, *averages, latitude, longitude])


def rows_of(X, rows):
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def split(y, task, seed, most):
    """Rows for training (at most `most`), validation and the test."""
    strata = y if task == "classification" else None
    rest, test = train_test_split(np.arange(len(y)), test_size=0.2, stratify=strata, random_state=seed)
    strata = None if strata is None else y[rest]
    train, validation = train_test_split(rest, test_size=0.2, stratify=strata, random_state=seed)
    return train[:most], validation[: max(most // 4, 1)], test


def as_categories(X):
    """For trees: text as pandas' categories."""
    if isinstance(X, np.ndarray):
        return X
    text = X.select_dtypes(exclude="number").columns
    return X.astype(dict.fromkeys(text, "category"))


def standardised():
    """What people do for scikit-learn's MLP."""
    return make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )


def competitors(X, task, seed):
    """Functions that make the other models, by name."""
    import lightgbm
    import xgboost

    scaler = StandardScaler() if isinstance(X, np.ndarray) else standardised()
    by_dtype = "from_dtype" if not isinstance(X, np.ndarray) else None
    if task == "classification":
        return {
            "LightGBM": lambda: lightgbm.LGBMClassifier(random_state=seed, verbose=-1),
            "XGBoost": lambda: xgboost.XGBClassifier(random_state=seed, enable_categorical=True),
            "HistGradientBoosting": lambda: HistGradientBoostingClassifier(
                random_state=seed, categorical_features=by_dtype
            ),
            "scikit-learn's MLP": lambda: make_pipeline(scaler, MLPClassifier(random_state=seed)),
        }
    return {
        "LightGBM": lambda: lightgbm.LGBMRegressor(random_state=seed, verbose=-1),
        "XGBoost": lambda: xgboost.XGBRegressor(random_state=seed, enable_categorical=True),
        "HistGradientBoosting": lambda: HistGradientBoostingRegressor(
            random_state=seed, categorical_features=by_dtype
        ),
        "scikit-learn's MLP": lambda: TransformedTargetRegressor(
            make_pipeline(scaler, MLPRegressor(random_state=seed)), transformer=StandardScaler()
        ),
    }


def ours(task, options, seed, **params):
    kind = TabularMLPClassifier if task == "classification" else TabularMLPRegressor
    return kind(max_iter=options.epochs or "auto", random_state=seed, **params)


def error_of(model, X, y, task):
    predictions = model.predict(X)
    if task == "classification":
        return 1 - accuracy_score(y, predictions)
    return root_mean_squared_error(y, predictions) / np.std(y)


def tell(*what):
    print(*what, file=sys.stderr, flush=True)


def measured(name, model_name, model, X, y, task, train, test):
    start = time.perf_counter()
    model.fit(rows_of(X, train), y[train])
    seconds = time.perf_counter() - start
    error = error_of(model, rows_of(X, test), y[test], task)
    tell(f"{name}, {model_name}: {error:.4f} in {seconds:.1f} s")
    return error


def errors_on(name, options, load):
    """Errors of each model on a set: lists over the seeds, and the least that could be told from 0."""
    X, labels, task = load_set(name, load)
    y = LabelEncoder().fit_transform(labels) if task == "classification" else labels
    found = {}
    for seed in range(options.seeds):
        train, validation, test = split(y, task, seed, options.rows)
        train = np.r_[train, validation]
        models = {
            "ours": lambda: ours(task, options, seed),  # noqa: B023
            "ours, 5 members": lambda: ours(task, options, seed, n_members=5),  # noqa: B023
        }
        for model_name, make in models.items():
            model = make()
            found.setdefault(model_name, []).append(
                measured(name, model_name, model, X, y, task, train, test)
            )
        cells = as_categories(X)
        for model_name, make in competitors(X, task, seed).items():
            table = cells if model_name in TREES else X
            found.setdefault(model_name, []).append(
                measured(name, model_name, make(), table, y, task, train, test)
            )
    return found, 0.5 / len(test) / options.seeds


def geometric(ratios):
    return float(np.exp(np.mean(np.log(ratios))))


def part_sets(options, load):
    """Errors of all models on all sets."""
    ratios = {}
    for i, name in enumerate(options.names):
        found, least = errors_on(name, options, load)
        means = {model: max(np.mean(errors), least) for model, errors in found.items()}
        if i == 0:
            print(f"| data | {' | '.join(means)} |")
            print("|---" * (len(means) + 1) + "|")
        cells = [f"{np.mean(e):.4f} ± {np.std(e, ddof=1):.4f}" for e in found.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
        best_tree = min(means[tree] for tree in TREES)
        for model in ("ours", "ours, 5 members"):
            for other, error in (*list(means.items())[2:], ("the best of the trees", best_tree)):
                ratios.setdefault((model, other), []).append(means[model] / error)
    print("\n| geometric mean of the ratio of errors | |\n|---|---|")
    for (model, other), values in ratios.items():
        print(f"| {model} : {other} | {geometric(values):.3f} |")


def part_anchors(options, load):
    """The published anchors, on test rows; ours validates on the rows that the protocol has for it."""
    print("| data | model | mean over the splits | of each |\n|---|---|---|---|")
    for name in ("california", "adult"):
        X, y, task = load_set(name, load)
        variants = {"ours": {}, "ours, tree bins": {"bins": "tree"}}
        for variant, params in variants.items():
            found = []
            for seed in range(options.seeds):
                train, validation, test = split(y, task, seed, options.rows)
                model = ours(task, options, seed, **params)
                held_out = {"X_val": rows_of(X, validation), "y_val": y[validation]}
                model.fit(rows_of(X, train), y[train], **held_out)
                error = error_of(model, rows_of(X, test), y[test], task)
                value = 1 - error if task == "classification" else error * np.std(y[test])
                found.append(value)
                tell(f"{name}, {variant}, seed {seed}: {value:.4f}")
            each = ", ".join(f"{value:.4f}" for value in found)
            print(f"| {name} | {variant} | {np.mean(found):.4f} | {each} |", flush=True)


def part_ablation(options, load):
    """Each ingredient removed in turn."""
    rows = {}
    for name in options.names:
        X, labels, task = load_set(name, load)
        y = LabelEncoder().fit_transform(labels) if task == "classification" else labels
        for ingredient, params in {**ABLATION[task], **ABLATION["both"]}.items():
            for seed in range(options.seeds):
                train, validation, test = split(y, task, seed, options.rows)
                model = ours(task, options, seed, **{"n_members": 1, **params})
                train = np.r_[train, validation]
                error = measured(name, ingredient, model, X, y, task, train, test)
                rows.setdefault(ingredient, {}).setdefault(name, []).append(max(error, 0.5 / len(test)))
    print(f"| left out | {' | '.join(options.names)} | geometric mean |")
    print("|---" * (len(options.names) + 2) + "|")
    base = {name: np.mean(errors) for name, errors in rows["default, one member"].items()}
    for ingredient, found in rows.items():
        ratios = {name: np.mean(errors) / base[name] for name, errors in found.items()}
        cells = [f"{ratios[name]:.3f}" if name in ratios else "" for name in options.names]
        print(f"| {ingredient} | {' | '.join(cells)} | {geometric(list(ratios.values())):.3f} |")


def part_time(options, load):
    """Seconds of a fit, ours and PyTorch's."""
    print(f"Threads: {cpu_count()}\n")
    print(
        "| data | ours, s | PyTorch, s | ratio | error, ours | error, PyTorch |\n"
        "|---|---|---|---|---|---|"
    )
    for name in ("california", "adult"):
        X, labels, task = load_set(name, load)
        y = LabelEncoder().fit_transform(labels) if task == "classification" else labels
        train, validation, test = split(y, task, 0, options.rows)
        both = np.r_[train, validation]
        model = ours(task, options, 0)
        start = time.perf_counter()
        model.fit(rows_of(X, both), y[both])
        own = time.perf_counter() - start
        own_error = error_of(model, rows_of(X, test), y[test], task)
        other, other_error = time_torch(model, X, y, task, train, validation, test)
        print(
            f"| {name} | {own:.1f} | {other:.1f} | {other / own:.2f} | {own_error:.4f} | "
            f"{other_error:.4f} |",
            flush=True,
        )


def time_torch(model, X, y, task, train, validation, test):
    """Seconds and error of the recipe in PyTorch, with the sizes, batches and epochs of `model`."""
    import torch
    from tabular_torch import Fit, Recipe

    torch.set_num_threads(cpu_count())
    member = model.members_[0]
    recipe = Recipe(
        hidden=model.hidden_layer_sizes,
        activation=model.activation,
        rate=model.learning_rate_init,
        beta_2=model.beta_2,
        label_smoothing=getattr(member, "label_smoothing", 0.0),
        dropout=model.dropout,
        weight_decay=model.weight_decay,
        n_epochs=member.max_iter,
        batch_size=member.batch_size,
        scale_rate=6.0,
        layer_rates=False,
        intercept_rate=1.0,
    )
    start = time.perf_counter()
    preprocessor = clone(model.preprocessor_)
    tables = [preprocessor.fit_transform(rows_of(X, train), y[train])]
    tables += [preprocessor.transform(rows_of(X, rows)) for rows in (validation, test)]
    n_classes, mean, deviation = None, y[train].mean(), y[train].std()
    if task == "classification":
        n_classes = int(y.max()) + 1
        targets = [y[rows].astype(np.int64) for rows in (train, validation)]
    else:
        targets = [
            ((y[rows] - mean) / deviation)[:, None].astype(np.float32) for rows in (train, validation)
        ]
    fit = Fit(recipe, n_classes).fit(tables[0], targets[0], tables[1], targets[1], seed=0)
    seconds = time.perf_counter() - start
    raw = fit.scores(tables[2])
    if n_classes:
        return seconds, 1 - accuracy_score(y[test], raw.argmax(axis=1))
    return seconds, root_mean_squared_error(y[test], raw[:, 0] * deviation + mean) / np.std(y[test])


PARTS = {"sets": part_sets, "anchors": part_anchors, "ablation": part_ablation, "time": part_time}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FOLDER, help="folder of the data sets")
    parser.add_argument("--part", choices=PARTS, default="sets")
    parser.add_argument("--names", default=(*BUNDLED, *OWN), type=lambda text: text.split(","))
    parser.add_argument("--seeds", default=3, type=int, help="at least 2 for the part 'sets'")
    parser.add_argument("--rows", default=10**9, type=int, help="most training rows")
    parser.add_argument("--epochs", default=0, type=int, help="0: what the estimator chooses")
    options = parser.parse_args()
    if options.part == "sets" and options.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    # Scikit-learn's MLP runs its 200 epochs and says that they were not enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
    PARTS[options.part](options, find_loader(options.data))


if __name__ == "__main__":
    main()
