"""Data on disk are read in place."""

import tracemalloc

import numpy as np
import pytest

from sklearn_mlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 20_000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "X.npy"
    np.save(path, np.random.default_rng(0).standard_normal((N_ROWS, 100), dtype=np.float32))
    return path


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}])
@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_fit_on_a_memory_map_is_fit_on_the_array(path, cls, params):
    X = np.load(path)[:2000]
    y = (X[:, 0] > 0) * 1.0
    model = cls(hidden_layer_sizes=8, max_iter=3, random_state=0, **params)
    there = model.fit(np.load(path, mmap_mode="r")[:2000], y).coefs_
    for a, b in zip(there, model.fit(X, y).coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_memory_maps_are_not_copied(path):
    X = np.load(path, mmap_mode="r")
    y = X[:, 0].copy()
    tracemalloc.start()
    try:
        MLPRegressor(hidden_layer_sizes=8, max_iter=2).fit(X, y).predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 4
