// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_strip.c - strips of 8 rows against few tokens: blocks of 32 columns.
 *
 * Two strips at a time share the broadcasts of the activations, and are two streams for
 * the memory.  A block's pairs are summed in 16 bits: 8 * 2 * 15 * 127 = 30,480 for 4
 * bits; those of 5 bits begin with what makes them sums of signed weights (table.h,
 * start).
 */
#include "infer/kernels/avx2_strip.h"

typedef tkx__panel_group group;

#define STRIPS 2

/* acc += w x, both strips, all tokens. */
TKX__INLINE void multiply_add(__m256i acc[TKX__STRIP_TOKENS][STRIPS],
                              const __m256i w[STRIPS], const group *g, size_t at,
                              int n_tok)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256i x = broadcast4(g->q[t] + at);

        TKX__UNROLL
        for (int r = 0; r < STRIPS; r++) {
            acc[t][r] = _mm256_add_epi16(acc[t][r], _mm256_maddubs_epi16(w[r], x));
            TKX__KEEP(acc[t][r]);
        }
    }
}

/* Integer sums of one block, nibbles. */
TKX__INLINE void dot_nibbles(tkx__wtype type, const uint8_t *const p[STRIPS],
                             const group *g, size_t b, int n_tok,
                             __m256i dot[TKX__STRIP_TOKENS][STRIPS])
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[TKX__STRIP_TOKENS][STRIPS];

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        acc[t][0] = acc[t][1] = strip32_is_5bit(type) ? broadcast4(g->start[t] + 4 * b)
                                                      : _mm256_setzero_si256();
    TKX__UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i low[STRIPS];
        __m256i high[STRIPS];

        TKX__UNROLL
        for (int r = 0; r < STRIPS; r++)
            strip32_steps(type, p[r], i, &low[r], &high[r]);
        multiply_add(acc, low, g, b * 32 + 4 * (size_t)i, n_tok);
        multiply_add(acc, high, g, b * 32 + 16 + 4 * (size_t)i, n_tok);
    }
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        TKX__UNROLL
    for (int r = 0; r < STRIPS; r++)
        dot[t][r] = _mm256_madd_epi16(acc[t][r], ones);
}

/* The same of Q8_0: signs go to the activations. */
TKX__INLINE void dot_bytes(const uint8_t *const p[STRIPS], const group *g, size_t col,
                           int n_tok, __m256i dot[TKX__STRIP_TOKENS][STRIPS])
{
    const __m256i ones = _mm256_set1_epi16(1);

    TKX__UNROLL
    for (int i = 0; i < 8; i++) {
        __m256i w[STRIPS];
        __m256i size[STRIPS];

        TKX__UNROLL
        for (int r = 0; r < STRIPS; r++) {
            w[r] = load256(p[r] + 2 * TKX__STRIP_ROWS + 32 * i);
            size[r] = _mm256_abs_epi8(w[r]);
        }
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256i x = broadcast4(g->q[t] + col + 4 * (size_t)i);

            TKX__UNROLL
            for (int r = 0; r < STRIPS; r++) {
                __m256i sum = _mm256_madd_epi16(
                    _mm256_maddubs_epi16(size[r], _mm256_sign_epi8(x, w[r])), ones);

                dot[t][r] = i == 0 ? sum : _mm256_add_epi32(dot[t][r], sum);
                TKX__KEEP(dot[t][r]);
            }
        }
    }
}

TKX__INLINE void strip32(tkx__wtype type, const uint8_t *const strip[STRIPS],
                         size_t first, size_t n_blocks, const group *g, int n_tok)
{
    bool has_min = type == TKX__W_Q4_1 || type == TKX__W_Q5_1;
    size_t size = strip32_size(type);
    const uint8_t *p[STRIPS] = {strip[0], strip[1]};
    __m256 y[TKX__STRIP_TOKENS][STRIPS];

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < STRIPS; r++)
            y[t][r] = first ? _mm256_loadu_ps(g->out[t] + 8 * r) : _mm256_setzero_ps();
    for (size_t b = first; b < first + n_blocks; b++) {
        __m256i dot[TKX__STRIP_TOKENS][STRIPS];
        __m256 d[STRIPS];

        if (g->is_first)
            strip_prefetch(p, size, n_blocks);
        if (type == TKX__W_Q8_0)
            dot_bytes(p, g, b * 32, n_tok, dot);
        else
            dot_nibbles(type, p, g, b, n_tok, dot);
        for (int r = 0; r < STRIPS; r++)
            d[r] = strip_halves(p[r]);
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 dx = _mm256_broadcast_ss(g->d[t] + b);
            __m256i sum = broadcast4(g->sum[t] + 4 * b);

            TKX__UNROLL
            for (int r = 0; r < STRIPS; r++) {
                __m256i i = dot[t][r];

                if (type != TKX__W_Q8_0)
                    i = strip32_offset(strip32_is_5bit(type), has_min, i, sum);
                y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(d[r], dx), _mm256_cvtepi32_ps(i),
                                          y[t][r]);
                if (has_min)
                    y[t][r] = _mm256_fmadd_ps(_mm256_mul_ps(strip_halves(p[r] + 16), dx),
                                              _mm256_cvtepi32_ps(sum), y[t][r]);
            }
        }
        p[0] += size;
        p[1] += size;
    }
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < STRIPS; r++)
            _mm256_storeu_ps(g->out[t] + 8 * r, y[t][r]);
}

#define STRIP_FN(NAME, TYPE)                                                             \
    static void strip_##NAME(const uint8_t *const s[STRIPS], size_t first, size_t n,     \
                             const group *g, size_t n_tok)                               \
    {                                                                                    \
        if (n_tok == 4)                                                                  \
            strip32(TYPE, s, first, n, g, 4);                                            \
        else if (n_tok == 3)                                                             \
            strip32(TYPE, s, first, n, g, 3);                                            \
        else if (n_tok == 2)                                                             \
            strip32(TYPE, s, first, n, g, 2);                                            \
        else                                                                             \
            strip32(TYPE, s, first, n, g, 1);                                            \
    }

STRIP_FN(q4_0, TKX__W_Q4_0)
STRIP_FN(q4_1, TKX__W_Q4_1)
STRIP_FN(q5_0, TKX__W_Q5_0)
STRIP_FN(q5_1, TKX__W_Q5_1)
STRIP_FN(q8_0, TKX__W_Q8_0)

tkx__strip_fn *tkx__avx2_strip32(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return strip_q4_0;
    case TKX__W_Q4_1:
        return strip_q4_1;
    case TKX__W_Q5_0:
        return strip_q5_0;
    case TKX__W_Q5_1:
        return strip_q5_1;
    default:
        return strip_q8_0;
    }
}
