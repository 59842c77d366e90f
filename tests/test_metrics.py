"""Metrics: ours against scikit-learn's on predictions, scorers, and what is refused."""

import pickle
import re
import warnings

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics as skm
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from sklearn_mlp._metrics import METRICS, Metric, default_metric, resolve, wants_gradient_norm

pytestmark = pytest.mark.filterwarnings("error")  # none of ours warns

DTYPES = [np.float32, np.float64]
N_ROWS = 31


def one(metric, kind="classifier"):
    (found,) = resolve(metric, kind=kind)
    assert isinstance(found, Metric)
    return found


def multiclass(n_rows=N_ROWS, dtype=np.float64, n_classes=5):
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(n_rows, n_classes)).astype(dtype)
    return raw, rng.integers(n_classes, size=(n_rows, 1), dtype=np.int32), "softmax"


def binary(n_rows=N_ROWS, dtype=np.float64, n_outputs=1):
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(n_rows, n_outputs)).astype(dtype)
    return raw, rng.integers(2, size=(n_rows, n_outputs), dtype=np.int32), "logistic"


def multilabel(n_rows=N_ROWS, dtype=np.float64):
    return binary(n_rows, dtype, n_outputs=2)


def numbers(n_rows=N_ROWS, dtype=np.float64, link="identity", n_outputs=1):
    rng = np.random.default_rng(2)
    raw = rng.normal(size=(n_rows, n_outputs)).astype(dtype)
    return raw, rng.gamma(2.0, size=(n_rows, n_outputs)).astype(dtype), link


def several_numbers(n_rows=N_ROWS, dtype=np.float64):
    return numbers(n_rows, dtype, n_outputs=3)


def exponentials(n_rows=N_ROWS, dtype=np.float64):
    return numbers(n_rows, dtype, link="exp", n_outputs=2)


def labels_of(raw, link):
    return raw.argmax(axis=1) if link == "softmax" else raw > 0


def predictions_of(raw, link):
    """Of a binary classifier the probability of 1, of a regressor the prediction."""
    if link == "softmax":
        return softmax(raw, axis=1)
    return {"logistic": expit, "identity": np.array, "exp": np.exp}[link](raw)


def raw_of(raw, link):
    return raw


def max_error(y, prediction):
    return np.mean([skm.max_error(y[:, j], prediction[:, j]) for j in range(y.shape[1])])


def log_loss(y, proba):
    return skm.log_loss(y, proba, labels=np.arange(max(2, proba.shape[1])))


def multilabel_log_loss(y, proba):
    return sum(log_loss(y[:, j], proba[:, [j]]) for j in range(y.shape[1]))


def top_k(k):
    return lambda y, raw: skm.top_k_accuracy_score(y[:, 0], raw, k=k, labels=np.arange(raw.shape[1]))


# name, data, scikit-learn's function, what it takes next to the targets
CLASSIFIER_CASES = [
    *(("accuracy", data, skm.accuracy_score, labels_of) for data in (multiclass, binary, multilabel)),
    *(
        ("balanced_accuracy", data, skm.balanced_accuracy_score, labels_of)
        for data in (multiclass, binary)
    ),
    *((f"top_{k}_accuracy", multiclass, top_k(k), raw_of) for k in (1, 2, 4)),
    ("log_loss", multiclass, log_loss, predictions_of),
    ("log_loss", binary, log_loss, predictions_of),
    ("log_loss", multilabel, multilabel_log_loss, predictions_of),
]
REGRESSOR_FUNCTIONS = {
    "mse": skm.mean_squared_error,
    "rmse": skm.root_mean_squared_error,
    "mae": skm.mean_absolute_error,
    "mape": skm.mean_absolute_percentage_error,
    "r2": skm.r2_score,
    "median_absolute_error": skm.median_absolute_error,
    "max_error": max_error,
}
REGRESSOR_CASES = [
    (name, data, function, predictions_of)
    for name, function in REGRESSOR_FUNCTIONS.items()
    for data in (numbers, several_numbers, exponentials)
]
CASES = CLASSIFIER_CASES + REGRESSOR_CASES
IDS = [f"{name}-{data.__name__}" for name, data, *_ in CASES]
every_case = pytest.mark.parametrize(("name", "data", "function", "predict"), CASES, ids=IDS)


def kind_of(name):
    return "regressor" if name in REGRESSOR_FUNCTIONS else "classifier"


def test_every_metric_has_a_case():
    assert {re.sub(r"top_\d", "top_K", name) for name, *_ in CASES} == set(METRICS)
    assert all(row.kind == kind_of(name) for name, row in METRICS.items())


@every_case
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_those_of_scikit_learn(name, data, function, predict, dtype):
    raw, targets, link = data(dtype=dtype)
    before = raw.copy(), targets.copy()
    value = one(name, kind_of(name)).from_raw(raw, targets, link)
    assert type(value) is float
    assert np.array_equal(raw, before[0])
    assert np.array_equal(targets, before[1])
    # In float64, whatever the dtype: what there is to be lost in float32 is lost in the raw scores.
    wide = raw if link == "exp" else raw.astype(np.float64)
    expected = function(targets, predict(wide, link).astype(np.float64))
    assert value == pytest.approx(expected, rel=1e-12)


@every_case
def test_one_row(name, data, function, predict):
    raw, targets, link = data(n_rows=1)
    value = one(name, kind_of(name)).from_raw(raw, targets, link)
    if name == "r2":
        assert np.isnan(value)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a class without rows
            expected = function(targets, predict(raw, link))
        assert value == pytest.approx(expected, rel=1e-12)


@every_case
def test_a_weight_is_a_number_of_repetitions(name, data, function, predict):
    raw, targets, link = data()
    weights = np.arange(N_ROWS) % 4
    weights[np.abs(raw).max(axis=1).argmax()] = 0
    weights[0] += (weights.sum() + 1) % 2  # an odd number of rows has one median
    metric = one(name, kind_of(name))
    repeated = metric.from_raw(raw.repeat(weights, axis=0), targets.repeat(weights, axis=0), link)
    for dtype in DTYPES:
        weighted = metric.from_raw(raw, targets, link, weights.astype(dtype))
        assert weighted == pytest.approx(repeated, rel=1e-12)
    assert weighted != pytest.approx(metric.from_raw(raw, targets, link), rel=1e-6)


@every_case
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_epoch_is_nan(name, data, function, predict, bad):
    raw, targets, link = data()
    raw[3, 0] = bad
    assert np.isnan(one(name, kind_of(name)).from_raw(raw, targets, link))


@pytest.mark.parametrize("name", REGRESSOR_FUNCTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_exponential_that_overflows_is_nan(name, dtype):
    raw, targets, link = exponentials(dtype=dtype)
    raw[0, 0] = 1000
    assert np.isnan(one(name, "regressor").from_raw(raw, targets, link))


def test_a_square_that_overflows_is_infinite():
    raw, targets, link = numbers()
    raw[0] = 1e200
    assert one("mse", "regressor").from_raw(raw, targets, link) == np.inf
    assert one("r2", "regressor").from_raw(raw, targets, link) == -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_log_loss_is_not_clipped(dtype):
    log_loss = one("log_loss")
    raw = np.array([[0, 2000], [3000, 0]], dtype=dtype)
    assert log_loss.from_raw(raw, np.zeros((2, 1), np.int32), "softmax") == 1000
    labels = np.array([[0, 0], [0, 1]], np.int32)
    assert log_loss.from_raw(raw, labels, "logistic") == pytest.approx(2500 + np.log(2))


def test_a_single_label_is_binary():
    raw, targets, link = binary()
    assert raw.shape == (N_ROWS, 1)
    accuracy = one("accuracy").from_raw(raw, targets, link)
    assert accuracy == skm.accuracy_score(targets[:, 0], raw[:, 0] > 0)


def test_a_score_of_zero_is_the_first_class():
    targets = np.array([[0], [0], [1]], np.int32)
    for n_outputs, link in ((1, "logistic"), (3, "softmax")):
        value = one("accuracy").from_raw(np.zeros((3, n_outputs)), targets, link)
        assert value == pytest.approx(2 / 3)


def test_multilabel_accuracy_is_of_subsets():
    raw = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert one("accuracy").from_raw(raw, np.ones((2, 2), np.int32), "logistic") == 0.5


def test_a_class_that_is_only_predicted_does_not_count():
    raw = np.eye(3)[[0, 2, 1]]
    targets = np.array([[0], [0], [1]], np.int32)
    assert one("balanced_accuracy").from_raw(raw, targets, "softmax") == 0.75


@every_case
def test_weights_of_float32_are_added_up_in_float64(name, data, function, predict):
    raw, targets, link = data()
    weights = np.linspace(0.1, 1, N_ROWS, dtype=np.float32)
    metric = one(name, kind_of(name))
    expected = metric.from_raw(raw, targets, link, weights.astype(np.float64))
    assert metric.from_raw(raw, targets, link, weights) == pytest.approx(expected, rel=1e-14)


# The fit of a metric to a problem.


@pytest.mark.parametrize(
    ("name", "link", "n_outputs", "message"),
    [
        ("top_5_accuracy", "softmax", 3, "'top_5_accuracy' needs more than 5 classes, and there are 3"),
        ("top_3_accuracy", "softmax", 3, "needs more than 3 classes, and there are 3"),
        ("top_1_accuracy", "logistic", 1, "more than two classes, one class per row"),
        ("top_2_accuracy", "logistic", 4, "more than two classes, one class per row"),
        ("balanced_accuracy", "logistic", 2, "is not defined for multilabel targets"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(name, link, n_outputs, message):
    with pytest.raises(ValueError, match=message):
        one(name).check(link, n_outputs)


@every_case
def test_metrics_that_fit_pass(name, data, function, predict):
    raw, _, link = data()
    assert one(name, kind_of(name)).check(link, raw.shape[1]) is None


# Scorers and callables.


@pytest.fixture(scope="module")
def fitted():
    X, y = make_classification(60, random_state=0, flip_y=0.3)
    return LogisticRegression().fit(X, y), X, y, 1.0 + np.arange(60) % 3


def total_weight(estimator, X, y, sample_weight=(0.25, 0.25)):
    return sum(sample_weight)


def count(estimator, X, y):
    return np.int64(len(y))


class Half:
    def __call__(self, estimator, X, y, **others):
        assert not others
        return np.float32(0.5)


def test_a_name_of_a_scorer(fitted):
    model, X, y, weights = fitted
    metric = one("roc_auc")
    assert metric.name == "roc_auc"
    assert not metric.on_training
    assert metric.check("softmax", 3) is None
    scores = model.decision_function(X)
    assert metric.from_estimator(model, X, y) == skm.roc_auc_score(y, scores)
    expected = skm.roc_auc_score(y, scores, sample_weight=weights)
    assert metric.from_estimator(model, X, y, weights) == expected
    assert expected != skm.roc_auc_score(y, scores)


def test_a_scorer_object(fitted):
    model, X, y, weights = fitted
    metric = one(skm.make_scorer(skm.fbeta_score, beta=2))
    assert metric.name == "fbeta_score"
    expected = skm.fbeta_score(y, model.predict(X), beta=2, sample_weight=weights)
    assert metric.from_estimator(model, X, y, weights) == expected


def test_callables_get_weights_if_they_have_a_parameter_for_them(fitted):
    model, X, y, weights = fitted
    found = resolve([total_weight, count, Half(), max], kind="regressor")
    assert [metric.name for metric in found] == ["total_weight", "count", "Half", "max"]
    assert [metric.weighted for metric in found] == [True, False, False, False]
    assert not any(metric.on_training for metric in found)
    values = [metric.from_estimator(model, X, y, weights) for metric in found[:3]]
    assert values == [weights.sum(), 60.0, 0.5]
    assert {type(value) for value in values} == {float}
    assert found[0].from_estimator(model, X, y) == 0.5


@pytest.mark.parametrize("value", ["0.5", None, 1j, True, np.ones(2)])
def test_a_callable_must_return_a_number(fitted, value):
    def strange(estimator, X, y):
        return value

    with pytest.raises(TypeError, match="metric 'strange' must return a real number, got"):
        one(strange).from_estimator(*fitted[:3])


# Names.


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_ours_go_before_scorers_of_the_same_name(name):
    assert name in skm.get_scorer_names()
    assert one(name).on_training


@pytest.mark.parametrize(("kind", "name"), [("classifier", "accuracy"), ("regressor", "r2")])
def test_the_default_metric(kind, name):
    assert default_metric(kind) == name
    assert one(name, kind).on_training


def test_scikit_learns_top_k_accuracy_stays_a_scorer():
    assert not one("top_k_accuracy").on_training


@pytest.mark.parametrize("given", [None, [], ()])
def test_no_metrics(given):
    assert resolve(given, kind="classifier") == []
    assert not wants_gradient_norm(given)


@pytest.mark.parametrize("sequence", [list, tuple])
def test_the_order_is_kept(sequence):
    names = ["log_loss", "f1", "top_12_accuracy", "accuracy"]
    assert [metric.name for metric in resolve(sequence(names), kind="classifier")] == names


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_the_gradient_norm_is_left_out(kind):
    name = default_metric(kind)
    assert resolve("gradient_norm", kind=kind) == []
    assert [metric.name for metric in resolve(["gradient_norm", name], kind=kind)] == [name]
    assert wants_gradient_norm("gradient_norm")
    assert wants_gradient_norm([count, name, "gradient_norm"])
    assert not wants_gradient_norm([count, name])


@pytest.mark.parametrize(
    ("name", "kind", "listed"),
    [
        ("acuracy", "classifier", "'accuracy', 'balanced_accuracy', 'top_K_accuracy', 'log_loss'"),
        ("top_K_accuracy", "classifier", "with a number for K"),
        ("top_0_accuracy", "classifier", "get_scorer_names"),
        ("top_-1_accuracy", "classifier", "for validation rows also any scorer"),
        ("", "classifier", "'gradient_norm'"),
        (
            "MSE",
            "regressor",
            "'mse', 'rmse', 'mae', 'mape', 'r2', 'median_absolute_error', 'max_error'",
        ),
    ],
)
def test_an_unknown_name(name, kind, listed):
    with pytest.raises(ValueError, match=f"metric '{name}' is unknown.*{listed}"):
        resolve(name, kind=kind)


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_the_other_kind_are_refused(name):
    kind, other = METRICS[name].kind, {"classifier": "regressor", "regressor": "classifier"}
    name = name.replace("K", "3")
    with pytest.raises(ValueError, match=f"'{name}' is for a {kind}, and a {other[kind]} predicts"):
        resolve(["gradient_norm", name], kind=other[kind])


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["accuracy", "accuracy"], "accuracy"),
        (["gradient_norm", "log_loss", "gradient_norm"], "gradient_norm"),
        ([lambda e, X, y: 0.0, lambda e, X, y: 1.0], "<lambda>"),
        ([skm.make_scorer(skm.f1_score), skm.make_scorer(skm.f1_score, pos_label=0)], "f1_score"),
    ],
)
def test_names_are_unique(given, name):
    with pytest.raises(ValueError, match=f"'{name}' comes more than once"):
        resolve(given, kind="classifier")


@pytest.mark.parametrize("name", ["loss", "score"])
def test_names_of_columns_are_reserved(name):
    def metric(estimator, X, y):
        return 0.0

    metric.__name__ = name
    with pytest.raises(ValueError, match=f"cannot be called '{name}'.*'val_{name}'"):
        resolve(metric, kind="classifier")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "must be a name, a callable or a list"),
        ({"a": "accuracy"}, "must be a name, a callable or a list"),
        (["accuracy", 3], "must hold names, scorers or callables; got 3"),
        ([None], "must hold names, scorers or callables; got None"),
        (skm.f1_score, r"make_scorer\(f1_score\)"),
    ],
)
def test_wrong_types(given, message):
    with pytest.raises(TypeError, match=message):
        resolve(given, kind="classifier")


def test_metrics_can_be_pickled(fitted):
    model, X, y, _ = fitted
    found = resolve(["accuracy", "top_2_accuracy", "f1", count], kind="classifier")
    copies = pickle.loads(pickle.dumps(found))
    assert [metric.name for metric in copies] == ["accuracy", "top_2_accuracy", "f1", "count"]
    raw, targets, link = multiclass()
    for old, new in zip(found[:2], copies[:2], strict=True):
        assert new.from_raw(raw, targets, link) == old.from_raw(raw, targets, link)
    for old, new in zip(found[2:], copies[2:], strict=True):
        assert new.from_estimator(model, X, y) == old.from_estimator(model, X, y)
