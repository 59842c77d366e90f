"""The kernels against naive NumPy, numeric gradients, hand-worked cases and one another.

The reference below is meant to be read, not to be fast: one formula a line, in float64. Whatever is
in the tables of activations, losses and solvers is tested; a new row is tested by being there.
"""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit, log_softmax, ndtr, softmax, xlogy

from sklearn_mlp import _blas
from sklearn_mlp._activations import ACTIVATIONS, activate, parse_activation
from sklearn_mlp._epoch import Samples, Trainer, predict_batches
from sklearn_mlp._loss import LOSSES, Loss, apply_link
from sklearn_mlp._network import Network
from sklearn_mlp._optim import SGD, SOLVERS, Adam, AdamW

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

# ---- the reference ----

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def derivative_of_mish(z):
    t = np.tanh(np.logaddexp(0, z))
    return t + z * (1 - t**2) * expit(z)


REFERENCE_ACTIVATIONS = {  # name: (function, derivative), of z and the slope of leaky_relu
    "identity": (lambda z, s: z, lambda z, s: np.ones_like(z)),
    "logistic": (lambda z, s: expit(z), lambda z, s: expit(z) * expit(-z)),
    "tanh": (lambda z, s: np.tanh(z), lambda z, s: 1 - np.tanh(z) ** 2),
    "relu": (lambda z, s: np.maximum(z, 0), lambda z, s: (z > 0) * 1.0),
    "leaky_relu": (lambda z, s: np.where(z > 0, z, s * z), lambda z, s: np.where(z > 0, 1, s)),
    "elu": (
        lambda z, s: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z, s: np.exp(np.minimum(z, 0)),
    ),
    "selu": (
        lambda z, s: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z, s: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
    "softplus": (lambda z, s: np.logaddexp(0, z), lambda z, s: expit(z)),
    "gelu": (
        lambda z, s: z * ndtr(z),
        lambda z, s: ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (lambda z, s: z * expit(z), lambda z, s: expit(z) * (1 + z * expit(-z))),
    "mish": (lambda z, s: z * np.tanh(np.logaddexp(0, z)), lambda z, s: derivative_of_mish(z)),
}

REFERENCE_LINKS = {
    "identity": lambda z: z,
    "exp": np.exp,
    "logistic": expit,
    "softmax": lambda z: softmax(z, axis=1),
}

REFERENCE_LOSSES = {  # name: (value, derivative) per output, of scores z, targets t, parameter p
    "squared_error": (lambda z, t, p: 0.5 * (z - t) ** 2, lambda z, t, p: z - t),
    "absolute_error": (lambda z, t, p: np.abs(z - t), lambda z, t, p: np.sign(z - t)),
    "huber": (
        lambda z, t, p: np.where(abs(z - t) < p, 0.5 * (z - t) ** 2, p * (abs(z - t) - p / 2)),
        lambda z, t, p: np.clip(z - t, -p, p),
    ),
    "quantile": (
        lambda z, t, p: np.maximum(p * (t - z), (1 - p) * (z - t)),
        lambda z, t, p: (z > t) * (1 - p) - (z < t) * p,
    ),
    "poisson": (lambda z, t, p: xlogy(t, t) - t - t * z + np.exp(z), lambda z, t, p: np.exp(z) - t),
    "binary_log_loss": (
        lambda z, t, p: -t * log_expit(z) - (1 - t) * log_expit(-z),
        lambda z, t, p: expit(z) - t,
    ),
    "log_loss": (
        lambda z, t, p: -t * log_softmax(z, axis=1),
        lambda z, t, p: softmax(z, axis=1) - t,
    ),
}

# What the parameter of a loss is set to, by its name.
PARAMETERS = {
    None: [None],
    "huber_delta": [1.0, 0.4],
    "quantile": [0.5, 0.9],
    "label_smoothing": [0.0, 0.2],
}
LOSS_CASES = [(name, value) for name, row in LOSSES.items() for value in PARAMETERS[row[3]]]
ACTIVATION_CASES = [*ACTIVATIONS, ("leaky_relu", 0.3)]


def numeric_targets(name, y, n_outputs, smoothing):
    """Targets as numbers: class codes as smoothed indicators."""
    if name == "log_loss":
        return np.eye(n_outputs)[y.ravel()] * (1 - smoothing) + smoothing / n_outputs
    return y * (1 - smoothing) + smoothing / 2 if name == "binary_log_loss" else y.astype(float)


def reference_loss(loss, z, y):
    """The loss of each row, and its gradient with respect to the scores."""
    value, derivative = REFERENCE_LOSSES[loss.name]
    t = numeric_targets(loss.name, y, z.shape[1], loss.parameter)
    return value(z, t, loss.parameter).sum(axis=1), derivative(z, t, loss.parameter)


def reference_forward(network, X, masks=None):
    """What enters each layer, what its products are, and the raw scores."""
    inputs, products, out = [], [], X
    masks = masks or [1.0] * len(network.coefs)
    layers = zip(network.coefs, network.intercepts, network.activations, masks, strict=True)
    for W, b, (name, slope), mask in layers:
        inputs.append(out)
        products.append(out @ W.astype(float) + b)
        out = REFERENCE_ACTIVATIONS[name][0](products[-1], slope) * mask
    return inputs, products, out


def reference_gradient(network, X, y, loss, weights, divisor, masks=None):
    """The summed loss and the flat gradient of its share per `divisor`."""
    inputs, products, raw = reference_forward(network, X, masks)
    values, delta = reference_loss(loss, raw, y)
    delta = weights[:, None] * delta / divisor
    coefs, intercepts = [], []
    for layer in reversed(range(len(inputs))):
        name, slope = network.activations[layer]
        delta = delta * REFERENCE_ACTIVATIONS[name][1](products[layer], slope)
        delta = delta * (masks[layer] if masks else 1.0)
        coefs.insert(0, inputs[layer].T @ delta)
        intercepts.insert(0, delta.sum(axis=0))
        delta = delta @ network.coefs[layer].T
    return (weights * values).sum(), np.concatenate([part.ravel() for part in coefs + intercepts])


def mix(x):
    """The finaliser of SplitMix64, on an array of uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> 30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> 27)) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> 31)


def reference_masks(seed, epoch, n_rows, sizes, rates):
    """What the outputs of each layer are multiplied by: 0, or 1 / (1 - rate)."""
    epoch_key = mix(mix(np.array([seed], np.uint64)) + np.uint64(epoch))
    masks = []
    for layer, (n_units, rate) in enumerate(zip(sizes[1:], [*rates, 0.0], strict=True)):
        key = mix(mix(epoch_key + np.arange(n_rows, dtype=np.uint64)) + np.uint64(layer))[:, None]
        x = key.astype(np.uint32) + np.arange(n_units, dtype=np.uint32) * np.uint32(0x9E3779B9)
        x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D) + (key >> 32).astype(np.uint32)
        x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
        masks.append(np.where((x ^ (x >> 16)) < int(rate * 2**32), 0, 1 / (1 - rate)))
    return masks


# ---- what is tested ----


def draw_targets(rng, loss, n_rows, n_outputs, dtype):
    if loss == "log_loss":
        return rng.integers(n_outputs, size=(n_rows, 1)).astype(np.int32)
    if loss == "binary_log_loss":
        return rng.integers(2, size=(n_rows, n_outputs)).astype(np.int32)
    if loss == "poisson":
        return rng.poisson(1.0, size=(n_rows, n_outputs)).astype(dtype)
    return rng.normal(size=(n_rows, n_outputs)).astype(dtype)


def make(sizes, activation, dtype, seed=0, output="identity"):
    """A network with the same activation, or those of a list, in its hidden layers."""
    hidden = activation if isinstance(activation, list) else [activation] * (len(sizes) - 2)
    network = Network(sizes, [parse_activation(a) for a in [*hidden, output]], dtype)
    network.initialize(np.random.RandomState(seed))
    rng = np.random.default_rng(seed)
    for intercepts in network.intercepts:
        intercepts[:] = rng.uniform(-0.5, 0.5, intercepts.size)
    return network


def make_trainer(network, X, y, loss, weights=None, *, batch_rows, gather=False, rates=(), **options):
    """A trainer for losses and gradients."""
    loss = loss if isinstance(loss, Loss) else Loss(loss, network.sizes[-1])
    layers = network.layers_with_dropout(rates)
    return Trainer(
        layers, network.params, Samples(X, y, weights), loss, None, None,
        batch_rows=batch_rows, alpha=0.0, gather=gather, **options,
    )  # fmt: skip


def full_gradient(network, X, y, loss, weights=None, rows=None, batch_rows=None):
    """Summed loss and mean gradient, as the kernels compute them."""
    n_rows = X.shape[0] if rows is None else len(rows)
    gather = rows is not None and not sp.issparse(X)
    trainer = make_trainer(network, X, y, loss, weights, batch_rows=batch_rows or n_rows, gather=gather)
    trainer.loss_and_gradient(rows, n_rows)
    return trainer.loss_sum, trainer.gradient


def test_the_reference_is_complete():
    assert set(REFERENCE_ACTIVATIONS) == set(ACTIVATIONS)
    assert set(REFERENCE_LOSSES) == set(LOSSES)
    assert set(PARAMETERS) == {row[3] for row in LOSSES.values()}
    assert set(REFERENCE_LINKS) == {row[1] for row in LOSSES.values()}
    assert set(REFERENCE_SOLVERS) == set(SOLVERS) == set(SOLVER_CASES)


SHAPES = [  # rows, layer sizes, rows per batch
    (1, (1, 1, 2), 1),
    (1, (5, 3, 3), 1),
    (4, (3, 2), 4),
    (7, (1, 4, 1, 2), 3),
    (40, (6, 9, 5, 4), 16),
    (33, (20, 17, 3), 33),
]


def assert_equal_to_the_reference(network, X, y, loss, weights, batch_rows, rates=()):
    dtype, n_rows = X.dtype.type, X.shape[0]
    masks = reference_masks(11, 2, n_rows, network.sizes, rates) if any(rates) else None
    expected = reference_gradient(
        network, X.astype(float), y, loss, weights.astype(float), n_rows, masks
    )
    for data in (X, sp.csr_array(X)):
        trainer = make_trainer(network, data, y, loss, weights, batch_rows=batch_rows, rates=rates)
        trainer.dropout_seed = 11
        trainer.start_epoch(2)
        trainer.loss_and_gradient(None, n_rows)
        np.testing.assert_allclose(trainer.loss_sum, expected[0], rtol=TOLERANCE[dtype])
        scale = np.abs(expected[1]).max()
        np.testing.assert_allclose(trainer.gradient, expected[1], atol=TOLERANCE[dtype] * scale)
        assert trainer.gradient.dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "parameter"), LOSS_CASES)
@pytest.mark.parametrize("activation", ACTIVATION_CASES, ids=str)
def test_loss_and_gradient_equal_the_reference(activation, loss, parameter, dtype):
    for n_rows, sizes, batch_rows in SHAPES:
        rng = np.random.default_rng(0)
        network = make(sizes, activation, dtype)
        X = rng.normal(size=(n_rows, sizes[0])).astype(dtype)
        y = draw_targets(rng, loss, n_rows, sizes[-1], dtype)
        weights = rng.uniform(0, 3, n_rows).astype(dtype)
        case = Loss(loss, sizes[-1], parameter)
        assert_equal_to_the_reference(network, X, y, case, weights, batch_rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("output", ACTIVATION_CASES, ids=str)
def test_output_activations_equal_the_reference(output, dtype):
    rng = np.random.default_rng(1)
    network = make((6, 9, 4), "tanh", dtype, output=output)
    X, weights = rng.normal(size=(40, 6)).astype(dtype), rng.uniform(0, 3, 40).astype(dtype)
    for loss, parameter in LOSS_CASES:
        y = draw_targets(rng, loss, 40, 4, dtype)
        assert_equal_to_the_reference(network, X, y, Loss(loss, 4, parameter), weights, 16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATION_CASES, ids=str)
def test_dropout_equals_the_reference(activation, dtype):
    rng = np.random.default_rng(2)
    weights = rng.uniform(0, 3, 40).astype(dtype)
    for sizes, rates in (((6, 9, 3), [0.5]), ((6, 9, 5, 4), [0.0, 0.3]), ((6, 9, 5, 4), [0.7, 0.1])):
        network = make(sizes, activation, dtype)
        X = rng.normal(size=(40, 6)).astype(dtype)
        for loss in ("log_loss", "huber"):
            y = draw_targets(rng, loss, 40, sizes[-1], dtype)
            assert_equal_to_the_reference(network, X, y, Loss(loss, sizes[-1]), weights, 16, rates)


# ---- numeric gradients ----

STEP = 1e-6


def has_kinks_nearby(network, loss, X, y, masks):
    """Whether a formula changes within the steps of a central difference."""
    _, products, raw = reference_forward(network, X, masks)
    distances = list(products)
    if loss.name in ("absolute_error", "quantile", "huber"):
        distances.append(raw - y)
    if loss.name == "huber":
        distances.append(np.abs(raw - y) - loss.parameter)
    return any((np.abs(distance) < 1000 * STEP).any() for distance in distances)


def numeric_gradient(trainer, params, n_rows):
    """Central differences of the kernels' own loss."""
    numeric = np.empty_like(params)
    for i, value in enumerate(params.copy()):
        losses = []
        for moved in (value + STEP, value - STEP):
            params[i] = moved
            trainer.loss_and_gradient(None, n_rows)
            losses.append(trainer.loss_sum)
        params[i] = value
        numeric[i] = (losses[0] - losses[1]) / (2 * STEP) / n_rows
    return numeric


def assert_gradient_is_that_of_the_loss(network, loss, weighted, rates=()):
    n_rows, n_outputs = 5, network.sizes[-1]
    masks = reference_masks(3, 4, n_rows, network.sizes, rates) if any(rates) else None
    rng = np.random.default_rng(3)
    while True:
        X = rng.normal(size=(n_rows, network.sizes[0]))
        y = draw_targets(rng, loss.name, n_rows, n_outputs, np.float64)
        if not has_kinks_nearby(network, loss, X, y, masks):
            break
    weights = rng.uniform(0.5, 2, n_rows) if weighted else None
    trainer = make_trainer(network, X, y, loss, weights, batch_rows=n_rows, rates=rates)
    trainer.dropout_seed = 3
    trainer.start_epoch(4)
    trainer.loss_and_gradient(None, n_rows)
    gradient = trainer.gradient.copy()
    numeric = numeric_gradient(trainer, network.params, n_rows)
    np.testing.assert_allclose(
        gradient, numeric, atol=2e-8 * max(1, np.abs(gradient).max()), rtol=0,
        err_msg=f"{network.activations}, {loss.name}({loss.parameter}), weighted={weighted}",
    )  # fmt: skip
    assert np.abs(gradient).max() > 1e-3


@pytest.mark.parametrize("output", ACTIVATION_CASES, ids=str)
@pytest.mark.parametrize("activation", ACTIVATION_CASES, ids=str)
def test_gradient_is_that_of_the_loss(activation, output):
    """For every loss, with and without weights of rows."""
    network = make((3, 4, 2), activation, np.float64, output=output)
    for loss, parameter in LOSS_CASES:
        for weighted in (False, True):
            assert_gradient_is_that_of_the_loss(network, Loss(loss, 2, parameter), weighted)


MIXED = [
    (["relu", "tanh"], "identity"),
    (["gelu", "relu"], "softplus"),
    ([("leaky_relu", 0.2), ("leaky_relu", 0.7)], ("leaky_relu", 0.5)),
    (["selu", "elu"], "logistic"),
    (["mish", "silu"], "tanh"),
    (["softplus", "logistic"], "relu"),
    (["identity", "gelu"], "mish"),
]


@pytest.mark.parametrize("rates", [(), (0.0, 0.4), (0.4, 0.0), (0.2, 0.6)])
@pytest.mark.parametrize(("hidden", "output"), MIXED)
def test_gradient_with_mixed_activations_and_dropout(hidden, output, rates):
    """The mask of dropout is the same in each pass of an epoch."""
    network = make((3, 5, 4, 2), hidden, np.float64, output=output)
    for loss, parameter in LOSS_CASES:
        assert_gradient_is_that_of_the_loss(network, Loss(loss, 2, parameter), True, rates)


def test_every_activation_is_mixed_with_others():
    used = {parse_activation(a)[0] for hidden, output in MIXED for a in [*hidden, output]}
    assert used == set(ACTIVATIONS)


@pytest.mark.parametrize(("loss", "parameter"), LOSS_CASES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_follows_float64(activation, loss, parameter):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, 8))
    results = []
    for dtype in DTYPES:
        network = make((8, 16, 4), activation, dtype)
        y = draw_targets(np.random.default_rng(3), loss, 50, 4, dtype)
        results.append(full_gradient(network, X.astype(dtype), y, Loss(loss, 4, parameter)))
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
    network = make((3, 40, 20, 2), ["relu", "gelu"], dtype, output="softplus")
    X = rng.normal(size=(n_rows, 3)).astype(dtype)
    expected = reference_forward(network, X.astype(float))[2]
    rows = rng.permutation(n_rows)
    for data in (X, sp.csr_array(X)):
        raw = predict_batches(network.layers, network.params, Samples(data))
        np.testing.assert_allclose(raw, expected, atol=TOLERANCE[dtype])
        picked = predict_batches(network.layers, network.params, Samples(data), rows)
        np.testing.assert_allclose(picked, expected[rows], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("sparse", [False, True])
def test_a_trainer_keeps_the_scores_that_rows_had(sparse):
    rng = np.random.default_rng(6)
    X, rows = rng.normal(size=(20, 3)), rng.permutation(20)
    network = make((3, 4, 2), "tanh", np.float64)
    trainer = make_trainer(
        network, sp.csr_array(X) if sparse else X, np.zeros((20, 2)), "squared_error",
        batch_rows=6, gather=not sparse, keep_outputs=True,
    )  # fmt: skip
    trainer.loss_and_gradient(rows, 20)
    np.testing.assert_allclose(trainer.outputs, reference_forward(network, X)[2], atol=1e-14)


# ---- functions and links ----


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


# ---- losses ----


def value_and_delta(loss, raw, y, weights=None):
    """The summed loss of raw scores and its gradient, through a network that puts them out."""
    raw = np.asarray(raw)
    network = Network((raw.shape[0], raw.shape[1]), [("identity", 0.0)], raw.dtype)
    network.params[: raw.size] = raw.ravel()
    network.params[raw.size :] = 0
    samples = np.eye(raw.shape[0], dtype=raw.dtype)
    total, gradient = full_gradient(network, samples, y, loss, weights)
    return total, gradient[: raw.size].reshape(raw.shape) * raw.shape[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("loss", "raw", "target", "value", "delta"),
    [
        (Loss("squared_error", 1), 3.0, 1.0, 2.0, 2.0),
        (Loss("absolute_error", 1), 3.0, 1.0, 2.0, 1.0),
        (Loss("absolute_error", 1), -3.0, 1.0, 4.0, -1.0),
        (Loss("absolute_error", 1), 1.0, 1.0, 0.0, 0.0),
        (Loss("huber", 1), 1.5, 1.0, 0.125, 0.5),  # within the default delta of 1: 0.5 * 0.25
        (Loss("huber", 1), 4.0, 1.0, 2.5, 1.0),  # outside: 1 * (3 - 0.5)
        (Loss("huber", 1, 2.0), -4.0, 1.0, 8.0, -2.0),  # 2 * (5 - 1)
        (Loss("huber", 1, 2.0), 3.0, 1.0, 2.0, 2.0),  # at the threshold both formulas hold
        (Loss("huber", 1, 2.0), 1.0, 1.0, 0.0, 0.0),
        (Loss("quantile", 1), 3.0, 1.0, 1.0, 0.5),  # half the absolute error
        (Loss("quantile", 1, 0.75), 3.0, 1.0, 0.5, 0.25),  # predicted too much: (1 - 0.75) * 2
        (Loss("quantile", 1, 0.75), -3.0, 1.0, 3.0, -0.75),  # too little: 0.75 * 4
        (Loss("quantile", 1, 0.75), 1.0, 1.0, 0.0, 0.0),
        (Loss("poisson", 1), 0.0, 0.0, 1.0, 1.0),
        (Loss("poisson", 1), 0.0, 1.0, 0.0, 0.0),
    ],
)
def test_losses_of_numbers_by_hand(loss, raw, target, value, delta, dtype):
    got = value_and_delta(loss, np.array([[raw]], dtype), np.array([[target]], dtype))
    np.testing.assert_array_equal(got[0], value)
    np.testing.assert_array_equal(got[1], [[delta]])


def test_smoothing_by_hand():
    """Scores of 0 and log(3): probabilities of 1/4 and 3/4, or 1/2 and 3/4."""
    raw, log = np.array([[0.0, np.log(3)]]), np.log
    value, delta = value_and_delta(Loss("log_loss", 2, 0.2), raw, np.array([[1]], np.int32))
    np.testing.assert_allclose(value, -0.1 * log(0.25) - 0.9 * log(0.75), rtol=1e-14)
    np.testing.assert_allclose(delta, [[0.25 - 0.1, 0.75 - 0.9]], rtol=1e-14)
    y = np.array([[1, 0]], np.int32)
    value, delta = value_and_delta(Loss("binary_log_loss", 2, 0.2), raw, y)
    np.testing.assert_allclose(value, -log(0.5) - 0.1 * log(0.75) - 0.9 * log(0.25), rtol=1e-14)
    np.testing.assert_allclose(delta, [[0.5 - 0.9, 0.75 - 0.1]], rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=60, deadline=None)
@given(
    smoothing=st.floats(0, 0.999), n_outputs=st.integers(1, 6), size=st.floats(0, 7),
    seed=st.integers(0, 2**16),
)  # fmt: skip
def test_smoothing_is_that_of_the_targets(dtype, smoothing, n_outputs, size, seed):
    rng = np.random.default_rng(seed)
    raw = rng.uniform(-size, size, size=(8, n_outputs)).astype(dtype)
    z, (s, k) = raw.astype(float), (smoothing, n_outputs)

    y = draw_targets(rng, "log_loss", 8, k, dtype)
    t = np.eye(k)[y.ravel()] * (1 - s) + s / k
    value, delta = value_and_delta(Loss("log_loss", k, s), raw, y)
    np.testing.assert_allclose(value, -(t * log_softmax(z, axis=1)).sum(), **close(dtype))
    np.testing.assert_allclose(delta, softmax(z, axis=1) - t, atol=TOLERANCE[dtype])

    y = draw_targets(rng, "binary_log_loss", 8, k, dtype)
    t = y * (1 - s) + s / 2
    value, delta = value_and_delta(Loss("binary_log_loss", k, s), raw, y)
    expected = -(t * log_expit(z) + (1 - t) * log_expit(-z)).sum()
    np.testing.assert_allclose(value, expected, **close(dtype))
    np.testing.assert_allclose(delta, expit(z) - t, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 2, 3, 31, 32, 33, 100])  # in blocks of rows up to 32 classes
@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_of_any_shape(dtype, k, n_rows, weighted):
    rng = np.random.default_rng(k)
    raw, y = rng.normal(size=(n_rows, k)).astype(dtype), draw_targets(rng, "log_loss", n_rows, k, dtype)
    weights = rng.uniform(0.5, 2, n_rows).astype(dtype) if weighted else None
    factors = np.ones(n_rows) if weights is None else weights.astype(float)
    z = raw.astype(float)
    value, delta = value_and_delta(Loss("log_loss", k), raw, y, weights)
    expected = -(factors * log_softmax(z, axis=1)[np.arange(n_rows), y.ravel()]).sum()
    np.testing.assert_allclose(value, expected, **close(dtype))
    expected = factors[:, None] * (softmax(z, axis=1) - np.eye(k)[y.ravel()])
    np.testing.assert_allclose(delta, expected, atol=TOLERANCE[dtype])


def close(dtype):
    return {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("size", [1e-30, 50.0, 1e4, 1e30])
def test_log_losses_are_stable_and_clipped_as_in_scikit_learn(loss, size, dtype):
    """Raw scores of any size: finite, within [eps, -log(eps)], and gradients within [-1, 1]."""
    raw = np.array([[size, -size]], dtype)
    y = np.array([[0], [1]] if loss == "log_loss" else [[0, 1], [1, 0]], dtype=np.int32)
    for row in range(2):
        total, delta = value_and_delta(loss, raw, y[row : row + 1])
        n_terms = 1 if loss == "log_loss" else 2
        eps = np.finfo(dtype).eps
        assert n_terms * eps * 0.999 <= total <= -n_terms * np.log(eps) * 1.001
        assert np.abs(delta).max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("size", [50.0, 1e4, 1e30])
def test_smoothed_log_losses_are_stable(size, name, dtype):
    """Raw scores of any size are finite, and nothing is clipped."""
    raw, s = np.array([[size, -size]], dtype), 0.25
    right, wrong = ([0], [1]) if name == "log_loss" else ([1, 0], [0, 1])
    for codes, factor in ((right, s), (wrong, 2 - s)):
        y = np.array([codes], np.int32)
        value, delta = value_and_delta(Loss(name, 2, s), raw, y)
        np.testing.assert_allclose(value, factor * size, rtol=1e-6)
        np.testing.assert_allclose(delta, [[1, 0]] - numeric_targets(name, y, 2, s), atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_binary_log_loss_of_infinite_scores(dtype):
    raw, eps = np.array([[np.inf, -np.inf]], dtype), np.finfo(dtype).eps
    for codes, loss, slope in (([1, 0], eps, 0), ([0, 1], -np.log(eps), 1)):
        total, delta = value_and_delta("binary_log_loss", raw, np.array([codes], np.int32))
        np.testing.assert_allclose(total, 2 * loss, rtol=1e-6)
        np.testing.assert_array_equal(delta, [[slope, -slope]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["log_loss", "binary_log_loss"])
@pytest.mark.parametrize("scale", [1, 40])  # of the scores: none is clipped, some are
def test_log_losses_of_many_rows_are_those_of_each(name, scale, dtype):
    rng = np.random.default_rng(6)
    raw = (scale * rng.normal(size=(37, 3))).astype(dtype)
    y = draw_targets(rng, name, 37, 3, dtype)
    weights = rng.uniform(0.5, 2, 37).astype(dtype)
    singly = [value_and_delta(name, raw[i : i + 1], y[i : i + 1]) for i in range(37)]
    values, deltas = np.array([s[0] for s in singly]), np.concatenate([s[1] for s in singly])
    total, delta = value_and_delta(name, raw, y)
    np.testing.assert_allclose(total, values.sum(), **close(dtype))
    np.testing.assert_allclose(delta, deltas, **close(dtype))
    total, delta = value_and_delta(name, raw, y, weights)
    np.testing.assert_allclose(total, weights @ values, **close(dtype))
    np.testing.assert_allclose(delta, weights[:, None] * deltas, **close(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-30, 1e4, 1e30])
def test_losses_of_numbers_are_stable(size, dtype):
    """No square of a huge residual, no loss of a tiny one."""
    for sign in (1, -1):
        raw, y = np.array([[sign * size]], dtype), np.zeros((1, 1), dtype)
        for loss, value, delta in [
            (Loss("absolute_error", 1), size, sign),
            (
                Loss("quantile", 1, 0.25),
                size * (0.75 if sign > 0 else 0.25),
                0.75 if sign > 0 else -0.25,
            ),
            (Loss("huber", 1, size / 4), size**2 / 4 * 0.875, sign * size / 4),
            (Loss("huber", 1, 1e-3 * size), 1e-3 * size**2 * 0.9995, sign * 1e-3 * size),
        ]:
            got = value_and_delta(loss, raw, y)
            np.testing.assert_allclose(got[0], value, rtol=1e-6)
            np.testing.assert_allclose(got[1], [[delta]], rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "parameter"), LOSS_CASES)
def test_losses_pass_nan_on(loss, parameter, dtype):
    for place in range(3):
        raw = np.zeros((1, 3), dtype)
        raw[0, place] = np.nan
        y = draw_targets(np.random.default_rng(0), loss, 1, 3, dtype)
        case = Loss(loss, 3, parameter)
        assert np.isnan(case.total(raw, y))
        network = make((1, 3), "identity", dtype)
        network.params[:] = [0, 0, 0, *raw[0]]
        _, gradient = full_gradient(network, np.zeros((1, 1), dtype), y, case)
        assert np.isnan(gradient[3 + place])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "parameter"), LOSS_CASES)
def test_total_is_what_training_sums_up(name, parameter, dtype):
    rng = np.random.default_rng(7)
    loss = Loss(name, 3, parameter)
    raw, weights = rng.normal(size=(9, 3)).astype(dtype), rng.uniform(0, 3, 9).astype(dtype)
    y = draw_targets(rng, name, 9, 3, dtype)
    for w in (None, weights):
        total = value_and_delta(loss, raw, y, w)[0]
        np.testing.assert_allclose(loss.total(raw, y, w), loss.reported_scale * total, rtol=1e-13)
    assert loss.reported_scale == (1 / 3 if name == "squared_error" else 1)


def test_defaults_of_losses():
    assert Loss("huber", 1).parameter == 1
    assert Loss("quantile", 1).parameter == 0.5
    assert Loss("log_loss", 3).parameter == Loss("binary_log_loss", 3).parameter == 0


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("hinge", 1), r"'hinge' is unknown.*'absolute_error'.*'squared_error'"),
        (("squared_error", 0), "at least one output; got 0"),
        (("squared_error", 1, 0.5), "takes no parameter; got 0.5"),
        (("absolute_error", 1, 0.0), "takes no parameter"),
        (("poisson", 1, 1.0), "takes no parameter"),
        (("huber", 1, 0.0), "huber_delta of loss 'huber' must be a number > 0; got 0.0"),
        (("huber", 1, -1.0), "huber_delta"),
        (("huber", 1, np.inf), "huber_delta"),
        (("huber", 1, np.nan), "huber_delta"),
        (("huber", 1, "wide"), "huber_delta"),
        (("quantile", 1, 0.0), r"must be a number in \(0, 1\); got 0.0"),
        (("quantile", 1, 1.0), "quantile of loss 'quantile'"),
        (("quantile", 1, np.nan), "quantile of loss 'quantile'"),
        (("log_loss", 3, 1.0), r"label_smoothing of loss 'log_loss' must be a number in \[0, 1\)"),
        (("log_loss", 3, -0.1), "label_smoothing"),
        (("binary_log_loss", 3, np.nan), "label_smoothing"),
    ],
)
def test_losses_refuse_what_they_cannot_be(arguments, match):
    with pytest.raises(ValueError, match=match):
        Loss(*arguments)


def test_a_total_refuses_what_does_not_fit():
    loss, raw, y = Loss("log_loss", 3), np.zeros((4, 3)), np.zeros((4, 1), np.int32)
    loss.total(raw, y, np.ones(4))
    for arguments, match in [
        ((np.zeros((4, 2)), y), "for 3 outputs"),
        ((raw, y[:3]), r"targets of shape \(3, 1\)"),
        ((raw, np.zeros((4, 3), np.int32)), r"targets of shape \(4, 3\)"),
        ((raw, y + 3), r"class codes must be in \[0, 3\)"),
        ((raw, y - 1), r"class codes must be in \[0, 3\)"),
        ((raw, y.astype(float)), "dtype mismatch"),
        ((raw, y, np.ones(3)), r"weights must have shape \(4,\); got \(3,\)"),
    ]:
        with pytest.raises(ValueError, match=match):
            loss.total(*arguments)


@pytest.mark.parametrize(("name", "parameter"), LOSS_CASES)
def test_losses_survive_pickling(name, parameter):
    loss = Loss(name, 3, parameter)
    again = pickle.loads(pickle.dumps(loss))
    assert (again.name, again.n_outputs, again.parameter) == (name, 3, loss.parameter)


# ---- matrix products ----


def multiply(a, b, trans, **options):
    """a @ b, with one of them given as its transpose."""
    return _blas.multiply(
        np.ascontiguousarray(a.T) if trans == "a" else a,
        np.ascontiguousarray(b.T) if trans == "b" else b,
        trans_a=trans == "a",
        trans_b=trans == "b",
        **options,
    )


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
    got = multiply(a, b, trans, out=before.copy() if accumulate else None)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE[dtype] * np.sqrt(k))


FINISHES = {
    "intercepts": lambda c, operand: c + operand,
    "relu": lambda c, operand: np.maximum(c + operand, 0),
    "slopes": lambda c, operand: c * operand,
    "relu_slopes": lambda c, operand: np.where(operand == 0, 0, c),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("finish", [] if _blas.CALLS_BLAS else FINISHES)
@settings(max_examples=100, deadline=None)
@given(
    m=st.integers(1, 40), n=st.integers(1, 70), k=st.integers(1, 600),
    trans=st.sampled_from(["", "a", "b"]), accumulate=st.booleans(), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_last_steps_of_products(dtype, finish, m, n, k, trans, accumulate, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    before = rng.normal(size=(m, n)).astype(dtype)
    operand = rng.normal(size=(m, n) if "slopes" in finish else n).astype(dtype)
    operand[rng.random(operand.shape) < 0.3] = 0
    a[rng.integers(m)] = np.nan  # which no step hides, but a slope of 0
    product = a.astype(float) @ b.astype(float) + (before if accumulate else 0)
    out = before.copy() if accumulate else None
    got = multiply(a, b, trans, out=out, finish=finish, operand=operand)
    expected = FINISHES[finish](product, operand)
    np.testing.assert_allclose(got, expected, atol=5 * TOLERANCE[dtype] * np.sqrt(k))


def test_a_last_step_of_a_product_takes_the_right_operand():
    with pytest.raises(ValueError, match="BLAS takes no" if _blas.CALLS_BLAS else r"shape \(2,\)"):
        _blas.multiply(np.ones((2, 3)), np.ones((3, 2)), finish="relu", operand=np.ones(3))


def test_products_larger_than_a_block():
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=(3000, 300)), rng.normal(size=(300, 40))
    np.testing.assert_allclose(_blas.multiply(a, b), a @ b, atol=1e-11)
    np.testing.assert_allclose(multiply(a, b, "a"), a @ b, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans", ["", "a", "b"])
@pytest.mark.parametrize("n", [260, 436, 440])  # packed A; a B that is too large for the cache
def test_products_by_parts_of_their_rows(dtype, trans, n):
    """Bits do not depend on how many rows are computed at a time."""
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(45, 530)).astype(dtype), rng.normal(size=(530, n)).astype(dtype)
    got = multiply(a, b, trans)
    np.testing.assert_allclose(
        got, a.astype(float) @ b.astype(float), atol=TOLERANCE[dtype] * np.sqrt(530)
    )
    if _blas.INSTRUCTION_SET != "portable":
        parts = [multiply(a[i:j], b, trans) for i, j in [(0, 2), (2, 10), (10, 45)]]
        np.testing.assert_array_equal(np.concatenate(parts), got)


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
    assert run("").returncode == 0
    refused = run("abacus")
    assert refused.returncode != 0
    assert "SKLEARN_MLP_INSTRUCTION_SET is 'abacus'" in refused.stderr


# ---- optimizers ----


def reference_sgd(rest, gradient, moments, t, rate, *, momentum=0.9, nesterov=True):
    """The change of all parameters in step t, counted from 1; `rest` is what decay has left of them."""
    moments[0] = momentum * moments[0] - rate * gradient
    return rest + (momentum * moments[0] - rate * gradient if nesterov else moments[0])


def reference_moments(gradient, moments, beta_1, beta_2):
    moments[0] = beta_1 * moments[0] + (1 - beta_1) * gradient
    moments[1] = beta_2 * moments[1] + (1 - beta_2) * gradient**2


def reference_adam(rest, gradient, moments, t, rate, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    reference_moments(gradient, moments, beta_1, beta_2)
    scaled = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
    return rest - scaled * moments[0] / (np.sqrt(moments[1]) + epsilon)


def reference_adamw(
    rest, gradient, moments, t, rate, *, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01
):
    reference_moments(gradient, moments, beta_1, beta_2)
    first, second = moments[0] / (1 - beta_1**t), moments[1] / (1 - beta_2**t)
    return rest - rate * first / (np.sqrt(second) + epsilon)


REFERENCE_SOLVERS = {"sgd": reference_sgd, "adam": reference_adam, "adamw": reference_adamw}

SOLVER_CASES = {
    "sgd": [
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "nesterov": False},
        {"momentum": 0.0},
        {"momentum": 0.5, "nesterov": False},
    ],
    "adam": [
        {},
        {"beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-4},
        {"beta_1": 0.5, "beta_2": 0.0, "epsilon": 1e-2},
    ],
    "adamw": [
        {},
        {"weight_decay": 0.0},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2, "weight_decay": 0.3},
    ],
}
CASES = [(solver, case) for solver, cases in SOLVER_CASES.items() for case in cases]


def reference_step(
    solver, case, params, gradient, moments, t, rate, *, n_weights, l2=0, max_norm=np.inf
):
    """L2 term, clip, decay, step."""
    is_weight = np.arange(params.size) < n_weights
    gradient = gradient + l2 * params * is_weight
    norm = np.sqrt((gradient**2).sum())
    if norm > max_norm:
        gradient = gradient * (max_norm / norm)
    decay = case.get("weight_decay", 0.01) if solver == "adamw" else 0
    rest = params * (1 - rate * decay * is_weight)
    return REFERENCE_SOLVERS[solver](rest, gradient, moments, t, rate, **case), norm


def take_steps(settings, params, gradients, rate, **options):
    state = settings.init(params)
    for gradient in gradients:
        settings.step(params, gradient, state, rate, **options)
    return params, state


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 2048, 5000])
@pytest.mark.parametrize(("solver", "case"), CASES)
def test_steps_equal_the_reference(solver, case, n, dtype):
    """With weights only, and with an L2 term, a clip and intercepts."""
    rng = np.random.default_rng(10)
    start = rng.normal(size=n).astype(dtype)
    gradients = rng.normal(size=(4, n)).astype(dtype)
    for options in (
        {"n_weights": n},
        {"n_weights": (2 * n) // 3, "l2": 0.4, "max_norm": 0.7 * np.sqrt(n)},
    ):
        settings, params = SOLVERS[solver](**case), start.copy()
        state = settings.init(params)
        expected, moments = start.astype(float), [0.0] * settings.n_moments
        for t, (gradient, rate) in enumerate(zip(gradients, (0.01, 0.02, 0.03, 0.04), strict=True), 1):
            norm = settings.step(params, gradient, state, rate, **options)
            expected, norm_expected = reference_step(
                solver, case, expected, gradient.astype(float), moments, t, rate, **options
            )
            if "max_norm" in options:
                np.testing.assert_allclose(norm, norm_expected, rtol=TOLERANCE[dtype])
            else:
                assert norm is None
        np.testing.assert_allclose(params, expected, atol=TOLERANCE[dtype])
        for got, moment in zip(state.moments, moments, strict=True):
            np.testing.assert_allclose(got, moment, atol=TOLERANCE[dtype])
        assert state.n_steps == 4


def test_adam_by_hand():
    """Two steps of one parameter: g = 1, then g = -3, rate 0.1, beta 0.5 and 0.75, epsilon 0."""
    params, _ = take_steps(Adam(0.5, 0.75, 1e-300), np.array([1.0]), np.array([[1.0], [-3.0]]), 0.1)
    # step 1: m = 0.5, v = 0.25, rate 0.1 * 0.5 / 0.5 = 0.1: 1 - 0.1 * 0.5 / 0.5 = 0.9
    # step 2: m = -1.25, v = 2.4375, rate 0.1 * sqrt(0.4375) / 0.75
    expected = 0.9 + 0.1 * np.sqrt(0.4375) / 0.75 * 1.25 / np.sqrt(2.4375)
    np.testing.assert_allclose(params, expected, rtol=1e-14)


def test_adamw_by_hand():
    """One weight and one intercept: g = 2, then 0, rate 0.5, beta 0.5 and 0.75, epsilon 1."""
    settings = AdamW(0.5, 0.75, 1.0, weight_decay=0.2)
    params, _ = take_steps(settings, np.ones(2), np.array([[2.0, 2.0], [0.0, 0.0]]), 0.5, n_weights=1)
    # step 1: m = 1, v = 1, corrected 2 and 4: -0.5 * 2 / (2 + 1) = -1/3 for both
    # step 2: m = 0.5, v = 0.75, corrected 2/3 and 12/7: -1/3 / (sqrt(12/7) + 1)
    # the weight is multiplied by 0.9 before each
    second = 1 / 3 / (np.sqrt(12 / 7) + 1)
    expected = [(0.9 - 1 / 3) * 0.9 - second, 1 - 1 / 3 - second]
    np.testing.assert_allclose(params, expected, rtol=1e-14)


def test_only_weights_decay():
    params, _ = take_steps(AdamW(weight_decay=0.5), np.ones(5), np.zeros((3, 5)), 0.2, n_weights=3)
    np.testing.assert_allclose(params, [0.9**3] * 3 + [1, 1], rtol=1e-15)


def test_the_l2_term_is_of_the_weights():
    settings = SGD(momentum=0.0, nesterov=False)
    params, _ = take_steps(
        settings, np.array([1.0, -4.0, 5.0]), np.zeros((1, 3)), 0.5, n_weights=2, l2=0.5
    )
    np.testing.assert_allclose(params, [0.75, -3, 5], rtol=1e-15)


def test_clipping_by_hand():
    """A gradient of norm 5 is scaled to 1; the L2 term counts, intercepts too."""
    settings, params = SGD(momentum=0.0, nesterov=False), np.zeros(2)
    norm = settings.step(
        params, np.array([3.0, -4.0]), settings.init(params), 1.0, n_weights=1, max_norm=1
    )
    assert norm == 5
    np.testing.assert_allclose(params, [-0.6, 0.8], rtol=1e-15)

    params = np.array([2.0, 7.0])  # gradient (1 + 2, 4) with the L2 term
    norm = settings.step(
        params, np.array([1.0, 4.0]), settings.init(params), 1.0, n_weights=1, l2=1.0, max_norm=2.5
    )
    assert norm == 5
    np.testing.assert_allclose(params, [2 - 1.5, 7 - 2], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_norm_below_the_limit_changes_no_bit(solver, dtype):
    rng = np.random.default_rng(11)
    start, gradients = rng.normal(size=3000).astype(dtype), rng.normal(size=(3, 3000)).astype(dtype)
    options = {"n_weights": 2500, "l2": 0.1}
    free, _ = take_steps(SOLVERS[solver](), start.copy(), gradients, 0.1, **options)
    limited, _ = take_steps(SOLVERS[solver](), start.copy(), gradients, 0.1, max_norm=1e3, **options)
    clipped, _ = take_steps(SOLVERS[solver](), start.copy(), gradients, 0.1, max_norm=1.0, **options)
    np.testing.assert_array_equal(free, limited)
    assert (free != clipped).any()


def test_the_norm_of_a_float32_gradient_does_not_overflow():
    params, gradient = np.zeros(4, np.float32), np.full(4, 1e30, np.float32)
    settings = SGD(momentum=0.0, nesterov=False)
    norm = settings.step(params, gradient, settings.init(params), 1.0, max_norm=1.0)
    np.testing.assert_allclose(norm, 2e30, rtol=1e-6)
    np.testing.assert_allclose(params, [-0.5] * 4, rtol=1e-6)


# PyTorch 2.13.0, in float64, with START and GRADIENTS below and `make` as in the comments:
#
#     params = torch.tensor(START, dtype=torch.float64)
#     optimizer = make([params])
#     for gradient in GRADIENTS:
#         params.grad = torch.tensor(gradient, dtype=torch.float64)
#         optimizer.step()
#         print(params.tolist())

START = [1.0, -0.5, 0.25, 2.0]
GRADIENTS = [
    [0.5, -1.0, 0.001, 0.0],
    [-2.0, 0.3, 0.02, 0.0],
    [1.5, 0.0, -0.04, 0.0],
    [0.1, 4.0, 1e-6, -3.0],
    [0.7, -0.2, 0.003, 1.0],
]
OTHER = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}

RECORDED_ADAMW = [
    (  # lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01)
        {"weight_decay": 0.01},
        [
            [0.8990000020000, -0.3995000010000, 0.1497509999900, 1.9980000000000],
            [0.9540513510181, -0.3563156424282, 0.0719359299192, 1.9960020000000],
            [0.9504654738232, -0.3228865072076, 0.1021279032677, 1.9940059980000],
            [0.9450812885125, -0.3719654653289, 0.1268148269527, 2.0501248278341],
            [0.9260722285887, -0.4106629730146, 0.1439392078922, 2.0774127118485],
        ],
    ),
    (  # lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)
        {**OTHER, "weight_decay": 0.1},
        [
            [0.8901996007984, -0.3950999000999, 0.1975000000000, 1.9800000000000],
            [0.9415557025980, -0.3531646244961, 0.1201919715712, 1.9602000000000],
            [0.9260654504116, -0.3218251412235, 0.1539917383539, 1.9405980000000],
            [0.9094414367911, -0.3769203950534, 0.1793636065537, 1.9863975670263],
            [0.8768981488450, -0.4163575896236, 0.1945554356979, 1.9951794002070],
        ],
    ),
]
RECORDED_ADAM = [
    (  # lambda p: torch.optim.Adam(p, lr=0.1)
        {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8},
        [
            [0.9000000020000, -0.4000000010000, 0.1500009999900, 2.0000000000000],
            [0.9559503510201, -0.3572151424292, 0.0723356809191, 2.0000000000000],
            [0.9533185251762, -0.3241423228510, 0.1025995901976, 2.0000000000000],
            [0.9488848053393, -0.3735441674796, 0.1273886417859, 2.0581128358321],
            [0.9308208267040, -0.4126136406305, 0.1446398375523, 2.0874508446744],
        ],
    ),
    (  # lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-3)
        OTHER,
        [
            [0.9001996007984, -0.4000999000999, 0.2000000000000, 2.0000000000000],
            [0.9604576986060, -0.3621156234971, 0.1246669715712, 2.0000000000000],
            [0.9543830034455, -0.3343077864695, 0.1596686580696, 2.0000000000000],
            [0.9470196443292, -0.3926212917116, 0.1865804436529, 2.0652055470263],
            [0.9235707707510, -0.4358276902323, 0.2035659088627, 2.0938513558772],
        ],
    ),
]


@pytest.mark.parametrize(("case", "recorded"), RECORDED_ADAMW)
def test_adamw_takes_the_steps_of_pytorch(case, recorded):
    settings, params = AdamW(**case), np.array(START)
    state = settings.init(params)
    for gradient, expected in zip(GRADIENTS, recorded, strict=True):
        settings.step(params, np.array(gradient), state, 0.1)
        np.testing.assert_allclose(params, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("case", "recorded"), RECORDED_ADAM)
def test_adam_takes_the_steps_of_pytorch_with_its_epsilon(case, recorded):
    """PyTorch adds epsilon to the corrected root: ours is smaller by sqrt(1 - beta_2**t)."""
    params = np.array(START)
    state = Adam().init(params)
    for t, (gradient, expected) in enumerate(zip(GRADIENTS, recorded, strict=True), start=1):
        epsilon = case["epsilon"] * np.sqrt(1 - case["beta_2"] ** t)
        settings = Adam(case["beta_1"], case["beta_2"], epsilon)
        settings.step(params, np.array(gradient), state, 0.1)
        np.testing.assert_allclose(params, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", SOLVERS.values())
def test_a_step_refuses_what_does_not_belong_together(kind):
    settings = kind()
    params = np.zeros(3)
    state = settings.init(params)
    with pytest.raises(ValueError, match="do not belong together"):
        settings.step(params, np.zeros(4), state, 0.1)
    with pytest.raises(ValueError, match="must be the same"):
        settings.step(params, np.zeros(3, np.float32), state, 0.1)
    for n_weights in (-1, 4):
        with pytest.raises(ValueError, match=r"n_weights must be in \[0, 3\]"):
            settings.step(params, np.zeros(3), state, 0.1, n_weights=n_weights)
    for max_norm in (0, -1, np.nan):
        with pytest.raises(ValueError, match="max_norm must be > 0 or None"):
            settings.step(params, np.zeros(3), state, 0.1, max_norm=max_norm)
    assert state.n_steps == 0


@pytest.mark.parametrize(("solver", "case"), CASES)
def test_settings_and_state_survive_pickling(solver, case):
    rng = np.random.default_rng(12)
    params, gradients = rng.normal(size=9), rng.normal(size=(2, 9))
    settings = SOLVERS[solver](**case)
    _, state = take_steps(settings, params, gradients, 0.1)
    again, settings_again, state_again = pickle.loads(pickle.dumps((params, settings, state)))
    settings.step(params, gradients[0], state, 0.1)
    settings_again.step(again, gradients[0], state_again, 0.1)
    np.testing.assert_array_equal(params, again)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("accumulation_steps", "max_norm"), [(1, 0.0), (1, 0.2), (3, 0.0), (2, 0.2)])
def test_an_epoch_is_a_loop_of_gradients_and_steps(solver, sparse, accumulation_steps, max_norm):
    """`train_batches` against single gradients, the L2 term by hand, and single steps."""
    rng = np.random.default_rng(12)
    X, y = rng.normal(size=(50, 6)), draw_targets(rng, "log_loss", 50, 3, float)
    weights = rng.uniform(0.5, 2, 50)
    rows = rng.permutation(50)
    step_rows = 16 * accumulation_steps
    rates = rng.uniform(0.001, 0.1, size=-(-50 // step_rows))
    data, alpha = (sp.csr_array(X) if sparse else X), 0.3

    trained = make((6, 8, 3), "tanh", np.float64)
    settings = SOLVERS[solver]()
    trainer = Trainer(
        trained.layers, trained.params, Samples(data, y, weights), Loss("log_loss", 3), settings,
        settings.init(trained.params), batch_rows=16, alpha=alpha, gather=not sparse,
        accumulation_steps=accumulation_steps, max_grad_norm=max_norm, track_norm=True,
    )  # fmt: skip
    trainer.mean_weight = weights.mean()
    trainer.start_epoch(0)
    assert trainer.train_batches(rows, 50, 0, rates) == rates.size

    network, loss_sum, penalty_sum, norm_sum = make((6, 8, 3), "tanh", np.float64), 0.0, 0.0, 0.0
    state, n_weights = settings.init(network.params), network.n_weights
    for step, rate in enumerate(rates):
        part = rows[step_rows * step : step_rows * (step + 1)]
        total, gradient = full_gradient(network, X[part], y[part], "log_loss", weights[part])
        w = network.params[:n_weights].copy()
        gradient[:n_weights] += alpha * w / len(part)
        gradient /= weights.mean()
        norm = np.linalg.norm(gradient)
        loss_sum, penalty_sum = loss_sum + total, penalty_sum + 0.5 * alpha * (w @ w)
        norm_sum += norm
        if max_norm:
            assert norm > max_norm
            gradient *= max_norm / norm
        settings.step(network.params, gradient, state, rate, n_weights=n_weights)
    np.testing.assert_allclose(trained.params, network.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(trainer.loss_sum, loss_sum, rtol=1e-12)
    np.testing.assert_allclose(trainer.penalty_sum, penalty_sum, rtol=1e-12)
    np.testing.assert_allclose(trainer.norm_sum, norm_sum, rtol=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("accumulation_steps", [1, 4])
def test_without_a_rate_nothing_moves(loss, accumulation_steps):
    """Not the penalty either, nor the decay of weights."""
    rng = np.random.default_rng(13)
    network = make((4, 5, 3), "tanh", np.float64)
    before = network.params.copy()
    X, y = rng.normal(size=(20, 4)), draw_targets(rng, loss, 20, 3, float)
    settings = AdamW(weight_decay=0.5)
    trainer = Trainer(
        network.layers, network.params, Samples(X, y), Loss(loss, 3), settings,
        settings.init(before), batch_rows=4, alpha=1.0, gather=False,
        accumulation_steps=accumulation_steps,
    )  # fmt: skip
    trainer.train_batches(None, 20, 0, np.zeros(-(-5 // accumulation_steps)))
    np.testing.assert_array_equal(network.params, before)


def test_non_finite_parameters_are_noticed():
    network = make((6, 8, 3), "tanh", np.float64)
    samples = Samples(np.zeros((1, 6)), np.zeros((1, 1), np.int32))
    trainer = Trainer(
        network.layers, network.params, samples, Loss("log_loss", 3), None, None,
        batch_rows=1, alpha=0.0, gather=False,
    )  # fmt: skip
    trainer.start_epoch(0)
    assert trainer.is_finite()
    for place in range(network.params.size):
        for value in (np.nan, np.inf, -np.inf):
            kept, network.params[place] = network.params[place], value
            assert not trainer.is_finite()
            network.params[place] = kept


def test_samples_refuse_arrays_that_do_not_fit():
    X = np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"y has shape \(3, 1\) and X 4 rows"):
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
    with pytest.raises(TypeError, match="as y; convert it"):
        full_gradient(network, np.zeros((4, 2)), wrong, loss)
    with pytest.raises(ValueError, match=r"y has 2 columns; loss .* takes [13]$"):
        full_gradient(network, np.zeros((4, 2)), np.ones((4, 2), wrong.dtype), loss)


def test_samples_read_sparse_arrays_with_gaps():
    dense = np.where(np.random.RandomState(0).normal(size=(6, 4)) > 0, 1.5, 0)
    plain, gaps = sp.csr_array(dense), sp.csr_array(dense)
    gaps.data, gaps.indices = np.repeat(plain.data, 2)[::2], np.repeat(plain.indices, 2)[::2]
    network = make((4, 3, 2), "tanh", np.float64)
    np.testing.assert_array_equal(network.forward(gaps), network.forward(plain))
    np.testing.assert_array_equal(network.forward(gaps, check=False), network.forward(plain))
