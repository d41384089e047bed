/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c - a model run without the scheduler: graph, cache and sampler by hand. */
#include "models/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define N_BLOCKS 64 /* 2,048 positions */
#define PIECE 256

const char *rig_path_name(rig_path path)
{
    static const char *const names[] = {"f32", "kv16", "fast"};

    return names[path];
}

/* Whether some matrix is quantised: then fast mode computes with 8-bit activations. */
static bool has_blocks(const tkx__weights *w)
{
    for (size_t i = 0; i < w->config.n_layers; i++) {
        for (int m = 0; m < TKX__MAT_ROUTER; m++) {
            const tkx__stored *s = tkx__weights_matrix(w, i, (tkx__layer_matrix)m, 0);

            if (tkx__dtype_get(s->dtype)->block_elements > 1)
                return true;
        }
    }
    return tkx__dtype_get(w->head.dtype)->block_elements > 1;
}

tkx_status rig_open(rig *r, const char *path, rig_path way, tkx_error **err)
{
    tkx__graph_options options = {.compute = way == RIG_FAST ? TKX__COMPUTE_FAST
                                                             : TKX__COMPUTE_F32,
                                  .max_tokens = PIECE};
    tkx_status st;

    memset(r, 0, sizeof *r);
    r->path = way;
    st = tkx__weights_open(path, &r->weights, err);
    if (st == TKX_OK)
        st = tkx__threads_new(0, &r->pool, err);
    if (st == TKX_OK)
        st = tkx__kernels_select(NULL, &r->kernels, err);
    if (st == TKX_OK)
        st = tkx__kv_new(&r->weights->config, way != RIG_F32, N_BLOCKS, &r->kv, err);
    if (st == TKX_OK)
        st = tkx__graph_new(r->weights, r->kernels, r->pool, r->kv, &options, &r->graph,
                            err);
    if (st == TKX_OK)
        st = tkx__token_sampler_new(r->kernels, r->weights->config.vocab_size,
                                    &r->sampler, err);
    if (st != TKX_OK)
        return st;
    r->blocks = calloc(N_BLOCKS, sizeof *r->blocks);
    if (!r->blocks)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < N_BLOCKS; i++)
        r->blocks[i] = tkx__kv_alloc(r->kv);
    r->vocab_size = r->weights->config.vocab_size;
    r->is_moe = r->weights->config.n_experts > 0;
    r->is_8bit = way == RIG_FAST && has_blocks(r->weights);
    return TKX_OK;
}

void rig_close(rig *r)
{
    free(r->blocks);
    tkx__token_sampler_free(r->sampler);
    tkx__graph_free(r->graph);
    tkx__kv_free(r->kv);
    tkx__threads_free(r->pool);
    tkx__adapter_unref(r->owned);
    tkx__weights_free(r->weights);
}

tkx_status rig_use(rig *r, const char *path, tkx_error **err)
{
    tkx_status st = TKX_OK;

    tkx__adapter_unref(r->owned);
    r->owned = NULL;
    r->adapter = NULL;
    rig_restart(r);
    if (!path)
        return TKX_OK;
    st = tkx__adapter_open(path, r->weights, &r->owned, err);
    if (st == TKX_OK)
        st = tkx__graph_admit(r->graph, r->owned, err);
    if (st == TKX_OK)
        r->adapter = r->owned;
    return st;
}

void rig_restart(rig *r)
{
    r->n_fed = 0;
}

typedef struct taker {
    const rig *r;
    float *out;
} taker;

static void take(void *ctx, const tkx__logits_row *rows, size_t n_rows,
                 const float *logits)
{
    taker *t = ctx;

    (void)rows; /* one part: they come in order */
    memcpy(t->out, logits, n_rows * t->r->vocab_size * sizeof *logits);
    t->out += n_rows * t->r->vocab_size;
}

tkx_status rig_feed(rig *r, const int64_t *tokens, size_t n, float *out, tkx_error **err)
{
    taker t = {r, out};

    if (r->n_fed + n > (size_t)N_BLOCKS * TKX__KV_BLOCK)
        return tkx__fail(err, TKX_ERR_LIMIT, "the test holds %d positions",
                         N_BLOCKS * TKX__KV_BLOCK);
    for (size_t at = 0; at < n;) {
        size_t piece = n - at < PIECE ? n - at : PIECE;
        tkx__step_part part = {.tokens = tokens + at,
                               .n_tokens = piece,
                               .pos = r->n_fed,
                               .block_ids = r->blocks,
                               .adapter = r->adapter,
                               .n_logits = piece};
        tkx_status st = tkx__graph_step(r->graph, &part, 1, take, &t, err);

        if (st != TKX_OK)
            return st;
        r->n_fed += piece;
        at += piece;
    }
    return TKX_OK;
}
