// SPDX-License-Identifier: Apache-2.0
/*
 * hw_fit.c - does a model fit, in which weight type, with how much context.
 *
 * Counts the elements of the matrices from the opened (mapped, not read) file.
 * A margin of the process's memory (hw_limits.h) is left to everything else.  Speed: each
 * token of one sequence reads all weights but the embedding (all once when it is also the
 * head; of experts the chosen ones) - an upper bound.
 */
#include <string.h>

#include <tkx/hw.h>

#include "base/error.h"
#include "infer/hw_limits.h"
#include "infer/kernels/kernels.h"
#include "infer/kv.h"
#include "model/weights.h"

#define SMALL_CONTEXT 512

/* Elements, by what a decoded token reads. */
typedef struct sizes {
    uint64_t n_all;
    uint64_t n_read;
    uint64_t all_bytes; /* as stored */
    uint64_t read_bytes;
} sizes;

static void add_matrix(sizes *s, const tkx__stored *m, uint64_t n_read, uint64_t n_all)
{
    uint64_t n = (uint64_t)m->n_rows * m->n_cols;
    uint64_t bytes = (uint64_t)m->n_rows * m->row_bytes;

    if (!m->data)
        return;
    s->n_all += n * n_all;
    s->n_read += n * n_read;
    s->all_bytes += bytes * n_all;
    s->read_bytes += bytes * n_read;
}

static sizes measure(const tkx__weights *w)
{
    sizes s = {0};

    add_matrix(&s, &w->head, 1, 1);
    if (!w->config.is_tied)
        add_matrix(&s, &w->embedding, 0, 1);
    for (size_t l = 0; l < w->config.n_layers; l++) {
        int is_moe = w->layers[l].experts != NULL;

        for (int m = 0; m < TKX__N_LAYER_MATRICES; m++) {
            int is_mlp = m == TKX__MAT_GATE || m == TKX__MAT_UP || m == TKX__MAT_DOWN;
            const tkx__stored *one = tkx__weights_matrix(w, l, (tkx__layer_matrix)m, 0);

            if (!one)
                continue;
            if (is_moe && is_mlp)
                add_matrix(&s, one, w->config.n_experts_per_tok, w->config.n_experts);
            else
                add_matrix(&s, one, 1, 1);
        }
    }
    return s;
}

static void judge(const tkx__weights *w, const tkx_hw_info *info, uint64_t all_bytes,
                  uint64_t read_bytes, tkx_hw_fit *fit)
{
    uint64_t room = tkx__hw_memory_room(info->memory_limit_bytes);
    uint64_t per_block = tkx__kv_bytes_per_block(&w->config, true);
    uint64_t n_blocks;

    fit->weight_bytes = all_bytes;
    fit->max_context = 0;
    if (room > all_bytes && per_block > 0) {
        n_blocks = (room - all_bytes) / per_block;
        fit->max_context = n_blocks < SIZE_MAX / TKX__KV_BLOCK
                               ? (size_t)n_blocks * TKX__KV_BLOCK
                               : SIZE_MAX;
        if (fit->max_context > w->config.max_positions)
            fit->max_context = w->config.max_positions;
    }
    fit->fits = fit->max_context >= SMALL_CONTEXT ||
                (fit->max_context > 0 && fit->max_context == w->config.max_positions);
    fit->tokens_per_s = read_bytes > 0 ? info->read_bytes_per_s / (double)read_bytes : 0;
}

tkx_status tkx_hw_fit_model(const char *path, const tkx_hw_info *info, tkx_hw_fit *fits,
                            size_t *n_fits, tkx_error **err)
{
    static const tkx__wtype types[] = {TKX__W_F16,  TKX__W_Q8_0, TKX__W_Q6_K,
                                       TKX__W_Q5_K, TKX__W_Q4_K, TKX__W_Q4_0};
    tkx__weights *w = NULL;
    tkx_status st = tkx__weights_open(path, &w, err);
    sizes s;

    if (st != TKX_OK)
        return st;
    s = measure(w);
    *n_fits = 0;
    /* weights->type is the name in a static table, and outlives the model */
    fits[*n_fits] = (tkx_hw_fit){.weight_type = w->type, .is_stored = 1};
    judge(w, info, s.all_bytes, s.read_bytes, &fits[(*n_fits)++]);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t cols = tkx__wtype_block_cols(types[i]);
        size_t size = tkx__wtype_block_size(types[i]);
        const char *name = tkx__wtype_name(types[i]);

        if (strcmp(name, w->type) == 0)
            continue;
        fits[*n_fits] = (tkx_hw_fit){.weight_type = name};
        judge(w, info, s.n_all / cols * size, s.n_read / cols * size, &fits[(*n_fits)++]);
    }
    tkx__weights_free(w);
    return TKX_OK;
}
