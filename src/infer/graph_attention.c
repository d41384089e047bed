/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_attention.c - the attention half of a layer.
 *
 *     y = rmsnorm(x); q, k, v = W y + b; q, k normalised per head where the model does
 *     that; q, k rotated; k, v stored; x += Wo attention(q)
 *
 * On a model with interleaved q and k rows (a llama GGUF) pairs (2i, 2i+1) are rotated:
 * scores are sums over a head, so the order of its elements does not matter to them.
 */
#include "infer/graph_in.h"

static void norm_row(void *ctx, size_t t)
{
    const layer_plan *plan = ctx;
    const tkx__graph *g = plan->graph;
    size_t n = g->config->hidden_size;

    tkx__rmsnorm(g->kernels, g->y + t * n, g->x + t * n,
                 g->weights->layers[plan->layer].vectors[TKX__VEC_ATTN_NORM], n,
                 g->config->rms_norm_eps);
}

static void norm_heads(const tkx__graph *g, float *x, size_t n_heads, const float *w)
{
    size_t n = g->config->head_dim;

    for (size_t h = 0; w && h < n_heads; h++)
        tkx__rmsnorm(g->kernels, x + h * n, x + h * n, w, n, g->config->rms_norm_eps);
}

/* Normalise and rotate heads of token t. */
static void turn_heads(const tkx__graph *g, size_t t, float *x, size_t n_heads,
                       const float *norm)
{
    size_t dim = g->config->head_dim;

    norm_heads(g, x, n_heads, norm);
    tkx__rope_apply(g->kernels, x, n_heads, dim, dim / 2, g->cos + t * (dim / 2),
                    g->sin + t * (dim / 2), g->weights->is_qk_interleaved);
}

/* q and k of token t, and k and v into the cache. */
static void place_row(void *ctx, size_t t)
{
    const layer_plan *plan = ctx;
    const tkx__graph *g = plan->graph;
    const tkx__model_config *c = g->config;
    const tkx__layer_weights *w = &g->weights->layers[plan->layer];
    size_t pos = g->tokens[t].pos;
    size_t row = plan->active ? g->tokens[t].wanted : t;
    float *k = g->k + t * c->n_kv_heads * c->head_dim;
    float *v = g->v + t * c->n_kv_heads * c->head_dim;
    tkx__kv_shape shape = tkx__kv_get_shape(g->kv);
    unsigned char *block = tkx__kv_layer(g->kv, plan->layer);

    if (row != TKX__NOT_WANTED)
        turn_heads(g, t, g->q + row * c->n_heads * c->head_dim, c->n_heads,
                   w->vectors[TKX__VEC_Q_NORM]);
    turn_heads(g, t, k, c->n_kv_heads, w->vectors[TKX__VEC_K_NORM]);
    block += g->attn_tokens[t].block_ids[pos / TKX__KV_BLOCK] * tkx__kv_stride(g->kv);
    tkx__kv_store(g->kernels, &shape, block, pos % TKX__KV_BLOCK, k, v);
}

static void attend(tkx__graph *g, layer_plan *plan)
{
    const tkx__model_config *c = g->config;
    size_t width = c->n_heads * c->head_dim;

    plan->attention = (tkx__attn_job){
        .work = g->work,
        .args = {.shape = tkx__kv_get_shape(g->kv),
                 .kv_base = tkx__kv_layer(g->kv, plan->layer),
                 .block_stride = tkx__kv_stride(g->kv),
                 .n_heads = c->n_heads,
                 .window = c->is_sliding[plan->layer] ? c->sliding_window : 0,
                 .scale = g->attn_scale,
                 .q = g->q,
                 .q_stride = width,
                 .out = g->att,
                 .out_stride = width,
                 .tokens = plan->active ? g->wanted_attn_tokens : g->attn_tokens,
                 .n_tok = plan->n_active}};
    tkx__graph_add_attention(g, &plan->attention);
}

void tkx__block_attention(tkx__graph *g, size_t layer)
{
    const tkx__model_config *c = g->config;
    layer_plan *plan = &g->plans[layer];
    float *const out[4] = {g->q, g->k, g->v, g->x};

    for (int i = 0; i < 4; i++) {
        bool is_o = i == 3;

        tkx__graph_product(plan, (tkx__layer_matrix)(TKX__MAT_Q + i),
                           (tkx__layer_vector)(TKX__VEC_Q_BIAS + i), out[i], is_o);
    }
    plan->qkv = (tkx__matmul_job){.work = g->work,
                                  .x = g->y,
                                  .x_stride = c->hidden_size,
                                  .n_x = g->n_tokens,
                                  .products = &plan->products[TKX__MAT_Q],
                                  .n_products = 3,
                                  .fill = norm_row,
                                  .fill_ctx = plan};
    plan->o = (tkx__matmul_job){.work = g->work,
                                .x = g->att,
                                .x_stride = c->n_heads * c->head_dim,
                                .n_x = plan->n_active,
                                .products = &plan->products[TKX__MAT_O],
                                .n_products = 1};
    tkx__graph_add_matmul(g, &plan->qkv);
    tkx__graph_add_rows(g, &plan->place, g->n_tokens, place_row, plan);
    if (plan->n_active == 0)
        return;
    attend(g, plan);
    tkx__graph_add_matmul(g, &plan->o);
}
