// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_strip.c - strips of 8 rows against few tokens: blocks of 32 columns.
 *
 * Two strips at a time share the broadcasts of the activations, and are two streams for
 * the memory.  Pairs are summed in 16 bits as long as the type's range allows:
 *   4 bits: 8 * 2 * 15 * 127 = 30,480    5 bits: 4 * 2 * 31 * 127 = 31,496
 */
#include "infer/kernels/avx2_strip.h"

typedef tkx__panel_group group;

#define STRIPS 2

/* acc += w x, both strips, all tokens; the first time without the addition. */
TKX__INLINE void multiply_add(__m256i acc[TKX__STRIP_TOKENS][STRIPS],
                              const __m256i w[STRIPS], const group *g, size_t at,
                              int n_tok, bool is_first)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256i x = broadcast4(g->q[t] + at);

        TKX__UNROLL
        for (int r = 0; r < STRIPS; r++) {
            __m256i p = _mm256_maddubs_epi16(w[r], x);

            acc[t][r] = is_first ? p : _mm256_add_epi16(acc[t][r], p);
            TKX__KEEP(acc[t][r]);
        }
    }
}

/* Integer sums of one block, nibbles. */
TKX__INLINE void dot_nibbles(tkx__wtype type, const uint8_t *const p[STRIPS],
                             const group *g, size_t col, int n_tok,
                             __m256i dot[TKX__STRIP_TOKENS][STRIPS])
{
    const __m256i ones = _mm256_set1_epi16(1);
    int steps = strip32_is_5bit(type) ? 2 : 4; /* of both halves */
    __m256i acc[TKX__STRIP_TOKENS][STRIPS];

    TKX__UNROLL
    for (int i = 0; i < 4; i++) {
        __m256i low[STRIPS];
        __m256i high[STRIPS];

        TKX__UNROLL
        for (int r = 0; r < STRIPS; r++)
            strip32_steps(type, p[r], i, &low[r], &high[r]);
        multiply_add(acc, low, g, col + 4 * (size_t)i, n_tok, i % steps == 0);
        multiply_add(acc, high, g, col + 16 + 4 * (size_t)i, n_tok, false);
        if (i % steps != steps - 1)
            continue;
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            TKX__UNROLL
        for (int r = 0; r < STRIPS; r++) {
            __m256i sum = _mm256_madd_epi16(acc[t][r], ones);

            dot[t][r] = i < steps ? sum : _mm256_add_epi32(dot[t][r], sum);
        }
    }
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
    int offset_bits = type == TKX__W_Q4_0 ? 3 : type == TKX__W_Q5_0 ? 4 : 0;
    size_t size = tkx__wtype_block_size(type) * TKX__STRIP_ROWS;
    const uint8_t *p[STRIPS] = {strip[0], strip[1]};
    __m256 y[TKX__STRIP_TOKENS][STRIPS];

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < STRIPS; r++)
            y[t][r] = first ? _mm256_loadu_ps(g->out[t] + 8 * r) : _mm256_setzero_ps();
    for (size_t b = first; b < first + n_blocks; b++) {
        __m256i dot[TKX__STRIP_TOKENS][STRIPS];
        __m256 d[STRIPS];

        strip_prefetch(p, size, n_blocks);
        if (type == TKX__W_Q8_0)
            dot_bytes(p, g, b * 32, n_tok, dot);
        else
            dot_nibbles(type, p, g, b * 32, n_tok, dot);
        for (int r = 0; r < STRIPS; r++)
            d[r] = strip_halves(p[r]);
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 dx = _mm256_broadcast_ss(g->d[t] + b);
            __m256i sum = broadcast4(g->sum[t] + 4 * b);

            TKX__UNROLL
            for (int r = 0; r < STRIPS; r++) {
                __m256i i = dot[t][r];

                if (offset_bits)
                    i = _mm256_sub_epi32(i, _mm256_slli_epi32(sum, offset_bits));
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
