"""What a fit allocates: one batch's worth and the parameters, whatever the rows and the steps."""

import gc
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
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


# Loaded before the C library's own; with PYTHONMALLOC=malloc it also sees what Python allocates. Time
# stands still, for how many stretches without the interpreter lock an epoch takes goes by the clock.
COUNTING_MALLOC = """
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static atomic_long count;

long allocations(void) { return count; }
void *malloc(size_t size) { count++; return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count++; return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { count++; return __libc_realloc(old, size); }
void *memalign(size_t side, size_t size) { count++; return __libc_memalign(side, size); }
void *aligned_alloc(size_t side, size_t size) { return memalign(side, size); }
int posix_memalign(void **to, size_t side, size_t size)
{
    *to = memalign(side, size);
    return *to ? 0 : 12;
}
int timespec_get(struct timespec *now, int base) { *now = (struct timespec) {0}; return base; }
"""

COUNT_ALLOCATIONS = """
import ctypes, gc, json, sys
import numpy as np, scipy.sparse as sp
from sklearn_mlp import MLPClassifier, _threads

count = ctypes.CDLL(None).allocations
count.restype = ctypes.c_long
before = count()
kept = [object() for _ in range(1000)] + [np.empty(1000) for _ in range(1000)]
assert count() - before >= 2000  # Python's and NumPy's are seen
X = np.random.RandomState(0).normal(size=(12_000, 10))
y = X[:, 0] > 0
data = {"dense": X, "sparse": sp.csr_array(np.where(X > 0, X, 0))}
found = {}
for name, (kind, threads, rows, params) in json.loads(sys.argv[1]).items():
    _threads.WORTH_A_TEAM = 0 if threads > 1 else 10**15
    counts = []
    for batch_size in (10, 1) * 2:  # the first two fill caches
        model = MLPClassifier(8, batch_size=batch_size, max_iter=10, tol=0, n_iter_no_change=np.inf,
                              random_state=0, **params)
        gc.collect()
        before = count()
        model.fit(data[kind][:rows], y[:rows])
        counts.append(count() - before)
    found[name] = counts[2:]
print(json.dumps(found))
"""

# Even the few steps of an epoch are so many that neither Python keeps their number among its small ints
# nor NumPy an array of as many bytes for the next one; or, with two threads, the many still so few.
FITS_TO_COUNT = {  # name: (input, threads, rows, parameters)
    "adam": ("dense", 1, 12_000, {}),
    "sgd, one cycle": ("dense", 1, 12_000, {"solver": "sgd", "learning_rate": "one_cycle"}),
    "dropout, clipped": ("dense", 1, 12_000, {"dropout": 0.2, "max_grad_norm": 0.1}),
    "accumulated": ("dense", 1, 12_000, {"gradient_accumulation_steps": 2}),
    "early stopping": ("dense", 1, 12_000, {"early_stopping": True, "metrics": "accuracy"}),
    "slopes kept": ("dense", 1, 12_000, {"activation": "gelu"}),
    "sparse": ("sparse", 1, 12_000, {}),
    "two threads": ("dense", 2, 200, {}),
    "sparse, two threads": ("sparse", 2, 200, {}),
}


@pytest.fixture(scope="module")
def allocations(tmp_path_factory):
    """How often memory is asked for in 10 epochs, and in 10 of ten times as many steps, by fit."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    compiler = compiler if shutil.which(compiler[0]) else ["cc"]
    if platform.libc_ver()[0] != "glibc" or not shutil.which(compiler[0]):
        pytest.skip("needs a C compiler and glibc")
    folder = tmp_path_factory.mktemp("malloc")
    source, library = folder / "malloc.c", folder / "malloc.so"
    source.write_text(COUNTING_MALLOC)
    build = [*compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    run = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", COUNT_ALLOCATIONS, json.dumps(FITS_TO_COUNT)],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONMALLOC": "malloc"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("fit", FITS_TO_COUNT)
def test_steps_do_not_allocate(allocations, fit):
    few, many = allocations[fit]
    assert many - few < 100  # 1,800 to 108,000 steps more


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
