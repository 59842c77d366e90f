"""Bad input raises a clear ValueError, TypeError, NotFittedError or MemoryError, and nothing else.

And a `fit` that fails leaves the estimator as it was, whatever it failed at.
"""

import inspect
import itertools
import os
import re
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError

from sklearn_mlp import FitReport, MLPClassifier, MLPRegressor, schedules

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size`:UserWarning",
    "ignore:overflow encountered:RuntimeWarning",
    "ignore:invalid value encountered:RuntimeWarning",
)

BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
FITTED = pytest.mark.parametrize("fitted", [False, True], ids=["fresh", "fitted"])
METHODS = pytest.mark.parametrize("method", ["fit", "partial_fit"])
SPARSE = pytest.mark.parametrize("container", [sp.csr_array, sp.csc_array, sp.csr_matrix])

RNG = np.random.RandomState(0)
X = RNG.normal(size=(30, 4))
Y = np.arange(30) % 3


def make(cls, fitted=False, **params):
    estimator = cls(hidden_layer_sizes=5, max_iter=3, random_state=0)
    if fitted:
        estimator.fit(X, Y)
    return estimator.set_params(**params)


def call(estimator, method, X, y, **more):
    """fit or partial_fit, with the classes that a first partial_fit of a classifier needs."""
    if method == "partial_fit" and isinstance(estimator, MLPClassifier):
        more = {"classes": [0, 1, 2], **more}
    return getattr(estimator, method)(X, y, **more)


def state(value):
    """A comparable form of all that a value holds, arrays by their bytes."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return type(value).__name__, repr(value)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, FitReport):
        return state({**value.to_dict(), "seconds": None})
    if isinstance(value, dict):
        return {name: state(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [state(item) for item in value]
    if isinstance(value, type) or callable(value):
        return value.__qualname__
    if isinstance(value, BaseEstimator):
        return type(value).__name__, state(vars(value))
    return state(value.__reduce_ex__(2))


def raises(kind, call, estimator, match=None):
    """The call raises, a message is there, and the estimator is as it was."""
    before = state(estimator)
    with pytest.raises(kind, match=match) as error:
        call()
    assert str(error.value)
    assert state(estimator) == before
    return error.value


def test_state_sees_changes():
    estimator = make(MLPRegressor, fitted=True)
    before = state(estimator)
    assert state(estimator) == before
    estimator.coefs_[0][0, 0] += 1e-12
    assert state(estimator) != before
    estimator = make(MLPRegressor, fitted=True)
    estimator.loss_curve_.append(1.0)
    assert state(estimator) != before
    assert state(make(MLPRegressor)) == state(make(MLPRegressor))
    assert state(make(MLPRegressor)) != state(make(MLPRegressor, alpha=0.5))
    random = np.random.RandomState(0)
    before = state(random)
    random.uniform()
    assert state(random) != before
    assert state(np.random.RandomState(0)) == before


# ---- data ----

SHAPES = {
    "one dimension": (X[:, 0], Y),
    "three dimensions": (X[:, :, None], Y),
    "a scalar": (3.0, Y),
    "more rows than targets": (X, Y[:-1]),
    "fewer rows than targets": (X[:-1], Y),
    "three-dimensional targets": (X, np.zeros((30, 2, 2))),
    "no rows": (X[:0], Y[:0]),
    "no columns": (X[:, :0], Y),
    "no target": (X, None),
    "no columns of targets": (X, np.zeros((30, 0))),
    "ragged": ([[1.0, 2.0], [3.0]], [0, 1]),
    "None": (None, Y),
}
VALUES = {
    "NaN": (np.where(X > 1, np.nan, X), Y),
    "infinity": (np.where(X > 1, np.inf, X), Y),
    "strings": (np.full((30, 4), "a"), Y),
    "objects": (np.full((30, 4), object()), Y),
    "complex": (X + 1j, Y),
    "NaN among targets": (X, np.where(Y == 2, np.nan, Y)),
    "infinite targets": (X, np.where(Y == 2, np.inf, Y)),
    "complex targets": (X, Y + 1j),
    "dictionaries": ([{"a": 1}] * 30, Y),
}
BAD_DATA = {**SHAPES, **VALUES}


@FITTED
@METHODS
@BOTH
@pytest.mark.parametrize("bad", BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data(cls, method, bad, fitted):
    estimator = make(cls, fitted)
    raises((ValueError, TypeError), lambda: call(estimator, method, *bad), estimator)


BAD_ROWS = {
    "one dimension": X[:, 0],
    "no rows": X[:0],
    "fewer columns": X[:, :3],
    "more columns": X[:, [0, 1, 2, 3, 0]],
    "no columns": X[:, :0],
    "NaN": np.where(X > 1, np.nan, X),
    "infinity": np.where(X > 1, np.inf, X),
    "strings": np.full((3, 4), "a"),
    "complex": X + 1j,
    "None": None,
    "a scalar": 3.0,
    "ragged": [[1.0], [2.0, 3.0]],
    "fewer columns, sparse": sp.csr_array(X[:, :3]),
    "NaN, sparse": sp.csr_array(np.where(X > 1, np.nan, X)),
    "no rows, sparse": sp.csc_array((0, 4)),
}


@BOTH
@pytest.mark.parametrize("bad", BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_rows_to_predict(cls, bad):
    estimator = make(cls, fitted=True)
    names = ["predict"]
    if cls is MLPClassifier:
        names += ["predict_proba", "predict_log_proba", "decision_function"]
    for name in names:
        raises((ValueError, TypeError), lambda n=name: getattr(estimator, n)(bad), estimator)
    raises((ValueError, TypeError), lambda: estimator.score(bad, Y), estimator)


@BOTH
def test_not_fitted(cls):
    estimator = make(cls)
    names = ["predict", "score"]
    if cls is MLPClassifier:
        names += ["predict_proba", "predict_log_proba", "decision_function"]
    for name in names:
        more = (Y,) if name == "score" else ()
        raises(NotFittedError, lambda n=name, m=more: getattr(estimator, n)(X, *m), estimator)
    with pytest.raises(AttributeError):
        _ = estimator.coefs_


@METHODS
@BOTH
@FITTED
def test_another_number_of_features(cls, method, fitted):
    estimator = make(cls, warm_start=True) if method == "fit" else make(cls)
    call(estimator, method, X, Y)
    if fitted:
        call(estimator, method, X, Y)
    for rows in [X[:, :3], np.hstack([X, X])]:
        error = raises(ValueError, lambda r=rows: call(estimator, method, r, Y), estimator)
        assert "features" in str(error)
    # A plain fit starts afresh.
    estimator.set_params(warm_start=False).fit(X[:, :3], Y)
    assert estimator.n_features_in_ == 3


def test_unknown_labels():
    estimator = make(MLPClassifier)
    raises(ValueError, lambda: estimator.partial_fit(X, Y), estimator)  # no classes
    raises(ValueError, lambda: estimator.partial_fit(X, Y, classes=[0, 1]), estimator)
    estimator.partial_fit(X, Y, classes=[0, 1, 2])
    raises(ValueError, lambda: estimator.partial_fit(X, Y + 1), estimator)
    raises(ValueError, lambda: estimator.partial_fit(X, Y, classes=[0, 1, 2, 3]), estimator)
    raises(ValueError, lambda: estimator.partial_fit(X, np.array(["a", "b", "c"])[Y]), estimator)
    raises(ValueError, lambda: estimator.partial_fit(X, np.eye(3, dtype=int)[Y]), estimator)
    estimator = make(MLPClassifier, fitted=True, warm_start=True)
    for y in [Y + 1, Y % 2, np.arange(30) % 4, np.array(["a", "b", "c"])[Y]]:
        raises(ValueError, lambda y=y: estimator.fit(X, y), estimator)


@METHODS
def test_continuous_targets_are_no_classes(method):
    estimator = make(MLPClassifier)
    raises(ValueError, lambda: call(estimator, method, X, X[:, 0]), estimator)
    raises(ValueError, lambda: call(estimator, method, X, np.stack([Y, Y], axis=1)), estimator)


def test_multilabel_targets_keep_their_number():
    estimator = make(MLPClassifier).fit(X, np.eye(3, dtype=int)[Y])
    raises(ValueError, lambda: estimator.partial_fit(X, np.eye(4, dtype=int)[Y]), estimator)
    raises(ValueError, lambda: estimator.partial_fit(X, Y), estimator)
    estimator = make(MLPRegressor).fit(X, X[:, :2])
    raises(ValueError, lambda: estimator.partial_fit(X, X[:, :3]), estimator)
    raises(ValueError, lambda: estimator.partial_fit(X, X[:, 0]), estimator)
    estimator.set_params(warm_start=True)
    raises(ValueError, lambda: estimator.fit(X, X[:, :3]), estimator)


@METHODS
@FITTED
def test_poisson_needs_targets_that_are_not_negative(method, fitted):
    estimator = make(MLPRegressor, fitted, loss="poisson")
    raises(ValueError, lambda: call(estimator, method, X, X[:, 0]), estimator)


# ---- weights ----

WEIGHTS = {
    "too few": np.ones(29),
    "too many": np.ones(31),
    "two dimensions": np.ones((30, 2)),
    "negative": np.r_[-1.0, np.ones(29)],
    "all negative": -np.ones(30),
    "all zero": np.zeros(30),
    "NaN": np.r_[np.nan, np.ones(29)],
    "infinite": np.r_[np.inf, np.ones(29)],
    "strings": np.full(30, "a"),
    "complex": np.ones(30) + 1j,
    "empty": [],
}


@FITTED
@pytest.mark.parametrize(
    ("solver", "method"),
    [(s, m) for s in ("adam", "sgd") for m in ("fit", "partial_fit")] + [("lbfgs", "fit")],
)
@BOTH
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_bad_sample_weight(cls, method, weight, solver, fitted):
    estimator = make(cls, fitted, solver=solver)
    raises(
        (ValueError, TypeError),
        lambda: call(estimator, method, X, Y, sample_weight=weight),
        estimator,
    )


@BOTH
def test_weights_that_are_zero_in_one_part_of_the_split(cls):
    """Rows 1 to 29 weigh nothing: the training or the validation part, whichever lacks row 0."""
    estimator = make(cls, early_stopping=True, validation_fraction=0.3)
    weight = np.r_[1.0, np.zeros(29)]
    raises(ValueError, lambda: estimator.fit(X, Y, sample_weight=weight), estimator)


# ---- sparse matrices with bad indices ----


def broken(container, how):
    matrix = container(X)
    minor = matrix.shape[1] if matrix.format == "csr" else matrix.shape[0]
    if how == "negative index":
        matrix.indices[5] = -1
    elif how == "index too large":
        matrix.indices[5] = minor
    elif how == "huge index":
        matrix.indices[-1] = 2**31 - 1
    elif how == "pointers go back":
        matrix.indptr[1], matrix.indptr[2] = matrix.indptr[2], matrix.indptr[1]
    elif how == "pointers beyond the data":
        matrix.indptr[-1] = 10 * matrix.nnz
    elif how == "pointers do not start at 0":
        matrix.indptr[0] = -3
    elif how == "pointers overshoot in the middle":
        matrix.indptr[1] = 10**6
    elif how == "too few indices":
        matrix.indices = matrix.indices[:-10].copy()
    elif how == "too few values":
        matrix.data = matrix.data[:-10].copy()
    elif how == "pointers end at 0":
        matrix.indptr[1:-1], matrix.indptr[-1] = 10**7, 0
    elif how == "too few pointers":
        matrix.indptr = matrix.indptr[:-1].copy()
    return matrix


BREAKAGES = re.findall(r'how == "([^"]+)"', inspect.getsource(broken))


@pytest.mark.parametrize("how", BREAKAGES)
@SPARSE
@BOTH
def test_broken_sparse_matrices(cls, container, how):
    for fitted in [False, True]:
        for method in ["fit", "partial_fit"]:
            estimator = make(cls, fitted)
            raises(
                (ValueError, TypeError),
                lambda e=estimator, m=method: call(e, m, broken(container, how), Y),
                estimator,
            )
    raises((ValueError, TypeError), lambda: estimator.predict(broken(container, how)), estimator)
    estimator.set_params(solver="lbfgs", early_stopping=True)
    raises((ValueError, TypeError), lambda: estimator.fit(broken(container, how), Y), estimator)
    if cls is MLPClassifier:
        with pytest.raises((ValueError, TypeError)):
            estimator.predict_proba(broken(container, how))


def test_the_list_of_breakages():
    assert len(BREAKAGES) == 11
    for how in BREAKAGES:
        assert not is_valid(broken(sp.csr_array, how))
        assert not is_valid(broken(sp.csc_array, how))
    assert is_valid(sp.csr_array(X))


def is_valid(matrix):
    """Whether every access through the pointers and indices stays inside of the arrays."""
    n_major, n_minor = matrix.shape if matrix.format == "csr" else matrix.shape[::-1]
    pointers, stored = matrix.indptr, min(len(matrix.indices), len(matrix.data))
    if len(pointers) != n_major + 1 or pointers[0] != 0 or pointers[-1] > stored:
        return False
    used = matrix.indices[: max(0, pointers[-1])]
    return bool((np.diff(pointers) >= 0).all() and (used >= 0).all() and (used < n_minor).all())


@SPARSE
@BOTH
def test_odd_sparse_matrices_that_are_fine(cls, container):
    """Unsorted indices, duplicates, stored zeros, empty rows and columns, 64-bit indices."""
    dense = np.where(np.abs(X) < 0.7, 0.0, X)
    dense[3] = dense[:, 1] = 0.0
    plain = container(dense)
    # Each entry in three parts that add up to it, one of them zero, in reversed order.
    data, indices, pointers = [], [], [0]
    for start, stop in itertools.pairwise(plain.indptr):
        values = plain.data[start:stop][::-1]
        data += [*(0.25 * values), *(0.75 * values), *(0.0 * values)]
        indices += 3 * [*plain.indices[start:stop][::-1]]
        pointers.append(len(indices))
    parts = container((data, indices, pointers), shape=plain.shape)
    np.testing.assert_array_equal(parts.toarray(), dense)
    wide = plain.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    expected = make(cls).fit(dense, Y)
    for matrix in [plain, parts, wide]:
        before = matrix.copy()
        actual = make(cls).fit(matrix, Y)
        for one, other in zip(expected.coefs_, actual.coefs_, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(actual.predict(matrix), expected.predict(dense), rtol=1e-9)
        for part in ["data", "indices", "indptr"]:  # what it was given is left alone
            np.testing.assert_array_equal(getattr(matrix, part), getattr(before, part))


# ---- parameters ----

NAN = float("nan")
PARAMETERS = {
    "hidden_layer_sizes": [
        *(0, -1, (0,), (5, 0), (5, -3), None, "ten", ("a",), (2.5,), 2.5, (NAN,)),
        *(((3,), (2,)), [None], {"a": 1}, (5, "b")),
    ],
    "activation": [
        *("softmax", "", None, 3, ["relu"] * 5, [], ["softmax"], [None], [3], (3, 3), {"relu"}),
        *(
            ("relu", 0.1),
            ("leaky_relu", -1),
            ("leaky_relu", 1),
            ("leaky_relu", NAN),
            ("leaky_relu", "a"),
        ),
    ],
    "solver": ["newton", None, 3],
    "alpha": [-1, NAN, "a", None, [1.0], 1j],
    "batch_size": [0, -5, 2.5, "all", None, NAN, (5,)],
    "learning_rate": ["fast", None, 0.1, schedules.StepDecay, [schedules.StepDecay()]],
    "learning_rate_init": [0, -1, NAN, "a", None],
    "power_t": [-1, NAN, "a", None],
    "max_iter": [0, -1, 2.5, "a", None, NAN],
    "shuffle": ["yes", None, 2],
    "random_state": [-1, "a", 2.5, [1, 2]],
    "tol": [-1, NAN, "a", None],
    "verbose": ["yes", -1, None],
    "warm_start": ["yes", None, 2],
    "momentum": [-0.1, 1.1, NAN, "a", None],
    "nesterovs_momentum": ["yes", None, 2],
    "early_stopping": ["yes", None, 2],
    "validation_fraction": [-0.1, 1.0, 1.5, NAN, "a", None],
    "beta_1": [-0.1, 1.0, NAN, "a"],
    "beta_2": [-0.1, 1.0, NAN, "a"],
    "epsilon": [0, -1, NAN, "a"],
    "n_iter_no_change": [0, -1, 2.5, NAN, "a", None],
    "max_fun": [0, -1, 2.5, "a", None],
    "dtype": ["float16", "double", None, np.float32, 32],
    "weight_init": ["glorot", None, 3, np.zeros],
    "dropout": [1, 1.0, -0.1, NAN, "a", None, [0.1] * 5, [1.0], [None], [True], []],
    "weight_decay": [-1, NAN, "a", None],
    "max_grad_norm": [0, -1, NAN, "a"],
    "gradient_accumulation_steps": [0, -1, 2.5, "a", None],
    "scoring": ["mse", "no such", 3, "", "accuracy"],  # a good one needs validation data
    "restore_best": ["yes", 2, True],
    "metrics": ["no such", [3], ["mse", "mse"], {"mse"}, ["accuracy", "mse"], ["neg_log_loss"]],
}
CLASSIFIER_PARAMETERS = {
    "label_smoothing": [1, 1.0, -0.1, NAN, "a", None],
    "class_weight": [
        *(
            "even",
            3,
            {7: 1},
            {0: -1},
            {0: NAN},
            {0: "a"},
            {"a": 1},
            [{0: 1}],
            [1, 2],
            {0: 0, 1: 0, 2: 0},
        ),
    ],
}
REGRESSOR_PARAMETERS = {
    "output_activation": ["softmax", None, 3, ("relu", 0.1), ["relu", "relu"]],
    "huber_delta": [0, -1, NAN, "a", None],
    "quantile": [0, 1, -0.1, 1.5, NAN, "a", None],
}
CASES = [
    (cls, name, values)
    for cls, more in [(MLPClassifier, CLASSIFIER_PARAMETERS), (MLPRegressor, REGRESSOR_PARAMETERS)]
    for name, values in {**PARAMETERS, **more}.items()
]
EACH = pytest.mark.parametrize(
    ("cls", "name", "values"), CASES, ids=[f"{name}-{cls.__name__}" for cls, name, _ in CASES]
)


@EACH
def test_bad_parameters(cls, name, values):
    for value, solver, fitted, method in itertools.product(
        values, ["adam", "sgd", "lbfgs"], [False, True], ["fit", "partial_fit"]
    ):
        params = {"solver": solver, name: value}
        if method == "partial_fit" and (fitted or params["solver"] not in {"adam", "sgd"}):
            continue
        estimator = make(cls, fitted, **params)
        error = raises(
            (ValueError, TypeError), lambda e=estimator, m=method: call(e, m, X, Y), estimator
        )
        assert name in str(error), (value, str(error))


@EACH
def test_parameters_that_turn_bad_after_the_first_partial_fit(cls, name, values):
    """scikit-learn checks parameters in the first call only; what is then used must still raise."""
    for value, solver in itertools.product(values, ["adam", "sgd"]):
        params = {"solver": solver, name: value}
        estimator = call(make(cls, solver=solver), "partial_fit", X, Y).set_params(**params)
        before = state(estimator)
        try:
            call(estimator, "partial_fit", X, Y)
        except (ValueError, TypeError, AttributeError):
            assert state(estimator) == before, (name, value)
        else:
            assert all(np.isfinite(w).all() for w in estimator.coefs_), (name, value)


@BOTH
def test_every_parameter_is_tried(cls):
    assert {name for kind, name, _ in CASES if kind is cls} | {"loss"} >= set(cls().get_params())


@METHODS
@BOTH
@pytest.mark.parametrize(
    ("schedule", "match"),
    [
        (schedules.StepDecay(gamma=-1), "gamma"),
        (schedules.Warmup(0), "n_epochs"),
        (schedules.Warmup(after="fast"), "cosine.*fast"),
        (schedules.Warmup(after=schedules.OneCycle(end_factor=2)), "end_factor"),
    ],
    ids=str,
)
def test_bad_schedules(cls, schedule, match, method):
    estimator = make(cls, learning_rate=schedule)
    raises((ValueError, TypeError), lambda: call(estimator, method, X, Y), estimator, match=match)


@pytest.mark.parametrize("loss", ["log_loss", "gamma", None, 3])
def test_bad_loss(loss):
    estimator = make(MLPRegressor, loss=loss)
    raises((ValueError, TypeError), lambda: estimator.fit(X, Y), estimator, match="loss")


@BOTH
def test_validation_fractions_that_leave_nothing(cls):
    for fraction in [0.0, 0.01, 0.999]:
        estimator = make(cls, early_stopping=True, validation_fraction=fraction)
        raises(ValueError, lambda e=estimator: e.fit(X, Y), estimator)


@FITTED
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@BOTH
def test_absurd_learning_rate(cls, solver, fitted):
    estimator = make(cls, fitted, solver=solver, learning_rate_init=1e9, max_iter=50)
    raises(ValueError, lambda: estimator.fit(X, Y), estimator)


@pytest.mark.parametrize("rate", [1e3, 1e8])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@BOTH
def test_a_large_learning_rate_never_leaves_non_finite_weights(cls, solver, rate):
    estimator = make(cls, solver=solver, learning_rate_init=rate, max_iter=100, batch_size=5)
    before = state(estimator)
    try:
        estimator.fit(X, Y)
    except ValueError:
        assert state(estimator) == before
    else:
        assert all(np.isfinite(w).all() for w in estimator.coefs_ + estimator.intercepts_)
        assert np.isfinite(estimator.loss_curve_).all()


@METHODS
@BOTH
def test_huge_values(cls, method):
    estimator = make(cls)
    rows = np.where(X > 0, 1e308, -1e308)
    try:
        call(estimator, method, rows, Y)
    except ValueError:
        assert method == "partial_fit" or not hasattr(estimator, "coefs_")
    else:
        assert all(np.isfinite(w).all() for w in estimator.coefs_)


def test_targets_too_large_for_float32():
    estimator = make(MLPRegressor, dtype="float32")
    raises(ValueError, lambda: estimator.fit(X, 1e300 * X[:, 0]), estimator)
    raises(ValueError, lambda: estimator.fit(1e300 * X, Y), estimator)


# ---- networks that no machine can hold ----

TOO_LARGE = [
    (10**9, 10**9),
    (10**15,),
    (2**62,),
    (2**63,),
    (10**30,),
    (2**31, 2**31, 2**31),
    (3037000500, 3037000500),  # the product of the two overflows 64 bits
]


@FITTED
@METHODS
@BOTH
@pytest.mark.parametrize("sizes", TOO_LARGE, ids=str)
def test_networks_that_no_machine_can_hold(cls, method, sizes, fitted):
    estimator = make(cls, fitted, hidden_layer_sizes=sizes)
    error = raises((MemoryError, ValueError), lambda: call(estimator, method, X, Y), estimator)
    if not fitted or method == "fit":
        assert isinstance(error, MemoryError)
        assert re.search(r"\d.* ?([GTPEZY]i?B|bytes)", str(error)), str(error)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory as Linux does")
def test_a_billion_units_touch_no_memory():
    """In a process that may have 8 GiB of addresses: errors that name the size, at once."""
    program = """
        import itertools, re, resource
        resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))
        import numpy as np
        from sklearn_mlp import MLPRegressor
        X, y = np.zeros((30, 4)), np.zeros(30)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for sizes, params in itertools.product(
            [(10**9,), (60_000, 60_000)], [{}, {"solver": "lbfgs"}, {"early_stopping": True}]
        ):
            model = MLPRegressor(hidden_layer_sizes=sizes, **params)
            try:
                model.fit(X, y)
            except MemoryError as error:
                assert re.search(r"\\d.* ?([GTPEZY]i?B|bytes)", str(error)), error
                assert not hasattr(model, "coefs_")
            else:
                raise AssertionError((sizes, params))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 200 * 2**10, grown
    """
    run = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr


# ---- warnings turned into errors ----


@BOTH
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_warning_at_the_end_leaves_the_new_model(cls, solver, fitted):
    estimator = make(cls, fitted, solver=solver, tol=0, max_iter=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            estimator.fit(X, Y)
    expected = make(cls, solver=solver, tol=0, max_iter=4).fit(X, Y)
    assert estimator.n_iter_ == expected.n_iter_ == 4
    for one, other in zip(estimator.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(estimator.predict(X), expected.predict(X))
    assert estimator.get_params() == expected.get_params()


@METHODS
@FITTED
@BOTH
def test_a_warning_during_validation_leaves_everything(cls, method, fitted):
    estimator = make(cls, fitted)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        raises(
            DataConversionWarning,
            lambda: call(estimator, method, X, Y.reshape(-1, 1)),
            estimator,
        )


@BOTH
@pytest.mark.parametrize(
    "params",
    [
        {"batch_size": 1000},
        {"learning_rate": "invscaling"},
        {"early_stopping": True, "validation_fraction": 0.1},
    ],
    ids=str,
)
def test_any_other_warning_leaves_the_old_or_the_new_model(cls, params):
    """Never something between the two."""
    y = np.where(np.arange(30) == 7, 5, Y)  # a class of one, which early stopping warns of
    estimator = make(cls, tol=1e9, n_iter_no_change=1, **params)
    before = state(estimator)
    new = make(cls, tol=1e9, n_iter_no_change=1, **params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if caught:
            with pytest.raises(UserWarning):
                estimator.fit(X, y)
        else:
            estimator.fit(X, y)
    assert caught or cls is MLPRegressor
    after = state(estimator)
    assert after in (before, state(new))


# ---- at random ----

ORDINARY = st.floats(-5, 5)
FLOATS = st.one_of(
    ORDINARY,
    st.sampled_from([0.0, -0.0, 1e-320, 1e308, -1e308, 1e20, np.nan, np.inf, -np.inf]),
)
DTYPES = st.sampled_from([np.float64, np.float32])


@st.composite
def tables(draw, elements, max_rows=7):
    """A two-dimensional array, dense or sparse, in C or Fortran order."""
    shape = draw(st.tuples(st.integers(0, max_rows), st.integers(0, 4)))
    array = draw(hnp.arrays(np.float64, shape, elements=elements))
    with np.errstate(over="ignore"):
        array = array.astype(draw(DTYPES))
    kind = draw(st.sampled_from(["C", "F", "list", "csr", "csc", "integer"]))
    if kind == "F":
        return np.asfortranarray(array)
    if kind == "list":
        return array.tolist()
    if kind == "integer":
        return np.nan_to_num(array, posinf=9, neginf=-9).clip(-9, 9).astype(int)
    if kind in {"csr", "csc"} and min(shape) > 0:
        return sp.csr_array(array) if kind == "csr" else sp.csc_array(array)
    return array


@st.composite
def targets(draw, n_rows):
    n_rows = max(0, n_rows + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1])))
    kind = draw(st.sampled_from(["classes", "strings", "floats", "indicators", "mixed", "columns"]))
    if kind == "floats":
        return draw(hnp.arrays(np.float64, n_rows, elements=FLOATS))
    if kind == "columns":
        columns = draw(st.integers(0, 3))
        return draw(hnp.arrays(np.float64, (n_rows, columns), elements=ORDINARY))
    codes = draw(hnp.arrays(np.int64, n_rows, elements=st.integers(0, 2)))
    if kind == "strings":
        return np.array(["a", "b", "c"])[codes]
    if kind == "mixed":
        return [("x" if code == 0 else code) for code in codes.tolist()]
    if kind == "indicators":
        return np.eye(3, dtype=int)[codes]
    return codes


PARAMS = st.fixed_dictionaries(
    {"max_iter": st.integers(1, 3), "random_state": st.integers(0, 3)},
    optional={
        "hidden_layer_sizes": st.one_of(
            st.integers(-1, 4), st.lists(st.integers(0, 3), max_size=3), st.just((2, 10**12))
        ),
        "activation": st.sampled_from(["relu", "tanh", "logistic", "identity", "softmax"]),
        "solver": st.sampled_from(["adam", "sgd", "lbfgs"]),
        "alpha": st.sampled_from([0, 1.0, 1e300, -1]),
        "batch_size": st.sampled_from(["auto", 1, 2, 100, 10**18, 10**30]),
        "learning_rate": st.sampled_from(["constant", "invscaling", "adaptive"]),
        "learning_rate_init": st.sampled_from([1e-3, 1.0, 1e8, 1e200, 1e-300]),
        "early_stopping": st.booleans(),
        "validation_fraction": st.sampled_from([0.1, 0.5, 0.9, 0.0]),
        "warm_start": st.booleans(),
        "shuffle": st.booleans(),
        "momentum": st.sampled_from([0, 0.9, 1.0]),
        "tol": st.sampled_from([0, 1e-4, 1e300]),
        "n_iter_no_change": st.sampled_from([1, np.inf, 10**30]),
        "dtype": st.sampled_from(["auto", "float32", "float64"]),
    },
)
EXPECTED = (ValueError, TypeError, MemoryError)


def attempt(estimator, method, *args, **more):
    """Whether the call succeeds; if it raises, then something clear, and `fit` leaves no trace."""
    before = state(estimator)
    try:
        call(estimator, method, *args, **more)
    except EXPECTED as error:
        message = str(error)
    except AttributeError:
        assert (method, estimator.solver) == ("partial_fit", "lbfgs")
        return False
    else:
        assert all(np.isfinite(w).all() for w in estimator.coefs_ + estimator.intercepts_)
        return True
    assert message
    if method == "fit" or "non-finite" not in message:
        assert state(estimator) == before
    return False


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_anything_fits_or_raises_clearly(data):
    cls = data.draw(st.sampled_from([MLPClassifier, MLPRegressor]))
    params = data.draw(PARAMS)
    if cls is MLPRegressor:
        params["loss"] = data.draw(st.sampled_from(["squared_error", "poisson"]))
    estimator = cls(**params)
    fitted = False
    for _ in range(data.draw(st.integers(1, 3))):
        rows = data.draw(tables(data.draw(st.sampled_from([ORDINARY, FLOATS]))))
        n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)
        y = data.draw(targets(n_rows))
        weight = data.draw(
            st.one_of(
                st.none(),
                hnp.arrays(np.float64, n_rows, elements=st.floats(0, 3)),
                hnp.arrays(np.float64, n_rows, elements=FLOATS),
            )
        )
        method = data.draw(st.sampled_from(["fit", "fit", "partial_fit"]))
        fitted |= attempt(estimator, method, rows, y, sample_weight=weight)
    rows = data.draw(tables(FLOATS))
    try:
        predicted = estimator.predict(rows)
    except NotFittedError:
        assert not fitted
    except EXPECTED as error:
        assert len(error.args[0]) > 10  # noqa: PT017
    else:
        assert fitted
        assert len(predicted) == (rows.shape[0] if hasattr(rows, "shape") else len(rows))
        if cls is MLPClassifier:
            assert len(estimator.predict_proba(rows)) == len(predicted)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(
    indices=hnp.arrays(np.int32, 12, elements=st.integers(-3, 7)),
    indptr=hnp.arrays(np.int32, 6, elements=st.integers(-2, 15)),
    csc=st.booleans(),
)
def test_any_sparse_indices_are_checked(indices, indptr, csc):
    """Indices and pointers at random, most of them broken; the others give what dense rows give."""
    matrix = sp.csc_array((5, 5)) if csc else sp.csr_array((5, 5))
    matrix.data, matrix.indices, matrix.indptr = np.arange(1.0, 13.0), indices, indptr
    y = np.arange(5.0)
    estimator = MLPRegressor(hidden_layer_sizes=3, max_iter=2, random_state=0)
    fitted = MLPRegressor(hidden_layer_sizes=3, max_iter=2, random_state=0).fit(np.eye(5), y)
    if is_valid(matrix):
        np.testing.assert_allclose(fitted.predict(matrix), fitted.predict(matrix.toarray()))
    else:
        raises(ValueError, lambda: estimator.fit(matrix, y), estimator)
        raises(ValueError, lambda: estimator.partial_fit(matrix, y), estimator)
        raises(ValueError, lambda: fitted.predict(matrix), fitted)
