// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_strip_k.c - strips of 8 rows against few tokens: K-quants.
 *
 * Each sub-block's 16-bit sums are multiplied by its scale, so a super-block's sum is one
 * integer.  Pairs are summed in 16 bits as long as the range allows:
 *   4 bits: 8 * 2 * 15 * 127 = 30,480    5 bits: 4 * 2 * 31 * 127 = 31,496
 *   2 and 3 bits: a whole sub-block; 6 bits: the same, because their sums begin with what
 *   makes them those of signed weights (table.h, start)
 */
#include "infer/kernels/avx2_strip.h"

typedef tkx__panel_group group;

#define STRIPS 2

/* Steps that fit 16 bits. */
TKX__INLINE size_t steps_of(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_K:
        return 8;
    default:
        return 4;
    }
}

/* What a sub-block's steps are read with; quarter and is_odd are constants. */
typedef struct place {
    size_t chunk; /* Q4_K, Q5_K: pair of sub-blocks; else the half */
    size_t odd;   /* else: odd sub-block of a quarter */
    int which;    /* Q4_K, Q5_K: odd sub-block; else the quarter */
    int number;   /* of the sub-block */
} place;

TKX__INLINE __m256i step_at(tkx__wtype type, const uint8_t *p, place at, size_t s)
{
    return strip256_steps(type) == 8
               ? strip_step_k45(type, p, at.chunk, at.which, s)
               : strip_step_k16(type, p, at.chunk, at.which, at.odd, s);
}

/* Adds one sub-block times its scale. */
TKX__INLINE void add_sub(tkx__wtype type, const uint8_t *const p[STRIPS], place at,
                         const __m256i *scale, const group *g, size_t col, int n_tok,
                         __m256i dot[TKX__STRIP_TOKENS][STRIPS])
{
    size_t n_steps = (size_t)strip256_steps(type);
    size_t steps = steps_of(type);
    size_t x0;

    x0 = col + (size_t)at.number * n_steps * 4;
    TKX__UNROLL
    for (size_t first = 0; first < n_steps; first += steps) {
        __m256i acc[TKX__STRIP_TOKENS][STRIPS];

        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            acc[t][0] = acc[t][1] =
                type == TKX__W_Q6_K
                    ? broadcast4(g->start[t] + col / 4 + (size_t)at.number * 4)
                    : _mm256_setzero_si256();
        TKX__UNROLL
        for (size_t s = first; s < first + steps; s++) {
            __m256i w[STRIPS];

            TKX__UNROLL
            for (int r = 0; r < STRIPS; r++)
                w[r] = step_at(type, p[r], at, s);
            TKX__UNROLL
            for (int t = 0; t < n_tok; t++) {
                __m256i x = broadcast4(g->q[t] + x0 + s * 4);

                TKX__UNROLL
                for (int r = 0; r < STRIPS; r++) {
                    acc[t][r] =
                        _mm256_add_epi16(acc[t][r], _mm256_maddubs_epi16(w[r], x));
                    TKX__KEEP(acc[t][r]);
                }
            }
        }
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            TKX__UNROLL
        for (int r = 0; r < STRIPS; r++)
            dot[t][r] = _mm256_add_epi32(
                dot[t][r], _mm256_madd_epi16(acc[t][r], scale[2 * at.number + r]));
    }
}

/* Quarter i of a block of each strip: a whole block at once is more than the CPU fetches
   at a time, and the loads behind it wait. */
TKX__INLINE void fetch_quarter(tkx__wtype type, const uint8_t *const p[STRIPS], size_t i)
{
    size_t quarter = tkx__wtype_block_size(type) * TKX__STRIP_ROWS / 4;

    for (size_t at = i * quarter; at < (i + 1) * quarter; at += 64) {
        _mm_prefetch((const char *)p[0] + at, _MM_HINT_T0);
        _mm_prefetch((const char *)p[1] + at, _MM_HINT_T0);
    }
}

/* The sub-blocks in the order that the file's bytes give them up. */
TKX__INLINE void dot_block(tkx__wtype type, const uint8_t *const p[STRIPS],
                           const uint8_t *const next[STRIPS], const __m256i *scale,
                           const group *g, size_t col, int n_tok,
                           __m256i dot[TKX__STRIP_TOKENS][STRIPS])
{
    for (size_t i = 0; i < 4; i++) {
        fetch_quarter(type, next, i);
        if (strip256_steps(type) == 8) {
            TKX__UNROLL
            for (int odd = 0; odd < 2; odd++)
                add_sub(type, p, (place){i, 0, odd, (int)i * 2 + odd}, scale, g, col,
                        n_tok, dot);
        } else {
            TKX__UNROLL
            for (int quarter = 0; quarter < 4; quarter++)
                add_sub(type, p,
                        (place){i / 2, i % 2, quarter,
                                (int)(i / 2) * 8 + quarter * 2 + (int)(i % 2)},
                        scale, g, col, n_tok, dot);
        }
    }
}

/* Scales of all sub-blocks [16][STRIPS] and pairs of mins [8][STRIPS]. */
TKX__INLINE void read_numbers(tkx__wtype type, const uint8_t *const p[STRIPS],
                              __m256i *scale, __m256i *pair)
{
    TKX__UNROLL
    for (int r = 0; r < STRIPS; r++) {
        strip_numbers n;

        strip_numbers_of(type, p[r], &n);
        TKX__UNROLL
        for (int j = 0; j < 64 / strip256_steps(type); j++)
            scale[2 * j + r] = strip_scale(type, &n, j);
        TKX__UNROLL
        for (int j = 0; j < 32 / strip256_steps(type); j++)
            pair[2 * j + r] = strip_pair(type, &n, j);
    }
}

TKX__INLINE void strip256(tkx__wtype type, const uint8_t *const strip[STRIPS],
                          size_t first, size_t n_blocks, const group *g, int n_tok)
{
    int offset_bits = type == TKX__W_Q3_K ? 2 : 0;
    size_t size = tkx__wtype_block_size(type) * TKX__STRIP_ROWS;
    int n_pairs = 32 / strip256_steps(type);
    const uint8_t *p[STRIPS] = {strip[0], strip[1]};

    for (size_t b = first; b < first + n_blocks; b++) {
        __m256i dot[TKX__STRIP_TOKENS][STRIPS];
        __m256i scale[16 * STRIPS];
        __m256i pair[8 * STRIPS];
        __m256 d[STRIPS];

        /* two blocks on; past the end stands the other strip: on to the next pair */
        size_t ahead = (b - first + 2 < n_blocks ? 2 : 2 + n_blocks) * size;
        const uint8_t *next[STRIPS] = {p[0] + ahead, p[1] + ahead};

        read_numbers(type, p, scale, pair);
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            dot[t][0] = dot[t][1] = _mm256_setzero_si256();
        dot_block(type, p, next, scale, g, b * 256, n_tok, dot);
        for (int r = 0; r < STRIPS; r++)
            d[r] = strip_halves(p[r] + strip256_d_at(type));
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 dx = _mm256_broadcast_ss(g->d[t] + b);
            const uint8_t *sums =
                strip256_steps(type) == 8 ? g->sum32[t] + b * 16 : g->sum[t] + b * 32;
            __m256i mins[STRIPS] = {_mm256_setzero_si256(), _mm256_setzero_si256()};

            TKX__UNROLL
            for (int j = 0; j < n_pairs; j++) {
                __m256i sum = broadcast4(sums + 4 * j);

                for (int r = 0; r < STRIPS; r++)
                    mins[r] = _mm256_add_epi32(mins[r],
                                               _mm256_madd_epi16(pair[2 * j + r], sum));
            }
            TKX__UNROLL
            for (int r = 0; r < STRIPS; r++) {
                __m256 y = b ? _mm256_loadu_ps(g->out[t] + 8 * r) : _mm256_setzero_ps();
                __m256i i = dot[t][r];

                if (offset_bits)
                    i = _mm256_sub_epi32(i, _mm256_slli_epi32(mins[r], offset_bits));
                y = _mm256_fmadd_ps(_mm256_mul_ps(d[r], dx), _mm256_cvtepi32_ps(i), y);
                if (strip256_has_min(type))
                    y = _mm256_fnmadd_ps(
                        _mm256_mul_ps(strip_halves(p[r] + strip256_d_at(type) + 16), dx),
                        _mm256_cvtepi32_ps(mins[r]), y);
                _mm256_storeu_ps(g->out[t] + 8 * r, y);
            }
        }
        p[0] += size;
        p[1] += size;
    }
}

#define STRIP_FN(NAME, TYPE)                                                             \
    static void strip_##NAME(const uint8_t *const s[STRIPS], size_t first, size_t n,     \
                             const group *g, size_t n_tok)                               \
    {                                                                                    \
        if (n_tok == 4)                                                                  \
            strip256(TYPE, s, first, n, g, 4);                                           \
        else if (n_tok == 3)                                                             \
            strip256(TYPE, s, first, n, g, 3);                                           \
        else if (n_tok == 2)                                                             \
            strip256(TYPE, s, first, n, g, 2);                                           \
        else                                                                             \
            strip256(TYPE, s, first, n, g, 1);                                           \
    }

STRIP_FN(q2_k, TKX__W_Q2_K)
STRIP_FN(q3_k, TKX__W_Q3_K)
STRIP_FN(q4_k, TKX__W_Q4_K)
STRIP_FN(q5_k, TKX__W_Q5_K)
STRIP_FN(q6_k, TKX__W_Q6_K)

tkx__strip_fn *tkx__avx2_strip256(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q2_K:
        return strip_q2_k;
    case TKX__W_Q3_K:
        return strip_q3_k;
    case TKX__W_Q4_K:
        return strip_q4_k;
    case TKX__W_Q5_K:
        return strip_q5_k;
    default:
        return strip_q6_k;
    }
}
