/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_run.c - a model, a context, steps.
 *
 * Token i of every test is a fixed function of i, so that all engines do equal work.
 */
#include <stdio.h>
#include <stdlib.h>

#include <tkx/error.h>

#include "engine.h"

static _Noreturn void die(const char *what, tkx_error *err)
{
    fprintf(stderr, "tkx-bench engine: %s: %s\n", what,
            err ? tkx_error_message(err) : "out of memory");
    exit(1);
}

static int64_t token_of(const engine *e, size_t i)
{
    return (int64_t)(((uint32_t)i * 2654435761u >> 8) %
                     (e->weights->config.vocab_size - 8));
}

void engine_open(engine *e)
{
    tkx_error *err = NULL;

    if (e->weights)
        return;
    if (tkx__kernels_select(NULL, &e->kernels, &err) != TKX_OK ||
        tkx__threads_new(e->n_threads, &e->pool, &err) != TKX_OK ||
        tkx__weights_open(e->path, &e->weights, &err) != TKX_OK)
        die("open model", err);
    if (e->adapter_path &&
        (tkx__adapter_open(e->adapter_path, e->weights, &e->adapter, &err) != TKX_OK ||
         tkx__adapter_arrange(e->adapter, e->kernels, &err) != TKX_OK))
        die("open adapter", err);
    e->n_threads = tkx__threads_count(e->pool);
}

void engine_open_context(engine *e, engine_context *c, size_t n_pos, size_t n_seqs,
                         size_t batch)
{
    tkx__graph_options options = {
        .compute = TKX__COMPUTE_FAST, .max_tokens = batch, .max_logits = n_seqs};
    tkx_error *err = NULL;

    *c = (engine_context){.e = e, .n_blocks = tkx__kv_blocks_for(n_pos)};
    c->ids = calloc(n_seqs * c->n_blocks, sizeof *c->ids);
    if (!c->ids || tkx__kv_new(&e->weights->config, true, n_seqs * c->n_blocks, &c->kv,
                               &err) != TKX_OK)
        die("cache", err);
    for (size_t i = 0; i < n_seqs * c->n_blocks; i++)
        c->ids[i] = tkx__kv_alloc(c->kv);
    if (tkx__graph_new(e->weights, e->kernels, e->pool, c->kv, &options, &c->graph,
                       &err) != TKX_OK ||
        (e->adapter && tkx__graph_admit(c->graph, e->adapter, &err) != TKX_OK))
        die("graph", err);
}

void engine_close_context(engine_context *c)
{
    tkx__graph_free(c->graph);
    tkx__kv_free(c->kv);
    free(c->ids);
}

static void take_logits(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                        const float *logits)
{
    engine_context *c = ctx;
    size_t n = c->e->weights->config.vocab_size;

    (void)rows;
    c->top = tkx__argmax(c->e->kernels, logits + (n_rows - 1) * n, n);
    c->top_logit = logits[(n_rows - 1) * n + c->top];
}

static void step(engine_context *c, const tkx__step_part *parts, size_t n_parts)
{
    tkx_error *err = NULL;

    if (tkx__graph_step(c->graph, parts, n_parts, take_logits, c, &err) != TKX_OK)
        die("step", err);
}

void engine_prefill(engine_context *c, size_t n)
{
    size_t most = tkx__graph_max_tokens(c->graph);
    int64_t *tokens = malloc(n * sizeof *tokens);

    if (!tokens)
        die("prompt", NULL);
    for (size_t i = 0; i < n; i++)
        tokens[i] = token_of(c->e, i);
    for (size_t at = 0; at < n; at += most) {
        size_t m = n - at < most ? n - at : most;

        step(c,
             &(tkx__step_part){.tokens = tokens + at,
                               .n_tokens = m,
                               .pos = at,
                               .block_ids = c->ids,
                               .adapter = c->e->adapter,
                               .n_logits = at + m == n},
             1);
    }
    free(tokens);
}

void engine_close(engine *e)
{
    tkx__adapter_unref(e->adapter);
    tkx__weights_free(e->weights);
    tkx__threads_free(e->pool);
}

void engine_decode(engine_context *c, size_t n, size_t n_seqs, size_t n_prompt,
                   tkx__step_part *parts, int64_t *tokens)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t q = 0; q < n_seqs; q++) {
            tokens[q] = token_of(c->e, n_prompt + i * n_seqs + q);
            parts[q] = (tkx__step_part){.tokens = tokens + q,
                                        .n_tokens = 1,
                                        .pos = n_prompt + i,
                                        .block_ids = c->ids + q * c->n_blocks,
                                        .adapter = c->e->adapter,
                                        .n_logits = 1};
        }
        step(c, parts, n_seqs);
    }
}

void engine_share_prompt(engine_context *c, size_t n_seqs, size_t n_prompt)
{
    size_t whole = n_prompt / TKX__KV_BLOCK;

    for (size_t q = 1; q < n_seqs; q++) {
        uint32_t *ids = c->ids + q * c->n_blocks;

        for (size_t b = 0; b < tkx__kv_blocks_for(n_prompt); b++) {
            tkx__kv_unref(c->kv, ids[b]);
            if (b < whole) {
                tkx__kv_ref(c->kv, c->ids[b]);
                ids[b] = c->ids[b];
            } else {
                ids[b] = tkx__kv_copy(c->kv, c->ids[b]);
            }
        }
    }
}
