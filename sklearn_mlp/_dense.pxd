from cython cimport floating

from sklearn_mlp._types cimport BlockSpec, LayerSpec, LossSpec, SampleSpec, WorkspaceSpec


cdef class LayerTable:
    cdef LayerSpec* specs
    cdef BlockSpec* blocks
    cdef readonly Py_ssize_t n_blocks
    cdef Py_ssize_t work        # of all blocks
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
    floating* outputs, floating* slopes, floating* work,
) noexcept nogil

cdef void apply_sparse_layer(
    const LayerSpec* layer, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, floating* outputs,
    floating* slopes,
) noexcept nogil

cdef void sparse_weight_gradient(
    const LayerSpec* layer, const SampleSpec* samples, const Py_ssize_t* rows, Py_ssize_t first,
    Py_ssize_t n_rows, Py_ssize_t low, Py_ssize_t high, const WorkspaceSpec* space,
    floating* gradient, bint accumulate,
) noexcept nogil

cdef void forward_and_backward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t start, Py_ssize_t stop,
    const LossSpec* loss, double scale, const WorkspaceSpec* space, int thread,
) noexcept nogil

cdef bint merge(BlockSpec* block, const BlockSpec* next) noexcept nogil

cdef void block_gradient(
    const LayerSpec* layers, const BlockSpec* block, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, const WorkspaceSpec* space,
    floating* gradient, bint accumulate, int thread,
) noexcept nogil

cdef bint all_finite(const floating* values, Py_ssize_t n) noexcept nogil
