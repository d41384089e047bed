// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float.c - weights of any type against float32 activations.
 *
 * Lanes run over columns (lane l: l, l + 8, ..), so that file order is kernel order.  Few
 * tokens: 8 rows side by side, straight from the file.  Many: 6 rows are brought to
 * float32 and met by 4 tokens at a time; lane sums wait in a buffer between chunks.
 */
#include <string.h>

#include "infer/kernels/avx2.h"
#include "infer/kernels/scalar.h"

#define ROWS 6
#define CHUNK 512 /* columns: 6 rows and 4 tokens of them fit the first-level cache */
#define TOKENS                                                                           \
    64 /* whose columns of a chunk, and lane sums, fit the second-level cache */

/* ---- decoding ---- */

TKX__INLINE __m256 load_f16(const uint8_t *p)
{
    return _mm256_cvtph_ps(load128(p));
}

TKX__INLINE __m256 load_bf16(const uint8_t *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16));
}

static size_t decode_f16(const uint8_t *src, size_t n, float *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, load_f16(src + 2 * i));
    return i;
}

static size_t decode_bf16(const uint8_t *src, size_t n, float *out)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, load_bf16(src + 2 * i));
    return i;
}

static size_t decode_q8_0(const uint8_t *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / 32; b++, src += 34) {
        __m256 d = _mm256_set1_ps(_cvtsh_ss((uint16_t)load_i16(src)));

        for (size_t i = 0; i < 32; i += 8) {
            __m256i q = _mm256_cvtepi8_epi32(
                _mm_loadl_epi64((const __m128i_u *)(const void *)(src + 2 + i)));

            _mm256_storeu_ps(out + b * 32 + i, _mm256_mul_ps(d, _mm256_cvtepi32_ps(q)));
        }
    }
    return n;
}

static size_t decode_q4_0(const uint8_t *src, size_t n, float *out)
{
    for (size_t b = 0; b < n / 32; b++, src += 18) {
        __m256 d = _mm256_set1_ps(_cvtsh_ss((uint16_t)load_i16(src)));
        __m256i q = _mm256_sub_epi8(nibbles32(src + 2), _mm256_set1_epi8(8));
        __m128i half[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};

        for (size_t i = 0; i < 4; i++) {
            __m128i part = i % 2 ? _mm_srli_si128(half[i / 2], 8) : half[i / 2];

            _mm256_storeu_ps(
                out + b * 32 + i * 8,
                _mm256_mul_ps(d, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(part))));
        }
    }
    return n;
}

void tkx__avx2_decode(tkx__wtype type, const void *src, size_t n, float *out)
{
    size_t done = 0;

    switch (type) {
    case TKX__W_F32:
        memcpy(out, src, n * sizeof *out);
        return;
    case TKX__W_F16:
        done = decode_f16(src, n, out);
        break;
    case TKX__W_BF16:
        done = decode_bf16(src, n, out);
        break;
    case TKX__W_Q8_0:
        done = decode_q8_0(src, n, out);
        break;
    case TKX__W_Q4_0:
        done = decode_q4_0(src, n, out);
        break;
    default:
        break;
    }
    if (done < n) /* plain types' tails; whole rows of the other types */
        tkx__scalar_decode(type, (const uint8_t *)src + 2 * done, n - done, out + done);
}

/* ---- few tokens ---- */

TKX__INLINE __m256 load_plain(tkx__wtype type, const uint8_t *row, size_t c)
{
    if (type == TKX__W_F32)
        return _mm256_loadu_ps((const float *)(const void *)(row + 4 * c));
    return type == TKX__W_F16 ? load_f16(row + 2 * c) : load_bf16(row + 2 * c);
}

/* 8 rows against one token. */
TKX__INLINE void rows8(tkx__wtype type, const tkx__tile *t, size_t r0, const float *x,
                       float *out)
{
    size_t n_rows = t->n_rows - r0 < 8 ? t->n_rows - r0 : 8;
    size_t whole = t->n_cols / 8 * 8;
    const uint8_t *row[8];
    __m256 acc[8];
    __m256 y;

    for (size_t r = 0; r < 8; r++) {
        row[r] = t->w + (r0 + (r < n_rows ? r : n_rows - 1)) * t->row_size;
        acc[r] = _mm256_setzero_ps();
    }
    for (size_t c = 0; c < whole; c += 8) {
        __m256 v = _mm256_loadu_ps(x + c);

        for (size_t r = 0; r < 8; r++)
            acc[r] = _mm256_fmadd_ps(load_plain(type, row[r], c), v, acc[r]);
    }
    if (whole < t->n_cols) {
        size_t n = t->n_cols - whole;
        __m256 v = _mm256_maskload_ps(x + whole, mask8(n));

        for (size_t r = 0; r < 8; r++) {
            float tail[8] = {0};

            tkx__scalar_decode(type, row[r] + whole * (type == TKX__W_F32 ? 4 : 2), n,
                               tail);
            acc[r] = _mm256_fmadd_ps(_mm256_loadu_ps(tail), v, acc[r]);
        }
    }
    y = sum8x8(acc);
    if (n_rows == 8)
        _mm256_storeu_ps(out, y);
    else
        _mm256_maskstore_ps(out, mask8(n_rows), y);
}

static void direct(const tkx__tile *t)
{
    for (size_t r = 0; r < t->n_rows; r += 8) {
        for (size_t tok = 0; tok < t->n_tok; tok++) {
            const float *x = (const float *)(const void *)tkx__tile_act(t, tok);
            float *out = t->out + tok * t->out_stride + r;

            if (t->type == TKX__W_F16)
                rows8(TKX__W_F16, t, r, x, out);
            else if (t->type == TKX__W_BF16)
                rows8(TKX__W_BF16, t, r, x, out);
            else
                rows8(TKX__W_F32, t, r, x, out);
        }
    }
}

/* ---- many tokens ---- */

/* 3 rows x n_tok tokens over n columns (n % 8 left over: masked), sums in acc. */
TKX__INLINE void micro(const float *w, const float *const x[4], size_t n, int n_tok,
                       float *const acc[4])
{
    __m256 y[4][3];
    size_t whole = n / 8 * 8;

    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 3; r++)
            y[t][r] = _mm256_loadu_ps(acc[t] + 8 * r);
    for (size_t c = 0; c < whole; c += 8) {
        __m256 w0 = _mm256_loadu_ps(w + c);
        __m256 w1 = _mm256_loadu_ps(w + CHUNK + c);
        __m256 w2 = _mm256_loadu_ps(w + 2 * CHUNK + c);

        for (int t = 0; t < n_tok; t++) {
            __m256 v = _mm256_loadu_ps(x[t] + c);

            y[t][0] = _mm256_fmadd_ps(w0, v, y[t][0]);
            y[t][1] = _mm256_fmadd_ps(w1, v, y[t][1]);
            y[t][2] = _mm256_fmadd_ps(w2, v, y[t][2]);
        }
    }
    if (whole < n) { /* the rows are padded with zeros */
        for (int t = 0; t < n_tok; t++) {
            __m256 v = _mm256_maskload_ps(x[t] + whole, mask8(n - whole));

            for (int r = 0; r < 3; r++)
                y[t][r] =
                    _mm256_fmadd_ps(_mm256_loadu_ps(w + r * CHUNK + whole), v, y[t][r]);
        }
    }
    for (int t = 0; t < n_tok; t++)
        for (int r = 0; r < 3; r++)
            _mm256_storeu_ps(acc[t] + 8 * r, y[t][r]);
}

static void micro_n(const float *w, const float *const x[4], size_t n, size_t n_tok,
                    float *const acc[4])
{
    if (n_tok == 4)
        micro(w, x, n, 4, acc);
    else if (n_tok == 3)
        micro(w, x, n, 3, acc);
    else if (n_tok == 2)
        micro(w, x, n, 2, acc);
    else
        micro(w, x, n, 1, acc);
}

/* The rows of a group, columns c .. c+n-1, as float32 [6][CHUNK]. */
static void fill_panel(const tkx__tile *t, size_t r0, size_t c, size_t n, float *panel)
{
    size_t block = tkx__wtype_block_cols(t->type);
    size_t at = c / block * tkx__wtype_block_size(t->type);

    for (size_t r = 0; r < ROWS; r++) {
        size_t row = r0 + r < t->n_rows ? r0 + r : t->n_rows - 1;

        tkx__avx2_decode(t->type, t->w + row * t->row_size + at, n, panel + r * CHUNK);
        for (size_t i = n; i % 8; i++)
            panel[r * CHUNK + i] = 0;
    }
}

/* Tokens first .. first+n-1, columns c .. c+n_cols-1, all rows; sums stay in lanes. */
static void panel_chunk(const tkx__tile *t, size_t first, size_t n, size_t c,
                        size_t n_cols, float *panel, float *lanes)
{
    for (size_t r0 = 0; r0 < t->n_rows; r0 += ROWS) {
        float *group = lanes + r0 * n * 8; /* r0 / 6 groups of [n][6][8] */

        fill_panel(t, r0, c, n_cols, panel);
        for (size_t tok = 0; tok < n; tok += 4) {
            size_t n_tok = n - tok < 4 ? n - tok : 4;
            const float *x[4] = {0};
            float *acc[4] = {0};

            for (size_t i = 0; i < n_tok; i++) {
                x[i] = (const float *)(const void *)tkx__tile_act(t, first + tok + i) + c;
                acc[i] = group + (tok + i) * ROWS * 8;
            }
            micro_n(panel, x, n_cols, n_tok, acc);
            if (t->n_rows - r0 <= 3)
                continue;
            for (size_t i = 0; i < n_tok; i++)
                acc[i] += 3 * 8;
            micro_n(panel + 3 * CHUNK, x, n_cols, n_tok, acc);
        }
    }
}

/*
 * Columns outside, rows inside: the activations of a chunk stay in the second-level cache
 * while all rows of the tile meet them.
 */
static void panel_f(const tkx__tile *t)
{
    float *panel = t->scratch;           /* [6][CHUNK] */
    float *lanes = panel + ROWS * CHUNK; /* [rows / 6][n][6][8] */

    for (size_t first = 0; first < t->n_tok; first += TOKENS) {
        size_t n = t->n_tok - first < TOKENS ? t->n_tok - first : TOKENS;

        memset(lanes, 0, (t->n_rows + ROWS - 1) / ROWS * ROWS * n * 8 * sizeof *lanes);
        for (size_t c = 0; c < t->n_cols; c += CHUNK)
            panel_chunk(t, first, n, c, t->n_cols - c < CHUNK ? t->n_cols - c : CHUNK,
                        panel, lanes);
        for (size_t tok = 0; tok < n; tok++)
            for (size_t r = 0; r < t->n_rows; r++)
                t->out[(first + tok) * t->out_stride + r] = sum8(_mm256_loadu_ps(
                    lanes + (r / ROWS * n + tok) * ROWS * 8 + r % ROWS * 8));
    }
}

void tkx__avx2_tile_f(const tkx__tile *t)
{
    if (t->n_tok <= 2 && tkx__wtype_block_cols(t->type) == 1)
        direct(t);
    else if (!tkx__avx2_narrow_f(t))
        panel_f(t);
}
