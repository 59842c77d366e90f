"""The low level: `Network`, its loss and gradient, and the optimizers, as a training loop uses them."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit
from sklearn.datasets import load_iris, make_regression
from sklearn.preprocessing import StandardScaler

from sklearn_mlp import MLPClassifier, MLPRegressor, Network, optimizers
from sklearn_mlp._loss import LOSSES, Loss

RNG = np.random.RandomState(0)
N_ROWS, N_IN, N_OUT = 23, 4, 3
X = RNG.normal(size=(N_ROWS, N_IN))
WEIGHTS = RNG.randint(1, 4, size=N_ROWS).astype(float)
OPTIMIZERS = pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.Adam, optimizers.AdamW])
LOSS_NAMES = pytest.mark.parametrize("name", sorted(LOSSES))


def make(sizes=(N_IN, 8, 5, N_OUT), activation="tanh", dtype="float64", **params):
    return Network.from_sizes(sizes, activation, random_state=0, dtype=dtype, **params)


def targets_of(name, n_rows=N_ROWS, n_out=N_OUT, dtype=np.float64):
    """As the loss takes them with check=False."""
    random = np.random.RandomState(1)
    if name == "log_loss":
        return random.randint(n_out, size=(n_rows, 1)).astype(np.int32)
    if name == "binary_log_loss":
        return random.randint(2, size=(n_rows, n_out)).astype(np.int32)
    return random.uniform(0, 3, size=(n_rows, n_out)).astype(dtype)


def numpy_forward(network, X, activation, output_activation=lambda z: z):
    z = np.asarray(X, dtype=float)
    for W, b in zip(network.coefs[:-1], network.intercepts[:-1], strict=True):
        z = activation(z @ W.astype(float) + b)
    return output_activation(z @ network.coefs[-1].astype(float) + network.intercepts[-1])


# ---- making one ----


def test_defaults():
    network = Network.from_sizes([4, 6, 2])
    assert network.dtype == np.float32
    assert network.params.dtype == np.float32
    assert [name for name, _ in network.activations] == ["relu", "identity"]
    assert network.sizes == (4, 6, 2)
    assert network.n_weights == 4 * 6 + 6 * 2
    assert network.params.size == network.n_weights + 6 + 2
    assert np.isfinite(network.params).all()


def test_the_same_seed_gives_the_same_parameters():
    np.testing.assert_array_equal(make().params, make().params)
    assert not np.array_equal(make().params, Network.from_sizes([N_IN, 8, 5, N_OUT], "tanh").params)


def test_a_seed_gives_the_initial_parameters_of_an_estimator():
    estimator = MLPRegressor(
        hidden_layer_sizes=8, learning_rate_init=1e-300, max_iter=1, random_state=3
    )
    with pytest.warns(UserWarning, match="Maximum iterations"):
        estimator.fit(X, X[:, :2])
    network = Network.from_sizes([N_IN, 8, 2], random_state=3, dtype="float64")
    np.testing.assert_array_equal(network.params, estimator._network.params)


def test_activations_per_layer_and_of_the_output():
    network = make([4, 3, 3, 2], ["logistic", ("leaky_relu", 0.3)], output_activation="softplus")
    assert network.activations == [("logistic", 0.0), ("leaky_relu", 0.3), ("softplus", 0.0)]


def test_zeros():
    assert not make(weight_init="zeros").params.any()


def test_no_hidden_layer_is_a_linear_model():
    network = make([N_IN, N_OUT])
    expected = X @ network.coefs[0] + network.intercepts[0]
    np.testing.assert_allclose(network.forward(X), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": []}, "sizes"),
        ({"sizes": [3]}, "sizes"),
        ({"sizes": [3, 0, 1]}, "sizes"),
        ({"sizes": [3, -1]}, "sizes"),
        ({"sizes": [3, 2.0]}, "sizes"),
        ({"sizes": "34"}, "sizes"),
        ({"sizes": [2**31, 1]}, "units"),
        ({"dtype": "float16"}, "dtype"),
        ({"dtype": "int32"}, "dtype"),
        ({"activation": "nope"}, "activation"),
        ({"activation": ["relu"]}, "1 for 2 hidden layers"),
        ({"activation": ["relu", "nope"]}, r"activation\[1\]"),
        ({"output_activation": "softmax"}, "output_activation"),
        ({"weight_init": "nope"}, "weight_init"),
        ({"random_state": "nope"}, "seed"),
    ],
)
def test_from_sizes_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Network.from_sizes(**{"sizes": [4, 3, 3, 2], **arguments})


def test_a_network_too_large_for_the_machine():
    with pytest.raises(MemoryError, match="machine has"):
        Network.from_sizes([2**28, 2**28])


# ---- forward ----


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csr_matrix, sp.csc_array])
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 1e-5), ("float64", 1e-12)])
def test_forward_is_the_numpy_forward_pass(dtype, atol, container):
    network = make(dtype=dtype)
    sparse = np.where(X > 0, X, 0)
    found = network.forward(container(sparse))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, numpy_forward(network, sparse, np.tanh), atol=atol)


def test_forward_applies_the_output_activation():
    network = make(output_activation="logistic")
    expected = numpy_forward(network, X, np.tanh, expit)
    np.testing.assert_allclose(network.forward(X), expected, atol=1e-12)


def test_forward_of_many_rows_is_that_of_each():
    network = make([2, 50, 1])
    rows = np.random.RandomState(0).normal(size=(10_000, 2))
    np.testing.assert_allclose(network.forward(rows)[9_990:], network.forward(rows[9_990:]), atol=1e-13)


def test_forward_converts_what_it_is_given():
    network = make(dtype="float32")
    expected = network.forward(X.astype(np.float32))
    for other in [X, X.tolist(), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]]:
        np.testing.assert_array_equal(network.forward(other), expected)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_forward_without_checks_is_the_same(container):
    network = make()
    rows = container(X)
    np.testing.assert_array_equal(network.forward(rows, check=False), network.forward(rows))


def test_forward_writes_into_out():
    network = make()
    out = np.full((N_ROWS, N_OUT), np.nan)
    assert network.forward(X, out=out) is out
    np.testing.assert_array_equal(out, network.forward(X))


def test_forward_of_no_rows():
    assert make().forward(X[:0], check=False).shape == (0, N_OUT)
    with pytest.raises(ValueError, match="0 sample"):
        make().forward(X[:0])


# ---- loss and gradient ----


@LOSS_NAMES
def test_the_gradient_is_the_slope_of_the_loss(name):
    network, y = make(), targets_of(name)
    loss, gradient = network.loss_and_gradient(X, y, name, WEIGHTS)
    step = 1e-6
    direction = np.random.RandomState(2).normal(size=gradient.size)
    values = []
    start = network.params.copy()
    for sign in (1, -1):
        network.params[:] = start + sign * step * direction
        values.append(network.loss_and_gradient(X, y, name, WEIGHTS)[0])
    slope = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(loss, np.mean(values), rtol=1e-6)


@LOSS_NAMES
def test_loss_and_gradient_are_means_over_rows(name):
    network, y = make(), targets_of(name)
    loss, gradient = network.loss_and_gradient(X, y, name)
    each = [network.loss_and_gradient(X[i : i + 1], y[i : i + 1], name) for i in range(N_ROWS)]
    np.testing.assert_allclose(loss, np.mean([value for value, _ in each]))
    np.testing.assert_allclose(gradient, np.mean([slopes for _, slopes in each], axis=0), atol=1e-13)


@LOSS_NAMES
def test_a_weight_counts_as_so_many_rows(name):
    network, y = make(), targets_of(name)
    loss, gradient = network.loss_and_gradient(X, y, name, WEIGHTS)
    repeated = np.repeat(np.arange(N_ROWS), WEIGHTS.astype(int))
    expected = network.loss_and_gradient(X[repeated], y[repeated], name)
    np.testing.assert_allclose(loss, expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-13)
    scaled = network.loss_and_gradient(X, y, name, 1000 * WEIGHTS)
    np.testing.assert_allclose(scaled[0], loss)
    np.testing.assert_allclose(scaled[1], gradient, atol=1e-13)


def test_the_loss_is_that_of_evaluate():
    classes = RNG.randint(3, size=N_ROWS)
    estimator = MLPClassifier((8,), max_iter=3, solver="lbfgs", alpha=10.0, random_state=0)
    with pytest.warns(UserWarning, match="lbfgs"):
        estimator.fit(X, classes)
    network = make([N_IN, 8, 3], "relu")
    network.coefs[:], network.intercepts[:] = estimator.coefs_, estimator.intercepts_
    loss, _ = network.loss_and_gradient(X, classes, "log_loss", WEIGHTS)
    np.testing.assert_allclose(loss, estimator.evaluate(X, classes, WEIGHTS)["loss"], rtol=1e-12)


def test_a_loss_with_a_parameter():
    network, y = make(), targets_of("quantile")
    low = network.loss_and_gradient(X, y, Loss("quantile", N_OUT, 0.1))[0]
    raw = network.forward(X)
    expected = np.where(raw < y, 0.1 * (y - raw), 0.9 * (raw - y)).sum(axis=1).mean()
    np.testing.assert_allclose(low, expected)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.csc_array])
def test_sparse_rows_give_the_same(container):
    network, y = make(), targets_of("log_loss")
    sparse = np.where(X > 0, X, 0)
    loss, gradient = network.loss_and_gradient(container(sparse), y, "log_loss", WEIGHTS)
    expected = network.loss_and_gradient(sparse, y, "log_loss", WEIGHTS)
    np.testing.assert_allclose(loss, expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-14)


def test_rows_without_a_single_entry():
    network, y = make(), targets_of("log_loss")
    found = network.loss_and_gradient(sp.csr_array((N_ROWS, N_IN)), y, "log_loss")
    expected = network.loss_and_gradient(np.zeros((N_ROWS, N_IN)), y, "log_loss")
    np.testing.assert_allclose(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], atol=1e-14)


def test_one_dimension_of_targets_will_do():
    network, y = make(), targets_of("log_loss")
    same(
        network.loss_and_gradient(X, y.ravel(), "log_loss"), network.loss_and_gradient(X, y, "log_loss")
    )
    network, y = make([N_IN, 3, 1]), targets_of("huber", n_out=1)
    same(network.loss_and_gradient(X, y.ravel(), "huber"), network.loss_and_gradient(X, y, "huber"))


def same(found, expected):
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_gradient_overwrites():
    network, y = make(), targets_of("log_loss")
    out = np.full(network.params.size, np.nan)
    loss, gradient = network.loss_and_gradient(X, y, "log_loss", out=out)
    assert gradient is out
    same((loss, out), network.loss_and_gradient(X, y, "log_loss"))


def test_a_gradient_accumulates_when_asked():
    network, y = make(), targets_of("log_loss")
    loss, once = network.loss_and_gradient(X, y, "log_loss")
    out = np.ones_like(once)
    again, _ = network.loss_and_gradient(X, y, "log_loss", out=out, accumulate=True)
    assert again == loss  # of these rows alone
    np.testing.assert_allclose(out, 1 + once)
    with pytest.raises(ValueError, match="out"):
        network.loss_and_gradient(X, y, "log_loss", accumulate=True)


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("capacity", [1, 7, N_ROWS, 1000])
def test_a_scratch_of_any_size_gives_the_same(capacity, accumulate):
    network, y = make(), targets_of("log_loss")
    loss, expected = network.loss_and_gradient(X, y, "log_loss", WEIGHTS)
    scratch = network.scratch(capacity)
    for _ in range(2):  # a used one as well
        out = np.ones_like(expected)
        found, _ = network.loss_and_gradient(
            X, y, "log_loss", WEIGHTS, scratch=scratch, out=out, accumulate=accumulate
        )
        np.testing.assert_allclose(found, loss)
        np.testing.assert_allclose(out, accumulate + expected, atol=1e-14)


def test_a_scratch_serves_batches_of_any_size():
    network, y = make(), targets_of("log_loss")
    scratch = network.scratch(10)
    for stop in [23, 1, 10, 11]:
        found = network.loss_and_gradient(X[:stop], y[:stop], "log_loss", scratch=scratch)
        expected = network.loss_and_gradient(X[:stop], y[:stop], "log_loss")
        np.testing.assert_allclose(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], atol=1e-14)


@pytest.mark.parametrize(
    "other",
    [
        {"sizes": (N_IN, N_OUT)},
        {"sizes": (N_IN, 8, 4, N_OUT)},
        {"dtype": "float32"},
        {"activation": "gelu"},  # keeps slopes beside the activations
    ],
    ids=str,
)
def test_a_scratch_of_another_network_is_refused(other):
    with pytest.raises(ValueError, match="scratch"):
        make().loss_and_gradient(
            X, targets_of("log_loss"), "log_loss", scratch=make(**other).scratch(9)
        )


@pytest.mark.parametrize("capacity", [0, -1, 2**62])
def test_a_scratch_has_a_sensible_size(capacity):
    with pytest.raises((ValueError, MemoryError)):
        make().scratch(capacity)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@LOSS_NAMES
def test_without_checks_it_is_the_same(name, dtype, container):
    network, y = make(dtype=dtype), targets_of(name, dtype=dtype)
    rows, weights = X.astype(dtype), WEIGHTS.astype(dtype)
    found = network.loss_and_gradient(container(rows), y, name, weights, check=False)
    expected = network.loss_and_gradient(container(X), y.astype(float), name, WEIGHTS)
    same(found, expected)


# ---- what is refused ----

Y = targets_of("log_loss")
NUMBERS = targets_of("squared_error")


BAD_INPUT = {
    "NaN": np.where(X > 1, np.nan, X),
    "infinity": np.where(X > 1, np.inf, X),
    "a column less": X[:, :-1],
    "a column more": np.hstack([X, X[:, :1]]),
    "one dimension": X[0],
    "three dimensions": X[None],
    "no rows": X[:0],
    "no columns": X[:, :0],
    "strings": np.full(X.shape, "a"),
    "complex": X + 1j,
    "None": None,
    "sparse with a column less": sp.csr_array(X[:, :-1]),
    "sparse with NaN": sp.csr_array(np.where(X > 1, np.nan, X)),
}


@pytest.mark.parametrize("bad", BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_rows(bad):
    network = make()
    with pytest.raises((ValueError, TypeError)) as error:
        network.forward(bad)
    assert str(error.value)
    rows = Y[: bad.shape[0]] if hasattr(bad, "shape") else Y
    with pytest.raises((ValueError, TypeError)):
        network.loss_and_gradient(bad, rows, "log_loss")


@pytest.mark.parametrize(
    "code", [-1, N_OUT, 2**31, 2**32, 2**33 + 1, -sys.maxsize, sys.maxsize, 0.5, np.nan, "a", None]
)
def test_labels_out_of_range(code):
    y = np.zeros((N_ROWS, 1), dtype=object)
    y[5] = code
    y = y if isinstance(code, str) or code is None else y.astype(type(code))
    with pytest.raises((ValueError, TypeError)):
        make().loss_and_gradient(X, y, "log_loss")


@pytest.mark.parametrize("code", [-1, 2, 0.5])
def test_binary_labels_out_of_range(code):
    with pytest.raises(ValueError, match="from 0 to 1"):
        make().loss_and_gradient(X, np.full((N_ROWS, N_OUT), code), "binary_log_loss")


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(np.int64, (N_ROWS,), elements=st.integers(-(2**63), 2**63 - 1) | st.integers(0, N_OUT))
)
def test_any_integers_are_used_or_refused(y):
    if ((y >= 0) & (y < N_OUT)).all():
        assert np.isfinite(make().loss_and_gradient(X, y, "log_loss")[0])
    else:
        with pytest.raises(ValueError, match=f"integers from 0 to {N_OUT - 1}"):
            make().loss_and_gradient(X, y, "log_loss")


@pytest.mark.parametrize(
    "y",
    [
        NUMBERS[:-1],
        NUMBERS[:, :-1],
        NUMBERS[:, 0],
        np.hstack([NUMBERS, NUMBERS]),
        NUMBERS[:, :, None],
        np.where(NUMBERS > 2, np.nan, NUMBERS),
        np.where(NUMBERS > 2, np.inf, NUMBERS),
        NUMBERS + 1j,
        sp.csr_array(NUMBERS),
        None,
    ],
    ids=str,
)
def test_bad_targets(y):
    with pytest.raises((ValueError, TypeError)) as error:
        make().loss_and_gradient(X, y)
    assert "unpack" not in str(error.value)


def test_targets_too_large_for_the_dtype():
    with pytest.raises(ValueError, match="float32"), np.errstate(over="ignore"):
        make(dtype="float32").loss_and_gradient(X, np.full((N_ROWS, N_OUT), 1e300))


@pytest.mark.parametrize(
    "weights",
    [WEIGHTS[:-1], -WEIGHTS, 0 * WEIGHTS, np.nan * WEIGHTS, WEIGHTS[:, None] * [1, 2]],
    ids=str,
)
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="weight"):
        make().loss_and_gradient(X, Y, "log_loss", weights)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("n_outputs", [1, N_OUT - 1])
@pytest.mark.parametrize("name", ["log_loss", "squared_error"])
def test_a_loss_for_other_outputs_is_refused(name, n_outputs, check):
    y = np.zeros_like(targets_of(name, n_out=n_outputs))
    with pytest.raises(ValueError, match="output"):
        make().loss_and_gradient(X, y, Loss(name, n_outputs), check=check)


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="squared_error"):
        make().loss_and_gradient(X, Y, "nope")


SHAPES_AND_DTYPES = {
    "X of another dtype": lambda: {"X": X.astype(np.float32)},
    "X of integers": lambda: {"X": X.astype(np.int64)},
    "X of objects": lambda: {"X": X.astype(object)},
    "X of the other byte order": lambda: {"X": X.astype(">f8")},
    "X in Fortran order": lambda: {"X": np.asfortranarray(X)},
    "X of every second row": lambda: {"X": np.repeat(X, 2, axis=0)[::2]},
    "X of broadcast rows": lambda: {"X": np.broadcast_to(X[:1], X.shape)},
    "X of another width": lambda: {"X": X[:, :2].copy()},
    "X of one dimension": lambda: {"X": X[0].copy()},
    "X of three dimensions": lambda: {"X": X[None]},
    "no X": lambda: {"X": None},
    "y of another length": lambda: {"y": Y[:-1]},
    "y of int64": lambda: {"y": Y.astype(np.int64)},
    "y of int16": lambda: {"y": Y.astype(np.int16)},
    "y of uint32": lambda: {"y": Y.astype(np.uint32)},
    "y of numbers": lambda: {"y": Y.astype(float)},
    "y of the other byte order": lambda: {"y": Y.astype(">i4")},
    "y of two columns": lambda: {"y": np.hstack([Y, Y])},
    "y of one dimension": lambda: {"y": Y[:, 0]},
    "y of broadcast rows": lambda: {"y": np.broadcast_to(Y[:1], Y.shape)},
    "no y": lambda: {"y": None},
    "weights of another dtype": lambda: {"sample_weight": WEIGHTS.astype(np.float32)},
    "weights of another length": lambda: {"sample_weight": WEIGHTS[:-1]},
    "weights of two columns": lambda: {"sample_weight": np.ones((N_ROWS, 2))},
    "broadcast weights": lambda: {"sample_weight": np.broadcast_to(1.0, (N_ROWS,))},
    "out of another length": lambda: {"out": np.zeros(5)},
    "out of another dtype": lambda: {"out": np.zeros(make().params.size, np.float32)},
    "out with gaps": lambda: {"out": np.zeros(2 * make().params.size)[::2]},
    "out of two dimensions": lambda: {"out": np.zeros((1, make().params.size))},
    "scratch of no kind": lambda: {"scratch": 7},
}


@pytest.mark.parametrize("bad", SHAPES_AND_DTYPES.values(), ids=SHAPES_AND_DTYPES)
def test_shapes_and_dtypes_are_looked_at_without_checks(bad):
    network = make()
    good = {"X": X, "y": Y, "loss": "log_loss"}
    before = network.params.copy()
    with pytest.raises((ValueError, TypeError, AttributeError, IndexError)):
        network.loss_and_gradient(**{**good, **bad()}, check=False)
    np.testing.assert_array_equal(network.params, before)


def test_an_out_that_is_read_only_is_refused():
    network, out = make(), np.zeros(make().params.size)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        network.loss_and_gradient(X, Y, "log_loss", out=out)
    assert not out.any()
    scores = np.zeros((N_ROWS, N_OUT))
    scores.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        network.forward(X, out=scores)
    assert not scores.any()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((N_ROWS, N_OUT + 1)),
        np.zeros((N_ROWS + 1, N_OUT)),
        np.zeros((N_ROWS, N_OUT), np.float32),
        np.zeros((N_ROWS, N_OUT), order="F"),
        np.zeros(N_ROWS * N_OUT),
    ],
    ids=lambda out: f"{out.shape} {out.dtype}",
)
def test_scores_are_written_where_they_fit(out):
    with pytest.raises(ValueError, match=r"shape|dtype|contiguous"):
        make().forward(X, out=out)


# ---- what would end the interpreter, were it not refused ----

PREAMBLE = """
import json, os, tempfile, warnings
import joblib
import numpy as np
import scipy.sparse as sp
from sklearn_mlp import MLPClassifier, MLPRegressor, Network
from sklearn_mlp._loss import Loss
from sklearn_mlp.optimizers import SGD, Adam, AdamW, OptimizerState

warnings.simplefilter("ignore")
N = Network.from_sizes([4, 8, 3], random_state=0, dtype="float64")
X = np.random.RandomState(0).normal(size=(23, 4))
Y = np.arange(23, dtype=np.int32).reshape(-1, 1) % 3
LABELS = Y.ravel()
BIG = np.zeros(10**6)
PATH = os.path.join(tempfile.mkdtemp(), "file")


def changed(**parts):
    array = sp.csr_array(X)
    for name, change in parts.items():
        setattr(array, name, change(getattr(array, name).copy()))
    return array


def at(index, value, only=False):
    def change(array):
        array = array * 0 if only else array
        array[index] = value
        return array
    return change


def read_only_file(size):
    np.zeros(size).tofile(PATH)
    return np.memmap(PATH, dtype=float, mode="r")


def stored(model):
    joblib.dump(model, PATH)
    return joblib.load(PATH, mmap_mode="r")


def outcome(code):
    try:
        exec(code)
    except Exception as error:
        return type(error).__name__
    return "done"
"""

SPARSE = {
    "an index too large": "changed(indices=at(3, 10**8))",
    "a negative index": "changed(indices=at(3, -(10**8)))",
    "an index that int32 cannot hold": "changed(indices=lambda a: a.astype(np.int64) + 2**32)",
    "a pointer too large": "changed(indptr=at(5, 10**8))",
    "a negative pointer": "changed(indptr=at(5, -(10**8)))",
    "a negative first pointer": "changed(indptr=at(0, -(10**8)))",
    "a last pointer too large": "changed(indptr=at(-1, 10**8))",
    "pointers that end in zero": "changed(indptr=at(5, 10**8, only=True))",
    "too few pointers": "changed(indptr=lambda a: a[:3])",
    "too few values": "changed(data=lambda a: a[:3])",
    "too few indices": "changed(indices=lambda a: a[:3])",
    "values in two dimensions": "changed(data=lambda a: a.reshape(-1, 1))",
}
UNCHECKED = {
    "CSC": "sp.csc_array(X)",
    "BSR": "sp.bsr_array(X, blocksize=(1, 4))",
    "too few pointers": "changed(indptr=lambda a: a[:3])",
    "too few values": "changed(data=lambda a: a[:3])",
    "too few indices": "changed(indices=lambda a: a[:3])",
    "values of another dtype": "changed(data=lambda a: a.astype(np.float32))",
}
REFUSED = {
    **{f"forward, {name}": f"N.forward({array})" for name, array in SPARSE.items()},
    **{
        f"gradient, {name}": f"N.loss_and_gradient({array}, Y, 'log_loss')"
        for name, array in SPARSE.items()
    },
    **{
        f"forward unchecked, {name}": f"N.forward({array}, check=False)"
        for name, array in UNCHECKED.items()
    },
    **{
        f"gradient unchecked, {name}": f"N.loss_and_gradient({array}, Y, 'log_loss', check=False)"
        for name, array in UNCHECKED.items()
    },
    "a loss of many numbers": "N.loss_and_gradient(X, np.zeros((23, 900)), Loss('squared_error', 900))",
    "a loss of many classes": "N.loss_and_gradient(X, Y + 900, Loss('log_loss', 10**6))",
    "a loss of many classes, unchecked": (
        "N.loss_and_gradient(X, Y + 900, Loss('log_loss', 10**6), check=False)"
    ),
    "Adam with the state of SGD": "Adam().step(BIG, BIG.copy(), SGD().init(BIG), 0.1)",
    "AdamW with the state of SGD": "AdamW().step(BIG, BIG.copy(), SGD().init(BIG), 0.1)",
    "a state without moments": (
        "Adam().step(BIG, BIG.copy(), OptimizerState(np.zeros((0, 10**6))), 0.1)"
    ),
    "a subclass with other moments": (
        "kind = type('Odd', (Adam,), {'n_moments': 1});"
        "kind().step(BIG, BIG.copy(), kind().init(BIG), 0.1)"
    ),
    "no state": "Adam().step(BIG, BIG.copy(), None, 0.1)",
    "a gradient into a read-only file": (
        "N.loss_and_gradient(X, Y, 'log_loss', out=read_only_file(N.params.size))"
    ),
    "a step on a read-only file": "Adam().step(read_only_file(10**6), BIG, Adam().init(BIG), 0.1)",
}
ALLOWED = {
    "partial_fit of a model in a read-only file": (
        "stored(MLPClassifier().partial_fit(X, LABELS, classes=[0, 1, 2])).partial_fit(X, LABELS)"
    ),
    "partial_fit by a schedule of a model in a read-only file": (
        "model = MLPClassifier(learning_rate='exponential');"
        "stored(model.partial_fit(X, LABELS, classes=[0, 1, 2])).partial_fit(X, LABELS)"
    ),
    "a warm start of a model in a read-only file": (
        "stored(MLPRegressor(max_iter=2, warm_start=True).fit(X, LABELS)).fit(X, LABELS)"
    ),
    "evaluating rows in a read-only file": (
        "MLPRegressor(max_iter=2).fit(X, LABELS).evaluate(read_only_file(92).reshape(23, 4), LABELS)"
    ),
}


LOOP = """
for name, code in json.loads(CASES).items():
    print(json.dumps([name, "crash"]), flush=True)
    print(json.dumps([name, outcome(code)]), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes():
    """How each of these ends, in an interpreter of its own; in one more after each that crashes."""
    found, left = {}, {**ALLOWED, **REFUSED}
    while left:
        code = f"CASES = {json.dumps(left)!r}\n{PREAMBLE}\n{LOOP}"
        done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=False)
        ended = dict(json.loads(line) for line in done.stdout.splitlines())
        assert ended, done.stderr.decode()
        found |= ended
        left = {name: case for name, case in left.items() if name not in found}
    return found


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(outcomes, name):
    assert outcomes[name] in ("ValueError", "TypeError")


@pytest.mark.parametrize("name", ALLOWED)
def test_it_works_or_is_refused(outcomes, name):
    assert outcomes[name] in ("done", "ValueError")


# ---- views ----


def test_views_write_through():
    network = make()
    network.coefs[0][1, 2] = 7.0
    network.intercepts[-1][0] = 8.0
    assert network.params[1 * 8 + 2] == 7.0
    assert network.params[-N_OUT] == 8.0
    network.coefs[1] = np.full((8, 5), 3.0)
    assert (network.params[N_IN * 8 : N_IN * 8 + 40] == 3.0).all()
    network.params[:] = 0
    assert not any(part.any() for part in [*network.coefs, *network.intercepts])


def test_views_cover_all_parameters_once():
    network = make()
    network.params[:] = np.arange(network.params.size)
    parts = [part.ravel() for part in [*network.coefs, *network.intercepts]]
    np.testing.assert_array_equal(np.concatenate(parts), network.params)
    assert sum(part.size for part in network.coefs) == network.n_weights


def test_views_refuse_other_shapes():
    network = make()
    before = network.params.copy()
    for assign in [
        lambda: network.coefs.__setitem__(0, np.zeros((3, 3))),
        lambda: network.coefs.__setitem__(slice(None), [np.zeros((N_IN, 8))]),
        lambda: network.intercepts.__setitem__(slice(None), [np.ones(8), np.ones(5), np.ones(9)]),
    ]:
        with pytest.raises(ValueError, match=r"shape|layers"):
            assign()
    np.testing.assert_array_equal(network.params, before)


def test_a_copy_and_a_pickle_are_the_same_network_elsewhere():
    network = make(activation=["tanh", ("leaky_relu", 0.2)], output_activation="softplus")
    for other in [network.copy(), pickle.loads(pickle.dumps(network))]:
        np.testing.assert_array_equal(other.forward(X), network.forward(X))
        other.params[:] = 0
        assert network.params.any()


# ---- optimizers ----


def numpy_step(kind, params, gradient, moments, t, lr):
    """One step of each optimizer with its default settings, all parameters being weights."""
    if kind is optimizers.SGD:
        moments[0] = 0.9 * moments[0] - lr * gradient
        return params + 0.9 * moments[0] - lr * gradient
    moments[0] = 0.9 * moments[0] + 0.1 * gradient
    moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
    if kind is optimizers.Adam:
        rate = lr * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return params - rate * moments[0] / (np.sqrt(moments[1]) + 1e-8)
    first, second = moments[0] / (1 - 0.9**t), moments[1] / (1 - 0.999**t)
    return params * (1 - lr * 0.01) - lr * first / (np.sqrt(second) + 1e-8)


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-4), ("float64", 1e-11)])
@OPTIMIZERS
def test_steps_are_those_of_numpy(kind, dtype, rtol):
    random = np.random.RandomState(0)
    params = random.normal(size=5000).astype(dtype)
    expected, moments = params.astype(float), np.zeros((2, 5000))
    optimizer = kind()
    state = optimizer.init(params)
    for t in range(1, 6):
        gradient = random.normal(size=5000).astype(dtype)
        expected = numpy_step(kind, expected, gradient.astype(float), moments, t, 0.01 * t)
        assert optimizer.step(params, gradient, state, lr=0.01 * t) is None
        assert state.n_steps == t
    np.testing.assert_allclose(params, expected, rtol=rtol, atol=rtol)


@OPTIMIZERS
def test_the_gradient_is_left_alone(kind):
    params, gradient = np.ones(9), np.arange(9.0)
    kind().step(params, gradient, kind().init(params), 0.1, l2=0.5, max_norm=0.1)
    np.testing.assert_array_equal(gradient, np.arange(9.0))


def test_l2_comes_before_the_clip_and_acts_on_weights_alone():
    optimizer, params = optimizers.SGD(momentum=0.0), np.array([2.0, 2.0])
    norm = optimizer.step(
        params, np.array([2.0, 4.0]), optimizer.init(params), 1.0, n_weights=1, l2=0.5, max_norm=1.0
    )
    assert norm == 5.0  # of (2 + 0.5 * 2, 4)
    np.testing.assert_allclose(params, [2 - 3 / 5, 2 - 4 / 5])


def test_a_short_gradient_is_not_clipped():
    optimizer, params = optimizers.SGD(momentum=0.0), np.zeros(2)
    assert (
        optimizer.step(params, np.array([0.3, 0.4]), optimizer.init(params), 1.0, max_norm=1.0) == 0.5
    )
    np.testing.assert_allclose(params, [-0.3, -0.4])


@OPTIMIZERS
def test_a_state_can_be_kept(kind):
    optimizer, params, gradient = kind(), np.ones(7), np.arange(7.0)
    state = optimizer.init(params)
    optimizer.step(params, gradient, state, 0.1)
    other_params, (other, other_state) = params.copy(), pickle.loads(pickle.dumps((optimizer, state)))
    optimizer.step(params, gradient, state, 0.1)
    other.step(other_params, gradient, other_state, 0.1)
    np.testing.assert_array_equal(other_params, params)
    assert other_state.n_steps == state.n_steps == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"gradient": np.zeros(4)}, "shape"),
        ({"gradient": np.zeros((5, 1))}, "shape"),
        ({"gradient": np.zeros(5, np.float32)}, "dtype"),
        ({"gradient": np.zeros(10)[::2]}, "contiguous"),
        ({"params": np.zeros(4)}, "shape"),
        ({"params": np.zeros(5, np.float32)}, "dtype"),
        ({"params": np.zeros(10)[::2]}, "contiguous"),
        ({"state": optimizers.OptimizerState(np.zeros((2, 4)))}, "shape"),
        ({"state": optimizers.OptimizerState(np.zeros(5))}, "shape"),
        ({"n_weights": 6}, "n_weights"),
        ({"n_weights": -1}, "n_weights"),
        ({"max_norm": 0.0}, "max_norm"),
        ({"max_norm": -1.0}, "max_norm"),
        ({"max_norm": np.nan}, "max_norm"),
    ],
)
def test_a_step_refuses(bad, message):
    params = np.ones(5)
    arguments = {
        "params": params,
        "gradient": np.ones(5),
        "state": optimizers.Adam().init(params),
        "lr": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        optimizers.Adam().step(**{**arguments, **bad})
    np.testing.assert_array_equal(params, 1)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (optimizers.SGD, {"momentum": 1.5}),
        (optimizers.SGD, {"momentum": np.nan}),
        *[
            (kind, bad)
            for kind in (optimizers.Adam, optimizers.AdamW)
            for bad in ({"beta_1": 1.0}, {"beta_2": -0.1}, {"epsilon": 0.0})
        ],
        (optimizers.AdamW, {"weight_decay": -1.0}),
    ],
)
def test_settings_are_checked(kind, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        kind(**bad)


@pytest.mark.parametrize("bad", [{"lr": np.nan}, {"lr": -1.0}, {"l2": np.inf}, {"n_steps": -1}])
def test_numbers_of_a_step_are_checked(bad):
    params, optimizer = np.ones(3), optimizers.Adam()
    state = optimizer.init(params)
    state.n_steps = bad.get("n_steps", 0)
    with pytest.raises(ValueError, match="finite and not negative"):
        optimizer.step(params, params, state, bad.get("lr", 0.1), l2=bad.get("l2", 0.0))


def test_lists_are_no_vectors():
    params = np.ones(3)
    state = optimizers.Adam().init(params)
    with pytest.raises(TypeError, match="ndarray"):
        optimizers.Adam().step([1.0], params, state, 0.1)
    with pytest.raises(TypeError, match="ndarray"):
        optimizers.OptimizerState([[0.0], [0.0]])
    with pytest.raises(TypeError, match="ndarray"):
        make().forward(X, out=[])


def test_a_step_refuses_a_read_only_vector():
    params = np.ones(5)
    params.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        optimizers.Adam().step(params, np.ones(5), optimizers.Adam().init(params), 0.1)


@OPTIMIZERS
def test_no_parameters_need_no_step(kind):
    params = np.zeros(0)
    kind().step(params, params.copy(), kind().init(params), 0.1)


# ---- a loop of one's own ----


def train(network, optimizer, X, y, loss, *, alpha, batch, n_epochs, lr, random_state):
    """What `fit` does, in ten lines. Returns the loss of each epoch, penalty included."""
    state, rows, losses = optimizer.init(network.params), np.arange(len(X)), []
    scale = Loss(loss, network.sizes[-1]).reported_scale
    scratch = network.scratch(batch)
    for _ in range(n_epochs):
        random_state.shuffle(rows)
        total = 0.0
        for part in np.split(rows, range(batch, len(rows), batch)):
            value, gradient = network.loss_and_gradient(X[part], y[part], loss, scratch=scratch)
            l2 = alpha / len(part)
            total += (
                len(part) * value * scale
                + 0.5 * alpha * (network.params[: network.n_weights] ** 2).sum()
            )
            optimizer.step(network.params, gradient, state, lr, n_weights=network.n_weights, l2=l2)
        losses.append(total / len(rows))
    return losses


IRIS, SPECIES = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS)
SOLVERS = [
    ("adam", optimizers.Adam(), 0.01),
    ("sgd", optimizers.SGD(), 0.05),
    ("adamw", optimizers.AdamW(weight_decay=0.01), 0.01),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("solver", "optimizer", "lr"), SOLVERS, ids=[row[0] for row in SOLVERS])
def test_a_loop_reaches_the_classifier(solver, optimizer, lr):
    estimator = MLPClassifier(
        (10, 5),
        solver=solver,
        alpha=0.1,
        batch_size=32,
        learning_rate_init=lr,
        max_iter=15,
        random_state=7,
    ).fit(IRIS, SPECIES)
    random_state = np.random.RandomState(7)
    network = Network.from_sizes([4, 10, 5, 3], random_state=random_state, dtype="float64")
    losses = train(
        network, optimizer, IRIS, SPECIES, "log_loss",
        alpha=0.1, batch=32, n_epochs=15, lr=lr, random_state=random_state,
    )  # fmt: skip
    np.testing.assert_allclose(losses, estimator.loss_curve_, rtol=1e-10)
    for found, expected in zip(
        [*network.coefs, *network.intercepts], [*estimator.coefs_, *estimator.intercepts_], strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(network.forward(IRIS), estimator.decision_function(IRIS), atol=1e-10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_loop_reaches_the_regressor():
    rows, y = make_regression(90, 6, n_targets=2, random_state=0)
    y /= y.std()
    estimator = MLPRegressor(
        activation="tanh", alpha=0.0, batch_size=20, max_iter=10, random_state=1
    ).fit(rows, y)
    random_state = np.random.RandomState(1)
    network = Network.from_sizes([6, 100, 2], "tanh", random_state=random_state, dtype="float64")
    losses = train(
        network, optimizers.Adam(), rows, y, "squared_error",
        alpha=0.0, batch=20, n_epochs=10, lr=0.001, random_state=random_state,
    )  # fmt: skip
    np.testing.assert_allclose(losses, estimator.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(network.forward(rows), estimator.predict(rows), atol=1e-10)
