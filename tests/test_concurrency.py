"""Several threads at once: fits, predictions, and who holds the interpreter lock."""

import itertools
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import make_regression

from sklearn_mlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])


def parameters(estimator):
    return np.concatenate([w.ravel() for w in estimator.coefs_ + estimator.intercepts_])


@BOTH
def test_fits_in_several_threads_give_the_bits_of_fits_in_turn(cls):
    data, target = make_regression(400, 30, random_state=0)
    target = target > 0 if cls is MLPClassifier else target / target.std()

    def train(seed):
        estimator = cls(hidden_layer_sizes=(64, 32), max_iter=8, random_state=seed)
        estimator.fit(data, target)
        return np.concatenate([parameters(estimator), estimator.predict(data).astype(float)])

    alone = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, range(8)))
    for expected, actual in zip(alone, together, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_one_model_predicts_in_several_threads():
    data, target = make_regression(3000, 30, random_state=0)
    estimator = MLPRegressor(hidden_layer_sizes=(64, 32), max_iter=2, random_state=0).fit(data, target)
    expected = [estimator.predict(data[start:]) for start in range(0, 800, 50)]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(lambda start: estimator.predict(data[start:]), range(0, 800, 50)))
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def no_forced_switches():
    """A thread keeps the interpreter lock until it gives it up by itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    yield
    sys.setswitchinterval(interval)


def ticks_during(function):
    """How often this thread gets to run while another one is inside of `function`."""
    ticks = 0
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(function)
        while not future.done():
            ticks += 1
            time.sleep(0)  # gives the lock up, so that the other thread goes on
    future.result()
    return ticks


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no interpreter lock"
)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_training_releases_the_interpreter_lock(solver, no_forced_switches):
    """No thread is made to give up the lock here, so others run only where it is released."""
    # A function that holds it throughout, to show that the count tells the two apart.
    held = ticks_during(lambda: sum(itertools.repeat(1, 20_000_000)))
    assert held < 50
    # Long enough for a thread on a busy machine to get its turn, few enough epochs for the Python
    # between them not to matter.
    data = np.random.RandomState(0).normal(size=(60_000, 64))
    target = data[:, 0]
    estimator = MLPRegressor(hidden_layer_sizes=(128, 128), solver=solver, max_iter=2, random_state=0)
    assert ticks_during(lambda: estimator.fit(data, target)) > 100


def test_prediction_releases_the_interpreter_lock(no_forced_switches):
    data = np.random.RandomState(0).normal(size=(60_000, 64))
    estimator = MLPRegressor(hidden_layer_sizes=(256, 256), max_iter=1, random_state=0).fit(
        data[:99], data[:99, 0]
    )
    assert ticks_during(lambda: estimator.predict(data)) > 100
