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
#define DOT_ROWS 4
#define MOST_DOTS 4
#define DOT_CASES(C) C(1) C(2) C(3) C(4)

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
#define NOT_BELOW_ZERO(x) _mm512_max_ps(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(with, ZERO, _CMP_NEQ_UQ), x)
#define FMA(x, y, z) _mm512_fmadd_ps(x, y, z)
#define SUM(x) _mm512_reduce_add_ps(x)
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
#undef NOT_BELOW_ZERO
#undef ZERO_WHERE_ZERO
#undef FMA
#undef SUM

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
#define NOT_BELOW_ZERO(x) _mm512_max_pd(ZERO, x)
#define ZERO_WHERE_ZERO(with, x) _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(with, ZERO, _CMP_NEQ_UQ), x)
#define FMA(x, y, z) _mm512_fmadd_pd(x, y, z)
#define SUM(x) _mm512_reduce_add_pd(x)
#include "_gemm_template.h"
