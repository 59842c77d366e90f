from typing import Any

from numpy.typing import NDArray

def encode(X: NDArray[Any], edges: NDArray[Any], n_bins: NDArray[Any], out: NDArray[Any]) -> None: ...
