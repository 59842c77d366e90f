"""The network: sizes, activations and one flat vector of parameters."""

from itertools import pairwise

import numpy as np

from sklearn_mlp._dense import LayerTable
from sklearn_mlp._memory import empty_vector, require_memory

# Values drawn at a time when weights are initialised: RandomState draws float64, the parameters may
# be float32, and a second copy of a large layer is not wanted.
DRAW = 1 << 16


class ParameterList(list):
    """A list of views into the parameter vector: assigning an item writes into the vector."""

    def __setitem__(self, index, value):
        if isinstance(index, slice):
            targets, values = self[index], list(value)
            if len(targets) != len(values):
                raise ValueError(f"{len(values)} arrays for {len(targets)} layers")
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


class Network:
    """Dense layers over one flat vector: all weights, layer by layer, then all intercepts.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, input and output included.
    activation : str
        Of every hidden layer; the last layer gives raw scores.
    dtype : dtype-like
        float32 or float64.

    Attributes
    ----------
    params : ndarray of shape (n_params,)
    layers : LayerTable
        What the kernels read.
    """

    def __init__(self, sizes, activation, dtype):
        self.sizes = tuple(int(size) for size in sizes)
        self.dtype = np.dtype(dtype)
        require_memory(
            self.count(self.sizes) * self.dtype.itemsize, f"a network of layer sizes {self.sizes}"
        )
        self.set_activation(activation)
        self.params = empty_vector(self.layers.n_params, self.dtype)

    @staticmethod
    def count(sizes):
        """Parameters of a network with layers of these sizes."""
        return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))

    @classmethod
    def training_bytes(cls, sizes, itemsize, n_vectors, batch_rows, gathered):
        """Bytes of a training: `n_vectors` as long as the parameters, and blocks of `batch_rows`."""
        block = sum(sizes[1:]) + 2 * max(sizes[1:]) + (sizes[0] if gathered else 0)
        return (cls.count(sizes) * n_vectors + batch_rows * block) * itemsize

    def set_activation(self, activation):
        self.activation = activation
        hidden = len(self.sizes) - 2
        self.layers = LayerTable(self.sizes, [activation] * hidden + ["identity"])

    def initialize(self, random_state):
        """Draw the parameters as scikit-learn does (Glorot and Bengio 2010), in its order.

        Weights and intercepts of a layer are uniform in ±sqrt(f / (n_in + n_out)), with f = 2 for
        the logistic activation and 6 for the others.
        """
        factor = 2.0 if self.activation == "logistic" else 6.0
        for weights, intercepts in zip(self.coefs, self.intercepts, strict=True):
            bound = np.sqrt(factor / sum(weights.shape))
            for values in (weights.reshape(-1), intercepts):
                for start in range(0, values.size, DRAW):
                    part = values[start : start + DRAW]
                    part[:] = random_state.uniform(-bound, bound, part.size)

    def copy(self):
        other = Network(self.sizes, self.activation, self.dtype)
        other.params[:] = self.params
        return other

    def _views(self, shapes, start):
        views = ParameterList()
        for shape in shapes:
            stop = start + int(np.prod(shape))
            views.append(self.params[start:stop].reshape(shape))
            start = stop
        return views

    @property
    def coefs(self):
        """Views of the weights, one of shape (n_in, n_out) per layer."""
        return self._views(list(pairwise(self.sizes)), 0)

    @property
    def intercepts(self):
        """Views of the intercepts, one of shape (n_out,) per layer."""
        return self._views([(size,) for size in self.sizes[1:]], self.layers.n_weights)

    def __getstate__(self):
        return {
            "sizes": self.sizes,
            "activation": self.activation,
            "dtype": self.dtype,
            "params": self.params,
        }

    def __setstate__(self, state):
        vars(self).update(state)
        self.set_activation(self.activation)
