from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_mlp._dense import LayerTable
from sklearn_mlp._loss import Loss
from sklearn_mlp._optim import Optimizer, OptimizerState

def shuffle(random_state: np.random.RandomState, rows: NDArray[np.intp]) -> None: ...
def largest_team() -> int: ...
def chunk_rows(n_rows: int, widest: int) -> int: ...

class Samples:
    def __init__(
        self, X: Any, targets: NDArray[Any] | None = None, weights: NDArray[Any] | None = None
    ) -> None: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_targets(self) -> int: ...
    @property
    def n_entries(self) -> int: ...
    @property
    def has_codes(self) -> bool: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def sparse(self) -> bool: ...

class Workspace:
    def __init__(
        self,
        layers: LayerTable,
        capacity: int,
        dtype: Any,
        *,
        n_gathered: int = 0,
        outputs: NDArray[Any] | None = None,
        most_threads: int = 1,
    ) -> None: ...
    @property
    def capacity(self) -> int: ...
    @property
    def most_threads(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

class Trainer:
    dropout_seed: int
    n_threads: int
    mean_weight: float
    def __init__(
        self,
        layers: LayerTable,
        params: NDArray[Any],
        samples: Samples,
        loss: Loss,
        optimizer: Optimizer | None,
        state: OptimizerState | None,
        *,
        batch_rows: int,
        alpha: float,
        gather: bool,
        accumulation_steps: int = 1,
        max_grad_norm: float = 0.0,
        track_norm: bool = False,
        keep_outputs: bool = False,
        rate_factors: NDArray[np.float64] | None = None,
        scale_rate: float = 0.0,
        n_threads: int = 1,
    ) -> None: ...
    @property
    def gradient(self) -> NDArray[Any]: ...
    @property
    def scale(self) -> NDArray[Any] | None: ...
    @property
    def unscaled(self) -> NDArray[Any] | None: ...
    @property
    def outputs(self) -> NDArray[Any] | None: ...
    @property
    def loss_sum(self) -> float: ...
    @property
    def penalty_sum(self) -> float: ...
    @property
    def norm_sum(self) -> float: ...
    def start_scale(self) -> None: ...
    def start_epoch(self, epoch: int) -> None: ...
    def train_batches(
        self, rows: NDArray[np.intp] | None, n_rows: int, done: int, rates: NDArray[np.float64]
    ) -> int: ...
    def loss_and_gradient(self, rows: NDArray[np.intp] | None, n_rows: int) -> None: ...
    def is_finite(self) -> bool: ...

def loss_and_gradient_of(
    layers: LayerTable,
    params: NDArray[Any],
    samples: Samples,
    loss: Loss,
    space: Workspace,
    gradient: NDArray[Any],
    divisor: float,
    accumulate: bool,
    n_threads: int = 1,
) -> float: ...
def predict_batches(
    layers: LayerTable,
    params: NDArray[Any],
    samples: Samples,
    rows: NDArray[np.intp] | None = None,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
