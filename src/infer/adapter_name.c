/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_name.c - what the name of an adapter's tensor refers to.
 *
 *     [base_model.model.]model.layers.N.self_attn.q_proj.lora_A.weight
 *     ....model.layers.N.mlp.gate_proj.lora_B.weight
 *     ....model.layers.N.mlp.experts.E.gate_proj.lora_A.weight
 *     ....model.layers.N.mlp.experts.w1.lora_A.weight     w1, w2, w3: gate, down, up
 *     ....model.unembed_tokens.lora_A.weight, ....lm_head.lora_A.weight
 *
 * ".attn." is another spelling of ".self_attn.".
 */
#include <string.h>

#include "infer/adapter_in.h"

static bool skip(const char **at, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(*at, prefix, n) != 0)
        return false;
    *at += n;
    return true;
}

/* Digits and a dot. */
static bool skip_index(const char **at, size_t *out)
{
    const char *p = *at;
    size_t value = 0;

    while (*p >= '0' && *p <= '9' && p - *at < 7)
        value = value * 10 + (size_t)(*p++ - '0');
    if (p == *at || *p != '.')
        return false;
    *at = p + 1;
    *out = value;
    return true;
}

typedef struct word {
    const char *text;
    tkx__layer_matrix matrix;
} word;

static bool skip_word(const char **at, const word *words, size_t n,
                      tkx__layer_matrix *out)
{
    for (size_t i = 0; i < n; i++) {
        if (skip(at, words[i].text)) {
            *out = words[i].matrix;
            return true;
        }
    }
    return false;
}

static const word attention[] = {{"q_proj.", TKX__MAT_Q},
                                 {"k_proj.", TKX__MAT_K},
                                 {"v_proj.", TKX__MAT_V},
                                 {"o_proj.", TKX__MAT_O}};
static const word mlp[] = {{"gate_proj.", TKX__MAT_GATE},
                           {"up_proj.", TKX__MAT_UP},
                           {"down_proj.", TKX__MAT_DOWN}};
static const word all_experts[] = {
    {"w1.", TKX__MAT_GATE}, {"w3.", TKX__MAT_UP}, {"w2.", TKX__MAT_DOWN}};

static bool parse_mlp(const char **at, adapter_name *out)
{
    if (!skip(at, "experts."))
        return skip_word(at, mlp, 3, &out->matrix);
    if (skip_word(at, all_experts, 3, &out->matrix)) {
        out->module = ADAPTER_ALL_EXPERTS;
        return true;
    }
    out->has_expert = true;
    return skip_index(at, &out->expert) && skip_word(at, mlp, 3, &out->matrix);
}

static bool parse_module(const char **at, adapter_name *out)
{
    if (skip(at, "model.unembed_tokens.") || skip(at, "lm_head.")) {
        out->module = ADAPTER_HEAD;
        return true;
    }
    if (!skip(at, "model.layers.") || !skip_index(at, &out->layer))
        return false;
    if (skip(at, "self_attn.") || skip(at, "attn."))
        return skip_word(at, attention, 4, &out->matrix);
    return skip(at, "mlp.") && parse_mlp(at, out);
}

bool tkx__adapter_name_parse(const char *text, adapter_name *out)
{
    const char *at = text;

    memset(out, 0, sizeof *out);
    (void)skip(&at, "base_model.model.");
    if (!parse_module(&at, out))
        return false;
    out->is_b = strcmp(at, "lora_B.weight") == 0;
    return out->is_b || strcmp(at, "lora_A.weight") == 0;
}
