"""Losses on raw scores: value and gradient together, and the link from scores to predictions.

Pure C inside (``loss_and_delta`` and one inline function a loss), a small class and ``apply_link``
as the Python face. A loss takes the raw scores of a row, never probabilities, so that the
exponential is taken once, where it cannot overflow, and serves the value and the gradient. Values are
summed in double. A loss is a code, an inline function, a branch in ``loss_and_delta`` and a row in
``LOSSES``.

The log losses report what scikit-learn reports: its probabilities are clipped to [eps, 1 - eps] of
the dtype before the logarithm is taken, so that the loss of a row lies in [-log(1 - eps), -log(eps)]
for each output. The gradient is that of the loss without the clip, there as here.
"""
from cython cimport floating
from libc.float cimport DBL_EPSILON, FLT_EPSILON
from libc.math cimport log, log1p
from libc.stdint cimport int32_t

from sklearn_mlp._types cimport LossSpec, row_at
from sklearn_mlp._vmath cimport exp, logistic

cdef enum:
    SQUARED_ERROR
    POISSON
    BINARY_LOG_LOSS
    LOG_LOSS

# name: (code, link, whether targets are integer codes)
LOSSES = {
    "squared_error": (SQUARED_ERROR, "identity", False),
    "poisson": (POISSON, "exp", False),
    "binary_log_loss": (BINARY_LOG_LOSS, "logistic", True),
    "log_loss": (LOG_LOSS, "softmax", True),
}

LINKS = {link: code for code, link, _ in LOSSES.values()}


cdef class Loss:
    """A loss over `n_outputs` raw scores.

    Parameters
    ----------
    name : {"squared_error", "poisson", "binary_log_loss", "log_loss"}
        "binary_log_loss" is the sum of one logistic loss per output (binary and multilabel
        classification), "log_loss" the softmax cross-entropy of one class per row.
    n_outputs : int
        Raw scores per row.

    Attributes
    ----------
    link : {"identity", "exp", "logistic", "softmax"}
        The function from raw scores to predictions, under scikit-learn's name for it.
    takes_codes : bool
        True where targets are int32 codes: the class for "log_loss", 0 or 1 per output for
        "binary_log_loss". False where they are numbers of the parameters' dtype.
    """

    def __init__(self, str name, Py_ssize_t n_outputs):
        if name not in LOSSES:
            raise ValueError(f"loss {name!r} is unknown; it is one of {sorted(LOSSES)}")
        self.name = name
        self.spec.code = LOSSES[name][0]
        self.spec.n_outputs = n_outputs

    @property
    def n_outputs(self):
        return self.spec.n_outputs

    @property
    def link(self):
        return LOSSES[self.name][1]

    @property
    def takes_codes(self):
        return LOSSES[self.name][2]

    def __reduce__(self):
        return Loss, (self.name, self.spec.n_outputs)


cdef inline double _clipped(double value, floating like) noexcept nogil:
    """`value` within what scikit-learn's clip of probabilities to [eps, 1 - eps] lets through."""
    cdef double eps = FLT_EPSILON if floating is float else DBL_EPSILON
    cdef double most = -log(eps)
    if value > most:
        return most
    return eps if value < eps else value  # -log(1 - eps) rounds to eps


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


cdef inline double _poisson(
    const floating* z, const floating* y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """Half the Poisson deviance with log link: y log(y) - y - y z + exp(z)."""
    cdef:
        Py_ssize_t j
        floating mean
        double value = 0
    for j in range(k):
        mean = exp(z[j])
        delta[j] = mean - y[j]
        value += <double> delta[j]
        if y[j] > 0:
            value += y[j] * (log(y[j]) - z[j])
    return value


cdef inline double _binary_log_loss(
    const floating* z, const int32_t* y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """log(1 + exp(z)) - y z summed over the outputs; y is 0 or 1."""
    cdef:
        Py_ssize_t j
        floating e, margin
        double value = 0
    for j in range(k):
        e = exp(z[j] if z[j] < 0 else -z[j])
        margin = z[j] if y[j] else -z[j]
        delta[j] = (e if z[j] < 0 else 1) / (1 + e) - y[j]
        value += _clipped(log1p(e) - (margin if margin < 0 else 0), z[j])
    return value


cdef inline double _log_loss(
    const floating* z, int32_t y, Py_ssize_t k, floating* delta,
) noexcept nogil:
    """log(sum(exp(z))) - z[y]; delta is softmax(z) minus the one-hot row of y."""
    cdef:
        Py_ssize_t j
        floating largest = z[0], total = 0
        double value
    for j in range(1, k):
        if z[j] > largest:
            largest = z[j]
    for j in range(k):
        delta[j] = exp(z[j] - largest)
        total += delta[j]
    value = _clipped(log(<double> total) - (<double> z[y] - largest), total)
    total = 1 / total
    for j in range(k):
        delta[j] = delta[j] * total
    delta[y] -= 1
    return value


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
    for i in range(n_rows):
        row = row_at(rows, first, i)
        d = delta + i * k
        if loss.code == LOG_LOSS:
            value = _log_loss(raw + i * k, codes[row], k, d)
        elif loss.code == BINARY_LOG_LOSS:
            value = _binary_log_loss(raw + i * k, codes + row * k, k, d)
        elif loss.code == POISSON:
            value = _poisson(raw + i * k, numbers + row * k, k, d)
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
    # SQUARED_ERROR: the link is the identity.


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
