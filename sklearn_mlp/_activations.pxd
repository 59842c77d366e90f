from cython cimport floating


cdef void add_intercepts_and_activate(
    int activation, floating* z, const floating* intercepts, Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil

cdef void multiply_by_derivative(
    int activation, const floating* a, floating* delta, Py_ssize_t n,
) noexcept nogil
