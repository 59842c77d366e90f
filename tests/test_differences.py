"""The differences from scikit-learn, on purpose: a test per row of doc/differences.md.

Where it is cheap, the test also shows that scikit-learn does something else, so that a row that
no longer differs fails here.
"""

import _thread
import contextlib
import io
import pickle
import re
import signal
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import sklearn_mlp as ours

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LIBRARIES = pytest.mark.parametrize("library", [ours, theirs], ids=["ours", "theirs"])
NAMES = pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)


def parameters(estimator):
    return np.concatenate([w.ravel() for w in [*estimator.coefs_, *estimator.intercepts_]])


def messages(call):
    """The UserWarnings that a call emits, ConvergenceWarnings (which are others) left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught if w.category is UserWarning]


def test_every_row_is_documented():
    page = Path(__file__).parents[1] / "doc" / "differences.md"
    rows = re.findall(r"^\|\s*\[?(\d+)\b", page.read_text("utf-8"), flags=re.MULTILINE)
    assert [int(row) for row in rows] == list(range(1, 14))


def test_every_row_has_a_test():
    rows = {int(name[9:11]) for name in globals() if re.match(r"test_row_\d\d_", name)}
    assert rows == set(range(1, 14))


# ---- 1: sample weights ----


def linear(library, **params):
    """Linear regression by plain gradient descent in the given order, from seed 0."""
    return library.MLPRegressor(
        **{"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0, "alpha": 0}
        | {"learning_rate_init": 0.01, "shuffle": False, "batch_size": 50, "max_iter": 1}
        | {"random_state": 0, **params}
    )


def test_row_01_fit_divides_by_rows_and_mean_weight():
    y = X @ [1.0, -2.0, 0.5, 0.0]
    weight = np.repeat([1.0, 5.0, 0.0], 50)  # equal within each batch
    W, b = parameters(linear(ours, learning_rate_init=1e-300).fit(X, y))[:4], 0.0
    b = parameters(linear(ours, learning_rate_init=1e-300).fit(X, y))[4]
    for start in range(0, 150, 50):
        rows = slice(start, start + 50)
        delta = (X[rows] @ W + b - y[rows]) * weight[rows] / weight.mean() / 50
        W, b = W - 0.01 * X[rows].T @ delta, b - 0.01 * delta.sum()
    model = linear(ours).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(parameters(model), [*W, b], rtol=1e-10)
    # Scaling all weights changes nothing.
    scaled = linear(ours).fit(X, y, sample_weight=8 * weight)
    np.testing.assert_allclose(parameters(scaled), parameters(model), rtol=1e-12)


def test_row_01_scikit_learn_loses_weights_that_are_equal_within_a_batch():
    y = X @ [1.0, -2.0, 0.5, 0.0]
    weight = np.repeat([1.0, 5.0, 2.0], 50)
    for library, lost in [(theirs, True), (ours, False)]:
        plain = parameters(linear(library).fit(X, y))
        weighted = parameters(linear(library).fit(X, y, sample_weight=weight))
        assert np.allclose(plain, weighted, rtol=1e-6) is lost


def test_row_01_a_batch_without_weight():
    y = X @ [1.0, -2.0, 0.5, 0.0]
    weight = np.repeat([1.0, 0.0, 1.0], 50)
    with pytest.raises(ZeroDivisionError):
        linear(theirs).fit(X, y, sample_weight=weight)
    model = linear(ours).fit(X, y, sample_weight=weight)
    assert np.isfinite(model.loss_curve_).all()


def test_row_01_partial_fit_divides_by_rows():
    y = X @ [1.0, -2.0, 0.5, 0.0]
    start = parameters(linear(ours, learning_rate_init=1e-300).fit(X, y))
    for library, factor in [(ours, 100.0), (theirs, 1.0)]:
        steps = []
        for weight in [1.0, 100.0]:
            model = linear(library, batch_size=150, learning_rate_init=1e-4)
            model.partial_fit(X, y, sample_weight=np.full(150, weight))
            steps.append(parameters(model) - start)
        np.testing.assert_allclose(steps[1], factor * steps[0], rtol=1e-6)


# ---- 2: stratified early stopping ----


def blind_scores(library, y, **params):
    """Validation scores of networks that see nothing, so that they answer one class: its share."""
    for seed in range(10):
        model = library.MLPClassifier(
            early_stopping=True, max_iter=1, random_state=seed, hidden_layer_sizes=3, **params
        )
        yield from model.fit(np.zeros((len(y), 2)), y).validation_scores_


def test_row_02_several_classes_are_stratified():
    y = np.arange(90) % 3
    labels = np.array(["a", "b", "c"])[y]  # which scikit-learn 1.7 cannot score
    assert set(blind_scores(ours, labels, validation_fraction=1 / 3)) == {10 / 30}
    assert len(set(blind_scores(theirs, y, validation_fraction=1 / 3))) > 1


@pytest.mark.parametrize(
    ("y", "fraction"),
    [
        (np.repeat([0, 1, 2], [40, 40, 1]), 0.2),  # a class with a single row
        (np.arange(40) % 5, 0.05),  # 2 validation rows for 5 classes
        (np.arange(40) % 5, 0.95),  # 2 training rows for 5 classes
    ],
    ids=["a single row", "few validation rows", "few training rows"],
)
def test_row_02_split_plainly_with_a_warning_where_counts_do_not_allow(y, fraction):
    model = ours.MLPClassifier(early_stopping=True, validation_fraction=fraction, random_state=0)
    rows = np.random.RandomState(0).normal(size=(len(y), 2))
    (message,) = messages(lambda: model.set_params(max_iter=2).fit(rows, y))
    assert "stratif" in message
    assert len(model.validation_scores_) == 2
    # The plain split is scikit-learn's.
    other = theirs.MLPClassifier(early_stopping=True, validation_fraction=fraction, random_state=0)
    other.set_params(max_iter=2).fit(rows, y)
    np.testing.assert_allclose(parameters(model), parameters(other), rtol=1e-6, atol=1e-9)


def test_row_02_no_warning_where_counts_allow():
    model = ours.MLPClassifier(early_stopping=True, max_iter=2)
    assert messages(lambda: model.fit(X, Y)) == []


def test_row_02_binary_targets_must_allow_it_as_in_scikit_learn():
    y = np.repeat([0, 1], [30, 1])
    for library in [ours, theirs]:
        with pytest.raises(ValueError, match="least populated class"):
            library.MLPClassifier(early_stopping=True).fit(X[:31], y)


# ---- 3: multi-output squared error with L-BFGS ----


def ridge(rows, targets, alpha):
    """Minimise the sum of squares plus alpha times the squared weights, intercept left free."""
    centred = rows - rows.mean(axis=0)
    normal = centred.T @ centred + alpha * np.eye(rows.shape[1])
    W = np.linalg.solve(normal, centred.T @ (targets - targets.mean(axis=0)))
    return W, targets.mean(axis=0) - rows.mean(axis=0) @ W


def test_row_03_lbfgs_reaches_the_minimum_of_its_objective():
    rng = np.random.RandomState(0)
    targets = X @ rng.normal(size=(4, 5)) * [0.1, 1.0, 10.0, 50.0, 100.0] + rng.normal(size=(150, 5))
    alpha = 30.0
    W, b = ridge(X, targets, alpha)
    errors = X @ W + b - targets
    objective = 0.5 * (np.sum(errors**2) + alpha * np.sum(W**2)) / len(X)
    distance = {}
    for library in [ours, theirs]:
        model = library.MLPRegressor(
            hidden_layer_sizes=(), solver="lbfgs", alpha=alpha, tol=1e-8, random_state=0
        ).fit(X, targets)
        distance[library] = np.abs(model.coefs_[0] - W).max() / np.abs(W).max()
        if library is ours:
            assert model.loss_ == pytest.approx(objective, rel=1e-8)
            np.testing.assert_allclose(model.intercepts_[0], b, rtol=1e-4, atol=1e-4)
    assert distance[ours] < 1e-5
    assert distance[theirs] > 1e-3


def test_row_03_stochastic_solvers_report_the_mean_over_outputs():
    targets = np.column_stack([X[:, 0], X[:, 1], 3 * X[:, 2]])
    params = {"solver": "sgd", "max_iter": 3, "hidden_layer_sizes": 4, "random_state": 0}
    expected = theirs.MLPRegressor(**params).fit(X, targets)
    np.testing.assert_allclose(
        ours.MLPRegressor(**params).fit(X, targets).loss_curve_, expected.loss_curve_, rtol=1e-9
    )


# ---- 4: schedules act on Adam ----


def adam(library, **params):
    return library.MLPRegressor(
        **{"hidden_layer_sizes": 5, "batch_size": 150, "shuffle": False, "random_state": 0}
        | {"max_iter": 2, "tol": 0, **params}
    )


@pytest.mark.filterwarnings("ignore:learning_rate=.* acts on solver='adam':UserWarning")
def test_row_04_invscaling_acts_on_adam():
    """After an epoch of n rows the rate is init / (n + 1) ** power_t; the step scales with it."""
    start = parameters(adam(ours, max_iter=1).fit(X, Y))
    constant = parameters(adam(ours).fit(X, Y))
    invscaling = {"learning_rate": "invscaling", "power_t": 0.3}
    scaled = parameters(adam(ours, **invscaling).fit(X, Y))
    np.testing.assert_allclose(
        scaled - start, (constant - start) / (150 + 1) ** 0.3, rtol=1e-8, atol=1e-15
    )
    ignored = parameters(adam(theirs, **invscaling).fit(X, Y))
    np.testing.assert_allclose(ignored, constant, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:learning_rate=.* acts on solver='adam':UserWarning")
def test_row_04_adaptive_acts_on_adam():
    """No epoch improves by tol: constant stops, adaptive divides the rate by 5 and goes on."""
    params = {"tol": 1e3, "n_iter_no_change": 2, "max_iter": 200}
    assert adam(ours, **params).fit(X, Y).n_iter_ == 4
    assert adam(theirs, learning_rate="adaptive", **params).fit(X, Y).n_iter_ == 4
    model = adam(ours, learning_rate="adaptive", **params).fit(X, Y)
    # 1e-3 is at most 1e-6 after 5 divisions; the first plateau takes 4 epochs, others 3.
    assert model.n_iter_ == 4 + 5 * 3
    # With plateaus at the 4th, 7th, ... epoch, the 5th step is a fifth of what it would be.
    fourth, fifth, constant = (
        parameters(adam(ours, **{**params, "max_iter": n, **more}).fit(X, Y))
        for n, more in [
            (4, {"learning_rate": "adaptive"}),
            (5, {"learning_rate": "adaptive"}),
            (5, {"n_iter_no_change": np.inf}),
        ]
    )
    np.testing.assert_allclose(fifth - fourth, (constant - fourth) / 5, rtol=1e-8, atol=1e-15)


@NAMES
@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_row_04_warns_once_per_fit(name, schedule):
    model = getattr(ours, name)(learning_rate=schedule, max_iter=3, solver="adam")
    for _ in range(2):
        said = messages(lambda: model.fit(X, Y))
        assert len(said) == (schedule != "constant")
        assert all(schedule in message and "scikit-learn" in message for message in said)
    assert messages(lambda: model.set_params(solver="sgd").fit(X, Y)) == []
    assert messages(lambda: model.set_params(solver="lbfgs").fit(X, Y)) == []


# ---- 5: L-BFGS validates and records ----


@NAMES
def test_row_05_lbfgs_has_a_loss_curve(name):
    params = {"solver": "lbfgs", "hidden_layer_sizes": 5, "max_iter": 20, "random_state": 0}
    model = getattr(ours, name)(**params).fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_ > 1
    assert model.loss_curve_[-1] == model.loss_ == model.best_loss_
    assert np.all(np.diff(model.loss_curve_) <= 0)
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert not hasattr(getattr(theirs, name)(**params).fit(X, Y), "loss_curve_")


@NAMES
def test_row_05_lbfgs_stops_early_and_restores_the_best(name):
    rng = np.random.RandomState(0)
    rows = rng.normal(size=(80, 10))
    y = rows[:, 0] + 2 * rng.normal(size=80)  # little to learn, much to overfit
    y = y > 0 if name == "MLPClassifier" else y
    params = {"solver": "lbfgs", "hidden_layer_sizes": 30, "early_stopping": True}
    params |= {"validation_fraction": 0.3, "n_iter_no_change": 5, "alpha": 0, "random_state": 1}
    model = getattr(ours, name)(**params).fit(rows, y)
    scores = model.validation_scores_
    assert len(scores) == len(model.loss_curve_) == model.n_iter_
    assert model.n_iter_ < getattr(theirs, name)(**params).fit(rows, y).n_iter_
    assert model.best_validation_score_ == max(scores)
    assert model.best_loss_ is None
    best = int(np.argmax(scores)) + 1
    assert best < model.n_iter_  # so that there is something to restore
    # The iterate of the best score is the last of a fit that is allowed no more iterations.
    again = getattr(ours, name)(**params, max_iter=best).fit(rows, y)
    np.testing.assert_array_equal(parameters(again), parameters(model))


# ---- 6: divergence ----

MESSAGE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and "
    "need to be preprocessed."
)


def diverging(library, **params):
    return library.MLPRegressor(
        **{"activation": "identity", "solver": "sgd", "max_iter": 40, "random_state": 0, **params}
    )


@pytest.mark.parametrize("warm", [False, True])
def test_row_06_without_a_snapshot_fit_raises_at_once(warm):
    model = diverging(ours, learning_rate_init=0.5, warm_start=warm)
    if warm:
        model.set_params(learning_rate_init=1e-3, max_iter=3).fit(X, Y)
        model.set_params(learning_rate_init=0.5, max_iter=40)
    before = {k: pickle.dumps(v) for k, v in vars(model).items()}
    with pytest.raises(ValueError, match=re.escape(MESSAGE)) as error:
        model.fit(X, Y)
    said = str(error.value)
    assert said.startswith(MESSAGE)
    epoch = int(re.search(r"epoch (\d+)", said[len(MESSAGE) :]).group(1))
    assert 1 <= epoch < 40
    assert "0.5" in said[len(MESSAGE) :]
    assert {k: pickle.dumps(v) for k, v in vars(model).items()} == before
    # An epoch earlier it was still finite, and an epoch is all that partial_fit does.
    if not warm and epoch > 1:
        finite = diverging(ours, learning_rate_init=0.5, max_iter=epoch - 1).fit(X, Y)
        assert np.isfinite(parameters(finite)).all()
        assert np.isfinite(finite.loss_curve_).all()


def test_row_06_partial_fit_raises():
    model = diverging(ours, learning_rate_init=1e8)
    with pytest.raises(ValueError, match=re.escape(MESSAGE)) as error:
        [model.partial_fit(X, Y) for _ in range(40)]
    assert "1e+08" in str(error.value)
    with pytest.raises(ValueError, match=re.escape(MESSAGE)):
        model.partial_fit(X, Y)  # what diverged is not rolled back, and not hidden either
    assert np.isfinite(parameters(model.set_params(learning_rate_init=1e-3).fit(X, Y))).all()


def test_row_06_with_a_finite_snapshot_it_is_restored():
    params = {"learning_rate_init": 0.15, "early_stopping": True, "n_iter_no_change": np.inf}
    model = diverging(ours, **params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, Y)
    (warning,) = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert "diverge" in str(warning.message).lower()
    assert model.n_iter_ < model.max_iter
    for record in [model.loss_curve_, model.validation_scores_]:
        assert len(record) == model.n_iter_ > 1
        assert np.isnan(record[-1])
    assert np.isfinite(model.loss_curve_[:-1]).all()
    assert model.best_validation_score_ == np.nanmax(model.validation_scores_)
    assert np.isfinite(parameters(model)).all()
    # What is restored is the network of the best epoch.
    best = int(np.nanargmax(model.validation_scores_)) + 1
    shorter = diverging(ours, **{**params, "max_iter": best}).fit(X, Y)
    np.testing.assert_array_equal(parameters(shorter), parameters(model))
    # scikit-learn goes on to the end.
    with np.errstate(all="ignore"):
        assert diverging(theirs, **params).fit(X, Y).n_iter_ == 40


# ---- 7: Ctrl-C ----


@pytest.fixture
def interrupts():
    """Ctrl-C raises KeyboardInterrupt, also where the tests run with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class InterruptAfter(io.StringIO):
    """Standard output that does something once, when it is told of the given epoch."""

    def __init__(self, epoch, action):
        super().__init__()
        self.line, self.action = f"Iteration {epoch},", action

    def write(self, text):
        if self.line in text:
            self.action()
        return super().write(text)


@NAMES
@pytest.mark.parametrize("early_stopping", [False, True])
def test_row_07_after_an_epoch_the_weights_are_kept(name, early_stopping, interrupts):
    params = {"early_stopping": early_stopping, "hidden_layer_sizes": 4, "random_state": 0}
    params |= {"n_iter_no_change": np.inf, "tol": 0}
    model = getattr(ours, name)(**params, max_iter=50, verbose=True)
    with (
        contextlib.redirect_stdout(InterruptAfter(8, _thread.interrupt_main)),
        pytest.warns(UserWarning, match="Training interrupted by user"),
    ):
        model.fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 8
    epochs = 8
    if early_stopping:
        assert model.best_validation_score_ == max(model.validation_scores_)
        epochs = int(np.argmax(model.validation_scores_)) + 1
    shorter = getattr(ours, name)(**params, max_iter=epochs).fit(X, Y)
    np.testing.assert_array_equal(parameters(shorter), parameters(model))


@NAMES
def test_row_07_within_an_epoch(name, interrupts):
    """As Ctrl-C mostly arrives: while a kernel runs, some time after the first epoch."""
    rows = np.random.RandomState(0).normal(size=(3000, 20))
    timer = threading.Timer(0.1, _thread.interrupt_main)
    model = getattr(ours, name)(verbose=True, max_iter=10**6, n_iter_no_change=np.inf, random_state=0)
    with (
        contextlib.redirect_stdout(InterruptAfter(2, timer.start)),
        pytest.warns(UserWarning, match="Training interrupted by user"),
    ):
        model.fit(rows, rows[:, 0] > 0)
    assert 2 <= model.n_iter_ < 10**6
    assert np.isfinite(parameters(model)).all()
    assert model.score(rows, rows[:, 0] > 0) > 0.0


@NAMES
def test_row_07_lbfgs_keeps_the_last_iterate(name, interrupts):
    model = getattr(ours, name)(
        solver="lbfgs", hidden_layer_sizes=200, tol=0, alpha=0, random_state=0, verbose=True
    )
    with (
        contextlib.redirect_stdout(InterruptAfter(3, _thread.interrupt_main)),
        pytest.warns(UserWarning, match="Training interrupted by user"),
    ):
        model.fit(X, Y)
    assert model.n_iter_ == 3
    model.verbose = False
    shorter = clone(model).set_params(max_iter=3).fit(X, Y)
    np.testing.assert_array_equal(parameters(shorter), parameters(model))
    assert shorter.loss_curve_ == model.loss_curve_


@NAMES
@pytest.mark.parametrize("fitted", [False, True])
def test_row_07_before_the_first_epoch_it_propagates(name, fitted, interrupts):
    """An epoch of many seconds; training comes back to Python in the midst of it."""
    rows = np.random.RandomState(0).normal(size=(200_000, 4))
    y = rows[:, 0] > 0
    model = getattr(ours, name)(hidden_layer_sizes=(256, 256), batch_size=1, random_state=0)
    if fitted:
        model.set_params(max_iter=1, batch_size=50).fit(X, Y).set_params(batch_size=1)
    before = {k: pickle.dumps(v) for k, v in vars(model).items()}
    timer = threading.Timer(0.5, _thread.interrupt_main)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(rows, y)
    finally:
        timer.cancel()
    assert {k: pickle.dumps(v) for k, v in vars(model).items()} == before


def test_row_07_scikit_learn_swallows_it(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn.neural_network._multilayer_perceptron.shuffle", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert theirs.MLPRegressor().fit(X, Y).n_iter_ == 0


# ---- 8: log-probabilities ----


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_row_08_log_probabilities_are_finite(task):
    y = {"binary": Y > 0, "multiclass": Y, "multilabel": np.eye(3, dtype=int)[Y]}[task]
    far = 1e4 * X
    params = {"max_iter": 50, "random_state": 0, "learning_rate_init": 0.01}
    model = ours.MLPClassifier(**params).fit(X, y)
    logs, scores = model.predict_log_proba(far), model.decision_function(far)
    assert np.isfinite(logs).all()
    if task == "binary":
        expected = np.column_stack([scipy.special.log_expit(-scores), scipy.special.log_expit(scores)])
    elif task == "multiclass":
        expected = scipy.special.log_softmax(scores, axis=1)
    else:
        expected = scipy.special.log_expit(scores)
    np.testing.assert_allclose(logs, expected, rtol=1e-12, atol=1e-15)
    assert logs.min() < -1000
    np.testing.assert_allclose(
        model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-6, atol=1e-12
    )
    with np.errstate(divide="ignore"):
        other = theirs.MLPClassifier(**params).fit(X, y).predict_log_proba(far)
    assert other.min() == -np.inf


# ---- 9: partial_fit ----


def test_row_09_partial_fit_with_warm_start_takes_a_batch_that_lacks_a_class():
    for library in [ours, theirs]:
        model = library.MLPClassifier(warm_start=True, random_state=0)
        model.partial_fit(X, Y, classes=[0, 1, 2])
        if library is theirs:
            with pytest.raises(ValueError, match="warm_start"):
                model.partial_fit(X[:50], Y[:50])
            continue
        model.partial_fit(X[:50], Y[:50])
        plain = ours.MLPClassifier(random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
        plain.partial_fit(X[:50], Y[:50])
        np.testing.assert_array_equal(parameters(model), parameters(plain))
        first = ours.MLPClassifier(warm_start=True).partial_fit(X[:50], Y[:50], classes=[0, 1, 2])
        assert first.predict_proba(X).shape == (150, 3)
        with pytest.raises(ValueError, match="classes"):
            model.partial_fit(X, Y + 1)


def test_row_09_the_regressor_has_no_partial_fit_with_lbfgs():
    model = ours.MLPRegressor(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        model.partial_fit(X, Y)
    assert hasattr(theirs.MLPRegressor(solver="lbfgs"), "partial_fit")


# ---- 10: dtype ----


@NAMES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_10_a_model_keeps_its_dtype(name, dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    weight = np.ones(len(X), other)
    y = Y if name == "MLPClassifier" else Y.astype(other)
    params = {"hidden_layer_sizes": 4, "max_iter": 3, "random_state": 0, "warm_start": True}

    def check(model):
        assert {w.dtype for w in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
        for rows in [X.astype(dtype), X.astype(other), X.round().astype(int)]:
            if name == "MLPRegressor":
                assert model.predict(rows).dtype == dtype
                continue
            for method in [model.predict_proba, model.predict_log_proba, model.decision_function]:
                assert method(rows).dtype == dtype

    model = getattr(ours, name)(**params).fit(X.astype(dtype), y, sample_weight=weight)
    check(model)
    check(model.partial_fit(X.astype(other), y, sample_weight=weight))
    check(model.fit(X.astype(other), y, sample_weight=weight))
    # The parameter overrides the input.
    check(getattr(ours, name)(**params, dtype=np.dtype(dtype).name).fit(X.astype(other), y))


def test_row_10_scikit_learn_is_promoted():
    model = theirs.MLPRegressor(max_iter=3).fit(X.astype(np.float32), Y.astype(np.float32))
    assert model.predict(X).dtype == np.float64
    assert ours.MLPRegressor(max_iter=3).fit(X.astype(np.float32), Y).predict(X).dtype == np.float32


# ---- 11: pickles ----


@pytest.mark.parametrize(("solver", "moments"), [("adam", 2), ("sgd", 1)])
def test_row_11_pickles_hold_the_parameters_once(solver, moments):
    ratio = {}
    for library in [ours, theirs]:
        model = library.MLPRegressor(hidden_layer_sizes=(200, 100), solver=solver, max_iter=2)
        model.fit(X, Y)
        ratio[library] = len(pickle.dumps(model)) / parameters(model).nbytes
    assert ratio[theirs] > 2 + moments
    assert 1 <= ratio[ours] < 1.1
    model = ours.MLPRegressor(hidden_layer_sizes=(200, 100), solver=solver).partial_fit(X, Y)
    assert 1 + moments <= len(pickle.dumps(model)) / parameters(model).nbytes < 1.1 + moments


# ---- 12: decision_function ----


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_row_12_decision_function_gives_raw_scores(task):
    y = {"binary": Y > 0, "multiclass": Y, "multilabel": np.eye(3, dtype=int)[Y]}[task]
    model = ours.MLPClassifier(hidden_layer_sizes=5, max_iter=50, random_state=0).fit(X, y)
    hidden = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    raw = hidden @ model.coefs_[1] + model.intercepts_[1]
    scores = model.decision_function(X)
    assert scores.shape == ((150,) if task == "binary" else (150, 3))
    np.testing.assert_allclose(scores, raw.ravel() if task == "binary" else raw, atol=1e-12)
    probabilities = model.predict_proba(X)
    if task == "binary":
        np.testing.assert_array_equal(scores > 0, model.predict(X))
        np.testing.assert_allclose(scipy.special.expit(scores), probabilities[:, 1], rtol=1e-9)
    elif task == "multiclass":
        np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], model.predict(X))
        np.testing.assert_allclose(scipy.special.softmax(scores, axis=1), probabilities, rtol=1e-9)
    else:
        np.testing.assert_array_equal(scores > 0, model.predict(X))
        np.testing.assert_allclose(scipy.special.expit(scores), probabilities, rtol=1e-9)
    assert not hasattr(theirs.MLPClassifier(), "decision_function")
    assert not hasattr(ours.MLPRegressor(), "decision_function")


def test_row_12_meta_estimators_use_it(monkeypatch):
    calls = []
    original = ours.MLPClassifier.decision_function

    def counted(self, rows):
        calls.append(len(rows))
        return original(self, rows)

    monkeypatch.setattr(ours.MLPClassifier, "decision_function", counted)
    model = CalibratedClassifierCV(ours.MLPClassifier(max_iter=50, random_state=0), cv=3)
    probabilities = model.fit(X, Y).predict_proba(X)
    assert calls
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert model.score(X, Y) > 0.8


# ---- 13: multilabel probabilities ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_row_13_multilabel_probabilities_are_never_0_or_1(dtype):
    y = np.eye(3, dtype=int)[Y]
    far = (1e4 * X).astype(dtype)
    params = {"max_iter": 50, "random_state": 0, "learning_rate_init": 0.01}
    model = ours.MLPClassifier(**params).fit(X.astype(dtype), y)
    probabilities, limits = model.predict_proba(far), np.finfo(dtype)
    assert probabilities.dtype == dtype
    assert probabilities.min() == limits.tiny > 0
    assert probabilities.max() == 1 - limits.eps < 1
    np.testing.assert_array_equal(model.predict(far), probabilities > 0.5)
    other = theirs.MLPClassifier(**params).fit(X, y).predict_proba(1e4 * X)
    assert (other.min(), other.max()) == (0.0, 1.0)
