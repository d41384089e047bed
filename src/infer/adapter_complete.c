/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_complete.c - is all of an adapter there?
 *
 * A pair that lost a half, a layer without what all others have, and a module that the
 * config names and no tensor adapts are complaints: the adapter would run and do less
 * than was trained.  Whole kinds of matrices may be missing (attention alone, say); a
 * config that picks layers, and empty tensors, say what else may be.
 */
#include <stdio.h>
#include <string.h>

#include "infer/adapter_in.h"

static const char *const names[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                    "gate_proj", "up_proj", "down_proj"};
#define N_KINDS (sizeof names / sizeof names[0])
#define MISSING "is missing, while others of its kind are adapted"

typedef struct checker {
    tkx__adapter *adapter;
    tkx__buf *problems;
} checker;

static void complain(const checker *c, const char *where, const char *how)
{
    tkx__buf_printf(c->problems, "\n  %.200s: %s", where, how);
}

/* ---- pairs ---- */

static void check_pair(const checker *c, const tkx__lora *pair, const char *where)
{
    const tkx__matrix *other = pair->a.data ? &pair->b : &pair->a;

    if (pair->a.data && pair->b.data)
        c->adapter->n_matrices++;
    else if ((pair->a.data || pair->b.data) && other->n_rows == 0) /* nor refused */
        complain(c, where,
                 pair->a.data ? "has a lora_A and no lora_B"
                              : "has a lora_B and no lora_A");
}

static void name_expert(char *out, size_t size, size_t layer, size_t expert, size_t kind)
{
    snprintf(out, size, "layers.%zu.experts.%zu.%s", layer, expert, names[kind]);
}

static void check_pairs(const checker *c)
{
    const tkx__adapter *a = c->adapter;
    char where[96];

    check_pair(c, &a->head, "unembed_tokens");
    for (size_t i = 0; i < a->n_layers; i++) {
        const layer_loras *l = &a->layers[i];

        for (size_t j = 0; j < N_KINDS; j++) {
            snprintf(where, sizeof where, "layers.%zu.%s", i, names[j]);
            check_pair(c, &l->dense[j], where);
        }
        for (size_t e = 0; l->experts && e < 3 * a->n_experts; e++) {
            name_expert(where, sizeof where, i, e % a->n_experts,
                        TKX__MAT_GATE + e / a->n_experts);
            check_pair(c, &l->experts[e], where);
        }
    }
}

/* ---- layers ---- */

/* The pairs of one kind in a layer: one, or one of each expert; 0: it has no such kind.
 */
static size_t pairs_of(const tkx__adapter *a, size_t layer, size_t kind, bool of_experts,
                       const tkx__lora **out)
{
    const layer_loras *l = &a->layers[layer];

    *out = &l->dense[kind];
    if (kind < TKX__MAT_GATE)
        return !of_experts;
    if (of_experts != (l->experts != NULL))
        return 0;
    if (of_experts)
        *out = &l->experts[(kind - TKX__MAT_GATE) * a->n_experts];
    return of_experts ? a->n_experts : 1;
}

static bool is_there(const tkx__lora *pair)
{
    return pair->a.data || pair->b.data;
}

static bool is_anywhere(const tkx__adapter *a, size_t kind, bool of_experts)
{
    const tkx__lora *pairs;

    for (size_t i = 0; i < a->n_layers; i++) {
        size_t n = pairs_of(a, i, kind, of_experts, &pairs);

        for (size_t e = 0; e < n; e++)
            if (is_there(&pairs[e]))
                return true;
    }
    return false;
}

static void check_layer(const checker *c, size_t layer, size_t kind, bool of_experts)
{
    const tkx__adapter *a = c->adapter;
    const tkx__lora *pairs;
    size_t n = pairs_of(a, layer, kind, of_experts, &pairs);
    size_t n_there = 0;
    char where[96];

    for (size_t e = 0; e < n; e++)
        n_there += is_there(&pairs[e]);
    if (n_there == n || (a->layers[layer].untrained & (1u << kind)))
        return;
    if (n_there == 0) {
        snprintf(where, sizeof where, "layers.%zu.%s%s", layer,
                 of_experts ? "experts." : "", names[kind]);
        complain(c, where, MISSING);
        return;
    }
    for (size_t e = 0; e < n; e++) {
        name_expert(where, sizeof where, layer, e, kind);
        if (!is_there(&pairs[e]))
            complain(c, where, MISSING);
    }
}

static void check_layers(const checker *c)
{
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        for (int of_experts = 0; of_experts < 2; of_experts++) {
            if (!is_anywhere(c->adapter, kind, of_experts))
                continue;
            for (size_t i = 0; i < c->adapter->n_layers; i++)
                check_layer(c, i, kind, of_experts);
        }
    }
}

/* ---- modules that the config names ---- */

static bool has_module(const tkx__tensors *table, const char *module)
{
    char part[128];

    snprintf(part, sizeof part, ".%.100s.", module);
    for (size_t i = 0; i < table->n; i++)
        if (strstr(table->items[i].name, part))
            return true;
    return false;
}

static const char *other_name(const char *module)
{
    static const char *const pairs[][2] = {{"lm_head", "unembed_tokens"},
                                           {"unembed_tokens", "lm_head"},
                                           {"gate_proj", "w1"},
                                           {"up_proj", "w3"},
                                           {"down_proj", "w2"}};

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strcmp(pairs[i][0], module) == 0)
            return pairs[i][1];
    return module;
}

static void check_modules(const checker *c)
{
    const tkx__tensors *table = tkx__safetensors_tensors(c->adapter->tensors);
    const char *at = c->adapter->config.modules;
    char module[104];

    while (at && *at) {
        size_t n = strcspn(at, "\n");

        snprintf(module, sizeof module, "%.*s", n < 100 ? (int)n : 100, at);
        if (!has_module(table, module) && !has_module(table, other_name(module)))
            complain(c, module, "is named in target_modules, and no tensor adapts it");
        at += n + (at[n] == '\n');
    }
}

void tkx__adapter_check_complete(tkx__adapter *adapter, bool all_fit, tkx__buf *problems)
{
    const checker c = {adapter, problems};

    check_pairs(&c);
    if (!all_fit)
        return; /* what did not fit would be missing, too */
    if (!adapter->config.picks_layers)
        check_layers(&c);
    check_modules(&c);
}
