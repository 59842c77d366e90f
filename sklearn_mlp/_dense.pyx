"""Forward and backward through the dense layers, from dense or CSR input.

The kernels are C functions on borrowed pointers; ``LayerTable`` is their only Python face. A layer
holds, for a batch of up to `capacity` rows, its activations at ``activations + capacity * column`` of
its spec, in C order. The first layer reads its input in place where the rows are taken in order, from
a gathered block where they are permuted, and from the CSR arrays where the input is sparse; nothing
is ever made dense. The input's own gradient is never computed.

Training keeps, beside the activations, the slope of every unit (the derivative of its activation, times
what dropout multiplied it by) for the layers whose slope is not a function of what they put out:
those with dropout, and those whose activation says so.
"""
from cython cimport floating
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sklearn_mlp._activations cimport add_intercepts_and_activate, multiply_by_derivative
from sklearn_mlp._blas cimport gemm
from sklearn_mlp._loss cimport loss_and_delta
from sklearn_mlp._types cimport LayerSpec, LossSpec, SampleSpec, WorkspaceSpec, row_at

from sklearn_mlp._activations import ACTIVATIONS

cdef extern from "_dropout.h" nogil:
    uint64_t dropout_row_key(uint64_t epoch_key, uint64_t row, uint64_t layer)
    void dropout_row_f(uint64_t row_key, uint32_t drop_below, float scale, float* row,
                       float* slopes, Py_ssize_t n)
    void dropout_row_d(uint64_t row_key, uint32_t drop_below, double scale, double* row,
                       double* slopes, Py_ssize_t n)

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
            raise ValueError(f"{len(activations)} activations for layer sizes {sizes}")
        rates = [float(rate) for rate in dropout] or [0.0] * (len(sizes) - 2)
        if len(rates) != len(sizes) - 2 or not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout of {rates} for layer sizes {sizes}")
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

    def __dealloc__(self):
        free(self.specs)


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
        memcpy(gathered + i * n, values + rows[first + i] * n, n * sizeof(floating))
    return gathered


cdef void apply_layer(
    const LayerSpec* layer, const floating* params,
    const floating* inputs,  # IN, (n_rows, n_in)
    Py_ssize_t n_rows,
    floating* outputs,       # OUT, (n_rows, n_out)
    floating* slopes,        # OUT, the same, where not NULL
) noexcept nogil:
    gemm(False, False, n_rows, layer.n_out, layer.n_in, inputs, layer.n_in,
         params + layer.weights, layer.n_out, False, outputs, layer.n_out, <floating*> NULL)
    add_intercepts_and_activate(layer.activation, layer.negative_slope, outputs, slopes,
                                params + layer.intercepts, n_rows, layer.n_out)


cdef void apply_sparse_layer(
    const LayerSpec* layer, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* outputs,  # OUT, (n_rows, n_out)
    floating* slopes,   # OUT, the same, where not NULL
) noexcept nogil:
    cdef:
        Py_ssize_t i, j, row, n_out = layer.n_out
        int64_t entry
        const floating* values = <const floating*> samples.values
        const floating* weights
        floating* out
        floating value
    memset(outputs, 0, n_rows * n_out * sizeof(floating))
    for i in range(n_rows):
        row = row_at(rows, first, i)
        out = outputs + i * n_out
        for entry in range(samples.indptr[row], samples.indptr[row + 1]):
            weights = params + layer.weights + samples.indices[entry] * n_out
            value = values[entry]
            for j in range(n_out):
                out[j] = out[j] + value * weights[j]
    add_intercepts_and_activate(layer.activation, layer.negative_slope, outputs, slopes,
                                params + layer.intercepts, n_rows, n_out)


cdef void _sparse_weight_gradient(
    const LayerSpec* layer, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const floating* delta,  # IN, (n_rows, n_out)
    floating* gradient,     # OUT, (n_in, n_out)
    bint accumulate,
) noexcept nogil:
    cdef:
        Py_ssize_t i, j, row, n_out = layer.n_out
        int64_t entry
        const floating* values = <const floating*> samples.values
        const floating* d
        floating* g
        floating value
    if not accumulate:
        memset(gradient, 0, layer.n_in * n_out * sizeof(floating))
    for i in range(n_rows):
        row = row_at(rows, first, i)
        d = delta + i * n_out
        for entry in range(samples.indptr[row], samples.indptr[row + 1]):
            g = gradient + samples.indices[entry] * n_out
            value = values[entry]
            for j in range(n_out):
                g[j] = g[j] + value * d[j]


cdef void _sum_rows(
    const floating* delta,  # IN, (n_rows, n_columns)
    Py_ssize_t n_rows, Py_ssize_t n_columns,
    floating* total,        # OUT, (n_columns,)
    bint accumulate,
) noexcept nogil:
    cdef Py_ssize_t i, j
    if not accumulate:
        memset(total, 0, n_columns * sizeof(floating))
    for i in range(n_rows):
        for j in range(n_columns):
            total[j] = total[j] + delta[i * n_columns + j]


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
            dropout_row_f(key, layer.drop_below, <float> layer.kept_scale,
                          outputs + i * layer.n_out, slopes + i * layer.n_out, layer.n_out)
        else:
            dropout_row_d(key, layer.drop_below, layer.kept_scale,
                          outputs + i * layer.n_out, slopes + i * layer.n_out, layer.n_out)


cdef inline floating* _slopes(
    const LayerSpec* layer, const WorkspaceSpec* space, const floating* like,
) noexcept nogil:
    """Where the slopes of a layer are kept; NULL for a layer that keeps none."""
    if layer.slopes < 0:
        return NULL
    return <floating*> space.slopes + space.capacity * layer.slopes


cdef const floating* forward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const floating* inputs,      # IN, (n_rows, n_features); unused for sparse samples
    const WorkspaceSpec* space,  # its activations and slopes are OUT
) noexcept nogil:
    """Fill in activations and slopes of every layer; return the last activations, the raw scores."""
    cdef:
        int i
        floating* outputs = <floating*> space.activations
        floating* slopes
    for i in range(n_layers):
        outputs = <floating*> space.activations + space.capacity * layers[i].column
        slopes = _slopes(layers + i, space, params)
        if i == 0 and samples.indices is not NULL:
            apply_sparse_layer(layers, params, samples, rows, first, n_rows, outputs, slopes)
        else:
            apply_layer(layers + i, params, inputs, n_rows, outputs, slopes)
        if layers[i].drop_below > 0:
            _drop_units(layers + i, i, space.dropout_key, rows, first, n_rows, outputs, slopes)
        inputs = outputs
    return outputs


cdef void _multiply_by_slopes(
    const LayerSpec* layer, const WorkspaceSpec* space, Py_ssize_t n_rows,
    floating* delta,  # IN: dloss/doutput of the layer. OUT: dloss/dz
) noexcept nogil:
    cdef:
        Py_ssize_t i, n = n_rows * layer.n_out
        const floating* slopes = _slopes(layer, space, <const floating*> delta)
    if slopes is NULL:
        multiply_by_derivative(
            layer.activation, layer.negative_slope,
            <const floating*> space.activations + space.capacity * layer.column, delta, n)
    else:
        for i in range(n):
            delta[i] = delta[i] * slopes[i]


cdef void backward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const floating* inputs,      # IN, as for forward
    const WorkspaceSpec* space,  # IN: as forward left it, and in delta the raw scores' gradient
    floating* gradient,          # OUT, as long as params
    bint accumulate,
) noexcept nogil:
    cdef:
        int i
        const LayerSpec* layer
        const floating* below
        floating* delta = <floating*> space.delta
        floating* delta_below = <floating*> space.delta_below
    for i in range(n_layers - 1, -1, -1):
        layer = layers + i
        _multiply_by_slopes(layer, space, n_rows, delta)
        below = inputs
        if i > 0:
            below = <const floating*> space.activations + space.capacity * layers[i - 1].column
        _sum_rows(<const floating*> delta, n_rows, layer.n_out, gradient + layer.intercepts,
                  accumulate)
        if i == 0 and samples.indices is not NULL:
            _sparse_weight_gradient(layer, samples, rows, first, n_rows, <const floating*> delta,
                                    gradient + layer.weights, accumulate)
        else:
            gemm(True, False, layer.n_in, layer.n_out, n_rows, below, layer.n_in,
                 <const floating*> delta, layer.n_out, accumulate, gradient + layer.weights,
                 layer.n_out, <floating*> space.work)
        if i > 0:
            gemm(False, True, n_rows, layer.n_in, layer.n_out, <const floating*> delta,
                 layer.n_out, params + layer.weights, layer.n_out, False, delta_below,
                 layer.n_in, <floating*> space.work)
            delta, delta_below = delta_below, delta


cdef void _keep_outputs(
    const floating* raw, const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, Py_ssize_t k,
    floating* outputs,  # OUT, (all rows, k)
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n_rows):
        memcpy(outputs + row_at(rows, first, i) * k, raw + i * k, k * sizeof(floating))


cdef double loss_and_gradient(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, const LossSpec* loss,
    double scale,
    const WorkspaceSpec* space,
    floating* gradient,  # OUT, as long as params
    bint accumulate,     # add to the gradient instead of overwriting it
) noexcept nogil:
    """Return the sum of the rows' weighted losses; the gradient is `scale` times that sum's."""
    cdef:
        const floating* inputs = NULL
        const floating* raw
        double total
    if samples.indices is NULL:
        inputs = input_block(samples, rows, first, n_rows, <floating*> space.gathered)
    raw = forward(layers, n_layers, params, samples, rows, first, n_rows, inputs, space)
    if space.outputs is not NULL:
        _keep_outputs(raw, rows, first, n_rows, loss.n_outputs, <floating*> space.outputs)
    total = loss_and_delta(loss, raw, samples.targets, <const floating*> samples.weights, rows,
                           first, n_rows, scale, <floating*> space.delta)
    backward(layers, n_layers, params, samples, rows, first, n_rows, inputs, space, gradient,
             accumulate)
    return total
