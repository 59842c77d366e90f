from cython cimport floating


cdef void apply_activation(
    int activation, double negative_slope, floating* z, floating* slopes, Py_ssize_t n,
) noexcept nogil

cdef void multiply_by_derivative(
    int activation, double negative_slope, const floating* a, floating* delta, Py_ssize_t n,
) noexcept nogil
