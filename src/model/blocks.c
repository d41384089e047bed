/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blocks.c - the reference decoding of the stored weight types.
 *
 * One function decodes one block; bytes are read singly, so that neither alignment nor
 * the machine's byte order matters.  Scales of a block are float16, little-endian.
 * Compiled without contraction: a fused multiply-add would change the last bit.
 */
#include "model/blocks.h"

#include <string.h>

static uint16_t load_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static float load_f16(const uint8_t *p)
{
    return tkx__f16_to_f32(load_u16(p));
}

static void f32(const uint8_t *b, float *y)
{
    uint32_t u = load_u32(b);

    memcpy(y, &u, sizeof *y);
}

static void f16(const uint8_t *b, float *y)
{
    *y = load_f16(b);
}

static void bf16(const uint8_t *b, float *y)
{
    *y = tkx__bf16_to_f32(load_u16(b));
}

/* d, 32 signed bytes */
static void q8_0(const uint8_t *b, float *y)
{
    float d = load_f16(b);

    for (int j = 0; j < 32; j++)
        y[j] = (float)(int8_t)b[2 + j] * d;
}

/* d, 16 bytes: element j in the low nibble of byte j, element j + 16 in the high one */
static void q4_0(const uint8_t *b, float *y)
{
    float d = load_f16(b);

    for (int j = 0; j < 16; j++) {
        y[j] = (float)((b[2 + j] & 15) - 8) * d;
        y[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
    }
}

/* d, m, nibbles as above */
static void q4_1(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    float m = load_f16(b + 2);

    for (int j = 0; j < 16; j++) {
        y[j] = (float)(b[4 + j] & 15) * d + m;
        y[j + 16] = (float)(b[4 + j] >> 4) * d + m;
    }
}

/* Element j of 32 with its fifth bit, which stands in bit j of high. */
static int five_bits(const uint8_t *nibbles, uint32_t high, int j)
{
    int low = j < 16 ? nibbles[j] & 15 : nibbles[j - 16] >> 4;

    return low | (int)(high >> j & 1) << 4;
}

/* d, 32 high bits, nibbles */
static void q5_0(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    uint32_t high = load_u32(b + 2);

    for (int j = 0; j < 32; j++)
        y[j] = (float)(five_bits(b + 6, high, j) - 16) * d;
}

/* d, m, 32 high bits, nibbles */
static void q5_1(const uint8_t *b, float *y)
{
    float d = load_f16(b);
    float m = load_f16(b + 2);
    uint32_t high = load_u32(b + 4);

    for (int j = 0; j < 32; j++)
        y[j] = (float)five_bits(b + 8, high, j) * d + m;
}

/* 16 scales (low nibble) and minima (high nibble), 64 bytes of 2 bits, d, dmin */
static void q2_k(const uint8_t *b, float *y)
{
    const uint8_t *q = b + 16;
    float d = load_f16(b + 80);
    float dmin = load_f16(b + 82);

    for (int j = 0; j < 256; j++) {
        int group = j / 16; /* eight groups to each half of 128, two to each shift */
        int bits = q[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2) & 3;
        float scale = d * (float)(b[group] & 15);
        float low = dmin * (float)(b[group] >> 4);

        y[j] = scale * (float)bits - low;
    }
}

/* Scale j of 16: six bits, four in bytes 0..7, two in bytes 8..11. */
static int q3_k_scale(const uint8_t *s, int j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    int high = s[8 + j % 4] >> (j / 4 * 2) & 3;

    return (low | high << 4) - 32;
}

/* 32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of scales, d */
static void q3_k(const uint8_t *b, float *y)
{
    const uint8_t *q = b + 32;
    const uint8_t *scales = b + 96;
    float d = load_f16(b + 108);

    for (int j = 0; j < 256; j++) {
        int bits = q[j / 128 * 32 + j % 32] >> (j % 128 / 32 * 2) & 3;
        int third = b[j % 32] >> (j / 32) & 1;
        float scale = d * (float)q3_k_scale(scales, j / 16);

        y[j] = scale * (float)(bits - (third ? 0 : 4));
    }
}

/* Scale and minimum j of 8: six bits each, packed into 12 bytes. */
static void k4_scale(const uint8_t *s, int j, int *scale, int *low)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *low = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *low = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* d, dmin, 12 bytes of scales, 128 bytes of nibbles */
static void q4_k(const uint8_t *b, float *y)
{
    const uint8_t *q = b + 16;
    float d = load_f16(b);
    float dmin = load_f16(b + 2);

    for (int group = 0; group < 8; group++, y += 32) {
        const uint8_t *bytes = q + group / 2 * 32;
        int shift = group % 2 * 4;
        int scale;
        int low;

        k4_scale(b + 4, group, &scale, &low);
        for (int j = 0; j < 32; j++)
            y[j] = d * (float)scale * (float)(bytes[j] >> shift & 15) - dmin * (float)low;
    }
}

/* d, dmin, 12 bytes of scales, 32 bytes of fifth bits, 128 bytes of nibbles */
static void q5_k(const uint8_t *b, float *y)
{
    const uint8_t *high = b + 16;
    const uint8_t *q = b + 48;
    float d = load_f16(b);
    float dmin = load_f16(b + 2);

    for (int group = 0; group < 8; group++, y += 32) {
        const uint8_t *bytes = q + group / 2 * 32;
        int shift = group % 2 * 4;
        int scale;
        int low;

        k4_scale(b + 4, group, &scale, &low);
        for (int j = 0; j < 32; j++) {
            int bits = (bytes[j] >> shift & 15) | (high[j] >> group & 1) << 4;

            y[j] = d * (float)scale * (float)bits - dmin * (float)low;
        }
    }
}

/* 128 bytes of low nibbles, 64 bytes of upper 2 bits, 16 signed scales, d */
static void q6_k(const uint8_t *b, float *y)
{
    float d = load_f16(b + 208);

    for (int j = 0; j < 256; j++) {
        int half = j / 128;
        int quarter = j % 128 / 32;
        int low = b[half * 64 + j % 64] >> (quarter / 2 * 4) & 15;
        int high = b[128 + half * 32 + j % 32] >> (quarter * 2) & 3;
        float scale = d * (float)(int8_t)b[192 + j / 16];

        y[j] = scale * (float)((low | high << 4) - 32);
    }
}

typedef void decode_fn(const uint8_t *block, float *y);

static decode_fn *const decoders[TKX__N_WEIGHT_DTYPES] = {
    [TKX__DTYPE_F32] = f32,   [TKX__DTYPE_F16] = f16,   [TKX__DTYPE_BF16] = bf16,
    [TKX__DTYPE_Q8_0] = q8_0, [TKX__DTYPE_Q4_0] = q4_0, [TKX__DTYPE_Q4_1] = q4_1,
    [TKX__DTYPE_Q5_0] = q5_0, [TKX__DTYPE_Q5_1] = q5_1, [TKX__DTYPE_Q2_K] = q2_k,
    [TKX__DTYPE_Q3_K] = q3_k, [TKX__DTYPE_Q4_K] = q4_k, [TKX__DTYPE_Q5_K] = q5_k,
    [TKX__DTYPE_Q6_K] = q6_k,
};

void tkx__blocks_decode(tkx__dtype dtype, const void *src, size_t n, float *out)
{
    const tkx__dtype_info *info = tkx__dtype_get(dtype);
    decode_fn *decode = decoders[dtype];
    const uint8_t *block = src;

    for (size_t i = 0; i < n; i += info->block_elements, block += info->block_bytes)
        decode(block, out + i);
}

float tkx__f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31;
    uint32_t fraction = h & 0x3ff;
    uint32_t u;
    float f;

    if (exponent == 31) {
        u = sign | 0x7f800000u | fraction << 13;
    } else if (exponent != 0) {
        u = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        f = (float)fraction * 0x1p-24f; /* subnormal or zero: exact */
        memcpy(&u, &f, sizeof u);
        u |= sign;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Drop the low `shift` bits of v, rounding to nearest, ties to even. */
static uint32_t round_shift(uint32_t v, unsigned shift)
{
    uint32_t half = 1u << (shift - 1);
    uint32_t rest = v & ((half << 1) - 1);
    uint32_t kept = v >> shift;

    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint16_t tkx__f32_to_f16(float f)
{
    uint32_t u;
    uint32_t sign;
    uint32_t magnitude;
    int exponent;

    memcpy(&u, &f, sizeof u);
    sign = u >> 16 & 0x8000;
    magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000) /* NaN: keep it one */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x47800000) /* 65536 and more, infinity */
        return (uint16_t)(sign | 0x7c00);
    exponent = (int)(magnitude >> 23) - 112;
    if (exponent >=
        1) /* a carry out of the fraction moves into the exponent, as it should */
        return (uint16_t)(sign | round_shift(magnitude - (112u << 23), 13));
    if (exponent < -10)
        return (uint16_t)sign;
    return (uint16_t)(sign | round_shift((magnitude & 0x7fffff) | 0x800000,
                                         (unsigned)(14 - exponent)));
}

uint16_t tkx__f32_to_bf16(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
