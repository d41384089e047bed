/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_json.c - config.json and generation_config.json of a Hugging Face folder.
 *
 * Both spellings are read: rope_theta with rope_scaling, and rope_parameters.  An option
 * that would change the maths and is not computed here is refused by name.
 */
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/json_text.h"
#include "model/mapped.h"

#define MAX_CONFIG_BYTES ((size_t)4 << 20)

typedef struct reader {
    const cJSON *json;
    const char *what;
    tkx_error **err;
    tkx_status status; /* the first failure */
} reader;

static const cJSON *get(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNull(item) ? NULL : item;
}

static void need_size(reader *r, const char *key, size_t *out)
{
    if (r->status != TKX_OK || tkx__json_text_size(get(r->json, key), out))
        return;
    r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is missing or no whole number",
                          r->what, key);
}

static void size_or(reader *r, const char *key, size_t *out, size_t otherwise)
{
    *out = otherwise;
    if (get(r->json, key))
        need_size(r, key, out);
}

static void number_or(reader *r, const cJSON *object, const char *key, double *out,
                      double otherwise)
{
    const cJSON *item = get(object, key);

    *out = otherwise;
    if (!item || r->status != TKX_OK)
        return;
    if (cJSON_IsNumber(item))
        *out = item->valuedouble;
    else
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is no number", r->what, key);
}

static bool flag(reader *r, const char *key, bool otherwise)
{
    const cJSON *item = get(r->json, key);

    if (!item || r->status != TKX_OK)
        return otherwise;
    if (!cJSON_IsBool(item))
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is neither true nor false",
                              r->what, key);
    return cJSON_IsTrue(item);
}

static void unsupported(reader *r, const char *key, const char *value)
{
    if (r->status == TKX_OK)
        r->status =
            tkx__fail(r->err, TKX_ERR_UNSUPPORTED, "%s: %s%s%.100s is not computed here",
                      r->what, key, value ? " " : "", value ? value : "");
}

/* ---- architecture ---- */

static void read_arch(reader *r, tkx__model_config *c)
{
    static const struct {
        const char *type;
        tkx__arch arch;
    } known[] = {{"llama", TKX__ARCH_LLAMA},
                 {"qwen2", TKX__ARCH_QWEN2},
                 {"qwen3", TKX__ARCH_QWEN3},
                 {"qwen3_moe", TKX__ARCH_QWEN3MOE}};
    static const char *const later[] = {"gpt_oss",     "qwen3_5",          "qwen3_5_text",
                                        "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_next"};
    const cJSON *type = get(r->json, "model_type");

    if (!cJSON_IsString(type)) {
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s has no model_type", r->what);
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].type, type->valuestring) == 0) {
            c->arch = known[i].arch;
            return;
        }
    }
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strcmp(later[i], type->valuestring) == 0) {
            r->status =
                tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                          "%s: the architecture %s is planned for a later version",
                          r->what, type->valuestring);
            return;
        }
    }
    r->status =
        tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                  "%s: the architecture %.100s is not known; llama, qwen2, qwen3 and "
                  "qwen3_moe are",
                  r->what, type->valuestring);
}

/* ---- rotation ---- */

static void read_scaling(reader *r, const cJSON *object, tkx__rope_config *rope)
{
    const cJSON *type = get(object, "rope_type");

    if (!type)
        type = get(object, "type");
    if (!type || r->status != TKX_OK)
        return;
    if (!cJSON_IsString(type)) {
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: rope_type is no text", r->what);
        return;
    }
    if (strcmp(type->valuestring, "default") == 0)
        return;
    if (strcmp(type->valuestring, "linear") == 0)
        rope->scaling = TKX__ROPE_LINEAR;
    else if (strcmp(type->valuestring, "llama3") == 0)
        rope->scaling = TKX__ROPE_LLAMA3;
    else
        unsupported(r, "rope scaling", type->valuestring);
    number_or(r, object, "factor", &rope->factor, 0);
    number_or(r, object, "low_freq_factor", &rope->low_freq_factor, 0);
    number_or(r, object, "high_freq_factor", &rope->high_freq_factor, 0);
    number_or(r, object, "original_max_position_embeddings",
              &rope->original_max_positions, 0);
}

static void read_rope(reader *r, tkx__rope_config *rope)
{
    const cJSON *parameters = get(r->json, "rope_parameters");
    const cJSON *scaling = get(r->json, "rope_scaling");
    double partial;

    number_or(r, r->json, "rope_theta", &rope->theta, 10000.0);
    if (cJSON_IsObject(parameters)) {
        number_or(r, parameters, "rope_theta", &rope->theta, rope->theta);
        number_or(r, parameters, "partial_rotary_factor", &partial, 1);
        if (partial != 1)
            unsupported(r, "partial_rotary_factor", NULL);
    }
    if (cJSON_IsObject(scaling)) { /* where both are given, the older one counts */
        number_or(r, scaling, "rope_theta", &rope->theta, rope->theta);
        read_scaling(r, scaling, rope);
    } else if (cJSON_IsObject(parameters)) {
        read_scaling(r, parameters, rope);
    }
    number_or(r, r->json, "partial_rotary_factor", &partial, 1);
    if (partial != 1)
        unsupported(r, "partial_rotary_factor", NULL);
}

/* ---- what is not computed ---- */

static void refuse_options(reader *r)
{
    const cJSON *act = get(r->json, "hidden_act");
    const cJSON *types = get(r->json, "layer_types");
    const cJSON *type;

    if (act && (!cJSON_IsString(act) || strcmp(act->valuestring, "silu") != 0))
        unsupported(r, "hidden_act", cJSON_IsString(act) ? act->valuestring : NULL);
    if (flag(r, "use_sliding_window", false))
        unsupported(r, "use_sliding_window", NULL);
    cJSON_ArrayForEach(type, types)
    {
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "full_attention") != 0)
            unsupported(r, "layer type", cJSON_IsString(type) ? type->valuestring : NULL);
    }
    if (get(r->json, "quantization_config"))
        unsupported(r, "quantization_config (weights quantised by another tool)", NULL);
}

/* ---- experts ---- */

static void read_experts(reader *r, tkx__model_config *c)
{
    const cJSON *dense_layers = get(r->json, "mlp_only_layers");
    const cJSON *item;
    size_t every;

    if (get(r->json, "num_experts"))
        need_size(r, "num_experts", &c->n_experts);
    else
        need_size(r, "num_local_experts", &c->n_experts);
    need_size(r, "num_experts_per_tok", &c->n_experts_per_tok);
    need_size(r, "moe_intermediate_size", &c->moe_intermediate_size);
    size_or(r, "decoder_sparse_step", &every, 1);
    c->norm_topk_prob = flag(r, "norm_topk_prob", false);
    for (size_t i = 0; i < c->n_layers && i < TKX__MAX_LAYERS; i++)
        c->is_moe_layer[i] = c->n_experts > 0 && every > 0 && (i + 1) % every == 0;
    cJSON_ArrayForEach(item, dense_layers)
    {
        size_t layer;

        if (tkx__json_text_size(item, &layer) && layer < TKX__MAX_LAYERS)
            c->is_moe_layer[layer] = false;
    }
}

/* ---- end ids ---- */

static void add_end_id(tkx__model_config *c, const cJSON *item)
{
    size_t id;

    if (tkx__json_text_size(item, &id) && id < c->vocab_size &&
        c->n_end_ids < TKX__MAX_END_IDS)
        c->end_ids[c->n_end_ids++] = (int64_t)id;
}

static void read_end_ids(tkx__model_config *c, const cJSON *json)
{
    const cJSON *eos = get(json, "eos_token_id");
    const cJSON *item;

    if (!cJSON_IsArray(eos)) {
        add_end_id(c, eos);
        return;
    }
    cJSON_ArrayForEach(item, eos)
    {
        add_end_id(c, item);
    }
}

/* ---- the whole ---- */

static void read_sizes(reader *r, tkx__model_config *c)
{
    double eps;
    size_t bos;

    need_size(r, "num_hidden_layers", &c->n_layers);
    need_size(r, "hidden_size", &c->hidden_size);
    need_size(r, "num_attention_heads", &c->n_heads);
    size_or(r, "num_key_value_heads", &c->n_kv_heads, c->n_heads);
    size_or(r, "head_dim", &c->head_dim, c->n_heads ? c->hidden_size / c->n_heads : 0);
    need_size(r, "vocab_size", &c->vocab_size);
    size_or(r, "max_position_embeddings", &c->max_positions, 2048);
    if (c->arch == TKX__ARCH_QWEN3MOE)
        size_or(r, "intermediate_size", &c->intermediate_size, 0);
    else
        need_size(r, "intermediate_size", &c->intermediate_size);
    number_or(r, r->json, "rms_norm_eps", &eps, 1e-6);
    c->rms_norm_eps = (float)eps;
    c->is_tied = flag(r, "tie_word_embeddings", false);
    c->bos_id = -1;
    if (tkx__json_text_size(get(r->json, "bos_token_id"), &bos))
        c->bos_id = (int64_t)bos;
}

static void read_biases(reader *r, tkx__model_config *c)
{
    bool attention = flag(r, "attention_bias", false);

    c->has_qkv_bias = c->arch == TKX__ARCH_QWEN2 || attention;
    c->has_o_bias = c->arch != TKX__ARCH_QWEN2 && attention;
    c->has_mlp_bias = c->arch == TKX__ARCH_LLAMA && flag(r, "mlp_bias", false);
    c->has_qk_norm = c->arch == TKX__ARCH_QWEN3 || c->arch == TKX__ARCH_QWEN3MOE;
}

static tkx_status read_config(const cJSON *json, const cJSON *generation,
                              const char *what, tkx__model_config *c, tkx_error **err)
{
    reader r = {.json = json, .what = what, .err = err};

    memset(c, 0, sizeof *c);
    read_arch(&r, c);
    if (r.status != TKX_OK)
        return r.status;
    read_sizes(&r, c);
    read_biases(&r, c);
    read_rope(&r, &c->rope);
    if (c->arch == TKX__ARCH_QWEN3MOE)
        read_experts(&r, c);
    refuse_options(&r);
    if (r.status != TKX_OK)
        return r.status;
    if (generation)
        read_end_ids(c, generation);
    if (c->n_end_ids == 0)
        read_end_ids(c, json);
    return tkx__config_check(c, what, err);
}

tkx_status tkx__config_from_json(const char *config, size_t config_size,
                                 const char *generation, size_t generation_size,
                                 const char *what, tkx__model_config *out,
                                 tkx_error **err)
{
    cJSON *json = NULL;
    cJSON *extra = NULL;
    tkx_status st = tkx__json_text_parse(config, config_size, what, &json, err);

    if (st == TKX_OK && generation)
        st = tkx__json_text_parse(generation, generation_size, "generation_config.json",
                                  &extra, err);
    if (st == TKX_OK)
        st = read_config(json, extra, what, out, err);
    cJSON_Delete(extra);
    cJSON_Delete(json);
    return st;
}

static tkx_status read_in(const char *dir, const char *name, cJSON **out, tkx_error **err)
{
    tkx__buf path;
    tkx_status st;

    tkx__buf_init(&path, 1 << 16);
    tkx__buf_printf(&path, "%s/%s", dir, name);
    if (path.status != TKX_OK)
        st = tkx__fail(err, path.status, "the path of %s is too long", name);
    else
        st = tkx__json_text_read(path.data, MAX_CONFIG_BYTES, out, err);
    tkx__buf_clear(&path);
    return st;
}

tkx_status tkx__config_from_dir(const char *dir, tkx__model_config *out, tkx_error **err)
{
    cJSON *json = NULL;
    cJSON *generation = NULL;
    tkx_error *absent = NULL;
    tkx_status st = read_in(dir, "config.json", &json, err);

    if (st == TKX_OK) {
        st = read_in(dir, "generation_config.json", &generation, &absent);
        if (st == TKX_ERR_NOT_FOUND)
            st = TKX_OK; /* config.json has the end ids then */
        else if (st != TKX_OK && err)
            *err = absent, absent = NULL;
    }
    if (st == TKX_OK)
        st = read_config(json, generation, dir, out, err);
    tkx_error_free(absent);
    cJSON_Delete(generation);
    cJSON_Delete(json);
    return st;
}
