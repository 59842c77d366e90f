/* Matrix products for the shapes of mini-batches, where BLAS spends its time on packing and calls:
   up to twice as fast for layers of tens of units, a tenth faster for hundreds. A product is

       C = A B  or  C += A B,    A (m, k) and B (k, n) with any strides, C (m, n) in rows of ldc.

   `work` has room for GEMM_WORK values; it is used where A's rows are not contiguous. Every element
   of C is summed in the order of k, in blocks whose borders depend on k alone. */
#ifndef SKLEARN_MLP_GEMM_H
#define SKLEARN_MLP_GEMM_H

#include <stddef.h>

#define GEMM_WORK (192 * 256)

#define GEMM_ARGUMENTS(T)                                                                          \
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const T *a, ptrdiff_t a_row, ptrdiff_t a_column,        \
        const T *b, ptrdiff_t b_row, ptrdiff_t b_column, T *c, ptrdiff_t ldc, int accumulate,      \
        T *work

#ifdef SKLEARN_MLP_AVX2
void gemm_avx2_f(GEMM_ARGUMENTS(float));
void gemm_avx2_d(GEMM_ARGUMENTS(double));

static inline int gemm_avx2_runs_here(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
static inline void gemm_avx2_f(GEMM_ARGUMENTS(float)) {}
static inline void gemm_avx2_d(GEMM_ARGUMENTS(double)) {}

static inline int gemm_avx2_runs_here(void) { return 0; }
#endif

#endif
