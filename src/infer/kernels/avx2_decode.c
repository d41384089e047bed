// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_decode.c - stored weights to float32, every type, with the reference's bits.
 *
 * The float operations are those of model/blocks.c in its order: a scale and a minimum of
 * a sub-block are rounded once, then every weight is one multiplication and, where there
 * is a minimum, one addition or subtraction.
 */
#include <string.h>

#include "infer/kernels/avx2.h"
#include "infer/kernels/qblock.h"
#include "infer/kernels/scalar.h"

TKX__INLINE float half_at(const uint8_t *p)
{
    return _cvtsh_ss((uint16_t)load_i16(p));
}

/* 8 signed bytes times d. */
TKX__INLINE __m256 scaled8(__m128i q, __m256 d)
{
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), d);
}

/* 16 weights q * d. */
TKX__INLINE void put16(__m128i q, __m256 d, float *out)
{
    _mm256_storeu_ps(out, scaled8(q, d));
    _mm256_storeu_ps(out + 8, scaled8(_mm_unpackhi_epi64(q, q), d));
}

/* 16 weights q * d + m. */
TKX__INLINE void put16_plus(__m128i q, __m256 d, __m256 m, float *out)
{
    _mm256_storeu_ps(out, _mm256_add_ps(scaled8(q, d), m));
    _mm256_storeu_ps(out + 8, _mm256_add_ps(scaled8(_mm_unpackhi_epi64(q, q), d), m));
}

/* 16 weights q * d - m. */
TKX__INLINE void put16_minus(__m128i q, __m256 d, __m256 m, float *out)
{
    _mm256_storeu_ps(out, _mm256_sub_ps(scaled8(q, d), m));
    _mm256_storeu_ps(out + 8, _mm256_sub_ps(scaled8(_mm_unpackhi_epi64(q, q), d), m));
}

/* ---- plain types: whole eights; returns how many columns ---- */

static size_t decode_f16(const uint8_t *src, size_t n, float *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, load_f16(src + 2 * i));
    return i;
}

static size_t decode_bf16(const uint8_t *src, size_t n, float *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, load_bf16(src + 2 * i));
    return i;
}

/* ---- blocks of 32 ---- */

TKX__INLINE void decode_32(tkx__wtype type, const uint8_t *src, size_t n, float *out)
{
    size_t size = tkx__wtype_block_size(type);
    bool has_min = type == TKX__W_Q4_1 || type == TKX__W_Q5_1;
    bool is_5bit = type == TKX__W_Q5_0 || type == TKX__W_Q5_1;

    for (size_t b = 0; b < n / 32; b++, src += size, out += 32) {
        __m256 d = _mm256_set1_ps(half_at(src));
        __m256i q;

        if (type == TKX__W_Q8_0) {
            q = load256(src + 2);
        } else {
            q = nibbles32(src + size - 16);
            if (is_5bit)
                q = _mm256_or_si256(q, high_bits32(load_i32(src + size - 20)));
            if (!has_min)
                q = _mm256_sub_epi8(q, _mm256_set1_epi8(is_5bit ? 16 : 8));
        }
        if (has_min) {
            __m256 m = _mm256_set1_ps(half_at(src + 2));

            put16_plus(_mm256_castsi256_si128(q), d, m, out);
            put16_plus(_mm256_extracti128_si256(q, 1), d, m, out + 16);
        } else {
            put16(_mm256_castsi256_si128(q), d, out);
            put16(_mm256_extracti128_si256(q, 1), d, out + 16);
        }
    }
}

/* ---- K-quants ---- */

/* Scale and minimum, already times d and dmin, of 16 sub-blocks of 16 columns. */
typedef struct numbers {
    float scale[16];
    float low[16];
} numbers;

TKX__INLINE void scale16(__m128i bytes, float d, float *out)
{
    put16(bytes, _mm256_set1_ps(d), out);
}

static void numbers_q2(const uint8_t *b, numbers *out)
{
    const __m128i four = _mm_set1_epi8(15);
    __m128i v = load128(b);

    scale16(_mm_and_si128(v, four), half_at(b + 80), out->scale);
    scale16(_mm_and_si128(_mm_srli_epi16(v, 4), four), half_at(b + 82), out->low);
}

static void numbers_q3(const uint8_t *b, numbers *out)
{
    int8_t scale[16];

    tkx__qblock_scales_q3(b + 96, scale);
    scale16(load128(scale), half_at(b + 108), out->scale);
}

/* Each of the 8 twice. */
static void numbers_k4(const uint8_t *b, numbers *out)
{
    uint8_t scale[8];
    uint8_t low[8];
    __m128i s;
    __m128i l;

    tkx__qblock_scales_k4(b + 4, scale, low);
    s = _mm_loadl_epi64((const __m128i_u *)(const void *)scale);
    l = _mm_loadl_epi64((const __m128i_u *)(const void *)low);
    scale16(_mm_unpacklo_epi8(s, s), half_at(b), out->scale);
    scale16(_mm_unpacklo_epi8(l, l), half_at(b + 2), out->low);
}

static void numbers_q6(const uint8_t *b, numbers *out)
{
    scale16(load128(b + 192), half_at(b + 208), out->scale);
}

TKX__INLINE __m256i shifted(const uint8_t *p, int bits)
{
    return _mm256_srl_epi16(load256(p), _mm_cvtsi32_si128(bits));
}

/* The numbers of columns 32 j .. 32 j + 31, offsets taken off. */
TKX__INLINE __m256i columns_k(tkx__wtype type, const uint8_t *b, int j)
{
    const __m256i fifteen = _mm256_set1_epi8(15);
    size_t half = (size_t)j / 4;
    size_t quarter = (size_t)j % 4;
    __m256i v;
    __m256i high;

    if (type == TKX__W_Q4_K || type == TKX__W_Q5_K) {
        v = shifted(b + (type == TKX__W_Q5_K ? 48 : 16) + j / 2 * 32, j % 2 * 4);
        v = _mm256_and_si256(v, fifteen);
        if (type == TKX__W_Q4_K)
            return v;
        high = _mm256_and_si256(shifted(b + 16, j), _mm256_set1_epi8(1));
        return _mm256_or_si256(v, _mm256_slli_epi16(high, 4));
    }
    if (type == TKX__W_Q6_K) {
        v = shifted(b + half * 64 + quarter % 2 * 32, (int)quarter / 2 * 4);
        high = shifted(b + 128 + half * 32, (int)quarter * 2);
        high = _mm256_and_si256(high, _mm256_set1_epi8(3));
        v = _mm256_or_si256(_mm256_and_si256(v, fifteen), _mm256_slli_epi16(high, 4));
        return _mm256_sub_epi8(v, _mm256_set1_epi8(32));
    }
    v = shifted(b + (type == TKX__W_Q3_K ? 32 : 16) + half * 32, (int)quarter * 2);
    v = _mm256_and_si256(v, _mm256_set1_epi8(3));
    if (type == TKX__W_Q2_K)
        return v;
    high = _mm256_and_si256(shifted(b, j), _mm256_set1_epi8(1));
    v = _mm256_or_si256(v, _mm256_slli_epi16(high, 2));
    return _mm256_sub_epi8(v, _mm256_set1_epi8(4));
}

TKX__INLINE void decode_256(tkx__wtype type, const uint8_t *src, size_t n, float *out)
{
    size_t size = tkx__wtype_block_size(type);

    for (size_t b = 0; b < n / 256; b++, src += size) {
        numbers k;

        if (type == TKX__W_Q2_K)
            numbers_q2(src, &k);
        else if (type == TKX__W_Q3_K)
            numbers_q3(src, &k);
        else if (type == TKX__W_Q6_K)
            numbers_q6(src, &k);
        else
            numbers_k4(src, &k);
        for (int j = 0; j < 8; j++, out += 32) {
            __m256i q = columns_k(type, src, j);

            for (int i = 0; i < 2; i++) {
                __m128i v =
                    i ? _mm256_extracti128_si256(q, 1) : _mm256_castsi256_si128(q);
                __m256 d = _mm256_broadcast_ss(&k.scale[2 * j + i]);

                if (type == TKX__W_Q3_K || type == TKX__W_Q6_K)
                    put16(v, d, out + 16 * i);
                else
                    put16_minus(v, d, _mm256_broadcast_ss(&k.low[2 * j + i]),
                                out + 16 * i);
            }
        }
    }
}

void tkx__avx2_decode(tkx__wtype type, const void *src, size_t n, float *out)
{
    size_t done = n; /* whole rows of quantised types; plain types may leave a tail */

    switch (type) {
    case TKX__W_F16:
        done = decode_f16(src, n, out);
        break;
    case TKX__W_BF16:
        done = decode_bf16(src, n, out);
        break;
    case TKX__W_Q4_0:
        decode_32(TKX__W_Q4_0, src, n, out);
        break;
    case TKX__W_Q4_1:
        decode_32(TKX__W_Q4_1, src, n, out);
        break;
    case TKX__W_Q5_0:
        decode_32(TKX__W_Q5_0, src, n, out);
        break;
    case TKX__W_Q5_1:
        decode_32(TKX__W_Q5_1, src, n, out);
        break;
    case TKX__W_Q8_0:
        decode_32(TKX__W_Q8_0, src, n, out);
        break;
    case TKX__W_Q2_K:
        decode_256(TKX__W_Q2_K, src, n, out);
        break;
    case TKX__W_Q3_K:
        decode_256(TKX__W_Q3_K, src, n, out);
        break;
    case TKX__W_Q4_K:
        decode_256(TKX__W_Q4_K, src, n, out);
        break;
    case TKX__W_Q5_K:
        decode_256(TKX__W_Q5_K, src, n, out);
        break;
    case TKX__W_Q6_K:
        decode_256(TKX__W_Q6_K, src, n, out);
        break;
    default:
        memcpy(out, src, n * sizeof *out);
        break;
    }
    if (done < n)
        tkx__scalar_decode(type, (const uint8_t *)src + 2 * done, n - done, out + done);
}
