/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - base weights from a Hugging Face directory or a GGUF file, decoded to float32.
 *
 * src/model has checked names, shapes, types and bounds; here each matrix goes to its
 * place among the fused ones.  q and k of a llama GGUF are stored for interleaved
 * rotation: their rows are put back into checkpoint order, which adapters are in.
 */
#include "mock_server/nn/load.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "model/blocks.h"
#include "model/weights.h"

/* Where a file's row belongs: elsewhere in q and k when each head's are interleaved. */
static size_t row_of(size_t r, size_t interleaved)
{
    size_t in_head = interleaved ? r % interleaved : 0;

    return interleaved ? r - in_head + in_head / 2 + in_head % 2 * (interleaved / 2) : r;
}

/* Rows of a stored matrix to rows of ours; interleaved: head_dim of each head, else 0. */
static void copy_matrix(const tkx__stored *from, size_t interleaved, float *to)
{
    for (size_t r = 0; r < from->n_rows; r++) {
        const char *row = (const char *)from->data + r * from->row_bytes;

        tkx__blocks_decode(from->dtype, row, from->n_cols,
                           to + row_of(r, interleaved) * from->n_cols);
    }
}

static void copy_bias(const float *from, size_t n, size_t interleaved, float *to)
{
    for (size_t i = 0; from && i < n; i++)
        to[row_of(i, interleaved)] = from[i];
}

static void copy_vector(const float *from, size_t n, float *to)
{
    copy_bias(from, n, 0, to);
}

static nn_config convert(const tkx__model_config *c, size_t max_context)
{
    nn_config to = {.n_layers = c->n_layers,
                    .hidden = c->hidden_size,
                    .n_heads = c->n_heads,
                    .n_kv_heads = c->n_kv_heads,
                    .head_dim = c->head_dim,
                    .intermediate = c->intermediate_size,
                    .vocab_size = c->vocab_size,
                    .max_context = c->max_positions,
                    .rms_eps = (double)c->rms_norm_eps,
                    .rope_theta = c->rope.theta,
                    .rope_magnitude = c->rope.magnitude,
                    .has_qkv_bias = c->has_qkv_bias,
                    .has_qk_norm = c->has_qk_norm,
                    .is_tied = c->is_tied,
                    .n_experts = c->n_experts,
                    .n_experts_used = c->n_experts_per_tok,
                    .moe_intermediate = c->moe_intermediate_size,
                    .norm_topk_prob = c->norm_topk_prob};

    strncpy(to.architecture, tkx__arch_name(c->arch), sizeof to.architecture - 1);
    if (to.max_context == 0 || to.max_context > max_context)
        to.max_context = max_context;
    if (to.intermediate == 0) /* every layer sparse, and no dense size stated */
        to.intermediate = c->moe_intermediate_size;
    if (c->rope.scaling == TKX__ROPE_LLAMA3) {
        to.rope_factor = c->rope.factor;
        to.rope_low_freq_factor = c->rope.low_freq_factor;
        to.rope_high_freq_factor = c->rope.high_freq_factor;
        to.rope_original_context = c->rope.original_max_positions;
    }
    return to;
}

/* Divisors that turn theta's own frequencies into the file's (linear scaling, yarn,
 * rope_freqs). */
static bool take_rope_factors(nn_base *base, const tkx__weights *w)
{
    const nn_config *c = &base->config;
    size_t half = c->head_dim / 2;

    if (c->rope_factor > 0)
        return true;
    base->rope_factors = nn_base_keep(base, half, sizeof *base->rope_factors);
    if (!base->rope_factors)
        return false;
    for (size_t i = 0; i < half; i++) {
        double plain = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
        double ratio = plain / (double)w->inv_freq[i];

        /* Within rounding of the file's float32 it is the same frequency. */
        base->rope_factors[i] = fabs(ratio - 1) < 1e-6 ? 1.0f : (float)ratio;
    }
    return true;
}

static void copy_experts(const nn_config *c, const tkx__layer_weights *from, nn_layer *to)
{
    size_t f = c->moe_intermediate, h = c->hidden, n = c->n_experts;

    copy_matrix(&from->matrices[TKX__MAT_ROUTER], 0, to->router);
    for (size_t e = 0; e < n; e++) {
        copy_matrix(&from->experts[e], 0, to->gate_up + e * 2 * f * h);
        copy_matrix(&from->experts[n + e], 0, to->gate_up + (e * 2 + 1) * f * h);
        copy_matrix(&from->experts[2 * n + e], 0, to->down + e * h * f);
    }
}

static void copy_layer(const nn_config *c, const tkx__layer_weights *from,
                       size_t interleaved, nn_layer *to)
{
    const tkx__stored *m = from->matrices;
    const float *const *v = from->vectors;
    size_t h = c->hidden, q = nn_q_rows(c), kv = nn_kv_rows(c);

    copy_vector(v[TKX__VEC_ATTN_NORM], h, to->norm1);
    copy_vector(v[TKX__VEC_MLP_NORM], h, to->norm2);
    copy_matrix(&m[TKX__MAT_Q], interleaved, to->qkv);
    copy_matrix(&m[TKX__MAT_K], interleaved, to->qkv + q * h);
    copy_matrix(&m[TKX__MAT_V], 0, to->qkv + (q + kv) * h);
    copy_matrix(&m[TKX__MAT_O], 0, to->o);
    if (c->has_qkv_bias) {
        copy_bias(v[TKX__VEC_Q_BIAS], q, interleaved, to->qkv_bias);
        copy_bias(v[TKX__VEC_K_BIAS], kv, interleaved, to->qkv_bias + q);
        copy_vector(v[TKX__VEC_V_BIAS], kv, to->qkv_bias + q + kv);
    }
    if (c->has_qk_norm) {
        copy_vector(v[TKX__VEC_Q_NORM], c->head_dim, to->q_norm);
        copy_vector(v[TKX__VEC_K_NORM], c->head_dim, to->k_norm);
    }
    if (to->is_sparse) {
        copy_experts(c, from, to);
        return;
    }
    copy_matrix(&m[TKX__MAT_GATE], 0, to->gate_up);
    copy_matrix(&m[TKX__MAT_UP], 0, to->gate_up + c->intermediate * h);
    copy_matrix(&m[TKX__MAT_DOWN], 0, to->down);
}

static tkx_status copy_all(nn_base *base, const tkx__weights *w, tkx_error **err)
{
    const nn_config *c = &base->config;
    size_t n = w->config.n_end_ids;

    base->end_ids = nn_base_keep(base, n, sizeof *base->end_ids);
    if (!base->end_ids || !take_rope_factors(base, w))
        return tkx__fail_memory(err);
    memcpy(base->end_ids, w->config.end_ids, n * sizeof *base->end_ids);
    base->n_end_ids = n;
    copy_matrix(&w->embedding, 0, base->embedding);
    if (!c->is_tied)
        copy_matrix(&w->head, 0, base->head);
    copy_vector(w->norm, c->hidden, base->norm);
    for (size_t i = 0; i < c->n_layers; i++)
        copy_layer(c, &w->layers[i], w->is_qk_interleaved ? c->head_dim : 0,
                   &base->layers[i]);
    return nn_base_finish(base, err);
}

static tkx_status check_supported(const tkx__weights *w, const char *name,
                                  tkx_error **err)
{
    const tkx__model_config *c = &w->config;

    if (c->sliding_window > 0 && c->sliding_window < c->max_positions)
        return nn_fail_server(err, TKX_ERR_UNSUPPORTED,
                              "base model '%s' (%s): attention with a sliding window is "
                              "not trained here",
                              name, w->path);
    if (!c->has_o_bias && !c->has_mlp_bias)
        return TKX_OK;
    return nn_fail_server(err, TKX_ERR_UNSUPPORTED,
                          "base model '%s' (%s): a bias on %s%s%s is not trained here",
                          name, w->path, c->has_o_bias ? "attention's output" : "",
                          c->has_o_bias && c->has_mlp_bias ? " and " : "",
                          c->has_mlp_bias ? "the MLP" : "");
}

/* For stop strings; a model without one, or with one of an unknown kind, does without. */
static tkx_status open_tokenizer(nn_base *base, const char *path, tkx_error **err)
{
    tkx_error *cause = NULL;
    tkx_status st = tkx_tokenizer_open(path, &base->tokenizer, &cause);

    if (st == TKX_OK)
        return st;
    if (st == TKX_ERR_NOT_FOUND || st == TKX_ERR_UNSUPPORTED)
        st = TKX_OK;
    else
        nn_fail_server(err, st, "tokenizer of base model '%s': %s", base->name,
                       tkx_error_message(cause));
    tkx_error_free(cause);
    return st;
}

tkx_status nn_base_load(const char *name, const char *path, size_t max_context,
                        nn_base **out, tkx_error **err)
{
    tkx__weights *w = NULL;
    nn_base *base = NULL;
    nn_config config;
    tkx_status st = tkx__weights_open(path, &w, err);

    if (st == TKX_OK)
        st = check_supported(w, name, err);
    if (st != TKX_OK)
        goto done;
    config = convert(&w->config, max_context);
    st = nn_base_alloc(name, &config, w->config.is_moe_layer, &base, err);
    if (st != TKX_OK)
        goto done;
    base->path = tkx__strdup(path);
    st = base->path ? copy_all(base, w, err) : tkx__fail_memory(err);
    if (st == TKX_OK)
        st = open_tokenizer(base, path, err);
    if (st != TKX_OK)
        goto done;
    *out = base;
    base = NULL;
done:
    nn_base_free(base);
    tkx__weights_free(w);
    return st;
}
