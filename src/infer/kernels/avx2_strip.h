/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2_strip.h - how a strip's bytes become the operands of AVX2.
 *
 * A step is 4 columns of 8 rows in one register; it meets one broadcast of 4 activations.
 */
#ifndef TKX_INFER_KERNELS_AVX2_STRIP_H
#define TKX_INFER_KERNELS_AVX2_STRIP_H

#include "infer/kernels/avx2_panel.h"
#include "infer/kernels/strips.h"

/* Most tokens of one call. */
#define TKX__STRIP_TOKENS 4

/*
 * Blocks first .. first + n_blocks - 1 of two strips (which begin with the first; the
 * second's sums beside the first's) times n_tok (1 .. TKX__STRIP_TOKENS) tokens, added to
 * their out [16]; to nothing when first is 0.
 */
typedef void tkx__strip_fn(const uint8_t *const strip[2], size_t first, size_t n_blocks,
                           const tkx__panel_group *g, size_t n_tok);

tkx__strip_fn *tkx__avx2_strip32(tkx__wtype type);  /* blocks of 32 */
tkx__strip_fn *tkx__avx2_strip256(tkx__wtype type); /* K-quants */

/* Strips in the file's order to strips, 8 rows; the same bytes as tkx__strip_pack(). */
void tkx__avx2_pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                    size_t n_blocks, uint8_t *out);

/* Bytes that 16 rows of a chunk of columns take as strips: at most 1024 columns. */
#define TKX__STRIP_ROOM ((size_t)16 * 1024 * 34 / 32)

/* Two strips to a panel32, panel8 (Q8_0) or panel256 for each block; out 32-aligned. */
typedef void tkx__unpack_fn(const uint8_t *const strip[2], size_t n_blocks, void *out);
tkx__unpack_fn *tkx__avx2_unpacker(tkx__wtype type);

/*
 * One block of each strip at the same place of the next pair of strips.  The CPU's own
 * prefetching stops at every page, and a strip of a narrow matrix is hardly longer.
 */
TKX__INLINE void strip_prefetch(const uint8_t *const p[2], size_t block_bytes,
                                size_t n_blocks)
{
    TKX__UNROLL
    for (size_t at = 0; at < block_bytes; at += 64) {
        _mm_prefetch((const char *)p[0] + 2 * block_bytes * n_blocks + at, _MM_HINT_T0);
        _mm_prefetch((const char *)p[1] + 2 * block_bytes * n_blocks + at, _MM_HINT_T0);
    }
}

/* The half-precision numbers of 8 rows. */
TKX__INLINE __m256 strip_halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(load128(p));
}

TKX__INLINE __m256i broadcast4(const void *p)
{
    return _mm256_set1_epi32(load_i32(p));
}

/* ---- blocks of 32: {d, [m], [high bits], nibbles} ---- */

TKX__INLINE size_t strip32_bits_at(tkx__wtype type)
{
    return type == TKX__W_Q5_1 ? 4 * TKX__STRIP_ROWS : 2 * TKX__STRIP_ROWS;
}

TKX__INLINE size_t strip32_nibbles_at(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return 2 * TKX__STRIP_ROWS;
    case TKX__W_Q4_1:
        return 4 * TKX__STRIP_ROWS;
    case TKX__W_Q5_0:
        return 6 * TKX__STRIP_ROWS;
    default /* Q5_1 */:
        return 8 * TKX__STRIP_ROWS;
    }
}

/* Bytes of a strip's block. */
TKX__INLINE size_t strip32_size(tkx__wtype type)
{
    return type == TKX__W_Q8_0 ? 34 * TKX__STRIP_ROWS
                               : strip32_nibbles_at(type) + 16 * TKX__STRIP_ROWS;
}

TKX__INLINE bool strip32_is_5bit(tkx__wtype type)
{
    return type == TKX__W_Q5_0 || type == TKX__W_Q5_1;
}

/* The sum of the weights as they are, from that of a block's bytes; Q5_0 and Q5_1 began
   with 16 times the activations' `sum` taken away (table.h, start). */
TKX__INLINE __m256i strip32_offset(bool is_5bit, bool has_min, __m256i dot, __m256i sum)
{
    if (is_5bit)
        return has_min ? _mm256_add_epi32(dot, _mm256_slli_epi32(sum, 4)) : dot;
    return has_min ? dot : _mm256_sub_epi32(dot, _mm256_slli_epi32(sum, 3));
}

/* Steps i (columns 4 i ..) and i + 4 (columns 16 + 4 i ..) of the block at p. */
TKX__INLINE void strip32_steps(tkx__wtype type, const uint8_t *p, int i, __m256i *low,
                               __m256i *high)
{
    __m256i v = load256(p + strip32_nibbles_at(type) + 32 * i);

    if (strip32_is_5bit(type)) {
        __m256i rest = load256(p + strip32_bits_at(type));

        *low = _mm256_and_si256(v, _mm256_set1_epi8(31));
        *high = _mm256_or_si256(
            _mm256_and_si256(_mm256_srli_epi16(v, 3), _mm256_set1_epi8(28)),
            _mm256_and_si256(_mm256_srli_epi16(rest, 2 * i), _mm256_set1_epi8(3)));
    } else {
        *low = _mm256_and_si256(v, _mm256_set1_epi8(15));
        *high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(15));
    }
}

/* 16 where bit `step` of a byte is set. */
TKX__INLINE __m256i strip_bit(__m256i bits, int step)
{
    __m256i v =
        step <= 4 ? _mm256_slli_epi16(bits, 4 - step) : _mm256_srli_epi16(bits, step - 4);

    return _mm256_and_si256(v, _mm256_set1_epi8(16));
}

/* ---- blocks of 256 ---- */

/* Sub-blocks of 32 columns (8 steps) or of 16 (4 steps). */
TKX__INLINE int strip256_steps(tkx__wtype type)
{
    return type == TKX__W_Q4_K || type == TKX__W_Q5_K ? 8 : 4;
}

TKX__INLINE size_t strip256_d_at(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q2_K:
        return 80 * TKX__STRIP_ROWS;
    case TKX__W_Q3_K:
        return 108 * TKX__STRIP_ROWS;
    case TKX__W_Q6_K:
        return 208 * TKX__STRIP_ROWS;
    default:
        return 0;
    }
}

TKX__INLINE bool strip256_has_min(tkx__wtype type)
{
    return type == TKX__W_Q2_K || type == TKX__W_Q4_K || type == TKX__W_Q5_K;
}

/* Bytes of 4 neighbouring sub-blocks of each row: scales (signed or not) and mins. */
typedef struct strip_numbers {
    __m256i scale[4]; /* 2 or 4 used */
    __m256i min[4];
} strip_numbers;

/* The 6-bit scales and mins of Q4_K and Q5_K. */
TKX__INLINE void strip_numbers_k4(const uint8_t *p, strip_numbers *out)
{
    const __m256i six = _mm256_set1_epi8(0x3f);
    const __m256i four = _mm256_set1_epi8(0x0f);
    const __m256i top = _mm256_set1_epi8(0x30);
    __m256i a = load256(p);
    __m256i b = load256(p + 32);
    __m256i c = load256(p + 64);

    out->scale[0] = _mm256_and_si256(a, six);
    out->min[0] = _mm256_and_si256(b, six);
    out->scale[1] = _mm256_or_si256(_mm256_and_si256(c, four),
                                    _mm256_and_si256(_mm256_srli_epi16(a, 2), top));
    out->min[1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(c, 4), four),
                                  _mm256_and_si256(_mm256_srli_epi16(b, 2), top));
}

TKX__INLINE void strip_numbers_q3(const uint8_t *p, strip_numbers *out)
{
    const __m256i four = _mm256_set1_epi8(0x0f);
    const __m256i top = _mm256_set1_epi8(0x30);
    const __m256i offset = _mm256_set1_epi8(32);
    __m256i a = load256(p);
    __m256i b = load256(p + 32);
    __m256i c = load256(p + 64);
    __m256i low[4];

    low[0] = _mm256_and_si256(a, four);
    low[1] = _mm256_and_si256(b, four);
    low[2] = _mm256_and_si256(_mm256_srli_epi16(a, 4), four);
    low[3] = _mm256_and_si256(_mm256_srli_epi16(b, 4), four);
    out->scale[0] =
        _mm256_or_si256(low[0], _mm256_and_si256(_mm256_slli_epi16(c, 4), top));
    out->scale[1] =
        _mm256_or_si256(low[1], _mm256_and_si256(_mm256_slli_epi16(c, 2), top));
    out->scale[2] = _mm256_or_si256(low[2], _mm256_and_si256(c, top));
    out->scale[3] =
        _mm256_or_si256(low[3], _mm256_and_si256(_mm256_srli_epi16(c, 2), top));
    for (int i = 0; i < 4; i++) {
        out->scale[i] = _mm256_sub_epi8(out->scale[i], offset);
        out->min[i] = out->scale[i];
    }
}

TKX__INLINE void strip_numbers_of(tkx__wtype type, const uint8_t *p, strip_numbers *out)
{
    const __m256i four = _mm256_set1_epi8(0x0f);

    if (type == TKX__W_Q4_K || type == TKX__W_Q5_K) {
        strip_numbers_k4(p + 4 * TKX__STRIP_ROWS, out);
    } else if (type == TKX__W_Q3_K) {
        strip_numbers_q3(p + 96 * TKX__STRIP_ROWS, out);
    } else {
        for (int i = 0; i < 4; i++) {
            __m256i v =
                load256(p + (type == TKX__W_Q6_K ? 192 * TKX__STRIP_ROWS : 0) + 32 * i);

            out->scale[i] = type == TKX__W_Q6_K ? v : _mm256_and_si256(v, four);
            out->min[i] =
                type == TKX__W_Q6_K ? v : _mm256_and_si256(_mm256_srli_epi16(v, 4), four);
        }
    }
}

/* Bytes `a` and `b` of each 4 as two 16-bit numbers. */
TKX__INLINE __m256i strip_two(__m256i v, int a, int b, bool is_signed)
{
    if (is_signed)
        return _mm256_srai_epi16(
            _mm256_shuffle_epi8(
                v, _mm256_add_epi32(_mm256_set1_epi32(0x00800080 | a << 8 | b << 24),
                                    _mm256_setr_epi32(0, 0x04000400, 0x08000800,
                                                      0x0c000c00, 0, 0x04000400,
                                                      0x08000800, 0x0c000c00))),
            8);
    return _mm256_shuffle_epi8(
        v, _mm256_add_epi32(_mm256_set1_epi32((int)0x80008000 | a | b << 16),
                            _mm256_setr_epi32(0, 0x00040004, 0x00080008, 0x000c000c, 0,
                                              0x00040004, 0x00080008, 0x000c000c)));
}

TKX__INLINE bool strip256_is_signed(tkx__wtype type)
{
    return type == TKX__W_Q3_K || type == TKX__W_Q6_K;
}

/* Scale of sub-block j, twice for each row. */
TKX__INLINE __m256i strip_scale(tkx__wtype type, const strip_numbers *n, int j)
{
    return strip_two(n->scale[j / 4], j % 4, j % 4, strip256_is_signed(type));
}

/* (min of 2 j, of 2 j + 1) of each row; without mins the scales, for the offset. */
TKX__INLINE __m256i strip_pair(tkx__wtype type, const strip_numbers *n, int j)
{
    return strip_two(n->min[j / 2], j % 2 * 2, j % 2 * 2 + 1, strip256_is_signed(type));
}

/* Step s of sub-block 2 c + is_odd of Q4_K and Q5_K. */
TKX__INLINE __m256i strip_step_k45(tkx__wtype type, const uint8_t *p, size_t c,
                                   bool is_odd, size_t s)
{
    const __m256i fifteen = _mm256_set1_epi8(15);
    size_t at = type == TKX__W_Q5_K ? 48 * TKX__STRIP_ROWS : 16 * TKX__STRIP_ROWS;
    __m256i v = load256(p + at + c * 256 + s * 32);

    v = _mm256_and_si256(is_odd ? _mm256_srli_epi16(v, 4) : v, fifteen);
    if (type == TKX__W_Q5_K) {
        __m256i bits = _mm256_srl_epi16(load256(p + 16 * TKX__STRIP_ROWS + s * 32),
                                        _mm_cvtsi32_si128((int)(2 * c)));

        v = _mm256_or_si256(v, strip_bit(bits, is_odd ? 1 : 0));
    }
    return v;
}

/* Step s of sub-block 8 h + 2 quarter + odd of the others. */
TKX__INLINE __m256i strip_step_k16(tkx__wtype type, const uint8_t *p, size_t h,
                                   int quarter, size_t odd, size_t s)
{
    size_t i = odd * 4 + s; /* of 8: 4 columns out of 32 */

    if (type == TKX__W_Q6_K) {
        const uint8_t *words = p + h * 512 + i * 32;
        const uint8_t *third = p + 128 * TKX__STRIP_ROWS + h * 256 + i * 32;
        __m256i v;

        if (quarter < 3)
            return _mm256_and_si256(
                load256(quarter == 2 ? third : words + (size_t)quarter * 256),
                _mm256_set1_epi8(63));
        v = _mm256_and_si256(_mm256_srli_epi16(load256(words), 6), _mm256_set1_epi8(3));
        v = _mm256_or_si256(v,
                            _mm256_and_si256(_mm256_srli_epi16(load256(words + 256), 4),
                                             _mm256_set1_epi8(12)));
        return _mm256_or_si256(v, _mm256_and_si256(_mm256_srli_epi16(load256(third), 2),
                                                   _mm256_set1_epi8(48)));
    }
    {
        size_t at = type == TKX__W_Q3_K ? 32 * TKX__STRIP_ROWS : 16 * TKX__STRIP_ROWS;
        __m256i v = load256(p + at + h * 256 + i * 32);

        v = _mm256_and_si256(_mm256_srli_epi16(v, 2 * quarter), _mm256_set1_epi8(3));
        if (type == TKX__W_Q3_K) {
            __m256i bits =
                _mm256_srl_epi16(load256(p + i * 32), _mm_cvtsi32_si128((int)(4 * h)));

            bits = quarter < 2 ? _mm256_slli_epi16(bits, 2 - quarter)
                               : _mm256_srli_epi16(bits, quarter - 2);
            v = _mm256_or_si256(v, _mm256_and_si256(bits, _mm256_set1_epi8(4)));
        }
        return v;
    }
}

#endif
