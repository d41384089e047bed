/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/kernels.h - the arithmetic of the engine: products, attention, norms.
 *
 * Every result is defined bit for bit: a product sums in one written-down order (see
 * docs/design/kernels.md), so it does not depend on threads, on the number of tokens in a
 * call, on how a prompt was cut, nor on the instruction set; the scalar file is the
 * reference and every other one equals it.
 *
 * Weights stay as the file has them.  tkx__matmul() brings the activations into the form
 * that a weight type wants (float32, or 8-bit blocks in fast mode) and shares the rows
 * out.
 *
 * Thread: functions that take a tkx__work are for the thread that owns it; the others are
 * pure.  None allocates but the _new ones.
 */
#ifndef TKX_INFER_KERNELS_H
#define TKX_INFER_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/threads.h"

/* Weight types; the numbers are GGUF's. */
typedef enum tkx__wtype {
    TKX__W_F32 = 0,
    TKX__W_F16 = 1,
    TKX__W_Q4_0 = 2,
    TKX__W_Q4_1 = 3,
    TKX__W_Q5_0 = 6,
    TKX__W_Q5_1 = 7,
    TKX__W_Q8_0 = 8,
    TKX__W_Q2_K = 10,
    TKX__W_Q3_K = 11,
    TKX__W_Q4_K = 12,
    TKX__W_Q5_K = 13,
    TKX__W_Q6_K = 14,
    TKX__W_BF16 = 30,
    TKX__W_END = 31
} tkx__wtype;

typedef enum tkx__compute {
    TKX__COMPUTE_FAST = 0, /* 8-bit activations on quantised weights; f16 KV */
    TKX__COMPUTE_F32 = 1   /* float32 activations and KV; weights decoded as stored */
} tkx__compute;

/* One instruction set's functions; opaque here (kernels/table.h). */
typedef struct tkx__kernels tkx__kernels;

/*
 * The best set that this CPU runs, or the named one ("scalar", "avx2", "avx512",
 * "avx512vnni", "neon"); sets not verified on real hardware only by name.
 * NULL name: TKX_KERNELS from the environment, else the best.
 * Errors: UNSUPPORTED when the build or the CPU lacks it.
 */
tkx_status tkx__kernels_select(const char *name, const tkx__kernels **out,
                               tkx_error **err);
const char *tkx__kernels_name(const tkx__kernels *kernels);

/* True when this build computes with weights of that type. */
bool tkx__wtype_is_known(unsigned type);
const char *tkx__wtype_name(tkx__wtype type);
size_t tkx__wtype_block_cols(tkx__wtype type); /* 1, 32 or 256 */
size_t tkx__wtype_block_size(tkx__wtype type); /* bytes of one block */
/* Bytes of a row, 0 when n_cols is no whole number of blocks. */
size_t tkx__wtype_row_size(tkx__wtype type, size_t n_cols);

/* A weight matrix, borrowed; any alignment. */
typedef struct tkx__matrix {
    const void *data; /* [n_rows][row_size bytes] */
    tkx__wtype type;
    size_t n_rows; /* outputs */
    size_t n_cols; /* inputs */
    size_t row_size;
    bool is_packed; /* data was written by tkx__matrix_pack() */
} tkx__matrix;

/* True when the set multiplies this matrix faster from its own order, of equal size. */
bool tkx__matrix_can_pack(const tkx__kernels *k, const tkx__matrix *w);
/*
 * Rows first .. first+n-1 (multiples of 8) into out, which is to hold the whole matrix:
 * the same number of bytes.  Products with the packed matrix have the same bits.
 */
void tkx__matrix_pack(const tkx__kernels *k, const tkx__matrix *w, size_t first, size_t n,
                      void *out);

/* Row `row` as float32 [n_cols] (embedding lookup). */
void tkx__matrix_row(const tkx__kernels *k, const tkx__matrix *w, size_t row, float *out);

/* A LoRA pair used by some tokens of a product: y[t] += scale * B (A x[t]). */
typedef struct tkx__lora_use {
    const tkx__matrix *a;    /* [rank, n_in]; F32, F16 or BF16 */
    const tkx__matrix *b;    /* [n_out, rank] */
    float scale;             /* alpha / r */
    const uint32_t *indices; /* [n] positions among the product's tokens, ascending;
                                NULL: all */
    size_t n;
} tkx__lora_use;

/* One product of a group with the same input x. */
typedef struct tkx__product {
    const tkx__matrix *w;
    const float *bias; /* [n_rows] or NULL */
    float *y;          /* row t at y + t * y_stride */
    size_t y_stride;
    bool add; /* y += instead of y = */
    /* Which rows of x and y take part; NULL: 0 .. n_tok-1.  Lengths n_tok. */
    const uint32_t *x_rows;
    const uint32_t *y_rows;
    size_t n_tok;
    const tkx__lora_use *loras;
    size_t n_loras;
} tkx__product;

/* Scratch memory and the pool that tkx__matmul() and tkx__attention() work with. */
typedef struct tkx__work tkx__work;

typedef struct tkx__work_limits {
    size_t max_tokens; /* rows of x in a call, also MoE slots */
    size_t max_cols;   /* widest input */
    size_t max_rank;   /* of any LoRA; 0: none */
    size_t max_loras;  /* uses in one call, all products together */
} tkx__work_limits;

tkx_status tkx__work_new(const tkx__kernels *k, tkx__threads *pool, tkx__compute compute,
                         const tkx__work_limits *limits, tkx__work **out,
                         tkx_error **err);
void tkx__work_free(tkx__work *work);

/* Makes row `row` of a product's input, just before it is used. */
typedef void tkx__fill_fn(void *ctx, size_t row);

/* How one matrix of a group is cut into pieces; inside of matmul.c. */
typedef struct tkx__matmul_unit {
    const tkx__matrix *w;
    const uint8_t *act; /* the form of the input that w wants */
    size_t act_stride;
    const uint32_t *x_rows;
    size_t n_tok;
    const tkx__product *product; /* NULL: the A of an adapter */
    size_t use; /* number in the group of the A's adapter, or of the product's first */
    bool is_q;  /* 8-bit activations */
    size_t rows_per_piece;
    size_t toks_per_piece;
    size_t n_chunks; /* of tokens */
    size_t n_pieces;
} tkx__matmul_unit;

/* Of larger groups, the cuts are found anew for each piece. */
#define TKX__MATMUL_UNITS 4

/*
 * All products of a group: y[t, r] (+)= sum_c w[r, c] * x[t, c] + bias[r].
 * x is [n_x, n_cols] float32 with row stride x_stride; every w has the same n_cols.
 * y must not overlap x.
 */
typedef struct tkx__matmul_job {
    tkx__work *work;
    const float *x;
    size_t x_stride;
    size_t n_x;
    const tkx__product *products;
    size_t n_products;
    tkx__fill_fn *fill; /* NULL: x is there */
    void *fill_ctx;
    /* set by tkx__matmul_phases() */
    size_t piece_bytes;
    unsigned forms; /* a bit for each form of the input that some product wants */
    tkx__matmul_unit units[2][TKX__MATMUL_UNITS]; /* products; A of adapters */
    size_t n_units[2];
    tkx__ahead ahead; /* the A */
} tkx__matmul_job;

/* The job as at most TKX__MATMUL_PHASES phases of a run; returns how many.  job and what
   it points at stay until the run is over. */
#define TKX__MATMUL_PHASES 3
size_t tkx__matmul_phases(tkx__matmul_job *job, tkx__phase *out);

/* The same as a run of its own. */
void tkx__matmul(tkx__work *work, const float *x, size_t x_stride, size_t n_x,
                 const tkx__product *products, size_t n_products);

/* ---- KV cache and attention ---- */

/* Positions in one cache block; attention sums blocks of absolute positions. */
#define TKX__KV_BLOCK 32

/* The shape of one layer's cache. */
typedef struct tkx__kv_shape {
    bool is_f16; /* else float32 */
    size_t n_kv_heads;
    size_t head_dim;
} tkx__kv_shape;

/*
 * head_dim is at most 512.  Bytes of one block of one layer: K then V of TKX__KV_BLOCK
 * positions.  A multiple of
 * 64.  Inside (private to the kernels): K [n_kv_heads][head_dim][32],
 * V [n_kv_heads][32][head_dim padded to 8].  Zero a block before its first use.
 */
size_t tkx__kv_block_size(const tkx__kv_shape *shape);

/* Put k and v (each [n_kv_heads * head_dim], k already rotated) into slot 0..31. */
void tkx__kv_store(const tkx__kernels *k, const tkx__kv_shape *shape, void *block,
                   size_t slot, const float *key, const float *value);

/* Where one query token looks: positions 0 .. pos inclusive of one sequence, or the last
   of them with a window. */
typedef struct tkx__attn_token {
    const uint32_t *block_ids; /* [pos / 32 + 1] */
    size_t pos;
} tkx__attn_token;

typedef struct tkx__attn_args {
    tkx__kv_shape shape;
    const void *kv_base; /* block id b of this layer at kv_base + b * block_stride */
    size_t block_stride; /* bytes */
    size_t n_heads;      /* a multiple of n_kv_heads; head h reads kv head h / group */
    size_t window;       /* a token sees that many positions, its own included; 0: all */
    float scale;         /* usually 1 / sqrt(head_dim) */
    const float *q;      /* [n_tok][n_heads * head_dim], rotated; row stride q_stride */
    size_t q_stride;
    float *out; /* [n_tok][n_heads * head_dim]; row stride out_stride */
    size_t out_stride;
    const tkx__attn_token *tokens; /* [n_tok]; neighbours that share blocks are cheaper */
    size_t n_tok;
} tkx__attn_args;

/* softmax(scale q k^T) v for every token and head; n_tok <= max_tokens of work. */
typedef struct tkx__attn_job {
    tkx__work *work;
    tkx__attn_args args;
    /* set by tkx__attention_phase() */
    size_t padded;        /* head_dim rounded up to 8 */
    size_t n_parts;       /* pieces per (token tile, kv head) */
    size_t heads_of_part; /* query heads of a piece */
    size_t toks_of_tile;
} tkx__attn_job;

/* The job as a phase of a run; it stays, and what args points at, until that is over. */
tkx__phase tkx__attention_phase(tkx__attn_job *job);
void tkx__attention(tkx__work *work, const tkx__attn_args *args);

/* ---- element-wise; rows of n floats ---- */

/* y = x / sqrt(mean(x^2) + eps) * w; y may be x. */
void tkx__rmsnorm(const tkx__kernels *k, float *y, const float *x, const float *w,
                  size_t n, float eps);

/* cos and sin [n_freqs] of pos * inv_freq, computed in double. */
void tkx__rope_row(const float *inv_freq, size_t n_freqs, size_t pos, float *cos_out,
                   float *sin_out);

/*
 * Rotate n_heads vectors of head_dim in place; the first 2 * n_freqs elements of each
 * turn: pairs (i, i + n_freqs), or (2i, 2i + 1) when interleaved.
 */
void tkx__rope_apply(const tkx__kernels *k, float *x, size_t n_heads, size_t head_dim,
                     size_t n_freqs, const float *cos_row, const float *sin_row,
                     bool interleaved);

/* out = silu(gate) * up; out may be gate. */
void tkx__swiglu(const tkx__kernels *k, float *out, const float *gate, const float *up,
                 size_t n);

/* To half precision, the nearest (even on ties). */
void tkx__to_half(const tkx__kernels *k, const float *x, size_t n, uint16_t *out);

/* y += scale * x */
void tkx__axpy(const tkx__kernels *k, float *y, float scale, const float *x, size_t n);

/* Softmax in place (router); returns nothing, n >= 1. */
void tkx__softmax(const tkx__kernels *k, float *x, size_t n);

/* log(sum(exp(x))) of a logits row, summed in double. */
double tkx__logsumexp(const tkx__kernels *k, const float *x, size_t n);

/* Index of the largest entry; the lowest on ties.  NaN never wins. */
size_t tkx__argmax(const tkx__kernels *k, const float *x, size_t n);

#endif
