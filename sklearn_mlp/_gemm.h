/* Matrix products for the shapes of mini-batches, where BLAS spends its time on packing and calls. A
   product is

       C = A B  or  C += A B,    A (m, k) and B (k, n) with any strides, C (m, n) in rows of ldc.

   `work` has room for GEMM_WORK values; it is used where A's rows are not contiguous. Every element of
   C is summed in an order that depends on n and k alone, so that a product may be computed by parts of
   its rows.

   A last step may be taken with the sums while they are in registers: GEMM_INTERCEPTS adds with[j] to column
   j and GEMM_RELU also makes 0 of what is below; with[i, j], in rows of ldc, is by what GEMM_SLOPES multiplies
   c[i, j], and where it is 0, GEMM_RELU_SLOPES makes 0 of it. NaN is passed on. */
#ifndef SKLEARN_MLP_GEMM_H
#define SKLEARN_MLP_GEMM_H

#include <stddef.h>

#define GEMM_WORK (256 * 512)

enum { GEMM_PLAIN, GEMM_INTERCEPTS, GEMM_RELU, GEMM_SLOPES, GEMM_RELU_SLOPES };

#define GEMM_ARGUMENTS(T)                                                                          \
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const T *a, ptrdiff_t a_row, ptrdiff_t a_column,        \
        const T *b, ptrdiff_t b_row, ptrdiff_t b_column, T *c, ptrdiff_t ldc, int accumulate,      \
        int finish, const T *with, T *work

typedef void (*gemm_float)(GEMM_ARGUMENTS(float));
typedef void (*gemm_double)(GEMM_ARGUMENTS(double));

#ifdef SKLEARN_MLP_AVX2
#include <cpuid.h>

void gemm_avx2_f(GEMM_ARGUMENTS(float)), gemm_avx2_d(GEMM_ARGUMENTS(double));
void gemm_avx512_f(GEMM_ARGUMENTS(float)), gemm_avx512_d(GEMM_ARGUMENTS(double));

static inline int gemm_runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static inline int gemm_runs_avx512(void)
{
    return gemm_runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
}

/* Whether a vector of 512 bits takes as long as two of 256: on AMD's family 19h, which is Zen 4. */
static inline int gemm_splits_avx512(void)
{
    unsigned a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (b != signature_AMD_ebx)
        return 0;
    __cpuid(1, a, b, c, d);
    return ((a >> 8) & 15) + ((a >> 20) & 255) == 0x19;
}
#else /* a build without them */
#define gemm_avx2_f NULL
#define gemm_avx2_d NULL
#define gemm_avx512_f NULL
#define gemm_avx512_d NULL

static inline int gemm_runs_avx2(void) { return 0; }
static inline int gemm_runs_avx512(void) { return 0; }
static inline int gemm_splits_avx512(void) { return 0; }
#endif

#endif
