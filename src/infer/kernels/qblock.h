/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/qblock.h - a block of quantised weights as plain integers.
 *
 * w[i] = d * scale[i / 16] * (u[i] - offset) - dmin * min[i / 16] for K-quants (256), and
 * w[i] = d * (u[i] - offset) + dmin for blocks of 32.  Slow and plain: the reference, and
 * what the fast sets use for types that they have no own reader for.
 */
#ifndef TKX_INFER_KERNELS_QBLOCK_H
#define TKX_INFER_KERNELS_QBLOCK_H

#include "infer/kernels/kernels.h"

typedef struct tkx__qblock {
    float d;
    float dmin;
    int16_t scale[16];
    int16_t min[16];
    int16_t u[256]; /* 0 .. 2^bits-1; Q8_0: -128 .. 127 */
} tkx__qblock;

/* What is taken off u: 8 for Q4_0, 16 for Q5_0, 4 for Q3_K, 32 for Q6_K, else 0. */
int tkx__qblock_offset(tkx__wtype type);
bool tkx__qblock_has_min(tkx__wtype type);
void tkx__qblock_read(tkx__wtype type, const uint8_t *src, tkx__qblock *out);

/* The 6-bit scales and mins of Q4_K and Q5_K (12 bytes), 8 of each. */
void tkx__qblock_scales_k4(const uint8_t *src, uint8_t scale[8], uint8_t min[8]);
/* The 16 scales of Q3_K (12 bytes), -32 .. 31. */
void tkx__qblock_scales_q3(const uint8_t *src, int8_t scale[16]);

#endif
