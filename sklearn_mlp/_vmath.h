/* exp, tanh and the logistic function in float and double, written so that a loop over them is
   vectorised by any compiler: no branches, no tables, no calls, no intrinsics. Results are within
   2 units in the last place over the whole range; NaN passes through and infinities give the limits.

   All three rest on exp(x) = 2^n exp(r) with n = round(x / log 2) and |r| <= log(2) / 2, and on
   exp(r) - 1 = r + r^2 Q(r). Q interpolates (exp(r) - 1 - r) / r^2 in the Chebyshev nodes of a
   slightly wider interval; its error in exp(r) - 1 is below a thirtieth of a unit in the last place.
   tanh takes exp(2|x|) - 1, which keeps its relative accuracy at zero, and never subtracts. */
#ifndef SKLEARN_MLP_VMATH_H
#define SKLEARN_MLP_VMATH_H

#include <math.h>
#include <stdint.h>

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

/* exp(x - n log 2) - 1, for n the integer nearest to x / log 2. log 2 is a short leading part, whose
   product with n is exact, and a rest; what rounds off r when the rest is taken away is added back. */
static inline float vm_expm1_reduced_f(float x, float n)
{
    float leading = x - n * 0x1.62ep-1f, rest = n * 0x1.0bfbe8e7p-15f;
    float r = leading - rest, lost = (leading - r) - rest;
    float q = 0x1.a12a42p-13f;
    q = q * r + 0x1.6d4920p-10f;
    q = q * r + 0x1.1110e0p-7f;
    q = q * r + 0x1.5554e4p-5f;
    q = q * r + 0x1.555556p-3f;
    q = q * r + 0x1p-1f;
    return r + (r * r * q + lost);
}

static inline double vm_expm1_reduced(double x, double n)
{
    double leading = x - n * 0x1.62e42feep-1, rest = n * 0x1.a39ef35793c76p-33;
    double r = leading - rest, lost = (leading - r) - rest;
    double q = 0x1.1f75aba0b1e2ep-29;
    q = q * r + 0x1.af52906239de4p-26;
    q = q * r + 0x1.27e4da1a3bf04p-22;
    q = q * r + 0x1.71ddffef9e7b1p-19;
    q = q * r + 0x1.a01a01a741b3cp-16;
    q = q * r + 0x1.a01a01aca0134p-13;
    q = q * r + 0x1.6c16c16c16212p-10;
    q = q * r + 0x1.111111110ff87p-7;
    q = q * r + 0x1.5555555555556p-5;
    q = q * r + 0x1.5555555555557p-3;
    q = q * r + 0x1p-1;
    return r + (r * r * q + lost);
}

static inline float vm_expf(float x)
{
    float rounded, n, p;
    int32_t whole, half;
    x = x > 89.0f ? 89.0f : x; /* inf from here on */
    x = x < -104.0f ? -104.0f : x; /* 0 from here on */
    rounded = x * 0x1.715476p+0f + VM_ROUND_F;
    n = rounded - VM_ROUND_F;
    p = vm_expm1_reduced_f(x, n);
    /* In two factors, for 2^n itself may overflow or be subnormal. */
    whole = vm_low_bits_f(rounded);
    half = whole >> 1;
    return (1.0f + p) * vm_pow2_f(half) * vm_pow2_f(whole - half);
}

static inline double vm_exp(double x)
{
    double rounded, n, p, halved;
    int64_t whole, half;
    x = x > 710.0 ? 710.0 : x;
    x = x < -746.0 ? -746.0 : x;
    rounded = x * 0x1.71547652b82fep+0 + VM_ROUND;
    n = rounded - VM_ROUND;
    p = vm_expm1_reduced(x, n);
    whole = vm_low_bits(rounded);
    halved = 0.5 * n + VM_ROUND; /* vector units shift 64-bit integers only without their sign */
    half = vm_low_bits(halved);
    return (1.0 + p) * vm_pow2(half) * vm_pow2(whole - half);
}

/* A quotient t / d is mended for what rounded off d when d was summed: -(t / d) * lost / d. */
static inline float vm_tanhf(float x)
{
    float a = fabsf(x), y, rounded, n, scale, t, d, part, lost;
    a = a > 10.0f ? 10.0f : a; /* 1 from here on */
    y = a + a;
    rounded = y * 0x1.715476p+0f + VM_ROUND_F;
    n = rounded - VM_ROUND_F;
    scale = vm_pow2_f(vm_low_bits_f(rounded));
    t = scale * vm_expm1_reduced_f(y, n) + (scale - 1.0f);
    d = t + 2.0f;
    part = d - t;
    lost = (t - (d - part)) + (2.0f - part); /* whichever of the two is larger */
    t /= d;
    t -= t * lost * (0.5f - 0.5f * t); /* 1 / d is (1 - t) / 2 */
    return copysignf(t, x);
}

static inline double vm_tanh(double x)
{
    double a = fabs(x), y, rounded, n, scale, t, d, part, lost;
    a = a > 22.0 ? 22.0 : a;
    y = a + a;
    rounded = y * 0x1.71547652b82fep+0 + VM_ROUND;
    n = rounded - VM_ROUND;
    scale = vm_pow2(vm_low_bits(rounded));
    t = scale * vm_expm1_reduced(y, n) + (scale - 1.0);
    d = t + 2.0;
    part = d - t;
    lost = (t - (d - part)) + (2.0 - part);
    t /= d;
    t -= t * lost * (0.5 - 0.5 * t);
    return copysign(t, x);
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

#endif
