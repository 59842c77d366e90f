/* _gemm_template.h for AVX-512, in both precisions. */
#include <immintrin.h>
#include "_gemm.h"
#include "_gemm_transpose.h"

#define ROWS 8
#define DEPTH 256
#define LAST_ROWS(C) C(1) C(2) C(3) C(4) C(5) C(6) C(7)
#define PACK_FROM 16 /* vectors of columns of B */
#define MOST_TRANSPOSED 12
#define TRANSPOSED_CASES(C) LAST_ROWS(C) C(8) C(9) C(10) C(11) C(12)
#define WIDEST 3 /* vectors of a panel */
#define IN_PLACE 40960 /* bytes of B */
#define REGISTERS 30 /* for sums and a row of B; two are for A and the compiler */
#define MOST_VECTORS 8
#define DOT_ROWS 4 /* as SUM_4 takes */
#define MOST_DOTS 4
#define DOT_CASES(C) C(1) C(2) C(3) C(4)

/* total[i] = the sum of the values of the i-th vector */
static inline void sum_4_f(float *total, __m512 a, __m512 b, __m512 c, __m512 d)
{
    __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    __m512 all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
    __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(all), 1));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), upper);
    _mm_storeu_ps(total, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
}

static inline void sum_4_d(double *total, __m512d a, __m512d b, __m512d c, __m512d d)
{
    __m512d ab = _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
    __m512d cd = _mm512_add_pd(_mm512_unpacklo_pd(c, d), _mm512_unpackhi_pd(c, d));
    __m256d left = _mm256_add_pd(_mm512_castpd512_pd256(ab), _mm512_extractf64x4_pd(ab, 1));
    __m256d right = _mm256_add_pd(_mm512_castpd512_pd256(cd), _mm512_extractf64x4_pd(cd, 1));
    _mm256_storeu_pd(total, _mm256_add_pd(_mm256_permute2f128_pd(left, right, 0x20),
                                          _mm256_permute2f128_pd(left, right, 0x31)));
}

#define REAL float
#define NAME(function) function##_avx512_f
#define LANES 16
#define SIDE 8
#define TRANSPOSE transpose_f
#define VECTOR __m512
#define ZERO _mm512_setzero_ps()
#define LOAD(from) _mm512_loadu_ps(from)
#define STORE(to, x) _mm512_storeu_ps(to, x)
#define FIRST(count) ((__mmask16) ((1u << (count)) - 1))
#define LOAD_PART(from, count) _mm512_maskz_loadu_ps(FIRST(count), from)
#define STORE_PART(to, count, x) _mm512_mask_storeu_ps(to, FIRST(count), x)
#define SPREAD(x) _mm512_set1_ps(x)
#define ADD(x, y) _mm512_add_ps(x, y)
#define MULTIPLY(x, y) _mm512_mul_ps(x, y)
#define NOT_BELOW_ZERO(x) _mm512_max_ps(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(with, ZERO, _CMP_NEQ_UQ), x)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define SUM_4 sum_4_f
#include "_gemm_template.h"
#undef REAL
#undef NAME
#undef LANES
#undef SIDE
#undef TRANSPOSE
#undef VECTOR
#undef ZERO
#undef LOAD
#undef STORE
#undef LOAD_PART
#undef STORE_PART
#undef SPREAD
#undef ADD
#undef MULTIPLY
#undef NOT_BELOW_ZERO
#undef ZERO_WHERE_ZERO
#undef FMA
#undef SUM_4

#define REAL double
#define NAME(function) function##_avx512_d
#define LANES 8
#define SIDE 4
#define TRANSPOSE transpose_d
#define VECTOR __m512d
#define ZERO _mm512_setzero_pd()
#define LOAD(from) _mm512_loadu_pd(from)
#define STORE(to, x) _mm512_storeu_pd(to, x)
#define LOAD_PART(from, count) _mm512_maskz_loadu_pd((__mmask8) FIRST(count), from)
#define STORE_PART(to, count, x) _mm512_mask_storeu_pd(to, (__mmask8) FIRST(count), x)
#define SPREAD(x) _mm512_set1_pd(x)
#define ADD(x, y) _mm512_add_pd(x, y)
#define MULTIPLY(x, y) _mm512_mul_pd(x, y)
#define NOT_BELOW_ZERO(x) _mm512_max_pd(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(with, ZERO, _CMP_NEQ_UQ), x)
#define FMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#define SUM_4 sum_4_d
#include "_gemm_template.h"
