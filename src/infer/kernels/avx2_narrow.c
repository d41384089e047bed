// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_narrow.c - plain matrices of few columns: the B of an adapter.
 *
 * A lane of the sum holds one or two products only, so adding lanes up would take longer
 * than multiplying.  Here lanes are rows: 16 rows stand as two strips (strips.h), each
 * lane of the definition is a register of 8 rows, and the tree of sums is additions.
 * Matrices in the file's order are turned first, which takes as long as four tokens do.
 */
#include <string.h>

#include "infer/kernels/avx2_float.h"
#include "infer/kernels/strips.h"

#define ROWS (2 * TKX__STRIP_ROWS)
#define COLS TKX__NARROW_COLS

/* Half precision is converted where it is multiplied for so many tokens. */
#define FEW 2

/* Two strips, and where the sums of 16 rows go. */
typedef struct piece {
    const uint8_t *w[2];
    size_t n_cols;
    const float *x[2];
    float *out[2];
    float add_scale; /* 0: out is written, else added to */
} piece;

/* Columns lane, lane + 8, .. of 16 rows and n_tok tokens. */
TKX__INLINE void lane_sums(tkx__wtype type, const piece *p, size_t lane, int n_tok,
                           __m256 acc[2][2])
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        acc[t][0] = acc[t][1] = _mm256_setzero_ps();
    for (size_t c = lane; c < p->n_cols; c += 8) {
        __m256 w0 = load_plain(type, p->w[0], c * TKX__STRIP_ROWS);
        __m256 w1 = load_plain(type, p->w[1], c * TKX__STRIP_ROWS);

        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 v = _mm256_broadcast_ss(p->x[t] + c);

            acc[t][0] = _mm256_fmadd_ps(w0, v, acc[t][0]);
            acc[t][1] = _mm256_fmadd_ps(w1, v, acc[t][1]);
        }
    }
}

/* (lane) + (lane + 4) */
TKX__INLINE void pair_sums(tkx__wtype type, const piece *p, size_t lane, int n_tok,
                           __m256 sum[2][2])
{
    __m256 other[2][2];

    lane_sums(type, p, lane, n_tok, sum);
    lane_sums(type, p, lane + 4, n_tok, other);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        sum[t][0] = _mm256_add_ps(sum[t][0], other[t][0]);
        sum[t][1] = _mm256_add_ps(sum[t][1], other[t][1]);
    }
}

TKX__INLINE void put(const piece *p, float *out, __m256 sum)
{
    if (p->add_scale != 0)
        sum = _mm256_fmadd_ps(_mm256_set1_ps(p->add_scale), sum, _mm256_loadu_ps(out));
    _mm256_storeu_ps(out, sum);
}

TKX__INLINE void multiply(tkx__wtype type, const piece *p, int n_tok)
{
    __m256 even[2][2];
    __m256 odd[2][2];
    __m256 more[2][2];

    pair_sums(type, p, 0, n_tok, even);
    pair_sums(type, p, 2, n_tok, more);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            even[t][r] = _mm256_add_ps(even[t][r], more[t][r]);
    pair_sums(type, p, 1, n_tok, odd);
    pair_sums(type, p, 3, n_tok, more);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 2; r++)
            put(p, p->out[t] + TKX__STRIP_ROWS * r,
                _mm256_add_ps(even[t][r], _mm256_add_ps(odd[t][r], more[t][r])));
}

static void multiply_some(tkx__wtype type, const piece *p, size_t n_tok)
{
    if (type == TKX__W_F16 && n_tok == 2)
        multiply(TKX__W_F16, p, 2);
    else if (type == TKX__W_F16)
        multiply(TKX__W_F16, p, 1);
    else if (n_tok == 2)
        multiply(TKX__W_F32, p, 2);
    else
        multiply(TKX__W_F32, p, 1);
}

/* ---- strips of float32 ---- */

TKX__INLINE void widen(tkx__wtype type, const uint8_t *strip, size_t n_cols, float *out)
{
    for (size_t i = 0; i < n_cols * TKX__STRIP_ROWS; i += 8)
        _mm256_storeu_ps(out + i, load_plain(type, strip, i));
}

/* Rows r0 .. r0 + 7 (the last one again where there are none). */
static void turn(const tkx__tile *t, size_t r0, float *out)
{
    float row[COLS];

    for (size_t r = 0; r < TKX__STRIP_ROWS; r++) {
        size_t at = r0 + r < t->n_rows ? r0 + r : t->n_rows - 1;

        tkx__avx2_decode(t->type, t->w + at * t->row_size, t->n_cols, row);
        for (size_t c = 0; c < t->n_cols; c++)
            out[c * TKX__STRIP_ROWS + r] = row[c];
    }
}

/* Points p at rows r .. r + 15; returns the type they stand there in. */
static tkx__wtype find_strips(const tkx__tile *t, size_t r, piece *p)
{
    float *made = t->scratch; /* [2][n_cols][8] */
    bool is_as_stored = t->is_packed && (t->type == TKX__W_F32 ||
                                         (t->type == TKX__W_F16 && t->n_tok <= FEW));

    for (size_t i = 0; i < 2; i++, made += TKX__STRIP_ROWS * t->n_cols) {
        size_t r0 = r + i * TKX__STRIP_ROWS;
        const uint8_t *strip = t->w + (r0 < t->n_rows ? r0 : r) * t->row_size;

        p->w[i] = is_as_stored ? strip : (const uint8_t *)made;
        if (is_as_stored)
            continue;
        if (!t->is_packed)
            turn(t, r0, made);
        else if (t->type == TKX__W_F16)
            widen(TKX__W_F16, strip, t->n_cols, made);
        else
            widen(TKX__W_BF16, strip, t->n_cols, made);
    }
    return is_as_stored ? t->type : TKX__W_F32;
}

/* Sums of fewer than 16 rows to their place. */
static void put_rest(const tkx__tile *t, size_t r, size_t tok, const float *sums)
{
    float *out = t->out + tok * t->out_stride + r;

    if (t->add_scale != 0)
        tkx__avx2_axpy(out, t->add_scale, sums, t->n_rows - r);
    else
        memcpy(out, sums, (t->n_rows - r) * sizeof *out);
}

bool tkx__avx2_narrow_f(const tkx__tile *t)
{
    float spare[2][ROWS];

    if (t->n_cols > COLS || t->n_cols % 8 != 0 || tkx__wtype_block_cols(t->type) != 1)
        return false;
    for (size_t r = 0; r < t->n_rows; r += ROWS) {
        bool is_whole = t->n_rows - r >= ROWS;
        piece p = {.n_cols = t->n_cols, .add_scale = is_whole ? t->add_scale : 0};
        tkx__wtype type = find_strips(t, r, &p);

        for (size_t tok = 0; tok < t->n_tok; tok += 2) {
            size_t n_tok = t->n_tok - tok < 2 ? 1 : 2;

            for (size_t i = 0; i < n_tok; i++) {
                p.x[i] = (const float *)(const void *)tkx__tile_act(t, tok + i);
                p.out[i] = is_whole ? t->out + (tok + i) * t->out_stride + r : spare[i];
            }
            multiply_some(type, &p, n_tok);
            for (size_t i = 0; !is_whole && i < n_tok; i++)
                put_rest(t, r, tok + i, spare[i]);
        }
    }
    return true;
}
