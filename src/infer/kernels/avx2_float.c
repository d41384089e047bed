// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float.c - weights of any type against several tokens of float32 activations.
 *
 * Lanes run over columns (lane l: l, l + 8, ..), so that file order is kernel order.  3
 * rows meet 4 tokens: 12 chains of multiply-adds keep both multipliers busy.  Sums pass
 * through memory between chunks of columns and must not come from further than the
 * first-level cache: so the innermost loop has 6 rows and few tokens, and takes the rows
 * again for the next tokens.  Half-precision weights are converted where they are
 * multiplied, which costs next to nothing; quantised ones are decoded first.
 */
#include "infer/kernels/avx2_float.h"

#define TRIO 3
#define ROWS (2 * TRIO)
#define GROUP 4

/* Plain types: of 6 rows and 4 tokens, what the first-level cache nearly holds; tokens
   whose rows the second-level cache holds. */
#define PLAIN_COLS 1024
#define PLAIN_TOKENS 16
/* Quantised ones: decoded rows are twice as large, and better used often. */
#define PANEL_COLS 512
#define PANEL_TOKENS 64

/* 6 rows times tokens, some columns: whole eights, but for the last few of a row. */
typedef struct piece {
    const uint8_t *w[ROWS]; /* at the first column */
    const float *const *x;  /* of all tokens, at the row's first column */
    float *lanes;           /* [tokens][ROWS][8] */
    float *out;             /* row r of token t at out[t * out_stride + r] */
    size_t out_stride;
    size_t n_tok;
    size_t first; /* column */
    size_t n;
    size_t n_rows; /* of the 6, to be written */
    bool is_last;
} piece;

/* Sums of 4 vectors, each in the one order. */
TKX__INLINE __m128 sum8x4(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m256 ac = _mm256_add_ps(_mm256_permute2f128_ps(a, c, 0x20),
                              _mm256_permute2f128_ps(a, c, 0x31));
    __m256 bd = _mm256_add_ps(_mm256_permute2f128_ps(b, d, 0x20),
                              _mm256_permute2f128_ps(b, d, 0x31));
    __m256 v =
        _mm256_add_ps(_mm256_shuffle_ps(ac, bd, 0x44), _mm256_shuffle_ps(ac, bd, 0xee));
    __m128 low;
    __m128 high;

    v = _mm256_add_ps(_mm256_shuffle_ps(v, v, 0x88), _mm256_shuffle_ps(v, v, 0xdd));
    low = _mm256_castps256_ps128(v); /* a, b, a, b */
    high = _mm256_extractf128_ps(v, 1);
    return _mm_movelh_ps(low, high);
}

/* The sums of 4 tokens: 3 neighbours to each. */
TKX__INLINE void put_trio(__m256 y[GROUP][TRIO], float *out, size_t stride)
{
    __m128 r0 = sum8x4(y[0][0], y[1][0], y[2][0], y[3][0]);
    __m128 r1 = sum8x4(y[0][1], y[1][1], y[2][1], y[3][1]);
    __m128 r2 = sum8x4(y[0][2], y[1][2], y[2][2], y[3][2]);
    __m128 low = _mm_unpacklo_ps(r0, r1);
    __m128 high = _mm_unpackhi_ps(r0, r1);

    _mm_storel_pi((__m64 *)(void *)out, low);
    _mm_store_ss(out + 2, r2);
    out += stride;
    _mm_storeh_pi((__m64 *)(void *)out, low);
    _mm_store_ss(out + 2, _mm_movehdup_ps(r2));
    out += stride;
    r2 = _mm_movehl_ps(r2, r2);
    _mm_storel_pi((__m64 *)(void *)out, high);
    _mm_store_ss(out + 2, r2);
    out += stride;
    _mm_storeh_pi((__m64 *)(void *)out, high);
    _mm_store_ss(out + 2, _mm_movehdup_ps(r2));
}

/* 8 columns of 3 rows and n_tok tokens. */
TKX__INLINE void step(tkx__wtype type, int n_tok, const uint8_t *const w[TRIO],
                      const float *const x[GROUP], size_t c, __m256 y[GROUP][TRIO])
{
    __m256 w0 = load_plain(type, w[0], c);
    __m256 w1 = load_plain(type, w[1], c);
    __m256 w2 = load_plain(type, w[2], c);

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        __m256 v = _mm256_loadu_ps(x[t] + c);

        y[t][0] = _mm256_fmadd_ps(w0, v, y[t][0]);
        y[t][1] = _mm256_fmadd_ps(w1, v, y[t][1]);
        y[t][2] = _mm256_fmadd_ps(w2, v, y[t][2]);
    }
}

/* Rows r .. r + 2 with tokens tok .. tok + n_tok - 1. */
TKX__INLINE void multiply(tkx__wtype type, int n_tok, const piece *p, size_t r,
                          size_t tok)
{
    const uint8_t *w[TRIO] = {p->w[r], p->w[r + 1], p->w[r + 2]};
    const float *x[GROUP];
    float *lanes = p->lanes + (tok * ROWS + r * GROUP) * 8;
    float *out = p->out + tok * p->out_stride + r;
    __m256 y[GROUP][TRIO];
    size_t c = 0;

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        x[t] = p->x[tok + (size_t)t] + p->first;
        for (int i = 0; i < TRIO; i++)
            y[t][i] = p->first == 0 ? _mm256_setzero_ps()
                                    : _mm256_loadu_ps(lanes + (t * TRIO + i) * 8);
    }
    for (; c + 32 <= p->n; c += 32) {
        TKX__UNROLL
        for (size_t i = 0; i < 32; i += 8)
            step(type, n_tok, w, x, c + i, y);
    }
    for (; c + 8 <= p->n; c += 8)
        step(type, n_tok, w, x, c, y);
    if (p->is_last && n_tok == GROUP && p->n_rows >= r + TRIO) {
        put_trio(y, out, p->out_stride);
        return;
    }
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++)
        for (int i = 0; i < TRIO; i++)
            _mm256_storeu_ps(lanes + (t * TRIO + i) * 8, y[t][i]);
    if (!p->is_last)
        return;
    for (size_t t = 0; t < (size_t)n_tok; t++)
        for (size_t i = 0; i < TRIO && r + i < p->n_rows; i++)
            out[t * p->out_stride + i] =
                sum8(_mm256_loadu_ps(lanes + (t * TRIO + i) * 8));
}

TKX__INLINE void multiply_group(tkx__wtype type, int n_tok, const piece *p, size_t tok)
{
    multiply(type, n_tok, p, 0, tok);
    if (p->n_rows > TRIO)
        multiply(type, n_tok, p, TRIO, tok);
}

#define MULTIPLY(NAME, TYPE)                                                             \
    static void NAME(const piece *p)                                                     \
    {                                                                                    \
        size_t tok = 0;                                                                  \
                                                                                         \
        for (; tok + 4 <= p->n_tok; tok += 4)                                            \
            multiply_group(TYPE, 4, p, tok);                                             \
        if (p->n_tok - tok == 3)                                                         \
            multiply_group(TYPE, 3, p, tok);                                             \
        else if (p->n_tok - tok == 2)                                                    \
            multiply_group(TYPE, 2, p, tok);                                             \
        else if (p->n_tok - tok == 1)                                                    \
            multiply_group(TYPE, 1, p, tok);                                             \
    }

MULTIPLY(multiply_f32, TKX__W_F32)
MULTIPLY(multiply_f16, TKX__W_F16)
MULTIPLY(multiply_bf16, TKX__W_BF16)

/* The last columns of a row, fewer than 8. */
static void multiply_tail(tkx__wtype type, const piece *p)
{
    const __m256i mask = mask8(p->n);

    for (size_t r = 0; r < p->n_rows; r++) {
        __m256 w = load_tail(type, p->w[r], 0, p->n);

        for (size_t t = 0; t < p->n_tok; t++) {
            size_t trio = r / TRIO * GROUP + t % GROUP;
            const float *lanes =
                p->lanes + (t / GROUP * GROUP * ROWS + trio * TRIO + r % TRIO) * 8;
            __m256 y = p->first == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(lanes);

            y = _mm256_fmadd_ps(w, _mm256_maskload_ps(p->x[t] + p->first, mask), y);
            p->out[t * p->out_stride + r] = sum8(y);
        }
    }
}

/* What a tile is worked on with; in the thread's scratch. */
typedef struct desk {
    float panel[ROWS][PANEL_COLS];
    float lanes[PANEL_TOKENS * ROWS * 8];
    const float *x[TKX__TILE_TOKENS];
} desk;

_Static_assert(sizeof(desk) <= TKX__TILE_SCRATCH, "a tile's desk fits its scratch");

static const uint8_t *row_at(const tkx__tile *t, size_t row, size_t col)
{
    size_t block = tkx__wtype_block_cols(t->type);

    row = row < t->n_rows ? row : t->n_rows - 1; /* short of rows: the last one again */
    return t->w + row * t->row_size + col / block * tkx__wtype_block_size(t->type);
}

/* Points p at rows r .. r + 5; returns as what plain type they stand there. */
static tkx__wtype find_rows(const tkx__tile *t, size_t r, bool is_plain, desk *k,
                            piece *p)
{
    for (size_t i = 0; i < ROWS; i++) {
        const uint8_t *w = row_at(t, r + i, p->first);

        if (is_plain) {
            p->w[i] = w;
            continue;
        }
        if (i < p->n_rows)
            tkx__avx2_decode(t->type, w, p->n, k->panel[i]);
        p->w[i] = (const uint8_t *)k->panel[i < p->n_rows ? i : 0];
    }
    return is_plain ? t->type : TKX__W_F32;
}

/* Rows r .. r + 5 with tokens tok .. tok + n_tok - 1, chunks of n columns. */
static void six_rows(const tkx__tile *t, size_t r, size_t tok, size_t n_tok, size_t n,
                     bool is_plain, desk *k)
{
    piece p = {.x = k->x + tok,
               .lanes = k->lanes,
               .out = t->out + tok * t->out_stride + r,
               .out_stride = t->out_stride,
               .n_tok = n_tok,
               .n_rows = t->n_rows - r < ROWS ? t->n_rows - r : ROWS};

    for (; p.first < t->n_cols; p.first += p.n) {
        size_t left = t->n_cols - p.first;
        tkx__wtype type;

        p.n = left >= n ? n : left < 8 ? left : left / 8 * 8; /* the last few alone */
        p.is_last = p.n == left;
        type = find_rows(t, r, is_plain, k, &p);
        if (p.n < 8)
            multiply_tail(type, &p);
        else if (type == TKX__W_F16)
            multiply_f16(&p);
        else if (type == TKX__W_BF16)
            multiply_bf16(&p);
        else
            multiply_f32(&p);
    }
}

/* Chunks of about equal size. */
static size_t plain_cols(size_t n_cols)
{
    size_t whole = n_cols / 8 * 8;
    size_t n_chunks = (whole + PLAIN_COLS - 1) / PLAIN_COLS;

    return n_chunks ? ((whole + n_chunks - 1) / n_chunks + 7) / 8 * 8 : 8;
}

static void several(const tkx__tile *t, bool is_plain)
{
    size_t n = is_plain ? plain_cols(t->n_cols) : PANEL_COLS;
    size_t at_once = is_plain ? PLAIN_TOKENS : PANEL_TOKENS;
    desk *k = t->scratch;

    for (size_t i = 0; i < t->n_tok; i++)
        k->x[i] = (const float *)(const void *)tkx__tile_act(t, i);
    for (size_t tok = 0; tok < t->n_tok; tok += at_once) {
        size_t left = t->n_tok - tok;

        for (size_t r = 0; r < t->n_rows; r += ROWS)
            six_rows(t, r, tok, left < at_once ? left : at_once, n, is_plain, k);
    }
}

void tkx__avx2_tile_f(const tkx__tile *t)
{
    bool is_plain = tkx__wtype_block_cols(t->type) == 1;

    if (is_plain && t->n_tok <= TKX__FEW_TOKENS && !t->is_packed)
        tkx__avx2_few_f(t);
    else if (!tkx__avx2_narrow_f(t))
        several(t, is_plain);
}
