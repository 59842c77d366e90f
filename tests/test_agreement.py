"""Agreement with scikit-learn: the same numbers for the same seed, in float64.

Every configuration is drawn from a generator seeded with its index, so that it is the same in
every run and can be run alone. Tolerances, for solvers "adam" and "sgd":

- counts, names, shapes, dtypes, labels and warnings: equal;
- weights: the largest difference within an array is at most 1e-6 of the array's largest entry
  (element by element would ask a weight that happens to be near zero for more digits than
  the sums it was made of have);
- losses, scores, probabilities, predictions: within 1e-6 of the larger of 1 and the largest value.

For "lbfgs" probabilities, predictions and the loss agree within 1e-3 and weights are not
compared: the line search turns rounding into other steps towards the same minimum.

A configuration may miss only where scikit-learn, with nothing changed but the order in which it
adds up its matrix products, misses its own result by the same standard; and such configurations
are at most one in a hundred. Left out is what the table of differences changes.
"""

import inspect
import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from sklearn import neural_network as theirs
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import get_tags
from sklearn.utils.extmath import safe_sparse_dot

import sklearn_mlp as ours

pytestmark = pytest.mark.skipif(
    tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 9),
    reason="the numbers agree with those of scikit-learn 1.9 and later",
)

N_CONFIGURATIONS = 240
AMPLIFIED = {}  # index -> what missed, although reordered sums in scikit-learn miss as well
NAMES = ["MLPClassifier", "MLPRegressor"]
SOLVERS = ["adam", "sgd", "lbfgs"]
TASKS = ["binary", "multiclass", "multilabel"]
TASKS += ["regression", "multi-output", "poisson", "multi-output poisson"]


# ---- drawing configurations ----


class Configuration:
    """One random configuration: the estimator's parameters and the calls made on it."""

    def __init__(self, index):
        rng = np.random.default_rng([1986, index])

        def pick(*options):
            return options[rng.integers(len(options))]

        self.index = index
        self.seed = int(rng.integers(2**31))
        # 5, 7 and 4 have no common factor: every solver meets every task and activation.
        self.solver = ("adam", "sgd", "adam", "sgd", "lbfgs")[index % 5]
        self.task = TASKS[index % len(TASKS)]
        if self.solver == "lbfgs" and self.task == "multi-output":
            self.task = "multi-output poisson"  # difference 3
        stochastic = self.solver != "lbfgs"
        self.classifies = self.task in {"binary", "multiclass", "multilabel"}

        self.flow = pick("fit", "fit", "refit", "warm start", "partial_fit", "fit, partial_fit")
        if not stochastic and "partial_fit" in self.flow:
            self.flow = "fit"
        self.methods = {
            "fit": ["fit"],
            "refit": ["fit", "fit"],
            "warm start": ["fit", "fit"],
            "partial_fit": ["partial_fit"] * 3,
            "fit, partial_fit": ["fit", "partial_fit", "partial_fit", "partial_fit"],
        }[self.flow]

        self.params = {
            "solver": self.solver,
            "activation": ("relu", "tanh", "logistic", "identity")[index % 4],
            "hidden_layer_sizes": self.layers(rng),
            "alpha": pick(0, 1e-4, 1e-4, 0.1, 1.0),
            "max_iter": int(rng.integers(5, 41)),
            "tol": pick(0, 1e-4, 1e-4, 1e-2, 0.3),
            "warm_start": self.flow == "warm start",
        }
        if self.task.endswith("poisson"):
            self.params["loss"] = "poisson"
        self.shared_generator = pick(True, False, False, False)
        self.n_rows = int(rng.integers(20, 90))
        self.n_features = int(rng.integers(1, 9))
        self.layout = pick("C", "C", "C", "F", "strided", "integer", "csr", "csc", "unsorted csr")
        self.labels = pick("integer", "string", "object", "boolean", "float")
        self.column_target = pick(True, False, False, False)
        if stochastic:
            self.draw_stochastic(rng, pick)
        else:
            self.params["max_fun"] = pick(15000, 15000, 10)
        self.weights = self.draw_weights(rng, pick)

    @staticmethod
    def layers(rng):
        kind = rng.integers(12)
        if kind == 0:
            return ()
        if kind == 1:
            return int(rng.integers(1, 21))
        sizes = [int(n) for n in rng.integers(1, 21, size=rng.integers(1, 4))]
        return np.array(sizes) if kind == 2 else tuple(sizes) if kind < 8 else sizes

    def draw_stochastic(self, rng, pick):
        self.params.update(
            batch_size=pick("auto", "auto", 1, 7, 32, 1000),
            learning_rate_init=pick(1e-3, 1e-3, 1e-2, 3e-2),
            shuffle=pick(True, True, False),
            n_iter_no_change=pick(1, 2, 10, 10, np.inf),
        )
        if self.solver == "sgd":
            # The exponential of the Poisson loss diverges soon.
            rates = (1e-4, 1e-3, 3e-3) if "poisson" in self.task else (1e-3, 1e-2, 3e-2, 0.1)
            self.params.update(
                learning_rate_init=pick(*rates),
                learning_rate=pick("constant", "invscaling", "adaptive"),
                power_t=pick(0.5, 0.25, 1.0, 0),
                momentum=pick(0.9, 0.9, 0.5, 0),
                nesterovs_momentum=pick(True, True, False),
            )
        else:
            self.params.update(
                beta_1=pick(0.9, 0.9, 0.5, 0),
                beta_2=pick(0.999, 0.999, 0.9),
                epsilon=pick(1e-8, 1e-8, 1e-4),
            )
        # Early stopping: not with several classes (difference 2), never in partial_fit.
        if "partial_fit" not in self.flow and self.task != "multiclass" and rng.random() < 0.4:
            self.params.update(early_stopping=True, validation_fraction=pick(0.1, 0.2, 0.35))

    def draw_weights(self, rng, pick):
        """None, "constant" or "random": only where difference 1 leaves the same number."""
        if "partial_fit" in self.flow:
            return pick(None, None, None, "ones")
        batch_size = self.params.get("batch_size", "auto")
        full_batch = batch_size == "auto" or batch_size >= self.n_rows
        return pick(None, None, "constant", "random" if full_batch else "constant")

    def __str__(self):
        return f"{self.index}-{self.solver}-{self.task}-{self.flow}".replace(" ", "_")

    def __repr__(self):
        return f"{self}: {vars(self)}"

    # ---- data ----

    def data(self):
        """For each call (X, y, sample_weight), and at the end rows to predict."""
        rng = np.random.RandomState(self.seed)
        teacher = rng.normal(size=(self.n_features, 3))
        calls = []
        for method in self.methods:
            n_rows = self.n_rows if method == "fit" else int(rng.randint(5, self.n_rows + 1))
            X = self.draw_rows(rng, n_rows)
            y = self.draw_target(rng, X @ teacher)
            calls.append((self.in_layout(X), y, self.draw_sample_weight(rng, n_rows)))
        return calls, self.in_layout(self.draw_rows(rng, 31))

    def draw_rows(self, rng, n_rows):
        X = rng.normal(size=(n_rows, self.n_features))
        if self.layout == "integer":
            return np.round(2 * X)
        return X * (rng.uniform(size=X.shape) < 0.6) if "cs" in self.layout else X

    def in_layout(self, X):
        if self.layout == "F":
            return np.asfortranarray(X)
        if self.layout == "strided":
            return np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
        if self.layout == "integer":
            return X.astype(int)
        if self.layout == "csc":
            return sp.csc_array(X)
        if self.layout == "csr":
            return sp.csr_array(X)
        if self.layout == "unsorted csr":
            X = sp.csr_array(X[:, ::-1])
            X.indices = X.shape[1] - 1 - X.indices
            X.has_sorted_indices = False
        return X

    def draw_target(self, rng, scores):
        scores = scores / (np.abs(scores).max() + 1e-9) + 0.3 * rng.normal(size=scores.shape)
        if self.task == "binary":
            codes = (scores[:, 0] > 0).astype(int)
            codes[:10] = np.arange(len(codes[:10])) % 2  # enough of both to be split
            return self.named(codes)
        if self.task == "multiclass":
            codes = scores.argmax(axis=1)
            codes[:3] = np.arange(3)  # every class, for a warm start
            return self.named(codes)
        if self.task == "multilabel":
            return (scores > 0).astype(int)
        if self.task == "multi-output":
            return scores[:, :2] * [1.0, 2.0] + 0.5
        if self.task == "multi-output poisson":
            return rng.poisson(np.exp(scores[:, :2])).astype(float)
        y = rng.poisson(np.exp(scores[:, 0])) if self.task == "poisson" else 2 * scores[:, 0] + 0.5
        return y.reshape(-1, 1) if self.column_target else y

    def named(self, codes):
        if self.labels == "boolean" and self.task == "binary":
            return codes.astype(bool)
        if self.labels == "string":
            return np.array(["no", "yes", "maybe"])[codes]
        if self.labels == "object":
            return np.array(["no", "yes", "maybe"], dtype=object)[codes]
        return codes * 2.0 if self.labels == "float" else codes * 5 - 3

    def draw_sample_weight(self, rng, n_rows):
        if self.weights == "ones":
            return np.ones(n_rows)
        if self.weights == "constant":
            return np.full(n_rows, 2.5)
        if self.weights == "random":
            return rng.uniform(0.5, 3.0, size=n_rows)
        return None


# ---- running and comparing ----


def run(configuration, library):
    """Make the configuration's calls with the library's class; return what can be seen of it."""
    name = "MLPClassifier" if configuration.classifies else "MLPRegressor"
    seed = configuration.seed % 1000
    generator = np.random.RandomState(seed) if configuration.shared_generator else seed
    estimator = getattr(library, name)(**configuration.params, random_state=generator)
    calls, rows = configuration.data()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number, (X, y, weight) in enumerate(calls):
            method = configuration.methods[number]
            more = {} if weight is None else {"sample_weight": weight}
            if number == 0 and method == "partial_fit" and configuration.classifies:
                multilabel = configuration.task == "multilabel"
                codes = np.arange(2 if configuration.task == "binary" else 3)
                more["classes"] = codes if multilabel else np.unique(configuration.named(codes))
            getattr(estimator, method)(X, y, **more)
    return observe(configuration, estimator, rows, caught)


def observe(configuration, estimator, rows, caught):
    """Everything a user sees, under the tolerance that it is held to: same, weights, close."""
    stochastic = configuration.solver != "lbfgs"
    counts = ["n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"]
    same = {name: getattr(estimator, name) for name in counts}
    same["shapes"] = [(w.shape, w.dtype) for w in estimator.coefs_ + estimator.intercepts_]
    same["warnings"] = sorted(
        w.category.__name__ for w in caught if not issubclass(w.category, RuntimeWarning)
    )
    if configuration.shared_generator:
        same["next draw"] = estimator.random_state.random_sample()
    weights, close = {}, {"loss_": estimator.loss_}
    if stochastic:
        for i, (W, b) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
            weights[f"coefs_[{i}]"], weights[f"intercepts_[{i}]"] = W, b
        close["loss_curve_"] = estimator.loss_curve_
        for name in ["best_loss_", "validation_scores_", "best_validation_score_"]:
            value = getattr(estimator, name)
            if value is None:
                same[name] = None
            else:
                close[name] = value
    labels = estimator.predict(rows)
    same["dtype of predict"], same["shape of predict"] = labels.dtype, labels.shape
    if configuration.classifies:
        probabilities = estimator.predict_proba(rows)
        close["predict_proba"] = probabilities
        same["classes_"] = list(estimator.classes_)
        if stochastic:
            same["predict"] = labels.tolist()
        else:  # as far as a difference of 1e-3 cannot turn them
            two = np.sort(probabilities, axis=1)[:, -2:]
            clear = two[:, 1] - two[:, 0] > 0.01
            clear = np.abs(probabilities - 0.5) > 0.01 if labels.ndim == 2 else clear
            same["predict"] = np.where(clear, labels, labels.flat[0]).tolist()
    else:
        close["predict"] = labels
    return {"same": same, "weights": weights, "close": close}


def misses(expected, actual, solver):
    """What of ``actual`` is off by more than the tolerance, as a list of lines."""
    found = [
        f"{name}: {actual['same'][name]!r} instead of {value!r}"
        for name, value in expected["same"].items()
        if actual["same"][name] != value
    ]
    tolerance = 1e-3 if solver == "lbfgs" else 1e-6
    for kind, floor in [("weights", 1e-9), ("close", 1.0)]:
        assert actual[kind].keys() == expected[kind].keys()
        for name, value in expected[kind].items():
            value, other = np.asarray(value, float), np.asarray(actual[kind][name], float)
            if value.shape != other.shape:
                found.append(f"{name}: shape {other.shape} instead of {value.shape}")
                continue
            scale = max(floor, np.abs(value).max(initial=0.0))
            off = np.abs(value - other).max(initial=0.0) / scale
            if not off <= tolerance:
                found.append(f"{name}: off by {off:.1e}")
    return found


def reversed_dot(a, b, *, dense_output=False):
    return safe_sparse_dot(a[:, ::-1], b[::-1], dense_output=dense_output)


def halved_dot(a, b, *, dense_output=False):
    half = a.shape[1] // 2
    if half == 0:
        return safe_sparse_dot(a, b, dense_output=dense_output)
    first = safe_sparse_dot(a[:, :half], b[:half], dense_output=dense_output)
    return first + safe_sparse_dot(a[:, half:], b[half:], dense_output=dense_output)


def reordered_runs(configuration):
    """scikit-learn again, twice, adding up its matrix products in another order."""
    for dot in [reversed_dot, halved_dot]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sklearn.neural_network._multilayer_perceptron.safe_sparse_dot", dot)
            yield run(configuration, theirs)


# ---- the numbers ----


@pytest.mark.parametrize("configuration", [Configuration(i) for i in range(N_CONFIGURATIONS)], ids=str)
def test_same_numbers(configuration):
    expected = run(configuration, theirs)
    missed = misses(expected, run(configuration, ours), configuration.solver)
    if missed:
        others = reordered_runs(configuration)
        shaken = [misses(expected, other, configuration.solver) for other in others]
        assert any(shaken), f"{configuration!r}\n" + "\n".join(missed)
        AMPLIFIED[str(configuration)] = missed


def test_few_configurations_amplify_rounding(capsys):
    """At most one in a hundred; runs last of the numbers, and says which they are."""
    with capsys.disabled():
        for name, missed in AMPLIFIED.items():
            print(f"\namplified rounding: {name}: {'; '.join(missed)}")
    assert len(AMPLIFIED) <= N_CONFIGURATIONS // 100


def test_the_draw_covers_what_it_claims():
    drawn = [Configuration(i) for i in range(N_CONFIGURATIONS)]
    assert len(drawn) >= 200
    pairs = {(c.solver, c.task) for c in drawn}
    assert len(pairs) == 3 * 7 - 1
    assert len({(c.solver, c.params["activation"]) for c in drawn}) == 3 * 4
    for name, at_least in {"flow": 5, "layout": 7, "labels": 5, "weights": 4}.items():
        assert len({getattr(c, name) for c in drawn}) >= at_least
    sgd = [c.params for c in drawn if c.solver == "sgd"]
    for name, at_least in {"learning_rate": 3, "momentum": 3, "batch_size": 5}.items():
        assert len({p[name] for p in sgd}) >= at_least
    stopped = {c.task for c in drawn if c.params.get("early_stopping")}
    assert len(stopped) == 6
    assert "multiclass" not in stopped
    assert not any(c.params.get("early_stopping") for c in drawn if c.solver == "lbfgs")


def test_reordering_changes_rounding_and_nothing_else():
    """The excuse is no blanket: most configurations survive it, yet it does change last bits."""
    changed = 0
    for index in range(0, 40, 2):
        configuration = Configuration(index)
        expected = run(configuration, theirs)
        for other in reordered_runs(configuration):
            if configuration.solver != "lbfgs":
                assert misses(expected, other, configuration.solver) == []
            changed += any(
                not np.array_equal(value, other["weights"][name])
                for name, value in expected["weights"].items()
            )
    assert changed >= 20


def test_a_deviation_is_seen():
    configuration = next(c for c in map(Configuration, range(50)) if c.solver == "adam")
    expected = run(configuration, theirs)
    assert misses(expected, run(configuration, theirs), "adam") == []
    for kind, name in [("weights", "coefs_[0]"), ("close", "loss_curve_")]:
        for off, seen in [(1e-7, False), (1e-5, True), (np.nan, True)]:
            actual = run(configuration, theirs)
            value = np.array(actual[kind][name], float)
            value.flat[np.abs(value).argmax()] += off * max(1.0, np.abs(value).max())
            actual[kind][name] = value
            assert bool(misses(expected, actual, "adam")) is seen
    actual = run(configuration, theirs)
    actual["same"]["n_iter_"] += 1
    assert misses(expected, actual, "adam") != []
    configuration.params["alpha"] += 0.01
    assert misses(expected, run(configuration, theirs), "adam") != []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "params",
    [
        {"solver": "sgd", "early_stopping": True, "n_iter_no_change": 2},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 1},
        {"solver": "adam", "tol": 0.5, "n_iter_no_change": 2},
        {"solver": "adam", "max_iter": 2, "verbose": 10},
    ],
)
def test_same_progress_messages(name, params, capsys):
    X = np.random.RandomState(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    printed = []
    for library in [theirs, ours]:
        estimator = getattr(library, name)(**{"max_iter": 60, "verbose": True, **params})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.set_params(random_state=3).fit(X, y)
        printed.append(capsys.readouterr().out)
    assert "Iteration 2, loss = " in printed[0]
    assert without_additions(printed[1]) == printed[0]


def without_additions(printed):
    """Our progress messages as scikit-learn's: it has no rate, and the score in a line of its own."""
    printed = re.sub(r", learning rate = \S+$", "", printed, flags=re.MULTILINE)
    return re.sub(r", validation loss = \S+, validation score = ", "\nValidation score: ", printed)


# ---- the face ----


@pytest.mark.parametrize("name", NAMES)
def test_same_constructor(name):
    expected = list(inspect.signature(getattr(theirs, name)).parameters.values())
    actual = list(inspect.signature(getattr(ours, name)).parameters.values())
    face = [(p.name, p.kind, p.default) for p in expected]
    assert [(p.name, p.kind, p.default) for p in actual[: len(face)]] == face
    assert actual[len(face)].name == "dtype"
    assert {p.kind for p in actual[len(face) :]} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "predict", "score", "partial_fit"])
def test_same_signatures_of_methods(name, method):
    expected = inspect.signature(getattr(getattr(theirs, name)(), method))
    actual = inspect.signature(getattr(getattr(ours, name)(), method))
    face = [(p.name, p.kind, p.default) for p in expected.parameters.values()]
    ours_too = [(p.name, p.kind, p.default) for p in actual.parameters.values()]
    assert ours_too[: len(face)] == face
    more = [("X_val", "KEYWORD_ONLY"), ("y_val", "KEYWORD_ONLY"), ("sample_weight_val", "KEYWORD_ONLY")]
    added = [(parameter, kind.name) for parameter, kind, _ in ours_too[len(face) :]]
    assert added == (more if method == "fit" else [])


def fitted_attributes(estimator):
    return {a for a in dir(estimator) if a[0] != "_" and a[-1] == "_" and hasattr(estimator, a)}


@pytest.mark.parametrize(
    ("solver", "early_stopping"),
    [("adam", False), ("adam", True), ("sgd", False), ("sgd", True), ("lbfgs", False)],
)  # early stopping with lbfgs: difference 5
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_same_fitted_attributes(name, solver, early_stopping):
    X = np.random.RandomState(0).normal(size=(30, 3))
    y = (X[:, 0] > 0).astype(int)
    both = []
    for library in [theirs, ours]:
        estimator = getattr(library, name)(
            solver=solver, max_iter=3, early_stopping=early_stopping, random_state=0
        )
        assert fitted_attributes(estimator) == set()
        both.append(estimator.fit(X, y))
    expected, actual = map(fitted_attributes, both)
    record = {"loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"}
    assert expected <= actual
    assert actual - expected - {"history_"} <= (record if solver == "lbfgs" else set())
    assert "history_" in actual
    for attribute in expected:
        theirs_type, ours_type = (type(getattr(estimator, attribute)) for estimator in both)
        same_kind = issubclass(ours_type, theirs_type) or {ours_type, theirs_type} <= {
            float,
            np.float64,
        }
        assert same_kind, (attribute, theirs_type, ours_type)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_same_methods(name, solver):
    def methods(library):
        estimator = getattr(library, name)(solver=solver)
        found = {a for a in dir(estimator) if a[0] != "_" and callable(getattr(estimator, a, None))}
        # The regressor of scikit-learn has it with every solver: difference 9.
        return found - {"partial_fit"} if solver == "lbfgs" else found

    more = {"evaluate", "make_predictor", "predict_into", "export_weights", "load_weights"}
    more |= {"to_json", "save_json", "load_json", "from_json", "to_onnx", "to_c"}
    if name == "MLPClassifier":
        more |= {"decision_function", "predict_proba_into"}
    more |= {"set_callbacks"} & set(dir(sklearn.pipeline.Pipeline))  # where scikit-learn has them
    assert methods(ours) == methods(theirs) | more


@pytest.mark.parametrize("name", NAMES)
def test_same_tags(name):
    assert get_tags(getattr(ours, name)()) == get_tags(getattr(theirs, name)())


def test_poisson_asks_for_positive_targets():
    tags = get_tags(ours.MLPRegressor(loss="poisson"))
    assert tags.target_tags.positive_only
    tags.target_tags.positive_only = False
    assert tags == get_tags(theirs.MLPRegressor(loss="poisson"))


def requests(estimator):
    """What an estimator asks of metadata routing, without the validation data that ours also takes."""
    own = ["X_val", "y_val", "sample_weight_val"]
    text = str(estimator.get_metadata_routing())
    for name in own:
        assert (f"'{name}': None" in text) == type(estimator).__module__.startswith("sklearn_mlp")
        text = text.replace(f", '{name}': None", "")
    return text


@pytest.mark.parametrize("name", NAMES)
def test_same_metadata_routing(name):
    with sklearn.config_context(enable_metadata_routing=True):
        routing = []
        for library in [theirs, ours]:
            estimator = getattr(library, name)()
            plain = requests(estimator)
            estimator.set_fit_request(sample_weight=True)
            estimator.set_partial_fit_request(sample_weight="weight")
            estimator.set_score_request(sample_weight=False)
            routing.append((plain, requests(estimator)))
            assert plain != routing[-1][1]
        assert routing[0] == routing[1]
        if name == "MLPClassifier":
            ours.MLPClassifier().set_partial_fit_request(classes=True)


def test_partial_fit_needs_a_stochastic_solver():
    errors = []
    for library in [theirs, ours]:
        estimator = library.MLPClassifier(solver="lbfgs")
        assert not hasattr(estimator, "partial_fit")
        with pytest.raises(AttributeError) as error:
            estimator.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    for solver in ["adam", "sgd"]:
        assert hasattr(ours.MLPClassifier(solver=solver), "partial_fit")


@pytest.mark.parametrize("name", NAMES)
def test_partial_fit_refuses_early_stopping(name):
    X, y = [[0.0], [1.0]], [0, 1]
    more = {"classes": [0, 1]} if name == "MLPClassifier" else {}
    for library in [theirs, ours]:
        with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
            getattr(library, name)(early_stopping=True).partial_fit(X, y, **more)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_assigning_weights_is_seen_by_predict():
    """Setting one array of the list, or the whole list, is what scikit-learn lets a user do."""
    X = np.random.RandomState(0).normal(size=(30, 3))
    y = X[:, 0] - X[:, 1]
    for assign_all in [False, True]:
        predicted = []
        for library in [theirs, ours]:
            estimator = library.MLPRegressor(hidden_layer_sizes=4, random_state=0).fit(X, y)
            if assign_all:
                estimator.coefs_ = [0.5 * W for W in estimator.coefs_]
                estimator.intercepts_ = [b + 1.0 for b in estimator.intercepts_]
            else:
                estimator.coefs_[1] = np.arange(4.0).reshape(4, 1)
                estimator.intercepts_[1][:] = 2.0
            predicted.append(estimator.predict(X))
        np.testing.assert_allclose(predicted[1], predicted[0], rtol=1e-6)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_stream_goes_on_with_its_optimizer_from_assigned_weights(solver):
    X = np.random.RandomState(0).normal(size=(30, 3))
    y = X[:, 0] - X[:, 1]
    ends = []
    for library in [theirs, ours]:
        estimator = library.MLPRegressor(hidden_layer_sizes=4, solver=solver, random_state=0)
        for _ in range(3):
            estimator.partial_fit(X, y)
        estimator.coefs_ = [0.5 * W for W in estimator.coefs_]
        estimator.intercepts_ = [b + 1.0 for b in estimator.intercepts_]
        ends.append(estimator.partial_fit(X, y).coefs_[0])
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-6)
