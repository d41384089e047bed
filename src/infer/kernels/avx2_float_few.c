// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float_few.c - plain weights against one or two tokens, bound by memory.
 *
 * Several rows are read side by side: one stream alone gets two thirds of the bandwidth.
 * The CPU's own prefetching begins anew with every row, so the next rows are asked for
 * while these are multiplied.
 */
#include "infer/kernels/avx2_float.h"

/* Rows of one call. */
#define ROWS_1 8
#define ROWS_2 6

/* 8 columns of all rows. */
TKX__INLINE void multiply(tkx__wtype type, int n_rows, int n_tok,
                          const uint8_t *const *row, const float *const *x, size_t c,
                          __m256 y[2][8])
{
    TKX__UNROLL
    for (int r = 0; r < n_rows; r++) {
        __m256 w = load_plain(type, row[r], c);

        for (int t = 0; t < n_tok; t++)
            y[t][r] = _mm256_fmadd_ps(w, _mm256_loadu_ps(x[t] + c), y[t][r]);
    }
}

TKX__INLINE void rows(tkx__wtype type, int n_rows, int n_tok, const tkx__tile *t,
                      size_t r0)
{
    size_t whole = t->n_cols / 8 * 8;
    size_t n_put = t->n_rows - r0 < (size_t)n_rows ? t->n_rows - r0 : (size_t)n_rows;
    size_t size = type == TKX__W_F32 ? 4 : 2;
    size_t ahead = (size_t)n_rows * t->row_size;
    const uint8_t *row[8];
    const float *x[2];
    __m256 y[2][8];
    size_t c = 0;

    for (size_t r = 0; r < (size_t)n_rows; r++)
        row[r] = t->w + (r0 + (r < n_put ? r : n_put - 1)) * t->row_size;
    for (int i = 0; i < n_tok; i++) {
        x[i] = (const float *)(const void *)tkx__tile_act(t, (size_t)i);
        for (int r = 0; r < 8; r++)
            y[i][r] = _mm256_setzero_ps();
    }
    for (; c + 64 / size <= whole; c += 64 / size) { /* a cache line of each row */
        TKX__UNROLL
        for (int r = 0; r < n_rows; r++)
            _mm_prefetch((const char *)row[r] + ahead + c * size, _MM_HINT_T0);
        TKX__UNROLL
        for (size_t i = 0; i < 64 / size; i += 8)
            multiply(type, n_rows, n_tok, row, x, c + i, y);
    }
    for (; c < whole; c += 8)
        multiply(type, n_rows, n_tok, row, x, c, y);
    if (whole < t->n_cols) {
        size_t n = t->n_cols - whole;

        TKX__UNROLL
        for (int r = 0; r < n_rows; r++)
            for (int i = 0; i < n_tok; i++)
                y[i][r] =
                    _mm256_fmadd_ps(load_tail(type, row[r], whole, n),
                                    _mm256_maskload_ps(x[i] + whole, mask8(n)), y[i][r]);
    }
    for (int i = 0; i < n_tok; i++) {
        float *out = t->out + (size_t)i * t->out_stride + r0;

        if (n_put == 8)
            _mm256_storeu_ps(out, sum8x8(y[i]));
        else
            _mm256_maskstore_ps(out, mask8(n_put), sum8x8(y[i]));
    }
}

TKX__INLINE void few(tkx__wtype type, const tkx__tile *t)
{
    if (t->n_tok == 1)
        for (size_t r = 0; r < t->n_rows; r += ROWS_1)
            rows(type, ROWS_1, 1, t, r);
    else
        for (size_t r = 0; r < t->n_rows; r += ROWS_2)
            rows(type, ROWS_2, 2, t, r);
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
