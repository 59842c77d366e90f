"""Pickles, joblib's files, copies, and files of skops: what they hold and what comes back."""

import copy
import io
import pickle
import re
import zipfile
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor, Network, schedules
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._loss import LOSSES
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp.schedules import SCHEDULE_NAMES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
PERMUTATION = np.random.RandomState(0).permutation(len(X))
X, Y = X[PERMUTATION], Y[PERMUTATION]


def parameters(estimator):
    return np.concatenate([w.ravel() for w in estimator.coefs_ + estimator.intercepts_])


def same_model(a, b):
    return np.array_equal(parameters(a), parameters(b)) and a.loss_curve_ == b.loss_curve_


def small(cls, **params):
    fixed = {"hidden_layer_sizes": 8, "max_iter": 20, "learning_rate_init": 0.02}
    return cls(**{**fixed, "random_state": 0, **params})


def more(cls):
    return {"classes": [0, 1, 2]} if cls is MLPClassifier else {}


# ---- there and back ----


def through_joblib(**kwargs):
    def trip(estimator, directory):
        joblib.dump(estimator, directory / "model.joblib")
        return joblib.load(directory / "model.joblib", **kwargs)

    return trip


PAGE = (Path(__file__).parents[1] / "doc" / "persistence.md").read_text(encoding="utf-8")


def trusted_names():
    """The names that the documentation says to trust."""
    block = re.search(r"^TRUSTED = \[\n(.*?)^\]", PAGE, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r'"(.*?)"', block)


TRUSTED = trusted_names()


def through_skops(estimator, _):
    return skops.io.loads(skops.io.dumps(estimator), trusted=TRUSTED)


ROUND_TRIPS = {
    "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
    "oldest pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator, protocol=2)),
    "cloudpickle": lambda estimator, _: cloudpickle.loads(cloudpickle.dumps(estimator)),
    "joblib": through_joblib(),
    "memory map": through_joblib(mmap_mode="r"),
    "memory map, copied on write": through_joblib(mmap_mode="c"),
    "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
    "skops": through_skops,
}
TRIPS = pytest.mark.parametrize("trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS)


@TRIPS
@pytest.mark.parametrize("solver", ["lbfgs", *SOLVERS])
@BOTH
def test_round_trip_after_fit(cls, solver, trip, tmp_path):
    estimator = small(cls, solver=solver).fit(X, Y)
    other = trip(estimator, tmp_path)
    assert other is not estimator
    assert same_model(other, estimator)
    np.testing.assert_array_equal(other.predict(X), estimator.predict(X))
    assert other.get_params() == estimator.get_params()
    assert (other.n_iter_, other.t_) == (estimator.n_iter_, estimator.t_)
    assert other.history_ == estimator.history_
    # Nothing is shared: training the one does not move the other.
    before = parameters(estimator).copy()
    other.set_params(random_state=1).fit(X[:50], Y[:50])
    other.coefs_[0][:] = 7.0
    np.testing.assert_array_equal(parameters(estimator), before)


@TRIPS
@pytest.mark.parametrize("solver", SOLVERS)
@BOTH
def test_partial_fit_goes_on_after_a_round_trip(cls, solver, trip, tmp_path):
    estimator = small(cls, solver=solver, batch_size=10)
    estimator.partial_fit(X[:50], Y[:50], **more(cls)).partial_fit(X[50:], Y[50:])
    other = trip(estimator, tmp_path)
    for start in [0, 40, 80]:
        chunk = slice(start, start + 40)
        assert same_model(
            estimator.partial_fit(X[chunk], Y[chunk]), other.partial_fit(X[chunk], Y[chunk])
        )
    assert (other.n_iter_, other.t_) == (estimator.n_iter_, estimator.t_)


@pytest.mark.parametrize("early_stopping", [False, True])
@TRIPS
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@BOTH
def test_warm_start_goes_on_after_a_round_trip(cls, solver, trip, early_stopping, tmp_path):
    estimator = small(cls, solver=solver, warm_start=True, early_stopping=early_stopping)
    other = trip(estimator.fit(X, Y), tmp_path)
    assert same_model(estimator.fit(X, Y), other.fit(X, Y))
    assert estimator.validation_scores_ == other.validation_scores_


STREAMABLE = [name for name in SCHEDULE_NAMES if name in ("constant", "invscaling", "adaptive")] + [
    schedules.StepDecay(step_size=2),
    schedules.ExponentialDecay(gamma=0.8),
    schedules.Warmup(n_epochs=2, after=schedules.StepDecay(step_size=1, gamma=0.5)),
]


@TRIPS
@pytest.mark.parametrize("schedule", STREAMABLE, ids=str)
def test_a_schedule_under_way_goes_on_after_a_round_trip(schedule, trip, tmp_path):
    estimator = small(MLPRegressor, learning_rate=schedule, solver="sgd", batch_size=50)
    estimator.partial_fit(X, Y).partial_fit(X, Y).partial_fit(X, Y)
    other = trip(estimator, tmp_path)
    assert same_model(estimator.partial_fit(X, Y), other.partial_fit(X, Y))
    assert other.history_["learning_rate"] == estimator.history_["learning_rate"]


@TRIPS
def test_a_seeded_generator_travels_with_the_model(trip, tmp_path):
    estimator = small(MLPRegressor, random_state=np.random.RandomState(3), batch_size=10)
    estimator.partial_fit(X, Y)
    other = trip(estimator, tmp_path)
    assert same_model(estimator.partial_fit(X, Y), other.partial_fit(X, Y))


LABELS = {
    "two": Y == 1,
    "numbers": Y * 10 - 5,
    "strings": np.array(["setosa", "versicolor", "virginica"])[Y],
    "objects": np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y],
    "indicators": np.column_stack([Y == 0, Y != 1]).astype(int),
}


@TRIPS
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_of_every_type(labels, trip, tmp_path):
    estimator = small(MLPClassifier).partial_fit(X, labels, classes=np.unique(labels))
    other = trip(estimator, tmp_path)
    assert other.classes_.dtype == estimator.classes_.dtype
    predicted = other.predict(X)
    np.testing.assert_array_equal(predicted, estimator.predict(X))
    assert predicted.dtype == estimator.predict(X).dtype
    np.testing.assert_array_equal(other.predict_proba(X), estimator.predict_proba(X))
    assert same_model(estimator.partial_fit(X, labels), other.partial_fit(X, labels))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_skops_keeps_every_activation(activation, dtype):
    estimator = small(
        MLPRegressor,
        hidden_layer_sizes=(4, 3),
        activation=[activation, ("leaky_relu", 0.2)],
        dtype=dtype,
        max_iter=2,
    ).fit(X, Y)
    np.testing.assert_array_equal(through_skops(estimator, None).predict(X), estimator.predict(X))


@pytest.mark.parametrize("loss", [name for name, row in LOSSES.items() if not row[2]])
def test_skops_keeps_every_loss(loss):
    estimator = small(MLPRegressor, loss=loss, quantile=0.9, huber_delta=0.3).partial_fit(X, Y)
    other = through_skops(estimator, None)
    assert other.evaluate(X, Y) == estimator.evaluate(X, Y)
    assert same_model(estimator.partial_fit(X, Y), other.partial_fit(X, Y))


@pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_copy_of_a_fitted_model_learns_on_as_the_original_does(solver, copier):
    estimator = small(MLPRegressor, solver=solver).fit(X, Y)
    twin, other = small(MLPRegressor, solver=solver).fit(X, Y), copier(estimator)
    assert same_model(twin.partial_fit(X, Y), other.partial_fit(X, Y))


def test_a_shallow_copy_is_not_overwritten_by_assigning_the_weights():
    estimator = small(MLPRegressor).fit(X, Y)
    before, predicted = parameters(estimator).copy(), estimator.predict(X)
    other = copy.copy(estimator)
    other.coefs_ = [np.zeros_like(W) for W in estimator.coefs_]
    np.testing.assert_array_equal(parameters(estimator), before)
    np.testing.assert_array_equal(estimator.predict(X), predicted)
    other.intercepts_ = [np.ones_like(b) for b in estimator.intercepts_]
    np.testing.assert_array_equal(parameters(estimator), before)
    np.testing.assert_array_equal(other.predict(X), np.ones(len(X)))
    # The other way round, and by fitting.
    other = copy.copy(estimator)
    estimator.coefs_ = [2 * W for W in estimator.coefs_]
    np.testing.assert_array_equal(parameters(other), before)
    other.set_params(max_iter=2).fit(X, 3 * Y)
    np.testing.assert_array_equal(estimator.coefs_[0].ravel(), 2 * before[: 4 * 8])


def test_cloudpickle_takes_functions_with_it():
    estimator = small(MLPRegressor, learning_rate=lambda step, total: 1 / (1 + step), max_iter=3)
    estimator.fit(X, Y)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(estimator)
    other = cloudpickle.loads(cloudpickle.dumps(estimator))
    assert same_model(other, estimator)
    assert same_model(other.fit(X, Y), estimator)


def test_cloudpickle_takes_a_class_with_it():
    class Doubled(MLPRegressor):
        def predict(self, X):
            return 2 * super().predict(X)

    estimator = small(Doubled).fit(X, Y)
    other = cloudpickle.loads(cloudpickle.dumps(estimator))
    np.testing.assert_array_equal(other.predict(X), estimator.predict(X))


# ---- what a pickle holds ----


def size_of_joblib_file(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    return buffer.tell()


# The size of a file, and what it may have beside numbers.
SIZES = {
    "pickle": (lambda estimator: len(pickle.dumps(estimator)), 5_000),
    "cloudpickle": (lambda estimator: len(cloudpickle.dumps(estimator)), 5_000),
    "joblib": (size_of_joblib_file, 5_000),
    "skops": (lambda estimator: len(skops.io.dumps(estimator)), 80_000),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("size", "rest"), SIZES.values(), ids=SIZES)
def test_files_hold_the_parameters_once(size, rest, dtype):
    rng = np.random.RandomState(0)
    rows, targets = rng.normal(size=(30, 100)), rng.normal(size=30)
    fixed = {"hidden_layer_sizes": (300, 200), "max_iter": 3, "dtype": dtype}
    n_bytes = (100 * 300 + 300 * 200 + 200 + 300 + 200 + 1) * np.dtype(dtype).itemsize
    for solver in ["lbfgs", *SOLVERS]:
        for early_stopping in [False, True]:
            estimator = MLPRegressor(solver=solver, early_stopping=early_stopping, **fixed)
            estimator.fit(rows, targets).predict(rows[:1])
            assert n_bytes <= size(estimator) < n_bytes + rest
    for solver, settings in SOLVERS.items():
        estimator = MLPRegressor(solver=solver, **fixed).partial_fit(rows, targets)
        n_held = 1 + settings.n_moments
        assert n_held * n_bytes <= size(estimator) < n_held * n_bytes + rest
        # Another fit ends the stream, and its state is not kept.
        estimator.fit(rows, targets)
        assert size(estimator) < n_bytes + rest


@BOTH
def test_pickles_hold_nothing_of_the_data(cls):
    rows = np.random.RandomState(0).normal(size=(20_000, 5))
    target = rows[:, 0] > 0 if cls is MLPClassifier else rows[:, 0]
    estimator = small(cls, max_iter=2, early_stopping=True, metrics=["gradient_norm"])
    estimator.fit(rows, target, X_val=rows, y_val=target)
    assert len(pickle.dumps(estimator)) < 5000
    estimator = small(cls).partial_fit(rows, target, **({"classes": [0, 1]} if more(cls) else {}))
    assert len(pickle.dumps(estimator)) < 6000


def test_pickles_of_networks_hold_the_parameters_once():
    network = Network.from_sizes([100, 300, 3], random_state=0)
    network.forward(np.ones((1, 100), np.float32))
    assert network.params.nbytes <= len(pickle.dumps(network)) < 1.01 * network.params.nbytes
    other = pickle.loads(pickle.dumps(network))
    assert (other.dtype, other.sizes, other.activations) == (
        network.dtype,
        network.sizes,
        network.activations,
    )


# ---- what the documentation says each way preserves ----


def unpacked(content):
    """What is in the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return b"".join(map(archive.read, archive.namelist()))


@pytest.mark.parametrize(
    ("row", "text"), [("names of features", "petal_width"), ("classes", "virginica")]
)
def test_the_table_of_what_is_preserved_is_true(row, text, tmp_path):
    frame = pd.DataFrame(X, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
    model = small(MLPClassifier).fit(frame, LABELS["objects"])
    model.export_weights(tmp_path / "weights.npz")
    files = {
        "JSON": model.to_json().encode(),
        "npz": unpacked((tmp_path / "weights.npz").read_bytes()),
        "pickle, joblib": pickle.dumps(model),
        "skops": unpacked(skops.io.dumps(model)),
        "ONNX": model.to_onnx().SerializeToString(),
        "C": model.to_c().encode(),
    }
    # NumPy's strings have four bytes for a letter.
    wide = text.encode("utf-32-le")
    kept = {way: text.encode() in content or wide in content for way, content in files.items()}
    table = PAGE.split("What is preserved:")[1]
    ways, said = (
        re.search(rf"^\| *{name} \| (.*) \|$", table, re.MULTILINE)[1].split(" | ")
        for name in ("", row)
    )
    assert kept == {way: what.startswith("yes") for way, what in zip(ways, said, strict=True)}


# ---- memory maps ----


def test_a_memory_map_is_shared_until_something_is_learned(tmp_path):
    joblib.dump(small(MLPRegressor, hidden_layer_sizes=100).fit(X, Y), tmp_path / "model")
    model = joblib.load(tmp_path / "model", mmap_mode="r")
    assert isinstance(model.coefs_[0], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        model.coefs_[0][:] = 0
    before = parameters(model).copy()
    model.partial_fit(X, Y)
    assert not np.array_equal(parameters(model), before)
    np.testing.assert_array_equal(parameters(joblib.load(tmp_path / "model", mmap_mode="r")), before)


def test_weights_are_put_into_a_memory_map_as_a_copy(tmp_path):
    joblib.dump(small(MLPRegressor).fit(X, Y), tmp_path / "model")
    other = small(MLPRegressor, random_state=1).fit(X, Y)
    other.export_weights(tmp_path / "weights.npz")
    model = joblib.load(tmp_path / "model", mmap_mode="r").load_weights(tmp_path / "weights.npz")
    np.testing.assert_array_equal(parameters(model), parameters(other))
    assert same_model(model.fit(X, Y), small(MLPRegressor).fit(X, Y))


# ---- skops ----


def untrusted(model):
    return skops.io.get_untrusted_types(data=skops.io.dumps(model))


@pytest.mark.filterwarnings("ignore:learning_rate=:UserWarning")
@BOTH
def test_skops_asks_for_this_package_alone(cls):
    assert all(name.startswith("sklearn_mlp.") for name in TRUSTED)
    asked = set(untrusted(small(cls, metrics=["gradient_norm"], early_stopping=True).fit(X, Y)))
    for solver in SOLVERS:
        for schedule in STREAMABLE:
            model = small(cls, solver=solver, learning_rate=schedule).partial_fit(X, Y, **more(cls))
            asked |= set(untrusted(model))
    for name in set(SCHEDULE_NAMES) - set(STREAMABLE):
        asked |= set(untrusted(small(cls, learning_rate=name, max_iter=2).fit(X, Y)))
        if name in schedules.NAMED_SCHEDULES:
            schedule = schedules.NAMED_SCHEDULES[name]()
            asked |= set(untrusted(small(cls, learning_rate=schedule, max_iter=2).fit(X, Y)))
    other = MLPRegressor if cls is MLPClassifier else MLPClassifier
    needed = set(TRUSTED) - {f"{other.__module__}.{other.__name__}"}
    assert asked == needed


def test_skops_refuses_a_model_that_is_not_trusted():
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException, match="sklearn_mlp"):
        skops.io.loads(skops.io.dumps(small(MLPRegressor).fit(X, Y)))


def test_a_pipeline_in_skops():
    colours = np.array(["red", "green", "blue"])[Y].reshape(-1, 1)
    rows = np.hstack([X.astype(object), colours])
    columns = make_column_transformer((StandardScaler(), [0, 1]), (OneHotEncoder(), [4]))
    pipeline = make_pipeline(columns, small(MLPClassifier)).fit(rows, Y)
    other = through_skops(pipeline, None)
    np.testing.assert_array_equal(other.predict_proba(rows), pipeline.predict_proba(rows))
    assert same_model(other[-1], pipeline[-1])


def test_a_search_in_skops_asks_for_no_more_than_around_another_estimator():
    search = GridSearchCV(small(MLPRegressor), {"alpha": [0.1, 1.0]}, cv=3).fit(X, Y)
    of_scikit_learn = untrusted(GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, Y))
    assert set(untrusted(search)) - set(of_scikit_learn) <= set(TRUSTED)
    other = skops.io.loads(skops.io.dumps(search), trusted=TRUSTED + of_scikit_learn)
    np.testing.assert_array_equal(other.predict(X), search.predict(X))


def test_an_estimator_that_is_not_fitted_in_skops():
    estimator = small(MLPClassifier, learning_rate=schedules.OneCycle(), class_weight={0: 2.0, 2: 0.5})
    other = through_skops(estimator, None)
    assert str(other) == str(estimator)
    assert same_model(clone(other).fit(X, Y), estimator.fit(X, Y))


def with_arrays(content, n_dimensions, change):
    """A skops file in which `change` has been made to the arrays of so many dimensions."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(".npy"):
                values, buffer = np.load(io.BytesIO(data)), io.BytesIO()
                np.save(buffer, change(values) if values.ndim == n_dimensions else values)
                data = buffer.getvalue()
            target.writestr(name, data)
    return out.getvalue()


CHANGES = {
    "shorter": lambda values: values[..., :-1],
    "longer": lambda values: np.concatenate([values, values], axis=-1),
    "with more rows": lambda values: np.concatenate([values, values], axis=0),
    "empty": lambda values: values[:0],
    "of integers": lambda values: values.astype(int),
    "of half precision": lambda values: values.astype(np.float16),
    "of single precision": lambda values: values.astype(np.float32),
    "of the other byte order": lambda values: values.astype(values.dtype.newbyteorder()),
    "in another order": lambda values: np.asfortranarray(values.reshape(-1, 1).repeat(2, axis=1)),
    "of another dimension": lambda values: values[np.newaxis],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("of", ["parameters", "moments"])
def test_a_file_with_other_arrays_is_refused(of, change):
    content = skops.io.dumps(small(MLPRegressor, dtype="float64").partial_fit(X, Y))
    content = with_arrays(content, {"parameters": 1, "moments": 2}[of], change)
    with pytest.raises((ValueError, TypeError)):
        skops.io.loads(content, trusted=TRUSTED).partial_fit(X, Y)


@pytest.mark.parametrize(
    "sizes", [(4, 9, 1), (4, 1), (4, -8, 1), (4, 10**9, 10**9, 1), (4, *[2**31 - 1] * 5, 1)], ids=str
)
def test_a_file_with_other_sizes_is_refused(sizes):
    model = small(MLPRegressor).fit(X, Y)
    model._network.sizes = sizes
    model._network.activations = [("relu", 0.0)] * (len(sizes) - 1)
    content = skops.io.dumps(model)
    with pytest.raises(ValueError, match="layers of sizes"):
        skops.io.loads(content, trusted=TRUSTED)
