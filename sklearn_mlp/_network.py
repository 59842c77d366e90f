"""The network: sizes, activations and one flat vector of parameters."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from scipy.sparse import issparse
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import _check_sample_weight

from sklearn_mlp._activations import ACTIVATIONS, parse_activation
from sklearn_mlp._blas import CALLS_BLAS
from sklearn_mlp._dense import LayerTable
from sklearn_mlp._epoch import Samples, Workspace, loss_and_gradient_of, predict_batches
from sklearn_mlp._loss import Loss
from sklearn_mlp._memory import empty_vector, require_memory
from sklearn_mlp._sparse import kernel_input
from sklearn_mlp._threads import n_threads_for, still_available, team
from sklearn_mlp._typing import Activation, Activations, Array, Matrix, RandomState

# Values drawn at a time when weights are initialised: RandomState draws float64, the parameters may
# be float32, and a second copy of a large layer is not wanted.
DRAW = 1 << 16


Draw = Callable[[np.random.RandomState, int], Array]


def _uniform(bound: float) -> Draw:
    return lambda random_state, n: random_state.uniform(-bound, bound, n)


def _normal(variance: float) -> Draw:
    return lambda random_state, n: random_state.normal(0.0, np.sqrt(variance), n)


# Initial weights of a layer, by name: a function of (n_in, n_out, activation, its negative slope) that
# returns how n numbers are drawn. Intercepts begin at zero. Half the variance of its input passes a
# rectifier, (1 + slope^2) / 2 of it a leaky one: that is the gain of the He rules.
INITIALIZATIONS: dict[str, Callable[..., Draw]] = {
    "glorot_uniform": lambda n_in, n_out, name, slope: _uniform(np.sqrt(6.0 / (n_in + n_out))),
    "glorot_normal": lambda n_in, n_out, name, slope: _normal(2.0 / (n_in + n_out)),
    "he_uniform": lambda n_in, n_out, name, slope: _uniform(np.sqrt(6.0 / (1 + slope**2) / n_in)),
    "he_normal": lambda n_in, n_out, name, slope: _normal(2.0 / (1 + slope**2) / n_in),
    "lecun_normal": lambda n_in, n_out, name, slope: _normal(1.0 / n_in),
    "zeros": lambda n_in, n_out, name, slope: lambda random_state, n: np.zeros(n),
}

# What "auto" takes by the `init` of an activation's row. scikit-learn's own rule, for its four
# activations, also draws the intercepts; it is the one in `Network.initialize`.
AUTOMATIC = {"he": "he_normal", "lecun": "lecun_normal", "glorot": "glorot_uniform"}


class ParameterList(list[Any]):
    """A list of views into the parameter vector: assigning an item writes into the vector."""

    def __setitem__(self, index, value):
        if isinstance(index, slice):
            targets, values = self[index], list(value)
            if len(targets) != len(values):
                raise ValueError(f"{len(values)} arrays for {len(targets)} layers; give one for each.")
        else:
            targets, values = [self[index]], [value]
        values = [np.asarray(item) for item in values]
        for target, item in zip(targets, values, strict=True):
            if target.shape != item.shape:
                raise ValueError(
                    f"the layer's array has shape {target.shape}; got one of shape {item.shape}"
                )
        for target, item in zip(targets, values, strict=True):
            target[...] = item

    def __reduce__(self):  # a pickled view is a copy, so what comes back is a plain list
        return list, (list(self),)


def hidden_activations(value, n_hidden, what="activation"):
    """The (name, negative slope) of each hidden layer, from one activation for all or one for each.

    Raises
    ------
    ValueError, TypeError
        If an activation is unknown, or their number is not `n_hidden`.
    """
    listed = isinstance(value, tuple | list | np.ndarray)
    if not listed or (len(value) == 2 and not isinstance(value[1], str | tuple | list)):
        return [parse_activation(value, what)] * n_hidden
    if len(value) != n_hidden:
        raise ValueError(
            f"{what} must be one activation for all hidden layers, or a list of one for each; got "
            f"{len(value)} for {n_hidden} hidden layers: {value!r}."
        )
    return [parse_activation(item, f"{what}[{i}]") for i, item in enumerate(value)]


class Network:
    """Dense layers over one flat vector: all weights, layer by layer, then all intercepts.

    The low level, for a training loop of one's own; the estimators are built on it. Make one with
    `from_sizes`. The last layer puts out raw scores; losses take them as they are, and apply the
    softmax, logistic or exponential function inside.

    Conventions: gradients are flat vectors in the layout of `params`; they overwrite what is there,
    unless asked to accumulate. Loss and gradient are means over rows, or weighted means where there
    are sample weights. Nothing is ever added for a penalty. Input is checked (shapes, dtype, finite
    numbers, labels in range) unless ``check=False``: then arrays must be C-contiguous, of the
    network's dtype and as documented, and what is not looked at is finiteness and the range of
    labels, for which the caller answers. Shapes and dtypes are looked at always.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, input and output included.
    activations : sequence of (str, float)
        Name and negative slope of each hidden layer, and of the output layer if it has one.
    dtype : dtype-like
        float32 or float64.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
        All weights, layer by layer in C order, then all intercepts.
    n_weights : int
        How many of the parameters are weights.
    layers : LayerTable
        What the kernels read.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp import Network
    >>> network = Network.from_sizes([4, 16, 3], activation=["relu"], random_state=0)
    >>> X = np.ones((5, 4), dtype=np.float32)
    >>> network.forward(X).shape
    (5, 3)
    >>> loss, gradient = network.loss_and_gradient(X, np.array([0, 1, 2, 1, 0]), loss="log_loss")
    >>> gradient.shape == network.params.shape
    True
    """

    params: Array
    layers: LayerTable
    sizes: tuple[int, ...]
    activations: list[tuple[str, float]]
    dtype: np.dtype[Any]

    def __init__(
        self, sizes: Sequence[int], activations: Sequence[tuple[str, float]], dtype: DTypeLike
    ) -> None:
        self.sizes = tuple(int(size) for size in sizes)
        self.dtype = np.dtype(dtype)
        require_memory(
            self.count(self.sizes) * self.dtype.itemsize, f"a network of layer sizes {self.sizes}"
        )
        self.set_activations(activations)
        self.params = empty_vector(self.layers.n_params, self.dtype)

    @classmethod
    def from_sizes(
        cls,
        sizes: Sequence[int],
        activation: Activations = "relu",
        *,
        output_activation: Activation = "identity",
        weight_init: str = "auto",
        random_state: RandomState = None,
        dtype: DTypeLike = "float32",
    ) -> Self:
        """A network with initial parameters.

        Parameters
        ----------
        sizes : sequence of int
            Units per layer, input and output included; at least two.
        activation : str, (str, float) or list of them, default="relu"
            As the estimators' `activation`: one for all hidden layers or one for each.
        output_activation : str or (str, float), default="identity"
            Of the last layer.
        weight_init : str, default="auto"
            As the estimators' `weight_init`.
        random_state : int, RandomState instance or None, default=None
        dtype : {"float32", "float64"}, default="float32"

        Returns
        -------
        network : Network

        Raises
        ------
        ValueError, TypeError
            If a size, activation, initialisation or dtype is not usable.
        """
        sizes = list(sizes)
        if len(sizes) < 2 or not all(isinstance(n, Integral) and n > 0 for n in sizes):
            raise ValueError(f"sizes must be two or more integers > 0; got {sizes!r}.")
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be float32 or float64; got {dtype!r}.")
        activations = hidden_activations(activation, len(sizes) - 2)
        activations.append(parse_activation(output_activation, "output_activation"))
        network = cls(sizes, activations, dtype)
        network.initialize(check_random_state(random_state), weight_init)
        return network

    @staticmethod
    def count(sizes: Sequence[int]) -> int:
        """Parameters of a network with layers of these sizes."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    @classmethod
    def training_values(
        cls, sizes: Sequence[int], n_vectors: int, batch_rows: int, gathered: bool, outputs_of: int
    ) -> int:
        """Numbers that a training holds: `n_vectors` as long as the parameters, blocks of
        `batch_rows`, and the outputs of `outputs_of` rows."""
        block = 3 * sum(sizes[1:]) + (sizes[0] if gathered else 0)  # activations, slopes, deltas
        return cls.count(sizes) * n_vectors + batch_rows * block + outputs_of * sizes[-1]

    @property
    def n_weights(self) -> int:
        return self.layers.n_weights

    def set_activations(self, activations: Sequence[tuple[str, float]]) -> None:
        """Give the layers these (name, negative slope); the output is the identity if it has none."""
        activations = [(name, float(slope)) for name, slope in activations]
        n_layers = len(self.sizes) - 1
        if not n_layers - 1 <= len(activations) <= n_layers:
            raise ValueError(
                f"activations must have one for each of {n_layers - 1} hidden layers, and may have one "
                f"for the output; got {activations!r}."
            )
        for name, _ in activations:
            if name not in ACTIVATIONS:
                raise ValueError(f"activations must be of {sorted(ACTIVATIONS)}; got {name!r}.")
        self.activations = [*activations, ("identity", 0.0)][:n_layers]
        self.layers = LayerTable(self.sizes, self.activations)

    def layers_with_dropout(self, rates: Sequence[float]) -> LayerTable:
        """The layer table for training with these rates of dropout in the hidden layers."""
        return LayerTable(self.sizes, self.activations, rates) if any(rates) else self.layers

    def initialize(
        self,
        random_state: np.random.RandomState,
        weight_init: str = "auto",
        lone: tuple[str, float] = ("identity", 0.0),
    ) -> None:
        """Draw the parameters, in scikit-learn's order: weights, then intercepts, layer by layer.

        The rule of a layer goes by its activation; the output layer follows the last hidden one, as
        in scikit-learn. By scikit-learn's rule (Glorot and Bengio 2010) both weights and intercepts
        are uniform in ±sqrt(f / (n_in + n_out)), with f = 2 for the logistic activation and 6 for the
        others.

        Parameters
        ----------
        random_state : RandomState
        weight_init : str
            "auto" or a name in ``INITIALIZATIONS``.
        lone : (str, float), default=("identity", 0.0)
            The activation that the rule goes by where there is no hidden layer.
        """
        if weight_init != "auto" and weight_init not in INITIALIZATIONS:
            raise ValueError(
                f"weight_init must be 'auto' or one of {sorted(INITIALIZATIONS)}; got {weight_init!r}."
            )
        hidden = self.activations[:-1] or [lone]
        for i, (weights, intercepts) in enumerate(zip(self.coefs, self.intercepts, strict=True)):
            name, slope = hidden[min(i, len(hidden) - 1)]
            init = ACTIVATIONS[name].init
            if weight_init == "auto" and init == "scikit-learn":
                factor = 2.0 if name == "logistic" else 6.0
                draw = _uniform(np.sqrt(factor / sum(weights.shape)))
                parts = [weights.reshape(-1), intercepts]
            else:
                rule = AUTOMATIC[init] if weight_init == "auto" else weight_init
                draw = INITIALIZATIONS[rule](*weights.shape, name, slope)
                parts = [weights.reshape(-1)]
                intercepts[:] = 0
            for values in parts:
                for start in range(0, values.size, DRAW):
                    part = values[start : start + DRAW]
                    part[:] = draw(random_state, part.size)

    def work(self, n_rows: int, samples: Samples | None = None) -> float:
        """Multiplications of a training step with `n_rows` rows, dense or like those of `samples`."""
        dense: float = n_rows * self.n_weights
        if samples is not None and samples.sparse:
            n_in, n_out = self.sizes[:2]
            dense += n_rows * n_out * (samples.n_entries / samples.n_rows - n_in)
        return 3 * dense + 5 * self.params.size  # forward, two products back, the optimizer

    def copy(self) -> Network:
        other = Network(self.sizes, self.activations, self.dtype)
        other.params[:] = self.params
        return other

    # What a training loop of one's own needs.

    def scratch(self, max_batch: int) -> Workspace:
        """Room for `loss_and_gradient` on batches of up to `max_batch` rows.

        Parameters
        ----------
        max_batch : int
            Larger batches work; they are taken in parts.

        Returns
        -------
        scratch : Workspace
            To be used by one thread at a time.
        """
        if not isinstance(max_batch, Integral) or max_batch < 1:
            raise ValueError(f"max_batch must be an integer > 0; got {max_batch!r}.")
        n_threads = n_threads_for(self.work(max_batch))
        return Workspace(self.layers, int(max_batch), self.dtype, most_threads=n_threads)

    def forward(self, X: Matrix, *, out: Array | None = None, check: bool = True) -> Array:
        """Raw scores, or what the output activation makes of them.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_rows, n_features)
        out : ndarray of shape (n_rows, n_outputs), default=None
            Where to write them, in C order and the network's dtype; None: a new array.
        check : bool, default=True
            Whether to convert and check X.

        Returns
        -------
        scores : ndarray of shape (n_rows, n_outputs)
        """
        samples = self._samples(self._checked(X) if check else X)
        return predict_batches(self.layers, self.params, samples, out=out)

    def loss_and_gradient(
        self,
        X: Matrix,
        y: ArrayLike,
        loss: str | Loss = "squared_error",
        sample_weight: ArrayLike | None = None,
        *,
        out: Array | None = None,
        accumulate: bool = False,
        scratch: Workspace | None = None,
        check: bool = True,
    ) -> tuple[float, Array]:
        """The mean loss over the rows and its gradient.

        Parameters
        ----------
        X : {array-like, CSR matrix} of shape (n_rows, n_features)
        y : array-like of shape (n_rows,) or (n_rows, n_targets)
            For "log_loss" class numbers from 0 to n_outputs - 1, for "binary_log_loss" 0 or 1 per
            output, otherwise numbers. With ``check=False`` of two dimensions, int32 for the log losses
            and of the network's dtype for the others.
        loss : str or Loss, default="squared_error"
            A name, or a `sklearn_mlp.losses.Loss`, which may have a parameter of its own.
        sample_weight : array-like of shape (n_rows,), default=None
            Not negative and not all zero. The loss is the weighted mean.
        out : ndarray of shape (n_params,), default=None
            Where to write the gradient; None: a new array.
        accumulate : bool, default=False
            Whether to add to `out` instead of overwriting it.
        scratch : Workspace, default=None
            Of `scratch`; None: one is made for the call.
        check : bool, default=True
            Whether to convert and check the arrays.

        Returns
        -------
        loss : float
            Of several outputs the sum, to which the gradient belongs.
        gradient : ndarray of shape (n_params,)
            In the layout of `params`.

        Raises
        ------
        ValueError, TypeError
            If the arrays or the loss do not fit the network.
        """
        loss = loss if isinstance(loss, Loss) else Loss(loss, self.sizes[-1])
        if check:
            X, y, sample_weight = self._checked(X, y, loss, sample_weight)
        if accumulate and out is None:
            raise ValueError("accumulate=True needs the gradient to add to as out.")
        gradient = empty_vector(self.params.size, self.dtype) if out is None else out
        if out is not None and not isinstance(out, np.ndarray):
            raise TypeError(f"out must be an ndarray; got {type(out).__name__}.")
        samples = self._samples(X, y, sample_weight)
        scratch = self.scratch(min(samples.n_rows, 1024) or 1) if scratch is None else scratch
        if not isinstance(scratch, Workspace):
            raise TypeError(f"scratch must be what scratch() returns; got {type(scratch).__name__}.")
        divisor = samples.n_rows if sample_weight is None else float(np.sum(sample_weight, dtype=float))
        arguments = (self.layers, self.params, samples, loss, scratch, gradient, divisor, accumulate)
        n_threads = still_available(scratch.most_threads)
        if n_threads == 1 and not CALLS_BLAS:
            return loss_and_gradient_of(*arguments), gradient
        with team(n_threads) as n_threads:
            return loss_and_gradient_of(*arguments, n_threads), gradient

    def _samples(self, X, y=None, sample_weight=None):
        for name, array in (("X", X), ("y", y), ("sample_weight", sample_weight)):
            may_be_other = issparse(array) if name == "X" else array is None
            if not (may_be_other or isinstance(array, np.ndarray)):
                raise TypeError(
                    f"{name} must be an ndarray; got {type(array).__name__}. Use numpy.asarray, or "
                    "check=True."
                )
        if X.dtype != self.dtype:
            raise TypeError(f"X is {X.dtype} and the network {self.dtype}; convert it, or check=True.")
        return Samples(X, y, sample_weight)

    def _checked(self, X, y=None, loss=None, sample_weight=None):
        X = kernel_input(
            check_array(X, accept_sparse=["csr", "csc"], dtype=self.dtype, order="C", input_name="X")
        )
        if X.shape[1] != self.sizes[0]:
            raise ValueError(f"X has {X.shape[1]} features; the network takes {self.sizes[0]}.")
        if loss is None:
            return X
        dtype = np.int32 if loss.takes_codes else self.dtype
        y = check_array(y, dtype=None, ensure_2d=False, allow_nd=False, input_name="y")
        y = y.reshape(y.shape[0], -1)
        if y.shape != (X.shape[0], loss.n_targets):
            raise ValueError(
                f"y has shape {y.shape}; loss {loss.name!r} takes {(X.shape[0], loss.n_targets)}."
            )
        limit = loss.n_outputs if loss.name == "log_loss" else 2
        if loss.takes_codes and not self._are_codes(y, limit):
            found = sorted(set(y.ravel().tolist()), key=str)
            raise ValueError(
                f"loss {loss.name!r} takes integers from 0 to {limit - 1} as y; got "
                f"{reprlib.repr(found)}. Number the classes."
            )
        if sample_weight is not None:
            sample_weight = np.ascontiguousarray(
                _check_sample_weight(sample_weight, X, dtype=self.dtype, ensure_non_negative=True)
            )
            if not sample_weight.any():
                raise ValueError("sample_weight is zero for every row; give some a weight.")
        with np.errstate(over="ignore"):
            y = np.ascontiguousarray(y, dtype=dtype)
        if not np.isfinite(y).all():
            raise ValueError(
                f"y has values too large for {dtype}; scale them, or make a network with a wider dtype."
            )
        return X, y, sample_weight

    @staticmethod
    def _are_codes(y, limit):
        numeric = y.dtype.kind in "biuf"
        return numeric and bool((y >= 0).all() and (y < limit).all() and (y % 1 == 0).all())

    # Views.

    def _views(self, shapes, start):
        views = ParameterList()
        for shape in shapes:
            stop = start + int(np.prod(shape))
            views.append(self.params[start:stop].reshape(shape))
            start = stop
        return views

    @property
    def coefs(self) -> list[Array]:
        """Views of the weights, one of shape (n_in, n_out) per layer."""
        return self._views(list(pairwise(self.sizes)), 0)

    @property
    def intercepts(self) -> list[Array]:
        """Views of the intercepts, one of shape (n_out,) per layer."""
        return self._views([(size,) for size in self.sizes[1:]], self.layers.n_weights)

    def __getstate__(self):
        return {
            "sizes": self.sizes,
            "activations": self.activations,
            "params": self.params,
        }

    def __setstate__(self, state):
        params, sizes = state["params"], tuple(int(size) for size in state["sizes"])
        if not isinstance(params, np.ndarray) or params.dtype not in (np.float32, np.float64):
            raise ValueError("the parameters of a network must be an array of float32 or float64.")
        if params.shape != (self.count(sizes),) or not params.flags.c_contiguous:
            raise ValueError(
                f"layers of sizes {sizes} have {self.count(sizes)} parameters; got an array of shape "
                f"{params.shape} with strides {params.strides}."
            )
        self.sizes, self.params, self.dtype = sizes, params, params.dtype
        self.set_activations(state["activations"])
