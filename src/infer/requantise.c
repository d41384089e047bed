/* SPDX-License-Identifier: Apache-2.0 */
/* requantise.c - see requantise.h. */
#include "infer/requantise.h"

#include <stdint.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/blocks.h"
#include "model/quantise.h"

#define ALIGNMENT 64
#define ROWS_PER_PIECE 16
#define PACKED_ROWS 8 /* that a set of kernels brings into its order at once */

tkx_status tkx__requantise_find(const char *name, tkx__dtype *out, tkx_error **err)
{
    for (int i = 0; i < TKX__N_WEIGHT_DTYPES; i++) {
        if (tkx__quantise_has((tkx__dtype)i) &&
            strcasecmp(name, tkx__dtype_name((tkx__dtype)i)) == 0) {
            *out = (tkx__dtype)i;
            return TKX_OK;
        }
    }
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                     "weights cannot be quantised to %.40s while loading; q8_0 and q4_0 "
                     "are offered",
                     name);
}

/* ---- all matrices, one after another ---- */

typedef struct visit {
    tkx__dtype dtype;
    void (*fn)(struct visit *v, tkx__stored *m);
    size_t copied; /* bytes of the copies */
    size_t kept;   /* bytes of matrices that stay */
    /* while quantising */
    const tkx__weights *weights;
    const tkx__kernels *kernels; /* NULL: no order of their own */
    unsigned char *memory;
    tkx__threads *pool;
    float *rows;              /* one for each thread */
    unsigned char *some_rows; /* 8 quantised ones for each thread */
    size_t widest;
    tkx__requantise_fn *on_done;
    void *ctx;
} visit;

static bool is_float(tkx__dtype dtype)
{
    return dtype == TKX__DTYPE_F32 || dtype == TKX__DTYPE_F16 || dtype == TKX__DTYPE_BF16;
}

static bool changes(const visit *v, const tkx__stored *m)
{
    return is_float(m->dtype) &&
           m->n_cols % tkx__dtype_get(v->dtype)->block_elements == 0;
}

static size_t bytes_of(const visit *v, const tkx__stored *m)
{
    size_t row_bytes = 0;

    (void)tkx__dtype_row_bytes(v->dtype, m->n_cols, &row_bytes);
    return (row_bytes * m->n_rows + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void visit_all(visit *v, tkx__weights *w)
{
    v->fn(v, &w->embedding);
    if (!w->config.is_tied)
        v->fn(v, &w->head);
    else if (v->memory)
        w->head = w->embedding;
    for (size_t i = 0; i < w->config.n_layers; i++) {
        tkx__layer_weights *l = &w->layers[i];

        for (int m = 0; m < TKX__MAT_ROUTER; m++) {
            if (l->matrices[m].data)
                v->fn(v, &l->matrices[m]);
        }
        for (size_t e = 0; l->experts && e < 3 * w->config.n_experts; e++)
            v->fn(v, &l->experts[e]);
    }
}

/* ---- counting ---- */

static void count(visit *v, tkx__stored *m)
{
    if (!changes(v, m)) {
        v->kept += m->row_bytes * m->n_rows;
        return;
    }
    v->copied += bytes_of(v, m);
    if (m->n_cols > v->widest)
        v->widest = m->n_cols;
}

static visit counted(const tkx__weights *weights, tkx__dtype dtype)
{
    visit v = {.dtype = dtype, .fn = count};

    visit_all(&v, (tkx__weights *)(uintptr_t)weights); /* nothing is changed */
    return v;
}

size_t tkx__requantise_bytes(const tkx__weights *weights, tkx__dtype dtype,
                             size_t *copied)
{
    visit v = counted(weights, dtype);

    if (copied)
        *copied = v.copied;
    return v.copied + v.kept;
}

/* ---- quantising ---- */

/* Bytes of the longest row of a copy. */
static size_t row_room(const visit *v)
{
    size_t bytes = 0;

    (void)tkx__dtype_row_bytes(v->dtype, v->widest, &bytes);
    return bytes;
}

typedef struct work {
    const visit *v;
    const tkx__stored *from;
    unsigned char *to;
    size_t row_bytes;
    bool is_packed; /* it becomes */
} work;

static void quantise_some(const work *w, size_t first, size_t end, unsigned char *to,
                          size_t thread)
{
    float *row = w->v->rows + thread * w->v->widest;

    for (size_t r = first; r < end; r++, to += w->row_bytes) {
        tkx__stored_row(w->from, r, row);
        tkx__quantise_row(w->v->dtype, row, w->from->n_cols, to);
    }
}

static tkx__matrix as_matrix(const work *w, const unsigned char *data, size_t n_rows)
{
    return (tkx__matrix){.data = data,
                         .type = (tkx__wtype)tkx__dtype_get(w->v->dtype)->gguf_id,
                         .n_rows = n_rows,
                         .n_cols = w->from->n_cols,
                         .row_size = w->row_bytes};
}

static void quantise_rows(void *ctx, size_t piece, size_t thread)
{
    const work *w = ctx;
    size_t end = (piece + 1) * ROWS_PER_PIECE;
    unsigned char *eight = w->v->some_rows + thread * PACKED_ROWS * row_room(w->v);
    tkx__matrix m = as_matrix(w, eight, PACKED_ROWS);

    if (end > w->from->n_rows)
        end = w->from->n_rows;
    for (size_t r = piece * ROWS_PER_PIECE; r < end; r += PACKED_ROWS) {
        unsigned char *to = w->to + r * w->row_bytes;
        size_t last = r + PACKED_ROWS < end ? r + PACKED_ROWS : end;

        quantise_some(w, r, last, w->is_packed ? eight : to, thread);
        if (w->is_packed)
            tkx__matrix_pack(w->v->kernels, &m, 0, PACKED_ROWS, to);
    }
}

static void quantise(visit *v, tkx__stored *m)
{
    work w = {.v = v, .from = m, .to = v->memory + v->copied};
    tkx__matrix made;

    if (!changes(v, m))
        return;
    (void)tkx__dtype_row_bytes(v->dtype, m->n_cols, &w.row_bytes);
    made = as_matrix(&w, w.to, m->n_rows);
    w.is_packed = v->kernels && tkx__matrix_can_pack(v->kernels, &made);
    tkx__threads_run(v->pool, (m->n_rows + ROWS_PER_PIECE - 1) / ROWS_PER_PIECE,
                     quantise_rows, &w);
    v->copied += bytes_of(v, m);
    tkx__weights_forget(v->weights, m->data, m->n_rows * m->row_bytes);
    m->data = w.to;
    m->dtype = v->dtype;
    m->row_bytes = w.row_bytes;
    m->is_packed = w.is_packed;
    if (v->on_done)
        v->on_done(v->ctx, v->copied);
}

tkx_status tkx__requantise(tkx__weights *weights, tkx__dtype dtype,
                           const tkx__kernels *kernels, tkx__threads *pool,
                           tkx__requantise_fn *fn, void *ctx, tkx_error **err)
{
    visit v = counted(weights, dtype);
    size_t n_threads = tkx__threads_count(pool);
    unsigned char *memory;

    if (v.copied == 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "%s: nothing to quantise to %s: its weights are %s",
                         weights->path, tkx__dtype_name(dtype), weights->type);
    memory = tkx__weights_own_block(weights, v.copied);
    v.rows = tkx__calloc(n_threads * v.widest, sizeof *v.rows);
    v.some_rows = tkx__calloc(n_threads * PACKED_ROWS, row_room(&v));
    if (!memory || !v.rows || !v.some_rows) {
        tkx__free(v.some_rows);
        tkx__free(v.rows);
        return tkx__fail(err, TKX_ERR_NO_MEMORY,
                         "no memory for %zu bytes of quantised weights", v.copied);
    }
    v.memory = memory; /* whole pages */
    v.weights = weights;
    v.kernels = kernels;
    v.fn = quantise;
    v.pool = pool;
    v.on_done = fn;
    v.ctx = ctx;
    v.copied = 0;
    visit_all(&v, weights);
    tkx__free(v.some_rows);
    tkx__free(v.rows);
    weights->type = tkx__dtype_name(dtype);
    return TKX_OK;
}
