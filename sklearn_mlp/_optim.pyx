"""Optimizers: settings classes, their state, and their update rules.

Settings, state and parameters are three values. Settings are a small class per optimizer, turned
into an ``OptimSpec`` once. The state is the moments (one row per moment, each as long as the
parameter vector) and the number of steps taken. An update is one loop over the flat vectors: a pass
over memory per step, the L2 term and the decay of weights included. Clipping by the global norm adds
one reading pass, for the norm.

An optimizer is a row of ``STEPS`` in ``_steps.h``, which has its rule, and a class in ``SOLVERS``. The
rules of SGD and Adam are those of ``sklearn.neural_network``: in Adam the bias corrections are folded
into the rate, so that `epsilon` is added to the square root of the uncorrected second moment. AdamW
follows its paper and PyTorch, there `epsilon` is added to the corrected root.
"""
from cython cimport floating
from libc.math cimport pow, sqrt
from libc.string cimport memset

import numpy as np

from sklearn_mlp._blas import INSTRUCTION_LEVEL
from sklearn_mlp._memory import empty_vector

from sklearn_mlp._types cimport OptimSpec

cdef extern from "_steps.h" nogil:
    enum:
        STEPS_SGD
        STEPS_ADAM
        STEPS_ADAMW
    ctypedef double (*steps_float)(
        const step_numbers* step, float* params, const float* gradient, float* moments,
        Py_ssize_t n_params, Py_ssize_t n) noexcept nogil
    ctypedef double (*steps_double)(
        const step_numbers* step, double* params, const double* gradient, double* moments,
        Py_ssize_t n_params, Py_ssize_t n) noexcept nogil
    const steps_float* steps_of_float(int level)
    const steps_double* steps_of_double(int level)

cdef:
    int set_level = INSTRUCTION_LEVEL
    const steps_float* single_steps = steps_of_float(set_level)
    const steps_double* double_steps = steps_of_double(set_level)

cdef enum:
    LANES = 16
    BLOCK = 2048  # parameters whose squares are summed in their own precision


cdef class OptimizerState:
    """What an optimizer remembers between steps.

    Attributes
    ----------
    moments : ndarray of shape (n_moments, n_params)
        The velocity for `SGD`; the first and second moments for `Adam`.
    n_steps : int
        Steps taken.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.optimizers import Adam
    >>> state = Adam().init(np.zeros(3))
    >>> state.moments.shape, state.n_steps
    ((2, 3), 0)
    """

    def __init__(self, moments, n_steps=0):
        if not isinstance(moments, np.ndarray):
            raise TypeError(f"moments must be an ndarray; got {type(moments).__name__}")
        self.moments = moments
        self.n_steps = n_steps

    def make_writeable(self):
        """Copy the moments if they are read-only, as those of a model loaded as a memory map."""
        if not self.moments.flags.writeable:
            self.moments = self.moments.copy()

    def __reduce__(self):
        return OptimizerState, (self.moments, self.n_steps)


def _in_range(name, value, allowed, what):
    if not allowed:
        raise ValueError(f"{name} must be {what}; got {value!r}")
    return value


cdef _set_betas(OptimSpec* spec, beta_1, beta_2, epsilon):
    spec.beta_1 = _in_range("beta_1", beta_1, 0 <= beta_1 < 1, "in [0, 1)")
    spec.beta_2 = _in_range("beta_2", beta_2, 0 <= beta_2 < 1, "in [0, 1)")
    spec.epsilon = _in_range("epsilon", epsilon, epsilon > 0, "> 0")


cdef class Optimizer:
    """Base class of the optimizers' settings.

    A subclass says how many moments it keeps, and from which parameter of an estimator each of its
    own comes.
    """

    n_moments = 0
    estimator_parameters = {}

    def init(self, params):
        """Return the state before the first step for a parameter vector `params`."""
        moments = empty_vector(self.n_moments * params.shape[0], params.dtype)
        moments.fill(0)
        return OptimizerState(moments.reshape(self.n_moments, params.shape[0]))

    def step(self, params, gradient, OptimizerState state not None, double lr, *,
             n_weights=None, double l2=0.0, max_norm=None):
        """Move `params` one step against `gradient`, in place.

        The L2 term is added to the gradient, then the norm is clipped, then weights decay (AdamW),
        then the step is taken.

        Parameters
        ----------
        params : ndarray of shape (n_params,), dtype float32 or float64
            C-contiguous.
        gradient : ndarray of shape (n_params,), same dtype
        state : OptimizerState
            Of `init(params)`; updated in place.
        lr : float
            The learning rate of this step.
        n_weights : int, default=None
            The first `n_weights` parameters are weights, which the L2 term and the decay act on; the
            rest are intercepts. None: all are weights.
        l2 : float, default=0.0
            ``l2 * weights`` is added to their gradient.
        max_norm : float, default=None
            If the Euclidean norm of the whole gradient is larger, the gradient is scaled down to
            it. None: never.

        Returns
        -------
        norm : float or None
            The norm before clipping, if `max_norm` is given.

        Raises
        ------
        ValueError
            If shapes, dtypes or numbers do not fit.
        """
        cdef double norm
        moments = state.moments
        for name, array in (("params", params), ("gradient", gradient)):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{name} must be an ndarray; got {type(array).__name__}")
        if self.spec.n_moments == 0:
            raise TypeError("Optimizer is the base class; use SGD, Adam or AdamW")
        if params.shape != gradient.shape or moments.shape != (self.spec.n_moments, params.size):
            raise ValueError(
                f"params, gradient and the state of {type(self).__name__} do not belong together: "
                f"shapes {params.shape}, {gradient.shape} and {moments.shape}")
        if not params.dtype == gradient.dtype == moments.dtype:
            raise ValueError(
                f"params, gradient and state have dtypes {params.dtype}, {gradient.dtype} and "
                f"{moments.dtype}; they must be the same")
        n_weights = params.shape[0] if n_weights is None else n_weights
        if not 0 <= n_weights <= params.shape[0]:
            raise ValueError(f"n_weights must be in [0, {params.shape[0]}]; got {n_weights}")
        if not (0 <= lr < np.inf and 0 <= l2 < np.inf and state.n_steps >= 0):
            raise ValueError(
                f"lr and l2 must be finite and not negative, and so must the steps taken; got lr={lr}, "
                f"l2={l2} and {state.n_steps} steps")
        if max_norm is not None and not max_norm > 0:
            raise ValueError(f"max_norm must be > 0 or None; got {max_norm}")
        limit = 0 if max_norm is None else max_norm
        if params.dtype == np.float32:
            norm = _step[float](self, params, gradient, state, n_weights, l2, lr, limit)
        else:
            norm = _step[double](self, params, gradient, state, n_weights, l2, lr, limit)
        state.n_steps += 1
        return None if max_norm is None else norm


cdef double _step(
    Optimizer settings, floating[::1] params, const floating[::1] gradient, OptimizerState state,
    Py_ssize_t n_weights, double l2, double lr, double max_norm,
) except -1:
    cdef:
        Py_ssize_t n = params.shape[0]
        floating[:, ::1] moments = state.moments
        double norm = 0
        step_numbers step
        OptimSpec* spec = &settings.spec
    if n == 0:
        return 0
    with nogil:
        if max_norm > 0:
            norm = sqrt(sum_of_squares(&params[0], &gradient[0], n_weights, l2)
                        + sum_of_squares(&params[0] + n_weights, &gradient[0] + n_weights,
                                         n - n_weights, 0))
        step = step_of(spec, lr, state.n_steps + 1, l2, clip_factor(norm, max_norm))
        update(spec, step, &params[0], &gradient[0], &moments[0, 0], n, 0, n_weights, True)
        update(spec, step, &params[0], &gradient[0], &moments[0, 0], n, n_weights, n - n_weights,
               False)
    return norm


cdef class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as in `sklearn.neural_network`.

    The velocity becomes ``momentum * velocity - rate * gradient`` and is added to the parameters;
    with Nesterov's momentum ``momentum * velocity - rate * gradient`` of the new velocity is added.

    Parameters
    ----------
    momentum : float, default=0.9
    nesterov : bool, default=True

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.optimizers import SGD
    >>> optimizer, params = SGD(momentum=0.5, nesterov=False), np.array([1.0])
    >>> state = optimizer.init(params)
    >>> for _ in range(2):
    ...     optimizer.step(params, np.array([2.0]), state, lr=0.1)
    >>> params  # 1 - 0.2, then -0.2 and half of the step before
    array([0.5])
    """

    n_moments = 1
    estimator_parameters = {"momentum": "momentum", "nesterov": "nesterovs_momentum"}

    def __init__(self, momentum=0.9, nesterov=True):
        self.spec.code, self.spec.n_moments = STEPS_SGD, 1
        self.spec.momentum = _in_range("momentum", momentum, 0 <= momentum <= 1, "in [0, 1]")
        self.spec.nesterov = nesterov

    def __reduce__(self):
        return SGD, (self.spec.momentum, bool(self.spec.nesterov))


cdef class Adam(Optimizer):
    """Adam (Kingma and Ba 2014, arXiv:1412.6980), as in `sklearn.neural_network`.

    Step t moves the parameters by ``-rate_t * m / (sqrt(v) + epsilon)`` with ``rate_t = rate *
    sqrt(1 - beta_2**t) / (1 - beta_1**t)``: the order of computation that the end of section 2 of
    the paper proposes, in which `epsilon` is smaller than in its algorithm 1 by sqrt(1 - beta_2**t).

    Parameters
    ----------
    beta_1 : float, default=0.9
    beta_2 : float, default=0.999
    epsilon : float, default=1e-8

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.optimizers import Adam
    >>> optimizer, params = Adam(), np.array([1.0, 1.0])
    >>> optimizer.step(params, np.array([5.0, -0.1]), optimizer.init(params), lr=0.25)
    >>> params.round(4)  # the first step is as long as the rate, whatever the gradient
    array([0.75, 1.25])
    """

    n_moments = 2
    estimator_parameters = {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"}

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.spec.code, self.spec.n_moments = STEPS_ADAM, 2
        _set_betas(&self.spec, beta_1, beta_2, epsilon)

    def __reduce__(self):
        return Adam, (self.spec.beta_1, self.spec.beta_2, self.spec.epsilon)


cdef class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    As ``torch.optim.AdamW``: step t multiplies the weights by ``1 - lr * weight_decay`` and moves all
    parameters by ``-lr / (1 - beta_1**t) * m / (sqrt(v / (1 - beta_2**t)) + epsilon)``. The decay
    follows the learning rate, the schedule's factor included; intercepts do not decay.

    Parameters
    ----------
    beta_1 : float, default=0.9
    beta_2 : float, default=0.999
    epsilon : float, default=1e-8
    weight_decay : float, default=0.01

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.optimizers import AdamW
    >>> optimizer, params = AdamW(weight_decay=0.1), np.array([1.0, 1.0])
    >>> state = optimizer.init(params)
    >>> optimizer.step(params, np.array([0.0, 0.0]), state, lr=0.5, n_weights=1)
    >>> params  # the weight has decayed, the intercept has not
    array([0.95, 1.  ])
    """

    n_moments = 2
    estimator_parameters = {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon",
                            "weight_decay": "weight_decay"}

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8, weight_decay=0.01):
        self.spec.code, self.spec.n_moments = STEPS_ADAMW, 2
        _set_betas(&self.spec, beta_1, beta_2, epsilon)
        self.spec.weight_decay = _in_range("weight_decay", weight_decay, weight_decay >= 0, ">= 0")

    def __reduce__(self):
        return AdamW, (self.spec.beta_1, self.spec.beta_2, self.spec.epsilon, self.spec.weight_decay)


SOLVERS = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


cdef double sum_of_squares(
    const floating* params, const floating* gradient, Py_ssize_t n, double l2,
) noexcept nogil:
    """Of gradient + l2 * params, in double, in lanes so that it is vectorised."""
    cdef:
        Py_ssize_t i = 0, j
        floating factor = <floating> l2, g
        double total = 0
        double[LANES] lanes
    memset(lanes, 0, sizeof(lanes))
    while i + LANES <= n:
        for j in range(LANES):
            g = gradient[i + j] + factor * params[i + j]
            lanes[j] += <double> g * g
        i += LANES
    for j in range(LANES):
        total += lanes[j]
    for j in range(i, n):
        g = gradient[j] + factor * params[j]
        total += <double> g * g
    return total


cdef step_numbers step_of(
    const OptimSpec* spec, double rate, Py_ssize_t n_steps, double l2, double clip,
) noexcept nogil:
    """What step number `n_steps`, counted from 1, does to the weights."""
    cdef step_numbers step
    step.l2, step.clip, step.rate, step.root, step.kept = l2, clip, rate, 1, 1
    step.momentum, step.nesterov, step.epsilon = spec.momentum, spec.nesterov, spec.epsilon
    step.beta_1, step.beta_2 = spec.beta_1, spec.beta_2
    if spec.code == STEPS_ADAM:
        step.rate *= sqrt(1 - pow(spec.beta_2, n_steps)) / (1 - pow(spec.beta_1, n_steps))
    elif spec.code == STEPS_ADAMW:
        step.rate /= 1 - pow(spec.beta_1, n_steps)
        step.root = 1 / sqrt(1 - pow(spec.beta_2, n_steps))
        step.kept = 1 - rate * spec.weight_decay
    return step


cdef double update(
    const OptimSpec* spec, step_numbers step,
    floating* params,          # IN and OUT
    const floating* gradient,  # IN
    floating* moments,         # IN and OUT, (n_moments, n_params)
    Py_ssize_t n_params,
    Py_ssize_t start, Py_ssize_t size,  # the slice to update
    bint weights,              # which take the L2 term and decay; intercepts do not
) noexcept nogil:
    """Take a step on a slice; return the sum of squares of its weights before it (0 where l2 is 0)."""
    cdef:
        Py_ssize_t n, end = start + size
        double squares = 0
    if not weights:
        step.l2, step.kept = 0, 1
    while start < end:
        n = min(<Py_ssize_t> BLOCK, end - start)
        if floating is float:
            squares += single_steps[spec.code](
                &step, params + start, gradient + start, moments + start, n_params, n)
        else:
            squares += double_steps[spec.code](
                &step, params + start, gradient + start, moments + start, n_params, n)
        start += n
    return squares


cdef double clip_factor(double norm, double max_norm) noexcept nogil:
    return max_norm / norm if max_norm > 0 and norm > max_norm else 1
