// SPDX-License-Identifier: Apache-2.0
/*
 * qblock.c - blocks of quantised weights as plain integers; see qblock.h.
 *
 * The layouts are GGUF's: 32-blocks are {d, [m], [high bits], nibbles}; in a nibble byte
 * i of 16 the low half is column i, the high half column i + 16.  K-quants hold 256
 * columns.
 */
#include "infer/kernels/qblock.h"

#include <string.h>

#include "model/blocks.h"

int tkx__qblock_offset(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return 8;
    case TKX__W_Q5_0:
        return 16;
    case TKX__W_Q3_K:
        return 4;
    case TKX__W_Q6_K:
        return 32;
    default:
        return 0;
    }
}

bool tkx__qblock_has_min(tkx__wtype type)
{
    return type == TKX__W_Q4_1 || type == TKX__W_Q5_1 || type == TKX__W_Q2_K ||
           type == TKX__W_Q4_K || type == TKX__W_Q5_K;
}

static float half_at(const uint8_t *p)
{
    uint16_t h;

    memcpy(&h, p, sizeof h);
    return tkx__f16_to_f32(h);
}

void tkx__qblock_scales_k4(const uint8_t *q, uint8_t scale[8], uint8_t min[8])
{
    for (size_t j = 0; j < 4; j++) {
        scale[j] = q[j] & 63;
        min[j] = q[j + 4] & 63;
        scale[j + 4] = (uint8_t)((q[j + 8] & 15) | (q[j] >> 6 << 4));
        min[j + 4] = (uint8_t)((q[j + 8] >> 4) | (q[j + 4] >> 6 << 4));
    }
}

void tkx__qblock_scales_q3(const uint8_t *q, int8_t scale[16])
{
    for (size_t i = 0; i < 16; i++) {
        int low = i < 8 ? q[i] & 15 : q[i - 8] >> 4;
        int high = q[8 + i % 4] >> (2 * (i / 4)) & 3;

        scale[i] = (int8_t)((low | high << 4) - 32);
    }
}

static void nibbles_32(const uint8_t *qs, const uint8_t *high, int16_t *u)
{
    uint32_t bits = 0;

    if (high)
        bits = (uint32_t)high[0] | (uint32_t)high[1] << 8 | (uint32_t)high[2] << 16 |
               (uint32_t)high[3] << 24;
    for (size_t i = 0; i < 16; i++) {
        u[i] = (int16_t)((qs[i] & 15) | (bits >> i & 1) << 4);
        u[i + 16] = (int16_t)((qs[i] >> 4) | (bits >> (i + 16) & 1) << 4);
    }
}

static void read_q2(const uint8_t *s, tkx__qblock *b)
{
    const uint8_t *qs = s + 16;

    for (size_t i = 0; i < 16; i++) {
        b->scale[i] = s[i] & 15;
        b->min[i] = s[i] >> 4;
    }
    for (size_t i = 0; i < 256; i++)
        b->u[i] = qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    b->d = half_at(s + 80);
    b->dmin = half_at(s + 82);
}

static void read_q3(const uint8_t *s, tkx__qblock *b)
{
    const uint8_t *qs = s + 32;
    int8_t scale[16];

    tkx__qblock_scales_q3(s + 96, scale);
    for (size_t i = 0; i < 16; i++)
        b->scale[i] = scale[i];
    for (size_t i = 0; i < 256; i++)
        b->u[i] = (int16_t)((qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3) |
                            (s[i % 32] >> (i / 32) & 1) << 2);
    b->d = half_at(s + 108);
}

static void read_q45(const uint8_t *s, bool is_q5, tkx__qblock *b)
{
    const uint8_t *qs = s + (is_q5 ? 48 : 16);
    uint8_t scale[8];
    uint8_t min[8];

    tkx__qblock_scales_k4(s + 4, scale, min);
    for (size_t i = 0; i < 16; i++) {
        b->scale[i] = scale[i / 2];
        b->min[i] = min[i / 2];
    }
    for (size_t i = 0; i < 256; i++) {
        int q = qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;

        if (is_q5)
            q |= (s[16 + i % 32] >> (i / 32) & 1) << 4;
        b->u[i] = (int16_t)q;
    }
    b->d = half_at(s);
    b->dmin = half_at(s + 2);
}

static void read_q6(const uint8_t *s, tkx__qblock *b)
{
    for (size_t i = 0; i < 256; i++) {
        size_t half = i / 128;
        size_t quarter = i % 128 / 32;
        size_t l = i % 32;
        int low = s[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
        int high = s[128 + half * 32 + l] >> (quarter * 2) & 3;

        b->u[i] = (int16_t)(low | high << 4);
    }
    for (size_t i = 0; i < 16; i++)
        b->scale[i] = (int8_t)s[192 + i];
    b->d = half_at(s + 208);
}

void tkx__qblock_read(tkx__wtype type, const uint8_t *s, tkx__qblock *b)
{
    b->dmin = 0;
    switch (type) {
    case TKX__W_Q4_0:
        b->d = half_at(s);
        nibbles_32(s + 2, NULL, b->u);
        break;
    case TKX__W_Q4_1:
        b->d = half_at(s);
        b->dmin = half_at(s + 2);
        nibbles_32(s + 4, NULL, b->u);
        break;
    case TKX__W_Q5_0:
        b->d = half_at(s);
        nibbles_32(s + 6, s + 2, b->u);
        break;
    case TKX__W_Q5_1:
        b->d = half_at(s);
        b->dmin = half_at(s + 2);
        nibbles_32(s + 8, s + 4, b->u);
        break;
    case TKX__W_Q8_0:
        b->d = half_at(s);
        for (size_t i = 0; i < 32; i++)
            b->u[i] = (int8_t)s[2 + i];
        break;
    case TKX__W_Q2_K:
        read_q2(s, b);
        break;
    case TKX__W_Q3_K:
        read_q3(s, b);
        break;
    case TKX__W_Q4_K:
        read_q45(s, false, b);
        break;
    case TKX__W_Q5_K:
        read_q45(s, true, b);
        break;
    case TKX__W_Q6_K:
        read_q6(s, b);
        break;
    default:
        break; /* plain types have no blocks */
    }
}
