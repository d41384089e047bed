/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attention.c - tiles of query rows against all earlier keys, as matrix products.
 *
 * A tile of rows i0 .. i1 needs keys 0 .. i1 only, so about half of the square is
 * computed. The backward pass makes the probabilities again from the scores and lse,
 * which costs one product and saves n_heads * n^2 floats a layer.
 */
#include "mock_server/nn/attention.h"

#include <math.h>
#include <string.h>

#include "mock_server/nn/gemm.h"
#include "mock_server/nn/ops.h"
#include "mock_server/nn/vec.h"

typedef struct view {
    size_t ld; /* row stride of qkv and dqkv */
    size_t d;
    size_t ld_out;
    float scale;
    size_t q, k, v; /* column of this head in qkv */
    size_t out;     /* and in out */
} view;

static view head_view(const nn_config *c, size_t head)
{
    size_t d = c->head_dim, kv_head = head / (c->n_heads / c->n_kv_heads);

    return (view){.ld = nn_qkv_rows(c),
                  .d = d,
                  .ld_out = nn_q_rows(c),
                  .scale = (float)(1 / sqrt((double)d)),
                  .q = head * d,
                  .k = nn_q_rows(c) + kv_head * d,
                  .v = nn_q_rows(c) + nn_kv_rows(c) + kv_head * d,
                  .out = head * d};
}

/* Rows become probabilities over the keys up to their own; later cells zero. */
static void softmax_tile(size_t i0, size_t i1, float *s, float *lse)
{
    for (size_t i = i0; i < i1; i++) {
        float *row = s + (i - i0) * i1, max;
        double sum = nn_exp_row(row, i + 1, &max);

        nn_scale_row(row, i + 1, (float)(1 / sum));
        memset(row + i + 1, 0, (i1 - i - 1) * sizeof *row);
        lse[i] = (float)((double)max + log(sum));
    }
}

void nn_attention(const nn_config *c, size_t n, const float *qkv, float *out, float *lse,
                  float *s)
{
    for (size_t h = 0; h < c->n_heads; h++) {
        view w = head_view(c, h);

        for (size_t i0 = 0; i0 < n; i0 += NN_ATTENTION_TILE) {
            size_t i1 = i0 + NN_ATTENTION_TILE < n ? i0 + NN_ATTENTION_TILE : n;

            nn_gemm_nt(i1 - i0, i1, w.d, w.scale, qkv + i0 * w.ld + w.q, w.ld, qkv + w.k,
                       w.ld, 0, s, i1);
            softmax_tile(i0, i1, s, lse + h * n);
            nn_gemm_nn(i1 - i0, w.d, i1, 1, s, i1, qkv + w.v, w.ld, 0,
                       out + i0 * w.ld_out + w.out, w.ld_out);
        }
    }
}

/* s: scores to probabilities; ds: derivative of probabilities to that of scores. */
NN_FAST
static void softmax_tile_back(size_t i0, size_t i1, float scale, const float *lse,
                              const float *out, const float *dout, size_t ld, size_t d,
                              float *s, float *ds)
{
    for (size_t i = i0; i < i1; i++) {
        float *restrict p = s + (i - i0) * i1, *restrict dp = ds + (i - i0) * i1;
        float l = lse[i], dot = nn_dot(out + i * ld, dout + i * ld, d);

        for (size_t j = 0; j <= i; j++)
            p[j] = nn_expf(p[j] - l);
        for (size_t j = 0; j <= i; j++)
            dp[j] = p[j] * (dp[j] - dot) * scale;
        for (size_t j = i + 1; j < i1; j++)
            p[j] = dp[j] = 0;
    }
}

void nn_attention_back(const nn_config *c, size_t n, const float *qkv, const float *out,
                       const float *lse, const float *dout, float *dqkv, float *s,
                       float *ds)
{
    memset(dqkv, 0, n * nn_qkv_rows(c) * sizeof *dqkv);
    for (size_t h = 0; h < c->n_heads; h++) {
        view w = head_view(c, h);

        for (size_t i0 = 0; i0 < n; i0 += NN_ATTENTION_TILE) {
            size_t i1 = i0 + NN_ATTENTION_TILE < n ? i0 + NN_ATTENTION_TILE : n;
            size_t m = i1 - i0;
            const float *q = qkv + i0 * w.ld + w.q, *k = qkv + w.k, *v = qkv + w.v;
            const float *up = dout + i0 * w.ld_out + w.out;

            nn_gemm_nt(m, i1, w.d, w.scale, q, w.ld, k, w.ld, 0, s, i1);
            nn_gemm_nt(m, i1, w.d, 1, up, w.ld_out, v, w.ld, 0, ds, i1);
            softmax_tile_back(i0, i1, w.scale, lse + h * n, out + w.out, dout + w.out,
                              w.ld_out, w.d, s, ds);
            nn_gemm_nn(m, w.d, i1, 1, ds, i1, k, w.ld, 0, dqkv + i0 * w.ld + w.q, w.ld);
            nn_gemm_tn(i1, w.d, m, 1, ds, i1, q, w.ld, 1, dqkv + w.k, w.ld);
            nn_gemm_tn(i1, w.d, m, 1, s, i1, up, w.ld_out, 1, dqkv + w.v, w.ld);
        }
    }
}
