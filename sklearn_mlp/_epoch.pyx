"""What the estimators call: batches of a training epoch, the loss and gradient of all rows, and
prediction in chunks of rows.

``Samples`` binds the arrays of a data set, ``Workspace`` the scratch of a forward and backward pass and
``Trainer`` everything that a training step needs; they turn Python objects into pointers and structs
once. Their methods then release the GIL for a
stretch of batches. NumPy owns every array, scratch included, and none is allocated after the
constructors.
"""
from cython cimport floating
from libc.math cimport isfinite, sqrt
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np
from scipy.sparse import issparse

from sklearn_mlp._memory import empty_vector
from sklearn_mlp._sparse import check_pointers

from sklearn_mlp._blas cimport GEMM_WORK, SHARD
from sklearn_mlp._dense cimport (
    LayerTable, all_finite, apply_layer, apply_sparse_layer, block_gradient, forward_and_backward,
    input_block, merge, sparse_weight_gradient,
)
from sklearn_mlp._loss cimport Loss
from sklearn_mlp._optim cimport (
    Optimizer, OptimizerState, step_numbers, clip_factor, step_of, sum_of_squares, update
)
from sklearn_mlp._types cimport (
    BlockSpec, LayerSpec, LossSpec, OptimSpec, SampleSpec, WorkspaceSpec
)

cdef extern from "_dropout.h" nogil:
    uint64_t dropout_epoch_key(uint64_t seed, uint64_t epoch)

cdef extern from "_team.h" nogil:
    ctypedef void (*team_function)(void* context, int thread, int n_threads) noexcept nogil
    ctypedef struct team_meeting:
        pass
    void team_run(team_function function, void* context, int n_threads)
    void team_meet(team_meeting* meeting, int n_threads)
    int team_largest()

cdef extern from "<time.h>" nogil:
    struct timespec:
        long long tv_sec
        long tv_nsec
    int timespec_get(timespec* now, int base)
    int TIME_UTC

# NumPy's interface of bit generators, numpy/random/bitgen.h.
ctypedef struct bitgen_t:
    void* state
    uint64_t (*next_uint64)(void* state) noexcept nogil
    uint32_t (*next_uint32)(void* state) noexcept nogil
    double (*next_double)(void* state) noexcept nogil
    uint64_t (*next_raw)(void* state) noexcept nogil

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


cdef const void* _address(array, dtype, name="an array") except? NULL:
    """Where the values of a C-contiguous array of `dtype` start (NULL for None and empty arrays)."""
    cdef const unsigned char[::1] view
    if array is None or array.size == 0:
        return NULL
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise TypeError(f"{name} must be C-contiguous and {np.dtype(dtype)}; got {array.dtype}, "
                        f"strides {array.strides}. Convert it with numpy.ascontiguousarray")
    view = array.reshape(-1).view(np.uint8)
    return &view[0]


cdef void* _slots(array, dtype, name="an array") except? NULL:
    """`_address` of an array that is written to."""
    if array is not None and not array.flags.writeable:
        raise ValueError(f"{name} is written to and read-only; pass a copy of it")
    return <void*> _address(array, dtype, name)


def shuffle(random_state, Py_ssize_t[::1] rows):
    """Shuffle `rows` in place, with the numbers that ``random_state.shuffle(rows)`` draws."""
    bit_generator = random_state._bit_generator
    cdef bitgen_t* generator = <bitgen_t*> PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
    with bit_generator.lock, nogil:
        _shuffle(generator, rows)


cdef void _shuffle(bitgen_t* generator, Py_ssize_t[::1] rows) noexcept nogil:
    """From the last place to the second: swap with one of 0 to i, masked bits that are drawn again
    where too large. Then a row swaps with itself and i stays, which costs less than a branch that
    is mispredicted."""
    cdef:
        uint64_t i = max(rows.shape[0], 1) - 1, j, mask = i
        Py_ssize_t swapped
        int shift
        Py_ssize_t* row = &rows[0]
    for shift in range(6):
        mask |= mask >> (1 << shift)
    while i > 0:
        if mask <= <uint64_t> 0xFFFFFFFF:
            j = generator.next_uint32(generator.state) & mask
        else:
            j = generator.next_uint64(generator.state) & mask
        swapped = row[i]
        row[i] = row[min(i, j)]
        row[min(i, j)] = swapped
        i -= j <= i
        mask >>= i <= mask >> 1


def largest_team():
    """The threads that OpenMP would use now; 1 without it."""
    return team_largest()


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
        readonly Py_ssize_t n_rows, n_targets, n_entries
        readonly bint has_codes
        readonly object dtype

    @property
    def sparse(self):
        return self.spec.indices is not NULL

    def __init__(self, X, targets=None, weights=None):
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions; got shape {X.shape}")
        self.n_rows, self.spec.n_features = X.shape
        self.dtype = X.dtype
        if self.dtype != np.float32 and self.dtype != np.float64:
            raise TypeError(f"samples are float32 or float64; got {self.dtype}")
        for name, array in (("y", targets), ("sample_weight", weights)):
            if array is not None and array.shape[:1] != (self.n_rows,):
                raise ValueError(f"{name} has shape {array.shape} and X {self.n_rows} rows; give as "
                                 "many")
        if weights is not None and weights.ndim != 1:
            raise ValueError(f"sample_weight must have one dimension; got shape {weights.shape}")
        self.n_entries = X.nnz if issparse(X) else X.size
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
            self.spec.values = _address(X, self.dtype, "X")
        if targets is not None:
            if targets.ndim != 2:
                raise ValueError(f"y must have two dimensions; got shape {targets.shape}. "
                                 "y.reshape(len(y), -1) has")
            self.n_targets = targets.shape[1]
            self.has_codes = targets.dtype.kind == "i"
            self.spec.targets = _address(targets, np.int32 if self.has_codes else self.dtype, "y")
        self.spec.weights = _address(weights, self.dtype, "sample_weight")


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
    most_threads : int, default=1
    """
    cdef:
        WorkspaceSpec spec
        object owners
        (Py_ssize_t, Py_ssize_t, Py_ssize_t) widths
        readonly Py_ssize_t capacity, most_threads
        readonly object dtype

    def __init__(self, LayerTable layers, Py_ssize_t capacity, dtype, *, Py_ssize_t n_gathered=0,
                 outputs=None, Py_ssize_t most_threads=1):
        if capacity < 1:
            raise ValueError(f"a workspace is for at least one row; got {capacity}")
        blocks = [
            empty_vector(capacity * width, dtype)
            for width in (n_gathered, layers.n_columns, layers.n_slopes, layers.n_columns)
        ]
        work = empty_vector(GEMM_WORK * most_threads, dtype)
        shard_sums = np.empty((capacity + SHARD - 1) // SHARD)
        block_sums = np.empty(layers.n_blocks)
        self.owners = (blocks, work, shard_sums, block_sums, outputs)
        self.widths = (layers.n_columns, layers.n_slopes, layers.n_blocks)
        self.most_threads = most_threads
        self.capacity = self.spec.capacity = capacity
        self.dtype = np.dtype(dtype)
        self.spec.gathered = _slots(blocks[0], dtype)
        self.spec.activations = _slots(blocks[1], dtype)
        self.spec.slopes = _slots(blocks[2], dtype)
        self.spec.deltas = _slots(blocks[3], dtype)
        self.spec.shard_sums = <double*> _slots(shard_sums, np.float64)
        self.spec.block_sums = <double*> _slots(block_sums, np.float64)
        self.spec.work = _slots(work, dtype)
        self.spec.outputs = _slots(outputs, dtype)


cdef struct TrainingSpec:
    # Bound once.
    const LayerSpec* layers
    int n_layers
    const BlockSpec* blocks
    Py_ssize_t n_blocks, n_params, work
    const SampleSpec* samples
    const LossSpec* loss
    const OptimSpec* optimizer  # NULL: gradients alone
    const WorkspaceSpec* space
    void* params
    void* moments
    void* gradient
    const double* rate_factors  # of the weights of each layer, then of the intercepts of each
    # Of a scale of the inputs, all of them NULL where there is none: `params` begins with the products
    # scale[i] * unscaled[i, j], which the passes read as the weights of the first layer.
    void* unscaled              # (n_in, n_out)
    void* scale                 # (n_in,)
    void* scale_gradient        # (n_in,)
    void* scale_moments         # (n_moments, n_in)
    double scale_rate
    Py_ssize_t batch_rows, step_rows
    double alpha, mean_weight, max_norm
    bint with_norm, accumulate
    int n_threads
    # Of a call.
    const Py_ssize_t* rows
    const double* rates
    Py_ssize_t n_rows, n_steps, done, steps_before
    # Sums since the epoch began.
    double loss_sum, penalty_sum, norm_sum
    # Between the threads.
    team_meeting meeting
    bint stop


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
    rate_factors : ndarray of shape (2, n_layers), dtype float64, default=None
        Factors of the rate of each layer's weights and of its intercepts; None: 1. The decay of
        weights follows the rate without them.
    scale_rate : float, default=0.0
        Factor of the rate of a scale of the inputs: a factor for each feature, 1 at first, which is
        trained like the other parameters and does not decay. 0: no scale.
    n_threads : int, default=1
        Threads that share the work of each step. They change no bit of the result.

    Attributes
    ----------
    dropout_seed : int
        Below 2**64; to be set where there is dropout.
    mean_weight : float
        A step is divided by its rows times this; to be set.
    gradient : ndarray of shape (n_params,)
        Of the last step, without the L2 term.
    scale : ndarray of shape (n_features,) or None
        The scale of the inputs.
    unscaled : ndarray of shape (n_features, n_units) or None
        The weights of the first layer without it; `params` has their products, and is therefore the
        network with its scale folded in, at all times.
    outputs : ndarray of shape (n_rows of the data set, n_outputs) or None
        The raw scores that were kept.
    loss_sum, penalty_sum : float
        Sums since `start_epoch`, to be divided by rows * mean_weight: of the weighted losses of
        rows, and of 0.5 * alpha * sum(weights**2) before each step.
    norm_sum : float
        Sum since `start_epoch` of the norms of the steps' gradients before they are clipped.
    """
    cdef:
        TrainingSpec spec
        LayerTable layers
        Optimizer settings
        OptimizerState state
        Workspace space
        object owners
        bint single
        tuple scale_state
        public uint64_t dropout_seed
        readonly object gradient, outputs, scale, unscaled

    def __init__(self, LayerTable layers, params, Samples samples, Loss loss,
                 Optimizer optimizer, OptimizerState state, *, Py_ssize_t batch_rows,
                 double alpha, bint gather, Py_ssize_t accumulation_steps=1,
                 double max_grad_norm=0.0, bint track_norm=False, bint keep_outputs=False,
                 rate_factors=None, double scale_rate=0.0, int n_threads=1):
        dtype = samples.dtype
        _check_targets(samples, loss)
        if params.shape != (layers.n_params,):
            raise ValueError(f"{params.shape} parameters for a network of {layers.n_params}")
        _check_features(layers, samples)
        _check_outputs(layers, loss)
        moments = None if state is None else state.moments
        if optimizer is not None and (
            moments is None or optimizer.spec.n_moments == 0
            or moments.shape != (optimizer.spec.n_moments, layers.n_params)
        ):
            raise ValueError(f"the state of {type(optimizer).__name__} is not one for "
                             f"{layers.n_params} parameters")
        if rate_factors is None:
            rate_factors = np.ones((2, layers.n_layers))
        if rate_factors.shape != (2, layers.n_layers):
            raise ValueError(f"rate_factors of shape {rate_factors.shape} for a network of "
                             f"{layers.n_layers} layers; (2, {layers.n_layers}) is needed")
        self.gradient = empty_vector(layers.n_params, dtype)
        self.outputs = np.empty((samples.n_rows, loss.n_outputs), dtype) if keep_outputs else None
        self.space = Workspace(
            layers, batch_rows, dtype, n_gathered=samples.spec.n_features if gather else 0,
            outputs=self.outputs, most_threads=n_threads)
        self.layers, self.settings, self.state = layers, optimizer, state
        self.owners = (params, samples, loss, moments, rate_factors)
        self.single = dtype == np.float32
        _bind(&self.spec, layers, samples, loss, self.space)
        if optimizer is not None:
            self.spec.optimizer = &optimizer.spec
        self.spec.batch_rows, self.spec.step_rows = batch_rows, batch_rows * accumulation_steps
        self.spec.alpha, self.spec.max_norm, self.spec.mean_weight = alpha, max_grad_norm, 1
        self.spec.with_norm = track_norm or max_grad_norm > 0
        self.spec.n_threads = n_threads
        self.spec.params = _slots(params, dtype)
        self.spec.moments = _slots(moments, dtype)
        self.spec.gradient = _slots(self.gradient, dtype)
        self.spec.rate_factors = <const double*> _address(rate_factors, np.float64)
        if scale_rate > 0:
            self._make_scale(params, scale_rate)
        self.start_epoch(0)

    def _make_scale(self, params, scale_rate):
        if self.settings is None:
            raise ValueError("a scale is trained by an optimizer; there is none")
        n_in, n_out = self.layers.specs[0].n_in, self.layers.specs[0].n_out
        self.unscaled = empty_vector(n_in * n_out, params.dtype).reshape(n_in, n_out)
        self.scale, gradient = np.empty((2, n_in), params.dtype)
        moments = np.empty((self.settings.n_moments, n_in), params.dtype)
        self.owners += (gradient, moments)
        self.scale_state = (params[: n_in * n_out].reshape(n_in, n_out), moments)
        self.spec.unscaled = _slots(self.unscaled, params.dtype)
        self.spec.scale = _slots(self.scale, params.dtype)
        self.spec.scale_gradient = _slots(gradient, params.dtype)
        self.spec.scale_moments = _slots(moments, params.dtype)
        self.spec.scale_rate = scale_rate

    def start_scale(self):
        """Begin with a scale of 1 of the weights as they are now."""
        weights, moments = self.scale_state
        self.unscaled[:] = weights
        self.scale.fill(1)
        moments.fill(0)

    @property
    def n_threads(self):
        return self.spec.n_threads

    @n_threads.setter
    def n_threads(self, int value):
        self.spec.n_threads = max(1, min(value, self.space.most_threads))

    @property
    def mean_weight(self):
        return self.spec.mean_weight

    @mean_weight.setter
    def mean_weight(self, double value):
        self.spec.mean_weight = value

    @property
    def loss_sum(self):
        return self.spec.loss_sum

    @property
    def penalty_sum(self):
        return self.spec.penalty_sum

    @property
    def norm_sum(self):
        return self.spec.norm_sum

    def start_epoch(self, uint64_t epoch):
        """Set the sums to zero and make dropout draw the masks of `epoch`."""
        self.spec.loss_sum = self.spec.penalty_sum = self.spec.norm_sum = 0
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
        if done >= rates.shape[0]:
            return done
        self.spec.rows = NULL if rows is None else &rows[0]
        self.spec.rates = &rates[0]
        self.spec.n_rows, self.spec.n_steps, self.spec.done = n_rows, rates.shape[0], done
        self.spec.steps_before = self.state.n_steps - done
        with nogil:
            _run(&self.spec, self.single)
        self.state.n_steps += self.spec.done - done
        return self.spec.done

    def loss_and_gradient(self, const Py_ssize_t[::1] rows, Py_ssize_t n_rows):
        """Sum the weighted losses of `n_rows` rows into `loss_sum`, and fill `gradient`.

        Rows are taken `batch_rows` at a time; the gradient is divided by rows * mean_weight.
        """
        self.spec.rows = NULL if rows is None else &rows[0]
        self.spec.n_rows = self.spec.step_rows = n_rows
        self.spec.n_steps, self.spec.done, self.spec.loss_sum = 1, 0, 0
        with nogil:
            _run(&self.spec, self.single)

    def is_finite(self):
        """Whether the losses of this epoch and all parameters are finite."""
        cdef bint finite
        with nogil:
            if self.single:
                finite = all_finite[float](<float*> self.spec.params, self.spec.n_params)
            else:
                finite = all_finite[double](<double*> self.spec.params, self.spec.n_params)
        return finite and isfinite(self.spec.loss_sum) and isfinite(self.spec.penalty_sum)


def _check_targets(Samples samples, Loss loss):
    """Kernels read targets as what the loss says they are."""
    if samples.n_targets != loss.n_targets:
        raise ValueError(f"y has {samples.n_targets} columns; loss {loss.name!r} of {loss.n_outputs} "
                         f"outputs takes {loss.n_targets}")
    if samples.has_codes != loss.takes_codes:
        raise TypeError(f"loss {loss.name!r} takes {'int32' if loss.takes_codes else samples.dtype} as "
                        "y; convert it")


def _check_features(LayerTable layers, Samples samples):
    if samples.spec.n_features != layers.specs[0].n_in:
        raise ValueError(f"X has {samples.spec.n_features} features; the network takes "
                         f"{layers.specs[0].n_in}")


def _check_outputs(LayerTable layers, Loss loss):
    n_outputs = layers.specs[layers.n_layers - 1].n_out
    if loss.n_outputs != n_outputs:
        raise ValueError(f"loss {loss.name!r} has {loss.n_outputs} outputs and the network "
                         f"{n_outputs}; make it with n_outputs={n_outputs}")


def loss_and_gradient_of(
    LayerTable layers, params, Samples samples, Loss loss, Workspace space, gradient,
    double divisor, bint accumulate, int n_threads=1,
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
    n_threads : int, default=1
        As many as the workspace was made for, or fewer.

    Returns
    -------
    loss : float
        Of several outputs the sum, to which the gradient belongs.
    """
    _check_targets(samples, loss)
    for name, array in (("params", params), ("out", gradient)):
        if array.shape != (layers.n_params,):
            raise ValueError(f"{name} has shape {array.shape}; the network has {layers.n_params} "
                             "parameters")
    _check_features(layers, samples)
    _check_outputs(layers, loss)
    if space.dtype != samples.dtype or space.widths != (
        layers.n_columns, layers.n_slopes, layers.n_blocks
    ):
        raise ValueError("the scratch was made for another network or dtype; use this one's scratch()")
    cdef:
        TrainingSpec spec
        bint single = samples.dtype == np.float32
    if samples.n_rows == 0:
        raise ValueError("X has no rows; give at least one")
    memset(&spec, 0, sizeof(spec))
    _bind(&spec, layers, samples, loss, space)
    spec.params = <void*> _address(params, samples.dtype, "params")  # read alone
    spec.gradient = _slots(gradient, samples.dtype, "out")
    spec.batch_rows, spec.step_rows, spec.n_rows = space.capacity, samples.n_rows, samples.n_rows
    spec.n_steps, spec.mean_weight, spec.accumulate = 1, divisor / samples.n_rows, accumulate
    spec.n_threads = min(n_threads, space.most_threads)
    with nogil:
        _run(&spec, single)
    return spec.loss_sum / divisor


cdef void _bind(TrainingSpec* spec, LayerTable layers, Samples samples, Loss loss, Workspace space):
    spec.layers, spec.n_layers, spec.n_params = layers.specs, layers.n_layers, layers.n_params
    spec.blocks, spec.n_blocks, spec.work = layers.blocks, layers.n_blocks, layers.work
    spec.samples, spec.loss, spec.space = &samples.spec, &loss.spec, &space.spec


cdef void _run(TrainingSpec* spec, bint single) noexcept nogil:
    memset(&spec.meeting, 0, sizeof(spec.meeting))
    team_run(_steps_float if single else _steps_double, spec, spec.n_threads)


cdef void _steps_float(void* context, int thread, int n_threads) noexcept nogil:
    _steps[float](<TrainingSpec*> context, <float*> NULL, thread, n_threads)


cdef void _steps_double(void* context, int thread, int n_threads) noexcept nogil:
    _steps[double](<TrainingSpec*> context, <double*> NULL, thread, n_threads)


cdef void _steps(TrainingSpec* t, floating* like, int thread, int n_threads) noexcept nogil:
    """Steps until the last, or until time is up. Every thread of the team runs this."""
    cdef:
        double began = _now(), elapsed, scale
        Py_ssize_t step = t.done, first, batch, rows, n
        Py_ssize_t looks = step + 1, wait = 1  # when the clock is read, and how many steps later again
    while True:
        first = step * t.step_rows
        rows = min(t.step_rows, t.n_rows - first)
        scale = 1 / (rows * t.mean_weight)
        batch = 0
        while batch < rows:
            n = min(t.batch_rows, rows - batch)
            if batch > 0:
                team_meet(&t.meeting, n_threads)  # the activations are still being read
            _accumulate(t, like, first + batch, n, scale, t.accumulate or batch > 0,
                        t.optimizer is not NULL and batch + n == rows, step, thread, n_threads)
            batch += n
        step += 1
        if thread == 0:
            t.stop = step == t.n_steps
            t.done = step
            if step == looks:
                elapsed = _now() - began
                # A clock that was set back must not keep Python waiting.
                t.stop = t.stop or elapsed > STRETCH or elapsed < 0
                if elapsed < 0.01 * STRETCH:
                    wait *= 2
                looks = step + wait
        team_meet(&t.meeting, n_threads)
        if thread == 0 and t.optimizer is not NULL:
            for batch in range(t.n_blocks):
                t.penalty_sum += 0.5 * t.alpha * t.space.block_sums[batch]
        if t.stop:
            return


cdef void _accumulate(
    TrainingSpec* t, floating* like, Py_ssize_t first, Py_ssize_t n_rows, double scale,
    bint accumulate, bint final, Py_ssize_t step, int thread, int n_threads,
) noexcept nogil:
    """A batch, which adds to the gradient, and the optimizer's step if it is the `final` one of it.

    Rows are cut at shards. The blocks of parameters are shared out in order, and a block's update
    follows its gradient at once unless the norm has to be known first."""
    cdef:
        Py_ssize_t shards = (n_rows + SHARD - 1) // SHARD, i
        Py_ssize_t start = shards * thread // n_threads * SHARD
        Py_ssize_t stop = min(shards * (thread + 1) // n_threads * SHARD, n_rows)
        step_numbers spec
    if final:
        spec = step_of(t.optimizer, t.rates[step], t.steps_before + step + 1, t.alpha * scale, 1)
    forward_and_backward(t.layers, t.n_layers, <const floating*> t.params, t.samples, t.rows, first,
                         start, stop, t.loss, scale, t.space, thread)
    team_meet(&t.meeting, n_threads)
    if thread == 0:
        for i in range(shards):
            t.loss_sum += t.space.shard_sums[i]
    _gradients(t, like, first, n_rows, accumulate, final,
               &spec if final and not t.with_norm else NULL, thread, n_threads)
    if final and t.with_norm:
        spec.clip = clip_factor(_gradient_norm(t, like, &spec, thread, n_threads), t.max_norm)
        _update(t, like, &spec, _first_block(t, thread, n_threads),
                _first_block(t, thread + 1, n_threads))


cdef void _gradients(
    TrainingSpec* t, floating* like, Py_ssize_t first, Py_ssize_t n_rows, bint accumulate,
    bint final,                # of the batches of a step
    const step_numbers* step,  # taken at once, where it is not NULL
    int thread, int n_threads,
) noexcept nogil:
    """Gradients of this thread's blocks."""
    cdef:
        Py_ssize_t i = _first_block(t, thread, n_threads), j
        Py_ssize_t end = _first_block(t, thread + 1, n_threads)
        floating* gradient = <floating*> t.gradient
        BlockSpec block
    while i < end:
        j = i + 1
        block = t.blocks[i]
        if t.samples.indices is not NULL and block.layer == 0 and block.first_row >= 0:
            while j < end and t.blocks[j].layer == 0 and t.blocks[j].first_row >= 0:
                j += 1
            sparse_weight_gradient(
                t.layers, t.samples, t.rows, first, n_rows, block.first_row,
                t.blocks[j - 1].first_row + t.blocks[j - 1].n_rows, t.space,
                gradient + t.layers.weights, accumulate)
        else:
            while j < end and merge(&block, t.blocks + j):
                j += 1
            block_gradient(t.layers, &block, t.samples, t.rows, first, n_rows, t.space, gradient,
                           accumulate, thread)
        if final and t.unscaled is not NULL:
            _unscale_gradient(t, like, i, j)
        if step is not NULL:
            _update(t, like, step, i, j)
        i = j


cdef inline bint _is_scaled(const TrainingSpec* t, const BlockSpec* block) noexcept nogil:
    return t.unscaled is not NULL and block.layer == 0 and block.first_row >= 0


cdef void _unscale_gradient(
    TrainingSpec* t, floating* like, Py_ssize_t i, Py_ssize_t end,
) noexcept nogil:
    """From the gradient G of the products s_i W_ij to those of s and W, in blocks `i` to `end`:
    ds_i = sum_j W_ij G_ij and dW_ij = s_i G_ij."""
    cdef:
        Py_ssize_t row, j, n = t.layers.n_out
        const BlockSpec* block
        const floating* weights
        floating* gradient
        floating factor
    for i in range(i, end):
        block = t.blocks + i
        if not _is_scaled(t, block):
            continue
        for row in range(block.first_row, block.first_row + block.n_rows):
            weights = <const floating*> t.unscaled + row * n
            gradient = <floating*> t.gradient + row * n
            (<floating*> t.scale_gradient)[row] = _dot(weights, <const floating*> gradient, n)
            factor = (<floating*> t.scale)[row]
            for j in range(n):
                gradient[j] = gradient[j] * factor


cdef floating _dot(const floating* a, const floating* b, Py_ssize_t n) noexcept nogil:
    """In lanes, so that it is vectorised."""
    cdef:
        Py_ssize_t i = 0, j
        double total = 0
        floating[LANES] lanes
    memset(lanes, 0, sizeof(lanes))
    while i + LANES <= n:
        for j in range(LANES):
            lanes[j] += a[i + j] * b[i + j]
        i += LANES
    for j in range(LANES):
        total += lanes[j]
    for j in range(i, n):
        total += a[j] * b[j]
    return total


cdef void _update_scale(
    TrainingSpec* t, floating* like, const step_numbers* step, const BlockSpec* block,
) noexcept nogil:
    """The optimizer's step on the scale of a block's rows, and the new products of these."""
    cdef:
        Py_ssize_t row, j, n = t.layers.n_out
        const floating* weights
        floating* products
        floating factor
        step_numbers own = step[0]
    own.rate = step.rate * t.scale_rate
    update(t.optimizer, own, <floating*> t.scale, <const floating*> t.scale_gradient,
           <floating*> t.scale_moments, t.layers.n_in, block.first_row, block.n_rows, False)
    for row in range(block.first_row, block.first_row + block.n_rows):
        weights = <const floating*> t.unscaled + row * n
        products = <floating*> t.params + row * n
        factor = (<floating*> t.scale)[row]
        for j in range(n):
            products[j] = weights[j] * factor


cdef void _update(
    TrainingSpec* t, floating* like, const step_numbers* step, Py_ssize_t i, Py_ssize_t end,
) noexcept nogil:
    """The optimizer's step on blocks `i` to `end`."""
    cdef:
        const BlockSpec* block
        bint weights, scaled
        step_numbers own = step[0]
    for i in range(i, end):
        block = t.blocks + i
        weights = block.first_row >= 0
        own.rate = step.rate * t.rate_factors[block.layer if weights else t.n_layers + block.layer]
        scaled = _is_scaled(t, block)
        t.space.block_sums[i] = update(
            t.optimizer, own, <floating*> (t.unscaled if scaled else t.params),
            <const floating*> t.gradient, <floating*> t.moments, t.n_params, block.start, block.size,
            weights)
        if scaled:
            _update_scale(t, like, step, block)


cdef Py_ssize_t _first_block(const TrainingSpec* t, int thread, int n_threads) noexcept nogil:
    """The first block of a thread: it takes those whose middle is in its part of the work."""
    cdef:
        Py_ssize_t low = 0, high = t.n_blocks, i
        Py_ssize_t begin = t.work * thread // n_threads
    if thread == 0:
        return 0
    while low < high:
        i = (low + high) // 2
        if t.blocks[i].middle < begin:
            low = i + 1
        else:
            high = i
    return low


cdef double _gradient_norm(
    TrainingSpec* t, floating* like, const step_numbers* spec, int thread, int n_threads,
) noexcept nogil:
    """Of the whole gradient, L2 term and scale included."""
    cdef:
        Py_ssize_t i
        const BlockSpec* block
        const floating* params
        double total = 0
    for i in range(_first_block(t, thread, n_threads), _first_block(t, thread + 1, n_threads)):
        block = t.blocks + i
        params = <const floating*> (t.unscaled if _is_scaled(t, block) else t.params) + block.start
        t.space.block_sums[i] = sum_of_squares(
            params, <const floating*> t.gradient + block.start, block.size,
            spec.l2 if block.first_row >= 0 else 0)
        if _is_scaled(t, block):
            t.space.block_sums[i] += sum_of_squares(
                <const floating*> t.scale + block.first_row,
                <const floating*> t.scale_gradient + block.first_row, block.n_rows, 0)
    team_meet(&t.meeting, n_threads)
    for i in range(t.n_blocks):
        total += t.space.block_sums[i]
    team_meet(&t.meeting, n_threads)  # the sums are needed again
    total = sqrt(total)
    if thread == 0:
        t.norm_sum += total
    return total


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
        raise TypeError(f"params must have shape ({layers.n_params},) and the dtype of X, "
                        f"{samples.dtype}; got {params.shape} and {params.dtype}")
    _check_features(layers, samples)
    n_rows = samples.n_rows if rows is None else rows.shape[0]
    shape = (n_rows, layers.specs[layers.n_layers - 1].n_out)
    raw = np.empty(shape, samples.dtype) if out is None else out
    if not isinstance(raw, np.ndarray):
        raise TypeError(f"out must be an ndarray; got {type(raw).__name__}")
    if raw.shape != shape or raw.dtype != samples.dtype:
        raise ValueError(f"out must have shape {shape} and dtype {samples.dtype}; got {raw.shape} and "
                         f"{raw.dtype}")
    if not raw.flags.c_contiguous:
        raise ValueError(f"out must be C-contiguous; got strides {raw.strides}")
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
        floating[::1] gathered = empty_vector(
            (capacity if gather else 1) * samples.spec.n_features, samples.dtype)
        floating[::1] hidden = empty_vector(2 * capacity * layers.widest, samples.dtype)
        floating[::1] work = empty_vector(GEMM_WORK, samples.dtype)
    with nogil:
        while first < n_rows:
            n = min(capacity, n_rows - first)
            _predict_chunk(layers, &params[0], &samples.spec, order, first, n, &gathered[0],
                           &hidden[0], &hidden[0] + capacity * layers.widest, &work[0],
                           &raw[first, 0])
            first += n


cdef void _predict_chunk(
    LayerTable layers, const floating* params, const SampleSpec* samples,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    floating* gathered, floating* hidden, floating* spare, floating* work,  # scratch
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
            apply_layer(layers.specs + i, params, inputs, n_rows, outputs, <floating*> NULL, work)
        inputs = outputs
        hidden, spare = spare, hidden
