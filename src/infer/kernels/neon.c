// SPDX-License-Identifier: Apache-2.0
/*
 * neon.c - 64-bit ARM, baseline NEON.
 *
 * Quantised rows are brought to signed bytes once per tile and met by all its tokens; the
 * integers of a sub-block are exact, the rest is the reference's order.  float32 has its
 * 8 lanes in two registers.  Checked under emulation, not timed on hardware.
 */
#include <string.h>

#include <arm_neon.h>

#include "infer/kernels/exact.h"
#include "infer/kernels/qblock.h"
#include "infer/kernels/scalar.h"
#include "infer/kernels/table.h"

static bool is_supported(void)
{
    return true; /* part of the architecture */
}

/* ---- quantised ---- */

/* A row of at most ROW_COLS columns as signed bytes and its scales. */
#define ROW_COLS 8192

typedef struct row_part {
    int8_t q[ROW_COLS];
    float d[ROW_COLS / 32];
    float m[ROW_COLS / 32];
    int16_t scale[ROW_COLS / 16];
    int16_t min[ROW_COLS / 16];
} row_part;

_Static_assert(sizeof(row_part) <= TKX__TILE_SCRATCH, "scratch holds a row");

static void fill_row(tkx__wtype type, const uint8_t *w, size_t n_blocks, row_part *out)
{
    size_t block = tkx__wtype_block_cols(type);
    size_t size = tkx__wtype_block_size(type);
    int offset = tkx__qblock_offset(type);

    for (size_t b = 0; b < n_blocks; b++) {
        tkx__qblock q;

        tkx__qblock_read(type, w + b * size, &q);
        out->d[b] = q.d;
        out->m[b] = q.dmin;
        for (size_t i = 0; i < block; i++)
            out->q[b * block + i] = (int8_t)(q.u[i] - offset);
        if (block == 256) {
            memcpy(out->scale + b * 16, q.scale, sizeof q.scale);
            memcpy(out->min + b * 16, q.min, sizeof q.min);
        }
    }
}

/* The sum of 16 products. */
static inline int32_t dot16(const int8_t *a, const int8_t *b)
{
    int8x16_t x = vld1q_s8(a);
    int8x16_t y = vld1q_s8(b);
    int32x4_t sum = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)));

    sum = vpadalq_s16(sum, vmull_s8(vget_high_s8(x), vget_high_s8(y)));
    return vaddvq_s32(sum);
}

static float row_32(const row_part *w, size_t n_blocks, const int8_t *q, const float *d,
                    const int32_t *sum, bool has_min, float acc)
{
    for (size_t b = 0; b < n_blocks; b++) {
        int32_t dot =
            dot16(w->q + b * 32, q + b * 32) + dot16(w->q + b * 32 + 16, q + b * 32 + 16);

        acc = fmaf(w->d[b] * d[b], (float)dot, acc);
        if (has_min)
            acc = fmaf(w->m[b] * d[b], (float)sum[b], acc);
    }
    return acc;
}

static float row_256(const row_part *w, size_t n_blocks, const int8_t *q, const float *d,
                     const int16_t *sum16, bool has_min, float acc)
{
    for (size_t b = 0; b < n_blocks; b++) {
        int32_t dot = 0;
        int32_t mins = 0;

        for (size_t i = b * 16; i < b * 16 + 16; i++) {
            dot += w->scale[i] * dot16(w->q + i * 16, q + i * 16);
            mins += w->min[i] * sum16[i];
        }
        acc = fmaf(w->d[b] * d[b], (float)dot, acc);
        if (has_min)
            acc = fmaf(-(w->m[b] * d[b]), (float)mins, acc);
    }
    return acc;
}

/* Columns c .. of one row against all tokens of the tile. */
static void row_tokens(const tkx__tile *t, size_t r, size_t c, size_t n_cols,
                       const row_part *w)
{
    size_t block = tkx__wtype_block_cols(t->type);
    bool has_min = tkx__qblock_has_min(t->type);
    tkx__act_form form = block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;

    for (size_t tok = 0; tok < t->n_tok; tok++) {
        const uint8_t *act = tkx__tile_act(t, tok);
        const uint8_t *sums = act + tkx__act_sum_offset(form, t->n_cols) + c / 8;
        const int8_t *q = (const int8_t *)act + c;
        const float *d =
            (const float *)(const void *)(act + tkx__act_d_offset(t->n_cols)) + c / block;
        float *out = &t->out[tok * t->out_stride + r];
        float acc = c == 0 ? 0 : *out;

        if (block == 32)
            *out = row_32(w, n_cols / 32, q, d, (const int32_t *)(const void *)sums,
                          has_min, acc);
        else
            *out = row_256(w, n_cols / 256, q, d, (const int16_t *)(const void *)sums,
                           has_min, acc);
    }
}

static void tile_q(const tkx__tile *t)
{
    size_t block = tkx__wtype_block_cols(t->type);
    size_t size = tkx__wtype_block_size(t->type);
    row_part *w = t->scratch;

    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t c = 0; c < t->n_cols; c += ROW_COLS) {
            size_t n = t->n_cols - c < ROW_COLS ? t->n_cols - c : ROW_COLS;

            fill_row(t->type, t->w + r * t->row_size + c / block * size, n / block, w);
            row_tokens(t, r, c, n, w);
        }
    }
}

/* ---- float32 ---- */

static void decode(tkx__wtype type, const void *src, size_t n, float *out)
{
    const uint16_t *h = src;
    size_t i = 0;

    if (type == TKX__W_F32) {
        memcpy(out, src, n * sizeof *out);
        return;
    }
    if (type == TKX__W_BF16)
        for (; i + 4 <= n; i += 4)
            vst1q_u32((uint32_t *)(void *)(out + i), vshll_n_u16(vld1_u16(h + i), 16));
    else if (type == TKX__W_F16)
        for (; i + 4 <= n; i += 4)
            vst1q_f32(out + i, vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(h + i))));
    if (i < n)
        tkx__scalar_decode(type, (const uint8_t *)src + 2 * i, n - i, out + i);
}

#define CHUNK 512

/* Adds n columns to the 8 lanes. */
static void dot_lanes(const float *w, const float *x, size_t n, float lanes[8])
{
    float32x4_t lo = vld1q_f32(lanes);
    float32x4_t hi = vld1q_f32(lanes + 4);
    size_t c = 0;

    for (; c + 8 <= n; c += 8) {
        lo = vfmaq_f32(lo, vld1q_f32(w + c), vld1q_f32(x + c));
        hi = vfmaq_f32(hi, vld1q_f32(w + c + 4), vld1q_f32(x + c + 4));
    }
    vst1q_f32(lanes, lo);
    vst1q_f32(lanes + 4, hi);
    for (; c < n; c++)
        lanes[c % 8] = fmaf(w[c], x[c], lanes[c % 8]);
}

static void tile_f(const tkx__tile *t)
{
    size_t block = tkx__wtype_block_cols(t->type);
    size_t size = tkx__wtype_block_size(t->type);
    float *w = t->scratch;    /* [CHUNK] */
    float *lanes = w + CHUNK; /* [n_tok][8] */

    for (size_t r = 0; r < t->n_rows; r++) {
        memset(lanes, 0, t->n_tok * 8 * sizeof *lanes);
        for (size_t c = 0; c < t->n_cols; c += CHUNK) {
            size_t n = t->n_cols - c < CHUNK ? t->n_cols - c : CHUNK;

            decode(t->type, t->w + r * t->row_size + c / block * size, n, w);
            for (size_t tok = 0; tok < t->n_tok; tok++)
                dot_lanes(w, (const float *)(const void *)tkx__tile_act(t, tok) + c, n,
                          lanes + tok * 8);
        }
        for (size_t tok = 0; tok < t->n_tok; tok++)
            t->out[tok * t->out_stride + r] = tkx__exact_sum8(lanes + tok * 8);
    }
}

/* ---- attention ---- */

static void f16_unpack(const uint16_t *src, size_t n, float *out)
{
    decode(TKX__W_F16, src, n, out);
}

static void f16_pack(const float *src, size_t n, uint16_t *out)
{
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        vst1_u16(out + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
    if (i < n)
        tkx__kernels_scalar.f16_pack(src + i, n - i, out + i);
}

/* Scores of 32 positions, dimensions ascending. */
static void scores(const float *q, const float *kf, size_t dim, float out[TKX__KV_BLOCK])
{
    float32x4_t s[8];

    for (int j = 0; j < 8; j++)
        s[j] = vdupq_n_f32(0);
    for (size_t d = 0; d < dim; d++)
        for (int j = 0; j < 8; j++)
            s[j] = vfmaq_n_f32(s[j], vld1q_f32(kf + d * TKX__KV_BLOCK + 4 * j), q[d]);
    for (int j = 0; j < 8; j++)
        vst1q_f32(out + 4 * j, s[j]);
}

static void attn_one(tkx__attn_state *s, const float *kf, const float *vf, size_t dim)
{
    size_t padded = (dim + 7) / 8 * 8;
    float w[TKX__KV_BLOCK];
    float max = s->max;

    scores(s->q, kf, dim, w);
    for (size_t p = 0; p < s->n_valid; p++)
        max = w[p] > max ? w[p] : max;
    if (max > s->max) {
        float keep = tkx__exact_exp(s->max - max);

        for (size_t i = 0; i < 8; i++)
            s->lanes[i] *= keep;
        for (size_t d = 0; d < padded; d++)
            s->acc[d] *= keep;
        s->max = max;
    }
    for (size_t p = 0; p < s->n_valid; p++) {
        w[p] = tkx__exact_exp(w[p] - max);
        s->lanes[p % 8] += w[p];
    }
    for (size_t d = 0; d < padded; d += 4) {
        float32x4_t acc = vld1q_f32(s->acc + d);

        for (size_t p = 0; p < s->n_valid; p++)
            acc = vfmaq_n_f32(acc, vld1q_f32(vf + p * padded + d), w[p]);
        vst1q_f32(s->acc + d, acc);
    }
}

static void attn_block(tkx__attn_state *states, size_t n, const float *kf,
                       const float *vf, size_t head_dim)
{
    for (size_t i = 0; i < n; i++)
        attn_one(&states[i], kf, vf, head_dim);
}

/* ---- rows: bound by memory or rare, so the reference's loops ---- */

static void quantize(tkx__act_form form, const float *x, size_t n, uint8_t *row)
{
    tkx__scalar_quantize(form, x, n, row);
}

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    tkx__kernels_scalar.rmsnorm(y, x, w, n, eps);
}

static void swiglu(float *out, const float *gate, const float *up, size_t n)
{
    tkx__kernels_scalar.swiglu(out, gate, up, n);
}

static void axpy(float *y, float scale, const float *x, size_t n)
{
    size_t i = 0;

    for (; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vfmaq_n_f32(vld1q_f32(y + i), vld1q_f32(x + i), scale));
    for (; i < n; i++)
        y[i] = fmaf(scale, x[i], y[i]);
}

static float max_row(const float *x, size_t n)
{
    return tkx__kernels_scalar.max(x, n);
}

static double sum_exp(const float *x, size_t n, float max, float scale, float *out)
{
    return tkx__kernels_scalar.sum_exp(x, n, max, scale, out);
}

const tkx__kernels tkx__kernels_neon = {
    .name = "neon",
    .is_verified = true,
    .is_supported = is_supported,
    .quantize = quantize,
    .tile_q = tile_q,
    .tile_f = tile_f,
    .decode = decode,
    .f16_unpack = f16_unpack,
    .f16_pack = f16_pack,
    .attn_block = attn_block,
    .rmsnorm = rmsnorm,
    .swiglu = swiglu,
    .axpy = axpy,
    .max = max_row,
    .sum_exp = sum_exp,
};
