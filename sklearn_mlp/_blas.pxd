from cython cimport floating

cdef extern from "_gemm.h":
    const int GEMM_WORK  # values of scratch that a product may need
    enum:
        GEMM_PLAIN
        GEMM_INTERCEPTS
        GEMM_RELU
        GEMM_SLOPES
        GEMM_RELU_SLOPES

# Rows of a batch that are always computed by one thread, so that sums and BLAS's products, whose bits
# depend on their number, do not depend on the number of threads.
cdef Py_ssize_t SHARD

cdef void gemm(
    bint trans_a, bint trans_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
    const floating* a, Py_ssize_t lda, const floating* b, Py_ssize_t ldb,
    bint accumulate, floating* c, Py_ssize_t ldc, int finish, const floating* with_, floating* work,
) noexcept nogil
