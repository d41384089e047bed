/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linear.c - y = W x + s B (A x) and its derivatives, as matrix products.
 */
#include "mock_server/nn/linear.h"

#include <string.h>

#include "mock_server/nn/gemm.h"

static const nn_slot *slots_at(const nn_adapter *a, size_t layer, nn_map map)
{
    return a && a->layers[layer][map].is_on ? &a->layers[layer][map] : NULL;
}

nn_linear nn_linear_qkv(const nn_base *base, const nn_adapter *a, size_t layer)
{
    return (nn_linear){.w = base->layers[layer].qkv,
                       .bias = base->layers[layer].qkv_bias,
                       .in = base->config.hidden,
                       .out = nn_qkv_rows(&base->config),
                       .n_maps = 3,
                       .slots = slots_at(a, layer, NN_Q)};
}

nn_linear nn_linear_o(const nn_base *base, const nn_adapter *a, size_t layer)
{
    return (nn_linear){.w = base->layers[layer].o,
                       .in = nn_q_rows(&base->config),
                       .out = base->config.hidden,
                       .n_maps = 1,
                       .slots = slots_at(a, layer, NN_O)};
}

nn_linear nn_linear_gate_up(const nn_base *base, const nn_adapter *a, size_t layer)
{
    return (nn_linear){.w = base->layers[layer].gate_up,
                       .in = base->config.hidden,
                       .out = 2 * base->config.intermediate,
                       .n_maps = 2,
                       .slots = slots_at(a, layer, NN_GATE)};
}

nn_linear nn_linear_down(const nn_base *base, const nn_adapter *a, size_t layer)
{
    return (nn_linear){.w = base->layers[layer].down,
                       .in = base->config.intermediate,
                       .out = base->config.hidden,
                       .n_maps = 1,
                       .slots = slots_at(a, layer, NN_DOWN)};
}

nn_linear nn_linear_head(const nn_base *base, const nn_adapter *a)
{
    return (nn_linear){.w = base->head,
                       .in = base->config.hidden,
                       .out = base->config.vocab_size,
                       .n_maps = 1,
                       .slots = a && a->unembed.is_on ? &a->unembed : NULL};
}

nn_linear nn_linear_expert_gate_up(const nn_base *base, const nn_adapter *a, size_t layer,
                                   size_t expert)
{
    size_t in = base->config.hidden, out = 2 * base->config.moe_intermediate;

    return (nn_linear){.w = base->layers[layer].gate_up + expert * out * in,
                       .in = in,
                       .out = out,
                       .n_maps = 2,
                       .slots = slots_at(a, layer, NN_GATE),
                       .index_b = expert};
}

nn_linear nn_linear_expert_down(const nn_base *base, const nn_adapter *a, size_t layer,
                                size_t expert)
{
    size_t in = base->config.moe_intermediate, out = base->config.hidden;

    return (nn_linear){.w = base->layers[layer].down + expert * out * in,
                       .in = in,
                       .out = out,
                       .n_maps = 1,
                       .slots = slots_at(a, layer, NN_DOWN),
                       .index_a = expert};
}

/* Offsets of A (of all maps) and of one map's B in the flat array. */
static size_t a_at(const nn_adapter *a, const nn_linear *map)
{
    return map->slots[0].a + map->index_a * a->rank * map->in;
}

static size_t b_at(const nn_adapter *a, const nn_linear *map, size_t j)
{
    return map->slots[j].b + map->index_b * a->rank * map->slots[j].out;
}

void nn_linear_forward(const nn_adapter *a, const nn_linear *map, size_t m,
                       const float *x, float *y, float *h)
{
    size_t in = map->in, out = map->out, at = 0, width;

    for (size_t i = 0; map->bias && i < m; i++)
        memcpy(y + i * out, map->bias, out * sizeof *y);
    nn_gemm_nt(m, out, in, 1, x, in, map->w, in, map->bias ? 1 : 0, y, out);
    if (!map->slots)
        return;
    width = map->n_maps * a->rank;
    nn_gemm_nt(m, width, in, 1, x, in, a->values + a_at(a, map), in, 0, h, width);
    for (size_t j = 0; j < map->n_maps; j++) {
        nn_gemm_nt(m, map->slots[j].out, a->rank, a->scale, h + j * a->rank, width,
                   a->values + b_at(a, map, j), a->rank, 1, y + at, out);
        at += map->slots[j].out;
    }
}

void nn_linear_back(const nn_adapter *a, const nn_linear *map, size_t m, const float *x,
                    const float *h, const float *dy, float *dh, float *gradient,
                    float *dx, bool add)
{
    size_t in = map->in, out = map->out, at = 0, r = a->rank, width = map->n_maps * r;

    if (dx)
        nn_gemm_nn(m, in, out, 1, dy, out, map->w, in, add ? 1 : 0, dx, in);
    if (!map->slots)
        return;
    for (size_t j = 0; j < map->n_maps; j++) {
        size_t rows = map->slots[j].out, b = b_at(a, map, j);

        nn_gemm_tn(rows, r, m, a->scale, dy + at, out, h + j * r, width, 1, gradient + b,
                   r);
        nn_gemm_nn(m, r, rows, a->scale, dy + at, out, a->values + b, r, 0, dh + j * r,
                   width);
        at += rows;
    }
    nn_gemm_tn(width, in, m, 1, dh, width, x, in, 1, gradient + a_at(a, map), in);
    if (dx)
        nn_gemm_nn(m, in, width, 1, dh, width, a->values + a_at(a, map), in, 1, dx, in);
}
