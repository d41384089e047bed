// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_unpack.c - rows to strips, strips to panels; see strips.h and avx2_panel.h.
 */
#include <string.h>

#include "infer/kernels/avx2_strip.h"

/* ---- rows to strips ---- */

/* 8 words of 8 rows at v[r] to 8 registers, a word of all rows in each. */
TKX__INLINE void transpose(const __m256i v[8], uint8_t *out)
{
    __m256i a[8];
    __m256i b[8];

    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
        b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
        b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_si256((__m256i_u *)(void *)(out + 32 * i),
                            _mm256_permute2x128_si256(b[i], b[i + 4], 0x20));
        _mm256_storeu_si256((__m256i_u *)(void *)(out + 32 * i + 128),
                            _mm256_permute2x128_si256(b[i], b[i + 4], 0x31));
    }
}

/* 4 words of 8 rows. */
TKX__INLINE void transpose_half(const uint8_t *const rows[8], size_t at, uint8_t *out)
{
    __m256i v[4]; /* row r | row r + 4 */
    __m256i a[4];

    for (int r = 0; r < 4; r++)
        v[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(load128(rows[r] + at)),
                                       load128(rows[r + 4] + at), 1);
    a[0] = _mm256_unpacklo_epi32(v[0], v[1]);
    a[1] = _mm256_unpackhi_epi32(v[0], v[1]);
    a[2] = _mm256_unpacklo_epi32(v[2], v[3]);
    a[3] = _mm256_unpackhi_epi32(v[2], v[3]);
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_si256((__m256i_u *)(void *)(out + 64 * i),
                            _mm256_unpacklo_epi64(a[i], a[i + 2]));
        _mm256_storeu_si256((__m256i_u *)(void *)(out + 64 * i + 32),
                            _mm256_unpackhi_epi64(a[i], a[i + 2]));
    }
}

TKX__INLINE void copy_words(const uint8_t *const rows[8], size_t at, size_t n_words,
                            uint8_t *out)
{
    size_t i = 0;

    for (; i + 8 <= n_words; i += 8) {
        __m256i v[8];

        for (int r = 0; r < 8; r++)
            v[r] = load256(rows[r] + at + 4 * i);
        transpose(v, out + 32 * i);
    }
    if (i + 4 <= n_words) {
        transpose_half(rows, at + 4 * i, out + 32 * i);
        i += 4;
    }
    for (; i < n_words; i++)
        for (size_t r = 0; r < 8; r++)
            memcpy(out + 32 * i + 4 * r, rows[r] + at + 4 * i, 4);
}

/* Bits 4 s + j of 8 words to bit s of byte j. */
TKX__INLINE __m256i move_bits(__m256i v)
{
    __m256i out = _mm256_setzero_si256();

    TKX__UNROLL
    for (int j = 0; j < 4; j++) {
        __m256i x =
            _mm256_and_si256(_mm256_srli_epi32(v, j), _mm256_set1_epi32(0x11111111));

        x = _mm256_and_si256(_mm256_or_si256(x, _mm256_srli_epi32(x, 3)),
                             _mm256_set1_epi32(0x03030303));
        x = _mm256_and_si256(_mm256_or_si256(x, _mm256_srli_epi32(x, 6)),
                             _mm256_set1_epi32(0x000f000f));
        x = _mm256_and_si256(_mm256_or_si256(x, _mm256_srli_epi32(x, 12)),
                             _mm256_set1_epi32(0xff));
        out = _mm256_or_si256(out, _mm256_slli_epi32(x, 8 * j));
    }
    return out;
}

/* The words of Q5_0 and Q5_1, in place; see strips.h. */
static void join_five(uint8_t *words)
{
    const __m256i four = _mm256_set1_epi8(15);
    __m256i bits = move_bits(load256(words));
    __m256i rest = _mm256_setzero_si256();

    TKX__UNROLL
    for (int i = 0; i < 4; i++) {
        uint8_t *p = words + 32 * (i + 1);
        __m256i v = load256(p);
        __m256i low = _mm256_or_si256(_mm256_and_si256(v, four), strip_bit(bits, i));
        __m256i high = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(v, 4), four),
                                       strip_bit(bits, i + 4));

        v = _mm256_and_si256(high, _mm256_set1_epi8(28));
        v = _mm256_or_si256(low, _mm256_slli_epi16(v, 3));
        high = _mm256_and_si256(high, _mm256_set1_epi8(3));
        rest = _mm256_or_si256(rest, _mm256_slli_epi16(high, 2 * i));
        _mm256_storeu_si256((__m256i_u *)(void *)p, v);
    }
    _mm256_storeu_si256((__m256i_u *)(void *)words, rest);
}

/* Q6_K's words to whole numbers, in place; see strips.h. */
static void join_six(uint8_t *words)
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i top = _mm256_set1_epi8(48);

    for (size_t i = 0; i < 16; i++) {
        uint8_t *pa = words + (i / 8 * 16 + i % 8) * 32;
        uint8_t *pb = pa + 256;
        uint8_t *pc = words + (32 + i) * 32;
        __m256i a = load256(pa);
        __m256i b = load256(pb);
        __m256i c = load256(pc);
        __m256i n3 = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(b, 4), low),
                                     _mm256_and_si256(_mm256_srli_epi16(c, 2), top));
        __m256i n2 = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(a, 4), low),
                                     _mm256_and_si256(c, top));

        a = _mm256_or_si256(_mm256_and_si256(a, low),
                            _mm256_and_si256(_mm256_slli_epi16(c, 4), top));
        b = _mm256_or_si256(_mm256_and_si256(b, low),
                            _mm256_and_si256(_mm256_slli_epi16(c, 2), top));
        a = _mm256_or_si256(
            a, _mm256_slli_epi16(_mm256_and_si256(n3, _mm256_set1_epi8(3)), 6));
        b = _mm256_or_si256(
            b, _mm256_slli_epi16(_mm256_and_si256(n3, _mm256_set1_epi8(12)), 4));
        c = _mm256_or_si256(n2, _mm256_slli_epi16(_mm256_and_si256(n3, top), 2));
        _mm256_storeu_si256((__m256i_u *)(void *)pa, a);
        _mm256_storeu_si256((__m256i_u *)(void *)pb, b);
        _mm256_storeu_si256((__m256i_u *)(void *)pc, c);
    }
}

/*
 * While 8 rows are brought into order, what stands 16 rows on is fetched, a block of each
 * row with each block: a whole chunk at once is more than the CPU has buffers for.
 */
TKX__INLINE void pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                      size_t n_blocks, uint8_t *out)
{
    tkx__strip_shape s = tkx__strip_shape_of(type);
    size_t size = tkx__wtype_block_size(type);
    const uint8_t *in[TKX__STRIP_ROWS];
    ptrdiff_t ahead = 2 * TKX__STRIP_ROWS * (rows[1] - rows[0]);

    memcpy(in, rows, sizeof in);
    for (size_t b = 0; b < n_blocks; b++, out += size * TKX__STRIP_ROWS) {
        for (size_t i = 0, at = s.half_at; i < s.n_halves; i++, at += 2)
            for (size_t r = 0; r < TKX__STRIP_ROWS; r++)
                memcpy(out + at * TKX__STRIP_ROWS + 2 * r, in[r] + at, 2);
        copy_words(in, s.word_at, s.n_words, out + s.word_at * TKX__STRIP_ROWS);
        if (strip32_is_5bit(type))
            join_five(out + s.word_at * TKX__STRIP_ROWS);
        if (type == TKX__W_Q6_K)
            join_six(out);
        for (size_t r = 0; r < TKX__STRIP_ROWS; r++)
            for (size_t i = 0; i < size; i += 64)
                _mm_prefetch((const char *)in[r] + ahead + i, _MM_HINT_T0);
        for (size_t r = 0; r < TKX__STRIP_ROWS; r++)
            in[r] += size;
    }
}

/* With the type a constant, the loops of a block have no loops left. */
void tkx__avx2_pack(tkx__wtype type, const uint8_t *const rows[TKX__STRIP_ROWS],
                    size_t n_blocks, uint8_t *out)
{
    switch (type) {
    case TKX__W_Q4_0:
        pack(TKX__W_Q4_0, rows, n_blocks, out);
        break;
    case TKX__W_Q4_1:
        pack(TKX__W_Q4_1, rows, n_blocks, out);
        break;
    case TKX__W_Q5_0:
        pack(TKX__W_Q5_0, rows, n_blocks, out);
        break;
    case TKX__W_Q5_1:
        pack(TKX__W_Q5_1, rows, n_blocks, out);
        break;
    case TKX__W_Q8_0:
        pack(TKX__W_Q8_0, rows, n_blocks, out);
        break;
    case TKX__W_Q2_K:
        pack(TKX__W_Q2_K, rows, n_blocks, out);
        break;
    case TKX__W_Q3_K:
        pack(TKX__W_Q3_K, rows, n_blocks, out);
        break;
    case TKX__W_Q4_K:
        pack(TKX__W_Q4_K, rows, n_blocks, out);
        break;
    case TKX__W_Q5_K:
        pack(TKX__W_Q5_K, rows, n_blocks, out);
        break;
    case TKX__W_Q6_K:
        pack(TKX__W_Q6_K, rows, n_blocks, out);
        break;
    default:
        tkx__strip_pack(type, rows, n_blocks, out);
        break;
    }
}

/* ---- strips to panels ---- */

TKX__INLINE void store256(void *p, __m256i v)
{
    _mm256_store_si256((__m256i *)p, v);
}

TKX__INLINE void unpack32(tkx__wtype type, const uint8_t *const strip[2], size_t n_blocks,
                          panel32 *out)
{
    size_t size = tkx__wtype_block_size(type) * TKX__STRIP_ROWS;
    bool has_min = type == TKX__W_Q4_1 || type == TKX__W_Q5_1;

    for (size_t b = 0; b < n_blocks; b++, out++) {
        TKX__UNROLL
        for (int half = 0; half < 2; half++) {
            const uint8_t *p = strip[half] + b * size;

            TKX__UNROLL
            for (int i = 0; i < 4; i++) {
                __m256i low;
                __m256i high;

                strip32_steps(type, p, i, &low, &high);
                store256(out->q[i][half], low);
                store256(out->q[i + 4][half], high);
            }
            _mm256_store_ps(out->d[half], strip_halves(p));
            if (has_min)
                _mm256_store_ps(out->m[half], strip_halves(p + 16));
        }
    }
}

static void unpack_q8_0(const uint8_t *const strip[2], size_t n_blocks, void *panel)
{
    panel8 *out = panel;

    for (size_t b = 0; b < n_blocks; b++, out++) {
        TKX__UNROLL
        for (int half = 0; half < 2; half++) {
            const uint8_t *p = strip[half] + b * 34 * TKX__STRIP_ROWS;
            __m256i carry = _mm256_setzero_si256(); /* 8 * 2 * 128 at most */

            TKX__UNROLL
            for (int s = 0; s < 8; s++) {
                __m256i w = load256(p + 2 * TKX__STRIP_ROWS + 32 * s);
                __m256i size = _mm256_abs_epi8(w);
                __m256i sign = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w);

                store256(out->size[s][half], size);
                store256(out->sign[s][half], sign);
                carry = _mm256_sub_epi16(carry, _mm256_maddubs_epi16(size, sign));
            }
            store256(out->carry[half], _mm256_madd_epi16(carry, _mm256_set1_epi16(1)));
            _mm256_store_ps(out->d[half], strip_halves(p));
        }
    }
}

TKX__INLINE void unpack_steps_k(tkx__wtype type, const uint8_t *p, int half,
                                panel256 *out)
{
    for (size_t i = 0; i < 4; i++) {
        if (strip256_steps(type) == 8) {
            for (size_t s = 0; s < 8; s++) {
                store256(out->q[i * 16 + s][half], strip_step_k45(type, p, i, false, s));
                store256(out->q[i * 16 + 8 + s][half],
                         strip_step_k45(type, p, i, true, s));
            }
            continue;
        }
        TKX__UNROLL
        for (int quarter = 0; quarter < 4; quarter++)
            for (size_t s = 0; s < 4; s++)
                store256(out->q[i / 2 * 32 + (size_t)quarter * 8 + i % 2 * 4 + s][half],
                         strip_step_k16(type, p, i / 2, quarter, i % 2, s));
    }
}

TKX__INLINE void unpack256(tkx__wtype type, const uint8_t *const strip[2],
                           size_t n_blocks, panel256 *out)
{
    size_t size = tkx__wtype_block_size(type) * TKX__STRIP_ROWS;

    for (size_t b = 0; b < n_blocks; b++, out++) {
        for (int half = 0; half < 2; half++) {
            const uint8_t *p = strip[half] + b * size;
            strip_numbers n;

            unpack_steps_k(type, p, half, out);
            strip_numbers_of(type, p, &n);
            TKX__UNROLL
            for (int j = 0; j < 64 / strip256_steps(type); j++)
                store256(out->scale[j][half], strip_scale(type, &n, j));
            TKX__UNROLL
            for (int j = 0; j < 32 / strip256_steps(type); j++)
                store256(out->pair[j][half], strip_pair(type, &n, j));
            p += strip256_d_at(type);
            _mm256_store_ps(out->d[half], strip_halves(p));
            if (strip256_has_min(type))
                _mm256_store_ps(out->m[half], strip_halves(p + 16));
        }
    }
}

#define UNPACK(NAME, TYPE, HOW)                                                          \
    static void unpack_##NAME(const uint8_t *const strip[2], size_t n, void *out)        \
    {                                                                                    \
        HOW(TYPE, strip, n, out);                                                        \
    }

UNPACK(q4_0, TKX__W_Q4_0, unpack32)
UNPACK(q4_1, TKX__W_Q4_1, unpack32)
UNPACK(q5_0, TKX__W_Q5_0, unpack32)
UNPACK(q5_1, TKX__W_Q5_1, unpack32)
UNPACK(q2_k, TKX__W_Q2_K, unpack256)
UNPACK(q3_k, TKX__W_Q3_K, unpack256)
UNPACK(q4_k, TKX__W_Q4_K, unpack256)
UNPACK(q5_k, TKX__W_Q5_K, unpack256)
UNPACK(q6_k, TKX__W_Q6_K, unpack256)

tkx__unpack_fn *tkx__avx2_unpacker(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return unpack_q4_0;
    case TKX__W_Q4_1:
        return unpack_q4_1;
    case TKX__W_Q5_0:
        return unpack_q5_0;
    case TKX__W_Q5_1:
        return unpack_q5_1;
    case TKX__W_Q2_K:
        return unpack_q2_k;
    case TKX__W_Q3_K:
        return unpack_q3_k;
    case TKX__W_Q4_K:
        return unpack_q4_k;
    case TKX__W_Q5_K:
        return unpack_q5_k;
    case TKX__W_Q6_K:
        return unpack_q6_k;
    default:
        return unpack_q8_0;
    }
}
