"""The kernel of `PiecewiseLinearEncoder`: a value becomes one number per bin of its feature.

The table it writes is wider than the one it reads by the number of bins, so what counts is to write
each number once. Bins that a value has passed are a run of ones and those ahead of it a run of zeros;
a loop of comparisons without branches writes both and counts the ones, and so finds the bin between.
"""
from cython cimport floating
from libc.float cimport DBL_MAX

ctypedef fused output:
    float
    double


cdef inline double fraction(double x, double low, double high) noexcept nogil:
    """How far `x` has come from `low` to `high`."""
    if high - low <= DBL_MAX:
        return (x - low) / (high - low)
    return (0.5 * x - 0.5 * low) / (0.5 * high - 0.5 * low)  # the difference overflows


cdef inline void encode_value(
    floating x,
    const floating* edges,  # IN: n_bins + 1, ascending
    output* out,            # OUT: n_bins
    Py_ssize_t n_bins,
) noexcept nogil:
    cdef:
        Py_ssize_t i
        int passed = 0, is_passed
    # NaN passes no bin and is in none.
    for i in range(n_bins):
        is_passed = x >= edges[i + 1]
        out[i] = is_passed
        passed += is_passed
    if passed < n_bins and x > edges[passed]:
        out[passed] = <output> fraction(x, edges[passed], edges[passed + 1])


def encode(
    const floating[:, ::1] X, const floating[::1] edges, const Py_ssize_t[::1] n_bins,
    output[:, ::1] out,
):
    """Encode each value of `X` on the bins of its column.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features), dtype float32 or float64
        NaN and values below the first edge become zeros, those above the last become ones.
    edges : ndarray of shape (n_bins.sum() + n_features,)
        The ascending edges of the bins of each feature, one feature after the other.
    n_bins : ndarray of shape (n_features,), dtype intp
    out : ndarray of shape (n_rows, n_bins.sum()), dtype float32 or float64
        Overwritten.
    """
    cdef:
        Py_ssize_t i, j, column, edge, n_columns = 0, n_features = X.shape[1]
    if n_bins.shape[0] != n_features:
        raise ValueError(f"{n_bins.shape[0]} numbers of bins for {n_features} features")
    for j in range(n_features):
        if n_bins[j] < 0:
            raise ValueError(f"{n_bins[j]} bins in column {j}")
        n_columns += n_bins[j]
    if edges.shape[0] != n_columns + n_features:
        raise ValueError(f"{edges.shape[0]} edges for {n_columns} bins of {n_features} features")
    if out.shape[0] != X.shape[0] or out.shape[1] != n_columns:
        raise ValueError(
            f"out of shape {(out.shape[0], out.shape[1])} for {X.shape[0]} rows and {n_columns} bins")
    if n_columns == 0:
        return
    with nogil:
        for i in range(X.shape[0]):
            column = edge = 0
            for j in range(n_features):
                encode_value(X[i, j], &edges[edge], &out[i, 0] + column, n_bins[j])
                column += n_bins[j]
                edge += n_bins[j] + 1
