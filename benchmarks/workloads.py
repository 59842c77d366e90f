"""What is measured: the shapes, the data drawn for them, and the bars."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Workload:
    rows: int
    features: int
    hidden: tuple
    outputs: int  # classes, or targets of a regression
    batch: int
    activation: str = "relu"
    regression: bool = False
    density: float = 1.0  # below 1: the input is CSR


# The first seven are the C loops' shapes, whose own table `CLoop.load` compares with this one.
DENSE = {
    "tiny": Workload(1_000, 4, (16,), 3, 32),
    "iris32": Workload(1_000, 4, (32, 32), 3, 32, activation="tanh"),
    "digits": Workload(1_797, 64, (100,), 10, 200),
    "housing": Workload(20_640, 8, (64, 64), 1, 256, regression=True),
    "adult": Workload(32_000, 100, (256, 256), 2, 256),
    "mnist": Workload(20_000, 784, (512, 256), 10, 128),
    "wide": Workload(8_192, 512, (1024, 1024, 1024), 10, 1024),
}
WORKLOADS = {
    **DENSE,
    "sparse": Workload(10_000, 20_000, (100,), 20, 200, density=0.003),
    "row": Workload(1_000, 20, (64, 64), 2, 200),  # for the prediction of a single row
}

OURS = "sklearn_mlp"


@dataclass(frozen=True)
class Bar:
    """The least ratio of others' seconds to ours, by workload; of several others the best counts."""

    title: str
    others: tuple
    least: dict
    job: str = "fit"
    threads: int = 1
    dtype: str = "float32"
    their_job: str = None  # None: the same
    their_threads: int = None

    def ours(self, workload):
        """The key of our timings: workload, job, system, threads, dtype."""
        return workload, self.job, OURS, self.threads, self.dtype

    def theirs(self, workload):
        job, threads = self.their_job or self.job, self.their_threads or self.threads
        return [(workload, job, other, threads, self.dtype) for other in self.others]


def _dense(*least):
    return dict(zip(DENSE, least, strict=True))


_SKLEARN, _C = ("scikit-learn",), ("C loop", "C sharded")
_PREDICT = dict.fromkeys(("tiny", "iris32", "digits", "housing", "adult"), 2) | {"wide": 1.2}
_ROW = {"job": "row predict_proba", "their_job": "row predict_proba"}
_LABEL = {"job": "row predict", "their_job": "row predict"}
BARS = [
    Bar("scikit-learn, 1 thread", _SKLEARN, _dense(70, 50, 8, 9, 2.5, 2.6, 1.25)),
    Bar("scikit-learn, 2 threads", _SKLEARN, _dense(70, 50, 10, 13, 4, 4, 1.6), threads=2),
    Bar(
        "scikit-learn, 1 thread, float64",
        _SKLEARN,
        _dense(60, 40, 6, 6, 2, 2, 1.2),
        dtype="float64",
    ),
    Bar("JAX, 1 thread", ("JAX",), _dense(6, 5, 2.5, 2.3, 1.3, 1.2, 1.3)),
    Bar("PyTorch, 2 threads", ("PyTorch",), _dense(100, 60, 8, 10, 3.5, 2.2, 1.4), threads=2),
    Bar("better C loop, 1 thread", _C, _dense(1.2, 1.5, 1.2, 1.3, 1.05, 1, 1)),
    Bar("better C loop, 2 threads", _C, _dense(1.2, 1.5, 1.2, 1.3, 1.05, 1, 1), threads=2),
    Bar(
        "two threads against one",
        (OURS,),
        _dense(0.97, 0.97, 0.97, 0.97, 1.7, 1.7, 1.7) | {"sparse": 0.97},
        threads=2,
        their_threads=1,
    ),
    Bar("predict, scikit-learn, 1 thread", _SKLEARN, _PREDICT, job="predict"),
    Bar("predict, scikit-learn, 2 threads", _SKLEARN, _PREDICT, job="predict", threads=2),
    Bar("scikit-learn, 1 thread", _SKLEARN, {"sparse": 6}),
    Bar("scikit-learn, 1 thread, float64", _SKLEARN, {"sparse": 6}, dtype="float64"),
    Bar("predict_proba", _SKLEARN, {"row": 15}, **_ROW),
    Bar("predict_proba_into", _SKLEARN, {"row": 100}, **_ROW | {"job": "row predict_proba_into"}),
    Bar("predict", _SKLEARN, {"row": 15}, **_LABEL),
    Bar("predict_into", _SKLEARN, {"row": 100}, **_LABEL | {"job": "row predict_into"}),
]
NEEDED = {key for bar in BARS for name in bar.least for key in (bar.ours(name), *bar.theirs(name))}


def most_bytes(workload, dtype):
    """The bar of a fit's peak beyond its input: parameters, gradient, two moments, and 24 MB."""
    sizes = (workload.features, *workload.hidden, workload.outputs)
    n_params = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    return 4 * n_params * np.dtype(dtype).itemsize + 24e6


def make_data(workload, dtype):
    """Features uniform in [-1, 1] and targets that do not depend on them, always the same."""
    rng = np.random.default_rng(0)
    if workload.density < 1:
        X = _random_csr(workload, dtype, rng)
    else:
        X = rng.random((workload.rows, workload.features), dtype=np.dtype(dtype))
        X *= 2
        X -= 1
    if workload.regression:
        return X, rng.uniform(-1, 1, workload.rows).astype(dtype)
    return X, rng.integers(workload.outputs, size=workload.rows)


def _random_csr(workload, dtype, rng):
    """Rows with equally many entries each, at columns drawn without repetition."""
    from scipy.sparse import csr_array

    n, m = workload.rows, workload.features
    per_row = round(workload.density * m)
    indices = np.empty((n, per_row), dtype=np.int32)
    for row in indices:
        row[:] = np.sort(rng.choice(m, per_row, replace=False))
    indptr = np.arange(0, n * per_row + 1, per_row, dtype=np.int32)
    values = rng.random(n * per_row, dtype=np.dtype(dtype))
    values *= 2
    values -= 1
    return csr_array((values, indices.ravel(), indptr), shape=(n, m))
