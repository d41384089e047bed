/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builtin.c - the byte-level model that needs no file: llama-like, weights from a fixed
 * seed.
 *
 * 256 bytes and the end of text.  Matrices are normal with variance 1/in, so that every
 * layer passes on what it gets at its own scale; the head is small, so that the untrained
 * model is near uniform and its first loss near log 257.
 */
#include <math.h>

#include "base/error.h"
#include "mock_server/nn/base.h"
#include "mock_server/nn/random.h"

enum { N_BYTES = 256, END_OF_TEXT = 256 };

static const uint64_t builtin_seed = 20260101;

static void fill_normal(nn_random *random, float *w, size_t n, double std)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (float)(nn_random_normal(random) * std);
}

static void fill_ones(float *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w[i] = 1;
}

static void fill(nn_base *base)
{
    const nn_config *c = &base->config;
    nn_random random = {builtin_seed};
    double by_hidden = 1 / sqrt((double)c->hidden);

    fill_normal(&random, base->embedding, c->vocab_size * c->hidden, 1);
    fill_normal(&random, base->head, c->vocab_size * c->hidden, 0.3 * by_hidden);
    fill_ones(base->norm, c->hidden);
    for (size_t i = 0; i < c->n_layers; i++) {
        nn_layer *l = &base->layers[i];

        fill_ones(l->norm1, c->hidden);
        fill_ones(l->norm2, c->hidden);
        fill_normal(&random, l->qkv, nn_qkv_rows(c) * c->hidden, by_hidden);
        fill_normal(&random, l->o, c->hidden * nn_q_rows(c),
                    1 / sqrt((double)nn_q_rows(c)));
        fill_normal(&random, l->gate_up, 2 * c->intermediate * c->hidden, by_hidden);
        fill_normal(&random, l->down, c->hidden * c->intermediate,
                    1 / sqrt((double)c->intermediate));
    }
}

tkx_status nn_base_builtin(const char *name, size_t max_context, nn_base **out,
                           tkx_error **err)
{
    const nn_config config = {.architecture = "llama",
                              .n_layers = 4,
                              .hidden = 128,
                              .n_heads = 4,
                              .n_kv_heads = 2,
                              .head_dim = 32,
                              .intermediate = 256,
                              .vocab_size = N_BYTES + 1,
                              .max_context = max_context,
                              .rms_eps = 1e-5,
                              .rope_theta = 10000};
    nn_base *base = NULL;
    tkx_status st = nn_base_alloc(name, &config, NULL, &base, err);

    if (st != TKX_OK)
        return st;
    fill(base);
    base->is_bytes = true;
    base->end_ids = nn_base_keep(base, 1, sizeof *base->end_ids);
    if (base->end_ids) {
        base->end_ids[0] = END_OF_TEXT;
        base->n_end_ids = 1;
        st = nn_base_finish(base, err);
    } else {
        st = tkx__fail_memory(err);
    }
    if (st != TKX_OK) {
        nn_base_free(base);
        return st;
    }
    *out = base;
    return TKX_OK;
}
