/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/vec.h - small inner loops, written so that the compiler vectorises them.
 *
 * NN_FAST gives a function a second body for AVX2 machines, chosen when the program
 * loads. Sums run in NN_LANES separate lanes that are joined in one order, so that a
 * result depends on the length alone.
 */
#ifndef MOCK_NN_VEC_H
#define MOCK_NN_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) &&        \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define NN_FAST __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define NN_FAST
#endif

enum { NN_LANES = 16 };

/* e^x within 2 ulp for x in [-87, 88]; beyond, the value at the end of the range. */
static inline float nn_expf(float x)
{
    const float round_shift = 12582912.0f; /* 1.5 * 2^23 */
    float n, r, p;
    uint32_t bits;

    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    n = (x * 1.44269504088896341f + round_shift) - round_shift;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    bits = (uint32_t)((int32_t)n + 127) << 23;
    memcpy(&r, &bits, sizeof r);
    return p * r;
}

static inline float nn_join_lanes(const float lanes[NN_LANES])
{
    float part[4];

    for (size_t i = 0; i < 4; i++)
        part[i] = (lanes[i] + lanes[i + 4]) + (lanes[i + 8] + lanes[i + 12]);
    return (part[0] + part[2]) + (part[1] + part[3]);
}

static inline float nn_dot(const float *a, const float *b, size_t n)
{
    float lanes[NN_LANES] = {0};
    size_t i = 0;
    float sum;

    for (; i + NN_LANES <= n; i += NN_LANES)
        for (size_t j = 0; j < NN_LANES; j++)
            lanes[j] += a[i + j] * b[i + j];
    sum = nn_join_lanes(lanes);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += c * x */
static inline void nn_axpy(float c, const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += c * x[i];
}

#endif
