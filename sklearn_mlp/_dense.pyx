"""Forward and backward through the dense layers, from dense or CSR input.

The kernels are C functions on borrowed pointers; ``LayerTable`` is their only Python face. A layer
holds, for a batch of up to `capacity` rows, its activations at ``activations + capacity * column`` of
its spec, in C order. The first layer reads its input in place where the rows are taken in order, from
a gathered block where they are permuted, and from the CSR arrays where the input is sparse; nothing
is ever made dense. The input's own gradient is never computed.

A step has two parts: what concerns single rows (forward, loss, and back to the gradient of every
layer's sums: `forward_and_backward`) can be cut by rows, and the gradients of parameters
(`block_gradient`) by blocks of parameters. Neither cut changes a bit of the result.

Training keeps, beside the activations, the slope of every unit (the derivative of its activation, times
what dropout multiplied it by) for the layers whose slope is not a function of what they put out:
those with dropout, and those whose activation says so.
"""
from cython cimport floating
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sklearn_mlp._activations cimport apply_activation, multiply_by_derivative
from sklearn_mlp._blas cimport (
    GEMM_INTERCEPTS, GEMM_PLAIN, GEMM_RELU, GEMM_RELU_SLOPES, GEMM_SLOPES, GEMM_WORK, SHARD, gemm
)
from sklearn_mlp._loss cimport loss_and_delta
from sklearn_mlp._types cimport (
    BlockSpec, LayerSpec, LossSpec, SampleSpec, WorkspaceSpec, row_at
)

from sklearn_mlp._activations import ACTIVATIONS
from sklearn_mlp._blas import INSTRUCTION_LEVEL, INSTRUCTION_SET

cdef extern from "_dropout.h" nogil:
    uint64_t dropout_row_key(uint64_t epoch_key, uint64_t row, uint64_t layer)

cdef extern from "_rows.h" nogil:
    enum:
        ROWS_IDENTITY
        ROWS_RELU
    void rows_drop_float(int level, uint64_t row_key, uint32_t drop_below, float scale, float* row,
                         float* slopes, Py_ssize_t n)
    void rows_drop_double(int level, uint64_t row_key, uint32_t drop_below, double scale, double* row,
                          double* slopes, Py_ssize_t n)
    void rows_copy(char* to, const char* from_, size_t n_bytes)
    void rows_sum_float(int level, const float* x, Py_ssize_t n_rows, Py_ssize_t n, float* total,
                        bint accumulate)
    void rows_sum_double(int level, const double* x, Py_ssize_t n_rows, Py_ssize_t n, double* total,
                         bint accumulate)
    void rows_gather_float(int level, const float* values, const int32_t* indices, Py_ssize_t count,
                           const float* table, Py_ssize_t n, float* out)
    void rows_gather_double(int level, const double* values, const int32_t* indices, Py_ssize_t count,
                            const double* table, Py_ssize_t n, double* out)
    void rows_scatter_float(int level, const float* values, const int32_t* indices, Py_ssize_t count,
                            Py_ssize_t low, Py_ssize_t high, const float* x, Py_ssize_t n,
                            float* table)
    void rows_scatter_double(int level, const double* values, const int32_t* indices, Py_ssize_t count,
                             Py_ssize_t low, Py_ssize_t high, const double* x, Py_ssize_t n,
                             double* table)

cdef:
    bint CALLS_BLAS = INSTRUCTION_SET == "portable"
    int set_level = INSTRUCTION_LEVEL

cdef enum:
    LANES = 16

cdef:
    # Parameters of a block, by which the work is shared out: small networks too have enough of them.
    Py_ssize_t BLOCK_VALUES = 16384, LEAST_VALUES = 1024, PARTS = 16
    # Of blocks merged for one product: their gradient is in the second-level cache until the update.
    Py_ssize_t MERGED_VALUES = 262144

MAX_UNITS = 2**31 - 1  # BLAS counts rows and columns in C ints


cdef class LayerTable:
    """Sizes, activations and places in the parameter vector of the layers of a network.

    The vector holds all weights, layer by layer in C order, and then all intercepts.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, input and output included.
    activations : sequence of (str, float)
        Name and negative slope, as `parse_activation` gives them, of each layer but the input.
    dropout : sequence of float, default=()
        Rates of the hidden layers, in [0, 1), for training; () for none.
    """

    def __cinit__(self, sizes, activations, dropout=()):
        cdef:
            int i
            Py_ssize_t intercepts = 0
        sizes = [int(size) for size in sizes]
        if len(sizes) < 2 or len(activations) != len(sizes) - 1:
            raise ValueError(f"{len(activations)} activations for layer sizes {sizes}; give one for "
                             "each layer but the input")
        rates = [float(rate) for rate in dropout] or [0.0] * (len(sizes) - 2)
        if len(rates) != len(sizes) - 2 or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout must have a rate in [0, 1) for each hidden layer of {sizes}; "
                             f"got {rates}")
        rates.append(0.0)
        if not all(1 <= size <= MAX_UNITS for size in sizes):
            raise ValueError(f"a layer has between 1 and {MAX_UNITS} units; got {sizes}")
        self.n_layers = <int> len(activations)
        self.specs = <LayerSpec*> malloc(self.n_layers * sizeof(LayerSpec))
        if self.specs is NULL:
            raise MemoryError()
        for i in range(self.n_layers):
            self.specs[i].n_in = sizes[i]
            self.specs[i].n_out = sizes[i + 1]
            self.specs[i].weights = self.n_weights
            self.specs[i].column = self.n_columns
            name, self.specs[i].negative_slope = activations[i]
            self.specs[i].activation = ACTIVATIONS[name].code
            self.specs[i].drop_below = <uint32_t> (rates[i] * 2.0**32)
            self.specs[i].kept_scale = 1 / (1 - rates[i])
            self.specs[i].slopes = -1
            if rates[i] > 0 or not ACTIVATIONS[name].from_output:
                self.specs[i].slopes = self.n_slopes
                self.n_slopes += self.specs[i].n_out
            self.n_weights += self.specs[i].n_in * self.specs[i].n_out
            self.n_columns += self.specs[i].n_out
        for i in range(self.n_layers):
            self.specs[i].intercepts = self.n_weights + intercepts
            intercepts += self.specs[i].n_out
        self.n_params = self.n_weights + intercepts
        self.widest = max(sizes[1:])
        self._cut_into_blocks()

    def _cut_into_blocks(self):
        """Blocks of parameters, in the order of the vector, cut by the sizes of the layers alone."""
        cdef:
            int i
            Py_ssize_t rows, row, size = min(BLOCK_VALUES, max(LEAST_VALUES, self.n_weights // PARTS))
            LayerSpec* layer
        blocks = []
        for i in range(self.n_layers):
            layer = self.specs + i
            rows = max(8, (size // layer.n_out + 7) // 8 * 8)
            for row in range(0, layer.n_in, rows):
                n_rows = min(rows, layer.n_in - row)
                start = layer.weights + row * layer.n_out
                blocks.append((i, row, n_rows, start, n_rows * layer.n_out))
        for i in range(self.n_layers):
            layer = self.specs + i
            blocks.append((i, -1, 0, layer.intercepts, layer.n_out))
        self._store_blocks(blocks)

    def _store_blocks(self, blocks):
        """The work of a block is its products for a row of the batch: few columns are multiplied as if
        they were more, and adding up a row of the gradient of intercepts takes as long as four."""
        cdef Py_ssize_t i, work
        self.n_blocks = len(blocks)
        self.blocks = <BlockSpec*> malloc(self.n_blocks * sizeof(BlockSpec))
        if self.blocks is NULL:
            raise MemoryError()
        for i, (layer, first_row, n_rows, start, size) in enumerate(blocks):
            work = (self.specs[<int> layer].n_out + 3) // 4 * 4 * (4 if first_row < 0 else n_rows)
            self.blocks[i] = BlockSpec(layer, first_row, n_rows, start, size, self.work + work // 2)
            self.work += work

    def __dealloc__(self):
        free(self.specs)
        free(self.blocks)


cdef const floating* input_block(
    const SampleSpec* samples, const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* gathered,  # scratch, (n_rows, n_features); untouched where rows are in order
) noexcept nogil:
    """The (n_rows, n_features) dense block of inputs that a batch reads."""
    cdef:
        Py_ssize_t i, n = samples.n_features
        const floating* values = <const floating*> samples.values
    if rows is NULL:
        return values + first * n
    for i in range(n_rows):
        rows_copy(<char*> (gathered + i * n), <const char*> (values + rows[first + i] * n),
                  n * sizeof(floating))
    return gathered


cdef void _repeat_intercepts(
    const LayerSpec* layer, const floating* params, Py_ssize_t n_rows,
    floating* outputs,  # OUT, (n_rows, n_out)
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        memcpy(outputs + i * layer.n_out, params + layer.intercepts, layer.n_out * sizeof(floating))


cdef inline void _activate(
    const LayerSpec* layer, floating* outputs, floating* slopes, Py_ssize_t n_rows,
) noexcept nogil:
    if layer.activation != ROWS_IDENTITY or slopes is not NULL:
        apply_activation(layer.activation, layer.negative_slope, outputs, slopes,
                         n_rows * layer.n_out)


cdef void apply_layer(
    const LayerSpec* layer, const floating* params,
    const floating* inputs,  # IN, (n_rows, n_in)
    Py_ssize_t n_rows,
    floating* outputs,       # OUT, (n_rows, n_out)
    floating* slopes,        # OUT, the same, where not NULL
    floating* work,          # scratch of a product
) noexcept nogil:
    cdef int finish = GEMM_INTERCEPTS
    if layer.activation == ROWS_RELU and slopes is NULL:
        finish = GEMM_RELU
    if CALLS_BLAS:
        finish = GEMM_PLAIN
        _repeat_intercepts(layer, params, n_rows, outputs)
    gemm(False, False, n_rows, layer.n_out, layer.n_in, inputs, layer.n_in,
         params + layer.weights, layer.n_out, CALLS_BLAS, outputs, layer.n_out, finish,
         params + layer.intercepts, work)
    if finish != GEMM_RELU:
        _activate(layer, outputs, slopes, n_rows)


cdef void apply_sparse_layer(
    const LayerSpec* layer, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* outputs,  # OUT, (n_rows, n_out)
    floating* slopes,   # OUT, the same, where not NULL
) noexcept nogil:
    cdef:
        Py_ssize_t i, row, n_out = layer.n_out
        int64_t start, count
        const floating* values = <const floating*> samples.values
        const floating* weights = params + layer.weights
    _repeat_intercepts(layer, params, n_rows, outputs)
    for i in range(n_rows):
        row = row_at(rows, first, i)
        start = samples.indptr[row]
        count = samples.indptr[row + 1] - start
        if floating is float:
            rows_gather_float(set_level, values + start, samples.indices + start, count, weights,
                              n_out, outputs + i * n_out)
        else:
            rows_gather_double(set_level, values + start, samples.indices + start, count, weights,
                               n_out, outputs + i * n_out)
    _activate(layer, outputs, slopes, n_rows)


cdef void sparse_weight_gradient(
    const LayerSpec* layer, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    Py_ssize_t low, Py_ssize_t high,  # features
    const WorkspaceSpec* space,       # IN: deltas
    floating* gradient,               # OUT, (n_in, n_out)
    bint accumulate,
) noexcept nogil:
    """The gradient of the weights of features `low` to `high`, by all rows of a batch."""
    cdef:
        Py_ssize_t i, row, n_out = layer.n_out
        int64_t start, count
        const floating* values = <const floating*> samples.values
        const floating* d = <const floating*> space.deltas + space.capacity * layer.column
    if not accumulate:
        memset(gradient + low * n_out, 0, (high - low) * n_out * sizeof(floating))
    for i in range(n_rows):
        row = row_at(rows, first, i)
        start = samples.indptr[row]
        count = samples.indptr[row + 1] - start
        if floating is float:
            rows_scatter_float(set_level, values + start, samples.indices + start, count, low, high,
                               d + i * n_out, n_out, gradient)
        else:
            rows_scatter_double(set_level, values + start, samples.indices + start, count, low, high,
                                d + i * n_out, n_out, gradient)


cdef void _drop_units(
    const LayerSpec* layer, int number, uint64_t epoch_key,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* outputs,  # IN and OUT, (n_rows, n_out)
    floating* slopes,   # IN and OUT, the same
) noexcept nogil:
    """Inverted dropout (Srivastava et al. 2014) of layer `number`."""
    cdef:
        Py_ssize_t i
        uint64_t key
    for i in range(n_rows):
        key = dropout_row_key(epoch_key, row_at(rows, first, i), number)
        if floating is float:
            rows_drop_float(set_level, key, layer.drop_below, <float> layer.kept_scale,
                            outputs + i * layer.n_out, slopes + i * layer.n_out, layer.n_out)
        else:
            rows_drop_double(set_level, key, layer.drop_below, layer.kept_scale,
                             outputs + i * layer.n_out, slopes + i * layer.n_out, layer.n_out)


cdef inline floating* _slopes(
    const LayerSpec* layer, const WorkspaceSpec* space, Py_ssize_t start, const floating* like,
) noexcept nogil:
    """Where the slopes of a layer are kept from row `start`; NULL for a layer that keeps none."""
    if layer.slopes < 0:
        return NULL
    return <floating*> space.slopes + space.capacity * layer.slopes + start * layer.n_out


cdef inline floating* _block(void* values, const WorkspaceSpec* space, Py_ssize_t column,
                             const floating* like) noexcept nogil:
    """The (capacity, n_out) block of a layer in activations, slopes or deltas."""
    return <floating*> values + space.capacity * column


cdef const floating* _forward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t start, Py_ssize_t n_rows,
    const WorkspaceSpec* space,  # its inputs, activations and slopes are OUT
    floating* work,
) noexcept nogil:
    """Fill in activations and slopes of rows `start`, ... of the batch; return their raw scores."""
    cdef:
        int i
        const LayerSpec* layer
        const floating* inputs = NULL
        floating* outputs = NULL
        floating* slopes
    if samples.indices is NULL:
        inputs = input_block(samples, rows, first + start, n_rows,
                             <floating*> space.gathered + start * samples.n_features)
    for i in range(n_layers):
        layer = layers + i
        outputs = _block(space.activations, space, layer.column, params) + start * layer.n_out
        slopes = _slopes(layer, space, start, params)
        if i == 0 and samples.indices is not NULL:
            apply_sparse_layer(layer, params, samples, rows, first + start, n_rows, outputs, slopes)
        else:
            apply_layer(layer, params, inputs, n_rows, outputs, slopes, work)
        if layer.drop_below > 0:
            _drop_units(layer, i, space.dropout_key, rows, first + start, n_rows, outputs, slopes)
        inputs = outputs
    return outputs


cdef void _multiply_by_slopes(
    const LayerSpec* layer, const WorkspaceSpec* space, Py_ssize_t start, Py_ssize_t n_rows,
    floating* delta,  # IN: dloss/doutput of the layer. OUT: dloss/dz
) noexcept nogil:
    cdef:
        Py_ssize_t i, n = n_rows * layer.n_out
        const floating* slopes = _slopes(layer, space, start, <const floating*> delta)
    if slopes is NULL:
        multiply_by_derivative(
            layer.activation, layer.negative_slope,
            _block(space.activations, space, layer.column, <const floating*> delta)
            + start * layer.n_out, delta, n)
    else:
        for i in range(n):
            delta[i] = delta[i] * slopes[i]


cdef void _backward(
    const LayerSpec* layers, int n_layers, const floating* params, Py_ssize_t start,
    Py_ssize_t n_rows,
    const WorkspaceSpec* space,  # IN: activations, slopes and the last deltas. OUT: all deltas
    floating* work,
) noexcept nogil:
    """Turn the gradient of the raw scores into that of every layer's sums, for rows `start`, ..."""
    cdef:
        int i, finish = GEMM_PLAIN
        const LayerSpec* layer
        const LayerSpec* below
        floating* delta
        const floating* slopes
    for i in range(n_layers - 1, -1, -1):
        layer = layers + i
        delta = _block(space.deltas, space, layer.column, params) + start * layer.n_out
        if finish == GEMM_PLAIN:
            _multiply_by_slopes(layer, space, start, n_rows, delta)
        if i > 0:
            below = layers + i - 1
            finish, slopes = GEMM_PLAIN, _slopes(below, space, start, params)
            if not CALLS_BLAS and slopes is not NULL:
                finish = GEMM_SLOPES
            elif not CALLS_BLAS and below.activation == ROWS_RELU:
                finish = GEMM_RELU_SLOPES
                slopes = _block(space.activations, space, below.column, params) + start * layer.n_in
            gemm(False, True, n_rows, layer.n_in, layer.n_out, <const floating*> delta,
                 layer.n_out, params + layer.weights, layer.n_out, False,
                 _block(space.deltas, space, below.column, params) + start * layer.n_in, layer.n_in,
                 finish, slopes, work)


cdef void _keep_outputs(
    const floating* raw, const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t k,
    floating* outputs,  # OUT, (all rows, k)
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        memcpy(outputs + row_at(rows, first, i) * k, raw + i * k, k * sizeof(floating))


cdef void forward_and_backward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t start, Py_ssize_t stop,
    const LossSpec* loss, double scale,
    const WorkspaceSpec* space,  # OUT: activations, slopes, deltas; in shard_sums the losses
    int thread,
) noexcept nogil:
    """All that concerns single rows, for rows `start` to `stop` of the batch that begins at `first`.

    The loss is summed by shards, so that the sum does not depend on who computes which."""
    cdef:
        Py_ssize_t row = start, n, k = loss.n_outputs
        floating* work = <floating*> space.work + thread * GEMM_WORK
        const floating* raw
        floating* delta
    if start >= stop:
        return
    raw = _forward(layers, n_layers, params, samples, rows, first, start, stop - start, space, work)
    if space.outputs is not NULL:
        _keep_outputs(raw, rows, first + start, stop - start, k, <floating*> space.outputs)
    delta = _block(space.deltas, space, layers[n_layers - 1].column, params)
    while row < stop:
        n = min(SHARD, stop - row)
        space.shard_sums[row // SHARD] = loss_and_delta(
            loss, raw + (row - start) * k, samples.targets, <const floating*> samples.weights, rows,
            first + row, n, scale, delta + row * k)
        row += SHARD
    _backward(layers, n_layers, params, start, stop - start, space, work)


cdef bint merge(BlockSpec* block, const BlockSpec* next) noexcept nogil:
    """Extend `block` by the next one, if their gradient may be one product: where it is ours, whose
    bits are the same, and small enough to be in the cache when the parameters are updated."""
    if (
        CALLS_BLAS or block.layer != next.layer or block.first_row < 0 or next.first_row < 0
        or block.size + next.size > MERGED_VALUES
    ):
        return False
    block.n_rows += next.n_rows
    block.size += next.size
    return True


cdef void block_gradient(
    const LayerSpec* layers, const BlockSpec* block, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const WorkspaceSpec* space,  # IN: as `forward_and_backward` left it
    floating* gradient,          # OUT, as long as the parameters
    bint accumulate,             # add to the gradient instead of overwriting it
    int thread,
) noexcept nogil:
    """The gradient of a block of parameters, by all rows of a batch."""
    cdef:
        const LayerSpec* layer = layers + block.layer
        const floating* delta = _block(space.deltas, space, layer.column, <const floating*> gradient)
        const floating* below
    if block.first_row < 0:
        if floating is float:
            rows_sum_float(set_level, delta, n_rows, layer.n_out, gradient + block.start, accumulate)
        else:
            rows_sum_double(set_level, delta, n_rows, layer.n_out, gradient + block.start, accumulate)
        return
    if block.layer > 0:
        below = _block(space.activations, space, layer.column - layer.n_in, delta)
    elif rows is NULL:
        below = <const floating*> samples.values + first * layer.n_in
    else:
        below = <const floating*> space.gathered
    gemm(True, False, block.n_rows, layer.n_out, n_rows, below + block.first_row, layer.n_in, delta,
         layer.n_out, accumulate, gradient + block.start, layer.n_out, GEMM_PLAIN, NULL,
         <floating*> space.work + thread * GEMM_WORK)


cdef bint all_finite(const floating* values, Py_ssize_t n) noexcept nogil:
    """x - x is zero for finite x and NaN otherwise; summed in lanes, so that it is vectorised."""
    cdef:
        Py_ssize_t i = 0, j
        floating nought = 0
        floating[LANES] lanes
    memset(lanes, 0, sizeof(lanes))
    while i + LANES <= n:
        for j in range(LANES):
            lanes[j] += values[i + j] - values[i + j]
        i += LANES
    for j in range(LANES):
        nought += lanes[j]
    for j in range(i, n):
        nought += values[j] - values[j]
    return nought == 0
