/* SPDX-License-Identifier: Apache-2.0 */
/* graph_mlp.c - the dense half of a layer: x += Wdown (silu(Wgate y) * (Wup y)). */
#include "infer/graph_in.h"

static void norm_row(tkx__graph *g, size_t t)
{
    size_t n = g->config->hidden_size;

    tkx__rmsnorm(g->kernels, g->y + t * n, g->x + t * n,
                 g->weights->layers[g->layer].vectors[TKX__VEC_MLP_NORM], n,
                 g->config->rms_norm_eps);
}

static void combine_row(tkx__graph *g, size_t t)
{
    size_t n = g->config->intermediate_size;

    tkx__swiglu(g->kernels, g->gate + t * n, g->gate + t * n, g->up + t * n, n);
}

void tkx__block_mlp(tkx__graph *g)
{
    const tkx__model_config *c = g->config;
    const tkx__layer_weights *w = &g->weights->layers[g->layer];
    const layer_matrices *m = &g->layers[g->layer];
    tkx__lora_use *loras = g->loras;

    tkx__graph_rows(g, g->n_tokens, norm_row);
    for (int i = 0; i < 2; i++) {
        g->products[i] = (tkx__product){.w = &m->dense[TKX__MAT_GATE + i],
                                        .bias = w->vectors[TKX__VEC_GATE_BIAS + i],
                                        .y = i ? g->up : g->gate,
                                        .y_stride = c->intermediate_size,
                                        .n_tok = g->n_tokens};
        tkx__graph_adapt(g, &g->products[i], &loras,
                         (tkx__layer_matrix)(TKX__MAT_GATE + i));
    }
    tkx__matmul(g->work, g->y, c->hidden_size, g->n_tokens, g->products, 2);
    tkx__graph_rows(g, g->n_tokens, combine_row);
    loras = g->loras;
    g->products[0] = (tkx__product){.w = &m->dense[TKX__MAT_DOWN],
                                    .bias = w->vectors[TKX__VEC_DOWN_BIAS],
                                    .y = g->x,
                                    .y_stride = c->hidden_size,
                                    .add = true,
                                    .n_tok = g->n_tokens};
    tkx__graph_adapt(g, &g->products[0], &loras, TKX__MAT_DOWN);
    tkx__matmul(g->work, g->gate, c->intermediate_size, g->n_tokens, g->products, 1);
}
