from cython cimport floating

from sklearn_mlp._types cimport OptimSpec


cdef class OptimizerState:
    cdef readonly object moments
    cdef public Py_ssize_t n_steps

cdef class Optimizer:
    cdef OptimSpec spec

cdef extern from "_steps.h":
    ctypedef struct step_numbers:
        double l2, clip, rate, momentum
        bint nesterov
        double beta_1, beta_2, epsilon, root, kept

cdef double sum_of_squares(
    const floating* params, const floating* gradient, Py_ssize_t n, double l2,
) noexcept nogil

cdef step_numbers step_of(
    const OptimSpec* spec, double rate, Py_ssize_t n_steps, double l2, double clip,
) noexcept nogil

cdef double update(
    const OptimSpec* spec, step_numbers step, floating* params, const floating* gradient,
    floating* moments, Py_ssize_t n_params, Py_ssize_t start, Py_ssize_t size, bint weights,
) noexcept nogil

cdef double clip_factor(double norm, double max_norm) noexcept nogil
