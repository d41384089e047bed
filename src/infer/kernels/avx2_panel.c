// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_panel.c - quantised weights against several tokens.
 *
 * 16 rows are unpacked to bytes in the order that the multiplication wants: 4 columns of
 * 8 rows to a register, so that one broadcast of 4 activations meets 8 rows and the sums
 * of a row stay in its lane: no sums across lanes.  Unpacking is shared by all tokens.
 * Pairs are summed in 16 bits as long as the type's range allows:
 *   4 bits: 8 * 2 * 15 * 127 = 30,480    5 bits: 4 * 2 * 31 * 127 = 31,496
 *   6 bits: 2 * 2 * 63 * 127 = 32,004    8 bits: 1 * 2 * 128 * 127 = 32,512
 */
#include <string.h>

#include "infer/kernels/avx2.h"
#include "infer/kernels/qblock.h"

#define ROWS 16
#define PANEL_COLS 1024

/* 32 columns of 16 rows. */
typedef struct panel32 {
    uint8_t q[8][2][32]; /* [columns / 4][rows / 8][row][4] */
    float d[2][8];
    float m[2][8];
} panel32;

/* 256 columns of 16 rows.  pair: (scale or min of 2j, of 2j + 1) */
typedef struct panel256 {
    uint8_t q[64][2][32];
    int16_t scale[16][2][16]; /* [sub-block][rows / 8][row][2 equal]; 8 or 16 used */
    int16_t pair[8][2][16];   /* 4 or 8 used */
    float d[2][8];
    float m[2][8];
} panel256;

/* ---- unpacking ---- */

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
    case TKX__W_Q5_1:
        return _mm256_or_si256(nibbles32(b + 8), high_bits32(load_i32(b + 4)));
    default:
        return load256(b + 2); /* Q8_0 */
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

/* ---- multiplying ---- */

/* Up to 4 tokens: their activations from the panel's first column on, their sums. */
typedef struct group {
    const int8_t *q[4];
    const float *d[4];
    const uint8_t *sum[4];   /* int32 per 32, or int16 per 16 */
    const uint8_t *sum32[4]; /* int16 per 32 */
    float *out[4];           /* [16] */
} group;

TKX__INLINE __m256i broadcast4(const void *p)
{
    return _mm256_set1_epi32(load_i32(p));
}

/* One block of 32: integers of 2 x 8 rows for each token. */
TKX__INLINE void dot32(const panel32 *p, const group *g, size_t b, int n_tok, int steps,
                       bool is_signed, __m256i dot[4][2])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4][2];

    for (int s0 = 0; s0 < 8; s0 += steps) {
        for (int t = 0; t < n_tok; t++)
            acc[t][0] = acc[t][1] = _mm256_setzero_si256();
        for (int s = s0; s < s0 + steps; s++) {
            __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)p->q[s][0]);
            __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)p->q[s][1]);

            for (int t = 0; t < n_tok; t++) {
                __m256i x = broadcast4(g->q[t] + b * 32 + s * 4);

                if (is_signed) {
                    acc[t][0] = _mm256_maddubs_epi16(_mm256_abs_epi8(w0),
                                                     _mm256_sign_epi8(x, w0));
                    acc[t][1] = _mm256_maddubs_epi16(_mm256_abs_epi8(w1),
                                                     _mm256_sign_epi8(x, w1));
                } else {
                    acc[t][0] = _mm256_add_epi16(acc[t][0], _mm256_maddubs_epi16(w0, x));
                    acc[t][1] = _mm256_add_epi16(acc[t][1], _mm256_maddubs_epi16(w1, x));
                }
            }
        }
        for (int t = 0; t < n_tok; t++)
            for (int r = 0; r < 2; r++) {
                __m256i sum = _mm256_madd_epi16(acc[t][r], ones);

                dot[t][r] = s0 == 0 ? sum : _mm256_add_epi32(dot[t][r], sum);
            }
    }
}

TKX__INLINE void micro32(const panel32 *p, size_t n_blocks, const group *g, int n_tok,
                         int steps, int offset_bits, bool has_min, bool is_signed)
{
    __m256 y[4][2];

    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            y[t][r] = _mm256_loadu_ps(g->out[t] + 8 * r);
    for (size_t b = 0; b < n_blocks; b++, p++) {
        __m256i dot[4][2];

        dot32(p, g, b, n_tok, steps, is_signed, dot);
        for (int t = 0; t < n_tok; t++) {
            __m256 d = _mm256_broadcast_ss(g->d[t] + b);
            __m256i sum = broadcast4(g->sum[t] + 4 * b);

            for (int r = 0; r < 2; r++) {
                __m256i i = dot[t][r];

                if (offset_bits)
                    i = _mm256_sub_epi32(i, _mm256_slli_epi32(sum, offset_bits));
                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->d[r]), d),
                                          _mm256_cvtepi32_ps(i), y[t][r]);
                if (has_min)
                    y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->m[r]), d),
                                              _mm256_cvtepi32_ps(sum), y[t][r]);
            }
        }
    }
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            _mm256_storeu_ps(g->out[t] + 8 * r, y[t][r]);
}

/* Adds sub-block `j` of sub_steps * 4 columns, scaled, to dot. */
TKX__INLINE void dot_sub(const panel256 *p, const group *g, size_t b, size_t j, int n_tok,
                         int sub_steps, int steps, __m256i dot[4][2])
{
    __m256i s0 = _mm256_load_si256((const __m256i *)(const void *)p->scale[j][0]);
    __m256i s1 = _mm256_load_si256((const __m256i *)(const void *)p->scale[j][1]);

    for (int first = 0; first < sub_steps; first += steps) {
        __m256i acc[4][2];

        for (int t = 0; t < n_tok; t++)
            acc[t][0] = acc[t][1] = _mm256_setzero_si256();
        for (int i = first; i < first + steps; i++) {
            size_t s = j * (size_t)sub_steps + (size_t)i;
            __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)p->q[s][0]);
            __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)p->q[s][1]);

            for (int t = 0; t < n_tok; t++) {
                __m256i x = broadcast4(g->q[t] + b * 256 + s * 4);

                acc[t][0] = _mm256_add_epi16(acc[t][0], _mm256_maddubs_epi16(w0, x));
                acc[t][1] = _mm256_add_epi16(acc[t][1], _mm256_maddubs_epi16(w1, x));
            }
        }
        for (int t = 0; t < n_tok; t++) {
            dot[t][0] = _mm256_add_epi32(dot[t][0], _mm256_madd_epi16(acc[t][0], s0));
            dot[t][1] = _mm256_add_epi32(dot[t][1], _mm256_madd_epi16(acc[t][1], s1));
        }
    }
}

TKX__INLINE __m256i dot_pairs(const panel256 *p, const uint8_t *sums, int r, int n)
{
    __m256i acc = _mm256_setzero_si256();

    for (int j = 0; j < n; j++)
        acc = _mm256_add_epi32(
            acc, _mm256_madd_epi16(
                     _mm256_load_si256((const __m256i *)(const void *)p->pair[j][r]),
                     broadcast4(sums + 4 * j)));
    return acc;
}

TKX__INLINE void micro256(const panel256 *p, size_t n_blocks, const group *g, int n_tok,
                          int sub_steps, int steps, int offset_bits, bool has_min)
{
    __m256 y[4][2];
    int n_sub = 64 / sub_steps;

    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            y[t][r] = _mm256_loadu_ps(g->out[t] + 8 * r);
    for (size_t b = 0; b < n_blocks; b++, p++) {
        __m256i dot[4][2];

        for (int t = 0; t < n_tok; t++)
            dot[t][0] = dot[t][1] = _mm256_setzero_si256();
        for (int j = 0; j < n_sub; j++)
            dot_sub(p, g, b, (size_t)j, n_tok, sub_steps, steps, dot);
        for (int t = 0; t < n_tok; t++) {
            __m256 d = _mm256_broadcast_ss(g->d[t] + b);
            const uint8_t *sums =
                sub_steps == 8 ? g->sum32[t] + b * 16 : g->sum[t] + b * 32;

            for (int r = 0; r < 2; r++) {
                __m256i i = dot[t][r];
                __m256i pairs = dot_pairs(p, sums, r, n_sub / 2);

                if (offset_bits)
                    i = _mm256_sub_epi32(i, _mm256_slli_epi32(pairs, offset_bits));
                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->d[r]), d),
                                          _mm256_cvtepi32_ps(i), y[t][r]);
                if (has_min)
                    y[t][r] = _mm256_fnmadd_ps(_mm256_mul_ps(_mm256_load_ps(p->m[r]), d),
                                               _mm256_cvtepi32_ps(pairs), y[t][r]);
            }
        }
    }
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            _mm256_storeu_ps(g->out[t] + 8 * r, y[t][r]);
}

/* ---- one type, one chunk of columns ---- */

#define PANEL_FN_32(NAME, TYPE, STEPS, OFFSET_BITS, HAS_MIN, IS_SIGNED)                  \
    static void unpack_##NAME(const uint8_t *const rows[ROWS], size_t n, void *panel)    \
    {                                                                                    \
        unpack32(TYPE, rows, n, panel);                                                  \
    }                                                                                    \
    static void micro_##NAME(const void *panel, size_t n, const group *g, size_t n_tok)  \
    {                                                                                    \
        if (n_tok == 4)                                                                  \
            micro32(panel, n, g, 4, STEPS, OFFSET_BITS, HAS_MIN, IS_SIGNED);             \
        else if (n_tok == 3)                                                             \
            micro32(panel, n, g, 3, STEPS, OFFSET_BITS, HAS_MIN, IS_SIGNED);             \
        else if (n_tok == 2)                                                             \
            micro32(panel, n, g, 2, STEPS, OFFSET_BITS, HAS_MIN, IS_SIGNED);             \
        else                                                                             \
            micro32(panel, n, g, 1, STEPS, OFFSET_BITS, HAS_MIN, IS_SIGNED);             \
    }

#define PANEL_FN_256(NAME, TYPE, SUB_STEPS, STEPS, OFFSET_BITS, HAS_MIN)                 \
    static void unpack_##NAME(const uint8_t *const rows[ROWS], size_t n, void *panel)    \
    {                                                                                    \
        unpack256(TYPE, rows, n, panel);                                                 \
    }                                                                                    \
    static void micro_##NAME(const void *panel, size_t n, const group *g, size_t n_tok)  \
    {                                                                                    \
        if (n_tok == 4)                                                                  \
            micro256(panel, n, g, 4, SUB_STEPS, STEPS, OFFSET_BITS, HAS_MIN);            \
        else if (n_tok == 3)                                                             \
            micro256(panel, n, g, 3, SUB_STEPS, STEPS, OFFSET_BITS, HAS_MIN);            \
        else if (n_tok == 2)                                                             \
            micro256(panel, n, g, 2, SUB_STEPS, STEPS, OFFSET_BITS, HAS_MIN);            \
        else                                                                             \
            micro256(panel, n, g, 1, SUB_STEPS, STEPS, OFFSET_BITS, HAS_MIN);            \
    }

PANEL_FN_32(q4_0, TKX__W_Q4_0, 8, 3, false, false)
PANEL_FN_32(q4_1, TKX__W_Q4_1, 8, 0, true, false)
PANEL_FN_32(q5_0, TKX__W_Q5_0, 4, 4, false, false)
PANEL_FN_32(q5_1, TKX__W_Q5_1, 4, 0, true, false)
PANEL_FN_32(q8_0, TKX__W_Q8_0, 1, 0, false, true)
PANEL_FN_256(q2_k, TKX__W_Q2_K, 4, 4, 0, true)
PANEL_FN_256(q3_k, TKX__W_Q3_K, 4, 4, 2, false)
PANEL_FN_256(q4_k, TKX__W_Q4_K, 8, 8, 0, true)
PANEL_FN_256(q5_k, TKX__W_Q5_K, 8, 4, 0, true)
PANEL_FN_256(q6_k, TKX__W_Q6_K, 4, 2, 5, false)

typedef struct panel_type {
    tkx__wtype type;
    void (*unpack)(const uint8_t *const rows[ROWS], size_t n, void *panel);
    void (*micro)(const void *panel, size_t n, const group *g, size_t n_tok);
} panel_type;

static const panel_type types[] = {
    {TKX__W_Q4_0, unpack_q4_0, micro_q4_0}, {TKX__W_Q4_1, unpack_q4_1, micro_q4_1},
    {TKX__W_Q5_0, unpack_q5_0, micro_q5_0}, {TKX__W_Q5_1, unpack_q5_1, micro_q5_1},
    {TKX__W_Q8_0, unpack_q8_0, micro_q8_0}, {TKX__W_Q2_K, unpack_q2_k, micro_q2_k},
    {TKX__W_Q3_K, unpack_q3_k, micro_q3_k}, {TKX__W_Q4_K, unpack_q4_k, micro_q4_k},
    {TKX__W_Q5_K, unpack_q5_k, micro_q5_k}, {TKX__W_Q6_K, unpack_q6_k, micro_q6_k},
};

static const panel_type *find_type(tkx__wtype type)
{
    const panel_type *p = types;

    while (p->type != type)
        p++;
    return p;
}

/* Up to 4 tokens from `tok` on, columns from block `first` on. */
static void make_group(const tkx__tile *t, float *out, size_t tok, size_t n_tok,
                       size_t col, size_t block, group *g)
{
    tkx__act_form form = block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;

    for (size_t i = 0; i < n_tok; i++) {
        const uint8_t *act = tkx__tile_act(t, tok + i);

        g->q[i] = (const int8_t *)act + col;
        g->d[i] = (const float *)(const void *)(act + tkx__act_d_offset(t->n_cols)) +
                  col / block;
        g->sum[i] = act + tkx__act_sum_offset(form, t->n_cols) + col / 8;
        g->sum32[i] =
            block == 32 ? NULL : act + tkx__act_sum32_offset(t->n_cols) + col / 16;
        g->out[i] = out + (tok + i) * ROWS;
    }
}

void tkx__avx2_panel_q(const tkx__tile *t)
{
    const panel_type *type = find_type(t->type);
    size_t block = tkx__wtype_block_cols(t->type);
    size_t block_size = tkx__wtype_block_size(t->type);
    float *out = t->scratch; /* [n_tok][16] */
    void *panel = out + TKX__TILE_TOKENS * ROWS;
    group g;

    for (size_t r0 = 0; r0 < t->n_rows; r0 += ROWS) {
        size_t n_rows = t->n_rows - r0 < ROWS ? t->n_rows - r0 : ROWS;

        memset(out, 0, t->n_tok * ROWS * sizeof *out);
        for (size_t c = 0; c < t->n_cols; c += PANEL_COLS) {
            size_t cols = t->n_cols - c < PANEL_COLS ? t->n_cols - c : PANEL_COLS;
            const uint8_t *rows[ROWS];

            for (size_t r = 0; r < ROWS; r++) /* short of rows: the last one again */
                rows[r] = t->w + (r0 + (r < n_rows ? r : n_rows - 1)) * t->row_size +
                          c / block * block_size;
            type->unpack(rows, cols / block, panel);
            for (size_t tok = 0; tok < t->n_tok; tok += 4) {
                size_t n = t->n_tok - tok < 4 ? t->n_tok - tok : 4;

                make_group(t, out, tok, n, c, block, &g);
                type->micro(panel, cols / block, &g, n);
            }
        }
        for (size_t tok = 0; tok < t->n_tok; tok++)
            memcpy(t->out + tok * t->out_stride + r0, out + tok * ROWS,
                   n_rows * sizeof *out);
    }
}
