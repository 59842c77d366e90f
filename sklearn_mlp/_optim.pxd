from cython cimport floating

from sklearn_mlp._types cimport OptimSpec


cdef class OptimizerState:
    cdef readonly object moments
    cdef public Py_ssize_t n_steps

cdef class Optimizer:
    cdef OptimSpec spec

# What a step does beyond the settings.
cdef struct StepSpec:
    double l2            # factor of a weight in its gradient
    double clip          # factor of the whole gradient
    double rate
    double root          # AdamW: factor of the root of the second moment
    double kept          # AdamW: what is left of a weight

cdef double sum_of_squares(
    const floating* params, const floating* gradient, Py_ssize_t n, double l2,
) noexcept nogil

cdef StepSpec step_of(
    const OptimSpec* spec, double rate, Py_ssize_t n_steps, double l2, double clip,
) noexcept nogil

cdef double update(
    const OptimSpec* spec, StepSpec step, floating* params, const floating* gradient,
    floating* moments, Py_ssize_t n_params, Py_ssize_t start, Py_ssize_t size, bint weights,
) noexcept nogil

cdef double clip_factor(double norm, double max_norm) noexcept nogil
