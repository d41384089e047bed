/* SPDX-License-Identifier: Apache-2.0 */
/* quantise.c - see quantise.h. */
#include "model/quantise.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/blocks.h"

enum { BLOCK = 32 };

static void put_scale(unsigned char *out, float scale)
{
    uint16_t half = tkx__f32_to_f16(scale);

    memcpy(out, &half, sizeof half);
}

/* d = largest magnitude / 127; the rounding is away from zero at a half. */
static void block_q8_0(const float *in, unsigned char *out)
{
    float largest = 0;
    float scale;
    float inverse;

    for (int i = 0; i < BLOCK; i++)
        largest = fmaxf(largest, fabsf(in[i]));
    scale = largest / 127;
    inverse = scale != 0 ? 1 / scale : 0;
    put_scale(out, scale);
    for (int i = 0; i < BLOCK; i++)
        out[2 + i] = (unsigned char)(int8_t)roundf(in[i] * inverse);
}

static unsigned char nibble(float x)
{
    int8_t q = (int8_t)(x + 8.5f);

    return (unsigned char)(q < 15 ? q : 15);
}

/* The value of the largest magnitude, sign and all, becomes -8; the first one of
   equals. */
static void block_q4_0(const float *in, unsigned char *out)
{
    float largest = 0;
    float value = 0;
    float scale;
    float inverse;

    for (int i = 0; i < BLOCK; i++) {
        if (largest < fabsf(in[i])) {
            largest = fabsf(in[i]);
            value = in[i];
        }
    }
    scale = value / -8;
    inverse = scale != 0 ? 1 / scale : 0;
    put_scale(out, scale);
    for (int i = 0; i < BLOCK / 2; i++)
        out[2 + i] = (unsigned char)(nibble(in[i] * inverse) |
                                     nibble(in[BLOCK / 2 + i] * inverse) << 4);
}

void tkx__quantise_row(tkx__dtype dtype, const float *in, size_t n, void *out)
{
    unsigned char *to = out;
    size_t block_bytes = tkx__dtype_get(dtype)->block_bytes;

    for (size_t i = 0; i < n; i += BLOCK, to += block_bytes) {
        if (dtype == TKX__DTYPE_Q8_0)
            block_q8_0(in + i, to);
        else
            block_q4_0(in + i, to);
    }
}
