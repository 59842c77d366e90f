from typing import Any, ClassVar

from numpy.typing import NDArray

class OptimizerState:
    n_steps: int
    def __init__(self, moments: NDArray[Any], n_steps: int = 0) -> None: ...
    @property
    def moments(self) -> NDArray[Any]: ...
    def make_writeable(self) -> None: ...

class Optimizer:
    n_moments: ClassVar[int]
    estimator_parameters: ClassVar[dict[str, str]]
    def init(self, params: NDArray[Any]) -> OptimizerState: ...
    def step(
        self,
        params: NDArray[Any],
        gradient: NDArray[Any],
        state: OptimizerState,
        lr: float,
        *,
        n_weights: int | None = None,
        l2: float = 0.0,
        max_norm: float | None = None,
    ) -> float | None: ...

class SGD(Optimizer):
    def __init__(self, momentum: float = 0.9, nesterov: bool = True) -> None: ...

class Adam(Optimizer):
    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None: ...

class AdamW(Optimizer):
    def __init__(
        self,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None: ...

SOLVERS: dict[str, type[Optimizer]]
