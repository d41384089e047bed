/* SPDX-License-Identifier: Apache-2.0 */
/* weights.c - chance weights and activations for the kernel tests. */
#include "weights.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "model/blocks.h"

const tkx__wtype all_wtypes[] = {TKX__W_F32,  TKX__W_F16,  TKX__W_BF16, TKX__W_Q8_0,
                                 TKX__W_Q4_0, TKX__W_Q4_1, TKX__W_Q5_0, TKX__W_Q5_1,
                                 TKX__W_Q2_K, TKX__W_Q3_K, TKX__W_Q4_K, TKX__W_Q5_K,
                                 TKX__W_Q6_K};
const size_t n_wtypes = sizeof all_wtypes / sizeof all_wtypes[0];

size_t usable_kernels(const tkx__kernels *out[8])
{
    static const char *const names[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon"};
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tkx__kernels_select(names[i], &out[n], NULL) == TKX_OK)
            n++;
    ck_assert_uint_ge(n, 1);
    return n;
}

uint32_t chance(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

float chance_float(uint32_t *state)
{
    return (float)((int)(chance(state) & 0xffff) - 0x8000) / 32768.0f;
}

float *chance_floats(uint32_t *state, size_t n)
{
    float *x = malloc((n ? n : 1) * sizeof *x);

    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = chance_float(state);
    return x;
}

static void put_half(uint32_t *state, uint8_t *at)
{
    uint16_t h = tkx__f32_to_f16(chance_float(state) * 0.05f);

    memcpy(at, &h, sizeof h);
}

/* Where the half-precision scales of a block lie. */
static void put_scales(uint32_t *state, tkx__wtype type, uint8_t *block)
{
    switch (type) {
    case TKX__W_Q4_1:
    case TKX__W_Q5_1:
    case TKX__W_Q4_K:
    case TKX__W_Q5_K:
        put_half(state, block + 2);
        put_half(state, block);
        break;
    case TKX__W_Q2_K:
        put_half(state, block + 80);
        put_half(state, block + 82);
        break;
    case TKX__W_Q3_K:
        put_half(state, block + 108);
        break;
    case TKX__W_Q6_K:
        put_half(state, block + 208);
        break;
    default:
        put_half(state, block);
        break;
    }
}

static void fill_plain(uint32_t *state, tkx__wtype type, uint8_t *at)
{
    float f = chance_float(state);
    uint16_t h = type == TKX__W_F16 ? tkx__f32_to_f16(f) : tkx__f32_to_bf16(f);

    if (type == TKX__W_F32)
        memcpy(at, &f, sizeof f);
    else
        memcpy(at, &h, sizeof h);
}

tkx__matrix chance_matrix(uint32_t *state, tkx__wtype type, size_t n_rows, size_t n_cols)
{
    size_t row_size = tkx__wtype_row_size(type, n_cols);
    size_t block = tkx__wtype_block_size(type);
    uint8_t *data = malloc(n_rows * row_size);

    ck_assert_ptr_nonnull(data);
    ck_assert_uint_gt(row_size, 0);
    for (size_t i = 0; i < n_rows * row_size; i += block) {
        if (tkx__wtype_block_cols(type) == 1) {
            fill_plain(state, type, data + i);
            continue;
        }
        for (size_t j = 0; j < block; j++)
            data[i + j] = (uint8_t)chance(state);
        put_scales(state, type, data + i);
    }
    return (tkx__matrix){.data = data,
                         .type = type,
                         .n_rows = n_rows,
                         .n_cols = n_cols,
                         .row_size = row_size};
}
