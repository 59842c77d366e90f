"""The estimators among the tools they are used with: searches, pickles, frames, threads."""

import copy
import itertools
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor

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


# ---- pipelines, searches, validation ----


@BOTH
def test_pipeline(cls):
    raw, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), small(cls)).fit(raw, y)
    scaled = StandardScaler().fit_transform(raw)
    alone = small(cls).fit(scaled, y)
    assert same_model(pipeline[-1], alone)
    np.testing.assert_array_equal(pipeline.predict(raw), alone.predict(scaled))
    assert pipeline.score(raw, y) == alone.score(scaled, y)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@BOTH
def test_grid_search_in_parallel(cls, backend):
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", small(cls, solver="sgd"))])
    grid = {"mlp__hidden_layer_sizes": [(4,), (4, 3)], "mlp__alpha": [1e-4, 1.0]}
    with joblib.parallel_backend(backend):
        search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, Y)
    alone = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
    for name in ["mean_test_score", "rank_test_score"]:
        np.testing.assert_array_equal(search.cv_results_[name], alone.cv_results_[name])
    assert len(set(search.cv_results_["mean_test_score"])) > 1
    assert same_model(search.best_estimator_[-1], alone.best_estimator_[-1])


def test_cross_val_predict():
    estimator = small(MLPClassifier, max_iter=100)
    probabilities = cross_val_predict(estimator, X, Y, cv=3, method="predict_proba", n_jobs=2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities.argmax(axis=1) == Y).mean() > 0.85
    scores = cross_val_predict(estimator, X, Y, cv=3, method="decision_function")
    np.testing.assert_array_equal(scores.argmax(axis=1), probabilities.argmax(axis=1))
    predicted = cross_val_predict(small(MLPRegressor, max_iter=100), X, Y, cv=3)
    assert predicted.shape == Y.shape


def test_scorers_find_what_they_need():
    two = Y < 2
    estimator = small(MLPClassifier, max_iter=100).fit(X[two], Y[two])
    assert get_scorer("roc_auc")(estimator, X[two], Y[two]) == 1.0
    assert get_scorer("neg_log_loss")(estimator, X[two], Y[two]) > -0.2
    assert cross_val_score(estimator, X[two], Y[two], scoring="average_precision").min() > 0.99


@BOTH
def test_clone(cls):
    estimator = small(cls, dtype="float32", alpha=0.5).fit(X, Y)
    other = clone(estimator)
    assert not hasattr(other, "coefs_")
    assert other.get_params() == estimator.get_params()
    assert same_model(other.fit(X, Y), estimator)


# ---- metadata routing ----


@pytest.mark.parametrize("wrap", ["pipeline", "search"])
def test_sample_weight_is_routed(wrap):
    weight = np.random.RandomState(0).uniform(0.1, 3.0, len(X))
    estimator = small(MLPClassifier, solver="lbfgs", max_iter=5)
    expected = clone(estimator).fit(X, Y, sample_weight=weight)
    unweighted = clone(estimator).fit(X, Y)
    assert not np.array_equal(parameters(unweighted), parameters(expected))
    with sklearn.config_context(enable_metadata_routing=True):
        routed = clone(estimator).set_fit_request(sample_weight=True)
        routed.set_score_request(sample_weight=True)
        if wrap == "pipeline":
            meta = make_pipeline(StandardScaler(with_mean=False, with_std=False), routed)
            meta[0].set_fit_request(sample_weight=False)
            fitted = meta.fit(X, Y, sample_weight=weight)[-1]
        else:
            meta = GridSearchCV(routed, {"alpha": [estimator.alpha]}, cv=3)
            fitted = meta.fit(X, Y, sample_weight=weight).best_estimator_
            plain = GridSearchCV(clone(estimator), {"alpha": [estimator.alpha]}, cv=3).fit(X, Y)
            assert plain.best_score_ != meta.best_score_
        np.testing.assert_array_equal(parameters(fitted), parameters(expected))
        weighted_score = meta.score(X, Y, sample_weight=weight)
    assert weighted_score == expected.score(X, Y, sample_weight=weight)


def test_sample_weight_that_nobody_asked_for_is_refused():
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match="sample_weight"),
    ):
        make_pipeline(StandardScaler(), small(MLPClassifier)).fit(X, Y, sample_weight=np.ones(len(X)))


# ---- copies and pickles ----


def round_trips():
    def through_joblib(estimator, directory):
        joblib.dump(estimator, directory / "model.joblib")
        return joblib.load(directory / "model.joblib")

    return {
        "pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator)),
        "oldest pickle": lambda estimator, _: pickle.loads(pickle.dumps(estimator, protocol=2)),
        "joblib": through_joblib,
        "deepcopy": lambda estimator, _: copy.deepcopy(estimator),
    }


TRIPS = pytest.mark.parametrize("trip", round_trips().values(), ids=round_trips())


@TRIPS
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@BOTH
def test_round_trip_after_fit(cls, solver, trip, tmp_path):
    estimator = small(cls, solver=solver).fit(X, Y)
    other = trip(estimator, tmp_path)
    assert other is not estimator
    assert same_model(other, estimator)
    np.testing.assert_array_equal(other.predict(X), estimator.predict(X))
    assert other.get_params() == estimator.get_params()
    assert (other.n_iter_, other.t_) == (estimator.n_iter_, estimator.t_)
    # Nothing is shared: training the one does not move the other.
    before = parameters(estimator).copy()
    other.set_params(random_state=1).fit(X[:50], Y[:50])
    other.coefs_[0][:] = 7.0
    np.testing.assert_array_equal(parameters(estimator), before)


@TRIPS
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@BOTH
def test_partial_fit_goes_on_after_a_round_trip(cls, solver, trip, tmp_path):
    estimator = small(cls, solver=solver, batch_size=10)
    more = {"classes": [0, 1, 2]} if cls is MLPClassifier else {}
    estimator.partial_fit(X[:50], Y[:50], **more).partial_fit(X[50:], Y[50:])
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


def test_pickles_hold_the_parameters_once():
    rng = np.random.RandomState(0)
    rows, targets = rng.normal(size=(30, 100)), rng.normal(size=30)
    for solver, moments in [("adam", 2), ("sgd", 1), ("lbfgs", None)]:
        for early_stopping in [False, True]:
            estimator = MLPRegressor(
                hidden_layer_sizes=(300, 200),
                solver=solver,
                max_iter=3,
                early_stopping=early_stopping,
            ).fit(rows, targets)
            n_bytes = parameters(estimator).nbytes
            assert n_bytes > 700_000
            assert n_bytes <= len(pickle.dumps(estimator)) < 1.05 * n_bytes
        if moments is None:
            continue
        estimator = MLPRegressor(hidden_layer_sizes=(300, 200), solver=solver).partial_fit(
            rows, targets
        )
        size = len(pickle.dumps(estimator))
        assert (1 + moments) * n_bytes <= size < (1.05 + moments) * n_bytes
        # Another fit ends the stream, and its state is not kept.
        estimator.set_params(max_iter=3).fit(rows, targets)
        assert len(pickle.dumps(estimator)) < 1.05 * n_bytes


# ---- data frames ----


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("early_stopping", [False, True])
@BOTH
def test_data_frames(cls, library, early_stopping):
    frames = pytest.importorskip(library)
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate(names)})
    if not hasattr(StandardScaler().fit(frame), "feature_names_in_"):
        pytest.skip(f"this scikit-learn does not read the names of this {library}")
    target = frames.Series(Y)
    estimator = small(cls, early_stopping=early_stopping).fit(frame, target)
    assert list(estimator.feature_names_in_) == names
    plain = small(cls, early_stopping=early_stopping).fit(X, Y)
    assert not hasattr(plain, "feature_names_in_")
    assert same_model(estimator, plain)
    np.testing.assert_array_equal(estimator.predict(frame), plain.predict(X))
    if not early_stopping:
        estimator.partial_fit(frame, target)
    wrong = frames.DataFrame({name: X[:, i] for i, name in enumerate(reversed(names))})
    for method in [estimator.predict, lambda f: estimator.score(f, target)]:
        with pytest.raises(ValueError, match="feature names"):
            method(wrong)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)
    with pytest.warns(UserWarning, match="without feature names"):
        plain.predict(frame)


def test_string_labels_in_a_frame():
    pandas = pytest.importorskip("pandas")
    names = np.array(["setosa", "versicolor", "virginica"])
    target = pandas.Series(names[Y], dtype="category")
    estimator = small(MLPClassifier, early_stopping=True, max_iter=60).fit(X, target)
    assert list(estimator.classes_) == list(names)
    assert set(estimator.predict(X)) <= set(names)
    assert estimator.best_validation_score_ > 0.5


# ---- threads ----


@BOTH
def test_fits_in_several_threads_give_the_bits_of_fits_in_turn(cls):
    data, target = make_regression(400, 30, random_state=0)
    target = target > 0 if cls is MLPClassifier else target / target.std()

    def train(seed):
        estimator = cls(hidden_layer_sizes=(64, 32), max_iter=8, random_state=seed)
        estimator.fit(data, target)
        return np.concatenate([parameters(estimator), estimator.predict(data).astype(float)])

    alone = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, range(8)))
    for expected, actual in zip(alone, together, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_one_model_predicts_in_several_threads():
    data, target = make_regression(3000, 30, random_state=0)
    estimator = MLPRegressor(hidden_layer_sizes=(64, 32), max_iter=2, random_state=0).fit(data, target)
    expected = [estimator.predict(data[start:]) for start in range(0, 800, 50)]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda start: estimator.predict(data[start:]), range(0, 800, 50)))
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def no_forced_switches():
    """A thread keeps the interpreter lock until it gives it up by itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


def ticks_during(function):
    """How often this thread gets to run while another one is inside of `function`."""
    ticks = 0
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function)
        while not future.done():
            ticks += 1
            time.sleep(0)  # gives the lock up, so that the other thread goes on
    future.result()
    return ticks


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no interpreter lock"
)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_training_releases_the_interpreter_lock(solver, no_forced_switches):
    """No thread is made to give up the lock here, so others run only where it is released."""
    # A function that holds it throughout, to show that the count tells the two apart.
    held = ticks_during(lambda: sum(itertools.repeat(1, 20_000_000)))
    assert held < 50
    # Long enough for a thread on a busy machine to get its turn, few enough epochs for the Python
    # between them not to matter.
    data = np.random.RandomState(0).normal(size=(60_000, 64))
    target = data[:, 0]
    estimator = MLPRegressor(hidden_layer_sizes=(128, 128), solver=solver, max_iter=2, random_state=0)
    assert ticks_during(lambda: estimator.fit(data, target)) > 100


def test_prediction_releases_the_interpreter_lock(no_forced_switches):
    data = np.random.RandomState(0).normal(size=(60_000, 64))
    estimator = MLPRegressor(hidden_layer_sizes=(256, 256), max_iter=1, random_state=0).fit(
        data[:99], data[:99, 0]
    )
    assert ticks_during(lambda: estimator.predict(data)) > 100
