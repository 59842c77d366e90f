/* The formulas of the activations and of their derivatives, and the loops over them, those of dropout, of the
   log loss, of sparse rows and of sums of rows: the same source for the compiler's baseline and for each instruction
   set, which differ by what FMA does not round. */
#ifndef SKLEARN_MLP_ROWS_H
#define SKLEARN_MLP_ROWS_H

#include <stddef.h>
#include <string.h>
#include "_dropout.h"
#include "_sets.h"
#include "_vmath.h"

/* A function of _vmath.h, and a number, of the type of d. */
#define VM(name) _Generic(d, float: vm_##name##f, double: vm_##name)
#define REAL(number) _Generic(d, float: number##f, double: number)

/* Klambauer et al. 2017: the scale, and -selu(-inf), which is the scale times alpha. */
#define SELU_SCALE REAL(1.0507009873554805)
#define SELU_FLOOR REAL(1.7580993408473768)

/* DO(code, a, d): the activation a of x, and what the derivative makes of d, a function of a. Where it is
   none, the first formula leaves the derivative in d, and the second does nothing. Written so that NaN is
   passed on. Where there is a kink at 0, its derivative is that from below. */
#define ROWS(DO)                                                                                   \
    DO(IDENTITY, x, d)                                                                             \
    DO(LOGISTIC, VM(logistic)(x), d * (a * (1 - a)))                                               \
    DO(TANH, VM(tanh)(x), d * ((1 - a) * (1 + a)))                                                 \
    DO(RELU, x < 0 ? 0 : x, a == 0 ? 0 : d)                                                        \
    DO(LEAKY_RELU, x < 0 ? negative_slope * x : x, a > 0 ? d : negative_slope * d)                 \
    DO(ELU, x < 0 ? VM(expm1)(x) : x, d * (1 + (a > 0 ? 0 : a)))                                   \
    DO(SELU, x < 0 ? SELU_FLOOR * VM(expm1)(x) : SELU_SCALE * x,                                   \
       d * (a > 0 ? SELU_SCALE : SELU_FLOOR + a))                                                  \
    DO(SOFTPLUS, VM(softplus)(x), d * -VM(expm1)(-a))                                              \
    DO(GELU, VM(gelu)(x, &d), d)                                                                   \
    DO(SILU, VM(silu)(x, &d), d)                                                                   \
    DO(MISH, VM(mish)(x, &d), d)

#define ROWS_CODE(code, forward, back) ROWS_##code,
enum { ROWS(ROWS_CODE) };

/* A table per parameter type and instruction set, by code. z becomes a, and slopes become f'(x), unless they
   are NULL. */
#define ROWS_DECLARE(T)                                                                            \
    typedef struct {                                                                               \
        void (*forward)(T *z, T *slopes, T negative_slope, ptrdiff_t n);                           \
        void (*back)(const T *activations, T *delta, T negative_slope, ptrdiff_t n);               \
    } rows_##T;                                                                                    \
    extern const rows_##T rows_##T##_portable[], rows_##T##_avx2[], rows_##T##_avx512[];           \
    static inline const rows_##T *rows_of_##T(int level)                                           \
    {                                                                                              \
        return SETS_CHOOSE(rows_##T, level);                                                       \
    }

ROWS_DECLARE(float)
ROWS_DECLARE(double)

/* Multiply the activations of a row, and their slopes, by 0 or by `scale`. */
#define ROWS_DROP_ARGUMENTS(T)                                                                     \
    uint64_t row_key, uint32_t drop_below, T scale, T *restrict row, T *restrict slopes, ptrdiff_t n
#define ROWS_DECLARE_DROP(T)                                                                       \
    void rows_drop_##T##_portable(ROWS_DROP_ARGUMENTS(T)),                                         \
        rows_drop_##T##_avx2(ROWS_DROP_ARGUMENTS(T)),                                              \
        rows_drop_##T##_avx512(ROWS_DROP_ARGUMENTS(T));                                            \
    static inline void rows_drop_##T(int level, ROWS_DROP_ARGUMENTS(T))                            \
    {                                                                                              \
        SETS_CHOOSE(rows_drop_##T, level)(row_key, drop_below, scale, row, slopes, n);             \
    }

ROWS_DECLARE_DROP(float)
ROWS_DECLARE_DROP(double)

/* x = exp(x), for the losses. */
#define ROWS_DECLARE_EXP(T)                                                                        \
    void rows_exp_##T##_portable(T *x, ptrdiff_t n), rows_exp_##T##_avx2(T *x, ptrdiff_t n),       \
        rows_exp_##T##_avx512(T *x, ptrdiff_t n);                                                  \
    static inline void rows_exp_##T(int level, T *x, ptrdiff_t n)                                  \
    {                                                                                              \
        SETS_CHOOSE(rows_exp_##T, level)(x, n);                                                    \
    }

ROWS_DECLARE_EXP(float)
ROWS_DECLARE_EXP(double)

/* The log loss of up to ROWS_AT_ONCE rows of k scores z and one class y each. Of each row: the largest score,
   the sum of exp(z - largest), the probability of y, and delta = (softmax(z) - share - rest * onehot(y)) *
   factor. Where there are no more than ROWS_MOST_CLASSES, a vector has the same class of many rows. */
#define ROWS_AT_ONCE 16
#define ROWS_MOST_CLASSES 32
#define ROWS_LOG_LOSS_ARGUMENTS(T)                                                                 \
    const T *restrict z, const int32_t *restrict y, ptrdiff_t n_rows, ptrdiff_t k, T share, T rest, \
        const T *restrict factor, T *restrict delta, T *restrict largest, T *restrict total,       \
        T *restrict proba
#define ROWS_DECLARE_LOG_LOSS(T)                                                                   \
    typedef void (*rows_log_loss_##T)(ROWS_LOG_LOSS_ARGUMENTS(T));                                 \
    void rows_log_loss_##T##_portable(ROWS_LOG_LOSS_ARGUMENTS(T)),                                 \
        rows_log_loss_##T##_avx2(ROWS_LOG_LOSS_ARGUMENTS(T)),                                      \
        rows_log_loss_##T##_avx512(ROWS_LOG_LOSS_ARGUMENTS(T));                                    \
    static inline rows_log_loss_##T rows_log_loss_of_##T(int level)                                \
    {                                                                                              \
        return SETS_CHOOSE(rows_log_loss_##T, level);                                              \
    }

ROWS_DECLARE_LOG_LOSS(float)
ROWS_DECLARE_LOG_LOSS(double)

/* The binary log loss of up to ROWS_AT_ONCE scores z with classes y of 0 and 1, of which `half` is taken to the
   other: loss = log(1 + exp(z)) - t z, and delta = (the logistic function of z - t) * factor. */
#define ROWS_BINARY_ARGUMENTS(T)                                                                   \
    const T *restrict z, const int32_t *restrict y, ptrdiff_t n, T half, const T *restrict factor, \
        T *restrict delta, T *restrict loss
#define ROWS_DECLARE_BINARY(T)                                                                     \
    typedef void (*rows_binary_##T)(ROWS_BINARY_ARGUMENTS(T));                                     \
    void rows_binary_##T##_portable(ROWS_BINARY_ARGUMENTS(T)),                                     \
        rows_binary_##T##_avx2(ROWS_BINARY_ARGUMENTS(T)),                                          \
        rows_binary_##T##_avx512(ROWS_BINARY_ARGUMENTS(T));                                        \
    static inline rows_binary_##T rows_binary_of_##T(int level)                                    \
    {                                                                                              \
        return SETS_CHOOSE(rows_binary_##T, level);                                                \
    }

ROWS_DECLARE_BINARY(float)
ROWS_DECLARE_BINARY(double)

/* total (+)= the sum of the rows of x, (n_rows, n): the gradient of intercepts. */
#define ROWS_SUM_ARGUMENTS(T)                                                                      \
    const T *restrict x, ptrdiff_t n_rows, ptrdiff_t n, T *restrict total, int accumulate
#define ROWS_DECLARE_SUM(T)                                                                        \
    void rows_sum_##T##_portable(ROWS_SUM_ARGUMENTS(T)), rows_sum_##T##_avx2(ROWS_SUM_ARGUMENTS(T)), \
        rows_sum_##T##_avx512(ROWS_SUM_ARGUMENTS(T));                                              \
    static inline void rows_sum_##T(int level, ROWS_SUM_ARGUMENTS(T))                              \
    {                                                                                              \
        SETS_CHOOSE(rows_sum_##T, level)(x, n_rows, n, total, accumulate);                         \
    }

ROWS_DECLARE_SUM(float)
ROWS_DECLARE_SUM(double)

/* Copy n_bytes, at least 4: a row of few features as its beginning and its end, sooner than memcpy is called. */
#define ROWS_COPY_ENDS(size)                                                                       \
    if (n_bytes >= size) {                                                                         \
        memcpy(to, from, size);                                                                    \
        memcpy(to + n_bytes - size, from + n_bytes - size, size);                                  \
        return;                                                                                    \
    }

static inline void rows_copy(char *restrict to, const char *restrict from, size_t n_bytes)
{
    if (n_bytes > 64) {
        memcpy(to, from, n_bytes);
        return;
    }
    ROWS_COPY_ENDS(32)
    ROWS_COPY_ENDS(16)
    ROWS_COPY_ENDS(8)
    memcpy(to, from, 4);
}

/* Of `count` entries of a sparse row, values at the indices of rows of a table, (any, n): out += the sum of
   value * row; and the reverse, each row of the table from `low` to `high` += value * x. Rows are fetched some
   entries ahead, for they are anywhere in memory. */
#define ROWS_GATHER_ARGUMENTS(T)                                                                   \
    const T *restrict values, const int32_t *restrict indices, ptrdiff_t count,                    \
        const T *restrict table, ptrdiff_t n, T *restrict out
#define ROWS_SCATTER_ARGUMENTS(T)                                                                  \
    const T *restrict values, const int32_t *restrict indices, ptrdiff_t count, ptrdiff_t low,     \
        ptrdiff_t high, const T *restrict x, ptrdiff_t n, T *restrict table
#define ROWS_DECLARE_SPARSE(T)                                                                     \
    void rows_gather_##T##_portable(ROWS_GATHER_ARGUMENTS(T)),                                     \
        rows_gather_##T##_avx2(ROWS_GATHER_ARGUMENTS(T)),                                          \
        rows_gather_##T##_avx512(ROWS_GATHER_ARGUMENTS(T)),                                        \
        rows_scatter_##T##_portable(ROWS_SCATTER_ARGUMENTS(T)),                                    \
        rows_scatter_##T##_avx2(ROWS_SCATTER_ARGUMENTS(T)),                                        \
        rows_scatter_##T##_avx512(ROWS_SCATTER_ARGUMENTS(T));                                      \
    static inline void rows_gather_##T(int level, ROWS_GATHER_ARGUMENTS(T))                        \
    {                                                                                              \
        SETS_CHOOSE(rows_gather_##T, level)(values, indices, count, table, n, out);                \
    }                                                                                              \
    static inline void rows_scatter_##T(int level, ROWS_SCATTER_ARGUMENTS(T))                      \
    {                                                                                              \
        SETS_CHOOSE(rows_scatter_##T, level)(values, indices, count, low, high, x, n, table);      \
    }

ROWS_DECLARE_SPARSE(float)
ROWS_DECLARE_SPARSE(double)

#define ROWS_DEFINE_DROP(T, set)                                                                   \
    void rows_drop_##T##_##set(ROWS_DROP_ARGUMENTS(T))                                             \
    {                                                                                              \
        for (ptrdiff_t j = 0; j < n; j++) {                                                        \
            T factor = dropout_number(row_key, (uint32_t) j) < drop_below ? 0 : scale;             \
            row[j] *= factor;                                                                      \
            slopes[j] *= factor;                                                                   \
        }                                                                                          \
    }

#define ROWS_DEFINE_EXP(T, set, function)                                                          \
    void rows_exp_##T##_##set(T *x, ptrdiff_t n)                                                   \
    {                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++)                                                          \
            x[i] = function(x[i]);                                                                 \
    }

/* A loop to become vectors, which GCC would otherwise sometimes unroll first. */
#if defined(__GNUC__) && !defined(__clang__)
#define ROWS_LANES _Pragma("GCC unroll 1") for (int i = 0; i < ROWS_AT_ONCE; i++)
#else
#define ROWS_LANES for (int i = 0; i < ROWS_AT_ONCE; i++)
#endif

#define ROWS_DEFINE_LOG_LOSS(T, set, function)                                                     \
    static void many_classes_##T(ROWS_LOG_LOSS_ARGUMENTS(T))                                       \
    {                                                                                              \
        for (ptrdiff_t i = 0; i < n_rows; i++, z += k, delta += k) {                               \
            T most = z[0], sum = 0, inverse;                                                       \
            for (ptrdiff_t j = 1; j < k; j++)                                                      \
                most = z[j] > most ? z[j] : most;                                                  \
            for (ptrdiff_t j = 0; j < k; j++)                                                      \
                delta[j] = function(z[j] - most);                                                  \
            for (ptrdiff_t j = 0; j < k; j++)                                                      \
                sum += delta[j];                                                                   \
            inverse = 1 / sum;                                                                     \
            largest[i] = most, total[i] = sum, proba[i] = delta[y[i]] * inverse;                   \
            for (ptrdiff_t j = 0; j < k; j++)                                                      \
                delta[j] = (delta[j] * inverse - share) * factor[i];                               \
            delta[y[i]] = (proba[i] - share - rest) * factor[i];                                   \
        }                                                                                          \
    }                                                                                              \
    void rows_log_loss_##T##_##set(ROWS_LOG_LOSS_ARGUMENTS(T))                                     \
    {                                                                                              \
        T block[ROWS_MOST_CLASSES * ROWS_AT_ONCE], most[ROWS_AT_ONCE], sum[ROWS_AT_ONCE] = {0};    \
        T scale[ROWS_AT_ONCE] = {0};                                                               \
        int32_t start[ROWS_AT_ONCE] = {0}; /* lanes beyond n_rows repeat the first row */          \
        if (k > ROWS_MOST_CLASSES) {                                                               \
            many_classes_##T(z, y, n_rows, k, share, rest, factor, delta, largest, total, proba);  \
            return;                                                                                \
        }                                                                                          \
        for (int i = 0; i < n_rows; i++)                                                           \
            start[i] = i * (int32_t) k, scale[i] = factor[i];                                      \
        for (ptrdiff_t j = 0; j == 0 || j < k; j++) /* k is not 0 */                               \
            ROWS_LANES block[j * ROWS_AT_ONCE + i] = z[start[i] + j];                              \
        ROWS_LANES most[i] = block[i];                                                             \
        for (ptrdiff_t j = 1; j < k; j++)                                                          \
            ROWS_LANES                                                                             \
            {                                                                                      \
                T x = block[j * ROWS_AT_ONCE + i];                                                 \
                most[i] = x > most[i] ? x : most[i];                                               \
            }                                                                                      \
        for (ptrdiff_t j = 0; j < k; j++)                                                          \
            ROWS_LANES                                                                             \
            {                                                                                      \
                T e = function(block[j * ROWS_AT_ONCE + i] - most[i]);                             \
                block[j * ROWS_AT_ONCE + i] = e;                                                   \
                sum[i] += e;                                                                       \
            }                                                                                      \
        for (int i = 0; i < n_rows; i++)                                                           \
            largest[i] = most[i], total[i] = sum[i];                                               \
        ROWS_LANES sum[i] = 1 / sum[i];                                                            \
        for (int i = 0; i < n_rows; i++)                                                           \
            proba[i] = block[y[i] * ROWS_AT_ONCE + i] * sum[i];                                    \
        for (ptrdiff_t j = 0; j < k; j++)                                                          \
            ROWS_LANES                                                                             \
            block[j * ROWS_AT_ONCE + i] = (block[j * ROWS_AT_ONCE + i] * sum[i] - share) * scale[i]; \
        for (int i = 0; i < n_rows; i++)                                                           \
            block[y[i] * ROWS_AT_ONCE + i] = (proba[i] - share - rest) * factor[i];                \
        for (ptrdiff_t j = 0; j < k; j++)                                                          \
            for (int i = 0; i < n_rows; i++)                                                       \
                delta[i * k + j] = block[j * ROWS_AT_ONCE + i];                                    \
    }

#define ROWS_DEFINE_BINARY(T, set, exponential, log1p)                                             \
    void rows_binary_##T##_##set(ROWS_BINARY_ARGUMENTS(T))                                         \
    {                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            T x = z[i], of_class = y[i] ? x : -x, e = exponential(x < 0 ? x : -x);                 \
            T probability = (x < 0 ? e : 1) / (1 + e);                                             \
            delta[i] = (probability - y[i] + (y[i] ? half : -half)) * factor[i];                   \
            T smoothed = half > 0 ? half * of_class : 0; /* not 0 times infinity */                \
            loss[i] = log1p(e) - (of_class < 0 ? of_class : 0) + smoothed;                         \
        }                                                                                          \
    }

/* How many entries ahead, and the lines of n values. */
#define ROWS_AHEAD 5
#ifdef __GNUC__
#define ROWS_FETCH(row, n)                                                                         \
    for (ptrdiff_t j = 0; j < (n); j += 64 / (ptrdiff_t) sizeof(*(row)))                           \
        __builtin_prefetch((row) + j);
#else
#define ROWS_FETCH(row, n) ;
#endif

#define ROWS_DEFINE_SPARSE(T, set)                                                                 \
    void rows_gather_##T##_##set(ROWS_GATHER_ARGUMENTS(T))                                         \
    {                                                                                              \
        for (ptrdiff_t e = 0; e < count; e++) {                                                    \
            const T *row = table + indices[e] * n, value = values[e];                              \
            if (e + ROWS_AHEAD < count)                                                            \
                ROWS_FETCH(table + indices[e + ROWS_AHEAD] * n, n)                                 \
            for (ptrdiff_t j = 0; j < n; j++)                                                      \
                out[j] += value * row[j];                                                          \
        }                                                                                          \
    }                                                                                              \
    void rows_scatter_##T##_##set(ROWS_SCATTER_ARGUMENTS(T))                                       \
    {                                                                                              \
        for (ptrdiff_t e = 0; e < count; e++) {                                                    \
            T *row = table + indices[e] * n, value = values[e];                                    \
            if (e + ROWS_AHEAD < count)                                                            \
                ROWS_FETCH(table + indices[e + ROWS_AHEAD] * n, n)                                 \
            if (low <= indices[e] && indices[e] < high)                                            \
                for (ptrdiff_t j = 0; j < n; j++)                                                  \
                    row[j] += value * x[j];                                                        \
        }                                                                                          \
    }

/* Some columns at a time and some rows apart, whose sums stay in registers and do not wait for each other. */
#define ROWS_SUM_COLUMNS(T, columns, apart)                                                        \
    for (; j + columns <= n; j += columns) {                                                       \
        T sums[apart * columns] = {0};                                                             \
        ptrdiff_t i = 0;                                                                           \
        for (; i + apart <= n_rows; i += apart)                                                    \
            for (int r = 0; r < apart; r++)                                                        \
                for (int l = 0; l < columns; l++)                                                  \
                    sums[r * columns + l] += x[(i + r) * n + j + l];                               \
        for (; i < n_rows; i++)                                                                    \
            for (int l = 0; l < columns; l++)                                                      \
                sums[l] += x[i * n + j + l];                                                       \
        for (int r = 1; r < apart; r++)                                                            \
            for (int l = 0; l < columns; l++)                                                      \
                sums[l] += sums[r * columns + l];                                                  \
        for (int l = 0; l < columns; l++)                                                          \
            total[j + l] = accumulate ? total[j + l] + sums[l] : sums[l];                          \
    }

#define ROWS_DEFINE_SUM(T, set)                                                                    \
    void rows_sum_##T##_##set(ROWS_SUM_ARGUMENTS(T))                                               \
    {                                                                                              \
        ptrdiff_t j = 0;                                                                           \
        ROWS_SUM_COLUMNS(T, 64, 2)                                                                 \
        ROWS_SUM_COLUMNS(T, 32, 2)                                                                 \
        ROWS_SUM_COLUMNS(T, 16, 4)                                                                 \
        ROWS_SUM_COLUMNS(T, 4, 4)                                                                  \
        ROWS_SUM_COLUMNS(T, 1, 4)                                                                  \
    }

/* The loops; a slope starts from one, or from NaN where x is NaN. */
#define ROWS_LOOPS(T, code, formula, back_formula)                                                 \
    static void forward_##code##_##T(T *restrict z, T *restrict slopes, T negative_slope,          \
                                     ptrdiff_t n)                                                  \
    {                                                                                              \
        if (slopes)                                                                                \
            for (ptrdiff_t j = 0; j < n; j++) {                                                    \
                T x = z[j], d = x == x ? 1 : x, a = formula;                                       \
                z[j] = a;                                                                          \
                slopes[j] = back_formula;                                                          \
            }                                                                                      \
        else                                                                                       \
            for (ptrdiff_t j = 0; j < n; j++) {                                                    \
                T x = z[j], d = 0;                                                                 \
                z[j] = formula;                                                                    \
                (void) d;                                                                          \
            }                                                                                      \
    }                                                                                              \
    static void back_##code##_##T(const T *restrict activations, T *restrict delta,                \
                                  T negative_slope, ptrdiff_t n)                                   \
    {                                                                                              \
        for (ptrdiff_t j = 0; j < n; j++) {                                                        \
            T a = activations[j], d = delta[j];                                                    \
            delta[j] = back_formula;                                                               \
            (void) a;                                                                              \
        }                                                                                          \
    }

#define ROWS_FLOAT(code, forward, back) ROWS_LOOPS(float, code, forward, back)
#define ROWS_DOUBLE(code, forward, back) ROWS_LOOPS(double, code, forward, back)
#define ROWS_ENTRY_FLOAT(code, forward, back) {forward_##code##_float, back_##code##_float},
#define ROWS_ENTRY_DOUBLE(code, forward, back) {forward_##code##_double, back_##code##_double},

#define ROWS_DEFINE(set)                                                                           \
    ROWS(ROWS_FLOAT)                                                                               \
    ROWS(ROWS_DOUBLE)                                                                              \
    ROWS_DEFINE_DROP(float, set)                                                                   \
    ROWS_DEFINE_DROP(double, set)                                                                  \
    ROWS_DEFINE_EXP(float, set, vm_expf)                                                           \
    ROWS_DEFINE_EXP(double, set, vm_exp)                                                           \
    ROWS_DEFINE_LOG_LOSS(float, set, vm_expf)                                                      \
    ROWS_DEFINE_LOG_LOSS(double, set, vm_exp)                                                      \
    ROWS_DEFINE_BINARY(float, set, vm_expf, vm_log1pf)                                             \
    ROWS_DEFINE_BINARY(double, set, vm_exp, vm_log1p)                                              \
    ROWS_DEFINE_SPARSE(float, set)                                                                 \
    ROWS_DEFINE_SPARSE(double, set)                                                                \
    ROWS_DEFINE_SUM(float, set)                                                                    \
    ROWS_DEFINE_SUM(double, set)                                                                   \
    const rows_float rows_float_##set[] = {ROWS(ROWS_ENTRY_FLOAT)};                                \
    const rows_double rows_double_##set[] = {ROWS(ROWS_ENTRY_DOUBLE)};

#endif
