"""scikit-learn's callbacks, from 1.9 on: a task per epoch or iteration, also in pipelines and searches.

Before 1.9 there is no protocol; what has to work there as well comes first.
"""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from sklearn_mlp import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

PROTOCOL = parse_version(parse_version(sklearn.__version__).base_version) >= parse_version("1.9")
NEEDS_PROTOCOL = pytest.mark.skipif(not PROTOCOL, reason="callbacks came with scikit-learn 1.9")
BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
EACH_KIND_OF_SOLVER = pytest.mark.parametrize("solver", ["adam", "lbfgs"])

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4))
Y = np.digitize(X[:, 0] + X[:, 1] ** 2, [0.3, 1.5])
WEIGHTS = RNG.uniform(0.5, 2, size=50)


def make(cls, **params):
    defaults = {
        "hidden_layer_sizes": 6, "max_iter": 4, "random_state": 0, "batch_size": 16, "tol": 0,
        "n_iter_no_change": np.inf, "learning_rate_init": 0.01,
    }  # fmt: skip
    return cls(**{**defaults, **params})


def parameters(model):
    return np.concatenate([part.ravel() for part in [*model.coefs_, *model.intercepts_]])


def content(model):
    """All that the estimator holds, callbacks apart, as something to compare."""
    return joblib.hash({name: v for name, v in vars(model).items() if name != "_skl_callbacks"})


class Recorder:
    """Remembers what it is told."""

    def __init__(self):
        self.calls, self.fitted, self.told = [], [], []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name, context.task_id))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name, context.task_id))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name, context.task_id))

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None
    ):
        self.calls.append(("end", context.task_name, context.task_id))
        self.fitted.append(fitted_estimator)
        self.told.append((X, y, metadata, context.max_subtasks))


class PropagatedRecorder(Recorder):
    """Is handed on by pipelines and searches to the estimators in them."""

    max_propagation_depth = None


class Watcher:
    """Asks for nothing but to be called; stops or fails where it is told to."""

    def __init__(self, *, stop_after=None, fail_at=None):
        self.stop_after, self.fail_at = stop_after, fail_at
        self.n_epochs = self.n_set_up = self.n_torn_down = 0

    def at(self, place):
        if place == self.fail_at:
            raise RuntimeError(f"failed at {place}")

    def setup(self, estimator, context):
        self.n_set_up += 1
        self.at("setup")

    def teardown(self, estimator, context):
        self.n_torn_down += 1
        self.at("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.at(f"begin of {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context):
        self.n_epochs += context.task_name == "epoch"
        self.at(f"end of {context.task_name} {context.task_id}")
        return self.n_epochs == self.stop_after


def expected_calls(n_epochs):
    epochs = [(when, "epoch", i) for i in range(n_epochs) for when in ("begin", "end")]
    return [
        ("setup", "fit", 0), ("begin", "fit", 0), *epochs, ("end", "fit", 0), ("teardown", "fit", 0),
    ]  # fmt: skip


# ---- without callbacks ----


@BOTH
def test_there_are_callbacks_where_scikit_learn_has_them(cls):
    assert hasattr(cls, "set_callbacks") == PROTOCOL


@EACH_KIND_OF_SOLVER
@BOTH
def test_without_callbacks_nothing_is_made_for_them(cls, solver, monkeypatch):
    import sklearn_mlp._callbacks

    def refuse(*args, **kwargs):
        raise AssertionError("no callback is there to be told")

    monkeypatch.setattr(sklearn_mlp._callbacks.EpochTasks, "__init__", refuse)
    monkeypatch.setattr(cls, "_init_callback_context", refuse, raising=False)
    model = make(cls, solver=solver).fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_ > 1
    assert not [name for name in vars(model) if "callback" in name]


# ---- tasks ----


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
def test_one_task_per_epoch(cls, solver):
    recorder = Recorder()
    model = make(cls, solver=solver).set_callbacks(recorder)
    assert model.fit(X, Y) is model
    assert model.n_iter_ == 4
    assert recorder.calls == expected_calls(4)


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
def test_tasks_are_as_many_as_epochs_were_made(solver):
    recorder = Recorder()
    model = make(MLPClassifier, solver=solver, max_iter=300, alpha=10.0, tol=1e-3, n_iter_no_change=1)
    model.set_callbacks(recorder).fit(X, Y)
    assert 1 < model.n_iter_ < 300
    assert recorder.calls == expected_calls(model.n_iter_)
    assert recorder.told[0][3] == 0  # an epoch has no parts
    assert recorder.told[-1][3] == 300  # of fit: the most there could have been


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
def test_callbacks_change_nothing(cls, solver):
    params = {"solver": solver, "early_stopping": True, "metrics": "gradient_norm"}
    with_ = make(cls, **params).set_callbacks(Recorder(), Watcher()).fit(X, Y)
    without = make(cls, **params).fit(X, Y)
    np.testing.assert_array_equal(parameters(with_), parameters(without))
    assert with_.loss_curve_ == without.loss_curve_
    assert with_.validation_scores_ == without.validation_scores_
    assert with_.history_.stop_reason == without.history_.stop_reason


@NEEDS_PROTOCOL
@BOTH
def test_callbacks_are_told_the_arguments_of_fit(cls):
    recorder = Recorder()
    model = make(cls).set_callbacks(recorder)
    model.fit(X, Y, WEIGHTS)
    assert len(recorder.told) == 5
    for told_X, told_y, metadata, _ in recorder.told:
        assert told_X is X
        assert told_y is Y
        assert list(metadata) == ["sample_weight"]
        assert metadata["sample_weight"] is WEIGHTS
    recorder.told.clear()
    model.fit(X, Y, X_val=X, y_val=Y)
    assert all(metadata == {} for _, _, metadata, _ in recorder.told)


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
@pytest.mark.parametrize("early_stopping", [False, True])
def test_each_task_ends_with_the_model_of_that_epoch(cls, solver, early_stopping):
    recorder = Recorder()
    params = {"solver": solver, "early_stopping": early_stopping, "restore_best": False}
    make(cls, **params).set_callbacks(recorder).fit(X, Y)
    assert len(recorder.fitted) == 5
    for n_epochs, fitted in zip([1, 2, 3, 4, 4], recorder.fitted, strict=True):
        model = make(cls, max_iter=n_epochs, **params).fit(X, Y)
        np.testing.assert_array_equal(parameters(fitted), parameters(model))
        np.testing.assert_array_equal(fitted.predict(X), model.predict(X))
        assert fitted.evaluate(X, Y) == model.evaluate(X, Y)
        for name in ("loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "n_iter_"):
            assert getattr(fitted, name) == getattr(model, name), name


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
def test_the_task_of_fit_ends_with_the_model_as_it_is_returned(solver):
    recorder = Recorder()
    scores = iter([1, 3, 2, 0])
    model = make(MLPClassifier, solver=solver, early_stopping=True, scoring=lambda *_: next(scores))
    model.set_callbacks(recorder).fit(X, Y)
    np.testing.assert_array_equal(parameters(recorder.fitted[-1]), parameters(model))
    np.testing.assert_array_equal(parameters(recorder.fitted[1]), parameters(model))
    assert not np.array_equal(parameters(recorder.fitted[3]), parameters(model))


@NEEDS_PROTOCOL
def test_models_of_epochs_have_parameters_of_their_own():
    recorder = Recorder()
    model = make(MLPClassifier).set_callbacks(recorder).fit(X, Y)
    before = parameters(model)
    recorder.fitted[-1].coefs_[0][:] = 0
    recorder.fitted[-1].loss_curve_.append(0.0)
    np.testing.assert_array_equal(parameters(model), before)
    assert len(model.loss_curve_) == 4


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
def test_a_model_is_copied_only_for_callbacks_that_ask(solver, monkeypatch):
    from sklearn_mlp._network import Network

    def refuse(self):
        raise AssertionError("nobody asked for a model")

    model = make(MLPClassifier, solver=solver).set_callbacks(Watcher())
    monkeypatch.setattr(Network, "copy", refuse)
    model.fit(X, Y)
    assert model.n_iter_ == 4


@NEEDS_PROTOCOL
def test_a_warm_start_has_tasks_of_its_own():
    recorder = Recorder()
    model = make(MLPClassifier, warm_start=True).set_callbacks(recorder)
    model.fit(X, Y).set_params(max_iter=2).fit(X, Y)
    assert recorder.calls == expected_calls(4) + expected_calls(2)
    assert len(recorder.fitted[-1].loss_curve_) == 6


@NEEDS_PROTOCOL
@BOTH
def test_partial_fit_has_no_tasks(cls):
    recorder = Recorder()
    model = make(cls).set_callbacks(recorder)
    more = {"classes": [0, 1, 2]} if cls is MLPClassifier else {}
    model.partial_fit(X, Y, **more).partial_fit(X, Y)
    assert recorder.calls == []
    expected = make(cls).partial_fit(X, Y, **more).partial_fit(X, Y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    model.fit(X, Y)
    assert recorder.calls == expected_calls(4)


# ---- stopping and failing ----


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
def test_a_callback_can_stop_training(cls, solver):
    stopping, other = Watcher(stop_after=2), Recorder()
    model = make(cls, solver=solver).set_callbacks(stopping, other).fit(X, Y)
    assert model.n_iter_ == len(model.history_) == 2
    assert model.history_.stop_reason == "callback"
    assert other.calls == expected_calls(2)
    expected = make(cls, solver=solver, max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
def test_no_warning_is_due_where_a_callback_stops(solver):
    model = make(MLPClassifier, solver=solver).set_callbacks(Watcher(stop_after=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y)
    assert model.n_iter_ == 2


PLACES = ["setup", "begin of fit 0", "begin of epoch 0", "begin of epoch 2", "end of epoch 0"]
PLACES += ["end of epoch 2", "end of epoch 3", "end of fit 0"]


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@pytest.mark.parametrize("state", ["fresh", "fitted", "warm"])
@pytest.mark.parametrize("place", PLACES)
def test_a_callback_that_raises_leaves_the_estimator_as_it_was(place, state, solver):
    params = {"solver": solver, "early_stopping": True, "warm_start": state == "warm"}
    model = make(MLPClassifier, **params)
    if state != "fresh":
        model.fit(X, Y)
    before = content(model)
    failing, other = Watcher(fail_at=place), Watcher()
    model.set_callbacks(other, failing)
    with pytest.raises(RuntimeError, match=place):
        model.fit(X, Y)
    assert content(model) == before
    assert [failing.n_set_up, failing.n_torn_down] == [other.n_set_up, other.n_torn_down] == [1, 1]
    failing.fail_at = None
    model.fit(X, Y)
    assert model.n_iter_ == 4
    assert [failing.n_set_up, failing.n_torn_down] == [2, 2]


@NEEDS_PROTOCOL
def test_a_fit_that_fails_tears_down():
    watcher = Watcher()
    model = make(MLPClassifier).set_callbacks(watcher)
    before = content(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X * np.nan, Y)
    assert content(model) == before
    assert watcher.n_set_up == watcher.n_torn_down == 1


@NEEDS_PROTOCOL
def test_a_teardown_that_fails_leaves_the_fitted_model():
    watcher = Watcher(fail_at="teardown")
    model = make(MLPClassifier).set_callbacks(watcher)
    with pytest.raises(RuntimeError, match="teardown"):
        model.fit(X, Y)
    expected = make(MLPClassifier).fit(X, Y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))
    assert model.loss_curve_ == expected.loss_curve_
    assert set(vars(model)) == {*vars(expected), "_skl_callbacks"}


@NEEDS_PROTOCOL
def test_a_diverged_fit_is_ended_like_any_other():
    def rate(step, total_steps):
        return 1.0 if step < 100 else 1e10

    recorder = Recorder()
    params = {"learning_rate": rate, "batch_size": 1, "solver": "sgd", "restore_best": True}
    model = make(MLPRegressor, **params).set_callbacks(recorder)
    with pytest.warns(sklearn.exceptions.ConvergenceWarning, match="diverged in epoch 3"):
        model.fit(X, Y, X_val=X, y_val=Y)
    assert recorder.calls[-2:] == [("end", "fit", 0), ("teardown", "fit", 0)]
    np.testing.assert_array_equal(parameters(recorder.fitted[-1]), parameters(model))


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
def test_an_interrupt_in_a_callback_ends_training(solver):
    class Impatient(Watcher):
        def at(self, place):
            if place == "end of epoch 1":
                raise KeyboardInterrupt

    impatient, recorder = Impatient(), Recorder()
    model = make(MLPClassifier, solver=solver).set_callbacks(recorder, impatient)
    with pytest.warns(UserWarning, match="interrupted by user"):
        model.fit(X, Y)
    assert model.n_iter_ == 2
    assert model.history_.stop_reason == "interrupted"
    assert recorder.calls == expected_calls(2)
    assert impatient.n_torn_down == 1
    expected = make(MLPClassifier, solver=solver, max_iter=2).fit(X, Y)
    np.testing.assert_array_equal(parameters(model), parameters(expected))


# ---- copies ----


@NEEDS_PROTOCOL
@pytest.mark.parametrize("fitted", [False, True])
@BOTH
def test_clones_share_callbacks(cls, fitted):
    recorder = Recorder()
    model = make(cls).set_callbacks(recorder)
    if fitted:
        model.fit(X, Y)
        recorder.calls.clear()
    other = clone(model)
    other.fit(X, Y)
    assert recorder.calls == expected_calls(4)
    assert other.set_callbacks() is other  # none
    other.fit(X, Y)
    assert recorder.calls == expected_calls(4)


@NEEDS_PROTOCOL
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("fitted", [False, True])
@EACH_KIND_OF_SOLVER
def test_copies_have_callbacks_of_their_own(copier, fitted, solver):
    watcher = Watcher()
    model = make(MLPClassifier, solver=solver).set_callbacks(watcher)
    expected = make(MLPClassifier, solver=solver).fit(X, Y)
    if fitted:
        model.fit(X, Y)
    n_epochs = watcher.n_epochs
    other = copier(model)
    if fitted:
        np.testing.assert_array_equal(other.predict(X), expected.predict(X))
    other.fit(X, Y)
    np.testing.assert_array_equal(parameters(other), parameters(expected))
    assert watcher.n_epochs == n_epochs
    assert other._skl_callbacks[0].n_epochs == n_epochs + 4


@NEEDS_PROTOCOL
def test_a_fit_leaves_nothing_behind_but_the_callbacks():
    with_ = make(MLPClassifier).set_callbacks(Recorder()).fit(X, Y)
    without = make(MLPClassifier).fit(X, Y)
    assert set(vars(with_)) - set(vars(without)) == {"_skl_callbacks"}


# ---- pipelines and searches ----


@NEEDS_PROTOCOL
@pytest.mark.parametrize("where", ["pipeline", "network"])
@EACH_KIND_OF_SOLVER
def test_epochs_in_a_pipeline(where, solver):
    recorder = PropagatedRecorder() if where == "pipeline" else Recorder()
    pipeline = make_pipeline(StandardScaler(), make(MLPClassifier, solver=solver))
    (pipeline if where == "pipeline" else pipeline[-1]).set_callbacks(recorder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The estimator StandardScaler does not support callbacks")
        pipeline.fit(X, Y)
    epochs = [call for call in recorder.calls if call[1] == "epoch"]
    assert epochs == [call for call in expected_calls(4) if call[1] == "epoch"]
    assert [call[0] for call in recorder.calls].count("setup") == 1
    assert not hasattr(pipeline[-1], "_parent_callback_ctx")
    assert hasattr(pipeline[-1], "_skl_callbacks") == (where == "network")
    expected = make(MLPClassifier, solver=solver).fit(StandardScaler().fit_transform(X), Y)
    np.testing.assert_array_equal(parameters(pipeline[-1]), parameters(expected))


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
def test_epochs_in_a_search(cls, solver):
    recorder = PropagatedRecorder()
    search = GridSearchCV(make(cls, solver=solver), {"alpha": [0.1, 1.0]}, cv=3, error_score="raise")
    search.set_callbacks(recorder).fit(X, Y)
    n_fits = 2 * 3 + 1
    assert recorder.calls.count(("begin", "epoch", 3)) == n_fits
    assert sum(call[:2] == ("end", "epoch") for call in recorder.calls) == 4 * n_fits
    assert [call[0] for call in recorder.calls].count("teardown") == 1
    plain = GridSearchCV(make(cls, solver=solver), {"alpha": [0.1, 1.0]}, cv=3).fit(X, Y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    assert not [name for name in vars(search.best_estimator_) if "callback" in name]


@NEEDS_PROTOCOL
def test_a_callback_of_the_network_in_a_search():
    recorder = Recorder()
    network = make(MLPClassifier).set_callbacks(recorder)
    GridSearchCV(network, {"alpha": [0.1, 1.0]}, cv=3, error_score="raise").fit(X, Y)
    assert sum(call[:2] == ("end", "epoch") for call in recorder.calls) == 4 * 7
    assert [call[0] for call in recorder.calls].count("teardown") == 7


# ---- scikit-learn's own ----


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@pytest.mark.parametrize(
    ("cls", "scoring", "score"),
    [(MLPClassifier, "accuracy", accuracy_score), (MLPRegressor, "r2", r2_score)],
)
def test_scoring_monitor(cls, scoring, score, solver):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=scoring)
    model = make(cls, solver=solver).set_callbacks(monitor).fit(X, Y, WEIGHTS)
    log = monitor.get_logs()
    assert log.estimator_name == cls.__name__
    rows = {(row["task_name"], row["task_id"]): row[scoring] for row in log.data}
    assert list(rows) == [("fit", 0), *(("epoch", i) for i in range(4))]
    for epoch in range(4):
        stopped = make(cls, solver=solver, max_iter=epoch + 1).fit(X, Y, WEIGHTS)
        expected = score(Y, stopped.predict(X), sample_weight=WEIGHTS)
        assert rows["epoch", epoch] == pytest.approx(expected)
    assert rows["fit", 0] == pytest.approx(model.score(X, Y, WEIGHTS))


@NEEDS_PROTOCOL
def test_scoring_monitor_of_a_fit_with_validation_data():
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = make(MLPClassifier, early_stopping=True).set_callbacks(monitor)
    model.fit(X[:40], Y[:40], X_val=X[40:], y_val=Y[40:])
    (whole,) = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert whole["accuracy"] == model.score(X[:40], Y[:40])


@NEEDS_PROTOCOL
def test_scoring_monitor_with_names_of_features():
    pd = pytest.importorskip("pandas")
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    frame = pd.DataFrame(X, columns=list("abcd"))
    make(MLPClassifier).set_callbacks(monitor).fit(frame, Y)  # warnings are errors
    assert len(monitor.get_logs().data_as_pandas) == 5


@NEEDS_PROTOCOL
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_scoring_monitor_in_a_search(n_jobs):
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    network = make(MLPClassifier).set_callbacks(monitor)
    search = GridSearchCV(network, {"alpha": [0.1, 1.0]}, cv=3, n_jobs=n_jobs, error_score="raise")
    search.fit(X, Y)
    (log,) = monitor.get_logs(select="all")
    assert log.estimator_name == "GridSearchCV"
    epochs = [row for row in log.data if row["task_name"] == "epoch"]
    assert len(epochs) == 4 * 7
    assert len({row["parent_task_id_path"] for row in epochs}) == 7
    assert {row["accuracy"] for row in epochs if row["task_id"] == 3} >= {
        search.best_estimator_.score(X, Y)
    }


@NEEDS_PROTOCOL
@EACH_KIND_OF_SOLVER
@BOTH
def test_progress_bar(cls, solver, capsys):
    from sklearn.callback import ProgressBar

    make(cls, solver=solver).set_callbacks(ProgressBar()).fit(X, Y)
    out = capsys.readouterr().out
    assert f"{cls.__name__} - fit" in out
    assert "100%" in out


@NEEDS_PROTOCOL
@pytest.mark.parametrize("wrap", ["pipeline", "search"])
def test_progress_bar_on_the_outside(wrap, capsys):
    from sklearn.callback import ProgressBar

    network = make(MLPClassifier)
    if wrap == "pipeline":
        outer = make_pipeline(network)
    else:
        outer = GridSearchCV(network, {"alpha": [0.1, 1.0]}, cv=2, error_score="raise")
    outer.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, Y)
    out = capsys.readouterr().out
    assert "MLPClassifier - fit" in out
    assert f"{type(outer).__name__} - fit" in out
    assert "100%" in out


@NEEDS_PROTOCOL
def test_a_progress_bar_must_be_on_the_outside():
    """A rule of scikit-learn's."""
    from sklearn.callback import ProgressBar

    pipeline = make_pipeline(make(MLPClassifier).set_callbacks(ProgressBar()))
    with pytest.raises(TypeError, match="auto-propagated"):
        pipeline.fit(X, Y)
