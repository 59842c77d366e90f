"""Forward and backward through the dense layers, from dense or CSR input.

The kernels are C functions on borrowed pointers; ``LayerTable`` is their only Python face. A layer
holds, for a batch of up to `capacity` rows, its activations at ``activations + capacity * column`` of
its spec, in C order. The first layer reads its input in place where the rows are taken in order, from
a gathered block where they are permuted, and from the CSR arrays where the input is sparse; nothing
is ever made dense. The input's own gradient is never computed.
"""
from cython cimport floating
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from sklearn_mlp._activations cimport add_intercepts_and_activate, multiply_by_derivative
from sklearn_mlp._blas cimport gemm
from sklearn_mlp._loss cimport loss_and_delta
from sklearn_mlp._types cimport LayerSpec, LossSpec, SampleSpec, row_at

from sklearn_mlp._activations import ACTIVATIONS

MAX_UNITS = 2**31 - 1  # BLAS counts rows and columns in C ints


cdef class LayerTable:
    """Sizes, activations and places in the parameter vector of the layers of a network.

    The vector holds all weights, layer by layer in C order, and then all intercepts.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, input and output included.
    activations : sequence of str
        One name per layer but the input.
    """

    def __cinit__(self, sizes, activations):
        cdef:
            int i
            Py_ssize_t intercepts = 0
        sizes = [int(size) for size in sizes]
        if len(sizes) < 2 or len(activations) != len(sizes) - 1:
            raise ValueError(f"{len(activations)} activations for layer sizes {sizes}")
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
            self.specs[i].activation = ACTIVATIONS[activations[i]]
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
) noexcept nogil:
    gemm(False, False, n_rows, layer.n_out, layer.n_in, inputs, layer.n_in,
         params + layer.weights, layer.n_out, False, outputs, layer.n_out, <floating*> NULL)
    add_intercepts_and_activate(
        layer.activation, outputs, params + layer.intercepts, n_rows, layer.n_out)


cdef void apply_sparse_layer(
    const LayerSpec* layer, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* outputs,  # OUT, (n_rows, n_out)
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
    add_intercepts_and_activate(
        layer.activation, outputs, params + layer.intercepts, n_rows, n_out)


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


cdef const floating* forward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const floating* inputs,  # IN, (n_rows, n_features); unused for sparse samples
    floating* activations,   # OUT, (capacity, sum of n_out)
    Py_ssize_t capacity,
) noexcept nogil:
    """Fill in the activations of every layer; return those of the last, the raw scores."""
    cdef:
        int i
        floating* outputs = activations
    for i in range(n_layers):
        outputs = activations + capacity * layers[i].column
        if i == 0 and samples.indices is not NULL:
            apply_sparse_layer(layers, params, samples, rows, first, n_rows, outputs)
        else:
            apply_layer(layers + i, params, inputs, n_rows, outputs)
        inputs = outputs
    return outputs


cdef void backward(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    const floating* inputs,       # IN, as for forward
    const floating* activations,  # IN, (capacity, sum of n_out)
    Py_ssize_t capacity,
    floating* delta,              # IN: gradient of the raw scores; then scratch, (capacity, widest)
    floating* delta_below,        # scratch, the same
    floating* work,               # scratch of a matrix product
    floating* gradient,           # OUT, as long as params
    bint accumulate,
) noexcept nogil:
    cdef:
        int i
        const LayerSpec* layer
        const floating* below
    for i in range(n_layers - 1, -1, -1):
        layer = layers + i
        below = inputs if i == 0 else activations + capacity * layers[i - 1].column
        _sum_rows(<const floating*> delta, n_rows, layer.n_out, gradient + layer.intercepts,
                  accumulate)
        if i == 0 and samples.indices is not NULL:
            _sparse_weight_gradient(layer, samples, rows, first, n_rows, <const floating*> delta,
                                    gradient + layer.weights, accumulate)
        else:
            gemm(True, False, layer.n_in, layer.n_out, n_rows, below, layer.n_in,
                 <const floating*> delta, layer.n_out, accumulate, gradient + layer.weights,
                 layer.n_out, work)
        if i > 0:
            gemm(False, True, n_rows, layer.n_in, layer.n_out, <const floating*> delta,
                 layer.n_out, params + layer.weights, layer.n_out, False, delta_below,
                 layer.n_in, work)
            multiply_by_derivative(layers[i - 1].activation, below, delta_below,
                                   n_rows * layer.n_in)
            delta, delta_below = delta_below, delta


cdef double loss_and_gradient(
    const LayerSpec* layers, int n_layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, const LossSpec* loss,
    double scale,
    floating* gathered,     # scratch, (capacity, n_features), for permuted dense rows
    floating* activations,  # scratch, (capacity, sum of n_out)
    Py_ssize_t capacity,
    floating* delta,        # scratch, (capacity, widest)
    floating* delta_below,  # scratch, (capacity, widest)
    floating* work,         # scratch, GEMM_WORK values
    floating* gradient,     # OUT, as long as params
    bint accumulate,        # add to the gradient instead of overwriting it
) noexcept nogil:
    """Return the sum of the rows' weighted losses; the gradient is `scale` times that sum's."""
    cdef:
        const floating* inputs = NULL
        const floating* raw
        double total
    if samples.indices is NULL:
        inputs = input_block(samples, rows, first, n_rows, gathered)
    raw = forward(layers, n_layers, params, samples, rows, first, n_rows, inputs, activations,
                  capacity)
    total = loss_and_delta(loss, raw, samples.targets, <const floating*> samples.weights, rows,
                           first, n_rows, scale, delta)
    backward(layers, n_layers, params, samples, rows, first, n_rows, inputs,
             <const floating*> activations, capacity, delta, delta_below, work, gradient, accumulate)
    return total
