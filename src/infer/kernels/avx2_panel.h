/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2_panel.h - 16 rows of quantised weights, unpacked for multiplying.
 *
 * 4 columns of 8 rows stand in one register, so that one broadcast of 4 activations meets
 * 8 rows and the sums of a row stay in its lane.
 */
#ifndef TKX_INFER_KERNELS_AVX2_PANEL_H
#define TKX_INFER_KERNELS_AVX2_PANEL_H

#include "infer/kernels/avx2.h"

#define TKX__PANEL_ROWS 16

/* 32 columns of 16 rows. */
typedef struct panel32 {
    _Alignas(64) uint8_t q[8][2][32]; /* [columns / 4][rows / 8][row][4] */
    float d[2][8];
    float m[2][8];
} panel32;

/*
 * 32 columns of 16 rows of Q8_0: |w|, and all bits set where w is negative.  There x ^ sign
 * is -x - 1, so carry, the sum of those |w|, is missing in the sum of products.
 */
typedef struct panel8 {
    _Alignas(64) uint8_t size[8][2][32];
    uint8_t sign[8][2][32];
    int32_t carry[2][8];
    float d[2][8];
} panel8;

/* 256 columns of 16 rows.  pair: (scale or min of 2j, of 2j + 1) */
typedef struct panel256 {
    _Alignas(64) uint8_t q[64][2][32];
    int16_t scale[16][2][16]; /* [sub-block][rows / 8][row][2 equal]; 8 or 16 used */
    int16_t pair[8][2][16];   /* 4 or 8 used */
    float d[2][8];
    float m[2][8];
} panel256;

/* Tokens that a multiplication meets at once: 4 with 16 registers, 8 with 32. */
#define TKX__PANEL_TOKENS 8

/* Up to TKX__PANEL_TOKENS tokens: their activations, their sums. */
typedef struct tkx__panel_group {
    const int8_t *q[TKX__PANEL_TOKENS];
    const float *d[TKX__PANEL_TOKENS];
    const uint8_t *sum[TKX__PANEL_TOKENS];   /* int32 per 32, or int16 per 16 */
    const uint8_t *sum32[TKX__PANEL_TOKENS]; /* int16 per 32 */
    const uint8_t *start[TKX__PANEL_TOKENS]; /* int16[2] per 32 or per 16 */
    float *out[TKX__PANEL_TOKENS];           /* [16] */
    bool is_first; /* to meet the weights: it fetches the next ones */
} tkx__panel_group;

/*
 * Blocks first .. first + n_blocks - 1, which the panel holds, times n_tok tokens
 * (1 .. at_once), added to their out; to nothing when first is 0.
 */
typedef void tkx__micro_fn(const void *panel, size_t first, size_t n_blocks,
                           const tkx__panel_group *g, size_t n_tok);

/* A whole tile, at_once tokens at a time. */
void tkx__panel_tile(const tkx__tile *t, tkx__micro_fn *micro, size_t at_once);

#endif
