// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float.c - weights of any type against several tokens of float32 activations.
 *
 * Lanes run over columns (lane l: l, l + 8, ..), so that file order is kernel order.  3
 * rows meet 4 tokens: 12 chains of multiply-adds keep both multipliers busy.  Rows of
 * half precision go whole, so that their sums never leave the registers; they are
 * converted where they are multiplied, which costs next to nothing.  6 rows and some
 * tokens come before the next 6 rows, which are fetched meanwhile: the CPU's own
 * prefetching begins anew with every row.  Quantised rows are decoded first, in chunks of
 * columns that the first-level cache holds.
 */
#include "infer/kernels/avx2_float.h"

#define TRIO TKX__TRIO
#define ROWS (2 * TRIO)
#define GROUP TKX__GROUP

/* Columns at once: of half precision, with which the activations of 4 tokens fit the
   second-level cache; of float32, of decoded rows, the first-level cache. */
#define HALF_COLS 10240
#define PLAIN_COLS 1024
#define PANEL_COLS 512
/* Tokens that take turns before the next 6 rows: as many as the second-level cache holds,
   but enough for the rows to come in meanwhile. */
#define X_BYTES ((size_t)256 * 1024)
#define MIN_TOKENS 16
#define MAX_TOKENS 64

/* Where what is multiplied next stands: 6 rows. */
typedef struct coming {
    const uint8_t *rows;
    size_t row_size;
    bool is_run; /* the columns are whole rows, one run of bytes */
} coming;

/* 6 rows times tokens, some columns: whole eights, but for the last few of a row. */
typedef struct piece {
    const uint8_t *w[ROWS]; /* at the first column */
    coming next;            /* rows NULL: not to be fetched */
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

/* What a group of tokens and its rows fetch in each turn of the loop: 3 cache lines, the
   same again where the groups beside it have the others. */
typedef struct fetcher {
    const char *at;
    size_t second;
    size_t third;
    size_t step;
} fetcher;

/* ---- products ---- */

/* The share of rows r .. r + n_rows - 1 and the group with token tok. */
TKX__INLINE fetcher share_out(const piece *p, size_t r, size_t n_rows, size_t tok)
{
    const coming *next = &p->next;
    size_t n_groups = (p->n_tok + GROUP - 1) / GROUP;
    size_t first = n_rows * ((tok + GROUP - 1) / GROUP) / n_groups;
    size_t n = (n_rows + n_groups - 1) / n_groups; /* rows, at most 3 */
    size_t apart = next->is_run ? 64 : next->row_size;

    if (!next->rows)
        return (fetcher){.at = (const char *)p->w[0]};
    return (fetcher){.at = (const char *)next->rows + (r + first) * next->row_size,
                     .second = n > 1 ? apart : 0,
                     .third = n > 2 ? 2 * apart : 0,
                     .step = next->is_run ? 64 * n : 64};
}

TKX__INLINE void fetch(fetcher *f)
{
    _mm_prefetch(f->at, _MM_HINT_T0);
    _mm_prefetch(f->at + f->second, _MM_HINT_T0);
    _mm_prefetch(f->at + f->third, _MM_HINT_T0);
    f->at += f->step;
}

/* Rows r .. r + n_rows - 1 with tokens tok .. tok + n_tok - 1. */
TKX__INLINE void multiply(tkx__wtype type, int n_rows, int n_tok, const piece *p,
                          size_t r, size_t tok)
{
    const size_t line = type == TKX__W_F32 ? 16 : 32; /* columns */
    fetcher next = share_out(p, r, (size_t)n_rows, tok);
    float *lanes = p->lanes + (tok * ROWS + r) * 8;
    const float *x[GROUP] = {p->x[tok]};
    __m256 y[GROUP][8];
    size_t c = 0;

    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        x[t] = p->x[tok + (size_t)t] + p->first;
        for (int i = 0; i < n_rows; i++)
            y[t][i] = p->first == 0 ? _mm256_setzero_ps()
                                    : _mm256_loadu_ps(lanes + (t * ROWS + i) * 8);
    }
    for (; c + line <= p->n; c += line) {
        fetch(&next);
        TKX__UNROLL
        for (size_t i = 0; i < line; i += 8)
            step(type, n_rows, n_tok, p->w + r, x, c + i, y);
    }
    for (; c + 8 <= p->n; c += 8)
        step(type, n_rows, n_tok, p->w + r, x, c, y);
    if (!p->is_last) {
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            for (int i = 0; i < n_rows; i++)
                _mm256_storeu_ps(lanes + (t * ROWS + i) * 8, y[t][i]);
    } else {
        float *out = p->out + tok * p->out_stride + r;
        size_t left = p->n_rows - r;

        if (n_tok == GROUP && left >= TRIO)
            put_trio(y, out, p->out_stride);
        else
            put_few(n_rows, n_tok, y, out, p->out_stride,
                    left < (size_t)n_rows ? left : (size_t)n_rows);
    }
}

/* 6 rows: 12 chains at once of 4 tokens or 2. */
TKX__INLINE void multiply_group(tkx__wtype type, int n_tok, const piece *p, size_t tok)
{
    if (n_tok < 3) {
        multiply(type, ROWS, n_tok, p, 0, tok);
        return;
    }
    multiply(type, TRIO, n_tok, p, 0, tok);
    if (p->n_rows > TRIO)
        multiply(type, TRIO, n_tok, p, TRIO, tok);
}

/* 5 tokens are 3 and 2: one alone has too few chains. */
#define MULTIPLY(NAME, TYPE)                                                             \
    static void NAME(const piece *p)                                                     \
    {                                                                                    \
        size_t tok = 0;                                                                  \
                                                                                         \
        for (; p->n_tok - tok >= 4 && p->n_tok - tok != 5; tok += 4)                     \
            multiply_group(TYPE, 4, p, tok);                                             \
        if (p->n_tok - tok == 5 || p->n_tok - tok == 3) {                                \
            multiply_group(TYPE, 3, p, tok);                                             \
            tok += 3;                                                                    \
        }                                                                                \
        if (p->n_tok - tok == 2)                                                         \
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
            const float *lanes = p->lanes + (t * ROWS + r) * 8;
            __m256 y = p->first == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(lanes);

            y = _mm256_fmadd_ps(w, _mm256_maskload_ps(p->x[t] + p->first, mask), y);
            p->out[t * p->out_stride + r] = sum8(y);
        }
    }
}

/* What a tile is worked on with; in the thread's scratch. */
typedef struct desk {
    float panel[ROWS][PANEL_COLS];
    float lanes[MAX_TOKENS * ROWS * 8];
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

/* What is read after columns .. end - 1 of rows r .. r + 5. */
static const uint8_t *find_next(const tkx__tile *t, size_t r, size_t end, bool is_again)
{
    if (end < t->n_cols)
        return row_at(t, r, end);
    return t->w + (is_again && r + ROWS >= t->n_rows ? 0 : (r + ROWS) * t->row_size);
}

/* Rows r .. r + 5 with tokens tok .. tok + n_tok - 1, chunks of n columns. */
static void six_rows(const tkx__tile *t, size_t r, size_t tok, size_t n_tok, size_t n,
                     bool is_plain, desk *k)
{
    piece p = {.next = {.row_size = t->row_size, .is_run = n >= t->n_cols},
               .x = k->x + tok,
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
        if (is_plain)
            p.next.rows = find_next(t, r, p.first + p.n, tok + n_tok < t->n_tok);
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
static size_t plain_cols(const tkx__tile *t)
{
    size_t most = t->type == TKX__W_F32 ? PLAIN_COLS : HALF_COLS;
    size_t whole = t->n_cols / 8 * 8;
    size_t n_chunks = (whole + most - 1) / most;

    return n_chunks ? ((whole + n_chunks - 1) / n_chunks + 7) / 8 * 8 : 8;
}

static size_t tokens_at_once(const tkx__tile *t, bool is_plain)
{
    size_t n = X_BYTES / sizeof(float) / t->n_cols / GROUP * GROUP;

    if (!is_plain) /* decoded rows are better used often */
        return MAX_TOKENS;
    return n < MIN_TOKENS ? MIN_TOKENS : n > MAX_TOKENS ? MAX_TOKENS : n;
}

static void several(const tkx__tile *t, bool is_plain)
{
    size_t n = is_plain ? plain_cols(t) : PANEL_COLS;
    size_t at_once = tokens_at_once(t, is_plain);
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

    if (is_plain && t->n_tok <= GROUP && !t->is_packed)
        tkx__avx2_few_f(t);
    else if (!tkx__avx2_narrow_f(t) && !tkx__avx2_short_f(t))
        several(t, is_plain);
}
