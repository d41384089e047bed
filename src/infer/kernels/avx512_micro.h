/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx512_micro.h - the multiplications of the two AVX-512 sets.
 *
 * Included by one file per set, which says with TKX__HAS_VNNI whether there is an
 * instruction for four 8-bit products.  The panels are those of AVX2: 16 rows fill one
 * register.  Not verified on hardware.
 */
#ifndef TKX_INFER_KERNELS_AVX512_MICRO_H
#define TKX_INFER_KERNELS_AVX512_MICRO_H

#include "infer/kernels/avx2_strip.h"

#define TKX__WIDE_TOKENS TKX__PANEL_TOKENS

TKX__INLINE __m512i wide4(const void *p)
{
    return _mm512_set1_epi32(load_i32(p));
}

/* acc + sums of 4 products u8 * s8 in each lane.  One step at a time: any range. */
TKX__INLINE __m512i dot4(__m512i acc, __m512i w, __m512i x)
{
#if TKX__HAS_VNNI
    return _mm512_dpbusd_epi32(acc, w, x);
#else
    return _mm512_add_epi32(
        acc, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
#endif
}

/* 8 steps of one block of 32; `steps` of them fit 16 bits. */
TKX__INLINE void wide_dot32(const panel32 *p, const tkx__panel_group *g, size_t b,
                            size_t n_tok, int steps, __m512i dot[TKX__WIDE_TOKENS])
{
    for (size_t t = 0; t < n_tok; t++)
        dot[t] = _mm512_setzero_si512();
    for (int s0 = 0; s0 < 8; s0 += steps) {
        __m512i acc[TKX__WIDE_TOKENS];

        for (size_t t = 0; t < n_tok; t++)
            acc[t] = _mm512_setzero_si512();
        for (int s = s0; s < s0 + steps; s++) {
            __m512i w = _mm512_loadu_si512(p->q[s]);

            for (size_t t = 0; t < n_tok; t++) {
                __m512i x = wide4(g->q[t] + b * 32 + s * 4);

                if (TKX__HAS_VNNI)
                    acc[t] = dot4(acc[t], w, x);
                else
                    acc[t] = _mm512_add_epi16(acc[t], _mm512_maddubs_epi16(w, x));
            }
        }
        for (size_t t = 0; t < n_tok; t++)
            dot[t] = _mm512_add_epi32(
                dot[t],
                TKX__HAS_VNNI ? acc[t] : _mm512_madd_epi16(acc[t], _mm512_set1_epi16(1)));
    }
}

TKX__INLINE void wide_micro32(const panel32 *p, size_t first, size_t n_blocks,
                              const tkx__panel_group *g, size_t n_tok, int steps,
                              unsigned offset_bits, bool has_min)
{
    __m512 y[TKX__WIDE_TOKENS];

    for (size_t t = 0; t < n_tok; t++)
        y[t] = first ? _mm512_loadu_ps(g->out[t]) : _mm512_setzero_ps();
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m512i dot[TKX__WIDE_TOKENS];

        wide_dot32(p, g, b, n_tok, steps, dot);
        for (size_t t = 0; t < n_tok; t++) {
            __m512 d = _mm512_set1_ps(g->d[t][b]);
            __m512i sum = wide4(g->sum[t] + 4 * b);
            __m512i i = dot[t];

            if (offset_bits)
                i = _mm512_sub_epi32(i, _mm512_slli_epi32(sum, offset_bits));
            y[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_loadu_ps(p->d), d),
                                   _mm512_cvtepi32_ps(i), y[t]);
            if (has_min)
                y[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_loadu_ps(p->m), d),
                                       _mm512_cvtepi32_ps(sum), y[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++)
        _mm512_storeu_ps(g->out[t], y[t]);
}

TKX__INLINE void wide_micro8(const panel8 *p, size_t first, size_t n_blocks,
                             const tkx__panel_group *g, size_t n_tok, int steps)
{
    __m512 y[TKX__WIDE_TOKENS];

    for (size_t t = 0; t < n_tok; t++)
        y[t] = first ? _mm512_loadu_ps(g->out[t]) : _mm512_setzero_ps();
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m512i dot[TKX__WIDE_TOKENS];

        for (size_t t = 0; t < n_tok; t++)
            dot[t] = _mm512_loadu_si512(p->carry);
        for (int s = 0; s < steps; s++) {
            __m512i size = _mm512_loadu_si512(p->size[s]);
            __m512i sign = _mm512_loadu_si512(p->sign[s]);

            for (size_t t = 0; t < n_tok; t++)
                dot[t] =
                    dot4(dot[t], size,
                         _mm512_xor_si512(wide4(g->q[t] + b * 32 + (size_t)s * 4), sign));
        }
        for (size_t t = 0; t < n_tok; t++)
            y[t] = _mm512_fmadd_ps(
                _mm512_mul_ps(_mm512_loadu_ps(p->d), _mm512_set1_ps(g->d[t][b])),
                _mm512_cvtepi32_ps(dot[t]), y[t]);
    }
    for (size_t t = 0; t < n_tok; t++)
        _mm512_storeu_ps(g->out[t], y[t]);
}

/* Scaled sums of one super-block: sub-blocks of 4 * sub_steps columns. */
TKX__INLINE void wide_dot256(const panel256 *p, const tkx__panel_group *g, size_t b,
                             size_t n_tok, int sub_steps, int steps,
                             __m512i dot[TKX__WIDE_TOKENS])
{
    for (size_t t = 0; t < n_tok; t++)
        dot[t] = _mm512_setzero_si512();
    for (int s0 = 0; s0 < 64; s0 += steps) {
        __m512i scale = _mm512_loadu_si512(p->scale[s0 / sub_steps]);
        __m512i acc[TKX__WIDE_TOKENS];

        for (size_t t = 0; t < n_tok; t++)
            acc[t] = _mm512_setzero_si512();
        for (int s = s0; s < s0 + steps; s++) {
            __m512i w = _mm512_loadu_si512(p->q[s]);

            for (size_t t = 0; t < n_tok; t++)
                acc[t] = _mm512_add_epi16(
                    acc[t],
                    _mm512_maddubs_epi16(w, wide4(g->q[t] + b * 256 + (size_t)s * 4)));
        }
        for (size_t t = 0; t < n_tok; t++)
            dot[t] = _mm512_add_epi32(dot[t], _mm512_madd_epi16(acc[t], scale));
    }
}

TKX__INLINE void wide_micro256(const panel256 *p, size_t first, size_t n_blocks,
                               const tkx__panel_group *g, size_t n_tok, int sub_steps,
                               int steps, unsigned offset_bits, bool has_min)
{
    __m512 y[TKX__WIDE_TOKENS];

    for (size_t t = 0; t < n_tok; t++)
        y[t] = first ? _mm512_loadu_ps(g->out[t]) : _mm512_setzero_ps();
    for (size_t b = first; b < first + n_blocks; b++, p++) {
        __m512i dot[TKX__WIDE_TOKENS];

        wide_dot256(p, g, b, n_tok, sub_steps, steps, dot);
        for (size_t t = 0; t < n_tok; t++) {
            const uint8_t *sums =
                sub_steps == 8 ? g->sum32[t] + b * 16 : g->sum[t] + b * 32;
            __m512 d = _mm512_set1_ps(g->d[t][b]);
            __m512i pairs = _mm512_setzero_si512();
            __m512i i = dot[t];

            for (int j = 0; j < 32 / sub_steps; j++)
                pairs = _mm512_add_epi32(pairs,
                                         _mm512_madd_epi16(_mm512_loadu_si512(p->pair[j]),
                                                           wide4(sums + 4 * j)));
            if (offset_bits)
                i = _mm512_sub_epi32(i, _mm512_slli_epi32(pairs, offset_bits));
            y[t] = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_loadu_ps(p->d), d),
                                   _mm512_cvtepi32_ps(i), y[t]);
            if (has_min)
                y[t] = _mm512_fnmadd_ps(_mm512_mul_ps(_mm512_loadu_ps(p->m), d),
                                        _mm512_cvtepi32_ps(pairs), y[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++)
        _mm512_storeu_ps(g->out[t], y[t]);
}

/* All eight at once where there are eight, so that arrays become registers. */
#define TKX__WIDE(NAME, CALL, ...)                                                       \
    static void NAME(const void *panel, size_t first, size_t n,                          \
                     const tkx__panel_group *g, size_t n_tok)                            \
    {                                                                                    \
        if (n_tok == TKX__WIDE_TOKENS)                                                   \
            CALL(panel, first, n, g, TKX__WIDE_TOKENS, __VA_ARGS__);                     \
        else                                                                             \
            for (size_t t = 0; t < n_tok; t++)                                           \
                CALL(panel, first, n,                                                    \
                     &(tkx__panel_group){{g->q[t]},                                      \
                                         {g->d[t]},                                      \
                                         {g->sum[t]},                                    \
                                         {g->sum32[t]},                                  \
                                         {g->start[t]},                                  \
                                         {g->out[t]},                                    \
                                         false},                                         \
                     1, __VA_ARGS__);                                                    \
    }

TKX__WIDE(wide_q4_0, wide_micro32, 8, 3, false)
TKX__WIDE(wide_q4_1, wide_micro32, 8, 0, true)
TKX__WIDE(wide_q5_0, wide_micro32, 4, 4, false)
TKX__WIDE(wide_q5_1, wide_micro32, 4, 0, true)
TKX__WIDE(wide_q8_0, wide_micro8, 8)
TKX__WIDE(wide_q2_k, wide_micro256, 4, 4, 0, true)
TKX__WIDE(wide_q3_k, wide_micro256, 4, 4, 2, false)
TKX__WIDE(wide_q4_k, wide_micro256, 8, 8, 0, true)
TKX__WIDE(wide_q5_k, wide_micro256, 8, 4, 0, true)
TKX__WIDE(wide_q6_k, wide_micro256, 4, 2, 5, false)

static tkx__micro_fn *find_wide(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return wide_q4_0;
    case TKX__W_Q4_1:
        return wide_q4_1;
    case TKX__W_Q5_0:
        return wide_q5_0;
    case TKX__W_Q5_1:
        return wide_q5_1;
    case TKX__W_Q2_K:
        return wide_q2_k;
    case TKX__W_Q3_K:
        return wide_q3_k;
    case TKX__W_Q4_K:
        return wide_q4_k;
    case TKX__W_Q5_K:
        return wide_q5_k;
    case TKX__W_Q6_K:
        return wide_q6_k;
    default:
        return wide_q8_0;
    }
}

static void wide_tile_q(const tkx__tile *t)
{
    size_t few = tkx__wtype_block_cols(t->type) == 32 ? 2 : 3;

    if (t->n_tok <= few && tkx__avx2_direct_q(t))
        return;
    tkx__panel_tile(t, find_wide(t->type), TKX__WIDE_TOKENS);
}

/* Rows of the table that both sets fill alike. */
#define TKX__WIDE_TABLE                                                                  \
    .quantize = tkx__avx2_quantize, .tile_q = wide_tile_q, .tile_f = tkx__avx2_tile_f,   \
    .decode = tkx__avx2_decode, .f16_unpack = tkx__avx2_f16_unpack,                      \
    .f16_pack = tkx__avx2_f16_pack, .attn_block = tkx__avx2_attn_block,                  \
    .rmsnorm = tkx__avx2_rmsnorm, .swiglu = tkx__avx2_swiglu, .axpy = tkx__avx2_axpy,    \
    .max = tkx__avx2_max, .sum_exp = tkx__avx2_sum_exp

#endif
