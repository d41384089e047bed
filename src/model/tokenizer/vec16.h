/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tokenizer/vec16.h - sixteen bytes compared at once, and what was found as bits.
 *
 * TKX__HAS_VEC16 where the processor's base instructions offer it (SSE2, NEON).
 */
#ifndef TKX_MODEL_TOKENIZER_VEC16_H
#define TKX_MODEL_TOKENIZER_VEC16_H

#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#define TKX__HAS_VEC16 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define TKX__HAS_VEC16 1
#endif

#define TKX__FORCE_INLINE static inline __attribute__((always_inline))

#if defined(__SSE2__)

typedef __m128i tkx__vec;

TKX__FORCE_INLINE tkx__vec tkx__vec_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

TKX__FORCE_INLINE tkx__vec tkx__vec_each(uint8_t c)
{
    return _mm_set1_epi8((char)c);
}

TKX__FORCE_INLINE tkx__vec tkx__vec_is(tkx__vec v, uint8_t c)
{
    return _mm_cmpeq_epi8(v, tkx__vec_each(c));
}

/* first <= v < first + n; bytes compare as signed numbers. */
TKX__FORCE_INLINE tkx__vec tkx__vec_is_in(tkx__vec v, uint8_t first, uint8_t n)
{
    return _mm_cmplt_epi8(_mm_add_epi8(v, tkx__vec_each((uint8_t)(0x80 - first))),
                          tkx__vec_each((uint8_t)(0x80 + n)));
}

TKX__FORCE_INLINE tkx__vec tkx__vec_either(tkx__vec a, tkx__vec b)
{
    return _mm_or_si128(a, b);
}

TKX__FORCE_INLINE uint64_t tkx__vec_bits_of(tkx__vec a, tkx__vec b, tkx__vec c,
                                            tkx__vec d)
{
    return (uint64_t)(uint32_t)_mm_movemask_epi8(a) |
           (uint64_t)(uint32_t)_mm_movemask_epi8(b) << 16 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(c) << 32 |
           (uint64_t)(uint32_t)_mm_movemask_epi8(d) << 48;
}

#else

typedef uint8x16_t tkx__vec;

TKX__FORCE_INLINE tkx__vec tkx__vec_load(const uint8_t *p)
{
    return vld1q_u8(p);
}

TKX__FORCE_INLINE tkx__vec tkx__vec_each(uint8_t c)
{
    return vdupq_n_u8(c);
}

TKX__FORCE_INLINE tkx__vec tkx__vec_is(tkx__vec v, uint8_t c)
{
    return vceqq_u8(v, tkx__vec_each(c));
}

TKX__FORCE_INLINE tkx__vec tkx__vec_is_in(tkx__vec v, uint8_t first, uint8_t n)
{
    return vcltq_u8(vsubq_u8(v, tkx__vec_each(first)), tkx__vec_each(n));
}

TKX__FORCE_INLINE tkx__vec tkx__vec_either(tkx__vec a, tkx__vec b)
{
    return vorrq_u8(a, b);
}

TKX__FORCE_INLINE uint64_t tkx__vec_bits_of(tkx__vec a, tkx__vec b, tkx__vec c,
                                            tkx__vec d)
{
    static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128,
                                       1, 2, 4, 8, 16, 32, 64, 128};
    const tkx__vec bits = tkx__vec_load(places);
    tkx__vec low = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
    tkx__vec high = vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits));

    low = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(low, low)), 0);
}

#endif

#endif
