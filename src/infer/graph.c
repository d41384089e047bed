/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph.c - one step over a batch: embeddings, layers, logits.
 *
 * The layers themselves are in graph_attention.c, graph_mlp.c and graph_experts.c, chosen
 * through arch.c; they append to a list of phases (graph_program.c) that is run with the
 * first logits.  Memory is taken in graph_memory.c.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "infer/graph_in.h"

/* ---- adapters ---- */

static void add_lora(tkx__product *p, tkx__lora_use **loras, const tkx__adapter *adapter,
                     const tkx__lora *pair, const uint32_t *indices, size_t n)
{
    if (!pair || n == 0)
        return;
    **loras = (tkx__lora_use){.a = &pair->a,
                              .b = &pair->b,
                              .scale = tkx__adapter_scale(adapter),
                              .indices = n == p->n_tok ? NULL : indices,
                              .n = n};
    (*loras)++;
    p->n_loras++;
}

void tkx__graph_product(layer_plan *plan, tkx__layer_matrix matrix,
                        tkx__layer_vector bias, float *y, bool add)
{
    tkx__graph *g = plan->graph;
    const tkx__matrix *w = &g->layers[plan->layer].dense[matrix];
    tkx__lora_use *loras = plan->loras + (size_t)matrix * TKX__GRAPH_MAX_ADAPTERS;
    tkx__product *p = &plan->products[matrix];
    bool is_all = !plan->active || matrix == TKX__MAT_K || matrix == TKX__MAT_V;

    *p = (tkx__product){.w = w,
                        .bias = g->weights->layers[plan->layer].vectors[bias],
                        .y = y,
                        .y_stride = w->n_rows,
                        .add = add,
                        .x_rows = !is_all && matrix == TKX__MAT_Q ? plan->active : NULL,
                        .y_rows = !is_all && add ? plan->active : NULL,
                        .n_tok = is_all ? g->n_tokens : plan->n_active,
                        .loras = loras};
    for (size_t u = 0; u < g->n_uses; u++) {
        const adapter_use *use = &g->uses[u];

        add_lora(p, &loras, use->adapter,
                 tkx__adapter_find(use->adapter, plan->layer, matrix, 0),
                 is_all ? use->tokens : use->wanted, is_all ? use->n : use->n_wanted);
    }
}

/* ---- the step's tokens ---- */

static tkx_status check_part(const tkx__graph *g, const tkx__step_part *part,
                             tkx_error **err)
{
    if (part->n_tokens == 0 || part->n_logits > part->n_tokens)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a part of a step with %zu tokens, %zu of them with logits",
                         part->n_tokens, part->n_logits);
    for (size_t i = 0; i < part->n_tokens; i++) {
        if (part->tokens[i] < 0 || (uint64_t)part->tokens[i] >= g->config->vocab_size)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "token %" PRId64
                             " at position %zu is outside the vocabulary of %zu",
                             part->tokens[i], part->pos + i, g->config->vocab_size);
    }
    if (part->adapter && tkx__adapter_rank(part->adapter) > g->limits.max_rank)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "an adapter that was not admitted");
    return TKX_OK;
}

static tkx_status check(const tkx__graph *g, const tkx__step_part *parts, size_t n_parts,
                        tkx_error **err)
{
    size_t n_tokens = 0;

    if (n_parts == 0 || n_parts > g->options.max_parts)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "a step of %zu parts; 1 to %zu can be", n_parts,
                         g->options.max_parts);
    for (size_t i = 0; i < n_parts; i++) {
        tkx_status st = check_part(g, &parts[i], err);

        if (st != TKX_OK)
            return st;
        if (parts[i].n_tokens > g->options.max_tokens - n_tokens)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "a step of more than %zu tokens", g->options.max_tokens);
        n_tokens += parts[i].n_tokens;
    }
    return TKX_OK;
}

/* Index of the adapter among those of the step, added if new; -1 when there are too many.
 */
static int find_use(tkx__graph *g, const tkx__adapter *adapter)
{
    for (size_t u = 0; u < g->n_uses; u++) {
        if (g->uses[u].adapter == adapter)
            return (int)u;
    }
    if (g->n_uses == TKX__GRAPH_MAX_ADAPTERS)
        return -1;
    g->uses[g->n_uses].adapter = adapter;
    g->uses[g->n_uses].n = 0;
    g->uses[g->n_uses].n_wanted = 0;
    return (int)g->n_uses++;
}

static void want(tkx__graph *g, size_t t, adapter_use *use)
{
    size_t i = g->n_wanted++;

    g->tokens[t].wanted = i;
    g->wanted[i] = (uint32_t)t;
    g->wanted_attn_tokens[i] = g->attn_tokens[t];
    if (use)
        use->wanted[use->n_wanted++] = (uint32_t)i;
}

/* Token i of part p. */
static void set_token(tkx__graph *g, size_t p, size_t i, int use)
{
    const tkx__step_part *part = &g->parts[p];
    adapter_use *u = use < 0 ? NULL : &g->uses[use];
    size_t t = g->n_tokens++;

    g->tokens[t] = (step_token){part->tokens[i], part->pos + i, p, use, TKX__NOT_WANTED};
    g->attn_tokens[t] = (tkx__attn_token){part->block_ids, part->pos + i};
    if (u)
        u->tokens[u->n++] = (uint32_t)t;
    if (i >= part->n_tokens - part->n_logits)
        want(g, t, u);
}

static tkx_status set_tokens(tkx__graph *g, const tkx__step_part *parts, size_t n_parts,
                             tkx_error **err)
{
    g->parts = parts;
    g->n_tokens = 0;
    g->n_uses = 0;
    g->n_wanted = 0;
    for (size_t p = 0; p < n_parts; p++) {
        int use = -1;

        if (parts[p].adapter) {
            use = find_use(g, parts[p].adapter);
            if (use < 0)
                return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                                 "a step with more than %d different adapters",
                                 TKX__GRAPH_MAX_ADAPTERS);
        }
        for (size_t i = 0; i < parts[p].n_tokens; i++)
            set_token(g, p, i, use);
    }
    return TKX_OK;
}

static void start_row(void *ctx, size_t t)
{
    const tkx__graph *g = ctx;
    size_t half = g->config->head_dim / 2;
    float magnitude = (float)g->config->rope.magnitude;

    tkx__matrix_row(g->kernels, &g->embedding, (size_t)g->tokens[t].id,
                    g->x + t * g->config->hidden_size);
    tkx__rope_row(g->weights->inv_freq, half, g->tokens[t].pos, g->cos + t * half,
                  g->sin + t * half);
    for (size_t i = t * half; magnitude != 1 && i < (t + 1) * half; i++) {
        g->cos[i] *= magnitude;
        g->sin[i] *= magnitude;
    }
}

/* ---- logits ---- */

static void head_row(void *ctx, size_t r)
{
    const tkx__graph *g = ctx;
    size_t n = g->config->hidden_size;

    tkx__rmsnorm(g->kernels, g->head_rows + r * n, g->x + g->row_tokens[r] * n,
                 g->weights->norm, n, g->config->rms_norm_eps);
}

static void adapt_head(tkx__graph *g, tkx__product *p)
{
    tkx__lora_use *loras = g->loras;
    uint32_t *indices = g->use_indices;

    p->loras = loras;
    for (size_t u = 0; u < g->n_uses; u++) {
        size_t n = 0;

        for (size_t r = 0; r < p->n_tok; r++) {
            if (g->tokens[g->row_tokens[r]].use == (int)u)
                indices[n++] = (uint32_t)r;
        }
        add_lora(p, &loras, g->uses[u].adapter, tkx__adapter_head(g->uses[u].adapter),
                 indices, n);
        indices += n;
    }
}

static void emit(tkx__graph *g, size_t n_rows, tkx__logits_fn *fn, void *ctx)
{
    const tkx__model_config *c = g->config;

    g->head_product = (tkx__product){
        .w = &g->head, .y = g->logits, .y_stride = c->vocab_size, .n_tok = n_rows};
    g->head_job = (tkx__matmul_job){.work = g->work,
                                    .x = g->head_rows,
                                    .x_stride = c->hidden_size,
                                    .n_x = n_rows,
                                    .products = &g->head_product,
                                    .n_products = 1,
                                    .fill = head_row,
                                    .fill_ctx = g};
    adapt_head(g, &g->head_product);
    tkx__graph_add_matmul(g, &g->head_job);
    tkx__graph_run(g);
    if (n_rows)
        fn(ctx, g->rows, n_rows, g->logits);
}

static void run_head(tkx__graph *g, tkx__logits_fn *fn, void *ctx)
{
    size_t n_rows = 0;

    for (size_t i = 0; i < g->n_wanted; i++) {
        const step_token *t = &g->tokens[g->wanted[i]];

        if (n_rows == g->options.max_logits) {
            emit(g, n_rows, fn, ctx);
            n_rows = 0;
        }
        g->rows[n_rows] = (tkx__logits_row){t->part, t->pos - g->parts[t->part].pos};
        g->row_tokens[n_rows++] = g->wanted[i];
    }
    emit(g, n_rows, fn, ctx);
}

/* Who goes on when a layer's keys and values are stored. */
static void set_active(tkx__graph *g, size_t layer)
{
    layer_plan *plan = &g->plans[layer];
    bool is_all = layer + 1 < g->config->n_layers || g->n_wanted == g->n_tokens;

    plan->active = is_all ? NULL : g->wanted;
    plan->n_active = is_all ? g->n_tokens : g->n_wanted;
}

tkx_status tkx__graph_step(tkx__graph *g, const tkx__step_part *parts, size_t n_parts,
                           tkx__logits_fn *fn, void *ctx, tkx_error **err)
{
    const tkx__arch_ops *ops = tkx__arch_get(g->config->arch);
    tkx_status st = check(g, parts, n_parts, err);

    if (st == TKX_OK)
        st = set_tokens(g, parts, n_parts, err);
    if (st != TKX_OK)
        return st;
    if (g->n_steps == 1 && !g->is_packed) /* the first token is out */
        tkx__graph_pack(g);
    tkx__graph_add_rows(g, &g->start, g->n_tokens, start_row, g);
    for (size_t layer = 0; layer < g->config->n_layers; layer++) {
        set_active(g, layer);
        ops->mixer(g->config, layer)(g, layer);
        ops->mlp(g->config, layer)(g, layer);
    }
    run_head(g, fn, ctx);
    g->n_steps = 1;
    return TKX_OK;
}
