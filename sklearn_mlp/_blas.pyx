"""Row-major matrix products in float and double: our own for the shapes of mini-batches where the
processor has the instructions for it, and otherwise ``scipy.linalg.cython_blas``.

BLAS is column-major. A row-major matrix is its own transpose there, so ``C = A B`` is asked for as
``C' = B' A'``: the operands swap places and nothing is copied.

The instruction set is chosen when this module is loaded. The environment variable
``SKLEARN_MLP_INSTRUCTION_SET`` forces one: "portable" (BLAS alone), "avx2" or "avx512". Unless it is
forced, AVX-512 gives way to AVX2 for wide products on processors that split its vectors.
"""
import os

import numpy as np

from cython cimport floating
from scipy.linalg.cython_blas cimport dgemm, sgemm

cdef extern from "_gemm.h" nogil:
    bint gemm_runs_avx2()
    bint gemm_runs_avx512()
    bint gemm_splits_avx512()
    ctypedef void (*gemm_float)(
        Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, Py_ssize_t a_row,
        Py_ssize_t a_column, const float* b, Py_ssize_t b_row, Py_ssize_t b_column,
        float* c, Py_ssize_t ldc, bint accumulate, int finish, const float* with_,
        float* work) noexcept nogil
    ctypedef void (*gemm_double)(
        Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const double* a, Py_ssize_t a_row,
        Py_ssize_t a_column, const double* b, Py_ssize_t b_row, Py_ssize_t b_column,
        double* c, Py_ssize_t ldc, bint accumulate, int finish, const double* with_,
        double* work) noexcept nogil
    gemm_float gemm_avx2_f, gemm_avx512_f
    gemm_double gemm_avx2_d, gemm_avx512_d


def _choose_instruction_set(forced):
    runs = ["portable"]
    if gemm_runs_avx2():
        runs.append("avx2")
    if gemm_runs_avx512():
        runs.append("avx512")
    if forced and forced not in runs:
        raise ImportError(
            f"SKLEARN_MLP_INSTRUCTION_SET is {forced!r}; this build on this processor runs {runs}")
    return forced or runs[-1]


_FORCED = os.environ.get("SKLEARN_MLP_INSTRUCTION_SET") or None  # empty is not set
INSTRUCTION_SET = _choose_instruction_set(_FORCED)
INSTRUCTION_LEVEL = ("portable", "avx2", "avx512").index(INSTRUCTION_SET)  # as _sets.h counts

CALLS_BLAS = INSTRUCTION_SET == "portable"

SHARD = 32 if INSTRUCTION_SET != "portable" else 128

cdef:
    bint own = INSTRUCTION_SET != "portable"
    bint avx512 = INSTRUCTION_SET == "avx512"
    bint avx512_if_wide = avx512 and not (_FORCED is None and gemm_splits_avx512())
    Py_ssize_t WIDE = 40  # columns
    gemm_float narrow_float = gemm_avx512_f if avx512 else gemm_avx2_f
    gemm_double narrow_double = gemm_avx512_d if avx512 else gemm_avx2_d
    gemm_float wide_float = gemm_avx512_f if avx512_if_wide else gemm_avx2_f
    gemm_double wide_double = gemm_avx512_d if avx512_if_wide else gemm_avx2_d


cdef void gemm(
    bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const floating* a, Py_ssize_t lda,  # IN
    const floating* b, Py_ssize_t ldb,  # IN
    bint accumulate,
    floating* c, Py_ssize_t ldc,        # OUT, (m, n)
    int finish, const floating* with_,  # a last step, see _gemm.h; GEMM_PLAIN where BLAS is called
    floating* work,                     # scratch of GEMM_WORK values
) noexcept nogil:
    """c = op(a) op(b), or c += op(a) op(b), with op(a) of (m, k) and op(b) of (k, n); k > 0."""
    cdef Py_ssize_t row = 0
    if not own:
        if trans_a:
            _blas_gemm(trans_a, trans_b, m, n, k, a, lda, b, ldb, accumulate, c, ldc)
        else:
            while row < m:
                _blas_gemm(trans_a, trans_b, min(SHARD, m - row), n, k, a + row * lda, lda, b, ldb,
                           accumulate, c + row * ldc, ldc)
                row += SHARD
    elif floating is float:
        (narrow_float if n < WIDE else wide_float)(
            m, n, k, a, 1 if trans_a else lda, lda if trans_a else 1,
            b, 1 if trans_b else ldb, ldb if trans_b else 1, c, ldc, accumulate, finish, with_, work)
    else:
        (narrow_double if n < WIDE else wide_double)(
            m, n, k, a, 1 if trans_a else lda, lda if trans_a else 1,
            b, 1 if trans_b else ldb, ldb if trans_b else 1, c, ldc, accumulate, finish, with_, work)


cdef void _blas_gemm(
    bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,
    bint accumulate, floating* c, Py_ssize_t ldc,
) noexcept nogil:
    cdef:
        char op_a = b"T" if trans_a else b"N"
        char op_b = b"T" if trans_b else b"N"
        int m_ = <int> m, n_ = <int> n, k_ = <int> k
        int lda_ = <int> lda, ldb_ = <int> ldb, ldc_ = <int> ldc
        floating one = 1, beta = 1 if accumulate else 0
    if floating is float:
        sgemm(&op_b, &op_a, &n_, &m_, &k_, &one, <float*> b, &ldb_, <float*> a, &lda_,
              &beta, c, &ldc_)
    else:
        dgemm(&op_b, &op_a, &n_, &m_, &k_, &one, <double*> b, &ldb_, <double*> a, &lda_,
              &beta, c, &ldc_)


FINISHES = {"plain": GEMM_PLAIN, "intercepts": GEMM_INTERCEPTS, "relu": GEMM_RELU,
            "slopes": GEMM_SLOPES, "relu_slopes": GEMM_RELU_SLOPES}


def multiply(a, b, *, bint trans_a=False, bint trans_b=False, out=None, finish="plain", operand=None):
    """``op(a) @ op(b)``, added to `out` if it is given: the face of `gemm` for tests.

    Parameters
    ----------
    a, b : ndarray of two dimensions, C order, both float32 or both float64
    trans_a, trans_b : bool
        Whether to take the transpose. At most one of them.
    out : ndarray, optional
        Overwritten with the sum.
    finish : str, default="plain"
        One of ``FINISHES``, the last steps of ``_gemm.h``; only "plain" where BLAS is called.
    operand : ndarray of shape (n,) or (m, n), dtype as `a`, optional
        What the last step adds or multiplies by.

    Returns
    -------
    out : ndarray of shape (m, n)
    """
    left, right = (a.T if trans_a else a), (b.T if trans_b else b)
    if left.shape[1] != right.shape[0] or (trans_a and trans_b):
        raise ValueError(f"cannot multiply {left.shape} with {right.shape}")
    if CALLS_BLAS and finish != "plain":
        raise ValueError(f"BLAS takes no last step; got finish={finish!r}")
    accumulate = out is not None
    if out is None:
        out = np.empty((left.shape[0], right.shape[1]), a.dtype)
    shape = out.shape if "slopes" in finish else out.shape[1:]
    operand = np.zeros(shape, a.dtype) if operand is None else operand
    if operand.shape != shape:
        raise ValueError(f"{finish} wants an operand of shape {shape}; got {operand.shape}")
    operand = operand.ravel()
    if a.dtype == np.float32:
        _multiply[float](a, b, trans_a, trans_b, accumulate, out, FINISHES[finish], operand)
    else:
        _multiply[double](a, b, trans_a, trans_b, accumulate, out, FINISHES[finish], operand)
    return out


cdef _multiply(const floating[:, ::1] a, const floating[:, ::1] b, bint trans_a, bint trans_b,
               bint accumulate, floating[:, ::1] out, int finish, const floating[::1] operand):
    cdef floating[::1] work = np.empty(GEMM_WORK, out.base.dtype)
    gemm(trans_a, trans_b, out.shape[0], out.shape[1], a.shape[0] if trans_a else a.shape[1],
         &a[0, 0], a.shape[1], &b[0, 0], b.shape[1], accumulate, &out[0, 0], out.shape[1],
         finish, &operand[0], &work[0])
