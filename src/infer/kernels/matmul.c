// SPDX-License-Identifier: Apache-2.0
/*
 * matmul.c - a group of products over the pool.
 *
 * Activations are brought into each form once.  The rows of all products (and of the A of
 * all adapters) are cut into pieces; a second run adds the B of the adapters.  A piece is
 * a tile: some rows against at most TKX__TILE_TOKENS tokens.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/kernels/work.h"

/* One matrix against some tokens: a product, or half of an adapter. */
typedef struct unit {
    const tkx__matrix *w;
    const uint8_t *act;
    size_t act_stride;
    const uint32_t *x_rows;
    size_t n_tok;
    const tkx__product *product; /* where y is; NULL for the A of an adapter */
    const uint32_t *indices;     /* tokens of the product; NULL: all */
    float *dense;                /* y of an A: [n_tok][rank] */
    bool add;
    float scale;
    size_t rows_per_piece;
    size_t n_large;   /* pieces of that many rows; then */
    size_t last_rows; /* so many, or what is left */
    size_t toks_per_piece;
    size_t n_chunks; /* of tokens */
    size_t n_pieces;
} unit;

typedef tkx__matmul_job job;

/* ---- units ---- */

/*
 * Few tokens: a piece is some tens of KiB of weights.  Many: enough rows to keep the
 * arithmetic busy, few enough for the buffer between.
 */
static size_t rows_of_piece(const job *j, const unit *u)
{
    size_t rows;
    size_t most;

    if (u->n_tok >= 16)
        return 48;
    rows = (j->piece_bytes / u->w->row_size + 15) / 16 * 16;
    /* of narrow rows (an adapter's B) as many as the buffer holds */
    most = u->product && u->product->w == u->w ? TKX__TILE_MAX_ROWS
                                               : TKX__TILE_OUT / u->n_tok / 16 * 16;
    if (most > TKX__TILE_NARROW_ROWS)
        most = TKX__TILE_NARROW_ROWS;
    rows = rows < most ? rows : most;
    return rows < 16 ? 16 : rows;
}

/* is_last: threads end together when the last rows of a phase are in small pieces. */
static void cut(const job *j, unit *u, bool is_last)
{
    size_t n_chunks = (u->n_tok + TKX__TILE_TOKENS - 1) / TKX__TILE_TOKENS;
    size_t tail;

    if (n_chunks == 0) {
        u->n_pieces = 0;
        return;
    }
    u->toks_per_piece = (u->n_tok + n_chunks - 1) / n_chunks;
    if (n_chunks > 1) /* whole groups of 4 */
        u->toks_per_piece = (u->toks_per_piece + 3) / 4 * 4;
    u->n_chunks = (u->n_tok + u->toks_per_piece - 1) / u->toks_per_piece;

    u->rows_per_piece = rows_of_piece(j, u);
    u->last_rows = u->rows_per_piece;
    u->n_large = u->w->n_rows / u->rows_per_piece;
    tail = tkx__threads_count(j->work->pool);
    if (is_last && u->rows_per_piece > 16 && u->n_large > tail) {
        u->n_large -= tail;
        u->last_rows = (u->rows_per_piece / 3 + 15) / 16 * 16;
    }
    tail = u->w->n_rows - u->n_large * u->rows_per_piece;
    u->n_pieces = (u->n_large + (tail + u->last_rows - 1) / u->last_rows) * u->n_chunks;
}

static void use_activations(const job *j, unit *u, tkx__act_form form)
{
    const tkx__work *w = j->work;

    u->act_stride = tkx__act_row_size(form, u->w->n_cols);
    if (form == TKX__ACT_Q8_32) {
        u->act = w->act_32;
    } else if (form == TKX__ACT_Q8_256) {
        u->act = w->act_256;
    } else {
        u->act = (const uint8_t *)j->x;
        u->act_stride = j->x_stride * sizeof(float);
    }
}

static void product_unit(const job *j, const tkx__product *p, bool is_last, unit *u)
{
    *u = (unit){.w = p->w,
                .x_rows = p->x_rows,
                .n_tok = p->n_tok,
                .product = p,
                .add = p->add,
                .scale = 1};
    use_activations(j, u, tkx__act_form_of(p->w->type, j->work->compute));
    cut(j, u, is_last);
}

/* use is the number of the adapter's use in the whole call. */
static void lora_unit(const job *j, bool is_b, const tkx__product *p,
                      const tkx__lora_use *l, size_t use, unit *u)
{
    const tkx__work *w = j->work;
    float *mid = w->lora + use * w->limits.max_tokens * w->limits.max_rank;

    *u = (unit){.n_tok = l->indices ? l->n : p->n_tok, .scale = l->scale};
    if (is_b) {
        u->w = l->b;
        u->act = (const uint8_t *)mid;
        u->act_stride = w->limits.max_rank * sizeof(float);
        u->product = p;
        u->indices = l->indices;
        u->add = true;
    } else {
        u->w = l->a;
        u->dense = mid;
        u->x_rows = l->indices ? w->lora_rows + use * w->limits.max_tokens : p->x_rows;
        use_activations(j, u, TKX__ACT_F32);
    }
    cut(j, u, false);
}

/* ---- one piece ---- */

static void put_row(const tkx__work *w, const unit *u, const float *in, float *y,
                    size_t row, size_t n)
{
    const float *bias = u->product->bias ? u->product->bias + row : NULL;

    if (u->product->w != u->w) { /* the B of an adapter */
        w->k->axpy(y, u->scale, in, n);
    } else if (u->add) {
        for (size_t i = 0; i < n; i++)
            y[i] += in[i] + (bias ? bias[i] : 0);
    } else if (bias) {
        for (size_t i = 0; i < n; i++)
            y[i] = in[i] + bias[i];
    } else {
        memcpy(y, in, n * sizeof *y);
    }
}

static void put_tile(const tkx__work *w, const unit *u, const tkx__tile *t, size_t row)
{
    const tkx__product *p = u->product;

    for (size_t i = 0; i < t->n_tok; i++) {
        size_t tok = t->first_tok + i;
        const float *in = t->out + i * t->out_stride;

        if (!p) {
            memcpy(u->dense + tok * w->limits.max_rank + row, in, t->n_rows * sizeof *in);
            continue;
        }
        if (u->indices)
            tok = u->indices[tok];
        put_row(w, u, in, p->y + (p->y_rows ? p->y_rows[tok] : tok) * p->y_stride + row,
                row, t->n_rows);
    }
}

/* True when the tile's sums are the product's rows as they come. */
static bool is_as_computed(const unit *u)
{
    const tkx__product *p = u->product;

    return p && p->w == u->w && !p->add && !p->bias && !p->y_rows;
}

static void do_piece(const tkx__work *w, const unit *u, size_t piece, size_t thread)
{
    size_t at = piece / u->n_chunks;
    size_t n_rows = at < u->n_large ? u->rows_per_piece : u->last_rows;
    size_t row = at < u->n_large
                     ? at * n_rows
                     : u->n_large * u->rows_per_piece + (at - u->n_large) * n_rows;
    size_t tok = piece % u->n_chunks * u->toks_per_piece;
    size_t rows_left = u->w->n_rows - row;
    size_t toks_left = u->n_tok - tok;
    tkx__tile t = {
        .type = u->w->type,
        .w = (const uint8_t *)u->w->data + row * u->w->row_size,
        .is_packed = u->w->is_packed,
        .row_size = u->w->row_size,
        .n_rows = rows_left < n_rows ? rows_left : n_rows,
        .n_cols = u->w->n_cols,
        .act = u->act,
        .act_stride = u->act_stride,
        .x_rows = u->x_rows,
        .first_tok = tok,
        .n_tok = toks_left < u->toks_per_piece ? toks_left : u->toks_per_piece,
        .out = w->tile_out + thread * TKX__TILE_OUT,
        .out_stride = n_rows,
        .scratch = tkx__work_scratch(w, thread),
    };
    bool is_direct = is_as_computed(u);

    if (is_direct) {
        t.out = u->product->y + tok * u->product->y_stride + row;
        t.out_stride = u->product->y_stride;
    }
    if (u->product && u->product->w == u->w &&
        tkx__act_form_of(u->w->type, w->compute) != TKX__ACT_F32)
        w->k->tile_q(&t);
    else
        w->k->tile_f(&t);
    if (!is_direct)
        put_tile(w, u, &t, row);
}

/* Find the unit that piece belongs to, and do it; or, with do_it false, count pieces.
   is_b: the phase of the adapters' B, after that of their A and the products. */
static size_t walk(const job *j, bool is_b, size_t piece, size_t thread, bool do_it)
{
    size_t n = 0;
    size_t use = 0;
    unit u;

    for (size_t i = 0; i < j->n_products; i++) {
        const tkx__product *p = &j->products[i];

        for (size_t l = 0; l < p->n_loras; l++) {
            lora_unit(j, is_b, p, &p->loras[l], use++, &u);
            if (do_it && piece < n + u.n_pieces) {
                do_piece(j->work, &u, piece - n, thread);
                return n;
            }
            n += u.n_pieces;
        }
        if (is_b)
            continue;
        product_unit(j, p, i + 1 == j->n_products, &u);
        if (do_it && piece < n + u.n_pieces) {
            do_piece(j->work, &u, piece - n, thread);
            return n;
        }
        n += u.n_pieces;
    }
    return n;
}

static void run_piece(void *ctx, size_t piece, size_t thread)
{
    (void)walk(ctx, false, piece, thread, true);
}

static void run_b_piece(void *ctx, size_t piece, size_t thread)
{
    (void)walk(ctx, true, piece, thread, true);
}

/* ---- activations ---- */

#define QUANTIZE_ROWS 4

static void quantize(const job *j, tkx__act_form form, size_t row)
{
    const tkx__work *w = j->work;
    uint8_t *act = form == TKX__ACT_Q8_32 ? w->act_32 : w->act_256;
    size_t n_cols = j->products[0].w->n_cols;

    w->k->quantize(form, j->x + row * j->x_stride, n_cols,
                   act + row * tkx__act_row_size(form, n_cols));
}

/* Some rows of the input, made and brought into each form that is wanted. */
static void prepare_piece(void *ctx, size_t piece, size_t thread)
{
    const job *j = ctx;
    size_t first = piece * QUANTIZE_ROWS;
    size_t end = first + QUANTIZE_ROWS < j->n_x ? first + QUANTIZE_ROWS : j->n_x;

    (void)thread;
    for (size_t i = first; i < end; i++) {
        if (j->fill)
            j->fill(j->fill_ctx, i);
        if (j->forms & 1u << TKX__ACT_Q8_32)
            quantize(j, TKX__ACT_Q8_32, i);
        if (j->forms & 1u << TKX__ACT_Q8_256)
            quantize(j, TKX__ACT_Q8_256, i);
    }
}

/* Rows of x behind the tokens of each adapter use. */
static void find_lora_rows(void *ctx, size_t piece, size_t thread)
{
    const job *j = ctx;
    size_t use = 0;

    (void)piece;
    (void)thread;
    for (size_t i = 0; i < j->n_products; i++) {
        const tkx__product *p = &j->products[i];

        for (size_t l = 0; l < p->n_loras; l++, use++) {
            const tkx__lora_use *lora = &p->loras[l];
            uint32_t *rows = j->work->lora_rows + use * j->work->limits.max_tokens;

            for (size_t t = 0; lora->indices && t < lora->n; t++)
                rows[t] = p->x_rows ? p->x_rows[lora->indices[t]] : lora->indices[t];
        }
    }
}

size_t tkx__matmul_phases(tkx__matmul_job *j, tkx__phase *out)
{
    size_t bytes = 0;
    size_t n_b;
    size_t n = 0;
    bool has_indices = false;

    if (j->n_products == 0 || j->n_x == 0)
        return 0;
    j->forms = 0;
    for (size_t i = 0; i < j->n_products; i++) {
        const tkx__product *p = &j->products[i];

        bytes += p->w->n_rows * p->w->row_size;
        j->forms |= 1u << tkx__act_form_of(p->w->type, j->work->compute);
        for (size_t l = 0; l < p->n_loras; l++)
            has_indices = has_indices || p->loras[l].indices;
    }
    j->piece_bytes = bytes / (tkx__threads_count(j->work->pool) * 8);
    if (j->piece_bytes > 128 * 1024)
        j->piece_bytes = 128 * 1024;
    if (j->fill || j->forms & ~(1u << TKX__ACT_F32))
        out[n++] = (tkx__phase){.fn = prepare_piece,
                                .ctx = j,
                                .n_pieces = (j->n_x + QUANTIZE_ROWS - 1) / QUANTIZE_ROWS};
    if (has_indices)
        out[n++] = (tkx__phase){.fn = find_lora_rows, .ctx = j, .n_pieces = 1};
    out[n++] =
        (tkx__phase){.fn = run_piece, .ctx = j, .n_pieces = walk(j, false, 0, 0, false)};
    n_b = walk(j, true, 0, 0, false);
    if (n_b)
        out[n++] = (tkx__phase){.fn = run_b_piece, .ctx = j, .n_pieces = n_b};
    return n;
}

void tkx__matmul(tkx__work *work, const float *x, size_t x_stride, size_t n_x,
                 const tkx__product *products, size_t n_products)
{
    job j = {.work = work,
             .x = x,
             .x_stride = x_stride,
             .n_x = n_x,
             .products = products,
             .n_products = n_products};
    tkx__phase phases[TKX__MATMUL_PHASES];
    size_t n = tkx__matmul_phases(&j, phases);

    if (n)
        tkx__threads_run_phases(work->pool, phases, n);
}

/* ---- scratch ---- */

static void *take(tkx__work *w, size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (!tkx__mul(count, size, &bytes) || !tkx__add(bytes, 64, &bytes))
        return NULL;
    p = tkx__malloc(bytes);
    if (!p)
        return NULL;
    w->memory[w->n_memory++] = p;
    return (void *)(((uintptr_t)p + 63) & ~(uintptr_t)63);
}

static bool take_all(tkx__work *w)
{
    const tkx__work_limits *l = &w->limits;
    size_t n_threads = tkx__threads_count(w->pool);
    size_t lora_rows;

    if (!tkx__mul(l->max_loras, l->max_tokens, &lora_rows))
        return false;
    w->scratch_size = TKX__TILE_SCRATCH;
    w->scratch = take(w, n_threads, w->scratch_size);
    w->tile_out = take(w, n_threads, TKX__TILE_OUT * sizeof(float));
    w->lora_rows = take(w, lora_rows, sizeof *w->lora_rows);
    w->lora = take(w, lora_rows, l->max_rank * sizeof *w->lora);
    if (w->compute == TKX__COMPUTE_FAST) {
        w->act_32 =
            take(w, l->max_tokens, tkx__act_row_size(TKX__ACT_Q8_32, l->max_cols));
        w->act_256 =
            take(w, l->max_tokens, tkx__act_row_size(TKX__ACT_Q8_256, l->max_cols));
        if (!w->act_32 || !w->act_256)
            return false;
    }
    return w->scratch && w->tile_out && w->lora_rows && w->lora;
}

tkx_status tkx__work_new(const tkx__kernels *k, tkx__threads *pool, tkx__compute compute,
                         const tkx__work_limits *limits, tkx__work **out, tkx_error **err)
{
    tkx__work *w = tkx__calloc(1, sizeof *w);

    if (!w)
        return tkx__fail_memory(err);
    w->k = k;
    w->pool = pool;
    w->compute = compute;
    w->limits = *limits;
    if (!take_all(w)) {
        tkx__work_free(w);
        return tkx__fail_memory(err);
    }
    *out = w;
    return TKX_OK;
}

void tkx__work_free(tkx__work *work)
{
    if (!work)
        return;
    for (size_t i = 0; i < work->n_memory; i++)
        tkx__free(work->memory[i]);
    tkx__free(work);
}
