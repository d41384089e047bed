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
#include "model/config_json_in.h"
#include "model/mapped.h"

#define MAX_CONFIG_BYTES ((size_t)4 << 20)

typedef tkx__config_reader reader;

const cJSON *tkx__config_get(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNull(item) ? NULL : item;
}

void tkx__config_need_size(reader *r, const char *key, size_t *out)
{
    const cJSON *item = tkx__config_get(r->json, key);

    if (r->status != TKX_OK || tkx__json_text_size(item, out))
        return;
    if (cJSON_IsNumber(item))
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is %g, no whole number",
                              r->what, key, item->valuedouble);
    else
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is %s", r->what, key,
                              item ? "no number" : "missing");
}

void tkx__config_size_or(reader *r, const char *key, size_t *out, size_t otherwise)
{
    *out = otherwise;
    if (tkx__config_get(r->json, key))
        tkx__config_need_size(r, key, out);
}

void tkx__config_number_or(reader *r, const cJSON *object, const char *key, double *out,
                           double otherwise)
{
    const cJSON *item = tkx__config_get(object, key);

    *out = otherwise;
    if (!item || r->status != TKX_OK)
        return;
    if (cJSON_IsNumber(item))
        *out = item->valuedouble;
    else
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is no number", r->what, key);
}

bool tkx__config_flag(reader *r, const cJSON *object, const char *key, bool otherwise)
{
    const cJSON *item = tkx__config_get(object, key);

    if (!item || r->status != TKX_OK)
        return otherwise;
    if (!cJSON_IsBool(item))
        r->status = tkx__fail(r->err, TKX_ERR_PARSE, "%s: %s is neither true nor false",
                              r->what, key);
    return cJSON_IsTrue(item);
}

void tkx__config_unsupported(reader *r, const char *key, const char *value,
                             const char *advice)
{
    if (r->status == TKX_OK)
        r->status = tkx__fail(r->err, TKX_ERR_UNSUPPORTED,
                              "%s: %s%s%.100s is not computed here%s%s", r->what, key,
                              value ? " " : "", value ? value : "", advice ? "; " : "",
                              advice ? advice : "");
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
    const cJSON *type = tkx__config_get(r->json, "model_type");

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

/* ---- what is not computed ---- */

static void refuse_options(reader *r)
{
    const cJSON *act = tkx__config_get(r->json, "hidden_act");
    const char *name = cJSON_IsString(act) ? act->valuestring : "";

    if (act && strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)
        tkx__config_unsupported(r, "hidden_act", name, "silu is");
    if (tkx__config_get(r->json, "quantization_config"))
        tkx__config_unsupported(r, "quantization_config", NULL,
                                "take the model's own weights in F32, F16 or BF16, or a "
                                "GGUF file of it");
}

/* ---- experts ---- */

static void read_experts(reader *r, tkx__model_config *c)
{
    const cJSON *dense_layers = tkx__config_get(r->json, "mlp_only_layers");
    const cJSON *item;
    size_t every;

    if (tkx__config_get(r->json, "num_experts"))
        tkx__config_need_size(r, "num_experts", &c->n_experts);
    else
        tkx__config_need_size(r, "num_local_experts", &c->n_experts);
    tkx__config_need_size(r, "num_experts_per_tok", &c->n_experts_per_tok);
    tkx__config_need_size(r, "moe_intermediate_size", &c->moe_intermediate_size);
    if (c->n_experts == 0) /* every layer is dense, whatever else is said */
        c->n_experts_per_tok = c->moe_intermediate_size = 0;
    tkx__config_size_or(r, "decoder_sparse_step", &every, 1);
    c->norm_topk_prob = tkx__config_flag(r, r->json, "norm_topk_prob", false);
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
    const cJSON *eos = tkx__config_get(json, "eos_token_id");
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

static size_t default_head_dim(const tkx__model_config *c)
{
    if (c->arch == TKX__ARCH_QWEN3)
        return 128;
    return c->n_heads ? c->hidden_size / c->n_heads : 0;
}

static void read_sizes(reader *r, tkx__model_config *c)
{
    double eps;
    size_t bos;

    tkx__config_need_size(r, "num_hidden_layers", &c->n_layers);
    tkx__config_need_size(r, "hidden_size", &c->hidden_size);
    tkx__config_need_size(r, "num_attention_heads", &c->n_heads);
    tkx__config_size_or(r, "num_key_value_heads", &c->n_kv_heads, c->n_heads);
    tkx__config_size_or(r, "head_dim", &c->head_dim, default_head_dim(c));
    tkx__config_need_size(r, "vocab_size", &c->vocab_size);
    tkx__config_size_or(r, "max_position_embeddings", &c->max_positions,
                        c->arch == TKX__ARCH_LLAMA ? 2048 : 32768);
    if (c->arch == TKX__ARCH_QWEN3MOE)
        tkx__config_size_or(r, "intermediate_size", &c->intermediate_size, 0);
    else
        tkx__config_need_size(r, "intermediate_size", &c->intermediate_size);
    tkx__config_number_or(r, r->json, "rms_norm_eps", &eps, 1e-6);
    c->rms_norm_eps = (float)eps;
    c->is_tied = tkx__config_flag(r, r->json, "tie_word_embeddings", false);
    c->bos_id = -1;
    if (tkx__json_text_size(tkx__config_get(r->json, "bos_token_id"), &bos))
        c->bos_id = (int64_t)bos;
}

static void read_biases(reader *r, tkx__model_config *c)
{
    bool attention = tkx__config_flag(r, r->json, "attention_bias", false);

    c->has_qkv_bias = c->arch == TKX__ARCH_QWEN2 || attention;
    c->has_o_bias = c->arch != TKX__ARCH_QWEN2 && attention;
    c->has_mlp_bias =
        c->arch == TKX__ARCH_LLAMA && tkx__config_flag(r, r->json, "mlp_bias", false);
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
    tkx__config_read_rope(&r, c);
    if (c->arch == TKX__ARCH_QWEN3MOE)
        read_experts(&r, c);
    tkx__config_read_window(&r, c);
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

static tkx_status join(const char *dir, const char *name, tkx__buf *path, tkx_error **err)
{
    tkx__buf_init(path, 1 << 16);
    tkx__buf_printf(path, "%s/%s", dir, name);
    return path->status == TKX_OK
               ? TKX_OK
               : tkx__fail(err, path->status, "the path of %s is too long", name);
}

static tkx_status read_in(const char *dir, const char *name, cJSON **out, tkx_error **err)
{
    tkx__buf path;
    tkx_status st = join(dir, name, &path, err);

    if (st == TKX_OK)
        st = tkx__json_text_read(path.data, MAX_CONFIG_BYTES, out, err);
    tkx__buf_clear(&path);
    return st;
}

tkx_status tkx__config_from_dir(const char *dir, tkx__model_config *out, tkx_error **err)
{
    cJSON *json = NULL;
    cJSON *generation = NULL;
    tkx_error *absent = NULL;
    tkx__buf path;
    tkx_status st = read_in(dir, "config.json", &json, err);

    tkx__buf_init(&path, 0);

    if (st == TKX_OK) {
        st = read_in(dir, "generation_config.json", &generation, &absent);
        if (st == TKX_ERR_NOT_FOUND)
            st = TKX_OK; /* config.json has the end ids then */
        else if (st != TKX_OK && err)
            *err = absent, absent = NULL;
    }
    if (st == TKX_OK)
        st = join(dir, "config.json", &path, err);
    if (st == TKX_OK)
        st = read_config(json, generation, path.data, out, err);
    tkx__buf_clear(&path);
    tkx_error_free(absent);
    cJSON_Delete(generation);
    cJSON_Delete(json);
    return st;
}
