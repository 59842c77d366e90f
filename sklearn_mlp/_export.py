"""What exporters share: a fitted model as plain layers, task and labels; numbers as text."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Layer(NamedTuple):
    """A layer of a fitted network, in the dtype that is exported."""

    weights: np.ndarray  # of shape (n_in, n_out)
    intercepts: np.ndarray  # of shape (n_out,)
    activation: str
    slope: float  # of leaky_relu


class Model(NamedTuple):
    """A fitted estimator as exporters see it."""

    layers: list
    dtype: np.dtype
    task: str  # "regression", "binary", "multiclass" or "multilabel"
    link: str
    labels: list  # of int or of str, in the order of classes_; empty for a regression

    @property
    def n_features(self):
        return self.layers[0].weights.shape[0]

    @property
    def n_scores(self):
        """Raw scores per row."""
        return self.layers[-1].weights.shape[1]

    @property
    def n_outputs(self):
        """Values, or probabilities, per row."""
        return 2 if self.task == "binary" else self.n_scores


def exported_dtype(value, fitted):
    """The dtype that `value`, an argument `dtype`, stands for in the export of a `fitted` one."""
    if value is None:
        return fitted
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or dtype not in FLOATS:  # for NumPy, float64 == None
        raise ValueError(
            f"dtype must be 'float32', 'float64', or None for the dtype of the model; got {value!r}."
        )
    return dtype


def exported_model(estimator, dtype=None):
    """A fitted estimator as a `Model`, in `dtype` or its own.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    ValueError, TypeError
        If there is no such dtype, a parameter is not finite in it, or the labels are neither integers
        nor strings.
    """
    check_is_fitted(estimator)
    network = estimator._network
    dtype = exported_dtype(dtype, network.dtype)
    layers = []
    for i, (weights, intercepts) in enumerate(zip(network.coefs, network.intercepts, strict=True)):
        with np.errstate(over="ignore", under="ignore"):
            arrays = [values.astype(dtype, copy=False) for values in (weights, intercepts)]
        if not all(np.isfinite(values).all() for values in arrays):
            raise ValueError(
                f"coefs_[{i}] or intercepts_[{i}] has numbers that are not finite in {dtype}; such a "
                "model cannot be exported. Use a wider dtype, or fit it again."
            )
        layers.append(Layer(*arrays, *network.activations[i]))
    task = _task(estimator)
    labels = [] if task == "regression" else plain_labels(estimator.classes_)
    return Model(layers, dtype, task, estimator._loss.link, labels)


def decimals(values):
    """The numbers of an array as the shortest decimals that are read back to the same bits.

    Most readers take a decimal for a float64 first. There are float32 whose shortest decimal then
    rounds to a neighbour (7.038531e-26 is one); these are written with the digits of a float64.
    """
    if values.dtype == np.float64:
        return [repr(value) for value in values.tolist()]
    with np.printoptions(legacy=False):  # an older way of printing has fewer digits
        texts = values.astype(str).tolist()
    with np.errstate(under="ignore"):
        read = np.fromiter(map(float, texts), np.float64, len(texts)).astype(np.float32)
    for i in np.flatnonzero(read.view(np.int32) != values.view(np.int32)).tolist():
        texts[i] = repr(float(values[i]))
    return texts


def _task(estimator):
    binarizer = vars(estimator).get("_label_binarizer")
    if binarizer is None:
        return "regression"
    if binarizer.y_type_.startswith("multilabel"):
        return "multilabel"
    return "binary" if estimator._loss.link == "logistic" else "multiclass"


def plain_labels(classes):
    """Class labels as a list of int or of str.

    Raises
    ------
    ValueError, TypeError
        If they are anything else than integers (also as bool or float) and strings.
    """
    classes = np.asarray(classes)
    labels = classes.tolist()
    if all(isinstance(label, str) for label in labels):
        return labels
    # Dates to the nanosecond become integers in a list.
    if classes.dtype.kind in "mM" or not all(isinstance(label, int | float) for label in labels):
        raise TypeError(
            f"only labels that are integers or strings can be exported; got {classes!r}. "
            "Fit with such labels."
        )
    integers = [int(label) for label in labels]
    if integers != labels:
        raise ValueError(
            f"labels that are numbers must be integers to be exported; got {classes!r}. "
            "Fit with such labels."
        )
    if not -(2**63) <= min(integers) <= max(integers) < 2**63:
        raise ValueError(
            f"labels must lie within 64-bit integers to be exported; got {classes!r}. "
            "Fit with such labels."
        )
    return integers
