"""Activations: their table, and the kernels that apply them and their derivatives.

An activation is a row of ``ROWS`` in ``_rows.h``, which has its formulas, and a row of ``ACTIVATIONS``.
Its loop is looked up once per layer and batch.

Where the derivative is a function of the activation's own output, as for all of scikit-learn's, nothing
but the output is kept from the forward pass. Of the others, and of those whose output is changed
before it is read again, the forward pass keeps the slopes.

NaN is never hidden: every formula passes it on.
"""
from cython cimport floating

from numbers import Real
from typing import NamedTuple

from sklearn_mlp._blas import INSTRUCTION_LEVEL

cdef extern from "_rows.h" nogil:
    enum:
        ROWS_IDENTITY
        ROWS_LOGISTIC
        ROWS_TANH
        ROWS_RELU
        ROWS_LEAKY_RELU
        ROWS_ELU
        ROWS_SELU
        ROWS_SOFTPLUS
        ROWS_GELU
        ROWS_SILU
        ROWS_MISH

    ctypedef struct rows_float:
        void (*forward)(
            float* z, float* slopes, float negative_slope, Py_ssize_t n) noexcept nogil
        void (*back)(
            const float* activations, float* delta, float negative_slope,
            Py_ssize_t n) noexcept nogil

    ctypedef struct rows_double:
        void (*forward)(
            double* z, double* slopes, double negative_slope, Py_ssize_t n) noexcept nogil
        void (*back)(
            const double* activations, double* delta, double negative_slope,
            Py_ssize_t n) noexcept nogil

    const rows_float* rows_of_float(int level)
    const rows_double* rows_of_double(int level)

cdef:
    const rows_float* single_rows = rows_of_float(INSTRUCTION_LEVEL)
    const rows_double* double_rows = rows_of_double(INSTRUCTION_LEVEL)


class Activation(NamedTuple):
    """What the rest of the package knows about an activation."""

    code: int
    init: str  # the distribution of initial weights: "scikit-learn", "he", "lecun" or "glorot"
    from_output: bool  # whether the derivative is a function of the output


ACTIVATIONS = {
    "identity": Activation(ROWS_IDENTITY, "scikit-learn", True),
    "logistic": Activation(ROWS_LOGISTIC, "scikit-learn", True),
    "tanh": Activation(ROWS_TANH, "scikit-learn", True),
    "relu": Activation(ROWS_RELU, "scikit-learn", True),
    "leaky_relu": Activation(ROWS_LEAKY_RELU, "he", True),
    "elu": Activation(ROWS_ELU, "he", True),
    "selu": Activation(ROWS_SELU, "lecun", True),
    "softplus": Activation(ROWS_SOFTPLUS, "glorot", True),
    "gelu": Activation(ROWS_GELU, "he", False),
    "silu": Activation(ROWS_SILU, "he", False),
    "mish": Activation(ROWS_MISH, "he", False),
}

NEGATIVE_SLOPE = 0.01  # of leaky_relu, where none is given


def parse_activation(value, str what="activation"):
    """Return the name and the negative slope that `value` stands for.

    Parameters
    ----------
    value : str or tuple
        One of ``ACTIVATIONS``, or ``("leaky_relu", slope)`` with a real number in [0, 1).
    what : str
        What the error messages call `value`.

    Returns
    -------
    name : str
    negative_slope : float
        0.0 for all activations but leaky_relu.
    """
    allowed = f'must be one of {sorted(ACTIVATIONS)} or ("leaky_relu", slope)'
    if isinstance(value, str):
        if value not in ACTIVATIONS:
            raise ValueError(f"{what} {allowed}; got {value!r}")
        return str(value), NEGATIVE_SLOPE if value == "leaky_relu" else 0.0
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{what} {allowed}; got {value!r} of type {type(value).__name__}")
    if len(value) != 2 or not isinstance(value[0], str) or value[0] != "leaky_relu":
        raise ValueError(f"{what} {allowed}; got {value!r}")
    slope = value[1]
    if not isinstance(slope, Real) or isinstance(slope, bool):
        raise TypeError(
            f"{what}: the slope of leaky_relu must be a real number; got {slope!r} of type "
            f"{type(slope).__name__}")
    if not 0 <= slope < 1:
        raise ValueError(f"{what}: the slope of leaky_relu must be in [0, 1); got {slope!r}")
    return "leaky_relu", abs(float(slope))


cdef void apply_activation(
    int activation,
    double negative_slope,  # of LEAKY_RELU
    floating* z,            # IN: sums. OUT: activations
    floating* slopes,       # OUT where not NULL: the derivatives
    Py_ssize_t n,
) noexcept nogil:
    if floating is float:
        single_rows[activation].forward(z, slopes, <float> negative_slope, n)
    else:
        double_rows[activation].forward(z, slopes, negative_slope, n)


cdef void multiply_by_derivative(
    int activation,     # one whose derivative is a function of the output
    double negative_slope,
    const floating* a,  # IN: activations
    floating* delta,    # IN: dloss/da. OUT: dloss/dz
    Py_ssize_t n,
) noexcept nogil:
    if floating is float:
        single_rows[activation].back(a, delta, <float> negative_slope, n)
    else:
        double_rows[activation].back(a, delta, negative_slope, n)


def activate(
    str name, floating[:, ::1] z, const floating[::1] intercepts, floating[:, ::1] slopes=None,
    double negative_slope=NEGATIVE_SLOPE,
):
    """Add the intercepts and apply activation `name`, in place.

    Parameters
    ----------
    name : str
        One of ``ACTIVATIONS``.
    z : ndarray of shape (n_rows, n_units), dtype float32 or float64
        Overwritten with the activations.
    intercepts : ndarray of shape (n_units,)
    slopes : ndarray of shape (n_rows, n_units), default=None
        Overwritten with the derivatives, if given.
    negative_slope : float, default=0.01
        For leaky_relu.
    """
    cdef:
        int code = ACTIVATIONS[name].code
        floating* slopes_ = NULL
        Py_ssize_t i, j
    if intercepts.shape[0] != z.shape[1]:
        raise ValueError(f"{intercepts.shape[0]} intercepts for {z.shape[1]} units; give one for each")
    if slopes is not None and (slopes.shape[0] != z.shape[0] or slopes.shape[1] != z.shape[1]):
        raise ValueError(
            f"slopes of shape {(slopes.shape[0], slopes.shape[1])} for "
            f"activations of shape {(z.shape[0], z.shape[1])}; give them the same shape")
    if z.shape[0] and z.shape[1]:
        if slopes is not None:
            slopes_ = &slopes[0, 0]
        for i in range(z.shape[0]):
            for j in range(z.shape[1]):
                z[i, j] += intercepts[j]
        apply_activation(code, negative_slope, &z[0, 0], slopes_, z.shape[0] * z.shape[1])


def backpropagate(
    str name, const floating[:, ::1] a, floating[:, ::1] delta, double negative_slope=NEGATIVE_SLOPE,
):
    """Multiply `delta` in place by the derivative of activation `name` where it has output `a`."""
    cdef int code = ACTIVATIONS[name].code
    if not ACTIVATIONS[name].from_output:
        known = [other for other, row in ACTIVATIONS.items() if row.from_output]
        raise ValueError(
            f"the derivative of {name} is not a function of its output, as that of {known} is; take "
            "the slopes of `activate`")
    if a.shape[0] != delta.shape[0] or a.shape[1] != delta.shape[1]:
        raise ValueError(
            f"activations of shape {(a.shape[0], a.shape[1])}, "
            f"delta of shape {(delta.shape[0], delta.shape[1])}; give them the same shape")
    if a.shape[0] and a.shape[1]:
        multiply_by_derivative(
            code, negative_slope, &a[0, 0], &delta[0, 0], a.shape[0] * a.shape[1])
