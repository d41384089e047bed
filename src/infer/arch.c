/* SPDX-License-Identifier: Apache-2.0 */
/* arch.c - the architecture table: what a layer of each is made of. */
#include "infer/graph_in.h"

static tkx__block_fn *attention(const tkx__model_config *config, size_t layer)
{
    (void)config;
    (void)layer;
    return tkx__block_attention;
}

static tkx__block_fn *dense(const tkx__model_config *config, size_t layer)
{
    (void)config;
    (void)layer;
    return tkx__block_mlp;
}

static tkx__block_fn *dense_or_experts(const tkx__model_config *config, size_t layer)
{
    return config->is_moe_layer[layer] ? tkx__block_experts : tkx__block_mlp;
}

/* Biases and q/k norms need no row: a layer that has them has their vectors. */
static const tkx__arch_ops table[TKX__N_ARCHS] = {
    [TKX__ARCH_LLAMA] = {attention, dense},
    [TKX__ARCH_QWEN2] = {attention, dense},
    [TKX__ARCH_QWEN3] = {attention, dense},
    [TKX__ARCH_QWEN3MOE] = {attention, dense_or_experts},
};

const tkx__arch_ops *tkx__arch_get(tkx__arch arch)
{
    return &table[arch];
}
