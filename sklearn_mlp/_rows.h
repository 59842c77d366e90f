/* row[j] = f(row[j] + intercepts[j]) for the activations whose arithmetic is long: the same source,
   and the same bits, for the compiler's baseline and for AVX2. */
#ifndef SKLEARN_MLP_ROWS_H
#define SKLEARN_MLP_ROWS_H

#include <stddef.h>
#include "_vmath.h"

#define ROWS_DECLARE(name, T)                                                                      \
    void name##_portable(T *row, const T *intercepts, ptrdiff_t n);                                \
    void name##_avx2(T *row, const T *intercepts, ptrdiff_t n);                                    \
    static inline void name(int avx2, T *row, const T *intercepts, ptrdiff_t n)                    \
    {                                                                                              \
        ROWS_CHOOSE(name, avx2)(row, intercepts, n);                                               \
    }

#define ROWS_DEFINE(name, T, function)                                                             \
    void name(T *row, const T *intercepts, ptrdiff_t n)                                            \
    {                                                                                              \
        for (ptrdiff_t j = 0; j < n; j++)                                                          \
            row[j] = function(row[j] + intercepts[j]);                                             \
    }

#ifdef SKLEARN_MLP_AVX2
#define ROWS_CHOOSE(name, avx2) (avx2 ? name##_avx2 : name##_portable)
#else
#define ROWS_CHOOSE(name, avx2) name##_portable
#endif

ROWS_DECLARE(tanh_row_f, float)
ROWS_DECLARE(tanh_row_d, double)
ROWS_DECLARE(logistic_row_f, float)
ROWS_DECLARE(logistic_row_d, double)

#endif
