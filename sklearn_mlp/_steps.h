/* The update rules of the optimizers and the loops over them: the same source, and the same bits, for the
   compiler's baseline and for each instruction set. */
#ifndef SKLEARN_MLP_STEPS_H
#define SKLEARN_MLP_STEPS_H

#include <math.h>
#include <stddef.h>
#include "_sets.h"

/* The numbers of a step. */
typedef struct {
    double l2;       /* factor of a weight in its gradient */
    double clip;     /* factor of the whole gradient */
    double rate;
    double momentum;
    int nesterov;
    double beta_1, beta_2, epsilon;
    double root;     /* AdamW: factor of the root of the second moment */
    double kept;     /* AdamW: what is left of a weight */
} step_numbers;

/* DO(code, moments, rule): how the gradient g moves the parameter p and its moments m and v, of which
   there are one or two. */
#define STEPS(DO)                                                                                  \
    DO(SGD, 1, m = momentum * m - rate * g; p += nesterov ? momentum * m - rate * g : m)           \
    DO(ADAM, 2, m = beta_1 * m + rest_1 * g; v = beta_2 * v + rest_2 * (g * g);                    \
       p -= rate * m / (SQRT(v) + epsilon))                                                        \
    DO(ADAMW, 2, m = beta_1 * m + rest_1 * g; v = beta_2 * v + rest_2 * (g * g);                   \
       p = kept * p - rate * m / (SQRT(v) * root + epsilon))

#define SQRT(x) _Generic(x, float: sqrtf, double: sqrt)(x)

#define STEPS_CODE(code, moments, rule) STEPS_##code,
enum { STEPS(STEPS_CODE) };

/* By code, the step of a slice of n parameters; their second moments are n_params after the first. Returns
   the sum of their squares before it, 0 where l2 is 0, in an order that is the same everywhere: while the
   processor divides, that takes no time. */
#define STEPS_DECLARE(T)                                                                           \
    typedef double (*steps_##T)(const step_numbers *step, T *params, const T *gradient, T *moments, \
                                ptrdiff_t n_params, ptrdiff_t n);                                  \
    extern const steps_##T steps_##T##_portable[], steps_##T##_avx2[], steps_##T##_avx512[];       \
    static inline const steps_##T *steps_of_##T(int level) { return SETS_CHOOSE(steps_##T, level); }

STEPS_DECLARE(float)
STEPS_DECLARE(double)

#define STEPS_LANES 32

#define STEPS_ONE(T, i, n_moments, rule)                                                           \
    {                                                                                              \
        T p = params[i], g = (gradient[i] + l2 * p) * clip, m = first[i];                          \
        T v = n_moments > 1 ? second[i] : 0;                                                       \
        rule;                                                                                      \
        params[i] = p;                                                                             \
        first[i] = m;                                                                              \
        if (n_moments > 1)                                                                         \
            second[i] = v;                                                                         \
    }

#define STEPS_LOOP(T, code, n_moments, rule)                                                       \
    static double code##_##T(const step_numbers *step, T *restrict params,                         \
                             const T *restrict gradient, T *restrict first, ptrdiff_t n_params,    \
                             ptrdiff_t n)                                                          \
    {                                                                                              \
        const T l2 = (T) step->l2, clip = (T) step->clip, rate = (T) step->rate;                   \
        const T momentum = (T) step->momentum, epsilon = (T) step->epsilon;                        \
        const T beta_1 = (T) step->beta_1, rest_1 = (T) (1 - step->beta_1);                        \
        const T beta_2 = (T) step->beta_2, rest_2 = (T) (1 - step->beta_2);                        \
        const T root = (T) step->root, kept = (T) step->kept;                                      \
        const int nesterov = step->nesterov;                                                       \
        T *restrict second = first + n_params;                                                     \
        T lanes[STEPS_LANES] = {0};                                                                \
        double sums[STEPS_LANES / 2];                                                              \
        ptrdiff_t i = 0;                                                                           \
        for (; i + STEPS_LANES <= n; i += STEPS_LANES) {                                           \
            for (int j = 0; j < STEPS_LANES; j++)                                                  \
                lanes[j] += params[i + j] * params[i + j];                                         \
            for (int j = 0; j < STEPS_LANES; j++)                                                  \
                STEPS_ONE(T, i + j, n_moments, rule)                                               \
        }                                                                                          \
        for (int j = 0; j < n - i; j++)                                                            \
            lanes[j] += params[i + j] * params[i + j];                                             \
        for (; i < n; i++)                                                                         \
            STEPS_ONE(T, i, n_moments, rule)                                                       \
        if (l2 == 0)                                                                               \
            return 0;                                                                              \
        for (int j = 0; j < STEPS_LANES / 2; j++)                                                  \
            sums[j] = lanes[j] + lanes[j + STEPS_LANES / 2];                                       \
        for (int half = STEPS_LANES / 4; half > 0; half /= 2)                                      \
            for (int j = 0; j < half; j++)                                                         \
                sums[j] += sums[j + half];                                                         \
        (void) momentum, (void) epsilon, (void) beta_1, (void) rest_1, (void) beta_2;              \
        (void) rest_2, (void) root, (void) kept, (void) nesterov;                                  \
        return sums[0];                                                                            \
    }

#define STEPS_FLOAT(code, n_moments, rule) STEPS_LOOP(float, code, n_moments, rule)
#define STEPS_DOUBLE(code, n_moments, rule) STEPS_LOOP(double, code, n_moments, rule)
#define STEPS_ENTRY_FLOAT(code, n_moments, rule) code##_float,
#define STEPS_ENTRY_DOUBLE(code, n_moments, rule) code##_double,

#define STEPS_DEFINE(set)                                                                          \
    STEPS(STEPS_FLOAT)                                                                             \
    STEPS(STEPS_DOUBLE)                                                                            \
    const steps_float steps_float_##set[] = {STEPS(STEPS_ENTRY_FLOAT)};                            \
    const steps_double steps_double_##set[] = {STEPS(STEPS_ENTRY_DOUBLE)};

#endif
