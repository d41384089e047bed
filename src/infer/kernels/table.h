/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/table.h - what an instruction set provides, private to the kernels.
 *
 * Order of sums, the same in every set (docs/design/kernels.md):
 *   quantised x 8-bit: integers inside a block, then one fused multiply-add per block,
 *                      blocks ascending;
 *   float32:           8 lanes, lane l takes columns l, l+8, ..; then (l)+(l+4), +2, +1.
 */
#ifndef TKX_INFER_KERNELS_TABLE_H
#define TKX_INFER_KERNELS_TABLE_H

#include "infer/kernels/kernels.h"

/* How the activations of a product are stored. */
typedef enum tkx__act_form {
    TKX__ACT_F32,
    TKX__ACT_Q8_32, /* int8 with one scale per 32 */
    TKX__ACT_Q8_256 /* int8 with one scale per 256, for K-quants */
} tkx__act_form;

/*
 * One row of 8-bit activations of n columns, 4-aligned:
 *   Q8_32:  int8 q[n], float d[n / 32], int32 sum[n / 32], int16 start[n / 32][2]
 *   Q8_256: int8 q[n], float d[n / 256], int16 sum16[n / 16], int16 sum32[n / 32],
 *           int16 start[n / 16][2]
 * Sums are of the q of 16 or 32 columns.
 *
 * start: -16 (Q8_32) or -32 (Q8_256) times the sums of columns 4 i, 4 i + 1 and of
 * columns 4 i + 2, 4 i + 3 of a block of 32 or a sub-block of 16.  Sums of 16 bits that
 * begin with it are those of weights -16 .. 15 or -32 .. 31: however they wrap on the
 * way, they end within 16 * 16 * 127 = 8 * 32 * 127 = 32,512.
 */
static inline size_t tkx__act_d_offset(size_t n)
{
    return n;
}
static inline size_t tkx__act_sum_offset(tkx__act_form form, size_t n)
{
    return n + (form == TKX__ACT_Q8_32 ? n / 32 : n / 256) * 4;
}
static inline size_t tkx__act_sum32_offset(size_t n)
{
    return n + n / 256 * 4 + n / 16 * 2;
}
static inline size_t tkx__act_start_offset(tkx__act_form form, size_t n)
{
    return form == TKX__ACT_Q8_32 ? tkx__act_sum_offset(form, n) + n / 32 * 4
                                  : tkx__act_sum32_offset(n) + n / 32 * 2;
}
/* Bytes from row to row: a whole number of cache lines. */
size_t tkx__act_row_size(tkx__act_form form, size_t n_cols);
tkx__act_form tkx__act_form_of(tkx__wtype type, tkx__compute compute);

/* Most tokens of one tile, and bytes of scratch that a tile may use. */
#define TKX__TILE_TOKENS 128
#define TKX__TILE_SCRATCH ((size_t)512 * 1024)

/* Some rows of a matrix against some tokens: out[t][r] = w[r] . x[x_rows[t]]. */
typedef struct tkx__tile {
    tkx__wtype type;
    const uint8_t *w; /* first row */
    bool is_packed;   /* w is strips (strips.h); first row a multiple of 8, n_rows too */
    size_t row_size;
    size_t n_rows;
    size_t n_cols;
    const uint8_t *act; /* activation row i at act + i * act_stride */
    size_t act_stride;
    const uint32_t *x_rows; /* NULL: 0 .. n_tok-1, shifted by first_tok */
    size_t first_tok;       /* added to t before the lookup */
    size_t n_tok;           /* <= TKX__TILE_TOKENS */
    float *out;             /* [n_tok][out_stride] */
    size_t out_stride;
    /* 0: out = the sums; else out = base + add_scale * sums, which only packed plain
       matrices can */
    float add_scale;
    const float *base; /* [n_tok][base_stride]; may be out */
    size_t base_stride;
    void *scratch; /* TKX__TILE_SCRATCH bytes, 64-aligned, the thread's own */
} tkx__tile;

static inline const uint8_t *tkx__tile_act(const tkx__tile *t, size_t tok)
{
    size_t i = t->first_tok + tok;

    return t->act + (t->x_rows ? t->x_rows[i] : i) * t->act_stride;
}

/* The running softmax of one query head: weights are relative to exp(max). */
typedef struct tkx__attn_state {
    const float *q; /* [head_dim], scaled */
    float max;
    float lanes[8]; /* partial sums of weights */
    float *acc;     /* [head_dim padded to 8] */
    size_t n_valid; /* positions of this block that it may see, 1..32 */
} tkx__attn_state;

struct tkx__kernels {
    const char *name;
    bool is_verified; /* ran on real hardware */
    bool (*is_supported)(void);
    void (*quantize)(tkx__act_form form, const float *x, size_t n, uint8_t *row);
    /* 8 rows to a strip (strips.h); NULL: this set reads the file's order only. */
    void (*pack)(tkx__wtype type, const uint8_t *const rows[8], size_t n_blocks,
                 uint8_t *out);
    void (*tile_q)(const tkx__tile *t); /* form Q8_32 or Q8_256, as the type wants */
    void (*tile_f)(const tkx__tile *t); /* float32 activations, any type */
    void (*decode)(tkx__wtype type, const void *src, size_t n, float *out);
    void (*f16_unpack)(const uint16_t *src, size_t n, float *out);
    void (*f16_pack)(const float *src, size_t n, uint16_t *out); /* nearest even */
    void (*attn_block)(tkx__attn_state *states, size_t n, const float *kf,
                       const float *vf, size_t head_dim);
    void (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);
    void (*swiglu)(float *out, const float *gate, const float *up, size_t n);
    void (*axpy)(float *y, float scale, const float *x, size_t n);
    float (*max)(const float *x, size_t n);
    double (*sum_exp)(const float *x, size_t n, float max, float scale, float *out);
};

extern const tkx__kernels tkx__kernels_scalar;
#if defined(__x86_64__)
extern const tkx__kernels tkx__kernels_avx2;
extern const tkx__kernels tkx__kernels_avx512;
extern const tkx__kernels tkx__kernels_avx512vnni;
#endif
#if defined(__aarch64__)
extern const tkx__kernels tkx__kernels_neon;
#endif

#endif
