/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_config.c - adapter_config.json: rank, alpha, and the options that would change
 * the maths, each of which is refused by name when it is set.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/adapter_in.h"
#include "model/json_text.h"

#define MAX_RANK 16384
#define MAX_MODULES (1 << 16)

/* PEFT's options that change what an adapter computes, or what it is added to. */
static const char *const unsupported[] = {"use_dora",
                                          "use_qalora",
                                          "use_bdlora",
                                          "rank_pattern",
                                          "alpha_pattern",
                                          "lora_bias",
                                          "modules_to_save",
                                          "fan_in_fan_out",
                                          "layer_replication",
                                          "trainable_token_indices",
                                          "alora_invocation_tokens",
                                          "arrow_config",
                                          "kasa_config",
                                          "monteclora_config",
                                          "velora_config",
                                          "target_parameters",
                                          "ensure_weight_tying"};

/* Ways of starting that change the base weights too: the base here has not been. */
static const char *const changed_base[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};

/* Set to something: not null, false, 0, "", [] or {}. */
static bool is_set(const cJSON *item)
{
    if (!item || cJSON_IsNull(item) || cJSON_IsFalse(item))
        return false;
    if (cJSON_IsNumber(item))
        return item->valuedouble != 0;
    if (cJSON_IsString(item))
        return item->valuestring[0] != '\0';
    if (cJSON_IsArray(item) || cJSON_IsObject(item))
        return item->child != NULL;
    return true;
}

static bool is_listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, list[i]) == 0)
            return true;
    }
    return false;
}

static bool begins_with_any(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strncmp(text, list[i], strlen(list[i])) == 0)
            return true;
    }
    return false;
}

static void check_option(const cJSON *item, tkx__buf *problems)
{
    const char *name = item->string;
    bool is_text = cJSON_IsString(item);

    if (!is_set(item))
        return;
    if (strcmp(name, "peft_type") == 0 &&
        (!is_text || strcmp(item->valuestring, "LORA") != 0))
        tkx__buf_printf(problems, "\n  peft_type is %.40s, not LORA",
                        is_text ? item->valuestring : "no text");
    else if (strcmp(name, "bias") == 0 &&
             (!is_text || strcmp(item->valuestring, "none") != 0))
        tkx__buf_printf(problems, "\n  bias is %.40s: trained biases are not applied",
                        is_text ? item->valuestring : "no text");
    else if (strcmp(name, "init_lora_weights") == 0 && is_text &&
             begins_with_any(item->valuestring, changed_base,
                             sizeof changed_base / sizeof changed_base[0]))
        tkx__buf_printf(problems,
                        "\n  init_lora_weights is %.40s, which changes the base weights",
                        item->valuestring);
    else if (is_listed(name, unsupported, sizeof unsupported / sizeof unsupported[0]))
        tkx__buf_printf(problems, "\n  option %.80s is set and not computed here", name);
    else if (strncmp(name, "use_", 4) == 0 && strcmp(name, "use_rslora") != 0)
        tkx__buf_printf(problems, "\n  option %.80s is set and not known", name);
}

/* Bare names of modules are kept; full names and expressions pick layers as well. */
static tkx_status read_modules(const cJSON *json, adapter_config *out, tkx_error **err)
{
    static const char *const picking[] = {"layers_to_transform", "layers_pattern",
                                          "exclude_modules"};
    const cJSON *modules = cJSON_GetObjectItemCaseSensitive(json, "target_modules");
    tkx__buf names;

    for (size_t i = 0; i < sizeof picking / sizeof picking[0]; i++)
        out->picks_layers |= is_set(cJSON_GetObjectItemCaseSensitive(json, picking[i]));
    if (cJSON_IsString(modules))
        out->picks_layers |= strcmp(modules->valuestring, "all-linear") != 0;
    if (!cJSON_IsArray(modules))
        return TKX_OK;
    tkx__buf_init(&names, MAX_MODULES);
    for (const cJSON *item = modules->child; item; item = item->next) {
        if (!cJSON_IsString(item))
            continue;
        if (strchr(item->valuestring, '.'))
            out->picks_layers = true;
        else
            tkx__buf_printf(&names, "%s\n", item->valuestring);
    }
    if (names.status == TKX_OK && names.size > 0)
        out->modules = tkx__strdup(tkx__buf_text(&names));
    if (names.status != TKX_OK || (names.size > 0 && !out->modules)) {
        tkx__buf_clear(&names);
        return tkx__fail(err, TKX_ERR_LIMIT, "target_modules does not fit into %d bytes",
                         MAX_MODULES);
    }
    tkx__buf_clear(&names);
    return TKX_OK;
}

static tkx_status read_config(const cJSON *json, const char *what, adapter_config *out,
                              tkx__buf *problems, tkx_error **err)
{
    const cJSON *alpha = cJSON_GetObjectItemCaseSensitive(json, "lora_alpha");
    const cJSON *rslora = cJSON_GetObjectItemCaseSensitive(json, "use_rslora");
    const cJSON *base = cJSON_GetObjectItemCaseSensitive(json, "base_model_name_or_path");

    for (const cJSON *item = json->child; item; item = item->next)
        check_option(item, problems);
    if (!tkx__json_text_size(cJSON_GetObjectItemCaseSensitive(json, "r"), &out->rank) ||
        out->rank == 0 || out->rank > MAX_RANK)
        return tkx__fail(err, TKX_ERR_PARSE, "%s: r is not a rank of 1 to %d", what,
                         MAX_RANK);
    if (!cJSON_IsNumber(alpha) || !isfinite(alpha->valuedouble))
        return tkx__fail(err, TKX_ERR_PARSE,
                         "%s: lora_alpha is missing or no finite number", what);
    out->alpha = alpha->valuedouble;
    if (rslora && !cJSON_IsBool(rslora) && !cJSON_IsNull(rslora))
        return tkx__fail(err, TKX_ERR_PARSE, "%s: use_rslora is neither true nor false",
                         what);
    out->is_rslora = cJSON_IsTrue(rslora);
    if (cJSON_IsString(base)) {
        out->base_model = tkx__strdup(base->valuestring);
        if (!out->base_model)
            return tkx__fail_memory(err);
    }
    return read_modules(json, out, err);
}

tkx_status tkx__adapter_config_parse(const char *text, size_t size, const char *what,
                                     adapter_config *out, tkx__buf *problems,
                                     tkx_error **err)
{
    cJSON *json = NULL;
    tkx_status st = tkx__json_text_parse(text, size, what, &json, err);

    memset(out, 0, sizeof *out);
    if (st == TKX_OK)
        st = read_config(json, what, out, problems, err);
    cJSON_Delete(json);
    return st;
}
