"""Optimizers: settings classes, their state, and their update rules.

Settings, state and parameters are three values. Settings are a small class per optimizer, turned
into an ``OptimSpec`` once. The state is the moments (one row per moment, each as long as the
parameter vector) and the number of steps taken. An update is one loop over the flat vectors: a pass
over memory per step, the L2 term included.

An optimizer is a code, an inline function on one block, a branch in ``_update_block`` and a class.
The update rules are those of ``sklearn.neural_network``: in Adam the bias corrections are folded into
the rate, so that `epsilon` is added to the square root of the uncorrected second moment.
"""
from cython cimport floating
from libc.math cimport pow, sqrt, sqrtf

import numpy as np

from sklearn_mlp._memory import empty_vector

from sklearn_mlp._blas cimport dot
from sklearn_mlp._types cimport OptimSpec

cdef enum:
    SGD_CODE
    ADAM_CODE
    # Parameters per block: small enough that the sum of squares reads what the update has in cache.
    BLOCK = 2048


cdef class OptimizerState:
    """What an optimizer remembers between steps.

    Attributes
    ----------
    moments : ndarray of shape (n_moments, n_params)
        The velocity for `SGD`; the first and second moments for `Adam`.
    n_steps : int
        Steps taken.
    """

    def __init__(self, moments, n_steps=0):
        self.moments = moments
        self.n_steps = n_steps

    def __reduce__(self):
        return OptimizerState, (self.moments, self.n_steps)


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

    def step(self, params, gradient, OptimizerState state, double rate):
        """Move `params` one step against `gradient`, in place.

        Parameters
        ----------
        params : ndarray of shape (n_params,), dtype float32 or float64
        gradient : ndarray of shape (n_params,), same dtype
        state : OptimizerState
            Updated in place.
        rate : float
            The learning rate of this step.
        """
        moments = state.moments
        if not (params.shape == gradient.shape == moments.shape[1:] and params.ndim == 1):
            raise ValueError(
                f"params, gradient and state do not belong together: shapes {params.shape}, "
                f"{gradient.shape} and {moments.shape}")
        if not params.dtype == gradient.dtype == moments.dtype:
            raise ValueError(
                f"params, gradient and state have dtypes {params.dtype}, {gradient.dtype} and "
                f"{moments.dtype}; they must be the same")
        if params.dtype == np.float32:
            _step[float](self, params, gradient, moments, rate, state.n_steps + 1)
        else:
            _step[double](self, params, gradient, moments, rate, state.n_steps + 1)
        state.n_steps += 1


cdef _step(Optimizer settings, floating[::1] params, const floating[::1] gradient,
           floating[:, ::1] moments, double rate, Py_ssize_t n_steps):
    cdef Py_ssize_t n = params.shape[0]
    if n:
        optimizer_step(&settings.spec, &params[0], &gradient[0], &moments[0, 0], n, n, 0, rate,
                       n_steps)


cdef class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as in `sklearn.neural_network`.

    The velocity becomes ``momentum * velocity - rate * gradient`` and is added to the parameters;
    with Nesterov's momentum ``momentum * velocity - rate * gradient`` of the new velocity is added.

    Parameters
    ----------
    momentum : float, default=0.9
    nesterov : bool, default=True
    """

    n_moments = 1
    estimator_parameters = {"momentum": "momentum", "nesterov": "nesterovs_momentum"}

    def __init__(self, momentum=0.9, nesterov=True):
        self.spec.code = SGD_CODE
        self.spec.momentum = momentum
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
    """

    n_moments = 2
    estimator_parameters = {"beta_1": "beta_1", "beta_2": "beta_2", "epsilon": "epsilon"}

    def __init__(self, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.spec.code = ADAM_CODE
        self.spec.beta_1 = beta_1
        self.spec.beta_2 = beta_2
        self.spec.epsilon = epsilon

    def __reduce__(self):
        return Adam, (self.spec.beta_1, self.spec.beta_2, self.spec.epsilon)


SOLVERS = {"sgd": SGD, "adam": Adam}


cdef inline floating _sqrt(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline void _sgd_block(
    const OptimSpec* spec, floating* params, const floating* gradient, floating* velocity,
    Py_ssize_t n, floating l2, floating rate,
) noexcept nogil:
    cdef:
        Py_ssize_t i
        floating momentum = <floating> spec.momentum, g, v
    for i in range(n):
        g = gradient[i] + l2 * params[i]
        v = momentum * velocity[i] - rate * g
        velocity[i] = v
        params[i] += momentum * v - rate * g if spec.nesterov else v


cdef inline void _adam_block(
    const OptimSpec* spec, floating* params, const floating* gradient, floating* m, floating* v,
    Py_ssize_t n, floating l2, floating rate,
) noexcept nogil:
    cdef:
        Py_ssize_t i
        floating beta_1 = <floating> spec.beta_1, beta_2 = <floating> spec.beta_2
        floating rest_1 = <floating> (1 - spec.beta_1), rest_2 = <floating> (1 - spec.beta_2)
        floating epsilon = <floating> spec.epsilon, g
    for i in range(n):
        g = gradient[i] + l2 * params[i]
        m[i] = beta_1 * m[i] + rest_1 * g
        v[i] = beta_2 * v[i] + rest_2 * (g * g)
        params[i] -= rate * m[i] / (_sqrt(v[i]) + epsilon)


cdef inline void _update_block(
    const OptimSpec* spec, floating* params, const floating* gradient, floating* moments,
    Py_ssize_t n_params, Py_ssize_t start, Py_ssize_t n, floating l2, floating rate,
) noexcept nogil:
    if spec.code == ADAM_CODE:
        _adam_block(spec, params + start, gradient + start, moments + start,
                    moments + n_params + start, n, l2, rate)
    else:
        _sgd_block(spec, params + start, gradient + start, moments + start, n, l2, rate)


cdef double optimizer_step(
    const OptimSpec* spec,
    floating* params,          # IN and OUT
    const floating* gradient,  # IN
    floating* moments,         # IN and OUT, (n_moments, n_params)
    Py_ssize_t n_params,
    Py_ssize_t n_weights,      # the first n_weights parameters take the L2 term
    double l2,                 # factor of a weight in its gradient
    double rate,
    Py_ssize_t n_steps,        # this step included
) noexcept nogil:
    """Take one step; return the sum of squares of the weights before it (0 where l2 is 0)."""
    cdef:
        Py_ssize_t start = 0, n
        double squares = 0
    if spec.code == ADAM_CODE:
        rate *= sqrt(1 - pow(spec.beta_2, n_steps)) / (1 - pow(spec.beta_1, n_steps))
    while start < n_weights:
        n = min(<Py_ssize_t> BLOCK, n_weights - start)
        if l2 != 0:
            squares += dot(n, params + start, params + start)
        _update_block(spec, params, gradient, moments, n_params, start, n, <floating> l2,
                      <floating> rate)
        start += n
    _update_block(spec, params, gradient, moments, n_params, start, n_params - start, <floating> 0,
                  <floating> rate)
    return squares
