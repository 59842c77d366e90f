"""Activations: codes, forward, derivative, and the table of their names.

An activation is a code, a branch in ``add_intercepts_and_activate``, a branch in
``multiply_by_derivative`` and a row in ``ACTIVATIONS``. The branch is taken once per layer and batch,
outside the inner loop. A derivative is a function of the activation's own output, as in
scikit-learn, so that nothing but the output is kept from the forward pass.

NaN is never hidden: every form below passes it on.
"""
from cython cimport floating

from sklearn_mlp._blas import INSTRUCTION_SET

cdef extern from "_rows.h" nogil:
    void tanh_row_f(bint avx2, float* row, const float* intercepts, Py_ssize_t n)
    void tanh_row_d(bint avx2, double* row, const double* intercepts, Py_ssize_t n)
    void logistic_row_f(bint avx2, float* row, const float* intercepts, Py_ssize_t n)
    void logistic_row_d(bint avx2, double* row, const double* intercepts, Py_ssize_t n)

cdef bint avx2 = INSTRUCTION_SET == "avx2"

cdef enum:
    IDENTITY
    LOGISTIC
    TANH
    RELU

ACTIVATIONS = {"identity": IDENTITY, "logistic": LOGISTIC, "tanh": TANH, "relu": RELU}


cdef void add_intercepts_and_activate(
    int activation,
    floating* z,                 # IN: products of shape (n_rows, n_units). OUT: activations
    const floating* intercepts,  # IN
    Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil:
    cdef:
        Py_ssize_t i, j
        floating* row
        floating x
    for i in range(n_rows):
        row = z + i * n_units
        if activation == RELU:
            for j in range(n_units):
                x = row[j] + intercepts[j]
                row[j] = 0 if x < 0 else x
        elif activation == TANH:
            if floating is float:
                tanh_row_f(avx2, row, intercepts, n_units)
            else:
                tanh_row_d(avx2, row, intercepts, n_units)
        elif activation == LOGISTIC:
            if floating is float:
                logistic_row_f(avx2, row, intercepts, n_units)
            else:
                logistic_row_d(avx2, row, intercepts, n_units)
        else:
            for j in range(n_units):
                row[j] = row[j] + intercepts[j]


cdef void multiply_by_derivative(
    int activation,
    const floating* a,  # IN: activations
    floating* delta,    # IN: dloss/da. OUT: dloss/dz
    Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    if activation == RELU:
        for i in range(n):
            delta[i] = 0 if a[i] == 0 else delta[i]
    elif activation == TANH:
        for i in range(n):
            delta[i] = delta[i] * (1 - a[i] * a[i])
    elif activation == LOGISTIC:
        for i in range(n):
            delta[i] = delta[i] * a[i] * (1 - a[i])
    # IDENTITY: the derivative is one.


def activate(str name, floating[:, ::1] z, const floating[::1] intercepts):
    """Add the intercepts and apply activation `name`, in place.

    Parameters
    ----------
    name : str
        One of ``ACTIVATIONS``.
    z : ndarray of shape (n_rows, n_units), dtype float32 or float64
        Overwritten with the activations.
    intercepts : ndarray of shape (n_units,)
    """
    cdef int code = ACTIVATIONS[name]
    if intercepts.shape[0] != z.shape[1]:
        raise ValueError(f"{intercepts.shape[0]} intercepts for {z.shape[1]} units")
    if z.shape[0] and z.shape[1]:
        add_intercepts_and_activate(code, &z[0, 0], &intercepts[0], z.shape[0], z.shape[1])


def backpropagate(str name, const floating[:, ::1] a, floating[:, ::1] delta):
    """Multiply `delta` in place by the derivative of activation `name` where it has output `a`."""
    cdef int code = ACTIVATIONS[name]
    if a.shape[0] != delta.shape[0] or a.shape[1] != delta.shape[1]:
        raise ValueError(
            f"activations of shape {(a.shape[0], a.shape[1])}, "
            f"delta of shape {(delta.shape[0], delta.shape[1])}")
    if a.shape[0] and a.shape[1]:
        multiply_by_derivative(code, &a[0, 0], &delta[0, 0], a.shape[0] * a.shape[1])
