"""Validation data given to `fit`: what is recorded of them, what early stopping makes of them.

A naive loss in NumPy, and fits that are stopped after k epochs, are the oracles.
"""

import functools

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_expit, logsumexp
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, f1_score, make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
N, N_VAL = 60, 23
ALL = RNG.normal(size=(N + N_VAL, 5))
ALL[np.abs(ALL) < 0.3] = 0  # for the sparse formats
SIGNAL = ALL @ RNG.normal(size=5) + 0.5 * RNG.normal(size=N + N_VAL)
CLASSES = np.array(["few", "most", "some"])
# Every class is among the first three and among the last three rows.
CODES = np.digitize(SIGNAL, [-1.0, 1.0])
CODES[[0, 1, 2, -3, -2, -1]] = [0, 1, 2] * 2
WEIGHTS = RNG.uniform(0.1, 3.0, size=N + N_VAL)

LEARNERS = {  # name: (estimator, targets)
    "binary": (MLPClassifier(), np.where(CODES > 1, "yes", "no")),
    "multiclass": (MLPClassifier(), CLASSES[CODES]),
    "multilabel": (MLPClassifier(), np.column_stack([CODES > 0, ALL[:, 0] > 0, CODES > 1]).astype(int)),
    "smoothed binary": (MLPClassifier(label_smoothing=0.3), (CODES > 1).astype(int)),
    "smoothed multiclass": (MLPClassifier(label_smoothing=0.3), CODES),
    "smoothed multilabel": (
        MLPClassifier(label_smoothing=0.3),
        np.column_stack([CODES > 0, CODES > 1]).astype(int),
    ),
    "weighted classes": (MLPClassifier(class_weight={"few": 5.0, "most": 0.1}), CLASSES[CODES]),
    "one output": (MLPRegressor(), SIGNAL),
    "two outputs": (MLPRegressor(), np.column_stack([SIGNAL, ALL[:, 0] ** 2])),
    "poisson": (MLPRegressor("poisson"), np.abs(SIGNAL)),
    "huber": (MLPRegressor("huber", huber_delta=0.5), SIGNAL),
    "quantile": (MLPRegressor("quantile", quantile=0.8), SIGNAL),
}
EACH_LEARNER = pytest.mark.parametrize("learner", LEARNERS)
PLAIN = ["binary", "multiclass", "multilabel", "one output", "two outputs"]
EACH_PLAIN_LEARNER = pytest.mark.parametrize("learner", PLAIN)
ONE_OF_EACH = pytest.mark.parametrize("learner", ["multiclass", "one output"])
EACH_KIND_OF_SOLVER = pytest.mark.parametrize("solver", ["adam", "lbfgs"])


def make(learner, **params):
    """A small estimator that trains until `max_iter`."""
    defaults = {
        "hidden_layer_sizes": (6,), "activation": "tanh", "max_iter": 4, "random_state": 0,
        "n_iter_no_change": np.inf, "tol": 0, "batch_size": 16, "learning_rate_init": 0.01,
    }  # fmt: skip
    return clone(LEARNERS[learner][0]).set_params(**{**defaults, **params})


def data(learner, container=np.asarray):
    """The arguments of `fit`: rows to train on and others to validate on."""
    y = LEARNERS[learner][1]
    held_out = {"X_val": container(ALL[N:]), "y_val": y[N:]}
    return (container(ALL[:N]), y[:N]), held_out


def parameters(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


def assert_same_bits(one, other):
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert one.loss_curve_ == other.loss_curve_


def raw_scores(model, X):
    hidden = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    return hidden @ model.coefs_[1] + model.intercepts_[1]


def softmax_loss(model, raw, y):
    smoothing, n_classes = model.label_smoothing, raw.shape[1]
    wanted = (1 - smoothing) * (y[:, None] == model.classes_) + smoothing / n_classes
    return -(wanted * (raw - logsumexp(raw, axis=1, keepdims=True))).sum(axis=1)


def logistic_loss(model, raw, y):
    positive = y if y.ndim == 2 else (y == model.classes_[1])[:, None]
    wanted = (1 - model.label_smoothing) * positive + model.label_smoothing / 2
    return -(wanted * log_expit(raw) + (1 - wanted) * log_expit(-raw)).sum(axis=1)


def regression_loss(model, raw, y):
    y = y.reshape(raw.shape)
    error = y - raw
    if model.loss == "squared_error":
        return 0.5 * (error**2).mean(axis=1)
    if model.loss == "poisson":
        losses = np.exp(raw) - y + y * (np.log(y) - raw)
    elif model.loss == "quantile":
        losses = np.maximum(model.quantile * error, (model.quantile - 1) * error)
    else:
        width, size = model.huber_delta, np.abs(error)
        losses = np.where(size <= width, 0.5 * size**2, width * (size - 0.5 * width))
    return losses.sum(axis=1)


def naive_loss(model, X, y, weights=None):
    """The mean over the rows of the loss that was trained with, without the penalty."""
    raw = raw_scores(model, X)
    if isinstance(model, MLPRegressor):
        losses = regression_loss(model, raw, y)
    elif model.out_activation_ == "softmax":
        losses = softmax_loss(model, raw, y)
    else:
        losses = logistic_loss(model, raw, y)
    return np.average(losses, weights=weights)


class Script:
    """A scorer that says what it is told to, and remembers what it was shown."""

    def __init__(self, *scores):
        self.scores, self.shown = list(scores), []

    def __call__(self, estimator, X, y):
        self.shown.append((X, y))
        score = self.scores.pop(0)
        if isinstance(score, BaseException):
            raise score
        return score


def scripted(scores, **params):
    """A fit that watches what the script says, with the script."""
    script = Script(*scores)
    model = make("multiclass", scoring=script, max_iter=len(scores), **params)
    X_y, held_out = data("multiclass")
    model.fit(*X_y, **held_out)
    return model, script


@functools.cache
def after(n_epochs, learner="multiclass", **params):
    """The same fit without validation, stopped after so many epochs; not to be changed."""
    return make(learner, max_iter=n_epochs, **params).fit(*data(learner)[0])


# ---- training goes on as without ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@EACH_KIND_OF_SOLVER
@EACH_PLAIN_LEARNER
def test_all_rows_are_trained_on(learner, solver, dtype):
    X_y, held_out = data(learner, lambda X: X.astype(dtype))
    without = make(learner, solver=solver).fit(*X_y)
    watched = make(learner, solver=solver).fit(*X_y, **held_out)
    stopping = make(learner, solver=solver, early_stopping=True, restore_best=False)
    assert watched.coefs_[0].dtype == dtype
    assert_same_bits(watched, without)
    assert_same_bits(stopping.fit(*X_y, **held_out), without)
    assert without.validation_scores_ is None
    assert "val_loss" not in without.history_


def test_the_fraction_has_no_effect():
    X_y, held_out = data("multiclass")
    models = [
        make("multiclass", early_stopping=True, validation_fraction=fraction, dropout=0.3)
        for fraction in (0.0, 0.1, 0.6)
    ]
    for model in models:
        model.fit(*X_y, **held_out)
        assert_same_bits(model, models[0])
        assert model.t_ == N * model.max_iter
        assert model.history_["val_loss"] == models[0].history_["val_loss"]


@EACH_KIND_OF_SOLVER
def test_weights_of_validation_rows_are_not_trained_with(solver):
    X_y, held_out = data("multiclass")
    model = make("multiclass", solver=solver).fit(*X_y, **held_out, sample_weight_val=WEIGHTS[N:])
    assert_same_bits(model, make("multiclass", solver=solver).fit(*X_y))


def test_the_arguments_are_not_changed():
    held_out = data("poisson")[1]
    before = joblib.hash((LEARNERS["poisson"][1], ALL, WEIGHTS))
    make("poisson", solver="lbfgs", metrics=["mse", "r2"]).fit(
        *data("poisson")[0], **held_out, sample_weight_val=WEIGHTS[N:]
    )
    assert joblib.hash((LEARNERS["poisson"][1], ALL, WEIGHTS)) == before


# ---- what is recorded ----


@pytest.mark.parametrize("weighted", [False, True])
@EACH_KIND_OF_SOLVER
@EACH_LEARNER
def test_each_epoch_has_the_loss_and_score_of_its_parameters(learner, solver, weighted):
    X_y, held_out = data(learner)
    X_val, y_val = held_out.values()
    weights = WEIGHTS[N:] if weighted else None
    history = make(learner, solver=solver).fit(*X_y, **held_out, sample_weight_val=weights).history_
    assert len(history) == 4
    for epoch in range(4):
        model = after(epoch + 1, learner, solver=solver)
        assert history["val_loss"][epoch] == pytest.approx(
            naive_loss(model, X_val, y_val, weights), rel=1e-10
        )
        assert history["val_score"][epoch] == pytest.approx(
            model.score(X_val, y_val, sample_weight=weights), rel=1e-10
        )
        assert history["val_loss"][epoch] == model.evaluate(X_val, y_val, weights)["loss"]


@pytest.mark.parametrize(
    ("learner", "metrics"),
    [
        ("multiclass", ["accuracy", "log_loss", "top_2_accuracy", "f1_macro"]),
        ("binary", ["balanced_accuracy", "log_loss", "roc_auc"]),
        ("multilabel", ["accuracy", "log_loss", make_scorer(f1_score, average="micro")]),
        ("one output", ["mse", "r2", "max_error"]),
        ("two outputs", ["mae", "median_absolute_error", "neg_mean_absolute_error"]),
    ],
)
@EACH_KIND_OF_SOLVER
def test_each_epoch_has_the_metrics_of_its_parameters(learner, metrics, solver):
    X_y, held_out = data(learner)
    model = make(learner, solver=solver, metrics=metrics)
    history = model.fit(*X_y, **held_out, sample_weight_val=WEIGHTS[N:]).history_
    for epoch in range(4):
        stopped = after(epoch + 1, learner, solver=solver)
        found = stopped.evaluate(*held_out.values(), WEIGHTS[N:], metrics=metrics)
        assert found == {name: history[f"val_{name}"][epoch] for name in found}
        assert len(found) == 1 + len(metrics)


def test_metrics_agree_with_losses():
    X_y, held_out = data("multilabel")
    model = make("multilabel", metrics=["log_loss", "accuracy"]).fit(*X_y, **held_out)
    np.testing.assert_allclose(model.history_["val_log_loss"], model.history_["val_loss"], rtol=1e-12)
    assert model.history_["val_accuracy"] == model.history_["val_score"]


@pytest.mark.parametrize("learner", ["multiclass", "two outputs"])
def test_nothing_is_dropped_in_validation(learner):
    X_y, held_out = data(learner)
    history = make(learner, dropout=0.5).fit(*X_y, **held_out).history_
    for epoch in range(4):
        stopped = after(epoch + 1, learner, dropout=0.5)
        naive = naive_loss(stopped, *held_out.values())
        assert history["val_loss"][epoch] == pytest.approx(naive, rel=1e-10)


def test_the_penalty_is_not_in_the_validation_loss():
    X_y, held_out = data("one output")
    model = make("one output", alpha=100.0).fit(*X_y, **held_out)
    naive = naive_loss(model, *held_out.values())
    assert model.history_["val_loss"][-1] == pytest.approx(naive, rel=1e-10)


@settings(deadline=None, max_examples=40)
@given(
    n_rows=st.integers(1, 40),
    learner=st.sampled_from(["multiclass", "multilabel", "smoothed binary", "huber", "two outputs"]),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    sparse=st.booleans(),
    weighted=st.booleans(),
    solver=st.sampled_from(["sgd", "lbfgs"]),
)
def test_any_validation_set(n_rows, learner, seed, dtype, sparse, weighted, solver):
    rng = np.random.default_rng(seed)
    rows = rng.integers(N + N_VAL, size=n_rows)
    X_val, y_val = ALL[rows].astype(dtype), LEARNERS[learner][1][rows]
    weights = rng.uniform(size=n_rows).round(1) if weighted else None
    if weighted:
        weights[0] = 1
    (X, y), _ = data(learner)
    model = make(learner, max_iter=1, solver=solver, scoring="loss")
    model.fit(
        X.astype(dtype),
        y,
        X_val=sp.csr_array(X_val) if sparse else X_val,
        y_val=y_val,
        sample_weight_val=weights,
    )
    naive = naive_loss(model, X_val, y_val, weights)
    rel = 1e-10 if dtype is np.float64 else 1e-4
    assert model.history_["val_loss"] == [pytest.approx(naive, rel=rel, abs=1e-6)]
    assert model.validation_scores_ == [-model.history_["val_loss"][0]]


def test_more_rows_than_are_taken_at_a_time():
    X_y, _ = data("multiclass")
    rows = np.random.default_rng(0).integers(N + N_VAL, size=20_000)
    X_val, y_val = ALL[rows], LEARNERS["multiclass"][1][rows]
    model = make("multiclass").fit(*X_y, X_val=X_val, y_val=y_val)
    naive = naive_loss(model, X_val, y_val)
    assert model.history_["val_loss"][-1] == pytest.approx(naive, rel=1e-10)
    assert model.history_["val_score"][-1] == model.score(X_val, y_val)


@ONE_OF_EACH
def test_a_weight_is_a_number_of_repetitions(learner):
    X_y, held_out = data(learner)
    counts = np.arange(N_VAL) % 4
    repeated = {name: values.repeat(counts, axis=0) for name, values in held_out.items()}
    model = make(learner, metrics="f1_macro" if learner == "multiclass" else "neg_mean_squared_error")
    weighted = clone(model).fit(*X_y, **held_out, sample_weight_val=counts).history_
    unweighted = clone(model).fit(*X_y, **held_out).history_
    expected = clone(model).fit(*X_y, **repeated).history_
    for column in expected:
        if column.startswith("val_"):
            np.testing.assert_allclose(weighted[column], expected[column], rtol=1e-10)
    assert weighted["val_loss"] != pytest.approx(unweighted["val_loss"], rel=1e-3)


# ---- containers ----


def as_frame(X):
    return pytest.importorskip("pandas").DataFrame(X, columns=list("abcde"))


CONTAINERS = {
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "frame": as_frame,
    "list": np.ndarray.tolist,
    "fortran": np.asfortranarray,
    "strided": lambda X: X.repeat(2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("container", CONTAINERS)
@EACH_PLAIN_LEARNER
def test_containers_give_the_same(learner, container):
    """With warnings as errors: the names of features have their way."""
    X_y, held_out = data(learner, CONTAINERS[container])
    held_out["y_val"] = list(held_out["y_val"]) if container == "list" else held_out["y_val"]
    metrics = ["mse", "r2"] if "output" in learner else ["accuracy", "f1_macro"]
    params = {"early_stopping": True, "metrics": metrics, "scoring": None}
    model = make(learner, **params).fit(*X_y, **held_out)
    plain, held_out = data(learner)
    expected = make(learner, **params).fit(*plain, **held_out)
    assert model.history_.best_epoch == expected.history_.best_epoch
    for column in expected.history_:
        if column != "seconds":
            np.testing.assert_allclose(model.history_[column], expected.history_[column], rtol=1e-9)


@ONE_OF_EACH
def test_the_two_sets_need_not_be_of_one_kind(learner):
    (X, y), held_out = data(learner)
    expected = make(learner).fit(X, y, **held_out).history_["val_loss"]
    for train, container in ((np.asarray, sp.csc_array), (sp.csr_array, np.asarray)):
        model = make(learner).fit(train(X), y, X_val=container(ALL[N:]), y_val=held_out["y_val"])
        np.testing.assert_allclose(model.history_["val_loss"], expected, rtol=1e-9)


def test_the_rows_take_the_dtype_of_the_model():
    (X, y), held_out = data("two outputs")
    mixed = make("two outputs").fit(X.astype(np.float32), y, **held_out)
    held_out["X_val"] = held_out["X_val"].astype(np.float32)
    same = make("two outputs").fit(X.astype(np.float32), y, **held_out)
    assert mixed.coefs_[0].dtype == np.float32
    assert mixed.history_["val_loss"] == same.history_["val_loss"]


def test_targets_in_a_column_are_taken_with_a_warning():
    X_y, held_out = data("one output")
    expected = make("one output").fit(*X_y, **held_out)
    held_out["y_val"] = held_out["y_val"][:, None]
    with pytest.warns(sklearn.exceptions.DataConversionWarning):
        model = make("one output").fit(*X_y, **held_out)
    assert model.history_["val_loss"] == expected.history_["val_loss"]


def test_sparse_label_indicators():
    X_y, held_out = data("multilabel")
    expected = make("multilabel", metrics="f1_macro").fit(*X_y, **held_out)
    held_out["y_val"] = sp.csr_array(held_out["y_val"])
    model = make("multilabel", metrics="f1_macro").fit(*X_y, **held_out)
    for column in ("val_loss", "val_score", "val_f1_macro"):
        assert model.history_[column] == expected.history_[column]


@pytest.mark.parametrize("learner", ["binary", "multiclass"])
def test_validation_rows_may_lack_classes(learner):
    X_y, held_out = data(learner)
    one = held_out["y_val"] == held_out["y_val"][0]
    X_val, y_val = held_out["X_val"][one], held_out["y_val"][one]
    model = make(learner).fit(*X_y, X_val=X_val, y_val=y_val)
    naive = naive_loss(model, X_val, y_val)
    assert model.history_["val_loss"][-1] == pytest.approx(naive, rel=1e-10)


# ---- what early stopping watches ----


def first_prediction(model, X, y):
    return model.predict(X)[0]


@pytest.mark.parametrize(
    ("learner", "scoring", "expected"),
    [
        ("multiclass", None, lambda m, X, y: accuracy_score(y, m.predict(X))),
        ("multiclass", "f1_macro", lambda m, X, y: f1_score(y, m.predict(X), average="macro")),
        ("multiclass", "neg_log_loss", lambda m, X, y: -naive_loss(m, X, y)),
        ("multiclass", "loss", lambda m, X, y: -naive_loss(m, X, y)),
        ("smoothed binary", "loss", lambda m, X, y: -naive_loss(m, X, y)),
        ("one output", None, lambda m, X, y: r2_score(y, m.predict(X))),
        ("two outputs", "loss", lambda m, X, y: -naive_loss(m, X, y)),
        (
            "one output",
            make_scorer(mean_absolute_error, greater_is_better=False),
            lambda m, X, y: -np.abs(y - m.predict(X)).mean(),
        ),
        ("one output", first_prediction, first_prediction),
    ],
)
@EACH_KIND_OF_SOLVER
def test_scoring_says_what_is_watched(learner, scoring, expected, solver):
    X_y, held_out = data(learner)
    model = make(learner, solver=solver, scoring=scoring, early_stopping=True).fit(*X_y, **held_out)
    scores = [expected(after(k, learner, solver=solver), *held_out.values()) for k in range(1, 5)]
    np.testing.assert_allclose(model.validation_scores_, scores, rtol=1e-9)
    assert model.history_["val_score"] == model.validation_scores_
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.history_.best_epoch == int(np.argmax(model.validation_scores_))
    assert_parameters_of_epoch(model, model.history_.best_epoch, learner, solver=solver)


def assert_parameters_of_epoch(model, epoch, learner="multiclass", **params):
    """`epoch` is counted from 0."""
    np.testing.assert_array_equal(parameters(model), parameters(after(epoch + 1, learner, **params)))


def test_a_scorer_sees_the_rows_and_labels_as_they_are():
    _, script = scripted([1, 2])
    assert len(script.shown) == 2
    for X, y in script.shown:
        np.testing.assert_array_equal(X, ALL[N:])
        np.testing.assert_array_equal(y, LEARNERS["multiclass"][1][N:])


def test_a_scorer_gets_the_weights_it_asks_for():
    def total(estimator, X, y, sample_weight=None):
        return sample_weight.sum()

    X_y, held_out = data("one output")
    model = make("one output", scoring=total, metrics=["neg_mean_absolute_error"])
    model.fit(*X_y, **held_out, sample_weight_val=WEIGHTS[N:])
    assert model.validation_scores_ == [pytest.approx(WEIGHTS[N:].sum())] * 4
    error = np.abs(held_out["y_val"] - model.predict(held_out["X_val"]))
    expected = -np.average(error, weights=WEIGHTS[N:])
    assert model.history_["val_neg_mean_absolute_error"][-1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "patience", "n_iter", "best"),
    [
        ([1, 3, 2, 2, 2, 9, 9], 2, 5, 1),  # more than two without
        ([1, 3, 2, 3, 2, 3, 4, 0], 1, 8, 6),  # to equal the best is enough where tol is 0
        ([5, 4, 3, 2, 1, 0], 3, 5, 0),
        ([-5, -4, -6, -7, -8], 1, 4, 1),
        ([np.nan, 1, np.nan, 0, np.nan, 9], 2, 5, 1),
        ([np.nan] * 5, 2, 3, None),
    ],
)
@EACH_KIND_OF_SOLVER
def test_when_it_stops_and_what_is_kept(scores, patience, n_iter, best, solver):
    params = {"early_stopping": True, "n_iter_no_change": patience, "solver": solver}
    model, script = scripted(scores, **params)
    assert model.n_iter_ == len(model.history_) == len(model.loss_curve_) == n_iter
    np.testing.assert_array_equal(model.validation_scores_, scores[:n_iter])
    assert len(script.shown) == n_iter  # each epoch is scored once
    assert model.history_.best_epoch == best
    assert model.best_validation_score_ == (-np.inf if best is None else scores[best])
    assert_parameters_of_epoch(model, n_iter - 1 if best is None else best, solver=solver)
    assert model.history_.stop_reason == ("no_improvement" if n_iter < len(scores) else "max_iter")


@pytest.mark.parametrize(
    ("scores", "n_iter", "best"),
    [
        ([1, 1.4, 1.8, 9], 3, 2),  # each is the best so far, and better by 0.4 only
        ([1, 2, 3, 4], 4, 3),
        ([1, 1.5, 2, 2.4, 2.8], 5, 4),
    ],
)
def test_an_improvement_is_one_by_tol(scores, n_iter, best):
    model, _ = scripted(scores, early_stopping=True, n_iter_no_change=1, tol=0.5)
    assert model.n_iter_ == n_iter
    assert_parameters_of_epoch(model, best)


def test_without_early_stopping_scores_are_only_watched():
    model, _ = scripted([5, 4, 3, 2, 1, 0], n_iter_no_change=1)
    assert model.validation_scores_ == [5, 4, 3, 2, 1, 0]
    assert model.n_iter_ == 6
    assert model.best_loss_ == min(model.loss_curve_)
    assert_parameters_of_epoch(model, 5)


@pytest.mark.parametrize(
    ("early_stopping", "restore_best", "restored"),
    [
        (False, None, False),
        (True, None, True),
        (False, False, False),
        (True, False, False),
        (False, True, True),
        (True, True, True),
    ],
)
@EACH_KIND_OF_SOLVER
def test_restore_best(early_stopping, restore_best, restored, solver):
    params = {"early_stopping": early_stopping, "restore_best": restore_best, "solver": solver}
    model, _ = scripted([1, 3, 2, 0], **params)
    assert model.history_.best_epoch == 1
    assert model.best_validation_score_ == 3
    assert model.n_iter_ == 4
    assert_parameters_of_epoch(model, 1 if restored else 3, solver=solver)
    assert model.history_["loss"][1] == after(2, solver=solver).loss_


@pytest.mark.parametrize("early_stopping", [False, True])
def test_of_equal_scores_the_first_is_the_best(early_stopping):
    model, _ = scripted([1, 2, 2, 2], early_stopping=early_stopping, restore_best=True)
    assert model.history_.best_epoch == 1
    assert_parameters_of_epoch(model, 1)


def test_restoring_the_best_of_a_split_without_stopping():
    """Without `early_stopping` there is no split, and hence nothing to restore."""
    with pytest.raises(ValueError, match="restore_best=True needs validation data"):
        make("multiclass", restore_best=True).fit(*data("multiclass")[0])


@pytest.mark.parametrize(
    ("learner", "params", "named"),
    [
        ("multiclass", {"restore_best": True}, "restore_best=True"),
        ("multiclass", {"scoring": "accuracy"}, "scoring"),
        ("one output", {"scoring": "loss"}, "scoring"),
        ("multiclass", {"metrics": ["accuracy", "f1_macro"]}, "'f1_macro' in metrics"),
    ],
)
def test_what_needs_validation_data(learner, params, named):
    X_y, held_out = data(learner)
    model = make(learner, **params)
    more = {"classes": CLASSES} if learner == "multiclass" else {}
    match = f"{named} needs validation data: set early_stopping=True or give fit X_val and"
    with pytest.raises(ValueError, match=match):
        model.fit(*X_y)
    with pytest.raises(ValueError, match=match):
        model.partial_fit(*X_y, **more)
    assert not hasattr(model, "coefs_")
    model.fit(*X_y, **held_out)
    model.set_params(early_stopping=True, validation_fraction=0.3).fit(*X_y)


# ---- the report ----


@ONE_OF_EACH
@EACH_KIND_OF_SOLVER
def test_the_report_agrees_with_the_attributes(learner, solver):
    X_y, held_out = data(learner)
    metric = "r2" if learner == "one output" else "accuracy"
    model = make(learner, solver=solver, early_stopping=True, metrics=[metric, "gradient_norm"])
    history = model.fit(*X_y, **held_out).history_
    rates = ["learning_rate"] if solver == "adam" else []
    assert history.columns == (
        "loss", "val_loss", "val_score", metric, f"val_{metric}", *rates, "gradient_norm", "seconds",
    )  # fmt: skip
    assert history["loss"] == model.loss_curve_
    assert history["val_score"] == history[f"val_{metric}"] == model.validation_scores_
    assert len(history) == model.n_iter_ == 4
    assert history["val_score"][history.best_epoch] == model.best_validation_score_
    assert history["seconds"] == sorted(history["seconds"])
    assert history["seconds"][0] > 0
    assert history.to_dict() == {
        **{name: history[name] for name in history},
        "best_epoch": history.best_epoch,
        "stop_reason": "max_iter",
    }
    if solver == "adam":
        assert history["learning_rate"] == [0.01] * 4


def test_the_frame_has_the_scores():
    pytest.importorskip("pandas")
    X_y, held_out = data("multiclass")
    model = make("multiclass").fit(*X_y, **held_out)
    frame = model.history_.to_frame()
    assert frame["val_score"].tolist() == model.validation_scores_
    assert frame["val_score"].idxmax() == model.history_.best_epoch
    assert frame["loss"].tolist() == model.loss_curve_


def test_the_loss_of_the_best_epoch_is_that_of_the_model():
    X_y, held_out = data("quantile")
    model = make("quantile", early_stopping=True, scoring="loss", metrics=["mae"], max_iter=30)
    model.set_params(learning_rate_init=0.1).fit(*X_y, **held_out)
    history = model.history_
    assert 0 < history.best_epoch < 29
    assert model.evaluate(*held_out.values()) == {
        "loss": history["val_loss"][history.best_epoch],
        "mae": history["val_mae"][history.best_epoch],
    }
    assert model.best_validation_score_ == -min(history["val_loss"])


@EACH_KIND_OF_SOLVER
def test_the_lines_of_verbose(solver, capsys):
    X_y, held_out = data("multiclass")
    history = make("multiclass", solver=solver, verbose=True).fit(*X_y, **held_out).history_
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Iteration")]
    assert len(lines) == 4
    for epoch, line in enumerate(lines):
        rate = ", learning rate = 0.01" if solver == "adam" else ""
        assert line == (
            f"Iteration {epoch + 1}, loss = {history['loss'][epoch]:.8f}, "
            f"validation loss = {history['val_loss'][epoch]:.8f}, "
            f"validation score = {history['val_score'][epoch]:f}{rate}"
        )


def constant(estimator, X, y):
    return -1.0


@pytest.mark.parametrize(
    ("reason", "params"),
    [
        ("max_iter", {}),
        ("max_iter", {"solver": "lbfgs"}),
        ("no_improvement", {"n_iter_no_change": 1, "tol": 1e3}),
        ("no_improvement", {"n_iter_no_change": 1, "tol": 1e3, "early_stopping": True}),
        (
            "no_improvement",
            {
                "n_iter_no_change": 1, "early_stopping": True, "solver": "lbfgs", "tol": 1e-9,
                "scoring": constant,
            },
        ),
        ("converged", {"solver": "lbfgs", "alpha": 1e4, "max_iter": 500, "tol": 1e-4}),
        ("max_fun", {"solver": "lbfgs", "max_fun": 2}),
    ],
)  # fmt: skip
def test_stop_reasons(reason, params):
    X_y, held_out = data("multiclass")
    model = make("multiclass", **{"max_iter": 6, **params}).fit(*X_y, **held_out)
    assert model.history_.stop_reason == reason
    assert (model.n_iter_ < model.max_iter) == (reason != "max_iter")
    assert len(model.history_) == model.n_iter_


def test_the_stop_reason_of_partial_fit():
    X_y, held_out = data("multiclass")
    model = make("multiclass", warm_start=True).fit(*X_y, **held_out)
    assert model.history_.stop_reason == "max_iter"
    for calls in (1, 2):  # a report of its own, which has no validation in it
        model.partial_fit(*X_y)
        assert model.history_.stop_reason == "partial_fit"
        assert model.history_.best_epoch is None
        assert len(model.history_) == calls
        assert model.history_.columns == ("loss", "learning_rate", "seconds")


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupted_while_scoring(early_stopping):
    scores = [1, 3, 2, KeyboardInterrupt(), 0]
    script = Script(*scores)
    model = make("multiclass", scoring=script, max_iter=5, early_stopping=early_stopping)
    X_y, held_out = data("multiclass")
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*X_y, **held_out)
    assert model.history_.stop_reason == "interrupted"
    assert model.history_["val_score"] == [1, 3, 2]
    if early_stopping:
        assert_parameters_of_epoch(model, 1)


def test_a_diverged_fit_keeps_the_best():
    X_y, held_out = data("one output")

    def rate(step, total_steps):
        return 1.0 if step < 2 * N else 1e10

    params = {"learning_rate": rate, "batch_size": 1, "solver": "sgd", "scoring": "loss"}
    model = make("one output", restore_best=True, **params)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch 3"):
        model.fit(*X_y, **held_out)
    assert model.history_.stop_reason == "diverged"
    assert model.history_.best_epoch in (0, 1)
    assert np.isnan(model.history_["val_loss"][2])
    best = naive_loss(model, *held_out.values())
    assert model.history_["val_loss"][model.history_.best_epoch] == pytest.approx(best)


# ---- bad input ----


def bad_calls():
    """name: (learner, what replaces arguments of `fit`, what the message says)."""
    X_val, y_val = ALL[N:], {name: y[N:] for name, (_, y) in LEARNERS.items()}
    nan = np.where(np.arange(N_VAL) == 3, np.nan, 1.0)
    return {
        "no targets": ("multiclass", {"y_val": None}, "X_val was given without y_val"),
        "no rows": ("multiclass", {"X_val": None}, "without X_val"),
        "weights alone": (
            "one output",
            {"X_val": None, "y_val": None, "sample_weight_val": np.ones(N_VAL)},
            "without X_val",
        ),
        "too few columns": ("one output", {"X_val": X_val[:, :4]}, "X_val.*has 4 features"),
        "too many columns": ("multiclass", {"X_val": np.hstack([X_val] * 2)}, "X_val.*has 10 features"),
        "one dimension": ("multiclass", {"X_val": X_val[:, 0]}, "X_val.*Expected 2D array"),
        "nothing in it": (
            "multiclass",
            {"X_val": X_val[:0], "y_val": y_val["multiclass"][:0]},
            r"X_val.*0 sample\(s\)",
        ),
        "NaN in X": ("one output", {"X_val": X_val * nan[:, None]}, "(?s)X_val.*contains NaN"),
        "infinity": (
            "multiclass",
            {"X_val": np.where(X_val > 0, np.inf, X_val)},
            "(?s)X_val.*contains infinity",
        ),
        "words": ("multiclass", {"X_val": [["a"] * 5] * N_VAL}, "X_val.*could not convert"),
        "NaN in y": ("one output", {"y_val": nan}, "y_val.*contains NaN"),
        "too few targets": ("one output", {"y_val": y_val["one output"][1:]}, "inconsistent numbers"),
        "unseen label": (
            "multiclass",
            {"y_val": np.where(y_val["multiclass"] == "few", "none", y_val["multiclass"])},
            r"`y_val` has the classes \['none'\].*in the training data.*'few' 'most' 'some'",
        ),
        "labels of another type": ("multiclass", {"y_val": np.arange(N_VAL) % 3}, "y_val.*classes"),
        "numbers for classes": ("smoothed binary", {"y_val": y_val["one output"]}, "(?i)unknown label"),
        "indicators for classes": ("multiclass", {"y_val": y_val["multilabel"]}, "multilabel"),
        "classes for indicators": ("multilabel", {"y_val": y_val["smoothed binary"]}, "multilabel"),
        "more labels": (
            "multilabel",
            {"y_val": np.hstack([y_val["multilabel"]] * 2)},
            "6 labels per sample",
        ),
        "more outputs": ("one output", {"y_val": y_val["two outputs"]}, "2 columns and the model 1"),
        "fewer outputs": ("two outputs", {"y_val": y_val["one output"]}, "1 columns and the model 2"),
        "negative counts": ("poisson", {"y_val": -y_val["poisson"]}, "poisson.*>= 0"),
        "short weights": (
            "one output",
            {"sample_weight_val": np.ones(3)},
            "sample_weight_val.*expected",
        ),
        "negative weights": (
            "one output",
            {"sample_weight_val": -np.ones(N_VAL)},
            "sample_weight_val.*Negative",
        ),
        "NaN in weights": ("multiclass", {"sample_weight_val": nan}, "sample_weight_val.*NaN"),
        "no weight": ("multiclass", {"sample_weight_val": np.zeros(N_VAL)}, "sample_weight_val.*zero"),
    }


BAD_CALLS = bad_calls()


def content(model):
    """All that the estimator holds, as something to compare."""
    return joblib.hash(vars(model))


def test_content_sees_changes():
    model = make("multiclass").fit(*data("multiclass")[0])
    before = content(model)
    assert content(model) == before
    model.coefs_[0][0, 0] += 1e-12
    assert content(model) != before


@pytest.mark.parametrize("state", ["fresh", "fitted", "warm"])
@pytest.mark.parametrize("bad", BAD_CALLS)
def test_bad_validation_data(bad, state):
    learner, change, match = BAD_CALLS[bad]
    X_y, held_out = data(learner)
    model = make(learner, warm_start=state == "warm", early_stopping=True)
    if state != "fresh":
        model.fit(*X_y, **held_out)
    before = content(model)
    with pytest.raises(ValueError, match=match):
        model.fit(*X_y, **{**held_out, **change})
    assert content(model) == before


def test_other_names_of_columns():
    (X, y), held_out = data("multiclass", as_frame)
    held_out["X_val"] = held_out["X_val"][list("edcba")]
    with pytest.raises(ValueError, match=r"(?s)X_val.*[Ff]eature names"):
        make("multiclass").fit(X, y, **held_out)


def test_validation_data_are_given_by_name():
    (X, y), held_out = data("multiclass")
    with pytest.raises(TypeError, match="positional"):
        make("multiclass").fit(X, y, None, held_out["X_val"], held_out["y_val"])


def test_partial_fit_takes_none():
    (X, y), held_out = data("multiclass")
    with pytest.raises(TypeError, match="X_val"):
        make("multiclass").partial_fit(X, y, classes=CLASSES, **held_out)


@EACH_KIND_OF_SOLVER
@pytest.mark.parametrize("error", [RuntimeError("no score today"), KeyboardInterrupt()], ids=repr)
def test_a_scorer_that_raises_leaves_the_estimator_as_it_was(error, solver):
    """The interrupt comes before the first epoch is done."""
    X_y, held_out = data("multiclass")
    model = make("multiclass", solver=solver, early_stopping=True).fit(*X_y, **held_out)
    scores = [error] if isinstance(error, KeyboardInterrupt) else [1, 2, error]
    script = Script(*scores)
    model.set_params(scoring=script)
    script.scores.clear()
    before = content(model)
    script.scores.extend(scores)
    with pytest.raises(type(error)):
        model.fit(*X_y, **held_out)
    script.scores.clear()
    script.shown.clear()
    assert content(model) == before


def test_a_scorer_that_returns_no_number():
    X_y, held_out = data("multiclass")
    model = make("multiclass", scoring=lambda estimator, X, y: "good")
    with pytest.raises(TypeError, match="must return a real number, got 'good'"):
        model.fit(*X_y, **held_out)
    assert not hasattr(model, "coefs_")


# ---- warm start ----


def test_a_warm_start_has_to_beat_the_parameters_as_they_are():
    """The first score of the second fit is that of the beginning; none of its epochs is better."""
    X_y, held_out = data("multiclass")
    script = Script(7, 8, 9)
    model = make("multiclass", scoring=script, early_stopping=True, warm_start=True, max_iter=3)
    model.fit(*X_y, **held_out)
    begun = parameters(model)
    script.scores[:] = [5, 1, 4, 3]
    model.fit(*X_y, **held_out)
    np.testing.assert_array_equal(parameters(model), begun)
    assert model.best_validation_score_ == 5
    assert model.history_.best_epoch is None
    assert model.history_["val_score"] == [1, 4, 3]
    assert model.validation_scores_ == [7, 8, 9, 1, 4, 3]
    assert len(model.loss_curve_) == 6
    assert len(model.history_) == model.n_iter_ == 3


def test_a_warm_start_keeps_what_beats_the_beginning():
    X_y, held_out = data("multiclass")
    script = Script(7, 8, 9)
    params = {"scoring": script, "restore_best": True, "warm_start": True, "max_iter": 3}
    model = make("multiclass", **params).fit(*X_y, **held_out)
    other = make("multiclass", warm_start=True, max_iter=3).fit(*X_y)
    assert_same_bits(model, other)
    script.scores[:] = [5, 1, 6, 3]  # 6 is less than the 9 of the fit before
    model.fit(*X_y, **held_out)
    assert model.best_validation_score_ == 6
    assert model.history_.best_epoch == 1
    other.set_params(max_iter=2).fit(*X_y)
    np.testing.assert_array_equal(parameters(model), parameters(other))


@ONE_OF_EACH
def test_the_score_to_beat_is_of_the_new_validation_data(learner):
    (X, y), held_out = data(learner)
    model = make(learner, warm_start=True, early_stopping=True, tol=1.0, n_iter_no_change=1)
    model.set_params(max_iter=5).fit(X, y, X_val=X, y_val=y)
    bar = model.score(*held_out.values())
    assert bar != model.best_validation_score_
    model.fit(X, y, **held_out)
    assert model.n_iter_ == 2  # an improvement of 1 is not to be had: the count began anew
    scores = model.validation_scores_[-2:]
    assert model.best_validation_score_ == max(bar, *scores)


def test_a_warm_start_from_a_fit_without_validation():
    X_y, held_out = data("one output")
    model = make("one output", warm_start=True).fit(*X_y)
    assert model.validation_scores_ is None
    model.fit(*X_y, **held_out)
    assert len(model.validation_scores_) == 4
    assert len(model.loss_curve_) == 8
    model.fit(*X_y)
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert "val_loss" not in model.history_
    assert len(model.loss_curve_) == 12


def test_a_warm_start_goes_on_as_without_validation():
    X_y, held_out = data("multiclass")
    with_, without = make("multiclass", warm_start=True), make("multiclass", warm_start=True)
    for _ in range(2):
        with_.fit(*X_y, **held_out)
        without.fit(*X_y)
    assert_same_bits(with_, without)


# ---- pipelines and searches ----

FACTORS = np.array([1.0, 10.0, 0.1, 3.0, 5.0])


def scaled_pipeline(network, **params):
    return make_pipeline(StandardScaler(), network, **params)


def by_hand(learner, **params):
    """The network that a pipeline with transformed validation rows has at its end."""
    (X, y), held_out = data(learner, lambda X: X * FACTORS + 1)
    scaler = StandardScaler().fit(X)
    held_out["X_val"] = scaler.transform(held_out["X_val"])
    return make(learner, **params).fit(scaler.transform(X), y, **held_out)


def same_history(one, other):
    return all(one[column] == other[column] for column in one if column != "seconds")


@pytest.mark.parametrize("learner", ["multiclass", "multilabel", "two outputs"])
def test_routing_transforms_validation_rows(learner):
    X_y, held_out = data(learner, lambda X: X * FACTORS + 1)
    with sklearn.config_context(enable_metadata_routing=True):
        network = make(learner, early_stopping=True)
        network.set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = scaled_pipeline(network, transform_input=["X_val"])
        pipeline.fit(*X_y, **held_out)
    expected = by_hand(learner, early_stopping=True)
    assert_same_bits(pipeline[-1], expected)
    assert same_history(pipeline[-1].history_, expected.history_)
    assert pipeline.score(*held_out.values()) == pipeline[-1].best_validation_score_


@pytest.mark.parametrize("routing", [False, True])
def test_without_being_asked_a_pipeline_passes_rows_untransformed(routing):
    X_y, held_out = data("multiclass", lambda X: X * FACTORS + 1)
    script = Script(1, 2)
    with sklearn.config_context(enable_metadata_routing=routing):
        network = make("multiclass", scoring=script, max_iter=2)
        if routing:
            network.set_fit_request(X_val=True, y_val=True)
        else:
            held_out = {f"mlpclassifier__{name}": values for name, values in held_out.items()}
        scaled_pipeline(network).fit(*X_y, **held_out)
    for X, _ in script.shown:
        np.testing.assert_array_equal(X, ALL[N:] * FACTORS + 1)


def test_rows_of_another_width_do_not_go_unnoticed():
    X_y, held_out = data("multiclass")
    held_out = {f"mlpclassifier__{name}": values for name, values in held_out.items()}
    with pytest.raises(ValueError, match=r"X_val.*5 features.*expecting 3"):
        make_pipeline(PCA(3), make("multiclass")).fit(*X_y, **held_out)


def test_weights_of_validation_rows_are_routed():
    X_y, held_out = data("multiclass")
    with sklearn.config_context(enable_metadata_routing=True):
        network = make("multiclass").set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = make_pipeline(network)
        pipeline.fit(*X_y, **held_out, sample_weight_val=WEIGHTS[N:])
    expected = make("multiclass").fit(*X_y, **held_out, sample_weight_val=WEIGHTS[N:])
    assert same_history(pipeline[-1].history_, expected.history_)


@pytest.mark.parametrize("unasked", ["X_val", "sample_weight_val"])
def test_what_nobody_asked_for_is_refused(unasked):
    X_y, held_out = data("multiclass")
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match=unasked),
    ):
        make_pipeline(make("multiclass")).fit(*X_y, **{unasked: held_out["X_val"]})


@ONE_OF_EACH
def test_all_fits_of_a_search_get_the_validation_rows(learner):
    X_y, held_out = data(learner)
    seen = []

    def count(estimator, X, y):
        seen.append(len(y))
        return -len(seen)

    grid = {"alpha": [1e-4, 1.0]}
    network = make(learner, early_stopping=True, metrics=[count])
    search = GridSearchCV(network, grid, cv=3, error_score="raise").fit(*X_y, **held_out)
    assert seen == [N_VAL] * (2 * 3 + 1) * 4
    alone = make(learner, early_stopping=True, **search.best_params_).fit(*X_y, **held_out)
    assert_same_bits(search.best_estimator_, alone)


def test_a_search_cuts_what_is_as_long_as_the_training_data():
    """What the documentation warns of."""
    (X, y), _ = data("multiclass")
    seen = []

    def count(estimator, X, y):
        seen.append(len(y))
        return 0.0

    network = make("multiclass", scoring=count, max_iter=1)
    GridSearchCV(network, {"alpha": [0.1]}, cv=3, error_score="raise").fit(X, y, X_val=X, y_val=y)
    assert seen == [40, 40, 40, 60]


def test_a_search_over_a_pipeline_with_routing():
    X_y, held_out = data("multiclass", lambda X: X * FACTORS + 1)
    with sklearn.config_context(enable_metadata_routing=True):
        network = make("multiclass", early_stopping=True).set_fit_request(X_val=True, y_val=True)
        pipeline = scaled_pipeline(network, transform_input=["X_val"])
        grid = {"mlpclassifier__learning_rate_init": [0.001, 0.1]}
        search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(*X_y, **held_out)
    rate = search.best_params_["mlpclassifier__learning_rate_init"]
    expected = by_hand("multiclass", early_stopping=True, learning_rate_init=rate)
    assert_same_bits(search.best_estimator_[-1], expected)
    assert same_history(search.best_estimator_[-1].history_, expected.history_)


@pytest.mark.parametrize("method", ["split", "given"])
def test_scoring_must_suit_the_targets(method):
    y = LEARNERS["multilabel"][1]
    model = MLPClassifier(scoring="balanced_accuracy", early_stopping=True, max_iter=2)
    given = {} if method == "split" else {"X_val": ALL[N:], "y_val": y[N:]}
    with pytest.raises(ValueError, match="balanced_accuracy"):
        model.fit(ALL[:N], y[:N], **given)


def test_a_scoring_function_may_have_the_name_of_a_column():
    def score(estimator, X, y):
        return -1.0

    model = MLPRegressor(scoring=score, early_stopping=True, max_iter=3, random_state=0)
    assert model.fit(ALL, SIGNAL).validation_scores_ == [-1.0] * 3


def test_one_row_is_too_few_for_r2():
    one_row = {"X_val": ALL[:1], "y_val": SIGNAL[:1]}
    with pytest.raises(ValueError, match="R2 is not defined"):
        MLPRegressor(max_iter=2).fit(ALL, SIGNAL, **one_row)
    model = MLPRegressor(max_iter=2, scoring="loss").fit(ALL, SIGNAL, **one_row)
    np.testing.assert_allclose(model.validation_scores_, np.negative(model.history_["val_loss"]))
