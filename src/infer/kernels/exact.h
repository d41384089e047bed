/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/exact.h - the written-down arithmetic that every instruction set repeats.
 *
 * exp is a polynomial of fused multiply-adds, so that vectors and scalars agree bit for
 * bit; it is within 2 units in the last place of the true value.
 */
#ifndef TKX_INFER_KERNELS_EXACT_H
#define TKX_INFER_KERNELS_EXACT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TKX__EXP_LOW (-87.0f) /* below: 0 */
#define TKX__EXP_HIGH 88.0f   /* above: the value there */
#define TKX__EXP_LOG2E 1.44269504088896341f
#define TKX__EXP_LN2_HIGH 0.693145751953125f
#define TKX__EXP_LN2_LOW 1.42860682030941723212e-6f
/* (exp(r) - 1 - r) / r^2 on |r| <= ln(2) / 2 */
#define TKX__EXP_C2 5.0000001201e-1f
#define TKX__EXP_C3 1.6666665459e-1f
#define TKX__EXP_C4 4.1665795894e-2f
#define TKX__EXP_C5 8.3334519073e-3f
#define TKX__EXP_C6 1.3981999507e-3f
#define TKX__EXP_C7 1.9875691500e-4f

static inline float tkx__exact_exp(float x)
{
    float n;
    float r;
    float p;
    float two_n;
    uint32_t bits;

    if (!(x >= TKX__EXP_LOW))
        return 0; /* also NaN and -inf */
    if (x > TKX__EXP_HIGH)
        x = TKX__EXP_HIGH;
    n = nearbyintf(x * TKX__EXP_LOG2E);
    r = fmaf(n, -TKX__EXP_LN2_HIGH, x);
    r = fmaf(n, -TKX__EXP_LN2_LOW, r);
    p = fmaf(TKX__EXP_C7, r, TKX__EXP_C6);
    p = fmaf(p, r, TKX__EXP_C5);
    p = fmaf(p, r, TKX__EXP_C4);
    p = fmaf(p, r, TKX__EXP_C3);
    p = fmaf(p, r, TKX__EXP_C2);
    p = fmaf(p, r * r, r);
    bits = (uint32_t)((int32_t)n + 127) << 23;
    memcpy(&two_n, &bits, sizeof two_n);
    return fmaf(p, two_n, two_n);
}

/* The sum of 8 lanes, in the one order. */
static inline float tkx__exact_sum8(const float v[8])
{
    float a = v[0] + v[4];
    float b = v[1] + v[5];
    float c = v[2] + v[6];
    float d = v[3] + v[7];

    return (a + c) + (b + d);
}

static inline double tkx__exact_sum8d(const double v[8])
{
    double a = v[0] + v[4];
    double b = v[1] + v[5];
    double c = v[2] + v[6];
    double d = v[3] + v[7];

    return (a + c) + (b + d);
}

#endif
