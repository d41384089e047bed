/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter.c - the layout of the trainable numbers, their start values and their names.
 */
#include "mock_server/nn/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/random.h"

enum { MAX_RANK = 1024 };

static void place_a(nn_adapter *a, nn_slot *slot)
{
    if (!slot->is_on)
        return;
    slot->a = a->n_values;
    a->n_values += (slot->n_a ? slot->n_a : 1) * a->rank * slot->in;
}

static void place_b(nn_adapter *a, nn_slot *slot)
{
    if (!slot->is_on)
        return;
    slot->b = a->n_values;
    a->n_values += (slot->n_b ? slot->n_b : 1) * a->rank * slot->out;
}

/* The A of maps first .. last side by side, then their B. */
static void place_group(nn_adapter *a, nn_slot *slots, int first, int last)
{
    for (int m = first; m <= last; m++)
        place_a(a, &slots[m]);
    for (int m = first; m <= last; m++)
        place_b(a, &slots[m]);
}

static void lay_out(nn_adapter *a)
{
    const nn_config *c = &a->base->config;
    bool attn = a->options.train_attn, mlp = a->options.train_mlp;
    size_t h = c->hidden, q = nn_q_rows(c), kv = nn_kv_rows(c);

    a->n_values = 0;
    for (size_t i = 0; i < c->n_layers; i++) {
        bool sparse = a->base->layers[i].is_sparse;
        size_t f = sparse ? c->moe_intermediate : c->intermediate;
        size_t one = sparse ? 1 : 0, all = sparse ? c->n_experts : 0;
        nn_slot *s = a->layers[i];

        s[NN_Q] = (nn_slot){.is_on = attn, .in = h, .out = q};
        s[NN_K] = (nn_slot){.is_on = attn, .in = h, .out = kv};
        s[NN_V] = s[NN_K];
        s[NN_O] = (nn_slot){.is_on = attn, .in = q, .out = h};
        s[NN_GATE] = (nn_slot){.is_on = mlp, .in = h, .out = f, .n_a = one, .n_b = all};
        s[NN_UP] = s[NN_GATE];
        s[NN_DOWN] = (nn_slot){.is_on = mlp, .in = f, .out = h, .n_a = all, .n_b = one};
        place_group(a, s, NN_Q, NN_V);
        place_group(a, s, NN_O, NN_O);
        place_group(a, s, NN_GATE, NN_UP);
        place_group(a, s, NN_DOWN, NN_DOWN);
    }
    a->unembed =
        (nn_slot){.is_on = a->options.train_unembed, .in = h, .out = c->vocab_size};
    place_group(a, &a->unembed, 0, 0);
}

static tkx_status check_options(const nn_lora_options *o, tkx_error **err)
{
    if (o->rank == 0 || o->rank > MAX_RANK)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "lora_config: rank %zu; this server takes 1 to %d", o->rank,
                            MAX_RANK);
    if (!o->train_attn && !o->train_mlp && !o->train_unembed)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "lora_config: one of train_attn, train_mlp and train_unembed "
                            "must be true");
    if (!(o->alpha >= 0) || !isfinite(o->alpha))
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT, "lora_config: alpha is %g",
                            o->alpha);
    return TKX_OK;
}

/* Everything but the values. */
static tkx_status init_layout(nn_adapter *a, const nn_base *base,
                              const nn_lora_options *o, tkx_error **err)
{
    double rank = (double)o->rank;
    tkx_status st = check_options(o, err);

    memset(a, 0, sizeof *a);
    if (st != TKX_OK)
        return st;
    a->base = base;
    a->options = *o;
    if (a->options.alpha == 0)
        a->options.alpha = 32;
    a->rank = o->rank;
    a->scale = (float)(a->options.alpha / (o->use_rslora ? sqrt(rank) : rank));
    a->layers = tkx__calloc(base->config.n_layers, sizeof *a->layers);
    if (!a->layers)
        return tkx__fail_memory(err);
    lay_out(a);
    return TKX_OK;
}

tkx_status nn_adapter_init(nn_adapter *a, const nn_base *base, const nn_lora_options *o,
                           tkx_error **err)
{
    tkx_status st = init_layout(a, base, o, err);

    if (st != TKX_OK)
        return st;
    a->values = tkx__calloc(a->n_values, sizeof *a->values);
    if (!a->values) {
        nn_adapter_clear(a);
        return nn_fail_server(err, TKX_ERR_NO_MEMORY,
                              "no memory for an adapter of rank %zu on '%s'", o->rank,
                              base->name);
    }
    return TKX_OK;
}

size_t nn_adapter_count(const nn_base *base, const nn_lora_options *options)
{
    nn_adapter a;
    size_t n = 0;

    if (init_layout(&a, base, options, NULL) == TKX_OK)
        n = a.n_values;
    nn_adapter_clear(&a);
    return n;
}

tkx_status nn_adapter_copy(nn_adapter *to, const nn_adapter *from, tkx_error **err)
{
    tkx_status st = nn_adapter_init(to, from->base, &from->options, err);

    if (st == TKX_OK)
        memcpy(to->values, from->values, from->n_values * sizeof *to->values);
    return st;
}

void nn_adapter_clear(nn_adapter *a)
{
    tkx__free(a->layers);
    tkx__free(a->values);
    memset(a, 0, sizeof *a);
}

static void randomize_slot(nn_adapter *a, const nn_slot *slot, nn_random *random)
{
    size_t n = (slot->n_a ? slot->n_a : 1) * a->rank * slot->in;
    double bound = 1 / sqrt((double)slot->in);

    for (size_t i = 0; slot->is_on && i < n; i++)
        a->values[slot->a + i] = (float)((2 * nn_random_unit(random) - 1) * bound);
}

void nn_adapter_randomize(nn_adapter *a)
{
    nn_random random = {a->options.seed};

    memset(a->values, 0, a->n_values * sizeof *a->values);
    for (size_t i = 0; i < a->base->config.n_layers; i++)
        for (int m = 0; m < NN_N_MAPS; m++)
            randomize_slot(a, &a->layers[i][m], &random);
    randomize_slot(a, &a->unembed, &random);
}

static bool each_slot(const nn_adapter *a, const nn_slot *slot, const char *stem,
                      nn_adapter_tensor_fn *fn, void *user_data)
{
    nn_adapter_tensor t = {.n_dims = slot->n_a ? 3 : 2};
    bool is_expert = slot->n_a > 0;

    if (!slot->is_on)
        return true;
    snprintf(t.name, sizeof t.name, "base_model.model.model.%s.lora_A.weight", stem);
    t.offset = slot->a;
    t.n = (is_expert ? slot->n_a : 1) * a->rank * slot->in;
    t.shape[0] = slot->n_a;
    t.shape[is_expert] = a->rank;
    t.shape[is_expert + 1] = slot->in;
    if (!fn(&t, user_data))
        return false;
    snprintf(t.name, sizeof t.name, "base_model.model.model.%s.lora_B.weight", stem);
    t.offset = slot->b;
    t.n = (is_expert ? slot->n_b : 1) * a->rank * slot->out;
    t.shape[0] = slot->n_b;
    t.shape[is_expert] = slot->out;
    t.shape[is_expert + 1] = a->rank;
    return fn(&t, user_data);
}

bool nn_adapter_each(const nn_adapter *a, nn_adapter_tensor_fn *fn, void *user_data)
{
    static const char *const dense[NN_N_MAPS] = {
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
    static const char *const sparse[NN_N_MAPS] = {[NN_GATE] = "mlp.experts.w1",
                                                  [NN_UP] = "mlp.experts.w3",
                                                  [NN_DOWN] = "mlp.experts.w2"};
    char stem[96];

    for (size_t i = 0; i < a->base->config.n_layers; i++)
        for (int m = 0; m < NN_N_MAPS; m++) {
            const nn_slot *slot = &a->layers[i][m];

            snprintf(stem, sizeof stem, "layers.%zu.%s", i,
                     slot->n_a ? sparse[m] : dense[m]);
            if (!each_slot(a, slot, stem, fn, user_data))
                return false;
        }
    return each_slot(a, &a->unembed, "unembed_tokens", fn, user_data);
}
