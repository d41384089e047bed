/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_experts.c - the sparse half of a layer (qwen3moe).
 *
 * The router's softmax chooses n_experts_per_tok experts for each token, the lowest index
 * on ties.  Slot t * n_experts_per_tok + i is the i-th choice of active row t.  Rows are
 * grouped by expert for the products; each row sums its slots in the order of choice, so
 * that its result does not depend on who else is in the step.
 */
#include <math.h>

#include "infer/graph_in.h"

/* The experts of row t and their shares. */
static void choose_row(void *ctx, size_t t)
{
    const tkx__graph *g = ctx;
    const tkx__model_config *c = g->config;
    float *p = g->router + t * c->n_experts;
    uint32_t *chosen = g->chosen + t * c->n_experts_per_tok;
    float *share = g->share + t * c->n_experts_per_tok;
    float sum = 0;

    tkx__softmax(g->kernels, p, c->n_experts);
    for (size_t i = 0; i < c->n_experts_per_tok; i++) {
        size_t best = tkx__argmax(g->kernels, p, c->n_experts);

        chosen[i] = (uint32_t)best;
        share[i] = p[best];
        sum += p[best];
        p[best] = -INFINITY; /* taken */
    }
    for (size_t i = 0; c->norm_topk_prob && i < c->n_experts_per_tok; i++)
        share[i] /= sum;
}

static void route(tkx__graph *g, layer_plan *plan)
{
    const tkx__model_config *c = g->config;
    tkx__product p = {.w = &g->layers[plan->layer].dense[TKX__MAT_ROUTER],
                      .y = g->router,
                      .y_stride = c->n_experts,
                      .n_tok = plan->n_active};

    tkx__graph_rows(g, plan->n_active, tkx__graph_mlp_norm, plan);
    tkx__matmul(g->work, g->y, c->hidden_size, plan->n_active, &p, 1);
    tkx__graph_rows(g, plan->n_active, choose_row, g);
}

/* Counting sort of the slots by expert; within an expert rows ascend. */
static void group_by_expert(tkx__graph *g, size_t n_rows)
{
    const tkx__model_config *c = g->config;
    size_t n_slots = n_rows * c->n_experts_per_tok;
    size_t *first = g->expert_first;

    for (size_t e = 0; e <= c->n_experts; e++)
        first[e] = 0;
    for (size_t s = 0; s < n_slots; s++)
        first[g->chosen[s] + 1]++;
    for (size_t e = 0; e < c->n_experts; e++)
        first[e + 1] += first[e];
    for (size_t s = 0; s < n_slots; s++) {
        size_t at = first[g->chosen[s]]++;

        g->slot_ids[at] = (uint32_t)s;
        g->slot_tokens[at] = (uint32_t)(s / c->n_experts_per_tok);
    }
    for (size_t e = c->n_experts; e > 0; e--) /* each start was moved to its end */
        first[e] = first[e - 1];
    first[0] = 0;
}

/* ---- products of the chosen experts ---- */

/* Products under way: sent off when the room for adapters is used up. */
typedef struct batch {
    tkx__graph *g;
    size_t layer;
    const float *x;
    size_t x_stride;
    size_t n_x;
    size_t n_products;
    size_t n_loras;
    size_t n_indices;
} batch;

static void flush(batch *b)
{
    tkx__matmul(b->g->work, b->x, b->x_stride, b->n_x, b->g->products, b->n_products);
    b->n_products = 0;
    b->n_loras = 0;
    b->n_indices = 0;
}

/* The adapters of an expert's product: which of its tokens use which. */
static void adapt(batch *b, tkx__product *p, tkx__layer_matrix matrix, size_t expert)
{
    tkx__graph *g = b->g;
    const layer_plan *plan = &g->plans[b->layer];
    const uint32_t *tokens = g->slot_tokens + g->expert_first[expert];

    p->loras = g->loras + b->n_loras;
    for (size_t u = 0; u < g->n_uses; u++) {
        const tkx__adapter *adapter = g->uses[u].adapter;
        const tkx__lora *pair = tkx__adapter_find(adapter, b->layer, matrix, expert);
        uint32_t *indices = g->use_indices + b->n_indices;
        size_t n = 0;

        for (size_t i = 0; pair && i < p->n_tok; i++) {
            if (g->tokens[tkx__graph_token(plan, tokens[i])].use == (int)u)
                indices[n++] = (uint32_t)i;
        }
        if (n == 0)
            continue;
        g->loras[b->n_loras++] = (tkx__lora_use){.a = &pair->a,
                                                 .b = &pair->b,
                                                 .scale = tkx__adapter_scale(adapter),
                                                 .indices = indices,
                                                 .n = n};
        b->n_indices += n;
        p->n_loras++;
    }
}

static void add_product(batch *b, tkx__layer_matrix matrix, size_t expert,
                        const uint32_t *x_rows, float *y, size_t y_stride)
{
    tkx__graph *g = b->g;
    size_t first = g->expert_first[expert];
    size_t n = g->expert_first[expert + 1] - first;
    tkx__product *p;

    if (n == 0)
        return;
    if (g->n_uses && b->n_loras + g->n_uses > g->limits.max_loras)
        flush(b);
    p = &g->products[b->n_products++];
    *p = (tkx__product){
        .w = &g->layers[b->layer]
                  .experts[(size_t)(matrix - TKX__MAT_GATE) * g->config->n_experts +
                           expert],
        .y = y,
        .y_stride = y_stride,
        .x_rows = x_rows + first,
        .y_rows = g->slot_ids + first,
        .n_tok = n};
    adapt(b, p, matrix, expert);
}

static void combine_slot(void *ctx, size_t s)
{
    const tkx__graph *g = ctx;
    size_t n = g->config->moe_intermediate_size;

    tkx__swiglu(g->kernels, g->gate + s * n, g->gate + s * n, g->up + s * n, n);
}

static void sum_row(void *ctx, size_t t)
{
    const layer_plan *plan = ctx;
    const tkx__graph *g = plan->graph;
    const tkx__model_config *c = g->config;
    size_t n = c->hidden_size;
    float *x = g->x + tkx__graph_token(plan, t) * n;

    for (size_t i = 0; i < c->n_experts_per_tok; i++) {
        size_t s = t * c->n_experts_per_tok + i;

        tkx__axpy(g->kernels, x, g->share[s], g->slots + s * n, n);
    }
}

void tkx__block_experts(tkx__graph *g, size_t layer)
{
    const tkx__model_config *c = g->config;
    layer_plan *plan = &g->plans[layer];
    size_t n_slots = plan->n_active * c->n_experts_per_tok;
    size_t ffn = c->moe_intermediate_size;
    batch in = {.g = g,
                .layer = layer,
                .x = g->y,
                .x_stride = c->hidden_size,
                .n_x = plan->n_active};
    batch out = {.g = g, .layer = layer, .x = g->gate, .x_stride = ffn, .n_x = n_slots};

    if (plan->n_active == 0)
        return;
    tkx__graph_run(g); /* who goes to which expert depends on all before */
    route(g, plan);
    group_by_expert(g, plan->n_active);
    for (size_t e = 0; e < c->n_experts; e++) {
        add_product(&in, TKX__MAT_GATE, e, g->slot_tokens, g->gate, ffn);
        add_product(&in, TKX__MAT_UP, e, g->slot_tokens, g->up, ffn);
    }
    flush(&in);
    tkx__graph_rows(g, n_slots, combine_slot, g);
    for (size_t e = 0; e < c->n_experts; e++)
        add_product(&out, TKX__MAT_DOWN, e, g->slot_ids, g->slots, c->hidden_size);
    flush(&out);
    tkx__graph_rows(g, plan->n_active, sum_row, plan);
}
