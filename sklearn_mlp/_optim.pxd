from cython cimport floating

from sklearn_mlp._types cimport OptimSpec


cdef class OptimizerState:
    cdef readonly object moments
    cdef public Py_ssize_t n_steps

cdef class Optimizer:
    cdef OptimSpec spec

cdef double optimizer_step(
    const OptimSpec* spec, floating* params, const floating* gradient, floating* moments,
    Py_ssize_t n_params, Py_ssize_t n_weights, double l2, double rate, Py_ssize_t n_steps,
    double max_norm, double* norm,
) noexcept nogil
