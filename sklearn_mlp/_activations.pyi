from typing import Any, NamedTuple

from numpy.typing import NDArray

class Activation(NamedTuple):
    code: int
    init: str
    from_output: bool

ACTIVATIONS: dict[str, Activation]
NEGATIVE_SLOPE: float

def parse_activation(value: object, what: str = "activation") -> tuple[str, float]: ...
def activate(
    name: str,
    z: NDArray[Any],
    intercepts: NDArray[Any],
    slopes: NDArray[Any] | None = None,
    negative_slope: float = ...,
) -> None: ...
def backpropagate(
    name: str, a: NDArray[Any], delta: NDArray[Any], negative_slope: float = ...
) -> None: ...
