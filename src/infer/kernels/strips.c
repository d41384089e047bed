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
        return (tkx__strip_shape){0, 0, 0, 1};
    case TKX__W_F16:
    case TKX__W_BF16:
        return (tkx__strip_shape){0, 1, 0, 0};
    case TKX__W_Q4_0:
        return (tkx__strip_shape){0, 1, 2, 4};
    case TKX__W_Q4_1:
        return (tkx__strip_shape){0, 2, 4, 4};
    case TKX__W_Q5_0:
        return (tkx__strip_shape){0, 1, 2, 5};
    case TKX__W_Q5_1:
        return (tkx__strip_shape){0, 2, 4, 5};
    case TKX__W_Q8_0:
        return (tkx__strip_shape){0, 1, 2, 8};
    case TKX__W_Q2_K:
        return (tkx__strip_shape){80, 2, 0, 20};
    case TKX__W_Q3_K:
        return (tkx__strip_shape){108, 1, 0, 27};
    case TKX__W_Q4_K:
        return (tkx__strip_shape){0, 2, 4, 35};
    case TKX__W_Q5_K:
        return (tkx__strip_shape){0, 2, 4, 43};
    case TKX__W_Q6_K:
        return (tkx__strip_shape){208, 1, 0, 52};
    default:
        return (tkx__strip_shape){0};
    }
}

/* ---- words of one row of a block ---- */

#define MAX_WORDS 52

#define EACH(byte) ((uint32_t)(byte)*0x01010101u)

/* 4 bits to bit 0 of 4 bytes, and back. */
static uint32_t spread(uint32_t bits)
{
    return (bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21;
}

static uint32_t gather(uint32_t bytes)
{
    return (bytes & 1) | (bytes >> 7 & 2) | (bytes >> 14 & 4) | (bytes >> 21 & 8);
}

/* High bits and nibbles of Q5_0 and Q5_1 to 5-bit numbers, and back; see strips.h. */
static void join_five(uint32_t *w)
{
    uint32_t bits = w[0];

    w[0] = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t *v = w + 1 + i;
        uint32_t low = (*v & EACH(15)) | spread(bits >> 4 * i) << 4;
        uint32_t high = (*v >> 4 & EACH(15)) | spread(bits >> (16 + 4 * i)) << 4;

        *v = low | (high & EACH(28)) << 3;
        w[0] |= (high & EACH(3)) << 2 * i;
    }
}

static void split_five(uint32_t *w)
{
    uint32_t rest = w[0];

    w[0] = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t *v = w + 1 + i;
        uint32_t low = *v & EACH(31);
        uint32_t high = (*v >> 3 & EACH(28)) | (rest >> 2 * i & EACH(3));

        *v = (low & EACH(15)) | (high & EACH(15)) << 4;
        w[0] |= gather(low >> 4) << 4 * i | gather(high >> 4) << (16 + 4 * i);
    }
}

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
            if (type == TKX__W_Q5_0 || type == TKX__W_Q5_1)
                join_five(words);
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
        if (type == TKX__W_Q5_0 || type == TKX__W_Q5_1)
            split_five(words);
        if (type == TKX__W_Q6_K)
            split_six(words);
        memcpy(out + s.word_at, words, s.n_words * sizeof *words);
    }
}
