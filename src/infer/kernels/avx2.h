/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/kernels/avx2.h - pieces that the AVX2 files share.
 */
#ifndef TKX_INFER_KERNELS_AVX2_H
#define TKX_INFER_KERNELS_AVX2_H

#include <immintrin.h>

#include "infer/kernels/exact.h"
#include "infer/kernels/table.h"

#define TKX__INLINE static inline __attribute__((always_inline))

/* Before a loop of few, fixed turns whose arrays must become registers: a matter of
   speed, which a build with sanitizers has given up (and its counts are no longer
   constants). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TKX__UNROLL
#define TKX__UNROLL_LONG
#elif defined(__clang__)
#define TKX__UNROLL _Pragma("clang loop unroll(full)")
#define TKX__UNROLL_LONG _Pragma("clang loop unroll_count(16)") /* of unknown length */
#else
#define TKX__UNROLL _Pragma("GCC unroll 16")
#define TKX__UNROLL_LONG TKX__UNROLL
#endif

/*
 * Holds a sum in its register here: left alone, the compiler turns chains of integer
 * additions into trees, runs out of registers and spills half of them.
 */
#define TKX__KEEP(v) __asm__("" : "+x"(v))

TKX__INLINE __m256i load256(const void *p)
{
    return _mm256_loadu_si256((const __m256i_u *)p);
}

TKX__INLINE __m128i load128(const void *p)
{
    return _mm_loadu_si128((const __m128i_u *)p);
}

/* 8 half-precision numbers; 8 upper halves of float32. */
TKX__INLINE __m256 load_f16(const void *p)
{
    return _mm256_cvtph_ps(load128(p));
}

TKX__INLINE __m256 load_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16));
}

TKX__INLINE int32_t load_i32(const void *p)
{
    int32_t v;

    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

TKX__INLINE int16_t load_i16(const void *p)
{
    int16_t v;

    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

/* tkx__exact_sum8() of a vector. */
TKX__INLINE float sum8(__m256 v)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

/* The same of 8 vectors: lane r is the sum of v[r]. */
TKX__INLINE __m256 sum8x8(const __m256 v[8])
{
    __m256 h[4];
    __m256 a;
    __m256 b;

    for (int i = 0; i < 4; i++) /* (l) + (l+4): rows i | i + 4 */
        h[i] = _mm256_add_ps(_mm256_permute2f128_ps(v[i], v[i + 4], 0x20),
                             _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
    /* (0)+(2), (1)+(3): of rows 0 and 1, then of 2 and 3 */
    a = _mm256_add_ps(_mm256_shuffle_ps(h[0], h[1], 0x44),
                      _mm256_shuffle_ps(h[0], h[1], 0xee));
    b = _mm256_add_ps(_mm256_shuffle_ps(h[2], h[3], 0x44),
                      _mm256_shuffle_ps(h[2], h[3], 0xee));
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}

/* Lanes 0 .. n-1 (n < 8) for masked loads and stores. */
TKX__INLINE __m256i mask8(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

TKX__INLINE __m256 exp8(__m256 x)
{
    __m256 keep = _mm256_cmp_ps(x, _mm256_set1_ps(TKX__EXP_LOW), _CMP_GE_OQ);
    __m256 n;
    __m256 r;
    __m256 p;
    __m256 two_n;

    x = _mm256_min_ps(x, _mm256_set1_ps(TKX__EXP_HIGH));
    x = _mm256_and_ps(x, keep); /* so that nothing overflows below */
    n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(TKX__EXP_LOG2E)),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-TKX__EXP_LN2_HIGH), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-TKX__EXP_LN2_LOW), r);
    p = _mm256_fmadd_ps(_mm256_set1_ps(TKX__EXP_C7), r, _mm256_set1_ps(TKX__EXP_C6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(TKX__EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(TKX__EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(TKX__EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(TKX__EXP_C2));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r);
    two_n = _mm256_castsi256_ps(_mm256_slli_epi32(
        _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
    return _mm256_and_ps(_mm256_fmadd_ps(p, two_n, two_n), keep);
}

/* 32 columns of one row as unsigned integers (Q8_0: signed), columns ascending. */
TKX__INLINE __m256i nibbles32(const uint8_t *qs)
{
    __m128i v = load128(qs);
    __m256i both =
        _mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1);

    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* 0x10 in byte i where bit i of the 32 is set. */
TKX__INLINE __m256i high_bits32(int32_t bits)
{
    const __m256i which = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101,
                                             0x0202020202020202, 0x0303030303030303);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), which);

    v = _mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit);
    return _mm256_and_si256(v, _mm256_set1_epi8(16));
}

void tkx__avx2_tile_f(const tkx__tile *t);
/* Plain matrices of few columns: in strips, or many tokens; false when it is none. */
bool tkx__avx2_narrow_f(const tkx__tile *t);
/* Plain matrices of few rows and many tokens; false when it is none. */
bool tkx__avx2_short_f(const tkx__tile *t);
void tkx__avx2_decode(tkx__wtype type, const void *src, size_t n, float *out);
/* Many tokens: weights unpacked into panels of 16 rows. */
void tkx__avx2_panel_q(const tkx__tile *t);
/* Few tokens, straight from the file's order; false when there is no such kernel. */
bool tkx__avx2_direct_q(const tkx__tile *t);
void tkx__avx2_quantize(tkx__act_form form, const float *x, size_t n, uint8_t *row);

/* What the AVX-512 sets take as it is. */
bool tkx__avx2_is_supported(void);
void tkx__avx2_f16_unpack(const uint16_t *src, size_t n, float *out);
void tkx__avx2_f16_pack(const float *src, size_t n, uint16_t *out);
void tkx__avx2_attn_block(tkx__attn_state *states, size_t n, const float *kf,
                          const float *vf, size_t head_dim);
void tkx__avx2_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps);
void tkx__avx2_swiglu(float *out, const float *gate, const float *up, size_t n);
void tkx__avx2_axpy(float *y, float scale, const float *x, size_t n);
float tkx__avx2_max(const float *x, size_t n);
double tkx__avx2_sum_exp(const float *x, size_t n, float max, float scale, float *out);

#endif
