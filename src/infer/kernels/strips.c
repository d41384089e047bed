// SPDX-License-Identifier: Apache-2.0
/*
 * strips.c - packing and unpacking strips in plain C; see strips.h.
 */
#include "infer/kernels/strips.h"

#include <string.h>

tkx__strip_shape tkx__strip_shape_of(tkx__wtype type)
{
    switch (type) {
    case TKX__W_F32:
        return (tkx__strip_shape){0, 0, 0, 1, false};
    case TKX__W_F16:
    case TKX__W_BF16:
        return (tkx__strip_shape){0, 1, 0, 0, false};
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

/* ---- words of one row of a block ---- */

#define MAX_WORDS 52

#define EACH(byte) ((uint32_t)(byte)*0x01010101u)

/* Low nibbles and high pairs of Q6_K to 6-bit numbers, three to four bytes; see strips.h.
 */
static void join_six(uint32_t *w)
{
    for (size_t i = 0; i < 16; i++) {
        uint32_t *a = w + i / 8 * 16 + i % 8;
        uint32_t *b = a + 8;
        uint32_t *c = w + 32 + i;
        uint32_t n0 = (*a & EACH(15)) | (*c << 4 & EACH(48));
        uint32_t n1 = (*b & EACH(15)) | (*c << 2 & EACH(48));
        uint32_t n2 = (*a >> 4 & EACH(15)) | (*c & EACH(48));
        uint32_t n3 = (*b >> 4 & EACH(15)) | (*c >> 2 & EACH(48));

        *a = n0 | (n3 & EACH(3)) << 6;
        *b = n1 | (n3 & EACH(12)) << 4;
        *c = n2 | (n3 & EACH(48)) << 2;
    }
}

static void split_six(uint32_t *w)
{
    for (size_t i = 0; i < 16; i++) {
        uint32_t *a = w + i / 8 * 16 + i % 8;
        uint32_t *b = a + 8;
        uint32_t *c = w + 32 + i;
        uint32_t n3 = (*a >> 6 & EACH(3)) | (*b >> 4 & EACH(12)) | (*c >> 2 & EACH(48));
        uint32_t high = (*a >> 4 & EACH(3)) | (*b >> 2 & EACH(12)) | (*c & EACH(48)) |
                        (n3 & EACH(48)) << 2;

        *a = (*a & EACH(15)) | (*c & EACH(15)) << 4;
        *b = (*b & EACH(15)) | (n3 & EACH(15)) << 4;
        *c = high;
    }
}

void tkx__strip_pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                     size_t n_blocks, uint8_t *out)
{
    tkx__strip_shape s = tkx__strip_shape_of(type);
    size_t size = tkx__wtype_block_size(type);
    uint32_t words[MAX_WORDS];

    for (size_t b = 0; b < n_blocks; b++, out += size * TKX__STRIP_ROWS) {
        for (size_t r = 0; r < TKX__STRIP_ROWS; r++) {
            const uint8_t *in = rows[r] + b * size;

            for (size_t i = 0, at = s.half_at; i < s.n_halves; i++, at += 2)
                memcpy(out + at * TKX__STRIP_ROWS + r * 2, in + at, 2);
            memcpy(words, in + s.word_at, s.n_words * sizeof *words);
            if (s.has_bits)
                words[0] = tkx__strip_bits(words[0]);
            if (type == TKX__W_Q6_K)
                join_six(words);
            for (size_t i = 0; i < s.n_words; i++)
                memcpy(out + (s.word_at + 4 * i) * TKX__STRIP_ROWS + r * 4, &words[i], 4);
        }
    }
}

void tkx__strip_row(tkx__wtype type, const uint8_t *strip, size_t r, size_t n_blocks,
                    uint8_t *out)
{
    tkx__strip_shape s = tkx__strip_shape_of(type);
    size_t size = tkx__wtype_block_size(type);
    uint32_t words[MAX_WORDS] = {0};

    for (size_t b = 0; b < n_blocks; b++, out += size, strip += size * TKX__STRIP_ROWS) {
        for (size_t i = 0, at = s.half_at; i < s.n_halves; i++, at += 2)
            memcpy(out + at, strip + at * TKX__STRIP_ROWS + r * 2, 2);
        for (size_t i = 0; i < s.n_words; i++)
            memcpy(&words[i], strip + (s.word_at + 4 * i) * TKX__STRIP_ROWS + r * 4, 4);
        if (s.has_bits)
            words[0] = tkx__strip_bits_back(words[0]);
        if (type == TKX__W_Q6_K)
            split_six(words);
        memcpy(out + s.word_at, words, s.n_words * sizeof *words);
    }
}
