/* SPDX-License-Identifier: Apache-2.0 */
/*
 * graph_pack.c - weights in kernel order.
 *
 * The first step reads the file as it is, so that the first token waits for nothing.
 * Before the second, quantised matrices are copied into strips (kernels/strips.h), plain
 * ones as they are, some MiB at a time; the file's pages behind a piece leave memory when
 * it is done, so that the process never holds more than one piece twice.  The copies
 * stand in large pages, which memory gives up faster than a mapped file's small ones.
 */
#include <stdint.h>
#include <string.h>

#include "base/large.h"
#include "base/mem.h"
#include "infer/graph_in.h"

#define PIECE_BYTES ((size_t)8 << 20)
#define ROWS_AT_ONCE 32

/* Consecutive rows of one matrix, shared out. */
typedef struct packing {
    const tkx__kernels *kernels;
    const tkx__matrix *from;
    bool is_strips; /* else copied as they are */
    unsigned char *to;
    size_t first;
    size_t end;
} packing;

static bool is_plain(const tkx__matrix *m)
{
    return m->data && tkx__wtype_block_cols(m->type) == 1;
}

static void pack_rows(void *ctx, size_t piece, size_t thread)
{
    const packing *p = ctx;
    size_t first = p->first + piece * ROWS_AT_ONCE;
    size_t n = p->end - first < ROWS_AT_ONCE ? p->end - first : ROWS_AT_ONCE;

    (void)thread;
    if (!p->is_strips)
        memcpy(p->to + first * p->from->row_size,
               (const unsigned char *)p->from->data + first * p->from->row_size,
               n * p->from->row_size);
    else
        tkx__matrix_pack(p->kernels, p->from, first, n, p->to);
}

static void pack_matrix(tkx__graph *g, tkx__matrix *m, unsigned char *to)
{
    size_t rows = PIECE_BYTES / m->row_size / ROWS_AT_ONCE * ROWS_AT_ONCE;
    packing p = {.kernels = g->kernels,
                 .from = m,
                 .is_strips = tkx__matrix_can_pack(g->kernels, m),
                 .to = to};
    const unsigned char *data = m->data;

    if (rows == 0)
        rows = ROWS_AT_ONCE;
    for (p.first = 0; p.first < m->n_rows; p.first = p.end) {
        p.end = m->n_rows - p.first < rows ? m->n_rows : p.first + rows;
        tkx__threads_run(g->pool, (p.end - p.first + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE,
                         pack_rows, &p);
        tkx__weights_forget(g->weights, data + p.first * m->row_size,
                            (p.end - p.first) * m->row_size);
    }
    m->data = to;
    m->is_packed = p.is_strips;
}

/* Only what stands in a mapped file: anything else would stay in memory twice. */
static size_t packed_size(const tkx__graph *g, const tkx__matrix *m)
{
    return (tkx__matrix_can_pack(g->kernels, m) || is_plain(m)) &&
                   tkx__weights_holds(g->weights, m->data)
               ? (m->n_rows * m->row_size + 63) / 64 * 64
               : 0;
}

/* Those of n matrices that can be packed, in one piece of memory, which is returned. */
static void *pack_matrices(tkx__graph *g, tkx__matrix *matrices, size_t n)
{
    size_t size = 0;
    void *memory;
    unsigned char *at;

    for (size_t i = 0; i < n; i++)
        if (!tkx__add(size, packed_size(g, &matrices[i]), &size))
            return NULL;
    if (size == 0)
        return NULL;
    at = tkx__large_alloc(size, false, &memory);
    if (!at)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = packed_size(g, &matrices[i]);

        if (bytes)
            pack_matrix(g, &matrices[i], at);
        at += bytes;
    }
    return memory;
}

void tkx__graph_pack(tkx__graph *g)
{
    bool is_tied = g->embedding.data == g->head.data;
    size_t n = 0;

    g->is_packed = true;
    if (g->options.keep_order || g->options.compute != TKX__COMPUTE_FAST)
        return;
    for (size_t i = 0; i < g->config->n_layers; i++) {
        layer_matrices *m = &g->layers[i];

        g->packed[n++] = pack_matrices(g, m->dense, TKX__N_LAYER_MATRICES);
        if (m->experts)
            g->packed[n++] = pack_matrices(g, m->experts, 3 * g->config->n_experts);
    }
    g->packed[n++] = pack_matrices(g, &g->head, 1);
    if (is_tied)
        g->embedding = g->head;
}

void tkx__graph_unpack(tkx__graph *g)
{
    for (size_t i = 0; g->packed && i < 2 * g->config->n_layers + 1; i++)
        tkx__free(g->packed[i]);
}
