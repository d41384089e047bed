// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float_few.c - plain weights against one to four tokens, bound by memory.
 *
 * One stream alone gets half of the bandwidth, and the CPU's own prefetching needs
 * streams longer than a row.  So a tile is read in several places at once, from each of
 * which it goes on through consecutive rows.
 */
#include "infer/kernels/avx2_float.h"

/* Rows side by side, with one token and with two. */
#define ROWS_1 8
#define ROWS_2 6

/* How far ahead of 3 streams to fetch, in bytes.  More streams need no help. */
#define AHEAD 1024

/* Sum r of token t goes to row first + r * apart. */
TKX__INLINE void put(int n_rows, int n_tok, __m256 y[TKX__GROUP][8], const tkx__tile *t,
                     size_t first, size_t apart)
{
    float sums[TKX__GROUP][8];

    if (n_tok == TKX__GROUP)
        put_trio(y, sums[0], 8);
    else
        put_few(n_rows, n_tok, y, sums[0], 8, (size_t)n_rows);
    for (size_t r = 0; r < (size_t)n_rows && first + r * apart < t->n_rows; r++)
        for (size_t i = 0; i < (size_t)n_tok; i++)
            t->out[i * t->out_stride + first + r * apart] = sums[i][r];
}

/* Row `first` and n_rows - 1 more, each `apart` rows behind the one before. */
TKX__INLINE void rows(tkx__wtype type, int n_rows, int n_tok, const tkx__tile *t,
                      size_t first, size_t apart)
{
    size_t whole = t->n_cols / 8 * 8;
    size_t size = type == TKX__W_F32 ? 4 : 2;
    const uint8_t *row[8];
    const float *x[TKX__GROUP];
    __m256 y[TKX__GROUP][8];
    size_t c = 0;

    for (size_t r = 0; r < (size_t)n_rows; r++) {
        size_t at = first + r * apart;

        row[r] = t->w + (at < t->n_rows ? at : t->n_rows - 1) * t->row_size;
    }
    TKX__UNROLL
    for (int i = 0; i < n_tok; i++) {
        x[i] = (const float *)(const void *)tkx__tile_act(t, (size_t)i);
        TKX__UNROLL
        for (int r = 0; r < n_rows; r++)
            y[i][r] = _mm256_setzero_ps();
    }
    for (; c + 64 / size <= whole; c += 64 / size) { /* a cache line of each row */
        TKX__UNROLL
        for (int r = 0; n_tok > 2 && r < n_rows; r++)
            _mm_prefetch((const char *)row[r] + c * size + AHEAD, _MM_HINT_T0);
        TKX__UNROLL
        for (size_t i = 0; i < 64 / size; i += 8)
            step(type, n_rows, n_tok, row, x, c + i, y);
    }
    for (; c < whole; c += 8)
        step(type, n_rows, n_tok, row, x, c, y);
    if (whole < t->n_cols) {
        size_t n = t->n_cols - whole;

        TKX__UNROLL
        for (int i = 0; i < n_tok; i++) {
            __m256 v = _mm256_maskload_ps(x[i] + whole, mask8(n));

            TKX__UNROLL
            for (int r = 0; r < n_rows; r++)
                add_product(&y[i][r], load_tail(type, row[r], whole, n), v);
        }
    }
    put(n_rows, n_tok, y, t, first, apart);
}

TKX__INLINE void all_rows(tkx__wtype type, int n_rows, int n_tok, const tkx__tile *t)
{
    size_t apart = (t->n_rows + (size_t)n_rows - 1) / (size_t)n_rows;

    for (size_t r = 0; r < apart; r++)
        rows(type, n_rows, n_tok, t, r, apart);
}

TKX__INLINE void few(tkx__wtype type, const tkx__tile *t)
{
    if (t->n_tok == 1)
        all_rows(type, ROWS_1, 1, t);
    else if (t->n_tok == 2)
        all_rows(type, ROWS_2, 2, t);
    else if (t->n_tok == 3)
        all_rows(type, TKX__TRIO, 3, t);
    else
        all_rows(type, TKX__TRIO, 4, t);
}

void tkx__avx2_few_f(const tkx__tile *t)
{
    if (t->type == TKX__W_F16)
        few(TKX__W_F16, t);
    else if (t->type == TKX__W_BF16)
        few(TKX__W_BF16, t);
    else
        few(TKX__W_F32, t);
}
