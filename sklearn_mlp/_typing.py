"""Types of the public face, and scikit-learn's decorators with types."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import sparray, spmatrix

Array = NDArray[Any]
Matrix = ArrayLike | sparray | spmatrix
Path = str | PathLike[str]

Activation = str | tuple[str, float]
Activations = Activation | Sequence[Activation]
Sizes = int | Sequence[int] | NDArray[np.integer[Any]]
Rates = float | Sequence[float] | NDArray[np.floating[Any]]
RandomState = int | np.random.RandomState | None
ScheduleFunction = Callable[[int, int | None], float]
Score = str | Callable[..., float]
Scores = Score | Sequence[Score]

# scikit-learn has no types, and a decorator without makes a method without.
if TYPE_CHECKING:
    Method = TypeVar("Method", bound=Callable[..., Any])

    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]: ...

    def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]: ...

    def validate_params(
        constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[Method], Method]: ...
else:
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._param_validation import validate_params
    from sklearn.utils.metaestimators import available_if

__all__ = [
    "Activation",
    "Activations",
    "Array",
    "Matrix",
    "Path",
    "RandomState",
    "Rates",
    "ScheduleFunction",
    "Score",
    "Scores",
    "Sizes",
    "available_if",
    "fit_context",
    "validate_params",
]
