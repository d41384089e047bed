/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.c - the same model as layer.c, arranged for few rows and a growing past.
 *
 * While decoding, every row's arithmetic is its own (nn_rows_nt), so a sequence yields
 * the same tokens alone and in any batch.
 */
#include "mock_server/nn/decode.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "mock_server/nn/filter.h"
#include "mock_server/nn/gemm.h"
#include "mock_server/nn/linear.h"
#include "mock_server/nn/ops.h"
#include "mock_server/nn/vec.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool nn_kv_reserve(nn_kv *kv, const nn_config *c, size_t n)
{
    while (kv->n_pieces * NN_KV_PIECE < n) {
        float **grown = tkx__realloc(kv->pieces, kv->n_pieces + 1, sizeof *grown);

        if (!grown)
            return false;
        kv->pieces = grown;
        grown[kv->n_pieces] =
            tkx__calloc(c->n_layers * 2 * NN_KV_PIECE, nn_kv_rows(c) * sizeof(float));
        if (!grown[kv->n_pieces])
            return false;
        kv->n_pieces++;
    }
    return true;
}

void nn_kv_clear(nn_kv *kv)
{
    for (size_t i = 0; i < kv->n_pieces; i++)
        tkx__free(kv->pieces[i]);
    tkx__free(kv->pieces);
    *kv = (nn_kv){0};
}

/* Key (which 0) or value (1) of a position. */
static float *kv_at(const nn_kv *kv, const nn_config *c, size_t layer, size_t which,
                    size_t position)
{
    size_t row = (layer * 2 + which) * NN_KV_PIECE + position % NN_KV_PIECE;

    return kv->pieces[position / NN_KV_PIECE] + row * nn_kv_rows(c);
}

void nn_decoder_take(nn_work *work, nn_decoder *d, size_t max_context)
{
    const nn_config *c = &d->base->config;
    size_t n = d->max_rows, rank = d->adapter ? d->adapter->rank : 0;
    size_t f = larger(c->intermediate, c->moe_intermediate);
    size_t widest = larger(larger(nn_qkv_rows(c), 2 * f), c->hidden);

    d->x = nn_take_floats(work, n, c->hidden);
    d->xn = nn_take_floats(work, n, c->hidden);
    d->qkv = nn_take_floats(work, n, nn_qkv_rows(c));
    d->att = nn_take_floats(work, n, nn_q_rows(c));
    d->mid = nn_take_floats(work, n, c->hidden);
    d->gate_up = nn_take_floats(work, n, 2 * f);
    d->act = nn_take_floats(work, n, f);
    d->h = nn_take_floats(work, larger(n, d->max_logit_rows), 3 * rank);
    d->lora =
        nn_take_floats(work, larger(n, d->max_logit_rows), larger(widest, c->vocab_size));
    d->scores = nn_take_floats(work, 1, max_context + 2 * c->n_experts);
    d->picks = nn_take(work, c->n_experts_used, sizeof *d->picks);
    d->expert_out = nn_take_floats(work, 1, c->hidden);
    d->rstd = nn_take_floats(work, larger(n, c->n_heads + c->n_kv_heads), 1);
    d->logits = nn_take_floats(work, d->max_logit_rows, c->vocab_size);
}

/* y[n, out] of a map, row by row. */
static void rows_linear(const nn_decoder *d, const nn_linear *map, size_t n,
                        const float *x, float *y)
{
    const nn_adapter *a = d->adapter;
    size_t out = map->out, at = 0, width;

    nn_rows_nt(n, out, map->in, x, map->in, map->w, y, out);
    for (size_t i = 0; map->bias && i < n; i++)
        nn_add_row(y + i * out, map->bias, out);
    if (!map->slots)
        return;
    width = map->n_maps * a->rank;
    nn_rows_nt(n, width, map->in, x, map->in,
               a->values + map->slots[0].a + map->index_a * a->rank * map->in, d->h,
               width);
    for (size_t j = 0; j < map->n_maps; j++) {
        size_t rows = map->slots[j].out;
        const float *b = a->values + map->slots[j].b + map->index_b * a->rank * rows;

        nn_rows_nt(n, rows, a->rank, d->h + j * a->rank, width, b, d->lora, rows);
        for (size_t i = 0; i < n; i++)
            nn_axpy_row(a->scale, d->lora + i * rows, y + i * out + at, rows);
        at += rows;
    }
}

static void linear(const nn_decoder *d, const nn_linear *map, size_t n, const float *x,
                   float *y)
{
    if (d->is_prefill)
        nn_linear_forward(d->adapter, map, n, x, y, d->h);
    else
        rows_linear(d, map, n, x, y);
}

/* Scores of one query head against positions 0 .. n - 1 of a cache. */
NN_FAST
static void score(const float *q, const float *keys, size_t n, size_t ld, size_t d,
                  float scale, float *to)
{
    for (size_t j = 0; j < n; j++)
        to[j] = nn_dot(q, keys + j * ld, d) * scale;
}

NN_FAST
static void gather(const float *p, const float *values, size_t n, size_t ld, size_t d,
                   float *restrict out)
{
    for (size_t j = 0; j < n; j++)
        nn_axpy(p[j], values + j * ld, out, d);
}

typedef struct span {
    const nn_kv *kv; /* NULL: empty */
    size_t n;
} span;

/* Attention of one row over two spans of positions. */
static void attend(const nn_decoder *d, size_t layer, const span spans[2], const float *q,
                   float *out)
{
    const nn_config *c = &d->base->config;
    size_t dim = c->head_dim, group = c->n_heads / c->n_kv_heads, ld = nn_kv_rows(c);
    float scale = (float)(1 / sqrt((double)dim)), max;

    for (size_t h = 0; h < c->n_heads; h++) {
        size_t column = h / group * dim, n = 0;
        float *to = out + h * dim;

        for (size_t s = 0; s < 2; s++)
            for (size_t p = 0; p < spans[s].n; p += NN_KV_PIECE) {
                size_t m = spans[s].n - p < NN_KV_PIECE ? spans[s].n - p : NN_KV_PIECE;

                score(q + h * dim, kv_at(spans[s].kv, c, layer, 0, p) + column, m, ld,
                      dim, scale, d->scores + n);
                n += m;
            }
        nn_scale_row(d->scores, n, (float)(1 / nn_exp_row(d->scores, n, &max)));
        memset(to, 0, dim * sizeof *to);
        n = 0;
        for (size_t s = 0; s < 2; s++)
            for (size_t p = 0; p < spans[s].n; p += NN_KV_PIECE) {
                size_t m = spans[s].n - p < NN_KV_PIECE ? spans[s].n - p : NN_KV_PIECE;

                gather(d->scores + n, kv_at(spans[s].kv, c, layer, 1, p) + column, m, ld,
                       dim, to);
                n += m;
            }
    }
}

/* Norm, rotate, store keys and values, attend: one row at place `at` of its own cache. */
static void attention_row(const nn_decoder *d, size_t layer, const nn_row *row, size_t at,
                          float *qkv, float *out)
{
    const nn_config *c = &d->base->config;
    const nn_layer *l = &d->base->layers[layer];
    size_t q = nn_q_rows(c), kv = nn_kv_rows(c), dim = c->head_dim;
    size_t before = row->prefix ? row->prefix->n : 0;
    span spans[2] = {{row->prefix, before}, {row->own, at + 1}};

    if (c->has_qk_norm) {
        nn_rms_norm(c->n_heads, dim, qkv, dim, l->q_norm, c->rms_eps, qkv, dim, d->rstd);
        nn_rms_norm(c->n_kv_heads, dim, qkv + q, dim, l->k_norm, c->rms_eps, qkv + q, dim,
                    d->rstd);
    }
    nn_rotate(d->base, before + at, c->n_heads + c->n_kv_heads, qkv);
    memcpy(kv_at(row->own, c, layer, 0, at), qkv + q, kv * sizeof *qkv);
    memcpy(kv_at(row->own, c, layer, 1, at), qkv + q + kv, kv * sizeof *qkv);
    attend(d, layer, spans, qkv, out);
}

/* y += the k best experts' outputs for one row x. */
static void experts_row(const nn_decoder *d, size_t layer, const float *x, float *y)
{
    const nn_config *c = &d->base->config;
    float *p = d->scores, *shares = p + c->n_experts, max;
    double total = 1;

    nn_rows_nt(1, c->n_experts, c->hidden, x, c->hidden, d->base->layers[layer].router, p,
               c->n_experts);
    nn_scale_row(p, c->n_experts, (float)(1 / nn_exp_row(p, c->n_experts, &max)));
    nn_top_k(p, c->n_experts, c->n_experts_used, d->picks, shares);
    if (c->norm_topk_prob) {
        total = 0;
        for (size_t k = 0; k < c->n_experts_used; k++)
            total += (double)shares[k];
    }
    for (size_t k = 0; k < c->n_experts_used; k++) {
        size_t e = (size_t)d->picks[k];
        nn_linear gate_up = nn_linear_expert_gate_up(d->base, d->adapter, layer, e);
        nn_linear down = nn_linear_expert_down(d->base, d->adapter, layer, e);

        rows_linear(d, &gate_up, 1, x, d->gate_up);
        nn_swiglu(1, c->moe_intermediate, d->gate_up, d->act);
        rows_linear(d, &down, 1, d->act, d->expert_out);
        nn_axpy_row((float)((double)shares[k] / total), d->expert_out, y, c->hidden);
    }
}

static void mlp(const nn_decoder *d, size_t layer, size_t n)
{
    const nn_config *c = &d->base->config;

    if (d->base->layers[layer].is_sparse) {
        for (size_t i = 0; i < n; i++)
            experts_row(d, layer, d->xn + i * c->hidden, d->x + i * c->hidden);
        return;
    }
    nn_linear gate_up = nn_linear_gate_up(d->base, d->adapter, layer);
    nn_linear down = nn_linear_down(d->base, d->adapter, layer);

    linear(d, &gate_up, n, d->xn, d->gate_up);
    nn_swiglu(n, c->intermediate, d->gate_up, d->act);
    linear(d, &down, n, d->act, d->mid);
    nn_add_row(d->x, d->mid, n * c->hidden);
}

static void decode_layer(const nn_decoder *d, size_t layer, const nn_row *rows, size_t n)
{
    const nn_config *c = &d->base->config;
    const nn_layer *l = &d->base->layers[layer];
    nn_linear qkv = nn_linear_qkv(d->base, d->adapter, layer);
    nn_linear o = nn_linear_o(d->base, d->adapter, layer);
    size_t hidden = c->hidden, at = 0;

    nn_rms_norm(n, hidden, d->x, hidden, l->norm1, c->rms_eps, d->xn, hidden, d->rstd);
    linear(d, &qkv, n, d->xn, d->qkv);
    for (size_t i = 0; i < n; i++) {
        at = i > 0 && rows[i].own == rows[i - 1].own ? at + 1 : rows[i].own->n;
        attention_row(d, layer, &rows[i], at, d->qkv + i * nn_qkv_rows(c),
                      d->att + i * nn_q_rows(c));
    }
    linear(d, &o, n, d->att, d->mid);
    nn_add_row(d->x, d->mid, n * hidden);
    nn_rms_norm(n, hidden, d->x, hidden, l->norm2, c->rms_eps, d->xn, hidden, d->rstd);
    mlp(d, layer, n);
}

void nn_decode(nn_decoder *d, const nn_row *rows, size_t n)
{
    const nn_config *c = &d->base->config;
    size_t hidden = c->hidden;

    for (size_t i = 0; i < n; i++)
        memcpy(d->x + i * hidden, d->base->embedding + (size_t)rows[i].token * hidden,
               hidden * sizeof *d->x);
    for (size_t i = 0; i < c->n_layers; i++)
        decode_layer(d, i, rows, n);
    for (size_t i = 0; i < n; i++)
        rows[i].own->n++;
    nn_rms_norm(n, hidden, d->x, hidden, d->base->norm, c->rms_eps, d->x, hidden,
                d->rstd);
}

void nn_decode_logits(nn_decoder *d, size_t first, size_t n)
{
    nn_linear head = nn_linear_head(d->base, d->adapter);

    linear(d, &head, n, d->x + first * d->base->config.hidden, d->logits);
}
