"""Prediction into arrays of one's own, predictors, and the way past scikit-learn's validation."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
import warnings
import weakref

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn.exceptions import NotFittedError

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp import _base as base
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._blas import INSTRUCTION_SET
from sklearn_mlp._build_config import INSTRUCTION_SETS
from sklearn_mlp._predict import PREDICTION, ClassifierPredictor, Predictor, predict_exact

DTYPES = ["float32", "float64"]
N_FEATURES = 5

# Rows alone and rows among others: BLAS, which the portable build calls, promises no more.
SAME = {} if INSTRUCTION_SET != "portable" else {"rtol": 1e-4, "atol": 1e-6}


def assert_same(actual, expected):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if SAME and actual.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, **SAME)
    else:
        np.testing.assert_array_equal(actual, expected)


def rows(n, dtype="float64", seed=0, n_features=N_FEATURES):
    return np.random.RandomState(seed).standard_normal((n, n_features)).astype(dtype)


X = rows(60)
TASKS = {
    "binary": (MLPClassifier, {}, (X[:, 0] > 0).astype(int)),
    "multiclass": (MLPClassifier, {}, np.digitize(X[:, 0], [-0.5, 0.5])),
    "multilabel": (MLPClassifier, {}, (X[:, :3] > 0).astype(int)),
    "strings": (MLPClassifier, {}, np.array(["pear", "fig", "apple"])[np.digitize(X[:, 0], [-1, 1])]),
    "booleans": (MLPClassifier, {}, X[:, 0] > 0),
    "small integers": (MLPClassifier, {}, np.digitize(X[:, 0], [0, 1]).astype(np.int8) - 7),
    "regression": (MLPRegressor, {}, X[:, 0]),
    "two outputs": (MLPRegressor, {}, X[:, :2]),
    "positive": (MLPRegressor, {"loss": "poisson"}, np.abs(X[:, 0])),
}
CLASSIFICATIONS = [name for name, task in TASKS.items() if task[0] is MLPClassifier]
EACH_TASK = pytest.mark.parametrize("task", TASKS)
EACH_CLASSIFICATION = pytest.mark.parametrize("task", CLASSIFICATIONS)
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
MODELS = {}


def fit(task, dtype="float64", **params):
    """A model of its own."""
    kind, more, y = TASKS[task]
    params = {"hidden_layer_sizes": (7, 6), "max_iter": 3, "random_state": 0, **more, **params}
    return refit(kind(**params), X.astype(dtype), y)


def refit(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        return model.fit(X, y)


def shared(task, dtype="float64"):
    """A model that no test changes."""
    if (task, dtype) not in MODELS:
        MODELS[task, dtype] = fit(task, dtype)
    return MODELS[task, dtype]


def by_validation(monkeypatch):
    """Send every array through scikit-learn's validation."""
    monkeypatch.setattr(base, "predict_exact", lambda *args: None)


METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function"]


def methods_of(model):
    return METHODS if isinstance(model, MLPClassifier) else METHODS[:1]


# The way past validation.


@EACH_DTYPE
@EACH_TASK
@pytest.mark.parametrize("n_rows", [1, 16, 17, 500])
def test_arrays_that_need_no_validation_give_the_same_bits_without_it(task, dtype, n_rows, monkeypatch):
    model, data = shared(task, dtype), rows(n_rows, dtype, seed=1)
    assert predict_exact(model, data, PREDICTION) is not None
    quick = {name: getattr(model, name)(data) for name in methods_of(model)}
    by_validation(monkeypatch)
    for name, result in quick.items():
        expected = getattr(model, name)(data)
        np.testing.assert_array_equal(result, expected, err_msg=name)
        assert (result.dtype, result.shape) == (expected.dtype, expected.shape), name


@EACH_TASK
def test_a_row_has_the_same_bits_alone_and_among_others(task):
    model, data = shared(task), rows(1000, seed=2)
    for name in methods_of(model):
        together = getattr(model, name)(data)
        for i in (0, 1, 500, 999):
            assert_same(getattr(model, name)(data[i : i + 1]), together[i : i + 1])


def by_numpy(model, data):
    """Raw scores in double."""
    values = data.astype(float)
    for coefs, intercepts in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        values = np.maximum(values @ coefs.astype(float) + intercepts, 0)
    return values @ model.coefs_[-1].astype(float) + model.intercepts_[-1]


sizes = st.integers(1, 70)


@settings(max_examples=60, deadline=None)
@given(
    n_features=st.integers(1, 300),
    hidden=st.lists(sizes, max_size=2),
    n_outputs=st.integers(1, 40),
    n_rows=st.integers(1, 60),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**16),
)
def test_any_shape_agrees_with_numpy_and_with_its_rows(
    n_features, hidden, n_outputs, n_rows, dtype, seed
):
    data = rows(max(n_rows, 2), dtype, seed, n_features)
    y = np.random.RandomState(seed).standard_normal((len(data), n_outputs))
    y = y[:, 0] if n_outputs == 1 else y
    model = refit(MLPRegressor(hidden_layer_sizes=hidden, max_iter=1, random_state=seed), data, y)
    expected = by_numpy(model, data)
    result = model.predict(data).reshape(expected.shape)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(result, expected, rtol=1e3 * eps, atol=1e3 * eps)
    predictor = model.make_predictor(max_batch=3)
    for i in range(0, n_rows, 3):
        part = predictor.predict(data[i : i + 3])
        assert_same(part.reshape(-1, n_outputs), result[i : i + 3])


@EACH_DTYPE
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_each_activation_has_the_same_bits_alone_and_among_others(activation, dtype):
    model = fit("two outputs", dtype, activation=activation, hidden_layer_sizes=(37, 11))
    data, predictor = rows(50, dtype, seed=3), None
    together, predictor = model.predict(data), model.make_predictor()
    for i in range(50):
        assert_same(predictor.predict(data[i : i + 1]), together[i : i + 1])
    np.testing.assert_allclose(
        together, model._network.forward(data), rtol=1e3 * np.finfo(dtype).eps, atol=1e-5
    )


@pytest.mark.parametrize("width", [100, 700])
def test_wide_layers_and_many_rows_agree_with_numpy(width):
    model = fit("multiclass", "float32", hidden_layer_sizes=(width, width))
    data = rows(2500, "float32", seed=4)
    np.testing.assert_allclose(
        model.decision_function(data), by_numpy(model, data), rtol=2e-4, atol=2e-5
    )


SCRIPT = """
import sys, numpy as np
from sklearn_mlp import MLPRegressor
from sklearn_mlp._blas import INSTRUCTION_SET
print(INSTRUCTION_SET, flush=True)
X = np.random.RandomState(0).standard_normal((300, 41)).astype("float32")
*hidden, outputs = map(int, sys.argv[1:])
for dtype in ("float32", "float64"):
    model = MLPRegressor(hidden_layer_sizes=hidden, max_iter=1, random_state=0)
    model.partial_fit(X.astype(dtype)[:5], X[:5, :outputs])
    for coefs in model.coefs_ + model.intercepts_:  # exact numbers, whoever has trained
        coefs[:] = np.random.RandomState(1).randint(-99, 99, coefs.shape) / 256
    for rows in (1, 2, 24, 25, 300):
        sys.stdout.buffer.write(model.predict(X[:rows].astype(dtype)).astype("float64").tobytes())
"""


def predicted_with(instruction_set, widths):
    """The set that SCRIPT ran with, and what it predicted; None: the one that the import chooses."""
    env = {**os.environ, "SKLEARN_MLP_INSTRUCTION_SET": instruction_set or ""}
    command = [sys.executable, "-P", "-c", SCRIPT, *map(str, widths)]
    run = subprocess.run(command, env=env, check=True, capture_output=True)
    name, predictions = run.stdout.split(b"\n", 1)
    predictions = np.frombuffer(predictions)
    assert predictions.size == 2 * widths[-1] * 352
    return name.decode(), predictions


def exact_predictions(widths):
    """Of SCRIPT, in extended precision."""
    X = np.random.RandomState(0).standard_normal((300, 41)).astype("float32").astype("longdouble")
    values = X
    for shape in zip([41, *widths], widths, strict=False):
        weights = np.random.RandomState(1).randint(-99, 99, shape) / 256
        intercepts = np.random.RandomState(1).randint(-99, 99, shape[1]) / 256
        values = (values if values is X else np.maximum(values, 0)) @ weights + intercepts
    return np.concatenate([values[:rows].ravel() for rows in (1, 2, 24, 25, 300)])


@pytest.mark.parametrize("name", [None, *INSTRUCTION_SETS])
def test_instruction_sets_differ_by_rounding_alone(name, instruction_sets):
    if name not in (None, *instruction_sets):
        pytest.skip(f"this processor has no {name}")
    widths = 77, 19, 3
    used, predictions = predicted_with(name, widths)
    assert name in (None, used)
    exact = exact_predictions(widths)
    for dtype, part in zip(DTYPES, np.split(predictions, 2), strict=True):
        assert abs(part - exact).max() < 4 * np.finfo(dtype).eps * abs(exact).max()


def test_instruction_sets_with_fma_agree_to_the_bit_where_vectors_are_whole(instruction_sets):
    """Other last columns may go by dot products, whose order of sums goes by the width of vectors."""
    names = [name for name in instruction_sets if name != "portable"]
    if not names:
        pytest.skip("this processor or build has no instruction set with FMA")
    expected, *others = [predicted_with(name, (80, 48, 16))[1] for name in [None, *names]]
    for predictions in others:
        np.testing.assert_array_equal(predictions, expected)


def inexact(data):
    """The same numbers in forms that need validation."""
    yield data.tolist()
    yield pd.DataFrame(data).to_numpy(dtype="float64" if data.dtype == "float32" else "float32")
    yield np.asfortranarray(data)
    yield np.repeat(data, 2, axis=0)[::2]
    yield data.astype(data.dtype.newbyteorder())
    yield np.frombuffer(b"." + data.tobytes(), np.uint8)[1:].view(data.dtype).reshape(data.shape)
    yield data.view(np.memmap)
    yield csr_matrix(data)
    yield csr_array(data)


@EACH_DTYPE
@EACH_TASK
def test_other_forms_of_the_numbers_go_through_validation(task, dtype):
    model = shared(task, dtype)
    data = np.round(rows(5, dtype, seed=5), 2).astype("float32").astype(dtype)
    for form in inexact(data):
        assert predict_exact(model, form, PREDICTION) is None
        for name in methods_of(model):
            result, expected = getattr(model, name)(form), getattr(model, name)(data)
            np.testing.assert_allclose(
                *(result, expected) if result.dtype.kind == "f" else (result == expected, True),
                rtol=1e-4, atol=1e-5,
            )  # fmt: skip


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_names_of_columns_are_checked_as_by_scikit_learn(frame):
    columns = list("abcde")
    named = frame(dict(zip(columns, X.T, strict=True)))
    model = refit(fit("binary"), named, TASKS["binary"][2])
    if not hasattr(model, "feature_names_in_"):
        pytest.skip("this scikit-learn does not read the names of these frames")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = model.predict_proba(named)
    with pytest.warns(UserWarning, match="valid feature names"):
        np.testing.assert_array_equal(model.predict_proba(X), expected)
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict_into(X, np.empty(len(X), int))
    with warnings.catch_warnings():  # a predictor takes arrays, and has nothing to say on names
        warnings.simplefilter("error")
        assert_same(model.make_predictor(len(X)).predict_proba(X), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_rows", [1, 3, 40, 5000])
@EACH_DTYPE
def test_numbers_that_are_not_finite_are_found_wherever_they_are(bad, n_rows, dtype, monkeypatch):
    model, predictor = shared("binary", dtype), shared("binary", dtype).make_predictor(n_rows)
    out = np.empty((n_rows, 2), dtype)
    for place in {0, 7, n_rows * N_FEATURES // 2, n_rows * N_FEATURES - 1}:
        data = rows(n_rows, dtype)
        data.reshape(-1)[place % data.size] = bad
        for call in (
            model.predict, model.predict_proba, model.predict_log_proba, model.decision_function,
            lambda data: model.predict_proba_into(data, out), predictor.predict_proba,
            lambda data: predictor.predict_proba_into(data, out),
        ):  # fmt: skip
            with pytest.raises(ValueError, match="Input X contains") as quick:
                call(data)
    with monkeypatch.context() as patch:
        by_validation(patch)
        with pytest.raises(ValueError, match="Input X contains") as slow:
            model.predict(data)
    assert str(quick.value).splitlines()[0] == str(slow.value).splitlines()[0]


def test_the_message_on_nan_is_scikit_learns(monkeypatch):
    model, data = shared("binary"), np.full((1, N_FEATURES), np.nan)
    messages = []
    for _ in range(2):
        with pytest.raises(ValueError, match="Input X contains NaN") as error:
            model.predict(data)
        messages.append(str(error.value))
        by_validation(monkeypatch)
    assert messages[0] == messages[1]


@EACH_TASK
def test_assume_finite_is_obeyed(task, monkeypatch):
    model = shared(task)
    data = rows(600)
    data[[0, 1, 300, 599], [0, 1, 2, 3]] = np.nan, np.inf, -np.inf, np.nan
    with sklearn.config_context(assume_finite=True):
        quick = model.predict(data), model.make_predictor(600).predict(data)
        by_validation(monkeypatch)
        np.testing.assert_array_equal(quick[0], model.predict(data))
        np.testing.assert_array_equal(quick[0], quick[1])


def test_an_estimator_that_is_not_fitted_says_so():
    for model in (MLPClassifier(), MLPRegressor()):
        for call in (
            model.predict, model.make_predictor, lambda X, m=model: m.predict_into(X, np.zeros(60))
        ):  # fmt: skip
            with pytest.raises(NotFittedError):
                call(X)


def test_a_subclass_decides_when_it_is_fitted():
    class Reluctant(MLPRegressor):
        ready = True

        def __sklearn_is_fitted__(self):
            return self.ready

    model = refit(Reluctant(hidden_layer_sizes=3, max_iter=5), X, X[:, 0])
    model.predict(X)
    model.ready = False
    with pytest.raises(NotFittedError):
        model.predict(X)


# Into an array.


def empty_like(result):
    return np.full_like(result, np.zeros(1, result.dtype)[0])


@EACH_DTYPE
@EACH_TASK
@pytest.mark.parametrize("n_rows", [1, 2, 40, 1000])
def test_into_writes_what_predict_returns(task, dtype, n_rows):
    model, data = shared(task, dtype), rows(n_rows, dtype, seed=6)
    predictor = model.make_predictor(n_rows)
    names = ["predict", "predict_proba"] if isinstance(model, MLPClassifier) else ["predict"]
    for name in names:
        expected = getattr(model, name)(data)
        np.testing.assert_array_equal(getattr(predictor, name)(data), expected)
        for who in (model, predictor):
            out = empty_like(expected)
            assert getattr(who, f"{name}_into")(data, out) is out
            np.testing.assert_array_equal(out, expected)


@EACH_TASK
def test_into_takes_whatever_the_estimator_takes(task):
    model, data = shared(task), rows(4, seed=7)
    for form in (data.tolist(), csr_array(data), data.astype("float32"), np.asfortranarray(data)):
        expected = model.predict(form)
        out = empty_like(expected)
        assert model.predict_into(form, out) is out
        np.testing.assert_array_equal(out, expected)
        if isinstance(model, MLPClassifier):
            expected = model.predict_proba(form)
            out = empty_like(expected)
            np.testing.assert_array_equal(model.predict_proba_into(form, out), expected)


@pytest.mark.parametrize("shape", [0, (1, 2)])
def test_labels_that_a_file_has_spoilt_are_refused(shape):
    model = MLPClassifier(3, max_iter=1, random_state=0).fit([[0.0], [1.0]], [0, 1])
    model._label_binarizer.classes_ = np.zeros(shape, np.int64)
    with pytest.raises(ValueError, match=r"classes_ of shape .*; a classifier has one label or more"):
        model.predict_into(np.zeros((2, 1)), np.empty(2, np.int64))


def test_labels_that_are_not_numbers_can_be_had_as_places_in_classes():
    model, data = shared("strings"), rows(30, seed=8)
    places = np.full(30, -1, np.intp)
    for who in (model, model.make_predictor(30)):
        who.predict_into(data, places)
        np.testing.assert_array_equal(model.classes_[places], model.predict(data))


def test_labels_that_are_objects_can_only_be_had_as_places():
    """scikit-learn makes strings of them; here they are put in by hand."""
    model = fit("strings")
    binarizer = model._label_binarizer = copy.deepcopy(model._label_binarizer)
    binarizer.classes_ = binarizer.classes_.astype(object)
    for who in (model, model.make_predictor(60)):
        with pytest.raises(TypeError, match="out must have dtype int64"):
            who.predict_into(X, np.empty(len(X), object))
        places = who.predict_into(X, np.empty(len(X), np.intp))
        np.testing.assert_array_equal(binarizer.classes_[places], who.predict(X))
        assert who.predict(X).dtype == object


def test_one_class_is_always_predicted():
    model = MLPClassifier(hidden_layer_sizes=3, max_iter=1).partial_fit(X, [4] * 60, classes=[4])
    assert set(model.predict(X)) == {4}
    assert set(model.predict_into(X, np.zeros(60, int))) == {4}


def test_sparse_indicators_come_back_sparse_but_from_a_predictor():
    y = TASKS["multilabel"][2]
    model = refit(fit("multilabel"), X, csr_array(y))
    assert issparse(model.predict(X))
    predictor = model.make_predictor(60)
    np.testing.assert_array_equal(predictor.predict(X), model.predict(X).toarray())
    np.testing.assert_array_equal(
        model.predict_into(X, np.empty(y.shape, np.int64)), predictor.predict(X)
    )


@EACH_DTYPE
def test_probabilities_below_the_dtype_are_not_zero_and_in_order(dtype):
    for task in ("binary", "multiclass", "multilabel"):
        model = copy.deepcopy(shared(task, dtype))
        model.coefs_[-1] = model.coefs_[-1] * 3000
        proba, scores = model.predict_proba(X.astype(dtype)), model.decision_function(X.astype(dtype))
        tiny = np.finfo(dtype).tiny
        assert (proba >= tiny / 2).all()
        assert (proba <= tiny).any()
        if task == "binary":
            order = np.argsort(scores)
            assert (np.diff(proba[order, 1]) >= 0).all()
            assert (np.diff(proba[order, 0]) <= 0).all()


# Bad input.


def misaligned(shape, dtype):
    size = np.prod(shape) * np.dtype(dtype).itemsize
    return np.zeros(size + 1, np.uint8)[1:].view(dtype).reshape(shape)


def read_only(array):
    array.flags.writeable = False
    return array


GOOD = np.zeros((3, N_FEATURES))
BAD_OUT = [
    (None, TypeError, "NumPy array"),
    ([[0.0, 0.0]] * 3, TypeError, "NumPy array"),
    (np.ma.zeros((3, 2)), TypeError, "NumPy array"),
    (np.zeros((3, 2), np.float32), TypeError, "dtype float64; got float32"),
    (np.zeros((3, 2), ">f8"), TypeError, "dtype float64; got >f8"),
    (np.zeros((3, 2), complex), TypeError, "dtype"),
    (np.zeros((3, 2), object), TypeError, "dtype"),
    (np.zeros((3, 3)), ValueError, "shape"),
    (np.zeros((2, 2)), ValueError, "shape"),
    (np.zeros(6), ValueError, "shape"),
    (np.zeros((3, 2, 1)), ValueError, "shape"),
    (np.array(0.0), ValueError, "shape"),
    (np.zeros((2, 3)).T, ValueError, "C order"),
    (np.zeros((3, 4))[:, ::2], ValueError, "C order"),
    (np.zeros((3, 2))[::-1], ValueError, "C order"),
    (misaligned((3, 2), float), ValueError, "aligned"),
    (read_only(np.zeros((3, 2))), ValueError, "writeable"),
]


@pytest.mark.parametrize("of", ["estimator", "predictor", "fallback"])
@pytest.mark.parametrize(("out", "error", "message"), BAD_OUT)
def test_an_array_that_cannot_be_written_is_refused(of, out, error, message):
    model = shared("binary")
    who = model.make_predictor(3) if of == "predictor" else model
    with pytest.raises(error, match=message):
        who.predict_proba_into(GOOD.tolist() if of == "fallback" else GOOD, out)


@EACH_TASK
def test_an_array_for_labels_of_another_kind_is_refused(task):
    model, predictor = shared(task), shared(task).make_predictor(3)
    right = model.predict(GOOD)
    for dtype in ("float64", "float32", "int8", "int16", "int64", "bool", "U3", "U9", "M8[s]"):
        if np.dtype(dtype) in {right.dtype, np.dtype(np.intp) if task == "strings" else None}:
            continue
        for who in (model, predictor):
            with pytest.raises(TypeError, match="out must have dtype"):
                who.predict_into(GOOD, np.zeros(right.shape, dtype))
    for shape in ((4, *right.shape[1:]), (*right.shape, 1), (3, 7)):
        with pytest.raises(ValueError, match="out must have shape"):
            predictor.predict_into(GOOD, np.zeros(shape, right.dtype))


def test_an_array_that_shares_memory_is_refused():
    model = fit("two outputs", hidden_layer_sizes=(2,))
    block = np.zeros(3 * N_FEATURES + 6)
    data = block[: 3 * N_FEATURES].reshape(3, N_FEATURES)
    predictor = model.make_predictor(3)
    for start in (0, 1, 3 * N_FEATURES - 1):
        out = block[start : start + 6].reshape(3, 2)
        for who in (model, predictor):
            with pytest.raises(ValueError, match="share memory"):
                who.predict_into(data, out)
    beside = block[3 * N_FEATURES :].reshape(3, 2)
    np.testing.assert_array_equal(predictor.predict_into(data, beside), model.predict(data))
    with pytest.raises(ValueError, match="model's parameters"):
        predictor.predict_into(data[:2], model.coefs_[1])


BAD_X = [
    (None, TypeError, "NoneType"),
    ([[0.0] * N_FEATURES], TypeError, "list"),
    (pd.DataFrame(GOOD), TypeError, "DataFrame"),
    (csr_array(GOOD), TypeError, "csr_array"),
    (GOOD.view(np.memmap), TypeError, "memmap"),
    (GOOD.astype("float32"), TypeError, "float64; got float32"),
    (GOOD.astype(">f8"), TypeError, "dtype"),
    (GOOD.astype(object), TypeError, "dtype"),
    (GOOD[:, :4].copy(), ValueError, r"shape \(n_rows, 5\); got \(3, 4\)"),
    (GOOD[0], ValueError, "shape"),
    (GOOD[None], ValueError, "shape"),
    (np.array(0.0), ValueError, "shape"),
    (GOOD[:0], ValueError, "no rows"),
    (np.zeros((4, N_FEATURES)), ValueError, "max_batch=3"),
    (np.asfortranarray(GOOD), ValueError, "C order"),
    (np.zeros((3, 2 * N_FEATURES))[:, ::2], ValueError, "C order"),
    (GOOD[::-1], ValueError, "C order"),
    (misaligned(GOOD.shape, float), ValueError, "aligned"),
]


@pytest.mark.parametrize(("data", "error", "message"), BAD_X)
def test_a_predictor_refuses_arrays_that_need_conversion(data, error, message):
    predictor = shared("binary").make_predictor(3)
    for call in (
        predictor.predict, predictor.predict_proba,
        lambda data: predictor.predict_into(data, np.zeros(3, int)),
        lambda data: predictor.predict_proba_into(data, np.zeros((3, 2))),
    ):  # fmt: skip
        with pytest.raises(error, match=message):
            call(data)
    np.testing.assert_array_equal(predictor.predict(GOOD), shared("binary").predict(GOOD))


def test_a_predictor_reads_arrays_that_are_read_only():
    model, data = shared("binary"), read_only(rows(2))
    np.testing.assert_array_equal(model.make_predictor(2).predict(data), model.predict(data))


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError), (-1, ValueError), (2**31, ValueError), (10**30, ValueError),
        (1.0, TypeError), (True, TypeError), (None, TypeError), ("1", TypeError), (np.nan, TypeError),
    ],
)  # fmt: skip
def test_max_batch_is_a_sensible_number_of_rows(value, error):
    with pytest.raises(error, match="max_batch must be"):
        shared("binary").make_predictor(max_batch=value)


def test_scratch_stops_growing_with_max_batch():
    predictor = shared("binary").make_predictor(np.int64(2**31 - 1))
    data = rows(5000)
    np.testing.assert_array_equal(predictor.predict(data), shared("binary").predict(data))


def test_a_predictor_comes_from_a_fitted_estimator():
    for kind in (Predictor, ClassifierPredictor):
        for arguments in ((), (None,), (MLPClassifier(),), (3, 4)):
            with pytest.raises(TypeError, match="make_predictor"):
                kind(*arguments)


def test_a_regressor_predicts_no_probabilities():
    predictor = shared("regression").make_predictor()
    assert not hasattr(predictor, "predict_proba")
    assert not hasattr(shared("regression"), "predict_proba_into")
    assert not hasattr(predictor, "predict_proba_into")


def test_a_predictor_cannot_be_pickled_or_copied():
    predictor = shared("binary").make_predictor()
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="make_predictor"):
            call(predictor)


# What a predictor sees.


def test_a_predictor_sees_what_partial_fit_does():
    model = fit("binary")
    predictor, before = model.make_predictor(60), model.predict_proba(X)
    model.set_params(learning_rate_init=0.1).partial_fit(X, TASKS["binary"][2])
    assert (predictor.predict_proba(X) != before).any()
    np.testing.assert_array_equal(predictor.predict_proba(X), model.predict_proba(X))


def test_a_predictor_sees_another_activation():
    model = fit("binary")
    predictor = model.make_predictor(60)
    model.predict(X[:1])
    model.set_params(activation="tanh").partial_fit(X, TASKS["binary"][2])
    for n in (1, 60):
        np.testing.assert_array_equal(predictor.predict_proba(X[:n]), model.predict_proba(X[:n]))


def test_a_model_in_a_memory_map_predicts_and_gets_parameters_of_its_own(tmp_path):
    joblib.dump(fit("binary"), tmp_path / "model")
    model = joblib.load(tmp_path / "model", mmap_mode="r")
    assert not model._network.params.flags.writeable
    predictor, before = model.make_predictor(60), fit("binary").predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    np.testing.assert_array_equal(model.predict_proba(X[:1]), predictor.predict_proba(X[:1]))
    model.partial_fit(X, TASKS["binary"][2])
    np.testing.assert_array_equal(predictor.predict_proba(X), before)
    assert (model.predict_proba(X) != before).any()


def test_a_predictor_sees_what_is_written_into_coefs():
    model = fit("regression")
    predictor, before = model.make_predictor(60), model.predict(X)
    model.coefs_[0][:, 0] += 1
    model.intercepts_[-1] = np.array([3.0])
    assert (predictor.predict(X) != before).all()
    np.testing.assert_array_equal(predictor.predict(X), model.predict(X))
    assert_same(model.predict(X[:1]), model.predict(X)[:1])


@pytest.mark.parametrize("warm_start", [False, True])
def test_after_fit_a_predictor_stays_with_the_old_parameters(warm_start):
    model = fit("binary", warm_start=warm_start)
    predictor, before = model.make_predictor(60), model.predict_proba(X)
    refit(model.set_params(random_state=1, max_iter=9), X, TASKS["binary"][2])
    assert (model.predict_proba(X) != before).any()
    np.testing.assert_array_equal(predictor.predict_proba(X), before)


def test_after_coefs_are_assigned_a_predictor_stays_with_the_old_ones():
    model = fit("regression")
    predictor, before = model.make_predictor(60), model.predict(X)
    model.predict(X[:1])
    model.coefs_ = [2 * coefs for coefs in model.coefs_]
    np.testing.assert_array_equal(predictor.predict(X), before)
    assert (model.predict(X) != before).all()
    assert (model.predict(X[:1]) != before[:1]).all()


def test_a_predictor_outlives_its_estimator():
    model = fit("binary")
    predictor, before = model.make_predictor(60), model.predict_proba(X)
    del model
    gc.collect()
    np.testing.assert_array_equal(predictor.predict_proba(X), before)


def test_prediction_leaves_no_trace_in_the_estimator():
    model = fit("binary")
    before, pickled = dict(vars(model)), pickle.dumps(model)
    model.predict(X[:1])
    model.predict_proba_into(X[:1], np.empty((1, 2)))
    model.make_predictor().predict(X[:1])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert pickle.dumps(model) == pickled


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_predict_after_the_original_has(copied):
    model = fit("binary")
    expected = model.predict_proba(X[:1])
    other = copied(model)
    np.testing.assert_array_equal(other.predict_proba(X[:1]), expected)
    if copied is not copy.copy:
        other.coefs_[0][:] = 0
        np.testing.assert_array_equal(model.predict_proba(X[:1]), expected)
        assert (other.predict_proba(X[:1]) != expected).any()


def test_a_clone_is_not_fitted():
    model = fit("binary")
    model.predict(X[:1])
    with pytest.raises(NotFittedError):
        sklearn.clone(model).predict(X[:1])


def test_a_model_that_predicted_is_freed_without_the_collector():
    model = fit("binary")
    model.predict(X[:1])
    network = weakref.ref(model._network)
    gc.collect()
    gc.disable()
    try:
        del model
        assert network() is None
    finally:
        gc.enable()


# Allocations and threads.


def calls_into(model, data):
    """The calls that allocate nothing."""
    expected, who = model.predict(data), (model, model.make_predictor(len(data)))
    out = empty_like(expected)
    calls = [(w.predict_into, data, out) for w in who]
    if isinstance(model, MLPClassifier):
        proba = np.empty_like(model.predict_proba(data))
        calls += [(w.predict_proba_into, data, proba) for w in who]
    return calls


@EACH_TASK
def test_ten_thousand_calls_allocate_nothing(task):
    for call, data, out in calls_into(shared(task), rows(1)):
        call(data, out)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(10_000):
            call(data, out)
        assert sys.getallocatedblocks() - before < 20


def traced_peak(call, data, out, n_calls):
    """Of memory that calls take beyond a first one: the least of three rounds.

    What the calls take shows in every round; tracemalloc also sees other threads, such as the one that
    receives messages in a worker of pytest-xdist.
    """
    repeats, peaks = [None] * n_calls, []
    call(data, out)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(3):
            call(data, out)
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            for _ in repeats:
                call(data, out)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    return min(peaks)


@EACH_TASK
@pytest.mark.parametrize("n_rows", [1, 16])
def test_no_call_allocates_and_frees_either(task, n_rows):
    """The peak of traced memory: what is freed again would show."""
    for call, data, out in calls_into(shared(task), rows(n_rows)):
        assert traced_peak(call, data, out, 1_000) < 300


def test_a_predictor_allocates_nothing_for_many_rows():
    model, data = shared("multiclass"), rows(3000)
    predictor, out = model.make_predictor(3000), np.empty((3000, 3))
    assert traced_peak(predictor.predict_proba_into, data, out, 1) < 300


def test_memory_of_a_prediction_does_not_grow_with_the_rows():
    model = fit("two outputs", hidden_layer_sizes=(64,))
    model.predict(np.zeros((100_000, N_FEATURES)))  # the first to be worth a team looks for BLAS
    peaks = []
    for n in (100_000, 400_000):
        data, out = np.zeros((n, N_FEATURES)), np.empty((n, 2))
        tracemalloc.start()
        try:
            model.predict_into(data, out)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert abs(peaks[1] - peaks[0]) < 100_000


def in_threads(n, function):
    """Run function(0), ... at once; raise what any of them raised."""
    errors, gate = [], threading.Barrier(n)

    def run(i):
        gate.wait()
        try:
            function(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("n_rows", [1, 16, 300])
def test_threads_predict_with_one_estimator(n_rows):
    """With layers wide enough for the interpreter lock to be released."""
    model = fit("multiclass", hidden_layer_sizes=(200, 600))
    inputs = [rows(n_rows, seed=seed) for seed in range(4)]
    expected = [model.predict_proba(data) for data in inputs]

    def work(i):
        out = np.empty((n_rows, 3))
        for _ in range(50):
            np.testing.assert_array_equal(model.predict_proba(inputs[i]), expected[i])
            model.predict_proba_into(inputs[i], out)
            np.testing.assert_array_equal(out, expected[i])

    in_threads(4, work)


def test_a_predictor_in_two_threads_is_right_or_refuses():
    model = fit("multiclass", hidden_layer_sizes=(300, 900))
    inputs = [rows(200, seed=seed) for seed in range(2)]
    expected, predictor = [model.predict_proba(data) for data in inputs], model.make_predictor(200)

    def work(i):
        for _ in range(50):
            try:
                result = predictor.predict_proba(inputs[i])
            except RuntimeError as error:
                refusals.append(str(error))
            else:
                np.testing.assert_array_equal(result, expected[i])

    refusals = []
    in_threads(2, work)
    assert all("one thread at a time" in refusal for refusal in refusals)
    np.testing.assert_array_equal(predictor.predict_proba(inputs[0]), expected[0])


def test_a_predictor_works_on_after_an_error():
    model = shared("binary")
    predictor = model.make_predictor(60)
    with pytest.raises(ValueError, match="NaN"):
        predictor.predict(np.full((60, N_FEATURES), np.nan))
    np.testing.assert_array_equal(predictor.predict(X), model.predict(X))


def test_a_predictor_tells_what_it_takes():
    predictor = shared("strings", "float32").make_predictor(4)
    assert (predictor.max_batch, predictor.n_features, predictor.n_outputs) == (4, N_FEATURES, 3)
    assert predictor.dtype == np.float32
    assert predictor.classes.tolist() == ["apple", "fig", "pear"]


@pytest.mark.parametrize("name", ["predict", "predict_into", "predict_proba", "predict_proba_into"])
def test_methods_of_a_predictor_are_documented(name):
    for section in ("Parameters", "Returns"):
        assert section in getattr(ClassifierPredictor, name).__doc__
