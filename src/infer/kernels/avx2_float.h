/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2_float.h - what the float32 products share: rows of plain
 * weights times a few tokens in registers.
 */
#ifndef TKX_INFER_KERNELS_AVX2_FLOAT_H
#define TKX_INFER_KERNELS_AVX2_FLOAT_H

#include "infer/kernels/avx2.h"

/* Tokens that meet the same 3 rows; fewer than 3 meet more rows. */
#define TKX__GROUP 4
#define TKX__TRIO 3

/* Plain weights against 1 to TKX__GROUP tokens. */
void tkx__avx2_few_f(const tkx__tile *t);

static inline size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* ---- operands ---- */

/* Columns c .. c + 7 of a row of F32, F16 or BF16. */
TKX__INLINE __m256 load_plain(tkx__wtype type, const uint8_t *row, size_t c)
{
    if (type == TKX__W_F32)
        return _mm256_loadu_ps((const float *)(const void *)(row + 4 * c));
    return type == TKX__W_F16 ? load_f16(row + 2 * c) : load_bf16(row + 2 * c);
}

/* Columns c .. c + n - 1, n < 8; zeros beyond. */
TKX__INLINE __m256 load_tail(tkx__wtype type, const uint8_t *row, size_t c, size_t n)
{
    uint16_t half[8] = {0};

    if (type == TKX__W_F32)
        return _mm256_maskload_ps((const float *)(const void *)(row + 4 * c), mask8(n));
    __builtin_memcpy(half, row + 2 * c, 2 * n);
    return type == TKX__W_F16 ? load_f16(half) : load_bf16(half);
}

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
TKX__INLINE void put_trio(__m256 y[TKX__GROUP][8], float *out, size_t stride)
{
    __m256 even[TKX__TRIO]; /* tokens 0 | 2 */
    __m256 odd[TKX__TRIO];  /* tokens 1 | 3 */
    __m256 a;
    __m256 b;
    __m128 low;
    __m128 high;

    TKX__UNROLL
    for (int i = 0; i < TKX__TRIO; i++) {
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
TKX__INLINE void put_few(int n_rows, int n_tok, __m256 y[TKX__GROUP][8], float *out,
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

/* The same, in the order of the source. */
TKX__INLINE void add_in_order(__m256 *acc, __m256 a, __m256 b)
{
    __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(*acc) : "x"(a), "x"(b));
}

/* After the products of 8 columns: the next are not loaded before, for which there is no
   register. */
#define TKX__DONE __asm__ volatile("" ::: "memory")

/* 8 columns of 3 rows and 3 or 4 tokens. */
TKX__INLINE void step_trio(tkx__wtype type, int n_tok, const uint8_t *const *w,
                           const float *const *x, size_t c, __m256 y[TKX__GROUP][8])
{
    __m256 w0 = load_plain(type, w[0], c);
    __m256 w1 = load_plain(type, w[1], c);
    __m256 w2 = load_plain(type, w[2], c);

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256 v = _mm256_loadu_ps(x[t] + c);

        add_in_order(&y[t][0], w0, v);
        add_in_order(&y[t][1], w1, v);
        add_in_order(&y[t][2], w2, v);
    }
    TKX__DONE;
}

/* 8 columns of several rows and 1 or 2 tokens. */
TKX__INLINE void step_rows(tkx__wtype type, int n_rows, int n_tok,
                           const uint8_t *const *w, const float *const *x, size_t c,
                           __m256 y[TKX__GROUP][8])
{
    __m256 v0 = _mm256_loadu_ps(x[0] + c);
    __m256 v1 = _mm256_loadu_ps(x[n_tok - 1] + c);

    TKX__UNROLL
    for (int r = 0; r < n_rows; r++) {
        __m256 u = load_plain(type, w[r], c);

        add_in_order(&y[0][r], u, v0);
        if (n_tok > 1)
            add_in_order(&y[1][r], u, v1);
    }
    TKX__DONE;
}

/* Either. */
TKX__INLINE void step(tkx__wtype type, int n_rows, int n_tok, const uint8_t *const *w,
                      const float *const *x, size_t c, __m256 y[TKX__GROUP][8])
{
    if (n_tok > 2)
        step_trio(type, n_tok, w, x, c, y);
    else
        step_rows(type, n_rows, n_tok, w, x, c, y);
}

#endif
