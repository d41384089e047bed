/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weights_load.c - finding each tensor of a model and checking it against the
 * configuration.
 *
 * One table names the tensors of a layer in both formats; a loader walks it, collects
 * every complaint, and only a model without any is handed out.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "model/blocks.h"
#include "model/weights_in.h"

#define MAX_LISTED 8000 /* bytes of complaints in one message */

typedef struct loader {
    tkx__weights *w;
    const tkx__tensors *table;
    const char *prefix; /* of a folder's names, usually "model." */
    tkx__arena *arena;
    tkx__buf problems;
    bool is_out_of_memory;
    size_t bytes_of[TKX__N_WEIGHT_DTYPES]; /* of matrices, by type */
} loader;

typedef struct layer_name {
    const char *hf;   /* after "model.layers.N." */
    const char *gguf; /* after "blk.N." */
} layer_name;

static const layer_name matrix_names[TKX__N_LAYER_MATRICES] = {
    [TKX__MAT_Q] = {"self_attn.q_proj.weight", "attn_q.weight"},
    [TKX__MAT_K] = {"self_attn.k_proj.weight", "attn_k.weight"},
    [TKX__MAT_V] = {"self_attn.v_proj.weight", "attn_v.weight"},
    [TKX__MAT_O] = {"self_attn.o_proj.weight", "attn_output.weight"},
    [TKX__MAT_GATE] = {"mlp.gate_proj.weight", "ffn_gate.weight"},
    [TKX__MAT_UP] = {"mlp.up_proj.weight", "ffn_up.weight"},
    [TKX__MAT_DOWN] = {"mlp.down_proj.weight", "ffn_down.weight"},
    [TKX__MAT_ROUTER] = {"mlp.gate.weight", "ffn_gate_inp.weight"},
};

static const layer_name vector_names[TKX__N_LAYER_VECTORS] = {
    [TKX__VEC_ATTN_NORM] = {"input_layernorm.weight", "attn_norm.weight"},
    [TKX__VEC_MLP_NORM] = {"post_attention_layernorm.weight", "ffn_norm.weight"},
    [TKX__VEC_Q_NORM] = {"self_attn.q_norm.weight", "attn_q_norm.weight"},
    [TKX__VEC_K_NORM] = {"self_attn.k_norm.weight", "attn_k_norm.weight"},
    [TKX__VEC_Q_BIAS] = {"self_attn.q_proj.bias", "attn_q.bias"},
    [TKX__VEC_K_BIAS] = {"self_attn.k_proj.bias", "attn_k.bias"},
    [TKX__VEC_V_BIAS] = {"self_attn.v_proj.bias", "attn_v.bias"},
    [TKX__VEC_O_BIAS] = {"self_attn.o_proj.bias", "attn_output.bias"},
    [TKX__VEC_GATE_BIAS] = {"mlp.gate_proj.bias", "ffn_gate.bias"},
    [TKX__VEC_UP_BIAS] = {"mlp.up_proj.bias", "ffn_up.bias"},
    [TKX__VEC_DOWN_BIAS] = {"mlp.down_proj.bias", "ffn_down.bias"},
};

/* ---- shapes ---- */

static void matrix_shape(const tkx__model_config *c, tkx__layer_matrix matrix,
                         bool is_expert, size_t *rows, size_t *cols)
{
    size_t ffn = is_expert ? c->moe_intermediate_size : c->intermediate_size;

    *cols = c->hidden_size;
    switch (matrix) {
    case TKX__MAT_Q:
        *rows = c->n_heads * c->head_dim;
        return;
    case TKX__MAT_K:
    case TKX__MAT_V:
        *rows = c->n_kv_heads * c->head_dim;
        return;
    case TKX__MAT_O:
        *rows = c->hidden_size;
        *cols = c->n_heads * c->head_dim;
        return;
    case TKX__MAT_DOWN:
        *rows = c->hidden_size;
        *cols = ffn;
        return;
    case TKX__MAT_ROUTER:
        *rows = c->n_experts;
        return;
    default:
        *rows = ffn;
        return;
    }
}

static size_t vector_size(const tkx__model_config *c, tkx__layer_vector vector)
{
    switch (vector) {
    case TKX__VEC_Q_NORM:
    case TKX__VEC_K_NORM:
        return c->head_dim;
    case TKX__VEC_Q_BIAS:
        return c->n_heads * c->head_dim;
    case TKX__VEC_K_BIAS:
    case TKX__VEC_V_BIAS:
        return c->n_kv_heads * c->head_dim;
    case TKX__VEC_GATE_BIAS:
    case TKX__VEC_UP_BIAS:
        return c->intermediate_size;
    default:
        return c->hidden_size;
    }
}

/* False: every layer has it. */
static bool is_optional(tkx__layer_vector vector)
{
    return vector != TKX__VEC_ATTN_NORM && vector != TKX__VEC_MLP_NORM;
}

/* The flag of the configuration that says whether layers have an optional vector. */
static bool *vector_flag(tkx__model_config *c, tkx__layer_vector vector)
{
    switch (vector) {
    case TKX__VEC_Q_NORM:
    case TKX__VEC_K_NORM:
        return &c->has_qk_norm;
    case TKX__VEC_Q_BIAS:
    case TKX__VEC_K_BIAS:
    case TKX__VEC_V_BIAS:
        return &c->has_qkv_bias;
    case TKX__VEC_O_BIAS:
        return &c->has_o_bias;
    default:
        return &c->has_mlp_bias;
    }
}

/* ---- finding and checking one tensor ---- */

static void complain(loader *l, const char *name, const char *how)
{
    tkx__buf_printf(&l->problems, "\n  %.200s: %s", name, how);
}

/* The tensor if it is there with that shape and a type that is computed with. */
static const tkx__tensor *want(loader *l, const char *name, const size_t *dims,
                               size_t n_dims)
{
    const tkx__tensor *t = tkx__tensors_find(l->table, name);
    char has[128];
    char needs[128];
    char how[320];

    if (!t) {
        complain(l, name, "missing");
        return NULL;
    }
    if (t->n_dims != n_dims || memcmp(t->dims, dims, n_dims * sizeof *dims) != 0) {
        tkx__tensor_shape_text(t->dims, t->n_dims, has, sizeof has);
        tkx__tensor_shape_text(dims, n_dims, needs, sizeof needs);
        snprintf(how, sizeof how, "has shape %s, needs %s", has, needs);
        complain(l, name, how);
        return NULL;
    }
    if (!tkx__dtype_is_weight(t->dtype)) {
        snprintf(how, sizeof how,
                 "type %s is not computed with; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
                 "Q5_1 and Q2_K to Q6_K are",
                 tkx__dtype_name(t->dtype));
        complain(l, name, how);
        return NULL;
    }
    return t;
}

static void set_stored(loader *l, tkx__stored *out, const tkx__tensor *t, size_t slice,
                       size_t rows, size_t cols)
{
    out->dtype = t->dtype;
    out->n_rows = rows;
    out->n_cols = cols;
    (void)tkx__dtype_row_bytes(t->dtype, cols, &out->row_bytes); /* measured when read */
    out->data = (const unsigned char *)t->data + slice * rows * out->row_bytes;
    l->bytes_of[t->dtype] += rows * out->row_bytes;
}

static void want_matrix(loader *l, tkx__stored *out, const char *name, size_t rows,
                        size_t cols)
{
    const size_t dims[2] = {rows, cols};
    const tkx__tensor *t = want(l, name, dims, 2);

    if (t)
        set_stored(l, out, t, 0, rows, cols);
}

static void want_vector(loader *l, const float **out, const char *name, size_t n)
{
    const tkx__tensor *t = want(l, name, &n, 1);
    float *values;

    if (!t)
        return;
    values = tkx__arena_alloc(l->arena, n, sizeof *values);
    if (!values) {
        l->is_out_of_memory = true;
        return;
    }
    tkx__blocks_decode(t->dtype, t->data, n, values);
    *out = values;
}

/* ---- layers ---- */

static void layer_tensor_name(const loader *l, size_t layer, const layer_name *name,
                              char *out, size_t size)
{
    if (l->w->is_gguf)
        snprintf(out, size, "blk.%zu.%s", layer, name->gguf);
    else
        snprintf(out, size, "%slayers.%zu.%s", l->prefix, layer, name->hf);
}

static void load_matrix(loader *l, size_t layer, tkx__layer_matrix matrix)
{
    size_t rows;
    size_t cols;
    char name[128];

    matrix_shape(&l->w->config, matrix, false, &rows, &cols);
    layer_tensor_name(l, layer, &matrix_names[matrix], name, sizeof name);
    want_matrix(l, &l->w->layers[layer].matrices[matrix], name, rows, cols);
}

/*
 * The folder's experts in two tensors, as later versions of its makers' library hold
 * them: gate_up_proj [n_experts, 2 * ffn, hidden], gates first, and down_proj
 * [n_experts, hidden, ffn].  False: they come one by one.
 */
static bool load_fused_experts(loader *l, size_t layer, tkx__layer_matrix matrix,
                               const size_t *dims, tkx__stored *out)
{
    bool is_down = matrix == TKX__MAT_DOWN;
    size_t per_expert = is_down ? 1 : 2;
    size_t fused[3] = {dims[0], per_expert * dims[1], dims[2]};
    const tkx__tensor *t;
    char name[128];

    snprintf(name, sizeof name, "%slayers.%zu.mlp.experts.%s", l->prefix, layer,
             is_down ? "down_proj" : "gate_up_proj");
    if (!tkx__tensors_find(l->table, name))
        return false;
    t = want(l, name, fused, 3);
    for (size_t e = 0; t && e < dims[0]; e++)
        set_stored(l, &out[e], t, per_expert * e + (matrix == TKX__MAT_UP), dims[1],
                   dims[2]);
    return true;
}

/* One tensor per expert in a folder, or fused ones; one for all in GGUF. */
static void load_experts(loader *l, size_t layer, tkx__layer_matrix matrix,
                         tkx__stored *out)
{
    static const char *const projections[] = {"gate", "up", "down"};
    const char *projection = projections[matrix - TKX__MAT_GATE];
    size_t n = l->w->config.n_experts;
    size_t dims[3] = {n, 0, 0};
    const tkx__tensor *t;
    char name[128];

    matrix_shape(&l->w->config, matrix, true, &dims[1], &dims[2]);
    if (l->w->is_gguf) {
        snprintf(name, sizeof name, "blk.%zu.ffn_%s_exps.weight", layer, projection);
        t = want(l, name, dims, 3);
        for (size_t e = 0; t && e < n; e++)
            set_stored(l, &out[e], t, e, dims[1], dims[2]);
        return;
    }
    if (load_fused_experts(l, layer, matrix, dims, out))
        return;
    for (size_t e = 0; e < n; e++) {
        snprintf(name, sizeof name, "%slayers.%zu.mlp.experts.%zu.%s_proj.weight",
                 l->prefix, layer, e, projection);
        want_matrix(l, &out[e], name, dims[1], dims[2]);
    }
}

static void load_mlp(loader *l, size_t layer)
{
    tkx__layer_weights *weights = &l->w->layers[layer];
    size_t n = l->w->config.n_experts;

    if (!l->w->config.is_moe_layer[layer]) {
        for (int m = TKX__MAT_GATE; m <= TKX__MAT_DOWN; m++)
            load_matrix(l, layer, (tkx__layer_matrix)m);
        return;
    }
    weights->experts = tkx__arena_zalloc(l->arena, 3 * n, sizeof *weights->experts);
    if (!weights->experts) {
        l->is_out_of_memory = true;
        return;
    }
    load_matrix(l, layer, TKX__MAT_ROUTER);
    for (int m = TKX__MAT_GATE; m <= TKX__MAT_DOWN; m++)
        load_experts(l, layer, (tkx__layer_matrix)m,
                     weights->experts + (size_t)(m - TKX__MAT_GATE) * n);
}

/*
 * A folder's configuration says which biases there are, and others do not count.  In GGUF
 * no key does: those that stand in the file are meant.
 */
static void load_vector(loader *l, size_t layer, tkx__layer_vector v)
{
    tkx__model_config *c = &l->w->config;
    bool is_wanted = !is_optional(v) || *vector_flag(c, v);
    char name[128];

    if (v >= TKX__VEC_GATE_BIAS && c->is_moe_layer[layer]) /* biases of a dense MLP */
        return;
    layer_tensor_name(l, layer, &vector_names[v], name, sizeof name);
    if (l->w->is_gguf && v >= TKX__VEC_Q_BIAS && c->arch != TKX__ARCH_QWEN2)
        is_wanted = tkx__tensors_find(l->table, name) != NULL;
    if (!is_wanted)
        return;
    if (is_optional(v))
        *vector_flag(c, v) = true;
    want_vector(l, &l->w->layers[layer].vectors[v], name, vector_size(c, v));
}

static void load_layer(loader *l, size_t layer)
{
    for (int m = TKX__MAT_Q; m <= TKX__MAT_O; m++)
        load_matrix(l, layer, (tkx__layer_matrix)m);
    load_mlp(l, layer);
    for (int v = 0; v < TKX__N_LAYER_VECTORS; v++)
        load_vector(l, layer, (tkx__layer_vector)v);
}

/* ---- the rest ---- */

static void load_rope(loader *l)
{
    const tkx__model_config *c = &l->w->config;
    size_t n = c->head_dim / 2;
    float *inv_freq = tkx__arena_alloc(l->arena, n, sizeof *inv_freq);
    const float *divisors = NULL;

    if (!inv_freq) {
        l->is_out_of_memory = true;
        return;
    }
    tkx__rope_inv_freq(c, inv_freq);
    if (l->w->is_gguf && tkx__tensors_find(l->table, "rope_freqs.weight"))
        want_vector(l, &divisors, "rope_freqs.weight", n);
    for (size_t i = 0; divisors && i < n; i++) {
        if (!isfinite(divisors[i]) || divisors[i] <= 0) {
            complain(l, "rope_freqs.weight", "holds a value that is no positive number");
            break;
        }
        inv_freq[i] = (float)((double)inv_freq[i] / (double)divisors[i]);
    }
    l->w->inv_freq = inv_freq;
}

/* Before "embed_tokens.weight": a model saved without its head has no "model." */
static const char *find_prefix(const loader *l)
{
    static const char *const known[] = {"model.", "", "language_model.model.",
                                        "model.language_model."};
    char name[128];

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        snprintf(name, sizeof name, "%sembed_tokens.weight", known[i]);
        if (tkx__tensors_find(l->table, name))
            return known[i];
    }
    return known[0];
}

static void end_name(const loader *l, const char *hf, const char *gguf, char *out,
                     size_t size)
{
    if (l->w->is_gguf)
        snprintf(out, size, "%s", gguf);
    else
        snprintf(out, size, "%s%s", l->prefix, hf);
}

static void load_head(loader *l)
{
    tkx__weights *w = l->w;
    const char *name = w->is_gguf ? "output.weight" : "lm_head.weight";

    if (w->config.is_tied) {
        w->head = w->embedding;
        return;
    }
    if (strncmp(l->prefix, "language_model.", 15) == 0)
        name = "language_model.lm_head.weight";
    want_matrix(l, &w->head, name, w->config.vocab_size, w->config.hidden_size);
}

static void load_ends(loader *l)
{
    tkx__weights *w = l->w;
    const tkx__model_config *c = &w->config;
    char name[128];

    end_name(l, "embed_tokens.weight", "token_embd.weight", name, sizeof name);
    want_matrix(l, &w->embedding, name, c->vocab_size, c->hidden_size);
    load_head(l);
    end_name(l, "norm.weight", "output_norm.weight", name, sizeof name);
    want_vector(l, &w->norm, name, c->hidden_size);
    load_rope(l);
}

static const char *most_common_type(const loader *l)
{
    int best = 0;

    for (int i = 1; i < TKX__N_WEIGHT_DTYPES; i++) {
        if (l->bytes_of[i] > l->bytes_of[best])
            best = i;
    }
    return tkx__dtype_name((tkx__dtype)best);
}

tkx_status tkx__weights_load(tkx__weights *w, const tkx__tensors *table,
                             tkx__arena *arena, tkx_error **err)
{
    loader l = {.w = w, .table = table, .arena = arena};
    tkx_status st = TKX_OK;

    w->layers = tkx__arena_zalloc(l.arena, w->config.n_layers, sizeof *w->layers);
    if (!w->layers)
        return tkx__fail_memory(err);
    tkx__buf_init(&l.problems, MAX_LISTED);
    l.prefix = w->is_gguf ? "" : find_prefix(&l);
    load_ends(&l);
    for (size_t i = 0; i < w->config.n_layers && !l.is_out_of_memory; i++)
        load_layer(&l, i);
    if (l.is_out_of_memory)
        st = tkx__fail_memory(err);
    else if (l.problems.size || l.problems.status != TKX_OK)
        st = tkx__fail(err, TKX_ERR_PARSE,
                       "%s does not hold the %s model it describes:%s%s", w->path,
                       tkx__arch_name(w->config.arch), tkx__buf_text(&l.problems),
                       l.problems.status != TKX_OK ? "\n  and more" : "");
    tkx__buf_clear(&l.problems);
    w->type = most_common_type(&l);
    return st;
}
