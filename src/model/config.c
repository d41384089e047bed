/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - architectures by name, checks that both readers end with. */
#include "model/config.h"

#include "base/error.h"

static const char *const arch_names[TKX__N_ARCHS] = {
    [TKX__ARCH_LLAMA] = "llama",
    [TKX__ARCH_QWEN2] = "qwen2",
    [TKX__ARCH_QWEN3] = "qwen3",
    [TKX__ARCH_QWEN3MOE] = "qwen3moe",
};

const char *tkx__arch_name(tkx__arch arch)
{
    return arch_names[arch];
}

typedef struct bound {
    const char *name;
    size_t value;
    size_t min;
    size_t max;
} bound;

/* Bounds far above any model and far below what could overflow in a product of two. */
static tkx_status check_bounds(const tkx__model_config *c, const char *what,
                               tkx_error **err)
{
    const bound bounds[] = {
        {"number of layers", c->n_layers, 1, TKX__MAX_LAYERS},
        {"hidden size", c->hidden_size, 1, 1u << 20},
        {"intermediate size", c->intermediate_size, c->n_experts ? 0 : 1, 1u << 24},
        {"number of heads", c->n_heads, 1, 1u << 14},
        {"number of KV heads", c->n_kv_heads, 1, 1u << 14},
        {"head size", c->head_dim, 2, 512}, /* what attention has scratch for */
        {"vocabulary size", c->vocab_size, 1, 1u << 28},
        {"number of positions", c->max_positions, 1, 1u << 30},
        {"number of experts", c->n_experts, 0, 1u << 14},
        {"experts per token", c->n_experts_per_tok, c->n_experts ? 1 : 0,
         c->n_experts ? c->n_experts : 0},
        {"expert intermediate size", c->moe_intermediate_size, c->n_experts ? 1 : 0,
         1u << 24},
    };

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max)
            return tkx__fail(
                err, TKX_ERR_PARSE, "%s: the %s is %zu, not within %zu to %zu", what,
                bounds[i].name, bounds[i].value, bounds[i].min, bounds[i].max);
    }
    return TKX_OK;
}

tkx_status tkx__config_check(const tkx__model_config *c, const char *what,
                             tkx_error **err)
{
    tkx_status st = check_bounds(c, what, err);

    if (st == TKX_OK)
        st = tkx__rope_check(&c->rope, what, err);
    if (st != TKX_OK)
        return st;
    if (c->n_heads % c->n_kv_heads != 0)
        return tkx__fail(err, TKX_ERR_PARSE, "%s: %zu heads cannot share %zu KV heads",
                         what, c->n_heads, c->n_kv_heads);
    if (c->head_dim % 2 != 0)
        return tkx__fail(err, TKX_ERR_PARSE, "%s: the head size %zu is odd", what,
                         c->head_dim);
    if (!(c->rms_norm_eps >= 0) || !(c->rms_norm_eps < 1))
        return tkx__fail(err, TKX_ERR_PARSE, "%s: the norm's epsilon is %g", what,
                         (double)c->rms_norm_eps);
    for (size_t i = 0; i < c->n_layers; i++) {
        if (!c->is_moe_layer[i] && c->intermediate_size == 0)
            return tkx__fail(err, TKX_ERR_PARSE, "%s: layer %zu is dense and has no size",
                             what, i);
    }
    return TKX_OK;
}
