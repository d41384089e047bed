// SPDX-License-Identifier: Apache-2.0
/*
 * strips.c - packing and unpacking strips in plain C; see strips.h.
 */
#include "infer/kernels/strips.h"

#include <string.h>

tkx__strip_shape tkx__strip_shape_of(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return (tkx__strip_shape){0, 1, 2, 4, false};
    case TKX__W_Q4_1:
        return (tkx__strip_shape){0, 2, 4, 4, false};
    case TKX__W_Q5_0:
        return (tkx__strip_shape){0, 1, 2, 5, true};
    case TKX__W_Q5_1:
        return (tkx__strip_shape){0, 2, 4, 5, true};
    case TKX__W_Q8_0:
        return (tkx__strip_shape){0, 1, 2, 8, false};
    case TKX__W_Q2_K:
        return (tkx__strip_shape){80, 2, 0, 20, false};
    case TKX__W_Q3_K:
        return (tkx__strip_shape){108, 1, 0, 27, false};
    case TKX__W_Q4_K:
        return (tkx__strip_shape){0, 2, 4, 35, false};
    case TKX__W_Q5_K:
        return (tkx__strip_shape){0, 2, 4, 43, false};
    case TKX__W_Q6_K:
        return (tkx__strip_shape){208, 1, 0, 52, false};
    default:
        return (tkx__strip_shape){0};
    }
}

uint32_t tkx__strip_bits(uint32_t bits)
{
    uint32_t out = 0;

    for (unsigned i = 0; i < 32; i++)
        out |= (bits >> i & 1) << (i % 4 * 8 + i / 4);
    return out;
}

uint32_t tkx__strip_bits_back(uint32_t bits)
{
    uint32_t out = 0;

    for (unsigned i = 0; i < 32; i++)
        out |= (bits >> (i % 4 * 8 + i / 4) & 1) << i;
    return out;
}

static uint32_t word_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

void tkx__strip_pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                     size_t n_blocks, uint8_t *out)
{
    tkx__strip_shape s = tkx__strip_shape_of(type);
    size_t size = tkx__wtype_block_size(type);

    for (size_t b = 0; b < n_blocks; b++, out += size * TKX__STRIP_ROWS) {
        for (size_t r = 0; r < TKX__STRIP_ROWS; r++) {
            const uint8_t *in = rows[r] + b * size;

            for (size_t i = 0, at = s.half_at; i < s.n_halves; i++, at += 2)
                memcpy(out + at * TKX__STRIP_ROWS + r * 2, in + at, 2);
            for (size_t i = 0, at = s.word_at; i < s.n_words; i++, at += 4) {
                uint32_t v = word_at(in + at);

                if (s.has_bits && i == 0)
                    v = tkx__strip_bits(v);
                memcpy(out + at * TKX__STRIP_ROWS + r * 4, &v, 4);
            }
        }
    }
}

void tkx__strip_row(tkx__wtype type, const uint8_t *strip, size_t r, size_t n_blocks,
                    uint8_t *out)
{
    tkx__strip_shape s = tkx__strip_shape_of(type);
    size_t size = tkx__wtype_block_size(type);

    for (size_t b = 0; b < n_blocks; b++, out += size, strip += size * TKX__STRIP_ROWS) {
        for (size_t i = 0, at = s.half_at; i < s.n_halves; i++, at += 2)
            memcpy(out + at, strip + at * TKX__STRIP_ROWS + r * 2, 2);
        for (size_t i = 0, at = s.word_at; i < s.n_words; i++, at += 4) {
            uint32_t v = word_at(strip + at * TKX__STRIP_ROWS + r * 4);

            if (s.has_bits && i == 0)
                v = tkx__strip_bits_back(v);
            memcpy(out + at, &v, 4);
        }
    }
}
