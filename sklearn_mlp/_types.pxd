"""The C structs that the kernels share. They hold no parameter type: pointers into arrays of float
or double are ``void`` here and are cast by the kernel, which is written once for both."""
from libc.stdint cimport int32_t, int64_t


cdef struct LayerSpec:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t weights      # offset of the (n_in, n_out) block in the parameter vector
    Py_ssize_t intercepts   # offset of the n_out intercepts in the parameter vector
    Py_ssize_t column       # units in the layers before this one: where its activations start, per row
    int activation


cdef struct SampleSpec:
    Py_ssize_t n_features
    const void* values      # dense: (n_rows, n_features) in C order; CSR: the stored entries
    const int32_t* indices  # CSR: column of each entry; NULL for dense input
    const int64_t* indptr   # CSR: where each row starts
    const void* targets     # int32 codes for classification, parameter type for regression
    const void* weights     # one per row, parameter type; NULL where every row counts the same


cdef struct LossSpec:
    int code
    Py_ssize_t n_outputs


cdef struct OptimSpec:
    int code
    double momentum
    bint nesterov
    double beta_1
    double beta_2
    double epsilon


# The row that a batch starting at `first` has in place i: `rows` is a permutation, or NULL for rows
# taken in order.
cdef inline Py_ssize_t row_at(const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t i) noexcept nogil:
    return first + i if rows is NULL else rows[first + i]
