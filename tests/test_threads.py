"""Threads change no bit of a result, obey whoever limits them, and leave BLAS as they found it.

Most tests let a fit have more threads than the machine has processors, for any amount of work. A test
that needs a process of its own runs a function of this file there, see `elsewhere`.
"""

import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed, parallel_config
from sklearn import config_context
from sklearn.base import clone
from threadpoolctl import ThreadpoolController

from sklearn_mlp import MLPClassifier, MLPRegressor, Network, _network, _predict, _threads, _training
from sklearn_mlp._blas import INSTRUCTION_SET
from sklearn_mlp._epoch import largest_team
from sklearn_mlp._optim import SOLVERS
from sklearn_mlp._training import Recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

LIBRARIES = ThreadpoolController()
BLAS = LIBRARIES.select(user_api="blas").lib_controllers
MUCH = 10**15  # multiplications, worth any number of threads
TIMEOUT = 60


def has_openmp():
    with LIBRARIES.limit(limits=2, user_api="openmp"):
        return largest_team() == 2


needs_openmp = pytest.mark.skipif(not has_openmp(), reason="built without OpenMP")
needs_own_products = pytest.mark.skipif(
    not has_openmp() or _threads.CALLS_BLAS, reason="BLAS has threads of its own for predictions"
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
EACH_TEAM = pytest.mark.parametrize("n_threads", [2, 3, 4])


@contextmanager
def processors(n, *, limits=None, worth=0):
    """As if there were `n`, the libraries were limited to `limits` (None: the same) and the work of
    `worth` multiplications were enough for a team. Yields a list to which each fit adds the size of its
    team."""
    used = []

    @contextmanager
    def team(*args, **kwargs):
        with _threads.team(*args, **kwargs) as n_threads:
            used.append(n_threads)
            yield n_threads

    with pytest.MonkeyPatch.context() as patch, LIBRARIES.limit(limits=limits or n):
        patch.setattr(_threads, "WORTH_A_TEAM", worth)
        patch.setattr(_threads, "cpu_count", lambda: n)
        patch.setattr(_training, "team", team)
        patch.setattr(_network, "team", team)
        yield used


def elsewhere(function, **environment):
    """What a function of this file returns in a new process."""
    run = subprocess.run(
        [sys.executable, "-P", __file__, function.__name__],
        env={**os.environ, **environment, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert run.returncode == 0, run.stderr.decode()
    return pickle.loads(run.stdout)


def blas_limits():
    return [library.get_num_threads() for library in BLAS]


# ---- data and models ----

SHARD = 128 if INSTRUCTION_SET == "portable" else 32  # rows that one thread takes at a time
BATCH = 4 * SHARD + 5
N = 2 * BATCH + SHARD + 7  # a short last batch; none is a multiple of what a thread takes at a time
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 45))
SPARSE = sp.csr_array(np.where(X > 0.8, X, 0))
Y = np.column_stack([np.tanh(X[:, 0] * X[:, 1]), X[:, 2] ** 2])
CLASSES = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.7])
WEIGHTS = RNG.integers(0, 4, N).astype(float)

SETTINGS = {
    "hidden_layer_sizes": (64, 40), "batch_size": BATCH, "max_iter": 2, "tol": 0, "random_state": 0,
}  # fmt: skip


def classifier(**params):
    return MLPClassifier(**{**SETTINGS, **params})


def regressor(**params):
    return MLPRegressor(**{**SETTINGS, **params})


def results(model, data):
    """All that a fit has computed."""
    guess = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    recorded = [model.history_[name] for name in model.history_.keys() if name != "seconds"]  # noqa: SIM118
    parts = [*model.coefs_, *model.intercepts_, model.loss_, *recorded, guess(data)]
    return np.concatenate([np.ravel(part).astype(float) for part in parts])


def with_recipe(model):
    """The model, to be trained with rates of its own for all groups, and a scale of the inputs."""
    model._recipe = Recipe(layer_rates="fan_in", intercept_rate=0.1, feature_scale=6.0)
    return model


CASES = {  # name: (estimator, X, y)
    **{solver: (classifier(solver=solver), X, CLASSES) for solver in [*SOLVERS, "lbfgs"]},
    "two classes": (classifier(), X, CLASSES > 0),
    "regression": (regressor(), X, Y),
    "one output": (regressor(), X, Y[:, 0]),
    "one unit": (regressor(hidden_layer_sizes=1), X, Y[:, 0]),
    "no hidden layer": (classifier(hidden_layer_sizes=()), X, CLASSES),
    "slopes kept": (classifier(activation=["gelu", "silu"]), X, CLASSES),
    "dropout": (classifier(dropout=[0.3, 0.5]), X, CLASSES),
    "clipping": (classifier(max_grad_norm=0.05, metrics="gradient_norm"), X, CLASSES),
    "accumulation": (classifier(gradient_accumulation_steps=2, batch_size=BATCH // 2), X, CLASSES),
    "early stopping": (classifier(early_stopping=True, metrics="accuracy"), X, CLASSES),
    "sparse": (classifier(), SPARSE, CLASSES),
    "sparse, lbfgs": (classifier(solver="lbfgs"), SPARSE, CLASSES),
    "sparse, with everything": (
        regressor(
            solver="adamw", dropout=0.2, max_grad_norm=0.1, gradient_accumulation_steps=3,
            batch_size=SHARD + 1, early_stopping=True,
        ), SPARSE, Y,
    ),
    "dense, with everything": (
        regressor(
            solver="adamw", dropout=0.2, max_grad_norm=0.1, gradient_accumulation_steps=3,
            batch_size=SHARD + 1, early_stopping=True,
        ), X, Y,
    ),
    "scale": (with_recipe(classifier()), X, CLASSES),
    "scale, one unit": (with_recipe(regressor(hidden_layer_sizes=1)), X, Y[:, 0]),
    "scale, no hidden layer": (with_recipe(classifier(hidden_layer_sizes=())), X, CLASSES),
    "scale, sparse": (with_recipe(classifier()), SPARSE, CLASSES),
    "scale, with everything": (
        with_recipe(
            regressor(
                solver="adamw", dropout=0.2, max_grad_norm=0.1, gradient_accumulation_steps=3,
                batch_size=SHARD + 1, early_stopping=True, hidden_layer_sizes=(700,),
            )
        ), X, Y,
    ),
    "rows in order": (classifier(shuffle=False), X, CLASSES),
    "one batch": (classifier(batch_size=N), X, CLASSES),
    "batches below a shard": (classifier(batch_size=SHARD - 5), X, CLASSES),
    "batches of one row": (classifier(batch_size=1, max_iter=1), X[:9], CLASSES[:9]),
    "wide": (classifier(hidden_layer_sizes=(700,), max_iter=1), X, CLASSES),
}  # fmt: skip
EACH_CASE = pytest.mark.parametrize("case", CASES)
EACH_DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


def fitted(case, dtype, n_threads):
    """The results of a fit that did use a team of `n_threads`."""
    model, data, y = CASES[case]
    data = data.astype(dtype)
    with processors(n_threads) as used:
        model = clone(model).fit(data, y)
    assert used == [n_threads]
    return results(model, data)


def some():
    """Of fits with four threads."""
    return [fitted(case, "float32", 4) for case in ("adam", "lbfgs", "dropout", "sparse")]


# ---- bits ----


@needs_openmp
@EACH_DTYPE
@EACH_CASE
def test_no_bit_depends_on_the_number_of_threads(case, dtype):
    alone = fitted(case, dtype, 1)
    assert np.isfinite(alone).all()
    for n_threads in (2, 3, 4):
        np.testing.assert_array_equal(fitted(case, dtype, n_threads), alone, str(n_threads))


PREDICTED = {
    "labels": (classifier(), CLASSES),
    "two classes": (classifier(), CLASSES > 0),
    "multilabel": (classifier(), (Y > 0).astype(int)),
    "names": (classifier(), np.array(["low", "middle", "high"])[CLASSES]),
    "numbers": (regressor(), Y),
    "one number": (regressor(loss="poisson"), np.exp(Y[:, 0])),
}
EACH_PREDICTION = pytest.mark.parametrize("case", PREDICTED)


@contextmanager
def predicting(n_threads):
    """With so many threads for predictions, which have to be used in each one."""
    asked = []

    @contextmanager
    def team(n):
        asked.append(n)
        with _threads.team(n) as share:
            yield share

    with processors(n_threads), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_threads, "PREDICTION_WORTH_A_TEAM", 0)
        patch.setattr(_predict, "team", team)
        yield
    assert set(asked) == {n_threads}


@needs_own_products
@EACH_DTYPE
@EACH_PREDICTION
def test_no_bit_of_a_prediction_depends_on_the_number_of_threads(case, dtype):
    model, y = PREDICTED[case]
    data = X.astype(dtype)
    model = clone(model).fit(data, y)
    ways = [getattr(model, way) for way in ("predict", "predict_proba") if hasattr(model, way)]
    for n_rows in (len(X), 17, BATCH):  # 17: more than the rows that one thread's scratch is kept for
        for rows in (
            data[:n_rows],
            np.asfortranarray(data[:n_rows]),
        ):  # past validation, and through it
            alone = [way(rows) for way in ways]
            for n_threads in (2, 3, 4):
                with predicting(n_threads):
                    for way, expected in zip(ways, alone, strict=True):
                        np.testing.assert_array_equal(way(rows), expected)


@needs_own_products
@EACH_TEAM
@pytest.mark.parametrize("row", [0, N // 2, N - 1])
def test_a_row_that_is_not_finite_is_seen_in_every_threads_part(n_threads, row):
    model = classifier().fit(X, CLASSES)
    data = X.copy()
    data[row, 3] = np.nan
    with predicting(n_threads):
        with pytest.raises(ValueError, match="contains NaN"):
            model.predict(data)
        with config_context(assume_finite=True):
            proba = model.predict_proba(data)
    expected = model.predict_proba(X)
    assert np.isnan(proba[row]).all()
    np.testing.assert_array_equal(np.delete(proba, row, axis=0), np.delete(expected, row, axis=0))


@needs_own_products
def test_a_short_prediction_is_made_by_one_thread():
    model = regressor().fit(X, Y)
    work = len(X) * model._network.n_weights
    with processors(4), pytest.MonkeyPatch.context() as patch:
        for worth, expected in ((work, 4), (work + 1, 1)):
            patch.setattr(_threads, "PREDICTION_WORTH_A_TEAM", worth)
            assert _threads.n_threads_to_predict(work) == expected


@needs_openmp
def test_two_runs_and_two_processes_give_the_same_bits():
    first = some()
    for again in (some(), elsewhere(some)):
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)


@needs_openmp
def test_weights_of_rows_with_a_team():
    def fit(n_threads):
        with processors(n_threads) as used:
            model = regressor().fit(X, Y, sample_weight=WEIGHTS)
        assert used == [n_threads]
        return results(model, X)

    np.testing.assert_array_equal(fit(3), fit(1))


@st.composite
def fits(draw):
    n_rows = draw(st.integers(1, 5 * SHARD))
    hidden = draw(st.lists(st.integers(1, 90), max_size=3))
    sparse = draw(st.booleans())
    seed = draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    dtype = draw(st.sampled_from(["float32", "float64"]))
    data = rng.normal(size=(n_rows, draw(st.integers(1, 70)))).astype(dtype)
    if sparse:
        data = sp.csr_array(data * (rng.random(data.shape) < 0.3).astype(dtype))
    y = rng.normal(size=(n_rows, draw(st.integers(1, 20))))
    model = MLPRegressor(
        hidden_layer_sizes=hidden,
        activation=draw(st.sampled_from(["relu", "tanh", "elu"])),
        solver=draw(st.sampled_from(list(SOLVERS))),
        batch_size=draw(st.integers(-(-n_rows // 4), n_rows)),
        dropout=draw(st.sampled_from([0, 0.3])) if hidden else 0,
        max_grad_norm=draw(st.sampled_from([None, 0.1])),
        gradient_accumulation_steps=draw(st.integers(1, 3)),
        random_state=seed,
    )
    return model, data, y if y.shape[1] > 1 else y[:, 0]


@needs_openmp
@given(fits())
@settings(max_examples=50, deadline=None)
def test_an_epoch_of_any_shape_has_the_same_bits(fit):
    model, data, y = fit

    def epoch(n_threads):
        with processors(n_threads) as used:
            trained = clone(model).partial_fit(data, y)
        assert used == [n_threads]
        return results(trained, data)

    alone = epoch(1)
    for n_threads in (2, 3, 4):
        np.testing.assert_array_equal(epoch(n_threads), alone, str(n_threads))


def tasks():
    return len(os.listdir("/proc/self/task"))


def threads_begun():
    """How many more threads a process has after a fit with three."""
    with processors(3):
        before = tasks()
        regressor().fit(X, Y)
        return tasks() - before


@needs_openmp
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")
def test_a_team_is_one_of_threads():
    assert elsewhere(threads_begun) == 2  # and the caller


# ---- the low level ----

LOW = Network.from_sizes([45, 64, 3], random_state=0)
LOW_X, LOW_Y = X.astype("float32"), np.column_stack([CLASSES]).astype("int32")


def gradient(scratch=None, **params):
    loss, gradient = LOW.loss_and_gradient(LOW_X, LOW_Y, "log_loss", scratch=scratch, **params)
    return np.append(gradient, loss)


@needs_openmp
@EACH_TEAM
@pytest.mark.parametrize("room", [9, SHARD + 1, BATCH, N])
def test_gradients_have_the_same_bits_with_a_team(n_threads, room):
    with processors(1):
        alone = gradient(LOW.scratch(room))
    with processors(n_threads) as used:
        scratch = LOW.scratch(room)
        assert scratch.most_threads == n_threads
        np.testing.assert_array_equal(gradient(scratch), alone)
        np.testing.assert_array_equal(gradient(scratch), alone)  # with scratch that was used before
    assert used == [n_threads] * 2


@needs_openmp
def test_gradients_are_added_up_with_a_team():
    def twice(n_threads):
        with processors(n_threads):
            scratch, out = LOW.scratch(BATCH), np.zeros_like(LOW.params)
            for _ in range(2):
                gradient(scratch, out=out, accumulate=True)
        return out

    np.testing.assert_array_equal(twice(3), twice(1))


@needs_openmp
def test_scratch_of_a_team_obeys_a_limit_that_came_later():
    with processors(4) as used:
        scratch = LOW.scratch(BATCH)
        with LIBRARIES.limit(limits=1, user_api="openmp"):
            gradient(scratch)
    assert used in ([], [1])


# ---- limits ----


def team_of_a_fit():
    with processors(4) as used:
        regressor().fit(X, Y)
    return used


@needs_openmp
@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("api", ["openmp", "blas"])
def test_limits_of_threadpoolctl_are_obeyed(api, limit):
    with processors(4) as used:
        with LIBRARIES.limit(limits=limit, user_api=api):
            regressor().fit(X, Y)
        regressor().fit(X, Y)
    assert used == [limit, 4]


@needs_openmp
@pytest.mark.parametrize("n", [1, 3])
def test_there_are_no_more_threads_than_processors(n):
    with processors(n, limits=4) as used:
        regressor().fit(X, Y)
    assert used == [n]


@needs_openmp
def test_little_work_is_done_by_one_thread():
    work = LOW.work(BATCH)
    for worth, expected in ((work, 4), (work + 1, 1)):
        with processors(4, worth=worth):
            assert LOW.scratch(BATCH).most_threads == expected


@needs_openmp
def test_entries_that_are_not_stored_are_no_work():
    work = Network.from_sizes([45, 64, 40, 2]).work(BATCH)
    with processors(4, worth=work) as used:
        regressor().fit(X, Y)
        regressor().fit(SPARSE, Y)
    assert used == [4, 1]


def test_joblibs_processors_are_obeyed(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    with LIBRARIES.limit(limits=4):
        assert _threads.n_threads_for(MUCH) == 1


def threads_allowed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_threads, "cpu_count", lambda: 4)
        return _threads.n_threads_for(MUCH)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_limits_of_the_environment_are_obeyed(name):
    if name == "OPENBLAS_NUM_THREADS" and any(b.internal_api != "openblas" for b in BLAS):
        pytest.skip("BLAS is not OpenBLAS")
    assert elsewhere(threads_allowed, **{name: "1"}) == 1


def test_limits_of_joblibs_workers_are_obeyed():
    model = regressor(hidden_layer_sizes=(300, 300), max_iter=1)
    with parallel_config(backend="loky", inner_max_num_threads=1), Parallel(n_jobs=2) as parallel:
        assert parallel(delayed(_threads.n_threads_for)(MUCH) for _ in range(2)) == [1, 1]
        there = parallel(delayed(clone(model).fit)(X, Y) for _ in range(2))
    here = results(model.fit(X, Y), X)
    for model in there:
        np.testing.assert_array_equal(results(model, X), here)


def test_a_fit_that_holds_blas_limits_no_other():
    with processors(4):
        before = _threads.n_threads_for(MUCH)
        with _threads.team(1, calls_blas=True):
            assert set(blas_limits()) == {1}
            assert _threads.n_threads_for(MUCH) == before
    assert before == (4 if has_openmp() else 1)


# ---- fork ----


def in_a_fork(function):
    """The array that `function` returns in a forked child; one that hangs is ended."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(TIMEOUT // 3)
            with os.fdopen(into, "wb") as pipe:
                pickle.dump(function(), pipe)
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        found = pipe.read()
    status = os.waitpid(child, 0)[1]
    assert not os.WIFSIGNALED(status), f"the child ended with signal {os.WTERMSIG(status)}"
    assert found, "the child raised"
    return pickle.loads(found)


@needs_fork
@needs_openmp
@pytest.mark.parametrize("case", ["adam", "lbfgs", "sparse", "dropout"])
def test_a_child_forked_after_a_fit_fits(case):
    expected = fitted(case, "float32", 4)
    model, data, y = CASES[case]
    data = data.astype("float32")

    def fit():
        with processors(4) as used:
            model.fit(data, y)
        assert used == [1]
        return results(model, data)

    np.testing.assert_array_equal(in_a_fork(fit), expected)
    np.testing.assert_array_equal(fitted(case, "float32", 4), expected)  # the parent goes on as before


def put_results(connection):
    with processors(4):
        connection.send(results(regressor().fit(X, Y), X))


@needs_fork
def test_a_child_of_multiprocessing_fits():
    expected = fitted("regression", "float64", 4) if has_openmp() else results(regressor().fit(X, Y), X)
    context = get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=put_results, args=(theirs,))
    child.start()
    try:
        assert ours.poll(TIMEOUT), "the child hangs"
        np.testing.assert_array_equal(ours.recv(), expected)
    finally:
        child.kill()
        child.join()


@needs_fork
@needs_openmp
def test_scratch_that_was_made_before_a_fork():
    with processors(4):
        scratch = LOW.scratch(BATCH)
        expected = gradient(scratch)
        np.testing.assert_array_equal(in_a_fork(lambda: gradient(scratch)), expected)
        np.testing.assert_array_equal(gradient(scratch), expected)


@needs_fork
def test_a_child_forked_during_a_fit_of_another_thread():
    """BLAS is free in it, and it fits."""
    before = blas_limits()
    held, done = threading.Event(), threading.Event()

    def hold():
        with _threads.team(2, calls_blas=True):
            held.set()
            done.wait(TIMEOUT)

    def child():
        return blas_limits(), results(regressor(solver="lbfgs").fit(X, Y), X), blas_limits()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert held.wait(TIMEOUT)
        try:
            first, found, last = in_a_fork(child)
        finally:
            done.set()
        holding.result()
    assert first == last == before == blas_limits()
    np.testing.assert_array_equal(found, results(regressor(solver="lbfgs").fit(X, Y), X))


# ---- threads in threads ----


def watched(metric, **params):
    """A regressor that calls `metric` after each epoch."""
    return regressor(metrics=metric, early_stopping=True, **params)


def meeting(n):
    """A metric at whose first evaluation `n` fits wait for each other, so that they overlap."""
    barrier = threading.Barrier(n)
    met = threading.local()

    def metric(model, data, y):
        if not hasattr(met, "yes"):
            met.yes = True
            barrier.wait(TIMEOUT)
        return 0.0

    return metric


def fit_among_others(n_threads, metric, seed):
    # It is each thread's own. Selected first: a limit restores all libraries that it knows, BLAS too.
    with LIBRARIES.select(user_api="openmp").limit(limits=n_threads):
        return results(watched(metric, random_state=seed).fit(X, Y), X)


@needs_openmp
@EACH_TEAM
def test_fits_in_threads_share_the_processors_and_keep_their_bits(n_threads):
    with processors(n_threads) as used:
        alone = [fit_among_others(n_threads, meeting(1), seed) for seed in range(3)]
        assert used == [n_threads] * 3
        used.clear()
        metric = meeting(3)
        together = Parallel(3, backend="threading")(
            delayed(fit_among_others)(n_threads, metric, seed) for seed in range(3)
        )
        # The first finds nobody, the second shares with one, the third with two.
        assert sorted(used) == sorted(max(1, n_threads // n) for n in (1, 2, 3))
        used.clear()
        fit_among_others(n_threads, meeting(1), 0)
        assert used == [n_threads]  # all of them are free again
    np.testing.assert_array_equal(together, alone)


@needs_openmp
def test_a_fit_in_a_fit():
    def fits_too(model, data, y):
        inner.append(results(regressor().fit(X, Y), X))
        return 0.0

    inner, alone = [], fitted("regression", "float64", 4)
    with processors(4) as used:
        outer = watched(fits_too).fit(X, Y)
    assert used == [4, 2, 2]
    np.testing.assert_array_equal(inner, [alone] * 2)
    expected = watched(lambda *of: 0.0).fit(X, Y)
    np.testing.assert_array_equal(results(outer, X)[:-1], results(expected, X)[:-1])


@needs_openmp
def test_fits_of_one_thread_take_no_share():
    with processors(4), _threads.team(1), _threads.team(1), _threads.team(4) as n_threads:
        assert n_threads == 4


# ---- BLAS's limits ----


@pytest.fixture
def uneven():
    """Every library of BLAS at a limit of its own, set by the main thread."""
    with LIBRARIES.limit(limits=1, user_api="blas"):
        limits = [2 + i for i in range(len(BLAS))]
        for library, n_threads in zip(BLAS, limits, strict=True):
            library.set_num_threads(n_threads)
        yield limits


def overlapping(solver):
    """BLAS's limits while two fits run, when the one that began first has raised, and after both."""
    first_runs, both_run, one_raised = (threading.Event() for _ in range(3))
    limits = []

    def ends_early(model, data, y):
        first_runs.set()
        assert both_run.wait(TIMEOUT)
        limits.append(blas_limits())
        raise RuntimeError("enough")

    def goes_on(model, data, y):
        both_run.set()
        assert one_raised.wait(TIMEOUT)
        limits.append(blas_limits())
        return 0.0

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(watched(ends_early, solver=solver).fit, X, Y)
        assert first_runs.wait(TIMEOUT)
        second = pool.submit(watched(goes_on, solver=solver, max_iter=1).fit, X, Y)
        with pytest.raises(RuntimeError, match="enough"):
            first.result()
        one_raised.set()
        second.result()
        return [*limits, blas_limits()]  # while the threads live


def overlapping_of_each_solver():
    return INSTRUCTION_SET, blas_limits(), [overlapping(solver) for solver in ("adam", "lbfgs")]


def test_overlapping_fits_leave_blas_as_they_found_it(uneven):
    ones = [1] * len(uneven)
    assert overlapping("lbfgs") == [ones, ones, uneven]


def test_overlapping_fits_with_blas_alone_leave_it_as_they_found_it():
    used, before, found = elsewhere(
        overlapping_of_each_solver, SKLEARN_MLP_INSTRUCTION_SET="portable", OMP_NUM_THREADS="2"
    )
    ones = [1] * len(before)
    assert used == "portable"
    assert found == [[ones, ones, before]] * 2


def test_fits_in_threads_leave_it_to_others_to_limit_blas():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(regressor(solver="lbfgs").fit, X, Y).result()
        with LIBRARIES.limit(limits=3, user_api="blas"):
            assert set(blas_limits()) == {3}


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_interrupted_fit_leaves_blas_as_it_found_it(uneven, solver, epoch):
    """Before the first epoch is done it raises, later it keeps what there is."""
    calls, limits = [], []

    def interrupts(model, data, y):
        calls.append(None)
        limits.append(blas_limits())
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return 0.0

    model = watched(interrupts, solver=solver, max_iter=5)
    if epoch == 1:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    else:
        with pytest.warns(UserWarning, match="interrupted by user"):
            model.fit(X, Y)
    assert limits[-1] == ([1] * len(uneven) if solver == "lbfgs" else limits[0])
    assert blas_limits() == uneven
    assert _threads._limit.teams == 0


def test_gradients_leave_blas_as_they_found_it(uneven):
    with processors(2):
        scratch = LOW.scratch(BATCH)
    gradient(scratch)
    assert blas_limits() == uneven


# ---- instruction sets ----


def forced():
    """The set in use, and two fits with it."""
    fits = [
        (regressor(activation="tanh", learning_rate_init=0.01), X[:290]),
        (regressor(activation="gelu", solver="lbfgs"), SPARSE[:290]),
    ]
    wide = {"hidden_layer_sizes": (150, 33), "batch_size": 100}
    return INSTRUCTION_SET, [
        results(model.set_params(**wide).fit(data, Y[:290]), data) for model, data in fits
    ]


@pytest.mark.parametrize("name", ["portable", "avx2", "avx512"])
def test_instruction_sets_agree_within_rounding(name, instruction_sets):
    if name not in instruction_sets:
        pytest.skip("not of this build or this processor")
    used, found = elsewhere(forced, SKLEARN_MLP_INSTRUCTION_SET=name)
    assert used == name
    for one, other in zip(found, forced()[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


if __name__ == "__main__":
    pickle.dump(globals()[sys.argv[1]](), sys.stdout.buffer)
