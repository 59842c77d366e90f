from typing import Any

from numpy.typing import NDArray

INSTRUCTION_SET: str
INSTRUCTION_LEVEL: int
CALLS_BLAS: bool
FINISHES: dict[str, int]

def multiply(
    a: NDArray[Any],
    b: NDArray[Any],
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    out: NDArray[Any] | None = None,
    finish: str = "plain",
    operand: NDArray[Any] | None = None,
) -> NDArray[Any]: ...
