/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/blocks.h - decoding stored weights to float32, one row at a time.
 *
 * The reference decoding: plain C, any alignment, bit for bit what the formats define.
 * Kernels have faster ones and are checked against these.
 */
#ifndef TKX_MODEL_BLOCKS_H
#define TKX_MODEL_BLOCKS_H

#include "model/dtype.h"

float tkx__f16_to_f32(uint16_t h);
uint16_t tkx__f32_to_f16(float f); /* rounds to nearest even; NaN stays NaN */
uint16_t tkx__f32_to_bf16(float f);

static inline float tkx__bf16_to_f32(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};

    return v.f;
}

/*
 * n elements (a whole number of blocks) of a weight type from src to out.
 * dtype is below TKX__N_WEIGHT_DTYPES.
 */
void tkx__blocks_decode(tkx__dtype dtype, const void *src, size_t n, float *out);

#endif
