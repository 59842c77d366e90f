from cython cimport floating

from sklearn_mlp._types cimport LayerSpec, LossSpec, SampleSpec, WorkspaceSpec


cdef class LayerTable:
    cdef LayerSpec* specs
    cdef readonly int n_layers
    cdef readonly Py_ssize_t n_weights
    cdef readonly Py_ssize_t n_params
    cdef readonly Py_ssize_t n_columns
    cdef readonly Py_ssize_t n_slopes
    cdef readonly Py_ssize_t widest

cdef const floating* input_block(
    const SampleSpec* samples, const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* gathered,
) noexcept nogil

cdef void apply_layer(
    const LayerSpec* layer, const floating* params, const floating* inputs, Py_ssize_t n_rows,
    floating* outputs, floating* slopes,
) noexcept nogil

cdef void apply_sparse_layer(
    const LayerSpec* layer, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, floating* outputs,
    floating* slopes,
) noexcept nogil

cdef double loss_and_gradient(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, const LossSpec* loss,
    double scale, const WorkspaceSpec* space, floating* gradient, bint accumulate,
) noexcept nogil
