/* SPDX-License-Identifier: Apache-2.0 */
/* graph_memory.c - making a graph: matrices as the kernels take them, and scratch. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/graph_in.h"

#define DEFAULT_TOKENS 512
#define DEFAULT_LOGITS 32

static size_t max_of(size_t a, size_t b)
{
    return a > b ? a : b;
}

static tkx__graph_options with_defaults(const tkx__graph_options *options)
{
    tkx__graph_options o = *options;

    if (o.max_tokens == 0)
        o.max_tokens = DEFAULT_TOKENS;
    if (o.max_parts == 0)
        o.max_parts = o.max_tokens;
    if (o.max_logits == 0)
        o.max_logits = DEFAULT_LOGITS;
    return o;
}

/* Rows that the second half of a layer works on. */
static size_t n_slots(const tkx__model_config *c, size_t n_tokens)
{
    return c->n_experts ? n_tokens * c->n_experts_per_tok : n_tokens;
}

static size_t widest_ffn(const tkx__model_config *c)
{
    return max_of(c->intermediate_size, c->moe_intermediate_size);
}

static tkx__work_limits limits_for(const tkx__model_config *c,
                                   const tkx__graph_options *o, size_t max_rank)
{
    tkx__work_limits limits = {
        .max_tokens = max_of(n_slots(c, o->max_tokens), o->max_logits),
        .max_cols =
            max_of(max_of(c->hidden_size, c->n_heads * c->head_dim), widest_ffn(c)),
        .max_rank = max_rank,
        .max_loras = max_rank ? 3 * TKX__GRAPH_MAX_ADAPTERS : 0,
    };

    return limits;
}

/* ---- scratch, counted or taken by the same list ---- */

typedef struct taker {
    tkx__graph *g; /* NULL: only count */
    size_t bytes;
    bool is_short;
} taker;

static void *take(taker *t, size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (!tkx__mul(count, size, &bytes) || !tkx__add(t->bytes, bytes, &t->bytes)) {
        t->is_short = true;
        return NULL;
    }
    if (!t->g || t->is_short)
        return NULL;
    p = tkx__calloc(count ? count : 1, size);
    if (p)
        t->g->memory[t->g->n_memory++] = p;
    else
        t->is_short = true;
    return p;
}

/* [rows, cols] floats */
static float *floats(taker *t, size_t rows, size_t cols)
{
    return take(t, rows, cols * sizeof(float));
}

static void take_scratch(taker *t, tkx__graph *g, const tkx__model_config *c,
                         const tkx__graph_options *o)
{
    size_t T = o->max_tokens;
    size_t S = n_slots(c, T);
    size_t R = o->max_logits;

    g->tokens = take(t, T, sizeof *g->tokens);
    g->attn_tokens = take(t, T, sizeof *g->attn_tokens);
    g->wanted = take(t, T, sizeof *g->wanted);
    g->wanted_attn_tokens = take(t, T, sizeof *g->wanted_attn_tokens);
    for (size_t i = 0; i < TKX__GRAPH_MAX_ADAPTERS; i++) {
        g->uses[i].tokens = take(t, 2 * T, sizeof *g->uses[i].tokens);
        g->uses[i].wanted = g->uses[i].tokens ? g->uses[i].tokens + T : NULL;
    }
    g->x = floats(t, T, c->hidden_size);
    g->y = floats(t, T, c->hidden_size);
    g->q = floats(t, T, c->n_heads * c->head_dim);
    g->k = floats(t, T, c->n_kv_heads * c->head_dim);
    g->v = floats(t, T, c->n_kv_heads * c->head_dim);
    g->att = floats(t, T, c->n_heads * c->head_dim);
    g->cos = floats(t, T, c->head_dim / 2);
    g->sin = floats(t, T, c->head_dim / 2);
    g->gate = floats(t, S, widest_ffn(c));
    g->up = floats(t, S, widest_ffn(c));
    g->use_indices = take(t, max_of(2 * S, R), sizeof *g->use_indices);
    g->products = take(t, 2 * c->n_experts, sizeof *g->products);
    g->loras = take(t, 3 * TKX__GRAPH_MAX_ADAPTERS, sizeof *g->loras);
    g->head_rows = floats(t, R, c->hidden_size);
    g->logits = floats(t, R, c->vocab_size);
    g->rows = take(t, R, sizeof *g->rows);
    g->row_tokens = take(t, R, sizeof *g->row_tokens);
    if (c->n_experts == 0)
        return;
    g->slots = floats(t, S, c->hidden_size);
    g->router = floats(t, T, c->n_experts);
    g->share = floats(t, S, 1);
    g->chosen = take(t, S, sizeof *g->chosen);
    g->slot_tokens = take(t, S, sizeof *g->slot_tokens);
    g->slot_ids = take(t, S, sizeof *g->slot_ids);
    g->expert_first = take(t, c->n_experts + 1, sizeof *g->expert_first);
}

size_t tkx__graph_scratch_bytes(const tkx__model_config *config,
                                const tkx__graph_options *options)
{
    tkx__graph_options o = with_defaults(options);
    tkx__work_limits limits = limits_for(config, &o, 0);
    taker t = {0};
    tkx__graph ignored;
    size_t work;

    take_scratch(&t, &ignored, config, &o);
    /* both 8-bit forms of the activations take about as much again as a float16 copy */
    if (!tkx__mul(limits.max_tokens, limits.max_cols * 5 / 2, &work) ||
        !tkx__add(t.bytes, work, &t.bytes) || t.is_short)
        return SIZE_MAX;
    return t.bytes;
}

/* ---- matrices ---- */

static tkx__matrix as_matrix(const tkx__stored *s)
{
    tkx__matrix m = {.data = s->data,
                     .n_rows = s->n_rows,
                     .n_cols = s->n_cols,
                     .row_size = s->row_bytes,
                     .is_packed = s->is_packed};

    m.type = (tkx__wtype)tkx__dtype_get(s->dtype)->gguf_id; /* both count as GGUF does */
    return m;
}

static tkx_status make_plans(tkx__graph *g, taker *t, tkx_error **err)
{
    size_t n_layers = g->config->n_layers;
    size_t n_loras = (size_t)TKX__MAT_ROUTER * TKX__GRAPH_MAX_ADAPTERS;
    tkx__lora_use *loras;
    size_t n_phases;

    if (!tkx__mul(n_layers, PHASES_OF_LAYER, &n_phases) ||
        !tkx__add(n_phases, PHASES_BESIDE, &n_phases))
        return tkx__fail_memory(err);
    g->phases = take(t, n_phases, sizeof *g->phases);
    g->plans = take(t, n_layers, sizeof *g->plans);
    loras = take(t, n_layers, n_loras * sizeof *loras);
    if (!g->phases || !g->plans || !loras)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < n_layers; i++) {
        g->plans[i].graph = g;
        g->plans[i].layer = i;
        g->plans[i].loras = loras + i * n_loras;
    }
    return TKX_OK;
}

static tkx_status set_matrices(tkx__graph *g, taker *t, tkx_error **err)
{
    const tkx__model_config *c = g->config;

    g->embedding = as_matrix(&g->weights->embedding);
    g->head = as_matrix(&g->weights->head);
    g->layers = take(t, c->n_layers, sizeof *g->layers);
    g->packed = take(t, 2 * c->n_layers + 1, sizeof *g->packed);
    if (!g->layers || !g->packed)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < c->n_layers; i++) {
        const tkx__layer_weights *w = &g->weights->layers[i];
        layer_matrices *m = &g->layers[i];

        for (int j = 0; j < TKX__N_LAYER_MATRICES; j++)
            m->dense[j] = as_matrix(&w->matrices[j]);
        if (!w->experts)
            continue;
        m->experts = g->experts + i * 3 * c->n_experts;
        for (size_t e = 0; e < 3 * c->n_experts; e++)
            m->experts[e] = as_matrix(&w->experts[e]);
    }
    return TKX_OK;
}

tkx_status tkx__graph_new(const tkx__weights *weights, const tkx__kernels *kernels,
                          tkx__threads *pool, tkx__kv *kv,
                          const tkx__graph_options *options, tkx__graph **out,
                          tkx_error **err)
{
    tkx__graph *g = tkx__calloc(1, sizeof *g);
    const tkx__model_config *c = &weights->config;
    taker t = {.g = g};
    size_t n_experts;
    tkx_status st;

    if (!g)
        return tkx__fail_memory(err);
    g->weights = weights;
    g->config = c;
    g->kernels = kernels;
    g->pool = pool;
    g->kv = kv;
    g->options = with_defaults(options);
    g->attn_scale = (float)(1 / sqrt((double)c->head_dim));
    g->limits = limits_for(c, &g->options, 0);
    take_scratch(&t, g, c, &g->options);
    if (!tkx__mul(c->n_layers, 3 * c->n_experts, &n_experts))
        t.is_short = true;
    else if (n_experts)
        g->experts = take(&t, n_experts, sizeof *g->experts);
    st = t.is_short ? tkx__fail(err, TKX_ERR_NO_MEMORY,
                                "no memory for %zu bytes of scratch", t.bytes)
                    : set_matrices(g, &t, err);
    if (st == TKX_OK)
        st = make_plans(g, &t, err);
    if (st == TKX_OK)
        st = tkx__work_new(kernels, pool, g->options.compute, &g->limits, &g->work, err);
    if (st == TKX_OK) {
        *out = g;
        return TKX_OK;
    }
    tkx__graph_free(g);
    return st;
}

void tkx__graph_free(tkx__graph *graph)
{
    if (!graph)
        return;
    tkx__work_free(graph->work);
    tkx__graph_unpack(graph);
    for (size_t i = 0; i < graph->n_memory; i++)
        tkx__free(graph->memory[i]);
    tkx__free(graph);
}

size_t tkx__graph_max_tokens(const tkx__graph *graph)
{
    return graph->options.max_tokens;
}

size_t tkx__graph_max_parts(const tkx__graph *graph)
{
    return graph->options.max_parts;
}

tkx_status tkx__graph_admit(tkx__graph *graph, const tkx__adapter *adapter,
                            tkx_error **err)
{
    size_t rank = tkx__adapter_rank(adapter);
    tkx__work_limits limits;
    tkx__work *work;
    tkx_status st;

    if (rank <= graph->limits.max_rank)
        return TKX_OK;
    limits = limits_for(graph->config, &graph->options, rank);
    st = tkx__work_new(graph->kernels, graph->pool, graph->options.compute, &limits,
                       &work, err);
    if (st != TKX_OK)
        return st;
    tkx__work_free(graph->work);
    graph->work = work;
    graph->limits = limits;
    return TKX_OK;
}
