// SPDX-License-Identifier: Apache-2.0
/*
 * matmul.c - a group of products over the pool.
 *
 * Activations are brought into each form once.  Then come the rows of all products, cut
 * into pieces.  A piece is a tile, some rows against at most TKX__TILE_TOKENS tokens;
 * while its sums are in the cache, what the B of the adapters give is added.  Their A is
 * done ahead by the threads that come first: the others multiply meanwhile.
 */
#include <string.h>

#include "infer/kernels/work.h"

typedef tkx__matmul_unit unit;
typedef tkx__matmul_job job;

/* ---- units ---- */

/*
 * Few tokens: a piece is some tens of KiB of weights, and half of a usual A.  Many:
 * enough rows to keep the arithmetic busy, few enough for the buffer between.
 */
static size_t rows_of_piece(const job *j, const unit *u)
{
    /* Whole strips, of the adapters' B as well, and whole sixes of plain rows. */
    size_t whole = u->is_q || u->n_tok == 1 ? 16 : 24;
    bool has_b = u->product && u->product->n_loras > 0; /* 16 rows at a time */
    size_t rows;

    if (!u->product)
        return u->n_tok >= 16 ? 16 : 8;
    if (u->n_tok >= 16)
        return u->is_q || has_b ? 48 : whole;
    rows = (j->piece_bytes / u->w->row_size + whole - 1) / whole * whole;
    return rows > TKX__TILE_MAX_ROWS ? TKX__TILE_MAX_ROWS : rows < whole ? whole : rows;
}

/* Of an A, which has few rows, so few that all threads have some. */
static size_t toks_of_piece(const unit *u)
{
    return u->product ? TKX__TILE_TOKENS : TKX__TILE_TOKENS / 4;
}

static void cut(const job *j, unit *u)
{
    size_t most = toks_of_piece(u);
    size_t n_chunks = (u->n_tok + most - 1) / most;

    if (n_chunks == 0)
        return;
    u->toks_per_piece = (u->n_tok + n_chunks - 1) / n_chunks;
    if (n_chunks > 1) /* whole groups of 4 */
        u->toks_per_piece = (u->toks_per_piece + 3) / 4 * 4;
    u->n_chunks = (u->n_tok + u->toks_per_piece - 1) / u->toks_per_piece;
    u->rows_per_piece = rows_of_piece(j, u);
    u->n_pieces =
        (u->w->n_rows + u->rows_per_piece - 1) / u->rows_per_piece * u->n_chunks;
}

static void use_activations(const job *j, unit *u, tkx__act_form form)
{
    const tkx__work *w = j->work;

    u->is_q = form != TKX__ACT_F32;
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

static void product_unit(const job *j, const tkx__product *p, size_t use, unit *u)
{
    *u = (unit){
        .w = p->w, .x_rows = p->x_rows, .n_tok = p->n_tok, .product = p, .use = use};
    use_activations(j, u, tkx__act_form_of(p->w->type, j->work->compute));
    cut(j, u);
}

static void a_unit(const job *j, const tkx__product *p, const tkx__lora_use *l,
                   size_t use, unit *u)
{
    const tkx__work *w = j->work;

    *u = (unit){.w = l->a,
                .x_rows =
                    l->indices ? w->lora_rows + use * w->limits.max_tokens : p->x_rows,
                .n_tok = l->indices ? l->n : p->n_tok,
                .use = use};
    use_activations(j, u, TKX__ACT_F32);
    cut(j, u);
}

/* ---- one piece ---- */

/* A x of an adapter's tokens: [n][max_rank] */
static float *mid_of(const tkx__work *w, size_t use)
{
    return w->lora + use * w->limits.max_tokens * w->limits.max_rank;
}

static float *y_of(const tkx__product *p, size_t tok)
{
    return p->y + (p->y_rows ? p->y_rows[tok] : tok) * p->y_stride;
}

/* axpy with 1 rounds once, as an addition does. */
static void put_row(const tkx__work *w, const tkx__product *p, const float *in, float *y,
                    size_t row, size_t n)
{
    const float *bias = p->bias ? p->bias + row : NULL;

    if (p->add && bias) {
        for (size_t i = 0; i < n; i++)
            y[i] += in[i] + bias[i];
        return;
    }
    if (p->add) {
        w->k->axpy(y, 1, in, n);
        return;
    }
    memcpy(y, in, n * sizeof *y);
    if (bias)
        w->k->axpy(y, 1, bias, n);
}

/* True when the tile's sums are the product's rows as they come. */
static bool is_as_computed(const tkx__product *p)
{
    return p && !p->add && !p->bias && !p->y_rows;
}

/* True when the kernel can add what B gives to the sums of a tile. */
static bool is_straight(const tkx__product *p, const tkx__lora_use *l)
{
    return l->b->is_packed && !l->indices && !p->y_rows && l->scale != 0;
}

/* True when B takes the tile's sums from the buffer and writes y: one pass over y, whose
   rows stand so far apart that the first-level cache cannot hold a tile of it. */
static bool is_joined(const tkx__product *p)
{
    return p && p->n_loras == 1 && !p->add && is_straight(p, p->loras);
}

static void put_tile(const tkx__work *w, const unit *u, const tkx__tile *t, size_t row)
{
    if (is_joined(u->product)) {
        for (size_t i = 0; u->product->bias && i < t->n_tok; i++)
            w->k->axpy(t->out + i * t->out_stride, 1, u->product->bias + row, t->n_rows);
        return;
    }
    for (size_t i = 0; i < t->n_tok; i++) {
        size_t tok = t->first_tok + i;
        const float *in = t->out + i * t->out_stride;

        if (u->product)
            put_row(w, u->product, in, y_of(u->product, tok) + row, row, t->n_rows);
        else
            memcpy(mid_of(w, u->use) + tok * w->limits.max_rank + row, in,
                   t->n_rows * sizeof *in);
    }
}

/* How many of the adapter's tokens stand before a token of the product. */
static size_t n_before(const tkx__lora_use *l, size_t tok)
{
    size_t n = 0;

    if (!l->indices)
        return tok;
    while (n < l->n && l->indices[n] < tok)
        n++;
    return n;
}

/* y += scale B (A x) for the rows and tokens of a tile that is done. */
static void add_b(const tkx__work *w, const unit *u, size_t n_lora, const tkx__tile *done,
                  size_t row, size_t thread)
{
    const tkx__product *p = u->product;
    const tkx__lora_use *l = &p->loras[n_lora];
    size_t first = n_before(l, done->first_tok);
    bool adds = is_straight(p, l);
    tkx__tile t = {
        .type = l->b->type,
        .w = (const uint8_t *)l->b->data + row * l->b->row_size,
        .is_packed = l->b->is_packed,
        .row_size = l->b->row_size,
        .n_rows = done->n_rows,
        .n_cols = l->b->n_cols,
        .act = (const uint8_t *)mid_of(w, u->use + n_lora),
        .act_stride = w->limits.max_rank * sizeof(float),
        .first_tok = first,
        .n_tok = n_before(l, done->first_tok + done->n_tok) - first,
        .out = w->tile_out + thread * TKX__TILE_OUT,
        .out_stride = done->n_rows,
        .scratch = done->scratch,
    };

    if (t.n_tok == 0)
        return;
    if (adds) {
        t.out = y_of(p, first) + row;
        t.out_stride = p->y_stride;
        t.add_scale = l->scale;
        t.base = is_joined(p) ? done->out : t.out;
        t.base_stride = is_joined(p) ? done->out_stride : t.out_stride;
    }
    w->k->tile_f(&t);
    for (size_t i = 0; !adds && i < t.n_tok; i++) {
        size_t tok = l->indices ? l->indices[first + i] : first + i;

        w->k->axpy(y_of(p, tok) + row, l->scale, t.out + i * t.out_stride, t.n_rows);
    }
}

/* The B that the tile needs next: too little for the CPU's own prefetching. */
static void fetch_b(const unit *u, const tkx__tile *t, size_t row)
{
    for (size_t l = 0; l < u->product->n_loras; l++) {
        const tkx__matrix *b = u->product->loras[l].b;
        const uint8_t *at = (const uint8_t *)b->data + row * b->row_size;

        for (size_t i = 0; i < t->n_rows * b->row_size; i += 64)
            __builtin_prefetch(at + i, 0, 2);
    }
}

static void do_piece(job *j, const unit *u, size_t piece, size_t thread)
{
    const tkx__work *w = j->work;
    size_t row = piece / u->n_chunks * u->rows_per_piece;
    size_t tok = piece % u->n_chunks * u->toks_per_piece;
    size_t rows_left = u->w->n_rows - row;
    size_t toks_left = u->n_tok - tok;
    tkx__tile t = {
        .type = u->w->type,
        .w = (const uint8_t *)u->w->data + row * u->w->row_size,
        .is_packed = u->w->is_packed,
        .row_size = u->w->row_size,
        .n_rows = rows_left < u->rows_per_piece ? rows_left : u->rows_per_piece,
        .n_cols = u->w->n_cols,
        .act = u->act,
        .act_stride = u->act_stride,
        .x_rows = u->x_rows,
        .first_tok = tok,
        .n_tok = toks_left < u->toks_per_piece ? toks_left : u->toks_per_piece,
        .out = w->tile_out + thread * TKX__TILE_OUT,
        .out_stride = u->rows_per_piece,
        .scratch = tkx__work_scratch(w, thread),
    };
    bool is_direct = is_as_computed(u->product) && !is_joined(u->product);

    if (is_direct) {
        t.out = u->product->y + tok * u->product->y_stride + row;
        t.out_stride = u->product->y_stride;
    }
    if (u->product && u->n_tok < 16)
        fetch_b(u, &t, row);
    if (u->is_q)
        w->k->tile_q(&t);
    else
        w->k->tile_f(&t);
    if (!is_direct)
        put_tile(w, u, &t, row);
    if (!u->product || u->product->n_loras == 0)
        return;
    tkx__ahead_wait(&j->ahead);
    for (size_t l = 0; l < u->product->n_loras; l++)
        add_b(w, u, l, &t, row, thread);
}

/* ---- which unit a piece belongs to ---- */

typedef void unit_fn(void *ctx, const unit *u);

/* The units in order.  is_a: of the adapters' A instead of the products. */
static void each_unit(const job *j, bool is_a, unit_fn *fn, void *ctx)
{
    size_t use = 0;
    unit u;

    for (size_t i = 0; i < j->n_products; i++) {
        const tkx__product *p = &j->products[i];

        for (size_t l = 0; is_a && l < p->n_loras; l++) {
            a_unit(j, p, &p->loras[l], use + l, &u);
            fn(ctx, &u);
        }
        if (!is_a) {
            product_unit(j, p, use, &u);
            fn(ctx, &u);
        }
        use += p->n_loras;
    }
}

/* Units kept, as many as there is room for, and all pieces counted. */
typedef struct layout {
    unit *kept;
    size_t n_units;
    size_t n_pieces;
} layout;

static void keep_unit(void *ctx, const unit *u)
{
    layout *l = ctx;

    if (l->n_units < TKX__MATMUL_UNITS)
        l->kept[l->n_units] = *u;
    l->n_units++;
    l->n_pieces += u->n_pieces;
}

static size_t lay_out(job *j, bool is_a)
{
    layout l = {.kept = j->units[is_a]};

    each_unit(j, is_a, keep_unit, &l);
    j->n_units[is_a] = l.n_units <= TKX__MATMUL_UNITS ? l.n_units : 0;
    return l.n_pieces;
}

typedef struct search {
    job *job;
    size_t piece; /* counted from the unit that comes next */
    size_t thread;
    bool is_done;
} search;

static void try_unit(void *ctx, const unit *u)
{
    search *s = ctx;

    if (s->is_done)
        return;
    s->is_done = s->piece < u->n_pieces;
    if (s->is_done)
        do_piece(s->job, u, s->piece, s->thread);
    s->piece -= u->n_pieces;
}

static void run_piece_of(job *j, bool is_a, size_t piece, size_t thread)
{
    search s = {.job = j, .piece = piece, .thread = thread};

    for (size_t i = 0; i < j->n_units[is_a]; i++)
        try_unit(&s, &j->units[is_a][i]);
    if (j->n_units[is_a] == 0)
        each_unit(j, is_a, try_unit, &s);
}

static void run_a_piece(void *ctx, size_t piece, size_t thread)
{
    run_piece_of(ctx, true, piece, thread);
}

static void run_piece(void *ctx, size_t piece, size_t thread)
{
    job *j = ctx;

    tkx__ahead_work(&j->ahead, thread);
    run_piece_of(j, false, piece, thread);
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
    tkx__ahead_set(&j->ahead, lay_out(j, true), run_a_piece, j);
    out[n++] = (tkx__phase){.fn = run_piece, .ctx = j, .n_pieces = lay_out(j, false)};
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
