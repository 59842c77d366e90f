"""Row-major BLAS over scipy.linalg.cython_blas, float and double.

BLAS is column-major. A row-major matrix is its own transpose there, so ``C = A B`` is asked for as
``C' = B' A'``: the operands swap places and nothing is copied.
"""
from cython cimport floating

from scipy.linalg.cython_blas cimport ddot, dgemm, sdot, sgemm


cdef inline void gemm(
    bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const floating* a, Py_ssize_t lda,  # IN
    const floating* b, Py_ssize_t ldb,  # IN
    floating beta, floating* c, Py_ssize_t ldc,  # OUT, (m, n)
) noexcept nogil:
    """c = op(a) op(b) + beta c, with op(a) of shape (m, k) and op(b) of shape (k, n)."""
    cdef:
        char op_a = b"T" if trans_a else b"N"
        char op_b = b"T" if trans_b else b"N"
        int m_ = <int> m, n_ = <int> n, k_ = <int> k
        int lda_ = <int> lda, ldb_ = <int> ldb, ldc_ = <int> ldc
        floating alpha = 1
    if floating is float:
        sgemm(&op_b, &op_a, &n_, &m_, &k_, &alpha, <float*> b, &ldb_, <float*> a, &lda_,
              &beta, c, &ldc_)
    else:
        dgemm(&op_b, &op_a, &n_, &m_, &k_, &alpha, <double*> b, &ldb_, <double*> a, &lda_,
              &beta, c, &ldc_)


cdef inline floating dot(Py_ssize_t n, const floating* x, const floating* y) noexcept nogil:
    cdef int n_ = <int> n, one = 1
    if floating is float:
        return sdot(&n_, <float*> x, &one, <float*> y, &one)
    else:
        return ddot(&n_, <double*> x, &one, <double*> y, &one)
