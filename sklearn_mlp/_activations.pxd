from cython cimport floating


cdef void add_intercepts_and_activate(
    int activation, double negative_slope, floating* z, floating* slopes,
    const floating* intercepts, Py_ssize_t n_rows, Py_ssize_t n_units,
) noexcept nogil

cdef void multiply_by_derivative(
    int activation, double negative_slope, const floating* a, floating* delta, Py_ssize_t n,
) noexcept nogil
