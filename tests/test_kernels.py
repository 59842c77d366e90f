"""The kernels against naive NumPy, numeric gradients and one another.

The reference below is meant to be read, not to be fast: one formula a line, in float64. Whatever is
in the tables of activations, losses and solvers is tested; a new row is tested by being there.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, xlogy
from sklearn_mlp._activations import ACTIVATIONS, activate, backpropagate
from sklearn_mlp._epoch import Samples, Trainer, predict_batches
from sklearn_mlp._loss import LOSSES, Loss, apply_link
from sklearn_mlp._optim import SGD, SOLVERS, Adam

from sklearn_mlp import _blas
from sklearn_mlp._network import Network

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

# ---- the reference ----

REFERENCE_ACTIVATIONS = {  # name: (function, derivative)
    "identity": (lambda z: z, np.ones_like),
    "logistic": (expit, lambda z: expit(z) * (1 - expit(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


REFERENCE_LINKS = {"identity": lambda z: z, "exp": np.exp, "logistic": expit, "softmax": softmax}


def reference_losses(name, z, y):
    """The loss of each row."""
    if name == "squared_error":
        return 0.5 * ((z - y) ** 2).sum(axis=1)
    if name == "poisson":
        return (xlogy(y, y) - y - y * z + np.exp(z)).sum(axis=1)
    if name == "binary_log_loss":
        return (np.logaddexp(0, z) - y * z).sum(axis=1)
    return np.logaddexp.reduce(z, axis=1) - z[np.arange(len(z)), y.ravel()]


def reference_delta(name, z, y):
    """Link minus target: the gradient of the loss of each row, for canonical links."""
    target = np.eye(z.shape[1])[y.ravel()] if name == "log_loss" else y
    return REFERENCE_LINKS[LOSSES[name][1]](z) - target


def reference_forward(network, X):
    """Inputs of each layer, and the raw scores."""
    inputs, z = [], X
    activation = REFERENCE_ACTIVATIONS[network.activation][0]
    for layer, (W, b) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        inputs.append(z if layer == 0 else activation(z))
        z = inputs[-1] @ W.astype(float) + b
    return inputs, z


def reference_gradient(network, X, y, loss, weights, divisor):
    """The summed loss and the flat gradient of its share per `divisor`."""
    inputs, raw = reference_forward(network, X)
    total = (weights * reference_losses(loss, raw, y)).sum()
    delta = weights[:, None] * reference_delta(loss, raw, y) / divisor
    coefs, intercepts = [], []
    for layer in reversed(range(len(inputs))):
        coefs.insert(0, inputs[layer].T @ delta)
        intercepts.insert(0, delta.sum(axis=0))
        if layer:
            before = inputs[layer - 1] @ network.coefs[layer - 1] + network.intercepts[layer - 1]
            derivative = REFERENCE_ACTIVATIONS[network.activation][1](before)
            delta = delta @ network.coefs[layer].T * derivative
    return total, np.concatenate([part.ravel() for part in coefs + intercepts])


# ---- what is tested ----


def draw_targets(rng, loss, n_rows, n_outputs, dtype):
    if loss == "log_loss":
        return rng.integers(n_outputs, size=(n_rows, 1)).astype(np.int32)
    if loss == "binary_log_loss":
        return rng.integers(2, size=(n_rows, n_outputs)).astype(np.int32)
    if loss == "poisson":
        return rng.poisson(1.0, size=(n_rows, n_outputs)).astype(dtype)
    return rng.normal(size=(n_rows, n_outputs)).astype(dtype)


def make(sizes, activation, dtype, seed=0):
    network = Network(sizes, activation, dtype)
    network.initialize(np.random.RandomState(seed))
    return network


def full_gradient(network, X, y, loss, weights=None, rows=None, batch_rows=None):
    """Summed loss and mean gradient, as the kernels compute them."""
    samples = Samples(X, y, weights)
    n_rows = X.shape[0] if rows is None else len(rows)
    gather = rows is not None and not sp.issparse(X)
    trainer = Trainer(
        network.layers, network.params, samples, Loss(loss, network.sizes[-1]), None, None,
        batch_rows=batch_rows or n_rows, alpha=0.0, gather=gather,
    )  # fmt: skip
    trainer.loss_and_gradient(rows, n_rows)
    return trainer.loss_sum, trainer.gradient


SHAPES = [  # rows, layer sizes, rows per batch
    (1, (1, 1, 2), 1),
    (1, (5, 3, 3), 1),
    (7, (1, 4, 1, 2), 3),
    (40, (6, 9, 5, 4), 16),
    (33, (20, 17, 3), 33),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_and_gradient_equal_the_reference(activation, loss, shape, dtype):
    n_rows, sizes, batch_rows = shape
    rng = np.random.default_rng(0)
    network = make(sizes, activation, dtype)
    X = rng.normal(size=(n_rows, sizes[0])).astype(dtype)
    y = draw_targets(rng, loss, n_rows, sizes[-1], dtype)
    weights = rng.uniform(0, 3, n_rows).astype(dtype)
    expected = reference_gradient(network, X.astype(float), y, loss, weights.astype(float), n_rows)
    for data in (X, sp.csr_array(X)):
        total, gradient = full_gradient(network, data, y, loss, weights, batch_rows=batch_rows)
        np.testing.assert_allclose(total, expected[0], rtol=TOLERANCE[dtype])
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(gradient, expected[1], atol=TOLERANCE[dtype] * scale)
        assert gradient.dtype == dtype


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradient_is_that_of_the_loss(activation, loss):
    """Central differences of the kernels' own loss, for every activation and loss."""
    rng = np.random.default_rng(1)
    network = make((4, 6, 5, 3), activation, np.float64)
    X = rng.normal(size=(9, 4))
    y = draw_targets(rng, loss, 9, 3, np.float64)
    weights = rng.uniform(0.5, 2, 9)
    _, gradient = full_gradient(network, X, y, loss, weights)
    numeric = np.empty_like(gradient)
    step = 1e-6
    for i in range(network.params.size):
        value = network.params[i]
        losses = []
        for moved in (value + step, value - step):
            network.params[i] = moved
            losses.append(full_gradient(network, X, y, loss, weights)[0])
        network.params[i] = value
        numeric[i] = (losses[0] - losses[1]) / (2 * step) / 9
    np.testing.assert_allclose(gradient, numeric, atol=2e-8)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_follows_float64(activation, loss):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, 8))
    results = []
    for dtype in DTYPES:
        network = make((8, 16, 4), activation, dtype)
        y = draw_targets(np.random.default_rng(3), loss, 50, 4, dtype)
        results.append(full_gradient(network, X.astype(dtype), y, loss))
    (single_loss, single), (double_loss, double) = results
    np.testing.assert_allclose(single_loss, double_loss, rtol=1e-5)
    np.testing.assert_allclose(single, double, atol=1e-5 * np.abs(double).max())


@pytest.mark.parametrize("sparse", [False, True])
def test_permuted_rows(sparse):
    """A permutation with repetitions gives what the permuted data gives."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(30, 5)), draw_targets(rng, "log_loss", 30, 3, float)
    weights = rng.uniform(size=30)
    rows = rng.integers(30, size=41)
    network = make((5, 7, 3), "tanh", np.float64)
    data = sp.csr_array(X) if sparse else X
    total, gradient = full_gradient(network, data, y, "log_loss", weights, rows, batch_rows=8)
    again = full_gradient(network, X[rows], y[rows], "log_loss", weights[rows], batch_rows=8)
    np.testing.assert_allclose(total, again[0], rtol=1e-13)
    np.testing.assert_allclose(gradient, again[1], atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 5, 10_000])
def test_prediction_in_chunks(n_rows, dtype):
    rng = np.random.default_rng(5)
    network = make((3, 40, 20, 2), "relu", dtype)
    X = rng.normal(size=(n_rows, 3)).astype(dtype)
    expected = reference_forward(network, X.astype(float))[1]
    rows = rng.permutation(n_rows)
    for data in (X, sp.csr_array(X)):
        raw = predict_batches(network.layers, network.params, Samples(data))
        np.testing.assert_allclose(raw, expected, atol=TOLERANCE[dtype])
        picked = predict_batches(network.layers, network.params, Samples(data), rows)
        np.testing.assert_allclose(picked, expected[rows], atol=TOLERANCE[dtype])


# ---- activations, links and their functions ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_and_derivative(name, dtype):
    rng = np.random.default_rng(6)
    z = rng.normal(scale=3, size=(11, 7)).astype(dtype)
    intercepts = rng.normal(size=7).astype(dtype)
    function, derivative = REFERENCE_ACTIVATIONS[name]
    total = z.astype(float) + intercepts
    a, delta = z.copy(), np.full_like(z, 2)
    activate(name, a, intercepts)
    np.testing.assert_allclose(a, function(total), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    backpropagate(name, a, delta)
    np.testing.assert_allclose(delta, 2 * derivative(total), atol=20 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_passes_nan_and_infinity_on(name, dtype):
    a = np.array([[np.nan, np.inf, -np.inf]], dtype=dtype)
    activate(name, a, np.zeros(3, dtype))
    assert np.isnan(a[0, 0])
    np.testing.assert_array_equal(a[0, 1:], REFERENCE_ACTIVATIONS[name][0](np.array([np.inf, -np.inf])))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is no wider than double")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "reference"),
    [("tanh", np.tanh), ("logistic", lambda x: 1 / (1 + np.exp(-x)))],
)
def test_functions_are_within_two_units_in_the_last_place(name, reference, dtype):
    rng = np.random.default_rng(7)
    tiny = -37 if dtype == np.float32 else -307
    x = np.concatenate([
        rng.uniform(-12, 12, 200_000), rng.uniform(-0.7, 0.7, 200_000),
        rng.choice([-1, 1], 50_000) * 10 ** rng.uniform(tiny, 0, 50_000),
        rng.uniform(-87, 87, 50_000),
    ]).astype(dtype)  # fmt: skip
    out = x.reshape(-1, 1).copy()
    activate(name, out, np.zeros(1, dtype))
    exact = reference(x.astype(np.longdouble))
    units = np.abs(out.ravel() - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert units.max() <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("link", sorted({row[1] for row in LOSSES.values()}))
def test_links(link, dtype):
    z = np.random.default_rng(8).normal(scale=4, size=(9, 3)).astype(dtype)
    expected = REFERENCE_LINKS[link](z.astype(float))
    apply_link(link, z)
    np.testing.assert_allclose(z, expected, rtol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("size", [1e-30, 50.0, 1e4, 1e30])
def test_log_losses_are_stable_and_clipped_as_in_scikit_learn(loss, size, dtype):
    """Raw scores of any size: finite, within [eps, -log(eps)], and gradients within [-1, 1]."""
    network = Network((1, 2), "relu", dtype)
    network.params[:] = [size, -size, 0, 0]
    y = np.array([[0], [1]] if loss == "log_loss" else [[0, 1], [1, 0]], dtype=np.int32)
    for row in range(2):
        total, gradient = full_gradient(network, np.ones((1, 1), dtype), y[row : row + 1], loss)
        n_terms = 1 if loss == "log_loss" else 2
        eps = np.finfo(dtype).eps
        assert n_terms * eps * 0.999 <= total <= -n_terms * np.log(eps) * 1.001
        assert np.abs(gradient).max() <= 1


# ---- matrix products ----


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=150, deadline=None)
@given(
    m=st.integers(1, 70), n=st.integers(1, 70), k=st.integers(1, 600),
    trans=st.sampled_from(["", "a", "b"]), accumulate=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_products_of_any_shape(dtype, m, n, k, trans, accumulate, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    before = rng.normal(size=(m, n)).astype(dtype)
    expected = a.astype(float) @ b.astype(float) + (before if accumulate else 0)
    got = _blas.multiply(
        np.ascontiguousarray(a.T) if trans == "a" else a,
        np.ascontiguousarray(b.T) if trans == "b" else b,
        trans_a=trans == "a",
        trans_b=trans == "b",
        out=before.copy() if accumulate else None,
    )
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[dtype] * np.sqrt(k))


def test_products_larger_than_a_block():
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(3000, 300)), rng.normal(size=(300, 40))
    np.testing.assert_allclose(_blas.multiply(a, b), a @ b, atol=1e-11)
    np.testing.assert_allclose(
        _blas.multiply(np.ascontiguousarray(a.T), b, trans_a=True), a @ b, atol=1e-11
    )


def test_products_of_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="cannot multiply"):
        _blas.multiply(np.ones((2, 3)), np.ones((2, 3)))


def test_the_instruction_set_can_be_forced():
    """Each path that this build has computes the same model; an unknown one is refused."""
    program = (
        "import numpy as np, sklearn_mlp; from sklearn_mlp._blas import INSTRUCTION_SET\n"
        "X = np.random.RandomState(0).normal(size=(64, 20)); y = X[:, 0] > 0\n"
        "m = sklearn_mlp.MLPClassifier(random_state=0, max_iter=5, tol=0).fit(X, y)\n"
        "print(INSTRUCTION_SET, repr(float(m.loss_)))"
    )

    def run(name):
        env = dict(os.environ, SKLEARN_MLP_INSTRUCTION_SET=name, PYTHONWARNINGS="ignore")
        return subprocess.run(
            [sys.executable, "-P", "-c", program], env=env, capture_output=True, text=True
        )

    losses = []
    for name in {"portable", _blas.INSTRUCTION_SET}:
        used, loss = run(name).stdout.split()
        assert used == name
        losses.append(float(loss))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-12)
    refused = run("abacus")
    assert refused.returncode != 0
    assert "SKLEARN_MLP_INSTRUCTION_SET is 'abacus'" in refused.stderr


# ---- optimizers ----


def reference_sgd(params, gradients, rate, momentum, nesterov):
    params, velocity = params.astype(float), 0.0
    for gradient in gradients:
        velocity = momentum * velocity - rate * gradient
        params = params + (momentum * velocity - rate * gradient if nesterov else velocity)
    return params


def reference_adam(params, gradients, rate, beta_1, beta_2, epsilon):
    params, m, v = params.astype(float), 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        scaled = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        params = params - scaled * m / (np.sqrt(v) + epsilon)
    return params


def take_steps(settings, params, gradients, rate):
    state = settings.init(params)
    for gradient in gradients:
        settings.step(params, gradient, state, rate)
    return params, state


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 2048, 5000])
@pytest.mark.parametrize("case", [(0.9, True), (0.9, False), (0.0, True), (0.5, False)])
def test_sgd(case, n, dtype):
    rng = np.random.default_rng(10)
    start = rng.normal(size=n).astype(dtype)
    gradients = rng.normal(size=(4, n)).astype(dtype)
    got, state = take_steps(SGD(*case), start.copy(), gradients, 0.1)
    expected = reference_sgd(start, gradients.astype(float), 0.1, *case)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[dtype])
    assert state.n_steps == 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 2048, 5000])
@pytest.mark.parametrize("case", [(0.9, 0.999, 1e-8), (0.0, 0.9, 1e-4), (0.5, 0.0, 1e-2)])
def test_adam(case, n, dtype):
    rng = np.random.default_rng(11)
    start = rng.normal(size=n).astype(dtype)
    gradients = rng.normal(size=(4, n)).astype(dtype)
    got, state = take_steps(Adam(*case), start.copy(), gradients, 0.01)
    expected = reference_adam(start, gradients.astype(float), 0.01, *case)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[dtype])
    assert state.n_steps == 4


def test_adam_by_hand():
    """Two steps of one parameter: g = 1, then g = -3, rate 0.1, beta 0.5 and 0.75, epsilon 0."""
    params, _ = take_steps(Adam(0.5, 0.75, 1e-300), np.array([1.0]), np.array([[1.0], [-3.0]]), 0.1)
    # step 1: m = 0.5, v = 0.25, rate 0.1 * 0.5 / 0.5 = 0.1: 1 - 0.1 * 0.5 / 0.5 = 0.9
    # step 2: m = -1.25, v = 2.4375, rate 0.1 * sqrt(0.4375) / 0.75
    expected = 0.9 + 0.1 * np.sqrt(0.4375) / 0.75 * 1.25 / np.sqrt(2.4375)
    np.testing.assert_allclose(params, expected, rtol=1e-14)


@pytest.mark.parametrize("kind", SOLVERS.values())
def test_a_step_refuses_what_does_not_belong_together(kind):
    settings = kind()
    params = np.zeros(3)
    state = settings.init(params)
    with pytest.raises(ValueError, match="do not belong together"):
        settings.step(params, np.zeros(4), state, 0.1)
    with pytest.raises(ValueError, match="must be the same"):
        settings.step(params, np.zeros(3, np.float32), state, 0.1)
    assert state.n_steps == 0


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
def test_an_epoch_is_a_loop_of_gradients_and_steps(solver, sparse):
    """`train_batches` against single gradients, the L2 term by hand, and single steps."""
    rng = np.random.default_rng(12)
    X, y = rng.normal(size=(50, 6)), draw_targets(rng, "log_loss", 50, 3, float)
    weights = rng.uniform(0.5, 2, 50)
    rows = rng.permutation(50)
    rates = rng.uniform(0.001, 0.1, size=4)
    data, alpha = (sp.csr_array(X) if sparse else X), 0.3

    trained = make((6, 8, 3), "tanh", np.float64)
    settings = SOLVERS[solver]()
    trainer = Trainer(
        trained.layers, trained.params, Samples(data, y, weights), Loss("log_loss", 3), settings,
        settings.init(trained.params), batch_rows=16, alpha=alpha, gather=not sparse,
    )  # fmt: skip
    trainer.mean_weight = weights.mean()
    trainer.start_epoch()
    assert trainer.train_batches(rows, 50, 0, rates) == 4

    network, loss_sum, penalty_sum = make((6, 8, 3), "tanh", np.float64), 0.0, 0.0
    state, n_weights = settings.init(network.params), network.layers.n_weights
    for batch in range(4):
        part = rows[16 * batch : 16 * (batch + 1)]
        total, gradient = full_gradient(network, X[part], y[part], "log_loss", weights[part])
        w = network.params[:n_weights].copy()
        gradient[:n_weights] += alpha * w / len(part)
        loss_sum, penalty_sum = loss_sum + total, penalty_sum + 0.5 * alpha * (w @ w)
        settings.step(network.params, gradient / weights.mean(), state, rates[batch])
    np.testing.assert_allclose(trained.params, network.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trainer.loss_sum, loss_sum, rtol=1e-12)
    np.testing.assert_allclose(trainer.penalty_sum, penalty_sum, rtol=1e-12)


def test_non_finite_parameters_are_noticed():
    network = make((6, 8, 3), "tanh", np.float64)
    samples = Samples(np.zeros((1, 6)), np.zeros((1, 1), np.int32))
    trainer = Trainer(
        network.layers, network.params, samples, Loss("log_loss", 3), None, None,
        batch_rows=1, alpha=0.0, gather=False,
    )  # fmt: skip
    trainer.start_epoch()
    assert trainer.is_finite()
    for place in range(network.params.size):
        for value in (np.nan, np.inf, -np.inf):
            kept, network.params[place] = network.params[place], value
            assert not trainer.is_finite()
            network.params[place] = kept


def test_samples_refuse_arrays_that_do_not_fit():
    X = np.zeros((4, 2))
    with pytest.raises(ValueError, match="3 targets for 4 rows"):
        Samples(X, np.zeros((3, 1)))
    with pytest.raises(TypeError, match="float32 or float64"):
        Samples(X.astype(int))
    with pytest.raises(TypeError, match="C-contiguous"):
        Samples(np.asfortranarray(np.zeros((4, 3))))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_trainer_refuses_targets_of_the_wrong_kind(loss):
    """Numbers read as class codes would be addresses outside the arrays."""
    network = make((2, 3), "relu", np.float64)
    takes_codes = Loss(loss, 3).takes_codes
    n_targets = 1 if loss == "log_loss" else 3
    wrong = np.ones((4, n_targets), np.float64 if takes_codes else np.int32)
    with pytest.raises(TypeError, match="as targets"):
        full_gradient(network, np.zeros((4, 2)), wrong, loss)
    with pytest.raises(ValueError, match="targets per row"):
        full_gradient(network, np.zeros((4, 2)), np.ones((4, 2), wrong.dtype), loss)
