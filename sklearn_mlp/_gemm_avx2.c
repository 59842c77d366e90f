/* _gemm_template.h for AVX2 and FMA, in both precisions. */
#include "_gemm.h"

#define REAL float
#define NAME(function) function##_f
#define GEMM gemm_avx2_f
#include "_gemm_template.h"
#undef REAL
#undef NAME
#undef GEMM

#define REAL double
#define NAME(function) function##_d
#define GEMM gemm_avx2_d
#include "_gemm_template.h"
