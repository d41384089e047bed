// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float_short.c - plain matrices of few rows against many tokens: the A of an
 * adapter.
 *
 * All rows meet 3 tokens before the next 3, so that activations, which are most of what
 * is read, come from afar once.  4 rows at a time: 16 rows are no whole number of sixes.
 */
#include "infer/kernels/avx2_float.h"

#define ROWS 4
#define TOKENS 3
#define MAX_ROWS 16

/* Columns at once, with which 3 tokens stay in the first-level cache. */
#define CHUNK 1024

/* Some columns of 4 rows and 3 tokens. */
typedef struct piece {
    const uint8_t *w[ROWS];
    const float *x[TOKENS];
    size_t first;
    size_t n;
    float *lanes; /* [TOKENS][ROWS][8] what the columns before gave */
    bool is_last;
} piece;

/* The sums of all rows so far become numbers: [token][row]. */
TKX__INLINE void put(__m256 y[TOKENS][ROWS], float sums[TOKENS][ROWS])
{
    __m256 two[8] = {y[0][0], y[0][1], y[0][2], y[0][3],
                     y[1][0], y[1][1], y[1][2], y[1][3]};
    __m256 one[8] = {y[2][0], y[2][1], y[2][2], y[2][3],
                     y[2][0], y[2][1], y[2][2], y[2][3]};

    _mm256_storeu_ps(sums[0], sum8x8(two));
    _mm_storeu_ps(sums[2], _mm256_castps256_ps128(sum8x8(one)));
}

TKX__INLINE void multiply(tkx__wtype type, const piece *p, float sums[TOKENS][ROWS])
{
    __m256 y[TOKENS][ROWS];

    TKX__UNROLL
    for (int t = 0; t < TOKENS; t++)
        for (int r = 0; r < ROWS; r++)
            y[t][r] = p->first == 0 ? _mm256_setzero_ps()
                                    : _mm256_loadu_ps(p->lanes + (t * ROWS + r) * 8);
    for (size_t c = p->first; c < p->first + p->n; c += 8) {
        __m256 x[TOKENS];

        TKX__UNROLL
        for (int t = 0; t < TOKENS; t++)
            x[t] = _mm256_loadu_ps(p->x[t] + c);
        TKX__UNROLL
        for (int r = 0; r < ROWS; r++) {
            __m256 w = load_plain(type, p->w[r], c);

            TKX__UNROLL
            for (int t = 0; t < TOKENS; t++)
                add_product(&y[t][r], w, x[t]);
        }
    }
    if (p->is_last) {
        put(y, sums);
        return;
    }
    TKX__UNROLL
    for (int t = 0; t < TOKENS; t++)
        for (int r = 0; r < ROWS; r++)
            _mm256_storeu_ps(p->lanes + (t * ROWS + r) * 8, y[t][r]);
}

/* All rows with 3 tokens; the last of either again where there are fewer. */
TKX__INLINE void three_tokens(tkx__wtype type, const tkx__tile *t, size_t tok)
{
    size_t n_tok = at_most(t->n_tok - tok, TOKENS);
    float *lanes = t->scratch;
    float sums[TOKENS][ROWS];
    piece p;

    for (size_t i = 0; i < TOKENS; i++) {
        size_t at = tok + at_most(i, n_tok - 1);

        p.x[i] = (const float *)(const void *)tkx__tile_act(t, at);
    }
    for (p.first = 0; p.first < t->n_cols; p.first += p.n) {
        p.n = t->n_cols - p.first < CHUNK ? t->n_cols - p.first : CHUNK;
        p.is_last = p.first + p.n == t->n_cols;
        for (size_t r = 0; r < t->n_rows; r += ROWS) {
            size_t n = at_most(t->n_rows - r, ROWS);

            p.lanes = lanes + r * TOKENS * 8;
            for (size_t i = 0; i < ROWS; i++)
                p.w[i] = t->w + (r + at_most(i, n - 1)) * t->row_size;
            multiply(type, &p, sums);
            for (size_t i = 0; p.is_last && i < n_tok; i++)
                __builtin_memcpy(t->out + (tok + i) * t->out_stride + r, sums[i],
                                 n * sizeof(float));
        }
    }
}

bool tkx__avx2_short_f(const tkx__tile *t)
{
    if (t->n_rows > MAX_ROWS || t->n_tok < 2 * TOKENS || t->n_cols % 8 != 0 ||
        t->is_packed)
        return false;
    for (size_t tok = 0; tok < t->n_tok; tok += TOKENS) {
        if (t->type == TKX__W_F16)
            three_tokens(TKX__W_F16, t, tok);
        else if (t->type == TKX__W_BF16)
            three_tokens(TKX__W_BF16, t, tok);
        else if (t->type == TKX__W_F32)
            three_tokens(TKX__W_F32, t, tok);
        else
            return false;
    }
    return true;
}
