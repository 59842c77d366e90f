"""What the tabular estimators ask of their members' training beyond its parameters.

The oracle is a training loop in NumPy, float64, one formula a line, in which the scale of the inputs
is a parameter like any other.
"""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone

from sklearn_mlp import MLPRegressor, TabularMLPClassifier, TabularMLPRegressor
from sklearn_mlp._epoch import Samples, Trainer
from sklearn_mlp._loss import Loss
from sklearn_mlp._network import Network
from sklearn_mlp._optim import SGD, SOLVERS, Adam
from sklearn_mlp._training import Recipe

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EACH_SOLVER = pytest.mark.parametrize("solver", SOLVERS)
EACH_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])

RNG = np.random.default_rng(0)
SHAPES = {  # name: rows, features, hidden units, outputs, rows per batch
    "short last batch": (50, 6, (8, 5), 2, 16),
    "one feature, one unit": (9, 1, (1,), 1, 4),
    "one layer": (20, 5, (), 1, 20),
    "several blocks": (40, 70, (40,), 3, 33),
}
EACH_SHAPE = pytest.mark.parametrize("shape", SHAPES)


def problem(shape, dtype="float64"):
    n_rows, n_features, hidden, n_outputs, batch_size = SHAPES[shape]
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    y = rng.normal(size=(n_rows, n_outputs))
    params = {"hidden_layer_sizes": hidden, "batch_size": batch_size}
    return X, y[:, 0] if n_outputs == 1 else y, params


def groups(params, largest):
    """Factors of weights and intercepts, and the recipe that asks for them."""
    n_layers = len(params["hidden_layer_sizes"]) + 1
    factors = np.array([np.linspace(0.5, largest, n_layers), np.full(n_layers, 0.1)])
    return factors, {"layer_rates": tuple(factors[0]), "intercept_rate": 0.1}


def member(recipe, cls=MLPRegressor, **params):
    common = {
        "activation": "tanh", "shuffle": False, "max_iter": 3, "random_state": 0, "alpha": 0.3,
        "learning_rate_init": 0.01, "tol": 0,
    }  # fmt: skip
    model = cls(**{**common, **params})
    model._recipe = Recipe(**recipe)
    return model


def parameters(model):
    return np.concatenate([np.ravel(part) for part in [*model.coefs_, *model.intercepts_]])


def assert_close(found, expected, dtype):
    tolerance = {"float32": 1e-5, "float64": 1e-11}[dtype]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def initial(model, X, y):
    """The parameters that a fit begins with."""
    hidden = model.hidden_layer_sizes
    network = Network(
        [X.shape[1], *hidden, y.reshape(len(y), -1).shape[1]], [("tanh", 0.0)] * len(hidden), X.dtype
    )
    network.initialize(np.random.RandomState(model.random_state), "auto", ("tanh", 0.0))
    return [np.array(part, float) for part in network.coefs + network.intercepts]


def move(solver, p, g, moments, t, rate):
    """The parameters after step t, counted from 1, at the estimators' defaults, without decay."""
    if solver == "sgd":
        moments[0] = 0.9 * moments[0] - rate * g
        return p + 0.9 * moments[0] - rate * g
    moments[0] = 0.9 * moments[0] + 0.1 * g
    moments[1] = 0.999 * moments[1] + 0.001 * g**2
    first, second = 1 - 0.9**t, 1 - 0.999**t
    if solver == "adam":
        return p - rate * np.sqrt(second) / first * moments[0] / (np.sqrt(moments[1]) + 1e-8)
    return p - rate / first * moments[0] / (np.sqrt(moments[1] / second) + 1e-8)


def gradients(parts, X, y):
    """Of half the squared error per row, for weights, intercepts and, at the end, the scale."""
    n_layers = len(parts) // 2
    weights, intercepts, s = parts[:n_layers], parts[n_layers:-1], parts[-1]
    inputs, out = [], X * s
    for layer in range(n_layers):
        inputs.append(out)
        out = out @ weights[layer] + intercepts[layer]
        out = np.tanh(out) if layer < n_layers - 1 else out
    delta, of_weights, of_intercepts = (out - y) / len(y), [], []
    for layer in reversed(range(n_layers)):
        of_weights.insert(0, inputs[layer].T @ delta)
        of_intercepts.insert(0, delta.sum(axis=0))
        delta = delta @ weights[layer].T
        delta = delta * (1 - inputs[layer] ** 2) if layer else delta
    return [*of_weights, *of_intercepts, (X * delta).sum(axis=0)]


def reference_fit(model, X, y, *, factors, scale_factor=0.0, max_norm=np.inf):
    """Weights and intercepts, the scale folded in, as one vector; and the mean norm of the last epoch.

    `factors` is of shape (2, n_layers)."""
    X, y = X.astype(float), y.reshape(len(y), -1)
    parts = [*initial(model, X, y), np.ones(X.shape[1])]
    n_layers = len(parts) // 2
    factors = [*np.ravel(factors), scale_factor]
    moments = [[np.zeros_like(part)] * 2 for part in parts]
    moments = [list(pair) for pair in moments]
    t = 0
    for _ in range(model.max_iter):
        norms = []
        for first in range(0, len(X), model.batch_size):
            t += 1
            rows = slice(first, first + model.batch_size)
            found = gradients(parts, X[rows], y[rows])
            if not scale_factor:
                found[-1][:] = 0
            for i in range(n_layers):
                found[i] = found[i] + model.alpha / len(X[rows]) * parts[i]
            norms.append(np.sqrt(sum((g**2).sum() for g in found)))
            for i, g in enumerate(found):
                if model.solver == "adamw" and i < n_layers:
                    parts[i] = parts[i] * (1 - 0.01 * model.weight_decay)
                g = g * min(1, max_norm / norms[-1])
                parts[i] = move(model.solver, parts[i], g, moments[i], t, 0.01 * factors[i])
    parts[0] = parts[0] * parts[-1][:, None]
    return np.concatenate([np.ravel(part) for part in parts[:-1]]), np.mean(norms)


# ---- rates ----


@EACH_DTYPE
@EACH_SHAPE
@EACH_SOLVER
def test_rates_of_groups_equal_the_reference(solver, shape, dtype):
    X, y, params = problem(shape, dtype)
    factors, recipe = groups(params, 3)
    model = member(recipe, solver=solver, weight_decay=5.0, **params).fit(X, y)
    expected, _ = reference_fit(model, X, y, factors=factors)
    assert_close(parameters(model), expected, dtype)


def test_rates_go_by_the_inputs_of_a_layer():
    factors = Recipe(layer_rates="fan_in", intercept_rate=0.5).rate_factors((4, 256, 64, 3))
    np.testing.assert_allclose(factors, [[8, 1, 2], [0.5, 0.5, 0.5]])


@EACH_DTYPE
@EACH_SHAPE
@EACH_SOLVER
def test_factors_of_one_change_no_bit(solver, shape, dtype):
    X, y, params = problem(shape, dtype)
    ones = {"layer_rates": (1,) * (len(params["hidden_layer_sizes"]) + 1), "intercept_rate": 1.0}
    models = [member(recipe, solver=solver, **params).fit(X, y) for recipe in ({}, ones)]
    assert models[0]._recipe != models[1]._recipe
    np.testing.assert_array_equal(*[parameters(model) for model in models])


def test_a_group_of_rate_zero_stays():
    X, y, params = problem("short last batch")
    model = member({"layer_rates": (0, 1, 0), "intercept_rate": 0}, **params).fit(X, y)
    start = initial(model, X, y)
    for i in (0, 2, 3, 4, 5):
        np.testing.assert_array_equal([*model.coefs_, *model.intercepts_][i], start[i])
    assert np.abs(model.coefs_[1] - start[1]).max() > 0.01


@pytest.mark.parametrize(
    "rates",
    [
        (1, 1),
        (1, 1, 1, 1),
        (1, -1, 1),
        (1, np.inf, 1),
        (1, np.nan, 1),
        ("a", "b", "c"),
        ((1,), (1,), (1,)),
    ],
)
def test_rates_that_do_not_fit(rates):
    X, y, params = problem("short last batch")
    with pytest.raises(
        ValueError, match=r"layer_rates must be None, 'fan_in' or a number >= 0 .* 3 lay"
    ):
        member({"layer_rates": rates}, **params).fit(X, y)


def test_a_trainer_refuses_factors_that_do_not_fit():
    network = Network((2, 3, 1), [("tanh", 0.0)], np.float64)
    samples, settings = Samples(np.ones((4, 2)), np.ones((4, 1))), SGD()
    with pytest.raises(ValueError, match=r"rate_factors of shape \(2, 1\)"):
        Trainer(
            network.layers, network.params, samples, Loss("squared_error", 1), settings,
            settings.init(network.params), batch_rows=4, alpha=0, gather=False,
            rate_factors=np.ones((2, 1)),
        )  # fmt: skip


def test_partial_fit_takes_over_the_rates():
    X, y, params = problem("short last batch")
    models = [member({"intercept_rate": rate}, **params) for rate in (1.0, 0.1)]
    plain, slow = [parameters(model.partial_fit(X, y)) for model in models]
    assert np.abs(slow - plain).max() > 1e-3


# ---- the scale of the inputs ----

SCALED = {"feature_scale": 6.0}


@EACH_DTYPE
@EACH_SHAPE
@EACH_SOLVER
def test_a_scale_equals_the_reference(solver, shape, dtype):
    X, y, params = problem(shape, dtype)
    factors, recipe = groups(params, 2)
    model = member({**recipe, **SCALED}, solver=solver, weight_decay=5.0, **params).fit(X, y)
    expected, _ = reference_fit(model, X, y, factors=factors, scale_factor=6.0)
    assert_close(parameters(model), expected, dtype)
    unscaled, _ = reference_fit(model, X, y, factors=factors)
    assert np.abs(unscaled - expected).max() > 2e-5


@EACH_SOLVER
@pytest.mark.parametrize("metrics", [None, "gradient_norm"])
def test_the_norm_is_that_of_all_parameters(metrics, solver):
    X, y, params = problem("several blocks")
    max_norm = None if metrics else 0.05
    model = member(SCALED, solver=solver, max_grad_norm=max_norm, metrics=metrics, **params).fit(X, y)
    expected, norm = reference_fit(
        model, X, y, factors=np.ones((2, 2)), scale_factor=6.0, max_norm=max_norm or np.inf
    )
    assert_close(parameters(model), expected, "float64")
    np.testing.assert_allclose(model.history_["gradient_norm"][-1], norm)
    assert norm > 0.05


def trainer_with_a_scale(network, samples, n_outputs, **options):
    settings = SGD(momentum=0.0, nesterov=False)
    trainer = Trainer(
        network.layers, network.params, samples, Loss("squared_error", n_outputs), settings,
        settings.init(network.params), batch_rows=7, alpha=0.0, gather=False, accumulation_steps=3,
        scale_rate=0.5, **options,
    )  # fmt: skip
    trainer.start_scale()
    return trainer


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sizes", [(4, 5, 2), (1, 1, 1), (3, 33, 1), (5, 2)])
def test_gradients_of_weights_and_scale_are_those_of_the_loss(sizes, sparse):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, sizes[0])), rng.normal(size=(20, sizes[-1]))
    network = Network(sizes, [("tanh", 0.0)] * (len(sizes) - 2), np.float64)
    network.initialize(np.random.RandomState(0))
    trainer = trainer_with_a_scale(network, Samples(sp.csr_array(X) if sparse else X, y), sizes[-1])

    def step():
        trainer.start_epoch(0)
        trainer.train_batches(None, 20, 0, np.array([0.1]))
        return trainer.scale.copy(), trainer.unscaled.copy()

    scale, weights = step()  # away from 1
    rest = [np.array(part) for part in [*network.coefs[1:], *network.intercepts]]
    next_scale, next_weights = step()

    def loss(s, W):
        out = X * s
        n_layers = len(sizes) - 1
        for layer, w in enumerate([W, *rest[: n_layers - 1]]):
            out = out @ w + rest[n_layers - 1 + layer]
            out = np.tanh(out) if layer < n_layers - 1 else out
        return 0.5 * ((out - y) ** 2).sum() / 20

    def slopes(function, at):
        found = np.empty(at.size)
        for i in range(at.size):
            change = np.zeros(at.size)
            change[i] = 1e-5
            change = change.reshape(at.shape)
            found[i] = (function(at + change) - function(at - change)) / 2e-5
        return found.reshape(at.shape)

    assert np.abs(scale - 1).max() > 1e-4
    of_scale, of_weights = (
        slopes(lambda s: loss(s, weights), scale),
        slopes(lambda W: loss(scale, W), weights),
    )
    np.testing.assert_allclose((scale - next_scale) / (0.1 * 0.5), of_scale, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose((weights - next_weights) / 0.1, of_weights, rtol=1e-6, atol=1e-8)
    np.testing.assert_array_equal(network.coefs[0], next_weights * next_scale[:, None])


@EACH_DTYPE
def test_a_scale_of_sparse_input(dtype):
    X, y, params = problem("several blocks", dtype)
    X[np.abs(X) < 1] = 0
    dense, sparse = (member(SCALED, **params).fit(data, y) for data in (X, sp.csr_array(X)))
    assert_close(parameters(sparse), parameters(dense), dtype)


@pytest.mark.parametrize("restored", [True, False])
def test_epochs_are_scored_and_restored_with_their_scale(restored):
    X, y, params = problem("short last batch")
    params.update(max_iter=30, learning_rate_init=0.1, restore_best=restored)
    model = member(SCALED, **params).fit(X, y, X_val=X[:20], y_val=-y[:20])
    scores = model.validation_scores_
    assert max(scores) > scores[-1] + 0.1
    expected = max(scores) if restored else scores[-1]
    assert model.score(X[:20], -y[:20]) == pytest.approx(expected, rel=1e-12)


def test_a_warm_start_begins_with_a_scale_of_one():
    X, y, params = problem("short last batch")
    model = member(SCALED, warm_start=True, **params).fit(X, y)
    network = Network((6, 8, 5, 2), [("tanh", 0.0)] * 2, "float64")
    network.params[:] = parameters(model)
    model.fit(X, y)
    settings = Adam()
    trainer = Trainer(
        network.layers, network.params, Samples(X, y), Loss("squared_error", 2), settings,
        settings.init(network.params), batch_rows=16, alpha=0.3, gather=False, scale_rate=6.0,
    )  # fmt: skip
    trainer.start_scale()
    for epoch in range(3):
        trainer.start_epoch(epoch)
        trainer.train_batches(None, 50, 0, np.full(4, 0.01))
    np.testing.assert_array_equal(network.params, parameters(model))


def test_partial_fit_has_no_scale():
    X, y, params = problem("short last batch")
    models = [member(recipe, **params).partial_fit(X, y) for recipe in ({}, SCALED)]
    np.testing.assert_array_equal(*[parameters(model) for model in models])


def test_a_fitted_member_is_an_ordinary_network():
    X, y, params = problem("short last batch")
    model = member(SCALED, **params).fit(X, y)
    again = MLPRegressor.from_json(model.to_json())
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    out = X
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        out = np.tanh(out @ W + b)
    np.testing.assert_allclose(model.predict(X), out @ model.coefs_[-1] + model.intercepts_[-1])


def test_a_scale_needs_an_optimizer():
    network = Network((2, 1), [], np.float64)
    with pytest.raises(ValueError, match="trained by an optimizer"):
        Trainer(
            network.layers, network.params, Samples(np.ones((4, 2)), np.ones((4, 1))),
            Loss("squared_error", 1), None, None, batch_rows=4, alpha=0, gather=False, scale_rate=1.0,
        )  # fmt: skip


def test_the_scale_is_counted_before_it_is_made(monkeypatch):
    X, y, params = problem("short last batch")
    asked = []
    monkeypatch.setattr("sklearn_mlp._base.require_memory", lambda n_bytes, what: asked.append(n_bytes))
    for recipe in ({}, SCALED):
        member(recipe, **params).fit(X, y)
    assert asked[1] - asked[0] == 8 * (6 * 8 + 4 * 6)  # weights; scale, gradient and two moments


# ---- how members carry it ----


@pytest.mark.parametrize(
    "copied", [clone, copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["clone", "copy", "deepcopy", "pickle"],
)  # fmt: skip
def test_copies_of_a_member_train_alike(copied):
    X, y, params = problem("short last batch")
    model = member({"intercept_rate": 0.1}, **params)
    again = copied(model)
    np.testing.assert_array_equal(parameters(again.fit(X, y)), parameters(model.fit(X, y)))
    plain = member({}, **params).fit(X, y)
    assert np.abs(parameters(plain) - parameters(model)).max() > 1e-3


def test_clones_of_others_carry_nothing():
    assert "_recipe" not in vars(clone(MLPRegressor()))


def test_lbfgs_takes_no_recipe():
    X, y, params = problem("short last batch")
    with pytest.raises(ValueError, match="takes no mini-batch steps"):
        member({"intercept_rate": 0.1}, solver="lbfgs", **params).fit(X, y)


# ---- the tabular estimators ----

QUICK = {"hidden_layer_sizes": (16, 16), "max_iter": 4, "n_members": 1, "random_state": 0}
NOTHING = {"layer_rates": None, "intercept_rate": 1.0, "feature_scale": False}  # asked of members
LABELS = (RNG.normal(size=60) > 0).astype(int)
TABLE = RNG.normal(size=(60, 4)) + LABELS[:, None]
TABULAR = {
    "classifier": TabularMLPClassifier(**QUICK, **NOTHING),
    "regressor": TabularMLPRegressor(**QUICK, **NOTHING),
}
ASKED = [  # parameters of the tabular estimators, and the recipe they make
    ({}, {}),
    ({"layer_rates": "fan_in"}, {"layer_rates": "fan_in"}),
    ({"layer_rates": [2.0, 1.0, 1.0]}, {"layer_rates": (2.0, 1.0, 1.0)}),
    ({"layer_rates": np.array([2.0, 1.0, 1.0])}, {"layer_rates": (2.0, 1.0, 1.0)}),
    ({"intercept_rate": 0.1}, {"intercept_rate": 0.1}),
    ({"feature_scale": True}, {"feature_scale": 6.0}),
    ({"feature_scale": np.True_}, {"feature_scale": 6.0}),
    ({"feature_scale": 2}, {"feature_scale": 2.0}),
    ({"feature_scale": np.False_}, {}),
]


@pytest.mark.parametrize("which", TABULAR)
@pytest.mark.parametrize(("asked", "recipe"), ASKED, ids=lambda value: str(value)[:40])
def test_parameters_reach_the_members(which, asked, recipe):
    plain = clone(TABULAR[which]).fit(TABLE, LABELS)
    model = clone(plain).set_params(**asked, n_members=2).fit(TABLE, LABELS)
    assert all(member._recipe == Recipe(**recipe, last_best=True) for member in model.members_)
    same = model.members_[0].loss_curve_ == plain.members_[0].loss_curve_
    assert same == (recipe == {})


@pytest.mark.parametrize(
    "asked",
    [
        {"layer_rates": "fan_out"},
        {"layer_rates": [1.0]},
        {"layer_rates": 2.0},
        {"intercept_rate": -1},
        {"feature_scale": 0.0},
    ],
    ids=str,
)
def test_parameters_that_are_refused(asked):
    for model in TABULAR.values():
        with pytest.raises(ValueError, match=f"{next(iter(asked))}.* must be"):
            clone(model).set_params(**asked).fit(TABLE, LABELS)
