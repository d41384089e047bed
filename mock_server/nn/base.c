/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.c - allocation of a base model by its configuration, and its rotation table.
 *
 * Angles are computed in double and rounded once: a table in float32 of position times
 * frequency would be off by 1e-4 at position 1,000.
 */
#include "mock_server/nn/base.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"

enum {
    MAX_DIM = 1 << 24,    /* of any one dimension, so that products of two fit easily */
    BLOCKS_PER_LAYER = 12 /* at most, in nn_base_alloc() */
};

static void wrong(tkx__buf *list, const char *fmt, ...) TKX_PRINTF(2, 3);

static void wrong(tkx__buf *list, const char *fmt, ...)
{
    char text[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    tkx__buf_printf(list, "%s%s", list->size ? "; " : "", text);
}

static void check_dim(tkx__buf *list, const char *name, size_t value, size_t max)
{
    if (value == 0 || value > max)
        wrong(list, "%s is %zu, expected 1 to %zu", name, value, max);
}

static void check_experts(tkx__buf *list, const nn_config *c)
{
    check_dim(list, "num_experts", c->n_experts, 4096);
    check_dim(list, "moe_intermediate_size", c->moe_intermediate, MAX_DIM);
    if (c->n_experts_used == 0 || c->n_experts_used > c->n_experts)
        wrong(list, "num_experts_per_tok is %zu of %zu experts", c->n_experts_used,
              c->n_experts);
}

/* Errors list everything that is wrong with a configuration. */
static tkx_status check_config(const nn_config *c, tkx_error **err)
{
    tkx__buf list;
    tkx_status st = TKX_OK;

    tkx__buf_init(&list, 4096);
    check_dim(&list, "num_hidden_layers", c->n_layers, 1000);
    check_dim(&list, "hidden_size", c->hidden, MAX_DIM);
    check_dim(&list, "num_attention_heads", c->n_heads, 4096);
    check_dim(&list, "num_key_value_heads", c->n_kv_heads, 4096);
    check_dim(&list, "head_dim", c->head_dim, 4096);
    check_dim(&list, "intermediate_size", c->intermediate, MAX_DIM);
    check_dim(&list, "vocab_size", c->vocab_size, MAX_DIM);
    check_dim(&list, "max_position_embeddings", c->max_context, MAX_DIM);
    if (c->n_kv_heads && c->n_heads % c->n_kv_heads != 0)
        wrong(&list, "num_attention_heads %zu is no multiple of num_key_value_heads %zu",
              c->n_heads, c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        wrong(&list, "head_dim %zu is odd", c->head_dim);
    if (!(c->rms_eps > 0 && c->rms_eps < 1))
        wrong(&list, "rms_norm_eps is %g", c->rms_eps);
    if (!(c->rope_theta > 0) || !isfinite(c->rope_theta))
        wrong(&list, "rope_theta is %g", c->rope_theta);
    if (c->n_experts > 0)
        check_experts(&list, c);
    if (list.size > 0)
        st = nn_fail_server(err, TKX_ERR_PARSE, "model configuration: %s",
                            tkx__buf_text(&list));
    tkx__buf_clear(&list);
    return st;
}

void *nn_base_keep(nn_base *base, size_t count, size_t size)
{
    void *block = tkx__calloc(count ? count : 1, size);

    if (block)
        base->blocks[base->n_blocks++] = block;
    return block;
}

static float *keep_matrix(nn_base *base, size_t a, size_t b, size_t c, bool *ok)
{
    size_t n;
    float *block = NULL;

    if (tkx__mul(a, b, &n) && tkx__mul(n, c, &n))
        block = nn_base_keep(base, n, sizeof *block);
    if (!block)
        *ok = false;
    else
        base->n_params += n;
    return block;
}

static bool alloc_layer(nn_base *base, nn_layer *layer)
{
    const nn_config *c = &base->config;
    size_t hidden = c->hidden;
    bool ok = true;

    layer->norm1 = keep_matrix(base, 1, 1, hidden, &ok);
    layer->qkv = keep_matrix(base, 1, nn_qkv_rows(c), hidden, &ok);
    layer->o = keep_matrix(base, 1, hidden, nn_q_rows(c), &ok);
    layer->norm2 = keep_matrix(base, 1, 1, hidden, &ok);
    if (c->has_qkv_bias)
        layer->qkv_bias = keep_matrix(base, 1, 1, nn_qkv_rows(c), &ok);
    if (c->has_qk_norm) {
        layer->q_norm = keep_matrix(base, 1, 1, c->head_dim, &ok);
        layer->k_norm = keep_matrix(base, 1, 1, c->head_dim, &ok);
    }
    if (layer->is_sparse) {
        layer->router = keep_matrix(base, 1, c->n_experts, hidden, &ok);
        layer->gate_up =
            keep_matrix(base, c->n_experts, 2 * c->moe_intermediate, hidden, &ok);
        layer->down = keep_matrix(base, c->n_experts, hidden, c->moe_intermediate, &ok);
    } else {
        layer->gate_up = keep_matrix(base, 1, 2 * c->intermediate, hidden, &ok);
        layer->down = keep_matrix(base, 1, hidden, c->intermediate, &ok);
    }
    return ok;
}

static bool alloc_all(nn_base *base, const bool *is_sparse)
{
    const nn_config *c = &base->config;
    bool ok = true;

    base->layers = nn_base_keep(base, c->n_layers, sizeof *base->layers);
    if (!base->layers)
        return false;
    base->embedding = keep_matrix(base, 1, c->vocab_size, c->hidden, &ok);
    base->head = base->embedding;
    if (!c->is_tied)
        base->head = keep_matrix(base, 1, c->vocab_size, c->hidden, &ok);
    base->norm = keep_matrix(base, 1, 1, c->hidden, &ok);
    for (size_t i = 0; ok && i < c->n_layers; i++) {
        base->layers[i].is_sparse = is_sparse ? is_sparse[i] : c->n_experts > 0;
        ok = alloc_layer(base, &base->layers[i]);
    }
    return ok;
}

tkx_status nn_base_alloc(const char *name, const nn_config *config, const bool *is_sparse,
                         nn_base **out, tkx_error **err)
{
    tkx_status st = check_config(config, err);
    nn_base *base;

    if (st != TKX_OK)
        return st;
    base = tkx__calloc(1, sizeof *base);
    if (!base)
        return tkx__fail_memory(err);
    base->config = *config;
    base->name = tkx__strdup(name);
    base->blocks = tkx__calloc(config->n_layers * BLOCKS_PER_LAYER + 16, sizeof(void *));
    if (!base->name || !base->blocks || !alloc_all(base, is_sparse)) {
        nn_base_free(base);
        return nn_fail_server(err, TKX_ERR_NO_MEMORY, "no memory for the weights of '%s'",
                              name);
    }
    *out = base;
    return TKX_OK;
}

/* One frequency under llama3 scaling: long waves slowed, short ones kept, a ramp
   between. */
static double scaled_frequency(const nn_config *c, double frequency)
{
    const double two_pi = 6.283185307179586476925286766559;
    double wave = two_pi / frequency, smooth;

    if (c->rope_factor <= 0)
        return frequency;
    if (wave > c->rope_original_context / c->rope_low_freq_factor)
        return frequency / c->rope_factor;
    if (wave < c->rope_original_context / c->rope_high_freq_factor)
        return frequency;
    smooth = (c->rope_original_context / wave - c->rope_low_freq_factor) /
             (c->rope_high_freq_factor - c->rope_low_freq_factor);
    return (1 - smooth) * frequency / c->rope_factor + smooth * frequency;
}

tkx_status nn_base_finish(nn_base *base, tkx_error **err)
{
    const nn_config *c = &base->config;
    size_t half = c->head_dim / 2;
    double magnitude = c->rope_magnitude > 0 ? c->rope_magnitude : 1;

    base->rope_cos = nn_base_keep(base, c->max_context * half, sizeof *base->rope_cos);
    base->rope_sin = nn_base_keep(base, c->max_context * half, sizeof *base->rope_sin);
    if (!base->rope_cos || !base->rope_sin)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < half; i++) {
        double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);

        f = base->rope_factors ? f / (double)base->rope_factors[i]
                               : scaled_frequency(c, f);
        for (size_t p = 0; p < c->max_context; p++) {
            base->rope_cos[p * half + i] = (float)(magnitude * cos((double)p * f));
            base->rope_sin[p * half + i] = (float)(magnitude * sin((double)p * f));
        }
    }
    return TKX_OK;
}

void nn_base_free(nn_base *base)
{
    if (!base)
        return;
    for (size_t i = 0; base->blocks && i < base->n_blocks; i++)
        tkx__free(base->blocks[i]);
    tkx__free(base->blocks);
    tkx_tokenizer_unref(base->tokenizer);
    tkx__free(base->name);
    tkx__free(base->path);
    tkx__free(base);
}
