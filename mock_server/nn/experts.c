/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experts.c - the sparse MLP of qwen3moe: router, the k best experts of each row, their
 * sum.
 *
 * Rows are sorted by expert and then by row, so that each expert is three products over
 * neighbouring rows.  The router is not adapted, but the derivative passes through it:
 * the shares depend on the row.
 */
#include <string.h>

#include "mock_server/nn/gemm.h"
#include "mock_server/nn/layer.h"
#include "mock_server/nn/linear.h"
#include "mock_server/nn/ops.h"

/* The index of the largest probability not yet picked; the lowest on ties. */
static size_t best_expert(const float *probs, const bool *is_picked, size_t n)
{
    size_t best = n;

    for (size_t e = 0; e < n; e++)
        if (!is_picked[e] && (best == n || probs[e] > probs[best]))
            best = e;
    return best;
}

/* Sum of the probabilities of the experts picked for one row. */
static double picked_total(const float *probs, const bool *is_picked, size_t n)
{
    double total = 0;

    for (size_t e = 0; e < n; e++)
        total += is_picked[e] ? (double)probs[e] : 0;
    return total;
}

/* One row's place among those of expert e: its number, its share, a copy of it. */
static void place_row(const nn_config *c, nn_expert_acts *a, size_t at, size_t i,
                      size_t e, const float *x)
{
    const float *probs = a->probs + i * c->n_experts;
    double share = (double)probs[e];

    if (c->norm_topk_prob)
        share /= picked_total(probs, a->is_picked + i * c->n_experts, c->n_experts);
    a->tokens[at] = i;
    a->weights[at] = (float)share;
    memcpy(a->x + at * c->hidden, x + i * c->hidden, c->hidden * sizeof *x);
}

static void sort_rows(const nn_config *c, size_t m, nn_expert_acts *a, const float *x)
{
    size_t at = 0;

    for (size_t e = 0; e < c->n_experts; e++) {
        a->offsets[e] = at;
        for (size_t i = 0; i < m; i++)
            if (a->is_picked[i * c->n_experts + e])
                place_row(c, a, at++, i, e, x);
    }
    a->offsets[c->n_experts] = at;
}

static void route(const nn_block *b, size_t layer, const float *x, nn_expert_acts *a)
{
    const nn_config *c = &b->base->config;
    size_t n = c->n_experts;
    float max;

    nn_gemm_nt(b->m, n, c->hidden, 1, x, c->hidden, b->base->layers[layer].router,
               c->hidden, 0, a->probs, n);
    memset(a->is_picked, 0, b->m * n * sizeof *a->is_picked);
    for (size_t i = 0; i < b->m; i++) {
        float *row = a->probs + i * n;
        double sum = nn_exp_row(row, n, &max);

        nn_scale_row(row, n, (float)(1 / sum));
        for (size_t k = 0; k < c->n_experts_used; k++)
            a->is_picked[i * n + best_expert(row, a->is_picked + i * n, n)] = true;
    }
    sort_rows(c, b->m, a, x);
}

void nn_experts_forward(const nn_block *b, size_t layer, nn_acts *a, float *y)
{
    const nn_config *c = &b->base->config;
    nn_expert_acts *x = &a->experts;
    size_t rank = b->adapter ? b->adapter->rank : 0, f = c->moe_intermediate;
    size_t hidden = c->hidden;

    route(b, layer, a->xn2, x);
    for (size_t e = 0; e < c->n_experts; e++) {
        size_t at = x->offsets[e], n = x->offsets[e + 1] - at;
        nn_linear gate_up = nn_linear_expert_gate_up(b->base, b->adapter, layer, e);
        nn_linear down = nn_linear_expert_down(b->base, b->adapter, layer, e);

        if (n == 0)
            continue;
        nn_linear_forward(b->adapter, &gate_up, n, x->x + at * hidden,
                          x->gate_up + at * 2 * f, x->h_gu + at * 2 * rank);
        nn_swiglu(n, f, x->gate_up + at * 2 * f, x->act + at * f);
        nn_linear_forward(b->adapter, &down, n, x->act + at * f, x->out + at * hidden,
                          x->h_down + at * rank);
        for (size_t i = at; i < at + n; i++)
            nn_axpy_row(x->weights[i], x->out + i * hidden, y + x->tokens[i] * hidden,
                        hidden);
    }
}

/* d[m, n_experts], derivative of the shares, becomes that of the router's logits. */
static void route_back(const nn_config *c, size_t m, const nn_expert_acts *a, float *d)
{
    size_t n = c->n_experts;

    for (size_t i = 0; i < m; i++) {
        const float *p = a->probs + i * n;
        const bool *picked = a->is_picked + i * n;
        float *row = d + i * n; /* zero where not picked */
        double total = picked_total(p, picked, n), mean = 0;

        for (size_t e = 0; e < n; e++)
            mean += (double)p[e] * (double)row[e];
        if (c->norm_topk_prob) { /* share = p / total */
            for (size_t e = 0; e < n; e++)
                if (picked[e])
                    row[e] = (float)(((double)row[e] - mean / total) / total);
            mean = 0; /* of p * d over the picked: nothing is left */
        }
        for (size_t e = 0; e < n; e++) /* softmax */
            row[e] = (float)((double)p[e] * ((double)row[e] - mean));
    }
}

/* One expert: derivative of its sorted rows into w->narrow, gradients added. */
static void expert_back(const nn_block *b, size_t layer, size_t e, nn_expert_acts *x,
                        const nn_layer_scratch *w, float *gradient, float *dxn2)
{
    const nn_config *c = &b->base->config;
    size_t rank = b->adapter ? b->adapter->rank : 0, f = c->moe_intermediate;
    size_t hidden = c->hidden, at = x->offsets[e], n = x->offsets[e + 1] - at;
    nn_linear gate_up = nn_linear_expert_gate_up(b->base, b->adapter, layer, e);
    nn_linear down = nn_linear_expert_down(b->base, b->adapter, layer, e);

    nn_linear_back(b->adapter, &down, n, x->act + at * f, x->h_down + at * rank,
                   w->narrow + at * hidden, w->dh, gradient, w->wide, false);
    nn_swiglu_back(n, f, w->wide, x->gate_up + at * 2 * f);
    nn_linear_back(b->adapter, &gate_up, n, x->x + at * hidden, x->h_gu + at * 2 * rank,
                   x->gate_up + at * 2 * f, w->dh, gradient, w->narrow + at * hidden,
                   false);
    for (size_t i = at; i < at + n; i++)
        nn_add_row(dxn2 + x->tokens[i] * hidden, w->narrow + i * hidden, hidden);
}

void nn_experts_back(const nn_block *b, size_t layer, nn_acts *a,
                     const nn_layer_scratch *w, float *gradient, const float *dy,
                     float *dxn2)
{
    const nn_config *c = &b->base->config;
    nn_expert_acts *x = &a->experts;
    size_t hidden = c->hidden, n_experts = c->n_experts, m = b->m;

    memset(w->shares, 0, m * n_experts * sizeof(float));
    for (size_t e = 0; e < n_experts; e++)
        for (size_t i = x->offsets[e]; i < x->offsets[e + 1]; i++) {
            const float *up = dy + x->tokens[i] * hidden;
            float *to = w->narrow + i * hidden;

            w->shares[x->tokens[i] * n_experts + e] =
                nn_dot_row(up, x->out + i * hidden, hidden);
            memcpy(to, up, hidden * sizeof *to);
            nn_scale_row(to, hidden, x->weights[i]);
        }
    route_back(c, m, x, w->shares);
    nn_gemm_nn(m, hidden, n_experts, 1, w->shares, n_experts,
               b->base->layers[layer].router, hidden, 0, dxn2, hidden);
    for (size_t e = 0; e < n_experts; e++)
        if (x->offsets[e + 1] > x->offsets[e])
            expert_back(b, layer, e, x, w, gradient, dxn2);
}
