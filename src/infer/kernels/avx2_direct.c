// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_direct.c - quantised weights against few tokens, read in the file's order.
 *
 * 8 rows are read side by side (8 streams: one stream alone gets two thirds of the memory
 * bandwidth) and their integer sums brought into the 8 lanes of one register, so that the
 * rest is as in the panel kernels, to the bit.
 */
#include "infer/kernels/avx2.h"

#define ROWS 8

/* What one call works on: 8 rows and one token. */
typedef struct strip {
    const uint8_t *row[ROWS];
    const int8_t *q;
    const float *d;
    const uint8_t *sum;   /* int32 per 32, or int16 per 16 */
    const uint8_t *sum32; /* int16 per 32 */
    size_t n_blocks;
} strip;

TKX__INLINE __m256i pair128(const void *low, const void *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(low)), load128(high),
                                   1);
}

/* The half-precision numbers at `offset` of block b of each row. */
TKX__INLINE __m256 halves(const strip *s, size_t at)
{
    __m128i v = _mm_cvtsi32_si128(load_i16(s->row[0] + at));

    v = _mm_insert_epi16(v, load_i16(s->row[1] + at), 1);
    v = _mm_insert_epi16(v, load_i16(s->row[2] + at), 2);
    v = _mm_insert_epi16(v, load_i16(s->row[3] + at), 3);
    v = _mm_insert_epi16(v, load_i16(s->row[4] + at), 4);
    v = _mm_insert_epi16(v, load_i16(s->row[5] + at), 5);
    v = _mm_insert_epi16(v, load_i16(s->row[6] + at), 6);
    v = _mm_insert_epi16(v, load_i16(s->row[7] + at), 7);
    return _mm256_cvtph_ps(v);
}

/* Sums of 8 registers of 8 int32; lane r is the sum of v[r]. */
TKX__INLINE __m256i sum_lanes(const __m256i v[8])
{
    __m256i low =
        _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    __m256i high =
        _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));

    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
}

/* ---- blocks of 32 ---- */

/* p[i]: 16-bit sums, rows i | i + 4.  Range: 2 * 2 * 15 * 127 doubled once. */
TKX__INLINE __m256i sum_rows_4bit(const __m256i p[4])
{
    __m256i h =
        _mm256_hadd_epi16(_mm256_hadd_epi16(p[0], p[1]), _mm256_hadd_epi16(p[2], p[3]));

    return _mm256_madd_epi16(h, _mm256_set1_epi16(1));
}

/* The same for 5 bits, which would not survive the second addition in 16 bits. */
TKX__INLINE __m256i sum_rows_5bit(const __m256i p[4])
{
    const __m256i ones = _mm256_set1_epi16(1);

    return _mm256_hadd_epi32(_mm256_madd_epi16(_mm256_hadd_epi16(p[0], p[1]), ones),
                             _mm256_madd_epi16(_mm256_hadd_epi16(p[2], p[3]), ones));
}

/* 0x10 where a bit of `bits` is set: rows r | r + 4, columns first .. first + 15. */
TKX__INLINE __m256i high_half(__m256i bits, int first)
{
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    const __m256i which =
        first == 0 ? _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101)
                   : _mm256_setr_epi64x(0x0202020202020202, 0x0303030303030303,
                                        0x0202020202020202, 0x0303030303030303);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(bits, which), bit);

    return _mm256_and_si256(_mm256_cmpeq_epi8(v, bit), _mm256_set1_epi8(16));
}

TKX__INLINE __m256i dot_nibbles(const strip *s, size_t at, size_t b, bool is_5bit,
                                size_t bits_at)
{
    const __m256i fifteen = _mm256_set1_epi8(15);
    __m256i x = load256(s->q + b * 32);
    __m256i x0 = _mm256_permute2x128_si256(x, x, 0x00);
    __m256i x1 = _mm256_permute2x128_si256(x, x, 0x11);
    __m256i p[4];

    TKX__UNROLL
    for (int r = 0; r < 4; r++) {
        __m256i v = pair128(s->row[r] + at, s->row[r + 4] + at);
        __m256i lo = _mm256_and_si256(v, fifteen);
        __m256i hi = _mm256_and_si256(_mm256_srli_epi16(v, 4), fifteen);

        if (is_5bit) {
            __m256i bits = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_set1_epi32(load_i32(s->row[r] + bits_at))),
                _mm_set1_epi32(load_i32(s->row[r + 4] + bits_at)), 1);

            lo = _mm256_or_si256(lo, high_half(bits, 0));
            hi = _mm256_or_si256(hi, high_half(bits, 16));
        }
        p[r] =
            _mm256_add_epi16(_mm256_maddubs_epi16(lo, x0), _mm256_maddubs_epi16(hi, x1));
    }
    return is_5bit ? sum_rows_5bit(p) : sum_rows_4bit(p);
}

TKX__INLINE __m256 rows_nibbles(const strip *s, size_t size, int offset_bits,
                                bool has_min, bool is_5bit)
{
    size_t qs = size - 16;
    __m256 y = _mm256_setzero_ps();

    for (size_t b = 0, at = 0; b < s->n_blocks; b++, at += size) {
        __m256i dot = dot_nibbles(s, at + qs, b, is_5bit, at + qs - 4);
        __m256i sum = _mm256_set1_epi32(load_i32(s->sum + 4 * b));
        __m256 d = _mm256_broadcast_ss(s->d + b);

        if (offset_bits)
            dot = _mm256_sub_epi32(dot, _mm256_slli_epi32(sum, offset_bits));
        y = _mm256_fmadd_ps(_mm256_mul_ps(halves(s, at), d), _mm256_cvtepi32_ps(dot), y);
        if (has_min)
            y = _mm256_fmadd_ps(_mm256_mul_ps(halves(s, at + 2), d),
                                _mm256_cvtepi32_ps(sum), y);
    }
    return y;
}

static __m256 rows_q4_0(const strip *s)
{
    return rows_nibbles(s, 18, 3, false, false);
}

static __m256 rows_q4_1(const strip *s)
{
    return rows_nibbles(s, 20, 0, true, false);
}

static __m256 rows_q5_0(const strip *s)
{
    return rows_nibbles(s, 22, 4, false, true);
}

static __m256 rows_q5_1(const strip *s)
{
    return rows_nibbles(s, 24, 0, true, true);
}

static __m256 rows_q8_0(const strip *s)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256 y = _mm256_setzero_ps();

    for (size_t b = 0, at = 0; b < s->n_blocks; b++, at += 34) {
        __m256i x = load256(s->q + b * 32);
        __m256i p[8];

        TKX__UNROLL
        for (int r = 0; r < ROWS; r++) {
            __m256i w = load256(s->row[r] + at + 2);

            p[r] = _mm256_madd_epi16(
                _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)), ones);
        }
        y = _mm256_fmadd_ps(_mm256_mul_ps(halves(s, at), _mm256_broadcast_ss(s->d + b)),
                            _mm256_cvtepi32_ps(sum_lanes(p)), y);
    }
    return y;
}

/* ---- K-quants ---- */

/* Word j of each half in all 8 words of that half. */
TKX__INLINE __m256i word(__m256i v, int j)
{
    return _mm256_shuffle_epi8(v, _mm256_set1_epi16((short)(0x0100 + 0x0202 * j)));
}

/* The 6-bit numbers of Q4_K and Q5_K: 8 scales in the low half, 8 mins in the high. */
TKX__INLINE __m128i scales_k4(const uint8_t *p)
{
    uint32_t a;
    uint32_t b;
    uint32_t c;

    __builtin_memcpy(&a, p, 4);
    __builtin_memcpy(&b, p + 4, 4);
    __builtin_memcpy(&c, p + 8, 4);
    return _mm_set_epi32(
        (int)((c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030)), (int)(b & 0x3f3f3f3f),
        (int)((c & 0x0f0f0f0f) | (a >> 2 & 0x30303030)), (int)(a & 0x3f3f3f3f));
}

/* One super-block of one row: scaled sums in *dot, mins times sums in *mins (4 lanes). */
TKX__INLINE void row_k4(const uint8_t *w, const int8_t *q, __m128i sum32, bool is_5bit,
                        __m256i *dot, __m128i *mins)
{
    const __m256i fifteen = _mm256_set1_epi8(15);
    const __m256i sixteen = _mm256_set1_epi8(16);
    __m128i numbers = scales_k4(w + 4);
    __m256i scale = _mm256_broadcastsi128_si256(_mm_cvtepu8_epi16(numbers));
    const uint8_t *qs = w + (is_5bit ? 48 : 16);
    __m256i high = is_5bit ? load256(w + 16) : fifteen;
    __m256i acc = _mm256_setzero_si256();

    TKX__UNROLL
    for (int c = 0; c < 4; c++) {
        __m256i v = load256(qs + 32 * c);
        __m256i lo = _mm256_and_si256(v, fifteen);
        __m256i hi = _mm256_and_si256(_mm256_srli_epi16(v, 4), fifteen);

        if (is_5bit) {
            __m256i l = _mm256_slli_epi16(high, 4);
            __m256i h = _mm256_slli_epi16(high, 3);

            lo = _mm256_or_si256(lo, _mm256_and_si256(l, sixteen));
            hi = _mm256_or_si256(hi, _mm256_and_si256(h, sixteen));
            high = _mm256_srli_epi16(high, 2);
        }
        lo = _mm256_maddubs_epi16(lo, load256(q + 64 * c));
        hi = _mm256_maddubs_epi16(hi, load256(q + 64 * c + 32));
        acc = _mm256_add_epi32(acc, _mm256_madd_epi16(lo, word(scale, 2 * c)));
        acc = _mm256_add_epi32(acc, _mm256_madd_epi16(hi, word(scale, 2 * c + 1)));
    }
    *dot = acc;
    *mins = _mm_madd_epi16(_mm_cvtepu8_epi16(_mm_srli_si128(numbers, 8)), sum32);
}

TKX__INLINE __m256i sum_lanes4(const __m128i v[8])
{
    __m128i low = _mm_hadd_epi32(_mm_hadd_epi32(v[0], v[1]), _mm_hadd_epi32(v[2], v[3]));
    __m128i high = _mm_hadd_epi32(_mm_hadd_epi32(v[4], v[5]), _mm_hadd_epi32(v[6], v[7]));

    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

TKX__INLINE __m256 rows_k45(const strip *s, size_t size, bool is_5bit)
{
    __m256 y = _mm256_setzero_ps();

    for (size_t b = 0, at = 0; b < s->n_blocks; b++, at += size) {
        __m128i sum32 = load128(s->sum32 + 16 * b);
        __m256 d = _mm256_broadcast_ss(s->d + b);
        __m256i dot[8];
        __m128i mins[8];

        TKX__UNROLL
        for (int r = 0; r < ROWS; r++)
            row_k4(s->row[r] + at, s->q + 256 * b, sum32, is_5bit, &dot[r], &mins[r]);
        y = _mm256_fmadd_ps(_mm256_mul_ps(halves(s, at), d),
                            _mm256_cvtepi32_ps(sum_lanes(dot)), y);
        y = _mm256_fnmadd_ps(_mm256_mul_ps(halves(s, at + 2), d),
                             _mm256_cvtepi32_ps(sum_lanes4(mins)), y);
    }
    return y;
}

static __m256 rows_q4_k(const strip *s)
{
    return rows_k45(s, 144, false);
}

static __m256 rows_q5_k(const strip *s)
{
    return rows_k45(s, 176, true);
}

/* One super-block of one row of Q6_K: 16 scales, the even in the low half. */
TKX__INLINE __m256i row_k6(const uint8_t *w, const int8_t *q, __m256i sum16)
{
    const __m256i fifteen = _mm256_set1_epi8(15);
    const __m256i mask = _mm256_set1_epi8(48);
    const __m128i even_odd =
        _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    __m128i raw = load128(w + 192);
    __m256i scale = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(raw, even_odd));
    __m256i acc = _mm256_setzero_si256();

    TKX__UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i l0 = load256(w + 64 * h);
        __m256i l1 = load256(w + 64 * h + 32);
        __m256i hi = load256(w + 128 + 32 * h);
        __m256i v[4];

        v[0] = _mm256_or_si256(_mm256_and_si256(l0, fifteen),
                               _mm256_and_si256(_mm256_slli_epi16(hi, 4), mask));
        v[1] = _mm256_or_si256(_mm256_and_si256(l1, fifteen),
                               _mm256_and_si256(_mm256_slli_epi16(hi, 2), mask));
        v[2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l0, 4), fifteen),
                               _mm256_and_si256(hi, mask));
        v[3] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(l1, 4), fifteen),
                               _mm256_and_si256(_mm256_srli_epi16(hi, 2), mask));
        TKX__UNROLL
        for (int i = 0; i < 4; i++) {
            __m256i p = _mm256_maddubs_epi16(v[i], load256(q + 128 * h + 32 * i));

            acc = _mm256_add_epi32(acc, _mm256_madd_epi16(p, word(scale, 4 * h + i)));
        }
    }
    return _mm256_sub_epi32(
        acc, _mm256_slli_epi32(_mm256_madd_epi16(_mm256_cvtepi8_epi16(raw), sum16), 5));
}

static __m256 rows_q6_k(const strip *s)
{
    __m256 y = _mm256_setzero_ps();

    for (size_t b = 0, at = 0; b < s->n_blocks; b++, at += 210) {
        __m256i sum16 = load256(s->sum + 32 * b);
        __m256i dot[8];

        TKX__UNROLL
        for (int r = 0; r < ROWS; r++)
            dot[r] = row_k6(s->row[r] + at, s->q + 256 * b, sum16);
        y = _mm256_fmadd_ps(
            _mm256_mul_ps(halves(s, at + 208), _mm256_broadcast_ss(s->d + b)),
            _mm256_cvtepi32_ps(sum_lanes(dot)), y);
    }
    return y;
}

/* ---- the tile ---- */

typedef __m256 rows_fn(const strip *s);

static rows_fn *find_rows(tkx__wtype type)
{
    switch (type) {
    case TKX__W_Q4_0:
        return rows_q4_0;
    case TKX__W_Q4_1:
        return rows_q4_1;
    case TKX__W_Q5_0:
        return rows_q5_0;
    case TKX__W_Q5_1:
        return rows_q5_1;
    case TKX__W_Q8_0:
        return rows_q8_0;
    case TKX__W_Q4_K:
        return rows_q4_k;
    case TKX__W_Q5_K:
        return rows_q5_k;
    case TKX__W_Q6_K:
        return rows_q6_k;
    default:
        return NULL; /* Q2_K, Q3_K: rare, and bound by arithmetic anyway */
    }
}

bool tkx__avx2_direct_q(const tkx__tile *t)
{
    rows_fn *fn = find_rows(t->type);
    size_t block = tkx__wtype_block_cols(t->type);
    tkx__act_form form = block == 32 ? TKX__ACT_Q8_32 : TKX__ACT_Q8_256;

    if (!fn)
        return false;
    for (size_t r0 = 0; r0 < t->n_rows; r0 += ROWS) {
        size_t n_rows = t->n_rows - r0 < ROWS ? t->n_rows - r0 : ROWS;
        strip s = {.n_blocks = t->n_cols / block};

        for (size_t r = 0; r < ROWS; r++) /* short of rows: the last one again */
            s.row[r] = t->w + (r0 + (r < n_rows ? r : n_rows - 1)) * t->row_size;
        for (size_t tok = 0; tok < t->n_tok; tok++) {
            const uint8_t *act = tkx__tile_act(t, tok);
            float *out = t->out + tok * t->out_stride + r0;
            __m256 y;

            s.q = (const int8_t *)act;
            s.d = (const float *)(const void *)(act + tkx__act_d_offset(t->n_cols));
            s.sum = act + tkx__act_sum_offset(form, t->n_cols);
            if (block == 256)
                s.sum32 = act + tkx__act_sum32_offset(t->n_cols);
            y = fn(&s);
            if (n_rows == ROWS)
                _mm256_storeu_ps(out, y);
            else
                _mm256_maskstore_ps(out, mask8(n_rows), y);
        }
    }
    return true;
}
