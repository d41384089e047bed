// SPDX-License-Identifier: Apache-2.0
/*
 * scalar.c - the reference of every kernel, in plain C.
 *
 * The other sets give the same bits: change an order of sums here and you change it for
 * all.  fmaf() is exact in any libm, slow where the CPU has no such instruction.
 */
#include <string.h>

#include "infer/kernels/exact.h"
#include "infer/kernels/qblock.h"
#include "infer/kernels/scalar.h"
#include "infer/kernels/table.h"
#include "model/blocks.h"

static bool always(void)
{
    return true;
}

/* ---- activations ---- */

static int32_t to_q8(float v)
{
    /* NaN and values beyond (an infinite scale) become -127, as in the vector sets */
    if (!(v > -127.0f))
        return -127;
    return v >= 127.0f ? 127 : (int32_t)nearbyintf(v);
}

static float quantize_block(const float *x, size_t n, int8_t *q)
{
    float amax = 0;
    float inverse;

    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);

        amax = a > amax ? a : amax;
    }
    inverse = amax > 0 ? 127.0f / amax : 0;
    for (size_t i = 0; i < n; i++)
        q[i] = (int8_t)to_q8(x[i] * inverse);
    return amax / 127.0f;
}

static int32_t sum_q(const int8_t *q, size_t n)
{
    int32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += q[i];
    return sum;
}

/* See table.h. */
static void find_start(const int8_t *q, size_t n, int weight, int16_t start[2])
{
    for (size_t i = 0; i < 2; i++) {
        int32_t sum = 0;

        for (size_t c = 2 * i; c < n; c += 4)
            sum += q[c] + q[c + 1];
        start[i] = (int16_t)(-weight * sum);
    }
}

void tkx__scalar_quantize(tkx__act_form form, const float *x, size_t n, uint8_t *row)
{
    size_t block = form == TKX__ACT_Q8_32 ? 32 : 256;
    int8_t *q = (int8_t *)row;
    float *d = (float *)(void *)(row + tkx__act_d_offset(n));
    int16_t *start = (int16_t *)(void *)(row + tkx__act_start_offset(form, n));

    for (size_t b = 0; b < n / block; b++)
        d[b] = quantize_block(x + b * block, block, q + b * block);
    if (form == TKX__ACT_Q8_32) {
        int32_t *sum = (int32_t *)(void *)(row + tkx__act_sum_offset(form, n));

        for (size_t b = 0; b < n / 32; b++) {
            sum[b] = sum_q(q + b * 32, 32);
            find_start(q + b * 32, 32, 16, start + 2 * b);
        }
    } else {
        int16_t *sum16 = (int16_t *)(void *)(row + tkx__act_sum_offset(form, n));
        int16_t *sum32 = (int16_t *)(void *)(row + tkx__act_sum32_offset(n));

        for (size_t b = 0; b < n / 16; b++) {
            sum16[b] = (int16_t)sum_q(q + b * 16, 16);
            find_start(q + b * 16, 16, 32, start + 2 * b);
        }
        for (size_t b = 0; b < n / 32; b++)
            sum32[b] = (int16_t)(sum16[2 * b] + sum16[2 * b + 1]);
    }
}

/* ---- products ---- */

static float add_block_32(const tkx__qblock *b, int offset, bool has_min, const int8_t *q,
                          float d, int32_t sum, float acc)
{
    int32_t dot = 0;

    for (size_t i = 0; i < 32; i++)
        dot += (b->u[i] - offset) * q[i];
    acc = fmaf(b->d * d, (float)dot, acc);
    return has_min ? fmaf(b->dmin * d, (float)sum, acc) : acc;
}

static float add_block_256(const tkx__qblock *b, int offset, bool has_min,
                           const int8_t *q, float d, const int16_t *sum16, float acc)
{
    int32_t dot = 0;
    int32_t mins = 0;

    for (size_t i = 0; i < 256; i++)
        dot += b->scale[i / 16] * (b->u[i] - offset) * q[i];
    acc = fmaf(b->d * d, (float)dot, acc);
    if (!has_min)
        return acc;
    for (size_t i = 0; i < 16; i++)
        mins += b->min[i] * sum16[i];
    return fmaf(-(b->dmin * d), (float)mins, acc);
}

float tkx__scalar_dot_q(tkx__wtype type, const uint8_t *w, const uint8_t *act, size_t n)
{
    size_t block = tkx__wtype_block_cols(type);
    size_t block_size = tkx__wtype_block_size(type);
    tkx__act_form form = block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;
    const float *d = (const float *)(const void *)(act + tkx__act_d_offset(n));
    const uint8_t *sums = act + tkx__act_sum_offset(form, n);
    int offset = tkx__qblock_offset(type);
    bool has_min = tkx__qblock_has_min(type);
    float acc = 0;

    for (size_t i = 0; i < n / block; i++) {
        const int8_t *q = (const int8_t *)act + i * block;
        tkx__qblock b;

        tkx__qblock_read(type, w + i * block_size, &b);
        if (block == 32)
            acc = add_block_32(&b, offset, has_min, q, d[i],
                               ((const int32_t *)(const void *)sums)[i], acc);
        else
            acc = add_block_256(&b, offset, has_min, q, d[i],
                                (const int16_t *)(const void *)sums + 16 * i, acc);
    }
    return acc;
}

static void scalar_tile_q(const tkx__tile *t)
{
    for (size_t tok = 0; tok < t->n_tok; tok++)
        for (size_t r = 0; r < t->n_rows; r++)
            t->out[tok * t->out_stride + r] = tkx__scalar_dot_q(
                t->type, t->w + r * t->row_size, tkx__tile_act(t, tok), t->n_cols);
}

void tkx__scalar_decode(tkx__wtype type, const void *src, size_t n, float *out)
{
    tkx__dtype dtype;

    if (tkx__dtype_from_gguf((uint32_t)type, &dtype))
        tkx__blocks_decode(dtype, src, n, out);
    else
        memset(out, 0, n * sizeof *out);
}

/* Columns at a time, so that no row needs memory of its own: a multiple of 256. */
#define DECODE_COLS 256

float tkx__scalar_dot_f(tkx__wtype type, const uint8_t *w, const float *x, size_t n)
{
    float buf[DECODE_COLS];
    float lanes[8] = {0};
    size_t step = 0; /* bytes of DECODE_COLS columns */

    step = tkx__wtype_row_size(type, DECODE_COLS);
    for (size_t c = 0; c < n; c += DECODE_COLS, w += step) {
        size_t m = n - c < DECODE_COLS ? n - c : DECODE_COLS;

        tkx__scalar_decode(type, w, m, buf);
        for (size_t i = 0; i < m; i++)
            lanes[i % 8] = fmaf(buf[i], x[c + i], lanes[i % 8]);
    }
    return tkx__exact_sum8(lanes);
}

static void scalar_tile_f(const tkx__tile *t)
{
    for (size_t tok = 0; tok < t->n_tok; tok++)
        for (size_t r = 0; r < t->n_rows; r++)
            t->out[tok * t->out_stride + r] = tkx__scalar_dot_f(
                t->type, t->w + r * t->row_size,
                (const float *)(const void *)tkx__tile_act(t, tok), t->n_cols);
}

/* ---- attention ---- */

static void scalar_f16_unpack(const uint16_t *src, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = tkx__f16_to_f32(src[i]);
}

static void scalar_f16_pack(const float *src, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = tkx__f32_to_f16(src[i]);
}

static void attn_one(tkx__attn_state *s, const float *kf, const float *vf,
                     size_t head_dim)
{
    size_t padded = (head_dim + 7) / 8 * 8;
    float w[TKX__KV_BLOCK];
    float max = s->max;

    for (size_t p = 0; p < s->n_valid; p++) {
        w[p] = 0;
        for (size_t d = 0; d < head_dim; d++)
            w[p] = fmaf(s->q[d], kf[d * TKX__KV_BLOCK + p], w[p]);
        max = w[p] > max ? w[p] : max;
    }
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
        for (size_t d = 0; d < padded; d++)
            s->acc[d] = fmaf(w[p], vf[p * padded + d], s->acc[d]);
    }
}

static void scalar_attn_block(tkx__attn_state *states, size_t n, const float *kf,
                              const float *vf, size_t head_dim)
{
    for (size_t i = 0; i < n; i++)
        attn_one(&states[i], kf, vf, head_dim);
}

/* ---- rows ---- */

static void scalar_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    double lanes[8] = {0};
    float scale;

    for (size_t i = 0; i < n; i++)
        lanes[i % 8] = fma((double)x[i], (double)x[i], lanes[i % 8]);
    scale = (float)(1.0 / sqrt(tkx__exact_sum8d(lanes) / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale * w[i];
}

static void scalar_swiglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + tkx__exact_exp(-gate[i])) * up[i];
}

static void scalar_axpy(float *y, float scale, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = fmaf(scale, x[i], y[i]);
}

static float scalar_max(const float *x, size_t n)
{
    float max = -INFINITY;

    for (size_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static double scalar_sum_exp(const float *x, size_t n, float max, float scale, float *out)
{
    double lanes[8] = {0};

    for (size_t i = 0; i < n; i++) {
        float e = tkx__exact_exp((x[i] - max) * scale);

        if (out)
            out[i] = e;
        lanes[i % 8] += (double)e;
    }
    return tkx__exact_sum8d(lanes);
}

const tkx__kernels tkx__kernels_scalar = {
    .name = "scalar",
    .is_verified = true,
    .is_supported = always,
    .quantize = tkx__scalar_quantize,
    .tile_q = scalar_tile_q,
    .tile_f = scalar_tile_f,
    .decode = tkx__scalar_decode,
    .f16_unpack = scalar_f16_unpack,
    .f16_pack = scalar_f16_pack,
    .attn_block = scalar_attn_block,
    .rmsnorm = scalar_rmsnorm,
    .swiglu = scalar_swiglu,
    .axpy = scalar_axpy,
    .max = scalar_max,
    .sum_exp = scalar_sum_exp,
};
