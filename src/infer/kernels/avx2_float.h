/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2_float.h - plain weights as operands, shared by the float32 products.
 */
#ifndef TKX_INFER_KERNELS_AVX2_FLOAT_H
#define TKX_INFER_KERNELS_AVX2_FLOAT_H

#include "infer/kernels/avx2.h"

/* Most tokens of tkx__avx2_few_f(). */
#define TKX__FEW_TOKENS 2

/* Plain weights against 1 or 2 tokens, straight from the file. */
void tkx__avx2_few_f(const tkx__tile *t);

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

#endif
