"""Losses on raw scores: value and gradient together, and the link from scores to predictions.

Pure C inside (``loss_and_delta`` and one inline function a loss), a small class and ``apply_link``
as the Python face. A loss takes the raw scores of a row, never probabilities, so that the
exponential is taken once, where it cannot overflow, and serves the value and the gradient. Values are
summed in double. A loss is a code, an inline function, a branch in ``loss_and_delta`` and a row in
``LOSSES``. The log losses take many rows at a time and have their loops in ``_rows.h``.

The log losses report what scikit-learn reports: its probabilities are clipped to [eps, 1 - eps] of
the dtype before the logarithm is taken, so that the loss of a row lies in [-log(1 - eps), -log(eps)]
for each output. The gradient is that of the loss without the clip, there as here. With smoothed
labels, which scikit-learn has not, nothing is clipped.
"""
from math import isfinite
from numbers import Real

import numpy as np

from cython cimport floating
from libc.float cimport DBL_EPSILON, FLT_EPSILON
from libc.math cimport log
from libc.stdint cimport int32_t
from libc.string cimport memcpy

from sklearn_mlp._types cimport LossSpec, row_at
from sklearn_mlp._vmath cimport exp, logistic

from sklearn_mlp._blas import INSTRUCTION_LEVEL

cdef extern from "_rows.h" nogil:
    void rows_exp_float(int level, float* x, Py_ssize_t n)
    void rows_exp_double(int level, double* x, Py_ssize_t n)
    enum:
        ROWS_AT_ONCE
    ctypedef void (*rows_log_loss_float)(
        const float* z, const int32_t* y, Py_ssize_t n_rows, Py_ssize_t k, float share, float rest,
        const float* factor, float* delta, float* largest, float* total, float* proba
    ) noexcept nogil
    ctypedef void (*rows_log_loss_double)(
        const double* z, const int32_t* y, Py_ssize_t n_rows, Py_ssize_t k, double share, double rest,
        const double* factor, double* delta, double* largest, double* total, double* proba
    ) noexcept nogil
    rows_log_loss_float rows_log_loss_of_float(int level)
    rows_log_loss_double rows_log_loss_of_double(int level)
    ctypedef void (*rows_binary_float)(
        const float* z, const int32_t* y, Py_ssize_t n, float half, const float* factor, float* delta,
        float* loss) noexcept nogil
    ctypedef void (*rows_binary_double)(
        const double* z, const int32_t* y, Py_ssize_t n, double half, const double* factor,
        double* delta, double* loss) noexcept nogil
    rows_binary_float rows_binary_of_float(int level)
    rows_binary_double rows_binary_of_double(int level)

cdef:
    int set_level = INSTRUCTION_LEVEL
    rows_log_loss_float single_log_loss = rows_log_loss_of_float(INSTRUCTION_LEVEL)
    rows_log_loss_double double_log_loss = rows_log_loss_of_double(INSTRUCTION_LEVEL)
    rows_binary_float single_binary = rows_binary_of_float(INSTRUCTION_LEVEL)
    rows_binary_double double_binary = rows_binary_of_double(INSTRUCTION_LEVEL)
    double LARGE = 1e150  # a product from which ROWS_AT_ONCE factors more might be too many

cdef enum:
    SQUARED_ERROR
    ABSOLUTE_ERROR
    HUBER
    QUANTILE
    POISSON
    BINARY_LOG_LOSS
    LOG_LOSS

SMOOTHING = ("label_smoothing", 0.0, "a number in [0, 1)")

# name: (code, link, whether targets are integer codes, parameter, its default, what it may be)
LOSSES = {
    "squared_error": (SQUARED_ERROR, "identity", False, None, 0.0, None),
    "absolute_error": (ABSOLUTE_ERROR, "identity", False, None, 0.0, None),
    "huber": (HUBER, "identity", False, "huber_delta", 1.0, "a number > 0"),
    "quantile": (QUANTILE, "identity", False, "quantile", 0.5, "a number in (0, 1)"),
    "poisson": (POISSON, "exp", False, None, 0.0, None),
    "binary_log_loss": (BINARY_LOG_LOSS, "logistic", True, *SMOOTHING),
    "log_loss": (LOG_LOSS, "softmax", True, *SMOOTHING),
}

LINKS = {row[1]: row[0] for row in LOSSES.values() if row[1] != "identity"}
LINKS["identity"] = SQUARED_ERROR


cdef class Loss:
    """A loss over `n_outputs` raw scores.

    Parameters
    ----------
    name : {"squared_error", "absolute_error", "huber", "quantile", "poisson", "binary_log_loss", \
            "log_loss"}
        "binary_log_loss" is the sum of one logistic loss per output (binary and
        multilabel classification), "log_loss" the softmax cross-entropy of one class per row.
    n_outputs : int
        Raw scores per row.
    parameter : float, default=None
        The threshold delta of "huber" (default 1), the level of "quantile" (default 0.5), the label
        smoothing of the log losses (default 0). The other losses take none.

    Attributes
    ----------
    link : {"identity", "exp", "logistic", "softmax"}
        The function from raw scores to predictions, under scikit-learn's name for it.
    takes_codes : bool
        True where targets are int32 codes: the class for "log_loss", 0 or 1 per output for
        "binary_log_loss". False where they are numbers of the parameters' dtype.
    n_targets : int
        Targets per row.
    reported_scale : float
        Factor from the sum over outputs, to which the gradient belongs, to the loss that is
        reported: scikit-learn reports the mean over outputs of the squared error.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlp.losses import Loss
    >>> loss = Loss("quantile", n_outputs=1, parameter=0.9)
    >>> loss.total(np.array([[1.0], [1.0]]), np.array([[3.0], [0.0]]))  # 0.9 * 2 + 0.1 * 1
    1.9
    """

    def __init__(self, str name, Py_ssize_t n_outputs, parameter=None):
        if name not in LOSSES:
            raise ValueError(f"loss {name!r} is unknown; it is one of {sorted(LOSSES)}")
        code, _, _, parameter_name, default, allowed = LOSSES[name]
        if n_outputs < 1:
            raise ValueError(f"a loss has at least one output; got {n_outputs}")
        if parameter is not None and parameter_name is None:
            raise ValueError(f"loss {name!r} takes no parameter; got {parameter!r}")
        parameter = default if parameter is None else parameter
        if not isinstance(parameter, Real) or not _allowed(code, parameter):
            raise ValueError(f"{parameter_name} of loss {name!r} must be {allowed}; got {parameter!r}")
        self.name = name
        self.spec.code = code
        self.spec.n_outputs = n_outputs
        self.spec.parameter = parameter

    @property
    def n_outputs(self):
        return self.spec.n_outputs

    @property
    def parameter(self):
        return self.spec.parameter

    @property
    def link(self):
        return LOSSES[self.name][1]

    @property
    def takes_codes(self):
        return LOSSES[self.name][2]

    @property
    def n_targets(self):
        return 1 if self.name == "log_loss" else self.spec.n_outputs

    @property
    def reported_scale(self):
        return 1.0 / self.spec.n_outputs if self.name == "squared_error" else 1.0

    def total(self, raw, targets, weights=None):
        """The sum over rows of weight * loss, times `reported_scale`.

        Parameters
        ----------
        raw : ndarray of shape (n_rows, n_outputs), dtype float32 or float64
            Raw scores, in C order.
        targets : ndarray of shape (n_rows, n_targets)
            int32 codes or numbers of the dtype of `raw`, C order.
        weights : ndarray of shape (n_rows,), dtype as `raw`, or None
        """
        n_rows = raw.shape[0]
        if (
            n_rows == 0 or raw.shape != (n_rows, self.n_outputs)
            or targets.shape != (n_rows, self.n_targets)
        ):
            raise ValueError(f"raw scores of shape {raw.shape} and targets of shape {targets.shape} "
                             f"for {self.n_outputs} outputs of loss {self.name!r}; they must have "
                             f"shapes (n_rows, {self.n_outputs}) and (n_rows, {self.n_targets}), with "
                             "at least one row")
        if self.name == "log_loss" and not 0 <= targets.min() <= targets.max() < self.n_outputs:
            raise ValueError(f"class codes must be in [0, {self.n_outputs}); got {targets.min()} to "
                             f"{targets.max()}")
        if weights is not None and weights.shape != (n_rows,):
            raise ValueError(f"weights must have shape ({n_rows},); got {weights.shape}")
        if raw.dtype == np.float32:
            return self.reported_scale * _total[float](self, raw, targets, weights, np.empty_like(raw))
        return self.reported_scale * _total[double](self, raw, targets, weights, np.empty_like(raw))

    def __reduce__(self):
        parameter = self.spec.parameter if LOSSES[self.name][3] else None
        return Loss, (self.name, self.spec.n_outputs, parameter)


cdef _total(Loss loss, const floating[:, ::1] raw, targets, const floating[::1] weights,
            floating[:, ::1] delta):
    cdef:
        const floating[:, ::1] numbers
        const int32_t[:, ::1] codes
        const void* target
        const floating* factors = NULL if weights is None else &weights[0]
        const floating* scores = &raw[0, 0]
        floating* scratch = &delta[0, 0]
        Py_ssize_t n_rows = raw.shape[0]
        double total
    if loss.takes_codes:
        codes = targets
        target = &codes[0, 0]
    else:
        numbers = targets
        target = &numbers[0, 0]
    with nogil:
        total = loss_and_delta(&loss.spec, scores, target, factors, NULL, 0, n_rows, 1.0, scratch)
    return total


def _allowed(int code, double parameter):
    if code == QUANTILE:
        return 0 < parameter < 1
    if code == HUBER:
        return 0 < parameter and isfinite(parameter)
    return 0 <= parameter < 1


cdef inline double _clipped(double value, floating like) noexcept nogil:
    """`value` within what scikit-learn's clip of probabilities to [eps, 1 - eps] lets through."""
    cdef double eps = FLT_EPSILON if floating is float else DBL_EPSILON
    cdef double most = -log(eps)
    if value > most:
        return most
    return eps if value < eps else value  # -log(1 - eps) rounds to eps


cdef inline bint _is_clipped(floating proba) noexcept nogil:
    """Whether a probability may be one that is clipped."""
    cdef floating bound = 2 * (FLT_EPSILON if floating is float else DBL_EPSILON)
    return proba < bound or 1 - proba < bound


cdef inline bint _any_is_clipped(const floating* probas, Py_ssize_t n) noexcept nogil:
    cdef:
        Py_ssize_t i
        floating least = probas[0], most = probas[0]
    for i in range(1, n):
        least = probas[i] if probas[i] < least else least
        most = probas[i] if probas[i] > most else most
    return _is_clipped(least) or _is_clipped(most)


cdef inline floating _largest(const floating* z, Py_ssize_t k) noexcept nogil:
    cdef:
        Py_ssize_t j
        floating largest = z[0]
    for j in range(1, k):
        if z[j] > largest:
            largest = z[j]
    return largest


# The losses of a row. `delta` is the gradient, and holds the exponentials for that of Poisson.


cdef inline double _squared_error(
    const floating* z, const floating* y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """0.5 (z - y)^2 summed over the outputs."""
    cdef:
        Py_ssize_t j
        double value = 0
    for j in range(k):
        delta[j] = z[j] - y[j]
        value += 0.5 * (<double> delta[j]) * delta[j]
    return value


cdef inline double _absolute_error(
    const floating* z, const floating* y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """|z - y| summed over the outputs; where z = y the gradient is taken as 0."""
    cdef:
        Py_ssize_t j
        floating r
        double value = 0
    for j in range(k):
        r = z[j] - y[j]
        delta[j] = r if r != r else (1 if r > 0 else (-1 if r < 0 else 0))
        value += -r if r < 0 else r
    return value


cdef inline double _huber(
    const floating* z, const floating* y, Py_ssize_t k, floating width, floating* delta,
) noexcept nogil:
    """With r = z - y: 0.5 r^2 within the width, width (|r| - 0.5 width) outside (Huber 1964)."""
    cdef:
        Py_ssize_t j
        floating r, clipped
        double value = 0
    for j in range(k):
        r = z[j] - y[j]
        clipped = width if r > width else (-width if r < -width else r)
        delta[j] = clipped
        value += clipped * (<double> r - 0.5 * clipped)
    return value


cdef inline double _quantile(
    const floating* z, const floating* y, Py_ssize_t k, floating level, floating* delta,
) noexcept nogil:
    """The pinball loss (Koenker and Bassett 1978): level (y - z) below y, (1 - level) (z - y) above."""
    cdef:
        Py_ssize_t j
        floating r
        double value = 0
    for j in range(k):
        r = z[j] - y[j]
        delta[j] = r if r != r else (1 - level if r > 0 else (-level if r < 0 else 0))
        value += delta[j] * <double> r
    return value


cdef inline double _poisson(
    const floating* z, const floating* y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """Half the Poisson deviance with log link: y log(y) - y - y z + exp(z)."""
    cdef:
        Py_ssize_t j
        floating mean
        double value = 0
    for j in range(k):
        mean = delta[j]
        delta[j] = mean - y[j]
        value += <double> delta[j]
        if y[j] > 0:
            value += y[j] * (log(y[j]) - z[j])
    return value


cdef double _binary_log_losses(
    const LossSpec* loss, const floating* raw, const int32_t* codes, const floating* weights,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, double scale, floating* delta,
) noexcept nogil:
    """`loss_and_delta` of the binary log loss, log(1 + exp(z)) - t z summed over the outputs; t is
    y (1 - smoothing) + smoothing / 2."""
    cdef:
        Py_ssize_t i = 0, n, j = 0, p, k = loss.n_outputs, place = 0, row = row_at(rows, first, 0)
        double total = 0, value, smoothing = loss.parameter
        floating half = <floating> (0.5 * smoothing)
        floating[ROWS_AT_ONCE] factors
        floating[ROWS_AT_ONCE] losses
        double[ROWS_AT_ONCE] weight
        int32_t[ROWS_AT_ONCE] y
    while i < n_rows:
        n = 0
        while n < ROWS_AT_ONCE and i < n_rows:
            weight[n] = 1 if weights is NULL else weights[row]
            factors[n] = <floating> (scale * weight[n])
            y[n] = codes[row * k + j]
            n += 1
            j += 1
            if j == k:
                i, j = i + 1, 0
                row = row_at(rows, first, min(i, n_rows - 1))
        if floating is float:
            single_binary(raw + place, y, n, half, factors, delta + place, losses)
        else:
            double_binary(raw + place, y, n, half, factors, delta + place, losses)
        for p in range(n):
            value = losses[p] if smoothing > 0 else _clipped(losses[p], half)
            total += value * weight[p]
        place += n
    return total


cdef double _log_losses(
    const LossSpec* loss, const floating* raw, const int32_t* codes, const floating* weights,
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows, double scale, floating* delta,
) noexcept nogil:
    """`loss_and_delta` of the log loss, log(sum(exp(z))) - t.z: delta is softmax(z) - t. t is the
    one-hot row of y times 1 - smoothing, plus smoothing / k."""
    cdef:
        Py_ssize_t start = 0, n, i, k = loss.n_outputs
        double product = 1  # of sums of exponentials, so that one logarithm serves many rows
        double value, sums = 0, smoothing = loss.parameter
        floating share = <floating> (smoothing / k), rest = <floating> (1 - smoothing)
        floating[ROWS_AT_ONCE] factors
        floating[ROWS_AT_ONCE] largest
        floating[ROWS_AT_ONCE] total
        floating[ROWS_AT_ONCE] proba
        int32_t[ROWS_AT_ONCE] y
        const floating* z
        bint plain
    for i in range(ROWS_AT_ONCE):
        factors[i] = <floating> scale
    while start < n_rows:
        n = min(ROWS_AT_ONCE, n_rows - start)
        for i in range(n):
            y[i] = codes[row_at(rows, first, start + i)]
            if weights is not NULL:
                factors[i] = <floating> (scale * weights[row_at(rows, first, start + i)])
        if floating is float:
            single_log_loss(raw + start * k, y, n, k, share, rest, factors, delta + start * k, largest,
                            total, proba)
        else:
            double_log_loss(raw + start * k, y, n, k, share, rest, factors, delta + start * k, largest,
                            total, proba)
        plain = weights is NULL and smoothing == 0 and not _any_is_clipped(proba, n)
        for i in range(n):
            z = raw + (start + i) * k
            value = <double> largest[i] - z[y[i]]
            if plain or weights is NULL and not _is_clipped(proba[i]):
                product *= total[i]
            else:
                value += log(<double> total[i])
                value = _clipped(value, share) if smoothing == 0 else value
            if smoothing > 0:
                value += _smoothed_part(z, z[y[i]], k, smoothing)
            if weights is not NULL:
                value *= weights[row_at(rows, first, start + i)]
            sums += value
        if product > LARGE:
            sums += log(product)
            product = 1
        start += n
    return sums + log(product)


cdef double _smoothed_part(const floating* z, floating of_class, Py_ssize_t k, double smoothing
                           ) noexcept nogil:
    cdef:
        Py_ssize_t j
        double distance = 0
    for j in range(k):
        distance += <double> of_class - z[j]
    return smoothing / k * distance


cdef double loss_and_delta(
    const LossSpec* loss,
    const floating* raw,      # IN, (n_rows, n_outputs)
    const void* targets,      # IN, of all samples
    const floating* weights,  # IN, of all samples, or NULL
    const Py_ssize_t* rows, Py_ssize_t first, Py_ssize_t n_rows,
    double scale,
    floating* delta,          # OUT, (n_rows, n_outputs): scale * weight * dloss/draw
) noexcept nogil:
    """Return the sum over rows of weight * loss, and fill in `delta`."""
    cdef:
        Py_ssize_t i, j, row, k = loss.n_outputs
        const floating* numbers = <const floating*> targets
        const int32_t* codes = <const int32_t*> targets
        double value, total = 0
        floating factor = <floating> scale
        floating* d
    if loss.code == LOG_LOSS:
        return _log_losses(loss, raw, codes, weights, rows, first, n_rows, scale, delta)
    if loss.code == BINARY_LOG_LOSS:
        return _binary_log_losses(loss, raw, codes, weights, rows, first, n_rows, scale, delta)
    if loss.code == POISSON:
        memcpy(delta, raw, n_rows * k * sizeof(floating))
        if floating is float:
            rows_exp_float(set_level, delta, n_rows * k)
        else:
            rows_exp_double(set_level, delta, n_rows * k)
    for i in range(n_rows):
        row = row_at(rows, first, i)
        d = delta + i * k
        if loss.code == POISSON:
            value = _poisson(raw + i * k, numbers + row * k, k, d)
        elif loss.code == ABSOLUTE_ERROR:
            value = _absolute_error(raw + i * k, numbers + row * k, k, d)
        elif loss.code == HUBER:
            value = _huber(raw + i * k, numbers + row * k, k, <floating> loss.parameter, d)
        elif loss.code == QUANTILE:
            value = _quantile(raw + i * k, numbers + row * k, k, <floating> loss.parameter, d)
        else:
            value = _squared_error(raw + i * k, numbers + row * k, k, d)
        if weights is not NULL:
            value *= weights[row]
            factor = <floating> (scale * weights[row])
        for j in range(k):
            d[j] = d[j] * factor
        total += value
    return total


cdef void _softmax(floating* row, Py_ssize_t k) noexcept nogil:
    cdef:
        Py_ssize_t j
        floating largest = row[0], total = 0
    for j in range(1, k):
        if row[j] > largest:
            largest = row[j]
    for j in range(k):
        row[j] = exp(row[j] - largest)
        total += row[j]
    for j in range(k):
        row[j] = row[j] / total


cdef void _link(int code, floating* raw, Py_ssize_t n_rows, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    if code == LOG_LOSS:
        for i in range(n_rows):
            _softmax(raw + i * k, k)
    elif code == BINARY_LOG_LOSS:
        for i in range(n_rows * k):
            raw[i] = logistic(raw[i])
    elif code == POISSON:
        for i in range(n_rows * k):
            raw[i] = exp(raw[i])
    # Of the other losses the link is the identity.


def apply_link(str link, floating[:, ::1] raw):
    """Turn raw scores into predictions, in place.

    Parameters
    ----------
    link : {"identity", "exp", "logistic", "softmax"}
    raw : ndarray of shape (n_rows, n_outputs), dtype float32 or float64
    """
    cdef int code = LINKS[link]
    if raw.shape[0] and raw.shape[1]:
        with nogil:
            _link(code, &raw[0, 0], raw.shape[0], raw.shape[1])
