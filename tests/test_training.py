"""What training does beyond scikit-learn's: accumulation, weights, dropout, schedules, initial weights.

Hand-made loops and equivalent data are the oracles. Single kernels are tested in test_kernels.py,
the factors of schedules in test_schedules.py.
"""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from threadpoolctl import threadpool_limits

from sklearn_mlp import MLPClassifier, MLPRegressor
from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._epoch import Samples, Trainer
from sklearn_mlp._loss import LOSSES, Loss
from sklearn_mlp._network import INITIALIZATIONS, Network
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp.schedules import NAMED_SCHEDULES, ExponentialDecay, StepDecay, Warmup

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 5))
SIGNAL = X @ RNG.normal(size=5) + 0.3 * RNG.normal(size=48)
COUNTS = RNG.permutation([0, 1, 1, 1, 2, 3] * 8)  # weights that are numbers of copies: 64 rows
THREE = np.digitize(SIGNAL, [-1.5, 1.0])

NUMBERS = {
    "one output": SIGNAL,
    "two outputs": np.column_stack([SIGNAL, X[:, 0] ** 2]),
}
LEARNERS = {  # name: (estimator, targets)
    "binary": (MLPClassifier(), (SIGNAL > 0.5).astype(int)),
    "multiclass": (MLPClassifier(), np.array(["few", "most", "some"])[THREE]),
    "multilabel": (MLPClassifier(), np.column_stack([SIGNAL > 1, X[:, 0] > 0]).astype(int)),
    "smoothed binary": (MLPClassifier(label_smoothing=0.2), SIGNAL > 0.5),
    "smoothed multiclass": (MLPClassifier(label_smoothing=0.2), THREE),
    **{
        f"{loss}, {name}": (MLPRegressor(loss=loss, quantile=0.8, huber_delta=0.5), abs(y))
        for loss, row in LOSSES.items()
        for name, y in NUMBERS.items()
        if not row[2]
    },
}
CLASSIFIERS = ["binary", "multiclass", "multilabel", "smoothed binary", "smoothed multiclass"]
EACH_LEARNER = pytest.mark.parametrize("learner", LEARNERS)
EACH_SOLVER = pytest.mark.parametrize("solver", SOLVERS)


def make(learner, **params):
    """A small estimator that trains until `max_iter`, and its targets."""
    estimator, y = LEARNERS[learner]
    defaults = {
        "hidden_layer_sizes": (6,), "activation": "tanh", "max_iter": 5, "random_state": 0,
        "n_iter_no_change": np.inf, "tol": 0,
    }  # fmt: skip
    return clone(estimator).set_params(**{**defaults, **params}), y


def parameters(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


def assert_same_bits(one, other):
    np.testing.assert_array_equal(parameters(one), parameters(other))
    assert one.loss_curve_ == other.loss_curve_


def assert_close(one, other, rtol=1e-8):
    """Equal but for rounding, relative to the largest parameter."""
    a, b = parameters(one), parameters(other)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(a).max())
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)


# ---- accumulation ----


@EACH_SOLVER
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "params",
    [{"alpha": 0.0}, {"alpha": 0.5}, {"alpha": 0.1, "max_grad_norm": 0.2}, {"dropout": 0.4}],
    ids=str,
)
def test_accumulated_batches_equal_one_large_batch(params, sparse, solver):
    """48 rows, 4 times 3 a step: the last epoch's step is as full as the others."""
    data = sp.csr_array(X) if sparse else X
    for learner in ("multiclass", "huber, two outputs"):
        params = {**params, "solver": solver, "metrics": "gradient_norm"}
        small, y = make(learner, batch_size=3, gradient_accumulation_steps=4, **params)
        large, _ = make(learner, batch_size=12, **params)
        for model in (small, large):
            model.fit(data, y, sample_weight=COUNTS + 0.5)
        assert_close(small, large)
        np.testing.assert_allclose(
            small.history_["gradient_norm"], large.history_["gradient_norm"], rtol=1e-8
        )
        assert small._optimizer.state.n_steps == large._optimizer.state.n_steps == 5 * 4


@EACH_SOLVER
def test_what_is_left_at_the_end_of_an_epoch_is_flushed(solver):
    """7 batches of 7 (the last of 6), 3 to a step: steps of 21, 21 and 6 rows."""
    small, y = make("multiclass", batch_size=7, gradient_accumulation_steps=3, solver=solver, alpha=0.3)
    large, _ = make("multiclass", batch_size=21, solver=solver, alpha=0.3)
    assert_close(small.fit(X, y), large.fit(X, y))
    assert small._optimizer.state.n_steps == 5 * 3


def test_more_accumulation_than_batches_is_a_step_an_epoch():
    small, y = make("binary", batch_size=5, gradient_accumulation_steps=2**62, solver="sgd")
    large, _ = make("binary", batch_size=48, solver="sgd")
    assert_close(small.fit(X, y), large.fit(X, y))
    assert small._optimizer.state.n_steps == 5


def test_partial_fit_flushes_at_the_end_of_a_call():
    model, y = make("binary", batch_size=5, gradient_accumulation_steps=4)
    for i in range(1, 4):
        model.partial_fit(X, y, classes=[0, 1])
        assert model._optimizer.state.n_steps == 3 * i


def test_a_schedule_counts_steps_not_batches():
    calls = []

    def factor(step, total_steps):
        calls.append((step, total_steps))
        return 1.0

    model, y = make("binary", batch_size=5, gradient_accumulation_steps=4, learning_rate=factor)
    model.fit(X, y)
    assert calls == [(step, 15) for step in range(15)]
    assert model._optimizer.state.n_steps == 15


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 40), batch_rows=st.integers(1, 9), steps=st.integers(1, 6),
    solver=st.sampled_from(sorted(SOLVERS)), loss=st.sampled_from(sorted(LOSSES)),
    sparse=st.booleans(), weighted=st.booleans(), rate=st.sampled_from([0.0, 0.5]),
    alpha=st.sampled_from([0.0, 0.7]), limit=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 99),
)  # fmt: skip
def test_accumulation_of_any_layout(
    n_rows, batch_rows, steps, solver, loss, sparse, weighted, rate, alpha, limit, seed
):
    """k batches and one as large, through the trainer, whatever else is going on."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_rows, 4))
    loss = Loss(loss, 3)
    y = rng.integers(2, size=(n_rows, loss.n_targets)).astype(np.int32 if loss.takes_codes else float)
    weights = rng.uniform(0.5, 2, n_rows) if weighted else None
    order = rng.permutation(n_rows)
    trained = []
    for rows, accumulated in ((batch_rows, steps), (batch_rows * steps, 1)):
        network = Network.from_sizes([4, 6, 3], "tanh", random_state=seed, dtype="float64")
        settings = SOLVERS[solver]()
        trainer = Trainer(
            network.layers_with_dropout([rate]), network.params,
            Samples(sp.csr_array(inputs) if sparse else inputs, y, weights), loss, settings,
            settings.init(network.params), batch_rows=rows, alpha=alpha, gather=not sparse,
            accumulation_steps=accumulated, max_grad_norm=limit, track_norm=True,
        )  # fmt: skip
        trainer.dropout_seed = seed
        n_steps = -(-n_rows // (batch_rows * steps))
        for epoch in range(2):
            trainer.start_epoch(epoch)
            done = 0
            while done < n_steps:
                done = trainer.train_batches(order, n_rows, done, np.full(n_steps, 1e-3))
        trained.append((network.params, trainer.loss_sum, trainer.penalty_sum, trainer.norm_sum))
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-7)


# ---- weights ----


def frozen(learner, **params):
    """The model with its initial parameters."""
    model, y = make(learner, solver="sgd", learning_rate=lambda step, total_steps: 0.0, **params)
    return model.fit(X, y)


@EACH_LEARNER
def test_the_mean_gradient_of_an_epoch_is_that_of_repeated_rows(learner):
    """One epoch of SGD with a tiny rate moves the parameters by the sum of the batches' gradients."""
    rate = 1e-7
    params = {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False, "alpha": 0.0}
    params |= {"learning_rate_init": rate, "max_iter": 1, "batch_size": 8, "shuffle": False}
    start = parameters(frozen(learner))
    model, y = make(learner, **params)
    model.fit(X, y, sample_weight=COUNTS)
    weighted = (start - parameters(model)) / rate / (48 / 8)
    model.fit(np.repeat(X, COUNTS, axis=0), np.repeat(y, COUNTS, axis=0))
    repeated = (start - parameters(model)) / rate / (64 / 8)
    assert np.abs(repeated).max() > 0.01
    np.testing.assert_allclose(weighted, repeated, rtol=0, atol=1e-6)


@EACH_LEARNER
@pytest.mark.parametrize("solver", [*SOLVERS, "lbfgs"])
def test_a_weight_is_a_number_of_copies(solver, learner):
    """Full-batch fits; a weight of 0 is a row that is not there."""
    params = {"solver": solver, "shuffle": False, "alpha": 0.4, "max_iter": 12}
    weighted, y = make(learner, batch_size=48, **params)
    repeated, _ = make(learner, batch_size=64, **params)
    weighted.fit(X, y, sample_weight=COUNTS)
    repeated.fit(np.repeat(X, COUNTS, axis=0), np.repeat(y, COUNTS, axis=0))
    assert_close(weighted, repeated, rtol=1e-6 if solver == "lbfgs" else 1e-9)


@EACH_LEARNER
def test_a_common_factor_of_all_weights_cancels(learner):
    one, y = make(learner, alpha=0.0)
    other, _ = make(learner, alpha=0.0)
    assert_close(one.fit(X, y), other.fit(X, y, sample_weight=np.full(48, 7.0)))


@EACH_LEARNER
def test_the_reported_loss_is_the_weighted_mean(learner):
    """Of frozen parameters: what `evaluate` finds."""
    model, y = make(learner, learning_rate=lambda step, total_steps: 0.0, alpha=0.0, batch_size=10)
    model.fit(X, y, sample_weight=COUNTS)
    expected = model.evaluate(X, y, sample_weight=COUNTS)["loss"]
    np.testing.assert_allclose(model.loss_curve_, [expected] * 5, rtol=1e-12)


# ---- class weights ----


@pytest.mark.parametrize("solver", [*SOLVERS, "lbfgs"])
@pytest.mark.parametrize("learner", CLASSIFIERS)
def test_balanced_is_the_equivalent_sample_weight(learner, solver):
    balanced, y = make(learner, solver=solver, class_weight="balanced")
    weighted, _ = make(learner, solver=solver)
    weights = compute_sample_weight("balanced", y)
    assert np.unique(weights).size > 1
    assert_same_bits(balanced.fit(X, y), weighted.fit(X, y, sample_weight=weights))


def test_balanced_by_hand():
    """Three rows of a class and one of another: weights of 4 / (2 * 3) and 4 / (2 * 1)."""
    y = [0, 0, 0, 1]
    params = {"max_iter": 3, "random_state": 0}
    balanced = MLPClassifier(class_weight="balanced", **params).fit(X[:4], y)
    by_hand = MLPClassifier(**params).fit(X[:4], y, sample_weight=[2 / 3, 2 / 3, 2 / 3, 2])
    np.testing.assert_allclose(parameters(balanced), parameters(by_hand), rtol=1e-12)


def test_a_dict_of_class_weights():
    """Classes that it leaves out count 1."""
    model, y = make("multiclass", class_weight={"few": 3.0, "some": 0.25})
    weighted, _ = make("multiclass")
    weights = np.where(y == "few", 3, np.where(y == "some", 0.25, 1))
    assert_same_bits(model.fit(X, y), weighted.fit(X, y, sample_weight=weights))


def test_a_list_of_class_weights_of_labels():
    """A row's weight is the product of those of its labels."""
    model, y = make("multilabel", class_weight=[{0: 0.5, 1: 2.0}, {0: 3.0, 1: 1.0}])
    weighted, _ = make("multilabel")
    weights = np.where(y[:, 0] == 1, 2.0, 0.5) * np.where(y[:, 1] == 1, 1.0, 3.0)
    expected = weighted.fit(X, y, sample_weight=weights)
    assert_same_bits(model.fit(X, y), expected)
    assert_same_bits(model.fit(X, sp.csr_array(y)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_class_weights_multiply_sample_weights(dtype):
    data, weights = X.astype(dtype), (COUNTS + 0.5).astype(dtype)
    model, y = make("multiclass", class_weight={"few": 3.0, "some": 0.25})
    plain, _ = make("multiclass")
    product = weights * np.where(y == "few", 3, np.where(y == "some", 0.25, 1))
    model.fit(data, y, sample_weight=weights)
    assert_same_bits(model, plain.fit(data, y, sample_weight=product))
    assert model.coefs_[0].dtype == dtype


def test_a_class_of_weight_zero_is_not_learned_from():
    model, y = make("multiclass", class_weight={"few": 0.0}, max_iter=300, learning_rate_init=0.02)
    model.fit(X, y)
    assert "few" not in model.predict(X)
    assert model.predict_proba(X).shape == (48, 3)


def test_class_weights_in_partial_fit():
    """A chunk without some of the classes is weighted too."""
    weights = {"few": 3.0, "some": 0.25}
    model, y = make("multiclass", class_weight=weights)
    plain, _ = make("multiclass")
    for part in (y != "few", y == "few", slice(None)):
        model.partial_fit(X[part], y[part], classes=np.unique(y))
        sample_weight = [weights.get(label, 1.0) for label in y[part]]
        plain.partial_fit(X[part], y[part], classes=np.unique(y), sample_weight=sample_weight)
        assert_same_bits(model, plain)


def test_a_class_left_out_of_the_weights_of_a_label_weighs_one():
    model, y = make("multilabel", class_weight=[{1: 5}, {0: 2}])
    full, _ = make("multilabel", class_weight=[{0: 1, 1: 5}, {0: 2, 1: 1}])
    y[:, 0] = 0  # nor need all the named ones be there
    assert_same_bits(model.fit(X, y), full.fit(X, y))
    assert_same_bits(model.partial_fit(X[:9], y[:9]), full.partial_fit(X[:9], y[:9]))


def test_balanced_is_an_error_in_partial_fit():
    model, y = make("binary", class_weight="balanced")
    with pytest.raises(ValueError, match="class_weight='balanced' needs all of y"):
        model.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(model, "classes_")


class Watch:
    """A scorer that remembers the rows it was given."""

    def __call__(self, estimator, X, y):
        self.X, self.y = X.copy(), y.copy()
        return float(estimator.score(X, y))


@pytest.mark.parametrize("learner", CLASSIFIERS)
def test_the_held_out_rows_are_not_weighted_by_class(learner):
    watch = Watch()
    model, y = make(
        learner, class_weight="balanced", early_stopping=True, validation_fraction=0.3,
        restore_best=False, scoring=watch, metrics=["accuracy"],
    )  # fmt: skip
    if learner == "multilabel":
        model.set_params(class_weight=[{0: 1, 1: 5}, {0: 2, 1: 1}])
    model.fit(X, y)
    found = model.evaluate(watch.X, watch.y, metrics="accuracy")
    assert len(watch.y) == 15
    np.testing.assert_allclose(model.history_["val_loss"][-1], found["loss"], rtol=1e-12)
    expected = accuracy_score(watch.y, model.predict(watch.X))
    assert model.validation_scores_[-1] == model.history_["val_accuracy"][-1] == expected
    if learner in ("binary", "multiclass"):
        unweighted = log_loss(watch.y, model.predict_proba(watch.X))
        np.testing.assert_allclose(found["loss"], unweighted, rtol=1e-9)


def test_given_validation_rows_are_not_weighted_by_class():
    model, y = make("multiclass", class_weight="balanced")
    model.fit(X[:32], y[:32], X_val=X[32:], y_val=y[32:])
    assert set(y[:32]) == set(y[32:]) == set(y)
    unweighted = log_loss(y[32:], model.predict_proba(X[32:]))
    np.testing.assert_allclose(model.history_["val_loss"][-1], unweighted, rtol=1e-9)
    assert model.history_["val_score"][-1] == model.score(X[32:], y[32:])


@pytest.mark.parametrize("learner", ["binary", "multiclass"])
def test_balanced_counts_all_targets_before_the_split(learner):
    split = {"early_stopping": True, "validation_fraction": 0.3}
    balanced, y = make(learner, class_weight="balanced", **split)
    counted = compute_class_weight("balanced", classes=np.unique(y), y=y)
    by_hand, _ = make(learner, class_weight=dict(zip(np.unique(y), counted, strict=True)), **split)
    assert_same_bits(balanced.fit(X, y), by_hand.fit(X, y))
    assert balanced.validation_scores_ == by_hand.validation_scores_


# ---- label smoothing and losses with a parameter, in estimators ----


@pytest.mark.parametrize(("learner", "n_terms"), [("binary", 1), ("multiclass", 1), ("multilabel", 2)])
def test_the_recorded_loss_is_that_of_smoothed_labels(learner, n_terms):
    model, y = make(learner, label_smoothing=0.3, alpha=0.0, learning_rate=lambda step, total: 0.0)
    model.fit(X, y)
    log_proba, s = model.predict_log_proba(X), 0.3
    if learner == "multiclass":
        t = (y[:, None] == model.classes_) * (1 - s) + s / 3
        losses = -(t * log_proba).sum(axis=1)
    else:
        t = y.reshape(48, -1) * (1 - s) + s / 2
        positive = log_proba[:, 1:] if learner == "binary" else log_proba
        negative = log_proba[:, :1] if learner == "binary" else np.log1p(-np.exp(log_proba))
        losses = -(t * positive + (1 - t) * negative).sum(axis=1)
        assert t.shape[1] == n_terms
    np.testing.assert_allclose(model.loss_curve_, [losses.mean()] * 5, rtol=1e-10)
    np.testing.assert_allclose(model.evaluate(X, y)["loss"], losses.mean(), rtol=1e-10)


def test_the_parameters_of_losses_reach_them():
    for learner, params in [
        ("huber, one output", {"huber_delta": 0.25}),
        ("quantile, one output", {"quantile": 0.1}),
        ("binary", {"label_smoothing": 0.1}),
        ("multiclass", {"label_smoothing": 0.1}),
    ]:
        model, y = make(learner, **params)
        other, _ = make(learner)
        assert model.fit(X, y)._loss.parameter == next(iter(params.values()))
        assert (parameters(model) != parameters(other.fit(X, y))).any()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.9])
def test_a_constant_learns_the_quantile(quantile, solver):
    """With nothing to go by but an intercept, the share of targets below it is the level."""
    y = np.random.default_rng(0).exponential(size=200)
    model = MLPRegressor(
        "quantile", (), quantile=quantile, solver=solver, learning_rate_init=0.02, max_iter=600,
        alpha=0.0, n_iter_no_change=np.inf, batch_size=200, random_state=0, tol=1e-9,
        learning_rate="cosine" if solver == "adam" else "constant",
    )  # fmt: skip
    model.fit(np.zeros((200, 1)), y)
    assert abs((y < model.predict([[0.0]])).mean() - quantile) <= 0.02


# ---- dropout ----


def masks(
    rate=0.5, *, n_rows=40, n_units=50, seed=1, epoch=0, layer=0, rows=None, batch_rows=None,
    sparse=False, dtype=np.float64,
):  # fmt: skip
    """What dropout multiplies the units of a layer by.

    The network puts out that layer's units, which would all be 1.
    """
    network = Network((1, *[n_units] * (layer + 2)), [("identity", 0.0)] * (layer + 1), dtype)
    network.params[:] = 0
    network.coefs[-1][:] = np.eye(n_units)
    network.intercepts[layer][:] = 1
    data = sp.csr_array((n_rows, 1), dtype=dtype) if sparse else np.zeros((n_rows, 1), dtype)
    order = np.arange(n_rows) if rows is None else rows
    trainer = Trainer(
        network.layers_with_dropout([0.0] * layer + [rate]), network.params,
        Samples(data, np.zeros((n_rows, n_units), dtype)), Loss("squared_error", n_units), None, None,
        batch_rows=batch_rows or n_rows, alpha=0.0, gather=not sparse, keep_outputs=True,
    )  # fmt: skip
    trainer.dropout_seed = seed
    trainer.start_epoch(epoch)
    trainer.loss_and_gradient(order, order.size)
    return trainer.outputs


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(0.01, 0.99), seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 2**40),
    layer=st.integers(0, 2), batch_rows=st.integers(1, 40), sparse=st.booleans(),
    order=st.permutations(range(40)),
)  # fmt: skip
def test_a_mask_does_not_depend_on_the_layout(rate, seed, epoch, layer, batch_rows, sparse, order):
    """Nor on how many rows and units there are, nor on the dtype."""
    given = {"seed": seed, "epoch": epoch, "layer": layer}
    expected = masks(rate, **given)
    other = masks(rate, **given, rows=np.array(order), batch_rows=batch_rows, sparse=sparse)
    np.testing.assert_array_equal(expected, other)
    np.testing.assert_array_equal(expected[:7, :3], masks(rate, n_rows=7, n_units=3, **given))
    single = masks(rate, dtype=np.float32, **given)
    np.testing.assert_array_equal(expected == 0, single == 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.9])
def test_kept_units_are_scaled_up(rate, dtype):
    mask = masks(rate, dtype=dtype)
    np.testing.assert_array_equal(np.unique(mask), [0, dtype(1 / (1 - rate))])


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.8, 0.99])
def test_the_rate_and_the_mean_within_sampling_error(rate):
    """Over all units, and with the spread of independent draws over each row and unit."""
    mask = masks(rate, n_rows=2000, n_units=300)
    dropped = mask == 0
    variance = rate * (1 - rate)
    assert abs(dropped.mean() - rate) < 4 * np.sqrt(variance / dropped.size)
    assert abs(mask.mean() - 1) < 4 * np.sqrt(rate / (1 - rate) / dropped.size)
    for axis, n in ((0, 2000), (1, 300)):
        # Sums of n draws: chi-squared against the binomial variance.
        sums = dropped.sum(axis=axis)
        chi2 = ((sums - n * rate) ** 2).sum() / (n * variance)
        assert abs(chi2 - sums.size) < 5 * np.sqrt(2 * sums.size + sums.size / (n * variance))


def correlations(a):
    """Between all pairs of different columns."""
    return np.corrcoef(a, rowvar=False)[np.triu_indices(a.shape[1], k=1)]


def test_units_and_rows_are_uncorrelated():
    for columns in (masks(n_rows=3000, n_units=60), masks(n_rows=60, n_units=3000).T):
        found = correlations(columns)
        assert np.abs(found).max() < 5 / np.sqrt(3000)
        assert abs(found.std() * np.sqrt(3000) - 1) < 0.1


@pytest.mark.parametrize("what", ["seed", "epoch", "layer"])
def test_masks_of_others_are_independent(what):
    """Small numbers, neighbours and powers of two, each against every other."""
    numbers = range(6) if what == "layer" else [0, 1, 2, 3, 4, 8, 255, 256, 2**31, 2**32, 2**40]
    found = np.column_stack([masks(n_rows=100, n_units=40, **{what: i}).ravel() for i in numbers])
    assert np.abs(correlations(found)).max() < 5 / np.sqrt(4000)


def test_neighbouring_numbers_do_not_shift_the_mask():
    """Row r of one epoch, layer or seed is not row r + 1 of another, nor unit u unit u + 1."""
    base = masks(n_rows=200, n_units=40)
    for what in ("seed", "epoch", "layer"):
        other = masks(n_rows=200, n_units=40, **{what: 2 if what == "seed" else 1})
        for r, u in ((0, 1), (1, 0), (1, 1), (-1, 0), (0, -1)):
            agreement = (base == np.roll(other, (r, u), axis=(0, 1))).mean()
            assert abs(agreement - 0.5) < 5 / np.sqrt(4 * base.size)


def test_a_layer_of_rate_zero_is_left_alone():
    np.testing.assert_array_equal(masks(0.0), 1)
    zeros, y = make("binary", hidden_layer_sizes=(6, 5), dropout=[0.0, 0])
    plain, _ = make("binary", hidden_layer_sizes=(6, 5))
    assert_same_bits(zeros.fit(X, y), plain.fit(X, y))


def linear_outputs(rates, n_epochs, dtype=np.float64):
    """Raw scores of a linear network in training, of each epoch, and without dropout."""
    network = Network.from_sizes([5, 20, 20, 3], "identity", random_state=0, dtype=dtype)
    trainer = Trainer(
        network.layers_with_dropout(rates), network.params,
        Samples(X.astype(dtype), np.zeros((48, 3), dtype)), Loss("squared_error", 3), None, None,
        batch_rows=48, alpha=0.0, gather=False, keep_outputs=True,
    )  # fmt: skip
    outputs = []
    for epoch in range(n_epochs):
        trainer.start_epoch(epoch)
        trainer.loss_and_gradient(None, 48)
        outputs.append(trainer.outputs.copy())
    return np.array(outputs), network.forward(X.astype(dtype))


@pytest.mark.parametrize("rates", [[0.5, 0.0], [0.0, 0.3], [0.2, 0.6]])
def test_mean_activations_are_unchanged(rates):
    outputs, expected = linear_outputs(rates, 1000)
    error = outputs.std(axis=0) / np.sqrt(1000)
    assert (error > 0).all()
    deviations = (outputs.mean(axis=0) - expected) / error
    assert np.abs(deviations).max() < 5
    assert 0.8 < deviations.std() < 1.2


@EACH_SOLVER
def test_the_model_is_a_function_of_random_state(solver):
    def fitted(random_state):
        model, y = make("multiclass", dropout=[0.5], solver=solver, random_state=random_state)
        return model.fit(X, y)

    assert_same_bits(fitted(3), fitted(3))
    assert (parameters(fitted(3)) != parameters(fitted(4))).any()
    generator = np.random.RandomState(3)
    assert_same_bits(fitted(generator), fitted(3))
    assert (parameters(fitted(generator)) != parameters(fitted(3))).any()


def test_masks_follow_the_seed_not_only_the_initial_weights():
    """All that differs between these fits is what dropout and its masks draw."""

    def fitted(random_state):
        model, y = make(
            "binary", weight_init="zeros", shuffle=False, dropout=0.5, random_state=random_state,
            activation="softplus", max_iter=20,
        )  # fmt: skip
        return parameters(model.fit(X, y))

    assert (fitted(0) != fitted(1)).any()


@pytest.mark.parametrize("method", ["fit", "warm start", "partial_fit"])
def test_every_epoch_has_masks_of_its_own(method):
    """Parameters that stay put: only the masks make the losses differ."""
    model, y = make(
        "binary", dropout=0.5, shuffle=False, learning_rate=lambda step, total_steps: 0.0,
        warm_start=method == "warm start", max_iter=1 if method == "warm start" else 5,
    )  # fmt: skip
    if method == "fit":
        model.fit(X, y)
    for _ in range(0 if method == "fit" else 5):
        call = model.partial_fit if method == "partial_fit" else model.fit
        call(X, y, **({"classes": [0, 1]} if method == "partial_fit" else {}))
    assert len(set(model.loss_curve_)) == len(model.loss_curve_) == 5


@EACH_LEARNER
def test_dropout_is_for_training_alone(learner):
    """Predictions, scores and losses are those of the whole network."""
    model, y = make(learner, dropout=0.5, hidden_layer_sizes=(6, 5), early_stopping=True)
    model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    whole, best = model._network.forward(X), model.history_.best_epoch
    np.testing.assert_array_equal(model._raw_scores(X), whole)
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    np.testing.assert_allclose(
        model.evaluate(X[40:], y[40:])["loss"], model.history_["val_loss"][best], rtol=1e-12
    )
    assert model.history_["val_score"][best] == model.score(X[40:], y[40:])
    hidden = np.tanh(
        np.tanh(X @ model.coefs_[0] + model.intercepts_[0]) @ model.coefs_[1] + model.intercepts_[1]
    )
    np.testing.assert_allclose(whole, hidden @ model.coefs_[2] + model.intercepts_[2], rtol=1e-10)


@EACH_SOLVER
def test_dropout_is_the_same_for_sparse_input(solver):
    dense, y = make("multiclass", dropout=[0.4], solver=solver)
    sparse, _ = make("multiclass", dropout=[0.4], solver=solver)
    assert_close(dense.fit(X, y), sparse.fit(sp.csr_array(X), y))


def test_dropout_changes_training():
    with_it, y = make("multiclass", dropout=0.3)
    without, _ = make("multiclass")
    assert (parameters(with_it.fit(X, y)) != parameters(without.fit(X, y))).any()


# ---- threads ----


MORE = RNG.normal(size=(300, 20))


def all_at_once(seed):
    """A fit that uses whatever draws random numbers, and products large enough for blocks."""
    model = MLPClassifier(
        (64, 32), ["gelu", ("leaky_relu", 0.1)], dropout=[0.3, 0.5], batch_size=50, max_iter=4,
        gradient_accumulation_steps=2, max_grad_norm=0.5, solver="adamw", learning_rate="one_cycle",
        label_smoothing=0.1, random_state=seed, early_stopping=True,
    )  # fmt: skip
    model.fit(MORE, (MORE[:, 0] > 0).astype(int) + (MORE[:, 1] > 0))
    return parameters(model)


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_fits_in_several_threads_give_the_same_bits(n_threads):
    expected = [all_at_once(seed) for seed in range(6)]
    with ThreadPoolExecutor(n_threads) as pool:
        got = list(pool.map(all_at_once, range(6)))
    np.testing.assert_array_equal(got, expected)


def test_limits_on_threads_change_no_bit():
    found = []
    for limit in (1, 2, 3):
        with threadpool_limits(limit):
            found.append(all_at_once(0))
    np.testing.assert_array_equal(found, found[:1] * 3)


# ---- schedules ----

N_EPOCHS = 33  # the default StepDecay drops after 30


def cosine(t, low=0.0):
    return low + (1 - low) * (1 + np.cos(np.pi * t)) / 2


def one_cycle(t):
    return cosine(1 - t / 0.3, 0.04) if t < 0.3 else cosine((t - 0.3) / 0.7, 4e-6)


BY_HAND = {  # the default of each named schedule: a factor of (epochs, fraction of training done)
    "step": lambda epochs, t: 0.1 ** (epochs >= 30),
    "exponential": lambda epochs, t: 0.95**epochs,
    "cosine": lambda epochs, t: cosine(t),
    "one_cycle": lambda epochs, t: one_cycle(t),
    "cosine_log": lambda epochs, t: (1 - np.cos(2 * np.pi * np.log2(1 + 15 * t))) / 2,
}


def test_every_named_schedule_is_here():
    assert set(BY_HAND) == set(NAMED_SCHEDULES)


@EACH_SOLVER
@pytest.mark.parametrize("name", BY_HAND)
def test_a_schedule_acts_on_every_step_of_every_solver(name, solver):
    """Against a loop written out, and a callable."""
    params = {"solver": solver, "shuffle": False, "alpha": 0.0, "batch_size": 16, "max_iter": N_EPOCHS}
    model, y = make("huber, one output", learning_rate=name, learning_rate_init=0.02, **params)
    model.fit(X, y)

    def factor(step, total_steps):
        return BY_HAND[name](step / 3, step / total_steps)

    network = Network.from_sizes([5, 6, 1], "tanh", random_state=0, dtype="float64")
    optimizer = SOLVERS[solver]()
    state, rates = optimizer.init(network.params), []
    for step in range(3 * N_EPOCHS):
        part = slice(16 * (step % 3), 16 * (step % 3 + 1))
        rates.append(0.02 * factor(step, 3 * N_EPOCHS))
        _, gradient = network.loss_and_gradient(X[part], y[part], Loss("huber", 1, 0.5))
        optimizer.step(network.params, gradient, state, rates[-1], n_weights=network.n_weights)
    np.testing.assert_allclose(parameters(model), network.params, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.history_["learning_rate"], rates[2::3], rtol=1e-9, atol=1e-17)

    called, _ = make("huber, one output", learning_rate=factor, learning_rate_init=0.02, **params)
    assert_close(model, called.fit(X, y))


@EACH_SOLVER
@pytest.mark.filterwarnings("ignore:learning_rate=:UserWarning")
def test_invscaling_and_adaptive_act_on_every_solver(solver):
    model, y = make(
        "binary", solver=solver, learning_rate="invscaling", learning_rate_init=0.01, power_t=0.25
    )
    model.fit(X, y)
    rates = [0.01] + [0.01 / (48 * epoch + 1) ** 0.25 for epoch in range(1, 5)]
    np.testing.assert_allclose(model.history_["learning_rate"], rates, rtol=1e-12)

    model, y = make(
        "binary", solver=solver, learning_rate="adaptive", learning_rate_init=0.01, tol=100.0,
        n_iter_no_change=1, max_iter=8,
    )  # fmt: skip
    model.fit(X, y)
    rates = 0.01 / 5.0 ** np.array([0, 0, 0, 1, 1, 2, 2, 3])
    np.testing.assert_allclose(model.history_["learning_rate"], rates, rtol=1e-12)


def test_the_recorded_rate_is_that_of_the_last_step():
    model, y = make(
        "binary", learning_rate=lambda step, total: step + 1, learning_rate_init=1e-6, batch_size=20
    )
    model.fit(X, y)
    np.testing.assert_allclose(model.history_["learning_rate"], [3e-6, 6e-6, 9e-6, 12e-6, 15e-6])
    constant, _ = make("binary")
    assert constant.fit(X, y).history_["learning_rate"] == [0.001] * 5


def test_a_parameter_of_a_schedule_can_be_searched():
    model, y = make(
        "squared_error, one output", learning_rate=ExponentialDecay(), learning_rate_init=0.02
    )
    search = GridSearchCV(model, {"learning_rate__gamma": [1e-6, 1.0]}, cv=2)
    search.fit(X, y)
    assert search.best_params_ == {"learning_rate__gamma": 1.0}
    first, second = search.cv_results_["mean_test_score"]
    assert first != second
    assert search.best_estimator_.learning_rate.gamma == 1.0
    assert model.learning_rate.gamma == 0.95


def test_schedules_can_be_searched_over():
    model, y = make("binary")
    search = GridSearchCV(model, {"learning_rate": ["cosine", StepDecay(2), Warmup(2, "cosine")]}, cv=2)
    assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("split", [{}, {"early_stopping": True, "validation_fraction": 0.25}])
def test_a_callable_is_told_the_step_and_the_total(split):
    calls = []

    def factor(*arguments):
        calls.append(arguments)
        return 1

    model, y = make("binary", learning_rate=factor, batch_size=10, max_iter=4, **split)
    n_steps = 4 if split else 5  # of 36 or 48 rows
    model.fit(X, y)
    assert calls == [(step, 4 * n_steps) for step in range(4 * n_steps)]
    assert all(type(number) is int for call in calls for number in call)


@pytest.mark.parametrize("learning_rate", ["exponential", "cosine", lambda step, total: 1 / (1 + step)])
def test_a_schedule_restarts_with_a_warm_start(learning_rate):
    model, y = make("binary", learning_rate=learning_rate, warm_start=True)
    first = model.fit(X, y).history_["learning_rate"]
    before = parameters(model)
    again = model.fit(X, y).history_["learning_rate"]
    assert first == again
    assert len(set(first)) == 5
    assert (parameters(model) != before).any()
    assert len(model.loss_curve_) == 10


@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", "cosine_log", Warmup(2, "cosine")])
def test_partial_fit_refuses_a_schedule_with_an_end(learning_rate):
    model, y = make("binary", learning_rate=learning_rate)
    with pytest.raises(ValueError, match="partial_fit knows no end of training"):
        model.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(model, "classes_")


def test_partial_fit_begins_the_schedule_after_that_of_a_fit_has_ended():
    model, y = make("binary", learning_rate="cosine", learning_rate_init=0.01)
    assert model.fit(X, y).history_["learning_rate"][-1] < 0.001
    model.set_params(learning_rate="constant").partial_fit(X, y)
    assert model.history_["learning_rate"][-1] == 0.01
    told = []
    model, y = make("binary", learning_rate=lambda *step: told.append(step) or 1)
    model.fit(X, y).partial_fit(X, y).partial_fit(X, y)
    assert told[-2:] == [(0, None), (1, None)]


def test_a_partial_fit_that_fails_leaves_the_activations_alone():
    model, y = make("binary", learning_rate=lambda step, total: np.nan if step else 1)
    model.partial_fit(X, y, classes=[0, 1])
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="returned nan"):
        model.set_params(activation="relu").partial_fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_schedule_goes_on_from_one_partial_fit_to_the_next():
    seen = []

    def factor(step, total_steps):
        seen.append((step, total_steps))
        return 0.5**step

    for learning_rate, expected in [
        (StepDecay(step_size=2, gamma=0.5), [1, 1, 0.5, 0.5]),
        ("exponential", 0.95 ** (np.arange(4) + 2 / 3)),  # at the third step of an epoch of three
        (factor, 0.5 ** np.array([2, 5, 8, 11])),
    ]:
        model, y = make("binary", learning_rate=learning_rate, batch_size=16)
        rates = []
        for _ in range(4):
            model.partial_fit(X, y, classes=[0, 1])
            rates.append(model.history_["learning_rate"][-1])
        np.testing.assert_allclose(rates, 0.001 * np.array(expected), rtol=1e-12)
    assert seen == [(step, None) for step in range(12)]


@EACH_SOLVER
@pytest.mark.parametrize(("bad", "shown"), [(np.nan, "nan"), (-0.5, "-0.5"), (np.inf, "inf")])
@pytest.mark.parametrize("fitted", [False, True])
def test_a_bad_factor_raises_at_its_step_and_nothing_has_changed(fitted, bad, shown, solver):
    def warm_then_bad(step, total_steps):
        return bad if step == 7 else 1.0

    model, y = make("binary", solver=solver, batch_size=10, warm_start=True)
    if fitted:
        model.fit(X, y)
    model.set_params(learning_rate=warm_then_bad)
    before = vars(model).copy()
    copied = {name: copy.deepcopy(getattr(model, name)) for name in before if name.endswith("_")}
    params = parameters(model) if fitted else None
    with pytest.raises(ValueError, match=f"warm_then_bad.*returned {shown} for step 7"):
        model.fit(X, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    if fitted:
        np.testing.assert_array_equal(parameters(model), params)
        assert model.loss_curve_ == copied["loss_curve_"]
        assert model.history_ == copied["history_"]
        assert model.n_iter_ == copied["n_iter_"]


# ---- initial weights ----

SKLEARN_RULE = [name for name, row in ACTIVATIONS.items() if row.init == "scikit-learn"]


def test_the_rule_of_each_activation():
    assert SKLEARN_RULE == ["identity", "logistic", "tanh", "relu"]
    rules = {name: row.init for name, row in ACTIVATIONS.items() if name not in SKLEARN_RULE}
    assert rules.pop("selu") == "lecun"
    assert rules.pop("softplus") == "glorot"
    assert rules == dict.fromkeys(["leaky_relu", "elu", "gelu", "silu", "mish"], "he")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("hidden", [(), (7,), (7, 3, 4)])
@pytest.mark.parametrize("activation", SKLEARN_RULE)
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_initial_weights_are_those_of_scikit_learn(name, activation, hidden, dtype):
    """One epoch with a rate that changes nothing."""
    params = {
        "hidden_layer_sizes": hidden, "activation": activation, "random_state": 5, "solver": "sgd",
        "learning_rate_init": 1e-300, "max_iter": 1,
    }  # fmt: skip
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[name](**params)
    models = [model.fit(X.astype(dtype), THREE) for model in (ours, getattr(theirs, name)(**params))]
    for kind in ("coefs_", "intercepts_"):
        for one, other in zip(*(getattr(model, kind) for model in models), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == dtype


def test_initial_weights_of_a_list_of_activations():
    """Layer by layer from one stream; the output layer follows the last hidden one."""
    model = frozen("binary", hidden_layer_sizes=(7, 6, 4), activation=["tanh", "logistic", "gelu"])
    stream, sizes = np.random.RandomState(0), (5, 7, 6, 4, 1)
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        if layer < 2:
            bound = np.sqrt((6, 2)[layer] / (rows + columns))
            weights = stream.uniform(-bound, bound, (rows, columns))
            intercepts = stream.uniform(-bound, bound, columns)
        else:
            weights = stream.normal(0, np.sqrt(2 / rows), (rows, columns))
            intercepts = np.zeros(columns)
        np.testing.assert_array_equal(model.coefs_[layer], weights)
        np.testing.assert_array_equal(model.intercepts_[layer], intercepts)


RULES = {  # name: (variance of (n_in, n_out, slope), whether the weights are uniform)
    "glorot_uniform": (lambda n_in, n_out, slope: 2 / (n_in + n_out), True),
    "glorot_normal": (lambda n_in, n_out, slope: 2 / (n_in + n_out), False),
    "he_uniform": (lambda n_in, n_out, slope: 2 / (1 + slope**2) / n_in, True),
    "he_normal": (lambda n_in, n_out, slope: 2 / (1 + slope**2) / n_in, False),
    "lecun_normal": (lambda n_in, n_out, slope: 1 / n_in, False),
    "zeros": (lambda n_in, n_out, slope: 0, True),
}
AUTOMATIC = {"he": "he_normal", "lecun": "lecun_normal", "glorot": "glorot_uniform"}


def assert_drawn_by(rule, network):
    variance, uniform = RULES[rule]
    slopes = [slope for _, slope in network.activations[:-1]]
    for weights, intercepts, slope in zip(
        network.coefs, network.intercepts, [*slopes, slopes[-1]], strict=True
    ):
        expected = variance(*weights.shape, slope)
        np.testing.assert_array_equal(intercepts, 0)
        if expected == 0:
            np.testing.assert_array_equal(weights, 0)
            continue
        kurtosis = 1.8 if uniform else 3.0
        error = np.sqrt((kurtosis - 1) / weights.size)
        assert abs(weights.var() / expected - 1) < 5 * error
        assert abs(weights.mean()) < 5 * np.sqrt(expected / weights.size)
        largest = np.abs(weights).max() / np.sqrt(3 * expected)
        assert 0.99 < largest <= 1 if uniform else largest > 1.5


def test_the_table_of_rules_is_complete():
    assert set(RULES) == set(INITIALIZATIONS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", INITIALIZATIONS)
def test_bounds_and_variances_of_rules(rule, dtype):
    for activation in ("relu", "tanh", ("leaky_relu", 0.5)):
        network = Network.from_sizes(
            [300, 100, 200], activation, weight_init=rule, random_state=0, dtype=dtype
        )
        assert_drawn_by(rule, network)
        assert network.params.dtype == dtype


@pytest.mark.parametrize("activation", [n for n in ACTIVATIONS if n not in SKLEARN_RULE])
def test_auto_follows_the_activation(activation):
    for value in {activation, (activation, 0.5) if activation == "leaky_relu" else activation}:
        network = Network.from_sizes([300, 100, 200], value, random_state=0, dtype="float64")
        assert_drawn_by(AUTOMATIC[ACTIVATIONS[activation].init], network)


@pytest.mark.parametrize("rule", INITIALIZATIONS)
def test_the_estimators_take_every_rule(rule):
    for learner in ("multiclass", "huber, one output"):
        model = frozen(
            learner, weight_init=rule, hidden_layer_sizes=(7, 4), activation=["relu", "selu"]
        )
        network = Network.from_sizes(
            model._network.sizes, ["relu", "selu"], weight_init=rule, random_state=0, dtype="float64"
        )
        np.testing.assert_array_equal(parameters(model), network.params)
        assert (network.params != 0).any() == (rule != "zeros")


# ---- the new parameters ----

NEW = {
    "activation": ["gelu", ("leaky_relu", 0.2)],
    "hidden_layer_sizes": [6, 5],
    "dtype": "float64",
    "weight_init": "he_uniform",
    "dropout": [0.1, 0.0],
    "solver": "adamw",
    "weight_decay": 0.1,
    "max_grad_norm": 2.0,
    "gradient_accumulation_steps": 2,
    "learning_rate": Warmup(1, StepDecay(2, 0.5)),
    "early_stopping": True,
    "scoring": "loss",
    "restore_best": False,
    "metrics": ["gradient_norm"],
}
OFF = {
    "dtype": "auto",
    "weight_init": "auto",
    "dropout": 0.0,
    "max_grad_norm": None,
    "gradient_accumulation_steps": 1,
    "scoring": None,
    "restore_best": None,
    "metrics": None,
    "weight_decay": 0.01,
}
OWN = {  # set to something else, and off
    MLPClassifier: (
        {"label_smoothing": 0.1, "class_weight": {0: 2.0, 1: 3.0}},
        {"label_smoothing": 0.0, "class_weight": None},
    ),
    MLPRegressor: (
        {"loss": "huber", "huber_delta": 0.5, "quantile": 0.9, "output_activation": "softplus"},
        {"huber_delta": 1.0, "quantile": 0.5, "output_activation": "identity"},
    ),
}
BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])


@BOTH
def test_the_lists_of_new_parameters_are_complete(cls):
    added = set(cls().get_params()) - set(getattr(theirs, cls.__name__)().get_params())
    added.discard("loss")  # scikit-learn has it from 1.7 on
    assert {**OFF, **OWN[cls][1]} == {name: cls().get_params()[name] for name in added}
    assert added <= {**NEW, **OWN[cls][0]}.keys()
    defaults = cls().get_params()
    assert all(
        defaults[name] != value for name, value in {**NEW, **OWN[cls][0]}.items() if name != "loss"
    )


@BOTH
@pytest.mark.skipif(
    tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 9),
    reason="the numbers agree with those of scikit-learn 1.9 and later",
)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_defaults_give_the_numbers_of_scikit_learn(cls, solver):
    params = {"solver": solver, "random_state": 0, "max_iter": 30}
    y = (SIGNAL > 0.5).astype(int) if cls is MLPClassifier else SIGNAL
    ours = cls(**params, **OFF, **OWN[cls][1]).fit(X, y, sample_weight=COUNTS + 1.0)
    reference = getattr(theirs, cls.__name__)(**params).fit(X, y, sample_weight=COUNTS + 1.0)
    rtol = 1e-3 if solver == "lbfgs" else 1e-8
    np.testing.assert_allclose(ours.loss_, reference.loss_, rtol=rtol)
    if solver != "lbfgs":
        np.testing.assert_allclose(ours.loss_curve_, reference.loss_curve_, rtol=rtol)
        np.testing.assert_allclose(parameters(ours), parameters(reference), rtol=0, atol=1e-8)


@BOTH
@pytest.mark.parametrize("how", ["clone", "pickle", "deepcopy", "copy"])
def test_estimators_with_new_parameters_are_copied_whole(cls, how):
    model = cls(**NEW, **OWN[cls][0], random_state=0, max_iter=6)
    y = (SIGNAL > 0.5).astype(int) if cls is MLPClassifier else abs(SIGNAL)
    make_copy = {
        "clone": clone,
        "pickle": lambda model: pickle.loads(pickle.dumps(model)),
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }[how]
    again = make_copy(model)
    assert repr(again.get_params()) == repr(model.get_params())
    assert again.get_params()["learning_rate__after__gamma"] == 0.5
    model.fit(X, y)
    assert_same_bits(model, again.fit(X, y))
    if how == "clone":
        assert not hasattr(clone(model), "coefs_")
        return
    fitted = make_copy(model)
    assert_same_bits(fitted, model)
    np.testing.assert_array_equal(fitted.predict(X), model.predict(X))
    assert fitted.history_ == model.history_
    assert fitted.evaluate(X, y, metrics=[]) == model.evaluate(X, y, metrics=[])


@BOTH
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_partial_fit_goes_on_after_copying(cls, how):
    params = {**NEW, **OWN[cls][0], "early_stopping": False, "scoring": None}
    params |= {"restore_best": None, "random_state": np.random.RandomState(0)}
    y = (SIGNAL > 0.5).astype(int) if cls is MLPClassifier else abs(SIGNAL)
    classes = {"classes": [0, 1]} if cls is MLPClassifier else {}
    model = cls(**params)
    for _ in range(3):
        model.partial_fit(X, y, **classes)
    again = pickle.loads(pickle.dumps(model)) if how == "pickle" else copy.deepcopy(model)
    for _ in range(3):
        model.partial_fit(X, y)
        again.partial_fit(X, y)
    assert_same_bits(model, again)


@BOTH
def test_nested_parameters_can_be_set(cls):
    model = cls(learning_rate=Warmup(1, StepDecay()))
    model.set_params(learning_rate__n_epochs=3, learning_rate__after__gamma=0.3)
    assert (model.learning_rate.n_epochs, model.learning_rate.after.gamma) == (3, 0.3)
