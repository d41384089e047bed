// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_unpack.c - quantised rows to panels; see avx2_panel.h.  Shared by all tokens of a
 * tile, so the vectors are simple rather than few.
 */
#include "infer/kernels/avx2_panel.h"
#include "infer/kernels/qblock.h"

#define ROWS TKX__PANEL_ROWS

/* v[r]: 32 bytes of row r; to 4 columns of all 8 rows in each register. */
TKX__INLINE void transpose_store(const __m256i v[8], uint8_t *out, size_t stride)
{
    __m256i a[8];
    __m256i b[8];

    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_store_si256((__m256i *)(void *)(out + (size_t)i * stride),
                           _mm256_permute2x128_si256(b[i], b[i + 4], 0x20));
        _mm256_store_si256((__m256i *)(void *)(out + (size_t)(i + 4) * stride),
                           _mm256_permute2x128_si256(b[i], b[i + 4], 0x31));
    }
}

TKX__INLINE float half_at(const uint8_t *p)
{
    return _cvtsh_ss((uint16_t)load_i16(p));
}

TKX__INLINE __m256i row32(tkx__wtype type, const uint8_t *b)
{
    switch (type) {
    case TKX__W_Q4_0:
        return nibbles32(b + 2);
    case TKX__W_Q4_1:
        return nibbles32(b + 4);
    case TKX__W_Q5_0:
        return _mm256_or_si256(nibbles32(b + 6), high_bits32(load_i32(b + 2)));
    default /* Q5_1 */:
        return _mm256_or_si256(nibbles32(b + 8), high_bits32(load_i32(b + 4)));
    }
}

TKX__INLINE void unpack32(tkx__wtype type, const uint8_t *const rows[ROWS],
                          size_t n_blocks, panel32 *out)
{
    size_t size = tkx__wtype_block_size(type);
    bool has_min = type == TKX__W_Q4_1 || type == TKX__W_Q5_1;

    for (size_t b = 0; b < n_blocks; b++, out++) {
        for (size_t half = 0; half < 2; half++) {
            __m256i v[8];

            for (size_t r = 0; r < 8; r++) {
                const uint8_t *block = rows[half * 8 + r] + b * size;

                v[r] = row32(type, block);
                out->d[half][r] = half_at(block);
                if (has_min)
                    out->m[half][r] = half_at(block + 2);
            }
            transpose_store(v, out->q[0][half], sizeof out->q[0]);
        }
    }
}

/* 256 columns of one row as bytes. */
TKX__INLINE void bytes_k(tkx__wtype type, const uint8_t *s, __m256i out[8])
{
    const __m256i three = _mm256_set1_epi8(3);
    const __m256i fifteen = _mm256_set1_epi8(15);

    if (type == TKX__W_Q4_K || type == TKX__W_Q5_K) {
        const uint8_t *qs = s + (type == TKX__W_Q5_K ? 48 : 16);

        for (int c = 0; c < 4; c++) {
            __m256i v = load256(qs + c * 32);

            out[2 * c] = _mm256_and_si256(v, fifteen);
            out[2 * c + 1] = _mm256_and_si256(_mm256_srli_epi16(v, 4), fifteen);
        }
        if (type == TKX__W_Q5_K) {
            __m256i high = load256(s + 16);
            const __m256i sixteen = _mm256_set1_epi8(16);

            for (int j = 0; j < 4; j++) {
                __m256i up = _mm256_sll_epi16(high, _mm_cvtsi32_si128(4 - j));
                __m256i down = _mm256_srl_epi16(high, _mm_cvtsi32_si128(j));

                out[j] = _mm256_or_si256(out[j], _mm256_and_si256(up, sixteen));
                out[j + 4] = _mm256_or_si256(out[j + 4], _mm256_and_si256(down, sixteen));
            }
        }
    } else if (type == TKX__W_Q6_K) {
        const __m256i high_mask = _mm256_set1_epi8(48);

        for (int h = 0; h < 2; h++) {
            __m256i l0 = load256(s + h * 64);
            __m256i l1 = load256(s + h * 64 + 32);
            __m256i hi = load256(s + 128 + h * 32);

            out[4 * h] =
                _mm256_or_si256(_mm256_and_si256(l0, fifteen),
                                _mm256_and_si256(_mm256_slli_epi16(hi, 4), high_mask));
            out[4 * h + 1] =
                _mm256_or_si256(_mm256_and_si256(l1, fifteen),
                                _mm256_and_si256(_mm256_slli_epi16(hi, 2), high_mask));
            out[4 * h + 2] =
                _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l0, 4), fifteen),
                                _mm256_and_si256(hi, high_mask));
            out[4 * h + 3] =
                _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l1, 4), fifteen),
                                _mm256_and_si256(_mm256_srli_epi16(hi, 2), high_mask));
        }
    } else { /* Q2_K, Q3_K */
        const uint8_t *qs = s + (type == TKX__W_Q3_K ? 32 : 16);
        __m256i high = load256(s); /* Q3_K's mask */

        for (int i = 0; i < 8; i++) {
            __m256i v = load256(qs + i / 4 * 32);

            out[i] = _mm256_and_si256(_mm256_srl_epi16(v, _mm_cvtsi32_si128(i % 4 * 2)),
                                      three);
            if (type == TKX__W_Q3_K) {
                __m256i bit = _mm256_and_si256(
                    _mm256_srl_epi16(high, _mm_cvtsi32_si128(i)), _mm256_set1_epi8(1));

                out[i] = _mm256_or_si256(out[i], _mm256_slli_epi16(bit, 2));
            }
        }
    }
}

/* Scales and mins of row r (of 8 in the half). */
static void scales_k(tkx__wtype type, const uint8_t *s, panel256 *out, size_t half,
                     size_t r)
{
    uint8_t scale[16];
    uint8_t min[16];

    if (type == TKX__W_Q4_K || type == TKX__W_Q5_K) {
        tkx__qblock_scales_k4(s + 4, scale, min);
        for (size_t j = 0; j < 8; j++) {
            out->scale[j][half][2 * r] = scale[j];
            out->scale[j][half][2 * r + 1] = scale[j];
            out->pair[j / 2][half][2 * r + j % 2] = min[j];
        }
        out->d[half][r] = half_at(s);
        out->m[half][r] = half_at(s + 2);
        return;
    }
    if (type == TKX__W_Q3_K)
        tkx__qblock_scales_q3(s + 96, (int8_t *)scale);
    for (size_t j = 0; j < 16; j++) {
        int16_t v;

        if (type == TKX__W_Q2_K)
            v = s[j] & 15;
        else
            v = type == TKX__W_Q3_K ? (int8_t)scale[j] : (int8_t)s[192 + j];
        out->scale[j][half][2 * r] = v;
        out->scale[j][half][2 * r + 1] = v;
        out->pair[j / 2][half][2 * r + j % 2] =
            type == TKX__W_Q2_K ? (int16_t)(s[j] >> 4) : v;
    }
    out->d[half][r] = half_at(s + (type == TKX__W_Q2_K   ? 80
                                   : type == TKX__W_Q3_K ? 108
                                                         : 208));
    out->m[half][r] = type == TKX__W_Q2_K ? half_at(s + 82) : 0;
}

TKX__INLINE void unpack256(tkx__wtype type, const uint8_t *const rows[ROWS],
                           size_t n_blocks, panel256 *out)
{
    size_t size = tkx__wtype_block_size(type);

    for (size_t b = 0; b < n_blocks; b++, out++) {
        for (size_t half = 0; half < 2; half++) {
            __m256i v[8][8]; /* [row][32 columns] */
            __m256i column[8];

            for (size_t r = 0; r < 8; r++) {
                bytes_k(type, rows[half * 8 + r] + b * size, v[r]);
                scales_k(type, rows[half * 8 + r] + b * size, out, half, r);
            }
            for (size_t c = 0; c < 8; c++) {
                for (size_t r = 0; r < 8; r++)
                    column[r] = v[r][c];
                transpose_store(column, out->q[c * 8][half], sizeof out->q[0]);
            }
        }
    }
}

static void unpack_q8_0(const uint8_t *const rows[ROWS], size_t n_blocks, void *panel)
{
    const __m256i first =
        _mm256_set1_epi32(0x01800080); /* bytes 0, 1 to the upper halves */
    const __m256i second = _mm256_set1_epi32(0x03800280);
    const __m256i in_lane = _mm256_setr_epi32(0, 0x04000400, 0x08000800, 0x0c000c00, 0,
                                              0x04000400, 0x08000800, 0x0c000c00);
    panel8 *out = panel;

    for (size_t b = 0; b < n_blocks; b++, out++) {
        for (size_t half = 0; half < 2; half++) {
            __m256i v[8];
            _Alignas(32) uint8_t quads[8][32];

            for (size_t r = 0; r < 8; r++) {
                v[r] = load256(rows[half * 8 + r] + b * 34 + 2);
                out->d[half][r] = half_at(rows[half * 8 + r] + b * 34);
            }
            transpose_store(v, quads[0], sizeof quads[0]);
            for (size_t s = 0; s < 8; s++) {
                __m256i q = load256(quads[s]);
                __m256i lo = _mm256_shuffle_epi8(q, _mm256_add_epi8(first, in_lane));
                __m256i hi = _mm256_shuffle_epi8(q, _mm256_add_epi8(second, in_lane));

                _mm256_store_si256((__m256i *)(void *)out->q[2 * s][half],
                                   _mm256_srai_epi16(lo, 8));
                _mm256_store_si256((__m256i *)(void *)out->q[2 * s + 1][half],
                                   _mm256_srai_epi16(hi, 8));
            }
        }
    }
}

#define UNPACK(NAME, TYPE, HOW)                                                          \
    static void unpack_##NAME(const uint8_t *const rows[ROWS], size_t n, void *out)      \
    {                                                                                    \
        HOW(TYPE, rows, n, out);                                                         \
    }

UNPACK(q4_0, TKX__W_Q4_0, unpack32)
UNPACK(q4_1, TKX__W_Q4_1, unpack32)
UNPACK(q5_0, TKX__W_Q5_0, unpack32)
UNPACK(q5_1, TKX__W_Q5_1, unpack32)
UNPACK(q2_k, TKX__W_Q2_K, unpack256)
UNPACK(q3_k, TKX__W_Q3_K, unpack256)
UNPACK(q4_k, TKX__W_Q4_K, unpack256)
UNPACK(q5_k, TKX__W_Q5_K, unpack256)
UNPACK(q6_k, TKX__W_Q6_K, unpack256)

tkx__unpack_fn *tkx__avx2_unpacker(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return unpack_q4_0;
    case TKX__W_Q4_1:
        return unpack_q4_1;
    case TKX__W_Q5_0:
        return unpack_q5_0;
    case TKX__W_Q5_1:
        return unpack_q5_1;
    case TKX__W_Q2_K:
        return unpack_q2_k;
    case TKX__W_Q3_K:
        return unpack_q3_k;
    case TKX__W_Q4_K:
        return unpack_q4_k;
    case TKX__W_Q5_K:
        return unpack_q5_k;
    case TKX__W_Q6_K:
        return unpack_q6_k;
    default:
        return unpack_q8_0;
    }
}
