/* SPDX-License-Identifier: Apache-2.0 */
/* config_gguf.c - the model's configuration from the metadata of a GGUF file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/config.h"

typedef struct reader {
    const tkx__gguf *gguf;
    const char *prefix; /* the architecture's name */
    const char *what;
    tkx_error **err;
    tkx_status status; /* the first failure */
} reader;

static const char *full_key(const reader *r, const char *key, char *out, size_t size)
{
    snprintf(out, size, "%s.%s", r->prefix, key);
    return out;
}

/* A number, or an array (one for each layer) that says the same number throughout. */
static bool get_size(const reader *r, const char *key, size_t *out)
{
    char full[128];
    const tkx__gguf_value *value =
        tkx__gguf_find(r->gguf, full_key(r, key, full, sizeof full));
    int64_t first;
    int64_t other;

    if (!value || !tkx__gguf_i64_at(value, 0, &first) || first < 0)
        return false;
    for (size_t i = 1; i < value->n; i++) {
        if (!tkx__gguf_i64_at(value, i, &other) || other != first)
            return false;
    }
    *out = (size_t)first;
    return true;
}

static void need_size(reader *r, const char *key, size_t *out)
{
    if (r->status == TKX_OK && !get_size(r, key, out))
        r->status = tkx__fail(
            r->err, TKX_ERR_PARSE,
            "%s: the key %s.%s is missing or no number, the same for all layers", r->what,
            r->prefix, key);
}

static double number_or(const reader *r, const char *key, double otherwise)
{
    char full[128];
    double value;

    return tkx__gguf_get_f64(r->gguf, full_key(r, key, full, sizeof full), &value)
               ? value
               : otherwise;
}

static bool string_is(const char *text, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

static tkx_status read_arch(reader *r, tkx__model_config *c)
{
    static const char *const later[] = {"gpt-oss", "qwen35", "qwen35moe", "qwen3next"};
    const char *text;
    size_t n;

    if (!tkx__gguf_get_string(r->gguf, "general.architecture", &text, &n))
        return tkx__fail(r->err, TKX_ERR_PARSE,
                         "%s does not say its general.architecture", r->what);
    for (int i = 0; i < TKX__N_ARCHS; i++) {
        if (string_is(text, n, tkx__arch_name((tkx__arch)i))) {
            c->arch = (tkx__arch)i;
            r->prefix = tkx__arch_name(c->arch);
            return TKX_OK;
        }
    }
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (string_is(text, n, later[i]))
            return tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                             "%s: the architecture %s is planned for a later version",
                             r->what, later[i]);
    }
    return tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                     "%s: the architecture %.*s is not known; llama, qwen2, qwen3 and "
                     "qwen3moe are",
                     r->what, n < 100 ? (int)n : 100, text);
}

/* The vocabulary's size is the embedding's: the key is often absent, or stale. */
static void read_vocab(reader *r, tkx__model_config *c)
{
    const tkx__tensor *t =
        tkx__tensors_find(tkx__gguf_tensors(r->gguf), "token_embd.weight");

    if (r->status != TKX_OK)
        return;
    if (t && t->n_dims == 2)
        c->vocab_size = t->dims[0];
    else
        r->status =
            tkx__fail(r->err, TKX_ERR_PARSE, "%s has no token_embd.weight", r->what);
}

static void read_sizes(reader *r, tkx__model_config *c)
{
    size_t n = 0;

    need_size(r, "block_count", &c->n_layers);
    need_size(r, "embedding_length", &c->hidden_size);
    need_size(r, "attention.head_count", &c->n_heads);
    if (!get_size(r, "attention.head_count_kv", &c->n_kv_heads))
        c->n_kv_heads = c->n_heads;
    if (!get_size(r, "attention.key_length", &c->head_dim))
        c->head_dim = c->n_heads ? c->hidden_size / c->n_heads : 0;
    if (get_size(r, "attention.value_length", &n) && n != c->head_dim &&
        r->status == TKX_OK)
        r->status = tkx__fail(
            r->err, TKX_ERR_UNSUPPORTED,
            "%s: keys and values of different lengths are not computed here", r->what);
    if (c->arch == TKX__ARCH_QWEN3MOE)
        get_size(r, "feed_forward_length", &c->intermediate_size);
    else
        need_size(r, "feed_forward_length", &c->intermediate_size);
    if (!get_size(r, "context_length", &c->max_positions))
        c->max_positions = 2048;
    if (get_size(r, "rope.dimension_count", &n) && n != c->head_dim &&
        r->status == TKX_OK)
        r->status =
            tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                      "%s: rotating %zu of %zu elements of a head is not computed here",
                      r->what, n, c->head_dim);
    read_vocab(r, c);
}

/* Factors as the runtimes that write these files count them: none said is linear. */
static void read_yarn(const reader *r, tkx__model_config *c)
{
    tkx__rope_config *rope = &c->rope;

    rope->scaling = TKX__ROPE_YARN;
    rope->original_max_positions =
        number_or(r, "rope.scaling.original_context_length", (double)c->max_positions);
    rope->beta_fast = number_or(r, "rope.scaling.yarn_beta_fast", 32);
    rope->beta_slow = number_or(r, "rope.scaling.yarn_beta_slow", 1);
    rope->magnitude = tkx__rope_yarn_magnitude(rope->factor) *
                      number_or(r, "rope.scaling.attn_factor", 1);
    c->max_positions = tkx__rope_yarn_reach(rope, c->max_positions);
}

static void read_rope(reader *r, tkx__model_config *c)
{
    tkx__rope_config *rope = &c->rope;
    char key[128];
    const char *type = "linear";
    size_t n = strlen(type);

    rope->theta = number_or(r, "rope.freq_base", 10000.0);
    rope->magnitude = 1;
    rope->factor =
        number_or(r, "rope.scaling.factor", number_or(r, "rope.scale_linear", 1));
    if (rope->factor == 0)
        rope->factor = 1;
    (void)tkx__gguf_get_string(r->gguf, full_key(r, "rope.scaling.type", key, sizeof key),
                               &type, &n);
    if (r->status != TKX_OK || string_is(type, n, "none"))
        return;
    if (string_is(type, n, "yarn"))
        read_yarn(r, c);
    else if (!string_is(type, n, "linear"))
        r->status = tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                              "%s: rope scaling %.*s is not computed here; none, linear "
                              "and yarn are",
                              r->what, n < 100 ? (int)n : 100, type);
    else if (rope->factor != 1)
        rope->scaling = TKX__ROPE_LINEAR;
}

/* The keys say how many experts; which layers have them, the tensors say. */
static void read_experts(reader *r, tkx__model_config *c)
{
    char name[64];
    bool norm;

    if (c->arch != TKX__ARCH_QWEN3MOE) {
        size_t n = 0;

        if (get_size(r, "expert_count", &n) && n > 0 && r->status == TKX_OK)
            r->status =
                tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                          "%s: %s with experts is not computed here", r->what, r->prefix);
        return;
    }
    need_size(r, "expert_count", &c->n_experts);
    need_size(r, "expert_used_count", &c->n_experts_per_tok);
    if (!get_size(r, "expert_feed_forward_length", &c->moe_intermediate_size) &&
        c->n_experts_per_tok) /* an early converter left it out */
        c->moe_intermediate_size = c->intermediate_size / c->n_experts_per_tok;
    c->norm_topk_prob =
        !tkx__gguf_get_bool(r->gguf, "qwen3moe.expert_weights_norm", &norm) || norm;
    for (size_t i = 0; i < c->n_layers && i < TKX__MAX_LAYERS; i++) {
        snprintf(name, sizeof name, "blk.%zu.ffn_gate_inp.weight", i);
        c->is_moe_layer[i] = tkx__tensors_find(tkx__gguf_tensors(r->gguf), name) != NULL;
    }
}

/* ---- end ids ---- */

static void add_end_id(tkx__model_config *c, uint64_t id)
{
    for (size_t i = 0; i < c->n_end_ids; i++) {
        if ((uint64_t)c->end_ids[i] == id)
            return;
    }
    if (id < c->vocab_size && c->n_end_ids < TKX__MAX_END_IDS)
        c->end_ids[c->n_end_ids++] = (int64_t)id;
}

static bool is_end_name(const char *text, size_t n)
{
    static const char *const names[] = {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>",
                                        "<|im_end|>", "<|endoftext|>"};

    if (n < 10 || text[0] != '<')
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (string_is(text, n, names[i]))
            return true;
    }
    return false;
}

#define TOKEN_TYPE_CONTROL 3

static void add_control_tokens(const reader *r, tkx__model_config *c)
{
    const tkx__gguf_value *tokens = tkx__gguf_find(r->gguf, "tokenizer.ggml.tokens");
    const tkx__gguf_value *types = tkx__gguf_find(r->gguf, "tokenizer.ggml.token_type");
    const char *text;
    size_t n;
    size_t offset = 0;
    int64_t type;

    if (!tokens || !types)
        return;
    for (size_t i = 0; tkx__gguf_next_string(tokens, &offset, &text, &n); i++) {
        if (is_end_name(text, n) && tkx__gguf_i64_at(types, i, &type) &&
            type == TOKEN_TYPE_CONTROL)
            add_end_id(c, i);
    }
}

static void read_special_ids(const reader *r, tkx__model_config *c)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id",
                                       "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    uint64_t id;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (tkx__gguf_get_u64(r->gguf, keys[i], &id))
            add_end_id(c, id);
    }
    add_control_tokens(r, c);
    c->bos_id = -1;
    if (tkx__gguf_get_u64(r->gguf, "tokenizer.ggml.bos_token_id", &id) &&
        id < c->vocab_size)
        c->bos_id = (int64_t)id;
}

tkx_status tkx__config_from_gguf(const tkx__gguf *gguf, const char *what,
                                 tkx__model_config *c, tkx_error **err)
{
    reader r = {.gguf = gguf, .what = what, .err = err};
    const tkx__tensors *table = tkx__gguf_tensors(gguf);
    uint64_t n_files;
    tkx_status st;

    memset(c, 0, sizeof *c);
    if (tkx__gguf_get_u64(gguf, "split.count", &n_files) && n_files > 1)
        return tkx__fail(err, TKX_ERR_UNSUPPORTED,
                         "%s is one of %" PRIu64 " parts; join them into one file first",
                         what, n_files);
    st = read_arch(&r, c);
    if (st != TKX_OK)
        return st;
    read_sizes(&r, c);
    read_rope(&r, c);
    read_experts(&r, c);
    if (r.status != TKX_OK)
        return r.status;
    c->rms_norm_eps = (float)number_or(&r, "attention.layer_norm_rms_epsilon", 1e-6);
    c->is_tied = !tkx__tensors_find(table, "output.weight");
    c->has_qk_norm = c->arch == TKX__ARCH_QWEN3 || c->arch == TKX__ARCH_QWEN3MOE;
    c->has_qkv_bias = c->arch == TKX__ARCH_QWEN2; /* others: what the tensors say */
    read_special_ids(&r, c);
    return tkx__config_check(c, what, err);
}
