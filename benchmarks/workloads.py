"""What is measured: the shapes, the data drawn for them, and the bars."""

from dataclasses import dataclass

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
WORKLOADS = {
    "tiny": Workload(1_000, 4, (16,), 3, 32),
    "iris32": Workload(1_000, 4, (32, 32), 3, 32, activation="tanh"),
    "digits": Workload(1_797, 64, (100,), 10, 200),
    "housing": Workload(20_640, 8, (64, 64), 1, 256, regression=True),
    "adult": Workload(32_000, 100, (256, 256), 2, 256),
    "mnist": Workload(20_000, 784, (512, 256), 10, 128),
    "wide": Workload(8_192, 512, (1024, 1024, 1024), 10, 1024),
    "sparse": Workload(10_000, 20_000, (100,), 20, 200, density=0.003),
}

# (job, system, threads, dtype) -> workload -> least ratio of that system's seconds to ours.
BARS = {
    ("fit", "scikit-learn", 1, "float32"): {
        "tiny": 40,
        "iris32": 25,
        "digits": 4,
        "housing": 4.5,
        "adult": 1.7,
        "mnist": 2,
        "wide": 1.2,
    },
}


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
