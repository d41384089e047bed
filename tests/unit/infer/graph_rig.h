/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_rig.h - a model opened for stepping, with one block list: what the tests of graph
 * and adapters share.  Check aborts the test when anything fails.
 */
#ifndef TESTS_UNIT_INFER_GRAPH_RIG_H
#define TESTS_UNIT_INFER_GRAPH_RIG_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "infer/graph.h"
#include "model/safetensors.h"

#define MODELS TKX_TEST_DATA "/models/"

typedef struct graph_rig {
    tkx__weights *weights;
    tkx__threads *pool;
    const tkx__kernels *kernels;
    tkx__kv *kv;
    tkx__graph *graph;
    uint32_t blocks[8]; /* of the one sequence */
    float *logits;      /* [n_logits][vocab_size] in the order they came */
    size_t n_logits;
} graph_rig;

static inline void rig_open(graph_rig *r, const char *model, tkx__compute compute,
                            size_t threads)
{
    char path[256];
    tkx_error *err = NULL;
    tkx__graph_options options = {.compute = compute, .max_tokens = 160, .max_logits = 7};

    memset(r, 0, sizeof *r);
    snprintf(path, sizeof path, MODELS "%s", model);
    ck_assert_msg(tkx__weights_open(path, &r->weights, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    ck_assert_int_eq(tkx__threads_new(threads, &r->pool, NULL), TKX_OK);
    ck_assert_int_eq(tkx__kernels_select(NULL, &r->kernels, NULL), TKX_OK);
    ck_assert_int_eq(
        tkx__kv_new(&r->weights->config, compute == TKX__COMPUTE_FAST, 32, &r->kv, NULL),
        TKX_OK);
    for (size_t i = 0; i < 8; i++)
        r->blocks[i] = tkx__kv_alloc(r->kv);
    ck_assert_msg(tkx__graph_new(r->weights, r->kernels, r->pool, r->kv, &options,
                                 &r->graph, &err) == TKX_OK,
                  "%s", tkx_error_message(err));
    r->logits = calloc(256 * r->weights->config.vocab_size, sizeof(float));
}

static inline void rig_close(graph_rig *r)
{
    free(r->logits);
    tkx__graph_free(r->graph);
    tkx__kv_free(r->kv);
    tkx__threads_free(r->pool);
    tkx__weights_free(r->weights);
}

static inline void rig_keep(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                            const float *logits)
{
    graph_rig *r = ctx;
    size_t n = n_rows * r->weights->config.vocab_size;

    (void)rows;
    memcpy(r->logits + r->n_logits * r->weights->config.vocab_size, logits,
           n * sizeof *logits);
    r->n_logits += n_rows;
}

/* Feed tokens [pos, pos + n) with logits of all of them. */
static inline void rig_feed(graph_rig *r, const int64_t *tokens, size_t pos, size_t n,
                            const tkx__adapter *adapter)
{
    tkx__step_part part = {.tokens = tokens,
                           .n_tokens = n,
                           .pos = pos,
                           .block_ids = r->blocks,
                           .adapter = adapter,
                           .n_logits = n};
    tkx_error *err = NULL;

    ck_assert_msg(tkx__graph_step(r->graph, &part, 1, rig_keep, r, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
}

#endif
