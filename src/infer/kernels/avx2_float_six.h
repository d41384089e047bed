/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2_float_six.h - 6 rows of float weights times some tokens.
 *
 * 12 chains of multiply-adds keep both multipliers busy: 3 rows with 4 tokens, or 6 with
 * 2.  Meanwhile the rows that come next are fetched, each group of tokens its share.
 */
#ifndef TKX_INFER_KERNELS_AVX2_FLOAT_SIX_H
#define TKX_INFER_KERNELS_AVX2_FLOAT_SIX_H

#include "infer/kernels/avx2_float.h"

#define TRIO 3
#define ROWS (2 * TRIO)
#define GROUP 4

/* Where what is multiplied next stands: 6 rows. */
typedef struct coming {
    const uint8_t *rows;
    size_t row_size;
    bool is_run; /* the columns are whole rows, one run of bytes */
} coming;

/* 6 rows times tokens, some columns: whole eights, but for the last few of a row. */
typedef struct piece {
    const uint8_t *w[ROWS]; /* at the first column */
    coming next;            /* rows NULL: not to be fetched */
    const float *const *x;  /* of all tokens, at the row's first column */
    float *lanes;           /* [tokens][ROWS][8] */
    float *out;             /* row r of token t at out[t * out_stride + r] */
    size_t out_stride;
    size_t n_tok;
    size_t first; /* column */
    size_t n;
    size_t n_rows; /* of the 6, to be written */
    bool is_last;
} piece;

/* What a group of tokens and its rows fetch in each turn of the loop: 3 cache lines, the
   same again where the groups beside it have the others. */
typedef struct fetcher {
    const char *at;
    size_t second;
    size_t third;
    size_t step;
} fetcher;

/* ---- sums of lanes, each in the one order ---- */

/* (l) + (l+4): of a in the lower half, of b in the upper. */
TKX__INLINE __m256 fold4(__m256 a, __m256 b)
{
    return _mm256_add_ps(_mm256_blend_ps(a, b, 0xf0), _mm256_permute2f128_ps(a, b, 0x21));
}

/* In each half (0)+(2), (1)+(3): of a, then of b. */
TKX__INLINE __m256 fold2(__m256 a, __m256 b)
{
    return _mm256_add_ps(_mm256_blend_ps(a, b, 0xcc), _mm256_shuffle_ps(a, b, 0x4e));
}

/* 4 tokens of 3 rows: 3 neighbours to each token. */
TKX__INLINE void put_trio(__m256 y[GROUP][ROWS], float *out, size_t stride)
{
    __m256 even[TRIO]; /* tokens 0 | 2 */
    __m256 odd[TRIO];  /* tokens 1 | 3 */
    __m256 a;
    __m256 b;
    __m128 low;
    __m128 high;

    TKX__UNROLL
    for (int i = 0; i < TRIO; i++) {
        even[i] = fold4(y[0][i], y[2][i]);
        odd[i] = fold4(y[1][i], y[3][i]);
    }
    a = fold2(even[0], even[1]);
    b = fold2(odd[0], odd[1]);
    a = _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
    b = fold2(even[2], odd[2]);
    b = _mm256_add_ps(b, _mm256_movehdup_ps(b));
    low = _mm256_castps256_ps128(b);
    high = _mm256_extractf128_ps(b, 1);
    _mm_store_ss(out + 2, low);
    _mm_store_ss(out + stride + 2, _mm_movehl_ps(low, low));
    _mm_store_ss(out + 2 * stride + 2, high);
    _mm_store_ss(out + 3 * stride + 2, _mm_movehl_ps(high, high));
    low = _mm256_castps256_ps128(a);
    high = _mm256_extractf128_ps(a, 1);
    _mm_storel_pi((__m64 *)(void *)out, low);
    _mm_storeh_pi((__m64 *)(void *)(out + stride), low);
    _mm_storel_pi((__m64 *)(void *)(out + 2 * stride), high);
    _mm_storeh_pi((__m64 *)(void *)(out + 3 * stride), high);
}

/* Any number of tokens and rows. */
TKX__INLINE void put_few(int n_rows, int n_tok, __m256 y[GROUP][ROWS], float *out,
                         size_t stride, size_t n_put)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        float sums[8];
        __m256 v[8];

        TKX__UNROLL
        for (int i = 0; i < 8; i++)
            v[i] = i < n_rows ? y[t][i] : y[t][0];
        _mm256_storeu_ps(sums, sum8x8(v));
        for (size_t i = 0; i < n_put; i++)
            out[(size_t)t * stride + i] = sums[i];
    }
}

/* ---- products ---- */

/*
 * acc += a b.  Left alone, the compiler reads b from memory for each use, and moves sums
 * from register to register.
 */
TKX__INLINE void add_product(__m256 *acc, __m256 a, __m256 b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*acc) : "x"(a), "x"(b));
}

/* 8 columns of 3 rows and 3 or 4 tokens. */
TKX__INLINE void step_trio(tkx__wtype type, int n_tok, const uint8_t *const *w,
                           const float *const *x, size_t c, __m256 y[GROUP][ROWS])
{
    __m256 w0 = load_plain(type, w[0], c);
    __m256 w1 = load_plain(type, w[1], c);
    __m256 w2 = load_plain(type, w[2], c);

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256 v = _mm256_loadu_ps(x[t] + c);

        add_product(&y[t][0], w0, v);
        add_product(&y[t][1], w1, v);
        add_product(&y[t][2], w2, v);
    }
}

/* 8 columns of 6 rows and 1 or 2 tokens. */
TKX__INLINE void step_six(tkx__wtype type, int n_tok, const uint8_t *const *w,
                          const float *const *x, size_t c, __m256 y[GROUP][ROWS])
{
    __m256 v0 = _mm256_loadu_ps(x[0] + c);
    __m256 v1 = n_tok > 1 ? _mm256_loadu_ps(x[1] + c) : v0;

    TKX__UNROLL
    for (int r = 0; r < ROWS; r++) {
        __m256 u = load_plain(type, w[r], c);

        add_product(&y[0][r], u, v0);
        if (n_tok > 1)
            add_product(&y[1][r], u, v1);
    }
}

TKX__INLINE void step(tkx__wtype type, int n_rows, int n_tok, const uint8_t *const *w,
                      const float *const *x, size_t c, __m256 y[GROUP][ROWS])
{
    if (n_rows == TRIO)
        step_trio(type, n_tok, w, x, c, y);
    else
        step_six(type, n_tok, w, x, c, y);
}

/* The share of rows r .. r + n_rows - 1 and the group with token tok. */
TKX__INLINE fetcher share_out(const piece *p, size_t r, size_t n_rows, size_t tok)
{
    const coming *next = &p->next;
    size_t n_groups = (p->n_tok + GROUP - 1) / GROUP;
    size_t first = n_rows * ((tok + GROUP - 1) / GROUP) / n_groups;
    size_t n = (n_rows + n_groups - 1) / n_groups; /* rows; groups may overlap */
    size_t apart = next->is_run ? 64 : next->row_size;

    if (!next->rows)
        return (fetcher){.at = (const char *)p->w[0]};
    return (fetcher){.at = (const char *)next->rows + (r + first) * next->row_size,
                     .second = n > 1 ? apart : 0,
                     .third = n > 2 ? 2 * apart : 0,
                     .step = next->is_run ? 64 * (n < 3 ? n : 3) : 64};
}

TKX__INLINE void fetch(fetcher *f)
{
    _mm_prefetch(f->at, _MM_HINT_T0);
    _mm_prefetch(f->at + f->second, _MM_HINT_T0);
    _mm_prefetch(f->at + f->third, _MM_HINT_T0);
    f->at += f->step;
}

/* Rows r .. r + n_rows - 1 with tokens tok .. tok + n_tok - 1. */
TKX__INLINE void multiply(tkx__wtype type, int n_rows, int n_tok, const piece *p,
                          size_t r, size_t tok)
{
    const size_t line = type == TKX__W_F32 ? 16 : 32; /* columns */
    fetcher next = share_out(p, r, (size_t)n_rows, tok);
    float *lanes = p->lanes + (tok * ROWS + r) * 8;
    const float *x[GROUP];
    __m256 y[GROUP][ROWS];
    size_t c = 0;

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        x[t] = p->x[tok + (size_t)t] + p->first;
        for (int i = 0; i < n_rows; i++)
            y[t][i] = p->first == 0 ? _mm256_setzero_ps()
                                    : _mm256_loadu_ps(lanes + (t * ROWS + i) * 8);
    }
    for (; c + line <= p->n; c += line) {
        fetch(&next);
        TKX__UNROLL
        for (size_t i = 0; i < line; i += 8)
            step(type, n_rows, n_tok, p->w + r, x, c + i, y);
    }
    for (; c + 8 <= p->n; c += 8)
        step(type, n_rows, n_tok, p->w + r, x, c, y);
    if (!p->is_last) {
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            for (int i = 0; i < n_rows; i++)
                _mm256_storeu_ps(lanes + (t * ROWS + i) * 8, y[t][i]);
    } else {
        float *out = p->out + tok * p->out_stride + r;
        size_t left = p->n_rows - r;

        if (n_tok == GROUP && left >= TRIO)
            put_trio(y, out, p->out_stride);
        else
            put_few(n_rows, n_tok, y, out, p->out_stride,
                    left < (size_t)n_rows ? left : (size_t)n_rows);
    }
}

#endif
