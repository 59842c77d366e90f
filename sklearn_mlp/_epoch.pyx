"""What the estimators call: batches of a training epoch, the loss and gradient of all rows, and
prediction in chunks of rows.

``Samples`` binds the arrays of a data set and ``Trainer`` everything that a training step needs;
both turn Python objects into pointers and structs once. Their methods then release the GIL for a
stretch of batches. NumPy owns every array, scratch included, and none is allocated after the
constructors.
"""
from cython cimport floating
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

import numpy as np
from scipy.sparse import issparse

from sklearn_mlp._memory import empty_vector

from sklearn_mlp._blas cimport GEMM_WORK
from sklearn_mlp._dense cimport (
    LayerTable, apply_layer, apply_sparse_layer, input_block, loss_and_gradient
)
from sklearn_mlp._loss cimport Loss
from sklearn_mlp._optim cimport Optimizer, OptimizerState, optimizer_step
from sklearn_mlp._types cimport SampleSpec

cdef extern from "<time.h>" nogil:
    struct timespec:
        long long tv_sec
        long tv_nsec
    int timespec_get(timespec* now, int base)
    int TIME_UTC

cdef enum:
    LANES = 16

cdef:
    double STRETCH = 0.1  # seconds without the GIL, so that Ctrl-C is noticed
    # Values per scratch buffer of a prediction or a full pass: about half a megabyte of float.
    Py_ssize_t CHUNK_VALUES = 1 << 17


cdef double _now() noexcept nogil:
    cdef timespec now
    timespec_get(&now, TIME_UTC)
    return now.tv_sec + 1e-9 * now.tv_nsec


cdef const void* _address(array, dtype) except? NULL:
    """Where the values of a C-contiguous array of `dtype` start (NULL for None and empty arrays)."""
    cdef const unsigned char[::1] view
    if array is None or array.size == 0:
        return NULL
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"expected a C-contiguous array of {dtype}; got {array.dtype}, "
                        f"strides {array.strides}")
    view = array.reshape(-1).view(np.uint8)
    return &view[0]


def chunk_rows(Py_ssize_t n_rows, Py_ssize_t widest):
    """Rows to take at a time, so that the widest block fits the cache and memory stays constant."""
    return max(1, min(n_rows, max(32, CHUNK_VALUES // widest)))


cdef class Samples:
    """Rows as the kernels read them: inputs, targets and weights, borrowed from NumPy.

    Parameters
    ----------
    X : ndarray (C order) or CSR of shape (n_rows, n_features), dtype float32 or float64
        The caller answers for a CSR's format (`check_format`).
    targets : ndarray of shape (n_rows, n_targets) or None
        int32 codes or values of X's dtype, as the loss takes them, C order.
    weights : ndarray of shape (n_rows,), dtype as X, or None
    """
    cdef:
        SampleSpec spec
        object owners
        readonly Py_ssize_t n_rows, n_targets
        readonly bint has_codes
        readonly object dtype

    @property
    def sparse(self):
        return self.spec.indices is not NULL

    def __init__(self, X, targets=None, weights=None):
        self.n_rows, self.spec.n_features = X.shape
        self.dtype = X.dtype
        if self.dtype != np.float32 and self.dtype != np.float64:
            raise TypeError(f"samples are float32 or float64; got {self.dtype}")
        for name, array in (("targets", targets), ("weights", weights)):
            if array is not None and array.shape[0] != self.n_rows:
                raise ValueError(f"{array.shape[0]} {name} for {self.n_rows} rows")
        if issparse(X):
            indices = X.indices.astype(np.int32, copy=False)
            indptr = X.indptr.astype(np.int64, copy=False)
            # A CSR without entries has no addresses to read from; any non-NULL marks it sparse.
            values = X.data if X.nnz else np.zeros(1, self.dtype)
            indices = indices if X.nnz else np.zeros(1, np.int32)
            self.owners = (values, indices, indptr, targets, weights)
            self.spec.values = _address(values, self.dtype)
            self.spec.indices = <const int32_t*> _address(indices, np.int32)
            self.spec.indptr = <const int64_t*> _address(indptr, np.int64)
        else:
            self.owners = (X, targets, weights)
            self.spec.values = _address(X, self.dtype)
        if targets is not None:
            self.n_targets = targets.shape[1]
            self.has_codes = targets.dtype.kind == "i"
            self.spec.targets = _address(targets, np.int32 if self.has_codes else self.dtype)
        self.spec.weights = _address(weights, self.dtype)


cdef class Trainer:
    """Everything a training step reads and writes, bound once per fit.

    Parameters
    ----------
    layers : LayerTable
    params : ndarray of shape (n_params,)
        Trained in place.
    samples : Samples
    loss : Loss
    optimizer : Optimizer or None
        None for a trainer that only computes losses and gradients.
    state : OptimizerState or None
    batch_rows : int
        Rows per batch.
    alpha : float
        Strength of the L2 term: 0.5 * alpha * sum(weights**2) over the weight of the batch.
    gather : bool
        Whether batches take dense rows in permuted order and need room to gather them.

    Attributes
    ----------
    mean_weight : float
        A batch is divided by its rows times this; to be set.
    gradient : ndarray of shape (n_params,)
        Of the last batch, without the L2 term.
    loss_sum, penalty_sum : float
        Sums since `start_epoch`, to be divided by rows * mean_weight: of the weighted losses of
        rows, and of 0.5 * alpha * sum(weights**2) times the rows of its batch.
    """
    cdef:
        LayerTable layers
        Samples samples
        Loss loss
        Optimizer optimizer
        OptimizerState state
        object owners
        void* params
        void* moments
        void* gradient_values
        void* gathered
        void* activations
        void* delta
        void* delta_below
        void* work
        Py_ssize_t batch_rows
        double alpha
        public double mean_weight
        bint single
        readonly object gradient
        readonly double loss_sum, penalty_sum

    def __init__(self, LayerTable layers, params, Samples samples, Loss loss, optimizer, state, *,
                 Py_ssize_t batch_rows, double alpha, bint gather):
        dtype = samples.dtype
        if samples.n_targets != (loss.n_outputs if loss.name != "log_loss" else 1):
            raise ValueError(f"{samples.n_targets} targets per row for {loss.n_outputs} outputs "
                             f"and loss {loss.name!r}")
        if samples.has_codes != loss.takes_codes:
            raise TypeError(f"loss {loss.name!r} takes "
                            f"{'int32 codes' if loss.takes_codes else 'numbers'} as targets")
        moments = None if state is None else state.moments
        self.gradient = empty_vector(layers.n_params, dtype)
        scratch = [
            np.empty((batch_rows, width), dtype)
            for width in (samples.spec.n_features if gather else 0,
                          layers.n_columns, layers.widest, layers.widest)
        ]
        scratch.append(np.empty(GEMM_WORK, dtype))
        self.owners = (params, moments, scratch)
        self.layers, self.samples, self.loss = layers, samples, loss
        self.optimizer, self.state = optimizer, state
        self.batch_rows, self.alpha, self.mean_weight = batch_rows, alpha, 1
        self.single = dtype == np.float32
        self.params = <void*> _address(params, dtype)
        self.moments = <void*> _address(moments, dtype)
        self.gradient_values = <void*> _address(self.gradient, dtype)
        self.gathered = <void*> _address(scratch[0], dtype)
        self.activations = <void*> _address(scratch[1], dtype)
        self.delta = <void*> _address(scratch[2], dtype)
        self.delta_below = <void*> _address(scratch[3], dtype)
        self.work = <void*> _address(scratch[4], dtype)

    def start_epoch(self):
        self.loss_sum = self.penalty_sum = 0

    def train_batches(self, const Py_ssize_t[::1] rows, Py_ssize_t n_rows, Py_ssize_t done,
                      const double[::1] rates):
        """Train on batches `done`, `done` + 1, ... of an epoch for about a tenth of a second.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,), dtype intp, or None
            The rows in the order in which to take them; None: as they come.
        n_rows : int
        done : int
            Batches of this epoch that are done.
        rates : ndarray of shape (n_batches,), dtype float64
            The learning rate of each step of the epoch.

        Returns
        -------
        done : int
            Batches of this epoch that are done now, at least one more than before.
        """
        cdef const Py_ssize_t* order = NULL if rows is None else &rows[0]
        if done >= rates.shape[0]:
            return done
        with nogil:
            if self.single:
                done = _train_batches[float](self, <float*> self.params, order, n_rows, done,
                                             &rates[0], rates.shape[0])
            else:
                done = _train_batches[double](self, <double*> self.params, order, n_rows, done,
                                              &rates[0], rates.shape[0])
        return done

    def loss_and_gradient(self, const Py_ssize_t[::1] rows, Py_ssize_t n_rows):
        """Sum the weighted losses of `n_rows` rows into `loss_sum`, and fill `gradient`.

        Rows are taken `batch_rows` at a time; the gradient is divided by rows * mean_weight.
        """
        cdef const Py_ssize_t* order = NULL if rows is None else &rows[0]
        with nogil:
            if self.single:
                self.loss_sum = _full_gradient[float](
                    self, <float*> self.params, order, n_rows)
            else:
                self.loss_sum = _full_gradient[double](
                    self, <double*> self.params, order, n_rows)

    def is_finite(self):
        """Whether the losses of this epoch and all parameters are finite."""
        cdef bint finite
        with nogil:
            if self.single:
                finite = _all_finite[float](<float*> self.params, self.layers.n_params)
            else:
                finite = _all_finite[double](<double*> self.params, self.layers.n_params)
        return finite and isfinite(self.loss_sum) and isfinite(self.penalty_sum)


cdef Py_ssize_t _train_batches(
    Trainer t, floating* params, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t done,
    const double* rates, Py_ssize_t n_batches,
) noexcept nogil:
    cdef:
        double start = _now(), elapsed, share
        Py_ssize_t first, n
        floating* gradient = <floating*> t.gradient_values
    while True:
        first = done * t.batch_rows
        n = min(t.batch_rows, n_rows - first)
        share = 1 / (n * t.mean_weight)
        t.loss_sum += loss_and_gradient(
            t.layers.specs, t.layers.n_layers, params, &t.samples.spec, rows, first, n,
            &t.loss.spec, share, <floating*> t.gathered, <floating*> t.activations, t.batch_rows,
            <floating*> t.delta, <floating*> t.delta_below, <floating*> t.work, gradient, False)
        t.state.n_steps += 1
        t.penalty_sum += 0.5 * t.alpha * optimizer_step(
            &t.optimizer.spec, params, gradient, <floating*> t.moments, t.layers.n_params,
            t.layers.n_weights, t.alpha * share, rates[done], t.state.n_steps)
        done += 1
        elapsed = _now() - start
        # A clock that was set back must not keep Python waiting.
        if done == n_batches or elapsed > STRETCH or elapsed < 0:
            return done


cdef double _full_gradient(
    Trainer t, floating* params, const Py_ssize_t* rows, Py_ssize_t n_rows,
) noexcept nogil:
    cdef:
        double total = 0
        Py_ssize_t first = 0, n
    while first < n_rows:
        n = min(t.batch_rows, n_rows - first)
        total += loss_and_gradient(
            t.layers.specs, t.layers.n_layers, params, &t.samples.spec, rows, first, n,
            &t.loss.spec, 1 / (n_rows * t.mean_weight), <floating*> t.gathered,
            <floating*> t.activations, t.batch_rows, <floating*> t.delta,
            <floating*> t.delta_below, <floating*> t.work, <floating*> t.gradient_values, first > 0)
        first += n
    return total


cdef bint _all_finite(const floating* values, Py_ssize_t n) noexcept nogil:
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


def predict_batches(LayerTable layers, params, Samples samples, rows=None):
    """Raw scores of the rows, taken in chunks through two blocks of scratch.

    Safe from many threads at once: nothing but the arguments is read and the scratch is local.

    Parameters
    ----------
    layers : LayerTable
    params : ndarray of shape (n_params,)
    samples : Samples
        Of the parameters' dtype.
    rows : ndarray of shape (n_rows,), dtype intp, or None
        Which rows, in which order; None: all.

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs)
    """
    if params.dtype != samples.dtype or params.shape != (layers.n_params,):
        raise TypeError(f"params of shape {params.shape} and dtype {params.dtype} for a network of "
                        f"{layers.n_params} parameters and samples of {samples.dtype}")
    n_rows = samples.n_rows if rows is None else rows.shape[0]
    raw = np.empty((n_rows, layers.specs[layers.n_layers - 1].n_out), samples.dtype)
    if params.dtype == np.float32:
        _predict[float](layers, params, samples, rows, raw)
    else:
        _predict[double](layers, params, samples, rows, raw)
    return raw


cdef _predict(LayerTable layers, const floating[::1] params, Samples samples,
              const Py_ssize_t[::1] rows, floating[:, ::1] raw):
    cdef:
        Py_ssize_t n_rows = raw.shape[0], first = 0, n
        const Py_ssize_t* order = NULL if rows is None else &rows[0]
        bint gather = rows is not None and samples.spec.indices is NULL
        Py_ssize_t widest = max(layers.widest, samples.spec.n_features if gather else 0)
        Py_ssize_t capacity = chunk_rows(n_rows, widest)
        floating[:, ::1] gathered = np.empty(
            (capacity if gather else 1, samples.spec.n_features), samples.dtype)
        floating[:, :, ::1] hidden = np.empty((2, capacity, layers.widest), samples.dtype)
    with nogil:
        while first < n_rows:
            n = min(capacity, n_rows - first)
            _predict_chunk(layers, &params[0], &samples.spec, order, first, n, &gathered[0, 0],
                           &hidden[0, 0, 0], &hidden[1, 0, 0], &raw[first, 0])
            first += n


cdef void _predict_chunk(
    LayerTable layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* gathered, floating* hidden, floating* spare,  # scratch
    floating* raw,  # OUT
) noexcept nogil:
    cdef:
        int i
        const floating* inputs = NULL
        floating* outputs
    if samples.indices is NULL:
        inputs = input_block(samples, rows, first, n_rows, gathered)
    for i in range(layers.n_layers):
        outputs = raw if i == layers.n_layers - 1 else hidden
        if i == 0 and samples.indices is not NULL:
            apply_sparse_layer(layers.specs, params, samples, rows, first, n_rows, outputs)
        else:
            apply_layer(layers.specs + i, params, inputs, n_rows, outputs)
        inputs = outputs
        hidden, spare = spare, hidden
