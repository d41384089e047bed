// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_narrow.c - plain matrices of few columns: the B of an adapter.
 *
 * A lane of the sum holds one or two products only, so adding lanes up would take longer
 * than multiplying.  Here lanes are rows: 16 rows stand as two strips (strips.h), each
 * lane of the definition is a register of 8 rows, and the tree of sums is additions.
 * Matrices in the file's order are turned first, which takes as long as four tokens do.
 */
#include <string.h>

#include "infer/kernels/avx2_float.h"
#include "infer/kernels/strips.h"

#define ROWS (2 * TKX__STRIP_ROWS)
#define COLS TKX__NARROW_COLS

/* Rows of y are fetched for so many tokens later. */
#define AHEAD 9

/* Half precision is converted where it is multiplied for so many tokens. */
#define FEW 2

/* Tokens that meet two strips at once: 6 sums, and as many of the next lane. */
#define TOKENS 3

/* Two strips and some tokens. */
typedef struct piece {
    const uint8_t *w[2];
    size_t n_cols;
    const float *x[TOKENS];
    float *out[TOKENS];
    float add_scale; /* 0: out is the sums */
    const float *base[TOKENS];
} piece;

typedef struct sums {
    __m256 of[TOKENS][2];
} sums;

/*
 * Sums go to memory while others need the registers: left alone, the compiler takes all
 * lanes side by side and runs out of them.
 */
TKX__INLINE void park(sums *to, const sums *from, int n_tok)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        to->of[t][0] = from->of[t][0];
        to->of[t][1] = from->of[t][1];
    }
    __asm__ volatile("" : "+m"(*to));
}

/* Columns lane, lane + 8, .. of 16 rows and n_tok tokens. */
TKX__INLINE void lane_sums(tkx__wtype type, const piece *p, size_t lane, int n_tok,
                           sums *acc)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        acc->of[t][0] = acc->of[t][1] = _mm256_setzero_ps();
    TKX__UNROLL_LONG
    for (size_t c = lane; c < p->n_cols; c += 8) {
        __m256 w0 = load_plain(type, p->w[0], c * TKX__STRIP_ROWS);
        __m256 w1 = load_plain(type, p->w[1], c * TKX__STRIP_ROWS);

        TKX__UNROLL
        for (int t = 0; t < n_tok; t++) {
            __m256 v = _mm256_broadcast_ss(p->x[t] + c);

            add_product(&acc->of[t][0], w0, v);
            add_product(&acc->of[t][1], w1, v);
        }
    }
}

TKX__INLINE void add(sums *s, const sums *other, int n_tok)
{
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        s->of[t][0] = _mm256_add_ps(s->of[t][0], other->of[t][0]);
        s->of[t][1] = _mm256_add_ps(s->of[t][1], other->of[t][1]);
    }
}

/* (lane) + (lane + 4) */
TKX__INLINE void pair_sums(tkx__wtype type, const piece *p, size_t lane, int n_tok,
                           sums *s)
{
    sums other;

    lane_sums(type, p, lane, n_tok, s);
    lane_sums(type, p, lane + 4, n_tok, &other);
    add(s, &other, n_tok);
}

TKX__INLINE void put(const piece *p, int tok, size_t row, __m256 sum)
{
    if (p->add_scale != 0)
        sum = _mm256_fmadd_ps(_mm256_set1_ps(p->add_scale), sum,
                              _mm256_loadu_ps(p->base[tok] + row));
    _mm256_storeu_ps(p->out[tok] + row, sum);
}

TKX__INLINE void multiply(tkx__wtype type, const piece *p, int n_tok)
{
    sums now;
    sums even;
    sums odd;

    pair_sums(type, p, 0, n_tok, &now);
    park(&even, &now, n_tok);
    pair_sums(type, p, 2, n_tok, &now);
    add(&now, &even, n_tok);
    park(&even, &now, n_tok);
    pair_sums(type, p, 1, n_tok, &now);
    park(&odd, &now, n_tok);
    pair_sums(type, p, 3, n_tok, &now);
    add(&now, &odd, n_tok);
    add(&now, &even, n_tok);
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        put(p, t, 0, now.of[t][0]);
        put(p, t, TKX__STRIP_ROWS, now.of[t][1]);
    }
}

/* What will be written is somewhere behind the second-level cache; all CPUs of 64 bits
   know the instruction or pass over it. */
TKX__INLINE void fetch_for_writing(const float *out)
{
    __asm__ volatile("prefetchw %0" : : "m"(*out));
}

/* All whole pairs of strips; the last rows of a tile, fewer than 16, are put apart. */
TKX__INLINE void multiply_rows(tkx__wtype type, const tkx__tile *t, const uint8_t *strips,
                               size_t n_cols, size_t tok, int n_tok)
{
    size_t strip_size = n_cols * TKX__STRIP_ROWS * (type == TKX__W_F32 ? 4 : 2);
    size_t n_whole = t->n_rows / ROWS * ROWS;
    size_t ahead = tok + AHEAD + TOKENS <= t->n_tok ? AHEAD * t->out_stride : 0;
    piece p = {.n_cols = n_cols, .add_scale = t->add_scale};

    TKX__UNROLL
    for (int i = 0; i < n_tok; i++) {
        p.x[i] = (const float *)(const void *)tkx__tile_act(t, tok + (size_t)i);
        p.out[i] = t->out + (tok + (size_t)i) * t->out_stride;
        p.base[i] =
            t->add_scale != 0 ? t->base + (tok + (size_t)i) * t->base_stride : p.out[i];
    }
    for (size_t r = 0; r < n_whole; r += ROWS) {
        p.w[0] = strips;
        p.w[1] = strips += strip_size;
        strips += strip_size;
        TKX__UNROLL
        for (int i = 0; i < n_tok; i++) {
            __asm__("" : "+r"(p.x[i])); /* else addresses take all registers */
            fetch_for_writing(p.out[i] + ahead);
        }
        multiply(type, &p, n_tok);
        TKX__UNROLL
        for (int i = 0; i < n_tok; i++) {
            p.out[i] += ROWS;
            p.base[i] += ROWS;
        }
    }
}

#define NARROW(NAME, TYPE)                                                               \
    static void NAME(const tkx__tile *t, const uint8_t *strips)                          \
    {                                                                                    \
        size_t tok = 0;                                                                  \
                                                                                         \
        for (; tok + TOKENS <= t->n_tok && t->n_cols == 16; tok += TOKENS)               \
            multiply_rows(TYPE, t, strips, 16, tok, TOKENS);                             \
        for (; tok + TOKENS <= t->n_tok; tok += TOKENS)                                  \
            multiply_rows(TYPE, t, strips, t->n_cols, tok, TOKENS);                      \
        if (t->n_tok - tok == 2)                                                         \
            multiply_rows(TYPE, t, strips, t->n_cols, tok, 2);                           \
        else if (t->n_tok - tok == 1)                                                    \
            multiply_rows(TYPE, t, strips, t->n_cols, tok, 1);                           \
    }

NARROW(narrow_f32, TKX__W_F32)
NARROW(narrow_f16, TKX__W_F16)

/* ---- strips of float32 ---- */

TKX__INLINE void widen(tkx__wtype type, const uint8_t *strip, size_t n_cols, float *out)
{
    for (size_t i = 0; i < n_cols * TKX__STRIP_ROWS; i += 8)
        _mm256_storeu_ps(out + i, load_plain(type, strip, i));
}

/* Rows r0 .. r0 + 7 (the last one again where there are none). */
static void turn(const tkx__tile *t, size_t r0, float *out)
{
    float row[COLS];

    for (size_t r = 0; r < TKX__STRIP_ROWS; r++) {
        size_t at = r0 + r < t->n_rows ? r0 + r : t->n_rows - 1;

        tkx__avx2_decode(t->type, t->w + at * t->row_size, t->n_cols, row);
        for (size_t c = 0; c < t->n_cols; c++)
            out[c * TKX__STRIP_ROWS + r] = row[c];
    }
}

/* The strips of all rows, the last ones padded to 16; returns the type they stand in. */
static tkx__wtype find_strips(const tkx__tile *t, const uint8_t **strips)
{
    float *made = t->scratch; /* [rows, padded][n_cols] */

    if (t->is_packed && t->n_rows % ROWS == 0 &&
        (t->type == TKX__W_F32 || (t->type == TKX__W_F16 && t->n_tok <= FEW))) {
        *strips = t->w;
        return t->type;
    }
    *strips = (const uint8_t *)made;
    for (size_t r = 0; r < t->n_rows;
         r += TKX__STRIP_ROWS, made += TKX__STRIP_ROWS * t->n_cols) {
        const uint8_t *strip = t->w + r * t->row_size;

        if (!t->is_packed)
            turn(t, r, made);
        else if (t->type == TKX__W_F16)
            widen(TKX__W_F16, strip, t->n_cols, made);
        else if (t->type == TKX__W_BF16)
            widen(TKX__W_BF16, strip, t->n_cols, made);
        else
            memcpy(made, strip, TKX__STRIP_ROWS * t->row_size);
    }
    if ((t->n_rows + 7) / 8 % 2)
        memset(made, 0, TKX__STRIP_ROWS * t->n_cols * sizeof *made);
    return TKX__W_F32;
}

/* Sums of fewer than 16 rows to their place. */
static void put_rest(const tkx__tile *t, size_t row, size_t tok, const float *from)
{
    float *out = t->out + tok * t->out_stride + row;
    size_t n = t->n_rows - row;

    if (t->add_scale == 0) {
        memcpy(out, from, n * sizeof *out);
        return;
    }
    memmove(out, t->base + tok * t->base_stride + row, n * sizeof *out);
    tkx__avx2_axpy(out, t->add_scale, from, n);
}

/* The last rows, fewer than 16; of the last token again where there are no three. */
static void multiply_rest(const tkx__tile *t, const uint8_t *strips)
{
    size_t first = t->n_rows / ROWS * ROWS;
    float spare[TOKENS][ROWS];
    piece p = {.n_cols = t->n_cols};

    p.w[0] = strips + first * t->n_cols * sizeof(float);
    p.w[1] = p.w[0] + TKX__STRIP_ROWS * t->n_cols * sizeof(float);
    for (size_t tok = 0; tok < t->n_tok; tok += TOKENS) {
        size_t n = at_most(t->n_tok - tok, TOKENS);

        for (size_t i = 0; i < TOKENS; i++) {
            size_t at = tok + at_most(i, n - 1);

            p.x[i] = (const float *)(const void *)tkx__tile_act(t, at);
            p.base[i] = spare[i];
            p.out[i] = spare[i];
        }
        if (n == 1)
            multiply(TKX__W_F32, &p, 1);
        else
            multiply(TKX__W_F32, &p, TOKENS);
        for (size_t i = 0; i < n; i++)
            put_rest(t, first, tok + i, spare[i]);
    }
}

bool tkx__avx2_narrow_f(const tkx__tile *t)
{
    const uint8_t *strips;

    if (t->n_cols > COLS || t->n_cols % 8 != 0 || tkx__wtype_block_cols(t->type) != 1)
        return false;
    if (find_strips(t, &strips) == TKX__W_F16)
        narrow_f16(t, strips);
    else
        narrow_f32(t, strips);
    if (t->n_rows % ROWS)
        multiply_rest(t, strips);
    return true;
}
