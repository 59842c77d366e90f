"""What a fit allocates: one batch's worth and the parameters, whatever the rows and the steps."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SOLVERS = ["adam", "sgd", "lbfgs"]


def peak_of(call):
    """Bytes allocated by Python and NumPy at the peak of a call, beyond what was there before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_the_data_set_is_not_copied(solver, early_stopping, kind):
    X = np.random.default_rng(0).random((20_000, 200), dtype=np.float32)
    y = np.arange(20_000) % 2
    data = X if kind == "dense" else sp.csr_array(X)
    model = MLPClassifier(
        (20,), solver=solver, early_stopping=early_stopping, max_iter=2, random_state=0
    )
    model.fit(data[:100], y[:100])  # imports and caches
    assert peak_of(lambda: model.fit(data, y)) < X.nbytes / 2
    assert peak_of(lambda: model.predict(data)) < X.nbytes / 2


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_memory_does_not_grow_with_the_number_of_steps(solver):
    X = np.random.default_rng(0).normal(size=(640, 10))
    y = X[:, 0] > 0

    def fit(epochs):
        model = MLPClassifier((8,), solver=solver, batch_size=1, max_iter=epochs, tol=0, random_state=0)
        return lambda: model.fit(X, y)

    fit(2)()
    few, many = peak_of(fit(2)), peak_of(fit(10))
    assert many - few < 10_000  # 5,120 steps more; the record of 8 epochs and interned numbers


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])  # older SciPy's own L-BFGS leaves cycles
def test_nothing_holds_the_data_after_a_fit(solver, early_stopping):
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, 0] > 0
    data = weakref.ref(X)
    gc.collect()
    gc.disable()
    try:
        model = MLPClassifier(solver=solver, early_stopping=early_stopping, max_iter=3).fit(X, y)
        del X
        assert data() is None
    finally:
        gc.enable()
    assert model.n_iter_ == 3
