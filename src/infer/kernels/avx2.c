// SPDX-License-Identifier: Apache-2.0
/*
 * avx2.c - AVX2 with FMA and F16C: activations, attention, rows, and the table.
 */
#include "infer/kernels/avx2_strip.h"

#include <cpuid.h>
#include <string.h>

#include "infer/kernels/scalar.h"

bool tkx__avx2_is_supported(void)
{
    unsigned a;
    unsigned b;
    unsigned c = 0;
    unsigned d;

    /* the builtin also asks the kernel whether it saves the registers */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

/* ---- activations ---- */

TKX__INLINE __m256i quantize8(const float *x, __m256 inverse)
{
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
}

/* 32 values to 32 bytes. */
TKX__INLINE __m256i quantize32(const float *x, __m256 inverse)
{
    __m256i a = _mm256_packs_epi32(quantize8(x, inverse), quantize8(x + 8, inverse));
    __m256i b =
        _mm256_packs_epi32(quantize8(x + 16, inverse), quantize8(x + 24, inverse));
    __m256i q = _mm256_packs_epi16(a, b);

    q = _mm256_max_epi8(q, _mm256_set1_epi8(-127));
    /* the packs worked in 128-bit lanes: put the groups of 4 back in order */
    return _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

static float largest(const float *x, size_t n)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    __m256 v = _mm256_setzero_ps();
    __m128 m;

    for (size_t i = 0; i < n; i += 8) /* a NaN in x is passed over, as in the reference */
        v = _mm256_max_ps(_mm256_and_ps(_mm256_loadu_ps(x + i), magnitude), v);
    m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* Sums of 16 columns in each half: of columns 4 i, 4 i + 1 and of 4 i + 2, 4 i + 3. */
TKX__INLINE __m256i pair_sums(__m256i q)
{
    __m256i v = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);

    v = _mm256_add_epi16(v, _mm256_shuffle_epi32(v, 0x4e));
    return _mm256_add_epi16(v, _mm256_shuffle_epi32(v, 0xb1));
}

/* -2^bits times the pair of each half. */
TKX__INLINE __m256i starts(__m256i pairs, int bits)
{
    return _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(pairs, bits));
}

void tkx__avx2_quantize(tkx__act_form form, const float *x, size_t n, uint8_t *row)
{
    size_t block = form == TKX__ACT_Q8_32 ? 32 : 256;
    float *d = (float *)(void *)(row + tkx__act_d_offset(n));
    int32_t *sum = (int32_t *)(void *)(row + tkx__act_sum_offset(form, n));
    int16_t *sum16 = (int16_t *)(void *)sum;
    int16_t *sum32 = (int16_t *)(void *)(row + tkx__act_sum32_offset(n));
    int32_t *start = (int32_t *)(void *)(row + tkx__act_start_offset(form, n));

    for (size_t b = 0; b < n / block; b++) {
        float amax = largest(x + b * block, block);
        __m256 inverse = _mm256_set1_ps(amax > 0 ? 127.0f / amax : 0);

        d[b] = amax / 127.0f;
        for (size_t i = b * block; i < (b + 1) * block; i += 32) {
            __m256i q = quantize32(x + i, inverse);
            __m256i pairs = pair_sums(q);
            __m256i s = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
            int32_t first = _mm256_extract_epi32(s, 0);
            int32_t second = _mm256_extract_epi32(s, 4);

            _mm256_storeu_si256((__m256i_u *)(void *)(row + i), q);
            if (form == TKX__ACT_Q8_32) {
                pairs = starts(
                    _mm256_add_epi16(pairs, _mm256_permute2x128_si256(pairs, pairs, 1)),
                    4);
                start[i / 32] = _mm256_extract_epi32(pairs, 0);
                sum[i / 32] = first + second;
            } else {
                pairs = starts(pairs, 5);
                start[i / 16] = _mm256_extract_epi32(pairs, 0);
                start[i / 16 + 1] = _mm256_extract_epi32(pairs, 4);
                sum16[i / 16] = (int16_t)first;
                sum16[i / 16 + 1] = (int16_t)second;
                sum32[i / 32] = (int16_t)(first + second);
            }
        }
    }
}

/* Tokens up to which reading the file's order again beats unpacking it once. */
#define DIRECT_TOKENS_32 2
#define DIRECT_TOKENS_256 3

static void tile_q(const tkx__tile *t)
{
    size_t most =
        tkx__wtype_block_cols(t->type) == 32 ? DIRECT_TOKENS_32 : DIRECT_TOKENS_256;

    if (!t->is_packed && t->n_tok <= most && tkx__avx2_direct_q(t))
        return;
    tkx__avx2_panel_q(t);
}

/* ---- half precision ---- */

void tkx__avx2_f16_unpack(const uint16_t *src, size_t n, float *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load128(src + i)));
    for (; i < n; i++)
        out[i] = _cvtsh_ss(src[i]);
}

void tkx__avx2_f16_pack(const float *src, size_t n, uint16_t *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(
            (__m128i_u *)(void *)(out + i),
            _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++)
        out[i] = _cvtss_sh(src[i], _MM_FROUND_TO_NEAREST_INT);
}

/* ---- attention ---- */

/* Scores of the 32 positions for n (1 or 2) queries. */
TKX__INLINE void scores(const tkx__attn_state *s, int n, const float *kf, size_t dim,
                        __m256 out[2][4])
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 4; j++)
            out[i][j] = _mm256_setzero_ps();
    for (size_t d = 0; d < dim; d++, kf += TKX__KV_BLOCK) {
        __m256 k0 = _mm256_loadu_ps(kf);
        __m256 k1 = _mm256_loadu_ps(kf + 8);
        __m256 k2 = _mm256_loadu_ps(kf + 16);
        __m256 k3 = _mm256_loadu_ps(kf + 24);

        for (int i = 0; i < n; i++) {
            __m256 q = _mm256_broadcast_ss(s[i].q + d);

            out[i][0] = _mm256_fmadd_ps(q, k0, out[i][0]);
            out[i][1] = _mm256_fmadd_ps(q, k1, out[i][1]);
            out[i][2] = _mm256_fmadd_ps(q, k2, out[i][2]);
            out[i][3] = _mm256_fmadd_ps(q, k3, out[i][3]);
        }
    }
}

static float max_of(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static void rescale(tkx__attn_state *s, float max, size_t padded)
{
    float keep = tkx__exact_exp(s->max - max);
    __m256 k = _mm256_set1_ps(keep);

    _mm256_storeu_ps(s->lanes, _mm256_mul_ps(_mm256_loadu_ps(s->lanes), k));
    for (size_t d = 0; d < padded; d += 8)
        _mm256_storeu_ps(s->acc + d, _mm256_mul_ps(_mm256_loadu_ps(s->acc + d), k));
    s->max = max;
}

/* Scores to weights: the new maximum, the sums; positions beyond n_valid weigh 0. */
static void weigh(tkx__attn_state *s, const __m256 score[4], size_t padded,
                  float w[TKX__KV_BLOCK])
{
    __m256 v[4];
    __m256 lanes;
    float max = s->max;

    for (int j = 0; j < 4; j++) {
        __m256 valid = _mm256_castsi256_ps(
            _mm256_cmpgt_epi32(_mm256_set1_epi32((int)s->n_valid - 8 * j),
                               _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));

        v[j] = _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), score[j], valid);
    }
    {
        __m256 m = _mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3]));
        float block_max = max_of(m);

        max = block_max > max ? block_max : max;
    }
    if (max > s->max)
        rescale(s, max, padded);
    lanes = _mm256_loadu_ps(s->lanes);
    for (int j = 0; j < 4; j++) {
        v[j] = exp8(_mm256_sub_ps(v[j], _mm256_set1_ps(max)));
        lanes = _mm256_add_ps(lanes, v[j]);
        _mm256_storeu_ps(w + 8 * j, v[j]);
    }
    _mm256_storeu_ps(s->lanes, lanes);
}

/* acc += w v for up to 8 registers of dimensions. */
TKX__INLINE void gather_values(float *acc, const float *w, const float *vf,
                               size_t n_valid, size_t padded, int n)
{
    __m256 a[8];

    for (int j = 0; j < n; j++)
        a[j] = _mm256_loadu_ps(acc + 8 * j);
    for (size_t p = 0; p < n_valid; p++) {
        __m256 x = _mm256_broadcast_ss(w + p);

        for (int j = 0; j < n; j++)
            a[j] = _mm256_fmadd_ps(x, _mm256_loadu_ps(vf + p * padded + 8 * j), a[j]);
    }
    for (int j = 0; j < n; j++)
        _mm256_storeu_ps(acc + 8 * j, a[j]);
}

static void add_values(tkx__attn_state *s, const float *w, const float *vf, size_t padded)
{
    size_t d = 0;

    for (; d + 64 <= padded; d += 64)
        gather_values(s->acc + d, w, vf + d, s->n_valid, padded, 8);
    for (; d < padded; d += 8)
        gather_values(s->acc + d, w, vf + d, s->n_valid, padded, 1);
}

void tkx__avx2_attn_block(tkx__attn_state *states, size_t n, const float *kf,
                          const float *vf, size_t head_dim)
{
    size_t padded = (head_dim + 7) / 8 * 8;

    for (size_t i = 0; i < n; i += 2) {
        size_t m = n - i < 2 ? 1 : 2;
        __m256 score[2][4];
        float w[TKX__KV_BLOCK];

        if (m == 2)
            scores(states + i, 2, kf, head_dim, score);
        else
            scores(states + i, 1, kf, head_dim, score);
        for (size_t j = 0; j < m; j++) {
            weigh(&states[i + j], score[j], padded, w);
            add_values(&states[i + j], w, vf, padded);
        }
    }
}

/* ---- rows ---- */

TKX__INLINE __m256d low4(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

TKX__INLINE __m256d high4(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static double sum8d(__m256d low, __m256d high)
{
    double v[8];

    _mm256_storeu_pd(v, low);
    _mm256_storeu_pd(v + 4, high);
    return tkx__exact_sum8d(v);
}

void tkx__avx2_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    __m256d lo = _mm256_setzero_pd();
    __m256d hi = _mm256_setzero_pd();
    __m256 scale;
    float s;
    size_t i = 0;

    for (; i < n; i += 8) {
        __m256 v =
            n - i < 8 ? _mm256_maskload_ps(x + i, mask8(n - i)) : _mm256_loadu_ps(x + i);

        lo = _mm256_fmadd_pd(low4(v), low4(v), lo);
        hi = _mm256_fmadd_pd(high4(v), high4(v), hi);
    }
    s = (float)(1.0 / sqrt(sum8d(lo, hi) / (double)n + (double)eps));
    scale = _mm256_set1_ps(s);
    for (i = 0; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i,
                         _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), scale),
                                       _mm256_loadu_ps(w + i)));
    for (; i < n; i++)
        y[i] = x[i] * s * w[i];
}

void tkx__avx2_swiglu(float *out, const float *gate, const float *up, size_t n)
{
    const __m256 one = _mm256_set1_ps(1);
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        __m256 g = _mm256_loadu_ps(gate + i);
        __m256 e = exp8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));

        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(one, e)),
                                                _mm256_loadu_ps(up + i)));
    }
    for (; i < n; i++)
        out[i] = gate[i] / (1.0f + tkx__exact_exp(-gate[i])) * up[i];
}

void tkx__avx2_axpy(float *y, float scale, const float *x, size_t n)
{
    __m256 s = _mm256_set1_ps(scale);
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            y + i, _mm256_fmadd_ps(s, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++)
        y[i] = fmaf(scale, x[i], y[i]);
}

float tkx__avx2_max(const float *x, size_t n)
{
    __m256 v = _mm256_set1_ps(-__builtin_inff());
    float max;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) /* a NaN in x is passed over */
        v = _mm256_max_ps(_mm256_loadu_ps(x + i), v);
    max = max_of(v);
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

double tkx__avx2_sum_exp(const float *x, size_t n, float max, float scale, float *out)
{
    const __m256 m = _mm256_set1_ps(max);
    const __m256 s = _mm256_set1_ps(scale);
    __m256d lo = _mm256_setzero_pd();
    __m256d hi = _mm256_setzero_pd();

    for (size_t i = 0; i < n; i += 8) {
        bool is_tail = n - i < 8;
        __m256 v =
            is_tail ? _mm256_maskload_ps(x + i, mask8(n - i)) : _mm256_loadu_ps(x + i);

        v = exp8(_mm256_mul_ps(_mm256_sub_ps(v, m), s));
        if (is_tail)
            v = _mm256_and_ps(v, _mm256_castsi256_ps(mask8(n - i)));
        lo = _mm256_add_pd(lo, low4(v));
        hi = _mm256_add_pd(hi, high4(v));
        if (out && is_tail)
            _mm256_maskstore_ps(out + i, mask8(n - i), v);
        else if (out)
            _mm256_storeu_ps(out + i, v);
    }
    return sum8d(lo, hi);
}

const tkx__kernels tkx__kernels_avx2 = {
    .name = "avx2",
    .is_verified = true,
    .is_supported = tkx__avx2_is_supported,
    .quantize = tkx__avx2_quantize,
    .pack = tkx__avx2_pack,
    .tile_q = tile_q,
    .tile_f = tkx__avx2_tile_f,
    .decode = tkx__avx2_decode,
    .f16_unpack = tkx__avx2_f16_unpack,
    .f16_pack = tkx__avx2_f16_pack,
    .attn_block = tkx__avx2_attn_block,
    .rmsnorm = tkx__avx2_rmsnorm,
    .swiglu = tkx__avx2_swiglu,
    .axpy = tkx__avx2_axpy,
    .max = tkx__avx2_max,
    .sum_exp = tkx__avx2_sum_exp,
};
