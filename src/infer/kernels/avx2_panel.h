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
    uint8_t q[8][2][32]; /* [columns / 4][rows / 8][row][4] */
    float d[2][8];
    float m[2][8];
} panel32;

/* 32 columns of 16 rows of Q8_0, two columns of 8 rows to a register. */
typedef struct panel8 {
    int16_t q[16][2][16];
    float d[2][8];
} panel8;

/* 256 columns of 16 rows.  pair: (scale or min of 2j, of 2j + 1) */
typedef struct panel256 {
    uint8_t q[64][2][32];
    int16_t scale[16][2][16]; /* [sub-block][rows / 8][row][2 equal]; 8 or 16 used */
    int16_t pair[8][2][16];   /* 4 or 8 used */
    float d[2][8];
    float m[2][8];
} panel256;

/* Columns of n_blocks blocks; out is aligned to 32. */
typedef void tkx__unpack_fn(const uint8_t *const rows[TKX__PANEL_ROWS], size_t n_blocks,
                            void *out);

/* By type; a panel32, panel8 (Q8_0) or panel256 for each block. */
tkx__unpack_fn *tkx__avx2_unpacker(tkx__wtype type);

#endif
