// SPDX-License-Identifier: Apache-2.0
/*
 * avx2_float.c - weights of any type against several tokens of float32 activations.
 *
 * Lanes run over columns (lane l: l, l + 8, ..), so that file order is kernel order.  3
 * rows meet 4 tokens: 12 chains of multiply-adds keep both multipliers busy.  Rows of
 * half precision are converted where they are multiplied.  Many tokens: a group of 4
 * meets 24 rows before the next group comes, so that activations, which are more than
 * the second-level cache holds, come once for 24 rows.  Few: 6 rows meet all of them.
 * The rows that come next are fetched meanwhile: the CPU's own prefetching begins anew
 * with every row.  Quantised rows are decoded first, in chunks of columns that the
 * first-level cache holds.
 */
#include "infer/kernels/avx2_float.h"

#define TRIO TKX__TRIO
#define SIX (2 * TRIO)
#define MAX_ROWS (8 * TRIO)
#define GROUP TKX__GROUP

/* Columns at once: of half precision, with which the activations of 4 tokens fit the
   second-level cache, and 24 rows beside them; of float32, of decoded rows, the
   first-level cache. */
#define HALF_COLS 10240
#define MANY_COLS 4096
#define PLAIN_COLS 1024
#define PANEL_COLS 512
/* Tokens that take turns before the next 6 rows: as many as the second-level cache holds,
   but enough for the rows to come in meanwhile. */
#define X_BYTES ((size_t)256 * 1024)
#define MIN_TOKENS 16
#define MAX_TOKENS 64
/* From so many on, 24 rows. */
#define MANY_TOKENS 48

/* Where what is multiplied next stands: as many rows. */
typedef struct coming {
    const uint8_t *rows;
    size_t row_size;
    bool is_run; /* the columns are whole rows, one run of bytes */
} coming;

/* 6 or 24 rows times tokens, some columns: whole eights, but for the last few of a row. */
typedef struct piece {
    const uint8_t *w[MAX_ROWS]; /* at the first column */
    coming next;                /* rows NULL: not to be fetched */
    const float *const *x;      /* of all tokens, at the row's first column */
    float *lanes;               /* [tokens][block][8] */
    float *out;                 /* row r of token t at out[t * out_stride + r] */
    size_t out_stride;
    size_t n_tok;
    size_t first; /* column */
    size_t n;
    size_t block;  /* 6 or 24 */
    size_t n_rows; /* of these, to be written */
    bool is_last;
} piece;

/* What a group of tokens and its rows fetch with each cache line that they multiply: up
   to 3. */
typedef struct fetcher {
    const char *at;
    size_t n;
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
    size_t group = (tok + GROUP - 1) / GROUP;
    size_t first = (n_rows * group + n_groups - 1) / n_groups;
    size_t n = (n_rows * (group + 1) + n_groups - 1) / n_groups - first;
    size_t apart = next->is_run ? 64 : next->row_size;

    if (!next->rows || n == 0)
        return (fetcher){.n = 0};
    return (fetcher){.at = (const char *)next->rows + (r + first) * next->row_size,
                     .n = n,
                     .second = apart,
                     .third = n > 2 ? 2 * apart : apart,
                     .step = next->is_run ? 64 * (n > 3 ? 3 : n) : 64};
}

TKX__INLINE void fetch(fetcher *f)
{
    if (f->n == 0)
        return;
    _mm_prefetch(f->at, _MM_HINT_T0);
    if (f->n > 1) {
        _mm_prefetch(f->at + f->second, _MM_HINT_T0);
        _mm_prefetch(f->at + f->third, _MM_HINT_T0);
    }
    f->at += f->step;
}

/* Rows r .. r + n_rows - 1 with tokens tok .. tok + n_tok - 1. */
TKX__INLINE void multiply(tkx__wtype type, int n_rows, int n_tok, const piece *p,
                          size_t r, size_t tok)
{
    const size_t line = type == TKX__W_F32 ? 16 : 32; /* columns */
    fetcher next = share_out(p, r, (size_t)n_rows, tok);
    float *lanes = p->lanes + (tok * p->block + r) * 8;
    const uint8_t *w[SIX];
    const float *x[GROUP] = {p->x[tok]};
    __m256 y[GROUP][8];
    const int block = (int)p->block;
    const size_t n = p->n;
    size_t c = 0;

    TKX__UNROLL
    for (int i = 0; i < SIX; i++)
        w[i] = p->w[i < n_rows ? r + (size_t)i : r];
    TKX__UNROLL
    for (int t = 0; t < n_tok; t++) {
        x[t] = p->x[tok + (size_t)t] + p->first;
        for (int i = 0; i < n_rows; i++)
            y[t][i] = p->first == 0 ? _mm256_setzero_ps()
                                    : _mm256_loadu_ps(lanes + (t * block + i) * 8);
    }
    for (; c + 2 * line <= n; c += 2 * line) {
        fetch(&next);
        fetch(&next);
        TKX__UNROLL
        for (size_t i = 0; i < 2 * line; i += 8)
            step(type, n_rows, n_tok, w, x, c + i, y);
    }
    for (; c + 8 <= n; c += 8)
        step(type, n_rows, n_tok, w, x, c, y);
    if (!p->is_last) {
        TKX__UNROLL
        for (int t = 0; t < n_tok; t++)
            for (int i = 0; i < n_rows; i++)
                _mm256_storeu_ps(lanes + (t * block + i) * 8, y[t][i]);
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

/* 12 chains at once: 3 rows of 4 tokens, 6 of 2. */
TKX__INLINE void multiply_group(tkx__wtype type, int n_tok, const piece *p, size_t tok)
{
    const int n_rows = n_tok < 3 ? SIX : TRIO;

    for (size_t r = 0; r < p->n_rows; r += (size_t)n_rows)
        multiply(type, n_rows, n_tok, p, r, tok);
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
            const float *lanes = p->lanes + (t * p->block + r) * 8;
            __m256 y = p->first == 0 ? _mm256_setzero_ps() : _mm256_loadu_ps(lanes);

            y = _mm256_fmadd_ps(w, _mm256_maskload_ps(p->x[t] + p->first, mask), y);
            p->out[t * p->out_stride + r] = sum8(y);
        }
    }
}

/* What a tile is worked on with; in the thread's scratch. */
typedef struct desk {
    float panel[SIX][PANEL_COLS];
    float lanes[TKX__TILE_TOKENS * MAX_ROWS * 8];
    const float *x[TKX__TILE_TOKENS];
} desk;

_Static_assert(sizeof(desk) <= TKX__TILE_SCRATCH, "a tile's desk fits its scratch");

static const uint8_t *row_at(const tkx__tile *t, size_t row, size_t col)
{
    size_t block = tkx__wtype_block_cols(t->type);

    row = row < t->n_rows ? row : t->n_rows - 1; /* short of rows: the last one again */
    return t->w + row * t->row_size + col / block * tkx__wtype_block_size(t->type);
}

/* Points p at rows r .. r + block - 1; returns as what plain type they stand there. */
static tkx__wtype find_rows(const tkx__tile *t, size_t r, bool is_plain, desk *k,
                            piece *p)
{
    for (size_t i = 0; i < p->block; i++) {
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

/* What is read after columns .. end - 1 of rows r .. next - 1. */
static const uint8_t *find_next(const tkx__tile *t, size_t r, size_t next, size_t end,
                                bool is_again)
{
    if (end < t->n_cols)
        return row_at(t, r, end);
    return t->w + (is_again && next >= t->n_rows ? 0 : next * t->row_size);
}

/* How a tile is cut: so many rows, tokens and columns at once. */
typedef struct cut {
    size_t rows;
    size_t toks;
    size_t cols;
} cut;

/* Rows r .. r + at_once.rows - 1 with tokens tok .. tok + n_tok - 1. */
static void some_rows(const tkx__tile *t, const cut *at_once, size_t r, size_t tok,
                      size_t n_tok, bool is_plain, desk *k)
{
    size_t n = at_once->cols;
    size_t next = r + at_once->rows;
    piece p = {.next = {.row_size = t->row_size, .is_run = n >= t->n_cols},
               .x = k->x + tok,
               .lanes = k->lanes,
               .out = t->out + tok * t->out_stride + r,
               .out_stride = t->out_stride,
               .n_tok = n_tok,
               .block = at_once->rows,
               .n_rows = t->n_rows < next ? t->n_rows - r : at_once->rows};

    for (; p.first < t->n_cols; p.first += p.n) {
        size_t left = t->n_cols - p.first;
        tkx__wtype type;

        p.n = left >= n ? n : left < 8 ? left : left / 8 * 8; /* the last few alone */
        p.is_last = p.n == left;
        type = find_rows(t, r, is_plain, k, &p);
        if (is_plain)
            p.next.rows = find_next(t, r, next, p.first + p.n, tok + n_tok < t->n_tok);
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
static size_t plain_cols(const tkx__tile *t, size_t most)
{
    size_t whole = t->n_cols / 8 * 8;
    size_t n_chunks = (whole + most - 1) / most;

    return n_chunks ? ((whole + n_chunks - 1) / n_chunks + 7) / 8 * 8 : 8;
}

static cut cut_plain(const tkx__tile *t)
{
    size_t most = t->type == TKX__W_F32 ? PLAIN_COLS : HALF_COLS;
    size_t n = X_BYTES / sizeof(float) / t->n_cols / GROUP * GROUP;

    if (t->n_tok >= MANY_TOKENS)
        return (cut){.rows = MAX_ROWS,
                     .toks = TKX__TILE_TOKENS,
                     .cols = plain_cols(t, most < MANY_COLS ? most : MANY_COLS)};
    return (cut){.rows = SIX,
                 .toks = n < MIN_TOKENS   ? MIN_TOKENS
                         : n > MAX_TOKENS ? MAX_TOKENS
                                          : n,
                 .cols = plain_cols(t, most)};
}

static void several(const tkx__tile *t, bool is_plain)
{
    /* decoded rows are better used often */
    const cut decoded = {.rows = SIX, .toks = MAX_TOKENS, .cols = PANEL_COLS};
    cut at_once = is_plain ? cut_plain(t) : decoded;
    desk *k = t->scratch;

    for (size_t i = 0; i < t->n_tok; i++)
        k->x[i] = (const float *)(const void *)tkx__tile_act(t, i);
    for (size_t tok = 0; tok < t->n_tok; tok += at_once.toks) {
        size_t left = t->n_tok - tok;

        for (size_t r = 0; r < t->n_rows; r += at_once.rows)
            some_rows(t, &at_once, r, tok, left < at_once.toks ? left : at_once.toks,
                      is_plain, k);
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
