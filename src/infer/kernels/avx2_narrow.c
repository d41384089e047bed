// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_narrow.c - matrices of few columns (the B of an adapter) against many tokens.
 *
 * A lane of the sum holds one or two products only, so adding lanes up would take longer
 * than multiplying.  Here lanes are rows: 16 rows are turned column by column, each lane
 * of the definition is a register of 8 rows, and the tree of sums is additions.
 */
#include "infer/kernels/avx2.h"

#define ROWS 16
#define COLS TKX__NARROW_COLS

/* Rows r0 .. r0+15 (the last one again where there are none) as [n_cols][16]. */
static void fill(const tkx__tile *t, size_t r0, float *panel)
{
    float row[COLS];

    for (size_t r = 0; r < ROWS; r++) {
        size_t at = r0 + r < t->n_rows ? r0 + r : t->n_rows - 1;

        tkx__avx2_decode(t->type, t->w + at * t->row_size, t->n_cols, row);
        for (size_t c = 0; c < t->n_cols; c++)
            panel[c * ROWS + r] = row[c];
    }
}

/* Columns lane, lane + 8, .. of 16 rows and n_tok tokens. */
TKX__INLINE void lane_sums(const float *panel, size_t n_cols, const float *const x[2],
                           size_t lane, int n_tok, __m256 acc[2][2])
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for (size_t c = lane; c < n_cols; c += 8) {
        __m256 w0 = _mm256_loadu_ps(panel + c * ROWS);
        __m256 w1 = _mm256_loadu_ps(panel + c * ROWS + 8);

        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 v = _mm256_broadcast_ss(x[t] + c);

            acc[t][0] = _mm256_fmadd_ps(w0, v, acc[t][0]);
            acc[t][1] = _mm256_fmadd_ps(w1, v, acc[t][1]);
        }
    }
}

/* (lane) + (lane + 4) */
TKX__INLINE void pair_sums(const float *panel, size_t n_cols, const float *const x[2],
                           size_t lane, int n_tok, __m256 sum[2][2])
{
    __m256 other[2][2];

    lane_sums(panel, n_cols, x, lane, n_tok, sum);
    lane_sums(panel, n_cols, x, lane + 4, n_tok, other);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        sum[t][0] = _mm256_add_ps(sum[t][0], other[t][0]);
        sum[t][1] = _mm256_add_ps(sum[t][1], other[t][1]);
    }
}

TKX__INLINE void multiply(const float *panel, size_t n_cols, const float *const x[2],
                          int n_tok, float *const out[2])
{
    __m256 even[2][2];
    __m256 odd[2][2];
    __m256 more[2][2];

    pair_sums(panel, n_cols, x, 0, n_tok, even);
    pair_sums(panel, n_cols, x, 2, n_tok, more);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            even[t][r] = _mm256_add_ps(even[t][r], more[t][r]);
    pair_sums(panel, n_cols, x, 1, n_tok, odd);
    pair_sums(panel, n_cols, x, 3, n_tok, more);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            _mm256_storeu_ps(
                out[t] + 8 * r,
                _mm256_add_ps(even[t][r], _mm256_add_ps(odd[t][r], more[t][r])));
}

bool tkx__avx2_narrow_f(const tkx__tile *t)
{
    float *panel = t->scratch; /* [n_cols][16] */
    float spare[2][ROWS] = {{0}};

    if (t->n_cols > COLS || t->n_cols % 8 != 0 || tkx__wtype_block_cols(t->type) != 1)
        return false;
    for (size_t r = 0; r < t->n_rows; r += ROWS) {
        size_t n_rows = t->n_rows - r < ROWS ? t->n_rows - r : ROWS;

        fill(t, r, panel);
        for (size_t tok = 0; tok < t->n_tok; tok += 2) {
            size_t n_tok = t->n_tok - tok < 2 ? 1 : 2;
            const float *x[2] = {0};
            float *out[2] = {spare[0], spare[1]};

            for (size_t i = 0; i < n_tok; i++) {
                x[i] = (const float *)(const void *)tkx__tile_act(t, tok + i);
                if (n_rows == ROWS)
                    out[i] = t->out + (tok + i) * t->out_stride + r;
            }
            if (n_tok == 2)
                multiply(panel, t->n_cols, x, 2, out);
            else
                multiply(panel, t->n_cols, x, 1, out);
            for (size_t i = 0; n_rows < ROWS && i < n_tok; i++)
                for (size_t j = 0; j < n_rows; j++)
                    t->out[(tok + i) * t->out_stride + r + j] = spare[i][j];
        }
    }
    return true;
}
