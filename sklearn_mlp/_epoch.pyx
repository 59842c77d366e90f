"""What the estimators call: batches of a training epoch, the loss and gradient of all rows, and
prediction in chunks of rows.

``Samples`` binds the arrays of a data set, ``Workspace`` the scratch of a forward and backward pass and
``Trainer`` everything that a training step needs; they turn Python objects into pointers and structs
once. Their methods then release the GIL for a
stretch of batches. NumPy owns every array, scratch included, and none is allocated after the
constructors.
"""
from cython cimport floating
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.string cimport memset

import numpy as np
from scipy.sparse import issparse

from sklearn_mlp._memory import empty_vector
from sklearn_mlp._sparse import check_pointers

from sklearn_mlp._blas cimport GEMM_WORK
from sklearn_mlp._dense cimport (
    LayerTable, apply_layer, apply_sparse_layer, input_block, loss_and_gradient
)
from sklearn_mlp._loss cimport Loss
from sklearn_mlp._optim cimport Optimizer, OptimizerState, optimizer_step
from sklearn_mlp._types cimport SampleSpec, WorkspaceSpec

cdef extern from "_dropout.h" nogil:
    uint64_t dropout_epoch_key(uint64_t seed, uint64_t epoch)

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


cdef void* _slots(array, dtype) except? NULL:
    """`_address` of an array that is written to."""
    if array is not None and not array.flags.writeable:
        raise ValueError("an array to be written to is read-only")
    return <void*> _address(array, dtype)


def chunk_rows(Py_ssize_t n_rows, Py_ssize_t widest):
    """Rows to take at a time, so that the widest block fits the cache and memory stays constant."""
    return max(1, min(n_rows, max(32, CHUNK_VALUES // widest)))


cdef class Samples:
    """Rows as the kernels read them: inputs, targets and weights, borrowed from NumPy.

    Parameters
    ----------
    X : ndarray (C order) or CSR of shape (n_rows, n_features), dtype float32 or float64
        The caller answers for a CSR's column indices (`kernel_input` checks them).
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
            if array is not None and array.shape[:1] != (self.n_rows,):
                raise ValueError(f"{name} of shape {array.shape} for {self.n_rows} rows")
        if weights is not None and weights.ndim != 1:
            raise ValueError(f"weights must have one dimension; got shape {weights.shape}")
        if issparse(X):
            check_pointers(X)
            indptr = np.ascontiguousarray(X.indptr, np.int64)
            # A CSR without entries has no addresses to read from; any non-NULL marks it sparse.
            values = np.ascontiguousarray(X.data if X.nnz else np.zeros(1, self.dtype))
            indices = np.ascontiguousarray(X.indices if X.nnz else np.zeros(1), np.int32)
            self.owners = (values, indices, indptr, targets, weights)
            self.spec.values = _address(values, self.dtype)
            self.spec.indices = <const int32_t*> _address(indices, np.int32)
            self.spec.indptr = <const int64_t*> _address(indptr, np.int64)
        else:
            self.owners = (X, targets, weights)
            self.spec.values = _address(X, self.dtype)
        if targets is not None:
            if targets.ndim != 2:
                raise ValueError(f"targets must have two dimensions; got shape {targets.shape}")
            self.n_targets = targets.shape[1]
            self.has_codes = targets.dtype.kind == "i"
            self.spec.targets = _address(targets, np.int32 if self.has_codes else self.dtype)
        self.spec.weights = _address(weights, self.dtype)


cdef class Workspace:
    """Scratch of forward and backward passes through `layers`, for up to `capacity` rows at a time.

    Parameters
    ----------
    layers : LayerTable
    capacity : int
    dtype : dtype
        float32 or float64.
    n_gathered : int, default=0
        Features of dense rows that are taken in permuted order and have to be gathered; 0 for none.
    outputs : ndarray of shape (n_rows of the data set, n_outputs), default=None
        Where passes leave the raw scores of the rows they see.
    """
    cdef:
        WorkspaceSpec spec
        object owners
        (Py_ssize_t, Py_ssize_t, Py_ssize_t) widths
        readonly Py_ssize_t capacity
        readonly object dtype

    def __init__(self, LayerTable layers, Py_ssize_t capacity, dtype, *, Py_ssize_t n_gathered=0,
                 outputs=None):
        if capacity < 1:
            raise ValueError(f"a workspace is for at least one row; got {capacity}")
        blocks = [
            np.empty((capacity, width), dtype)
            for width in (n_gathered, layers.n_columns, layers.n_slopes, layers.widest, layers.widest)
        ]
        work = np.empty(GEMM_WORK, dtype)
        self.owners = (blocks, work, outputs)
        self.widths = (layers.n_columns, layers.n_slopes, layers.widest)
        self.capacity = self.spec.capacity = capacity
        self.dtype = np.dtype(dtype)
        self.spec.gathered = _slots(blocks[0], dtype)
        self.spec.activations = _slots(blocks[1], dtype)
        self.spec.slopes = _slots(blocks[2], dtype)
        self.spec.delta = _slots(blocks[3], dtype)
        self.spec.delta_below = _slots(blocks[4], dtype)
        self.spec.work = _slots(work, dtype)
        self.spec.outputs = _slots(outputs, dtype)


cdef class Trainer:
    """Everything a training step reads and writes, bound once per fit.

    A step takes `accumulation_steps` batches: their gradients are added up, divided by the weight of
    all their rows, and then the L2 term is added, the norm clipped and the optimizer's step taken.

    Parameters
    ----------
    layers : LayerTable
        With the rates of dropout.
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
        Strength of the L2 term: 0.5 * alpha * sum(weights**2) over the weight of the step's rows.
    gather : bool
        Whether batches take dense rows in permuted order and need room to gather them.
    accumulation_steps : int, default=1
        Batches per step.
    max_grad_norm : float, default=0.0
        Largest norm of a step's gradient; 0: no limit.
    track_norm : bool, default=False
        Whether to sum up the norms of the gradients, as is done where there is a limit.
    keep_outputs : bool, default=False
        Whether to keep the raw scores that the rows had when training came by them.

    Attributes
    ----------
    dropout_seed : int
        Below 2**64; to be set where there is dropout.
    mean_weight : float
        A step is divided by its rows times this; to be set.
    gradient : ndarray of shape (n_params,)
        Of the last step, without the L2 term.
    outputs : ndarray of shape (n_rows of the data set, n_outputs) or None
        The raw scores that were kept.
    loss_sum, penalty_sum : float
        Sums since `start_epoch`, to be divided by rows * mean_weight: of the weighted losses of
        rows, and of 0.5 * alpha * sum(weights**2) before each step.
    norm_sum : float
        Sum since `start_epoch` of the norms of the steps' gradients before they are clipped.
    """
    cdef:
        LayerTable layers
        Samples samples
        Loss loss
        Optimizer optimizer
        OptimizerState state
        Workspace space
        object owners
        void* params
        void* moments
        void* gradient_values
        Py_ssize_t batch_rows, step_rows
        double alpha, max_grad_norm
        public uint64_t dropout_seed
        public double mean_weight
        bint single, with_norm
        readonly object gradient, outputs
        readonly double loss_sum, penalty_sum, norm_sum

    def __init__(self, LayerTable layers, params, Samples samples, Loss loss, optimizer, state, *,
                 Py_ssize_t batch_rows, double alpha, bint gather, Py_ssize_t accumulation_steps=1,
                 double max_grad_norm=0.0, bint track_norm=False, bint keep_outputs=False):
        dtype = samples.dtype
        _check_targets(samples, loss)
        if params.shape != (layers.n_params,):
            raise ValueError(f"{params.shape} parameters for a network of {layers.n_params}")
        if samples.spec.n_features != layers.specs[0].n_in:
            raise ValueError(f"{samples.spec.n_features} features for {layers.specs[0].n_in} inputs")
        if loss.n_outputs != layers.specs[layers.n_layers - 1].n_out:
            raise ValueError(f"a loss of {loss.n_outputs} outputs for a network of "
                             f"{layers.specs[layers.n_layers - 1].n_out}")
        moments = None if state is None else state.moments
        self.gradient = empty_vector(layers.n_params, dtype)
        self.outputs = np.empty((samples.n_rows, loss.n_outputs), dtype) if keep_outputs else None
        self.space = Workspace(
            layers, batch_rows, dtype, n_gathered=samples.spec.n_features if gather else 0,
            outputs=self.outputs)
        self.owners = (params, moments)
        self.layers, self.samples, self.loss = layers, samples, loss
        self.optimizer, self.state = optimizer, state
        self.batch_rows, self.step_rows = batch_rows, batch_rows * accumulation_steps
        self.alpha, self.max_grad_norm, self.mean_weight = alpha, max_grad_norm, 1
        self.with_norm = track_norm or max_grad_norm > 0
        self.single = dtype == np.float32
        self.params = _slots(params, dtype)
        self.moments = _slots(moments, dtype)
        self.gradient_values = _slots(self.gradient, dtype)
        self.start_epoch(0)

    def start_epoch(self, uint64_t epoch):
        """Set the sums to zero and make dropout draw the masks of `epoch`."""
        self.loss_sum = self.penalty_sum = self.norm_sum = 0
        self.space.spec.dropout_key = dropout_epoch_key(self.dropout_seed, epoch)

    def train_batches(self, const Py_ssize_t[::1] rows, Py_ssize_t n_rows, Py_ssize_t done,
                      const double[::1] rates):
        """Take steps `done`, `done` + 1, ... of an epoch for about a tenth of a second.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,), dtype intp, or None
            The rows in the order in which to take them; None: as they come.
        n_rows : int
        done : int
            Steps of this epoch that are done.
        rates : ndarray of shape (n_steps,), dtype float64
            The learning rate of each step of the epoch.

        Returns
        -------
        done : int
            Steps of this epoch that are done now, at least one more than before.
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
        cdef:
            const Py_ssize_t* order = NULL if rows is None else &rows[0]
            double scale = 1 / (n_rows * self.mean_weight)
        with nogil:
            if self.single:
                self.loss_sum = _gradient[float](self, <float*> self.params, order, 0, n_rows, scale)
            else:
                self.loss_sum = _gradient[double](
                    self, <double*> self.params, order, 0, n_rows, scale)

    def is_finite(self):
        """Whether the losses of this epoch and all parameters are finite."""
        cdef bint finite
        with nogil:
            if self.single:
                finite = _all_finite[float](<float*> self.params, self.layers.n_params)
            else:
                finite = _all_finite[double](<double*> self.params, self.layers.n_params)
        return finite and isfinite(self.loss_sum) and isfinite(self.penalty_sum)


def _check_targets(Samples samples, Loss loss):
    """Kernels read targets as what the loss says they are."""
    if samples.n_targets != loss.n_targets:
        raise ValueError(f"{samples.n_targets} targets per row for {loss.n_outputs} outputs "
                         f"and loss {loss.name!r}")
    if samples.has_codes != loss.takes_codes:
        raise TypeError(f"loss {loss.name!r} takes "
                        f"{'int32 codes' if loss.takes_codes else 'numbers'} as targets")


def loss_and_gradient_of(
    LayerTable layers, params, Samples samples, Loss loss, Workspace space, gradient,
    double divisor, bint accumulate,
):
    """The loss of all rows of `samples`, and its gradient: the sums over rows, divided.

    Parameters
    ----------
    layers : LayerTable
    params, gradient : ndarray of shape (n_params,), dtype as `samples`
        The gradient is overwritten, or added to with `accumulate`.
    samples : Samples
    loss : Loss
    space : Workspace
        Of these layers; its capacity is how many rows are taken at a time.
    divisor : float
        What sums over rows are divided by.
    accumulate : bool

    Returns
    -------
    loss : float
        Of several outputs the sum, to which the gradient belongs.
    """
    _check_targets(samples, loss)
    if not params.shape == gradient.shape == (layers.n_params,):
        raise ValueError(f"params of shape {params.shape} and gradient of shape {gradient.shape} for "
                         f"a network of {layers.n_params} parameters")
    if samples.spec.n_features != layers.specs[0].n_in:
        raise ValueError(f"{samples.spec.n_features} features for {layers.specs[0].n_in} inputs")
    if loss.n_outputs != layers.specs[layers.n_layers - 1].n_out:
        raise ValueError(f"a loss of {loss.n_outputs} outputs for a network of "
                         f"{layers.specs[layers.n_layers - 1].n_out}")
    if space.dtype != samples.dtype or space.widths != (
        layers.n_columns, layers.n_slopes, layers.widest
    ):
        raise ValueError("the scratch was made for another network or dtype")
    cdef:
        const void* values = _address(params, samples.dtype)
        void* slots = _slots(gradient, samples.dtype)
        bint single = samples.dtype == np.float32
        double total
    with nogil:
        if single:
            total = _all_rows[float](layers, <const float*> values, samples, loss, space,
                                     <float*> slots, 1 / divisor, accumulate)
        else:
            total = _all_rows[double](layers, <const double*> values, samples, loss, space,
                                      <double*> slots, 1 / divisor, accumulate)
    return total / divisor


cdef double _all_rows(
    LayerTable layers, const floating* params, Samples samples, Loss loss, Workspace space,
    floating* gradient, double scale, bint accumulate,
) noexcept nogil:
    cdef:
        double total = 0
        Py_ssize_t first = 0, n
    while first < samples.n_rows:
        n = min(space.capacity, samples.n_rows - first)
        total += loss_and_gradient(
            layers.specs, layers.n_layers, params, &samples.spec, NULL, first, n, &loss.spec, scale,
            &space.spec, gradient, accumulate or first > 0)
        first += n
    return total


cdef Py_ssize_t _train_batches(
    Trainer t, floating* params, const Py_ssize_t* rows, Py_ssize_t n_rows, Py_ssize_t done,
    const double* rates, Py_ssize_t n_steps,
) noexcept nogil:
    cdef:
        double start = _now(), elapsed, share, norm = 0
        Py_ssize_t first, n
    while True:
        first = done * t.step_rows
        n = min(t.step_rows, n_rows - first)
        share = 1 / (n * t.mean_weight)
        t.loss_sum += _gradient(t, params, rows, first, n, share)
        t.state.n_steps += 1
        t.penalty_sum += 0.5 * t.alpha * optimizer_step(
            &t.optimizer.spec, params, <floating*> t.gradient_values, <floating*> t.moments,
            t.layers.n_params, t.layers.n_weights, t.alpha * share, rates[done], t.state.n_steps,
            t.max_grad_norm, &norm if t.with_norm else NULL)
        t.norm_sum += norm
        done += 1
        elapsed = _now() - start
        # A clock that was set back must not keep Python waiting.
        if done == n_steps or elapsed > STRETCH or elapsed < 0:
            return done


cdef double _gradient(
    Trainer t, floating* params, const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    double scale,
) noexcept nogil:
    """Return the summed weighted loss of rows `first`, ...; the gradient is `scale` times its."""
    cdef:
        double total = 0
        Py_ssize_t done = 0, n
    while done < n_rows:
        n = min(t.batch_rows, n_rows - done)
        total += loss_and_gradient(
            t.layers.specs, t.layers.n_layers, params, &t.samples.spec, rows, first + done, n,
            &t.loss.spec, scale, &t.space.spec, <floating*> t.gradient_values, done > 0)
        done += n
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


def predict_batches(LayerTable layers, params, Samples samples, rows=None, out=None):
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
    out : ndarray of shape (n_rows, n_outputs), default=None
        Where to write the raw scores, in C order and the parameters' dtype.

    Returns
    -------
    raw : ndarray of shape (n_rows, n_outputs)
    """
    if params.dtype != samples.dtype or params.shape != (layers.n_params,):
        raise TypeError(f"params of shape {params.shape} and dtype {params.dtype} for a network of "
                        f"{layers.n_params} parameters and samples of {samples.dtype}")
    if samples.spec.n_features != layers.specs[0].n_in:
        raise ValueError(f"{samples.spec.n_features} features for {layers.specs[0].n_in} inputs")
    n_rows = samples.n_rows if rows is None else rows.shape[0]
    shape = (n_rows, layers.specs[layers.n_layers - 1].n_out)
    raw = np.empty(shape, samples.dtype) if out is None else out
    if not isinstance(raw, np.ndarray):
        raise TypeError(f"out must be an ndarray; got {type(raw).__name__}")
    if raw.shape != shape or raw.dtype != samples.dtype:
        raise ValueError(f"out must have shape {shape} and dtype {samples.dtype}; got {raw.shape} and "
                         f"{raw.dtype}")
    if n_rows == 0:
        return raw
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
            apply_sparse_layer(layers.specs, params, samples, rows, first, n_rows, outputs,
                               <floating*> NULL)
        else:
            apply_layer(layers.specs + i, params, inputs, n_rows, outputs, <floating*> NULL)
        inputs = outputs
        hidden, spare = spare, hidden
