from cython cimport floating

from scipy.linalg.cython_blas cimport ddot, sdot

cdef extern from "_gemm.h":
    const int GEMM_WORK  # values of scratch that a product may need

cdef void gemm(
    bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,
    bint accumulate, floating* c, Py_ssize_t ldc, floating* work,
) noexcept nogil


cdef inline floating dot(Py_ssize_t n, const floating* x, const floating* y) noexcept nogil:
    cdef int n_ = <int> n, one = 1
    if floating is float:
        return sdot(&n_, <float*> x, &one, <float*> y, &one)
    else:
        return ddot(&n_, <double*> x, &one, <double*> y, &one)
