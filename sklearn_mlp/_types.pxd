"""The C structs that the kernels share. They hold no parameter type: pointers into arrays of float
or double are ``void`` here and are cast by the kernel, which is written once for both."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t


cdef struct LayerSpec:
    Py_ssize_t n_in
    Py_ssize_t n_out
    Py_ssize_t weights      # offset of the (n_in, n_out) block in the parameter vector
    Py_ssize_t intercepts   # offset of the n_out intercepts in the parameter vector
    Py_ssize_t column       # units in the layers before this one: where its activations start, per row
    Py_ssize_t slopes       # the same for the slopes that training keeps of it; -1 where it keeps none
    int activation
    double negative_slope
    uint32_t drop_below     # a unit is dropped where its random number is smaller: 2^32 times the rate
    double kept_scale       # what training multiplies the other units by


# A slice of the parameters: rows of the weights of a layer, or all of its intercepts.
cdef struct BlockSpec:
    int layer
    Py_ssize_t first_row    # of the weights; -1 for intercepts
    Py_ssize_t n_rows
    Py_ssize_t start        # in the parameter vector
    Py_ssize_t size
    Py_ssize_t middle       # half of its work and all of that of the blocks before it


cdef struct SampleSpec:
    Py_ssize_t n_features
    const void* values      # dense: (n_rows, n_features) in C order; CSR: the stored entries
    const int32_t* indices  # CSR: column of each entry; NULL for dense input
    const int64_t* indptr   # CSR: where each row starts
    const void* targets     # int32 codes for classification, parameter type for regression
    const void* weights     # one per row, parameter type; NULL where every row counts the same


# What a forward and backward pass writes, for up to `capacity` rows.
cdef struct WorkspaceSpec:
    Py_ssize_t capacity
    void* gathered          # (capacity, n_features), for permuted dense rows
    void* activations       # (capacity, sum of n_out)
    void* slopes            # (capacity, sum of n_out over the layers that keep slopes)
    void* deltas            # (capacity, sum of n_out)
    void* work              # of matrix products, a part per thread
    double* shard_sums      # one per shard of rows
    double* block_sums      # one per block of parameters
    void* outputs           # (n_rows of the data set, n_outputs): raw scores as they came by, or NULL
    uint64_t dropout_key    # of the epoch


cdef struct LossSpec:
    int code
    Py_ssize_t n_outputs
    double parameter


cdef struct OptimSpec:
    int code
    Py_ssize_t n_moments
    double momentum
    bint nesterov
    double beta_1
    double beta_2
    double epsilon
    double weight_decay


# The row that a batch starting at `first` has in place i: `rows` is a permutation, or NULL for rows
# taken in order.
cdef inline Py_ssize_t row_at(const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t i) noexcept nogil:
    return first + i if rows is NULL else rows[first + i]
