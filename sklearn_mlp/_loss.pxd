from cython cimport floating

from sklearn_mlp._types cimport LossSpec


cdef class Loss:
    cdef LossSpec spec
    cdef readonly str name

cdef double loss_and_delta(
    const LossSpec* loss, const floating* raw, const void* targets, const floating* weights,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, double scale, floating* delta,
) noexcept nogil
