/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layer.c - norm, attention, norm, MLP, each added to the residual stream.
 */
#include "mock_server/nn/layer.h"

#include <string.h>

#include "mock_server/nn/attention.h"
#include "mock_server/nn/linear.h"
#include "mock_server/nn/ops.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void take_experts(nn_work *work, const nn_block *b, nn_expert_acts *e)
{
    const nn_config *c = &b->base->config;
    size_t r = b->m * c->n_experts_used, rank = b->adapter ? b->adapter->rank : 0;

    e->probs = nn_take_floats(work, b->m, c->n_experts);
    e->is_picked = nn_take(work, b->m * c->n_experts, sizeof *e->is_picked);
    e->offsets = nn_take(work, c->n_experts + 1, sizeof *e->offsets);
    e->tokens = nn_take(work, r, sizeof *e->tokens);
    e->weights = nn_take_floats(work, r, 1);
    e->x = nn_take_floats(work, r, c->hidden);
    e->h_gu = nn_take_floats(work, r, 2 * rank);
    e->gate_up = nn_take_floats(work, r, 2 * c->moe_intermediate);
    e->act = nn_take_floats(work, r, c->moe_intermediate);
    e->h_down = nn_take_floats(work, r, rank);
    e->out = nn_take_floats(work, r, c->hidden);
}

void nn_acts_take(nn_work *work, const nn_block *b, bool is_sparse, nn_acts *a)
{
    const nn_config *c = &b->base->config;
    size_t m = b->m, rank = b->adapter ? b->adapter->rank : 0;

    memset(a, 0, sizeof *a);
    a->rstd1 = nn_take_floats(work, m, 1);
    a->rstd2 = nn_take_floats(work, m, 1);
    a->xn1 = nn_take_floats(work, m, c->hidden);
    a->h_qkv = nn_take_floats(work, m, 3 * rank);
    if (c->has_qk_norm) {
        a->raw = nn_take_floats(work, m, nn_q_rows(c) + nn_kv_rows(c));
        a->rstd_qk = nn_take_floats(work, m, c->n_heads + c->n_kv_heads);
    }
    a->qkv = nn_take_floats(work, m, nn_qkv_rows(c));
    a->lse = nn_take_floats(work, c->n_heads, m);
    a->att = nn_take_floats(work, m, nn_q_rows(c));
    a->h_o = nn_take_floats(work, m, rank);
    a->mid = nn_take_floats(work, m, c->hidden);
    a->xn2 = nn_take_floats(work, m, c->hidden);
    if (is_sparse) {
        take_experts(work, b, &a->experts);
        return;
    }
    a->h_gu = nn_take_floats(work, m, 2 * rank);
    a->gate_up = nn_take_floats(work, m, 2 * c->intermediate);
    a->act = nn_take_floats(work, m, c->intermediate);
    a->h_down = nn_take_floats(work, m, rank);
}

void nn_layer_scratch_take(nn_work *work, const nn_block *b, nn_layer_scratch *s)
{
    const nn_config *c = &b->base->config;
    size_t rank = b->adapter ? b->adapter->rank : 0;
    size_t sorted = b->m * larger(c->n_experts_used, 1);

    s->s = nn_take_floats(work, NN_ATTENTION_TILE, b->longest);
    s->ds = nn_take_floats(work, NN_ATTENTION_TILE, b->longest);
    s->wide = nn_take_floats(work, 1,
                             larger(b->m * larger(nn_qkv_rows(c), c->intermediate),
                                    sorted * c->moe_intermediate));
    s->narrow = nn_take_floats(work, sorted, c->hidden);
    s->att = nn_take_floats(work, b->m, nn_q_rows(c));
    s->dh = nn_take_floats(work, sorted, 3 * rank);
    s->shares = nn_take_floats(work, b->m, c->n_experts);
}

/* Norm of every query and key head, before rotation. */
static void norm_heads(const nn_block *b, size_t layer, nn_acts *a)
{
    const nn_config *c = &b->base->config;
    const nn_layer *l = &b->base->layers[layer];
    size_t q = nn_q_rows(c), kv = nn_kv_rows(c), ld = q + 2 * kv, heads = c->n_heads;

    for (size_t i = 0; i < b->m; i++) {
        float *row = a->qkv + i * ld, *raw = a->raw + i * (q + kv);
        float *rstd = a->rstd_qk + i * (heads + c->n_kv_heads);

        memcpy(raw, row, (q + kv) * sizeof *raw);
        nn_rms_norm(heads, c->head_dim, raw, c->head_dim, l->q_norm, c->rms_eps, row,
                    c->head_dim, rstd);
        nn_rms_norm(c->n_kv_heads, c->head_dim, raw + q, c->head_dim, l->k_norm,
                    c->rms_eps, row + q, c->head_dim, rstd + heads);
    }
}

static void norm_heads_back(const nn_block *b, size_t layer, const nn_acts *a,
                            float *dqkv)
{
    const nn_config *c = &b->base->config;
    const nn_layer *l = &b->base->layers[layer];
    size_t q = nn_q_rows(c), kv = nn_kv_rows(c), ld = q + 2 * kv, heads = c->n_heads;

    for (size_t i = 0; i < b->m; i++) {
        float *row = dqkv + i * ld;
        const float *raw = a->raw + i * (q + kv);
        const float *rstd = a->rstd_qk + i * (heads + c->n_kv_heads);

        nn_rms_norm_back(heads, c->head_dim, raw, c->head_dim, l->q_norm, rstd, row,
                         c->head_dim, row, c->head_dim, false);
        nn_rms_norm_back(c->n_kv_heads, c->head_dim, raw + q, c->head_dim, l->k_norm,
                         rstd + heads, row + q, c->head_dim, row + q, c->head_dim, false);
    }
}

typedef void rotate_fn(const nn_base *base, size_t p, size_t n_heads, float *row);

/* Queries and keys lie side by side, so both turn as one row of heads. */
static void rotate_rows(const nn_block *b, rotate_fn *rotate, float *qkv)
{
    const nn_config *c = &b->base->config;

    for (size_t i = 0; i < b->n_sequences; i++)
        for (size_t r = b->starts[i]; r < b->starts[i + 1]; r++)
            rotate(b->base, r - b->starts[i], c->n_heads + c->n_kv_heads,
                   qkv + r * nn_qkv_rows(c));
}

static void attention_forward(const nn_block *b, const nn_acts *a, float *s)
{
    const nn_config *c = &b->base->config;

    for (size_t i = 0; i < b->n_sequences; i++) {
        size_t at = b->starts[i], n = b->starts[i + 1] - at;

        nn_attention(c, n, a->qkv + at * nn_qkv_rows(c), a->att + at * nn_q_rows(c),
                     a->lse + at * c->n_heads, s);
    }
}

static void attention_back(const nn_block *b, const nn_acts *a, const nn_layer_scratch *w,
                           float *dqkv)
{
    const nn_config *c = &b->base->config;

    for (size_t i = 0; i < b->n_sequences; i++) {
        size_t at = b->starts[i], n = b->starts[i + 1] - at;

        nn_attention_back(c, n, a->qkv + at * nn_qkv_rows(c), a->att + at * nn_q_rows(c),
                          a->lse + at * c->n_heads, w->att + at * nn_q_rows(c),
                          dqkv + at * nn_qkv_rows(c), w->s, w->ds);
    }
}

void nn_layer_forward(const nn_block *b, size_t layer, nn_acts *a,
                      const nn_layer_scratch *w, float *y)
{
    const nn_config *c = &b->base->config;
    const nn_layer *l = &b->base->layers[layer];
    size_t m = b->m, hidden = c->hidden;
    nn_linear qkv = nn_linear_qkv(b->base, b->adapter, layer);
    nn_linear o = nn_linear_o(b->base, b->adapter, layer);

    nn_rms_norm(m, hidden, a->x, hidden, l->norm1, c->rms_eps, a->xn1, hidden, a->rstd1);
    nn_linear_forward(b->adapter, &qkv, m, a->xn1, a->qkv, a->h_qkv);
    if (c->has_qk_norm)
        norm_heads(b, layer, a);
    rotate_rows(b, nn_rotate, a->qkv);
    attention_forward(b, a, w->s);
    nn_linear_forward(b->adapter, &o, m, a->att, a->mid, a->h_o);
    nn_add_row(a->mid, a->x, m * hidden);

    nn_rms_norm(m, hidden, a->mid, hidden, l->norm2, c->rms_eps, a->xn2, hidden,
                a->rstd2);
    if (l->is_sparse) {
        memcpy(y, a->mid, m * hidden * sizeof *y);
        nn_experts_forward(b, layer, a, y);
    } else {
        nn_linear gate_up = nn_linear_gate_up(b->base, b->adapter, layer);
        nn_linear down = nn_linear_down(b->base, b->adapter, layer);

        nn_linear_forward(b->adapter, &gate_up, m, a->xn2, a->gate_up, a->h_gu);
        nn_swiglu(m, c->intermediate, a->gate_up, a->act);
        nn_linear_forward(b->adapter, &down, m, a->act, y, a->h_down);
        nn_add_row(y, a->mid, m * hidden);
    }
}

/* Through the MLP: dy in dx, derivative of xn2 out in w->narrow. */
static void mlp_back(const nn_block *b, size_t layer, nn_acts *a,
                     const nn_layer_scratch *w, float *gradient, const float *dx)
{
    nn_linear gate_up = nn_linear_gate_up(b->base, b->adapter, layer);
    nn_linear down = nn_linear_down(b->base, b->adapter, layer);

    nn_linear_back(b->adapter, &down, b->m, a->act, a->h_down, dx, w->dh, gradient,
                   w->wide, false);
    nn_swiglu_back(b->m, b->base->config.intermediate, w->wide, a->gate_up);
    nn_linear_back(b->adapter, &gate_up, b->m, a->xn2, a->h_gu, a->gate_up, w->dh,
                   gradient, w->narrow, false);
}

void nn_layer_back(const nn_block *b, size_t layer, nn_acts *a, const nn_layer_scratch *w,
                   float *gradient, float *dx, bool is_first)
{
    const nn_config *c = &b->base->config;
    const nn_layer *l = &b->base->layers[layer];
    size_t m = b->m, hidden = c->hidden;
    nn_linear qkv = nn_linear_qkv(b->base, b->adapter, layer);
    nn_linear o = nn_linear_o(b->base, b->adapter, layer);

    if (l->is_sparse)
        nn_experts_back(b, layer, a, w, gradient, dx, a->xn2);
    else
        mlp_back(b, layer, a, w, gradient, dx);
    nn_rms_norm_back(m, hidden, a->mid, hidden, l->norm2, a->rstd2,
                     l->is_sparse ? a->xn2 : w->narrow, hidden, dx, hidden, true);

    nn_linear_back(b->adapter, &o, m, a->att, a->h_o, dx, w->dh, gradient, w->att, false);
    if (is_first && !qkv.slots)
        return;
    attention_back(b, a, w, w->wide);
    rotate_rows(b, nn_rotate_back, w->wide);
    if (c->has_qk_norm)
        norm_heads_back(b, layer, a, w->wide);
    nn_linear_back(b->adapter, &qkv, m, a->xn1, a->h_qkv, w->wide, w->dh, gradient,
                   is_first ? NULL : w->narrow, false);
    if (!is_first)
        nn_rms_norm_back(m, hidden, a->x, hidden, l->norm1, a->rstd1, w->narrow, hidden,
                         dx, hidden, true);
}
