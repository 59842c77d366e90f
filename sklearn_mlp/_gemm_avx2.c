/* _gemm_template.h for AVX2 and FMA, in both precisions. */
#include <immintrin.h>
#include "_gemm.h"
#include "_gemm_transpose.h"

#define ROWS 6
#define DEPTH 256
#define LAST_ROWS(C) C(1) C(2) C(3) C(4) C(5)
#define PACK_FROM 16 /* vectors of columns of B */
#define MOST_TRANSPOSED 7
#define TRANSPOSED_CASES(C) LAST_ROWS(C) C(6) C(7)
#define WIDEST 2 /* vectors of a panel */
#define IN_PLACE 40960 /* bytes of B */
#define REGISTERS 14 /* for sums and a row of B; two are for A and the compiler */
#define MOST_VECTORS 7
#define DOT_ROWS 4 /* as SUM_4 takes */
#define MOST_DOTS 2
#define DOT_CASES(C) C(1) C(2)

static inline __m256i first_f(ptrdiff_t count) /* a mask of the first lanes */
{
    static const int lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *) (lanes + 8 - count));
}

static inline __m256i first_d(ptrdiff_t count)
{
    static const long long lanes[8] = {-1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *) (lanes + 4 - count));
}

/* One value at a time: some processors store under a mask slowly. */
static inline void store_part_f(float *to, ptrdiff_t count, __m256 x)
{
    float lanes[8];
    _mm256_storeu_ps(lanes, x);
    for (ptrdiff_t i = 0; i < count; i++)
        to[i] = lanes[i];
}

static inline void store_part_d(double *to, ptrdiff_t count, __m256d x)
{
    double lanes[4];
    _mm256_storeu_pd(lanes, x);
    for (ptrdiff_t i = 0; i < count; i++)
        to[i] = lanes[i];
}

/* total[i] = the sum of the values of the i-th vector */
static inline void sum_4_f(float *total, __m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    __m256 all = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
    _mm_storeu_ps(total, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

static inline void sum_4_d(double *total, __m256d a, __m256d b, __m256d c, __m256d d)
{
    __m256d ab = _mm256_add_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
    __m256d cd = _mm256_add_pd(_mm256_unpacklo_pd(c, d), _mm256_unpackhi_pd(c, d));
    _mm256_storeu_pd(total, _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20),
                                          _mm256_permute2f128_pd(ab, cd, 0x31)));
}

#define REAL float
#define NAME(function) function##_avx2_f
#define LANES 8
#define SIDE 8
#define TRANSPOSE transpose_f
#define VECTOR __m256
#define ZERO _mm256_setzero_ps()
#define LOAD(from) _mm256_loadu_ps(from)
#define STORE(to, x) _mm256_storeu_ps(to, x)
#define LOAD_PART(from, count) _mm256_maskload_ps(from, first_f(count))
#define STORE_PART(to, count, x) store_part_f(to, count, x)
#define SPREAD(x) _mm256_set1_ps(x)
#define ADD(x, y) _mm256_add_ps(x, y)
#define MULTIPLY(x, y) _mm256_mul_ps(x, y)
#define NOT_BELOW_ZERO(x) _mm256_max_ps(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm256_andnot_ps(_mm256_cmp_ps(with, ZERO, _CMP_EQ_OQ), x)
#define FMA(x, y, z) _mm256_fmadd_ps(x, y, z)
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
#define NAME(function) function##_avx2_d
#define LANES 4
#define SIDE 4
#define TRANSPOSE transpose_d
#define VECTOR __m256d
#define ZERO _mm256_setzero_pd()
#define LOAD(from) _mm256_loadu_pd(from)
#define STORE(to, x) _mm256_storeu_pd(to, x)
#define LOAD_PART(from, count) _mm256_maskload_pd(from, first_d(count))
#define STORE_PART(to, count, x) store_part_d(to, count, x)
#define SPREAD(x) _mm256_set1_pd(x)
#define ADD(x, y) _mm256_add_pd(x, y)
#define MULTIPLY(x, y) _mm256_mul_pd(x, y)
#define NOT_BELOW_ZERO(x) _mm256_max_pd(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm256_andnot_pd(_mm256_cmp_pd(with, ZERO, _CMP_EQ_OQ), x)
#define FMA(x, y, z) _mm256_fmadd_pd(x, y, z)
#define SUM_4 sum_4_d
#include "_gemm_template.h"
