/* SPDX-License-Identifier: Apache-2.0 */
/* graph_mlp.c - the dense half of a layer: x += Wdown (silu(Wgate y) * (Wup y)). */
#include "infer/graph_in.h"

void tkx__graph_mlp_norm(void *ctx, size_t i)
{
    const layer_plan *plan = ctx;
    const tkx__graph *g = plan->graph;
    size_t n = g->config->hidden_size;

    tkx__rmsnorm(g->kernels, g->y + i * n, g->x + tkx__graph_token(plan, i) * n,
                 g->weights->layers[plan->layer].vectors[TKX__VEC_MLP_NORM], n,
                 g->config->rms_norm_eps);
}

static void combine_row(void *ctx, size_t t)
{
    const layer_plan *plan = ctx;
    const tkx__graph *g = plan->graph;
    size_t n = g->config->intermediate_size;

    tkx__swiglu(g->kernels, g->gate + t * n, g->gate + t * n, g->up + t * n, n);
}

void tkx__block_mlp(tkx__graph *g, size_t layer)
{
    const tkx__model_config *c = g->config;
    layer_plan *plan = &g->plans[layer];
    float *const out[3] = {g->gate, g->up, g->x};

    for (int i = 0; i < 3; i++) {
        bool is_down = i == 2;

        tkx__graph_product(plan, (tkx__layer_matrix)(TKX__MAT_GATE + i),
                           (tkx__layer_vector)(TKX__VEC_GATE_BIAS + i), out[i], is_down);
    }
    plan->up = (tkx__matmul_job){.work = g->work,
                                 .x = g->y,
                                 .x_stride = c->hidden_size,
                                 .n_x = plan->n_active,
                                 .products = &plan->products[TKX__MAT_GATE],
                                 .n_products = 2,
                                 .fill = tkx__graph_mlp_norm,
                                 .fill_ctx = plan};
    plan->down = (tkx__matmul_job){.work = g->work,
                                   .x = g->gate,
                                   .x_stride = c->intermediate_size,
                                   .n_x = plan->n_active,
                                   .products = &plan->products[TKX__MAT_DOWN],
                                   .n_products = 1,
                                   .fill = combine_row,
                                   .fill_ctx = plan};
    tkx__graph_add_matmul(g, &plan->up);
    tkx__graph_add_matmul(g, &plan->down);
}
