/* exp, expm1, log1p, tanh, the logistic function, softplus, silu, mish and gelu in float and double,
   written so that a loop over them is vectorised by any compiler: no branches, no tables, no calls, no
   intrinsics. Results are within 2 units in the last place over the whole range, those of gelu, silu
   and mish within 5 where they are normal numbers; NaN passes through and infinities give the limits.

   All rest on exp(x) = 2^n exp(r) with n = round(x / log 2) and |r| <= log(2) / 2, and on
   exp(r) - 1 = r + r^2 Q(r). Q interpolates (exp(r) - 1 - r) / r^2 in the Chebyshev nodes of a
   slightly wider interval; its error in exp(r) - 1 is below a thirtieth of a unit in the last place. It is
   summed in pairs (Estrin's scheme): a processor that waits for one product at a time is half idle.
   tanh has a polynomial of its own near zero, where exp(2x) would have to be known better than it is. */
#ifndef SKLEARN_MLP_VMATH_H
#define SKLEARN_MLP_VMATH_H

#include <math.h>
#include <stdint.h>

/* a b + c, of floats or of doubles, rounded once where the processor does that in one instruction. Clang
   says so by the names of the instructions alone. */
#if (defined(FP_FAST_FMA) && defined(FP_FAST_FMAF)) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define VM_FMA(a, b, c) _Generic((a), float: fmaf, double: fma)(a, b, c)
#else
#define VM_FMA(a, b, c) ((a) * (b) + (c))
#endif

typedef union { float value; int32_t bits; } vm_word32;
typedef union { double value; int64_t bits; } vm_word64;

/* Adding 1.5 * 2^(mantissa bits) rounds to an integer and leaves it in the low bits of the sum. */
#define VM_ROUND_F 0x1.8p23f
#define VM_ROUND 0x1.8p52

static inline int32_t vm_low_bits_f(float rounded)
{
    vm_word32 sum, zero;
    sum.value = rounded;
    zero.value = VM_ROUND_F;
    return sum.bits - zero.bits;
}

static inline int64_t vm_low_bits(double rounded)
{
    vm_word64 sum, zero;
    sum.value = rounded;
    zero.value = VM_ROUND;
    return sum.bits - zero.bits;
}

/* 2^n for normal results. */
static inline float vm_pow2_f(int32_t n)
{
    vm_word32 w;
    w.bits = (int32_t) ((uint32_t) (n + 127) << 23);
    return w.value;
}

static inline double vm_pow2(int64_t n)
{
    vm_word64 w;
    w.bits = (int64_t) ((uint64_t) (n + 1023) << 52);
    return w.value;
}

/* Q(r), of which r + r^2 Q(r) is exp(r) - 1 for |r| <= log(2) / 2; s is r^2. */
static inline float vm_exp_rest_f(float r, float s)
{
    float q = VM_FMA(0x1.a12a42p-13f, r, 0x1.6d4920p-10f);
    q = VM_FMA(q, s, VM_FMA(0x1.1110e0p-7f, r, 0x1.5554e4p-5f));
    return VM_FMA(q, s, VM_FMA(0x1.555556p-3f, r, 0x1p-1f));
}

static inline double vm_exp_rest(double r, double s)
{
    double fourth = s * s;
    double q = VM_FMA(0x1.1f75aba0b1e2ep-29, s, VM_FMA(0x1.af52906239de4p-26, r, 0x1.27e4da1a3bf04p-22));
    double middle = VM_FMA(0x1.71ddffef9e7b1p-19, r, 0x1.a01a01a741b3cp-16);
    double low = VM_FMA(0x1.5555555555557p-3, r, 0x1p-1);
    middle = VM_FMA(middle, s, VM_FMA(0x1.a01a01aca0134p-13, r, 0x1.6c16c16c16212p-10));
    low = VM_FMA(VM_FMA(0x1.111111110ff87p-7, r, 0x1.5555555555556p-5), s, low);
    return VM_FMA(VM_FMA(q, fourth, middle), fourth, low);
}

/* exp(x + more - n log 2) - 1, for n the integer nearest to x / log 2 and `more` no larger than what
   rounds off x: for an x in two parts, or 0, which costs nothing once inlined. log 2 is a short leading
   part, whose product with n is exact, and a rest; what rounds off r when the rest is taken away is
   added back. */
static inline float vm_expm1_reduced_f(float x, float more, float n)
{
    float leading = VM_FMA(-n, 0x1.62ep-1f, x), rest = VM_FMA(n, 0x1.0bfbe8e7p-15f, -more);
    float r = leading - rest, lost = (leading - r) - rest, s = r * r;
    return r + VM_FMA(s, vm_exp_rest_f(r, s), lost);
}

static inline double vm_expm1_reduced(double x, double more, double n)
{
    double leading = VM_FMA(-n, 0x1.62e42feep-1, x), rest = VM_FMA(n, 0x1.a39ef35793c76p-33, -more);
    double r = leading - rest, lost = (leading - r) - rest, s = r * r;
    return r + VM_FMA(s, vm_exp_rest(r, s), lost);
}

/* The same without `more` and what rounds off r, which is an eighth of a unit of exp(x - n log 2). */
static inline float vm_expm1_rough_f(float x, float n)
{
    float r = VM_FMA(-n, 0x1.0bfbe8e7p-15f, VM_FMA(-n, 0x1.62ep-1f, x)), s = r * r;
    return VM_FMA(s, vm_exp_rest_f(r, s), r);
}

static inline double vm_expm1_rough(double x, double n)
{
    double r = VM_FMA(-n, 0x1.a39ef35793c76p-33, VM_FMA(-n, 0x1.62e42feep-1, x)), s = r * r;
    return VM_FMA(s, vm_exp_rest(r, s), r);
}

/* exp(x + more), with `more` as above */
static inline float vm_exp_sumf(float x, float more)
{
    float rounded, n, p;
    int32_t whole, half;
    x = x > 89.0f ? 89.0f : x; /* inf from here on */
    x = x < -104.0f ? -104.0f : x; /* 0 from here on */
    rounded = VM_FMA(x, 0x1.715476p+0f, VM_ROUND_F);
    n = rounded - VM_ROUND_F;
    p = vm_expm1_reduced_f(x, more, n);
    /* In two factors, for 2^n itself may overflow or be subnormal. */
    whole = vm_low_bits_f(rounded);
    half = whole >> 1;
    return (1.0f + p) * vm_pow2_f(half) * vm_pow2_f(whole - half);
}

static inline double vm_exp_sum(double x, double more)
{
    double rounded, n, p, halved;
    int64_t whole, half;
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    rounded = VM_FMA(x, 0x1.71547652b82fep+0, VM_ROUND);
    n = rounded - VM_ROUND;
    p = vm_expm1_reduced(x, more, n);
    whole = vm_low_bits(rounded);
    halved = 0.5 * n + VM_ROUND; /* vector units shift 64-bit integers only without their sign */
    half = vm_low_bits(halved);
    return (1.0 + p) * vm_pow2(half) * vm_pow2(whole - half);
}

static inline float vm_expf(float x)
{
    return vm_exp_sumf(x, 0.0f);
}

static inline double vm_exp(double x)
{
    return vm_exp_sum(x, 0.0);
}

/* exp(x) - 1 for x <= 0 */
static inline float vm_expm1f(float x)
{
    float rounded, n, scale;
    x = x < -18.0f ? -18.0f : x; /* -1 from here on */
    rounded = VM_FMA(x, 0x1.715476p+0f, VM_ROUND_F);
    n = rounded - VM_ROUND_F;
    scale = vm_pow2_f(vm_low_bits_f(rounded));
    return VM_FMA(scale, vm_expm1_reduced_f(x, 0.0f, n), scale - 1.0f);
}

static inline double vm_expm1(double x)
{
    double rounded, n, scale;
    x = x < -38.0 ? -38.0 : x;
    rounded = VM_FMA(x, 0x1.71547652b82fep+0, VM_ROUND);
    n = rounded - VM_ROUND;
    scale = vm_pow2(vm_low_bits(rounded));
    return VM_FMA(scale, vm_expm1_reduced(x, 0.0, n), scale - 1.0);
}

/* log(1 + x) for x in [0, 1]. With f = x or, from a half on, 1 + f = (1 + x) / 2, and s = f / (2 + f):
   log(1 + f) = 2 atanh(s) = f - s (f - s^2 L(s^2)). L interpolates (2 atanh(s) - 2 s) / s^3 in the
   Chebyshev nodes of s^2 in [0, 0.0401]; its error is below a hundredth of a unit in the last place. */
static inline float vm_log1pf(float x)
{
    float f = x < 0.5f ? x : 0.5f * (x - 1.0f), s = f / (2.0f + f), w = s * s;
    float q = 0x1.e66d70p-3f;
    q = VM_FMA(q, w, 0x1.242c5ap-2f);
    q = VM_FMA(q, w, 0x1.999a6cp-2f);
    q = VM_FMA(q, w, 0x1.555556p-1f);
    return (x < 0.5f ? 0.0f : 0x1.62e430p-1f) + VM_FMA(-s, VM_FMA(-w, q, f), f);
}

static inline double vm_log1p(double x)
{
    double f = x < 0.5 ? x : 0.5 * (x - 1.0), s = f / (2.0 + f), w = s * s;
    double q = 0x1.16b68338bd78bp-3;
    q = VM_FMA(q, w, 0x1.0e88ea4725d3dp-3);
    q = VM_FMA(q, w, 0x1.3b29fcbbce66dp-3);
    q = VM_FMA(q, w, 0x1.745cab2727663p-3);
    q = VM_FMA(q, w, 0x1.c71c72e2f78d5p-3);
    q = VM_FMA(q, w, 0x1.24924923dba6ap-2);
    q = VM_FMA(q, w, 0x1.9999999999f30p-2);
    q = VM_FMA(q, w, 0x1.5555555555555p-1);
    return (x < 0.5 ? 0.0 : 0x1.62e42fefa39efp-1) + VM_FMA(-s, VM_FMA(-w, q, f), f);
}

/* Below atanh(1/2): x + x^3 P(x^2), where P interpolates (tanh(x) - x) / x^3 in the Chebyshev nodes of x^2; its
   error in tanh(x) is below 2^-27 and 2^-58. From there on: 1 - 2 / (1 + exp(2x)), of whose relative error no
   more than three quarters reach the result. */
static inline float vm_tanhf(float x)
{
    float a = fabsf(x), w = a * a, y, rounded, n, d, p;
    y = 2.0f * (a > 10.0f ? 10.0f : a); /* 1 from here on */
    rounded = VM_FMA(y, 0x1.715476p+0f, VM_ROUND_F);
    n = rounded - VM_ROUND_F;
    d = VM_FMA(vm_pow2_f(vm_low_bits_f(rounded)), 1.0f + vm_expm1_rough_f(y, n), 1.0f);
    p = VM_FMA(-0x1.b17442p-8f, w, 0x1.5d2a6cp-6f);
    p = VM_FMA(p, w, -0x1.b9a0f2p-5f);
    p = VM_FMA(p, w, 0x1.110fecp-3f);
    p = VM_FMA(p, w, -0x1.555554p-2f);
    return copysignf(a < 0x1.194p-1f ? VM_FMA(a * w, p, a) : 1.0f - 2.0f / d, x);
}

static inline double vm_tanh(double x)
{
    double a = fabs(x), w = a * a, fourth = w * w, y, rounded, n, d, p;
    y = 2.0 * (a > 22.0 ? 22.0 : a); /* 1 from here on */
    rounded = VM_FMA(y, 0x1.71547652b82fep+0, VM_ROUND);
    n = rounded - VM_ROUND;
    d = VM_FMA(vm_pow2(vm_low_bits(rounded)), 1.0 + vm_expm1_rough(y, n), 1.0);
    p = VM_FMA(-0x1.5a16e6d44f413p-16, w, 0x1.652551dfc5ef1p-14);
    p = VM_FMA(p, w, -0x1.ec1cb096890bep-13);
    p = VM_FMA(p, fourth, VM_FMA(0x1.34c6ada862883p-11, w, -0x1.7d97ea42be26ap-10));
    p = VM_FMA(p, fourth, VM_FMA(0x1.d6d33ada32e1ap-9, w, -0x1.226e32f80fa63p-7));
    p = VM_FMA(p, fourth, VM_FMA(0x1.664f48773f9f9p-6, w, -0x1.ba1ba1b9ff449p-5));
    p = VM_FMA(p, fourth, VM_FMA(0x1.1111111111036p-3, w, -0x1.5555555555555p-2));
    return copysign(a < 0x1.194p-1 ? VM_FMA(a * w, p, a) : 1.0 - 2.0 / d, x);
}

/* 1 / (1 + exp(-x)), from the exponential of -|x|. */
static inline float vm_logisticf(float x)
{
    float e = vm_expf(-fabsf(x)), d = 1.0f + e, lost = e - (d - 1.0f);
    float t = (x < 0.0f ? e : 1.0f) / d;
    return t - t * lost * (x < 0.0f ? 1.0f - t : t); /* the last factor is 1 / d */
}

static inline double vm_logistic(double x)
{
    double e = vm_exp(-fabs(x)), d = 1.0 + e, lost = e - (d - 1.0);
    double t = (x < 0.0 ? e : 1.0) / d;
    return t - t * lost * (x < 0.0 ? 1.0 - t : t);
}

/* log(1 + exp(x)) */
static inline float vm_softplusf(float x)
{
    return (x < 0.0f ? 0.0f : x) + vm_log1pf(vm_expf(-fabsf(x)));
}

static inline double vm_softplus(double x)
{
    return (x < 0.0 ? 0.0 : x) + vm_log1p(vm_exp(-fabs(x)));
}

/* The activations below give their slope as well; where it is not used, the compiler drops it. Where
   exp(-|x|) has become 0, x is held, so that infinities do not meet zeros: all limits come out. */

/* x times the logistic function s of x; the slope is s (1 + x (1 - s)). */
static inline float vm_siluf(float x, float *slope)
{
    float e = vm_expf(-fabsf(x)), r = 1.0f / (1.0f + e);
    float s = (x < 0.0f ? e : 1.0f) * r, rest = (x < 0.0f ? 1.0f : e) * r, held;
    x = x < -104.0f ? -104.0f : x;
    held = x > 104.0f ? 104.0f : x;
    *slope = s * (1.0f + held * rest);
    return x * s;
}

static inline double vm_silu(double x, double *slope)
{
    double e = vm_exp(-fabs(x)), r = 1.0 / (1.0 + e);
    double s = (x < 0.0 ? e : 1.0) * r, rest = (x < 0.0 ? 1.0 : e) * r, held;
    x = x < -746.0 ? -746.0 : x;
    held = x > 746.0 ? 746.0 : x;
    *slope = s * (1.0 + held * rest);
    return x * s;
}

/* x t with t = tanh(log(1 + exp(x))), a rational function of w = exp(-|x|):
   (1 + 2 w) / (1 + 2 w + 2 w^2) for x >= 0 and w (w + 2) / (w (w + 2) + 2) for x < 0.
   The slope is t + x (1 - t) (1 + t) s, with s the logistic function of x. */
static inline float vm_mishf(float x, float *slope)
{
    float w = vm_expf(-fabsf(x)), s = (x < 0.0f ? w : 1.0f) / (1.0f + w), held;
    float above = x < 0.0f ? w * (w + 2.0f) : 1.0f + 2.0f * w, below = x < 0.0f ? 2.0f : 2.0f * w * w;
    float d = above + below, t = above / d;
    x = x < -104.0f ? -104.0f : x;
    held = x > 104.0f ? 104.0f : x;
    *slope = t + held * s * (1.0f + t) * (below / d);
    return x * t;
}

static inline double vm_mish(double x, double *slope)
{
    double w = vm_exp(-fabs(x)), s = (x < 0.0 ? w : 1.0) / (1.0 + w), held;
    double above = x < 0.0 ? w * (w + 2.0) : 1.0 + 2.0 * w, below = x < 0.0 ? 2.0 : 2.0 * w * w;
    double d = above + below, t = above / d;
    x = x < -746.0 ? -746.0 : x;
    held = x > 746.0 ? 746.0 : x;
    *slope = t + held * s * (1.0 + t) * (below / d);
    return x * t;
}

/* x Phi(x), with Phi the normal distribution function; the slope is Phi(x) + x exp(-x^2 / 2) / sqrt(2 pi).
   With a = |x|: Phi(-a) = exp(-a^2 / 2) P(u) / (1 + a), u = (a - c) / (a + c), c = 4 in float and 5.5 in
   double. P interpolates (1 + a) exp(a^2 / 2) erfc(a / sqrt(2)) / 2, which is between 0.39 and 0.53, in
   the Chebyshev nodes of u for a up to where Phi(-a) is 0; its relative error is below 2^-28 and 2^-56.
   The square is taken in two parts, for the exponential multiplies its relative rounding error by a^2 / 2. */
static inline float vm_geluf(float x, float *slope)
{
    float a = fabsf(x), held, u, q, square, head, tail, e, phi;
    vm_word32 word;
    a = a > 14.5f ? 14.5f : a; /* Phi(-a) is 0 from here on */
    held = x < 0.0f ? -a : a;
    u = (a - 4.0f) / (a + 4.0f);
    q = -0x1.367d94p-14f;
    q = VM_FMA(q, u, -0x1.149316p-14f);
    q = VM_FMA(q, u, 0x1.6a5baep-11f);
    q = VM_FMA(q, u, -0x1.3af80cp-12f);
    q = VM_FMA(q, u, -0x1.47d6fap-8f);
    q = VM_FMA(q, u, 0x1.25ebd8p-6f);
    q = VM_FMA(q, u, -0x1.07c392p-5f);
    q = VM_FMA(q, u, 0x1.d49536p-6f);
    q = VM_FMA(q, u, 0x1.cabd6cp-7f);
    q = VM_FMA(q, u, -0x1.8c18f0p-4f);
    q = VM_FMA(q, u, 0x1.e361eap-2f) / (1.0f + a);
    word.value = a;
    word.bits &= ~(int32_t) 0xfff;
    head = word.value;
    tail = a - head;
    square = a * a;
    e = vm_exp_sumf(-0.5f * square, -0.5f * ((head * head - square) + 2.0f * head * tail + tail * tail));
    phi = x < 0.0f ? q * e : 1.0f - q * e;
    *slope = phi + held * 0x1.988454p-2f * e;
    return x < 0.0f ? held * q * e : x * phi;
}

static inline double vm_gelu(double x, double *slope)
{
    double a = fabs(x), held, u, q, square, head, tail, e, phi;
    vm_word64 word;
    a = a > 38.7 ? 38.7 : a;
    held = x < 0.0 ? -a : a;
    u = (a - 5.5) / (a + 5.5);
    q = -0x1.3e46a1489ec95p-30;
    q = VM_FMA(q, u, -0x1.1ad858badfd09p-28);
    q = VM_FMA(q, u, 0x1.a3dbc3eb0c5b6p-28);
    q = VM_FMA(q, u, 0x1.2b8bbb3ca067cp-25);
    q = VM_FMA(q, u, -0x1.6e7a7bfd1dfbap-25);
    q = VM_FMA(q, u, -0x1.ce7ac5bfe33d9p-23);
    q = VM_FMA(q, u, 0x1.e14d7a8797bdap-22);
    q = VM_FMA(q, u, 0x1.1c89165c2a5ccp-20);
    q = VM_FMA(q, u, -0x1.3afa464b2990fp-18);
    q = VM_FMA(q, u, -0x1.046480508b84dp-21);
    q = VM_FMA(q, u, 0x1.45f82fdedeeeap-15);
    q = VM_FMA(q, u, -0x1.7bd58f33c765ap-14);
    q = VM_FMA(q, u, -0x1.55b696b237f74p-14);
    q = VM_FMA(q, u, 0x1.2fbff18572a09p-10);
    q = VM_FMA(q, u, -0x1.16af72ef80379p-8);
    q = VM_FMA(q, u, 0x1.4ef0001600564p-7);
    q = VM_FMA(q, u, -0x1.2aae054967da0p-6);
    q = VM_FMA(q, u, 0x1.8e36e348ea943p-6);
    q = VM_FMA(q, u, -0x1.5ed74b0a0a54fp-6);
    q = VM_FMA(q, u, 0x1.2253e8f10c351p-9);
    q = VM_FMA(q, u, 0x1.2870a53b3f2edp-5);
    q = VM_FMA(q, u, -0x1.69d624ce86423p-4);
    q = VM_FMA(q, u, 0x1.d43372dd1ca78p-2) / (1.0 + a);
    word.value = a;
    word.bits &= ~(int64_t) 0x7ffffff;
    head = word.value;
    tail = a - head;
    square = a * a;
    e = vm_exp_sum(-0.5 * square, -0.5 * ((head * head - square) + 2.0 * head * tail + tail * tail));
    phi = x < 0.0 ? q * e : 1.0 - q * e;
    *slope = phi + held * 0x1.9884533d43651p-2 * e;
    return x < 0.0 ? held * q * e : x * phi;
}

#endif
